/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Strings of IMAP (RFC 9051 4.3): quoted where that is allowed, else a literal. Folds (RFC
 * 5322 2.2.3) are undone on the way out: the line end goes, the blank behind it stays. Invariants:
 *   1. No NUL is written (it becomes "?"), no 8-bit byte, CR or LF outside a literal.
 *   2. A literal's count is the count of the bytes behind it.
 */
#include "mime_private.h"

enum { QUOTED_SIZE_MAX = 900 };

enum { PLAIN = 0, ESCAPED = 1, LITERAL = 2, LINE_FEED = 4, RETURN = 8, NUL = 16 };

static const unsigned char byte_class[256] = {
    ['"'] = ESCAPED, ['\\'] = ESCAPED, ['\n'] = LINE_FEED,
    ['\r'] = RETURN, [0] = NUL,        [128 ... 255] = LITERAL,
};

void mime_put_number(struct text *out, uint32_t number)
{
    char digits[10];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    mime_put(out, slice_of(digits + first, sizeof digits - first));
}

/* The next byte that is written, or -1 at the end. */
static int byte_take(const char **at, const char *end)
{
    for (; *at < end; (*at)++) {
        char c = **at;
        if (c == '\n' || (c == '\r' && end - *at > 1 && (*at)[1] == '\n'))
            continue;
        (*at)++;
        return c == '\0' ? '?' : (unsigned char)c;
    }
    return -1;
}

static void put_unusual(struct text *out, struct slice value)
{
    const char *end = mime_end(value);
    uint32_t size = 0;
    unsigned classes = 0;
    int c;
    for (const char *at = value.data; (c = byte_take(&at, end)) >= 0; size++)
        classes |= byte_class[c];
    bool literal = (classes & (LITERAL | RETURN)) || size > QUOTED_SIZE_MAX;
    if (literal) {
        mime_put(out, SLICE("{"));
        mime_put_number(out, size);
        mime_put(out, SLICE("}\r\n"));
    } else {
        mime_put(out, SLICE("\""));
    }
    char chunk[256];
    size_t used = 0;
    for (const char *at = value.data; (c = byte_take(&at, end)) >= 0;) {
        if (used + 2 > sizeof chunk) {
            mime_put(out, slice_of(chunk, used));
            used = 0;
        }
        if (!literal && byte_class[c] == ESCAPED)
            chunk[used++] = '\\';
        chunk[used++] = (char)c;
    }
    mime_put(out, slice_of(chunk, used));
    if (!literal)
        mime_put(out, SLICE("\""));
}

void mime_put_string(struct text *out, struct slice value)
{
    unsigned classes = 0;
    for (size_t i = 0; i < value.size; i++)
        classes |= byte_class[(unsigned char)value.data[i]];
    if (classes != PLAIN || value.size > QUOTED_SIZE_MAX) {
        put_unusual(out, value);
        return;
    }
    if (!out->failed && out->capacity - out->size >= value.size + 2) {
        char *at = out->data + out->size;
        *at++ = '"';
        if (value.size)
            memcpy(at, value.data, value.size);
        at[value.size] = '"';
        out->size += value.size + 2;
        return;
    }
    mime_put(out, SLICE("\""));
    mime_put(out, value);
    mime_put(out, SLICE("\""));
}

void mime_put_nstring(struct text *out, struct slice value)
{
    if (value.data == NULL)
        mime_put(out, SLICE("NIL"));
    else
        mime_put_string(out, mime_trim(value));
}
