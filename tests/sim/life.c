/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Lives of the program under test. Every core is a fiber on a stage (a core of the same engine that
 * has no ring): it opens, runs one turn after the other, and gives way between them and where it
 * would sleep in the kernel. A crash never resumes it.
 *
 *   sim_start ─▶ READY ──turn──▶ READY ──enter sleeps──▶ WAITING ──due, poked, late──▶ READY
 *                  │ sim_crash: GONE                        sim_stop: core_close ─▶ CLOSED
 */
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

enum { STAGE_FIBERS = 1024, STAGE_STACK_BYTES = 262144 };

/* ---------------------------------------------------------------- the stage */

static struct engine *spare_stage; /* one is kept between worlds: stacks are costly */

struct engine *stage_make(void)
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

/* Kept for the next world, or freed. */
void stage_leave(struct engine *stage)
{
    if (spare_stage == NULL) {
        spare_stage = stage;
        return;
    }
    fibers_close(stage->cores[0]);
    engine_destroy(stage);
}

/* ---------------------------------------------------------------- an assertion fails */

_Noreturn void __real___assert_fail(const char *text, const char *file, unsigned line,
                                    const char *function);
_Noreturn void __wrap___assert_fail(const char *text, const char *file, unsigned line,
                                    const char *function);

/* The stack it happened on, a fiber's of the program, is left as it is: nobody comes back. */
void __wrap___assert_fail(const char *text, const char *file, unsigned line, const char *function)
{
    struct sim *sim = memory_owner();
    if (sim == NULL || !sim->may_abort || fiber_current(stage_core(sim)) == NULL ||
        !(sim->planned.has_failed || sim->fault_counts[SIM_FAULT_NO_MEMORY] > 0))
        __real___assert_fail(text, file, line, function);
    memory_leave();
    snprintf(sim->abort_text, sizeof sim->abort_text, "%s:%u: %s", file, line, text);
    sim_trace(sim, "aborted: %s", sim->abort_text);
    sim_crash_soon(sim, SIM_FAIL_STOP);
    fiber_park(stage_core(sim));
    abort();
}

void sim_abort_is_crash(struct sim *sim, bool allowed)
{
    sim->may_abort = allowed;
}

const char *sim_aborted(const struct sim *sim)
{
    return sim->abort_text[0] == '\0' ? NULL : sim->abort_text;
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

bool core_is_runnable(const struct kernel *kernel)
{
    if (kernel->stalled_ns > kernel->sim->now_ns)
        return false;
    return kernel->state == CORE_READY ||
           (kernel->state == CORE_WAITING &&
            (kernel->is_poked || kernel->deadline_ns <= kernel->sim->now_ns ||
             ring_is_due(kernel)));
}

void core_run(struct sim *sim, unsigned index)
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
        assert(kernel->is_opened || sim->crash_soon);
        if (result == 0)
            result = sim->crash_soon ? -ECANCELED : kernel->open_result;
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
    if (buffer_lent(core) > 0)
        sim_fail(sim, "core %u: %u buffers are not home", core->index, buffer_lent(core));
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
