/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writes an X.509 certificate (RFC 5280) and an EC private key (RFC 5915) in DER, then as PEM.
 * By hand, because wolfSSL built without its compatibility layer makes certificates without
 * alternative names, and clients look at nothing else.
 *
 * DER puts lengths before contents, so everything is written from the back of a buffer to its
 * front: first what comes last.
 *
 *   Certificate { tbsCertificate { version, serial, algorithm, issuer, validity, subject,
 *                                  subjectPublicKeyInfo, extensions }, algorithm, signature }
 */
#include "certificate.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/coding.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/sha256.h>
#pragma GCC diagnostic pop

enum {
    DER_BYTES_MAX = 2048,
    KEY_BYTES = 32,
    SIGNATURE_BYTES_MAX = 80,
    SERIAL_BYTES = 16,
    DAY_SECONDS = 86400,
    VALID_DAYS = 730
};

enum {
    TAG_BOOLEAN = 0x01,
    TAG_INTEGER = 0x02,
    TAG_BITS = 0x03,
    TAG_OCTETS = 0x04,
    TAG_OID = 0x06,
    TAG_UTF8 = 0x0c,
    TAG_TIME = 0x17, /* UTCTime, which RFC 5280 wants until 2049 */
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
    TAG_EXPLICIT_0 = 0xa0,
    TAG_EXPLICIT_1 = 0xa1,
    TAG_EXPLICIT_3 = 0xa3,
    TAG_DNS_NAME = 0x82,
    TAG_IP_ADDRESS = 0x87
};

static const unsigned char oid_ecdsa_sha256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const unsigned char oid_ec_key[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
static const unsigned char oid_p256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const unsigned char oid_common_name[] = {0x55, 0x04, 0x03};
static const unsigned char oid_alternative_names[] = {0x55, 0x1d, 0x11};
static const unsigned char oid_constraints[] = {0x55, 0x1d, 0x13};

/* data[at...] is written. Invariant: once `full`, nothing more is written. */
struct der {
    unsigned char data[DER_BYTES_MAX];
    size_t at;
    bool full;
};

static void put(struct der *der, const void *bytes, size_t size)
{
    if (size > der->at) {
        der->full = true;
        return;
    }
    der->at -= size;
    memcpy(der->data + der->at, bytes, size);
}

static void put_byte(struct der *der, unsigned value)
{
    unsigned char one = (unsigned char)value;
    put(der, &one, 1);
}

/* Tag and length in front of what was written since `end` (an earlier der->at). */
static void wrap(struct der *der, unsigned tag, size_t end)
{
    size_t size = end - der->at;
    put_byte(der, (unsigned)(size & 0xff));
    if (size > 0xff)
        put_byte(der, (unsigned)(size >> 8));
    if (size > 0x7f)
        put_byte(der, size > 0xff ? 0x82 : 0x81);
    put_byte(der, tag);
}

static void put_whole(struct der *der, unsigned tag, const void *bytes, size_t size)
{
    size_t end = der->at;
    put(der, bytes, size);
    wrap(der, tag, end);
}

#define PUT_OID(der, oid) put_whole(der, TAG_OID, oid, sizeof oid)

static void put_bits(struct der *der, const void *bytes, size_t size)
{
    size_t end = der->at;
    put(der, bytes, size);
    put_byte(der, 0); /* unused bits */
    wrap(der, TAG_BITS, end);
}

static void put_algorithm(struct der *der)
{
    size_t end = der->at;
    PUT_OID(der, oid_ecdsa_sha256);
    wrap(der, TAG_SEQUENCE, end);
}

static void put_name(struct der *der, const char *name)
{
    size_t end = der->at;
    put_whole(der, TAG_UTF8, name, strlen(name));
    PUT_OID(der, oid_common_name);
    wrap(der, TAG_SEQUENCE, end);
    wrap(der, TAG_SET, end);
    wrap(der, TAG_SEQUENCE, end);
}

static void put_time(struct der *der, time_t seconds)
{
    char text[32];
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text, "%y%m%d%H%M%SZ", &parts);
    put_whole(der, TAG_TIME, text, strlen(text));
}

static void put_extensions(struct der *der, const char *const *names, size_t count)
{
    static const unsigned char loopback[] = {127, 0, 0, 1};
    size_t end = der->at, start = der->at;
    put_whole(der, TAG_IP_ADDRESS, loopback, sizeof loopback);
    for (size_t i = count; i > 0; i--)
        put_whole(der, TAG_DNS_NAME, names[i - 1], strlen(names[i - 1]));
    wrap(der, TAG_SEQUENCE, end);
    wrap(der, TAG_OCTETS, end);
    PUT_OID(der, oid_alternative_names);
    wrap(der, TAG_SEQUENCE, end);
    end = der->at;
    wrap(der, TAG_SEQUENCE, end); /* empty: no authority */
    wrap(der, TAG_OCTETS, end);
    put_whole(der, TAG_BOOLEAN, "\xff", 1); /* critical */
    PUT_OID(der, oid_constraints);
    wrap(der, TAG_SEQUENCE, end);
    wrap(der, TAG_SEQUENCE, start);
    wrap(der, TAG_EXPLICIT_3, start);
}

static void put_public_key(struct der *der, const unsigned char point[1 + 2 * KEY_BYTES])
{
    size_t end = der->at, inner;
    put_bits(der, point, 1 + 2 * KEY_BYTES);
    inner = der->at;
    PUT_OID(der, oid_p256);
    PUT_OID(der, oid_ec_key);
    wrap(der, TAG_SEQUENCE, inner);
    wrap(der, TAG_SEQUENCE, end);
}

/* A serial number is positive and at most 20 bytes (RFC 5280, 4.1.2.2). */
static void put_signed_part(struct der *der, const char *const *names, size_t count,
                            int64_t now_seconds, const unsigned char *point,
                            unsigned char serial[SERIAL_BYTES])
{
    size_t end = der->at, inner;
    put_extensions(der, names, count);
    put_public_key(der, point);
    put_name(der, names[0]);
    inner = der->at;
    put_time(der, now_seconds + (int64_t)VALID_DAYS * DAY_SECONDS);
    put_time(der, now_seconds - DAY_SECONDS);
    wrap(der, TAG_SEQUENCE, inner);
    put_name(der, names[0]);
    put_algorithm(der);
    serial[0] = (unsigned char)((serial[0] & 0x3f) | 0x40);
    put_whole(der, TAG_INTEGER, serial, SERIAL_BYTES);
    inner = der->at;
    put_whole(der, TAG_INTEGER, "\x02", 1); /* version 3 */
    wrap(der, TAG_EXPLICIT_0, inner);
    wrap(der, TAG_SEQUENCE, end);
}

static void put_private_key(struct der *der, const unsigned char secret[KEY_BYTES],
                            const unsigned char *point)
{
    size_t end = der->at, inner;
    put_bits(der, point, 1 + 2 * KEY_BYTES);
    wrap(der, TAG_EXPLICIT_1, end);
    inner = der->at;
    PUT_OID(der, oid_p256);
    wrap(der, TAG_EXPLICIT_0, inner);
    put_whole(der, TAG_OCTETS, secret, KEY_BYTES);
    put_whole(der, TAG_INTEGER, "\x01", 1);
    wrap(der, TAG_SEQUENCE, end);
}

static bool to_pem(const struct der *der, const char *label, char ret_text[CERTIFICATE_BYTES_MAX])
{
    unsigned char body[CERTIFICATE_BYTES_MAX - 128];
    word32 size = sizeof body;
    if (der->full ||
        Base64_Encode(der->data + der->at, (word32)(DER_BYTES_MAX - der->at), body, &size) != 0)
        return false;
    snprintf(ret_text, CERTIFICATE_BYTES_MAX, "-----BEGIN %s-----\n%.*s-----END %s-----\n", label,
             (int)size, (const char *)body, label);
    return true;
}

/* The certificate's own signature: the signed part lies at der->data + der->at. */
static bool sign(struct der *der, WC_RNG *rng, ecc_key *key, const struct der *signed_part)
{
    unsigned char digest[WC_SHA256_DIGEST_SIZE], signature[SIGNATURE_BYTES_MAX];
    const unsigned char *data = signed_part->data + signed_part->at;
    size_t size = DER_BYTES_MAX - signed_part->at, end = der->at;
    word32 signature_size = sizeof signature;
    if (signed_part->full || wc_Sha256Hash(data, (word32)size, digest) != 0 ||
        wc_ecc_sign_hash(digest, sizeof digest, signature, &signature_size, rng, key) != 0)
        return false;
    put_bits(der, signature, signature_size);
    put_algorithm(der);
    put(der, data, size);
    wrap(der, TAG_SEQUENCE, end);
    return true;
}

static const char *make(WC_RNG *rng, ecc_key *key, const char *const *names, size_t count,
                        int64_t now_seconds, char *ret_certificate, char *ret_key)
{
    unsigned char point[1 + 2 * KEY_BYTES], secret[KEY_BYTES], serial[SERIAL_BYTES];
    struct der part = {.at = DER_BYTES_MAX}, whole = part, private = part;
    word32 size = KEY_BYTES, x_size = KEY_BYTES, y_size = KEY_BYTES;
    if (wc_ecc_make_key_ex(rng, KEY_BYTES, key, ECC_SECP256R1) != 0 ||
        wc_RNG_GenerateBlock(rng, serial, sizeof serial) != 0)
        return "making a key failed";
    point[0] = 4; /* uncompressed */
    if (wc_ecc_export_private_raw(key, point + 1, &x_size, point + 1 + KEY_BYTES, &y_size, secret,
                                  &size) != 0 ||
        x_size != KEY_BYTES || y_size != KEY_BYTES || size != KEY_BYTES)
        return "reading the key failed";
    put_signed_part(&part, names, count, now_seconds, point, serial);
    put_private_key(&private, secret, point);
    bool ok = sign(&whole, rng, key, &part) && to_pem(&whole, "CERTIFICATE", ret_certificate) &&
              to_pem(&private, "EC PRIVATE KEY", ret_key);
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(&private, sizeof private);
    return ok ? NULL : "signing the certificate failed";
}

const char *certificate_make(const char *const *names, int64_t now_seconds,
                             char ret_certificate[CERTIFICATE_BYTES_MAX],
                             char ret_key[CERTIFICATE_BYTES_MAX])
{
    WC_RNG rng;
    ecc_key key;
    size_t count = 0;
    while (names[count] != NULL && count < CERTIFICATE_NAMES_MAX)
        count++;
    if (wc_InitRng(&rng) != 0)
        return "the random generator failed";
    const char *why = "out of memory";
    if (wc_ecc_init(&key) == 0) {
        why = make(&rng, &key, names, count, now_seconds, ret_certificate, ret_key);
        wc_ecc_free(&key);
    }
    wc_FreeRng(&rng);
    return why;
}

const char *certificate_library_version(void)
{
    return wolfSSL_lib_version();
}
