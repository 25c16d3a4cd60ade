/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * FETCH and UID FETCH: messages in ascending order, each answered as soon as it is read, with
 * bounded memory however many they are and however slowly the client takes them (rows I06, I17).
 *
 * When something cannot be read, the rest still works (row D11):
 *   - its summary or its first section is damaged: the message is passed over, the command ends NO
 *     [CORRUPTION] or [UNAVAILABLE]; a later section of the same message is NIL
 *   - a section breaks off in its middle: F1
 *   - expunged by another session and its bytes gone: passed over; a FETCH by numbers then ends NO
 *     [EXPUNGEISSUED] (RFC 2180 4.1.2), a UID FETCH is silent about it (RFC 9051 6.4.9). As long as
 *     the bytes are there, they are given (RFC 2180 4.1.1).
 *
 * \Seen is set for what was sent whole, by one commit for up to FETCH_SEEN_MAX messages, at the end
 * of the command; the flags are told by imap_finish, once they are durable. If they cannot be made
 * durable (a full disk), reading has still succeeded: the client keeps seeing \Seen unset.
 */
#include "fetch.h"

#include <stdlib.h>

enum {
    YIELD_MESSAGES = 256, /* between two turns of others, at most */
    LINE_TEXT_BYTES_MAX = 2048,
    PROGRESS_BYTES = 65536 /* a client must take so many in command_ms_max */
};

void fetch_progress(struct fetch *fetch)
{
    struct session *session = &fetch->imap->session;
    if (session->stream.bytes_out - fetch->bytes_marked < PROGRESS_BYTES)
        return;
    fetch->bytes_marked = session->stream.bytes_out;
    session_deadline(session, session->service->command_ms_max);
}

static bool needs_summary(const struct fetch_arguments *arguments)
{
    if (arguments->attributes & (FETCH_ENVELOPE | FETCH_BODY | FETCH_BODYSTRUCTURE))
        return true;
    for (const struct fetch_section *section = arguments->sections; section != NULL;
         section = section->next)
        if (fetch_section_needs_summary(section))
            return true;
    return false;
}

static bool sets_seen(const struct fetch_arguments *arguments)
{
    for (const struct fetch_section *section = arguments->sections; section != NULL;
         section = section->next)
        if (!section->is_peek)
            return true;
    return false;
}

/* ---------------------------------------------------------------- \Seen */

static void seen_commit(struct fetch *fetch)
{
    const struct store_change change = {
        .how = STORE_ADD, .flags = MAIL_SEEN, .unchanged_since = UINT64_MAX};
    uint32_t failed;
    if (fetch->seen_count > 0 && mailbox_store(fetch->imap->view.mailbox, fetch->seen_uids,
                                               fetch->seen_count, &change, &failed) == 0)
        assert(failed == 0 && "a change without a condition fails whole or not at all");
    fetch->seen_count = 0;
}

static void seen_add(struct fetch *fetch, const struct mail_entry *entry)
{
    if (entry->expunged || (entry->flags & MAIL_SEEN) || fetch->imap->view.examine)
        return;
    if (fetch->seen_uids == NULL &&
        (fetch->seen_uids = malloc(FETCH_SEEN_MAX * sizeof fetch->seen_uids[0])) == NULL)
        return; /* as when it cannot be made durable */
    fetch->seen_uids[fetch->seen_count++] = entry->uid;
    if (fetch->seen_count == FETCH_SEEN_MAX)
        seen_commit(fetch);
}

/* ---------------------------------------------------------------- one message */

static void message_failed(struct fetch *fetch, const struct mail_entry *entry, int error)
{
    if (error == -ENOENT || (entry->expunged && error == -EBADMSG))
        fetch->has_gone = true;
    else if (fetch->error == 0)
        fetch->error = error;
}

static int summary_load(struct fetch *fetch, const struct mail_entry *entry,
                        struct mime_summary *ret_summary)
{
    struct slice bytes;
    int result = message_summary(fetch->imap->view.mailbox, entry, &fetch->scratch, &bytes);
    return result < 0 ? result : mime_summary_open(bytes, ret_summary);
}

/* What a summary says stands in memory until the message is done: long texts are not copied. */
static void line_text(struct fetch *fetch, const char *label, struct slice value)
{
    text_append(&fetch->line, slice_cstr(label));
    if (value.size <= LINE_TEXT_BYTES_MAX) {
        text_append(&fetch->line, value);
        return;
    }
    fetch_line_flush(fetch);
    stream_write(fetch_stream(fetch), value);
}

/* Each item ends in a space; the last one is taken back. */
static void attributes_write(struct fetch *fetch, const struct mail_entry *entry,
                             const struct mime_summary *summary)
{
    uint32_t attributes = fetch->arguments->attributes;
    struct text *line = &fetch->line;
    struct view *view = &fetch->imap->view;
    if ((attributes & FETCH_UID) || fetch->is_uid) {
        text_append(line, SLICE("UID "));
        fetch_text_number(line, entry->uid);
        text_char(line, ' ');
    }
    if (attributes & FETCH_FLAGS) {
        text_append(line, SLICE("FLAGS "));
        imap_text_flags(line, view->mailbox, entry->flags, entry->keywords,
                        imap_is_recent(view, entry));
        text_char(line, ' ');
    }
    if (attributes & FETCH_MODSEQ) {
        text_append(line, SLICE("MODSEQ ("));
        fetch_text_number(line, entry->modseq);
        text_append(line, SLICE(") "));
    }
    if (attributes & FETCH_INTERNALDATE) {
        text_append(line, SLICE("INTERNALDATE "));
        imap_text_date_time(line, entry->date, entry->date_zone);
        text_char(line, ' ');
    }
    if (attributes & FETCH_SIZE) {
        text_append(line, SLICE("RFC822.SIZE "));
        fetch_text_number(line, entry->size);
        text_char(line, ' ');
    }
    if (attributes & FETCH_ENVELOPE) {
        line_text(fetch, "ENVELOPE ", summary->envelope);
        text_char(line, ' ');
    }
    if (attributes & FETCH_BODY) {
        line_text(fetch, "BODY ", summary->body);
        text_char(line, ' ');
    }
    if (attributes & FETCH_BODYSTRUCTURE) {
        line_text(fetch, "BODYSTRUCTURE ", summary->bodystructure);
        text_char(line, ' ');
    }
    if (fetch->arguments->sections == NULL)
        line->size--;
}

static void message_write(struct fetch *fetch, uint32_t number, const struct mail_entry *entry,
                          const struct mime_summary *summary)
{
    struct text *line = &fetch->line;
    line->size = 0;
    text_append(line, SLICE("* "));
    fetch_text_number(line, number);
    text_append(line, SLICE(" FETCH ("));
    attributes_write(fetch, entry, summary);
    for (const struct fetch_section *section = fetch->arguments->sections;
         section != NULL && !fetch_is_over(fetch); section = section->next) {
        fetch_section_write(fetch, entry, summary, section);
        if (section->next != NULL)
            text_char(line, ' ');
    }
    text_append(line, SLICE(")\r\n"));
    if (!fetch->is_broken)
        fetch_line_flush(fetch);
}

static void message_answer(struct fetch *fetch, uint32_t number)
{
    const struct fetch_arguments *arguments = fetch->arguments;
    /* A copy: what view_entry points to need not outlive a wait. */
    struct mail_entry entry = *view_entry(&fetch->imap->view, number);
    if (arguments->changed_since > 0 && entry.modseq <= arguments->changed_since)
        return;
    struct mime_summary summary = {0};
    int result = 0;
    fetch_body_begin(fetch);
    if (needs_summary(arguments))
        result = summary_load(fetch, &entry, &summary);
    if (result == 0 && arguments->sections != NULL)
        result = fetch_section_ready(fetch, &entry, &summary, arguments->sections);
    if (result < 0) {
        message_failed(fetch, &entry, result);
        return;
    }
    int before = fetch->error;
    message_write(fetch, number, &entry, &summary);
    if (sets_seen(arguments) && fetch->error == before && !fetch_is_over(fetch))
        seen_add(fetch, &entry);
}

/* ---------------------------------------------------------------- the command */

static void messages_answer(struct fetch *fetch, const struct imap_set *numbers)
{
    struct session *session = &fetch->imap->session;
    unsigned until_yield = YIELD_MESSAGES;
    for (uint32_t i = 0; i < numbers->count; i++)
        for (uint32_t number = numbers->ranges[i].first; number <= numbers->ranges[i].last;
             number++) {
            message_answer(fetch, number);
            if (fetch_is_over(fetch))
                return;
            fetch_progress(fetch);
            if (--until_yield == 0) {
                fiber_yield(session_core(session));
                until_yield = YIELD_MESSAGES;
            }
        }
}

static void fetch_end(struct fetch *fetch)
{
    struct session *session = &fetch->imap->session;
    if (fetch_is_over(fetch))
        return;
    if (fetch->error < 0)
        imap_fail(session, fetch->error);
    else if (fetch->has_gone && !fetch->is_uid)
        imap_no(session, "EXPUNGEISSUED", "Some of the messages no longer exist");
    else
        imap_finish(session, NULL, "FETCH completed");
}

static void fetch_run(struct session *session, const struct fetch_arguments *arguments, bool is_uid)
{
    struct fetch fetch = {.imap = imap_of(session),
                          .arguments = arguments,
                          .is_uid = is_uid,
                          .bytes_marked = session->stream.bytes_out};
    struct imap_set numbers;
    if (!imap_set_resolve(&arguments->set, is_uid, &fetch.imap->view, &session->arena, &numbers)) {
        imap_fail(session, -ENOMEM);
        return;
    }
    if (arguments->enables_condstore)
        imap_condstore_enable(session);
    if (imap_set_refused(session, &numbers, is_uid))
        return;
    text_init(&fetch.line, &session->arena);
    arena_init(&fetch.scratch, FETCH_SCRATCH_BYTES_MAX);
    session_deadline(session, session->service->command_ms_max);
    messages_answer(&fetch, &numbers);
    if (!fetch_is_over(&fetch))
        seen_commit(&fetch);
    fetch_end(&fetch);
    arena_reset(&fetch.scratch);
    free(fetch.piece);
    free(fetch.seen_uids);
}

void imap_fetch_run(struct session *session, const void *arguments)
{
    fetch_run(session, arguments, false);
}

void imap_uid_fetch_run(struct session *session, const void *arguments)
{
    fetch_run(session, arguments, true);
}
