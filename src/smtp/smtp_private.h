/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by the files of smtp: what a session and a transaction hold.
 *
 *            HELO/EHLO          MAIL            RCPT              BDAT
 *   START ─────────────▶ READY ──────▶ MAIL ────────────▶ RCPT ────────▶ CHUNKS
 *                          ▲                                │               │
 *                          └── smtp_reset: RSET, hello, end of DATA or LAST, any failure of them
 *
 * Invariants:
 *   M1 A transaction exists exactly in the states MAIL, RCPT and CHUNKS; smtp_reset is the one way
 *      out of them (S19 of the list of bad inputs).
 *   M2 The body exists only while a message is being received: from its first byte until
 *      store_deliver, or smtp_reset, has it.
 *   M3 After a syntactically valid BDAT its bytes are consumed exactly, or the connection closed.
 */
#ifndef RINGPOST_SMTP_PRIVATE_H
#define RINGPOST_SMTP_PRIVATE_H

#include <assert.h>

#include "ringpost/smtp.h"
#include "ringpost/store.h"

#include "address.h"
#include "reply.h"

enum {
    LINE_BYTES_MAX = 2048,           /* RFC 5321's 512, and what extensions add */
    COMMAND_BYTES_MAX = 16384,       /* command arena */
    TRANSACTION_BYTES_MAX = 4 << 20, /* envelope of one message: recipients and their targets */
    HELLO_BYTES_MAX = 255,           /* of the client's name */
    ENVID_BYTES_MAX = 100,           /* RFC 3461 4.4 */
    ORCPT_BYTES_MAX = 500,           /* RFC 3461 4.2 */
    OVERSHOOT_BYTES_MAX = 1 << 20,   /* swallowed beyond twice the largest message, then closed */
    TRACE_BYTES_MAX = 3072,          /* the fields we add */
    OWN_RECEIVED_MAX = 2,            /* our own Received fields before it is a loop */
    LOOP_HEADER_BYTES_MAX = 262144,  /* how much of a header is looked at for loops */
    IN_PLACE_BYTES_MIN = 262144,     /* of DATA: what follows is received into the body itself */
    EARLY_MS = 20                    /* how long an early talker is waited for */
};

enum smtp_state {
    STATE_START = 1,
    STATE_READY = 2,
    STATE_MAIL = 4,
    STATE_RCPT = 8,
    STATE_CHUNKS = 16,
    STATE_ANY = 31
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
    uint64_t size;      /* SIZE, 0: unsaid */
    uint32_t seen;      /* bits of the parameters given */
    uint8_t body, ret;
    bool is_utf8;
};

struct rcpt_arguments {
    struct smtp_path path;
    struct slice orcpt; /* type;xtext as it came; empty: none */
    uint32_t seen;
    uint8_t notify; /* bits; 0: unsaid */
};

struct recipient {
    struct slice text, orcpt;
    unsigned first, count; /* its deliveries */
    uint8_t notify;
};

struct transaction {
    struct arena arena;
    struct slice reverse_path, envid;
    struct recipient *recipients;
    struct delivery *deliveries;
    unsigned recipient_count, recipient_room, delivery_count, delivery_room, refused;
    uint8_t body_type, ret;
    bool is_utf8;
    uint64_t declared; /* SIZE */
    /* The message being received. */
    struct message_body *body;
    uint64_t began_ns;
    uint64_t taken;  /* bytes of the message kept, trace fields not counted */
    uint64_t passed; /* bytes received in all, those that were dropped too */
    uint8_t refusal; /* enum smtp_reply: REPLY_OK, or why the rest is being dropped */
    char id[17];
};

struct smtp_session {
    struct session session;
    struct transaction *transaction; /* M1 */
    struct slice hello;              /* owned; what the client calls itself */
    bool is_lmtp, is_extended;
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
/* Ends the transaction, whatever became of it: the session is READY again. */
void smtp_reset(struct smtp_session *smtp);

/* parse.c: parsers of the command table */
const char *smtp_parse_hello(struct slice text, struct arena *arena, void *ret_arguments);
const char *smtp_parse_mail(struct slice text, struct arena *arena, void *ret_arguments);
const char *smtp_parse_rcpt(struct slice text, struct arena *arena, void *ret_arguments);
const char *smtp_parse_bdat(struct slice text, struct arena *arena, void *ret_arguments);
const char *smtp_parse_none(struct slice text, struct arena *arena, void *ret_arguments);
const char *smtp_parse_text(struct slice text, struct arena *arena, void *ret_arguments);
const char *smtp_parse_word(struct slice text, struct arena *arena, void *ret_arguments);

struct bdat_arguments {
    uint64_t size;
    bool is_last;
};

/* envelope.c */
void smtp_mail(struct session *session, const void *arguments);
void smtp_rcpt(struct session *session, const void *arguments);
/* What the store keeps with the message: one "key value" line each, in the transaction's arena;
 * data NULL: no memory. */
struct slice smtp_envelope(struct smtp_session *smtp);

/* data.c */
void smtp_data(struct session *session, const void *arguments);
void smtp_bdat(struct session *session, const void *arguments);

/* deliver.c */
/* The whole message is there, or has failed (transaction->refusal): delivers and replies, for LMTP
 * once a recipient, then smtp_reset. */
void smtp_finish(struct smtp_session *smtp);

/* trace.c */
/* Return-Path and Received (RFC 5321 4.4) into `text` of TRACE_BYTES_MAX; the size. */
size_t smtp_trace(struct smtp_session *smtp, char *text);
/* Too many Received fields, or one of our own again and again, or delivered here before (S35). */
bool smtp_is_loop(const struct smtp_session *smtp, struct slice message);

#endif
