/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Histograms of the load generator against sorted values: percentiles to one per cent, merging the
 * same as adding, both ends of the range.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "histogram.h"
#include "load.h"

enum { VALUES = 20000 };

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* 1 us ... 1,000 s, every order of magnitude alike. */
static uint64_t draw(uint64_t *random)
{
    uint64_t value = 1000;
    for (unsigned decades = random_below(random, 9); decades > 0; decades--)
        value *= 10;
    return value + random_u64(random) % (value * 9);
}

static void percentiles_are_exact_to_one_per_cent(void **state)
{
    (void)state;
    static const double fractions[] = {0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    static uint64_t values[VALUES];
    static struct histogram histogram;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed, sum = 0;
        unsigned count = seed == 1 ? 1 : seed == 2 ? 3 : VALUES;
        histogram_clear(&histogram);
        for (unsigned i = 0; i < count; i++) {
            values[i] = draw(&random);
            sum += values[i];
            histogram_add(&histogram, values[i]);
        }
        qsort(values, count, sizeof *values, compare);
        assert_true(histogram.count == count && histogram.sum_ns == sum);
        assert_true(histogram.min_ns == values[0] && histogram.max_ns == values[count - 1]);
        for (unsigned i = 0; i < sizeof fractions / sizeof *fractions; i++) {
            double rank = fractions[i] * count;
            unsigned index = rank <= 1 ? 0 : (unsigned)rank - (rank == (unsigned)rank ? 1 : 0);
            uint64_t exact = values[index], is = histogram_percentile(&histogram, fractions[i]);
            assert_true(is >= exact && is - exact <= exact / 100);
        }
    }
}

static void merging_is_adding(void **state)
{
    (void)state;
    static struct histogram both, parts[3], merged;
    uint64_t random = 7;
    for (unsigned i = 0; i < VALUES; i++) {
        uint64_t value = draw(&random);
        histogram_add(&both, value);
        histogram_add(&parts[random_below(&random, 2)], value); /* the third stays empty */
    }
    for (unsigned i = 0; i < 3; i++)
        histogram_merge(&merged, &parts[i]);
    assert_memory_equal(&merged, &both, sizeof both);
}

static void ends_of_the_range(void **state)
{
    (void)state;
    static struct histogram histogram;
    assert_int_equal(histogram_percentile(&histogram, 0.5), 0);
    histogram_add(&histogram, 0);
    assert_int_equal(histogram_percentile(&histogram, 0.5), 0);
    histogram_add(&histogram, UINT64_MAX / 4); /* beyond the last bucket: only the maximum knows */
    assert_true(histogram_percentile(&histogram, 1) == UINT64_MAX / 4);
    assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS - 1], 1);
    uint64_t before = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) { /* each bucket ends where the next begins */
        struct histogram one = {.count = 0};
        histogram_add(&one, before);
        histogram_add(&one, histogram_bucket_ns(i));
        assert_int_equal(one.buckets[i], 2);
        before = histogram_bucket_ns(i) + 1;
    }
    assert_true(before > UINT64_C(1000000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_exact_to_one_per_cent),
        cmocka_unit_test(merging_is_adding),
        cmocka_unit_test(ends_of_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
