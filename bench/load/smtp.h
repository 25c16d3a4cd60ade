/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SMTP and LMTP as a client (RFC 5321, 2033), with PIPELINING (2920), CHUNKING (3030), STARTTLS
 * (3207) and AUTH PLAIN (4954). Each function waits on its fiber for the answers, records the
 * phases, and gives 0 or an enum load_error that has been counted. After LOAD_TEMPORARY and
 * LOAD_PERMANENT (4xx, 5xx) the connection goes on, unless the server said 421; after all others it
 * is closed.
 *
 * Sends and round trips of a message on a connection that is there:
 *
 *     PIPELINING             MAIL RCPT... DATA │ the message and its dot            2
 *     PIPELINING, BDAT       MAIL RCPT... BDAT with the message                     1
 *     neither                MAIL │ RCPT (each) │ DATA │ the message                4
 *     BDAT alone             MAIL │ RCPT (each) │ BDAT with the message             3
 *
 * A message of up to SMTP_COPY_BYTES_MAX leaves in one send; a larger one from where it lies.
 */
#ifndef RINGPOST_BENCH_SMTP_H
#define RINGPOST_BENCH_SMTP_H

#include "content.h"
#include "peer.h"

enum {
    SMTP_RECIPIENTS_MAX = 1000, /* of a message */
    SMTP_REPLY_LINES_MAX = 200,
    SMTP_COPY_BYTES_MAX = 32768,
    SMTP_CHUNK_BYTES_MAX = 1 << 20 /* of one BDAT */
};

/* peer.capabilities */
enum {
    SMTP_PIPELINING = 1 << 0,
    SMTP_8BITMIME = 1 << 1,
    SMTP_SIZE = 1 << 2,
    SMTP_CHUNKING = 1 << 3,
    SMTP_STARTTLS = 1 << 4,
    SMTP_AUTH_PLAIN = 1 << 5
};

/* Zero-initialised; embedded in its worker. */
struct smtp {
    struct peer peer;
    struct load_worker *worker;
    enum load_protocol protocol;
    unsigned delivered; /* messages on this connection, refused ones too */
    bool wants_reset;   /* a transaction was left open */
    bool has_quit;      /* QUIT is sent already */
    char sender[LOAD_USER_BYTES_MAX];
};

/* One message to its recipients. */
struct smtp_delivery {
    const struct content_message *message;
    uint64_t number;       /* for the books of --verify */
    const unsigned *users; /* recipients, by number */
    unsigned user_count;   /* 1...SMTP_RECIPIENTS_MAX */
    bool is_last;          /* QUIT follows, in the same send where the server pipelines */
};

/* Connects, greeting, EHLO or LHLO, TLS, and with --login AUTH as user number `user`. `number` as
 * in peer_open. */
int smtp_open(struct smtp *smtp, struct load_worker *worker, enum load_protocol protocol,
              unsigned number, unsigned user);
/* AUTH, on a connection that is not logged in yet. */
int smtp_login(struct smtp *smtp, unsigned user);
/* 0 when it was accepted for all; else the first error of all that were counted. The books
 * (verify.h) are written. */
int smtp_deliver(struct smtp *smtp, const struct smtp_delivery *delivery);
/* QUIT, and closes; also a connection that is not open. */
void smtp_quit(struct smtp *smtp);
/* Before the worker ends. */
void smtp_forget(struct smtp *smtp);

/* Recipient i of message `number`: the run's seed decides. */
unsigned smtp_recipient(const struct load_options *options, uint64_t number, unsigned i);

#endif
