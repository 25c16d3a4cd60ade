/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What two lists of capabilities have in common (words.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "ringpost/words.h"

static void common(void **state)
{
    (void)state;
    static const struct {
        const char *words, *others, *want;
    } rows[] = {
        {"", "", ""},
        {"A B C", "c a", "A C"},
        {"A", "", ""},
        {"", "A", ""},
        {"  A   B  ", "B A", "A B"},
        {"AB", "A", ""},
        {"A", "AB", ""},
        {"SIZE=100", "SIZE=100", "SIZE=100"},
        {"SIZE=100", "SIZE=1000", ""},
        {"SIZE=100 X", "SIZE X", "X"},
        {"SIZE X", "SIZE=100 X", "X"},
        {"AUTH=PLAIN AUTH=LOGIN IDLE", "auth=login idle", "AUTH=LOGIN IDLE"},
        {"SIEVE=a,b,c Z", "Z SIEVE=c,a", "SIEVE=a,c Z"},
        {"Q SIEVE=b,c", "SIEVE=c", "SIEVE=c"},
        {"Q SIEVE=b,c R", "Q SIEVE=b SIEVE=c R", "Q SIEVE=b,c R"},
        {"SIEVE=aa", "SIEVE=a", ""},
        {"X= Y", "X= Y", "Y"},
        {"=a", "=a", "=a"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        /* In memory of its own, so that what is written beyond is found. */
        size_t size = strlen(rows[i].words);
        char *words = malloc(size + 1);
        assert_non_null(words);
        memcpy(words, rows[i].words, size);
        struct slice is = slice_of(words, words_common(words, size, slice_cstr(rows[i].others)));
        if (!slice_equal(is, slice_cstr(rows[i].want)))
            fprintf(stderr, "row %zu: \"%.*s\"\n", i, (int)is.size, is.data);
        assert_true(slice_equal(is, slice_cstr(rows[i].want)));
        free(words);
    }
}

static void without(void **state)
{
    (void)state;
    char words[] = "A unauth AB UNAUTH";
    assert_int_equal(words_without(words, strlen(words), SLICE("UNAUTH")), 4);
    assert_memory_equal(words, "A AB", 4);
    assert_int_equal(words_without(words, 4, SLICE("B")), 4);
    assert_int_equal(words_without(words, 1, SLICE("a")), 0);
}

static void one(void **state)
{
    (void)state;
    struct slice words = SLICE(" TOP SIZE SIZE=100 SIZE=7 SIEVE=a,b X= UTF8=USER"), values = {0};
    assert_true(words_have(words, SLICE("top")));
    assert_true(words_have(words, SLICE("size=100")));
    assert_true(words_have(words, SLICE("SIZE")));
    assert_false(words_have(words, SLICE("SIZE=1")));
    assert_false(words_have(words, SLICE("UTF8")));
    assert_false(words_have(words, SLICE("")));
    assert_true(words_find(words, SLICE("utf8"), NULL));
    assert_true(words_find(words, SLICE("TOP"), &values));
    assert_null(values.data);
    assert_true(words_find(words, SLICE("Size"), &values));
    assert_true(slice_equal(values, SLICE("100")));
    assert_true(words_find(words, SLICE("X"), &values));
    assert_int_equal(values.size, 0);
    assert_false(words_find(words, SLICE("SIEV"), &values));
    assert_false(words_find(SLICE(""), SLICE("A"), &values));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one),
        cmocka_unit_test(common),
        cmocka_unit_test(without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
