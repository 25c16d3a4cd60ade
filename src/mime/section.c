/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Part numbers to byte ranges (RFC 9051 6.4.5.1). The rules that are easily missed:
 *   1. A message that is not a multipart has the part 1: its body. This holds for embedded messages
 * too.
 *   2. Numbers pass through a message/rfc822 part to its embedded message: 4.1 is part 1 of the
 * message in part 4.
 *   3. n.HEADER and n.TEXT are of the message embedded in part n; n.MIME is the part's own header.
 * `cursor` says where a number string has led: to a part, or to a whole message (its `whole` is
 * set).
 */
#include "mime_private.h"

struct cursor {
    uint32_t index;
    bool whole;
    struct mime_part part;
};

static void cursor_set(const struct mime_summary *summary, struct cursor *cursor, uint32_t index,
                       bool whole)
{
    cursor->index = index;
    cursor->whole = whole;
    mime_summary_part(summary, index, &cursor->part);
}

static uint32_t descendants_end(const struct mime_summary *summary, uint32_t index)
{
    struct mime_part part;
    uint32_t end = index + 1;
    for (; end < summary->part_count; end++) {
        mime_summary_part(summary, end, &part);
        if (part.parent < index || part.parent >= end)
            break;
    }
    return end;
}

static bool child_find(const struct mime_summary *summary, struct cursor *cursor, uint32_t number)
{
    uint32_t parent = cursor->index, end = descendants_end(summary, parent);
    for (uint32_t i = parent + 1; i < end; i++) {
        struct mime_part part;
        mime_summary_part(summary, i, &part);
        if (part.parent == parent && part.number == number) {
            cursor_set(summary, cursor, i, false);
            return true;
        }
    }
    return false;
}

/* Rule 2. */
static bool embedded_enter(const struct mime_summary *summary, struct cursor *cursor)
{
    if (cursor->part.kind != MIME_MESSAGE || !child_find(summary, cursor, 0))
        return false;
    cursor->whole = true;
    return true;
}

static bool number_follow(const struct mime_summary *summary, struct cursor *cursor,
                          uint32_t number)
{
    if (!cursor->whole && cursor->part.kind == MIME_MESSAGE && !embedded_enter(summary, cursor))
        return false;
    if (cursor->part.kind == MIME_MULTIPART)
        return child_find(summary, cursor, number);
    bool only_part = cursor->whole && number == 1; /* rule 1 */
    cursor->whole = false;
    return only_part;
}

bool mime_section_find(const struct mime_summary *summary, const uint32_t *numbers, unsigned count,
                       enum mime_section_text text, uint64_t message_size, uint64_t *ret_offset,
                       uint64_t *ret_size, struct mime_part *ret_part)
{
    struct cursor cursor;
    cursor_set(summary, &cursor, 0, true);
    uint64_t body_size = cursor.part.body_size;
    if (summary->parts == NULL) { /* opaque: all of it is the body */
        body_size = message_size;
        cursor.part.body_size = message_size > UINT32_MAX ? UINT32_MAX : (uint32_t)message_size;
    }
    for (unsigned i = 0; i < count; i++)
        if (!number_follow(summary, &cursor, numbers[i]))
            return false;
    if (summary->parts != NULL) {
        if (count > 0 && (text == MIME_SECTION_HEADER || text == MIME_SECTION_TEXT) &&
            !embedded_enter(summary, &cursor)) /* rule 3 */
            return false;
        body_size = cursor.part.body_size;
    } else if (count > 0 && (text == MIME_SECTION_HEADER || text == MIME_SECTION_TEXT)) {
        return false;
    }

    const struct mime_part *part = &cursor.part;
    *ret_offset = part->body_offset;
    *ret_size = body_size;
    if (text == MIME_SECTION_MIME && count == 0)
        return false;
    if (text == MIME_SECTION_HEADER || text == MIME_SECTION_MIME) {
        *ret_offset = part->header_offset;
        *ret_size = part->header_size;
    } else if (text == MIME_SECTION_ALL && count == 0) {
        *ret_offset = 0;
        *ret_size = part->header_size + body_size;
    }
    if (ret_part != NULL)
        *ret_part = *part;
    return true;
}
