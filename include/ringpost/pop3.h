/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The POP3 server (RFC 1939, 2449, 3206, 6856): a protocol for a struct service. Its users are
 * those of auth.h, its maildrops the INBOXes of store.h.
 */
#ifndef RINGPOST_POP3_H
#define RINGPOST_POP3_H

#include "ringpost/session.h"

extern const struct session_protocol pop3_protocol;

struct pop3_options {
    bool plain_login_allowed; /* USER and PASS without TLS */
};

#endif
