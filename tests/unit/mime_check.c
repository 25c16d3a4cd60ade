/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See mime_check.h.
 */
#include "mime_check.h"

enum { ARENA_BYTES = 1 << 29 };

void fixture_init(struct fixture *f)
{
    *f = (struct fixture){0};
    arena_init(&f->arena, ARENA_BYTES);
}

void assert_slice(struct slice actual, const char *expected)
{
    if (!slice_equal(actual, slice_cstr(expected)))
        fail_msg("got      %.*s\nexpected %s", (int)actual.size, actual.data, expected);
}

/* Brackets pair outside strings; literals hold what they say; no control outside them. */
static void check_text(struct slice text)
{
    int depth = 0;
    assert_true(text.size > 0 && text.data[0] == '(');
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        assert_true(c >= ' ' && c < 127);
        if (c == '(' || c == ')') {
            depth += c == '(' ? 1 : -1;
            assert_true(depth > 0 || i + 1 == text.size);
        } else if (c == '"') {
            for (i++; i < text.size && text.data[i] != '"'; i++) {
                i += text.data[i] == '\\';
                assert_true(i < text.size && text.data[i] > 0 && text.data[i] != '\r' &&
                            text.data[i] != '\n');
            }
        } else if (c == '{') {
            struct slice rest = slice_from(text, i + 1);
            uint64_t size = 0;
            size_t digits = slice_find(rest, '}');
            assert_true(slice_number(slice_first(rest, digits), text.size, &size));
            assert_memory_equal(rest.data + digits, "}\r\n", 3);
            assert_null(memchr(rest.data + digits + 3, '\0', size));
            i += digits + 3 + size;
        }
        assert_true(i < text.size);
    }
    assert_int_equal(depth, 0);
}

static void check_parts(const struct mime_summary *summary, size_t message_size)
{
    for (uint32_t i = 0; i < summary->part_count; i++) {
        struct mime_part part, parent;
        mime_summary_part(summary, i, &part);
        mime_summary_part(summary, part.parent, &parent);
        uint64_t end = (uint64_t)part.body_offset + part.body_size;
        assert_int_equal(part.header_offset + part.header_size, part.body_offset);
        if (i == 0) {
            assert_int_equal(end, message_size);
            continue;
        }
        assert_true(part.parent < i && part.header_offset >= parent.body_offset);
        assert_true(end <= (uint64_t)parent.body_offset + parent.body_size);
    }
}

void summarize(struct fixture *f, struct slice message)
{
    assert_int_equal(mime_summarize(message, &f->arena, &f->bytes), 0);
    assert_int_equal(mime_summary_open(f->bytes, &f->summary), 0);
    check_parts(&f->summary, message.size);
    check_text(f->summary.envelope);
    check_text(f->summary.body);
    check_text(f->summary.bodystructure);
}

struct text text_new(struct fixture *f)
{
    struct text text;
    text_init(&text, &f->arena);
    return text;
}

void repeat(struct text *text, const char *piece, size_t times)
{
    for (size_t i = 0; i < times; i++)
        text_append(text, slice_cstr(piece));
}
