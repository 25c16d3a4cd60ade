/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who is let in: PROXY headers before the session, limits by address, network, user and for those
 * without a user, another client by session_set_peer, services that take the place of others. Runs
 * on the real kernel and on the simulator; at the end of each test the core drains to nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "limits_toy.h"

enum { PORT = 24500 };

static struct host *begin_host(const struct service *service, unsigned cores)
{
    struct host_options options = {.services = {service}, .core_count = cores, .fibers_max = 64};
    return host_begin(&options);
}

#define check_ends(host, end, count)                                                               \
    check_equal(host_ends(host, PROTOCOL_POP3, SESSION_END_##end), count)

/* Closed without a word; the first `early` bytes alone decide nothing. */
static void check_closed(struct slice bytes, size_t early)
{
    int client = client_open(PORT);
    client_put(client, bytes.data, early);
    if (early > 0)
        harness_nap(1000);
    client_put(client, bytes.data + early, bytes.size - early);
    client_expect_end(client);
}

static void wait_open(struct host *host, unsigned count)
{
    for (int i = 0; i < 1000 && host_counter(host, COUNTER_CONNECTIONS_OPEN) != count; i++)
        harness_nap(2000);
    check_equal(host_counter(host, COUNTER_CONNECTIONS_OPEN), count);
}

/* ---------------------------------------------------------------- PROXY headers */

/* X01 */
static void proxy_headers(void **state)
{
    (void)state;
    struct service service = toy_proxied_service(&limits_toy, PORT);
    struct host *host = begin_host(&service, 1);
    int client = toy_client(PORT, "192.0.2.7");
    client_say(client, "WHO\r\n");
    client_expect(client, "hello\r\n192.0.2.7 4711\r\n");
    toy_quit(client);
    static const char one[] = "PROXY TCP6 2001:db8::7 ::1 65535 1\r\nWHO\r\nECHO x\r\nQUIT\r\n";
    static const char two[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\x09\x7f\0\0\1\1\0\0\x19WH"
                              "O\r\nECHO x\r\nQUIT\r\n";
    for (size_t piece = 0; piece < 30; piece += piece < 3 ? 1 : 9) {
        client = client_open(PORT);
        client_say_in_pieces(client, one, sizeof one - 1, piece);
        client_expect(client, "hello\r\n2001:db8::7 65535\r\nx\r\nbye\r\n");
        client_expect_end(client);
        client = client_open(PORT);
        client_say_in_pieces(client, two, sizeof two - 1, piece);
        client_expect(client, "hello\r\n192.0.2.9 256\r\nx\r\nbye\r\n");
        client_expect_end(client);
    }
    char name[64]; /* no client named: the connection's own peer */
    client = client_open(PORT);
    client_name(client, name, sizeof name);
    client_say(client, "PROXY UNKNOWN\r\nWHO\r\n");
    client_expect(client, "hello\r\n");
    client_expect(client, name);
    client_expect(client, "\r\n");
    toy_quit(client);
    client = client_open(PORT);
    client_name(client, name, sizeof name);
    client_put(client, "\r\n\r\n\0\r\nQUIT\n\x20\0\0\5stray", 21);
    client_say(client, "WHO\r\n");
    client_expect(client, "hello\r\n");
    client_expect(client, name);
    client_expect(client, "\r\n");
    toy_quit(client);
    /* a ClientHello behind the header, to a listener in clear: the client's bytes, and refused */
    client = client_open(PORT);
    client_put(client, "PROXY UNKNOWN\r\n\x16\x03\x01\x02\0\1", 21);
    client_expect(client, "hello\r\nend forbidden\r\n");
    client_expect_end(client);
    check_ends(host, PROXY_BAD, 0);
    host_end(host);
}

/* X01: the header's end lies in another receive buffer, with much behind it */
static void proxy_header_in_two(void **state)
{
    (void)state;
    enum { PAYLOAD = 9000 };
    struct service service = toy_proxied_service(&limits_toy, PORT);
    struct host *host = begin_host(&service, 1);
    static char rest[100 + PAYLOAD + 2];
    for (unsigned cut = 1; cut < 40; cut += 6) {
        static const char header[] = "PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\n";
        int client = client_open(PORT);
        client_put(client, header, cut);
        harness_nap(3000);
        size_t size = sizeof header - 1 - cut;
        memcpy(rest, header + cut, size);
        memcpy(rest + size, "ECHO ", 5);
        memset(rest + size + 5, 'x', PAYLOAD);
        memcpy(rest + size + 5 + PAYLOAD, "\r\n", 2);
        client_put(client, rest, size + 5 + PAYLOAD + 2);
        client_expect(client, "hello\r\n");
        static char echo[PAYLOAD + 2];
        client_get(client, echo, sizeof echo);
        for (unsigned i = 0; i < PAYLOAD; i++)
            check_equal(echo[i], 'x');
        toy_quit(client);
    }
    host_end(host);
}

/* X01, X02: closed, and nothing said; no fiber for those that wait */
static void proxy_bad(void **state)
{
    (void)state;
    struct service service = toy_proxied_service(&limits_toy, PORT);
    service.login_ms_max = 700;
    struct host *host = begin_host(&service, 1);
    static const struct {
        struct slice bytes;
        size_t early;
    } bad[] = {
        {{"EHLO x\r\n", 8}, 0},
        {{"PROXY TCP4 192.0.2.7 127.0.0.1 4711 65536\r\n", 43}, 42},
        {{"PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\nWHO\r\n", 44}, 38},
        {{"\x16\x03\x01", 3}, 0},
        {{"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", 16}, 15},
        {{"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\4\1\2\3\4", 20}, 19},
    };
    enum { BAD = sizeof bad / sizeof *bad, WAITING = 40 };
    for (unsigned i = 0; i < BAD; i++) {
        check_closed(bad[i].bytes, 0);
        check_closed(bad[i].bytes, bad[i].early);
    }
    check_ends(host, PROXY_BAD, 2 * BAD);
    int clients[WAITING];
    for (unsigned i = 0; i < WAITING; i++) {
        clients[i] = client_open(PORT);
        client_say(clients[i], "PROXY TCP4 192.0.2.7 127.");
    }
    harness_nap(50000);
    check_equal(host_counter(host, COUNTER_FIBERS_ACTIVE), 1); /* the host's own */
    for (unsigned i = 0; i < WAITING; i++)
        client_expect_end(clients[i]); /* late */
    check_ends(host, PROXY_BAD, 2 * BAD + WAITING);
    wait_open(host, 0);
    int client = client_open(PORT), probe = client_open(PORT); /* a health check */
    client_say(client, "PROXY TCP4 192");
    wait_open(host, 2);
    client_close(probe);
    client_reset(client);
    for (int i = 0; i < 1000 && host_ends(host, PROTOCOL_POP3, SESSION_END_CLOSED) < 2; i++)
        harness_nap(2000);
    check_ends(host, CLOSED, 2);
    wait_open(host, 0);
    clients[0] = client_open(PORT); /* drains while it waits */
    client_say(clients[0], "PROXY ");
    wait_open(host, 1); /* one that has only just come is refused in words */
    host_end(host);
    client_expect_end(clients[0]);
}

/* X02 */
static void proxy_not_trusted(void **state)
{
    (void)state;
    static const struct network elsewhere = {.address = {203, 0, 113}, .family = 4, .bits = 24};
    struct service service = toy_service(&limits_toy, PORT);
    service.proxy_from = (struct network_set){&elsewhere, 1};
    struct host *host = begin_host(&service, 1);
    int client = client_open(PORT); /* whether it says a header or not */
    client_expect_end(client);
    client = toy_client(PORT, "192.0.2.7");
    client_expect_end(client);
    check_ends(host, PROXY_BAD, 2);
    host_end(host);
    service.proxy_from.count = 0; /* a header that nobody asked for is no command */
    host = begin_host(&service, 1);
    client = client_open(PORT);
    client_say(client, "PROXY TCP4 192.0.2.7 127.0.0.1 4711 25\r\n");
    client_expect(client, "hello\r\n");
    client_expect_like(client, "no *");
    toy_quit(client);
    client = client_open(PORT);
    client_put(client, "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16);
    client_expect(client, "hello\r\n");
    client_expect_like(client, "no *");
    client_close(client);
    host_end(host);
}

/* ---------------------------------------------------------------- limits */

/* R05 */
static void addresses(void **state)
{
    (void)state;
    static const struct network free_ones = {.address = {198, 51, 100}, .family = 4, .bits = 24};
    struct service service = toy_proxied_service(&limits_toy, PORT);
    service.connections_per_address_max = 2;
    service.connections_per_network_max = 3;
    service.unlimited = (struct network_set){&free_ones, 1};
    struct host *host = begin_host(&service, 1);
    for (unsigned round = 0; round < 3; round++) { /* what is given back can be taken again */
        int four[3], six[3], others[8];
        four[0] = toy_served(PORT, "192.0.2.7");
        four[1] = toy_served(PORT, "192.0.2.7");
        toy_refused(PORT, "192.0.2.7"); /* the address */
        toy_refused(PORT, "192.0.2.7");
        four[2] = toy_served(PORT, "192.0.2.8");
        toy_refused(PORT, "192.0.2.9"); /* the /24 */
        six[0] = toy_served(PORT, "2001:db8:1:1::1");
        six[1] = toy_served(PORT, "2001:db8:1:1:ffff::2");
        toy_refused(PORT, "2001:db8:1:1::3"); /* the /64 */
        six[2] = toy_served(PORT, "2001:db8:1:2::1");
        toy_refused(PORT, "2001:db8:1:3::1"); /* the /48 */
        others[0] = toy_served(PORT, "192.0.3.7");
        others[1] = toy_served(PORT, "2001:db8:2:1::1");
        for (unsigned i = 2; i < 8; i++)
            others[i] = toy_served(PORT, "198.51.100.1");
        for (unsigned i = 0; i < 3; i++) {
            toy_quit(four[i]);
            toy_quit(six[i]);
        }
        for (unsigned i = 0; i < 8; i++)
            toy_quit(others[i]);
    }
    check_ends(host, TOO_MANY, 3 * 5);
    check_equal(host_counter(host, COUNTER_CONNECTIONS_REFUSED), 3 * 5);
    host_end(host);
}

static void users(void **state)
{
    (void)state;
    struct service service = toy_proxied_service(&limits_toy, PORT);
    service.connections_per_user_max = 2;
    struct host *host = begin_host(&service, 1);
    for (unsigned round = 0; round < 2; round++) {
        int clients[5];
        for (unsigned i = 0; i < 3; i++) {
            clients[i] = toy_served(PORT, "192.0.2.7");
            client_ask(clients[i], "USER a\r\n", i < 2 ? "in" : "too many");
        }
        client_ask(clients[2], "USER b\r\n", "in"); /* it can still be somebody else */
        client_ask(clients[2], "USER a\r\n", "too many");
        client_ask(clients[2], "USER c\r\n", "in"); /* and is b no longer */
        clients[3] = toy_served(PORT, "192.0.2.8"); /* another address */
        client_ask(clients[3], "USER a\r\n", "in");
        toy_quit(clients[0]);
        clients[4] = toy_served(PORT, "192.0.2.7");
        client_ask(clients[4], "USER a\r\n", "in");
        client_ask(clients[2], "USER a\r\n", "too many");
        client_close(clients[1]);
        for (unsigned i = 2; i < 5; i++)
            toy_quit(clients[i]);
    }
    host_end(host);
}

/* The count goes along to the home core, where a user's limit holds for all that come there. */
static void users_that_move(void **state)
{
    (void)state;
    struct service service = toy_proxied_service(&limits_toy, PORT);
    service.connections_per_user_max = 2;
    struct host *host = begin_host(&service, 2);
    for (unsigned round = 0; round < 3; round++) {
        int clients[2];
        for (unsigned i = 0; i < 2; i++) {
            clients[i] = toy_served(PORT, "192.0.2.7");
            client_ask(clients[i], "USER a\r\n", "in");
            client_ask(clients[i], "MOVE 0\r\n", "on 0");
            client_ask(clients[i], "MOVE 1\r\n", "on 1");
        }
        /* The kernel chooses its core: refused where the others are, or when it comes there. */
        int third = toy_served(PORT, "192.0.2.7");
        char line[64];
        client_say(third, "USER a\r\nMOVE 1\r\n");
        client_line(third, line, sizeof line);
        client_expect_like(third, strcmp(line, "in") == 0 ? "end too_many" : "on 1");
        if (strcmp(line, "in") == 0)
            client_expect_end(third);
        else
            toy_quit(third);
        for (unsigned i = 0; i < 2; i++) {
            client_ask(clients[i], "ECHO x\r\n", "x");
            toy_quit(clients[i]);
        }
    }
    host_end(host);
}

static void another_peer(void **state)
{
    (void)state;
    struct service service = toy_proxied_service(&limits_toy, PORT);
    service.connections_per_address_max = 2;
    service.connections_per_user_max = 1;
    struct host *host = begin_host(&service, 1);
    int one = toy_served(PORT, "192.0.2.7"), two = toy_served(PORT, "192.0.2.7");
    int three = toy_served(PORT, "203.0.113.1");
    toy_refused(PORT, "192.0.2.7");
    client_ask(three, "AS 192.0.2.7\r\n", "too many");
    client_ask(three, "WHO\r\n", "203.0.113.1 4711"); /* nothing has changed */
    client_ask(one, "AS 2001:db8::1\r\n", "is");
    client_ask(one, "WHO\r\n", "2001:db8::1 77");
    client_ask(three, "AS 192.0.2.7\r\n", "is"); /* there is room now */
    toy_refused(PORT, "192.0.2.7");
    int four = toy_served(PORT, "203.0.113.1"), five = toy_served(PORT, "203.0.113.1");
    client_ask(two, "USER u\r\n", "in");
    client_ask(four, "USER u\r\n", "in"); /* not from that address */
    client_ask(two, "AS 203.0.113.1\r\n", "too many");
    toy_quit(five);
    client_ask(two, "AS 203.0.113.1\r\n", "too many"); /* of the address there is room */
    client_ask(four, "USER v\r\n", "in");
    client_ask(two, "AS 203.0.113.1\r\n", "is");
    client_ask(four, "USER u\r\n", "too many");
    toy_quit(one);
    toy_quit(two);
    toy_quit(three);
    toy_quit(four);
    host_end(host);
}

/* R05: a share is kept for users */
static void before_login(void **state)
{
    (void)state;
    struct service service = toy_proxied_service(&limits_toy, PORT);
    service.connections_max = 10;
    service.before_login_percent_max = 30;
    struct host *host = begin_host(&service, 1);
    for (unsigned round = 0; round < 2; round++) {
        int strangers[3], user;
        for (unsigned i = 0; i < 3; i++)
            strangers[i] = toy_served(PORT, "192.0.2.7");
        toy_refused(PORT, "203.0.113.1"); /* whoever it is */
        user = strangers[0];
        client_ask(user, "USER u\r\n", "in");
        strangers[0] = toy_served(PORT, "203.0.113.1");
        toy_refused(PORT, "203.0.113.1");
        for (unsigned i = 0; i < 3; i++)
            toy_quit(strangers[i]);
        toy_quit(user);
    }
    check_ends(host, TOO_MANY, 4);
    host_end(host);
}

/* ---------------------------------------------------------------- other services */

static void other_services(void **state)
{
    (void)state;
    struct generation before = {0}, after = {0};
    struct service service = toy_proxied_service(&limits_toy, PORT), next = service;
    service.connections_per_address_max = 2;
    service.generation = &before;
    next.connections_per_address_max = 3;
    next.errors_max = 1;
    next.generation = &after;
    struct service stranger = next;
    stranger.port = PORT + 1;
    char address[] = "127.0.0.1"; /* not the same pointer */
    next.address = address;
    const struct service *const services[] = {&stranger, &next};
    toy_next = services;
    toy_next_count = 2;
    struct host *host = begin_host(&service, 1);
    int old[2] = {toy_served(PORT, "192.0.2.7"), toy_served(PORT, "192.0.2.7")};
    toy_refused(PORT, "192.0.2.7");
    check(generation_users(&before) >= 3 && generation_users(&after) == 0);
    client_ask(old[0], "ADOPT\r\n", "adopted");
    check_equal(generation_users(&after), 1); /* the listener */
    int new = toy_served(PORT, "192.0.2.7");  /* old and new count together */
    toy_refused(PORT, "192.0.2.7");
    client_ask(new, "x\r\n", "no *");
    client_ask(new, "x\r\n", "no *");
    client_expect(new, "end errors\r\n");
    client_expect_end(new);
    for (unsigned i = 0; i < 5; i++)
        client_ask(old[0], "x\r\n", "no *"); /* its own service's limit */
    client_ask(old[0], "MOVE 0\r\n", "on 0");
    toy_quit(old[0]);
    toy_quit(old[1]);
    for (int i = 0; i < 1000 && generation_users(&before) > 0; i++)
        harness_nap(2000);
    check_equal(generation_users(&before), 0);
    new = toy_served(PORT, "192.0.2.7");
    client_close(new);
    host_end(host);
    check_equal(generation_users(&after), 0);
}

/* A session that moves between cores is counted once. */
static void generations_that_move(void **state)
{
    (void)state;
    struct generation generation = {0};
    struct service service = toy_proxied_service(&limits_toy, PORT);
    service.generation = &generation;
    struct host *host = begin_host(&service, 2);
    int client = toy_served(PORT, "192.0.2.7");
    for (unsigned i = 0; i < 4; i++) {
        client_ask(client, i % 2 ? "MOVE 0\r\n" : "MOVE 1\r\n", "on *");
        check_equal(generation_users(&generation), 3); /* two listeners */
    }
    toy_quit(client);
    host_end(host);
    check_equal(generation_users(&generation), 0);
}

static int all_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proxy_headers),
        cmocka_unit_test(proxy_header_in_two),
        cmocka_unit_test(proxy_bad),
        cmocka_unit_test(proxy_not_trusted),
        cmocka_unit_test(addresses),
        cmocka_unit_test(users),
        cmocka_unit_test(users_that_move),
        cmocka_unit_test(another_peer),
        cmocka_unit_test(before_login),
        cmocka_unit_test(other_services),
        cmocka_unit_test(generations_that_move),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(all_tests);
}
