/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Headers, and decoders of words, bodies, charsets and dates; searching.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mime_check.h"

static void test_header_fields(void **state)
{
    (void)state;
    struct slice header = SLICE("A: 1\r\nno colon\r\nB :2\r\n 3\r\n\r\nC: 4\r\n");
    struct mime_header field;
    assert_true(mime_header_next(&header, &field));
    assert_slice(field.name, "A");
    assert_slice(field.value, " 1");
    assert_slice(field.whole, "A: 1\r\n");
    assert_true(mime_header_next(&header, &field));
    assert_slice(field.name, "");
    assert_slice(field.whole, "no colon\r\n");
    assert_true(mime_header_next(&header, &field));
    assert_slice(field.name, "B");
    assert_slice(field.value, "2\r\n 3");
    assert_false(mime_header_next(&header, &field));
    assert_slice(header, "\r\nC: 4\r\n");
}

static void test_header_select(void **state)
{
    (void)state;
    static const struct {
        const char *header, *selected, *others;
    } rows[] = {
        {"A: 1\r\nto: x\r\n y\r\nB: 2\r\nTO: z\r\n\r\n", "to: x\r\n y\r\nTO: z\r\n\r\n",
         "A: 1\r\nB: 2\r\n\r\n"},
        {"To: x", "To: x\r\n\r\n", "\r\n"},
        {"junk\r\nTo: x\r\n", "To: x\r\n\r\n", "junk\r\n\r\n"},
        {"Tomato: x\r\n", "\r\n", "Tomato: x\r\n\r\n"},
        {"", "\r\n", "\r\n"},
    };
    const struct slice names[] = {SLICE("nothing"), SLICE("To")};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct text selected = text_new(&f), others = text_new(&f);
        mime_header_select(slice_cstr(rows[i].header), names, 2, false, &selected);
        mime_header_select(slice_cstr(rows[i].header), names, 2, true, &others);
        assert_slice(text_slice(&selected), rows[i].selected);
        assert_slice(text_slice(&others), rows[i].others);
        arena_reset(&f.arena);
    }
}

static void test_decode_words(void **state)
{
    (void)state;
    static const struct {
        const char *message, *expected;
    } rows[] = {
        {" plain\r\n folded ", "plain folded"},
        {"=?utf-8?q?a_=C3=A9?=", "a \xc3\xa9"},
        {"=?ISO-8859-1*fr?Q?=E9?= x", "\xc3\xa9 x"},
        {"=?utf-8?B?w6k=?=\r\n =?utf-8?b?w6k?=", "\xc3\xa9\xc3\xa9"},
        {"=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "\xc3\xa9"},
        {"=?gb2312?q?=C4?= =?gb2312?q?=E3?=", "\xe4\xbd\xa0"},
        {"a =?utf-8?q?b?= c =?utf-8?q?d?= =?koi8-r?q?=C1?=", "a b c d\xd0\xb0"},
        {"=?utf-8?q?a=0D=0AX:=00b?=", "a  X: b"},
        {"=?x-unknown?q?=FF=01?=", "\xff "},
        {"=?utf-8?q?", "=?utf-8?q?"},
        {"=?=?utf-8?q?x?=", "=?x"},
        {"=?utf-8?x?y?= =??q?z?=", "=?utf-8?x?y?= =??q?z?="},
        {"=?utf-8?q?=?utf-8?q?x?=?=", "=?utf-8?q?x?="},
        {"a\rb\tc", "a b c"},
        {"=?iso-2022-jp?b?GyRCJA==?=", "$"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct text out = text_new(&f);
        mime_decode_words(slice_cstr(rows[i].message), &out);
        assert_slice(text_slice(&out), rows[i].expected);
        arena_reset(&f.arena);
    }
}

static void test_decode_transfer(void **state)
{
    (void)state;
    static const struct {
        enum mime_encoding encoding;
        const char *body, *expected;
    } rows[] = {
        {MIME_BASE64, "aGVs\r\nbG8=", "hello"},
        {MIME_BASE64, "aGVsbG8", "hello"},
        {MIME_BASE64, "a!G*Vs=bG8=bG8", "hellolo"},
        {MIME_BASE64, "aA==aQ==", "hi"},
        {MIME_BASE64, "a", ""},
        {MIME_QUOTED_PRINTABLE, "a=3D=\r\nb=3db \t\r\nc= \r\nd", "a=b=b\r\ncd"},
        {MIME_QUOTED_PRINTABLE, "=zz====41=4", "=zz===A=4"},
        {MIME_QUOTED_PRINTABLE, "a b  ", "a b"},
        {MIME_QUOTED_PRINTABLE, "a=", "a"},
        {MIME_8BIT, "=41", "=41"},
        {MIME_ENCODING_OTHER, "M=41", "M=41"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct text out = text_new(&f);
        mime_decode_transfer(slice_cstr(rows[i].body), rows[i].encoding, &out);
        if (!slice_equal(text_slice(&out), slice_cstr(rows[i].expected)))
            fail_msg("row %zu: %.*s", i, (int)out.size, out.data);
        arena_reset(&f.arena);
    }
}

static void test_to_utf8(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"utf-8", "\xc3\xa9\xff", "\xc3\xa9\xff"},
        {"ISO-8859-1", "\xe9", "\xc3\xa9"},
        {"", "\xe9", "\xe9"},
        {"../../x", "\xe9", "\xe9"},
        {"utf-8//ignore", "\xe9", "\xe9"},
        {"big5", "a\xffz", "a\xffz"},
        {"gb2312", "\xc4", "\xc4"},
        {"gb2312", "\xff\xc4\xe3", "\xff\xe4\xbd\xa0"},
        {"koi8-r", "\xc1", "\xd0\xb0"},
        {"iso-2022-jp", "\x1b$B$\"", "\xe3\x81\x82"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        fixture_init(&f);
        struct text out = text_new(&f);
        mime_to_utf8(slice_cstr(rows[i][1]), slice_cstr(rows[i][0]), &out);
        assert_slice(text_slice(&out), rows[i][2]);
        arena_reset(&f.arena);
    }
}

/* M09 */
static void test_dates(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t seconds, day; /* day -1: no date at all; seconds -1: no time */
        int zone;
    } rows[] = {
        {"Thu, 01 Jan 1970 00:00:00 +0000", 0, 0, 0},
        {" Mon, 20 Nov 1995 19:12:08 -0500", 816912728, 9454, -300},
        {"20 Nov 95 19:12 EST", 816912720, 9454, -300},
        {"Thu,\r\n 29 Feb (leap) 2024 23:59:60 +0530 (IST)", 1709231400, 19782, 330},
        {"1 Jan 00 00:00:00", 946684800, 10957, 0},
        {"1 Jan 100 00:00:00 Z", 946684800, 10957, 0},
        {"31 December 9999 0:0 UT", 253402214400, 2932896, 0},
        {"1-Jan-2000", -1, 10957, 0},
        {"1 Jan 2000 24:00:00 +0000", -1, 10957, 0},
        {"1 Jan 2000 00:00:00 +9999", -1, 10957, 0},
        {"1 Jan 2000 00:00:00 +00000", -1, 10957, 0},
        {"Thu, 1 Jan 99999999999 00:00:00 +0000", -1, -1, 0},
        {"Thu, 1 Jan -1 00:00:00 +0000", -1, -1, 0},
        {"1 Xyz 2000 00:00:00 +0000", -1, -1, 0},
        {"1 13 2000 00:00:00 +0000", -1, -1, 0},
        {"29 Feb 1900 00:00:00 +0000", -1, -1, 0},
        {"0 Jan 2000 00:00:00 +0000", -1, -1, 0},
        {"1 Jan 1800 00:00:00 +0000", -1, -1, 0},
        {"", -1, -1, 0},
        {"Thu,", -1, -1, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t seconds = -1, day = -1;
        int zone = 0;
        bool has_time = mime_date_parse(slice_cstr(rows[i].value), &seconds, &zone);
        bool has_day = mime_date_day(slice_cstr(rows[i].value), &day);
        if (has_time != (rows[i].seconds >= 0) || has_day != (rows[i].day >= 0) ||
            seconds != rows[i].seconds || day != rows[i].day || zone != rows[i].zone)
            fail_msg("%s: %lld %lld %d", rows[i].value, (long long)seconds, (long long)day, zone);
    }
}

static void test_contains(void **state)
{
    (void)state;
    static const struct {
        const char *haystack, *needle;
        bool found;
    } rows[] = {
        {"", "", true},
        {"abc", "", true},
        {"", "a", false},
        {"xABCx", "abc", true},
        {"aab", "AB", true},
        {"abcabcabd", "ABCABD", true},
        {"abcabcabc", "abcabd", false},
        {"aaaaaaaab", "aab", true},
        {"xx \xc3\x89T\xc3\x89", "\xc3\xa9t\xc3\xa9", true},
        {"\xd0\x9f\xd0\xa0\xd0\x98", "\xd0\xbf\xd1\x80\xd0\xb8", true},
        {"\xce\xa3", "\xcf\x83", true},
        {"\xc5\x81", "\xc5\x82", true},
        {"\xc3\x97", "\xc3\xb7", false}, /* times, divided by: not letters */
        {"[@`{", "{", true},
        {"[", "{", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (mime_contains_nocase(slice_cstr(rows[i].haystack), slice_cstr(rows[i].needle)) !=
            rows[i].found)
            fail_msg("row %zu", i);
}

/* All strings of up to 7 letters of {a, b} in one another, against the obvious algorithm. */
static void test_contains_agrees_with_naive_search(void **state)
{
    (void)state;
    char haystack[12], needle[7];
    for (unsigned h = 0; h < 1u << 11; h++)
        for (size_t size = 1; size <= 6; size++)
            for (unsigned n = 0; n < 1u << size; n++) {
                for (unsigned i = 0; i < 11; i++)
                    haystack[i] = (char)('a' + (h >> i & 1));
                for (unsigned i = 0; i < size; i++)
                    needle[i] = (char)('A' + (n >> i & 1));
                bool expected = false;
                for (size_t at = 0; at + size <= 11 && !expected; at++)
                    expected =
                        slice_equal_nocase(slice_of(haystack + at, size), slice_of(needle, size));
                if (mime_contains_nocase(slice_of(haystack, 11), slice_of(needle, size)) !=
                    expected)
                    fail_msg("%.11s %.*s", haystack, (int)size, needle);
            }
}

/* The periodic strings that make the obvious search quadratic. */
static void test_search_is_linear(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct text haystack = text_new(&f), needle = text_new(&f);
    repeat(&haystack, "a", 4000000);
    repeat(&needle, "a", 1000000);
    repeat(&needle, "b", 1);
    repeat(&needle, "a", 1000000);
    assert_false(mime_contains_nocase(text_slice(&haystack), text_slice(&needle)));
    arena_reset(&f.arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header_fields),
        cmocka_unit_test(test_header_select),
        cmocka_unit_test(test_decode_words),
        cmocka_unit_test(test_decode_transfer),
        cmocka_unit_test(test_to_utf8),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_contains),
        cmocka_unit_test(test_contains_agrees_with_naive_search),
        cmocka_unit_test(test_search_is_linear),
    };
    alarm(TIME_MAX_SECONDS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
