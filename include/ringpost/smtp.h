/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The SMTP and LMTP servers (RFC 5321, RFC 2033 and extensions): protocols for a struct service.
 */
#ifndef RINGPOST_SMTP_H
#define RINGPOST_SMTP_H

#include "ringpost/route.h"
#include "ringpost/session.h"

extern const struct session_protocol smtp_protocol, lmtp_protocol;

struct smtp_options {
    const struct route_table *routes;
    uint64_t message_bytes_max; /* SIZE (RFC 1870) */
    unsigned recipients_max;    /* RCPTMAX (RFC 9422); 452 beyond, close past twice as many */
    unsigned received_max;      /* Received fields before a loop is assumed: 554 5.4.6 */
    uint64_t data_ms_max;       /* for one message, at least; plus size / rate below */
    uint64_t data_bytes_per_second_min;
    bool forbid_early_talk; /* refuse clients that speak before the greeting (port 25) */
};

#endif
