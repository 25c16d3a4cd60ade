/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the two files of a transaction share.
 *
 *   transfer.c        envelope and answers: what is said, and what an answer is worth
 *   transfer_data.c   the message itself, and whoever answers before it is sent
 *
 * Invariants (R1 to R4 of relay.h, and):
 *   F1 An answer counts for the question that stands at its place, and only when it came behind
 *      that: one that is there before is somebody's mistake, and then none behind it counts.
 *   F2 Of a message that was given up nothing is sent that could end it.
 */
#ifndef RINGPOST_RELAY_TRANSFER_H
#define RINGPOST_RELAY_TRANSFER_H

#include "relay_private.h"

/* A recipient's result on the way. */
enum { RECIPIENT_UNASKED = 1, RECIPIENT_TAKEN = 2 };

struct course {
    struct transfer *transfer;
    struct stream *stream;
    const struct relay_message *message; /* NULL: it is only asked about */
    struct relay_recipient *const *recipients;
    unsigned count;
    size_t said; /* bytes since answers were awaited */
    bool asks_gone, is_distrusted;
    const char *later; /* our own reply for all that have no answer: a literal */
    /* the last reply */
    unsigned number;
    char line[RELAY_REPLY_BYTES_MAX + 1];
    size_t unwatched; /* bytes sent since it was asked whether the sender is there */
    /* heard while the message was being sent */
    bool is_sending, is_heard, is_listening;
    bool is_kept; /* the next reply has been read: kept_result, number, line */
    int kept_result;
    struct waiters listened;
};

/* -EAGAIN; literals. */
int course_fail(struct course *course, const char *problem, const char *later);
/* One reply, its lines as one. 0; -EAGAIN: it is none, or none came. */
int course_reply(struct course *course);

/* The message by BDAT or, behind 354, by DATA. 0: all of it is sent; -EAGAIN: given up. -EALREADY:
 * given up since an answer came too early, which is the course's last reply. -EBADMSG: given up
 * since it holds bare CR or LF and these cannot go by DATA. */
int course_send(struct course *course, bool by_bdat);

#endif
