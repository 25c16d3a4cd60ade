/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Session tickets: what wolfSSL wants to find again, sealed with AES-256-GCM under a key that
 * follows from the settings' secret and the time. So all cores have the same keys without talking,
 * and new settings with the same secret go on with them.
 *
 *   name  "rp" epoch(4) issued(4, seconds) 0... flags(1) links(1)       16 bytes, sent in clear
 *   AAD   service(4) size of SNI(2) SNI name
 *
 * An epoch is half of ticket_ms_max; key = HMAC-SHA256(secret, "ticket" epoch). A ticket is good
 * when it is not older than ticket_ms_max, came from this service with this SNI, showed no client
 * certificate and is at most TLS_TICKET_LINKS_MAX resumptions away from a full handshake. All else
 * is a full handshake, never an error.
 *
 * Of a ticket that comes wolfSSL tells the size that stands in it, and has not looked whether so
 * much came (5.7.2). What it seals is always of the same size, so any other is refused before its
 * tag is read.
 */
#include "tls_private.h"

enum {
    NAME_BYTES = WOLFSSL_TICKET_NAME_SZ,
    NONCE_BYTES = 12,
    TAG_BYTES = 16,
    FLAG_CERTIFICATE = 1
};
enum { AT_EPOCH = 2, AT_ISSUED = 6, AT_FLAGS = 14, AT_LINKS = 15 };

static void put32(unsigned char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(value >> (24 - 8 * i));
}

static uint32_t get32(const unsigned char *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static uint32_t epoch_of(const struct tls_context *context, uint64_t wall_ms)
{
    uint64_t period = context->settings->ticket_ms_max / 2;
    return (uint32_t)(wall_ms / (period > 0 ? period : 1)) + 1;
}

/* NULL: no memory. */
static const uint8_t *key_of(struct tls_context *context, uint32_t epoch)
{
    unsigned char what[10] = "ticket";
    Hmac hmac;
    int place = (int)(epoch & 1);
    if (context->ticket_keys[place].epoch == epoch)
        return context->ticket_keys[place].key;
    uint8_t *key = context->ticket_keys[place].key;
    context->ticket_keys[place].epoch = 0;
    put32(what + 6, epoch);
    if (wc_HmacInit(&hmac, NULL, INVALID_DEVID) != 0)
        return NULL;
    bool ok = wc_HmacSetKey(&hmac, WC_SHA256, context->settings->ticket_secret,
                            sizeof context->settings->ticket_secret) == 0 &&
              wc_HmacUpdate(&hmac, what, sizeof what) == 0 && wc_HmacFinal(&hmac, key) == 0;
    wc_HmacFree(&hmac);
    if (!ok)
        return NULL;
    context->ticket_keys[place].epoch = epoch;
    return key;
}

/* What seal() leaves zero of the places that wolfSSL gives: nothing of a ticket may be another. */
static bool is_padding_zero(const unsigned char *iv, const unsigned char *mac)
{
    unsigned char any = 0;
    for (int i = NONCE_BYTES; i < WOLFSSL_TICKET_IV_SZ; i++)
        any |= iv[i];
    for (int i = TAG_BYTES; i < WOLFSSL_TICKET_MAC_SZ; i++)
        any |= mac[i];
    return any == 0;
}

static size_t bound_to(const struct stream_tls *tls, const unsigned char *name, unsigned char *aad)
{
    size_t size = tls->server_name_size;
    put32(aad, tls->service->id);
    aad[4] = (unsigned char)(size >> 8);
    aad[5] = (unsigned char)size;
    if (size > 0)
        memcpy(aad + 6, tls->server_name, size);
    memcpy(aad + 6 + size, name, NAME_BYTES);
    return 6 + size + NAME_BYTES;
}

static int seal(struct tls_context *context, const struct stream_tls *tls, const uint64_t wall_ms,
                unsigned char *name, unsigned char *iv, unsigned char *mac, unsigned char *ticket,
                int size, Aes *aes)
{
    unsigned char aad[6 + TLS_NAME_BYTES_MAX + NAME_BYTES];
    uint32_t epoch = epoch_of(context, wall_ms);
    const uint8_t *key = key_of(context, epoch);
    memset(name, 0, NAME_BYTES);
    memset(iv, 0, WOLFSSL_TICKET_IV_SZ);
    memset(mac, 0, WOLFSSL_TICKET_MAC_SZ);
    memcpy(name, "rp", 2);
    put32(name + AT_EPOCH, epoch);
    put32(name + AT_ISSUED, (uint32_t)(wall_ms / 1000));
    name[AT_FLAGS] = tls->certificate != NULL ? FLAG_CERTIFICATE : 0;
    name[AT_LINKS] = tls->ticket_links;
    core_random(context->core, iv, NONCE_BYTES);
    atomic_store(&context->settings->ticket_bytes, size);
    size_t aad_size = bound_to(tls, name, aad);
    bool ok = key != NULL && wc_AesGcmSetKey(aes, key, TLS_TICKET_KEY_BYTES) == 0 &&
              wc_AesGcmEncrypt(aes, ticket, ticket, (word32)size, iv, NONCE_BYTES, mac, TAG_BYTES,
                               aad, (word32)aad_size) == 0;
    return ok ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_FATAL;
}

static int open_ticket(struct tls_context *context, struct stream_tls *tls, uint64_t wall_ms,
                       unsigned char *name, unsigned char *iv, unsigned char *mac,
                       unsigned char *ticket, int size, Aes *aes)
{
    unsigned char aad[6 + TLS_NAME_BYTES_MAX + NAME_BYTES];
    uint32_t epoch = get32(name + AT_EPOCH), issued = get32(name + AT_ISSUED);
    uint32_t newest = epoch_of(context, wall_ms);
    uint64_t age_ms = wall_ms - (uint64_t)issued * 1000;
    if (size <= 0 || size != atomic_load(&context->settings->ticket_bytes))
        return WOLFSSL_TICKET_RET_REJECT;
    bool is_known = memcmp(name, "rp", 2) == 0 && newest - epoch <= 2 && epoch != 0 &&
                    issued <= wall_ms / 1000 && age_ms <= context->settings->ticket_ms_max;
    if (!is_known || !is_padding_zero(iv, mac) || (name[AT_FLAGS] & FLAG_CERTIFICATE) ||
        context->settings->client_required || name[AT_LINKS] >= TLS_TICKET_LINKS_MAX)
        return WOLFSSL_TICKET_RET_REJECT;
    const uint8_t *key = key_of(context, epoch);
    size_t aad_size = bound_to(tls, name, aad);
    bool ok = key != NULL && wc_AesGcmSetKey(aes, key, TLS_TICKET_KEY_BYTES) == 0 &&
              wc_AesGcmDecrypt(aes, ticket, ticket, (word32)size, iv, NONCE_BYTES, mac, TAG_BYTES,
                               aad, (word32)aad_size) == 0;
    if (!ok)
        return WOLFSSL_TICKET_RET_REJECT;
    tls->ticket_links = (uint8_t)(name[AT_LINKS] + 1);
    /* TLS 1.3 gives a new ticket anyway, and wolfSSL 5.7 takes nothing but OK there. */
    return wolfSSL_version(tls->library) == TLS1_3_VERSION ? WOLFSSL_TICKET_RET_OK
                                                           : WOLFSSL_TICKET_RET_CREATE;
}

int tls_ticket(WOLFSSL *library, unsigned char *name, unsigned char *iv, unsigned char *mac,
               int is_sealing, unsigned char *ticket, int size, int *ret_size, void *argument)
{
    struct tls_context *context = argument;
    struct stream *stream = wolfSSL_GetIOReadCtx(library);
    uint64_t wall_ms = (uint64_t)core_wall_ns(context->core) / 1000000;
    Aes aes;
    if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0)
        return is_sealing ? WOLFSSL_TICKET_RET_FATAL : WOLFSSL_TICKET_RET_REJECT;
    *ret_size = size;
    int result =
        is_sealing ? seal(context, stream->tls, wall_ms, name, iv, mac, ticket, size, &aes)
                   : open_ticket(context, stream->tls, wall_ms, name, iv, mac, ticket, size, &aes);
    wc_AesFree(&aes);
    return result;
}
