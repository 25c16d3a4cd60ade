/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What sessions call to change the messages of a mailbox. Each is one record: it is written, made
 * durable and folded, or it has not happened. Taking messages away may use the space that is kept
 * free for it when the disk is full.
 */
#include "store_private.h"

static void change_done(struct log_append *append, int result)
{
    struct change *change = (struct change *)append;
    if (result < 0)
        return;
    struct log_record record = {
        .type = append->type,
        .position = append->position,
        .sequence = append->sequence,
        .body_size = change->body_size,
        .meta = append->meta,
        .disk_bytes = append->disk_bytes,
    };
    shard_fold(change->shard, &record, change);
}

int change_commit(struct change *change, struct shard *shard, struct log_body *body, bool urgent)
{
    int result = change->meta.failed                  ? -ENOMEM
                 : change->meta.size > META_BYTES_MAX ? -E2BIG
                 : shard->is_closing                  ? -ESHUTDOWN
                                                      : 0;
    if (result < 0) {
        if (body != NULL)
            log_body_give(body);
        put_free(&change->meta);
        return result;
    }
    change->shard = shard;
    change->body_size = body == NULL ? 0 : log_body_bytes(body).size;
    change->append = (struct log_append){
        .type = body == NULL ? LOG_RECORD_EVENTS : LOG_RECORD_MESSAGE,
        .urgent = urgent,
        .body = body,
        .meta = slice_of(change->meta.data, change->meta.size),
        .done = change_done,
    };
    result = log_append_await(shard->log, &change->append);
    put_free(&change->meta);
    return result < 0 ? result : change->result;
}

/* ---------------------------------------------------------------- append */

int mailbox_append(struct mailbox *mailbox, struct message_body *body, uint16_t flags,
                   uint64_t keywords, int64_t date, int16_t date_zone,
                   struct append_result *ret_result)
{
    struct arena arena;
    struct bytes kind = {0};
    struct change change = {0};
    struct message_meta meta = {.kind = META_APPENDED, .date = date, .zone = date_zone};
    if (mailbox->is_deleted || message_body_bytes(body).size > UINT32_MAX) {
        message_body_give(body);
        return mailbox->is_deleted ? -ENOENT : -EFBIG;
    }
    arena_init(&arena, SUMMARY_ARENA_BYTES_MAX);
    if (mime_summarize(message_body_bytes(body), &arena, &meta.summary) < 0 ||
        meta.summary.size > SUMMARY_BYTES_MAX)
        meta.summary = (struct slice){0};
    put_u32(&kind, mailbox->id);
    put_u32(&kind, flags);
    keywords_put(&kind, mailbox, keywords);
    meta.body = slice_of(kind.data, kind.size);
    change.meta.failed = kind.failed;
    message_meta_put(&change.meta, &meta);
    put_free(&kind);
    arena_reset(&arena);
    int result = change_commit(&change, mailbox->account->shard, (struct log_body *)body, false);
    if (result < 0)
        return result;
    *ret_result = (struct append_result){change.uidvalidity, change.uid};
    return 0;
}

/* ---------------------------------------------------------------- flags */

/* Would the change do anything now? Spares the log what clients often repeat. */
static bool store_matters(struct mailbox *mailbox, const uint32_t *uids, uint32_t count,
                          const struct store_change *change)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = list_find(mailbox->list, uids[i], false);
        if (number == 0)
            continue;
        const struct mail_entry *entry = list_at(mailbox->list, number);
        if (change->unchanged_since != UINT64_MAX)
            return true;
        bool has = (entry->flags & change->flags) == change->flags &&
                   (entry->keywords & change->keywords) == change->keywords;
        bool lacks =
            (entry->flags & change->flags) == 0 && (entry->keywords & change->keywords) == 0;
        bool is_same = change->how == STORE_ADD ? has
                       : change->how == STORE_REMOVE
                           ? lacks
                           : entry->flags == change->flags && entry->keywords == change->keywords;
        if (!is_same)
            return true;
    }
    return false;
}

/* Both ascending: those of `failed` to the front, the rest behind, in order. */
static void failed_first(uint32_t *uids, uint32_t count, const uint32_t *failed,
                         uint32_t failed_count)
{
    uint32_t left = failed_count, to = count;
    for (uint32_t i = count; i-- > 0;) {
        if (left > 0 && uids[i] == failed[left - 1])
            left--;
        else
            uids[--to] = uids[i];
    }
    assert(left == 0 && to == failed_count);
    if (failed_count > 0)
        memcpy(uids, failed, failed_count * sizeof *uids);
}

int mailbox_store(struct mailbox *mailbox, uint32_t *uids, uint32_t count,
                  const struct store_change *store_change, uint32_t *ret_failed)
{
    struct change change = {0};
    int result = mailbox_pin(mailbox);
    if (result < 0)
        return result;
    if (!store_matters(mailbox, uids, count, store_change)) {
        mailbox_unpin(mailbox);
        *ret_failed = 0;
        return 0;
    }
    event_begin_meta(&change.meta, EVENT_STORE);
    put_u32(&change.meta, mailbox->id);
    put_u8(&change.meta, (uint8_t)store_change->how);
    put_u32(&change.meta, store_change->flags);
    keywords_put(&change.meta, mailbox, store_change->keywords);
    put_u64(&change.meta, store_change->unchanged_since);
    result = put_uids(&change.meta, uids, count);
    if (result == 0 && store_change->unchanged_since != UINT64_MAX) {
        change.uids = malloc((count + 1) * sizeof *change.uids);
        change.uids_capacity = count;
        result = change.uids == NULL ? -ENOMEM : 0;
    }
    if (result < 0)
        put_free(&change.meta);
    else
        result = change_commit(&change, mailbox->account->shard, NULL, false);
    mailbox_unpin(mailbox);
    if (result == 0) {
        failed_first(uids, count, change.uids, change.count);
        *ret_failed = change.count;
    }
    free(change.uids);
    return result;
}

/* ---------------------------------------------------------------- expunge, copy, move */

int mailbox_expunge(struct mailbox *mailbox, const uint32_t *uids, uint32_t count)
{
    struct change change = {0};
    if (count == 0)
        return 0;
    int result = mailbox_pin(mailbox);
    if (result < 0)
        return result;
    event_begin_meta(&change.meta, EVENT_EXPUNGE);
    put_u32(&change.meta, mailbox->id);
    result = put_uids(&change.meta, uids, count);
    if (result < 0)
        put_free(&change.meta);
    else
        result = change_commit(&change, mailbox->account->shard, NULL, true);
    mailbox_unpin(mailbox);
    return result;
}

/* For each keyword that these messages bear: its bit there, its bit here, its name. What finds no
 * bit any more is dropped. */
static void keyword_map_put(struct bytes *bytes, struct mailbox *from, const uint32_t *uids,
                            uint32_t count, struct mailbox *to)
{
    uint64_t used = 0;
    struct bytes map = {0};
    unsigned mapped = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = list_find(from->list, uids[i], false);
        if (number > 0)
            used |= list_at(from->list, number)->keywords;
    }
    for (unsigned bit = 0; bit < KEYWORDS_MAX; bit++) {
        struct slice name = mailbox_keyword(from, bit);
        if ((used >> bit & 1) == 0 || name.size == 0)
            continue;
        int there = mailbox_keyword_bit(to, name, true);
        if (there < 0)
            continue;
        put_u8(&map, (uint8_t)bit);
        put_u8(&map, (uint8_t)there);
        put_text(&map, name);
        mapped++;
    }
    put_number(bytes, mapped);
    put_raw(bytes, slice_of(map.data, map.size));
    bytes->failed |= map.failed;
    put_free(&map);
}

int mailbox_copy(struct mailbox *from, const uint32_t *uids, uint32_t count, struct mailbox *to,
                 bool move, uint32_t *ret_uids, uint32_t *ret_uidvalidity)
{
    struct change change = {0};
    if (from->account != to->account)
        return -EXDEV;
    if (to->is_deleted)
        return -ENOENT;
    int result = mailbox_pin(from);
    if (result < 0)
        return result;
    event_begin_meta(&change.meta, EVENT_COPY);
    put_u32(&change.meta, from->id);
    put_u32(&change.meta, to->id);
    put_u8(&change.meta, move);
    keyword_map_put(&change.meta, from, uids, count, to);
    result = put_uids(&change.meta, uids, count);
    change.uids = calloc(count + 1, sizeof *change.uids);
    change.uids_capacity = count;
    if (result == 0 && change.uids == NULL)
        result = -ENOMEM;
    if (result < 0)
        put_free(&change.meta);
    else
        result = change_commit(&change, from->account->shard, NULL, move);
    mailbox_unpin(from);
    if (result == 0) {
        memcpy(ret_uids, change.uids, count * sizeof *ret_uids);
        *ret_uidvalidity = change.uidvalidity;
    }
    free(change.uids);
    return result;
}
