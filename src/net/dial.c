/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Going out: a socket is made in a slot, bound to a source address where one is asked for, and
 * connected; from then on it is a stream like any other.
 *
 *   op_socket ─▶ { options, [IP_BIND_ADDRESS_NO_PORT, op_bind] } ─▶ op_connect ─▶ stream_open
 *       └ -errno     │                                     │            └ -errno ─▶ slot closed
 *                    └ -errno: never mind                  └ -errno ─▶ slot closed
 *
 * What stands in braces is one batch, so that it costs one turn: none of it waits, so the kernel
 * carries it out in order. Connecting is not in it, lest a source that cannot be had be seen by a
 * backend as another one.
 *
 * The port is left to the moment of connecting: then the kernel needs only a free combination of
 * four, not a free port of the source, so that sources hold 28,000 connections to each target
 * instead of 28,000 in all.
 *
 * Kernels before 6.7 cannot set options by the ring and those before 6.11 cannot bind: without a
 * source all works there but for the delay of small packets, with one the error is told.
 *
 * Invariants:
 *   D1 The call returns when none of its operations is in flight: all it uses lies on the fiber's
 *      stack. A deadline cancels what is under way and then waits for it.
 *   D2 A slot that was made is a stream's, or is closed before the call returns.
 */
#include "net_private.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/un.h>

static const uint64_t CANCEL_AGAIN_NS = UINT64_C(8000000);

enum { OPTION_PORT_LATE, OPTION_NO_DELAY, OPTION_KEEPS, OPTIONS = OPTION_KEEPS + 4 };

static const struct {
    int level, name, value;
} options[OPTIONS] = {
    [OPTION_PORT_LATE] = {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1}, /* of a source: it must be had */
    [OPTION_NO_DELAY] = {IPPROTO_TCP, TCP_NODELAY, 1},
    [OPTION_KEEPS] = {SOL_SOCKET, SO_KEEPALIVE, 1}, /* and all that follow */
    {IPPROTO_TCP, TCP_KEEPIDLE, KERNEL_KEEP_IDLE_SECONDS},
    {IPPROTO_TCP, TCP_KEEPINTVL, KERNEL_KEEP_INTERVAL_SECONDS},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, KERNEL_KEEP_SILENT_MS},
};

struct option {
    struct op op;
    struct dial *dial;
    int result;
};

struct dial {
    struct op op, cancel;
    struct option options[OPTIONS];
    struct timer timer;
    struct core *core;
    struct fiber *fiber;
    int result;
    bool is_late;
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
};

/* ---------------------------------------------------------------- one operation */

static void wake_if_over(struct dial *dial)
{
    if (op_busy(&dial->op) || op_busy(&dial->cancel))
        return;
    for (size_t i = 0; i < OPTIONS; i++)
        if (op_busy(&dial->options[i].op))
            return;
    timer_clear(dial->core, &dial->timer);
    fiber_wake(dial->core, dial->fiber);
}

static void op_done(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct dial *dial = (struct dial *)op;
    dial->result = result;
    wake_if_over(dial);
}

static void option_done(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct option *option = (struct option *)op;
    option->result = result;
    wake_if_over(option->dial);
}

/* A connect that a worker of the kernel's waits in is told only to hurry (-EALREADY). */
static void cancel_done(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct dial *dial = (struct dial *)((char *)op - offsetof(struct dial, cancel));
    if (result == -EALREADY && op_busy(&dial->op))
        timer_set(dial->core, &dial->timer, core_now_ns(dial->core) + CANCEL_AGAIN_NS);
    else
        wake_if_over(dial);
}

static void late(struct timer *timer)
{
    struct dial *dial = (struct dial *)((char *)timer - offsetof(struct dial, timer));
    dial->is_late = true;
    op_cancel(dial->core, &dial->cancel, &dial->op);
}

/* Waits for the operation that was queued. */
static int wait_op(struct dial *dial, uint64_t deadline_ns)
{
    if (deadline_ns != 0)
        timer_set(dial->core, &dial->timer, deadline_ns);
    fiber_park(dial->core);
    if (dial->is_late && (dial->result == -ECANCELED || dial->result == -EINTR))
        return -ETIMEDOUT;
    return dial->result;
}

/* ---------------------------------------------------------------- addresses */

/* The size, or 0: a path that does not fit. */
static unsigned address_of(const struct stream_target *target, union address *address)
{
    memset(address, 0, sizeof *address);
    switch (target->family) {
    case 4:
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(target->port);
        memcpy(&address->v4.sin_addr, target->address, 4);
        return sizeof address->v4;
    case 6:
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(target->port);
        memcpy(&address->v6.sin6_addr, target->address, 16);
        return sizeof address->v6;
    default:
        assert(target->family == 1 && target->path != NULL);
        size_t size = strlen(target->path);
        if (size == 0 || size >= sizeof address->path.sun_path)
            return 0;
        address->path.sun_family = AF_UNIX;
        memcpy(address->path.sun_path, target->path, size);
        return (unsigned)(offsetof(struct sockaddr_un, sun_path) + size + 1);
    }
}

/* False: the kernel is to choose. */
static bool source_of(const struct stream_target *target, struct stream_target *ret_source)
{
    static const uint8_t none[16];
    size_t size = target->family == 4 ? 4 : target->family == 6 ? 16 : 0;
    if (memcmp(target->source, none, size) == 0)
        return false;
    *ret_source = (struct stream_target){.family = target->family};
    memcpy(ret_source->address, target->source, size);
    return true;
}

/* ---------------------------------------------------------------- the steps */

static void set_option(struct dial *dial, unsigned slot, unsigned which)
{
    struct option *option = &dial->options[which];
    option->op.done = option_done;
    option->dial = dial;
    op_option_set(dial->core, &option->op, slot, options[which].level, options[which].name,
                  &options[which].value, sizeof options[which].value);
}

/* All that comes before connecting. */
static int prepare(struct dial *dial, unsigned slot, const struct stream_target *target)
{
    union address address;
    struct stream_target source;
    bool has_source = source_of(target, &source);
    for (unsigned i = OPTION_KEEPS; i < OPTIONS && target->keeps_alive; i++)
        set_option(dial, slot, i);
    set_option(dial, slot, OPTION_NO_DELAY);
    if (has_source) {
        set_option(dial, slot, OPTION_PORT_LATE);
        unsigned size = address_of(&source, &address);
        op_bind(dial->core, &dial->op, slot, &address, size);
    }
    int result = wait_op(dial, 0);
    if (!has_source)
        return 0;
    int late_port = dial->options[OPTION_PORT_LATE].result;
    return late_port < 0 ? late_port : result;
}

static int connect_slot(struct dial *dial, unsigned slot, const struct stream_target *target,
                        uint64_t deadline_ns)
{
    union address address;
    unsigned size = address_of(target, &address);
    if (size == 0)
        return -ENAMETOOLONG;
    int result = target->family != 1 ? prepare(dial, slot, target) : 0;
    if (result < 0)
        return result;
    op_connect(dial->core, &dial->op, slot, &address, size);
    return wait_op(dial, deadline_ns);
}

static void close_slot(struct dial *dial, unsigned slot)
{
    op_close_slot(dial->core, &dial->op, slot);
    wait_op(dial, 0);
}

int stream_connect(struct stream *stream, struct core *core, const struct stream_target *target,
                   uint64_t deadline_ns, const struct stream_owner *owner)
{
    assert(fiber_current(core) != NULL && "stream_connect is for fibers");
    static const int families[] = {[1] = AF_UNIX, [4] = AF_INET, [6] = AF_INET6};
    assert(target->family == 1 || target->family == 4 || target->family == 6);
    struct dial dial = {
        .op.done = op_done,
        .cancel.done = cancel_done,
        .timer.fire = late,
        .core = core,
        .fiber = fiber_current(core),
    };
    op_socket(core, &dial.op, families[target->family]);
    int slot = wait_op(&dial, 0);
    if (slot < 0)
        return slot;
    int result = connect_slot(&dial, (unsigned)slot, target, deadline_ns);
    if (result < 0) {
        close_slot(&dial, (unsigned)slot);
        return result;
    }
    stream_open(stream, core, (unsigned)slot, owner);
    if (target->family == 1)
        stream->peer_family = 1;
    else
        stream_peer_set(stream, target->family, target->address, target->port);
    return 0;
}
