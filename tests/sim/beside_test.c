/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The least that a client beside the gateway does: it connects to the port of SMTP, reads the
 * greeting, says QUIT, and hears the end. Then a message, which is there afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../unit/dial_client.h"
#include "beside.h"

enum { PORT_SMTP = 25, PORT_POP3 = PORT_SMTP + 2, SEEDS = 30 };
static const uint64_t SECOND_NS = UINT64_C(1000000000);

static void ask(struct dialed *client, const char *says, const char *begins)
{
    struct slice line;
    stream_write(&client->stream, slice_cstr(says));
    check_equal(stream_read_line(&client->stream, 1000, &line), 0);
    if (!slice_equal(slice_first(line, strlen(begins)), slice_cstr(begins)))
        fprintf(stderr, "got: %.*s, want: %s\n", (int)line.size, line.data, begins);
    check(slice_equal(slice_first(line, strlen(begins)), slice_cstr(begins)));
}

static void enter(struct core *core, struct dialed *client, unsigned port)
{
    struct stream_target target = target_v4(port);
    check_equal(dial(core, client, &target, 60 * SECOND_NS), 0);
    stream_deadline(&client->stream, core_now_ns(core) + 600 * SECOND_NS);
}

static void leave(struct dialed *client, const char *begins)
{
    struct slice line;
    ask(client, "QUIT\r\n", begins);
    check_equal(stream_read_line(&client->stream, 1000, &line), -EPIPE);
    dialed_close(client);
}

static int greet(struct core *core, void *argument)
{
    (void)argument;
    struct dialed client;
    enter(core, &client, PORT_SMTP);
    ask(&client, "", "220 mx.example.org");
    leave(&client, "221 ");
    return 0;
}

static int deliver(struct core *core, void *argument)
{
    (void)argument;
    struct dialed client;
    enter(core, &client, PORT_SMTP);
    ask(&client, "", "220 ");
    ask(&client, "HELO client.example\r\n", "250 ");
    ask(&client, "MAIL FROM:<sender@client.example>\r\n", "250 ");
    ask(&client, "RCPT TO:<anna@example.org>\r\n", "250 ");
    ask(&client, "DATA\r\n", "354 ");
    ask(&client, "Subject: beside\r\n\r\nhello\r\n.\r\n", "250 ");
    leave(&client, "221 ");
    return 0;
}

/* On core 0: as many messages as there are cores. */
static int fetch(struct core *core, void *argument)
{
    char want[40];
    struct dialed client;
    if (core_index(core) != 0)
        return 0;
    enter(core, &client, PORT_POP3);
    ask(&client, "", "+OK");
    ask(&client, "USER anna@example.org\r\n", "+OK");
    ask(&client, "PASS secret\r\n", "+OK");
    snprintf(want, sizeof want, "+OK %u ", *(const unsigned *)argument);
    ask(&client, "STAT\r\n", want);
    leave(&client, "+OK");
    return 0;
}

static void options_of(struct sim_options *options, uint64_t seed)
{
    sim_options_calm(options, seed);
    options->in_order = seed == 0;
    options->engine.core_count = 1 + (unsigned)seed % 3;
    if (seed % 2 == 1) { /* what a correct program hides */
        options->faults[SIM_FAULT_SHORT_SEND] = 50000;
        options->faults[SIM_FAULT_SHORT_RECV] = 50000;
        options->faults[SIM_FAULT_MULTISHOT_END] = 20000;
        options->faults[SIM_FAULT_ENTER_PARTIAL] = 20000;
        options->faults[SIM_FAULT_LATE_COMPLETION] = 20000;
    }
}

static void greeting(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct beside beside;
        struct sim_options options;
        options_of(&options, seed);
        beside_begin(&beside, &options, PORT_SMTP);
        check_equal(beside_run(&beside, greet, NULL), 0);
        check(sim_count(beside.sim, SIM_COUNT_ACCEPTS) >= beside.cores);
        beside_end(&beside);
    }
}

static void message(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct beside beside;
        struct sim_options options;
        options_of(&options, seed);
        beside_begin(&beside, &options, PORT_SMTP);
        check_equal(beside_run(&beside, deliver, NULL), 0);
        check_equal(beside_run(&beside, fetch, &beside.cores), 0);
        beside_end(&beside);
    }
}

static void same(void **state)
{
    (void)state;
    uint64_t traces[2];
    for (unsigned i = 0; i < 2; i++) {
        struct beside beside;
        struct sim_options options;
        options_of(&options, 5);
        beside_begin(&beside, &options, PORT_SMTP);
        check_equal(beside_run(&beside, deliver, NULL), 0);
        traces[i] = sim_trace_hash(beside.sim);
        beside_end(&beside);
    }
    check(traces[0] == traces[1] && traces[0] != 0);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {cmocka_unit_test(greeting), cmocka_unit_test(message),
                                      cmocka_unit_test(same)};
    return cmocka_run_group_tests_name("beside", list, NULL, NULL);
}

int main(void)
{
    setenv("WORLDS", "1", 1); /* the worlds are the tests' own */
    return harness_main(tests);
}
