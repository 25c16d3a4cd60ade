/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the scenarios of the load generator share: a world in which it and the gateway run on the
 * same cores, a run of it under the case's faults, and its measures for a judge.
 */
#ifndef RINGPOST_TESTS_SCENARIO_LOAD_H
#define RINGPOST_TESTS_SCENARIO_LOAD_H

#include "measure.h"
#include "sim.h"

enum { LOAD_TRIAL_PORT_BASE = 25, LOAD_TRIAL_USERS = 3 };

struct load_trial {
    /* Fills options, by chance; `cores` are known. */
    void (*choose)(struct load_trial *trial);
    /* The run has ended by itself; is_calm: no fault was drawn. Says what is wrong by sim_fail. */
    void (*judge)(struct load_trial *trial, const struct measure *sum, bool is_calm);
    bool is_lossy; /* somebody deletes a message meanwhile */
    /* the rest is filled in */
    struct sim *sim;
    const uint32_t *faults;
    void *state; /* of the host */
    struct load_options options;
    struct load *load;
    unsigned cores;
    int results[CORES_MAX];
    bool has_deleted;
};

int load_trial_run(const struct sim_case *one, const struct load_trial *start_with, char *why,
                   size_t why_size);
/* For choose(): the gateway's endpoint of that protocol; the scenario of that name. */
void load_trial_endpoint(struct load_trial *trial, enum load_protocol protocol);
void load_trial_scenario(struct load_trial *trial, const char *name);

#endif
