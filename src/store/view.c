/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session's view: a reference to a list that never changes under it (T4, S4). Bringing it up to
 * date is walking the difference between its list and the mailbox's, which costs what has changed,
 * not what is there.
 *
 * A view that may not tell expunges keeps a list of its own: the new state with the expunged
 * messages still in it. It shares with the mailbox's list all that has not changed.
 */
#include "store_private.h"

int view_open(struct account *account, struct mailbox *mailbox, bool examine, struct view *view)
{
    assert(mailbox->account == account);
    int result = mailbox_pin(mailbox);
    if (result < 0)
        return result;
    view->mailbox = mailbox;
    view->snapshot = list_ref(mailbox->list);
    view->count = list_count(mailbox->list);
    view->recent_after_uid = mailbox->recent_uid;
    view->modseq_seen = mailbox->highest_modseq;
    view->examine = examine;
    view->is_told = false;
    if (!examine)
        mailbox->recent_uid = mailbox->uidnext - 1;
    view->next = mailbox->views;
    view->previous_next = &mailbox->views;
    if (view->next != NULL)
        view->next->previous_next = &view->next;
    mailbox->views = view;
    return 0; /* the view holds the pin: its mailbox stays in memory */
}

void view_close(struct view *view)
{
    *view->previous_next = view->next;
    if (view->next != NULL)
        view->next->previous_next = view->previous_next;
    list_unref(view->snapshot);
    mailbox_unpin(view->mailbox);
    view->snapshot = NULL;
}

const struct mail_entry *view_entry(const struct view *view, uint32_t number)
{
    return list_at(view->snapshot, number);
}

uint32_t view_number(const struct view *view, uint32_t uid, bool or_next)
{
    return list_find(view->snapshot, uid, or_next);
}

bool view_stale(const struct view *view)
{
    return view->snapshot != view->mailbox->list;
}

bool view_mailbox_deleted(const struct view *view)
{
    return view->mailbox->is_deleted;
}

/* ---------------------------------------------------------------- update */

/* What the view is to show next, when expunged messages must stay: its own list, changed. */
static struct mailbox_snapshot *with_expunged(struct mailbox_snapshot *old,
                                              struct mailbox_snapshot *new)
{
    struct mailbox_snapshot *list = list_ref(old);
    struct list_difference walk = {.old_at.list = old, .new_at.list = new};
    for (const struct mail_entry *was, *is; list_differ(&walk, &was, &is);) {
        if (was == NULL)
            list_append(&list, is);
        else if (is != NULL)
            *list_edit(&list, walk.old_number) = *is;
        else if (!was->expunged)
            list_edit(&list, walk.old_number)->expunged = true;
    }
    return list;
}

static bool has_expunged(const struct mailbox_snapshot *old, const struct mailbox_snapshot *new)
{
    struct list_difference walk = {.old_at.list = old, .new_at.list = new};
    for (const struct mail_entry *was, *is; list_differ(&walk, &was, &is);)
        if (is == NULL)
            return true;
    return false;
}

static void tell_expunged(const struct mailbox_snapshot *old, const struct mailbox_snapshot *new,
                          const struct view_listener *listener)
{
    struct list_difference walk = {.old_at.list = old, .new_at.list = new};
    uint32_t gone = 0;
    for (const struct mail_entry *was, *is; list_differ(&walk, &was, &is);) {
        if (is != NULL)
            continue;
        if (listener->expunged != NULL)
            listener->expunged(listener->argument, walk.old_number - gone, was->uid);
        gone++;
    }
}

static void tell_flags(const struct mailbox_snapshot *old, const struct mailbox_snapshot *new,
                       const struct view_listener *listener)
{
    struct list_difference walk = {.old_at.list = old, .new_at.list = new};
    for (const struct mail_entry *was, *is; list_differ(&walk, &was, &is);)
        if (was != NULL && is != NULL && listener->flags != NULL)
            listener->flags(listener->argument, walk.new_number, is);
}

void view_update(struct view *view, bool may_expunge, const struct view_listener *listener)
{
    struct mailbox *mailbox = view->mailbox;
    view->is_told = false;
    if (!view_stale(view))
        return;
    struct mailbox_snapshot *old = view->snapshot, *new = list_ref(mailbox->list);
    uint32_t old_uids = view->count == 0 ? 0 : list_at(old, view->count)->uid;
    view->modseq_seen = mailbox->highest_modseq;
    if (!view->examine && mailbox->recent_uid + 1 < mailbox->uidnext)
        mailbox->recent_uid = mailbox->uidnext - 1;
    if (may_expunge) {
        tell_expunged(old, new, listener);
    } else if (has_expunged(old, new)) {
        struct mailbox_snapshot *kept = with_expunged(old, new);
        list_unref(new);
        new = kept;
    }
    view->snapshot = new;
    view->count = list_count(new);
    uint32_t new_uids = view->count == 0 ? 0 : list_at(new, view->count)->uid;
    if (new_uids > old_uids && listener->exists != NULL)
        listener->exists(listener->argument, view->count);
    tell_flags(old, new, listener);
    list_unref(old);
}

void view_own(struct view *view, uint32_t uid, uint64_t modseq)
{
    uint32_t number = list_find(view->snapshot, uid, false);
    if (number == 0 || list_at(view->snapshot, number)->modseq >= modseq)
        return;
    uint32_t now = list_find(view->mailbox->list, uid, false);
    struct mail_entry *entry = list_edit(&view->snapshot, number);
    if (now != 0 && list_at(view->mailbox->list, now)->modseq == modseq)
        *entry = *list_at(view->mailbox->list, now);
    else
        entry->modseq = modseq;
}
