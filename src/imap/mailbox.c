/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, NAMESPACE (RFC 9051 6.3). What a name may be is
 * the store's to say; a name never becomes a path (row I10), and an account holds its own mailboxes
 * only (row I23).
 */
#include "families.h"

static const struct {
    struct slice name;
    enum mailbox_use use;
} uses[] = {
    {SLICE("\\All"), MAILBOX_USE_ALL},       {SLICE("\\Archive"), MAILBOX_USE_ARCHIVE},
    {SLICE("\\Drafts"), MAILBOX_USE_DRAFTS}, {SLICE("\\Flagged"), MAILBOX_USE_FLAGGED},
    {SLICE("\\Junk"), MAILBOX_USE_JUNK},     {SLICE("\\Sent"), MAILBOX_USE_SENT},
    {SLICE("\\Trash"), MAILBOX_USE_TRASH},
};
enum { USE_COUNT = sizeof uses / sizeof uses[0] };

const char *imap_use_name(enum mailbox_use use)
{
    for (unsigned i = 0; i < USE_COUNT; i++)
        if (uses[i].use == use)
            return uses[i].name.data;
    return NULL;
}

static bool take_use(struct imap_cursor *cursor, enum mailbox_use *ret_use)
{
    for (unsigned i = 0; i < USE_COUNT; i++)
        if (imap_take_word(cursor, uses[i].name)) {
            *ret_use = uses[i].use;
            return true;
        }
    return false;
}

/* ---------------------------------------------------------------- parsing */

const char *imap_mailbox_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_mailbox_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    bool is_good = imap_take_mailbox(&cursor, arena, &arguments->mailbox) && imap_at_end(&cursor);
    return is_good ? NULL : "Expected a mailbox name";
}

/* A separator at the end says that children will follow (RFC 9051 6.3.4); it is no part of the
 * name. */
static struct slice without_end(struct slice name)
{
    bool has_end = name.size > 1 && name.data[name.size - 1] == '/';
    return has_end ? slice_first(name, name.size - 1) : name;
}

const char *imap_create_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_mailbox_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    if (!imap_take_mailbox(&cursor, arena, &arguments->mailbox))
        return "Expected a mailbox name";
    arguments->mailbox = without_end(arguments->mailbox);
    if (imap_take(&cursor, ' ')) {
        if (!imap_take(&cursor, '(') || !imap_take_word(&cursor, SLICE("USE")) ||
            !imap_take(&cursor, ' ') || !imap_take(&cursor, '('))
            return "Unknown parameter";
        if (!take_use(&cursor, &arguments->use))
            return "Unknown special use";
        if (!imap_take(&cursor, ')') || !imap_take(&cursor, ')'))
            return "One special use at most";
    }
    return imap_at_end(&cursor) ? NULL : "Not a mailbox name";
}

const char *imap_rename_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct imap_mailbox_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    bool is_good = imap_take_mailbox(&cursor, arena, &arguments->mailbox) &&
                   imap_take(&cursor, ' ') &&
                   imap_take_mailbox(&cursor, arena, &arguments->other) && imap_at_end(&cursor);
    arguments->other = without_end(arguments->other);
    return is_good ? NULL : "Expected two mailbox names";
}

/* ---------------------------------------------------------------- running */

static void finish(struct session *session, int result)
{
    if (result < 0)
        imap_fail(session, result);
    else
        imap_finish(session, NULL, "Done");
}

void imap_create_run(struct session *session, const void *arguments)
{
    const struct imap_mailbox_arguments *create = arguments;
    finish(session, account_create(imap_of(session)->account, create->mailbox, create->use));
}

void imap_delete_run(struct session *session, const void *arguments)
{
    const struct imap_mailbox_arguments *delete = arguments;
    struct imap_session *imap = imap_of(session);
    int result = account_delete(imap->account, delete->mailbox);
    if (imap->view.mailbox != NULL && view_mailbox_deleted(&imap->view)) {
        imap_deselect(session);
        imap_untagged(session, "OK [CLOSED] Selected mailbox was deleted");
    }
    finish(session, result);
}

void imap_rename_run(struct session *session, const void *arguments)
{
    const struct imap_mailbox_arguments *rename = arguments;
    finish(session, account_rename(imap_of(session)->account, rename->mailbox, rename->other));
}

void imap_subscribe_run(struct session *session, const void *arguments)
{
    const struct imap_mailbox_arguments *subscribe = arguments;
    finish(session, account_subscribe(imap_of(session)->account, subscribe->mailbox, true));
}

void imap_unsubscribe_run(struct session *session, const void *arguments)
{
    const struct imap_mailbox_arguments *unsubscribe = arguments;
    finish(session, account_subscribe(imap_of(session)->account, unsubscribe->mailbox, false));
}

/* RFC 2342: one personal namespace, without prefix. */
void imap_namespace_run(struct session *session, const void *arguments)
{
    (void)arguments;
    imap_untagged(session, "NAMESPACE ((\"\" \"/\")) NIL NIL");
    imap_finish(session, NULL, "Done");
}
