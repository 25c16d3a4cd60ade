/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What tests of POP3 share: a server of two cores on the double of the store, its users
 * u0@x.test and u1@x.test (password "pw") and u2@x.test (" pa  ss "), and clients of it.
 */
#ifndef RINGPOST_TESTS_POP3_HOST_H
#define RINGPOST_TESTS_POP3_HOST_H

#include "line_client.h"
#include "pop3_double.h"
#include "ringpost/pop3.h"
#include "service_host.h"

extern const unsigned pop3_port; /* the test's own: tests run side by side */

extern struct service pop3_service;
extern struct host_options pop3_host_options;

void pop3_setup(void);                /* the options at their usual, the maildrops empty */
void pop3_finish(struct host *host);  /* ends it; nothing of a session may be left */
int pop3_greeted(void);               /* a client that has read the greeting */
int pop3_logged_in(const char *user); /* ... whose password is "pw" */
void pop3_quit_client(int client);
/* Says the command and CRLF, expects exactly `want`. */
void pop3_ask(int client, const char *command, const char *want);
long memory_kib(void);
/* In the simulator and under sanitizers, which hold what was freed. */
bool pop3_is_slow(void);
void check_growth(long before_kib, long kib_max);

#endif
