/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The client's end of a connection. Bytes go to the server in segments, one event each, as far as
 * its socket has room; they come from the server's socket, or, once that is gone, from the `tail`
 * it left.
 *
 *   sim_client_send ─▶ unsent ──EVENT_TO_SERVER──▶ socket.received
 *   received ◀──EVENT_TO_CLIENT── socket.sending, or tail
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

uint64_t client_travel_ns(struct sim *sim)
{
    uint64_t ns = chance_around(sim, sim->options.net_ns);
    if (sim_chance(sim, SIM_FAULT_SLOW_PEER))
        ns += chance_next(&sim->chance) % UINT64_C(30000000000);
    return ns;
}

static size_t to_server_size(const struct sim_client *client)
{
    if (client->socket == NONE)
        return client->unsent.size;
    const struct socket *socket = &client->sim->sockets[client->socket];
    size_t room = socket->received.size < SOCKET_RECEIVE_BYTES
                      ? SOCKET_RECEIVE_BYTES - socket->received.size
                      : 0;
    return client->unsent.size < room ? client->unsent.size : room;
}

static bool is_on_its_way(const struct sim_client *client)
{
    return client->state == SIM_CLIENT_OPEN ||
           (client->state == SIM_CLIENT_CLOSED && !client->end_sent);
}

static size_t to_client_size(const struct sim_client *client)
{
    const struct bytes *from =
        client->socket == NONE ? &client->tail : &client->sim->sockets[client->socket].sending;
    size_t room = client->received.size < CLIENT_RECEIVE_BYTES
                      ? CLIENT_RECEIVE_BYTES - client->received.size
                      : 0;
    if (client->state == SIM_CLIENT_CLOSED)
        return from->size;
    return from->size < room ? from->size : room;
}

static bool server_has_ended(const struct sim_client *client)
{
    if (client->socket == NONE)
        return client->tail.size == 0;
    const struct socket *socket = &client->sim->sockets[client->socket];
    return socket->is_reset;
}

/* Schedules what can move now. */
void client_kick(struct sim *sim, struct sim_client *client)
{
    if (client == NULL || client->is_silent)
        return;
    bool has_end = client->end_queued && !client->end_sent && client->unsent.size == 0;
    if (!client->to_server_scheduled && is_on_its_way(client) && !client->is_reset &&
        (to_server_size(client) > 0 || has_end)) {
        client->to_server_scheduled = true;
        event_add(sim, client_travel_ns(sim), EVENT_TO_SERVER, client->index, 0);
    }
    bool is_listening = client->state == SIM_CLIENT_OPEN || client->state == SIM_CLIENT_CLOSED;
    if (!client->to_client_scheduled && is_listening && !client->is_paused &&
        (to_client_size(client) > 0 ||
         (client->state == SIM_CLIENT_OPEN && server_has_ended(client)))) {
        client->to_client_scheduled = true;
        event_add(sim, client_travel_ns(sim), EVENT_TO_CLIENT, client->index, 0);
    }
}

static void tell(struct sim *sim, struct sim_client *client)
{
    if (client->wired != NULL)
        wire_look(client);
    if (client->changed != NULL)
        client->changed(client, client->argument);
    actors_look(sim, client);
}

static size_t segment_size(struct sim *sim, const struct sim_client *client, size_t size)
{
    uint64_t bound = size;
    switch (client->how) {
    case SIM_SEGMENTS_DRAWN:
        switch (chance_below(sim, 4)) {
        case 0:
            break;
        case 1:
            bound = 1 + chance_below(sim, 16);
            break;
        default:
            bound = 1 + chance_below(sim, 1460);
        }
        break;
    case SIM_SEGMENTS_WHOLE:
        break;
    case SIM_SEGMENTS_FIXED:
        bound = client->segment_size;
        break;
    case SIM_SEGMENTS_SPLIT_AT:
        if (client->bytes_sent < client->segment_size)
            bound = client->segment_size - client->bytes_sent;
        break;
    }
    return bound < size ? (size_t)bound : size;
}

static void deliver(struct sim *sim, struct sim_client *client)
{
    size_t size = segment_size(sim, client, to_server_size(client));
    if (client->socket != NONE) {
        struct socket *socket = &sim->sockets[client->socket];
        bytes_add(&socket->received, bytes_at(&client->unsent), size);
    }
    bytes_drop(&client->unsent, size);
    client->bytes_sent += size;
    sim->counts[SIM_COUNT_BYTES_TO_SERVER] += size;
    if (client->wired != NULL)
        wire_look(client->wired);
}

void client_to_server(struct sim *sim, uint32_t index)
{
    struct sim_client *client = sim->clients[index];
    if (client == NULL)
        return;
    client->to_server_scheduled = false;
    if (client->is_silent || client->is_reset || !is_on_its_way(client))
        return;
    if (sim_chance(sim, SIM_FAULT_SILENT)) {
        client->is_silent = true;
        return;
    }
    if (client->unsent.size > 0) {
        deliver(sim, client);
    } else if (client->end_queued && !client->end_sent) {
        client->end_sent = true;
        if (client->socket != NONE)
            sim->sockets[client->socket].end_came = true;
    }
    if (client->socket != NONE)
        socket_kick(sim, client->socket);
    client_kick(sim, client);
}

static void hear_end(struct sim *sim, struct sim_client *client)
{
    if (client->state != SIM_CLIENT_OPEN || !server_has_ended(client))
        return;
    bool is_reset = client->is_reset;
    client->state = is_reset ? SIM_CLIENT_RESET : SIM_CLIENT_ENDED;
    if (sim->options.verbose)
        sim_trace(sim, "client %u: %s", client->index, is_reset ? "reset" : "end");
    tell(sim, client);
}

void client_from_server(struct sim *sim, uint32_t index)
{
    struct sim_client *client = sim->clients[index];
    if (client == NULL)
        return;
    client->to_client_scheduled = false;
    if (client->is_silent || client->is_paused)
        return;
    struct bytes *from =
        client->socket == NONE ? &client->tail : &sim->sockets[client->socket].sending;
    if (client->state == SIM_CLIENT_CLOSED && from->size > 0) { /* it does not read: RST */
        bytes_free(&client->tail);
        if (client->socket != NONE)
            socket_reset(sim, client->socket);
        return;
    }
    size_t size = to_client_size(client);
    if (!sim->options.in_order && size > 1 && chance_below(sim, 3) == 0)
        size = 1 + chance_below(sim, (uint32_t)size - 1);
    bytes_add(&client->received, bytes_at(from), size);
    bytes_drop(from, size);
    sim->counts[SIM_COUNT_BYTES_TO_CLIENTS] += size;
    if (client->socket != NONE)
        socket_kick(sim, client->socket);
    if (size > 0)
        tell(sim, client);
    hear_end(sim, client);
    client_kick(sim, client);
}

/* The server's socket is gone; what it had still to send is in the tail. */
void client_server_gone(struct sim *sim, struct sim_client *client, bool is_reset)
{
    client->is_reset = is_reset;
    if (is_reset)
        bytes_free(&client->tail);
    client_kick(sim, client);
}

/* ---------------------------------------------------------------- calls of the test */

void sim_connect_core(struct sim *sim, int core)
{
    sim->connect_core = core;
}

void sim_connect_from(struct sim *sim, const char *address)
{
    sim->connect_from[0] = '\0';
    if (address != NULL) {
        assert(strlen(address) < sizeof sim->connect_from);
        memcpy(sim->connect_from, address, strlen(address) + 1);
    }
}

static void give_address(struct sim *sim, struct sim_client *client, bool listens_six,
                         const char *from)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    uint32_t drawn = chance_below(sim, 65536);
    client->port = (uint16_t)(1024 + chance_below(sim, 60000));
    client->is_six = listens_six;
    memcpy(client->address, mapped, sizeof mapped);
    if (from != NULL) {
        if (strchr(from, ':') != NULL)
            inet_pton(AF_INET6, from, client->address);
        else
            inet_pton(AF_INET, from, client->address + 12);
    } else if (listens_six && drawn % 2 == 0) {
        inet_pton(AF_INET6, "2001:db8::", client->address);
        client->address[14] = (uint8_t)(drawn >> 8);
        client->address[15] = (uint8_t)drawn;
    } else {
        uint8_t v4[4] = {192, 0, 2, (uint8_t)(1 + drawn % 254)};
        memcpy(client->address + 12, v4, 4);
    }
}

struct sim_client *client_new(struct sim *sim, bool is_unix)
{
    struct sim_client *client = sim_keep_alloc(sizeof *client);
    *client = (struct sim_client){.sim = sim, .socket = NONE, .is_unix = is_unix};
    sim->clients =
        array_room(sim->clients, &sim->client_capacity, sim->client_count, sizeof *sim->clients);
    client->index = sim->client_count++;
    sim->clients[client->index] = client;
    return client;
}

void client_arrive(struct sim *sim, struct sim_client *client, int32_t at, const char *from)
{
    int32_t index = socket_new(sim, SOCKET_CONNECTION);
    struct socket *socket = &sim->sockets[index];
    struct listening *listening = sim->sockets[at].listening;
    socket->peer = client;
    client->socket = index;
    give_address(sim, client, strchr(listening->address, ':') != NULL, from);
    listening->backlog = array_room(listening->backlog, &listening->backlog_capacity,
                                    listening->backlog_count, sizeof *listening->backlog);
    listening->backlog[listening->backlog_count++] = index;
    socket_kick(sim, at);
}

struct sim_client *sim_connect(struct sim *sim, const char *address, unsigned port)
{
    struct sim_client *client = client_new(sim, port == 0);
    int32_t at = socket_listening(sim, address, port, sim->connect_core);
    trace_mix(sim, (uint64_t)(uint32_t)at << 8 | 0xc0);
    if (at == NONE)
        client->state = SIM_CLIENT_REFUSED;
    else
        client_arrive(sim, client, at, sim->connect_from[0] != '\0' ? sim->connect_from : NULL);
    return client;
}

enum sim_client_state sim_client_state(const struct sim_client *client)
{
    return client->state;
}

struct sim *sim_client_sim(const struct sim_client *client)
{
    return client->sim;
}

void sim_client_name(const struct sim_client *client, char *text, size_t size)
{
    char address[INET6_ADDRSTRLEN];
    bool is_four = memcmp(client->address, (const uint8_t[12]){[10] = 0xff, [11] = 0xff}, 12) == 0;
    inet_ntop(is_four ? AF_INET : AF_INET6, client->address + (is_four ? 12 : 0), address,
              sizeof address);
    snprintf(text, size, "%s %u", address, client->port);
}

void sim_client_send(struct sim_client *client, const void *data, size_t size)
{
    if (client->state != SIM_CLIENT_OPEN || client->end_queued)
        return;
    bytes_add(&client->unsent, data, size);
    client_kick(client->sim, client);
}

void sim_client_text(struct sim_client *client, const char *text)
{
    sim_client_send(client, text, strlen(text));
}

struct slice sim_client_received(const struct sim_client *client)
{
    return slice_of(bytes_at(&client->received), client->received.size);
}

void sim_client_consume(struct sim_client *client, size_t size)
{
    bytes_drop(&client->received, size);
    client_kick(client->sim, client);
}

size_t sim_client_unsent(const struct sim_client *client)
{
    return client->unsent.size;
}

void sim_client_half_close(struct sim_client *client)
{
    client->end_queued = true;
    client_kick(client->sim, client);
}

void sim_client_close(struct sim_client *client)
{
    if (client->state != SIM_CLIENT_OPEN)
        return;
    client->end_queued = true;
    client->state = SIM_CLIENT_CLOSED;
    client_kick(client->sim, client);
}

void sim_client_reset(struct sim_client *client)
{
    if (client->state != SIM_CLIENT_OPEN)
        return;
    client->state = SIM_CLIENT_CLOSED;
    client->end_sent = true;
    bytes_free(&client->unsent);
    if (client->socket != NONE && !client->is_silent)
        socket_reset(client->sim, client->socket);
}

void sim_client_vanish(struct sim_client *client)
{
    client->is_silent = true;
    client->state = SIM_CLIENT_CLOSED;
}

void sim_client_pause(struct sim_client *client, bool paused)
{
    client->is_paused = paused;
    client_kick(client->sim, client);
}

void sim_client_forget(struct sim_client *client)
{
    struct sim *sim = client->sim;
    sim_client_reset(client);
    if (client->socket != NONE) { /* the socket still speaks of its peer: it stays, mute */
        client->is_silent = true;
        client->changed = NULL;
        return;
    }
    sim->clients[client->index] = NULL;
    bytes_free(&client->unsent);
    bytes_free(&client->received);
    bytes_free(&client->tail);
    sim_keep_free(client);
}

void sim_client_segments(struct sim_client *client, enum sim_segments how, uint64_t size)
{
    assert(how != SIM_SEGMENTS_FIXED || size > 0);
    client->how = how;
    client->segment_size = size;
}

void sim_client_watch(struct sim_client *client,
                      void (*changed)(struct sim_client *client, void *argument), void *argument)
{
    client->changed = changed;
    client->argument = argument;
}

void clients_free(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->client_count; i++) {
        struct sim_client *client = sim->clients[i];
        if (client == NULL)
            continue;
        bytes_free(&client->unsent);
        bytes_free(&client->received);
        bytes_free(&client->tail);
        sim_keep_free(client);
    }
    sim_keep_free(sim->clients);
    for (uint32_t i = 0; i < sim->socket_count; i++) {
        bytes_free(&sim->sockets[i].received);
        bytes_free(&sim->sockets[i].sending);
    }
    sim_keep_free(sim->sockets);
}
