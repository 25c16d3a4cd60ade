/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * wolfSSL as a library, and what a core makes of settings: one WOLFSSL_CTX for each certificate
 * that was asked for. They belong to one core, so that no handshake waits for another core's.
 *
 * A context lives while its core uses it or a handshake that began with it is under way; a
 * connection past its handshake keeps only the WOLFSSL_CTX, which wolfSSL counts itself.
 */
#include "tls_private.h"

#include <stdlib.h>

static const char suites_modern[] =
    "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

static const char suites_intermediate[] =
    "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:"
    "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384";

/* ---------------------------------------------------------------- the library */

static int random_bytes(int device, wc_CryptoInfo *request, void *kernel)
{
    (void)device;
    if (request->algo_type == WC_ALGO_TYPE_RNG)
        kernel_random(kernel, request->rng.out, request->rng.sz);
    else if (request->algo_type == WC_ALGO_TYPE_SEED)
        kernel_random(kernel, request->seed.seed, request->seed.sz);
    else
        return CRYPTOCB_UNAVAILABLE;
    return 0;
}

int tls_library_open(struct kernel *kernel)
{
    if (wolfSSL_Init() != WOLFSSL_SUCCESS)
        return -ENOMEM;
    if (wc_CryptoCb_RegisterDevice(TLS_DEVICE, random_bytes, kernel) != 0) {
        wolfSSL_Cleanup();
        return -ENOMEM;
    }
    return 0;
}

void tls_library_close(void)
{
    wc_CryptoCb_UnRegisterDevice(TLS_DEVICE);
    wolfSSL_Cleanup();
}

/* ---------------------------------------------------------------- one certificate */

int tls_library_common(WOLFSSL_CTX *library, enum tls_profile profile, bool only_12)
{
    int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1};
    const char *suites = profile == TLS_INTERMEDIATE ? suites_intermediate : suites_modern;
    if (only_12)
        suites = strstr(suites, "ECDHE-"); /* those of TLS 1.3 come first */
    if (wolfSSL_CTX_SetDevId(library, TLS_DEVICE) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_SetMinVersion(library, WOLFSSL_TLSV1_2) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_SetMinRsaKey_Sz(library, TLS_KEY_BITS_MIN) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set_cipher_list(library, suites) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set_groups(library, groups, sizeof groups / sizeof *groups) != WOLFSSL_SUCCESS)
        return MEMORY_E;
    wolfSSL_CTX_set_session_cache_mode(library, WOLFSSL_SESS_CACHE_OFF);
    return WOLFSSL_SUCCESS;
}

static int library_fill(WOLFSSL_CTX *library, const struct tls_settings *settings, unsigned pair)
{
    const struct tls_pair_kept *kept = &settings->pairs[pair];
    int result = tls_library_common(library, settings->profile, false);
    if (result != WOLFSSL_SUCCESS)
        return result;
    result = wolfSSL_CTX_use_certificate_chain_buffer(
        library, (const unsigned char *)kept->certificate, (long)kept->certificate_size);
    if (result != WOLFSSL_SUCCESS)
        return result;
    result = wolfSSL_CTX_use_PrivateKey_buffer(library, (const unsigned char *)kept->key,
                                               (long)kept->key_size, WOLFSSL_FILETYPE_PEM);
    if (result != WOLFSSL_SUCCESS)
        return result;
    wolfSSL_CTX_set_verify(library, WOLFSSL_VERIFY_NONE, NULL);
    if (settings->client_ca_size > 0) {
        result =
            wolfSSL_CTX_load_verify_buffer(library, (const unsigned char *)settings->client_ca,
                                           (long)settings->client_ca_size, WOLFSSL_FILETYPE_PEM);
        if (result != WOLFSSL_SUCCESS)
            return result;
        int required = settings->client_required ? WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
        wolfSSL_CTX_set_verify(library, WOLFSSL_VERIFY_PEER | required, tls_peer_verify);
        wolfSSL_CTX_set_verify_depth(library, TLS_CHAIN_MAX);
    }
    if (settings->ticket_ms_max == 0) {
        wolfSSL_CTX_NoTicketTLSv12(library);
        wolfSSL_CTX_no_ticket_TLSv13(library);
    }
    return WOLFSSL_SUCCESS;
}

WOLFSSL_CTX *tls_library_make(const struct tls_settings *settings, unsigned pair, int *ret_error)
{
    *ret_error = MEMORY_E;
    WOLFSSL_CTX *library = wolfSSL_CTX_new(wolfSSLv23_server_method());
    if (library == NULL)
        return NULL;
    *ret_error = library_fill(library, settings, pair);
    if (*ret_error == WOLFSSL_SUCCESS)
        return library;
    wolfSSL_CTX_free(library);
    return NULL;
}

/* ---------------------------------------------------------------- a core's */

WOLFSSL_CTX *tls_context_library(struct tls_context *context, unsigned pair)
{
    int error;
    WOLFSSL_CTX *library = context->libraries[pair];
    if (library != NULL)
        return library;
    const struct tls_settings *settings = context->settings;
    library = tls_library_make(settings, pair, &error);
    if (library == NULL)
        return NULL;
    if (settings->ticket_ms_max > 0) {
        uint64_t seconds = settings->ticket_ms_max / 1000;
        int lifetime = seconds > 604800 ? 604800 : (int)seconds; /* RFC 8446, 4.6.1 */
        wolfSSL_CTX_set_TicketEncCb(library, tls_ticket);
        wolfSSL_CTX_set_TicketEncCtx(library, context);
        wolfSSL_CTX_set_TicketHint(library, lifetime);
        wolfSSL_CTX_set_timeout(library, (unsigned)lifetime);
    }
    return context->libraries[pair] = library;
}

void tls_context_unref(struct tls_context *context)
{
    if (--context->uses > 0)
        return;
    for (unsigned i = 0; i < context->settings->pair_count; i++)
        if (context->libraries[i] != NULL)
            wolfSSL_CTX_free(context->libraries[i]);
    tls_settings_unref(context->settings);
    explicit_bzero(context->ticket_keys, sizeof context->ticket_keys);
    free(context);
}

int tls_adopt(struct core *core, struct tls_settings *settings)
{
    struct net *net = core_local(core, CORE_LOCAL_NET);
    size_t size = sizeof *net->tls + settings->pair_count * sizeof *net->tls->libraries;
    struct tls_context *context = calloc(1, size);
    if (context == NULL)
        return -ENOMEM;
    context->core = core;
    context->uses = 1;
    context->settings = tls_settings_ref(settings);
    if (tls_context_library(context, 0) == NULL) {
        tls_context_unref(context);
        return -ENOMEM;
    }
    if (net->tls != NULL) {
        int ticket_bytes = atomic_load(&net->tls->settings->ticket_bytes);
        if (ticket_bytes > 0)
            atomic_store(&settings->ticket_bytes, ticket_bytes);
        tls_context_unref(net->tls);
    }
    net->tls = context;
    return 0;
}

void tls_net_close(struct net *net)
{
    if (net->tls != NULL)
        tls_context_unref(net->tls);
    net->tls = NULL;
}
