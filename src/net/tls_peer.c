/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The certificate that a client shows: wolfSSL verifies it against the settings' authorities; here
 * what sessions ask of it is copied out while it is at hand, for wolfSSL does not keep it.
 *
 * A name that holds a NUL, or anything but printable ASCII and UTF-8, is no name; a signature by
 * SHA-1 or MD5 is none, which wolfSSL leaves to us (T11).
 */
#include "tls_private.h"

#include <stdlib.h>

/* A name fit for comparing: no controls, whole UTF-8. Else empty. */
static struct slice clean(const char *data, int size)
{
    struct slice text = slice_of(data, data != NULL && size > 0 ? (size_t)size : 0);
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return (struct slice){0};
    return slice_is_utf8(text) ? text : (struct slice){0};
}

static struct slice keep(char **at, struct slice text)
{
    struct slice copy = slice_of(*at, text.size);
    if (text.size > 0)
        memcpy(*at, text.data, text.size);
    *at += text.size;
    return copy;
}

/* NULL: no memory. */
static struct tls_certificate *certificate_of(const struct DecodedCert *seen)
{
    static const char digits[] = "0123456789abcdef";
    char serial[2 * EXTERNAL_SERIAL_SIZE];
    struct slice email = {0};
    const DNS_entry *entry = seen->altEmailNames;
    if (entry != NULL)
        email = clean(entry->name, entry->len);
    struct slice common_name = clean(seen->subjectCN, seen->subjectCNLen);
    struct slice subject = clean(seen->subject, (int)strnlen(seen->subject, WC_ASN_NAME_MAX));
    struct slice issuer = clean(seen->issuer, (int)strnlen(seen->issuer, WC_ASN_NAME_MAX));
    for (int i = 0; i < seen->serialSz; i++) {
        serial[2 * i] = digits[seen->serial[i] >> 4];
        serial[2 * i + 1] = digits[seen->serial[i] & 15];
    }
    size_t serial_size = 2 * (size_t)seen->serialSz;
    struct tls_certificate *certificate =
        malloc(sizeof *certificate + email.size + common_name.size + subject.size + issuer.size +
               serial_size);
    if (certificate == NULL)
        return NULL;
    char *at = (char *)(certificate + 1);
    *certificate = (struct tls_certificate){
        .email = keep(&at, email),
        .common_name = keep(&at, common_name),
        .subject = keep(&at, subject),
        .issuer = keep(&at, issuer),
        .serial = keep(&at, slice_of(serial, serial_size)),
    };
    return certificate;
}

/* Reads the certificate; of the leaf what it says is kept. False: it is not good enough. */
static bool look_at(struct stream *stream, const WOLFSSL_BUFFER_INFO *shown, bool is_leaf,
                    bool is_pinned)
{
    struct stream_tls *tls = stream->tls;
    struct DecodedCert *seen = malloc(sizeof *seen);
    if (seen == NULL) {
        tls->no_memory = true;
        return false;
    }
    wc_InitDecodedCert(seen, shown->buffer, shown->length, NULL);
    int result = wc_ParseCert(seen, CERT_TYPE, NO_VERIFY, NULL);
    bool is_root = !is_leaf && memcmp(seen->subjectHash, seen->issuerHash, KEYID_SIZE) == 0;
    bool is_good = result == 0 && (is_root || is_pinned || !tls_is_weak(seen));
    struct tls_certificate *certificate = is_good && is_leaf ? certificate_of(seen) : NULL;
    wc_FreeDecodedCert(seen);
    free(seen);
    tls->no_memory |= result == MEMORY_E || (is_good && is_leaf && certificate == NULL);
    if (!is_good || !is_leaf)
        return is_good;
    if (certificate == NULL)
        return false;
    if (wc_Sha256Hash(shown->buffer, shown->length, certificate->fingerprint) != 0) {
        free(certificate);
        return false;
    }
    free(tls->certificate);
    tls->certificate = certificate;
    tls->is_judged =
        tls->judge == NULL || tls->judge(stream, slice_of(shown->buffer, shown->length));
    return tls->is_judged;
}

/* Called for the leaf, certs[0] (depth 0), when the chain is verified; for others at times only.
 * Without any it is called too: whether one must be there wolfSSL knows. */
int tls_peer_verify(int is_good, WOLFSSL_X509_STORE_CTX *chain)
{
    struct stream *stream = chain->userCtx;
    if (!is_good || chain->totalCerts == 0)
        return is_good;
    if (stream == NULL || chain->totalCerts > TLS_CHAIN_MAX ||
        chain->certs[0].length > TLS_CLIENT_BYTES_MAX)
        return 0;
    for (int i = chain->totalCerts - 1; chain->error_depth == 0 && i >= 0; i--)
        if (!look_at(stream, &chain->certs[i], i == 0, false))
            return 0;
    return 1;
}

/* Whatever wolfSSL has found fault with does not matter; if this is not called for the leaf,
 * is_judged stays false. */
int tls_peer_verify_pinned(int is_good, WOLFSSL_X509_STORE_CTX *chain)
{
    (void)is_good;
    struct stream *stream = chain->userCtx;
    if (stream == NULL || chain->totalCerts < 1 || chain->totalCerts > TLS_CHAIN_MAX ||
        chain->certs[0].length > TLS_CLIENT_BYTES_MAX)
        return 0;
    return stream->tls->is_judged || chain->error_depth != 0 ||
           look_at(stream, &chain->certs[0], true, true);
}
