/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A line of what an SMTP or LMTP server answers (RFC 5321, section 4.2; RFC 3463), as those read it
 * who are clients of one. Pure.
 */
#ifndef RINGPOST_SMTP_REPLY_H
#define RINGPOST_SMTP_REPLY_H

#include "ringpost/slice.h"

struct smtp_reply {
    unsigned number;   /* 200 to 559 */
    struct slice code; /* "5.7.8", of the number's class; empty: none */
    struct slice text; /* what stands behind the number, the code included */
    bool is_more;      /* there are further lines */
};

/* A line without its CRLF. False, and *ret_reply untouched, when it is no reply. */
bool smtp_reply_parse(struct slice line, struct smtp_reply *ret_reply);
/* As a reply of one line, NUL-ended: "550 5.1.1 No such user". What does not fit into `capacity`
 * (at least 20 bytes) is cut, what is not printable ASCII becomes '?', and where nothing is said
 * stands a code: "250 2.0.0". The size. */
size_t smtp_reply_line(const struct smtp_reply *reply, char *to, size_t capacity);

#endif
