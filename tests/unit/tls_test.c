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

#include "tls_host.h"
#include "tls_pem.h"

static void handshakes(void **state)
{
    (void)state;
    struct server server;
    struct wolf_client client;
    char text[400], want[100];
    server_begin(&server, 1, &plain_options);
    begin(&client, &(struct wolf_client_options){.server_name = "One.Example.org"});
    wolf_client_say(&client, "hello\r\n");
    wolf_client_expect(&client, "hello\r\n");
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
    begin(&client, &(struct wolf_client_options){.is_12 = true});
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
    struct wolf_client client;
    server_begin(&server, 1, &plain_options);
    int fd = client_open_at("127.0.0.1", port_base() + 1);
    char got[20];
    client_say(fd, "hello\r\nsecure\r\ninjected\r\n");
    client_get(fd, got, 11);
    check(memcmp(got, "hello\r\ngo\r\n", 11) == 0);
    wolf_client_begin(&client, fd, &(struct wolf_client_options){0});
    if (client.error == 0) {
        wolf_client_say(&client, "first\r\n");
        wolf_client_expect(&client, "first\r\n");
        quit(&client);
    } else { /* it came too late to be dropped, and is no TLS */
        check(harness_is_simulated());
        client_close(fd);
        wolf_client_free(&client);
    }
    server_end(&server);
}

static void bulk(void **state)
{
    (void)state;
    struct server server;
    struct wolf_client client;
    const size_t size = 5 << 20;
    char *data = malloc(size);
    server_begin(&server, 1, &plain_options);
    for (int old = 0; old < 2; old++) {
        begin(&client, &(struct wolf_client_options){.is_12 = old});
        const char *const verbs[] = {"sink", "exact", "peek"};
        for (int i = 0; i < 6; i++) {
            char text[64];
            size_t part = i < 3 ? 3 << 20 : 300001;
            snprintf(text, sizeof text, "%s %zu\r\n", verbs[i % 3], part);
            wolf_client_say(&client, text);
            pattern_fill(data, part, 0);
            wolf_client_put(&client, data, part);
            wolf_client_say(&client, "pipelined behind\r\n");
            snprintf(text, sizeof text, "got %zu\r\npipelined behind\r\n", part);
            wolf_client_expect(&client, text);
        }
        for (int i = 0; i < 2; i++) {
            wolf_client_say(&client, i ? "before\r\nsend 5242880\r\nafter\r\n"
                                       : "before\r\nwrite 5242880\r\nafter\r\n");
            harness_nap(50000); /* the queue fills */
            wolf_client_expect(&client, "before\r\nbegin\r\n");
            wolf_client_get(&client, data, size);
            for (size_t at = 0; at < size; at++)
                check_equal(data[at], pattern(at));
            wolf_client_expect(&client, "end\r\nafter\r\n");
        }
        quit(&client);
    }
    for (int i = 0; i < 2; i++) { /* a reader who goes away with much unsent */
        begin(&client, &(struct wolf_client_options){0});
        wolf_client_say(&client, i ? "send 3000000\r\n" : "write 3000000\r\n");
        harness_nap(30000);
        client_close(client.fd);
        wolf_client_free(&client);
    }
    free(data);
    server_end(&server);
}

/* N3 under TLS: a session that does not read. */
static void back_pressure(void **state)
{
    (void)state;
    struct server server;
    struct wolf_client client;
    server_begin(&server, 1, &plain_options);
    begin(&client, &(struct wolf_client_options){0});
    wolf_client_say(&client, "nap 100\r\n");
    char *data = malloc(500000);
    for (size_t i = 0; i < 500000; i++)
        data[i] = "abcdefgh\r\n"[i % 10];
    wolf_client_put(&client, data, 500000);
    wolf_client_expect(&client, "awake\r\n");
    char *back = malloc(500000);
    wolf_client_get(&client, back, 500000);
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
    struct wolf_client client;
    server_begin(&server, 2, &plain_options);
    for (int round = 0; round < 10; round++) {
        unsigned from, to;
        char text[200];
        begin(&client, &(struct wolf_client_options){.is_12 = round % 2});
        wolf_client_say(&client, "core\r\n");
        wolf_client_line(&client, text, sizeof text);
        check_equal(sscanf(text, "%u", &from), 1);
        to = 1 - from;
        wolf_client_say(&client, "move\r\nfirst\r\ncore\r\nhal");
        if (round % 3)
            harness_nap(3000);
        wolf_client_say(&client, "f\r\nmove\r\n");
        snprintf(text, sizeof text, "moving to %u\r\nfirst\r\n%u %u\r\nhalf\r\nmoving to %u\r\n",
                 to, to, to, from);
        wolf_client_expect(&client, text);
        quit(&client);
    }
    server_end(&server);
}

/* T03 */
static void alpn(void **state)
{
    (void)state;
    struct server server;
    struct wolf_client client;
    server_begin(&server, 1, &plain_options);
    for (int old = 0; old < 2; old++) {
        begin(&client, &(struct wolf_client_options){.alpn = "http/1.1,imap", .is_12 = old});
        char *name = NULL;
        word16 size = 0;
        check_equal(wolfSSL_ALPN_GetProtocol(client.library, &name, &size), WOLFSSL_SUCCESS);
        check(size == 4 && memcmp(name, "imap", 4) == 0);
        quit(&client);
        failing(&(struct wolf_client_options){.alpn = "http/1.1", .is_12 = old}, FATAL_ERROR);
        failing(&(struct wolf_client_options){.alpn = "smtp", .is_12 = old}, FATAL_ERROR);
    }
    server_end(&server);
    check_equal(server.lines.insecure, 4);
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
    struct wolf_client client;
    char text[400], want[300], longest[301];
    server_begin(&server, 1, &plain_options);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(&client, &(struct wolf_client_options){.server_name = rows[i].name});
        check(is_pair(&client, rows[i].pair));
        info(&client, text, sizeof text);
        snprintf(want, sizeof want, " <%s> full", rows[i].kept);
        check(strstr(text, want) != NULL);
        quit(&client);
    }
    memset(longest, 'a', 300);
    for (size_t size = 252; size <= 300; size += size < 257 ? 1 : 43) {
        longest[size] = '\0';
        begin(&client, &(struct wolf_client_options){.server_name = longest});
        check(is_pair(&client, 0));
        quit(&client);
        longest[size] = 'a';
    }
    server_end(&server);
}

/* T07: whatever is not as it was means a full handshake. */
static void tickets(void **state)
{
    (void)state;
    if (harness_clock_jumps()) /* tickets end when it does */
        return;
    struct server server;
    struct wolf_client client;
    server_begin(&server, 2, &plain_options);
    for (int old = 0; old < 2; old++) {
        struct wolf_client_options options = {.server_name = "one.example.org", .is_12 = old};
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
        wolf_client_begin(&client, fd, &options);
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
    struct wolf_client client;
    struct tls_options tls = plain_options;
    tls.ticket_ms_max = 0;
    server_begin(&server, 1, &tls);
    begin(&client, &(struct wolf_client_options){0});
    check(!is_resumed(&client));
    WOLFSSL_SESSION *session = session_of(&client);
    quit(&client);
    begin(&client, &(struct wolf_client_options){.session = session});
    check(!is_resumed(&client));
    quit(&client);
    wolfSSL_SESSION_free(session);
    server_end(&server);
}

/* T11 */
static void client_certificates(void **state)
{
    (void)state;
    struct server server;
    struct wolf_client client;
    char text[400];
    struct tls_options tls = plain_options;
    tls.client_ca = slice_cstr(pem_ca_certificate);
    for (int required = 0; required < 2; required++) {
        tls.client_required = required;
        server_begin(&server, 1, &tls);
        for (int old = 0; old < 2; old++) {
            struct wolf_client_options options = {
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
            struct wolf_client_options stranger = {
                .is_12 = old, .certificate = pem_stranger_certificate, .key = pem_stranger_key};
            struct wolf_client_options none = {.is_12 = old};
            wolf_client_begin(&client, client_dial(), &stranger);
            check(client.error != 0 || wolf_client_end(&client) != 0);
            client_close(client.fd);
            wolf_client_free(&client);
            wolf_client_begin(&client, client_dial(), &none);
            if (required) {
                check(client.error != 0 || wolf_client_end(&client) != 0);
                client_close(client.fd);
                wolf_client_free(&client);
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

static int tls_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshakes), cmocka_unit_test(start_tls),
        cmocka_unit_test(bulk),       cmocka_unit_test(back_pressure),
        cmocka_unit_test(moving),     cmocka_unit_test(alpn),
        cmocka_unit_test(names),      cmocka_unit_test(tickets),
        cmocka_unit_test(no_tickets), cmocka_unit_test(client_certificates),
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
