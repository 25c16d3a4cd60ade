/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A mailbox: its numbers, its keywords, and what the fold does to its list of messages. What
 * sessions call to change messages is in changes.c, what they see in view.c.
 *
 * A keyword gets its bit when a session first asks for it, in memory only; the change that uses it
 * carries the name into the log. So the bit is fixed for this process life at least, and a bit
 * never asked for again is free after a restart.
 */
#include "store_private.h"

struct mailbox *mailbox_by_id(const struct shard *shard, uint32_t id)
{
    uint64_t *found = table_find(&shard->mailboxes, id);
    return found == NULL ? NULL : (struct mailbox *)(uintptr_t)*found;
}

struct slice mailbox_name(const struct mailbox *mailbox)
{
    return slice_of(mailbox->name, mailbox->name_size);
}

enum mailbox_use mailbox_special_use(const struct mailbox *mailbox)
{
    return mailbox->use;
}

void mailbox_free(struct mailbox *mailbox)
{
    assert(mailbox->views == NULL && "a view outlives its account's reference");
    list_unref(mailbox->list);
    for (unsigned bit = 0; mailbox->keywords != NULL && bit < KEYWORDS_MAX; bit++)
        free(mailbox->keywords[bit]);
    free(mailbox->keywords);
    free(mailbox->name);
    free(mailbox);
}

int mailbox_status(struct mailbox *mailbox, struct mailbox_status *ret_status)
{
    int result = mailbox_pin(mailbox);
    if (result < 0)
        return result;
    uint32_t first_recent = list_find(mailbox->list, mailbox->recent_uid + 1, true);
    *ret_status = (struct mailbox_status){
        .messages = mailbox->messages,
        .recent = list_count(mailbox->list) + 1 - first_recent,
        .unseen = mailbox->unseen,
        .deleted = mailbox->deleted_messages,
        .uidvalidity = mailbox->uidvalidity,
        .uidnext = mailbox->uidnext,
        .highest_modseq = mailbox->highest_modseq,
        .bytes = mailbox->bytes,
        .id = mailbox->id,
    };
    mailbox_unpin(mailbox);
    return 0;
}

bool mailbox_pop3_lock(struct mailbox *mailbox)
{
    if (mailbox->is_locked)
        return false;
    mailbox->is_locked = true;
    return true;
}

void mailbox_pop3_unlock(struct mailbox *mailbox)
{
    assert(mailbox->is_locked);
    mailbox->is_locked = false;
}

/* ---------------------------------------------------------------- keywords */

struct slice mailbox_keyword(const struct mailbox *mailbox, unsigned bit)
{
    if (bit >= KEYWORDS_MAX || mailbox->keywords == NULL || mailbox->keywords[bit] == NULL)
        return (struct slice){0};
    return counted_slice(mailbox->keywords[bit]);
}

/* RFC 9051 section 9, flag-keyword: an atom. */
static bool keyword_is_atom(struct slice name)
{
    if (name.size == 0 || name.size > KEYWORD_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c <= 0x20 || c >= 0x7f || memchr("(){%*\"\\]", c, 8) != NULL)
            return false;
    }
    return true;
}

static void keyword_set(struct mailbox *mailbox, unsigned bit, struct slice name)
{
    if (mailbox->keywords == NULL)
        mailbox->keywords = store_need(KEYWORDS_MAX * sizeof *mailbox->keywords);
    free(mailbox->keywords[bit]);
    mailbox->keywords[bit] = counted_new(name);
}

int mailbox_keyword_bit(struct mailbox *mailbox, struct slice name, bool make)
{
    int unused = -1;
    if (!keyword_is_atom(name))
        return make ? -EINVAL : -1;
    for (int bit = KEYWORDS_MAX - 1; bit >= 0; bit--) {
        struct slice known = mailbox_keyword(mailbox, (unsigned)bit);
        if (known.size == 0)
            unused = bit;
        else if (slice_equal_nocase(known, name))
            return bit;
    }
    if (!make)
        return -1;
    if (unused < 0)
        return -EMLINK;
    keyword_set(mailbox, (unsigned)unused, name);
    return unused;
}

void keyword_define(struct mailbox *mailbox, unsigned bit, struct slice name)
{
    if (bit >= KEYWORDS_MAX)
        return;
    if (!slice_equal(mailbox_keyword(mailbox, bit), name))
        keyword_set(mailbox, bit, name);
    mailbox->keywords_durable |= UINT64_C(1) << bit;
}

void keywords_put(struct bytes *bytes, const struct mailbox *mailbox, uint64_t keywords)
{
    for (unsigned bit = 0; bit < KEYWORDS_MAX; bit++)
        if (mailbox_keyword(mailbox, bit).size == 0)
            keywords &= ~(UINT64_C(1) << bit);
    uint64_t fresh = keywords & ~mailbox->keywords_durable;
    put_u64(bytes, keywords);
    put_number(bytes, (uint64_t)__builtin_popcountll(fresh));
    for (unsigned bit = 0; bit < KEYWORDS_MAX; bit++) {
        if ((fresh >> bit & 1) == 0)
            continue;
        put_u8(bytes, (uint8_t)bit);
        put_text(bytes, mailbox_keyword(mailbox, bit));
    }
}

uint64_t keywords_read(struct reader *reader, struct mailbox *mailbox)
{
    uint64_t keywords = read_u64(reader), count = read_number(reader);
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        unsigned bit = read_u8(reader);
        struct slice name = read_text(reader);
        if (!reader->failed && mailbox != NULL)
            keyword_define(mailbox, bit, name);
    }
    return keywords;
}

/* ---------------------------------------------------------------- the fold */

static void count_flags(struct mailbox *mailbox, uint16_t flags, uint32_t sign)
{
    if ((flags & MAIL_SEEN) == 0)
        mailbox->unseen += sign;
    if ((flags & MAIL_DELETED) != 0)
        mailbox->deleted_messages += sign;
}

void mailbox_add_entry(struct mailbox *mailbox, struct mail_entry *entry)
{
    assert(mailbox->uidnext < UINT32_MAX);
    entry->uid = mailbox->uidnext++;
    entry->modseq = ++mailbox->highest_modseq;
    message_refer(mailbox->account->shard, entry->message, entry->size);
    mailbox->account->shard->entries_loaded++;
    mailbox->messages++;
    mailbox->bytes += entry->size;
    count_flags(mailbox, entry->flags, 1);
    list_append(&mailbox->list, entry);
}

static void forget_entry(struct mailbox *mailbox, const struct mail_entry *entry)
{
    mailbox->messages--;
    mailbox->bytes -= entry->size;
    count_flags(mailbox, entry->flags, UINT32_MAX);
    message_release(mailbox->account->shard, entry->message, entry->size);
    mailbox->account->shard->entries_loaded--;
}

static void remove_entry(struct mailbox *mailbox, uint32_t number)
{
    forget_entry(mailbox, list_at(mailbox->list, number));
    list_remove(&mailbox->list, number);
}

/* Many of a list: it is made anew, which costs what is there, not what goes times what is there. */
static uint32_t remove_many(struct mailbox *mailbox, struct uid_reader *uids)
{
    struct mailbox_snapshot *left = list_new();
    struct list_cursor cursor = {.list = mailbox->list};
    uint32_t uid = 0, removed = 0;
    for (const struct mail_entry *entry; (entry = list_next(&cursor)) != NULL;) {
        while (uid < entry->uid)
            if (!uid_next(uids, &uid))
                uid = UINT32_MAX;
        if (uid == entry->uid) {
            forget_entry(mailbox, entry);
            removed++;
        } else {
            list_append(&left, entry);
        }
    }
    list_unref(mailbox->list);
    mailbox->list = left;
    return removed;
}

static uint32_t remove_few(struct mailbox *mailbox, struct uid_reader *uids)
{
    uint32_t removed = 0;
    for (uint32_t uid; uid_next(uids, &uid);) {
        uint32_t number = list_find(mailbox->list, uid, false);
        if (number == 0)
            continue;
        remove_entry(mailbox, number);
        removed++;
    }
    return removed;
}

void mailbox_changed(struct mailbox *mailbox)
{
    mailbox->changed_sequence = mailbox->account->shard->folded_sequence;
    for (struct view *view = mailbox->views, *next; view != NULL; view = next) {
        next = view->next;
        if (view->is_told || view->changed == NULL)
            continue;
        view->is_told = true;
        view->changed(view);
    }
}

static uint16_t flags_after(uint16_t flags, uint8_t how, uint16_t change)
{
    return how == STORE_REPLACE ? change
           : how == STORE_ADD   ? flags | change
                                : (uint16_t)(flags & ~change);
}

static uint64_t keywords_after(uint64_t keywords, uint8_t how, uint64_t change)
{
    return how == STORE_REPLACE ? change
           : how == STORE_ADD   ? keywords | change
                                : keywords & ~change;
}

int fold_store(struct shard *shard, struct reader *reader, struct change *change)
{
    struct mailbox *mailbox = mailbox_by_id(shard, read_u32(reader));
    uint8_t how = read_u8(reader);
    uint16_t flags = (uint16_t)read_u32(reader);
    if (mailbox != NULL)
        capture_before(mailbox->account);
    uint64_t keywords = keywords_read(reader, mailbox);
    uint64_t unchanged_since = read_u64(reader), modseq = 0;
    struct uid_reader uids = uid_reader_of(reader);
    if (reader->failed || mailbox == NULL)
        return -ENOENT;
    capture_before(mailbox->account);
    mailbox_fold_needs(mailbox);
    for (uint32_t uid; uid_next(&uids, &uid);) {
        uint32_t number = list_find(mailbox->list, uid, false);
        if (number == 0)
            continue;
        const struct mail_entry *entry = list_at(mailbox->list, number);
        if (entry->modseq > unchanged_since) {
            if (change != NULL && change->count < change->uids_capacity)
                change->uids[change->count++] = uid;
            continue;
        }
        uint16_t new_flags = flags_after(entry->flags, how, flags);
        uint64_t new_keywords = keywords_after(entry->keywords, how, keywords);
        if (new_flags == entry->flags && new_keywords == entry->keywords)
            continue;
        if (modseq == 0)
            modseq = ++mailbox->highest_modseq;
        struct mail_entry *edited = list_edit(&mailbox->list, number);
        count_flags(mailbox, edited->flags, UINT32_MAX);
        count_flags(mailbox, new_flags, 1);
        edited->flags = new_flags;
        edited->keywords = new_keywords;
        edited->modseq = modseq;
    }
    if (modseq != 0)
        mailbox_changed(mailbox);
    return 0;
}

int fold_expunge(struct shard *shard, struct reader *reader, struct change *change)
{
    struct mailbox *mailbox = mailbox_by_id(shard, read_u32(reader));
    struct reader again = *reader;
    struct uid_reader uids = uid_reader_of(reader), counted = uid_reader_of(&again);
    uint64_t count = 0;
    if (reader->failed || mailbox == NULL)
        return -ENOENT;
    capture_before(mailbox->account);
    mailbox_fold_needs(mailbox);
    for (uint32_t uid; count <= list_count(mailbox->list) / 8 && uid_next(&counted, &uid);)
        count++;
    uint32_t removed = count > list_count(mailbox->list) / 8 ? remove_many(mailbox, &uids)
                                                             : remove_few(mailbox, &uids);
    if (removed > 0) {
        mailbox->highest_modseq++;
        mailbox_changed(mailbox);
    }
    if (change != NULL)
        counter_add(core_counters(shard->core), COUNTER_MESSAGES_EXPUNGED, removed);
    return 0;
}

struct keyword_map {
    uint8_t to[KEYWORDS_MAX]; /* bit + 1; 0: dropped */
};

static void keyword_map_read(struct reader *reader, struct mailbox *to, struct keyword_map *map)
{
    *map = (struct keyword_map){0};
    uint64_t count = read_number(reader);
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        unsigned from_bit = read_u8(reader), to_bit = read_u8(reader);
        struct slice name = read_text(reader);
        if (reader->failed || from_bit >= KEYWORDS_MAX || to_bit >= KEYWORDS_MAX)
            continue;
        map->to[from_bit] = (uint8_t)(to_bit + 1);
        if (to != NULL)
            keyword_define(to, to_bit, name);
    }
}

static uint64_t keyword_map_apply(const struct keyword_map *map, uint64_t keywords)
{
    uint64_t mapped = 0;
    for (unsigned bit = 0; bit < KEYWORDS_MAX; bit++)
        if ((keywords >> bit & 1) != 0 && map->to[bit] != 0)
            mapped |= UINT64_C(1) << (map->to[bit] - 1);
    return mapped;
}

int fold_copy(struct shard *shard, struct reader *reader, struct change *change)
{
    struct mailbox *from = mailbox_by_id(shard, read_u32(reader));
    struct mailbox *to = mailbox_by_id(shard, read_u32(reader));
    bool move = read_u8(reader) != 0;
    if (to != NULL)
        capture_before(to->account);
    struct keyword_map map;
    keyword_map_read(reader, to, &map);
    struct uid_reader uids = uid_reader_of(reader);
    if (reader->failed || from == NULL || to == NULL)
        return -ENOENT;
    capture_before(from->account);
    mailbox_fold_needs(from);
    uint32_t index = 0, copied = 0;
    for (uint32_t uid; uid_next(&uids, &uid); index++) {
        uint32_t number = list_find(from->list, uid, false);
        if (number == 0)
            continue;
        struct mail_entry entry = *list_at(from->list, number);
        entry.keywords = keyword_map_apply(&map, entry.keywords);
        mailbox_add_entry(to, &entry);
        copied++;
        if (move)
            remove_entry(from, number);
        if (change != NULL && index < change->uids_capacity)
            change->uids[index] = entry.uid;
    }
    if (copied > 0 && move) {
        from->highest_modseq++;
        mailbox_changed(from);
    }
    if (copied > 0)
        mailbox_changed(to);
    if (change != NULL)
        change->uidvalidity = to->uidvalidity;
    return 0;
}
