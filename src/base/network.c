/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Networks as text, and addresses in them. The text is what inet_pton takes (RFC 4291 2.2, dotted
 * decimal without leading zeros), read from a slice and without a resolver's latitude: no scope, no
 * octal, no short forms, so an operator and a peer cannot mean two things by one text.
 *
 * Invariants:
 *   N1 A network's address has no bit set beyond `bits`: comparing a prefix is comparing addresses.
 *   N2 An IPv4-mapped address (::ffff:a.b.c.d) is IPv4 everywhere, in networks and in questions, so
 *      no rule about an IPv4 address is passed by writing it as IPv6.
 *
 * Fails by saying false; owns nothing.
 */
#include "ringpost/network.h"

static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

enum { MAPPED_BITS = 96, TEXT_MAX = 64 /* of one range: 45 of an address, "/128", none longer */ };

/* 1...3 digits without a leading zero, at most max; the size of it, or 0. */
static size_t parse_decimal(struct slice text, unsigned max, unsigned *ret_value)
{
    unsigned value = 0;
    size_t i = 0;
    for (; i < text.size && i < 3 && text.data[i] >= '0' && text.data[i] <= '9'; i++)
        value = value * 10 + (unsigned)(text.data[i] - '0');
    if (i == 0 || value > max || (i > 1 && text.data[0] == '0'))
        return 0;
    *ret_value = value;
    return i;
}

static bool parse_v4(struct slice text, uint8_t *ret_address)
{
    uint8_t address[4];
    for (unsigned i = 0; i < 4; i++) {
        unsigned value = 0;
        size_t size = parse_decimal(text, 255, &value);
        if (size == 0 || (i < 3 && (size >= text.size || text.data[size] != '.')))
            return false;
        address[i] = (uint8_t)value;
        text = slice_from(text, i < 3 ? size + 1 : size);
    }
    if (text.size > 0)
        return false;
    memcpy(ret_address, address, sizeof address);
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 1...4 hexadecimal digits; the size of it, or 0. */
static size_t parse_group(struct slice text, uint8_t *ret_two)
{
    unsigned value = 0;
    size_t i = 0;
    for (; i < text.size && i < 4 && hex_value(text.data[i]) >= 0; i++)
        value = value << 4 | (unsigned)hex_value(text.data[i]);
    if (i == 0)
        return 0;
    ret_two[0] = (uint8_t)(value >> 8);
    ret_two[1] = (uint8_t)(value & 255);
    return i;
}

static bool parse_v6(struct slice text, uint8_t *ret_address)
{
    uint8_t address[16] = {0};
    size_t filled = 0, gap = SIZE_MAX; /* where "::" stands */
    if (text.size >= 2 && text.data[0] == ':' && text.data[1] == ':') {
        gap = 0;
        text = slice_from(text, 2);
    }
    while (text.size > 0) {
        if (filled <= 12 && parse_v4(text, address + filled)) {
            filled += 4;
            break;
        }
        if (filled == 16)
            return false;
        size_t size = parse_group(text, address + filled);
        if (size == 0)
            return false;
        filled += 2;
        text = slice_from(text, size);
        if (text.size == 0)
            break;
        if (text.data[0] != ':' || text.size == 1)
            return false; /* too long a group, a stranger, or a colon at the end */
        text = slice_from(text, 1);
        if (text.data[0] == ':') {
            if (gap != SIZE_MAX)
                return false;
            gap = filled;
            text = slice_from(text, 1);
        }
    }
    if (gap == SIZE_MAX ? filled != 16 : filled > 14) /* "::" stands for a group at least */
        return false;
    if (gap != SIZE_MAX) {
        size_t tail = filled - gap;
        memmove(address + 16 - tail, address + gap, tail);
        memset(address + gap, 0, 16 - filled);
    }
    memcpy(ret_address, address, sizeof address);
    return true;
}

/* The first `bits` bits of both are the same. */
static bool is_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned rest = bits % 8;
    return memcmp(a, b, bits / 8) == 0 &&
           (rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0);
}

static bool is_clear_beyond(const uint8_t *address, unsigned bits, unsigned bits_max)
{
    for (unsigned i = bits; i < bits_max; i++)
        if (address[i / 8] >> (7 - i % 8) & 1)
            return false;
    return true;
}

bool network_parse(struct slice text, struct network *ret_network)
{
    struct network network = {.family = 4};
    size_t slash = slice_find(text, '/');
    struct slice address = slice_first(text, slash);
    if (text.size > TEXT_MAX)
        return false;
    if (!parse_v4(address, network.address)) {
        network.family = 6;
        if (!parse_v6(address, network.address))
            return false;
    }
    unsigned bits_max = network.family == 4 ? 32 : 128, bits = bits_max;
    if (slash < text.size) {
        struct slice number = slice_from(text, slash + 1);
        if (number.size == 0 || parse_decimal(number, bits_max, &bits) != number.size)
            return false;
    }
    if (!is_clear_beyond(network.address, bits, bits_max))
        return false; /* N1 */
    if (network.family == 6 && bits >= MAPPED_BITS &&
        memcmp(network.address, MAPPED, sizeof MAPPED) == 0) { /* N2 */
        network.family = 4;
        bits -= MAPPED_BITS;
        memmove(network.address, network.address + sizeof MAPPED, 4);
        memset(network.address + 4, 0, 12);
    }
    network.bits = (uint8_t)bits;
    *ret_network = network;
    return true;
}

bool network_holds(const struct network *network, unsigned family, const uint8_t *address)
{
    if (family == 6 && memcmp(address, MAPPED, sizeof MAPPED) == 0) { /* N2 */
        family = 4;
        address += sizeof MAPPED;
    }
    return (family == 4 || family == 6) && family == network->family &&
           is_prefix(network->address, address, network->bits);
}

bool network_set_holds(const struct network_set *set, unsigned family, const uint8_t *address)
{
    for (unsigned i = 0; i < set->count; i++)
        if (network_holds(&set->networks[i], family, address))
            return true;
    return false;
}

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool network_text_holds(struct slice text, unsigned family, const uint8_t *address,
                        bool *ret_broken)
{
    bool is_held = false;
    while (text.size > 0) {
        size_t size = 0;
        while (size < text.size && !is_separator(text.data[size]))
            size++;
        struct network network;
        if (size > 0 && network_parse(slice_first(text, size), &network))
            is_held = is_held || network_holds(&network, family, address);
        else if (size > 0 && ret_broken != NULL)
            *ret_broken = true;
        text = slice_from(text, size + 1);
    }
    return is_held;
}
