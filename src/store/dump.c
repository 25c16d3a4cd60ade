/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state in the log: the bytes of a checkpoint in records between a BEGIN and an END. Written
 * before segments are dropped; read when there is no checkpoint, to begin from instead of the
 * records that are gone.
 *
 *   BEGIN │ PART: which dump (its BEGIN's sequence), offset, bytes │ … │ END: which dump, size,
 *   checksum of all its bytes, the last record it knows
 *
 * Invariant: a dump counts if and only if all its parts are there and the checksum holds; of those
 * the last one counts.
 */
#include "store_private.h"

enum { PIECE_BYTES_MAX = 262144 };
static const uint64_t DUMP_BYTES_MAX = UINT64_C(1) << 36;

/* ---------------------------------------------------------------- out */

static int put_record(struct shard *shard, struct change *change)
{
    return change_commit(change, shard, NULL, true);
}

static int pieces_write(struct shard *shard, uint64_t dump, uint64_t size, uint32_t *ret_checksum)
{
    uint32_t segment = shard->store->options.segment_bytes;
    size_t piece_max =
        segment != 0 && segment / 4 < PIECE_BYTES_MAX ? segment / 4 : PIECE_BYTES_MAX;
    char *piece = malloc(piece_max);
    int result = piece == NULL ? -ENOMEM : 0;
    uint32_t checksum = 0, content_checksum = 0;
    for (uint64_t offset = 0; offset < size && result == 0;) {
        size_t count = size - offset < piece_max ? (size_t)(size - offset) : piece_max;
        struct change change = {0};
        result = file_read(shard->core, shard->checkpoint.fd, offset, piece, count);
        if (result < 0)
            break;
        checksum = crc32c(checksum, piece, count);
        size_t head = offset < CHECKPOINT_HEAD_BYTES ? CHECKPOINT_HEAD_BYTES - (size_t)offset : 0;
        if (head < count)
            content_checksum = crc32c(content_checksum, piece + head, count - head);
        event_begin_meta(&change.meta, EVENT_DUMP_PART);
        put_u64(&change.meta, dump);
        put_u64(&change.meta, offset);
        put_text(&change.meta, slice_of(piece, count));
        result = put_record(shard, &change);
        offset += count;
    }
    free(piece);
    if (result == 0 && content_checksum != shard->checkpoint.content_checksum)
        result = -EBADMSG; /* what was written is not what is read */
    *ret_checksum = checksum;
    return result;
}

/* The checkpoint in use, into the log. It is this life's own: what it holds was checked when it was
 * written, and is checked once more. The caller holds checkpoint_lock. */
int dump_write(struct shard *shard)
{
    assert(shard->checkpoint.is_own);
    uint64_t size = shard->checkpoint.size;
    uint32_t checksum = 0;
    struct change begin = {0}, end = {0};
    event_begin_meta(&begin.meta, EVENT_DUMP_BEGIN);
    int result = put_record(shard, &begin);
    if (result == 0)
        result = pieces_write(shard, begin.append.sequence, size, &checksum);
    if (result < 0)
        return result;
    event_begin_meta(&end.meta, EVENT_DUMP_END);
    put_u64(&end.meta, begin.append.sequence);
    put_u64(&end.meta, size);
    put_u32(&end.meta, checksum);
    put_u64(&end.meta, shard->checkpoint.sequence);
    return put_record(shard, &end);
}

/* In replay: there is one, which rebuilding must begin from. Segments may have been dropped behind
 * it: a checkpoint that is older than what it holds has missed their records. */
int fold_dump_end(struct shard *shard, struct reader *reader, struct change *change)
{
    (void)change;
    read_u64(reader);
    read_u64(reader);
    read_u32(reader);
    uint64_t sequence = read_u64(reader);
    shard->has_dump = true;
    if (shard->is_replaying && shard->checkpoint.fd >= 0 && sequence > shard->checkpoint.sequence)
        shard->is_wrong = true;
    return 0;
}

/* ---------------------------------------------------------------- in */

struct gathering {
    uint64_t dump;          /* 0: none under way */
    struct bytes now, best; /* being gathered; the last whole one */
    uint64_t sequence_max, best_sequence;
    bool no_memory;
};

static void gather_end(struct gathering *gathering, struct reader *reader)
{
    uint64_t dump = read_u64(reader), size = read_u64(reader);
    uint32_t checksum = read_u32(reader);
    struct checkpoint_head head;
    const struct bytes *now = &gathering->now;
    if (reader->failed || dump != gathering->dump || size != now->size || now->failed ||
        now->size < sizeof head || crc32c(0, now->data, now->size) != checksum)
        return;
    memcpy(&head, now->data, sizeof head);
    if (head.sequence > gathering->sequence_max)
        return;
    put_free(&gathering->best);
    gathering->best = gathering->now;
    gathering->best_sequence = head.sequence;
    gathering->now = (struct bytes){0};
    gathering->dump = 0;
}

static int gather(void *argument, const struct log_record *record)
{
    struct gathering *gathering = argument;
    if (record->type != LOG_RECORD_EVENTS)
        return 0;
    struct reader reader = reader_of(record->meta);
    uint8_t version = read_u8(&reader), kind = read_u8(&reader);
    if (reader.failed || version != META_VERSION)
        return 0;
    if (kind == EVENT_DUMP_BEGIN) {
        gathering->dump = record->sequence;
        put_free(&gathering->now);
    } else if (kind == EVENT_DUMP_PART) {
        uint64_t dump = read_u64(&reader), offset = read_u64(&reader);
        struct slice piece = read_text(&reader);
        if (!reader.failed && dump == gathering->dump && offset == gathering->now.size &&
            offset < DUMP_BYTES_MAX)
            put_raw(&gathering->now, piece);
        gathering->no_memory |= gathering->now.failed;
    } else if (kind == EVENT_DUMP_END && gathering->dump != 0) {
        gather_end(gathering, &reader);
    }
    return 0;
}

/* A mailbox's list from its part. */
static int part_take(struct mailbox *mailbox, struct slice content)
{
    uint32_t id = mailbox->id, count = mailbox->cold_count, head[4];
    uint64_t size = (uint64_t)count * PART_ENTRY_BYTES, at = mailbox->cold_offset;
    if (at > content.size || content.size - at < PART_HEAD_BYTES ||
        content.size - at - PART_HEAD_BYTES < size)
        return -EBADMSG;
    memcpy(head, content.data + at, sizeof head);
    const char *entries = content.data + at + PART_HEAD_BYTES;
    if (head[0] != id || head[1] != count ||
        crc32c(crc32c(0, &id, sizeof id), entries, (size_t)size) != head[2])
        return -EBADMSG;
    for (uint32_t i = 0; i < count; i++) {
        struct mail_entry entry;
        entry_unpack((const unsigned char *)entries + (size_t)i * PART_ENTRY_BYTES, &entry);
        list_append(&mailbox->list, &entry);
    }
    mailbox->account->shard->entries_loaded += count;
    mailbox->is_cold = false;
    mailbox->cold_offset = 0;
    mailbox->cold_count = 0;
    return 0;
}

static int state_take(struct shard *shard, struct slice content)
{
    struct checkpoint_head head;
    memcpy(&head, content.data, sizeof head);
    int result = checkpoint_head_check(shard, &head, content.size);
    if (result == 0)
        result = directory_load(
            shard, slice_of(content.data + head.directory_offset, (size_t)head.directory_bytes));
    size_t index = 0;
    for (const struct table_slot *slot;
         result == 0 && (slot = table_next(&shard->mailboxes, &index)) != NULL;)
        result = part_take((struct mailbox *)(uintptr_t)slot->value, content);
    if (result == 0) {
        shard->folded = (struct log_position){head.segment, head.offset};
        shard->folded_sequence = head.sequence;
    }
    return result;
}

int shard_rebuild(struct shard *shard, struct log *log, uint64_t sequence_max)
{
    struct gathering gathering = {.sequence_max = sequence_max};
    int result = log_scan_all(log, gather, &gathering);
    put_free(&gathering.now);
    if (result == 0 && gathering.no_memory)
        result = -ENOMEM;
    if (result == 0 && gathering.best.size > 0)
        result = state_take(shard, slice_of(gathering.best.data, gathering.best.size));
    put_free(&gathering.best);
    return result < 0 ? result : shard_replay(shard, log, sequence_max);
}
