/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Transfer encodings (RFC 2045 6.7, 6.8), undone without ever refusing: bytes outside the base64
 * alphabet are passed over, a "=" in quoted-printable that starts no escape stays. Output goes
 * through a small buffer, so that the text grows by large steps.
 */
#include "mime_private.h"

struct sink {
    struct text *out;
    size_t size;
    char data[1024];
};

static void sink_flush(struct sink *sink)
{
    text_append(sink->out, slice_of(sink->data, sink->size));
    sink->size = 0;
}

static inline void sink_byte(struct sink *sink, unsigned byte)
{
    if (sink->size == sizeof sink->data)
        sink_flush(sink);
    sink->data[sink->size++] = (char)byte;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* "=" ends a group of four, and what follows starts anew: some mail is several encodings in a row.
 */
static void base64_decode(struct slice body, struct sink *sink)
{
    unsigned bits = 0, held = 0; /* held: bits not yet written */
    for (size_t i = 0; i < body.size; i++) {
        int digit = base64_digit(body.data[i]);
        if (digit < 0) {
            if (body.data[i] == '=')
                bits = held = 0;
            continue;
        }
        bits = (bits << 6 | (unsigned)digit) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            sink_byte(sink, bits >> held);
        }
    }
}

static const char *blanks_pass(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

static bool is_line_end(const char *at, const char *end)
{
    return at < end && (*at == '\n' || (*at == '\r' && end - at > 1 && at[1] == '\n'));
}

static void quoted_printable_decode(struct slice body, struct sink *sink)
{
    const char *at = body.data, *end = mime_end(body);
    while (at < end) {
        char c = *at;
        if (c == '=' && end - at > 2 && mime_hex_value(at[1]) >= 0 && mime_hex_value(at[2]) >= 0) {
            sink_byte(sink, (unsigned)mime_hex_value(at[1]) << 4 | (unsigned)mime_hex_value(at[2]));
            at += 3;
        } else if (c == '=') {
            const char *stop = blanks_pass(at + 1, end);
            if (stop == end) { /* a soft line break that is the body's end */
                at = end;
            } else if (is_line_end(stop, end)) {
                at = stop + (*stop == '\r' ? 2 : 1);
            } else {
                sink_byte(sink, '=');
                at++;
            }
        } else if (c == ' ' || c == '\t') {
            const char *stop = blanks_pass(at, end);
            bool trailing = stop == end || is_line_end(stop, end); /* RFC 2045 6.7 (3): not meant */
            for (; at < stop; at++)
                if (!trailing)
                    sink_byte(sink, (unsigned char)*at);
        } else {
            sink_byte(sink, (unsigned char)c);
            at++;
        }
    }
}

void mime_decode_transfer(struct slice body, enum mime_encoding encoding, struct text *out)
{
    struct sink sink;
    sink.out = out;
    sink.size = 0;
    if (encoding == MIME_BASE64)
        base64_decode(body, &sink);
    else if (encoding == MIME_QUOTED_PRINTABLE)
        quoted_printable_decode(body, &sink);
    else
        text_append(out, body);
    sink_flush(&sink);
}
