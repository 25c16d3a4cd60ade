/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Listeners: a multishot accept into direct descriptors on each core, the kernel dealing
 * connections out among the cores' sockets (SO_REUSEPORT). A Unix socket cannot be shared so: core
 * 0 alone accepts there.
 *
 *   accept ─▶ arrival ─▶ peer's address ─▶ accepted() ─▶ stream_open takes it
 *                │                             └ false ─┐
 *                └─ over connections_max ───────────────┴▶ refusal sent ─▶ shutdown ─▶ slot closed
 *
 * The accept is armed again whenever it ends: at once after what concerns one connection, after
 * RETRY_NS when descriptors or memory are short, so that a full table is not polled in a loop.
 *
 * Invariants:
 *   L1 A slot that was accepted is taken by a stream or closed.
 *   L2 The listener lives until its accept has ended, its socket is closed, no arrival is under way
 * and no stream counts in `open`.
 *   L3 A slot is parked only while every spare arrival is in use, so one will come and take it.
 */
#include "net_private.h"

#include "ringpost/number.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

enum { BACKLOG = 1024, SPARES = 8 };
static const uint64_t RETRY_NS = UINT64_C(100000000), BIND_RETRY_NS = UINT64_C(5000000000);

struct arrival {
    struct op op;
    struct listener *listener; /* NULL: a spare one that is not in use */
    unsigned slot;
    size_t sent; /* of the refusal */
    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name;
    uint8_t family;
};

struct listener {
    struct core *core;
    struct listener_options options;
    struct op accept, control;
    struct timer retry;
    int fd, family; /* family: 4, 6 or 1 (unix), as stream->peer_family */
    unsigned open, arriving;
    bool is_closing, is_cancelled;
    struct arrival spares[SPARES]; /* for refusing connections when memory is out */
    uint64_t *parked;              /* a bit for each slot that waits for a spare one (L3) */
    unsigned parked_count;
};

#define LISTENER_OF(pointer, member)                                                               \
    ((struct listener *)((char *)(pointer)-offsetof(struct listener, member)))

static void listener_step(struct listener *listener);

static void listener_free(struct listener *listener)
{
    free(listener->parked);
    free(listener);
}

/* ---------------------------------------------------------------- arrivals */

static void refuse(struct arrival *arrival);

static unsigned parked_take(struct listener *listener)
{
    unsigned word = 0;
    while (listener->parked[word] == 0)
        word++;
    unsigned bit = (unsigned)__builtin_ctzll(listener->parked[word]);
    listener->parked[word] &= ~(UINT64_C(1) << bit);
    listener->parked_count--;
    return word * 64 + bit;
}

static void arrival_end(struct arrival *arrival)
{
    struct listener *listener = arrival->listener;
    bool is_spare = arrival >= listener->spares && arrival < listener->spares + SPARES;
    listener->arriving--;
    if (is_spare && listener->parked_count > 0) {
        *arrival = (struct arrival){.listener = listener, .slot = parked_take(listener)};
        refuse(arrival);
        return;
    }
    if (is_spare)
        arrival->listener = NULL;
    else
        free(arrival);
    listener_step(listener);
}

static void refused_closed(struct op *op, int result, unsigned flags)
{
    (void)result, (void)flags;
    arrival_end((struct arrival *)op);
}

static void refused_drop(struct arrival *arrival)
{
    arrival->op.done = refused_closed;
    op_close_slot(arrival->listener->core, &arrival->op, arrival->slot);
}

static void refused_sent(struct op *op, int result, unsigned flags);

static void refused_send(struct arrival *arrival)
{
    struct slice left = slice_from(arrival->listener->options.refusal, arrival->sent);
    if (left.size == 0) {
        refused_drop(arrival);
        return;
    }
    arrival->op.done = refused_sent;
    op_send(arrival->listener->core, &arrival->op, arrival->slot, left.data, left.size);
}

static void refused_sent(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct arrival *arrival = (struct arrival *)op;
    if (result > 0) {
        arrival->sent += (unsigned)result;
        refused_send(arrival);
    } else {
        refused_drop(arrival);
    }
}

static void refuse(struct arrival *arrival)
{
    counter_add(core_counters(arrival->listener->core), COUNTER_CONNECTIONS_REFUSED, 1);
    refused_send(arrival);
}

/* The peer's address is known, or never will be. */
static void offer(struct arrival *arrival)
{
    struct listener *listener = arrival->listener;
    struct net *net = core_local(listener->core, CORE_LOCAL_NET);
    if (listener->is_closing || listener->open >= listener->options.connections_max) {
        refuse(arrival);
        return;
    }
    net->arrival = arrival;
    bool is_taken =
        listener->options.accepted(listener->core, arrival->slot, listener->options.argument);
    net->arrival = NULL;
    if (is_taken)
        arrival_end(arrival);
    else
        refuse(arrival);
}

static void named(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct arrival *arrival = (struct arrival *)op;
    if (result == -ENOTCONN) { /* gone already */
        refused_drop(arrival);
        return;
    }
    arrival->family = result < 0 ? 0 : (uint8_t)arrival->listener->family;
    offer(arrival);
}

static void arrive(struct listener *listener, unsigned slot)
{
    struct arrival *arrival = calloc(1, sizeof *arrival);
    bool is_spare = arrival == NULL;
    for (unsigned i = 0; arrival == NULL && i < SPARES; i++)
        if (listener->spares[i].listener == NULL)
            arrival = &listener->spares[i];
    listener->arriving++;
    counter_add(core_counters(listener->core), COUNTER_CONNECTIONS_TOTAL, 1);
    if (arrival == NULL) { /* L3 */
        assert(slot < core_slots_max(listener->core));
        listener->parked[slot / 64] |= UINT64_C(1) << slot % 64;
        listener->parked_count++;
        return;
    }
    *arrival = (struct arrival){.op.done = named, .listener = listener, .slot = slot};
    if (is_spare) {
        refuse(arrival);
        return;
    }
    if (listener->family == 1) {
        arrival->family = 1;
        offer(arrival);
        return;
    }
    unsigned size = listener->family == 4 ? sizeof arrival->name.v4 : sizeof arrival->name.v6;
    op_peer_name(listener->core, &arrival->op, slot, &arrival->name, size);
}

void listener_taken(struct stream *stream, unsigned slot)
{
    const struct arrival *arrival = net_of(stream)->arrival;
    if (arrival == NULL || arrival->slot != slot)
        return;
    stream->listener = arrival->listener;
    stream->listener->open++;
    stream->peer_family = arrival->family;
    if (arrival->family == 4) {
        stream_peer_set(stream, 4, &arrival->name.v4.sin_addr, ntohs(arrival->name.v4.sin_port));
    } else if (arrival->family == 6) {
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(&arrival->name.v6.sin6_addr);
        const uint8_t *bytes = arrival->name.v6.sin6_addr.s6_addr;
        stream_peer_set(stream, is_mapped ? 4 : 6, is_mapped ? bytes + 12 : bytes,
                        ntohs(arrival->name.v6.sin6_port));
    }
}

void listener_left(struct stream *stream)
{
    struct listener *listener = stream->listener;
    stream->listener = NULL;
    if (listener == NULL)
        return;
    assert(listener->open > 0 && "L2");
    listener->open--;
    listener_step(listener);
}

/* ---------------------------------------------------------------- accepting */

static void retry(struct timer *timer)
{
    listener_step(LISTENER_OF(timer, retry));
}

static void accept_done(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct listener *listener = LISTENER_OF(op, accept);
    if (!op_busy(op))
        listener->is_cancelled = false;
    if (result >= 0) {
        arrive(listener, (unsigned)result);
    } else if (result != -ECONNABORTED && result != -EINTR && result != -EAGAIN &&
               !listener->is_closing) {
        timer_set(listener->core, &listener->retry, core_now_ns(listener->core) + RETRY_NS);
        return;
    }
    listener_step(listener);
}

static void control_done(struct op *op, int result, unsigned flags)
{
    (void)result, (void)flags;
    listener_step(LISTENER_OF(op, control));
}

/* Queues what the listener needs next; frees it at its end (L2). */
static void listener_step(struct listener *listener)
{
    if (!listener->is_closing) {
        if (listener->fd >= 0 && !op_busy(&listener->accept) &&
            listener->retry.previous_next == NULL)
            op_accept(listener->core, &listener->accept, listener->fd);
        return;
    }
    timer_clear(listener->core, &listener->retry);
    if (op_busy(&listener->control))
        return;
    if (op_busy(&listener->accept)) {
        if (!listener->is_cancelled) {
            listener->is_cancelled = true;
            op_cancel(listener->core, &listener->control, &listener->accept);
        }
    } else if (listener->fd >= 0) {
        op_close_fd(listener->core, &listener->control, listener->fd);
        listener->fd = -1;
    } else if (listener->open == 0 && listener->arriving == 0) {
        listener_free(listener);
    }
}

static int listen_patiently(struct listener *listener)
{
    const struct listener_options *options = &listener->options;
    struct core *core = listener->core;
    if (listener->family == 1)
        return kernel_listen_unix(core_kernel(core), options->address, options->mode, BACKLOG);
    uint64_t until = core_now_ns(core) + BIND_RETRY_NS;
    int fd;
    for (;;) {
        fd = kernel_listen_tcp(core_kernel(core), options->address, options->port, BACKLOG);
        if (fd != -EADDRINUSE || core_now_ns(core) >= until)
            return fd;
        fiber_sleep(core, RETRY_NS);
    }
}

int listener_open(struct core *core, const struct listener_options *options,
                  struct listener **ret_listener)
{
    assert(options->accepted != NULL);
    struct listener *listener = calloc(1, sizeof *listener);
    uint64_t *parked = calloc(core_slots_max(core) / 64 + 1, sizeof *parked);
    if (listener == NULL || parked == NULL) {
        free(listener);
        free(parked);
        return -ENOMEM;
    }
    *listener = (struct listener){
        .parked = parked,
        .core = core,
        .options = *options,
        .accept.done = accept_done,
        .control.done = control_done,
        .retry.fire = retry,
        .fd = -1,
        .family = options->port == 0              ? 1
                  : strchr(options->address, ':') ? 6
                                                  : 4,
    };
    if (listener->family != 1 || core_index(core) == 0) {
        listener->fd = listen_patiently(listener);
        if (listener->fd < 0) {
            int result = listener->fd;
            listener_free(listener);
            return result;
        }
        listener_step(listener);
    }
    *ret_listener = listener;
    return 0;
}

void listener_adopt(struct listener *listener, unsigned connections_max, struct slice refusal)
{
    listener->options.connections_max = connections_max;
    listener->options.refusal = refusal;
}

void listener_close(struct listener *listener)
{
    assert(!listener->is_closing);
    listener->is_closing = true;
    listener_step(listener);
}

/* ---------------------------------------------------------------- peers */

void stream_peer_set(struct stream *stream, unsigned family, const void *address, uint16_t port)
{
    assert(family == 4 || family == 6);
    memset(stream->peer, 0, sizeof stream->peer);
    memcpy(stream->peer, address, family == 4 ? 4 : 16);
    stream->peer_family = (uint8_t)family;
    stream->peer_port = port;
}

void stream_peer(struct stream *stream, char *text, uint16_t *ret_port)
{
    enum { TEXT_BYTES = 48 };
    if (stream->peer_family == 4) {
        size_t size = 0;
        for (unsigned i = 0; i < 4; i++) {
            size += number_decimal(text + size, stream->peer[i]);
            text[size++] = i < 3 ? '.' : '\0';
        }
    }
    if (stream->peer_family == 6)
        inet_ntop(AF_INET6, stream->peer, text, TEXT_BYTES);
    else if (stream->peer_family != 4)
        memcpy(text, stream->peer_family == 1 ? "unix\0\0\0" : "unknown", 8);
    *ret_port = stream->peer_port;
}
