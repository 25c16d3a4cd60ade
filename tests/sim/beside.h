/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A program as a client of the whole gateway, in one world: one engine, whose cores run the gateway
 * and the client's fibers beside it. So a load generator, or whatever connects, is tried with the
 * seed, the faults and the virtual time of the simulator, against the server it is made for.
 *
 *   struct beside beside;
 *   struct sim_options options;
 *   sim_options_calm(&options, seed);
 *   beside_begin(&beside, &options, 25);              // host_gateway at ports 25...29 of 127.0.0.1
 *   int result = beside_run(&beside, body, &state);   // int body(struct core *, void *), each core
 *   beside_end(&beside);                              // drained, nothing left, nothing failed
 *
 * net_open and net_close are the gateway's: a client here must not call them. What fails aborts.
 */
#ifndef RINGPOST_TESTS_BESIDE_H
#define RINGPOST_TESTS_BESIDE_H

#include "../script/host.h"
#include "sim.h"

struct beside {
    struct sim *sim;
    void *gateway; /* host_gateway's state */
    unsigned cores;
    int results[CORES_MAX]; /* of the last beside_run */
};

/* `options` may draw faults; its engine gets what the gateway needs and may connect. */
void beside_begin(struct beside *beside, const struct sim_options *options, unsigned port_base);
/* body(core, argument) on a fiber of each core, until all have returned: 0, or the first result
 * that is not. */
int beside_run(struct beside *beside, int (*body)(struct core *core, void *argument),
               void *argument);
void beside_end(struct beside *beside);

#endif
