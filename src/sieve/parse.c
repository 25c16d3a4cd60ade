/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Strings and arguments of ManageSieve (RFC 5804, 4). Pure.
 *
 *   quoted   "..." of UTF-8 without NUL, CR and LF; a backslash stands before '"' and '\'
 *   literal  {n+} CRLF and n bytes, whatever they are; clients send no other form
 */
#include "sieve_private.h"

enum { LITERAL_DIGITS_MAX = 10 };

/* ---------------------------------------------------------------- lines */

/* "{n+}" at the end of the line, where no quoted string is open. */
static bool ends_in_literal(struct slice line, uint64_t *ret_size)
{
    size_t end = line.size;
    if (end < 4 || line.data[end - 1] != '}' || line.data[end - 2] != '+')
        return false;
    end -= 2;
    size_t begin = end;
    while (begin > 0 && line.data[begin - 1] >= '0' && line.data[begin - 1] <= '9')
        begin--;
    return begin > 0 && line.data[begin - 1] == '{' && end > begin &&
           end - begin <= LITERAL_DIGITS_MAX &&
           slice_number(slice_of(line.data + begin, end - begin), UINT32_MAX, ret_size);
}

enum sieve_scanned sieve_scan(struct slice line, uint64_t *ret_size)
{
    bool is_quoted = false;
    for (size_t i = 0; i < line.size; i++) {
        char c = line.data[i];
        if (is_quoted && c == '\\')
            i++;
        else if (c == '"')
            is_quoted = !is_quoted;
    }
    if (line.size == 0 || line.data[line.size - 1] != '}')
        return SIEVE_LINE_WHOLE; /* an open quote is the parser's to refuse */
    return !is_quoted && ends_in_literal(line, ret_size) ? SIEVE_LINE_LITERAL : SIEVE_LINE_LOST;
}

/* ---------------------------------------------------------------- strings */

bool sieve_take(struct sieve_cursor *cursor, char c)
{
    if (cursor->at == cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

/* Behind the opening quote, up to behind the closing one. */
static bool take_quoted(struct sieve_cursor *cursor, struct arena *arena, struct slice *ret_string)
{
    const char *begin = cursor->at, *end = begin;
    size_t escapes = 0;
    for (; end < cursor->end && *end != '"'; end++) {
        if (*end == '\0' || *end == '\r' || *end == '\n')
            return false;
        if (*end != '\\')
            continue;
        end++;
        escapes++;
        if (end == cursor->end || (*end != '"' && *end != '\\'))
            return false;
    }
    if (end == cursor->end || !slice_is_utf8(slice_of(begin, (size_t)(end - begin))))
        return false;
    cursor->at = end + 1;
    *ret_string = slice_of(begin, (size_t)(end - begin));
    if (escapes == 0)
        return true;
    char *copy = arena_alloc(arena, ret_string->size), *to = copy;
    if (copy == NULL)
        return false;
    for (const char *from = begin; from < end; from++) {
        from += *from == '\\';
        *to++ = *from;
    }
    *ret_string = slice_of(copy, (size_t)(to - copy));
    return true;
}

/* Behind the brace. */
static bool take_literal(struct sieve_cursor *cursor, struct slice *ret_string)
{
    struct slice rest = slice_of(cursor->at, (size_t)(cursor->end - cursor->at));
    struct slice digits = slice_first(rest, slice_find(rest, '+'));
    uint64_t size;
    if (digits.size == 0 || digits.size > LITERAL_DIGITS_MAX ||
        !slice_number(digits, UINT32_MAX, &size))
        return false;
    rest = slice_from(rest, digits.size);
    if (rest.size < 4 || memcmp(rest.data, "+}\r\n", 4) != 0)
        return false;
    rest = slice_from(rest, 4);
    if (size > rest.size)
        return false;
    *ret_string = slice_first(rest, (size_t)size);
    cursor->at = rest.data + size;
    return true;
}

bool sieve_take_string(struct sieve_cursor *cursor, struct arena *arena, struct slice *ret_string)
{
    struct sieve_cursor start = *cursor;
    bool is_taken = false;
    if (sieve_take(cursor, '"'))
        is_taken = take_quoted(cursor, arena, ret_string);
    else if (sieve_take(cursor, '{'))
        is_taken = take_literal(cursor, ret_string);
    if (!is_taken)
        *cursor = start;
    return is_taken;
}

/* ---------------------------------------------------------------- arguments */

const char *sieve_parse_none(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena;
    (void)ret_arguments;
    return text.size == 0 ? NULL : "No arguments here";
}

const char *sieve_parse_authenticate(struct slice text, struct arena *arena, void *ret_arguments)
{
    static const char expected[] = "Give a mechanism, and a string at most";
    struct sieve_authenticate_arguments *arguments = ret_arguments;
    struct sieve_cursor cursor = {text.data, text.data + text.size};
    if (!sieve_take_string(&cursor, arena, &arguments->mechanism))
        return expected;
    if (cursor.at == cursor.end)
        return NULL;
    if (!sieve_take(&cursor, ' ') || !sieve_take_string(&cursor, arena, &arguments->initial) ||
        cursor.at != cursor.end)
        return expected;
    if (arguments->initial.size == 0)
        arguments->initial = SLICE("=");
    return NULL;
}

const char *sieve_parse_noop(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct sieve_noop_arguments *arguments = ret_arguments;
    struct sieve_cursor cursor = {text.data, text.data + text.size};
    if (text.size == 0)
        return NULL;
    return sieve_take_string(&cursor, arena, &arguments->tag) && cursor.at == cursor.end
               ? NULL
               : "Give a string at most";
}
