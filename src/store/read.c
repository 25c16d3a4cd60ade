/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading messages: their bytes, and the summary that was made when they came. Compaction may move
 * a message while a fiber waits for its bytes: then it is looked for again where it now lies.
 */
#include "store_private.h"

enum { META_READ_BYTES = 16384, MOVES_MAX = 8 };

static struct shard *shard_of(const struct mailbox *mailbox)
{
    return mailbox->account->shard;
}

int64_t message_read(struct mailbox *mailbox, const struct mail_entry *entry, uint64_t offset,
                     void *data, size_t size)
{
    struct shard *shard = shard_of(mailbox);
    uint64_t message = entry->message, body_size = entry->size;
    if (offset >= body_size || size == 0)
        return 0;
    if (size > body_size - offset)
        size = (size_t)(body_size - offset);
    for (unsigned tries = 0;; tries++) {
        struct log_position position = message_position(shard, message);
        int64_t result = log_read_body(shard->log, position, body_size, offset, data, size);
        if (offset == 0 && result >= 0)
            counter_add(core_counters(shard->core), COUNTER_MESSAGES_READ, 1);
        struct log_position now = message_position(shard, message);
        if (result != -ENOENT || tries == MOVES_MAX || message_id(now) == message_id(position))
            return result;
    }
}

bool message_peek(struct mailbox *mailbox, const struct mail_entry *entry,
                  struct slice *ret_message)
{
    struct shard *shard = shard_of(mailbox);
    return log_peek_body(shard->log, message_position(shard, entry->message), ret_message);
}

static int load_at(struct shard *shard, struct log_position position, struct bytes *bytes)
{
    for (bytes->capacity = META_READ_BYTES;; bytes->capacity *= 4) {
        free(bytes->data);
        bytes->data = malloc(bytes->capacity);
        if (bytes->data == NULL)
            return -ENOMEM;
        int64_t size = log_read_meta(shard->log, position, bytes->data, bytes->capacity);
        if (size == -EMSGSIZE && bytes->capacity < 4 * META_BYTES_MAX)
            continue;
        if (size < 0)
            return (int)size;
        bytes->size = (size_t)size;
        return 0;
    }
}

int message_meta_load(struct shard *shard, uint64_t message, struct bytes *ret_bytes,
                      struct message_meta *ret_meta)
{
    for (unsigned tries = 0;; tries++) {
        struct bytes bytes = {0};
        struct log_position position = message_position(shard, message);
        int result = load_at(shard, position, &bytes);
        if (result == 0)
            result = message_meta_parse(slice_of(bytes.data, bytes.size), ret_meta);
        if (result == 0) {
            *ret_bytes = bytes;
            return 0;
        }
        put_free(&bytes);
        struct log_position now = message_position(shard, message);
        if (result != -ENOENT || tries == MOVES_MAX || message_id(now) == message_id(position))
            return result;
    }
}

int message_summary(struct mailbox *mailbox, const struct mail_entry *entry, struct arena *arena,
                    struct slice *ret_summary)
{
    struct bytes bytes;
    struct message_meta meta;
    int result = message_meta_load(shard_of(mailbox), entry->message, &bytes, &meta);
    if (result < 0)
        return result;
    struct slice copy = {0};
    if (meta.summary.size > 0) {
        copy = arena_copy(arena, meta.summary);
        if (copy.data == NULL)
            result = -ENOMEM;
    }
    put_free(&bytes);
    if (result == 0)
        *ret_summary = copy;
    return result;
}
