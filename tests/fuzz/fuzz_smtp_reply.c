/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any line as an answer of an SMTP server, against a plain reading of RFC 5321, section
 * 4.2, and RFC 3463; what is made of it is one printable line that reads as the same answer
 * (row X04 of the list of bad inputs).
 */
#include "ringpost/smtp_reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* How many digits there are from `at` on. */
static size_t digits(struct slice text, size_t at)
{
    size_t count = 0;
    while (at + count < text.size && is_one_of(text.data[at + count], "0123456789"))
        count++;
    return count;
}

/* The size of a code at the beginning: c.ddd.ddd, and then a blank or the end. */
static size_t code_size(struct slice text, char first)
{
    size_t subject = digits(text, 2), detail_at = 2 + subject + 1;
    if (text.size < 5 || text.data[0] != first || text.data[1] != '.' || subject < 1 ||
        subject > 3 || detail_at >= text.size || text.data[detail_at - 1] != '.')
        return 0;
    size_t detail = digits(text, detail_at), end = detail_at + detail;
    if (detail < 1 || detail > 3 || (end < text.size && text.data[end] != ' '))
        return 0;
    return end;
}

static void look_line(const struct smtp_reply *reply, size_t capacity)
{
    char one[401];
    struct smtp_reply again;
    size_t length = smtp_reply_line(reply, one, capacity), whole = reply->text.size + 4;
    require(length < capacity && strlen(one) == length);
    require(length == (whole == 4 ? 9 : whole < capacity ? whole : capacity - 1));
    for (size_t i = 0; i < length; i++)
        require(one[i] >= ' ' && one[i] <= '~');
    require(smtp_reply_parse(slice_of(one, length), &again));
    require(again.number == reply->number && !again.is_more);
    require(whole == 4 || whole >= capacity || slice_equal(again.code, reply->code));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice line = slice_of(data, size);
    struct smtp_reply reply;
    bool is_reply = size >= 3 && is_one_of((char)data[0], "2345") &&
                    is_one_of((char)data[1], "012345") && is_one_of((char)data[2], "0123456789") &&
                    (size == 3 || is_one_of((char)data[3], " -"));
    require(smtp_reply_parse(line, &reply) == is_reply);
    if (!is_reply)
        return 0;
    struct slice text = slice_from(line, 4);
    require(reply.number == (data[0] - 48u) * 100 + (data[1] - 48u) * 10 + (data[2] - 48u));
    require(reply.is_more == (size > 3 && data[3] == '-'));
    require(slice_equal(reply.text, text));
    require(slice_equal(reply.code, slice_first(text, code_size(text, (char)data[0]))));
    look_line(&reply, 20);
    look_line(&reply, 401);
    return 0;
}
