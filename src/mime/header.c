/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Header fields as they stand (RFC 5322 2.2). Mail is stored as it came, so this reads anything: a
 * line without a colon is a field without a name, blanks before the colon are the obsolete syntax
 * (RFC 5322 4.5), a line may end in LF alone. Invariants:
 *   1. The `whole` of successive fields are adjacent and cover the header up to its empty line.
 *   2. Each byte is looked at a constant number of times.
 */
#include "mime_private.h"

struct slice mime_trim(struct slice s)
{
    while (s.size > 0 && mime_is_blank(s.data[0]))
        s = slice_from(s, 1);
    while (s.size > 0 && mime_is_blank(s.data[s.size - 1]))
        s.size--;
    return s;
}

static size_t line_end_size(const char *start, const char *next)
{
    size_t size = (size_t)(next - start);
    if (size == 0 || next[-1] != '\n')
        return 0;
    return size > 1 && next[-2] == '\r' ? 2 : 1;
}

bool mime_header_next(struct slice *header, struct mime_header *ret_field)
{
    if (header->size == 0)
        return false;
    const char *start = header->data, *end = start + header->size;
    const char *first_end = mime_line_next(start, end);
    if (line_end_size(start, first_end) == (size_t)(first_end - start))
        return false;
    const char *next = first_end;
    while (next < end && (*next == ' ' || *next == '\t'))
        next = mime_line_next(next, end);

    const char *colon = memchr(start, ':', (size_t)(first_end - start));
    const char *name_end = colon ? colon : start;
    while (name_end > start && mime_is_blank(name_end[-1]))
        name_end--;
    if (*start == ' ' || *start == '\t')
        name_end = start;
    const char *value = name_end > start ? colon + 1 : start;
    ret_field->name = slice_of(start, (size_t)(name_end - start));
    ret_field->whole = slice_of(start, (size_t)(next - start));
    ret_field->value = slice_of(value, (size_t)(next - value) - line_end_size(value, next));
    *header = slice_of(next, (size_t)(end - next));
    return true;
}

static bool is_among(struct slice name, const struct slice *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (slice_equal_nocase(name, names[i]))
            return true;
    return false;
}

void mime_header_select(struct slice header, const struct slice *names, unsigned count, bool negate,
                        struct text *out)
{
    struct mime_header field;
    while (mime_header_next(&header, &field)) {
        bool listed = field.name.size > 0 && is_among(field.name, names, count);
        if (listed == negate)
            continue;
        text_append(out, field.whole);
        if (field.whole.data[field.whole.size - 1] != '\n')
            text_append(out, SLICE("\r\n"));
    }
    text_append(out, SLICE("\r\n"));
}
