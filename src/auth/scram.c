/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802, RFC 7677), with and without binding to the TLS channel
 * by tls-exporter (RFC 9266): the password itself never comes here.
 *
 *   client: n,,n=anna,r=NONCE  ─▶  record of anna, or a dummy that only fails
 *           ◀─ r=NONCE+OURS,s=SALT,i=ITERATIONS
 *           c=...,r=...,p=PROOF  ─▶  H(PROOF ^ HMAC(StoredKey, all said)) == StoredKey?
 *           ◀─ v=HMAC(ServerKey, all said)        (empty)  ─▶  0
 *
 * A failure is said by the protocol alone, without "e=" (RFC 5802, section 5.1, allows it): it
 * costs no turn and says the same of everything that can be wrong (M3).
 */
#include "scram.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ringpost/base64.h"
#include "sasl_private.h"

enum {
    OUR_NONCE_BYTES = 18, /* in base64 24 */
    SERVER_FIRST_BYTES_MAX = SCRAM_NONCE_BYTES_MAX + 200,
    VERIFIER_BYTES_MAX = 2 + (CRYPTO_DIGEST_BYTES_MAX + 2) / 3 * 4
};

static const struct variant {
    enum crypto_hash hash;
    bool binds;
    struct slice scheme; /* what its records begin with */
} variants[AUTH_MECHANISM_COUNT] = {
    [AUTH_SCRAM_SHA_256_PLUS] = {CRYPTO_SHA256, true, {"{SCRAM-SHA-256}", 15}},
    [AUTH_SCRAM_SHA_256] = {CRYPTO_SHA256, false, {"{SCRAM-SHA-256}", 15}},
    [AUTH_SCRAM_SHA_1_PLUS] = {CRYPTO_SHA1, true, {"{SCRAM-SHA-1}", 13}},
    [AUTH_SCRAM_SHA_1] = {CRYPTO_SHA1, false, {"{SCRAM-SHA-1}", 13}},
};

/* One run; on the heap, wiped at its end. */
struct scram {
    struct sasl *sasl;
    const struct variant *variant;
    struct scram_first first; /* in `text` */
    size_t user_size, acts_as_size, server_first_size;
    size_t nonce_offset, nonce_size; /* of both together, in server_first */
    struct scram_record record;
    struct directory_record found;
    char text[SCRAM_FIRST_BYTES_MAX], user[SCRAM_FIRST_BYTES_MAX], acts_as[SCRAM_FIRST_BYTES_MAX];
    char server_first[SERVER_FIRST_BYTES_MAX];
    char decoded[SCRAM_FINAL_BYTES_MAX];
};

static int read_first(struct scram *scram)
{
    struct slice message;
    int result = sasl_first(scram->sasl, (struct slice){0}, &message);
    if (result < 0)
        return result;
    if (message.size > sizeof scram->text)
        return -EBADMSG;
    if (message.size > 0)
        memcpy(scram->text, message.data, message.size);
    struct scram_first *first = &scram->first;
    return scram_first_parse(slice_of(scram->text, message.size), first) &&
                   scram_name_decode(first->user, scram->user, &scram->user_size) &&
                   scram_name_decode(first->acts_as, scram->acts_as, &scram->acts_as_size)
               ? 0
               : -EBADMSG;
}

/* Is the channel bound as this mechanism wants it? A client that says 'y' was not told of -PLUS
 * though we offer it: somebody between us has altered our list (RFC 5802, section 6). */
static bool is_bound_right(const struct scram *scram)
{
    const struct scram_first *first = &scram->first;
    if (scram->variant->binds)
        return first->flag == 'p' && slice_equal(first->binding, SLICE("tls-exporter"));
    return first->flag == 'n' ||
           (first->flag == 'y' && !sasl_offers_binding(scram->sasl->core, scram->sasl->client));
}

static int find_record(struct scram *scram, struct auth_try *t)
{
    int result = auth_try_record(t, &scram->found);
    if (result < 0)
        return result;
    struct slice scheme = scram->variant->scheme;
    struct slice hash = password_find(slice_cstr(scram->found.secret), scheme);
    const char *problem =
        scram_record_parse(scram->variant->hash, slice_from(hash, scheme.size), &scram->record);
    return problem == NULL ? 0 : -EACCES;
}

/* r=...,s=...,i=... */
static void make_challenge(struct scram *scram)
{
    char random[OUR_NONCE_BYTES], ours[OUR_NONCE_BYTES / 3 * 4];
    char salt[(SCRAM_SALT_BYTES_MAX + 2) / 3 * 4];
    core_random(scram->sasl->core, random, sizeof random);
    base64_encode(slice_of(random, sizeof random), ours);
    size_t salt_size = base64_encode(slice_of(scram->record.salt, scram->record.salt_size), salt);
    struct slice theirs = scram->first.nonce;
    scram->nonce_offset = 2;
    scram->nonce_size = theirs.size + sizeof ours;
    scram->server_first_size = (size_t)snprintf(
        scram->server_first, sizeof scram->server_first, "r=%.*s%.*s,s=%.*s,i=%u", (int)theirs.size,
        theirs.data, (int)sizeof ours, ours, (int)salt_size, salt, scram->record.iterations);
}

/* Does "c=" repeat the head of the first message, and name this channel? */
static bool is_same_channel(struct scram *scram, struct slice base64)
{
    struct slice head = scram->first.head;
    size_t bound = scram->variant->binds ? sizeof scram->sasl->client->binding : 0, size;
    return base64.size <= sizeof scram->decoded && base64_decode(base64, scram->decoded, &size) &&
           size == head.size + bound && memcmp(scram->decoded, head.data, head.size) == 0 &&
           crypto_equal(scram->decoded + head.size, scram->sasl->client->binding, bound);
}

/* 0 with what proves that we know the record too; -EACCES; -EAGAIN. */
static int check_proof(struct scram *scram, const struct scram_final *final, uint8_t *verifier)
{
    enum crypto_hash hash = scram->variant->hash;
    uint8_t key[CRYPTO_DIGEST_BYTES_MAX], stored[CRYPTO_DIGEST_BYTES_MAX];
    size_t digest = crypto_digest_size(hash), size;
    const struct slice said[] = {scram->first.bare, SLICE(","),
                                 slice_of(scram->server_first, scram->server_first_size),
                                 SLICE(","), final->unproved};
    enum { SAID = sizeof said / sizeof said[0] };
    struct slice nonce = slice_of(scram->server_first + scram->nonce_offset, scram->nonce_size);
    if (!slice_equal(final->nonce, nonce) || !is_same_channel(scram, final->binding) ||
        final->proof.size > sizeof scram->decoded ||
        !base64_decode(final->proof, scram->decoded, &size) || size != digest)
        return -EACCES;
    int result = crypto_hmac(hash, slice_of(scram->record.stored_key, digest), said, SAID, key);
    for (size_t i = 0; i < digest && result == 0; i++)
        key[i] ^= (uint8_t)scram->decoded[i];
    if (result == 0)
        result = crypto_digest(hash, slice_of(key, digest), stored);
    if (result == 0)
        result =
            crypto_hmac(hash, slice_of(scram->record.server_key, digest), said, SAID, verifier);
    bool is_right = result == 0 && crypto_equal(stored, scram->record.stored_key, digest);
    explicit_bzero(key, sizeof key);
    explicit_bzero(stored, sizeof stored);
    return result < 0 ? -EAGAIN : is_right ? 0 : -EACCES;
}

/* The verdict. The client is told that we know its record only if it knows the password. */
static int talk(struct scram *scram, struct auth_try *t)
{
    struct slice message;
    struct scram_final final;
    uint8_t verifier[CRYPTO_DIGEST_BYTES_MAX];
    char text[VERIFIER_BYTES_MAX] = "v=";
    if (!is_bound_right(scram))
        return -EACCES;
    int result = find_record(scram, t);
    if (result < 0)
        return result;
    make_challenge(scram);
    result =
        sasl_ask(scram->sasl, slice_of(scram->server_first, scram->server_first_size), &message);
    if (result < 0)
        return result;
    if (!scram_final_parse(message, &final))
        return -EBADMSG;
    result = check_proof(scram, &final, verifier);
    if (result < 0)
        return result;
    size_t size = crypto_digest_size(scram->variant->hash);
    size = 2 + base64_encode(slice_of(verifier, size), text + 2);
    result = sasl_ask(scram->sasl, slice_of(text, size), &message);
    return result == 0 && message.size > 0 ? -EBADMSG : result;
}

static int run(struct scram *scram)
{
    struct sasl *sasl = scram->sasl;
    struct auth_try *t;
    int result = read_first(scram);
    if (result == 0)
        result = auth_try_begin_as(sasl->core, sasl->client, sasl->mechanism,
                                   slice_of(scram->user, scram->user_size),
                                   slice_of(scram->acts_as, scram->acts_as_size), &t);
    if (result < 0)
        return result;
    return auth_try_end(t, talk(scram, t), (struct slice){0}, sasl->ret_result, sasl->ret_proof);
}

int scram_run(struct sasl *sasl)
{
    struct scram *scram = calloc(1, sizeof *scram);
    if (scram == NULL)
        return -EAGAIN;
    scram->sasl = sasl;
    scram->variant = &variants[sasl->number];
    int result = run(scram);
    explicit_bzero(scram, sizeof *scram);
    free(scram);
    return result;
}
