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

#include "world.h"

static const uint64_t FOREVER_NS = UINT64_C(1) << 62;
enum { STAGE_FIBERS = 1024, STAGE_STACK_BYTES = 262144 };

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

/* ---------------------------------------------------------------- the stage */

static struct engine *spare_stage; /* one is kept between worlds: stacks are costly */

static struct engine *stage_make(void)
{
    struct engine *stage = spare_stage;
    spare_stage = NULL;
    if (stage != NULL)
        return stage;
    struct engine_options options = {
        .core_count = 1,
        .connections_max = 1,
        .buffers = 1,
        .fibers_max = STAGE_FIBERS,
        .stack_bytes = STAGE_STACK_BYTES,
    };
    struct kernel *none = NULL;
    if (engine_create(&options, &none, &stage) < 0 || fibers_open(stage->cores[0]) < 0)
        abort();
    return stage;
}

struct core *stage_core(struct sim *sim)
{
    return sim->stage->cores[0];
}

static struct fiber *stage_start(struct sim *sim, void (*fn)(void *argument), void *argument)
{
    struct core *stage = stage_core(sim);
    if (fiber_start(stage, fn, argument) < 0)
        abort();
    struct fiber *fiber = stage->ready;
    assert(fiber != NULL && fiber->next == NULL);
    return fiber;
}

/* Runs a parked fiber of the stage until it parks or ends. */
void stage_resume(struct sim *sim, struct fiber *fiber)
{
    fiber_wake(stage_core(sim), fiber);
    fibers_run(stage_core(sim));
}

/* Its stack is used again as it is: nobody will return to what is on it. */
void stage_kill(struct sim *sim, struct fiber *fiber)
{
    struct core *stage = stage_core(sim);
    assert(fiber->state == FIBER_PARKED);
    fiber->state = FIBER_FREE;
    stage->unused[stage->unused_count++] = fiber;
}

/* ---------------------------------------------------------------- making and unmaking */

struct sim *sim_create(const struct sim_options *options)
{
    struct sim *sim = sim_keep_alloc(sizeof *sim);
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
    disk_make(sim, "/", true);
    return sim;
}

void sim_destroy(struct sim *sim)
{
    if (sim->is_up)
        sim_crash(sim, SIM_FAIL_STOP);
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
    if (spare_stage == NULL) {
        spare_stage = sim->stage;
    } else {
        fibers_close(sim->stage->cores[0]);
        engine_destroy(sim->stage);
    }
    sim_keep_free(sim);
}

/* ---------------------------------------------------------------- a core's thread */

/* From inside enter (or between turns with a deadline that has passed): gives way. */
void kernel_wait(struct kernel *kernel, uint64_t deadline_ns)
{
    kernel->state = CORE_WAITING;
    kernel->deadline_ns = deadline_ns;
    memory_leave();
    fiber_park(stage_core(kernel->sim));
    memory_enter(kernel->sim);
    kernel->is_poked = false;
    kernel->state = CORE_READY;
}

static void core_thread(void *argument)
{
    struct kernel *kernel = argument;
    struct core *core = kernel->core;
    kernel->state = CORE_READY;
    memory_enter(kernel->sim);
    kernel->open_result = core_open(core);
    memory_leave();
    kernel->is_opened = true;
    fiber_park(stage_core(kernel->sim));
    if (kernel->open_result == 0) {
        memory_enter(kernel->sim);
        while (!kernel->is_closing) {
            core_turn(core, FOREVER_NS);
            memory_leave();
            fiber_park(stage_core(kernel->sim));
            memory_enter(kernel->sim);
        }
        core_close(core);
        memory_leave();
    }
    kernel->state = CORE_CLOSED;
    kernel->fiber = NULL;
}

static bool is_runnable(const struct kernel *kernel)
{
    if (kernel->stalled_ns > kernel->sim->now_ns)
        return false;
    return kernel->state == CORE_READY ||
           (kernel->state == CORE_WAITING &&
            (kernel->is_poked || kernel->deadline_ns <= kernel->sim->now_ns ||
             ring_is_due(kernel)));
}

static void core_run(struct sim *sim, unsigned index)
{
    struct kernel *kernel = &sim->kernels[index];
    sim->counts[SIM_COUNT_TURNS]++;
    sim->counts[SIM_COUNT_EVENTS]++;
    sim->turns_without_time++;
    trace_mix(sim, sim->now_ns * 64 + 63);
    trace_mix(sim, index);
    stage_resume(sim, kernel->fiber);
    sim->now_ns += sim->options.in_order ? 1000 : 200 + chance_below(sim, 1800);
    if (sim_chance(sim, SIM_FAULT_STALL)) {
        kernel->stalled_ns = sim->now_ns + chance_below(sim, 200000000);
        event_add(sim, kernel->stalled_ns - sim->now_ns, EVENT_RUNNABLE, index, 0);
    }
    if (sim_chance(sim, SIM_FAULT_CLOCK_JUMP))
        sim_clock_jump(sim, (int64_t)(chance_next(&sim->chance) % UINT64_C(172800000000000)) -
                                INT64_C(86400000000000));
}

static void life_end(struct sim *sim)
{
    for (unsigned i = 0; i < sim->options.engine.core_count; i++) {
        struct kernel *kernel = &sim->kernels[i];
        if (kernel->fiber != NULL)
            stage_kill(sim, kernel->fiber);
        kernel->fiber = NULL;
        if (kernel->core != NULL && kernel->state != CORE_CLOSED)
            core_abandon(kernel->core);
        kernel->core = NULL;
        kernel->state = CORE_GONE;
        ring_forget(kernel);
    }
    engine_destroy(sim->engine);
    sim->engine = NULL;
    sim->is_up = false;
    sim->crash_kind = NONE;
    sim->crash_soon = false;
    for (uint32_t i = 0; i < sim->help_count; i++)
        sim->helps[i].is_used = false;
    memory_drop();
}

int sim_start(struct sim *sim)
{
    assert(!sim->is_up);
    struct kernel *kernels[CORES_MAX] = {0};
    unsigned cores = sim->options.engine.core_count;
    for (unsigned i = 0; i < cores; i++)
        kernels[i] = &sim->kernels[i];
    if (engine_create(&sim->options.engine, kernels, &sim->engine) < 0)
        abort();
    sim->life++;
    sim->is_up = true;
    sim->turns_without_time = 0;
    sim_trace(sim, "life %u", sim->life);
    int result = 0;
    for (unsigned i = 0; i < cores; i++) {
        struct kernel *kernel = kernels[i];
        kernel->core = engine_core(sim->engine, i);
        kernel->state = CORE_GONE;
        kernel->stalled_ns = 0;
        kernel->is_poked = kernel->is_closing = kernel->is_opened = false;
        kernel->wakes = 0;
        kernel->fiber = stage_start(sim, core_thread, kernel);
        fibers_run(stage_core(sim));
        assert(kernel->is_opened);
        if (result == 0)
            result = kernel->open_result;
    }
    if (result < 0)
        sim_crash(sim, SIM_FAIL_STOP);
    return result;
}

bool sim_is_up(const struct sim *sim)
{
    return sim->is_up;
}

unsigned sim_life(const struct sim *sim)
{
    return sim->life;
}

struct core *sim_core(struct sim *sim, unsigned index)
{
    return engine_core(sim->engine, index);
}

struct engine *sim_engine(struct sim *sim)
{
    return sim->engine;
}

void sim_crash(struct sim *sim, enum sim_crash_kind kind)
{
    static const char *const names[SIM_CRASH_KINDS] = {"power cut", "kill", "fail-stop"};
    assert(sim->is_up && stage_core(sim)->running == NULL);
    sim_trace(sim, "crash %s", names[kind]);
    trace_mix(sim, kind);
    sim->counts[SIM_COUNT_CRASHES]++;
    files_crash(sim, kind);
    sockets_crash(sim, kind == SIM_POWER_CUT);
    life_end(sim);
}

void sim_crash_after(struct sim *sim, enum sim_crash_kind kind, uint64_t events)
{
    sim->crash_kind = events == 0 ? NONE : (int)kind;
    sim->crash_at = sim->counts[SIM_COUNT_EVENTS] + events;
}

void sim_crash_soon(struct sim *sim, enum sim_crash_kind kind)
{
    sim->crash_kind = (int)kind;
    sim->crash_at = 0;
    sim->crash_soon = true;
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
        if (is_runnable(&sim->kernels[i]))
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
    memory_enter(sim);
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
    memory_enter(sim);
    struct call *call = malloc(sizeof *call);
    memory_leave();
    if (call == NULL)
        return -ENOMEM;
    *call = (struct call){
        .sim = sim, .fn = fn, .argument = argument, .ret_result = ret_result, .is_forgotten = true};
    return call_start(sim, core, call);
}

/* ---------------------------------------------------------------- a good end */

static unsigned lives_busy(struct sim *sim)
{
    unsigned busy = 0;
    for (unsigned i = 0; i < sim->options.engine.core_count; i++)
        busy += core_busy(sim->kernels[i].core) + (sim->kernels[i].core->ready != NULL);
    return busy;
}

static bool is_idle(void *argument)
{
    return lives_busy(argument) == 0;
}

static bool all_closed(void *argument)
{
    struct sim *sim = argument;
    for (unsigned i = 0; i < sim->options.engine.core_count; i++)
        if (sim->kernels[i].state != CORE_CLOSED)
            return false;
    return true;
}

static void check_core(struct sim *sim, struct kernel *kernel)
{
    struct core *core = kernel->core;
    if (core_busy(core) > 0)
        sim_fail(sim, "core %u: %u operations in flight at rest", core->index, core_busy(core));
    if (core->buffers_lent > 0)
        sim_fail(sim, "core %u: %u buffers are not home", core->index, core->buffers_lent);
    if (core->counters.value[COUNTER_FIBERS_ACTIVE] > 0)
        sim_fail(sim, "core %u: %llu fibers alive", core->index,
                 (unsigned long long)core->counters.value[COUNTER_FIBERS_ACTIVE]);
    for (unsigned i = KERNEL_SLOTS_HELD; i < kernel->slot_count; i++)
        if (kernel->slots[i] != NONE)
            sim_fail(sim, "core %u: slot %u is in use", core->index, i);
}

int sim_stop(struct sim *sim)
{
    if (!sim->is_up)
        return SIM_CRASHED;
    unsigned cores = sim->options.engine.core_count;
    int result = sim_until(sim, is_idle, sim, UINT64_C(10000000000));
    if (result == SIM_CRASHED)
        return result;
    sim->crash_kind = NONE;
    for (unsigned i = 0; i < cores; i++)
        check_core(sim, &sim->kernels[i]);
    if (lives_busy(sim) > 0) {
        sim_crash(sim, SIM_FAIL_STOP);
        return SIM_STUCK;
    }
    for (unsigned i = 0; i < cores; i++) {
        sim->kernels[i].is_closing = true;
        sim->kernels[i].is_poked = true;
    }
    result = sim_until(sim, all_closed, sim, UINT64_C(10000000000));
    for (uint32_t i = 0; i < sim->descriptor_count; i++)
        if (sim->descriptors[i].kind != DESCRIPTOR_FREE &&
            sim->descriptors[i].kind != DESCRIPTOR_WAKE &&
            sim->descriptors[i].kind != DESCRIPTOR_LOCK)
            sim_fail(sim, "descriptor %u is still open", i + FD_FIRST);
    if (memory_live() > 0)
        sim_fail(sim, "%llu bytes of the life are still allocated",
                 (unsigned long long)memory_live());
    files_crash(sim, SIM_FAIL_STOP);
    sockets_crash(sim, false);
    life_end(sim);
    return result;
}

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
