/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A run on the real kernel, two cores, while another thread reads its measures and stops it: what
 * is read only grows, what is read at the end is exact. Under ThreadSanitizer this shows that
 * nothing is read unguarded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness.h"
#include "load.h"
#include "measure.h"
#include "pace.h"

enum { SECONDS_MAX = 60 };

static const char *const refusals[] = {"550 no", "551 no", "552 no"};

/* Every fourth is an error, once by each of three texts. */
static void work(struct load_worker *worker)
{
    struct operation operation;
    measure_connection(worker->at, 1);
    while (pace_take(worker, &operation) == 0) {
        uint64_t began = load_now(worker->at);
        fiber_sleep(load_engine(worker->at), 1000000);
        measure_greeting(worker->at, SLICE("220 toy"));
        measure_tls(worker->at, "TLSv1.3", "TOY");
        measure_phase(worker->at, PHASE_NOOP, began);
        measure_bytes(worker->at, 10, 20);
        int error = 0;
        if (operation.number % 4 == 3)
            error = measure_error(worker->at, LOAD_PERMANENT,
                                  slice_cstr(refusals[operation.number / 4 % 3]));
        pace_done(worker, &operation, error);
    }
    measure_connection(worker->at, -1);
}

static const struct load_scenario scenario = {.name = "toy", .operation = "turn", .work = work};

static struct load *load;
static unsigned left;

static int live(struct core *core, void *argument)
{
    int result = load_run(core, argument);
    if (__atomic_sub_fetch(&left, 1, __ATOMIC_ACQ_REL) == 0)
        harness_stop(core);
    return result;
}

static struct harness_engine *begin(struct load_options *options)
{
    char problem[200];
    struct engine_options engine = {
        .core_count = options->threads,
        .connections_max = 100,
        .buffers = 16,
        .fibers_max = 100,
        .stack_bytes = 65536,
    };
    check_equal(load_create(options, &load, problem), 0);
    left = options->threads;
    return harness_begin(&engine, live, load);
}

static struct load_options plain(void)
{
    return (struct load_options){.scenario = &scenario,
                                 .threads = 2,
                                 .connections = 20,
                                 .users = 1,
                                 .recipients = 1,
                                 .user_format = "u%d",
                                 .password = "pw",
                                 .size_bytes = 1024,
                                 .seed = 1,
                                 .warm_up_ns = 100000000,
                                 .timeout_ns = 10000000000};
}

static void reading_while_it_runs(void **state)
{
    (void)state;
    struct load_options options = plain();
    static struct measure sum;
    static struct histogram latency;
    options.messages = 4000;
    struct harness_engine *engine = begin(&options);
    uint64_t before = 0;
    for (unsigned naps = 0; load_stage(load) != LOAD_ENDED; naps++) {
        struct load_times times;
        check(naps < SECONDS_MAX * 100);
        check_equal(measure_sum(load, &sum), 0);
        load_times(load, &times);
        check(sum.operations >= before && sum.operations <= 4000);
        check(sum.connections <= 20);
        before = sum.operations;
        histogram_clear(&latency);
        measure_second_latency(load, 0, &latency);
        measure_free(&sum);
        harness_nap(10000);
    }
    check_equal(harness_end(engine), 0);
    check(before > 0);
    check_equal(measure_sum(load, &sum), 0);
    check_equal(sum.operations, 3000);
    check_equal(sum.phases[PHASE_OPERATION].count, 3000);
    check(sum.errors[LOAD_PERMANENT] >= 1000); /* the warm-up's too */
    check_equal(sum.connections, 0);
    check_equal(sum.connections_most, 20);
    check_equal(sum.example_count, 1);
    check(memcmp(sum.examples[0].text, "55", 2) == 0);
    check(strcmp(sum.greeting, "220 toy") == 0 && strcmp(sum.tls, "TLSv1.3 TOY") == 0);
    check(sum.bytes_in >= 4000 * 10 && sum.bytes_out == 2 * sum.bytes_in);
    uint64_t in_seconds = 0;
    histogram_clear(&latency);
    for (unsigned i = 0; i < sum.second_count; i++) {
        in_seconds += sum.seconds[i].operations;
        measure_second_latency(load, i, &latency);
    }
    check_equal(in_seconds, 3000);
    check_equal(latency.count, 3000);
    check(memcmp(&latency, &sum.phases[PHASE_OPERATION], sizeof latency) == 0);
    measure_free(&sum);
    load_destroy(load);
}

static void stopped_by_another_thread(void **state)
{
    (void)state;
    struct load_options options = plain();
    options.duration_ns = UINT64_C(1000000000) * SECONDS_MAX;
    options.rate = 50; /* most workers wait for their time */
    struct harness_engine *engine = begin(&options);
    while (load_stage(load) != LOAD_MEASURE)
        harness_nap(10000);
    load_stop(load, "interrupted");
    load_stop(load, "twice");
    check_equal(harness_end(engine), 0);
    check(strcmp(load_why(load), "interrupted") == 0);
    load_destroy(load);
}

static void names(void **state)
{
    (void)state;
    struct load_options options = plain();
    char name[LOAD_USER_BYTES_MAX];
    struct slice user = load_user(&options, 4294967295u, name);
    check(slice_equal(user, SLICE("u4294967295")));
    options.user_format = "%d@example.test";
    user = load_user(&options, 0, name);
    check(slice_equal(user, SLICE("0@example.test")));
    check(strcmp(load_phase_name(PHASE_WAKE), "wake-up") == 0);
    check(strcmp(load_error_name(LOAD_OURS), "the generator ran out of memory") == 0);
}

static int all(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_while_it_runs),
        cmocka_unit_test(stopped_by_another_thread),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return harness_main(all);
}
