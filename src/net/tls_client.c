/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TLS as the client. A connection differs from a server's in how its handshake begins and who is
 * told of its end; all else is tls.c.
 *
 *   stream_secure_client: fiber waits ─▶ end of the turn: begin(), the hello is sent ─▶ tls.c goes
 * on with what comes ─▶ secure, or the stream's end ─▶ fiber runs on
 *
 * wolfSSL runs in the core's turn only: a fiber's stack is too small for it.
 *
 * A session is wolfSSL's own object, counted by it and by the connections that use it: wolfSSL
 * writes what is new into the very object that it resumed from, so two handshakes must not begin
 * from the same one at once.
 *
 * Invariants: T1-T5 of tls.h and tls.c, and
 *   T6 `greeting` is set only while its fiber is inside stream_secure_client.
 */
#include "tls_private.h"

#include <stdlib.h>

struct tls_client {
    struct core *core;
    WOLFSSL_CTX *library;
    unsigned uses; /* by its owner, and by handshakes that have not begun */
    bool verifies;
    uint8_t pins[TLS_PINS_MAX][TLS_PIN_BYTES];
    unsigned pin_count;
    char alpn[]; /* empty: none */
};

struct tls_greeting {
    struct tls_client *client;
    const char *host;
    struct tls_session *resume;
    uint8_t address[16];   /* that `host` is */
    unsigned address_size; /* 0: it is a name */
};

/* ---------------------------------------------------------------- what a client is */

static int authorities_take(WOLFSSL_CTX *library, struct slice ca, bool is_pinned)
{
    wolfSSL_CTX_set_verify(library, is_pinned ? WOLFSSL_VERIFY_PEER : WOLFSSL_VERIFY_NONE,
                           is_pinned ? tls_peer_verify_pinned : NULL);
    if (ca.size == 0)
        return WOLFSSL_SUCCESS;
    wolfSSL_CTX_set_verify(library, WOLFSSL_VERIFY_PEER, tls_peer_verify);
    wolfSSL_CTX_set_verify_depth(library, TLS_CHAIN_MAX);
    return wolfSSL_CTX_load_verify_buffer(library, (const unsigned char *)ca.data, (long)ca.size,
                                          WOLFSSL_FILETYPE_PEM);
}

static int pair_take(WOLFSSL_CTX *library, const struct tls_pair *pair)
{
    if (pair->certificate.size == 0)
        return WOLFSSL_SUCCESS;
    int result = wolfSSL_CTX_use_certificate_chain_buffer(
        library, (const unsigned char *)pair->certificate.data, (long)pair->certificate.size);
    if (result == WOLFSSL_SUCCESS)
        result = wolfSSL_CTX_use_PrivateKey_buffer(library, (const unsigned char *)pair->key.data,
                                                   (long)pair->key.size, WOLFSSL_FILETYPE_PEM);
    if (result == WOLFSSL_SUCCESS)
        result = wolfSSL_CTX_check_private_key(library);
    return result;
}

static int library_fill(WOLFSSL_CTX *library, const struct tls_client_options *options)
{
    int result = tls_library_common(library, options->profile, options->tls_12_only);
    if (result == WOLFSSL_SUCCESS)
        result = wolfSSL_CTX_UseSessionTicket(library);
    if (result == WOLFSSL_SUCCESS)
        result = authorities_take(library, options->ca, options->pin_count > 0);
    if (result == WOLFSSL_SUCCESS)
        result = pair_take(library, &options->pair);
    return result;
}

int tls_client_make(struct core *core, const struct tls_client_options *options,
                    struct tls_client **ret_client)
{
    size_t alpn_size = options->alpn != NULL ? strlen(options->alpn) : 0;
    if (options->ca.size > INT32_MAX || options->pair.certificate.size > INT32_MAX ||
        options->pair.key.size > INT32_MAX || alpn_size > UINT8_MAX ||
        options->pin_count > TLS_PINS_MAX)
        return -EINVAL;
    struct tls_client *client = calloc(1, sizeof *client + alpn_size + 1);
    if (client == NULL)
        return -ENOMEM;
    client->core = core;
    client->uses = 1;
    client->verifies = options->ca.size > 0;
    client->pin_count = options->pin_count;
    for (unsigned i = 0; i < options->pin_count; i++)
        memcpy(client->pins[i], options->pins[i], TLS_PIN_BYTES);
    if (alpn_size > 0)
        memcpy(client->alpn, options->alpn, alpn_size);
    client->library = wolfSSL_CTX_new(options->tls_12_only ? wolfTLSv1_2_client_method()
                                                           : wolfSSLv23_client_method());
    int result = client->library == NULL ? MEMORY_E : library_fill(client->library, options);
    if (result != WOLFSSL_SUCCESS) {
        tls_client_free(client);
        return result == MEMORY_E ? -ENOMEM : -EINVAL;
    }
    *ret_client = client;
    return 0;
}

void tls_client_free(struct tls_client *client)
{
    if (client == NULL || --client->uses > 0)
        return;
    wolfSSL_CTX_free(client->library);
    free(client);
}

/* ---------------------------------------------------------------- a connection */

/* Of the leaf, while it is verified. */
static bool judge(struct stream *stream, struct slice certificate)
{
    struct stream_tls *tls = stream->tls;
    const struct tls_greeting *greeting = tls->greeting;
    if (greeting == NULL) /* its fiber has left: nobody wants this any more */
        return false;
    const struct tls_client *client = greeting->client;
    bool is_pinned = client->pin_count == 0;
    for (unsigned i = 0; i < client->pin_count && !is_pinned; i++)
        is_pinned = memcmp(client->pins[i], tls->certificate->fingerprint, TLS_PIN_BYTES) == 0;
    if (!is_pinned)
        tls->refusal = "the certificate is not one of those pinned";
    else if (client->verifies && greeting->address_size > 0 &&
             !tls_address_is_in(certificate, greeting->address, greeting->address_size))
        tls->refusal = "the certificate is for another address";
    return tls->refusal == NULL;
}

static bool library_begin(struct stream *stream, const struct tls_greeting *greeting)
{
    struct stream_tls *tls = stream->tls;
    const struct tls_client *client = greeting->client;
    if (!tls_library_attach(stream, client->library))
        return false;
    if (client->pin_count > 0 || (client->verifies && greeting->address_size > 0))
        tls->judge = judge;
    if (greeting->host != NULL && greeting->address_size == 0) {
        struct slice name = slice_cstr(greeting->host);
        if (!tls_name_keep(tls, name) ||
            wolfSSL_UseSNI(tls->library, WOLFSSL_SNI_HOST_NAME, name.data, (uint16_t)name.size) !=
                WOLFSSL_SUCCESS ||
            (client->verifies &&
             wolfSSL_check_domain_name(tls->library, greeting->host) != WOLFSSL_SUCCESS))
            return false;
    }
    size_t alpn_size = strlen(client->alpn);
    if (alpn_size > 0 &&
        wolfSSL_UseALPN(tls->library, (char *)(uintptr_t)client->alpn, (unsigned)alpn_size,
                        WOLFSSL_ALPN_CONTINUE_ON_MISMATCH) != WOLFSSL_SUCCESS)
        return false;
    if (greeting->resume != NULL) /* refused when it is too old: then the handshake is full */
        wolfSSL_set_session(tls->library, (WOLFSSL_SESSION *)greeting->resume);
    return true;
}

/* At the end of the turn. */
static void begin(struct stream *stream)
{
    struct stream_tls *tls = stream->tls;
    tls->begin = NULL;
    if (!library_begin(stream, tls->greeting)) {
        tls_fail(stream, -ENOMEM, "out of memory");
        return;
    }
    tls->state = TLS_HANDSHAKE;
    tls_handshake(stream);
}

int stream_secure_client(struct stream *stream, struct tls_client *client, const char *host,
                         struct tls_session *resume)
{
    assert(client->core == stream->core && "a client is of one core");
    if (host != NULL && (host[0] == '\0' || strlen(host) > TLS_NAME_BYTES_MAX))
        return -EINVAL;
    struct tls_greeting greeting = {.client = client, .host = host, .resume = resume};
    if (host != NULL)
        greeting.address_size = tls_address_parse(host, greeting.address);
    int result = tls_attach(stream, 0);
    if (result < 0)
        return result;
    struct stream_tls *tls = stream->tls;
    tls->is_client = true;
    tls->greeting = &greeting;
    tls->begin = begin;
    client->uses++;
    while (!stream_is_secure(stream) && (result = stream_input_end(stream)) == 0)
        stream_input_wait(stream);
    tls->begin = NULL;
    tls->greeting = NULL;
    tls_client_free(client);
    return result;
}

/* ---------------------------------------------------------------- sessions */

/* Of TLS 1.2 there is always one, by its number at least. */
static bool has_session(const struct stream_tls *tls)
{
    unsigned char ticket[2048];
    word32 size = sizeof ticket;
    if (wolfSSL_version(tls->library) != TLS1_3_VERSION)
        return true;
    return wolfSSL_get_SessionTicket(tls->library, ticket, &size) == WOLFSSL_SUCCESS && size > 0;
}

struct tls_session *stream_tls_session(struct stream *stream)
{
    if (!stream_is_secure(stream) || !stream->tls->is_client || !has_session(stream->tls))
        return NULL;
    return (struct tls_session *)wolfSSL_get1_session(stream->tls->library);
}

void tls_session_free(struct tls_session *session)
{
    if (session != NULL)
        wolfSSL_SESSION_free((WOLFSSL_SESSION *)session);
}
