/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A blocking client for line protocols: sockets of the test's own thread, 20 s of patience.
 */
#include "line_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn static void failed(const char *what, const char *is, const char *want)
{
    fprintf(stderr, "client: %s\n--- got:\n%s\n--- want:\n%s\n", what, is, want);
    abort();
}

int client_open(unsigned port)
{
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (connect(fd, (struct sockaddr *)&name, sizeof name) != 0)
        failed("connect", strerror(errno), "");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

static bool put(int fd, const char *data, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t part = send(fd, data + sent, size - sent, MSG_NOSIGNAL);
        if (part <= 0)
            return false;
        sent += (size_t)part;
    }
    return true;
}

void client_put(int fd, const void *data, size_t size)
{
    if (!put(fd, data, size))
        failed("send", strerror(errno), "");
}

void client_say(int fd, const char *text)
{
    client_put(fd, text, strlen(text));
}

void client_say_slowly(int fd, const char *text)
{
    for (; *text; text++) {
        client_put(fd, text, 1);
        usleep(300);
    }
}

void client_try(int fd, const char *text)
{
    (void)put(fd, text, strlen(text));
}

void client_get(int fd, void *data, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t part = recv(fd, (char *)data + got, size - got, 0);
        if (part <= 0)
            failed("receive", part ? strerror(errno) : "(end)", "more bytes");
        got += (size_t)part;
    }
}

void client_expect(int fd, const char *text)
{
    size_t size = strlen(text), got = 0;
    char *is = calloc(1, size + 1);
    while (got < size) {
        ssize_t part = recv(fd, is + got, size - got, 0);
        if (part <= 0)
            failed("too little came", is, text);
        got += (size_t)part;
        if (memcmp(is, text, got) != 0)
            failed("something else came", is, text);
    }
    free(is);
}

static bool is_like(const char *text, const char *pattern)
{
    for (; *pattern && *pattern != '*'; pattern++, text++)
        if (*text != *pattern)
            return false;
    if (*pattern == '\0')
        return *text == '\0';
    for (;; text++) {
        if (is_like(text, pattern + 1))
            return true;
        if (*text == '\0')
            return false;
    }
}

void client_expect_like(int fd, const char *pattern)
{
    char line[1000];
    size_t size = 0;
    do {
        if (size == sizeof line - 1)
            failed("a line too long", "", pattern);
        client_get(fd, line + size, 1);
        line[++size] = '\0';
    } while (line[size - 1] != '\n');
    if (size < 2 || line[size - 2] != '\r')
        failed("a bare LF", line, pattern);
    line[size - 2] = '\0';
    if (!is_like(line, pattern))
        failed("another line came", line, pattern);
}

size_t client_rest(int fd, char *text, size_t capacity)
{
    size_t size = 0;
    for (;;) {
        ssize_t part = recv(fd, text + size, capacity - size, 0);
        if (part <= 0 || size + (size_t)part == capacity)
            return part > 0 ? capacity : size;
        size += (size_t)part;
    }
}

void client_expect_end(int fd)
{
    char byte[2] = {0};
    ssize_t got = recv(fd, byte, 1, 0);
    if (got > 0 || (got < 0 && errno != ECONNRESET))
        failed("the end did not come", got > 0 ? byte : strerror(errno), "");
    close(fd);
}
