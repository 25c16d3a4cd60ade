/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sequence sets, LIST patterns, flags, strings as sent: compared with slow, plain oracles over many
 * drawn cases. The view is the test's own.
 *
 * Rows of the list of bad input: I06 I09 I20.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/imap/families.h"

enum { ARENA_BYTES = 1 << 26 };

/* ---------------------------------------------------------------- a view of our own */

enum { VIEW_MAX = 200 };
struct mailbox_snapshot {
    struct mail_entry entries[VIEW_MAX];
};

const struct mail_entry *view_entry(const struct view *view, uint32_t number)
{
    assert_true(number >= 1 && number <= view->count);
    return &view->snapshot->entries[number - 1];
}

uint32_t view_number(const struct view *view, uint32_t uid, bool or_next)
{
    for (uint32_t i = 0; i < view->count; i++)
        if (view->snapshot->entries[i].uid >= uid)
            return or_next || view->snapshot->entries[i].uid == uid ? i + 1 : 0;
    return or_next ? view->count + 1 : 0;
}

int mailbox_keyword_bit(struct mailbox *mailbox, struct slice name, bool make)
{
    (void)mailbox, (void)make;
    return name.size == 1 && name.data[0] >= 'a' ? name.data[0] - 'a' : -1;
}

struct slice mailbox_keyword(const struct mailbox *mailbox, unsigned bit)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    (void)mailbox;
    return bit < 26 ? slice_of(letters + bit, 1) : SLICE("");
}

static uint64_t random_next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = *state;
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* ---------------------------------------------------------------- sets */

static void view_fill(struct view *view, struct mailbox_snapshot *snapshot, uint32_t count,
                      uint64_t *random)
{
    uint32_t uid = 0;
    *view = (struct view){.snapshot = snapshot, .count = count};
    for (uint32_t i = 0; i < count; i++) {
        uid += 1 + (uint32_t)(random_next(random) % 3);
        snapshot->entries[i] = (struct mail_entry){.uid = uid};
    }
    if (count > 0 && random_next(random) % 8 == 0)
        snapshot->entries[count - 1].uid = UINT32_MAX;
}

/* Does the set, as written, name this number? The oracle. */
static bool set_names(const struct imap_set *set, uint32_t star, uint32_t number)
{
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t first = set->ranges[i].first == 0 ? star : set->ranges[i].first;
        uint32_t last = set->ranges[i].last == 0 ? star : set->ranges[i].last;
        if ((first <= number && number <= last) || (last <= number && number <= first))
            return true;
    }
    return false;
}

static void set_random_text(struct text *text, uint64_t *random)
{
    unsigned count = 1 + (unsigned)(random_next(random) % 6);
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            text_char(text, ',');
        for (unsigned side = 0; side < 2; side++) {
            uint64_t draw = random_next(random) % 10;
            if (draw == 0)
                text_char(text, '*');
            else if (draw == 1)
                text_append(text, SLICE("4294967295"));
            else
                text_printf(text, "%u", 1 + (unsigned)(random_next(random) % 60));
            if (side == 0 && random_next(random) % 2)
                break;
            if (side == 0)
                text_char(text, ':');
        }
    }
}

static void sets(void **state)
{
    (void)state;
    uint64_t random = 7;
    static struct mailbox_snapshot snapshot;
    for (unsigned round = 0; round < 20000; round++) {
        struct view view;
        struct arena arena;
        struct text text;
        struct imap_set set, numbers;
        arena_init(&arena, ARENA_BYTES);
        view_fill(&view, &snapshot, (uint32_t)(random_next(&random) % 40), &random);
        text_init(&text, &arena);
        set_random_text(&text, &random);
        struct imap_cursor cursor = imap_cursor_of(text_slice(&text));
        assert_true(imap_take_set(&cursor, &arena, &set));
        assert_true(imap_at_end(&cursor));
        bool is_uid = round % 2;
        assert_true(imap_set_resolve(&set, is_uid, &view, &arena, &numbers));
        uint32_t size = 0, before = 0;
        for (uint32_t i = 0; i < numbers.count; i++) {
            assert_true(numbers.ranges[i].first <= numbers.ranges[i].last);
            assert_true(i == 0 || numbers.ranges[i].first > before + 1);
            before = numbers.ranges[i].last;
            assert_true(before <= view.count);
        }
        for (uint32_t number = 1; number <= view.count; number++) {
            uint32_t star = is_uid ? view_entry(&view, view.count)->uid : view.count;
            uint32_t key = is_uid ? view_entry(&view, number)->uid : number;
            bool is_named = set_names(&set, star, key);
            size += is_named;
            if (imap_set_holds(&numbers, number) != is_named)
                fail_msg("round %u: %.*s, number %u", round, (int)text.size, text.data, number);
        }
        assert_int_equal(imap_set_size(&numbers), size);
        arena_reset(&arena);
    }
}

/* I06: what is named is clipped before it is walked; 100,000 ranges are merged into one. */
static void sets_hostile(void **state)
{
    (void)state;
    enum { RANGES = 100000 };
    static struct mailbox_snapshot snapshot;
    static const char *const bad[] = {
        "0",  "4294967296",          "1:0", "0:1", "-1", "1:", "1,,2", "", "a", "**", "1:*:2",
        "00", "18446744073709551617"};
    uint64_t random = 1;
    struct view view;
    struct arena arena;
    struct imap_set set, numbers;
    arena_init(&arena, ARENA_BYTES);
    view_fill(&view, &snapshot, 3, &random);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct imap_cursor at = imap_cursor_of(slice_cstr(bad[i]));
        assert_false(imap_take_set(&at, &arena, &set) && imap_at_end(&at));
    }
    struct text text;
    text_init(&text, &arena);
    for (unsigned i = 0; i < RANGES; i++)
        text_append(&text, i > 0 ? SLICE(",1:4294967295") : SLICE("1:4294967295"));
    struct imap_cursor cursor = imap_cursor_of(text_slice(&text));
    assert_true(imap_take_set(&cursor, &arena, &set));
    assert_int_equal(set.count, RANGES);
    assert_true(imap_set_resolve(&set, false, &view, &arena, &numbers));
    assert_int_equal(numbers.count, 1);
    assert_int_equal(numbers.ranges[0].last, 3);
    assert_true(imap_set_resolve(&set, true, &view, &arena, &numbers));
    assert_int_equal(imap_set_size(&numbers), 3);
    arena_reset(&arena);
    arena_init(&arena, 100); /* no memory is an answer */
    cursor = imap_cursor_of(SLICE("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"));
    assert_false(imap_take_set(&cursor, &arena, &set));
    arena_reset(&arena);
}

static void numbers_written(void **state)
{
    (void)state;
    static const uint32_t numbers[] = {1, 2, 3, 7, 9, 10, UINT32_MAX, 5, 5};
    struct arena arena;
    struct text text;
    arena_init(&arena, ARENA_BYTES);
    text_init(&text, &arena);
    imap_text_numbers(&text, numbers, 9);
    assert_true(slice_equal(text_slice(&text), SLICE("1:3,7,9:10,4294967295,5,5")));
    arena_reset(&arena);
}

/* ---------------------------------------------------------------- patterns */

/* The oracle: tries everything. */
static bool matches_slowly(struct slice pattern, struct slice name)
{
    if (pattern.size == 0)
        return name.size == 0;
    if (pattern.data[0] != '*' && pattern.data[0] != '%')
        return name.size > 0 && name.data[0] == pattern.data[0] &&
               matches_slowly(slice_from(pattern, 1), slice_from(name, 1));
    for (size_t skip = 0; skip <= name.size; skip++) {
        if (matches_slowly(slice_from(pattern, 1), slice_from(name, skip)))
            return true;
        if (pattern.data[0] == '%' && skip < name.size && name.data[skip] == '/')
            break;
    }
    return false;
}

static bool matches(struct slice text, struct slice name)
{
    struct arena arena;
    struct imap_pattern pattern;
    arena_init(&arena, ARENA_BYTES);
    assert_true(imap_pattern_compile(text, &arena, &pattern));
    bool is_match = imap_pattern_matches(&pattern, name);
    arena_reset(&arena);
    return is_match;
}

static void patterns(void **state)
{
    (void)state;
    uint64_t random = 5;
    unsigned found = 0;
    for (unsigned round = 0; round < 200000; round++) {
        char pattern[6], name[8];
        size_t pattern_size = random_next(&random) % sizeof pattern;
        size_t name_size = random_next(&random) % sizeof name;
        for (size_t i = 0; i < pattern_size; i++)
            pattern[i] = "ab/*%"[random_next(&random) % 5];
        for (size_t i = 0; i < name_size; i++)
            name[i] = "ab/"[random_next(&random) % 3];
        struct slice what = slice_of(name, name_size), text = slice_of(pattern, pattern_size);
        bool is_match = matches(text, what);
        if (is_match != matches_slowly(text, what))
            fail_msg("%.*s on %.*s", (int)pattern_size, pattern, (int)name_size, name);
        found += is_match;
    }
    assert_true(found > 1000);
    assert_true(matches(SLICE("inbox"), SLICE("INBOX")));
    assert_true(matches(SLICE("I%"), SLICE("iNBOX")));
    assert_true(matches(SLICE("iNb%/a"), SLICE("INBOX/a")));
    assert_false(matches(SLICE("INBOX/A"), SLICE("INBOX/a")));
    assert_false(matches(SLICE("inboxes"), SLICE("INBOXES")));
}

/* Literals on both sides of a word of bits. */
static void patterns_long(void **state)
{
    (void)state;
    char text[200], name[200];
    for (size_t size = 1; size < sizeof text; size++) {
        memset(text, 'a', sizeof text);
        memset(name, 'a', sizeof name);
        assert_true(matches(slice_of(text, size), slice_of(name, size)));
        assert_false(matches(slice_of(text, size), slice_of(name, size - 1)));
        name[size - 1] = 'b';
        assert_false(matches(slice_of(text, size), slice_of(name, size)));
        text[size - 1] = '%';
        assert_true(matches(slice_of(text, size), slice_of(name, size)));
        assert_true(matches(slice_of(text, size), slice_of(name, size - 1)));
    }
}

/* I09: an alarm ends the program if this blows up. */
static void patterns_hostile(void **state)
{
    (void)state;
    char pattern[IMAP_PATTERN_BYTES_MAX], name[3000];
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = "*a%a"[i % 4];
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = 'b';
    for (unsigned i = 0; i < 100; i++)
        assert_false(matches(slice_of(pattern, sizeof pattern), slice_of(name, sizeof name)));
    memset(pattern, '*', sizeof pattern);
    for (size_t i = 1; i < sizeof pattern; i += 2)
        pattern[i] = '%';
    assert_true(matches(slice_of(pattern, sizeof pattern), slice_of(name, sizeof name)));
    struct arena arena;
    struct imap_pattern compiled;
    arena_init(&arena, 100);
    assert_false(imap_pattern_compile(slice_of(pattern, sizeof pattern), &arena, &compiled));
    arena_reset(&arena);
}

/* ---------------------------------------------------------------- flags, strings as sent */

static void flags_written(void **state)
{
    (void)state;
    struct arena arena;
    struct text text;
    struct imap_flags flags;
    uint64_t bits;
    arena_init(&arena, ARENA_BYTES);
    struct imap_cursor cursor = imap_cursor_of(SLICE("(\\seen b \\FLAGGED a)"));
    assert_true(imap_take_flag_list(&cursor, &arena, &flags));
    assert_int_equal(flags.flags, MAIL_SEEN | MAIL_FLAGGED);
    assert_int_equal(imap_keyword_bits(NULL, &flags, true, &bits), 0);
    assert_int_equal(bits, 3);
    text_init(&text, &arena);
    imap_text_flags(&text, NULL, flags.flags, bits, true);
    assert_true(slice_equal(text_slice(&text), SLICE("(\\Flagged \\Seen \\Recent a b)")));
    text.size = 0;
    imap_text_flags(&text, NULL, 0, 0, false);
    assert_true(slice_equal(text_slice(&text), SLICE("()")));
    arena_reset(&arena);
}

/* I20, M3: whatever goes in, what comes out reads back as one string, and no line ends in it. */
static void strings_written(void **state)
{
    (void)state;
    uint64_t random = 11;
    for (unsigned round = 0; round < 50000; round++) {
        struct arena arena;
        struct text text;
        char bytes[40];
        size_t size = random_next(&random) % sizeof bytes;
        bool is_wild = round % 2;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)(is_wild ? random_next(&random)
                                      : (uint64_t) "a\"\\ {)\r\n"[random_next(&random) % 8]);
        arena_init(&arena, ARENA_BYTES);
        text_init(&text, &arena);
        if (round % 3 == 0)
            imap_text_astring(&text, slice_of(bytes, size));
        else
            imap_text_string(&text, slice_of(bytes, size));
        for (size_t i = 0; i < size; i++)
            if (bytes[i] == '\0')
                bytes[i] = '?';
        struct slice out = text_slice(&text), string;
        struct imap_cursor cursor = imap_cursor_of(out);
        assert_true(imap_take_astring(&cursor, &arena, &string));
        assert_true(imap_at_end(&cursor));
        assert_true(slice_equal(string, slice_of(bytes, size)));
        if (out.data[0] != '{') /* TEXT-CHAR: 7-bit, no line end */
            for (size_t i = 0; i < out.size; i++)
                assert_true(out.data[i] > 0 && out.data[i] != '\r' && out.data[i] != '\n');
        arena_reset(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets),
        cmocka_unit_test(sets_hostile),
        cmocka_unit_test(numbers_written),
        cmocka_unit_test(patterns),
        cmocka_unit_test(patterns_long),
        cmocka_unit_test(patterns_hostile),
        cmocka_unit_test(flags_written),
        cmocka_unit_test(strings_written),
    };
    alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
