/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One function per ring operation (core.h says what each does), and the same for fibers: await_X
 * queues the operation with an op on the fiber's own stack, parks, and returns the result.
 */
#include "core_private.h"

#include <fcntl.h>
#include <sys/socket.h>

static struct io_uring_sqe *tagged(struct io_uring_sqe *sqe, struct op *op)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)op);
    return sqe;
}

static void on_slot(struct io_uring_sqe *sqe, struct op *op)
{
    tagged(sqe, op)->flags |= IOSQE_FIXED_FILE;
}

void op_nop(struct core *core, struct op *op)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_nop(sqe);
    tagged(sqe, op);
}

void op_accept(struct core *core, struct op *op, int listen_fd)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_multishot_accept_direct(sqe, listen_fd, NULL, NULL, 0);
    tagged(sqe, op);
}

void op_recv_multishot(struct core *core, struct op *op, unsigned slot)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_recv_multishot(sqe, (int)slot, NULL, 0, 0);
    sqe->buf_group = BUFFER_GROUP;
    on_slot(sqe, op);
    sqe->flags |= IOSQE_BUFFER_SELECT;
}

void op_recv_bulk(struct core *core, struct op *op, unsigned slot)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_recv(sqe, (int)slot, NULL, 0, 0);
    sqe->buf_group = BUFFER_GROUP_BULK;
    on_slot(sqe, op);
    sqe->flags |= IOSQE_BUFFER_SELECT;
}

void op_recv(struct core *core, struct op *op, unsigned slot, void *data, size_t size, bool whole)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_recv(sqe, (int)slot, data, size, whole ? MSG_WAITALL : 0);
    on_slot(sqe, op);
}

void op_send(struct core *core, struct op *op, unsigned slot, const void *data, size_t size)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_send(sqe, (int)slot, data, size, MSG_WAITALL | MSG_NOSIGNAL);
    on_slot(sqe, op);
}

void op_sendmsg(struct core *core, struct op *op, unsigned slot, const struct msghdr *message)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_sendmsg(sqe, (int)slot, message, MSG_WAITALL | MSG_NOSIGNAL);
    on_slot(sqe, op);
}

void op_sendmsg_now(struct core *core, struct op *op, unsigned slot, const struct msghdr *message)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_sendmsg(sqe, (int)slot, message, MSG_DONTWAIT | MSG_NOSIGNAL);
    on_slot(sqe, op);
}

void op_peer_name(struct core *core, struct op *op, unsigned slot, void *address, unsigned size)
{
    enum { OPTION_PEERNAME = 28 }; /* SO_PEERNAME, the same on x86-64 and aarch64 */
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_cmd_sock(sqe, SOCKET_URING_OP_GETSOCKOPT, (int)slot, SOL_SOCKET, OPTION_PEERNAME,
                           address, (int)size);
    on_slot(sqe, op);
}

void op_socket(struct core *core, struct op *op, int family)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_socket_direct_alloc(sqe, family, SOCK_STREAM, 0, 0);
    tagged(sqe, op);
}

void op_option_set(struct core *core, struct op *op, unsigned slot, int level, int name,
                   const void *value, unsigned size)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_cmd_sock(sqe, SOCKET_URING_OP_SETSOCKOPT, (int)slot, level, name,
                           (void *)(uintptr_t)value, (int)size);
    on_slot(sqe, op);
}

void op_bind(struct core *core, struct op *op, unsigned slot, const void *address, unsigned size)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_bind(sqe, (int)slot, (struct sockaddr *)(uintptr_t)address, size);
    on_slot(sqe, op);
}

void op_connect(struct core *core, struct op *op, unsigned slot, const void *address, unsigned size)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_connect(sqe, (int)slot, address, size);
    on_slot(sqe, op);
}

void op_close_slot(struct core *core, struct op *op, unsigned slot)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_close_direct(sqe, slot);
    tagged(sqe, op);
}

void op_close_fd(struct core *core, struct op *op, int fd)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_close(sqe, fd);
    tagged(sqe, op);
}

void op_cancel(struct core *core, struct op *op, struct op *victim)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)victim, 0);
    tagged(sqe, op);
}

void op_read(struct core *core, struct op *op, int fd, void *data, size_t size, uint64_t offset)
{
    assert(size <= UINT32_MAX);
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_read(sqe, fd, data, (unsigned)size, offset);
    tagged(sqe, op);
}

void op_write(struct core *core, struct op *op, int fd, const void *data, size_t size,
              uint64_t offset, int rw_flags)
{
    assert(size <= UINT32_MAX);
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_write(sqe, fd, data, (unsigned)size, offset);
    sqe->rw_flags = rw_flags;
    tagged(sqe, op);
}

void op_writev(struct core *core, struct op *op, int fd, const struct iovec *pieces, unsigned count,
               uint64_t offset, int rw_flags)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_writev2(sqe, fd, pieces, count, offset, rw_flags);
    tagged(sqe, op);
}

void op_fsync(struct core *core, struct op *op, int fd, bool data_only)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_fsync(sqe, fd, data_only ? IORING_FSYNC_DATASYNC : 0);
    tagged(sqe, op);
}

void op_open(struct core *core, struct op *op, const char *path, int flags, unsigned mode)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_openat(sqe, AT_FDCWD, path, flags | O_CLOEXEC, mode);
    tagged(sqe, op);
}

void op_unlink(struct core *core, struct op *op, const char *path)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_unlinkat(sqe, AT_FDCWD, path, 0);
    tagged(sqe, op);
}

void op_rename(struct core *core, struct op *op, const char *from, const char *to)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_renameat(sqe, AT_FDCWD, from, AT_FDCWD, to, 0);
    tagged(sqe, op);
}

void op_fallocate(struct core *core, struct op *op, int fd, uint64_t offset, uint64_t size)
{
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_fallocate(sqe, fd, 0, offset, size);
    tagged(sqe, op);
}

void op_move_slot(struct core *core, struct op *op, unsigned slot, struct core *to,
                  struct op *arrival)
{
    assert(core != to && arrival->done != NULL && !op_busy(arrival));
    arrival->in_flight = 1;
    struct io_uring_sqe *sqe = ring_entry(core, op);
    io_uring_prep_msg_ring_fd_alloc(sqe, to->ring.ring_fd, (int)slot,
                                    (uint64_t)(uintptr_t)arrival | 1, 0);
    tagged(sqe, op);
    atomic_fetch_add_explicit(&to->handovers, 1, memory_order_release);
}

/* ---------------------------------------------------------------- for fibers */

struct awaited {
    struct op op;
    struct core *core;
    struct fiber *fiber;
    int result;
};

static void awaited_done(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct awaited *awaited = (struct awaited *)op;
    awaited->result = result;
    fiber_wake(awaited->core, awaited->fiber);
}

static struct awaited awaited_begin(struct core *core)
{
    struct fiber *fiber = fiber_current(core);
    assert(fiber != NULL && "await_X is for fibers");
    return (struct awaited){.op = {.done = awaited_done}, .core = core, .fiber = fiber};
}

static int awaited_end(struct awaited *awaited)
{
    fiber_park(awaited->core);
    return awaited->result;
}

int await_read(struct core *core, int fd, void *data, size_t size, uint64_t offset)
{
    struct awaited awaited = awaited_begin(core);
    op_read(core, &awaited.op, fd, data, size, offset);
    return awaited_end(&awaited);
}

int await_write(struct core *core, int fd, const void *data, size_t size, uint64_t offset,
                int rw_flags)
{
    struct awaited awaited = awaited_begin(core);
    op_write(core, &awaited.op, fd, data, size, offset, rw_flags);
    return awaited_end(&awaited);
}

int await_fsync(struct core *core, int fd, bool data_only)
{
    struct awaited awaited = awaited_begin(core);
    op_fsync(core, &awaited.op, fd, data_only);
    return awaited_end(&awaited);
}

int await_open(struct core *core, const char *path, int flags, unsigned mode)
{
    struct awaited awaited = awaited_begin(core);
    op_open(core, &awaited.op, path, flags, mode);
    return awaited_end(&awaited);
}

int await_close(struct core *core, int fd)
{
    struct awaited awaited = awaited_begin(core);
    op_close_fd(core, &awaited.op, fd);
    return awaited_end(&awaited);
}

int await_unlink(struct core *core, const char *path)
{
    struct awaited awaited = awaited_begin(core);
    op_unlink(core, &awaited.op, path);
    return awaited_end(&awaited);
}

int await_rename(struct core *core, const char *from, const char *to)
{
    struct awaited awaited = awaited_begin(core);
    op_rename(core, &awaited.op, from, to);
    return awaited_end(&awaited);
}

int await_fallocate(struct core *core, int fd, uint64_t offset, uint64_t size)
{
    struct awaited awaited = awaited_begin(core);
    op_fallocate(core, &awaited.op, fd, offset, size);
    return awaited_end(&awaited);
}

int await_forbidden(struct core *core)
{
    struct awaited awaited = awaited_begin(core);
    struct io_uring_sqe *sqe = ring_entry(core, &awaited.op);
    io_uring_prep_fadvise(sqe, -1, 0, 0, 0); /* no such descriptor: -EBADF */
    tagged(sqe, &awaited.op);
    return awaited_end(&awaited);
}
