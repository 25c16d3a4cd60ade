/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Going out while things fail: each single operation and each single allocation of a connect and of
 * a handshake in turn, and all the ways in which a connect may end. Whatever happens, the call says
 * so, nothing of it is left (the world's end sees to that), and the next one is served. And the
 * same seed gives the same run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../unit/tls_chain.h"
#include "../unit/tls_client_host.h"
#include "sim.h"

static uint64_t failing_n;     /* which operation fails; 0: none */
static unsigned failing_kinds; /* of these */
static bool has_failed, is_12;
static int outcome;

static void fail_begin(void)
{
    if (failing_n > 0)
        sim_fail_nth(harness_sim(), failing_kinds, failing_n, 0, false);
}

static void fail_end(void)
{
    has_failed = failing_n > 0 && sim_nth_failed(harness_sim());
    sim_fail_nth(harness_sim(), failing_kinds, 0, 0, false);
}

/* Runs it with the n-th failing, until there is no n-th any more; how often the outcome was not 0.
 */
static unsigned sweep(void (*body)(struct core *core, struct world *world), unsigned kinds)
{
    unsigned failures = 0;
    failing_kinds = kinds;
    has_failed = true;
    for (failing_n = 0; has_failed || failing_n == 1; failing_n++) {
        struct world world = {.body = body};
        run(&world);
        check(outcome == 0 || has_failed);
        failures += outcome != 0;
        check(failing_n < 3000);
    }
    print_message("  %llu tried, %u told\n", (unsigned long long)failing_n, failures);
    return failures;
}

/* ---------------------------------------------------------------- each operation */

static void connect_body(struct core *core, struct world *world)
{
    (void)world;
    struct dialed client;
    struct stream_target target = target_v4(port_base() + 1);
    unsigned kept = sim_kept_alive(harness_sim());
    memcpy(target.source, "\x7f\x00\x00\x09", 4);
    target.keeps_alive = true;
    fail_begin();
    outcome = dial(core, &client, &target, 10 * SECOND_NS);
    fail_end();
    check_equal(sim_kept_alive(harness_sim()), kept + (outcome == 0));
    target.keeps_alive = false;
    if (outcome == 0)
        dialed_close(&client); /* its server may have met the failure */
    check_equal(dial(core, &client, &target, 10 * SECOND_NS), 0);
    check_equal(sim_kept_alive(harness_sim()), kept + (outcome == 0));
    dialed_ask(&client, "hello\r\n", "hello");
    dialed_quit(&client);
}

/* SOCKET, BIND_ADDRESS_NO_PORT, BIND and CONNECT are told; what other options say is not. */
static void connects(void **state)
{
    (void)state;
    check_equal(sweep(connect_body, SIM_OPERATION_SOCKET), 4);
    sweep(connect_body, SIM_OPERATION_MEMORY);
}

static void secure_body(struct core *core, struct world *world)
{
    (void)world;
    struct dialed client;
    struct stream_target target = target_v4(port_base());
    struct tls_client_options options = verifying(is_12);
    struct tls_client *tls = made_client(core, &options);
    check_equal(dial(core, &client, &target, 10 * SECOND_NS), 0);
    stream_deadline(&client.stream, core_now_ns(core) + 10 * SECOND_NS);
    fail_begin();
    outcome = stream_secure_client(&client.stream, tls, one, NULL);
    struct tls_session *session = stream_tls_session(&client.stream);
    fail_end();
    check(outcome == 0 || outcome == -ENOMEM || outcome == -EPROTO || outcome == -EPIPE ||
          outcome == -ECONNRESET);
    check_equal(stream_is_secure(&client.stream), outcome == 0);
    dialed_close(&client);
    check_equal(secure_at(core, &client, port_base(), tls, one, session), 0);
    dialed_ask(&client, "hello\r\n", "hello");
    dialed_quit(&client);
    tls_session_free(session);
    tls_client_free(tls);
}

static void handshakes(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        is_12 = i;
        check(sweep(secure_body, SIM_OPERATION_MEMORY) > 50);
        check(sweep(secure_body, SIM_OPERATION_SOCKET) > 1);
    }
    is_12 = false;
}

static void make_body(struct core *core, struct world *world)
{
    (void)world;
    struct tls_client_options options = verifying(false);
    struct making making = {.options = &options};
    options.pair = (struct tls_pair){"pair", slice_cstr(pem_chain_leaf), slice_cstr(pem_chain_key)};
    if (failing_n > 0)
        sim_fail_nth(harness_sim(), failing_kinds, failing_n, 0, false);
    in_turn(core, make_client, &making);
    fail_end();
    outcome = making.result;
    check(outcome == 0 || outcome == -ENOMEM || outcome == -EINVAL);
    if (outcome == 0)
        tls_client_free(making.client);
}

static void clients(void **state)
{
    (void)state;
    check(sweep(make_body, SIM_OPERATION_MEMORY) > 10);
}

/* ---------------------------------------------------------------- faults */

static void lost_body(struct core *core, struct world *world)
{
    (void)world;
    struct dialed client;
    struct stream_target target = target_v4(port_base() + 1);
    struct sim *sim = harness_sim();
    sim_fault_set(sim, SIM_FAULT_CONNECT_LOST, 1000000);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t before = core_now_ns(core);
        check_equal(dial(core, &client, &target, 50000000), -ETIMEDOUT);
        uint64_t took = core_now_ns(core) - before;
        check(took >= 50000000 && took < 500000000); /* the world may be late with completions */
    }
    uint64_t before = core_now_ns(core);
    check_equal(dial(core, &client, &target, 0), -ETIMEDOUT); /* the kernel gives up by itself */
    check(core_now_ns(core) - before >= 120 * SECOND_NS);
    sim_fault_set(sim, SIM_FAULT_CONNECT_LOST, 0);
    check_equal(dial(core, &client, &target, 50000000), 0);
    dialed_quit(&client);
}

static void lost(void **state)
{
    (void)state;
    struct world world = {.body = lost_body};
    run(&world);
}

struct sleeper {
    struct core *core;
    struct fiber *fiber;
};

static void wake(void *argument)
{
    struct sleeper *sleeper = argument;
    fiber_wake(sleeper->core, sleeper->fiber);
}

static void sleep_until(struct core *core, uint64_t time_ns)
{
    struct sleeper sleeper = {core, fiber_current(core)};
    core_alarm(core, time_ns, wake, &sleeper);
    fiber_park(core);
}

/* The answer and the deadline come together: one of them is told, and the cancelling ends before
 * the call does. */
static void race_body(struct core *core, struct world *world)
{
    (void)world;
    enum { TICK_NS = 8000000 };
    struct dialed client;
    struct stream_target target = target_v4(port_base() + 1);
    unsigned connected = 0, late = 0;
    for (uint64_t before = 0; before < 1000000; before += 2000) {
        uint64_t tick = (core_now_ns(core) / TICK_NS + 2) * TICK_NS;
        sleep_until(core, tick - before);
        client = (struct dialed){0};
        int result = stream_connect(&client.stream, core, &target, tick, &dialed_owner);
        check(result == 0 || result == -ETIMEDOUT);
        connected += result == 0;
        late += result != 0;
        if (result == 0)
            dialed_close(&client);
    }
    check(connected > 50 && late > 50);
}

static void race(void **state)
{
    (void)state;
    struct world world = {.body = race_body};
    run(&world);
}

static bool is_told(int result)
{
    static const int told[] = {0,           -ECONNREFUSED, -ECONNRESET,   -EADDRNOTAVAIL,
                               -EADDRINUSE, -ENETUNREACH,  -EHOSTUNREACH, -ENOBUFS,
                               -ENFILE,     -EMFILE,       -ENOMEM,       -ETIMEDOUT,
                               -EOPNOTSUPP};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (told[i] == result)
            return true;
    return false;
}

static void faults_body(struct core *core, struct world *world)
{
    (void)world;
    static const enum sim_fault faults[] = {SIM_FAULT_SOCKET_ERROR, SIM_FAULT_OPTION_ERROR,
                                            SIM_FAULT_CONNECT_ERROR, SIM_FAULT_CONNECT_LOST,
                                            SIM_FAULT_SLOW_PEER};
    struct sim *sim = harness_sim();
    struct dialed client;
    unsigned served = 0, slow = 0;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sim_fault_set(sim, faults[i], 100000);
    for (unsigned i = 0; i < 400; i++) {
        struct stream_target target = target_v4(port_base() + 1);
        if (i % 2 == 0)
            memcpy(target.source, "\x7f\x00\x00\x09", 4);
        int result = dial(core, &client, &target, 100000000);
        check(is_told(result));
        slow += result == -ETIMEDOUT;
        if (result < 0)
            continue;
        struct slice line;
        stream_deadline(&client.stream, core_now_ns(core) + SECOND_NS);
        stream_write(&client.stream, SLICE("hello\r\n"));
        served += stream_read_line(&client.stream, 100, &line) == 0;
        dialed_close(&client);
    }
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        check(sim_fault_count(sim, faults[i]) > 0);
        sim_fault_set(sim, faults[i], 0);
    }
    check(served > 50 && slow > 20);
}

static void faults(void **state)
{
    (void)state;
    struct world world = {.body = faults_body};
    run(&world);
}

/* Peers that vanish, and connections that are reset, under a transfer. */
static void wires_body(struct core *core, struct world *world)
{
    (void)world;
    static const enum sim_fault faults[] = {SIM_FAULT_RESET, SIM_FAULT_SILENT};
    struct sim *sim = harness_sim();
    struct dialed client;
    struct stream_target target = target_v4(port_base() + 1);
    unsigned reset = 0, silent = 0, whole = 0;
    world->clear.idle_ns = 30 * SECOND_NS; /* who hears nothing of a peer ends it */
    for (unsigned i = 0; i < 200; i++) {
        for (size_t n = 0; n < sizeof faults / sizeof *faults; n++)
            sim_fault_set(sim, faults[n], 10000);
        check_equal(dial(core, &client, &target, SECOND_NS), 0);
        stream_deadline(&client.stream, core_now_ns(core) + 10 * SECOND_NS);
        stream_write(&client.stream, SLICE("write 20000\r\n"));
        static char data[7 + 20000 + 5];
        int result = stream_read_exact(&client.stream, data, sizeof data);
        check(result == 0 || result == -ECONNRESET || result == -EPIPE || result == -ETIMEDOUT);
        for (unsigned at = 0; result == 0 && at < 20000; at++)
            check_equal(data[7 + at], pattern(at));
        reset += result == -ECONNRESET || result == -EPIPE;
        silent += result == -ETIMEDOUT;
        whole += result == 0;
        dialed_close(&client);
    }
    for (size_t n = 0; n < sizeof faults / sizeof *faults; n++)
        sim_fault_set(sim, faults[n], 0);
    print_message("  %u reset, %u silent, %u whole\n", reset, silent, whole);
    check(reset > 2 && silent > 2 && whole > 20);
}

static void wires(void **state)
{
    (void)state;
    struct world world = {.body = wires_body};
    run(&world);
}

/* ---------------------------------------------------------------- again */

static uint64_t trace;

static void again_body(struct core *core, struct world *world)
{
    faults_body(core, world);
    failing_n = 0;
    secure_body(core, world);
    trace = sim_trace_hash(harness_sim());
}

static void again(void **state)
{
    (void)state;
    uint64_t traces[2];
    for (unsigned i = 0; i < 2; i++) {
        struct world world = {.body = again_body};
        run(&world);
        traces[i] = trace;
    }
    check(traces[0] == traces[1] && traces[0] != 0);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(connects), cmocka_unit_test(handshakes), cmocka_unit_test(clients),
        cmocka_unit_test(lost),     cmocka_unit_test(race),       cmocka_unit_test(faults),
        cmocka_unit_test(wires),    cmocka_unit_test(again),
    };
    return cmocka_run_group_tests_name("dial_sweep", list, NULL, NULL);
}

int main(void)
{
    harness_library(tls_library_open, tls_library_close);
    setenv("WORLDS", "2", 0);
    return harness_main(tests);
}
