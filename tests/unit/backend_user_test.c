/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where users are: sessions, affinity, fail-over, two log-ins at once. All on fibers of an engine
 * of two cores, with backends that are a double of their checks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend_world.h"

/* ---------------------------------------------------------------- B1 */

/* With sessions, and for the affinity after them, he stays although he is hashed elsewhere. */
static void stays_body(struct core *core, struct backend_world *world)
{
    struct world_login one, two;
    struct backend_whereabouts where;
    char user[40];
    world_user_of(world, 2, user);
    check_equal(backend_will_set(core, SLICE("b2"), BACKEND_DRAIN), 0);
    world_place(core, world, user, &one);
    unsigned first = member_number(one.member);
    check(first != 2);
    check_equal(user_settle(core, one.choice.user, one.claim), 0);
    check_equal(backend_will_set(core, SLICE("store/b2"), BACKEND_UP), 0);
    world_log_in(core, world, user, first, &two);
    check_equal(backend_whereabouts(core, world->in_use, slice_cstr(user), &where), 0);
    check_equal(where.sessions, 2);
    check(strcmp(where.hashed, "store/b2") == 0 &&
          where.current[strlen("store/b")] == (char)('0' + first));
    check(strcmp(where.exception, "") == 0 && where.hold_ms == 0);
    world_leave(core, &one);
    world_leave(core, &two);
    fiber_sleep(core, 10 * MS); /* affinity */
    world_log_in(core, world, user, first, &one);
    world_leave(core, &one);
    fiber_sleep(core, 400 * MS);
    check_equal(backend_whereabouts(core, world->in_use, slice_cstr(user), &where), 0);
    check(where.current[0] == '\0' && where.sessions == 0);
    world_log_in(core, world, user, 2, &one);
    world_leave(core, &one);
    fiber_sleep(core, 2500 * MS); /* swept */
    check_equal(atomic_load(&world_member(world, 2)->backend->users), 0);
    check_equal(atomic_load(&world_member(world, first)->backend->users), 0);
}

static void stays(void **state)
{
    (void)state;
    world_run_two(stays_body, 3, 300);
}

/* A log-in that was given up leaves nothing, affinity neither. */
static void given_up_body(struct core *core, struct backend_world *world)
{
    struct world_login one;
    char user[40];
    world_user_of(world, 0, user);
    check_equal(world_place(core, world, user, &one), 0);
    check_equal(atomic_load(&world_member(world, 0)->backend->users), 1);
    world_leave(core, &one);
    fiber_sleep(core, 50 * MS);
    check_equal(atomic_load(&world_member(world, 0)->backend->users), 0);
    user_leave(core, NULL);
}

static void given_up(void **state)
{
    (void)state;
    world_run_two(given_up_body, 3, 100000);
}

/* One protocol dead: who is there is not given another for it; who is new goes elsewhere. All dead:
 * he may go. */
static void down_body(struct core *core, struct backend_world *world)
{
    struct world_login one, two, three;
    char user[40];
    world_user_of(world, 1, user);
    const struct backend_member *his = world_member(world, 1);
    world_log_in(core, world, user, 1, &one);
    world_kill_protocol(core, his, BACKEND_IMAP);
    check_equal(world_place(core, world, user, &two), -EAGAIN);
    check(two.claim == NULL);
    char other[40];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(other, sizeof other, "new%u", i);
        check_equal(world_place(core, world, other, &two), 0);
        check(member_number(two.member) != 1);
        world_leave(core, &two);
    }
    world_kill_protocol(core, his, BACKEND_POP3);
    check_equal(world_place(core, world, user, &two), 0);
    unsigned second = member_number(two.member);
    check(second != 1);
    check_equal(user_settle(core, two.choice.user, two.claim), 0);
    backend_worked(core, his, BACKEND_IMAP);
    backend_worked(core, his, BACKEND_IMAP); /* back, and his mail is now there */
    check(backend_is_alive(his->backend, BACKEND_IMAP));
    world_log_in(core, world, user, (unsigned)second, &three);
    world_leave(core, &one); /* the one left behind ends in between */
    world_leave(core, &three);
    world_leave(core, &two);
}

static void down(void **state)
{
    (void)state;
    world_run_two(down_body, 3, 0);
}

/* In the affinity his backend goes down, and the next one fails too: a third may have him. */
static void down_twice_body(struct core *core, struct backend_world *world)
{
    struct world_login one;
    char user[40];
    world_user_of(world, 1, user);
    world_log_in(core, world, user, 1, &one);
    world_leave(core, &one);
    world_kill(core, world_member(world, 1));
    check_equal(world_place(core, world, user, &one), 0);
    check(member_number(one.member) != 1);
    one.choice.tried[one.choice.tried_count++] = one.member;
    check_equal(user_place(core, &one.choice, &one.claim, &one.member), 0);
    world_leave(core, &one);
}

static void down_twice(void **state)
{
    (void)state;
    world_run_two(down_twice_body, 3, 100000);
}

/* X15: all of them dead: told at once. */
static void none_left_body(struct core *core, struct backend_world *world)
{
    struct world_login one;
    for (unsigned i = 0; i < 3; i++)
        world_kill(core, world_member(world, i));
    uint64_t before_ns = core_now_ns(core);
    for (unsigned i = 0; i < 50; i++) {
        char user[40];
        snprintf(user, sizeof user, "user%u", i);
        check_equal(world_place(core, world, user, &one), -EAGAIN);
    }
    if (harness_is_simulated())
        check(core_now_ns(core) < before_ns + 5000 * MS);
}

static void none_left(void **state)
{
    (void)state;
    struct backend_world world = {.body = none_left_body, .cores = 2};
    backend_pool_double(&world.pool, "store", 3);
    world.pool.options.health_ms = 1000000;
    backend_world_run(&world);
}

/* The operator's DRAIN and DOWN. */
static void will_body(struct core *core, struct backend_world *world)
{
    struct world_login one, two, three;
    struct backend_info info;
    char user[40], other[40];
    world_user_of(world, 1, user);
    world_log_in(core, world, user, 1, &one);
    check_equal(backend_will_set(core, SLICE("b1"), BACKEND_DRAIN), 0);
    world_log_in(core, world, user, 1, &two);
    for (unsigned i = 0; i < 30; i++) {
        snprintf(other, sizeof other, "other%u", i);
        check_equal(world_place(core, world, other, &three), 0);
        check(member_number(three.member) != 1);
        world_leave(core, &three);
    }
    check_equal(world_place(core, world, user, &three), 0);
    check_equal(backend_will_set(core, SLICE("b1"), BACKEND_DOWN), 0);
    check_equal(user_settle(core, three.choice.user, three.claim), -EAGAIN); /* too late */
    world_leave(core, &three);
    check(backend_info_get(core, 1, &info) && info.will == BACKEND_DOWN && info.users == 1);
    check(slice_equal(info.name, SLICE("b1")) && strcmp(info.address, "127.0.0.2") == 0);
    check(!backend_info_get(core, 3, &info));
    check_equal(world_place(core, world, user, &three), 0);
    check(member_number(three.member) != 1);
    check_equal(user_settle(core, three.choice.user, three.claim), 0);
    world_leave(core, &one);
    world_leave(core, &two);
    world_leave(core, &three);
    check_equal(backend_will_set(core, SLICE("b9"), BACKEND_UP), -ENOENT);
    check_equal(backend_will_of(world_member(world, 1)->backend), BACKEND_DOWN);
}

static void will(void **state)
{
    (void)state;
    world_run_two(will_body, 3, 1000);
}

/* ---------------------------------------------------------------- two log-ins at once */

/* The first that gets through decides; the other is refused, not left at a second backend. */
static void fail_over_body(struct core *core, struct backend_world *world)
{
    struct world_login one, two, three;
    char user[40];
    world_user_of(world, 0, user);
    for (unsigned turn = 0; turn < 2; turn++) {
        check_equal(world_place(core, world, user, &one), 0);
        check_equal(world_place(core, world, user, &two), 0);
        check_equal(member_number(one.member), 0);
        check_equal(member_number(two.member), 0);
        one.choice.tried[one.choice.tried_count++] = one.member;
        check_equal(user_place(core, &one.choice, &one.claim, &one.member), 0);
        unsigned next = member_number(one.member);
        check(next != 0);
        check_equal(world_place(core, world, user, &three), 0);
        check_equal(member_number(three.member), next); /* with the one under way */
        struct world_login *first = turn == 0 ? &one : &two, *second = turn == 0 ? &two : &one;
        check_equal(user_settle(core, first->choice.user, first->claim), 0);
        check_equal(user_settle(core, second->choice.user, second->claim), -EAGAIN);
        check_equal(user_settle(core, three.choice.user, three.claim), turn == 0 ? 0 : -EAGAIN);
        world_leave(core, second);
        world_leave(core, &three);
        world_leave(core, first);
    }
    /* With a session there, the next log-in is not tried elsewhere. */
    world_log_in(core, world, user, 0, &one);
    check_equal(world_place(core, world, user, &two), 0);
    two.choice.tried[two.choice.tried_count++] = two.member;
    check_equal(user_place(core, &two.choice, &two.claim, &two.member), -EAGAIN);
    check(two.claim != NULL);
    world_leave(core, &two);
    world_leave(core, &one);
}

static void fail_over(void **state)
{
    (void)state;
    world_run_two(fail_over_body, 4, 0);
}

enum { PEOPLE = 12, VISITS = 40 };

struct crowd {
    struct backend_world *world;
    atomic_uint left, refused, settled;
    _Atomic int where[PEOPLE]; /* number of the backend, times 1000, plus sessions; -1: none */
};

static struct crowd crowd;

struct visitor {
    struct core *core;
    unsigned person, seed;
};

static uint64_t draw(struct visitor *visitor)
{
    visitor->seed++;
    return hash_u64(visitor->seed * UINT64_C(0x9e3779b97f4a7c15) + visitor->person);
}

static void visit(struct visitor *visitor)
{
    struct core *core = visitor->core;
    struct world_login login;
    char user[40];
    snprintf(user, sizeof user, "person%u", visitor->person);
    int result = world_place(core, crowd.world, user, &login);
    check_equal(result, 0);
    while (draw(visitor) % 3 == 0 && login.choice.tried_count < 2) {
        fiber_sleep(core, draw(visitor) % 3 * MS);
        login.choice.tried[login.choice.tried_count++] = login.member;
        if (user_place(core, &login.choice, &login.claim, &login.member) < 0) {
            world_leave(core, &login);
            return;
        }
    }
    if (user_settle(core, login.choice.user, login.claim) < 0) {
        atomic_fetch_add(&crowd.refused, 1);
    } else {
        atomic_fetch_add(&crowd.settled, 1);
        int number = (int)member_number(login.member),
            old = atomic_load(&crowd.where[visitor->person]);
        do
            check(old == 0 || old / 1000 == number + 1); /* B1 */
        while (!atomic_compare_exchange_weak(&crowd.where[visitor->person], &old,
                                             old == 0 ? (number + 1) * 1000 + 1 : old + 1));
        fiber_sleep(core, draw(visitor) % 5 * MS);
        old = atomic_load(&crowd.where[visitor->person]);
        while (!atomic_compare_exchange_weak(&crowd.where[visitor->person], &old,
                                             old % 1000 == 1 ? 0 : old - 1))
            continue;
    }
    world_leave(core, &login);
}

static void visitor_fiber(void *argument)
{
    struct visitor *visitor = argument;
    for (unsigned i = 0; i < VISITS; i++) {
        visit(visitor);
        fiber_sleep(visitor->core, draw(visitor) % 4 * MS);
    }
    free(visitor);
    atomic_fetch_sub(&crowd.left, 1);
}

static int visitors_start(struct core *core, void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < PEOPLE * 3; i++) {
        struct visitor *visitor = malloc(sizeof *visitor);
        check(visitor != NULL);
        *visitor = (struct visitor){core, i % PEOPLE, i * 7919 + core_index(core) * 104729};
        atomic_fetch_add(&crowd.left, 1);
        check_equal(fiber_start(core, visitor_fiber, visitor), 0);
    }
    return 0;
}

static void crowd_body(struct core *core, struct backend_world *world)
{
    crowd.world = world;
    atomic_fetch_add(&crowd.left, 1);
    for (unsigned i = 0; i < world->cores; i++)
        check_equal(core_call(core, i, visitors_start, NULL), 0);
    atomic_fetch_sub(&crowd.left, 1);
    world_wait(core, atomic_load(&crowd.left) == 0);
    check(atomic_load(&crowd.settled) > PEOPLE * VISITS);
    check(atomic_load(&crowd.refused) > 0);
    for (unsigned i = 0; i < PEOPLE; i++)
        check_equal(atomic_load(&crowd.where[i]), 0);
}

static void two_cores(void **state)
{
    (void)state;
    memset(&crowd, 0, sizeof crowd);
    world_run_two(crowd_body, 4, 0);
}

/* ---------------------------------------------------------------- limits */

static void connections_body(struct core *core, struct backend_world *world)
{
    const struct backend_member *member = world_member(world, 0);
    (void)core;
    for (unsigned i = 0; i < 5; i++)
        check_equal(backend_take(member), 0);
    check_equal(backend_take(member), -EUSERS);
    check_equal(backend_take(world_member(world, 1)), 0);
    backend_give(world_member(world, 1)->backend);
    backend_give(member->backend);
    check_equal(backend_take(member), 0);
    for (unsigned i = 0; i < 5; i++)
        backend_give(member->backend);
    check_equal(atomic_load(&member->backend->sessions), 0);
}

static void connections(void **state)
{
    (void)state;
    struct backend_world world = {.body = connections_body};
    backend_pool_double(&world.pool, "store", 2);
    world.pool.options.connections_max = 5;
    backend_world_run(&world);
}

static int user_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays),      cmocka_unit_test(given_up),  cmocka_unit_test(down),
        cmocka_unit_test(down_twice), cmocka_unit_test(none_left), cmocka_unit_test(will),
        cmocka_unit_test(fail_over),  cmocka_unit_test(two_cores), cmocka_unit_test(connections),
    };
    return cmocka_run_group_tests_name("backend_user", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(user_tests);
}
