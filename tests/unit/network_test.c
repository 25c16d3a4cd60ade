/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Networks against inet_pton and a comparison bit by bit: hand-picked texts, then a million texts
 * made of the characters that addresses are made of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>

#include "ringpost/hash.h"
#include "ringpost/network.h"

static bool is_mapped(const uint8_t *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(address, mapped, sizeof mapped) == 0;
}

/* What one address in text is, by the C library. 0: none. */
static unsigned oracle(const char *text, uint8_t *ret_address)
{
    memset(ret_address, 0, 16);
    if (inet_pton(AF_INET, text, ret_address) == 1)
        return 4;
    if (inet_pton(AF_INET6, text, ret_address) != 1)
        return 0;
    if (!is_mapped(ret_address))
        return 6;
    memmove(ret_address, ret_address + 12, 4);
    memset(ret_address + 4, 0, 12);
    return 4;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    for (unsigned i = 0; i < bits; i++)
        if ((a[i / 8] >> (7 - i % 8) & 1) != (b[i / 8] >> (7 - i % 8) & 1))
            return false;
    return true;
}

static bool parses(const char *text)
{
    struct network network;
    return network_parse(slice_cstr(text), &network);
}

static bool holds(const char *range, const char *address)
{
    struct network network;
    uint8_t bytes[16];
    unsigned family = inet_pton(AF_INET, address, bytes) == 1 ? 4 : 6;
    assert_true(family == 4 || inet_pton(AF_INET6, address, bytes) == 1);
    assert_true(network_parse(slice_cstr(range), &network));
    return network_holds(&network, family, bytes);
}

static void ranges(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "/",
                                      "/24",
                                      "192.0.2",
                                      "192.0.2.0.1",
                                      "192.0.2.256",
                                      "192.0.02.1",
                                      "192.0.2.1/",
                                      "1.2.3.4/33",
                                      "1.2.3.4/24",
                                      "1.2.3.0/024",
                                      "1.2.3.0/+4",
                                      "1.2.3.4/3x",
                                      "0x7f.0.0.1",
                                      "127.1",
                                      " 1.2.3.4",
                                      "1.2.3.4 ",
                                      "1.2.3.4/24/8",
                                      ":",
                                      ":::",
                                      "1::2::3",
                                      "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:6:7:8:9",
                                      "12345::",
                                      "::1/129",
                                      "::1/64",
                                      "fe80::1%lo",
                                      "::g",
                                      "1:",
                                      ":1",
                                      "::1:",
                                      "1.2.3.4::",
                                      "::1.2.3.4:5",
                                      "1:2:3:4:5:6:7:1.2.3.4",
                                      "::1.2.3",
                                      "[::1]",
                                      "localhost",
                                      "::ffff:1.2.3.4/90",
                                      "1:2:3:4:5:6:7::8:9",
                                      "1:2:3:4:5:6:7:8::"};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parses(bad[i]))
            fail_msg("%s", bad[i]);
    assert_false(network_parse(slice_of("1.2.3.4\0", 8), &(struct network){0}));
    assert_true(parses("1:2:3:4:5:6:7::") && parses("::2:3:4:5:6:7:8") && parses("0.0.0.0/0"));
    assert_true(holds("192.0.2.0/24", "192.0.2.255") && !holds("192.0.2.0/24", "192.0.3.0"));
    assert_true(holds("192.0.2.128/25", "192.0.2.128") && !holds("192.0.2.128/25", "192.0.2.127"));
    assert_true(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "2001:db8::1"));
    assert_true(holds("::/0", "2001:db8::1") && !holds("::/0", "8.8.8.8"));
    assert_true(holds("2001:db8::/32", "2001:db8:ffff::") && !holds("2001:db8::/32", "2001:db9::"));
    assert_true(holds("::1", "::1") && !holds("::1", "::2"));
    assert_true(holds("192.0.2.7", "::ffff:192.0.2.7") &&
                holds("::ffff:192.0.2.0/120", "192.0.2.7"));
    assert_true(holds("::ffff:0:0/96", "10.0.0.1") && !holds("::ffff:0:0/96", "::1"));
    assert_false(holds("::/0", "::ffff:1.2.3.4")); /* IPv4, whatever it is written as */
}

static void sets(void **state)
{
    (void)state;
    struct network networks[2];
    assert_true(network_parse(SLICE("192.0.2.0/24"), &networks[0]));
    assert_true(network_parse(SLICE("2001:db8::/32"), &networks[1]));
    struct network_set set = {networks, 2}, none = {0};
    static const uint8_t v4[4] = {192, 0, 2, 9}, other[4] = {192, 0, 3, 9};
    static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8};
    assert_true(network_set_holds(&set, 4, v4) && network_set_holds(&set, 6, v6));
    assert_false(network_set_holds(&set, 4, other) || network_set_holds(&none, 4, v4));
    assert_false(network_set_holds(&set, 0, v4) || network_set_holds(&set, 1, v4));
    bool is_broken = false;
    assert_true(network_text_holds(SLICE("::1, 192.0.2.0/24"), 4, v4, &is_broken));
    assert_true(network_text_holds(SLICE("192.0.2.9"), 4, v4, &is_broken));
    assert_false(network_text_holds(SLICE(" ,\t, "), 4, v4, &is_broken));
    assert_false(network_text_holds(SLICE(""), 4, v4, &is_broken));
    assert_false(network_text_holds(SLICE("::1 2001:db8::/32"), 4, v4, &is_broken));
    assert_false(is_broken);
    assert_true(network_text_holds(SLICE("192.0.2.9 junk"), 4, v4, &is_broken));
    assert_true(is_broken);
    assert_true(network_text_holds(SLICE("junk,192.0.2.9"), 4, v4, NULL));
    assert_false(network_text_holds(SLICE("192.0.2.9/24;192.0.2.9"), 4, v4, NULL));
}

/* An address as the library writes it, up to three of its characters changed; the size. */
static unsigned some_text(uint64_t chance, char *text)
{
    static const char letters[] = "0001122:::::..fFa98";
    uint8_t bytes[16];
    for (unsigned i = 0; i < 16; i++) {
        uint64_t bits = hash_u64(chance + i);
        bytes[i] = (uint8_t)(bits % 3 ? 0 : bits >> 8);
    }
    if (chance % 16 == 0) {
        memset(bytes, 0, 10);
        bytes[10] = bytes[11] = 0xff;
    }
    bool is_v4 = (chance >> 8) % 3 == 0;
    assert_non_null(inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes, text, 64));
    unsigned size = (unsigned)strlen(text);
    for (unsigned i = (unsigned)(chance >> 16) % 4; i > 0; i--) {
        uint64_t bits = hash_u64(chance + 100 + i);
        unsigned at = (unsigned)(bits % (size + 1));
        char letter = letters[(bits >> 16) % (sizeof letters - 1)];
        if ((bits >> 32) % 3 == 0 || at == size) {
            memmove(text + at + 1, text + at, size - at + 1);
            text[at] = letter;
            size++;
        } else if ((bits >> 32) % 3 == 1 && size > 1) {
            memmove(text + at, text + at + 1, size - at);
            size--;
        } else {
            text[at] = letter;
        }
    }
    return size;
}

static void against_the_library(void **state)
{
    (void)state;
    uint64_t chance = 9;
    unsigned taken[7] = {0}, refused = 0;
    for (unsigned round = 0; round < 1000000; round++) {
        char text[64];
        chance = hash_u64(chance + round);
        uint64_t bits = hash_u64(chance);
        unsigned size = some_text(chance, text);
        uint8_t wanted[16];
        unsigned family = oracle(text, wanted);
        struct network network;
        bool is_parsed = network_parse(slice_of(text, size), &network);
        if (is_parsed != (family != 0))
            fail_msg("%s: %d, not %u", text, is_parsed, family);
        if (!is_parsed) {
            refused++;
            continue;
        }
        taken[family]++;
        assert_int_equal(network.family, family);
        assert_memory_equal(network.address, wanted, 16);
        uint8_t near[16];
        memcpy(near, wanted, 16);
        unsigned all = family == 4 ? 32 : 128, flip = (unsigned)(bits >> 8) % all;
        near[flip / 8] = (uint8_t)(near[flip / 8] ^ (0x80 >> flip % 8));
        assert_false(network_holds(&network, family, near));
        network.bits = (uint8_t)((bits >> 32) % (all + 1));
        assert_int_equal(network_holds(&network, family, near),
                         same_bits(wanted, near, network.bits) &&
                             !(family == 6 && is_mapped(near)));
    }
    assert_true(taken[4] > 100000 && taken[6] > 100000 && refused > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ranges), cmocka_unit_test(sets),
                                       cmocka_unit_test(against_the_library)};
    return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
