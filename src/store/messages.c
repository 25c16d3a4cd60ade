/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which messages live, and where they lie. A message's id is the position it was first written at,
 * so that a message that was never moved needs no table: one bit in its segment says that it lives.
 *
 *   id ─▶ segment it was born in: alive bit ─▶ moved? its present position : its id
 *         shared: ids with more than one reference
 *
 * A segment's live part is counted in messages and body bytes; what a message takes beside its body
 * is taken as the segment's average, so that a segment with nothing dead counts as wholly live.
 */
#include "store_private.h"

struct segment *segment_of(struct shard *shard, uint32_t number, bool make)
{
    uint64_t *found = table_find(&shard->segments, number);
    if (found != NULL)
        return (struct segment *)(uintptr_t)*found;
    if (!make)
        return NULL;
    struct segment *segment = store_need(sizeof *segment);
    segment->number = number;
    table_put(&shard->segments, number, (uintptr_t)segment);
    return segment;
}

void segments_free(struct shard *shard)
{
    size_t index = 0;
    for (const struct table_slot *slot; (slot = table_next(&shard->segments, &index)) != NULL;) {
        struct segment *segment = (struct segment *)(uintptr_t)slot->value;
        table_free(&segment->moved);
        free(segment->alive);
        free(segment);
    }
    table_free(&shard->segments);
    table_free(&shard->shared);
}

static struct segment *birthplace(const struct shard *shard, uint64_t message)
{
    uint64_t *found = table_find(&shard->segments, message >> 32);
    return found == NULL ? NULL : (struct segment *)(uintptr_t)*found;
}

static uint32_t block_of(uint64_t message)
{
    return (uint32_t)message / LOG_BLOCK_BYTES;
}

bool message_is_alive(const struct shard *shard, uint64_t message)
{
    const struct segment *segment = birthplace(shard, message);
    uint32_t block = block_of(message);
    return segment != NULL && block < segment->blocks &&
           (segment->alive[block / 8] >> (block % 8) & 1) != 0;
}

struct log_position message_position(const struct shard *shard, uint64_t message)
{
    const struct segment *segment = birthplace(shard, message);
    uint64_t *moved =
        segment == NULL ? NULL : table_find(&segment->moved, (uint64_t)(uint32_t)message + 1);
    return message_place(moved == NULL ? message : *moved);
}

static void alive_set(struct segment *segment, uint32_t block)
{
    if (block >= segment->blocks) {
        uint32_t blocks = segment->blocks ? segment->blocks : 512;
        while (blocks <= block)
            blocks *= 2;
        segment->alive = store_need_resize(segment->alive, blocks / 8);
        memset(segment->alive + segment->blocks / 8, 0, (blocks - segment->blocks) / 8);
        segment->blocks = blocks;
    }
    segment->alive[block / 8] = (uint8_t)(segment->alive[block / 8] | 1u << (block % 8));
    segment->born_alive++;
}

void message_born(struct shard *shard, uint64_t message, const struct log_record *record)
{
    (void)message;
    struct segment *segment = segment_of(shard, record->position.segment, true);
    segment->total_messages++;
    segment->total_body += record->body_size;
    segment->total_disk += record->disk_bytes;
}

static void lives_here(struct shard *shard, struct log_position position, uint64_t size, int sign)
{
    struct segment *segment = segment_of(shard, position.segment, true);
    segment->live_messages += (uint32_t)sign;
    segment->live_body += sign > 0 ? size : -size;
}

void message_moved(struct shard *shard, uint64_t message, const struct log_record *record)
{
    message_born(shard, message, record);
    if (!message_is_alive(shard, message))
        return;
    lives_here(shard, message_position(shard, message), record->body_size, -1);
    lives_here(shard, record->position, record->body_size, +1);
    table_put(&birthplace(shard, message)->moved, (uint64_t)(uint32_t)message + 1,
              message_id(record->position));
}

void message_refer(struct shard *shard, uint64_t message, uint64_t size)
{
    if (message_is_alive(shard, message)) {
        uint64_t *shared = table_find(&shard->shared, message);
        if (shared != NULL)
            ++*shared;
        else
            table_put(&shard->shared, message, 2);
        return;
    }
    alive_set(segment_of(shard, (uint32_t)(message >> 32), true), block_of(message));
    lives_here(shard, message_place(message), size, +1);
    shard->message_count++;
}

void message_release(struct shard *shard, uint64_t message, uint64_t size)
{
    assert(message_is_alive(shard, message) && "T3");
    uint64_t *shared = table_find(&shard->shared, message);
    if (shared != NULL) {
        if (--*shared == 1)
            table_remove(&shard->shared, message);
        return;
    }
    lives_here(shard, message_position(shard, message), size, -1);
    struct segment *segment = birthplace(shard, message);
    uint32_t block = block_of(message);
    segment->alive[block / 8] = (uint8_t)(segment->alive[block / 8] & ~(1u << (block % 8)));
    segment->born_alive--;
    table_remove(&segment->moved, (uint64_t)(uint32_t)message + 1);
    shard->message_count--;
}
