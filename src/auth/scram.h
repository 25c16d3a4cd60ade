/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is stored of a password for SCRAM (RFC 5802, section 3), as text:
 *
 *   {SCRAM-SHA-256}iterations,salt,StoredKey,ServerKey      {SCRAM-SHA-1}... (all base64)
 *
 * It is worth as much as a hash: who reads it can guess offline, and pretend to be the server.
 */
#ifndef RINGPOST_SCRAM_H
#define RINGPOST_SCRAM_H

#include "crypto.h"

enum {
    SCRAM_ITERATIONS_MIN = 4096,    /* RFC 5802, section 5.1; RFC 7677, section 4 */
    SCRAM_ITERATIONS_MAX = 1000000, /* some 0.5 s of a client's phone, or of PLAIN here */
    SCRAM_SALT_BYTES_MIN = 8,
    SCRAM_SALT_BYTES_MAX = 64,
    SCRAM_RECORD_BYTES_MAX = 255
};

struct scram_record {
    unsigned iterations;
    size_t salt_size;
    uint8_t salt[SCRAM_SALT_BYTES_MAX];
    uint8_t stored_key[CRYPTO_DIGEST_BYTES_MAX], server_key[CRYPTO_DIGEST_BYTES_MAX];
};

/* `text` is what follows the braces. NULL, or what is wrong and the fix. */
const char *scram_record_parse(enum crypto_hash hash, struct slice text,
                               struct scram_record *ret_record);
/* Blocking and slow. iterations in range, salt in *record. 0 or -errno. */
int scram_record_derive(enum crypto_hash hash, struct slice password, struct scram_record *record);
/* Without braces; the size. `text` holds SCRAM_RECORD_BYTES_MAX. */
size_t scram_record_print(enum crypto_hash hash, const struct scram_record *record, char *text);
/* Blocking and slow. 1 it is its password, 0 it is not, or -errno. */
int scram_record_verify(enum crypto_hash hash, struct slice text, struct slice password);

#endif
