/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The page of a comparison: for each metric the groups with their values and their ratios to the
 * first, and the distributions of latency over each other.
 */
#include "compare.h"
#include "page_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static void put_header(struct text *out, const struct compare *compare, json_t *const *runs)
{
    text_put(out, "<header><p class=\"kicker\">comparison</p><h1>");
    for (unsigned i = 0; i < compare->group_count; i++) {
        text_put(out, i ? " <small>and</small> " : "");
        text_html(out, compare->groups[i].label, TEXT_SHORT);
    }
    text_format(out, "</h1><p class=\"sub\">%u run%s of ", compare->run_count,
                compare->run_count == 1 ? "" : "s");
    text_html(out, member_string(runs[0], "scenario"), TEXT_SHORT);
    text_put(out, ". Ratios are to ");
    text_html(out, compare->groups[0].label, TEXT_SHORT);
    text_put(out, ".</p></header>\n");
}

static void put_warnings(struct text *out, const struct compare *compare)
{
    if (compare->warning_count == 0)
        return;
    notice_begin(out, "note");
    text_put(out, "<strong>Warning:</strong>");
    for (unsigned i = 0; i < compare->warning_count; i++) {
        text_put(out, i > 0 ? "<br>" : " ");
        text_html(out, slice_of(compare->warnings[i].data, compare->warnings[i].size), TEXT_LINE);
    }
    notice_end(out);
}

/* ---- axes of the bars */

static void widen(double *low, double *high, double value)
{
    if (isfinite(value) && fabs(value) <= CHART_VALUE_MAX) {
        *low = fmin(*low, value);
        *high = fmax(*high, value);
    }
}

/* Linear from zero. False when no group has a value. */
static bool fit_values(const struct compare *compare, unsigned metric, struct chart_axis *axis)
{
    double low = 0, high = -INFINITY;
    for (unsigned g = 0; g < compare->group_count; g++) {
        widen(&low, &high, compare->groups[g].cells[metric].low);
        widen(&low, &high, compare->groups[g].cells[metric].high);
    }
    if (!isfinite(high))
        return false;
    *axis = (struct chart_axis){.unit = compare_metrics[metric].unit};
    chart_axis_fit(axis, low, fmax(high, low), 3);
    return true;
}

/* Logarithmic, one axis for all ratios: half as much is as far from 1 as twice as much. */
static void fit_ratios(const struct compare *compare, struct chart_axis *axis)
{
    double low = 0.8, high = 1.25;
    for (unsigned g = 1; g < compare->group_count; g++)
        for (unsigned m = 0; m < compare_metric_count; m++) {
            const struct compare_ratio *ratio = &compare->groups[g].cells[m].to_first;
            double all[] = {ratio->ratio, ratio->low, ratio->high};
            for (unsigned i = 0; i < 3; i++)
                if (all[i] >= 1e-6)
                    widen(&low, &high, all[i]);
        }
    *axis = (struct chart_axis){.unit = UNIT_TIMES, .is_log = true};
    chart_axis_fit(axis, low, high, 4);
}

/* ---- the table */

static void put_ratio(struct text *out, const struct compare_ratio *ratio)
{
    if (!isfinite(ratio->ratio)) {
        text_put(out, "<td class=\"n\">\xe2\x80\x93</td><td></td>");
        return;
    }
    text_put(out, "<td class=\"n\">");
    text_value(out, UNIT_TIMES, ratio->ratio);
    text_put(out, "</td><td class=\"n soft\">");
    if (isfinite(ratio->low))
        text_range(out, UNIT_PLAIN, ratio->low, ratio->high);
    else
        text_put(out, "too few runs");
    text_put(out, "</td>");
}

static void put_bars(struct text *out, const struct compare_cell *cell, unsigned count,
                     const struct chart_axis *values, const struct chart_axis *ratios,
                     unsigned style)
{
    const struct compare_ratio *ratio = &cell->to_first;
    text_put(out, "<td class=\"barcell\">");
    chart_bar(out, values,
              &(struct chart_bar){.from = 0,
                                  .to = cell->median,
                                  .low = cell->known > 1 ? cell->low : NAN,
                                  .high = cell->high,
                                  .mark = NAN,
                                  .line = NAN,
                                  .dots = cell->values,
                                  .dot_count = count,
                                  .style = style});
    text_put(out, "</td><td class=\"barcell\">");
    if (isfinite(ratio->ratio))
        chart_bar(out, ratios,
                  &(struct chart_bar){.from = 1,
                                      .to = ratio->ratio,
                                      .low = ratio->low,
                                      .high = ratio->high,
                                      .mark = NAN,
                                      .line = 1,
                                      .style = style});
    text_put(out, "</td>");
}

static void put_cell(struct text *out, const struct compare *compare, unsigned g, unsigned m,
                     const struct chart_axis *values, const struct chart_axis *ratios)
{
    const struct compare_group *group = &compare->groups[g];
    const struct compare_cell *cell = &group->cells[m];
    text_put(out, "<tr><th scope=\"row\" class=\"name\">");
    text_html(out, group->label, TEXT_SHORT);
    text_put(out, "</th>");
    cell_number(out, compare_metrics[m].unit, cell->median);
    if (g > 0)
        put_ratio(out, &cell->to_first);
    else
        text_put(out, "<td class=\"n soft\">1</td><td></td>");
    put_bars(out, cell, group->count, values, ratios, g % CHART_STYLES);
    text_put(out, "<td class=\"n soft\">");
    if (cell->known > 1)
        text_range(out, compare_metrics[m].unit, cell->low, cell->high);

    text_format(out, "</td><td class=\"n soft\">%u</td></tr>\n", cell->known);
}

static void put_metric(struct text *out, const struct compare *compare, unsigned m,
                       const struct chart_axis *ratios)
{
    struct chart_axis values;
    bool has_values = fit_values(compare, m, &values);
    if (!has_values)
        return;
    text_format(out,
                "<tbody class=\"row\"><tr><th class=\"head\" scope=\"rowgroup\" colspan=\"4\">%s"
                "<span>%s is better</span></th><td class=\"head barcell\">",
                compare_metrics[m].name, compare_metrics[m].more_is_better ? "more" : "less");
    chart_bar_axis(out, &values);
    text_put(out, "</td><td class=\"head barcell\">");
    chart_bar_axis(out, ratios);
    text_put(out, "</td><td class=\"head\" colspan=\"2\"></td></tr>\n");
    for (unsigned g = 0; g < compare->group_count; g++)
        put_cell(out, compare, g, m, &values, ratios);
    text_put(out, "</tbody>\n");
}

static void put_table(struct text *out, const struct compare *compare)
{
    struct chart_axis ratios;
    fit_ratios(compare, &ratios);
    section_begin(out, "metrics", "Side by side");
    table_begin(out, "", "Each metric, by label, and its ratio to the first");
    text_put(out, "<thead><tr><th scope=\"col\">label</th><th scope=\"col\" class=\"n\">median</th>"
                  "<th scope=\"col\" class=\"n\">ratio</th><th scope=\"col\" class=\"n\">95 %</th>"
                  "<th scope=\"col\" class=\"barcell\">values</th>"
                  "<th scope=\"col\" class=\"barcell\">ratio</th>"
                  "<th scope=\"col\" class=\"n\">range</th>"
                  "<th scope=\"col\" class=\"n\">runs</th></tr></thead>\n");
    for (unsigned m = 0; m < compare_metric_count; m++)
        put_metric(out, compare, m, &ratios);
    table_end(out);
    unsigned paired = 0, others = 0;
    for (unsigned g = 1; g < compare->group_count; g++)
        *(compare->groups[g].is_paired ? &paired : &others) += 1;
    text_put(out, "<p class=\"soft\">Bars are medians, dots single runs, whiskers the range. ");
    if (paired > 0)
        text_put(out,
                 "Runs that were measured in turns are compared pair by pair: the ratio is the "
                 "median over the pairs. ");
    if (others > 0)
        text_put(out, "Where runs were not measured in turns the ratio is that of the medians. ");
    text_put(out, "Intervals: 95 %, by bootstrap; none with a single run. With five runs or fewer "
                  "an interval is little more than the range that was seen.</p>\n");
    section_end(out);
}

/* Latencies of all runs of each group together, over each other. */
static void put_distributions(struct text *out, const struct compare *compare, json_t *const *runs)
{
    struct chart_series series[COMPARE_GROUPS_MAX];
    struct chart_point *points[COMPARE_GROUPS_MAX] = {NULL};
    for (unsigned g = 0; g < compare->group_count; g++) {
        const struct compare_group *group = &compare->groups[g];
        const json_t *histograms[PAGE_RUNS_MAX];
        for (unsigned i = 0; i < group->count; i++)
            histograms[i] = member(runs[group->runs[i]], "phases.operation.histogram");
        points[g] = calloc(distribution_room(histograms, group->count), sizeof *points[g]);
        unsigned count =
            points[g] == NULL ? 0 : distribution_points(histograms, group->count, points[g]);
        if (points[g] == NULL)
            out->error = -ENOMEM;
        series[g] = (struct chart_series){
            .name = group->label, .points = points[g], .count = count, .style = g % CHART_STYLES};
    }
    section_begin(out, "latency", "Latency");
    text_put(out, "<div class=\"charts\">");
    chart_draw(out, &(struct chart){.title = SLICE("Latency by percentile"),
                                    .note = SLICE("all runs of a label together; logarithmic"),
                                    .x_name = SLICE("percentile"),
                                    .x_unit = UNIT_NINES,
                                    .y_unit = UNIT_US,
                                    .x_is_log = true,
                                    .y_is_log = true,
                                    .series = series,
                                    .series_count = compare->group_count});
    text_put(out, "</div>\n");
    section_end(out);
    for (unsigned g = 0; g < compare->group_count; g++)
        free(points[g]);
}

static void put_runs(struct text *out, json_t *const *runs, const char *const *names,
                     unsigned count)
{
    section_begin(out, "runs", "Runs");
    table_begin(out, "sortable", "The runs that were compared");
    text_put(out, "<thead><tr><th scope=\"col\">file</th><th scope=\"col\">label</th>"
                  "<th scope=\"col\">started</th><th scope=\"col\" class=\"n\">rate</th>"
                  "<th scope=\"col\" class=\"n\">p50</th><th scope=\"col\" class=\"n\">p99</th>"
                  "<th scope=\"col\" class=\"n\">errors</th></tr></thead><tbody>\n");
    for (unsigned i = 0; i < count && i < PAGE_RUNS_MAX; i++) {
        text_put(out, "<tr>");
        cell_words(out, slice_cstr(names[i]));
        cell_words(out, member_string(runs[i], "label"));
        cell_words(out, member_string(runs[i], "started"));
        cell_number(out, UNIT_COUNT, member_number(runs[i], "operations_per_second"));
        cell_number(out, UNIT_US, member_number(runs[i], "phases.operation.p50_us"));
        cell_number(out, UNIT_US, member_number(runs[i], "phases.operation.p99_us"));
        cell_number(out, UNIT_COUNT, member_number(runs[i], "error_count"));
        text_put(out, "</tr>\n");
    }
    text_put(out, "</tbody>");
    table_end(out);
    section_end(out);
}

static void put_where(struct text *out, const json_t *run)
{
    section_begin(out, "where", "Machine and command of the first run");
    table_begin(out, "pairs", "The machine");
    text_put(out, "<tbody>\n");
    part_machine(out, member(run, "machine"));
    text_put(out, "</tbody>");
    table_end(out);
    text_put(out, "<div class=\"under\"></div>");
    part_command(out, member(run, "command"));
    section_end(out);
}

int page_compare(json_t *const *runs, const char *const *names, unsigned count, struct text *out)
{
    struct compare *compare;
    int error = compare_make(runs, names, count, &compare);
    if (error != 0)
        return error;
    page_begin(out, SLICE("Comparison"));
    put_header(out, compare, runs);
    put_warnings(out, compare);
    put_table(out, compare);
    put_distributions(out, compare, runs);
    put_runs(out, runs, names, count);
    put_where(out, runs[0]);
    page_end(out, runs[0]);
    compare_free(compare);
    return out->error;
}
