/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Streams and listeners: a small line server (line_server.c) on the engine, blocking clients beside
 * it. At the end of each test the engine must drain: a stream that is never released fails it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <unistd.h>

#include "harness.h"
#include "line_server.h"
#include "ringpost/stream.h"

/* ---------------------------------------------------------------- server */

struct server {
    struct harness_engine *engine;
    struct listener *listeners[CORES_MAX];
    struct listener_options options;
    unsigned cores;
    atomic_uint ready, stopped;
    struct line_server lines;
    atomic_ullong starved;
};

static int server_ready(struct core *core, void *argument)
{
    struct server *server = argument;
    check_equal(net_open(core), 0);
    struct listener_options options = server->options;
    int result = listener_open(core, &options, &server->listeners[core_index(core)]);
    check_equal(result, 0);
    atomic_fetch_add(&server->ready, 1);
    while (atomic_load(&server->stopped) == 0)
        fiber_sleep(core, 20000000);
    listener_close(server->listeners[core_index(core)]);
    while (atomic_load(&server->lines.sessions) > 0)
        fiber_sleep(core, 8000000);
    fiber_sleep(core, 100000000);
    check_equal(buffer_lent(core), 0);
    check_equal(core_busy(core), 0);
    check_equal(core_counters(core)->value[COUNTER_FIBERS_ACTIVE], 1);
    check_equal(core_counters(core)->value[COUNTER_CONNECTIONS_OPEN], 0);
    atomic_fetch_add(&server->starved, core_counters(core)->value[COUNTER_RECEIVE_STARVED]);
    net_close(core);
    if (atomic_fetch_add(&server->stopped, 1) == server->cores)
        harness_stop(core);
    return 0;
}

static unsigned port_base(void)
{
    return 23000 + (unsigned)getpid() % 50 * 20; /* no other test's, and no client's */
}

static void server_begin_at(struct server *server, const char *address, unsigned port,
                            unsigned cores, unsigned buffers, unsigned limit)
{
    struct engine_options options = {
        .core_count = cores,
        .connections_max = 2000,
        .buffers = buffers,
        .fibers_max = 600,
        .stack_bytes = 65536,
    };
    *server = (struct server){.cores = cores};
    server->options = (struct listener_options){
        .address = address,
        .port = port,
        .mode = 0600,
        .connections_max = limit,
        .refusal = SLICE("busy\r\n"),
        .accepted = line_server_accepted,
        .argument = &server->lines,
    };
    server->engine = harness_begin(&options, server_ready, server);
    while (atomic_load(&server->ready) < cores)
        harness_nap(1000);
}

static void server_begin(struct server *server, unsigned cores, unsigned buffers, unsigned limit)
{
    server_begin_at(server, "127.0.0.1", port_base(), cores, buffers, limit);
}

static void server_end(struct server *server)
{
    atomic_fetch_add(&server->stopped, 1);
    check_equal(harness_end(server->engine), 0);
}

/* ---------------------------------------------------------------- clients */

static int client_open(void)
{
    return client_open_at("127.0.0.1", port_base());
}

static void client_say(int fd, const char *text)
{
    client_put(fd, text, strlen(text));
}

static void client_expect(int fd, const char *text)
{
    char got[3000];
    client_get(fd, got, strlen(text));
    got[strlen(text)] = '\0';
    if (strcmp(got, text) != 0)
        fprintf(stderr, "got: %s\nwant: %s\n", got, text);
    check(strcmp(got, text) == 0);
}

static void client_put_pattern(int fd, size_t size)
{
    char data[50000];
    for (size_t at = 0; at < size; at += sizeof data) {
        size_t part = size - at < sizeof data ? size - at : sizeof data;
        pattern_fill(data, part, at);
        client_put(fd, data, part);
    }
}

static void client_quit(int fd)
{
    client_say(fd, "quit\r\n");
    client_expect(fd, "bye\r\n");
    client_expect_end(fd);
}

/* ---------------------------------------------------------------- tests */

static void lines(void **state)
{
    (void)state;
    struct server server;
    server_begin(&server, 1, 64, 100);
    int fd = client_open();
    const char *slow = "hello, one byte at a time\r\nand more\r\n";
    for (const char *at = slow; *at; at++) {
        client_put(fd, at, 1);
        harness_nap(200);
    }
    client_expect(fd, slow);
    char all[60000], *end = all;
    for (int i = 0; i < 1500; i++)
        end += sprintf(end, "pipelined line %d\r\n", i);
    client_put(fd, all, (size_t)(end - all));
    char *back = malloc((size_t)(end - all));
    client_get(fd, back, (size_t)(end - all));
    check(memcmp(back, all, (size_t)(end - all)) == 0);
    free(back);

    client_say(fd, "bare lf\nok\r\nbare\rcr\r\nok\r\n\r\n");
    client_expect(fd, "bare bare lf\r\nok\r\nbare bare\rcr\r\nok\r\n\r\n");
    memset(all, 'x', sizeof all);
    for (int i = 0; i < 50; i++) /* 3 MB of one line */
        client_put(fd, all, sizeof all);
    client_say(fd, "\r\nok\r\n");
    client_expect(fd, "too long\r\nok\r\n");
    client_put(fd, all, 1000);
    client_say(fd, "\r\n");
    client_put(fd, all, 1001);
    client_say(fd, "\r\n");
    memcpy(all + 1000, "\r\ntoo long\r\n", 13);
    client_expect(fd, all);
    client_say(fd, "half a line");
    harness_nap(20000);
    client_say(fd, " and its end\r\npeer\r\n");
    char name[80];
    client_name(fd, name, sizeof name);
    snprintf(all, sizeof all, "half a line and its end\r\n%s\r\n", name);
    client_expect(fd, all);
    client_quit(fd);
    fd = client_open(); /* closes in the middle of a line */
    client_say(fd, "unfinished");
    client_close(fd);
    server_end(&server);
}

static void bulk(void **state)
{
    (void)state;
    struct server server;
    server_begin(&server, 1, 64, 100);
    int fd = client_open();
    const char *const verbs[] = {"sink", "exact", "peek"};
    for (int i = 0; i < 9; i++) {
        char text[64];
        size_t size = i < 3 ? 10 << 20 : i < 6 ? 300001 : 70000;
        snprintf(text, sizeof text, "%s %zu\r\n", verbs[i % 3], size);
        client_say(fd, text);
        if (i == 4)
            harness_nap(50000);
        client_put_pattern(fd, size);
        client_say(fd, "pipelined behind\r\n");
        snprintf(text, sizeof text, "got %zu\r\npipelined behind\r\n", size);
        client_expect(fd, text);
    }
    client_say(fd, "sink 5000000\r\n"); /* and then the peer goes away in the middle */
    client_put_pattern(fd, 3000000);
    client_half_close(fd);
    char text[64] = {0};
    client_get(fd, text, 13);
    check(strcmp(text, "got 3000000\r\n") == 0);
    client_expect_end(fd);
    server_end(&server);
}

static void output(void **state)
{
    (void)state;
    struct server server;
    server_begin(&server, 1, 64, 100);
    int fd = client_open();
    const size_t size = 10 << 20;
    char *data = malloc(size);
    for (int i = 0; i < 2; i++) {
        client_say(fd, i ? "before\r\nsend 10485760\r\nafter\r\n"
                         : "before\r\nwrite 10485760\r\nafter\r\n");
        harness_nap(100000); /* the queue fills */
        client_expect(fd, "before\r\nbegin\r\n");
        client_get(fd, data, size);
        for (size_t at = 0; at < size; at++)
            check_equal(data[at], pattern(at));
        client_expect(fd, "end\r\nafter\r\n");
    }
    free(data);
    client_quit(fd);
    for (int i = 0; i < 2; i++) { /* a reader who goes away with much unsent */
        fd = client_open();
        client_say(fd, i ? "send 30000000\r\n" : "write 30000000\r\n");
        harness_nap(30000);
        client_close(fd);
    }
    server_end(&server);
}

enum { CROWD = 200, CROWD_BYTES = 200000 };

static void starvation(void **state)
{
    (void)state;
    static int fds[CROWD];
    struct server server;
    server_begin(&server, 2, 8, 1000);
    for (int i = 0; i < CROWD; i++) {
        fds[i] = client_open();
        client_say(fds[i], i % 2 ? "sink 200000\r\n" : "peek 200000\r\n");
    }
    char data[1000];
    for (size_t at = 0; at < CROWD_BYTES; at += sizeof data) {
        pattern_fill(data, sizeof data, at);
        for (int i = 0; i < CROWD; i++)
            client_put(fds[i], data, sizeof data);
    }
    for (int i = 0; i < CROWD; i++)
        client_expect(fds[i], "got 200000\r\n");
    for (int i = 0; i < CROWD; i++)
        client_quit(fds[i]);
    server_end(&server);
    print_message("  receives that starved: %llu\n", (unsigned long long)server.starved);
    check(server.starved > 0);
}

static void moving(void **state)
{
    (void)state;
    struct server server;
    server_begin(&server, 2, 64, 100);
    for (int round = 0; round < 50; round++) {
        int fd = client_open();
        unsigned from, to;
        char text[100];
        client_say(fd, "core\r\n");
        client_get(fd, text, 5);
        check_equal(sscanf(text, "%u", &from), 1);
        /* All at once: what is behind the command moves along, unread. */
        client_say(fd, "move\r\nfirst\r\nsecond\r\ncore\r\nhal");
        to = 1 - from;
        if (round % 2)
            harness_nap(3000);
        client_say(fd, "f\r\nmove\r\nsink 100000\r\n");
        client_put_pattern(fd, 100000);
        snprintf(
            text, sizeof text,
            "moving to %u\r\nfirst\r\nsecond\r\n%u %u\r\nhalf\r\nmoving to %u\r\ngot 100000\r\n",
            to, to, to, from);
        client_expect(fd, text);
        if (round % 5 == 0) { /* closed by the peer while it moves */
            client_say(fd, "move\r\n");
            client_close(fd);
        } else {
            client_quit(fd);
        }
    }
    server_end(&server);
}

static void endings(void **state)
{
    (void)state;
    struct server server;
    server_begin(&server, 1, 64, 100);
    int fd = client_open();
    client_say(fd, "deadline 40\r\nunfinished ");
    client_expect(fd, "timeout\r\n");
    client_say(fd, "line\r\n");
    client_expect(fd, "unfinished line\r\n");
    client_say(fd, "abort 30\r\n");
    client_expect_end(fd);
    fd = client_open();
    client_say(fd, "abort 30\r\npartial");
    client_expect_end(fd);
    fd = client_open(); /* much unread input while the session sleeps, N3 */
    client_say(fd, "nap 100\r\n");
    char *data = malloc(1 << 20);
    for (size_t i = 0; i < 1 << 20; i++)
        data[i] = "abcdefgh\r\n"[i % 10];
    client_put(fd, data, 1000000);
    client_expect(fd, "awake\r\n");
    for (int i = 0; i < 100; i++)
        client_get(fd, data, 10000);
    free(data);
    client_quit(fd);
    fd = client_open(); /* resets */
    client_say(fd, "nap 50\r\n");
    client_reset(fd);
    server_end(&server);
}

static void full(void **state)
{
    (void)state;
    int fds[10];
    struct server server;
    server_begin(&server, 1, 16, 3);
    for (int i = 0; i < 10; i++) {
        fds[i] = client_open();
        if (i < 3) {
            client_say(fds[i], "hello\r\n");
            client_expect(fds[i], "hello\r\n");
        } else {
            client_expect(fds[i], "busy\r\n");
            client_expect_end(fds[i]);
        }
    }
    client_quit(fds[0]);
    harness_nap(50000);
    fds[0] = client_open();
    client_say(fds[0], "hello\r\n");
    client_expect(fds[0], "hello\r\n");
    for (int i = 0; i < 3; i++)
        client_quit(fds[i]);
    server_end(&server);
}

/* R04 */
static void churn(void **state)
{
    (void)state;
    struct server server;
    server_begin(&server, 2, 32, 1000);
    for (int i = 0; i < 2000; i++) {
        int fd = client_open();
        if (i % 3 == 0) {
            client_quit(fd);
        } else {
            client_say(fd, i % 3 == 1 ? "hello\r\nquit\r\n" : "core\r\nmo");
            client_close(fd);
        }
    }
    server_end(&server);
}

static void families(void **state)
{
    (void)state;
    struct server server;
    char path[64], text[100];
    snprintf(path, sizeof path, "/tmp/stream_test.%d", (int)getpid());
    for (int i = 0; i < 2; i++) { /* the second finds the socket file that the first left */
        server_begin_at(&server, path, 0, 2, 16, 10);
        int fd = client_open_at(path, 0);
        client_say(fd, "peer\r\nmove\r\npeer\r\n");
        client_expect(fd, "unix 0\r\nmoving to 1\r\nunix 0\r\n");
        client_quit(fd);
        server_end(&server);
    }
    unlink(path);
    server_begin_at(&server, "::", port_base(), 1, 16, 10);
    int fd = client_open(); /* of the other family */
    char name[80];
    client_name(fd, name, sizeof name);
    client_say(fd, "peer\r\n");
    snprintf(text, sizeof text, "%s\r\n", name);
    client_expect(fd, text);
    client_quit(fd);
    fd = client_open_at("::1", port_base());
    client_say(fd, "peer\r\n");
    client_expect(fd, "::1 ");
    char byte;
    do
        client_get(fd, &byte, 1);
    while (byte != '\n');
    client_quit(fd);
    server_end(&server);
}

static int stream_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),  cmocka_unit_test(bulk),    cmocka_unit_test(output),
        cmocka_unit_test(moving), cmocka_unit_test(endings), cmocka_unit_test(starvation),
        cmocka_unit_test(full),   cmocka_unit_test(churn),   cmocka_unit_test(families),
    };
    _Static_assert(sizeof(struct stream) <= 400, "an idle stream is small");
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(stream_tests);
}
