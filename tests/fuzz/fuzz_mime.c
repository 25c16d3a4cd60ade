/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as a message. The summary must be made, open, hold parts that nest, and
 * texts whose brackets pair; every decoder gets the bytes too. The same bytes are then opened as if
 * they were a summary.
 *
 * Built and run by tests/run.sh --suite fuzz.
 */
#include "ringpost/mime.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* IMAP's grammar as far as it tells where a text ends: brackets pair outside strings, literals hold
 * what they say. */
static void text_check(struct slice text)
{
    unsigned depth = 0;
    require(text.size > 0);
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        require(c != '\0' && c != '\r' && c != '\n' && !((unsigned char)c & 0x80));
        if (c == '(') {
            depth++;
        } else if (c == ')') {
            require(depth-- > 0);
        } else if (c == '"') {
            for (i++; i < text.size && text.data[i] != '"'; i++) {
                require(text.data[i] != '\r' && text.data[i] != '\n' && text.data[i] != '\0');
                i += text.data[i] == '\\';
            }
            require(i < text.size);
        } else if (c == '{') {
            struct slice rest = slice_from(text, i + 1);
            size_t digits = slice_find(rest, '}');
            uint64_t literal;
            require(slice_number(slice_first(rest, digits), text.size, &literal));
            require(rest.size - digits >= 3 && rest.data[digits + 1] == '\r' &&
                    rest.data[digits + 2] == '\n');
            require(memchr(rest.data + digits + 3, '\0', literal) == NULL);
            i += digits + 3 + literal;
            require(i < text.size);
        }
    }
    require(depth == 0);
}

static void parts_check(const struct mime_summary *summary, size_t message_size)
{
    uint32_t end_of_siblings[MIME_PARTS_MAX] = {0};
    for (uint32_t i = 0; i < summary->part_count; i++) {
        struct mime_part part, parent;
        mime_summary_part(summary, i, &part);
        mime_summary_part(summary, part.parent, &parent);
        uint64_t end = (uint64_t)part.body_offset + part.body_size;
        require((uint64_t)part.header_offset + part.header_size == part.body_offset);
        if (i == 0) {
            require(part.parent == 0 && part.header_offset == 0 && end == message_size);
            continue;
        }
        require(part.parent < i && part.header_offset >= parent.body_offset);
        require(end <= (uint64_t)parent.body_offset + parent.body_size);
        require(part.header_offset >= end_of_siblings[part.parent]);
        end_of_siblings[part.parent] = (uint32_t)end;
    }
}

static void sections_check(const struct mime_summary *summary, size_t message_size)
{
    for (uint32_t first = 0; first < 4; first++)
        for (uint32_t second = 0; second < 4; second++)
            for (unsigned count = 0; count <= 2; count++)
                for (int text = MIME_SECTION_ALL; text <= MIME_SECTION_MIME; text++) {
                    uint32_t numbers[2] = {first, second};
                    uint64_t offset, size;
                    struct mime_part part;
                    if (mime_section_find(summary, numbers, count, (enum mime_section_text)text,
                                          message_size, &offset, &size, &part))
                        require(offset + size <= message_size);
                }
}

static void decoders_run(struct slice bytes, struct arena *arena)
{
    struct text out;
    text_init(&out, arena);
    mime_decode_words(bytes, &out);
    for (size_t i = 0; i < out.size; i++)
        require((unsigned char)out.data[i] >= ' ' && out.data[i] != 127);
    for (int encoding = MIME_7BIT; encoding <= MIME_ENCODING_OTHER; encoding++) {
        size_t before = out.size;
        mime_decode_transfer(bytes, (enum mime_encoding)encoding, &out);
        require(out.size - before <= bytes.size);
    }
    static const char *const charsets[] = {"iso-2022-jp", "utf-7", "gb18030",
                                           "euc-kr",      "x",     "utf-16"};
    for (size_t i = 0; i < sizeof charsets / sizeof charsets[0]; i++)
        mime_to_utf8(bytes, slice_cstr(charsets[i]), &out);
    require(!out.failed);
    int64_t seconds, day;
    int zone;
    bool is_date = mime_date_parse(bytes, &seconds, &zone);
    bool is_day = mime_date_day(bytes, &day);
    require(!is_date || is_day);
    struct slice needle = slice_from(bytes, bytes.size / 2);
    while (needle.size > 0 && ((unsigned char)needle.data[0] & 0xc0) == 0x80)
        needle = slice_from(needle, 1); /* case is folded by whole characters */
    require(mime_contains_nocase(bytes, needle));
    mime_contains_nocase(needle, bytes);
}

static void header_check(struct slice message, struct arena *arena)
{
    struct mime_header field;
    struct slice rest = message;
    const char *expected = message.data;
    while (mime_header_next(&rest, &field)) {
        require(field.whole.data == expected && field.whole.size > 0);
        expected = field.whole.data + field.whole.size;
    }
    struct text out;
    text_init(&out, arena);
    mime_header_select(message, &SLICE("x"), 1, true, &out);
    mime_header_select(message, &SLICE("x"), 1, false, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, 64 << 20);
    struct slice message = slice_of(data, size), bytes;
    struct mime_summary summary;
    require(mime_summarize(message, &arena, &bytes) == 0);
    require(mime_summary_open(bytes, &summary) == 0);
    parts_check(&summary, size);
    text_check(summary.envelope);
    text_check(summary.body);
    text_check(summary.bodystructure);
    sections_check(&summary, size);
    header_check(message, &arena);
    decoders_run(message, &arena);
    if (mime_summary_open(message, &summary) == 0)
        sections_check(&summary, UINT64_MAX / 2);
    arena_reset(&arena);
    return 0;
}
