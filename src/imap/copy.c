/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * COPY and MOVE (RFC 9051 6.4.7, 6.4.8, RFC 4315, RFC 6851): within the account, all or nothing.
 * MOVE says COPYUID in an untagged OK before the EXPUNGEs (RFC 6851 section 4.3).
 */
#include "families.h"

const char *imap_copy_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_copy_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    if (!imap_take_set(&cursor, arena, &arguments->set) || !imap_take(&cursor, ' '))
        return "Expected a sequence set";
    if (!imap_take_mailbox(&cursor, arena, &arguments->mailbox) || !imap_at_end(&cursor))
        return "Expected a mailbox name";
    return NULL;
}

/* "COPYUID v 1:3 7:9" of those that were copied; NULL: none were, or no memory. */
static const char *copied_code(struct session *session, uint32_t *uids, uint32_t *new_uids,
                               uint32_t count, uint32_t uidvalidity)
{
    uint32_t copied = 0;
    struct text text;
    for (uint32_t i = 0; i < count; i++)
        if (new_uids[i] != 0) {
            uids[copied] = uids[i];
            new_uids[copied++] = new_uids[i];
        }
    if (copied == 0)
        return NULL;
    text_init(&text, &session->arena);
    text_printf(&text, "COPYUID %u ", uidvalidity);
    imap_text_numbers(&text, uids, copied);
    text_char(&text, ' ');
    imap_text_numbers(&text, new_uids, copied);
    text_char(&text, '\0');
    return text.failed ? NULL : text.data;
}

static int copy_messages(struct session *session, const struct imap_set *numbers,
                         struct slice mailbox_name, bool move)
{
    struct imap_session *imap = imap_of(session);
    uint32_t *uids, *new_uids, count, uidvalidity;
    if (!imap_set_uids(session, numbers, &uids, &count))
        return -ENOMEM;
    new_uids = arena_zalloc(&session->arena, count, sizeof *new_uids);
    if (new_uids == NULL)
        return -ENOMEM;
    struct mailbox *to = account_mailbox(imap->account, mailbox_name);
    if (to == NULL) {
        imap_no(session, "TRYCREATE", "No such mailbox");
        return 0;
    }
    int result = 0;
    if (count > 0)
        result = mailbox_copy(imap->view.mailbox, uids, count, to, move, new_uids, &uidvalidity);
    if (result < 0)
        return result;
    const char *code = count > 0 ? copied_code(session, uids, new_uids, count, uidvalidity) : NULL;
    if (code == NULL) {
        imap_no(session, "EXPUNGEISSUED", "These messages are gone");
        return 0;
    }
    if (move) {
        stream_printf(&session->stream, "* OK [%s] Moved\r\n", code);
        imap_report(session, true);
        code = NULL;
    }
    imap_finish(session, code, "Done");
    return 0;
}

static void copy_run(struct session *session, const struct imap_copy_arguments *copy, bool is_uid,
                     bool move)
{
    struct imap_session *imap = imap_of(session);
    struct imap_set numbers;
    int result = 0;
    if (move && imap->view.examine)
        result = -EROFS;
    else if (!imap_set_resolve(&copy->set, is_uid, &imap->view, &session->arena, &numbers))
        result = -ENOMEM;
    else if (imap_set_refused(session, &numbers, is_uid))
        return;
    if (result == 0)
        result = copy_messages(session, &numbers, copy->mailbox, move);
    if (result < 0)
        imap_fail(session, result);
}

void imap_copy_run(struct session *session, const void *arguments)
{
    copy_run(session, arguments, false, false);
}

void imap_uid_copy_run(struct session *session, const void *arguments)
{
    copy_run(session, arguments, true, false);
}

void imap_move_run(struct session *session, const void *arguments)
{
    copy_run(session, arguments, false, true);
}

void imap_uid_move_run(struct session *session, const void *arguments)
{
    copy_run(session, arguments, true, true);
}
