/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A shard's accounts: finding and making them, their sorted list of mailboxes. The changing
 * functions here are the fold's; what sessions call is in namespace.c.
 *
 * Invariant: every account has a mailbox INBOX, and its mailboxes are sorted by name.
 */
#include "store_private.h"

static uint64_t user_key(const struct shard *shard, struct slice user)
{
    return hash_keyed(&shard->key, user.data, user.size) | 1;
}

struct account *account_find(struct shard *shard, struct slice user)
{
    uint64_t *found = table_find(&shard->accounts, user_key(shard, user));
    struct account *account = found == NULL ? NULL : (struct account *)(uintptr_t)*found;
    while (account != NULL && !slice_equal(slice_of(account->user, account->user_size), user))
        account = account->next;
    return account;
}

struct account *account_make(struct shard *shard, struct slice user)
{
    struct account *account = store_need(sizeof *account);
    account->shard = shard;
    account->capture = shard->capture_number; /* not in the one under way */
    account->user = store_need(user.size);
    account->user_size = (uint32_t)user.size;
    memcpy(account->user, user.data, user.size);
    uint64_t key = user_key(shard, user);
    uint64_t *found = table_find(&shard->accounts, key);
    account->next = found == NULL ? NULL : (struct account *)(uintptr_t)*found;
    table_put(&shard->accounts, key, (uintptr_t)account);
    shard->account_count++;
    return account;
}

struct account *account_find_or_make(struct shard *shard, struct slice user, uint32_t uidvalidity)
{
    struct account *account = account_find(shard, user);
    if (account == NULL) {
        account = account_make(shard, user);
        account_add(account, SLICE("INBOX"), MAILBOX_USE_NONE, uidvalidity);
    }
    return account;
}

/* ---------------------------------------------------------------- the list of mailboxes */

static int compare(struct slice a, struct slice b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size ? memcmp(a.data, b.data, size) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

struct mailbox *account_lookup(struct account *account, struct slice name, unsigned *ret_index)
{
    unsigned low = 0, high = account->count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = compare(mailbox_name(account->mailboxes[middle]), name);
        if (order == 0) {
            *ret_index = middle;
            return account->mailboxes[middle];
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_index = low;
    return NULL;
}

void account_take_out(struct account *account, struct mailbox *mailbox)
{
    unsigned at;
    struct mailbox *found = account_lookup(account, mailbox_name(mailbox), &at);
    assert(found == mailbox);
    account->count--;
    memmove(account->mailboxes + at, account->mailboxes + at + 1,
            (account->count - at) * sizeof *account->mailboxes);
}

void account_put_in(struct account *account, struct mailbox *mailbox, struct slice name)
{
    char *copy = store_need(name.size);
    memcpy(copy, name.data, name.size);
    free(mailbox->name);
    mailbox->name = copy;
    mailbox->name_size = (uint32_t)name.size;
    unsigned at;
    struct mailbox *found = account_lookup(account, name, &at);
    assert(found == NULL);
    if (account->count == account->capacity) {
        account->capacity = account->capacity ? account->capacity * 2 : 2;
        account->mailboxes =
            store_need_resize(account->mailboxes, account->capacity * sizeof *account->mailboxes);
    }
    memmove(account->mailboxes + at + 1, account->mailboxes + at,
            (account->count - at) * sizeof *account->mailboxes);
    account->mailboxes[at] = mailbox;
    account->count++;
}

/* UIDVALIDITY grows within an account, whatever the clock says, so that a mailbox made anew under
 * an old name has a larger one (RFC 9051 2.3.1.1). */
struct mailbox *account_add(struct account *account, struct slice name, enum mailbox_use use,
                            uint32_t uidvalidity)
{
    struct shard *shard = account->shard;
    struct mailbox *mailbox = store_need(sizeof *mailbox);
    if (uidvalidity <= account->uidvalidity_last)
        uidvalidity = account->uidvalidity_last + 1;
    account->uidvalidity_last = uidvalidity;
    *mailbox = (struct mailbox){
        .account = account,
        .id = ++shard->mailbox_id_last,
        .uidvalidity = uidvalidity,
        .uidnext = 1,
        .highest_modseq = 1,
        .use = (uint8_t)use,
        .list = list_new(),
        .changed_sequence = shard->folded_sequence,
    };
    account_put_in(account, mailbox, name);
    table_put(&shard->mailboxes, mailbox->id, (uintptr_t)mailbox);
    shard->mailbox_count++;
    return mailbox;
}

static void zombies_free(struct account *account)
{
    while (account->zombies != NULL) {
        struct mailbox *mailbox = account->zombies;
        account->zombies = mailbox->zombies;
        mailbox_free(mailbox);
    }
}

static void account_free(struct account *account)
{
    zombies_free(account);
    for (unsigned i = 0; i < account->count; i++)
        mailbox_free(account->mailboxes[i]);
    free(account->mailboxes);
    names_free(&account->subscriptions);
    free(account->user);
    free(account);
}

void accounts_free(struct shard *shard)
{
    size_t index = 0;
    for (const struct table_slot *slot; (slot = table_next(&shard->accounts, &index)) != NULL;) {
        struct account *account = (struct account *)(uintptr_t)slot->value;
        while (account != NULL) {
            struct account *next = account->next;
            account_free(account);
            account = next;
        }
    }
    table_free(&shard->accounts);
    table_free(&shard->mailboxes);
}

/* ---------------------------------------------------------------- what sessions hold */

int account_open(struct core *core, struct slice user, struct account **ret_account)
{
    struct store *store = store_of(core);
    if (store == NULL)
        return -ENODEV;
    if (user.size == 0 || user.size > USER_NAME_BYTES_MAX)
        return -EINVAL;
    struct shard *shard = store_shard(store, store_shard_of(store, user));
    if (shard == NULL)
        return -EXDEV;
    struct account *account = account_find(shard, user);
    if (account == NULL || !account->has_folders) {
        struct change change = {0};
        event_begin_meta(&change.meta, EVENT_FOLDERS);
        put_text(&change.meta, user);
        put_u32(&change.meta, (uint32_t)(core_wall_ns(core) / 1000000000));
        int result = change_commit(&change, shard, NULL, false);
        account = account_find(shard, user);
        if (account == NULL) /* with a full disk, what is there can be read all the same */
            return result < 0 ? result : -EIO;
    }
    account->refs++;
    *ret_account = account;
    return 0;
}

void account_close(struct account *account)
{
    assert(account->refs > 0);
    if (--account->refs == 0)
        zombies_free(account);
}

struct slice account_user(const struct account *account)
{
    return slice_of(account->user, account->user_size);
}

struct mailbox *account_mailbox(struct account *account, struct slice name)
{
    char buffer[MAILBOX_NAME_BYTES_MAX];
    unsigned at;
    return name_check(name, buffer, &name) < 0 ? NULL : account_lookup(account, name, &at);
}

struct mailbox *account_next(struct account *account, struct mailbox *previous)
{
    unsigned at = 0;
    if (previous != NULL && account_lookup(account, mailbox_name(previous), &at) != NULL)
        at++;
    return at < account->count ? account->mailboxes[at] : NULL;
}

bool account_subscribed(const struct account *account, struct slice name)
{
    char buffer[MAILBOX_NAME_BYTES_MAX];
    unsigned at;
    return name_check(name, buffer, &name) == 0 && names_find(&account->subscriptions, name, &at);
}

struct slice account_subscription(const struct account *account, unsigned index)
{
    return names_at(&account->subscriptions, index);
}
