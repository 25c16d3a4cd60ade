/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The POP3 server (RFC 1939, 2449, 2595, 3206, 5034, 6856): a protocol for a struct service. Its
 * users are those of auth.h, its maildrops the INBOXes of store.h.
 */
#ifndef RINGPOST_POP3_H
#define RINGPOST_POP3_H

#include "ringpost/session.h"

extern const struct session_protocol pop3_protocol;

#endif
