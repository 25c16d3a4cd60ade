/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Getting space back. Segments of which little lives are emptied and dropped:
 *
 *   choose ─▶ each message that lives there is appended again (MOVED, same id) ─▶ the state as of
 *   some record S is written into the log (dump.c) ─▶ durable ─▶ drop ─▶ checkpoint
 *
 * A dropped segment takes with it events that the state was made from. So the state as of S must be
 * in the log itself before anything below S goes: then the log alone is still the whole truth, and
 * the checkpoint stays what it is, a cache. That costs the checkpoint's size each time, so it is
 * done only when at least twice as much comes back.
 *
 * Invariant: a segment is dropped only when no living message lies in it, the dump behind it is
 * durable, and no view numbers a message that lies in it.
 */
#include "store_private.h"

enum { VICTIMS_MAX = 32, MOVES_A_TURN = 16, SEGMENT_BYTES = 67108864 };

struct victims {
    uint32_t numbers[VICTIMS_MAX];
    unsigned count;
    uint64_t bytes; /* that come back */
};

/* What lives in a segment, in bytes on disk. */
static uint64_t live_bytes(const struct segment *segment)
{
    if (segment == NULL || segment->live_messages == 0)
        return 0;
    uint64_t beside = segment->total_disk - segment->total_body; /* headers, metas, padding */
    return segment->live_body + beside / segment->total_messages * segment->live_messages;
}

static int segments_list(struct shard *shard, struct log_segment **ret_segments,
                         unsigned *ret_count)
{
    unsigned count = log_segments(shard->log, NULL, 0);
    struct log_segment *segments = calloc(count + 1, sizeof *segments);
    if (segments == NULL)
        return -ENOMEM;
    *ret_count = log_segments(shard->log, segments, count);
    if (*ret_count > count)
        *ret_count = count;
    *ret_segments = segments;
    return 0;
}

struct candidate {
    uint32_t number, bytes;
    uint64_t live;
};

static int by_live(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;
    return left->live < right->live ? -1 : left->live > right->live;
}

/* How much may be moved. On a full disk there is one segment kept free for this, which must hold
 * the dump too: little by little it comes back. */
static uint64_t move_bytes_max(const struct shard *shard)
{
    uint32_t segment = shard->store->options.segment_bytes;
    if (log_state(shard->log) != -ENOSPC)
        return UINT64_MAX;
    return (segment ? segment : SEGMENT_BYTES) / 4;
}

/* Those of which least lives. */
static int victims_choose(struct shard *shard, unsigned percent, const struct log_segment *segments,
                          unsigned count, struct victims *victims)
{
    unsigned candidate_count = 0;
    uint64_t left = move_bytes_max(shard);
    struct candidate *candidates = malloc((count + 1) * sizeof *candidates);
    if (candidates == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i + 1 < count; i++) {
        uint64_t live = live_bytes(segment_of(shard, segments[i].number, false));
        uint32_t bytes = segments[i].valid_bytes;
        if (segments[i].number < shard->folded.segment && live < (uint64_t)bytes * percent / 100)
            candidates[candidate_count++] = (struct candidate){segments[i].number, bytes, live};
    }
    qsort(candidates, candidate_count, sizeof *candidates, by_live);
    *victims = (struct victims){0};
    for (unsigned i = 0; i < candidate_count && victims->count < VICTIMS_MAX; i++) {
        if (candidates[i].live > left)
            break;
        left -= candidates[i].live;
        victims->numbers[victims->count++] = candidates[i].number;
        victims->bytes += candidates[i].bytes - candidates[i].live;
    }
    free(candidates);
    return 0;
}

/* ---------------------------------------------------------------- moving */

struct moving {
    struct shard *shard;
    unsigned moved;
};

static int body_read(struct shard *shard, const struct log_record *record,
                     struct log_body **ret_body)
{
    uint64_t done = 0;
    struct log_body *body = log_body_take(shard->core, record->body_size);
    int64_t result = body == NULL ? -ENOMEM : 0;
    while (result >= 0 && done < record->body_size) {
        size_t room = 0;
        char *at = log_body_room(body, (size_t)(record->body_size - done), &room);
        result = at == NULL ? -ENOMEM
                            : log_read_body(shard->log, record->position, record->body_size, done,
                                            at, room);
        if (result == 0)
            result = -EBADMSG;
        if (result > 0) {
            log_body_added(body, (size_t)result);
            done += (uint64_t)result;
        }
    }
    if (result < 0) {
        if (body != NULL)
            log_body_give(body);
        return (int)result;
    }
    *ret_body = body;
    return 0;
}

static int move_one(void *argument, const struct log_record *record)
{
    struct moving *moving = argument;
    struct shard *shard = moving->shard;
    struct message_meta meta;
    if (shard->is_closing)
        return -ESHUTDOWN;
    if (record->type != LOG_RECORD_MESSAGE || message_meta_parse(record->meta, &meta) < 0)
        return 0;
    uint64_t message = meta.kind == META_MOVED ? meta.message : message_id(record->position);
    if (!message_is_alive(shard, message) ||
        message_id(message_position(shard, message)) != message_id(record->position))
        return 0;
    struct log_body *body = NULL;
    int result = body_read(shard, record, &body);
    if (result < 0)
        return result;
    struct change change = {0};
    meta.kind = META_MOVED;
    meta.message = message;
    meta.body = (struct slice){0};
    message_meta_put(&change.meta, &meta);
    result = change_commit(&change, shard, body, true);
    if (++moving->moved % MOVES_A_TURN == 0)
        fiber_yield(shard->core);
    return result;
}

/* Those that cannot be emptied (a damaged message, no more room) are no victims. */
static int victims_empty(struct shard *shard, struct victims *victims)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < victims->count; i++) {
        struct moving moving = {.shard = shard};
        int result = log_scan(shard->log, victims->numbers[i], move_one, &moving);
        if (result == -ESHUTDOWN || result == -ENOMEM)
            return result;
        if (result == -ENOSPC)
            break;
        if (result == 0)
            victims->numbers[kept++] = victims->numbers[i];
    }
    victims->count = kept;
    return 0;
}

/* ---------------------------------------------------------------- dropping */

/* Does the view number a message that is gone and lies there? */
static bool view_needs(const struct view *view, uint32_t number)
{
    struct list_difference walk = {.old_at.list = view->snapshot,
                                   .new_at.list = view->mailbox->list};
    for (const struct mail_entry *was, *is; list_differ(&walk, &was, &is);)
        if (is == NULL && was->message >> 32 == number)
            return true;
    return false;
}

static bool is_viewed(const struct shard *shard, uint32_t number)
{
    size_t index = 0;
    for (const struct table_slot *slot; (slot = table_next(&shard->mailboxes, &index)) != NULL;) {
        const struct mailbox *mailbox = (const struct mailbox *)(uintptr_t)slot->value;
        for (const struct view *view = mailbox->views; view != NULL; view = view->next)
            if (view_stale(view) && view_needs(view, number))
                return true;
    }
    return false;
}

/* What is known of segments that are gone and of which no message lives on elsewhere. */
static void segments_forget(struct shard *shard)
{
    struct log_segment *segments;
    unsigned count;
    if (segments_list(shard, &segments, &count) < 0)
        return;
    uint32_t oldest = count > 0 ? segments[0].number : 0;
    free(segments);
    size_t index = 0;
    for (const struct table_slot *slot; (slot = table_next(&shard->segments, &index)) != NULL;) {
        struct segment *segment = (struct segment *)(uintptr_t)slot->value;
        if (segment->number >= oldest || segment->born_alive > 0)
            continue;
        table_remove(&shard->segments, segment->number);
        table_free(&segment->moved);
        free(segment->alive);
        free(segment);
        index = 0; /* slots have moved */
    }
}

static int victims_drop(struct shard *shard, const struct victims *victims)
{
    int first = 0;
    for (unsigned i = 0; i < victims->count; i++) {
        const struct segment *segment = segment_of(shard, victims->numbers[i], false);
        if ((segment != NULL && segment->live_messages > 0) ||
            is_viewed(shard, victims->numbers[i]))
            continue;
        int result = log_drop(shard->log, victims->numbers[i]);
        if (first == 0 && result != -ENOENT)
            first = result;
    }
    segments_forget(shard);
    return first;
}

static int compact_locked(struct shard *shard, unsigned percent)
{
    struct log_segment *segments;
    struct victims victims;
    unsigned count;
    int result = segments_list(shard, &segments, &count);
    if (result < 0)
        return result;
    result = victims_choose(shard, percent, segments, count, &victims);
    free(segments);
    if (result < 0 || victims.count == 0 || victims.bytes < 2 * shard->checkpoint.size)
        return result;
    result = victims_empty(shard, &victims);
    if (result < 0 || victims.count == 0)
        return result;
    result = dump_write(shard);
    if (result == 0)
        result = victims_drop(shard, &victims);
    /* The one in use is older than the dump: without a new one, the next start begins from the
     * dump. On a full disk it may do so. */
    int checkpoint_result = result == 0 ? checkpoint_write_locked(shard) : 0;
    return result == 0 && checkpoint_result != -ENOSPC ? checkpoint_result : result;
}

int shard_compact(struct shard *shard, unsigned percent)
{
    fiber_lock_take(shard->core, &shard->checkpoint_lock);
    int result = compact_locked(shard, percent);
    fiber_lock_give(shard->core, &shard->checkpoint_lock);
    return result == -EBADMSG ? cold_rebuild(shard) : result;
}

int store_compact(struct core *core, unsigned percent)
{
    struct store *store = store_of(core);
    int first = 0;
    for (unsigned i = 0; i < store->own_count; i++) {
        int result = shard_compact(store->own[i], percent);
        if (first == 0)
            first = result;
    }
    return first;
}
