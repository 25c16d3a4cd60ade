/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a backend is doing. All cores tell it here and look here, without locks:
 *
 *   alive  a word per protocol: failures in a row while it is alive, successes in a row while it is
 *          dead. It changes by compare-and-swap, so the one core that made it dead or alive knows,
 *          writes the one log line, and has the core that checks the backend look at once.
 *   dead   log-ins do not go there, checks do. A pool without checks lets one log-in a second try.
 *   said   capabilities, written by the core that checks it, under a count that readers compare.
 *
 * A protocol is dead by itself: when ManageSieve crashed everywhere, mail is still read. A backend
 * is up while one of its protocols is alive.
 *
 * Log-ins under way are bounded per backend and core; the others wait in order, and are told at
 * once when it died (nobody waits for what has just failed).
 */
#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core_state.h"

enum { FAILURE = 1, FAILURES = 0xff, SUCCESS = 0x100, SUCCESSES = 0xff00, DEAD = 0x10000 };

static const uint64_t RETRY_NS = 1000000000; /* a pool without checks */

/* ---------------------------------------------------------------- connections */

int backend_take(const struct backend_member *member)
{
    struct backend *backend = member->backend;
    unsigned max = member->pool->options->connections_max;
    uint32_t before = atomic_fetch_add_explicit(&backend->sessions, 1, memory_order_relaxed);
    if (max == 0 || before < max)
        return 0;
    backend_give(backend);
    return -EUSERS;
}

void backend_give(struct backend *backend)
{
    uint32_t before = atomic_fetch_sub_explicit(&backend->sessions, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
}

/* ---------------------------------------------------------------- alive */

static unsigned at_least_one(unsigned count)
{
    return count > 0 ? count : 1;
}

static void changed(struct core *core, const struct backend_member *member,
                    enum backend_protocol protocol, bool is_alive)
{
    struct backend *backend = member->backend;
    struct backend_health *health = &backend->health[protocol];
    const char *problem = atomic_load(&health->problem);
    atomic_store(&health->since_ns, core_now_ns(core));
    atomic_fetch_add(&backend->states->version, 1);
    struct event event;
    event_begin(&event, is_alive ? "backend_up" : "backend_down", is_alive ? "info" : "warning");
    event_text(&event, "pool", slice_cstr(backend->pool));
    event_text(&event, "backend", slice_cstr(backend->name));
    event_text(&event, "protocol", slice_cstr(backend_protocol_names[protocol]));
    if (!is_alive && problem != NULL)
        event_text(&event, "problem", slice_cstr(problem));
    core_log(core, &event);
    if (!atomic_exchange(&backend->hurries, true))
        core_post(core, backend->index % core_count(core), &backend->hurry);
}

void backend_worked(struct core *core, const struct backend_member *member,
                    enum backend_protocol protocol)
{
    struct backend_health *health = &member->backend->health[protocol];
    unsigned up_after = at_least_one(member->pool->options->up_after);
    uint32_t old = atomic_load_explicit(&health->word, memory_order_relaxed), new;
    if (old == 0) /* alive, and so it was */
        return;
    do {
        new = 0;
        if ((old & DEAD) && (old & SUCCESSES) / SUCCESS + 1 < up_after)
            new = old + SUCCESS;
    } while (!atomic_compare_exchange_weak(&health->word, &old, new));
    if ((old & DEAD) && !(new &DEAD))
        changed(core, member, protocol, true);
}

void backend_failed(struct core *core, const struct backend_member *member,
                    enum backend_protocol protocol, const char *problem, bool is_connect)
{
    struct backend *backend = member->backend;
    struct backend_health *health = &backend->health[protocol];
    unsigned down_after = at_least_one(member->pool->options->down_after);
    atomic_fetch_add_explicit(&backend->failures, 1, memory_order_relaxed);
    counter_add(core_counters(core), COUNTER_BACKEND_FAILURES, 1);
    atomic_store(&health->problem, problem);
    if (!is_connect || backend->is_elsewhere)
        return;
    uint64_t now_ns = core_now_ns(core);
    atomic_store(&health->retry_ns, now_ns + RETRY_NS);
    uint32_t old = atomic_load(&health->word), new;
    do {
        new = DEAD;
        if (!(old & DEAD) && (old & FAILURES) + 1 < down_after)
            new = old + FAILURE;
    } while (!atomic_compare_exchange_weak(&health->word, &old, new));
    if (!(old & DEAD) && (new &DEAD))
        changed(core, member, protocol, false);
}

bool backend_is_alive(const struct backend *backend, enum backend_protocol protocol)
{
    return !(atomic_load_explicit(&backend->health[protocol].word, memory_order_relaxed) & DEAD);
}

bool backend_is_up(const struct backend_member *member)
{
    for (unsigned i = 0; i < BACKEND_PROTOCOL_COUNT; i++)
        if (member->options->ports[i] != 0 && backend_is_alive(member->backend, i))
            return true;
    return false;
}

/* Something of it has failed lately, or is dead. */
bool backend_is_suspect(const struct backend_member *member)
{
    for (unsigned i = 0; i < BACKEND_PROTOCOL_COUNT; i++)
        if (atomic_load_explicit(&member->backend->health[i].word, memory_order_relaxed) != 0)
            return true;
    return false;
}

/* Dead, no checks: a log-in may try it once a second. */
static bool may_retry(const struct backend_member *member, enum backend_protocol protocol,
                      uint64_t now_ns)
{
    return member->pool->options->health_ms == 0 &&
           now_ns >= atomic_load_explicit(&member->backend->health[protocol].retry_ns,
                                          memory_order_relaxed);
}

bool backend_is_usable(const struct backend_member *member, enum backend_protocol protocol,
                       uint64_t now_ns)
{
    struct backend *backend = member->backend;
    if (backend->is_elsewhere)
        return true;
    return member->options->ports[protocol] != 0 && backend_will_of(backend) != BACKEND_DOWN &&
           (backend_is_alive(backend, protocol) || may_retry(member, protocol, now_ns));
}

uint64_t backend_dead_ns(const struct backend *backend)
{
    return atomic_load_explicit(&backend->dead_ns, memory_order_relaxed);
}

/* ---------------------------------------------------------------- log-ins under way */

static struct connecting *connecting_of(struct core *core, const struct backend *backend)
{
    struct backends *backends = backends_of(core);
    struct connecting **connecting = &backends->connecting[backend->index];
    if (*connecting == NULL)
        *connecting = calloc(1, sizeof **connecting);
    return *connecting;
}

void connecting_free(struct backends *backends)
{
    for (unsigned i = 0; i < BACKEND_STATES_MAX; i++) {
        assert(backends->connecting[i] == NULL || backends->connecting[i]->under_way == 0);
        free(backends->connecting[i]);
    }
}

/* One more may go there: it is alive, or this one is to find out. */
static bool passes(const struct backend_member *member, enum backend_protocol protocol,
                   uint64_t now_ns)
{
    struct backend *backend = member->backend;
    if (backend->is_elsewhere || backend_is_alive(backend, protocol))
        return true;
    _Atomic uint64_t *retry_ns = &backend->health[protocol].retry_ns;
    uint64_t old = atomic_load(retry_ns);
    return member->pool->options->health_ms == 0 && now_ns >= old &&
           atomic_compare_exchange_strong(retry_ns, &old, now_ns + RETRY_NS);
}

int connecting_take(struct core *core, const struct backend_member *member,
                    enum backend_protocol protocol, uint64_t deadline_ns)
{
    struct connecting *connecting = connecting_of(core, member->backend);
    unsigned max = member->pool->options->connecting_max;
    if (connecting == NULL)
        return -ENOMEM;
    if (!passes(member, protocol, core_now_ns(core)))
        return -EAGAIN;
    if (max == 0 || connecting->under_way < max) {
        connecting->under_way++;
        return 0;
    }
    if (deadline_ns == 0 || waiters_wait(core, &connecting->waiters, deadline_ns) < 0)
        return -ETIMEDOUT;
    /* The turn was handed over: under_way counts us already. */
    if (passes(member, protocol, core_now_ns(core)))
        return 0;
    connecting_give(core, member);
    return -EAGAIN;
}

void connecting_give(struct core *core, const struct backend_member *member)
{
    struct connecting *connecting = connecting_of(core, member->backend);
    assert(connecting != NULL && connecting->under_way > 0);
    if (connecting->waiters.first != NULL)
        waiters_wake_one(core, &connecting->waiters);
    else
        connecting->under_way--;
}

/* ---------------------------------------------------------------- what it said that it can */

enum { CAPABILITY_WORDS = (BACKEND_CAPABILITY_BYTES_MAX + 8) / 8 };

bool capabilities_get(const struct backend *backend, enum backend_protocol protocol,
                      char ret_text[BACKEND_CAPABILITY_BYTES_MAX + 1])
{
    const struct backend_health *health = &backend->health[protocol];
    for (unsigned attempt = 0; attempt < 1000; attempt++) {
        uint32_t count = atomic_load_explicit(&health->capability_count, memory_order_acquire);
        uint64_t words[CAPABILITY_WORDS];
        if (count == 0)
            return false;
        if (count & 1)
            continue;
        for (unsigned i = 0; i < CAPABILITY_WORDS; i++)
            words[i] = atomic_load_explicit(&health->capabilities[i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&health->capability_count, memory_order_relaxed) != count)
            continue;
        memcpy(ret_text, words, BACKEND_CAPABILITY_BYTES_MAX + 1);
        ret_text[BACKEND_CAPABILITY_BYTES_MAX] = '\0';
        return true;
    }
    return false; /* it is being written all the time: as if it had said nothing */
}

void capabilities_set(const struct backend_member *member, enum backend_protocol protocol,
                      struct slice text)
{
    struct backend_health *health = &member->backend->health[protocol];
    char before[BACKEND_CAPABILITY_BYTES_MAX + 1];
    uint64_t words[CAPABILITY_WORDS] = {0};
    text = slice_first(text, BACKEND_CAPABILITY_BYTES_MAX);
    if (capabilities_get(member->backend, protocol, before) &&
        slice_equal(slice_cstr(before), text))
        return;
    memcpy(words, text.data, text.size);
    uint32_t count = atomic_load_explicit(&health->capability_count, memory_order_relaxed);
    atomic_store_explicit(&health->capability_count, count + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (unsigned i = 0; i < CAPABILITY_WORDS; i++)
        atomic_store_explicit(&health->capabilities[i], words[i], memory_order_relaxed);
    count = count + 2 != 0 ? count + 2 : 2; /* 0 is for never */
    atomic_store_explicit(&health->capability_count, count, memory_order_release);
    atomic_fetch_add(&member->backend->states->version, 1);
}

/* ---------------------------------------------------------------- for the operator */

bool backend_info_get(struct core *core, unsigned index, struct backend_info *ret_info)
{
    const struct backends *backends = backends_of(core);
    if (backends == NULL || index >= backends->table->member_count)
        return false;
    unsigned pool = 0;
    for (; index >= backends->table->pools[pool].member_count; pool++)
        index -= backends->table->pools[pool].member_count;
    const struct backend_member *member = &backends->table->pools[pool].members[index];
    struct backend *backend = member->backend;
    uint64_t since_ns = atomic_load(&backends->states->opened_ns), now_ns = core_now_ns(core);
    const char *problem = NULL;
    struct backend_info info = {
        .pool = slice_cstr(backend->pool),
        .name = slice_cstr(backend->name),
        .weight = member->options->weight,
        .sessions = atomic_load(&backend->sessions),
        .users = atomic_load(&backend->users),
        .will = backend_will_of(backend),
        .is_alive = backend_is_up(member),
        .logins = atomic_load(&backend->logins),
        .failures = atomic_load(&backend->failures),
        .refused = atomic_load(&backend->refused),
    };
    for (unsigned i = 0; i < BACKEND_PROTOCOL_COUNT; i++) {
        uint64_t ns = atomic_load(&backend->health[i].since_ns);
        const char *last = atomic_load(&backend->health[i].problem);
        since_ns = ns > since_ns ? ns : since_ns;
        if (last != NULL && (problem == NULL || !backend_is_alive(backend, i)))
            problem = last;
    }
    info.state_ms = now_ns > since_ns ? (now_ns - since_ns) / 1000000 : 0;
    inet_ntop(member->options->family == 4 ? AF_INET : AF_INET6, member->options->address,
              info.address, sizeof info.address);
    snprintf(info.problem, sizeof info.problem, "%s", problem != NULL ? problem : "");
    *ret_info = info;
    return true;
}
