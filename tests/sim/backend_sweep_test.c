/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each single allocation of what is known of backends and users fails in turn: while a core opens
 * it, while users are placed, held and moved, log-ins wait for their turn, checks are made and a
 * table is replaced. Whatever happens is told, nothing is left (the world's end sees to that), and
 * the same again works.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../unit/backend_world.h"
#include "sim.h"

static uint64_t failing_n; /* which allocation fails; 0: none */
static bool has_failed;
static unsigned told;

static void fail_begin(void)
{
    if (failing_n > 0)
        sim_fail_nth(harness_sim(), SIM_OPERATION_MEMORY, failing_n, 0, false);
}

static void fail_end(void)
{
    has_failed = failing_n > 0 && sim_nth_failed(harness_sim());
    sim_fail_nth(harness_sim(), SIM_OPERATION_MEMORY, 0, 0, false);
}

static bool went(int result)
{
    check(result == 0 || failing_n > 0);
    check(result == 0 || result == -ENOMEM || result == -EAGAIN || result == -ENOSPC);
    told += result != 0;
    return result == 0;
}

static void sweep(void (*body)(struct core *core, struct backend_world *world), unsigned least)
{
    unsigned failures = 0;
    has_failed = true;
    for (failing_n = 0; has_failed || failing_n == 1; failing_n++) {
        struct backend_world world = {.body = body, .cores = 2};
        backend_pool_double(&world.pool, "store", 6);
        world.pool.options.health_ms = 50;
        world.pool.options.connecting_max = 1;
        told = 0;
        backend_world_run(&world);
        failures += told > 0;
        check(failing_n < 1000);
    }
    print_message("  %llu tried, %u told\n", (unsigned long long)failing_n, failures);
    check(failing_n > least && failures + 4 >= failing_n / 2);
}

/* ---------------------------------------------------------------- users */

static bool stay(struct core *core, struct backend_world *world, const char *user)
{
    struct world_login login;
    bool is_in = went(world_place(core, world, user, &login)) &&
                 went(connecting_take(core, login.member, BACKEND_IMAP, 0));
    if (is_in) {
        connecting_give(core, login.member);
        is_in = went(user_settle(core, login.choice.user, login.claim));
    }
    world_leave(core, &login);
    return is_in;
}

static bool all_of_it(struct core *core, struct backend_world *world)
{
    struct backend_exception exception = {SLICE("user1"), SLICE("b1"), 0};
    bool went_well = true;
    for (unsigned i = 0; i < 100; i++) { /* tables grow */
        char user[40];
        snprintf(user, sizeof user, "user%u", i);
        went_well = stay(core, world, user) && went_well;
    }
    went_well = went(backend_exception_set(core, &exception)) && went_well;
    exception.backend = SLICE("");
    check_equal(backend_exception_set(core, &exception), 0);
    backend_capabilities(core, world->in_use, BACKEND_IMAP);
    return went_well;
}

static void users_body(struct core *core, struct backend_world *world)
{
    fiber_sleep(core, 500 * MS); /* the first checks have had their fibers */
    fail_begin();
    all_of_it(core, world);
    fail_end();
    check(all_of_it(core, world) || !has_failed);
}

static void users(void **state)
{
    (void)state;
    sweep(users_body, 10);
}

/* ---------------------------------------------------------------- tables */

static int adopt_here(struct core *core, void *table)
{
    return backends_adopt(core, table);
}

/* What a reload does: a table, then every core; whoever cannot stays with the old one. */
static void adopt_body(struct core *core, struct backend_world *world)
{
    static struct backend_pool_double next; /* checks go on behind this function */
    struct backend_table *table = NULL, *first, *before;
    bool has[2] = {false, false};
    next = world->pool;
    next.options.backends = next.backends;
    next.options.backend_count = 3;
    first = backend_world_adopt(core, world, &next);
    before = world->table;
    next.options.backend_count = 6;
    fail_begin();
    if (went(backend_table_make(world->states, &next.options, 1, NULL, NULL, &table)))
        for (unsigned i = 0; i < 2; i++)
            has[i] = went(core_call(core, i, adopt_here, table));
    fail_end();
    for (unsigned i = 0; i < 2; i++)
        check(table == NULL || has[i] || core_call(core, i, adopt_here, table) == 0);
    if (table == NULL)
        check_equal(backend_table_make(world->states, &next.options, 1, NULL, NULL, &table), 0);
    for (unsigned i = 0; i < 2; i++)
        check_equal(core_call(core, i, adopt_here, table), 0);
    fiber_sleep(core, 1000 * MS);
    backend_table_free(first);
    backend_table_free(before);
    world->table = table;
    world->in_use = &table->pools[0];
    for (unsigned i = 0; i < 6; i++)
        check(backend_double_asked(i) >= 2);
}

static void adopts(void **state)
{
    (void)state;
    sweep(adopt_body, 8);
}

static void open_body(struct core *core, struct backend_world *world)
{
    backends_close(core);
    fail_begin();
    bool is_open = went(backends_open(core, world->states, world->table));
    fail_end();
    if (!is_open)
        check_equal(backends_open(core, world->states, world->table), 0);
    fiber_sleep(core, 1000 * MS);
    for (unsigned i = 0; i < 6; i++)
        check(backend_double_asked(i) >= 2);
    check(all_of_it(core, world));
}

static void opens(void **state)
{
    (void)state;
    sweep(open_body, 4);
}

static int sweep_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users),
        cmocka_unit_test(adopts),
        cmocka_unit_test(opens),
    };
    return cmocka_run_group_tests_name("backend_sweep", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(sweep_tests);
}
