/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SEARCH and UID SEARCH: every candidate message against the program, found numbers as bits, then
 * one answer: SEARCH (RFC 3501 7.2.5) or, with RETURN, ESEARCH (RFC 9051 7.3.4). Messages that are
 * expunged, though still numbered, are not found.
 *
 * A message that cannot be read is not found either; the command then shows what it found and ends
 * NO (row D11). A search gives way to other sessions (K3), says so when it takes long, which also
 * tells it that a client is gone, and ends when it is.
 */
#include "search.h"

#include <stdlib.h>

enum {
    STILL_S = 10,      /* between two signs of life */
    LINE_BYTES = 8192, /* of an answer, copied to the stream at once */
    SCRATCH_BYTES_MAX = 4194304,
    SUMMARY_BYTES_MAX = 16777216
};

static struct session *session_of(struct search *search)
{
    return &search->imap->session;
}

/* ---------------------------------------------------------------- giving way */

static bool client_is_gone(const struct stream *stream)
{
    return stream->output_error != 0 || stream->slot < 0 || stream->end == -ECONNRESET;
}

static void give_way(struct search *search)
{
    struct session *session = session_of(search);
    search->work_left = SEARCH_WORK_MAX;
    session_deadline(session, session->service->command_ms_max);
    fiber_yield(session_core(session));
    uint64_t now_ns = core_now_ns(session_core(session));
    if (now_ns - search->told_ns >= STILL_S * UINT64_C(1000000000)) {
        search->told_ns = now_ns;
        imap_untagged(session, "OK Still searching");
    }
    if (client_is_gone(&session->stream))
        search->is_over = true;
}

bool search_work(struct search *search, size_t work)
{
    if (work >= search->work_left)
        give_way(search);
    else
        search->work_left -= (uint32_t)work;
    return !search->is_over;
}

/* ---------------------------------------------------------------- making ready */

/* A string to look for in UTF-8. False: no memory. */
static bool text_to_utf8(struct search *search, struct slice *text)
{
    struct slice charset = search->arguments->charset;
    struct text utf8;
    if (charset.data == NULL || slice_equal_nocase(charset, SLICE("UTF-8")) ||
        slice_equal_nocase(charset, SLICE("US-ASCII")))
        return true;
    text_init(&utf8, &session_of(search)->arena);
    mime_to_utf8(*text, charset, &utf8);
    *text = text_slice(&utf8);
    return !utf8.failed;
}

static bool charset_is_known(struct slice charset)
{
    return charset.data == NULL || slice_equal_nocase(charset, SLICE("UTF-8")) ||
           slice_equal_nocase(charset, SLICE("US-ASCII")) || mime_charset_is_known(charset);
}

/* Of the sets that every found message is in, the smallest is all that is looked at. */
static void candidates_narrow(struct search *search, const struct search_step *step)
{
    if (step->is_required && imap_set_size(&step->set) < imap_set_size(&search->candidates))
        search->candidates = step->set;
}

/* What depends on the mailbox and the moment: sets, keywords. False: no memory. */
static bool step_prepare(struct search *search, struct search_step *step)
{
    struct view *view = &search->imap->view;
    struct imap_set numbers;
    int bit;
    switch (step->op) {
    case SEARCH_KEYWORD:
        bit = mailbox_keyword_bit(view->mailbox, step->text, false);
        step->number = bit >= 0 ? UINT64_C(1) << bit : 0;
        return true;
    case SEARCH_NUMBERS:
    case SEARCH_UIDS:
        if (!imap_set_resolve(&step->set, step->op == SEARCH_UIDS, view, &session_of(search)->arena,
                              &numbers))
            return false;
        step->set = numbers;
        candidates_narrow(search, step);
        return true;
    case SEARCH_HEADER:
    case SEARCH_BODY:
    case SEARCH_TEXT:
        search->reads_header = search->reads_header || step->op == SEARCH_HEADER;
        search->reads_body = search->reads_body || step->op != SEARCH_HEADER;
        return text_to_utf8(search, &step->text);
    default:
        search->reads_header = search->reads_header || search_reads_header(step->op);
        return true;
    }
}

static bool search_prepare(struct search *search)
{
    const struct search_arguments *arguments = search->arguments;
    struct arena *arena = &session_of(search)->arena;
    uint32_t count = search->imap->view.count;
    search->candidates.ranges = arena_zalloc(arena, 1, sizeof(struct imap_range));
    search->program.count = arguments->count;
    search->program.steps = arena_zalloc(arena, arguments->count, sizeof(struct search_step));
    if (search->candidates.ranges == NULL || search->program.steps == NULL ||
        !search_program_init(&search->program, arena))
        return false;
    search->candidates.ranges[0] = (struct imap_range){1, count};
    search->candidates.count = count > 0;
    memcpy(search->program.steps, arguments->steps, arguments->count * sizeof(struct search_step));
    for (uint32_t i = 0; i < arguments->count; i++)
        if (!step_prepare(search, &search->program.steps[i]))
            return false;
    if (arguments->returns != 0 &&
        !(arguments->returns & (SEARCH_RETURN_ALL | SEARCH_RETURN_COUNT)))
        return true;
    search->found = calloc((size_t)count / 64 + 1, sizeof search->found[0]);
    return search->found != NULL;
}

/* ---------------------------------------------------------------- looking */

static bool message_matches(struct search *search, uint32_t number,
                            const struct mail_entry *seen_entry)
{
    search_entry_leaves(search, number, seen_entry);
    enum search_truth truth = search_combine(&search->program);
    if (truth != SEARCH_UNKNOWN)
        return truth == SEARCH_YES;
    struct mail_entry entry = *seen_entry; /* need not outlive a wait */
    int result = 0;
    if (search->reads_header) {
        search_want(&search->program);
        result = search_header_leaves(search, &entry);
        truth = search_combine(&search->program);
    }
    if (result == 0 && truth == SEARCH_UNKNOWN && search->reads_body) {
        search_want(&search->program);
        result = search_body_leaves(search, &entry);
        truth = search_combine(&search->program);
    }
    if (result < 0 && result != -ENOENT && search->error == 0) /* ENOENT: expunged just now */
        search->error = result;
    return result == 0 && truth == SEARCH_YES;
}

/* False: enough, or the client is gone. */
static bool message_look(struct search *search, uint32_t number)
{
    const struct mail_entry *entry = view_entry(&search->imap->view, number);
    uint64_t modseq = entry->modseq;
    if (!entry->expunged && message_matches(search, number, entry) && !search->is_over) {
        if (search->found_count++ == 0)
            search->first = number;
        search->last = number;
        if (modseq > search->modseq)
            search->modseq = modseq;
        if (search->found == NULL)
            return false;
        search->found[(number - 1) / 64] |= UINT64_C(1) << ((number - 1) % 64);
    }
    return search_work(search, SEARCH_WORK_OF_MESSAGE +
                                   (size_t)search->program.count * SEARCH_WORK_OF_STEP);
}

static void look_forward(struct search *search)
{
    for (uint32_t i = 0; i < search->candidates.count; i++)
        for (uint32_t number = search->candidates.ranges[i].first;
             number <= search->candidates.ranges[i].last; number++)
            if (!message_look(search, number))
                return;
}

static void look_backward(struct search *search)
{
    for (uint32_t i = search->candidates.count; i-- > 0;)
        for (uint32_t number = search->candidates.ranges[i].last;
             number >= search->candidates.ranges[i].first; number--)
            if (!message_look(search, number))
                return;
}

/* With MIN and MAX alone the ends are looked for, from both sides. */
static void messages_look(struct search *search)
{
    uint32_t returns = search->arguments->returns;
    if (search->found != NULL || (returns & SEARCH_RETURN_MIN))
        look_forward(search);
    if (search->found != NULL || !(returns & SEARCH_RETURN_MAX) || search->is_over)
        return;
    if (!(returns & SEARCH_RETURN_MIN) || search->found_count > 0)
        look_backward(search);
}

/* ---------------------------------------------------------------- answering */

/* The next found number from `number` on, or 0. */
static uint32_t found_next(const struct search *search, uint32_t number)
{
    uint32_t count = search->imap->view.count;
    while (number >= 1 && number <= count) {
        uint64_t word = search->found[(number - 1) / 64] >> ((number - 1) % 64);
        if (word != 0) {
            number += (uint32_t)__builtin_ctzll(word);
            return number <= count ? number : 0;
        }
        number = ((number - 1) / 64 + 1) * 64 + 1;
    }
    return 0;
}

static uint32_t told_number(const struct search *search, uint32_t number)
{
    return search->is_uid ? view_entry(&search->imap->view, number)->uid : number;
}

static void line_part(struct search *search, struct text *line)
{
    if (line->size < LINE_BYTES - 64)
        return;
    stream_write(&session_of(search)->stream, text_slice(line));
    line->size = 0;
}

static void line_number(struct text *line, const char *before, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    text_append(line, slice_cstr(before));
    text_append(line, slice_of(digits + at, sizeof digits - at));
}

/* "2 4 7" */
static void line_list(struct search *search, struct text *line)
{
    for (uint32_t number = search->first; number != 0; number = found_next(search, number + 1)) {
        line_number(line, " ", told_number(search, number));
        line_part(search, line);
    }
}

/* "2:4,7" */
static void line_set(struct search *search, struct text *line)
{
    const char *before = " ALL ";
    uint32_t number = search->first;
    while (number != 0) {
        uint32_t first = told_number(search, number), last = first;
        number = found_next(search, number + 1);
        while (number != 0 && told_number(search, number) == last + 1) {
            last++;
            number = found_next(search, number + 1);
        }
        line_number(line, before, first);
        if (last > first)
            line_number(line, ":", last);
        before = ",";
        line_part(search, line);
    }
}

static void line_esearch(struct search *search, struct text *line)
{
    uint32_t returns = search->arguments->returns;
    text_append(line, SLICE("* ESEARCH (TAG "));
    imap_text_string(line, session_of(search)->line.tag);
    text_append(line, search->is_uid ? SLICE(") UID") : SLICE(")"));
    if (search->found_count > 0) {
        if (returns & SEARCH_RETURN_MIN)
            line_number(line, " MIN ", told_number(search, search->first));
        if (returns & SEARCH_RETURN_MAX)
            line_number(line, " MAX ", told_number(search, search->last));
    }
    if (returns & SEARCH_RETURN_COUNT)
        line_number(line, " COUNT ", search->found_count);
    if (search->found_count > 0) {
        if (returns & SEARCH_RETURN_ALL)
            line_set(search, line);
        if (search->arguments->names_modseq)
            line_number(line, " MODSEQ ", search->modseq);
    }
}

static void results_write(struct search *search)
{
    struct session *session = session_of(search);
    struct text line;
    text_init(&line, &session->arena);
    line.data = arena_alloc(&session->arena, LINE_BYTES);
    if (line.data == NULL) {
        search->error = -ENOMEM;
        return;
    }
    line.capacity = LINE_BYTES;
    if (search->arguments->returns != 0) {
        line_esearch(search, &line);
    } else {
        text_append(&line, SLICE("* SEARCH"));
        if (search->found_count > 0)
            line_list(search, &line);
        if (search->found_count > 0 && search->arguments->names_modseq) { /* RFC 7162 3.1.6 */
            line_number(&line, " (MODSEQ ", search->modseq);
            text_append(&line, SLICE(")"));
        }
    }
    text_append(&line, SLICE("\r\n"));
    stream_write(&session->stream, text_slice(&line));
}

static void search_answer(struct search *search)
{
    struct session *session = session_of(search);
    if (search->is_over)
        return;
    if (search->error != -ENOMEM)
        results_write(search);
    if (search->error < 0)
        imap_fail(session, search->error);
    else
        imap_finish(session, NULL, "SEARCH completed");
}

static void search_run(struct session *session, const struct search_arguments *arguments,
                       bool is_uid)
{
    struct search search = {.imap = imap_of(session),
                            .arguments = arguments,
                            .is_uid = is_uid,
                            .told_ns = core_now_ns(session_core(session)),
                            .work_left = SEARCH_WORK_MAX};
    if (!charset_is_known(arguments->charset)) {
        imap_no(session, "BADCHARSET (US-ASCII UTF-8)", "Unknown charset");
        return;
    }
    arena_init(&search.scratch, SCRATCH_BYTES_MAX);
    arena_init(&search.summary, SUMMARY_BYTES_MAX);
    if (search_prepare(&search)) {
        if (arguments->names_modseq)
            imap_condstore_enable(session);
        messages_look(&search);
        search_answer(&search);
    } else {
        imap_fail(session, -ENOMEM);
    }
    arena_reset(&search.scratch);
    arena_reset(&search.summary);
    search_body_end(&search);
    free(search.header);
    free(search.found);
}

void imap_search_run(struct session *session, const void *arguments)
{
    search_run(session, arguments, false);
}

void imap_uid_search_run(struct session *session, const void *arguments)
{
    search_run(session, arguments, true);
}
