/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF. Whoever
 * lets bytes of a peer pass as text asks here, so that all agree on what is text.
 */
#include "ringpost/slice.h"

size_t utf8_length(struct slice bytes)
{
    const unsigned char *s = (const unsigned char *)bytes.data;
    if (bytes.size == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || length > bytes.size)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

bool slice_is_utf8(struct slice bytes)
{
    while (bytes.size > 0) {
        size_t length = utf8_length(bytes);
        if (length == 0)
            return false;
        bytes = slice_from(bytes, length);
    }
    return true;
}
