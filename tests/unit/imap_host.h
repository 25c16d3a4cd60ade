/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The IMAP service with its store and its users on the harness, for tests, and conversations with
 * it.
 */
#ifndef RINGPOST_TESTS_IMAP_HOST_H
#define RINGPOST_TESTS_IMAP_HOST_H

#include "line_client.h"
#include "ringpost/imap.h"

/* Of each test program its own, since they run side by side; the next one is that of a service
 * without plain log-in. */
extern const unsigned imap_port;

/* Two cores, users u0@example.test ... u7@example.test, password "pw", an empty store. */
void imap_host_begin(void);
void imap_host_end(void);

/* A script of lines: "> text" is sent with CRLF behind it; "= text" as it is, with CRLF for "\n";
 * "< pattern" must be the next line ('*': any bytes). `slowly`: sent a byte at a time. */
void talk(int fd, const char *script);
void talk_slowly(int fd, const char *script);
/* A connection, greeted, logged in as "u<number>". */
int imap_login(unsigned number);
int imap_connect(void); /* greeted only */

#endif
