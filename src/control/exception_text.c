/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The text of exceptions: what is a user, what is a backend, what is a line. Pure.
 */
#include <stdio.h>

#include "exception_private.h"

static bool is_name(struct slice text, size_t bytes_max)
{
    if (text.size == 0 || text.size > bytes_max || !slice_is_utf8(text))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7f)
            return false;
    return true;
}

const char *exception_user_check(struct slice user)
{
    if (!is_name(user, AUTH_USER_BYTES_MAX))
        return "this is no user; write name@domain";
    for (size_t i = 0; i < user.size; i++)
        if (ascii_lower(user.data[i]) != user.data[i])
            return "users are written in lower case";
    return NULL;
}

const char *exception_backend_check(struct slice backend)
{
    if (!is_name(backend, EXCEPTION_BACKEND_BYTES_MAX))
        return "this is no backend; write NAME or POOL/NAME";
    return NULL;
}

static struct slice word(struct slice *text)
{
    size_t size = 0;
    while (text->size > 0 && (text->data[0] == ' ' || text->data[0] == '\t'))
        *text = slice_from(*text, 1);
    while (size < text->size && text->data[size] != ' ' && text->data[size] != '\t')
        size++;
    struct slice found = slice_first(*text, size);
    *text = slice_from(*text, size);
    return found;
}

const char *exception_line_parse(struct slice line, struct slice *ret_user,
                                 struct slice *ret_backend)
{
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    struct slice user = word(&line), backend = word(&line), more = word(&line);
    *ret_user = SLICE("");
    if (user.size == 0 || user.data[0] == '#')
        return NULL;
    if (backend.size == 0 || more.size > 0)
        return "a line is a user, a blank, a backend";
    const char *why = exception_user_check(user);
    if (why == NULL)
        why = exception_backend_check(backend);
    if (why == NULL) {
        *ret_user = user;
        *ret_backend = backend;
    }
    return why;
}

static bool line_ends(struct exception_lines *lines)
{
    struct slice line = slice_of(lines->is_long ? NULL : lines->line, lines->size);
    lines->size = 0;
    lines->is_long = false;
    return lines->each(lines->argument, ++lines->number, line);
}

bool exception_lines_feed(struct exception_lines *lines, struct slice bytes, bool ends)
{
    while (bytes.size > 0) {
        size_t lf = slice_find(bytes, '\n');
        struct slice piece = slice_first(bytes, lf);
        if (piece.size > sizeof lines->line - lines->size)
            lines->is_long = true;
        else
            memcpy(lines->line + lines->size, piece.data, piece.size);
        if (!lines->is_long)
            lines->size += (unsigned)piece.size;
        if (lf < bytes.size && !line_ends(lines))
            return false;
        bytes = slice_from(bytes, lf + 1);
    }
    return !ends || (lines->size == 0 && !lines->is_long) || line_ends(lines);
}

void exception_mistake(struct exception_mistakes *mistakes, unsigned line, const char *what)
{
    if (mistakes->count < EXCEPTION_MISTAKES_MAX) {
        mistakes->told[mistakes->count].line = line;
        snprintf(mistakes->told[mistakes->count].what, sizeof mistakes->told[0].what, "%s", what);
    }
    mistakes->count++;
}
