/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Streams and listeners: a small line server on the engine, blocking clients beside it. The server's commands each exercise one part of stream.h; whatever a
 * client sends is a known pattern, so that lost, doubled or misordered bytes show. At the end of
 * each test the engine must drain: a stream that is never released fails it.
 * tidy: long because the server, its clients and the tests make sense only together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <unistd.h>

#include "harness.h"
#include "ringpost/hash.h"
#include "ringpost/stream.h"

/* Byte `at` of the pattern. */
static char pattern(uint64_t at)
{
    return (char)(hash_u64(at / 8) >> (at % 8 * 8));
}

static void pattern_fill(char *data, size_t size, uint64_t at)
{
    for (size_t i = 0; i < size; i++)
        data[i] = pattern(at + i);
}

/* ---------------------------------------------------------------- server */

struct server {
    struct harness_engine *engine;
    struct listener *listeners[CORES_MAX];
    struct listener_options options;
    unsigned cores;
    atomic_uint ready, stopped, sessions;
    atomic_ullong starved;
};

struct session {
    struct stream stream;
    struct server *server;
    struct timer timer;
    bool has_fiber, is_released;
    unsigned arrived_on;
};

static void session_free(struct session *session)
{
    atomic_fetch_sub(&session->server->sessions, 1);
    free(session);
}

static void session_sink(struct session *session, size_t size, bool exact)
{
    struct stream *stream = &session->stream;
    size_t room = 300000, got = 0;
    char *data = malloc(exact ? size : room);
    if (exact) {
        int result = stream_read_exact(stream, data, size);
        check(result == 0 || session->stream.end != 0);
        for (; result == 0 && got < size; got++)
            check_equal(data[got], pattern(got));
    }
    while (got < size) {
        int result = stream_read_some(stream, data, room);
        if (result < 0)
            break;
        int use = (size_t)result > size - got ? (int)(size - got) : result;
        for (int i = 0; i < use; i++)
            check_equal(data[i], pattern(got + (size_t)i));
        check_equal(stream_unread_bytes(stream, slice_of(data + use, (size_t)(result - use))), 0);
        got += (size_t)use;
    }
    free(data);
    stream_printf(stream, "got %zu\r\n", got);
}

/* By peek and consume, with a nap while the bytes are looked at. */
static void session_peek(struct session *session, size_t size)
{
    struct stream *stream = &session->stream;
    size_t got = 0;
    struct slice bytes;
    while (got < size && stream_peek(stream, &bytes) == 0) {
        bytes = slice_first(bytes, size - got);
        if (got % 7 == 0)
            fiber_sleep(stream->core, 1000000);
        for (size_t i = 0; i < bytes.size; i++)
            check_equal(bytes.data[i], pattern(got + i));
        got += bytes.size;
        stream_consume(stream, bytes.size);
    }
    stream_printf(stream, "got %zu\r\n", got);
}

static void session_source(struct session *session, size_t size, bool owned)
{
    char *data = malloc(size);
    pattern_fill(data, size, 0);
    stream_write(&session->stream, SLICE("begin\r\n"));
    if (owned)
        stream_send(&session->stream, slice_of(data, size));
    else
        stream_write(&session->stream, slice_of(data, size));
    free(data);
    stream_write(&session->stream, SLICE("end\r\n"));
}

static void abort_fire(struct timer *timer)
{
    struct session *session = (struct session *)((char *)timer - offsetof(struct session, timer));
    stream_close(&session->stream);
    stream_close(&session->stream);
}

static void session_deadline(struct session *session, uint64_t ms)
{
    struct stream *stream = &session->stream;
    struct slice line;
    stream_deadline(stream, core_now_ns(stream->core) + ms * 1000000);
    check_equal(stream_read_line(stream, 100, &line), -ETIMEDOUT);
    check_equal(stream_read_line(stream, 100, &line), -ETIMEDOUT);
    stream_resume(stream);
    stream_write(stream, SLICE("timeout\r\n"));
}

/* False: the session's fiber must end, the stream is moving or closing. */
static bool session_command(struct session *session, struct slice line)
{
    struct stream *stream = &session->stream;
    char text[32] = {0}, peer[48];
    uint16_t port;
    size_t space = slice_find(line, ' ');
    struct slice verb = slice_first(line, space), rest = slice_from(line, space + 1);
    memcpy(text, rest.data, rest.size < sizeof text - 1 ? rest.size : sizeof text - 1);
    size_t number = strtoul(text, NULL, 10);
    if (slice_equal(verb, SLICE("sink"))) {
        session_sink(session, number, false);
    } else if (slice_equal(verb, SLICE("exact"))) {
        session_sink(session, number, true);
    } else if (slice_equal(verb, SLICE("peek"))) {
        session_peek(session, number);
    } else if (slice_equal(verb, SLICE("send"))) {
        session_source(session, number, true);
    } else if (slice_equal(verb, SLICE("write"))) {
        session_source(session, number, false);
    } else if (slice_equal(verb, SLICE("deadline"))) {
        session_deadline(session, number);
    } else if (slice_equal(verb, SLICE("nap"))) {
        fiber_sleep(stream->core, number * 1000000);
        stream_write(stream, SLICE("awake\r\n"));
    } else if (slice_equal(verb, SLICE("peer"))) {
        stream_peer(stream, peer, &port);
        stream_printf(stream, "%s %u\r\n", peer, port);
    } else if (slice_equal(verb, SLICE("core"))) {
        stream_printf(stream, "%u %u\r\n", core_index(stream->core), session->arrived_on);
    } else if (slice_equal(verb, SLICE("abort"))) {
        struct slice none;
        session->timer.fire = abort_fire;
        timer_set(stream->core, &session->timer, core_now_ns(stream->core) + number * 1000000);
        check_equal(stream_read_line(stream, 1000, &none), -ECANCELED);
        fiber_sleep(stream->core, 50000000); /* released() comes first: the session must stay */
        return false;
    } else if (slice_equal(verb, SLICE("quit"))) {
        stream_write(stream, SLICE("bye\r\n"));
        stream_close(stream);
        return false;
    } else if (slice_equal(verb, SLICE("move"))) {
        unsigned to = (core_index(stream->core) + 1) % core_count(stream->core);
        stream_printf(stream, "moving to %u\r\n", to);
        session->has_fiber = false;
        stream_move(stream, to);
        return false;
    } else {
        stream_write(stream, line);
        stream_write(stream, SLICE("\r\n"));
    }
    return true;
}

static void session_fiber(void *argument)
{
    struct session *session = argument;
    struct stream *stream = &session->stream;
    while (stream_line_ready(stream)) {
        struct slice line = {0};
        int result = stream_read_line(stream, 1000, &line);
        if (result == -EMSGSIZE) {
            stream_write(stream, SLICE("too long\r\n"));
        } else if (result == -EBADMSG) {
            stream_printf(stream, "bare %.*s\r\n", (int)line.size, line.data);
        } else if (result < 0) {
            stream_close(stream);
            break;
        } else if (!session_command(session, line)) {
            if (!session->has_fiber)
                return; /* moved: no longer ours */
            break;
        }
    }
    session->has_fiber = false;
    if (session->is_released)
        session_free(session);
}

static void session_input(struct stream *stream)
{
    struct session *session = (struct session *)stream;
    if (session->has_fiber || !stream_line_ready(stream))
        return;
    session->has_fiber = true;
    check_equal(fiber_start(stream->core, session_fiber, session), 0);
}

static void session_released(struct stream *stream)
{
    struct session *session = (struct session *)stream;
    check_equal(stream->slot, -1);
    check(stream->input == NULL && stream->output == NULL && stream->line == NULL);
    session->is_released = true;
    if (!session->has_fiber)
        session_free(session);
}

static void session_moved(struct stream *stream)
{
    struct session *session = (struct session *)stream;
    session->arrived_on = core_index(stream->core);
    session_input(stream);
}

static const struct stream_owner session_owner = {session_input, session_released, session_moved};

static bool session_accepted(struct core *core, unsigned slot, void *argument)
{
    struct session *session = calloc(1, sizeof *session);
    session->server = argument;
    session->arrived_on = core_index(core);
    atomic_fetch_add(&session->server->sessions, 1);
    stream_open(&session->stream, core, slot, &session_owner);
    return true;
}

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
    while (atomic_load(&server->sessions) > 0)
        fiber_sleep(core, 8000000);
    fiber_sleep(core, 30000000);
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
    return 20000 + (unsigned)getpid() % 20000;
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
        .accepted = session_accepted,
        .argument = server,
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
