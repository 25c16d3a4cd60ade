/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mailbox names on the wire: modified UTF-7 (RFC 3501 5.1.3) to UTF-8 and back.
 *
 * Each name has one spelling only. Decoding refuses what encoding would not have made: printable
 * ASCII inside "&...-", two such runs without a character between them, bits left over, half a
 * surrogate pair. Else one mailbox could be named in two ways, or be mistaken for another.
 */
#include "imap_private.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* The next character of UTF-8, or -1 when there is none. */
static int32_t utf8_next(struct slice *bytes)
{
    const unsigned char *at = (const unsigned char *)bytes->data;
    size_t length = utf8_length(*bytes);
    if (length == 0)
        return -1;
    uint32_t c = length == 1 ? at[0] : at[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++)
        c = c << 6 | (at[i] & 0x3f);
    *bytes = slice_from(*bytes, length);
    return (int32_t)c;
}

static void utf8_add(struct text *out, uint32_t c)
{
    if (c < 0x80) {
        text_char(out, (char)c);
        return;
    }
    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    text_char(out, (char)((0xff00u >> (more + 1) & 0xff) | c >> (6 * more)));
    while (more-- > 0)
        text_char(out, (char)(0x80 | (c >> (6 * more) & 0x3f)));
}

static bool is_printable(uint32_t c)
{
    return c >= 0x20 && c <= 0x7e;
}

/* ---------------------------------------------------------------- decoding */

struct unit_decoder {
    uint32_t bits, bit_count;
    uint32_t high; /* a high surrogate that waits for its low one */
};

/* One UTF-16 unit. */
static bool unit_take(struct unit_decoder *decoder, uint32_t unit, struct text *out)
{
    if (decoder->high != 0) {
        if (unit < 0xdc00 || unit > 0xdfff)
            return false;
        utf8_add(out, 0x10000 + ((decoder->high - 0xd800) << 10) + (unit - 0xdc00));
        decoder->high = 0;
        return true;
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
        decoder->high = unit;
        return true;
    }
    if ((unit >= 0xdc00 && unit <= 0xdfff) || is_printable(unit) || unit == 0)
        return false;
    utf8_add(out, unit);
    return true;
}

/* "ZeVnLA-" behind the "&"; leaves *rest behind the "-". */
static bool run_decode(struct slice *rest, struct text *out)
{
    struct unit_decoder decoder = {0};
    size_t size = slice_find(*rest, '-');
    if (size == rest->size || size < 3)
        return false;
    for (size_t i = 0; i < size; i++) {
        const char *digit = memchr(alphabet, rest->data[i], 64);
        if (digit == NULL)
            return false;
        decoder.bits = (decoder.bits << 6 | (uint32_t)(digit - alphabet)) & 0xffffff;
        decoder.bit_count += 6;
        if (decoder.bit_count < 16)
            continue;
        decoder.bit_count -= 16;
        if (!unit_take(&decoder, decoder.bits >> decoder.bit_count & 0xffff, out))
            return false;
    }
    *rest = slice_from(*rest, size + 1);
    bool is_left_over = decoder.bit_count >= 6 || (decoder.bits & ((1u << decoder.bit_count) - 1));
    return decoder.high == 0 && !is_left_over;
}

bool imap_utf7_decode(struct slice name, struct text *out)
{
    bool was_run = false;
    while (name.size > 0) {
        char c = name.data[0];
        name = slice_from(name, 1);
        if (c != '&') {
            if (!is_printable((unsigned char)c))
                return false;
            text_char(out, c);
            was_run = false;
        } else if (name.size > 0 && name.data[0] == '-') {
            text_char(out, '&');
            name = slice_from(name, 1);
            was_run = false;
        } else {
            if (was_run || !run_decode(&name, out))
                return false;
            was_run = true;
        }
    }
    return true;
}

/* ---------------------------------------------------------------- encoding */

struct unit_encoder {
    uint32_t bits, bit_count;
    bool is_open;
};

static void unit_add(struct unit_encoder *encoder, uint32_t unit, struct text *out)
{
    encoder->bits = encoder->bits << 16 | unit;
    encoder->bit_count += 16;
    while (encoder->bit_count >= 6) {
        encoder->bit_count -= 6;
        text_char(out, alphabet[encoder->bits >> encoder->bit_count & 63]);
    }
}

static void run_close(struct unit_encoder *encoder, struct text *out)
{
    if (encoder->is_open) {
        if (encoder->bit_count > 0)
            text_char(out, alphabet[encoder->bits << (6 - encoder->bit_count) & 63]);
        text_char(out, '-');
    }
    *encoder = (struct unit_encoder){0};
}

void imap_utf7_encode(struct slice name, struct text *out)
{
    struct unit_encoder encoder = {0};
    while (name.size > 0) {
        int32_t next = utf8_next(&name);
        if (next < 0) { /* not from our store; shown as U+FFFD */
            next = 0xfffd;
            name = slice_from(name, 1);
        }
        uint32_t c = (uint32_t)next;
        if (is_printable(c)) {
            run_close(&encoder, out);
            text_char(out, (char)c);
            if (c == '&')
                text_char(out, '-');
            continue;
        }
        if (!encoder.is_open)
            text_char(out, '&');
        encoder.is_open = true;
        if (c >= 0x10000) {
            unit_add(&encoder, 0xd800 + ((c - 0x10000) >> 10), out);
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        unit_add(&encoder, c, out);
    }
    run_close(&encoder, out);
}
