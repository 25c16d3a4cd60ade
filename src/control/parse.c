/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Arguments of control commands: words between blanks. Names are not looked up here. Pure.
 */
#include "control_private.h"

enum { WORDS_MAX = 4 };

struct words {
    struct slice word[WORDS_MAX];
    unsigned count; /* WORDS_MAX: so many or more */
};

static struct words split(struct slice text)
{
    struct words words = {.count = 0};
    while (words.count < WORDS_MAX) {
        while (text.size > 0 && text.data[0] == ' ')
            text = slice_from(text, 1);
        if (text.size == 0)
            break;
        struct slice word = slice_first(text, slice_find(text, ' '));
        words.word[words.count++] = word;
        text = slice_from(text, word.size);
    }
    return words;
}

static const char *take_name(struct slice word, struct control_arguments *arguments)
{
    if (word.size > CONTROL_QUALIFIED_BYTES_MAX)
        return "no backend has so long a name";
    arguments->name = word;
    return NULL;
}

static const char *take_user(struct slice word, struct arena *arena,
                             struct control_arguments *arguments)
{
    if (word.size > AUTH_USER_BYTES_MAX)
        return "no user has so long a name";
    char *lower = arena_alloc(arena, word.size);
    if (lower == NULL)
        return "out of memory";
    for (size_t i = 0; i < word.size; i++)
        lower[i] = ascii_lower(word.data[i]);
    arguments->user = slice_of(lower, word.size);
    return NULL;
}

static const char *take_seconds(struct slice word, uint64_t ms_max, const char *why,
                                struct control_arguments *arguments)
{
    uint64_t seconds;
    if (!slice_number(word, ms_max / 1000, &seconds))
        return why;
    arguments->ms = seconds * 1000;
    return NULL;
}

static const char why_delay[] = "the delay is seconds, 50 at most";
static_assert(CONTROL_DELAY_MS_MAX == 50000, "why_delay");
static const char why_hold[] = "the delay is seconds, 60 at most";
static_assert(BACKEND_HOLD_MS_MAX == 60000, "why_hold");
static const char why_spread[] = "the spread is seconds, 3600 at most";
static_assert(CONTROL_SPREAD_MS_MAX == 3600000, "why_spread");

const char *control_parse_none(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena;
    (void)ret_arguments;
    return split(text).count == 0 ? NULL : "no arguments here";
}

const char *control_parse_name(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena;
    struct words words = split(text);
    return words.count == 1 ? take_name(words.word[0], ret_arguments) : "name one backend";
}

const char *control_parse_down(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena;
    struct control_arguments *arguments = ret_arguments;
    struct words words = split(text);
    arguments->ms = CONTROL_UNSET;
    if (words.count != 1 && words.count != 2)
        return "name one backend";
    const char *why = take_name(words.word[0], arguments);
    if (why == NULL && words.count == 2)
        why = take_seconds(words.word[1], CONTROL_SPREAD_MS_MAX, why_spread, arguments);
    return why;
}

const char *control_parse_sessions(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct control_arguments *arguments = ret_arguments;
    struct words words = split(text);
    unsigned users = words.count;
    if (words.count > 2)
        return "a user and a limit at most";
    if (words.count > 0 &&
        slice_number(words.word[words.count - 1], UINT32_MAX, &arguments->limit)) {
        users--;
        if (arguments->limit == 0)
            return "the limit is 1 at least";
    }
    if (users > 1)
        return "the limit is a number";
    return users == 0 ? NULL : take_user(words.word[0], arena, arguments);
}

/* A session's id as the log has it: hexadecimal digits, 16 at most. */
static bool is_id(struct slice word, uint64_t *ret_id)
{
    uint64_t id = 0;
    if (word.size == 0 || word.size > 16)
        return false;
    for (size_t i = 0; i < word.size; i++) {
        char c = ascii_lower(word.data[i]);
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        id = id << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *ret_id = id;
    return true;
}

const char *control_parse_kick(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct control_arguments *arguments = ret_arguments;
    struct words words = split(text);
    if (words.count != 1)
        return "name one user, or one session by its id";
    if (is_id(words.word[0], &arguments->id))
        return NULL;
    return take_user(words.word[0], arena, arguments);
}

const char *control_parse_user(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct words words = split(text);
    return words.count == 1 ? take_user(words.word[0], arena, ret_arguments) : "name one user";
}

const char *control_parse_move(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct control_arguments *arguments = ret_arguments;
    struct words words = split(text);
    arguments->ms = CONTROL_UNSET;
    if (words.count != 2 && words.count != 3)
        return "name one user and one backend";
    const char *why = take_user(words.word[0], arena, arguments);
    if (why == NULL)
        why = take_name(words.word[1], arguments);
    if (why == NULL && words.count == 3)
        why = take_seconds(words.word[2], CONTROL_DELAY_MS_MAX, why_delay, arguments);
    return why;
}

const char *control_parse_delay(struct slice text, struct arena *arena, void *ret_arguments)
{
    struct control_arguments *arguments = ret_arguments;
    struct words words = split(text);
    if (words.count != 2)
        return "name one user and the seconds";
    const char *why = take_user(words.word[0], arena, arguments);
    return why == NULL ? take_seconds(words.word[1], BACKEND_HOLD_MS_MAX, why_hold, arguments)
                       : why;
}
