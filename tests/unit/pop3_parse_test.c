/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The pure parts of POP3: arguments, dot-stuffing, where TOP cuts. What is encoded is decoded again
 * by two clients that read RFC 1939 differently: one that ends lines at CRLF, one that does at LF.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../src/pop3/pop3_private.h"
#include "ringpost/dot.h"

/* ---------------------------------------------------------------- arguments */

static bool number_is(const char *text, uint32_t want)
{
    struct pop3_arguments arguments = {0};
    const char *why = pop3_parse_number(slice_cstr(text), NULL, &arguments);
    return why == NULL ? arguments.number == want : want == 0;
}

/* P01 */
static void arguments(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "0",
                                      "00",
                                      "-1",
                                      "+1",
                                      "4294967296",
                                      "4294967297",
                                      "1 2",
                                      "1a",
                                      " 1",
                                      "0x1",
                                      "1.0",
                                      "99999999999999999999999",
                                      "\xd9\xa1",
                                      "1\t"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_true(number_is(bad[i], 0));
    assert_true(number_is("1", 1));
    assert_true(number_is("0000000017", 17));
    assert_true(number_is("4294967295", UINT32_MAX));
    assert_true(number_is("1  ", 1));

    struct pop3_arguments given = {0};
    assert_null(pop3_parse_maybe_number(SLICE(""), NULL, &given));
    assert_int_equal(given.number, 0);
    assert_null(pop3_parse_maybe_number(SLICE("7"), NULL, &given));
    assert_int_equal(given.number, 7);
    assert_non_null(pop3_parse_maybe_number(SLICE("0"), NULL, &given));
    assert_non_null(pop3_parse_maybe_number(SLICE("99999999999"), NULL, &given));

    static const char *const bad_tops[] = {"",    "1",     "1 -1", "0 1", "1 4294967295",
                                           "a 1", "1 1 1", "1 1x", "1 ",  " 1 1"};
    for (size_t i = 0; i < sizeof bad_tops / sizeof bad_tops[0]; i++)
        assert_non_null(pop3_parse_top(slice_cstr(bad_tops[i]), NULL, &given));
    assert_null(pop3_parse_top(SLICE("3  0"), NULL, &given));
    assert_int_equal(given.number, 3);
    assert_int_equal(given.lines, 0);
    assert_null(pop3_parse_top(SLICE("1 2147483647"), NULL, &given));
    assert_int_equal(given.lines, INT32_MAX);
    assert_null(pop3_parse_none(SLICE("  "), NULL, &given));
    assert_non_null(pop3_parse_none(SLICE("x"), NULL, &given));
}

/* ---------------------------------------------------------------- dots */

struct buffer {
    char data[4096];
    size_t size;
};

static void add(struct buffer *buffer, struct slice bytes)
{
    assert_true(sizeof buffer->data - buffer->size >= bytes.size);
    if (bytes.size > 0)
        memcpy(buffer->data + buffer->size, bytes.data, bytes.size);
    buffer->size += bytes.size;
}

/* Encodes in two pieces, cut at `split`. */
static void encode(struct slice message, size_t split, struct buffer *ret_out)
{
    struct dot_encoder dots = {0};
    ret_out->size = 0;
    for (int part = 0; part < 2; part++) {
        struct slice rest = part ? slice_from(message, split) : slice_first(message, split);
        size_t run = dot_encode(&dots, rest);
        for (;;) {
            add(ret_out, slice_first(rest, run));
            rest = slice_from(rest, run);
            if (rest.size == 0)
                break;
            add(ret_out, SLICE("."));
            run = dot_encode_on(&dots, rest);
            assert_true(run > 0);
        }
    }
    add(ret_out, dot_encode_end(&dots));
}

/* What a client sees that ends lines at `end`; whole if nothing is left behind the last line. */
static bool decode(const struct buffer *in, struct slice end, struct buffer *ret_out)
{
    ret_out->size = 0;
    for (size_t at = 0; at < in->size;) {
        const char *line = in->data + at;
        const char *found = memmem(line, in->size - at, end.data, end.size);
        if (found == NULL)
            return false;
        size_t size = (size_t)(found - line) + end.size;
        struct slice text = slice_of(line, (size_t)(found - line));
        if (text.size > 0 && text.data[text.size - 1] == '\r')
            text.size--;
        at += size;
        if (slice_equal(text, SLICE(".")))
            return at == in->size;
        add(ret_out, slice_from(slice_of(line, size), text.size > 0 && text.data[0] == '.'));
    }
    return false;
}

static void dot_is(const char *message, const char *want)
{
    struct buffer out;
    for (size_t split = 0; split <= strlen(message); split++) {
        encode(slice_cstr(message), split, &out);
        assert_int_equal(out.size, strlen(want));
        assert_memory_equal(out.data, want, out.size);
    }
}

/* P07 */
static void dots(void **state)
{
    (void)state;
    dot_is("", ".\r\n");
    dot_is(".", "..\r\n.\r\n");
    dot_is("..", "...\r\n.\r\n");
    dot_is(".\r\n", "..\r\n.\r\n");
    dot_is("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n");
    dot_is("a\r\n..\r\n.x", "a\r\n...\r\n..x\r\n.\r\n");
    dot_is("a.b\r\n", "a.b\r\n.\r\n");
    dot_is("a", "a\r\n.\r\n");
    dot_is("a\r", "a\r\r\n.\r\n");
    dot_is("a\n", "a\n\r\n.\r\n"); /* CRLF must stand before the end */
    dot_is("a\n.\nb\r\n", "a\n..\nb\r\n.\r\n");
    dot_is("a\n.\r\nQUIT\r\n", "a\n..\r\nQUIT\r\n.\r\n");
    dot_is("a\r.\r\n", "a\r.\r\n.\r\n");
    dot_is("\r\n\r\n", "\r\n\r\n.\r\n");
}

/* Every message of up to 7 of these bytes: one message for both clients, and the same bytes, but
 * for the CRLF that ends the last line. */
static void dots_of_all(void **state)
{
    (void)state;
    static const char alphabet[] = ".\r\nx";
    struct buffer out, back;
    for (unsigned size = 0; size <= 7; size++)
        for (unsigned code = 0; code < 1u << 2 * size; code++) {
            char message[8];
            bool has_bare_lf = false;
            for (unsigned i = 0; i < size; i++) {
                message[i] = alphabet[code >> 2 * i & 3];
                has_bare_lf |= message[i] == '\n' && (i == 0 || message[i - 1] != '\r');
            }
            encode(slice_of(message, size), size / 2, &out);
            assert_true(decode(&out, SLICE("\n"), &back));
            assert_true(back.size >= size && back.size <= size + 2u);
            assert_memory_equal(back.data, message, size);
            assert_true(decode(&out, SLICE("\r\n"), &back));
            if (!has_bare_lf) {
                assert_true(back.size >= size && back.size <= size + 2u);
                assert_memory_equal(back.data, message, size);
            }
        }
}

/* ---------------------------------------------------------------- TOP */

static void cut_is(const char *message, uint64_t lines, const char *want)
{
    size_t size = strlen(message);
    for (size_t first = 0; first <= size; first++)
        for (size_t second = first; second <= size; second++) {
            size_t splits[] = {0, first, second, size}, got = 0;
            struct cut cut;
            cut_init(&cut, lines);
            for (unsigned i = 0; i < 3; i++) {
                struct slice part = slice_of(message + splits[i], splits[i + 1] - splits[i]);
                size_t use = cut_next(&cut, part);
                assert_true(use == part.size || cut.is_done);
                got += use;
            }
            assert_int_equal(got, strlen(want));
            assert_memory_equal(message, want, got);
        }
}

static void cuts(void **state)
{
    (void)state;
    cut_is("a: b\r\nc: d\r\n\r\none\r\ntwo\r\n", 0, "a: b\r\nc: d\r\n\r\n");
    cut_is("a: b\r\nc: d\r\n\r\none\r\ntwo\r\n", 1, "a: b\r\nc: d\r\n\r\none\r\n");
    cut_is("a: b\r\nc: d\r\n\r\none\r\ntwo\r\n", 2, "a: b\r\nc: d\r\n\r\none\r\ntwo\r\n");
    cut_is("a: b\r\n\r\none\r\ntwo", 9, "a: b\r\n\r\none\r\ntwo");
    cut_is("a: b\r\n\r\n\r\n\r\nx\r\n", 1, "a: b\r\n\r\n\r\n");
    cut_is("a: b\n\none\ntwo\n", 1, "a: b\n\none\n");
    cut_is("a: b\r\n\none\n", 0, "a: b\r\n\n");
    cut_is("\r\nbody\r\n", 0, "\r\n");
    cut_is("a\r\n\r\r\nb\r\n", 0, "a\r\n\r\r\nb\r\n");
    cut_is("a: b\r\n", 3, "a: b\r\n");
    cut_is("", 0, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments),
        cmocka_unit_test(dots),
        cmocka_unit_test(dots_of_all),
        cmocka_unit_test(cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
