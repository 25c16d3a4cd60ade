/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * STORE and EXPUNGE (RFC 9051 6.4.6, 6.4.3, RFC 4315, RFC 7162 3.1.3).
 *
 * What STORE did is told from the same update of the view that tells what others did, so that the
 * client's picture is right whichever came first. With .SILENT the flags of messages stored are
 * left out, unless they are not what the client must now think they are.
 */
#include "families.h"

const char *imap_store_parse(struct slice text, struct arena *arena, void *ret_arguments)
{
    static const char expected[] =
        "Expected: STORE set [(UNCHANGEDSINCE modseq)] [+|-]FLAGS[.SILENT] flags";
    struct imap_store_arguments *arguments = ret_arguments;
    struct imap_cursor cursor = imap_cursor_of(text);
    arguments->unchanged_since = UINT64_MAX;
    if (!imap_take_set(&cursor, arena, &arguments->set) || !imap_take(&cursor, ' '))
        return expected;
    if (imap_take(&cursor, '(')) {
        if (!imap_take_word(&cursor, SLICE("UNCHANGEDSINCE")) || !imap_take(&cursor, ' ') ||
            !imap_take_number(&cursor, INT64_MAX, &arguments->unchanged_since) ||
            !imap_take(&cursor, ')') || !imap_take(&cursor, ' '))
            return expected;
    }
    arguments->how = imap_take(&cursor, '+')   ? STORE_ADD
                     : imap_take(&cursor, '-') ? STORE_REMOVE
                                               : STORE_REPLACE;
    arguments->is_silent = imap_take_word(&cursor, SLICE("FLAGS.SILENT"));
    if (!arguments->is_silent && !imap_take_word(&cursor, SLICE("FLAGS")))
        return expected;
    if (!imap_take(&cursor, ' ') || !imap_take_flags(&cursor, arena, &arguments->flags) ||
        !imap_at_end(&cursor))
        return "Expected flags";
    return NULL;
}

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

/* ---------------------------------------------------------------- telling what STORE did */

struct stored {
    struct session *session;
    const struct imap_store_arguments *store;
    struct store_change change;
    const uint32_t *uids; /* ascending */
    uint32_t count;
    bool *is_told; /* of each of uids */
};

/* Index of a UID among those stored, or count. */
static uint32_t stored_find(const struct stored *stored, uint32_t uid)
{
    uint32_t low = 0, high = stored->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (stored->uids[middle] < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < stored->count && stored->uids[low] == uid ? low : stored->count;
}

/* Are the flags what STORE alone would have left? */
static bool is_as_stored(const struct store_change *change, const struct mail_entry *entry)
{
    switch (change->how) {
    case STORE_REPLACE:
        return entry->flags == change->flags && entry->keywords == change->keywords;
    case STORE_ADD:
        return (entry->flags & change->flags) == change->flags &&
               (entry->keywords & change->keywords) == change->keywords;
    case STORE_REMOVE:
        return (entry->flags & change->flags) == 0 && (entry->keywords & change->keywords) == 0;
    }
    return false;
}

static void tell_flags(void *argument, uint32_t number, const struct mail_entry *entry)
{
    struct stored *stored = argument;
    struct session *session = stored->session;
    uint32_t index = stored_find(stored, entry->uid);
    if (index == stored->count || !stored->store->is_silent ||
        !is_as_stored(&stored->change, entry)) {
        imap_report_flags(session, number, entry);
    } else if (imap_of(session)->enabled & IMAP_CONDSTORE) { /* RFC 7162 3.1.3: even if .SILENT */
        imap_untagged(session, "%u FETCH (UID %u MODSEQ (%llu))", number, entry->uid,
                      (unsigned long long)entry->modseq);
    }
    if (index < stored->count)
        stored->is_told[index] = true;
}

static void tell_exists(void *argument, uint32_t count)
{
    struct stored *stored = argument;
    imap_report_exists(stored->session, count);
}

static void tell_expunged(void *argument, uint32_t number, uint32_t uid)
{
    struct stored *stored = argument;
    (void)uid;
    imap_untagged(stored->session, "%u EXPUNGE", number);
}

/* Updates the view, then tells those whose flags STORE left as they were (a STORE is answered for
 * each message, RFC 9051 6.4.6). */
static void tell_stored(struct stored *stored, bool may_expunge)
{
    struct view *view = &imap_of(stored->session)->view;
    struct view_listener listener = {
        .argument = stored, .flags = tell_flags, .exists = tell_exists, .expunged = tell_expunged};
    view_update(view, may_expunge, &listener);
    for (uint32_t i = 0; i < stored->count && !stored->store->is_silent; i++) {
        uint32_t number = stored->is_told[i] ? 0 : view_number(view, stored->uids[i], false);
        if (number > 0 && !view_entry(view, number)->expunged)
            imap_report_flags(stored->session, number, view_entry(view, number));
    }
}

/* "MODIFIED 1,4" or NULL: sequence numbers, or UIDs. */
static const char *modified_code(struct session *session, uint32_t *uids, uint32_t count,
                                 bool is_uid)
{
    struct text text;
    if (count == 0)
        return NULL;
    for (uint32_t i = 0; i < count && !is_uid; i++)
        uids[i] = view_number(&imap_of(session)->view, uids[i], false);
    text_init(&text, &session->arena);
    text_append(&text, SLICE("MODIFIED "));
    imap_text_numbers(&text, uids, count);
    text_char(&text, '\0');
    return text.failed ? NULL : text.data;
}

static int store_messages(struct session *session, const struct imap_store_arguments *store,
                          const struct imap_set *numbers, bool is_uid)
{
    struct mailbox *mailbox = imap_of(session)->view.mailbox;
    struct stored stored = {.session = session, .store = store};
    uint32_t *uids, failed = 0;
    stored.change = (struct store_change){
        .how = store->how, .flags = store->flags.flags, .unchanged_since = store->unchanged_since};
    if (!imap_set_uids(session, numbers, &uids, &stored.count))
        return -ENOMEM;
    stored.is_told = arena_zalloc(&session->arena, stored.count, sizeof *stored.is_told);
    if (stored.is_told == NULL)
        return -ENOMEM;
    int result = imap_keyword_bits(mailbox, &store->flags, store->how != STORE_REMOVE,
                                   &stored.change.keywords);
    if (result == 0)
        result = mailbox_store(mailbox, uids, stored.count, &stored.change, &failed);
    if (result < 0)
        return result;
    stored.uids = uids + failed;
    stored.count -= failed;
    tell_stored(&stored, is_uid);
    imap_finish(session, modified_code(session, uids, failed, is_uid),
                failed > 0 ? "Conditional STORE failed for some" : "Done");
    return 0;
}

static void store_run(struct session *session, const struct imap_store_arguments *store,
                      bool is_uid)
{
    struct imap_session *imap = imap_of(session);
    struct imap_set numbers;
    int result = 0;
    if (store->unchanged_since != UINT64_MAX)
        imap_condstore_enable(session);
    if (imap->view.examine)
        result = -EROFS;
    else if (!imap_set_resolve(&store->set, is_uid, &imap->view, &session->arena, &numbers))
        result = -ENOMEM;
    else if (imap_set_refused(session, &numbers, is_uid))
        return;
    if (result == 0)
        result = store_messages(session, store, &numbers, is_uid);
    if (result < 0)
        imap_fail(session, result);
}

void imap_store_run(struct session *session, const void *arguments)
{
    store_run(session, arguments, false);
}

void imap_uid_store_run(struct session *session, const void *arguments)
{
    store_run(session, arguments, true);
}

/* ---------------------------------------------------------------- EXPUNGE */

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
    return count == 0 ? 0 : mailbox_expunge(view->mailbox, uids, count);
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
