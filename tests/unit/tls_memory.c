/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The client in memory.
 */
#include "tls_memory.h"

#include <stdlib.h>

static const struct tls_service usual = {NULL, 1};

static int give_bytes(WOLFSSL *library, char *to, int size, void *argument)
{
    (void)library;
    struct memory_client *client = argument;
    size_t left = double_sent.size - client->read, part = (size_t)size < left ? (size_t)size : left;
    if (part == 0)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    memcpy(to, double_sent.data + client->read, part);
    client->read += part;
    return (int)part;
}

static int take_bytes(WOLFSSL *library, char *from, int size, void *argument)
{
    (void)library;
    struct memory_client *client = argument;
    unsigned message = from[0] == 22 && size > TLS_HEADER_BYTES ? (unsigned char)from[5] : 0;
    if (message != 0 && message == client->left_out)
        return size;
    if (message != 0 && message == client->late) {
        require((size_t)size <= sizeof client->held);
        memcpy(client->held, from, (size_t)size);
        client->held_size = (size_t)size;
        return size;
    }
    tls_receive(client->stream, from, (size_t)size);
    if (client->held_size > 0)
        tls_receive(client->stream, (char *)client->held, client->held_size);
    client->held_size = 0;
    return size;
}

/* Takes any certificate. */
static int verify(int is_good, WOLFSSL_X509_STORE_CTX *chain)
{
    (void)is_good;
    (void)chain;
    return 1;
}

static void client_make(struct memory_client *client, const struct memory_options *options)
{
    client->context =
        wolfSSL_CTX_new(options->is_12 ? wolfTLSv1_2_client_method() : wolfTLSv1_3_client_method());
    require(client->context != NULL);
    wolfSSL_CTX_set_verify(client->context, WOLFSSL_VERIFY_PEER, verify);
    wolfSSL_CTX_UseSessionTicket(client->context);
    if (options->certificate != NULL) {
        require(wolfSSL_CTX_use_certificate_chain_buffer(
                    client->context, (const unsigned char *)options->certificate,
                    (long)strlen(options->certificate)) == WOLFSSL_SUCCESS);
        require(wolfSSL_CTX_use_PrivateKey_buffer(
                    client->context, (const unsigned char *)options->key,
                    (long)strlen(options->key), WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS);
    }
    client->library = wolfSSL_new(client->context);
    require(client->library != NULL);
    wolfSSL_SSLSetIORecv(client->library, give_bytes);
    wolfSSL_SSLSetIOSend(client->library, take_bytes);
    wolfSSL_SetIOReadCtx(client->library, client);
    wolfSSL_SetIOWriteCtx(client->library, client);
    if (options->session != NULL)
        require(wolfSSL_set_session(client->library, options->session) == WOLFSSL_SUCCESS);
    if (options->ticket != NULL)
        require(wolfSSL_set_SessionTicket(client->library, options->ticket,
                                          (word32)options->ticket_size) == WOLFSSL_SUCCESS);
}

void memory_begin(struct memory_client *client, const struct memory_options *options)
{
    char one = 'b';
    *client = (struct memory_client){.left_out = options->left_out, .late = options->late};
    client->stream = double_open(options->core, options->service ? options->service : &usual);
    client_make(client, options);
    int result = wolfSSL_connect(client->library);
    if (double_sent.size >= 43 && double_sent.data[0] == 22)
        memcpy(client->random, double_sent.data + 11, sizeof client->random);
    if (result != WOLFSSL_SUCCESS || !stream_is_secure(client->stream))
        return;
    require(wolfSSL_write(client->library, &one, 1) == 1);
    bool is_there = input_size(client->stream) == 1;
    require(tls_seal_bytes(client->stream, SLICE("a")) == 0);
    client->is_whole = is_there && wolfSSL_read(client->library, &one, 1) == 1 && one == 'a';
}

bool memory_is_resumed(const struct memory_client *client)
{
    struct tls_info info;
    stream_tls_info(client->stream, &info);
    return info.is_resumed;
}

void memory_end(struct memory_client *client)
{
    double_close(client->stream);
    wolfSSL_free(client->library);
    wolfSSL_CTX_free(client->context);
}
