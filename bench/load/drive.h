/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A run as the program does it: everything around load.h.
 */
#ifndef RINGPOST_BENCH_DRIVE_H
#define RINGPOST_BENCH_DRIVE_H

#include <stdio.h>

#include "load.h"

enum bench_status {
    BENCH_OK = 0,
    BENCH_ERRORS = 1,  /* errors or failures of --verify happened, or a result was not written */
    BENCH_USAGE = 2,   /* the command line cannot be understood, or is refused */
    BENCH_NOTHING = 3, /* nothing was measured */
    BENCH_INTERRUPTED = 130
};

/* argv is the whole command line, argv[1] the scenario's name. `out` is the standard output. */
int drive(const struct load_scenario *scenario, int argc, char *const *argv, const char *version,
          FILE *out);
/* "ringpost-bench: what" on standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
