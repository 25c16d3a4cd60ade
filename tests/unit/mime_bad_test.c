/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The hostile rows (M) of the list of bad input: each must give a sound summary of bounded size, in
 * linear time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mime_check.h"

enum { OUTPUT_MAX = 2 << 20, HELD_MAX = 8 << 20 }; /* what any summary, and making it, may take */

static void finish(struct fixture *f, const struct text *message)
{
    assert_false(message->failed);
    struct fixture run;
    fixture_init(&run);
    arena_init(&run.arena, HELD_MAX);
    summarize(&run, text_slice(message));
    assert_true(run.bytes.size <= OUTPUT_MAX);
    assert_true(run.summary.part_count <= MIME_PARTS_MAX);
    arena_reset(&run.arena);
    arena_reset(&f->arena);
}

/* `head`, `piece` times `count`, `tail` as a message. */
static void hostile(const char *head, const char *piece, size_t count, const char *tail)
{
    struct fixture f;
    fixture_init(&f);
    struct text message = text_new(&f);
    repeat(&message, head, 1);
    repeat(&message, piece, count);
    repeat(&message, tail, 1);
    finish(&f, &message);
}

/* M01 */
static void test_m01_many_addresses(void **state)
{
    (void)state;
    hostile("", "From: a@b\r\n", 100000, "\r\n");
    hostile("", "Cc: a@b\r\n ,\"\r\n", 500000, "\r\n");
    hostile("From: ", "a@b,\r\n ", 500000, "\r\n\r\n");
    hostile("To: ", "g:;", 500000, "\r\n\r\n");
    hostile("To: ", "g:a,", 500000, "\r\n\r\n");
    hostile("To: ", ",", 500000, "\r\n\r\n");
    hostile("To: <", "@a,", 500000, "\r\n\r\n");
}

static void test_m01_addresses_are_counted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct text message = text_new(&f);
    repeat(&message, "To: a@b, ", 1);
    repeat(&message, "a@b,", 5000);
    repeat(&message, "\r\n\r\n", 1);
    summarize(&f, text_slice(&message));
    size_t entries = 0;
    for (size_t i = 0; i < f.summary.envelope.size; i++)
        entries += f.summary.envelope.data[i] == '@' || f.summary.envelope.data[i] == 'a';
    assert_int_equal(entries, MIME_ADDRESSES_MAX);
    arena_reset(&f.arena);
}

static void test_m01_groups_are_counted(void **state)
{
    (void)state;
    static const char *const pieces[] = {"g:;", "g:a;", "g:a,a,"};
    for (size_t row = 0; row < sizeof pieces / sizeof pieces[0]; row++) {
        struct fixture f;
        fixture_init(&f);
        struct text message = text_new(&f);
        repeat(&message, "To: a,", 1);
        repeat(&message, pieces[row], 5000);
        repeat(&message, "\r\n\r\n", 1);
        summarize(&f, text_slice(&message));
        size_t opened = 0, groups = 0, ends = 0;
        for (size_t i = 0; i + 6 < f.summary.envelope.size; i++) {
            const char *at = f.summary.envelope.data + i;
            opened += *at == '(';
            groups += memcmp(at, "\"g\" NIL", 7) == 0;
            ends += memcmp(at, "NIL)", 4) == 0 && memcmp(at - 4, "NIL ", 4) == 0;
        }
        assert_int_equal(groups, ends);
        assert_true(opened - 2 <= MIME_ADDRESSES_MAX && opened - 2 >= MIME_ADDRESSES_MAX - 2);
        arena_reset(&f.arena);
    }
}

/* M02 */
static void test_m02_large_headers(void **state)
{
    (void)state;
    hostile("Subject: ", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 1 << 20, "\r\n\r\n");
    hostile("", "X: y\r\n", 1000000, "\r\n");
    hostile("", "xxxxxxxxxxxxxxxx", 1 << 16, ": y\r\n\r\n");
    hostile("Subject: x", "\r\n y", 1000000, "\r\n\r\n");
    hostile("Subject: ", "\"", 1000000, "\r\n\r\n");
    hostile("Content-Type: ", "(", 1000000, "\r\n\r\n");
}

/* M03 */
static void test_m03_many_parameters(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct text message = text_new(&f);
    repeat(&message, "Content-Type: a/b", 1);
    for (int i = 100000; i-- > 0;)
        text_printf(&message, ";a*%d*=%%41", i % 3 ? i : 100000 - i);
    repeat(&message, "\r\n\r\n", 1);
    finish(&f, &message);
    hostile("Content-Type: a/b", "; a*0=x; b*0=y; a*1*=z", 100000, "\r\n\r\n");
    hostile("Content-Disposition: a", ";=;;a=\"", 100000, "\r\n\r\n");
}

static void nest(const char *piece, size_t depth)
{
    hostile("", piece, depth, "");
}

/* M04 */
static void test_m04_deep_nesting(void **state)
{
    (void)state;
    static const size_t depths[] = {10, 63, 64, 65, 101, 10000, 1000000};
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        nest("Content-Type: message/rfc822\r\n\r\n", depths[i]);
        nest("Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n", depths[i]);
        nest("Content-Type: multipart/digest; boundary=a\r\n\r\n--a\r\n\r\n", depths[i]);
    }
    struct fixture f;
    fixture_init(&f);
    struct text message = text_new(&f);
    for (int i = 0; i < 20000; i++)
        text_printf(&message, "Content-Type: multipart/x; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
    for (int i = 20000; i-- > 0;)
        text_printf(&message, "\r\n--b%d--\r\n", i);
    finish(&f, &message);
}

/* M05 */
static void test_m05_boundaries(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct text message = text_new(&f);
    repeat(&message, "Content-Type: multipart/mixed; boundary=", 1);
    repeat(&message, "bbbbbbbbbb", 1024);
    repeat(&message, "\r\n\r\n--", 1);
    repeat(&message, "bbbbbbbbbb", 1024);
    repeat(&message, "\r\n\r\nx", 1);
    summarize(&f, text_slice(&message));
    assert_int_equal(f.summary.part_count, 2);
    arena_reset(&f.arena);
    hostile("Content-Type: multipart/mixed; boundary=a\r\n\r\n", "--a-\r\n--aa\r\n--a--\r\n--a\r\n",
            10000, "");
    hostile("Content-Type: multipart/mixed; boundary=\"a--\"\r\n\r\n--a--\r\n"
            "Content-Type: multipart/mixed; boundary=a\r\n\r\n",
            "--a\r\n\r\n--a--\r\n--a----\r\n", 10000, "");
}

/* M06 */
static void test_m06_million_empty_parts(void **state)
{
    (void)state;
    hostile("Content-Type: multipart/mixed; boundary=a\r\n\r\n", "--a\r\n", 1000000, "--a--\r\n");
    hostile("Content-Type: multipart/digest; boundary=a\r\n\r\n", "--a\r\n\r\nFrom: a,a,a\r\n\r\n",
            100000, "");
}

/* M07 */
static void test_m07_unterminated(void **state)
{
    (void)state;
    hostile("From: a@b ", "(", 1000000, "\r\n\r\n");
    hostile("From: ", "(a@b, ", 100000, "\\");
    hostile("From: \"", "x", 1000, "\\");
    hostile("From: x (", "y", 1000, "\\");
    hostile("Content-Type: text/plain; a=\"", "x", 1000, "\\");
    hostile("Content-Type: text/plain; (", "\\", 1001, "");
    hostile("Content-Type: text/plain; a*0", "*", 1000, "");
}

/* M08 */
static void test_m08_broken_addresses(void **state)
{
    (void)state;
    static const char *const pieces[] = {"<",      ">",  "\"",  ":",   ";",  "@",
                                         "a@b@c,", "<@", "<@:", "g:<", "\\", "()"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        hostile("From: x", pieces[i], 100000, "\r\n\r\n");
}

/* M10 */
static void test_m10_decoders_survive_cuts(void **state)
{
    (void)state;
    static const char quoted[] = "=C3=A9=\r\n= \t\r\n \r\n====3", base64[] = "w6nD\r\nqQ==w6k=";
    struct fixture f;
    fixture_init(&f);
    for (size_t size = 0; size < sizeof quoted; size++) {
        char *copy = malloc(size + 1);
        struct text out = text_new(&f);
        assert_non_null(copy);
        memcpy(copy, quoted, size);
        mime_decode_transfer(slice_of(copy, size), MIME_QUOTED_PRINTABLE, &out);
        memcpy(copy, base64, size < sizeof base64 ? size : sizeof base64);
        mime_decode_transfer(slice_of(copy, size), MIME_BASE64, &out);
        assert_true(out.size <= 2 * size);
        free(copy);
    }
    arena_reset(&f.arena);
}

/* M11 */
static void test_m11_many_words(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "=?utf-8?q?x?= ",     "=?", "=?a?q?", "=?utf-8?b?", "=?koi8-r?q?=C1?=",
        "=?utf-8?q?=0D=0A?=", "?=", "="};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct text value = text_new(&f), out = text_new(&f);
        repeat(&value, pieces[i], 100000);
        mime_decode_words(text_slice(&value), &out);
        assert_false(out.failed);
        assert_true(out.size <= value.size);
        assert_true(out.size == 0 || memchr(out.data, '\n', out.size) == NULL);
        arena_reset(&f.arena);
    }
}

/* M12 */
static void test_m12_odd_shapes(void **state)
{
    (void)state;
    static const struct {
        struct slice message;
        uint32_t header_size, body_lines;
    } rows[] = {
        {SLICE(""), 0, 0},
        {SLICE("\r\n"), 2, 0},
        {SLICE("A: b\r\n"), 6, 0},
        {SLICE("A: b"), 4, 0},
        {SLICE("\r\nx"), 2, 1},
        {SLICE("body only"), 9, 0},
        {SLICE("\0\0\0\r\n\r\n\0"), 7, 1},
        {SLICE("A: b\r\r\n\r\nx"), 9, 1},
        {SLICE("\nx\ny\n"), 1, 2},
        {SLICE("Subject: a\0b\r\nFrom: \0@\0\r\n\r\n"), 27, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct mime_part part;
        summarize(&f, rows[i].message);
        mime_summary_part(&f.summary, 0, &part);
        if (part.header_size != rows[i].header_size || part.body_lines != rows[i].body_lines)
            fail_msg("row %zu: header %u, lines %u", i, part.header_size, part.body_lines);
        arena_reset(&f.arena);
    }
    hostile("\r\n", "xxxxxxxxxxxxxxxx", 1 << 22, "");
}

/* M15 */
static void test_m15_name_over_lines(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    summarize(
        &f, SLICE("Content-Type: a/b\r\nContent-Disposition: attachment;\r\n filename*0=\"evil.\r\n"
                  " e\";\r\n filename*1=\"xe\"\r\n\r\n"));
    assert_slice(f.summary.bodystructure, "(\"a\" \"b\" NIL NIL NIL \"7bit\" 0 NIL (\"attachment\" "
                                          "(\"filename\" \"evil. exe\")) NIL NIL)");
    arena_reset(&f.arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_m01_many_addresses),
        cmocka_unit_test(test_m01_addresses_are_counted),
        cmocka_unit_test(test_m01_groups_are_counted),
        cmocka_unit_test(test_m02_large_headers),
        cmocka_unit_test(test_m03_many_parameters),
        cmocka_unit_test(test_m04_deep_nesting),
        cmocka_unit_test(test_m05_boundaries),
        cmocka_unit_test(test_m06_million_empty_parts),
        cmocka_unit_test(test_m07_unterminated),
        cmocka_unit_test(test_m08_broken_addresses),
        cmocka_unit_test(test_m10_decoders_survive_cuts),
        cmocka_unit_test(test_m11_many_words),
        cmocka_unit_test(test_m12_odd_shapes),
        cmocka_unit_test(test_m15_name_over_lines),
    };
    alarm(TIME_MAX_SECONDS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
