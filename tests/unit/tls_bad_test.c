/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TLS under streams when peers or operators do what they should not: what is no TLS, damaged or cut
 * handshakes, floods, old suites, settings that cannot be used.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls_host.h"
#include "tls_pem.h"

/* T01: a hello in pieces of one byte, and cut at every byte. */
static void pieces(void **state)
{
    (void)state;
    struct server server;
    struct wolf_client client;
    server_begin(&server, 1, &plain_options);
    begin(&client, &(struct wolf_client_options){.server_name = "two.example.org", .piece = 1});
    check(is_pair(&client, 1));
    wolf_client_say(&client, "hello\r\n");
    wolf_client_expect(&client, "hello\r\n");
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
    struct wolf_client client;
    server_begin(&server, 1, &plain_options);
    server.lines.idle_ns = UINT64_C(300000000); /* a length that is another makes both wait */
    size_t step = harness_is_simulated() ? 1 : 7;
    unsigned refused = 0;
    for (size_t at = 1; at < 500; at += step)
        for (int how = 0; how < 4; how++) {
            struct wolf_client_options options = {.is_12 = how % 2,
                                                  .server_name = "one.example.org"};
            *(how / 2 ? &options.cut : &options.flip) = at;
            wolf_client_begin(&client, client_dial(), &options);
            bool is_whole = client.error == 0 && client.sent < at;
            if (client.error != 0 || (!is_whole && wolf_client_end(&client) != 0))
                refused++;
            client_close(client.fd);
            wolf_client_free(&client);
        }
    begin(&client, &(struct wolf_client_options){0});
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
    struct wolf_client client;
    server_begin(&server, 1, &plain_options);
    begin(&client, &(struct wolf_client_options){0}); /* an end without close_notify */
    char some[500];
    pattern_fill(some, sizeof some, 0);
    wolf_client_say(&client, "sink 1000\r\n");
    wolf_client_put(&client, some, sizeof some);
    client_half_close(client.fd);
    wolf_client_expect(&client, "got 500\r\n");
    check_equal(wolf_client_end(&client), 0);
    client_close(client.fd);
    wolf_client_free(&client);
    begin(&client, &(struct wolf_client_options){0}); /* close_notify, then more, in clear too */
    wolfSSL_shutdown(client.library);
    client_say(client.fd, "hello\r\n");
    check_equal(wolf_client_end(&client), 0);
    client_expect_end(client.fd);
    wolf_client_free(&client);
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
        begin(&client, &(struct wolf_client_options){.is_12 = i % 2});
        client_put(client.fd, rows[i / 2].bytes, rows[i / 2].size);
        client_half_close(client.fd);
        check(wolf_client_end(&client) != WOLFSSL_SUCCESS);
        client_close(client.fd);
        wolf_client_free(&client);
    }
    server_end(&server);
}

/* T04 */
static void floods(void **state)
{
    (void)state;
    struct server server;
    struct wolf_client client;
    server_begin(&server, 1, &plain_options);
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {{"\x14\x03\x03\x00\x01\x01", 6}, {"\x15\x03\x03\x00\x02\x01\x5a", 7}};
    for (size_t i = 0; i < 4; i++) {
        begin(&client, &(struct wolf_client_options){.is_12 = i % 2});
        char flood[6000];
        size_t size = 0;
        for (; size + rows[i / 2].size <= sizeof flood; size += rows[i / 2].size)
            memcpy(flood + size, rows[i / 2].bytes, rows[i / 2].size);
        client_put(client.fd, flood, size);
        check(wolf_client_end(&client) != 0);
        client_close(client.fd);
        wolf_client_free(&client);
    }
    begin(&client, &(struct wolf_client_options){0}); /* key updates: some are fine */
    for (int i = 0; i < 20; i++)
        check_equal(wolfSSL_update_keys(client.library), WOLFSSL_SUCCESS);
    wolf_client_say(&client, "hello\r\n");
    wolf_client_expect(&client, "hello\r\n");
    for (int i = 0; i < 1100; i++)
        if (wolfSSL_update_keys(client.library) != WOLFSSL_SUCCESS)
            break;
    check(wolf_client_end(&client) != 0);
    client_close(client.fd);
    wolf_client_free(&client);
    server_end(&server);
    check_equal(server.lines.insecure, 5);
}

/* T12 */
static void suites(void **state)
{
    (void)state;
    struct server server;
    struct wolf_client client;
    struct tls_options tls = plain_options;
    const char *cbc = "ECDHE-ECDSA-AES128-SHA256", *chacha = "ECDHE-ECDSA-CHACHA20-POLY1305";
    server_begin(&server, 1, &tls);
    failing(&(struct wolf_client_options){.is_12 = true, .suites = cbc}, FATAL_ERROR);
    begin(&client, &(struct wolf_client_options){.is_12 = true, .suites = chacha});
    quit(&client);
    server_end(&server);
    tls.profile = TLS_INTERMEDIATE;
    server_begin(&server, 1, &tls);
    begin(&client, &(struct wolf_client_options){.is_12 = true, .suites = cbc});
    wolf_client_say(&client, "hello\r\n");
    wolf_client_expect(&client, "hello\r\n");
    quit(&client);
    server_end(&server);
}

/* T13: new settings under sessions that are there. */
static void reload(void **state)
{
    (void)state;
    struct server server;
    struct wolf_client before, after;
    server_begin(&server, 1, &plain_options);
    begin(&before, &(struct wolf_client_options){0});
    check(!is_resumed(&before));
    WOLFSSL_SESSION *session = session_of(&before);
    for (int i = 0; i < 3; i++) {
        make_certificates(harness_wall_ns() / 1000000000);
        atomic_fetch_add(&server.adopting, 1);
        while (atomic_load(&server.ready) < 2 + (unsigned)i)
            harness_nap(1000);
        wolf_client_say(&before, "hello\r\n");
        wolf_client_expect(&before, "hello\r\n");
        begin(&after, &(struct wolf_client_options){0});
        check(is_pair(&after, 0) && !is_pair(&before, 0));
        quit(&after);
        begin(&after, &(struct wolf_client_options){.session = session});
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

static int tls_bad_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces),  cmocka_unit_test(damage), cmocka_unit_test(garbage),
        cmocka_unit_test(endings), cmocka_unit_test(floods), cmocka_unit_test(suites),
        cmocka_unit_test(reload),  cmocka_unit_test(faults),
    };
    make_certificates(harness_wall_ns() / 1000000000);
    return cmocka_run_group_tests_name("tls_bad", tests, NULL, NULL);
}

int main(void)
{
    wolfSSL_Init();
    harness_library(tls_library_open, tls_library_close);
    return harness_main(tls_bad_tests);
}
