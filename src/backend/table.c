/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tables of pools and their backends, made of one reading of the config and never changed, and the
 * states beneath them, which are found again by pool and name and go on. States are not freed while
 * the process lives: links, users' rows and log-ins of older configs point at them. So there is a
 * maximum of different names, which only a config that invents new ones each time would reach.
 *
 * Tables are made by one thread at a time, which is the start's or the reload's; cores see a state
 * only through a table that is handed to them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core_state.h"

const char *const backend_protocol_names[BACKEND_PROTOCOL_COUNT] = {
    [BACKEND_IMAP] = "imap",   [BACKEND_POP3] = "pop3", [BACKEND_SUBMISSION] = "submission",
    [BACKEND_SIEVE] = "sieve", [BACKEND_LMTP] = "lmtp",
};

/* ---------------------------------------------------------------- states */

int backend_states_make(unsigned core_count, struct backend_states **ret_states)
{
    struct backend_states *states = calloc(1, sizeof *states);
    if (states == NULL)
        return -ENOMEM;
    states->core_count = core_count;
    *ret_states = states;
    return 0;
}

void backend_states_free(struct backend_states *states)
{
    for (unsigned i = 0; states != NULL && i < BACKEND_STATE_SLOTS; i++)
        free(states->slots[i]);
    free(states);
}

static uint64_t hash_of_names(struct slice pool, struct slice name)
{
    char both[BACKEND_NAME_BYTES_MAX * 2 + 1];
    memcpy(both, pool.data, pool.size);
    both[pool.size] = '/';
    memcpy(both + pool.size + 1, name.data, name.size);
    return hash_stable(both, pool.size + 1 + name.size);
}

/* NULL with *ret_problem when there is no room. */
static struct backend *state_of(struct backend_states *states, struct slice pool, struct slice name,
                                uint64_t hash, int *ret_error)
{
    uint32_t at = (uint32_t)hash & (BACKEND_STATE_SLOTS - 1);
    for (struct backend *there; (there = states->slots[at]) != NULL;) {
        if (slice_equal(pool, slice_cstr(there->pool)) &&
            slice_equal(name, slice_cstr(there->name)))
            return there;
        at = (at + 1) & (BACKEND_STATE_SLOTS - 1);
    }
    if (states->count >= BACKEND_STATES_MAX) {
        *ret_error = -EINVAL;
        return NULL;
    }
    struct backend *backend = calloc(1, sizeof *backend);
    if (backend == NULL) {
        *ret_error = -ENOMEM;
        return NULL;
    }
    memcpy(backend->pool, pool.data, pool.size);
    memcpy(backend->name, name.data, name.size);
    backend->states = states;
    backend->index = states->count++;
    backend->hurry.handle = check_hurried;
    states->slots[at] = backend;
    return backend;
}

/* ---------------------------------------------------------------- checking */

struct checking {
    void (*problem)(void *argument, const char *what);
    void *argument;
    unsigned problems;
};

static void say(struct checking *checking, const struct backend_pool_options *pool,
                const struct backend_options *backend, const char *what)
{
    char text[BACKEND_NAME_BYTES_MAX * 2 + 200];
    struct slice of = slice_first(pool->name, BACKEND_NAME_BYTES_MAX);
    struct slice name =
        backend != NULL ? slice_first(backend->name, BACKEND_NAME_BYTES_MAX) : SLICE("");
    snprintf(text, sizeof text, "pool %.*s%s%.*s: %s", (int)of.size, of.size ? of.data : "",
             backend != NULL ? ", backend " : "", (int)name.size, name.size ? name.data : "", what);
    checking->problems++;
    if (checking->problem != NULL)
        checking->problem(checking->argument, text);
}

/* POOL/NAME must be told apart, and stand in log lines and commands. */
static bool is_name(struct slice name)
{
    if (name.size == 0 || name.size > BACKEND_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] <= ' ' || name.data[i] > '~' || name.data[i] == '/')
            return false;
    return true;
}

static void check_backend(struct checking *checking, const struct backend_pool_options *pool,
                          unsigned index)
{
    const struct backend_options *backend = &pool->backends[index];
    bool has_port = false;
    if (!is_name(backend->name) || slice_equal(backend->name, SLICE("*")))
        say(checking, pool, backend, "a name is 1 to 63 printable letters without blanks and /");
    for (unsigned i = 0; i < index; i++)
        if (slice_equal(pool->backends[i].name, backend->name))
            say(checking, pool, backend, "another backend of the pool has this name");
    if (backend->family != 4 && backend->family != 6)
        say(checking, pool, backend, "it has no address");
    if (backend->weight > BACKEND_WEIGHT_MAX)
        say(checking, pool, backend, "its weight is above 65535");
    for (unsigned i = 0; i < BACKEND_PROTOCOL_COUNT; i++)
        has_port = has_port || backend->ports[i] != 0;
    if (!has_port)
        say(checking, pool, backend, "it serves no protocol: no port is set");
    if (backend->host.size > TLS_NAME_BYTES_MAX)
        say(checking, pool, backend, "its host name is too long");
}

static void check_pool(struct checking *checking, const struct backend_pool_options *pools,
                       unsigned index)
{
    const struct backend_pool_options *pool = &pools[index];
    if (!is_name(pool->name))
        say(checking, pool, NULL, "a name is 1 to 63 printable letters without blanks and /");
    for (unsigned i = 0; i < index; i++)
        if (slice_equal(pools[i].name, pool->name))
            say(checking, pool, NULL, "another pool has this name");
    if (pool->backend_count == 0 && !pool->any_address)
        say(checking, pool, NULL, "it has no backends");
    if (pool->login == BACKEND_LOGIN_MASTER && pool->master_password.size == 0)
        say(checking, pool, NULL, "a master has no password");
    if (pool->login == BACKEND_LOGIN_MASTER && pool->master_user.size == 0)
        say(checking, pool, NULL, "a master has no name");
    if (pool->judges && pool->login != BACKEND_LOGIN_FORWARD)
        say(checking, pool, NULL, "backends judge passwords only when they are forwarded");
    if (pool->source_count > BACKEND_SOURCES_MAX)
        say(checking, pool, NULL, "it has too many source addresses");
    if (pool->pin_count > BACKEND_PINS_MAX)
        say(checking, pool, NULL, "it has too many pins");
    if (pool->connect_ms_max == 0 || pool->login_ms_max == 0)
        say(checking, pool, NULL, "attempts to connect and log-ins need a maximum of time");
    if (pool->down_after > 100 || pool->up_after > 100)
        say(checking, pool, NULL, "more than 100 checks in a row are not counted");
    for (unsigned i = 0; i < pool->backend_count; i++)
        check_backend(checking, pool, i);
}

/* ---------------------------------------------------------------- making */

static int member_make(struct backend_states *states, const struct backend_pool *pool,
                       const struct backend_options *options, struct backend_member *ret_member)
{
    int error = 0;
    ret_member->options = options;
    ret_member->pool = pool;
    ret_member->hash = hash_of_names(pool->options->name, options->name);
    ret_member->backend =
        state_of(states, pool->options->name, options->name, ret_member->hash, &error);
    return error;
}

static const struct backend_options options_elsewhere = {.name = {"*", 1}};

static int members_make(struct backend_states *states, struct backend_table *table,
                        const struct backend_pool_options *pools)
{
    int result = 0;
    struct backend_member *next = table->members;
    for (unsigned i = 0; i < table->pool_count; i++) {
        struct backend_pool *pool = &table->pools[i];
        *pool = (struct backend_pool){
            .options = &pools[i],
            .table = table,
            .members = next,
            .member_count = pools[i].backend_count,
            .index = i,
            .hash = hash_stable(pools[i].name.data, pools[i].name.size),
        };
        for (unsigned k = 0; k < pools[i].backend_count && result == 0; k++)
            result = member_make(states, pool, &pools[i].backends[k], next++);
        if (pools[i].any_address && result == 0) { /* behind the members, and none of them */
            pool->elsewhere = next++;
            result = member_make(states, pool, &options_elsewhere, pool->elsewhere);
            if (result == 0)
                pool->elsewhere->backend->is_elsewhere = true;
        }
    }
    return result;
}

int backend_table_make(struct backend_states *states, const struct backend_pool_options *pools,
                       unsigned count, void (*problem)(void *argument, const char *what),
                       void *argument, struct backend_table **ret_table)
{
    struct checking checking = {.problem = problem, .argument = argument};
    unsigned members = 0;
    for (unsigned i = 0; i < count; i++)
        members += pools[i].backend_count;
    if (count > BACKEND_POOLS_MAX || members > BACKENDS_MAX) {
        if (problem != NULL)
            problem(argument, "too many pools or backends");
        return -EINVAL;
    }
    for (unsigned i = 0; i < count; i++)
        check_pool(&checking, pools, i);
    if (checking.problems > 0)
        return -EINVAL;
    struct backend_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return -ENOMEM;
    table->states = states;
    table->pool_count = count;
    table->member_count = members;
    table->pools = calloc(count + 1, sizeof *table->pools);
    table->members = calloc(members + count + 1, sizeof *table->members);
    int result = -ENOMEM;
    if (table->pools != NULL && table->members != NULL)
        result = members_make(states, table, pools);
    if (result < 0) {
        if (result == -EINVAL && problem != NULL)
            problem(argument, "too many different backends since the start: start anew");
        backend_table_free(table);
        return result;
    }
    *ret_table = table;
    return 0;
}

void backend_table_free(struct backend_table *table)
{
    if (table == NULL)
        return;
    free(table->members);
    free(table->pools);
    free(table);
}

void backend_table_count(struct backend_table *table, struct generation *generation)
{
    table->generation = generation;
}

/* ---------------------------------------------------------------- finding */

const struct backend_pool *backend_pool_find(const struct backend_table *table, struct slice name)
{
    for (unsigned i = 0; i < table->pool_count; i++)
        if (slice_equal(table->pools[i].options->name, name))
            return &table->pools[i];
    return NULL;
}

const struct backend_pool_options *backend_pool_options_of(const struct backend_pool *pool)
{
    return pool->options;
}

const struct backend_member *pool_member_named(const struct backend_pool *pool, struct slice name)
{
    size_t slash = slice_find(name, '/');
    if (slash < name.size) {
        if (!slice_equal(slice_first(name, slash), pool->options->name))
            return NULL;
        name = slice_from(name, slash + 1);
    }
    for (unsigned i = 0; i < pool->member_count; i++)
        if (slice_equal(pool->members[i].options->name, name))
            return &pool->members[i];
    return NULL;
}

const struct backend_member *pool_member_at(const struct backend_pool *pool, unsigned family,
                                            const uint8_t address[16])
{
    size_t size = family == 4 ? 4 : 16;
    for (unsigned i = 0; i < pool->member_count; i++) {
        const struct backend_options *options = pool->members[i].options;
        if (options->family == family && memcmp(options->address, address, size) == 0)
            return &pool->members[i];
    }
    return NULL;
}

const struct backend_member *pool_member_of(const struct backend_pool *pool,
                                            const struct backend *backend)
{
    for (unsigned i = 0; i < pool->member_count; i++)
        if (pool->members[i].backend == backend)
            return &pool->members[i];
    return pool->elsewhere != NULL && pool->elsewhere->backend == backend ? pool->elsewhere : NULL;
}

int member_find(const struct backend_table *table, struct slice name,
                const struct backend_member **ret_member)
{
    const struct backend_member *found = NULL;
    for (unsigned i = 0; i < table->pool_count; i++) {
        const struct backend_member *member = pool_member_named(&table->pools[i], name);
        if (member != NULL && found != NULL)
            return -EEXIST;
        if (member != NULL)
            found = member;
    }
    if (found == NULL)
        return -ENOENT;
    *ret_member = found;
    return 0;
}

/* ---------------------------------------------------------------- the operator */

int backend_find(struct core *core, struct slice name, const struct backend **ret_backend)
{
    const struct backends *backends = backends_of(core);
    const struct backend_member *member;
    int result = backends != NULL ? member_find(backends->table, name, &member) : -ENOENT;
    if (result == 0)
        *ret_backend = member->backend;
    return result;
}

int backend_will_set(struct core *core, struct slice name, enum backend_will will)
{
    static const char *const names[] = {"up", "drain", "down"};
    const struct backends *backends = backends_of(core);
    const struct backend_member *member;
    int result = backends != NULL ? member_find(backends->table, name, &member) : -ENOENT;
    if (result < 0)
        return result;
    struct backend *backend = member->backend;
    if (atomic_exchange(&backend->will, (uint32_t)will) == (uint32_t)will)
        return 0;
    struct event event;
    event_begin(&event, "backend_will", "info");
    event_text(&event, "pool", slice_cstr(backend->pool));
    event_text(&event, "backend", slice_cstr(backend->name));
    event_text(&event, "will", slice_cstr(names[will]));
    core_log(core, &event);
    return 0;
}

enum backend_will backend_will_of(const struct backend *backend)
{
    return (enum backend_will)atomic_load_explicit(&backend->will, memory_order_relaxed);
}

struct slice backend_name(const struct backend *backend)
{
    return slice_cstr(backend->name);
}

struct slice backend_pool_name(const struct backend *backend)
{
    return slice_cstr(backend->pool);
}
