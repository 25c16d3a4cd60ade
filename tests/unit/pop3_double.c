/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See pop3_double.h. A view is a list of the messages alive when it was opened, as in the store.
 */
#include "pop3_double.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct drop drops[DROPS];
static pthread_mutex_t ordered = PTHREAD_MUTEX_INITIALIZER;

static int ordered_begin(void)
{
    return pthread_mutex_lock(&ordered);
}

static void ordered_end(int *unused)
{
    (void)unused;
    pthread_mutex_unlock(&ordered);
}

/* To the end of the function. */
#define ORDERED() __attribute__((cleanup(ordered_end), unused)) int is_ordered = ordered_begin()

void drops_sync(void)
{
    ORDERED();
}

struct mailbox_snapshot {
    uint32_t count;
    struct mail_entry entries[];
};

void drops_reset(void)
{
    drops_sync();
    static const char *const users[DROPS] = {"u0@x.test", "u1@x.test", "u2@x.test"};
    memset(drops, 0, sizeof drops);
    for (unsigned i = 0; i < DROPS; i++) {
        drops[i].user = users[i];
        drops[i].is_peeked = true;
    }
}

void drop_add(struct drop *drop, struct slice bytes)
{
    unsigned index = atomic_load(&drop->count);
    assert(index < DROP_MESSAGES_MAX);
    drop->messages[index].bytes = bytes;
    drop->messages[index].uid = index + 1;
    atomic_store(&drop->count, index + 1);
}

unsigned drop_alive(const struct drop *drop)
{
    unsigned alive = 0;
    for (unsigned i = 0; i < atomic_load(&drop->count); i++)
        alive += !atomic_load(&drop->messages[i].is_gone);
    return alive;
}

bool drops_are_closed(void)
{
    for (unsigned i = 0; i < DROPS; i++)
        if (drops[i].views > 0 || drops[i].accounts > 0 || drops[i].is_locked)
            return false;
    return true;
}

/* ---------------------------------------------------------------- accounts */

unsigned store_home_core(struct core *core, struct slice user)
{
    (void)user;
    return core_count(core) - 1;
}

int account_open(struct core *core, struct slice user, struct account **ret_account)
{
    ORDERED();
    assert(core_index(core) == core_count(core) - 1);
    for (unsigned i = 0; i < DROPS; i++) {
        if (!slice_equal(user, slice_cstr(drops[i].user)))
            continue;
        if (drops[i].open_error < 0)
            return drops[i].open_error;
        atomic_fetch_add(&drops[i].accounts, 1);
        *ret_account = (struct account *)&drops[i];
        return 0;
    }
    return -EIO;
}

void account_close(struct account *account)
{
    ORDERED();
    atomic_fetch_sub(&((struct drop *)account)->accounts, 1);
}

struct mailbox *account_mailbox(struct account *account, struct slice name)
{
    assert(slice_equal(name, SLICE("INBOX")));
    return (struct mailbox *)account;
}

bool mailbox_pop3_lock(struct mailbox *mailbox)
{
    ORDERED();
    struct drop *drop = (struct drop *)mailbox;
    bool was_locked = drop->is_locked;
    drop->is_locked = true;
    return !was_locked;
}

void mailbox_pop3_unlock(struct mailbox *mailbox)
{
    ORDERED();
    struct drop *drop = (struct drop *)mailbox;
    assert(drop->is_locked);
    drop->is_locked = false;
}

int mailbox_status(struct mailbox *mailbox, struct mailbox_status *ret_status)
{
    ORDERED();
    const struct drop *drop = (struct drop *)mailbox;
    *ret_status = (struct mailbox_status){.uidvalidity = 1700000000};
    for (unsigned i = 0; i < drop->count; i++)
        if (!drop->messages[i].is_gone) {
            ret_status->messages++;
            ret_status->bytes += drop->messages[i].bytes.size;
        }
    return 0;
}

/* ---------------------------------------------------------------- views */

int view_open(struct account *account, struct mailbox *mailbox, bool examine, struct view *view)
{
    ORDERED();
    struct drop *drop = (struct drop *)account;
    struct mailbox_snapshot *snapshot =
        malloc(sizeof *snapshot + (DROP_MESSAGES_MAX + 1) * sizeof snapshot->entries[0]);
    uint32_t count = 0;
    for (unsigned i = 0; i < drop->count; i++)
        if (!drop->messages[i].is_gone)
            snapshot->entries[count++] =
                (struct mail_entry){.uid = drop->messages[i].uid,
                                    .message = i,
                                    .size = (uint32_t)drop->messages[i].bytes.size};
    snapshot->count = count;
    *view = (struct view){.mailbox = mailbox, .snapshot = snapshot, .examine = examine};
    view->count = drop->made_up ? drop->made_up : count;
    atomic_fetch_add(&drop->views, 1);
    return 0;
}

void view_close(struct view *view)
{
    ORDERED();
    free(view->snapshot);
    atomic_fetch_sub(&((struct drop *)view->mailbox)->views, 1);
}

bool view_stale(const struct view *view)
{
    ORDERED();
    return ((const struct drop *)view->mailbox)->made_up > 0;
}

const struct mail_entry *view_entry(const struct view *view, uint32_t number)
{
    ORDERED();
    assert(number >= 1 && number <= view->count);
    struct mailbox_snapshot *snapshot = view->snapshot;
    if (((const struct drop *)view->mailbox)->made_up == 0)
        return &snapshot->entries[number - 1];
    snapshot->entries[0] = (struct mail_entry){.uid = number, .size = 1000 + number % 1000};
    return &snapshot->entries[0];
}

int mailbox_expunge(struct mailbox *mailbox, const uint32_t *uids, uint32_t count)
{
    ORDERED();
    struct drop *drop = (struct drop *)mailbox;
    atomic_fetch_add(&drop->expunges, 1);
    if (drop->expunge_error < 0)
        return drop->expunge_error;
    for (uint32_t i = 0; i < count; i++) {
        assert(i == 0 || uids[i] > uids[i - 1]);
        drop->messages[uids[i] - 1].is_gone = true;
    }
    return 0;
}

/* ---------------------------------------------------------------- messages */

bool message_peek(struct mailbox *mailbox, const struct mail_entry *entry,
                  struct slice *ret_message)
{
    ORDERED();
    const struct drop *drop = (struct drop *)mailbox;
    if (!drop->is_peeked || drop->read_error < 0)
        return false;
    *ret_message = drop->messages[entry->message].bytes;
    return true;
}

int64_t message_read(struct mailbox *mailbox, const struct mail_entry *entry, uint64_t offset,
                     void *data, size_t size)
{
    ORDERED();
    const struct drop *drop = (struct drop *)mailbox;
    struct slice rest = slice_from(drop->messages[entry->message].bytes, offset);
    if (drop->read_error < 0 && offset >= drop->read_error_at)
        return drop->read_error;
    if (drop->read_max > 0 && size > drop->read_max)
        size = drop->read_max;
    rest = slice_first(rest, size);
    memcpy(data, rest.data, rest.size);
    return (int64_t)rest.size;
}
