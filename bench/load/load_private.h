/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What run.c, pace.c and measure.c share: the run and each core's part of it.
 *
 * A core's part is written by its own thread. Other threads read `stage`, the measures and the
 * words marked atomic; those are read and written by the relaxed helpers below.
 */
#ifndef RINGPOST_BENCH_LOAD_PRIVATE_H
#define RINGPOST_BENCH_LOAD_PRIVATE_H

#include "measure.h"
#include "pace.h"
#include "peer.h"
#include "verify.h"

static const uint64_t SECOND_NS = UINT64_C(1000000000);

/* A worker, and what pace and run know of it. */
struct worker_slot {
    struct load_worker worker; /* first: a worker's address is its slot's */
    struct worker_slot *next;  /* of those that wait for the next operation */
    struct fiber *waiting;     /* parked in pace_take */
    uint64_t due_ns;           /* pace_take_at */
    struct operation operation;
    int result;        /* of pace_take, given by who wakes it */
    unsigned failures; /* in a row that came at once */
    bool has_begun;    /* its first operation has ended: the next worker may start */
};

struct pace {
    uint64_t placed;        /* open loop, equal gaps: the place on the time line of the next one */
    uint64_t taken;         /* by this core, warm-up included */
    uint64_t counted;       /* of these */
    uint64_t counted_max;   /* of --messages; UINT64_MAX: no limit */
    double next_ns, gap_ns; /* open loop: of the next operation, since begin_ns; between two */
    uint64_t random;        /* Poisson */
    uint64_t due_ns;        /* open loop: of the next one */
    struct worker_slot *first, *last; /* waiting for it, oldest first */
    struct worker_slot **timed;       /* a heap by due_ns, of those in pace_take_at */
    unsigned timed_count;
    bool is_timed;          /* pace_take_at is used: no time line of ours */
    struct waiters resting; /* after errors */
};

struct load_core {
    struct load *load;
    struct core *core;
    unsigned index;
    struct hook hook;
    struct message arrive, release; /* of the barrier */
    struct waiters changed;         /* the core's own fiber waits here */
    unsigned barriers;              /* released so far */
    enum load_stage stage;
    bool is_over; /* no operation begins any more */

    struct worker_slot *workers;
    unsigned worker_count, started, running, unramped;
    int stage_error;   /* of the workers' prepare: the first */
    int error;         /* -errno, told at the barrier */
    int barrier_error; /* of all, handed over with `release` */
    struct timer look; /* core 0: is the server still there? */
    uint64_t look_from_ns;
    void (*play)(struct worker_slot *slot);

    struct pace pace;
    struct peer_core peers;
    void *locals[LOAD_LOCAL_COUNT];
    void (*locals_done[LOAD_LOCAL_COUNT])(struct load_core *at, void *value);

    struct measure measure;
    struct measure_second *second; /* of now; NULL before LOAD_MEASURE and after the last */
    uint64_t second_end_ns;
    uint64_t last_ns;      /* atomic: when the last counted operation ended */
    uint64_t alive_ns;     /* atomic: when something of the server's came last */
    uint64_t errors_since; /* atomic: errors since then */
    uint64_t connects;     /* atomic: connections that came about, in any stage */
    uint64_t not_begun;    /* atomic: open loop: operations that were due and found nobody */
};

struct load {
    const struct load_options *options;
    struct content *content;
    struct verify *verify;
    void *shared;
    unsigned core_count, worker_count;
    struct load_core *cores[CORES_MAX];
    struct core *engines[CORES_MAX];                 /* atomic: set when its part has begun */
    const char *why;                                 /* atomic */
    uint32_t stop;                                   /* atomic */
    uint32_t stage;                                  /* atomic, of core 0 */
    unsigned arrived, passed;                        /* core 0's: at the barrier; barriers passed */
    int error;                                       /* core 0's: the first of those that arrived */
    bool verifies;                                   /* core 0's: LOAD_VERIFY comes next */
    bool is_verified;                                /* core 0's; read when it has ended */
    uint64_t begin_ns, measure_ns, end_ns, ended_ns; /* atomic */
};

static inline uint64_t word_get(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void word_set(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* By the one thread that writes it. */
static inline void word_add(uint64_t *word, uint64_t more)
{
    word_set(word, word_get(word) + more);
}

/* pace.c */
int pace_open(struct load_core *at);
void pace_close(struct load_core *at);
void pace_begin(struct load_core *at);   /* begin_ns is known */
void pace_measure(struct load_core *at); /* LOAD_MEASURE has begun */
void pace_end(struct load_core *at);     /* is_over: who waits is sent home */

/* measure.c */
int measure_open(struct load_core *at);
void measure_close(struct load_core *at);
void measure_begin(struct load_core *at); /* the first second begins */
void measure_turn(struct load_core *at);  /* a second may have ended */
void measure_operation(struct load_core *at, uint64_t intended_ns, uint64_t end_ns);

/* run.c: its first operation has ended, or it waits for its time. */
void run_ramp(struct worker_slot *slot);
/* WARM_UP may have become MEASURE. */
void run_look(struct load_core *at, uint64_t now);

#endif
