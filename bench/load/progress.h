/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a person sees: a line each second while a run goes on, a table at its end.
 */
#ifndef RINGPOST_BENCH_PROGRESS_H
#define RINGPOST_BENCH_PROGRESS_H

#include "watch.h"

/* On standard error: rewritten in place on a terminal, else a line every ten seconds. watch->sum
 * and watch->latency are of now. */
void progress_show(struct watch *watch, uint64_t now_ns);
void progress_clear(struct watch *watch);
/* The table, of the finished sum. */
void progress_summary(const struct watch *watch, FILE *file);

/* "950 us", "1.20 ms", "12.0 s" */
void progress_time(double ns, char text[24]);

#endif
