/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the program's own thread does while a run goes on: signals, a look each second at what is
 * measured and what the server costs, progress.
 */
#ifndef RINGPOST_BENCH_WATCH_H
#define RINGPOST_BENCH_WATCH_H

#include <stdio.h>

#include "cost.h"
#include "measure.h"
#include "options.h"

/* A second of the measured time. */
struct watch_row {
    double server_cpu, generator_cpu; /* seconds of CPU in it */
    uint64_t server_memory_bytes, server_disk_bytes;
};

struct watch {
    const struct bench_options *options;
    struct load *load;
    struct cost *cost; /* NULL: the server is not watched */
    struct measure *sum;
    struct histogram *latency; /* of the last whole second */
    /* of the server: before the run, as measuring began, now or at its end */
    struct cost_reading before, begin, now;
    struct cost_reading self_begin, self_now;
    uint64_t memory_most;
    bool has_begun, has_ended, server_is_gone;
    struct watch_row *rows; /* MEASURE_SECONDS_MAX */
    unsigned row_count;
    uint64_t memory_ns; /* when it was read last */
    unsigned signals;
    bool is_terminal, has_line; /* of standard error; a line stands there */
    uint64_t said_ns;
};

/* Opens the cost reading and takes the first one. 0, or -errno and why in problem. */
int watch_open(struct watch *watch, const struct bench_options *options, struct load *load,
               char problem[OPTIONS_PROBLEM_BYTES]);
/* Until *is_over (atomic) is set; false: a run that was interrupted does not end, or a second
 * signal came (signals > 1). SIGINT and SIGTERM must be blocked in all threads. */
bool watch_run(struct watch *watch, const uint32_t *is_over);
void watch_close(struct watch *watch);
/* The measured time, up to now when it has not ended. */
double watch_seconds(const struct watch *watch);

#endif
