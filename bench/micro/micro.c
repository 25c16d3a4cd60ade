/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   micro --list           name, unit and units a round of each row
 *   micro NAME ROUNDS      runs it, prints nanoseconds a unit
 *
 * Nothing is counted here: callgrind counts the whole program, and bench/micro/run.py takes the
 * difference of two numbers of rounds.
 */
#include "micro.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct micro *const tables[] = {micro_bytes, micro_parsers, micro_store, micro_log};
enum { TABLES = sizeof tables / sizeof *tables };
static const uint64_t ROUNDS_MAX = 1000000000;

void micro_must(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "micro: %s\n", what);
    exit(1);
}

static const struct micro *find(const char *name)
{
    for (unsigned i = 0; i < TABLES; i++)
        for (const struct micro *row = tables[i]; row->name != NULL; row++)
            if (strcmp(row->name, name) == 0)
                return row;
    return NULL;
}

static void list(void)
{
    for (unsigned i = 0; i < TABLES; i++)
        for (const struct micro *row = tables[i]; row->name != NULL; row++)
            printf("%s %s %llu\n", row->name, row->unit, (unsigned long long)row->begin());
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

int main(int argc, char **argv)
{
    uint64_t rounds = 0;
    const struct micro *row = argc == 3 ? find(argv[1]) : NULL;
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list();
        return 0;
    }
    if (row == NULL || !slice_number(slice_cstr(argv[2]), ROUNDS_MAX, &rounds)) {
        fprintf(stderr, "usage: micro --list | micro NAME ROUNDS\n");
        return 2;
    }
    double units = (double)row->begin() * (double)rounds, begin = now_ns();
    for (uint64_t i = 0; i < rounds; i++)
        row->run();
    printf("%.4f\n", (now_ns() - begin) / units);
    return 0;
}
