/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A small client for bench/run.py: POP3 and IMAP sessions against any server, one process a
 * connection, each reading top to bottom. It counts what was done and checks every answer; who
 * pays for it is measured outside. The load generator proper will be built on the engine.
 *
 *   client pop3  PORT CONNECTIONS SESSIONS MESSAGES   log in, RETR 1..MESSAGES, QUIT
 *   client imap  PORT CONNECTIONS SESSIONS MESSAGES   log in, SELECT, FETCH each body, LOGOUT
 *                                                     ("20x3": the 20 three times)
 *   client login PORT CONNECTIONS SESSIONS 0          IMAP log in and LOGOUT
 *   client fill  PORT CONNECTIONS SESSIONS SIZE       IMAP log in, APPEND one message of SIZE bytes
 *   client idle  PORT CONNECTIONS PROCESSES SECONDS   hold authenticated connections in IDLE
 *   client handshake PORT CONNECTIONS SESSIONS RESUME connect, read the greeting, close; with
 *                                                     RESUME 1 each resumes the one before
 *
 * "tls-" before a mode (handshake implies it): under TLS from the first byte, certificates not
 * looked at, TLS 1.3 with X25519 and AES-128-GCM.
 *
 * Users are u0 ... u99 at example.test (idle: u0 ... u799, whom six cores share evenly), password
 * "pw". `idle` spreads its connections over source addresses 127.0.1.1 and up, prints "READY n"
 * when all are held, and after SECONDS checks that a DONE on each of the first 100 of every process
 * is answered. Exit status 1 when anything differs from what the protocol says.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#pragma GCC diagnostic pop

enum { USERS = 100, IDLE_USERS = 800, BUFFER = 1 << 18, IDLE_CHECKED = 100, RESUMED_MIN = 100 };

struct connection {
    int fd;
    WOLFSSL *tls;      /* NULL: in clear */
    size_t begin, end; /* unread bytes */
    char buffer[BUFFER];
};

struct shared { /* between the processes */
    unsigned long long messages, bytes, held;
};
static struct shared *shared;
static WOLFSSL_CTX *tls; /* NULL: no connection is encrypted */

_Noreturn static void fail(const char *what, const char *line)
{
    fprintf(stderr, "client: %s: %.200s\n", what, line);
    exit(1);
}

static int dial(unsigned port, unsigned source)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        fail("socket", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (source > 0) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        from.sin_addr.s_addr = htonl(0x7f000100u + source);
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
            fail("bind", strerror(errno));
    }
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        fail("connect", strerror(errno));
    return fd;
}

/* Connects, and shakes hands where that is asked for. */
static void begin(struct connection *c, unsigned port, unsigned source)
{
    c->fd = dial(port, source);
    c->begin = c->end = 0;
    c->tls = NULL;
    if (tls == NULL)
        return;
    c->tls = wolfSSL_new(tls);
    if (c->tls == NULL || wolfSSL_set_fd(c->tls, c->fd) != WOLFSSL_SUCCESS ||
        wolfSSL_UseKeyShare(c->tls, WOLFSSL_ECC_X25519) != WOLFSSL_SUCCESS)
        fail("TLS", "no connection made");
}

static void shake(struct connection *c)
{
    char why[WOLFSSL_MAX_ERROR_SZ];
    if (c->tls != NULL && wolfSSL_connect(c->tls) != WOLFSSL_SUCCESS)
        fail("handshake",
             wolfSSL_ERR_error_string((unsigned long)wolfSSL_get_error(c->tls, 0), why));
}

static void hang_up(struct connection *c)
{
    if (c->tls != NULL) {
        wolfSSL_shutdown(c->tls);
        wolfSSL_free(c->tls);
    }
    close(c->fd);
}

static ssize_t take(struct connection *c, void *data, size_t size)
{
    return c->tls != NULL ? wolfSSL_read(c->tls, data, (int)size) : recv(c->fd, data, size, 0);
}

static void fill(struct connection *c)
{
    if (c->begin == c->end)
        c->begin = c->end = 0;
    if (c->end == BUFFER) {
        memmove(c->buffer, c->buffer + c->begin, c->end - c->begin);
        c->end -= c->begin;
        c->begin = 0;
    }
    ssize_t got = c->end == BUFFER ? 0 : take(c, c->buffer + c->end, BUFFER - c->end);
    if (got <= 0)
        fail("connection ended", got < 0 ? strerror(errno) : "closed, or a line too long");
    c->end += (size_t)got;
}

/* The next line, its LF replaced by NUL; valid until the next call. */
static char *line(struct connection *c)
{
    for (;;) {
        char *start = c->buffer + c->begin;
        char *lf = memchr(start, '\n', c->end - c->begin);
        if (lf != NULL) {
            *lf = '\0';
            c->begin = (size_t)(lf - c->buffer) + 1;
            return start;
        }
        fill(c);
    }
}

static void skip(struct connection *c, size_t size)
{
    while (size > 0) {
        if (c->begin == c->end)
            fill(c);
        size_t here = c->end - c->begin < size ? c->end - c->begin : size;
        c->begin += here;
        size -= here;
    }
}

static void say(struct connection *c, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t sent = c->tls != NULL ? wolfSSL_write(c->tls, text, (int)size)
                                      : send(c->fd, text, size, MSG_NOSIGNAL);
        if (sent <= 0)
            fail("send", strerror(errno));
        text += sent;
        size -= (size_t)sent;
    }
}

__attribute__((format(printf, 2, 3))) static void command(struct connection *c, const char *format,
                                                          ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say(c, text, (size_t)size);
}

static void expect(struct connection *c, const char *start)
{
    char *got = line(c);
    if (strncmp(got, start, strlen(start)) != 0)
        fail(start, got);
}

/* Reads to the line that starts with `tag`, over literals; returns the bytes of literals. */
static size_t until(struct connection *c, const char *tag)
{
    size_t literals = 0;
    for (;;) {
        char *got = line(c), *brace = strrchr(got, '{');
        if (strncmp(got, tag, strlen(tag)) == 0) {
            if (strncmp(got + strlen(tag), " OK", 3) != 0)
                fail("want OK", got);
            return literals;
        }
        char *end;
        if (brace != NULL && got[0] == '*') {
            size_t size = strtoul(brace + 1, &end, 10);
            if (strcmp(end, "}\r") == 0) {
                skip(c, size);
                literals += size;
            }
        }
    }
}

static void pop3(struct connection *c, unsigned user, unsigned messages)
{
    expect(c, "+OK");
    command(c, "USER u%u@example.test\r\n", user);
    expect(c, "+OK");
    command(c, "PASS pw\r\n");
    expect(c, "+OK");
    for (unsigned i = 1; i <= messages; i++) {
        command(c, "RETR %u\r\n", i);
        expect(c, "+OK");
        for (;;) {
            char *got = line(c);
            if (strcmp(got, ".\r") == 0)
                break;
            shared->bytes += strlen(got) + 1;
        }
        shared->messages++;
    }
    command(c, "QUIT\r\n");
    expect(c, "+OK");
}

static void imap_login(struct connection *c, unsigned user)
{
    expect(c, "* OK");
    command(c, "a LOGIN u%u@example.test pw\r\n", user);
    until(c, "a");
}

static void imap(struct connection *c, unsigned user, unsigned messages, unsigned times)
{
    imap_login(c, user);
    command(c, "b SELECT INBOX\r\n");
    until(c, "b");
    for (unsigned i = 0; i < messages * times; i++) {
        command(c, "c FETCH %u BODY.PEEK[]\r\n", i % messages + 1);
        size_t bytes = until(c, "c");
        if (bytes == 0)
            fail("no body", "FETCH");
        shared->bytes += bytes;
        shared->messages++;
    }
    command(c, "d LOGOUT\r\n");
    until(c, "d");
}

static void append(struct connection *c, unsigned user, unsigned size)
{
    static const char head[] = "From: a@example.test\r\nTo: b@example.test\r\nSubject: bench\r\n"
                               "Date: Mon, 2 Nov 2026 10:00:00 +0000\r\n\r\n";
    char *text = malloc(size + sizeof head);
    if (text == NULL)
        fail("memory", "");
    size_t at = sizeof head - 1;
    memcpy(text, head, at);
    for (; at + 72 <= size; at += 72)
        memcpy(text + at,
               "The quick brown fox jumps over the lazy dog, again and again. 012345\r\n\r\n", 72);
    imap_login(c, user);
    command(c, "b APPEND INBOX {%zu}\r\n", at);
    expect(c, "+");
    say(c, text, at);
    say(c, "\r\n", 2);
    until(c, "b");
    shared->messages++;
    free(text);
    command(c, "d LOGOUT\r\n");
    until(c, "d");
}

/* One handshake; `*session` is the one before, or NULL, and becomes this one. */
static void handshake(struct connection *c, WOLFSSL_SESSION **session)
{
    if (*session != NULL && wolfSSL_set_session(c->tls, *session) != WOLFSSL_SUCCESS)
        fail("handshake", "the session cannot be set");
    shake(c);
    static unsigned resumed;
    if (*session != NULL && wolfSSL_session_reused(c->tls))
        resumed++;
    else if (*session != NULL && resumed < RESUMED_MIN)
        fail("handshake", "was not resumed");
    else
        resumed = 0; /* a server wants a full one now and then */
    wolfSSL_SESSION_free(*session);
    expect(c, "* OK"); /* its record comes behind the ticket */
    *session = wolfSSL_get1_session(c->tls);
    if (*session == NULL)
        fail("handshake", "no session to resume");
    shared->messages++;
}

static void sessions(const char *mode, unsigned port, unsigned first, unsigned step, unsigned count,
                     unsigned messages, unsigned times)
{
    static struct connection c;
    WOLFSSL_SESSION *session = NULL;
    for (unsigned i = first; i < count; i += step) {
        begin(&c, port, 0);
        unsigned user = i % USERS;
        if (strcmp(mode, "handshake") == 0) {
            if (!messages)
                session = NULL;
            handshake(&c, &session);
            hang_up(&c);
            continue;
        }
        shake(&c);
        if (strcmp(mode, "pop3") == 0)
            pop3(&c, user, messages);
        else if (strcmp(mode, "imap") == 0)
            imap(&c, user, messages, times);
        else if (strcmp(mode, "fill") == 0)
            append(&c, user, messages);
        else {
            imap_login(&c, user);
            command(&c, "d LOGOUT\r\n");
            until(&c, "d");
        }
        hang_up(&c);
    }
}

static void idle(unsigned port, unsigned process, unsigned count, unsigned seconds)
{
    static struct connection c;
    struct {
        int fd;
        WOLFSSL *tls;
    } *held = calloc(count, sizeof *held);
    if (held == NULL)
        fail("memory", "");
    for (unsigned i = 0; i < count; i++) {
        begin(&c, port, 1 + process);
        shake(&c);
        held[i].fd = c.fd;
        held[i].tls = c.tls;
        imap_login(&c, (process + i * 7) % IDLE_USERS);
        command(&c, "b SELECT INBOX\r\n");
        until(&c, "b");
        command(&c, "c IDLE\r\n");
        expect(&c, "+");
        __atomic_fetch_add(&shared->held, 1, __ATOMIC_RELAXED);
    }
    sleep(seconds);
    for (unsigned i = 0; i < count && i < IDLE_CHECKED; i++) {
        c.fd = held[i].fd;
        c.tls = held[i].tls;
        c.begin = c.end = 0;
        command(&c, "DONE\r\n");
        until(&c, "c");
    }
}

static void open_tls(void)
{
    if (wolfSSL_Init() != WOLFSSL_SUCCESS ||
        (tls = wolfSSL_CTX_new(wolfTLSv1_3_client_method())) == NULL ||
        wolfSSL_CTX_set_cipher_list(tls, "TLS13-AES128-GCM-SHA256") != WOLFSSL_SUCCESS)
        fail("TLS", "not to be had");
    wolfSSL_CTX_set_verify(tls, WOLFSSL_VERIFY_NONE, NULL);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: client [tls-]pop3|imap|login|fill|idle|handshake PORT CONNECTIONS "
                        "COUNT SIZE\n");
        return 2;
    }
    const char *mode = argv[1];
    bool is_prefixed = strncmp(mode, "tls-", 4) == 0;
    if (is_prefixed || strcmp(mode, "handshake") == 0)
        open_tls();
    mode += is_prefixed ? 4 : 0;
    unsigned port = (unsigned)strtoul(argv[2], NULL, 10);
    unsigned connections = (unsigned)strtoul(argv[3], NULL, 10);
    unsigned count = (unsigned)strtoul(argv[4], NULL, 10);
    char *end;
    unsigned size = (unsigned)strtoul(argv[5], &end, 10);
    unsigned times = *end == 'x' ? (unsigned)strtoul(end + 1, NULL, 10) : 1;
    bool is_idle = strcmp(mode, "idle") == 0;
    unsigned processes = is_idle ? count : connections;
    setpgid(0, 0); /* kill(0) below is for our own */
    shared = mmap(NULL, processes * sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || processes == 0)
        fail("memory", "");
    struct shared *all = shared;
    for (unsigned i = 0; i < processes; i++) {
        if (fork() != 0)
            continue;
        shared = all + (is_idle ? 0 : i);
        if (is_idle)
            idle(port, i, (connections + processes - 1) / processes, size);
        else
            sessions(mode, port, i, connections, count, size, times);
        return 0;
    }
    unsigned target = (connections + processes - 1) / processes * processes;
    bool said = !is_idle;
    int failed = 0;
    for (unsigned left = processes; left > 0;) {
        int status;
        pid_t child = waitpid(-1, &status, said ? 0 : WNOHANG);
        if (child > 0) {
            left--;
            failed |= status != 0;
            if (failed && is_idle)
                kill(0, SIGTERM);
        }
        if (!said && __atomic_load_n(&all->held, __ATOMIC_RELAXED) == target) {
            printf("READY %u\n", target);
            fflush(stdout);
            said = true;
        }
        if (!said)
            usleep(50000);
    }
    for (unsigned i = 1; i < processes && !is_idle; i++) {
        all->messages += all[i].messages;
        all->bytes += all[i].bytes;
    }
    printf("messages=%llu bytes=%llu held=%llu\n", all->messages, all->bytes, all->held);
    return failed;
}
