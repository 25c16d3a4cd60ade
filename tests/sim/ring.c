/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ring: real submission entries are taken out of struct io_uring's memory and become operations
 * in flight; what they end with waits in `due` until the core is inside enter, and is then put into
 * the completion queue (W3). What does not fit stays in `due`, and until all of it fits nothing is
 * submitted (-EBUSY), as the real kernel does with an overflown queue.
 *
 * One table says for each opcode who carries it out.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "world.h"

/* The rings' memory is kept for the next world: it is large, and its old contents do not matter. */
static struct io_uring_sqe *spare_entries[CORES_MAX];
static struct io_uring_cqe *spare_completions[CORES_MAX];
enum { ENTRIES_MAX = 4096, COMPLETIONS_MAX = 16384 };

static unsigned ring_size(unsigned wished, unsigned asked, unsigned max)
{
    unsigned size = wished != 0 ? wished : asked;
    return size < max ? size : max;
}

int kernel_ring_open(struct kernel *kernel, struct io_uring *ring,
                     const struct kernel_ring_options *options)
{
    struct sim *sim = kernel->sim;
    int error = planned_failure(sim, SIM_OPERATION_CALL, -ENOMEM);
    if (error < 0)
        return error;
    unsigned core = kernel->index;
    if (spare_entries[core] == NULL) {
        spare_entries[core] = sim_keep_alloc(ENTRIES_MAX * sizeof(struct io_uring_sqe));
        spare_completions[core] = sim_keep_alloc(COMPLETIONS_MAX * sizeof(struct io_uring_cqe));
    }
    kernel->ring = ring;
    kernel->connects = options->connects;
    kernel->sq_entries = ring_size(sim->options.sq_entries, options->sq_entries, ENTRIES_MAX);
    kernel->cq_entries = ring_size(sim->options.cq_entries, options->cq_entries, COMPLETIONS_MAX);
    kernel->sq_head = kernel->sq_tail = kernel->cq_head = kernel->cq_tail = 0;
    kernel->due_first = kernel->due_count = 0;
    unsigned slots = sim->options.slots ? sim->options.slots
                                        : options->slots + KERNEL_SLOTS_SPARE - KERNEL_SLOTS_HELD;
    kernel->slot_count = KERNEL_SLOTS_HELD + slots;
    kernel->slot_hint = KERNEL_SLOTS_HELD;
    kernel->slots = sim_keep_resize(kernel->slots, kernel->slot_count * sizeof *kernel->slots);
    for (unsigned i = 0; i < kernel->slot_count; i++)
        kernel->slots[i] = NONE;
    for (unsigned i = 0; i < KERNEL_SLOTS_HELD; i++)
        kernel->held[i] = NONE;
    *ring = (struct io_uring){
        .sq = {.khead = &kernel->sq_head,
               .ktail = &kernel->sq_tail,
               .kflags = &kernel->sq_flags,
               .kdropped = &kernel->sq_dropped,
               .sqes = spare_entries[core],
               .ring_mask = kernel->sq_entries - 1,
               .ring_entries = kernel->sq_entries},
        .cq = {.khead = &kernel->cq_head,
               .ktail = &kernel->cq_tail,
               .kflags = &kernel->cq_flags,
               .koverflow = &kernel->cq_overflow,
               .cqes = spare_completions[core],
               .ring_mask = kernel->cq_entries - 1,
               .ring_entries = kernel->cq_entries},
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        .ring_fd = RING_FD_FIRST + (int)core,
        .enter_ring_fd = RING_FD_FIRST + (int)core,
    };
    return slots < options->slots ? (int)slots : 0;
}

static bool is_of_socket(unsigned opcode)
{
    return opcode == IORING_OP_ACCEPT || opcode == IORING_OP_RECV || opcode == IORING_OP_SEND ||
           opcode == IORING_OP_SENDMSG || opcode == IORING_OP_URING_CMD ||
           opcode == IORING_OP_CONNECT || opcode == IORING_OP_BIND;
}

static void operation_free(struct sim *sim, int32_t index)
{
    struct operation *operation = &sim->operations[index];
    struct kernel *kernel = &sim->kernels[operation->core];
    int32_t object = operation->object;
    bool has_socket = is_of_socket(operation->opcode);
    if (operation->ring_previous != NONE)
        sim->operations[operation->ring_previous].ring_next = operation->ring_next;
    else
        kernel->operations = operation->ring_next;
    if (operation->ring_next != NONE)
        sim->operations[operation->ring_next].ring_previous = operation->ring_previous;
    sim_keep_free(operation->path);
    sim_keep_free(operation->path2);
    operation->path = operation->path2 = NULL;
    operation->state = OPERATION_FREE;
    operation->generation = 0; /* a scheduled event finds nobody */
    operation->next = sim->operations_free;
    operation->object = NONE;
    sim->operations_free = index;
    if (object == NONE)
        return;
    if (has_socket)
        socket_unref(sim, object);
    else
        disk_release(sim, object);
}

/* The life is over: all operations are gone (their effects were settled before). */
void ring_forget(struct kernel *kernel)
{
    while (kernel->operations != NONE)
        operation_free(kernel->sim, kernel->operations);
    kernel->due_first = kernel->due_count = 0;
    kernel->ring = NULL;
    memset(kernel->buffers, 0, sizeof kernel->buffers);
}

void kernel_ring_close(struct kernel *kernel, struct io_uring *ring)
{
    assert(kernel->ring == ring);
    for (unsigned i = 0; i < KERNEL_SLOTS_HELD; i++)
        kernel->held[i] = NONE;
    kernel->ring = NULL;
}

int kernel_buffers_register(struct kernel *kernel, struct io_uring *ring,
                            struct io_uring_buf_ring *buffers, unsigned entries, unsigned group)
{
    assert(kernel->ring == ring && group < BUFFER_GROUP_COUNT);
    int error = planned_failure(kernel->sim, SIM_OPERATION_CALL, -ENOMEM);
    if (error < 0)
        return error;
    kernel->buffers[group].ring = buffers;
    kernel->buffers[group].entries = entries;
    kernel->buffers[group].head = 0;
    return 0;
}

/* ---------------------------------------------------------------- completions */

bool ring_is_due(const struct kernel *kernel)
{
    return kernel->due_count > 0 || kernel->cq_tail != kernel->cq_head;
}

void kernel_post(struct kernel *kernel, uint64_t user_data, int result, unsigned flags)
{
    trace_mix(kernel->sim, (uint64_t)(uint32_t)result << 32 | flags);
    if (kernel->due_first + kernel->due_count == kernel->due_capacity && kernel->due_first > 0) {
        memmove(kernel->due, kernel->due + kernel->due_first,
                kernel->due_count * sizeof *kernel->due);
        kernel->due_first = 0;
    }
    kernel->due = array_room(kernel->due, &kernel->due_capacity,
                             kernel->due_first + kernel->due_count, sizeof *kernel->due);
    kernel->due[kernel->due_first + kernel->due_count++] = (struct due){user_data, result, flags};
}

/* Puts what is due into the queue. True when all fitted. */
static bool completions_flush(struct kernel *kernel)
{
    while (kernel->due_count > 0) {
        unsigned head = io_uring_smp_load_acquire(&kernel->cq_head);
        if (kernel->cq_tail - head == kernel->cq_entries)
            return false;
        const struct due *due = &kernel->due[kernel->due_first];
        struct io_uring_cqe *cqe =
            &kernel->ring->cq.cqes[kernel->cq_tail & (kernel->cq_entries - 1)];
        cqe->user_data = due->user_data;
        cqe->res = due->result;
        cqe->flags = due->flags;
        io_uring_smp_store_release(&kernel->cq_tail, kernel->cq_tail + 1);
        kernel->due_first = --kernel->due_count == 0 ? 0 : kernel->due_first + 1;
        kernel->sim->counts[SIM_COUNT_COMPLETIONS]++;
    }
    return true;
}

void operation_more(struct sim *sim, int32_t index, int result, unsigned flags)
{
    const struct operation *operation = &sim->operations[index];
    if (sim->options.verbose)
        sim_trace(sim, "core %u: operation %d (opcode %u) more: %d, flags %x", operation->core,
                  index, operation->opcode, result, flags);
    kernel_post(&sim->kernels[operation->core], operation->user_data, result,
                flags | IORING_CQE_F_MORE);
}

void operation_end(struct sim *sim, int32_t index, int result, unsigned flags)
{
    const struct operation *operation = &sim->operations[index];
    if (sim->options.verbose)
        sim_trace(sim, "core %u: operation %d (opcode %u) ends: %d, flags %x", operation->core,
                  index, operation->opcode, result, flags);
    kernel_post(&sim->kernels[operation->core], operation->user_data, result, flags);
    operation_free(sim, index);
}

/* ---------------------------------------------------------------- operations */

int32_t operation_add(struct kernel *kernel, const struct io_uring_sqe *sqe)
{
    struct sim *sim = kernel->sim;
    int32_t index = sim->operations_free;
    if (index != NONE) {
        sim->operations_free = sim->operations[index].next;
    } else {
        sim->operations = array_room(sim->operations, &sim->operation_capacity,
                                     sim->operation_count, sizeof *sim->operations);
        index = (int32_t)sim->operation_count++;
    }
    sim->operations[index] = (struct operation){
        .state = OPERATION_WAITING,
        .opcode = sqe->opcode,
        .core = (uint8_t)kernel->index,
        .generation = ++sim->generation,
        .next = NONE,
        .ring_next = kernel->operations,
        .ring_previous = NONE,
        .object = NONE,
        .user_data = sqe->user_data,
        .offset = sqe->off,
        .size = sqe->len,
        .data = (void *)(uintptr_t)sqe->addr,
    };
    if (kernel->operations != NONE)
        sim->operations[kernel->operations].ring_previous = index;
    kernel->operations = index;
    sim->counts[SIM_COUNT_ENTRIES]++;
    return index;
}

void operation_schedule(struct sim *sim, int32_t index, uint64_t delay_ns)
{
    struct operation *operation = &sim->operations[index];
    assert(operation->state == OPERATION_WAITING);
    operation->state = OPERATION_SCHEDULED;
    if (sim_chance(sim, SIM_FAULT_LATE_COMPLETION))
        delay_ns += chance_below(sim, 50000000);
    event_add(sim, delay_ns, EVENT_OPERATION, (uint32_t)index, operation->generation);
}

static void cancel(struct kernel *kernel, int32_t index)
{
    struct sim *sim = kernel->sim;
    uint64_t target = (uint64_t)(uintptr_t)sim->operations[index].data;
    int32_t victim = kernel->operations;
    while (victim != NONE && (victim == index || sim->operations[victim].user_data != target))
        victim = sim->operations[victim].ring_next;
    if (victim == NONE) {
        operation_end(sim, index, -ENOENT, 0);
        return;
    }
    struct operation *found = &sim->operations[victim];
    bool is_pollable = found->opcode == IORING_OP_RECV || found->opcode == IORING_OP_SEND ||
                       found->opcode == IORING_OP_SENDMSG || found->opcode == IORING_OP_ACCEPT ||
                       found->opcode == IORING_OP_CONNECT || found->is_wake;
    if (!is_pollable || found->is_cancelled ||
        (found->state == OPERATION_SCHEDULED && !found->is_multishot &&
         chance_below(sim, 2) == 0)) {
        operation_end(sim, index, -EALREADY, 0);
        return;
    }
    bool victim_first = !sim->options.in_order && chance_below(sim, 4) == 0;
    if (!victim_first)
        operation_end(sim, index, 0, 0);
    found->is_cancelled = true;
    found->generation = ++sim->generation; /* an event under way is void */
    found->state = OPERATION_WAITING;
    operation_schedule(sim, victim, victim_first ? 0 : chance_below(sim, 20000));
    if (victim_first)
        operation_end(sim, index, 0, 0);
}

/* An entry is sent to another ring: the slot is shared, the other ring hears of it. */
static void send_slot(struct kernel *kernel, int32_t index, const struct io_uring_sqe *sqe)
{
    struct sim *sim = kernel->sim;
    unsigned core = (unsigned)sqe->fd - RING_FD_FIRST, slot = (unsigned)sqe->addr3;
    assert(sqe->addr == IORING_MSG_SEND_FD && sqe->file_index == IORING_FILE_INDEX_ALLOC);
    int error = planned_failure(sim, SIM_OPERATION_SOCKET, -ENFILE);
    if (core >= sim->options.engine.core_count || sim->kernels[core].ring == NULL)
        error = -EBADFD;
    else if (slot >= kernel->slot_count || kernel->slots[slot] == NONE)
        error = -EBADF;
    else if (error == 0 && sim_chance(sim, SIM_FAULT_MOVE_ERROR))
        error = -ENFILE;
    if (error == 0) {
        struct kernel *to = &sim->kernels[core];
        int taken = slot_take(to, kernel->slots[slot]);
        if (taken < 0)
            error = taken;
        else
            kernel_post(to, sqe->off, taken, 0);
    }
    operation_end(sim, index, error, 0);
}

static void close_one(struct kernel *kernel, int32_t index, const struct io_uring_sqe *sqe)
{
    int result = 0;
    if (sqe->file_index > 0) {
        unsigned slot = sqe->file_index - 1;
        if (slot >= kernel->slot_count || kernel->slots[slot] == NONE)
            result = -EBADF;
        else
            slot_close(kernel, slot);
    } else {
        result = descriptor_close(kernel->sim, sqe->fd);
    }
    kernel->sim->operations[index].error = result;
    operation_schedule(kernel->sim, index, chance_around(kernel->sim, 2000));
}

/* What the real ring's restrictions let through. */
static bool is_allowed(const struct kernel *kernel, const struct io_uring_sqe *sqe)
{
#define OPERATION(name) IORING_OP_##name,
    static const uint8_t operations[] = {KERNEL_OPERATIONS(OPERATION)};
    static const uint8_t connecting[] = {KERNEL_OPERATIONS_CONNECT(OPERATION)};
    return (memchr(operations, sqe->opcode, sizeof operations) != NULL ||
            (kernel->connects && memchr(connecting, sqe->opcode, sizeof connecting) != NULL)) &&
           (sqe->flags & ~KERNEL_ENTRY_FLAGS) == 0;
}

static void submit(struct kernel *kernel, const struct io_uring_sqe *sqe)
{
    struct sim *sim = kernel->sim;
    int32_t index = operation_add(kernel, sqe);
    if (!is_allowed(kernel, sqe))
        sim_fail(sim, "opcode %u or a flag of %x is not in kernel.h", sqe->opcode, sqe->flags);
    trace_mix(sim, (uint64_t)sqe->opcode << 40 | sqe->len);
    if (sim->options.verbose)
        sim_trace(sim, "core %u: operation %d: opcode %u, fd %d, %u bytes at %llu", kernel->index,
                  index, sqe->opcode, sqe->fd, sqe->len, (unsigned long long)sqe->off);
    switch (sqe->opcode) {
    case IORING_OP_NOP:
        operation_schedule(sim, index, chance_around(sim, 2000));
        break;
    case IORING_OP_ASYNC_CANCEL:
        cancel(kernel, index);
        break;
    case IORING_OP_CLOSE:
        close_one(kernel, index, sqe);
        break;
    case IORING_OP_MSG_RING:
        send_slot(kernel, index, sqe);
        break;
    case IORING_OP_ACCEPT:
    case IORING_OP_RECV:
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
    case IORING_OP_URING_CMD:
        socket_submit(kernel, index, sqe);
        break;
    case IORING_OP_SOCKET:
    case IORING_OP_BIND:
    case IORING_OP_CONNECT:
        outgoing_submit(kernel, index, sqe);
        break;
    case IORING_OP_READ:
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
    case IORING_OP_FSYNC:
    case IORING_OP_OPENAT:
    case IORING_OP_UNLINKAT:
    case IORING_OP_RENAMEAT:
    case IORING_OP_FALLOCATE:
        file_submit(kernel, index, sqe);
        break;
    default:
        sim_fail(sim, "opcode %u is not in kernel.h", sqe->opcode);
        operation_end(sim, index, -EINVAL, 0);
    }
}

void operation_run(struct sim *sim, int32_t index)
{
    struct operation *operation = &sim->operations[index];
    assert(operation->state == OPERATION_SCHEDULED);
    operation->state = OPERATION_WAITING;
    switch (operation->opcode) {
    case IORING_OP_NOP:
    case IORING_OP_CLOSE:
        operation_end(sim, index, operation->error, 0);
        break;
    case IORING_OP_SOCKET:
    case IORING_OP_BIND:
    case IORING_OP_CONNECT:
        outgoing_run(sim, index);
        break;
    default:
        if (is_of_socket(operation->opcode))
            socket_run(sim, index);
        else if (operation->is_wake)
            wake_run(sim, index);
        else
            file_run(sim, index);
    }
}

/* ---------------------------------------------------------------- enter */

static int refusal(struct kernel *kernel)
{
    static const int errors[] = {-EINTR, -EAGAIN, -EBUSY};
    if (!sim_chance(kernel->sim, SIM_FAULT_ENTER_INTR))
        return 0;
    return errors[chance_below(kernel->sim, 3)];
}

static int take_entries(struct kernel *kernel)
{
    struct io_uring_sq *sq = &kernel->ring->sq;
    if (sq->sqe_head != sq->sqe_tail) {
        sq->sqe_head = sq->sqe_tail;
        io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
    }
    unsigned count = kernel->sq_tail - kernel->sq_head;
    if (count > 1 && sim_chance(kernel->sim, SIM_FAULT_ENTER_PARTIAL))
        count = 1 + chance_below(kernel->sim, count - 1);
    for (unsigned i = 0; i < count; i++) {
        submit(kernel, &sq->sqes[kernel->sq_head & (kernel->sq_entries - 1)]);
        kernel->sq_head++;
    }
    return (int)count;
}

int kernel_ring_enter(struct kernel *kernel, struct io_uring *ring, unsigned wait_count,
                      uint64_t timeout_ns)
{
    struct sim *sim = kernel->sim;
    assert(kernel->ring == ring);
    if (!completions_flush(kernel))
        return -EBUSY;
    int error = refusal(kernel);
    if (error < 0)
        return error;
    int count = take_entries(kernel);
    bool has_room = completions_flush(kernel), is_partial = kernel->sq_head != kernel->sq_tail;
    if (wait_count == 0 || !has_room || is_partial || kernel->cq_tail != kernel->cq_head)
        return count;
    uint64_t deadline =
        timeout_ns < UINT64_MAX - sim->now_ns ? sim->now_ns + timeout_ns : UINT64_MAX;
    kernel_wait(kernel, deadline);
    completions_flush(kernel);
    if (kernel->cq_tail != kernel->cq_head || count > 0)
        return count;
    return sim->now_ns >= deadline ? -ETIME : -EINTR;
}
