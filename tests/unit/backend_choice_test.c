/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which backend is a user's: shares, how few move, that it is the same everywhere; and the tables
 * that it is chosen from. No engine runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend_world.h"

enum { USERS = 40000 };
static const uint32_t CHOICE_SUM = 0xdf7ae432; /* of same_everywhere: never changes */

/* -log2((hash | 1) / 2^64) * 2^32 from logarithms of 60 digits; 32 squarings may lose a unit. */
static void logarithm(void **state)
{
    (void)state;
    static const struct {
        uint64_t hash, bits;
    } known[] = {
        {UINT64_C(0x8000000000000000), UINT64_C(0x100000000)},  /* 1/2 */
        {UINT64_C(0x4000000000000000), UINT64_C(0x200000000)},  /* 1/4 */
        {UINT64_C(0xc000000000000000), UINT64_C(1782572486)},   /* log2(4/3) */
        {UINT64_C(0x5555555555555555), UINT64_C(6807362105)},   /* log2(3) */
        {UINT64_C(0x1999999999999999), UINT64_C(14267572527)},  /* log2(10) */
        {UINT64_C(0x0000000000000001), UINT64_C(0x4000000000)}, /* 64 */
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint64_t is = hash_bits_q32(known[i].hash);
        if (is + 2 < known[i].bits || is > known[i].bits + 2)
            fail_msg("%llx: %llu, want %llu", (unsigned long long)known[i].hash,
                     (unsigned long long)is, (unsigned long long)known[i].bits);
    }
    assert_true(hash_bits_q32(UINT64_MAX) > 0);
    assert_int_equal(hash_bits_q32(0), UINT64_C(0x4000000000));
    for (uint64_t i = 1, hash = 3; i < 100000; i++, hash += UINT64_MAX / 100000)
        assert_true(hash_bits_q32(hash) >= hash_bits_q32(hash + UINT64_MAX / 100000));
}

static struct backend_states *states;

static int states_open(void **state)
{
    (void)state;
    return backend_states_make(1, &states);
}

static int states_close(void **state)
{
    (void)state;
    backend_states_free(states);
    return 0;
}

/* Whom each of USERS has; -1: nobody. */
static void choose_all(const struct backend_pool_double *pool, int *chosen, unsigned *counts)
{
    struct backend_table *table = backend_table_double(states, pool);
    memset(counts, 0, DOUBLES * sizeof *counts);
    for (unsigned i = 0; i < USERS; i++) {
        char user[40];
        snprintf(user, sizeof user, "user%u@example.com", i);
        struct choice choice = {.pool = &table->pools[0], .user = slice_cstr(user)};
        const struct backend_member *member = choose(&choice, 0);
        chosen[i] = member != NULL ? (int)member_number(member) : -1;
        counts[member != NULL ? member_number(member) : 0] += member != NULL;
    }
    backend_table_free(table);
}

static struct backend_pool_double pool_of(unsigned count)
{
    struct backend_pool_double pool;
    backend_pool_double(&pool, "store", count);
    return pool;
}

static int before[USERS], after[USERS];
static unsigned counts[DOUBLES];

/* Chi-square with as many degrees of freedom as there are backends less one: 24.3 is passed by one
 * in a thousand of random choices with seven. */
static void shares(void **state)
{
    (void)state;
    static const unsigned weights[][DOUBLES] = {
        {100, 100, 100, 100, 100, 100, 100, 100},
        {1, 2, 3, 4, 5, 6, 7, 8},
        {1000, 100, 100, 100, 10, 500, 500, 65535},
        {3, 3, 3, 3, 7, 7, 7, 7},
    };
    for (size_t row = 0; row < sizeof weights / sizeof *weights; row++) {
        struct backend_pool_double pool = pool_of(DOUBLES);
        pool.options.backends = pool.backends;
        double sum = 0, chi = 0;
        for (unsigned i = 0; i < DOUBLES; i++) {
            pool.backends[i].weight = weights[row][i];
            sum += weights[row][i];
        }
        choose_all(&pool, before, counts);
        for (unsigned i = 0; i < DOUBLES; i++) {
            double want = USERS * weights[row][i] / sum;
            chi += (counts[i] - want) * (counts[i] - want) / want;
        }
        if (chi > 24.3)
            fail_msg("weights %zu: chi-square %f", row, chi);
    }
}

/* When one comes or goes, or its weight changes, only its own users move. */
static void few_move(void **state)
{
    (void)state;
    struct backend_pool_double pool = pool_of(DOUBLES), fewer = pool_of(DOUBLES - 1);
    pool.options.backends = pool.backends;
    fewer.options.backends = fewer.backends;
    for (unsigned i = 0; i < DOUBLES - 1; i++)
        pool.backends[i].weight = fewer.backends[i].weight = 100 + i % 3 * 50;
    choose_all(&pool, before, counts);
    unsigned of_last = counts[DOUBLES - 1], moved = 0;
    choose_all(&fewer, after, counts);
    for (unsigned i = 0; i < USERS; i++) {
        if (before[i] != DOUBLES - 1)
            assert_int_equal(after[i], before[i]);
        moved += after[i] != before[i];
    }
    assert_int_equal(moved, of_last);
    assert_true(moved > 2000 && moved < 8000);
    pool.backends[2].weight *= 2;
    choose_all(&pool, after, counts);
    for (unsigned i = 0; i < USERS; i++)
        assert_true(after[i] == before[i] || after[i] == 2);
}

/* The order of the config does not matter, and no machine or version chooses otherwise: gateways of
 * different ones stand side by side. */
static void same_everywhere(void **state)
{
    (void)state;
    struct backend_pool_double pool = pool_of(5), turned;
    pool.options.backends = pool.backends;
    for (unsigned i = 0; i < 5; i++)
        pool.backends[i].weight = 50 + 25 * i;
    turned = pool;
    turned.options.backends = turned.backends;
    for (unsigned i = 0; i < 5; i++)
        turned.backends[i] = pool.backends[4 - i];
    choose_all(&pool, before, counts);
    choose_all(&turned, after, counts);
    assert_memory_equal(before, after, sizeof before);
    uint32_t sum = crc32c(0, before, sizeof before);
    if (sum != CHOICE_SUM)
        fail_msg("the choices have changed: 0x%08x", sum);
}

static void who_may_be_chosen(void **state)
{
    (void)state;
    struct backend_pool_double pool = pool_of(4);
    pool.options.backends = pool.backends;
    pool.backends[0].weight = 0;
    pool.backends[1].tag = SLICE("old");
    pool.backends[2].ports[BACKEND_IMAP] = 0;
    struct backend_table *table = backend_table_double(states, &pool);
    struct backend_member *members = table->pools[0].members;
    for (unsigned i = 0; i < 100; i++) {
        char user[40];
        snprintf(user, sizeof user, "user%u", i);
        struct choice choice = {.pool = &table->pools[0], .user = slice_cstr(user)};
        assert_ptr_equal(choose(&choice, 0), &members[3]);
        choice.tag = SLICE("old");
        assert_ptr_equal(choose(&choice, 0), &members[1]);
        choice.tag = SLICE("new");
        assert_null(choose(&choice, 0));
        choice.tag = SLICE("");
        choice.protocol = BACKEND_SIEVE;
        assert_null(choose(&choice, 0));
        choice.protocol = BACKEND_IMAP;
        choice.tried[0] = &members[3];
        choice.tried_count = 1;
        assert_null(choose(&choice, 0));
        choice.tried_count = 0;
        atomic_store(&members[3].backend->will, BACKEND_DRAIN);
        assert_null(choose(&choice, 0));
        atomic_store(&members[3].backend->will, BACKEND_UP);
    }
    backend_table_free(table);
}

/* What is tried next is what would be chosen without the first: gateways agree on that too. */
static void next_best(void **state)
{
    (void)state;
    struct backend_pool_double pool = pool_of(6);
    pool.options.backends = pool.backends;
    struct backend_table *table = backend_table_double(states, &pool);
    unsigned second[6] = {0};
    for (unsigned i = 0; i < 6000; i++) {
        char user[40];
        snprintf(user, sizeof user, "user%u", i);
        struct choice choice = {.pool = &table->pools[0], .user = slice_cstr(user)};
        const struct backend_member *first = choose(&choice, 0);
        choice.tried[choice.tried_count++] = first;
        const struct backend_member *next = choose(&choice, 0);
        assert_ptr_not_equal(first, next);
        atomic_store(&first->backend->will, BACKEND_DOWN);
        choice.tried_count = 0;
        assert_ptr_equal(choose(&choice, 0), next);
        atomic_store(&first->backend->will, BACKEND_UP);
        if (member_number(first) == 0)
            second[member_number(next)]++;
    }
    for (unsigned i = 1; i < 6; i++) /* the users of a dead one go to all others */
        assert_true(second[i] > 100);
    backend_table_free(table);
}

/* ---------------------------------------------------------------- tables */

static unsigned problems;
static char last_problem[400];

static void count_problem(void *argument, const char *what)
{
    (void)argument;
    problems++;
    snprintf(last_problem, sizeof last_problem, "%s", what);
}

static void refuses(const struct backend_pool_options *pools, unsigned count, const char *want)
{
    struct backend_table *table = NULL;
    problems = 0;
    assert_int_equal(backend_table_make(states, pools, count, count_problem, NULL, &table),
                     -EINVAL);
    assert_null(table);
    if (problems != 1 || strstr(last_problem, want) == NULL)
        fail_msg("%u problems, the last %s, want %s", problems, last_problem, want);
}

static void bad_tables(void **state)
{
    (void)state;
    struct backend_pool_double pool = pool_of(3);
    struct backend_pool_options *options = &pool.options, two[2];
    options->backends = pool.backends;
    pool.backends[1].name = SLICE("b0");
    refuses(options, 1, "pool store, backend b0: another backend of the pool has this name");
    pool.backends[1].name = SLICE("b/0");
    refuses(options, 1, "a name is");
    pool.backends[1].name = SLICE("");
    refuses(options, 1, "a name is");
    pool.backends[1].name = SLICE("b1");
    pool.backends[1].family = 1;
    refuses(options, 1, "no address");
    pool.backends[1].family = 6;
    pool.backends[1].weight = BACKEND_WEIGHT_MAX + 1;
    refuses(options, 1, "weight");
    pool.backends[1].weight = 0;
    memset(pool.backends[1].ports, 0, sizeof pool.backends[1].ports);
    refuses(options, 1, "no port");
    pool.backends[1].ports[BACKEND_LMTP] = 24;
    options->login = BACKEND_LOGIN_MASTER;
    options->master_user = SLICE("master");
    refuses(options, 1, "a master has no password");
    options->master_password = SLICE("secret");
    options->judges = true;
    refuses(options, 1, "judge");
    options->judges = false;
    options->connect_ms_max = 0;
    refuses(options, 1, "maximum of time");
    options->connect_ms_max = 1;
    options->backend_count = 0;
    refuses(options, 1, "pool store: it has no backends");
    options->backend_count = 3;
    two[0] = two[1] = *options;
    refuses(two, 2, "another pool");
    options->backend_count = BACKENDS_MAX + 1;
    refuses(options, 1, "too many");
}

static void finds(void **state)
{
    (void)state;
    struct backend_pool_double pool = pool_of(3), other = pool_of(2);
    other.options.name = SLICE("other");
    other.options.any_address = true;
    other.backends[1].name = SLICE("only");
    struct backend_pool_options two[2] = {pool.options, other.options};
    two[0].backends = pool.backends;
    two[1].backends = other.backends;
    struct backend_table *table = NULL;
    const struct backend_member *member;
    assert_int_equal(backend_table_make(states, two, 2, NULL, NULL, &table), 0);
    assert_int_equal(member_find(table, SLICE("b1"), &member), 0);
    assert_ptr_equal(member, &table->pools[0].members[1]);
    assert_int_equal(member_find(table, SLICE("b0"), &member), -EEXIST);
    assert_int_equal(member_find(table, SLICE("other/b0"), &member), 0);
    assert_ptr_equal(member, &table->pools[1].members[0]);
    assert_int_equal(member_find(table, SLICE("store/only"), &member), -ENOENT);
    assert_int_equal(member_find(table, SLICE("*"), &member), -ENOENT);
    assert_int_equal(member_find(table, SLICE(""), &member), -ENOENT);
    assert_ptr_equal(backend_pool_find(table, SLICE("other")), &table->pools[1]);
    assert_null(backend_pool_find(table, SLICE("othe")));
    assert_ptr_equal(pool_member_at(&table->pools[0], 4, (uint8_t[16]){127, 0, 0, 2}),
                     &table->pools[0].members[1]);
    assert_null(pool_member_at(&table->pools[0], 6, (uint8_t[16]){127, 0, 0, 2}));
    assert_null(table->pools[0].elsewhere);
    assert_true(table->pools[1].elsewhere->backend->is_elsewhere);
    assert_ptr_equal(pool_member_of(&table->pools[1], table->pools[1].elsewhere->backend),
                     table->pools[1].elsewhere);
    /* A second table has the same states, but for what is new. */
    struct backend_table *next = NULL;
    two[0].name = SLICE("store2");
    assert_int_equal(backend_table_make(states, two, 2, NULL, NULL, &next), 0);
    assert_ptr_equal(next->pools[1].members[1].backend, table->pools[1].members[1].backend);
    assert_ptr_not_equal(next->pools[0].members[0].backend, table->pools[0].members[0].backend);
    backend_table_free(table);
    backend_table_free(next);
}

/* Names without end: told before memory is. */
static void states_are_bounded(void **state)
{
    (void)state;
    struct backend_pool_double pool = pool_of(DOUBLES);
    char name[32];
    int result = 0;
    unsigned tables = 0;
    pool.options.backends = pool.backends;
    for (; result == 0 && tables < BACKEND_STATES_MAX; tables++) {
        struct backend_table *table = NULL;
        snprintf(name, sizeof name, "pool%u", tables);
        pool.options.name = slice_cstr(name);
        result = backend_table_make(states, &pool.options, 1, count_problem, NULL, &table);
        backend_table_free(table);
    }
    assert_int_equal(result, -EINVAL);
    assert_int_equal(states->count, BACKEND_STATES_MAX);
    assert_non_null(strstr(last_problem, "too many different backends"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logarithm),
        cmocka_unit_test_setup_teardown(shares, states_open, states_close),
        cmocka_unit_test_setup_teardown(few_move, states_open, states_close),
        cmocka_unit_test_setup_teardown(same_everywhere, states_open, states_close),
        cmocka_unit_test_setup_teardown(who_may_be_chosen, states_open, states_close),
        cmocka_unit_test_setup_teardown(next_best, states_open, states_close),
        cmocka_unit_test_setup_teardown(bad_tables, states_open, states_close),
        cmocka_unit_test_setup_teardown(finds, states_open, states_close),
        cmocka_unit_test_setup_teardown(states_are_bounded, states_open, states_close),
    };
    return cmocka_run_group_tests_name("backend_choice", tests, NULL, NULL);
}
