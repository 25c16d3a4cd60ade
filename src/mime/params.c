/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tokens, comments and parameters of the structured MIME fields (RFC 2045 5.1, RFC 2183, RFC 2231).
 * Parameters cut in pieces (name*0, name*1*) are joined, in the pieces' order whatever the order
 * they came in; a joined parameter with an encoded piece is named "name*" and keeps its percent
 * encoding, so that IMAP clients see one form only. Pieces that do not hang together with piece 0
 * are dropped. Invariants:
 *   1. At most MIME_PARAMETERS_MAX parameters or pieces are looked at; work is linear in the text
 * plus that squared.
 *   2. Nothing is read at or behind `end`; a comment or quoted string that is not closed reaches to
 * the end.
 */
#include "mime_private.h"

#include <errno.h>

enum { SECTION_NONE = -1, SECTION_MAX = 9999 };

struct piece {
    struct slice name, value;
    int section; /* RFC 2231 3; SECTION_NONE: not cut in pieces */
    bool encoded, used;
};

const char *mime_skip_comment(const char *at, const char *end)
{
    size_t depth = 1;
    while (at < end && depth > 0) {
        char c = *at++;
        if (c == '\\' && at < end)
            at++;
        else if (c == '(')
            depth++;
        else if (c == ')')
            depth--;
    }
    return at;
}

const char *mime_skip_blanks(const char *at, const char *end)
{
    while (at < end) {
        if (mime_is_blank(*at))
            at++;
        else if (*at == '(')
            at = mime_skip_comment(at + 1, end);
        else
            break;
    }
    return at;
}

/* RFC 2045 5.1, but 8-bit bytes pass. */
static bool is_token(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte > ' ' && byte != 127 && memchr("()<>@,;:\\\"/[]?=", byte, 15) == NULL;
}

struct slice mime_token_take(const char **at, const char *end)
{
    const char *start = mime_skip_blanks(*at, end);
    const char *stop = start;
    while (stop < end && is_token(*stop))
        stop++;
    *at = stop;
    return slice_of(start, (size_t)(stop - start));
}

/* *at stands behind the opening quote. False when the arena is full. */
static bool quoted_take(const char **at, const char *end, struct arena *arena,
                        struct slice *ret_value)
{
    const char *start = *at, *stop = start;
    bool plain = true;
    while (stop < end && *stop != '"') {
        if (*stop == '\\' || *stop == '\r' || *stop == '\n') {
            plain = false;
            if (*stop == '\\' && end - stop > 1)
                stop++;
        }
        stop++;
    }
    *at = stop < end ? stop + 1 : end;
    *ret_value = slice_of(start, (size_t)(stop - start));
    if (plain)
        return true;
    char *copy = arena_alloc(arena, ret_value->size);
    if (copy == NULL)
        return false;
    size_t size = 0;
    for (const char *from = start; from < stop; from++) {
        if (*from == '\\' && stop - from > 1)
            from++;
        else if (*from == '\r' || *from == '\n')
            continue;
        copy[size++] = *from;
    }
    *ret_value = slice_of(copy, size);
    return true;
}

/* A value without quotes. Mailers leave them out where they are needed: reads up to ";" or a
 * comment. */
static struct slice bare_take(const char **at, const char *end)
{
    const char *start = *at, *stop = start;
    while (stop < end && *stop != ';' && !(*stop == '(' && stop > start && mime_is_blank(stop[-1])))
        stop++;
    *at = stop;
    return mime_trim(slice_of(start, (size_t)(stop - start)));
}

/* "name*2*" -> "name", 2, encoded; "name*" stays as it is, being one parameter. */
static void section_split(struct piece *piece)
{
    piece->section = SECTION_NONE;
    struct slice name = piece->name;
    size_t star = slice_find(name, '*');
    if (star == 0 || star + 1 >= name.size)
        return;
    struct slice digits = slice_from(name, star + 1);
    bool encoded = digits.data[digits.size - 1] == '*';
    digits.size -= encoded;
    uint64_t section;
    if (!slice_number(digits, SECTION_MAX, &section))
        return;
    piece->name = slice_first(name, star);
    piece->section = (int)section;
    piece->encoded = encoded;
}

/* Takes the next parameter: 1, 0 when there is none, or -ENOMEM. */
static int piece_take(const char **at, const char *end, struct arena *arena,
                      struct piece *ret_piece)
{
    for (;;) {
        const char *semicolon = memchr(*at, ';', (size_t)(end - *at));
        if (semicolon == NULL)
            return 0;
        *at = semicolon + 1;
        struct slice name = mime_token_take(at, end);
        *at = mime_skip_blanks(*at, end);
        if (name.size == 0 || *at == end || **at != '=')
            continue;
        *at = mime_skip_blanks(*at + 1, end);
        *ret_piece = (struct piece){.name = name};
        if (*at < end && **at == '"') {
            ++*at;
            if (!quoted_take(at, end, arena, &ret_piece->value))
                return -ENOMEM;
        } else {
            ret_piece->value = bare_take(at, end);
        }
        section_split(ret_piece);
        return 1;
    }
}

static struct piece *section_find(struct piece *pieces, unsigned count, struct slice name,
                                  int section)
{
    for (unsigned i = 0; i < count; i++)
        if (!pieces[i].used && pieces[i].section == section &&
            slice_equal_nocase(pieces[i].name, name))
            return &pieces[i];
    return NULL;
}

/* Adds a piece's value; one that is not encoded becomes so if its neighbours are (RFC 2231 4.1). */
static void joined_append(struct text *joined, const struct piece *piece, bool encoded)
{
    static const char hex[] = "0123456789ABCDEF";
    if (!encoded || piece->encoded) {
        text_append(joined, piece->value);
        return;
    }
    for (size_t i = 0; i < piece->value.size; i++) {
        char c = piece->value.data[i];
        unsigned char byte = (unsigned char)c;
        if (is_token(c) && byte < 128 && c != '*' && c != '\'' && c != '%') {
            text_char(joined, c);
        } else {
            char escape[3] = {'%', hex[byte >> 4], hex[byte & 15]};
            text_append(joined, slice_of(escape, sizeof escape));
        }
    }
}

/* Joins the pieces of pieces[first]'s name from section 0 up; uses up all of that name.
 * 1 if there is a section 0, 0 if not, or -ENOMEM. */
static int pieces_join(struct piece *pieces, unsigned count, unsigned first, struct arena *arena,
                       struct mime_parameter *ret_parameter)
{
    struct slice name = pieces[first].name;
    struct piece *run[MIME_PARAMETERS_MAX];
    unsigned size = 0;
    bool encoded = false;
    struct piece *piece;
    while ((piece = section_find(pieces, count, name, (int)size)) != NULL) {
        encoded |= piece->encoded;
        piece->used = true;
        run[size++] = piece;
    }
    for (unsigned i = first; i < count; i++)
        if (pieces[i].section != SECTION_NONE && slice_equal_nocase(pieces[i].name, name))
            pieces[i].used = true;
    if (size == 0)
        return 0;
    struct text joined;
    text_init(&joined, arena);
    if (encoded && !run[0]->encoded)
        text_append(&joined, SLICE("''"));
    for (unsigned i = 0; i < size; i++)
        joined_append(&joined, run[i], encoded);
    if (encoded) {
        char *starred = arena_alloc(arena, name.size + 1);
        if (starred == NULL)
            return -ENOMEM;
        memcpy(starred, name.data, name.size);
        starred[name.size] = '*';
        name = slice_of(starred, name.size + 1);
    }
    ret_parameter->name = name;
    ret_parameter->value = joined.size ? text_slice(&joined) : SLICE("");
    return joined.failed ? -ENOMEM : 1;
}

bool mime_parameter_decode(struct slice value, struct arena *arena, struct slice *ret_value)
{
    size_t quote = slice_find(value, '\'');
    struct slice text = slice_from(value, quote + 1);
    quote = slice_find(text, '\'');
    text = quote < text.size ? slice_from(text, quote + 1) : value;
    char *out = arena_alloc(arena, text.size);
    if (out == NULL)
        return false;
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '%' && text.size - i > 2 && mime_hex_value(text.data[i + 1]) >= 0 &&
            mime_hex_value(text.data[i + 2]) >= 0) {
            c = (char)(mime_hex_value(text.data[i + 1]) << 4 | mime_hex_value(text.data[i + 2]));
            i += 2;
        }
        out[size++] = c;
    }
    *ret_value = slice_of(out, size);
    return true;
}

int mime_parameters_parse(struct slice text, struct arena *arena,
                          struct mime_parameters *ret_parameters)
{
    *ret_parameters = (struct mime_parameters){0};
    struct piece pieces[MIME_PARAMETERS_MAX];
    unsigned count = 0;
    const char *at = text.data, *end = mime_end(text);
    while (count < MIME_PARAMETERS_MAX && at < end) {
        int taken = piece_take(&at, end, arena, &pieces[count]);
        if (taken < 0)
            return taken;
        if (taken == 0)
            break;
        count++;
    }
    if (count == 0)
        return 0;
    struct mime_parameter *items = arena_alloc(arena, count * sizeof *items);
    if (items == NULL)
        return -ENOMEM;
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].used)
            continue;
        int joined = 1;
        if (pieces[i].section == SECTION_NONE)
            items[kept] = (struct mime_parameter){pieces[i].name, pieces[i].value};
        else
            joined = pieces_join(pieces, count, i, arena, &items[kept]);
        if (joined < 0)
            return joined;
        kept += (unsigned)joined;
    }
    *ret_parameters = (struct mime_parameters){items, kept};
    return 0;
}
