/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The passwd file line by line, hashes, SASL messages: what is taken, what is refused and with
 * which advice. Rows of the list of bad inputs are named by their id.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>

#include "ringpost/auth.h"

#define check(condition)      ((condition) ? (void)0 : failed(__LINE__, #condition, 0, 0))
#define check_equal(is, want) check_numbers(__LINE__, #is, (int64_t)(is), (int64_t)(want))

_Noreturn static void failed(int line, const char *what, int64_t is, int64_t want)
{
    fprintf(stderr, "line %d: %s (is %lld, want %lld)\n", line, what, (long long)is,
            (long long)want);
    abort();
}

static void check_numbers(int line, const char *what, int64_t is, int64_t want)
{
    if (is != want)
        failed(line, what, is, want);
}

/* ---------------------------------------------------------------- the passwd file */

struct problems {
    unsigned count, line;
    char what[200];
};

static void problem(void *argument, unsigned line, const char *what)
{
    struct problems *problems = argument;
    problems->count++;
    problems->line = line;
    snprintf(problems->what, sizeof problems->what, "%s", what);
}

static struct auth_users *users_of(const char *text)
{
    struct problems problems = {0};
    struct auth_users *users;
    int result = auth_users_parse(slice_cstr(text), problem, &problems, &users);
    if (result != 0)
        fprintf(stderr, "line %u: %s\n", problems.line, problems.what);
    check_equal(result, 0);
    return users;
}

#define SHA256        "$5$rounds=1000$salt$mYOe1XJjRFAFbEFR49f4JrbdKFLHPfMRN/l3kHZ4oF7"
#define SHA256_PREFIX "$5$rounds=1000$salt"

/* The hash of a password by a setting, into text of 256 bytes. */
static const char *hash_of(const char *password, const char *setting, char *text)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    const char *hash = crypt_rn(password, setting, data, (int)sizeof *data);
    check(hash != NULL);
    snprintf(text, 256, "%s", hash);
    free(data);
    return text;
}

static void refused(const char *text, unsigned line, const char *what)
{
    struct problems problems = {0};
    struct auth_users *users = NULL;
    int result = auth_users_parse(slice_cstr(text), problem, &problems, &users);
    if (result != -EINVAL || problems.line != line || strstr(problems.what, what) == NULL)
        fprintf(stderr, "%s\nis: %d, line %u, %s; want: line %u, %s\n", text, result, problems.line,
                problems.what, line, what);
    check(result == -EINVAL && users == NULL && problems.count == 1 && problems.line == line);
    check(strstr(problems.what, what) != NULL);
}

/* C09, C01 */
static void broken_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *what;
    } rows[] = {
        {"x", "no ':'"},
        {"x:", "write local@domain"},
        {"@d:" SHA256, "no user"},
        {"a@:" SHA256, "no user"},
        {"a@b@:" SHA256, "no domain"},
        {"a b@c:" SHA256, "blank"},
        {"a\x7f@c:" SHA256, "control"},
        {"a\xff@c:" SHA256, "UTF-8"},
        {"a@c:", "anybody could log in"},
        {"a@c:secret", "in clear"},
        {"a@c:{SHA512-CRYPT}$6$x", "{SCHEME}"},
        {"a@c:$1$abc$0123456789012345678901", "MD5 is broken"},
        {"a@c:rl.3StKT.4T8M", "DES is broken"},
        {"a@c:_J9..rasmBYk8r9AiWNc", "DES is broken"},
        {"a@c:$9$abc", "unknown method"},
        {"a@c:$5$salt$short", "broken hash"},
        {"a@c:$5$rounds=999$salt$mYOe1XJjRFAFbEFR49f4JrbdKFLHPfMRN/l3kHZ4oF7", "broken hash"},
        {"a@c:$5$rounds=9999999$salt$mYOe1XJjRFAFbEFR49f4JrbdKFLHPfMRN/l3kHZ4oF7", "costly"},
        {"a@c:$5$rounds=1000$sa lt$mYOe1XJjRFAFbEFR49f4JrbdKFLHPfMRN/l3kHZ4oF7", "broken hash"},
        {"a@c:$2b$31$0123456789012345678901234567890123456789012345678901.", "costly"},
        {"a@c:$2b$04$0123", "broken hash"},
        {"a@c:$y$jFT$abc$0123456789012345678901234567890123456789012", "costly"},
        {"a@c:$y$j9T$abc$012345678901234567890123456789012345678901", "broken hash"},
        {"A@C:!", "same user"},
    };
    char text[1000];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(text, sizeof text, "# head\n\na@c:!\r\n%s\nd@e:" SHA256 ":rest:of:it",
                 rows[i].line);
        if (strncmp(rows[i].line, "a@c:", 4) == 0)
            text[8] = 'z';
        refused(text, 4, rows[i].what);
        snprintf(text, sizeof text, "%s", rows[i].line); /* cut at every byte: no crash */
        for (size_t size = 0; text[size] != '\0'; size++) {
            struct problems problems = {0};
            struct auth_users *users = NULL;
            if (auth_users_parse(slice_of(text, size), problem, &problems, &users) == 0)
                auth_users_free(users);
        }
    }
    refused("\xef\xbb\xbf"
            "a@b:!\n",
            1, "byte order mark");
    struct problems problems = {0};
    struct auth_users *users;
    struct slice nul = SLICE("a@b:" SHA256 "\na\0b@c:" SHA256);
    check_equal(auth_users_parse(nul, problem, &problems, &users), -EINVAL);
    check_equal(problems.line, 2);
    char *many = malloc(3001);
    for (unsigned i = 0; i < 1000; i++)
        memcpy(many + 3 * (size_t)i, "x:\n", 4);
    problems = (struct problems){0};
    check_equal(auth_users_parse(slice_of(many, 3000), problem, &problems, &users), -EINVAL);
    check_equal(problems.count, 101);
    free(many);
}

static void good_lines(void **state)
{
    (void)state;
    char yescrypt[256], sha512[256], bcrypt[256], text[2000];
    hash_of("pw", "$y$j75$abcdefgh", yescrypt);
    hash_of("pw", "$6$rounds=1000$abcdefgh", sha512);
    hash_of("pw", "$2b$04$abcdefghijklmnopqrstuu", bcrypt);
    snprintf(text, sizeof text,
             "Y@X.test:%s:1000:gecos\r\n#c@x:!\ns@x.test:%s\n\nb@x.test:%s\nl@x.test:*", yescrypt,
             sha512, bcrypt);
    struct auth_users *users = users_of(text);
    check_equal(auth_users_count(users), 4);
    check(slice_equal(auth_users_name(users, 0), SLICE("y@x.test")));
    check(slice_equal(auth_users_name(users, 3), SLICE("l@x.test")));
    check(auth_users_name(users, 4).data == NULL);
    auth_users_free(users);
    users = users_of("");
    check_equal(auth_users_count(users), 0);
    auth_users_free(users);
}

/* ---------------------------------------------------------------- hashes and SASL */

static void hashes(void **state)
{
    (void)state;
    char text[256], line[300];
    check_equal(auth_hash(SLICE("pw"), SLICE("0123456789abcdef"), 1, text), 0);
    check(strncmp(text, "$y$", 3) == 0);
    snprintf(line, sizeof line, "a@b:%s", text);
    auth_users_free(users_of(line));
    char again[256];
    check(strcmp(hash_of("pw", text, again), text) == 0);
    check_equal(auth_hash(SLICE("pw"), SLICE("short"), 1, text), -EINVAL);
    check_equal(auth_hash(SLICE("p\0w"), SLICE("0123456789abcdef"), 1, text), -EINVAL);
    char large[600] = {0};
    check_equal(auth_hash(slice_of(large, 512), SLICE("0123456789abcdef"), 1, text), -EINVAL);
}

static const char *plain(const char *text, struct arena *arena, struct slice *ret_user,
                         struct slice *ret_password)
{
    *ret_user = *ret_password = (struct slice){0};
    return sasl_plain(slice_cstr(text), arena, ret_user, ret_password);
}

/* A02, A03 */
static void sasl(void **state)
{
    (void)state;
    struct arena arena;
    struct slice user, password;
    arena_init(&arena, 65536);
    check(plain("AHRpbQB0YW5zdGFhZnRhbnN0YWFm", &arena, &user, &password) == NULL);
    check(slice_equal(user, SLICE("tim")) && slice_equal(password, SLICE("tanstaaftanstaaf")));
    check(plain("YUBiAEFAYgBw", &arena, &user, &password) == NULL); /* a@b NUL A@b NUL p */
    check(slice_equal(user, SLICE("A@b")) && slice_equal(password, SLICE("p")));
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"=", "Not a PLAIN message"},
        {"", "Not a PLAIN message"},
        {"*", "Not base64"},
        {"AHRpbQB0YW5zdGFhZnRhbnN0YWF", "Not base64"},
        {"AHRpbQB0YW5zdGFhZnRhbnN0YWFmA", "Not base64"},
        {"AHRp bQB0YW5zdGFhZnRhbnN0YWFm", "Not base64"},
        {"AHR=bQB0YW5zdGFhZnRhbnN0YWFm", "Not base64"},
        {"AGEAYg=a", "Not base64"},
        {"AGEAY===", "Not base64"},
        {"====", "Not base64"},
        {"AGEAYn==", "Not base64"}, /* loose bits */
        {"AGE\xffYg==", "Not base64"},
        {"YQ==", "Not a PLAIN message"},     /* no NUL */
        {"AGE=", "Not a PLAIN message"},     /* one */
        {"AGEAYgBj", "Not a PLAIN message"}, /* three */
        {"AABi", "must not be empty"},       /* no user */
        {"AGEA", "must not be empty"},       /* no password */
        {"YgBhAGM=", "No log-in on behalf of others"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *why = plain(rows[i].text, &arena, &user, &password);
        if (why == NULL || strstr(why, rows[i].why) == NULL)
            fprintf(stderr, "%s: %s\n", rows[i].text, why ? why : "taken");
        check(why != NULL && strstr(why, rows[i].why) != NULL && user.data == NULL);
    }
    check(plain("AGEAYg==", &arena, &user, &password) == NULL);
    static char large[70000];
    memset(large, 'Y', 65536);
    check(strstr(plain(large, &arena, &user, &password), "too long") != NULL);
    large[0] = large[1] = 'A'; /* NUL first: a user of 1,000 bytes */
    large[1200] = '\0';
    check(plain(large, &arena, &user, &password) != NULL);
    for (unsigned i = 0; i < 100000; i++) { /* A06 */
        arena_reset(&arena);
        check(plain("AHRpbQ==", &arena, &user, &password) != NULL);
    }
    arena_reset(&arena);
    struct arena none;
    arena_init(&none, 4);
    check(strstr(plain("AGEAYg==", &none, &user, &password), "memory") != NULL);
    arena_reset(&none);
    char secret[] = "secret";
    auth_wipe(slice_of(secret, 6));
    check(secret[0] == 0 && secret[5] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_lines),
        cmocka_unit_test(good_lines),
        cmocka_unit_test(hashes),
        cmocka_unit_test(sasl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
