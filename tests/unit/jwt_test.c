/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Tokens one by one (jwt_samples.h), and key sets that are not taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../src/auth/jwt.h"
#include "jwt_samples.h"

static struct auth_tokens *tokens_of(void)
{
    struct auth_tokens *tokens = NULL;
    const struct auth_token_options options = {.jwks = slice_cstr(jwt_keys),
                                               .issuer = SLICE("https://id.x.test"),
                                               .audience = SLICE("mail"),
                                               .user_claim = SLICE("email")};
    assert_null(auth_tokens_make(&options, &tokens));
    return tokens;
}

static void samples(void **state)
{
    (void)state;
    struct auth_tokens *tokens = tokens_of();
    for (size_t i = 0; i < sizeof jwt_samples / sizeof jwt_samples[0]; i++) {
        char user[AUTH_USER_BYTES_MAX + 1] = "untouched";
        int is = jwt_check(tokens, slice_cstr(jwt_samples[i].token), JWT_NOW, user);
        if (is != jwt_samples[i].result)
            fprintf(stderr, "%s: %d\n", jwt_samples[i].name, is);
        assert_int_equal(is, jwt_samples[i].result);
        assert_string_equal(user, is == 0 ? "anna@x.test" : "untouched");
    }
    auth_tokens_free(tokens);
}

/* Every byte of a good token matters, and so does its end. */
static void altered(void **state)
{
    (void)state;
    struct auth_tokens *tokens = tokens_of();
    for (size_t i = 0; i < 4; i++) {
        char text[2000], user[AUTH_USER_BYTES_MAX + 1];
        size_t size = strlen(jwt_samples[i].token);
        assert_true(size < sizeof text);
        memcpy(text, jwt_samples[i].token, size);
        for (size_t at = 0; at < size; at += 3) {
            char was = text[at];
            text[at] = was == 'A' ? 'B' : 'A';
            assert_true(jwt_check(tokens, slice_of(text, size), JWT_NOW, user) < 0);
            text[at] = '=';
            assert_true(jwt_check(tokens, slice_of(text, size), JWT_NOW, user) < 0);
            text[at] = was;
            assert_true(jwt_check(tokens, slice_of(text, at), JWT_NOW, user) < 0);
        }
    }
    auth_tokens_free(tokens);
}

static void key_sets(void **state)
{
    (void)state;
    struct auth_token_options options = {.user_claim = SLICE("sub")};
    struct auth_tokens *tokens = NULL;
    for (size_t i = 0; i < sizeof jwt_bad_keys / sizeof jwt_bad_keys[0]; i++) {
        options.jwks = slice_cstr(jwt_bad_keys[i].keys);
        const char *is = auth_tokens_make(&options, &tokens);
        const char *want = options.jwks.size > 0 ? jwt_bad_keys[i].why : "nothing to check";
        if (is == NULL || strstr(is, want) == NULL)
            fprintf(stderr, "%zu: %s\n", i, is != NULL ? is : "taken");
        assert_true(is != NULL && strstr(is, want) != NULL && tokens == NULL);
    }
    char large[300];
    memset(large, 'x', sizeof large);
    options = (struct auth_token_options){.jwks = slice_cstr(jwt_keys)};
    assert_non_null(strstr(auth_tokens_make(&options, &tokens), "which claim"));
    options.user_claim = slice_of(large, 256);
    assert_non_null(strstr(auth_tokens_make(&options, &tokens), "255 bytes"));
    options.user_claim = SLICE("sub");
    options.issuer = slice_of(large, 256);
    assert_non_null(strstr(auth_tokens_make(&options, &tokens), "255 bytes"));
    assert_null(tokens);
}

/* What is not configured is not looked at; another claim names another. */
static void options(void **state)
{
    (void)state;
    struct auth_token_options options = {.jwks = slice_cstr(jwt_keys), .user_claim = SLICE("iss")};
    struct auth_tokens *tokens = NULL;
    char user[AUTH_USER_BYTES_MAX + 1];
    assert_null(auth_tokens_make(&options, &tokens));
    for (size_t i = 0; i < sizeof jwt_samples / sizeof jwt_samples[0]; i++)
        if (strcmp(jwt_samples[i].name, "another audience") == 0) {
            assert_int_equal(jwt_check(tokens, slice_cstr(jwt_samples[i].token), JWT_NOW, user), 0);
            assert_string_equal(user, "https://id.x.test");
        }
    auth_tokens_free(tokens);
    options =
        (struct auth_token_options){.jwks = slice_cstr(jwt_two_keys), .user_claim = SLICE("email")};
    assert_null(auth_tokens_make(&options, &tokens));
    assert_string_equal(jwt_samples[0].name, "RS256");
    assert_string_equal(jwt_samples[1].name, "RS256 without kid");
    assert_int_equal(jwt_check(tokens, slice_cstr(jwt_samples[0].token), JWT_NOW, user), 0);
    assert_int_equal(jwt_check(tokens, slice_cstr(jwt_samples[1].token), JWT_NOW, user), -EACCES);
    auth_tokens_free(tokens);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples),
        cmocka_unit_test(altered),
        cmocka_unit_test(key_sets),
        cmocka_unit_test(options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
