/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What this machine allows one core: the prices below which nothing built on the engine can fall.
 * Run it on an idle machine, with a directory on the disk that will hold the store:
 *
 *   limits DIRECTORY
 *
 *   exchange   64 bytes in, 32 out, 20 connections: on bare operations, and as lines read by a
 * fiber from a stream commit     20 messages of 2 KiB gathered in one durable write (O_DIRECT,
 * RWF_DSYNC, recycled segment), one in flight receive    messages of 100 KiB received into log
 * memory and written so, 4 connections memory     memcpy and crc32c of cold and of hot bytes
 *
 * The core runs in this process on the first processor, its clients in a child on the last. CPU is
 * what this thread used. Over loopback a send also does the peer's receive processing, which a
 * network card would not charge here.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ringpost/core.h"
#include "ringpost/hash.h"
#include "ringpost/kernel.h"
#include "ringpost/kernel_linux.h"
#include "ringpost/stream.h"

enum {
    PORT = 24999,
    CONNECTIONS = 20,
    REQUEST = 64,
    REPLY = 32,
    SEGMENT = 64 << 20,
    MESSAGE = 102400,
    COMMIT = 20 * 2048,
};
static const double SECONDS = 2;

struct bench {
    struct core *core;
    struct listener *listener;
    unsigned long long exchanges, bytes;
    unsigned open;
    int segment;
    uint64_t offset;
};

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static void pin(int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

/* ---------------------------------------------------------------- clients, in a child */

static int client_open(void)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    must(fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof name) == 0, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Each connection sends `request` bytes, waits for REPLY bytes, and so on, until killed. */
static void clients_run(unsigned count, size_t request)
{
    struct pollfd fds[CONNECTIONS];
    char *data = malloc(request), reply[REPLY];
    size_t left[CONNECTIONS], got[CONNECTIONS];
    memset(data, 'x', request);
    memcpy(data + request - 2, "\r\n", 2);
    for (unsigned i = 0; i < count; i++) {
        fds[i] = (struct pollfd){client_open(), POLLIN | POLLOUT, 0};
        fcntl(fds[i].fd, F_SETFL, O_NONBLOCK);
        left[i] = request;
        got[i] = 0;
    }
    while (poll(fds, count, -1) > 0) {
        for (unsigned i = 0; i < count; i++) {
            if (fds[i].revents & POLLIN) {
                ssize_t part = recv(fds[i].fd, reply, REPLY - got[i], 0);
                if (part == 0)
                    _exit(0);
                got[i] += part > 0 ? (size_t)part : 0;
                if (got[i] == REPLY) {
                    got[i] = 0;
                    left[i] = request;
                }
            }
            if (left[i] > 0) {
                ssize_t part = send(fds[i].fd, data + request - left[i], left[i], MSG_NOSIGNAL);
                left[i] -= part > 0 ? (size_t)part : 0;
            }
            fds[i].events = left[i] > 0 ? POLLIN | POLLOUT : POLLIN;
        }
    }
}

static pid_t clients_begin(unsigned count, size_t request)
{
    pid_t child = fork();
    if (child == 0) {
        pin((int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
        clients_run(count, request);
        _exit(0);
    }
    must(child > 0, "fork");
    return child;
}

/* ---------------------------------------------------------------- the core */

struct measure {
    double wall, cpu;
};

static struct measure turn_for(struct bench *bench, double seconds)
{
    double wall = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    while (seconds_of(CLOCK_MONOTONIC) < wall + seconds)
        core_turn(bench->core, 10000000);
    return (struct measure){seconds_of(CLOCK_MONOTONIC) - wall,
                            seconds_of(CLOCK_THREAD_CPUTIME_ID) - cpu};
}

struct connection {
    struct stream stream;
    struct op receive, send, close;
    struct bench *bench;
    unsigned slot, got;
    bool has_fiber;
    char *log; /* of the receive test */
};

static const char reply[REPLY + 1] = "250 2.0.0 queued, thank you 123\n";

/* -- bare operations */

static void bare_closed(struct op *op, int result, unsigned flags)
{
    (void)result, (void)flags;
    struct connection *connection =
        (struct connection *)((char *)op - offsetof(struct connection, close));
    connection->bench->open--;
    free(connection);
}

static void bare_sent(struct op *op, int result, unsigned flags)
{
    (void)op, (void)result, (void)flags;
}

static void bare_received(struct op *op, int result, unsigned flags)
{
    struct connection *connection =
        (struct connection *)((char *)op - offsetof(struct connection, receive));
    struct core *core = connection->bench->core;
    unsigned number;
    if (flags & IORING_CQE_F_BUFFER) {
        buffer_of(core, flags, &number);
        buffer_give(core, number);
    }
    connection->got += result > 0 ? (unsigned)result : 0;
    if (connection->got >= REQUEST && !op_busy(&connection->send)) {
        connection->got -= REQUEST;
        connection->bench->exchanges++;
        op_send(core, &connection->send, connection->slot, reply, REPLY);
    }
    if (op_busy(op))
        return;
    if (result > 0)
        op_recv_multishot(core, op, connection->slot);
    else
        op_close_slot(core, &connection->close, connection->slot);
}

static bool bare_accepted(struct core *core, unsigned slot, void *argument)
{
    struct connection *connection = calloc(1, sizeof *connection);
    connection->bench = argument;
    connection->bench->open++;
    connection->slot = slot;
    connection->receive.done = bare_received;
    connection->send.done = bare_sent;
    connection->close.done = bare_closed;
    op_recv_multishot(core, &connection->receive, slot);
    return true;
}

/* -- streams */

static void line_fiber(void *argument)
{
    struct connection *connection = argument;
    struct stream *stream = &connection->stream;
    while (stream_line_ready(stream)) {
        struct slice line;
        if (stream_read_line(stream, 1000, &line) < 0) {
            stream_close(stream);
            break;
        }
        connection->bench->exchanges++;
        stream_write(stream, slice_of(reply, REPLY));
    }
    connection->has_fiber = false;
}

/* A message into aligned log memory, then a durable write of it; no framing but its size. */
static void message_fiber(void *argument)
{
    struct connection *connection = argument;
    struct stream *stream = &connection->stream;
    struct bench *bench = connection->bench;
    while (stream_read_exact(stream, connection->log, MESSAGE) == 0) {
        uint64_t offset = bench->offset;
        bench->offset = (bench->offset + MESSAGE) % (SEGMENT - 2 * MESSAGE);
        bench->offset &= ~UINT64_C(4095);
        int result =
            await_write(bench->core, bench->segment, connection->log, MESSAGE, offset, RWF_DSYNC);
        if (result != MESSAGE)
            fprintf(stderr, "write: %d\n", result);
        bench->bytes += MESSAGE;
        stream_write(stream, slice_of(reply, REPLY));
    }
    stream_close(stream);
    connection->has_fiber = false;
}

static void input(struct stream *stream)
{
    struct connection *connection = (struct connection *)stream;
    if (connection->has_fiber)
        return;
    connection->has_fiber = true;
    if (fiber_start(stream->core, connection->log ? message_fiber : line_fiber, connection) < 0)
        connection->has_fiber = false;
}

static void released(struct stream *stream)
{
    struct connection *connection = (struct connection *)stream;
    connection->bench->open--;
    free(connection->log);
    free(connection);
}

static const struct stream_owner owner = {input, released, released};

static bool line_accepted(struct core *core, unsigned slot, void *argument)
{
    struct connection *connection = calloc(1, sizeof *connection);
    connection->bench = argument;
    connection->bench->open++;
    stream_open(&connection->stream, core, slot, &owner);
    return true;
}

static bool message_accepted(struct core *core, unsigned slot, void *argument)
{
    struct connection *connection = calloc(1, sizeof *connection);
    connection->bench = argument;
    connection->bench->open++;
    connection->log = aligned_alloc(4096, MESSAGE);
    stream_open(&connection->stream, core, slot, &owner);
    return true;
}

static void listen_fiber(void *argument)
{
    struct bench *bench = argument;
    struct listener_options options = {
        .address = "127.0.0.1",
        .port = PORT,
        .connections_max = 100,
        .accepted = bench->segment ? message_accepted
                    : bench->bytes ? line_accepted
                                   : bare_accepted,
        .argument = bench,
    };
    must(listener_open(bench->core, &options, &bench->listener) == 0, "listener_open");
    bench->bytes = 0;
}

static struct measure serve(struct bench *bench, unsigned connections, size_t request)
{
    fiber_start(bench->core, listen_fiber, bench);
    core_turn(bench->core, 0);
    core_turn(bench->core, 0);
    pid_t child = clients_begin(connections, request);
    turn_for(bench, 0.3);
    bench->exchanges = bench->bytes = 0;
    struct measure measure = turn_for(bench, SECONDS);
    unsigned long long exchanges = bench->exchanges, bytes = bench->bytes;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    listener_close(bench->listener);
    do
        turn_for(bench, 0.1);
    while (bench->open > 0);
    bench->exchanges = exchanges;
    bench->bytes = bytes;
    return measure;
}

static void exchanges(struct bench *bench)
{
    const char *const names[] = {"bare operations", "lines on fibers"};
    for (unsigned i = 0; i < 2; i++) {
        bench->bytes = i; /* tells listen_fiber which */
        struct measure measure = serve(bench, CONNECTIONS, REQUEST);
        double count = (double)bench->exchanges;
        printf("exchange  %-16s %9.0f /s  %6.2f us CPU each, core %3.0f %% busy\n", names[i],
               count / measure.wall, measure.cpu * 1e6 / count, 100 * measure.cpu / measure.wall);
    }
}

/* ---------------------------------------------------------------- disk */

static void segment_open(struct bench *bench, const char *directory)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/limits.segment", directory);
    bench->segment = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
    must(bench->segment >= 0, path);
    unlink(path);
    char *zeros = aligned_alloc(4096, 1 << 20);
    memset(zeros, 0, 1 << 20);
    for (uint64_t at = 0; at < SEGMENT; at += 1 << 20)
        must(pwrite(bench->segment, zeros, 1 << 20, (off_t)at) == 1 << 20, "write");
    fsync(bench->segment);
    free(zeros);
}

struct commits {
    struct bench *bench;
    double took[20000];
    unsigned count;
    bool ended;
};

static void commit_fiber(void *argument)
{
    struct commits *commits = argument;
    struct bench *bench = commits->bench;
    char *batch = aligned_alloc(4096, COMMIT);
    memset(batch, 'm', COMMIT);
    double begin = seconds_of(CLOCK_MONOTONIC), last = begin;
    while (last < begin + SECONDS && commits->count < 20000) {
        uint64_t offset = (uint64_t)commits->count * COMMIT % (SEGMENT - COMMIT) & ~UINT64_C(4095);
        int result = await_write(bench->core, bench->segment, batch, COMMIT, offset, RWF_DSYNC);
        must(result == COMMIT, "write");
        double now = seconds_of(CLOCK_MONOTONIC);
        commits->took[commits->count++] = now - last;
        last = now;
    }
    commits->ended = true;
    free(batch);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void commit(struct bench *bench)
{
    static struct commits commits;
    commits = (struct commits){.bench = bench};
    double wall = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID);
    fiber_start(bench->core, commit_fiber, &commits);
    while (!commits.ended)
        core_turn(bench->core, 100000000);
    wall = seconds_of(CLOCK_MONOTONIC) - wall;
    cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
    qsort(commits.took, commits.count, sizeof *commits.took, by_value);
    printf("commit    20 x 2 KiB       %9.0f messages/s, p50 %.0f us, p99 %.0f us, "
           "%.1f us CPU a commit\n",
           20 * commits.count / wall, commits.took[commits.count / 2] * 1e6,
           commits.took[commits.count * 99 / 100] * 1e6, cpu * 1e6 / commits.count);
}

static void receive(struct bench *bench)
{
    struct measure measure = serve(bench, 4, MESSAGE);
    double bytes = (double)bench->bytes;
    printf("receive   100 KiB, durable %9.0f messages/s  %.0f MiB/s, %.0f MiB per CPU second "
           "(%.1f us each)\n",
           bytes / MESSAGE / measure.wall, bytes / measure.wall / 1048576,
           bytes / measure.cpu / 1048576, measure.cpu * 1e6 / (bytes / MESSAGE));
}

/* ---------------------------------------------------------------- memory */

static void memory(void)
{
    enum { COLD = 256 << 20, HOT = 64 << 10 };
    char *from = malloc(COLD), *to = malloc(COLD);
    memset(from, 1, COLD);
    memset(to, 2, COLD);
    for (int hot = 0; hot < 2; hot++) {
        size_t piece = hot ? HOT : COLD, rounds = hot ? 16384 : 4;
        double begin = seconds_of(CLOCK_MONOTONIC);
        for (size_t i = 0; i < rounds; i++) {
            memcpy(to, from, piece);
            __asm__ volatile("" : : "r"(to) : "memory");
        }
        double copied = seconds_of(CLOCK_MONOTONIC);
        uint32_t sum = 0;
        for (size_t i = 0; i < rounds; i++)
            sum = crc32c(sum, from, piece);
        double summed = seconds_of(CLOCK_MONOTONIC);
        double gib = (double)piece * (double)rounds / 1073741824;
        printf("memory    %-16s %9.1f GiB/s memcpy, %.1f GiB/s crc32c (%08x)\n",
               hot ? "hot, 64 KiB" : "cold, 256 MiB", gib / (copied - begin),
               gib / (summed - copied), sum);
    }
    free(from);
    free(to);
}

int main(int argc, char **argv)
{
    struct engine_options options = {
        .core_count = 1,
        .connections_max = 1000,
        .buffers = 512,
        .fibers_max = 100,
        .stack_bytes = 65536,
    };
    struct kernel *kernel;
    struct engine *engine;
    struct bench bench = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    pin(0);
    must(kernel_linux_create(&kernel) == 0, "kernel");
    must(engine_create(&options, &kernel, &engine) == 0, "engine");
    bench.core = engine_core(engine, 0);
    must(core_open(bench.core) == 0, "core");
    must(net_open(bench.core) == 0, "net");
    exchanges(&bench);
    segment_open(&bench, argc > 1 ? argv[1] : ".");
    commit(&bench);
    receive(&bench);
    memory();
    close(bench.segment);
    net_close(bench.core);
    core_close(bench.core);
    engine_destroy(engine);
    kernel_linux_destroy(kernel);
    return 0;
}
