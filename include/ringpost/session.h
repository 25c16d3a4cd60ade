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
 *   P4 Every way a session ends is a row of SESSION_END_TABLE, counted and logged once.
 */
#ifndef RINGPOST_SESSION_H
#define RINGPOST_SESSION_H

#include <assert.h>

#include "ringpost/arena.h"
#include "ringpost/stream.h"

struct session;
struct service;

/* ---------------------------------------------------------------- the protocol's table */

enum command_flag {
    COMMAND_JUNK = 1 << 0,          /* does no work: counts towards service.junk_max */
    COMMAND_ENDS_GROUP = 1 << 1,    /* the last of a pipelined group (RFC 2920 3.1) */
    COMMAND_NEEDS_TLS = 1 << 2,     /* refused on a plain connection */
    COMMAND_FREE_ARGUMENTS = 1 << 3 /* not parsed: `parse` is NULL, arguments are passed as text */
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
    SESSION_REFUSE_UNKNOWN, /* no such command; command is NULL */
    SESSION_REFUSE_STATE,   /* not now: out of order, or not logged in */
    SESSION_REFUSE_TLS,
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
    ROW(MOVE_FAILED, "move_failed", true, "could not move to its user's core")

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

/* Shared by all cores, immutable while services run. Durations in milliseconds; 0 is not "none". */
struct service {
    const struct session_protocol *protocol;
    const void *options;    /* the protocol's: struct smtp_options, ... */
    struct slice host_name; /* ours: greeting, Received, Message-ID */
    const char *address;    /* numeric, or a path with port 0 */
    unsigned port, mode;
    unsigned connections_max;             /* per core */
    unsigned connections_per_address_max; /* per core; IPv6 by /64; 0: no limit of its own */
    uint64_t login_ms_max;                /* from accept to log-in (protocols that have one) */
    uint64_t idle_ms_max;                 /* between commands */
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

/* ---------------------------------------------------------------- one session */

struct session {
    struct stream stream; /* first: the stream's address is the session's */
    const struct service *service;
    struct arena arena;                    /* of the running command; reset when it has ended */
    struct command_line line;              /* of the running command */
    struct session *next, **previous_next; /* of all on this core */
    struct session *queued;                /* waiting for a fiber */
    struct slice user;                     /* canonical, owned; set by session_logged_in */
    uint64_t id; /* unique in this process life; in log lines in hexadecimal */
    uint64_t began_ns;
    uint32_t state;        /* one bit, of the protocol */
    uint32_t private_bits; /* of the session layer */
    uint32_t commands, errors, junk;
    uint32_t move_to; /* core + 1, 0: stays */
    void (*moved)(struct session *session);
    uint32_t idle_ms_max; /* 0: the service's; a protocol may set its own (IDLE, RFC 9051 5.4) */
    uint8_t end;          /* enum session_end */
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
/* Remembers the canonical user (copied), ends the log-in deadline, zeroes junk. 0 or -ENOMEM. */
int session_logged_in(struct session *session, struct slice user);
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
