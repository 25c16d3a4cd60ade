/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The POP3 session and what its files share.
 *
 *   AUTHORIZATION ─USER─▶ NAMED ─PASS─▶ (moves to the user's core, opens the maildrop)
 *        ▲                  │                       │                 │
 *        └───── wrong ──────┘        in use, no store: ends     TRANSACTION ─QUIT─▶ update, end
 *
 * Invariants:
 *   1. account, mailbox and view are open exactly in TRANSACTION, and the maildrop is locked then;
 *      pop3_closed, which runs at every end, lets go of them.
 *   2. Nothing is deleted but by the one mailbox_expunge of QUIT.
 *   3. Between commands a session holds no buffer: only the name between USER and PASS, and one bit
 *      a message from the first DELE on.
 */
#ifndef RINGPOST_POP3_PRIVATE_H
#define RINGPOST_POP3_PRIVATE_H

#include "ringpost/auth.h"
#include "ringpost/pop3.h"
#include "ringpost/store.h"

enum pop3_state {
    POP3_AUTHORIZATION = 1, /* RFC 1939, 4 */
    POP3_NAMED = 2,         /* USER was given: PASS may follow */
    POP3_TRANSACTION = 4    /* RFC 1939, 5 */
};

enum {
    POP3_LINE_BYTES_MAX = 1024,      /* RFC 2449, 4 demands 255; passwords may be longer */
    POP3_COMMAND_BYTES_MAX = 131072, /* of the command arena: one piece of a message, and change */
    POP3_PIECE_BYTES = 65536,        /* read and sent at once */
    POP3_LIST_BYTES = 4096,          /* lines of a listing that are written at once */
    POP3_LINES_MAX = INT32_MAX       /* TOP: some clients ask for 99,999,999 to get all */
};

struct pop3 {
    struct session session; /* first */
    struct slice name;      /* owned, between USER and PASS */
    struct account *account;
    struct mailbox *mailbox;
    struct view view;
    uint8_t *deleted; /* a bit a message; NULL: none deleted */
    uint32_t deleted_count;
    uint32_t uidvalidity;
    uint64_t bytes, deleted_bytes; /* of all messages of the view; of the deleted ones */
    bool is_mute; /* in the middle of a multi-line response, or the last words are said */
};

struct pop3_arguments {
    uint32_t number; /* of a message; 0: none given */
    uint32_t lines;  /* TOP */
};

struct pop3_auth_arguments {
    struct slice mechanism, initial; /* initial.data NULL: none was given */
};

static inline struct pop3 *pop3_of(struct session *session)
{
    return (struct pop3 *)session;
}

/* parse.c: pure */
const char *pop3_parse_none(struct slice text, struct arena *arena, void *ret_arguments);
const char *pop3_parse_number(struct slice text, struct arena *arena, void *ret_arguments);
const char *pop3_parse_maybe_number(struct slice text, struct arena *arena, void *ret_arguments);
const char *pop3_parse_top(struct slice text, struct arena *arena, void *ret_arguments);
const char *pop3_parse_auth(struct slice text, struct arena *arena, void *ret_arguments);

/* cut.c: pure. Where a message is cut that is to have its header, the blank line and `lines` of its
 * body. */
struct cut {
    uint64_t lines;
    bool is_body, is_line_begun, is_done;
    char before; /* the only byte of the line that has begun, when that is CR */
};
void cut_init(struct cut *cut, uint64_t lines);
/* How many of these bytes, the next ones of the message, are still to be sent. */
size_t cut_next(struct cut *cut, struct slice bytes);

/* pop3.c */
void pop3_ok(struct session *session);
/* "-ERR [CODE] text" for an -errno, by one table. */
void pop3_error(struct session *session, int error);
/* Now + the service's time for a command + 1 ms a byte that is to leave. */
void pop3_deadline(struct session *session, uint64_t bytes);

/* front.c */
void pop3_front(struct session *session); /* logged in here: and there */
/* CAPA's lines of what is behind the log-in; false: they are ours to say. */
bool pop3_front_capa(struct session *session);

/* login.c */
void pop3_user(struct session *session, const void *arguments);
void pop3_pass(struct session *session, const void *arguments);
void pop3_auth(struct session *session, const void *arguments);
void pop3_stls(struct session *session, const void *arguments);
void pop3_forget_name(struct pop3 *pop3);

/* maildrop.c */
void pop3_open_maildrop(struct session *session);
void pop3_close_maildrop(struct pop3 *pop3);
/* The message of that number if there is one and it is not deleted; else NULL, refused. Valid until
 * the fiber parks. */
const struct mail_entry *pop3_message(struct pop3 *pop3, uint32_t number);
void pop3_stat(struct session *session, const void *arguments);
void pop3_list(struct session *session, const void *arguments);
void pop3_uidl(struct session *session, const void *arguments);
void pop3_dele(struct session *session, const void *arguments);
void pop3_rset(struct session *session, const void *arguments);
void pop3_quit(struct session *session, const void *arguments);

/* retrieve.c */
void pop3_retr(struct session *session, const void *arguments);
void pop3_top(struct session *session, const void *arguments);

#endif
