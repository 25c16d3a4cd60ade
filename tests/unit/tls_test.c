/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TLS under streams: the line server behind TLS, a wolfSSL client that meets it on the real kernel
 * and in the simulator. At the end of each test the engine must drain.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <unistd.h>

#include "../../src/main/certificate.h"
#include "line_server.h"
#include "tls_client.h"
#include "tls_pem.h"

#include <wolfssl/wolfcrypt/asn_public.h>

enum { DAY_SECONDS = 86400 };

static struct {
    char certificate[CERTIFICATE_BYTES_MAX], key[CERTIFICATE_BYTES_MAX];
} made[3]; /* of one.example.org, *.two.example.org, and one that has expired */

static const struct tls_service imap = {"imap", 7}, smtp = {"smtp", 8};

/* ---------------------------------------------------------------- settings */

static void make_certificates(int64_t now_seconds)
{
    static const char *const one[] = {"one.example.org", NULL};
    static const char *const two[] = {"*.two.example.org", "two.example.org", NULL};
    check(certificate_make(one, now_seconds, made[0].certificate, made[0].key) == NULL);
    check(certificate_make(two, now_seconds, made[1].certificate, made[1].key) == NULL);
    check(certificate_make(one, now_seconds - 1000 * DAY_SECONDS, made[2].certificate,
                           made[2].key) == NULL);
}

static struct tls_pair pair_of(const char *certificate, const char *key)
{
    return (struct tls_pair){"pair", slice_cstr(certificate), slice_cstr(key)};
}

static void no_problem(void *argument, const char *name, const char *what)
{
    (void)argument;
    fprintf(stderr, "%s: %s\n", name, what);
    harness_failed(__FILE__, __LINE__, "a problem with good settings");
}

static struct tls_settings *settings_make(const struct tls_options *options)
{
    struct tls_settings *settings = NULL;
    struct tls_pair pairs[2] = {pair_of(made[0].certificate, made[0].key),
                                pair_of(made[1].certificate, made[1].key)};
    struct tls_options all = *options;
    all.pairs = pairs;
    all.pair_count = 2;
    memset(all.ticket_secret, 'x', sizeof all.ticket_secret);
    check_equal(tls_settings_make(&all, harness_wall_ns(), no_problem, NULL, &settings), 0);
    return settings;
}

/* ---------------------------------------------------------------- server */

struct server {
    struct harness_engine *engine;
    struct listener *listeners[CORES_MAX];
    unsigned cores;
    struct tls_options tls;
    atomic_uint ready, stopped, adopting;
    struct line_server lines, others; /* two services */
};

static unsigned port_base(void)
{
    return 24000 + (unsigned)getpid() % 40 * 2;
}

static struct listener *listen_at(struct core *core, unsigned port, struct line_server *lines)
{
    struct listener *listener = NULL;
    struct listener_options options = {
        .address = "127.0.0.1",
        .port = port,
        .connections_max = 500,
        .accepted = line_server_accepted,
        .argument = lines,
    };
    check_equal(listener_open(core, &options, &listener), 0);
    return listener;
}

struct adoption {
    struct timer timer;
    struct core *core;
    struct server *server;
    bool is_done;
};

/* From the core's turn: its stack is large. */
static void adopt(struct timer *timer)
{
    struct adoption *adoption = (struct adoption *)timer;
    struct tls_settings *settings = settings_make(&adoption->server->tls);
    check_equal(tls_adopt(adoption->core, settings), 0);
    tls_settings_unref(settings);
    adoption->is_done = true;
}

static void adopt_soon(struct core *core, struct server *server)
{
    struct adoption adoption = {.timer.fire = adopt, .core = core, .server = server};
    timer_set(core, &adoption.timer, core_now_ns(core) + 1);
    while (!adoption.is_done)
        fiber_sleep(core, 8000000);
}

static int server_ready(struct core *core, void *argument)
{
    struct server *server = argument;
    check_equal(net_open(core), 0);
    adopt_soon(core, server);
    struct listener *first = listen_at(core, port_base(), &server->lines);
    struct listener *second = listen_at(core, port_base() + 1, &server->others);
    atomic_fetch_add(&server->ready, 1);
    unsigned adopted = 0;
    while (atomic_load(&server->stopped) == 0) {
        fiber_sleep(core, 20000000);
        if (adopted < atomic_load(&server->adopting)) {
            adopt_soon(core, server);
            adopted++;
            atomic_fetch_add(&server->ready, 1);
        }
    }
    listener_close(first);
    listener_close(second);
    while (atomic_load(&server->lines.sessions) + atomic_load(&server->others.sessions) > 0)
        fiber_sleep(core, 8000000);
    fiber_sleep(core, 100000000);
    check_equal(buffer_lent(core), 0);
    check_equal(core_busy(core), 0);
    check_equal(core_counters(core)->value[COUNTER_CONNECTIONS_OPEN], 0);
    net_close(core);
    if (atomic_fetch_add(&server->stopped, 1) == server->cores)
        harness_stop(core);
    return 0;
}

static void server_begin(struct server *server, unsigned cores, const struct tls_options *tls)
{
    struct engine_options options = {
        .core_count = cores,
        .connections_max = 1000,
        .buffers = 64,
        .fibers_max = 300,
        .stack_bytes = 65536,
    };
    *server = (struct server){.cores = cores};
    server->tls = *tls;
    server->lines.tls_service = &imap;
    server->lines.is_implicit = true;
    server->others.tls_service = &smtp;
    server->engine = harness_begin(&options, server_ready, server);
    while (atomic_load(&server->ready) < cores)
        harness_nap(1000);
}

static void server_end(struct server *server)
{
    atomic_fetch_add(&server->stopped, 1);
    check_equal(harness_end(server->engine), 0);
}

static const struct tls_options plain_options = {.ticket_ms_max = 3600000};

/* ---------------------------------------------------------------- clients */

static void client_say(int fd, const char *text)
{
    client_put(fd, text, strlen(text));
}

static int client_dial(void)
{
    return client_open_at("127.0.0.1", port_base());
}

static void begin(struct tls_client *client, const struct tls_client_options *options)
{
    tls_client_begin(client, client_dial(), options);
    if (client->error != 0)
        fprintf(stderr, "handshake: %d\n", client->error);
    check_equal(client->error, 0);
}

static void quit(struct tls_client *client)
{
    tls_client_say(client, "quit\r\n");
    tls_client_expect(client, "bye\r\n");
    check_equal(tls_client_end(client), 0);
    client_expect_end(client->fd);
    tls_client_free(client);
}

static void failing(const struct tls_client_options *options, int error)
{
    struct tls_client client;
    tls_client_begin(&client, client_dial(), options);
    check_equal(client.error, error);
    client_close(client.fd);
    tls_client_free(&client);
}

static void info(struct tls_client *client, char *text, size_t size)
{
    tls_client_say(client, "info\r\n");
    tls_client_line(client, text, size);
}

static bool is_resumed(struct tls_client *client)
{
    char text[400];
    info(client, text, sizeof text);
    return strstr(text, " resumed ") != NULL;
}

/* ---------------------------------------------------------------- tests */

static void handshakes(void **state)
{
    (void)state;
    struct server server;
    struct tls_client client;
    char text[400], want[100];
    server_begin(&server, 1, &plain_options);
    begin(&client, &(struct tls_client_options){.server_name = "One.Example.org"});
    tls_client_say(&client, "hello\r\n");
    tls_client_expect(&client, "hello\r\n");
    info(&client, text, sizeof text);
    const char *first = "TLSv1.3 TLS_AES_128_GCM_SHA256 <one.example.org> full <> <> ";
    if (strncmp(text, first, strlen(first)) != 0)
        fprintf(stderr, "info: %s\n", text);
    check(strncmp(text, first, strlen(first)) == 0);
    /* tls-exporter: both ends agree. */
    unsigned char mine[32];
    check_equal(wolfSSL_export_keying_material(client.library, mine, sizeof mine,
                                               "EXPORTER-Channel-Binding", 24, NULL, 0, 0),
                WOLFSSL_SUCCESS);
    for (int i = 0; i < 32; i++)
        snprintf(want + 2 * i, 3, "%02x", mine[i]);
    check(strcmp(text + strlen(first), want) == 0);
    quit(&client);
    begin(&client, &(struct tls_client_options){.is_12 = true});
    info(&client, text, sizeof text);
    first = "TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 <> full <> <> 0000";
    if (strncmp(text, first, strlen(first)) != 0)
        fprintf(stderr, "info: %s\n", text);
    check(strncmp(text, first, strlen(first)) == 0);
    quit(&client);
    check_equal(server.lines.secured, 2);
    server_end(&server);
}

/* A session begins in clear; what was sent with the command is dropped (T3 of tls.h). */
static void start_tls(void **state)
{
    (void)state;
    struct server server;
    struct tls_client client;
    server_begin(&server, 1, &plain_options);
    int fd = client_open_at("127.0.0.1", port_base() + 1);
    char got[20];
    client_say(fd, "hello\r\nsecure\r\ninjected\r\n");
    client_get(fd, got, 11);
    check(memcmp(got, "hello\r\ngo\r\n", 11) == 0);
    tls_client_begin(&client, fd, &(struct tls_client_options){0});
    if (client.error == 0) {
        tls_client_say(&client, "first\r\n");
        tls_client_expect(&client, "first\r\n");
        quit(&client);
    } else { /* it came too late to be dropped, and is no TLS */
        check(harness_is_simulated());
        client_close(fd);
        tls_client_free(&client);
    }
    server_end(&server);
}

static void bulk(void **state)
{
    (void)state;
    struct server server;
    struct tls_client client;
    const size_t size = 5 << 20;
    char *data = malloc(size);
    server_begin(&server, 1, &plain_options);
    for (int old = 0; old < 2; old++) {
        begin(&client, &(struct tls_client_options){.is_12 = old});
        const char *const verbs[] = {"sink", "exact", "peek"};
        for (int i = 0; i < 6; i++) {
            char text[64];
            size_t part = i < 3 ? 3 << 20 : 300001;
            snprintf(text, sizeof text, "%s %zu\r\n", verbs[i % 3], part);
            tls_client_say(&client, text);
            pattern_fill(data, part, 0);
            tls_client_put(&client, data, part);
            tls_client_say(&client, "pipelined behind\r\n");
            snprintf(text, sizeof text, "got %zu\r\npipelined behind\r\n", part);
            tls_client_expect(&client, text);
        }
        for (int i = 0; i < 2; i++) {
            tls_client_say(&client, i ? "before\r\nsend 5242880\r\nafter\r\n"
                                      : "before\r\nwrite 5242880\r\nafter\r\n");
            harness_nap(50000); /* the queue fills */
            tls_client_expect(&client, "before\r\nbegin\r\n");
            tls_client_get(&client, data, size);
            for (size_t at = 0; at < size; at++)
                check_equal(data[at], pattern(at));
            tls_client_expect(&client, "end\r\nafter\r\n");
        }
        quit(&client);
    }
    for (int i = 0; i < 2; i++) { /* a reader who goes away with much unsent */
        begin(&client, &(struct tls_client_options){0});
        tls_client_say(&client, i ? "send 3000000\r\n" : "write 3000000\r\n");
        harness_nap(30000);
        client_close(client.fd);
        tls_client_free(&client);
    }
    free(data);
    server_end(&server);
}

/* N3 under TLS: a session that does not read. */
static void back_pressure(void **state)
{
    (void)state;
    struct server server;
    struct tls_client client;
    server_begin(&server, 1, &plain_options);
    begin(&client, &(struct tls_client_options){0});
    tls_client_say(&client, "nap 100\r\n");
    char *data = malloc(500000);
    for (size_t i = 0; i < 500000; i++)
        data[i] = "abcdefgh\r\n"[i % 10];
    tls_client_put(&client, data, 500000);
    tls_client_expect(&client, "awake\r\n");
    char *back = malloc(500000);
    tls_client_get(&client, back, 500000);
    check(memcmp(back, data, 500000) == 0);
    free(data);
    free(back);
    quit(&client);
    server_end(&server);
}

static void moving(void **state)
{
    (void)state;
    struct server server;
    struct tls_client client;
    server_begin(&server, 2, &plain_options);
    for (int round = 0; round < 10; round++) {
        unsigned from, to;
        char text[200];
        begin(&client, &(struct tls_client_options){.is_12 = round % 2});
        tls_client_say(&client, "core\r\n");
        tls_client_line(&client, text, sizeof text);
        check_equal(sscanf(text, "%u", &from), 1);
        to = 1 - from;
        tls_client_say(&client, "move\r\nfirst\r\ncore\r\nhal");
        if (round % 3)
            harness_nap(3000);
        tls_client_say(&client, "f\r\nmove\r\n");
        snprintf(text, sizeof text, "moving to %u\r\nfirst\r\n%u %u\r\nhalf\r\nmoving to %u\r\n",
                 to, to, to, from);
        tls_client_expect(&client, text);
        quit(&client);
    }
    server_end(&server);
}

/* T03 */
static void alpn(void **state)
{
    (void)state;
    struct server server;
    struct tls_client client;
    server_begin(&server, 1, &plain_options);
    for (int old = 0; old < 2; old++) {
        begin(&client, &(struct tls_client_options){.alpn = "http/1.1,imap", .is_12 = old});
        char *name = NULL;
        word16 size = 0;
        check_equal(wolfSSL_ALPN_GetProtocol(client.library, &name, &size), WOLFSSL_SUCCESS);
        check(size == 4 && memcmp(name, "imap", 4) == 0);
        quit(&client);
        failing(&(struct tls_client_options){.alpn = "http/1.1", .is_12 = old}, FATAL_ERROR);
        failing(&(struct tls_client_options){.alpn = "smtp", .is_12 = old}, FATAL_ERROR);
    }
    server_end(&server);
    check_equal(server.lines.insecure, 4);
}

static bool is_pair(const struct tls_client *client, int pair)
{
    DerBuffer *want = NULL;
    check_equal(wc_PemToDer((const unsigned char *)made[pair].certificate,
                            (long)strlen(made[pair].certificate), CERT_TYPE, &want, NULL, NULL,
                            NULL),
                0);
    bool is_same =
        client->leaf_size == want->length && memcmp(client->leaf, want->buffer, want->length) == 0;
    wc_FreeDer(&want);
    return is_same;
}

/* T02: exact name, then "*.", else the first; strange names are none. */
static void names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *kept;
        int pair;
    } rows[] = {
        {"one.example.org", "one.example.org", 0},
        {"two.example.org", "two.example.org", 1},
        {"A.Two.Example.ORG", "a.two.example.org", 1},
        {"a.b.two.example.org", "a.b.two.example.org", 0},
        {"unknown.example.com", "unknown.example.com", 0},
        {"two.example.org\\", "", 0},
        {"two example.org", "", 0},
        {"..%2f", "", 0},
        {NULL, "", 0},
    };
    struct server server;
    struct tls_client client;
    char text[400], want[300], longest[301];
    server_begin(&server, 1, &plain_options);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(&client, &(struct tls_client_options){.server_name = rows[i].name});
        check(is_pair(&client, rows[i].pair));
        info(&client, text, sizeof text);
        snprintf(want, sizeof want, " <%s> full", rows[i].kept);
        check(strstr(text, want) != NULL);
        quit(&client);
    }
    memset(longest, 'a', 300);
    for (size_t size = 252; size <= 300; size += size < 257 ? 1 : 43) {
        longest[size] = '\0';
        begin(&client, &(struct tls_client_options){.server_name = longest});
        check(is_pair(&client, 0));
        quit(&client);
        longest[size] = 'a';
    }
    server_end(&server);
}

static WOLFSSL_SESSION *session_of(struct tls_client *client)
{
    WOLFSSL_SESSION *session = wolfSSL_get1_session(client->library);
    check(session != NULL);
    return session;
}

/* T07: whatever is not as it was means a full handshake. */
static void tickets(void **state)
{
    (void)state;
    if (harness_clock_jumps()) /* tickets end when it does */
        return;
    struct server server;
    struct tls_client client;
    server_begin(&server, 2, &plain_options);
    for (int old = 0; old < 2; old++) {
        struct tls_client_options options = {.server_name = "one.example.org", .is_12 = old};
        begin(&client, &options);
        check(!is_resumed(&client));
        WOLFSSL_SESSION *session = session_of(&client);
        quit(&client);
        for (int i = 0; i < 12; i++) { /* on either core, by a chain of tickets */
            options.session = session;
            begin(&client, &options);
            check(is_resumed(&client));
            wolfSSL_SESSION_free(session);
            session = session_of(&client);
            quit(&client);
        }
        options.session = session;
        if (old) { /* this client takes the answer to a ticket for a yes, whatever it is */
            wolfSSL_SESSION_free(session);
            break;
        }
        options.server_name = "two.example.org";
        begin(&client, &options);
        check(!is_resumed(&client));
        check(is_pair(&client, 1));
        quit(&client);
        options.server_name = "one.example.org";
        int fd = client_open_at("127.0.0.1", port_base() + 1); /* another service */
        char got[4];
        client_say(fd, "secure\r\n");
        client_get(fd, got, 4);
        tls_client_begin(&client, fd, &options);
        check_equal(client.error, 0);
        check(!is_resumed(&client));
        quit(&client);
        begin(&client, &options); /* and still good where it is from */
        check(is_resumed(&client));
        quit(&client);
        wolfSSL_SESSION_free(session);
    }
    server_end(&server);
}

static void no_tickets(void **state)
{
    (void)state;
    struct server server;
    struct tls_client client;
    struct tls_options tls = plain_options;
    tls.ticket_ms_max = 0;
    server_begin(&server, 1, &tls);
    begin(&client, &(struct tls_client_options){0});
    check(!is_resumed(&client));
    WOLFSSL_SESSION *session = session_of(&client);
    quit(&client);
    begin(&client, &(struct tls_client_options){.session = session});
    check(!is_resumed(&client));
    quit(&client);
    wolfSSL_SESSION_free(session);
    server_end(&server);
}

/* T01: a hello in pieces of one byte, and cut at every byte. */
static void pieces(void **state)
{
    (void)state;
    struct server server;
    struct tls_client client;
    server_begin(&server, 1, &plain_options);
    begin(&client, &(struct tls_client_options){.server_name = "two.example.org", .piece = 1});
    check(is_pair(&client, 1));
    tls_client_say(&client, "hello\r\n");
    tls_client_expect(&client, "hello\r\n");
    quit(&client);
    static const unsigned char hello[] = {0x16, 3, 1, 0, 60, 1, 0, 0, 56, 3, 3};
    for (size_t size = 0; size <= sizeof hello; size++) {
        int fd = client_dial();
        if (size > 0)
            client_put(fd, hello, size);
        client_half_close(fd);
        client_expect_end(fd);
    }
    server_end(&server);
}

/* T01: the client's side of a handshake cut at every byte, and with a bit of every byte changed:
 * the server says no, or the client sees it, and nothing is left behind. */
static void damage(void **state)
{
    (void)state;
    struct server server;
    struct tls_client client;
    server_begin(&server, 1, &plain_options);
    server.lines.idle_ns = UINT64_C(300000000); /* a length that is another makes both wait */
    size_t step = harness_is_simulated() ? 1 : 7;
    unsigned refused = 0;
    for (size_t at = 1; at < 500; at += step)
        for (int how = 0; how < 4; how++) {
            struct tls_client_options options = {.is_12 = how % 2,
                                                 .server_name = "one.example.org"};
            *(how / 2 ? &options.cut : &options.flip) = at;
            tls_client_begin(&client, client_dial(), &options);
            bool is_whole = client.error == 0 && client.sent < at;
            if (client.error != 0 || (!is_whole && tls_client_end(&client) != 0))
                refused++;
            client_close(client.fd);
            tls_client_free(&client);
        }
    begin(&client, &(struct tls_client_options){0});
    quit(&client);
    server_end(&server);
    check(refused > 1000 / step);
}

/* T01, T10, T12: not TLS, SSL 2 and 3, TLS 1.1, sizes beyond all bounds. */
static void garbage(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", 11},
        {"\x16\x03\x00\xff\xff\x01\x00\x00\x05hello", 14},
        {"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", 10},
        {"\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9},
        {"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x02"
         "0123456789abcdef0123456789abcdef\x00\x00\x02\x00\x2f\x01\x00",
         50},
    };
    struct server server;
    server_begin(&server, 1, &plain_options);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = client_dial();
        char got[512];
        client_put(fd, rows[i].bytes, rows[i].size);
        while (client_get_some(fd, got, sizeof got) > 0)
            check(got[0] != 0x17);
        client_close(fd);
    }
    server_end(&server);
    check_equal(server.lines.insecure, sizeof rows / sizeof *rows);
    check_equal(server.lines.secured, 0);
}

/* T09 */
static void endings(void **state)
{
    (void)state;
    struct server server;
    struct tls_client client;
    server_begin(&server, 1, &plain_options);
    begin(&client, &(struct tls_client_options){0}); /* an end without close_notify */
    char some[500];
    pattern_fill(some, sizeof some, 0);
    tls_client_say(&client, "sink 1000\r\n");
    tls_client_put(&client, some, sizeof some);
    client_half_close(client.fd);
    tls_client_expect(&client, "got 500\r\n");
    check_equal(tls_client_end(&client), 0);
    client_close(client.fd);
    tls_client_free(&client);
    begin(&client, &(struct tls_client_options){0}); /* close_notify, then more, in clear too */
    wolfSSL_shutdown(client.library);
    client_say(client.fd, "hello\r\n");
    check_equal(tls_client_end(&client), 0);
    client_expect_end(client.fd);
    tls_client_free(&client);
    static const struct { /* T05: what no TLS peer sends */
        const char *bytes;
        size_t size;
    } rows[] = {
        {"\x17\x03\x03\x00\x20"
         "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
         37},
        {"\x17\x03\x03\x00\x05hello", 10},
        {"\x17\x03\x03\x00\x00", 5},
        {"\x00\x03\x03\x00\x05hello", 10},
        {"\x16\x03\x03\x00\x05hello", 10},
        {"\x15\x03\x03\x00\x02\x02\x28", 7},
        {"quit\r\nquit\r\n", 12},
    };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        begin(&client, &(struct tls_client_options){.is_12 = i % 2});
        client_put(client.fd, rows[i / 2].bytes, rows[i / 2].size);
        client_half_close(client.fd);
        check(tls_client_end(&client) != WOLFSSL_SUCCESS);
        client_close(client.fd);
        tls_client_free(&client);
    }
    server_end(&server);
}

/* T04 */
static void floods(void **state)
{
    (void)state;
    struct server server;
    struct tls_client client;
    server_begin(&server, 1, &plain_options);
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {{"\x14\x03\x03\x00\x01\x01", 6}, {"\x15\x03\x03\x00\x02\x01\x5a", 7}};
    for (size_t i = 0; i < 4; i++) {
        begin(&client, &(struct tls_client_options){.is_12 = i % 2});
        char flood[6000];
        size_t size = 0;
        for (; size + rows[i / 2].size <= sizeof flood; size += rows[i / 2].size)
            memcpy(flood + size, rows[i / 2].bytes, rows[i / 2].size);
        client_put(client.fd, flood, size);
        check(tls_client_end(&client) != 0);
        client_close(client.fd);
        tls_client_free(&client);
    }
    begin(&client, &(struct tls_client_options){0}); /* key updates: some are fine */
    for (int i = 0; i < 20; i++)
        check_equal(wolfSSL_update_keys(client.library), WOLFSSL_SUCCESS);
    tls_client_say(&client, "hello\r\n");
    tls_client_expect(&client, "hello\r\n");
    for (int i = 0; i < 1100; i++)
        if (wolfSSL_update_keys(client.library) != WOLFSSL_SUCCESS)
            break;
    check(tls_client_end(&client) != 0);
    client_close(client.fd);
    tls_client_free(&client);
    server_end(&server);
    check_equal(server.lines.insecure, 5);
}

/* T12 */
static void suites(void **state)
{
    (void)state;
    struct server server;
    struct tls_client client;
    struct tls_options tls = plain_options;
    const char *cbc = "ECDHE-ECDSA-AES128-SHA256", *chacha = "ECDHE-ECDSA-CHACHA20-POLY1305";
    server_begin(&server, 1, &tls);
    failing(&(struct tls_client_options){.is_12 = true, .suites = cbc}, FATAL_ERROR);
    begin(&client, &(struct tls_client_options){.is_12 = true, .suites = chacha});
    quit(&client);
    server_end(&server);
    tls.profile = TLS_INTERMEDIATE;
    server_begin(&server, 1, &tls);
    begin(&client, &(struct tls_client_options){.is_12 = true, .suites = cbc});
    tls_client_say(&client, "hello\r\n");
    tls_client_expect(&client, "hello\r\n");
    quit(&client);
    server_end(&server);
}

/* T11 */
static void client_certificates(void **state)
{
    (void)state;
    struct server server;
    struct tls_client client;
    char text[400];
    struct tls_options tls = plain_options;
    tls.client_ca = slice_cstr(pem_ca_certificate);
    for (int required = 0; required < 2; required++) {
        tls.client_required = required;
        server_begin(&server, 1, &tls);
        for (int old = 0; old < 2; old++) {
            struct tls_client_options options = {
                .is_12 = old, .certificate = pem_client_certificate, .key = pem_client_key};
            begin(&client, &options);
            info(&client, text, sizeof text);
            check(strstr(text, " full <anna@example.org> <Anna Example> ") != NULL);
            options.session = old ? NULL : session_of(&client);
            quit(&client);
            begin(&client, &options); /* shown again, for a ticket keeps no certificate */
            info(&client, text, sizeof text);
            check(strstr(text, " full <anna@example.org> <Anna Example> ") != NULL);
            quit(&client);
            wolfSSL_SESSION_free(options.session);
            struct tls_client_options stranger = {
                .is_12 = old, .certificate = pem_stranger_certificate, .key = pem_stranger_key};
            struct tls_client_options none = {.is_12 = old};
            tls_client_begin(&client, client_dial(), &stranger);
            check(client.error != 0 || tls_client_end(&client) != 0);
            client_close(client.fd);
            tls_client_free(&client);
            tls_client_begin(&client, client_dial(), &none);
            if (required) {
                check(client.error != 0 || tls_client_end(&client) != 0);
                client_close(client.fd);
                tls_client_free(&client);
            } else {
                check_equal(client.error, 0);
                info(&client, text, sizeof text);
                check(strstr(text, " full <> <> ") != NULL);
                quit(&client);
            }
        }
        server_end(&server);
    }
}

/* T13: new settings under sessions that are there. */
static void reload(void **state)
{
    (void)state;
    struct server server;
    struct tls_client before, after;
    server_begin(&server, 1, &plain_options);
    begin(&before, &(struct tls_client_options){0});
    check(!is_resumed(&before));
    WOLFSSL_SESSION *session = session_of(&before);
    for (int i = 0; i < 3; i++) {
        make_certificates(harness_wall_ns() / 1000000000);
        atomic_fetch_add(&server.adopting, 1);
        while (atomic_load(&server.ready) < 2 + (unsigned)i)
            harness_nap(1000);
        tls_client_say(&before, "hello\r\n");
        tls_client_expect(&before, "hello\r\n");
        begin(&after, &(struct tls_client_options){0});
        check(is_pair(&after, 0) && !is_pair(&before, 0));
        quit(&after);
        begin(&after, &(struct tls_client_options){.session = session});
        check(is_resumed(&after) || harness_clock_jumps()); /* the secret is the same */
        quit(&after);
    }
    quit(&before);
    wolfSSL_SESSION_free(session);
    server_end(&server);
}

static void count_problem(void *argument, const char *name, const char *what)
{
    const char **last = argument;
    check(strcmp(name, "pair") == 0 || strcmp(name, "client_ca") == 0);
    *last = what;
}

/* T13, T12: what cannot be used is said, and the old settings stay. */
static void faults(void **state)
{
    (void)state;
    const struct {
        const char *certificate, *key, *says;
    } rows[] = {
        {made[0].certificate, made[1].key, "not the certificate's"},
        {made[2].certificate, made[2].key, "expired"},
        {pem_weak_certificate, pem_weak_key, "2048"},
        {pem_sha1_certificate, pem_sha1_key, "SHA-1"},
        {pem_none_certificate, pem_none_key, "no host name"},
        {"garbage", made[0].key, "no certificate could be read"},
        {made[0].certificate, "garbage", "key cannot be used"},
        {made[0].certificate, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "encrypted"},
        {"", "", "empty"},
        {made[0].key, made[0].certificate, "no certificate could be read"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tls_pair pairs[2] = {pair_of(made[0].certificate, made[0].key),
                                    pair_of(rows[i].certificate, rows[i].key)};
        struct tls_options options = {.pairs = pairs, .pair_count = 2};
        struct tls_settings *settings = NULL;
        const char *what = "nothing";
        int result =
            tls_settings_make(&options, harness_wall_ns(), count_problem, &what, &settings);
        if (strstr(what, rows[i].says) == NULL)
            fprintf(stderr, "row %zu says: %s\n", i, what);
        check(strstr(what, rows[i].says) != NULL);
        check_equal(result, -EINVAL);
        check(settings == NULL);
    }
    struct tls_settings *settings = settings_make(&plain_options);
    int64_t now = harness_wall_ns() / 1000000000;
    check(tls_settings_end(settings) > now + 700 * (int64_t)DAY_SECONDS);
    check(tls_settings_end(settings) < now + 740 * (int64_t)DAY_SECONDS);
    tls_settings_unref(settings);
}

static int tls_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults),
        cmocka_unit_test(handshakes),
        cmocka_unit_test(start_tls),
        cmocka_unit_test(bulk),
        cmocka_unit_test(moving),
        cmocka_unit_test(back_pressure),
        cmocka_unit_test(alpn),
        cmocka_unit_test(names),
        cmocka_unit_test(tickets),
        cmocka_unit_test(no_tickets),
        cmocka_unit_test(pieces),
        cmocka_unit_test(damage),
        cmocka_unit_test(garbage),
        cmocka_unit_test(endings),
        cmocka_unit_test(floods),
        cmocka_unit_test(suites),
        cmocka_unit_test(client_certificates),
        cmocka_unit_test(reload),
    };
    make_certificates(harness_wall_ns() / 1000000000);
    return cmocka_run_group_tests_name("tls", tests, NULL, NULL);
}

int main(void)
{
    wolfSSL_Init();
    harness_library(tls_library_open, tls_library_close);
    return harness_main(tls_tests);
}
