/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each single allocation and each single socket operation of a conversation with SMTP, LMTP and
 * submission (AUTH, a header to complete, a quota), and of LMTP with users elsewhere, fails in turn
 * (S33 and R09 of the list of bad inputs, and what the house promises of failures): the server
 * answers with a temporary failure or the connection ends, nothing that was refused is stored, what
 * was accepted is stored, an honest client who comes next is served, and at the end everything has
 * drained. Store and relay are doubles.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ringpost/smtp.h"

#include "../unit/harness.h"
#include "../unit/relay_double.h"
#include "../unit/store_double.h"
#include "sim.h"

enum { WAIT_SECONDS = 100 };
enum kind { SMTP, LMTP, SUBMISSION, FRONT, KINDS };
static const unsigned ports[KINDS] = {25, 24, 587, 2424};
static const struct session_protocol *const protocols[KINDS] = {
    &smtp_protocol, &lmtp_protocol, &submission_protocol, &lmtp_protocol};
/* u0, "secret" (SHA-512 crypt, as few rounds as there may be) */
static const char passwd[] =
    "u0@example.test:$6$rounds=1000$abcdefgh$nhYjN017qxiYztzyUpZtPnUQcnLy62KsunSLHNeLahp2EHPlAKmFFl"
    "rjEwSXGo2kgY5hR2.peKEg2VGUqIJJu1\n";

static struct backend_states *states;
static struct backend_table *table;
static struct proxy_domain fronted;

static struct stage {
    struct sim *sim;
    struct smtp_options options;
    struct auth_options auth;
    struct service services[KINDS];
    bool is_serving, is_stopping;
} stage;

static int serve(struct core *core, void *argument)
{
    (void)argument;
    check_equal(net_open(core), 0);
    check_equal(auth_open(core, &stage.auth), 0);
    check_equal(sessions_open(core), 0);
    for (int i = 0; i < KINDS; i++)
        check_equal(service_open(core, &stage.services[i]), 0);
    stage.is_serving = true;
    while (!stage.is_stopping)
        fiber_sleep(core, 8000000);
    sessions_drain(core, 10, 1000);
    sessions_close(core);
    auth_close(core);
    for (int i = 0; i < 100 && core_busy(core) > 0; i++)
        fiber_sleep(core, 10000000);
    net_close(core);
    return 0;
}

static bool is_serving(void *argument)
{
    (void)argument;
    return stage.is_serving;
}

static void begin(struct route_table *routes, struct auth_users *users, struct smtp_quotas *quotas)
{
    struct sim_options options;
    sim_options_calm(&options, 1);
    options.in_order = true;
    options.engine = (struct engine_options){.core_count = 1,
                                             .connections_max = 20,
                                             .buffers = 16,
                                             .fibers_max = 20,
                                             .stack_bytes = 65536};
    stage = (struct stage){.options = {.routes = routes,
                                       .fronted = &fronted,
                                       .fronted_count = 1,
                                       .relay_ms_max = 10000,
                                       .message_bytes_max = 100000,
                                       .recipients_max = 10,
                                       .received_max = 50,
                                       .data_ms_max = 10000,
                                       .data_bytes_per_second_min = 1,
                                       .quotas = quotas,
                                       .user_messages_max = 100,
                                       .user_recipients_max = 100,
                                       .user_window_ms = 3600000},
                           .auth = {.users = users,
                                    .mechanisms = 1u << AUTH_PLAIN,
                                    .cache_entries_max = 10,
                                    .cache_ms_max = 60000,
                                    .waiting_max = 5,
                                    .failure_ms_first = 1000,
                                    .failure_ms_max = 4000}};
    for (int i = 0; i < KINDS; i++)
        stage.services[i] = (struct service){
            .protocol = protocols[i],
            .options = &stage.options,
            .host_name = SLICE("mx.example.test"),
            .address = "0.0.0.0",
            .port = ports[i],
            .plain_login_allowed = true,
            .login_ms_max = 1000000,
            .connections_max = 10,
            .connections_per_address_max = 5,
            .idle_ms_max = 20000,
            .command_ms_max = 20000,
            .errors_max = 10,
            .junk_max = 100,
        };
    stage.sim = sim_create(&options);
    check_equal(sim_start(stage.sim), 0);
    check_equal(sim_spawn(stage.sim, 0, serve, NULL, NULL), 0);
    check_equal(sim_until(stage.sim, is_serving, NULL, UINT64_C(10000000000)), 0);
}

static void end(void)
{
    stage.is_stopping = true;
    check_equal(sim_pass(stage.sim, UINT64_C(3000000000)), 0);
    check_equal(store_double.bodies, 0);
    store_double_clear();
    relay_double_reset();
    smtp_quotas_free(stage.options.quotas);
    check_equal(sim_stop(stage.sim), 0);
    if (sim_failure(stage.sim) != NULL)
        harness_failed(__FILE__, __LINE__, sim_failure(stage.sim));
    sim_destroy(stage.sim);
}

/* ---------------------------------------------------------------- clients */

static bool has_line(void *argument)
{
    struct slice bytes = sim_client_received(argument);
    return slice_find(bytes, '\n') < bytes.size || sim_client_state(argument) != SIM_CLIENT_OPEN;
}

/* The code of the next reply (its last line); 0: the connection has ended. */
static unsigned reply(struct sim_client *client)
{
    for (;;) {
        int result = sim_until(stage.sim, has_line, client, UINT64_C(1000000000) * WAIT_SECONDS);
        check_equal(result, 0);
        struct slice bytes = sim_client_received(client);
        size_t lf = slice_find(bytes, '\n');
        uint64_t code;
        if (lf == bytes.size)
            return 0;
        check(lf > 4 && bytes.data[lf - 1] == '\r');
        check(slice_number(slice_first(bytes, 3), 999, &code));
        bool is_last = bytes.data[3] == ' ';
        sim_client_consume(client, lf + 1);
        if (is_last)
            return (unsigned)code;
    }
}

static unsigned ask(struct sim_client *client, const char *text)
{
    sim_client_text(client, text);
    return reply(client);
}

/* A reply that a failure may lead to. */
static bool is_fair(unsigned code, unsigned good)
{
    if (code != good && code != 0 && code / 100 != 4)
        fprintf(stderr, "reply %u instead of %u\n", code, good);
    check(code == good || code == 0 || code / 100 == 4);
    return code == good;
}

/* How many have what was acknowledged to its second recipient: crew is two. */
static unsigned second_worth(enum kind kind)
{
    return kind == FRONT ? 2 : 1;
}

/* One transaction by DATA and one by BDAT; how many messages were acknowledged to a recipient, and
 * whether a reply is missing (then one more may be stored). */
static unsigned converse(struct sim_client *client, enum kind kind, unsigned *ret_missing)
{
    bool is_lmtp = protocols[kind] == &lmtp_protocol;
    char flood[30000];
    unsigned acknowledged = 0;
    *ret_missing = 0;
    memset(flood, 'x', sizeof flood);
    if (!is_fair(reply(client), 220) ||
        !is_fair(ask(client, is_lmtp ? "LHLO c\r\n" : "EHLO c\r\n"), 250))
        return 0;
    if (kind == SUBMISSION &&
        !is_fair(ask(client, "AUTH PLAIN AHUwQGV4YW1wbGUudGVzdABzZWNyZXQ=\r\n"), 235))
        return 0;
    for (int bdat = 0; bdat < 2; bdat++) {
        unsigned recipients = 0, worths[2], second = second_worth(kind);
        (void)is_fair(ask(client, "RSET\r\n"), 250);
        if (!is_fair(ask(client, "MAIL FROM:<u0@example.test> ENVID=1 AUTH=a@b.test\r\n"), 250))
            continue;
        if (is_fair(ask(client, "RCPT TO:<u0@example.test> NOTIFY=NEVER\r\n"), 250))
            worths[recipients++] = 1;
        if (is_fair(ask(client, kind == FRONT ? "RCPT TO:<crew@example.test> NOTIFY=DELAY\r\n"
                                              : "RCPT TO:<\"u1\"@example.test>\r\n"),
                    250))
            worths[recipients++] = second;
        if (recipients == 0)
            continue;
        if (bdat && !is_fair(ask(client, "BDAT 6\r\nA: b\r\n"), 250))
            continue;
        if (!bdat && !is_fair(ask(client, "DATA\r\n"), 354))
            continue;
        if (bdat)
            sim_client_text(client, "BDAT 30000 LAST\r\n");
        sim_client_send(client, flood, sizeof flood);
        if (!bdat)
            sim_client_text(client, "\r\n.\r\n");
        for (unsigned i = 0; i < (is_lmtp ? recipients : 1); i++) {
            unsigned code = reply(client);
            unsigned worth = is_lmtp ? worths[i] : recipients;
            acknowledged += is_fair(code, 250) ? worth : 0;
            if (code / 100 != 2)
                *ret_missing += worth; /* of two, one may be stored: store_deliver's own affair */
        }
    }
    (void)is_fair(ask(client, "QUIT\r\n"), 221);
    return acknowledged;
}

static void honest(void)
{
    unsigned missing, before = store_double.count;
    struct sim_client *client = sim_connect(stage.sim, "192.0.2.9", ports[SMTP]);
    check_equal(sim_client_state(client), SIM_CLIENT_OPEN);
    check_equal(converse(client, SMTP, &missing), 4);
    check_equal(store_double.count, before + 4);
}

/* Returns how often something failed. */
static unsigned sweep(struct route_table *routes, struct auth_users *users, unsigned operation,
                      enum kind kind)
{
    unsigned n = 1;
    for (bool has_failed = true; has_failed; n++) {
        check(n < 5000);
        struct smtp_quotas *quotas;
        store_double_reset();
        check_equal(smtp_quotas_create(1, &quotas), 0);
        begin(routes, users, quotas);
        sim_fail_nth(stage.sim, operation, n, 0, false);
        struct sim_client *client = sim_connect(stage.sim, "192.0.2.9", ports[kind]);
        unsigned missing = 0, acknowledged = converse(client, kind, &missing);
        has_failed = sim_nth_failed(stage.sim);
        sim_fail_nth(stage.sim, operation, 0, 0, false);
        sim_client_forget(client);
        unsigned kept = store_double.count + relay_double.saved;
        check(kept >= acknowledged);
        check(kept <= acknowledged + missing);
        check(has_failed || acknowledged == 2 * (1 + second_worth(kind)));
        check_equal(sim_pass(stage.sim, UINT64_C(1000000000)), 0);
        honest();
        end();
    }
    return n - 2;
}

static void backend_problem(void *argument, const char *what)
{
    (void)argument;
    harness_failed(__FILE__, __LINE__, what);
}

static void backends_make(void)
{
    static const struct backend_options backend = {
        .name = {"one", 3}, .family = 4, .ports = {[BACKEND_LMTP] = 24}, .weight = 100};
    static const struct backend_pool_options pool = {.name = {"far", 3},
                                                     .backends = &backend,
                                                     .backend_count = 1,
                                                     .judges = true,
                                                     .connect_ms_max = 1000,
                                                     .login_ms_max = 1000};
    check_equal(backend_states_make(1, &states), 0);
    check_equal(backend_table_make(states, &pool, 1, backend_problem, NULL, &table), 0);
    fronted = (struct proxy_domain){SLICE("far.test"), backend_pool_find(table, SLICE("far"))};
}

static struct route_table *routes_make(void)
{
    struct route_table *routes;
    struct route_domain_options plain = {.detail_mailbox = false};
    struct route_domain_options far = {.users_elsewhere = true};
    struct slice crew = SLICE("crew@example.test");
    check_equal(route_create(&routes), 0);
    check_equal(route_add_domain(routes, SLICE("example.test"), &plain), 0);
    check_equal(route_add_user(routes, SLICE("u0@example.test")), 0);
    check_equal(route_add_user(routes, SLICE("u1@example.test")), 0);
    check_equal(route_add_domain(routes, SLICE("far.test"), &far), 0);
    check_equal(route_add_alias(routes, crew, SLICE("u1@example.test")), 0);
    check_equal(route_add_alias(routes, crew, SLICE("anna@far.test")), 0);
    return routes;
}

static void problem(void *argument, unsigned line, const char *what)
{
    (void)argument, (void)line;
    harness_failed(__FILE__, __LINE__, what);
}

static void sweeps(void **state)
{
    (void)state;
    struct route_table *routes = routes_make();
    struct auth_users *users;
    backends_make();
    check_equal(auth_users_parse(slice_cstr(passwd), problem, NULL, &users), 0);
    for (enum kind kind = SMTP; kind < KINDS; kind++) {
        unsigned memory = sweep(routes, users, SIM_OPERATION_MEMORY, kind);
        unsigned sockets = sweep(routes, users, SIM_OPERATION_SOCKET, kind);
        print_message("%u allocations, %u socket operations\n", memory, sockets);
        check(memory > 20 && sockets > 10);
    }
    auth_users_free(users);
    route_free(routes);
    backend_table_free(table);
    backend_states_free(states);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sweeps)};
    return cmocka_run_group_tests_name("smtp_sweep", tests, NULL, NULL);
}
