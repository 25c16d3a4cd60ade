/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Axes: where they begin and end, and which numbers stand at them. Ticks are counted by whole
 * numbers and multiplied, so that none is 0.30000000000000004.
 */
#include "chart.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

/* The smallest step of the unit that is not below `raw` (> 0). */
static double nice_step(enum unit unit, double raw)
{
    static const double clock_steps[] = {1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600};
    if (unit == UNIT_SECONDS && raw > 0.5)
        for (unsigned i = 0; i < sizeof clock_steps / sizeof clock_steps[0]; i++)
            if (clock_steps[i] >= raw * 0.999999)
                return clock_steps[i];
    if (unit == UNIT_BYTES)
        return raw <= 1 ? 1 : exp2(ceil(log2(raw) - 1e-9));
    double power = pow(10, floor(log10(raw)));
    for (unsigned i = 0; i < 3; i++)
        if ((double[]){1, 2, 5}[i] * power >= raw * 0.999999)
            return (double[]){1, 2, 5}[i] * power;
    return 10 * power;
}

static void fit_linear(struct chart_axis *axis, double low, double high, unsigned wanted)
{
    enum { SMALLEST_PARTS = 1000000000 };
    if (high - low <= fmax(fabs(high), 1) / SMALLEST_PARTS) { /* one value, or as good as one */
        double around = fabs(high) < 1e-6 ? 1 : fabs(high) / 2;
        low = low >= 0 && high > 0 && low - around < 0 ? 0 : low - around;
        high += around;
    }
    double step = nice_step(axis->unit, (high - low) / wanted);
    if (axis->unit == UNIT_COUNT && step < 1 && high - low >= 1)
        step = 1;
    double first = floor(low / step + 1e-9), last = ceil(high / step - 1e-9);
    while (last - first + 1 > CHART_TICKS_MAX) {
        step *= 2;
        first = floor(low / step + 1e-9);
        last = ceil(high / step - 1e-9);
    }
    axis->low = first * step;
    axis->high = last * step;
    for (double i = first; i <= last && axis->tick_count < CHART_TICKS_MAX; i++)
        axis->ticks[axis->tick_count++] = i * step;
}

/* The n-th of ... 0.5, 1, 2, 5, 10, 20 ...; 0 is 1. */
static double number_125(int n)
{
    int decade = n >= 0 ? n / 3 : -((2 - n) / 3);
    return (double[]){1, 2, 5}[n - 3 * decade] * pow(10, decade);
}

static void fit_log(struct chart_axis *axis, double low, double high, unsigned wanted)
{
    int first = 3 * (int)floor(log10(low)), last = first;
    while (number_125(first + 1) <= low * 1.000001)
        first++;
    last = first + 1;
    while (number_125(last) < high * 0.999999)
        last++;
    axis->low = number_125(first);
    axis->high = number_125(last);
    if ((unsigned)(last - first) <= wanted) {
        for (int i = first; i <= last && axis->tick_count < CHART_TICKS_MAX; i++)
            axis->ticks[axis->tick_count++] = number_125(i);
        return;
    }
    int decade = (int)ceil((double)first / 3), end = (int)floor((double)last / 3);
    int each = 1 + (end - decade) / (int)wanted;
    for (int i = decade; i <= end && axis->tick_count < CHART_TICKS_MAX; i += each)
        axis->ticks[axis->tick_count++] = number_125(3 * i);
    if (axis->tick_count < 2) { /* less than two decades and no room: the ends */
        axis->tick_count = 2;
        axis->ticks[0] = axis->low;
        axis->ticks[1] = axis->high;
    }
}

/* Bytes: powers of two. */
static void fit_log_bytes(struct chart_axis *axis, double low, double high, unsigned wanted)
{
    int first = (int)floor(log2(low) + 1e-9), last = (int)ceil(log2(high) - 1e-9);
    last = last > first ? last : first + 1;
    int each = 1;
    while ((last - first) / each + 1 > (int)wanted)
        each = each < 10 ? each + 1 : each + 10; /* then every KiB, MiB, GiB */
    int start = each < 10 ? first : (int)ceil(first / 10.0) * 10;
    if (each < 10 && (last - start) % each != 0)
        last = start + ((last - start) / each + 1) * each;
    axis->low = exp2(first);
    axis->high = exp2(last);
    for (int i = start; i <= last && axis->tick_count < CHART_TICKS_MAX; i += each)
        axis->ticks[axis->tick_count++] = exp2(i);
    if (axis->tick_count < 2) {
        axis->tick_count = 2;
        axis->ticks[0] = axis->low;
        axis->ticks[1] = axis->high;
    }
}

void chart_axis_fit(struct chart_axis *axis, double low, double high, unsigned wanted)
{
    assert(isfinite(low) && isfinite(high) && low <= high && (!axis->is_log || low > 0));
    wanted = wanted < 2 ? 2 : wanted > 16 ? 16 : wanted;
    axis->tick_count = 0;
    if (axis->is_log && axis->unit == UNIT_BYTES)
        fit_log_bytes(axis, low, high, wanted);
    else if (axis->is_log)
        fit_log(axis, low, high, wanted);
    else
        fit_linear(axis, low, high, wanted);
    assert(axis->low < axis->high && axis->tick_count >= 2);
}

double chart_axis_place(const struct chart_axis *axis, double value)
{
    double place = axis->is_log
                       ? value <= 0 ? 0 : log(value / axis->low) / log(axis->high / axis->low)
                       : (value - axis->low) / (axis->high - axis->low);
    return !(place > 0) ? 0 : place > 1 ? 1 : place;
}

void chart_axis_label(const struct chart_axis *axis, double value, char ret_text[UNIT_TEXT_BYTES])
{
    if (axis->unit != UNIT_SECONDS || axis->high < 120 || axis->is_log) {
        unit_tick(axis->unit, value, ret_text);
        return;
    }
    unsigned long seconds = value < 0 ? 0 : value > 1e9 ? 1000000000 : (unsigned long)value;
    if (axis->high < 7200)
        snprintf(ret_text, UNIT_TEXT_BYTES, "%lu:%02lu", seconds / 60, seconds % 60);
    else
        snprintf(ret_text, UNIT_TEXT_BYTES, "%lu:%02lu:%02lu", seconds / 3600, seconds / 60 % 60,
                 seconds % 60);
}
