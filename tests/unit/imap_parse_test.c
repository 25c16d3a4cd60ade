/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tidy: long because it is tables of texts and of what the parsers say to them
 *
 * The pure half of the IMAP server: literals, tags, strings, dates, names, the commands' parsers.
 * Every text is parsed whole and cut off at every byte, each time in memory of exactly its size, so
 * that the address sanitizer sees a step too far.
 *
 * Rows of the list of bad input: I01 I03 I04 I05 I10 I14 I16 I22, and the syntax of I06 and I13.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../src/imap/families.h"

enum { ARENA_BYTES = 1 << 26 };

static uint64_t random_next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = *state;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* ---------------------------------------------------------------- every split */

/* `text` in memory of its own size. */
static struct slice exact(struct slice text)
{
    char *copy = malloc(text.size > 0 ? text.size : 1);
    assert_non_null(copy);
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    return slice_of(copy, text.size);
}

static void exact_free(struct slice text)
{
    free((void *)(uintptr_t)text.data);
}

typedef const char *parse_function(struct slice text, struct arena *arena, void *ret_arguments);

/* NULL or why not, as the session layer calls it. */
static const char *parse_text(parse_function *parse, struct slice text)
{
    struct arena arena;
    union {
        struct imap_list_arguments list;
        struct imap_append_arguments append;
        struct imap_store_arguments store;
        char bytes[512];
    } arguments;
    memset(&arguments, 0, sizeof arguments);
    arena_init(&arena, ARENA_BYTES);
    struct slice copy = exact(text);
    const char *why = parse(copy, &arena, &arguments);
    exact_free(copy);
    arena_reset(&arena);
    return why;
}

/* Whole it is good, or not; cut off anywhere it is never read past its end. */
static void check_parse(parse_function *parse, struct slice text, bool is_good)
{
    const char *why = parse_text(parse, text);
    if ((why == NULL) != is_good)
        fail_msg("\"%.*s\": %s", (int)text.size, text.data, why != NULL ? why : "accepted");
    for (size_t size = 0; size < text.size; size++)
        (void)parse_text(parse, slice_first(text, size));
}

/* ---------------------------------------------------------------- literals and lines */

/* I01, I03 */
static void announcements(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum imap_announced announced;
        uint64_t size;
        bool is_sync;
    } rows[] = {
        {"a LOGIN {5}", IMAP_ANNOUNCED, 5, true},
        {"a LOGIN {5+}", IMAP_ANNOUNCED, 5, false},
        {" {0}", IMAP_ANNOUNCED, 0, true},
        {"{0}", IMAP_ANNOUNCED_WRONG, 0, false}, /* right behind another literal */
        {"{0+}", IMAP_ANNOUNCED_LOST, 0, false},
        {" ~{7}", IMAP_ANNOUNCED, 7, true},
        {"a FETCH 1 BODY[HEADER.FIELDS ({4}", IMAP_ANNOUNCED, 4, true},
        {"a LOGIN {4294967296}", IMAP_ANNOUNCED, UINT64_C(4294967296), true},
        {"a LOGIN {18446744073709551615}", IMAP_ANNOUNCED, UINT64_MAX, true},
        {"a LOGIN {18446744073709551616}", IMAP_ANNOUNCED_WRONG, 0, false},
        {"a LOGIN {18446744073709551616+}", IMAP_ANNOUNCED_LOST, 0, false},
        {"a LOGIN {99999999999999999999999999}", IMAP_ANNOUNCED_WRONG, 0, false},
        {"a LOGIN {-1}", IMAP_ANNOUNCED_WRONG, 0, false},
        {"a LOGIN {01}", IMAP_ANNOUNCED_WRONG, 0, false},
        {"a LOGIN {01+}", IMAP_ANNOUNCED_LOST, 0, false},
        {"a LOGIN {1 }", IMAP_ANNOUNCED_WRONG, 0, false},
        {"a LOGIN {}", IMAP_ANNOUNCED_WRONG, 0, false},
        {"a LOGIN {+}", IMAP_ANNOUNCED_WRONG, 0, false},
        {"a LOGIN x{5}", IMAP_ANNOUNCED_WRONG, 0, false},
        {"a LOGIN x{5+}", IMAP_ANNOUNCED_LOST, 0, false},
        {"a LOGIN {1", IMAP_ANNOUNCED_NONE, 0, false},
        {"a LOGIN 1}", IMAP_ANNOUNCED_NONE, 0, false},
        {"a LOGIN {5} ", IMAP_ANNOUNCED_NONE, 0, false},
        {"}", IMAP_ANNOUNCED_NONE, 0, false},
        {"{", IMAP_ANNOUNCED_NONE, 0, false},
        {"", IMAP_ANNOUNCED_NONE, 0, false},
        {"a NOOP {{{{", IMAP_ANNOUNCED_NONE, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct imap_literal literal = {0};
        struct slice line = exact(slice_cstr(rows[i].line));
        enum imap_announced announced = imap_literal_announced(line, &literal);
        exact_free(line);
        if (announced != rows[i].announced)
            fail_msg("%s: %d", rows[i].line, (int)announced);
        if (announced == IMAP_ANNOUNCED) {
            assert_int_equal(literal.size, rows[i].size);
            assert_int_equal(literal.is_sync, rows[i].is_sync);
        }
    }
}

/* I05 */
static void lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *tag, *verb, *arguments; /* tag NULL: refused */
    } rows[] = {
        {"a NOOP", "a", "NOOP", ""},
        {"A001 LOGIN x y", "A001", "LOGIN", "x y"},
        {"a uid fetch 1 FLAGS", "a", "uid fetch", "1 FLAGS"},
        {"a UID", "a", "UID", ""},
        {"a UID ", "a", "UID ", ""},
        {"a] NOOP", "a]", "NOOP", ""},
        {"a NOOP ", "a", "NOOP", ""},
        {"", NULL, NULL, NULL},
        {" NOOP", NULL, NULL, NULL},
        {"+ NOOP", NULL, NULL, NULL},
        {"a+b NOOP", NULL, NULL, NULL},
        {"* NOOP", NULL, NULL, NULL},
        {"a*b NOOP", NULL, NULL, NULL},
        {"a{5} NOOP", NULL, NULL, NULL},
        {"a\x01 NOOP", NULL, NULL, NULL},
        {"a\x80 NOOP", NULL, NULL, NULL},
        {"a\"b NOOP", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct command_line line;
        struct slice text = exact(slice_cstr(rows[i].line));
        const char *why = imap_line_split(text, &line);
        assert_int_equal(why == NULL, rows[i].tag != NULL);
        if (why == NULL) {
            assert_true(slice_equal(line.tag, slice_cstr(rows[i].tag)));
            assert_true(slice_equal(line.verb, slice_cstr(rows[i].verb)));
            assert_true(slice_equal(line.arguments, slice_cstr(rows[i].arguments)));
        } else {
            assert_int_equal(line.tag.size, 0); /* never echoed */
        }
        exact_free(text);
    }
    char long_tag[8192 + 5];
    struct command_line line;
    memset(long_tag, 'a', sizeof long_tag);
    memcpy(long_tag + 8192, " NOOP", 5);
    assert_non_null(imap_line_split(slice_of(long_tag, sizeof long_tag), &line));
    assert_null(imap_line_split(
        slice_of(long_tag + 8192 - IMAP_TAG_BYTES_MAX, IMAP_TAG_BYTES_MAX + 5), &line));
}

/* ---------------------------------------------------------------- strings */

struct string_row {
    const char *text;
    size_t size;
    const char *value; /* NULL: refused */
};
#define TEXT(literal) (literal), sizeof(literal) - 1

/* I04, I14 */
static void strings(void **state)
{
    (void)state;
    static const struct string_row rows[] = {
        {TEXT("abc"), "abc"},
        {TEXT("a]c"), "a]c"},
        {TEXT("\"abc\""), "abc"},
        {TEXT("\"\""), ""},
        {TEXT("\"a\\\"b\\\\c\""), "a\"b\\c"},
        {TEXT("\"gr\xc3\xbc\xc3\x9f\""), "gr\xc3\xbc\xc3\x9f"},
        {TEXT("{3}\r\na\"\n"), "a\"\n"},
        {TEXT("{3+}\r\n\xff\xfe\r"), "\xff\xfe\r"},
        {TEXT("{0}\r\n"), ""},
        {TEXT("\"a\\b\""), NULL},
        {TEXT("\"abc"), NULL},
        {TEXT("\"abc\\"), NULL},
        {TEXT("\"abc\\\""), NULL},
        {TEXT("\"a\nb\""), NULL},
        {TEXT("\"a\rb\""), NULL},
        {TEXT("\"a\0b\""), NULL},
        {TEXT("\"a\xff\""), NULL},
        {TEXT("\"a\xc3\""), NULL},
        {TEXT("\"\xed\xa0\x80\""), NULL},
        {TEXT("{4}\r\nabc"), NULL},
        {TEXT("{3}\nabc"), NULL},
        {TEXT("{3}abc"), NULL},
        {TEXT("{3}\r\na\0c"), NULL},
        {TEXT("{4294967299}\r\nabc"), NULL},
        {TEXT("{18446744073709551619}\r\nabc"), NULL},
        {TEXT("~{3}\r\nabc"), NULL},
        {TEXT("(abc"), NULL},
        {TEXT("%abc"), NULL},
        {TEXT("\x80"), NULL},
        {TEXT(""), NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice whole = slice_of(rows[i].text, rows[i].size);
        for (size_t size = 0; size <= whole.size; size++) {
            struct arena arena;
            struct slice text = exact(slice_first(whole, size)), string = {0};
            struct imap_cursor cursor = imap_cursor_of(text);
            arena_init(&arena, ARENA_BYTES);
            bool is_taken = imap_take_astring(&cursor, &arena, &string);
            if (!is_taken)
                assert_ptr_equal(cursor.at, text.data);
            bool is_whole = is_taken && imap_at_end(&cursor);
            if (size == whole.size && is_whole != (rows[i].value != NULL))
                fail_msg("row %zu", i);
            if (size == whole.size && is_whole)
                assert_true(slice_equal(string, slice_cstr(rows[i].value)));
            arena_reset(&arena);
            exact_free(text);
        }
    }
}

static void huge_quoted_string(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    struct arena arena;
    struct slice string;
    assert_non_null(text);
    memset(text, '\\', SIZE);
    text[0] = '"';
    text[SIZE - 1] = '"'; /* an even number between: the last one is no escape */
    arena_init(&arena, ARENA_BYTES);
    struct imap_cursor cursor = imap_cursor_of(slice_of(text, SIZE));
    assert_true(imap_take_string(&cursor, &arena, &string));
    assert_int_equal(string.size, SIZE / 2 - 1);
    arena_reset(&arena);
    arena_init(&arena, 1000); /* no room: refused, not written past */
    cursor = imap_cursor_of(slice_of(text, SIZE));
    assert_false(imap_take_string(&cursor, &arena, &string));
    assert_ptr_equal(cursor.at, text);
    arena_reset(&arena);
    free(text);
}

/* ---------------------------------------------------------------- commands */

/* tidy: long because it is one table */
static void commands(void **state)
{
    (void)state;
    static const struct {
        parse_function *parse;
        const char *text;
        size_t size;
        bool is_good;
    } rows[] = {
        {imap_append_parse, TEXT("INBOX {3}"), true},
        {imap_append_parse, TEXT("INBOX (\\Seen $Work) \" 1-Jan-2026 00:00:00 +0100\" {3+}"), true},
        {imap_append_parse, TEXT("{5}\r\nINBOX () ~{3}"), true},
        {imap_append_parse, TEXT("INBOX (\\Recent) {3}"), false}, /* I13 */
        {imap_append_parse, TEXT("INBOX (\\Foo) {3}"), false},
        {imap_append_parse, TEXT("INBOX (a]b) {3}"), false},
        {imap_append_parse, TEXT("INBOX \"31-Feb-2026 00:00:00 +0100\" {3}"), false},
        {imap_append_parse, TEXT("INBOX \" 1-Jan-2026 24:00:00 +0100\" {3}"), false},
        {imap_append_parse, TEXT("INBOX {3} "), false},
        {imap_append_parse, TEXT("INBOX"), false},
        {imap_store_parse, TEXT("1:3 FLAGS (\\Seen)"), true},
        {imap_store_parse, TEXT("*,1 +FLAGS.SILENT \\Seen \\Deleted $x"), true},
        {imap_store_parse, TEXT("1 (UNCHANGEDSINCE 12) -FLAGS ()"), true},
        {imap_store_parse, TEXT("1 (UNCHANGEDSINCE 9223372036854775808) -FLAGS ()"), false},
        {imap_store_parse, TEXT("1 (UNCHANGEDSINCE) -FLAGS ()"), false},
        {imap_store_parse, TEXT("1 FLAGS"), false},
        {imap_store_parse, TEXT("1 FLAGS "), false},
        {imap_store_parse, TEXT("1 FLAGS (\\Seen"), false},
        {imap_store_parse, TEXT("0 FLAGS ()"), false}, /* I06 */
        {imap_store_parse, TEXT("4294967296 FLAGS ()"), false},
        {imap_copy_parse, TEXT("1:* \"a b\""), true},
        {imap_copy_parse, TEXT("1:* a b"), false},
        {imap_set_parse, TEXT("1,2:4,*"), true},
        {imap_set_parse, TEXT("1,"), false},
        {imap_set_parse, TEXT(":1"), false},
        {imap_set_parse, TEXT("1:2:3"), false},
        {imap_list_parse, TEXT("\"\" *"), true},
        {imap_list_parse, TEXT("\"\" \"\""), true},
        {imap_list_parse, TEXT("(SUBSCRIBED) \"\" (\"a\" %b) RETURN (CHILDREN STATUS (UNSEEN))"),
         true},
        {imap_list_parse, TEXT("() \"\" %"), true},
        {imap_list_parse, TEXT("(FOO) \"\" %"), false},
        {imap_list_parse, TEXT("\"\" % RETURN (FOO)"), false},
        {imap_list_parse, TEXT("\"\""), false},
        {imap_list_parse, TEXT("\"\" ()"), false},
        {imap_lsub_parse, TEXT("\"\" *"), true},
        {imap_status_parse, TEXT("INBOX (MESSAGES UNSEEN)"), true},
        {imap_status_parse, TEXT("INBOX ()"), false},
        {imap_status_parse, TEXT("INBOX (MESSAGES,UNSEEN)"), false},
        {imap_status_parse, TEXT("\"a\xff\" (MESSAGES)"), false}, /* I14 */
        {imap_select_parse, TEXT("INBOX (CONDSTORE)"), true},
        {imap_select_parse, TEXT("INBOX (QRESYNC (1 2))"), false},
        {imap_create_parse, TEXT("a/b/ (USE (\\Sent))"), true},
        {imap_create_parse, TEXT("a (USE (\\Inbox))"), false},
        {imap_create_parse, TEXT("a\x80"), false}, /* I14 */
        {imap_rename_parse, TEXT("a {3}\r\nb c"), true},
        {imap_rename_parse, TEXT("a"), false},
        {imap_login_parse, TEXT("u p"), true},
        {imap_login_parse, TEXT("{1}\r\nu {1}\r\np"), true},
        {imap_login_parse, TEXT("u"), false},
        {imap_authenticate_parse, TEXT("PLAIN"), true},
        {imap_authenticate_parse, TEXT("PLAIN ="), true},
        {imap_authenticate_parse, TEXT("PLAIN "), false},
        {imap_enable_parse, TEXT("CONDSTORE X-GOOD"), true},
        {imap_enable_parse, TEXT(""), false},
        {imap_id_parse, TEXT("NIL"), true},
        {imap_id_parse, TEXT("(\"name\" \"x\" \"os\" NIL)"), true},
        {imap_id_parse, TEXT("()"), true},
        {imap_id_parse, TEXT("(\"name\")"), false},
        {imap_nothing_parse, TEXT(""), true},
        {imap_nothing_parse, TEXT("x"), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_parse(rows[i].parse, slice_of(rows[i].text, rows[i].size), rows[i].is_good);
}

/* "prefix" + `count` times "part" + "suffix" */
static const char *parse_many(parse_function *parse, const char *prefix, const char *part,
                              unsigned count, const char *suffix)
{
    size_t size = strlen(prefix) + strlen(part) * count + strlen(suffix);
    char *text = malloc(size + 1), *at = text;
    assert_non_null(text);
    at = stpcpy(at, prefix);
    for (unsigned i = 0; i < count; i++)
        at = stpcpy(at, part);
    stpcpy(at, suffix);
    const char *why = parse_text(parse, slice_of(text, size));
    free(text);
    return why;
}

/* I16, I22: many elements are refused, an honest number is not. */
static void many_elements(void **state)
{
    (void)state;
    assert_null(parse_many(imap_append_parse, "INBOX (a", " b", 50, ") {3}"));
    assert_non_null(parse_many(imap_append_parse, "INBOX (a", " b", 1000000, ") {3}"));
    assert_null(parse_many(imap_enable_parse, "CONDSTORE", " X", 10, ""));
    assert_non_null(parse_many(imap_enable_parse, "CONDSTORE", " X", 10000, ""));
    assert_null(parse_many(imap_id_parse, "(\"a\" NIL", " \"b\" \"c\"", 10, ")"));
    assert_non_null(parse_many(imap_id_parse, "(\"a\" NIL", " \"b\" \"c\"", 10000, ")"));
    assert_null(parse_many(imap_list_parse, "\"\" (a", " b", 10, ")"));
    assert_non_null(parse_many(imap_list_parse, "\"\" (a", " b", 10000, ")"));
}

/* ---------------------------------------------------------------- dates */

static void dates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
        int zone;
    } rows[] = {
        {"\" 1-Jan-1970 00:00:00 +0000\"", 0, 0},
        {"\"17-Jul-1996 02:44:25 -0700\"", 837596665, -420},
        {"\"29-Feb-2024 23:59:59 +0530\"", 1709231399, 330},
        {"\"01-jan-2026 00:00:00 +0100\"", 1767222000, 60},
        {"\"31-Dec-1969 23:59:59 +0000\"", -1, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t seconds;
        int16_t zone;
        struct arena arena;
        struct text text;
        struct slice copy = exact(slice_cstr(rows[i].text));
        struct imap_cursor cursor = imap_cursor_of(copy);
        assert_true(imap_take_date_time(&cursor, &seconds, &zone));
        assert_int_equal(seconds, rows[i].seconds);
        assert_int_equal(zone, rows[i].zone);
        arena_init(&arena, ARENA_BYTES);
        text_init(&text, &arena);
        imap_text_date_time(&text, seconds, zone);
        cursor = imap_cursor_of(text_slice(&text));
        assert_true(imap_take_date_time(&cursor, &seconds, &zone));
        assert_int_equal(seconds, rows[i].seconds);
        for (size_t size = 0; size < copy.size; size++) {
            struct slice part = exact(slice_first(copy, size));
            cursor = imap_cursor_of(part);
            assert_false(imap_take_date_time(&cursor, &seconds, &zone));
            assert_ptr_equal(cursor.at, part.data);
            exact_free(part);
        }
        exact_free(copy);
        arena_reset(&arena);
    }
    for (int64_t day = -800000; day < 800000; day++) {
        int year, month, day_of_month;
        imap_day_split(day, &year, &month, &day_of_month);
        assert_true(month >= 1 && month <= 12 && day_of_month >= 1 && day_of_month <= 31);
        assert_int_equal(imap_day_of(year, month, day_of_month), day);
    }
    struct arena arena;
    struct text text;
    arena_init(&arena, ARENA_BYTES);
    text_init(&text, &arena);
    imap_text_date_time(&text, INT64_MAX, 32767); /* from a damaged store: some date, no overflow */
    imap_text_date_time(&text, INT64_MIN, -32768);
    assert_false(text.failed);
    arena_reset(&arena);
}

/* ---------------------------------------------------------------- names */

/* I10, I14 */
static void names(void **state)
{
    (void)state;
    static const struct {
        const char *wire, *name; /* name NULL: refused */
    } rows[] = {
        {"INBOX", "INBOX"},
        {"Entw&APw-rfe", "Entw\xc3\xbcrfe"},
        {"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
         "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
        {"&-", "&"},
        {"&-&-", "&&"},
        {"&2D3eAA-", "\xf0\x9f\x98\x80"},
        {"../x", "../x"}, /* a name, not a path: the store refuses or keeps it as it is */
        {"&AAA", NULL},
        {"&AAA-", NULL}, /* U+0000 */
        {"&2AA-", NULL}, /* half a pair */
        {"&3AA-", NULL},
        {"&2D0AYQ-", NULL},
        {"&AGE-", NULL}, /* "a" in disguise */
        {"&AC8-", NULL}, /* "/" in disguise */
        {"&", NULL},
        {"&U,BTFw", NULL},
        {"&U,BTFw-&ZeVnLIqe-", NULL}, /* should be one run */
        {"&APx-", NULL},              /* bits left over */
        {"&APwA-", NULL},
        {"&AP!-", NULL},
        {"\xc3\xbc", NULL},
        {"\x7f", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena arena;
        struct text text, back;
        struct slice wire = exact(slice_cstr(rows[i].wire));
        arena_init(&arena, ARENA_BYTES);
        text_init(&text, &arena);
        bool is_good = imap_utf7_decode(wire, &text);
        if (is_good != (rows[i].name != NULL))
            fail_msg("%s", rows[i].wire);
        if (is_good) {
            assert_true(slice_equal(text_slice(&text), slice_cstr(rows[i].name)));
            text_init(&back, &arena);
            imap_utf7_encode(text_slice(&text), &back);
            assert_true(slice_equal(text_slice(&back), wire));
        }
        exact_free(wire);
        arena_reset(&arena);
    }
}

/* Every spelling that is taken is the one that would be made. */
static void names_canonical(void **state)
{
    (void)state;
    static const char letters[] = "&-A2DCPwg,x/=";
    uint64_t random = 3;
    unsigned taken = 0;
    for (unsigned round = 0; round < 200000; round++) {
        struct arena arena;
        struct text text, back;
        char wire[12];
        size_t size = random_next(&random) % sizeof wire;
        for (size_t i = 0; i < size; i++)
            wire[i] = letters[random_next(&random) % (sizeof letters - 1)];
        arena_init(&arena, ARENA_BYTES);
        text_init(&text, &arena);
        text_init(&back, &arena);
        if (imap_utf7_decode(slice_of(wire, size), &text)) {
            taken++;
            assert_true(slice_is_utf8(text_slice(&text)));
            imap_utf7_encode(text_slice(&text), &back);
            assert_true(slice_equal(text_slice(&back), slice_of(wire, size)));
        }
        arena_reset(&arena);
    }
    assert_true(taken > 10000);
}

static void inbox_in_any_case(void **state)
{
    (void)state;
    struct arena arena;
    struct slice name;
    arena_init(&arena, ARENA_BYTES);
    struct imap_cursor cursor = imap_cursor_of(SLICE("iNbOx"));
    assert_true(imap_take_mailbox(&cursor, &arena, &name));
    assert_true(slice_equal(name, SLICE("INBOX")));
    arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(announcements),   cmocka_unit_test(lines),
        cmocka_unit_test(strings),         cmocka_unit_test(huge_quoted_string),
        cmocka_unit_test(commands),        cmocka_unit_test(many_elements),
        cmocka_unit_test(dates),           cmocka_unit_test(names),
        cmocka_unit_test(names_canonical), cmocka_unit_test(inbox_in_any_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
