/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Micro-benchmarks of what touches bytes: dots, checksums, base64, hashes, arenas, summaries of
 * messages; and the load generator's histogram.
 */
#include "../load/histogram.h"
#include "micro.h"
#include "ringpost/base64.h"
#include "ringpost/dot.h"
#include "ringpost/hash.h"
#include "ringpost/mime.h"

enum { TEXT_BYTES = 16384, LINE_BYTES = 72, BASE64_BYTES = 3 * 1024, HASHED_BYTES = 24 };

static char text[TEXT_BYTES + 8], decoded[TEXT_BYTES + 8];
static size_t text_bytes;

/* Lines of 72 bytes, each eighth begins with a dot, as in mail. */
static void text_make(void)
{
    text_bytes = 0;
    for (unsigned line = 0; text_bytes + LINE_BYTES + 2 <= TEXT_BYTES - 3; line++) {
        memset(text + text_bytes, 'a' + (int)(line % 26), LINE_BYTES);
        if (line % 8 == 7)
            text[text_bytes] = text[text_bytes + 1] = '.';
        memcpy(text + text_bytes + LINE_BYTES, "\r\n", 2);
        text_bytes += LINE_BYTES + 2;
    }
}

static uint64_t dot_decode_begin(void)
{
    text_make();
    memcpy(text + text_bytes, ".\r\n", 3);
    text_bytes += 3;
    return text_bytes;
}

static void dot_decode_run(void)
{
    struct dot_decoder decoder = {0};
    size_t size;
    dot_decode(&decoder, slice_of(text, text_bytes), decoded, &size);
    micro_must(dot_is_done(&decoder), "dot-decode: no end");
}

static uint64_t dot_encode_begin(void)
{
    text_make();
    return text_bytes;
}

static void dot_encode_run(void)
{
    struct dot_encoder encoder = {0};
    struct slice in = slice_of(text, text_bytes);
    unsigned dots = 0;
    for (size_t run = dot_encode(&encoder, in);; run = dot_encode_on(&encoder, in)) {
        in = slice_from(in, run);
        if (in.size == 0)
            break;
        dots++;
    }
    micro_must(dots > 0, "dot-encode: no dots");
}

static uint64_t crc32c_begin(void)
{
    text_make();
    return TEXT_BYTES;
}

static void crc32c_run(void)
{
    micro_must(crc32c(1, text, TEXT_BYTES) != 0, "crc32c");
}

static char encoded[BASE64_BYTES / 3 * 4];

static uint64_t base64_begin(void)
{
    text_make();
    micro_must(base64_encode(slice_of(text, BASE64_BYTES), encoded) == sizeof encoded, "base64");
    return BASE64_BYTES;
}

static void base64_decode_run(void)
{
    size_t size;
    micro_must(base64_decode(slice_of(encoded, sizeof encoded), decoded, &size) &&
                   size == BASE64_BYTES,
               "base64-decode");
}

static void base64_encode_run(void)
{
    micro_must(base64_encode(slice_of(text, BASE64_BYTES), encoded) > 0, "base64-encode");
}

static uint64_t one(void)
{
    text_make();
    return 1;
}

static void hash_keyed_run(void)
{
    static const struct hash_key key = {1, 2};
    micro_must(hash_keyed(&key, text, HASHED_BYTES) != 0, "hash-keyed");
}

static void hash_stable_run(void)
{
    micro_must(hash_stable(text, HASHED_BYTES) != 0, "hash-stable");
}

static uint64_t arena_begin(void)
{
    return 32;
}

/* 32 pieces of 10 to 200 bytes, then all is given back: what a command does. */
static void arena_run(void)
{
    struct arena arena;
    arena_init(&arena, 65536);
    for (unsigned i = 0; i < 32; i++)
        micro_must(arena_alloc(&arena, 10 + i * 6) != NULL, "arena");
    arena_reset(&arena);
}

static const char plain[] =
    "Received: from client.example (client.example [192.0.2.1])\r\n"
    "\tby mail.example.org with ESMTP id 06H2AC41J000002D;\r\n"
    "\tTue, 24 Nov 2026 19:00:00 +0000\r\n"
    "From: \"Anna Example\" <anna@example.org>\r\nTo: Bert <bert@example.org>, carl@example.net\r\n"
    "Cc: dora@example.com\r\nSubject: =?UTF-8?Q?Gr=C3=BC=C3=9Fe?= from the sea\r\n"
    "Date: Tue, 24 Nov 2026 19:00:00 +0000\r\nMessage-ID: <4711@example.org>\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: 8bit\r\n\r\n"
    "The weather is fine.\r\nThe water is cold.\r\n\r\nAnna\r\n";
static const char mixed[] =
    "From: anna@example.org\r\nTo: bert@example.org\r\nSubject: parts\r\n"
    "Date: Tue, 24 Nov 2026 19:00:00 +0000\r\nMessage-ID: <4712@example.org>\r\n"
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"outer\"\r\n\r\n"
    "--outer\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
    "--inner\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
    "--inner\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>html</p>\r\n--inner--\r\n"
    "--outer\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\n"
    "Content-Disposition: attachment; filename=\"a.pdf\"\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\nJVBERi0xLjQK\r\n--outer--\r\n";

static void summarize(struct slice message)
{
    struct arena arena;
    struct slice summary;
    arena_init(&arena, 1 << 23);
    micro_must(mime_summarize(message, &arena, &summary) == 0 && summary.size > 0, "summary");
    arena_reset(&arena);
}

static void summary_plain_run(void)
{
    summarize(slice_of(plain, sizeof plain - 1));
}

static void summary_mixed_run(void)
{
    summarize(slice_of(mixed, sizeof mixed - 1));
}

static void histogram_run(void)
{
    static struct histogram histogram;
    static uint64_t ns = 1;
    ns = ns * 5 % 999999937 + 1000; /* from 1 us to 1 s */
    histogram_add(&histogram, ns);
}

const struct micro micro_bytes[] = {
    {"dot-decode", "byte", dot_decode_begin, dot_decode_run},
    {"dot-encode", "byte", dot_encode_begin, dot_encode_run},
    {"crc32c", "byte", crc32c_begin, crc32c_run},
    {"base64-decode", "byte", base64_begin, base64_decode_run},
    {"base64-encode", "byte", base64_begin, base64_encode_run},
    {"hash-keyed-24", "hash", one, hash_keyed_run},
    {"hash-stable-24", "hash", one, hash_stable_run},
    {"arena", "piece", arena_begin, arena_run},
    {"mime-summary-plain", "message", one, summary_plain_run},
    {"mime-summary-parts", "message", one, summary_mixed_run},
    {"histogram-add", "value", one, histogram_run},
    {0},
};
