/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TOP (RFC 1939, 7): where a message is cut that is to have its header, the blank line and some
 * lines of its body. A line ends at LF, with or without CR, as for the encoder. Pure, and the same
 * wherever the message is split.
 */
#include "pop3_private.h"

void cut_init(struct cut *cut, uint64_t lines)
{
    *cut = (struct cut){.lines = lines};
}

/* A line has ended: what is the next one? */
static void line_ended(struct cut *cut, bool is_blank)
{
    if (cut->is_body)
        cut->lines--;
    else if (is_blank)
        cut->is_body = true;
    if (cut->is_body && cut->lines == 0)
        cut->is_done = true;
}

size_t cut_next(struct cut *cut, struct slice bytes)
{
    struct slice rest = bytes;
    while (rest.size > 0 && !cut->is_done) {
        size_t size = slice_find(rest, '\n');
        bool is_cr = size == 1 && rest.data[0] == '\r';
        bool is_blank = cut->is_line_begun ? size == 0 && cut->before == '\r' : size == 0 || is_cr;
        if (size == rest.size) { /* it goes on in the next bytes */
            cut->before = is_cr && !cut->is_line_begun ? '\r' : 0;
            cut->is_line_begun = true;
            return bytes.size;
        }
        cut->is_line_begun = false;
        line_ended(cut, is_blank);
        rest = slice_from(rest, size + 1);
    }
    return bytes.size - rest.size;
}
