/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * LIST patterns (RFC 9051 6.3.9): "*" matches anything, "%" anything within one level.
 *
 * A pattern is a row of literal bytes, and before, between and behind them at most one wildcard
 * each: "a*b%" is the literals a, b with "*" behind one, "%" behind two. Bit i of `reached` says
 * that the first i literals can have matched what was read of the name; one byte of the name moves
 * all of them at once. So a name costs its length times a 64th of the pattern's, whatever the
 * wildcards (row I09).
 */
#include "families.h"

static bool is_wildcard(char c)
{
    return c == '*' || c == '%';
}

static void bit_set(uint64_t *bits, uint32_t bit)
{
    bits[bit / 64] |= UINT64_C(1) << bit % 64;
}

bool imap_pattern_compile(struct slice text, struct arena *arena, struct imap_pattern *ret_pattern)
{
    struct imap_pattern pattern = {.words = (uint32_t)(text.size / 64 + 1)};
    uint32_t bytes = 0;
    bool is_used[256] = {false};
    for (size_t i = 0; i < text.size; i++)
        if (!is_wildcard(text.data[i]) && !is_used[(unsigned char)text.data[i]]) {
            is_used[(unsigned char)text.data[i]] = true;
            bytes++;
        }
    pattern.star = arena_zalloc(arena, (bytes + 2) * (size_t)pattern.words, sizeof(uint64_t));
    pattern.literals = arena_zalloc(arena, 256, sizeof *pattern.literals);
    if (pattern.star == NULL || pattern.literals == NULL)
        return false;
    pattern.percent = pattern.star + pattern.words;
    uint64_t *next = pattern.percent + pattern.words;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '*') {
            bit_set(pattern.star, pattern.count);
        } else if (c == '%') {
            bit_set(pattern.percent, pattern.count);
        } else {
            if (pattern.literals[c] == NULL) {
                pattern.literals[c] = next;
                next += pattern.words;
            }
            bit_set(pattern.literals[c], pattern.count++);
        }
    }
    *ret_pattern = pattern;
    return true;
}

/* One byte of the name. False: nothing is reached any more. */
static bool step(const struct imap_pattern *pattern, uint64_t *reached, char c, bool any_case)
{
    char alike = !any_case ? c : ascii_lower(c) != c ? ascii_lower(c) : ascii_upper(c);
    const uint64_t *same = pattern->literals[(unsigned char)c];
    const uint64_t *other = alike != c ? pattern->literals[(unsigned char)alike] : NULL;
    uint64_t carry = 0, alive = 0;
    for (uint32_t i = 0; i < pattern->words; i++) {
        uint64_t was = reached[i], literal = 0;
        if (same != NULL)
            literal = was & same[i];
        if (other != NULL)
            literal |= was & other[i];
        uint64_t stays =
            was & (c == '/' ? pattern->star[i] : pattern->star[i] | pattern->percent[i]);
        reached[i] = literal << 1 | carry | stays;
        carry = literal >> 63;
        alive |= reached[i];
    }
    return alive != 0;
}

bool imap_pattern_matches(const struct imap_pattern *pattern, struct slice name)
{
    uint64_t reached[IMAP_PATTERN_BYTES_MAX / 64 + 1] = {1};
    assert(pattern->words <= IMAP_PATTERN_BYTES_MAX / 64 + 1 && "imap_list_parse bounds patterns");
    bool is_inbox =
        slice_starts_nocase(name, SLICE("INBOX")) && (name.size == 5 || name.data[5] == '/');
    for (size_t i = 0; i < name.size; i++)
        if (!step(pattern, reached, name.data[i], is_inbox && i < 5))
            return false;
    return reached[pattern->count / 64] >> pattern->count % 64 & 1;
}
