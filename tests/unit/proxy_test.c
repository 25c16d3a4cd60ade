/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * PROXY headers: each way to write one right and wrong. Every case is also given byte by byte: the
 * answer is "more" until the first byte that decides, and the same from there on, whatever follows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../src/session/proxy.h"
#include "ringpost/hash.h"

enum { BYTES_MAX = 70000 };
static char bytes[BYTES_MAX];
static size_t size;

/* ---------------------------------------------------------------- asking */

/* The header that `bytes` begin with, asked for with each byte more. */
static enum proxy_result ask(struct proxy_header *ret_header)
{
    enum proxy_result decided = PROXY_MORE;
    for (size_t have = 0; have <= size; have++) {
        struct proxy_header header;
        char *exact = malloc(have + 1); /* a byte too many read is a byte too many for ASan */
        memcpy(exact, bytes, have);
        char *end = realloc(exact, have ? have : 1);
        enum proxy_result result = proxy_parse(slice_of(end, have), &header);
        free(end);
        if (decided != PROXY_MORE)
            assert_int_equal(result, decided);
        if (result == PROXY_DONE && decided == PROXY_MORE)
            assert_int_equal(header.size, have); /* not a byte behind it was needed */
        if (result == PROXY_DONE) {
            assert_true(header.size <= have && header.size <= PROXY_HEADER_BYTES_MAX);
            *ret_header = header;
        }
        if (have > PROXY_HEADER_BYTES_MAX)
            assert_int_not_equal(result, PROXY_MORE);
        decided = result;
        if (have > 3000 && decided != PROXY_MORE)
            break;
    }
    return decided;
}

static void put(const void *data, size_t count)
{
    assert_true(size + count <= BYTES_MAX);
    memcpy(bytes + size, data, count);
    size += count;
}

static void text(const char *line)
{
    size = 0;
    put(line, strlen(line));
}

static void bad(const char *what)
{
    struct proxy_header header;
    enum proxy_result result = ask(&header);
    if (result != PROXY_BAD)
        fail_msg("%s: %d", what, (int)result);
}

static struct proxy_header good(unsigned family, size_t rest)
{
    struct proxy_header header = {0};
    assert_int_equal(ask(&header), PROXY_DONE);
    assert_int_equal(header.size, size - rest);
    assert_int_equal(header.family, family);
    return header;
}

/* ---------------------------------------------------------------- version 1 */

/* X01 */
static void lines(void **state)
{
    (void)state;
    static const uint8_t v4[4] = {192, 0, 2, 7}, v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    text("PROXY TCP4 192.0.2.7 198.51.100.1 56324 25\r\n");
    struct proxy_header header = good(4, 0);
    assert_memory_equal(header.address, v4, 4);
    assert_int_equal(header.port, 56324);
    text("PROXY TCP6 2001:db8::1 2001:DB8:0::2 65535 0\r\nEHLO x\r\n");
    header = good(6, 8); /* what follows is the client's */
    assert_memory_equal(header.address, v6, 16);
    assert_int_equal(header.port, 65535);
    text("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n"); /* IPv4 however it is written */
    header = good(4, 0);
    assert_memory_equal(header.address, v4, 4);
    text("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n\r\n");
    good(4, 2);
    text("PROXY UNKNOWN\r\n");
    good(0, 0);
    text("PROXY UNKNOWN ffff:f:f:f:f:f:f:ffff what ever 99999999\r\n\x16\x03\x01");
    good(0, 3);
}

/* X01: the whole line, CRLF included, has 107 bytes at most */
static void long_lines(void **state)
{
    (void)state;
    for (unsigned length = 104; length <= 112; length++) {
        text("PROXY UNKNOWN ");
        while (size < length - 2)
            put("x", 1);
        put("\r\n", 2);
        if (length <= 107)
            good(0, 0);
        else
            bad("too long");
    }
    text("PROXY UNKNOWN ");
    while (size < 60000)
        put("x", 1);
    bad("endless");
}

/* X01 */
static void bad_lines(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "EHLO x\r\n",
        "\r\nQUIT",
        "PROXYTCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOW\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 99999999999999999999999 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 02\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 0x1 2\r\n",
        "PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4/32 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4/32 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP6 ::1 1.2.3.4 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP6 1::2::3 ::1 1 2\r\n",
        "PROXY TCP6 ::1/128 ::1 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
        "PROXY TCP4 1.2.3.4\r1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rEHLO x\r\n",
        "PROXY UNKNOWN\n",
        "PROXY UNKNOWN x\ry\r\n",
        "PROXY TCP4\t1.2.3.4 1.2.3.4 1 2\r\n",
        "\x16\x03\x01\x02",
        " PROXY UNKNOWN\r\n",
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        text(cases[i]);
        bad(cases[i]);
    }
    text("PROXY TCP4 1.2.3.4 1.2.3.4 1 2"); /* no CRLF, and more may come */
    struct proxy_header header;
    assert_int_equal(ask(&header), PROXY_MORE);
    size = 0;
    put("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n", 34);
    bad("NUL");
}

/* ---------------------------------------------------------------- version 2 */

enum { LOCAL = 0x20, PROXY = 0x21 };

static void begin(unsigned command, unsigned family)
{
    size = 0;
    put("\r\n\r\n\0\r\nQUIT\n", 12);
    uint8_t four[4] = {(uint8_t)command, (uint8_t)family, 0, 0};
    put(four, 4);
}

static void set_length(size_t length)
{
    bytes[14] = (char)(length >> 8);
    bytes[15] = (char)(length & 255);
}

static void finish(void)
{
    set_length(size - 16);
}

static void block(unsigned family)
{
    uint8_t addresses[216];
    for (unsigned i = 0; i < sizeof addresses; i++)
        addresses[i] = (uint8_t)(i + 1);
    put(addresses, family == 0x11 ? 12 : family == 0x21 ? 36 : 216);
}

static void tlv(unsigned type, const void *value, size_t count, size_t said)
{
    uint8_t head[3] = {(uint8_t)type, (uint8_t)(said >> 8), (uint8_t)(said & 255)};
    put(head, 3);
    put(value, count);
}

/* The checksum of the header as it stands, into the 4 bytes at `at`, which are 0. */
static void seal(size_t at)
{
    finish();
    uint32_t crc = crc32c(0, bytes, size);
    for (unsigned i = 0; i < 4; i++)
        bytes[at + i] = (char)(crc >> (24 - 8 * i) & 255);
}

/* X01 */
static void blocks(void **state)
{
    (void)state;
    static const uint8_t v6[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    begin(PROXY, 0x11);
    block(0x11);
    finish();
    struct proxy_header header = good(4, 0);
    assert_memory_equal(header.address, v6, 4);
    assert_int_equal(header.port, 9 << 8 | 10);
    put("\x16\x03\x01\x02\x00\x01", 6); /* a ClientHello in the same segment */
    good(4, 6);
    begin(PROXY, 0x21);
    block(0x21);
    finish();
    header = good(6, 0);
    assert_memory_equal(header.address, v6, 16);
    assert_int_equal(header.port, 33 << 8 | 34);
    begin(PROXY, 0x21);
    put("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\7", 16);
    put(v6, 16);
    put("\1\2\3\4", 4);
    finish();
    header = good(4, 0); /* IPv4 however it is written */
    assert_memory_equal(header.address, "\xc0\0\2\7", 4);
    assert_int_equal(header.port, 0x0102);
    begin(PROXY, 0x31); /* AF_UNIX: no address that we could use */
    block(0x31);
    finish();
    good(0, 0);
    for (unsigned family = 0; family < 256; family++) { /* LOCAL: whatever stands there */
        begin(LOCAL, family);
        put("stray bytes", family % 12);
        finish();
        put("EHLO", 4);
        good(0, 4);
    }
    begin(PROXY, 0); /* UNSPEC: likewise */
    put("\xff\xff\xff", 3);
    finish();
    good(0, 0);
}

/* X01 */
static void bad_blocks(void **state)
{
    (void)state;
    for (unsigned command = 0; command < 256; command++) {
        begin(command, 0x11);
        block(0x11);
        finish();
        if (command != LOCAL && command != PROXY)
            bad("version or command");
    }
    for (unsigned family = 0; family < 256; family++) {
        begin(PROXY, family);
        block(0x31);
        finish();
        if (family != 0 && family != 0x11 && family != 0x21 && family != 0x31)
            bad("family");
    }
    static const unsigned families[] = {0x11, 0x21, 0x31};
    for (unsigned i = 0; i < 3; i++)
        for (unsigned missing = 1; missing < 12; missing++) {
            begin(PROXY, families[i]);
            block(families[i]);
            size -= missing;
            finish();
            put("behind the header there is enough", 33);
            bad("block too short");
        }
    for (unsigned i = 0; i < 12; i++) {
        begin(PROXY, 0x11);
        block(0x11);
        finish();
        bytes[i] ^= 1;
        bad("signature");
    }
    for (unsigned length = 1020; length < 1030; length++) {
        begin(LOCAL, 0);
        while (size < 16 + length)
            put("", 1);
        finish();
        if (length <= PROXY_V2_REST_BYTES_MAX)
            good(0, 0);
        else
            bad("longer than we read");
    }
    begin(PROXY, 0x11);
    block(0x11);
    while (size < 16 + 65535)
        put("x", 1);
    set_length(65535);
    bad("65,535");
}

/* X01: walked within their bounds */
static void values(void **state)
{
    (void)state;
    begin(PROXY, 0x11);
    block(0x11);
    tlv(0x01, "imap", 4, 4);          /* ALPN */
    tlv(0x02, "mail.x.test", 11, 11); /* AUTHORITY */
    tlv(0x04, "", 0, 0);              /* NOOP */
    tlv(0x05, "0123456789", 10, 10);
    tlv(0x20, "\1\0\0\0\0\x21\0\7TLSv1.3\x22\0\0", 18, 18); /* SSL, with two of its own */
    tlv(0x30, "netns", 5, 5);
    tlv(0xee, "\0\1\2", 3, 3); /* not known: passed over */
    finish();
    put("x", 1);
    good(4, 1);
    for (size_t said = 0; said < 40; said++) {
        begin(PROXY, 0x11);
        block(0x11);
        tlv(0xee, "0123456789", 10, said);
        finish();
        put("0123456789012345678901234567890123456789", 40); /* not the header's */
        if (said == 10 || said == 0x30) /* the latter would be another length */
            good(4, 40);
        else if (said > 10)
            bad("past the end");
    }
    for (unsigned stray = 1; stray < 3; stray++) {
        begin(PROXY, 0x21);
        block(0x21);
        tlv(0x04, "pad", 3, 3);
        put("\4\0", stray);
        finish();
        bad("stray bytes");
    }
    begin(PROXY, 0x11);
    block(0x11);
    tlv(0x20, "\1\0\0\0", 4, 4);
    finish();
    bad("SSL too short");
    begin(PROXY, 0x11);
    block(0x11);
    tlv(0x20, "\1\0\0\0\0\x21\0\7TLSv1.", 14, 14);
    finish();
    bad("SSL: its own reach past its end");
}

/* X01 */
/* How far a gateway before us may go on: a digit, in a TLV of ours. */
static void hops(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint8_t hops_left;
    } rows[] = {{"ttl=0", 1}, {"ttl=6", 7},  {"ttl=9", 10}, {"ttl=", 0},
                {"ttl=x", 0}, {"ttl=12", 0}, {"TTL=1", 0},  {"", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct proxy_header header;
        begin(PROXY, 0x11);
        block(0x11);
        tlv(0xe5, rows[i].value, strlen(rows[i].value), strlen(rows[i].value));
        finish();
        assert_int_equal(proxy_parse(slice_of(bytes, size), &header), PROXY_DONE);
        assert_int_equal(header.hops_left, rows[i].hops_left);
    }
}

static void checksums(void **state)
{
    (void)state;
    static const unsigned families[] = {0x11, 0x21, 0x31};
    for (unsigned i = 0; i < 3; i++) {
        begin(PROXY, families[i]);
        block(families[i]);
        tlv(0x04, "some", 4, 4);
        tlv(0x03, "\0\0\0\0", 4, 4);
        size_t at = size - 4;
        tlv(0xe0, "more", 4, 4);
        seal(at);
        good(i == 0 ? 4 : i == 1 ? 6 : 0, 0);
        for (size_t turned = 16; turned < size; turned++) { /* each bit of it counts */
            struct proxy_header header;
            if (turned == at - 3)
                continue; /* its type: then it is no checksum */
            bytes[turned] ^= 0x10;
            assert_int_not_equal(proxy_parse(slice_of(bytes, size), &header), PROXY_DONE);
            bytes[turned] ^= 0x10;
        }
        good(i == 0 ? 4 : i == 1 ? 6 : 0, 0);
    }
    /* As HAProxy's section 2.2.3 and RFC 4960 appendix B have it: by another implementation. */
    static const char known[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\2\7\xc6\x33\x64\1\xdc\4\0"
                                "\x19\3\0\4\x0b\xc9\xf7\x04";
    size = 0;
    put(known, sizeof known - 1);
    good(4, 0);
    begin(PROXY, 0x11);
    block(0x11);
    tlv(0x03, "\0\0\0", 3, 3);
    finish();
    bad("a checksum of 3 bytes");
    begin(PROXY, 0x11);
    block(0x11);
    tlv(0x03, "\0\0\0\0", 4, 4);
    tlv(0x03, "\0\0\0\0", 4, 4);
    seal(size - 4);
    bad("two checksums");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),  cmocka_unit_test(long_lines), cmocka_unit_test(bad_lines),
        cmocka_unit_test(blocks), cmocka_unit_test(bad_blocks), cmocka_unit_test(values),
        cmocka_unit_test(hops),   cmocka_unit_test(checksums),
    };
    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
