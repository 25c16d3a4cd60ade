/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Makes a failing run smaller: fewer kinds of faults, no faults after a while, fewer steps of the
 * clients.
 */
#ifndef RINGPOST_TESTS_SIM_SHRINK_H
#define RINGPOST_TESTS_SIM_SHRINK_H

#include "sim.h"

enum { SHRINK_STEPS_MAX = 4096 };

struct scenario {
    const char *name;
    sim_scenario_run *run;
    bool has_to_fail;
    const char *help;
};

/* Prints the smallest failing run found and the command that repeats it. 0; 1 when the given run
 * does not fail. */
int shrink(const struct scenario *scenario, const struct sim_case *one);

#endif
