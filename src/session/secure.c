/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From a session in clear to one under TLS.
 *
 *   accept ────────────── implicit TLS ──────────────┐
 *   STARTTLS ─▶ "go ahead" ─▶ session_start_tls ─▶ stream_secure ─▶ (no fiber) ─▶ session_secured
 *                   │                                    │                              │
 *          bytes behind it: TLS_INJECTED            TLS_FAILED           open, or session_renew
 *
 * Invariants:
 *   1 The session under TLS is another one: what the protocol had noted in clear is let go of and
 *     zeroed, its user and state forgotten (RFC 3207 4.2, RFC 2595 4, RFC 9051 6.2.1).
 *   2 What bounds an attacker goes on: errors, commands, log-ins tried, the log-in deadline.
 *   3 From the "go ahead" on nothing is written in clear: a session that ends in the handshake ends
 *     without a word.
 */
#include "session_private.h"

#include <stdlib.h>

bool session_offers_tls(const struct session *session)
{
    return session->service->tls == SERVICE_START_TLS && !stream_has_tls(&session->stream) &&
           session->user.size == 0;
}

void session_start_tls(struct session *session)
{
    assert(session_offers_tls(session) && "the handler asks session_offers_tls first");
    if (session_has_unread(session))
        session_end(session, SESSION_END_TLS_INJECTED);
    else
        session->private_bits |= START_TLS;
}

void session_secure(struct session *session, bool keep_unread)
{
    session->private_bits &= ~(uint32_t)(START_TLS | AWAITING | BEGUN);
    session->private_bits |= SECURING;
    session_due(session, session->service->command_ms_max);
    arena_reset(&session->arena);
    int result = stream_secure(&session->stream, &session->service->tls_service, keep_unread);
    if (session->stream.end != 0)
        session_secure_ended(session);
    else if (result < 0)
        session_end(session, result == -ENOMEM ? SESSION_END_MEMORY : SESSION_END_TLS_FAILED);
}

void session_secured(struct stream *stream)
{
    struct session *session = (struct session *)stream;
    session->private_bits &= ~(uint32_t)SECURING;
    session->private_bits |= SECURED;
    session_schedule(session);
}

void session_secure_ended(struct session *session)
{
    int end = session->stream.end;
    if (end == -ETIMEDOUT)
        session_end(session, SESSION_END_TLS_FAILED);
    else if (end != 0)
        session_end(session, session_end_of(session, end));
}

void session_renew(struct session *session)
{
    const struct session_protocol *protocol = protocol_of(session);
    protocol->closed(session);
    memset((char *)session + sizeof *session, 0, protocol->session_bytes - sizeof *session);
    free((void *)(uintptr_t)session->user.data);
    session->user = session->hello = (struct slice){0};
    session->line = (struct command_line){0};
    session->state = protocol->state_first;
    session->junk = session->idle_ms_max = 0;
    session->private_bits &=
        ~(uint32_t)(SECURED | FIRST_SEEN | AWAITING | BEGUN | LOGGED_IN | WOKEN);
    session->private_bits |= protocol->without_login ? LOGGED_IN : 0;
    if (protocol->begin != NULL)
        protocol->begin(session);
}
