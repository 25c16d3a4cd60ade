/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Thousands of clients that trickle, or were never heard of again, beside one who works (rows R02
 * and R03): what the latter is served in a stretch of virtual time is at least nine tenths of what
 * it is served alone; the others hold neither fibers nor receive buffers, end in their time and
 * leave nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../unit/limits_toy.h"
#include "sim.h"

enum { PORT = 143, SLOW = 20000, GONE = 4000, TRICKLE_SECONDS = 10, WORK_SECONDS = 60 };
static const uint64_t SECOND = 1000000000;

static struct stage {
    struct sim *sim;
    struct core *core;
    struct service service;
    unsigned sessions_most, fibers_most, buffers_most;
    bool is_serving, is_stopping, is_gone;
} stage;

static unsigned larger(unsigned a, uint64_t b)
{
    return b > a ? (unsigned)b : a;
}

static int serve(struct core *core, void *argument)
{
    (void)argument;
    stage.core = core;
    check_equal(net_open(core), 0);
    check_equal(sessions_open(core), 0);
    check_equal(service_open(core, &stage.service), 0);
    stage.is_serving = true;
    while (!stage.is_stopping) {
        const struct counters *counters = core_counters(core);
        stage.sessions_most = larger(stage.sessions_most, sessions_count(core));
        stage.fibers_most = larger(stage.fibers_most, counters->value[COUNTER_FIBERS_ACTIVE]);
        stage.buffers_most = larger(stage.buffers_most, buffer_lent(core));
        fiber_sleep(core, 8000000);
    }
    sessions_drain(core, 10, 1000);
    sessions_close(core);
    for (int i = 0; i < 100 && core_busy(core) > 0; i++)
        fiber_sleep(core, 10000000);
    check_equal(core_counters(core)->value[COUNTER_CONNECTIONS_OPEN], 0);
    net_close(core);
    stage.is_gone = true;
    return 0;
}

static bool is_serving(void *argument)
{
    (void)argument;
    return stage.is_serving;
}

static bool is_gone(void *argument)
{
    (void)argument;
    return stage.is_gone;
}

static void begin(void)
{
    struct sim_options options;
    sim_options_calm(&options, 7);
    options.engine = (struct engine_options){.core_count = 1,
                                             .connections_max = 40000,
                                             .buffers = 64,
                                             .fibers_max = 16,
                                             .stack_bytes = 65536};
    stage = (struct stage){.sim = sim_create(&options), .service = toy_service(&limits_toy, PORT)};
    stage.service.address = "0.0.0.0";
    stage.service.connections_max = 40000;
    stage.service.login_ms_max = 120000;
    stage.service.idle_ms_max = 120000;
    stage.service.command_ms_max = 120000;
    check_equal(sim_start(stage.sim), 0);
    check_equal(sim_spawn(stage.sim, 0, serve, NULL, NULL), 0);
    check_equal(sim_until(stage.sim, is_serving, NULL, 10 * SECOND), 0);
}

static void end(void)
{
    stage.is_stopping = true;
    check_equal(sim_until(stage.sim, is_gone, NULL, 30 * SECOND), 0);
    check_equal(sim_stop(stage.sim), 0);
    sim_destroy(stage.sim);
}

static bool has_line(void *argument)
{
    struct slice bytes = sim_client_received(argument);
    return slice_find(bytes, '\n') < bytes.size || sim_client_state(argument) != SIM_CLIENT_OPEN;
}

static bool is_told(struct sim_client *client, const char *want)
{
    check_equal(sim_until(stage.sim, has_line, client, 10 * SECOND), 0);
    struct slice bytes = sim_client_received(client);
    size_t size = slice_find(bytes, '\n');
    bool is_it = size < bytes.size && slice_equal(slice_first(bytes, size + 1), slice_cstr(want));
    if (size < bytes.size)
        sim_client_consume(client, size + 1);
    return is_it;
}

/* Commands served in WORK_SECONDS, while each of `slow` sends a byte in TRICKLE_SECONDS. */
static unsigned work(struct sim_client **slow, unsigned count)
{
    struct sim_client *client = sim_connect(stage.sim, "192.0.2.9", PORT);
    check(is_told(client, "hello\r\n"));
    uint64_t began = sim_now_ns(stage.sim), last = began, sent = 0;
    unsigned served = 0;
    while (sim_now_ns(stage.sim) - began < WORK_SECONDS * SECOND) {
        sim_client_text(client, "ECHO work\r\n");
        check(is_told(client, "work\r\n"));
        served++;
        uint64_t now = sim_now_ns(stage.sim);
        uint64_t due = (now - began) * count / (TRICKLE_SECONDS * SECOND);
        for (; sent < due; sent++)
            sim_client_text(slow[sent % count], "E");
        check(now - last < SECOND); /* not one reply is late */
        last = now;
    }
    sim_client_text(client, "QUIT\r\n");
    check(is_told(client, "bye\r\n"));
    return served;
}

/* R02, R03 */
static void slow_beside_work(void **state)
{
    (void)state;
    begin();
    unsigned alone = work(NULL, 0);
    end();
    begin();
    static struct sim_client *slow[SLOW];
    for (unsigned i = 0; i < SLOW + GONE; i++) {
        struct sim_client *client = sim_connect(stage.sim, "192.0.2.9", PORT);
        if (i < SLOW)
            slow[i] = client;
        else
            sim_client_vanish(client);
        if (i % 100 == 0)
            check_equal(sim_pass(stage.sim, SECOND / 100), 0);
    }
    check_equal(sim_pass(stage.sim, SECOND), 0);
    for (unsigned i = 0; i < SLOW; i++)
        check(is_told(slow[i], "hello\r\n"));
    stage.fibers_most = stage.buffers_most = 0;
    unsigned beside = work(slow, SLOW);
    print_message("alone %u, beside %u slow and %u gone %u; sessions %u, fibers %u, buffers %u\n",
                  alone, SLOW, GONE, beside, stage.sessions_most, stage.fibers_most,
                  stage.buffers_most);
    check(alone > 1000 && beside >= alone * 9 / 10);
    check(stage.sessions_most >= SLOW + GONE);
    check(stage.fibers_most <= 3);
    check(stage.buffers_most <= 16);
    check_equal(sim_pass(stage.sim, 130 * SECOND), 0); /* all are late, sooner or later */
    check_equal(sessions_count(stage.core), 0);
    const struct counters *counters = core_counters(stage.core);
    check_equal(counters->value[COUNTER_CONNECTIONS_OPEN], 0);
    check_equal(counters->ends[PROTOCOL_POP3][SESSION_END_LOGIN_LATE] +
                    counters->ends[PROTOCOL_POP3][SESSION_END_COMMAND_LATE] +
                    counters->ends[PROTOCOL_POP3][SESSION_END_IDLE],
                SLOW + GONE);
    struct sim_client *client = sim_connect(stage.sim, "192.0.2.9", PORT);
    check(is_told(client, "hello\r\n"));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(slow_beside_work)};
    return cmocka_run_group_tests_name("slow", tests, NULL, NULL);
}
