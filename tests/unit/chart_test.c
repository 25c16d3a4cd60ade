/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Charts of reports: ticks are nice numbers that hold the values, thinning out loses no peak, and
 * whatever the values are, what is drawn lies inside of the drawing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "chart.h"
#include "load.h"

/* ---- axes */

static void expect_ticks(enum unit unit, bool is_log, double low, double high, unsigned wanted,
                         const char *want)
{
    struct chart_axis axis = {.unit = unit, .is_log = is_log};
    chart_axis_fit(&axis, low, high, wanted);
    char got[1000] = "";
    size_t size = 0;
    for (unsigned i = 0; i < axis.tick_count; i++) {
        char label[UNIT_TEXT_BYTES];
        chart_axis_label(&axis, axis.ticks[i], label);
        size += (size_t)snprintf(got + size, sizeof got - size, "%s%s", i ? "|" : "", label);
    }
    assert_string_equal(got, want);
}

static void ticks_linear(void **state)
{
    (void)state;
    expect_ticks(UNIT_COUNT, false, 0, 97, 5, "0|20|40|60|80|100");
    expect_ticks(UNIT_COUNT, false, 0, 100, 5, "0|20|40|60|80|100");
    expect_ticks(UNIT_COUNT, false, 0, 101, 5, "0|50|100|150");
    expect_ticks(UNIT_COUNT, false, 0, 2500, 6, "0|500|1 k|1.5 k|2 k|2.5 k");
    expect_ticks(UNIT_COUNT, false, 1, 2, 9, "1|2");             /* nothing is half a core */
    expect_ticks(UNIT_PLAIN, false, 0, 0.3, 4, "0|0.1|0.2|0.3"); /* not 0.30000000000000004 */
    expect_ticks(UNIT_COUNT, false, -30, 30, 4, "-40|-20|0|20|40");
    expect_ticks(UNIT_COUNT, false, 5, 5, 4, "2|4|6|8");
    expect_ticks(UNIT_COUNT, false, 0, 0, 2, "-1|0|1");
    expect_ticks(UNIT_PLAIN, false, 0, 5e-324, 2, "0|0.5|1");
    expect_ticks(UNIT_US, false, 0, 1800, 4, "0 us|500 us|1 ms|1.5 ms|2 ms");
    expect_ticks(UNIT_BYTES, false, 0, 31e6, 4, "0 B|8 MiB|16 MiB|24 MiB|32 MiB");
    expect_ticks(UNIT_SECONDS, false, 0, 60, 6, "0 s|10 s|20 s|30 s|40 s|50 s|60 s");
    expect_ticks(UNIT_SECONDS, false, 0, 290, 6, "0:00|1:00|2:00|3:00|4:00|5:00");
    expect_ticks(UNIT_SECONDS, false, 0, 7200, 4, "0:00:00|0:30:00|1:00:00|1:30:00|2:00:00");
    expect_ticks(UNIT_COUNT, false, 0, 1e15, 2, "0|500 T|1000 T");
}

static void ticks_log(void **state)
{
    (void)state;
    expect_ticks(UNIT_US, true, 3, 30000, 5, "10 us|100 us|1 ms|10 ms");
    expect_ticks(UNIT_US, true, 300, 1900, 5, "200 us|500 us|1 ms|2 ms");
    expect_ticks(UNIT_US, true, 7, 7, 5, "5 us|10 us");
    expect_ticks(UNIT_NINES, true, 1, 10000, 6, "0 %|90 %|99 %|99.9 %|99.99 %");
    expect_ticks(UNIT_BYTES, true, 1024, 26214400, 6, "1 KiB|8 KiB|64 KiB|512 KiB|4 MiB|32 MiB");
    expect_ticks(UNIT_TIMES, true, 0.6, 1.3, 5, "0.5x|1x|2x");
    expect_ticks(UNIT_COUNT, true, 1e-9, 1e15, 5, "1e-09|0.0001|10|1 M|100 G");
}

/* Of any values: ticks ascend, are on the axis, and the axis holds the values. */
static void axes_hold(void **state)
{
    (void)state;
    uint64_t random = 7;
    for (unsigned i = 0; i < 20000; i++) {
        struct chart_axis axis = {.unit = (enum unit)random_below(&random, UNIT_PLAIN + 1),
                                  .is_log = i % 2};
        unsigned wanted = random_below(&random, 20);
        double low = pow(10, (double)random_below(&random, 2400) / 100 - 9),
               high = low * (1 + pow(10, (double)random_below(&random, 2000) / 100 - 10));
        if (high > CHART_VALUE_MAX)
            continue;
        if (!axis.is_log && i % 4 == 0)
            low = -low;
        chart_axis_fit(&axis, low, high, wanted);
        double slack = 1e-6 * (high - low) + 1e-9 * fabs(high);
        assert_true(axis.low <= low + slack && axis.high >= high - slack);
        assert_in_range(axis.tick_count, 2, CHART_TICKS_MAX);
        for (unsigned j = 0; j < axis.tick_count; j++) {
            assert_true(axis.ticks[j] >= axis.low && axis.ticks[j] <= axis.high);
            assert_true(j == 0 || axis.ticks[j] > axis.ticks[j - 1]);
        }
        assert_true(chart_axis_place(&axis, axis.low) == 0);
        assert_true(chart_axis_place(&axis, axis.high) == 1);
        double places[] = {low, high, NAN, INFINITY, -INFINITY, 0, -1};
        for (unsigned j = 0; j < sizeof places / sizeof places[0]; j++) {
            double place = chart_axis_place(&axis, places[j]);
            assert_true(place >= 0 && place <= 1);
        }
    }
}

/* ---- thinning out */

enum { COLUMNS = 100 };

static unsigned column_of(const struct chart_axis *axis, double x)
{
    return (unsigned)(chart_axis_place(axis, x) * COLUMNS);
}

/* Lowest and highest of each column, the slow way. */
static void outline(const struct chart_point *points, unsigned count, const struct chart_axis *axis,
                    double low[COLUMNS + 1], double high[COLUMNS + 1])
{
    for (unsigned i = 0; i <= COLUMNS; i++)
        low[i] = high[i] = NAN;
    for (unsigned i = 0; i < count; i++) { /* fmin and fmax pass over NAN */
        unsigned column = column_of(axis, points[i].x);
        low[column] = fmin(low[column], points[i].y);
        high[column] = fmax(high[column], points[i].y);
    }
}

static void thinning_keeps_peaks(void **state)
{
    (void)state;
    enum { COUNT = 50000 };
    uint64_t random = 11;
    struct chart_axis axis = {.unit = UNIT_COUNT};
    chart_axis_fit(&axis, 0, COUNT, 5);
    struct chart_point *points = calloc(COUNT, sizeof *points);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            double y = random_below(&random, 1000);
            if (random_below(&random, 4) == 0)
                y = NAN;
            if (round % 2 && i / 5000 == 3)
                y = NAN; /* whole columns of gaps */
            points[i] = CHART_POINT(i, y);
        }
        unsigned peak = random_below(&random, COUNT);
        points[peak].y = 1e6;
        struct chart_point first = points[0], last = points[COUNT - 1];
        double low[2][COLUMNS + 1], high[2][COLUMNS + 1];
        outline(points, COUNT, &axis, low[0], high[0]);
        unsigned kept = chart_thin(points, COUNT, &axis, COLUMNS);
        assert_in_range(kept, COLUMNS / 2, 6 * (COLUMNS + 1));
        outline(points, kept, &axis, low[1], high[1]);
        for (unsigned i = 0; i <= COLUMNS; i++) {
            assert_true(low[0][i] == low[1][i] || (isnan(low[0][i]) && isnan(low[1][i])));
            assert_true(high[0][i] == high[1][i] || (isnan(high[0][i]) && isnan(high[1][i])));
        }
        assert_true(points[0].x == first.x && points[kept - 1].x == last.x);
        for (unsigned i = 1; i < kept; i++)
            assert_true(points[i].x >= points[i - 1].x);
    }
    free(points);
}

static void thinning_keeps_bands(void **state)
{
    (void)state;
    struct chart_axis axis = {.unit = UNIT_COUNT};
    chart_axis_fit(&axis, 0, 1000, 5);
    struct chart_point points[1000];
    for (unsigned i = 0; i < 1000; i++)
        points[i] = (struct chart_point){.x = i, .y = 5, .low = 4, .high = 6};
    points[503].low = 1;
    points[507].high = 9;
    unsigned kept = chart_thin(points, 1000, &axis, 10);
    double low = INFINITY, high = 0;
    for (unsigned i = 0; i < kept; i++) {
        low = fmin(low, points[i].low);
        high = fmax(high, points[i].high);
    }
    assert_true(low == 1 && high == 9 && kept <= 66);
}

/* ---- drawings */

/* Each absolute command of a path ends inside of the drawing: C1. */
static void assert_path_inside(const char *path, double width, double height)
{
    while (*path != '"') {
        char command = *path++, *end;
        if (command == 'z')
            continue;
        if (strchr("mlhva", command) != NULL) { /* of markers: their middle was looked at */
            while (*path != '"' && strchr("MLHVz", *path) == NULL)
                path++;
            continue;
        }
        assert_non_null(strchr("MLHV", command));
        bool has_x = command != 'V', has_y = command != 'H';
        if (has_x) {
            double x = strtod(path, &end);
            assert_true(end != path && x >= 0 && x <= width);
            path = end;
        }
        if (has_y) {
            path += *path == ' ';
            double y = strtod(path, &end);
            assert_true(end != path && y >= 0 && y <= height);
            path = end;
        }
    }
}

static void assert_drawing(const struct text *drawn)
{
    assert_int_equal(drawn->error, 0);
    assert_null(strstr(drawn->data, "nan"));
    assert_null(strstr(drawn->data, "inf"));
    double width = 28, height = 12;
    for (const char *at = drawn->data; (at = strpbrk(at, "vd")) != NULL; at++) {
        if (strncmp(at, "viewBox=\"0 0 ", 13) == 0)
            assert_int_equal(sscanf(at + 13, "%lf %lf", &width, &height), 2);
        else if (strncmp(at, "d=\"", 3) == 0 && at[-1] == ' ')
            assert_path_inside(at + 3, width, height);
    }
}

static struct text draw(struct chart_point *points, unsigned count, enum chart_shape shape,
                        bool is_log)
{
    struct text drawn = {0};
    struct chart_series series = {
        .name = SLICE("<b>&\"'"), .points = points, .count = count, .shape = shape};
    struct chart chart = {.title = SLICE("</title><script>"),
                          .note = SLICE("note"),
                          .x_name = SLICE("x"),
                          .x_unit = UNIT_SECONDS,
                          .y_unit = UNIT_US,
                          .x_is_log = is_log,
                          .y_is_log = is_log,
                          .width = 1,
                          .series = &series,
                          .series_count = 1};
    chart_sort(points, count);
    chart_draw(&drawn, &chart);
    assert_drawing(&drawn);
    assert_null(strstr(drawn.data, "<script"));
    assert_null(strstr(drawn.data, "<b>&\""));
    assert_non_null(strstr(drawn.data, "&lt;b&gt;&amp;&quot;&#39;"));
    return drawn;
}

static void strange_values(void **state)
{
    (void)state;
    static const double strange[] = {NAN,  INFINITY, -INFINITY, 0,    -1,    1,      5,   1e-320,
                                     1e-9, 1e15,     -1e15,     1e16, 1e300, -1e300, 3.5, 1e-12};
    enum { STRANGE = sizeof strange / sizeof strange[0] };
    uint64_t random = 3;
    for (unsigned i = 0; i < 4000; i++) {
        struct chart_point points[8];
        unsigned count = random_below(&random, 9);
        for (unsigned j = 0; j < count; j++)
            points[j] = (struct chart_point){.x = strange[random_below(&random, STRANGE)],
                                             .y = strange[random_below(&random, STRANGE)],
                                             .low = strange[random_below(&random, STRANGE)],
                                             .high = strange[random_below(&random, STRANGE)]};
        struct text drawn = draw(points, count, (enum chart_shape)(i % 3), i % 2);
        text_free(&drawn);
    }
}

static void no_data_and_one_point(void **state)
{
    (void)state;
    struct chart_point points[2] = {CHART_POINT(NAN, 1), CHART_POINT(1, NAN)};
    struct text drawn = draw(points, 2, CHART_LINE, false);
    assert_non_null(strstr(drawn.data, ">no data</text>"));
    text_free(&drawn);
    drawn = draw(points, 0, CHART_BARS, true);
    assert_non_null(strstr(drawn.data, ">no data</text>"));
    text_free(&drawn);
    points[0] = CHART_POINT(3, 4);
    drawn = draw(points, 1, CHART_LINE, false);
    assert_null(strstr(drawn.data, "no data"));
    assert_non_null(strstr(drawn.data, "class=\"mark\"")); /* a line of one point is not seen */
    assert_non_null(strstr(drawn.data, "1 values, 4.00"));
    text_free(&drawn);
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned count = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        count++;
    return count;
}

/* What is no number is not drawn as zero: the line ends, and begins anew. */
static void gaps_are_gaps(void **state)
{
    (void)state;
    for (unsigned shape = CHART_LINE; shape <= CHART_STEP; shape++) {
        struct chart_point points[] = {CHART_POINT(1, 5), CHART_POINT(2, 6), CHART_POINT(3, NAN),
                                       CHART_POINT(4, 7), CHART_POINT(5, 8)};
        struct text drawn = draw(points, 5, (enum chart_shape)shape, false);
        const char *line = strstr(drawn.data, "class=\"line\"");
        assert_non_null(line);
        char path[200];
        assert_int_equal(sscanf(line, "class=\"line\" d=\"%199[^\"]", path), 1);
        assert_int_equal(count_of(path, "M"), 2);
        text_free(&drawn);
    }
}

/* A line of many points is short, and its one peak is in it. */
static void many_points(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct chart_point *points = calloc(COUNT, sizeof *points);
    for (unsigned i = 0; i < COUNT; i++)
        points[i] = CHART_POINT(i, 10);
    points[77777].y = 1000;
    points[77778].y = 1e300; /* is not drawn, and hides nothing */
    struct text drawn = draw(points, COUNT, CHART_LINE, false);
    assert_non_null(strstr(drawn.data, " 77777,1000"));
    assert_in_range(drawn.size, 10000, 120000);
    text_free(&drawn);
    free(points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_linear),
        cmocka_unit_test(ticks_log),
        cmocka_unit_test(axes_hold),
        cmocka_unit_test(thinning_keeps_peaks),
        cmocka_unit_test(thinning_keeps_bands),
        cmocka_unit_test(strange_values),
        cmocka_unit_test(no_data_and_one_point),
        cmocka_unit_test(many_points),
        cmocka_unit_test(gaps_are_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
