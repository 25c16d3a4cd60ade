/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What directories said lately. A row is found by 128 bits of keyed hash over the directory and the
 * user (A3), as in recent.c; behind it lies the record, its texts one after the other, so that a
 * user takes some 200 bytes and not the 4 KiB of a struct directory_record. Rows are bounded by
 * auth_options.cache_entries_max; a new one takes the place of the one that ends first among its 8.
 *
 * Owns the records, which hold hashes: they are wiped when they go (A4). Without memory a record is
 * not kept, and the directory is asked again.
 */
#include "auth_private.h"

#include <errno.h>
#include <stdlib.h>

enum { WAYS = 8, TEXTS = 4 };

struct cached_record {
    uint16_t size[TEXTS]; /* with the NUL */
    bool is_disabled;
    char text[]; /* user, secret, networks, attributes */
};

_Static_assert(DIRECTORY_SECRET_BYTES_MAX < UINT16_MAX && DIRECTORY_NETWORKS_BYTES_MAX < UINT16_MAX,
               "cached_record.size");

static size_t record_bytes(const struct cached_record *record)
{
    size_t size = sizeof *record;
    for (unsigned i = 0; i < TEXTS; i++)
        size += record->size[i];
    return size;
}

static void record_free(struct cached_record *record)
{
    if (record == NULL)
        return;
    explicit_bzero(record, record_bytes(record));
    free(record);
}

static struct cached_record *record_make(const struct directory_record *from)
{
    const char *texts[TEXTS] = {from->user, from->secret, from->networks, from->attributes};
    struct cached_record head = {.is_disabled = from->is_disabled};
    for (unsigned i = 0; i < TEXTS; i++)
        head.size[i] = (uint16_t)(strlen(texts[i]) + 1);
    struct cached_record *record = malloc(record_bytes(&head));
    if (record == NULL)
        return NULL;
    *record = head;
    char *to = record->text;
    for (unsigned i = 0; i < TEXTS; i++) {
        memcpy(to, texts[i], record->size[i]);
        to += record->size[i];
    }
    return record;
}

static void record_copy(const struct cached_record *record, struct directory_record *ret_record)
{
    char *texts[TEXTS] = {ret_record->user, ret_record->secret, ret_record->networks,
                          ret_record->attributes};
    const char *from = record->text;
    for (unsigned i = 0; i < TEXTS; i++) {
        memcpy(texts[i], from, record->size[i]);
        from += record->size[i];
    }
    ret_record->is_disabled = record->is_disabled;
    ret_record->is_verified = false;
    ret_record->delay_ms = 0;
    ret_record->problem[0] = '\0';
}

int record_cache_open(struct cache *cache, unsigned rows_max)
{
    *cache = (struct cache){0};
    if (rows_max == 0)
        return 0;
    uint32_t sets = 1;
    while (sets <= rows_max / WAYS / 2)
        sets *= 2;
    cache->rows = calloc((size_t)sets * WAYS, sizeof *cache->rows);
    if (cache->rows == NULL)
        return -ENOMEM;
    cache->mask = sets - 1;
    return 0;
}

void record_cache_close(struct cache *cache)
{
    if (cache->rows != NULL)
        for (size_t i = 0; i < ((size_t)cache->mask + 1) * WAYS; i++)
            record_free(cache->rows[i].record);
    free(cache->rows);
    cache->rows = NULL;
}

static struct cache_row *set_of(const struct cache *cache, const struct recent_tag *tag)
{
    return cache->rows + (size_t)(tag->word[0] & cache->mask) * WAYS;
}

static struct cache_row *row_of(const struct cache *cache, const struct recent_tag *tag)
{
    if (cache->rows == NULL)
        return NULL;
    struct cache_row *set = set_of(cache, tag);
    for (unsigned i = 0; i < WAYS; i++) {
        uint64_t difference =
            (set[i].tag.word[0] ^ tag->word[0]) | (set[i].tag.word[1] ^ tag->word[1]);
        if (difference == 0 && set[i].stale_until_ns != 0)
            return &set[i];
    }
    return NULL;
}

int record_cache_find(const struct cache *cache, const struct recent_tag *tag, uint64_t now_ns,
                      struct directory_record *ret_record, bool *ret_is_fresh)
{
    const struct cache_row *row = row_of(cache, tag);
    if (row == NULL || row->stale_until_ns <= now_ns)
        return -EAGAIN;
    *ret_is_fresh = row->fresh_until_ns > now_ns;
    if (row->record == NULL)
        return -ENOENT;
    record_copy(row->record, ret_record);
    return 0;
}

void cache_put(struct cache *cache, const struct recent_tag *tag, uint64_t now_ns,
               uint64_t fresh_ns, uint64_t stale_ns, const struct directory_record *record)
{
    if (cache->rows == NULL)
        return;
    struct cache_row *row = row_of(cache, tag);
    if (row == NULL) {
        row = set_of(cache, tag);
        for (unsigned i = 1; i < WAYS; i++)
            if (set_of(cache, tag)[i].stale_until_ns < row->stale_until_ns)
                row = set_of(cache, tag) + i;
    }
    record_free(row->record);
    *row = (struct cache_row){.tag = *tag};
    if (record != NULL) {
        row->record = record_make(record);
        if (row->record == NULL) {
            row->stale_until_ns = 0;
            return;
        }
    }
    row->fresh_until_ns = now_ns + fresh_ns;
    row->stale_until_ns = now_ns + fresh_ns + stale_ns;
}
