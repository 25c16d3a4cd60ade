/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `ringpost serve`: the start-up order on one page.
 *
 *   config ─▶ kernel floor ─▶ limits ─▶ log file ─▶ signals ─▶ ports probed and bound ─▶ privileges
 *     dropped ─▶ ring probed ─▶ confined ─▶ kernels, engine ─▶ admin thread ─▶ each core:
 *     gateway_open ─▶ core 0: confined for good, self-test ─▶ … serves … ─▶ gateway_close ─▶
 *     engine stops ─▶ admin, engine, kernels, setup are given back
 *
 * Signals: the first SIGTERM or SIGINT is a byte for core 0, which tells every core to drain; the
 * second ends the process at once, which loses nothing that was acknowledged. Each core's first
 * fiber lives as long as the core: it opens, waits, closes.
 *
 * Invariant: rings are made after privileges are dropped (a ring keeps the rights it was made
 * with).
 */
#include "serve.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "command.h"
#include "confine.h"
#include "gauges.h"
#include "reload.h"
#include "ringpost/admin.h"
#include "ringpost/kernel_linux.h"
#include "ringpost/tls.h"

enum { STORE_LOOK_NS = 1000000000, READY_LOOK_NS = 5000000 };

struct serving;

struct core_serving {
    struct message drain_message; /* first: the message's address is ours */
    struct serving *serving;
    struct waiters waiters;
    bool drains;
    uint32_t refuses; /* this core's shards take no mail; read by the admin thread */
};

struct serving {
    struct setup *setup; /* of the start; later ones are reload's */
    struct setup_process process;
    struct reload reload;
    uint32_t parts_left; /* cores, and the reloading fiber, that are not done; atomic */
    struct process_listeners listeners;
    struct confine confine;
    struct gauges gauges;
    struct gateway gateway;
    struct engine *engine;
    struct kernel *kernels[CORES_MAX];
    unsigned kernel_count;
    struct core_serving cores[CORES_MAX];
};

/* ---------------------------------------------------------------- signals */

/* The one thing that a signal handler can reach. */
static int signal_fd = -1;
static int signal_count, hangup_came; /* atomic: another thread looks at them */

static void tell_watch(void)
{
    uint64_t one = 1;
    ssize_t written = write(signal_fd, &one, sizeof one);
    (void)written; /* cannot fail: the counter is far from its end */
}

static void on_signal(int number)
{
    (void)number;
    int error = errno;
    if (__atomic_add_fetch(&signal_count, 1, __ATOMIC_ACQ_REL) > 1)
        _exit(STATUS_AT_ONCE);
    tell_watch();
    errno = error;
}

static void on_hangup(int number)
{
    (void)number;
    int error = errno;
    __atomic_store_n(&hangup_came, 1, __ATOMIC_RELEASE);
    tell_watch();
    errno = error;
}

/* A service is not tied to a terminal: SIGHUP means that it is to read its config again. */
static bool signals_open(bool is_service)
{
    struct sigaction stop = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    struct sigaction hangup = {.sa_handler = on_hangup, .sa_flags = SA_RESTART};
    sigemptyset(&stop.sa_mask);
    sigemptyset(&hangup.sa_mask);
    signal_fd = eventfd(0, EFD_CLOEXEC);
    return signal_fd >= 0 && sigaction(SIGTERM, &stop, NULL) == 0 &&
           sigaction(SIGINT, &stop, NULL) == 0 &&
           sigaction(SIGHUP, is_service ? &hangup : &stop, NULL) == 0;
}

/* ---------------------------------------------------------------- on the cores */

static void drain_handle(struct core *here, struct message *message)
{
    struct core_serving *mine = (struct core_serving *)message;
    mine->drains = true;
    waiters_wake_all(here, &mine->waiters);
}

/* On core 0: waits for signals; the one to stop is passed on to all cores. */
static void watch(void *argument)
{
    struct core *core = argument;
    struct serving *serving = core_local(core, CORE_LOCAL_MAIN);
    uint64_t value;
    int result = 0;
    while (__atomic_load_n(&signal_count, __ATOMIC_ACQUIRE) == 0 &&
           (result >= 0 || result == -EINTR || result == -EAGAIN)) {
        result = await_read(core, signal_fd, &value, sizeof value, 0);
        if (__atomic_load_n(&serving->gateway.failed, __ATOMIC_ACQUIRE) != 0)
            return; /* the start failed: the engine stops by itself */
        if (__atomic_exchange_n(&hangup_came, 0, __ATOMIC_ACQ_REL))
            reload_want(&serving->reload, core);
        fiber_yield(core);
    }
    struct event event;
    event_begin(&event, "stop", "info");
    event_text(&event, "what", result < 0 ? slice_cstr(strerror(-result)) : SLICE("signal"));
    core_log(core, &event);
    reload_stop(&serving->reload, core);
    for (unsigned i = 0; i < core_count(core); i++)
        core_post(core, i, &serving->cores[i].drain_message);
}

/* The engine stops when all cores have closed and nothing is being reloaded. */
static void part_done(void *argument)
{
    struct serving *serving = argument;
    if (__atomic_sub_fetch(&serving->parts_left, 1, __ATOMIC_ACQ_REL) == 0)
        engine_stop(serving->engine);
}

/* On core 0: what only the start needs goes once every core serves. */
static void finish_start(struct core *core, struct serving *serving)
{
    while (__atomic_load_n(&serving->gateway.state, __ATOMIC_ACQUIRE) < GATEWAY_READY) {
        if (__atomic_load_n(&serving->gateway.failed, __ATOMIC_ACQUIRE) != 0)
            return;
        fiber_sleep(core, READY_LOOK_NS);
    }
    confine_finish(&serving->confine, core);
    if (reload_start(&serving->reload, core, part_done, serving) < 0)
        part_done(serving); /* no fiber at all: then nothing is reloaded */
}

/* engine_run's ready(): the whole life of a core. */
static int live(struct core *core, void *argument)
{
    struct serving *serving = argument;
    struct core_serving *mine = &serving->cores[core_index(core)];
    core_local_set(core, CORE_LOCAL_MAIN, serving);
    int result = core_index(core) == 0 ? fiber_start(core, watch, core) : 0;
    if (result == 0)
        result = gateway_open(core, &serving->gateway);
    if (result < 0) {
        tell_watch();
        return result;
    }
    if (core_index(core) == 0)
        finish_start(core, serving);
    while (!mine->drains) {
        if (core_index(core) == 0)
            gauges_take(&serving->gauges, core);
        waiters_wait(core, &mine->waiters, core_now_ns(core) + STORE_LOOK_NS);
        bool has_store = serving->gateway.options.store.directory != NULL;
        __atomic_store_n(&mine->refuses, has_store && store_state(core) < 0, __ATOMIC_RELAXED);
    }
    gateway_close(core, &serving->gateway);
    part_done(serving);
    return 0;
}

/* ---------------------------------------------------------------- admin */

static enum admin_health health(void *argument)
{
    struct serving *serving = argument;
    switch ((enum gateway_state)__atomic_load_n(&serving->gateway.state, __ATOMIC_ACQUIRE)) {
    case GATEWAY_STARTING:
        return ADMIN_STARTING;
    case GATEWAY_READY:
        for (unsigned i = 0; i < serving->kernel_count; i++)
            if (__atomic_load_n(&serving->cores[i].refuses, __ATOMIC_RELAXED))
                return ADMIN_REFUSING;
        return ADMIN_READY;
    default:
        return ADMIN_DRAINING;
    }
}

static void write_more(void *argument, struct text *text)
{
    struct serving *serving = argument;
    gauges_write(&serving->gauges, text);
}

static const struct session_protocol *const protocols[] = {&smtp_protocol,  &lmtp_protocol,
                                                           &pop3_protocol,  &imap_protocol,
                                                           &sieve_protocol, &control_protocol};

static int admin_open(struct serving *serving, struct admin **ret_admin)
{
    const struct config_admin *config = &serving->setup->config->admin;
    if (config->port == CONFIG_UNSET)
        return 0;
    if (serving->setup->gateway.backend_states != NULL && gauges_open(&serving->gauges) < 0) {
        complain("out of memory");
        return -ENOMEM;
    }
    struct admin_options options = {
        .address = config->address,
        .port = (unsigned)config->port,
        .engine = serving->engine,
        .protocols = protocols,
        .protocol_count = sizeof protocols / sizeof *protocols,
        .version = version_text,
        .listen_fd = serving->listeners.admin_fd,
        .health = health,
        .more = write_more,
        .argument = serving,
    };
    /* its thread takes no signals */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    int result = admin_start(&options, ret_admin);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (result < 0)
        complain("admin: cannot serve %s port %u: %s", config->address, options.port,
                 strerror(-result));
    return result;
}

/* ---------------------------------------------------------------- in order */

/* What the pools may grow to, in one line: the sum that the machine has to have. */
static void say_memory(const struct setup *setup)
{
    const struct engine_options *engine = &setup->engine;
    const struct store_options *store = &setup->gateway.store;
    uint64_t cores = engine->core_count, shards = store->directory == NULL ? 0 : store->shard_count;
    uint64_t buffers = cores * (engine->buffers * (uint64_t)BUFFER_BYTES +
                                BULK_BUFFERS * (uint64_t)BULK_BUFFER_BYTES);
    uint64_t stacks = cores * engine->fibers_max * (uint64_t)engine->stack_bytes;
    uint64_t cache = shards * store->cache_bytes;
    uint64_t index = shards * store->index_bytes_max;
    struct event event;
    event_begin(&event, "memory", "info");
    event_number(&event, "cores", (int64_t)cores);
    event_number(&event, "receive_buffers_bytes", (int64_t)buffers);
    event_number(&event, "stacks_bytes_max", (int64_t)stacks);
    event_number(&event, "store_cache_bytes_max", (int64_t)cache);
    event_number(&event, "store_index_bytes_max", (int64_t)index);
    event_number(&event, "sum_bytes_max", (int64_t)(buffers + stacks + cache + index));
    log_now(&event);
}

static int make_engine(struct serving *serving)
{
    const struct engine_options *options = &serving->setup->engine;
    int result = 0;
    while (serving->kernel_count < options->core_count && result == 0) {
        result = kernel_linux_create(&serving->kernels[serving->kernel_count]);
        serving->kernel_count += result == 0;
    }
    const struct process_listeners *bound = &serving->listeners;
    for (unsigned i = 0; i < bound->count && result == 0; i++) {
        const struct process_listener *one = &bound->listeners[i];
        result = kernel_linux_give(serving->kernels[one->core], one->address, one->port, one->fd);
    }
    if (result == 0)
        result = tls_library_open(serving->kernels[0]);
    if (result == 0)
        result = engine_create(options, serving->kernels, &serving->engine);
    for (unsigned i = 0; i < serving->kernel_count; i++)
        serving->cores[i] =
            (struct core_serving){.drain_message.handle = drain_handle, .serving = serving};
    return result;
}

static int run(struct serving *serving)
{
    struct admin *admin = NULL;
    int result = make_engine(serving);
    if (result < 0) {
        complain("cannot make the engine: %s", strerror(-result));
    } else {
        gateway_init(&serving->gateway, &serving->setup->gateway);
        reload_init(&serving->reload, serving->setup, &serving->process);
        serving->parts_left = serving->kernel_count + 1;
        result = admin_open(serving, &admin);
    }
    if (result == 0)
        result = engine_run(serving->engine, live, serving);
    bool is_busy = result == -EWOULDBLOCK;
    if (is_busy)
        complain("the store %s is in use by another process",
                 serving->setup->config->store.directory);
    else if (result < 0)
        complain("stopped: %s; the log lines above say where", strerror(-result));
    admin_stop(admin);
    gauges_free(&serving->gauges);
    engine_destroy(serving->engine);
    reload_deinit(&serving->reload);
    for (unsigned i = 0; i < serving->kernel_count; i++)
        kernel_linux_destroy(serving->kernels[i]);
    return result == 0 ? STATUS_OK : is_busy ? STATUS_BUSY : STATUS_FAILED;
}

static bool prepare(struct serving *serving, bool is_service)
{
    struct setup *setup = serving->setup;
    const struct config *config = setup->config;
    if (!process_check_kernel() || !process_check_user(config, is_service))
        return false;
    process_prepare();
    return process_log_to(config->log.file) && signals_open(is_service) &&
           process_probe_ports(setup) && process_bind(setup, &serving->listeners) &&
           process_drop(config) && process_probe_ring() &&
           setup_process_open(&serving->process, setup) && confine_begin(&serving->confine, setup);
}

/* The first setup; NULL after saying why. */
static struct setup *read_setup(const char *path, const struct setup_process *process)
{
    struct setup *setup = setup_read(path, process);
    if (setup == NULL || setup->config->problem_count == 0)
        return setup;
    problems_show(setup->config, stderr);
    setup_free(setup);
    return NULL;
}

int serve(const char *path, bool is_service)
{
    struct serving *serving = calloc(1, sizeof *serving);
    int status = STATUS_FAILED;
    if (serving == NULL)
        return status;
    process_close_inherited();
    if (setup_process_begin(&serving->process))
        serving->setup = read_setup(path, &serving->process);
    if (serving->setup != NULL && prepare(serving, is_service)) {
        say_memory(serving->setup);
        status = run(serving);
    }
    confine_end(&serving->confine);
    setup_free(serving->setup);
    tls_library_close();
    setup_process_end(&serving->process);
    free(serving);
    return status;
}

int run_serve(const struct invocation *invocation)
{
    return serve(invocation->config, true);
}
