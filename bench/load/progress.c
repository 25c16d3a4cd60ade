/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Progress on standard error, so that the result may go to standard output; the summary.
 */
#include "progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <sys/ioctl.h>

enum { LINE_SECONDS = 10, LINE_BYTES_MAX = 400 };
static const double BUSY_MAX = 0.9;
static const uint64_t SECOND_NS = UINT64_C(1000000000);

void progress_time(double ns, char text[24])
{
    if (ns < 1e6)
        snprintf(text, 24, "%.*f us", ns < 99950 ? 1 : 0, ns / 1e3);
    else if (ns < 1e9)
        snprintf(text, 24, "%.*f ms", ns < 9.995e6 ? 2 : ns < 9.995e7 ? 1 : 0, ns / 1e6);
    else
        snprintf(text, 24, "%.*f s", ns < 9.995e9 ? 2 : 1, ns / 1e9);
}

/* 12345678 as "12,345,678". */
static void show_count(uint64_t count, char text[32])
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%" PRIu64, count), used = 0;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
}

static void show_bytes(uint64_t bytes, char text[24])
{
    double value = (double)bytes;
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    unsigned unit = 0;
    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    snprintf(text, 24, "%.*f %s", unit == 0 || value >= 100 ? 0 : 1, value, units[unit]);
}

static uint64_t error_count(const struct measure *sum)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        count += sum->errors[i];
    return count;
}

/* ---------------------------------------------------------------- while it runs */

struct line {
    char text[LINE_BYTES_MAX];
    size_t used;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size =
        vsnprintf(line->text + line->used, sizeof line->text - line->used, format, arguments);
    va_end(arguments);
    if (size > 0)
        line->used += (size_t)size;
    if (line->used >= sizeof line->text)
        line->used = sizeof line->text - 1;
}

/* What of the run is done, by time or count. */
static void add_done(struct line *line, const struct watch *watch, uint64_t now_ns)
{
    static const char *const names[] = {"preparing", "warming up", "measuring", "verifying",
                                        "done"};
    const struct load_options *options = &watch->options->load;
    enum load_stage stage = load_stage(watch->load);
    struct load_times times;
    load_times(watch->load, &times);
    add(line, "%s: %s", options->scenario->name, names[stage]);
    if (stage != LOAD_MEASURE || times.measure_ns == 0)
        return;
    uint64_t spent = now_ns > times.measure_ns ? now_ns - times.measure_ns : 0;
    if (options->messages > 0 && !options->scenario->ends_itself)
        add(line, " %.0f%%", 100.0 * (double)watch->sum->operations / (double)options->messages);
    else if (times.end_ns > now_ns)
        add(line, " %us left", (unsigned)((times.end_ns - now_ns + SECOND_NS / 2) / SECOND_NS));
    else
        add(line, " %us", (unsigned)(spent / SECOND_NS));
}

static void compose(struct line *line, const struct watch *watch, uint64_t now_ns)
{
    char p50[24], p99[24], most[24];
    const struct histogram *latency = watch->latency;
    add_done(line, watch, now_ns);
    if (watch->has_begun && load_stage(watch->load) == LOAD_MEASURE) {
        progress_time((double)histogram_percentile(latency, 0.5), p50);
        progress_time((double)histogram_percentile(latency, 0.99), p99);
        progress_time((double)latency->max_ns, most);
        add(line, "  %" PRIu64 "/s", latency->count);
        if (latency->count > 0)
            add(line, "  p50 %s  p99 %s  max %s", p50, p99, most);
    }
    add(line, "  %u connections", watch->sum->connections);
    uint64_t errors = error_count(watch->sum);
    if (errors > 0)
        add(line, "  %" PRIu64 " errors", errors);
    if (watch->cost != NULL && watch->row_count > 0)
        add(line, "  server CPU %.0f%%", 100 * watch->rows[watch->row_count - 1].server_cpu);
    if (load_why(watch->load) != NULL)
        add(line, "  (%s)", load_why(watch->load));
}

void progress_show(struct watch *watch, uint64_t now_ns)
{
    struct line line = {.used = 0};
    if (load_stage(watch->load) == LOAD_ENDED)
        return;
    uint64_t next_ns = watch->said_ns + LINE_SECONDS * SECOND_NS - SECOND_NS / 2;
    if (!watch->is_terminal && now_ns < next_ns && watch->said_ns != 0)
        return;
    if (!watch->is_terminal && watch->said_ns == 0) { /* not in the first second */
        watch->said_ns = now_ns;
        return;
    }
    watch->said_ns = now_ns;
    compose(&line, watch, now_ns);
    if (!watch->is_terminal) {
        fprintf(stderr, "%s\n", line.text);
        return;
    }
    struct winsize size = {0};
    int columns = ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
    fprintf(stderr, "\r\033[K%.*s", columns, line.text);
    fflush(stderr);
    watch->has_line = true;
}

void progress_clear(struct watch *watch)
{
    if (!watch->has_line)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    watch->has_line = false;
}

/* ---------------------------------------------------------------- at its end */

static void show_phases(const struct measure *sum, FILE *file)
{
    bool is_first = true;
    for (unsigned i = 0; i < PHASE_COUNT; i++) {
        const struct histogram *phase = &sum->phases[i];
        double values[5] = {(double)phase->sum_ns / (double)(phase->count > 0 ? phase->count : 1),
                            (double)histogram_percentile(phase, 0.5),
                            (double)histogram_percentile(phase, 0.99),
                            (double)histogram_percentile(phase, 0.999), (double)phase->max_ns};
        char count[32], text[24];
        if (phase->count == 0)
            continue;
        if (is_first)
            fprintf(file, "\n  %-12s %12s %10s %10s %10s %10s %10s\n", "phase", "count", "mean",
                    "p50", "p99", "p99.9", "max");
        is_first = false;
        show_count(phase->count, count);
        fprintf(file, "  %-12s %12s", load_phase_name((enum load_phase)i), count);
        for (unsigned j = 0; j < 5; j++) {
            progress_time(values[j], text);
            fprintf(file, " %10s", text);
        }
        fputc('\n', file);
    }
}

static void show_errors(const struct measure *sum, FILE *file)
{
    if (error_count(sum) == 0)
        return;
    fputs("\n  errors\n", file);
    for (unsigned i = 1; i < LOAD_ERROR_COUNT; i++) {
        char count[32];
        if (sum->errors[i] == 0)
            continue;
        show_count(sum->errors[i], count);
        fprintf(file, "  %12s  %s", count, load_error_name((enum load_error)i));
        for (unsigned j = 0; j < sum->example_count; j++)
            if (sum->examples[j].error == (enum load_error)i)
                fprintf(file, ", for example: %s", sum->examples[j].text);
        fputc('\n', file);
    }
}

static void show_verify(const struct watch *watch, FILE *file)
{
    const struct measure *sum = watch->sum;
    char checked[32];
    if (!watch->options->load.verifies)
        return;
    show_count(sum->verified, checked);
    if (!load_is_verified(watch->load))
        fputs("\n  verify    not done: the run ended before\n", file);
    else
        fprintf(file,
                "\n  verify    %s messages as they were sent, %" PRIu64 " missing, %" PRIu64
                " altered, %" PRIu64 " twice\n",
                checked, sum->missing, sum->altered, sum->doubled);
}

static const char *article(const char *word)
{
    return strchr("aeiou", *word) != NULL ? "an" : "a";
}

static void show_cost(const struct watch *watch, FILE *file)
{
    uint64_t operations = watch->sum->operations;
    double each = operations > 0 ? 1e6 / (double)operations : 0;
    const struct load_options *options = &watch->options->load;
    const char *what = options->scenario->operation;
    char memory[24], disk[24];
    fputc('\n', file);
    if (watch->cost != NULL) {
        double cpu = watch->now.cpu_seconds - watch->begin.cpu_seconds;
        show_bytes(watch->memory_most, memory);
        show_bytes(watch->now.disk_bytes - watch->begin.disk_bytes, disk);
        fprintf(file, "  server    %.1f us CPU %s %s (%.2f s), memory at most %s, %s written%s\n",
                cpu * each, article(what), what, cpu, memory, disk,
                watch->server_is_gone ? "; it ended meanwhile" : "");
    }
    double self = watch->self_now.cpu_seconds - watch->self_begin.cpu_seconds;
    show_bytes(watch->self_now.memory_bytes, memory);
    fprintf(file, "  generator %.1f us CPU %s %s (%.2f s), memory %s\n", self * each, article(what),
            what, self, memory);
}

void progress_summary(const struct watch *watch, FILE *file)
{
    const struct measure *sum = watch->sum;
    const struct bench_options *options = watch->options;
    struct load_times times;
    char count[32], errors[32];
    load_times(watch->load, &times);
    double seconds =
        times.ended_ns > times.measure_ns ? (double)(times.ended_ns - times.measure_ns) / 1e9 : 0;
    show_count(sum->operations, count);
    show_count(error_count(sum), errors);
    const char *operation = options->load.scenario->operation;
    size_t stem = strlen(operation);
    bool is_y = stem > 0 && operation[stem - 1] == 'y';
    fprintf(file, "%s, %s: %s %.*s%s in %.2f s, %.*f a second, %s errors\n",
            options->load.scenario->name, options->target, count, (int)(stem - (is_y ? 1 : 0)),
            operation, is_y ? "ies" : "s", seconds,
            seconds > 0 && (double)sum->operations < 100 * seconds ? 2 : 0,
            seconds > 0 ? (double)sum->operations / seconds : 0, errors);
    if (load_why(watch->load) != NULL)
        fprintf(file, "PARTIAL: %s\n", load_why(watch->load));
    if (times.not_begun > 0) {
        show_count(times.not_begun, count);
        fprintf(file, "The server did not keep up with --rate: %s operations were never begun.\n",
                count);
    }
    double busy = seconds > 0.5 ? (watch->self_now.cpu_seconds - watch->self_begin.cpu_seconds) /
                                      (seconds * options->load.threads)
                                : 0;
    if (busy > BUSY_MAX)
        fprintf(file,
                "The generator's %u %s busy %.0f%% of the time: this may be its limit and not the "
                "server's. Take more --threads.\n",
                options->load.threads, options->load.threads == 1 ? "thread was" : "threads were",
                100 * busy);
    show_phases(sum, file);
    show_errors(sum, file);
    show_verify(watch, file);
    show_cost(watch, file);
}
