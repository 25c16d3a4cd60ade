/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Following a conversation (follow.h). Of the client's bytes only the end of each piece is looked
 * at. Of a backend's, line ends are looked for (but for POP3, where messages are lines), and
 * literals, which are nearly all of the bytes where there are many, are counted off without a look.
 *
 * A line of the client's that is found at the end of a piece may be the text of a message: then
 * IDLE is not confirmed by the backend's "+", goodbye ends with the next piece, and opaque is the
 * careful side.
 */
#include "follow.h"

enum { ALL = (1 << BACKEND_PROTOCOL_COUNT) - 1, LITERAL_DIGITS_MAX = 19 };

void follow_begin(struct follow *follow, enum backend_protocol protocol)
{
    *follow = (struct follow){.protocol = (uint8_t)protocol};
}

/* ---------------------------------------------------------------- the client's */

enum word_effect { WORD_IDLE, WORD_QUIT, WORD_LEAVE, WORD_OPAQUE };

/* The last words of a line: behind a tag where there are tags. */
static const struct {
    struct slice text;
    unsigned protocols;
    enum word_effect effect;
} words[] = {
    {SLICE(" IDLE"), 1 << BACKEND_IMAP, WORD_IDLE},
    {SLICE(" LOGOUT"), 1 << BACKEND_IMAP, WORD_QUIT},
    {SLICE("LOGOUT"), 1 << BACKEND_SIEVE, WORD_QUIT},
    {SLICE("QUIT"), 1 << BACKEND_POP3 | 1 << BACKEND_SUBMISSION, WORD_QUIT},
    {SLICE(" UNAUTHENTICATE"), 1 << BACKEND_IMAP, WORD_LEAVE}, /* RFC 8437 */
    {SLICE("UNAUTHENTICATE"), 1 << BACKEND_SIEVE, WORD_LEAVE}, /* RFC 5804, section 2.14.1 */
    {SLICE("COMPRESS DEFLATE"), ALL, WORD_OPAQUE},
    {SLICE("STARTTLS"), ALL, WORD_OPAQUE},
    {SLICE("STLS"), ALL, WORD_OPAQUE},
};

/* Keeps the last max bytes of what was kept and what has come. */
static void keep_end(char *kept, uint8_t *size, size_t max, struct slice bytes)
{
    if (bytes.size >= max) {
        memcpy(kept, bytes.data + bytes.size - max, max);
        *size = (uint8_t)max;
        return;
    }
    size_t left = max - bytes.size < *size ? max - bytes.size : *size;
    memmove(kept, kept + *size - left, left);
    memcpy(kept + left, bytes.data, bytes.size);
    *size = (uint8_t)(left + bytes.size);
}

void follow_up(struct follow *follow, struct slice bytes)
{
    if (bytes.size == 0)
        return;
    follow->idle = FOLLOW_BUSY;
    follow->has_quit = follow->has_left = false;
    keep_end(follow->up, &follow->up_size, FOLLOW_UP_BYTES, bytes);
    struct slice line = slice_of(follow->up, follow->up_size);
    if (line.data[line.size - 1] != '\n')
        return;
    line.size--;
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct slice text = words[i].text;
        if (!(words[i].protocols >> follow->protocol & 1) || line.size < text.size ||
            !slice_equal_nocase(slice_from(line, line.size - text.size), text))
            continue;
        follow->idle = words[i].effect == WORD_IDLE ? FOLLOW_IDLE_ASKED : FOLLOW_BUSY;
        follow->has_quit = words[i].effect == WORD_QUIT;
        follow->has_left = words[i].effect == WORD_LEAVE;
        follow->is_opaque |= words[i].effect == WORD_OPAQUE;
        return;
    }
}

/* ---------------------------------------------------------------- the backend's */

static bool has_literals(const struct follow *follow)
{
    return follow->protocol == BACKEND_IMAP || follow->protocol == BACKEND_SIEVE;
}

static bool says_bye(const struct follow *follow)
{
    static const struct slice byes[BACKEND_PROTOCOL_COUNT] = {
        [BACKEND_IMAP] = SLICE("* BYE"),
        [BACKEND_SIEVE] = SLICE("BYE"),
        [BACKEND_SUBMISSION] = SLICE("421"),
    };
    struct slice word = byes[follow->protocol];
    return word.size > 0 && slice_starts_nocase(slice_of(follow->head, follow->head_size), word);
}

/* A text for people may end like a literal's size. Of ManageSieve it is a string. */
static bool is_text(const struct follow *follow)
{
    static const struct slice conditions[] = {SLICE("* OK "), SLICE("* NO "), SLICE("* BAD "),
                                              SLICE("* BYE ")};
    struct slice head = slice_of(follow->head, follow->head_size);
    if (follow->protocol == BACKEND_SIEVE || head.size == 0)
        return false;
    if (head.data[0] != '*')
        return true; /* tagged, or "+" */
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        if (slice_starts_nocase(head, conditions[i]))
            return true;
    return false;
}

/* Does the line, CRLF included, end in "{n}"? */
static bool ends_in_literal(struct slice line, uint64_t *ret_size)
{
    uint64_t size = 0, unit = 1;
    size_t at = line.size - 1, digits = 0;
    if (at > 0 && line.data[at - 1] == '\r')
        at--;
    if (at < 3 || line.data[at - 1] != '}')
        return false;
    at--;
    if (line.data[at - 1] == '+')
        at--;
    for (; at > 0 && line.data[at - 1] >= '0' && line.data[at - 1] <= '9'; at--, digits++) {
        if (digits == LITERAL_DIGITS_MAX)
            return false;
        size += (uint64_t)(line.data[at - 1] - '0') * unit;
        unit *= 10;
    }
    if (digits == 0 || at == 0 || line.data[at - 1] != '{')
        return false;
    *ret_size = size;
    return true;
}

static void begin_line(struct follow *follow, char first)
{
    follow->is_in_line = true;
    follow->head_size = follow->down_size = 0;
    if (follow->idle == FOLLOW_IDLE_ASKED && first == '+')
        follow->idle = FOLLOW_IDLE;
    else if (follow->idle == FOLLOW_IDLE && first != '*')
        follow->idle = FOLLOW_BUSY; /* the backend has ended it */
}

/* Up to the end of the line, which it is. */
static void end_line(struct follow *follow)
{
    uint64_t literal = 0;
    struct slice line = slice_of(follow->down, follow->down_size);
    if (has_literals(follow) && !is_text(follow) && ends_in_literal(line, &literal)) {
        follow->literal = literal;
        follow->down_size = 0; /* what follows the literal is the same line */
        return;
    }
    follow->is_in_line = false;
    follow->has_bye = says_bye(follow);
}

static void add_to_line(struct follow *follow, struct slice part)
{
    size_t room = FOLLOW_HEAD_BYTES - follow->head_size;
    struct slice head = slice_first(part, room);
    if (head.size > 0)
        memcpy(follow->head + follow->head_size, head.data, head.size);
    follow->head_size = (uint8_t)(follow->head_size + head.size);
    keep_end(follow->down, &follow->down_size, FOLLOW_DOWN_BYTES, part);
}

static void follow_lines(struct follow *follow, struct slice bytes)
{
    while (bytes.size > 0) {
        if (follow->literal > 0) {
            size_t size = bytes.size < follow->literal ? bytes.size : (size_t)follow->literal;
            follow->literal -= size;
            bytes = slice_from(bytes, size);
            continue;
        }
        if (!follow->is_in_line)
            begin_line(follow, bytes.data[0]);
        const char *end = memchr(bytes.data, '\n', bytes.size);
        size_t size = end == NULL ? bytes.size : (size_t)(end - bytes.data) + 1;
        add_to_line(follow, slice_first(bytes, size));
        if (end != NULL)
            end_line(follow);
        bytes = slice_from(bytes, size);
    }
}

void follow_down(struct follow *follow, struct slice bytes)
{
    if (bytes.size == 0 || follow->is_opaque)
        return;
    if (follow->protocol != BACKEND_POP3)
        follow_lines(follow, bytes);
}

bool follow_is_between_lines(const struct follow *follow)
{
    return !follow->is_in_line && !follow->is_opaque && follow->protocol != BACKEND_POP3;
}
