/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Time and order. Everything that will happen by itself is an event in one heap, ordered by time
 * and, at equal times, by a drawn number. Every core is a fiber on a stage (a core of the same
 * engine that has no ring): it runs one turn, or up to where it would sleep in the kernel, and then
 * gives way.
 *
 *   sim_step:  a due event, or a runnable core, or a ready actor: chosen by chance
 *              none: time jumps to the next event or core's deadline
 *              none of these: nothing is left to happen
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#include "world.h"

/* ---------------------------------------------------------------- small containers */

void *array_room(void *array, uint32_t *capacity, uint32_t count, size_t element)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity ? 2 * *capacity : 16;
    return sim_keep_resize(array, *capacity * element);
}

void bytes_add(struct bytes *bytes, const void *data, size_t size)
{
    if (size == 0)
        return;
    if (bytes->start + bytes->size + size > bytes->capacity) {
        if (bytes->start > 0) {
            memmove(bytes->data, bytes->data + bytes->start, bytes->size);
            bytes->start = 0;
        }
        while (bytes->size + size > bytes->capacity) {
            bytes->capacity = bytes->capacity ? 2 * bytes->capacity : 256;
            bytes->data = sim_keep_resize(bytes->data, bytes->capacity);
        }
    }
    memcpy(bytes->data + bytes->start + bytes->size, data, size);
    bytes->size += size;
}

void bytes_drop(struct bytes *bytes, size_t size)
{
    assert(size <= bytes->size);
    bytes->start += size;
    bytes->size -= size;
    if (bytes->size == 0)
        bytes->start = 0;
}

void bytes_free(struct bytes *bytes)
{
    sim_keep_free(bytes->data);
    *bytes = (struct bytes){0};
}

/* ---------------------------------------------------------------- events: a binary heap */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->time != b->time ? a->time < b->time : a->tie < b->tie;
}

void event_add(struct sim *sim, uint64_t delay_ns, enum event_kind kind, uint32_t index,
               uint32_t generation)
{
    sim->events =
        array_room(sim->events, &sim->event_capacity, sim->event_count, sizeof *sim->events);
    uint64_t order = ++sim->event_sequence;
    struct sim_event event = {
        .time = sim->now_ns + delay_ns,
        .tie = sim->options.in_order ? order : (chance_next(&sim->chance) << 24) + order,
        .kind = kind,
        .index = index,
        .generation = generation,
    };
    uint32_t at = sim->event_count++;
    while (at > 0 && is_before(&event, &sim->events[(at - 1) / 2])) {
        sim->events[at] = sim->events[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sim->events[at] = event;
}

static struct sim_event event_take(struct sim *sim)
{
    struct sim_event first = sim->events[0], last = sim->events[--sim->event_count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= sim->event_count)
            break;
        if (child + 1 < sim->event_count && is_before(&sim->events[child + 1], &sim->events[child]))
            child++;
        if (!is_before(&sim->events[child], &last))
            break;
        sim->events[at] = sim->events[child];
        at = child;
    }
    if (sim->event_count > 0)
        sim->events[at] = last;
    return first;
}

static void event_run(struct sim *sim)
{
    struct sim_event event = event_take(sim);
    sim->counts[SIM_COUNT_EVENTS]++;
    trace_mix(sim, event.time * 64 + event.kind);
    trace_mix(sim, event.index);
    switch ((enum event_kind)event.kind) {
    case EVENT_OPERATION:
        if (sim->operations[event.index].generation == event.generation)
            operation_run(sim, (int32_t)event.index);
        break;
    case EVENT_TO_SERVER:
        client_to_server(sim, event.index);
        break;
    case EVENT_TO_CLIENT:
        client_from_server(sim, event.index);
        break;
    case EVENT_WAKE:
        if (event.generation == sim->life && sim->is_up)
            wake_arrive(sim, event.index);
        break;
    case EVENT_HELP:
        if (event.generation == sim->life && sim->is_up)
            help_run(sim, event.index);
        break;
    case EVENT_LATE:
        late_land(sim, event.index);
        break;
    case EVENT_ACTOR:
        if (sim->actors[event.index]->generation == event.generation)
            actor_ready(sim, sim->actors[event.index]);
        break;
    case EVENT_RUNNABLE:
        break;
    }
}

/* ---------------------------------------------------------------- making and unmaking */

/* What libraries ask for the time themselves (wolfSSL) hear the world's. */
static const struct sim *present;

time_t __real_time(time_t *ret_now);
time_t __wrap_time(time_t *ret_now);
time_t __wrap_time(time_t *ret_now)
{
    time_t now = present == NULL ? __real_time(NULL) : (time_t)(sim_wall_ns(present) / 1000000000);
    if (ret_now != NULL)
        *ret_now = now;
    return now;
}

int __real_gettimeofday(struct timeval *ret_now, void *zone);
int __wrap_gettimeofday(struct timeval *ret_now, void *zone);
int __wrap_gettimeofday(struct timeval *ret_now, void *zone)
{
    if (present == NULL)
        return __real_gettimeofday(ret_now, zone);
    int64_t now_ns = sim_wall_ns(present);
    *ret_now = (struct timeval){now_ns / 1000000000, now_ns % 1000000000 / 1000};
    return 0;
}

struct sim *sim_create(const struct sim_options *options)
{
    struct sim *sim = sim_keep_alloc(sizeof *sim);
    present = sim;
    sim->options = *options;
    assert(options->monotonic_start_ns > 0 && options->engine.core_count <= CORES_MAX);
    sim->now_ns = options->monotonic_start_ns;
    sim->chance = options->seed ^ UINT64_C(0x776f726c64);
    sim->scenario_chance = options->seed ^ UINT64_C(0x7363656e6172696f);
    sim->program_chance = options->seed ^ UINT64_C(0x70726f6772616d);
    sim->trace = options->seed;
    sim->events_max = options->fault_events_max ? options->fault_events_max : UINT64_MAX;
    sim->crash_kind = NONE;
    sim->operations_free = NONE;
    sim->connect_core = NONE;
    sim->stage = stage_make();
    for (unsigned i = 0; i < CORES_MAX; i++)
        sim->kernels[i] = (struct kernel){.sim = sim, .index = i, .operations = NONE};
    disk_make(sim, true); /* the root directory: the first */
    return sim;
}

void sim_destroy(struct sim *sim)
{
    present = NULL;
    if (sim->is_up)
        sim_crash(sim, SIM_FAIL_STOP);
    trace_close(sim);
    actors_free(sim);
    clients_free(sim);
    disk_free(sim);
    for (unsigned i = 0; i < CORES_MAX; i++) {
        sim_keep_free(sim->kernels[i].due);
        sim_keep_free(sim->kernels[i].slots);
    }
    for (uint32_t i = 0; i < sim->lock_count; i++)
        sim_keep_free(sim->locks[i].path);
    for (uint32_t i = 0; i < sim->late_count; i++)
        sim_keep_free(sim->lates[i].data);
    sim_keep_free(sim->locks);
    sim_keep_free(sim->lates);
    sim_keep_free(sim->helps);
    sim_keep_free(sim->descriptors);
    sim_keep_free(sim->events);
    sim_keep_free(sim->operations);
    bytes_free(&sim->log);
    stage_leave(sim->stage);
    sim_keep_free(sim);
}

/* ---------------------------------------------------------------- stepping */

static uint64_t next_time(const struct sim *sim)
{
    uint64_t next = sim->event_count > 0 ? sim->events[0].time : UINT64_MAX;
    for (unsigned i = 0; sim->is_up && i < sim->options.engine.core_count; i++) {
        const struct kernel *kernel = &sim->kernels[i];
        uint64_t at =
            kernel->deadline_ns > kernel->stalled_ns ? kernel->deadline_ns : kernel->stalled_ns;
        if (kernel->state == CORE_WAITING && kernel->deadline_ns < FOREVER_NS && at < next)
            next = at;
    }
    return next;
}

static bool step_now(struct sim *sim)
{
    unsigned runnable[CORES_MAX], count = 0;
    for (unsigned i = 0; sim->is_up && i < sim->options.engine.core_count; i++)
        if (core_is_runnable(&sim->kernels[i]))
            runnable[count++] = i;
    bool has_event = sim->event_count > 0 && sim->events[0].time <= sim->now_ns;
    uint32_t choices = count + (has_event ? 2 : 0) + (sim->actors_ready > 0 ? 1 : 0);
    if (choices == 0)
        return false;
    uint32_t choice = choices == 1 ? 0 : chance_below(sim, choices);
    if (choice < count)
        core_run(sim, runnable[choice]);
    else if (sim->actors_ready > 0 && choice == choices - 1)
        actors_run_one(sim);
    else
        event_run(sim);
    return true;
}

static bool step(struct sim *sim, uint64_t until_ns)
{
    if (sim->is_up && sim->crash_kind != NONE &&
        (sim->crash_soon || sim->counts[SIM_COUNT_EVENTS] >= sim->crash_at)) {
        sim_crash(sim, (enum sim_crash_kind)sim->crash_kind);
        return true;
    }
    if (step_now(sim)) {
        if (sim->turns_without_time > TURNS_WITHOUT_TIME_MAX) {
            sim_fail(sim, "a core turns and turns: nothing waits, nothing else happens");
            return false;
        }
        return true;
    }
    uint64_t next = next_time(sim);
    if (next == UINT64_MAX || next > until_ns)
        return false;
    assert(next > sim->now_ns);
    sim->now_ns = next;
    sim->turns_without_time = 0;
    return true;
}

bool sim_step(struct sim *sim)
{
    return step(sim, UINT64_MAX);
}

int sim_until(struct sim *sim, bool (*until)(void *argument), void *argument, uint64_t ns_max)
{
    uint64_t end = sim->now_ns + ns_max;
    unsigned life = sim->life;
    bool was_up = sim->is_up;
    while (!until(argument)) {
        if (!step(sim, end) || sim->now_ns > end)
            return until(argument) ? 0 : SIM_STUCK;
        if (was_up && (!sim->is_up || sim->life != life))
            return SIM_CRASHED;
    }
    return 0;
}

int sim_pass(struct sim *sim, uint64_t ns)
{
    uint64_t end = sim->now_ns + ns;
    bool was_up = sim->is_up;
    while (sim->now_ns < end && step(sim, end))
        if (was_up && !sim->is_up)
            return SIM_CRASHED;
    if (sim->now_ns < end)
        sim->now_ns = end;
    return 0;
}

int sim_quiet(struct sim *sim)
{
    bool was_up = sim->is_up;
    uint64_t end = sim->now_ns + UINT64_C(1000000000) * SIM_RUN_SECONDS_MAX;
    while (sim->now_ns < end) {
        if (step_now(sim)) {
            if (was_up && !sim->is_up)
                return SIM_CRASHED;
            continue;
        }
        if (sim->event_count == 0 && next_time(sim) > sim->now_ns + 100000000)
            return 0;
        if (!step(sim, end))
            return 0;
        if (was_up && !sim->is_up)
            return SIM_CRASHED;
    }
    return SIM_STUCK;
}

/* ---------------------------------------------------------------- running functions */

struct call {
    struct sim *sim;
    struct core *core;
    int (*fn)(struct core *core, void *argument);
    void *argument;
    int result, *ret_result;
    bool is_done, is_forgotten;
    unsigned life;
};

static void call_run(void *argument)
{
    struct call *call = argument;
    int result = call->fn(call->core, call->argument);
    call->result = result;
    call->is_done = true;
    if (call->ret_result != NULL)
        *call->ret_result = result;
    if (call->is_forgotten)
        free(call);
}

static bool call_is_done(void *argument)
{
    return ((struct call *)argument)->is_done;
}

static int call_start(struct sim *sim, unsigned core, struct call *call)
{
    call->core = sim_core(sim, core);
    memory_enter_surely(sim);
    int result = fiber_start(call->core, call_run, call);
    memory_leave();
    sim->kernels[core].is_poked = true;
    return result;
}

int sim_run(struct sim *sim, unsigned core, int (*fn)(struct core *core, void *argument),
            void *argument)
{
    if (!sim->is_up)
        return SIM_CRASHED;
    struct call call = {.sim = sim, .fn = fn, .argument = argument};
    int result = call_start(sim, core, &call);
    if (result < 0)
        return result;
    result = sim_until(sim, call_is_done, &call, UINT64_C(1000000000) * SIM_RUN_SECONDS_MAX);
    if (result == SIM_STUCK) { /* its fiber refers to this frame: the life cannot go on */
        sim_trace(sim, "stuck");
        sim_crash(sim, SIM_FAIL_STOP);
    }
    return result == 0 ? call.result : result;
}

int sim_spawn(struct sim *sim, unsigned core, int (*fn)(struct core *core, void *argument),
              void *argument, int *ret_result)
{
    if (!sim->is_up)
        return SIM_CRASHED;
    memory_enter_surely(sim);
    struct call *call = malloc(sizeof *call);
    memory_leave();
    if (call == NULL)
        return -ENOMEM;
    *call = (struct call){
        .sim = sim, .fn = fn, .argument = argument, .ret_result = ret_result, .is_forgotten = true};
    return call_start(sim, core, call);
}

/* ---------------------------------------------------------------- clocks */

uint64_t sim_now_ns(const struct sim *sim)
{
    return sim->now_ns;
}

int64_t sim_wall_ns(const struct sim *sim)
{
    return sim->options.wall_start_ns + (int64_t)(sim->now_ns - sim->options.monotonic_start_ns) +
           sim->wall_offset_ns;
}

void sim_clock_jump(struct sim *sim, int64_t ns)
{
    sim->wall_offset_ns += ns;
}
