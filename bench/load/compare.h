/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs beside each other: grouped by label, one number a metric and run, and the ratio of each
 * group to the first with its interval. page.h has what others call; this is what text, page and
 * JSON are written from.
 *
 * The ratio is that of medians. When groups were measured in turns (A B A B ..., or A B B A: every
 * stretch of runs in order of time holds one of each), it is the median of the ratios of the
 * pairs instead, so that what changes slowly on the machine weighs on both sides. The interval is
 * 95 % by bootstrap: runs (or pairs) are drawn anew, with replacement, from a fixed seed. With
 * fewer than two runs on both sides there is none.
 */
#ifndef RINGPOST_BENCH_COMPARE_H
#define RINGPOST_BENCH_COMPARE_H

#include "page_text.h"

enum {
    COMPARE_GROUPS_MAX = 16,
    COMPARE_WARNINGS_MAX = 40,
    COMPARE_RESAMPLES = 4000,
    COMPARE_METRICS_MAX = 8
};

struct compare_metric {
    const char *name, *path; /* of a run's JSON */
    enum unit unit;
    bool more_is_better;
};
/* COMPARE_METRICS of them. */
extern const struct compare_metric compare_metrics[];
extern const unsigned compare_metric_count;

struct compare_ratio {
    double ratio, low, high; /* NAN: none */
    unsigned pairs;          /* 0: not paired */
};

struct compare_cell {             /* a metric of a group */
    double values[PAGE_RUNS_MAX]; /* by run of the group; NAN where it has none */
    unsigned known;               /* how many are numbers */
    double median, low, high;     /* of those */
    struct compare_ratio to_first;
};

struct compare_group {
    struct slice label;
    unsigned count, runs[PAGE_RUNS_MAX]; /* in order of time when all have one */
    bool is_paired;                      /* with the first group */
    struct compare_cell cells[COMPARE_METRICS_MAX];
};

struct compare {
    unsigned run_count, group_count;
    unsigned left_out; /* runs of labels beyond COMPARE_GROUPS_MAX */
    struct compare_group groups[COMPARE_GROUPS_MAX];
    struct text warnings[COMPARE_WARNINGS_MAX]; /* plain text */
    unsigned warning_count;
};

/* Borrows the runs. 0 or -ENOMEM. */
int compare_make(json_t *const *runs, const char *const *names, unsigned count,
                 struct compare **ret_compare);
void compare_free(struct compare *compare);

/* ---- statistics (compare_ratio.c) */

/* Of values that are numbers; sorts them. NAN when there are none. */
double compare_median(double *values, unsigned count);
/* Of b to a. Values that are not above zero are left out; of a pair, both. When paired, a[i] and
 * b[i] belong together and the counts are equal. */
struct compare_ratio compare_ratio(const double *a, unsigned a_count, const double *b,
                                   unsigned b_count, bool is_paired);

/* ---- what differs between runs (compare_warn.c) */

void compare_warn(struct compare *compare, json_t *const *runs, const char *const *names);

#endif
