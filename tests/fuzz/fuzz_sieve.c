/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as a line of ManageSieve, as a string and as arguments. A string that is
 * taken lies in the text or is shorter than it, and has the same reading when it is written again,
 * quoted and as a literal; a line that announces a literal ends in its announcement, and its
 * announcement and so many bytes are a string.
 */
#include "../../src/sieve/sieve_private.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool take(struct slice text, struct arena *arena, struct slice *ret_string, size_t *ret_size)
{
    struct sieve_cursor cursor = {text.data, text.data + text.size};
    bool is_taken = sieve_take_string(&cursor, arena, ret_string);
    require(cursor.at >= text.data && cursor.at <= cursor.end);
    require(is_taken == (cursor.at > text.data));
    *ret_size = (size_t)(cursor.at - text.data);
    return is_taken;
}

/* In `to`, quoted. The size. */
static size_t quote(struct slice string, char *to)
{
    size_t size = 0;
    to[size++] = '"';
    for (size_t i = 0; i < string.size; i++) {
        if (string.data[i] == '"' || string.data[i] == '\\')
            to[size++] = '\\';
        to[size++] = string.data[i];
    }
    to[size++] = '"';
    return size;
}

static void string_again(struct slice string, bool is_quoted, struct arena *arena)
{
    char *text = malloc(string.size * 2 + 40);
    struct slice again;
    size_t size, used;
    require(text != NULL);
    if (is_quoted) {
        size = quote(string, text);
        require(take(slice_of(text, size), arena, &again, &used));
        require(used == size && slice_equal(again, string));
    }
    size = (size_t)sprintf(text, "{%zu+}", string.size);
    uint64_t announced;
    require(sieve_scan(slice_of(text, size), &announced) == SIEVE_LINE_LITERAL);
    require(announced == string.size);
    memcpy(text + size, "\r\n", 2);
    if (string.size > 0)
        memcpy(text + size + 2, string.data, string.size);
    require(take(slice_of(text, size + 2 + string.size), arena, &again, &used));
    require(used == size + 2 + string.size && slice_equal(again, string));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct slice text = slice_of(data, size), string = {0};
    struct sieve_authenticate_arguments authenticate = {0};
    struct sieve_noop_arguments noop = {0};
    size_t used;
    arena_init(&arena, 1 << 20);
    if (take(text, &arena, &string, &used)) {
        require(string.size + 2 <= used);
        string_again(string, text.data[0] == '"', &arena);
    }
    struct slice line = slice_first(text, slice_find(text, '\n'));
    uint64_t announced = 0;
    if (sieve_scan(line, &announced) == SIEVE_LINE_LITERAL) {
        require(line.size >= 4 && line.data[line.size - 1] == '}');
        require(announced <= UINT32_MAX);
    }
    if (sieve_parse_authenticate(text, &arena, &authenticate) == NULL)
        require(authenticate.mechanism.data != NULL);
    (void)sieve_parse_noop(text, &arena, &noop);
    arena_reset(&arena);
    return 0;
}
