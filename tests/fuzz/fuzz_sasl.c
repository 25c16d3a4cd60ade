/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as base64 and as its URL-safe form. What is taken has one reading: encoding
 * it again gives the bytes that came. What is not taken was not made by an encoder.
 */
#include <stdlib.h>

#include "ringpost/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    char *out = malloc(size + 4), *again = malloc(size * 2 + 8);
    size_t decoded = SIZE_MAX;
    require(out != NULL && again != NULL);
    if (base64_decode(text, out, &decoded)) {
        require(decoded <= size / 4 * 3);
        require(slice_equal(slice_of(again, base64_encode(slice_of(out, decoded), again)), text));
    } else {
        require(decoded == SIZE_MAX);
    }
    decoded = SIZE_MAX;
    if (base64url_decode(text, out, &decoded)) {
        size_t end = base64_encode(slice_of(out, decoded), again);
        while (end > 0 && again[end - 1] == '=')
            end--;
        for (size_t i = 0; i < end; i++)
            again[i] = again[i] == '+' ? '-' : again[i] == '/' ? '_' : again[i];
        require(slice_equal(slice_of(again, end), text));
    } else {
        require(decoded == SIZE_MAX);
    }
    size_t end = base64_encode(text, again); /* what an encoder makes is taken */
    require(base64_decode(slice_of(again, end), again, &decoded) && decoded == size);
    require(memcmp(again, data, size) == 0 || size == 0);
    free(out);
    free(again);
    return 0;
}
