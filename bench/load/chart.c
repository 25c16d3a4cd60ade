/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One chart: what of it can be drawn, its axes for a size, its series. The wide drawing carries the
 * values too (data-points), for the script that shows them under the pointer.
 */
#include "chart.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LABEL_WIDTH = 7, NAME_WIDTH = 9, LABEL_GAP = 12, MARKERS_MAX = 40 };

struct view {
    const struct chart *chart;
    struct text *out;
    bool is_wide, has_data;
    double width, height;            /* the viewBox */
    double left, right, top, bottom; /* the plot in it */
    struct chart_axis x, y;
};

static bool is_drawable(double value, bool is_log)
{
    return isfinite(value) && fabs(value) <= CHART_VALUE_MAX && (!is_log || value >= CHART_LOG_MIN);
}

static bool can_draw(const struct chart *chart, const struct chart_point *point)
{
    return is_drawable(point->x, chart->x_is_log) && is_drawable(point->y, chart->y_is_log);
}

static bool has_band(const struct chart *chart, const struct chart_point *point)
{
    return can_draw(chart, point) && is_drawable(point->low, chart->y_is_log) &&
           is_drawable(point->high, chart->y_is_log) && point->low <= point->high;
}

/* ---- values */

static int compare_points(const void *a, const void *b)
{
    const struct chart_point *p = a, *q = b;
    if (p->x != q->x)
        return p->x < q->x ? -1 : 1;
    return p->y < q->y ? -1 : p->y > q->y;
}

void chart_sort(struct chart_point *points, unsigned count)
{
    if (count > 1)
        qsort(points, count, sizeof *points, compare_points);
}

/* Keeps of one column what its outline needs; `points` begins at the column. */
static unsigned thin_column(const struct chart_point *points, unsigned count,
                            struct chart_point *ret_kept)
{
    unsigned keep[6] = {0, count - 1}, kept = 0;
    unsigned low = 0, high = 0, band_low = 0, band_high = 0;
    for (unsigned i = 0; i < count; i++) {
        if (isfinite(points[i].y)) { /* a number beats a gap */
            low = !(points[low].y <= points[i].y) ? i : low;
            high = !(points[high].y >= points[i].y) ? i : high;
        }
        band_low = points[i].low < points[band_low].low ? i : band_low;
        band_high = points[i].high > points[band_high].high ? i : band_high;
    }
    keep[2] = low;
    keep[3] = high;
    keep[4] = band_low;
    keep[5] = band_high;
    struct chart_point chosen[6];
    for (unsigned i = 0; i < count && kept < 6; i++)
        for (unsigned j = 0; j < 6; j++)
            if (keep[j] == i) {
                chosen[kept++] = points[i];
                break;
            }
    memcpy(ret_kept, chosen, kept * sizeof *chosen);
    return kept;
}

unsigned chart_thin(struct chart_point *points, unsigned count, const struct chart_axis *x,
                    unsigned columns)
{
    unsigned kept = 0;
    for (unsigned i = 0, next; i < count; i = next) {
        unsigned column = (unsigned)(chart_axis_place(x, points[i].x) * columns);
        for (next = i + 1; next < count; next++)
            if ((unsigned)(chart_axis_place(x, points[next].x) * columns) != column)
                break;
        kept += thin_column(points + i, next - i, points + kept);
    }
    return kept;
}

/* ---- axes */

struct extent {
    double x_low, x_high, y_low, y_high;
    bool is_set;
};

static void extend(struct extent *extent, double x, double y)
{
    if (!extent->is_set)
        *extent = (struct extent){x, x, y, y, true};
    extent->x_low = fmin(extent->x_low, x);
    extent->x_high = fmax(extent->x_high, x);
    extent->y_low = fmin(extent->y_low, y);
    extent->y_high = fmax(extent->y_high, y);
}

/* Of a step or bar: the last one may be cut short. */
static double end_of(const struct chart *chart, const struct chart_point *point)
{
    double end = point->x + chart->width;
    if (chart->x_to > chart->x_from && point->x < chart->x_to && end > chart->x_to)
        return chart->x_to;
    return end;
}

static struct extent find_extent(const struct chart *chart)
{
    struct extent extent = {0};
    for (unsigned s = 0; s < chart->series_count; s++)
        for (unsigned i = 0; i < chart->series[s].count; i++) {
            const struct chart_point *point = &chart->series[s].points[i];
            if (!can_draw(chart, point))
                continue;
            extend(&extent, point->x, point->y);
            if (chart->series[s].shape != CHART_LINE)
                extend(&extent, end_of(chart, point), point->y);
            if (has_band(chart, point)) {
                extend(&extent, point->x, point->low);
                extend(&extent, point->x, point->high);
            }
        }
    if (extent.is_set && chart->x_to > chart->x_from) {
        extent.x_low = fmin(extent.x_low, chart->x_from);
        extent.x_high = fmax(extent.x_high, chart->x_to);
    }
    if (extent.is_set && !chart->y_is_log && !chart->y_is_free) {
        extent.y_low = fmin(extent.y_low, 0);
        extent.y_high = fmax(extent.y_high, 0);
        if (extent.y_low == extent.y_high)
            extent.y_high = 1;
    }
    return extent;
}

static double label_width(const struct chart_axis *axis, double value)
{
    char label[UNIT_TEXT_BYTES];
    chart_axis_label(axis, value, label);
    return LABEL_WIDTH * (double)strlen(label);
}

/* Where the middle of the label of a tick of the x axis stands: within the drawing. */
static double label_x(const struct view *view, double tick)
{
    double half = label_width(&view->x, tick) / 2;
    double x = view->left + chart_axis_place(&view->x, tick) * (view->right - view->left);
    return fmin(fmax(x, half + 1), view->width - half - 1);
}

static bool labels_fit(const struct view *view)
{
    const struct chart_axis *axis = &view->x;
    for (unsigned i = 1; i < axis->tick_count; i++) {
        double wanted =
            (label_width(axis, axis->ticks[i]) + label_width(axis, axis->ticks[i - 1])) / 2;
        if (label_x(view, axis->ticks[i]) - label_x(view, axis->ticks[i - 1]) < wanted + LABEL_GAP)
            return false;
    }
    return true;
}

static void fit_view(struct view *view)
{
    const struct chart *chart = view->chart;
    struct extent extent = find_extent(chart);
    view->width = view->is_wide ? 560 : 340;
    view->height = view->is_wide ? 270 : 240;
    view->top = 10;
    view->right = view->width - 12;
    view->bottom = view->height - 40;
    view->left = 12;
    view->has_data = extent.is_set;
    if (!extent.is_set)
        return;
    view->y = (struct chart_axis){.unit = chart->y_unit, .is_log = chart->y_is_log};
    chart_axis_fit(&view->y, extent.y_low, extent.y_high, view->is_wide ? 6 : 5);
    for (unsigned i = 0; i < view->y.tick_count; i++)
        view->left = fmax(view->left, label_width(&view->y, view->y.ticks[i]) + 10);
    view->x = (struct chart_axis){.unit = chart->x_unit, .is_log = chart->x_is_log};
    for (unsigned wanted = view->is_wide ? 9 : 6; wanted >= 2; wanted--) {
        chart_axis_fit(&view->x, extent.x_low, extent.x_high, wanted);
        if (labels_fit(view))
            return;
    }
    view->x.ticks[1] = view->x.ticks[view->x.tick_count - 1];
    view->x.tick_count = labels_fit(view) ? view->x.tick_count : 2;
}

static double x_of(const struct view *view, double value)
{
    return view->left + chart_axis_place(&view->x, value) * (view->right - view->left);
}

static double y_of(const struct view *view, double value)
{
    return view->bottom - chart_axis_place(&view->y, value) * (view->bottom - view->top);
}

static void put_label(struct text *out, const struct chart_axis *axis, double value)
{
    char label[UNIT_TEXT_BYTES];
    chart_axis_label(axis, value, label);
    text_unit(out, label);
    text_put(out, "</text>");
}

static void draw_axes(const struct view *view)
{
    struct text *out = view->out;
    text_put(out, "<g class=\"grid\">");
    for (unsigned i = 0; i < view->y.tick_count; i++)
        text_format(out, "<path d=\"M%.1f %.1fH%.1f\"/>", view->left, y_of(view, view->y.ticks[i]),
                    view->right);
    for (unsigned i = 0; i < view->x.tick_count; i++)
        text_format(out, "<path d=\"M%.1f %.1fv4\"/>", x_of(view, view->x.ticks[i]), view->bottom);
    text_put(out, "</g><g class=\"tick\" text-anchor=\"end\">");
    for (unsigned i = 0; i < view->y.tick_count; i++) {
        text_format(out, "<text x=\"%.1f\" y=\"%.1f\">", view->left - 6,
                    y_of(view, view->y.ticks[i]) + 4);
        put_label(out, &view->y, view->y.ticks[i]);
    }
    text_put(out, "</g><g class=\"tick\" text-anchor=\"middle\">");
    for (unsigned i = 0; i < view->x.tick_count; i++) {
        text_format(out, "<text x=\"%.1f\" y=\"%.1f\">", label_x(view, view->x.ticks[i]),
                    view->bottom + 17);
        put_label(out, &view->x, view->x.ticks[i]);
    }
    text_format(out, "</g><text class=\"name\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">",
                (view->left + view->right) / 2, view->height - 7);
    text_html(out, view->chart->x_name, (unsigned)((view->right - view->left) / NAME_WIDTH));
    text_put(out, "</text>");
}

/* ---- series */

static void put_marker(struct text *out, unsigned style, double x, double y)
{
    static const char *const shapes[] = {
        "m-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0z",
        "m-3 -3h6v6h-6z",
        "m0 -4l3.8 6.6h-7.6z",
        "m0 -4l4 4l-4 4l-4 -4z",
    };
    text_format(out, "<path class=\"mark\" d=\"M%.1f %.1f%s\"/>", x, y, shapes[style % 4]);
}

static void draw_markers(const struct view *view, const struct chart_series *series)
{
    for (unsigned i = 0; i < series->count; i++)
        if (can_draw(view->chart, &series->points[i]))
            put_marker(view->out, series->style, x_of(view, series->points[i].x),
                       y_of(view, series->points[i].y));
}

static void draw_line(const struct view *view, const struct chart_series *series)
{
    struct text *out = view->out;
    bool is_open = false, is_step = series->shape == CHART_STEP;
    text_put(out, "<path class=\"line\" d=\"");
    for (unsigned i = 0; i < series->count; i++) {
        const struct chart_point *point = &series->points[i];
        if (!can_draw(view->chart, point)) {
            is_open = false;
            continue;
        }
        double x = x_of(view, point->x), y = y_of(view, point->y);
        if (is_open && is_step)
            text_format(out, "H%.1fV%.1f", x, y);
        else
            text_format(out, "%c%.1f %.1f", is_open ? 'L' : 'M', x, y);
        is_open = true;
        bool is_last = i + 1 == series->count || !can_draw(view->chart, point + 1);
        if (is_step && is_last)
            text_format(out, "H%.1f", x_of(view, end_of(view->chart, point)));
    }
    text_put(out, "\"/>");
}

static void draw_bars(const struct view *view, const struct chart_series *series)
{
    struct text *out = view->out;
    double zero = y_of(view, view->y.is_log ? view->y.low : 0);
    text_put(out, "<path class=\"bars\" d=\"");
    for (unsigned i = 0; i < series->count; i++) {
        const struct chart_point *point = &series->points[i];
        if (!can_draw(view->chart, point) || point->y == 0)
            continue;
        double x = x_of(view, point->x), y = y_of(view, point->y);
        double end = fmax(x_of(view, end_of(view->chart, point)) - 1, x + 1);
        text_format(out, "M%.1f %.1fV%.1fH%.1fV%.1fz", x, zero, y, fmin(end, view->right), zero);
    }
    text_put(out, "\"/>");
}

/* Each stretch of neighbours that have one: along the upper edge, and back along the lower. */
static void draw_band(const struct view *view, const struct chart_series *series)
{
    struct text *out = view->out;
    for (unsigned i = 0, end; i < series->count; i = end + 1) {
        for (end = i; end < series->count && has_band(view->chart, &series->points[end]); end++)
            ;
        if (end == i)
            continue;
        text_put(out, "<path class=\"band\" d=\"");
        for (unsigned j = i; j < end; j++)
            text_format(out, "%c%.1f %.1f", j == i ? 'M' : 'L', x_of(view, series->points[j].x),
                        y_of(view, series->points[j].high));
        for (unsigned j = end; j-- > i;)
            text_format(out, "L%.1f %.1f", x_of(view, series->points[j].x),
                        y_of(view, series->points[j].low));
        text_put(out, "z\"/>");
    }
}

static void put_points(struct text *out, const struct chart *chart,
                       const struct chart_series *series)
{
    text_put(out, " data-points=\"");
    for (unsigned i = 0; i < series->count; i++)
        if (can_draw(chart, &series->points[i]))
            text_format(out, "%s%.6g,%.6g", i ? " " : "", series->points[i].x, series->points[i].y);
    text_put(out, "\"");
}

static void draw_series(const struct view *view, const struct chart_series *original)
{
    struct text *out = view->out;
    struct chart_series series = *original;
    unsigned columns = (unsigned)(view->right - view->left);
    struct chart_point *copy = NULL;
    if (series.count > 2 * columns) {
        copy = malloc(series.count * sizeof *copy);
        if (copy == NULL) {
            out->error = -ENOMEM;
            return;
        }
        for (unsigned i = 0; i < series.count; i++) { /* so that what is not drawn hides no peak */
            copy[i] = series.points[i];
            copy[i].y = can_draw(view->chart, &copy[i]) ? copy[i].y : NAN;
        }
        series.points = copy;
        series.count = chart_thin(copy, series.count, &view->x, columns);
    }
    text_format(out, "<g class=\"s%u\" data-name=\"", series.style % CHART_STYLES);
    text_html(out, series.name, TEXT_SHORT);
    text_put(out, "\"");
    if (view->is_wide)
        put_points(out, view->chart, &series);
    text_put(out, ">");
    draw_band(view, &series);
    if (series.shape == CHART_BARS)
        draw_bars(view, &series);
    else
        draw_line(view, &series);
    if (series.shape == CHART_LINE && series.count <= MARKERS_MAX)
        draw_markers(view, &series);
    text_put(out, "</g>");
    free(copy);
}

/* ---- the figure */

/* In words, for who does not see it. */
static void describe(struct text *out, const struct chart *chart)
{
    text_put(out, "<desc>");
    for (unsigned s = 0; s < chart->series_count; s++) {
        const struct chart_series *series = &chart->series[s];
        unsigned count = 0;
        double low = 0, high = 0;
        for (unsigned i = 0; i < series->count; i++)
            if (can_draw(chart, &series->points[i])) {
                double y = series->points[i].y;
                low = count == 0 ? y : fmin(low, y);
                high = count == 0 ? y : fmax(high, y);
                count++;
            }
        text_html(out, series->name, TEXT_SHORT);
        if (count == 0) {
            text_put(out, ": no data. ");
            continue;
        }
        text_format(out, ": %u values, ", count);
        text_value(out, chart->y_unit, low);
        text_put(out, " to ");
        text_value(out, chart->y_unit, high);
        text_put(out, ". ");
    }
    text_put(out, "</desc>");
}

static void draw_view(struct text *out, const struct chart *chart, bool is_wide)
{
    struct view view = {.chart = chart, .out = out, .is_wide = is_wide};
    fit_view(&view);
    text_format(out, "<svg class=\"%s\" role=\"img\" viewBox=\"0 0 %.0f %.0f\"",
                is_wide ? "wide" : "narrow", view.width, view.height);
    if (view.has_data) {
        text_format(out, " data-x=\"%.9g %.9g %d %.1f %.1f %d\"", view.x.low, view.x.high,
                    view.x.is_log, view.left, view.right, (int)view.x.unit);
        text_format(out, " data-y=\"%.1f %.1f %d\"", view.top, view.bottom, (int)view.y.unit);
    }
    text_put(out, "><title>");
    text_html(out, chart->title, TEXT_LINE);
    text_put(out, "</title>");
    describe(out, chart);
    if (!view.has_data) {
        text_format(
            out, "<text class=\"none\" text-anchor=\"middle\" x=\"%.0f\" y=\"%.0f\">no data</text>",
            view.width / 2, view.height / 2);
    } else {
        draw_axes(&view);
        for (unsigned s = 0; s < chart->series_count; s++)
            draw_series(&view, &chart->series[s]);
    }
    text_put(out, "</svg>");
}

static void draw_legend(struct text *out, const struct chart *chart)
{
    text_put(out, "<ul class=\"legend\">");
    for (unsigned s = 0; s < chart->series_count; s++) {
        const struct chart_series *series = &chart->series[s];
        text_format(out, "<li><svg class=\"s%u\" viewBox=\"0 0 28 12\" aria-hidden=\"true\">",
                    series->style % CHART_STYLES);
        if (series->shape == CHART_BARS) {
            text_put(out, "<path class=\"bars\" d=\"M9 1h10v10h-10z\"/>");
        } else {
            text_put(out, "<path class=\"line\" d=\"M1 6H27\"/>");
            if (series->shape == CHART_LINE && series->count <= MARKERS_MAX)
                put_marker(out, series->style, 14, 6);
        }
        text_put(out, "</svg>");
        text_html(out, series->name, TEXT_SHORT);
        text_put(out, "</li>");
    }
    text_put(out, "</ul>");
}

void chart_draw(struct text *out, const struct chart *chart)
{
    text_put(out, "<figure><figcaption><b>");
    text_html(out, chart->title, TEXT_LINE);
    text_put(out, "</b> <span>");
    text_html(out, chart->note, TEXT_LINE);
    text_put(out, "</span>");
    if (chart->series_count > 1)
        draw_legend(out, chart);
    text_put(out, "</figcaption>");
    draw_view(out, chart, true);
    draw_view(out, chart, false);
    text_put(out, "</figure>\n");
}
