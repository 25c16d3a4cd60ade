/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as a SASL PLAIN response. What is taken has one reading: encoding its parts
 * again gives the bytes that came.
 */
#include "ringpost/auth.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void encode(const char *in, size_t size, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3, out += 4) {
        uint32_t bits = 0;
        for (size_t j = 0; j < 3; j++)
            bits = bits << 8 | (i + j < size ? (unsigned char)in[i + j] : 0u);
        for (size_t j = 0; j < 4; j++)
            out[j] = j <= size - i ? digits[bits >> (18 - 6 * j) & 63] : '=';
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct slice user = {0}, password = {0};
    arena_init(&arena, 65536);
    if (sasl_plain(slice_of(data, size), &arena, &user, &password) != NULL) {
        require(user.data == NULL && password.data == NULL);
        arena_reset(&arena);
        return 0;
    }
    require(user.size > 0 && user.size <= AUTH_USER_BYTES_MAX);
    require(password.size > 0 && password.size <= AUTH_PASSWORD_BYTES_MAX);
    require(slice_find(user, '\0') == user.size && slice_find(password, '\0') == password.size);
    require(user.data + user.size + 1 == password.data);
    size_t tail = user.size + 1 + password.size; /* with or without an identity before it */
    size_t decoded = size / 4 * 3 - (data[size - 1] == '=') - (data[size - 2] == '=');
    require(decoded >= tail + 1);
    const char *begin = password.data + password.size - decoded;
    char *again = arena_alloc(&arena, size + 4);
    require(again != NULL);
    encode(begin, decoded, again);
    require(memcmp(again, data, size) == 0);
    arena_reset(&arena);
    return 0;
}
