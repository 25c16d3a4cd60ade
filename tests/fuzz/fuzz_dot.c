/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: the end-of-data decoder on any bytes, against the sentence that it implements (the
 * first CRLF "." CRLF ends the data, nothing else does), in one piece and in pieces; and what the
 * encoder makes must come back.
 *
 * Built and run by tests/run.sh --suite fuzz.
 */
#include "ringpost/dot.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Index behind the end of the data; 0: it does not end. */
static size_t end_of(const char *data, size_t size)
{
    if (size >= 3 && memcmp(data, ".\r\n", 3) == 0)
        return 3;
    const char *end = size >= 5 ? memmem(data, size, "\r\n.\r\n", 5) : NULL;
    return end != NULL ? (size_t)(end - data) + 5 : 0;
}

static bool is_bare(const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((data[i] == '\n' && (i == 0 || data[i - 1] != '\r')) ||
            (data[i] == '\r' && i + 1 < size && data[i + 1] != '\n'))
            return true;
    return false;
}

struct result {
    struct dot_decoder decoder;
    size_t consumed, size;
};

static struct result decode(struct slice in, size_t piece, char *out)
{
    struct result result = {.size = 0};
    while (result.consumed < in.size && !dot_is_done(&result.decoder)) {
        struct slice part = slice_first(slice_from(in, result.consumed), piece);
        size_t size, used = dot_decode(&result.decoder, part, out + result.size, &size);
        require(used > 0 && used <= part.size && size <= used);
        result.consumed += used;
        result.size += size;
    }
    return result;
}

static void round_trip(struct slice in, char *coded, char *back)
{
    struct dot_encoder encoder = {0};
    struct slice rest = in;
    size_t size = 0, run = dot_encode(&encoder, rest);
    for (;;) {
        memcpy(coded + size, rest.data, run);
        size += run;
        rest = slice_from(rest, run);
        if (rest.size == 0)
            break;
        require(rest.data[0] == '.');
        coded[size++] = '.';
        run = dot_encode_on(&encoder, rest);
    }
    struct slice end = dot_encode_end(&encoder);
    memcpy(coded + size, end.data, end.size);
    size += end.size;
    require(end_of(coded, size) == size); /* it ends where we end it, and not before */
    struct result result = decode(slice_of(coded, size), size, back);
    require(dot_is_done(&result.decoder) && result.consumed == size);
    if (!result.decoder.is_bare)
        require(result.size >= in.size && memcmp(back, in.data, in.size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    char *out = malloc(size + 1), *other = malloc(2 * size + 8), *coded = malloc(2 * size + 8);
    require(out != NULL && other != NULL && coded != NULL);
    struct result whole = decode(in, size, out);
    size_t end = end_of(in.data, in.size), until = end ? end : size;
    require(whole.consumed == until);
    require(dot_is_done(&whole.decoder) == (end != 0));
    require(whole.decoder.is_bare == is_bare(in.data, until));
    for (size_t piece = 1; piece < 200; piece = piece * 3 + 1) {
        struct result pieces = decode(in, piece, other);
        require(pieces.consumed == whole.consumed && pieces.size == whole.size);
        require(memcmp(&pieces.decoder, &whole.decoder, sizeof whole.decoder) == 0);
        require(memcmp(out, other, whole.size) == 0);
    }
    round_trip(in, coded, other);
    free(out);
    free(other);
    free(coded);
    return 0;
}
