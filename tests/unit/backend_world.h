/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Backends that are not there: pools of up to eight, b0 to b7, whose checks are answered by a
 * double of backend_probe, on an engine of one or more cores.
 */
#ifndef RINGPOST_TESTS_BACKEND_WORLD_H
#define RINGPOST_TESTS_BACKEND_WORLD_H

#include "../../src/backend/core_state.h"
#include "harness.h"

enum { DOUBLES = 8 };
static const uint64_t MS = 1000000;

/* What the double answers for bN, and how often it was asked. */
struct backend_double {
    _Atomic int result; /* 0 or -errno */
    _Atomic uint64_t wait_ns;
    _Atomic(const char *) capabilities; /* NULL: "" */
    atomic_uint asked[BACKEND_PROTOCOL_COUNT];
    _Atomic uint32_t broken; /* a bit per protocol that fails, whatever `result` */
    atomic_uint under_way;
};
extern struct backend_double backend_doubles[DOUBLES];
unsigned backend_double_asked(unsigned number);

/* A pool whose options may be changed before its table is made. */
struct backend_pool_double {
    struct backend_pool_options options;
    struct backend_options backends[DOUBLES];
};
/* Of `count` backends with IMAP and POP3, weight 100, no checks. */
void backend_pool_double(struct backend_pool_double *pool, const char *name, unsigned count);
/* Aborts when it cannot. */
struct backend_table *backend_table_double(struct backend_states *states,
                                           const struct backend_pool_double *pool);

struct backend_world {
    void (*body)(struct core *core, struct backend_world *world);
    unsigned cores; /* 0: 1 */
    struct backend_pool_double pool;
    struct backend_states *states;
    struct backend_table *table;
    const struct backend_pool *_Atomic in_use;
    struct generation *generation; /* of the tables made from now on */
    atomic_uint opened, done, closed;
};
/* Opens all cores on world->pool, runs the body on core 0, closes; then nothing is in flight and
 * nobody counted. */
void backend_world_run(struct backend_world *world);
/* The body on two cores before `count` backends. */
void world_run_two(void (*body)(struct core *core, struct backend_world *world), unsigned count,
                   uint64_t affinity_ms);
/* As many failures as it takes, told on this core. */
void world_kill_protocol(struct core *core, const struct backend_member *member,
                         enum backend_protocol protocol);
void world_kill(struct core *core, const struct backend_member *member); /* IMAP and POP3 */
/* Another table on all cores; the one before is freed by the caller, later. Returns it. */
struct backend_table *backend_world_adopt(struct core *core, struct backend_world *world,
                                          const struct backend_pool_double *pool);

/* The member bN of the table in use. */
const struct backend_member *world_member(const struct backend_world *world, unsigned number);
/* N of bN. */
unsigned member_number(const struct backend_member *member);

/* One log-in of a user, and what became of it. */
struct world_login {
    struct user_claim *claim;
    const struct backend_member *member;
    struct choice choice;
    char user[40];
};
int world_place(struct core *core, struct backend_world *world, const char *user,
                struct world_login *login);
/* Placed at bN and settled. */
void world_log_in(struct core *core, struct backend_world *world, const char *user, unsigned number,
                  struct world_login *login);
void world_leave(struct core *core, struct world_login *login);
/* A user whom the hash gives to bN. */
void world_user_of(const struct backend_world *world, unsigned number, char text[40]);
/* Waits on its fiber until the condition is true, for at most 20 s. */
#define world_wait(core, condition)                                                                \
    do {                                                                                           \
        uint64_t world_end_ns = core_now_ns(core) + 20000 * MS;                                    \
        while (!(condition) && core_now_ns(core) < world_end_ns)                                   \
            fiber_sleep(core, MS);                                                                 \
        check(condition);                                                                          \
    } while (0)

#endif
