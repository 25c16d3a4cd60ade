/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The grammar, as it is applied here:
 *
 *   path       = "<" [ "@" domain *( "," "@" domain ) ":" ] mailbox ">"   the route is passed over
 *   mailbox    = local-part "@" ( domain / literal )
 *   local-part = atom *( "." atom ) / quoted-string                       64 bytes, unquoted
 *   domain     = label *( "." label ), or "[" address "]"                 255 bytes
 *
 * atom, quoted-string and label may hold UTF-8 beyond ASCII (RFC 6531 3.3): path.is_ascii tells,
 * and whether it is allowed in this transaction is its caller's to say. An address is data:
 * nothing here or later expands, runs or opens it. Each loop moves forward in the text.
 */
#include "address.h"

#include <arpa/inet.h>

/* ---------------------------------------------------------------- characters */

static bool is_alphanumeric(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

static bool is_atom(unsigned char c)
{
    return is_alphanumeric(c) || c >= 0x80 || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

bool smtp_utf8_valid(struct slice text, bool *ret_ascii)
{
    bool is_ascii = true;
    while (text.size > 0) {
        size_t length = utf8_length(text);
        if (length == 0)
            return false;
        /* C1 controls too are no part of any name (RFC 6532 3.1 leaves them out of atoms). */
        if (length == 2 && (unsigned char)text.data[0] == 0xc2 &&
            (unsigned char)text.data[1] < 0xa0)
            return false;
        is_ascii = is_ascii && length == 1;
        text = slice_from(text, length);
    }
    *ret_ascii = is_ascii;
    return true;
}

/* ---------------------------------------------------------------- domains */

static bool is_label(struct slice label)
{
    bool is_ascii = true;
    if (label.size == 0 || label.data[0] == '-' || label.data[label.size - 1] == '-')
        return false;
    for (size_t i = 0; i < label.size; i++) {
        unsigned char c = (unsigned char)label.data[i];
        if (!is_alphanumeric(c) && c != '-' && c < 0x80)
            return false;
        is_ascii = is_ascii && c < 0x80;
    }
    return label.size <= (is_ascii ? LABEL_BYTES_MAX : 4 * LABEL_BYTES_MAX);
}

static bool is_literal(struct slice text)
{
    char address[64];
    unsigned char bytes[16];
    if (text.size < 3 || text.data[text.size - 1] != ']')
        return false;
    struct slice inside = slice_of(text.data + 1, text.size - 2);
    bool is_v6 = slice_starts_nocase(inside, SLICE("IPv6:"));
    if (is_v6)
        inside = slice_from(inside, 5);
    if (inside.size >= sizeof address || memchr(inside.data, '\0', inside.size) != NULL)
        return false;
    memcpy(address, inside.data, inside.size);
    address[inside.size] = '\0';
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, address, bytes) == 1;
}

bool smtp_domain_valid(struct slice text)
{
    if (text.size == 0 || text.size > DOMAIN_BYTES_MAX)
        return false;
    if (text.data[0] == '[')
        return is_literal(text);
    for (;;) {
        size_t dot = slice_find(text, '.');
        if (!is_label(slice_first(text, dot)))
            return false;
        if (dot == text.size)
            return true;
        text = slice_from(text, dot + 1);
    }
}

/* Takes the characters a domain may have; whether they make one is smtp_domain_valid's to say. */
static struct slice take_domain(struct slice *text)
{
    size_t size = 0;
    while (size < text->size && memchr(">,:@ <", text->data[size], 6) == NULL)
        size++;
    if (text->size > 0 && text->data[0] == '[') {
        size = slice_find(*text, ']');
        size += size < text->size;
    }
    struct slice domain = slice_first(*text, size);
    *text = slice_from(*text, size);
    return domain;
}

/* ---------------------------------------------------------------- local parts */

static bool take(struct slice *text, char c)
{
    if (text->size == 0 || text->data[0] != c)
        return false;
    *text = slice_from(*text, 1);
    return true;
}

/* RFC 5321 4.1.2: Quoted-string, of printable ASCII, blanks and (RFC 6531) UTF-8. */
static enum path_verdict take_quoted(struct slice *text, struct arena *arena,
                                     struct slice *ret_local)
{
    char *local = arena_alloc(arena, LOCAL_PART_BYTES_MAX);
    size_t size = 0;
    if (local == NULL)
        return PATH_MEMORY;
    while (!take(text, '"')) {
        take(text, '\\');
        if (text->size == 0 || size == LOCAL_PART_BYTES_MAX)
            return PATH_LOCAL_PART;
        unsigned char c = (unsigned char)text->data[0];
        if (c < ' ' || c == 0x7f)
            return PATH_LOCAL_PART;
        local[size++] = (char)c;
        *text = slice_from(*text, 1);
    }
    *ret_local = slice_of(local, size);
    return size > 0 ? PATH_OK : PATH_LOCAL_PART;
}

static enum path_verdict take_local(struct slice *text, struct arena *arena,
                                    struct slice *ret_local)
{
    if (take(text, '"'))
        return take_quoted(text, arena, ret_local);
    size_t size = 0;
    for (; size < text->size; size++) {
        char c = text->data[size];
        bool is_dot = c == '.' && size > 0 && text->data[size - 1] != '.';
        if (!is_dot && !is_atom((unsigned char)c))
            break;
    }
    if (size == 0 || size > LOCAL_PART_BYTES_MAX || text->data[size - 1] == '.')
        return PATH_LOCAL_PART;
    *ret_local = slice_first(*text, size);
    *text = slice_from(*text, size);
    return PATH_OK;
}

/* ---------------------------------------------------------------- paths */

/* "@a,@b:" (RFC 5321 appendix C: accepted and ignored). */
static bool take_route(struct slice *text)
{
    if (text->size == 0 || text->data[0] != '@')
        return true;
    for (unsigned hops = 0; hops < SOURCE_ROUTE_MAX; hops++) {
        if (!take(text, '@') || !smtp_domain_valid(take_domain(text)))
            return false;
        if (take(text, ':'))
            return true;
        if (!take(text, ','))
            return false;
    }
    return false;
}

static enum path_verdict take_mailbox(struct slice *text, bool allow_null, struct arena *arena,
                                      struct smtp_path *path)
{
    const char *start = text->data;
    enum path_verdict verdict = take_local(text, arena, &path->local);
    if (verdict != PATH_OK)
        return verdict;
    if (take(text, '@')) {
        path->domain = take_domain(text);
        if (!smtp_domain_valid(path->domain))
            return PATH_DOMAIN;
    } else if (allow_null || !slice_equal_nocase(path->local, SLICE("postmaster"))) {
        return PATH_DOMAIN; /* RFC 5321 4.1.1.3: only postmaster stands alone */
    }
    path->text = slice_of(start, (size_t)(text->data - start));
    return PATH_OK;
}

enum path_verdict smtp_path_parse(struct slice *text, bool allow_null, struct arena *arena,
                                  struct smtp_path *ret_path)
{
    struct slice rest = *text;
    struct smtp_path path = {.text = SLICE(""), .local = SLICE(""), .domain = SLICE("")};
    path.is_ascii = true;
    if (!take(&rest, '<'))
        return PATH_SYNTAX;
    if (!allow_null || rest.size == 0 || rest.data[0] != '>') {
        if (!take_route(&rest))
            return PATH_DOMAIN;
        enum path_verdict verdict = take_mailbox(&rest, allow_null, arena, &path);
        if (verdict != PATH_OK)
            return verdict;
        if (!smtp_utf8_valid(path.text, &path.is_ascii))
            return PATH_LOCAL_PART;
    }
    if (!take(&rest, '>'))
        return path.domain.size > 0 ? PATH_DOMAIN : PATH_SYNTAX;
    *ret_path = path;
    *text = rest;
    return PATH_OK;
}
