/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The page of one run: headline, what went wrong, tables. Its charts are in page_run_charts.c.
 */
#include "page_run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { PHASES_MAX = 64, ERRORS_MAX = 64, EXAMPLES_MAX = 40, SETTINGS_MAX = 100 };

/* ---- the top */

/* A dash where there are none. */
static void put_words(struct text *out, const json_t *run, const char *path)
{
    struct slice words = member_string(run, path);
    text_html(out, words.size > 0 ? words : SLICE("\xe2\x80\x93"), TEXT_SHORT);
}

static void put_header(struct text *out, const json_t *run)
{
    double rate = member_number(run, "settings.rate");
    text_put(out, "<header><p class=\"kicker\">");
    put_words(out, run, "tool");
    text_put(out, " \xc2\xb7 ");
    put_words(out, run, "started");
    text_put(out, "</p><h1>");
    put_words(out, run, "label");
    text_put(out, " <small>");
    put_words(out, run, "scenario");
    text_put(out, "</small></h1><p class=\"sub\">");
    text_value(out, UNIT_COUNT, member_number(run, "operations"));
    text_put(out, " operations (");
    put_words(out, run, "operation");
    text_put(out, ") in ");
    text_value(out, UNIT_SECONDS, member_number(run, "seconds"));
    text_put(out, " against ");
    put_words(out, run, "server.target");
    text_put(out, rate > 0 ? ", open loop" : ", closed loop");
    if (rate > 0) {
        text_put(out, " at ");
        text_value(out, UNIT_COUNT, rate);
        text_put(out, " a second");
    }
    text_put(out, "</p></header>\n");
}

static bool verify_is_clean(const json_t *verify)
{
    return member_number(verify, "missing") == 0 && member_number(verify, "altered") == 0 &&
           member_number(verify, "doubled") == 0;
}

static void put_verify(struct text *out, const json_t *verify)
{
    figure_begin(out, "Read back");
    if (!json_is_object(verify)) {
        text_put(out, "\xe2\x80\x93");
        figure_end(out, "not verified");
    } else if (verify_is_clean(verify)) {
        text_put(out, "<span class=\"well\">\xe2\x9c\x93 all</span>");
        figure_end(out, "every message came back as it was sent");
    } else {
        text_put(out, "<span class=\"badly\">\xe2\x9c\x97 wrong</span>");
        figure_end(out, "see above");
    }
}

static void put_figures(struct text *out, const json_t *run)
{
    double errors = member_number(run, "error_count");
    text_put(out, "<dl class=\"figures\">\n");
    figure_value(out, "Rate", UNIT_COUNT, member_number(run, "operations_per_second"),
                 "operations a second");
    figure_value(out, "Latency p50", UNIT_US, member_number(run, "phases.operation.p50_us"),
                 "half are faster");
    figure_value(out, "Latency p99", UNIT_US, member_number(run, "phases.operation.p99_us"),
                 "one in a hundred is slower");
    figure_begin(out, "Errors");
    text_put(out, errors > 0 ? "<span class=\"badly\">" : "<span>");
    text_value(out, UNIT_COUNT, errors);
    text_put(out, "</span>");
    figure_end(out, errors > 0 ? "by kind below" : "");
    put_verify(out, member(run, "verify"));
    double cost = member_number(run, "cost.server.cpu_us_per_operation");
    figure_value(out, "Server CPU", UNIT_US, cost,
                 isfinite(cost) ? "an operation" : "not measured");
    text_put(out, "</dl>\n");
}

static void put_notices(struct text *out, const json_t *run)
{
    part_partial(out, run);
    const json_t *verify = member(run, "verify");
    if (json_is_object(verify) && !verify_is_clean(verify)) {
        notice_begin(out, "bad");
        text_put(out, "<strong>Not what was sent:</strong> of ");
        text_value(out, UNIT_COUNT, member_number(verify, "checked"));
        text_put(out, " messages checked ");
        text_value(out, UNIT_COUNT, member_number(verify, "missing"));
        text_put(out, " are missing, ");
        text_value(out, UNIT_COUNT, member_number(verify, "altered"));
        text_put(out, " were altered, ");
        text_value(out, UNIT_COUNT, member_number(verify, "doubled"));
        text_put(out, " are there twice.");
        notice_end(out);
    }
    double errors = member_number(run, "error_count"), count = member_number(run, "operations");
    if (errors > 0 && errors > count / 100) {
        notice_begin(out, "bad");
        text_put(out, "<strong>Many errors:</strong> ");
        text_value(out, UNIT_COUNT, errors);
        text_put(out, " beside ");
        text_value(out, UNIT_COUNT, count);
        text_put(out, " operations that went well. Rates and latencies are of the latter only.");
        notice_end(out);
    }
}

/* ---- phases */

static const struct {
    const char *head, *path;
    enum unit unit;
} phase_columns[] = {
    {"count", "count", UNIT_COUNT}, {"mean", "mean_us", UNIT_US}, {"p50", "p50_us", UNIT_US},
    {"p90", "p90_us", UNIT_US},     {"p99", "p99_us", UNIT_US},   {"p99.9", "p99_9_us", UNIT_US},
    {"max", "max_us", UNIT_US},
};
enum { PHASE_COLUMNS = sizeof phase_columns / sizeof phase_columns[0] };

/* One axis for the bars of all phases. */
static bool fit_phases(const json_t *phases, struct chart_axis *ret_axis)
{
    double low = INFINITY, high = 0;
    const char *name;
    json_t *phase;
    json_object_foreach((json_t *)phases, name, phase)
    {
        double p50 = member_number(phase, "p50_us"), max = member_number(phase, "max_us");
        if (p50 >= CHART_LOG_MIN && p50 <= CHART_VALUE_MAX)
            low = fmin(low, p50);
        if (max >= CHART_LOG_MIN && max <= CHART_VALUE_MAX)
            high = fmax(high, max);
    }
    if (!isfinite(low) || low > high)
        return false;
    *ret_axis = (struct chart_axis){.unit = UNIT_US, .is_log = true};
    chart_axis_fit(ret_axis, low, high, 4);
    return true;
}

static void put_phase(struct text *out, const char *name, const json_t *phase,
                      const struct chart_axis *axis)
{
    text_put(out, "<tr><th scope=\"row\">");
    text_html(out, slice_cstr(name), TEXT_SHORT);
    text_put(out, "</th>");
    for (unsigned i = 0; i < PHASE_COLUMNS; i++)
        cell_number(out, phase_columns[i].unit, member_number(phase, phase_columns[i].path));
    text_put(out, "<td class=\"barcell\">");
    if (axis != NULL)
        chart_bar(out, axis,
                  &(struct chart_bar){.from = member_number(phase, "p50_us"),
                                      .to = member_number(phase, "p99_us"),
                                      .low = member_number(phase, "p99_us"),
                                      .high = member_number(phase, "max_us"),
                                      .mark = member_number(phase, "p50_us"),
                                      .line = NAN});
    text_put(out, "</td></tr>\n");
}

static void put_phases(struct text *out, const json_t *phases)
{
    struct chart_axis axis;
    bool has_axis = fit_phases(phases, &axis);
    unsigned rows = 0;
    section_begin(out, "phases", "Phases");
    if (json_object_size(phases) == 0) {
        text_put(out, "<p>No phase was measured.</p>\n");
        section_end(out);
        return;
    }
    table_begin(out, "sortable", "Time of each phase of an operation");
    text_put(out, "<thead><tr><th scope=\"col\">phase</th>");
    for (unsigned i = 0; i < PHASE_COLUMNS; i++)
        text_format(out, "<th scope=\"col\" class=\"n\">%s</th>", phase_columns[i].head);
    text_put(out, "<th scope=\"col\" class=\"barcell\">");
    if (has_axis)
        chart_bar_axis(out, &axis);
    text_put(out, "</th></tr></thead><tbody>\n");
    const char *name;
    json_t *phase;
    json_object_foreach((json_t *)phases, name, phase) if (rows++ < PHASES_MAX)
        put_phase(out, name, phase, has_axis ? &axis : NULL);
    text_put(out, "</tbody>");
    table_end(out);
    text_put(out,
             "<p class=\"soft\">Bars: from p50 (stroke) to p99; the whisker ends at the slowest. "
             "The axis is logarithmic.</p>\n");
    section_end(out);
}

/* ---- errors */

static void put_errors(struct text *out, const json_t *run)
{
    const json_t *errors = member(run, "errors"), *examples = member(run, "error_examples");
    if (json_object_size(errors) == 0 && json_array_size(examples) == 0)
        return;
    section_begin(out, "errors", "Errors");
    table_begin(out, "sortable", "Errors by kind");
    text_put(out, "<thead><tr><th scope=\"col\">kind</th><th scope=\"col\" class=\"n\">count</th>"
                  "<th scope=\"col\">the server said, for example</th></tr></thead><tbody>\n");
    const char *kind;
    json_t *count;
    unsigned rows = 0;
    json_object_foreach((json_t *)errors, kind, count)
    {
        if (rows++ == ERRORS_MAX)
            break;
        text_put(out, "<tr><th scope=\"row\">");
        text_html(out, slice_cstr(kind), TEXT_SHORT);
        text_put(out, "</th>");
        cell_number(out, UNIT_COUNT, json_finite(count));
        text_put(out, "<td>");
        for (size_t i = 0, shown = 0; i < json_array_size(examples) && i < EXAMPLES_MAX; i++) {
            const json_t *example = json_array_get(examples, i);
            struct slice said = member_string(example, "said");
            if (said.size == 0 || !slice_equal(member_string(example, "error"), slice_cstr(kind)))
                continue;
            text_put(out, shown++ ? "<br><code>" : "<code>");
            text_html(out, said, TEXT_LINE);
            text_put(out, "</code>");
        }
        text_put(out, "</td></tr>\n");
    }
    text_put(out, "</tbody>");
    table_end(out);
    section_end(out);
}

/* ---- cost */

static const struct {
    const char *name, *server, *generator;
    enum unit unit;
} cost_rows[] = {
    {"CPU an operation", "cpu_us_per_operation", "cpu_us_per_operation", UNIT_US},
    {"CPU in all", "cpu_seconds", "cpu_seconds", UNIT_SECONDS},
    {"Instructions an operation", "instructions_per_operation", NULL, UNIT_COUNT},
    {"Memory before", "memory_bytes_before", NULL, UNIT_BYTES},
    {"Memory at most", "memory_bytes_most", "memory_bytes", UNIT_BYTES},
    {"Memory after", "memory_bytes_after", NULL, UNIT_BYTES},
    {"Memory a connection", "memory_bytes_per_connection", NULL, UNIT_BYTES},
    {"Written to disk an operation", "disk_bytes_per_operation", NULL, UNIT_BYTES},
    {"Written to disk in all", "disk_bytes", NULL, UNIT_BYTES},
    {"Processes", "processes", NULL, UNIT_COUNT},
    {"Threads", "threads", NULL, UNIT_COUNT},
};

static void put_cost(struct text *out, const json_t *run)
{
    const json_t *server = member(run, "cost.server"), *generator = member(run, "cost.generator");
    section_begin(out, "cost", "Cost");
    table_begin(out, "few", "What the run cost the server and the generator");
    text_put(out, "<thead><tr><th scope=\"col\"></th><th scope=\"col\" class=\"n\">server</th>"
                  "<th scope=\"col\" class=\"n\">generator</th></tr></thead><tbody>\n");
    for (unsigned i = 0; i < sizeof cost_rows / sizeof cost_rows[0]; i++) {
        double a = member_number(server, cost_rows[i].server);
        double b = cost_rows[i].generator ? member_number(generator, cost_rows[i].generator) : NAN;
        if (!isfinite(a) && !isfinite(b))
            continue;
        text_format(out, "<tr><th scope=\"row\">%s</th>", cost_rows[i].name);
        cell_number(out, cost_rows[i].unit, a);
        cell_number(out, cost_rows[i].unit, b);
        text_put(out, "</tr>\n");
    }
    text_put(out, "</tbody>");
    table_end(out);
    struct slice without = member_string(server, "not_counted");
    if (without.size > 0) {
        text_put(out, "<p class=\"soft\">Not counted: ");
        text_html(out, without, TEXT_LINE);
        text_put(out, "</p>\n");
    }
    if (!json_is_object(server))
        text_put(out, "<p class=\"soft\">The server was not watched: name its process by "
                      "<code>--server-pid</code> or <code>--server-cgroup</code>.</p>\n");
    section_end(out);
}

/* ---- where and how */

static void put_where(struct text *out, const json_t *run)
{
    section_begin(out, "where", "Machine and server");
    text_put(out, "<div class=\"columns\"><div>");
    table_begin(out, "pairs", "The machine");
    text_put(out, "<tbody>\n");
    part_machine(out, member(run, "machine"));
    pair_words(out, "Generator", member_string(run, "version"));
    text_put(out, "</tbody>");
    table_end(out);
    text_put(out, "</div><div>");
    table_begin(out, "pairs", "The server");
    text_put(out, "<tbody>\n");
    pair_words(out, "Target", member_string(run, "server.target"));
    pair_words(out, "Greeting", member_string(run, "server.greeting"));
    pair_words(out, "TLS", member_string(run, "server.tls"));
    pair_json(out, SLICE("Process"), member(run, "server.pid"));
    pair_value(out, "Sent", UNIT_BYTES, member_number(run, "bytes_sent"));
    pair_value(out, "Received", UNIT_BYTES, member_number(run, "bytes_received"));
    pair_value(out, "Connections at most", UNIT_COUNT, member_number(run, "connections_most"));
    text_put(out, "</tbody>");
    table_end(out);
    text_put(out, "</div></div>\n");
    section_end(out);
}

static void put_settings(struct text *out, const json_t *run)
{
    const json_t *settings = member(run, "settings");
    size_t half = (json_object_size(settings) + 2) / 2, rows = 0;
    section_begin(out, "how", "Command and settings");
    part_command(out, member(run, "command"));
    text_put(out, "<div class=\"columns under\"><div>");
    table_begin(out, "pairs", "Settings");
    text_put(out, "<tbody>\n");
    pair_json(out, SLICE("seed"), member(run, "seed"));
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)settings, name, value)
    {
        if (rows++ == SETTINGS_MAX)
            break;
        if (rows == half) {
            text_put(out, "</tbody>");
            table_end(out);
            text_put(out, "</div><div>");
            table_begin(out, "pairs", "More settings");
            text_put(out, "<tbody>\n");
        }
        pair_json(out, slice_cstr(name), value);
    }
    text_put(out, "</tbody>");
    table_end(out);
    text_put(out, "</div></div>\n");
    section_end(out);
}

int page_run(json_t *run, struct text *out)
{
    page_begin(out, member_string(run, "label"));
    put_header(out, run);
    put_notices(out, run);
    put_figures(out, run);
    page_run_charts(out, run);
    put_phases(out, member(run, "phases"));
    put_errors(out, run);
    put_cost(out, run);
    put_where(out, run);
    put_settings(out, run);
    page_end(out, run);
    return out->error;
}
