/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Hashes of passwords by crypt(3): the only file that knows libxcrypt. One table says which methods
 * are taken and how their hashes look:
 *
 *   $y$params$salt$digest   $6$[rounds=N$]salt$digest   $5$ as $6$   $2b$NN$saltdigest
 *
 * Hashes are looked at closely when the file is read: one that crypt(3) cannot use, or that would
 * take a helper thread minutes or gigabytes, is refused there and not when its user logs in.
 * Memory that held a password is wiped (A4).
 */
#include "auth_private.h"

#include <crypt.h>
#include <errno.h>
#include <stdlib.h>

enum {
    ROUNDS_MAX = 5000000,     /* of SHA-crypt: some 3 s */
    BCRYPT_COST_MAX = 16,     /* some 5 s */
    YESCRYPT_N_LOG2_MAX = 15, /* with r = 32: 128 MiB */
    YESCRYPT_R_MAX = 32
};

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

static const struct method {
    struct slice prefix;
    const char *(*problem)(struct slice rest, size_t digest_size); /* of what follows the prefix */
    size_t digest_size;
    const char *refused;
} methods[] = {
    {{"$y$", 3}, yescrypt_problem, 43, NULL},
    {{"$6$", 3}, sha_problem, 86, NULL},
    {{"$5$", 3}, sha_problem, 43, NULL},
    {{"$2b$", 4}, bcrypt_problem, 53, NULL},
    {{"$2y$", 4}, bcrypt_problem, 53, NULL},
    {{"$2a$", 4}, bcrypt_problem, 53, NULL},
    {{"$1$", 3}, NULL, 0, "MD5 is broken; make a new hash with `ringpost user passwd`"},
    {{"$md5", 4}, NULL, 0, "SunMD5 is broken; make a new hash with `ringpost user passwd`"},
    {{"$sha1", 5}, NULL, 0, "SHA-1 is broken; make a new hash with `ringpost user passwd`"},
    {{"$3$", 3}, NULL, 0, "NTHASH is broken; make a new hash with `ringpost user passwd`"},
    {{"$", 1}, NULL, 0, "unknown method; use yescrypt ($y$), SHA-512 ($6$) or bcrypt ($2b$)"},
    {{"_", 1}, NULL, 0, "DES is broken; make a new hash with `ringpost user passwd`"},
    {{"{", 1}, NULL, 0, "crypt(3) hashes only, without {SCHEME}; remove the braces and their name"},
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

const char *password_problem(struct slice hash)
{
    char setting[PASSWORD_HASH_BYTES_MAX + 1];
    if (hash.size == 0)
        return "no hash: anybody could log in; write one, or ! for nobody";
    if (hash.size > PASSWORD_HASH_BYTES_MAX)
        return broken;
    if (password_is_locked(hash))
        return NULL;
    const struct method *method = method_of(hash);
    if (method == NULL && is_digits(hash, 13, 13))
        return "DES is broken; make a new hash with `ringpost user passwd`";
    if (method == NULL)
        return "not a hash; a password in clear is not taken: use `ringpost user passwd`";
    if (method->refused != NULL)
        return method->refused;
    const char *problem =
        method->problem(slice_from(hash, method->prefix.size), method->digest_size);
    if (problem != NULL)
        return problem;
    memcpy(setting, hash.data, hash.size);
    setting[hash.size] = '\0';
    int known = crypt_checksalt(setting);
    if (known != CRYPT_SALT_OK && known != CRYPT_SALT_METHOD_LEGACY) /* the table above judges */
        return "this system's crypt(3) does not know the method; use $y$ or $6$";
    return NULL;
}

size_t password_cost_size(struct slice hash)
{
    const struct method *method = method_of(hash);
    if (method == NULL || method->problem == NULL)
        return hash.size;
    size_t size = method->prefix.size;
    struct slice rest = slice_from(hash, size);
    if (method->problem == sha_problem && !slice_starts_nocase(rest, SLICE("rounds=")))
        return size;
    return size + slice_find(rest, '$');
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

int password_verify(struct slice password, struct slice hash)
{
    if (!is_password(password) || hash.size > PASSWORD_HASH_BYTES_MAX)
        return -EINVAL;
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

int auth_hash(struct slice password, struct slice random, unsigned cost, char *ret_text)
{
    if (!is_password(password) || random.size < 16)
        return -EINVAL;
    struct work *work = work_begin(password);
    if (work == NULL)
        return -ENOMEM;
    int size = random.size < 64 ? (int)random.size : 64;
    int result = 0;
    errno = 0;
    if (crypt_gensalt_rn("$y$", cost, random.data, size, work->setting, sizeof work->setting) ==
            NULL &&
        crypt_gensalt_rn("$6$", cost, random.data, size, work->setting, sizeof work->setting) ==
            NULL)
        result = errno ? -errno : -EINVAL;
    const char *computed = NULL;
    if (result == 0)
        computed = crypt_rn(work->password, work->setting, &work->data, (int)sizeof work->data);
    if (result == 0 && computed == NULL)
        result = errno ? -errno : -EINVAL;
    if (result == 0 && strlen(computed) > PASSWORD_HASH_BYTES_MAX)
        result = -EOVERFLOW;
    if (result == 0)
        memcpy(ret_text, computed, strlen(computed) + 1);
    work_end(work);
    return result;
}

void auth_wipe(struct slice secret)
{
    if (secret.size > 0)
        explicit_bzero((char *)(uintptr_t)secret.data, secret.size);
}
