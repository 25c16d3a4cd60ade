/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether a row of the suite has reached what it aims at.
 */
#ifndef RINGPOST_BENCH_PAGE_SUITE_H
#define RINGPOST_BENCH_PAGE_SUITE_H

#include "page_parts.h"

enum suite_verdict {
    SUITE_UNKNOWN, /* no target, none that is understood, or no value to hold against it */
    SUITE_MET,
    SUITE_MISSED,
    SUITE_CLOSE, /* the spread holds the target: these runs cannot tell */
    SUITE_VERDICTS
};

/* A target is "<= 1.0 x SERVER" (of the ratio to that server), or "<= 450 us", ">= 20000" (of the
 * first server's median; a unit behind the number is that of the row, and is not looked at). */
enum suite_verdict suite_judge(const json_t *row);

#endif
