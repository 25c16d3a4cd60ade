/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Chance, trace, failure and counts of a world. Three streams of chance come from the seed: the
 * world's own, the scenario's and the program's (kernel_random), so that a change of one does not
 * turn over the others.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

#define SIM_FAULT_ROW(enumerator, name, rate, help) {name, rate, help},
const struct sim_fault_row sim_fault_rows[SIM_FAULT_COUNT] = {SIM_FAULT_TABLE(SIM_FAULT_ROW)};
#undef SIM_FAULT_ROW

#define SIM_COUNT_ROW(enumerator, name) name,
static const char *const count_names[SIM_COUNT_COUNT] = {SIM_COUNT_TABLE(SIM_COUNT_ROW)};
#undef SIM_COUNT_ROW

/* SplitMix64. */
uint64_t chance_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t below(uint64_t *state, uint32_t bound)
{
    assert(bound > 0);
    return (uint32_t)(((chance_next(state) >> 32) * bound) >> 32);
}

uint32_t chance_below(struct sim *sim, uint32_t bound)
{
    return below(&sim->chance, bound);
}

uint64_t chance_around(struct sim *sim, uint64_t usual)
{
    if (sim->options.in_order || usual == 0)
        return usual;
    return usual / 2 + chance_next(&sim->chance) % (usual + usual / 2);
}

uint64_t sim_random(struct sim *sim)
{
    return chance_next(&sim->scenario_chance);
}

uint32_t sim_below(struct sim *sim, uint32_t bound)
{
    return below(&sim->scenario_chance, bound);
}

bool sim_chance(struct sim *sim, enum sim_fault fault)
{
    uint32_t rate = sim->options.faults[fault];
    if (rate == 0 || chance_below(sim, 1000000) >= rate ||
        sim->counts[SIM_COUNT_EVENTS] >= sim->events_max)
        return false;
    sim->fault_counts[fault]++;
    sim->counts[SIM_COUNT_FAULTS]++;
    sim_trace(sim, "fault %s", sim_fault_rows[fault].name);
    return true;
}

void sim_fault_set(struct sim *sim, enum sim_fault fault, uint32_t per_million)
{
    sim->options.faults[fault] = per_million;
}

void sim_heal(struct sim *sim)
{
    memset(sim->options.faults, 0, sizeof sim->options.faults);
    sim->disk_slow_ns = 0;
}

/* ---------------------------------------------------------------- options */

void sim_options_calm(struct sim_options *options, uint64_t seed)
{
    *options = (struct sim_options){
        .seed = seed,
        .disk_bytes = UINT64_C(64) << 20,
        .wall_start_ns = INT64_C(1750000000000000000),
        .monotonic_start_ns = UINT64_C(1000000000),
        .sq_entries = 256,
        .cq_entries = 1024,
        .disk_ns = 100000,
        .net_ns = 200000,
        .engine = {.core_count = 1,
                   .connections_max = 100,
                   .buffers = 16,
                   .fibers_max = 64,
                   .stack_bytes = 65536},
    };
}

void sim_options_draw(struct sim_options *options, uint64_t seed)
{
    sim_options_calm(options, seed);
    uint64_t state = seed ^ UINT64_C(0x6f7074696f6e7321);
    bool is_calm = below(&state, 8) == 0;
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        uint64_t drawn = chance_next(&state);
        if (is_calm || drawn % 3 != 0 || i == SIM_FAULT_BIT_ROT || i == SIM_FAULT_NO_MEMORY)
            continue;
        options->faults[i] = sim_fault_rows[i].rate >> (drawn >> 8) % 4;
        if ((drawn >> 16) % 8 == 0)
            options->faults[i] = sim_fault_rows[i].rate * 4;
    }
    options->in_order = below(&state, 8) == 0;
    options->sq_entries = 4u << 2 * below(&state, 5);
    options->cq_entries = options->sq_entries * (2u << below(&state, 4));
    options->monotonic_start_ns = 1 + (chance_next(&state) >> (4 + below(&state, 40)));
    options->disk_ns = 1000u << below(&state, 12);
    options->net_ns = 1000u << below(&state, 16);
}

void sim_case_options(const struct sim_case *one, struct sim_options *options)
{
    sim_options_draw(options, one->seed);
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        if (one->rates != NULL && one->rates[i] != UINT32_MAX)
            options->faults[i] = one->rates[i];
        if (!(one->faults_allowed >> i & 1))
            options->faults[i] = 0;
    }
    options->fault_events_max = one->events_max;
    options->verbose = one->verbose;
}

static uint32_t steps_seen;

uint32_t sim_case_steps_seen(void)
{
    return steps_seen;
}

bool sim_case_step(const struct sim_case *one, uint32_t i)
{
    steps_seen = i < steps_seen ? steps_seen : i + 1;
    return i >= one->dropped_count || one->dropped == NULL || !one->dropped[i];
}

int sim_case_end(struct sim *sim, char *why, size_t why_size)
{
    const char *failure = sim_failure(sim);
    int result = 0;
    if (failure != NULL) {
        snprintf(why, why_size, "%s", failure);
        result = -1;
    }
    sim_destroy(sim);
    return result;
}

/* ---------------------------------------------------------------- trace, failure, counts */

void trace_mix(struct sim *sim, uint64_t value)
{
    sim->trace = (sim->trace ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    sim->trace ^= sim->trace >> 29;
}

static uint64_t traces;

void trace_close(const struct sim *sim)
{
    traces = (traces ^ sim->trace) * UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t sim_traces_take(void)
{
    uint64_t taken = traces;
    traces = 0;
    return taken;
}

uint64_t sim_trace_hash(const struct sim *sim)
{
    return sim->trace;
}

void sim_trace(struct sim *sim, const char *format, ...)
{
    va_list arguments;
    if (!sim->options.verbose) { /* the words are the same for the same place: their hash will do */
        for (const char *at = format; *at != '\0'; at++)
            sim->trace = (sim->trace ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
        return;
    }
    for (const char *at = format; *at != '\0'; at++)
        sim->trace = (sim->trace ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    va_start(arguments, format);
    fprintf(stderr, "%12.6f ms  ", (double)(sim->now_ns - sim->options.monotonic_start_ns) / 1e6);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    char text[sizeof sim->failure];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (sim->failure[0] == '\0')
        memcpy(sim->failure, text, sizeof text);
    sim_trace(sim, "FAILURE %s", text);
}

const char *sim_failure(const struct sim *sim)
{
    return sim->failure[0] == '\0' ? NULL : sim->failure;
}

uint64_t sim_count(const struct sim *sim, enum sim_count which)
{
    return sim->counts[which];
}

uint64_t sim_fault_count(const struct sim *sim, enum sim_fault fault)
{
    return sim->fault_counts[fault];
}

void sim_print_counts(const struct sim *sim)
{
    for (int i = 0; i < SIM_COUNT_COUNT; i++)
        if (sim->counts[i] > 0)
            fprintf(stderr, "%12llu %s\n", (unsigned long long)sim->counts[i], count_names[i]);
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        if (sim->fault_counts[i] > 0)
            fprintf(stderr, "%12llu fault %s\n", (unsigned long long)sim->fault_counts[i],
                    sim_fault_rows[i].name);
}

struct slice sim_log(const struct sim *sim)
{
    return (struct slice){bytes_at(&sim->log), sim->log.size};
}

/* ---------------------------------------------------------------- the n-th fails */

static unsigned kind_index(unsigned kind)
{
    return (unsigned)__builtin_ctz(kind);
}

void sim_fail_nth(struct sim *sim, unsigned kinds, uint64_t n, int error, bool persistent)
{
    sim->planned =
        (struct planned){.kinds = kinds, .n = n, .error = error, .persistent = persistent};
}

uint64_t sim_operations(const struct sim *sim, unsigned kinds)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < 4; i++)
        if (kinds >> i & 1)
            sum += sim->planned.seen[i];
    return sum;
}

bool sim_nth_failed(const struct sim *sim)
{
    return sim->planned.has_failed;
}

int planned_failure(struct sim *sim, enum sim_operation kind, int usual)
{
    struct planned *planned = &sim->planned;
    planned->seen[kind_index(kind)]++;
    if (planned->n == 0 || !(planned->kinds & kind))
        return 0;
    uint64_t seen = sim_operations(sim, planned->kinds);
    if (seen != planned->n && !(planned->persistent && seen > planned->n))
        return 0;
    planned->has_failed = true;
    int error = planned->error != 0 ? planned->error : usual;
    sim_trace(sim, "planned failure of operation %llu: %d", (unsigned long long)seen, error);
    return error;
}
