/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: what an operator and his files may say. The arguments of each command of the control
 * protocol are parsed, within their bounds; a file of exceptions gives the same lines in whatever
 * pieces it comes, and what is taken from it may be written back as it is.
 */
#include <stdlib.h>

#include "../../src/control/control_private.h"
#include "../../src/control/exception_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void parse_arguments(struct slice text)
{
    static const char *(*const parsers[])(struct slice, struct arena *, void *) = {
        control_parse_none, control_parse_name, control_parse_down, control_parse_sessions,
        control_parse_kick, control_parse_user, control_parse_move, control_parse_delay,
    };
    for (size_t i = 0; i < sizeof parsers / sizeof *parsers; i++) {
        struct control_arguments arguments = {.ms = CONTROL_UNSET};
        struct arena arena;
        arena_init(&arena, CONTROL_COMMAND_BYTES);
        if (parsers[i](text, &arena, &arguments) == NULL) {
            require(arguments.name.size <= CONTROL_QUALIFIED_BYTES_MAX);
            require(arguments.user.size <= AUTH_USER_BYTES_MAX);
            require(arguments.ms == CONTROL_UNSET || arguments.ms <= CONTROL_SPREAD_MS_MAX);
            require(slice_find(arguments.user, ' ') == arguments.user.size);
            require(slice_find(arguments.name, ' ') == arguments.name.size);
        }
        arena_reset(&arena);
    }
}

/* What the lines of a file come to, as one number, and a set. */
struct read {
    uint64_t sum;
    unsigned mistakes;
    struct exception_set set;
};

static bool take_line(void *argument, unsigned number, struct slice line)
{
    struct read *read = argument;
    struct slice user = SLICE(""), backend = SLICE("");
    const char *why = line.data == NULL ? "too long" : exception_line_parse(line, &user, &backend);
    read->mistakes += why != NULL;
    read->sum = hash_u64(read->sum ^ number) + (why != NULL);
    if (why != NULL || user.size == 0)
        return true;
    require(exception_user_check(user) == NULL && exception_backend_check(backend) == NULL);
    require(exception_set_put(&read->set, user, backend) == 0);
    require(slice_equal(exception_set_find(&read->set, user), backend));
    read->sum = hash_u64(read->sum ^ hash_stable(user.data, user.size)) ^
                hash_stable(backend.data, backend.size);
    return true;
}

static void read_file(struct slice text, size_t piece, struct read *read)
{
    struct exception_lines lines = {.each = take_line, .argument = read};
    *read = (struct read){.sum = 1};
    exception_set_init(&read->set, &(struct hash_key){1, 2});
    for (; text.size > 0; text = slice_from(text, piece))
        require(exception_lines_feed(&lines, slice_first(text, piece), false));
    require(exception_lines_feed(&lines, SLICE(""), true));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size), path;
    struct exception_redis_address address;
    struct read whole, pieces;
    if (size > CONTROL_LINE_BYTES_MAX * 4)
        return 0;
    parse_arguments(slice_first(text, CONTROL_LINE_BYTES_MAX));
    if (exception_redis_parse(text, &address) == NULL)
        require(strlen(address.host) > 0 && address.port > 0 && address.port <= 65535);
    (void)exception_place_check(text, &path);
    read_file(text, size + 1, &whole);
    read_file(text, size > 0 ? data[0] % 7 + 1 : 1, &pieces);
    require(whole.sum == pieces.sum && whole.mistakes == pieces.mistakes);
    require(whole.set.live == pieces.set.live);
    exception_set_free(&whole.set);
    exception_set_free(&pieces.set);
    return 0;
}
