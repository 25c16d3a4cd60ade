/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session is one client connection speaking a line protocol: the loop that reads commands, looks
 * them up in the protocol's one table, refuses what is not legal now, and runs the rest on a fiber,
 * top to bottom. The same loop serves SMTP, LMTP, POP3 and IMAP.
 *
 *   accept ─▶ protocol.open ─▶ [ idle ⇄ command … ] ─▶ protocol.goodbye ─▶ protocol.closed ─▶ freed
 *                                 │         └─ fiber: read → look up → parse → run, while whole
 *                                 │            commands are there
 *                                 └─ no fiber, no command memory, no receive buffer
 *
 * Invariants:
 *   P1 One fiber at most runs for a session; protocol functions are only called from it.
 *   P2 A handler never re-checks what its table row says: state, flags, syntax.
 *   P3 The deadline for a command is set once, when it is awaited; received bytes do not move it.
 *   P4 Every way a session ends is a row of SESSION_END_TABLE, counted once and logged once; those
 *      refused before they began are counted likewise, and logged together once a second.
 */
#ifndef RINGPOST_SESSION_H
#define RINGPOST_SESSION_H

#include <assert.h>

#include "ringpost/arena.h"
#include "ringpost/auth.h"
#include "ringpost/generation.h"
#include "ringpost/network.h"
#include "ringpost/tls.h"

struct session;
struct service;

/* ---------------------------------------------------------------- the protocol's table */

enum command_flag {
    COMMAND_JUNK = 1 << 0,       /* does no work: counts towards service.junk_max */
    COMMAND_ENDS_GROUP = 1 << 1, /* the last of a pipelined group (RFC 2920 3.1) */
    COMMAND_SECRET = 1 << 2, /* carries a password: refused in clear unless the service allows it;
                                wiped where it lay, refused or not */
    COMMAND_FREE_ARGUMENTS = 1 << 3, /* not parsed: `parse` is NULL, arguments are passed as text */
    COMMAND_WIPED = 1 << 4 /* may carry a secret, not only in clear (AUTH): its arguments are wiped
                              when it is refused, else by session_authenticate */
    /* bits 16..31 belong to the protocol */
};

/* One row. Its index is its counter (counters.commands[protocol][index]). */
struct command {
    const char *name; /* upper case; matched without regard to case, whole */
    uint32_t states;  /* bits: legal when (states & session->state) != 0 */
    uint32_t flags;
    /* Pure: text behind the verb (no leading space) into *ret_arguments, which is zeroed and of
     * arguments_size bytes, in the command arena. NULL, or why not (fit for the peer). */
    const char *(*parse)(struct slice text, struct arena *arena, void *ret_arguments);
    size_t arguments_size;
    void (*run)(struct session *session, const void *arguments);
    const char *help; /* syntax, for HELP and the documentation */
};

/* What a protocol's own reader found; slices live in the command arena or until the next reading
 * call. */
struct command_line {
    struct slice tag; /* IMAP; else empty */
    struct slice verb;
    struct slice arguments;
};

enum session_refusal {
    SESSION_REFUSE_UNKNOWN,  /* no such command; command is NULL */
    SESSION_REFUSE_STATE,    /* not now: out of order, or not logged in */
    SESSION_REFUSE_TLS,      /* COMMAND_SECRET in clear */
    SESSION_REFUSE_SYNTAX,   /* why from parse, or from the reader */
    SESSION_REFUSE_TOO_LONG, /* the line; already discarded */
    SESSION_REFUSE_BARE,     /* a bare CR or LF ended or stood in the line */
    SESSION_REFUSE_MEMORY    /* temporary */
};

/*  enum, label (on /metrics), is_error, text (log: "end") */
#define SESSION_END_TABLE(ROW)                                                                     \
    ROW(NONE, "none", false, "open")                                                               \
    ROW(QUIT, "quit", false, "client said goodbye")                                                \
    ROW(CLOSED, "closed", false, "client closed the connection")                                   \
    ROW(RESET, "reset", true, "connection reset")                                                  \
    ROW(IDLE, "idle", false, "idle too long")                                                      \
    ROW(LOGIN_LATE, "login_late", true, "no log-in in time")                                       \
    ROW(COMMAND_LATE, "command_late", true, "command not finished in time")                        \
    ROW(READER_SLOW, "reader_slow", true, "client does not read")                                  \
    ROW(DRAIN, "drain", false, "server is shutting down")                                          \
    ROW(ERRORS, "errors", true, "too many errors")                                                 \
    ROW(JUNK, "junk", true, "too many commands without effect")                                    \
    ROW(FORBIDDEN, "forbidden", true, "not this protocol")                                         \
    ROW(EARLY, "early", true, "spoke before the greeting")                                         \
    ROW(PROTOCOL, "protocol", true, "protocol violation")                                          \
    ROW(MEMORY, "memory", true, "out of memory")                                                   \
    ROW(STORE, "store", true, "store not available")                                               \
    ROW(MAILBOX_GONE, "mailbox_gone", false, "selected mailbox was deleted")                       \
    ROW(IN_USE, "in_use", false, "maildrop in use by another session")                             \
    ROW(KICKED, "kicked", false, "closed by the operator")                                         \
    ROW(MOVE_FAILED, "move_failed", true, "could not move to its user's core")                     \
    ROW(TLS_FAILED, "tls_failed", true, "TLS handshake failed")                                    \
    ROW(TLS_INJECTED, "tls_injected", true, "clear text behind STARTTLS")                          \
    ROW(PROXY_BAD, "proxy_bad", true, "no PROXY header that may be believed")                      \
    ROW(TOO_MANY, "too_many", true, "too many connections")                                        \
    ROW(OVERLOAD, "overload", true, "server is too busy")                                          \
    ROW(BACKEND_CLOSED, "backend_closed", false, "backend closed the connection")                  \
    ROW(BACKEND_LOST, "backend_lost", true, "connection to the backend was lost")                  \
    ROW(BACKEND_DOWN, "backend_down", false, "backend was taken down")                             \
    ROW(BACKEND_DEAD, "backend_dead", true, "backend does not answer")                             \
    ROW(LOGGED_OUT, "logged_out", true, "no other user can be logged in here")

#define SESSION_END_ENUM(name, label, is_error, text) SESSION_END_##name,
enum session_end { SESSION_END_TABLE(SESSION_END_ENUM) SESSION_END_COUNT };
#undef SESSION_END_ENUM
static_assert((int)SESSION_END_COUNT <= (int)ENDS_MAX, "counters.ends has a word for each row");

struct session_end_row {
    const char *label, *text;
    bool is_error;
};
extern const struct session_end_row session_end_rows[SESSION_END_COUNT];

struct session_protocol {
    enum protocol_id id;
    const char *name; /* "smtp" */
    const struct command *commands;
    unsigned command_count;
    size_t session_bytes;     /* of the protocol's own struct, which begins with struct session */
    size_t line_bytes_max;    /* of one command line, CRLF excluded */
    size_t command_bytes_max; /* cap of the command arena */
    uint32_t state_first;     /* session->state of a new session */
    bool without_login;       /* service.login_ms_max does not concern it (SMTP, LMTP) */
    const char *alpn;         /* "imap"; NULL: no TLS (LMTP) */
    /* Makes the protocol's own fields, which are zero, ready; says nothing. Before `open`, and
     * again after STARTTLS, when `closed` has let go of the old ones: the session under TLS is
     * another one (RFC 3207 4.2, RFC 2595). May be NULL. */
    void (*begin)(struct session *session);
    /* Once, on the first fiber: says the greeting, may refuse (session_end). */
    void (*open)(struct session *session);
    /* NULL: a command is one line, its verb ends at the first space or at its end. Else reads one
     * command from the stream: 0; or -errno of the stream, after which the session ends; or
     * -EAGAIN: nothing to run, refused or handled already, go on. */
    int (*read)(struct session *session, struct command_line *ret_line);
    /* Answers a command that is not run. The loop counts the error afterwards. `tag` in
     * session->line. */
    void (*refuse)(struct session *session, const struct command *command,
                   enum session_refusal refusal, const char *why);
    /* The session ends by our will, for `end`: say so ("421 ...", "* BYE ..."). Not for QUIT (its
     * handler has spoken), CLOSED, RESET. */
    void (*goodbye)(struct session *session, enum session_end end);
    /* After session_wake: something else than input (IDLE: the mailbox changed). May be NULL. */
    void (*woken)(struct session *session);
    /* The last call: let go of what the protocol holds (views, transaction). On a fiber. */
    void (*closed)(struct session *session);
    /* Sent to a connection beyond the limits. */
    struct slice refusal;
};

/* ---------------------------------------------------------------- a listener's settings */

enum service_tls {
    SERVICE_CLEAR,     /* no TLS on this listener */
    SERVICE_START_TLS, /* begins in clear, offers STARTTLS or STLS */
    SERVICE_TLS        /* begins with the handshake */
};

/* Shared by all cores, immutable while services run. Durations in milliseconds; 0 is not "none". */
struct service {
    const struct session_protocol *protocol;
    const void *options;    /* the protocol's: struct smtp_options, ... */
    struct slice host_name; /* ours: greeting, Received, Message-ID */
    const char *address;    /* numeric, or a path with port 0 */
    unsigned port, mode;
    unsigned connections_max;             /* per core */
    unsigned connections_per_address_max; /* per core; IPv6 by /64; 0: no limit of its own */
    unsigned connections_per_network_max; /* per core; IPv4 by /24, IPv6 by /48; 0: likewise */
    unsigned connections_per_user_max;    /* per core, of one user from one address; 0: likewise */
    unsigned before_login_percent_max; /* of connections_max, per core: how many connections there
                                             may be without a user, of all services that set this;
                                             the rest is kept for users. 0: no such limit */
    struct network_set unlimited;  /* addresses that the three limits and overload do not concern */
    struct network_set proxy_from; /* not empty: every connection begins with a PROXY header, v1 or
                                      v2, and comes from these networks; others are closed */
    struct network_set xclient_from; /* who may say XCLIENT (SMTP) */
    enum service_tls tls;
    struct tls_service tls_service;        /* alpn is the protocol's */
    bool plain_login_allowed;              /* passwords in clear */
    uint64_t error_ms_first, error_ms_max; /* after the errors_free-th error each reply comes later,
                                              by this, doubling */
    unsigned errors_free;
    struct generation *generation; /* counted by each session; NULL: none */
    const struct proxy_options
        *front;              /* proxy.h: users whose mail is elsewhere; NULL: all are local */
    uint64_t login_ms_max;   /* from accept to log-in (protocols that have one) */
    uint64_t idle_ms_max;    /* between commands */
    uint64_t command_ms_max; /* from a command's first byte to its last; and for a reply to leave */
    unsigned errors_max;     /* then goodbye(ERRORS) */
    unsigned junk_max;       /* then goodbye(JUNK) */
};

/* Once per core, on all cores before the first service of any; 0 or -errno. */
int sessions_open(struct core *core);
/* Listens. The service must outlive the sessions. Fiber. 0 or -errno (-EADDRINUSE, -EACCES ...). */
int service_open(struct core *core, const struct service *service);
/* Stops accepting, tells every session of this core goodbye (paced over `pace_ms`, idle ones
 * first), lets running commands end. After `wait_ms` it interrupts those that wait for input: what
 * has room for its last words says them; a second later what is left is closed without. Returns
 * when all are gone. Fiber. */
void sessions_drain(struct core *core, uint64_t pace_ms, uint64_t wait_ms);
/* Frees what sessions_open made: once sessions_drain has returned on every core. */
void sessions_close(struct core *core);
/* Sessions now on this core. */
unsigned sessions_count(const struct core *core);
/* From now on the listeners of this core use those of the new services that stand at the same
 * address and port; sessions keep the service that they began with. Services without a listener and
 * listeners without a service are left alone. */
void services_adopt(struct core *core, const struct service *const *services, unsigned count);

/* ---------------------------------------------------------------- one session */

/* What a log-in leaves for a backend that is to see it too, where the service fronts (A4: wiped and
 * freed by session_login_forget, or with the session). */
struct session_login {
    enum auth_mechanism mechanism; /* AUTH_PLAIN for LOGIN, PASS */
    struct slice secret;           /* password or token; data NULL: none was shown */
    struct slice attributes;       /* of the directory, "key=value\n" each */
    struct slice user;             /* canonical, also before it is session->user */
    bool is_unverified;            /* the backend is to judge; session_login_judged tells auth */
    struct auth_result answer;     /* whose penalty it is */
};

/* A session that is joined with another stream (proxy.h): the loop is over, nothing is read or said
 * but through this. All calls in the core's turn, outside fibers, but for `closed`. */
struct session_joint {
    const struct stream_observer *observer;
    /* A side has ended, see stream_join. Usually: session_end. */
    void (*ended)(struct session *session, struct stream *side);
    /* May the protocol's goodbye be said now? */
    bool (*may_speak)(const struct session *session);
    /* The session's log line: what else there is to say. */
    void (*log)(const struct session *session, struct event *event);
    /* The session ends: let go of the other stream. On a fiber. */
    void (*closed)(struct session *session);
};

struct session {
    struct stream stream; /* first: the stream's address is the session's */
    const struct service *service;
    struct arena arena;                    /* of the running command; reset when it has ended */
    struct command_line line;              /* of the running command */
    struct session *next, **previous_next; /* of all on this core */
    struct session *queued;                /* waiting for a fiber */
    struct slice user;                     /* canonical, owned; set by session_logged_in */
    struct session_login *login;           /* owned; between log-in and proxy_log_in */
    const struct session_joint *joint;     /* joined */
    void *joint_owner;                     /* its owner's, until joint->closed */
    struct stream *joined_with;            /* private to session; until joint->closed */
    struct slice hello; /* SMTP: what the client calls itself; the protocol's memory */
    uint64_t id;        /* unique in this process life; in log lines in hexadecimal */
    uint64_t began_ns;
    uint32_t state;        /* one bit, of the protocol */
    uint32_t private_bits; /* of the session layer */
    uint32_t commands, errors, junk;
    uint32_t logins;  /* tried */
    uint32_t move_to; /* core + 1, 0: stays */
    void (*moved)(struct session *session);
    uint32_t idle_ms_max; /* 0: the service's; a protocol may set its own (IDLE, RFC 9051 5.4) */
    uint8_t end;          /* enum session_end */
    uint8_t hops_left;    /* and one, as a gateway before us said; 0: nobody did */
};

static inline struct core *session_core(const struct session *session)
{
    return session->stream.core;
}

/* Ends the session after this command: goodbye(end) is said unless end is QUIT; first reason
 * wins. */
void session_end(struct session *session, enum session_end end);
/* A handler's own verdict: counts as an error (limit service.errors_max). */
void session_count_error(struct session *session);
/* Remembers the canonical user (copied), ends the log-in deadline, zeroes junk. 0; -EUSERS: so many
 * connections of the user are there already, nothing has changed; -ENOMEM. */
int session_logged_in(struct session *session, struct slice user);
/* The client is another one than the connection's peer (XCLIENT). Its limits are those of the new
 * address: -EUSERS when that is at one, and nothing has changed. family is 4 or 6. */
int session_set_peer(struct session *session, unsigned family, const uint8_t *address,
                     uint16_t port);
/* The connection is encrypted. */
static inline bool session_is_secure(const struct session *session)
{
    return stream_is_secure(&session->stream);
}
/* Commands that carry a password are taken now. */
static inline bool session_may_log_in(const struct session *session)
{
    return session_is_secure(session) || session->service->plain_login_allowed;
}
/* Whether STARTTLS is to be offered, and done when asked for. */
bool session_offers_tls(const struct session *session);
/* Last act of the handler of STARTTLS, which has written its "go ahead" already: that is sent, then
 * the handshake begins, and then a new session of the same protocol (protocol->begin). Whatever the
 * client sent behind STARTTLS ends the session instead (TLS_INJECTED; take the "go ahead" back by
 * asking session_has_unread first). */
void session_start_tls(struct session *session);
/* Bytes behind the running command are there already. */
static inline bool session_has_unread(const struct session *session)
{
    return stream_unread(&session->stream) > 0;
}

/* Who the client is, for auth.h: counts a try to log in. Slices live as long as the command. */
void session_auth_client(struct session *session, struct auth_client *ret_client);
/* What to offer now: auth_mechanisms for this client, without counting a try. */
size_t session_mechanisms(struct session *session, char text[AUTH_MECHANISMS_BYTES_MAX]);
/* A password, by a command of the protocol (LOGIN, PASS): auth_password, auth_wait,
 * session_logged_in, and the limit of connections per user. 0: the session has its user; the
 * handler goes on from there (session_move ...). Else -errno as auth_password, or -EUSERS (too many
 * connections of this user); counted as an error of the session where it is one. Wipes the
 * password. */
int session_log_in(struct session *session, struct slice user, struct slice password);
/* The same by SASL: AUTH, AUTHENTICATE. `initial` is base64 as it came ("=": empty; data NULL:
 * none); challenges are sent as `prompt` ("334 ", "+ ") and base64. Results as auth_sasl and
 * session_log_in; -ECANCELED: the client gave up; a stream's error: just return. */
int session_authenticate(struct session *session, struct slice mechanism, struct slice initial,
                         struct slice prompt);
/* The same where messages are no lines of their own (ManageSieve). `ask` sends the challenge, as
 * base64, and gives the response's base64, writable until the next reading call: 0; -ECANCELED (it
 * was "*"); -EBADMSG; -EMSGSIZE; -errno of the stream. */
int session_authenticate_by(struct session *session, struct slice mechanism, struct slice initial,
                            int (*ask)(struct session *session, struct slice challenge,
                                       struct slice *ret_base64));
void session_write_base64(struct session *session, struct slice bytes);

/* For proxy.h. Takes back session_logged_in: the backend did not let the user in. */
void session_log_out(struct session *session);
/* The verdict of a backend on session->login: counts for auth's penalties and holds a refusal back.
 * Fiber. */
void session_login_judged(struct session *session, bool is_right);
void session_login_forget(struct session *session);
/* Last act of a handler: when its output is sent the session's stream is joined with `other`, its
 * unread input first. The deadline is cleared; drain, limits and counts go on. */
void session_join(struct session *session, struct stream *other, const struct session_joint *joint,
                  void *owner);
/* Each session of this core, until tell() is false; it may call session_end. */
void sessions_each(struct core *core, bool (*tell)(void *argument, struct session *session),
                   void *argument);

/* After this handler has returned (and its output is sent) the session moves to another core and
 * `then` runs there on a fiber, before any further command; at once when it is this core. If the
 * move fails the session ends. Last act of a handler. What lies in the session's arena is still
 * there for `then` (session->line of the default reader does not, a reader's own line may). */
void session_move(struct session *session, unsigned to_core, void (*then)(struct session *session));
/* From the session's core, outside or inside fibers: protocol->woken runs on a fiber soon, unless
 * the session is ending. Several calls before that count once. */
void session_wake(struct session *session);
/* Sets the deadline for a long command (receiving a message, sending a large one): now + ms instead
 * of service.command_ms_max from its start; cleared by the loop. When it fires, the reading or
 * writing call under way fails; the handler then just returns and the loop ends the session. */
void session_deadline(struct session *session, uint64_t ms);
/* A unique id in text for log lines, "250 ... as" and Received: core, time and counter in 16
 * characters of base 32. `text` holds 17 bytes. */
void session_unique(struct core *core, char *text);

#endif
