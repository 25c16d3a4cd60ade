/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Stored records of SCRAM: read, made, and checked against a password that came by PLAIN.
 *
 * Passwords are taken as they are: of SASLprep (RFC 4013) only its refusal of control bytes and of
 * what is not UTF-8 is done where records are made.
 */
#include "scram.h"

#include <errno.h>

#include "ringpost/base64.h"
#include "ringpost/number.h"

static const char *const broken =
    "broken SCRAM record: it was cut or altered; make a new one with `ringpost user passwd`";

/* Takes base64 up to the comma off *rest. False: not base64, or not of that size. */
static bool take_bytes(struct slice *rest, size_t size_min, size_t size_max, uint8_t *bytes,
                       size_t *ret_size)
{
    char decoded[SCRAM_RECORD_BYTES_MAX];
    size_t size;
    struct slice field = slice_first(*rest, slice_find(*rest, ','));
    *rest = slice_from(*rest, field.size + 1);
    if (field.size > sizeof decoded || !base64_decode(field, decoded, &size) || size < size_min ||
        size > size_max)
        return false;
    memcpy(bytes, decoded, size);
    *ret_size = size;
    explicit_bzero(decoded, sizeof decoded);
    return true;
}

const char *scram_record_parse(enum crypto_hash hash, struct slice text,
                               struct scram_record *ret_record)
{
    size_t digest = crypto_digest_size(hash), size;
    uint64_t iterations;
    if (text.size > SCRAM_RECORD_BYTES_MAX)
        return broken;
    struct slice first = slice_first(text, slice_find(text, ','));
    if (!slice_number(first, UINT32_MAX, &iterations) || first.data[0] == '0')
        return broken;
    if (iterations < SCRAM_ITERATIONS_MIN)
        return "a SCRAM record of fewer than 4096 iterations is easily guessed: make a new one";
    if (iterations > SCRAM_ITERATIONS_MAX)
        return "a SCRAM record of more than 1000000 iterations would hold up log-ins: make a new "
               "one";
    text = slice_from(text, first.size + 1);
    ret_record->iterations = (unsigned)iterations;
    if (!take_bytes(&text, SCRAM_SALT_BYTES_MIN, SCRAM_SALT_BYTES_MAX, ret_record->salt,
                    &ret_record->salt_size) ||
        !take_bytes(&text, digest, digest, ret_record->stored_key, &size))
        return broken;
    bool is_last = slice_find(text, ',') == text.size;
    return is_last && take_bytes(&text, digest, digest, ret_record->server_key, &size) ? NULL
                                                                                       : broken;
}

int scram_record_derive(enum crypto_hash hash, struct slice password, struct scram_record *record)
{
    uint8_t salted[CRYPTO_DIGEST_BYTES_MAX], client[CRYPTO_DIGEST_BYTES_MAX];
    size_t size = crypto_digest_size(hash);
    struct slice key = slice_of(salted, size), name = SLICE("Client Key");
    int result = crypto_pbkdf2(hash, password, slice_of(record->salt, record->salt_size),
                               record->iterations, salted);
    if (result == 0)
        result = crypto_hmac(hash, key, &name, 1, client);
    if (result == 0)
        result = crypto_digest(hash, slice_of(client, size), record->stored_key);
    name = SLICE("Server Key");
    if (result == 0)
        result = crypto_hmac(hash, key, &name, 1, record->server_key);
    explicit_bzero(salted, sizeof salted);
    explicit_bzero(client, sizeof client);
    return result;
}

size_t scram_record_print(enum crypto_hash hash, const struct scram_record *record, char *text)
{
    size_t digest = crypto_digest_size(hash), size = number_decimal(text, record->iterations);
    const struct slice parts[] = {slice_of(record->salt, record->salt_size),
                                  slice_of(record->stored_key, digest),
                                  slice_of(record->server_key, digest)};
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        text[size++] = ',';
        size += base64_encode(parts[i], text + size);
    }
    return size;
}

int scram_record_verify(enum crypto_hash hash, struct slice text, struct slice password)
{
    struct scram_record record, is;
    if (scram_record_parse(hash, text, &record) != NULL)
        return -EINVAL;
    is = record;
    int result = scram_record_derive(hash, password, &is);
    if (result == 0)
        result = crypto_equal(is.stored_key, record.stored_key, crypto_digest_size(hash));
    explicit_bzero(&record, sizeof record);
    explicit_bzero(&is, sizeof is);
    return result;
}
