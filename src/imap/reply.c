/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the server says: tagged answers, untagged ones, and changes of the selected mailbox by
 * others. One function turns an errno of the store into a response code (RFC 5530).
 */
#include <stdarg.h>
#include <stdio.h>

#include "families.h"

enum { ANSWER_BYTES_MAX = 1024 };

void imap_untagged(struct session *session, const char *format, ...)
{
    char line[ANSWER_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    assert(size >= 0 && size < ANSWER_BYTES_MAX && "untagged answers of ours are short");
    stream_write(&session->stream, SLICE("* "));
    stream_write(&session->stream, slice_of(line, (size_t)size));
    stream_write(&session->stream, SLICE("\r\n"));
}

void imap_answer(struct session *session, const char *condition, const char *code, const char *text)
{
    struct stream *stream = &session->stream;
    struct slice tag = session->line.tag;
    stream_write(stream, tag.size > 0 ? tag : SLICE("*"));
    stream_write(stream, slice_cstr(condition));
    if (code != NULL) {
        stream_write(stream, SLICE("["));
        stream_write(stream, slice_cstr(code));
        stream_write(stream, SLICE("] "));
    }
    stream_write(stream, slice_cstr(text));
    stream_write(stream, SLICE("\r\n"));
}

/* Whether the running command's row forbids EXPUNGE. */
static bool is_expunge_allowed(const struct session *session)
{
    for (unsigned i = 0; i < imap_command_count; i++)
        if (slice_equal_nocase(session->line.verb, slice_cstr(imap_commands[i].name)))
            return !(imap_commands[i].flags & COMMAND_NO_EXPUNGE);
    return true;
}

void imap_finish(struct session *session, const char *code, const char *text)
{
    const struct view *view = &imap_of(session)->view;
    if (view->mailbox != NULL && (view_stale(view) || view_mailbox_deleted(view)))
        imap_report(session, is_expunge_allowed(session));
    imap_answer(session, " OK ", code, text);
}

void imap_no(struct session *session, const char *code, const char *text)
{
    imap_answer(session, " NO ", code, text);
}

void imap_bad(struct session *session, const char *text)
{
    session_count_error(session);
    imap_answer(session, " BAD ", NULL, text);
}

static const struct {
    int error;
    const char *code, *text;
} failures[] = {
    {ENOENT, "NONEXISTENT", "No such mailbox"},
    {EEXIST, "ALREADYEXISTS", "There is a mailbox of that name"},
    {EINVAL, "CANNOT", "Not an allowed mailbox name"},
    {EPERM, "CANNOT", "Not possible with this mailbox"},
    {EMLINK, "LIMIT", "Too many"},
    {E2BIG, "LIMIT", "Too many messages at once"},
    {EACCES, "NOPERM", "Not allowed"},
    {EROFS, "CANNOT", "Mailbox is read-only"},
    {EFBIG, "TOOBIG", "Too big"},
    {ENOSPC, "UNAVAILABLE", "No space left in the store"},
    {EBADMSG, "CORRUPTION", "Stored data is damaged"},
    {EIO, "UNAVAILABLE", "Store not available"},
    {ENOMEM, "UNAVAILABLE", "Out of memory, try again later"},
    {EAGAIN, "UNAVAILABLE", "Too busy, try again later"},
};

void imap_fail(struct session *session, int error)
{
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (failures[i].error == -error) {
            imap_no(session, failures[i].code, failures[i].text);
            return;
        }
    imap_no(session, "SERVERBUG", "Internal error");
}

/* ---------------------------------------------------------------- changes */

_Static_assert(KEYWORDS_MAX == 64, "keywords_in_use has a bit for each");

static uint64_t keywords_in_use(const struct mailbox *mailbox)
{
    uint64_t bits = 0;
    for (unsigned bit = 0; bit < KEYWORDS_MAX; bit++)
        if (mailbox_keyword(mailbox, bit).size > 0)
            bits |= UINT64_C(1) << bit;
    return bits;
}

void imap_keywords_tell(struct session *session, bool always)
{
    static const uint16_t all =
        MAIL_SEEN | MAIL_ANSWERED | MAIL_FLAGGED | MAIL_DELETED | MAIL_DRAFT;
    struct imap_session *imap = imap_of(session);
    const struct view *view = &imap->view;
    uint64_t keywords = keywords_in_use(view->mailbox);
    if (!always && (keywords & ~imap->keywords_told) == 0)
        return;
    struct arena arena;
    struct text text;
    arena_init(&arena, IMAP_COMMAND_BYTES_MAX);
    text_init(&text, &arena);
    text_append(&text, SLICE("* FLAGS "));
    imap_text_flags(&text, view->mailbox, all, keywords, false);
    text_append(&text, SLICE("\r\n* OK [PERMANENTFLAGS "));
    if (view->examine) {
        text_append(&text, SLICE("()"));
    } else {
        imap_text_flags(&text, view->mailbox, all, keywords, false);
        if (keywords != UINT64_MAX && !text.failed) {
            text.size--; /* the parenthesis */
            text_append(&text, SLICE(" \\*)"));
        }
    }
    text_append(&text, SLICE("] Flags that can be set\r\n"));
    if (!text.failed) {
        imap->keywords_told = keywords;
        stream_write(&session->stream, text_slice(&text));
    }
    arena_reset(&arena);
}

uint32_t imap_recent_count(const struct view *view)
{
    if (view->recent_after_uid == UINT32_MAX || view->count == 0)
        return 0;
    return view->count + 1 - view_number(view, view->recent_after_uid + 1, true);
}

void imap_report_exists(struct session *session, uint32_t count)
{
    imap_untagged(session, "%u EXISTS", count);
    imap_untagged(session, "%u RECENT", imap_recent_count(&imap_of(session)->view));
}

void imap_report_begin(struct imap_report *report, struct session *session)
{
    *report = (struct imap_report){.session = session};
    arena_init(&report->arena, IMAP_COMMAND_BYTES_MAX);
    text_init(&report->line, &report->arena);
}

void imap_report_end(struct imap_report *report)
{
    if (report->line.failed) /* the client's picture is wrong now */
        session_end(report->session, SESSION_END_MEMORY);
    arena_reset(&report->arena);
}

void imap_report_flags(struct imap_report *report, uint32_t number, const struct mail_entry *entry)
{
    struct imap_session *imap = imap_of(report->session);
    struct text *line = &report->line;
    line->size = 0;
    text_printf(line, "* %u FETCH (UID %u FLAGS ", number, entry->uid);
    imap_text_flags(line, imap->view.mailbox, entry->flags, entry->keywords,
                    imap_is_recent(&imap->view, entry));
    if (imap->enabled & IMAP_CONDSTORE)
        text_printf(line, " MODSEQ (%llu)", (unsigned long long)entry->modseq);
    text_append(line, SLICE(")\r\n"));
    if (!line->failed)
        stream_write(&report->session->stream, text_slice(line));
}

static void report_expunged(void *argument, uint32_t number, uint32_t uid)
{
    struct imap_report *report = argument;
    (void)uid;
    imap_untagged(report->session, "%u EXPUNGE", number);
}

static void report_exists(void *argument, uint32_t count)
{
    struct imap_report *report = argument;
    imap_report_exists(report->session, count);
}

static void report_flags(void *argument, uint32_t number, const struct mail_entry *entry)
{
    imap_report_flags(argument, number, entry);
}

void imap_report_update(struct imap_report *report, bool may_expunge,
                        void (*flags)(void *argument, uint32_t number,
                                      const struct mail_entry *entry))
{
    struct view *view = &imap_of(report->session)->view;
    struct view_listener listener = {
        .argument = report, .expunged = report_expunged, .exists = report_exists, .flags = flags};
    imap_keywords_tell(report->session, false);
    view_update(view, may_expunge, &listener);
}

void imap_report(struct session *session, bool may_expunge)
{
    struct imap_session *imap = imap_of(session);
    struct imap_report report;
    if (imap->view.mailbox == NULL)
        return;
    if (view_mailbox_deleted(&imap->view)) {
        session_end(session, SESSION_END_MAILBOX_GONE);
        return;
    }
    if (!view_stale(&imap->view))
        return;
    imap_report_begin(&report, session);
    imap_report_update(&report, may_expunge, report_flags);
    imap_report_end(&report);
}

void imap_condstore_enable(struct session *session)
{
    struct imap_session *imap = imap_of(session);
    if (imap->enabled & IMAP_CONDSTORE)
        return;
    imap->enabled |= IMAP_CONDSTORE;
    if (imap->view.mailbox != NULL)
        imap_untagged(session, "OK [HIGHESTMODSEQ %llu] MODSEQ is told from now on",
                      (unsigned long long)imap->view.modseq_seen);
}

bool imap_set_refused(struct session *session, const struct imap_set *numbers, bool is_uid)
{
    if (numbers->count > 0)
        return false;
    if (is_uid)
        imap_finish(session, NULL, "Nothing to do: no such UIDs");
    else
        imap_bad(session, "No such message number");
    return true;
}
