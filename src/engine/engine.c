/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All cores of the process: made together, run on one thread each, stopped together.
 *
 *   engine_run:  threads ─▶ core_open ─▶ (all open?) ─▶ ready() on a fiber ─▶ turns … stop ─▶ drain
 * ─▶ core_close
 *
 * When one core cannot open or its ready() fails, all stop and the first error is the result. After
 * engine_stop a core turns on until nothing is in flight, for at most DRAIN_NS; what is then still
 * there after a good start is a bug (E2).
 *
 * The thread inside engine_run watches meanwhile: a core that does not end its turn serves none of
 * its clients and holds up the others' calls to it. Dying is safe (recovery is tested), so the
 * whole process is ended with a line that says why. What counts are the watcher's own looks, one a
 * second, not a clock: a process that was stopped as a whole did not hang.
 */
#include "core_private.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static const uint64_t TURN_NS = UINT64_C(1000000000), DRAIN_NS = UINT64_C(5000000000);

int engine_create(const struct engine_options *options, struct kernel *const *kernels,
                  struct engine **ret_engine)
{
    if (options->core_count < 1 || options->core_count > CORES_MAX || options->buffers < 1 ||
        options->buffers > 32768 || (options->buffers & (options->buffers - 1)) != 0 ||
        options->fibers_max < 1 || options->stack_bytes < 16384 ||
        options->stack_bytes % 4096 != 0 || options->connections_max < 1)
        return -EINVAL;
    struct engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        return -ENOMEM;
    engine->options = *options;
    for (unsigned i = 0; i < options->core_count; i++) {
        struct core *core = aligned_alloc(64, (sizeof *core + 63) & ~(size_t)63);
        if (core == NULL) {
            engine_destroy(engine);
            return -ENOMEM;
        }
        memset(core, 0, sizeof *core);
        core->engine = engine;
        core->kernel = kernels[i];
        core->index = i;
        core->alarm.due_ns = UINT64_MAX;
        engine->cores[i] = core;
    }
    *ret_engine = engine;
    return 0;
}

void engine_destroy(struct engine *engine)
{
    if (engine == NULL)
        return;
    while (atomic_load(&engine->helpers_posting) > 0)
        sched_yield();
    for (unsigned i = 0; i < engine->options.core_count; i++)
        free(engine->cores[i]);
    free(engine);
}

struct core *engine_core(struct engine *engine, unsigned index)
{
    assert(index < engine->options.core_count);
    return engine->cores[index];
}

unsigned engine_core_count(const struct engine *engine)
{
    return engine->options.core_count;
}

/* ---------------------------------------------------------------- threads */

enum { TURN_SECONDS_MAX = 10 };

struct start {
    struct engine *engine;
    pthread_barrier_t opened;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    unsigned running; /* threads; under the lock */
};

struct core_start {
    struct start *start;
    struct core *core;
    pthread_t thread;
};

static void note_error(struct engine *engine, int error)
{
    int none = 0;
    atomic_compare_exchange_strong(&engine->first_error, &none, error);
}

static void ready_fiber(void *argument)
{
    struct core *core = argument;
    int result = core->engine->ready(core, core->engine->argument);
    if (result < 0) {
        note_error(core->engine, result);
        engine_stop(core->engine);
    }
}

static void pin(const struct core *core)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0 ||
        (int)core->engine->options.core_count > CPU_COUNT(&allowed))
        return;
    unsigned wanted = core->index;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || wanted-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        pthread_setaffinity_np(pthread_self(), sizeof one, &one);
        return;
    }
}

static void run_core(struct core *core)
{
    struct engine *engine = core->engine;
    if (fiber_start(core, ready_fiber, core) < 0)
        note_error(engine, -ENOMEM);
    while (!atomic_load(&engine->stop) && atomic_load(&engine->first_error) == 0)
        core_turn(core, TURN_NS);
    uint64_t until = core->now_ns + DRAIN_NS;
    core_turn(core, 0);
    while ((core_busy(core) > 0 || core->ready != NULL) && core->now_ns < until)
        core_turn(core, TURN_NS / 100);
}

static void *core_thread(void *argument)
{
    struct core_start *mine = argument;
    struct core *core = mine->core;
    struct engine *engine = core->engine;
    char name[16];
    snprintf(name, sizeof name, "core %u", core->index);
    pthread_setname_np(pthread_self(), name);
    pin(core);
    if (engine->options.connects) /* who asks for an exact clock (core_alarm) wants no slack */
        prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    int result = core_open(core);
    if (result < 0)
        note_error(engine, result);
    pthread_barrier_wait(&mine->start->opened);
    bool all_open = atomic_load(&engine->first_error) == 0;
    pthread_barrier_wait(
        &mine->start->opened); /* nobody notes a later error before all have looked */
    if (all_open)
        run_core(core);
    pthread_barrier_wait(&mine->start->opened); /* no ring closes while another may name it */
    if (atomic_load(&engine->first_error) == 0)
        core_close(core);
    else
        core_abandon(core);
    pthread_mutex_lock(&mine->start->lock);
    mine->start->running--;
    pthread_cond_signal(&mine->start->ended);
    pthread_mutex_unlock(&mine->start->lock);
    return NULL;
}

struct look {
    uint64_t turn;
    unsigned same; /* looks in a row that saw this turn running */
};

static void look_at(struct core *core, struct look *look, unsigned same_max)
{
    uint64_t turn = atomic_load_explicit(&core->turn, memory_order_relaxed);
    look->same = turn % 2 == 1 && turn == look->turn ? look->same + 1 : 0;
    look->turn = turn;
    if (look->same < same_max)
        return;
    fprintf(stderr, "core %u has not ended its turn for %u seconds: the process ends\n",
            core->index, same_max);
    abort();
}

static void watch_over(struct start *start)
{
    struct engine *engine = start->engine;
    struct look looks[CORES_MAX] = {0};
    unsigned most = engine->options.turn_seconds_max;
    if (most == 0)
        most = TURN_SECONDS_MAX;
    struct timespec until;
    pthread_mutex_lock(&start->lock);
    while (start->running > 0) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        int error = 0;
        while (error == 0 && start->running > 0)
            error = pthread_cond_timedwait(&start->ended, &start->lock, &until);
        for (unsigned i = 0; i < engine->options.core_count && start->running > 0; i++)
            look_at(engine->cores[i], &looks[i], most);
    }
    pthread_mutex_unlock(&start->lock);
}

int engine_run(struct engine *engine, int (*ready)(struct core *core, void *argument),
               void *argument)
{
    unsigned count = engine->options.core_count;
    struct start start = {.engine = engine, .lock = PTHREAD_MUTEX_INITIALIZER, .running = count};
    pthread_condattr_t monotonic;
    struct core_start starts[CORES_MAX];
    engine->ready = ready;
    engine->argument = argument;
    pthread_barrier_init(&start.opened, NULL, count);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&start.ended, &monotonic);
    for (unsigned i = 0; i < count; i++) {
        starts[i] = (struct core_start){.start = &start, .core = engine->cores[i]};
        int error = pthread_create(&starts[i].thread, NULL, core_thread, &starts[i]);
        if (error != 0) {
            /* The threads already there wait for all at the barrier: there is no way on. */
            fprintf(stderr, "thread of core %u: %s\n", i, strerror(error));
            abort();
        }
    }
    watch_over(&start);
    for (unsigned i = 0; i < count; i++)
        pthread_join(starts[i].thread, NULL);
    pthread_cond_destroy(&start.ended);
    pthread_condattr_destroy(&monotonic);
    pthread_barrier_destroy(&start.opened);
    return atomic_load(&engine->first_error);
}

void engine_stop(struct engine *engine)
{
    atomic_store(&engine->stop, true);
    for (unsigned i = 0; i < engine->options.core_count; i++)
        kernel_wake(engine->cores[i]->kernel);
}
