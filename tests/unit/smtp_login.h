/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the tests of submission add to the fixture: users u0 and u1 of example.test, who log in with
 * the password "secret".
 */
#ifndef RINGPOST_TESTS_SMTP_LOGIN_H
#define RINGPOST_TESTS_SMTP_LOGIN_H

#include "smtp_fixture.h"

/* To be called by a `change`: submission is there, in clear, and so is auth. */
void login_offer(struct smtp_fixture *fixture);
/* After smtp_end. */
void login_clear(void);
/* AUTH PLAIN as u0 or u1, answered so. */
void login_as(int client, const char *user, const char *password, const char *pattern);
/* EHLO and AUTH on the port: a client that may send. */
int login_open(unsigned port, const char *user);

#endif
