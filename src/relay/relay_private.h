/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of relay share.
 *
 *   relay.c     options, set-up                  verify.c    call-outs and what is known of them
 *   deliver.c   recipients by backend, side by side, elsewhere when one fails
 *   transfer.c  one transaction on one connection: MAIL, RCPTs, data, replies
 */
#ifndef RINGPOST_RELAY_PRIVATE_H
#define RINGPOST_RELAY_PRIVATE_H

#include "ringpost/relay.h"

/* A connection where a transaction may begin. */
struct transfer {
    struct core *core;
    struct backend_link *link;
    struct slice offers; /* what LHLO was answered, as words.h has it */
    uint64_t deadline_ns;
    bool (*gone)(void *argument); /* as in struct relay_sender */
    void *argument;
    const char *problem; /* out: a literal, what failed on the way; NULL: nothing */
};

/* Fiber. The whole transaction; each recipient's result and reply are set. 0: all answers came, and
 * the connection could be used again; -EAGAIN with transfer->problem: it is to be closed. With
 * `ret_is_sent` false not one byte behind MAIL's answer was of use: all may be tried elsewhere. */
int transfer_message(struct transfer *transfer, const struct relay_message *message,
                     struct relay_recipient *const *recipients, unsigned count, bool *ret_is_sent);
/* Fiber. MAIL FROM:<> and RCPT only. As above. */
int transfer_ask(struct transfer *transfer, struct relay_recipient *recipient);
/* Fiber. QUIT; does not wait for long. The link is still to be closed. */
void transfer_leave(struct transfer *transfer);

/* Our own words in place of a backend's. */
void recipient_later(struct relay_recipient *recipient, const char *reply);

#endif
