/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by the files of smtp: what a session and a transaction hold.
 *
 *            HELO/EHLO          MAIL            RCPT              BDAT
 *   START ──────┬──────▶ READY ──────▶ MAIL ────────────▶ RCPT ────────▶ CHUNKS
 *     ▲         ▼ AUTH ──▶ ▲                                │               │
 *     │       LOCKED       └── smtp_reset: RSET, hello, end of DATA or LAST, any failure of them
 *     │  (submission only)
 *     └── STARTTLS, XCLIENT: a session anew
 *
 * Invariants:
 *   M1 A transaction exists exactly in the states MAIL, RCPT and CHUNKS; smtp_reset is the one way
 *      out of them (S19 of the list of bad inputs).
 *   M2 The body exists only while a message is being received: from its first byte until
 *      store_deliver, or smtp_reset, has it.
 *   M3 After a syntactically valid BDAT its bytes are consumed exactly, or the connection closed.
 *   M4 Except in LMTP a recipient with a part elsewhere is the only one of his transaction.
 */
#ifndef RINGPOST_SMTP_PRIVATE_H
#define RINGPOST_SMTP_PRIVATE_H

#include <assert.h>

#include "ringpost/relay.h"
#include "ringpost/smtp.h"
#include "ringpost/store.h"

#include "address.h"
#include "reply.h"

enum {
    LINE_BYTES_MAX = 2048,            /* RFC 5321's 512, and what extensions add */
    COMMAND_BYTES_MAX = 16384,        /* command arena */
    TRANSACTION_BYTES_MAX = 4 << 20,  /* envelope of one message: recipients and their targets, some
                                         2,000 of which may be elsewhere; then 452 */
    HELLO_BYTES_MAX = 255,            /* of the client's name */
    ENVID_BYTES_MAX = 100,            /* RFC 3461 4.4 */
    ORCPT_BYTES_MAX = 500,            /* RFC 3461 4.2 */
    OVERSHOOT_BYTES_MAX = 1 << 20,    /* swallowed beyond twice the largest message, then closed */
    TRACE_BYTES_MAX = 3072,           /* the fields we add */
    OWN_RECEIVED_MAX = 2,             /* our own Received fields before it is a loop */
    LOOP_HEADER_BYTES_MAX = 262144,   /* how much of a header is looked at for loops */
    IN_PLACE_BYTES_MIN = 262144,      /* of DATA: what follows is received into the body itself */
    FIELDS_BYTES_MAX = 512,           /* that complete a header: host names have 255 */
    AUTH_LINE_BYTES_MAX = 12288 + 32, /* AUTH and its initial response (RFC 4954 4) */
    AUTH_MAILBOX_BYTES_MAX = 500,     /* MAIL's AUTH=, as xtext (RFC 4954 5) */
    XCLIENT_VALUE_BYTES_MAX = 255,    /* decoded */
    EXTRAS_BYTES_MAX = 400            /* lines of EHLO that are not for everybody */
};

enum smtp_state {
    STATE_START = 1,
    STATE_READY = 2,
    STATE_MAIL = 4,
    STATE_RCPT = 8,
    STATE_CHUNKS = 16,
    STATE_LOCKED = 32, /* has said hello, must log in first */
    STATE_ANY = 63
};

/* A command whose bytes follow the line: after a refusal nobody knows where the next one begins. */
enum { SMTP_CARRIES_DATA = 1 << 16 };

enum smtp_body { BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME };
enum smtp_notify { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };
enum smtp_return { RETURN_UNSAID, RETURN_FULL, RETURN_HEADERS };

/* Arguments of MAIL and RCPT. */
struct mail_arguments {
    struct smtp_path path;
    struct slice envid; /* xtext as it came; empty: none */
    struct slice auth;  /* AUTH=, the same */
    uint64_t size;      /* SIZE, 0: unsaid */
    uint32_t seen;      /* bits of the parameters given */
    uint8_t body, ret;
    bool is_utf8, requires_tls;
};

struct rcpt_arguments {
    struct smtp_path path;
    struct slice orcpt; /* type;xtext as it came; empty: none */
    uint32_t seen;
    uint8_t notify; /* bits; 0: unsaid */
};

struct recipient {
    struct slice text, orcpt;
    unsigned first, count;           /* its deliveries */
    unsigned away_first, away_count; /* its rows of those elsewhere */
    uint8_t notify;
};

struct transaction {
    struct arena arena;
    struct slice reverse_path, envid, auth;
    struct recipient *recipients;
    struct delivery *deliveries;
    struct relay_recipient *away; /* those elsewhere */
    unsigned recipient_count, recipient_room, delivery_count, delivery_room, refused;
    unsigned away_count, away_room;
    unsigned recipients_left; /* of the user's quota */
    uint8_t body_type, ret;
    bool is_utf8, requires_tls;
    uint64_t declared; /* SIZE */
    /* The message being received. */
    struct message_body *body;
    uint64_t began_ns;
    uint64_t taken;          /* bytes of the message kept, trace fields not counted */
    uint64_t passed;         /* bytes received in all, those that were dropped too */
    size_t trace_size;       /* bytes of the body in front of the message */
    size_t return_path_size; /* the first field's, which is for our own mailboxes only */
    size_t header_size;      /* submission: whole lines of the header that have come */
    size_t line_seen;        /* bytes behind those that hold no LF */
    bool header_done;        /* it is complete */
    uint8_t refusal;         /* enum smtp_reply: REPLY_OK, or why the rest is being dropped */
    char id[17];
};

struct smtp_session {
    struct session session;
    struct transaction *transaction; /* M1 */
    struct slice hello;              /* owned; what the client calls itself */
    struct slice client_name;        /* owned; what a proxy calls it (XCLIENT NAME) */
    bool is_lmtp, is_submission, is_extended, has_xclient;
};

static inline struct smtp_session *smtp_of(struct session *session)
{
    return (struct smtp_session *)session;
}

static inline const struct smtp_options *options_of(const struct smtp_session *smtp)
{
    return smtp->session.service->options;
}

static inline void smtp_say(struct smtp_session *smtp, enum smtp_reply reply)
{
    stream_write(&smtp->session.stream, smtp_replies[reply]);
}

/* smtp.c */
/* Ends the transaction, whatever became of it: the session is READY again (or LOCKED). */
void smtp_reset(struct smtp_session *smtp);
/* Takes a copy; false: no memory, and the old name stays. */
bool smtp_name_keep(struct slice *name, struct slice from);
void smtp_say_greeting(struct smtp_session *smtp);

/* login.c */
/* AUTH is offered on this listener, by this listener's rules. */
static inline bool smtp_takes_auth(const struct smtp_session *smtp)
{
    return smtp->is_submission || (!smtp->is_lmtp && options_of(smtp)->auth_offered);
}
/* front.c */
/* Lines of EHLO in place of ours, where the service fronts; false: it does not. */
bool smtp_front_keywords(struct smtp_session *smtp, struct text *text);
/* The session has its user. True: his submission goes elsewhere, all is said; false: it is ours. */
bool smtp_front(struct smtp_session *smtp);

void smtp_starttls(struct session *session, const void *arguments);
void smtp_auth(struct session *session, const void *arguments);
/* "250-AUTH PLAIN LOGIN\r\n" into text of AUTH_OFFER_BYTES_MAX, or nothing; the size. */
enum { AUTH_OFFER_BYTES_MAX = AUTH_MECHANISMS_BYTES_MAX + 16 };
size_t smtp_auth_offer(struct smtp_session *smtp, char *text);

struct auth_arguments {
    struct slice mechanism;
    struct slice initial; /* base64, or "="; data NULL: none */
};
const char *smtp_parse_auth(struct slice text, struct arena *arena, void *ret_arguments);

/* xclient.c */
void smtp_xclient(struct session *session, const void *arguments);
bool smtp_may_xclient(const struct smtp_session *smtp);
#define XCLIENT_OFFER "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT REVERSE_NAME"

/* What is empty or 0 was not said, or is not known. */
struct xclient_arguments {
    struct slice name, hello, login;
    uint32_t seen;
    uint16_t port;
    uint8_t family; /* as in struct stream */
    uint8_t address[16];
    bool says_name;
};
const char *smtp_parse_xclient(struct slice text, struct arena *arena, void *ret_arguments);

/* parse.c: parsers of the command table */
const char *smtp_parse_hello(struct slice text, struct arena *arena, void *ret_arguments);
const char *smtp_parse_mail(struct slice text, struct arena *arena, void *ret_arguments);
const char *smtp_parse_rcpt(struct slice text, struct arena *arena, void *ret_arguments);
const char *smtp_parse_bdat(struct slice text, struct arena *arena, void *ret_arguments);
const char *smtp_parse_none(struct slice text, struct arena *arena, void *ret_arguments);
const char *smtp_parse_text(struct slice text, struct arena *arena, void *ret_arguments);
const char *smtp_parse_word(struct slice text, struct arena *arena, void *ret_arguments);
/* xtext (RFC 3461 4) as what it stands for, in the arena: printable, UTF-8. 0; -EBADMSG: it is
 * none, or stands for more than bytes_max bytes; -ENOMEM. */
int smtp_xtext_decode(struct slice text, size_t bytes_max, struct arena *arena,
                      struct slice *ret_value);

struct bdat_arguments {
    uint64_t size;
    bool is_last;
};

/* envelope.c */
/* Room for one more, in the transaction's arena. False: no memory. */
bool smtp_delivery_room(struct transaction *transaction, unsigned count);
bool smtp_away_room(struct transaction *transaction, unsigned count);
void smtp_mail(struct session *session, const void *arguments);
void smtp_rcpt(struct session *session, const void *arguments);
/* What the store keeps with the message: one "key value" line each, in the transaction's arena;
 * data NULL: no memory. */
struct slice smtp_envelope(struct smtp_session *smtp);

/* data.c */
void smtp_data(struct session *session, const void *arguments);
void smtp_bdat(struct session *session, const void *arguments);
bool smtp_append(struct message_body *body, struct slice bytes); /* false: no memory */

/* deliver.c */
/* The whole message is there, or has failed (transaction->refusal): delivers and replies, for LMTP
 * once a recipient, then smtp_reset. */
void smtp_finish(struct smtp_session *smtp);

/* trace.c */
/* Return-Path and Received (RFC 5321 4.4) into `text` of TRACE_BYTES_MAX; the size. The
 * transaction knows the first one's. */
size_t smtp_trace(struct smtp_session *smtp, char *text);
enum { FIELD_DATE = 1, FIELD_MESSAGE_ID = 2 };
/* The fields that are missing into `text` of FIELDS_BYTES_MAX; is_cut: the line before has no end;
 * is_bare: what follows needs an empty line. The size. */
size_t smtp_fields(struct smtp_session *smtp, unsigned missing, bool is_cut, bool is_bare,
                   char *text);

/* header.c */
/* Too many Received fields, or one of our own again and again, or delivered here before (S35). */
bool smtp_is_loop(const struct smtp_session *smtp, struct slice message);
/* Submission: more of the message has come (or all of it), and its header is not done yet. False:
 * no memory. */
bool smtp_header_look(struct smtp_session *smtp, bool is_end);

/* quota.c; fiber. Each is 0 at once where there is no quota. */
/* Are there messages left to this user, and how many recipients? 0; -EUSERS: none; -EAGAIN,
 * -ENOMEM. */
int smtp_quota_left(const struct smtp_session *smtp, unsigned *ret_recipients);
/* Counts one message. 0; -EUSERS: too many, nothing is counted; -EAGAIN, -ENOMEM. */
int smtp_quota_take(const struct smtp_session *smtp, unsigned recipients);
void smtp_quota_give(const struct smtp_session *smtp, unsigned recipients); /* it came to nothing */

/* ---------------------------------------------------------------- find.c */

/* Fiber. Whom an address of RCPT leads to: the recipient, with his rows behind those that count
 * (smtp_rcpt counts them). REPLY_OK, or why nobody: USER_UNKNOWN, NO_RELAY, NO_RELAY_YET,
 * NO_DIRECTORY, NO_BACKEND, NO_STORE, NO_MEMORY, RECIPIENTS_MANY; *ret_line, when it is not NULL,
 * is to be said in its place, and with NO_BACKEND it never is NULL. */
enum smtp_reply smtp_find(struct smtp_session *smtp, const struct rcpt_arguments *rcpt,
                          struct recipient *ret_recipient, const char **ret_line);

/* ---------------------------------------------------------------- elsewhere.c */

/* A line of a backend's. */
void smtp_say_line(struct smtp_session *smtp, const char *line);
/* Fiber. Is there such a user at his backend? The row's result and reply. */
void smtp_verify(struct smtp_session *smtp, struct relay_recipient *row);
/* "SUCCESS,DELAY"; empty: unsaid. */
struct slice smtp_notify_text(uint8_t notify);
/* Fiber. Hands the message to those elsewhere; each row's result and reply. */
void smtp_relay(struct smtp_session *smtp);

#endif
