/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The network's part of bench/limits. The clients are a child process: each connection sends a
 * request, waits for the whole answer, and so on, until it is killed; or connects, waits for the
 * greeting and closes.
 */
#include "limits_private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char reply[REPLY + 1] = "250 2.0.0 queued, thank you 123\n";

/* ---------------------------------------------------------------- clients, in a child */

static struct sockaddr_in name_of(unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* `source`: 127.0.1.source, so that each client has ports of its own. */
static int client_open(unsigned port, unsigned source)
{
    struct sockaddr_in there = name_of(port), here = name_of(0);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    must(fd >= 0, "socket");
    here.sin_addr.s_addr = htonl(0x7f000100 | (source + 1));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    must(bind(fd, (struct sockaddr *)&here, sizeof here) == 0, "bind");
    must(connect(fd, (struct sockaddr *)&there, sizeof there) == 0, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void clients_run(unsigned port, unsigned count, size_t request, size_t answer)
{
    struct pollfd fds[CONNECTIONS];
    char *data = malloc(request), *got_data = malloc(answer);
    size_t left[CONNECTIONS], got[CONNECTIONS];
    memset(data, 'x', request);
    memcpy(data + request - 2, "\r\n", 2);
    for (unsigned i = 0; i < count; i++) {
        fds[i] = (struct pollfd){client_open(port, i), POLLIN | POLLOUT, 0};
        left[i] = request;
        got[i] = 0;
    }
    while (poll(fds, count, -1) > 0) {
        for (unsigned i = 0; i < count; i++) {
            if (fds[i].revents & POLLIN) {
                ssize_t part = recv(fds[i].fd, got_data, answer - got[i], 0);
                if (part == 0)
                    _exit(0);
                got[i] += part > 0 ? (size_t)part : 0;
                if (got[i] == answer) {
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

static void clients_connect(unsigned port, unsigned count)
{
    struct pollfd fds[CONNECTIONS];
    char data[REPLY];
    for (unsigned i = 0; i < count; i++)
        fds[i] = (struct pollfd){client_open(port, i), POLLIN, 0};
    while (poll(fds, count, -1) > 0)
        for (unsigned i = 0; i < count; i++) {
            if (!(fds[i].revents & (POLLIN | POLLHUP | POLLERR)))
                continue;
            if (recv(fds[i].fd, data, sizeof data, 0) != sizeof data)
                _exit(1);
            close(fds[i].fd);
            fds[i].fd = client_open(port, i);
        }
}

/* `request` 0: they connect and close. */
static pid_t clients_begin(const struct bench *bench, unsigned count, size_t request)
{
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin((int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
        if (request > 0)
            clients_run(bench->port, count, request, bench->answer_bytes);
        else
            clients_connect(bench->port, count);
        _exit(0);
    }
    must(child > 0, "fork");
    return child;
}

static void clients_end(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* ---------------------------------------------------------------- the core */

struct connection {
    struct stream stream;
    struct op receive, send, close;
    struct bench *bench;
    unsigned slot;
    size_t got, sent;
    bool has_fiber;
    char *log; /* of the receive test */
};

/* -- bare operations */

static void bare_closed(struct op *op, int result, unsigned flags)
{
    (void)result, (void)flags;
    struct connection *connection =
        (struct connection *)((char *)op - offsetof(struct connection, close));
    connection->bench->open--;
    free(connection);
}

static void bare_answer(struct connection *connection)
{
    struct bench *bench = connection->bench;
    op_send(bench->core, &connection->send, connection->slot, bench->answer + connection->sent,
            bench->answer_bytes - connection->sent);
}

static void bare_sent(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct connection *connection =
        (struct connection *)((char *)op - offsetof(struct connection, send));
    connection->sent += result > 0 ? (size_t)result : connection->bench->answer_bytes;
    if (connection->sent < connection->bench->answer_bytes)
        bare_answer(connection);
    else if (!op_busy(&connection->receive) && !op_busy(&connection->close))
        op_close_slot(connection->bench->core, &connection->close, connection->slot);
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
        connection->sent = 0;
        connection->bench->exchanges++;
        bare_answer(connection);
    }
    if (op_busy(op))
        return;
    if (result > 0)
        op_recv_multishot(core, op, connection->slot);
    else if (!op_busy(&connection->send))
        op_close_slot(core, &connection->close, connection->slot);
}

static struct connection *bare_open(struct bench *bench, unsigned slot)
{
    struct connection *connection = calloc(1, sizeof *connection);
    must(connection != NULL, "memory");
    connection->bench = bench;
    connection->slot = slot;
    connection->receive.done = bare_received;
    connection->send.done = bare_sent;
    connection->close.done = bare_closed;
    bench->open++;
    op_recv_multishot(bench->core, &connection->receive, slot);
    return connection;
}

static bool bare_accepted(struct core *core, unsigned slot, void *argument)
{
    (void)core;
    bare_open(argument, slot);
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

static struct connection *stream_accepted(struct core *core, unsigned slot, void *argument)
{
    struct connection *connection = calloc(1, sizeof *connection);
    must(connection != NULL, "memory");
    connection->bench = argument;
    connection->bench->open++;
    stream_open(&connection->stream, core, slot, &owner);
    return connection;
}

static bool line_accepted(struct core *core, unsigned slot, void *argument)
{
    stream_accepted(core, slot, argument);
    return true;
}

static bool message_accepted(struct core *core, unsigned slot, void *argument)
{
    struct connection *connection = stream_accepted(core, slot, argument);
    connection->log = aligned_alloc(4096, MESSAGE);
    must(connection->log != NULL, "memory");
    return true;
}

static void listen_fiber(void *argument)
{
    struct bench *bench = argument;
    struct listener_options options = {
        .address = "127.0.0.1",
        .port = bench->port,
        .connections_max = 100,
        .accepted = bench->accepted,
        .argument = bench,
    };
    int error = listener_open(bench->core, &options, &bench->listener);
    errno = -error;
    must(error == 0, "cannot listen (another port: --port)");
}

static struct measure serve(struct bench *bench, unsigned connections, size_t request,
                            bool (*accepted)(struct core *core, unsigned slot, void *argument))
{
    bench->accepted = accepted;
    bench->listener = NULL;
    must(fiber_start(bench->core, listen_fiber, bench) == 0, "fiber");
    while (bench->listener == NULL) /* it ends the program when it has tried for long enough */
        core_turn(bench->core, 10000000);
    pid_t child = clients_begin(bench, connections, request);
    turn_for(bench, bench->seconds < 1 ? 0.1 : 0.3);
    bench->exchanges = bench->bytes = 0;
    struct measure measure = turn_for(bench, bench->seconds);
    unsigned long long exchanges = bench->exchanges, bytes = bench->bytes;
    clients_end(child);
    listener_close(bench->listener);
    do
        turn_for(bench, 0.05);
    while (bench->open > 0);
    must(exchanges + bytes > 0, "nothing was served");
    bench->exchanges = exchanges;
    bench->bytes = bytes;
    return measure;
}

/* ---------------------------------------------------------------- rows */

void limit_exchange(struct bench *bench)
{
    bench->answer = reply;
    bench->answer_bytes = REPLY;
    for (unsigned i = 0; i < 2; i++) {
        struct measure measure =
            serve(bench, CONNECTIONS, REQUEST, i == 0 ? bare_accepted : line_accepted);
        double count = (double)bench->exchanges, each = measure.cpu * 1e6 / count;
        fprintf(bench->text, "exchange  %-16s %9.0f /s  %6.2f us CPU each, core %3.0f %% busy\n",
                i == 0 ? "bare operations" : "lines on fibers", count / measure.wall, each,
                100 * measure.cpu / measure.wall);
        ceiling_add(bench, i == 0 ? "ring_exchange_us" : "line_exchange_us", each, "us",
                    i == 0 ? "CPU: 64 bytes in, 32 out on a bare ring, 20 connections"
                           : "CPU: the same as a line read by a fiber from a stream");
        ceiling_add(bench, i == 0 ? "ring_exchange_per_second" : "line_exchange_per_second",
                    count / measure.wall, "1/s", "such exchanges on one core");
    }
}

void limit_send(struct bench *bench)
{
    char *answer = malloc(MESSAGE);
    must(answer != NULL, "memory");
    memset(answer, 'a', MESSAGE);
    bench->answer = answer;
    bench->answer_bytes = MESSAGE;
    struct measure measure = serve(bench, 4, REQUEST, bare_accepted);
    double count = (double)bench->exchanges, each = measure.cpu * 1e6 / count;
    fprintf(bench->text, "send      100 KiB, memory  %9.0f /s  %6.2f us CPU each\n",
            count / measure.wall, each);
    ceiling_add(bench, "memory_to_socket_100k_us", each, "us",
                "CPU: a request in, 100 KiB out of memory on a bare ring, 4 connections");
    free(answer);
}

void limit_receive(struct bench *bench)
{
    bench->answer = reply;
    bench->answer_bytes = REPLY;
    struct measure measure = serve(bench, 4, MESSAGE, message_accepted);
    double bytes = (double)bench->bytes, each = measure.cpu * 1e6 / (bytes / MESSAGE);
    fprintf(bench->text,
            "receive   100 KiB, durable %9.0f messages/s  %.0f MiB/s, %.0f MiB per CPU second "
            "(%.1f us each)\n",
            bytes / MESSAGE / measure.wall, bytes / measure.wall / 1048576,
            bytes / measure.cpu / 1048576, each);
    ceiling_add(bench, "receive_append_100k_us", each, "us",
                "CPU: 100 KiB received into log memory and written durably, 4 connections");
    ceiling_add(bench, "receive_append_100k", bytes / MESSAGE / measure.wall, "1/s",
                "messages of 100 KiB received and written durably");
}

/* -- connections: each accepted, greeted, and closed after the client has closed */

struct arrivals {
    struct op accept;
    struct bench *bench;
    int listener;
    bool ends;
};

/* Greets at once. */
static void greeted(struct op *op, int result, unsigned flags)
{
    struct arrivals *arrivals = (struct arrivals *)op;
    struct bench *bench = arrivals->bench;
    (void)flags;
    if (result >= 0) {
        bench->exchanges++;
        bare_answer(bare_open(bench, (unsigned)result));
    }
    if (!op_busy(op) && !arrivals->ends)
        op_accept(bench->core, op, arrivals->listener);
}

static int listen_on(unsigned port)
{
    struct sockaddr_in name = name_of(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    must(fd >= 0, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    must(bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && listen(fd, 1024) == 0,
         "cannot listen (another port: --port)");
    return fd;
}

void limit_connect(struct bench *bench)
{
    struct arrivals arrivals = {{greeted, 0}, bench, listen_on(bench->port), false};
    bench->answer = reply;
    bench->answer_bytes = REPLY;
    op_accept(bench->core, &arrivals.accept, arrivals.listener);
    pid_t child = clients_begin(bench, CONNECTIONS, 0);
    turn_for(bench, 0.1);
    bench->exchanges = 0;
    struct measure measure = turn_for(bench, bench->seconds);
    double count = (double)bench->exchanges, each = measure.cpu * 1e6 / count;
    must(count > 0, "no connection");
    clients_end(child);
    arrivals.ends = true;
    shutdown(arrivals.listener, SHUT_RDWR);
    do
        turn_for(bench, 0.05);
    while (bench->open > 0 || op_busy(&arrivals.accept));
    close(arrivals.listener);
    fprintf(bench->text, "connect   greeting, close  %9.0f /s  %6.2f us CPU each\n",
            count / measure.wall, each);
    ceiling_add(bench, "ring_connect_us", each, "us",
                "CPU: a connection accepted, greeted by 32 bytes, closed after the client, on a "
                "bare ring, 20 clients");
}

/* -- sendfile: what a file server that does nothing else pays; no ring */

static int file_of(const struct bench *bench, size_t size)
{
    char path[4096], data[65536];
    snprintf(path, sizeof path, "%s/limits.file", bench->directory);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(file >= 0, path);
    unlink(path);
    memset(data, 'f', sizeof data);
    for (size_t at = 0; at < size; at += sizeof data)
        must(write(file, data, sizeof data) == sizeof data, "write");
    fsync(file);
    return file;
}

void limit_file(struct bench *bench)
{
    enum { CLIENTS = 4, FILE_BYTES = 16 << 20 };
    int listener = listen_on(bench->port), file = file_of(bench, FILE_BYTES);
    struct pollfd fds[CLIENTS];
    char request[REQUEST];
    bench->answer_bytes = MESSAGE;
    pid_t child = clients_begin(bench, CLIENTS, REQUEST);
    for (unsigned i = 0; i < CLIENTS; i++) {
        fds[i] = (struct pollfd){accept(listener, NULL, NULL), POLLIN, 0};
        must(fds[i].fd >= 0, "accept");
    }
    double until = wall_seconds() + bench->seconds;
    struct measure measure = {wall_seconds(), cpu_seconds()};
    unsigned long long count = 0;
    while (wall_seconds() < until && poll(fds, CLIENTS, 1000) > 0)
        for (unsigned i = 0; i < CLIENTS; i++) {
            if (!(fds[i].revents & POLLIN))
                continue;
            must(recv(fds[i].fd, request, sizeof request, MSG_WAITALL) == REQUEST, "recv");
            off_t at = (off_t)(count++ * 7919 * 4096 % (FILE_BYTES - 2 * MESSAGE) & ~4095ull);
            for (size_t left = MESSAGE; left > 0;) {
                ssize_t part = sendfile(fds[i].fd, file, &at, left);
                must(part > 0, "sendfile");
                left -= (size_t)part;
            }
        }
    measure = (struct measure){wall_seconds() - measure.wall, cpu_seconds() - measure.cpu};
    must(count > 0, "nothing was served");
    clients_end(child);
    for (unsigned i = 0; i < CLIENTS; i++)
        close(fds[i].fd);
    close(file);
    close(listener);
    double each = measure.cpu * 1e6 / (double)count;
    fprintf(bench->text, "send      100 KiB, sendfile %8.0f /s  %6.2f us CPU each\n",
            (double)count / measure.wall, each);
    ceiling_add(bench, "file_to_socket_100k_us", each, "us",
                "CPU: a request in, 100 KiB out by sendfile from the page cache, 4 connections");
    ceiling_add(bench, "file_to_socket", (double)count * MESSAGE / measure.cpu / 1e9, "GB/s",
                "the same, bytes a second of CPU");
}
