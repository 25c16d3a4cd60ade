/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Opens and closes what stands above the engine, core by core, in one order:
 *
 *   core 0   net, store, auth, sessions ─┐ services ─┐           ┌ drained ─┐ sessions, auth,
 *                 ▼                      │           ├─ READY ─ … ┤          │ store, net
 *   core n   net, store, auth, sessions ─┘ services ─┘           └ drained ─┘
 *                 ▲                      ▲                                  ▲
 *         identity of the     all are open before anyone may       no session is left that may
 *         store is there      call another core's shard            call another core's shard
 *
 * Invariants:
 *   Y1 No service accepts before store and sessions of every core are open.
 *   Y2 No store closes before every core's sessions are gone.
 *   Y3 `state` only grows.
 *
 * Cores wait for each other by looking every few milliseconds: it happens twice in a life and needs
 * no memory. When one core fails, the others stop waiting.
 */
#include "ringpost/gateway.h"

#include "ringpost/proxy.h"
#include "ringpost/tls.h"

enum { LOOK_NS = 5000000 };

void gateway_init(struct gateway *gateway, const struct gateway_options *options)
{
    memset(gateway, 0, sizeof *gateway);
    gateway->options = *options;
}

static uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static uint32_t add_one(uint32_t *word)
{
    return __atomic_add_fetch(word, 1, __ATOMIC_ACQ_REL);
}

static void raise_state(struct gateway *gateway, enum gateway_state to)
{
    uint32_t now = load(&gateway->state);
    while (now < to && !__atomic_compare_exchange_n(&gateway->state, &now, to, false,
                                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
}

/* Until `count` cores have come to a point; when one of them failed before, its error. */
static int wait_for(struct core *core, struct gateway *gateway, const uint32_t *word,
                    uint32_t count)
{
    while (load(word) < count) {
        if (load(&gateway->failed) != 0)
            return -(int)load(&gateway->failed);
        fiber_sleep(core, LOOK_NS);
    }
    return 0;
}

/* A step of the start, in the log: of core 0 always, of the others when it fails. */
static int step(struct core *core, const char *what, int result)
{
    if (result < 0 || core_index(core) == 0) {
        struct event event;
        event_begin(&event, "start", result < 0 ? "error" : "info");
        event_number(&event, "core", core_index(core));
        event_text(&event, "opened", slice_cstr(what));
        if (result < 0)
            event_text(&event, "error", slice_cstr(strerror(-result)));
        core_log(core, &event);
    }
    return result;
}

static int open_store(struct core *core, struct gateway *gateway)
{
    if (gateway->options.store.directory == NULL) /* all users are elsewhere */
        return step(core, "memory for messages", store_open_bodies(core));
    if (core_index(core) != 0) {
        int result = wait_for(core, gateway, &gateway->store_made, 1);
        if (result < 0)
            return result;
    }
    int result = step(core, "store", store_open(core, &gateway->options.store));
    if (result == 0 && core_index(core) == 0)
        add_one(&gateway->store_made);
    return result;
}

/* Certificates want more stack than a fiber has: the core's own turn takes them. */
struct adoption {
    struct message message; /* first: the message's address is ours */
    struct tls_settings *settings;
    struct fiber *fiber;
    int result;
};

static void adopt_tls(struct core *here, struct message *message)
{
    struct adoption *adoption = (struct adoption *)message;
    adoption->result = tls_adopt(here, adoption->settings);
    fiber_wake(here, adoption->fiber);
}

static int open_tls(struct core *core, struct gateway *gateway)
{
    struct adoption adoption = {
        .message.handle = adopt_tls,
        .settings = gateway->options.tls_settings,
        .fiber = fiber_current(core),
    };
    if (adoption.settings == NULL)
        return 0;
    core_post(core, core_index(core), &adoption.message);
    fiber_park(core);
    return step(core, "certificates", adoption.result);
}

static int open_service(struct core *core, const struct service *service)
{
    int result = service_open(core, service);
    if (result < 0 || core_index(core) == 0) {
        struct event event;
        event_begin(&event, "listen", result < 0 ? "error" : "info");
        event_text(&event, "protocol", slice_cstr(service->protocol->name));
        event_text(&event, "address", slice_cstr(service->address));
        event_number(&event, "port", service->port);
        if (result < 0)
            event_text(&event, "error", slice_cstr(strerror(-result)));
        core_log(core, &event);
    }
    return result;
}

/* Fiber. Before sessions: nobody logs in while backends are not there. */
static int open_backends(struct core *core, const struct gateway_options *options)
{
    if (options->backend_states == NULL)
        return 0;
    int result =
        step(core, "backends", backends_open(core, options->backend_states, options->backends));
    return result < 0 ? result : step(core, "relay", relay_open(core, &options->relay));
}

static int open_proxy(struct core *core, const struct gateway_options *options)
{
    return options->backend_states == NULL ? 0 : step(core, "proxy", proxy_open(core));
}

/* Once backends are there on all cores, and before anybody may log in to the wrong one. */
static int open_exceptions(struct core *core, struct gateway *gateway)
{
    const struct exception_keeper_options *options = gateway->options.exceptions;
    if (options == NULL)
        return 0;
    if (core_index(core) != 0)
        return wait_for(core, gateway, &gateway->exceptions_read, 1);
    int result = step(core, "exceptions", exception_keeper_open(core, options));
    if (result == 0)
        add_one(&gateway->exceptions_read);
    return result;
}

static int open_all(struct core *core, struct gateway *gateway)
{
    const struct gateway_options *options = &gateway->options;
    int result = step(core, "net", net_open(core));
    if (result == 0)
        result = open_tls(core, gateway);
    if (result == 0)
        result = open_store(core, gateway);
    if (result == 0)
        result = step(core, "auth", auth_open(core, &options->auth));
    if (result == 0)
        result = open_backends(core, options);
    if (result == 0)
        result = step(core, "sessions", sessions_open(core));
    if (result == 0)
        result = open_proxy(core, options);
    if (result == 0) {
        add_one(&gateway->cores_open);
        result = wait_for(core, gateway, &gateway->cores_open, core_count(core)); /* Y1 */
    }
    if (result == 0)
        result = open_exceptions(core, gateway);
    for (unsigned i = 0; i < options->service_count && result == 0; i++)
        result = open_service(core, options->services[i]);
    return result;
}

int gateway_open(struct core *core, void *argument)
{
    struct gateway *gateway = argument;
    int result = open_all(core, gateway);
    if (result < 0) {
        uint32_t none = 0; /* the first error is everybody's: it is what the operator has to hear */
        __atomic_compare_exchange_n(&gateway->failed, &none, (uint32_t)-result, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
        return result;
    }
    if (add_one(&gateway->cores_ready) == core_count(core)) {
        struct event event;
        raise_state(gateway, GATEWAY_READY);
        event_begin(&event, "ready", "info");
        event_number(&event, "cores", core_count(core));
        core_log(core, &event);
    }
    return 0;
}

int gateway_adopt(struct core *core, const struct gateway_options *options)
{
    int result = options->tls_settings == NULL ? 0 : tls_adopt(core, options->tls_settings);
    if (options->backend_states != NULL) {
        int other = backends_adopt(core, options->backends);
        relay_adopt(core, &options->relay);
        result = result < 0 ? result : other;
        if (core_index(core) == 0)
            exception_keeper_again(core);
    }
    auth_adopt(core, &options->auth);
    services_adopt(core, options->services, options->service_count);
    return result;
}

/* Connections to backends close behind their sessions. */
static void wait_for_streams(struct core *core)
{
    const uint64_t *open = &core_counters(core)->value[COUNTER_CONNECTIONS_OPEN];
    while (*open > 0)
        fiber_sleep(core, LOOK_NS);
    fiber_sleep(core, LOOK_NS); /* the last one is released at the end of its turn */
}

void gateway_close(struct core *core, struct gateway *gateway)
{
    raise_state(gateway, GATEWAY_DRAINING);
    sessions_drain(core, gateway->options.drain_pace_ms, gateway->options.drain_wait_ms);
    if (core_index(core) == 0)
        exception_keeper_close(core); /* it tells other cores' backends */
    add_one(&gateway->cores_drained);
    if (wait_for(core, gateway, &gateway->cores_drained, core_count(core)) < 0) /* Y2 */
        return;
    if (gateway->options.backend_states != NULL)
        proxy_close(core);
    sessions_close(core);
    if (gateway->options.backend_states != NULL) {
        relay_close(core);
        backends_close(core);
    }
    auth_close(core);
    store_close(core);
    wait_for_streams(core);
    net_close(core);
    if (add_one(&gateway->cores_gone) == core_count(core))
        raise_state(gateway, GATEWAY_STOPPED);
}
