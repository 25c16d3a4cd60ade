/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as a token, as a token's header and payload, and as a key set. Nobody can
 * forge a signature, so that whatever comes is no user; only a sample of ours is.
 */
#include <errno.h>
#include <stdlib.h>

#include "../../src/auth/jwt.h"
#include "../unit/jwt_samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static size_t encode(const uint8_t *data, size_t size, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t end = 0;
    for (size_t bit = 0; bit < size * 8; bit += 6) {
        unsigned value = 0;
        for (size_t i = bit; i < bit + 6; i++)
            value = value << 1 | (i < size * 8 ? data[i / 8] >> (7 - i % 8) & 1u : 0u);
        out[end++] = digits[value];
    }
    return end;
}

static bool is_sample(struct slice token)
{
    for (size_t i = 0; i < sizeof jwt_samples / sizeof jwt_samples[0]; i++)
        if (jwt_samples[i].result == 0 && slice_equal(token, slice_cstr(jwt_samples[i].token)))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct auth_tokens *tokens;
    static char text[20000];
    char user[AUTH_USER_BYTES_MAX + 1] = "x";
    struct auth_token_options options = {.jwks = slice_cstr(jwt_keys),
                                         .user_claim = SLICE("email")};
    if (tokens == NULL)
        require(auth_tokens_make(&options, &tokens) == NULL);
    struct slice token = slice_of(data, size);
    int result = jwt_check(tokens, token, JWT_NOW, user);
    require(result == -EACCES || result == -ENOENT || (result == 0 && is_sample(token)));
    require(result == 0 || strcmp(user, "x") == 0);
    if (size < 4096) { /* header, payload and signature of the fuzzer's making */
        size_t cut = size > 0 ? data[0] % size : 0;
        size_t end = encode(data, cut, text);
        text[end++] = '.';
        end += encode(data + cut, size - cut, text + end);
        text[end++] = '.';
        end += encode(data, size > 64 ? 64 : size, text + end);
        require(jwt_check(tokens, slice_of(text, end), JWT_NOW, user) < 0);
    }
    struct auth_tokens *other = NULL;
    options.jwks = token;
    require((auth_tokens_make(&options, &other) == NULL) == (other != NULL));
    auth_tokens_free(other);
    return 0;
}
