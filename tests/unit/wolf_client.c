/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The TLS client of tests: wolfSSL, whose randomness comes from where the server's does.
 */
#include "wolf_client.h"

enum { DEVICE = 0x52504b47 }; /* tls_private.h */

static int give_bytes(WOLFSSL *library, char *to, int size, void *argument)
{
    (void)library;
    struct wolf_client *client = argument;
    size_t got = client_get_some(client->fd, to, (size_t)size);
    for (size_t i = 0; i < got; i++)
        client->hash = (client->hash ^ (unsigned char)to[i]) * UINT64_C(0x100000001b3);
    return got == 0 ? WOLFSSL_CBIO_ERR_CONN_CLOSE : (int)got;
}

static int take_bytes(WOLFSSL *library, char *from, int size, void *argument)
{
    (void)library;
    struct wolf_client *client = argument;
    if (client->flip > client->sent && client->flip <= client->sent + (size_t)size)
        from[client->flip - client->sent - 1] ^= (char)(1 << client->flip % 8);
    if (client->cut > 0 && client->cut <= client->sent + (size_t)size) {
        client_try_put(client->fd, from, client->cut - client->sent);
        client_half_close(client->fd);
        return WOLFSSL_CBIO_ERR_CONN_CLOSE;
    }
    client->sent += (size_t)size;
    size_t piece = client->piece ? client->piece : (size_t)size;
    for (size_t at = 0; at < (size_t)size; at += piece) {
        size_t left = (size_t)size - at;
        if (!client_try_put(client->fd, from + at, left < piece ? left : piece))
            return WOLFSSL_CBIO_ERR_CONN_CLOSE;
        if (left > piece)
            harness_nap(100);
    }
    return size;
}

/* Takes any certificate. */
static int verify(int is_good, WOLFSSL_X509_STORE_CTX *chain)
{
    (void)is_good;
    struct wolf_client *client = chain->userCtx;
    check(chain->totalCerts > 0 && chain->certs[0].length <= sizeof client->leaf);
    client->leaf_size = chain->certs[0].length;
    memcpy(client->leaf, chain->certs[0].buffer, client->leaf_size);
    return 1;
}

void wolf_client_begin(struct wolf_client *client, int fd,
                       const struct wolf_client_options *options)
{
    *client = (struct wolf_client){
        .fd = fd, .piece = options->piece, .cut = options->cut, .flip = options->flip};
    client->context =
        wolfSSL_CTX_new(options->is_12 ? wolfTLSv1_2_client_method() : wolfSSLv23_client_method());
    check(client->context != NULL);
    check_equal(wolfSSL_CTX_SetDevId(client->context, DEVICE), WOLFSSL_SUCCESS);
    wolfSSL_CTX_set_verify(client->context, WOLFSSL_VERIFY_PEER, verify);
    wolfSSL_CTX_UseSessionTicket(client->context);
    if (options->certificate != NULL) {
        check_equal(wolfSSL_CTX_use_certificate_chain_buffer(
                        client->context, (const unsigned char *)options->certificate,
                        (long)strlen(options->certificate)),
                    WOLFSSL_SUCCESS);
        check_equal(
            wolfSSL_CTX_use_PrivateKey_buffer(client->context, (const unsigned char *)options->key,
                                              (long)strlen(options->key), WOLFSSL_FILETYPE_PEM),
            WOLFSSL_SUCCESS);
    }
    if (options->suites != NULL)
        check_equal(wolfSSL_CTX_set_cipher_list(client->context, options->suites), WOLFSSL_SUCCESS);
    client->library = wolfSSL_new(client->context);
    check(client->library != NULL);
    wolfSSL_SSLSetIORecv(client->library, give_bytes);
    wolfSSL_SSLSetIOSend(client->library, take_bytes);
    wolfSSL_SetIOReadCtx(client->library, client);
    wolfSSL_SetIOWriteCtx(client->library, client);
    wolfSSL_SetCertCbCtx(client->library, client);
    wolfSSL_KeepArrays(client->library);
    if (options->server_name != NULL)
        wolfSSL_UseSNI(client->library, WOLFSSL_SNI_HOST_NAME, options->server_name,
                       (unsigned short)strlen(options->server_name));
    if (options->alpn != NULL)
        wolfSSL_UseALPN(client->library, (char *)(uintptr_t)options->alpn,
                        (unsigned)strlen(options->alpn), WOLFSSL_ALPN_CONTINUE_ON_MISMATCH);
    if (options->session != NULL) /* refused when the server gave no ticket */
        wolfSSL_set_session(client->library, options->session);
    int result = wolfSSL_connect(client->library);
    if (result != WOLFSSL_SUCCESS)
        client->error = wolfSSL_get_error(client->library, result);
}

void wolf_client_put(struct wolf_client *client, const void *data, size_t size)
{
    check_equal(wolfSSL_write(client->library, data, (int)size), size);
}

void wolf_client_get(struct wolf_client *client, void *data, size_t size)
{
    for (size_t got = 0; got < size;) {
        int part = wolfSSL_read(client->library, (char *)data + got, (int)(size - got));
        if (part <= 0)
            fprintf(stderr, "wolf_client: error %d\n", wolfSSL_get_error(client->library, part));
        check(part > 0);
        got += (size_t)part;
    }
}

void wolf_client_say(struct wolf_client *client, const char *text)
{
    wolf_client_put(client, text, strlen(text));
}

void wolf_client_expect(struct wolf_client *client, const char *text)
{
    char got[3000];
    check(strlen(text) < sizeof got);
    wolf_client_get(client, got, strlen(text));
    got[strlen(text)] = '\0';
    if (strcmp(got, text) != 0)
        fprintf(stderr, "got: %s\nwant: %s\n", got, text);
    check(strcmp(got, text) == 0);
}

void wolf_client_line(struct wolf_client *client, char *text, size_t capacity)
{
    size_t at = 0;
    do {
        check(at + 1 < capacity);
        wolf_client_get(client, text + at, 1);
    } while (text[at++] != '\n');
    check(at >= 2);
    text[at - 2] = '\0';
}

int wolf_client_end(struct wolf_client *client)
{
    char one;
    int result;
    do { /* a ticket, a key update */
        result = wolfSSL_read(client->library, &one, 1);
        check(result <= 0);
        result = wolfSSL_get_error(client->library, result);
    } while (result == WOLFSSL_ERROR_WANT_READ);
    return result == WOLFSSL_ERROR_ZERO_RETURN ? 0 : result;
}

void wolf_client_free(struct wolf_client *client)
{
    wolfSSL_free(client->library);
    wolfSSL_CTX_free(client->context);
}
