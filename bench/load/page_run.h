/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The two halves of the page of a run: page_run.c writes words and tables, page_run_charts.c
 * draws what changed over time and how latencies are distributed.
 */
#ifndef RINGPOST_BENCH_PAGE_RUN_H
#define RINGPOST_BENCH_PAGE_RUN_H

#include "page_parts.h"

void page_run_charts(struct text *out, const json_t *run);

#endif
