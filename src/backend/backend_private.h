/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of this folder share. Two halves meet here:
 *
 *   state    table.c    tables, states by pool and name, the operator's will
 *            state.c    what a backend is doing: alive, failures in a row, connections,
 * capabilities
 *            choose.c   the rendezvous hash (pure)
 *            users.c    on the user's home core: sessions, affinity, claims
 *            exception.c   the same for what the operator wants of a user
 *            health.c   checks, each backend on one core
 *            open.c     what a core keeps: TLS clients, log-ins that wait for their turn
 *            resume.c   and TLS sessions to begin the next handshake from
 *   log-in   login.c, place.c, attempt.c, dial.c, identity.c, talk_*.c: on a connection to the
 *            backend that was chosen
 *
 * Three lives: a `backend` is the process's (it is what goes on across reloads), a `backend_member`
 * and its pool are of one table, `backends` is a core's.
 *
 * A log-in goes:
 *
 *   user_place ─▶ connecting_take ─▶ backend_take ─▶ connect, log in ─▶ connecting_give
 *        ▲                                              │ failed: backend_failed, backend_give,
 *        └──────── tried: the next one ─────────────────┘ worked: backend_worked, user_settle
 *   ... the session ...  ─▶ backend_give, user_leave
 *
 * Invariants:
 *   K1 What cores share of a backend is atomic words; each change of alive is made, and logged, by
 *      one core (state.c).
 *   K2 Rows of users and exceptions are touched on their home core only.
 *   K3 A claim is either under way (pending) or a session, and is left exactly once.
 */
#ifndef RINGPOST_BACKEND_PRIVATE_H
#define RINGPOST_BACKEND_PRIVATE_H

#include <stdatomic.h>

#include "ringpost/backend.h"
#include "ringpost/generation.h"
#include "ringpost/hash.h"

enum {
    BACKEND_STATES_MAX = 10000, /* different names since the start; they are never freed */
    BACKEND_WEIGHT_MAX = 65535,
    BACKEND_TRIED_MAX = 8 /* attempts of one log-in */
};

/* ---------------------------------------------------------------- a backend's state */

/* One protocol of a backend, packed so that a change is one compare-and-swap (state.c). */
struct backend_health {
    _Atomic uint32_t word;
    _Atomic uint64_t since_ns;         /* of the last change; 0: as at the start */
    _Atomic uint64_t retry_ns;         /* dead, and no checks: one log-in may try at this time */
    _Atomic(const char *) problem;     /* of the last failure: a literal; NULL */
    _Atomic uint32_t capability_count; /* odd while they are written; 0: never told */
    _Atomic uint64_t capabilities[(BACKEND_CAPABILITY_BYTES_MAX + 8) / 8];
};

struct backend {
    struct backend_states *states;
    uint32_t index; /* in the states; its checks run on core index % cores */
    char pool[BACKEND_NAME_BYTES_MAX + 1], name[BACKEND_NAME_BYTES_MAX + 1];
    bool is_elsewhere;         /* stands for the addresses that are no backend here: no health */
    _Atomic uint32_t will;     /* enum backend_will */
    _Atomic uint32_t sessions; /* connections, those that log in too */
    _Atomic uint32_t users;    /* rows of users that name it */
    _Atomic uint64_t logins, failures, refused;
    _Atomic uint64_t dead_ns; /* dead and silent since, as the core that checks it says; 0: not */
    struct message hurry;     /* to the core that checks it: something has changed; */
    atomic_bool hurries;      /* it is on its way */
    struct backend_health health[BACKEND_PROTOCOL_COUNT];
};

/* ---------------------------------------------------------------- a table */

struct backend_member { /* a row of a table; immutable */
    const struct backend_options *options;
    const struct backend_pool *pool;
    struct backend *backend;
    uint64_t hash; /* of pool and name */
};

struct backend_pool {
    const struct backend_pool_options *options;
    const struct backend_table *table;
    struct backend_member *members;
    unsigned member_count;
    unsigned index; /* in the table */
    uint64_t hash;  /* of its name */
    /* For connections to addresses that are no backend here (options->any_address), else NULL. Its
     * own options have no address: the log-in brings it. */
    struct backend_member *elsewhere;
};

struct backend_table {
    struct backend_states *states;
    struct generation *generation; /* or NULL: checks under way are its users */
    unsigned pool_count, member_count;
    struct backend_pool *pools;
    struct backend_member *members; /* of all pools, in order */
};

/* "NAME" of this pool, or "POOL/NAME" of it. NULL. */
const struct backend_member *pool_member_named(const struct backend_pool *pool, struct slice name);
/* By address. NULL: none here (see pool->elsewhere). */
const struct backend_member *pool_member_at(const struct backend_pool *pool, unsigned family,
                                            const uint8_t address[16]);
const struct backend_member *pool_member_of(const struct backend_pool *pool,
                                            const struct backend *backend);

/* ---------------------------------------------------------------- what it is doing (state.c) */

/* Counts a connection to it, all cores together. 0; -EUSERS: as many as connections_max. */
int backend_take(const struct backend_member *member);
void backend_give(struct backend *backend);
/* A log-in, or a check, got through: the protocol is alive. A wrong password is that too. */
void backend_worked(struct core *core, const struct backend_member *member,
                    enum backend_protocol protocol);
/* It did not. `problem` is a literal. Only with `is_connect` (refused, timed out, TLS failed, no
 * greeting) does it count for its being alive. */
void backend_failed(struct core *core, const struct backend_member *member,
                    enum backend_protocol protocol, const char *problem, bool is_connect);
bool backend_is_alive(const struct backend *backend, enum backend_protocol protocol);
/* One of its protocols is. */
bool backend_is_up(const struct backend_member *member);
/* Log-ins may go there now, as far as its health and the operator's will say. */
bool backend_is_usable(const struct backend_member *member, enum backend_protocol protocol,
                       uint64_t now_ns);

/* Log-ins under way per backend and core. Waits for a turn until deadline_ns (0: does not wait).
 * 0; -EAGAIN: it is dead, or died meanwhile, or (no checks) another is trying it; -ETIMEDOUT. */
int connecting_take(struct core *core, const struct backend_member *member,
                    enum backend_protocol protocol, uint64_t deadline_ns);
void connecting_give(struct core *core, const struct backend_member *member);

/* The core's TLS client for the pool's backends; of the table in use, so ask just before the
 * handshake. NULL: the pool is gone. */
struct tls_client *backend_tls_client(struct core *core, const struct backend_pool *pool);
/* TLS 1.3 sessions of earlier log-ins at the member's own address, of the table in use (resume.c).
 * Taken for one handshake and then freed; NULL: none. Kept once the log-in is done. */
struct tls_session *resume_take(struct core *core, const struct backend_member *member,
                                enum backend_protocol protocol);
void resume_keep(struct core *core, const struct backend_member *member,
                 enum backend_protocol protocol, struct stream *stream);
/* A handshake that began from one has failed. */
void resume_failed(struct core *core, const struct backend_member *member,
                   enum backend_protocol protocol);

/* ---------------------------------------------------------------- choosing (choose.c) */

/* -log2((hash | 1) / 2^64) in units of 2^-32: the same on every machine. */
uint64_t hash_bits_q32(uint64_t hash);

struct choice {
    const struct backend_pool *pool;
    enum backend_protocol protocol;
    struct slice user; /* canonical */
    struct slice tag;  /* "": those without one */
    /* Where a directory says that the user is; NULL: it does not. pool->elsewhere too. */
    const struct backend_member *fixed;
    const struct backend_member *tried[BACKEND_TRIED_MAX];
    unsigned tried_count;
    unsigned unfit_count; /* the first of those: waiting would not mend them */
    uint64_t deadline_ns; /* how long a held log-in may wait; 0: not */
};
bool choice_has_tried(const struct choice *choice, const struct backend_member *member);
/* One more of at most BACKEND_TRIED_MAX. */
void choice_tried(struct choice *choice, const struct backend_member *member, bool is_unfit);
/* Of those that take new users now, by rendezvous hash. NULL: none. */
const struct backend_member *choose(const struct choice *choice, uint64_t now_ns);

/* ---------------------------------------------------------------- users (users.c) */

/* A user's log-in, then session, at a backend; small, from malloc. */
struct user_claim {
    struct message message;
    struct core *home; /* where its row is */
    struct backend *backend;
    struct backend *wanted; /* the operator's exception when it was placed */
    uint64_t key;
    uint64_t affinity_ns; /* how long he is kept there after it */
    bool is_settled;
};

/* Fiber. Which backend this log-in goes to (B1), after waiting for a hold of the user's. *claim is
 * NULL the first time, and made; after a failed attempt give it again, with the one that failed in
 * `tried`. 0 with *ret_member; -EAGAIN: none may be used; -EPERM: held longer than deadline_ns;
 * -ENOMEM. After an error a claim that there was is still to be left. */
int user_place(struct core *core, const struct choice *choice, struct user_claim **claim,
               const struct backend_member **ret_member);
/* Fiber. The log-in got through: it is a session; `user` as placed. -EAGAIN: meanwhile the user
 * has been given another backend, or is being moved: this session must not be. The claim is still
 * to be left. */
int user_settle(struct core *core, struct slice user, struct user_claim *claim);
/* Log-in given up, or session over; from anywhere on the core; the claim is gone. NULL is allowed.
 * */
void user_leave(struct core *core, struct user_claim *claim);

/* ---------------------------------------------------------------- the log-in's half gives */

/* Fiber. Connects as a log-in would (source, identity, TLS, greeting, capabilities, good-bye)
 * without a user, until deadline_ns. 0 with what it said it can, blanks between (NUL-ended, ""
 * when it told nothing); -errno with *ret_problem a literal. Does not touch the state: the caller
 * counts. */
int backend_probe(struct core *core, const struct backend_member *member,
                  enum backend_protocol protocol, uint64_t deadline_ns,
                  char ret_capabilities[BACKEND_CAPABILITY_BYTES_MAX + 1],
                  const char **ret_problem);

#endif
