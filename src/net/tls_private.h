/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by the files of TLS, and the only header that includes wolfSSL.
 *
 * Ownership: settings are counted and shared by all cores; a context is what one core made of them,
 * counted by that core's handshakes; struct stream_tls belongs to its stream.
 */
#ifndef RINGPOST_TLS_PRIVATE_H
#define RINGPOST_TLS_PRIVATE_H

#include "net_private.h"
#include "ringpost/tls.h"

#include <stdatomic.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <wolfssl/options.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/cryptocb.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/sha256.h>
#pragma GCC diagnostic pop

enum {
    TLS_DEVICE = 0x52504b47,      /* of wolfSSL's callbacks for randomness */
    TLS_CHAIN_MAX = 8,            /* certificates of a client */
    TLS_CLIENT_BYTES_MAX = 32768, /* of a client's certificate */
    TLS_KEY_BITS_MIN = 2048,      /* RSA */
    TLS_SILENT_MAX = 1000,        /* records without data in a connection's life */
    TLS_SEALED_BYTES_MAX = 65536,
    TLS_RECORD_BYTES_MAX = 16384, /* of plain text */
    TLS_RECORD_EXTRA = 64,        /* what sealing adds to a record, at most */
    TLS_TICKET_LINKS_MAX = 240,   /* resumptions since a full handshake */
    TLS_TICKET_KEY_BYTES = 32,
    TLS_HEADER_BYTES = 5 /* of a record */
};

/* ---------------------------------------------------------------- settings */

struct tls_pair_kept {
    char *certificate, *key; /* PEM */
    size_t certificate_size, key_size;
};

/* A host name that a certificate is for; "*.example.org" is kept as such. */
struct tls_name {
    char *text;
    uint16_t size;
    uint32_t pair;
};

struct tls_settings {
    atomic_uint uses;
    struct tls_pair_kept *pairs;
    unsigned pair_count;
    struct tls_name *names; /* open addressing; a power of two of places, half of them free */
    size_t names_used, names_room;
    enum tls_profile profile;
    char *client_ca;
    size_t client_ca_size;
    bool client_required;
    uint64_t ticket_ms_max;
    uint8_t ticket_secret[32];
    atomic_int ticket_bytes; /* what wolfSSL seals in one; 0: it has not yet (tls_ticket.c) */
    int64_t end_seconds;
};

/* Signed with SHA-1, MD5 or MD2. */
static inline bool tls_is_weak(const struct DecodedCert *certificate)
{
    word32 algorithm = certificate->signatureOID;
    return algorithm == CTC_SHAwRSA || algorithm == CTC_SHAwECDSA || algorithm == CTC_SHAwDSA ||
           algorithm == CTC_MD5wRSA || algorithm == CTC_MD2wRSA;
}

/* The pair for the name (lower case), or 0. */
unsigned tls_settings_find(const struct tls_settings *settings, struct slice name);

/* ---------------------------------------------------------------- contexts */

/* What a core made of the settings. A WOLFSSL_CTX is made when its pair is first asked for. */
struct tls_context {
    struct core *core;
    struct tls_settings *settings;
    unsigned uses; /* by the core, and its handshakes */
    struct {
        uint32_t epoch; /* 0: not there */
        uint8_t key[TLS_TICKET_KEY_BYTES];
    } ticket_keys[2];
    WOLFSSL_CTX *libraries[]; /* of each pair, or NULL */
};

WOLFSSL_CTX *tls_context_library(struct tls_context *context, unsigned pair); /* NULL: no memory */
void tls_context_unref(struct tls_context *context);
/* A WOLFSSL_CTX with everything of the settings but the callbacks. NULL: no memory, or a pair that
 * wolfSSL refuses: *ret_error is its code. */
WOLFSSL_CTX *tls_library_make(const struct tls_settings *settings, unsigned pair, int *ret_error);

/* ---------------------------------------------------------------- a connection */

/* What is known of the peer's certificate; the slices point behind it. */
struct tls_certificate {
    struct slice email, common_name, subject, issuer, serial;
    uint8_t fingerprint[32];
};

enum tls_state {
    TLS_HELLO,     /* bytes gather in `raw`; a client has not begun */
    TLS_HANDSHAKE, /* wolfSSL has them */
    TLS_SECURE,
    TLS_FAILED /* nothing more is read or written */
};

struct stream_tls {
    WOLFSSL *library; /* NULL before HANDSHAKE */
    const struct tls_service *service;
    struct tls_context *context; /* during HANDSHAKE, else NULL */
    struct slice feed;           /* what wolfSSL has not yet taken */
    struct net_block *raw;       /* bytes that wait until they can be fed */
    struct tls_certificate *certificate;
    char *server_name;
    const char *problem;
    /* Of a client that asks more of the leaf than wolfSSL does: false, with `refusal` set. */
    bool (*judge)(struct stream *stream, struct slice certificate);
    const char *refusal; /* why the certificate will not do */
    uint32_t silent;     /* records so far that held no data */
    uint16_t server_name_size;
    /* Set between stream_secure_client and the end of that turn, when it begins the handshake. */
    void (*begin)(struct stream *stream);
    const struct tls_greeting *greeting; /* what it begins with; on the fiber's stack */
    uint8_t state;
    bool is_client, has_heard; /* something of the peer's */
    bool is_raw_new;           /* `raw` was there before TLS, and nobody has looked at it */
    bool no_memory;            /* an allocation of ours failed inside wolfSSL */
    bool is_read_out;          /* T2 */
    bool is_goodbye_said;
    bool is_resumed, has_binding;
    bool is_judged;       /* `judge` was content with the leaf */
    uint8_t ticket_links; /* of the ticket that was taken */
    uint8_t binding[TLS_BINDING_BYTES];
};

/* The beginning of both sides: gives the stream its tls, with the first `unread` bytes of what is
 * unread to be fed. 0; or, with the stream as it was, its `end` when it has ended already, -ENOMEM.
 */
int tls_attach(struct stream *stream, size_t unread);
/* The connection's object of the library, which reads and writes through the stream. False: no
 * memory. */
bool tls_library_attach(struct stream *stream, WOLFSSL_CTX *library);
bool tls_name_keep(struct stream_tls *tls, struct slice name); /* false: no memory */
void tls_fail(struct stream *stream, int reason, const char *problem);
void tls_handshake(struct stream *stream); /* as far as it can go */

/* tls_context.c: what contexts of servers and clients have in common. WOLFSSL_SUCCESS, or
 * wolfSSL's error. */
int tls_library_common(WOLFSSL_CTX *library, enum tls_profile profile, bool only_12);

/* tls_ticket.c: SessionTicketEncCb */
int tls_ticket(WOLFSSL *library, unsigned char *name, unsigned char *iv, unsigned char *mac,
               int is_sealing, unsigned char *ticket, int size, int *ret_size, void *context);

/* tls_peer.c: VerifyCallback */
int tls_peer_verify(int is_good, WOLFSSL_X509_STORE_CTX *chain);
/* The same where only `judge` of the connection counts. */
int tls_peer_verify_pinned(int is_good, WOLFSSL_X509_STORE_CTX *chain);

/* tls_address.c: 4, 16, or 0: it is not an address. */
unsigned tls_address_parse(const char *host, uint8_t ret_address[16]);
bool tls_address_is_in(struct slice certificate, const uint8_t *address, unsigned size);

#endif
