/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whether backends are alive: checks, failures of log-ins, what comes after them, and log-ins that
 * wait for their turn. On fibers of an engine; a check is answered by a double.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend_world.h"

static const uint64_t HEALTH_MS = 80;

static void world_of(struct backend_world *world, unsigned count,
                     void (*body)(struct core *core, struct backend_world *world))
{
    *world = (struct backend_world){.body = body, .cores = 2};
    backend_pool_double(&world->pool, "store", count);
    world->pool.options.health_ms = HEALTH_MS;
}

static bool is_alive(const struct backend_world *world, unsigned number,
                     enum backend_protocol protocol)
{
    return backend_is_alive(world_member(world, number)->backend, protocol);
}

static int gauge_of(struct core *core, void *sum)
{
    *(int64_t *)sum += (int64_t)core_counters(core)->value[COUNTER_BACKENDS_ALIVE];
    return 0;
}

static int64_t gauge(struct core *core, const struct backend_world *world)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < world->cores; i++)
        check_equal(core_call(core, i, gauge_of, &sum), 0);
    return sum;
}

/* ---------------------------------------------------------------- checks */

/* All protocols at the start, then each in turn, about every health_ms. */
static void asked_body(struct core *core, struct backend_world *world)
{
    for (unsigned i = 0; i < 4; i++) {
        world_wait(core, atomic_load(&backend_doubles[i].asked[BACKEND_IMAP]) > 0);
        world_wait(core, atomic_load(&backend_doubles[i].asked[BACKEND_POP3]) > 0);
        check(backend_double_asked(i) <= 3);
    }
    uint64_t before_ns = core_now_ns(core);
    unsigned before = backend_double_asked(1);
    fiber_sleep(core, 20 * HEALTH_MS * MS);
    uint64_t gone_ms = (core_now_ns(core) - before_ns) / MS;
    unsigned asked = backend_double_asked(1) - before;
    check(asked <= gone_ms * 8 / (HEALTH_MS * 7) + 1);
    if (harness_is_simulated())
        check(asked >= 10);
    unsigned imap = atomic_load(&backend_doubles[1].asked[BACKEND_IMAP]);
    unsigned pop3 = atomic_load(&backend_doubles[1].asked[BACKEND_POP3]);
    check(imap <= pop3 + 1 && pop3 <= imap + 1);
    check_equal(atomic_load(&backend_doubles[1].asked[BACKEND_SIEVE]), 0);
    check_equal(gauge(core, world), 4);
}

static void asked(void **state)
{
    (void)state;
    struct backend_world world;
    world_of(&world, 4, asked_body);
    backend_world_run(&world);
}

/* Dead after so many in a row, alive after so many in a row, no other. */
static void in_a_row_body(struct core *core, struct backend_world *world)
{
    struct backend_double *answer = &backend_doubles[1];
    struct backend_info info;
    world_wait(core, backend_double_asked(0) >= 2 && backend_double_asked(1) >= 2);
    check(backend_info_get(core, 1, &info) && info.is_alive && info.problem[0] == '\0');
    atomic_store(&answer->result, -ECONNREFUSED);
    unsigned before = backend_double_asked(1);
    world_wait(core, !backend_is_up(world_member(world, 1)));
    check(backend_double_asked(1) - before >= 5); /* 3 each, one of them all alone */
    check(backend_info_get(core, 1, &info) && !info.is_alive);
    check(strcmp(info.problem, "refused") == 0 && info.failures >= 6);
    check(is_alive(world, 0, BACKEND_IMAP) && is_alive(world, 0, BACKEND_POP3));
    world_wait(core, gauge(core, world) == 1);
    check_equal(backend_dead_ns(world_member(world, 1)->backend), 0); /* it refuses */
    before = backend_double_asked(1);
    world_wait(core, backend_double_asked(1) - before >= 6); /* it is asked on */
    check(!is_alive(world, 1, BACKEND_IMAP) && !is_alive(world, 1, BACKEND_POP3));
    atomic_store(&answer->result, 0);
    before = backend_double_asked(1);
    world_wait(core, is_alive(world, 1, BACKEND_IMAP) && is_alive(world, 1, BACKEND_POP3));
    check(backend_double_asked(1) - before >= 5); /* one may have been under way */
    check(backend_info_get(core, 1, &info) && info.is_alive);
    world_wait(core, gauge(core, world) == 2);
}

static void in_a_row(void **state)
{
    (void)state;
    struct backend_world world;
    world_of(&world, 2, in_a_row_body);
    world.pool.options.down_after = 3;
    world.pool.options.up_after = 3;
    backend_world_run(&world);
}

/* A backend that says nothing is dead for its sessions, too; one that refuses is not, nor one that
 * answers for a protocol. */
static void silent_body(struct core *core, struct backend_world *world)
{
    struct backend_double *answer = &backend_doubles[1];
    const struct backend_member *member = world_member(world, 1);
    world_wait(core, backend_double_asked(0) >= 2 && backend_double_asked(1) >= 2);
    atomic_store(&answer->result, -ETIMEDOUT);
    atomic_store(&answer->wait_ns, world->pool.options.connect_ms_max * MS);
    uint64_t before_ns = core_now_ns(core);
    world_wait(core, backend_dead_ns(member->backend) != 0);
    uint64_t dead_ns = backend_dead_ns(member->backend);
    check(!backend_is_up(member) && dead_ns > before_ns && dead_ns <= core_now_ns(core));
    check_equal(backend_dead_ns(world_member(world, 0)->backend), 0);
    unsigned before = backend_double_asked(1);
    world_wait(core, backend_double_asked(1) - before >= 4);
    check_equal(backend_dead_ns(member->backend), dead_ns);
    atomic_store(&answer->wait_ns, 0); /* its kernel is there */
    world_wait(core, backend_dead_ns(member->backend) == 0);
    check(!backend_is_up(member));
    atomic_store(&answer->wait_ns, world->pool.options.connect_ms_max * MS);
    world_wait(core, backend_dead_ns(member->backend) != 0);
    atomic_store(&answer->result, 0);
    atomic_store(&answer->wait_ns, 0);
    world_wait(core, backend_dead_ns(member->backend) == 0);
    world_wait(core, backend_is_up(member));
}

static void silent(void **state)
{
    (void)state;
    struct backend_world world;
    world_of(&world, 2, silent_body);
    world.pool.options.connect_ms_max = 50;
    backend_world_run(&world);
}

/* One of its services broke: the others go on. */
static void one_protocol_body(struct core *core, struct backend_world *world)
{
    atomic_store(&backend_doubles[0].broken, 1u << BACKEND_POP3);
    world_wait(core, !is_alive(world, 0, BACKEND_POP3));
    unsigned before = atomic_load(&backend_doubles[0].asked[BACKEND_IMAP]);
    world_wait(core, atomic_load(&backend_doubles[0].asked[BACKEND_IMAP]) >= before + 4);
    check(is_alive(world, 0, BACKEND_IMAP));
    check(backend_is_up(world_member(world, 0)));
    check_equal(gauge(core, world), 1);
}

static void one_protocol(void **state)
{
    (void)state;
    struct backend_world world;
    world_of(&world, 1, one_protocol_body);
    backend_world_run(&world);
}

/* What fails here for want of memory is not the backend's fault. */
static void our_fault_body(struct core *core, struct backend_world *world)
{
    world_wait(core, backend_double_asked(0) >= 2);
    atomic_store(&backend_doubles[0].result, -ENOMEM);
    unsigned before = backend_double_asked(0);
    world_wait(core, backend_double_asked(0) >= before + 4);
    atomic_store(&backend_doubles[0].result, -ENFILE);
    world_wait(core, backend_double_asked(0) >= before + 8);
    check(is_alive(world, 0, BACKEND_IMAP) && is_alive(world, 0, BACKEND_POP3));
}

static void our_fault(void **state)
{
    (void)state;
    struct backend_world world;
    world_of(&world, 1, our_fault_body);
    backend_world_run(&world);
}

/* Checks that take long hold neither fibers without end nor the end itself. */
static void slow_checks_body(struct core *core, struct backend_world *world)
{
    unsigned most = 0;
    for (unsigned i = 0; i < DOUBLES; i++)
        atomic_store(&backend_doubles[i].wait_ns, 300 * MS);
    for (unsigned turn = 0; turn < 100; turn++) {
        unsigned here = 0;
        for (unsigned i = 0; i < DOUBLES; i++) {
            unsigned of_one = atomic_load(&backend_doubles[i].under_way);
            check(of_one <= 1); /* one at a time of each */
            here += of_one;
        }
        most = here > most ? here : most;
        fiber_sleep(core, 10 * MS);
    }
    check(most >= 3);
    (void)world;
}

static void slow_checks(void **state)
{
    (void)state;
    struct backend_world world;
    world_of(&world, DOUBLES, slow_checks_body);
    backend_world_run(&world);
}

/* ---------------------------------------------------------------- log-ins tell too */

static int fail_here(struct core *core, void *member)
{
    backend_failed(core, member, BACKEND_IMAP, "timed out", true);
    return 0;
}

/* Failures of log-ins on two cores are one row; what is no failure to connect is none; the change
 * brings checks of the other protocols at once. */
static void passive_body(struct core *core, struct backend_world *world)
{
    const struct backend_member *member = world_member(world, 0);
    world_wait(core, backend_double_asked(0) >= 2);
    atomic_store(&backend_doubles[0].result, -ETIMEDOUT);
    for (unsigned i = 0; i < 20; i++)
        backend_failed(core, member, BACKEND_IMAP, "unavailable", false);
    check(is_alive(world, 0, BACKEND_IMAP));
    backend_failed(core, member, BACKEND_IMAP, "timed out", true);
    check(is_alive(world, 0, BACKEND_IMAP));
    backend_worked(core, member, BACKEND_IMAP); /* not in a row */
    backend_failed(core, member, BACKEND_IMAP, "timed out", true);
    check(is_alive(world, 0, BACKEND_IMAP));
    unsigned before = atomic_load(&backend_doubles[0].asked[BACKEND_POP3]);
    check_equal(core_call(core, 1, fail_here, (void *)member), 0);
    check(!is_alive(world, 0, BACKEND_IMAP));
    uint64_t now_ns = core_now_ns(core);
    world_wait(core, atomic_load(&backend_doubles[0].asked[BACKEND_POP3]) > before);
    if (harness_is_simulated())
        check(core_now_ns(core) - now_ns < 20000 * MS); /* health_ms is 100 s */
}

static void passive(void **state)
{
    (void)state;
    struct backend_world world;
    world_of(&world, 1, passive_body);
    world.pool.options.health_ms = 100000;
    backend_world_run(&world);
}

/* Without checks a dead backend is tried by one log-in a second. */
static void no_checks_body(struct core *core, struct backend_world *world)
{
    const struct backend_member *member = world_member(world, 0);
    struct choice choice = {.pool = world->in_use, .user = SLICE("somebody")};
    fiber_sleep(core, 300 * MS);
    check_equal(backend_double_asked(0), 0);
    backend_failed(core, member, BACKEND_IMAP, "refused", true);
    backend_failed(core, member, BACKEND_IMAP, "refused", true);
    check(!is_alive(world, 0, BACKEND_IMAP));
    check(choose(&choice, core_now_ns(core)) == NULL);
    check_equal(connecting_take(core, member, BACKEND_IMAP, 0), -EAGAIN);
    fiber_sleep(core, 1000 * MS);
    check(choose(&choice, core_now_ns(core)) == member);
    check_equal(connecting_take(core, member, BACKEND_IMAP, 0), 0);
    check_equal(connecting_take(core, member, BACKEND_IMAP, 0), -EAGAIN);
    check(choose(&choice, core_now_ns(core)) == NULL);
    backend_worked(core, member, BACKEND_IMAP);
    backend_failed(core, member, BACKEND_IMAP, "refused", true); /* not in a row */
    backend_worked(core, member, BACKEND_IMAP);
    check(!is_alive(world, 0, BACKEND_IMAP));
    backend_worked(core, member, BACKEND_IMAP);
    check(is_alive(world, 0, BACKEND_IMAP));
    connecting_give(core, member);
    check_equal(connecting_take(core, member, BACKEND_IMAP, 0), 0);
    connecting_give(core, member);
}

static void no_checks(void **state)
{
    (void)state;
    struct backend_world world;
    world_of(&world, 1, no_checks_body);
    world.pool.options.health_ms = 0;
    backend_world_run(&world);
}

/* X15: where there are checks no log-in goes to a dead one, however long it takes. */
static void breaker_body(struct core *core, struct backend_world *world)
{
    const struct backend_member *member = world_member(world, 0);
    world_wait(core, backend_double_asked(0) >= 2);
    atomic_store(&backend_doubles[0].result, -ECONNREFUSED);
    for (unsigned i = 0; i < 2; i++)
        backend_failed(core, member, BACKEND_IMAP, "refused", true);
    for (unsigned i = 0; i < 12; i++) {
        check_equal(connecting_take(core, member, BACKEND_IMAP, 0), -EAGAIN);
        check(!backend_is_usable(member, BACKEND_IMAP, core_now_ns(core)));
        fiber_sleep(core, 200 * MS);
    }
}

static void breaker(void **state)
{
    (void)state;
    struct backend_world world;
    world_of(&world, 1, breaker_body);
    world.pool.options.health_ms = 100000;
    backend_world_run(&world);
}

/* X15: back again, it takes new users in growing numbers. */
static void slow_start_body(struct core *core, struct backend_world *world)
{
    const struct backend_member *member = world_member(world, 0);
    unsigned counts[5];
    backend_failed(core, member, BACKEND_IMAP, "refused", true);
    backend_failed(core, member, BACKEND_IMAP, "refused", true);
    backend_worked(core, member, BACKEND_IMAP);
    backend_worked(core, member, BACKEND_IMAP);
    uint64_t since_ns = core_now_ns(core);
    for (unsigned i = 0; i < 5; i++) {
        counts[i] = 0;
        for (unsigned k = 0; k < 2000; k++) {
            char user[40];
            snprintf(user, sizeof user, "user%u", k);
            struct choice choice = {.pool = world->in_use, .user = slice_cstr(user)};
            const struct backend_member *chosen = choose(&choice, since_ns + i * 10000 * MS);
            counts[i] += chosen == member;
        }
    }
    check(counts[0] < 20);
    check(counts[1] > counts[0] + 100 && counts[2] > counts[1] + 100);
    check(counts[3] > counts[2] + 50 && counts[4] > counts[3] + 50);
    check(counts[4] > 900 && counts[4] < 1100);
    struct choice other = {.pool = world->in_use, .user = SLICE("user0"), .protocol = BACKEND_POP3};
    check(choose(&other, since_ns) != NULL);
}

static void slow_start(void **state)
{
    (void)state;
    struct backend_world world;
    world_of(&world, 2, slow_start_body);
    world.pool.options.health_ms = 0;
    world.pool.options.slow_start_ms = 40000;
    backend_world_run(&world);
}

/* ---------------------------------------------------------------- turns */

struct turn {
    struct core *core;
    const struct backend_member *member;
    uint64_t deadline_ms, hold_ms;
    int result; /* 1: not yet */
};

static unsigned at_once, at_once_max;

static void turn_fiber(void *argument)
{
    struct turn *turn = argument;
    int result = connecting_take(turn->core, turn->member, BACKEND_IMAP,
                                 core_now_ns(turn->core) + turn->deadline_ms * MS);
    if (result == 0) {
        at_once_max = ++at_once > at_once_max ? at_once : at_once_max;
        fiber_sleep(turn->core, turn->hold_ms * MS);
        at_once--;
        connecting_give(turn->core, turn->member);
    }
    turn->result = result;
}

static void turn_start(struct core *core, struct turn *turn, const struct backend_member *member,
                       uint64_t deadline_ms, uint64_t hold_ms)
{
    *turn = (struct turn){core, member, deadline_ms, hold_ms, 1};
    check_equal(fiber_start(core, turn_fiber, turn), 0);
}

static void turns_body(struct core *core, struct backend_world *world)
{
    const struct backend_member *member = world_member(world, 0);
    struct turn turns[20];
    at_once = at_once_max = 0;
    for (unsigned i = 0; i < 20; i++)
        turn_start(core, &turns[i], member, 15000, 5);
    for (unsigned i = 0; i < 20; i++)
        world_wait(core, turns[i].result == 0);
    check_equal(at_once_max, 3);
    /* Who has waited too long goes, and leaves no turn behind. */
    for (unsigned i = 0; i < 6; i++)
        turn_start(core, &turns[i], member, i < 3 ? 10000 : 20, 300);
    for (unsigned i = 0; i < 6; i++)
        world_wait(core, turns[i].result == (i < 3 ? 0 : -ETIMEDOUT));
    /* It dies: those who wait are told when the first of those before them is done, all of them. */
    for (unsigned i = 0; i < 20; i++)
        turn_start(core, &turns[i], member, 15000, 100 + 1500 * (i % 3));
    fiber_sleep(core, 20 * MS);
    backend_failed(core, member, BACKEND_IMAP, "refused", true);
    backend_failed(core, member, BACKEND_IMAP, "refused", true);
    for (unsigned i = 3; i < 20; i++)
        world_wait(core, turns[i].result == -EAGAIN);
    check_equal(turns[1].result, 1);
    world_wait(core, turns[1].result == 0 && turns[2].result == 0 && turns[0].result == 0);
    check_equal(at_once, 0);
    check_equal(backends_of(core)->connecting[member->backend->index]->under_way, 0);
}

static void turns(void **state)
{
    (void)state;
    struct backend_world world;
    world_of(&world, 1, turns_body);
    world.pool.options.health_ms = 0;
    world.pool.options.connecting_max = 3;
    backend_world_run(&world);
}

/* ---------------------------------------------------------------- what they can */

static bool can(struct core *core, const struct backend_world *world, const char *want)
{
    struct slice is = backend_capabilities(core, world->in_use, BACKEND_IMAP);
    return slice_equal(is, slice_cstr(want));
}

static void capabilities_body(struct core *core, struct backend_world *world)
{
    static char long_text[BACKEND_CAPABILITY_BYTES_MAX + 1];
    check(slice_equal(backend_capabilities(core, world->in_use, BACKEND_SIEVE), SLICE("")));
    atomic_store(&backend_doubles[0].capabilities, "IMAP4rev1 IDLE  MOVE ID");
    atomic_store(&backend_doubles[1].capabilities, "ID imap4REV1 IDLE MOVE");
    atomic_store(&backend_doubles[2].capabilities, "IMAP4rev1 MOVE IDLE");
    world_wait(core, can(core, world, "IMAP4rev1 IDLE MOVE"));
    atomic_store(&backend_doubles[1].capabilities, "IMAP4rev1 MOVE");
    world_wait(core, can(core, world, "IMAP4rev1 MOVE"));
    atomic_store(&backend_doubles[2].result, -ECONNREFUSED); /* down: not asked for its opinion */
    atomic_store(&backend_doubles[0].capabilities, "LONGER IMAP4rev1 IDLEX");
    world_wait(core, can(core, world, "IMAP4rev1"));
    atomic_store(&backend_doubles[1].capabilities, "");
    world_wait(core, can(core, world, ""));
    memset(long_text, 'X', sizeof long_text - 1);
    atomic_store(&backend_doubles[0].capabilities, long_text);
    atomic_store(&backend_doubles[1].capabilities, long_text);
    world_wait(core, can(core, world, long_text));
}

static void capabilities(void **state)
{
    (void)state;
    struct backend_world world;
    world_of(&world, 3, capabilities_body);
    world.pool.options.health_ms = 20;
    backend_world_run(&world);
}

/* ---------------------------------------------------------------- reloads */

/* A check that outlasts its table: the generation is not let go before. */
static void reload_body(struct core *core, struct backend_world *world)
{
    struct generation *first = world->generation, second = {0};
    struct backend_pool_double next = world->pool;
    next.options.backends = next.backends;
    for (unsigned i = 0; i < 3; i++)
        atomic_store(&backend_doubles[i].wait_ns, 500 * MS);
    world_wait(core, generation_users(first) >= 3);
    next.options.backend_count = 2; /* b2 goes, in the middle of its check */
    world_wait(core, atomic_load(&backend_doubles[2].under_way) == 1);
    const struct backend *third = world_member(world, 2)->backend;
    world->generation = &second;
    struct backend_table *before = backend_world_adopt(core, world, &next);
    check_equal(gauge(core, world), 2);
    check(generation_users(first) > 0);
    for (unsigned i = 0; i < 3; i++)
        atomic_store(&backend_doubles[i].wait_ns, 0);
    world_wait(core, generation_users(first) == 0);
    backend_table_free(before);
    unsigned asked = backend_double_asked(2), asked_0 = backend_double_asked(0);
    world_wait(core, backend_double_asked(0) >= asked_0 + 5);
    check_equal(backend_double_asked(2), asked);
    next.options.backend_count = 3; /* and comes back */
    world->generation = NULL;
    before = backend_world_adopt(core, world, &next);
    world_wait(core, generation_users(&second) == 0);
    backend_table_free(before);
    check(world_member(world, 2)->backend == third);
    world_wait(core, backend_double_asked(2) >= asked + 2);
    check_equal(gauge(core, world), 3);
    next.options.health_ms = 0; /* no checks */
    before = backend_world_adopt(core, world, &next);
    fiber_sleep(core, 200 * MS);
    backend_table_free(before);
    asked = backend_double_asked(0);
    fiber_sleep(core, 300 * MS);
    check_equal(backend_double_asked(0), asked);
    next.options.health_ms = HEALTH_MS;
    before = backend_world_adopt(core, world, &next);
    backend_table_free(before);
    world_wait(core, backend_double_asked(0) >= asked + 2);
}

static void reload(void **state)
{
    (void)state;
    struct backend_world world;
    struct generation first = {0};
    world_of(&world, 3, reload_body);
    world.generation = &first;
    backend_world_run(&world);
}

static int health_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked),        cmocka_unit_test(in_a_row),  cmocka_unit_test(silent),
        cmocka_unit_test(one_protocol), cmocka_unit_test(our_fault), cmocka_unit_test(slow_checks),
        cmocka_unit_test(passive),      cmocka_unit_test(no_checks), cmocka_unit_test(breaker),
        cmocka_unit_test(slow_start),   cmocka_unit_test(turns),     cmocka_unit_test(capabilities),
        cmocka_unit_test(reload),
    };
    return cmocka_run_group_tests_name("backend_health", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(health_tests);
}
