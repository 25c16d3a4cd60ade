/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Charts as SVG: a figure with its caption, its legend, and the chart drawn twice, for wide and for
 * narrow screens (text keeps its size on a phone); a style sheet shows one of them. Small bars for
 * cells of tables, too.
 *
 * Invariants:
 *   C1 Whatever the values are, every coordinate is finite and inside of the viewBox. Values that
 *      are no numbers are gaps, and so are those above CHART_VALUE_MAX and, on log axes, those
 *      below CHART_LOG_MIN.
 *   C2 Thinning out keeps the first, last, lowest and highest of every column of pixels.
 *   C3 Series differ by colour, and by dashes and markers: colour is never needed.
 */
#ifndef RINGPOST_BENCH_CHART_H
#define RINGPOST_BENCH_CHART_H

#include "page_text.h"

#define CHART_VALUE_MAX 1e15
#define CHART_LOG_MIN   1e-9
enum {
    CHART_TICKS_MAX = 24,
    CHART_STYLES = 8, /* colours; dashes and markers repeat differently */
    CHART_SERIES_MAX = 16,
    CHART_POINTS_MAX = 100000
};

/* ---- axes (chart_axis.c) */

struct chart_axis {
    enum unit unit;
    bool is_log;
    double low, high; /* ends, of which ticks are nice numbers */
    unsigned tick_count;
    double ticks[CHART_TICKS_MAX];
};
/* Ends and about `wanted` (2 ... 16) ticks for values between low and high: 1, 2, 5 times a power
 * of ten; of two for bytes; for seconds those of a clock; decades on log axes (low > 0 there). */
void chart_axis_fit(struct chart_axis *axis, double low, double high, unsigned wanted);
/* 0 ... 1 along the axis, ends included. */
double chart_axis_place(const struct chart_axis *axis, double value);
void chart_axis_label(const struct chart_axis *axis, double value, char ret_text[UNIT_TEXT_BYTES]);

/* ---- charts (chart.c) */

struct chart_point {
    double x, y;
    double low, high; /* of the band; NAN: none */
};
/* A point without a band. */
#define CHART_POINT(x_value, y_value)                                                              \
    ((struct chart_point){.x = (x_value), .y = (y_value), .low = NAN, .high = NAN})

enum chart_shape {
    CHART_LINE,
    CHART_STEP, /* a value holds from its x until the next one's, the last one for chart.width */
    CHART_BARS  /* as wide as chart.width */
};

struct chart_series {
    struct slice name;          /* may be somebody else's words */
    struct chart_point *points; /* sorted by x (chart_sort) */
    unsigned count;
    enum chart_shape shape;
    unsigned style; /* 0 ... CHART_STYLES - 1 */
};

struct chart {
    struct slice title;  /* all three may be somebody else's words */
    struct slice note;   /* what y is; behind the title */
    struct slice x_name; /* below the axis */
    enum unit x_unit, y_unit;
    bool x_is_log, y_is_log;
    bool y_is_free;      /* a linear y axis need not begin at zero */
    double width;        /* of steps and bars, in units of x */
    double x_from, x_to; /* what the x axis holds at least, when x_to is above x_from */
    const struct chart_series *series;
    unsigned series_count;
};
/* Appends a <figure>. Errors are those of the text. */
void chart_draw(struct text *out, const struct chart *chart);
void chart_sort(struct chart_point *points, unsigned count);
/* Thins out points that are sorted by x, in place, to at most six a column between x_low and
 * x_high (C2). Returns how many are left. */
unsigned chart_thin(struct chart_point *points, unsigned count, const struct chart_axis *x,
                    unsigned columns);

/* ---- small bars (chart_bar.c) */

/* For a cell of a table; all cells of a column share the axis. NAN leaves a part out. */
struct chart_bar {
    double from, to;    /* the thick bar */
    double low, high;   /* the whisker */
    double mark;        /* a stroke across */
    double line;        /* a thin reference line, as high as the cell */
    const double *dots; /* single values */
    unsigned dot_count;
    unsigned style;
};
void chart_bar(struct text *out, const struct chart_axis *axis, const struct chart_bar *bar);
/* The axis itself with its labels: for the column's head. */
void chart_bar_axis(struct text *out, const struct chart_axis *axis);

#endif
