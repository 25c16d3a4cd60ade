/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Per core: opening and closing, whose mail lies where, what backends can do, and what an operator
 * may ask about sessions that are passed through.
 */
#include "ringpost/proxy.h"

#include <stdlib.h>

#include "proxy_private.h"
#include "ringpost/words.h"

int proxy_open(struct core *core)
{
    struct proxy *proxy = calloc(1, sizeof *proxy);
    if (proxy == NULL)
        return -ENOMEM;
    proxy->core = core;
    proxy->tick.fire = sweep_tick;
    core_local_set(core, CORE_LOCAL_PROXY, proxy);
    return 0;
}

void proxy_close(struct core *core)
{
    struct proxy *proxy = proxy_of(core);
    assert(proxy->count == 0 && "sessions_drain comes first");
    timer_clear(core, &proxy->tick);
    core_local_set(core, CORE_LOCAL_PROXY, NULL);
    free(proxy);
}

/* ---------------------------------------------------------------- whose mail lies where */

/* `name` is in lower case, `typed` in any. */
static int compare(struct slice typed, struct slice name)
{
    for (size_t i = 0; i < typed.size && i < name.size; i++) {
        int a = (unsigned char)ascii_lower(typed.data[i]), b = (unsigned char)name.data[i];
        if (a != b)
            return a - b;
    }
    return typed.size < name.size ? -1 : typed.size > name.size;
}

const struct backend_pool *proxy_domain_pool(const struct proxy_domain *domains, unsigned count,
                                             struct slice domain)
{
    for (unsigned low = 0, high = count; low < high;) {
        unsigned middle = low + (high - low) / 2;
        int order = compare(domain, domains[middle].name);
        if (order == 0)
            return domains[middle].pool;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct backend_pool *proxy_pool(const struct session *session, struct slice user)
{
    const struct proxy_options *options = proxy_options_of(session);
    if (session->user.size > 0)
        user = session->user;
    size_t at = user.size;
    while (at > 0 && user.data[at - 1] != '@')
        at--;
    if (options == NULL || at == 0)
        return NULL;
    return proxy_domain_pool(options->domains, options->domain_count, slice_from(user, at));
}

bool proxy_is_wanted(const struct session *session)
{
    return proxy_pool(session, session->user) != NULL;
}

/* A directory may name a port where any address is taken. */
static bool serves(const struct backend_pool *pool, enum backend_protocol protocol)
{
    const struct backend_pool_options *options = backend_pool_options_of(pool);
    bool is_served = options->any_address;
    for (unsigned i = 0; i < options->backend_count && !is_served; i++)
        is_served = options->backends[i].ports[protocol] != 0;
    return is_served;
}

bool proxy_is_served(const struct session *session)
{
    const struct backend_pool *pool = proxy_pool(session, session->user);
    return pool != NULL && serves(pool, proxy_options_of(session)->protocol);
}

/* ---------------------------------------------------------------- capabilities */

struct slice proxy_capabilities(struct session *session)
{
    const struct proxy_options *options = proxy_options_of(session);
    const struct backend_pool *seen[BACKEND_POOLS_MAX];
    unsigned seen_count = 0;
    char *words = NULL;
    size_t size = 0;
    if (options == NULL || options->domain_count == 0)
        return (struct slice){0};
    for (unsigned i = 0; i < options->domain_count && seen_count < BACKEND_POOLS_MAX; i++) {
        const struct backend_pool *pool = options->domains[i].pool;
        unsigned at = 0;
        while (at < seen_count && seen[at] != pool)
            at++;
        if (at < seen_count)
            continue;
        seen[seen_count++] = pool;
        if (!serves(pool, options->protocol))
            continue;
        struct slice can = backend_capabilities(session_core(session), pool, options->protocol);
        if (words == NULL) {
            struct slice copy = arena_copy(&session->arena, can);
            words = (char *)(uintptr_t)copy.data;
            size = words == NULL ? 0 : copy.size;
        } else {
            size = words_common(words, size, can);
        }
        if (size == 0)
            return SLICE("");
    }
    return slice_of(words, size);
}

/* ---------------------------------------------------------------- the operator */

static void describe(const struct proxied *proxied, struct proxy_session_info *ret_info)
{
    struct session *session = proxied->session;
    struct core *core = session_core(session);
    *ret_info = (struct proxy_session_info){
        .id = session->id,
        .protocol = session->service->protocol->name,
        .user = session->user,
        .pool = backend_pool_name(proxied->backend),
        .backend = backend_name(proxied->backend),
        .bytes_in = proxied->up_bytes,
        .bytes_out = proxied->down_bytes,
        .ms = (core_now_ns(core) - session->began_ns) / 1000000,
    };
    stream_peer(&session->stream, ret_info->peer, &ret_info->port);
}

void proxy_sessions_each(struct core *core,
                         bool (*tell)(void *argument, const struct proxy_session_info *info),
                         void *argument)
{
    struct proxy_session_info info;
    for (const struct proxied *one = proxy_of(core)->list; one != NULL; one = one->next) {
        describe(one, &info);
        if (!tell(argument, &info))
            return;
    }
}

unsigned proxy_kick(struct core *core, struct slice user, uint64_t id)
{
    unsigned count = 0;
    for (struct proxied *one = proxy_of(core)->list; one != NULL; one = one->next) {
        struct session *session = one->session;
        bool is_meant = user.size > 0 ? slice_equal(session->user, user) : session->id == id;
        if (!is_meant || session->end != SESSION_END_NONE)
            continue;
        session_end(session, SESSION_END_KICKED);
        count++;
    }
    return count;
}

unsigned proxy_cut(struct core *core, const struct backend *backend, uint64_t ms)
{
    unsigned count = 0;
    for (struct proxied *one = proxy_of(core)->list; one != NULL; one = one->next) {
        if (one->backend != backend || one->phase == PROXIED_ENDING ||
            one->session->end != SESSION_END_NONE)
            continue;
        proxied_end_within(one, SESSION_END_BACKEND_DOWN, ms);
        count++;
    }
    return count;
}
