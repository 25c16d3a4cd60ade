/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RCPT to users whom a directory knows: 250, 550 and 451 are never confused (rows A11, A13). What
 * it says of users elsewhere goes with the mail for them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "directory_double.h"
#include "relay_double.h"
#include "smtp_fixture.h"
#include "store_double.h"

static struct {
    struct directory_double directory;
    struct auth_options options;
    struct backend_states *states;
    struct backend_table *table;
    struct proxy_domain domain;
} known;

static int open_auth(struct core *core)
{
    return auth_open(core, &known.options);
}

static void change(struct smtp_fixture *fixture)
{
    struct route_domain_options options = {.separator = SLICE("+"), .users_elsewhere = true};
    check_equal(route_add_domain(fixture->routes, SLICE("else.test"), &options), 0);
    struct slice list = SLICE("list@else.test");
    check_equal(route_add_alias(fixture->routes, list, SLICE("ann@else.test")), 0);
    check_equal(route_add_alias(fixture->routes, list, SLICE("gone@else.test")), 0);
    check_equal(route_add_alias(fixture->routes, list, SLICE("u0@example.test")), 0);
    check_equal(route_add_alias(fixture->routes, SLICE("void@else.test"), SLICE("gone@else.test")),
                0);
    options.catch_all = SLICE("ann");
    check_equal(route_add_domain(fixture->routes, SLICE("all.test"), &options), 0);
    double_open(&known.directory, false);
    double_add(&known.directory, "ann@else.test", "x");
    double_add(&known.directory, "bob@else.test", "x")->canonical = "robert@else.test";
    double_add(&known.directory, "ann@all.test", "x");
    known.options = (struct auth_options){.directories = &known.directory.directory,
                                          .directory_count = 1,
                                          .cache_entries_max = 100,
                                          .cache_ms_max = 60000,
                                          .negative_ms_max = 60000,
                                          .waiting_max = 20};
    fixture->open = open_auth;
    fixture->close = auth_close;
}

static void rcpt(int client, const char *address, const char *pattern)
{
    char text[200];
    snprintf(text, sizeof text, "RCPT TO:<%s>\r\n", address);
    client_ask(client, text, pattern);
}

static void recipients(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, change);
    int client = smtp_hello(SMTP_PORT);
    client_ask(client, "MAIL FROM:<a@b.test>\r\n", "250 *");
    rcpt(client, "Ann@ELSE.test", "250 2.1.5 *");
    rcpt(client, "bob@else.test", "250 2.1.5 *");
    rcpt(client, "ann+x@else.test", "250 2.1.5 *");
    rcpt(client, "gone@else.test", "550 5.1.1 *");
    rcpt(client, "\"*)(uid=*\"@else.test", "550 5.1.1 *"); /* A04 */
    rcpt(client, "list@else.test", "250 2.1.5 *");
    rcpt(client, "void@else.test", "550 5.1.1 *");
    rcpt(client, "gone@all.test", "250 2.1.5 *"); /* the catch-all */
    rcpt(client, "u0@example.test", "250 2.1.5 *");
    rcpt(client, "nobody@example.test", "550 5.1.1 *");
    rcpt(client, "ann@other.test", "550 5.7.1 *");
    double_set(&known.directory, DOUBLE_DOWN);
    rcpt(client, "new@else.test", "451 4.4.3 *");
    rcpt(client, "carl+x@else.test", "451 4.4.3 *");
    rcpt(client, "new@all.test", "451 4.4.3 *");
    rcpt(client, "ann@else.test", "250 2.1.5 *"); /* still known */
    rcpt(client, "gone@else.test", "550 5.1.1 *");
    double_set(&known.directory, DOUBLE_BAD_NAME);
    rcpt(client, "odd@else.test", "451 4.4.3 *");
    smtp_quit(client);
    smtp_end(&fixture);
}

/* Mail goes to the canonical name, once. */
static void canonical(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, change);
    int client = smtp_hello(SMTP_PORT);
    client_ask(client, "MAIL FROM:<a@b.test>\r\n", "250 *");
    rcpt(client, "bob@else.test", "250 2.1.5 *");
    client_ask(client, "DATA\r\n", "354 *");
    client_ask(client, "Subject: x\r\n\r\nx\r\n.\r\n", "250 *");
    smtp_quit(client);
    check(store_double_find("robert@else.test", "INBOX", 0) != NULL);
    check(store_double_find("bob@else.test", "INBOX", 0) == NULL);
    store_double_clear();
    smtp_end(&fixture);
}

static void problem(void *argument, const char *what)
{
    (void)argument;
    fprintf(stderr, "pools: %s\n", what);
}

static void change_away(struct smtp_fixture *fixture)
{
    static const struct backend_options backend = {
        .name = {"one", 3}, .family = 4, .ports = {[BACKEND_LMTP] = 24}, .weight = 100};
    static const struct backend_pool_options pool = {.name = {"pool", 4},
                                                     .backends = &backend,
                                                     .backend_count = 1,
                                                     .connect_ms_max = 1000,
                                                     .login_ms_max = 1000};
    struct route_domain_options options = {.separator = SLICE("+"), .users_elsewhere = true};
    change(fixture);
    relay_double_reset();
    check_equal(route_add_domain(fixture->routes, SLICE("away.test"), &options), 0);
    check_equal(backend_states_make(1, &known.states), 0);
    check_equal(backend_table_make(known.states, &pool, 1, problem, NULL, &known.table), 0);
    known.domain =
        (struct proxy_domain){SLICE("away.test"), backend_pool_find(known.table, SLICE("pool"))};
    fixture->options.fronted = &known.domain;
    fixture->options.fronted_count = 1;
    fixture->options.relay_ms_max = 1000;
    struct double_user *user = double_add(&known.directory, "carl@away.test", "x");
    user->canonical = "charles@away.test";
    user->attributes = "pass=geheim\nbackend=one\nMaster=m\ntag=gold\n";
    double_add(&known.directory, "dora@away.test", "x");
}

/* A directory knows them, so no backend is asked at RCPT; what is for log-ins stays out. */
static void away(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, change_away);
    int client = smtp_hello(LMTP_PORT);
    client_ask(client, "MAIL FROM:<a@b.test>\r\n", "250 *");
    rcpt(client, "Carl+x@away.test", "250 2.1.5 *");
    rcpt(client, "gone@away.test", "550 5.1.1 No such user here");
    rcpt(client, "dora@away.test", "250 2.1.5 *");
    rcpt(client, "ann@else.test", "250 2.1.5 *");
    double_set(&known.directory, DOUBLE_DOWN);
    rcpt(client, "new@away.test", "451 4.4.3 *");
    check_equal(relay_double.verified, 0);
    client_ask(client, "DATA\r\n", "354 *");
    client_ask(client, "Subject: x\r\n\r\nx\r\n.\r\n", "250 2.1.5 <Carl+x@away.test> Saved");
    client_expect_like(client, "250 2.1.5 <dora@away.test> Saved");
    client_expect_like(client, "250 2.1.5 OK, delivered as *");
    smtp_quit(client);
    check_equal(relay_double.row_count, 2);
    check(strcmp(relay_double.rows[0].user, "charles@away.test") == 0);
    check(strcmp(relay_double.rows[0].attributes, "backend=one\ntag=gold\n") == 0);
    check(strcmp(relay_double.rows[1].attributes, "") == 0);
    check(store_double_find("ann@else.test", "INBOX", 0) != NULL);
    relay_double_reset();
    smtp_end(&fixture);
    backend_table_free(known.table);
    backend_states_free(known.states);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipients),
        cmocka_unit_test(canonical),
        cmocka_unit_test(away),
    };
    return cmocka_run_group_tests_name("smtp_directory", tests, NULL, NULL);
}
