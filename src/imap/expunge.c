/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * EXPUNGE, UID EXPUNGE (RFC 9051 6.4.3, RFC 4315 2.1), the expunging part of CLOSE; and the UIDs of
 * a resolved set, for those commands that hand messages to the store.
 */
#include "families.h"

enum { BATCH_MAX = 32768 /* removed at once: bounds a record of the log */ };

bool imap_set_uids(struct session *session, const struct imap_set *numbers, uint32_t **ret_uids,
                   uint32_t *ret_count)
{
    const struct view *view = &imap_of(session)->view;
    uint32_t *uids = arena_zalloc(&session->arena, imap_set_size(numbers), sizeof *uids);
    uint32_t count = 0;
    if (uids == NULL)
        return false;
    for (uint32_t i = 0; i < numbers->count; i++)
        for (uint32_t number = numbers->ranges[i].first;; number++) {
            const struct mail_entry *entry = view_entry(view, number);
            if (!entry->expunged)
                uids[count++] = entry->uid;
            if (number == numbers->ranges[i].last)
                break;
        }
    *ret_uids = uids;
    *ret_count = count;
    return true;
}

const char *imap_set_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_set_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    bool is_good = imap_take_set(&cursor, arena, &arguments->set) && imap_at_end(&cursor);
    return is_good ? NULL : "Expected a sequence set";
}

int imap_expunge(struct session *session, const struct imap_set *only)
{
    const struct view *view = &imap_of(session)->view;
    uint32_t count = 0, matching = 0;
    uint32_t *uids = NULL;
    struct mailbox_status status;
    if (mailbox_status(view->mailbox, &status) == 0 && status.deleted == 0)
        return 0;
    for (uint32_t number = 1; number <= view->count; number++)
        matching += (view_entry(view, number)->flags & MAIL_DELETED) != 0;
    if (matching > 0)
        uids = arena_zalloc(&session->arena, matching, sizeof *uids);
    if (matching > 0 && uids == NULL)
        return -ENOMEM;
    for (uint32_t number = 1; number <= view->count && count < matching; number++) {
        const struct mail_entry *entry = view_entry(view, number);
        bool is_wanted = only == NULL || imap_set_holds(only, number);
        if ((entry->flags & MAIL_DELETED) && !entry->expunged && is_wanted)
            uids[count++] = entry->uid;
    }
    int result = 0;
    for (uint32_t done = 0; done < count && result == 0; done += BATCH_MAX)
        result = mailbox_expunge(view->mailbox, uids + done,
                                 count - done < BATCH_MAX ? count - done : BATCH_MAX);
    return result;
}

static void expunge_run(struct session *session, const struct imap_set *set)
{
    struct imap_session *imap = imap_of(session);
    struct imap_set numbers;
    int result = imap->view.examine ? -EROFS : 0;
    if (result == 0)
        imap_report(session, true); /* what others marked as \Deleted goes too */
    if (session->end != SESSION_END_NONE)
        return;
    if (result == 0 && set != NULL &&
        !imap_set_resolve(set, true, &imap->view, &session->arena, &numbers))
        result = -ENOMEM;
    if (result == 0)
        result = imap_expunge(session, set != NULL ? &numbers : NULL);
    if (result < 0)
        imap_fail(session, result);
    else
        imap_finish(session, NULL, "Done");
}

void imap_expunge_run(struct session *session, const void *arguments)
{
    (void)arguments;
    expunge_run(session, NULL);
}

void imap_uid_expunge_run(struct session *session, const void *arguments)
{
    const struct imap_set_arguments *expunge = arguments;
    expunge_run(session, &expunge->set);
}
