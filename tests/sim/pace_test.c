/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The clock and the course of a run in virtual time, without a server: a scenario whose operations
 * sleep. The main thing: a server that stands still for a second shows in an open loop's latencies
 * (L2), and is what a closed loop hides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"
#include "measure.h"
#include "pace.h"
#include "sim.h"

enum { SECONDS = 10, NUMBERS_MAX = 40000 };
static const uint64_t MS = 1000000, SECOND = 1000000000;

/* What the scenario does, and what it saw. Of the test, so that no life frees it. */
static struct world {
    uint64_t stall_ns, stall_end_ns; /* after the beginning of the measured time; 0, 0: never */
    uint64_t gone_ns;                /* from then on nothing is there */
    int error;                       /* of every operation */
    int prepare_error;
    uint64_t intended[NUMBERS_MAX];
    uint8_t taken[NUMBERS_MAX], core[NUMBERS_MAX];
    unsigned count, prepared, verified, working;
    unsigned first, first_most; /* workers in their first operation: now, and at most */
    uint64_t left_ns;           /* when the one who waits for the end saw it */
    const char *stop_why;       /* given when so many operations are done */
    unsigned stop_after;
} world;

static struct measure sum;
static struct load_times times;

static bool is_up(const struct load_worker *worker)
{
    struct load_times now_times;
    load_times(load_of(worker->at), &now_times);
    return world.gone_ns == 0 || now_times.measure_ns == 0 ||
           load_now(worker->at) < now_times.measure_ns + world.gone_ns;
}

static void serve(struct load_worker *worker)
{
    struct core *core = load_engine(worker->at);
    struct load_times now_times;
    load_times(load_of(worker->at), &now_times);
    uint64_t now = load_now(worker->at), from = now_times.measure_ns + world.stall_ns;
    if (now_times.measure_ns != 0 && now >= from &&
        now < from - world.stall_ns + world.stall_end_ns)
        fiber_sleep(core, from - world.stall_ns + world.stall_end_ns - now);
    else
        fiber_sleep(core, MS); /* up to 8 */
    measure_phase(worker->at, PHASE_NOOP, now);
}

static void work(struct load_worker *worker)
{
    struct operation operation;
    bool is_first = true;
    world.working++;
    while (pace_take(worker, &operation) == 0) {
        world.first += is_first;
        world.first_most = world.first > world.first_most ? world.first : world.first_most;
        assert(operation.number < NUMBERS_MAX);
        world.taken[operation.number]++;
        world.core[operation.number] = (uint8_t)core_index(load_engine(worker->at));
        world.intended[operation.number] = operation.intended_ns;
        int error = is_up(worker) ? world.error : LOAD_REFUSED;
        if (error != LOAD_REFUSED)
            serve(worker);
        if (error != 0)
            measure_error(worker->at, (enum load_error)error, SLICE("no"));
        world.first -= is_first;
        is_first = false;
        pace_done(worker, &operation, error);
        if (++world.count == world.stop_after)
            load_stop(load_of(worker->at), world.stop_why);
    }
}

/* Clocks of its own: each worker its operation every 50 ms. */
static void work_timed(struct load_worker *worker)
{
    struct operation operation;
    uint64_t due = load_now(worker->at) + worker->index * MS;
    while (worker->index == 0 && !pace_is_over(worker)) /* one who only waits */
        fiber_sleep(load_engine(worker->at), 50 * MS);
    if (worker->index == 0) {
        world.left_ns = load_now(worker->at);
        return;
    }
    while (pace_take_at(worker, due, &operation) == 0) {
        world.taken[operation.number]++;
        world.intended[operation.number] = operation.intended_ns;
        serve(worker);
        pace_done(worker, &operation, 0);
        due += 50 * MS;
    }
}

static int prepare(struct load_worker *worker)
{
    world.prepared++;
    fiber_sleep(load_engine(worker->at), 20 * MS);
    return world.prepare_error;
}

static void verify(struct load_worker *worker)
{
    world.verified++;
    fiber_sleep(load_engine(worker->at), 20 * MS);
}

static const struct load_scenario scenario = {
    .name = "toy", .operation = "turn", .work = work, .prepare = prepare, .verify = verify};
static const struct load_scenario timed = {
    .name = "timed", .operation = "turn", .work = work_timed};

static struct load_options plain(void)
{
    return (struct load_options){.scenario = &scenario,
                                 .threads = 1,
                                 .connections = 20,
                                 .users = 1,
                                 .recipients = 1,
                                 .user_format = "u%d",
                                 .password = "pw",
                                 .size_bytes = 1024,
                                 .seed = 1,
                                 .duration_ns = SECONDS * SECOND,
                                 .warm_up_ns = SECOND,
                                 .timeout_ns = 30 * SECOND};
}

static uint64_t fail_nth; /* allocation of the next run; 0: none */
static bool has_failed;

/* The whole run; fills `sum` and `times`. Its reason for being partial, or NULL. */
static const char *run(const struct load_options *options, uint64_t seed)
{
    struct sim_options sim_options;
    struct load *load;
    char problem[200];
    int results[2] = {1, 1};
    sim_options_calm(&sim_options, seed);
    sim_options.engine.core_count = options->threads;
    sim_options.engine.fibers_max = 600;
    measure_free(&sum);
    assert_int_equal(load_create(options, &load, problem), 0);
    struct sim *sim = sim_create(&sim_options);
    assert_int_equal(sim_start(sim), 0);
    if (fail_nth > 0)
        sim_fail_nth(sim, SIM_OPERATION_MEMORY, fail_nth, 0, false);
    for (unsigned i = 0; i < options->threads; i++)
        assert_int_equal(sim_spawn(sim, i, load_run, load, &results[i]), 0);
    while (load_stage(load) != LOAD_ENDED)
        assert_true(sim_step(sim));
    assert_int_equal(sim_pass(sim, 100 * MS), 0);
    has_failed = sim_nth_failed(sim);
    for (unsigned i = 0; i < options->threads; i++)
        assert_true(results[i] == 0 || (has_failed && results[i] == -ENOMEM));
    for (unsigned i = 1; i < options->threads; i++)
        assert_int_equal(results[i], results[0]);
    assert_int_equal(measure_sum(load, &sum), 0);
    load_times(load, &times);
    const char *why = load_why(load);
    load_destroy(load); /* part of it is memory of that life */
    assert_int_equal(sim_stop(sim), 0);
    if (sim_failure(sim) != NULL)
        fail_msg("%s", sim_failure(sim));
    sim_destroy(sim);
    return why;
}

static void forget(void)
{
    memset(&world, 0, sizeof world);
}

static double latency_ms(double fraction)
{
    return (double)histogram_percentile(&sum.phases[PHASE_OPERATION], fraction) / 1e6;
}

static uint64_t measured_ns(void)
{
    return times.ended_ns - times.measure_ns;
}

/* ---------------------------------------------------------------- a server that stalls */

/* G08 */
static void an_open_loop_shows_a_stall(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 2; threads++) {
        struct load_options options = plain();
        forget();
        world.stall_ns = 4 * SECOND;
        world.stall_end_ns = 5 * SECOND;
        options.rate = 1000;
        options.connections = 200;
        options.threads = threads;
        assert_null(run(&options, threads));
        assert_int_equal(sum.operations, 10000);
        assert_int_equal(sum.phases[PHASE_OPERATION].count, 10000);
        assert_int_equal(times.not_begun, 0);
        assert_true(latency_ms(0.5) < 20);
        assert_true(latency_ms(0.99) > 870 && latency_ms(0.99) < 960);
        assert_true(latency_ms(0.95) > 450 && latency_ms(0.95) < 600);
        assert_true(measured_ns() >= 9990 * MS && measured_ns() < 10100 * MS);
    }
}

static void a_closed_loop_hides_it(void **state)
{
    (void)state;
    struct load_options options = plain();
    forget();
    world.stall_ns = 4 * SECOND;
    world.stall_end_ns = 5 * SECOND;
    assert_null(run(&options, 1));
    assert_true(sum.operations > 15000);
    assert_true(latency_ms(0.99) < 20 && latency_ms(0.9985) < 20);
    assert_true(latency_ms(1) > 900);
    assert_int_equal(sum.connections, 0);
}

/* At the end nobody could take what was due: it is begun behind the end. */
static void a_stall_at_the_end_shows(void **state)
{
    (void)state;
    struct load_options options = plain();
    forget();
    world.stall_ns = 9500 * MS;
    world.stall_end_ns = 11 * SECOND;
    options.rate = 1000;
    assert_null(run(&options, 1));
    assert_int_equal(sum.operations, 10000);
    assert_int_equal(times.not_begun, 0);
    assert_true(latency_ms(0.99) > 1300 && latency_ms(0.99) < 1600);

    forget(); /* for --timeout at most */
    world.stall_ns = 9 * SECOND;
    world.stall_end_ns = 60 * SECOND;
    options.timeout_ns = 2 * SECOND;
    assert_null(run(&options, 1));
    assert_int_equal(sum.operations + times.not_begun, 10000);
    assert_true(times.not_begun > 900);
}

/* ---------------------------------------------------------------- which operation when */

static void equal_gaps_over_all_cores(void **state)
{
    (void)state;
    struct load_options options = plain();
    forget();
    options.rate = 1000;
    options.threads = 2;
    options.connections = 50;
    assert_null(run(&options, 3));
    for (unsigned i = 0; i < 11000; i++) {
        assert_int_equal(world.taken[i], 1);
        assert_int_equal(world.core[i], i % 2);
        uint64_t want = times.begin_ns + i * MS, is = world.intended[i];
        assert_true(is + 2 >= want && is <= want + 2); /* ns, of rounding */
    }
    assert_int_equal(world.count, 11000);
    assert_int_equal(sum.operations, 10000); /* without the warm-up's */
    assert_int_equal(sum.second_count, 11);
    for (unsigned i = 1; i < 9; i++)
        assert_true(sum.seconds[i].operations > 980 && sum.seconds[i].operations < 1020);
}

static void poisson_arrivals(void **state)
{
    (void)state;
    struct load_options options = plain();
    forget();
    options.rate = 1000;
    options.is_poisson = true;
    options.connections = 200;
    assert_null(run(&options, 4));
    assert_true(sum.operations > 9600 && sum.operations < 10400); /* four deviations */
    unsigned short_gaps = 0, gaps = 10000;
    for (unsigned i = 0; i < gaps; i++) {
        assert_true(world.intended[i + 1] >= world.intended[i]);
        short_gaps += world.intended[i + 1] - world.intended[i] < MS; /* 1 - 1/e of them */
    }
    assert_true(short_gaps > 6100 && short_gaps < 6550);
    uint64_t first = world.intended[0], tenth = world.intended[10];
    uint64_t begin = times.begin_ns;
    forget();
    assert_null(run(&options, 4)); /* the same seed: the same times */
    assert_int_equal(world.intended[0] - times.begin_ns, first - begin);
    assert_int_equal(world.intended[10] - times.begin_ns, tenth - begin);
}

static void a_count_is_kept(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 2; threads++)
        for (unsigned is_open = 0; is_open < 2; is_open++) {
            struct load_options options = plain();
            forget();
            options.threads = threads;
            options.messages = 1001;
            options.duration_ns = 0;
            options.rate = is_open ? 500 : 0;
            options.verifies = true;
            assert_null(run(&options, 5));
            assert_int_equal(sum.operations, 1001);
            assert_true(world.count > 1400); /* and the warm-up's */
            assert_int_equal(world.prepared, 20);
            assert_int_equal(world.working, 20);
            assert_int_equal(world.verified, 20);
        }
    struct load_options options = plain();
    forget();
    options.threads = 2;
    options.messages = 1;
    options.duration_ns = options.warm_up_ns = 0;
    assert_null(run(&options, 5));
    assert_int_equal(sum.operations, 1);
    assert_int_equal(world.count, 1);
}

/* Many connections are not opened all at once. */
static void workers_begin_by_and_by(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 2; threads++) {
        struct load_options options = plain();
        forget();
        options.connections = 500;
        options.messages = 4000;
        options.warm_up_ns = 0;
        options.threads = threads;
        assert_null(run(&options, threads));
        assert_int_equal(world.working, 500);
        assert_int_equal(world.first_most, 64);
        assert_int_equal(sum.operations, 4000);
    }
}

static void clocks_of_the_scenario(void **state)
{
    (void)state;
    struct load_options options = plain();
    forget();
    options.scenario = &timed;
    world.stall_ns = 4 * SECOND;
    world.stall_end_ns = 5 * SECOND;
    assert_null(run(&options, 6));
    assert_true(sum.operations >= 3780 && sum.operations <= 3800); /* 20 each second and worker */
    assert_true(world.left_ns >= times.end_ns && world.left_ns < times.end_ns + 100 * MS);
    assert_true(latency_ms(0.99) > 850 && latency_ms(0.99) <= 1020);
}

/* ---------------------------------------------------------------- errors and ends */

/* G02 */
static void a_server_that_is_not_there(void **state)
{
    (void)state;
    struct load_options options = plain();
    forget();
    world.error = LOAD_REFUSED;
    options.connections = 1;
    assert_string_equal(run(&options, 7), "cannot connect");
    assert_true(times.is_unreachable);
    assert_int_equal(sum.operations, 0);
    assert_true(world.count >= 5 && world.count < 30); /* 10, 20, 40 ms ... between them */
    assert_int_equal(sum.errors[LOAD_REFUSED], world.count);
    assert_string_equal(sum.examples[0].text, "no");
}

/* It says no, which is no reason to wait; and is not gone. */
static void a_server_that_refuses(void **state)
{
    (void)state;
    struct load_options options = plain();
    forget();
    world.error = LOAD_PERMANENT;
    options.messages = 500;
    options.connections = 1;
    assert_null(run(&options, 7));
    assert_int_equal(sum.operations, 0);
    assert_true(sum.errors[LOAD_PERMANENT] >= 500);
}

/* Errors are counted to the end; or, when nothing at all comes for --timeout, the run ends
 * (G04). */
static void a_server_that_goes(void **state)
{
    (void)state;
    struct load_options options = plain();
    forget();
    world.gone_ns = 3 * SECOND;
    assert_null(run(&options, 9));
    assert_true(measured_ns() >= SECONDS * SECOND && sum.errors[LOAD_REFUSED] > 100);
    assert_true(sum.operations > 5000 && sum.seconds[1].operations > 2000);
    assert_int_equal(sum.seconds[5].operations, 0);
    forget();
    world.gone_ns = 3 * SECOND;
    options.timeout_ns = 2 * SECOND;
    assert_string_equal(run(&options, 9), "the target is gone");
    assert_true(measured_ns() > 4900 * MS && measured_ns() < 6500 * MS);
    assert_false(times.is_unreachable);
}

static void a_run_that_is_stopped(void **state)
{
    (void)state;
    struct load_options options = plain();
    forget();
    world.stop_why = "interrupted";
    world.stop_after = 12000;
    options.verifies = true;
    options.threads = 2;
    assert_string_equal(run(&options, 8), "interrupted");
    assert_true(world.count >= 12000 && world.count < 12100);
    assert_true(sum.operations > 5000);
    assert_true(measured_ns() > 2 * SECOND && measured_ns() < 6 * SECOND);
    assert_int_equal(world.verified, 0);

    forget(); /* before anything is measured */
    world.stop_why = "interrupted";
    world.stop_after = 1;
    assert_string_equal(run(&options, 8), "interrupted");
    assert_int_equal(sum.operations, 0);

    forget();
    world.prepare_error = LOAD_LOGIN_REFUSED;
    assert_string_equal(run(&options, 8), "the preparation failed");
    assert_int_equal(world.working, 0);
}

/* No allocation that fails holds a core up or loses memory; at most seconds are not told apart
 * (G09). */
static void each_allocation_fails(void **state)
{
    (void)state;
    struct load_options options = plain();
    unsigned whole = 0;
    forget();
    options.threads = 2;
    options.connections = 4;
    options.messages = 400;
    options.duration_ns = 0;
    options.verifies = true;
    for (fail_nth = 1;; fail_nth++) {
        const char *why = run(&options, 10);
        if (!has_failed)
            break;
        assert_true(fail_nth < 1000);
        if (why == NULL && sum.operations > 0)
            assert_int_equal(sum.operations, 400);
        whole += sum.operations == 400;
    }
    assert_true(fail_nth > 8 && whole > 0 && whole < fail_nth - 1);
    fail_nth = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_open_loop_shows_a_stall), cmocka_unit_test(a_closed_loop_hides_it),
        cmocka_unit_test(a_stall_at_the_end_shows),   cmocka_unit_test(equal_gaps_over_all_cores),
        cmocka_unit_test(poisson_arrivals),           cmocka_unit_test(a_count_is_kept),
        cmocka_unit_test(workers_begin_by_and_by),    cmocka_unit_test(clocks_of_the_scenario),
        cmocka_unit_test(a_server_that_is_not_there), cmocka_unit_test(a_server_that_refuses),
        cmocka_unit_test(a_server_that_goes),         cmocka_unit_test(a_run_that_is_stopped),
        cmocka_unit_test(each_allocation_fails),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    measure_free(&sum);
    return failed;
}
