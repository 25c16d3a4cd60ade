/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Micro-benchmarks: pure functions of the gateway, called a number of times in a loop. Counted by
 * callgrind with two numbers of rounds, so that what is done once goes away (bench/micro/run.py).
 */
#ifndef RINGPOST_BENCH_MICRO_H
#define RINGPOST_BENCH_MICRO_H

#include "ringpost/slice.h"

struct micro {
    const char *name, *unit; /* "byte", "command" ... */
    /* Makes what run() needs, once. How many units a round is. */
    uint64_t (*begin)(void);
    void (*run)(void); /* one round */
};

/* Each ends with a row without a name. */
extern const struct micro micro_bytes[], micro_parsers[], micro_store[], micro_log[];

/* For micro.c too: ends the program unless a result is as it must be; a benchmark of a function
 * that fails at once would look fast. */
void micro_must(bool is_so, const char *what);

#endif
