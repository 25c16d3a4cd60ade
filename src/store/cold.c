/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which lists of messages are in memory. A mailbox is cold when its list lies in the checkpoint:
 * then memory holds only what came since, deliveries go on as ever, and the first fiber that needs
 * the list (mailbox_pin) reads it. A list is dropped again, the one unused for longest first, when
 * the checkpoint holds it as it is and the shard's budget is passed.
 *
 * When a part is damaged, the state is made once more, from the log, beside the living one, and all
 * cold lists are taken from there.
 */
#include "store_private.h"

enum { ENTRIES_A_TURN = 4096 };

static void tail_join(struct mailbox *mailbox, struct mailbox_snapshot *base)
{
    struct shard *shard = mailbox->account->shard;
    struct list_cursor cursor = {.list = mailbox->list};
    shard->entries_loaded += list_count(base);
    for (const struct mail_entry *entry; (entry = list_next(&cursor)) != NULL;)
        list_append(&base, entry);
    list_unref(mailbox->list);
    mailbox->list = base;
    mailbox->is_cold = false;
    assert(list_count(base) == mailbox->messages && "T1");
}

static int load(struct mailbox *mailbox)
{
    struct shard *shard = mailbox->account->shard;
    unsigned char *entries;
    uint32_t count = mailbox->cold_count;
    mailbox->is_loading = true;
    shard->loading++;
    int result = part_read(shard, mailbox->id, mailbox->cold_offset, count, &entries);
    if (result == 0) {
        struct mailbox_snapshot *base = list_new();
        for (uint32_t i = 0; i < count; i++) {
            struct mail_entry entry;
            entry_unpack(entries + (size_t)i * PART_ENTRY_BYTES, &entry);
            list_append(&base, &entry);
            if (i % ENTRIES_A_TURN == ENTRIES_A_TURN - 1)
                fiber_yield(shard->core);
        }
        free(entries);
        if (mailbox->is_cold)
            tail_join(mailbox, base);
        else /* cold_rebuild was faster */
            list_unref(base);
    }
    mailbox->is_loading = false;
    if (--shard->loading == 0)
        waiters_wake_all(shard->core, &shard->loaded);
    waiters_wake_all(shard->core, &mailbox->loading);
    return result;
}

int mailbox_pin(struct mailbox *mailbox)
{
    struct shard *shard = mailbox->account->shard;
    int result = 0;
    mailbox->pins++;
    while (result == 0 && mailbox->is_cold) {
        if (mailbox->is_loading) {
            waiters_wait(shard->core, &mailbox->loading, 0);
            continue;
        }
        result = load(mailbox);
        if (result < 0 && result != -ENOMEM && shard->log != NULL)
            result = cold_rebuild(shard);
    }
    if (result < 0)
        mailbox->pins--;
    mailbox->used_at = ++shard->use_clock;
    return result;
}

void mailbox_unpin(struct mailbox *mailbox)
{
    assert(mailbox->pins > 0);
    mailbox->pins--;
}

void mailbox_fold_needs(struct mailbox *mailbox)
{
    struct shard *shard = mailbox->account->shard;
    if (!mailbox->is_cold)
        return;
    assert(shard->is_replaying && "T5");
    if (load(mailbox) < 0)
        shard->is_wrong = true; /* what follows is thrown away */
}

/* ---------------------------------------------------------------- dropping */

uint64_t mailboxes_bytes(const struct shard *shard)
{
    return shard->entries_loaded * sizeof(struct mail_entry);
}

static bool is_evictable(const struct mailbox *mailbox, const struct checkpoint *checkpoint)
{
    return !mailbox->is_cold && !mailbox->is_loading && mailbox->pins == 0 &&
           mailbox->cold_offset > 0 && mailbox->messages > 0 &&
           mailbox->changed_sequence <= checkpoint->sequence &&
           mailbox->cold_count == mailbox->messages;
}

static int by_use(const void *a, const void *b)
{
    const struct mailbox *left = *(struct mailbox *const *)a, *right = *(struct mailbox *const *)b;
    return left->used_at < right->used_at ? -1 : left->used_at > right->used_at;
}

void mailboxes_evict(struct shard *shard, uint64_t bytes_max)
{
    if (shard->checkpoint.fd < 0 || mailboxes_bytes(shard) <= bytes_max)
        return;
    size_t count = 0, index = 0;
    struct mailbox **mailboxes = malloc((shard->mailboxes.used + 1) * sizeof(struct mailbox *));
    if (mailboxes == NULL)
        return;
    for (const struct table_slot *slot; (slot = table_next(&shard->mailboxes, &index)) != NULL;) {
        struct mailbox *mailbox = (struct mailbox *)(uintptr_t)slot->value;
        if (is_evictable(mailbox, &shard->checkpoint))
            mailboxes[count++] = mailbox;
    }
    qsort(mailboxes, count, sizeof(struct mailbox *), by_use);
    for (size_t i = 0; i < count && mailboxes_bytes(shard) > bytes_max; i++) {
        struct mailbox *mailbox = mailboxes[i];
        shard->entries_loaded -= list_count(mailbox->list);
        list_unref(mailbox->list);
        mailbox->list = list_new();
        mailbox->is_cold = true;
    }
    free(mailboxes);
}

/* ---------------------------------------------------------------- from the log */

/* `past` is the state of a moment ago: no later than now, no earlier than the checkpoint. A cold
 * mailbox has had additions only since then. */
static int cold_take_one(struct mailbox *mailbox, const struct mailbox *past)
{
    struct shard *shard = mailbox->account->shard;
    struct mailbox_snapshot *list = list_ref(past->list);
    struct list_cursor cursor = {.list = mailbox->list};
    for (const struct mail_entry *entry; (entry = list_next(&cursor)) != NULL;)
        if (entry->uid >= past->uidnext)
            list_append(&list, entry);
    if (list_count(list) != mailbox->messages) {
        list_unref(list);
        return -EBADMSG;
    }
    shard->entries_loaded += list_count(list);
    shard->entries_loaded -= list_count(mailbox->list);
    list_unref(mailbox->list);
    mailbox->list = list;
    mailbox->is_cold = false;
    return 0;
}

static int cold_take(struct shard *shard, const struct shard *past)
{
    size_t index = 0;
    int result = 0;
    for (const struct table_slot *slot; (slot = table_next(&shard->mailboxes, &index)) != NULL;) {
        struct mailbox *mailbox = (struct mailbox *)(uintptr_t)slot->value;
        const struct mailbox *then = mailbox_by_id(past, mailbox->id);
        if (mailbox->is_cold && (then == NULL || cold_take_one(mailbox, then) < 0))
            result = -EBADMSG;
    }
    return result;
}

static void say_rebuilt(struct shard *shard, int result)
{
    struct event event;
    event_begin(&event, "store", result < 0 ? "error" : "warning");
    event_text(&event, "what", SLICE("checkpoint is damaged; lists made again from the log"));
    event_number(&event, "shard", shard->number);
    event_number(&event, "error", -result);
    core_log(shard->core, &event);
}

static bool any_cold(const struct shard *shard)
{
    size_t index = 0;
    for (const struct table_slot *slot; (slot = table_next(&shard->mailboxes, &index)) != NULL;)
        if (((const struct mailbox *)(uintptr_t)slot->value)->is_cold)
            return true;
    return false;
}

static int rebuild_locked(struct shard *shard)
{
    if (shard->checkpoint.fd < 0) /* another fiber was here */
        return any_cold(shard) ? -EBADMSG : 0;
    struct shard *past = shard_new(shard->store, shard->number);
    if (past == NULL)
        return -ENOMEM;
    int result = shard_rebuild(past, shard->log, shard->folded_sequence);
    if (result == 0)
        result = cold_take(shard, past);
    shard_clear(past);
    free(past);
    say_rebuilt(shard, result);
    if (result == 0)
        checkpoint_forget(shard);
    return result;
}

int cold_rebuild(struct shard *shard)
{
    fiber_lock_take(shard->core, &shard->checkpoint_lock);
    int result = rebuild_locked(shard);
    fiber_lock_give(shard->core, &shard->checkpoint_lock);
    return result;
}
