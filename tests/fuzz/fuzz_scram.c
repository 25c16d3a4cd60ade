/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as the messages of SCRAM and of the OAuth mechanisms. The oracle is a slow
 * and plain reading of the grammars: cut the message at its commas (or at ^A) and look at each
 * piece by itself.
 */
#include <stdlib.h>

#include "../../src/auth/sasl_private.h"
#include "../../src/auth/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECES_MAX = 8192 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Pieces between marks; one more than there are marks. */
static size_t cut(struct slice message, char mark, struct slice *pieces)
{
    size_t count = 0, from = 0;
    for (size_t i = 0; i <= message.size; i++)
        if (i == message.size || message.data[i] == mark) {
            require(count < PIECES_MAX);
            pieces[count++] = slice_of(message.data + from, i - from);
            from = i + 1;
        }
    return count;
}

static bool begins(struct slice piece, const char *with)
{
    size_t size = strlen(with);
    return piece.size >= size && memcmp(piece.data, with, size) == 0;
}

static bool is_value(struct slice piece, const char *with) /* with= and something */
{
    return begins(piece, with) && piece.size > strlen(with);
}

static bool is_extension(struct slice piece)
{
    char c = piece.size > 0 ? piece.data[0] : '-';
    return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) && piece.size > 2 &&
           piece.data[1] == '=' && memchr(piece.data, 0, piece.size) == NULL &&
           slice_is_utf8(piece);
}

static bool is_printable(struct slice piece)
{
    for (size_t i = 0; i < piece.size; i++)
        if (piece.data[i] <= 32 || piece.data[i] >= 127)
            return false;
    return true;
}

static bool is_flag(struct slice piece)
{
    if (slice_equal(piece, SLICE("n")) || slice_equal(piece, SLICE("y")))
        return true;
    for (size_t i = 2; i < piece.size; i++) {
        char c = piece.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '.' && c != '-')
            return false;
    }
    return is_value(piece, "p=");
}

static bool is_first(const struct slice *pieces, size_t count, size_t size)
{
    bool is = count >= 4 && size <= SCRAM_FIRST_BYTES_MAX && is_flag(pieces[0]) &&
              (pieces[1].size == 0 || is_value(pieces[1], "a=")) && is_value(pieces[2], "n=") &&
              is_value(pieces[3], "r=") && pieces[3].size <= 2 + SCRAM_NONCE_BYTES_MAX &&
              is_printable(pieces[3]);
    for (size_t i = 4; is && i < count; i++)
        is = is_extension(pieces[i]);
    return is;
}

static bool is_final(const struct slice *pieces, size_t count, size_t size)
{
    bool is = count >= 3 && size <= SCRAM_FINAL_BYTES_MAX && is_value(pieces[0], "c=") &&
              is_value(pieces[1], "r=") && pieces[1].size <= 2 + SCRAM_FIRST_BYTES_MAX &&
              is_printable(pieces[1]) && is_value(pieces[count - 1], "p=");
    for (size_t i = 2; is && i + 1 < count; i++)
        is = is_extension(pieces[i]) && pieces[i].data[0] != 'p';
    return is;
}

static void check_name(struct slice name)
{
    static char text[8192], again[3 * 8192];
    size_t size, end = 0;
    if (name.size > sizeof text || !scram_name_decode(name, text, &size))
        return;
    for (size_t i = 0; i < size; i++) {
        const char *escaped = text[i] == ',' ? "=2C" : text[i] == '=' ? "=3D" : NULL;
        require((unsigned char)text[i] >= ' ' && text[i] != 127);
        memcpy(again + end, escaped != NULL ? escaped : text + i, escaped != NULL ? 3 : 1);
        end += escaped != NULL ? 3 : 1;
    }
    require(slice_equal(slice_of(again, end), name));
}

static bool is_token(struct slice piece)
{
    size_t at = 7, digits = 0;
    if (piece.size < 7 || !slice_equal_nocase(slice_of(piece.data, 7), SLICE("Bearer ")))
        return false;
    while (at < piece.size && piece.data[at] == ' ')
        at++;
    for (; at < piece.size && piece.data[at] != '='; at++, digits++) {
        char c = piece.data[at];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '-' && c != '.' && c != '_' && c != '~' && c != '+' && c != '/')
            return false;
    }
    for (; at < piece.size; at++)
        if (piece.data[at] != '=')
            return false;
    return digits > 0;
}

/* Of both: what stands before the first ^A is `head`'s business. */
static bool is_pairs(const struct slice *pieces, size_t count)
{
    unsigned tokens = 0;
    if (count < 4 || pieces[count - 1].size != 0 || pieces[count - 2].size != 0)
        return false;
    for (size_t i = 1; i + 2 < count; i++) {
        size_t at = slice_find(pieces[i], '=');
        if (at == 0 || at == pieces[i].size || memchr(pieces[i].data, 0, pieces[i].size) != NULL)
            return false;
        for (size_t j = 0; j < at; j++)
            if (ascii_lower(pieces[i].data[j]) < 'a' || ascii_lower(pieces[i].data[j]) > 'z')
                return false;
        if (slice_equal_nocase(slice_first(pieces[i], at), SLICE("auth"))) {
            if (!is_token(slice_from(pieces[i], at + 1)))
                return false;
            tokens++;
        }
    }
    return tokens == 1;
}

static bool is_bearer_head(struct slice head, struct slice *pieces)
{
    size_t count = cut(head, ',', pieces);
    return count == 3 &&
           (slice_equal(pieces[0], SLICE("n")) || slice_equal(pieces[0], SLICE("y"))) &&
           (pieces[1].size == 0 || is_value(pieces[1], "a=")) && pieces[2].size == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct slice pieces[PIECES_MAX], more[PIECES_MAX];
    struct slice message = slice_of(data, size);
    struct scram_first first = {0};
    struct scram_final final = {0};
    struct oauth_message oauth = {0};
    if (size >= PIECES_MAX)
        return 0;
    size_t count = cut(message, ',', pieces);
    bool is = scram_first_parse(message, &first);
    require(is == is_first(pieces, count, size));
    if (is) {
        require(slice_equal(first.user, slice_from(pieces[2], 2)));
        require(slice_equal(first.nonce, slice_from(pieces[3], 2)));
        require(slice_equal(first.acts_as, slice_from(pieces[1], 2)));
        require(first.head.data == message.data && first.head.size + first.bare.size == size);
        require(first.bare.data == pieces[2].data && first.flag == message.data[0]);
        check_name(first.user);
    }
    is = scram_final_parse(message, &final);
    require(is == is_final(pieces, count, size));
    if (is) {
        require(slice_equal(final.binding, slice_from(pieces[0], 2)));
        require(slice_equal(final.nonce, slice_from(pieces[1], 2)));
        require(slice_equal(final.proof, slice_from(pieces[count - 1], 2)));
        require(final.unproved.size == size - pieces[count - 1].size - 1);
    }
    check_name(message);
    count = cut(message, 1, pieces);
    is = is_pairs(pieces, count);
    require(oauth_bearer_parse(message, &oauth) == (is && is_bearer_head(pieces[0], more)));
    require(oauth_google_parse(message, &oauth) == (is && is_value(pieces[0], "user=")));
    return 0;
}
