/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Base64 (RFC 4648). One decoder serves both alphabets: it takes digits four at a time, so that
 * decoding in place never overtakes what is still to be read.
 */
#include "ringpost/base64.h"

static int digit_of(char c, const char last[2])
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == last[0] ? 62 : c == last[1] ? 63 : -1;
}

/* Digits only. A last group of 2 or 3 stands for 1 or 2 bytes, its loose bits 0 (section 3.5). */
static bool decode(struct slice digits, const char last[2], char *out, size_t *ret_size)
{
    size_t size = 0;
    if (digits.size % 4 == 1)
        return false;
    for (size_t at = 0; at < digits.size; at += 4) {
        size_t count = digits.size - at < 4 ? digits.size - at : 4;
        uint32_t bits = 0;
        for (size_t i = 0; i < 4; i++) {
            int digit = i < count ? digit_of(digits.data[at + i], last) : 0;
            if (digit < 0)
                return false;
            bits = bits << 6 | (uint32_t)digit;
        }
        uint32_t loose = (uint32_t)((UINT64_C(0xffffff) >> (8 * (count - 1))) & 0xffffff);
        if ((bits & loose) != 0)
            return false;
        for (size_t i = 0; i + 1 < count; i++)
            out[size++] = (char)(bits >> (16 - 8 * i));
    }
    *ret_size = size;
    return true;
}

bool base64_decode(struct slice text, char *out, size_t *ret_size)
{
    if (text.size % 4 != 0)
        return false;
    for (unsigned i = 0; i < 2 && text.size > 0 && text.data[text.size - 1] == '='; i++)
        text.size--;
    return decode(text, "+/", out, ret_size);
}

bool base64url_decode(struct slice text, char *out, size_t *ret_size)
{
    return decode(text, "-_", out, ret_size);
}

size_t base64_encode(struct slice bytes, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = 0;
    for (size_t at = 0; at < bytes.size; at += 3) {
        size_t count = bytes.size - at < 3 ? bytes.size - at : 3;
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; i++)
            bits = bits << 8 | (i < count ? (unsigned char)bytes.data[at + i] : 0u);
        for (size_t i = 0; i < 4; i++)
            out[size++] = i <= count ? digits[bits >> (18 - 6 * i) & 63] : '=';
    }
    return size;
}
