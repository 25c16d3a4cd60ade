/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What TLS costs when nothing but the library is there: wolfSSL over blocking sockets, one
 * connection after the other, saying just enough IMAP for ringpost-bench to log in, select, fetch
 * and log out. bench/run.sh measures Ringpost beside it.
 *
 *   bare PORT CERTIFICATE KEY SIZE    PEM files; SIZE: bytes of the one message there is
 *
 * The message lies in memory and is given to the library in one piece. Listens on 127.0.0.1 until
 * it is killed.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#pragma GCC diagnostic pop

enum { LINE_BYTES_MAX = 1024, BACKLOG = 1024 };

_Noreturn static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static bool say(WOLFSSL *tls, const char *text, size_t size)
{
    return wolfSSL_write(tls, text, (int)size) == (int)size;
}

static bool say_line(WOLFSSL *tls, const char *text)
{
    return say(tls, text, strlen(text));
}

/* The reply to one command, after its tag. False: the connection ends. */
static bool reply(WOLFSSL *tls, const char *line, const char *message, size_t size)
{
    char text[LINE_BYTES_MAX + 100];
    int tag = (int)strcspn(line, " \r\n");
    const char *command = line + tag;
    bool is_fetch = strncmp(command, " FETCH", 6) == 0;
    bool is_logout = strncmp(command, " LOGOUT", 7) == 0;
    if (is_fetch) {
        snprintf(text, sizeof text, "* 1 FETCH (BODY[] {%zu}\r\n", size);
        if (!say_line(tls, text) || !say(tls, message, size))
            return false;
    }
    const char *data = is_fetch                              ? ")\r\n"
                       : is_logout                           ? "* BYE\r\n"
                       : strncmp(command, " SELECT", 7) == 0 ? "* 1 EXISTS\r\n"
                                                             : "";
    snprintf(text, sizeof text, "%s%.*s OK done\r\n", data, tag, line);
    return say_line(tls, text) && !is_logout;
}

static void serve(WOLFSSL *tls, const char *message, size_t size)
{
    char line[LINE_BYTES_MAX];
    size_t held = 0;
    if (wolfSSL_accept(tls) != WOLFSSL_SUCCESS ||
        !say_line(tls, "* OK [CAPABILITY IMAP4rev1] bare\r\n"))
        return;
    for (;;) {
        int got = wolfSSL_read(tls, line + held, (int)(sizeof line - 1 - held));
        if (got <= 0)
            return;
        held += (size_t)got;
        line[held] = '\0';
        if (line[held - 1] != '\n')
            continue;
        held = 0;
        if (!reply(tls, line, message, size))
            return;
    }
}

static int listen_on(unsigned port)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) < 0 || listen(fd, BACKLOG) < 0)
        fail("listen");
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: bare PORT CERTIFICATE KEY SIZE\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    wolfSSL_Init();
    WOLFSSL_CTX *context = wolfSSL_CTX_new(wolfTLSv1_3_server_method());
    if (context == NULL ||
        wolfSSL_CTX_set_cipher_list(context, "TLS13-AES128-GCM-SHA256") != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_use_certificate_chain_file(context, argv[2]) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_use_PrivateKey_file(context, argv[3], WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS)
        fail("certificate");
    size_t size = strtoul(argv[4], NULL, 10);
    char *message = malloc(size + 1);
    if (message == NULL)
        fail("memory");
    memset(message, 'x', size);
    int listener = listen_on((unsigned)strtoul(argv[1], NULL, 10));
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            fail("accept");
        WOLFSSL *tls = wolfSSL_new(context);
        if (tls == NULL || wolfSSL_set_fd(tls, fd) != WOLFSSL_SUCCESS)
            fail("connection");
        serve(tls, message, size);
        wolfSSL_shutdown(tls);
        wolfSSL_free(tls);
        close(fd);
    }
}
