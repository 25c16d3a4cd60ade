/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Clients in straight lines: functions on the stage's stacks that wait for a client's bytes or for
 * time. An actor is ready when its client has changed or its time is up; the world runs one ready
 * actor at a time, chosen by chance.
 */
#include <stdlib.h>

#include "world.h"

static void actor_thread(void *argument)
{
    struct sim_actor *actor = argument;
    actor->fiber = fiber_current(stage_core(actor->sim));
    fiber_park(stage_core(actor->sim));
    actor->fn(actor, actor->argument);
    actor->is_done = true;
    actor->fiber = NULL;
}

struct sim_actor *sim_actor_start(struct sim *sim,
                                  void (*fn)(struct sim_actor *actor, void *argument),
                                  void *argument)
{
    struct sim_actor *actor = sim_keep_alloc(sizeof *actor);
    *actor = (struct sim_actor){.sim = sim, .fn = fn, .argument = argument};
    sim->actors =
        array_room(sim->actors, &sim->actor_capacity, sim->actor_count, sizeof *sim->actors);
    actor->index = sim->actor_count;
    actor->generation = ++sim->generation;
    sim->actors[sim->actor_count++] = actor;
    assert(fiber_current(stage_core(sim)) == NULL && "start actors from outside");
    if (fiber_start(stage_core(sim), actor_thread, actor) < 0)
        abort();
    fibers_run(stage_core(sim));
    actor_ready(sim, actor);
    return actor;
}

bool sim_actor_done(const struct sim_actor *actor)
{
    return actor->is_done;
}

bool sim_actors_done(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->actor_count; i++)
        if (!sim->actors[i]->is_done)
            return false;
    return true;
}

struct sim *sim_actor_sim(const struct sim_actor *actor)
{
    return actor->sim;
}

void actor_ready(struct sim *sim, struct sim_actor *actor)
{
    if (actor->is_ready || actor->is_done)
        return;
    actor->is_ready = true;
    sim->actors_ready++;
}

void actors_run_one(struct sim *sim)
{
    uint32_t choice = chance_below(sim, sim->actors_ready);
    for (uint32_t i = 0; i < sim->actor_count; i++) {
        struct sim_actor *actor = sim->actors[i];
        if (!actor->is_ready || choice-- > 0)
            continue;
        actor->is_ready = false;
        sim->actors_ready--;
        sim->counts[SIM_COUNT_EVENTS]++;
        trace_mix(sim, sim->now_ns * 64 + 62);
        trace_mix(sim, i);
        stage_resume(sim, actor->fiber);
        return;
    }
}

/* The client has changed: whoever waits for it looks. */
void actors_look(struct sim *sim, const struct sim_client *client)
{
    for (uint32_t i = 0; i < sim->actor_count; i++) {
        struct sim_actor *actor = sim->actors[i];
        if (actor->client == client &&
            (client->received.size > actor->size || client->state != SIM_CLIENT_OPEN))
            actor_ready(sim, actor);
    }
}

static void actor_park(struct sim_actor *actor)
{
    fiber_park(stage_core(actor->sim));
    actor->generation = ++actor->sim->generation; /* its timer is void */
}

void sim_actor_sleep(struct sim_actor *actor, uint64_t ns)
{
    event_add(actor->sim, ns, EVENT_ACTOR, actor->index, actor->generation);
    actor_park(actor);
}

bool sim_actor_wait(struct sim_actor *actor, struct sim_client *client, size_t size,
                    uint64_t ns_max)
{
    struct sim *sim = actor->sim;
    uint64_t until = sim->now_ns + ns_max;
    while (client->received.size <= size && client->state == SIM_CLIENT_OPEN &&
           sim->now_ns < until) {
        actor->client = client;
        actor->size = size;
        sim_actor_sleep(actor, until - sim->now_ns);
        actor->client = NULL;
    }
    return client->received.size > size;
}

bool sim_actor_line(struct sim_actor *actor, struct sim_client *client, uint64_t ns_max,
                    struct slice *ret_line)
{
    uint64_t until = actor->sim->now_ns + ns_max;
    size_t seen = 0;
    if (client->line_size > 0)
        sim_client_consume(client, client->line_size);
    client->line_size = 0;
    for (;;) {
        struct slice bytes = sim_client_received(client);
        size_t at = seen + slice_find(slice_from(bytes, seen), '\n');
        if (at < bytes.size) {
            client->line_size = at + 1;
            *ret_line = slice_first(bytes, at > 0 && bytes.data[at - 1] == '\r' ? at - 1 : at);
            return true;
        }
        seen = bytes.size;
        uint64_t now = actor->sim->now_ns;
        if (now >= until || !sim_actor_wait(actor, client, seen, until - now))
            return false;
    }
}

void actors_free(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->actor_count; i++) {
        if (sim->actors[i]->fiber != NULL)
            stage_kill(sim, sim->actors[i]->fiber);
        sim_keep_free(sim->actors[i]);
    }
    sim_keep_free(sim->actors);
}
