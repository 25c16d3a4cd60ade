/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The engine: timers, fibers, locks, messages between cores, helpers, files, log
 * lines. Each test runs a body on a fiber of core 0 of a fresh engine; what must hold at rest is
 * checked when the engine is closed (core_close).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"
#include "ringpost/event.h"
#include "ringpost/kernel.h"

struct run {
    void (*body)(struct core *core);
};

static int run_ready(struct core *core, void *argument)
{
    struct run *run = argument;
    if (core_index(core) != 0)
        return 0;
    run->body(core);
    harness_stop(core);
    return 0;
}

static void run_with(unsigned cores, unsigned fibers, void (*body)(struct core *core))
{
    struct engine_options options = {
        .core_count = cores,
        .connections_max = 100,
        .buffers = 16,
        .fibers_max = fibers,
        .stack_bytes = 65536,
    };
    struct run run = {.body = body};
    check_equal(harness_run(&options, run_ready, &run), 0);
}

/* ---------------------------------------------------------------- timers */

enum { TIMERS = 500 };
struct timed {
    struct timer timer;
    struct core *core;
    unsigned *fired;
};

static void timed_fire(struct timer *timer)
{
    struct timed *timed = (struct timed *)timer;
    check(core_now_ns(timed->core) >= timer->due_ns);
    if (harness_is_simulated()) /* elsewhere the machine may be busy */
        check(core_now_ns(timed->core) < timer->due_ns + 60000000);
    check(timer->previous_next == NULL);
    (*timed->fired)++;
}

static void timers_body(struct core *core)
{
    static struct timed timers[TIMERS];
    unsigned fired = 0;
    for (unsigned i = 0; i < TIMERS; i++) {
        timers[i] = (struct timed){.timer.fire = timed_fire, .core = core, .fired = &fired};
        timer_set(core, &timers[i].timer, core_now_ns(core) + (i * 2654435761u) % 900000000);
    }
    for (unsigned i = 0; i < TIMERS; i += 5)
        timer_clear(core, &timers[i].timer);
    for (unsigned i = 1; i < TIMERS; i += 5) /* set again, as commands do with their deadline */
        timer_set(core, &timers[i].timer, core_now_ns(core) + (i * 40503u) % 700000000);
    timer_set(core, &timers[0].timer, core_now_ns(core) + UINT64_C(86400000000000000));
    fiber_sleep(core, 1000000000);
    check_equal(fired, TIMERS - TIMERS / 5);
    timer_clear(core, &timers[0].timer);
    check(core_next_ns(core) > core_now_ns(core));
}

static void timers(void **state)
{
    (void)state;
    run_with(1, 4, timers_body);
}

/* ---------------------------------------------------------------- fibers */

#ifdef __SANITIZE_THREAD__
enum { FIBERS = 500 }; /* its own state for each fiber is large */
#else
enum { FIBERS = 10000 };
#endif

struct many {
    struct core *core;
    struct waiters gate;
    unsigned started, ended;
};

static void many_fiber(void *argument)
{
    struct many *many = argument;
    volatile char stack[20000];
    stack[0] = 1;
    stack[sizeof stack - 1] = 2;
    many->started++;
    check_equal(waiters_wait(many->core, &many->gate, 0), 0);
    fiber_yield(many->core);
    many->ended += stack[0] + stack[sizeof stack - 1] == 3;
}

static void fibers_body(struct core *core)
{
    struct many many = {.core = core};
    for (int round = 0; round < 3; round++) {
        many.started = many.ended = 0;
        for (unsigned i = 0; i < FIBERS; i++)
            check_equal(fiber_start(core, many_fiber, &many), 0);
        check_equal(fiber_start(core, many_fiber, &many), -EAGAIN);
        while (many.started < FIBERS)
            fiber_yield(core);
        for (unsigned i = 0; i < FIBERS / 2; i++)
            waiters_wake_one(core, &many.gate);
        waiters_wake_all(core, &many.gate);
        while (many.ended < FIBERS)
            fiber_yield(core);
        fiber_yield(core);
    }
    check_equal(core_counters(core)->value[COUNTER_FIBERS_ACTIVE], 1);
    check_equal(core_counters(core)->value[COUNTER_FIBERS_REFUSED], 3);
    for (int i = 0; i < 100; i++) { /* each yield lets a turn end: the ring and the timers run */
        uint64_t before = core_now_ns(core);
        fiber_yield(core);
        check(core_now_ns(core) > before);
    }
}

static void fibers(void **state)
{
    (void)state;
    run_with(1, FIBERS + 1, fibers_body);
}

struct contest {
    struct core *core;
    struct fiber_lock lock;
    unsigned inside, order, done;
};

static void contest_fiber(void *argument)
{
    struct contest *contest = argument;
    for (int i = 0; i < 20; i++) {
        fiber_lock_take(contest->core, &contest->lock);
        check_equal(contest->inside++, 0);
        fiber_yield(contest->core);
        contest->inside--;
        fiber_lock_give(contest->core, &contest->lock);
    }
    contest->done++;
}

static void waiting_body(struct core *core)
{
    struct contest contest = {.core = core};
    for (int i = 0; i < 10; i++)
        check_equal(fiber_start(core, contest_fiber, &contest), 0);
    while (contest.done < 10)
        fiber_yield(core);
    check(!contest.lock.held);
    struct waiters nobody = {0};
    uint64_t before = core_now_ns(core);
    check_equal(waiters_wait(core, &nobody, before + 30000000), -ETIMEDOUT);
    check(core_now_ns(core) >= before + 30000000);
    check(nobody.first == NULL);
}

static void waiting(void **state)
{
    (void)state;
    run_with(1, 20, waiting_body);
}

/* ---------------------------------------------------------------- between cores */

struct ball {
    struct message message;
    unsigned bounces, sequence;
};

static atomic_uint balls_done;
enum { BALLS = 64, BOUNCES = 2000 };

static void ball_handle(struct core *here, struct message *message)
{
    struct ball *ball = (struct ball *)message;
    if (++ball->bounces == BOUNCES) {
        atomic_fetch_add(&balls_done, 1);
        return;
    }
    unsigned to = (core_index(here) + 1 + ball->bounces % core_count(here)) % core_count(here);
    core_post(here, to, message);
}

struct ordered {
    struct message message;
    unsigned *next, number;
};

static void ordered_handle(struct core *here, struct message *message)
{
    (void)here;
    struct ordered *ordered = (struct ordered *)message;
    check_equal(ordered->number, *ordered->next);
    (*ordered->next)++;
}

static int add_there(struct core *there, void *argument)
{
    unsigned *sum = argument;
    fiber_sleep(there, 1000000);
    *sum += core_index(there) + 1;
    return (int)core_index(there) * 10;
}

static int last_seen(struct core *there, void *argument)
{
    (void)there;
    return (int)*(unsigned *)argument;
}

static void messages_body(struct core *core)
{
    static struct ball balls[BALLS];
    static struct ordered row[5000];
    unsigned next = 0, sum = 0;
    memset(balls, 0, sizeof balls);
    atomic_store(&balls_done, 0);
    for (unsigned i = 0; i < BALLS; i++) {
        balls[i].message.handle = ball_handle;
        core_post(core, i % core_count(core), &balls[i].message);
    }
    unsigned last = core_count(core) - 1;
    for (unsigned i = 0; i < 5000; i++) {
        row[i] = (struct ordered){.message.handle = ordered_handle, .next = &next, .number = i};
        core_post(core, last, &row[i].message);
        if (i % 500 == 0)
            fiber_yield(core);
    }
    for (unsigned i = 0; i < core_count(core); i++)
        check_equal(core_call(core, i, add_there, &sum), i * 10);
    check_equal(sum, core_count(core) * (core_count(core) + 1) / 2);
    check_equal(core_call(core, last, last_seen, &next), 5000);
    while (atomic_load(&balls_done) < BALLS)
        fiber_sleep(core, 8000000);
}

static void messages(void **state)
{
    (void)state;
    for (unsigned cores = 2; cores <= 4; cores++)
        run_with(cores, 50, messages_body);
}

static void busy_fiber(void *argument)
{
    fiber_sleep(argument, 50000000);
}

static int fill_there(struct core *there, void *argument)
{
    (void)argument;
    while (fiber_start(there, busy_fiber, there) == 0)
        ;
    return 0;
}

static void refused_body(struct core *core)
{
    unsigned sum = 0;
    check_equal(core_call(core, 1, fill_there, NULL), 0);
    fiber_sleep(core, 10000000);
    /* one stack is free again: the caller's own. Take it too. */
    check_equal(core_call(core, 1, fill_there, NULL), 0);
    int result = core_call(core, 1, add_there, &sum);
    check(result == -EAGAIN || result == 10);
    fiber_sleep(core, 100000000);
    check_equal(core_call(core, 1, add_there, &sum), 10);
}

static void refused(void **state)
{
    (void)state;
    run_with(2, 8, refused_body);
}

/* ---------------------------------------------------------------- helpers, files, log lines */

struct helped {
    pthread_t thread;
    unsigned value;
};

static void help_work(void *argument)
{
    struct helped *helped = argument;
    helped->thread = pthread_self();
    helped->value += 7;
}

static void help_fiber(void *argument)
{
    struct many *many = argument;
    struct helped helped = {.value = 1};
    check_equal(core_help(many->core, help_work, &helped), 0);
    check_equal(helped.value, 8);
    check(harness_is_simulated() || !pthread_equal(helped.thread, pthread_self()));
    many->ended++;
}

static void help_body(struct core *core)
{
    struct many many = {.core = core};
    for (int i = 0; i < 200; i++)
        check_equal(fiber_start(core, help_fiber, &many), 0);
    while (many.ended < 200)
        fiber_sleep(core, 8000000);
}

static void help(void **state)
{
    (void)state;
    run_with(1, 201, help_body);
}

struct waited {
    struct core *core;
    atomic_uint waiting, may_go;
    unsigned computed, ended;
};

static void wait_work(void *argument)
{
    struct waited *waited = argument;
    atomic_fetch_add(&waited->waiting, 1);
    while (!harness_is_simulated() && atomic_load(&waited->may_go) == 0)
        usleep(1000);
}

static void wait_fiber(void *argument)
{
    struct waited *waited = argument;
    check_equal(core_help_waiting(waited->core, wait_work, waited), 0);
    waited->ended++;
}

static void compute_fiber(void *argument)
{
    struct waited *waited = argument;
    struct helped helped = {.value = 1};
    check_equal(core_help(waited->core, help_work, &helped), 0);
    check_equal(helped.value, 8);
    waited->computed++;
}

/* Directories that do not answer hold up their own helpers, not those that hash. */
static void help_waiting_body(struct core *core)
{
    enum { WAITING = 32, COMPUTING = 16 };
    struct waited waited = {.core = core};
    for (int i = 0; i < WAITING; i++)
        check_equal(fiber_start(core, wait_fiber, &waited), 0);
    while (atomic_load(&waited.waiting) < 3)
        fiber_sleep(core, 8000000);
    for (int i = 0; i < COMPUTING; i++)
        check_equal(fiber_start(core, compute_fiber, &waited), 0);
    while (waited.computed < COMPUTING)
        fiber_sleep(core, 8000000);
    check(harness_is_simulated() || (waited.ended == 0 && atomic_load(&waited.waiting) > 2));
    atomic_store(&waited.may_go, 1);
    while (waited.ended < WAITING)
        fiber_sleep(core, 8000000);
}

static void help_waiting(void **state)
{
    (void)state;
    run_with(1, 64, help_waiting_body);
}

static void files_body(struct core *core)
{
    char data[10000], back[10000], path[64], other[80];
    snprintf(path, sizeof path, "/tmp/engine_test.%d", (int)getpid());
    snprintf(other, sizeof other, "%s.other", path);
    core_random(core, data, sizeof data);
    int fd = await_open(core, path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    check(fd >= 0);
    check_equal(await_fallocate(core, fd, 0, 65536), 0);
    check_equal(await_write(core, fd, data, sizeof data, 100, 0), sizeof data);
    check_equal(await_fsync(core, fd, true), 0);
    check_equal(await_read(core, fd, back, sizeof back, 100), sizeof back);
    check(memcmp(data, back, sizeof data) == 0);
    uint64_t size;
    check_equal(kernel_file_size(core_kernel(core), fd, &size), 0);
    check_equal(size, 65536);
    check_equal(core_hold_fd(core, fd), 0);
    check_equal(await_close(core, fd), 0);
    check_equal(await_rename(core, path, other), 0);
    check_equal(await_unlink(core, other), 0);
    check_equal(await_open(core, other, O_RDONLY, 0), -ENOENT);
}

static void files(void **state)
{
    (void)state;
    run_with(1, 4, files_body);
}

/* More entries than the submission queue holds, all at once. */
struct flood {
    struct op op;
    unsigned *done;
};

static void flood_done(struct op *op, int result, unsigned flags)
{
    (void)flags;
    check_equal(result, 0);
    (*((struct flood *)op)->done)++;
}

static void flood_body(struct core *core)
{
    enum { FLOOD = 60000 };
    unsigned done = 0;
    struct flood *flood = calloc(FLOOD, sizeof *flood);
    for (int i = 0; i < FLOOD; i++) {
        flood[i] = (struct flood){.op.done = flood_done, .done = &done};
        op_nop(core, &flood[i].op);
        check_equal(done, 0); /* E1: never inside a submit */
    }
    while (done < FLOOD)
        fiber_yield(core);
    free(flood);
}

static void flood(void **state)
{
    (void)state;
    run_with(1, 4, flood_body);
}

static void log_body(struct core *core)
{
    struct event event;
    event_begin(&event, "engine_test", "info");
    event_text(&event, "text", SLICE("tab\tquote\" bad\xff good\xc3\xa4"));
    event_number(&event, "number", -5);
    core_log(core, &event);
    for (int i = 0; i < 1000; i++) { /* more than the buffer holds in a turn */
        char long_text[400];
        memset(long_text, 'x', sizeof long_text);
        event_begin(&event, "engine_test", "debug");
        event_text(&event, "text", slice_of(long_text, sizeof long_text));
        core_log(core, &event);
    }
    check(core_counters(core)->value[COUNTER_LOG_LINES_DROPPED] > 0);
}

/* Standard output goes to a file meanwhile. */
static void log_lines(void **state)
{
    (void)state;
    if (harness_is_simulated())
        skip();
    char path[] = "/tmp/engine_test.XXXXXX", text[200];
    int file = mkstemp(path), before = dup(1);
    fflush(stdout);
    dup2(file, 1);
    run_with(1, 4, log_body);
    dup2(before, 1);
    ssize_t got = pread(file, text, sizeof text - 1, 0);
    check(got > 0);
    text[got] = '\0';
    const char *want =
        "{\"event\":\"engine_test\",\"level\":\"info\",\"text\":"
        "\"tab\\u0009quote\\\" bad\\u00ff good\xc3\xa4\",\"number\":-5,\"time\":\"20";
    check(memcmp(text, want, strlen(want)) == 0);
    close(file);
    close(before);
    unlink(path);
}

static int failing_ready(struct core *core, void *argument)
{
    (void)argument;
    return core_index(core) == 1 ? -EADDRINUSE : 0;
}

static void start_failure(void **state)
{
    (void)state;
    struct engine_options options = {2, 10, 8, 4, 16384};
    check_equal(harness_run(&options, failing_ready, NULL), -EADDRINUSE);
}

static int engine_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers),       cmocka_unit_test(fibers),        cmocka_unit_test(waiting),
        cmocka_unit_test(messages),     cmocka_unit_test(refused),       cmocka_unit_test(help),
        cmocka_unit_test(help_waiting), cmocka_unit_test(files),         cmocka_unit_test(flood),
        cmocka_unit_test(log_lines),    cmocka_unit_test(start_failure),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(engine_tests);
}
