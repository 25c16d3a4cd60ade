/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by imap.c (the commands) and imap_answer.c (what the server says to them).
 */
#ifndef RINGPOST_BENCH_IMAP_PRIVATE_H
#define RINGPOST_BENCH_IMAP_PRIVATE_H

#include <stdio.h>
#include <stdlib.h>

#include "imap.h"

/* What may come before the answer is there. */
enum {
    IMAP_MAY_EXPUNGE = 1 << 0, /* sequence numbers may change (RFC 3501 section 7.4.1) */
    IMAP_WANTS_PLUS = 1 << 1,  /* a continuation is an answer too: IMAP_CONTINUES */
    IMAP_SELECTS = 1 << 2,     /* EXISTS is of another mailbox than before */
    IMAP_LOGS_IN = 1 << 3,     /* NO is LOAD_LOGIN_REFUSED */
    IMAP_LOGS_OUT = 1 << 4,    /* BYE is in order */
    IMAP_NO_IS_FINE = 1 << 5,  /* NO is told by imap->is_refused, and is no error */
};

enum { IMAP_CONTINUES = -1 };

/* Reads until the tagged answer of `tag` (or what `flags` say): 0, IMAP_CONTINUES or an enum
 * load_error, counted; after NO and BAD the connection goes on. Bodies of messages go to `reader`
 * (may be NULL). */
int imap_read_answer(struct imap *imap, uint32_t tag, unsigned flags,
                     const struct mailbox_reader *reader);
/* The first line of a connection. */
int imap_greeting(struct imap *imap);
/* Learns what "CAPABILITY" is followed by: a list of atoms. */
void imap_learn(struct imap *imap, struct slice list);

#endif
