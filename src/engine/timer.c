/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The timer wheel: four levels of 64 slots. A tick is 8 ms; level 0 holds the next 64 ticks, a slot
 * of level n covers 64^n ticks and is dealt out to the lower levels when its first tick comes.
 * Setting and clearing take constant time.
 *
 *   level 0: 0.5 s   level 1: 33 s   level 2: 35 min   level 3: 37 h (later ones wait there and are
 * dealt out again)
 *
 * Invariants:
 *   1. A timer hangs in a slot that is dealt out or fired at or before its due tick, and after
 * `tick`.
 *   2. A timer never fires early: its tick is its due time rounded up.
 */
#include "core_private.h"

enum { TICK_NS = 8000000, SLOT_BITS = 6, SLOT_MASK = WHEEL_SLOTS - 1 };

/* `earliest` is the tick after the last fired one. */
static void hang(struct wheel *wheel, struct timer *timer, uint64_t earliest)
{
    uint64_t due = timer->due_ns / TICK_NS + (timer->due_ns % TICK_NS != 0);
    if (due < earliest)
        due = earliest;
    const uint64_t span_max = (UINT64_C(1) << (SLOT_BITS * WHEEL_LEVELS)) - 1;
    if (due - wheel->tick > span_max)
        due = wheel->tick + span_max;
    unsigned level = 0;
    while ((due - wheel->tick) >> (SLOT_BITS * (level + 1)) != 0)
        level++;
    unsigned slot = (unsigned)(due >> (SLOT_BITS * level)) & SLOT_MASK;
    struct timer **head = &wheel->slots[level][slot];
    timer->next = *head;
    timer->previous_next = head;
    if (timer->next != NULL)
        timer->next->previous_next = &timer->next;
    *head = timer;
    wheel->occupied[level] |= UINT64_C(1) << slot;
}

static void unhang(struct timer *timer)
{
    *timer->previous_next = timer->next;
    if (timer->next != NULL)
        timer->next->previous_next = timer->previous_next;
    timer->next = NULL;
    timer->previous_next = NULL;
}

void timer_set(struct core *core, struct timer *timer, uint64_t due_ns)
{
    assert(timer->fire != NULL);
    timer_clear(core, timer);
    timer->due_ns = due_ns;
    hang(&core->wheel, timer, core->wheel.tick + 1);
    core->wheel.count++;
}

void timer_clear(struct core *core, struct timer *timer)
{
    if (timer->previous_next == NULL)
        return;
    unhang(timer);
    core->wheel.count--;
}

/* Deals the slots whose first tick is wheel->tick out to the lower levels, highest level first. */
static void deal_out(struct wheel *wheel)
{
    unsigned level = 1;
    while (level < WHEEL_LEVELS - 1 && ((wheel->tick >> (SLOT_BITS * level)) & SLOT_MASK) == 0)
        level++;
    for (; level > 0; level--) {
        unsigned slot = (unsigned)(wheel->tick >> (SLOT_BITS * level)) & SLOT_MASK;
        struct timer *list = wheel->slots[level][slot];
        wheel->slots[level][slot] = NULL;
        wheel->occupied[level] &= ~(UINT64_C(1) << slot);
        while (list != NULL) {
            struct timer *timer = list;
            list = timer->next;
            hang(wheel, timer, wheel->tick); /* this very tick has not fired yet */
        }
    }
}

unsigned timers_fire(struct core *core)
{
    struct wheel *wheel = &core->wheel;
    uint64_t now = core->now_ns / TICK_NS;
    unsigned fired = 0;
    while (wheel->tick < now) {
        if (wheel->count == 0) {
            wheel->tick = now;
            break;
        }
        if (wheel->occupied[0] == 0) { /* nothing before the next slot of level 1 begins */
            uint64_t last = wheel->tick | SLOT_MASK;
            wheel->tick = last < now ? last : now;
            if (wheel->tick == now)
                break;
        }
        wheel->tick++;
        unsigned slot = (unsigned)wheel->tick & SLOT_MASK;
        if (slot == 0)
            deal_out(wheel);
        wheel->occupied[0] &= ~(UINT64_C(1) << slot);
        while (wheel->slots[0][slot] != NULL) {
            struct timer *timer = wheel->slots[0][slot];
            unhang(timer);
            wheel->count--;
            fired++;
            timer->fire(timer);
        }
    }
    return fired;
}

uint64_t timers_next_ns(const struct core *core)
{
    const struct wheel *wheel = &core->wheel;
    uint64_t next = UINT64_MAX;
    if (wheel->count == 0)
        return next;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        if (wheel->occupied[level] == 0)
            continue;
        uint64_t at = (wheel->tick >> (SLOT_BITS * level)) + 1;
        unsigned turn = (unsigned)at & SLOT_MASK;
        uint64_t bits = wheel->occupied[level];
        bits = turn ? bits >> turn | bits << (WHEEL_SLOTS - turn) : bits;
        uint64_t tick = (at + (unsigned)__builtin_ctzll(bits)) << (SLOT_BITS * level);
        if (tick < next)
            next = tick;
    }
    return next == UINT64_MAX ? next : next * TICK_NS;
}
