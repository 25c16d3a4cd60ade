/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Servers that a client of TLS should not trust to do what they should: some answer a handshake by
 * something else or not at all; one passes on what a good server says, up to a certain byte.
 */
#ifndef RINGPOST_TESTS_TLS_ODD_H
#define RINGPOST_TESTS_TLS_ODD_H

#include <stdatomic.h>

#include "ringpost/stream.h"

enum odd_kind {
    ODD_SILENT,
    ODD_PLAIN,    /* greets as SMTP does */
    ODD_CLOSES,   /* at the first byte that comes */
    ODD_NONSENSE, /* a record of a handshake that is none */
    ODD_ALERT,
    ODD_BREAKS, /* passes on to `port`; of what comes from there only the first `bytes` */
};

struct odd_server {
    enum odd_kind kind;
    unsigned port;
    size_t bytes;
    atomic_uint sessions; /* alive */
};
/* For listener_options: the argument is the struct odd_server. */
bool odd_accepted(struct core *core, unsigned slot, void *argument);

#endif
