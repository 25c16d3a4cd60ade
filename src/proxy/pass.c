/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session that is passed through, from the join to its end.
 *
 *   OPEN ─ client closed ─▶ LEFT: what it sent is handed on; the backend's answers for farewell_ms
 *     │                        └─ silence, or the backend closes ─▶ ended
 *     ├─ backend closed, after a goodbye ─▶ ended
 *     ├─ backend closed without one, or broke ─▶ few: ended; many: ENDING, spread
 *     ├─ backend taken down, or dead by its checks and silent ─▶ ENDING, spread; passes till then
 *     │                        └─ alive again ─▶ OPEN
 *     └─ drain, kick, silence, stall ─▶ ended
 *
 * Spreading: clients connect again at once. When a backend dies with all its sessions, the others
 * would have to log all of them in in one moment; so after the first few of a core the clients
 * learn of it one every LOSS_STEP_MS, and those for whom spread_ms would not do, at random within
 * it. Thus whatever their number they are even over the time that it takes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "proxy_private.h"

/* ---------------------------------------------------------------- what passes */

static void leave(struct proxied *proxied);

static void passes(struct stream *from, struct slice bytes)
{
    struct counters *counters = core_counters(from->core);
    bool is_client = from->owner == proxy_of(from->core)->client_owner;
    struct proxied *proxied =
        is_client ? ((struct session *)from)->joint_owner : ((struct backend_link *)from)->owner;
    if (proxied == NULL)
        return;
    if (is_client) {
        proxied->up_bytes += bytes.size;
        counter_add(counters, COUNTER_PROXY_BYTES_UP, (int64_t)bytes.size);
        follow_up(&proxied->follow, bytes);
        if (proxied->follow.has_left)
            leave(proxied);
    } else {
        proxied->down_bytes += bytes.size;
        counter_add(counters, COUNTER_PROXY_BYTES_DOWN, (int64_t)bytes.size);
        follow_down(&proxied->follow, bytes);
    }
}

static const struct stream_observer observer = {.passes = passes};

/* ---------------------------------------------------------------- ending, by and by */

static struct core *core_of(const struct proxied *proxied)
{
    return session_core(proxied->session);
}

/* A backend that was taken for dead is alive again, in time for this session. */
static bool goes_on(const struct proxied *proxied)
{
    return proxied->phase == PROXIED_ENDING && proxied->end_as == SESSION_END_BACKEND_DEAD &&
           proxied->link->stream.end == 0 && proxied->link->stream.output_error == 0 &&
           backend_dead_ns(proxied->backend) == 0;
}

static void timer_fired(struct timer *timer)
{
    struct proxied *proxied = (struct proxied *)((char *)timer - offsetof(struct proxied, timer));
    const struct proxy_options *options = proxy_options_of(proxied->session);
    uint64_t now_ns = core_now_ns(core_of(proxied));
    if (proxied->phase == PROXIED_LEFT && proxied->link != NULL &&
        proxied->session->stream.output_error == 0 && ++proxied->farewells < FAREWELLS_MAX) {
        uint64_t due_ns = stream_heard_ns(&proxied->link->stream) + options->farewell_ms * 1000000;
        if (due_ns > now_ns) {
            timer_set(core_of(proxied), &proxied->timer, due_ns);
            return;
        }
    }
    if (goes_on(proxied))
        proxied->phase = PROXIED_OPEN;
    else
        session_end(proxied->session, (enum session_end)proxied->end_as);
}

static void end_at(struct proxied *proxied, enum proxied_phase phase, enum session_end end,
                   uint64_t ms)
{
    struct core *core = core_of(proxied);
    proxied->phase = (uint8_t)phase;
    proxied->end_as = (uint8_t)end;
    if (ms == 0)
        session_end(proxied->session, end);
    else
        timer_set(core, &proxied->timer, core_now_ns(core) + ms * 1000000);
}

/* The next log-in would be the backend's alone: past our penalties, counts and log line. The stream
 * must not be closed just now, but before anything more comes. */
static void leave(struct proxied *proxied)
{
    if (proxied->link == NULL || proxied->link->stream.end != 0)
        return;
    proxied->phase = PROXIED_ENDING;
    proxied->end_as = SESSION_END_LOGGED_OUT;
    timer_set(core_of(proxied), &proxied->timer, core_now_ns(core_of(proxied)));
}

void proxied_end_within(struct proxied *proxied, enum session_end end, uint64_t ms)
{
    uint64_t chance;
    core_random(core_of(proxied), &chance, sizeof chance);
    end_at(proxied, PROXIED_ENDING, end, ms == 0 ? 0 : chance % ms);
}

/* ---------------------------------------------------------------- a backend that is gone */

/* How long the client is not told of it yet: a core's losses of one backend come in steps, from
 * when they began. */
static uint64_t wait_ms(struct proxied *proxied)
{
    struct core *core = core_of(proxied);
    struct proxy *proxy = proxy_of(core);
    uint64_t now_ns = core_now_ns(core), chance;
    uint64_t spread_ms = proxy_options_of(proxied->session)->spread_ms;
    struct loss *oldest = &proxy->losses[0], *found = NULL;
    for (unsigned i = 0; i < LOSSES_KEPT && found == NULL; i++) {
        if (proxy->losses[i].backend == proxied->backend)
            found = &proxy->losses[i];
        if (proxy->losses[i].last_ns < oldest->last_ns)
            oldest = &proxy->losses[i];
    }
    if (found == NULL || now_ns - found->begin_ns > spread_ms * 1000000) {
        found = found != NULL ? found : oldest;
        *found = (struct loss){.backend = proxied->backend, .begin_ns = now_ns};
    }
    found->last_ns = now_ns;
    if (++found->count <= LOSSES_FREE || spread_ms == 0)
        return 0;
    core_random(core, &chance, sizeof chance);
    uint64_t due_ms = (uint64_t)(found->count - LOSSES_FREE) * LOSS_STEP_MS;
    uint64_t gone_ms = (now_ns - found->begin_ns) / 1000000;
    if (due_ms > spread_ms)
        return chance % spread_ms;
    return due_ms > gone_ms ? due_ms - gone_ms : 0;
}

void proxied_lost(struct proxied *proxied, bool is_broken)
{
    bool is_told = proxied->follow.has_bye; /* by the backend, and passed on */
    bool is_told_by_us = !is_told && follow_is_between_lines(&proxied->follow);
    uint64_t ms = wait_ms(proxied);
    struct backend_link *link = proxied->link;
    if (is_broken || ms > 0)
        backend_link_lost(link);
    /* The client's stream is joined with nothing now: what it says is dropped. */
    proxied->link = NULL;
    link->owner = NULL;
    backend_link_close(link);
    if (ms > 0)
        counter_add(core_counters(core_of(proxied)), COUNTER_PROXY_SPREAD, 1);
    bool is_lost = !is_told && (is_broken || ms > 0 || is_told_by_us);
    end_at(proxied, PROXIED_ENDING, is_lost ? SESSION_END_BACKEND_LOST : SESSION_END_BACKEND_CLOSED,
           ms);
}

/* backend_link.input */
void proxied_backend_ended(struct backend_link *link)
{
    struct proxied *proxied = link->owner;
    const struct stream *stream = &link->stream;
    if (proxied == NULL || proxied->session->end != SESSION_END_NONE ||
        (stream->end == 0 && stream->output_error == 0))
        return;
    if (proxied->phase == PROXIED_LEFT)
        session_end(proxied->session, SESSION_END_CLOSED);
    else if (proxied->phase == PROXIED_ENDING)
        return;
    else if (proxied->follow.has_quit)
        session_end(proxied->session, SESSION_END_BACKEND_CLOSED);
    else
        proxied_lost(proxied, stream->end != -EPIPE);
}

/* ---------------------------------------------------------------- the joint */

static void client_ended(struct session *session, struct stream *stream)
{
    struct proxied *proxied = session->joint_owner;
    if (stream->output_error == -ETIMEDOUT) {
        session_end(session, SESSION_END_READER_SLOW);
        return;
    }
    if (stream->output_error != 0 || (stream->end != -EPIPE && stream->end != -ECANCELED)) {
        session_end(session, stream->end == -EPIPE ? SESSION_END_CLOSED : SESSION_END_RESET);
        return;
    }
    if (stream->end == -ECANCELED)
        session_end(session, SESSION_END_DRAIN);
    else if (proxied->phase == PROXIED_LEFT)
        return;
    else if (proxied->link == NULL || proxied->follow.idle == FOLLOW_IDLE)
        session_end(session, SESSION_END_CLOSED);
    else
        end_at(proxied, PROXIED_LEFT, SESSION_END_CLOSED, proxy_options_of(session)->farewell_ms);
}

static bool may_speak(const struct session *session)
{
    const struct proxied *proxied = session->joint_owner;
    return !proxied->follow.has_quit && follow_is_between_lines(&proxied->follow) &&
           stream_is_at_rest(&session->stream);
}

static void log_fields(const struct session *session, struct event *event)
{
    const struct proxied *proxied = session->joint_owner;
    event_text(event, "pool", backend_pool_name(proxied->backend));
    event_text(event, "backend", backend_name(proxied->backend));
    if (proxied->path != NULL)
        event_text(event, "path", slice_cstr(proxied->path));
    event_number(event, "bytes_to_backend", (int64_t)proxied->up_bytes);
    event_number(event, "bytes_from_backend", (int64_t)proxied->down_bytes);
}

static void leave_list(struct proxied *proxied)
{
    struct proxy *proxy = proxy_of(core_of(proxied));
    if (proxied->previous_next == NULL)
        return;
    if (proxy->cursor == proxied)
        proxy->cursor = proxied->next;
    *proxied->previous_next = proxied->next;
    if (proxied->next != NULL)
        proxied->next->previous_next = proxied->previous_next;
    proxy->count--;
    counter_add(core_counters(proxy->core), COUNTER_PROXY_SESSIONS, -1);
}

void proxied_free(struct proxied *proxied)
{
    leave_list(proxied);
    timer_clear(core_of(proxied), &proxied->timer);
    if (proxied->link != NULL) {
        proxied->link->owner = NULL;
        backend_link_close(proxied->link);
    }
    free(proxied->path);
    free(proxied);
}

static void closed(struct session *session)
{
    struct proxied *proxied = session->joint_owner;
    session->joint_owner = NULL;
    proxied_free(proxied);
}

const struct session_joint proxy_joint = {
    .observer = &observer,
    .ended = client_ended,
    .may_speak = may_speak,
    .log = log_fields,
    .closed = closed,
};

void proxy_join(struct session *session)
{
    struct proxied *proxied = session->joint_owner;
    struct proxy *proxy = proxy_of(session_core(session));
    assert(session->joint == &proxy_joint && proxied->phase == PROXIED_MADE);
    proxied->phase = PROXIED_OPEN;
    proxied->joined_ns = core_now_ns(proxy->core);
    proxied->next = proxy->list;
    proxied->previous_next = &proxy->list;
    if (proxied->next != NULL)
        proxied->next->previous_next = &proxied->next;
    proxy->list = proxied;
    proxy->count++;
    proxied->timer.fire = timer_fired;
    counter_add(core_counters(proxy->core), COUNTER_PROXY_SESSIONS, 1);
    sweep_begin(proxy, proxy_options_of(session));
}
