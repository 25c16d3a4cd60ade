/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The turn of a core (the picture is in core.h), and the small things that a core keeps: its clock,
 * hooks, locals and the log lines on their way out.
 *
 * Invariant: everything that could make work without a completion is asked in core_next_ns before
 * the ring may sleep.
 */
#include "core_private.h"

#include <stdlib.h>

int core_open(struct core *core)
{
    core->hooks_end = &core->hooks;
    core->now_ns = kernel_monotonic_ns(core->kernel);
    core->wheel.tick = core->now_ns / 8000000;
    core->log = malloc(LOG_BUFFER_BYTES);
    if (core->log == NULL)
        return -ENOMEM;
    int result = fibers_open(core);
    if (result < 0)
        return result;
    result = ring_open(core);
    if (result < 0)
        return result;
    return buffers_open(core);
}

static void core_free(struct core *core)
{
    buffers_close(core);
    fibers_close(core);
    free(core->backlog);
    free(core->log);
    core->backlog = NULL;
    core->log = NULL;
}

void core_close(struct core *core)
{
    if (core->is_open)
        ring_close(core);
    core_free(core);
}

void core_abandon(struct core *core)
{
    if (core->is_open)
        kernel_ring_close(core->kernel, &core->ring);
    core->is_open = false;
    core_free(core);
}

uint64_t core_next_ns(const struct core *core)
{
    if (core->again || core->ready != NULL || ring_has_completions(core) ||
        (core->starved != NULL && core->buffers_lent < core->buffer_count) ||
        atomic_load(&core->inbox) != NULL)
        return 0;
    uint64_t timers = timers_next_ns(core);
    return core->alarm.due_ns < timers ? core->alarm.due_ns : timers;
}

unsigned core_busy(const struct core *core)
{
    return core->in_flight - (op_busy(&core->wake_op) ? 1 : 0);
}

/* How long the ring may wait; `sleeping` is set when that is not 0. */
static uint64_t may_wait_ns(struct core *core, uint64_t wait_ns)
{
    if (wait_ns == 0)
        return 0;
    atomic_store(&core->sleeping, true);
    uint64_t next = core_next_ns(core), now = kernel_monotonic_ns(core->kernel);
    if (next <= now) {
        atomic_store(&core->sleeping, false);
        return 0;
    }
    return next - now < wait_ns ? next - now : wait_ns;
}

static void log_flush(struct core *core)
{
    if (core->log_size == 0)
        return;
    int written = kernel_log_write(core->kernel, core->log, core->log_size);
    if (written <= 0)
        return;
    core->log_size -= (size_t)written;
    memmove(core->log, core->log + written, core->log_size);
}

/* Odd while the turn runs, for whom watches over the cores (engine.c). */
static void turn_count(struct core *core)
{
    uint64_t turn = atomic_load_explicit(&core->turn, memory_order_relaxed);
    atomic_store_explicit(&core->turn, turn + 1, memory_order_relaxed);
}

static unsigned alarm_fire(struct core *core)
{
    if (core->now_ns < core->alarm.due_ns)
        return 0;
    core->alarm.due_ns = UINT64_MAX;
    core->alarm.fire(core->alarm.argument);
    return 1;
}

bool core_turn(struct core *core, uint64_t wait_ns)
{
    uint64_t may_wait = may_wait_ns(core, wait_ns);
    ring_enter(core, may_wait);
    if (may_wait > 0)
        atomic_store(&core->sleeping, false);
    core->again = false;
    core->now_ns = kernel_monotonic_ns(core->kernel);
    turn_count(core);

    unsigned done = ring_complete(core);
    done += messages_handle(core);
    done += timers_fire(core);
    done += alarm_fire(core);
    done += fibers_run(core);
    buffers_rearm(core);
    core->in_hooks = true;
    for (struct hook *hook = core->hooks; hook != NULL; hook = hook->next)
        hook->run(hook);
    core->in_hooks = false;
    log_flush(core);
    fibers_trim(core);
    turn_count(core);
    return done > 0;
}

/* ---------------------------------------------------------------- what a core keeps */

unsigned core_index(const struct core *core)
{
    return core->index;
}

unsigned core_slots_max(const struct core *core)
{
    return core->engine->options.connections_max + KERNEL_SLOTS_SPARE;
}

unsigned core_connections_max(const struct core *core)
{
    return core->connections_max;
}

unsigned core_fibers_max(const struct core *core)
{
    return core->engine->options.fibers_max;
}

unsigned core_count(const struct core *core)
{
    return core->engine->options.core_count;
}

struct core *core_peer(struct core *core, unsigned index)
{
    return engine_core(core->engine, index);
}

uint64_t core_now_ns(const struct core *core)
{
    return core->now_ns;
}

int64_t core_wall_ns(struct core *core)
{
    return kernel_wall_ns(core->kernel);
}

void core_random(struct core *core, void *data, size_t size)
{
    kernel_random(core->kernel, data, size);
}

struct counters *core_counters(struct core *core)
{
    return &core->counters;
}

struct kernel *core_kernel(struct core *core)
{
    return core->kernel;
}

void core_local_set(struct core *core, enum core_local which, void *value)
{
    core->locals[which] = value;
}

void *core_local(const struct core *core, enum core_local which)
{
    return core->locals[which];
}

void core_alarm(struct core *core, uint64_t due_ns, void (*fire)(void *argument), void *argument)
{
    assert(fire != NULL || due_ns == UINT64_MAX);
    core->alarm.due_ns = due_ns;
    core->alarm.fire = fire;
    core->alarm.argument = argument;
}

void core_hook_add(struct core *core, struct hook *hook)
{
    hook->next = NULL;
    *core->hooks_end = hook;
    core->hooks_end = &hook->next;
}

void core_again(struct core *core)
{
    core->again = core->again || core->in_hooks;
}

void core_hook_remove(struct core *core, struct hook *hook)
{
    struct hook **at = &core->hooks;
    while (*at != hook) {
        assert(*at != NULL && "this hook was never added");
        at = &(*at)->next;
    }
    *at = hook->next;
    if (core->hooks_end == &hook->next)
        core->hooks_end = at;
}

int core_hold_fd(struct core *core, int fd)
{
    if (core->held_count == KERNEL_SLOTS_HELD)
        return -ENFILE;
    int result = kernel_slot_register(core->kernel, &core->ring, core->held_count, fd);
    if (result == 0)
        core->held_count++;
    return result;
}

void core_log(struct core *core, struct event *event)
{
    struct slice line = event_end(event, kernel_wall_ns(core->kernel));
    if (core->log == NULL || line.size > LOG_BUFFER_BYTES - core->log_size) {
        counter_add(&core->counters, COUNTER_LOG_LINES_DROPPED, 1);
        return;
    }
    memcpy(core->log + core->log_size, line.data, line.size);
    core->log_size += line.size;
}
