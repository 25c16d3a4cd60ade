/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Arguments of POP3 commands. Numbers are decimal digits only, no sign; blanks at the end are
 * forgiven, others are not. Pure.
 */
#include "pop3_private.h"

static struct slice trim(struct slice text)
{
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    return text;
}

const char *pop3_parse_none(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena;
    (void)ret_arguments;
    return trim(text).size == 0 ? NULL : "No arguments here";
}

static const char *number(struct slice text, uint32_t *ret_number)
{
    uint64_t value;
    if (!slice_number(text, UINT32_MAX, &value) || value == 0)
        return "Not a message number";
    *ret_number = (uint32_t)value;
    return NULL;
}

const char *pop3_parse_number(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena;
    struct pop3_arguments *arguments = ret_arguments;
    return number(trim(text), &arguments->number);
}

const char *pop3_parse_maybe_number(struct slice text, struct arena *arena, void *ret_arguments)
{
    text = trim(text);
    return text.size == 0 ? NULL : pop3_parse_number(text, arena, ret_arguments);
}

const char *pop3_parse_top(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena;
    struct pop3_arguments *arguments = ret_arguments;
    uint64_t lines;
    text = trim(text);
    struct slice first = slice_first(text, slice_find(text, ' '));
    struct slice rest = slice_from(text, first.size + 1);
    while (rest.size > 0 && rest.data[0] == ' ')
        rest = slice_from(rest, 1);
    if (!slice_number(rest, POP3_LINES_MAX, &lines))
        return "Give a message number and a number of lines";
    arguments->lines = (uint32_t)lines;
    return number(first, &arguments->number);
}

const char *pop3_parse_auth(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena;
    struct pop3_auth_arguments *arguments = ret_arguments;
    text = trim(text);
    arguments->mechanism = slice_first(text, slice_find(text, ' '));
    if (arguments->mechanism.size == 0)
        return "Give a mechanism";
    if (arguments->mechanism.size < text.size)
        arguments->initial = slice_from(text, arguments->mechanism.size + 1);
    return NULL;
}
