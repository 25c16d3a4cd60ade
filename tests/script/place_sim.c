/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The simulator as a place: a calm world, in which the planned failure is the only fault.
 */
#include "place.h"

#include <stdlib.h>

#include "sim.h"

enum { CLIENTS_MAX = 4096, PORT_BASE = 21000 };
static const uint64_t PATIENCE_NS = UINT64_C(7200000000000), START_NS = UINT64_C(600000000000);

struct place {
    const struct host *host;
    struct place_options options;
    struct sim *sim;
    void *state;
    int results[CORES_MAX];
    struct sim_client *clients[CLIENTS_MAX];
    unsigned client_count;
    uint64_t sent[CLIENTS_MAX];
};

bool place_is_simulated(void)
{
    return true;
}

struct place *place_begin(const struct host *host, const struct place_options *options)
{
    struct place *place = sim_keep_alloc(sizeof *place);
    struct sim_options world;
    sim_options_calm(&world, options->seed);
    world.engine.core_count = options->cores;
    world.engine.fibers_max = 200;
    world.engine.connects = host->connects;
    world.engine.buffers = 32;
    world.net_ns = 20000;
    world.disk_bytes = UINT64_C(256) << 20;
    place->host = host;
    place->options = *options;
    place->sim = sim_create(&world);
    sim_directory_make(place->sim, "/store");
    place->state = host->make(options->cores, PORT_BASE, "/store");
    if (place->state == NULL)
        abort();
    unsigned kinds = options->fail_kinds != 0
                         ? options->fail_kinds
                         : SIM_OPERATION_FILE | SIM_OPERATION_SOCKET | SIM_OPERATION_CALL;
    place->options.fail_kinds = kinds;
    sim_fail_nth(place->sim, kinds, options->fail_nth, 0, false);
    sim_abort_is_crash(place->sim, kinds == SIM_OPERATION_MEMORY);
    return place;
}

static int open_body(struct core *core, void *argument)
{
    struct place *place = argument;
    return place->host->open(core, place->state);
}

static int close_body(struct core *core, void *argument)
{
    struct place *place = argument;
    place->host->close(core, place->state);
    return 0;
}

static bool all_returned(void *argument)
{
    const struct place *place = argument;
    for (unsigned i = 0; i < place->options.cores; i++)
        if (place->results[i] == INT_MAX)
            return false;
    return true;
}

static int on_all_cores(struct place *place, int (*body)(struct core *core, void *argument))
{
    for (unsigned i = 0; i < place->options.cores; i++) {
        place->results[i] = INT_MAX;
        int result = sim_spawn(place->sim, i, body, place, &place->results[i]);
        if (result < 0)
            return result;
    }
    int result = sim_until(place->sim, all_returned, place, START_NS);
    if (result == SIM_CRASHED)
        return -ECONNABORTED;
    for (unsigned i = 0; i < place->options.cores && result == 0; i++)
        result = place->results[i];
    return result;
}

int place_start(struct place *place)
{
    place->host->begin(place->state);
    int result = sim_start(place->sim);
    if (result < 0)
        return result;
    result = on_all_cores(place, open_body);
    if (result != 0 && sim_is_up(place->sim))
        sim_crash(place->sim, SIM_FAIL_STOP); /* as the program does: exit status 1 */
    return result == SIM_STUCK ? -ETIMEDOUT : result;
}

bool place_is_up(const struct place *place)
{
    return sim_is_up(place->sim);
}

const char *place_down(struct place *place, enum place_crash how)
{
    static const enum sim_crash_kind kinds[] = {
        [PLACE_KILL] = SIM_KILL,
        [PLACE_POWER_CUT] = SIM_POWER_CUT,
        [PLACE_FAIL_STOP] = SIM_FAIL_STOP,
    };
    if (!sim_is_up(place->sim))
        return NULL;
    if (how != PLACE_RESTART) {
        sim_crash(place->sim, kinds[how]);
        return sim_failure(place->sim);
    }
    int result = on_all_cores(place, close_body);
    if (result != 0 && result != -ECONNABORTED)
        return "the server does not come to an end";
    if (result == 0 && sim_stop(place->sim) == SIM_STUCK && sim_failure(place->sim) == NULL)
        return "the engine does not come to rest";
    return sim_failure(place->sim);
}

void place_heal(struct place *place)
{
    sim_fail_nth(place->sim, 0, 0, 0, false);
}

uint64_t place_operations(struct place *place)
{
    return sim_operations(place->sim, place->options.fail_kinds);
}

bool place_has_failed(const struct place *place)
{
    return sim_nth_failed(place->sim);
}

void place_end(struct place *place)
{
    sim_destroy(place->sim);
    place->host->free(place->state);
    sim_keep_free(place);
}

/* ---------------------------------------------------------------- clients */

static unsigned port_of(const struct place *place, const char *service)
{
    for (int i = 0; i < HOST_SERVICES_MAX && place->host->services[i].name != NULL; i++)
        if (strcmp(place->host->services[i].name, service) == 0)
            return PORT_BASE + place->host->services[i].port;
    return 0;
}

int place_connect(struct place *place, const char *service)
{
    static const enum sim_segments how[] = {
        [PLACE_CUT_DRAWN] = SIM_SEGMENTS_DRAWN,
        [PLACE_CUT_WHOLE] = SIM_SEGMENTS_WHOLE,
        [PLACE_CUT_SINGLE] = SIM_SEGMENTS_FIXED,
        [PLACE_CUT_AT] = SIM_SEGMENTS_SPLIT_AT,
    };
    unsigned port = port_of(place, service);
    if (port == 0 || place->client_count == CLIENTS_MAX)
        abort();
    sim_connect_from(place->sim, "127.0.0.1");
    struct sim_client *client = sim_connect(place->sim, "127.0.0.1", port);
    sim_client_segments(client, how[place->options.cut],
                        place->options.cut == PLACE_CUT_SINGLE ? 1 : place->options.cut_at);
    place->clients[place->client_count] = client;
    return (int)place->client_count++;
}

void place_send(struct place *place, int client, const void *data, size_t size)
{
    sim_client_send(place->clients[client], data, size);
    place->sent[client] += size;
}

struct slice place_received(struct place *place, int client)
{
    return sim_client_received(place->clients[client]);
}

void place_consume(struct place *place, int client, size_t size)
{
    sim_client_consume(place->clients[client], size);
}

struct awaited_client {
    struct sim_client *client;
    size_t size;
};

static bool has_more(void *argument)
{
    const struct awaited_client *awaited = argument;
    return sim_client_received(awaited->client).size > awaited->size ||
           sim_client_state(awaited->client) != SIM_CLIENT_OPEN;
}

bool place_wait(struct place *place, int client, size_t size)
{
    struct awaited_client awaited = {place->clients[client], size};
    int result;
    do /* a crash is not the end of waiting: the client will hear of it */
        result = sim_until(place->sim, has_more, &awaited, PATIENCE_NS);
    while (result == SIM_CRASHED);
    return result == 0;
}

enum place_state place_state(struct place *place, int client)
{
    switch (sim_client_state(place->clients[client])) {
    case SIM_CLIENT_OPEN:
        return PLACE_OPEN;
    case SIM_CLIENT_REFUSED:
        return PLACE_REFUSED;
    case SIM_CLIENT_RESET:
        return PLACE_RESET;
    default:
        return PLACE_ENDED;
    }
}

void place_half_close(struct place *place, int client)
{
    sim_client_half_close(place->clients[client]);
}

void place_close(struct place *place, int client)
{
    sim_client_close(place->clients[client]);
}

void place_reset(struct place *place, int client)
{
    sim_client_reset(place->clients[client]);
}

void place_vanish(struct place *place, int client)
{
    sim_client_vanish(place->clients[client]);
}

void place_pause(struct place *place, int client, bool paused)
{
    sim_client_pause(place->clients[client], paused);
}

void place_pass(struct place *place, uint64_t ns)
{
    sim_pass(place->sim, ns);
}

uint64_t place_counter(struct place *place, enum counter which)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < place->options.cores; i++)
        sum += core_counters(sim_core(place->sim, i))->value[which];
    return sum;
}

uint64_t place_bytes_sent(struct place *place)
{
    uint64_t most = 0;
    for (unsigned i = 0; i < place->client_count; i++)
        most = place->sent[i] > most ? place->sent[i] : most;
    return most;
}
