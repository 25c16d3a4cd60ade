/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Creating, deleting, renaming and subscribing: what sessions call, and what the fold does with the
 * records. The checks are the same functions on both sides: before the append they spare the log a
 * useless record, in the fold they decide (another session may have been faster).
 */
#include "store_private.h"

static uint32_t uidvalidity_now(struct account *account)
{
    return (uint32_t)(core_wall_ns(account->shard->core) / 1000000000);
}

static struct slice parent_of(struct slice name)
{
    size_t size = name.size;
    while (size > 0 && name.data[size - 1] != '/')
        size--;
    return slice_first(name, size ? size - 1 : 0);
}

/* ---------------------------------------------------------------- create */

static int create_check(struct account *account, struct slice name)
{
    unsigned at, missing = 1;
    if (account_lookup(account, name, &at) != NULL)
        return -EEXIST;
    for (struct slice parent = parent_of(name); parent.size > 0; parent = parent_of(parent))
        missing += account_lookup(account, parent, &at) == NULL;
    return account->count + missing > MAILBOXES_PER_ACCOUNT_MAX ? -EMLINK : 0;
}

/* The ancestors of `name` that do not exist. */
static void make_parents(struct account *account, struct slice name, uint32_t uidvalidity)
{
    unsigned at;
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] == '/' && account_lookup(account, slice_first(name, i), &at) == NULL)
            account_add(account, slice_first(name, i), MAILBOX_USE_NONE, uidvalidity);
}

int account_create(struct account *account, struct slice name, enum mailbox_use use)
{
    char buffer[MAILBOX_NAME_BYTES_MAX];
    int result = name_check(name, buffer, &name);
    if (result == 0)
        result = create_check(account, name);
    if (result < 0)
        return result;
    struct change change = {0};
    event_begin_meta(&change.meta, EVENT_CREATE);
    put_text(&change.meta, account_user(account));
    put_text(&change.meta, name);
    put_u8(&change.meta, (uint8_t)use);
    put_u32(&change.meta, uidvalidity_now(account));
    return change_commit(&change, account->shard, NULL, false);
}

int fold_create(struct shard *shard, struct reader *reader, struct change *change)
{
    (void)change;
    struct slice user = read_text(reader), name = read_text(reader);
    uint8_t use = read_u8(reader);
    uint32_t uidvalidity = read_u32(reader);
    struct account *account = account_find(shard, user);
    if (reader->failed || account == NULL)
        return -ENOENT;
    int result = create_check(account, name);
    if (result < 0)
        return result;
    capture_before(account);
    make_parents(account, name, uidvalidity);
    account_add(account, name, use, uidvalidity);
    return 0;
}

struct folder {
    const char *name;
    enum mailbox_use use;
};
static const struct folder folders[] = {
    {"Drafts", MAILBOX_USE_DRAFTS},
    {"Sent", MAILBOX_USE_SENT},
    {"Junk", MAILBOX_USE_JUNK},
    {"Trash", MAILBOX_USE_TRASH},
};

int fold_folders(struct shard *shard, struct reader *reader, struct change *change)
{
    (void)change;
    struct slice user = read_text(reader);
    uint32_t uidvalidity = read_u32(reader);
    if (reader->failed)
        return -EBADMSG;
    struct account *account = account_find_or_make(shard, user, uidvalidity);
    if (account->has_folders)
        return 0;
    capture_before(account);
    account->has_folders = true;
    names_add(&account->subscriptions, SLICE("INBOX"));
    for (unsigned i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        struct slice name = slice_cstr(folders[i].name);
        if (create_check(account, name) == 0)
            account_add(account, name, folders[i].use, uidvalidity);
        names_add(&account->subscriptions, name);
    }
    return 0;
}

/* ---------------------------------------------------------------- delete */

int account_delete(struct account *account, struct slice name)
{
    char buffer[MAILBOX_NAME_BYTES_MAX];
    unsigned at;
    int result = name_check(name, buffer, &name);
    if (result < 0)
        return result;
    if (name_is_inbox(name))
        return -EPERM;
    struct mailbox *mailbox = account_lookup(account, name, &at);
    if (mailbox == NULL)
        return -ENOENT;
    result = mailbox_pin(mailbox);
    if (result < 0)
        return result;
    struct change change = {0};
    event_begin_meta(&change.meta, EVENT_DELETE);
    put_u32(&change.meta, mailbox->id);
    result = change_commit(&change, account->shard, NULL, true);
    mailbox_unpin(mailbox);
    return result;
}

/* The mailbox lives on, outside of its account, while somebody may hold it. */
int fold_delete(struct shard *shard, struct reader *reader, struct change *change)
{
    (void)change;
    struct mailbox *mailbox = mailbox_by_id(shard, read_u32(reader));
    if (reader->failed || mailbox == NULL)
        return -ENOENT;
    struct account *account = mailbox->account;
    capture_before(account);
    mailbox_fold_needs(mailbox);
    struct list_cursor cursor = {.list = mailbox->list};
    for (const struct mail_entry *entry; (entry = list_next(&cursor)) != NULL;)
        message_release(shard, entry->message, entry->size);
    shard->entries_loaded -= list_count(mailbox->list);
    account_take_out(account, mailbox);
    table_remove(&shard->mailboxes, mailbox->id);
    shard->mailbox_count--;
    mailbox->is_deleted = true;
    mailbox_changed(mailbox);
    if (account->refs > 0) {
        mailbox->zombies = account->zombies;
        account->zombies = mailbox;
    } else {
        mailbox_free(mailbox);
    }
    return 0;
}

/* ---------------------------------------------------------------- rename */

static bool name_fits(struct slice name)
{
    unsigned depth = 1;
    for (size_t i = 0; i < name.size; i++)
        depth += name.data[i] == '/';
    return name.size <= MAILBOX_NAME_BYTES_MAX && depth <= MAILBOX_DEPTH_MAX;
}

/* The name of a child of `from` once that is called `to`. */
static struct slice child_name(struct slice child, struct slice from, struct slice to, char *buffer)
{
    struct slice rest = slice_from(child, from.size);
    memcpy(buffer, to.data, to.size);
    memcpy(buffer + to.size, rest.data, rest.size);
    return slice_of(buffer, to.size + rest.size);
}

static int rename_check(struct account *account, struct slice from, struct slice to)
{
    char buffer[2 * MAILBOX_NAME_BYTES_MAX];
    unsigned at;
    if (account_lookup(account, from, &at) == NULL)
        return -ENOENT;
    int result = create_check(account, to);
    if (result < 0)
        return result;
    if (name_is_inbox(from))
        return 0;
    if (name_is_below(to, from))
        return -EINVAL;
    for (unsigned i = 0; i < account->count; i++) {
        struct slice child = mailbox_name(account->mailboxes[i]);
        if (!name_is_below(child, from))
            continue;
        struct slice name = child_name(child, from, to, buffer);
        if (!name_fits(name))
            return -EINVAL;
        if (account_lookup(account, name, &at) != NULL)
            return -EEXIST;
    }
    return 0;
}

int account_rename(struct account *account, struct slice from, struct slice to)
{
    char from_buffer[MAILBOX_NAME_BYTES_MAX], to_buffer[MAILBOX_NAME_BYTES_MAX];
    if (name_check(from, from_buffer, &from) < 0 || name_check(to, to_buffer, &to) < 0)
        return -EINVAL;
    int result = rename_check(account, from, to);
    if (result < 0)
        return result;
    unsigned at;
    struct mailbox *mailbox = account_lookup(account, from, &at);
    result = mailbox_pin(mailbox);
    if (result < 0)
        return result;
    struct change change = {0};
    event_begin_meta(&change.meta, EVENT_RENAME);
    put_text(&change.meta, account_user(account));
    put_text(&change.meta, from);
    put_text(&change.meta, to);
    put_u32(&change.meta, uidvalidity_now(account));
    result = change_commit(&change, account->shard, NULL, false);
    mailbox_unpin(mailbox);
    return result;
}

/* RFC 9051 6.3.6: the messages move to the new mailbox, INBOX stays, empty. They keep their UIDs,
 * under a UIDVALIDITY of its own; where the list lies does not change. */
static void rename_inbox(struct account *account, struct slice to, uint32_t uidvalidity)
{
    unsigned at;
    struct mailbox *inbox = account_lookup(account, SLICE("INBOX"), &at);
    struct mailbox *mailbox = account_add(account, to, MAILBOX_USE_NONE, uidvalidity);
    mailbox_fold_needs(inbox);
    mailbox->uidnext = inbox->uidnext;
    mailbox->highest_modseq = inbox->highest_modseq;
    mailbox->messages = inbox->messages;
    mailbox->unseen = inbox->unseen;
    mailbox->deleted_messages = inbox->deleted_messages;
    mailbox->bytes = inbox->bytes;
    struct mailbox_snapshot *empty = mailbox->list;
    mailbox->list = inbox->list;
    for (unsigned bit = 0; bit < KEYWORDS_MAX; bit++)
        if (inbox->keywords_durable >> bit & 1)
            keyword_define(mailbox, bit, mailbox_keyword(inbox, bit));
    inbox->list = empty;
    inbox->messages = inbox->unseen = inbox->deleted_messages = 0;
    inbox->bytes = 0;
    inbox->highest_modseq++;
    mailbox_changed(inbox);
}

static void rename_children(struct account *account, struct slice from, struct slice to)
{
    char buffer[2 * MAILBOX_NAME_BYTES_MAX];
    unsigned count = 0;
    struct mailbox **children = store_need(account->count * sizeof *children);
    for (unsigned i = 0; i < account->count; i++)
        if (name_is_below(mailbox_name(account->mailboxes[i]), from))
            children[count++] = account->mailboxes[i];
    for (unsigned i = 0; i < count; i++) {
        struct slice name = child_name(mailbox_name(children[i]), from, to, buffer);
        account_take_out(account, children[i]);
        account_put_in(account, children[i], name);
    }
    free(children);
}

int fold_rename(struct shard *shard, struct reader *reader, struct change *change)
{
    (void)change;
    struct account *account = account_find(shard, read_text(reader));
    struct slice from = read_text(reader), to = read_text(reader);
    uint32_t uidvalidity = read_u32(reader);
    if (reader->failed || account == NULL)
        return -ENOENT;
    int result = rename_check(account, from, to);
    if (result < 0)
        return result;
    capture_before(account);
    make_parents(account, to, uidvalidity);
    if (name_is_inbox(from)) {
        rename_inbox(account, to, uidvalidity);
        return 0;
    }
    unsigned at;
    struct mailbox *mailbox = account_lookup(account, from, &at);
    rename_children(account, from, to);
    account_take_out(account, mailbox);
    account_put_in(account, mailbox, to);
    return 0;
}

/* ---------------------------------------------------------------- subscribe */

static int subscribe_check(struct account *account, struct slice name, bool subscribed)
{
    unsigned at;
    bool is_there = names_find(&account->subscriptions, name, &at);
    if (subscribed && !is_there && account->subscriptions.count >= SUBSCRIPTIONS_MAX)
        return -EMLINK;
    return 0;
}

int account_subscribe(struct account *account, struct slice name, bool subscribed)
{
    char buffer[MAILBOX_NAME_BYTES_MAX];
    int result = name_check(name, buffer, &name);
    if (result == 0)
        result = subscribe_check(account, name, subscribed);
    if (result < 0 || account_subscribed(account, name) == subscribed)
        return result;
    struct change change = {0};
    event_begin_meta(&change.meta, EVENT_SUBSCRIBE);
    put_text(&change.meta, account_user(account));
    put_text(&change.meta, name);
    put_u8(&change.meta, subscribed);
    return change_commit(&change, account->shard, NULL, false);
}

int fold_subscribe(struct shard *shard, struct reader *reader, struct change *change)
{
    (void)change;
    struct account *account = account_find(shard, read_text(reader));
    struct slice name = read_text(reader);
    bool subscribed = read_u8(reader) != 0;
    if (reader->failed || account == NULL)
        return -ENOENT;
    int result = subscribe_check(account, name, subscribed);
    if (result < 0)
        return result;
    capture_before(account);
    if (subscribed)
        names_add(&account->subscriptions, name);
    else
        names_remove(&account->subscriptions, name);
    return 0;
}
