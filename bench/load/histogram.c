/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Buckets: values below 1024 ns share the first 128, 8 ns wide (what is below a microsecond is not
 * told apart finely); above, the eight bits from the highest set one on are the bucket. So a bucket
 * is at most 1/128 of its value wide, and its number is two shifts away.
 *
 * One thread writes, others may read meanwhile: all words are read and written with relaxed atomics
 * (plain moves on the machines we know). A reader sees numbers of slightly different moments, so
 * the count of a merged histogram is the sum of its buckets.
 */
#include "histogram.h"

enum { FIRST_BITS = 3 }; /* log2 of the width of the first buckets */

static unsigned bucket_of(uint64_t ns)
{
    unsigned shift = FIRST_BITS;
    uint64_t top = ns >> FIRST_BITS;
    if (top >= 1u << HISTOGRAM_SUB_BITS) {
        shift = 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_SUB_BITS;
        top = ns >> shift; /* 128 ... 255 */
    }
    unsigned index = ((shift - FIRST_BITS) << HISTOGRAM_SUB_BITS) + (unsigned)top;
    return index < HISTOGRAM_BUCKETS ? index : HISTOGRAM_BUCKETS - 1;
}

uint64_t histogram_bucket_ns(unsigned index)
{
    unsigned octave = index >> HISTOGRAM_SUB_BITS;
    uint64_t sub = index & ((1u << HISTOGRAM_SUB_BITS) - 1);
    if (octave == 0)
        return ((sub + 1) << FIRST_BITS) - 1;
    return ((sub + (1u << HISTOGRAM_SUB_BITS) + 1) << (octave - 1 + FIRST_BITS)) - 1;
}

static uint64_t get(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void set(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

void histogram_clear(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
    uint32_t *bucket = &histogram->buckets[bucket_of(ns)];
    __atomic_store_n(bucket, __atomic_load_n(bucket, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
    if (get(&histogram->count) == 0 || ns < get(&histogram->min_ns))
        set(&histogram->min_ns, ns);
    if (ns > get(&histogram->max_ns))
        set(&histogram->max_ns, ns);
    set(&histogram->sum_ns, get(&histogram->sum_ns) + ns);
    set(&histogram->count, get(&histogram->count) + 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    if (get(&from->count) == 0)
        return;
    uint64_t min_ns = get(&from->min_ns), max_ns = get(&from->max_ns), added = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint32_t more = __atomic_load_n(&from->buckets[i], __ATOMIC_RELAXED);
        into->buckets[i] += more;
        added += more;
    }
    if (into->count == 0 || min_ns < into->min_ns)
        into->min_ns = min_ns;
    if (max_ns > into->max_ns)
        into->max_ns = max_ns;
    into->sum_ns += get(&from->sum_ns);
    into->count += added;
}

uint64_t histogram_percentile(const struct histogram *histogram, double fraction)
{
    uint64_t count = histogram->count, seen = 0;
    if (count == 0)
        return 0;
    double wanted = fraction * (double)count; /* the smallest rank that is not below it */
    uint64_t rank = wanted <= 1 ? 1 : (uint64_t)wanted;
    if ((double)rank < wanted)
        rank++;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank) {
            uint64_t end = histogram_bucket_ns(i);
            return end < histogram->max_ns && i < HISTOGRAM_BUCKETS - 1 ? end : histogram->max_ns;
        }
    }
    return histogram->max_ns;
}
