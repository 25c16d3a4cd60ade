/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Numbers as text without printf, for what is written once a message or more: each returns how
 * many bytes it wrote, and writes no NUL.
 */
#ifndef RINGPOST_NUMBER_H
#define RINGPOST_NUMBER_H

#include "ringpost/slice.h"

enum { NUMBER_DECIMAL_BYTES_MAX = 20, NUMBER_HEXADECIMAL_BYTES_MAX = 16 };

/* The last `width` decimal digits of value, with leading zeros. */
static inline size_t number_digits(char *to, uint64_t value, unsigned width)
{
    for (unsigned i = width; i > 0; i--, value /= 10)
        to[i - 1] = (char)('0' + value % 10);
    return width;
}

static inline size_t number_decimal(char *to, uint64_t value)
{
    unsigned width = 1;
    for (uint64_t rest = value; rest >= 10; rest /= 10)
        width++;
    return number_digits(to, value, width);
}

/* Lower case. */
static inline size_t number_hexadecimal(char *to, uint64_t value)
{
    size_t width = 1;
    for (uint64_t rest = value; rest >= 16; rest /= 16)
        width++;
    for (size_t i = width; i > 0; i--, value /= 16)
        to[i - 1] = "0123456789abcdef"[value & 15];
    return width;
}

#endif
