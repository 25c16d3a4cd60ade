/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The least that passing an IMAP log-in on can cost here: a front that does nothing but the system
 * calls. One thread, epoll, non-blocking sockets; no TLS, no judgement, no health, no log, no
 * limits, and one session's lines are believed to come whole. Its CPU, beside that of a real one
 * under the same load, says how much of the latter is the kernel's.
 *
 *   passing PORT BACKEND-PORT       until it is killed; ringpost-bench login is the load
 *
 *   accept, greeting ─▶ the client's LOGIN line ─▶ connect ─▶ the backend's greeting ─▶ that line
 *   ─▶ then bytes both ways, until either closes
 *
 * It asks no address, sets no option but TCP_NODELAY, and learns of a finished connect by the
 * greeting.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 1024, CHUNK_BYTES = 65536, EVENTS_MAX = 64 };

static const char greeting[] = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n";

struct front {
    struct side {
        struct front *front;
        int fd; /* -1: none */
    } client, backend;
    enum { AWAITS_LINE, AWAITS_GREETING, PASSES, IS_OVER } state;
    size_t line_size;
    char line[LINE_BYTES_MAX];
};

static int poll_fd;
static struct sockaddr_in backend_name;

static void need(bool is, const char *what)
{
    if (is)
        return;
    perror(what);
    exit(1);
}

static struct sockaddr_in name_of(const char *port)
{
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return name;
}

static void no_delay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void watch(struct side *side)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = side};
    need(epoll_ctl(poll_fd, EPOLL_CTL_ADD, side->fd, &event) == 0, "epoll_ctl");
}

static void arrive(int fd)
{
    struct front *front = calloc(1, sizeof *front);
    need(front != NULL, "calloc");
    front->client = (struct side){front, fd};
    front->backend = (struct side){front, -1};
    send(fd, greeting, sizeof greeting - 1, MSG_NOSIGNAL);
    watch(&front->client);
}

/* Freed when the events of this turn have been seen: the other side's may be among them. */
static void end(struct front *front)
{
    front->state = IS_OVER;
    close(front->client.fd);
    if (front->backend.fd >= 0)
        close(front->backend.fd);
}

static void go_out(struct front *front)
{
    struct side *side = &front->backend;
    side->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    need(side->fd >= 0, "socket");
    no_delay(side->fd);
    if (connect(side->fd, (struct sockaddr *)&backend_name, sizeof backend_name) < 0)
        need(errno == EINPROGRESS, "connect");
    watch(side);
    front->state = AWAITS_GREETING;
}

static void step(struct side *from)
{
    static char bytes[CHUNK_BYTES];
    struct front *front = from->front;
    bool is_client = from == &front->client;
    ssize_t size = recv(from->fd, bytes, sizeof bytes, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        end(front);
    } else if (front->state == PASSES) {
        send(is_client ? front->backend.fd : front->client.fd, bytes, (size_t)size, MSG_NOSIGNAL);
    } else if (front->state == AWAITS_LINE && (size_t)size <= LINE_BYTES_MAX) {
        memcpy(front->line, bytes, (size_t)size);
        front->line_size = (size_t)size;
        go_out(front);
    } else if (front->state == AWAITS_GREETING && !is_client) {
        send(front->backend.fd, front->line, front->line_size, MSG_NOSIGNAL);
        front->state = PASSES;
    } else {
        end(front);
    }
}

static void turn(int listener)
{
    struct epoll_event events[EVENTS_MAX];
    struct front *over[EVENTS_MAX];
    unsigned over_count = 0;
    int count = epoll_wait(poll_fd, events, EVENTS_MAX, -1);
    for (int i = 0; i < count; i++) {
        struct side *side = events[i].data.ptr;
        if (side == NULL) {
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd >= 0)
                arrive(fd);
        } else if (side->front->state != IS_OVER) {
            step(side);
            if (side->front->state == IS_OVER)
                over[over_count++] = side->front;
        }
    }
    while (over_count > 0)
        free(over[--over_count]);
}

int main(int argc, char **argv)
{
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    need(argc == 3, "usage: passing PORT BACKEND-PORT");
    struct sockaddr_in name = name_of(argv[1]);
    backend_name = name_of(argv[2]);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    no_delay(listener); /* accepted sockets have it from here */
    need(bind(listener, (struct sockaddr *)&name, sizeof name) == 0, "bind");
    need(listen(listener, 1024) == 0, "listen");
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    need(poll_fd >= 0 && epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event) == 0, "epoll");
    for (;;)
        turn(listener);
}
