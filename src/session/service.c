/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Listening for sessions, and draining them. Each core has its own listeners, list and counts
 * (struct sessions); nothing is shared but the three words that a move between cores needs.
 */
#include <stdlib.h>

#include "session_private.h"

static const char BASE32[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* ---------------------------------------------------------------- per core */

/* The end of a turn: every stack was taken, or there was no memory for one, when the first in the
 * queue came. The timer makes a turn in which to try again. */
static void queue_hook(struct hook *hook)
{
    struct sessions *sessions = (struct sessions *)((char *)hook - offsetof(struct sessions, hook));
    struct core *core = sessions->core;
    if (core_now_ns(core) >= sessions->overload_due_ns)
        overload_look(sessions);
    if (sessions->queue != NULL && fiber_start(core, sessions_fiber, sessions) < 0)
        timer_set(core, &sessions->retry, core_now_ns(core) + (uint64_t)RETRY_MS * 1000000);
}

static void retry(struct timer *timer)
{
    (void)timer;
}

int sessions_open(struct core *core)
{
    struct sessions *sessions = calloc(1, sizeof *sessions);
    if (sessions == NULL)
        return -ENOMEM;
    sessions->core = core;
    sessions->hook.run = queue_hook;
    sessions->retry.fire = retry;
    sessions->overload_tick.fire = overload_tick;
    sessions->queue_end = &sessions->queue;
    core_random(core, &sessions->addresses.key, sizeof sessions->addresses.key);
    core_hook_add(core, &sessions->hook);
    core_local_set(core, CORE_LOCAL_SESSION, sessions);
    return 0;
}

void sessions_close(struct core *core)
{
    struct sessions *sessions = sessions_of(core);
    assert(sessions->count == 0 && sessions->listeners == NULL && "sessions_drain comes first");
    core_hook_remove(core, &sessions->hook);
    timer_clear(core, &sessions->retry);
    timer_clear(core, &sessions->overload_tick);
    core_local_set(core, CORE_LOCAL_SESSION, NULL);
    free(sessions->addresses.slots);
    free(sessions);
}

unsigned sessions_count(const struct core *core)
{
    return sessions_of(core)->count;
}

void session_unique(struct core *core, char *text)
{
    /* 6 bits of core, 42 of milliseconds (until 2109), 32 of counter: 16 times 5 bits. */
    uint64_t ms = (uint64_t)(core_wall_ns(core) / 1000000) & ((UINT64_C(1) << 42) - 1);
    uint64_t count = ++sessions_of(core)->unique & UINT32_MAX;
    uint64_t high = (uint64_t)core_index(core) << 34 | ms >> 8, low = (ms & 255) << 32 | count;
    for (unsigned i = 0; i < 8; i++) {
        text[7 - i] = BASE32[high >> (5 * i) & 31];
        text[15 - i] = BASE32[low >> (5 * i) & 31];
    }
    text[16] = '\0';
}

/* ---------------------------------------------------------------- listeners */

static void listener_forget(struct service_listener *listener)
{
    generation_leave(listener->service->generation);
    free(listener->address);
    free(listener);
}

/* Under TLS it would not be understood. */
static struct slice refusal_of(const struct service *service)
{
    return service->tls == SERVICE_TLS ? SLICE("") : service->protocol->refusal;
}

int service_open(struct core *core, const struct service *service)
{
    struct sessions *sessions = sessions_of(core);
    struct service_listener *listener = calloc(1, sizeof *listener);
    size_t size = strlen(service->address) + 1;
    char *address = malloc(size);
    if (listener == NULL || address == NULL) {
        free(listener);
        free(address);
        return -ENOMEM;
    }
    assert(service->protocol->session_bytes >= sizeof(struct session));
    memcpy(address, service->address, size);
    *listener = (struct service_listener){.core = core, .service = service, .address = address};
    generation_enter(service->generation);
    struct listener_options options = {
        .address = address,
        .port = service->port,
        .mode = service->mode,
        .connections_max = service->connections_max,
        .refusal = refusal_of(service),
        .accepted = session_accepted,
        .argument = listener,
    };
    int result = listener_open(core, &options, &listener->listener);
    if (result < 0) {
        listener_forget(listener);
        return result;
    }
    listener->next = sessions->listeners;
    sessions->listeners = listener;
    return 0;
}

static const struct service *counterpart(const struct service_listener *listener,
                                         const struct service *const *services, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (services[i]->port == listener->service->port &&
            strcmp(services[i]->address, listener->address) == 0)
            return services[i];
    return NULL;
}

void services_adopt(struct core *core, const struct service *const *services, unsigned count)
{
    struct service_listener *listener = sessions_of(core)->listeners;
    for (; listener != NULL; listener = listener->next) {
        const struct service *service = counterpart(listener, services, count);
        if (service == NULL)
            continue;
        assert(service->protocol->session_bytes >= sizeof(struct session));
        generation_enter(service->generation);
        generation_leave(listener->service->generation);
        listener->service = service;
        listener_adopt(listener->listener, service->connections_max, refusal_of(service));
    }
}

/* ---------------------------------------------------------------- draining */

static void tell(struct session *session)
{
    session->private_bits |= DRAINING;
    if (session->private_bits & PROXY_AWAITED)
        session_refuse(session, SESSION_END_DRAIN);
    else
        session_schedule(session);
}

/* Tells up to `count` sessions that are idle now; busy ones are told when their command is done. */
static void tell_some(struct sessions *sessions, unsigned count)
{
    while (sessions->cursor != NULL && count > 0) {
        struct session *session = sessions->cursor;
        sessions->cursor = session->next;
        if (session->private_bits & RUNNING)
            continue;
        tell(session);
        count--;
    }
}

/* `more`: what else is done to the stream of each; a session is freed in a later turn at the
 * earliest. */
static void tell_all(struct sessions *sessions, void (*more)(struct stream *stream))
{
    struct session *next;
    for (struct session *session = sessions->list; session != NULL; session = next) {
        next = session->next;
        tell(session);
        if (more != NULL)
            more(&session->stream);
    }
}

/* The command that waits for input ends; what it waits to write goes on. */
static void interrupt(struct stream *stream)
{
    stream_interrupt(stream, -ECANCELED);
}

static bool is_drained(const struct sessions *sessions)
{
    return sessions->count == 0 && __atomic_load_n(&sessions->leaving, __ATOMIC_SEQ_CST) == 0 &&
           __atomic_load_n(&sessions->arriving, __ATOMIC_SEQ_CST) == 0;
}

static void wait_until(struct sessions *sessions, uint64_t until_ns)
{
    while (!is_drained(sessions) && core_now_ns(sessions->core) < until_ns)
        fiber_sleep(sessions->core, (uint64_t)DRAIN_TICK_MS * 1000000);
}

void sessions_drain(struct core *core, uint64_t pace_ms, uint64_t wait_ms)
{
    struct sessions *sessions = sessions_of(core);
    uint64_t end_ns = core_now_ns(core) + (pace_ms + wait_ms) * 1000000;
    __atomic_store_n(&sessions->draining, 1, __ATOMIC_SEQ_CST);
    for (struct service_listener *listener = sessions->listeners; listener != NULL;
         listener = listener->next)
        listener_close(listener->listener);
    uint64_t ticks = pace_ms / DRAIN_TICK_MS + 1;
    unsigned share = (unsigned)((sessions->count + ticks - 1) / ticks) + 1;
    sessions->cursor = sessions->list;
    while (sessions->cursor != NULL) {
        tell_some(sessions, share);
        fiber_sleep(core, (uint64_t)DRAIN_TICK_MS * 1000000);
    }
    tell_all(sessions, NULL);
    wait_until(sessions, end_ns);
    tell_all(sessions, interrupt);
    wait_until(sessions, core_now_ns(core) + (uint64_t)LAST_WORDS_MS_MAX * 1000000);
    tell_all(sessions, stream_close);
    wait_until(sessions, UINT64_MAX);
    while (sessions->listeners != NULL) {
        struct service_listener *listener = sessions->listeners;
        sessions->listeners = listener->next;
        listener_forget(listener);
    }
}
