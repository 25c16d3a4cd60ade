/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The program as a client: sockets that it makes, binds and connects to those of its own that
 * listen. A connection is a wire between two clients (client.c), each the peer of one socket; what
 * one has received the other sends, and so does its end. So bytes between two sockets meet at each
 * of them what the bytes of any client meet.
 *
 *   connecting socket ─sending─▶ near.received ─▶ far.unsent ─▶ accepted socket
 *                     ◀───────── near.unsent ◀─ far.received ◀─sending─
 *
 * Invariant: a wire lives until both of its sockets are gone, and is freed by a later connect or
 * with the world.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/un.h>

#include "world.h"

enum { WIRE_BYTES_MAX = 65536 }; /* on their way at the farther end: no more is taken until then */
static const uint64_t LOST_NS = UINT64_C(127000000000); /* six attempts, doubling from one second */

/* ---------------------------------------------------------------- wires */

void wire_look(struct sim_client *from)
{
    struct sim_client *to = from->wired;
    struct slice bytes = sim_client_received(from);
    if (to->state == SIM_CLIENT_OPEN)
        bytes = slice_first(
            bytes, to->unsent.size < WIRE_BYTES_MAX ? WIRE_BYTES_MAX - to->unsent.size : 0);
    if (bytes.size > 0) {
        sim_client_send(to, bytes.data, bytes.size); /* unless it has ended: then they are lost */
        sim_client_consume(from, bytes.size);
    }
    if (from->state == SIM_CLIENT_RESET)
        sim_client_reset(to);
    else if (from->state == SIM_CLIENT_ENDED && from->received.size == 0)
        sim_client_close(to);
}

static void wires_sweep(struct sim *sim)
{
    struct sim_client **at = &sim->wires;
    while (*at != NULL) {
        struct sim_client *near = *at, *far = near->wired;
        if (near->socket != NONE || far->socket != NONE) {
            at = &near->wire_next;
            continue;
        }
        *at = near->wire_next;
        near->wired = far->wired = NULL;
        sim_client_forget(near);
        sim_client_forget(far);
    }
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* The SYN has come to who listens there: 0, or why the connect fails. */
static int wire(struct sim *sim, int32_t socket, const char *address, unsigned port)
{
    wires_sweep(sim);
    int32_t at = socket_listening(sim, address, port, sim->connect_core);
    trace_mix(sim, (uint64_t)(uint32_t)at << 8 | 0xc1);
    if (at == NONE)
        return port == 0 ? -ENOENT : -ECONNREFUSED;
    struct sim_client *near = client_new(sim, port == 0), *far = client_new(sim, port == 0);
    char source[sizeof sim->sockets->source]; /* the sockets' array moves */
    memcpy(source, sim->sockets[socket].source, sizeof source);
    const char *from = source[0] != '\0' ? source : is_loopback(address) ? address : NULL;
    near->wired = far;
    far->wired = near;
    near->how = far->how = sim->options.in_order ? SIM_SEGMENTS_WHOLE : SIM_SEGMENTS_DRAWN;
    near->wire_next = sim->wires;
    sim->wires = near;
    near->socket = socket;
    sim->sockets[socket].kind = SOCKET_CONNECTION;
    sim->sockets[socket].peer = near;
    client_arrive(sim, far, at, from);
    return 0;
}

/* ---------------------------------------------------------------- names */

/* Of the address in the entry: its text, and the port (0: a Unix socket's path). */
static unsigned name_of(const void *address, char *text, size_t size)
{
    const struct sockaddr *any = address;
    const struct sockaddr_in *v4 = address;
    const struct sockaddr_in6 *v6 = address;
    if (any->sa_family == AF_UNIX) {
        snprintf(text, size, "%s", ((const struct sockaddr_un *)address)->sun_path);
        return 0;
    }
    bool is_six = any->sa_family == AF_INET6;
    inet_ntop(any->sa_family, is_six ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr,
              text, (socklen_t)size);
    return ntohs(is_six ? v6->sin6_port : v4->sin_port);
}

static bool is_own(const char *address)
{
    static const char *const own[] = {"127.", "10.", "192.0.2.", "2001:db8:", "fd"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strncmp(address, own[i], strlen(own[i])) == 0)
            return true;
    return strcmp(address, "::1") == 0;
}

/* ---------------------------------------------------------------- the operations */

static int drawn_error(struct sim *sim, enum sim_fault fault, const int *errors, uint32_t count)
{
    return sim_chance(sim, fault) ? errors[chance_below(sim, count)] : 0;
}

static int socket_error(struct sim *sim)
{
    static const int errors[] = {-ENFILE, -EMFILE, -ENOBUFS, -ENOMEM};
    int error = planned_failure(sim, SIM_OPERATION_SOCKET, -ENFILE);
    return error < 0 ? error : drawn_error(sim, SIM_FAULT_SOCKET_ERROR, errors, 4);
}

static int bind_error(struct sim *sim)
{
    static const int errors[] = {-EADDRINUSE};
    int error = planned_failure(sim, SIM_OPERATION_SOCKET, -EADDRNOTAVAIL);
    return error < 0 ? error : drawn_error(sim, SIM_FAULT_SOCKET_ERROR, errors, 1);
}

static int connect_error(struct sim *sim)
{
    static const int errors[] = {-ECONNREFUSED, -ECONNRESET,   -EADDRNOTAVAIL,
                                 -ENETUNREACH,  -EHOSTUNREACH, -ENOBUFS};
    int error = planned_failure(sim, SIM_OPERATION_SOCKET, -ECONNREFUSED);
    return error < 0 ? error : drawn_error(sim, SIM_FAULT_CONNECT_ERROR, errors, 6);
}

unsigned sim_kept_alive(const struct sim *sim)
{
    return sim->kept_alive;
}

enum { KEEP_ALIVE = 15 };

/* Which of the options that together are keep-alive, and its value makes sense; 0: another. */
static unsigned keep_alive_bit(const struct io_uring_sqe *sqe)
{
    int value = *(const int *)(uintptr_t)sqe->optval;
    unsigned bit = sqe->level == SOL_SOCKET           ? sqe->optname == SO_KEEPALIVE
                   : sqe->level != IPPROTO_TCP        ? 0
                   : sqe->optname == TCP_KEEPIDLE     ? 2
                   : sqe->optname == TCP_KEEPINTVL    ? 4
                   : sqe->optname == TCP_USER_TIMEOUT ? 8
                                                      : 0;
    return value > 0 ? bit : 0;
}

int outgoing_option(struct sim *sim, int32_t socket, const struct io_uring_sqe *sqe)
{
    int error = planned_failure(sim, SIM_OPERATION_SOCKET, -EOPNOTSUPP);
    unsigned keeping = keep_alive_bit(sqe);
    bool is_known = keeping != 0 || (sqe->level == IPPROTO_TCP && sqe->optname == TCP_NODELAY) ||
                    (sqe->level == IPPROTO_IP && sqe->optname == IP_BIND_ADDRESS_NO_PORT);
    if (error == 0 && sim_chance(sim, SIM_FAULT_OPTION_ERROR))
        error = -EOPNOTSUPP;
    if (error == 0 && (!is_known || sqe->optlen != sizeof(int)))
        error = -ENOPROTOOPT;
    if (keeping != 0)
        sim->sockets[socket].keep_alive |= keeping;
    else if (sqe->level == IPPROTO_TCP) /* in vain is all right */
        sim->sockets[socket].is_undelayed = true;
    else if (error == 0)
        sim->sockets[socket].is_port_late = true;
    return error;
}

static uint64_t connect_ns(struct sim *sim, struct operation *operation)
{
    if (operation->error == 0 && sim_chance(sim, SIM_FAULT_CONNECT_LOST)) {
        operation->error = -ETIMEDOUT;
        return LOST_NS;
    }
    if (operation->offset == 0) /* a Unix socket */
        return chance_around(sim, 2000);
    return client_travel_ns(sim) + client_travel_ns(sim);
}

void outgoing_submit(struct kernel *kernel, int32_t index, const struct io_uring_sqe *sqe)
{
    struct sim *sim = kernel->sim;
    struct operation *operation = &sim->operations[index];
    uint64_t delay = chance_around(sim, 2000);
    if (sqe->opcode == IORING_OP_SOCKET) {
        assert(sqe->file_index == IORING_FILE_INDEX_ALLOC && sqe->off == SOCK_STREAM);
        operation->mode = (uint32_t)sqe->fd; /* the family */
        operation->error = socket_error(sim);
        operation_schedule(sim, index, delay);
        return;
    }
    unsigned slot = (unsigned)sqe->fd;
    assert(sqe->flags & IOSQE_FIXED_FILE);
    if (slot >= kernel->slot_count || kernel->slots[slot] == NONE) {
        operation->error = -EBADF;
        operation_schedule(sim, index, 0);
        return;
    }
    operation->object = kernel->slots[slot];
    sim->sockets[operation->object].references++;
    operation->path = sim_keep_alloc(PATH_BYTES_MAX);
    operation->offset =
        name_of((const void *)(uintptr_t)sqe->addr, operation->path, PATH_BYTES_MAX);
    operation->error = sqe->opcode == IORING_OP_BIND ? bind_error(sim) : connect_error(sim);
    if (sim->sockets[operation->object].kind != SOCKET_OUTGOING)
        operation->error = sqe->opcode == IORING_OP_BIND ? -EINVAL : -EISCONN;
    if (sqe->opcode == IORING_OP_CONNECT)
        delay = connect_ns(sim, operation);
    operation_schedule(sim, index, delay);
}

static int make_socket(struct sim *sim, const struct operation *operation)
{
    struct kernel *kernel = &sim->kernels[operation->core];
    int family = (int)operation->mode;
    if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
        return -EAFNOSUPPORT;
    int32_t socket = socket_new(sim, SOCKET_OUTGOING);
    sim->sockets[socket].family = family;
    int slot = slot_take(kernel, socket);
    socket_unref(sim, socket);
    return slot;
}

void outgoing_run(struct sim *sim, int32_t index)
{
    struct operation *operation = &sim->operations[index];
    int result = operation->is_cancelled ? -ECANCELED : operation->error;
    if (result < 0) {
        operation_end(sim, index, result, 0);
        return;
    }
    switch (operation->opcode) {
    case IORING_OP_SOCKET:
        result = make_socket(sim, operation);
        break;
    case IORING_OP_BIND:
        if (is_own(operation->path))
            snprintf(sim->sockets[operation->object].source,
                     sizeof sim->sockets[operation->object].source, "%.47s", operation->path);
        else
            result = -EADDRNOTAVAIL;
        break;
    default:
        if (sim->sockets[operation->object].family != AF_UNIX &&
            !sim->sockets[operation->object].is_undelayed)
            sim_fail(sim, "connected without TCP_NODELAY");
        if (sim->sockets[operation->object].source[0] != '\0' &&
            !sim->sockets[operation->object].is_port_late)
            sim_fail(sim, "a source was bound before it is connected, with a port for itself");
        if (sim->sockets[operation->object].keep_alive % KEEP_ALIVE != 0)
            sim_fail(sim, "connected with half of what keep-alive takes");
        sim->kept_alive += sim->sockets[operation->object].keep_alive == KEEP_ALIVE;
        result = wire(sim, operation->object, operation->path, (unsigned)operation->offset);
    }
    operation_end(sim, index, result, 0);
}
