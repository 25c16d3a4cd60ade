/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Search keys that need the body. BODY looks into the text parts of a message and into the headers
 * of messages inside it; TEXT into all headers too (RFC 9051 6.4.4). Parts that are not text are
 * passed over.
 *
 * A part of any size goes through in pieces:
 *
 *    raw ──cut where the encoding can be──▶ decoded ──cut behind a line──▶ UTF-8 ──▶ compared
 *     ▲ what is behind the cut stays           ▲ stays likewise              with the end of the
 *                                                                            piece before
 *
 * Charsets that go on across line ends with a state of their own, or whose line end is no byte LF
 * (UTF-16, UTF-32), may miss a match at the edge of two pieces; parts below RAW_BYTES are not cut.
 */
#include "search.h"

#include <stdlib.h>

enum {
    RAW_BYTES = 32768,
    DECODED_BYTES = 65536,                 /* kept to wait for a line end */
    TAIL_BYTES = SEARCH_TEXT_BYTES_MAX * 3 /* a string may grow when it becomes UTF-8 */
};

struct search_text {
    size_t raw_size, decoded_size, tail_size;
    size_t overlap; /* bytes to keep, so that no string is missed at an edge */
    char raw[RAW_BYTES], decoded[DECODED_BYTES], tail[TAIL_BYTES];
};

void search_body_end(struct search *search)
{
    free(search->text);
    search->text = NULL;
}

static int text_begin(struct search *search)
{
    if (search->text != NULL)
        return 0;
    search->text = malloc(sizeof *search->text);
    if (search->text == NULL)
        return -ENOMEM;
    size_t longest = 1;
    for (uint32_t i = 0; i < search->program.count; i++) {
        const struct search_step *step = &search->program.steps[i];
        if (search_reads_body(step->op) && step->text.size > longest)
            longest = step->text.size;
    }
    search->text->overlap = longest - 1 < TAIL_BYTES ? longest - 1 : TAIL_BYTES;
    return 0;
}

/* ---------------------------------------------------------------- leaves */

/* The open leaves of BODY and TEXT, or of TEXT alone. */
static bool is_open(const struct search_program *program, uint32_t index, bool is_body)
{
    unsigned op = program->steps[index].op;
    return program->wanted[index] && program->truth[index] == SEARCH_UNKNOWN &&
           (op == SEARCH_TEXT || (op == SEARCH_BODY && is_body));
}

static bool has_open(const struct search_program *program, bool is_body)
{
    for (uint32_t i = 0; i < program->count; i++)
        if (is_open(program, i, is_body))
            return true;
    return false;
}

static void match(struct search *search, struct slice text, bool is_body)
{
    struct search_program *program = &search->program;
    for (uint32_t i = 0; i < program->count && !search->is_over; i++)
        if (is_open(program, i, is_body)) {
            if (mime_contains_nocase(text, program->steps[i].text))
                program->truth[i] = SEARCH_YES;
            search_work(search, text.size);
        }
}

/* ---------------------------------------------------------------- pieces */

/* Where base64 may be cut: behind whole groups of four. */
static size_t base64_cut(struct slice raw)
{
    size_t cut = 0;
    unsigned digits = 0;
    for (size_t i = 0; i < raw.size; i++) {
        char c = raw.data[i];
        if (c == '=')
            digits = 0; /* ends a group: what follows begins anew */
        else if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                 c == '+' || c == '/')
            digits = (digits + 1) % 4;
        if (digits == 0)
            cut = i + 1;
    }
    return cut;
}

/* How much of a full piece can be decoded by itself; never 0. */
static size_t raw_cut(struct slice raw, unsigned encoding)
{
    size_t cut = raw.size;
    if (encoding == MIME_BASE64) {
        cut = base64_cut(raw);
    } else if (encoding == MIME_QUOTED_PRINTABLE) {
        while (cut > 0 && raw.data[cut - 1] != '\n')
            cut--;
        if (cut == 0) { /* a line as long as the piece: not inside an escape */
            cut = raw.size;
            for (size_t back = 1; back <= 2 && back < raw.size; back++)
                if (raw.data[raw.size - back] == '=')
                    cut = raw.size - back;
        }
    }
    return cut > 0 ? cut : raw.size;
}

/* Behind the last line end, or all when there is none or it is the part's end. */
static size_t decoded_cut(struct slice decoded, bool is_last)
{
    size_t cut = decoded.size;
    while (!is_last && cut > 0 && decoded.data[cut - 1] != '\n')
        cut--;
    return cut > 0 && decoded.size - cut <= DECODED_BYTES ? cut : decoded.size;
}

/* Decodes the first `cut` raw bytes and compares. 0 or -ENOMEM. */
static int piece_match(struct search *search, const struct mime_part *part, struct slice charset,
                       size_t cut, bool is_last)
{
    struct search_text *text = search->text;
    struct text decoded, utf8;
    arena_reset(&search->scratch);
    text_init(&decoded, &search->scratch);
    text_append(&decoded, slice_of(text->decoded, text->decoded_size));
    mime_decode_transfer(slice_of(text->raw, cut), (enum mime_encoding)part->encoding, &decoded);
    struct slice all = text_slice(&decoded);
    size_t ready = decoded_cut(all, is_last);
    text_init(&utf8, &search->scratch);
    text_append(&utf8, slice_of(text->tail, text->tail_size));
    mime_to_utf8(slice_first(all, ready), charset, &utf8);
    if (decoded.failed || utf8.failed)
        return -ENOMEM;
    text->decoded_size = all.size - ready;
    if (text->decoded_size > 0)
        memcpy(text->decoded, all.data + ready, text->decoded_size);
    text->tail_size = utf8.size < text->overlap ? utf8.size : text->overlap;
    if (text->tail_size > 0)
        memcpy(text->tail, utf8.data + utf8.size - text->tail_size, text->tail_size);
    match(search, text_slice(&utf8), true);
    return 0;
}

static int leaf_match(struct search *search, const struct mail_entry *entry,
                      const struct mime_part *part, struct slice charset)
{
    int result = text_begin(search);
    if (result < 0)
        return result;
    struct search_text *text = search->text;
    text->raw_size = text->decoded_size = text->tail_size = 0;
    uint64_t offset = part->body_offset, left = part->body_size;
    while (left > 0 && has_open(&search->program, true) && !search->is_over) {
        size_t room = RAW_BYTES - text->raw_size;
        size_t step = left < room ? (size_t)left : room;
        result = search_bytes_read(search, entry, offset, text->raw + text->raw_size, step);
        if (result < 0)
            return result;
        text->raw_size += step;
        offset += step;
        left -= step;
        size_t cut = text->raw_size;
        if (left > 0)
            cut = raw_cut(slice_of(text->raw, text->raw_size), part->encoding);
        result = piece_match(search, part, charset, cut, left == 0);
        if (result < 0)
            return result;
        text->raw_size -= cut;
        memmove(text->raw, text->raw + cut, text->raw_size);
    }
    return 0;
}

/* ---------------------------------------------------------------- parts */

static int fields_match(struct search *search, struct slice header, bool is_body)
{
    struct mime_header field;
    while (!search->is_over && has_open(&search->program, is_body) &&
           mime_header_next(&header, &field)) {
        struct slice text;
        if (!search_field_text(search, field.whole, &text))
            return -ENOMEM;
        match(search, text, is_body);
    }
    return 0;
}

/* One part: its header where that counts, its text if it is text. */
static int part_match(struct search *search, const struct mail_entry *entry, uint32_t index,
                      const struct mime_part *part)
{
    bool is_embedded = index > 0 && part->number == 0;
    bool needs_header = part->kind == MIME_LEAF || has_open(&search->program, is_embedded);
    if (!needs_header)
        return 0;
    size_t size =
        part->header_size < MIME_HEADER_BYTES_MAX ? part->header_size : MIME_HEADER_BYTES_MAX;
    if (part->header_offset > entry->size || size > entry->size - part->header_offset)
        return -EBADMSG;
    int result = search_header_room(search);
    if (result == 0)
        result = search_bytes_read(search, entry, part->header_offset, search->header, size);
    if (result < 0)
        return result;
    struct slice header = slice_of(search->header, size), charset = {0};
    result = fields_match(search, header, is_embedded);
    if (result < 0 || part->kind != MIME_LEAF || !has_open(&search->program, true))
        return result;
    arena_reset(&search->scratch);
    if (!mime_content_is_text(header, &search->scratch, &charset))
        return 0;
    char name[64]; /* the scratch arena is reset between pieces */
    charset = slice_first(charset, sizeof name);
    if (charset.size > 0)
        memcpy(name, charset.data, charset.size);
    return leaf_match(search, entry, part, slice_of(name, charset.size));
}

/* Without a summary a message is one opaque text (mime.h). */
static int opaque_match(struct search *search, const struct mail_entry *entry)
{
    const struct mime_part part = {.body_size = entry->size, .encoding = MIME_8BIT};
    return leaf_match(search, entry, &part, (struct slice){0});
}

int search_body_leaves(struct search *search, const struct mail_entry *entry)
{
    struct search_program *program = &search->program;
    struct mime_summary summary;
    struct slice bytes;
    if (!has_open(program, true))
        return 0;
    arena_reset(&search->summary);
    int result = message_summary(search->imap->view.mailbox, entry, &search->summary, &bytes);
    if (result == 0)
        result = mime_summary_open(bytes, &summary);
    if (result < 0)
        return result;
    if (bytes.size == 0)
        result = opaque_match(search, entry);
    for (uint32_t i = 0; bytes.size > 0 && i < summary.part_count && result == 0 &&
                         !search->is_over && has_open(program, true);
         i++) {
        struct mime_part part;
        mime_summary_part(&summary, i, &part);
        if ((uint64_t)part.body_offset + part.body_size > entry->size)
            return -EBADMSG;
        result = part_match(search, entry, i, &part);
    }
    for (uint32_t i = 0; i < program->count && result == 0; i++)
        if (is_open(program, i, true))
            program->truth[i] = SEARCH_NO;
    return result;
}
