/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The passwd file line by line, hashes, base64: what is taken, what is refused and with which
 * advice. Rows of the list of bad inputs are named by their id.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../src/auth/auth_private.h"
#include "ringpost/base64.h"

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

/* What only some can use is not offered: it would shut the others out. */
static void scram_for_all(void **state)
{
    (void)state;
    static const char record[] = "{SCRAM-SHA-256}4096,SzElWC6niEQPtwN1,"
                                 "gdSwTCojrWfSidYS/nLS1nzPlMRwMegxIcujTqVGIas=,"
                                 "FRNm6wj0IIjF8JjIny9UIjezZ8fLqoCsLSols+9BXu0=";
    const uint32_t sha256 = 1u << AUTH_SCRAM_SHA_256 | 1u << AUTH_SCRAM_SHA_256_PLUS;
    static const struct {
        const char *format;
        bool is_for_all;
    } cases[] = {
        {"a@x:%s\n", true},
        {"a@x:" SHA256 " %s\nb@x:!locked\nc@x:" SHA256 "::::::nologin\n", true},
        {"a@x:%s\nb@x:" SHA256 "\n", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[600];
        (void)snprintf(text, sizeof text, cases[i].format, record);
        struct auth_users *users = users_of(text);
        check_equal(auth_users_scram(users), cases[i].is_for_all ? sha256 : 0);
        auth_users_free(users);
    }
}

/* ---------------------------------------------------------------- hashes and SASL */

static void hashes(void **state)
{
    (void)state;
    char text[256], line[300];
    check_equal(auth_hash(SLICE(""), SLICE("pw"), SLICE("0123456789abcdef"), 1, text), 0);
    check(strncmp(text, "$y$", 3) == 0);
    snprintf(line, sizeof line, "a@b:%s", text);
    auth_users_free(users_of(line));
    char again[256];
    check(strcmp(hash_of("pw", text, again), text) == 0);
    check_equal(auth_hash(SLICE(""), SLICE("pw"), SLICE("short"), 1, text), -EINVAL);
    check_equal(auth_hash(SLICE(""), SLICE("p\0w"), SLICE("0123456789abcdef"), 1, text), -EINVAL);
    char large[600] = {0};
    check_equal(auth_hash(SLICE(""), slice_of(large, 512), SLICE("0123456789abcdef"), 1, text),
                -EINVAL);
}

static int verify(const char *password, const char *hashes)
{
    return password_verify(slice_cstr(password), slice_cstr(hashes));
}

static const struct slice salt = {"0123456789abcdef", 16};

/* Every scheme makes what it takes; several hashes are each good. */
static void schemes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *prefix;
        unsigned cost;
    } rows[] = {
        {"", "$y$", 1},
        {"yescrypt", "$y$", 1},
        {"SHA512", "$6$", 1000},
        {"argon2id", "$argon2id$v=19$m=65536,t=1,p=1$", 1},
        {"scram-sha-256", "{SCRAM-SHA-256}4096,", 0},
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    char text[ROWS][256], other[256], all[800], line[1000];
    for (unsigned i = 0; i < ROWS; i++) {
        check_equal(
            auth_hash(slice_cstr(rows[i].name), SLICE("pw\xc3\xa9"), salt, rows[i].cost, text[i]),
            0);
        check(strncmp(text[i], rows[i].prefix, strlen(rows[i].prefix)) == 0);
        check_equal(verify("pw\xc3\xa9", text[i]), 1);
        check_equal(verify("pw", text[i]), 0);
        check_equal(verify("", text[i]), 0);
        size_t cost = password_cost_size(slice_cstr(text[i]));
        check(cost >= 3 && cost < strlen(rows[i].prefix) + 13);
        snprintf(line, sizeof line, "a@b:%s", text[i]);
        auth_users_free(users_of(line));
        char *last = &text[i][strlen(text[i]) / 2];
        *last = *last == 'A' ? 'B' : 'A'; /* a digit of salt or digest */
        check(verify("pw\xc3\xa9", text[i]) <= 0);
        auth_hash(slice_cstr(rows[i].name), SLICE("pw\xc3\xa9"), salt, rows[i].cost, text[i]);
    }
    check_equal(auth_hash(SLICE("md5"), SLICE("pw"), salt, 0, line), -ENOTSUP);
    check_equal(auth_hash(SLICE("scram-sha-256"), SLICE("p\nw"), salt, 0, line), -EINVAL);
    check_equal(auth_hash(SLICE("scram-sha-256"), SLICE("p\xff"), salt, 0, line), -EINVAL);
    check_equal(auth_hash(SLICE("scram-sha-256"), SLICE("pw"), salt, 4095, line), -EINVAL);
    check_equal(auth_hash(SLICE("argon2id"), SLICE("pw"), salt, 11, line), -EINVAL);
    check_equal(auth_hash(SLICE("yescrypt"), SLICE("other"), salt, 1, other), 0);
    snprintf(all, sizeof all, "%s %s  %s", other, text[4], text[2]);
    snprintf(line, sizeof line, "a@b:%s:1000:", all);
    auth_users_free(users_of(line));
    check_equal(verify("other", all), 1);
    check_equal(verify("pw\xc3\xa9", all), 1);
    check_equal(verify("no", all), 0);
    check(password_find(slice_cstr(all), SLICE("{SCRAM-SHA-256}")).size == strlen(text[4]));
    check(password_find(slice_cstr(all), SLICE("{SCRAM-SHA-1}")).data == NULL);
}

#define KEYS                                                                                       \
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define SHORT_KEYS "6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE="
#define SALT       "W22ZaJ0SNY7soEsUEjb6gQ=="

/* A07: iterations; what argon2id may cost. */
static void costs(void **state)
{
    (void)state;
    static const struct {
        const char *hash, *what;
    } rows[] = {
        {"{SCRAM-SHA-256}1," SALT "," KEYS, "fewer than 4096"},
        {"{SCRAM-SHA-256}4095," SALT "," KEYS, "fewer than 4096"},
        {"{SCRAM-SHA-256}1000000000," SALT "," KEYS, "more than 1000000"},
        {"{SCRAM-SHA-256}4294967297," SALT "," KEYS, "broken"},
        {"{SCRAM-SHA-256}-1," SALT "," KEYS, "broken"},
        {"{SCRAM-SHA-256}04096," SALT "," KEYS, "broken"},
        {"{SCRAM-SHA-256}," SALT "," KEYS, "broken"},
        {"{SCRAM-SHA-256}4096,," KEYS, "broken"},
        {"{SCRAM-SHA-256}4096,AAAA," KEYS, "broken"},
        {"{SCRAM-SHA-256}4096," SALT "," SHORT_KEYS, "broken"},
        {"{SCRAM-SHA-256}4096," SALT "," KEYS ",", "broken"},
        {"{SCRAM-SHA-256}4096," SALT "," KEYS "=", "broken"},
        {"{SCRAM-SHA-1}4096," SALT "," KEYS, "broken"},
        {"{SCRAM-SHA-512}4096," SALT "," KEYS, "{SCHEME}"},
        {"$argon2id$v=19$m=65537,t=2,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAA", "costly"},
        {"$argon2id$v=19$m=65536,t=11,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAA", "costly"},
        {"$argon2id$v=19$m=4294967295,t=1,p=17$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAA", "costly"},
        {"$argon2id$v=19$m=8,t=1,p=2$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAA", "broken"},
        {"$argon2id$v=19$m=65536,t=2$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAA", "broken"},
        {"$argon2id$v=19$m=65536,t=2,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAA", "broken"},
        {"$argon2id$v=19$m=65536,t=2,p=1$AAAAAAAAAAAAAAAA$", "broken"},
        {"$argon2id$v=16$m=65536,t=2,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAA", "broken"},
        {"$argon2i$v=19$m=65536,t=2,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAA", "unknown"},
        {" ", "anybody could log in"},
        {"! ! ", NULL},
        {SHA256 " " SHA256 " " SHA256, NULL},
        {SHA256 " " SHA256 " plain", "in clear"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *is = password_problem(slice_cstr(rows[i].hash));
        if ((is == NULL) != (rows[i].what == NULL) || (is != NULL && !strstr(is, rows[i].what)))
            fprintf(stderr, "%s: %s\n", rows[i].hash, is ? is : "taken");
        check((is == NULL) == (rows[i].what == NULL) && (is == NULL || strstr(is, rows[i].what)));
    }
    char nine[1000] = "";
    for (unsigned i = 0; i < 9; i++)
        snprintf(nine + strlen(nine), sizeof nine - strlen(nine), "%s",
                 "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92," SHORT_KEYS " ");
    check(strstr(password_problem(slice_cstr(nine)), "more than 8") != NULL);
    check_equal(verify("pencil", "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92," SHORT_KEYS), 1);
    check_equal(verify("pencil", "{SCRAM-SHA-256}4096," SALT "," KEYS), 1);
    check_equal(verify("pencils", "{SCRAM-SHA-256}4096," SALT "," KEYS), 0);
}

/* A02: what is not base64; RFC 4648, section 10. */
static void base64(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } good[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"},
                {"\xff\xfe\xfd?", "//79Pw=="}};
    static const char *const bad[] = {"A",
                                      "AA",
                                      "AAA",
                                      "=",
                                      "====",
                                      "A===",
                                      "Zh==",
                                      "Zm9=",
                                      "Z=g=",
                                      "Zg==Zg==",
                                      "Zm9v\n",
                                      " Zm9",
                                      "Zm-_",
                                      "Zg=A",
                                      "*",
                                      "Zm9vYmFyA",
                                      "\xff\xff\xff\xff"};
    static const char *const bad_url[] = {"A",   "Zg==", "Zm8=", "Zh",
                                          "Zm9", "//79", "Zm 9", "AAAAA"};
    char text[20], bytes[20];
    size_t size = 77;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        check(slice_equal(slice_of(text, base64_encode(slice_cstr(good[i].bytes), text)),
                          slice_cstr(good[i].text)));
        check(base64_decode(slice_cstr(good[i].text), bytes, &size));
        check(slice_equal(slice_of(bytes, size), slice_cstr(good[i].bytes)));
        check(base64_decode(slice_of(text, strlen(good[i].text)), text, &size)); /* in place */
        check(slice_equal(slice_of(text, size), slice_cstr(good[i].bytes)));
    }
    size = 77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check(!base64_decode(slice_cstr(bad[i]), bytes, &size) && size == 77);
    for (size_t i = 0; i < sizeof bad_url / sizeof bad_url[0]; i++)
        check(!base64url_decode(slice_cstr(bad_url[i]), bytes, &size) && size == 77);
    check(base64url_decode(SLICE("__79Pw"), bytes, &size));
    check(slice_equal(slice_of(bytes, size), SLICE("\xff\xfe\xfd?")));
    char secret[] = "secret";
    auth_wipe(slice_of(secret, 6));
    check(secret[0] == 0 && secret[5] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_lines),  cmocka_unit_test(good_lines),
        cmocka_unit_test(scram_for_all), cmocka_unit_test(hashes),
        cmocka_unit_test(schemes),       cmocka_unit_test(costs),
        cmocka_unit_test(base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
