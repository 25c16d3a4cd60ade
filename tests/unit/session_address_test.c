/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of connections per address, against a plain array: keys that crowd the same places are
 * taken and given in random order, and each limit must hold at each step.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "../../src/session/session_private.h"

/* R05 */
static void against_model(void **state)
{
    (void)state;
    enum { KEYS = 400, STEPS = 200000, LIMIT = 3 };
    struct addresses addresses = {0};
    unsigned counts[KEYS] = {0};
    uint64_t keys[KEYS];
    for (unsigned i = 0; i < KEYS; i++) /* few homes, at the table's ends too */
        keys[i] = (uint64_t)(i % 7 < 4 ? 60 + i % 9 : hash_u64(i) >> 32) << 32 | (2 * i + 1);
    uint64_t chance = 5;
    unsigned refused = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        chance = hash_u64(chance + step);
        unsigned i = (unsigned)(chance % KEYS), phase = step / 20000 % 2;
        if ((chance >> 32) % 10 < (phase ? 3 : 7)) {
            bool is_taken = address_take(&addresses, keys[i], LIMIT);
            assert_int_equal(is_taken, counts[i] < LIMIT);
            counts[i] += is_taken;
            refused += !is_taken;
        } else if (counts[i] > 0) {
            address_give(&addresses, keys[i]);
            counts[i]--;
        }
    }
    assert_true(refused > 1000);
    for (unsigned i = 0; i < KEYS; i++)
        for (; counts[i] > 0; counts[i]--)
            address_give(&addresses, keys[i]);
    assert_int_equal(addresses.used, 0);
    assert_true(addresses.slot_count <= 1024);
    free(addresses.slots);
}

/* R05: ten thousand addresses at their limits, which go on trying */
static void many_at_their_limits(void **state)
{
    (void)state;
    enum { ADDRESSES = 10000, LIMIT = 50, TRIES = 20 };
    struct addresses addresses = {0};
    for (uint64_t i = 0; i < ADDRESSES; i++)
        for (unsigned n = 0; n < LIMIT; n++)
            assert_true(address_take(&addresses, hash_u64(i) | 1, LIMIT));
    uint32_t slots = addresses.slot_count;
    assert_true(slots <= 32768);
    for (unsigned n = 0; n < TRIES; n++)
        for (uint64_t i = 0; i < ADDRESSES; i++)
            assert_false(address_take(&addresses, hash_u64(i) | 1, LIMIT));
    assert_int_equal(addresses.slot_count, slots); /* a refusal costs no memory */
    assert_int_equal(addresses.used, ADDRESSES);
    for (unsigned n = 0; n < TRIES; n++) /* nor do addresses that come and go */
        for (uint64_t i = 0; i < ADDRESSES; i++) {
            uint64_t key = hash_u64(ADDRESSES * (n + 1) + i) | 1;
            assert_true(address_take(&addresses, key, LIMIT));
            address_give(&addresses, key);
        }
    assert_int_equal(addresses.slot_count, slots);
    free(addresses.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_model),
                                       cmocka_unit_test(many_at_their_limits)};
    return cmocka_run_group_tests_name("session_address", tests, NULL, NULL);
}
