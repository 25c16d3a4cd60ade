/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A slice borrows bytes: pointer and length, never NUL-ended, never stored past the call that
 * passed it.
 * To keep bytes, copy them (arena_copy) or hold the buffer that owns them.
 */
#ifndef RINGPOST_SLICE_H
#define RINGPOST_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *data;
    size_t size; /* bytes */
};

/* A slice over a string literal. */
#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})

static inline struct slice slice_of(const void *data, size_t size)
{
    return (struct slice){(const char *)data, size};
}

static inline struct slice slice_cstr(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline char ascii_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char)(c + 32) : c;
}

static inline char ascii_upper(char c)
{
    return (c >= 'a' && c <= 'z') ? (char)(c - 32) : c;
}

/* Equal but for the case of ASCII letters. */
static inline bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return false;
    return true;
}

static inline bool slice_starts_nocase(struct slice s, struct slice prefix)
{
    return s.size >= prefix.size && slice_equal_nocase(slice_of(s.data, prefix.size), prefix);
}

/* What is left of s from `offset` on; empty when offset is past the end. */
static inline struct slice slice_from(struct slice s, size_t offset)
{
    if (offset > s.size)
        offset = s.size;
    return slice_of(offset > 0 ? s.data + offset : s.data,
                    s.size - offset); /* s.data may be NULL */
}

/* At most `size` bytes of s from its start. */
static inline struct slice slice_first(struct slice s, size_t size)
{
    return slice_of(s.data, size < s.size ? size : s.size);
}

/* Index of the first c, or s.size. */
static inline size_t slice_find(struct slice s, char c)
{
    const char *at = s.size ? memchr(s.data, c, s.size) : NULL;
    return at ? (size_t)(at - s.data) : s.size;
}

/* Length of the UTF-8 sequence that s begins with (RFC 3629, section 4); 0 when there is none. */
size_t utf8_length(struct slice s);
/* Nothing but whole UTF-8 sequences. */
bool slice_is_utf8(struct slice s);

/* Decimal digits only, no sign, no blanks, leading zeros allowed: value in *ret_value.
 * False (and *ret_value untouched) when empty, not all digits, or above `max`. */
static inline bool slice_number(struct slice s, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (s.size == 0 || s.size > 20)
        return false;
    for (size_t i = 0; i < s.size; i++) {
        unsigned digit = (unsigned)(unsigned char)s.data[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *ret_value = value;
    return true;
}

#endif
