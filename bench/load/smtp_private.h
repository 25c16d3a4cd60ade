/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What smtp.c (replies, opening) and smtp_deliver.c (messages) share.
 */
#ifndef RINGPOST_BENCH_SMTP_PRIVATE_H
#define RINGPOST_BENCH_SMTP_PRIVATE_H

#include "smtp.h"

struct smtp_reply {
    unsigned code;
    struct slice text; /* the last line as it came, until the next reply is read */
};

/* A whole reply; `each` (may be NULL) is given the text of each line. */
int smtp_read_reply(struct smtp *smtp, struct smtp_reply *ret_reply,
                    void (*each)(struct smtp *smtp, struct slice text));
/* The reply must be `wanted` (220, 354), or any of its class when that is 200; else it is counted
 * as the error it is. 421 closes. */
int smtp_expect(struct smtp *smtp, unsigned wanted);
/* No error, or one after which the connection goes on (but for 421). */
bool smtp_goes_on(int error);
/* Where a refusal makes the connection useless: closes it. Returns error. */
int smtp_essential(struct smtp *smtp, int error);

#endif
