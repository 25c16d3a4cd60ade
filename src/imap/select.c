/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SELECT, EXAMINE, CLOSE, UNSELECT: the one mailbox that a session works on (RFC 9051 6.3.2,
 * RFC 3691, RFC 7162 3.1.8).
 */
#include <stddef.h>

#include "families.h"

void imap_deselect(struct session *session)
{
    struct imap_session *imap = imap_of(session);
    assert(imap->view.mailbox != NULL && "M4");
    view_close(&imap->view);
    imap->view = (struct view){0};
    session->state = IMAP_AUTHENTICATED;
}

/* In the core's turn: a session in IDLE is to be told. Others look when their command ends. */
static void view_changed(struct view *view)
{
    struct imap_session *imap =
        (struct imap_session *)((char *)view - offsetof(struct imap_session, view));
    if (imap->session.state == IMAP_IDLE)
        session_wake(&imap->session);
}

const char *imap_select_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_select_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    if (!imap_take_mailbox(&cursor, arena, &arguments->mailbox))
        return "Expected a mailbox name";
    if (imap_take(&cursor, ' ')) {
        if (!imap_take(&cursor, '(') || !imap_take_word(&cursor, SLICE("CONDSTORE")) ||
            !imap_take(&cursor, ')'))
            return "Unknown parameter";
        arguments->condstore = true;
    }
    return imap_at_end(&cursor) ? NULL : "Not a mailbox name";
}

static uint32_t first_unseen(const struct view *view)
{
    for (uint32_t number = 1; number <= view->count; number++)
        if (!(view_entry(view, number)->flags & MAIL_SEEN))
            return number;
    return 0;
}

static void say_mailbox(struct session *session, const struct view *view,
                        const struct mailbox_status *status)
{
    imap_keywords_tell(session, true);
    imap_report_exists(session, view->count);
    uint32_t unseen = status->unseen > 0 ? first_unseen(view) : 0;
    if (unseen > 0)
        imap_untagged(session, "OK [UNSEEN %u] First unseen", unseen);
    imap_untagged(session, "OK [UIDVALIDITY %u] Valid", status->uidvalidity);
    imap_untagged(session, "OK [UIDNEXT %u] Next", status->uidnext);
    imap_untagged(session, "OK [HIGHESTMODSEQ %llu] Highest",
                  (unsigned long long)status->highest_modseq);
}

static void select_mailbox(struct session *session, const struct imap_select_arguments *select,
                           bool examine)
{
    struct imap_session *imap = imap_of(session);
    if (imap->view.mailbox != NULL) {
        imap_deselect(session);
        imap_untagged(session, "OK [CLOSED] Previous mailbox closed");
    }
    if (select->condstore)
        imap_condstore_enable(session);
    struct mailbox *mailbox = account_mailbox(imap->account, select->mailbox);
    struct mailbox_status status = {0};
    int result =
        mailbox == NULL ? -ENOENT : view_open(imap->account, mailbox, examine, &imap->view);
    if (result == 0) {
        imap->view.changed = view_changed;
        session->state = IMAP_SELECTED;
        result = mailbox_status(mailbox, &status);
        if (result < 0)
            imap_deselect(session);
    }
    if (result < 0) {
        imap_fail(session, result);
        return;
    }
    say_mailbox(session, &imap->view, &status);
    imap_finish(session, examine ? "READ-ONLY" : "READ-WRITE", "Selected");
}

void imap_select_run(struct session *session, const void *arguments)
{
    select_mailbox(session, arguments, false);
}

void imap_examine_run(struct session *session, const void *arguments)
{
    select_mailbox(session, arguments, true);
}

void imap_close_run(struct session *session, const void *arguments)
{
    (void)arguments;
    const struct view *view = &imap_of(session)->view;
    bool is_gone = view_mailbox_deleted(view);
    int result = view->examine || is_gone ? 0 : imap_expunge(session, NULL);
    if (result < 0) {
        imap_fail(session, result);
        return;
    }
    imap_deselect(session);
    imap_finish(session, NULL, "Closed");
}

void imap_unselect_run(struct session *session, const void *arguments)
{
    (void)arguments;
    imap_deselect(session);
    imap_finish(session, NULL, "Closed");
}
