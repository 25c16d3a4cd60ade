/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writing a checkpoint: the state of a shard as of one record, in one file, so that starting reads
 * that and what the log has behind it.
 *
 *   head (4096 bytes) │ part of each mailbox: id, count, checksum │ its entries │ … │ directory
 *
 * It is a cache: each piece bears its checksum, the head says which store, shard and record it
 * belongs to, and what does not hold is made again from the log. It is written beside the one in
 * use, made durable, then renamed over it. Parts are written in the order in which mailboxes are
 * captured, so every offset is known before anything is written.
 */
#include <stdio.h>

#include "store_private.h"

enum { WRITE_BYTES = 1 << 18, ENTRIES_A_TURN = 4096 };

void checkpoint_path(const struct shard *shard, char path[STORE_PATH_BYTES_MAX + 64])
{
    snprintf(path, STORE_PATH_BYTES_MAX + 64, "%s/checkpoint", shard->directory);
}

void entry_pack(const struct mail_entry *entry, unsigned char bytes[PART_ENTRY_BYTES])
{
    memcpy(bytes, &entry->uid, 4);
    memcpy(bytes + 4, &entry->flags, 2);
    memcpy(bytes + 6, &entry->date_zone, 2);
    memcpy(bytes + 8, &entry->keywords, 8);
    memcpy(bytes + 16, &entry->modseq, 8);
    memcpy(bytes + 24, &entry->message, 8);
    memcpy(bytes + 32, &entry->date, 8);
    memcpy(bytes + 40, &entry->size, 4);
}

void entry_unpack(const unsigned char bytes[PART_ENTRY_BYTES], struct mail_entry *ret_entry)
{
    struct mail_entry entry = {0};
    memcpy(&entry.uid, bytes, 4);
    memcpy(&entry.flags, bytes + 4, 2);
    memcpy(&entry.date_zone, bytes + 6, 2);
    memcpy(&entry.keywords, bytes + 8, 8);
    memcpy(&entry.modseq, bytes + 16, 8);
    memcpy(&entry.message, bytes + 24, 8);
    memcpy(&entry.date, bytes + 32, 8);
    memcpy(&entry.size, bytes + 40, 4);
    *ret_entry = entry;
}

static int output_flush(struct output *output)
{
    if (output->bytes.failed)
        return -ENOMEM;
    struct slice bytes = slice_of(output->bytes.data, output->bytes.size);
    int result = output->write(output, output->offset, bytes);
    output->checksum = crc32c(output->checksum, bytes.data, bytes.size);
    output->offset += bytes.size;
    output->bytes.size = 0;
    return result;
}

static int output_add(struct output *output, struct slice s)
{
    put_raw(&output->bytes, s);
    return output->bytes.size >= WRITE_BYTES ? output_flush(output) : 0;
}

/* ---------------------------------------------------------------- parts */

static uint32_t part_checksum(struct core *core, const struct captured *captured,
                              const unsigned char *cold)
{
    unsigned summed = 0;
    uint32_t checksum = crc32c(0, &captured->id, sizeof captured->id);
    checksum = crc32c(checksum, cold, (size_t)captured->cold_count * PART_ENTRY_BYTES);
    struct list_cursor cursor = {.list = captured->list};
    for (const struct mail_entry *entry; (entry = list_next(&cursor)) != NULL;) {
        unsigned char packed[PART_ENTRY_BYTES];
        entry_pack(entry, packed);
        checksum = crc32c(checksum, packed, sizeof packed);
        if (++summed % ENTRIES_A_TURN == 0)
            fiber_yield(core);
    }
    return checksum;
}

static int part_write(struct output *output, const struct captured *captured)
{
    struct shard *shard = output->shard;
    unsigned char *cold = NULL;
    int result = 0;
    if (captured->cold_count > 0)
        result = part_read(shard, captured->id, captured->cold_offset, captured->cold_count, &cold);
    if (result < 0)
        return result;
    unsigned char head[PART_HEAD_BYTES] = {0};
    uint32_t checksum = part_checksum(shard->core, captured, cold);
    memcpy(head, &captured->id, 4);
    memcpy(head + 4, &captured->count, 4);
    memcpy(head + 8, &checksum, 4);
    result = output_add(output, slice_of(head, sizeof head));
    if (result == 0)
        result =
            output_add(output, slice_of(cold, (size_t)captured->cold_count * PART_ENTRY_BYTES));
    free(cold);
    struct list_cursor cursor = {.list = captured->list};
    unsigned written = 0;
    for (const struct mail_entry *entry; result == 0 && (entry = list_next(&cursor)) != NULL;) {
        unsigned char packed[PART_ENTRY_BYTES];
        entry_pack(entry, packed);
        result = output_add(output, slice_of(packed, sizeof packed));
        if (++written % ENTRIES_A_TURN == 0)
            fiber_yield(shard->core);
    }
    return result;
}

int content_write(struct output *output, struct capture *capture, struct checkpoint_head *ret_head)
{
    struct shard *shard = output->shard;
    int result = 0;
    size_t written = 0;
    for (bool more = true; result == 0 && (more || written < capture->mailbox_count);) {
        if (more)
            more = capture_step(capture);
        for (; result == 0 && written < capture->mailbox_count; written++) {
            struct captured captured = capture->mailboxes[written]; /* the array may move */
            result = part_write(output, &captured);
            list_unref(captured.list);
            capture->mailboxes[written].list = NULL;
        }
        fiber_yield(shard->core);
    }
    if (result == 0)
        result = output_flush(output);
    if (result < 0)
        return result;
    assert(output->offset == capture->offset && "parts lie where the directory says");
    struct checkpoint_head head = {
        .magic = "RINGPCHK",
        .version = 1,
        .shard = shard->number,
        .store_id = shard->store->id,
        .sequence = capture->sequence,
        .segment = capture->position.segment,
        .offset = capture->position.offset,
        .directory_offset = output->offset,
        .directory_bytes = capture->directory.size,
        .directory_checksum = crc32c(0, capture->directory.data, capture->directory.size),
    };
    head.checksum = crc32c(0, &head, sizeof head);
    put_raw(&output->bytes, slice_of(capture->directory.data, capture->directory.size));
    if (capture->directory.failed)
        return -ENOMEM;
    result = output_flush(output);
    if (result == 0)
        *ret_head = head;
    return result;
}

static int to_file(struct output *output, uint64_t offset, struct slice bytes)
{
    return file_write(output->shard->core, output->fd, offset, bytes);
}

/* ---------------------------------------------------------------- taking it into use */

/* A cold mailbox's list holds what has come since the capture, and no more. */
static void tail_trim(struct mailbox *mailbox, uint32_t uidnext)
{
    struct mailbox_snapshot *tail = list_new();
    struct list_cursor cursor = {.list = mailbox->list};
    for (const struct mail_entry *entry; (entry = list_next(&cursor)) != NULL;)
        if (entry->uid >= uidnext)
            list_append(&tail, entry);
    mailbox->account->shard->entries_loaded -= list_count(mailbox->list) - list_count(tail);
    list_unref(mailbox->list);
    mailbox->list = tail;
}

static void take_into_use(struct shard *shard, const struct capture *capture,
                          const struct output *output)
{
    while (shard->loading > 0)
        waiters_wait(shard->core, &shard->loaded, 0);
    int old = shard->checkpoint.fd;
    shard->checkpoint = (struct checkpoint){.fd = output->fd,
                                            .position = capture->position,
                                            .sequence = capture->sequence,
                                            .size = output->offset,
                                            .is_seen = true};
    for (size_t i = 0; i < capture->mailbox_count; i++) {
        const struct captured *captured = &capture->mailboxes[i];
        struct mailbox *mailbox = mailbox_by_id(shard, captured->id);
        if (mailbox == NULL)
            continue;
        mailbox->cold_offset = captured->offset;
        mailbox->cold_count = captured->count;
        if (mailbox->is_cold)
            tail_trim(mailbox, captured->uidnext);
    }
    if (old >= 0)
        await_close(shard->core, old);
}

int checkpoint_write_locked(struct shard *shard)
{
    char path[STORE_PATH_BYTES_MAX + 64], temporary[STORE_PATH_BYTES_MAX + 80];
    struct capture capture;
    if (shard->checkpoint.fd >= 0 && shard->checkpoint.sequence == shard->folded_sequence)
        return 0;
    checkpoint_path(shard, path);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    int fd = file_make(shard->core, temporary);
    if (fd < 0)
        return fd;
    struct checkpoint_head head;
    struct output output = {
        .shard = shard, .write = to_file, .fd = fd, .offset = CHECKPOINT_HEAD_BYTES};
    uint64_t bytes_since = shard->bytes_since;
    int result = capture_begin(shard, &capture);
    if (result == 0)
        result = content_write(&output, &capture, &head);
    if (result == 0)
        result = file_write(shard->core, fd, 0, slice_of(&head, sizeof head));
    if (result == 0)
        result = file_commit(shard->core, fd, temporary, path, shard->directory);
    put_free(&output.bytes);
    if (result == 0) {
        shard->bytes_since -= bytes_since;
        take_into_use(shard, &capture, &output);
    } else {
        await_close(shard->core, fd);
    }
    capture_end(&capture);
    return result;
}

int checkpoint_write(struct shard *shard)
{
    int result;
    do {
        fiber_lock_take(shard->core, &shard->checkpoint_lock);
        result = checkpoint_write_locked(shard);
        fiber_lock_give(shard->core, &shard->checkpoint_lock);
        /* A part of the old one is damaged: it must come from the log. */
    } while (result == -EBADMSG && cold_rebuild(shard) == 0);
    return result;
}

int store_checkpoint(struct core *core)
{
    struct store *store = store_of(core);
    int first = 0;
    for (unsigned i = 0; i < store->own_count; i++) {
        int result = checkpoint_write(store->own[i]);
        if (first == 0)
            first = result;
    }
    return first;
}
