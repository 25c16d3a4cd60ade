/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of this folder share: the struct of a core, and the functions that core_turn
 * strings together. Only `inbox`, `sleeping`, `turn`, `handovers` and the engine's `stop` are
 * touched by other threads.
 */
#ifndef RINGPOST_CORE_PRIVATE_H
#define RINGPOST_CORE_PRIVATE_H

#include <assert.h>
#include <stdatomic.h>

#include "ringpost/core.h"
#include "ringpost/kernel.h"

enum {
    WHEEL_LEVELS = 4,
    WHEEL_SLOTS = 64,
    LOG_BUFFER_BYTES = 65536,
    FIBER_RESUMES_MAX = 1000, /* in one turn, so that a loop of yields cannot starve the ring */
    RING_SQ_ENTRIES = 2048,
    RING_CQ_ENTRIES = 16384,
    BUFFER_GROUP = 0,
    BUFFER_GROUP_BULK = 1,
    BUFFER_GROUP_COUNT
};

/* Timers hang in slots by the tick they are due at; see timer.c. */
struct wheel {
    uint64_t tick; /* all ticks up to this one have fired */
    uint64_t count;
    uint64_t occupied[WHEEL_LEVELS]; /* a bit per slot; may be set for an empty slot, never the
                                        reverse */
    struct timer *slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

/* A completion taken out of the ring before its turn (ring.c). */
struct completion {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
};

struct fiber {
    struct fiber *next;     /* in the run queue */
    struct fiber *all_next; /* of all that were ever made */
    struct core *core;
    void (*fn)(void *argument);
    void *argument;
    void *stack_pointer; /* while it does not run */
    char *mapping;       /* guard page, then the stack */
    enum { FIBER_FREE, FIBER_READY, FIBER_RUNNING, FIBER_PARKED, FIBER_ENDED } state;
    unsigned valgrind_id;
    void *asan_stack, *tsan_fiber; /* of the sanitizers */
};

struct core {
    struct engine *engine;
    struct kernel *kernel;
    unsigned index;
    bool is_open;

    struct io_uring ring;
    unsigned in_flight, held_count, connections_max;
    struct completion *backlog;
    size_t backlog_first, backlog_count, backlog_capacity;

    uint64_t now_ns;
    struct hook *hooks, **hooks_end;
    bool in_hooks, again; /* again: do not wait before the next turn */
    void *locals[CORE_LOCAL_COUNT];
    struct counters counters;
    struct wheel wheel;
    struct {
        uint64_t due_ns; /* UINT64_MAX: none */
        void (*fire)(void *argument);
        void *argument;
    } alarm;

    struct io_uring_buf_ring *buffer_ring;
    char *buffer_memory;
    unsigned buffer_count, buffers_lent; /* without the bulk buffers */
    struct io_uring_buf_ring *bulk_ring;
    char *bulk_memory;
    unsigned bulk_lent;
    struct starved *starved, **starved_end;

    struct fiber *running, *fibers, *ready, **ready_end;
    struct fiber *yielded; /* the first that yielded in this turn: the next one begins with it */
    struct fiber **unused; /* a stack of fibers whose stacks are free; the first `unused_trimmed`
                              hold no memory */
    unsigned unused_count, unused_trimmed, unused_low, fibers_made;
    uint64_t trim_ns;
    void *scheduler_pointer, *tsan_scheduler, *asan_stack;
    const void *asan_bottom;
    size_t asan_size;

    char *log;
    size_t log_size;

    struct op wake_op, wake_cancel_op;
    uint64_t wake_value;
    int run_result; /* of engine_run on this core */

    _Alignas(64) _Atomic(struct message *) inbox; /* newest first */
    atomic_bool sleeping;
    _Atomic uint64_t turn; /* begun and ended ones: odd inside */
    atomic_uint handovers; /* raised by op_move_slot, read when an arrival is seen: orders the moved
                              memory */
};

struct engine {
    struct engine_options options;
    atomic_bool stop;
    struct core *cores[CORES_MAX];
    int (*ready)(struct core *core, void *argument);
    void *argument;
    atomic_int first_error;
    atomic_uint helpers_posting; /* threads inside core_post_from_helper */
};

/* ring.c */
int ring_open(struct core *core);
void ring_close(struct core *core);
struct io_uring_sqe *ring_entry(struct core *core, struct op *op);
int ring_enter(struct core *core, uint64_t wait_ns);
unsigned ring_complete(struct core *core);
bool ring_has_completions(const struct core *core);

/* buffer.c */
int buffers_open(struct core *core);
void buffers_close(struct core *core);
void buffer_take(struct core *core, unsigned cqe_flags); /* the kernel has filled one */
bool buffers_rearm(struct core *core); /* true when some still wait though buffers are home */

/* fiber.c */
int fibers_open(struct core *core);
void fibers_close(struct core *core);
unsigned fibers_run(struct core *core);
void fibers_trim(struct core *core);

/* timer.c */
unsigned timers_fire(struct core *core);
uint64_t timers_next_ns(const struct core *core); /* UINT64_MAX: none */

/* message.c */
unsigned messages_handle(struct core *core);

#endif
