/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Services, routes and clients of the SMTP tests.
 */
#include "smtp_fixture.h"

#include <unistd.h>

unsigned smtp_port(unsigned service)
{
    /* Tests that run at the same time would share a port without a word. */
    enum { PORT_FIRST = 27000, BLOCKS = 1000, SERVICES = 4 };
    return PORT_FIRST + (unsigned)getpid() % BLOCKS * SERVICES + service;
}

static void routes_make(struct route_table **ret_routes)
{
    static const char *const users[] = {
        "u0@example.test",          "u1@example.test", "u2@example.test",        "a b@example.test",
        "\303\274ber@example.test", "all@catch.test",  "postmaster@example.test"};
    struct route_domain_options plain = {.separator = SLICE("+"), .detail_mailbox = true};
    struct route_domain_options catching = {.catch_all = SLICE("all@catch.test")};
    struct route_table *routes;
    check_equal(route_create(&routes), 0);
    check_equal(route_add_domain(routes, SLICE("example.test"), &plain), 0);
    check_equal(route_add_domain(routes, SLICE("catch.test"), &catching), 0);
    for (size_t i = 0; i < sizeof users / sizeof *users; i++)
        check_equal(route_add_user(routes, slice_cstr(users[i])), 0);
    struct slice team = SLICE("team@example.test");
    check_equal(route_add_alias(routes, team, SLICE("u0@example.test")), 0);
    check_equal(route_add_alias(routes, team, SLICE("u1@example.test")), 0);
    *ret_routes = routes;
}

void smtp_begin(struct smtp_fixture *fixture, void (*change)(struct smtp_fixture *))
{
    store_double_reset();
    *fixture = (struct smtp_fixture){.core_count = 1};
    routes_make(&fixture->routes);
    fixture->options = (struct smtp_options){
        .routes = fixture->routes,
        .message_bytes_max = 20000,
        .recipients_max = 20,
        .received_max = 50,
        .data_ms_max = 5000,
        .data_bytes_per_second_min = 500,
    };
    fixture->strict_options = fixture->options;
    fixture->strict_options.forbid_early_talk = true;
    fixture->strict_options.greeting_ms = harness_is_simulated() ? 200 : 20;
    static const struct network loopback = {{127}, 4, 8};
    fixture->smtp = (struct service){
        .unlimited = {&loopback, 1}, /* worlds without buffers are not to hurry anybody here */
        .protocol = &smtp_protocol,
        .options = &fixture->options,
        .host_name = SLICE("mx.example.test"),
        .address = "127.0.0.1",
        .port = SMTP_PORT,
        .connections_max = 200,
        .login_ms_max = 1, /* must not matter */
        .idle_ms_max = 20000,
        .command_ms_max = 20000,
        .errors_max = 50,
        .junk_max = 100,
    };
    fixture->lmtp = fixture->strict = fixture->smtp;
    fixture->lmtp.protocol = &lmtp_protocol;
    fixture->lmtp.port = LMTP_PORT;
    fixture->strict.options = &fixture->strict_options;
    fixture->strict.port = STRICT_PORT;
    fixture->submission_options = fixture->options;
    fixture->submission = fixture->smtp;
    fixture->submission.protocol = &submission_protocol;
    fixture->submission.options = &fixture->submission_options;
    fixture->submission.port = SUBMISSION_PORT;
    fixture->submission.login_ms_max = 20000;
    if (change != NULL)
        change(fixture);
    struct host_options host = {
        .services = {&fixture->smtp, &fixture->lmtp, &fixture->strict,
                     fixture->open != NULL ? &fixture->submission : NULL},
        .core_count = fixture->core_count,
        .fibers_max = 100,
        .open = fixture->open,
        .close = fixture->close,
    };
    fixture->host = host_begin(&host);
}

void smtp_end(struct smtp_fixture *fixture)
{
    host_stop(fixture->host);
    harness_nap(100000);
    check_equal(store_double.bodies, 0);
    check_equal(store_double.bytes, 0);
    store_double_clear();
    host_end(fixture->host);
    route_free(fixture->routes);
}

int smtp_greet(unsigned port)
{
    int client = client_open(port);
    client_expect_like(client, port == LMTP_PORT ? "220 mx.example.test LMTP *"
                                                 : "220 mx.example.test ESMTP *");
    return client;
}

void smtp_reply(int client, const char *pattern)
{
    char line[1000];
    for (;;) {
        client_line(client, line, sizeof line);
        check(strlen(line) >= 4);
        if (line[3] != '-')
            break;
    }
    if (strncmp(line, pattern, strlen(pattern)) != 0)
        fprintf(stderr, "got: %s\nwant: %s\n", line, pattern);
    check(strncmp(line, pattern, strlen(pattern)) == 0);
}

int smtp_hello(unsigned port)
{
    int client = smtp_greet(port);
    client_say(client, port == LMTP_PORT ? "LHLO client.test\r\n" : "EHLO client.test\r\n");
    smtp_reply(client, "250 ");
    return client;
}

void smtp_quit(int client)
{
    client_ask(client, "QUIT\r\n", "221 2.0.0 *");
    client_expect_end(client);
}

const char *smtp_without_trace(const struct double_delivery *delivery, size_t *ret_size)
{
    const char *received = strstr(delivery->data, "Received: from ");
    check(strncmp(delivery->data, "Return-Path: <", 14) == 0 && received != NULL);
    const char *end = strstr(received, " +0000\r\n");
    check(end != NULL);
    end += 8;
    *ret_size = delivery->size - (size_t)(end - delivery->data);
    return end;
}

void smtp_honest(void)
{
    static const char text[] = "Subject: honest\r\n\r\nhello\r\n..\r\n";
    store_double_clear();
    int client = smtp_hello(SMTP_PORT);
    client_say(client, "MAIL FROM:<honest@client.test>\r\nRCPT TO:<u2@example.test>\r\nDATA\r\n");
    client_expect_like(client, "250 2.1.0 *");
    client_expect_like(client, "250 2.1.5 *");
    client_expect_like(client, "354 *");
    client_ask(client, "Subject: honest\r\n\r\nhello\r\n...\r\n.\r\n", "250 2.0.0 *");
    size_t size;
    check_equal(store_double.count, 1);
    const char *stored =
        smtp_without_trace(store_double_find("u2@example.test", "INBOX", 0), &size);
    check_equal(size, sizeof text - 1);
    check(memcmp(stored, text, size) == 0);
    smtp_quit(client);
    store_double_clear();
}
