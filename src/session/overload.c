/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Overload: what a core does when its means run out. Those who have logged in are served as ever;
 * strangers are given less time and fewer errors (as Postfix does under stress), and when that does
 * not help newcomers are told at once to come later.
 *
 *   means:  connections  in percent of the most that there can be
 *           stacks, receive buffers  for how long they have been short without a pause
 *
 *            80 % or 1 s              95 % or 10 s
 *   CALM ──────────────────▶ STRESSED ────────────▶ FULL      at once
 *    ◀── below 70 % ────────── ◀──── below 90 % ───           at once; to CALM LOWER_MS after the
 *                                                             last rise at the earliest
 */
#include "session_private.h"

enum {
    STRESSED_PERCENT = 80,
    STRESSED_LOW_PERCENT = 70,
    FULL_PERCENT = 95,
    FULL_LOW_PERCENT = 90,
    PAUSE_MS = 1000,          /* nothing short for so long: a shortage is over */
    SHORT_STRESSED_MS = 1000, /* a shortage that has lasted so long */
    SHORT_FULL_MS = 10000,
    LOWER_MS = 3000,
    TICK_MS = 1000,
    LOOK_MS = 20 /* between two looks at the ends of turns: a look costs as much as a reply */
};

static const char *const level_texts[] = {"calm", "stressed", "full"};
static const enum counter watched[SHORTAGES] = {COUNTER_FIBERS_REFUSED, COUNTER_RECEIVE_STARVED};

/* For how long without a pause. */
static uint64_t short_ms(struct shortage *shortage, uint64_t count, uint64_t now_ns)
{
    bool is_over = now_ns - shortage->last_ns > (uint64_t)PAUSE_MS * 1000000;
    if (count != shortage->count) {
        if (is_over)
            shortage->since_ns = now_ns;
        shortage->last_ns = now_ns;
        shortage->count = count;
        is_over = false;
    }
    return is_over ? 0 : (shortage->last_ns - shortage->since_ns) / 1000000;
}

/* Where it stands by the marks for rising; and by those for falling. */
static void measure(struct sessions *sessions, uint64_t now_ns, unsigned *ret_high,
                    unsigned *ret_low)
{
    const struct counters *counters = core_counters(sessions->core);
    uint64_t open = counters->value[COUNTER_CONNECTIONS_OPEN];
    unsigned percent = (unsigned)(open * 100 / core_connections_max(sessions->core));
    uint64_t ms = 0;
    for (unsigned i = 0; i < SHORTAGES; i++) {
        uint64_t one = short_ms(&sessions->shortages[i], counters->value[watched[i]], now_ns);
        ms = one > ms ? one : ms;
    }
    *ret_high = percent >= FULL_PERCENT || ms >= SHORT_FULL_MS           ? OVERLOAD_FULL
                : percent >= STRESSED_PERCENT || ms >= SHORT_STRESSED_MS ? OVERLOAD_STRESSED
                                                                         : OVERLOAD_CALM;
    *ret_low = percent >= FULL_LOW_PERCENT || ms >= SHORT_FULL_MS           ? OVERLOAD_FULL
               : percent >= STRESSED_LOW_PERCENT || ms >= SHORT_STRESSED_MS ? OVERLOAD_STRESSED
                                                                            : OVERLOAD_CALM;
}

static void change(struct sessions *sessions, unsigned level)
{
    struct core *core = sessions->core;
    struct event event;
    int was = sessions->overload != OVERLOAD_CALM, is = level != OVERLOAD_CALM;
    counter_add(core_counters(core), COUNTER_OVERLOADED, is - was);
    sessions->overload = (uint8_t)level;
    event_begin(&event, "overload", is ? "warning" : "info");
    event_number(&event, "core", core_index(core));
    event_text(&event, "is", slice_cstr(level_texts[level]));
    event_number(&event, "connections",
                 (int64_t)core_counters(core)->value[COUNTER_CONNECTIONS_OPEN]);
    event_number(&event, "connections_max", core_connections_max(core));
    event_number(&event, "fibers", (int64_t)core_counters(core)->value[COUNTER_FIBERS_ACTIVE]);
    event_number(&event, "buffers_lent", buffer_lent(core));
    core_log(core, &event);
}

void overload_look(struct sessions *sessions)
{
    uint64_t now = core_now_ns(sessions->core);
    unsigned high, low;
    sessions->overload_due_ns = now + (uint64_t)LOOK_MS * 1000000;
    measure(sessions, now, &high, &low);
    if (high > sessions->overload) {
        change(sessions, high);
        sessions->overload_lower_ns = now + (uint64_t)LOWER_MS * 1000000;
    } else if (low < sessions->overload) {
        if (now >= sessions->overload_lower_ns)
            change(sessions, low);
        else if (sessions->overload == OVERLOAD_FULL)
            change(sessions, OVERLOAD_STRESSED); /* there is room: nobody is sent away */
    }
    if (sessions->overload != OVERLOAD_CALM && sessions->overload_tick.previous_next == NULL)
        timer_set(sessions->core, &sessions->overload_tick, now + (uint64_t)TICK_MS * 1000000);
}

void overload_tick(struct timer *timer)
{
    overload_look((struct sessions *)((char *)timer - offsetof(struct sessions, overload_tick)));
}

bool overload_concerns(const struct session *session)
{
    const struct stream *stream = &session->stream;
    return sessions_of(session_core(session))->overload != OVERLOAD_CALM &&
           session->user.size == 0 && stream->peer_family != 1 &&
           !network_set_holds(&session->service->unlimited, stream->peer_family, stream->peer);
}

uint64_t overload_ms(const struct session *session, uint64_t ms)
{
    return ms > STRESSED_MS_MAX && overload_concerns(session) ? STRESSED_MS_MAX : ms;
}
