/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The session loop, by a toy protocol whose commands each exercise one promise of session.h. At the
 * end of each test the core must drain to nothing. Runs on the real kernel and on the simulator
 * (harness.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "line_client.h"
#include "service_host.h"

/* ---------------------------------------------------------------- the toy protocol */

struct toy {
    struct session session;
    unsigned wakes;
    struct timer timer;
};

struct number {
    uint64_t value;
};

static const char *parse_number(struct slice text, struct arena *arena, void *ret_arguments)
{
    (void)arena;
    struct number *number = ret_arguments;
    return slice_number(text, 1000000, &number->value) ? NULL : "a number is wanted";
}

static void say(struct session *session, const char *text)
{
    stream_write(&session->stream, slice_cstr(text));
    stream_write(&session->stream, SLICE("\r\n"));
}

static void run_echo(struct session *session, const void *arguments)
{
    (void)arguments;
    stream_write(&session->stream, session->line.arguments);
    say(session, "");
}

static void run_user(struct session *session, const void *arguments)
{
    (void)arguments;
    check_equal(session_logged_in(session, session->line.arguments), 0);
    session->state = 2;
    say(session, "in");
}

static void run_nap(struct session *session, const void *arguments)
{
    const struct number *number = arguments;
    fiber_sleep(session_core(session), number->value * 1000000);
    say(session, "awake");
}

static void run_nothing(struct session *session, const void *arguments)
{
    (void)arguments;
    say(session, "nothing");
}

static void has_moved(struct session *session)
{
    stream_printf(&session->stream, "on %u\r\n", core_index(session_core(session)));
}

static void run_move(struct session *session, const void *arguments)
{
    const struct number *number = arguments;
    say(session, "moving");
    session_move(session, (unsigned)number->value, has_moved);
}

static void timer_fire(struct timer *timer)
{
    struct toy *toy = (struct toy *)((char *)timer - offsetof(struct toy, timer));
    session_wake(&toy->session);
    session_wake(&toy->session);
}

static void run_wake(struct session *session, const void *arguments)
{
    struct toy *toy = (struct toy *)session;
    const struct number *number = arguments;
    uint64_t due = core_now_ns(session_core(session)) + number->value * 1000000;
    toy->timer.fire = timer_fire;
    timer_set(session_core(session), &toy->timer, due);
}

static void run_read(struct session *session, const void *arguments)
{
    const struct number *number = arguments;
    char *data = malloc(number->value + 1);
    session_deadline(session, session->service->idle_ms_max / 4);
    if (stream_read_exact(&session->stream, data, number->value) == 0)
        say(session, "read");
    free(data);
}

static void run_flood(struct session *session, const void *arguments)
{
    const struct number *number = arguments;
    for (uint64_t i = 0; i < number->value; i++)
        say(session, "0123456789012345678901234567890123456789");
}

static void run_quit(struct session *session, const void *arguments)
{
    (void)arguments;
    say(session, "bye");
    session_end(session, SESSION_END_QUIT);
}

static void run_unique(struct session *session, const void *arguments)
{
    (void)arguments;
    char text[17];
    session_unique(session_core(session), text);
    say(session, text);
}

static const struct command toy_commands[] = {
    {"ECHO", 3, COMMAND_FREE_ARGUMENTS, NULL, 0, run_echo, ""},
    {"USER", 1, 0, NULL, 0, run_user, ""},
    {"SECRET", 2, 0, NULL, 0, run_nothing, ""},
    {"NAP", 3, 0, parse_number, sizeof(struct number), run_nap, ""},
    {"NOOP", 3, COMMAND_JUNK, NULL, 0, run_nothing, ""},
    {"MOVE", 3, 0, parse_number, sizeof(struct number), run_move, ""},
    {"WAKE", 3, 0, parse_number, sizeof(struct number), run_wake, ""},
    {"READ", 3, 0, parse_number, sizeof(struct number), run_read, ""},
    {"FLOOD", 3, 0, parse_number, sizeof(struct number), run_flood, ""},
    {"UNIQUE", 3, 0, NULL, 0, run_unique, ""},
    {"TLS", 3, COMMAND_SECRET, NULL, 0, run_nothing, ""},
    {"QUIT", 3, 0, NULL, 0, run_quit, ""},
};

static void toy_open(struct session *session)
{
    say(session, "hello");
}

static void toy_refuse(struct session *session, const struct command *command,
                       enum session_refusal refusal, const char *why)
{
    stream_printf(&session->stream, "no %d %s%s%s\r\n", (int)refusal, command ? command->name : "?",
                  why ? " " : "", why ? why : "");
}

/* A deadline that bytes, or a wake-up, had moved would come too late. */
static void toy_goodbye(struct session *session, enum session_end end)
{
    uint64_t age_ms = (core_now_ns(session_core(session)) - session->began_ns) / 1000000;
    if (session->state == 1 && ((end == SESSION_END_COMMAND_LATE && age_ms > 450) ||
                                (end == SESSION_END_IDLE && age_ms > 550)))
        say(session, "too late");
    stream_printf(&session->stream, "end %d\r\n", (int)end);
}

static void toy_woken(struct session *session)
{
    struct toy *toy = (struct toy *)session;
    stream_printf(&session->stream, "woken %u\r\n", ++toy->wakes);
}

static void toy_closed(struct session *session)
{
    struct toy *toy = (struct toy *)session;
    timer_clear(session_core(session), &toy->timer);
}

static const struct session_protocol toy_protocol = {
    .id = PROTOCOL_POP3,
    .name = "toy",
    .commands = toy_commands,
    .command_count = sizeof toy_commands / sizeof *toy_commands,
    .session_bytes = sizeof(struct toy),
    .line_bytes_max = 100,
    .command_bytes_max = 10000,
    .state_first = 1,
    .open = toy_open,
    .refuse = toy_refuse,
    .goodbye = toy_goodbye,
    .woken = toy_woken,
    .closed = toy_closed,
    .refusal = {"busy\r\n", 6},
};

/* ---------------------------------------------------------------- tests */

enum { PORT = 22000 };

static struct service toy_service(void)
{
    return (struct service){
        .protocol = &toy_protocol,
        .host_name = SLICE("toy.test"),
        .address = "127.0.0.1",
        .port = PORT,
        .connections_max = 100,
        .login_ms_max = 600,
        .idle_ms_max = 400,
        .command_ms_max = 300,
        .errors_max = 3,
        .junk_max = 4,
    };
}

static struct host_options one_core(const struct service *service)
{
    return (struct host_options){.services = {service}, .core_count = 1, .fibers_max = 100};
}

#define end_text(end) (snprintf(text, sizeof text, "end %d\r\n", SESSION_END_##end), text)

#define check_ends(host, end, count)                                                               \
    check_equal(host_ends(host, toy_protocol.id, SESSION_END_##end), count)

static void commands(void **state)
{
    (void)state;
    char text[64];
    struct service service = toy_service();
    struct host_options options = one_core(&service);
    struct host *host = host_begin(&options);
    int fd = client_open(PORT);
    client_expect(fd, "hello\r\n");
    client_say(fd,
               "echo one\r\nEcHo   two \r\nsecret\r\nTLS\r\nUSER u\r\nSECRET\r\nUSER again\r\n");
    client_expect(fd, "one\r\ntwo \r\nno 1 SECRET\r\nno 2 TLS\r\nin\r\nnothing\r\nno 1 USER\r\n");
    client_say(fd, "unknown\r\n"); /* the fourth error: one too many */
    client_expect(fd, "no 0 ?\r\n");
    client_expect(fd, end_text(ERRORS));
    client_expect_end(fd);

    const struct {
        const char *say, *expect;
    } rows[] = {
        {"nap x\r\n", "no 3 NAP a number is wanted\r\n"},
        {"\r\n", "no 0 ?\r\n"},
        {"echo bare\n", "no 5 ?\r\n"},
        {"echo ba\rre\r\n", "no 5 ?\r\n"},
        {"ECHO 90123456789012345678901234567890123456789012345678901234567890123456789012345678901"
         "23456789 1234567890\r\n",
         "no 4 ?\r\n"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int split = 0; split < 2; split++) {
            fd = client_open(PORT);
            client_expect(fd, "hello\r\n");
            if (split)
                client_say_in_pieces(fd, rows[i].say, strlen(rows[i].say), 1);
            else
                client_say(fd, rows[i].say);
            client_expect(fd, rows[i].expect);
            client_say(fd, "QUIT\r\nECHO nobody\r\n");
            client_expect(fd, "bye\r\n");
            client_expect_end(fd);
        }
    }
    fd = client_open(PORT);
    client_expect(fd, "hello\r\n");
    client_say(fd, "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n");
    client_expect(fd, "nothing\r\nnothing\r\nnothing\r\nnothing\r\nnothing\r\n");
    client_expect(fd, end_text(JUNK));
    client_expect_end(fd);
    check_ends(host, ERRORS, 1);
    check_ends(host, QUIT, 2 * sizeof rows / sizeof *rows);
    check_ends(host, JUNK, 1);
    check_ends(host, CLOSED, 0);
    fd = client_open(PORT); /* closed in the middle of a line */
    client_say(fd, "ECHO unfinished");
    client_close(fd);
    host_end(host);
}

static void foreign(void **state)
{
    (void)state;
    char text[64];
    struct service service = toy_service();
    struct host_options options = one_core(&service);
    struct host *host = host_begin(&options);
    const char *const rows[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-2.0-x\r\n",
                                "\x16\x03\x01", "\xff\xff", "POST /x HTTP/1.0\r\n"};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = client_open(PORT);
        client_say(fd, rows[i]);
        client_expect(fd, "hello\r\n");
        client_expect(fd, end_text(FORBIDDEN));
        client_expect_end(fd);
    }
    int fd = client_open(PORT); /* an honest one */
    client_say(fd, "\r\nECHO get\r\n");
    client_expect(fd, "hello\r\nno 0 ?\r\nget\r\n");
    check_ends(host, FORBIDDEN, sizeof rows / sizeof *rows);
    client_close(fd);
    host_end(host);
}

/* P3, and what ends a session that is late. */
static void deadlines(void **state)
{
    (void)state;
    char text[64];
    struct service service = toy_service();
    struct host_options options = one_core(&service);
    struct host *host = host_begin(&options);
    int fd = client_open(PORT);
    client_expect(fd, "hello\r\n");
    client_expect(fd, end_text(IDLE));
    client_expect_end(fd);
    fd = client_open(PORT); /* trickles: the deadline stays where it was */
    client_expect(fd, "hello\r\n");
    for (int i = 0; i < 6; i++) {
        client_say(fd, "x");
        harness_nap(40000);
    }
    client_expect(fd, end_text(COMMAND_LATE));
    client_expect_end(fd);
    fd = client_open(PORT); /* busy, but never logs in */
    client_expect(fd, "hello\r\n");
    for (int i = 0; i < 6; i++) {
        client_say(fd, "ECHO\r\n");
        client_expect(fd, "\r\n");
        harness_nap(60000);
    }
    client_expect(fd, end_text(LOGIN_LATE));
    client_expect_end(fd);
    fd = client_open(PORT); /* the same, logged in */
    client_say(fd, "USER u\r\n");
    client_expect(fd, "hello\r\nin\r\n");
    for (int i = 0; i < 10; i++) {
        harness_nap(60000);
        client_say(fd, "ECHO\r\n");
        client_expect(fd, "\r\n");
    }
    client_say(fd, "READ 3\r\nabREAD 2\r\n");
    client_expect(fd, "read\r\n");
    client_expect(fd, "no 0 ?\r\n"); /* "EAD 2" */
    client_say(fd, "READ 3\r\nab");
    client_expect(fd, end_text(COMMAND_LATE));
    client_expect_end(fd);
    fd = client_open(PORT); /* does not read */
    client_say(fd, "USER u\r\nFLOOD 1000000\r\n");
    harness_nap(900000);
    check_equal(host_counter(host, COUNTER_SESSION_TIMEOUTS), 5);
    check_ends(host, IDLE, 1);
    check_ends(host, COMMAND_LATE, 2);
    check_ends(host, LOGIN_LATE, 1);
    check_ends(host, READER_SLOW, 1);
    client_close(fd);
    host_end(host);
}

static void waking(void **state)
{
    (void)state;
    char text[64];
    struct service service = toy_service();
    struct host_options options = one_core(&service);
    struct host *host = host_begin(&options);
    int fd = client_open(PORT);
    client_expect(fd, "hello\r\n");
    client_say(fd, "WAKE 250\r\n");
    client_expect(fd, "woken 1\r\n");
    client_expect(fd, end_text(IDLE)); /* waking does not move the idle deadline */
    client_expect_end(fd);
    fd = client_open(PORT);
    client_say(fd, "WAKE 150\r\nNAP 250\r\nECHO x\r\n"); /* woken between commands only */
    client_expect(fd, "hello\r\nawake\r\nwoken 1\r\nx\r\n");
    client_close(fd);
    host_end(host);
}

static void moving(void **state)
{
    (void)state;
    struct service service = toy_service();
    service.login_ms_max = service.idle_ms_max = service.command_ms_max = 5000;
    struct host_options options = one_core(&service);
    options.core_count = 2;
    struct host *host = host_begin(&options);
    for (int i = 0; i < 50; i++) {
        int fd = client_open(PORT);
        client_expect(fd, "hello\r\n");
        client_say(fd, "MOVE 1\r\nECHO a\r\nMOVE 0\r\nECHO b\r\nMOVE 0\r\nUSER u\r\n");
        client_expect(fd, "moving\r\non 1\r\na\r\nmoving\r\non 0\r\nb\r\nmoving\r\non 0\r\nin\r\n");
        if (i % 3 == 0)
            client_say(fd, "MOVE 1\r\nWAKE 1\r\n");
        if (i % 3 == 1)
            client_say(fd, "MOVE 1\r\nQUIT\r\n");
        client_close(fd);
    }
    int fd = client_open(PORT); /* its new core knows it */
    char text[64];
    client_expect(fd, "hello\r\n");
    client_say(fd, "MOVE 1\r\nMOVE 0\r\nMOVE 1\r\n");
    client_expect(fd, "moving\r\non 1\r\nmoving\r\non 0\r\nmoving\r\non 1\r\n");
    host_stop(host);
    client_expect(fd, end_text(DRAIN));
    client_expect_end(fd);
    host_end(host);
}

static void limits(void **state)
{
    (void)state;
    struct service service = toy_service();
    service.login_ms_max = service.idle_ms_max = service.command_ms_max = 20000;
    service.connections_per_address_max = 5;
    struct host_options options = one_core(&service);
    struct host *host = host_begin(&options);
    int fds[8];
    for (int i = 0; i < 8; i++) {
        fds[i] = client_open(PORT);
        client_expect(fds[i], i < 5 ? "hello\r\n" : "busy\r\n");
        if (i >= 5)
            client_expect_end(fds[i]);
    }
    client_say(fds[0], "QUIT\r\n");
    client_expect(fds[0], "bye\r\n");
    client_expect_end(fds[0]);
    fds[0] = client_open(PORT);
    client_expect(fds[0], "hello\r\n");
    for (int i = 0; i < 5; i++)
        client_close(fds[i]);
    host_end(host);
}

/* Far more busy sessions than stacks: all are served, in turn. */
static void few_stacks(void **state)
{
    (void)state;
    enum { CROWD = 40 };
    struct service service = toy_service();
    service.login_ms_max = service.idle_ms_max = service.command_ms_max = 20000;
    struct host_options options = one_core(&service);
    options.fibers_max = 4;
    struct host *host = host_begin(&options);
    int fds[CROWD];
    for (int i = 0; i < CROWD; i++) {
        fds[i] = client_open(PORT);
        client_say(fds[i], "NAP 10\r\nECHO x\r\nNAP 10\r\n");
    }
    for (int i = 0; i < CROWD; i++) {
        client_expect(fds[i], "hello\r\nawake\r\nx\r\nawake\r\n");
        client_close(fds[i]);
    }
    host_end(host);
}

static void draining(void **state)
{
    (void)state;
    char text[64];
    struct service service = toy_service();
    service.login_ms_max = service.idle_ms_max = service.command_ms_max = 20000;
    struct host_options options = one_core(&service);
    options.drain_pace_ms = 100;
    options.drain_wait_ms = 800;
    struct host *host = host_begin(&options);
    int fds[13];
    for (int i = 0; i < 13; i++) {
        fds[i] = client_open(PORT);
        client_expect(fds[i], "hello\r\n");
    }
    client_say(fds[10], "NAP 400\r\n");
    client_say(fds[11], "READ 100000\r\nhalf of it");
    client_say(fds[12], "FLOOD 1000000\r\n"); /* and reads nothing */
    harness_nap(150000);
    host_stop(host);
    for (int i = 0; i < 10; i++) {
        client_expect(fds[i], end_text(DRAIN));
        client_expect_end(fds[i]);
    }
    client_expect(fds[10], "awake\r\n");
    client_expect(fds[10], end_text(DRAIN));
    client_expect_end(fds[10]);
    check_ends(host, DRAIN, 11);
    client_expect(fds[11], end_text(DRAIN)); /* its time is over, its output takes this */
    client_expect_end(fds[11]);
    check_ends(host, DRAIN, 12);
    client_close(fds[12]);
    host_end(host);
}

static void unique(void **state)
{
    (void)state;
    struct service service = toy_service();
    struct host_options options = one_core(&service);
    struct host *host = host_begin(&options);
    int fd = client_open(PORT);
    client_expect(fd, "hello\r\n");
    char ids[20][19] = {{0}};
    for (int i = 0; i < 20; i++) {
        client_say(fd, "UNIQUE\r\n");
        client_get(fd, ids[i], 18);
        for (int j = 0; j < i; j++)
            check(strcmp(ids[i], ids[j]) != 0);
        check_equal(strspn(ids[i], "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 16);
    }
    client_close(fd);
    host_end(host);
}

static int session_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands),   cmocka_unit_test(foreign),  cmocka_unit_test(deadlines),
        cmocka_unit_test(waking),     cmocka_unit_test(moving),   cmocka_unit_test(limits),
        cmocka_unit_test(few_stacks), cmocka_unit_test(draining), cmocka_unit_test(unique),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(session_tests);
}
