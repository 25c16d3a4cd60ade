/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Latencies by percentile: histograms, of one run or of several together, as points of a chart
 * whose x is 1 / (1 - p), so that each further nine is as far as the one before.
 */
#include "page_parts.h"

#include <math.h>

enum { HISTOGRAM_MAX = 20000 }; /* buckets of one */

size_t distribution_room(const json_t *const *histograms, unsigned count)
{
    size_t room = 1;
    for (unsigned i = 0; i < count; i++) {
        size_t size = json_array_size(histograms[i]);
        room += size < HISTOGRAM_MAX ? size : HISTOGRAM_MAX;
    }
    return room;
}

unsigned distribution_points(const json_t *const *histograms, unsigned histogram_count,
                             struct chart_point *points)
{
    unsigned count = 0;
    double total = 0, until = 0;
    for (unsigned h = 0; h < histogram_count; h++) {
        size_t size = json_array_size(histograms[h]);
        for (size_t i = 0; i < size && i < HISTOGRAM_MAX; i++) {
            const json_t *bucket = json_array_get(histograms[h], i);
            double value = json_finite(json_array_get(bucket, 0));
            double number = json_finite(json_array_get(bucket, 1));
            if (!isfinite(value) || !(number > 0) || number > CHART_VALUE_MAX)
                continue;
            points[count++] = (struct chart_point){.x = value, .y = number};
            total += number;
        }
    }
    if (count == 0)
        return 0;
    chart_sort(points, count);
    double first = points[0].x;
    for (unsigned i = 0; i < count; i++) { /* x is the value here, y how often */
        until += points[i].y;
        double left = total - until;
        points[i] = CHART_POINT(left >= 1 ? total / left : total, points[i].x);
    }
    memmove(points + 1, points, count * sizeof *points);
    points[0] = CHART_POINT(1, first);
    return count + 1;
}
