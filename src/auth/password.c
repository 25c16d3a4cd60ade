/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Hashes of passwords: the only file that knows libxcrypt and libsodium. One table says which
 * methods are taken and how their hashes look:
 *
 *   $y$params$salt$digest   $6$[rounds=N$]salt$digest   $5$ as $6$   $2b$NN$saltdigest
 *   $argon2id$v=19$m=KiB,t=passes,p=lanes$salt$digest
 *   {SCRAM-SHA-256}iterations,salt,StoredKey,ServerKey   {SCRAM-SHA-1} as that
 *
 * A user may have several, blanks between; each alone is good for a log-in.
 *
 * Hashes are looked at closely when they are read: one that cannot be used, or that would take a
 * helper thread minutes or gigabytes, is refused there and not when its user logs in. Of memory
 * argon2id takes most, 64 MiB, once per helper thread that computes (two).
 * Memory that held a password is wiped (A4).
 */
#include "auth_private.h"

#include <crypt.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "ringpost/base64.h"
#include "scram.h"

enum {
    ROUNDS_MAX = 5000000,     /* of SHA-crypt: some 3 s */
    BCRYPT_COST_MAX = 16,     /* some 5 s */
    YESCRYPT_N_LOG2_MAX = 15, /* with r = 32: 128 MiB */
    YESCRYPT_R_MAX = 32,
    ARGON2_KIB_MAX = 65536,
    ARGON2_PASSES_MAX = 10, /* some 0.7 s */
    ARGON2_PASSES = 2,      /* of those made here; with ARGON2_KIB_MAX some 0.15 s */
    ARGON2_LANES_MAX = 16,
    ARGON2_SALT_BYTES = crypto_pwhash_SALTBYTES,
    ARGON2_DIGEST_BYTES = 32,
    RANDOM_BYTES_MIN = 16
};

_Static_assert(ARGON2_SALT_BYTES <= RANDOM_BYTES_MIN, "salts are taken of them");
_Static_assert(AUTH_PASSWORD_BYTES_MAX < CRYPT_MAX_PASSPHRASE_SIZE, "crypt(3) takes no more");

/* Position of c in crypt's alphabet, or -1. */
static int digit_of(char c)
{
    if (c == '.' || c == '/')
        return c - '.';
    if (c >= '0' && c <= '9')
        return c - '0' + 2;
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 12;
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 38;
    return -1;
}

static bool is_digits(struct slice s, size_t size_min, size_t size_max)
{
    if (s.size < size_min || s.size > size_max)
        return false;
    for (size_t i = 0; i < s.size; i++)
        if (digit_of(s.data[i]) < 0)
            return false;
    return true;
}

/* Takes what stands before the next '$' (all, if there is none) off *rest. */
static struct slice take_field(struct slice *rest)
{
    struct slice field = slice_first(*rest, slice_find(*rest, '$'));
    *rest = slice_from(*rest, field.size + 1);
    return field;
}

static const char *const broken =
    "broken hash: it was cut or altered; make a new one with `ringpost user passwd`";
static const char *const costly =
    "a hash so costly that a log-in would hold up all others; make a new one at a usual cost";

static const char *sha_problem(struct slice rest, size_t digest_size)
{
    struct slice field = take_field(&rest);
    uint64_t rounds;
    if (slice_starts_nocase(field, SLICE("rounds="))) {
        if (!slice_number(slice_from(field, 7), UINT64_MAX, &rounds) || rounds < 1000)
            return broken;
        if (rounds > ROUNDS_MAX)
            return costly;
        field = take_field(&rest);
    }
    return is_digits(field, 1, 16) && is_digits(rest, digest_size, digest_size) ? NULL : broken;
}

static const char *bcrypt_problem(struct slice rest, size_t digest_size)
{
    uint64_t cost;
    if (!slice_number(take_field(&rest), 99, &cost) || cost < 4 ||
        !is_digits(rest, digest_size, digest_size))
        return broken;
    return cost > BCRYPT_COST_MAX ? costly : NULL;
}

static const char *yescrypt_problem(struct slice rest, size_t digest_size)
{
    struct slice params = take_field(&rest), salt = take_field(&rest);
    if (!is_digits(params, 1, 32) || !is_digits(salt, 1, 86) ||
        !is_digits(rest, digest_size, digest_size))
        return broken;
    if (params.size != 3 || params.data[0] != 'j' ||
        digit_of(params.data[1]) + 1 > YESCRYPT_N_LOG2_MAX ||
        digit_of(params.data[2]) + 1 > YESCRYPT_R_MAX)
        return costly;
    return NULL;
}

/* 8 bytes and more, in base64 without padding. */
static bool is_base64(struct slice s, size_t size_min, size_t size_max)
{
    if (s.size < size_min || s.size > size_max || s.size % 4 == 1)
        return false;
    for (size_t i = 0; i < s.size; i++)
        if (digit_of(s.data[i]) < 0 && s.data[i] != '+')
            return false;
    return slice_find(s, '.') == s.size;
}

/* Takes "name=number" up to the comma off *rest. */
static bool take_parameter(struct slice *rest, char name, uint64_t *ret_value)
{
    struct slice one = slice_first(*rest, slice_find(*rest, ','));
    *rest = slice_from(*rest, one.size + 1);
    return one.size > 2 && one.data[0] == name && one.data[1] == '=' && one.data[2] != '0' &&
           slice_number(slice_from(one, 2), UINT32_MAX, ret_value);
}

static const char *argon2_problem(struct slice rest, size_t digest_size)
{
    uint64_t kib, passes, lanes;
    (void)digest_size;
    if (!slice_equal(take_field(&rest), SLICE("v=19")))
        return broken;
    struct slice parameters = take_field(&rest), salt = take_field(&rest);
    if (!take_parameter(&parameters, 'm', &kib) || !take_parameter(&parameters, 't', &passes) ||
        !take_parameter(&parameters, 'p', &lanes) || parameters.size > 0 ||
        !is_base64(salt, 11, 64) || !is_base64(rest, 22, 86) || kib < 8 * lanes)
        return broken;
    return kib > ARGON2_KIB_MAX || passes > ARGON2_PASSES_MAX || lanes > ARGON2_LANES_MAX ? costly
                                                                                          : NULL;
}

static const char *scram_problem(struct slice rest, size_t digest_size)
{
    struct scram_record record;
    const char *problem = scram_record_parse(
        digest_size == crypto_digest_size(CRYPTO_SHA1) ? CRYPTO_SHA1 : CRYPTO_SHA256, rest,
        &record);
    explicit_bzero(&record, sizeof record);
    return problem;
}

static int crypt_verify(struct slice password, struct slice hash);
static int argon2_verify(struct slice password, struct slice hash);
static int scram_sha1_verify(struct slice password, struct slice hash);
static int scram_sha256_verify(struct slice password, struct slice hash);

static const struct method {
    struct slice prefix;
    const char *(*problem)(struct slice rest, size_t digest_size); /* of what follows the prefix */
    size_t digest_size;
    int (*verify)(struct slice password, struct slice hash);
    const char *refused;
} methods[] = {
    {{"$y$", 3}, yescrypt_problem, 43, crypt_verify, NULL},
    {{"$6$", 3}, sha_problem, 86, crypt_verify, NULL},
    {{"$5$", 3}, sha_problem, 43, crypt_verify, NULL},
    {{"$2b$", 4}, bcrypt_problem, 53, crypt_verify, NULL},
    {{"$2y$", 4}, bcrypt_problem, 53, crypt_verify, NULL},
    {{"$2a$", 4}, bcrypt_problem, 53, crypt_verify, NULL},
    {{"$argon2id$", 10}, argon2_problem, 0, argon2_verify, NULL},
    {{"{SCRAM-SHA-256}", 15}, scram_problem, 32, scram_sha256_verify, NULL},
    {{"{SCRAM-SHA-1}", 13}, scram_problem, 20, scram_sha1_verify, NULL},
    {{"$1$", 3}, NULL, 0, NULL, "MD5 is broken; make a new hash with `ringpost user passwd`"},
    {{"$md5", 4}, NULL, 0, NULL, "SunMD5 is broken; make a new hash with `ringpost user passwd`"},
    {{"$sha1", 5}, NULL, 0, NULL, "SHA-1 is broken; make a new hash with `ringpost user passwd`"},
    {{"$3$", 3}, NULL, 0, NULL, "NTHASH is broken; make a new hash with `ringpost user passwd`"},
    {{"$", 1},
     NULL,
     0,
     NULL,
     "unknown method; use yescrypt ($y$), SHA-512 ($6$), bcrypt ($2b$) or $argon2id$"},
    {{"_", 1}, NULL, 0, NULL, "DES is broken; make a new hash with `ringpost user passwd`"},
    {{"{", 1},
     NULL,
     0,
     NULL,
     "crypt(3) hashes stand without {SCHEME}: remove the braces and their name"},
};

static const struct method *method_of(struct slice hash)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct slice prefix = methods[i].prefix;
        if (hash.size >= prefix.size && memcmp(hash.data, prefix.data, prefix.size) == 0)
            return &methods[i];
    }
    return NULL;
}

bool password_is_locked(struct slice hash)
{
    return hash.size > 0 && (hash.data[0] == '!' || hash.data[0] == '*');
}

/* Takes one of several hashes, blanks between, off *rest. False: there is none. */
static bool take_hash(struct slice *rest, struct slice *ret_hash)
{
    while (rest->size > 0 && rest->data[0] == ' ')
        *rest = slice_from(*rest, 1);
    *ret_hash = slice_first(*rest, slice_find(*rest, ' '));
    *rest = slice_from(*rest, ret_hash->size);
    return ret_hash->size > 0;
}

static const char *hash_problem(struct slice hash)
{
    char setting[PASSWORD_HASH_BYTES_MAX + 1];
    if (hash.size > PASSWORD_HASH_BYTES_MAX)
        return broken;
    const struct method *method = method_of(hash);
    if (method == NULL && is_digits(hash, 13, 13))
        return "DES is broken; make a new hash with `ringpost user passwd`";
    if (method == NULL)
        return "not a hash; a password in clear is not taken: use `ringpost user passwd`";
    if (method->refused != NULL)
        return method->refused;
    const char *problem =
        method->problem(slice_from(hash, method->prefix.size), method->digest_size);
    if (problem != NULL || method->verify != crypt_verify)
        return problem;
    memcpy(setting, hash.data, hash.size);
    setting[hash.size] = '\0';
    int known = crypt_checksalt(setting);
    if (known != CRYPT_SALT_OK && known != CRYPT_SALT_METHOD_LEGACY) /* the table above judges */
        return "this system's crypt(3) does not know the method; use $y$ or $6$";
    return NULL;
}

const char *password_problem(struct slice hashes)
{
    struct slice hash;
    unsigned count = 0;
    if (password_is_locked(hashes))
        return NULL;
    while (take_hash(&hashes, &hash)) {
        const char *problem = hash_problem(hash);
        if (problem != NULL)
            return problem;
        if (++count > PASSWORD_HASHES_MAX)
            return "more than 8 hashes of one user: remove some";
    }
    return count > 0 ? NULL : "no hash: anybody could log in; write one, or ! for nobody";
}

size_t password_cost_size(struct slice hash)
{
    const struct method *method = method_of(hash);
    if (method == NULL || method->problem == NULL)
        return hash.size;
    size_t size = method->prefix.size;
    struct slice rest = slice_from(hash, size);
    if (method->problem == scram_problem)
        return size + slice_find(rest, ',');
    if (method->problem == argon2_problem)
        size += slice_find(rest, '$') + 1;
    else if (method->problem == sha_problem && !slice_starts_nocase(rest, SLICE("rounds=")))
        return size;
    return size + slice_find(slice_from(hash, size), '$');
}

struct slice password_find(struct slice hashes, struct slice prefix)
{
    struct slice hash;
    while (take_hash(&hashes, &hash))
        if (slice_starts_nocase(hash, prefix))
            return hash;
    return (struct slice){0};
}

/* Neither which byte differs nor how many agree shows in the time. */
static bool is_same(const char *computed, struct slice hash)
{
    unsigned char difference = 0;
    if (strlen(computed) != hash.size)
        return false;
    for (size_t i = 0; i < hash.size; i++)
        difference |= (unsigned char)(computed[i] ^ hash.data[i]);
    return difference == 0;
}

/* crypt(3) with everything in memory of its own, wiped. */
struct work {
    struct crypt_data data;
    char setting[CRYPT_OUTPUT_SIZE];
    char password[CRYPT_MAX_PASSPHRASE_SIZE];
};

static struct work *work_begin(struct slice password)
{
    struct work *work = calloc(1, sizeof *work);
    if (work != NULL && password.size > 0)
        memcpy(work->password, password.data, password.size);
    return work;
}

static void work_end(struct work *work)
{
    explicit_bzero(work, sizeof *work);
    free(work);
}

static bool is_password(struct slice password)
{
    return password.size <= AUTH_PASSWORD_BYTES_MAX && slice_find(password, '\0') == password.size;
}

static int crypt_verify(struct slice password, struct slice hash)
{
    struct work *work = work_begin(password);
    if (work == NULL)
        return -ENOMEM;
    memcpy(work->setting, hash.data, hash.size);
    errno = 0;
    const char *computed =
        crypt_rn(work->password, work->setting, &work->data, (int)sizeof work->data);
    int result = errno ? -errno : -EINVAL;
    if (computed != NULL)
        result = is_same(computed, hash);
    work_end(work);
    return result;
}

static int argon2_verify(struct slice password, struct slice hash)
{
    char text[PASSWORD_HASH_BYTES_MAX + 1];
    if (sodium_init() < 0) /* picks the code for this processor; again and again it is nothing */
        return -ENOSYS;
    memcpy(text, hash.data, hash.size);
    text[hash.size] = '\0';
    errno = 0;
    int result =
        crypto_pwhash_str_verify(text, password.size > 0 ? password.data : "", password.size);
    int why = errno;
    explicit_bzero(text, sizeof text);
    return result == 0 ? 1 : why == ENOMEM ? -ENOMEM : 0;
}

static int scram_sha1_verify(struct slice password, struct slice hash)
{
    return scram_record_verify(CRYPTO_SHA1, slice_from(hash, slice_find(hash, '}') + 1), password);
}

static int scram_sha256_verify(struct slice password, struct slice hash)
{
    return scram_record_verify(CRYPTO_SHA256, slice_from(hash, slice_find(hash, '}') + 1),
                               password);
}

int password_verify(struct slice password, struct slice hashes)
{
    struct slice hash;
    int result = -EINVAL;
    if (!is_password(password))
        return result;
    for (unsigned i = 0; i < PASSWORD_HASHES_MAX && take_hash(&hashes, &hash); i++) {
        const struct method *method = method_of(hash);
        if (hash.size > PASSWORD_HASH_BYTES_MAX || method == NULL || method->verify == NULL)
            return -EINVAL;
        result = method->verify(password, hash);
        if (result != 0)
            return result;
    }
    return result;
}

/* ---------------------------------------------------------------- making */

/* By the first of these settings that the system knows. */
static int crypt_make(const char *const *settings, struct slice password, struct slice random,
                      unsigned cost, char *text)
{
    struct work *work = work_begin(password);
    if (work == NULL)
        return -ENOMEM;
    int size = random.size < 64 ? (int)random.size : 64;
    const char *computed = NULL;
    errno = 0;
    while (*settings != NULL && crypt_gensalt_rn(*settings, cost, random.data, size, work->setting,
                                                 sizeof work->setting) == NULL)
        settings++;
    if (*settings != NULL)
        computed = crypt_rn(work->password, work->setting, &work->data, (int)sizeof work->data);
    int result = errno ? -errno : -EINVAL;
    if (computed != NULL && strlen(computed) <= PASSWORD_HASH_BYTES_MAX) {
        memcpy(text, computed, strlen(computed) + 1);
        result = 0;
    }
    work_end(work);
    return result;
}

static int yescrypt_make(struct slice password, struct slice random, unsigned cost, char *text)
{
    static const char *const settings[] = {"$y$", "$6$", NULL};
    return crypt_make(settings, password, random, cost, text);
}

static int sha512_make(struct slice password, struct slice random, unsigned cost, char *text)
{
    static const char *const settings[] = {"$6$", NULL};
    return crypt_make(settings, password, random, cost, text);
}

static size_t unpadded(const uint8_t *bytes, size_t size, char *text)
{
    size_t end = base64_encode(slice_of(bytes, size), text);
    while (text[end - 1] == '=')
        end--;
    return end;
}

static int argon2_make(struct slice password, struct slice random, unsigned cost, char *text)
{
    uint8_t digest[ARGON2_DIGEST_BYTES];
    unsigned passes = cost > 0 ? cost : ARGON2_PASSES;
    if (passes > ARGON2_PASSES_MAX)
        return -EINVAL;
    if (sodium_init() < 0)
        return -ENOSYS;
    if (crypto_pwhash(digest, sizeof digest, password.size > 0 ? password.data : "", password.size,
                      (const uint8_t *)random.data, passes, (size_t)ARGON2_KIB_MAX * 1024,
                      crypto_pwhash_ALG_ARGON2ID13) != 0)
        return -ENOMEM;
    int size = snprintf(text, PASSWORD_HASH_BYTES_MAX, "$argon2id$v=19$m=%u,t=%u,p=1$",
                        (unsigned)ARGON2_KIB_MAX, passes);
    char *to = text + size;
    to += unpadded((const uint8_t *)random.data, ARGON2_SALT_BYTES, to);
    *to++ = '$';
    to += unpadded(digest, sizeof digest, to);
    *to = '\0';
    explicit_bzero(digest, sizeof digest);
    return 0;
}

static int scram_make(struct slice password, struct slice random, unsigned cost, char *text)
{
    static const struct slice prefix = {"{SCRAM-SHA-256}", 15};
    struct scram_record record = {.iterations = cost > 0 ? cost : SCRAM_ITERATIONS_MIN,
                                  .salt_size = RANDOM_BYTES_MIN};
    bool is_text = slice_is_utf8(password);
    for (size_t i = 0; i < password.size; i++)
        is_text = is_text && (unsigned char)password.data[i] >= ' ' && password.data[i] != 127;
    if (!is_text || record.iterations < SCRAM_ITERATIONS_MIN ||
        record.iterations > SCRAM_ITERATIONS_MAX)
        return -EINVAL;
    memcpy(record.salt, random.data, record.salt_size);
    int result = scram_record_derive(CRYPTO_SHA256, password, &record);
    if (result == 0) {
        memcpy(text, prefix.data, prefix.size);
        text[prefix.size + scram_record_print(CRYPTO_SHA256, &record, text + prefix.size)] = '\0';
    }
    explicit_bzero(&record, sizeof record);
    return result;
}

static const struct scheme {
    struct slice name;
    int (*make)(struct slice password, struct slice random, unsigned cost, char *text);
} schemes[] = {
    {{"yescrypt", 8}, yescrypt_make},
    {{"sha512", 6}, sha512_make},
    {{"argon2id", 8}, argon2_make},
    {{"scram-sha-256", 13}, scram_make},
};

int auth_hash(struct slice scheme, struct slice password, struct slice random, unsigned cost,
              char *ret_text)
{
    char text[PASSWORD_HASH_BYTES_MAX + 1];
    unsigned i = 0;
    if (!is_password(password) || random.size < RANDOM_BYTES_MIN)
        return -EINVAL;
    while (scheme.size > 0 && i < sizeof schemes / sizeof schemes[0] &&
           !slice_equal_nocase(schemes[i].name, scheme))
        i++;
    if (i == sizeof schemes / sizeof schemes[0])
        return -ENOTSUP;
    int result = schemes[i].make(password, random, cost, text);
    if (result == 0)
        memcpy(ret_text, text, strlen(text) + 1);
    explicit_bzero(text, sizeof text);
    return result;
}

void auth_wipe(struct slice secret)
{
    if (secret.size > 0)
        explicit_bzero((char *)(uintptr_t)secret.data, secret.size);
}
