/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Servers known by what their certificate is (pins), or by their address.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/net/tls_private.h"
#include "tls_address.h"
#include "tls_chain.h"
#include "tls_client_host.h"
#include "tls_pem.h"

static const char other_address[] = "the certificate is for another address";
static const char not_pinned[] = "the certificate is not one of those pinned";

/* Connects with these options; problem NULL: it must succeed. */
static void attempt(struct core *core, struct tls_client_options options, const char *host,
                    const char *problem)
{
    for (int is_12 = 0; is_12 < 2; is_12++) {
        struct dialed client;
        options.tls_12_only = is_12;
        struct tls_client *tls = made_client(core, &options);
        check_equal(secure_at(core, &client, port_base(), tls, host, NULL), problem ? -EPROTO : 0);
        check_equal(stream_is_secure(&client.stream), problem == NULL);
        if (problem != NULL) {
            require_problem(&client, problem);
            dialed_close(&client);
        } else {
            dialed_ask(&client, "hello\r\n", "hello");
            dialed_quit(&client);
        }
        tls_client_free(tls);
    }
}

static struct tls_client_options by(const char *ca)
{
    return (struct tls_client_options){.ca = ca ? slice_cstr(ca) : (struct slice){0}};
}

/* ---------------------------------------------------------------- addresses */

static void address_body(struct core *core, struct world *world)
{
    (void)world;
    attempt(core, by(pem_address_root), one, NULL);
    attempt(core, by(pem_address_root), "127.0.0.1", NULL);
    attempt(core, by(pem_address_root), "2001:db8::25", NULL);
    attempt(core, by(pem_address_root), "2001:DB8:0::25", NULL);
    attempt(core, by(pem_address_root), "127.0.0.2", other_address);
    attempt(core, by(pem_address_root), "::1", other_address);
    attempt(core, by(pem_address_root), "::ffff:127.0.0.1", other_address);
    attempt(core, by(pem_chain_root), "127.0.0.1", "the certificate is of an unknown authority");
    attempt(core, by(NULL), "127.0.0.2", NULL);
}

static void address(void **state)
{
    (void)state;
    struct world world = {.body = address_body, .certificates = {pem_address_leaf, NULL}};
    run(&world);
}

/* Names only: an address is not among them, and is not sent as one. */
static void name_body(struct core *core, struct world *world)
{
    (void)world;
    struct dialed client;
    struct tls_info info;
    attempt(core, by(pem_chain_root), "127.0.0.1", other_address);
    struct tls_client_options options = by(NULL);
    struct tls_client *tls = made_client(core, &options);
    check_equal(secure_at(core, &client, port_base(), tls, "127.0.0.1", NULL), 0);
    stream_tls_info(&client.stream, &info);
    check_equal(info.server_name.size, 0);
    dialed_quit(&client);
    tls_client_free(tls);
}

static void name(void **state)
{
    (void)state;
    struct world world = {.body = name_body};
    run(&world);
}

/* Cut anywhere, or with any byte altered: no read past the end (ASan), and no other address. */
static void parsed(void **state)
{
    (void)state;
    static const uint8_t here[4] = {127, 0, 0, 1}, there[4] = {127, 0, 0, 2};
    DerBuffer *der = NULL;
    check_equal(wc_PemToDer((const unsigned char *)pem_address_leaf, sizeof pem_address_leaf - 1,
                            CERT_TYPE, &der, NULL, NULL, NULL),
                0);
    check(tls_address_is_in(slice_of(der->buffer, der->length), here, 4));
    check(!tls_address_is_in(slice_of(der->buffer, der->length), there, 4));
    unsigned found = 0;
    for (unsigned size = 0; size < der->length; size++) {
        char *cut = malloc(size + 1);
        check(cut != NULL);
        memcpy(cut, der->buffer, size);
        check(!tls_address_is_in(slice_of(cut, size), here, 4));
        free(cut);
    }
    for (unsigned at = 0; at < der->length; at++)
        for (unsigned bit = 1; bit < 256; bit <<= 1) {
            char *copy = malloc(der->length);
            check(copy != NULL);
            memcpy(copy, der->buffer, der->length);
            copy[at] = (char)(copy[at] ^ (char)bit);
            found += tls_address_is_in(slice_of(copy, der->length), here, 4);
            free(copy);
        }
    check(found > 1000); /* keys and signatures are not looked at here */
    wc_FreeDer(&der);
}

/* ---------------------------------------------------------------- pins */

static void fingerprint(const char *pem, uint8_t ret_pin[TLS_PIN_BYTES])
{
    DerBuffer *der = NULL;
    check_equal(wc_PemToDer((const unsigned char *)pem, (long)strlen(pem), CERT_TYPE, &der, NULL,
                            NULL, NULL),
                0);
    check_equal(wc_Sha256Hash(der->buffer, der->length, ret_pin), 0);
    wc_FreeDer(&der);
}

static struct tls_client_options pinned(const char *ca, uint8_t (*pins)[TLS_PIN_BYTES],
                                        unsigned count)
{
    struct tls_client_options options = by(ca);
    options.pins = (const uint8_t(*)[TLS_PIN_BYTES])pins;
    options.pin_count = count;
    return options;
}

static void pin_body(struct core *core, struct world *world)
{
    static uint8_t pins[TLS_PINS_MAX + 1][TLS_PIN_BYTES];
    bool is_expired = world->year == 2020;
    fingerprint(world->certificates[0], pins[1]);
    attempt(core, pinned(NULL, pins, 2), one, NULL); /* whoever signed it, and until when */
    attempt(core, pinned(NULL, pins, 2), "another.example", NULL);
    attempt(core, pinned(NULL, pins, 2), NULL, NULL);
    attempt(core, pinned(NULL, pins, 1), one, not_pinned);
    attempt(core, pinned(NULL, pins + 2, TLS_PINS_MAX - 1), one, not_pinned);
    const char *expired = "the certificate has expired";
    attempt(core, pinned(pem_chain_root, pins, 2), one, is_expired ? expired : NULL);
    attempt(core, pinned(pem_chain_root, pins, 1), one, is_expired ? expired : not_pinned);
    attempt(core, pinned(pem_ca_certificate, pins, 2), one,
            "the certificate is of an unknown authority");
    struct tls_client_options options = pinned(NULL, pins, TLS_PINS_MAX + 1);
    struct making making = {.options = &options};
    in_turn(core, make_client, &making);
    check_equal(making.result, -EINVAL);
}

static void pin(void **state)
{
    (void)state;
    struct world world = {.body = pin_body};
    run(&world);
}

static void resumed_body(struct core *core, struct world *world)
{
    static uint8_t pins[1][TLS_PIN_BYTES];
    fingerprint(world->certificates[0], pins[0]);
    for (int is_12 = 0; is_12 < 2; is_12++) {
        struct dialed client;
        struct tls_info info;
        struct tls_session *session = NULL;
        struct tls_client_options options = pinned(NULL, pins, 1);
        options.tls_12_only = is_12;
        struct tls_client *tls = made_client(core, &options);
        for (unsigned i = 0; i < 3; i++) {
            check_equal(secure_at(core, &client, port_base(), tls, one, session), 0);
            dialed_ask(&client, "hello\r\n", "hello");
            stream_tls_info(&client.stream, &info);
            check_equal(info.is_resumed, i > 0);
            tls_session_free(session);
            session = stream_tls_session(&client.stream);
            dialed_quit(&client);
        }
        tls_session_free(session);
        tls_client_free(tls);
    }
}

static void resumed(void **state)
{
    (void)state;
    if (harness_clock_jumps()) /* tickets end when it does */
        return;
    struct world world = {.body = resumed_body};
    run(&world);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {cmocka_unit_test(parsed), cmocka_unit_test(address),
                                      cmocka_unit_test(name), cmocka_unit_test(pin),
                                      cmocka_unit_test(resumed)};
    return cmocka_run_group_tests_name("tls_pin", list, NULL, NULL);
}

int main(void)
{
    wolfSSL_Init();
    harness_library(tls_library_open, tls_library_close);
    return harness_main(tests);
}
