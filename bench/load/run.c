/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The course of a run, the same on every core; core 0 leads.
 *
 *   every core:  open ─┬─ PREPARE ─┬─ WARM_UP ─┬─ MEASURE ─┬─ VERIFY ─┬─ ENDED
 *   core 0:            └── all have arrived: what comes next, and when it begins ┘
 *
 * A core's own fiber (load_run's) starts a fiber for each worker and stage, then waits for them. At
 * most RAMP_MAX workers of all cores are in their first operation at once, so that the server's
 * listen queue is not overrun; those beyond start as the first ones are through.
 *
 * WARM_UP becomes MEASURE at one moment on all cores: core 0 writes measure_ns, and each core takes
 * it over when it next looks (run_look), before it would record anything.
 *
 * Invariants:
 *   A barrier is passed by all cores or by none; an error of one is the error of all.
 *   is_over never goes back while a stage lasts; from then on no operation begins.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "content.h"
#include "load_private.h"
#include "ringpost/kernel.h"
#include "ringpost/number.h"

enum { RAMP_MAX = 64, LOOK_MS = 250, UNREACHABLE_SECONDS = 3, GONE_ERRORS_MIN = 3 };

static const char unreachable[] = "cannot connect"; /* load_why; known by its address */

/* ---------------------------------------------------------------- what others ask */

struct core *load_engine(const struct load_core *at)
{
    return at->core;
}

struct load *load_of(const struct load_core *at)
{
    return at->load;
}

void *load_shared(const struct load *load)
{
    return load->shared;
}

struct content *load_content(const struct load *load)
{
    return load->content;
}

struct verify *verify_of(struct load *load)
{
    return load->verify;
}

struct peer_core *load_peers(struct load_core *at)
{
    return &at->peers;
}

uint64_t load_now(const struct load_core *at)
{
    return kernel_monotonic_ns(core_kernel(at->core));
}

enum load_stage load_stage(const struct load *load)
{
    return (enum load_stage)__atomic_load_n(&load->stage, __ATOMIC_ACQUIRE);
}

const char *load_why(const struct load *load)
{
    return __atomic_load_n(&load->why, __ATOMIC_ACQUIRE);
}

void load_local_set(struct load_core *at, enum load_local which, void *value,
                    void (*done)(struct load_core *at, void *value))
{
    at->locals[which] = value;
    at->locals_done[which] = done;
}

void *load_local(const struct load_core *at, enum load_local which)
{
    return at->locals[which];
}

struct slice load_user(const struct load_options *options, unsigned number,
                       char text[LOAD_USER_BYTES_MAX])
{
    const char *format = options->user_format;
    size_t size = strlen(format), before = slice_find(slice_of(format, size), '%'), used = before;
    assert(size + NUMBER_DECIMAL_BYTES_MAX <= LOAD_USER_BYTES_MAX && "checked with the options");
    memcpy(text, format, before);
    if (before < size) { /* "%d" */
        used += number_decimal(text + used, number);
        memcpy(text + used, format + before + 2, size - before - 2);
        used += size - before - 2;
    }
    return slice_of(text, used);
}

void load_stop(struct load *load, const char *why)
{
    const char *none = NULL;
    __atomic_compare_exchange_n(&load->why, &none, why, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    __atomic_store_n(&load->stop, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < load->core_count; i++) {
        struct core *core = __atomic_load_n(&load->engines[i], __ATOMIC_ACQUIRE);
        if (core != NULL)
            kernel_wake(core_kernel(core));
    }
}

static bool is_stopped(const struct load *load)
{
    return __atomic_load_n(&load->stop, __ATOMIC_ACQUIRE) != 0;
}

void load_times(const struct load *load, struct load_times *ret_times)
{
    uint64_t lost = 0;
    for (unsigned i = 0; i < load->core_count; i++)
        lost += word_get(&load->cores[i]->not_begun);
    *ret_times = (struct load_times){.begin_ns = word_get(&load->begin_ns),
                                     .measure_ns = word_get(&load->measure_ns),
                                     .end_ns = word_get(&load->end_ns),
                                     .ended_ns = word_get(&load->ended_ns),
                                     .not_begun = lost,
                                     .is_unreachable = load_why(load) == unreachable};
}

/* ---------------------------------------------------------------- stages */

static void set_stage(struct load_core *at, enum load_stage stage)
{
    at->stage = stage;
    if (at->index == 0)
        __atomic_store_n(&at->load->stage, stage, __ATOMIC_RELEASE);
}

void run_look(struct load_core *at, uint64_t now)
{
    uint64_t measure = word_get(&at->load->measure_ns);
    if (at->stage != LOAD_WARM_UP || measure == 0 || now < measure)
        return;
    set_stage(at, LOAD_MEASURE);
    measure_begin(at);
    pace_measure(at);
}

static void on_turn(struct hook *hook)
{
    struct load_core *at = (struct load_core *)((char *)hook - offsetof(struct load_core, hook));
    run_look(at, core_now_ns(at->core));
    measure_turn(at);
    if (is_stopped(at->load) && !at->is_over) {
        pace_end(at);
        waiters_wake_all(at->core, &at->changed);
    }
}

/* When --duration ends, and when measuring begins. */
static void begin_measuring(struct load *load, uint64_t now)
{
    const struct load_options *options = load->options;
    if (options->duration_ns > 0 && !options->scenario->ends_itself)
        word_set(&load->end_ns, now + options->duration_ns);
    __atomic_store_n(&load->measure_ns, now, __ATOMIC_RELEASE);
}

static void begin(struct load *load, uint64_t now)
{
    const struct load_options *options = load->options;
    word_set(&load->begin_ns, now);
    if (options->scenario->ends_itself || options->warm_up_ns == 0)
        begin_measuring(load, now);
    else if (options->rate > 0) /* an open loop has its times from the start */
        begin_measuring(load, now + options->warm_up_ns);
}

static void end(struct load *load, uint64_t now)
{
    uint64_t last = 0, until = word_get(&load->end_ns);
    for (unsigned i = 0; i < load->core_count; i++)
        if (word_get(&load->cores[i]->last_ns) > last)
            last = word_get(&load->cores[i]->last_ns);
    if (last == 0 || is_stopped(load))
        last = now;
    else if (until > last)
        last = until < now ? until : now;
    word_set(&load->ended_ns, last);
    load->verifies =
        load->options->verifies && load->options->scenario->verify != NULL && !is_stopped(load);
}

/* On core 0, when all have arrived; which barrier it is. */
static void lead(struct load *load, struct core *core)
{
    enum { OPENED, PREPARED, WARM, WORKED };
    uint64_t now = kernel_monotonic_ns(core_kernel(core));
    unsigned passed = load->passed++;
    if (is_stopped(load) && passed <= PREPARED)
        load->passed = WORKED + 1; /* all go straight to the end */
    else if (passed == PREPARED)
        begin(load, now);
    else if (passed == WARM && word_get(&load->measure_ns) == 0)
        begin_measuring(load, now);
    else if (passed == WORKED)
        end(load, now);
}

static void on_arrive(struct core *here, struct message *message)
{
    struct load_core *from =
        (struct load_core *)((char *)message - offsetof(struct load_core, arrive));
    struct load *load = from->load;
    if (load->error == 0)
        load->error = from->error;
    if (++load->arrived < load->core_count)
        return;
    load->arrived = 0;
    lead(load, here);
    for (unsigned i = 0; i < load->core_count; i++) {
        load->cores[i]->barrier_error = load->error;
        core_post(here, i, &load->cores[i]->release);
    }
}

static void on_release(struct core *here, struct message *message)
{
    struct load_core *at =
        (struct load_core *)((char *)message - offsetof(struct load_core, release));
    at->barriers++;
    waiters_wake_all(here, &at->changed);
}

/* 0, or the error of whoever had one. */
static int barrier(struct load_core *at, int error)
{
    unsigned before = at->barriers;
    at->error = error;
    core_post(at->core, 0, &at->arrive);
    while (at->barriers == before)
        waiters_wait(at->core, &at->changed, 0);
    return at->barrier_error;
}

/* ---------------------------------------------------------------- workers */

static void start_more(struct load_core *at);

static void worker_fiber(void *argument)
{
    struct worker_slot *slot = argument;
    struct load_core *at = slot->worker.at;
    at->play(slot);
    at->running--;
    run_ramp(slot);
    waiters_wake_all(at->core, &at->changed);
}

static void start_more(struct load_core *at)
{
    unsigned most = RAMP_MAX / at->load->core_count;
    while (at->started < at->worker_count && at->unramped < (most > 0 ? most : 1) && !at->is_over) {
        struct worker_slot *slot = &at->workers[at->started];
        if (fiber_start(at->core, worker_fiber, slot) < 0)
            return; /* no stack: when the next one ends */
        slot->has_begun = false;
        at->started++;
        at->running++;
        at->unramped++;
    }
}

void run_ramp(struct worker_slot *slot)
{
    struct load_core *at = slot->worker.at;
    if (!slot->has_begun) {
        slot->has_begun = true;
        at->unramped--;
    }
    start_more(at);
}

/* Starts a fiber for each worker, as the ramp allows. */
static void begin_workers(struct load_core *at, void (*play)(struct worker_slot *slot))
{
    at->play = play;
    at->started = at->unramped = 0;
    start_more(at);
}

static bool has_workers(const struct load_core *at)
{
    return at->running > 0 || (at->started < at->worker_count && !at->is_over);
}

static void wait_workers(struct load_core *at)
{
    while (has_workers(at)) {
        if (at->running == 0)
            start_more(at);
        waiters_wait(at->core, &at->changed, core_now_ns(at->core) + SECOND_NS);
    }
}

static void play_prepare(struct worker_slot *slot)
{
    struct load_core *at = slot->worker.at;
    int error = at->load->options->scenario->prepare(&slot->worker);
    if (error == 0)
        return;
    if (at->stage_error == 0)
        at->stage_error = error;
    at->is_over = true; /* the others need not begin */
}

static void play_work(struct worker_slot *slot)
{
    slot->worker.at->load->options->scenario->work(&slot->worker);
}

static void play_verify(struct worker_slot *slot)
{
    slot->worker.at->load->options->scenario->verify(&slot->worker);
}

/* ---------------------------------------------------------------- a server that is not there */

static void look(struct timer *timer)
{
    struct load_core *at = (struct load_core *)((char *)timer - offsetof(struct load_core, look));
    struct load *load = at->load;
    uint64_t now = core_now_ns(at->core), alive = at->look_from_ns, errors = 0, connects = 0;
    for (unsigned i = 0; i < load->core_count; i++) {
        const struct load_core *one = load->cores[i];
        if (word_get(&one->alive_ns) > alive)
            alive = word_get(&one->alive_ns);
        errors += word_get(&one->errors_since);
        connects += word_get(&one->connects);
    }
    bool is_silent = connects == 0 && alive == at->look_from_ns;
    if (is_silent && errors > 0 && now > at->look_from_ns + UNREACHABLE_SECONDS * SECOND_NS) {
        load_stop(load, unreachable);
    } else if (errors >= GONE_ERRORS_MIN && now > alive + load->options->timeout_ns) {
        load_stop(load, "the target is gone");
    } else {
        timer_set(at->core, timer, now + LOOK_MS * UINT64_C(1000000));
    }
}

/* ---------------------------------------------------------------- the course */

static bool is_warm(const struct load_core *at, uint64_t now)
{
    const struct load *load = at->load;
    uint64_t until = word_get(&load->begin_ns) + load->options->warm_up_ns;
    bool is_ramped = at->started == at->worker_count; /* some may never end an operation */
    return at->is_over || !has_workers(at) || word_get(&load->measure_ns) != 0 ||
           (now >= until && (is_ramped || now >= until + load->options->timeout_ns));
}

static void warm_up(struct load_core *at)
{
    while (!is_warm(at, core_now_ns(at->core)))
        waiters_wait(at->core, &at->changed,
                     core_now_ns(at->core) + LOOK_MS * UINT64_C(1000000) / 10);
}

/* Into measures of its own first: others read ours meanwhile. */
static void finish_books(struct load_core *at)
{
    struct load *load = at->load;
    struct measure *found = calloc(1, sizeof *found);
    if (found == NULL)
        return;
    verify_finish(load->verify, found);
    load->is_verified = !verify_has_failed(load->verify);
    word_add(&at->measure.verified, found->verified);
    word_add(&at->measure.missing, found->missing);
    word_add(&at->measure.altered, found->altered);
    word_add(&at->measure.doubled, found->doubled);
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        word_add(&at->measure.errors[i], found->errors[i]);
    free(found);
}

static void verify(struct load_core *at)
{
    set_stage(at, LOAD_VERIFY);
    at->is_over = is_stopped(at->load);
    begin_workers(at, play_verify);
    wait_workers(at);
    barrier(at, 0);
    if (at->index == 0 && !is_stopped(at->load))
        finish_books(at);
}

static int play(struct load_core *at)
{
    struct load *load = at->load;
    const struct load_scenario *scenario = load->options->scenario;
    if (scenario->prepare != NULL) {
        begin_workers(at, play_prepare);
        wait_workers(at);
    }
    bool is_nobody = at->stage_error > 0 && at->stage_error <= LOAD_CONNECT_TIMEOUT &&
                     word_get(&at->connects) == 0;
    if (at->stage_error != 0)
        load_stop(load, is_nobody ? unreachable : "the preparation failed");
    int result = barrier(at, 0);
    if (result < 0 || word_get(&load->begin_ns) == 0)
        return result;
    set_stage(at, LOAD_WARM_UP);
    pace_begin(at);
    run_look(at, load_now(at));
    begin_workers(at, play_work);
    warm_up(at);
    barrier(at, 0);
    run_look(at, load_now(at));
    wait_workers(at);
    at->is_over = true;
    barrier(at, 0);
    if (load->verifies)
        verify(at);
    return 0;
}

static int open_core(struct load_core *at)
{
    const struct load *load = at->load;
    unsigned cores = load->core_count;
    at->worker_count = load->worker_count / cores + (at->index < load->worker_count % cores);
    at->workers = calloc(at->worker_count + 1, sizeof *at->workers);
    if (at->workers == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < at->worker_count; i++) {
        struct load_worker *worker = &at->workers[i].worker;
        *worker = (struct load_worker){at, load->options, i * cores + at->index, 0};
        worker->random = load->options->seed;
        worker->random = random_u64(&worker->random) + worker->index;
    }
    int result = pace_open(at);
    return result < 0 ? result : measure_open(at);
}

static void close_core(struct load_core *at)
{
    for (unsigned i = 0; i < LOAD_LOCAL_COUNT; i++)
        if (at->locals_done[i] != NULL)
            at->locals_done[i](at, at->locals[i]);
    peer_core_close(&at->peers);
    pace_close(at);
    free(at->workers);
    at->workers = NULL;
}

int load_run(struct core *core, void *argument)
{
    struct load *load = argument;
    struct load_core *at = load->cores[core_index(core)];
    assert(core_count(core) == load->core_count);
    at->core = core;
    at->arrive.handle = on_arrive;
    at->release.handle = on_release;
    at->hook.run = on_turn;
    at->look.fire = look;
    at->look_from_ns = core_now_ns(core);
    core_hook_add(core, &at->hook);
    __atomic_store_n(&load->engines[at->index], core, __ATOMIC_RELEASE);
    if (at->index == 0)
        timer_set(core, &at->look, core_now_ns(core) + LOOK_MS * UINT64_C(1000000));
    int result = barrier(at, open_core(at));
    if (result == 0)
        result = play(at);
    close_core(at);
    barrier(at, 0); /* nobody posts to a core that has left */
    timer_clear(core, &at->look);
    pace_end(at);
    set_stage(at, LOAD_ENDED);
    core_hook_remove(core, &at->hook);
    __atomic_store_n(&load->engines[at->index], NULL, __ATOMIC_RELEASE);
    return result;
}

/* ---------------------------------------------------------------- making */

int load_create(const struct load_options *options, struct load **ret_load, char problem[200])
{
    struct load *load = calloc(1, sizeof *load);
    int result = load == NULL ? -ENOMEM : 0;
    if (result == 0) {
        load->options = options;
        load->core_count = options->threads;
        for (unsigned i = 0; i < load->core_count && result == 0; i++) {
            load->cores[i] = calloc(1, sizeof *load->cores[i]);
            if (load->cores[i] == NULL)
                result = -ENOMEM;
            else
                *load->cores[i] = (struct load_core){.load = load, .index = i};
        }
    }
    if (result < 0) {
        snprintf(problem, 200, "out of memory");
        load_destroy(load);
        return result;
    }
    const struct load_scenario *scenario = options->scenario;
    result = content_open(options, &load->content, problem);
    if (result == 0 && options->verifies && options->scenario->verify != NULL &&
        (result = verify_create(load->core_count, &load->verify)) < 0)
        snprintf(problem, 200, "out of memory");
    if (result == 0 && scenario->open != NULL)
        result = scenario->open(options, &load->shared, problem);
    if (result < 0) {
        load_destroy(load);
        return result;
    }
    load->worker_count =
        scenario->workers != NULL ? scenario->workers(options, load->shared) : options->connections;
    *ret_load = load;
    return 0;
}

void load_destroy(struct load *load)
{
    if (load == NULL)
        return;
    if (load->shared != NULL && load->options->scenario->close != NULL)
        load->options->scenario->close(load->shared);
    if (load->verify != NULL)
        verify_destroy(load->verify);
    if (load->content != NULL)
        content_close(load->content);
    for (unsigned i = 0; i < load->core_count; i++)
        if (load->cores[i] != NULL) {
            measure_close(load->cores[i]);
            free(load->cores[i]);
        }
    free(load);
}

unsigned load_connections(const struct load *load)
{
    const struct load_options *options = load->options;
    if (options->scenario->held == NULL)
        return options->connections;
    return options->scenario->held(options, load->shared);
}

unsigned load_workers(const struct load *load)
{
    return load->worker_count;
}

bool load_is_verified(const struct load *load)
{
    /* some scenarios check what they read as they go, and have no stage for it */
    bool has_stage = load->options->scenario->verify != NULL;
    return has_stage ? load->is_verified : load_why(load) == NULL;
}
