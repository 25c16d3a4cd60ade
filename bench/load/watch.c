/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The watching thread wakes every 20 ms, since measuring begins and ends when the cores say so, and
 * what the server costs is to be read at these two moments; all else is done once a second.
 */
#include "watch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "progress.h"

enum { LOOK_MS = 20, MEMORY_SECONDS = 5, PATIENCE_SECONDS = 3 };
static const uint64_t SECOND_NS = UINT64_C(1000000000);

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

double watch_seconds(const struct watch *watch)
{
    struct load_times times;
    load_times(watch->load, &times);
    uint64_t end = times.ended_ns != 0 ? times.ended_ns : now_ns();
    return times.measure_ns != 0 && end > times.measure_ns ? (double)(end - times.measure_ns) / 1e9
                                                           : 0;
}

/* ---------------------------------------------------------------- cost */

static void read_cost(struct watch *watch, bool with_memory)
{
    cost_read_self(&watch->self_now);
    if (watch->cost == NULL)
        return;
    watch->server_is_gone = cost_read(watch->cost, with_memory, &watch->now) < 0;
    if (with_memory)
        watch->memory_ns = now_ns();
    if (watch->now.memory_bytes > watch->memory_most)
        watch->memory_most = watch->now.memory_bytes;
}

int watch_open(struct watch *watch, const struct bench_options *options, struct load *load,
               char problem[OPTIONS_PROBLEM_BYTES])
{
    int result = 0;
    *watch = (struct watch){.options = options, .load = load, .is_terminal = isatty(2) == 1};
    watch->sum = calloc(1, sizeof *watch->sum);
    watch->latency = calloc(1, sizeof *watch->latency);
    watch->rows = calloc(MEASURE_SECONDS_MAX, sizeof *watch->rows);
    if (watch->sum == NULL || watch->latency == NULL || watch->rows == NULL) {
        snprintf(problem, OPTIONS_PROBLEM_BYTES, "out of memory");
        return -ENOMEM;
    }
    if (options->server_pid != 0)
        result = cost_open_pid((int)options->server_pid, &watch->cost, problem);
    else if (options->cgroup != NULL)
        result = cost_open_cgroup(options->cgroup, &watch->cost, problem);
    if (result < 0)
        return result;
    read_cost(watch, true);
    watch->before = watch->begin = watch->now;
    watch->self_begin = watch->self_now;
    return 0;
}

void watch_close(struct watch *watch)
{
    if (watch->cost != NULL)
        cost_close(watch->cost);
    free(watch->rows);
    free(watch->sum);
    free(watch->latency);
}

/* ---------------------------------------------------------------- a second */

static void add_row(struct watch *watch)
{
    struct cost_reading before = watch->now, self = watch->self_now;
    bool with_memory =
        watch->row_count == 0 || now_ns() >= watch->memory_ns + MEMORY_SECONDS * SECOND_NS;
    read_cost(watch, with_memory);
    if (watch->row_count == MEASURE_SECONDS_MAX)
        return;
    watch->rows[watch->row_count++] = (struct watch_row){
        .server_cpu = watch->now.cpu_seconds - before.cpu_seconds,
        .generator_cpu = watch->self_now.cpu_seconds - self.cpu_seconds,
        .server_memory_bytes = watch->now.memory_bytes,
        .server_disk_bytes = watch->now.disk_bytes - before.disk_bytes,
    };
}

static void show(struct watch *watch)
{
    memset(watch->latency, 0, sizeof *watch->latency);
    if (watch->options->is_quiet || measure_sum(watch->load, watch->sum) < 0)
        return;
    if (watch->row_count > 0)
        measure_second_latency(watch->load, watch->row_count - 1, watch->latency);
    progress_show(watch, now_ns());
    measure_free(watch->sum);
}

/* Measuring begins, a second of it is over, it has ended. */
static void look(struct watch *watch, uint64_t *next_ns)
{
    struct load_times times;
    enum load_stage stage = load_stage(watch->load);
    load_times(watch->load, &times);
    if (stage == LOAD_MEASURE && !watch->has_begun) {
        watch->has_begun = true;
        read_cost(watch, true);
        watch->begin = watch->now;
        watch->self_begin = watch->self_now;
        *next_ns = times.measure_ns + SECOND_NS;
    }
    if (watch->has_begun && !watch->has_ended && (stage > LOAD_MEASURE || (times.ended_ns != 0))) {
        watch->has_ended = true;
        add_row(watch); /* the last, shorter one */
        read_cost(watch, true);
    }
    if (now_ns() < *next_ns)
        return;
    *next_ns += SECOND_NS;
    if (watch->has_begun && !watch->has_ended)
        add_row(watch);
    show(watch);
}

/* True when one came. */
static bool take_signal(unsigned ms)
{
    struct timespec limit = {.tv_nsec = ms * 1000000l};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return sigtimedwait(&set, NULL, &limit) > 0;
}

bool watch_run(struct watch *watch, const uint32_t *is_over)
{
    uint64_t next_ns = now_ns() + SECOND_NS, patience_ns = UINT64_MAX;
    while (!__atomic_load_n(is_over, __ATOMIC_ACQUIRE)) {
        look(watch, &next_ns);
        if (take_signal(LOOK_MS)) {
            if (++watch->signals > 1)
                break;
            load_stop(watch->load, "interrupted");
            patience_ns = now_ns() + PATIENCE_SECONDS * SECOND_NS;
        }
        if (now_ns() >= patience_ns)
            break;
    }
    look(watch, &next_ns);
    progress_clear(watch);
    return __atomic_load_n(is_over, __ATOMIC_ACQUIRE);
}
