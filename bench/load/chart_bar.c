/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Small bars for cells of tables: the number stands beside them, so they carry no text of their own
 * and are hidden from screen readers; only the axis in the column's head has labels.
 */
#include "chart.h"

#include <math.h>

enum { BAR_WIDTH = 220, BAR_HEIGHT = 18, BAR_EDGE = 6 };

static double place(const struct chart_axis *axis, double value)
{
    return BAR_EDGE + chart_axis_place(axis, value) * (BAR_WIDTH - 2 * BAR_EDGE);
}

static bool is_there(const struct chart_axis *axis, double value)
{
    return isfinite(value) && (!axis->is_log || value > 0);
}

void chart_bar(struct text *out, const struct chart_axis *axis, const struct chart_bar *bar)
{
    text_format(out, "<svg class=\"bar s%u\" viewBox=\"0 0 %d %d\" aria-hidden=\"true\">",
                bar->style % CHART_STYLES, BAR_WIDTH, BAR_HEIGHT);
    if (is_there(axis, bar->line))
        text_format(out, "<path class=\"reference\" d=\"M%.1f 0V%d\"/>", place(axis, bar->line),
                    BAR_HEIGHT);
    if (is_there(axis, bar->from) && is_there(axis, bar->to)) {
        double from = place(axis, fmin(bar->from, bar->to)),
               to = place(axis, fmax(bar->from, bar->to));
        text_format(out, "<path class=\"bars\" d=\"M%.1f 5H%.1fV13H%.1fz\"/>", from,
                    fmax(to, from + 1), from);
    }
    if (is_there(axis, bar->low) && is_there(axis, bar->high)) {
        double low = place(axis, fmin(bar->low, bar->high)),
               high = place(axis, fmax(bar->low, bar->high));
        text_format(out, "<path class=\"whisker\" d=\"M%.1f 9H%.1fM%.1f 5V13M%.1f 5V13\"/>", low,
                    high, low, high);
    }
    for (unsigned i = 0; i < bar->dot_count; i++)
        if (is_there(axis, bar->dots[i]))
            text_format(out, "<circle cx=\"%.1f\" cy=\"9\" r=\"2\"/>", place(axis, bar->dots[i]));
    if (is_there(axis, bar->mark))
        text_format(out, "<path class=\"stroke\" d=\"M%.1f 2V16\"/>", place(axis, bar->mark));
    text_put(out, "</svg>");
}

void chart_bar_axis(struct text *out, const struct chart_axis *axis)
{
    text_format(out, "<svg class=\"bar\" viewBox=\"0 0 %d 20\" aria-hidden=\"true\">", BAR_WIDTH);
    double end = -100;
    for (unsigned i = 0; i < axis->tick_count; i++) {
        char label[UNIT_TEXT_BYTES];
        chart_axis_label(axis, axis->ticks[i], label);
        double x = place(axis, axis->ticks[i]), half = 3.5 * (double)strlen(label) + 2;
        double middle = fmin(fmax(x, half), BAR_WIDTH - half);
        if (middle - half < end + 3)
            continue;
        end = middle + half;
        text_format(out, "<path class=\"reference\" d=\"M%.1f 15V20\"/>", x);
        text_format(out, "<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"11\">",
                    middle);
        text_unit(out, label);
        text_put(out, "</text>");
    }
    text_put(out, "</svg>");
}
