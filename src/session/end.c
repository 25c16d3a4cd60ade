/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How a session ends: why (a row of SESSION_END_TABLE), the last words, the counter and the log
 * line (P4). To one that is joined the last words are said when its joint says that they may be.
 *
 *   session->end set ─▶ goodbye (unless the peer has gone or quit) ─▶ protocol.closed ─▶ counter,
 *      log line ─▶ stream_close: sends what is queued ─▶ released() ─▶ freed
 */
#include "ringpost/number.h"
#include "session_private.h"

#define END_ROW(name, label, is_error, text) {label, text, is_error},
const struct session_end_row session_end_rows[SESSION_END_COUNT] = {SESSION_END_TABLE(END_ROW)};
#undef END_ROW

static enum session_end late_end(const struct session *session)
{
    uint64_t login_ns = session->service->login_ms_max;
    bool is_waiting = (session->private_bits & AWAITING) && !(session->private_bits & BEGUN);
    if (!(session->private_bits & LOGGED_IN) && login_ns < UINT64_MAX / 1000000 &&
        core_now_ns(session_core(session)) - session->began_ns >= login_ns * 1000000)
        return SESSION_END_LOGIN_LATE;
    return is_waiting ? SESSION_END_IDLE : SESSION_END_COMMAND_LATE;
}

/* Why reading failed with this -errno. */
enum session_end session_end_of(const struct session *session, int error)
{
    if (session->stream.output_error == -ETIMEDOUT)
        return SESSION_END_READER_SLOW;
    switch (error) {
    case -EPIPE:
        return SESSION_END_CLOSED;
    case -ETIMEDOUT:
        return late_end(session);
    case -ECANCELED:
        return SESSION_END_DRAIN;
    case -ENOMEM:
        return SESSION_END_MEMORY;
    case -EPROTO: /* TLS: in the handshake, or later */
        return session->private_bits & SECURING ? SESSION_END_TLS_FAILED : SESSION_END_PROTOCOL;
    case -EMSGSIZE:
    case -EBADMSG:
        return SESSION_END_PROTOCOL;
    default:
        return SESSION_END_RESET;
    }
}

static void log_tls(const struct session *session, struct event *event)
{
    const struct stream *stream = &session->stream;
    if (session->private_bits & RELEASED)
        return;
    const char *problem = stream_tls_problem(stream);
    if (problem == NULL && session->end == SESSION_END_TLS_FAILED)
        problem = stream->end == -ETIMEDOUT ? "not finished in time" : "no certificate";
    if (stream_is_secure(stream)) {
        struct tls_info info;
        stream_tls_info(stream, &info);
        event_text(event, "tls", slice_cstr(info.version));
        event_text(event, "cipher", slice_cstr(info.cipher));
        event_text(event, "resumed", info.is_resumed ? SLICE("yes") : SLICE("no"));
    }
    if (problem != NULL)
        event_text(event, "problem", slice_cstr(problem));
}

static void log_end(struct session *session)
{
    struct core *core = session_core(session);
    const struct session_end_row *row = &session_end_rows[session->end];
    struct event event;
    char id[NUMBER_HEXADECIMAL_BYTES_MAX], peer[48], seconds[NUMBER_DECIMAL_BYTES_MAX + 4];
    uint16_t port;
    stream_peer(&session->stream, peer, &port);
    size_t id_size = number_hexadecimal(id, session->id);
    uint64_t ms = (core_now_ns(core) - session->began_ns) / 1000000;
    size_t seconds_size = number_decimal(seconds, ms / 1000);
    seconds[seconds_size++] = '.';
    seconds_size += number_digits(seconds + seconds_size, ms % 1000, 3);
    event_begin(&event, "session", row->is_error ? "warning" : "info");
    event_text(&event, "id", slice_of(id, id_size));
    event_text(&event, "protocol", slice_cstr(protocol_of(session)->name));
    event_text(&event, "peer", slice_cstr(peer));
    event_number(&event, "port", port);
    event_text(&event, "user", session->user);
    event_text(&event, "end", slice_cstr(row->text));
    log_tls(session, &event);
    event_number(&event, "bytes_in", (int64_t)session->stream.bytes_in);
    event_number(&event, "bytes_out", (int64_t)session->stream.bytes_out);
    event_number(&event, "commands", session->commands);
    event_number(&event, "errors", session->errors);
    event_text(&event, "seconds", slice_of(seconds, seconds_size));
    if (session->joint != NULL)
        session->joint->log(session, &event);
    core_log(core, &event);
}

static bool is_timeout(enum session_end end)
{
    return end == SESSION_END_IDLE || end == SESSION_END_LOGIN_LATE ||
           end == SESSION_END_COMMAND_LATE || end == SESSION_END_READER_SLOW;
}

/* On the session's fiber. */
void session_finish(struct session *session)
{
    const struct session_protocol *protocol = protocol_of(session);
    enum session_end end = session->end;
    bool has_quit = end == SESSION_END_QUIT || end == SESSION_END_BACKEND_CLOSED;
    bool is_gone = end == SESSION_END_CLOSED || end == SESSION_END_RESET;
    bool may_speak = !(session->private_bits & JOINED) || session->joint->may_speak(session);
    assert(end != SESSION_END_NONE);
    if (!(session->private_bits & RELEASED)) {
        uint64_t now = core_now_ns(session_core(session));
        stream_deadline(&session->stream, now + (uint64_t)GOODBYE_MS_MAX * 1000000);
        if (!has_quit && !is_gone && may_speak && !session_is_mute(session))
            protocol->goodbye(session, end);
    }
    protocol->closed(session);
    struct counters *counters = core_counters(session_core(session));
    counter_word_add(&counters->ends[protocol->id][end], 1);
    if (is_timeout(end))
        counter_add(counters, COUNTER_SESSION_TIMEOUTS, 1);
    log_end(session);
    session_unjoin(session);
    session_delist(session);
    arena_reset(&session->arena);
    session->private_bits |= FINISHED;
    if (!(session->private_bits & RELEASED))
        stream_close(&session->stream);
}
