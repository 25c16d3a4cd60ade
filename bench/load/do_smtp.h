/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What --verify does for scenarios that deliver: mailboxes read before and after the run.
 */
#ifndef RINGPOST_BENCH_DO_SMTP_H
#define RINGPOST_BENCH_DO_SMTP_H

#include "load.h"

/* Members of struct load_scenario. */
int do_smtp_prepare(struct load_worker *worker);
void do_smtp_verify(struct load_worker *worker);

#endif
