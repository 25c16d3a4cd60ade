/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What reads a whole mailbox, over IMAP or POP3 (imap_read_mailbox, pop3_read_mailbox): the bytes
 * of each message as they come, never held whole.
 */
#ifndef RINGPOST_BENCH_MAILBOX_H
#define RINGPOST_BENCH_MAILBOX_H

#include "load.h"

struct mailbox_reader {
    /* Bytes of the message that is read now, dots removed, lines ended by CRLF. */
    void (*piece)(void *argument, struct slice piece);
    void (*end)(void *argument); /* it has come as a whole; the next piece is of another message */
    void *argument;
};

#endif
