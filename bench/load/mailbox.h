/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mailboxes as the scenarios of IMAP and POP3 need them: filled before a run, delivered to in it,
 * and read with each message's mark checked. Messages are read as they come, never held whole.
 */
#ifndef RINGPOST_BENCH_MAILBOX_H
#define RINGPOST_BENCH_MAILBOX_H

#include "load.h"
#include "verify.h"

enum { MAILBOX_MESSAGES_MAX = 1000000 }; /* that a mailbox is filled with */

/* What is told of a whole mailbox or a message that is read. */
struct mailbox_reader {
    /* Bytes of the message that is read now, dots removed, lines ended by CRLF. */
    void (*piece)(void *argument, struct slice piece);
    void (*end)(void *argument); /* it has come as a whole; the next piece is of another message */
    void *argument;
};

/* A reader that checks the marks: each message that has one of this run is counted as verified or
 * altered (LOAD_ALTERED); others are not ours. */
struct mailbox_check {
    struct mailbox_reader reader;
    struct verify_reader state;
    struct load_worker *worker;
};
void mailbox_check_init(struct mailbox_check *check, struct load_worker *worker);

/* One who delivers messages to users: by LMTP or SMTP when --also names one, else by APPEND.
 * Zero-initialised, on the heap (it holds a connection); mailbox_sender_close before it goes. */
struct mailbox_sender;
/* Is there a way to deliver? */
bool mailbox_can_send(const struct load_options *options);
int mailbox_sender_make(struct load_worker *worker, struct mailbox_sender **ret_sender);
/* Delivers message `number` to the user; 0 when the server has accepted it. *began_ns (may be NULL)
 * is set when the connection is there and the message goes out. */
int mailbox_send(struct mailbox_sender *sender, unsigned user, uint64_t number, uint64_t *began_ns);
void mailbox_sender_free(struct mailbox_sender *sender);

/* Fills the mailboxes of users index, index + workers, ... up to options->mailbox_messages: what
 * is there already stays. A scenario's prepare. 0 or an enum load_error, counted. */
int mailbox_prepare(struct load_worker *worker);
/* How many workers this run has, and the users that worker looks after: the first is its index. */
unsigned mailbox_workers(const struct load_worker *worker);
/* The user of a worker's session `session`: its own in turn when there are at least as many users
 * as workers, else one that it shares. */
unsigned mailbox_user(const struct load_worker *worker, uint64_t session);

#endif
