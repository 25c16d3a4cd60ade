/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `ringpost healthcheck`: asks the running gateway on this machine whether it serves, over the
 * admin port that the config names. For containers, whose engines run a program for that; the image
 * has no other.
 *
 * Of the config only the section admin counts: a file that was changed and is wrong elsewhere does
 * not make a gateway ill that runs by the old one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "config.h"

/* An answer that comes in drops has the seconds twice, then it is cut. */
enum { WAIT_SECONDS = 4, ANSWER_BYTES_MAX = 2048 };

/* The address that reaches who listens on `address` of this machine. */
static socklen_t address_of(const char *address, unsigned port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *four = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, address, &four->sin_addr) == 1) {
        if (four->sin_addr.s_addr == htonl(INADDR_ANY))
            four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        return sizeof *four;
    }
    if (inet_pton(AF_INET6, address, &six->sin6_addr) != 1)
        return 0;
    if (IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr))
        six->sin6_addr = in6addr_loopback;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)port);
    return sizeof *six;
}

static time_t seconds_now(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* Sends the request and reads what fits, with a NUL behind it. 0 or errno. */
static int ask(const struct sockaddr_storage *address, socklen_t size, const char *path,
               char answer[ANSWER_BYTES_MAX + 1])
{
    struct timeval wait = {.tv_sec = WAIT_SECONDS};
    char request[100];
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), error = 0;
    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait); /* of connect too */
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);
    size_t used = 0;
    time_t until = seconds_now() + WAIT_SECONDS;
    if (connect(fd, (const struct sockaddr *)address, size) < 0 ||
        send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        error = errno;
    while (error == 0 && used < ANSWER_BYTES_MAX) {
        ssize_t got = recv(fd, answer + used, ANSWER_BYTES_MAX - used, 0);
        if (got == 0)
            break;
        if (got < 0)
            error = errno;
        else if (seconds_now() > until)
            error = EAGAIN;
        else
            used += (size_t)got;
    }
    answer[used] = '\0';
    close(fd);
    return error;
}

/* The status of an HTTP answer, and its body without the end of the line. */
static unsigned status_of(char *answer, const char **ret_body)
{
    uint64_t status = 0;
    char *body = strstr(answer, "\r\n\r\n");
    if (body == NULL || strncmp(answer, "HTTP/1.", 7) != 0 || strlen(answer) < 12 ||
        !slice_number(slice_of(answer + 9, 3), 999, &status))
        return 0;
    body += 4;
    body[strcspn(body, "\r\n")] = '\0';
    for (char *at = body; *at != '\0'; at++) /* it goes to a terminal */
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    *ret_body = body;
    return (unsigned)status;
}

int run_healthcheck(const struct invocation *invocation)
{
    struct config *config = config_load(invocation->config);
    char answer[ANSWER_BYTES_MAX + 1];
    struct sockaddr_storage address;
    const char *body = "";
    int status = STATUS_FAILED;
    if (config == NULL || config->admin.address == NULL || config->admin.port == CONFIG_UNSET ||
        config->admin.port == 0 || config->admin.port > 65535) {
        complain("%s says no admin.port to ask; add admin: { port = ...; }, or set "
                 "RINGPOST_ADMIN__PORT",
                 invocation->config);
        config_free(config);
        return STATUS_FAILED;
    }
    unsigned port = (unsigned)config->admin.port;
    socklen_t size = address_of(config->admin.address, port, &address);
    int error =
        size == 0 ? EINVAL : ask(&address, size, invocation->live ? "/live" : "/ready", answer);
    unsigned code = error == 0 ? status_of(answer, &body) : 0;
    if (error != 0)
        complain("%s port %u: %s; does the gateway run?", config->admin.address, port,
                 error == EAGAIN || error == EINPROGRESS ? "no answer in time" : strerror(error));
    else if (code == 0)
        complain("%s port %u: what answers there is no admin port", config->admin.address, port);
    else if (code != 200)
        complain("not ready: %.100s", body);
    else
        status = STATUS_OK;
    if (status == STATUS_OK)
        printf("%.100s\n", body);
    config_free(config);
    return status;
}
