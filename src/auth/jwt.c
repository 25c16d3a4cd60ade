/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * JSON Web Tokens (RFC 7519) in the compact form (RFC 7515), checked against the keys of a JWKS
 * file (RFC 7517). The door to jansson.
 *
 *   header . payload . signature ─▶ header's alg and kid choose the key ─▶ signature ─▶ payload
 *
 * Invariants (RFC 8725):
 *   1. the key says by which algorithm it verifies; the header can only agree. "none" and HMAC are
 *      no key's.
 *   2. nothing of the payload is looked at before its signature was right.
 *   3. a token ends: without "exp" it is not taken.
 *   4. JSON nests to DEPTH_MAX only: jansson's parser recurses.
 */
#include "jwt.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "crypto.h"
#include "ringpost/base64.h"
#include "ringpost/directory.h"

enum {
    KEYS_MAX = 32,
    KEY_ID_BYTES_MAX = 255,
    CLAIM_BYTES_MAX = 255,
    DEPTH_MAX = 16,
    LEEWAY_S = 60, /* clocks differ */
    JWKS_BYTES_MAX = 1 << 20
};

struct token_key {
    struct crypto_key key; /* its slices: x and y */
    struct slice id;       /* in id_text; data NULL: it has none */
    char x[CRYPTO_RSA_BITS_MAX / 8], y[32], id_text[KEY_ID_BYTES_MAX];
};

struct auth_tokens {
    const struct auth_directory *introspection;
    struct slice issuer, audience, user_claim;
    char text[3][CLAIM_BYTES_MAX + 1];
    unsigned key_count;
    struct token_key keys[KEYS_MAX];
};

static const struct {
    const char *name, *type, *curve, *x, *y;
} algorithms[CRYPTO_ALGORITHM_COUNT] = {
    [CRYPTO_RS256] = {"RS256", "RSA", NULL, "n", "e"},
    [CRYPTO_ES256] = {"ES256", "EC", "P-256", "x", "y"},
    [CRYPTO_EDDSA] = {"EdDSA", "OKP", "Ed25519", "x", NULL},
};

/* ---------------------------------------------------------------- JSON */

static bool is_deep(struct slice text)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '[') && ++depth > DEPTH_MAX)
            return true;
        else if (!in_string && (c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return false;
}

/* NULL: not JSON, or not an object. */
static json_t *object_of(struct slice text)
{
    if (text.size == 0 || is_deep(text))
        return NULL;
    json_t *json = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    if (json != NULL && !json_is_object(json)) {
        json_decref(json);
        json = NULL;
    }
    return json;
}

/* data NULL: it has none, or it is no string. */
static struct slice string_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? slice_of(json_string_value(value), json_string_length(value))
                                 : (struct slice){0};
}

/* ---------------------------------------------------------------- keys */

/* Leading zeros off. */
static struct slice trimmed(struct slice number)
{
    while (number.size > 0 && number.data[0] == 0)
        number = slice_from(number, 1);
    return number;
}

static bool bytes_read(const json_t *json, const char *name, char *bytes, size_t size_max,
                       struct slice *ret_bytes)
{
    struct slice text = string_of(json, name);
    char decoded[CRYPTO_RSA_BITS_MAX / 6 + 64];
    size_t size;
    if (text.data == NULL || text.size > sizeof decoded ||
        !base64url_decode(text, decoded, &size) || size > size_max)
        return false;
    memcpy(bytes, decoded, size);
    *ret_bytes = slice_of(bytes, size);
    return true;
}

/* The algorithm of a key, or CRYPTO_ALGORITHM_COUNT: none of ours. */
static enum crypto_algorithm algorithm_of(const json_t *json)
{
    struct slice type = string_of(json, "kty"), curve = string_of(json, "crv"),
                 name = string_of(json, "alg"), use = string_of(json, "use");
    unsigned i = 0;
    while (i < CRYPTO_ALGORITHM_COUNT &&
           (!slice_equal(type, slice_cstr(algorithms[i].type)) ||
            (algorithms[i].curve != NULL && !slice_equal(curve, slice_cstr(algorithms[i].curve))) ||
            (name.data != NULL && !slice_equal(name, slice_cstr(algorithms[i].name)))))
        i++;
    bool is_other = use.data != NULL && !slice_equal(use, SLICE("sig"));
    return is_other ? CRYPTO_ALGORITHM_COUNT : (enum crypto_algorithm)i;
}

static const char *key_read(const json_t *json, enum crypto_algorithm algorithm,
                            struct token_key *key)
{
    struct slice id = string_of(json, "kid");
    key->key.algorithm = algorithm;
    if (id.size > sizeof key->id_text)
        return "jwks: a \"kid\" of more than 255 bytes: give the key a shorter one";
    if (id.data != NULL) {
        memcpy(key->id_text, id.data, id.size);
        key->id = slice_of(key->id_text, id.size);
    }
    if (!bytes_read(json, algorithms[algorithm].x, key->x, sizeof key->x, &key->key.x) ||
        (algorithms[algorithm].y != NULL &&
         !bytes_read(json, algorithms[algorithm].y, key->y, sizeof key->y, &key->key.y)))
        return "jwks: a key's numbers are missing or too long, or not base64url: take the file as "
               "the issuer publishes it";
    if (algorithm == CRYPTO_RS256) {
        key->key.x = trimmed(key->key.x);
        key->key.y = trimmed(key->key.y);
    }
    return crypto_key_problem(&key->key);
}

static const char *keys_read(struct slice text, struct auth_tokens *tokens)
{
    const char *problem = NULL;
    if (text.size > JWKS_BYTES_MAX)
        return "jwks: larger than 1 MiB: take the issuer's keys only";
    json_t *json = object_of(text);
    const json_t *keys = json_object_get(json, "keys");
    if (!json_is_array(keys))
        problem = "jwks: not a key set: expected {\"keys\": [...]} (RFC 7517)";
    for (size_t i = 0; problem == NULL && i < json_array_size(keys); i++) {
        const json_t *one = json_array_get(keys, i);
        enum crypto_algorithm algorithm = algorithm_of(one);
        if (algorithm == CRYPTO_ALGORITHM_COUNT)
            continue;
        problem = tokens->key_count == KEYS_MAX
                      ? "jwks: more than 32 keys: remove those no longer in use"
                      : key_read(one, algorithm, &tokens->keys[tokens->key_count++]);
    }
    if (problem == NULL && tokens->key_count == 0)
        problem = "jwks: no key for RS256, ES256 (P-256) or EdDSA (Ed25519)";
    json_decref(json);
    return problem;
}

static bool keep(struct slice from, char text[CLAIM_BYTES_MAX + 1], struct slice *ret_slice)
{
    if (from.size > CLAIM_BYTES_MAX || slice_find(from, '\0') < from.size)
        return false;
    if (from.size > 0)
        memcpy(text, from.data, from.size);
    text[from.size] = '\0';
    *ret_slice = slice_of(text, from.size);
    return true;
}

const char *auth_tokens_make(const struct auth_token_options *options,
                             struct auth_tokens **ret_tokens)
{
    const char *problem = NULL;
    struct auth_tokens *tokens = calloc(1, sizeof *tokens);
    if (tokens == NULL)
        return "out of memory";
    json_object_seed(1); /* else it reads a seed from a file; what is parsed is small */
    tokens->introspection = options->introspection;
    if (!keep(options->issuer, tokens->text[0], &tokens->issuer) ||
        !keep(options->audience, tokens->text[1], &tokens->audience) ||
        !keep(options->user_claim, tokens->text[2], &tokens->user_claim))
        problem = "issuer, audience and user claim have 255 bytes at most";
    else if (options->introspection != NULL && options->introspection->kind->ask_token == NULL)
        problem = "this directory cannot introspect tokens: name one of kind http";
    else if (options->jwks.size == 0 && options->introspection == NULL)
        problem = "nothing to check tokens with: give a JWKS file or an introspection directory";
    else if (options->jwks.size > 0 && options->user_claim.size == 0)
        problem = "say which claim of a token names the user, for example \"email\"";
    else if (options->jwks.size > 0)
        problem = keys_read(options->jwks, tokens);
    if (problem != NULL)
        free(tokens);
    else
        *ret_tokens = tokens;
    return problem;
}

void auth_tokens_free(struct auth_tokens *tokens)
{
    free(tokens);
}

const struct auth_directory *jwt_introspection(const struct auth_tokens *tokens)
{
    return tokens->introspection;
}

/* ---------------------------------------------------------------- tokens */

/* The one key that the header means, or NULL. Without "kid" there must be no choice. */
static const struct token_key *key_of(const struct auth_tokens *tokens, const json_t *header)
{
    const struct token_key *found = NULL;
    struct slice algorithm = string_of(header, "alg");
    const json_t *id = json_object_get(header, "kid");
    if (id != NULL && !json_is_string(id))
        return NULL;
    for (unsigned i = 0; i < tokens->key_count; i++) {
        const struct token_key *key = &tokens->keys[i];
        if (!slice_equal(algorithm, slice_cstr(algorithms[key->key.algorithm].name)))
            continue;
        if (id != NULL && (key->id.data == NULL || !slice_equal(key->id, string_of(header, "kid"))))
            continue;
        if (found != NULL)
            return NULL;
        found = key;
    }
    return found;
}

/* Seconds, whole or not (RFC 7519, section 2). False: there, but no number. */
static bool time_of(const json_t *claims, const char *name, double otherwise, double *ret_s)
{
    const json_t *value = json_object_get(claims, name);
    *ret_s = value == NULL ? otherwise : json_number_value(value);
    return value == NULL || json_is_number(value);
}

static bool is_current(const json_t *claims, int64_t now_s)
{
    double end, from, issued, now = (double)now_s;
    return time_of(claims, "exp", 0, &end) && time_of(claims, "nbf", now, &from) &&
           time_of(claims, "iat", now, &issued) && now < end + LEEWAY_S && from <= now + LEEWAY_S &&
           issued <= now + LEEWAY_S;
}

static bool is_for(const json_t *claims, struct slice audience)
{
    const json_t *list = json_object_get(claims, "aud");
    if (audience.size == 0 || slice_equal(string_of(claims, "aud"), audience))
        return true;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (json_is_string(one) &&
            slice_equal(slice_of(json_string_value(one), json_string_length(one)), audience))
            return true;
    }
    return false;
}

static int claims_check(const struct auth_tokens *tokens, const json_t *claims, int64_t now_s,
                        char *ret_user)
{
    struct slice issuer = string_of(claims, "iss");
    struct slice user = string_of(claims, tokens->user_claim.data);
    bool is_unverified = slice_equal(tokens->user_claim, SLICE("email")) &&
                         json_is_false(json_object_get(claims, "email_verified"));
    if (!is_current(claims, now_s) || !is_for(claims, tokens->audience) ||
        (tokens->issuer.size > 0 && !slice_equal(issuer, tokens->issuer)) || user.size == 0 ||
        user.size > AUTH_USER_BYTES_MAX || slice_find(user, '\0') < user.size || is_unverified)
        return -EACCES;
    memcpy(ret_user, user.data, user.size);
    ret_user[user.size] = '\0';
    return 0;
}

/* The parts, decoded behind each other into `text`. */
struct parts {
    struct slice head, payload, signature;
    struct slice said; /* what is signed, as it came */
};

static bool parts_read(struct slice token, char *text, struct parts *ret_parts)
{
    struct slice rest = token, decoded[3];
    for (unsigned i = 0; i < 3; i++) {
        size_t at = slice_find(rest, '.'), size;
        if ((at == rest.size) != (i == 2) || at == 0 ||
            !base64url_decode(slice_first(rest, at), text, &size))
            return false;
        decoded[i] = slice_of(text, size);
        text += size;
        if (i == 2)
            ret_parts->said = slice_first(token, token.size - rest.size - 1);
        rest = slice_from(rest, at + 1);
    }
    ret_parts->head = decoded[0];
    ret_parts->payload = decoded[1];
    ret_parts->signature = decoded[2];
    return true;
}

static int parts_check(const struct auth_tokens *tokens, const struct parts *parts,
                       const json_t *header, int64_t now_s, char *ret_user)
{
    const struct token_key *key = key_of(tokens, header);
    if (key == NULL || json_object_get(header, "crit") != NULL)
        return -EACCES;
    int result = crypto_verify(&key->key, parts->said, parts->signature);
    if (result < 0)
        return result == -EACCES ? -EACCES : -EAGAIN;
    json_t *claims = object_of(parts->payload);
    result = claims != NULL ? claims_check(tokens, claims, now_s, ret_user) : -EACCES;
    json_decref(claims);
    return result;
}

int jwt_check(const struct auth_tokens *tokens, struct slice token, int64_t now_s,
              char ret_user[AUTH_USER_BYTES_MAX + 1])
{
    struct parts parts;
    if (tokens->key_count == 0)
        return -ENOENT;
    char *text = malloc(token.size + 1);
    if (text == NULL)
        return -EAGAIN;
    int result = -ENOENT;
    if (parts_read(token, text, &parts)) {
        json_t *header = object_of(parts.head);
        if (header != NULL)
            result = parts_check(tokens, &parts, header, now_s, ret_user);
        json_decref(header);
    }
    explicit_bzero(text, token.size);
    free(text);
    return result;
}
