/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TLS as the client: streams that connect to our own server on the same engine, and to servers that
 * do something else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "tls_chain.h"
#include "tls_client_host.h"
#include "tls_pem.h"

/* ---------------------------------------------------------------- a good server */

static void bulk(struct dialed *client)
{
    enum { BULK = 300000 };
    char *data = malloc(BULK), text[100];
    check(data != NULL);
    pattern_fill(data, BULK, 0);
    snprintf(text, sizeof text, "sink %d\r\n", BULK);
    stream_write(&client->stream, slice_cstr(text));
    check_equal(stream_send(&client->stream, slice_of(data, BULK)), 0);
    snprintf(text, sizeof text, "got %d", BULK);
    dialed_ask(client, "", text);
    snprintf(text, sizeof text, "write %d\r\n", BULK);
    dialed_ask(client, text, "begin");
    memset(data, 0, BULK);
    check_equal(stream_read_exact(&client->stream, data, BULK), 0);
    for (unsigned i = 0; i < BULK; i++)
        check_equal(data[i], pattern(i));
    dialed_ask(client, "", "end");
    free(data);
}

static void good_body(struct core *core, struct world *world)
{
    (void)world;
    for (int is_12 = 0; is_12 < 2; is_12++) {
        struct dialed client;
        struct tls_info info;
        char text[1000], want[200];
        uint8_t binding[TLS_BINDING_BYTES];
        struct tls_client_options options = verifying(is_12);
        struct tls_client *tls = made_client(core, &options);
        check_equal(secure_at(core, &client, port_base(), tls, "One.Example.ORG", NULL), 0);
        tls_client_free(tls); /* connections go on */
        check(stream_is_secure(&client.stream));
        check_equal(client.inputs, 0);
        stream_tls_info(&client.stream, &info);
        check(strcmp(info.version, is_12 ? "TLSv1.2" : "TLSv1.3") == 0);
        check(!info.is_resumed && info.has_certificate);
        check(slice_equal(info.common_name, SLICE("one.example.org")));
        check(slice_equal(info.server_name, SLICE("one.example.org")));
        check(slice_equal(info.issuer, SLICE("/CN=Chain middle")));
        stream_write(&client.stream, SLICE("info\r\n"));
        dialed_line(&client, text, sizeof text);
        snprintf(want, sizeof want, "%s %s <one.example.org> full <> <> ", info.version,
                 info.cipher);
        check(strncmp(text, want, strlen(want)) == 0);
        check_equal(stream_tls_binding(&client.stream, binding), !is_12);
        for (unsigned i = 0; !is_12 && i < sizeof binding; i++) { /* the same on both sides */
            snprintf(want, sizeof want, "%02x", binding[i]);
            check(memcmp(text + strlen(text) - 64 + 2 * i, want, 2) == 0);
        }
        bulk(&client);
        dialed_quit(&client);
    }
}

static void good(void **state)
{
    (void)state;
    struct world world = {.body = good_body};
    run(&world);
}

/* Behind a command in clear, as STARTTLS is. */
static void later_body(struct core *core, struct world *world)
{
    (void)world;
    struct dialed client;
    struct stream_target target = target_v4(port_base() + 1);
    struct tls_client_options options = verifying(false);
    struct tls_client *tls = made_client(core, &options);
    for (unsigned i = 0; i < 3; i++) {
        check_equal(dial(core, &client, &target, 0), 0);
        dialed_ask(&client, "in clear\r\n", "in clear");
        dialed_ask(&client, "secure\r\n", "go");
        check_equal(stream_secure_client(&client.stream, tls, one, NULL), 0);
        dialed_ask(&client, "sealed\r\n", "sealed");
        dialed_quit(&client);
    }
    /* What came in clear and was not read is nobody's answer afterwards (T3). */
    check_equal(dial(core, &client, &target, 0), 0);
    dialed_ask(&client, "in clear\r\nsecure\r\n", "in clear");
    while (stream_unread(&client.stream) < strlen("go\r\n"))
        fiber_sleep(core, 8000000);
    check_equal(stream_secure_client(&client.stream, tls, one, NULL), 0);
    check_equal(stream_unread(&client.stream), 0);
    dialed_ask(&client, "sealed\r\n", "sealed");
    dialed_quit(&client);
    tls_client_free(tls);
}

static void later(void **state)
{
    (void)state;
    struct world world = {.body = later_body};
    run(&world);
}

/* ---------------------------------------------------------------- whom not to trust */

static void refusing(struct core *core, const char *ca, const char *host, const char *problem)
{
    for (int is_12 = 0; is_12 < 2; is_12++) {
        struct dialed client;
        struct tls_client_options options = verifying(is_12);
        options.ca = ca != NULL ? slice_cstr(ca) : (struct slice){0};
        struct tls_client *tls = made_client(core, &options);
        int result = secure_at(core, &client, port_base(), tls, host, NULL);
        check_equal(result, problem != NULL ? -EPROTO : 0);
        if (problem != NULL) {
            struct tls_info info;
            require_problem(&client, problem);
            stream_tls_info(&client.stream, &info);
            check(!stream_is_secure(&client.stream) && !info.has_certificate);
            struct slice line;
            check_equal(stream_read_line(&client.stream, 100, &line), -EPROTO);
            dialed_close(&client);
        } else {
            dialed_quit(&client);
        }
        tls_client_free(tls);
    }
}

static void trust_body(struct core *core, struct world *world)
{
    (void)world;
    refusing(core, pem_chain_root, one, NULL);
    refusing(core, pem_chain_root, NULL, NULL);
    refusing(core, pem_chain_root, "two.example.org", "the certificate is for another name");
    refusing(core, pem_chain_root, "one.example.org.example",
             "the certificate is for another name");
    refusing(core, pem_chain_root, "example.org", "the certificate is for another name");
    refusing(core, pem_ca_certificate, one, "the certificate is of an unknown authority");
    refusing(core, NULL, one, NULL); /* who does not ask is not told */
    refusing(core, NULL, "two.example.org", NULL);
}

static void trust(void **state)
{
    (void)state;
    struct world world = {.body = trust_body};
    run(&world);
}

static void expired_body(struct core *core, struct world *world)
{
    (void)world;
    refusing(core, pem_chain_root, one, "the certificate has expired");
    refusing(core, NULL, one, NULL);
}

static void expired(void **state)
{
    (void)state;
    struct world world = {
        .body = expired_body, .certificates = {pem_chain_expired, pem_chain_middle}, .year = 2020};
    run(&world);
}

static void early_body(struct core *core, struct world *world)
{
    (void)world;
    refusing(core, pem_chain_root, one, "the certificate is not valid yet");
}

static void early(void **state)
{
    (void)state;
    struct world world = {
        .body = early_body, .certificates = {pem_chain_early, pem_chain_middle}, .year = 2098};
    run(&world);
}

/* The link between is not there. */
static void gap_body(struct core *core, struct world *world)
{
    (void)world;
    refusing(core, pem_chain_root, one, "the certificate is of an unknown authority");
    refusing(core, pem_chain_middle, one, NULL);
}

static void gap(void **state)
{
    (void)state;
    struct world world = {.body = gap_body, .certificates = {pem_chain_leaf, NULL}};
    run(&world);
}

/* ---------------------------------------------------------------- options */

static int made_result(struct core *core, const struct tls_client_options *options)
{
    struct making making = {.options = options};
    in_turn(core, make_client, &making);
    if (making.result == 0)
        tls_client_free(making.client);
    return making.result;
}

static void options_body(struct core *core, struct world *world)
{
    (void)world;
    struct tls_client_options options = {.ca = SLICE("no PEM")};
    check_equal(made_result(core, &options), -EINVAL);
    options = (struct tls_client_options){.pair = {"pair", SLICE("no PEM"), SLICE("no PEM")}};
    check_equal(made_result(core, &options), -EINVAL);
    options.pair.certificate = slice_cstr(pem_client_certificate);
    check_equal(made_result(core, &options), -EINVAL);
    options.pair.key = slice_cstr(pem_stranger_key); /* of another */
    check_equal(made_result(core, &options), -EINVAL);
    options.pair.key = slice_cstr(pem_client_key);
    check_equal(made_result(core, &options), 0);

    struct dialed client;
    options = verifying(false);
    options.alpn = "pop3"; /* which the server does not speak */
    struct tls_client *tls = made_client(core, &options);
    check_equal(secure_at(core, &client, port_base(), tls, one, NULL), -EPROTO);
    require_problem(&client, "alert from the peer");
    dialed_close(&client);
    char long_name[300];
    memset(long_name, 'a', sizeof long_name);
    long_name[sizeof long_name - 1] = '\0';
    check_equal(secure_at(core, &client, port_base(), tls, long_name, NULL), -EINVAL);
    check(!stream_has_tls(&client.stream));
    dialed_close(&client);
    tls_client_free(tls);
    options.alpn = NULL;
    options.profile = TLS_INTERMEDIATE;
    tls = made_client(core, &options);
    check_equal(secure_at(core, &client, port_base(), tls, one, NULL), 0);
    dialed_quit(&client);
    tls_client_free(tls);
}

static void options_test(void **state)
{
    (void)state;
    struct world world = {.body = options_body};
    run(&world);
}

/* A certificate of our own, where the server wants one. */
static void own_body(struct core *core, struct world *world)
{
    (void)world;
    for (int i = 0; i < 4; i++) {
        struct dialed client;
        struct slice line;
        bool is_12 = i & 1, has_one = i & 2;
        struct tls_client_options options = verifying(is_12);
        if (has_one)
            options.pair = (struct tls_pair){"pair", slice_cstr(pem_client_certificate),
                                             slice_cstr(pem_client_key)};
        struct tls_client *tls = made_client(core, &options);
        int result = secure_at(core, &client, port_base(), tls, one, NULL);
        if (has_one) {
            check_equal(result, 0);
            stream_write(&client.stream, SLICE("info\r\n"));
            check_equal(stream_read_line(&client.stream, 1000, &line), 0);
            check(memmem(line.data, line.size, "<anna@example.org>", 18) != NULL);
            dialed_quit(&client);
        } else { /* with TLS 1.3 the client is done before it hears; a reset may overtake */
            if (result == 0)
                result = stream_read_line(&client.stream, 1000, &line);
            else
                check(is_12);
            check(result == -EPROTO || result == -ECONNRESET || result == -EPIPE);
            if (result == -EPROTO)
                require_problem(&client, "alert from the peer");
            dialed_close(&client);
        }
        tls_client_free(tls);
    }
}

static void own(void **state)
{
    (void)state;
    struct world world = {.body = own_body, .client_required = true};
    run(&world);
}

/* ---------------------------------------------------------------- resuming */

static bool is_resumed(struct dialed *client)
{
    char text[1000];
    struct tls_info info;
    stream_write(&client->stream, SLICE("info\r\n"));
    dialed_line(client, text, sizeof text);
    stream_tls_info(&client->stream, &info);
    check_equal(strstr(text, " resumed ") != NULL, info.is_resumed);
    return info.is_resumed;
}

static void resume_body(struct core *core, struct world *world)
{
    (void)world;
    for (int is_12 = 0; is_12 < 2; is_12++) {
        struct dialed client;
        struct tls_session *session = NULL;
        struct tls_client_options options = verifying(is_12);
        struct tls_client *tls = made_client(core, &options);
        for (unsigned i = 0; i < 6; i++) {
            check_equal(secure_at(core, &client, port_base(), tls, one, session), 0);
            check_equal(is_resumed(&client), i > 0);
            struct tls_session *next = stream_tls_session(&client.stream);
            check(next != NULL);
            if (i % 2 == 0) { /* every other one is used twice */
                tls_session_free(session);
                session = next;
            } else {
                tls_session_free(next);
            }
            dialed_quit(&client);
        }
        tls_session_free(session);
        tls_session_free(NULL);
        check_equal(secure_at(core, &client, port_base(), tls, one, NULL), 0);
        check(!is_resumed(&client));
        dialed_quit(&client);
        tls_client_free(tls);
    }
}

static void resume(void **state)
{
    (void)state;
    if (harness_clock_jumps()) /* tickets end when it does */
        return;
    struct world world = {.body = resume_body};
    run(&world);
}

/* ---------------------------------------------------------------- odd servers */

static void closing(struct core *core, void *argument)
{
    (void)core;
    stream_close(argument);
}

struct closer {
    struct core *core;
    struct stream *stream;
};

static void closer_fiber(void *argument)
{
    struct closer *closer = argument;
    in_turn(closer->core, closing, closer->stream);
}

static void odd_body(struct core *core, struct world *world)
{
    struct dialed client;
    struct tls_client_options options = verifying(false);
    struct tls_client *tls = made_client(core, &options);
    unsigned port = port_base() + 2;
    world->odd.kind = ODD_PLAIN;
    check_equal(secure_at(core, &client, port, tls, one, NULL), -EPROTO);
    require_problem(&client, "not TLS");
    dialed_close(&client);
    world->odd.kind = ODD_NONSENSE;
    check_equal(secure_at(core, &client, port, tls, one, NULL), -EPROTO);
    check(stream_tls_problem(&client.stream) != NULL);
    dialed_close(&client);
    world->odd.kind = ODD_ALERT;
    check_equal(secure_at(core, &client, port, tls, one, NULL), -EPROTO);
    require_problem(&client, "alert from the peer");
    dialed_close(&client);
    world->odd.kind = ODD_CLOSES;
    int result = secure_at(core, &client, port, tls, one, NULL);
    check(result == -EPIPE || result == -ECONNRESET);
    check(stream_tls_session(&client.stream) == NULL);
    dialed_close(&client);

    world->odd.kind = ODD_SILENT;
    struct stream_target target = target_v4(port);
    check_equal(dial(core, &client, &target, 0), 0);
    stream_deadline(&client.stream, core_now_ns(core) + 50000000);
    check_equal(stream_secure_client(&client.stream, tls, one, NULL), -ETIMEDOUT);
    dialed_close(&client);
    check_equal(dial(core, &client, &target, 0), 0);
    struct closer closer = {core, &client.stream}; /* somebody else closes it */
    check_equal(fiber_start(core, closer_fiber, &closer), 0);
    check_equal(stream_secure_client(&client.stream, tls, one, NULL), -ECANCELED);
    dialed_close(&client);
    check_equal(dial(core, &client, &target, 0), 0);
    stream_interrupt(&client.stream, -ETIMEDOUT); /* it has ended before */
    check_equal(stream_secure_client(&client.stream, tls, one, NULL), -ETIMEDOUT);
    check(!stream_has_tls(&client.stream));
    dialed_close(&client);
    tls_client_free(tls);
}

static void odd(void **state)
{
    (void)state;
    struct world world = {.body = odd_body};
    run(&world);
}

/* The server is gone after each byte of what it says. */
static void breaks_body(struct core *core, struct world *world)
{
    world->odd.kind = ODD_BREAKS;
    world->odd.port = port_base();
    for (int is_12 = 0; is_12 < 2; is_12++) {
        unsigned broken = 0, whole = 0;
        struct tls_client_options options = verifying(is_12);
        struct tls_client *tls = made_client(core, &options);
        for (size_t bytes = 0; bytes < 1800; bytes += bytes < 8 ? 1 : 97) {
            struct dialed client;
            world->odd.bytes = bytes;
            int result = secure_at(core, &client, port_base() + 2, tls, one, NULL);
            check(result == 0 || result == -EPIPE || result == -ECONNRESET);
            check_equal(stream_is_secure(&client.stream), result == 0);
            broken += result != 0;
            whole += result == 0;
            dialed_close(&client);
        }
        check(broken > 10 && whole > 0);
        tls_client_free(tls);
    }
}

static void breaks(void **state)
{
    (void)state;
    struct world world = {.body = breaks_body};
    run(&world);
}

/* T01: a client that sends some of its hello and waits costs nothing meanwhile: a core that turns
 * without end is found by the simulator, and by its CPU time here. */
static void half_body(struct core *core, struct world *world)
{
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    struct stream_target target = target_v4(port_base());
    struct dialed client;
    struct timespec before, after;
    (void)world;
    for (size_t size = 1; size < sizeof hello; size += 4) {
        check_equal(dial(core, &client, &target, 0), 0);
        stream_write(&client.stream, slice_of(hello, size));
        stream_flush(&client.stream);
        fiber_sleep(core, SECOND_NS / 10);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
        fiber_sleep(core, 2 * SECOND_NS);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
        check((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 <
              500);
        dialed_close(&client);
    }
}

static void half(void **state)
{
    (void)state;
    struct world world = {.body = half_body};
    run(&world);
}

/* ---------------------------------------------------------------- many at once */

struct callers {
    struct core *core;
    struct tls_client *tls[2];
    unsigned running;
};

static void caller(void *argument)
{
    struct callers *callers = argument;
    struct dialed client;
    for (unsigned i = 0; i < 6; i++) {
        int result = secure_at(callers->core, &client, port_base(), callers->tls[i & 1], one, NULL);
        check_equal(result, 0);
        dialed_ask(&client, "hello\r\n", "hello");
        dialed_quit(&client);
    }
    callers->running--;
}

static void many_body(struct core *core, struct world *world)
{
    (void)world;
    enum { CALLERS = 40 };
    struct tls_client_options options[2] = {verifying(false), verifying(true)};
    struct callers callers = {
        core, {made_client(core, &options[0]), made_client(core, &options[1])}, CALLERS};
    for (unsigned i = 0; i < CALLERS; i++)
        check_equal(fiber_start(core, caller, &callers), 0);
    while (callers.running > 0)
        fiber_sleep(core, 10000000);
    tls_client_free(callers.tls[0]);
    tls_client_free(callers.tls[1]);
}

static void many(void **state)
{
    (void)state;
    struct world world = {.body = many_body, .cores = 2};
    run(&world);
}

static int tls_client_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),    cmocka_unit_test(later),        cmocka_unit_test(trust),
        cmocka_unit_test(expired), cmocka_unit_test(early),        cmocka_unit_test(gap),
        cmocka_unit_test(own),     cmocka_unit_test(options_test), cmocka_unit_test(resume),
        cmocka_unit_test(odd),     cmocka_unit_test(breaks),       cmocka_unit_test(half),
        cmocka_unit_test(many),
    };
    harness_library(tls_library_open, tls_library_close);
    return cmocka_run_group_tests_name("tls_client", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(tls_client_tests);
}
