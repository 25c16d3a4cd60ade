/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The cryptography of mechanisms and tokens: digests, HMAC, PBKDF2, signatures. The door to
 * wolfCrypt.
 *
 * Invariants:
 *   K1 what held a secret is wiped on every way out.
 *   K2 secrets are compared in a time that depends on their sizes only.
 * Nothing waits, nothing is shared. Signatures take some 100 us and PBKDF2 seconds: on helper
 * threads.
 */
#ifndef RINGPOST_CRYPTO_H
#define RINGPOST_CRYPTO_H

#include "ringpost/slice.h"

enum crypto_hash { CRYPTO_SHA1, CRYPTO_SHA256 };
enum { CRYPTO_DIGEST_BYTES_MAX = 32 };

size_t crypto_digest_size(enum crypto_hash hash);
/* Each of these: 0, -ENOMEM, or -EINVAL (a size that the library does not take). */
int crypto_digest(enum crypto_hash hash, struct slice data, uint8_t *ret_digest);
/* Over the pieces, one behind the other. */
int crypto_hmac(enum crypto_hash hash, struct slice key, const struct slice *pieces, unsigned count,
                uint8_t *ret_digest);
/* As much as one digest (RFC 5802: Hi). */
int crypto_pbkdf2(enum crypto_hash hash, struct slice password, struct slice salt,
                  unsigned iterations, uint8_t *ret_digest);
bool crypto_equal(const void *a, const void *b, size_t size); /* K2 */

/* ---------------------------------------------------------------- signatures (RFC 7518, 8037) */

enum crypto_algorithm { CRYPTO_RS256, CRYPTO_ES256, CRYPTO_EDDSA, CRYPTO_ALGORITHM_COUNT };

enum { CRYPTO_RSA_BITS_MIN = 2048, CRYPTO_RSA_BITS_MAX = 4096 };

/* A public key as the numbers of a JWK, big-endian. */
struct crypto_key {
    enum crypto_algorithm algorithm;
    struct slice x; /* RSA: modulus; P-256: x, 32 bytes; Ed25519: the key, 32 bytes */
    struct slice y; /* RSA: exponent; P-256: y, 32 bytes */
};
/* NULL, or what is wrong with the key and the fix. */
const char *crypto_key_problem(const struct crypto_key *key);
/* A key without a problem. 0; -EACCES: not signed by it; -ENOMEM. */
int crypto_verify(const struct crypto_key *key, struct slice text, struct slice signature);

#endif
