/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See words.h. Lists are short (a kilobyte), so they are searched from end to end.
 */
#include "ringpost/words.h"

struct slice words_next(struct slice *words)
{
    while (words->size > 0 && words->data[0] == ' ')
        *words = slice_from(*words, 1);
    struct slice word = slice_first(*words, slice_find(*words, ' '));
    *words = slice_from(*words, word.size);
    return word;
}

bool words_have(struct slice words, struct slice word)
{
    for (struct slice one; (one = words_next(&words)).size > 0;)
        if (slice_equal_nocase(one, word))
            return true;
    return false;
}

bool words_find(struct slice words, struct slice name, struct slice *ret_values)
{
    bool is_there = false;
    for (struct slice word; (word = words_next(&words)).size > 0;) {
        struct slice its_name = slice_first(word, slice_find(word, '='));
        if (!slice_equal_nocase(its_name, name))
            continue;
        is_there = true;
        if (its_name.size < word.size && ret_values != NULL) {
            *ret_values = slice_from(word, its_name.size + 1);
            return true;
        }
    }
    return is_there;
}

static bool has_value(struct slice values, struct slice value)
{
    while (values.size > 0) {
        struct slice one = slice_first(values, slice_find(values, ','));
        if (slice_equal_nocase(one, value))
            return true;
        values = slice_from(values, one.size + 1);
    }
    return false;
}

/* has_values: a word of that name with that value; else one of that name without any. */
static bool is_there(struct slice words, struct slice name, bool has_values, struct slice value)
{
    for (struct slice word; (word = words_next(&words)).size > 0;) {
        struct slice its_name = slice_first(word, slice_find(word, '='));
        if (slice_equal_nocase(its_name, name) && (its_name.size < word.size) == has_values &&
            (!has_values || has_value(slice_from(word, its_name.size + 1), value)))
            return true;
    }
    return false;
}

static size_t put(char *to, size_t size, char before, struct slice bytes)
{
    if (before != '\0')
        to[size++] = before;
    memmove(to + size, bytes.data, bytes.size);
    return size + bytes.size;
}

/* What is kept stood there with its blank, '=' and commas, so it never goes past what was read. */
size_t words_common(char *words, size_t size, struct slice others)
{
    struct slice rest = slice_of(words, size);
    size_t kept = 0;
    for (struct slice word; (word = words_next(&rest)).size > 0;) {
        struct slice name = slice_first(word, slice_find(word, '='));
        struct slice values = slice_from(word, name.size + 1);
        bool has_values = name.size < word.size, is_kept = false;
        if (!has_values && is_there(others, name, false, values))
            kept = put(words, kept, kept > 0 ? ' ' : '\0', name);
        while (values.size > 0) {
            struct slice value = slice_first(values, slice_find(values, ','));
            values = slice_from(values, value.size + 1);
            if (!is_there(others, name, true, value))
                continue;
            if (!is_kept) { /* the name goes with the first value that both have */
                kept = put(words, kept, kept > 0 ? ' ' : '\0', name);
                name = slice_of(words + kept - name.size, name.size);
            }
            kept = put(words, kept, is_kept ? ',' : '=', value);
            is_kept = true;
        }
    }
    return kept;
}

size_t words_without(char *words, size_t size, struct slice word)
{
    struct slice rest = slice_of(words, size);
    size_t kept = 0;
    for (struct slice one; (one = words_next(&rest)).size > 0;)
        if (!slice_equal_nocase(one, word))
            kept = put(words, kept, kept > 0 ? ' ' : '\0', one);
    return kept;
}
