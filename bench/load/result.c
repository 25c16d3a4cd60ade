/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The result of a run as JSON, in the order of docs/bench-json.md. Settings are made from the table
 * of options. Texts of servers are made valid UTF-8 first; the password is not in it.
 *
 * jansson frees what a failed json_object_set_new was given and passes NULL through, so that one
 * question at the end (is every member there?) would be needed for an exact answer; a result that
 * lacks members for want of memory is not worth that, and the text of it is made by the caller.
 */
#include "result.h"

#include <inttypes.h>
#include <math.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void put(json_t *object, const char *name, json_t *value)
{
    json_object_set_new(object, name, value != NULL ? value : json_null());
}

static void put_count(json_t *object, const char *name, uint64_t count)
{
    put(object, name, json_integer((json_int_t)count));
}

static void put_real(json_t *object, const char *name, double value)
{
    put(object, name, json_real(isfinite(value) ? value : 0));
}

/* Three decimals are enough for microseconds, and make files smaller. */
static double rounded(double value)
{
    return round(value * 1000) / 1000;
}

static void put_us(json_t *object, const char *name, double ns)
{
    put_real(object, name, rounded(ns / 1e3));
}

/* What is no UTF-8 becomes '?'. */
static json_t *text_of(const char *text)
{
    char clean[MEASURE_EXAMPLE_BYTES * 2];
    size_t used = 0;
    struct slice rest = slice_cstr(text);
    while (rest.size > 0 && used + 4 < sizeof clean) {
        size_t size = utf8_length(rest);
        if (size == 0)
            clean[used++] = '?';
        else
            memcpy(clean + used, rest.data, size);
        used += size;
        rest = slice_from(rest, size > 0 ? size : 1);
    }
    return json_stringn(clean, used);
}

static void put_text(json_t *object, const char *name, const char *text)
{
    put(object, name, text != NULL && *text != '\0' ? text_of(text) : json_null());
}

/* ---------------------------------------------------------------- the frame */

static json_t *command_of(const struct result_input *input)
{
    json_t *command = json_array();
    bool is_secret = false;
    for (int i = 0; i < input->argc; i++) {
        const char *word = input->argv[i];
        if (is_secret)
            json_array_append_new(command, json_string("***"));
        else if (strncmp(word, "--password=", 11) == 0)
            json_array_append_new(command, json_string("--password=***"));
        else
            json_array_append_new(command, text_of(word));
        is_secret = !is_secret && strcmp(word, "--password") == 0;
    }
    return command;
}

static void put_started(json_t *result, int64_t started)
{
    char text[40] = "";
    time_t when = (time_t)started;
    struct tm parts;
    if (gmtime_r(&when, &parts) != NULL)
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    put_text(result, "started", text);
}

static void put_cpu_model(json_t *machine)
{
    char line[300];
    FILE *file = fopen("/proc/cpuinfo", "re");
    bool is_found = false;
    while (file != NULL && !is_found && fgets(line, sizeof line, file) != NULL) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || value == NULL)
            continue;
        value += 1 + strspn(value + 1, " ");
        value[strcspn(value, "\n")] = '\0';
        put_text(machine, "cpu", value);
        is_found = true;
    }
    if (file != NULL)
        fclose(file);
    if (!is_found)
        put(machine, "cpu", json_null());
}

static json_t *machine_of(void)
{
    json_t *machine = json_object();
    struct utsname name;
    char kernel[200] = "";
    if (uname(&name) == 0)
        snprintf(kernel, sizeof kernel, "%.60s %.100s", name.sysname, name.release);
    put_cpu_model(machine);
    put_count(machine, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
    put_text(machine, "kernel", kernel);
    put_count(machine, "memory_bytes",
              (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
    return machine;
}

static json_t *server_of(const struct watch *watch)
{
    const struct bench_options *options = watch->options;
    json_t *server = json_object();
    put_text(server, "target", options->target);
    put_text(server, "greeting", watch->sum->greeting);
    put_text(server, "tls", watch->sum->tls);
    put(server, "pid",
        options->server_pid != 0 ? json_integer((json_int_t)options->server_pid) : json_null());
    return server;
}

/* The label that was given, else what the greeting says behind its code: "mx.example ESMTP Postfix"
 * of "220 mx.example ESMTP Postfix", "ready" of "* OK [CAPABILITY ...] ready". */
static void put_label(json_t *result, const struct watch *watch)
{
    enum { LABEL_BYTES_MAX = 60 };
    const char *label = watch->options->label, *at = watch->sum->greeting;
    char text[LABEL_BYTES_MAX + 1];
    if (strncmp(at, "* ", 2) == 0)
        at += 2;
    at += strcspn(at, " ");
    at += strspn(at, " ");
    if (*at == '[' && strchr(at, ']') != NULL)
        at = strchr(at, ']') + 1;
    at += strspn(at, " ");
    if (label == NULL && *at != '\0') {
        snprintf(text, sizeof text, "%s", at);
        label = text;
    }
    put_text(result, "label", label != NULL ? label : watch->options->target);
}

static json_t *setting_of(const struct option_row *row, const struct bench_options *options)
{
    const void *member = (const char *)options + row->offset;
    char text[64] = "";
    switch (row->kind) {
    case OPTION_FLAG:
    case OPTION_FLAG_OFF:
        return json_boolean(*(const bool *)member);
    case OPTION_UNSIGNED:
        return json_integer((json_int_t) * (const unsigned *)member);
    case OPTION_U64:
        return json_integer((json_int_t) * (const uint64_t *)member);
    case OPTION_RATE:
        return json_real(*(const double *)member);
    case OPTION_TIME:
        return json_real((double)*(const uint64_t *)member / 1e9);
    case OPTION_TEXT:
        return *(const char *const *)member != NULL ? text_of(*(const char *const *)member)
                                                    : json_null();
    case OPTION_SIZE:
    case OPTION_ARRIVALS:
    case OPTION_TLS:
    case OPTION_TLS_VERSION:
        option_text(row, options, text, sizeof text);
        return json_string(text);
    case OPTION_ALSO:
    case OPTION_OWNED:
        break;
    }
    json_t *list = json_array();
    bool is_also = row->kind == OPTION_ALSO;
    for (unsigned i = 0; i < (is_also ? options->also_count : options->owned_count); i++)
        json_array_append_new(list, text_of(is_also ? options->also[i] : options->owned[i]));
    return list;
}

/* One member an option; times in seconds, and named so. */
static json_t *settings_of(const struct watch *watch)
{
    const struct bench_options *options = watch->options;
    json_t *settings = json_object();
    put(settings, "loop", json_string(options->load.rate > 0 ? "open" : "closed"));
    for (unsigned i = 0; i < option_row_count; i++) {
        const struct option_row *row = &option_rows[i];
        char name[64];
        if (!option_is_for(row, options->load.scenario))
            continue;
        if (strcmp(row->name, "password") == 0)
            continue;
        snprintf(name, sizeof name, "%s", row->name);
        if (strcmp(name, "duration") == 0)
            snprintf(name, sizeof name, "seconds_max");
        else if (row->kind == OPTION_TIME)
            snprintf(name, sizeof name, "%s_seconds", row->name);
        else if (row->kind == OPTION_FLAG_OFF)
            snprintf(name, sizeof name, "%s", row->name + strlen("no-"));
        for (char *at = name; *at != '\0'; at++)
            if (*at == '-')
                *at = '_';
        put(settings, name, setting_of(row, options));
    }
    put_count(settings, "workers", load_workers(watch->load));
    return settings;
}

/* ---------------------------------------------------------------- what was measured */

static json_t *phase_of(const struct histogram *phase)
{
    static const struct {
        const char *name;
        double fraction;
    } percentiles[] = {{"p50_us", 0.5},
                       {"p90_us", 0.9},
                       {"p99_us", 0.99},
                       {"p99_9_us", 0.999},
                       {"p99_99_us", 0.9999}};
    json_t *object = json_object(), *buckets = json_array();
    put_count(object, "count", phase->count);
    put_us(object, "mean_us",
           (double)phase->sum_ns / (double)(phase->count > 0 ? phase->count : 1));
    put_us(object, "min_us", (double)phase->min_ns);
    put_us(object, "max_us", (double)phase->max_ns);
    for (unsigned i = 0; i < sizeof percentiles / sizeof *percentiles; i++)
        put_us(object, percentiles[i].name,
               (double)histogram_percentile(phase, percentiles[i].fraction));
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (phase->buckets[i] == 0)
            continue;
        json_t *pair = json_array();
        json_array_append_new(pair, json_real(rounded((double)histogram_bucket_ns(i) / 1e3)));
        json_array_append_new(pair, json_integer((json_int_t)phase->buckets[i]));
        json_array_append_new(buckets, pair);
    }
    put(object, "histogram", buckets);
    return object;
}

static void put_phases(json_t *result, const struct measure *sum)
{
    json_t *phases = json_object();
    for (unsigned i = 0; i < PHASE_COUNT; i++)
        if (sum->phases[i].count > 0)
            put(phases, load_phase_name((enum load_phase)i), phase_of(&sum->phases[i]));
    put(result, "phases", phases);
}

static void put_errors(json_t *result, const struct measure *sum)
{
    json_t *errors = json_object(), *examples = json_array();
    uint64_t count = 0;
    for (unsigned i = 1; i < LOAD_ERROR_COUNT; i++) {
        count += sum->errors[i];
        if (sum->errors[i] > 0)
            put_count(errors, load_error_name((enum load_error)i), sum->errors[i]);
    }
    for (unsigned i = 0; i < sum->example_count; i++) {
        json_t *example = json_object();
        put(example, "error", json_string(load_error_name(sum->examples[i].error)));
        put_text(example, "said", sum->examples[i].text);
        json_array_append_new(examples, example);
    }
    put(result, "errors", errors);
    put_count(result, "error_count", count);
    put(result, "error_examples", examples);
}

static json_t *verify_of_run(const struct watch *watch)
{
    if (!watch->options->load.verifies || !load_is_verified(watch->load))
        return json_null();
    json_t *verify = json_object();
    put_count(verify, "checked", watch->sum->verified);
    put_count(verify, "missing", watch->sum->missing);
    put_count(verify, "altered", watch->sum->altered);
    put_count(verify, "doubled", watch->sum->doubled);
    return verify;
}

static json_t *second_of(const struct watch *watch, unsigned index, double seconds,
                         struct histogram *latency)
{
    const struct measure_second *second = &watch->sum->seconds[index];
    json_t *object = json_object();
    double left = seconds - index;
    memset(latency, 0, sizeof *latency);
    measure_second_latency(watch->load, index, latency);
    put_count(object, "second", index);
    put_real(object, "seconds", left >= 1 ? 1 : left > 0 ? rounded(left) : 0);
    put_count(object, "operations", second->operations);
    put_count(object, "errors", second->errors);
    put_us(object, "p50_us", (double)histogram_percentile(latency, 0.5));
    put_us(object, "p99_us", (double)histogram_percentile(latency, 0.99));
    put_us(object, "max_us", (double)latency->max_ns);
    put_count(object, "connections", second->connections);
    put_count(object, "bytes_sent", second->bytes_out);
    put_count(object, "bytes_received", second->bytes_in);
    bool has_row = index < watch->row_count, has_server = has_row && watch->cost != NULL;
    const struct watch_row *row = &watch->rows[has_row ? index : 0];
    put(object, "server_cpu", has_server ? json_real(rounded(row->server_cpu)) : json_null());
    put(object, "server_memory_bytes",
        has_server ? json_integer((json_int_t)row->server_memory_bytes) : json_null());
    put(object, "server_disk_bytes",
        has_server ? json_integer((json_int_t)row->server_disk_bytes) : json_null());
    put(object, "generator_cpu", has_row ? json_real(rounded(row->generator_cpu)) : json_null());
    return object;
}

static json_t *timeline_of(const struct watch *watch, double seconds)
{
    json_t *timeline = json_array();
    for (unsigned i = 0; i < watch->sum->second_count; i++) {
        bool is_empty = i >= seconds && watch->sum->seconds[i].operations == 0 &&
                        watch->sum->seconds[i].errors == 0;
        if (!is_empty)
            json_array_append_new(timeline, second_of(watch, i, seconds, watch->latency));
    }
    return timeline;
}

static json_t *server_cost_of(const struct watch *watch)
{
    const struct cost_reading *from = &watch->begin, *to = &watch->now;
    double each = watch->sum->operations > 0 ? 1 / (double)watch->sum->operations : 0;
    double cpu = to->cpu_seconds - from->cpu_seconds;
    bool has_instructions = from->instructions >= 0 && to->instructions >= 0;
    double instructions = has_instructions ? to->instructions - from->instructions : 0;
    uint64_t before = watch->before.memory_bytes, most = watch->memory_most;
    uint64_t disk = to->disk_bytes - from->disk_bytes;
    unsigned connections = watch->sum->connections_most;
    json_t *server = json_object();
    put_real(server, "cpu_seconds", cpu);
    put_real(server, "cpu_us_per_operation", rounded(cpu * each * 1e6));
    put(server, "instructions", has_instructions ? json_real(instructions) : json_null());
    put(server, "instructions_per_operation",
        has_instructions ? json_real(rounded(instructions * each)) : json_null());
    put_text(server, "not_counted", cost_without(watch->cost));
    put_count(server, "memory_bytes_before", before);
    put_count(server, "memory_bytes_most", most);
    put_count(server, "memory_bytes_after", to->memory_bytes);
    put_real(server, "memory_bytes_per_connection",
             connections > 0 && most > before ? rounded((double)(most - before) / connections) : 0);
    put_count(server, "disk_bytes", disk);
    put_real(server, "disk_bytes_per_operation", rounded((double)disk * each));
    put_count(server, "processes", to->processes);
    put_count(server, "threads", to->threads);
    return server;
}

static json_t *generator_cost_of(const struct watch *watch)
{
    double cpu = watch->self_now.cpu_seconds - watch->self_begin.cpu_seconds;
    uint64_t operations = watch->sum->operations;
    json_t *generator = json_object();
    put_real(generator, "cpu_seconds", cpu);
    put_real(generator, "cpu_us_per_operation",
             operations > 0 ? rounded(cpu / (double)operations * 1e6) : 0);
    put_count(generator, "memory_bytes", watch->self_now.memory_bytes);
    return generator;
}

json_t *result_make(const struct result_input *input)
{
    const struct watch *watch = input->watch;
    const struct measure *sum = watch->sum;
    const struct load_options *load = &watch->options->load;
    double seconds = watch_seconds(watch);
    struct load_times times;
    load_times(watch->load, &times);
    json_t *result = json_object(), *cost = json_object();
    put_text(result, "tool", "ringpost-bench");
    put_text(result, "version", input->version);
    put_count(result, "format", 1);
    put_text(result, "scenario", load->scenario->name);
    put_text(result, "operation", load->scenario->operation);
    put(result, "command", command_of(input));
    put_label(result, watch);
    put_count(result, "seed", load->seed);
    put_started(result, input->started);
    put(result, "complete", json_boolean(load_why(watch->load) == NULL));
    put_text(result, "why", load_why(watch->load));
    put(result, "machine", machine_of());
    put(result, "server", server_of(watch));
    put(result, "settings", settings_of(watch));
    put_real(result, "seconds", seconds);
    put_count(result, "operations", sum->operations);
    put_real(result, "operations_per_second",
             seconds > 0 ? rounded((double)sum->operations / seconds) : 0);
    put_count(result, "operations_not_begun", times.not_begun);
    put_count(result, "bytes_sent", sum->bytes_out);
    put_count(result, "bytes_received", sum->bytes_in);
    put_count(result, "connections_most", sum->connections_most);
    put_phases(result, sum);
    put_errors(result, sum);
    put(result, "verify", verify_of_run(watch));
    put(result, "timeline", timeline_of(watch, seconds));
    put(cost, "server", watch->cost != NULL ? server_cost_of(watch) : json_null());
    put(cost, "generator", generator_cost_of(watch));
    put(result, "cost", cost);
    return result;
}
