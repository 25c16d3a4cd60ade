/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: results of any shape, made of the members that pages look for, with numbers without
 * sense and strings that are no text. Whatever they are, pages are made, are UTF-8 without control
 * characters, hold the one script that is ours, and draw no number that is none (row G12).
 */
#include <errno.h>
#include <stdlib.h>

#include "load.h"
#include "page_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"tool",
                                    "version",
                                    "format",
                                    "scenario",
                                    "operation",
                                    "command",
                                    "label",
                                    "seed",
                                    "started",
                                    "complete",
                                    "why",
                                    "machine",
                                    "cpu",
                                    "cpus",
                                    "kernel",
                                    "memory_bytes",
                                    "server",
                                    "target",
                                    "greeting",
                                    "tls",
                                    "pid",
                                    "settings",
                                    "rate",
                                    "connections",
                                    "seconds",
                                    "operations",
                                    "operations_per_second",
                                    "connections_most",
                                    "phases",
                                    "connect",
                                    "count",
                                    "mean_us",
                                    "p50_us",
                                    "p99_us",
                                    "max_us",
                                    "histogram",
                                    "errors",
                                    "error_count",
                                    "error_examples",
                                    "error",
                                    "said",
                                    "verify",
                                    "checked",
                                    "missing",
                                    "timeline",
                                    "second",
                                    "server_cpu",
                                    "generator_cpu",
                                    "cost",
                                    "generator",
                                    "cpu_us_per_operation",
                                    "versions",
                                    "ceilings",
                                    "value",
                                    "unit",
                                    "what",
                                    "rows",
                                    "name",
                                    "metric",
                                    "better",
                                    "ceiling",
                                    "fraction",
                                    "servers",
                                    "values",
                                    "median",
                                    "ratio",
                                    "low",
                                    "high",
                                    "sweeps",
                                    "x",
                                    "x_scale",
                                    "y",
                                    "series",
                                    "points",
                                    "</script><script>"};

/* Behind the bytes that were given go on, for a while, some that follow from them: a page of many
 * members needs a thousand. */
struct input {
    const uint8_t *data;
    size_t size;
    uint64_t random;
    unsigned more;
};

static bool is_left(const struct input *input)
{
    return input->size > 0 || input->more > 0;
}

static unsigned take(struct input *input)
{
    if (input->size > 0) {
        input->size--;
        return *input->data++;
    }
    if (input->more == 0)
        return 0;
    input->more--;
    return (unsigned)random_u64(&input->random) & 0xff;
}

static json_t *make_number(struct input *input)
{
    static const double numbers[] = {0,    -1,    1e308, -1e308, 5e-324, 1e-9,  1e15, 1e16,
                                     1e18, 0.001, 3.5,   1e6,    -1e15,  1e300, 2,    100};
    unsigned which = take(input);
    return which < 128 ? json_integer((int)which - 20) : json_real(numbers[which % 16]);
}

static json_t *make_words(struct input *input)
{
    static const char *const known[] = {"log", "higher", "us", "<= 1 x a", "2026-11-29T02:00:00Z"};
    unsigned size = take(input);
    if (size % 8 == 0)
        return json_string(known[size / 8 % 5]);
    char words[256];
    for (unsigned i = 0; i < size; i++)
        words[i] = (char)take(input);
    return json_stringn_nocheck(words, size);
}

static json_t *make(struct input *input, unsigned depth)
{
    unsigned kind = take(input) % 8, count = take(input) % 16;
    if (depth == 0 || kind < 2)
        return make_number(input);
    if (kind == 2)
        return count % 2 ? json_null() : json_boolean(count & 2);
    if (kind < 5)
        return make_words(input);
    json_t *made = kind == 5 ? json_array() : json_object();
    for (unsigned i = 0; i < count && is_left(input); i++)
        if (kind == 5)
            json_array_append_new(made, make(input, depth - 1));
        else
            json_object_set_new(made, names[take(input) % (sizeof names / sizeof names[0])],
                                make(input, depth - 1));
    return made;
}

/* How often `what` stands in the text. */
static unsigned count_of(const struct text *text, const char *what)
{
    unsigned count = 0;
    size_t size = strlen(what);
    const char *at = text->data, *end = text->data + text->size;
    for (; (at = memmem(at, (size_t)(end - at), what, size)) != NULL; at++)
        count++;
    return count;
}

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_text(struct text *text, int error, bool is_html)
{
    require(error == 0 && text->size > 0 && strlen(text->data) == text->size);
    require(slice_is_utf8(slice_of(text->data, text->size)));
    for (size_t i = 0; i < text->size; i++)
        require((unsigned char)text->data[i] >= 0x20 || text->data[i] == '\n');
    if (is_html) {
        require(count_of(text, "<script") == 1 && count_of(text, "</script>") == 1);
        require(count_of(text, "<svg") == count_of(text, "</svg>"));
        require(count_of(text, "<table") == count_of(text, "</table>"));
        require(count_of(text, "<tr") == count_of(text, "</tr>"));
        require(count_of(text, "Mnan") == 0 && count_of(text, " nan") == 0);
        require(count_of(text, "inf ") == 0 && count_of(text, "Hnan") == 0);
    }
    text_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size, size, 3000};
    for (size_t i = 0; i < size; i++)
        input.random = input.random * 31 + data[i];
    json_t *runs[3];
    const char *const run_names[] = {"a.json", "<b>.json", "\xff.json"};
    for (unsigned i = 0; i < 3; i++) {
        runs[i] = json_object();
        for (unsigned j = 0; j < 12 && is_left(&input); j++)
            json_object_set_new(runs[i], names[take(&input) % (sizeof names / sizeof names[0])],
                                make(&input, 5));
    }
    struct text out = {0};
    check_text(&out, page_run(runs[0], &out), true);
    check_text(&out, page_suite(runs[0], &out), true);
    check_text(&out, page_compare(runs, run_names, 3, &out), true);
    check_text(&out, compare_print(runs, run_names, 3, &out), false);
    json_t *compared = compare_json(runs, run_names, 3);
    require(compared != NULL);
    json_decref(compared);
    for (unsigned i = 0; i < 3; i++)
        json_decref(runs[i]);
    return 0;
}
