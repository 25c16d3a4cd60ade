/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See the header.
 */
#include "backend_world.h"

struct backend_double backend_doubles[DOUBLES];

unsigned backend_double_asked(unsigned number)
{
    unsigned asked = 0;
    for (unsigned i = 0; i < BACKEND_PROTOCOL_COUNT; i++)
        asked += atomic_load(&backend_doubles[number].asked[i]);
    return asked;
}

unsigned member_number(const struct backend_member *member)
{
    return (unsigned)(member->options->name.data[1] - '0');
}

int backend_probe(struct core *core, const struct backend_member *member,
                  enum backend_protocol protocol, uint64_t deadline_ns,
                  char ret_capabilities[BACKEND_CAPABILITY_BYTES_MAX + 1], const char **ret_problem)
{
    struct backend_double *answer = &backend_doubles[member_number(member)];
    check(deadline_ns > core_now_ns(core));
    check(member->options->ports[protocol] != 0);
    atomic_fetch_add(&answer->asked[protocol], 1);
    atomic_fetch_add(&answer->under_way, 1);
    if (atomic_load(&answer->wait_ns) != 0)
        fiber_sleep(core, atomic_load(&answer->wait_ns));
    atomic_fetch_sub(&answer->under_way, 1);
    int result = atomic_load(&answer->result);
    if (result == 0 && (atomic_load(&answer->broken) >> protocol & 1))
        result = -ECONNREFUSED;
    const char *text = atomic_load(&answer->capabilities);
    if (result < 0)
        *ret_problem = "refused";
    else if (text != NULL)
        memcpy(ret_capabilities, text, strlen(text) + 1);
    return result;
}

void backend_pool_double(struct backend_pool_double *pool, const char *name, unsigned count)
{
    static const char *const names[DOUBLES] = {"b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"};
    *pool = (struct backend_pool_double){
        .options = {.name = slice_cstr(name),
                    .backend_count = count,
                    .connect_ms_max = 1000,
                    .login_ms_max = 2000,
                    .down_after = 2,
                    .up_after = 2},
    };
    for (unsigned i = 0; i < count; i++) {
        pool->backends[i] = (struct backend_options){
            .name = slice_cstr(names[i]), .family = 4, .address = {127, 0, 0, (uint8_t)(i + 1)}};
        pool->backends[i].weight = 100;
        pool->backends[i].ports[BACKEND_IMAP] = 143;
        pool->backends[i].ports[BACKEND_POP3] = 110;
    }
}

static void problem(void *argument, const char *what)
{
    (void)argument;
    fprintf(stderr, "%s\n", what);
}

struct backend_table *backend_table_double(struct backend_states *states,
                                           const struct backend_pool_double *pool)
{
    struct backend_table *table = NULL;
    check_equal(backend_table_make(states, &pool->options, 1, problem, NULL, &table), 0);
    return table;
}

/* ---------------------------------------------------------------- the engine */

static int world_ready(struct core *core, void *argument)
{
    struct backend_world *world = argument;
    check_equal(net_open(core), 0);
    check_equal(backends_open(core, world->states, world->table), 0);
    atomic_fetch_add(&world->opened, 1);
    world_wait(core, atomic_load(&world->opened) == world->cores);
    if (core_index(core) == 0) {
        world->body(core, world);
        atomic_fetch_add(&world->done, 1);
    }
    while (atomic_load(&world->done) == 0)
        fiber_sleep(core, 8 * MS);
    fiber_sleep(core, 50 * MS); /* what was left on other cores */
    const struct backend_pool *pool = world->in_use;
    for (unsigned i = 0; i < pool->member_count && core_index(core) == 0; i++)
        check_equal(atomic_load(&pool->members[i].backend->sessions), 0);
    backends_close(core);
    check_equal(core_busy(core), 0);
    check_equal(core_counters(core)->value[COUNTER_FIBERS_ACTIVE], 1);
    net_close(core);
    if (atomic_fetch_add(&world->closed, 1) + 1 == world->cores) {
        backend_table_free(world->table); /* it may have been made in this life */
        harness_stop(core);
    }
    return 0;
}

void backend_world_run(struct backend_world *world)
{
    world->cores = world->cores ? world->cores : 1;
    world->pool.options.backends = world->pool.backends;
    memset(backend_doubles, 0, sizeof backend_doubles);
    struct engine_options options = {
        .core_count = world->cores,
        .connections_max = 50,
        .buffers = 16,
        .fibers_max = 300,
        .stack_bytes = 65536,
        .connects = true,
    };
    check_equal(backend_states_make(world->cores, &world->states), 0);
    world->table = backend_table_double(world->states, &world->pool);
    backend_table_count(world->table, world->generation);
    world->in_use = &world->table->pools[0];
    check_equal(harness_run(&options, world_ready, world), 0);
    check_equal(atomic_load(&world->states->exceptions), 0);
    for (unsigned i = 0; i < BACKEND_STATE_SLOTS; i++)
        if (world->states->slots[i] != NULL)
            check_equal(atomic_load(&world->states->slots[i]->users), 0);
    backend_states_free(world->states);
}

static int adopt_here(struct core *core, void *table)
{
    return backends_adopt(core, table);
}

struct backend_table *backend_world_adopt(struct core *core, struct backend_world *world,
                                          const struct backend_pool_double *pool)
{
    struct backend_table *before = world->table;
    world->table = backend_table_double(world->states, pool);
    backend_table_count(world->table, world->generation);
    for (unsigned i = 0; i < world->cores; i++)
        check_equal(core_call(core, i, adopt_here, world->table), 0);
    world->in_use = &world->table->pools[0];
    return before;
}

void world_run_two(void (*body)(struct core *core, struct backend_world *world), unsigned count,
                   uint64_t affinity_ms)
{
    struct backend_world world = {.body = body, .cores = 2};
    backend_pool_double(&world.pool, "store", count);
    world.pool.options.affinity_ms = affinity_ms;
    backend_world_run(&world);
}

void world_kill_protocol(struct core *core, const struct backend_member *member,
                         enum backend_protocol protocol)
{
    for (unsigned i = 0; i < member->pool->options->down_after; i++)
        backend_failed(core, member, protocol, "refused", true);
    check(!backend_is_alive(member->backend, protocol));
}

void world_kill(struct core *core, const struct backend_member *member)
{
    world_kill_protocol(core, member, BACKEND_IMAP);
    world_kill_protocol(core, member, BACKEND_POP3);
    check(!backend_is_up(member));
}

/* ---------------------------------------------------------------- users */

const struct backend_member *world_member(const struct backend_world *world, unsigned number)
{
    const struct backend_pool *pool = world->in_use;
    check(number < pool->member_count);
    return &pool->members[number];
}

int world_place(struct core *core, struct backend_world *world, const char *user,
                struct world_login *login)
{
    memset(login, 0, sizeof *login);
    snprintf(login->user, sizeof login->user, "%s", user);
    login->choice = (struct choice){.pool = world->in_use, .user = slice_cstr(login->user)};
    return user_place(core, &login->choice, &login->claim, &login->member);
}

void world_log_in(struct core *core, struct backend_world *world, const char *user, unsigned number,
                  struct world_login *login)
{
    check_equal(world_place(core, world, user, login), 0);
    check_equal(member_number(login->member), number);
    check_equal(user_settle(core, login->choice.user, login->claim), 0);
}

void world_leave(struct core *core, struct world_login *login)
{
    user_leave(core, login->claim);
    login->claim = NULL;
}

void world_user_of(const struct backend_world *world, unsigned number, char text[40])
{
    for (unsigned i = 0;; i++) {
        snprintf(text, 40, "user%u@example.com", i);
        struct choice choice = {.pool = world->in_use, .user = slice_cstr(text)};
        const struct backend_member *member = choose(&choice, 0);
        if (member != NULL && member_number(member) == number)
            return;
        check(i < 100000);
    }
}
