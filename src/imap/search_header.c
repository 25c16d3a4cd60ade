/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Search keys that a message's header answers. It is read in steps until its empty line has come,
 * at most MIME_HEADER_BYTES_MAX of it, and walked once for all wanted leaves.
 *
 * Text is compared as people see it: folds and encoded words undone (RFC 9051 6.4.4: strings match
 * in UTF-8, without regard to case).
 */
#include "search.h"

#include <stdlib.h>

enum { STEP_BYTES = 16384, SCRATCH_KEPT_BYTES = 65536 };

int search_bytes_read(struct search *search, const struct mail_entry *entry, uint64_t offset,
                      char *data, size_t size)
{
    size_t done = 0;
    search_work(search, SEARCH_WORK_OF_READ + size / 8);
    while (done < size) {
        int64_t result = message_read(search->imap->view.mailbox, entry, offset + done, data + done,
                                      size - done);
        if (result == 0) /* shorter than its size says */
            return -EBADMSG;
        if (result < 0)
            return (int)result;
        assert((uint64_t)result <= size - done && "message_read gives at most what was asked");
        done += (size_t)result;
    }
    return 0;
}

int search_header_room(struct search *search)
{
    if (search->header == NULL)
        search->header = malloc(MIME_HEADER_BYTES_MAX);
    return search->header == NULL ? -ENOMEM : 0;
}

/* The message's beginning, up to its empty line at least. */
static int header_read(struct search *search, const struct mail_entry *entry,
                       struct slice *ret_header)
{
    int result = search_header_room(search);
    size_t wanted = entry->size < MIME_HEADER_BYTES_MAX ? entry->size : MIME_HEADER_BYTES_MAX;
    size_t size = 0, end;
    while (result == 0 && size < wanted) {
        size_t step = wanted - size < STEP_BYTES ? wanted - size : STEP_BYTES;
        result = search_bytes_read(search, entry, size, search->header + size, step);
        if (result < 0)
            return result;
        size += step;
        if (imap_header_end(slice_of(search->header, size), size - step, &end))
            break;
    }
    *ret_header = slice_of(search->header, size);
    return result;
}

bool search_field_text(struct search *search, struct slice field, struct slice *ret_text)
{
    if (search->scratch.used > SCRATCH_KEPT_BYTES)
        arena_reset(&search->scratch);
    struct text text;
    text_init(&text, &search->scratch);
    mime_decode_words(field, &text);
    *ret_text = text_slice(&text);
    return !text.failed;
}

/* One field against every leaf that is still open. 0 or -ENOMEM. */
static int field_match(struct search *search, const struct mime_header *field)
{
    struct search_program *program = &search->program;
    struct slice text = {0};
    for (uint32_t i = 0; i < program->count; i++) {
        const struct search_step *step = &program->steps[i];
        if (!program->wanted[i] || step->op != SEARCH_HEADER || program->truth[i] == SEARCH_YES ||
            !slice_equal_nocase(step->field, field->name))
            continue;
        if (step->text.size > 0 && text.data == NULL) {
            if (!search_field_text(search, field->value, &text))
                return -ENOMEM;
            if (text.data == NULL)
                text = SLICE("");
        }
        if (mime_contains_nocase(text, step->text))
            program->truth[i] = SEARCH_YES;
        search_work(search, text.size);
    }
    search_work(search, (size_t)program->count * SEARCH_WORK_OF_STEP);
    return 0;
}

/* The Date field against the leaves that ask for it; the first one counts, none matches nothing. */
static void date_match(struct search *search, struct slice value)
{
    struct search_program *program = &search->program;
    int64_t day;
    if (!mime_date_day(value, &day))
        return;
    for (uint32_t i = 0; i < program->count; i++) {
        const struct search_step *step = &program->steps[i];
        if ((step->op == SEARCH_SENTBEFORE && day < step->day) ||
            (step->op == SEARCH_SENTON && day == step->day) ||
            (step->op == SEARCH_SENTSINCE && day >= step->day))
            program->truth[i] = SEARCH_YES;
    }
}

int search_header_leaves(struct search *search, const struct mail_entry *entry)
{
    struct search_program *program = &search->program;
    struct slice header;
    bool is_any = false;
    for (uint32_t i = 0; i < program->count; i++)
        is_any = is_any || (program->wanted[i] && search_reads_header(program->steps[i].op));
    if (!is_any)
        return 0;
    int result = header_read(search, entry, &header);
    if (result < 0)
        return result;
    bool has_date = false;
    struct mime_header field;
    while (result == 0 && mime_header_next(&header, &field)) {
        if (!has_date && slice_equal_nocase(field.name, SLICE("Date"))) {
            date_match(search, field.value);
            has_date = true;
        }
        result = field_match(search, &field);
    }
    for (uint32_t i = 0; i < program->count && result == 0; i++)
        if (search_reads_header(program->steps[i].op) && program->truth[i] == SEARCH_UNKNOWN)
            program->truth[i] = SEARCH_NO;
    return result;
}
