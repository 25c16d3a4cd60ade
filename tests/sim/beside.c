/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The gateway and a client of it in one world.
 */
#include "beside.h"

#include <stdlib.h>

#include "../unit/harness.h"

static const uint64_t PATIENCE_NS = UINT64_C(3600000000000);

static int open_gateway(struct core *core, void *argument)
{
    return host_gateway.open(core, ((struct beside *)argument)->gateway);
}

static int close_gateway(struct core *core, void *argument)
{
    host_gateway.close(core, ((struct beside *)argument)->gateway);
    return 0;
}

static bool all_returned(void *argument)
{
    const struct beside *beside = argument;
    for (unsigned i = 0; i < beside->cores; i++)
        if (beside->results[i] == INT_MAX)
            return false;
    return true;
}

int beside_run(struct beside *beside, int (*body)(struct core *core, void *argument),
               void *argument)
{
    for (unsigned i = 0; i < beside->cores; i++) {
        beside->results[i] = INT_MAX;
        check_equal(sim_spawn(beside->sim, i, body, argument, &beside->results[i]), 0);
    }
    check_equal(sim_until(beside->sim, all_returned, beside, PATIENCE_NS), 0);
    for (unsigned i = 0; i < beside->cores; i++)
        if (beside->results[i] != 0)
            return beside->results[i];
    return 0;
}

void beside_begin(struct beside *beside, const struct sim_options *options, unsigned port_base)
{
    struct sim_options all = *options;
    all.disk_bytes = UINT64_C(512) << 20;
    all.engine.connects = true;
    all.engine.fibers_max = all.engine.fibers_max < 300 ? 300 : all.engine.fibers_max;
    all.engine.connections_max =
        all.engine.connections_max < 1000 ? 1000 : all.engine.connections_max;
    all.engine.buffers = all.engine.buffers < 64 ? 64 : all.engine.buffers;
    *beside = (struct beside){.sim = sim_create(&all), .cores = all.engine.core_count};
    sim_directory_make(beside->sim, "/store");
    beside->gateway = host_gateway.make(beside->cores, port_base, "/store");
    check(beside->gateway != NULL);
    host_gateway.begin(beside->gateway);
    check_equal(sim_start(beside->sim), 0);
    check_equal(beside_run(beside, open_gateway, beside), 0);
}

void beside_end(struct beside *beside)
{
    check_equal(beside_run(beside, close_gateway, beside), 0);
    check_equal(host_gateway.users(beside->gateway), 0);
    check_equal(sim_stop(beside->sim), 0);
    if (sim_failure(beside->sim) != NULL)
        harness_failed(__FILE__, __LINE__, sim_failure(beside->sim));
    sim_destroy(beside->sim);
    host_gateway.free(beside->gateway);
}
