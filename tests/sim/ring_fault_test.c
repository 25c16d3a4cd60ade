/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a ring may do to the engine, and the engine must survive (bad input R06-R08): a full table
 * of direct descriptors, receive buffers run out, enter that refuses or takes a part, queues that
 * are full. After each the honest clients have been served, and the core did not turn in a busy
 * loop meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "../unit/line_server.h"
#include "sim.h"

enum { PORT = 2525, CLIENTS = 20 };
static const uint64_t SECOND_NS = UINT64_C(1000000000);

struct served {
    struct sim *sim;
    struct line_server lines;
    struct listener *listener;
    struct sim_client *clients[CLIENTS];
    unsigned wanted; /* how many must have got their answer */
    struct slice refusal;
};

static int open_server(struct core *core, void *argument)
{
    struct served *served = argument;
    struct listener_options options = {
        .address = "0.0.0.0",
        .port = PORT,
        .connections_max = 1000,
        .refusal = served->refusal,
        .accepted = line_server_accepted,
        .argument = &served->lines,
    };
    int result = net_open(core);
    return result < 0 ? result : listener_open(core, &options, &served->listener);
}

static int close_server(struct core *core, void *argument)
{
    struct served *served = argument;
    listener_close(served->listener);
    while (served->lines.sessions > 0)
        fiber_sleep(core, 20000000);
    fiber_sleep(core, SECOND_NS);
    net_close(core);
    return 0;
}

static void begin(struct served *served, const struct sim_options *options)
{
    *served = (struct served){.sim = sim_create(options), .refusal = served->refusal};
    assert_int_equal(sim_start(served->sim), 0);
    assert_int_equal(sim_run(served->sim, 0, open_server, served), 0);
}

static void end(struct served *served)
{
    for (int i = 0; i < CLIENTS; i++)
        if (served->clients[i] != NULL)
            sim_client_close(served->clients[i]);
    assert_int_equal(sim_run(served->sim, 0, close_server, served), 0);
    assert_int_equal(sim_stop(served->sim), 0);
    if (sim_failure(served->sim) != NULL)
        fail_msg("%s", sim_failure(served->sim));
    sim_destroy(served->sim);
}

static unsigned answered(const struct served *served, size_t size)
{
    unsigned count = 0;
    for (int i = 0; i < CLIENTS; i++)
        count += served->clients[i] != NULL && sim_client_received(served->clients[i]).size >= size;
    return count;
}

static bool enough_answered(void *argument)
{
    const struct served *served = argument;
    return answered(served, 7) >= served->wanted;
}

static void wait_answers(struct served *served, unsigned wanted)
{
    served->wanted = wanted;
    assert_int_equal(sim_until(served->sim, enough_answered, served, 60 * SECOND_NS), 0);
}

/* R06: more clients than slots. Those in are served; the newcomers are dropped, and admitted as
 * soon as a slot is free. */
static void slots_full(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_options options;
        struct served served = {0};
        sim_options_calm(&options, seed);
        options.slots = 4;
        begin(&served, &options);
        for (int i = 0; i < CLIENTS; i++) {
            served.clients[i] = sim_connect(served.sim, "192.0.2.1", PORT);
            sim_client_text(served.clients[i], "hello\r\n");
        }
        wait_answers(&served, 4);
        sim_pass(served.sim, 3 * SECOND_NS); /* accept is tried again, but not in a loop */
        assert_true(sim_count(served.sim, SIM_COUNT_TURNS) < 3000);
        assert_int_equal(answered(&served, 7), 4);
        int gone = 0;
        for (int i = 0; i < CLIENTS; i++) {
            if (sim_client_received(served.clients[i]).size > 0 && gone == 0) {
                sim_client_close(served.clients[i]);
                gone = 1;
            }
            if (sim_client_state(served.clients[i]) != SIM_CLIENT_OPEN)
                served.clients[i] = NULL;
        }
        sim_pass(served.sim, SECOND_NS);
        int i = 0;
        while (served.clients[i] != NULL)
            i++;
        served.clients[i] = sim_connect(served.sim, "192.0.2.1", PORT);
        sim_client_text(served.clients[i], "hello\r\n");
        unsigned before = answered(&served, 7);
        wait_answers(&served, before + 1);
        end(&served);
    }
}

/* R06: the system has no file left for a while: nobody is accepted, nobody is lost, and the core
 * does not ask in a loop. */
static void files_out(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_options options;
        struct served served = {0};
        sim_options_calm(&options, seed);
        begin(&served, &options);
        sim_fail_nth(served.sim, SIM_OPERATION_SOCKET, 1, -ENFILE, true);
        for (int i = 0; i < CLIENTS; i++) {
            served.clients[i] = sim_connect(served.sim, "192.0.2.1", PORT);
            sim_client_text(served.clients[i], "hello\r\n");
        }
        uint64_t turns = sim_count(served.sim, SIM_COUNT_TURNS);
        sim_pass(served.sim, 10 * SECOND_NS);
        assert_true(sim_count(served.sim, SIM_COUNT_TURNS) - turns < 2000);
        assert_int_equal(answered(&served, 1), 0);
        sim_fail_nth(served.sim, 0, 0, 0, false);
        wait_answers(&served, CLIENTS);
        end(&served);
    }
}

/* Memory is out while more connect than a listener has spare arrivals, and they do not read what
 * refuses them. When they go, all slots are free again: each of the next ones gets one. */
static void memory_out(void **state)
{
    (void)state;
    enum { CROWD = 30 };
    static char refusal[400000]; /* more than the buffers of both sides */
    struct sim_client *crowd[CROWD];
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_options options;
        struct served served = {.refusal = slice_of(refusal, sizeof refusal)};
        sim_options_calm(&options, seed);
        options.slots = CROWD;
        begin(&served, &options);
        sim_fail_nth(served.sim, SIM_OPERATION_MEMORY, 1, -ENOMEM, true);
        for (int i = 0; i < CROWD; i++) {
            crowd[i] = sim_connect(served.sim, "192.0.2.1", PORT);
            sim_client_pause(crowd[i], true);
        }
        sim_pass(served.sim, SECOND_NS);
        sim_fail_nth(served.sim, 0, 0, 0, false);
        for (int i = 0; i < CROWD; i++) {
            assert_int_equal(sim_client_state(crowd[i]), SIM_CLIENT_OPEN);
            sim_client_reset(crowd[i]);
        }
        sim_pass(served.sim, SECOND_NS);
        for (int i = 0; i < CLIENTS; i++) {
            served.clients[i] = sim_connect(served.sim, "192.0.2.1", PORT);
            sim_client_text(served.clients[i], "hello\r\n");
        }
        wait_answers(&served, CLIENTS);
        end(&served);
    }
}

/* R07: one or two buffers for many senders, and multishot receives that end for no reason. */
static void buffers_out(void **state)
{
    (void)state;
    char line[600];
    memset(line, 'x', sizeof line);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_options options;
        struct served served = {0};
        sim_options_calm(&options, seed);
        options.engine.buffers = 1u << seed % 2;
        options.faults[SIM_FAULT_NO_BUFFERS] = 300000;
        options.faults[SIM_FAULT_MULTISHOT_END] = 300000;
        begin(&served, &options);
        for (int i = 0; i < CLIENTS; i++) {
            served.clients[i] = sim_connect(served.sim, "192.0.2.1", PORT);
            for (int j = 0; j < 20; j++)
                sim_client_send(served.clients[i], line, sizeof line);
        }
        for (int round = 0; round < 600 && answered(&served, 20 * sizeof line) < CLIENTS; round++)
            sim_pass(served.sim, SECOND_NS / 10);
        assert_int_equal(answered(&served, 20 * sizeof line), CLIENTS);
        uint64_t turns = sim_count(served.sim, SIM_COUNT_TURNS);
        sim_pass(served.sim, 10 * SECOND_NS); /* all idle and armed */
        assert_true(sim_count(served.sim, SIM_COUNT_TURNS) - turns < 100);
        end(&served);
    }
}

/* R08: enter refuses every second time, takes a part of the queue, completions are late, and both
 * queues are as small as they can be. */
static void queues_full(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct sim_options options;
        struct served served = {0};
        sim_options_calm(&options, seed);
        options.sq_entries = 1u << seed % 4;
        options.cq_entries = 2u << seed % 3;
        options.faults[SIM_FAULT_ENTER_INTR] = 500000;
        options.faults[SIM_FAULT_ENTER_PARTIAL] = 500000;
        options.faults[SIM_FAULT_LATE_COMPLETION] = 300000;
        begin(&served, &options);
        for (int i = 0; i < CLIENTS; i++) {
            served.clients[i] = sim_connect(served.sim, "192.0.2.1", PORT);
            sim_client_text(served.clients[i], "hello\r\nsend 20000\r\nhello\r\n");
        }
        for (int round = 0; round < 600 && answered(&served, 20026) < CLIENTS; round++)
            sim_pass(served.sim, SECOND_NS / 10);
        assert_int_equal(answered(&served, 20026), CLIENTS);
        assert_true(sim_fault_count(served.sim, SIM_FAULT_ENTER_INTR) > 0);
        end(&served);
    }
}

/* Each single operation fails in turn: the server goes on, and ends well. */
static void each_fails(void **state)
{
    (void)state;
    uint64_t operations = 1;
    for (uint64_t n = 1; n <= operations; n++) {
        struct sim_options options;
        struct served served = {0};
        sim_options_calm(&options, 7);
        begin(&served, &options);
        sim_fail_nth(served.sim, SIM_OPERATION_SOCKET, n, 0, false);
        for (int i = 0; i < 3; i++) {
            served.clients[i] = sim_connect(served.sim, "192.0.2.1", PORT);
            sim_client_text(served.clients[i], "hello\r\nnap 10\r\nsend 100000\r\n");
        }
        sim_pass(served.sim, 5 * SECOND_NS);
        operations = sim_operations(served.sim, SIM_OPERATION_SOCKET);
        served.clients[3] = sim_connect(served.sim, "192.0.2.1", PORT);
        sim_client_text(served.clients[3], "hello\r\n");
        sim_pass(served.sim, 5 * SECOND_NS);
        assert_true(sim_client_received(served.clients[3]).size == 7 ||
                    n > operations); /* nobody else has to suffer */
        end(&served);
    }
    assert_true(operations > 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_full),  cmocka_unit_test(files_out),   cmocka_unit_test(memory_out),
        cmocka_unit_test(buffers_out), cmocka_unit_test(queues_full), cmocka_unit_test(each_fails),
    };
    return cmocka_run_group_tests_name("ring faults", tests, NULL, NULL);
}
