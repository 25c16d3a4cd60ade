/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When operations begin. Closed loop: at once when a worker is free. Open loop: operation k of the
 * run at its own time, whether or not somebody is free; who takes it late starts late, and its
 * latency counts from the time it was meant for (L2), so that a server which stalls cannot hide it
 * (coordinated omission).
 */
#ifndef RINGPOST_BENCH_PACE_H
#define RINGPOST_BENCH_PACE_H

#include "load.h"

struct operation {
    uint64_t number;      /* of the run, from 0; numbers the messages too; warm-up included */
    uint64_t intended_ns; /* when it was meant to begin */
    bool is_counted;      /* not one of the warm-up */
};

/* Waits until the worker may begin the next operation. 0; -ECANCELED: the run is over. Fiber. */
int pace_take(struct load_worker *worker, struct operation *ret_operation);
/* The same for scenarios with clocks of their own (mix): waits until due_ns (of load_now), when the
 * operation is meant to begin; the number is the run's next. */
int pace_take_at(struct load_worker *worker, uint64_t due_ns, struct operation *ret_operation);
/* It has ended: well (error 0: its latency is recorded), or not (enum load_error, already told to
 * measure_error). Every operation taken is ended once. After errors that come at once (a server
 * that is gone) this waits a little, longer each time, up to a second. Fiber. */
void pace_done(struct load_worker *worker, const struct operation *operation, int error);
/* True when the run is over: long operations look now and then. */
bool pace_is_over(const struct load_worker *worker);

#endif
