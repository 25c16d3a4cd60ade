/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session of the scenario pop3, which mix plays too.
 */
#ifndef RINGPOST_BENCH_DO_POP3_H
#define RINGPOST_BENCH_DO_POP3_H

#include "pace.h"
#include "pop3.h"

/* Connects, logs in, lists, retrieves all to `reader` (may be NULL), deletes all if so, quits. 0 or
 * an enum load_error, counted; the connection is closed. */
int pop3_session(struct pop3 *pop3, struct load_worker *worker, unsigned user, bool deletes,
                 const struct mailbox_reader *reader);

#endif
