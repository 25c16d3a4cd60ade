/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What passing bytes on costs: a front between a source and a sink on loopback, and the CPU time
 * of the front's thread for each GiB, by what the front is.
 *
 *   join [GIB [PORT [ROW]]]   one row a way, or that alone; the two ports from PORT on must be free
 *
 *   joined    two streams of ours, stream_join
 *   copied    recv and send of 64 KiB, blocking: what the two system calls and copies cost
 *   copied 4  the same of 4 KiB
 *   spliced   splice(2) through a pipe, blocking: no copy to user space
 *   zero-copy the ring's SEND_ZC of what recv brought, 64 KiB
 *
 * On loopback the kernel copies what is sent without a copy before it is received, so that row
 * tells only what the way itself costs.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <liburing.h>
#pragma GCC diagnostic pop

#include "ringpost/kernel_linux.h"
#include "ringpost/stream.h"

enum { CHUNK_BYTES = 65536, SMALL_CHUNK_BYTES = 4096, PIPE_BYTES = 1048576 };

static struct {
    uint64_t bytes;
    unsigned port; /* of the front; the source is behind the next */
    struct engine *engine;
    double spent; /* seconds of the front's CPU */
    bool is_over;
} bench = {.bytes = UINT64_C(4) << 30, .port = 26990};

static void need(bool is, const char *what)
{
    if (is)
        return;
    perror(what);
    exit(1);
}

static double thread_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* ---------------------------------------------------------------- source and sink */

static struct sockaddr_in name_of(unsigned port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return name;
}

static int listening(unsigned port)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in name = name_of(port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    need(bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && listen(fd, 10) == 0, "listen");
    return fd;
}

static int connected(unsigned port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in name = name_of(port);
    for (unsigned i = 0; connect(fd, (struct sockaddr *)&name, sizeof name) < 0; i++) {
        need(i < 1000, "connect");
        usleep(10000);
    }
    return fd;
}

static void *source_main(void *argument)
{
    static char chunk[CHUNK_BYTES];
    int fd = accept(*(int *)argument, NULL, NULL);
    need(fd >= 0, "accept");
    for (uint64_t left = bench.bytes; left > 0;) {
        ssize_t sent = send(fd, chunk, left < sizeof chunk ? left : sizeof chunk, 0);
        need(sent > 0, "source");
        left -= (uint64_t)sent;
    }
    shutdown(fd, SHUT_WR);
    while (recv(fd, chunk, sizeof chunk, 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void *sink_main(void *argument)
{
    static char chunk[4 * CHUNK_BYTES];
    uint64_t got = 0;
    (void)argument;
    int fd = connected(bench.port);
    for (ssize_t part; (part = recv(fd, chunk, sizeof chunk, 0)) > 0;)
        got += (uint64_t)part;
    need(got == bench.bytes, "the sink got all");
    close(fd);
    return NULL;
}

/* ---------------------------------------------------------------- blocking fronts */

static void send_all(int to, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(to, data, size, 0);
        need(sent > 0, "send");
        data += sent;
        size -= (size_t)sent;
    }
}

static void copy(int from, int to, size_t chunk_size)
{
    static char chunk[CHUNK_BYTES];
    for (ssize_t got; (got = recv(from, chunk, chunk_size, 0)) > 0;)
        send_all(to, chunk, (size_t)got);
}

static void copy_large(int from, int to)
{
    copy(from, to, CHUNK_BYTES);
}

static void copy_small(int from, int to)
{
    copy(from, to, SMALL_CHUNK_BYTES);
}

static void splice_through(int from, int to)
{
    int ends[2];
    need(pipe(ends) == 0, "pipe");
    fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
    for (ssize_t got; (got = splice(from, NULL, ends[1], NULL, PIPE_BYTES, SPLICE_F_MOVE)) > 0;)
        while (got > 0) {
            ssize_t sent = splice(ends[0], NULL, to, NULL, (size_t)got, SPLICE_F_MOVE);
            need(sent > 0, "splice");
            got -= sent;
        }
    close(ends[0]);
    close(ends[1]);
}

static void send_zero_copy(int from, int to)
{
    static char chunk[CHUNK_BYTES];
    struct io_uring ring;
    need(io_uring_queue_init(8, &ring, 0) == 0, "ring");
    for (ssize_t got; (got = recv(from, chunk, sizeof chunk, 0)) > 0;)
        for (ssize_t at = 0; at < got;) {
            struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
            struct io_uring_cqe *cqe;
            io_uring_prep_send_zc(sqe, to, chunk + at, (size_t)(got - at), MSG_WAITALL, 0);
            io_uring_submit(&ring);
            for (bool is_done = false; !is_done; io_uring_cqe_seen(&ring, cqe)) {
                need(io_uring_wait_cqe(&ring, &cqe) == 0, "wait");
                need(cqe->res >= 0 || (cqe->flags & IORING_CQE_F_NOTIF), "send_zc");
                if (!(cqe->flags & IORING_CQE_F_NOTIF))
                    at += cqe->res;
                is_done = !(cqe->flags & IORING_CQE_F_MORE);
            }
        }
    io_uring_queue_exit(&ring);
}

static void block(void (*pass)(int from, int to))
{
    int listener = listening(bench.port);
    int to = accept(listener, NULL, NULL), from = connected(bench.port + 1);
    double before = thread_seconds();
    pass(from, to);
    bench.spent = thread_seconds() - before;
    close(from);
    close(to);
    close(listener);
}

/* ---------------------------------------------------------------- joined */

static struct stream client, back;
static bool is_joined;

static void ended(struct stream *stream)
{
    if (!is_joined || stream->end == 0)
        return;
    stream_close(&client);
    stream_close(&back);
}

static void released(struct stream *stream)
{
    bench.is_over |= stream == &client;
}

static const struct stream_owner owner = {.input = ended, .released = released};

static void connect_back(void *argument)
{
    struct core *core = argument;
    struct stream_target target = {
        .family = 4, .address = {127, 0, 0, 1}, .port = (uint16_t)(bench.port + 1)};
    need(stream_connect(&back, core, &target, 0, &owner) == 0, "stream_connect");
    is_joined = true;
    stream_join(&client, &back, NULL);
}

static bool accepted(struct core *core, unsigned slot, void *argument)
{
    (void)argument;
    stream_open(&client, core, slot, &owner);
    return fiber_start(core, connect_back, core) == 0;
}

static int ready(struct core *core, void *argument)
{
    (void)argument;
    struct listener *listener;
    struct listener_options options = {
        .address = "127.0.0.1", .port = bench.port, .connections_max = 10, .accepted = accepted};
    need(net_open(core) == 0 && listener_open(core, &options, &listener) == 0, "listener_open");
    double before = thread_seconds();
    while (!bench.is_over)
        fiber_sleep(core, 8000000);
    bench.spent = thread_seconds() - before;
    listener_close(listener);
    fiber_sleep(core, 100000000);
    net_close(core);
    engine_stop(bench.engine);
    return 0;
}

static void join(void)
{
    struct engine_options options = {.core_count = 1,
                                     .connections_max = 20,
                                     .buffers = 1024,
                                     .fibers_max = 10,
                                     .stack_bytes = 65536,
                                     .connects = true};
    struct kernel *kernel;
    need(kernel_linux_create(&kernel) == 0, "kernel");
    need(engine_create(&options, &kernel, &bench.engine) == 0, "engine");
    need(engine_run(bench.engine, ready, NULL) == 0, "engine_run");
    engine_destroy(bench.engine);
    kernel_linux_destroy(kernel);
}

/* ---------------------------------------------------------------- rows */

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*pass)(int from, int to); /* NULL: joined */
    } rows[] = {{"joined", NULL},
                {"copied", copy_large},
                {"copied 4", copy_small},
                {"spliced", splice_through},
                {"zero-copy", send_zero_copy}};
    if (argc > 1)
        bench.bytes = strtoull(argv[1], NULL, 10) << 30;
    if (argc > 2)
        bench.port = (unsigned)strtoul(argv[2], NULL, 10);
    need(bench.bytes > 0, "usage: join [GIB [PORT [ROW]]]");
    signal(SIGPIPE, SIG_IGN);
    int behind = listening(bench.port + 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pthread_t source, sink;
        if (argc > 3 && strcmp(argv[3], rows[i].name) != 0)
            continue;
        need(pthread_create(&source, NULL, source_main, &behind) == 0, "thread");
        need(pthread_create(&sink, NULL, sink_main, NULL) == 0, "thread");
        if (rows[i].pass == NULL)
            join();
        else
            block(rows[i].pass);
        pthread_join(sink, NULL);
        pthread_join(source, NULL);
        printf("%-10s %7.0f ms of CPU per GiB\n", rows[i].name,
               bench.spent * 1000 / ((double)bench.bytes / (1 << 30)));
        fflush(stdout);
    }
    return 0;
}
