/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See smtp_reply.h.
 */
#include "ringpost/smtp_reply.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "5.7.8" at the start of `text` (RFC 3463), of the class `first`; else empty. */
static struct slice enhanced_of(struct slice text, char first)
{
    struct slice code = slice_first(text, slice_find(text, ' '));
    size_t at = 0;
    for (unsigned part = 0; part < 3; part++) {
        size_t begin = at;
        while (at < code.size && at - begin < 3 && is_digit(code.data[at]))
            at++;
        if (at == begin || (part < 2 && (at >= code.size || code.data[at++] != '.')))
            return (struct slice){0};
    }
    return at == code.size && code.data[0] == first && code.data[1] == '.' ? code
                                                                           : (struct slice){0};
}

bool smtp_reply_parse(struct slice line, struct smtp_reply *ret_reply)
{
    struct smtp_reply reply = {0};
    if (line.size < 3 || line.data[0] < '2' || line.data[0] > '5' || line.data[1] > '5' ||
        !is_digit(line.data[1]) || !is_digit(line.data[2]) ||
        (line.size > 3 && line.data[3] != ' ' && line.data[3] != '-'))
        return false;
    for (unsigned i = 0; i < 3; i++)
        reply.number = reply.number * 10 + (unsigned)(line.data[i] - '0');
    reply.is_more = line.size > 3 && line.data[3] == '-';
    reply.text = slice_from(line, 4);
    reply.code = enhanced_of(reply.text, line.data[0]);
    *ret_reply = reply;
    return true;
}

size_t smtp_reply_line(const struct smtp_reply *reply, char *to, size_t capacity)
{
    const unsigned number = reply->number;
    struct slice text = reply->text;
    char code[] = "0.0.0";
    code[0] = (char)('0' + number / 100);
    if (text.size == 0)
        text = slice_cstr(code);
    to[0] = code[0];
    to[1] = (char)('0' + number / 10 % 10);
    to[2] = (char)('0' + number % 10);
    to[3] = ' ';
    size_t size = 4;
    for (; size < capacity - 1 && size - 4 < text.size; size++) {
        char c = text.data[size - 4];
        to[size] = c < ' ' || c > '~' ? '?' : c;
    }
    to[size] = '\0';
    return size;
}
