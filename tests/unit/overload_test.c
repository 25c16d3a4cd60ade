/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is done about those who make errors, and when the means of a core run out: replies that come
 * later and later, strangers hurried and then turned away, users served as ever. Runs on the real
 * kernel and on the simulator, where times are exact.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "limits_toy.h"

enum { PORT = 24510 };

#define check_ends(host, end, count)                                                               \
    check_equal(host_ends(host, PROTOCOL_POP3, SESSION_END_##end), count)

/* The age of the session when it said "no". */
static unsigned age_of_error(int client)
{
    char line[64];
    client_line(client, line, sizeof line);
    check(strncmp(line, "no ", 3) == 0);
    return (unsigned)strtoul(line + 3, NULL, 10);
}

static unsigned error_at(int client)
{
    client_say(client, "x\r\n");
    return age_of_error(client);
}

/* ---------------------------------------------------------------- the tarpit */

static void later_and_later(void **state)
{
    (void)state;
    struct service service = toy_service(&limits_toy, PORT);
    service.errors_free = 2;
    service.error_ms_first = 100;
    service.error_ms_max = 300;
    service.errors_max = 6;
    struct host_options options = {.services = {&service}, .core_count = 1, .fibers_max = 64};
    struct host *host = host_begin(&options);
    int client = client_open(PORT);
    client_expect(client, "hello\r\n");
    static const unsigned delays[] = {0, 0, 100, 200, 300, 300, 0}; /* the last one ends it */
    unsigned before = 0;
    for (unsigned i = 0; i < sizeof delays / sizeof *delays; i++) {
        unsigned age = error_at(client);
        check(age >= before + delays[i]);
        if (harness_is_simulated())
            check(age < before + delays[i] + 90);
        before = age;
    }
    client_expect(client, "end errors\r\n");
    client_expect_end(client);
    check_equal(host_counter(host, COUNTER_REPLIES_DELAYED), 4);
    /* in a row: no reply comes before its time, and nobody else is kept waiting */
    client = client_open(PORT);
    int other = client_open(PORT);
    client_expect(client, "hello\r\n");
    client_expect(other, "hello\r\n");
    client_say(client, "x\r\nx\r\nx\r\nx\r\nx\r\nECHO y\r\n");
    for (unsigned i = 0; i < 20; i++)
        client_ask(other, "ECHO quick\r\n", "quick");
    before = 0;
    for (unsigned i = 0; i < 5; i++) {
        unsigned age = age_of_error(client);
        check(age >= before + delays[i]);
        before = age;
    }
    client_expect(client, "y\r\n");
    toy_quit(client);
    toy_quit(other);
    host_end(host);
}

/* The delay holds a fiber: a fourth of them at most, the others are closed. Who goes is let go. */
static void few_sleepers(void **state)
{
    (void)state;
    enum { CLIENTS = 6, SLEEPERS = 2 };
    struct service service = toy_service(&limits_toy, PORT);
    service.error_ms_first = service.error_ms_max = 30000;
    struct host_options options = {.services = {&service}, .core_count = 1, .fibers_max = 8};
    struct host *host = host_begin(&options);
    int clients[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = client_open(PORT);
        client_expect(clients[i], "hello\r\n");
        client_say(clients[i], "x\r\n");
        if (i < SLEEPERS)
            harness_nap(30000);
    }
    for (unsigned i = SLEEPERS; i < CLIENTS; i++) {
        check(age_of_error(clients[i]) < 20000);
        client_expect(clients[i], "end errors\r\n");
        client_expect_end(clients[i]);
    }
    check_ends(host, ERRORS, CLIENTS - SLEEPERS);
    check_equal(host_counter(host, COUNTER_FIBERS_ACTIVE), 1 + SLEEPERS);
    client_close(clients[0]); /* long before the reply is due */
    for (int i = 0; i < 1000 && host_counter(host, COUNTER_FIBERS_ACTIVE) > SLEEPERS; i++)
        harness_nap(5000);
    check_equal(host_counter(host, COUNTER_FIBERS_ACTIVE), SLEEPERS);
    host_stop(host); /* a drain does not wait for it either */
    check(age_of_error(clients[1]) < 20000);
    client_expect(clients[1], "end drain\r\n");
    client_expect_end(clients[1]);
    host_end(host);
}

/* ---------------------------------------------------------------- overload */

enum { SLOTS = 100 };

static void wait_until(struct host *host, enum counter counter, unsigned value)
{
    for (int i = 0; i < 1000 && host_counter(host, counter) != value; i++)
        harness_nap(10000);
    check_equal(host_counter(host, counter), value);
}

static void wait_for(struct host *host, unsigned overloaded)
{
    wait_until(host, COUNTER_OVERLOADED, overloaded);
}

/* R10, R12 */
static void many_connections(void **state)
{
    (void)state;
    struct service service = toy_proxied_service(&limits_toy, PORT);
    static const struct network trusted = {.address = {198, 51, 100}, .family = 4, .bits = 24};
    service.unlimited = (struct network_set){&trusted, 1};
    struct host_options options = {
        .services = {&service}, .core_count = 1, .fibers_max = 64, .connections_max = SLOTS};
    struct host *host = host_begin(&options);
    static int clients[HARNESS_CLIENTS_MAX];
    unsigned count = 0;
    int user = toy_served(PORT, "192.0.2.1"), early = toy_served(PORT, "192.0.2.2");
    client_ask(user, "USER u\r\n", "in");
    while (host_counter(host, COUNTER_OVERLOADED) == 0) {
        check(count < HARNESS_CLIENTS_MAX - 10);
        clients[count++] = toy_served(PORT, "203.0.113.1");
    }
    check_equal(count, SLOTS * 8 / 10 - 2);
    for (unsigned i = 0; i < 3; i++) {
        error_at(user); /* as ever */
        client_ask(user, "NOOP\r\n", "nothing");
    }
    int stranger = toy_served(PORT, "203.0.113.2");
    error_at(stranger);
    error_at(stranger);
    client_expect(stranger, "end errors\r\n"); /* the second is one too many now */
    client_expect_end(stranger);
    stranger = toy_served(PORT, "203.0.113.2");
    client_ask(stranger, "NOOP\r\n", "nothing");
    client_ask(stranger, "NOOP\r\n", "nothing");
    client_expect(stranger, "end junk\r\n");
    client_expect_end(stranger);
    stranger = toy_served(PORT, "198.51.100.7");
    for (unsigned i = 0; i < 3; i++)
        error_at(stranger); /* the operator's own */
    toy_quit(stranger);
    client_ask(early, "ECHO x\r\n", "x");
    wait_until(host, COUNTER_CONNECTIONS_OPEN,
               count + 2); /* who has seen the end may still count */
    for (;;) {             /* until nobody is let in any more */
        char first;
        int client = toy_client(PORT, "203.0.113.3");
        check(count < HARNESS_CLIENTS_MAX - 10);
        client_get(client, &first, 1);
        if (first == 'b') {
            client_expect(client, "usy\r\n");
            client_expect_end(client);
            break;
        }
        client_expect(client, "ello\r\n");
        clients[count++] = client;
    }
    check_equal(count + 2 + 1, SLOTS * 95 / 100); /* the one that was told so makes it 95 */
    check_ends(host, OVERLOAD, 1);
    client_ask(user, "ECHO still\r\n", "still");
    for (unsigned i = 0; i < count; i++)
        client_close(clients[i]);
    wait_for(host, 0); /* not before a pause, and below the lower mark */
    stranger = toy_served(PORT, "203.0.113.2");
    for (unsigned i = 0; i < 3; i++)
        error_at(stranger);
    toy_quit(stranger);
    toy_quit(user);
    toy_quit(early);
    host_end(host);
}

/* Strangers have 10 seconds under overload, those that came before have what they had. Takes too
 * long outside virtual time. */
static void hurried(void **state)
{
    (void)state;
    if (!harness_is_simulated())
        return;
    struct service service = toy_service(&limits_mute_toy, PORT);
    struct host_options options = {
        .services = {&service}, .core_count = 1, .fibers_max = 64, .connections_max = SLOTS};
    struct host *host = host_begin(&options);
    static int clients[HARNESS_CLIENTS_MAX];
    unsigned count = 0;
    while (host_counter(host, COUNTER_OVERLOADED) == 0) {
        check(count < HARNESS_CLIENTS_MAX - 10);
        clients[count] = client_open(PORT);
        client_expect(clients[count++], "hello\r\n");
    }
    int stranger = client_open(PORT), user = client_open(PORT);
    client_expect(stranger, "hello\r\n");
    client_expect(user, "hello\r\n");
    client_ask(user, "USER u\r\n", "in");
    client_expect(stranger, "end idle\r\n"); /* the harness waits for 20 s at most */
    client_expect_end(stranger);
    client_expect(clients[count - 1], "end idle\r\n"); /* the one with which it began */
    check_equal(host_ends(host, PROTOCOL_SMTP, SESSION_END_IDLE), 2);
    client_ask(user, "ECHO x\r\n", "x");
    client_ask(clients[0], "ECHO x\r\n", "x");
    for (unsigned i = 0; i < count; i++)
        client_close(clients[i]);
    client_close(user);
    host_end(host);
}

/* All stacks are taken for more than a second, without a pause. */
static void no_stacks(void **state)
{
    (void)state;
    enum { STACKS = 5 };
    struct service service = toy_service(&limits_toy, PORT);
    struct host_options options = {.services = {&service}, .core_count = 1, .fibers_max = STACKS};
    struct host *host = host_begin(&options);
    int clients[STACKS];
    for (unsigned i = 0; i < STACKS - 1; i++) { /* one stack is the host's */
        clients[i] = client_open(PORT);
        client_expect(clients[i], "hello\r\n");
        client_say(clients[i], "NAP 600\r\n");
    }
    harness_nap(50000);
    int waiting = client_open(PORT);
    client_expect(waiting, "hello\r\n"); /* within the second: nothing to worry about */
    check_equal(host_counter(host, COUNTER_OVERLOADED), 0);
    for (unsigned i = 0; i < STACKS - 1; i++) {
        client_expect(clients[i], "awake\r\n");
        client_say(clients[i], "NAP 2500\r\n");
    }
    harness_nap(50000);
    client_say(waiting, "ECHO x\r\n");
    wait_for(host, 1);
    client_expect(waiting, "x\r\n"); /* late, not lost */
    for (unsigned i = 0; i < STACKS - 1; i++)
        client_expect(clients[i], "awake\r\n");
    wait_for(host, 0);
    for (unsigned i = 0; i < STACKS - 1; i++)
        toy_quit(clients[i]);
    toy_quit(waiting);
    host_end(host);
}

/* R02 on a small scale (tests/sim has the large one): sessions that trickle hold no fiber, and end
 * in their time. */
static void slow_ones(void **state)
{
    (void)state;
    enum { SLOW = 150 };
    struct service service = toy_service(&limits_toy, PORT);
    service.command_ms_max = 1500;
    struct host_options options = {.services = {&service}, .core_count = 1, .fibers_max = 8};
    struct host *host = host_begin(&options);
    static int clients[SLOW];
    for (unsigned i = 0; i < SLOW; i++) {
        clients[i] = client_open(PORT);
        client_expect(clients[i], "hello\r\n");
        client_say(clients[i], "E");
    }
    int honest = client_open(PORT);
    client_expect(honest, "hello\r\n");
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < SLOW; i++)
            client_say(clients[i], "C");
        client_ask(honest, "ECHO x\r\n", "x");
        check(host_counter(host, COUNTER_FIBERS_ACTIVE) <= 2);
    }
    for (unsigned i = 0; i < SLOW; i++) {
        client_expect(clients[i], "end command_late\r\n");
        client_expect_end(clients[i]);
    }
    check_ends(host, COMMAND_LATE, SLOW);
    check_equal(host_counter(host, COUNTER_OVERLOADED), 0);
    toy_quit(honest);
    host_end(host);
}

static int all_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_and_later),  cmocka_unit_test(few_sleepers),
        cmocka_unit_test(many_connections), cmocka_unit_test(hurried),
        cmocka_unit_test(no_stacks),        cmocka_unit_test(slow_ones),
    };
    return cmocka_run_group_tests_name("overload", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(all_tests);
}
