/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Delivery. The receiving core makes the summary and the meta, then one record is appended on the
 * shard of the first recipient, and that is all when the others live there too. Else the record
 * also lists the other shards with their recipients: once it is durable the message is accepted,
 * and couriers bring it to the other shards (courier.c). The delivery waits a while for them, so
 * that mail is seen by all when it is acknowledged, and slow couriers slow the senders down.
 */
#include "store_private.h"

struct message_body *message_body_take(struct core *core, uint64_t size_hint)
{
    return (struct message_body *)log_body_take(core, size_hint);
}

/* How long a message waits for others to leave memory. */
static const uint64_t ROOM_WAIT_NS = UINT64_C(10000000000);

struct message_body *message_body_take_await(struct core *core, uint64_t size_hint)
{
    return (struct message_body *)log_body_take_await(core, size_hint,
                                                      core_now_ns(core) + ROOM_WAIT_NS);
}

char *message_body_room(struct message_body *body, size_t want, size_t *ret_room)
{
    return log_body_room((struct log_body *)body, want, ret_room);
}

char *message_body_await(struct core *core, struct message_body *body, size_t want,
                         size_t *ret_room)
{
    return log_body_await((struct log_body *)body, want, core_now_ns(core) + ROOM_WAIT_NS,
                          ret_room);
}

void message_body_added(struct message_body *body, size_t size)
{
    log_body_added((struct log_body *)body, size);
}

void message_body_cut(struct message_body *body, size_t size)
{
    log_body_cut((struct log_body *)body, size);
}

struct slice message_body_bytes(const struct message_body *body)
{
    return log_body_bytes((const struct log_body *)body);
}

void message_body_give(struct message_body *body)
{
    log_body_give((struct log_body *)body);
}

/* ---------------------------------------------------------------- recipients */

/* Marks those that name the same mailbox of the same user once more. */
static void mark_duplicates(const struct delivery *deliveries, const struct slice *names,
                            uint32_t *shards, unsigned count)
{
    struct table seen = {0}; /* hash of user and mailbox -> index + 1 */
    for (unsigned i = 0; count > 1 && i < count; i++) {
        struct slice user = deliveries[i].user;
        uint64_t key = hash_stable(user.data, user.size);
        key = hash_u64(key ^ hash_stable(names[i].data, names[i].size)) | 1;
        uint64_t *first = table_find(&seen, key);
        if (first == NULL)
            table_put(&seen, key, i + 1);
        else if (slice_equal(deliveries[*first - 1].user, user) &&
                 slice_equal(names[*first - 1], names[i]))
            shards[i] = UINT32_MAX;
    }
    table_free(&seen);
}

/* A list of the recipients that live on `shard`; duplicates have shard UINT32_MAX. */
static void recipients_put(struct bytes *bytes, uint32_t shard, const struct delivery *deliveries,
                           const struct slice *names, const uint32_t *shards, unsigned count)
{
    unsigned here = 0;
    for (unsigned i = 0; i < count; i++)
        here += shards[i] == shard;
    put_number(bytes, here);
    for (unsigned i = 0; i < count; i++) {
        if (shards[i] != shard)
            continue;
        put_text(bytes, deliveries[i].user);
        put_text(bytes, names[i]);
    }
}

/* The other shards, each with its recipients. Linear in recipients times shards, both small. */
static void others_put(struct bytes *bytes, const struct delivery *deliveries,
                       const struct slice *names, const uint32_t *shards, unsigned count)
{
    uint32_t others[SHARDS_MAX];
    unsigned other_count = 0;
    for (unsigned i = 0; i < count; i++) {
        bool is_new = shards[i] != shards[0] && shards[i] != UINT32_MAX;
        for (unsigned j = 0; j < other_count && is_new; j++)
            is_new = others[j] != shards[i];
        if (is_new)
            others[other_count++] = shards[i];
    }
    put_number(bytes, other_count);
    for (unsigned i = 0; i < other_count; i++) {
        put_u32(bytes, others[i]);
        recipients_put(bytes, others[i], deliveries, names, shards, count);
    }
}

/* What each delivery goes to: normalised mailbox name (in `arena`), shard. */
static int look_at(struct store *store, struct arena *arena, const struct delivery *deliveries,
                   unsigned count, struct slice *names, uint32_t *shards)
{
    for (unsigned i = 0; i < count; i++) {
        char buffer[MAILBOX_NAME_BYTES_MAX];
        struct slice user = deliveries[i].user;
        if (user.size == 0 || user.size > USER_NAME_BYTES_MAX)
            return -EINVAL;
        if (name_check(deliveries[i].mailbox, buffer, &names[i]) < 0 || name_is_inbox(names[i])) {
            names[i] = SLICE("INBOX");
        } else {
            names[i] = arena_copy(arena, names[i]);
            if (names[i].data == NULL)
                return -ENOMEM;
        }
        shards[i] = store_shard_of(store, user);
    }
    mark_duplicates(deliveries, names, shards, count);
    return 0;
}

/* ---------------------------------------------------------------- delivering */

struct accept {
    uint32_t shard;
    struct log_body *body;
    struct bytes meta;
};

/* On the shard's core. Takes over the body and the meta if it runs at all. */
static int accept_there(struct core *there, void *argument)
{
    struct accept *accept = argument;
    struct store *store = store_of(there);
    struct shard *shard = store == NULL ? NULL : store_shard(store, accept->shard);
    if (shard == NULL)
        return -EAGAIN;
    struct change change = {.meta = accept->meta};
    struct log_body *body = accept->body;
    log_body_arrive(body, there);
    accept->body = NULL;
    accept->meta = (struct bytes){0};
    int result = change_commit(&change, shard, body, false);
    couriers_start(shard);
    if (result == 0)
        courier_wait(shard, change.append.sequence);
    return result;
}

static int accept_make(struct store *store, struct arena *arena, struct slice envelope,
                       const struct delivery *deliveries, unsigned count, struct accept *accept)
{
    struct slice *names = arena_zalloc(arena, count, sizeof *names);
    uint32_t *shards = arena_zalloc(arena, count, sizeof *shards);
    if (names == NULL || shards == NULL)
        return -ENOMEM;
    int result = look_at(store, arena, deliveries, count, names, shards);
    if (result < 0)
        return result;
    struct bytes kind = {0};
    put_u32(&kind, 0);
    put_u64(&kind, 0);
    put_u64(&kind, 0);
    recipients_put(&kind, shards[0], deliveries, names, shards, count);
    others_put(&kind, deliveries, names, shards, count);
    struct message_meta meta = {
        .kind = META_DELIVERED,
        .date = core_wall_ns(store->core) / 1000000000,
        .body = slice_of(kind.data, kind.size),
        .envelope = envelope,
    };
    struct slice message = log_body_bytes(accept->body);
    if (mime_summarize(message, arena, &meta.summary) < 0 || meta.summary.size > SUMMARY_BYTES_MAX)
        meta.summary = (struct slice){0};
    message_meta_put(&accept->meta, &meta);
    accept->meta.failed |= kind.failed;
    put_free(&kind);
    accept->shard = shards[0];
    return accept->meta.failed ? -ENOMEM : 0;
}

int store_deliver(struct core *core, struct message_body *body, struct slice envelope,
                  struct delivery *deliveries, unsigned count)
{
    struct store *store = store_of(core);
    struct accept accept = {.body = (struct log_body *)body};
    struct arena arena;
    int result = count == 0 || count > DELIVERIES_MAX            ? -EINVAL
                 : log_body_bytes(accept.body).size > UINT32_MAX ? -EFBIG
                                                                 : 0;
    arena_init(&arena, SUMMARY_ARENA_BYTES_MAX + DELIVERIES_MAX * MAILBOX_NAME_BYTES_MAX);
    if (result == 0)
        result = accept_make(store, &arena, envelope, deliveries, count, &accept);
    arena_reset(&arena);
    if (result == 0)
        log_body_leave(accept.body);
    if (result == 0)
        result = core_call(core, accept.shard % core_count(core), accept_there, &accept);
    if (accept.body != NULL)
        log_body_give(accept.body);
    put_free(&accept.meta);
    for (unsigned i = 0; i < count; i++)
        deliveries[i].result = result;
    return result;
}
