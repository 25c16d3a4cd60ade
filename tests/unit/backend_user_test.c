/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where users are: sessions, affinity, fail-over, moves, holds. All on fibers of an engine of two
 * cores, with backends that are a double of their checks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend_world.h"

static void world_pool(struct backend_world *world, unsigned count)
{
    backend_pool_double(&world->pool, "store", count);
}

static void run_two(void (*body)(struct core *core, struct backend_world *world), unsigned count,
                    uint64_t affinity_ms)
{
    struct backend_world world = {.body = body, .cores = 2};
    world_pool(&world, count);
    world.pool.options.affinity_ms = affinity_ms;
    backend_world_run(&world);
}

static void kill_protocol(struct core *core, const struct backend_member *member,
                          enum backend_protocol protocol)
{
    for (unsigned i = 0; i < member->pool->options->down_after; i++)
        backend_failed(core, member, protocol, "refused", true);
    check(!backend_is_alive(member->backend, protocol));
}

static void kill_backend(struct core *core, const struct backend_member *member)
{
    kill_protocol(core, member, BACKEND_IMAP);
    kill_protocol(core, member, BACKEND_POP3);
    check(!backend_is_up(member));
}

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
    run_two(stays_body, 3, 300);
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
    run_two(given_up_body, 3, 100000);
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
    kill_protocol(core, his, BACKEND_IMAP);
    check_equal(world_place(core, world, user, &two), -EAGAIN);
    check(two.claim == NULL);
    char other[40];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(other, sizeof other, "new%u", i);
        check_equal(world_place(core, world, other, &two), 0);
        check(member_number(two.member) != 1);
        world_leave(core, &two);
    }
    kill_protocol(core, his, BACKEND_POP3);
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
    run_two(down_body, 3, 0);
}

/* All of them dead: told at once. */
static void none_left_body(struct core *core, struct backend_world *world)
{
    struct world_login one;
    for (unsigned i = 0; i < 3; i++)
        kill_backend(core, world_member(world, i));
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
    world_pool(&world, 3);
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
    run_two(will_body, 3, 1000);
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
    run_two(fail_over_body, 4, 0);
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
    run_two(crowd_body, 4, 0);
}

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
    kill_backend(core, world_member(world, 2)); /* his mail is there and nowhere else */
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
    run_two(moved_body, 3, 0);
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
    run_two(held_body, 3, 0);
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
    check_equal(make_exception(core, "somebody", "b2", 0), 0); /* is there already */
    atomic_store(&world->states->exceptions, 1);
}

static void hold_ends(void **state)
{
    (void)state;
    run_two(hold_ends_body, 3, 0);
}

/* ---------------------------------------------------------------- directories, reloads */

static void directory_body(struct core *core, struct backend_world *world)
{
    struct world_login one, two;
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
    world_log_in(core, world, user, 0, &one); /* the directory says nothing: by hash */
    world_leave(core, &one);
    world_leave(core, &two);
}

static void directory(void **state)
{
    (void)state;
    struct backend_world world = {.body = directory_body, .cores = 2};
    world_pool(&world, 3);
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
    next.options.backend_count = 2; /* it is gone */
    before = backend_world_adopt(core, world, &next);
    check_equal(world_place(core, world, user, &two), 0);
    check(member_number(two.member) < 2);
    check_equal(user_settle(core, two.choice.user, two.claim), 0);
    world_leave(core, &one);
    world_leave(core, &two);
    backend_table_free(before);
    next.options.backend_count = 3;
    before = backend_world_adopt(core, world, &next);
    backend_table_free(before);
}

static void reload(void **state)
{
    (void)state;
    run_two(reload_body, 3, 0);
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
    world_pool(&world, 2);
    world.pool.options.connections_max = 5;
    backend_world_run(&world);
}

static int user_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays),       cmocka_unit_test(given_up),  cmocka_unit_test(down),
        cmocka_unit_test(none_left),   cmocka_unit_test(will),      cmocka_unit_test(fail_over),
        cmocka_unit_test(two_cores),   cmocka_unit_test(moved),     cmocka_unit_test(held),
        cmocka_unit_test(hold_ends),   cmocka_unit_test(directory), cmocka_unit_test(reload),
        cmocka_unit_test(connections),
    };
    return cmocka_run_group_tests_name("backend_user", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(user_tests);
}
