/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real kernel behind kernel.h, first part: the ring, time, randomness, the wake-up. The rest is
 * in kernel_linux_files.c (start-up calls on sockets and files) and kernel_linux_threads.c
 * (helpers, log lines).
 *
 * Ring flags, best first; a kernel that refuses a set with -EINVAL gets the next:
 *   - SINGLE_ISSUER | DEFER_TASKRUN: completions are posted only when the core asks; no
 *     interruption, 20 % less work
 *   - COOP_TASKRUN, then none: older kernels
 * With all: CQSIZE so that a turn of all connections fits; CLAMP so that large wishes are cut;
 * SUBMIT_ALL so that one bad entry does not hold back the rest. No SQPOLL: it would burn a core.
 *
 * A ring is made disabled, gets its restrictions, and is enabled by the thread that owns it (which
 * makes that thread its single issuer). A ring keeps the rights of the moment it was made:
 * privileges and landlock come before. Where the kernel refuses restrictions the ring works
 * without them; the self-test of the program's start says so.
 */
#include "kernel_linux.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "ringpost/kernel.h"
#include "ringpost/kernel_linux.h"

enum { WORKERS_BOUNDED_MAX = 4, WORKERS_UNBOUNDED_MAX = 4 };

int kernel_linux_create(struct kernel **ret_kernel)
{
    struct kernel *kernel = calloc(1, sizeof *kernel);
    if (kernel == NULL)
        return -ENOMEM;
    kernel->wake_fd = eventfd(0, EFD_CLOEXEC);
    int result = kernel->wake_fd < 0 ? -errno : threads_begin();
    if (result < 0) {
        if (kernel->wake_fd >= 0)
            close(kernel->wake_fd);
        free(kernel);
        return result;
    }
    *ret_kernel = kernel;
    return 0;
}

void kernel_linux_destroy(struct kernel *kernel)
{
    if (kernel == NULL)
        return;
    threads_end();
    for (unsigned i = 0; i < kernel->listener_count; i++)
        close(kernel->listeners[i].fd);
    close(kernel->wake_fd);
    free(kernel);
}

/* ---------------------------------------------------------------- ring */

static int queue_open(struct io_uring *ring, const struct kernel_ring_options *options)
{
    static const unsigned sets[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
        0,
    };
    int result = -EINVAL;
    for (size_t i = 0; i < sizeof sets / sizeof *sets && result == -EINVAL; i++) {
        struct io_uring_params params = {
            .flags = sets[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED,
            .cq_entries = options->cq_entries,
        };
        result = io_uring_queue_init_params(options->sq_entries, ring, &params);
    }
    return result;
}

/* The direct table may hold no more than RLIMIT_NOFILE descriptors. */
static unsigned slots_allowed(unsigned wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return wanted;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            getrlimit(RLIMIT_NOFILE, &limit);
    }
    return wanted < limit.rlim_cur ? wanted : (unsigned)limit.rlim_cur;
}

/* A kernel that does not know one of the operations refuses the whole list. */
static int restrict_to(struct io_uring *ring, const uint8_t *operations, size_t operation_count)
{
    static const uint8_t registers[] = {
        IORING_REGISTER_PBUF_RING,    /* kernel_buffers_register */
        IORING_REGISTER_FILES_UPDATE, /* kernel_slot_register */
        IORING_UNREGISTER_RING_FDS,   /* kernel_ring_close */
    };
    struct io_uring_restriction list[64] = {0};
    unsigned count = 0;
    assert(operation_count + sizeof registers < sizeof list / sizeof *list);
    for (size_t i = 0; i < operation_count; i++)
        list[count++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_OP,
                                                      .sqe_op = operations[i]};
    for (size_t i = 0; i < sizeof registers; i++)
        list[count++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_REGISTER_OP,
                                                      .register_op = registers[i]};
    list[count++] = (struct io_uring_restriction){.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
                                                  .sqe_flags = KERNEL_ENTRY_FLAGS};
    return io_uring_register_restrictions(ring, list, count);
}

static void restrict_ring(struct io_uring *ring, bool connects)
{
#define OPERATION(name) IORING_OP_##name,
    static const uint8_t operations[] = {KERNEL_OPERATIONS(OPERATION)
                                             KERNEL_OPERATIONS_CONNECT(OPERATION)};
    static const uint8_t connecting[] = {KERNEL_OPERATIONS_CONNECT(OPERATION)};
    size_t count = sizeof operations - (connects ? 0 : sizeof connecting);
    int result = restrict_to(ring, operations, count); /* failures: see the file's head */
    if (result < 0 && connects)
        restrict_to(ring, operations, count - 1); /* a kernel without BIND, which is the last */
}

static int prepare_ring(struct io_uring *ring, const struct kernel_ring_options *options,
                        unsigned slots)
{
    int result = io_uring_register_files_sparse(ring, slots);
    if (result == 0)
        result =
            io_uring_register_file_alloc_range(ring, KERNEL_SLOTS_HELD, slots - KERNEL_SLOTS_HELD);
    if (result < 0)
        return result;
    unsigned workers[2] = {WORKERS_BOUNDED_MAX, WORKERS_UNBOUNDED_MAX};
    io_uring_register_iowq_max_workers(ring, workers); /* both only make things better: failures */
    io_uring_register_ring_fd(ring);                   /* change nothing else */
    restrict_ring(ring, options->connects);
    return io_uring_enable_rings(ring);
}

int kernel_ring_open(struct kernel *kernel, struct io_uring *ring,
                     const struct kernel_ring_options *options)
{
    (void)kernel;
    int result = queue_open(ring, options);
    if (result < 0)
        return result;
    unsigned slots = slots_allowed(options->slots + KERNEL_SLOTS_SPARE);
    result = prepare_ring(ring, options, slots);
    if (result < 0) {
        io_uring_queue_exit(ring);
        return result;
    }
    return slots < options->slots ? (int)slots : 0;
}

void kernel_ring_close(struct kernel *kernel, struct io_uring *ring)
{
    (void)kernel;
    io_uring_queue_exit(ring);
}

const char *kernel_ring_advice(int error)
{
    switch (error) {
    case -ENOSYS:
        return "a container's seccomp profile hides io_uring (Podman's default does): run with "
               "--security-opt seccomp=deploy/seccomp.json; or this kernel has none: Linux 6.1 or "
               "later is needed";
    case -EPERM:
    case -EACCES:
        return "io_uring is forbidden here: in a container run with --security-opt "
               "seccomp=deploy/seccomp.json (Docker's default seccomp profile forbids it); on the "
               "host set the sysctl kernel.io_uring_disabled=0";
    case -ENOMEM:
        return "no memory for the ring: raise the container's memory limit, or RLIMIT_MEMLOCK "
               "(--ulimit memlock=-1, LimitMEMLOCK= of the systemd unit)";
    case -EMFILE:
        return "RLIMIT_NOFILE is too low for the connections asked for: raise it (--ulimit "
               "nofile=1048576, LimitNOFILE= of the systemd unit)";
    default:
        return "the kernel refused to set up a ring; Linux 6.1 or later is needed";
    }
}

int kernel_buffers_register(struct kernel *kernel, struct io_uring *ring,
                            struct io_uring_buf_ring *buffers, unsigned entries, unsigned group)
{
    (void)kernel;
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)buffers,
        .ring_entries = entries,
        .bgid = (uint16_t)group,
    };
    return io_uring_register_buf_ring(ring, &registration, 0);
}

int kernel_slot_register(struct kernel *kernel, struct io_uring *ring, unsigned slot, int fd)
{
    (void)kernel;
    int result = io_uring_register_files_update(ring, slot, &fd, 1);
    return result < 0 ? result : 0;
}

/* Publishes the entries that were prepared and counts those the kernel has not taken (liburing's
 * own flush is not exported). */
static unsigned flush(struct io_uring *ring)
{
    struct io_uring_sq *sq = &ring->sq;
    if (sq->sqe_head != sq->sqe_tail) {
        sq->sqe_head = sq->sqe_tail;
        io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
    }
    return sq->sqe_tail - io_uring_smp_load_acquire(sq->khead);
}

int kernel_ring_enter(struct kernel *kernel, struct io_uring *ring, unsigned wait_count,
                      uint64_t timeout_ns)
{
    (void)kernel;
    unsigned flags = IORING_ENTER_GETEVENTS;
    if (ring->int_flags &
        1) /* INT_FLAG_REG_RING of liburing: enter_ring_fd is a registered index */
        flags |= IORING_ENTER_REGISTERED_RING;
    if (wait_count == 0)
        return io_uring_enter2((unsigned)ring->enter_ring_fd, flush(ring), 0, flags, NULL, 0);
    struct __kernel_timespec timeout = {
        .tv_sec = (int64_t)(timeout_ns / 1000000000),
        .tv_nsec = (long long)(timeout_ns % 1000000000),
    };
    struct io_uring_getevents_arg argument = {
        .sigmask_sz = _NSIG / 8,
        .ts = (uint64_t)(uintptr_t)&timeout,
    };
    return io_uring_enter2((unsigned)ring->enter_ring_fd, flush(ring), wait_count,
                           flags | IORING_ENTER_EXT_ARG, (sigset_t *)(void *)&argument,
                           sizeof argument);
}

/* ---------------------------------------------------------------- time, chance, wake-up */

uint64_t kernel_monotonic_ns(struct kernel *kernel)
{
    (void)kernel;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int64_t kernel_wall_ns(struct kernel *kernel)
{
    (void)kernel;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void kernel_random(struct kernel *kernel, void *data, size_t size)
{
    (void)kernel;
    char *at = data;
    while (size > 0) {
        ssize_t got = getrandom(at, size < 256 ? size : 256, 0);
        if (got < 0 && errno != EINTR) {
            perror("getrandom");
            abort();
        }
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
}

int kernel_wake_fd(struct kernel *kernel)
{
    return kernel->wake_fd;
}

void kernel_wake(struct kernel *target)
{
    uint64_t one = 1;
    while (write(target->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}
