/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The newest bodies in memory, since new mail is read at once: a queue, the oldest leaves first,
 * and a table by position. Small bodies are copied into the entry, large ones kept as they were
 * received, without the memory behind them. Not keeping one is never an error.
 *
 * Invariant: bytes <= bytes_max.
 */
#include "log_private.h"

enum { SHARE_MAX = 4 /* one body takes at most this part of the cache */, BUCKETS_MAX = 65536 };

struct cached {
    struct cached *hash_next, *newer, *older;
    struct log_position position;
    struct log_body *body; /* NULL: the bytes follow */
    uint64_t size, charge;
    char bytes[];
};

int cache_open(struct cache *cache, uint64_t bytes_max)
{
    uint32_t count = 64;
    while (count < BUCKETS_MAX && count < bytes_max / 2048)
        count *= 2;
    cache->buckets = calloc(count, sizeof(struct cached *));
    cache->bucket_count = count;
    cache->bytes_max = bytes_max;
    return cache->buckets != NULL ? 0 : -ENOMEM;
}

static struct cached **bucket(struct cache *cache, struct log_position position)
{
    uint64_t key = (uint64_t)position.segment << 32 | position.offset;
    return &cache->buckets[hash_u64(key) & (cache->bucket_count - 1)];
}

static struct cached **link_of(struct cache *cache, struct log_position position)
{
    struct cached **at = bucket(cache, position);
    while (*at != NULL && ((*at)->position.segment != position.segment ||
                           (*at)->position.offset != position.offset))
        at = &(*at)->hash_next;
    return at;
}

static void drop(struct cache *cache, struct cached **link)
{
    struct cached *entry = *link;
    *link = entry->hash_next;
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
    *(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
    cache->bytes -= entry->charge;
    if (entry->body != NULL)
        log_body_give(entry->body);
    free(entry);
}

void cache_close(struct cache *cache)
{
    while (cache->oldest != NULL)
        drop(cache, link_of(cache, cache->oldest->position));
    free(cache->buckets);
    cache->buckets = NULL;
}

void cache_add(struct cache *cache, struct log_position position, struct slice bytes,
               struct log_body *body)
{
    uint64_t charge =
        sizeof(struct cached) + (body != NULL ? body_trim(body) : (uint64_t)bytes.size);
    struct cached *entry = NULL;
    if (charge <= cache->bytes_max / SHARE_MAX)
        entry = malloc(sizeof *entry + (body == NULL ? bytes.size : 0));
    if (entry == NULL) {
        if (body != NULL)
            log_body_give(body);
        return;
    }
    while (cache->bytes + charge > cache->bytes_max)
        drop(cache, link_of(cache, cache->oldest->position));
    struct cached **at = bucket(cache, position);
    *entry = (struct cached){.hash_next = *at,
                             .older = cache->newest,
                             .position = position,
                             .body = body,
                             .size = bytes.size,
                             .charge = charge};
    if (body == NULL)
        memcpy(entry->bytes, bytes.data, bytes.size);
    else
        body_keep(body);
    *at = entry;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
    cache->bytes += charge;
}

void cache_remove(struct cache *cache, struct log_position position)
{
    struct cached **link = link_of(cache, position);
    if (*link != NULL)
        drop(cache, link);
}

bool cache_find(struct cache *cache, struct log_position position, struct slice *ret_bytes)
{
    const struct cached *entry = *link_of(cache, position);
    if (entry == NULL)
        return false;
    struct slice whole =
        entry->body != NULL ? log_body_bytes(entry->body) : slice_of(entry->bytes, entry->size);
    *ret_bytes = whole;
    return true;
}
