/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The server, the certificates and the clients of tests of TLS.
 */
#include "tls_host.h"

#include <unistd.h>

#include <wolfssl/wolfcrypt/asn_public.h>

struct tls_made made[3];

static const struct tls_service imap = {"imap", 7}, smtp = {"smtp", 8};

/* ---------------------------------------------------------------- settings */

void make_certificates(int64_t now_seconds)
{
    static const char *const one[] = {"one.example.org", NULL};
    static const char *const two[] = {"*.two.example.org", "two.example.org", NULL};
    check(certificate_make(one, now_seconds, made[0].certificate, made[0].key) == NULL);
    check(certificate_make(two, now_seconds, made[1].certificate, made[1].key) == NULL);
    check(certificate_make(one, now_seconds - 1000 * DAY_SECONDS, made[2].certificate,
                           made[2].key) == NULL);
}

struct tls_pair pair_of(const char *certificate, const char *key)
{
    return (struct tls_pair){"pair", slice_cstr(certificate), slice_cstr(key)};
}

static void no_problem(void *argument, const char *name, const char *what)
{
    (void)argument;
    fprintf(stderr, "%s: %s\n", name, what);
    harness_failed(__FILE__, __LINE__, "a problem with good settings");
}

struct tls_settings *settings_make(const struct tls_options *options)
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

unsigned port_base(void)
{
    return harness_ports(24000, 40, 2);
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
    unsigned which; /* of the settings */
    bool is_done;
};

/* From the core's turn: its stack is large. The first core to come makes the settings. */
static void adopt(struct timer *timer)
{
    struct adoption *adoption = (struct adoption *)timer;
    struct tls_settings *settings = settings_make(&adoption->server->tls), *others = NULL;
    if (!atomic_compare_exchange_strong(&adoption->server->settings[adoption->which], &others,
                                        settings)) {
        tls_settings_unref(settings);
        settings = others;
    }
    check_equal(tls_adopt(adoption->core, settings), 0);
    adoption->is_done = true;
}

static void adopt_soon(struct core *core, struct server *server, unsigned which)
{
    struct adoption adoption = {
        .timer.fire = adopt, .core = core, .server = server, .which = which};
    check(which < SETTINGS_MAX);
    timer_set(core, &adoption.timer, core_now_ns(core) + 1);
    while (!adoption.is_done)
        fiber_sleep(core, 8000000);
}

static int server_ready(struct core *core, void *argument)
{
    struct server *server = argument;
    check_equal(net_open(core), 0);
    adopt_soon(core, server, 0);
    struct listener *first = listen_at(core, port_base(), &server->lines);
    struct listener *second = listen_at(core, port_base() + 1, &server->others);
    atomic_fetch_add(&server->ready, 1);
    unsigned adopted = 0;
    while (atomic_load(&server->stopped) == 0) {
        fiber_sleep(core, 20000000);
        if (adopted < atomic_load(&server->adopting)) {
            adopt_soon(core, server, ++adopted);
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
    if (atomic_fetch_add(&server->stopped, 1) == server->cores) {
        for (unsigned i = 0; i < SETTINGS_MAX; i++)
            tls_settings_unref(atomic_load(&server->settings[i]));
        harness_stop(core);
    }
    return 0;
}

void server_begin(struct server *server, unsigned cores, const struct tls_options *tls)
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

void server_end(struct server *server)
{
    atomic_fetch_add(&server->stopped, 1);
    check_equal(harness_end(server->engine), 0);
}

const struct tls_options plain_options = {.ticket_ms_max = 3600000};

/* ---------------------------------------------------------------- clients */

void client_say(int fd, const char *text)
{
    client_put(fd, text, strlen(text));
}

int client_dial(void)
{
    return client_open_at("127.0.0.1", port_base());
}

void begin(struct wolf_client *client, const struct wolf_client_options *options)
{
    wolf_client_begin(client, client_dial(), options);
    if (client->error != 0)
        fprintf(stderr, "handshake: %d\n", client->error);
    check_equal(client->error, 0);
}

void quit(struct wolf_client *client)
{
    wolf_client_say(client, "quit\r\n");
    wolf_client_expect(client, "bye\r\n");
    check_equal(wolf_client_end(client), 0);
    client_expect_end(client->fd);
    wolf_client_free(client);
}

void failing(const struct wolf_client_options *options, int error)
{
    struct wolf_client client;
    wolf_client_begin(&client, client_dial(), options);
    check_equal(client.error, error);
    client_close(client.fd);
    wolf_client_free(&client);
}

void info(struct wolf_client *client, char *text, size_t size)
{
    wolf_client_say(client, "info\r\n");
    wolf_client_line(client, text, size);
}

bool is_resumed(struct wolf_client *client)
{
    char text[400];
    info(client, text, sizeof text);
    return strstr(text, " resumed ") != NULL;
}

bool is_pair(const struct wolf_client *client, int pair)
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

WOLFSSL_SESSION *session_of(struct wolf_client *client)
{
    WOLFSSL_SESSION *session = wolfSSL_get1_session(client->library);
    check(session != NULL);
    return session;
}
