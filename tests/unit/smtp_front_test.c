/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mail for users elsewhere in SMTP and LMTP sessions, beside mail for local ones: who is asked at
 * RCPT, what is handed on, and what of the answers the client reads. Store and relay are doubles.
 * Runs on the real kernel and on the simulator (harness.h).
 *
 * Domains beside the fixture's: far.test (its backends judge), near.test (its one user, anna, is
 * known here), both with a pool; odd.test the same as far.test with a catch-all there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay_double.h"
#include "smtp_login.h"

static struct {
    struct backend_states *states;
    struct backend_table *table;
    struct proxy_domain domains[3];
    struct auth_users *users;
    struct auth_options auth;
} front;

static void check_string(const char *is, const char *want)
{
    if (strcmp(is, want) != 0)
        fprintf(stderr, "got: %s\nwant: %s\n", is, want);
    check(strcmp(is, want) == 0);
}

static void problem(void *argument, const char *what)
{
    (void)argument;
    fprintf(stderr, "pools: %s\n", what);
}

static void user_problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "users, line %u: %s\n", line, what);
}

static int open_auth(struct core *core)
{
    return auth_open(core, &front.auth);
}

static void make_pools(void)
{
    static const struct backend_options backend = {.name = {"one", 3},
                                                   .family = 4,
                                                   .address = {127, 0, 0, 1},
                                                   .ports = {[BACKEND_LMTP] = 24},
                                                   .weight = 100};
    static struct backend_pool_options pools[] = {
        {.name = {"far", 3}, .backends = &backend, .backend_count = 1, .judges = true},
        {.name = {"near", 4}, .backends = &backend, .backend_count = 1},
    };
    for (int i = 0; i < 2; i++)
        pools[i].connect_ms_max = pools[i].login_ms_max = 1000;
    check_equal(backend_states_make(1, &front.states), 0);
    check_equal(backend_table_make(front.states, pools, 2, problem, NULL, &front.table), 0);
    const struct backend_pool *far = backend_pool_find(front.table, SLICE("far"));
    front.domains[0] = (struct proxy_domain){SLICE("far.test"), far};
    front.domains[1] =
        (struct proxy_domain){SLICE("near.test"), backend_pool_find(front.table, SLICE("near"))};
    front.domains[2] = (struct proxy_domain){SLICE("odd.test"), far};
    check_equal(auth_users_parse(SLICE("anna@near.test:!\n"), user_problem, NULL, &front.users), 0);
    front.auth = (struct auth_options){.users = front.users, .waiting_max = 20};
}

static void make_routes(struct route_table *routes)
{
    static const char *const aliases[][2] = {
        {"crew@example.test", "u0@example.test"},  {"crew@example.test", "Anna+x@far.test"},
        {"tardy@example.test", "u0@example.test"}, {"tardy@example.test", "late@far.test"},
        {"fat@example.test", "u0@example.test"},   {"fat@example.test", "full@far.test"},
        {"half@example.test", "no@far.test"},      {"half@example.test", "u2@example.test"},
        {"void@example.test", "no@far.test"},      {"void@example.test", "nobody@far.test"},
        {"quoted@far.test", "x y@far.test"},       {"u@far.test", "\303\274ber@far.test"},
    };
    struct route_domain_options options = {.separator = SLICE("+"), .users_elsewhere = true};
    check_equal(route_add_domain(routes, SLICE("far.test"), &options), 0);
    check_equal(route_add_domain(routes, SLICE("near.test"), &options), 0);
    options.catch_all = SLICE("anna");
    check_equal(route_add_domain(routes, SLICE("odd.test"), &options), 0);
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        check_equal(route_add_alias(routes, slice_cstr(aliases[i][0]), slice_cstr(aliases[i][1])),
                    0);
}

static void change(struct smtp_fixture *fixture)
{
    struct smtp_options *const each[] = {&fixture->options, &fixture->strict_options,
                                         &fixture->submission_options};
    relay_double_reset();
    make_pools();
    make_routes(fixture->routes);
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        each[i]->fronted = front.domains;
        each[i]->fronted_count = 3;
        each[i]->verify_ms_max = each[i]->relay_ms_max = 5000;
    }
    fixture->open = open_auth;
    fixture->close = auth_close;
}

static void end(struct smtp_fixture *fixture)
{
    relay_double_reset(); /* what came was allocated by this life */
    smtp_end(fixture);
    backend_table_free(front.table);
    backend_states_free(front.states);
    auth_users_free(front.users);
}

static void rcpt(int client, const char *address, const char *pattern)
{
    char text[300];
    snprintf(text, sizeof text, "RCPT TO:<%s>\r\n", address);
    client_ask(client, text, pattern);
}

static int begin(unsigned port, const char *mail)
{
    int client = smtp_hello(port);
    client_ask(client, mail, "250 2.1.0 *");
    return client;
}

/* Up to the first reply. */
static void send_message(int client, const char *first_pattern)
{
    client_ask(client, "DATA\r\n", "354 *");
    client_ask(client, "Subject: x\r\n\r\n..dots\r\nend\r\n.\r\n", first_pattern);
}

static void expect_relayed(const char *body)
{
    check(strncmp(relay_double.data, "Received: from client.test ", 27) == 0);
    check(strstr(relay_double.data, "Return-Path") == NULL);
    check(relay_double.size == strlen(relay_double.data));
    size_t size = strlen(body);
    check(relay_double.size > size);
    check(memcmp(relay_double.data + relay_double.size - size, body, size) == 0);
}

static void expect_row(unsigned index, const char *user, const char *address)
{
    check(index < relay_double.row_count);
    check_string(relay_double.rows[index].user, user);
    check_string(relay_double.rows[index].address, address);
}

/* ---------------------------------------------------------------- LMTP: a reply for each */

/* S37 */
static void replies(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, change);
    int client = begin(LMTP_PORT, "MAIL FROM:<s@client.test>\r\n");
    rcpt(client, "late@far.test", "250 2.1.5 *");
    rcpt(client, "u0@example.test", "250 2.1.5 *");
    rcpt(client, "nobody@far.test", "550 5.1.1 <nobody@far.test> Never heard of");
    rcpt(client, "shut@far.test", "451 4.4.1 Refused");
    rcpt(client, "bye@far.test", "451 4.3.2 Going away"); /* it is not us who go */
    rcpt(client, "anna@near.test", "250 2.1.5 *");
    check_equal(relay_double.verified, 4);
    rcpt(client, "bert@near.test", "550 5.1.1 No such user here");
    check_equal(relay_double.verified, 4); /* near.test is known here */
    rcpt(client, "full@far.test", "250 2.1.5 *");
    rcpt(client, "u1@example.test", "250 2.1.5 *");
    send_message(client, "451 4.4.2 Lost");
    client_expect_like(client, "250 2.1.5 OK, delivered as *");
    client_expect_like(client, "250 2.1.5 <anna@near.test> Saved");
    client_expect_like(client, "552 5.2.2 Full");
    client_expect_like(client, "250 2.1.5 OK, delivered as *");
    check_equal(relay_double.delivered, 1);
    check_equal(relay_double.row_count, 3);
    expect_row(1, "anna@near.test", "anna@near.test");
    expect_relayed("\r\nSubject: x\r\n\r\n.dots\r\nend\r\n");
    check_string(relay_double.from, "s@client.test");
    check_string(relay_double.hello, "client.test");
    check_equal(relay_double.family, 4);
    check_equal(store_double.count, 2);
    size_t size;
    smtp_without_trace(store_double_find("u1@example.test", "INBOX", 0), &size);
    check_equal(size, strlen("Subject: x\r\n\r\n.dots\r\nend\r\n"));
    check_equal(host_counter(fixture.host, COUNTER_SMTP_RECIPIENTS_REFUSED), 2);
    check_equal(host_counter(fixture.host, COUNTER_SMTP_MESSAGES), 1);
    smtp_quit(client);
    end(&fixture);
}

/* The session goes on as after any message. */
static void again(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, change);
    int client = smtp_hello(LMTP_PORT);
    for (int i = 0; i < 3; i++) {
        client_ask(client, "MAIL FROM:<>\r\n", "250 *");
        rcpt(client, i == 1 ? "full@far.test" : "anna@far.test", "250 2.1.5 *");
        send_message(client, i == 1 ? "552 *" : "250 *");
        check_string(relay_double.from, "");
    }
    check_equal(store_double.count, 0);
    check_equal(host_counter(fixture.host, COUNTER_SMTP_MESSAGES), 2);
    check_equal(host_counter(fixture.host, COUNTER_SMTP_REFUSED), 1);
    smtp_quit(client);
    end(&fixture);
}

/* ---------------------------------------------------------------- SMTP: one reply for all */

static void one_recipient(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, change);
    int client = begin(SMTP_PORT, "MAIL FROM:<s@client.test>\r\n");
    rcpt(client, "nobody@far.test", "550 5.1.1 *");
    rcpt(client, "anna@far.test", "250 2.1.5 *");
    unsigned asked = relay_double.verified;
    rcpt(client, "bert@far.test", "452 4.5.3 *");
    rcpt(client, "u0@example.test", "452 4.5.3 *");
    send_message(client, "250 2.1.5 <anna@far.test> Saved");
    check_equal(store_double.count, 0);
    check_equal(relay_double.row_count, 1);
    client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
    rcpt(client, "u0@example.test", "250 2.1.5 *");
    rcpt(client, "anna@far.test", "452 4.5.3 *");
    rcpt(client, "anna@near.test", "452 4.5.3 *");
    rcpt(client, "crew@example.test", "452 4.5.3 *");
    check_equal(relay_double.verified, asked); /* nobody is asked in vain */
    rcpt(client, "u1@example.test", "250 2.1.5 *");
    send_message(client, "250 2.0.0 OK, queued as *");
    check_equal(store_double.count, 2);
    check_equal(relay_double.delivered, 1);
    static const char *const failing[][2] = {{"late@far.test", "451 4.4.2 Lost"},
                                             {"full@far.test", "552 5.2.2 Full"}};
    for (int i = 0; i < 2; i++) {
        client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
        rcpt(client, failing[i][0], "250 2.1.5 *");
        send_message(client, failing[i][1]);
    }
    smtp_quit(client);
    end(&fixture);
}

/* ---------------------------------------------------------------- aliases */

static void aliases(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, change);
    int client = begin(SMTP_PORT, "MAIL FROM:<s@client.test>\r\n");
    rcpt(client, "void@example.test", "550 5.1.1 No such user here"); /* who they are is ours */
    rcpt(client, "crew@example.test", "250 2.1.5 *");
    send_message(client, "250 2.0.0 OK, queued as *");
    check(store_double_find("u0@example.test", "INBOX", 0) != NULL);
    expect_row(0, "anna@far.test", "anna+x@far.test");
    store_double_clear();
    client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
    rcpt(client, "tardy@example.test", "250 2.1.5 *");
    send_message(client, "451 4.4.2 Lost"); /* will come again: not half of it now */
    check_equal(store_double.count, 0);
    client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
    rcpt(client, "fat@example.test", "250 2.1.5 *");
    send_message(client, "552 5.2.2 Full"); /* will not */
    check_equal(store_double.count, 1);
    client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
    rcpt(client, "half@example.test", "250 2.1.5 *");
    rcpt(client, "u1@example.test", "250 2.1.5 *"); /* half is local alone, as it turned out */
    send_message(client, "250 2.0.0 *");
    check(store_double_find("u2@example.test", "INBOX", 0) != NULL);
    smtp_quit(client);
    end(&fixture);
}

/* One that is put off does not take others with it. */
static void aliases_lmtp(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, change);
    int client = begin(LMTP_PORT, "MAIL FROM:<s@client.test>\r\n");
    rcpt(client, "u2@example.test", "250 2.1.5 *");
    rcpt(client, "tardy@example.test", "250 2.1.5 *");
    rcpt(client, "u1@example.test", "250 2.1.5 *");
    rcpt(client, "crew@example.test", "250 2.1.5 *");
    rcpt(client, "team@example.test", "250 2.1.5 *");
    store_double.failing_user = "u1@example.test";
    store_double.failing_result = -ENOSPC;
    send_message(client, "250 2.1.5 OK, delivered as *");
    client_expect_like(client, "451 4.4.2 Lost");
    client_expect_like(client, "452 4.3.1 *");
    client_expect_like(client, "250 2.1.5 OK, delivered as *");
    client_expect_like(client, "452 4.3.1 *");
    check_equal(store_double.count, 2);
    check(store_double_find("u2@example.test", "INBOX", 0) != NULL);
    check(store_double_find("u0@example.test", "INBOX", 0) != NULL);
    check_equal(relay_double.row_count, 2);
    smtp_quit(client);
    end(&fixture);
}

/* ---------------------------------------------------------------- addresses */

static void addresses(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, change);
    int client = begin(LMTP_PORT, "MAIL FROM:<s@client.test>\r\n");
    rcpt(client, "Anna+Lists+more@FAR.Test", "250 2.1.5 *");
    check_string(relay_double.asked.user, "anna@far.test");
    check_string(relay_double.asked.address, "Anna+Lists+more@FAR.Test");
    rcpt(client, "\"a \\\"b\"@far.test", "250 2.1.5 *");
    rcpt(client, "quoted@far.test", "250 2.1.5 *");
    rcpt(client, "\"ANNA\"+y@near.test", "553 5.1.3 *");
    rcpt(client, "\"ANNA+y\"@near.test", "250 2.1.5 *");
    rcpt(client, "no@odd.test", "250 2.1.5 *"); /* falls to the catch-all */
    check_string(relay_double.asked.user, "anna@odd.test");
    send_message(client, "250 2.1.5 <Anna+Lists+more@FAR.Test> Saved");
    for (int i = 0; i < 4; i++)
        client_expect_like(client, "250 2.1.5 *");
    expect_row(1, "a \"b@far.test", "\"a \\\"b\"@far.test");
    expect_row(2, "x y@far.test", "\"x y\"@far.test");
    expect_row(3, "anna@near.test", "ANNA+y@near.test");
    expect_row(4, "anna@odd.test", "anna@odd.test");
    check(!relay_double.is_utf8);
    client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
    rcpt(client, "\303\274@far.test", "553 5.6.7 *");
    rcpt(client, "u@far.test", "250 2.1.5 *");
    send_message(client, "250 2.1.5 *");
    expect_row(0, "\303\274ber@far.test", "\303\274ber@far.test");
    check(relay_double.is_utf8); /* from here on it is */
    smtp_quit(client);
    end(&fixture);
}

/* ---------------------------------------------------------------- extensions */

static void extensions(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, change);
    int client = begin(LMTP_PORT, "MAIL FROM:<\303\274@client.test> BODY=BINARYMIME SMTPUTF8 "
                                  "RET=HDRS ENVID=e+2B1\r\n");
    client_ask(client, "RCPT TO:<anna@far.test> NOTIFY=DELAY,SUCCESS ORCPT=rfc822;a+2Bb@x.test\r\n",
               "250 *");
    client_ask(client, "RCPT TO:<bert@far.test> NOTIFY=NEVER\r\n", "250 *");
    rcpt(client, "carl@far.test", "250 *");
    client_ask(client, "BDAT 6\r\nA: b\r\n", "250 2.0.0 6 octets *");
    client_ask(client, "BDAT 9 LAST\r\n\r\n.\r\nx\ry\n", "250 2.1.5 <anna@far.test> Saved");
    client_expect_like(client, "250 *");
    client_expect_like(client, "250 *");
    expect_relayed("\r\nA: b\r\n\r\n.\r\nx\ry\n");
    check_equal(relay_double.body, RELAY_BINARYMIME);
    check(relay_double.is_utf8 && !relay_double.requires_tls);
    check_string(relay_double.from, "\303\274@client.test");
    check_string(relay_double.ret, "HDRS");
    check_string(relay_double.envid, "e+2B1");
    check_string(relay_double.rows[0].notify, "SUCCESS,DELAY");
    check_string(relay_double.rows[0].orcpt, "rfc822;a+2Bb@x.test");
    check_string(relay_double.rows[1].notify, "NEVER");
    check_string(relay_double.rows[2].notify, "");
    client_ask(client, "MAIL FROM:<s@client.test> BODY=8BITMIME RET=FULL\r\n", "250 *");
    rcpt(client, "anna@far.test", "250 *");
    send_message(client, "250 *");
    check_equal(relay_double.body, RELAY_8BITMIME);
    check(!relay_double.is_utf8);
    check_string(relay_double.ret, "FULL");
    client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
    rcpt(client, "anna@far.test", "250 *");
    send_message(client, "250 *");
    check_equal(relay_double.body, RELAY_7BIT);
    check_string(relay_double.ret, "");
    smtp_quit(client);
    end(&fixture);
}

/* ---------------------------------------------------------------- submission */

static void offer_submission(struct smtp_fixture *fixture)
{
    change(fixture);
    login_offer(fixture);
    check_equal(smtp_quotas_create(1, &fixture->submission_options.quotas), 0);
    fixture->submission_options.user_messages_max = 2;
    fixture->submission_options.user_window_ms = 60000;
}

static void submission(void **state)
{
    (void)state;
    static const char *const tries[][2] = {{"late@far.test", "451 4.4.2 Lost"},
                                           {"full@far.test", "552 5.2.2 Full"},
                                           {"tardy@example.test", "451 4.4.2 Lost"},
                                           {"anna@far.test", "250 2.1.5 <anna@far.test> Saved"},
                                           {"crew@example.test", "250 2.0.0 OK, queued as *"}};
    struct smtp_fixture fixture;
    smtp_begin(&fixture, offer_submission);
    int client = login_open(SUBMISSION_PORT, "u0");
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) { /* what failed does not count */
        client_ask(client, "MAIL FROM:<u0@example.test>\r\n", "250 *");
        rcpt(client, tries[i][0], "250 2.1.5 *");
        rcpt(client, "u1@example.test", "452 4.5.3 *");
        send_message(client, tries[i][1]);
    }
    check_equal(store_double.count, 1);
    check(strstr(relay_double.data, "\r\nDate: ") != NULL);
    check(strstr(relay_double.data, "\r\nMessage-ID: <") != NULL);
    expect_relayed("\r\n\r\n.dots\r\nend\r\n");
    client_ask(client, "MAIL FROM:<u0@example.test>\r\n", "450 4.7.1 *");
    smtp_quit(client);
    harness_nap(100000); /* nobody counts any more, and the counts are of this life */
    smtp_quotas_free(fixture.submission_options.quotas);
    end(&fixture);
    login_clear();
}

/* ---------------------------------------------------------------- without a store */

static void without_store(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, change);
    store_double.state = -ENODEV;
    int client = begin(SMTP_PORT, "MAIL FROM:<s@client.test>\r\n");
    rcpt(client, "u0@example.test", "451 4.3.0 *");
    rcpt(client, "crew@example.test", "451 4.3.0 *");
    rcpt(client, "anna@far.test", "250 2.1.5 *");
    send_message(client, "250 2.1.5 <anna@far.test> Saved");
    check_equal(store_double.count, 0);
    smtp_quit(client);
    end(&fixture);
}

/* What keeps our own mail out is said to who wants to bring some, and no fault of his. */
static void store_full(void **state)
{
    (void)state;
    static const struct {
        int state;
        const char *answer;
    } rows[] = {{-ENOSPC, "452 4.3.1 Short of disk *"}, {-EIO, "451 4.3.0 *"}};
    struct smtp_fixture fixture;
    smtp_begin(&fixture, change);
    int client = smtp_hello(LMTP_PORT);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        store_double.state = rows[i].state;
        client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
        for (unsigned j = 0; j < 10; j++)
            rcpt(client, j % 2 ? "u0@example.test" : "crew@example.test", rows[i].answer);
        rcpt(client, "anna@far.test", "250 2.1.5 *");
        send_message(client, "250 2.1.5 <anna@far.test> Saved");
        check_equal(relay_double.row_count, 1);
    }
    store_double.state = 0;
    check_equal(host_counter(fixture.host, COUNTER_SMTP_RECIPIENTS_REFUSED), 0);
    client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
    rcpt(client, "u0@example.test", "250 2.1.5 *");
    send_message(client, "250 2.1.5 OK, delivered as *");
    check_equal(store_double.count, 1);
    smtp_quit(client);
    end(&fixture);
}

/* ---------------------------------------------------------------- how many */

static void make_large(struct smtp_fixture *fixture)
{
    change(fixture);
    fixture->options.recipients_max = 10000;
}

/* What a transaction holds of them is bounded; the rest is told to come again. */
static void many(void **state)
{
    (void)state;
    enum { COUNT = 3000, GROUP = 100 };
    struct smtp_fixture fixture;
    unsigned taken = 0, refused = 0;
    char text[GROUP * 60], line[200];
    smtp_begin(&fixture, make_large);
    int client = begin(LMTP_PORT, "MAIL FROM:<s@client.test>\r\n");
    for (unsigned i = 0; i < COUNT; i += GROUP) {
        size_t size = 0;
        for (unsigned j = i; j < i + GROUP; j++)
            size += (size_t)snprintf(text + size, sizeof text - size,
                                     "RCPT TO:<user%u@far.test>\r\n", j);
        client_say(client, text);
        for (unsigned j = 0; j < GROUP; j++) {
            client_line(client, line, sizeof line);
            taken += strncmp(line, "250 2.1.5 ", 10) == 0;
            refused += strncmp(line, "452 4.3.1 ", 10) == 0;
        }
    }
    check_equal(taken + refused, COUNT);
    check(taken >= 1500 && refused > 0);
    check_equal(relay_double.verified, taken); /* nobody is asked in vain */
    client_ask(client, "RSET\r\n", "250 *");
    client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 *");
    rcpt(client, "anna@far.test", "250 2.1.5 *");
    send_message(client, "250 2.1.5 *");
    smtp_quit(client);
    end(&fixture);
}

/* ---------------------------------------------------------------- time */

static void make_hasty(struct smtp_fixture *fixture)
{
    change(fixture);
    fixture->lmtp.command_ms_max = 300;
}

/* Who asks elsewhere, and hands on, has time for it. */
static void slow(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, make_hasty);
    int client = begin(LMTP_PORT, "MAIL FROM:<s@client.test>\r\n");
    rcpt(client, "slow@far.test", "250 2.1.5 *");
    send_message(client, "250 2.1.5 *");
    smtp_quit(client);
    end(&fixture);
}

/* Who leaves meanwhile is not waited for. */
static void gone(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, change);
    int client = begin(LMTP_PORT, "MAIL FROM:<s@client.test>\r\n");
    rcpt(client, "wait@far.test", "250 2.1.5 *");
    client_ask(client, "DATA\r\n", "354 *");
    client_say(client, "Subject: x\r\n\r\nx\r\n.\r\n");
    harness_nap(100000);
    client_close(client);
    for (int i = 0; i < 100 && !relay_double.was_gone; i++)
        harness_nap(20000);
    check(relay_double.was_gone);
    end(&fixture);
}

static int all_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies),       cmocka_unit_test(again),
        cmocka_unit_test(one_recipient), cmocka_unit_test(aliases),
        cmocka_unit_test(aliases_lmtp),  cmocka_unit_test(addresses),
        cmocka_unit_test(extensions),    cmocka_unit_test(without_store),
        cmocka_unit_test(submission),    cmocka_unit_test(many),
        cmocka_unit_test(slow),          cmocka_unit_test(gone),
        cmocka_unit_test(store_full),
    };
    return cmocka_run_group_tests_name("smtp_front", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(all_tests);
}
