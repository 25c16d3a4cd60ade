/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checks: each backend is asked by one core (its index modulo the cores), about every health_ms, as
 * a log-in would ask it but without a user. Between checks there is a timer and no fiber. When all
 * is well a check asks one of its protocols, each in turn; when something has failed lately, also
 * in a log-in, it asks them all, and when something has changed it comes at once.
 *
 * What is our own want (memory, descriptors, fibers) is not held against a backend.
 *
 * A backend that refuses connections is dead for log-ins, but its kernel answers, and tells of
 * every session that has ended. One that says nothing at all is dead for its sessions, too
 * (backend_dead_ns).
 *
 * A check may outlast its table: it then counts as a user of that table's generation until it is
 * done, and is forgotten if the new table has no such backend.
 */
#include <stdlib.h>

#include "core_state.h"

enum { CHECKS_RUNNING_MAX = 64, FIRST_SPREAD_MS = 200 };

static const uint64_t AGAIN_NS = 20000000; /* no fiber was free */

static void count(struct check *check, bool is_up)
{
    if (check->is_counted != is_up)
        counter_add(core_counters(check->backends->core), COUNTER_BACKENDS_ALIVE, is_up ? 1 : -1);
    check->is_counted = is_up;
}

/* Of the member in use. */
static void look(struct check *check)
{
    struct core *core = check->backends->core;
    bool is_up = backend_is_up(check->member);
    count(check, is_up);
    if (is_up || !check->is_silent)
        atomic_store(&check->backend->dead_ns, 0);
    else if (atomic_load(&check->backend->dead_ns) == 0)
        atomic_store(&check->backend->dead_ns, core_now_ns(core));
}

/* Backends are not asked in step, and gateways neither: between 7/8 and 9/8 of it. */
static void schedule(struct check *check, uint64_t ms)
{
    struct core *core = check->backends->core;
    uint64_t chance, ns = ms * 1000000;
    core_random(core, &chance, sizeof chance);
    if (check->member->pool->options->health_ms != 0)
        timer_set(core, &check->timer, core_now_ns(core) + ns - ns / 8 + chance % (ns / 4 + 1));
}

/* ---------------------------------------------------------------- one check */

/* False: nothing came, in all the time that there was. */
static bool ask(struct core *core, const struct backend_member *member,
                enum backend_protocol protocol)
{
    char capabilities[BACKEND_CAPABILITY_BYTES_MAX + 1] = "";
    const char *problem = NULL;
    uint64_t deadline_ns = core_now_ns(core) + member->pool->options->connect_ms_max * 1000000;
    counter_add(core_counters(core), COUNTER_BACKEND_CHECKS, 1);
    int result = backend_probe(core, member, protocol, deadline_ns, capabilities, &problem);
    if (result == 0) {
        capabilities_set(member, protocol, slice_cstr(capabilities));
        backend_worked(core, member, protocol);
    } else if (result != -ENOMEM && result != -ENFILE && result != -EMFILE) {
        backend_failed(core, member, protocol, problem != NULL ? problem : "failed", true);
    }
    return result == 0 || core_now_ns(core) < deadline_ns;
}

static void ask_some(struct check *check, const struct backend_member *member)
{
    struct core *core = check->backends->core;
    bool asks_all = check->is_first || backend_is_suspect(member), is_heard = false;
    check->is_first = false;
    for (unsigned i = 0; i < BACKEND_PROTOCOL_COUNT; i++) {
        unsigned protocol = (check->next_protocol + i) % BACKEND_PROTOCOL_COUNT;
        if (member->options->ports[protocol] == 0 || check->backends->is_closing)
            continue;
        is_heard |= ask(core, member, protocol);
        if (asks_all)
            continue;
        check->next_protocol = (protocol + 1) % BACKEND_PROTOCOL_COUNT;
        break;
    }
    check->is_silent = !is_heard;
}

static void check_run(void *argument)
{
    struct check *check = argument;
    struct backends *backends = check->backends;
    struct generation *generation = check->asked->pool->table->generation;
    ask_some(check, check->asked);
    generation_leave(generation);
    check->is_running = false;
    backends->checks_running--;
    if (check->is_removed) {
        free(check);
    } else {
        look(check);
        if (!backends->is_closing)
            schedule(check, check->member->pool->options->health_ms);
    }
    waiters_wake_all(backends->core, &backends->checks_ended);
}

/* The timer of a check that runs is never set. */
static void check_due(struct timer *timer)
{
    struct check *check = (struct check *)((char *)timer - offsetof(struct check, timer));
    struct backends *backends = check->backends;
    if (backends->checks_running >= backends->checks_running_max ||
        fiber_start(backends->core, check_run, check) < 0) {
        timer_set(backends->core, timer, core_now_ns(backends->core) + AGAIN_NS);
        return;
    }
    check->asked = check->member;
    generation_enter(check->asked->pool->table->generation);
    check->is_running = true;
    backends->checks_running++;
}

/* Some core found a change: the gauge follows, and what is dead is asked for more at once. */
void check_hurried(struct core *core, struct message *message)
{
    struct backend *backend = (struct backend *)((char *)message - offsetof(struct backend, hurry));
    struct backends *backends = backends_of(core);
    atomic_store(&backend->hurries, false);
    if (backends == NULL || backends->is_closing)
        return;
    struct check *check = backends->checks;
    while (check != NULL && check->backend != backend)
        check = check->next;
    if (check == NULL || check->member == NULL)
        return;
    look(check);
    if (!check->is_running && check->member->pool->options->health_ms != 0 &&
        backend_is_suspect(check->member))
        timer_set(core, &check->timer, core_now_ns(core));
}

/* ---------------------------------------------------------------- which checks there are */

static const struct backend_member *member_in(const struct backend_table *table,
                                              const struct backend *backend)
{
    const struct backend_member *member = NULL;
    for (unsigned i = 0; i < table->pool_count && member == NULL; i++)
        member = pool_member_of(&table->pools[i], backend);
    return member;
}

static bool has_check(const struct backends *backends, const struct backend *backend)
{
    for (const struct check *check = backends->checks; check != NULL; check = check->next)
        if (check->backend == backend)
            return true;
    return false;
}

static int check_make(struct backends *backends, struct backend *backend)
{
    if (backend->index % core_count(backends->core) != core_index(backends->core) ||
        has_check(backends, backend))
        return 0;
    struct check *check = calloc(1, sizeof *check);
    if (check == NULL)
        return -ENOMEM;
    check->backends = backends;
    check->backend = backend;
    check->is_first = true;
    check->timer.fire = check_due;
    check->next = backends->checks;
    backends->checks = check;
    return 0;
}

static void check_end(struct check *check)
{
    timer_clear(check->backends->core, &check->timer);
    count(check, false);
    check->is_removed = true;
    if (!check->is_running)
        free(check);
}

int checks_prepare(struct backends *backends, const struct backend_table *table)
{
    int result = 0;
    backends->checks_running_max = core_fibers_max(backends->core) / 4;
    if (backends->checks_running_max > CHECKS_RUNNING_MAX)
        backends->checks_running_max = CHECKS_RUNNING_MAX;
    if (backends->checks_running_max == 0)
        backends->checks_running_max = 1;
    for (unsigned i = 0; i < table->pool_count; i++)
        for (unsigned k = 0; k < table->pools[i].member_count && result == 0; k++)
            result = check_make(backends, table->pools[i].members[k].backend);
    return result;
}

static void check_adopt(struct check *check, const struct backend_member *member)
{
    uint64_t health_ms = member->pool->options->health_ms;
    bool is_new = check->member == NULL;
    check->member = member;
    check->is_silent &= health_ms != 0;
    look(check);
    if (check->is_running)
        return;
    if (is_new)
        schedule(check, health_ms < FIRST_SPREAD_MS ? health_ms : FIRST_SPREAD_MS);
    else if (health_ms == 0)
        timer_clear(check->backends->core, &check->timer);
    else
        schedule(check, health_ms);
}

void checks_adopt(struct backends *backends, const struct backend_table *table)
{
    for (struct check **at = &backends->checks, *check; (check = *at) != NULL;) {
        const struct backend_member *member = member_in(table, check->backend);
        if (member != NULL) {
            check_adopt(check, member);
            at = &check->next;
        } else {
            *at = check->next;
            check_end(check);
        }
    }
}

void checks_close(struct backends *backends)
{
    backends->is_closing = true;
    for (struct check *check; (check = backends->checks) != NULL;) {
        backends->checks = check->next;
        check_end(check);
    }
    while (backends->checks_running > 0)
        waiters_wait(backends->core, &backends->checks_ended, 0);
}
