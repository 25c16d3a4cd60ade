/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Clients whose certificates are not what one expects (T11), or who leave out what they must send
 * (T06), who send data early (T10), or come back with a ticket that has ended (T07). On doubles of
 * core and queue; the client is wolfSSL, or OpenSSL where wolfSSL's is too well behaved.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "tls_large.h"
#include "tls_memory.h"
#include "tls_openssl.h"
#include "tls_strange.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <wolfssl/wolfcrypt/kdf.h>
#pragma GCC diagnostic pop

static void with(bool is_required)
{
    double_begin(&(struct tls_options){.ticket_ms_max = 86400000,
                                       .client_ca = slice_cstr(pem_strange_ca),
                                       .client_required = is_required});
}

/* PEM texts one behind the other; the second so many times. */
static char *chain_of(const char *leaf, const char *above, unsigned count)
{
    char *chain = malloc(strlen(leaf) + count * strlen(above) + 1), *at = chain;
    assert_non_null(chain);
    at = stpcpy(at, leaf);
    for (unsigned i = 0; i < count; i++)
        at = stpcpy(at, above);
    return chain;
}

enum verdict { TAKEN, NAMELESS, REFUSED };

/* T11 */
static void certificates(void **state)
{
    (void)state;
    static const struct {
        const char *what, *leaf, *above, *key;
        unsigned count; /* of those above */
        enum verdict verdict;
    } rows[] = {
        {"fine", pem_fine, "", pem_strange_key, 0, TAKEN},
        {"with its authority", pem_fine, pem_strange_ca, pem_strange_key, 1, TAKEN},
        {"a NUL in the names", pem_nul_name, "", pem_strange_key, 0, NAMELESS},
        {"no names", pem_no_name, "", pem_strange_key, 0, NAMELESS},
        {"SHA-1", pem_sha1, "", pem_strange_key, 0, REFUSED},
        {"SHA-1 between", pem_below_weak, pem_weak_middle, pem_strange_key, 1, REFUSED},
        {"P-521", pem_p521, "", pem_p521_key, 0, TAKEN},
        {"another key", pem_fine, "", pem_p521_key, 0, REFUSED},
        {"a chain of 9", pem_fine, pem_strange_ca, pem_strange_key, 8, REFUSED},
        {"a chain of 100", pem_fine, pem_strange_ca, pem_strange_key, 99, REFUSED},
        {"1 MB", pem_fine, pem_strange_ca, pem_strange_key, 2000, REFUSED},
    };
    for (unsigned i = 0; i < 4 * sizeof rows / sizeof *rows; i++) {
        struct memory_client client;
        struct tls_info info;
        size_t row = i / 4;
        char *chain = chain_of(rows[row].leaf, rows[row].above, rows[row].count);
        with(i & 1);
        memory_begin(&client, &(struct memory_options){
                                  .is_12 = i & 2, .certificate = chain, .key = rows[row].key});
        stream_tls_info(client.stream, &info);
        bool is_named = slice_equal(info.email, SLICE("anna@example.org")) &&
                        slice_equal(info.common_name, SLICE("Anna Example"));
        bool is_nameless = info.email.size == 0 && info.common_name.size == 0;
        bool is_right = rows[row].verdict == REFUSED
                            ? !client.is_whole && !info.has_certificate &&
                                  client.stream->tls->state == TLS_FAILED
                            : client.is_whole && info.has_certificate &&
                                  (rows[row].verdict == TAKEN ? is_named : is_nameless);
        if (!is_right)
            fail_msg("%s (TLS 1.%d)", rows[row].what, i & 2 ? 2 : 3);
        memory_end(&client);
        double_end();
        free(chain);
    }
}

/* ---------------------------------------------------------------- OpenSSL's end */

static const struct tls_service service = {NULL, 1};

struct visit {
    struct openssl *openssl;
    struct stream *stream;
    size_t read;
};

static void visit_begin(struct visit *visit, const struct openssl_options *options)
{
    *visit = (struct visit){openssl_begin(options), double_open(0, &service), 0};
}

/* One flight each way. False: the client has nothing to say. */
static bool visit_step(struct visit *visit)
{
    uint8_t said[65536];
    size_t size = openssl_step(visit->openssl, double_sent.data + visit->read,
                               double_sent.size - visit->read, said, sizeof said);
    visit->read = double_sent.size;
    if (size > 0)
        tls_receive(visit->stream, (const char *)said, size);
    return size > 0;
}

static void visit_end(struct visit *visit)
{
    double_close(visit->stream);
    openssl_end(visit->openssl);
}

/* As far as it goes; whether it was a resumption, and its session. */
static bool whole(const struct openssl_options *options, void **ret_session)
{
    struct visit visit;
    struct tls_info info;
    visit_begin(&visit, options);
    while (visit_step(&visit))
        ;
    assert_true(stream_is_secure(visit.stream) && openssl_is_done(visit.openssl));
    stream_tls_info(visit.stream, &info);
    assert_int_equal(info.is_resumed, openssl_is_resumed(visit.openssl));
    if (ret_session != NULL)
        *ret_session = openssl_session(visit.openssl);
    visit_end(&visit);
    return info.is_resumed;
}

/* T07: who comes with a ticket that is no longer good is served all the same. */
static void ended_tickets(void **state)
{
    (void)state;
    static const int64_t hour_ns = 60 * INT64_C(60000000000);
    double_begin(&(struct tls_options){.ticket_ms_max = 86400000});
    for (int old = 0; old < 2; old++) {
        struct openssl_options options = {.is_13 = !old};
        int64_t before_ns = double_wall_ns;
        void *session, *other;
        assert_false(whole(&options, &session));
        options.session = session;
        assert_true(whole(&options, NULL));
        options.session = NULL;
        assert_false(whole(&options, &other));
        double_wall_ns += 25 * hour_ns;
        options.session = other;
        assert_false(whole(&options, NULL));
        openssl_session_free(session);
        openssl_session_free(other);
        double_wall_ns = before_ns;
    }
    double_end();
}

/* T10: data with the hello never reaches a reader. No ticket of ours allows it, so that it is only
 * sent by who does not keep to RFC 8446; that handshake fails. */
static void early_data(void **state)
{
    (void)state;
    double_begin(&(struct tls_options){.ticket_ms_max = 86400000});
    struct visit visit;
    void *session;
    struct openssl_options options = {.is_13 = true};
    assert_false(whole(&options, &session));
    options.session = session;
    options.early = "early\r\n";
    visit_begin(&visit, &options);
    while (visit_step(&visit))
        ;
    assert_int_equal(input_size(visit.stream), 0);
    assert_false(stream_is_secure(visit.stream) || openssl_is_done(visit.openssl));
    visit_end(&visit);
    openssl_session_free(session);
    double_end();
}

/* T11: wolfSSL cannot show an RSA key of 16384 bits, so it is OpenSSL that does. */
static void large_key(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct visit visit;
        struct tls_info info;
        with(i & 1);
        visit_begin(&visit, &(struct openssl_options){.is_13 = i & 2,
                                                      .certificate = pem_rsa_16384,
                                                      .key = pem_rsa_16384_key});
        for (int step = 0; step < 2 && visit_step(&visit); step++)
            ;
        stream_tls_info(visit.stream, &info);
        assert_false(stream_is_secure(visit.stream) || info.has_certificate);
        assert_int_equal(visit.stream->tls->state, TLS_FAILED);
        visit_end(&visit);
        double_end();
    }
}

/* ---------------------------------------------------------------- T06 */

static void expand(uint8_t *to, size_t size, const uint8_t *secret, const char *label)
{
    require(wc_Tls13_HKDF_Expand_Label(
                to, (word32)size, secret, 32, (const unsigned char *)"tls13 ", 6,
                (const unsigned char *)label, (word32)strlen(label), NULL, 0, WC_SHA256) == 0);
}

/* The client's Finished as if there were no Certificate before it, sealed as its first record of
 * the handshake (RFC 8446, 4.4.4 and 5.2). */
static size_t finished(struct openssl *openssl, uint8_t record[5 + 37 + 16])
{
    uint8_t secret[32], key[32], iv[12], hash[32], *plain = record + 5;
    size_t size;
    Hmac hmac;
    Aes aes;
    const uint8_t *messages = openssl_messages(openssl, secret, &size);
    require(wc_Sha256Hash(messages, (word32)size, hash) == 0);
    memcpy(record, (uint8_t[]){23, 3, 3, 0, 37 + 16}, 5);
    memcpy(plain, (uint8_t[]){20, 0, 0, 32}, 4);
    plain[36] = 22;
    expand(key, 32, secret, "finished");
    require(wc_HmacInit(&hmac, NULL, INVALID_DEVID) == 0 &&
            wc_HmacSetKey(&hmac, WC_SHA256, key, 32) == 0 && wc_HmacUpdate(&hmac, hash, 32) == 0 &&
            wc_HmacFinal(&hmac, plain + 4) == 0);
    wc_HmacFree(&hmac);
    expand(key, 16, secret, "key");
    expand(iv, 12, secret, "iv");
    require(wc_AesInit(&aes, NULL, INVALID_DEVID) == 0 && wc_AesGcmSetKey(&aes, key, 16) == 0 &&
            wc_AesGcmEncrypt(&aes, plain, plain, 37, iv, 12, plain + 37, 16, record, 5) == 0);
    wc_AesFree(&aes);
    return 5 + 37 + 16;
}

/* T06: Finished without Certificate. Where none is asked for it is right, which shows that it is
 * well made; where one is asked for, it is not. */
static void left_out(void **state)
{
    (void)state;
    for (int asked = 0; asked < 3; asked++) {
        struct visit visit;
        uint8_t record[5 + 37 + 16], dropped[16384];
        if (asked > 0)
            with(asked == 2);
        else
            double_begin(&(struct tls_options){.ticket_ms_max = 0});
        visit_begin(&visit, &(struct openssl_options){.is_13 = true});
        assert_true(visit_step(&visit));
        assert_true(openssl_step(visit.openssl, double_sent.data, double_sent.size, dropped,
                                 sizeof dropped) > 0);
        tls_receive(visit.stream, (char *)record, finished(visit.openssl, record));
        assert_int_equal(stream_is_secure(visit.stream), asked == 0);
        visit_end(&visit);
        double_end();
    }
}

/* T06, TLS 1.2: a message that is left out, or comes behind the next, is refused where it shows: by
 * the order, or by the signature, not only by Finished. */
static void order(void **state)
{
    (void)state;
    enum { CERTIFICATE = 11, CERTIFICATE_VERIFY = 15, KEY_EXCHANGE = 16 };
    static const struct {
        unsigned left_out, late;
    } rows[] = {{0, 0},           {CERTIFICATE, 0},  {CERTIFICATE_VERIFY, 0}, {KEY_EXCHANGE, 0},
                {0, CERTIFICATE}, {0, KEY_EXCHANGE}, {0, CERTIFICATE_VERIFY}};
    for (unsigned i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
        struct memory_client client;
        struct tls_info info;
        with(i & 1);
        memory_begin(&client, &(struct memory_options){.is_12 = true,
                                                       .left_out = rows[i / 2].left_out,
                                                       .late = rows[i / 2].late,
                                                       .certificate = pem_fine,
                                                       .key = pem_strange_key});
        stream_tls_info(client.stream, &info);
        const char *problem = stream_tls_problem(client.stream);
        assert_int_equal(client.is_whole, i < 2);
        assert_int_equal(info.has_certificate, i < 2);
        if (i >= 2)
            assert_true(problem != NULL && strcasestr(problem, "finished") == NULL);
        memory_end(&client);
        double_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates),  cmocka_unit_test(large_key),
        cmocka_unit_test(ended_tickets), cmocka_unit_test(early_data),
        cmocka_unit_test(left_out),      cmocka_unit_test(order),
    };
    wolfSSL_Init();
    return cmocka_run_group_tests_name("tls_peer", tests, NULL, NULL);
}
