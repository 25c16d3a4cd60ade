/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * STORE (RFC 9051 6.4.6, RFC 7162 3.1.3).
 *
 *   UIDs ─▶ a batch: what the client will think its flags are ─▶ mailbox_store (durable)
 *           ─▶ view_update: told, unless .SILENT and as expected ─▶ next batch ─▶ OK [MODIFIED]
 *
 * What STORE did is told from the same update of the view that tells what others did, so that the
 * client's picture is right whichever came first: with .SILENT, flags that are not what the client
 * must now take them for are told all the same. Batches bound memory and the records of the log.
 */
#include "families.h"

enum { BATCH_MAX = 32768 };

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

/* ---------------------------------------------------------------- telling what STORE did */

/* A message of the batch. */
struct stored_message {
    uint64_t keywords; /* and flags: as expected afterwards */
    uint16_t flags;
    bool is_told;
};

struct stored {
    struct imap_report report; /* first: tell_flags is given it */
    struct session *session;
    const struct imap_store_arguments *store;
    struct store_change change;
    const uint32_t *uids; /* of the batch, ascending */
    uint32_t count;
    struct stored_message *messages; /* of the same index */
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

/* What the client will think, knowing the view as it is. */
static void expect(const struct stored *stored)
{
    const struct view *view = &imap_of(stored->session)->view;
    const struct store_change *change = &stored->change;
    for (uint32_t i = 0; i < stored->count; i++) {
        uint32_t number = view_number(view, stored->uids[i], false);
        struct stored_message *message = &stored->messages[i];
        const struct mail_entry *entry = number > 0 ? view_entry(view, number) : NULL;
        *message = (struct stored_message){0};
        if (entry == NULL)
            continue;
        message->flags = change->how == STORE_ADD      ? entry->flags | change->flags
                         : change->how == STORE_REMOVE ? entry->flags & ~change->flags
                                                       : change->flags;
        message->keywords = change->how == STORE_ADD      ? entry->keywords | change->keywords
                            : change->how == STORE_REMOVE ? entry->keywords & ~change->keywords
                                                          : change->keywords;
    }
}

static void tell_flags(void *argument, uint32_t number, const struct mail_entry *entry)
{
    struct stored *stored = argument;
    struct session *session = stored->session;
    uint32_t index = stored_find(stored, entry->uid);
    struct stored_message *message = index < stored->count ? &stored->messages[index] : NULL;
    bool is_silent = stored->store->is_silent && message != NULL &&
                     message->flags == entry->flags && message->keywords == entry->keywords;
    if (!is_silent)
        imap_report_flags(&stored->report, number, entry);
    else if (imap_of(session)->enabled & IMAP_CONDSTORE) /* RFC 7162 3.1.3: even if .SILENT */
        imap_untagged(session, "%u FETCH (UID %u MODSEQ (%llu))", number, entry->uid,
                      (unsigned long long)entry->modseq);
    if (message != NULL)
        message->is_told = true;
}

/* Updates the view, then tells those whose flags STORE left as they were (a STORE is answered for
 * each message, RFC 9051 6.4.6). */
static void tell(struct stored *stored, bool may_expunge)
{
    struct view *view = &imap_of(stored->session)->view;
    imap_report_begin(&stored->report, stored->session);
    imap_report_update(&stored->report, may_expunge, tell_flags);
    for (uint32_t i = 0; i < stored->count && !stored->store->is_silent; i++) {
        bool is_told = stored->messages[i].is_told;
        uint32_t number = is_told ? 0 : view_number(view, stored->uids[i], false);
        if (number > 0 && !view_entry(view, number)->expunged)
            imap_report_flags(&stored->report, number, view_entry(view, number));
    }
    imap_report_end(&stored->report);
}

/* ---------------------------------------------------------------- running */

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

/* One batch; the UIDs whose MODSEQ was too high come first, *ret_failed of them. */
static int store_batch(struct stored *stored, uint32_t *uids, uint32_t count, bool is_uid,
                       uint32_t *ret_failed)
{
    struct mailbox *mailbox = imap_of(stored->session)->view.mailbox;
    stored->uids = uids;
    stored->count = count;
    int result = imap_keyword_bits(mailbox, &stored->store->flags,
                                   stored->store->how != STORE_REMOVE, &stored->change.keywords);
    if (result == 0)
        result = mailbox_store(mailbox, uids, count, &stored->change, ret_failed);
    if (result < 0)
        return result;
    stored->uids += *ret_failed;
    stored->count -= *ret_failed;
    expect(stored);
    tell(stored, is_uid);
    return 0;
}

static int store_messages(struct session *session, const struct imap_store_arguments *store,
                          const struct imap_set *numbers, bool is_uid)
{
    struct stored stored = {.session = session, .store = store};
    uint32_t *uids, count, failed = 0;
    stored.change = (struct store_change){
        .how = store->how, .flags = store->flags.flags, .unchanged_since = store->unchanged_since};
    if (!imap_set_uids(session, numbers, &uids, &count))
        return -ENOMEM;
    uint32_t batch_max = count < BATCH_MAX ? count : BATCH_MAX;
    stored.messages = arena_zalloc(&session->arena, batch_max, sizeof *stored.messages);
    if (stored.messages == NULL)
        return -ENOMEM;
    for (uint32_t done = 0; done < count && session->end == SESSION_END_NONE;) {
        uint32_t part = count - done < BATCH_MAX ? count - done : BATCH_MAX, part_failed = 0;
        int result = store_batch(&stored, uids + done, part, is_uid, &part_failed);
        if (result < 0)
            return result;
        memmove(uids + failed, uids + done, part_failed * sizeof *uids);
        failed += part_failed;
        done += part;
    }
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
