/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What fibers wait for, built on park and wake: time, conditions, locks. A waiter lies on the
 * waiting fiber's stack.
 *
 * Invariant: a waiter is in its list, or has been woken (`list` NULL), never both; so no fiber is
 * woken twice.
 */
#include "core_private.h"

struct waiter {
    struct waiter *next, *previous;
    struct waiters *list; /* NULL once woken */
    struct core *core;
    struct fiber *fiber;
    struct timer timer;
    bool timed_out;
};

static void waiter_remove(struct waiter *waiter)
{
    struct waiters *list = waiter->list;
    if (waiter->previous != NULL)
        waiter->previous->next = waiter->next;
    else
        list->first = waiter->next;
    if (waiter->next != NULL)
        waiter->next->previous = waiter->previous;
    else
        list->last = waiter->previous;
    waiter->list = NULL;
}

static void waiter_late(struct timer *timer)
{
    struct waiter *waiter = (struct waiter *)((char *)timer - offsetof(struct waiter, timer));
    waiter_remove(waiter);
    waiter->timed_out = true;
    fiber_wake(waiter->core, waiter->fiber);
}

int waiters_wait(struct core *core, struct waiters *waiters, uint64_t deadline_ns)
{
    struct waiter waiter = {
        .previous = waiters->last,
        .list = waiters,
        .core = core,
        .fiber = fiber_current(core),
        .timer.fire = waiter_late,
    };
    if (waiters->last != NULL)
        waiters->last->next = &waiter;
    else
        waiters->first = &waiter;
    waiters->last = &waiter;
    if (deadline_ns != 0)
        timer_set(core, &waiter.timer, deadline_ns);
    fiber_park(core);
    return waiter.timed_out ? -ETIMEDOUT : 0;
}

void waiters_wake_one(struct core *core, struct waiters *waiters)
{
    struct waiter *waiter = waiters->first;
    if (waiter == NULL)
        return;
    waiter_remove(waiter);
    timer_clear(core, &waiter->timer);
    fiber_wake(core, waiter->fiber);
}

void waiters_wake_all(struct core *core, struct waiters *waiters)
{
    while (waiters->first != NULL)
        waiters_wake_one(core, waiters);
}

/* The lock is handed over held, so that none can slip in before the one who waited longest. */
void fiber_lock_take(struct core *core, struct fiber_lock *lock)
{
    if (lock->held)
        waiters_wait(core, &lock->waiters, 0);
    else
        lock->held = true;
}

void fiber_lock_give(struct core *core, struct fiber_lock *lock)
{
    assert(lock->held);
    if (lock->waiters.first != NULL)
        waiters_wake_one(core, &lock->waiters);
    else
        lock->held = false;
}

struct sleeper {
    struct timer timer;
    struct core *core;
    struct fiber *fiber;
};

static void sleeper_wake(struct timer *timer)
{
    struct sleeper *sleeper = (struct sleeper *)timer;
    fiber_wake(sleeper->core, sleeper->fiber);
}

void fiber_sleep(struct core *core, uint64_t ns)
{
    struct sleeper sleeper = {
        .timer.fire = sleeper_wake, .core = core, .fiber = fiber_current(core)};
    timer_set(core, &sleeper.timer, core->now_ns + ns);
    fiber_park(core);
}
