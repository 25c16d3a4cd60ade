/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sessions that move between two cores while each single socket operation (sending a slot to the
 * other ring is one of them) and each single allocation fails in turn: a session arrives, or ends
 * where it was; protocol.closed is called once for each that was opened; an honest client who comes
 * next moves to and fro; and both cores drain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ringpost/session.h"

#include "../unit/harness.h"
#include "sim.h"

enum { CORES = 2, PORT = 110, WAIT_SECONDS = 100 };

static struct stage {
    struct sim *sim;
    uint64_t late_ns; /* core 0 begins to drain that much later */
    unsigned serving, opened, closed, drained, gone;
    bool is_stopping, has_drained[CORES]; /* nobody is on a core that has */
} stage;

/* ---------------------------------------------------------------- the toy protocol */

struct toy_session {
    struct session session;
    char *kept; /* in the arena, over a move */
};
enum { KEPT = 100 };

static void arrived(struct session *session)
{
    const struct toy_session *mine = (struct toy_session *)session;
    check(!stage.has_drained[core_index(session_core(session))]);
    for (unsigned i = 0; i < KEPT; i++)
        check_equal(mine->kept[i], 'x');
    stream_printf(&session->stream, "on %u\r\n", core_index(session_core(session)));
}

static void run_move(struct session *session, const void *arguments)
{
    (void)arguments;
    struct toy_session *mine = (struct toy_session *)session;
    mine->kept = arena_alloc(&session->arena, KEPT);
    if (mine->kept == NULL)
        return;
    memset(mine->kept, 'x', KEPT);
    session_move(session, 1 - core_index(session_core(session)), arrived);
}

/* The same after a nap: in a command when its core, or the other, begins to drain. */
static void run_late(struct session *session, const void *arguments)
{
    fiber_sleep(session_core(session), 25000000);
    run_move(session, arguments);
}

static void run_user(struct session *session, const void *arguments)
{
    (void)arguments;
    if (session_logged_in(session, SLICE("u@x.test")) == 0)
        stream_write(&session->stream, SLICE("in\r\n"));
    else
        stream_write(&session->stream, SLICE("no\r\n"));
}

static void run_quit(struct session *session, const void *arguments)
{
    (void)arguments;
    stream_write(&session->stream, SLICE("bye\r\n"));
    session_end(session, SESSION_END_QUIT);
}

static const struct command commands[] = {
    {"MOVE", 1, 0, NULL, 0, run_move, ""},
    {"LATE", 1, 0, NULL, 0, run_late, ""},
    {"USER", 1, 0, NULL, 0, run_user, ""},
    {"QUIT", 1, 0, NULL, 0, run_quit, ""},
};

static void toy_open(struct session *session)
{
    stage.opened++;
    stream_write(&session->stream, SLICE("hello\r\n"));
}

static void toy_refuse(struct session *session, const struct command *command,
                       enum session_refusal refusal, const char *why)
{
    (void)command, (void)refusal, (void)why;
    stream_write(&session->stream, SLICE("no\r\n"));
}

static void toy_goodbye(struct session *session, enum session_end end)
{
    (void)end;
    stream_write(&session->stream, SLICE("end\r\n"));
}

static void toy_closed(struct session *session)
{
    check(!stage.has_drained[core_index(session_core(session))]);
    stage.closed++;
}

static const struct session_protocol toy = {
    .id = PROTOCOL_POP3,
    .name = "toy",
    .commands = commands,
    .command_count = sizeof commands / sizeof *commands,
    .session_bytes = sizeof(struct toy_session),
    .line_bytes_max = 100,
    .command_bytes_max = 1000,
    .state_first = 1,
    .without_login = true,
    .open = toy_open,
    .refuse = toy_refuse,
    .goodbye = toy_goodbye,
    .closed = toy_closed,
    .refusal = {"busy\r\n", 6},
};

static const struct service service = {
    .protocol = &toy,
    .address = "0.0.0.0",
    .port = PORT,
    .connections_max = 20,
    .connections_per_address_max = 10,
    .idle_ms_max = 20000,
    .command_ms_max = 20000,
    .errors_max = 10,
    .junk_max = 10,
};

/* ---------------------------------------------------------------- the world */

static void meet(struct core *core, unsigned *count)
{
    for (++*count; *count < CORES;)
        fiber_sleep(core, 8000000);
}

static int serve(struct core *core, void *argument)
{
    (void)argument;
    check_equal(net_open(core), 0);
    check_equal(sessions_open(core), 0);
    meet(core, &stage.serving);
    check_equal(service_open(core, &service), 0);
    stage.serving++;
    while (!stage.is_stopping)
        fiber_sleep(core, 8000000);
    if (core_index(core) == 0 && stage.late_ns > 0)
        fiber_sleep(core, stage.late_ns);
    sessions_drain(core, 10, 60000); /* everybody is told: nobody needs so long */
    check_equal(sessions_count(core), 0);
    stage.has_drained[core_index(core)] = true;
    meet(core, &stage.drained);
    sessions_close(core);
    for (int i = 0; i < 100 && core_busy(core) > 0; i++)
        fiber_sleep(core, 10000000);
    net_close(core);
    stage.gone++;
    return 0;
}

static bool is_serving(void *argument)
{
    (void)argument;
    return stage.serving == 2 * CORES;
}

static bool is_gone(void *argument)
{
    (void)argument;
    return stage.gone == CORES;
}

static void begin(uint64_t seed)
{
    struct sim_options options;
    sim_options_calm(&options, seed);
    options.in_order = seed == 1;
    options.engine = (struct engine_options){.core_count = CORES,
                                             .connections_max = 20,
                                             .buffers = 16,
                                             .fibers_max = 20,
                                             .stack_bytes = 65536};
    stage = (struct stage){.sim = sim_create(&options)};
    check_equal(sim_start(stage.sim), 0);
    for (unsigned i = 0; i < CORES; i++)
        check_equal(sim_spawn(stage.sim, i, serve, NULL, NULL), 0);
    check_equal(sim_until(stage.sim, is_serving, NULL, UINT64_C(10000000000)), 0);
}

static void end(void)
{
    stage.is_stopping = true;
    check_equal(sim_until(stage.sim, is_gone, NULL, UINT64_C(20000000000)), 0);
    check_equal(stage.opened, stage.closed);
    check_equal(sim_stop(stage.sim), 0);
    if (sim_failure(stage.sim) != NULL)
        harness_failed(__FILE__, __LINE__, sim_failure(stage.sim));
    sim_destroy(stage.sim);
}

static bool has_line(void *argument)
{
    struct slice bytes = sim_client_received(argument);
    return slice_find(bytes, '\n') < bytes.size || sim_client_state(argument) != SIM_CLIENT_OPEN;
}

/* False: another line, or the end. */
static bool is_told(struct sim_client *client, const char *want)
{
    int result = sim_until(stage.sim, has_line, client, UINT64_C(1000000000) * WAIT_SECONDS);
    check_equal(result, 0);
    struct slice bytes = sim_client_received(client);
    size_t size = slice_find(bytes, '\n');
    bool is_it = size < bytes.size && slice_equal(slice_first(bytes, size + 1), slice_cstr(want));
    if (size < bytes.size)
        sim_client_consume(client, size + 1);
    return is_it;
}

/* To and fro, all said at once, or step by step; true when all went as it should. */
static bool converse(struct sim_client *client, bool at_once)
{
    static const char *const said[] = {"USER u\r\n", "MOVE\r\n", "MOVE\r\n", "MOVE\r\n",
                                       "QUIT\r\n"};
    static const char *const told[] = {"in\r\n", "on 1\r\n", "on 0\r\n", "on 1\r\n", "bye\r\n"};
    bool is_good = is_told(client, "hello\r\n");
    for (unsigned i = 0; i < 5 && at_once; i++)
        sim_client_text(client, said[i]);
    for (unsigned i = 0; i < 5 && is_good; i++) {
        if (!at_once)
            sim_client_text(client, said[i]);
        is_good = is_told(client, told[i]);
    }
    return is_good;
}

static struct sim_client *client_make(void)
{
    sim_connect_core(stage.sim, 0);
    return sim_connect(stage.sim, "192.0.2.9", PORT);
}

static unsigned sweep(unsigned kind, bool at_once, bool is_persistent, uint64_t seed)
{
    unsigned n = 1;
    for (bool has_failed = true; has_failed; n++) {
        check(n < 2000);
        begin(seed);
        sim_fail_nth(stage.sim, kind, n, 0, is_persistent);
        struct sim_client *client = client_make();
        bool is_good = converse(client, at_once);
        has_failed = sim_nth_failed(stage.sim);
        check(has_failed || is_good);
        sim_fail_nth(stage.sim, kind, 0, 0, false);
        sim_client_forget(client);
        check_equal(sim_pass(stage.sim, UINT64_C(1000000000)), 0);
        check(converse(client_make(), at_once));
        end();
    }
    return n - 2;
}

static void sweeps(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        unsigned kind = i % 2 ? SIM_OPERATION_MEMORY : SIM_OPERATION_SOCKET;
        unsigned count = sweep(kind, i % 4 < 2, false, 1 + i / 4);
        print_message("%u %s\n", count, i % 2 ? "allocations" : "socket operations");
        check(count > 5);
    }
}

/* Drained while they move. */
static void drains(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 100; round++) {
        begin(3 + round);
        struct sim_client *clients[8];
        for (unsigned i = 0; i < 8; i++) {
            clients[i] = client_make();
            for (unsigned j = 0; j < (i < 2 ? 1 : 5000); j++) /* the first two stay there */
                sim_client_text(clients[i], i < 4 ? "LATE\r\n" : "MOVE\r\n");
        }
        check_equal(sim_pass(stage.sim, 1000 * sim_below(stage.sim, 30000)), 0);
        stage.late_ns = round % 3 * UINT64_C(20000000);
        if (round % 2)
            sim_fault_set(stage.sim, SIM_FAULT_MOVE_ERROR, 500000);
        if (round % 4 > 1)
            sim_fault_set(stage.sim, SIM_FAULT_LATE_COMPLETION, 300000);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sweeps), cmocka_unit_test(drains)};
    return cmocka_run_group_tests_name("session_sweep", tests, NULL, NULL);
}
