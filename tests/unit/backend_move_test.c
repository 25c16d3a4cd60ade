/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Users who are moved: the operator's exceptions and holds, what directories say, reloads. All on
 * fibers of an engine of two cores, with backends that are a double of their checks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend_world.h"

/* ---------------------------------------------------------------- exceptions */

static int make_exception(struct core *core, const char *user, const char *backend,
                          uint64_t hold_ms)
{
    struct backend_exception exception = {slice_cstr(user), slice_cstr(backend), hold_ms};
    return backend_exception_set(core, &exception);
}

static void moved_body(struct core *core, struct backend_world *world)
{
    struct world_login one, two, three;
    struct backend_whereabouts where;
    char user[40];
    world_user_of(world, 0, user);
    world_log_in(core, world, user, 0, &one);
    check_equal(world_place(core, world, user, &two), 0); /* overlaps the move */
    check_equal(make_exception(core, user, "b7", 0), -ENOENT);
    check_equal(make_exception(core, user, "store/b2", 0), 0);
    check_equal(atomic_load(&world->states->exceptions), 1);
    check_equal(user_settle(core, two.choice.user, two.claim), -EAGAIN);
    world_leave(core, &two);
    world_log_in(core, world, user, 2, &two);
    world_leave(core, &one);
    check_equal(backend_whereabouts(core, world->in_use, slice_cstr(user), &where), 0);
    check(strcmp(where.current, "store/b2") == 0 && strcmp(where.exception, "store/b2") == 0 &&
          strcmp(where.hashed, "store/b0") == 0 && where.sessions == 1);
    world_kill(core, world_member(world, 2)); /* his mail is there and nowhere else */
    check_equal(world_place(core, world, user, &three), -EAGAIN);
    world_leave(core, &two);
    check_equal(make_exception(core, user, "", 0), 0);
    check_equal(atomic_load(&world->states->exceptions), 0);
    world_log_in(core, world, user, 0, &one);
    world_leave(core, &one);
    check_equal(make_exception(core, "nobody", "", 0), 0);
}

static void moved(void **state)
{
    (void)state;
    world_run_two(moved_body, 3, 0);
}

struct held {
    struct core *core;
    struct backend_world *world;
    const char *user;
    uint64_t deadline_ms; /* from now */
    atomic_int result;    /* 1: not yet */
    _Atomic uint64_t ms;
    _Atomic unsigned number;
};

static void held_fiber(void *argument)
{
    struct held *held = argument;
    uint64_t before_ns = core_now_ns(held->core);
    struct user_claim *claim = NULL;
    const struct backend_member *member = NULL;
    struct choice choice = {.pool = held->world->in_use,
                            .user = slice_cstr(held->user),
                            .deadline_ns = before_ns + held->deadline_ms * MS};
    int result = user_place(held->core, &choice, &claim, &member);
    atomic_store(&held->number, result == 0 ? member_number(member) : 99);
    atomic_store(&held->ms, (core_now_ns(held->core) - before_ns) / MS);
    user_leave(held->core, claim);
    atomic_store(&held->result, result);
}

static void hold(struct core *core, struct backend_world *world, const char *user,
                 uint64_t deadline_ms, struct held *held)
{
    memset(held, 0, sizeof *held);
    held->core = core;
    held->world = world;
    held->user = user;
    held->deadline_ms = deadline_ms;
    held->result = 1;
    check_equal(fiber_start(core, held_fiber, held), 0);
}

static void held_body(struct core *core, struct backend_world *world)
{
    static struct held waits[30];
    struct world_login one;
    char users[2][40] = {"", ""};
    /* One at home here, one on the other core. */
    for (unsigned i = 0; users[0][0] == '\0' || users[1][0] == '\0'; i++) {
        char user[40];
        snprintf(user, sizeof user, "user%u", i);
        memcpy(users[user_home(core, slice_cstr(user))], user, sizeof user);
    }
    for (unsigned i = 0; i < 2; i++) {
        const char *user = users[i];
        check_equal(world_place(core, world, user, &one), 0);
        check_equal(make_exception(core, user, "b1", 200), 0);
        check_equal(user_settle(core, one.choice.user, one.claim), -EAGAIN); /* began before */
        world_leave(core, &one);
        hold(core, world, user, 10000, &waits[0]);
        hold(core, world, user, 40, &waits[1]);
        check_equal(world_place(core, world, user, &one), -EPERM); /* no time to wait */
        check_equal(world_place(core, world, "somebody else", &one), 0);
        world_leave(core, &one);
        world_wait(core, atomic_load(&waits[1].result) == -EPERM);
        check(atomic_load(&waits[1].ms) >= 40);
        check_equal(atomic_load(&waits[0].result), 1);
        world_wait(core, atomic_load(&waits[0].result) == 0); /* it is over */
        check(atomic_load(&waits[0].ms) >= 150);
        check_equal(atomic_load(&waits[0].number), 1);
        /* Taken back early: they go on at once. */
        check_equal(make_exception(core, user, "", 60000), 0);
        hold(core, world, user, 50000, &waits[0]);
        fiber_sleep(core, 30 * MS);
        check_equal(atomic_load(&waits[0].result), 1);
        check_equal(make_exception(core, user, "b2", 0), 0);
        world_wait(core, atomic_load(&waits[0].result) == 0);
        check(atomic_load(&waits[0].ms) < 30000);
        check_equal(atomic_load(&waits[0].number), 2);
        /* So many wait, no more. */
        check_equal(make_exception(core, user, "", 60000), 0);
        for (unsigned k = 0; k < 30; k++)
            hold(core, world, user, 50000, &waits[k]);
        fiber_sleep(core, 100 * MS);
        unsigned refused = 0;
        for (unsigned k = 0; k < 30; k++)
            refused += atomic_load(&waits[k].result) == -EPERM;
        check_equal(refused, 10);
        check_equal(make_exception(core, user, "", 0), 0);
        for (unsigned k = 0; k < 30; k++)
            world_wait(core, atomic_load(&waits[k].result) != 1);
    }
}

static void held(void **state)
{
    (void)state;
    world_run_two(held_body, 3, 0);
}

/* A hold that nobody takes back is forgotten by itself. */
static void hold_ends_body(struct core *core, struct backend_world *world)
{
    check_equal(make_exception(core, "somebody", "", 100), 0);
    check_equal(atomic_load(&world->states->exceptions), 1);
    world_wait(core, atomic_load(&world->states->exceptions) == 0);
    check_equal(make_exception(core, "somebody", "b1", 100), 0); /* the backend stays */
    fiber_sleep(core, 3000 * MS);
    check_equal(atomic_load(&world->states->exceptions), 1);
    atomic_store(&world->states->exceptions, BACKEND_EXCEPTIONS_MAX);
    check_equal(make_exception(core, "another", "b1", 0), -ENOSPC);
    check_equal(atomic_load(&world->states->exceptions), BACKEND_EXCEPTIONS_MAX);
    check_equal(make_exception(core, "somebody", "b2", 0), 0); /* is there already */
    atomic_store(&world->states->exceptions, 1);
}

static void hold_ends(void **state)
{
    (void)state;
    world_run_two(hold_ends_body, 3, 0);
}

/* ---------------------------------------------------------------- directories, reloads */

static void directory_body(struct core *core, struct backend_world *world)
{
    struct world_login one, two, three;
    char user[40];
    world_user_of(world, 0, user);
    world_log_in(core, world, user, 0, &one);
    memset(&two, 0, sizeof two);
    two.choice = (struct choice){
        .pool = world->in_use, .user = slice_cstr(user), .fixed = world_member(world, 1)};
    check_equal(user_place(core, &two.choice, &two.claim, &two.member), 0);
    check_equal(member_number(two.member), 1);
    two.choice.tried[two.choice.tried_count++] = two.member;
    check_equal(user_place(core, &two.choice, &two.claim, &two.member), -EAGAIN);
    world_leave(core, &two);
    two.choice.tried_count = 0;
    two.choice.fixed = world->in_use->elsewhere;
    check_equal(user_place(core, &two.choice, &two.claim, &two.member), 0);
    check(two.member == world->in_use->elsewhere);
    check_equal(user_settle(core, two.choice.user, two.claim), -0);
    world_leave(core, &one);
    one.choice = two.choice;
    one.choice.tried_count = 0;
    check_equal(user_place(core, &one.choice, &one.claim, &one.member), 0); /* under way */
    world_log_in(core, world, user, 0, &three); /* the directory says nothing: by hash */
    world_leave(core, &three);
    world_leave(core, &one);
    world_log_in(core, world, user, 0, &one);
    world_leave(core, &one);
    world_leave(core, &two);
}

static void directory(void **state)
{
    (void)state;
    struct backend_world world = {.body = directory_body, .cores = 2};
    backend_pool_double(&world.pool, "store", 3);
    world.pool.options.any_address = true;
    backend_world_run(&world);
}

static void reload_body(struct core *core, struct backend_world *world)
{
    struct world_login one, two;
    char user[40];
    world_user_of(world, 2, user);
    world_log_in(core, world, user, 2, &one);
    struct backend_pool_double next = world->pool;
    next.options.backends = next.backends;
    next.backends[2].weight = 0; /* what is there stays */
    struct backend_table *before = backend_world_adopt(core, world, &next);
    check(before->pools[0].members[2].backend == world->in_use->members[2].backend);
    world_log_in(core, world, user, 2, &two);
    world_leave(core, &two);
    backend_table_free(before);
    check_equal(make_exception(core, "moved", "b2", 0), 0);
    next.options.backend_count = 2; /* it is gone */
    before = backend_world_adopt(core, world, &next);
    check_equal(world_place(core, world, "moved", &two), 0); /* the exception is passed over */
    check(member_number(two.member) < 2);
    check_equal(user_settle(core, two.choice.user, two.claim), 0);
    world_leave(core, &two);
    check_equal(world_place(core, world, user, &two), 0);
    check(member_number(two.member) < 2);
    check_equal(user_settle(core, two.choice.user, two.claim), 0);
    world_leave(core, &one);
    world_leave(core, &two);
    backend_table_free(before);
    next.options.backend_count = 3;
    before = backend_world_adopt(core, world, &next);
    backend_table_free(before);
    world_log_in(core, world, "moved", 2, &two); /* and holds again */
    world_leave(core, &two);
    check_equal(make_exception(core, "moved", "", 0), 0);
}

static void reload(void **state)
{
    (void)state;
    world_run_two(reload_body, 3, 0);
}

static int move_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moved),     cmocka_unit_test(held),   cmocka_unit_test(hold_ends),
        cmocka_unit_test(directory), cmocka_unit_test(reload),
    };
    return cmocka_run_group_tests_name("backend_move", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(move_tests);
}
