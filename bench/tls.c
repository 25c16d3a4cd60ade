/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the stream layer adds to wolfSSL: the same work by a bare loop over a blocking socket and by
 * a stream on the engine, in CPU time of the server's process per operation, and the ratio.
 *
 *   tls CERTIFICATE KEY [PORT]      PEM files; listens on 127.0.0.1, at PORT and PORT + 1
 *
 * The client is a process of its own, so that its work does not count. A full handshake, a resumed
 * one, both with TLS 1.3 and 1.2, and 10 MiB to the client by one call. Then what resuming saves,
 * which depends on the certificate's key: bench/crypto shows the parts.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ringpost/kernel_linux.h"
#include "ringpost/tls.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#pragma GCC diagnostic pop

enum { BULK_BYTES = 10 << 20, FULL_ROUNDS = 1000, RESUMED_ROUNDS = 1000, BULK_ROUNDS = 30 };

static struct {
    char certificate[65536], key[65536];
    char *bulk;
    unsigned port;
    pid_t client;
} bench;

static void need(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "tls: %s\n", what);
    exit(1);
}

static void load(const char *path, char *text, size_t capacity)
{
    FILE *file = fopen(path, "r");
    need(file != NULL, path);
    text[fread(text, 1, capacity - 1, file)] = '\0';
    fclose(file);
}

static double cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* ---------------------------------------------------------------- the client */

static int dial(unsigned port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    while (connect(fd, (struct sockaddr *)&name, sizeof name) < 0)
        usleep(10000);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* One connection: says what it wants by one byte, reads to the end. */
static WOLFSSL_SESSION *visit(WOLFSSL_CTX *context, char wish, WOLFSSL_SESSION *session)
{
    static char data[65536];
    WOLFSSL *tls = wolfSSL_new(context);
    int fd = dial(bench.port), part;
    wolfSSL_set_fd(tls, fd);
    if (session != NULL)
        wolfSSL_set_session(tls, session);
    need(wolfSSL_connect(tls) == WOLFSSL_SUCCESS, "the client's handshake");
    need(wolfSSL_write(tls, &wish, 1) == 1, "the client's write");
    size_t total = 0;
    while ((part = wolfSSL_read(tls, data, sizeof data)) > 0)
        total += (size_t)part;
    need(total == (wish == 'b' ? BULK_BYTES : 1), "all bytes");
    need(session == NULL || wolfSSL_session_reused(tls), "resumption");
    WOLFSSL_SESSION *kept = wolfSSL_get1_session(tls);
    wolfSSL_free(tls);
    close(fd);
    return kept;
}

struct row {
    const char *name;
    char wish;
    int rounds;
    bool is_resuming, is_12;
};

static const struct row rows[] = {
    {"full handshake", 'h', FULL_ROUNDS, false, false},
    {"resumed handshake", 'h', RESUMED_ROUNDS, true, false},
    {"full, TLS 1.2", 'h', FULL_ROUNDS, false, true},
    {"resumed, TLS 1.2", 'h', RESUMED_ROUNDS, true, true},
    {"10 MiB", 'b', BULK_ROUNDS, false, false},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void client_run(const struct row *row)
{
    bench.client = fork();
    if (bench.client != 0)
        return;
    WOLFSSL_CTX *context =
        wolfSSL_CTX_new(row->is_12 ? wolfTLSv1_2_client_method() : wolfTLSv1_3_client_method());
    wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_NONE, NULL);
    wolfSSL_CTX_UseSessionTicket(context);
    WOLFSSL_SESSION *session = row->is_resuming ? visit(context, 'h', NULL) : NULL;
    for (int i = 0; i < row->rounds; i++) {
        WOLFSSL_SESSION *next = visit(context, row->wish, session);
        if (row->is_resuming && i % 200 != 199)
            session = next;
        else if (row->is_resuming)
            session = visit(context, 'h', NULL);
    }
    _exit(0);
}

/* ---------------------------------------------------------------- the bare loop */

static void serve_bare(WOLFSSL_CTX *context, int listener)
{
    char wish = 0;
    int fd = accept(listener, NULL, NULL), on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    WOLFSSL *tls = wolfSSL_new(context);
    wolfSSL_set_fd(tls, fd);
    need(wolfSSL_accept(tls) == WOLFSSL_SUCCESS && wolfSSL_read(tls, &wish, 1) == 1, "bare");
    int size = wish == 'b' ? BULK_BYTES : 1;
    need(wolfSSL_write(tls, bench.bulk, size) == size, "bare write");
    wolfSSL_shutdown(tls);
    wolfSSL_free(tls);
    close(fd);
}

static double bare(const struct row *row)
{
    WOLFSSL_CTX *context =
        wolfSSL_CTX_new(row->is_12 ? wolfTLSv1_2_server_method() : wolfTLSv1_3_server_method());
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)bench.port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    need(bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && listen(fd, 100) == 0, "bind");
    wolfSSL_CTX_use_certificate_chain_buffer(context, (unsigned char *)bench.certificate,
                                             (long)strlen(bench.certificate));
    wolfSSL_CTX_use_PrivateKey_buffer(context, (unsigned char *)bench.key, (long)strlen(bench.key),
                                      WOLFSSL_FILETYPE_PEM);
    wolfSSL_CTX_set_cipher_list(context, row->is_12 ? "ECDHE-ECDSA-AES128-GCM-SHA256:"
                                                      "ECDHE-RSA-AES128-GCM-SHA256"
                                                    : "TLS13-AES128-GCM-SHA256");
    wolfSSL_CTX_set_session_cache_mode(context, WOLFSSL_SESS_CACHE_OFF);
    client_run(row);
    double begin = cpu_us();
    for (int i = 0; i < row->rounds + (row->is_resuming ? 1 + row->rounds / 200 : 0); i++)
        serve_bare(context, fd);
    double spent = cpu_us() - begin;
    waitpid(bench.client, NULL, 0);
    close(fd);
    wolfSSL_CTX_free(context);
    return spent / row->rounds;
}

/* ---------------------------------------------------------------- streams */

struct visitor {
    struct stream stream;
    bool has_fiber, is_released;
};

static void answer(void *argument)
{
    struct visitor *visitor = argument;
    struct slice bytes;
    if (stream_peek(&visitor->stream, &bytes) == 0) {
        size_t size = bytes.data[0] == 'b' ? BULK_BYTES : 1;
        stream_consume(&visitor->stream, 1);
        if (size > 1)
            stream_send(&visitor->stream, slice_of(bench.bulk, size));
        else
            stream_write(&visitor->stream, slice_of(bench.bulk, size));
    }
    stream_close(&visitor->stream);
    visitor->has_fiber = false;
    if (visitor->is_released)
        free(visitor);
}

static void visitor_input(struct stream *stream)
{
    struct visitor *visitor = (struct visitor *)stream;
    if (!visitor->has_fiber && (stream_unread(stream) > 0 || stream->end != 0)) {
        visitor->has_fiber = true;
        need(fiber_start(stream->core, answer, visitor) == 0, "fiber");
    }
}

static void visitor_released(struct stream *stream)
{
    struct visitor *visitor = (struct visitor *)stream;
    visitor->is_released = true;
    if (!visitor->has_fiber)
        free(visitor);
}

static const struct stream_owner visitor_owner = {
    .input = visitor_input, .released = visitor_released, .secured = visitor_input};
static const struct tls_service service = {"imap", 1};

static bool accepted(struct core *core, unsigned slot, void *argument)
{
    (void)argument;
    struct visitor *visitor = calloc(1, sizeof *visitor);
    need(visitor != NULL, "memory");
    stream_open(&visitor->stream, core, slot, &visitor_owner);
    need(stream_secure(&visitor->stream, &service, true) == 0, "stream_secure");
    return true;
}

static double streams(struct core *core, const struct row *row)
{
    client_run(row);
    double begin = cpu_us();
    while (waitpid(bench.client, NULL, WNOHANG) == 0)
        fiber_sleep(core, 8000000);
    return (cpu_us() - begin) / row->rounds;
}

static void told(void *argument, const char *name, const char *what)
{
    (void)argument;
    fprintf(stderr, "%s: %s\n", name, what);
}

static int ready(struct core *core, void *argument)
{
    const double *spent = argument; /* by the bare loop */
    struct tls_pair pair = {"pair", slice_cstr(bench.certificate), slice_cstr(bench.key)};
    struct tls_options options = {.pairs = &pair, .pair_count = 1, .ticket_ms_max = 3600000};
    struct tls_settings *settings;
    struct listener *listener;
    struct listener_options listening = {
        .address = "127.0.0.1", .port = bench.port, .connections_max = 100, .accepted = accepted};
    need(net_open(core) == 0, "net_open");
    need(tls_settings_make(&options, core_wall_ns(core), told, NULL, &settings) == 0, "settings");
    need(tls_adopt(core, settings) == 0, "adopt");
    tls_settings_unref(settings);
    need(listener_open(core, &listening, &listener) == 0, "listen");
    double mine[ROWS];
    for (int i = 0; i < ROWS; i++) {
        mine[i] = streams(core, &rows[i]);
        printf("%-18s bare %8.1f us   stream %8.1f us   ratio %.2f\n", rows[i].name, spent[i],
               mine[i], mine[i] / spent[i]);
    }
    for (int i = 0; i < 4; i += 2)
        printf("%-18s bare %8.2f      stream %8.2f      times a resumed one\n", rows[i].name,
               spent[i] / spent[i + 1], mine[i] / mine[i + 1]);
    exit(0);
}

int main(int argc, char **argv)
{
    need(argc >= 3, "usage: tls CERTIFICATE KEY [PORT]");
    signal(SIGPIPE, SIG_IGN);
    load(argv[1], bench.certificate, sizeof bench.certificate);
    load(argv[2], bench.key, sizeof bench.key);
    bench.port = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 24090;
    bench.bulk = malloc(BULK_BYTES);
    need(bench.bulk != NULL, "memory");
    memset(bench.bulk, 'm', BULK_BYTES);
    wolfSSL_Init();
    double spent[ROWS];
    for (int i = 0; i < ROWS; i++)
        spent[i] = bare(&rows[i]);
    bench.port++;
    struct engine_options options = {.core_count = 1,
                                     .connections_max = 200,
                                     .buffers = 64,
                                     .fibers_max = 100,
                                     .stack_bytes = 262144};
    struct kernel *kernel;
    struct engine *engine;
    need(kernel_linux_create(&kernel) == 0, "kernel");
    need(tls_library_open(kernel) == 0, "library");
    need(engine_create(&options, &kernel, &engine) == 0, "engine");
    need(engine_run(engine, ready, spent) == 0, "engine_run");
    return 0;
}
