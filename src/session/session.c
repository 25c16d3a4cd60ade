/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The loop of a session: when it gets a fiber, what the fiber does, and what is left when there is
 * nothing to do.
 *
 *   input, deadline, wake, drain ─▶ session_schedule ─▶ queue ─▶ fiber: moved? woken? ending?
 *        ▲                                                        draining? a line? else idle
 *        └───────────────── idle: no fiber, empty arena ◀───────────────┘
 *
 * Sessions wait in one queue for stacks. Whoever has one takes the next session when its own goes
 * idle, so a lack of stacks delays commands and refuses none; the end of each turn tries again to
 * start a fiber for the first in the queue, in case every stack is held by others.
 *
 * Invariants:
 *   P1, P3 of session.h, and
 *   Q1 RUNNING is set exactly while the session is in the queue or a fiber is at work on it.
 *   Q3 In a TLS handshake no fiber is held and no reading call made.
 *   Q2 A session is freed when it is FINISHED and RELEASED, not RUNNING; nobody touches it while
 *      MOVING.
 */
#include <stdlib.h>

#include "session_private.h"

static const uint64_t MS_MAX = UINT64_C(1) << 40; /* 34 years: never */

/* ---------------------------------------------------------------- deadlines */

static uint64_t due_after(uint64_t from_ns, uint64_t ms)
{
    return from_ns + (ms < MS_MAX ? ms : MS_MAX) * 1000000;
}

/* Now + ms, but no later than the log-in is due. */
static void set_due(struct session *session, uint64_t ms)
{
    uint64_t due = due_after(core_now_ns(session_core(session)), ms);
    if (!(session->private_bits & LOGGED_IN)) {
        uint64_t login_due = due_after(session->began_ns, session->service->login_ms_max);
        if (login_due < due)
            due = login_due;
    }
    if (session->stream.deadline.due_ns != due)
        stream_deadline(&session->stream, due);
}

/* What was waited for before an overload keeps the time that it had. */
void session_due(struct session *session, uint64_t ms)
{
    set_due(session, overload_ms(session, ms));
}

/* Work that has been accepted, overload or not. */
void session_deadline(struct session *session, uint64_t ms)
{
    set_due(session, ms);
}

/* P3: from a command's first byte on. */
void session_begin_command(struct session *session)
{
    if (session->private_bits & BEGUN)
        return;
    session->private_bits |= BEGUN;
    session_due(session, session->service->command_ms_max);
}

/* ---------------------------------------------------------------- the fiber */

static void free_session(struct session *session)
{
    struct sessions *sessions = sessions_of(session_core(session));
    assert(!(session->private_bits & (RUNNING | LISTED | COUNTED | USER_COUNTED)) && "Q2");
    sessions->count--;
    assert(session->joint == NULL && "closed was called");
    generation_leave(session->service->generation);
    arena_reset(&session->arena);
    session_login_forget(session);
    free((void *)(uintptr_t)session->user.data);
    free(session);
}

/* No command of any of our protocols begins with a control byte or one above ASCII: TLS does. An
 * empty line may stand first (RFC 1939 clients, telnet). */
static void look_at_first(struct session *session)
{
    struct slice bytes;
    session->private_bits |= FIRST_SEEN;
    if (stream_peek(&session->stream, &bytes) < 0)
        return; /* reading the command will tell */
    unsigned char first = (unsigned char)bytes.data[0];
    if ((first < ' ' && first != '\r' && first != '\n') || first >= 0x7f)
        session_end(session, SESSION_END_FORBIDDEN);
    stream_consume(&session->stream, 0); /* the bytes need not stay where they are */
}

/* Nothing to do: gives the fiber up. */
static void idle(struct session *session)
{
    arena_reset(&session->arena);
    session->private_bits &= ~(uint32_t)RUNNING;
    if (stream_unread(&session->stream) > 0) {
        session_begin_command(session);
    } else if (!(session->private_bits & AWAITING)) {
        session->private_bits |= AWAITING;
        session_due(session,
                    session->idle_ms_max ? session->idle_ms_max : session->service->idle_ms_max);
    }
}

/* What it says must leave in command_ms_max; the deadline that was set goes on afterwards. */
static void wake(struct session *session)
{
    uint64_t due_ns = session->stream.deadline.due_ns;
    session_due(session, session->service->command_ms_max);
    protocol_of(session)->woken(session);
    stream_deadline(&session->stream, due_ns);
}

/* The way to the greeting: each step is taken once, and a session that is to drain takes none. */
static void open_session(struct session *session)
{
    if (session->private_bits & DRAINING)
        return;
    if (session->service->tls == SERVICE_TLS && !session_is_secure(session)) {
        session_secure(session, true);
        return;
    }
    session->private_bits |= OPENED;
    session->private_bits &= ~(uint32_t)SECURED;
    session_due(session, session->service->command_ms_max);
    protocol_of(session)->open(session);
}

/* What comes before the next command. False: nothing may follow, the session is ending. */
static bool attend(struct session *session)
{
    const struct session_protocol *protocol = protocol_of(session);
    if (!(session->private_bits & READY)) {
        session->private_bits |= READY;
        if (protocol->begin != NULL)
            protocol->begin(session);
    }
    if (session->private_bits & MOVE_LOST) {
        session->private_bits &= ~(uint32_t)MOVE_LOST;
        session_move_failed(session);
    } else if (session->end != SESSION_END_NONE) {
        return false;
    } else if (session->private_bits & SECURING) {
        session_secure_ended(session);
    } else if (!(session->private_bits & OPENED)) {
        open_session(session);
    } else if (session->private_bits & START_TLS) {
        session_secure(session, false);
    } else if (session->private_bits & SECURED) {
        session_renew(session);
    } else if (session->private_bits & ARRIVED) {
        session->private_bits &= ~(uint32_t)ARRIVED;
        session->move_to = 0;
        session_due(session, session->service->command_ms_max);
        session->moved(session);
    }
    if ((session->private_bits & WOKEN) && session->end == SESSION_END_NONE) {
        session->private_bits &= ~(uint32_t)WOKEN;
        if (protocol->woken != NULL && session->joint == NULL)
            wake(session);
    }
    if (session->end == SESSION_END_NONE && (session->private_bits & DRAINING))
        session_end(session, SESSION_END_DRAIN);
    return session->end == SESSION_END_NONE;
}

static void serve(struct session *session)
{
    unsigned budget = COMMANDS_A_TURN_MAX;
    while (attend(session)) {
        if (session->private_bits & SECURING) {
            session->private_bits &= ~(uint32_t)RUNNING;
            return;
        }
        if (session->move_to != 0) {
            if (session_depart(session))
                return;
            continue;
        }
        if (session->joint != NULL) {
            session_joined(session);
            if (session->end != SESSION_END_NONE)
                continue;
            session->private_bits &= ~(uint32_t)RUNNING;
            return;
        }
        if (!(session->private_bits & FIRST_SEEN) && stream_unread(&session->stream) > 0) {
            look_at_first(session);
            continue;
        }
        if (!stream_line_ready(&session->stream)) {
            idle(session);
            return;
        }
        session_command(session);
        if (session->move_to == 0)
            arena_reset(&session->arena);
        if (--budget == 0) {
            budget = COMMANDS_A_TURN_MAX;
            fiber_yield(session_core(session));
        }
    }
    session_finish(session);
    session->private_bits &= ~(uint32_t)RUNNING;
    if (session->private_bits & RELEASED)
        free_session(session);
}

void sessions_fiber(void *argument)
{
    struct sessions *sessions = argument;
    struct session *session;
    while ((session = sessions->queue) != NULL) {
        sessions->queue = session->queued;
        if (sessions->queue == NULL)
            sessions->queue_end = &sessions->queue;
        serve(session);
    }
}

/* Q1. From anywhere on the session's core. */
void session_schedule(struct session *session)
{
    struct sessions *sessions = sessions_of(session_core(session));
    if (session->private_bits & (RUNNING | FINISHED | MOVING))
        return;
    session->private_bits |= RUNNING;
    session->queued = NULL;
    *sessions->queue_end = session;
    sessions->queue_end = &session->queued;
    (void)fiber_start(sessions->core, sessions_fiber, sessions); /* else it waits in the queue */
}

/* ---------------------------------------------------------------- what the stream tells */

static void input(struct stream *stream)
{
    struct session *session = (struct session *)stream;
    if (session->private_bits & PROXY_AWAITED)
        session_proxy_input(session); /* it may begin, or end */
    if (session->private_bits & JOINED) {
        if (session->end == SESSION_END_NONE)
            session->joint->ended(session, stream);
        return;
    }
    if (session->private_bits & (RUNNING | FINISHED | PROXY_AWAITED))
        return;
    if (session->private_bits & SECURING) {
        if (stream->end != 0)
            session_schedule(session);
        return;
    }
    bool is_unread = stream_unread(stream) > 0;
    if (stream_line_ready(stream) || (is_unread && !(session->private_bits & FIRST_SEEN)))
        session_schedule(session);
    else if (is_unread)
        session_begin_command(session);
}

static void released(struct stream *stream)
{
    struct session *session = (struct session *)stream;
    session->private_bits |= RELEASED;
    if (session->private_bits & RUNNING)
        return;
    if (session->private_bits & FINISHED) {
        free_session(session);
        return;
    }
    assert((session->private_bits & MOVING) && "only a failed move closes a session's stream");
    session->private_bits &= ~(uint32_t)MOVING;
    session->private_bits |= MOVE_LOST;
    session_schedule(session);
}

const struct stream_owner session_owner = {
    .input = input, .released = released, .moved = session_moved, .secured = session_secured};

/* ---------------------------------------------------------------- the core's list */

void session_enlist(struct session *session)
{
    struct sessions *sessions = sessions_of(session_core(session));
    session->next = sessions->list;
    session->previous_next = &sessions->list;
    if (session->next != NULL)
        session->next->previous_next = &session->next;
    sessions->list = session;
    session->private_bits |= LISTED;
}

void session_delist(struct session *session)
{
    struct sessions *sessions = sessions_of(session_core(session));
    limits_give(session);
    if (session->private_bits & LISTED) {
        if (sessions->cursor == session)
            sessions->cursor = session->next;
        *session->previous_next = session->next;
        if (session->next != NULL)
            session->next->previous_next = session->previous_next;
    }
    session->private_bits &= ~(uint32_t)LISTED;
}

/* ---------------------------------------------------------------- calls of the protocols */

void session_end(struct session *session, enum session_end end)
{
    if (session->end != SESSION_END_NONE)
        return;
    session->end = (uint8_t)end;
    session_schedule(session);
}

int session_logged_in(struct session *session, struct slice user)
{
    char *copy = malloc(user.size + 1);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, user.data, user.size);
    struct slice old = session->user;
    session_user_give(session);
    session->user = slice_of(copy, user.size);
    int result = session_user_take(session);
    if (result < 0) {
        session->user = old;
        (void)session_user_take(session);
        free(copy);
        return result;
    }
    free((void *)(uintptr_t)old.data);
    session->private_bits |= LOGGED_IN;
    stream_wipe(&session->stream, false);
    session->junk = 0;
    session_due(session, session->service->command_ms_max);
    return 0;
}

void session_wake(struct session *session)
{
    session->private_bits |= WOKEN;
    session_schedule(session);
}
