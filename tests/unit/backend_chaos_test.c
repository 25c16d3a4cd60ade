/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * X15: users come and go on three cores while backends die and come back, one service of theirs or
 * all, and an operator drains them, moves and holds users, and reloads the config.
 *
 * Oracles:
 *   B1   a user who has a session at a backend gets another one elsewhere only if, since that
 *        session began, the backend's health or will has changed, it was in no table for a while,
 *        or the operator moved the user.
 *   move nobody gets through to another backend than the operator has said, nor during a hold.
 *   end  healed, everybody gets in, where the hash says; nobody is counted; nothing is in flight.
 *
 * In the simulator WORLDS says how many seeds (tests/sim/meson.build).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend_world.h"

enum { BACKENDS = 5, PERSONS = 10, VISITORS = 12, LIVE_MAX = VISITORS * 3, STEPS = 150 };

struct live {
    struct backend *backend; /* NULL: free */
    uint64_t stamp;
};

struct person {
    atomic_flag lock; /* visitors of all cores */
    struct live live[LIVE_MAX];
    struct backend *wanted; /* NULL: nothing */
    bool is_held;           /* until taken back */
};

static struct chaos {
    struct backend_world *world;
    struct person persons[PERSONS];
    _Atomic uint64_t changes[BACKENDS]; /* of will, and of being in the table */
    atomic_uint left, in, refused, moved, elsewhere;
    atomic_bool is_over;
} chaos;

static uint64_t draw(struct core *core, uint64_t below)
{
    uint64_t value;
    core_random(core, &value, sizeof value);
    return value % below;
}

static void lock(struct core *core, struct person *person)
{
    while (atomic_flag_test_and_set(&person->lock))
        fiber_yield(core);
}

static void unlock(struct person *person)
{
    atomic_flag_clear(&person->lock);
}

static uint64_t stamp_of(const struct backend *backend)
{
    uint64_t stamp = atomic_load(&chaos.changes[backend->name[1] - '0']);
    for (unsigned i = 0; i < BACKEND_PROTOCOL_COUNT; i++)
        stamp = hash_u64(stamp + atomic_load(&backend->health[i].since_ns));
    return stamp;
}

/* ---------------------------------------------------------------- a visitor */

/* What the log-in's half does: its turn, a connection, an answer. */
static bool connects(struct core *core, const struct backend_member *member,
                     enum backend_protocol protocol)
{
    const struct backend_double *answer = &backend_doubles[member_number(member)];
    if (connecting_take(core, member, protocol, core_now_ns(core) + 50 * MS) < 0)
        return false;
    bool is_taken = backend_take(member) == 0, works = false;
    if (is_taken) {
        fiber_sleep(core, draw(core, 4) * MS);
        works =
            atomic_load(&answer->result) == 0 && !(atomic_load(&answer->broken) >> protocol & 1);
        if (works)
            backend_worked(core, member, protocol);
        else
            backend_failed(core, member, protocol, "refused", true);
    }
    connecting_give(core, member);
    if (is_taken && !works)
        backend_give(member->backend);
    return works;
}

static bool gets_in(struct core *core, const char *user, struct world_login *login)
{
    int result = world_place(core, chaos.world, user, login);
    while (result == 0 && login->choice.tried_count < BACKEND_TRIED_MAX) {
        if (connects(core, login->member, login->choice.protocol))
            return true;
        login->choice.tried[login->choice.tried_count++] = login->member;
        result = user_place(core, &login->choice, &login->claim, &login->member);
    }
    return false;
}

/* The tables have it or not, and log-ins with older ones are under way. */
static bool comes_and_goes(const struct backend *backend)
{
    return backend != NULL && backend->name[1] == '0' + BACKENDS - 1;
}

/* Nothing has happened to it, and it could have had him. */
static bool should_have_him(const struct live *live)
{
    const struct backend_member *member = pool_member_of(chaos.world->in_use, live->backend);
    return member != NULL && live->stamp == stamp_of(live->backend) && backend_is_up(member) &&
           backend_will_of(live->backend) != BACKEND_DOWN;
}

/* The oracles. The person is locked: what the operator wants does not change while we look. */
static unsigned judge(struct person *person, struct backend *backend)
{
    unsigned at = LIVE_MAX;
    for (unsigned i = 0; i < LIVE_MAX; i++) {
        const struct live *live = &person->live[i];
        if (live->backend == NULL)
            at = i;
        else if (live->backend != backend && should_have_him(live) &&
                 !comes_and_goes(person->wanted))
            harness_failed(__FILE__, __LINE__, "a user at two backends, and nothing happened (B1)");
        else if (live->backend != backend)
            atomic_fetch_add(&chaos.elsewhere, 1);
    }
    check(at < LIVE_MAX);
    person->live[at] = (struct live){backend, stamp_of(backend)};
    return at;
}

static void visit(struct core *core, unsigned number)
{
    struct person *person = &chaos.persons[number];
    struct world_login login = {0};
    char user[40];
    snprintf(user, sizeof user, "person%u", number);
    bool is_in = gets_in(core, user, &login);
    bool is_session = false;
    unsigned at = 0;
    if (is_in) {
        /* The operator does not come between the home core's word and ours. */
        lock(core, person);
        is_session = user_settle(core, login.choice.user, login.claim) == 0;
        if (is_session) {
            check(!person->is_held);
            check(person->wanted == NULL || person->wanted == login.member->backend ||
                  comes_and_goes(person->wanted));
            at = judge(person, login.member->backend);
        }
        unlock(person);
    }
    atomic_fetch_add(is_session ? &chaos.in : &chaos.refused, 1);
    struct backend *backend = is_in ? login.member->backend : NULL;
    if (is_session) {
        fiber_sleep(core, draw(core, 30) * MS);
        lock(core, person);
        person->live[at].backend = NULL;
        unlock(person);
    }
    world_leave(core, &login);
    if (is_in)
        backend_give(backend);
}

static void visitor(void *argument)
{
    struct core *core = argument;
    while (!atomic_load(&chaos.is_over)) {
        visit(core, (unsigned)draw(core, PERSONS));
        fiber_sleep(core, draw(core, 8) * MS);
    }
    atomic_fetch_sub(&chaos.left, 1);
}

static int visitors_start(struct core *core, void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < VISITORS; i++) {
        atomic_fetch_add(&chaos.left, 1);
        check_equal(fiber_start(core, visitor, core), 0);
    }
    return 0;
}

/* ---------------------------------------------------------------- the operator, and bad luck */

static void move(struct core *core, unsigned number, int to, bool holds)
{
    struct person *person = &chaos.persons[number];
    char user[40], name[40] = "";
    struct backend_exception exception = {.user = {user, 0}, .hold_ms = holds ? 60000 : 0};
    snprintf(user, sizeof user, "person%u", number);
    exception.user = slice_cstr(user);
    if (to >= 0)
        snprintf(name, sizeof name, "store/b%d", to);
    exception.backend = slice_cstr(name);
    lock(core, person);
    int result = backend_exception_set(core, &exception);
    if (result == 0) { /* -ENOENT: it is in no table */
        person->wanted = to >= 0 ? world_member(chaos.world, (unsigned)to)->backend : NULL;
        person->is_held = holds;
        for (unsigned i = 0; i < LIVE_MAX; i++)
            person->live[i].stamp = UINT64_MAX; /* excused */
        atomic_fetch_add(&chaos.moved, 1);
    } else {
        check_equal(result, -ENOENT);
    }
    unlock(person);
}

static void set_will(struct core *core, unsigned number, enum backend_will will)
{
    char name[8];
    snprintf(name, sizeof name, "b%u", number);
    atomic_fetch_add(&chaos.changes[number], 1);
    int result = backend_will_set(core, slice_cstr(name), will);
    check(result == 0 || result == -ENOENT);
    atomic_fetch_add(&chaos.changes[number], 1);
}

enum { TABLES = STEPS + 1 };
static struct backend_table *tables[TABLES]; /* freed in the end: log-ins go on with theirs */
static unsigned table_count;

static void reload(struct core *core, unsigned count)
{
    struct backend_pool_double *pool = &chaos.world->pool;
    bool is_fewer = count < chaos.world->in_use->member_count;
    pool->options.backend_count = count;
    if (is_fewer)
        atomic_fetch_add(&chaos.changes[BACKENDS - 1], 1);
    tables[table_count++] = backend_world_adopt(core, chaos.world, pool);
    atomic_fetch_add(&chaos.changes[BACKENDS - 1], 1);
}

static void step(struct core *core)
{
    unsigned number = (unsigned)draw(core, BACKENDS), person = (unsigned)draw(core, PERSONS);
    struct backend_double *answer = &backend_doubles[number];
    switch (draw(core, 8)) {
    case 0:
        atomic_store(&answer->result, -ECONNREFUSED);
        break;
    case 1:
    case 2:
        atomic_store(&answer->result, 0);
        atomic_store(&answer->broken, 0);
        break;
    case 3:
        atomic_store(&answer->broken, (uint32_t)draw(core, 4));
        break;
    case 4:
        set_will(core, number, (enum backend_will)draw(core, 3));
        break;
    case 5:
        move(core, person, (int)draw(core, BACKENDS), draw(core, 2) == 0);
        break;
    case 6:
        move(core, person, -1, false);
        break;
    default:
        reload(core, draw(core, 2) == 0 ? BACKENDS - 1 : BACKENDS);
    }
}

static void chaos_body(struct core *core, struct backend_world *world)
{
    chaos.world = world;
    table_count = 0;
    for (unsigned i = 0; i < world->cores; i++)
        check_equal(core_call(core, i, visitors_start, NULL), 0);
    for (unsigned i = 0; i < STEPS; i++) {
        step(core);
        fiber_sleep(core, draw(core, 40) * MS);
    }
    for (unsigned i = 0; i < BACKENDS; i++) {
        atomic_store(&backend_doubles[i].result, 0);
        atomic_store(&backend_doubles[i].broken, 0);
        set_will(core, i, BACKEND_UP);
    }
    for (unsigned i = 0; i < PERSONS; i++)
        move(core, i, -1, false);
    reload(core, BACKENDS);
    for (unsigned i = 0; i < BACKENDS; i++) {
        set_will(core, i, BACKEND_UP);
        world_wait(core, !backend_is_suspect(world_member(world, i)));
    }
    unsigned before = atomic_load(&chaos.in);
    world_wait(core, atomic_load(&chaos.in) >= before + 50);
    atomic_store(&chaos.is_over, true);
    world_wait(core, atomic_load(&chaos.left) == 0);
    check(before > 50 && atomic_load(&chaos.moved) > 5);
    fiber_sleep(core, 3000 * MS); /* affinity, and the sweep */
    for (unsigned i = 0; i < PERSONS; i++) {
        struct world_login login = {0};
        char user[40];
        snprintf(user, sizeof user, "person%u", i);
        struct choice choice = {.pool = world->in_use, .user = slice_cstr(user)};
        const struct backend_member *hashed = choose(&choice, core_now_ns(core));
        check_equal(world_place(core, world, user, &login), 0);
        check(login.member == hashed);
        world_leave(core, &login);
    }
    fiber_sleep(core, 3000 * MS);
    for (unsigned i = 0; i < BACKENDS; i++)
        check_equal(atomic_load(&world_member(world, i)->backend->users), 0);
    check_equal(atomic_load(&world->states->exceptions), 0);
    for (unsigned i = 0; i < table_count; i++)
        backend_table_free(tables[i]);
}

static void everything(void **state)
{
    (void)state;
    struct backend_world world = {.body = chaos_body, .cores = 3};
    memset(&chaos, 0, sizeof chaos);
    backend_pool_double(&world.pool, "store", BACKENDS);
    world.pool.options.health_ms = 30;
    world.pool.options.affinity_ms = 20;
    world.pool.options.connecting_max = 2;
    world.pool.options.connections_max = 30;
    backend_world_run(&world);
}

static int chaos_tests(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(everything)};
    return cmocka_run_group_tests_name("backend_chaos", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(chaos_tests);
}
