/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From records to state: the one place through which everything that is durable passes, live and in
 * replay. Also the metas that message records carry:
 *
 *   version, kind, message id (0: this position), date, zone
 *   text: what the kind adds
 *     delivered   origin shard + 1, its sequence, what is finished there │ recipients │ others
 *     appended    mailbox, flags, keywords
 *     moved       nothing
 *   text: envelope      text: summary
 *
 * An events record's meta: version, kind, what the kind says (see the fold_ functions).
 */
#include "store_private.h"

void event_begin_meta(struct bytes *bytes, enum event_kind kind)
{
    put_u8(bytes, META_VERSION);
    put_u8(bytes, (uint8_t)kind);
}

void message_meta_put(struct bytes *bytes, const struct message_meta *meta)
{
    put_u8(bytes, META_VERSION);
    put_u8(bytes, (uint8_t)meta->kind);
    put_u64(bytes, meta->message);
    put_u64(bytes, (uint64_t)meta->date);
    put_u32(bytes, (uint16_t)meta->zone);
    put_text(bytes, meta->body);
    put_text(bytes, meta->envelope);
    put_text(bytes, meta->summary);
}

int message_meta_parse(struct slice bytes, struct message_meta *ret_meta)
{
    struct reader reader = reader_of(bytes);
    uint8_t version = read_u8(&reader);
    struct message_meta meta = {.kind = read_u8(&reader)};
    meta.message = read_u64(&reader);
    meta.date = (int64_t)read_u64(&reader);
    meta.zone = (int16_t)read_u32(&reader);
    meta.body = read_text(&reader);
    meta.envelope = read_text(&reader);
    meta.summary = read_text(&reader);
    if (reader.failed || version != META_VERSION)
        return -EBADMSG;
    *ret_meta = meta;
    return 0;
}

/* ---------------------------------------------------------------- messages */

static struct mail_entry entry_of(const struct message_meta *meta, const struct log_record *record)
{
    return (struct mail_entry){
        .message = message_id(record->position),
        .date = meta->date,
        .date_zone = meta->zone,
        .size = (uint32_t)record->body_size,
    };
}

/* `count` recipients in the reader; passed over when not `deliver`. */
static uint32_t fold_recipients(struct shard *shard, struct reader *reader,
                                const struct mail_entry *entry, bool deliver)
{
    uint64_t count = read_number(reader);
    uint32_t delivered = 0;
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        struct slice user = read_text(reader), name = read_text(reader);
        if (reader->failed || !deliver)
            continue;
        struct account *account = account_find_or_make(shard, user, (uint32_t)entry->date);
        capture_before(account);
        unsigned at;
        struct mailbox *mailbox = account_lookup(account, name, &at);
        if (mailbox == NULL)
            mailbox = account_lookup(account, SLICE("INBOX"), &at);
        struct mail_entry copy = *entry;
        mailbox_add_entry(mailbox, &copy);
        mailbox_changed(mailbox);
        delivered++;
    }
    return delivered;
}

static void fold_delivered(struct shard *shard, const struct message_meta *meta,
                           const struct log_record *record, struct change *change)
{
    struct reader reader = reader_of(meta->body);
    struct mail_entry entry = entry_of(meta, record);
    uint32_t origin = read_u32(&reader);
    uint64_t sequence = read_u64(&reader), below = read_u64(&reader);
    bool deliver = origin == 0 || origin_takes(shard, origin - 1, sequence, below);
    uint32_t delivered = fold_recipients(shard, &reader, &entry, deliver);
    pending_add(shard, record->sequence, entry.message, entry.size, entry.date, &reader);
    if (change != NULL)
        counter_add(core_counters(shard->core), COUNTER_MESSAGES_DELIVERED, delivered);
}

static int fold_appended(struct shard *shard, const struct message_meta *meta,
                         const struct log_record *record, struct change *change)
{
    struct reader reader = reader_of(meta->body);
    struct mailbox *mailbox = mailbox_by_id(shard, read_u32(&reader));
    struct mail_entry entry = entry_of(meta, record);
    if (mailbox != NULL)
        capture_before(mailbox->account);
    entry.flags = (uint16_t)read_u32(&reader);
    entry.keywords = keywords_read(&reader, mailbox);
    if (reader.failed || mailbox == NULL)
        return -ENOENT;
    mailbox_add_entry(mailbox, &entry);
    mailbox_changed(mailbox);
    if (change != NULL) {
        change->uid = entry.uid;
        change->uidvalidity = mailbox->uidvalidity;
    }
    return 0;
}

void fold_message(struct shard *shard, const struct log_record *record, struct change *change)
{
    struct message_meta meta;
    int result = message_meta_parse(record->meta, &meta);
    if (result == 0 && meta.kind == META_MOVED) {
        message_moved(shard, meta.message, record);
    } else {
        message_born(shard, message_id(record->position), record);
        if (result == 0 && meta.kind == META_DELIVERED)
            fold_delivered(shard, &meta, record, change);
        else if (result == 0 && meta.kind == META_APPENDED)
            result = fold_appended(shard, &meta, record, change);
    }
    if (change != NULL)
        change->result = result;
}

/* ---------------------------------------------------------------- all records */

/* One row per kind of event. */
struct event_fold {
    enum event_kind kind;
    int (*fold)(struct shard *shard, struct reader *reader, struct change *change);
};
static const struct event_fold event_folds[] = {
    {EVENT_FOLDERS, fold_folders},   {EVENT_CREATE, fold_create}, {EVENT_DELETE, fold_delete},
    {EVENT_RENAME, fold_rename},     {EVENT_STORE, fold_store},   {EVENT_SUBSCRIBE, fold_subscribe},
    {EVENT_EXPUNGE, fold_expunge},   {EVENT_COPY, fold_copy},     {EVENT_FINISHED, fold_finished},
    {EVENT_DUMP_END, fold_dump_end},
};

static int fold_event(struct shard *shard, const struct log_record *record, struct change *change)
{
    struct reader reader = reader_of(record->meta);
    uint8_t version = read_u8(&reader), kind = read_u8(&reader);
    if (reader.failed || version != META_VERSION)
        return -EBADMSG;
    for (unsigned i = 0; i < sizeof event_folds / sizeof event_folds[0]; i++)
        if (event_folds[i].kind == kind)
            return event_folds[i].fold(shard, &reader, change);
    return 0; /* the other records of a dump change nothing */
}

void shard_fold(struct shard *shard, const struct log_record *record, struct change *change)
{
    assert(record->sequence > shard->folded_sequence && "T1");
    shard->folded_sequence = record->sequence;
    shard->folded = record->position;
    shard->bytes_since += record->disk_bytes;
    if (record->type == LOG_RECORD_MESSAGE) {
        fold_message(shard, record, change);
        return;
    }
    int result = record->type == LOG_RECORD_EVENTS ? fold_event(shard, record, change) : 0;
    if (change != NULL)
        change->result = result;
}
