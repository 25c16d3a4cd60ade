/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The page of the suite: a table of rows and servers, with what was aimed at and how much of the
 * machine's ceiling was reached, and each sweep as a chart.
 */
#include "page_suite.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { ROWS_MAX = 200, SERVERS_MAX = 16, VALUES_MAX = 200, SWEEPS_MAX = 40, CEILINGS_MAX = 100 };

static enum unit unit_of(struct slice name)
{
    static const struct {
        struct slice name;
        enum unit unit;
    } names[] = {{SLICE("us"), UNIT_US},
                 {SLICE("s"), UNIT_SECONDS},
                 {SLICE("bytes"), UNIT_BYTES},
                 {SLICE("B"), UNIT_BYTES}};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_equal(name, names[i].name))
            return names[i].unit;
    return UNIT_COUNT;
}

/* ---- the table */

static double values_of(const json_t *server, double *values, unsigned *ret_count, double *ret_low)
{
    const json_t *list = member(server, "values");
    double low = INFINITY, high = -INFINITY;
    unsigned count = 0;
    for (size_t i = 0; i < json_array_size(list) && count < VALUES_MAX; i++) {
        double value = json_finite(json_array_get(list, i));
        if (!isfinite(value) || fabs(value) > CHART_VALUE_MAX)
            continue;
        values[count++] = value;
        low = fmin(low, value);
        high = fmax(high, value);
    }
    *ret_count = count;
    *ret_low = count ? low : NAN;
    return count ? high : NAN;
}

/* From zero, or, where one server takes more than 20 times as much as another, logarithmic: bars
 * are then single strokes, since they would begin nowhere. */
static bool fit_row(const json_t *servers, enum unit unit, struct chart_axis *axis)
{
    double least = INFINITY, most = -INFINITY, values[VALUES_MAX];
    for (size_t i = 0; i < json_array_size(servers) && i < SERVERS_MAX; i++) {
        const json_t *server = json_array_get(servers, i);
        unsigned count;
        double low, high = values_of(server, values, &count, &low);
        double median = member_number(server, "median");
        if (!isfinite(median) || fabs(median) > CHART_VALUE_MAX)
            continue;
        least = fmin(least, fmin(low, median)); /* fmin and fmax pass over NAN */
        most = fmax(most, fmax(high, median));
    }
    if (!(most >= 0))
        return false;
    bool is_log = least >= CHART_LOG_MIN && most > 20 * least;
    *axis = (struct chart_axis){.unit = unit, .is_log = is_log};
    chart_axis_fit(axis, is_log ? least : 0, most, 3);
    return true;
}

static void put_verdict(struct text *out, const json_t *row)
{
    static const struct {
        const char *kind, *words;
    } shown[] = {[SUITE_UNKNOWN] = {"note", "not judged"},
                 [SUITE_MET] = {"good", "\xe2\x9c\x93 met"},
                 [SUITE_MISSED] = {"bad", "\xe2\x9c\x97 not met"},
                 [SUITE_CLOSE] = {"note", "\xe2\x89\x88 within the spread"}};
    struct slice target = member_string(row, "target");
    if (target.size == 0)
        return;
    enum suite_verdict verdict = suite_judge(row);
    text_put(out, "<span>target ");
    text_html(out, target, TEXT_SHORT);
    text_format(out, " <b class=\"tag %s\">%s</b></span>", shown[verdict].kind,
                shown[verdict].words);
}

static void put_ceiling(struct text *out, const json_t *ceiling)
{
    double fraction = member_number(ceiling, "fraction"), times = member_number(ceiling, "times");
    if (!isfinite(fraction))
        return;
    text_put(out, "<span>");
    text_value(out, UNIT_SHARE, fraction);
    text_put(out, " of the machine's ceiling, ");
    if (isfinite(times) && times != 1)
        text_format(out, "%.3g \xc3\x97 ", times);
    text_html(out, member_string(ceiling, "name"), TEXT_SHORT);
    text_put(out, "</span>");
}

static void put_ratio(struct text *out, const json_t *ratio)
{
    double median = member_number(ratio, "median"), low = member_number(ratio, "low"),
           high = member_number(ratio, "high");
    if (!isfinite(median)) {
        text_put(out, "<td class=\"n\">\xe2\x80\x93</td><td></td>");
        return;
    }
    text_put(out, "<td class=\"n\">");
    text_value(out, UNIT_TIMES, median);
    text_put(out, "</td><td class=\"n soft\">");
    if (isfinite(low) && isfinite(high))
        text_range(out, UNIT_PLAIN, low, high);
    text_put(out, "</td>");
}

static void put_bar(struct text *out, const struct chart_axis *axis, double median, double low,
                    double high, unsigned style)
{
    text_put(out, "<td class=\"barcell\">");
    if (axis != NULL)
        chart_bar(out, axis,
                  &(struct chart_bar){.from = axis->is_log ? NAN : 0,
                                      .to = median,
                                      .low = low < high ? low : NAN,
                                      .high = high,
                                      .mark = axis->is_log ? median : NAN,
                                      .line = NAN,
                                      .style = style});
    text_put(out, "</td>");
}

static void put_server(struct text *out, const json_t *server, enum unit unit,
                       const struct chart_axis *axis, unsigned style)
{
    double values[VALUES_MAX], low, high, median = member_number(server, "median");
    unsigned count;
    high = values_of(server, values, &count, &low);
    text_format(out, "<tr%s><th scope=\"row\" class=\"name\">",
                style == 0 ? " class=\"ours\"" : "");
    text_html(out, member_string(server, "server"), TEXT_SHORT);
    text_put(out, "</th>");
    cell_number(out, unit, median);
    put_ratio(out, member(server, "ratio"));
    put_bar(out, axis, median, low, high, style);
    text_put(out, "<td class=\"n soft\">");
    if (count > 1)
        text_range(out, unit, low, high);

    text_format(out, "</td><td class=\"n soft\">%u</td>", count);
    cell_number(out, UNIT_COUNT, member_number(server, "rate"));
    cell_number(out, UNIT_US, member_number(server, "p99_us"));
    cell_number(out, UNIT_US, member_number(server, "generator_us"));
    text_put(out, "</tr>\n");
}

/* What is measured, what is aimed at, and how near the machine lets it come. */
static void put_row_head(struct text *out, const json_t *row, enum unit unit)
{
    text_html(out, member_string(row, "name"), TEXT_SHORT);
    text_put(out, "<span>");
    text_html(out, member_string(row, "what"), TEXT_LINE);
    text_put(out, " \xc2\xb7 ");
    text_html(out, member_string(row, "metric"), TEXT_SHORT);
    if (unit == UNIT_COUNT && member_string(row, "unit").size > 0) {
        text_put(out, " in ");
        text_html(out, member_string(row, "unit"), TEXT_SHORT);
    }
    text_put(out, slice_equal(member_string(row, "better"), SLICE("higher")) ? ", more is better"
                                                                             : ", less is better");
    text_put(out, "</span>");
    put_ceiling(out, member(row, "ceiling"));
    put_verdict(out, row);
}

static void put_row(struct text *out, const json_t *row)
{
    const json_t *servers = member(row, "servers");
    enum unit unit = unit_of(member_string(row, "unit"));
    struct chart_axis axis;
    bool has_axis = fit_row(servers, unit, &axis);
    text_put(out, "<tbody class=\"row\"><tr><th class=\"head\" scope=\"rowgroup\" colspan=\"4\">");
    put_row_head(out, row, unit);
    text_put(out, "</th><td class=\"head barcell\">");
    if (has_axis)
        chart_bar_axis(out, &axis);
    text_put(out, "</td><td class=\"head\" colspan=\"5\"></td></tr>\n");
    for (size_t i = 0; i < json_array_size(servers) && i < SERVERS_MAX; i++)
        put_server(out, json_array_get(servers, i), unit, has_axis ? &axis : NULL,
                   (unsigned)i % CHART_STYLES);
    text_put(out, "</tbody>\n");
}

static void put_rows(struct text *out, const json_t *rows)
{
    if (json_array_size(rows) == 0)
        return;
    section_begin(out, "rows", "Results");
    table_begin(out, "", "Each row of the suite, by server");
    text_put(out,
             "<thead><tr><th scope=\"col\">server</th><th scope=\"col\" class=\"n\">median</th>"
             "<th scope=\"col\" class=\"n\">ringpost<br>to this</th>"
             "<th scope=\"col\" class=\"n\">spread</th>"
             "<th scope=\"col\" class=\"barcell\">median and range</th>"
             "<th scope=\"col\" class=\"n\">range</th><th scope=\"col\" class=\"n\">runs</th>"
             "<th scope=\"col\" class=\"n\">rate, 1/s</th>"
             "<th scope=\"col\" class=\"n\">p99</th>"
             "<th scope=\"col\" class=\"n\">generator</th></tr></thead>\n");
    for (size_t i = 0; i < json_array_size(rows) && i < ROWS_MAX; i++)
        put_row(out, json_array_get(rows, i));
    table_end(out);
    text_put(out,
             "<p class=\"soft\">Bars are medians, whiskers the range over the runs; where servers "
             "are more than 20 times apart the axis is logarithmic and a stroke is the median. "
             "Ratios are "
             "medians over pairs of runs that followed each other, with their range. "
             "\xe2\x80\x9cGenerator\xe2\x80\x9d is its own CPU an operation.</p>\n");
    section_end(out);
}

/* ---- sweeps */

/* Axes say no unit of their own: it is told by the words. */
static enum unit unit_of_words(struct slice words)
{
    char text[100];
    size_t size = words.size < sizeof text - 1 ? words.size : sizeof text - 1;
    for (size_t i = 0; i < size; i++)
        text[i] = ascii_lower(words.data[i]);
    text[size] = '\0';
    if (strstr(text, "bytes") != NULL || strcmp(text, "size") == 0 || strstr(text, "memory"))
        return UNIT_BYTES;
    return strstr(text, " us") != NULL ? UNIT_US : UNIT_COUNT;
}

static unsigned read_points(const json_t *list, struct chart_point *points, unsigned max)
{
    unsigned count = 0;
    for (size_t i = 0; i < json_array_size(list) && count < max; i++) {
        const json_t *point = json_array_get(list, i);
        points[count++] = (struct chart_point){
            .x = member_number(point, "x"),
            .y = member_number(point, "y"),
            .low = member_number(point, "low"),
            .high = member_number(point, "high"),
        };
        if (!isfinite(points[count - 1].x))
            count--;
    }
    chart_sort(points, count);
    return count;
}

/* From the lowest to the highest more than a factor of 30: a linear axis would hide the low. */
static bool wants_log(const struct chart_series *series, unsigned count)
{
    double low = INFINITY, high = 0;
    for (unsigned s = 0; s < count; s++)
        for (unsigned i = 0; i < series[s].count; i++) {
            double y = series[s].points[i].y;
            low = isfinite(y) ? fmin(low, y) : low;
            high = isfinite(y) ? fmax(high, y) : high;
        }
    return low > 0 && high > 30 * low;
}

static void draw_sweep(struct text *out, const json_t *sweep)
{
    enum { POINTS_MAX = 500 };
    const json_t *list = member(sweep, "series");
    struct chart_series series[SERVERS_MAX];
    struct chart_point *points = calloc(SERVERS_MAX * POINTS_MAX, sizeof *points);
    unsigned count = 0;
    if (points == NULL) {
        out->error = -ENOMEM;
        return;
    }
    for (; count < json_array_size(list) && count < SERVERS_MAX; count++) {
        const json_t *one = json_array_get(list, count);
        struct chart_point *own = points + (size_t)count * POINTS_MAX;
        series[count] =
            (struct chart_series){.name = member_string(one, "server"),
                                  .points = own,
                                  .count = read_points(member(one, "points"), own, POINTS_MAX),
                                  .style = count % CHART_STYLES};
    }
    struct slice what = member_string(sweep, "what"), x = member_string(sweep, "x"),
                 y = member_string(sweep, "y");
    what = what.size > 0 ? what : member_string(sweep, "name");
    chart_draw(
        out, &(struct chart){.title = what.size > 0 ? what : SLICE("(no name)"),
                             .note = y,
                             .x_name = x,
                             .x_unit = unit_of_words(x),
                             .y_unit = unit_of_words(y),
                             .x_is_log = slice_equal(member_string(sweep, "x_scale"), SLICE("log")),
                             .y_is_log = wants_log(series, count),
                             .series = series,
                             .series_count = count});
    free(points);
}

static void put_sweeps(struct text *out, const json_t *sweeps)
{
    if (json_array_size(sweeps) == 0)
        return;
    section_begin(out, "sweeps", "How cost grows");
    text_put(out, "<div class=\"charts\">\n");
    for (size_t i = 0; i < json_array_size(sweeps) && i < SWEEPS_MAX; i++)
        draw_sweep(out, json_array_get(sweeps, i));
    text_put(out, "</div>\n<p class=\"soft\">Bands: the range over the runs.</p>\n");
    section_end(out);
}

/* ---- the rest */

static void put_ceilings(struct text *out, const json_t *ceilings)
{
    const char *name;
    json_t *ceiling;
    unsigned rows = 0;
    if (json_object_size(ceilings) == 0)
        return;
    section_begin(out, "ceilings", "Ceilings of this machine");
    table_begin(out, "sortable", "What the machine can do");
    text_put(out,
             "<thead><tr><th scope=\"col\">ceiling</th><th scope=\"col\" class=\"n\">value</th>"
             "<th scope=\"col\">what</th></tr></thead><tbody>\n");
    json_object_foreach((json_t *)ceilings, name, ceiling)
    {
        if (rows++ == CEILINGS_MAX)
            break;
        struct slice unit = member_string(ceiling, "unit");
        enum unit known = unit_of(unit);
        double value = member_number(ceiling, "value");
        text_put(out, "<tr><th scope=\"row\">");
        text_html(out, slice_cstr(name), TEXT_SHORT);
        text_format(out, "</th><td class=\"n\" data-sort=\"%.9g\">", isfinite(value) ? value : 0);
        text_value(out, known, value);
        if (known == UNIT_COUNT) {
            text_put(out, " ");
            text_html(out, unit, TEXT_SHORT);
        }
        text_put(out, "</td>");
        cell_words(out, member_string(ceiling, "what"));
        text_put(out, "</tr>\n");
    }
    text_put(out, "</tbody>");
    table_end(out);
    section_end(out);
}

static void put_where(struct text *out, const json_t *suite)
{
    section_begin(out, "where", "Machine, versions, command");
    text_put(out, "<div class=\"columns\"><div>");
    table_begin(out, "pairs", "The machine");
    text_put(out, "<tbody>\n");
    part_machine(out, member(suite, "machine"));
    pair_value(out, "Took", UNIT_SECONDS, member_number(suite, "seconds"));
    text_put(out, "</tbody>");
    table_end(out);
    text_put(out, "</div><div>");
    table_begin(out, "pairs", "Versions");
    text_put(out, "<tbody>\n");
    const char *name;
    json_t *version;
    unsigned rows = 0;
    json_object_foreach((json_t *)member(suite, "versions"), name,
                        version) if (rows++ < CEILINGS_MAX)
        pair_json(out, slice_cstr(name), version);
    text_put(out, "</tbody>");
    table_end(out);
    text_put(out, "</div></div><div class=\"under\"></div>\n");
    part_command(out, member(suite, "command"));
    section_end(out);
}

static void put_figures(struct text *out, const json_t *suite)
{
    const json_t *rows = member(suite, "rows");
    unsigned counts[SUITE_VERDICTS] = {0}, aimed = 0;
    if (json_array_size(rows) == 0)
        return;
    for (size_t i = 0; i < json_array_size(rows) && i < ROWS_MAX; i++) {
        const json_t *row = json_array_get(rows, i);
        aimed += member_string(row, "target").size > 0;
        counts[suite_judge(row)]++;
    }
    text_put(out, "<dl class=\"figures\">\n");
    figure_value(out, "Rows", UNIT_COUNT, (double)json_array_size(rows), "");
    figure_value(out, "Targets met", UNIT_COUNT, counts[SUITE_MET], "");
    figure_value(out, "Within the spread", UNIT_COUNT, counts[SUITE_CLOSE],
                 "the range holds the target");
    figure_begin(out, "Not met");
    text_put(out, counts[SUITE_MISSED] > 0 ? "<span class=\"badly\">" : "<span>");
    text_format(out, "%u</span>", counts[SUITE_MISSED]);
    figure_end(out, "");
    figure_value(out, "Not judged", UNIT_COUNT,
                 (double)(aimed - counts[SUITE_MET] - counts[SUITE_CLOSE] - counts[SUITE_MISSED]),
                 "no value yet, or not a number");
    text_put(out, "</dl>\n");
}

int page_suite(json_t *suite, struct text *out)
{
    page_begin(out, SLICE("Ringpost beside its peers"));
    text_put(out, "<header><p class=\"kicker\">");
    text_html(out, member_string(suite, "tool"), TEXT_SHORT);
    text_put(out, " \xc2\xb7 ");
    text_html(out, member_string(suite, "started"), TEXT_SHORT);
    text_put(out, "</p><h1>Ringpost beside its peers</h1><p class=\"sub\">");
    text_html(out, member_string(suite, "machine.cpu"), TEXT_SHORT);
    text_put(out, ", ");
    text_value(out, UNIT_COUNT, member_number(suite, "machine.cpus"));
    text_put(out, " CPUs, ");
    text_html(out, member_string(suite, "machine.kernel"), TEXT_SHORT);
    text_put(out, "</p></header>\n");
    part_partial(out, suite);
    put_figures(out, suite);
    put_rows(out, member(suite, "rows"));
    put_sweeps(out, member(suite, "sweeps"));
    put_ceilings(out, member(suite, "ceilings"));
    put_where(out, suite);
    page_end(out, NULL);
    return out->error;
}
