/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state in the log: the bytes of a checkpoint in records between a BEGIN and an END. Written
 * before segments are dropped; read when there is no checkpoint, to begin from instead of the
 * records that are gone.
 *
 *   BEGIN │ PART: which dump (its BEGIN's sequence), offset, bytes │ … │ END: which dump, size,
 *   checksum of all its bytes, the last record it knows, the checkpoint's head
 *
 * Invariant: a dump counts if and only if all its parts are there and the checksum holds; of those
 * the last one counts.
 */
#include "store_private.h"

enum { PIECE_BYTES_MAX = 262144 };
static const uint64_t DUMP_BYTES_MAX = UINT64_C(1) << 36;

/* ---------------------------------------------------------------- out */

static int to_log(struct output *output, uint64_t offset, struct slice bytes)
{
    struct shard *shard = output->shard;
    uint32_t segment = shard->store->options.segment_bytes;
    size_t piece_max =
        segment != 0 && segment / 4 < PIECE_BYTES_MAX ? segment / 4 : PIECE_BYTES_MAX;
    int result = 0;
    while (bytes.size > 0 && result == 0) {
        struct change change = {0};
        struct slice piece = slice_first(bytes, piece_max);
        event_begin_meta(&change.meta, EVENT_DUMP_PART);
        put_u64(&change.meta, output->dump);
        put_u64(&change.meta, offset);
        put_text(&change.meta, piece);
        result = change_commit(&change, shard, NULL, true);
        offset += piece.size;
        bytes = slice_from(bytes, piece.size);
    }
    return result;
}

static int dump_content(struct output *output)
{
    struct capture capture;
    struct checkpoint_head head;
    int result = capture_begin(output->shard, &capture);
    if (result < 0)
        return result;
    result = content_write(output, &capture, &head);
    capture_end(&capture);
    if (result < 0)
        return result;
    struct change end = {0};
    event_begin_meta(&end.meta, EVENT_DUMP_END);
    put_u64(&end.meta, output->dump);
    put_u64(&end.meta, output->offset);
    put_u32(&end.meta, output->checksum);
    put_u64(&end.meta, head.sequence);
    put_text(&end.meta, slice_of(&head, sizeof head));
    return change_commit(&end, output->shard, NULL, true);
}

/* The caller holds checkpoint_lock. */
int dump_write(struct shard *shard)
{
    struct change begin = {0};
    event_begin_meta(&begin.meta, EVENT_DUMP_BEGIN);
    int result = change_commit(&begin, shard, NULL, true);
    if (result < 0)
        return result;
    struct output output = {.shard = shard,
                            .write = to_log,
                            .dump = begin.append.sequence,
                            .offset = CHECKPOINT_HEAD_BYTES};
    result = dump_content(&output);
    put_free(&output.bytes);
    return result;
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
    uint64_t sequence_max;
    bool no_memory;
};

static void gather_end(struct gathering *gathering, struct reader *reader)
{
    uint64_t dump = read_u64(reader), size = read_u64(reader);
    uint32_t checksum = read_u32(reader);
    uint64_t sequence = read_u64(reader);
    struct slice head = read_text(reader);
    struct bytes *now = &gathering->now;
    if (reader->failed || dump != gathering->dump || size != now->size || now->failed ||
        head.size != sizeof(struct checkpoint_head) || sequence > gathering->sequence_max ||
        crc32c(0, now->data + CHECKPOINT_HEAD_BYTES, now->size - CHECKPOINT_HEAD_BYTES) != checksum)
        return;
    memcpy(now->data, head.data, head.size);
    put_free(&gathering->best);
    gathering->best = *now;
    *now = (struct bytes){0};
    gathering->dump = 0;
}

static void gather_begin(struct gathering *gathering, uint64_t dump)
{
    static const char zeros[CHECKPOINT_HEAD_BYTES];
    gathering->dump = dump;
    put_free(&gathering->now);
    put_raw(&gathering->now, slice_of(zeros, sizeof zeros));
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
        gather_begin(gathering, record->sequence);
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
