/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reports: words of others are harmless, numbers are shown as they should be, groups and intervals
 * of a comparison are right in cases whose answer is known, targets are judged as they read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "compare.h"
#include "load.h"
#include "page_suite.h"

/* ---- text */

static void expect_words(struct slice words, unsigned max, const char *html, const char *plain)
{
    struct text out = {0};
    text_html(&out, words, max);
    assert_string_equal(out.size ? out.data : "", html);
    text_free(&out);
    text_plain(&out, words, max);
    assert_string_equal(out.size ? out.data : "", plain);
    text_free(&out);
}

/* G11 */
static void words_are_harmless(void **state)
{
    (void)state;
    expect_words(SLICE(""), 10, "", "");
    expect_words(SLICE("caf\xc3\xa9"), 10, "caf\xc3\xa9", "caf\xc3\xa9");
    expect_words(SLICE("<a b='c' d=\"e\">&amp;"), 99,
                 "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;amp;", "<a b='c' d=\"e\">&amp;");
    expect_words(SLICE("a\0b\x1b[31m\x07\r\n\t\x7f"), 99, "a\\x00b\\x1b[31m\\x07\\r\\n\\t\\x7f",
                 "a\\x00b\\x1b[31m\\x07\\r\\n\\t\\x7f");
    /* turned text, a C1 control (CSI), a byte order mark */
    expect_words(SLICE("\xe2\x80\xae\xc2\x9b\xef\xbb\xbf"), 99,
                 "&lt;U+202E&gt;&lt;U+009B&gt;&lt;U+FEFF&gt;", "<U+202E><U+009B><U+FEFF>");
    /* no UTF-8: a lone byte, an overlong slash, a surrogate, half a character */
    expect_words(SLICE("\xff\xc0\xaf!\xed\xa0\x80\xe2\x82"), 99,
                 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                 "\xef\xbf\xbd\xef\xbf\xbd",
                 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                 "\xef\xbf\xbd\xef\xbf\xbd");
    expect_words(SLICE("<<<<"), 2, "&lt;&lt;\xe2\x80\xa6", "<<\xe2\x80\xa6");
    expect_words(SLICE("abcd"), 4, "abcd", "abcd");
    /* marks piled up on one letter */
    expect_words(SLICE("a\xcc\x81\xcc\x81\xcc\x81\xcc\x81"), 99,
                 "a\xcc\x81\xcc\x81\xcc\x81&lt;U+0301&gt;", "a\xcc\x81\xcc\x81\xcc\x81<U+0301>");
}

static void text_has_a_maximum(void **state)
{
    (void)state;
    struct text out = {0};
    char *block = malloc(1 << 20);
    memset(block, 'x', 1 << 20);
    for (unsigned i = 0; i < 40; i++)
        text_bytes(&out, block, 1 << 20);
    assert_int_equal(out.error, -EFBIG);
    assert_in_range(out.size, PAGE_BYTES_MAX - (1 << 20) - 1, PAGE_BYTES_MAX);
    size_t size = out.size;
    text_put(&out, "y"); /* the error sticks: no hole in the middle */
    assert_int_equal(out.size, size);
    text_free(&out);
    free(block);
}

/* ---- values */

static void expect_shown(enum unit unit, double value, const char *want)
{
    char got[UNIT_TEXT_BYTES];
    unit_text(unit, value, got);
    assert_string_equal(got, want);
}

static void values_have_units(void **state)
{
    (void)state;
    expect_shown(UNIT_COUNT, 0, "0");
    expect_shown(UNIT_COUNT, 20000, "20,000");
    expect_shown(UNIT_COUNT, -1234567, "-1,234,567");
    expect_shown(UNIT_COUNT, -123, "-123");
    expect_shown(UNIT_COUNT, 1998.4, "1,998");
    expect_shown(UNIT_COUNT, 99.96, "100");
    expect_shown(UNIT_COUNT, 3.25, "3.25");
    expect_shown(UNIT_COUNT, 5e12, "5.00 T");
    expect_shown(UNIT_US, 8.9, "8.90 us");
    expect_shown(UNIT_US, 0.25, "0.250 us");
    expect_shown(UNIT_US, 999.4, "999 us");
    expect_shown(UNIT_US, 999.6, "1.00 ms");
    expect_shown(UNIT_US, 12345, "12.3 ms");
    expect_shown(UNIT_US, 3e6, "3.00 s");
    expect_shown(UNIT_BYTES, 690, "690 B");
    expect_shown(UNIT_BYTES, 1536, "1.50 KiB");
    expect_shown(UNIT_BYTES, 25e9, "23.3 GiB");
    expect_shown(UNIT_SHARE, 0.55, "55.0 %");
    expect_shown(UNIT_TIMES, 1.094, "1.09x");
    expect_shown(UNIT_TIMES, 0.066, "0.066x");
    expect_shown(UNIT_NINES, 1000, "99.9 %");
    expect_shown(UNIT_US, NAN, "-");
    expect_shown(UNIT_US, INFINITY, "-");
    expect_shown(UNIT_US, 1e300, "huge");
    struct text out = {0};
    text_value(&out, UNIT_US, 12.3);
    text_value(&out, UNIT_TIMES, 2);
    text_value(&out, UNIT_COUNT, -5);
    assert_string_equal(out.data, "12.3\xc2\xa0\xc2\xb5s2.00\xc3\x97-5");
    text_free(&out);
}

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    return value;
}

static void members_may_be_missing(void **state)
{
    (void)state;
    json_t *object = parse("{\"a\": {\"b\": {\"c\": 5}}, \"s\": \"x\", \"l\": [1], \"n\": null}");
    assert_true(member_number(object, "a.b.c") == 5);
    const char *const paths[] = {"",    "a", "a.b", "a.b.x", "a.x.c", "s",
                                 "s.t", "l", "l.b", "n.a",   "x"};
    for (unsigned i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_true(isnan(member_number(object, paths[i])));
    assert_true(slice_equal(member_string(object, "s"), SLICE("x")));
    assert_int_equal(member_string(object, "a").size, 0);
    assert_true(isnan(member_number(NULL, "a")));
    json_decref(object);
}

/* ---- intervals */

static void expect_ratio(struct compare_ratio ratio, double middle, double low, double high)
{
    assert_true(fabs(ratio.ratio - middle) < 1e-9);
    assert_true(isnan(low) ? isnan(ratio.low) : fabs(ratio.low - low) < 1e-9);
    assert_true(isnan(high) ? isnan(ratio.high) : fabs(ratio.high - high) < 1e-9);
}

static void medians(void **state)
{
    (void)state;
    assert_true(isnan(compare_median(NULL, 0)));
    assert_true(compare_median((double[]){3}, 1) == 3);
    assert_true(compare_median((double[]){9, 1, 5}, 3) == 5);
    assert_true(compare_median((double[]){9, 1, 5, 7}, 4) == 6);
}

static void intervals_of_few(void **state)
{
    (void)state;
    double a[] = {10, 20, 40}, doubled[] = {20, 40, 80};
    /* pairs that agree leave no doubt, though the runs are far from each other */
    expect_ratio(compare_ratio(a, 3, doubled, 3, true), 2, 2, 2);
    struct compare_ratio loose = compare_ratio(a, 3, doubled, 3, false);
    assert_true(loose.ratio == 2 && loose.low < 1 && loose.high > 4 && loose.pairs == 0);
    /* one run each: no interval; nor with one run on one side */
    expect_ratio(compare_ratio(a, 1, doubled, 1, false), 2, NAN, NAN);
    expect_ratio(compare_ratio(a, 1, doubled, 3, false), 4, NAN, NAN);
    expect_ratio(compare_ratio(a, 1, doubled, 1, true), 2, NAN, NAN);
    /* two pairs, 1 and 3: draws are 1, 2, 2 or 3, a quarter each, so 95 % is all of it */
    double ones[] = {1, 1}, b[] = {1, 3};
    expect_ratio(compare_ratio(ones, 2, b, 2, true), 2, 1, 3);
    /* what is not above zero is left out, of a pair both */
    double holes[] = {10, NAN, 0, 20}, fours[] = {40, 40, 40, 40};
    struct compare_ratio rest = compare_ratio(holes, 4, fours, 4, true);
    assert_int_equal(rest.pairs, 2);
    expect_ratio(rest, 3, 2, 4);
    expect_ratio(compare_ratio(holes, 4, fours, 4, false), 40.0 / 15, 2, 4);
    assert_true(isnan(compare_ratio(holes + 1, 2, fours, 4, false).ratio));
    assert_true(isnan(compare_ratio(NULL, 0, NULL, 0, true).ratio));
}

/* The interval of a median by order statistics: of 31 values, ranks 10 and 22 hold it with 97 %,
 * 11 and 21 with 93 %. The bootstrap's ends must be there, give or take a rank. */
static void interval_of_many(void **state)
{
    (void)state;
    double ones[31], values[31];
    for (unsigned i = 0; i < 31; i++) {
        ones[i] = 1;
        values[i] = 101 + (i * 17) % 31; /* 101 ... 131, mixed */
    }
    struct compare_ratio ratio = compare_ratio(ones, 31, values, 31, true);
    assert_true(ratio.ratio == 116);
    assert_true(ratio.low >= 109 && ratio.low <= 112);
    assert_true(ratio.high >= 120 && ratio.high <= 123);
    struct compare_ratio again = compare_ratio(ones, 31, values, 31, true);
    assert_memory_equal(&ratio, &again, sizeof ratio);
}

/* How often 95 % hold the truth: of 200 experiments with 15 runs on each side, and a true ratio of
 * 2, nine in ten at least. */
static void intervals_cover(void **state)
{
    (void)state;
    uint64_t random = 5;
    unsigned hits = 0;
    for (unsigned i = 0; i < 200; i++) {
        double a[15], b[15];
        for (unsigned j = 0; j < 15; j++) {
            a[j] = 100 + random_below(&random, 41);
            b[j] = 200 + random_below(&random, 81);
        }
        struct compare_ratio ratio = compare_ratio(a, 15, b, 15, false);
        hits += ratio.low <= 2 && ratio.high >= 2;
    }
    assert_in_range(hits, 180, 200);
}

/* ---- groups */

enum { RUNS = 8 };

/* Runs from "label time rate" each; the rest of them is alike. */
struct runs {
    unsigned count;
    json_t *all[RUNS];
    const char *names[RUNS];
};

static void add_run(struct runs *runs, const char *label, const char *started, double rate)
{
    static const char *const names[RUNS] = {"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7"};
    const char *name = names[runs->count];
    json_t *run = json_pack(
        "{s:s, s:i, s:s, s:s, s:s, s:f, s:b, s:i, s:{s:i, s:s, s:s}, s:{s:s, s:i}}", "tool",
        "ringpost-bench", "format", 1, "scenario", "smtp", "label", label, "started", started,
        "operations_per_second", rate, "complete", 1, "error_count", 0, "settings", "connections",
        20, "tls", "none", "target", name, "machine", "cpu", "a cpu", "cpus", 2);
    assert_non_null(run);
    runs->names[runs->count] = name;
    runs->all[runs->count++] = run;
}

static void free_runs(struct runs *runs)
{
    for (unsigned i = 0; i < runs->count; i++)
        json_decref(runs->all[i]);
}

/* The order of labels in time; the runs are given sorted by label. */
static struct runs runs_of(const char *order)
{
    struct runs runs = {0};
    for (char label = 'a'; label <= 'c'; label++)
        for (unsigned i = 0; order[i] != '\0'; i++)
            if (order[i] == label) {
                char name[2] = {label, '\0'}, started[32];
                snprintf(started, sizeof started, "2026-11-29T02:%02u:00Z", i);
                add_run(&runs, name, started, 100 * (label - 'a' + 1) + i);
            }
    return runs;
}

static void expect_pairs(const char *order, const char *paired)
{
    struct runs runs = runs_of(order);
    struct compare *compare;
    assert_int_equal(compare_make(runs.all, runs.names, runs.count, &compare), 0);
    assert_int_equal(compare->warning_count, 0);
    char got[COMPARE_GROUPS_MAX + 1] = "";
    for (unsigned i = 1; i < compare->group_count; i++)
        got[i - 1] = compare->groups[i].is_paired ? 'y' : 'n';
    assert_string_equal(got, paired);
    compare_free(compare);
    free_runs(&runs);
}

static void runs_in_turns_are_paired(void **state)
{
    (void)state;
    expect_pairs("ababab", "y");
    expect_pairs("abbaab", "y");
    expect_pairs("aabb", "n");
    expect_pairs("abba", "y");
    expect_pairs("ab", "n"); /* one of each is no pair to learn from */
    expect_pairs("ababa", "n");
    expect_pairs("abcabc", "yy");
    expect_pairs("abccba", "yy");
    expect_pairs("ababcc", "yn");
}

/* Pairs are those that followed each other, whatever the order of the files. */
static void pairs_follow_time(void **state)
{
    (void)state;
    struct runs runs = {0};
    add_run(&runs, "a", "2026-11-29T02:02:00Z", 10);
    add_run(&runs, "a", "2026-11-29T02:00:00Z", 100);
    add_run(&runs, "b", "2026-11-29T02:01:00Z", 200);
    add_run(&runs, "b", "2026-11-29T02:03:00Z", 20);
    struct compare *compare;
    assert_int_equal(compare_make(runs.all, runs.names, runs.count, &compare), 0);
    const struct compare_ratio *ratio = &compare->groups[1].cells[0].to_first;
    assert_int_equal(ratio->pairs, 2);
    expect_ratio(*ratio, 2, 2, 2);
    assert_true(compare->groups[0].cells[0].median == 55);
    assert_int_equal(compare->groups[1].cells[1].known, 0);
    compare_free(compare);
    json_object_set_new(runs.all[3], "started", json_string("yesterday"));
    assert_int_equal(compare_make(runs.all, runs.names, runs.count, &compare), 0);
    assert_int_equal(compare->groups[1].cells[0].to_first.pairs, 0);
    compare_free(compare);
    free_runs(&runs);
}

static void expect_warning(struct runs *runs, const char *want)
{
    struct text out = {0};
    assert_int_equal(compare_print(runs->all, runs->names, runs->count, &out), 0);
    if (strstr(out.data, want) == NULL)
        fail_msg("no \"%s\" in: %s", want, out.data);
    text_free(&out);
    assert_int_equal(page_compare(runs->all, runs->names, runs->count, &out), 0);
    assert_non_null(strstr(out.data, "Warning:</strong>"));
    text_free(&out);
    free_runs(runs);
}

static void differences_are_told(void **state)
{
    (void)state;
    struct runs runs = runs_of("ab");
    json_object_set_new(json_object_get(runs.all[1], "settings"), "connections", json_integer(50));
    expect_warning(&runs, "warning: connections differs: 20 in r0, 50 in r1\n");
    runs = runs_of("ab");
    json_object_set_new(json_object_get(runs.all[1], "settings"), "pipelining", json_true());
    expect_warning(&runs, "warning: pipelining differs: - in r0, yes in r1\n");
    runs = runs_of("ab");
    json_object_set_new(json_object_get(runs.all[1], "machine"), "cpus", json_integer(4));
    expect_warning(&runs, "warning: machine.cpus differs: 2 in r0, 4 in r1\n");
    runs = runs_of("ab");
    json_object_set_new(runs.all[0], "complete", json_false());
    json_object_set_new(runs.all[0], "why", json_string("interrupted\x1b[2J"));
    expect_warning(&runs, "warning: r0 is partial: interrupted\\x1b[2J\n");
    runs = runs_of("ab");
    json_object_set_new(runs.all[1], "error_count", json_integer(1234));
    expect_warning(&runs, "warning: r1 had errors: 1,234\n");
    runs = runs_of("ab");
    json_object_set_new(runs.all[1], "verify", json_pack("{s:i}", "missing", 2));
    expect_warning(&runs, "warning: r1: 2 messages were missing, altered or there twice\n");
    runs = runs_of("aa");
    expect_warning(&runs, "all runs have the same label");
}

static void comparison_as_text_and_json(void **state)
{
    (void)state;
    struct runs runs = runs_of("ababab");
    struct text out = {0};
    assert_int_equal(compare_print(runs.all, runs.names, runs.count, &out), 0);
    assert_non_null(strstr(out.data, "95 % intervals"));
    assert_non_null(strstr(out.data, "\nb  (n = 3, in turns with the first: pairs)\n"));
    assert_non_null(strstr(out.data, "1.99x [1.97-2.01]\n"));
    text_free(&out);
    json_t *json = compare_json(runs.all, runs.names, runs.count);
    const json_t *group = json_array_get(json_object_get(json, "groups"), 1);
    const json_t *metric = json_object_get(member(group, "metrics"), "operations_per_second");
    assert_true(member_number(metric, "median") == 203);
    assert_true(member_number(metric, "to_first.pairs") == 3);
    assert_true(fabs(member_number(metric, "to_first.ratio") - 203.0 / 102) < 0.01);
    assert_int_equal(json_array_size(member(metric, "values")), 3);
    json_decref(json);
    free_runs(&runs);
    runs = runs_of("ab");
    assert_int_equal(compare_print(runs.all, runs.names, runs.count, &out), 0);
    assert_non_null(strstr(out.data, "No interval"));
    text_free(&out);
    free_runs(&runs);
}

/* ---- targets */

static void expect_verdict(const char *target, const char *servers, enum suite_verdict want)
{
    json_t *row = json_pack("{s:s, s:o}", "target", target, "servers", parse(servers));
    if (suite_judge(row) != want)
        fail_msg("%s of %s is %d", target, servers, suite_judge(row));
    json_decref(row);
}

static void targets_are_judged(void **state)
{
    (void)state;
    static const char pair[] = "[{\"server\": \"ringpost\", \"values\": [30, 34], \"median\": 32},"
                               "{\"server\": \"smtp-sink\", \"median\": 29, \"ratio\":"
                               " {\"median\": 1.1, \"low\": 1.05, \"high\": 1.2}}]";
    expect_verdict("<= 1.0 x smtp-sink", pair, SUITE_MISSED);
    expect_verdict("<= 1.2 x smtp-sink", pair, SUITE_MET);
    expect_verdict("<= 1.1 x smtp-sink", pair, SUITE_CLOSE);
    expect_verdict(">= 1 x smtp-sink", pair, SUITE_MET);
    expect_verdict(">= 1.3 x smtp-sink", pair, SUITE_MISSED);
    expect_verdict("<=1.3x smtp-sink", pair, SUITE_MET);
    expect_verdict("<= 1.3 x exim", pair, SUITE_UNKNOWN);
    expect_verdict("<= 40 us", pair, SUITE_MET);
    expect_verdict("<= 33 us", pair, SUITE_CLOSE);
    expect_verdict("< 20", pair, SUITE_MISSED);
    expect_verdict(">= 1,000", pair, SUITE_MISSED);
    expect_verdict("fast", pair, SUITE_UNKNOWN);
    expect_verdict("", pair, SUITE_UNKNOWN);
    expect_verdict("<= ", pair, SUITE_UNKNOWN);
    expect_verdict("<= 1.2.3", pair, SUITE_UNKNOWN);
    expect_verdict("<= 5", "[]", SUITE_UNKNOWN);
    expect_verdict("<= 5", "[{\"server\": \"ringpost\", \"median\": null}]", SUITE_UNKNOWN);
    expect_verdict("<= 5", "{}", SUITE_UNKNOWN);
}

/* ---- pages */

static struct text page_of(const char *json)
{
    struct text out = {0};
    json_t *input = parse(json);
    assert_int_equal(page_draw(input, &out), 0);
    json_decref(input);
    assert_null(strstr(out.data, "nan"));
    return out;
}

static void partial_is_said(void **state)
{
    (void)state;
    struct text page = page_of("{\"complete\": false, \"why\": \"the <target> is gone\"}");
    assert_non_null(strstr(page.data, "<strong>PARTIAL</strong> the &lt;target&gt; is gone"));
    text_free(&page);
    page = page_of("{\"complete\": true}");
    assert_null(strstr(page.data, "PARTIAL"));
    text_free(&page);
    page = page_of("{}"); /* who does not say that it is complete is not */
    assert_non_null(strstr(page.data, "PARTIAL"));
    text_free(&page);
    page = page_of("{\"tool\": \"ringpost-suite\", \"complete\": false, \"why\": \"Ctrl-C\"}");
    assert_non_null(strstr(page.data, "PARTIAL</strong> Ctrl-C"));
    text_free(&page);
}

static void verify_is_said(void **state)
{
    (void)state;
    struct text page = page_of("{\"verify\": {\"checked\": 9, \"missing\": 0, \"altered\": 0,"
                               " \"doubled\": 0}}");
    assert_non_null(strstr(page.data, "\xe2\x9c\x93 all"));
    text_free(&page);
    static const char *const wrong[] = {"1, \"altered\": 0, \"doubled\": 0",
                                        "0, \"altered\": 1, \"doubled\": 0",
                                        "0, \"altered\": 0, \"doubled\": 1"};
    for (unsigned i = 0; i < 3; i++) {
        char json[200];
        snprintf(json, sizeof json, "{\"verify\": {\"checked\": 9, \"missing\": %s}}", wrong[i]);
        page = page_of(json);
        assert_non_null(strstr(page.data, "Not what was sent:"));
        assert_null(strstr(page.data, "\xe2\x9c\x93 all"));
        text_free(&page);
    }
    page = page_of("{\"verify\": {}}"); /* says nothing: not clean */
    assert_null(strstr(page.data, "\xe2\x9c\x93 all"));
    text_free(&page);
    page = page_of("{\"verify\": null}");
    assert_non_null(strstr(page.data, "not verified"));
    text_free(&page);
}

static void command_is_quoted(void **state)
{
    (void)state;
    struct text page = page_of("{\"command\": [\"bench\", \"u%d@x\", \"it's\", \"\", \"$(x)\"]}");
    assert_non_null(strstr(page.data, "<code>bench u%d@x &#39;it&#39;\\&#39;&#39;s&#39; "
                                      "&#39;&#39; &#39;$(x)&#39;</code>"));
    text_free(&page);
}

/* ---- files */

static void expect_read(const char *content, size_t size, int error, const char *problem)
{
    char path[] = "/tmp/page_test.XXXXXX", got[200] = "";
    int file = mkstemp(path);
    assert_true(file >= 0 && write(file, content, size) == (ssize_t)size);
    close(file);
    json_t *input = NULL;
    assert_int_equal(page_read(path, &input, got), error);
    if (error == 0) {
        assert_non_null(input);
        json_decref(input);
    } else {
        assert_null(input);
        if (strstr(got, problem) == NULL)
            fail_msg("no \"%s\" in: %s", problem, got);
    }
    unlink(path);
}

static void files_are_checked(void **state)
{
    (void)state;
    static const char good[] = "{\"tool\": \"ringpost-bench\", \"format\": 1, \"a\": \"\\u0000\"}";
    expect_read(good, sizeof good - 1, 0, "");
    expect_read(good, sizeof good - 2, -EINVAL, "is no JSON (line 1");
    expect_read("", 0, -EINVAL, "is no JSON");
    expect_read("[]", 2, -EINVAL, "is no result of ringpost-bench");
    expect_read("{\"tool\": \"ringpost-bench\", \"format\": 2}", 39, -EINVAL, "format");
    expect_read("{\"tool\": \"ringpost-bench\"}", 26, -EINVAL, "format");
    expect_read("{\"tool\": \"ringpost-bench\x1b\"}", 27, -EINVAL, "is no JSON");
    char *large = malloc(PAGE_INPUT_BYTES_MAX + 1);
    memset(large, ' ', PAGE_INPUT_BYTES_MAX + 1);
    expect_read(large, PAGE_INPUT_BYTES_MAX + 1, -EFBIG, "larger than 16 MiB");
    memset(large, '[', 1 << 20); /* as deep as it gets */
    expect_read(large, 1 << 20, -EINVAL, "is no JSON");
    free(large);
    json_t *input;
    char problem[200];
    assert_int_equal(page_read("/nowhere/at/all", &input, problem), -ENOENT);
    assert_non_null(strstr(problem, "cannot be opened"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_harmless),
        cmocka_unit_test(text_has_a_maximum),
        cmocka_unit_test(values_have_units),
        cmocka_unit_test(members_may_be_missing),
        cmocka_unit_test(medians),
        cmocka_unit_test(intervals_of_few),
        cmocka_unit_test(interval_of_many),
        cmocka_unit_test(intervals_cover),
        cmocka_unit_test(runs_in_turns_are_paired),
        cmocka_unit_test(pairs_follow_time),
        cmocka_unit_test(differences_are_told),
        cmocka_unit_test(comparison_as_text_and_json),
        cmocka_unit_test(targets_are_judged),
        cmocka_unit_test(partial_is_said),
        cmocka_unit_test(verify_is_said),
        cmocka_unit_test(command_is_quoted),
        cmocka_unit_test(files_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
