/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * OpenSSL's end of handshakes in memory.
 */
#include "tls_openssl.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

enum { MESSAGES_BYTES_MAX = 16384 };

struct openssl {
    SSL_CTX *context;
    SSL *client;
    const char *early;
    uint8_t data_secret[32], handshake_secret[32];
    uint8_t messages[MESSAGES_BYTES_MAX];
    size_t messages_size;
    bool is_server_finished;
};

static void need(bool condition)
{
    if (!condition)
        abort();
}

static int nibble(char digit)
{
    return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

/* "LABEL random secret", both in hexadecimal. */
static void keep_secret(const char *line, const char *label, uint8_t secret[32])
{
    size_t size = strlen(label);
    if (strncmp(line, label, size) != 0 || line[size] != ' ')
        return;
    const char *digits = line + size + 1 + 64 + 1;
    for (size_t i = 0; i < 32 && digits[2 * i] != '\0'; i++)
        secret[i] = (uint8_t)(nibble(digits[2 * i]) << 4 | nibble(digits[2 * i + 1]));
}

static void told_secret(const SSL *client, const char *line)
{
    struct openssl *openssl = SSL_get_app_data(client);
    keep_secret(line, "CLIENT_TRAFFIC_SECRET_0", openssl->data_secret);
    keep_secret(line, "CLIENT_HANDSHAKE_TRAFFIC_SECRET", openssl->handshake_secret);
}

static void told_message(int is_ours, int version, int type, const void *data, size_t size,
                         SSL *client, void *argument)
{
    struct openssl *openssl = argument;
    (void)version;
    (void)client;
    if (type != SSL3_RT_HANDSHAKE || openssl->is_server_finished)
        return;
    need(size >= 4 && size <= sizeof openssl->messages - openssl->messages_size);
    memcpy(openssl->messages + openssl->messages_size, data, size);
    openssl->messages_size += size;
    openssl->is_server_finished = !is_ours && *(const uint8_t *)data == SSL3_MT_FINISHED;
}

static void certificate_use(SSL_CTX *context, const struct openssl_options *options)
{
    BIO *certificate = BIO_new_mem_buf(options->certificate, -1);
    BIO *key = BIO_new_mem_buf(options->key, -1);
    X509 *leaf = PEM_read_bio_X509(certificate, NULL, NULL, NULL);
    EVP_PKEY *secret = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    need(leaf != NULL && secret != NULL);
    need(SSL_CTX_use_certificate(context, leaf) == 1);
    need(SSL_CTX_use_PrivateKey(context, secret) == 1);
    X509_free(leaf);
    EVP_PKEY_free(secret);
    BIO_free(certificate);
    BIO_free(key);
}

struct openssl *openssl_begin(const struct openssl_options *options)
{
    struct openssl *openssl = calloc(1, sizeof *openssl);
    int version = options->is_13 ? TLS1_3_VERSION : TLS1_2_VERSION;
    need(openssl != NULL && (openssl->context = SSL_CTX_new(TLS_client_method())) != NULL);
    SSL_CTX_set_min_proto_version(openssl->context, version);
    SSL_CTX_set_max_proto_version(openssl->context, version);
    SSL_CTX_set_keylog_callback(openssl->context, told_secret);
    need(SSL_CTX_set_ciphersuites(openssl->context, "TLS_AES_128_GCM_SHA256") == 1);
    need(SSL_CTX_set_cipher_list(openssl->context, "ECDHE-ECDSA-AES128-GCM-SHA256") == 1);
    if (options->certificate != NULL)
        certificate_use(openssl->context, options);
    need((openssl->client = SSL_new(openssl->context)) != NULL);
    openssl->early = options->early;
    SSL_set_app_data(openssl->client, openssl);
    SSL_set_msg_callback(openssl->client, told_message);
    SSL_set_msg_callback_arg(openssl->client, openssl);
    SSL_set_tlsext_host_name(openssl->client, "a.example");
    SSL_set_bio(openssl->client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(openssl->client);
    if (options->session != NULL)
        need(SSL_set_session(openssl->client, options->session) == 1);
    return openssl;
}

size_t openssl_step(struct openssl *openssl, const uint8_t *in, size_t size, uint8_t *out,
                    size_t capacity)
{
    char byte;
    if (size > 0)
        need(BIO_write(SSL_get_rbio(openssl->client), in, (int)size) == (int)size);
    if (openssl->early != NULL) {
        size_t written;
        need(SSL_write_early_data(openssl->client, openssl->early, strlen(openssl->early),
                                  &written) == 1);
        openssl->early = NULL;
    } else if (SSL_do_handshake(openssl->client) == 1) {
        SSL_read(openssl->client, &byte, 1); /* tickets */
    }
    int got = BIO_read(SSL_get_wbio(openssl->client), out, (int)capacity);
    return got > 0 ? (size_t)got : 0;
}

bool openssl_is_done(struct openssl *openssl)
{
    return SSL_is_init_finished(openssl->client);
}

bool openssl_is_resumed(struct openssl *openssl)
{
    return SSL_session_reused(openssl->client) == 1;
}

void *openssl_session(struct openssl *openssl)
{
    SSL_SESSION *session = SSL_get1_session(openssl->client);
    need(session != NULL && SSL_SESSION_is_resumable(session));
    SSL_SESSION_set_max_early_data(session, 16384);
    return session;
}

void openssl_session_free(void *session)
{
    SSL_SESSION_free(session);
}

void openssl_secrets(struct openssl *openssl, uint8_t ret_secret[48], uint8_t ret_randoms[64])
{
    SSL *client = openssl->client;
    if (SSL_version(client) == TLS1_3_VERSION)
        memcpy(ret_secret, openssl->data_secret, sizeof openssl->data_secret);
    else
        need(SSL_SESSION_get_master_key(SSL_get_session(client), ret_secret, 48) == 48);
    SSL_get_server_random(client, ret_randoms, 32);
    SSL_get_client_random(client, ret_randoms + 32, 32);
}

const uint8_t *openssl_messages(struct openssl *openssl, uint8_t ret_secret[32], size_t *ret_size)
{
    memcpy(ret_secret, openssl->handshake_secret, sizeof openssl->handshake_secret);
    *ret_size = openssl->messages_size;
    return openssl->messages;
}

void openssl_end(struct openssl *openssl)
{
    SSL_set_shutdown(openssl->client, SSL_SENT_SHUTDOWN); /* or its session is spoilt */
    SSL_free(openssl->client);
    SSL_CTX_free(openssl->context);
    free(openssl);
}
