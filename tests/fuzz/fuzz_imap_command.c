/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as one IMAP command, literals inline: announcements, tag and verb, the
 * parser of its row (of all rows, when the verb is of none). What is taken must make sense: names
 * have one spelling, flags are atoms, patterns are short.
 *
 * Built and run by tests/run.sh --suite fuzz.
 */
#include "../../src/imap/families.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool is_run(const struct command *command, void (*run)(struct session *, const void *))
{
    return command->run == run;
}

/* A UTF-8 name that goes out and comes in again as the same. */
static void name_check(struct slice name, struct arena *arena)
{
    struct text wire, again;
    require(slice_is_utf8(name));
    text_init(&wire, arena);
    text_init(&again, arena);
    imap_utf7_encode(name, &wire);
    require(imap_utf7_decode(text_slice(&wire), &again));
    require(slice_equal(text_slice(&again), name));
    struct text out;
    struct slice back;
    text_init(&out, arena);
    imap_text_mailbox(&out, name);
    struct imap_cursor cursor = imap_cursor_of(text_slice(&out));
    require(imap_take_astring(&cursor, arena, &back) && imap_at_end(&cursor));
    require(slice_equal(back, text_slice(&wire)));
}

static void set_check(const struct imap_set *set)
{
    require(set->count > 0 && set->ranges != NULL);
}

static void flags_check(const struct imap_flags *flags)
{
    require(flags->keyword_count <= IMAP_FLAGS_MAX);
    for (uint32_t i = 0; i < flags->keyword_count; i++)
        for (size_t j = 0; j < flags->keywords[i].size; j++)
            require(imap_is_atom_char(flags->keywords[i].data[j]));
}

static void list_check(const struct imap_list_arguments *list)
{
    require(list->pattern_count > 0);
    require(list->pattern_bytes <= IMAP_PATTERN_BYTES_MAX);
    for (uint32_t i = 0; i < list->pattern_count; i++) {
        const struct imap_pattern *pattern = &list->patterns[i];
        require(pattern->count <= list->pattern_bytes);
        bool is_inbox = imap_pattern_matches(pattern, SLICE("INBOX"));
        require(!is_inbox || imap_pattern_matches(pattern, SLICE("iNBOX")));
        imap_pattern_matches(pattern, SLICE("a/b/INBOX/%*/&AAA-"));
    }
}

static void append_check(const struct imap_append_arguments *append, struct arena *arena)
{
    name_check(append->mailbox, arena);
    flags_check(&append->flags);
    if (append->has_date) {
        struct text text;
        int64_t seconds;
        int16_t zone;
        text_init(&text, arena);
        imap_text_date_time(&text, append->date, append->date_zone);
        struct imap_cursor cursor = imap_cursor_of(text_slice(&text));
        bool is_read = imap_take_date_time(&cursor, &seconds, &zone);
        /* years 1 to 9999 in the middle of their first and last day may not come back */
        require(is_read || append->date < INT64_C(-62100000000) ||
                append->date > INT64_C(253402000000));
    }
}

static void command_check(const struct command *command, struct slice text)
{
    struct arena arena;
    arena_init(&arena, 64 << 20);
    void *arguments = arena_zalloc(&arena, 1, command->arguments_size);
    require(arguments != NULL);
    if (command->parse(text, &arena, arguments) == NULL) {
        if (is_run(command, imap_append_run))
            append_check(arguments, &arena);
        else if (is_run(command, imap_store_run) || is_run(command, imap_uid_store_run)) {
            const struct imap_store_arguments *store = arguments;
            set_check(&store->set);
            flags_check(&store->flags);
        } else if (is_run(command, imap_copy_run)) {
            const struct imap_copy_arguments *copy = arguments;
            set_check(&copy->set);
            name_check(copy->mailbox, &arena);
        } else if (is_run(command, imap_list_run) || is_run(command, imap_lsub_run)) {
            list_check(arguments);
        } else if (is_run(command, imap_select_run)) {
            const struct imap_select_arguments *select = arguments;
            name_check(select->mailbox, &arena);
        } else if (is_run(command, imap_rename_run)) {
            const struct imap_mailbox_arguments *rename = arguments;
            name_check(rename->mailbox, &arena);
            name_check(rename->other, &arena);
        }
    }
    arena_reset(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct imap_literal literal;
    struct command_line line;
    if (imap_literal_announced(text, &literal) == IMAP_ANNOUNCED) {
        require(literal.offset + literal.length == size && literal.length >= 3);
        require(data[literal.offset] == (literal.is_binary ? '~' : '{'));
    }
    bool is_known = false;
    if (imap_line_split(text, &line) == NULL) {
        require(line.tag.size > 0 && line.tag.size <= IMAP_TAG_BYTES_MAX && line.verb.size > 0);
        for (unsigned i = 0; i < imap_command_count && !is_known; i++) {
            is_known = slice_equal_nocase(line.verb, slice_cstr(imap_commands[i].name));
            if (is_known)
                command_check(&imap_commands[i], line.arguments);
        }
    }
    for (unsigned i = 0; i < imap_command_count && !is_known; i++)
        command_check(&imap_commands[i], text);
    return 0;
}
