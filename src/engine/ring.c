/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The core's ring: taking submission entries, entering the kernel, reaping completions. The same
 * code runs over the real and the simulated kernel, since both only fill the memory of struct
 * io_uring; nothing here calls liburing's library.
 *
 *   ring_entry ─▶ submission queue ─▶ ring_enter ─▶ completion queue ─▶ ring_complete ─▶ op.done
 *        └─ queue full: enters at once; when the kernel refuses because completions pile up
 * (-EBUSY), they are put aside in `backlog`, in order, and run when their turn comes (E1).
 *
 * user_data is the op's address; bit 0 set marks the arrival of a moved slot, which was counted by
 * no core. Fails only by assert: a ring that does not answer cannot be repaired, and dying is safe
 * (recovery is tested).
 */
#include "core_private.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARRIVAL_BIT = 1 };

static void wake_read(struct core *core)
{
    op_read(core, &core->wake_op, kernel_wake_fd(core->kernel), &core->wake_value,
            sizeof core->wake_value, 0);
}

static void wake_done(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct core *core = (struct core *)((char *)op - offsetof(struct core, wake_op));
    if (core->is_open && result != -ECANCELED)
        wake_read(core);
}

static void say_slots(struct core *core, unsigned wanted, int got)
{
    struct event event;
    event_begin(&event, "connections_capped", "warning");
    event_text(&event, "why", SLICE("RLIMIT_NOFILE"));
    event_number(&event, "core", core->index);
    event_number(&event, "wanted", wanted);
    event_number(&event, "allowed", got);
    core_log(core, &event);
}

int ring_open(struct core *core)
{
    struct kernel_ring_options options = {
        .sq_entries = RING_SQ_ENTRIES,
        .cq_entries = RING_CQ_ENTRIES,
        .slots = core->engine->options.connections_max,
        .connects = core->engine->options.connects,
    };
    int result = kernel_ring_open(core->kernel, &core->ring, &options);
    if (result < 0)
        return result;
    core->connections_max = options.slots;
    if (result > 0) {
        core->connections_max =
            result > KERNEL_SLOTS_HELD ? (unsigned)result - KERNEL_SLOTS_HELD : 1;
        say_slots(core, options.slots, result);
    }
    core->is_open = true;
    core->wake_op.done = wake_done;
    wake_read(core);
    return 0;
}

static void wake_cancel_done(struct op *op, int result, unsigned flags)
{
    (void)op, (void)result, (void)flags;
}

void ring_close(struct core *core)
{
    core->is_open = false;
    core->wake_cancel_op.done = wake_cancel_done;
    if (op_busy(&core->wake_op))
        op_cancel(core, &core->wake_cancel_op, &core->wake_op);
    for (int i = 0; core->in_flight > 0 && i < 1000; i++)
        core_turn(core, 10000000);
    assert(core->in_flight == 0 && "E2: an operation is in flight at core_close");
    kernel_ring_close(core->kernel, &core->ring);
}

bool ring_has_completions(const struct core *core)
{
    return core->backlog_count > 0 || io_uring_cq_ready(&core->ring) > 0;
}

/* Takes the oldest completion out of the ring's memory. */
static bool completion_take(struct core *core, struct completion *completion)
{
    struct io_uring_cq *cq = &core->ring.cq;
    unsigned head = *cq->khead;
    if (head == io_uring_smp_load_acquire(cq->ktail))
        return false;
    const struct io_uring_cqe *cqe = &cq->cqes[head & cq->ring_mask];
    *completion = (struct completion){cqe->user_data, cqe->res, cqe->flags};
    io_uring_smp_store_release(cq->khead, head + 1);
    return true;
}

static void backlog_fill(struct core *core)
{
    struct completion completion;
    while (completion_take(core, &completion)) {
        size_t end = core->backlog_first + core->backlog_count;
        if (end == core->backlog_capacity) {
            core->backlog_capacity = end ? 2 * end : 1024;
            core->backlog = realloc(core->backlog, core->backlog_capacity * sizeof *core->backlog);
            assert(core->backlog != NULL && "E1: no memory to keep a completion");
        }
        core->backlog[end] = completion;
        core->backlog_count++;
    }
}

struct io_uring_sqe *ring_entry(struct core *core, struct op *op)
{
    assert(op->done != NULL && !op_busy(op) && "E2: the op is still in flight");
    struct io_uring_sqe *sqe;
    while ((sqe = io_uring_get_sqe(&core->ring)) == NULL) {
        counter_add(&core->counters, COUNTER_RING_ENTERS, 1);
        if (kernel_ring_enter(core->kernel, &core->ring, 0, 0) < 0)
            backlog_fill(core);
    }
    op->in_flight = 1;
    core->in_flight++;
    return sqe;
}

int ring_enter(struct core *core, uint64_t wait_ns)
{
    counter_add(&core->counters, COUNTER_RING_ENTERS, 1);
    int result = kernel_ring_enter(core->kernel, &core->ring, wait_ns > 0 ? 1 : 0, wait_ns);
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN &&
        result != -EBUSY) {
        fprintf(stderr, "ring of core %u: %s\n", core->index, strerror(-result));
        abort();
    }
    return result;
}

static void complete(struct core *core, const struct completion *completion)
{
    if (completion->flags & IORING_CQE_F_BUFFER)
        buffer_take(core, completion->flags);
    bool is_arrival = completion->user_data & ARRIVAL_BIT;
    struct op *op = (struct op *)(uintptr_t)(completion->user_data & ~(uint64_t)ARRIVAL_BIT);
    if (is_arrival)
        atomic_load_explicit(&core->handovers, memory_order_acquire);
    assert(op->in_flight == 1 && "E1: completion of an op that is not in flight");
    if (!(completion->flags & IORING_CQE_F_MORE)) {
        op->in_flight = 0;
        if (!is_arrival)
            core->in_flight--;
    }
    op->done(op, completion->result, completion->flags);
}

/* Runs done() for what is there now; what comes while it runs waits for the next turn. */
unsigned ring_complete(struct core *core)
{
    unsigned done = 0;
    struct completion completion;
    for (size_t left = core->backlog_count; left > 0; left--, done++) {
        completion = core->backlog[core->backlog_first++];
        if (--core->backlog_count == 0)
            core->backlog_first = 0;
        complete(core, &completion);
    }
    unsigned ready = io_uring_cq_ready(&core->ring);
    while (ready-- > 0 && core->backlog_count == 0 && completion_take(core, &completion)) {
        complete(core, &completion);
        done++;
    }
    if (done > 0)
        counter_add(&core->counters, COUNTER_RING_COMPLETIONS, done);
    return done;
}
