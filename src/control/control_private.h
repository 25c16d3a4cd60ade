/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the control protocol share. Handlers run on the session's fiber, on core 0
 * (where Unix sockets are accepted), and reach other cores by core_call.
 */
#ifndef RINGPOST_CONTROL_PRIVATE_H
#define RINGPOST_CONTROL_PRIVATE_H

#include "ringpost/control.h"

enum {
    CONTROL_READY = 1,              /* the one state */
    CONTROL_BATCH_BYTES = 65536,    /* rows of a list that are gathered and sent at once */
    CONTROL_COMMAND_BYTES = 131072, /* of the command arena: a batch, and change */
    CONTROL_BUSY_TRIES = 200,       /* of a core that has no stack free, before it is told */
    CONTROL_TICK_MS = 100,          /* how often what is waited for is looked at */
    CONTROL_PROGRESS_MS = 1000,     /* how often that is told */
    CONTROL_QUALIFIED_BYTES_MAX = BACKEND_NAME_BYTES_MAX * 2 + 1 /* POOL/NAME */
};

/* What an error is, for programs ("code"). */
enum control_code {
    CONTROL_SYNTAX,
    CONTROL_NOT_FOUND,
    CONTROL_AMBIGUOUS,
    CONTROL_NOT_FRONTED,
    CONTROL_BUSY,
    CONTROL_STORAGE,
    CONTROL_FULL,
    CONTROL_CLOSING
};

/* Parsed: what a command does not take is empty or unset. */
struct control_arguments {
    struct slice name;  /* of a backend */
    struct slice user;  /* lower case, in the command arena */
    uint64_t id, limit; /* of a session; rows of a list, 0: all */
    uint64_t ms;        /* a delay or spread; CONTROL_UNSET: not given */
};
#define CONTROL_UNSET UINT64_MAX

static inline const struct control_options *control_options_of(const struct session *session)
{
    return session->service->options;
}

/* parse.c: pure; see struct command */
const char *control_parse_none(struct slice text, struct arena *arena, void *ret_arguments);
const char *control_parse_name(struct slice text, struct arena *arena, void *ret_arguments);
const char *control_parse_down(struct slice text, struct arena *arena, void *ret_arguments);
const char *control_parse_sessions(struct slice text, struct arena *arena, void *ret_arguments);
const char *control_parse_kick(struct slice text, struct arena *arena, void *ret_arguments);
const char *control_parse_user(struct slice text, struct arena *arena, void *ret_arguments);
const char *control_parse_move(struct slice text, struct arena *arena, void *ret_arguments);
const char *control_parse_delay(struct slice text, struct arena *arena, void *ret_arguments);

/* answer.c: a row begun by event_begin_row is sent; waits while the client does not read. */
void control_say(struct session *session, struct event *row);
/* {"ok":true with `key` (may be NULL), as a last line. */
void control_ok(struct session *session, const char *key, int64_t value);
void control_error(struct session *session, enum control_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* {"progress":what,"sessions":N} */
void control_progress(struct session *session, const char *what, uint64_t sessions);
/* The client is still there to be told. */
bool control_is_heard(const struct session *session);
/* core_call, again and again while that core has no stack free. -EAGAIN: it stays so. */
int control_call(struct core *core, unsigned to, int (*fn)(struct core *there, void *argument),
                 void *argument);

/* near.c: the backend that is called most like `name`, for "did you mean"; false: none is like it.
 * POOL/NAME in `text` when `name` has a slash. */
bool control_near(struct core *core, struct slice name, char text[CONTROL_QUALIFIED_BYTES_MAX + 1]);

/* backends.c */
/* 0 with *ret_backend; else the error is told. */
int control_backend(struct session *session, struct slice name, const struct backend **ret_backend);
void control_backends(struct session *session, const void *arguments);
void control_drain(struct session *session, const void *arguments);
void control_down(struct session *session, const void *arguments);
void control_up(struct session *session, const void *arguments);

/* sessions.c */
void control_sessions(struct session *session, const void *arguments);
void control_kick(struct session *session, const void *arguments);

/* users.c */
/* "name@domain" of what was typed; data NULL: out of memory, and the error is told. */
struct slice control_whole_user(struct session *session, struct slice user);
void control_user(struct session *session, const void *arguments);
void control_move(struct session *session, const void *arguments);
void control_delay(struct session *session, const void *arguments);
void control_forget(struct session *session, const void *arguments);

/* move.c */
enum { CONTROL_MOVE_TELLS_MS = 500 };
/* A user is to be at `backend` (POOL/NAME; "": where he would be): log-ins are held, his sessions
 * ended; returns when they are gone, or after CONTROL_MOVE_WAIT_MS_MAX; then log-ins are held for
 * `delay_ms` more. `tell`, now and then, how many sessions are left; may be NULL. On a fiber. 0 and
 * *ret_left; -ENOENT; -ENOSPC; -EAGAIN. */
struct control_move {
    const struct backend_pool *pool;
    struct slice user, backend;
    uint64_t delay_ms;
    void (*tell)(void *argument, uint64_t sessions);
    void *argument;
};
int control_move_user(struct core *core, const struct control_move *move, uint64_t *ret_left);

/* kick.c: ends sessions of all cores: those of the user, or the one with that id (user empty). 0
 * with how many; -EAGAIN: a core is too busy to be asked. */
int control_kick_all(struct core *core, struct slice user, uint64_t id, uint64_t *ret_count);

#endif
