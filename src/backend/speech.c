/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands to a backend, put together in one piece of memory that is sent from where it lies and
 * wiped: passwords are in it. It does not grow; what does not fit is not sent at all.
 */
#include "ringpost/base64.h"
#include "ringpost/number.h"
#include "talk.h"

void say(struct speech *speech, struct slice bytes)
{
    if (speech->failed || bytes.size > SPEECH_BYTES_MAX - speech->size) {
        speech->failed = true;
        return;
    }
    if (bytes.size > 0)
        memcpy(speech->bytes + speech->size, bytes.data, bytes.size);
    speech->size += bytes.size;
}

void say_text(struct speech *speech, const char *text)
{
    say(speech, slice_cstr(text));
}

void say_number(struct speech *speech, unsigned number)
{
    char text[NUMBER_DECIMAL_BYTES_MAX];
    say(speech, slice_of(text, number_decimal(text, number)));
}

void say_base64(struct speech *speech, const struct slice *pieces, unsigned count)
{
    char group[3], text[4];
    unsigned size = 0;
    for (unsigned i = 0; i < count; i++) {
        for (size_t at = 0; at < pieces[i].size; at++) {
            group[size++] = pieces[i].data[at];
            if (size < sizeof group)
                continue;
            say(speech, slice_of(text, base64_encode(slice_of(group, size), text)));
            size = 0;
        }
    }
    if (size > 0)
        say(speech, slice_of(text, base64_encode(slice_of(group, size), text)));
    explicit_bzero(group, sizeof group);
    explicit_bzero(text, sizeof text);
}

void say_xtext(struct speech *speech, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        char escaped[3] = {'+', digits[c >> 4], digits[c & 15]};
        if (c > ' ' && c < 0x7f && c != '+' && c != '=')
            say(speech, slice_of(text.data + i, 1));
        else
            say(speech, slice_of(escaped, sizeof escaped));
    }
}

bool is_quotable(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < ' ' || text.data[i] > '~')
            return false;
    return text.size <= TALK_STRING_BYTES_MAX;
}

void say_quoted(struct speech *speech, struct slice text)
{
    say(speech, SLICE("\""));
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            say(speech, SLICE("\\"));
        say(speech, slice_of(text.data + i, 1));
    }
    say(speech, SLICE("\""));
}

void speech_wipe(struct speech *speech)
{
    explicit_bzero(speech->bytes, speech->size);
    speech->size = 0;
    speech->failed = false;
}
