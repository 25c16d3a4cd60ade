/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Other mail stores: pools of them, which one is a user's, whether it is alive, and a connection to
 * it on which the user is logged in.
 *
 *   user ─▶ exception? ─▶ live sessions elsewhere? ─▶ rendezvous hash over what may be chosen
 *        ─▶ connect (source, budget, fail-over) ─▶ PROXY v2 ─▶ TLS ─▶ greeting ─▶ identity
 *        ─▶ log-in by the protocol's dialect ─▶ struct backend_link: a stream at the first byte
 *           behind the answer to the log-in
 *
 * The choice is a pure function of pool, user and what is chosen from, so that several gateways
 * with the same pool agree without talking. What a backend does now (alive, draining, how many
 * sessions) is one struct of atomic words, shared by all cores; a backend's health is looked after
 * by one core. Which user has sessions where is kept on the user's home core.
 *
 * Invariants:
 *   B1 A user with live sessions through this process, or within the affinity time, is given no
 *      other backend, except by a move (the operator's, or the directory names another), or when
 *      all services of his are down.
 *   B2 What fails on the way is "try later"; "wrong password" is only what a backend said about it.
 *   B3 Nothing of what a backend said before the log-in's answer reaches a client, but for the
 *      answer's text, checked and cut; a backend that talks before it is asked is closed.
 *   B4 A connection is used for one log-in and by one session.
 *   B5 Passwords and tokens are wiped where they were copied, and never logged.
 */
#ifndef RINGPOST_BACKEND_H
#define RINGPOST_BACKEND_H

#include "ringpost/auth.h"
#include "ringpost/generation.h"
#include "ringpost/network.h"
#include "ringpost/stream.h"
#include "ringpost/tls.h"

enum {
    BACKEND_POOLS_MAX = 64,
    BACKENDS_MAX = 1000, /* of all pools together */
    BACKEND_SOURCES_MAX = 64,
    BACKEND_PINS_MAX = 8,
    BACKEND_NAME_BYTES_MAX = 63,
    BACKEND_CAPABILITY_BYTES_MAX = 1000,
    BACKEND_ANSWER_BYTES_MAX = 400, /* what a backend says to a log-in, as it is passed on */
    BACKEND_TTL_FIRST = 7,          /* hops between gateways, then it is a loop */
    BACKEND_REFERRALS_MAX = 2       /* followed in one log-in */
};

enum backend_protocol {
    BACKEND_IMAP,
    BACKEND_POP3,
    BACKEND_SUBMISSION,
    BACKEND_SIEVE,
    BACKEND_LMTP,
    BACKEND_PROTOCOL_COUNT
};
extern const char *const backend_protocol_names[BACKEND_PROTOCOL_COUNT]; /* "imap", ... */

enum backend_tls { BACKEND_CLEAR, BACKEND_START_TLS, BACKEND_TLS };
enum backend_identity { /* how a backend is told who the client is */
                        BACKEND_IDENTITY_NONE,
                        BACKEND_IDENTITY_PROXY,  /* PROXY v2 in front of everything */
                        BACKEND_IDENTITY_NATIVE, /* IMAP ID x-..., POP3 and SMTP XCLIENT */
};
enum backend_login {
    BACKEND_LOGIN_FORWARD, /* the client's password or token; needs a mechanism that shows it */
    BACKEND_LOGIN_MASTER   /* SASL PLAIN: the user as authorization identity, the master logs in */
};

/* All texts and lists outlive the table that is made of them. */
struct backend_options {
    struct slice name;
    uint8_t family, address[16];            /* 4 or 6 */
    struct slice host;                      /* for TLS; empty: not verified by name */
    uint16_t ports[BACKEND_PROTOCOL_COUNT]; /* 0: not served */
    unsigned weight;                        /* share of the users; 0: only by exception */
    struct slice tag; /* a user's attribute "tag" chooses among these only; empty: none */
};

struct backend_source {
    uint8_t family, address[16];
};

struct backend_pool_options {
    struct slice name;
    const struct backend_options *backends;
    unsigned backend_count;
    bool
        any_address; /* a directory may name addresses that are no backend here (nginx auth_http) */

    enum backend_tls tls[BACKEND_PROTOCOL_COUNT];
    struct slice tls_ca;       /* PEM; empty: certificates are not verified (pins still are) */
    const uint8_t (*pins)[32]; /* SHA-256 of certificates, one of which must be shown */
    unsigned pin_count;
    struct tls_pair tls_pair; /* our own certificate; empty: none */

    enum backend_identity identity;
    enum backend_login login;
    struct slice master_user, master_password;
    bool judges;    /* users of this pool are known to the backends only: their answer to the
                         log-in is the verdict (FORWARD) */
    bool pipelines; /* log in without waiting for each answer where the protocol allows it */

    const struct backend_source *sources;
    unsigned source_count;
    unsigned connections_max; /* per backend, all cores together; 0: no limit */
    unsigned
        connecting_max; /* log-ins under way per backend and core: the rest waits; 0: no limit */
    uint64_t connect_ms_max;       /* of one attempt to connect, with TLS and greeting */
    uint64_t login_ms_max;         /* of the whole way, all attempts together */
    uint64_t health_ms;            /* between checks of a backend; 0: none */
    unsigned down_after, up_after; /* checks, or log-ins, in a row */
    uint64_t slow_start_ms;        /* a backend that came back takes new users in growing numbers */
    uint64_t affinity_ms;          /* after a user's last session */
};

struct backend; /* its state; never freed while the table is there */
struct backend_pool;
struct backend_table; /* of one generation of the config; states go on across generations by name */
struct backend_states; /* of the process */

/* Once in the process. 0 or -ENOMEM. */
int backend_states_make(unsigned core_count, struct backend_states **ret_states);
void backend_states_free(struct backend_states *states);
/* Immutable, shared by all cores. A backend of the same pool and name keeps its state. problem() is
 * told what cannot be (names twice, a master without a password, ...). 0; -EINVAL; -ENOMEM. */
int backend_table_make(struct backend_states *states, const struct backend_pool_options *pools,
                       unsigned count, void (*problem)(void *argument, const char *what),
                       void *argument, struct backend_table **ret_table);
void backend_table_free(struct backend_table *table);
/* Before cores see it: checks of it that are under way when it is replaced are users of this
 * generation, so that it is not freed beneath them. */
void backend_table_count(struct backend_table *table, struct generation *generation);
const struct backend_pool *backend_pool_find(const struct backend_table *table, struct slice name);
const struct backend_pool_options *backend_pool_options_of(const struct backend_pool *pool);

/* On each core, on a fiber, after net_open: TLS clients are made, health checks begin (each backend
 * on one core). 0 or -errno. The engine must have been made with `connects`. */
int backends_open(struct core *core, struct backend_states *states,
                  const struct backend_table *table);
/* Outside fibers: from now on this table; log-ins under way end with theirs. 0 or -errno, and the
 * old one stays. */
int backends_adopt(struct core *core, const struct backend_table *table);
void backends_close(struct core *core); /* fiber; no link may be left */

/* ---------------------------------------------------------------- logging in */

/* Who the client is, for those backends that are told. Slices live as long as the call. */
struct backend_client {
    uint8_t family, address[16]; /* 4, 6; 0: not known */
    uint16_t port;
    uint8_t our_family, our_address[16];
    uint16_t our_port;
    bool is_secure;
    const char *tls_version, *tls_cipher; /* NULL in clear */
    struct slice session_id;              /* handed on: one id in both logs */
    struct slice hello;                   /* SMTP */
    unsigned ttl; /* hops left as a gateway before us said; else TTL_FIRST */
};

struct backend_request {
    const struct backend_pool *pool;
    enum backend_protocol protocol;
    struct slice user; /* canonical: chooses, and is logged in unless attributes say another */
    struct slice
        attributes; /* "key=value\n" of a directory: host, backend, tag, user (for the backend); not
                       of LMTP: port, tls, pass, master; what is not known is passed over */
    enum auth_mechanism mechanism; /* what the client used */
    struct slice secret;           /* password, or token; data NULL: there is none to forward */
    struct backend_client client;
    bool without_login; /* LMTP: stops behind the greeting and LHLO */
};

/* A connection to a backend, and the user logged in. `stream` first: it is joined with the
 * client's.
 */
struct backend_link {
    struct stream stream;
    struct backend *backend;
    enum backend_protocol protocol;
    void *owner; /* the session's */
    /* The stream's input has come or ended (stream_owner.input); NULL: nobody listens. */
    void (*input)(struct backend_link *link);
    /* private to backend */
    uint32_t state;
    uint64_t user_key;
};

struct backend_answer {
    char text[BACKEND_ANSWER_BYTES_MAX + 1]; /* what it said, without tag and "OK", "NO", "+OK",
                                                "-ERR" or code; printable, "" when nothing */
    char capabilities[BACKEND_CAPABILITY_BYTES_MAX +
                      1];                  /* told with the log-in, blanks between; "" */
    char path[BACKEND_NAME_BYTES_MAX * 3]; /* where it was tried, for the log */
    const char *problem;                   /* with -EAGAIN, for the log: "refused", "timed out" */
    const char *code; /* with -EAGAIN: what it said why, a code of the protocol's that is the
                         client's to know (POP3: "IN-USE"), and then `text` is his too; NULL */
};

/* Fiber. Chooses, connects, logs in; tries others of the pool as far as B1 and the time allow. 0
 * with *ret_link, counted for backend and user until backend_link_close; -EACCES: the backend says
 * wrong (answer->text); -EUSERS: it says too many connections, or its limit is reached; -EAGAIN:
 * unavailable; -ELOOP: too many hops; -ENOKEY: nothing that this log-in could be done with (SCRAM
 * without a master); -EPERM: the user is being moved and the wait for it was too long; -ECANCELED:
 * `gone` said so. `gone` is asked now and then whether the client is still there; may be NULL. */
int backend_log_in(struct core *core, const struct backend_request *request,
                   bool (*gone)(void *argument), void *argument, struct backend_answer *ret_answer,
                   struct backend_link **ret_link);
/* Closes and frees it, now or when its stream is released; its user's affinity begins. From the
 * core's turn or a fiber. */
void backend_link_close(struct backend_link *link);
/* It broke while a session used it: counted for the backend's health. */
void backend_link_lost(struct backend_link *link);

/* What all backends of the pool that are up have said they can, before log-in, as words.h has them.
 * Empty when none has been asked yet. IMAP's words are as they came; of the other protocols a line
 * is a word with its parameters for values: SIZE=1000, SASL=PLAIN,LOGIN, SIEVE=fileinto,reject. */
struct slice backend_capabilities(struct core *core, const struct backend_pool *pool,
                                  enum backend_protocol protocol);

/* ---------------------------------------------------------------- mail, without a log-in */

/* A user's place at a backend while mail is handed to it: B1 holds as for a log-in. Several users
 * with one target may share a connection. */
struct backend_place;
/* Fiber. Chooses (request->without_login; its slices outlive the place); a user who is held is
 * waited for until deadline_ns (0: not). 0; -EAGAIN: none may be used; -EPERM: the user is being
 * moved; -ELOOP, -ENOMEM; with *ret_problem a literal. */
int backend_place_take(struct core *core, const struct backend_request *request,
                       uint64_t deadline_ns, struct backend_place **ret_place,
                       const char **ret_problem);
/* Fiber. When no mail could be handed over there: the connect failed, or the user was given another
 * backend meanwhile, or backend_place_fail was called. Another of the pool, if B1 allows it, and
 * not settled. 0; -EAGAIN; -EPERM; after an error the place can only be given. */
int backend_place_next(struct core *core, struct backend_place *place, uint64_t deadline_ns,
                       const char **ret_problem);
/* Connected, but it took nothing: the backend is not to be tried again. */
void backend_place_fail(struct backend_place *place);
/* One connection serves both. */
bool backend_place_is_same(const struct backend_place *one, const struct backend_place *other);
/* The name that a directory says the backend has for him; data NULL: his own. */
struct slice backend_place_user(const struct backend_place *place);
/* Where it is, for the log. */
struct slice backend_place_name(const struct backend_place *place);
/* Fiber. One attempt to connect to where the places are (which are the same): up to where a
 * transaction may begin, until deadline_ns at most; counted as any. 0 with a link, whose offers
 * stand in ret_answer->capabilities, and is_settled set for each place that may use it (false: the
 * user was given another backend meanwhile), which is one at least; -EUSERS, -EAGAIN, -ELOOP,
 * -ECANCELED. The link is closed before the places are given. */
int backend_place_connect(struct core *core, struct backend_place *const *places, unsigned count,
                          uint64_t deadline_ns, bool (*gone)(void *argument), void *argument,
                          struct backend_answer *ret_answer, struct backend_link **ret_link);
bool backend_place_is_settled(const struct backend_place *place);
/* A message was handed over there: the user's affinity begins when the place is given. */
void backend_place_used(struct backend_place *place);
/* Leaves it: from the core; NULL is allowed. */
void backend_place_give(struct core *core, struct backend_place *place);

/* ---------------------------------------------------------------- the operator */

enum backend_will { /* what the operator wants of it */
                    BACKEND_UP,
                    BACKEND_DRAIN, /* no new users; those with sessions may have more */
                    BACKEND_DOWN   /* nobody; its sessions are ended, spread */
};

struct backend_info {
    struct slice pool, name;
    char address[48];
    unsigned weight, sessions, users;
    enum backend_will will;
    bool is_alive;
    uint64_t state_ms;                  /* since it is so */
    uint64_t logins, failures, refused; /* log-ins done; attempts failed; wrong passwords */
    char problem[120];                  /* of the last failure */
};
/* Of the table in use. False past the end. */
bool backend_info_get(struct core *core, unsigned index, struct backend_info *ret_info);
/* Of the table in use, by NAME or POOL/NAME. 0; -ENOENT; -EEXIST (several of that name). */
int backend_find(struct core *core, struct slice name, const struct backend **ret_backend);
/* On any core; all see it. Results as backend_find. It ends no session: proxy_cut does. */
int backend_will_set(struct core *core, struct slice name, enum backend_will will);
enum backend_will backend_will_of(const struct backend *backend);
/* Since when all of its services are dead and checks hear nothing, no refusal either: what hangs,
 * or has gone without a word, does not close its connections. 0: not so, or nobody checks. */
uint64_t backend_dead_ns(const struct backend *backend);
struct slice backend_name(const struct backend *backend);
struct slice backend_pool_name(const struct backend *backend);

/* An exception for a user: this backend ("" as it would be), log-ins held until then. Kept on the
 * user's home core, and by whoever loads them from a file or a Redis (src/main). Fiber. 0; -ENOENT;
 * -EEXIST (several of that name); -ENOSPC (BACKEND_EXCEPTIONS_MAX). With neither backend nor hold
 * it is taken back. */
enum { BACKEND_EXCEPTIONS_MAX = 1000000, BACKEND_HOLD_MS_MAX = 60000 };
struct backend_exception {
    struct slice user;    /* canonical */
    struct slice backend; /* NAME or POOL/NAME; "": none */
    uint64_t hold_ms;     /* log-ins wait for so long from now; 0: not */
};
int backend_exception_set(struct core *core, const struct backend_exception *exception);
/* Where the user is now and where he would go. Fiber. */
struct backend_whereabouts {
    char current[BACKEND_NAME_BYTES_MAX * 2 + 2]; /* POOL/NAME; "" no session, no affinity */
    char hashed[BACKEND_NAME_BYTES_MAX * 2 + 2];
    char exception[BACKEND_NAME_BYTES_MAX * 2 + 2];
    unsigned sessions;
    uint64_t hold_ms;
};
int backend_whereabouts(struct core *core, const struct backend_pool *pool, struct slice user,
                        struct backend_whereabouts *ret_whereabouts);

#endif
