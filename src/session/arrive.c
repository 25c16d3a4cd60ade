/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A connection becomes a session, without a fiber until it is known who the client is and that
 * there is room for it.
 *
 *   accept ─▶ overloaded? ─▶ [ a proxy's? ─▶ PROXY header ] ─▶ limits ─▶ scheduled: TLS, greeting
 *                 │               │              │               │
 *                 └─ refusal      └─ closed      └─ closed       └─ refusal
 *
 * Invariants:
 *   R1 Whether a header is awaited is the service's to say, never the bytes' (rows X01, X02).
 *   R2 While PROXY_AWAITED is set the session has no fiber, and is told nothing by its peer but the
 *      header; what lies behind it stays unread.
 */
#include <stdlib.h>

#include "proxy.h"
#include "session_private.h"

/* The client is known. */
static void begin(struct session *session)
{
    if (limits_take(session) < 0)
        session_refuse(session, SESSION_END_TOO_MANY);
    else
        session_schedule(session);
}

/* ---------------------------------------------------------------- the PROXY header */

/* Looks at what lies there as one piece. `copy` holds PROXY_HEADER_BYTES_MAX: a header may lie in
 * two pieces when much came behind it. */
static enum proxy_result look(struct session *session, char *copy, struct proxy_header *ret_header)
{
    struct stream *stream = &session->stream;
    struct slice bytes;
    size_t unread = stream_unread(stream);
    if (stream_peek(stream, &bytes) < 0)
        return PROXY_MORE; /* the stream's end tells */
    enum proxy_result result = proxy_parse(bytes, ret_header);
    stream_consume(stream, result == PROXY_DONE ? ret_header->size : 0);
    if (result != PROXY_MORE || unread == bytes.size)
        return result;
    size_t size = unread < PROXY_HEADER_BYTES_MAX ? unread : PROXY_HEADER_BYTES_MAX;
    if (stream_read_exact(stream, copy, size) < 0)
        return PROXY_MORE;
    result = proxy_parse(slice_of(copy, size), ret_header);
    size_t used = result == PROXY_DONE ? ret_header->size : 0;
    if (stream_unread_bytes(stream, slice_of(copy + used, size - used)) < 0)
        return PROXY_BAD;
    return result;
}

static enum session_end end_without_header(const struct session *session)
{
    switch (session->stream.end) {
    case -EPIPE:
    case -ECONNRESET:
        return SESSION_END_CLOSED; /* a health check */
    case -ECANCELED:
        return SESSION_END_DRAIN;
    case -ENOMEM:
        return SESSION_END_MEMORY;
    default:
        return SESSION_END_PROXY_BAD;
    }
}

/* In the core's turn, outside fibers. */
void session_proxy_input(struct session *session)
{
    struct stream *stream = &session->stream;
    struct proxy_header header;
    char copy[PROXY_HEADER_BYTES_MAX];
    enum proxy_result result = PROXY_MORE;
    if (stream_unread(stream) > 0 && (stream->end == 0 || stream->end == -EPIPE))
        result = look(session, copy, &header);
    if (result == PROXY_MORE && stream->end == 0)
        return;
    if (result != PROXY_DONE) {
        session_refuse(session,
                       result == PROXY_BAD ? SESSION_END_PROXY_BAD : end_without_header(session));
        return;
    }
    session->private_bits &= ~(uint32_t)PROXY_AWAITED;
    stream_deadline(stream, 0);
    session->hops_left = header.hops_left;
    if (header.family != 0)
        stream_peer_set(stream, header.family, header.address, header.port);
    begin(session);
}

static void await_header(struct session *session)
{
    const struct stream *stream = &session->stream;
    if (!network_set_holds(&session->service->proxy_from, stream->peer_family, stream->peer)) {
        session_refuse(session, SESSION_END_PROXY_BAD);
        return;
    }
    session->private_bits |= PROXY_AWAITED;
    session_due(session, PROXY_MS_MAX);
}

/* ---------------------------------------------------------------- accepting */

bool session_accepted(struct core *core, unsigned slot, void *argument)
{
    const struct service_listener *listener = argument;
    const struct service *service = listener->service;
    const struct session_protocol *protocol = service->protocol;
    struct sessions *sessions = sessions_of(core);
    struct session *session = calloc(1, protocol->session_bytes);
    if (session == NULL)
        return false;
    session->service = service;
    session->state = protocol->state_first;
    session->private_bits = protocol->without_login ? LOGGED_IN : 0;
    session->began_ns = core_now_ns(core);
    session->id = ++sessions->last_id * CORES_MAX + core_index(core);
    arena_init(&session->arena, protocol->command_bytes_max);
    generation_enter(service->generation);
    sessions->count++;
    stream_open(&session->stream, core, slot, &session_owner);
    stream_wipe(&session->stream, !protocol->without_login);
    session_enlist(session);
    overload_look(sessions);
    if (sessions->overload == OVERLOAD_FULL && overload_concerns(session))
        session_refuse(session, SESSION_END_OVERLOAD);
    else if (service->proxy_from.count > 0)
        await_header(session);
    else
        begin(session);
    return true;
}
