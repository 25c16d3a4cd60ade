/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of ManageSieve share.
 *
 *   reader.c   lines and literals off the stream ─▶ the text of one command, in its arena
 *   parse.c    pure: what a line announces, strings
 *   login.c    AUTHENTICATE, STARTTLS ─▶ proxy_log_in ─▶ proxy_join
 *   sieve.c    the table of commands, what is said outside of them
 *
 * Invariants:
 *   1 A command that cannot be read to its end ends the session: nothing of it is taken for another
 *     command.
 *   2 Before the log-in, which is always here, what was received is wiped once it is copied.
 */
#ifndef RINGPOST_SIEVE_PRIVATE_H
#define RINGPOST_SIEVE_PRIVATE_H

#include "ringpost/sieve.h"

enum sieve_state { SIEVE_BEFORE = 1 /* nobody is logged in; then the backend speaks */ };

enum {
    SIEVE_TEXT_BYTES_MAX = 16384,    /* of a command, its literals included: a token, and change */
    SIEVE_STRING_BYTES_MAX = 12288,  /* of a message of SASL, in base64 */
    SIEVE_LITERALS_MAX = 4,          /* of a command */
    SIEVE_COMMAND_BYTES_MAX = 131072 /* of the command arena */
};

/* The session's own part: nothing yet. */
struct sieve {
    struct session session; /* first */
};

/* ---------------------------------------------------------------- parse.c: pure */

enum sieve_scanned {
    SIEVE_LINE_WHOLE,   /* the command ends with this line */
    SIEVE_LINE_LITERAL, /* a literal of *ret_size bytes follows, and then another line */
    SIEVE_LINE_LOST     /* neither: what follows could be a literal's bytes, or not */
};
/* A line without its CRLF: quoted strings are closed in their line (RFC 5804, 4). */
enum sieve_scanned sieve_scan(struct slice line, uint64_t *ret_size);

struct sieve_cursor {
    const char *at, *end;
};
/* Each takes one thing and moves the cursor behind it, or is false and leaves it where it was. */
bool sieve_take(struct sieve_cursor *cursor, char c);
/* "quoted", its backslashes taken out into the arena where it has some, or a literal, which lies in
 * the text. false also without memory. */
bool sieve_take_string(struct sieve_cursor *cursor, struct arena *arena, struct slice *ret_string);

struct sieve_authenticate_arguments {
    struct slice mechanism;
    struct slice initial; /* base64 as session_authenticate wants it; data NULL: none */
};
struct sieve_noop_arguments {
    struct slice tag; /* data NULL: none */
};
const char *sieve_parse_none(struct slice text, struct arena *arena, void *ret_arguments);
const char *sieve_parse_authenticate(struct slice text, struct arena *arena, void *ret_arguments);
const char *sieve_parse_noop(struct slice text, struct arena *arena, void *ret_arguments);

/* ---------------------------------------------------------------- reader.c */

/* session_protocol.read */
int sieve_read(struct session *session, struct command_line *ret_line);
/* Fiber. One string by itself, a response of SASL: 0; -EBADMSG; -EMSGSIZE; -errno of the stream. It
 * lies in the command arena. After -EMSGSIZE the session ends (1). */
int sieve_read_string(struct session *session, struct slice *ret_string);

/* ---------------------------------------------------------------- login.c */

void sieve_authenticate(struct session *session, const void *arguments);
void sieve_starttls(struct session *session, const void *arguments);

/* ---------------------------------------------------------------- sieve.c */

/* condition: OK, NO, BYE; code "" or "TRYLATER"; text: quoted, so it holds neither '"' nor '\'. */
void sieve_say(struct session *session, const char *condition, const char *code, const char *text);

#endif
