/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Rows under keys, beside a plain array that does the same slowly: added, removed, swept, with keys
 * that collide.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ringpost/hash.h"
#include "ringpost/rows.h"

struct row {
    uint64_t key;
    uint32_t value, is_over;
};

enum { KEYS = 600, STEPS = 200000 };

static bool row_is_over(void *row, void *argument)
{
    unsigned *swept = argument;
    *swept += ((struct row *)row)->is_over;
    return ((struct row *)row)->is_over;
}

static bool never(void *row, void *argument)
{
    (void)row, (void)argument;
    return false;
}

/* Few different upper halves, near the end of the table too: long chains that wrap round. */
static uint64_t key_of(unsigned i)
{
    return ((uint64_t)(0xfffffff0u + i % 23) << 32) | (i + 1);
}

static void random_steps(void **state)
{
    (void)state;
    struct rows rows = {.row_bytes = sizeof(struct row), .slots_max = 4096};
    static struct row model[KEYS];
    uint64_t chance = 1;
    unsigned swept = 0, gone = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        chance += 0x9e3779b97f4a7c15u;
        uint64_t draw = hash_u64(chance);
        unsigned i = (unsigned)(draw % (step % 20000 < 10000 ? KEYS : KEYS / 10));
        struct row *row = rows_find(&rows, key_of(i));
        assert_int_equal(row != NULL, model[i].key != 0);
        if (row != NULL)
            assert_int_equal(row->value, model[i].value);
        switch (draw >> 61) {
        case 0:
        case 1:
        case 2:
            row = rows_add(&rows, key_of(i), never, NULL);
            assert_non_null(row);
            assert_int_equal(row->value, model[i].key != 0 ? model[i].value : 0);
            row->value = step;
            model[i] = *row;
            break;
        case 3:
        case 4:
            if (row != NULL)
                rows_remove(&rows, row);
            model[i] = (struct row){0};
            break;
        case 5:
            if (row != NULL)
                row->is_over = model[i].is_over = 1;
            break;
        default:
            if (draw >> 40 & 63)
                break;
            rows_sweep(&rows, UINT32_MAX, row_is_over, &swept);
            for (unsigned k = 0; k < KEYS; k++)
                if (model[k].is_over) {
                    model[k] = (struct row){0};
                    gone++;
                }
        }
    }
    assert_int_equal(swept, gone);
    assert_true(gone > 1000);
    unsigned used = 0;
    for (unsigned i = 0; i < KEYS; i++)
        used += model[i].key != 0;
    assert_int_equal(rows.used, used);
    rows_free(&rows);
}

static void is_bounded(void **state)
{
    (void)state;
    struct rows rows = {.row_bytes = sizeof(struct row), .slots_max = 256};
    unsigned swept = 0;
    for (unsigned i = 0; i < 128; i++)
        assert_non_null(rows_add(&rows, hash_u64(i + 1), never, NULL));
    assert_null(rows_add(&rows, hash_u64(1000), never, NULL));
    assert_non_null(rows_add(&rows, hash_u64(7), never, NULL)); /* is there */
    for (unsigned i = 0; i < 128; i++)
        ((struct row *)rows_find(&rows, hash_u64(i + 1)))->is_over = 1;
    assert_non_null(rows_add(&rows, hash_u64(1000), row_is_over, &swept));
    assert_int_equal(rows.used, 1);
    assert_int_equal(swept, 128);
    rows_free(&rows);
}

/* The hand comes round, a little each time. */
static void swept_in_parts(void **state)
{
    (void)state;
    struct rows rows = {.row_bytes = sizeof(struct row), .slots_max = 4096};
    unsigned swept = 0, rounds = 0;
    for (unsigned i = 0; i < 500; i++) {
        struct row *row = rows_add(&rows, hash_u64(i + 1), never, NULL);
        assert_non_null(row);
        row->is_over = 1;
    }
    for (; rows.used > 0; rounds++) {
        uint32_t before = rows.used;
        assert_true(rounds < rows.slot_count / 16 + 1);
        rows_sweep(&rows, 16, row_is_over, &swept);
        assert_true(before - rows.used < 100);
    }
    assert_int_equal(swept, 500);
    rows_free(&rows);
    rows_sweep(&rows, 10, row_is_over, &swept);
    assert_null(rows_find(&rows, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_steps),
        cmocka_unit_test(is_bounded),
        cmocka_unit_test(swept_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
