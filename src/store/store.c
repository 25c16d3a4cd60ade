/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The store on one core: which shards it has, and who belongs where.
 *
 *   user ─ hash_stable ─▶ shard (of shard_count, for ever) ─ modulo cores ─▶ core
 *
 * Core 0 makes or reads the identity; the others ask it, and wait for it if they are early.
 */
#include <stdio.h>

#include "store_private.h"

static const uint64_t EARLY_NS = UINT64_C(10000000), EARLY_MAX_NS = UINT64_C(30000000000);

struct shard *store_shard(struct store *store, unsigned number)
{
    for (unsigned i = 0; i < store->own_count; i++)
        if (store->own[i]->number == number)
            return store->own[i];
    return NULL;
}

unsigned store_shard_of(const struct store *store, struct slice user)
{
    return (unsigned)(hash_stable(user.data, user.size) % store->shard_count);
}

unsigned store_home_core(struct core *core, struct slice user)
{
    const struct store *store = store_of(core);
    uint32_t shard =
        store != NULL ? store_shard_of(store, user) : (uint32_t)hash_stable(user.data, user.size);
    return shard % core_count(core);
}

int store_state(struct core *core)
{
    const struct store *store = store_of(core);
    if (store == NULL)
        return -ENODEV;
    for (unsigned i = 0; i < store->own_count; i++) {
        int result = log_state(store->own[i]->log);
        if (result < 0)
            return result;
    }
    return 0;
}

static void say(struct core *core, const char *what, const char *where, int result)
{
    struct event event;
    event_begin(&event, "store", "error");
    event_text(&event, "what", slice_cstr(what));
    event_text(&event, "where", slice_cstr(where));
    event_number(&event, "error", -result);
    core_log(core, &event);
}

/* ---------------------------------------------------------------- opening */

struct identity {
    uint64_t id;
    unsigned shard_count;
};

static int identity_ask(struct core *core_0, void *argument)
{
    struct identity *identity = argument;
    const struct store *store = store_of(core_0);
    if (store == NULL)
        return -EAGAIN;
    *identity = (struct identity){store->id, store->shard_count};
    return 0;
}

static int identity_get(struct core *core, struct store *store)
{
    struct identity identity = {0};
    int result;
    if (core_index(core) == 0) {
        result = kernel_directory_make(core_kernel(core), store->directory, 0700);
        if (result == 0)
            result = identity_open(core, store->directory, store->options.shard_count, &identity.id,
                                   &identity.shard_count);
    } else {
        uint64_t until = core_now_ns(core) + EARLY_MAX_NS;
        while ((result = core_call(core, 0, identity_ask, &identity)) == -EAGAIN &&
               core_now_ns(core) < until)
            fiber_sleep(core, EARLY_NS);
    }
    store->id = identity.id;
    store->shard_count = identity.shard_count;
    return result;
}

static int shards_open(struct store *store)
{
    unsigned cores = core_count(store->core), index = core_index(store->core);
    unsigned most = store->shard_count / cores + 1;
    store->own = calloc(most, sizeof *store->own);
    if (store->own == NULL)
        return -ENOMEM;
    for (unsigned number = index; number < store->shard_count; number += cores) {
        struct shard *shard;
        int result = shard_open(store, number, &shard);
        if (result < 0) {
            char where[STORE_PATH_BYTES_MAX + 32];
            shard_directory(store->directory, store->id, number, where);
            say(store->core, "cannot open shard", where, result);
            return result;
        }
        store->own[store->own_count++] = shard;
    }
    return 0;
}

int store_open(struct core *core, const struct store_options *options)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return -ENOMEM;
    store->core = core;
    store->options = *options;
    int size = snprintf(store->directory, sizeof store->directory, "%s", options->directory);
    int result = size < 0 || (size_t)size >= sizeof store->directory ? -ENAMETOOLONG : 0;
    if (result == 0)
        result = identity_get(core, store);
    if (result < 0) {
        say(core,
            result == -EWOULDBLOCK ? "another process has the store open"
            : result == -EPROTO    ? "made by a newer version of this program"
            : result == -EBADMSG   ? "the file identity is damaged"
                                   : "cannot open the store",
            options->directory, result);
        free(store);
        return result;
    }
    core_local_set(core, CORE_LOCAL_STORE, store);
    result = shards_open(store);
    if (result < 0) {
        store_close(core);
        return result;
    }
    for (unsigned i = 0; i < store->own_count && result == 0; i++)
        result = background_start(store->own[i]);
    if (result < 0)
        store_close(core);
    return result;
}

int store_open_bodies(struct core *core)
{
    return log_bodies_open(core);
}

void store_close(struct core *core)
{
    struct store *store = store_of(core);
    log_bodies_close(core);
    if (store == NULL)
        return;
    while (store->own_count > 0) {
        struct shard *shard = store->own[store->own_count - 1];
        shard_close(shard);
        store->own_count--;
    }
    core_local_set(core, CORE_LOCAL_STORE, NULL);
    free(store->own);
    free(store);
}
