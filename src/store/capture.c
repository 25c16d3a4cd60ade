/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state of a shard as of one record, taken while the fold goes on: first what the whole shard
 * has, at once; then account by account, some in each turn. The fold captures an account itself
 * before it changes one that was not taken yet, so that all are as of the same record. Lists of
 * messages are only referred to (T4), and written out later.
 *
 * The bytes made here are the checkpoint's directory:
 *
 *   ids, counts │ segments │ shared │ origins │ pending │ (1, account)* │ 0
 *   account: user, uidvalidity, folders │ subscriptions │ mailboxes
 *
 * Invariant: an account is captured at most once, and before anything of it changes.
 */
#include "store_private.h"

enum { ACCOUNTS_A_STEP_MAX = 64, DIRECTORY_VERSION = 1 };

/* ---------------------------------------------------------------- out */

static void table_put_all(struct bytes *bytes, const struct table *table)
{
    size_t index = 0;
    put_number(bytes, table->used);
    for (const struct table_slot *slot; (slot = table_next(table, &index)) != NULL;) {
        put_u64(bytes, slot->key);
        put_u64(bytes, slot->value);
    }
}

static void segments_put(struct bytes *bytes, const struct shard *shard)
{
    size_t index = 0;
    put_number(bytes, shard->segments.used);
    for (const struct table_slot *slot; (slot = table_next(&shard->segments, &index)) != NULL;) {
        const struct segment *segment = (const struct segment *)(uintptr_t)slot->value;
        put_u32(bytes, segment->number);
        put_u32(bytes, segment->born_alive);
        put_u32(bytes, segment->total_messages);
        put_u32(bytes, segment->live_messages);
        put_u64(bytes, segment->total_body);
        put_u64(bytes, segment->total_disk);
        put_u64(bytes, segment->live_body);
        put_text(bytes, slice_of(segment->alive, segment->born_alive ? segment->blocks / 8 : 0));
        table_put_all(bytes, &segment->moved);
    }
}

static void origins_put(struct bytes *bytes, const struct shard *shard)
{
    size_t index = 0;
    put_number(bytes, shard->origins.used);
    for (const struct table_slot *slot; (slot = table_next(&shard->origins, &index)) != NULL;) {
        const struct origin *origin = (const struct origin *)(uintptr_t)slot->value;
        put_u64(bytes, slot->key);
        put_u64(bytes, origin->below);
        table_put_all(bytes, &origin->taken);
    }
}

static void pending_put(struct bytes *bytes, const struct shard *shard)
{
    uint64_t count = 0;
    for (const struct pending *pending = shard->pending; pending != NULL; pending = pending->next)
        count++;
    put_number(bytes, count);
    for (const struct pending *pending = shard->pending; pending != NULL; pending = pending->next) {
        put_u64(bytes, pending->sequence);
        put_u64(bytes, pending->message);
        put_u64(bytes, pending->size);
        put_u64(bytes, (uint64_t)pending->date);
        put_number(bytes, pending->target_count);
        for (unsigned i = 0; i < pending->target_count; i++) {
            const struct pending_target *target = &pending->targets[i];
            put_u32(bytes, target->shard);
            put_u8(bytes, target->is_finished);
            put_text(bytes, slice_of(target->recipients.data, target->recipients.size));
        }
    }
}

static void mailbox_capture(struct capture *capture, struct mailbox *mailbox)
{
    struct bytes *bytes = &capture->directory;
    if (capture->mailbox_count == capture->mailbox_capacity) {
        capture->mailbox_capacity = capture->mailbox_capacity ? capture->mailbox_capacity * 2 : 4;
        capture->mailboxes = store_need_resize(capture->mailboxes, capture->mailbox_capacity *
                                                                       sizeof *capture->mailboxes);
    }
    struct captured *captured = &capture->mailboxes[capture->mailbox_count++];
    *captured = (struct captured){
        .id = mailbox->id,
        .count = mailbox->messages,
        .uidnext = mailbox->uidnext,
        .offset = capture->offset,
        .list = list_ref(mailbox->list),
        .cold_offset = mailbox->is_cold ? mailbox->cold_offset : 0,
        .cold_count = mailbox->is_cold ? mailbox->cold_count : 0,
    };
    assert(captured->cold_count + list_count(captured->list) == captured->count && "T1");
    capture->offset += PART_HEAD_BYTES + (uint64_t)captured->count * PART_ENTRY_BYTES;
    put_text(bytes, mailbox_name(mailbox));
    put_u32(bytes, mailbox->id);
    put_u32(bytes, mailbox->uidvalidity);
    put_u32(bytes, mailbox->uidnext);
    put_u32(bytes, mailbox->messages);
    put_u32(bytes, mailbox->unseen);
    put_u32(bytes, mailbox->deleted_messages);
    put_u32(bytes, mailbox->recent_uid);
    put_u64(bytes, mailbox->highest_modseq);
    put_u64(bytes, mailbox->bytes);
    put_u8(bytes, mailbox->use);
    put_u64(bytes, mailbox->keywords_durable);
    for (unsigned bit = 0; bit < KEYWORDS_MAX; bit++)
        if (mailbox->keywords_durable >> bit & 1)
            put_text(bytes, mailbox_keyword(mailbox, bit));
    put_u64(bytes, captured->offset);
}

static void account_capture(struct capture *capture, struct account *account)
{
    struct bytes *bytes = &capture->directory;
    if (account->capture == capture->shard->capture_number)
        return;
    account->capture = capture->shard->capture_number;
    put_u8(bytes, 1);
    put_text(bytes, account_user(account));
    put_u32(bytes, account->uidvalidity_last);
    put_u8(bytes, account->has_folders);
    put_number(bytes, account->subscriptions.count);
    for (unsigned i = 0; i < account->subscriptions.count; i++)
        put_text(bytes, names_at(&account->subscriptions, i));
    put_number(bytes, account->count);
    for (unsigned i = 0; i < account->count; i++)
        mailbox_capture(capture, account->mailboxes[i]);
}

void capture_before(struct account *account)
{
    struct capture *capture = account->shard->capture;
    if (capture != NULL)
        account_capture(capture, account);
}

int capture_begin(struct shard *shard, struct capture *capture)
{
    assert(shard->capture == NULL);
    *capture = (struct capture){.shard = shard,
                                .position = shard->folded,
                                .sequence = shard->folded_sequence,
                                .offset = CHECKPOINT_HEAD_BYTES};
    capture->accounts = calloc(shard->account_count + 1, sizeof(struct account *));
    if (capture->accounts == NULL)
        return -ENOMEM;
    size_t index = 0;
    for (const struct table_slot *slot; (slot = table_next(&shard->accounts, &index)) != NULL;)
        for (struct account *account = (struct account *)(uintptr_t)slot->value; account != NULL;
             account = account->next)
            capture->accounts[capture->account_count++] = account;
    struct bytes *bytes = &capture->directory;
    put_u8(bytes, DIRECTORY_VERSION);
    put_u32(bytes, shard->mailbox_id_last);
    put_u64(bytes, shard->message_count);
    segments_put(bytes, shard);
    table_put_all(bytes, &shard->shared);
    origins_put(bytes, shard);
    pending_put(bytes, shard);
    shard->capture = capture;
    shard->capture_number++;
    return 0;
}

bool capture_step(struct capture *capture)
{
    size_t count =
        1 + capture->account_next / 4; /* small ones first: small stores are shared too */
    for (size_t i = 0; i < count && i < ACCOUNTS_A_STEP_MAX; i++) {
        if (capture->account_next == capture->account_count) {
            if (capture->shard->capture == capture) {
                put_u8(&capture->directory, 0);
                capture->shard->capture = NULL;
            }
            return false;
        }
        account_capture(capture, capture->accounts[capture->account_next++]);
    }
    return true;
}

void capture_end(struct capture *capture)
{
    if (capture->shard->capture == capture)
        capture->shard->capture = NULL;
    for (size_t i = 0; i < capture->mailbox_count; i++)
        list_unref(capture->mailboxes[i].list);
    free(capture->mailboxes);
    free(capture->accounts);
    put_free(&capture->directory);
}

/* ---------------------------------------------------------------- in */

static void table_load(struct reader *reader, struct table *table)
{
    uint64_t count = read_number(reader);
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        uint64_t key = read_u64(reader), value = read_u64(reader);
        if (key == 0)
            reader->failed = true;
        else if (!reader->failed)
            table_put(table, key, value);
    }
}

static void segments_load(struct reader *reader, struct shard *shard)
{
    uint64_t count = read_number(reader);
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        uint32_t number = read_u32(reader);
        if (reader->failed || number == 0) {
            reader->failed = true;
            return;
        }
        struct segment *segment = segment_of(shard, number, true);
        segment->born_alive = read_u32(reader);
        segment->total_messages = read_u32(reader);
        segment->live_messages = read_u32(reader);
        segment->total_body = read_u64(reader);
        segment->total_disk = read_u64(reader);
        segment->live_body = read_u64(reader);
        struct slice alive = read_text(reader);
        if (alive.size > 0) {
            segment->alive = store_need(alive.size);
            memcpy(segment->alive, alive.data, alive.size);
            segment->blocks = (uint32_t)alive.size * 8;
        }
        table_load(reader, &segment->moved);
    }
}

static void origins_load(struct reader *reader, struct shard *shard)
{
    uint64_t count = read_number(reader);
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        uint64_t key = read_u64(reader), below = read_u64(reader);
        if (key == 0 || reader->failed) {
            reader->failed = true;
            return;
        }
        struct origin *origin = store_need(sizeof *origin);
        origin->below = below;
        table_put(&shard->origins, key, (uintptr_t)origin);
        table_load(reader, &origin->taken);
    }
}

static void pending_load(struct reader *reader, struct shard *shard)
{
    uint64_t count = read_number(reader);
    struct pending **last = &shard->pending;
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        uint64_t sequence = read_u64(reader), message = read_u64(reader);
        uint64_t size = read_u64(reader), date = read_u64(reader), targets = read_number(reader);
        if (reader->failed || targets > SHARDS_MAX) {
            reader->failed = true;
            return;
        }
        struct pending *pending =
            store_need(sizeof *pending + (size_t)targets * sizeof pending->targets[0]);
        *pending = (struct pending){.sequence = sequence,
                                    .message = message,
                                    .size = (uint32_t)size,
                                    .date = (int64_t)date,
                                    .target_count = (unsigned)targets};
        for (uint64_t j = 0; j < targets; j++) {
            struct pending_target *target = &pending->targets[j];
            *target = (struct pending_target){.shard = read_u32(reader)};
            target->is_finished = read_u8(reader) != 0;
            put_raw(&target->recipients, read_text(reader));
            assert(!target->recipients.failed);
        }
        *last = pending;
        last = &pending->next;
    }
}

static void mailbox_load(struct reader *reader, struct account *account)
{
    struct shard *shard = account->shard;
    struct slice name = read_text(reader);
    struct mailbox read = {.account = account, .is_cold = true};
    read.id = read_u32(reader);
    read.uidvalidity = read_u32(reader);
    read.uidnext = read_u32(reader);
    read.messages = read.cold_count = read_u32(reader);
    read.unseen = read_u32(reader);
    read.deleted_messages = read_u32(reader);
    read.recent_uid = read_u32(reader);
    read.highest_modseq = read_u64(reader);
    read.bytes = read_u64(reader);
    read.use = read_u8(reader);
    uint64_t keywords = read_u64(reader);
    unsigned at;
    if (reader->failed || read.id == 0 || name.size == 0 || name.size > MAILBOX_NAME_BYTES_MAX ||
        account_lookup(account, name, &at) != NULL || mailbox_by_id(shard, read.id) != NULL) {
        reader->failed = true;
        return;
    }
    struct mailbox *mailbox = store_need(sizeof *mailbox);
    *mailbox = read;
    mailbox->list = list_new();
    account_put_in(account, mailbox, name);
    table_put(&shard->mailboxes, mailbox->id, (uintptr_t)mailbox);
    shard->mailbox_count++;
    for (unsigned bit = 0; bit < KEYWORDS_MAX; bit++)
        if (keywords >> bit & 1)
            keyword_define(mailbox, bit, read_text(reader));
    mailbox->cold_offset = read_u64(reader);
    mailbox->is_cold = mailbox->cold_count > 0;
}

static void account_load(struct reader *reader, struct shard *shard)
{
    struct slice user = read_text(reader);
    if (reader->failed || user.size == 0 || account_find(shard, user) != NULL) {
        reader->failed = true;
        return;
    }
    struct account *account = account_make(shard, user);
    account->uidvalidity_last = read_u32(reader);
    account->has_folders = read_u8(reader) != 0;
    uint64_t names = read_number(reader);
    for (uint64_t i = 0; i < names && !reader->failed; i++)
        names_add(&account->subscriptions, read_text(reader));
    uint64_t mailboxes = read_number(reader);
    for (uint64_t i = 0; i < mailboxes && !reader->failed; i++)
        mailbox_load(reader, account);
}

int directory_load(struct shard *shard, struct slice directory)
{
    struct reader reader = reader_of(directory);
    if (read_u8(&reader) != DIRECTORY_VERSION)
        return -EBADMSG;
    shard->mailbox_id_last = read_u32(&reader);
    shard->message_count = read_u64(&reader);
    segments_load(&reader, shard);
    table_load(&reader, &shard->shared);
    origins_load(&reader, shard);
    pending_load(&reader, shard);
    while (!reader.failed && read_u8(&reader) == 1)
        account_load(&reader, shard);
    return reader.failed ? -EBADMSG : 0;
}
