/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Joined streams under chaos: on one to three cores a front that connects each of its clients to a
 * server and joins the two; clients who send in pieces, read or do not read, close, reset, vanish;
 * and a hand that closes one side of a pair now and then.
 *
 *   actor ──▶ front { client ⇄ back } ──▶ server
 *
 * Oracle: each conversation has a number, and its bytes either way are a pattern of that number:
 * what arrives is a prefix of what the other end of the same conversation sent, in order, once; all
 * of it when nothing got in the way. In the end, healed, every pair ends and nothing is left.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/dial_client.h"
#include "../unit/line_server.h"
#include "scenarios.h"

enum { FRONT_PORT = 143, SERVER_PORT = 25, CLIENTS_MAX = 10, CONNECTIONS_MAX = 3 };
static const uint64_t SECOND_NS = UINT64_C(1000000000);
/* Hours: single bytes over a slow network. */
static const uint64_t PATIENCE_NS = UINT64_C(20000000000000), IDLE_NS = UINT64_C(40000000000000);

struct meeting {
    const struct sim_case *one;
    struct sim *sim;
    struct listener *fronts[CORES_MAX], *servers[CORES_MAX];
    struct pair *pairs[CORES_MAX]; /* alive, in a list */
    unsigned cores, open, closed, alive;
    bool is_quiet;  /* no fault that anybody could feel */
    bool is_kicked; /* the hand has closed something */
    bool is_stopping;
    uint32_t steps, conversations;
};

struct hello {
    uint32_t number, up, down; /* bytes either way */
};

/* Byte `at` of what goes up or down in that conversation. */
static char word(uint32_t number, bool is_up, uint64_t at)
{
    return pattern(((uint64_t)number << 33 | (uint64_t)is_up << 32) + at);
}

/* ---------------------------------------------------------------- the server */

struct server {
    struct stream stream;
    struct meeting *meeting;
    bool has_fiber, is_released;
};

static void server_free(struct server *server)
{
    server->meeting->alive--;
    free(server);
}

static bool hear(struct server *server, const struct hello *hello, uint32_t *at, uint32_t size)
{
    struct slice bytes;
    if (stream_peek(&server->stream, &bytes) < 0)
        return false;
    bytes = slice_first(bytes, size);
    if (bytes.size > hello->up - *at) {
        sim_fail(server->meeting->sim, "more came up than was sent");
        return false;
    }
    for (size_t i = 0; i < bytes.size; i++, ++*at)
        if (bytes.data[i] != word(hello->number, true, *at)) {
            sim_fail(server->meeting->sim, "conversation %u: byte %u up is wrong", hello->number,
                     *at);
            return false;
        }
    stream_consume(&server->stream, bytes.size);
    return true;
}

static bool speak(struct server *server, const struct hello *hello, uint32_t *at, uint32_t size)
{
    size = size < hello->down - *at ? size : hello->down - *at;
    char *data = malloc(size + 1);
    if (data == NULL)
        return false;
    for (uint32_t i = 0; i < size; i++, ++*at)
        data[i] = word(hello->number, false, *at);
    int result = stream_send(&server->stream, slice_of(data, size));
    free(data);
    return result == 0;
}

static void server_main(void *argument)
{
    struct server *server = argument;
    struct sim *sim = server->meeting->sim;
    struct hello hello;
    uint32_t up = 0, down = 0;
    bool goes_on = stream_read_exact(&server->stream, &hello, sizeof hello) == 0;
    while (goes_on && (up < hello.up || down < hello.down)) {
        uint32_t size = 1 + sim_below(sim, 1u << sim_below(sim, 18));
        bool is_up = up < hello.up && (down == hello.down || sim_below(sim, 2) == 0);
        goes_on = is_up ? hear(server, &hello, &up, size) : speak(server, &hello, &down, size);
    }
    stream_flush(&server->stream);
    stream_close(&server->stream);
    server->has_fiber = false;
    if (server->is_released)
        server_free(server);
}

static void server_input(struct stream *stream)
{
    (void)stream; /* the fiber sees it */
}

static void server_released(struct stream *stream)
{
    struct server *server = (struct server *)stream;
    server->is_released = true;
    if (!server->has_fiber)
        server_free(server);
}

static const struct stream_owner server_owner = {.input = server_input,
                                                 .released = server_released};

static bool server_accepted(struct core *core, unsigned slot, void *argument)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return false;
    server->meeting = argument;
    server->meeting->alive++;
    stream_open(&server->stream, core, slot, &server_owner);
    stream_deadline(&server->stream, core_now_ns(core) + IDLE_NS);
    server->has_fiber = fiber_start(core, server_main, server) == 0;
    if (!server->has_fiber)
        stream_close(&server->stream);
    return true;
}

/* ---------------------------------------------------------------- the front */

struct pair {
    struct stream client, back;
    struct meeting *meeting;
    struct pair *next, **previous_next;
    unsigned open; /* streams, and the fiber */
    bool is_joined;
};

static void pair_left(struct pair *pair)
{
    if (--pair->open > 0)
        return;
    *pair->previous_next = pair->next;
    if (pair->next != NULL)
        pair->next->previous_next = pair->previous_next;
    pair->meeting->alive--;
    free(pair);
}

static void pair_close(struct pair *pair)
{
    stream_close(&pair->client);
    if (pair->is_joined)
        stream_close(&pair->back);
}

static struct pair *of_client(struct stream *stream)
{
    return (struct pair *)((char *)stream - offsetof(struct pair, client));
}

static struct pair *of_back(struct stream *stream)
{
    return (struct pair *)((char *)stream - offsetof(struct pair, back));
}

static void client_input(struct stream *stream)
{
    if (stream->end != 0 && of_client(stream)->is_joined)
        pair_close(of_client(stream));
}

static void back_input(struct stream *stream)
{
    if (stream->end == 0)
        sim_fail(of_back(stream)->meeting->sim, "told of the end of a stream that goes on");
    if (of_back(stream)->is_joined)
        pair_close(of_back(stream));
}

static void client_released(struct stream *stream)
{
    struct pair *pair = of_client(stream);
    if (pair->is_joined)
        stream_close(&pair->back);
    pair_left(pair);
}

static void back_released(struct stream *stream)
{
    stream_close(&of_back(stream)->client);
    pair_left(of_back(stream));
}

static const struct stream_owner client_owner = {.input = client_input,
                                                 .released = client_released};
static const struct stream_owner back_owner = {.input = back_input, .released = back_released};

static void pair_main(void *argument)
{
    struct pair *pair = argument;
    struct core *core = pair->client.core;
    struct stream_target target = target_v4(SERVER_PORT);
    int result = stream_connect(&pair->back, core, &target, core_now_ns(core) + 200 * SECOND_NS,
                                &back_owner);
    if (result == 0 && pair->client.slot < 0) { /* the client has gone, and is released */
        pair->open++;
        stream_close(&pair->back);
    } else if (result == 0) {
        pair->open++;
        pair->is_joined = true;
        stream_deadline(&pair->client, core_now_ns(core) + IDLE_NS);
        stream_join(&pair->client, &pair->back, NULL);
    } else {
        stream_close(&pair->client);
    }
    pair_left(pair);
}

static bool front_accepted(struct core *core, unsigned slot, void *argument)
{
    struct pair *pair = calloc(1, sizeof *pair);
    if (pair == NULL)
        return false;
    pair->meeting = argument;
    struct pair **list = &pair->meeting->pairs[core_index(core)];
    pair->next = *list;
    pair->previous_next = list;
    if (*list != NULL)
        (*list)->previous_next = &pair->next;
    *list = pair;
    pair->meeting->alive++;
    pair->open = 2;
    stream_open(&pair->client, core, slot, &client_owner);
    if (fiber_start(core, pair_main, pair) < 0) {
        pair->open--;
        stream_close(&pair->client);
    }
    return true;
}

/* Closes one side, or both at once, of some pair. */
static void kick(struct meeting *meeting, struct core *core)
{
    for (struct pair *pair = meeting->pairs[core_index(core)]; pair != NULL; pair = pair->next) {
        if (!pair->is_joined || sim_below(meeting->sim, 3) > 0)
            continue;
        unsigned which = 1 + sim_below(meeting->sim, 3);
        meeting->is_kicked = true;
        if (which & 1)
            stream_close(&pair->client);
        if (which & 2)
            stream_close(&pair->back);
        return;
    }
}

/* ---------------------------------------------------------------- a core */

static struct listener *listen_at(struct core *core, unsigned port,
                                  bool (*accepted)(struct core *, unsigned, void *),
                                  struct meeting *meeting)
{
    struct listener *listener;
    struct listener_options options = {
        .address = port == FRONT_PORT ? "::" : "127.0.0.1",
        .port = port,
        .connections_max = 50,
        .accepted = accepted,
        .argument = meeting,
    };
    while (listener_open(core, &options, &listener) < 0)
        fiber_sleep(core, 100000000);
    return listener;
}

static int core_body(struct core *core, void *argument)
{
    struct meeting *meeting = argument;
    unsigned index = core_index(core);
    bool has_hand = sim_below(meeting->sim, 4) == 0;
    while (net_open(core) < 0) /* out of memory */
        fiber_sleep(core, 100000000);
    meeting->servers[index] = listen_at(core, SERVER_PORT, server_accepted, meeting);
    meeting->fronts[index] = listen_at(core, FRONT_PORT, front_accepted, meeting);
    meeting->open++;
    while (!meeting->is_stopping) {
        fiber_sleep(core, has_hand ? 1 + sim_below(meeting->sim, 1u << 29) : 30 * SECOND_NS);
        if (has_hand && sim_below(meeting->sim, 4) == 0)
            kick(meeting, core);
    }
    listener_close(meeting->servers[index]);
    listener_close(meeting->fronts[index]);
    while (meeting->alive > 0)
        fiber_sleep(core, 30 * SECOND_NS);
    fiber_sleep(core, SECOND_NS); /* cancels and closes of the last one */
    if (buffer_lent(core) > 0)
        sim_fail(meeting->sim, "%u buffers are not home", buffer_lent(core));
    net_close(core);
    meeting->closed++;
    return 0;
}

/* ---------------------------------------------------------------- a client */

static void part_badly(struct sim_actor *actor, struct sim_client *client)
{
    struct sim *sim = sim_actor_sim(actor);
    sim_actor_sleep(actor, sim_below(sim, 1u << sim_below(sim, 30)));
    switch (sim_below(sim, 4)) {
    case 0:
        sim_client_close(client);
        break;
    case 1:
        sim_client_vanish(client);
        break;
    case 2:
        sim_client_half_close(client);
        break;
    default:
        sim_client_reset(client);
    }
}

static void compare(struct meeting *meeting, const struct hello *hello, struct slice got,
                    bool is_whole_due)
{
    if (got.size > hello->down)
        sim_fail(meeting->sim, "a client got %zu bytes, not %u", got.size, hello->down);
    for (size_t i = 0; i < got.size && i < hello->down; i++)
        if (got.data[i] != word(hello->number, false, i)) {
            sim_fail(meeting->sim, "conversation %u: byte %zu down is wrong", hello->number, i);
            return;
        }
    if (is_whole_due && got.size < hello->down)
        sim_fail(meeting->sim, "an honest client got %zu bytes of %u", got.size, hello->down);
}

static void converse(struct sim_actor *actor, struct meeting *meeting)
{
    struct sim *sim = meeting->sim;
    struct hello hello = {.number = meeting->conversations++,
                          .up = sim_below(sim, 1u << (4 + sim_below(sim, 16))),
                          .down = sim_below(sim, 1u << (4 + sim_below(sim, 16)))};
    bool is_honest = sim_below(sim, 3) > 0, pauses = sim_below(sim, 3) == 0;
    char *data = sim_keep_alloc(hello.up + 1);
    struct sim_client *client =
        sim_connect(sim, sim_below(sim, 2) ? "2001:db8::1" : "192.0.2.1", FRONT_PORT);
    if (pauses)
        sim_client_pause(client, true);
    sim_client_send(client, &hello, sizeof hello);
    uint32_t stop = is_honest ? hello.up : sim_below(sim, hello.up + 1);
    for (uint32_t i = 0; i < stop; i++)
        data[i] = word(hello.number, true, i);
    for (uint32_t at = 0; at < stop;) {
        uint32_t part = 1 + sim_below(sim, 1u << sim_below(sim, 20));
        part = part < stop - at ? part : stop - at;
        sim_client_send(client, data + at, part);
        at += part;
        if (sim_below(sim, 3) == 0)
            sim_actor_sleep(actor, sim_below(sim, 200000000));
    }
    if (pauses)
        sim_actor_sleep(actor, sim_below(sim, 2000000000));
    sim_client_pause(client, false);
    if (!is_honest)
        part_badly(actor, client);
    else
        while (sim_actor_wait(actor, client, sim_client_received(client).size, PATIENCE_NS))
            ;
    compare(meeting, &hello, sim_client_received(client),
            is_honest && meeting->is_quiet && !meeting->is_kicked);
    sim_keep_free(data);
}

static void client(struct sim_actor *actor, void *argument)
{
    struct meeting *meeting = argument;
    unsigned connections = 1 + sim_below(meeting->sim, CONNECTIONS_MAX);
    for (unsigned i = 0; i < connections; i++) {
        sim_actor_sleep(actor, sim_below(meeting->sim, 1000000000));
        if (sim_case_step(meeting->one, meeting->steps++))
            converse(actor, meeting);
    }
}

/* ---------------------------------------------------------------- the run */

static bool is_open(void *argument)
{
    const struct meeting *meeting = argument;
    return meeting->open == meeting->cores;
}

static bool clients_are_done(void *argument)
{
    return sim_actors_done(((struct meeting *)argument)->sim);
}

static bool is_closed(void *argument)
{
    const struct meeting *meeting = argument;
    return meeting->closed == meeting->cores;
}

static bool is_quiet(const struct sim_options *options)
{
    static const enum sim_fault harmless[] = {
        SIM_FAULT_SHORT_SEND,    SIM_FAULT_SHORT_RECV,      SIM_FAULT_NO_BUFFERS,
        SIM_FAULT_MULTISHOT_END, SIM_FAULT_ENTER_INTR,      SIM_FAULT_ENTER_PARTIAL,
        SIM_FAULT_LATE_WAKE,     SIM_FAULT_LATE_COMPLETION, SIM_FAULT_CLOCK_JUMP};
    uint64_t seen = 0;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        seen |= UINT64_C(1) << harmless[i];
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        if (options->faults[i] > 0 && !(seen >> i & 1))
            return false;
    return true;
}

int scenario_join(const struct sim_case *one, char *why, size_t why_size)
{
    struct sim_options options;
    sim_case_options(one, &options);
    options.faults[SIM_FAULT_CALL_ERROR] = 0;
    uint64_t shape = one->seed * UINT64_C(0x9e3779b97f4a7c15);
    options.engine.core_count = 1 + (unsigned)(shape >> 40) % 3;
    options.engine.buffers = 4u << (shape >> 48) % 4;
    options.engine.fibers_max = 300;
    options.engine.connections_max = 300;
    options.engine.connects = true;
    struct sim *sim = sim_create(&options);
    struct meeting meeting = {
        .one = one, .sim = sim, .cores = options.engine.core_count, .is_quiet = is_quiet(&options)};
    if (sim_start(sim) < 0)
        return sim_case_end(sim, why, why_size);
    for (unsigned i = 0; i < meeting.cores; i++)
        sim_spawn(sim, i, core_body, &meeting, NULL);
    if (sim_until(sim, is_open, &meeting, 60 * SECOND_NS) != 0)
        sim_fail(sim, "the listeners do not open");
    unsigned clients = 1 + sim_below(sim, CLIENTS_MAX);
    for (unsigned i = 0; i < clients; i++)
        sim_actor_start(sim, client, &meeting);
    if (sim_until(sim, clients_are_done, &meeting, 100 * PATIENCE_NS) != 0)
        sim_fail(sim, "the clients do not come to an end");
    sim_heal(sim);
    meeting.is_stopping = true;
    if (sim_until(sim, is_closed, &meeting, 4 * IDLE_NS) != 0)
        sim_fail(sim, "healed, but %u sessions stay", meeting.alive);
    if (sim_stop(sim) != 0)
        sim_fail(sim, "the engine does not come to rest");
    return sim_case_end(sim, why, why_size);
}
