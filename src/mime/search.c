/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Search without regard to case, in constant memory and linear time whatever the two strings: the
 * two-way algorithm (Crochemore, Perrin 1991) over folded bytes. Case is folded for ASCII and for
 * the letters that UTF-8 writes in two bytes (Latin, Greek, Cyrillic, Armenian), whose other case
 * has two bytes too: so the folded byte at an index depends on its neighbours alone, and no folded
 * copy is needed.
 */
#include "mime_private.h"

/* The lower case of a code point in 0x80..0x7ff, in the same range. */
static unsigned fold_two(unsigned point)
{
    if ((point >= 0xc0 && point <= 0xde && point != 0xd7) || (point >= 0x391 && point <= 0x3a9) ||
        (point >= 0x410 && point <= 0x42f))
        return point + 32;
    if (point >= 0x400 && point <= 0x40f)
        return point + 80;
    if (point >= 0x531 && point <= 0x556)
        return point + 48;
    if (point == 0x178) /* Y with diaeresis */
        return 0xff;
    if ((point >= 0x139 && point <= 0x148) || (point >= 0x179 && point <= 0x17e))
        return point + (point & 1);
    if ((point >= 0x100 && point <= 0x137 && point != 0x130 && point != 0x131) ||
        (point >= 0x14a && point <= 0x177) || (point >= 0x460 && point <= 0x481) ||
        (point >= 0x48a && point <= 0x4bf) || (point >= 0x4d0 && point <= 0x52f))
        return point | 1;
    return point;
}

static bool is_lead(unsigned char byte)
{
    return byte >= 0xc2 && byte <= 0xdf;
}

static bool is_tail(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The folded byte at `index` when it is not ASCII. */
static unsigned char fold_wide(struct slice s, size_t index)
{
    const unsigned char *data = (const unsigned char *)s.data;
    unsigned char byte = data[index];
    if (is_lead(byte) && index + 1 < s.size && is_tail(data[index + 1])) {
        unsigned point = fold_two((byte & 31u) << 6 | (data[index + 1] & 63u));
        return (unsigned char)(0xc0 | point >> 6);
    }
    if (is_tail(byte) && index > 0 && is_lead(data[index - 1])) {
        unsigned point = fold_two((data[index - 1] & 31u) << 6 | (byte & 63u));
        return (unsigned char)(0x80 | (point & 63));
    }
    return byte;
}

static inline unsigned char folded(struct slice s, size_t index)
{
    unsigned char byte = (unsigned char)s.data[index];
    if (byte < 128)
        return (unsigned char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
    return fold_wide(s, index);
}

/* The start of the needle's greatest suffix, in the order of bytes or its reverse, and the suffix's
 * period. */
static size_t suffix_greatest(struct slice needle, bool reverse, size_t *ret_period)
{
    size_t suffix = 0, candidate = 1, matched = 0, period = 1;
    while (candidate + matched < needle.size) {
        unsigned char a = folded(needle, candidate + matched), b = folded(needle, suffix + matched);
        if (a == b) {
            if (matched + 1 == period) {
                candidate += period;
                matched = 0;
            } else {
                matched++;
            }
        } else if ((a < b) != reverse) {
            candidate += matched + 1;
            matched = 0;
            period = candidate - suffix;
        } else {
            suffix = candidate++;
            matched = 0;
            period = 1;
        }
    }
    *ret_period = period;
    return suffix;
}

/* Is needle[0..split) a copy of the bytes one period later: is the whole needle periodic? */
static bool is_periodic(struct slice needle, size_t split, size_t period)
{
    if (period + split > needle.size)
        return false;
    for (size_t i = 0; i < split; i++)
        if (folded(needle, i) != folded(needle, i + period))
            return false;
    return true;
}

bool mime_contains_nocase(struct slice haystack, struct slice needle)
{
    if (needle.size == 0)
        return true;
    size_t period, reverse_period;
    size_t split = suffix_greatest(needle, false, &period);
    size_t reverse_split = suffix_greatest(needle, true, &reverse_period);
    if (reverse_split > split) {
        split = reverse_split;
        period = reverse_period;
    }
    bool periodic = is_periodic(needle, split, period);
    if (!periodic)
        period = (split > needle.size - split ? split : needle.size - split) + 1;

    size_t known = 0; /* bytes at the needle's start that are known to match */
    for (size_t at = 0; haystack.size >= needle.size && at <= haystack.size - needle.size;) {
        size_t right = split > known ? split : known;
        while (right < needle.size && folded(needle, right) == folded(haystack, at + right))
            right++;
        if (right < needle.size) {
            at += right - split + 1;
            known = 0;
            continue;
        }
        size_t left = split;
        while (left > known && folded(needle, left - 1) == folded(haystack, at + left - 1))
            left--;
        if (left <= known)
            return true;
        at += period;
        known = periodic ? needle.size - period : 0;
    }
    return false;
}
