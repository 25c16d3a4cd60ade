/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Networks as text, and addresses in them. The text is what inet_pton takes (RFC 4291 2.2, dotted
 * decimal without leading zeros), without a resolver's latitude: no scope, no octal, no short
 * forms, so an operator and a peer cannot mean two things by one text.
 *
 * Invariants:
 *   N1 A network's address has no bit set beyond `bits`: comparing a prefix is comparing addresses.
 *   N2 An IPv4-mapped address (::ffff:a.b.c.d) is IPv4 everywhere, in networks and in questions, so
 *      no rule about an IPv4 address is passed by writing it as IPv6.
 *
 * Fails by saying false; owns nothing.
 */
#include "ringpost/network.h"

#include <arpa/inet.h>

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
    char copy[TEXT_MAX + 1] = "";
    if (text.size > TEXT_MAX || slice_find(address, '\0') < address.size)
        return false;
    if (address.size > 0)
        memcpy(copy, address.data, address.size);
    if (inet_pton(AF_INET, copy, network.address) != 1) {
        network.family = 6;
        if (inet_pton(AF_INET6, copy, network.address) != 1)
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
