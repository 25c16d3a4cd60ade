/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text that grows up to PAGE_BYTES_MAX, and the one place where words of others become harmless. An
 * error sticks: who writes a page looks at it once, at the end.
 */
#include "page_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

static bool has_room(struct text *text, size_t size)
{
    if (text->error != 0)
        return false;
    if (size >= PAGE_BYTES_MAX - text->size) {
        text->error = -EFBIG;
        return false;
    }
    if (text->room > text->size + size)
        return true;
    size_t room = text->room == 0 ? 16384 : text->room;
    while (room <= text->size + size)
        room *= 2;
    char *data = realloc(text->data, room);
    if (data == NULL) {
        text->error = -ENOMEM;
        return false;
    }
    text->data = data;
    text->room = room;
    return true;
}

void text_bytes(struct text *text, const char *bytes, size_t size)
{
    if (size == 0 || !has_room(text, size))
        return;
    memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void text_put(struct text *text, const char *words)
{
    text_bytes(text, words, strlen(words));
}

void text_format(struct text *text, const char *format, ...)
{
    char line[1000];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (size > 0)
        text_bytes(text, line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1);
}

/* Of a sequence that utf8_length has found to be one. */
static unsigned code_point(struct slice s, size_t length)
{
    unsigned char first = (unsigned char)s.data[0];
    unsigned code = length == 1 ? first : first & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++)
        code = code << 6 | ((unsigned char)s.data[i] & 0x3fu);
    return code;
}

/* Characters that are not seen themselves but change how others are. */
static bool is_hidden(unsigned code)
{
    static const unsigned ranges[][2] = {
        {0x80, 0x9f},     {0xad, 0xad},     {0x34f, 0x34f},   {0x61c, 0x61c},     {0x115f, 0x1160},
        {0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},
        {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xe0000, 0xe0fff},
    };
    for (unsigned i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (code >= ranges[i][0] && code <= ranges[i][1])
            return true;
    return false;
}

static const char *entity(unsigned code)
{
    switch (code) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* Marks that stand above or below the character before them. */
static bool is_combining(unsigned code)
{
    return (code >= 0x300 && code <= 0x36f) || (code >= 0x483 && code <= 0x489) ||
           (code >= 0x1ab0 && code <= 0x1aff) || (code >= 0x1dc0 && code <= 0x1dff) ||
           (code >= 0x20d0 && code <= 0x20ff) || (code >= 0xfe20 && code <= 0xfe2f);
}

static void put_control(struct text *text, unsigned code)
{
    switch (code) {
    case '\t':
        text_put(text, "\\t");
        break;
    case '\r':
        text_put(text, "\\r");
        break;
    case '\n':
        text_put(text, "\\n");
        break;
    default:
        text_format(text, "\\x%02x", code);
    }
}

/* `marks` counts combining marks on one character: more than MARKS_MAX would reach into the lines
 * around. */
static void put_character(struct text *text, struct slice s, size_t length, bool is_html,
                          unsigned *marks)
{
    enum { MARKS_MAX = 3 };
    if (length == 0) {
        text_put(text, "\xef\xbf\xbd"); /* U+FFFD */
        return;
    }
    unsigned code = code_point(s, length);
    *marks = is_combining(code) ? *marks + 1 : 0;
    if (code < 0x20 || code == 0x7f) {
        put_control(text, code);
    } else if (is_hidden(code) || *marks > MARKS_MAX) {
        text_format(text, is_html ? "&lt;U+%04X&gt;" : "<U+%04X>", code);
    } else if (is_html && entity(code) != NULL) {
        text_put(text, entity(code));
    } else {
        text_bytes(text, s.data, length);
    }
}

static void put_words(struct text *text, struct slice words, unsigned characters_max, bool is_html)
{
    unsigned marks = 0;
    for (unsigned i = 0; words.size > 0; i++) {
        if (i == characters_max) {
            text_put(text, "\xe2\x80\xa6");
            return;
        }
        size_t length = utf8_length(words);
        put_character(text, words, length, is_html, &marks);
        words = slice_from(words, length == 0 ? 1 : length);
    }
}

void text_html(struct text *text, struct slice words, unsigned characters_max)
{
    put_words(text, words, characters_max, true);
}

void text_plain(struct text *text, struct slice words, unsigned characters_max)
{
    put_words(text, words, characters_max, false);
}
