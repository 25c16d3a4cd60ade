/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who may have how many connections: an address, its network, a user; and those who have not logged
 * in, together. Each core counts its own sessions; a session counts where it is, so one that moves
 * is given back here and taken there, and its user's limit holds on the user's home core.
 *
 * A count belongs to a protocol and port, not to a struct service: after a reload old and new
 * sessions of one listener still count together.
 *
 * Invariants:
 *   L1 COUNTED, USER_COUNTED and ANONYMOUS say what is taken; the keys are made from the session's
 *      address and user, which change only here and in session_logged_in, between give and take.
 *   L2 The table has an entry for what at least one session counts in: two of each session at most
 *      and one of its user, however many addresses come and go (row R05).
 *
 * What is refused costs one line of log a second, however many there are.
 */
#include <stdio.h>

#include "session_private.h"

enum { ADDRESS, NETWORK, USER };
enum { REFUSAL_LOG_MS = 1000 };

/* IPv6: a client owns its /64, its site a /48. */
static uint64_t key_of(const struct session *session, unsigned kind)
{
    struct {
        uint32_t port, size;
        uint8_t prefix[8], family, kind, protocol, unused;
        uint64_t user;
    } key;
    const struct addresses *addresses = &sessions_of(session_core(session))->addresses;
    const struct stream *stream = &session->stream;
    static const uint8_t prefix_bytes[2][2] = {{4, 8}, {3, 6}};
    memset(&key, 0, sizeof key);
    key.kind = (uint8_t)kind;
    key.protocol = (uint8_t)protocol_of(session)->id;
    key.family = stream->peer_family;
    memcpy(key.prefix, stream->peer, prefix_bytes[kind == NETWORK][stream->peer_family == 6]);
    if (kind == USER)
        key.user = hash_keyed(&addresses->key, session->user.data, session->user.size);
    else
        key.port = session->service->port;
    return hash_keyed(&addresses->key, &key, sizeof key) | 1;
}

/* Unix sockets and peers that the kernel did not name have no address to count. */
static bool is_limited(const struct session *session)
{
    const struct stream *stream = &session->stream;
    return stream->peer_family >= 4 &&
           !network_set_holds(&session->service->unlimited, stream->peer_family, stream->peer);
}

/* ---------------------------------------------------------------- addresses and networks */

static int take_pair(struct session *session, unsigned address_max, unsigned network_max)
{
    struct addresses *addresses = &sessions_of(session_core(session))->addresses;
    uint64_t key = key_of(session, ADDRESS);
    if (!address_take(addresses, key, address_max))
        return -EUSERS;
    if (!address_take(addresses, key_of(session, NETWORK), network_max)) {
        address_give(addresses, key);
        return -EUSERS;
    }
    session->private_bits |= COUNTED;
    return 0;
}

static void give_pair(struct session *session)
{
    struct addresses *addresses = &sessions_of(session_core(session))->addresses;
    if (!(session->private_bits & COUNTED))
        return;
    address_give(addresses, key_of(session, ADDRESS));
    address_give(addresses, key_of(session, NETWORK));
    session->private_bits &= ~(uint32_t)COUNTED;
}

/* Those whose session has no user, of services that bound them. */
static bool take_anonymous(struct session *session)
{
    const struct service *service = session->service;
    struct sessions *sessions = sessions_of(session_core(session));
    uint64_t max = (uint64_t)service->connections_max * service->before_login_percent_max / 100;
    if (service->before_login_percent_max == 0)
        return true;
    if (sessions->anonymous >= max)
        return false;
    sessions->anonymous++;
    session->private_bits |= ANONYMOUS;
    return true;
}

static void give_anonymous(struct session *session)
{
    if (session->private_bits & ANONYMOUS)
        sessions_of(session_core(session))->anonymous--;
    session->private_bits &= ~(uint32_t)ANONYMOUS;
}

int limits_take(struct session *session)
{
    const struct service *service = session->service;
    if (!take_anonymous(session))
        return -EUSERS;
    if (!is_limited(session))
        return 0;
    int result = take_pair(session, service->connections_per_address_max,
                           service->connections_per_network_max);
    if (result < 0)
        give_anonymous(session);
    return result;
}

void limits_give(struct session *session)
{
    give_pair(session);
    give_anonymous(session);
    session_user_give(session);
}

/* ---------------------------------------------------------------- users */

static int take_user(struct session *session, unsigned max)
{
    struct addresses *addresses = &sessions_of(session_core(session))->addresses;
    if ((session->private_bits & USER_COUNTED) || session->user.size == 0 || !is_limited(session))
        return 0;
    if (!address_take(addresses, key_of(session, USER), max))
        return -EUSERS;
    session->private_bits |= USER_COUNTED;
    return 0;
}

int session_user_take(struct session *session)
{
    int result = take_user(session, session->service->connections_per_user_max);
    if (result == 0 && session->user.size > 0)
        give_anonymous(session);
    return result;
}

void session_user_give(struct session *session)
{
    if (session->private_bits & USER_COUNTED)
        address_give(&sessions_of(session_core(session))->addresses, key_of(session, USER));
    session->private_bits &= ~(uint32_t)USER_COUNTED;
}

void limits_anonymous_again(struct session *session)
{
    if (session->service->before_login_percent_max == 0 || (session->private_bits & ANONYMOUS))
        return;
    sessions_of(session_core(session))->anonymous++;
    session->private_bits |= ANONYMOUS;
}

/* On the core that a session has come to. Where it came from it was within the limits of that core;
 * here only its user's is looked at. */
int limits_arrive(struct session *session)
{
    if (is_limited(session))
        (void)take_pair(session, 0, 0); /* no memory: it does not count */
    if (session->user.size > 0)
        return session_user_take(session);
    limits_anonymous_again(session);
    return 0;
}

/* ---------------------------------------------------------------- another client than it seemed */

int session_set_peer(struct session *session, unsigned family, const uint8_t *address,
                     uint16_t port)
{
    const struct service *service = session->service;
    struct stream *stream = &session->stream;
    uint8_t old_address[16], old_family = stream->peer_family;
    uint16_t old_port = stream->peer_port;
    bool was_counted = session->private_bits & COUNTED;
    memcpy(old_address, stream->peer, sizeof old_address);
    session_user_give(session);
    give_pair(session);
    stream_peer_set(stream, family, address, port);
    int result = 0;
    if (is_limited(session))
        result = take_pair(session, service->connections_per_address_max,
                           service->connections_per_network_max);
    if (result == 0)
        result = take_user(session, service->connections_per_user_max);
    if (result == 0)
        return 0;
    give_pair(session);
    memcpy(stream->peer, old_address, sizeof stream->peer);
    stream->peer_family = old_family;
    stream->peer_port = old_port;
    if (was_counted)
        (void)take_pair(session, 0, 0);
    (void)take_user(session, 0);
    return result;
}

/* ---------------------------------------------------------------- refusing */

/* The connections that were refused since the last such line; the peer is the latest one. */
static void log_refused(struct session *session, enum session_end end)
{
    struct core *core = session_core(session);
    struct sessions *sessions = sessions_of(core);
    struct event event;
    char peer[48];
    uint16_t port;
    uint64_t now = core_now_ns(core);
    sessions->refused++;
    if (now < sessions->refused_log_ns)
        return;
    sessions->refused_log_ns = now + (uint64_t)REFUSAL_LOG_MS * 1000000;
    stream_peer(&session->stream, peer, &port);
    event_begin(&event, "refused", "warning");
    event_text(&event, "protocol", slice_cstr(protocol_of(session)->name));
    event_text(&event, "peer", slice_cstr(peer));
    event_number(&event, "port", port);
    event_text(&event, "end", slice_cstr(session_end_rows[end].text));
    event_number(&event, "connections", sessions->refused);
    core_log(core, &event);
    sessions->refused = 0;
}

/* Of a session that its protocol has not seen: no fiber, no `closed`. */
void session_refuse(struct session *session, enum session_end end)
{
    struct counters *counters = core_counters(session_core(session));
    assert(!(session->private_bits & (OPENED | RUNNING | MOVING | FINISHED)));
    session->end = (uint8_t)end;
    counter_word_add(&counters->ends[protocol_of(session)->id][end], 1);
    if (end == SESSION_END_TOO_MANY || end == SESSION_END_OVERLOAD) {
        counter_add(counters, COUNTER_CONNECTIONS_REFUSED, 1);
        if (session->service->tls != SERVICE_TLS) /* else it would not be understood */
            stream_write(&session->stream, protocol_of(session)->refusal);
    }
    if (session_end_rows[end].is_error)
        log_refused(session, end);
    session_delist(session);
    session->private_bits &= ~(uint32_t)PROXY_AWAITED;
    session->private_bits |= FINISHED;
    stream_close(&session->stream);
}
