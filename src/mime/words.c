/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Encoded words (RFC 2047) to UTF-8, for searching and for people; never parsed again as addresses.
 * Words that stand side by side in one charset are joined as bytes before they are converted:
 * mailers cut between the bytes of a character. Invariants:
 *   1. Linear: a word that does not parse is left behind after its "=?", and no scan passes the
 * next "?".
 *   2. The output holds no control byte: what decodes to CR, LF, NUL and the like becomes a space.
 */
#include "mime_private.h"

struct word {
    struct slice charset, text;
    bool base64;
    const char *end;
};

struct decoder {
    struct text *out;
    struct text pending; /* decoded bytes of `charset` not yet converted */
    struct slice charset;
};

/* "=?" charset ["*" language] "?" encoding "?" text "?=" at `at`. */
static bool word_parse(const char *at, const char *end, struct word *ret_word)
{
    if (end - at < 8 || at[0] != '=' || at[1] != '?')
        return false;
    struct slice rest = slice_of(at + 2, (size_t)(end - at) - 2);
    struct slice charset = slice_first(rest, slice_find(slice_first(rest, 80), '?'));
    rest = slice_from(rest, charset.size);
    if (charset.size == 0 || rest.size < 5 || rest.data[0] != '?' || rest.data[2] != '?')
        return false;
    char encoding = ascii_lower(rest.data[1]);
    if (encoding != 'b' && encoding != 'q')
        return false;
    rest = slice_from(rest, 3);
    size_t size = slice_find(rest, '?');
    if (rest.size - size < 2 || rest.data[size + 1] != '=')
        return false;
    ret_word->charset = slice_first(charset, slice_find(charset, '*')); /* RFC 2231 5 */
    ret_word->text = slice_first(rest, size);
    ret_word->base64 = encoding == 'b';
    ret_word->end = rest.data + size + 2;
    return true;
}

static void pending_flush(struct decoder *decoder)
{
    if (decoder->pending.size > 0)
        mime_to_utf8(text_slice(&decoder->pending), decoder->charset, decoder->out);
    decoder->out->failed |= decoder->pending.failed;
    decoder->pending.size = 0;
}

static void word_decode(struct decoder *decoder, const struct word *word)
{
    if (!slice_equal_nocase(decoder->charset, word->charset))
        pending_flush(decoder);
    decoder->charset = word->charset;
    if (word->base64) {
        mime_decode_transfer(word->text, MIME_BASE64, &decoder->pending);
        return;
    }
    struct slice text = word->text; /* RFC 2047 4.2 */
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '_') {
            c = ' ';
        } else if (c == '=' && text.size - i > 2 && mime_hex_value(text.data[i + 1]) >= 0 &&
                   mime_hex_value(text.data[i + 2]) >= 0) {
            c = (char)(mime_hex_value(text.data[i + 1]) << 4 | mime_hex_value(text.data[i + 2]));
            i += 2;
        }
        text_char(&decoder->pending, c);
    }
}

static void controls_replace(struct text *out, size_t start)
{
    for (size_t i = start; i < out->size; i++) {
        unsigned char byte = (unsigned char)out->data[i];
        if (byte < ' ' || byte == 127)
            out->data[i] = ' ';
    }
}

/* The value as it stands from `from` to `to`, line ends dropped. */
static void plain_append(struct text *out, const char *from, const char *to)
{
    while (from < to) {
        const char *stop = from;
        while (stop < to && *stop != '\r' && *stop != '\n')
            stop++;
        text_append(out, slice_of(from, (size_t)(stop - from)));
        bool lone_return = stop < to && *stop == '\r' && !(to - stop > 1 && stop[1] == '\n');
        if (lone_return)
            text_char(out, ' ');
        from = stop < to ? stop + 1 : to;
    }
}

void mime_decode_words(struct slice value, struct text *out)
{
    value = mime_trim(value);
    size_t start = out->size;
    struct decoder decoder = {.out = out};
    text_init(&decoder.pending, out->arena);
    const char *at = value.data, *end = mime_end(value), *plain = at;
    bool after_word = false; /* only blanks since a word */
    while (at < end) {
        const char *mark = memchr(at, '=', (size_t)(end - at));
        if (mark == NULL)
            break;
        struct word word;
        if (!word_parse(mark, end, &word)) {
            at = mark + 1;
            continue;
        }
        const char *first = plain;
        while (first < mark && mime_is_blank(*first))
            first++;
        if (!(after_word && first == mark)) { /* RFC 2047 6.2: blanks between words do not show */
            pending_flush(&decoder);
            plain_append(out, plain, mark);
        }
        word_decode(&decoder, &word);
        after_word = true;
        at = plain = word.end;
    }
    pending_flush(&decoder);
    plain_append(out, plain, end);
    controls_replace(out, start);
}
