/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mail all the way through a process without a store: SMTP and LMTP sessions, the real relay, two
 * mail stores of the test's own (relay_host.h). What each recipient's answer was, which backend has
 * the message, how often anybody was asked. Runs on the real kernel and on the simulator
 * (harness.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "line_client.h"
#include "relay_host.h"
#include "ringpost/smtp.h"
#include "ringpost/store.h"
#include "service_host.h"

enum { BACKENDS = 2, USERS = 3 };
/* Of this process, so that tests can run side by side. */
static unsigned port_of(unsigned service)
{
    return 28400 + (unsigned)getpid() % 100 * 2 + service;
}

static struct stage {
    struct relay_world world;
    struct listener *listeners[LMTP_BACKENDS];
    struct auth_options auth;
    struct route_table *routes;
    struct proxy_domain domain;
    struct smtp_options options;
    struct service lmtp, smtp;
    struct host *host;
    char names[BACKENDS][USERS][40]; /* of users of each */
} * stage;

static int open_all(struct core *core)
{
    struct slice domain = SLICE("example.com");
    check_equal(store_open_bodies(core), 0);
    check_equal(store_state(core), -ENODEV);
    check_equal(auth_open(core, &stage->auth), 0);
    check_equal(lmtp_open(core, stage->listeners), 0);
    check_equal(backends_open(core, stage->world.states, stage->world.table), 0);
    check_equal(relay_open(core, &stage->world.relay), 0);
    for (unsigned i = 0; i < BACKENDS; i++)
        for (unsigned j = 0; j < USERS; j++)
            name_of(core, &stage->world, i, j, stage->names[i][j]);
    stage->domain = (struct proxy_domain){domain, stage->world.pool};
    return 0;
}

static void close_all(struct core *core)
{
    relay_close(core);
    backends_close(core);
    lmtp_close(core, stage->listeners);
    auth_close(core);
    store_close(core);
}

static void make_services(void)
{
    static const struct network loopback = {.address = {127}, .family = 4, .bits = 8};
    struct relay_world *world = &stage->world;
    stage->options = (struct smtp_options){
        .routes = stage->routes,
        .fronted = &stage->domain,
        .fronted_count = 1,
        .verify_ms_max = world->relay.verify_ms_max,
        .relay_ms_max = world->relay.deliver_ms_max,
        .message_bytes_max = 1000000,
        .recipients_max = 20,
        .received_max = 50,
        .data_ms_max = 5000,
        .data_bytes_per_second_min = 500,
    };
    stage->lmtp = (struct service){
        .protocol = &lmtp_protocol,
        .options = &stage->options,
        .host_name = SLICE("mx.example.test"),
        .address = "127.0.0.1",
        .port = port_of(0),
        .connections_max = 200,
        .login_ms_max = 1000,
        .idle_ms_max = 20000,
        .command_ms_max = 5000,
        .errors_max = 50,
        .junk_max = 100,
        .unlimited = {&loopback, 1}, /* worlds without buffers are not to hurry anybody here */
    };
    stage->smtp = stage->lmtp;
    stage->smtp.protocol = &smtp_protocol;
    stage->smtp.port = port_of(1);
}

static void begin(unsigned dead)
{
    struct route_domain_options options = {.separator = SLICE("+"), .users_elsewhere = true};
    stage = calloc(1, sizeof *stage);
    check(stage != NULL);
    memset(&lmtp, 0, sizeof lmtp);
    relay_world_make(&stage->world, BACKENDS);
    stage->world.dead = dead;
    stage->world.options.judges = true;
    relay_world_table(&stage->world, 1);
    check_equal(route_create(&stage->routes), 0);
    check_equal(route_add_domain(stage->routes, SLICE("example.com"), &options), 0);
    stage->auth = (struct auth_options){.waiting_max = 20};
    make_services();
    const struct host_options host = {.services = {&stage->lmtp, &stage->smtp},
                                      .core_count = 1,
                                      .fibers_max = 100,
                                      .connects = true,
                                      .open = open_all,
                                      .close = close_all};
    stage->host = host_begin(&host);
}

static void end(void)
{
    host_end(stage->host);
    backend_table_free(stage->world.table);
    backend_states_free(stage->world.states);
    route_free(stage->routes);
    free(stage);
}

/* ---------------------------------------------------------------- a client */

static int greeted(bool is_lmtp)
{
    char line[1000];
    int client = client_open(port_of(is_lmtp ? 0 : 1));
    client_expect_like(client, "220 *");
    client_say(client, is_lmtp ? "LHLO client.test\r\n" : "EHLO client.test\r\n");
    do
        client_line(client, line, sizeof line);
    while (line[3] == '-');
    client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 2.1.0 *");
    return client;
}

static void rcpt(int client, const char *name, const char *pattern)
{
    char text[200];
    snprintf(text, sizeof text, "RCPT TO:<%s@example.com>\r\n", name);
    client_ask(client, text, pattern);
}

static void send_message(int client, const char *first_pattern)
{
    client_ask(client, "DATA\r\n", "354 *");
    client_ask(client, "Subject: x\r\n\r\n..dots\r\n\303\274\r\n.\r\n", first_pattern);
}

static void quit(int client)
{
    client_ask(client, "QUIT\r\n", "221 *");
    client_expect_end(client);
}

/* The backend that has it for `name`, by the last record; BACKENDS: none has. */
static unsigned where_is(const char *name, const struct lmtp_record **ret_record)
{
    size_t size = strlen(name);
    for (unsigned i = lmtp.record_count; i-- > 0;)
        if (strncmp(lmtp.records[i].to, name, size) == 0 && lmtp.records[i].to[size] == '@') {
            *ret_record = &lmtp.records[i];
            return lmtp.records[i].backend;
        }
    return BACKENDS;
}

/* ---------------------------------------------------------------- bodies */

static enum lmtp_deed by_name(unsigned backend, enum lmtp_step step, struct slice to)
{
    (void)backend;
    if (step == LMTP_RCPT && slice_starts_nocase(to, SLICE("nobody")))
        return LMTP_NO;
    if (step == LMTP_END && slice_starts_nocase(to, SLICE("full")))
        return LMTP_NO;
    if (step == LMTP_END && slice_starts_nocase(to, SLICE("late")))
        return LMTP_LATER;
    return LMTP_PLAYS;
}

/* S37, X09: one transaction for users of both, some of whom do not get it. */
static void shared(void **state)
{
    (void)state;
    const struct lmtp_record *records[4];
    begin(0);
    lmtp.deed = by_name;
    int client = greeted(true);
    const char *one = stage->names[0][0], *other = stage->names[1][0];
    char detailed[50];
    snprintf(detailed, sizeof detailed, "%s+x", stage->names[1][1]);
    rcpt(client, one, "250 2.1.5 *");
    rcpt(client, "nobody", "550 *");
    rcpt(client, "late", "250 2.1.5 *");
    rcpt(client, other, "250 2.1.5 *");
    rcpt(client, "full", "250 2.1.5 *");
    rcpt(client, detailed, "250 2.1.5 *");
    send_message(client, "250 *");
    client_expect_like(client, "451 *");
    client_expect_like(client, "250 *");
    client_expect_like(client, "550 *");
    client_expect_like(client, "250 *");
    check_equal(where_is(one, &records[0]), 0);
    check_equal(where_is(other, &records[1]), 1);
    check_equal(where_is(detailed, &records[2]), 1);
    check_equal(where_is("nobody", &records[3]), BACKENDS);
    check(records[0]->crc == records[1]->crc && records[1]->crc == records[2]->crc);
    check(records[0]->size == records[1]->size && records[0]->size > 100);
    check(strcmp(lmtp.from, "s@client.test") == 0);
    /* who is known, or not, is not asked about again */
    unsigned asked = lmtp.asked[0] + lmtp.asked[1];
    client_ask(client, "MAIL FROM:<>\r\n", "250 *");
    rcpt(client, "nobody", "550 *");
    rcpt(client, other, "250 2.1.5 *");
    check_equal(lmtp.asked[0] + lmtp.asked[1], asked);
    send_message(client, "250 *");
    quit(client);
    end();
}

/* S37 (RFC 2033, 4.2): an answer for each RCPT, also when they are the same; he has one copy. */
static void twice(void **state)
{
    (void)state;
    begin(0);
    lmtp.deed = by_name;
    int client = greeted(true);
    const char *const names[] = {stage->names[0][0], "late", stage->names[0][0], "full", "late",
                                 stage->names[0][0]};
    static const char *const answers[] = {"250 *", "451 *", "250 *", "550 *", "451 *", "250 *"};
    for (int i = 0; i < 6; i++)
        rcpt(client, names[i], "250 2.1.5 *");
    send_message(client, answers[0]);
    for (int i = 1; i < 6; i++)
        client_expect_like(client, answers[i]);
    check_equal(lmtp.record_count, 1);
    quit(client);
    end();
}

/* SMTP has one answer, which is the one recipient's. */
static void single(void **state)
{
    (void)state;
    const struct lmtp_record *record;
    begin(0);
    lmtp.deed = by_name;
    static const char *const failing[][2] = {{"late", "451 *"}, {"full", "550 *"}};
    int client = greeted(false);
    rcpt(client, stage->names[0][0], "250 2.1.5 *");
    rcpt(client, stage->names[1][0], "452 4.5.3 *");
    send_message(client, "250 *");
    check_equal(where_is(stage->names[0][0], &record), 0);
    check_equal(where_is(stage->names[1][0], &record), BACKENDS);
    for (int i = 0; i < 2; i++) {
        client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
        rcpt(client, failing[i][0], "250 2.1.5 *");
        send_message(client, failing[i][1]);
    }
    quit(client);
    end();
}

/* What came in chunks goes on by DATA, or in chunks; what cannot go on is said, for good. */
static void kinds(void **state)
{
    (void)state;
    static const char *const mails[] = {"MAIL FROM:<s@client.test> BODY=8BITMIME\r\n",
                                        "MAIL FROM:<s@client.test> BODY=BINARYMIME\r\n",
                                        "MAIL FROM:<s@client.test> SMTPUTF8\r\n"};
    static const char *const answers[2][3] = {{"250 *", "554 5.6.1 *", "553 5.6.7 *"},
                                              {"250 *", "554 5.6.1 *", "553 5.6.7 *"}};
    const struct lmtp_record *record;
    begin(0);
    const char *name = stage->names[0][0];
    int client = greeted(true);
    for (int chunking = 0; chunking < 2; chunking++) {
        lmtp.with_chunking = chunking;
        for (int i = 0; i < 3; i++) {
            unsigned before = lmtp.record_count;
            bool is_taken = answers[chunking][i][0] == '2';
            client_ask(client, "RSET\r\n", "250 *");
            client_ask(client, mails[i], "250 *");
            rcpt(client, name, "250 2.1.5 *");
            client_ask(client, "BDAT 7\r\nA: \303\274\r\n", "250 *");
            client_ask(client, "BDAT 6 LAST\r\n\r\n.\r\n\303", answers[chunking][i]);
            check_equal(lmtp.record_count, before + is_taken);
        }
    }
    check_equal(where_is(name, &record), 0);
    quit(client);
    end();
}

/* What is not there takes nothing with it; and what hangs no longer than it may. */
static void down(void **state)
{
    (void)state;
    const struct lmtp_record *record;
    begin(1);
    int client = greeted(true);
    rcpt(client, stage->names[1][0], "250 2.1.5 *");
    rcpt(client, stage->names[0][0], "2*"); /* his is dead: he may be given the other */
    send_message(client, "250 *");
    client_expect_like(client, "250 *");
    check_equal(where_is(stage->names[1][0], &record), 1);
    check_equal(where_is(stage->names[0][0], &record), 1);
    lmtp.plan[1] = (struct lmtp_plan){.at = LMTP_END, .deed = LMTP_HANGS, .times = 1};
    client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
    rcpt(client, stage->names[1][0], "250 2.1.5 *");
    send_message(client, "451 *");
    lmtp.plan[1] = (struct lmtp_plan){.at = LMTP_END, .deed = LMTP_CLOSES, .times = 1};
    client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
    rcpt(client, stage->names[1][0], "250 2.1.5 *");
    send_message(client, "451 *");
    client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
    rcpt(client, stage->names[1][0], "250 2.1.5 *");
    send_message(client, "250 *");
    quit(client);
    end();
}

static int all_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared), cmocka_unit_test(twice), cmocka_unit_test(single),
        cmocka_unit_test(kinds),  cmocka_unit_test(down),
    };
    return cmocka_run_group_tests_name("smtp_relay", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(all_tests);
}
