/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Joined streams while things fail: each single operation and each single allocation of a
 * conversation through a front in turn, in clear and under TLS on either side; a close of any of
 * the parties at every moment; and what an idle pair holds. Whatever happens, what arrives is a
 * prefix of what was sent, nothing is left (the world's end sees to that), and the next client is
 * served.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../unit/join_host.h"
#include "sim.h"

static struct plan {
    uint64_t nth; /* which operation fails; 0: none */
    unsigned kinds;
    unsigned legs;        /* 1: TLS to the client, 2: to the back end */
    unsigned close_us;    /* when something is closed; 0: never */
    unsigned close_which; /* client, front's client, front's back, both of them in one turn */
    bool has_failed, is_whole;
} plan;

enum { BULK = 150000 };

struct closing {
    struct front *front;
    struct dialed *client;
};

static void close_now(void *argument)
{
    struct closing *closing = argument;
    struct pair *pair = closing->front->last;
    if (plan.close_which == 0)
        stream_close(&closing->client->stream);
    if (pair == NULL || !pair->is_joined)
        return;
    if (plan.close_which & 1)
        stream_close(&pair->client);
    if (plan.close_which & 2)
        stream_close(&pair->back);
}

/* Pattern up and down with an echo on both ends; false: it ended early, and nothing was wrong until
 * then. */
static bool converse(struct dialed *client)
{
    static const char says[] = "hello\r\nwrite 150000\r\nsend 150000\r\nquit\r\n";
    struct slice bytes;
    uint64_t at = 0;
    enum { HEAD = 7, ONE = 7 + BULK + 5, WHOLE = HEAD + 2 * ONE + 5 };
    static char want[WHOLE];
    if (want[0] == '\0') {
        memcpy(want, "hello\r\n", 7);
        for (unsigned i = 0; i < 2; i++) {
            memcpy(want + HEAD + i * ONE, "begin\r\n", 7);
            pattern_fill(want + HEAD + i * ONE + 7, BULK, 0);
            memcpy(want + HEAD + i * ONE + 7 + BULK, "end\r\n", 5);
        }
        memcpy(want + WHOLE - 5, "bye\r\n", 5);
    }
    stream_deadline(&client->stream, core_now_ns(client->stream.core) + 30 * SECOND_NS);
    stream_write(&client->stream, slice_cstr(says));
    while (stream_peek(&client->stream, &bytes) == 0) {
        check(bytes.size <= WHOLE - at);
        check(memcmp(want + at, bytes.data, bytes.size) == 0);
        at += bytes.size;
        stream_consume(&client->stream, bytes.size);
    }
    return at == WHOLE;
}

static void visit_body(struct core *core, struct world *world)
{
    (void)world;
    struct sim *sim = harness_sim();
    struct dialed client;
    struct tls_client_options options = verifying(false);
    options.alpn = NULL;
    struct tls_client *tls = made_client(core, &options);
    struct front front = {.is_secure = plan.legs & 1, .tls = plan.legs & 2 ? tls : NULL};
    struct closing closing = {.front = &front, .client = &client};
    front_open(&front, core);
    for (unsigned i = 0; i < 2; i++) { /* and the next one, by herself */
        check_equal(front_dial(&front, &client, front.is_secure ? tls : NULL), 0);
        check_equal(stream_is_joined(&front_joined(&front)->client), true);
        if (i == 0 && plan.nth > 0)
            sim_fail_nth(sim, plan.kinds, plan.nth, 0, false);
        if (i == 0 && plan.close_us > 0)
            core_alarm(core, core_now_ns(core) + plan.close_us * 1000ull, close_now, &closing);
        bool is_whole = converse(&client);
        if (i == 0) {
            plan.is_whole = is_whole;
            plan.has_failed = plan.nth > 0 && sim_nth_failed(sim);
            sim_fail_nth(sim, plan.kinds, 0, 0, false);
            core_alarm(core, UINT64_MAX, close_now, &closing);
        }
        check(is_whole || (i == 0 && (plan.has_failed || plan.close_us > 0)));
        dialed_close(&client);
    }
    front_close(&front);
    tls_client_free(tls);
}

/* How many conversations were cut short. */
static unsigned sweep(unsigned kinds, unsigned legs)
{
    unsigned short_ones = 0;
    plan = (struct plan){.kinds = kinds, .legs = legs, .has_failed = true};
    for (; plan.has_failed || plan.nth <= 1; plan.nth++) {
        struct world world = {.body = visit_body};
        run(&world);
        short_ones += !plan.is_whole;
        check(plan.nth < 3000);
    }
    print_message("  legs %u: %llu tried, %u short\n", legs, (unsigned long long)plan.nth,
                  short_ones);
    return short_ones;
}

static void operations(void **state)
{
    (void)state;
    for (unsigned legs = 0; legs < 4; legs++)
        check(sweep(SIM_OPERATION_SOCKET, legs) > 5);
}

static void allocations(void **state)
{
    (void)state;
    for (unsigned legs = 0; legs < 4; legs++)
        sweep(SIM_OPERATION_MEMORY, legs);
}

/* X14 */
static void closes(void **state)
{
    (void)state;
    unsigned short_ones = 0, whole = 0;
    for (unsigned legs = 0; legs < 4; legs++)
        for (unsigned which = 0; which < 4; which++)
            for (unsigned us = 20; us < 4000; us += us / 16 + 5) {
                plan = (struct plan){.legs = legs, .close_us = us, .close_which = which};
                struct world world = {.body = visit_body};
                run(&world);
                short_ones += !plan.is_whole;
                whole += plan.is_whole;
            }
    print_message("  %u short, %u whole\n", short_ones, whole);
    check(short_ones > 300);
}

/* The two streams, and nothing else. */
static void idle_body(struct core *core, struct world *world)
{
    (void)world;
    struct sim *sim = harness_sim();
    struct front front = {0};
    struct dialed client;
    front_open(&front, core);
    for (unsigned i = 0; i < 2; i++) { /* the pools are filled by the first */
        check_equal(front_dial(&front, &client, NULL), 0);
        const struct pair *pair = front_joined(&front);
        check_equal(buffer_lent(core), 0);
        uint64_t before = sim_memory_live(sim);
        front_bulk(&client, 100000);
        stream_deadline(&client.stream, 0);
        fiber_sleep(core, SECOND_NS);
        check(pair->client.input == NULL && pair->client.output == NULL);
        check(pair->client.passage == NULL && pair->client.line == NULL);
        check(pair->back.input == NULL && pair->back.output == NULL);
        check(pair->back.passage == NULL && pair->back.line == NULL);
        check_equal(core_counters(core)->value[COUNTER_FIBERS_ACTIVE], 1); /* this */
        uint64_t after = sim_memory_live(sim);
        check(i == 0 || after <= before + 4096 + 1024); /* client's and server's last lines */
        dialed_quit(&client);
    }
    print_message("  a stream: %zu bytes\n", sizeof client.stream);
    check(sizeof client.stream <= 768);
    front_close(&front);
}

static void idle(void **state)
{
    (void)state;
    struct world world = {.body = idle_body};
    run(&world);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {cmocka_unit_test(idle), cmocka_unit_test(closes),
                                      cmocka_unit_test(operations), cmocka_unit_test(allocations)};
    return cmocka_run_group_tests_name("join_sweep", list, NULL, NULL);
}

int main(void)
{
    harness_library(tls_library_open, tls_library_close);
    setenv("WORLDS", "2", 0);
    return harness_main(tests);
}
