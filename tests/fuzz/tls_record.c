/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * OpenSSL as the client of whole handshakes with the doubled stream, and the keys that it tells:
 * wolfSSL as it is built here tells none. A file of its own, for the headers of both claim the same
 * names.
 */
#include "tls_record.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

static unsigned char data_secret[48];

static int nibble(char digit)
{
    return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

static void keep_secret(const SSL *client, const char *line)
{
    static const char label[] = "CLIENT_TRAFFIC_SECRET_0 ";
    (void)client;
    if (strncmp(line, label, sizeof label - 1) != 0)
        return;
    const char *digits = line + sizeof label - 1 + 64 + 1;
    for (size_t i = 0; i < 32 && digits[2 * i] != '\0'; i++)
        data_secret[i] = (unsigned char)(nibble(digits[2 * i]) << 4 | nibble(digits[2 * i + 1]));
}

struct record_client {
    SSL_CTX *context;
    SSL *client;
};

struct record_client *record_begin(bool is_13)
{
    struct record_client *made = calloc(1, sizeof *made);
    int version = is_13 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (made == NULL || (made->context = SSL_CTX_new(TLS_client_method())) == NULL)
        abort();
    SSL_CTX_set_min_proto_version(made->context, version);
    SSL_CTX_set_max_proto_version(made->context, version);
    SSL_CTX_set_keylog_callback(made->context, keep_secret);
    if (SSL_CTX_set_ciphersuites(made->context, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set_cipher_list(made->context, "ECDHE-ECDSA-AES128-GCM-SHA256") != 1 ||
        (made->client = SSL_new(made->context)) == NULL)
        abort();
    SSL_set_tlsext_host_name(made->client, "a.example");
    SSL_set_bio(made->client, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(made->client);
    return made;
}

size_t record_step(struct record_client *made, const unsigned char *in, size_t size,
                   unsigned char *out, size_t capacity)
{
    if (size > 0 && BIO_write(SSL_get_rbio(made->client), in, (int)size) != (int)size)
        abort();
    SSL_do_handshake(made->client);
    int got = BIO_read(SSL_get_wbio(made->client), out, (int)capacity);
    return got > 0 ? (size_t)got : 0;
}

void record_end(struct record_client *made, unsigned char ret_secret[48],
                unsigned char ret_randoms[64])
{
    if (SSL_version(made->client) == TLS1_3_VERSION)
        memcpy(ret_secret, data_secret, 32);
    else if (SSL_SESSION_get_master_key(SSL_get_session(made->client), ret_secret, 48) != 48)
        abort();
    SSL_get_server_random(made->client, ret_randoms, 32);
    SSL_get_client_random(made->client, ret_randoms + 32, 32);
    SSL_free(made->client);
    SSL_CTX_free(made->context);
    free(made);
}
