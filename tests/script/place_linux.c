/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real kernel as a place: the engine on its threads, clients on sockets of the loopback, served
 * by this one thread with poll. Nothing fails by plan here, and the server ends only well.
 */
#include "place.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ringpost/kernel_linux.h"

enum { CLIENTS_MAX = 256, PORT_FIRST = 21000, PORTS = 1000, PORTS_EACH = 10 };
static const int64_t PATIENCE_MS = 20000;

struct socket_client {
    int fd; /* -1: closed */
    enum place_state state;
    bool is_paused, end_queued;
    char *in, *out;
    size_t in_start, in_size, in_capacity; /* in_size bytes that are not consumed, from in_start */
    size_t out_size, out_done;
};

struct place {
    const struct host *host;
    struct place_options options;
    char directory[64];
    unsigned port_base;
    int claim; /* a socket */
    void *state;
    struct kernel *kernels[CORES_MAX];
    struct engine *engine;
    pthread_t thread;
    bool is_up;
    atomic_uint opened, closed;
    atomic_int failed;
    atomic_bool stopping;
    struct socket_client clients[CLIENTS_MAX];
    unsigned client_count;
};

bool place_is_simulated(void)
{
    return false;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Its listeners share their ports (SO_REUSEPORT), also with another test: a socket that does not,
 * at the end of the range, says that the range is taken. */
static void claim_ports(struct place *place)
{
    for (unsigned i = 0; i < PORTS / PORTS_EACH; i++) {
        place->port_base = PORT_FIRST + ((unsigned)getpid() + i) * PORTS_EACH % PORTS;
        struct sockaddr_in name = {
            .sin_family = AF_INET,
            .sin_port = htons((uint16_t)(place->port_base + PORTS_EACH - 1)),
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        place->claim = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(place->claim, (struct sockaddr *)&name, sizeof name) == 0)
            return;
        close(place->claim);
    }
    abort();
}

struct place *place_begin(const struct host *host, const struct place_options *options)
{
    struct place *place = calloc(1, sizeof *place);
    if (place == NULL)
        abort();
    place->host = host;
    place->options = *options;
    claim_ports(place);
    snprintf(place->directory, sizeof place->directory, "/tmp/script-XXXXXX");
    if (mkdtemp(place->directory) == NULL)
        abort();
    place->state = host->make(options->cores, place->port_base, place->directory);
    if (place->state == NULL)
        abort();
    return place;
}

static int serve(struct core *core, void *argument)
{
    struct place *place = argument;
    int result = place->host->open(core, place->state);
    if (result < 0) {
        place->failed = result;
        return result;
    }
    atomic_fetch_add(&place->opened, 1);
    while (!place->stopping)
        fiber_sleep(core, 10000000);
    place->host->close(core, place->state);
    if (atomic_fetch_add(&place->closed, 1) + 1 == place->options.cores)
        engine_stop(place->engine);
    return 0;
}

static void *engine_thread(void *argument)
{
    struct place *place = argument;
    engine_run(place->engine, serve, place);
    return NULL;
}

int place_start(struct place *place)
{
    struct engine_options options = {
        .core_count = place->options.cores,
        .connections_max = 200,
        .buffers = 32,
        .fibers_max = 200,
        .stack_bytes = 65536,
        .connects = place->host->connects,
    };
    place->host->begin(place->state);
    place->opened = place->closed = 0;
    place->failed = 0;
    place->stopping = false;
    for (unsigned i = 0; i < options.core_count; i++)
        if (kernel_linux_create(&place->kernels[i]) < 0)
            abort();
    if (engine_create(&options, place->kernels, &place->engine) < 0 ||
        pthread_create(&place->thread, NULL, engine_thread, place) != 0)
        abort();
    place->is_up = true;
    while (place->opened < options.core_count && place->failed == 0)
        usleep(1000);
    if (place->failed == 0)
        return 0;
    place_down(place, PLACE_RESTART);
    return place->failed;
}

bool place_is_up(const struct place *place)
{
    return place->is_up;
}

const char *place_down(struct place *place, enum place_crash how)
{
    (void)how;
    if (!place->is_up)
        return NULL;
    place->stopping = true;
    pthread_join(place->thread, NULL);
    engine_destroy(place->engine);
    for (unsigned i = 0; i < place->options.cores; i++)
        kernel_linux_destroy(place->kernels[i]);
    place->is_up = false;
    return NULL;
}

void place_heal(struct place *place)
{
    (void)place;
}

uint64_t place_operations(struct place *place)
{
    (void)place;
    return 0;
}

bool place_has_failed(const struct place *place)
{
    (void)place;
    return false;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

void place_end(struct place *place)
{
    place_down(place, PLACE_RESTART);
    for (unsigned i = 0; i < place->client_count; i++) {
        if (place->clients[i].fd >= 0)
            close(place->clients[i].fd);
        free(place->clients[i].in);
        free(place->clients[i].out);
    }
    close(place->claim);
    nftw(place->directory, remove_one, 10, FTW_DEPTH | FTW_PHYS);
    place->host->free(place->state);
    free(place);
}

/* ---------------------------------------------------------------- clients */

static unsigned port_of(const struct place *place, const char *service)
{
    for (int i = 0; i < HOST_SERVICES_MAX && place->host->services[i].name != NULL; i++)
        if (strcmp(place->host->services[i].name, service) == 0)
            return place->port_base + place->host->services[i].port;
    abort();
}

int place_connect(struct place *place, const char *service)
{
    if (place->client_count == CLIENTS_MAX)
        abort();
    struct sockaddr_in name = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port_of(place, service)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    struct socket_client *client = &place->clients[place->client_count];
    *client = (struct socket_client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    int on = 1;
    if (connect(client->fd, (struct sockaddr *)&name, sizeof name) < 0)
        client->state = PLACE_REFUSED;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
    return (int)place->client_count++;
}

static void client_ended(struct socket_client *client, enum place_state state)
{
    close(client->fd);
    client->fd = -1;
    client->state = state;
}

static void client_read(struct socket_client *client)
{
    if (client->in_start > client->in_capacity / 2) { /* seldom: else each line would move all */
        memmove(client->in, client->in + client->in_start, client->in_size);
        client->in_start = 0;
    }
    if (client->in_capacity - client->in_start - client->in_size < 65536) {
        client->in_capacity = 2 * client->in_capacity + 131072;
        client->in = realloc(client->in, client->in_capacity);
        if (client->in == NULL)
            abort();
    }
    ssize_t got = recv(client->fd, client->in + client->in_start + client->in_size, 65536, 0);
    if (got > 0)
        client->in_size += (size_t)got;
    else if (got == 0)
        client_ended(client, PLACE_ENDED);
    else if (errno != EAGAIN && errno != EINTR)
        client_ended(client, PLACE_RESET);
}

static void client_write(struct socket_client *client)
{
    ssize_t sent = send(client->fd, client->out + client->out_done,
                        client->out_size - client->out_done, MSG_NOSIGNAL);
    if (sent > 0)
        client->out_done += (size_t)sent;
    else if (errno != EAGAIN && errno != EINTR)
        client->out_done = client->out_size; /* reading tells the rest */
    if (client->out_done == client->out_size && client->end_queued)
        shutdown(client->fd, SHUT_WR);
}

/* Lets all clients read and write for up to `ms`, or until something has happened. */
static void clients_step(struct place *place, int ms)
{
    struct pollfd polls[CLIENTS_MAX];
    for (unsigned i = 0; i < place->client_count; i++) {
        const struct socket_client *client = &place->clients[i];
        short in = client->is_paused ? 0 : POLLIN;
        polls[i] = (struct pollfd){client->fd, in, 0};
        if (client->out_done < client->out_size)
            polls[i].events |= POLLOUT;
    }
    if (poll(polls, place->client_count, ms) <= 0)
        return;
    for (unsigned i = 0; i < place->client_count; i++) {
        struct socket_client *client = &place->clients[i];
        if (client->fd >= 0 && (polls[i].revents & POLLOUT))
            client_write(client);
        if (client->fd >= 0 && (polls[i].revents & (POLLIN | POLLHUP | POLLERR)) &&
            !client->is_paused)
            client_read(client);
    }
}

void place_send(struct place *place, int index, const void *data, size_t size)
{
    struct socket_client *client = &place->clients[index];
    if (client->fd < 0)
        return;
    if (client->out_done == client->out_size)
        client->out_done = client->out_size = 0;
    client->out = realloc(client->out, client->out_size + size);
    if (client->out == NULL)
        abort();
    memcpy(client->out + client->out_size, data, size);
    client->out_size += size;
    int64_t until = now_ms() + PATIENCE_MS;
    clients_step(place, 0);
    while (client->fd >= 0 && client->out_size - client->out_done > 262144 && now_ms() < until)
        clients_step(place, 100);
}

struct slice place_received(struct place *place, int index)
{
    const struct socket_client *client = &place->clients[index];
    return slice_of(client->in == NULL ? "" : client->in + client->in_start, client->in_size);
}

void place_consume(struct place *place, int index, size_t size)
{
    struct socket_client *client = &place->clients[index];
    client->in_size -= size;
    client->in_start += size;
}

bool place_wait(struct place *place, int index, size_t size)
{
    const struct socket_client *client = &place->clients[index];
    int64_t until = now_ms() + PATIENCE_MS;
    while (client->in_size <= size && client->state == PLACE_OPEN) {
        if (now_ms() >= until)
            return false;
        clients_step(place, 100);
    }
    return true;
}

enum place_state place_state(struct place *place, int index)
{
    return place->clients[index].state;
}

void place_half_close(struct place *place, int index)
{
    struct socket_client *client = &place->clients[index];
    client->end_queued = true;
    if (client->fd >= 0 && client->out_done == client->out_size)
        shutdown(client->fd, SHUT_WR);
}

void place_close(struct place *place, int index)
{
    struct socket_client *client = &place->clients[index];
    int64_t until = now_ms() + PATIENCE_MS;
    while (client->fd >= 0 && client->out_done < client->out_size && now_ms() < until)
        clients_step(place, 100);
    if (client->fd >= 0)
        client_ended(client, PLACE_ENDED);
}

void place_reset(struct place *place, int index)
{
    struct socket_client *client = &place->clients[index];
    struct linger hard = {1, 0};
    if (client->fd < 0)
        return;
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    client_ended(client, PLACE_RESET);
}

void place_vanish(struct place *place, int index)
{
    place_reset(place, index); /* the loopback loses nothing */
}

void place_pause(struct place *place, int index, bool paused)
{
    place->clients[index].is_paused = paused;
}

void place_pass(struct place *place, uint64_t ns)
{
    int64_t until = now_ms() + (int64_t)(ns / 1000000);
    for (int64_t left = until - now_ms(); left > 0; left = until - now_ms())
        clients_step(place, left < 100 ? (int)left : 100);
}

uint64_t place_counter(struct place *place, enum counter which)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < place->options.cores; i++)
        sum += __atomic_load_n(&core_counters(engine_core(place->engine, i))->value[which],
                               __ATOMIC_RELAXED);
    return sum;
}

uint64_t place_bytes_sent(struct place *place)
{
    (void)place;
    return 0;
}
