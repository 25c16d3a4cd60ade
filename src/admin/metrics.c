/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The metrics page: the one counter table summed over the cores, each protocol's commands from its
 * own table, the ways sessions end, memory as the allocator counts it, and what is running.
 *
 * Invariant: every label is a literal of ours; nothing that a client sent is ever shown (row N06).
 */
#include <inttypes.h>

#include "admin_private.h"

/* jemalloc's, where the program is linked with it (not in sanitizer builds). */
int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size)
    __attribute__((weak));

struct memory_row {
    const char *name, *kind;
};
static const struct memory_row memory_rows[] = {
    {"stats.allocated", "allocated"}, {"stats.active", "active"}, {"stats.metadata", "metadata"},
    {"stats.resident", "resident"},   {"stats.mapped", "mapped"}, {"stats.retained", "retained"},
};

const char *health_text(enum admin_health health)
{
    switch (health) {
    case ADMIN_STARTING:
        return "starting";
    case ADMIN_READY:
        return "ready";
    case ADMIN_DRAINING:
        return "draining";
    case ADMIN_REFUSING:
        return "the store takes no mail";
    }
    return "unknown";
}

static void head(struct text *text, const char *name, const char *kind, const char *help)
{
    text_printf(text, "# HELP ringpost_%s %s\n# TYPE ringpost_%s %s\n", name, help, name, kind);
}

static uint64_t word(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void write_counters(const struct admin_options *options, struct text *text)
{
    unsigned cores = engine_core_count(options->engine);
    for (int i = 0; i < COUNTER_COUNT; i++) {
        int64_t sum = 0; /* a gauge may go down on another core than it went up on */
        for (unsigned core = 0; core < cores; core++)
            sum += (int64_t)word(&core_counters(engine_core(options->engine, core))->value[i]);
        head(text, counter_rows[i].name, counter_rows[i].kind, counter_rows[i].help);
        text_printf(text, "ringpost_%s %" PRId64 "\n", counter_rows[i].name, sum);
    }
}

static void write_commands(const struct admin_options *options, struct text *text)
{
    unsigned cores = engine_core_count(options->engine);
    head(text, "commands_total", "counter", "commands run, by protocol and command");
    for (unsigned p = 0; p < options->protocol_count; p++) {
        const struct session_protocol *protocol = options->protocols[p];
        for (unsigned i = 0; i < protocol->command_count && i < COMMANDS_MAX; i++) {
            uint64_t sum = 0;
            for (unsigned core = 0; core < cores; core++)
                sum += word(
                    &core_counters(engine_core(options->engine, core))->commands[protocol->id][i]);
            text_printf(text,
                        "ringpost_commands_total{protocol=\"%s\",command=\"%s\"} %" PRIu64 "\n",
                        protocol->name, protocol->commands[i].name, sum);
        }
    }
}

/* A protocol's words of all cores for one way to end; NONE is none. */
static void write_ends(const struct admin_options *options, struct text *text)
{
    unsigned cores = engine_core_count(options->engine);
    head(text, "sessions_ended_total", "counter", "sessions ended, by protocol and how");
    for (unsigned p = 0; p < options->protocol_count; p++) {
        const struct session_protocol *protocol = options->protocols[p];
        for (unsigned end = SESSION_END_NONE + 1; end < SESSION_END_COUNT; end++) {
            uint64_t sum = 0;
            for (unsigned core = 0; core < cores; core++)
                sum += word(
                    &core_counters(engine_core(options->engine, core))->ends[protocol->id][end]);
            text_printf(text,
                        "ringpost_sessions_ended_total{protocol=\"%s\",end=\"%s\"} %" PRIu64 "\n",
                        protocol->name, session_end_rows[end].label, sum);
        }
    }
}

static void write_memory(struct text *text)
{
    if (mallctl == NULL)
        return;
    uint64_t epoch = 1;
    size_t size = sizeof epoch;
    mallctl("epoch", &epoch, &size, &epoch, size);
    head(text, "memory_bytes", "gauge", "memory of the process as its allocator counts it");
    for (size_t i = 0; i < sizeof memory_rows / sizeof *memory_rows; i++) {
        size_t bytes = 0;
        size = sizeof bytes;
        if (mallctl(memory_rows[i].name, &bytes, &size, NULL, 0) == 0)
            text_printf(text, "ringpost_memory_bytes{kind=\"%s\"} %zu\n", memory_rows[i].kind,
                        bytes);
    }
}

void metrics_write(const struct admin_options *options, struct text *text)
{
    head(text, "build_info", "gauge", "the version that is running; always 1");
    text_printf(text, "ringpost_build_info{version=\"%s\"} 1\n", options->version);
    head(text, "cores", "gauge", "threads with a ring each");
    text_printf(text, "ringpost_cores %u\n", engine_core_count(options->engine));
    head(text, "ready", "gauge", "1 while mail is served, 0 while starting, draining or refusing");
    text_printf(text, "ringpost_ready %d\n", options->health(options->argument) == ADMIN_READY);
    write_counters(options, text);
    write_commands(options, text);
    write_ends(options, text);
    write_memory(text);
    if (options->more != NULL)
        options->more(options->argument, text);
}
