/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is stored of a password for SCRAM (RFC 5802, section 3), as text:
 *
 *   {SCRAM-SHA-256}iterations,salt,StoredKey,ServerKey      {SCRAM-SHA-1}... (all base64)
 *
 * It is worth as much as a hash: who reads it can guess offline, and pretend to be the server.
 * And the client's two messages (section 7), taken apart.
 */
#ifndef RINGPOST_SCRAM_H
#define RINGPOST_SCRAM_H

#include "crypto.h"
#include "ringpost/auth.h"

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

/* ---------------------------------------------------------------- messages; pure */

enum {
    SCRAM_FIRST_BYTES_MAX = 3072, /* two names whose every byte is escaped, a nonce */
    SCRAM_FINAL_BYTES_MAX = 6144, /* the first's head again, in base64 */
    SCRAM_NONCE_BYTES_MAX = 256   /* the client's part */
};

/* Slices into the message. */
struct scram_first {
    char flag;                  /* 'n' no binding, 'y' it thinks we cannot, 'p' bound */
    struct slice binding;       /* with 'p': by what */
    struct slice head, bare;    /* gs2-header with both commas, client-first-message-bare */
    struct slice acts_as, user; /* as sent: =2C and =3D */
    struct slice nonce;
};

/* False: not such a message (a mandatory extension too: none is known). */
bool scram_first_parse(struct slice message, struct scram_first *ret_first);
/* =2C and =3D taken back. False: another '=', a control byte, or not UTF-8. `text` holds as much as
 * the name. */
bool scram_name_decode(struct slice name, char *text, size_t *ret_size);

struct scram_final {
    struct slice binding, nonce, proof; /* of these, binding and proof in base64 */
    struct slice unproved;              /* the message before ",p=" */
};

bool scram_final_parse(struct slice message, struct scram_final *ret_final);

#endif
