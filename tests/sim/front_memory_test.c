/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What an idle session that is passed through holds of the process's memory: sessions at a front
 * (host_front) beside as many that log in at its backend, which is the same process, directly. The
 * difference is the front's: a session, a link, and what is known of both.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../script/host.h"
#include "../unit/harness.h"
#include "sim.h"

enum { SESSIONS = 60, PORT_BASE = 25, PORT_IMAP = PORT_BASE + 3, PORT_FRONT = PORT_BASE + 5 };
enum { BYTES_MAX = 3072 };
static const uint64_t SECOND = UINT64_C(1000000000);

struct world {
    struct sim *sim;
    void *state;
    int result;
};

static int open_body(struct core *core, void *argument)
{
    return host_front.open(core, ((struct world *)argument)->state);
}

static int close_body(struct core *core, void *argument)
{
    host_front.close(core, ((struct world *)argument)->state);
    return 0;
}

static void line_like(struct sim_actor *actor, struct sim_client *client, const char *begin)
{
    struct slice line;
    check(sim_actor_line(actor, client, 60 * SECOND, &line));
    check(slice_starts_nocase(line, slice_cstr(begin)));
}

/* As many sessions; the bytes that each has brought, when all are at rest. */
static uint64_t sessions(struct sim_actor *actor, unsigned port)
{
    struct sim *sim = sim_actor_sim(actor);
    struct sim_client *clients[SESSIONS + 1];
    uint64_t before = 0;
    for (unsigned i = 0; i <= SESSIONS; i++) { /* the first warms up what stays */
        clients[i] = sim_connect(sim, "127.0.0.1", port);
        line_like(actor, clients[i], "* OK ");
        sim_client_text(clients[i], "a LOGIN anna secret\r\n");
        line_like(actor, clients[i], "a OK ");
        sim_client_text(clients[i], "b NOOP\r\n");
        line_like(actor, clients[i], "b OK ");
        if (i == 0 || i == SESSIONS)
            sim_actor_sleep(actor, 2 * SECOND);
        if (i == 0)
            before = sim_memory_live(sim);
    }
    uint64_t bytes = sim_memory_live(sim) - before;
    for (unsigned i = 0; i <= SESSIONS; i++)
        sim_client_close(clients[i]);
    sim_actor_sleep(actor, 10 * SECOND);
    return bytes / SESSIONS;
}

static void measure(struct sim_actor *actor, void *argument)
{
    (void)argument;
    (void)sessions(actor, PORT_FRONT); /* pools and tables have grown */
    (void)sessions(actor, PORT_IMAP);
    uint64_t direct = sessions(actor, PORT_IMAP), through = sessions(actor, PORT_FRONT);
    printf("an idle session: %llu bytes, through the front %llu: the front's are %llu\n",
           (unsigned long long)direct, (unsigned long long)through,
           (unsigned long long)(through - direct));
    check(direct > 300 && through > direct + 300);
    check(through - direct <= BYTES_MAX);
}

static bool all_done(void *argument)
{
    return sim_actors_done(((struct world *)argument)->sim);
}

int main(void)
{
    struct sim_options options;
    struct world world = {0};
    sim_options_calm(&options, 1);
    options.disk_bytes = UINT64_C(256) << 20;
    options.engine.fibers_max = 300;
    options.engine.connections_max = 1000;
    options.engine.buffers = 64;
    options.engine.connects = true;
    world.sim = sim_create(&options);
    sim_directory_make(world.sim, "/store");
    world.state = host_front.make(1, PORT_BASE, "/store");
    host_front.begin(world.state);
    check_equal(sim_start(world.sim), 0);
    check_equal(sim_run(world.sim, 0, open_body, &world), 0);
    sim_actor_start(world.sim, measure, NULL);
    check_equal(sim_until(world.sim, all_done, &world, 3600 * SECOND), 0);
    check_equal(sim_run(world.sim, 0, close_body, &world), 0);
    check_equal(sim_stop(world.sim), 0);
    check(sim_failure(world.sim) == NULL);
    sim_destroy(world.sim);
    host_front.free(world.state);
    return 0;
}
