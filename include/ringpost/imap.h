/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The IMAP server (RFC 3501, RFC 9051 and extensions): a protocol for a struct service. Its users
 * are those of auth.h, its mailboxes those of store.h.
 */
#ifndef RINGPOST_IMAP_H
#define RINGPOST_IMAP_H

#include "ringpost/session.h"

extern const struct session_protocol imap_protocol;

struct imap_options {
    uint64_t append_bytes_max; /* of one APPENDed message */
    uint64_t idle_ms_max;      /* in the authenticated states; at least 30 minutes (RFC 9051 5.4) */
};

#endif
