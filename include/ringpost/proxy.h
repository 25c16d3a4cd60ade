/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions of users whose mail lies elsewhere: logged in here, then passed through.
 *
 *   handler of LOGIN, PASS, AUTH ─▶ session_log_in: right, or for the backend to judge
 *     ─▶ proxy_is_wanted ─▶ proxy_log_in: chosen, connected, logged in there ─▶ OK is said
 *     ─▶ proxy_join: client and backend are one pipe, no fiber, no buffer (stream_join)
 *     ─▶ either side ends ─▶ the session ends, one log line
 *
 * Invariants:
 *   X1 A byte of a client reaches a backend only behind that client's own log-in, in order, once;
 *      what was sent ahead of the log-in's answer too.
 *   X2 A link belongs to one session until it is closed; no byte of one session is seen by another.
 *   X3 What we say ourselves into a joined stream stands between two lines of the backend's.
 */
#ifndef RINGPOST_PROXY_H
#define RINGPOST_PROXY_H

#include "ringpost/backend.h"
#include "ringpost/session.h"

struct proxy_domain {
    struct slice name; /* lower case */
    const struct backend_pool *pool;
};

/* The pool of a domain in any case, or NULL. */
const struct backend_pool *proxy_domain_pool(const struct proxy_domain *domains, unsigned count,
                                             struct slice domain);

/* Of a service (service.front). Shared by all cores, immutable while services run. */
struct proxy_options {
    enum backend_protocol protocol;
    const struct proxy_domain *domains; /* sorted by name; users of others are local */
    unsigned domain_count;
    bool has_local_users; /* not all users of the service are in these domains */
    uint64_t
        keep_alive_ms;    /* an idle IMAP client hears from us when the backend was silent so long;
                                0: never */
    uint64_t idle_ms_max; /* without a byte either way */
    uint64_t stalled_ms_max; /* one side does not take what the other sent */
    uint64_t spread_ms;      /* sessions of a backend that died are ended over this time */
    uint64_t farewell_ms;    /* the client has closed: for the backend's last answers */
};

/* Once per core, after sessions_open and backends_open, and before sessions_close. 0 or -errno. */
int proxy_open(struct core *core);
void proxy_close(struct core *core);

/* The pool of the session's user (session->user; before it: of `user`, with its domain), or NULL:
 * local. */
const struct backend_pool *proxy_pool(const struct session *session, struct slice user);
/* Who the session's client is, for a backend; `id` holds the session's. */
enum { PROXY_ID_BYTES = 20 };
void proxy_describe(const struct session *session, char id[PROXY_ID_BYTES],
                    struct backend_client *ret_client);
/* Nobody waits for the backend's answer any more. A client that has closed may still wait for what
 * it has sent. The argument is the session. */
bool proxy_is_gone(void *argument);
/* The session has its user (session_log_in gave 0), and his mail is elsewhere. */
bool proxy_is_wanted(const struct session *session);
/* ... and his pool has the service's protocol. */
bool proxy_is_served(const struct session *session);
/* Fiber. Logs in at the backend with what the client has shown (session->login, which is wiped). 0:
 * say OK and call proxy_join; else backend_log_in's errors: the session has no user again. -EACCES
 * was counted and held back as any wrong password. The answer is the arena's, and never NULL. */
int proxy_log_in(struct session *session, const struct backend_answer **ret_answer);
/* What a client is told when it fails: rows of a protocol's table, the last with error 0 for all
 * others. */
struct proxy_refusal {
    int error;
    const char *code, *text;
};
/* The row for an error; in it what the backend said of it where that is the user's to know (answer
 * NULL: its words are not told). */
struct proxy_refusal proxy_refusal(const struct proxy_refusal *rows, int error,
                                   const struct backend_answer *answer);
/* Last act of the handler, its answer written: once that is sent the streams are joined. */
void proxy_join(struct session *session);
/* Capabilities to offer before log-in beside those of the log-in itself: what the pools of this
 * service that have its protocol have in common, as backend_capabilities gives them; data NULL: the
 * service fronts nothing, empty: nothing is known yet. In the session's arena. */
struct slice proxy_capabilities(struct session *session);

/* ---------------------------------------------------------------- the operator */

struct proxy_session_info {
    uint64_t id;
    const char *protocol;
    struct slice user;
    char peer[48];
    uint16_t port;
    struct slice pool, backend;
    uint64_t bytes_in, bytes_out; /* from and to the client */
    uint64_t ms;
};
/* Each joined session of this core, until tell() is false. Outside fibers, or on one; tell must not
 * wait. */
void proxy_sessions_each(struct core *core,
                         bool (*tell)(void *argument, const struct proxy_session_info *info),
                         void *argument);
/* Ends sessions of this core: of that user, or with that id (user empty). How many. */
unsigned proxy_kick(struct core *core, struct slice user, uint64_t id);
/* Ends all sessions of a backend on this core, spread over `ms`. How many. */
unsigned proxy_cut(struct core *core, const struct backend *backend, uint64_t ms);

#endif
