/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A host for services on the real kernel. Log lines (standard output) are kept in a file while the
 * host runs, for host_log_holds.
 */
#include "service_host.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ringpost/kernel_linux.h"

struct host {
    struct host_options options;
    struct engine *engine;
    struct kernel *kernels[CORES_MAX];
    pthread_t thread;
    int saved_output;
    atomic_uint opened, stopping, drained, gone;
};

static char log_text[1 << 20];

#define must(condition) ((condition) ? (void)0 : host_failed(__LINE__, #condition))

_Noreturn static void host_failed(int line, const char *what)
{
    fprintf(stderr, "service_host.c:%d: %s\n", line, what);
    abort();
}

static void meet(struct core *core, struct host *host, atomic_uint *count)
{
    atomic_fetch_add(count, 1);
    while (atomic_load(count) < host->options.core_count)
        fiber_sleep(core, 8000000);
}

static int host_core(struct core *core, void *argument)
{
    struct host *host = argument;
    const struct host_options *options = &host->options;
    must(net_open(core) == 0);
    if (options->open != NULL)
        must(options->open(core) == 0);
    must(sessions_open(core) == 0);
    meet(core, host, &host->opened);
    for (unsigned i = 0; i < 4 && options->services[i] != NULL; i++)
        must(service_open(core, options->services[i]) == 0);
    atomic_fetch_add(&host->opened, 1);
    while (atomic_load(&host->stopping) == 0)
        fiber_sleep(core, 8000000);
    sessions_drain(core, options->drain_pace_ms, options->drain_wait_ms);
    must(sessions_count(core) == 0);
    meet(core, host, &host->drained);
    sessions_close(core);
    if (options->close != NULL)
        options->close(core);
    fiber_sleep(core, 30000000);
    must(buffer_lent(core) == 0);
    must(core_busy(core) == 0);
    must(core_counters(core)->value[COUNTER_FIBERS_ACTIVE] == 1);
    must(core_counters(core)->value[COUNTER_CONNECTIONS_OPEN] == 0);
    net_close(core);
    if (atomic_fetch_add(&host->gone, 1) + 1 == options->core_count)
        engine_stop(host->engine);
    return 0;
}

static void *host_thread(void *argument)
{
    struct host *host = argument;
    must(engine_run(host->engine, host_core, host) == 0);
    return NULL;
}

struct host *host_begin(const struct host_options *options)
{
    struct engine_options engine = {
        .core_count = options->core_count,
        .connections_max = 2000,
        .buffers = 256,
        .fibers_max = options->fibers_max,
        .stack_bytes = 65536,
    };
    struct host *host = calloc(1, sizeof *host);
    must(host != NULL);
    host->options = *options;
    fflush(stdout);
    host->saved_output = dup(STDOUT_FILENO);
    FILE *file = tmpfile();
    must(file != NULL && dup2(fileno(file), STDOUT_FILENO) >= 0);
    fclose(file);
    for (unsigned i = 0; i < options->core_count; i++)
        must(kernel_linux_create(&host->kernels[i]) == 0);
    must(engine_create(&engine, host->kernels, &host->engine) == 0);
    must(pthread_create(&host->thread, NULL, host_thread, host) == 0);
    while (atomic_load(&host->opened) < 2 * options->core_count)
        usleep(1000);
    return host;
}

void host_stop(struct host *host)
{
    atomic_store(&host->stopping, 1);
}

void host_end(struct host *host)
{
    host_stop(host);
    pthread_join(host->thread, NULL);
    engine_destroy(host->engine);
    for (unsigned i = 0; i < host->options.core_count; i++)
        kernel_linux_destroy(host->kernels[i]);
    ssize_t size = pread(STDOUT_FILENO, log_text, sizeof log_text - 1, 0);
    log_text[size > 0 ? size : 0] = '\0';
    must(dup2(host->saved_output, STDOUT_FILENO) >= 0);
    close(host->saved_output);
    free(host);
}

uint64_t host_counter(struct host *host, enum counter which)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < host->options.core_count; i++) {
        struct core *core = engine_core(host->engine, i);
        sum += __atomic_load_n(&core_counters(core)->value[which], __ATOMIC_RELAXED);
    }
    return sum;
}

bool host_log_holds(const char *text)
{
    return strstr(log_text, text) != NULL;
}
