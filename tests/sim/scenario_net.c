/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Streams and listeners under chaos: the line server on one to three cores, actors as clients who
 * send commands (pipelined, cut anywhere), read or do not read, close, reset, vanish.
 *
 * Oracle: what a client has received is a prefix of what its commands ask for; all of it when
 * neither the client nor a fault of its connection got in the way. In the end, healed and with the
 * listeners closed, every session ends and nothing is left (row R03 of the list of bad input).
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/line_server.h"
#include "scenarios.h"

enum { CLIENTS_MAX = 12, CONNECTIONS_MAX = 3, COMMANDS_MAX_EACH = 10, PORT = 25 };
/* Hours: a large command in single bytes over a slow network takes that long. */
static const uint64_t PATIENCE_NS = UINT64_C(20000000000000), IDLE_NS = UINT64_C(40000000000000);

struct chaos {
    const struct sim_case *one;
    struct sim *sim;
    struct line_server lines;
    struct listener *listeners[CORES_MAX];
    unsigned cores, open, closed;
    bool is_stopping;
    uint32_t steps;
};

/* ---------------------------------------------------------------- the server */

static int server(struct core *core, void *argument)
{
    struct chaos *chaos = argument;
    struct listener **listener = &chaos->listeners[core_index(core)];
    struct listener_options options = {
        .address = "::",
        .port = PORT,
        .connections_max = 50,
        .refusal = SLICE("busy\r\n"),
        .accepted = line_server_accepted,
        .argument = &chaos->lines,
    };
    while (net_open(core) < 0) /* out of memory */
        fiber_sleep(core, 100000000);
    while (listener_open(core, &options, listener) < 0)
        fiber_sleep(core, 100000000);
    chaos->open++;
    while (!chaos->is_stopping)
        fiber_sleep(core, UINT64_C(30000000000));
    listener_close(*listener);
    while (chaos->lines.sessions > 0)
        fiber_sleep(core, UINT64_C(30000000000));
    fiber_sleep(core, UINT64_C(1000000000)); /* cancels and closes of the last session */
    net_close(core);
    chaos->closed++;
    return 0;
}

/* ---------------------------------------------------------------- a client */

struct text {
    char *data;
    size_t size, capacity;
};

static void text_add(struct text *text, const void *data, size_t size)
{
    if (size == 0)
        return;
    if (text->size + size > text->capacity) {
        text->capacity = 2 * (text->size + size) + 1024;
        text->data = sim_keep_resize(text->data, text->capacity);
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

static void text_print(struct text *text, const char *format, unsigned number)
{
    char line[100];
    int size = snprintf(line, sizeof line, format, number);
    text_add(text, line, (size_t)size);
}

static void text_pattern(struct text *text, size_t size)
{
    char *data = sim_keep_alloc(size);
    pattern_fill(data, size, 0);
    text_add(text, data, size);
    sim_keep_free(data);
}

/* One command to `out`, what it must be answered to `want`. */
static void command_draw(struct sim *sim, struct text *out, struct text *want)
{
    static const char *const sinks[] = {"sink %u\r\n", "exact %u\r\n", "peek %u\r\n"};
    unsigned size = 1 + sim_below(sim, 1u << (4 + sim_below(sim, 15)));
    char line[999];
    switch (sim_below(sim, 6)) {
    case 0:
        text_print(out, sinks[sim_below(sim, 3)], size);
        text_pattern(out, size);
        text_print(want, "got %u\r\n", size);
        break;
    case 1:
        text_print(out, sim_below(sim, 2) ? "send %u\r\n" : "write %u\r\n", size);
        text_add(want, "begin\r\n", 7);
        text_pattern(want, size);
        text_add(want, "end\r\n", 5);
        break;
    case 2:
        text_add(out, "nap 100\r\n", 9);
        text_add(want, "awake\r\n", 7);
        break;
    case 3:
        text_add(out, "move\r\n", 6);
        text_add(want, "moving to ?\r\n", 13);
        break;
    default:
        memset(line, 'a' + (char)sim_below(sim, 20), sizeof line);
        size = sim_below(sim, sizeof line - 1);
        text_add(out, line, size);
        text_add(out, "\r\n", 2);
        text_add(want, line, size);
        text_add(want, "\r\n", 2);
    }
}

/* '?' of the wanted text is any byte. */
static void compare(struct sim *sim, struct slice got, const struct text *want)
{
    if (got.size >= 6 && memcmp(got.data, "busy\r\n", 6) == 0)
        return;
    if (got.size > want->size) {
        sim_fail(sim, "a client got %zu bytes, not %zu", got.size, want->size);
        return;
    }
    for (size_t i = 0; i < got.size; i++)
        if (got.data[i] != want->data[i] && want->data[i] != '?') {
            sim_fail(sim, "byte %zu of %zu a client got is wrong: '%.*s', not '%.*s'", i, got.size,
                     (int)slice_first(slice_from(got, i), 20).size, got.data + i,
                     (int)(want->size - i < 20 ? want->size - i : 20), want->data + i);
            return;
        }
}

/* Anything that may end a connection has happened in this world. */
static bool may_break(const struct sim *sim)
{
    static const enum sim_fault breaking[] = {
        SIM_FAULT_RESET,     SIM_FAULT_SILENT,     SIM_FAULT_SLOW_PEER, SIM_FAULT_ACCEPT_ERROR,
        SIM_FAULT_PEER_NAME, SIM_FAULT_MOVE_ERROR, SIM_FAULT_NO_MEMORY};
    for (size_t i = 0; i < sizeof breaking / sizeof *breaking; i++)
        if (sim_fault_count(sim, breaking[i]) > 0)
            return true;
    return false;
}

static void misbehave(struct sim_actor *actor, struct sim_client *client)
{
    struct sim *sim = sim_actor_sim(actor);
    switch (sim_below(sim, 5)) {
    case 0:
        sim_client_close(client);
        break;
    case 1:
        sim_client_reset(client);
        break;
    case 2:
        sim_client_vanish(client);
        break;
    case 3:
        sim_client_pause(client, true);
        sim_actor_sleep(actor, UINT64_C(1000000000) * sim_below(sim, 600));
        sim_client_reset(client);
        break;
    default:
        sim_client_half_close(client);
    }
}

static void send_all(struct sim_actor *actor, struct sim_client *client, const struct text *out,
                     size_t stop)
{
    struct sim *sim = sim_actor_sim(actor);
    for (size_t at = 0; at < stop;) {
        size_t part = 1 + sim_below(sim, 1u << sim_below(sim, 20));
        part = part < stop - at ? part : stop - at;
        sim_client_send(client, out->data + at, part);
        at += part;
        if (sim_below(sim, 3) == 0)
            sim_actor_sleep(actor, sim_below(sim, 200000000));
    }
}

static void connection(struct sim_actor *actor, struct chaos *chaos)
{
    struct sim *sim = chaos->sim;
    struct text out = {0}, want = {0};
    unsigned commands = sim_below(sim, COMMANDS_MAX_EACH);
    bool is_honest = sim_below(sim, 3) > 0, pauses = sim_below(sim, 4) == 0;
    for (unsigned i = 0; i < commands; i++)
        if (sim_case_step(chaos->one, chaos->steps++))
            command_draw(sim, &out, &want);
    text_add(&out, "quit\r\n", 6);
    text_add(&want, "bye\r\n", 5);
    struct sim_client *client =
        sim_connect(sim, sim_below(sim, 2) ? "2001:db8::1" : "192.0.2.1", PORT);
    if (sim_below(sim, 4) == 0)
        sim_client_segments(client, SIM_SEGMENTS_FIXED, 1 + sim_below(sim, 100));
    if (pauses)
        sim_client_pause(client, true);
    size_t stop = is_honest ? out.size : sim_below(sim, (uint32_t)out.size);
    send_all(actor, client, &out, stop);
    if (pauses)
        sim_actor_sleep(actor, sim_below(sim, 2000000000));
    sim_client_pause(client, false);
    if (!is_honest)
        misbehave(actor, client);
    else
        while (sim_actor_wait(actor, client, sim_client_received(client).size, PATIENCE_NS))
            ;
    struct slice got = sim_client_received(client);
    compare(sim, got, &want);
    bool is_refused = got.size >= 6 && memcmp(got.data, "busy\r\n", 6) == 0;
    if (is_honest && !may_break(sim) && !is_refused && got.size != want.size)
        sim_fail(sim, "an honest client got %zu bytes of %zu, state %d", got.size, want.size,
                 (int)sim_client_state(client));
    sim_keep_free(out.data);
    sim_keep_free(want.data);
}

static void client(struct sim_actor *actor, void *argument)
{
    struct chaos *chaos = argument;
    unsigned connections = 1 + sim_below(chaos->sim, CONNECTIONS_MAX);
    for (unsigned i = 0; i < connections; i++) {
        sim_actor_sleep(actor, sim_below(chaos->sim, 1000000000));
        if (sim_case_step(chaos->one, chaos->steps++))
            connection(actor, chaos);
    }
}

/* ---------------------------------------------------------------- the run */

static bool is_open(void *argument)
{
    const struct chaos *chaos = argument;
    return chaos->open == chaos->cores;
}

static bool clients_are_done(void *argument)
{
    return sim_actors_done(((struct chaos *)argument)->sim);
}

static bool is_closed(void *argument)
{
    const struct chaos *chaos = argument;
    return chaos->closed == chaos->cores;
}

int scenario_net(const struct sim_case *one, char *why, size_t why_size)
{
    struct sim_options options;
    sim_case_options(one, &options);
    options.faults[SIM_FAULT_CALL_ERROR] = 0;
    uint64_t shape = one->seed * UINT64_C(0x9e3779b97f4a7c15);
    options.engine.core_count = 1 + (unsigned)(shape >> 40) % 3;
    options.engine.buffers = 2u << (shape >> 48) % 4;
    options.engine.fibers_max = 200;
    if (options.engine.core_count == 1)
        options.engine.core_count = 2; /* "move" wants somewhere to go */
    struct sim *sim = sim_create(&options);
    struct chaos chaos = {.one = one, .sim = sim, .cores = options.engine.core_count};
    chaos.lines.idle_ns = IDLE_NS;
    if (sim_start(sim) < 0)
        return sim_case_end(sim, why, why_size);
    for (unsigned i = 0; i < chaos.cores; i++)
        sim_spawn(sim, i, server, &chaos, NULL);
    if (sim_until(sim, is_open, &chaos, UINT64_C(60000000000)) != 0)
        sim_fail(sim, "the listeners do not open");
    unsigned clients = 1 + sim_below(sim, CLIENTS_MAX);
    for (unsigned i = 0; i < clients; i++)
        sim_actor_start(sim, client, &chaos);
    if (sim_until(sim, clients_are_done, &chaos, 100 * PATIENCE_NS) != 0)
        sim_fail(sim, "the clients do not come to an end");
    sim_heal(sim);
    chaos.is_stopping = true;
    if (sim_until(sim, is_closed, &chaos, 4 * IDLE_NS) != 0)
        sim_fail(sim, "healed, but %u sessions stay", (unsigned)chaos.lines.sessions);
    if (sim_stop(sim) != 0)
        sim_fail(sim, "the engine does not come to rest");
    return sim_case_end(sim, why, why_size);
}
