/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What log_store.h says. Bodies and metas come from the oracle; its memory survives crashes.
 */
#include "log_store.h"

#include <stdio.h>

void store_begin(struct log_store *store, struct oracle *oracle, uint64_t seed)
{
    struct sim_options options;
    sim_options_calm(&options, seed);
    options.engine.fibers_max = 16;
    options.engine.connections_max = 4;
    options.engine.buffers = 2;
    *store = (struct log_store){.sim = sim_create(&options),
                                .oracle = oracle,
                                .options = {.directory = "/s",
                                            .shard = 5,
                                            .store_id = 0x0123456789abcdef,
                                            .segment_bytes = 65536,
                                            .spare_segments = 1}};
    oracle_begin(oracle, store->sim);
    sim_file_patch(store->sim, "/s/made", 0, "", 1);
}

void store_end(struct log_store *store)
{
    sim_destroy(store->sim);
    store->sim = NULL;
}

int store_run(struct log_store *store, int (*fn)(struct core *core, void *argument), void *argument)
{
    int result = sim_run(store->sim, 0, fn, argument);
    if (!sim_is_up(store->sim))
        store->log = NULL;
    return result;
}

static int open_body(struct core *core, void *argument)
{
    struct log_store *store = argument;
    return log_open(core, &store->options, store->oracle->from, oracle_replay, store->oracle,
                    &store->log);
}

int store_open(struct log_store *store)
{
    if (!sim_is_up(store->sim) && sim_start(store->sim) < 0)
        return -ENOMEM;
    store->log = NULL;
    oracle_life(store->oracle);
    int result = store_run(store, open_body, store);
    if (result == 0)
        oracle_recovered(store->oracle);
    return result;
}

static int close_body(struct core *core, void *argument)
{
    (void)core;
    struct log_store *store = argument;
    log_close(store->log);
    store->log = NULL;
    return 0;
}

int store_close(struct log_store *store)
{
    int result = store->log != NULL ? store_run(store, close_body, store) : 0;
    return result == 0 ? sim_stop(store->sim) : result;
}

/* ---------------------------------------------------------------- appends */

enum { TOGETHER_MAX = 8 };
struct sending {
    struct log_append append;
    struct sendings *all;
    uint32_t id;
    char meta[ORACLE_META_MAX];
};
struct sendings {
    struct log_store *store;
    struct core *core;
    struct fiber *fiber;
    unsigned count, open;
    uint32_t body_size, meta_size;
    bool together, waits;
    struct sending each[TOGETHER_MAX];
};

static void sending_done(struct log_append *append, int result)
{
    struct sending *sending = (struct sending *)append;
    struct sendings *all = sending->all;
    all->store->answer = result;
    oracle_answer(all->store->oracle, sending->id, result);
    if (--all->open == 0 && all->waits)
        fiber_wake(all->core, all->fiber);
}

static int send_one(struct sendings *all, struct sending *sending)
{
    struct log_store *store = all->store;
    struct log_body *body = NULL;
    if (all->body_size > 0) {
        body = log_body_take(all->core, all->body_size);
        if (body == NULL)
            return -ENOMEM;
    }
    uint32_t id = oracle_new(store->oracle, body != NULL ? LOG_RECORD_MESSAGE : LOG_RECORD_EVENTS,
                             all->body_size, all->meta_size);
    for (size_t at = 0, room; at < all->body_size; at += room) {
        char *to = log_body_room(body, all->body_size - at, &room);
        if (to == NULL) {
            log_body_give(body);
            return -ENOMEM;
        }
        char *whole = sim_keep_alloc(all->body_size);
        oracle_body(id, whole, all->body_size);
        memcpy(to, whole + at, room);
        sim_keep_free(whole);
        log_body_added(body, room);
    }
    oracle_meta(store->oracle, id, sending->meta);
    sending->all = all;
    sending->id = id;
    sending->append = (struct log_append){.type = store->oracle->entries[id].type,
                                          .urgent = body == NULL,
                                          .body = body,
                                          .meta = slice_of(sending->meta, all->meta_size),
                                          .done = sending_done};
    all->open++;
    log_append(store->log, &sending->append);
    oracle_sent(store->oracle, id, &sending->append);
    return 0;
}

static int append_body(struct core *core, void *argument)
{
    struct sendings all = *(struct sendings *)argument;
    all.core = core;
    all.fiber = fiber_current(core);
    all.store->answer = 0;
    int result = 0;
    for (unsigned i = 0; i < all.count && result == 0 && all.store->answer == 0; i++) {
        result = send_one(&all, &all.each[all.together ? i : 0]);
        all.waits = !all.together || i + 1 == all.count;
        if (all.waits && all.open > 0)
            fiber_park(core);
    }
    all.waits = true;
    if (all.open > 0)
        fiber_park(core);
    return result < 0 ? result : all.store->answer;
}

static int append(struct log_store *store, struct sendings *all)
{
    all->store = store;
    return store_run(store, append_body, all);
}

int store_append(struct log_store *store, unsigned count, uint32_t body_size, uint32_t meta_size)
{
    struct sendings all = {.count = count, .body_size = body_size, .meta_size = meta_size};
    return append(store, &all);
}

int store_append_together(struct log_store *store, unsigned count, uint32_t body_size,
                          uint32_t meta_size)
{
    struct sendings all = {
        .count = count, .body_size = body_size, .meta_size = meta_size, .together = true};
    return append(store, &all);
}

/* ---------------------------------------------------------------- drops, reads */

struct drop {
    struct log_store *store;
    uint32_t segment;
};

static int drop_body(struct core *core, void *argument)
{
    (void)core;
    const struct drop *drop = argument;
    oracle_drop(drop->store->oracle, drop->segment, false);
    int result = log_drop(drop->store->log, drop->segment);
    if (result == 0)
        oracle_drop(drop->store->oracle, drop->segment, true);
    return result;
}

int store_drop(struct log_store *store, uint32_t segment)
{
    struct drop drop = {store, segment};
    return store_run(store, drop_body, &drop);
}

static int read_all_body(struct core *core, void *argument)
{
    (void)core;
    struct log_store *store = argument;
    for (uint32_t id = 0; id < store->oracle->count; id++)
        if (oracle_is_present(&store->oracle->entries[id]))
            oracle_read(store->oracle, store->log, id, false);
    return 0;
}

int store_read_all(struct log_store *store)
{
    return store_run(store, read_all_body, store);
}

struct reading {
    struct log_store *store;
    uint32_t id;
    int64_t got;
};

static int read_body(struct core *core, void *argument)
{
    (void)core;
    struct reading *reading = argument;
    struct log_store *store = reading->store;
    const struct oracle_entry *entry = &store->oracle->entries[reading->id];
    char *data = sim_keep_alloc(2 * entry->body_size + 16), *want = data + entry->body_size + 8;
    reading->got =
        log_read_body(store->log, entry->position, entry->body_size, 0, data, entry->body_size);
    oracle_body(reading->id, want, entry->body_size);
    if (reading->got >= 0 &&
        (reading->got != entry->body_size || memcmp(data, want, entry->body_size) != 0))
        sim_fail(store->sim, "the body of record %u is not what was sent", reading->id);
    sim_keep_free(data);
    return 0;
}

int64_t store_read(struct log_store *store, uint32_t id)
{
    struct reading reading = {store, id, 0};
    int result = store_run(store, read_body, &reading);
    return result < 0 ? result : reading.got;
}

/* ---------------------------------------------------------------- images */

struct taking {
    struct log_store *store;
    struct log_image *image;
};

static void take_one(void *argument, const char *name, uint64_t size)
{
    struct taking *taking = argument;
    struct log_image *image = taking->image;
    if (image->count == STORE_FILES_MAX) {
        sim_fail(taking->store->sim, "too many files");
        return;
    }
    char *path = image->files[image->count].path;
    snprintf(path, sizeof image->files[0].path, "/s/%.40s", name);
    image->files[image->count].size = size;
    image->files[image->count++].data = sim_keep_alloc(size + 1);
}

void image_take(struct log_store *store, struct log_image *image)
{
    struct taking taking = {store, image};
    image->count = 0;
    sim_file_list(store->sim, "/s", take_one, &taking);
    for (unsigned i = 0; i < image->count; i++)
        sim_file_read(store->sim, image->files[i].path, 0, image->files[i].data,
                      image->files[i].size);
}

void image_put(const struct log_image *image, struct sim *sim)
{
    for (unsigned i = 0; i < image->count; i++)
        sim_file_patch(sim, image->files[i].path, 0, image->files[i].data, image->files[i].size);
}

void image_free(struct log_image *image)
{
    for (unsigned i = 0; i < image->count; i++)
        sim_keep_free(image->files[i].data);
    image->count = 0;
}

const char *image_segment(const struct log_image *image, uint32_t number, uint64_t *ret_size)
{
    char path[64];
    snprintf(path, sizeof path, "/s/%010u.log", number);
    for (unsigned i = 0; i < image->count; i++)
        if (strcmp(image->files[i].path, path) == 0) {
            if (ret_size != NULL)
                *ret_size = image->files[i].size;
            return image->files[i].data;
        }
    return NULL;
}
