/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A log-linear ("HDR") histogram of nanoseconds: each power of two is cut into 128 equal parts, so
 * a value is known to better than one per cent, from 1 us to 1,000 s; in 16 KiB and without a
 * search.
 */
#ifndef RINGPOST_BENCH_HISTOGRAM_H
#define RINGPOST_BENCH_HISTOGRAM_H

#include "ringpost/slice.h"

enum { HISTOGRAM_SUB_BITS = 7, HISTOGRAM_BUCKETS = 31 << HISTOGRAM_SUB_BITS };

struct histogram {
    uint64_t count, sum_ns, min_ns, max_ns; /* exact */
    uint32_t buckets[HISTOGRAM_BUCKETS];
};
void histogram_clear(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value that `fraction` (0...1) of all do not exceed: the upper end of its bucket, at most
 * max_ns. 0 when it is empty. */
uint64_t histogram_percentile(const struct histogram *histogram, double fraction);
/* The upper end of bucket `index`. */
uint64_t histogram_bucket_ns(unsigned index);

#endif
