/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Ratios with their intervals, by the percentile bootstrap of medians. With five runs or fewer the
 * interval is about the whole range that was seen, which is as much as so few can say.
 */
#include "compare.h"

#include <math.h>
#include <stdlib.h>

#include "load.h"

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double compare_median(double *values, unsigned count)
{
    if (count == 0)
        return NAN;
    qsort(values, count, sizeof *values, compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static double median_of_draw(const double *values, unsigned count, uint64_t *random)
{
    double drawn[PAGE_RUNS_MAX];
    for (unsigned i = 0; i < count; i++)
        drawn[i] = values[random_below(random, count)];
    return compare_median(drawn, count);
}

static unsigned positive(const double *values, unsigned count, double *ret_kept)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < count && i < PAGE_RUNS_MAX; i++)
        if (values[i] > 0 && isfinite(values[i]))
            ret_kept[kept++] = values[i];
    return kept;
}

/* The middle 95 of 100 of the sorted draws. */
static void set_interval(struct compare_ratio *ratio, double *draws)
{
    qsort(draws, COMPARE_RESAMPLES, sizeof *draws, compare_doubles);
    ratio->low = draws[COMPARE_RESAMPLES / 40];
    ratio->high = draws[COMPARE_RESAMPLES - 1 - COMPARE_RESAMPLES / 40];
}

struct compare_ratio compare_ratio(const double *a, unsigned a_count, const double *b,
                                   unsigned b_count, bool is_paired)
{
    struct compare_ratio ratio = {.ratio = NAN, .low = NAN, .high = NAN};
    double left[PAGE_RUNS_MAX], right[PAGE_RUNS_MAX], draws[COMPARE_RESAMPLES];
    uint64_t random = 1;
    if (is_paired) {
        unsigned count = 0;
        double pairs[PAGE_RUNS_MAX];
        for (unsigned i = 0; i < a_count && i < b_count && i < PAGE_RUNS_MAX; i++)
            if (a[i] > 0 && b[i] > 0 && isfinite(b[i] / a[i]))
                pairs[count++] = b[i] / a[i];
        for (unsigned i = 0; i < COMPARE_RESAMPLES && count >= 2; i++)
            draws[i] = median_of_draw(pairs, count, &random);
        ratio.pairs = count;
        if (count >= 2)
            set_interval(&ratio, draws);
        ratio.ratio = compare_median(pairs, count);
        return ratio;
    }
    a_count = positive(a, a_count, left);
    b_count = positive(b, b_count, right);
    if (a_count == 0 || b_count == 0)
        return ratio;
    if (a_count >= 2 && b_count >= 2) {
        for (unsigned i = 0; i < COMPARE_RESAMPLES; i++) {
            double below = median_of_draw(left, a_count, &random);
            draws[i] = median_of_draw(right, b_count, &random) / below;
        }
        set_interval(&ratio, draws);
    }
    ratio.ratio = compare_median(right, b_count) / compare_median(left, a_count);
    return ratio;
}
