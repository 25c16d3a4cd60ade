/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A log-in and log-out, which mix plays too.
 */
#ifndef RINGPOST_BENCH_DO_LOGIN_H
#define RINGPOST_BENCH_DO_LOGIN_H

#include "load.h"

struct login; /* connections, one a protocol, closed between calls */

int login_make(struct load_worker *worker, struct login **ret_login);
/* Connects, logs in, logs out. 0 or an enum load_error, counted. */
int login_once(struct login *login, struct load_worker *worker, enum load_protocol protocol,
               unsigned user);
void login_free(struct login *login);

#endif
