/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one door to the world: everything this program does outside its own memory passes these
 * functions. Two implementations, chosen when linking: src/engine/kernel_linux.c, and the simulated
 * kernel in tests/sim. The seam lies at the system-call line: the engine above it writes real
 * submission queue entries into ring memory with liburing's inline helpers and reads real
 * completions, so the ring layer itself runs under the simulator too.
 *
 * A completion's user_data is what the entry held, untouched (MSG_RING: the target's is sqe->off).
 * ring_fd of each ring must be set: MSG_RING names its target by it.
 */
#ifndef RINGPOST_KERNEL_H
#define RINGPOST_KERNEL_H

/* liburing's inline helpers are not clean under our warnings. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <liburing.h>
#pragma GCC diagnostic pop

#include "ringpost/slice.h"

/* The operations in use. A ring takes these and no other (it is opened with restrictions, so that
 * somebody who can write into our memory cannot make it connect or send files); the simulator knows
 * exactly these. */
/* clang-format off */
#define KERNEL_OPERATIONS(each)                                                                    \
    each(NOP) each(SEND) each(SENDMSG) each(READ) each(WRITE) each(WRITEV)                         \
    each(FSYNC) each(UNLINKAT) each(RENAMEAT) each(FALLOCATE)                                      \
    each(ACCEPT)       /* multishot, direct */                                                     \
    each(RECV)         /* multishot with buffer selection, and single into memory */               \
    each(CLOSE)        /* of a slot or a descriptor */                                             \
    each(ASYNC_CANCEL) /* by user_data */                                                          \
    each(OPENAT)       /* to an ordinary descriptor */                                             \
    each(MSG_RING)     /* SEND_FD */                                                               \
    each(URING_CMD)    /* SOCKET_URING_OP_GETSOCKOPT, SOL_SOCKET, SO_PEERNAME of a slot: fills a   \
                          struct sockaddr_in or sockaddr_in6 of exactly sqe->optlen bytes at       \
                          sqe->optval; the result is that length */
/* And those of a ring that may connect (kernel_ring_options.connects), with
 * SOCKET_URING_OP_SETSOCKOPT of a slot by URING_CMD. BIND is newer than the rest (6.11). */
#define KERNEL_OPERATIONS_CONNECT(each)                                                            \
    each(SOCKET)       /* into a slot */                                                           \
    each(CONNECT) each(BIND)
/* clang-format on */
/* The flags an entry may carry. FIXED_FILE cannot be required of all: listeners, the store's files
 * and the wake-up are ordinary descriptors. */
#define KERNEL_ENTRY_FLAGS (IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT)

/* Keep-alive of TCP, for connections that came in (their listener's) and for those that go out and
 * ask for it: who has gone without a word is noticed within four minutes, also where nothing is
 * sent. */
enum {
    KERNEL_KEEP_IDLE_SECONDS = 120,
    KERNEL_KEEP_INTERVAL_SECONDS = 30,
    KERNEL_KEEP_COUNT = 4,
    /* Outgoing ones: also how long what was sent may stay unacknowledged; stands for the count. */
    KERNEL_KEEP_SILENT_MS =
        1000 * (KERNEL_KEEP_IDLE_SECONDS + KERNEL_KEEP_COUNT * KERNEL_KEEP_INTERVAL_SECONDS)
};

struct kernel; /* one per core; made by the program's start (or the simulator's world) */

struct kernel_ring_options {
    unsigned sq_entries, cq_entries;
    unsigned slots; /* direct descriptors in this ring's table */
    bool connects;  /* takes KERNEL_OPERATIONS_CONNECT too */
};

/* Sets up *ring: SINGLE_ISSUER | DEFER_TASKRUN | CQSIZE | CLAMP | SUBMIT_ALL where the kernel has
 * them, the ring descriptor registered, a sparse table of `slots` direct descriptors, restricted to
 * KERNEL_OPERATIONS (and KERNEL_OPERATIONS_CONNECT with `connects`), KERNEL_ENTRY_FLAGS and what
 * the functions below register. Must be called on
 * the thread that will use it. 0, or the number of slots when there are fewer
 * (RLIMIT_NOFILE), or -errno: -ENOSYS and -EPERM mean that io_uring is forbidden here (see
 * kernel_ring_advice). */
int kernel_ring_open(struct kernel *kernel, struct io_uring *ring,
                     const struct kernel_ring_options *options);
void kernel_ring_close(struct kernel *kernel, struct io_uring *ring);

/* A sentence for the operator: what forbids io_uring, and which flag or sysctl allows it. */
const char *kernel_ring_advice(int error);

/* Registers a ring of provided buffers with `entries` (a power of two) as group `group`. 0 or
 * -errno. */
int kernel_buffers_register(struct kernel *kernel, struct io_uring *ring,
                            struct io_uring_buf_ring *buffers, unsigned entries, unsigned group);

/* Slots below this are never given to accepted or moved sockets. */
enum { KERNEL_SLOTS_HELD = 16 };
/* The table is larger than kernel_ring_options.slots by so many, or less. */
enum { KERNEL_SLOTS_SPARE = KERNEL_SLOTS_HELD + 48 };
/* Puts an ordinary descriptor into one of them (used for the store's lock, so that
 * it is released only when the ring and all its writes are gone). 0 or -errno. */
int kernel_slot_register(struct kernel *kernel, struct io_uring *ring, unsigned slot, int fd);

/* Submits what is in the queue and waits until `wait_count` completions are there or timeout_ns has
 * passed (0: does not wait, but runs the ring's deferred work). Returns 0 or more, or -errno;
 * -ETIME, -EINTR, -EAGAIN and -EBUSY are ordinary: nothing is lost, call again. */
int kernel_ring_enter(struct kernel *kernel, struct io_uring *ring, unsigned wait_count,
                      uint64_t timeout_ns);

/* Time. Monotonic nanoseconds since some start; wall clock in nanoseconds since 1970. */
uint64_t kernel_monotonic_ns(struct kernel *kernel);
int64_t kernel_wall_ns(struct kernel *kernel);

/* Fills `data` with unpredictable bytes (reproducible in the simulator). Never fails. */
void kernel_random(struct kernel *kernel, void *data, size_t size);

/* A descriptor that becomes readable (8 bytes) when some thread calls kernel_wake(kernel). Created
 * once per kernel. */
int kernel_wake_fd(struct kernel *kernel);
void kernel_wake(struct kernel *target); /* from any thread */

/* Two pools of helper threads with a bounded queue each, so that work which waits for others (a
 * directory that does not answer) never holds up work which only computes. */
enum kernel_help { KERNEL_HELP_COMPUTES, KERNEL_HELP_WAITS, KERNEL_HELP_COUNT };
/* Runs work(argument) on a helper thread of that pool, then calls finished(argument) there (which
 * may only post a message). -EAGAIN when the pool's queue is full. The simulator runs both on the
 * spot after a drawn delay. */
int kernel_help(struct kernel *kernel, enum kernel_help pool, void (*work)(void *),
                void (*finished)(void *), void *argument);

/* Blocking, for start-up and shutdown only. All return >= 0 or -errno. */
int kernel_listen_tcp(struct kernel *kernel, const char *address, unsigned port, unsigned backlog);
int kernel_listen_unix(struct kernel *kernel, const char *path, unsigned mode, unsigned backlog);
/* With its parents; 0 if it is there. */
int kernel_directory_make(struct kernel *kernel, const char *path, unsigned mode);
int kernel_directory_list(struct kernel *kernel, const char *path,
                          void (*each)(void *argument, const char *name, bool is_regular),
                          void *argument);
/* A descriptor of the file, made if need be; -EWOULDBLOCK when another process holds the lock. */
int kernel_file_lock(struct kernel *kernel, const char *path);
int kernel_file_size(struct kernel *kernel, int fd, uint64_t *ret_size);
int kernel_space_free(struct kernel *kernel, const char *path, uint64_t *ret_bytes);
/* Writes a log line to the program's standard output without waiting for long; short or failing
 * writes are counted by the caller as dropped. Returns bytes written or -errno. */
int kernel_log_write(struct kernel *kernel, const void *data, size_t size);

#endif
