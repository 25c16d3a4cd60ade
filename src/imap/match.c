/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * LIST patterns (RFC 9051 6.3.9): "*" matches anything, "%" anything within one level. All
 * positions of the pattern that can be reached are followed at once, so a pattern of many wildcards
 * costs no more than its length for each byte of a name (row I09).
 */
#include "families.h"

static bool is_wildcard(char c)
{
    return c == '*' || c == '%';
}

size_t imap_pattern_collapse(char *pattern, size_t size)
{
    size_t kept = 0;
    for (size_t i = 0; i < size; i++) {
        bool is_run = kept > 0 && is_wildcard(pattern[kept - 1]) && is_wildcard(pattern[i]);
        if (!is_run)
            pattern[kept++] = pattern[i];
        else if (pattern[i] == '*')
            pattern[kept - 1] = '*';
    }
    return kept;
}

/* "INBOX" or a child of it: its first five letters match in any case. */
static size_t inbox_size(struct slice name)
{
    bool is_inbox =
        slice_starts_nocase(name, SLICE("INBOX")) && (name.size == 5 || name.data[5] == '/');
    return is_inbox ? 5 : 0;
}

/* One byte of the name: from the positions reached to those reached next. False: none. */
static bool step(struct slice pattern, unsigned char *reached, char c, bool any_case)
{
    bool is_alive = false;
    for (size_t i = pattern.size + 1; i-- > 0;) {
        char here = i < pattern.size ? pattern.data[i] : '\0';
        bool stays = reached[i] && (here == '*' || (here == '%' && c != '/'));
        char before = i > 0 ? pattern.data[i - 1] : '*';
        bool is_same = before == c || (any_case && ascii_lower(before) == ascii_lower(c));
        bool comes = i > 0 && reached[i - 1] && !is_wildcard(before) && is_same;
        reached[i] = stays || comes;
        is_alive = is_alive || reached[i];
    }
    for (size_t i = 0; i < pattern.size; i++)
        if (reached[i] && is_wildcard(pattern.data[i]))
            reached[i + 1] = 1; /* a wildcard may match nothing */
    return is_alive;
}

bool imap_pattern_matches(struct slice pattern, struct slice name)
{
    unsigned char reached[IMAP_PATTERN_BYTES_MAX + 1] = {0};
    size_t inbox = inbox_size(name);
    if (pattern.size > IMAP_PATTERN_BYTES_MAX)
        return false;
    reached[0] = 1;
    for (size_t i = 0; i < pattern.size && is_wildcard(pattern.data[i]); i++)
        reached[i + 1] = 1;
    for (size_t i = 0; i < name.size; i++)
        if (!step(pattern, reached, name.data[i], i < inbox))
            return false;
    return reached[pattern.size];
}
