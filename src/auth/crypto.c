/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * wolfCrypt behind crypto.h. Its contexts are on the heap where they are large: a fiber's stack is
 * small. Keys are taken apart again for each signature, so that nothing is shared by threads.
 */
#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/ed25519.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/pwdbased.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "crypto.h"

enum {
    P256_BYTES = 32,
    ES256_SIGNATURE_BYTES = 2 * P256_BYTES,
    ES256_DER_BYTES_MAX = 80,
    RSA_BYTES_MAX = CRYPTO_RSA_BITS_MAX / 8,
    RSA_EXPONENT_BYTES_MAX = 4,
    DIGEST_INFO_BYTES_MAX = 128,
    SIZE_MAX_ALL = 1 << 20 /* of any text; more than any message */
};

static const struct {
    enum wc_HashType type;
    int hmac;
    size_t size;
} hashes[] = {
    [CRYPTO_SHA1] = {WC_HASH_TYPE_SHA, WC_SHA, 20},
    [CRYPTO_SHA256] = {WC_HASH_TYPE_SHA256, WC_SHA256, 32},
};

static const byte *bytes_of(struct slice s)
{
    return (const byte *)(s.size > 0 ? s.data : "");
}

static int error_of(int result)
{
    return result == 0 ? 0 : result == MEMORY_E ? -ENOMEM : -EINVAL;
}

size_t crypto_digest_size(enum crypto_hash hash)
{
    return hashes[hash].size;
}

int crypto_digest(enum crypto_hash hash, struct slice data, uint8_t *ret_digest)
{
    if (data.size > SIZE_MAX_ALL)
        return -EINVAL;
    return error_of(wc_Hash(hashes[hash].type, bytes_of(data), (word32)data.size, ret_digest,
                            (word32)hashes[hash].size));
}

int crypto_hmac(enum crypto_hash hash, struct slice key, const struct slice *pieces, unsigned count,
                uint8_t *ret_digest)
{
    uint8_t digest[WC_MAX_DIGEST_SIZE];
    Hmac hmac;
    if (key.size > SIZE_MAX_ALL)
        return -EINVAL;
    int result = wc_HmacInit(&hmac, NULL, INVALID_DEVID);
    if (result != 0)
        return error_of(result);
    result = wc_HmacSetKey(&hmac, hashes[hash].hmac, bytes_of(key), (word32)key.size);
    for (unsigned i = 0; i < count && result == 0; i++)
        result = pieces[i].size > SIZE_MAX_ALL
                     ? BAD_FUNC_ARG
                     : wc_HmacUpdate(&hmac, bytes_of(pieces[i]), (word32)pieces[i].size);
    if (result == 0)
        result = wc_HmacFinal(&hmac, digest);
    wc_HmacFree(&hmac);
    explicit_bzero(&hmac, sizeof hmac); /* K1 */
    if (result == 0)
        memcpy(ret_digest, digest, hashes[hash].size);
    explicit_bzero(digest, sizeof digest);
    return error_of(result);
}

int crypto_pbkdf2(enum crypto_hash hash, struct slice password, struct slice salt,
                  unsigned iterations, uint8_t *ret_digest)
{
    if (password.size > SIZE_MAX_ALL || salt.size > SIZE_MAX_ALL || iterations > INT_MAX)
        return -EINVAL;
    return error_of(wc_PBKDF2(ret_digest, bytes_of(password), (int)password.size, bytes_of(salt),
                              (int)salt.size, (int)iterations, (int)hashes[hash].size,
                              hashes[hash].hmac));
}

bool crypto_equal(const void *a, const void *b, size_t size)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t difference = 0;
    for (size_t i = 0; i < size; i++)
        difference |= (uint8_t)(x[i] ^ y[i]);
    return difference == 0;
}

/* ---------------------------------------------------------------- RS256 */

/* A key to be given back by rsa_free, or NULL: no memory, or not a key. */
static RsaKey *rsa_make(const struct crypto_key *key, int *ret_result)
{
    RsaKey *rsa = malloc(sizeof *rsa);
    *ret_result = -ENOMEM;
    if (rsa == NULL)
        return NULL;
    int result = wc_InitRsaKey(rsa, NULL);
    if (result != 0) {
        free(rsa);
        return NULL;
    }
    result = wc_RsaPublicKeyDecodeRaw(bytes_of(key->x), (word32)key->x.size, bytes_of(key->y),
                                      (word32)key->y.size, rsa);
    if (result == 0)
        return rsa;
    *ret_result = error_of(result);
    wc_FreeRsaKey(rsa);
    free(rsa);
    return NULL;
}

static const char *rsa_problem(const struct crypto_key *key)
{
    int result;
    size_t bits = key->x.size * 8;
    for (unsigned char first = key->x.size > 0 ? (unsigned char)key->x.data[0] : 0;
         bits > 0 && (first & 0x80) == 0; first = (unsigned char)(first << 1 | 1))
        bits -= first == 0 ? bits : 1;
    if (bits < CRYPTO_RSA_BITS_MIN)
        return "an RSA key below 2048 bits: make a new one";
    if (bits > CRYPTO_RSA_BITS_MAX)
        return "an RSA key above 4096 bits: use one of 2048 to 4096, or ES256";
    if (key->y.size == 0 || key->y.size > RSA_EXPONENT_BYTES_MAX ||
        (key->y.data[key->y.size - 1] & 1) == 0 || (key->x.data[key->x.size - 1] & 1) == 0 ||
        (key->y.size == 1 && (unsigned char)key->y.data[0] < 3))
        return "not an RSA key: take \"n\" and \"e\" as the issuer publishes them";
    RsaKey *rsa = rsa_make(key, &result);
    if (rsa == NULL)
        return result == -ENOMEM ? "out of memory" : "not an RSA key";
    wc_FreeRsaKey(rsa);
    free(rsa);
    return NULL;
}

static int rsa_verify(const struct crypto_key *key, const uint8_t *digest, struct slice signature)
{
    uint8_t want[DIGEST_INFO_BYTES_MAX], is[RSA_BYTES_MAX];
    int result;
    if (signature.size != key->x.size)
        return -EACCES;
    RsaKey *rsa = rsa_make(key, &result);
    if (rsa == NULL)
        return result;
    word32 size = wc_EncodeSignature(want, digest, (word32)hashes[CRYPTO_SHA256].size,
                                     wc_HashGetOID(WC_HASH_TYPE_SHA256));
    result =
        wc_RsaSSL_Verify(bytes_of(signature), (word32)signature.size, is, (word32)sizeof is, rsa);
    wc_FreeRsaKey(rsa);
    free(rsa);
    if (result == MEMORY_E)
        return -ENOMEM;
    return size > 0 && result == (int)size && memcmp(is, want, size) == 0 ? 0 : -EACCES;
}

/* ---------------------------------------------------------------- ES256 */

static ecc_key *ecc_make(const struct crypto_key *key, int *ret_result)
{
    ecc_key *ecc = wc_ecc_key_new(NULL);
    *ret_result = -ENOMEM;
    if (ecc == NULL)
        return NULL;
    int result =
        wc_ecc_import_unsigned(ecc, bytes_of(key->x), bytes_of(key->y), NULL, ECC_SECP256R1);
    if (result == 0)
        return ecc;
    *ret_result = error_of(result);
    wc_ecc_key_free(ecc);
    return NULL;
}

static const char *ecc_problem(const struct crypto_key *key)
{
    int result = 0;
    if (key->x.size != P256_BYTES || key->y.size != P256_BYTES)
        return "not a P-256 key: \"x\" and \"y\" are 32 bytes each";
    ecc_key *ecc = ecc_make(key, &result);
    if (ecc == NULL)
        return result == -ENOMEM ? "out of memory" : "not a P-256 key";
    result = wc_ecc_check_key(ecc);
    wc_ecc_key_free(ecc);
    return result == 0 ? NULL : "not a P-256 key: the point is not on the curve";
}

static int ecc_verify(const struct crypto_key *key, const uint8_t *digest, struct slice signature)
{
    uint8_t der[ES256_DER_BYTES_MAX];
    word32 size = sizeof der;
    int result, is_right = 0;
    if (signature.size != ES256_SIGNATURE_BYTES)
        return -EACCES;
    const byte *r = bytes_of(signature);
    if (wc_ecc_rs_raw_to_sig(r, P256_BYTES, r + P256_BYTES, P256_BYTES, der, &size) != 0)
        return -EACCES;
    ecc_key *ecc = ecc_make(key, &result);
    if (ecc == NULL)
        return result;
    result =
        wc_ecc_verify_hash(der, size, digest, (word32)hashes[CRYPTO_SHA256].size, &is_right, ecc);
    wc_ecc_key_free(ecc);
    if (result == MEMORY_E)
        return -ENOMEM;
    return result == 0 && is_right == 1 ? 0 : -EACCES;
}

/* ---------------------------------------------------------------- EdDSA */

static int ed25519_make(const struct crypto_key *key, ed25519_key *ret_key)
{
    if (key->x.size != ED25519_PUB_KEY_SIZE)
        return BAD_FUNC_ARG;
    int result = wc_ed25519_init(ret_key);
    return result == 0 ? wc_ed25519_import_public(bytes_of(key->x), (word32)key->x.size, ret_key)
                       : result;
}

static const char *ed25519_problem(const struct crypto_key *key)
{
    ed25519_key ed;
    if (ed25519_make(key, &ed) != 0)
        return "not an Ed25519 key: \"x\" is its 32 bytes";
    wc_ed25519_free(&ed);
    return NULL;
}

static int ed25519_verify(const struct crypto_key *key, struct slice text, struct slice signature)
{
    ed25519_key ed;
    int is_right = 0;
    if (signature.size != ED25519_SIG_SIZE)
        return -EACCES;
    int result = ed25519_make(key, &ed);
    if (result != 0)
        return error_of(result);
    result = wc_ed25519_verify_msg(bytes_of(signature), (word32)signature.size, bytes_of(text),
                                   (word32)text.size, &is_right, &ed);
    wc_ed25519_free(&ed);
    if (result == MEMORY_E)
        return -ENOMEM;
    return result == 0 && is_right == 1 ? 0 : -EACCES;
}

/* ---------------------------------------------------------------- all */

const char *crypto_key_problem(const struct crypto_key *key)
{
    return key->algorithm == CRYPTO_RS256   ? rsa_problem(key)
           : key->algorithm == CRYPTO_ES256 ? ecc_problem(key)
                                            : ed25519_problem(key);
}

int crypto_verify(const struct crypto_key *key, struct slice text, struct slice signature)
{
    uint8_t digest[CRYPTO_DIGEST_BYTES_MAX];
    if (text.size > SIZE_MAX_ALL)
        return -EACCES;
    if (key->algorithm == CRYPTO_EDDSA)
        return ed25519_verify(key, text, signature);
    int result = crypto_digest(CRYPTO_SHA256, text, digest);
    if (result < 0)
        return result;
    return key->algorithm == CRYPTO_RS256 ? rsa_verify(key, digest, signature)
                                          : ecc_verify(key, digest, signature);
}
