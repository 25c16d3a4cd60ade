/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as the arguments of FETCH. What is taken has labels that are safe in an
 * answer and mean the same when they are asked for again; partials never leave their section.
 *
 * Built and run by tests/run.sh --suite fuzz.
 */
#include "../../src/imap/fetch.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Printable, one line, quotes closed. */
static void label_check(struct slice label)
{
    bool is_quoted = false;
    for (size_t i = 0; i < label.size; i++) {
        char c = label.data[i];
        require(c >= ' ' && c < 127);
        if (is_quoted && c == '\\')
            i++;
        else if (c == '"')
            is_quoted = !is_quoted;
    }
    require(!is_quoted && label.size > 0);
}

/* "1 BODY[...]<5>" asked for again, with a size. */
static void label_ask(struct slice label, struct arena *arena)
{
    struct text text;
    text_init(&text, arena);
    text_append(&text, SLICE("1 "));
    bool is_partial = label.data[label.size - 1] == '>';
    text_append(&text, slice_first(label, label.size - is_partial));
    if (is_partial)
        text_append(&text, SLICE(".1>"));
    struct fetch_arguments arguments = {0};
    require(!text.failed);
    require(imap_fetch_parse(text_slice(&text), arena, &arguments) == NULL);
    require(arguments.section_count == 1 && slice_equal(arguments.sections->label, label));
}

static void clip_check(const struct fetch_section *section)
{
    static const uint64_t sizes[] = {0, 1, 99, UINT32_MAX, INT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t offset = 1000, left = section_clip(section, &offset, sizes[i]);
        require(left <= sizes[i] && left <= section->size_max);
        require(left == 0 || (offset >= 1000 && offset - 1000 <= sizes[i] - left));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct fetch_arguments arguments = {0};
    char *copy = malloc(size + 1); /* ends where the input ends, for the address sanitizer */
    require(copy != NULL);
    memcpy(copy, data, size);
    arena_init(&arena, IMAP_ARENA_BYTES_MAX);
    const char *why = imap_fetch_parse(slice_of(copy, size), &arena, &arguments);
    unsigned count = 0;
    for (struct fetch_section *section = arguments.sections; why == NULL && section != NULL;
         section = section->next) {
        label_check(section->label);
        label_ask(section->label, &arena);
        clip_check(section);
        count++;
    }
    require(why != NULL ||
            (count == arguments.section_count && (count > 0 || arguments.attributes != 0)));
    arena_reset(&arena);
    free(copy);
    return 0;
}
