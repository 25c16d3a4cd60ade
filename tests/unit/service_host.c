/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A host for services: what the program's start and end do for them, and the checks at rest.
 */
#include "service_host.h"

#include <stdatomic.h>

struct host {
    struct host_options options;
    struct harness_engine *engine;
    struct core *cores[CORES_MAX];
    atomic_uint opened, serving, stopping, drained, gone;
};

static void meet(struct core *core, struct host *host, atomic_uint *count)
{
    atomic_fetch_add(count, 1);
    while (atomic_load(count) < host->options.core_count)
        fiber_sleep(core, 8000000);
}

static int host_core(struct core *core, void *argument)
{
    struct host *host = argument;
    const struct host_options *options = &host->options;
    host->cores[core_index(core)] = core;
    check_equal(net_open(core), 0);
    if (options->open != NULL)
        check_equal(options->open(core), 0);
    check_equal(sessions_open(core), 0);
    meet(core, host, &host->opened);
    for (unsigned i = 0; i < HOST_SERVICES_MAX && options->services[i] != NULL; i++)
        check_equal(service_open(core, options->services[i]), 0);
    atomic_fetch_add(&host->serving, 1);
    while (atomic_load(&host->stopping) == 0)
        fiber_sleep(core, 8000000);
    sessions_drain(core, options->drain_pace_ms, options->drain_wait_ms);
    check_equal(sessions_count(core), 0);
    meet(core, host, &host->drained);
    sessions_close(core);
    if (options->close != NULL)
        options->close(core);
    for (int i = 0; i < 100 && core_busy(core) > 0; i++)
        fiber_sleep(core, 10000000);
    check_equal(buffer_lent(core), 0);
    check_equal(core_busy(core), 0);
    check_equal(core_counters(core)->value[COUNTER_FIBERS_ACTIVE], 1);
    check_equal(core_counters(core)->value[COUNTER_CONNECTIONS_OPEN], 0);
    net_close(core);
    if (atomic_fetch_add(&host->gone, 1) + 1 == options->core_count)
        harness_stop(core);
    return 0;
}

struct host *host_begin(const struct host_options *options)
{
    struct engine_options engine = {
        .core_count = options->core_count,
        .connections_max = options->connections_max ? options->connections_max : 2000,
        .buffers = 256,
        .fibers_max = options->fibers_max,
        .stack_bytes = 65536,
        .connects = options->connects,
    };
    struct host *host = calloc(1, sizeof *host);
    check(host != NULL);
    host->options = *options;
    host->engine = harness_begin(&engine, host_core, host);
    while (atomic_load(&host->serving) < options->core_count)
        harness_nap(1000);
    return host;
}

void host_stop(struct host *host)
{
    atomic_store(&host->stopping, 1);
}

void host_end(struct host *host)
{
    host_stop(host);
    check_equal(harness_end(host->engine), 0);
    free(host);
}

uint64_t host_counter(struct host *host, enum counter which)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < host->options.core_count; i++)
        sum += __atomic_load_n(&core_counters(host->cores[i])->value[which], __ATOMIC_RELAXED);
    return sum;
}

uint64_t host_ends(struct host *host, enum protocol_id protocol, enum session_end end)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < host->options.core_count; i++)
        sum +=
            __atomic_load_n(&core_counters(host->cores[i])->ends[protocol][end], __ATOMIC_RELAXED);
    return sum;
}
