/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Doubles for tests of sessions that are passed through (src/proxy): a backend that speaks some
 * IMAP and does what it is told, and of backend.h the log-in, which knows nothing but to go there.
 */
#ifndef RINGPOST_TESTS_FRONT_DOUBLE_H
#define RINGPOST_TESTS_FRONT_DOUBLE_H

#include "ringpost/backend.h"
#include "ringpost/session.h"

/* After the log-in, each with a tag:
 *   ECHO text    * text, OK            SLOW     OK, after 400 ms
 *   BULK n       n bytes as a literal  CLOSE, BYE   closes without a word, with one
 *   IDLE         +, until DONE         BREAK    all links of the core break
 *   LOGOUT       BYE, OK               KICK, DOWN   proxy_kick of its user; what the operator wants
 *   HANG, LIVE   checks find it dead, alive
 *   UNAUTHENTICATE   nothing
 * LOGIN with the password "wrong" is refused. */
extern const struct session_protocol toy_protocol;
extern unsigned toy_port;

/* Local parts of users whose log-in ends at once: "eusers", "eagain", "eloop", "enokey", "eperm",
 * "enomem"; "inuse": with the backend's reason. */
extern struct backend_client double_client; /* of the last log-in */
extern char double_capabilities[];          /* of the pool; "" not known */
void double_reset(void);
unsigned double_links(void); /* there are now */
/* The pools have what is asked for; at first they do. */
void double_serve(bool serves);
/* The n-th pool: all the same but for its address. */
const struct backend_pool *double_pool(unsigned number);

#endif
