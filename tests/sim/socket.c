/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The server's end of the network: listening sockets, connections, and the operations on them. An
 * operation that cannot go on waits on its socket's list; whatever changes the socket kicks those
 * that wait (socket_kick), and each is then carried out at an event of its own.
 *
 * Invariant: a socket lives as long as a descriptor, a slot or an operation refers to it; its
 * client outlives it.
 */
#include <netinet/in.h>
#include <stdlib.h>

#include "world.h"

enum { OPTION_PEERNAME = 28 };

int32_t socket_new(struct sim *sim, enum socket_kind kind)
{
    uint32_t index = 0;
    while (index < sim->socket_count && sim->sockets[index].kind != SOCKET_FREE)
        index++;
    if (index == sim->socket_count) {
        sim->sockets = array_room(sim->sockets, &sim->socket_capacity, sim->socket_count,
                                  sizeof *sim->sockets);
        sim->socket_count++;
    }
    static const size_t capacities[] = {4096, 16384, 65536, 262144};
    sim->sockets[index] = (struct socket){
        .kind = kind,
        .references = 1,
        .receives = NONE,
        .sends = NONE,
        .send_capacity = sim->options.in_order ? 131072 : capacities[chance_below(sim, 4)],
    };
    return (int32_t)index;
}

/* ---------------------------------------------------------------- the end of a socket */

static void socket_free(struct sim *sim, int32_t index)
{
    struct socket *socket = &sim->sockets[index];
    assert(socket->receives == NONE && socket->sends == NONE);
    if (socket->listening != NULL) {
        struct listening *listening = socket->listening;
        socket->listening = NULL;
        for (uint32_t i = 0; i < listening->backlog_count; i++) {
            sim->sockets[listening->backlog[i]].is_reset = true;
            socket_unref(sim, listening->backlog[i]);
        }
        sim_keep_free(listening->backlog);
        sim_keep_free(listening);
        socket = &sim->sockets[index];
    }
    if (socket->peer != NULL) {
        struct sim_client *client = socket->peer;
        bool is_reset = socket->is_reset;
        if (!is_reset && socket->received.size > 0 && sim->options.faults[SIM_FAULT_RESET] > 0)
            is_reset = chance_below(sim, 2) == 0; /* unread bytes: RST, which may overtake */
        client->socket = NONE;
        client->tail = socket->sending;
        socket->sending = (struct bytes){0};
        client_server_gone(sim, client, is_reset);
    }
    bytes_free(&socket->received);
    bytes_free(&socket->sending);
    socket->kind = SOCKET_FREE;
}

void socket_unref(struct sim *sim, int32_t index)
{
    struct socket *socket = &sim->sockets[index];
    assert(socket->kind != SOCKET_FREE && socket->references > 0);
    if (--socket->references == 0)
        socket_free(sim, index);
}

/* The peer's RST has come, or a fault: both directions are over. */
void socket_reset(struct sim *sim, int32_t index)
{
    struct socket *socket = &sim->sockets[index];
    socket->is_reset = true;
    bytes_free(&socket->received);
    bytes_free(&socket->sending);
    socket_kick(sim, index);
    socket->peer->is_reset = true;
    client_kick(sim, socket->peer);
}

/* The process is gone. Of what its kernel had still to send, the clients may get all or nothing. */
void sockets_crash(struct sim *sim, bool is_power_cut)
{
    for (uint32_t i = 0; i < sim->operation_count; i++) {
        struct operation *operation = &sim->operations[i];
        if (operation->state != OPERATION_FREE && operation->object != NONE)
            operation->object = NONE;
    }
    for (uint32_t i = 0; i < sim->socket_count; i++) {
        struct socket *socket = &sim->sockets[i];
        if (socket->kind == SOCKET_FREE)
            continue;
        socket->receives = socket->sends = NONE;
        if (socket->kind == SOCKET_LISTENER) {
            socket->listening->backlog_count = 0;
            socket_free(sim, (int32_t)i);
            continue;
        }
        bool is_lost = chance_below(sim, 2) == 0;
        if (is_lost)
            bytes_free(&socket->sending);
        if (is_power_cut && chance_below(sim, 2) == 0 && socket->peer != NULL)
            socket->peer->is_silent = true;
        socket->is_reset = is_lost;
        socket_free(sim, (int32_t)i);
    }
    for (uint32_t i = 0; i < sim->descriptor_count; i++) /* of listeners */
        if (sim->descriptors[i].kind == DESCRIPTOR_SOCKET)
            sim->descriptors[i].kind = DESCRIPTOR_FREE;
}

/* ---------------------------------------------------------------- slots */

int slot_take(struct kernel *kernel, int32_t socket)
{
    unsigned range = kernel->slot_count - KERNEL_SLOTS_HELD;
    for (unsigned i = 0; i < range; i++) {
        unsigned slot = KERNEL_SLOTS_HELD + (kernel->slot_hint - KERNEL_SLOTS_HELD + i) % range;
        if (kernel->slots[slot] != NONE)
            continue;
        kernel->slots[slot] = socket;
        kernel->sim->sockets[socket].references++;
        kernel->slot_hint = slot;
        return (int)slot;
    }
    return -ENFILE;
}

void slot_close(struct kernel *kernel, unsigned slot)
{
    int32_t socket = kernel->slots[slot];
    kernel->slots[slot] = NONE;
    if (slot < kernel->slot_hint)
        kernel->slot_hint = slot;
    socket_unref(kernel->sim, socket);
}

/* ---------------------------------------------------------------- waiting */

static void list_remove(struct sim *sim, int32_t *list, int32_t index)
{
    while (*list != NONE && *list != index)
        list = &sim->operations[*list].next;
    if (*list == index)
        *list = sim->operations[index].next;
}

static int32_t *list_of(struct sim *sim, const struct operation *operation)
{
    struct socket *socket = &sim->sockets[operation->object];
    bool is_send = operation->opcode == IORING_OP_SEND || operation->opcode == IORING_OP_SENDMSG;
    return is_send ? &socket->sends : &socket->receives;
}

static void finish(struct sim *sim, int32_t index, int result, unsigned flags)
{
    list_remove(sim, list_of(sim, &sim->operations[index]), index);
    operation_end(sim, index, result, flags);
}

static void go_on(struct sim *sim, int32_t index)
{
    if (sim->operations[index].state == OPERATION_WAITING)
        operation_schedule(sim, index, chance_around(sim, 2000));
}

void socket_kick(struct sim *sim, int32_t index)
{
    const struct socket *socket = &sim->sockets[index];
    for (int32_t i = socket->receives; i != NONE; i = sim->operations[i].next)
        go_on(sim, i);
    for (int32_t i = socket->sends; i != NONE; i = sim->operations[i].next)
        go_on(sim, i);
}

/* ---------------------------------------------------------------- accept */

static int accept_error(struct sim *sim)
{
    static const int errors[] = {-ECONNABORTED, -ENFILE, -EMFILE, -ENOMEM, -ENOBUFS};
    int error = planned_failure(sim, SIM_OPERATION_SOCKET, -ENFILE);
    if (error == 0 && sim_chance(sim, SIM_FAULT_ACCEPT_ERROR))
        error = errors[chance_below(sim, 5)];
    return error;
}

static void accept_run(struct sim *sim, int32_t index)
{
    struct operation *operation = &sim->operations[index];
    struct kernel *kernel = &sim->kernels[operation->core];
    struct listening *listening = sim->sockets[operation->object].listening;
    if (operation->is_cancelled) {
        finish(sim, index, -ECANCELED, 0);
        return;
    }
    if (listening->backlog_count == 0)
        return;
    int error = accept_error(sim);
    if (error < 0 && error != -ECONNABORTED) { /* before it was accepted: it stays where it is */
        finish(sim, index, error, 0);
        return;
    }
    int32_t taken = listening->backlog[0];
    memmove(listening->backlog, listening->backlog + 1,
            --listening->backlog_count * sizeof *listening->backlog);
    if (error == 0)
        error = slot_take(kernel, taken);
    if (error < 0)
        sim->sockets[taken].is_reset = true;
    socket_unref(sim, taken);
    if (error >= 0)
        sim->counts[SIM_COUNT_ACCEPTS]++;
    if (error < 0 || sim_chance(sim, SIM_FAULT_MULTISHOT_END)) {
        finish(sim, index, error, 0);
        return;
    }
    operation_more(sim, index, error, 0);
    if (listening->backlog_count > 0)
        go_on(sim, index);
}

/* ---------------------------------------------------------------- receive */

/* The next one that is home; NULL: there is none. */
static const struct io_uring_buf *next_buffer(const struct buffers *buffers)
{
    struct io_uring_buf_ring *ring = buffers->ring;
    if (ring == NULL || buffers->head == __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE))
        return NULL;
    return &ring->bufs[buffers->head & (buffers->entries - 1)];
}

static size_t shortened(struct sim *sim, size_t size, enum sim_fault fault)
{
    return size > 1 && sim_chance(sim, fault) ? 1 + chance_below(sim, (uint32_t)size - 1) : size;
}

static void socket_taken(struct sim *sim, struct socket *socket, size_t size)
{
    bytes_drop(&socket->received, size);
    client_kick(sim, socket->peer);
}

/* What a receive ends with when there is nothing to receive; 1: it has to wait. */
static int receive_end(struct socket *socket)
{
    if (socket->is_reset && !socket->reset_told) {
        socket->reset_told = true;
        return -ECONNRESET;
    }
    return socket->is_reset || socket->end_came ? 0 : 1;
}

static void receive_buffered(struct sim *sim, int32_t index)
{
    struct operation *operation = &sim->operations[index];
    struct kernel *kernel = &sim->kernels[operation->core];
    struct socket *socket = &sim->sockets[operation->object];
    struct buffers *buffers = &kernel->buffers[operation->buffer_group];
    const struct io_uring_buf *buffer = next_buffer(buffers);
    if (buffer == NULL || sim_chance(sim, SIM_FAULT_NO_BUFFERS)) {
        finish(sim, index, -ENOBUFS, 0);
        return;
    }
    if (socket->received.size == 0) {
        int end = receive_end(socket);
        if (end <= 0)
            finish(sim, index, end, 0);
        return;
    }
    buffers->head++;
    size_t size = socket->received.size < buffer->len ? socket->received.size : buffer->len;
    size = shortened(sim, size, SIM_FAULT_SHORT_RECV);
    memcpy((void *)(uintptr_t)buffer->addr, bytes_at(&socket->received), size);
    unsigned flags = IORING_CQE_F_BUFFER | (unsigned)buffer->bid << IORING_CQE_BUFFER_SHIFT;
    socket_taken(sim, socket, size);
    if (!operation->is_multishot || sim_chance(sim, SIM_FAULT_MULTISHOT_END)) {
        finish(sim, index, (int)size, flags);
        return;
    }
    operation_more(sim, index, (int)size, flags);
    socket = &sim->sockets[sim->operations[index].object];
    if (socket->received.size > 0 || socket->end_came || socket->is_reset)
        go_on(sim, index);
}

static void receive_run(struct sim *sim, int32_t index)
{
    struct operation *operation = &sim->operations[index];
    struct socket *socket = &sim->sockets[operation->object];
    if (operation->is_cancelled) {
        finish(sim, index, operation->done > 0 ? (int)operation->done : -ECANCELED, 0);
        return;
    }
    if (operation->error < 0) {
        finish(sim, index, operation->error, 0);
        return;
    }
    if (!socket->is_reset && sim_chance(sim, SIM_FAULT_RESET)) {
        socket_reset(sim, operation->object);
        if (operation->state == OPERATION_SCHEDULED)
            return;
    }
    if (operation->is_select) {
        receive_buffered(sim, index);
        return;
    }
    size_t left = operation->size - operation->done;
    size_t size = socket->received.size < left ? socket->received.size : left;
    if (!operation->is_whole)
        size = shortened(sim, size, SIM_FAULT_SHORT_RECV);
    if (size == 0) {
        if (socket->is_reset || socket->end_came)
            finish(sim, index, operation->done > 0 ? (int)operation->done : receive_end(socket), 0);
        return;
    }
    memcpy((char *)operation->data + operation->done, bytes_at(&socket->received), size);
    operation->done += size;
    socket_taken(sim, socket, size);
    if (operation->done == operation->size || !operation->is_whole)
        finish(sim, index, (int)operation->done, 0);
    else if (socket->received.size > 0 || socket->end_came || socket->is_reset)
        go_on(sim, index);
}

/* ---------------------------------------------------------------- send */

/* The bytes of a message from `done` on, at most `size` of them, into the socket's queue. */
static void gather(struct operation *operation, struct bytes *to, size_t size)
{
    if (operation->opcode == IORING_OP_SEND) {
        bytes_add(to, (const char *)operation->data + operation->done, size);
        return;
    }
    const struct msghdr *message = operation->data;
    size_t skip = operation->done;
    for (size_t i = 0; i < message->msg_iovlen && size > 0; i++) {
        const struct iovec *piece = &message->msg_iov[i];
        if (skip >= piece->iov_len) {
            skip -= piece->iov_len;
            continue;
        }
        size_t part = piece->iov_len - skip < size ? piece->iov_len - skip : size;
        bytes_add(to, (const char *)piece->iov_base + skip, part);
        size -= part;
        skip = 0;
    }
}

static int send_error(struct socket *socket)
{
    if (socket->is_reset && !socket->reset_told) {
        socket->reset_told = true;
        return -ECONNRESET;
    }
    return socket->is_reset ? -EPIPE : 0;
}

static void send_run(struct sim *sim, int32_t index)
{
    struct operation *operation = &sim->operations[index];
    struct socket *socket = &sim->sockets[operation->object];
    if (operation->is_cancelled) {
        finish(sim, index, operation->done > 0 ? (int)operation->done : -ECANCELED, 0);
        return;
    }
    if (!socket->is_reset && sim_chance(sim, SIM_FAULT_RESET)) {
        socket_reset(sim, operation->object);
        if (operation->state == OPERATION_SCHEDULED)
            return;
    }
    int error = operation->error < 0 ? operation->error : send_error(socket);
    if (error < 0) {
        finish(sim, index, operation->done > 0 ? (int)operation->done : error, 0);
        return;
    }
    size_t left = operation->size - operation->done;
    size_t room = socket->send_capacity > socket->sending.size
                      ? socket->send_capacity - socket->sending.size
                      : 0;
    size_t wanted = left < room ? left : room, size = wanted;
    if (size > 1)
        size = shortened(sim, size, SIM_FAULT_SHORT_SEND);
    gather(operation, &socket->sending, size);
    operation->done += size;
    if (size > 0)
        client_kick(sim, socket->peer);
    if (operation->done == operation->size || size < wanted || operation->is_impatient ||
        (!operation->is_whole && operation->done > 0))
        finish(sim, index, operation->done > 0 ? (int)operation->done : -EAGAIN, 0);
}

/* ---------------------------------------------------------------- the rest */

static int peer_name(struct sim *sim, struct operation *operation)
{
    struct socket *socket = &sim->sockets[operation->object];
    const struct sim_client *client = socket->peer;
    if (socket->kind != SOCKET_CONNECTION || socket->is_reset)
        return -ENOTCONN;
    if (sim_chance(sim, SIM_FAULT_PEER_NAME))
        return chance_below(sim, 2) == 0 ? -ENOTCONN : -EOPNOTSUPP;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(client->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(client->port)};
    memcpy(&v4.sin_addr, client->address + 12, 4);
    memcpy(&v6.sin6_addr, client->address, 16);
    size_t size = client->is_six ? sizeof v6 : sizeof v4;
    if (operation->size != size)
        return -EINVAL;
    memcpy(operation->data, client->is_six ? (void *)&v6 : (void *)&v4, size);
    return (int)size;
}

void socket_run(struct sim *sim, int32_t index)
{
    struct operation *operation = &sim->operations[index];
    if (operation->object == NONE) {
        operation_end(sim, index, operation->error, 0);
        return;
    }
    switch (operation->opcode) {
    case IORING_OP_ACCEPT:
        accept_run(sim, index);
        break;
    case IORING_OP_RECV:
        receive_run(sim, index);
        break;
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
        send_run(sim, index);
        break;
    case IORING_OP_URING_CMD:
        operation_end(sim, index,
                      operation->error < 0 || operation->is_setting ? operation->error
                                                                    : peer_name(sim, operation),
                      0);
        break;
    default:
        operation_end(sim, index, operation->error, 0);
    }
}

static void wait_on(struct sim *sim, int32_t index)
{
    int32_t *list = list_of(sim, &sim->operations[index]);
    while (*list != NONE)
        list = &sim->operations[*list].next;
    *list = index;
    sim->operations[index].next = NONE;
}

static size_t message_size(const struct msghdr *message)
{
    size_t size = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        size += message->msg_iov[i].iov_len;
    return size;
}

static void prepare(struct sim *sim, struct operation *operation, const struct io_uring_sqe *sqe)
{
    switch (sqe->opcode) {
    case IORING_OP_ACCEPT:
        operation->is_multishot = sqe->ioprio & IORING_ACCEPT_MULTISHOT;
        assert(sqe->file_index == IORING_FILE_INDEX_ALLOC);
        break;
    case IORING_OP_RECV:
        operation->is_multishot = sqe->ioprio & IORING_RECV_MULTISHOT;
        operation->is_select = sqe->flags & IOSQE_BUFFER_SELECT;
        operation->buffer_group = (uint8_t)sqe->buf_group;
        operation->is_whole = sqe->msg_flags & MSG_WAITALL;
        operation->error = planned_failure(sim, SIM_OPERATION_SOCKET, -ECONNRESET);
        break;
    case IORING_OP_SENDMSG:
        operation->size = message_size(operation->data);
        operation->is_whole = sqe->msg_flags & MSG_WAITALL;
        operation->is_impatient = sqe->msg_flags & MSG_DONTWAIT;
        operation->error = planned_failure(sim, SIM_OPERATION_SOCKET, -ECONNRESET);
        break;
    case IORING_OP_SEND:
        operation->is_whole = sqe->msg_flags & MSG_WAITALL;
        operation->error = planned_failure(sim, SIM_OPERATION_SOCKET, -ECONNRESET);
        break;
    case IORING_OP_URING_CMD:
        operation->is_setting = sqe->cmd_op == SOCKET_URING_OP_SETSOCKOPT;
        if (operation->is_setting) {
            operation->error = outgoing_option(sim, operation->object, sqe);
            break;
        }
        assert(sqe->cmd_op == SOCKET_URING_OP_GETSOCKOPT && sqe->optname == OPTION_PEERNAME);
        operation->data = (void *)(uintptr_t)sqe->optval;
        operation->size = (uint64_t)sqe->optlen;
        operation->error = planned_failure(sim, SIM_OPERATION_SOCKET, -ENOTCONN);
        break;
    default:
        break;
    }
}

static int32_t socket_of(struct kernel *kernel, const struct io_uring_sqe *sqe)
{
    if (sqe->flags & IOSQE_FIXED_FILE)
        return (unsigned)sqe->fd < kernel->slot_count ? kernel->slots[sqe->fd] : NONE;
    const struct descriptor *descriptor = descriptor_of(kernel->sim, sqe->fd);
    return descriptor != NULL && descriptor->kind == DESCRIPTOR_SOCKET ? descriptor->object : NONE;
}

void socket_submit(struct kernel *kernel, int32_t index, const struct io_uring_sqe *sqe)
{
    struct sim *sim = kernel->sim;
    struct operation *operation = &sim->operations[index];
    int32_t object = socket_of(kernel, sqe);
    if (object == NONE ||
        (sim->sockets[object].kind == SOCKET_OUTGOING && sqe->opcode != IORING_OP_URING_CMD)) {
        operation->error = object == NONE ? -EBADF : -ENOTCONN;
        operation_schedule(sim, index, 0);
        return;
    }
    operation->object = object;
    struct socket *socket = &sim->sockets[object];
    socket->references++;
    prepare(sim, operation, sqe);
    if (sqe->opcode != IORING_OP_URING_CMD)
        wait_on(sim, index);
    go_on(sim, index);
}

/* ---------------------------------------------------------------- listening */

static bool matches(const char *listening, const char *wanted)
{
    if (strcmp(listening, wanted) == 0)
        return true;
    bool is_six = strchr(wanted, ':') != NULL;
    return strcmp(listening, "::") == 0 || (strcmp(listening, "0.0.0.0") == 0 && !is_six);
}

/* Of the sockets that listen there (of the core, if core >= 0) one by chance, or NONE. */
int32_t socket_listening(struct sim *sim, const char *address, unsigned port, int core)
{
    int32_t found = NONE;
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->socket_count; i++) {
        const struct listening *listening = sim->sockets[i].listening;
        if (sim->sockets[i].kind != SOCKET_LISTENER || listening->port != port ||
            !matches(listening->address, address) ||
            (core >= 0 && port != 0 && listening->core != (unsigned)core))
            continue;
        count++;
        if (count == 1 || chance_below(sim, count) == 0)
            found = (int32_t)i;
    }
    return found;
}

static int listen_at(struct kernel *kernel, const char *address, unsigned port)
{
    struct sim *sim = kernel->sim;
    int error = planned_failure(sim, SIM_OPERATION_CALL, -EADDRINUSE);
    if (error == 0 && sim_chance(sim, SIM_FAULT_CALL_ERROR))
        error = -ENFILE;
    if (error < 0)
        return error;
    if (strlen(address) >= PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    int32_t index = socket_new(sim, SOCKET_LISTENER);
    struct socket *socket = &sim->sockets[index];
    socket->listening = sim_keep_alloc(sizeof *socket->listening);
    memcpy(socket->listening->address, address, strlen(address) + 1);
    socket->listening->port = port;
    socket->listening->core = kernel->index;
    return descriptor_add(sim, DESCRIPTOR_SOCKET, index, 0);
}

int kernel_listen_tcp(struct kernel *kernel, const char *address, unsigned port, unsigned backlog)
{
    (void)backlog;
    if (port == 0 || port > 65535)
        return -EINVAL;
    return listen_at(kernel, address, port);
}

int kernel_listen_unix(struct kernel *kernel, const char *path, unsigned mode, unsigned backlog)
{
    (void)backlog, (void)mode;
    if (socket_listening(kernel->sim, path, 0, -1) != NONE)
        return -EADDRINUSE;
    return listen_at(kernel, path, 0);
}
