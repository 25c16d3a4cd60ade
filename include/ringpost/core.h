/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The engine: one core is one thread with one ring, one timer wheel, one pool of fibers and one
 * pool of receive buffers. Everything a core owns is touched by that core only; cores talk by
 * messages.
 *
 *        ┌──────────────── one turn of core_turn ────────────────┐
 *        │ enter(submit, wait) → completions → op.done()          │
 *        │ inbox → message.handle()   timers → timer.fire()       │
 *        │ run queue → fibers run until each parks or ends        │
 *        │ end-of-turn hooks (group commit, queued sends)         │
 *        └────────────────────────────────────────────────────────┘
 *
 * Invariants:
 *   E1 op.done runs exactly once per completion, only from the core's turn, never inside a submit.
 *   E2 An op's owner is freed only when none of its ops is in flight.
 *   E3 A fiber runs on the core that started it, from start to end.
 *   E4 A receive buffer never leaves its core and goes back to the kernel in exactly one place.
 */
#ifndef RINGPOST_CORE_H
#define RINGPOST_CORE_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "ringpost/counter.h"
#include "ringpost/event.h"
#include "ringpost/slice.h"

struct core;
struct kernel;
struct fiber;

enum { CORES_MAX = 64 };

/* ---------------------------------------------------------------- start, turn, stop */

struct engine_options {
    unsigned core_count;       /* 1..CORES_MAX */
    unsigned connections_max;  /* per core; direct descriptors (capped by RLIMIT_NOFILE, which is
                                 said in the log) */
    unsigned buffers;          /* receive buffers per core, a power of two */
    unsigned fibers_max;       /* stacks per core in use at once */
    unsigned stack_bytes;      /* of one fiber, a multiple of the page size */
    unsigned turn_seconds_max; /* a core whose turn takes longer ends the process; 0: 10 */
    bool connects; /* its rings may also make sockets and connect them (stream_connect) */
};

struct engine; /* all cores of this process */

/* Allocates the cores (kernels[i] serves core i). Nothing runs yet. 0 or -errno. */
int engine_create(const struct engine_options *options, struct kernel *const *kernels,
                  struct engine **ret_engine);
void engine_destroy(struct engine *engine);
struct core *engine_core(struct engine *engine, unsigned index);
unsigned engine_core_count(const struct engine *engine);

/* Runs on the core's thread, once, before its first turn: opens ring and buffers. 0 or -errno. */
int core_open(struct core *core);
void core_close(struct core *core); /* after the last turn; asserts that no op is in flight */
/* Instead of core_close, when a crash is simulated: gives back memory and ring as they are, runs
 * nothing more. */
void core_abandon(struct core *core);
/* One turn. Waits at most wait_ns for something to do (less when a timer is due). True if anything
 * was done. */
bool core_turn(struct core *core, uint64_t wait_ns);
/* When the core wants its next turn if no completion and no message comes: 0 now, UINT64_MAX never,
 * else a time. */
uint64_t core_next_ns(const struct core *core);
/* Operations in flight, the core's own wake-up read not counted: 0 when everything above has
 * drained. */
unsigned core_busy(const struct core *core);

/* Starts one thread per core that runs core_open, `ready(core, argument)` on a fiber (a negative
 * result stops the engine), then turns until engine_stop. Waits for all. Returns 0, or the first
 * error. Not used by the simulator. */
int engine_run(struct engine *engine, int (*ready)(struct core *core, void *argument),
               void *argument);
/* From any thread or a signal handler's self-pipe reader: asks every core to leave engine_run after
 * its turn. */
void engine_stop(struct engine *engine);

unsigned core_index(const struct core *core);
unsigned core_count(const struct core *core);
unsigned core_slots_max(const struct core *core);  /* slots (direct descriptors) are below this */
unsigned core_fibers_max(const struct core *core); /* stacks in use at once */
/* Connections at once: those asked for, or fewer when the kernel gives fewer descriptors. */
unsigned core_connections_max(const struct core *core);
struct core *core_peer(struct core *core, unsigned index);
uint64_t core_now_ns(const struct core *core); /* monotonic; one reading a turn */
int64_t core_wall_ns(struct core *core);       /* since 1970 */
void core_random(struct core *core, void *data, size_t size);
struct counters *core_counters(struct core *core);
struct kernel *core_kernel(struct core *core);
/* Finishes the event and queues its line; drops and counts it when the queue is full. */
void core_log(struct core *core, struct event *event);
/* Gives the ordinary descriptor fd to the ring as well, for as long as the ring lives: a lock file
 * held so is released only when the ring and all its writes are gone. 0 or -errno (-ENFILE after
 * 16). */
int core_hold_fd(struct core *core, int fd);

/* A pointer per core for each upper layer, set at start. */
enum core_local {
    CORE_LOCAL_STORE,
    CORE_LOCAL_LOG,
    CORE_LOCAL_NET,
    CORE_LOCAL_AUTH,
    CORE_LOCAL_BACKEND,
    CORE_LOCAL_SESSION,
    CORE_LOCAL_RELAY,
    CORE_LOCAL_PROXY,
    CORE_LOCAL_CONTROL,
    CORE_LOCAL_MAIN,
    CORE_LOCAL_COUNT
};
void core_local_set(struct core *core, enum core_local which, void *value);
void *core_local(const struct core *core, enum core_local which);

/* Called at the end of every turn, before the ring is entered (for example: begin a group commit).
 * Embedded in its owner. */
struct hook {
    struct hook *next;
    void (*run)(struct hook *hook);
};
void core_hook_add(struct core *core, struct hook *hook);
void core_hook_remove(struct core *core, struct hook *hook); /* not from within a hook */
/* For what a hook leaves to the hooks of the next turn: that turn then comes at once. No effect
 * outside hooks, where this turn's hooks are still to run. */
void core_again(struct core *core);

/* ---------------------------------------------------------------- operations */

/* Embedded in its owner; its address is the completion's user_data. `in_flight` counts completions
 * still to come (a multishot op stays in flight until a completion without IORING_CQE_F_MORE). */
struct op {
    void (*done)(struct op *op, int result, unsigned cqe_flags);
    uint32_t in_flight;
};

static inline bool op_busy(const struct op *op)
{
    return op->in_flight != 0;
}

/* Each queues one operation; done() is called in a later turn. op->done must be set, op must not be
 * busy. `slot` is a direct descriptor, `fd` an ordinary one. Memory passed must live until done().
 */
void op_nop(struct core *core, struct op *op);
void op_accept(struct core *core, struct op *op, int listen_fd); /* multishot; result = new slot */
/* Into receive buffers, see buffer_of. */
void op_recv_multishot(struct core *core, struct op *op, unsigned slot);
/* Once, into a bulk buffer, see buffer_of. -ENOBUFS: none is home; nothing tells when one is, so
 * receive otherwise. */
void op_recv_bulk(struct core *core, struct op *op, unsigned slot);
/* Into `data`: at least one byte, or with `whole` all unless the end comes first. */
void op_recv(struct core *core, struct op *op, unsigned slot, void *data, size_t size, bool whole);
/* The kernel is asked to send all (MSG_WAITALL), but a short count is legal: the caller sends the
 * rest. */
void op_send(struct core *core, struct op *op, unsigned slot, const void *data, size_t size);
void op_sendmsg(struct core *core, struct op *op, unsigned slot, const struct msghdr *message);
/* What the socket takes at once: it never waits, so that nothing lent is held; -EAGAIN: nothing. */
void op_sendmsg_now(struct core *core, struct op *op, unsigned slot, const struct msghdr *message);
/* The peer's address as the kernel has it, `size` exactly that of its family; result = size.
 * -EOPNOTSUPP before 6.7. */
void op_peer_name(struct core *core, struct op *op, unsigned slot, void *address, unsigned size);
/* A socket of address family AF_INET, AF_INET6 or AF_UNIX; result = its slot. */
void op_socket(struct core *core, struct op *op, int family);
void op_option_set(struct core *core, struct op *op, unsigned slot, int level, int name,
                   const void *value, unsigned size);
void op_bind(struct core *core, struct op *op, unsigned slot, const void *address, unsigned size);
void op_connect(struct core *core, struct op *op, unsigned slot, const void *address,
                unsigned size);
void op_close_slot(struct core *core, struct op *op, unsigned slot);
void op_close_fd(struct core *core, struct op *op, int fd);
/* The victim still completes, exactly once. */
void op_cancel(struct core *core, struct op *op, struct op *victim);
void op_read(struct core *core, struct op *op, int fd, void *data, size_t size, uint64_t offset);
void op_write(struct core *core, struct op *op, int fd, const void *data, size_t size,
              uint64_t offset, int rw_flags);
void op_writev(struct core *core, struct op *op, int fd, const struct iovec *pieces, unsigned count,
               uint64_t offset, int rw_flags);
void op_fsync(struct core *core, struct op *op, int fd, bool data_only);
void op_open(struct core *core, struct op *op, const char *path, int flags, unsigned mode);
void op_unlink(struct core *core, struct op *op, const char *path);
void op_rename(struct core *core, struct op *op, const char *from, const char *to);
void op_fallocate(struct core *core, struct op *op, int fd, uint64_t offset, uint64_t size);
/* Sends slot to another core's ring; there `arrival` completes with result = the new slot. The old
 * slot stays open. `arrival` counts as in flight from now on and belongs to the other core, unless
 * op completes with an error: then it never completes and the caller sets arrival->in_flight back
 * to 0. op must not lie in memory that moves along. */
void op_move_slot(struct core *core, struct op *op, unsigned slot, struct core *to,
                  struct op *arrival);

/* The same for fibers: queue, park, return the result (-errno or >= 0). */
int await_read(struct core *core, int fd, void *data, size_t size, uint64_t offset);
int await_write(struct core *core, int fd, const void *data, size_t size, uint64_t offset,
                int rw_flags);
int await_fsync(struct core *core, int fd, bool data_only);
int await_open(struct core *core, const char *path, int flags, unsigned mode);
int await_close(struct core *core, int fd);
int await_unlink(struct core *core, const char *path);
int await_rename(struct core *core, const char *from, const char *to);
int await_fallocate(struct core *core, int fd, uint64_t offset, uint64_t size);
/* For the self-test at the start: an operation that kernel.h does not name, harmless as it is.
 * -EACCES when the ring's restrictions hold; any other error when they do not. */
int await_forbidden(struct core *core);

/* ---------------------------------------------------------------- receive buffers */

enum {
    BUFFER_BYTES = 16384,
    BULK_BUFFERS = 8, /* per core besides, for streams that much comes on: so few stay in the
                         CPU's cache */
    BULK_BUFFER_BYTES = 65536
};

/* The buffer a receive completion filled (flags hold IORING_CQE_F_BUFFER): its number in
 * *ret_number, its bytes. */
char *buffer_of(struct core *core, unsigned cqe_flags, unsigned *ret_number);
/* Back to the kernel; wakes receives that starved. */
void buffer_give(struct core *core, unsigned number);
unsigned buffer_size(const struct core *core, unsigned number); /* its size */
/* Fewer than half of the buffers are home, bulk ones apart: copy, hold none. */
bool buffer_pressure(const struct core *core);
unsigned buffer_lent(const struct core *core); /* how many are not home, bulk ones too */
/* Called when a multishot receive ended with -ENOBUFS: `arm` runs once buffers have come home. */
struct starved {
    struct starved *next, **previous_next; /* previous_next is NULL when it is not waiting */
    void (*arm)(struct starved *starved);
};
void buffer_starved(struct core *core, struct starved *starved);
void buffer_starved_forget(struct core *core, struct starved *starved);

/* ---------------------------------------------------------------- fibers */

/* Starts fn(argument) on a pooled stack; it runs later in this turn. -EAGAIN when no stack is free
 * (counted). */
int fiber_start(struct core *core, void (*fn)(void *argument), void *argument);
struct fiber *fiber_current(struct core *core); /* NULL outside fibers */
void fiber_park(struct core *core); /* until fiber_wake; spurious wake-ups do not happen */
/* On the fiber's core; it must be parked; once per park. */
void fiber_wake(struct core *core, struct fiber *fiber);
void fiber_yield(struct core *core); /* lets others run; for long computations */
void fiber_sleep(struct core *core, uint64_t ns);

/* Fibers waiting for a condition, in order. Zero-initialised. */
struct waiters {
    struct waiter *first, *last;
};
/* Parks until woken through `waiters`: 0; or until deadline_ns (core_now_ns time; 0: none):
 * -ETIMEDOUT. */
int waiters_wait(struct core *core, struct waiters *waiters, uint64_t deadline_ns);
void waiters_wake_one(struct core *core, struct waiters *waiters);
void waiters_wake_all(struct core *core, struct waiters *waiters);

/* A lock between fibers of one core. Zero-initialised. */
struct fiber_lock {
    bool held;
    struct waiters waiters;
};
void fiber_lock_take(struct core *core, struct fiber_lock *lock);
void fiber_lock_give(struct core *core, struct fiber_lock *lock);

/* ---------------------------------------------------------------- timers */

struct timer {
    struct timer *next, **previous_next; /* in a wheel slot; previous_next is NULL when idle */
    uint64_t due_ns;
    void (*fire)(struct timer *timer);
};
/* (Re)sets the timer; resolution 8 ms, never early. A timer is idle again when fire() is called. */
void timer_set(struct core *core, struct timer *timer, uint64_t due_ns);
void timer_clear(struct core *core, struct timer *timer);

/* One exact clock per core, beside the wheel: fire() is called in the first turn at or after
 * due_ns, and the core does not sleep longer than until then (tens of microseconds late at most
 * when it has nothing else to do). UINT64_MAX: none. */
void core_alarm(struct core *core, uint64_t due_ns, void (*fire)(void *argument), void *argument);

/* ---------------------------------------------------------------- between cores */

struct message {
    struct message *next;
    void (*handle)(struct core *here,
                   struct message *message); /* runs on the receiving core, outside fibers */
};
/* Never fails and never blocks; order between two cores is kept. The message belongs to the
 * receiver until it says otherwise. */
void core_post(struct core *from, unsigned to, struct message *message);
/* From a helper thread (inside `finished` of kernel_help) only. */
void core_post_from_helper(struct core *to, struct message *message);

/* Runs fn(there, argument) on a fiber of core `to` and returns its result; runs it in place when
 * `to` is this core. Call from a fiber. -EAGAIN when the other core has no stack free. */
int core_call(struct core *here, unsigned to, int (*fn)(struct core *there, void *argument),
              void *argument);

/* Runs work(argument) on a helper thread while the calling fiber waits. -EAGAIN when the helpers'
 * queue is full. */
int core_help(struct core *core, void (*work)(void *argument), void *argument);
/* The same for work that waits for others (a directory behind a network): by helper threads of its
 * own, several at once, so that what only computes is not held up. The work bounds its waiting. */
int core_help_waiting(struct core *core, void (*work)(void *argument), void *argument);

#endif
