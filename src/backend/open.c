/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a core keeps of backends: opened once, adopts each new table, closed when no link is left.
 * It owns the core's TLS clients, one for each pool, which are made in the core's turn because the
 * library wants a large stack.
 */
#include <stdlib.h>

#include "core_state.h"
#include "ringpost/words.h"

/* What belongs to one table on one core. */
struct lot {
    struct tls_client **tls_clients;
    struct resume **resume;
    struct capabilities *(*common)[BACKEND_PROTOCOL_COUNT];
};

static void lot_free(struct lot *lot, const struct backend_table *table)
{
    unsigned pool_count = table->pool_count;
    for (unsigned i = 0; i < pool_count; i++) {
        if (lot->tls_clients != NULL && lot->tls_clients[i] != NULL)
            tls_client_free(lot->tls_clients[i]);
        for (unsigned k = 0; lot->common != NULL && k < BACKEND_PROTOCOL_COUNT; k++)
            free(lot->common[i][k]);
    }
    resume_free(lot->resume, table->member_count);
    free(lot->tls_clients);
    free(lot->common);
}

/* NULL in *ret_client where nothing of the pool is encrypted, unless a directory may ask for it. */
static int client_make(struct core *core, const struct backend_pool_options *pool,
                       struct tls_client **ret_client)
{
    struct tls_client_options options = {.ca = pool->tls_ca,
                                         .pins = pool->pins,
                                         .pin_count = pool->pin_count,
                                         .pair = pool->tls_pair};
    bool is_used = pool->any_address;
    for (unsigned i = 0; i < BACKEND_PROTOCOL_COUNT; i++)
        is_used = is_used || pool->tls[i] != BACKEND_CLEAR;
    return is_used ? tls_client_make(core, &options, ret_client) : 0;
}

static int lot_make(struct core *core, const struct backend_table *table, struct lot *ret_lot)
{
    struct lot lot = {
        .tls_clients = calloc(table->pool_count + 1, sizeof *lot.tls_clients),
        .resume = calloc(table->member_count * BACKEND_PROTOCOL_COUNT + 1, sizeof *lot.resume),
        .common = calloc(table->pool_count + 1, sizeof *lot.common),
    };
    bool is_made = lot.tls_clients != NULL && lot.resume != NULL && lot.common != NULL;
    int result = is_made ? 0 : -ENOMEM;
    for (unsigned i = 0; i < table->pool_count && result == 0; i++)
        result = client_make(core, table->pools[i].options, &lot.tls_clients[i]);
    if (result < 0)
        lot_free(&lot, table);
    else
        *ret_lot = lot;
    return result;
}

int backends_adopt(struct core *core, const struct backend_table *table)
{
    struct backends *backends = backends_of(core);
    struct lot lot = {0}, old = {backends->tls_clients, backends->resume, backends->common};
    int result = lot_make(core, table, &lot);
    if (result < 0)
        return result;
    result = checks_prepare(backends, table);
    if (result < 0) {
        if (backends->table != NULL)
            checks_adopt(backends, backends->table); /* the new ones go again */
        lot_free(&lot, table);
        return result;
    }
    checks_adopt(backends, table);
    if (backends->table != NULL)
        lot_free(&old, backends->table);
    backends->tls_clients = lot.tls_clients;
    backends->resume = lot.resume;
    backends->common = lot.common;
    backends->table = table;
    return 0;
}

struct opening {
    struct message message;
    const struct backend_table *table;
    struct fiber *fiber;
    int result;
};

static void adopt_first(struct core *core, struct message *message)
{
    struct opening *opening = (struct opening *)message;
    opening->result = backends_adopt(core, opening->table);
    fiber_wake(core, opening->fiber);
}

static void backends_free(struct backends *backends)
{
    connecting_free(backends);
    free(backends->common_of_others);
    free(backends);
}

int backends_open(struct core *core, struct backend_states *states,
                  const struct backend_table *table)
{
    struct backends *backends = calloc(1, sizeof *backends);
    struct opening opening = {
        .message.handle = adopt_first, .table = table, .fiber = fiber_current(core)};
    uint64_t never = 0;
    if (backends == NULL)
        return -ENOMEM;
    backends->core = core;
    backends->states = states;
    atomic_compare_exchange_strong(&states->opened_ns, &never, core_now_ns(core));
    core_local_set(core, CORE_LOCAL_BACKEND, backends);
    core_post(core, core_index(core), &opening.message);
    fiber_park(core);
    if (opening.result < 0) {
        checks_close(backends);
        core_local_set(core, CORE_LOCAL_BACKEND, NULL);
        backends_free(backends);
        return opening.result;
    }
    users_open(backends);
    exceptions_open(backends);
    return 0;
}

void backends_close(struct core *core)
{
    struct backends *backends = backends_of(core);
    if (backends == NULL)
        return;
    checks_close(backends);
    users_close(backends);
    exceptions_close(backends);
    struct lot lot = {backends->tls_clients, backends->resume, backends->common};
    lot_free(&lot, backends->table);
    core_local_set(core, CORE_LOCAL_BACKEND, NULL);
    backends_free(backends);
}

struct tls_client *backend_tls_client(struct core *core, const struct backend_pool *pool)
{
    const struct backends *backends = backends_of(core);
    if (pool->table != backends->table)
        pool = backend_pool_find(backends->table, pool->options->name);
    return pool != NULL ? backends->tls_clients[pool->index] : NULL;
}

/* ---------------------------------------------------------------- capabilities in common */

static void find_common(const struct backend_pool *pool, enum backend_protocol protocol, char *text)
{
    char said[BACKEND_CAPABILITY_BYTES_MAX + 1];
    bool is_first = true;
    text[0] = '\0';
    for (unsigned i = 0; i < pool->member_count; i++) {
        const struct backend_member *member = &pool->members[i];
        if (member->options->ports[protocol] == 0 || !backend_is_alive(member->backend, protocol) ||
            !capabilities_get(member->backend, protocol, said))
            continue;
        if (is_first)
            memcpy(text, said, sizeof said);
        else
            text[words_common(text, strlen(text), slice_cstr(said))] = '\0';
        is_first = false;
    }
}

struct slice backend_capabilities(struct core *core, const struct backend_pool *pool,
                                  enum backend_protocol protocol)
{
    struct backends *backends = backends_of(core);
    bool is_ours = pool->table == backends->table;
    struct capabilities **common =
        is_ours ? &backends->common[pool->index][protocol] : &backends->common_of_others;
    uint32_t version = atomic_load(&backends->states->version);
    if (*common == NULL)
        *common = calloc(1, sizeof **common);
    if (*common == NULL)
        return SLICE("");
    if (!is_ours || !(*common)->is_known || (*common)->version != version) {
        (*common)->version = version;
        (*common)->is_known = true;
        find_common(pool, protocol, (*common)->text);
    }
    return slice_cstr((*common)->text);
}
