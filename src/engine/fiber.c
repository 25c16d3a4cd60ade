/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fibers: functions that can wait, each on a stack of its own, run by the core's turn one after the
 * other.
 *
 *            fiber_start            run queue              fiber_park
 *   FREE ───────────────▶ READY ───────────────▶ RUNNING ─────────────▶ PARKED
 *    ▲                      ▲                     │    │                   │
 *    └───────── ENDED ◀─────┼──── fn returned ────┘    │                   │
 *                           ├───── fiber_yield ────────┘                   │
 *                           └───────────────── fiber_wake ─────────────────┘
 *
 * A stack is mapped when first needed, with an inaccessible page below it, and then pooled: the
 * most recently used is taken first, and those at the bottom of the pool that went unused for
 * TRIM_NS give their memory back (madvise).
 *
 * Invariants:
 *   E3 A fiber runs on the core that started it, from start to end.
 *   F1 Switches happen only between the scheduler (fibers_run) and a fiber, never from fiber to
 * fiber. F2 unused[0 .. unused_trimmed) hold no memory; unused_low is the lowest unused_count since
 * the last trim.
 */
#include "core_private.h"

#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id)       (void)(id)
#endif

enum { GUARD_BYTES = 65536, UNUSED_KEPT = 32, TRIMS_MAX = 64 };
static const uint64_t TRIM_NS = UINT64_C(5000000000);

void fiber_switch(void **save, void *load);
void fiber_boot(void);

static size_t stack_bytes(const struct core *core)
{
    return core->engine->options.stack_bytes;
}

/* ---------------------------------------------------------------- switching */

static void leave_scheduler(struct core *core, struct fiber *fiber)
{
    (void)core, (void)fiber;
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(&core->asan_stack, fiber->mapping + GUARD_BYTES,
                                   stack_bytes(core));
#endif
#ifdef WITH_TSAN
    __tsan_switch_to_fiber(fiber->tsan_fiber, 0);
#endif
}

static void enter_scheduler(struct core *core)
{
    (void)core;
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(core->asan_stack, NULL, NULL);
#endif
}

static void leave_fiber(struct fiber *fiber)
{
    (void)fiber;
#ifdef WITH_ASAN
    struct core *core = fiber->core;
    void **keep = fiber->state == FIBER_ENDED ? NULL : &fiber->asan_stack;
    __sanitizer_start_switch_fiber(keep, core->asan_bottom, core->asan_size);
#endif
#ifdef WITH_TSAN
    __tsan_switch_to_fiber(fiber->core->tsan_scheduler, 0);
#endif
}

static void enter_fiber(struct fiber *fiber, void *asan_stack)
{
    (void)fiber, (void)asan_stack;
#ifdef WITH_ASAN
    struct core *core = fiber->core;
    __sanitizer_finish_switch_fiber(asan_stack, &core->asan_bottom, &core->asan_size);
#endif
}

static void to_scheduler(struct fiber *fiber)
{
    struct core *core = fiber->core;
    assert(core->running == fiber && "F1");
    leave_fiber(fiber);
    fiber_switch(&fiber->stack_pointer, core->scheduler_pointer);
    enter_fiber(fiber, fiber->asan_stack);
}

static void fiber_entry(struct fiber *fiber)
{
    enter_fiber(fiber, NULL);
    fiber->fn(fiber->argument);
    fiber->state = FIBER_ENDED;
    to_scheduler(fiber);
    abort();
}

/* Lays out a new stack so that fiber_switch "returns" into fiber_boot with its two registers set.
 */
static void *stack_prepare(struct fiber *fiber, char *top)
{
    void (*boot)(void) = fiber_boot;
    void (*entry)(struct fiber *) = fiber_entry;
#if defined(__x86_64__)
    void **at =
        (void **)(void *)top - 8; /* r15 r14 r13 r12 rbx rbp, return address, end of trace */
    memset(at, 0, 8 * sizeof *at);
    memcpy(&at[2], &entry, sizeof entry);
    at[3] = fiber;
    memcpy(&at[6], &boot, sizeof boot);
#else
    void **at = (void **)(void *)top - 20; /* x19 .. x30, d8 .. d15 */
    memset(at, 0, 20 * sizeof *at);
    at[0] = fiber;
    memcpy(&at[1], &entry, sizeof entry);
    memcpy(&at[11], &boot, sizeof boot);
#endif
    return at;
}

/* ---------------------------------------------------------------- the pool of stacks */

int fibers_open(struct core *core)
{
    core->ready_end = &core->ready;
    core->unused = calloc(core->engine->options.fibers_max, sizeof *core->unused);
    return core->unused ? 0 : -ENOMEM;
}

static struct fiber *fiber_make(struct core *core)
{
    if (core->fibers_made == core->engine->options.fibers_max)
        return NULL;
    struct fiber *fiber = calloc(1, sizeof *fiber);
    if (fiber == NULL)
        return NULL;
    size_t size = GUARD_BYTES + stack_bytes(core);
    fiber->mapping =
        mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fiber->mapping == MAP_FAILED) {
        free(fiber);
        return NULL;
    }
    char *stack = fiber->mapping + GUARD_BYTES;
    if (mprotect(stack, stack_bytes(core), PROT_READ | PROT_WRITE) < 0) {
        munmap(fiber->mapping, size);
        free(fiber);
        return NULL;
    }
    fiber->core = core;
    fiber->valgrind_id = VALGRIND_STACK_REGISTER(stack, stack + stack_bytes(core));
#ifdef WITH_TSAN
    fiber->tsan_fiber = __tsan_create_fiber(0);
#endif
    fiber->all_next = core->fibers;
    core->fibers = fiber;
    core->fibers_made++;
    return fiber;
}

void fibers_close(struct core *core)
{
    while (core->fibers != NULL) {
        struct fiber *fiber = core->fibers;
        core->fibers = fiber->all_next;
#ifdef WITH_TSAN
        __tsan_destroy_fiber(fiber->tsan_fiber);
#endif
#ifdef WITH_ASAN
        __asan_unpoison_memory_region(fiber->mapping + GUARD_BYTES, stack_bytes(core));
#endif
        VALGRIND_STACK_DEREGISTER(fiber->valgrind_id);
        munmap(fiber->mapping, GUARD_BYTES + stack_bytes(core));
        free(fiber);
    }
    free(core->unused);
    core->unused = NULL;
}

static struct fiber *fiber_take(struct core *core)
{
    if (core->unused_count == 0)
        return fiber_make(core);
    struct fiber *fiber = core->unused[--core->unused_count];
    if (core->unused_low > core->unused_count)
        core->unused_low = core->unused_count;
    if (core->unused_trimmed > core->unused_count)
        core->unused_trimmed = core->unused_count;
    return fiber;
}

static void fiber_recycle(struct core *core, struct fiber *fiber)
{
    fiber->state = FIBER_FREE;
    counter_add(&core->counters, COUNTER_FIBERS_ACTIVE, -1);
    core->unused[core->unused_count++] = fiber;
}

void fibers_trim(struct core *core)
{
    if (core->now_ns < core->trim_ns)
        return;
    core->trim_ns = core->now_ns + TRIM_NS;
    unsigned target = core->unused_low > UNUSED_KEPT ? core->unused_low - UNUSED_KEPT : 0;
    for (unsigned i = 0; core->unused_trimmed < target; i++) {
        if (i == TRIMS_MAX) {
            core->trim_ns = core->now_ns; /* the rest in the next turns */
            return;
        }
        struct fiber *fiber = core->unused[core->unused_trimmed++];
        madvise(fiber->mapping + GUARD_BYTES, stack_bytes(core), MADV_DONTNEED);
    }
    core->unused_low = core->unused_count;
}

/* ---------------------------------------------------------------- start, park, wake, run */

static void make_ready(struct core *core, struct fiber *fiber)
{
    fiber->state = FIBER_READY;
    fiber->next = NULL;
    *core->ready_end = fiber;
    core->ready_end = &fiber->next;
}

int fiber_start(struct core *core, void (*fn)(void *argument), void *argument)
{
    struct fiber *fiber = fiber_take(core);
    if (fiber == NULL) {
        counter_add(&core->counters, COUNTER_FIBERS_REFUSED, 1);
        return -EAGAIN;
    }
    fiber->fn = fn;
    fiber->argument = argument;
    char *top = fiber->mapping + GUARD_BYTES + stack_bytes(core);
    fiber->stack_pointer = stack_prepare(fiber, top);
    counter_add(&core->counters, COUNTER_FIBERS_ACTIVE, 1);
    make_ready(core, fiber);
    return 0;
}

struct fiber *fiber_current(struct core *core)
{
    return core->running;
}

void fiber_park(struct core *core)
{
    struct fiber *fiber = core->running;
    assert(fiber != NULL && "fiber_park is for fibers");
    fiber->state = FIBER_PARKED;
    to_scheduler(fiber);
}

void fiber_wake(struct core *core, struct fiber *fiber)
{
    assert(fiber->core == core && "E3");
    assert(fiber->state == FIBER_PARKED && "fiber_wake: not parked, or woken twice");
    make_ready(core, fiber);
}

void fiber_yield(struct core *core)
{
    struct fiber *fiber = core->running;
    assert(fiber != NULL && "fiber_yield is for fibers");
    if (core->yielded == NULL)
        core->yielded = fiber;
    make_ready(core, fiber);
    to_scheduler(fiber);
}

unsigned fibers_run(struct core *core)
{
    unsigned resumes = 0;
#ifdef WITH_TSAN
    core->tsan_scheduler = __tsan_get_current_fiber();
#endif
    core->yielded = NULL;
    while (core->ready != NULL && core->ready != core->yielded && resumes < FIBER_RESUMES_MAX) {
        struct fiber *fiber = core->ready;
        core->ready = fiber->next;
        if (core->ready == NULL)
            core->ready_end = &core->ready;
        fiber->state = FIBER_RUNNING;
        core->running = fiber;
        leave_scheduler(core, fiber);
        fiber_switch(&core->scheduler_pointer, fiber->stack_pointer);
        enter_scheduler(core);
        core->running = NULL;
        if (fiber->state == FIBER_ENDED)
            fiber_recycle(core, fiber);
        resumes++;
    }
    return resumes;
}
