/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages of several shards, exactly once over any crash:
 *
 *   origin: accept record, durable ─▶ pending ─▶ courier: reads it back ─▶ target: record with the
 *           key (origin, sequence), durable ─▶ origin: FINISHED, durable ─▶ forgotten
 *
 * After a crash what is pending is sent again; a target that has folded the key already does
 * nothing. It may forget keys below the lowest sequence that the origin still has pending for it,
 * which every record from there says: FINISHED is durable then, so such a key never comes again.
 *
 * Invariant: a pending message is referred to, so that its bytes stay (T3).
 */
#include "store_private.h"

static const uint64_t RETRY_NS = UINT64_C(1000000000), WAIT_NS = UINT64_C(5000000000);

/* ---------------------------------------------------------------- origin: what is pending */

void pending_add(struct shard *shard, uint64_t sequence, uint64_t message, uint64_t size,
                 int64_t date, struct reader *others)
{
    uint64_t count = read_number(others);
    if (others->failed || count == 0 || count > SHARDS_MAX)
        return;
    struct pending *pending =
        store_need(sizeof *pending + (size_t)count * sizeof pending->targets[0]);
    pending->sequence = sequence;
    pending->message = message;
    pending->size = (uint32_t)size;
    pending->date = date;
    for (uint64_t i = 0; i < count; i++) {
        struct pending_target *target = &pending->targets[i];
        target->shard = read_u32(others);
        const unsigned char *begin = others->at;
        uint64_t recipients = read_number(others);
        for (uint64_t j = 0; j < recipients * 2 && !others->failed; j++)
            read_text(others);
        if (others->failed)
            break;
        put_raw(&target->recipients, slice_of(begin, (size_t)(others->at - begin)));
        assert(!target->recipients.failed && "T1");
        pending->target_count++;
    }
    struct pending **last = &shard->pending;
    while (*last != NULL)
        last = &(*last)->next;
    *last = pending;
    message_refer(shard, message, size);
}

void pending_free(struct pending *pending)
{
    assert(pending->waiters.first == NULL);
    for (unsigned i = 0; i < pending->target_count; i++)
        put_free(&pending->targets[i].recipients);
    free(pending);
}

void pending_finish(struct shard *shard, uint64_t sequence, uint32_t target_shard)
{
    struct pending **at = &shard->pending;
    while (*at != NULL && (*at)->sequence != sequence)
        at = &(*at)->next;
    struct pending *pending = *at;
    if (pending == NULL)
        return;
    bool is_finished = true;
    for (unsigned i = 0; i < pending->target_count; i++) {
        if (pending->targets[i].shard == target_shard)
            pending->targets[i].is_finished = true;
        is_finished &= pending->targets[i].is_finished;
    }
    if (!is_finished)
        return;
    *at = pending->next;
    message_release(shard, pending->message, pending->size);
    waiters_wake_all(shard->core, &pending->waiters);
    pending_free(pending);
}

int fold_finished(struct shard *shard, struct reader *reader, struct change *change)
{
    (void)change;
    uint64_t sequence = read_u64(reader);
    uint32_t target = read_u32(reader);
    if (!reader->failed)
        pending_finish(shard, sequence, target);
    return 0;
}

/* Everything this shard has accepted for `target` below this sequence is finished. */
static uint64_t finished_below(const struct shard *shard, uint32_t target)
{
    for (const struct pending *pending = shard->pending; pending != NULL; pending = pending->next)
        for (unsigned i = 0; i < pending->target_count; i++)
            if (pending->targets[i].shard == target && !pending->targets[i].is_finished)
                return pending->sequence;
    return shard->folded_sequence + 1;
}

/* ---------------------------------------------------------------- target: what was taken */

static struct origin *origin_of(const struct shard *shard, uint32_t number)
{
    uint64_t *found = table_find(&shard->origins, (uint64_t)number + 1);
    return found == NULL ? NULL : (struct origin *)(uintptr_t)*found;
}

bool origin_has_taken(const struct shard *shard, uint32_t number, uint64_t sequence)
{
    const struct origin *origin = origin_of(shard, number);
    return origin != NULL &&
           (sequence < origin->below || table_find(&origin->taken, sequence) != NULL);
}

bool origin_takes(struct shard *shard, uint32_t number, uint64_t sequence, uint64_t below)
{
    if (sequence == 0 || origin_has_taken(shard, number, sequence))
        return false;
    struct origin *origin = origin_of(shard, number);
    if (origin == NULL) {
        origin = store_need(sizeof *origin);
        table_put(&shard->origins, (uint64_t)number + 1, (uintptr_t)origin);
    }
    struct table left = {0};
    size_t index = 0;
    for (const struct table_slot *slot; (slot = table_next(&origin->taken, &index)) != NULL;)
        if (slot->key >= below)
            table_put(&left, slot->key, 1);
    table_free(&origin->taken);
    origin->taken = left;
    if (below > origin->below)
        origin->below = below;
    table_put(&origin->taken, sequence, 1);
    return true;
}

void origins_free(struct shard *shard)
{
    size_t index = 0;
    for (const struct table_slot *slot; (slot = table_next(&shard->origins, &index)) != NULL;) {
        struct origin *origin = (struct origin *)(uintptr_t)slot->value;
        table_free(&origin->taken);
        free(origin);
    }
    table_free(&shard->origins);
}

/* ---------------------------------------------------------------- couriers */

struct parcel {
    uint32_t origin, target;
    uint64_t sequence;
    struct log_body *body;
    struct bytes meta;
};

static int take_there(struct core *there, void *argument)
{
    struct parcel *parcel = argument;
    struct store *store = store_of(there);
    struct shard *shard = store == NULL ? NULL : store_shard(store, parcel->target);
    if (shard == NULL)
        return -EAGAIN;
    if (origin_has_taken(shard, parcel->origin, parcel->sequence))
        return 0;
    struct change change = {.meta = parcel->meta};
    struct log_body *body = parcel->body;
    log_body_arrive(body, there);
    parcel->meta = (struct bytes){0};
    parcel->body = NULL;
    return change_commit(&change, shard, body, false);
}

static int body_load(struct shard *shard, const struct pending *pending, struct log_body **ret_body)
{
    uint64_t done = 0, message = pending->message, size = pending->size;
    struct log_body *body = log_body_take(shard->core, size);
    if (body == NULL)
        return -ENOMEM;
    while (done < size) {
        size_t room;
        char *at = log_body_room(body, (size_t)(size - done), &room);
        int64_t result = at == NULL ? -ENOMEM
                                    : log_read_body(shard->log, message_position(shard, message),
                                                    size, done, at, room);
        if (result <= 0) {
            log_body_give(body);
            return result < 0 ? (int)result : -EBADMSG;
        }
        log_body_added(body, (size_t)result);
        done += (uint64_t)result;
    }
    *ret_body = body;
    return 0;
}

static int parcel_make(struct shard *shard, const struct pending *pending,
                       const struct pending_target *target, struct parcel *parcel)
{
    struct bytes stored, kind = {0};
    struct message_meta meta;
    int result = message_meta_load(shard, pending->message, &stored, &meta);
    if (result < 0)
        return result;
    result = body_load(shard, pending, &parcel->body);
    if (result == 0) {
        put_u32(&kind, shard->number + 1);
        put_u64(&kind, pending->sequence);
        put_u64(&kind, finished_below(shard, target->shard));
        put_raw(&kind, slice_of(target->recipients.data, target->recipients.size));
        put_number(&kind, 0);
        meta.kind = META_DELIVERED;
        meta.message = 0;
        meta.body = slice_of(kind.data, kind.size);
        message_meta_put(&parcel->meta, &meta);
        parcel->meta.failed |= kind.failed;
    }
    put_free(&kind);
    put_free(&stored);
    return result;
}

static int carry(struct shard *shard, struct pending *pending, struct pending_target *target)
{
    struct parcel parcel = {
        .origin = shard->number, .target = target->shard, .sequence = pending->sequence};
    int result = parcel_make(shard, pending, target, &parcel);
    if (result == 0)
        log_body_leave(parcel.body);
    if (result == 0)
        result =
            core_call(shard->core, target->shard % core_count(shard->core), take_there, &parcel);
    if (parcel.body != NULL)
        log_body_give(parcel.body);
    put_free(&parcel.meta);
    if (result < 0)
        return result;
    struct change change = {0};
    event_begin_meta(&change.meta, EVENT_FINISHED);
    put_u64(&change.meta, parcel.sequence);
    put_u32(&change.meta, parcel.target);
    return change_commit(&change, shard, NULL, true);
}

static struct pending_target *next_idle(struct shard *shard, struct pending **ret_pending)
{
    for (struct pending *pending = shard->pending; pending != NULL; pending = pending->next)
        for (unsigned i = 0; i < pending->target_count; i++)
            if (!pending->targets[i].is_finished && !pending->targets[i].is_under_way) {
                *ret_pending = pending;
                return &pending->targets[i];
            }
    return NULL;
}

/* Carries until nothing idle is left. What failed stays under way for a while, so that others are
 * tried first. */
static void courier(void *argument)
{
    struct shard *shard = argument;
    struct pending *pending;
    struct pending_target *target;
    while (!shard->is_closing && (target = next_idle(shard, &pending)) != NULL) {
        target->is_under_way = true;
        if (carry(shard, pending, target) == 0)
            continue; /* `pending` may be gone */
        waiters_wait(shard->core, &shard->courier_retry, core_now_ns(shard->core) + RETRY_NS);
        target->is_under_way = false;
    }
    shard->couriers--;
    if (--shard->background == 0)
        waiters_wake_all(shard->core, &shard->background_ended);
}

void courier_wait(struct shard *shard, uint64_t sequence)
{
    for (struct pending *pending = shard->pending; pending != NULL && !shard->is_closing;
         pending = pending->next)
        if (pending->sequence == sequence) {
            waiters_wait(shard->core, &pending->waiters, core_now_ns(shard->core) + WAIT_NS);
            return;
        }
}

void couriers_start(struct shard *shard)
{
    struct pending *pending;
    if (shard->is_closing || shard->couriers == COURIERS_MAX || next_idle(shard, &pending) == NULL)
        return;
    if (fiber_start(shard->core, courier, shard) < 0)
        return; /* the next delivery, or the courier that runs, comes by */
    shard->couriers++;
    shard->background++;
}
