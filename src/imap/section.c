/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sections of FETCH (RFC 9051 6.4.5, 6.4.5.1): syntax and ranges, pure. Invariants:
 *   1. A label is made of our own words, numbers and field names of RFC 5322's alphabet only: what
 *      a client sent cannot break out of the answer (M3).
 *   2. Numbers, fields and sizes have maxima; sums are checked.
 */
#include "fetch.h"

static const char *const why_syntax = "Unknown or malformed section";

/* ftext (RFC 5322 3.6.8). */
static bool is_field_name(struct slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (c < 33 || c > 126 || c == ':')
            return false;
    }
    return name.size > 0 && name.size <= SECTION_FIELD_BYTES_MAX;
}

/* "(" astring *(SP astring) ")" */
static const char *fields_take(struct imap_cursor *cursor, struct arena *arena,
                               struct fetch_section *section)
{
    struct slice fields[SECTION_FIELDS_MAX];
    unsigned count = 0;
    if (!imap_take(cursor, ' ') || !imap_take(cursor, '('))
        return "HEADER.FIELDS needs a list of field names";
    do {
        if (count == SECTION_FIELDS_MAX)
            return "Too many field names";
        if (!imap_take_astring(cursor, arena, &fields[count]) || !is_field_name(fields[count]))
            return "Not a header field name";
        count++;
    } while (imap_take(cursor, ' '));
    if (!imap_take(cursor, ')'))
        return "Unfinished list of field names";
    section->fields = arena_alloc(arena, count * sizeof fields[0]);
    if (section->fields == NULL)
        return "Command too large";
    memcpy(section->fields, fields, count * sizeof fields[0]);
    section->field_count = (uint16_t)count;
    section->has_fields = true;
    return NULL;
}

/* section-text, or section-msgtext without a part before it. */
static const char *text_take(struct imap_cursor *cursor, struct arena *arena,
                             struct fetch_section *section)
{
    if (imap_take_word(cursor, SLICE("HEADER"))) {
        section->text = MIME_SECTION_HEADER;
    } else if (imap_take_word(cursor, SLICE("TEXT"))) {
        section->text = MIME_SECTION_TEXT;
    } else if (section->number_count > 0 && imap_take_word(cursor, SLICE("MIME"))) {
        section->text = MIME_SECTION_MIME;
    } else if (imap_take_word(cursor, SLICE("HEADER.FIELDS"))) {
        section->text = MIME_SECTION_HEADER;
        return fields_take(cursor, arena, section);
    } else if (imap_take_word(cursor, SLICE("HEADER.FIELDS.NOT"))) {
        section->text = MIME_SECTION_HEADER;
        section->without_fields = true;
        return fields_take(cursor, arena, section);
    } else {
        return why_syntax;
    }
    return NULL;
}

/* [section-part ["." section-text]] / section-msgtext */
static const char *spec_take(struct imap_cursor *cursor, struct arena *arena,
                             struct fetch_section *section)
{
    uint32_t numbers[SECTION_NUMBERS_MAX];
    unsigned count = 0;
    section->text = MIME_SECTION_ALL;
    if (imap_next(cursor) == ']')
        return NULL;
    do {
        char c = imap_next(cursor);
        if (c < '0' || c > '9')
            break;
        if (count == SECTION_NUMBERS_MAX)
            return "Section too deep";
        if (!imap_take_nz_number(cursor, &numbers[count]))
            return "Part numbers are 1 to 4294967295";
        count++;
    } while (imap_take(cursor, '.'));
    section->number_count = (uint16_t)count;
    if (count > 0) {
        section->numbers = arena_alloc(arena, count * sizeof numbers[0]);
        if (section->numbers == NULL)
            return "Command too large";
        memcpy(section->numbers, numbers, count * sizeof numbers[0]);
        if (imap_next(cursor) == ']' && cursor->at[-1] != '.')
            return NULL;
    }
    return text_take(cursor, arena, section);
}

/* ["<" number64 "." nz-number64 ">"] */
static const char *partial_take(struct imap_cursor *cursor, struct fetch_section *section)
{
    static const char *const why = "A partial is <offset.size>, size not 0";
    section->offset = 0;
    section->size_max = UINT64_MAX;
    if (!imap_take(cursor, '<'))
        return NULL;
    uint64_t offset, size;
    if (!imap_take_number(cursor, INT64_MAX, &offset) || !imap_take(cursor, '.') ||
        !imap_take_number(cursor, INT64_MAX, &size) || size == 0 || !imap_take(cursor, '>'))
        return why;
    section->offset = offset;
    section->size_max = size;
    return NULL;
}

static bool label_make(struct arena *arena, struct fetch_section *section)
{
    static const struct slice words[] = {
        [MIME_SECTION_ALL] = SLICE(""),
        [MIME_SECTION_HEADER] = SLICE("HEADER"),
        [MIME_SECTION_TEXT] = SLICE("TEXT"),
        [MIME_SECTION_MIME] = SLICE("MIME"),
    };
    struct text label;
    text_init(&label, arena);
    text_append(&label, SLICE("BODY["));
    for (unsigned i = 0; i < section->number_count; i++) {
        if (i > 0)
            text_char(&label, '.');
        fetch_text_number(&label, section->numbers[i]);
    }
    if (section->number_count > 0 && section->text != MIME_SECTION_ALL)
        text_char(&label, '.');
    text_append(&label, words[section->text]);
    if (section->has_fields)
        text_append(&label, section->without_fields ? SLICE(".FIELDS.NOT (") : SLICE(".FIELDS ("));
    for (unsigned i = 0; i < section->field_count; i++) {
        if (i > 0)
            text_char(&label, ' ');
        imap_text_astring(&label, section->fields[i]);
    }
    text_append(&label, section->has_fields ? SLICE(")]") : SLICE("]"));
    if (section->size_max != UINT64_MAX) {
        text_char(&label, '<');
        fetch_text_number(&label, section->offset);
        text_char(&label, '>');
    }
    section->label = text_slice(&label);
    return !label.failed;
}

const char *section_take(struct imap_cursor *cursor, struct arena *arena,
                         struct fetch_section *section)
{
    if (!imap_take(cursor, '['))
        return why_syntax;
    const char *why = spec_take(cursor, arena, section);
    if (why == NULL && !imap_take(cursor, ']'))
        why = why_syntax;
    if (why == NULL)
        why = partial_take(cursor, section);
    if (why == NULL && !label_make(arena, section))
        why = "Command too large";
    return why;
}

uint64_t section_clip(const struct fetch_section *section, uint64_t *offset, uint64_t size)
{
    if (section->offset >= size)
        return 0;
    uint64_t left = size - section->offset;
    *offset += section->offset;
    return left < section->size_max ? left : section->size_max;
}

bool imap_header_end(struct slice bytes, size_t from, size_t *ret_end)
{
    for (size_t at = from; at < bytes.size; at++) {
        const char *line_feed = memchr(bytes.data + at, '\n', bytes.size - at);
        if (line_feed == NULL)
            return false;
        at = (size_t)(line_feed - bytes.data);
        size_t line_end = at > 0 && bytes.data[at - 1] == '\r' ? at - 1 : at;
        if (line_end == 0 || bytes.data[line_end - 1] == '\n') {
            *ret_end = at + 1;
            return true;
        }
    }
    return false;
}
