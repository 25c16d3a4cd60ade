/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Charts of a run: from its timeline (a row a second), and the distribution of latencies from the
 * histograms of its phases. A chart that would say nothing (no errors, connections that never
 * change) is left out.
 */
#include "page_run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { LINES_MAX = 4, TIMELINE_MAX = 20000 };
#define SLIVER_SECONDS 0.2

struct timeline {
    struct text *out;
    const json_t *rows;
    unsigned count;
};

/* One line of a chart over time; is_rate: divided by the seconds of the row. */
struct line {
    const char *name, *path;
    unsigned style;
    bool is_rate;
    enum chart_shape shape;
};

struct time_chart {
    const char *title, *note;
    enum unit unit;
    bool is_log;
    bool always;       /* drawn without a value, too; the others need one above zero */
    bool needs_change; /* drawn only when a value differs from another */
    struct line lines[LINES_MAX];
};

static const struct time_chart time_charts[] = {
    {.title = "Throughput",
     .note = "operations a second",
     .unit = UNIT_COUNT,
     .always = true,
     .lines = {{"operations", "operations", 0, true, CHART_STEP}}},
    {.title = "Latency over time",
     .note = "of each second; logarithmic",
     .unit = UNIT_US,
     .is_log = true,
     .always = true,
     .lines = {{"p50", "p50_us", 0, false, CHART_LINE},
               {"p99", "p99_us", 1, false, CHART_LINE},
               {"max", "max_us", 2, false, CHART_LINE}}},
    {.title = "Errors",
     .note = "a second, of all kinds",
     .unit = UNIT_COUNT,
     .lines = {{"errors", "errors", 6, true, CHART_BARS}}},
    {.title = "CPU",
     .note = "cores kept busy",
     .unit = UNIT_PLAIN,
     .lines = {{"server", "server_cpu", 0, false, CHART_STEP},
               {"generator", "generator_cpu", 1, false, CHART_STEP}}},
    {.title = "Memory of the server",
     .note = "all its processes (PSS)",
     .unit = UNIT_BYTES,
     .lines = {{"memory", "server_memory_bytes", 0, false, CHART_STEP}}},
    {.title = "Disk of the server",
     .note = "written a second",
     .unit = UNIT_BYTES,
     .lines = {{"written", "server_disk_bytes", 0, true, CHART_STEP}}},
    {.title = "Network",
     .note = "bytes a second, as the generator counts them",
     .unit = UNIT_BYTES,
     .lines = {{"sent", "bytes_sent", 0, true, CHART_STEP},
               {"received", "bytes_received", 3, true, CHART_STEP}}},
    {.title = "Connections",
     .note = "open at the end of each second",
     .unit = UNIT_COUNT,
     .needs_change = true,
     .lines = {{"connections", "connections", 0, false, CHART_STEP}}},
};

/* Returns whether there is any value. */
static bool read_line(const struct timeline *timeline, const struct line *line,
                      struct chart_point *points)
{
    bool has_any = false;
    for (unsigned i = 0; i < timeline->count; i++) {
        const json_t *row = json_array_get(timeline->rows, i);
        double at = member_number(row, "second"), seconds = member_number(row, "seconds");
        double value = member_number(row, line->path);
        seconds = seconds > 0 ? seconds : 1;
        if (line->shape == CHART_LINE)
            at += seconds / 2;
        has_any = has_any || isfinite(value);
        points[i] = CHART_POINT(at, line->is_rate ? value / seconds : value);
    }
    chart_sort(points, timeline->count);
    return has_any;
}

static bool is_worth_drawing(const struct time_chart *what, const struct chart_series *series,
                             unsigned count)
{
    bool has_any = false, has_change = false, has_more = false;
    double first = NAN;
    for (unsigned s = 0; s < count; s++)
        for (unsigned i = 0; i < series[s].count; i++) {
            double y = series[s].points[i].y;
            if (!isfinite(y))
                continue;
            first = has_any ? first : y;
            has_any = true;
            has_change = has_change || y != first;
            has_more = has_more || y > 0;
        }
    return what->always || (has_more && (has_change || !what->needs_change));
}

/* The end of the last row. */
static double end_of(const struct timeline *timeline)
{
    enum { SECONDS_MAX = 1000000 };
    double end = 0;
    for (unsigned i = 0; i < timeline->count; i++) {
        const json_t *row = json_array_get(timeline->rows, i);
        double seconds = member_number(row, "seconds");
        double at = member_number(row, "second") + (seconds > 0 ? seconds : 1);
        if (at < SECONDS_MAX)
            end = fmax(end, at);
    }
    return end;
}

static void draw_over_time(const struct timeline *timeline, const struct time_chart *what)
{
    struct chart_series series[LINES_MAX];
    unsigned count = 0;
    struct chart_point *points = calloc((size_t)timeline->count * LINES_MAX + 1, sizeof *points);
    if (points == NULL) {
        timeline->out->error = -ENOMEM;
        return;
    }
    for (unsigned i = 0; i < LINES_MAX && what->lines[i].name != NULL; i++) {
        struct chart_point *own = points + (size_t)i * timeline->count;
        if (!read_line(timeline, &what->lines[i], own) && !what->always)
            continue;
        series[count++] = (struct chart_series){.name = slice_cstr(what->lines[i].name),
                                                .points = own,
                                                .count = timeline->count,
                                                .shape = what->lines[i].shape,
                                                .style = what->lines[i].style};
    }
    if (is_worth_drawing(what, series, count))
        chart_draw(timeline->out, &(struct chart){.title = slice_cstr(what->title),
                                                  .note = slice_cstr(what->note),
                                                  .x_name = SLICE("since the measuring began"),
                                                  .x_unit = UNIT_SECONDS,
                                                  .y_unit = what->unit,
                                                  .y_is_log = what->is_log,
                                                  .width = 1,
                                                  .x_to = end_of(timeline),
                                                  .series = series,
                                                  .series_count = count});
    free(points);
}

/* ---- distribution (page_distribution.c has the points) */

struct phase {
    const char *name;
    const json_t *histogram;
    double time; /* count x mean: its share */
};

static int compare_phases(const void *a, const void *b)
{
    const struct phase *p = a, *q = b;
    return p->time > q->time ? -1 : p->time < q->time;
}

/* The whole operation first, then the phases that take most of the time. */
static unsigned choose_phases(const json_t *phases, struct phase *chosen, unsigned max)
{
    struct phase all[64];
    unsigned count = 0;
    const char *name;
    json_t *phase;
    json_object_foreach((json_t *)phases, name, phase)
    {
        double time = member_number(phase, "count") * member_number(phase, "mean_us");
        const json_t *histogram = member(phase, "histogram");
        if (count == 64 || json_array_size(histogram) == 0)
            continue;
        all[count++] = (struct phase){name, histogram, isfinite(time) ? time : 0};
        if (strcmp(name, "operation") == 0)
            all[count - 1].time = INFINITY;
    }
    qsort(all, count, sizeof *all, compare_phases);
    count = count < max ? count : max;
    memcpy(chosen, all, count * sizeof *all);
    return count;
}

static void draw_distribution(struct text *out, const json_t *run)
{
    struct phase phases[LINES_MAX];
    struct chart_series series[LINES_MAX];
    unsigned count = choose_phases(member(run, "phases"), phases, LINES_MAX);
    size_t sizes[LINES_MAX], room = 1;
    for (unsigned i = 0; i < count; i++) {
        sizes[i] = distribution_room(&phases[i].histogram, 1);
        room += sizes[i];
    }
    struct chart_point *points = calloc(room, sizeof *points), *own = points;
    if (points == NULL) {
        out->error = -ENOMEM;
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        series[i] =
            (struct chart_series){.name = slice_cstr(phases[i].name),
                                  .points = own,
                                  .count = distribution_points(&phases[i].histogram, 1, own),
                                  .style = i < 2 ? i : i + 1};
        own += sizes[i];
    }
    chart_draw(out, &(struct chart){.title = SLICE("Latency by percentile"),
                                    .note = SLICE("of the whole run; both axes logarithmic"),
                                    .x_name = SLICE("percentile"),
                                    .x_unit = UNIT_NINES,
                                    .y_unit = UNIT_US,
                                    .x_is_log = true,
                                    .y_is_log = true,
                                    .series = series,
                                    .series_count = count});
    free(points);
}

void page_run_charts(struct text *out, const json_t *run)
{
    struct timeline timeline = {.out = out, .rows = member(run, "timeline")};
    size_t size = json_array_size(timeline.rows);
    timeline.count = size < TIMELINE_MAX ? (unsigned)size : TIMELINE_MAX;
    /* What ended in a few milliseconds is neither a rate nor a percentile of a second. */
    const json_t *last = json_array_get(timeline.rows, timeline.count > 1 ? timeline.count - 1 : 0);
    bool is_sliver = timeline.count > 1 && member_number(last, "seconds") < SLIVER_SECONDS;
    timeline.count -= is_sliver;
    section_begin(out, "charts", "Over time and by percentile");
    text_put(out, "<div class=\"charts\">\n");
    for (unsigned i = 0; i < sizeof time_charts / sizeof time_charts[0]; i++) {
        draw_over_time(&timeline, &time_charts[i]);
        if (i == 1)
            draw_distribution(out, run);
    }
    text_put(out, "</div>\n");
    if (is_sliver) {
        text_put(out, "<p class=\"soft\">Left out of the charts over time: the last ");
        text_value(out, UNIT_SECONDS, member_number(last, "seconds"));
        text_put(out, ", too short for a rate.</p>\n");
    }
    section_end(out);
}
