/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TLS while each single allocation fails in turn, wolfSSL's own among them (T14): that connection
 * ends, nothing of it is left, and an honest client who comes next is served. And the same seed
 * gives the same bytes on the wire.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/main/certificate.h"
#include "../unit/line_server.h"
#include "../unit/wolf_client.h"
#include "sim.h"

enum { PORT = 993 };

static char certificate[CERTIFICATE_BYTES_MAX], key[CERTIFICATE_BYTES_MAX];
static const struct tls_service service = {"imap", 1};

static struct stage {
    struct line_server lines;
    struct timer timer;
    struct core *core;
    bool is_adopted, is_ready, is_stopping;
    uint64_t left_bytes; /* when all is over */
} stage;

static void adopt(struct timer *timer)
{
    (void)timer;
    struct tls_pair pair = {"pair", slice_cstr(certificate), slice_cstr(key)};
    struct tls_options options = {.pairs = &pair, .pair_count = 1, .ticket_ms_max = 3600000};
    struct tls_settings *settings = NULL;
    check_equal(tls_settings_make(&options, harness_wall_ns(), NULL, NULL, &settings), 0);
    check_equal(tls_adopt(stage.core, settings), 0);
    tls_settings_unref(settings);
    stage.is_adopted = true;
}

static int serve(struct core *core, void *argument)
{
    (void)argument;
    struct listener *listener = NULL;
    struct listener_options options = {
        .address = "0.0.0.0",
        .port = PORT,
        .connections_max = 20,
        .accepted = line_server_accepted,
        .argument = &stage.lines,
    };
    check_equal(net_open(core), 0);
    stage.core = core;
    stage.timer.fire = adopt;
    timer_set(core, &stage.timer, core_now_ns(core) + 1);
    while (!stage.is_adopted)
        fiber_sleep(core, 8000000);
    check_equal(listener_open(core, &options, &listener), 0);
    stage.is_ready = true;
    while (!stage.is_stopping)
        fiber_sleep(core, 8000000);
    listener_close(listener);
    while (stage.lines.sessions > 0)
        fiber_sleep(core, 8000000);
    fiber_sleep(core, 100000000);
    check_equal(buffer_lent(core), 0);
    check_equal(core_busy(core), 0);
    net_close(core);
    stage.left_bytes = sim_memory_live(harness_sim());
    harness_stop(core);
    return 0;
}

static struct harness_engine *begin(bool is_implicit)
{
    struct engine_options options = {.core_count = 1,
                                     .connections_max = 20,
                                     .buffers = 16,
                                     .fibers_max = 20,
                                     .stack_bytes = 65536};
    stage = (struct stage){.lines = {.tls_service = &service, .is_implicit = is_implicit}};
    struct harness_engine *engine = harness_begin(&options, serve, NULL);
    while (!stage.is_ready)
        harness_nap(1000);
    return engine;
}

static void end(struct harness_engine *engine)
{
    stage.is_stopping = true;
    check_equal(harness_end(engine), 0);
}

static int dial(void)
{
    return client_open_at("192.0.2.1", PORT);
}

/* Handshake, a line and its echo, both ways of sending much, the goodbye. False: it ended early. */
static bool visit(uint64_t *ret_hash)
{
    static const char says[] = "hello\r\nwrite 20000\r\nsend 20000\r\nquit\r\n";
    enum { REPLIES = 7 + 2 * (7 + 20000 + 5) + 5 };
    struct wolf_client client;
    char got[4096];
    int total = 0;
    wolf_client_begin(&client, dial(), &(struct wolf_client_options){.server_name = "a.example"});
    if (client.error == 0 &&
        wolfSSL_write(client.library, says, sizeof says - 1) == sizeof says - 1)
        for (int part; (part = wolfSSL_read(client.library, got, sizeof got)) > 0;)
            total += part;
    bool is_whole = total == REPLIES;
    *ret_hash = client.hash;
    client_close(client.fd);
    wolf_client_free(&client);
    return is_whole;
}

/* A handshake whose beginning lay unread when it began. It is none: it ends at once. */
static bool visit_kept(uint64_t *ret_hash)
{
    static const char says[] = "keep\r\nno hello at all";
    char got[64];
    int fd = dial();
    size_t total = 0, part;
    client_put(fd, says, sizeof says - 1);
    while ((part = client_get_some(fd, got + total, sizeof got - total)) > 0)
        total += part;
    client_close(fd);
    *ret_hash = total;
    return total >= 4 && memcmp(got, "go\r\n", 4) == 0;
}

/* Fails each allocation of a visit in turn; how many visits were not whole. */
static uint64_t sweep(bool is_implicit, bool (*visit_one)(uint64_t *ret_hash))
{
    uint64_t hash, left = 0, failures = 0;
    bool has_failed = true;
    for (uint64_t n = 0; has_failed; n++) {
        struct harness_engine *engine = begin(is_implicit);
        struct sim *sim = harness_sim();
        if (n > 0)
            sim_fail_nth(sim, SIM_OPERATION_MEMORY, n, 0, false);
        bool is_whole = visit_one(&hash);
        has_failed = n == 0 || sim_nth_failed(sim);
        sim_fail_nth(sim, SIM_OPERATION_MEMORY, 0, 0, false);
        failures += !is_whole;
        check(is_whole || (n > 0 && has_failed));
        check(visit_one(&hash)); /* the next one */
        end(engine);
        if (n == 0)
            left = stage.left_bytes;
        check_equal(stage.left_bytes, left);
        check(n < 2000);
    }
    print_message("  connections that ended for want of memory: %llu\n",
                  (unsigned long long)failures);
    return failures;
}

/* T14 */
static void allocations(void **state)
{
    (void)state;
    check(sweep(true, visit) > 50);
    check(sweep(false, visit_kept) > 3);
}

static void same(void **state)
{
    (void)state;
    uint64_t hashes[2] = {0}, traces[2];
    for (int i = 0; i < 2; i++) {
        struct harness_engine *engine = begin(true);
        check(visit(&hashes[i]));
        traces[i] = sim_trace_hash(harness_sim());
        end(engine);
    }
    check_equal(hashes[0], hashes[1]);
    check_equal(traces[0], traces[1]);
    check(hashes[0] != 0);
}

/* What an idle connection holds, all of the library's included: the stream's contract is to hold no
 * buffer. */
static void idle(void **state)
{
    (void)state;
    enum { COUNT = 10 };
    struct wolf_client clients[COUNT];
    uint64_t hash, live[2];
    struct harness_engine *engine = begin(true);
    check(visit(&hash));
    harness_nap(1000000);
    live[0] = sim_memory_live(harness_sim());
    for (int i = 0; i < COUNT; i++) {
        wolf_client_begin(&clients[i], dial(), &(struct wolf_client_options){0});
        check_equal(clients[i].error, 0);
        wolf_client_say(&clients[i], "hello\r\n");
        wolf_client_expect(&clients[i], "hello\r\n");
    }
    harness_nap(1000000);
    live[1] = sim_memory_live(harness_sim());
    for (int i = 0; i < COUNT; i++) {
        client_close(clients[i].fd);
        wolf_client_free(&clients[i]);
    }
    end(engine);
    uint64_t each = (live[1] - live[0]) / COUNT;
    print_message("  bytes of an idle connection: %llu\n", (unsigned long long)each);
    check(each <= 5120);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {cmocka_unit_test(same), cmocka_unit_test(allocations),
                                      cmocka_unit_test(idle)};
    static const char *const names[] = {"a.example", NULL};
    if (certificate[0] == '\0')
        check(certificate_make(names, harness_wall_ns() / 1000000000, certificate, key) == NULL);
    return cmocka_run_group_tests_name("tls_sweep", list, NULL, NULL);
}

int main(void)
{
    wolfSSL_Init();
    harness_library(tls_library_open, tls_library_close);
    setenv("WORLDS", "2", 0);
    return harness_main(tests);
}
