/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * PROXY headers, both versions. Section numbers are those of HAProxy's "The PROXY protocol".
 *
 * Invariants:
 *   1 Nothing is guessed: bytes that cannot begin a header are bad as soon as they are seen, and a
 *     header of an unknown version, command or family is none.
 *   2 No byte behind the header is looked at for its meaning: `size` says where the client begins.
 *   3 Each length is compared with what is left before it is followed.
 */
#include "proxy.h"

#include "ringpost/hash.h"
#include "ringpost/network.h"

static const char SIGNATURE[12] = {'\r', '\n', '\r', '\n', '\0', '\r',
                                   '\n', 'Q',  'U',  'I',  'T',  '\n'};

enum {
    COMMAND_LOCAL = 0x20, /* version 2 in the upper half */
    COMMAND_PROXY = 0x21,
    FAMILY_UNSPEC = 0x00,
    FAMILY_TCP4 = 0x11,
    FAMILY_TCP6 = 0x21,
    FAMILY_UNIX = 0x31,
    TLV_CRC32C = 0x03,
    TLV_SSL = 0x20,
    TLV_TTL = 0xe5, /* of those for one's own use; ours when its value is like it */
    TLV_HEAD_BYTES = 3,
    TLV_SSL_FIXED_BYTES = 5 /* client, verify */
};

/* Both begin alike, as far as the shorter one goes. */
static bool agrees(struct slice bytes, struct slice wanted)
{
    size_t size = bytes.size < wanted.size ? bytes.size : wanted.size;
    return slice_equal(slice_first(bytes, size), slice_first(wanted, size));
}

/* An IPv4-mapped address counts as IPv4, like those of connections. */
static void set_client(struct proxy_header *header, unsigned family, const void *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (family == 6 && memcmp(address, mapped, sizeof mapped) == 0) {
        family = 4;
        address = (const char *)address + sizeof mapped;
    }
    header->family = (uint8_t)family;
    memcpy(header->address, address, family == 4 ? 4 : 16);
}

/* ---------------------------------------------------------------- version 1 (2.1) */

/* The word up to the next space, which must be there unless it is the last. */
static bool take_word(struct slice *text, bool is_last, struct slice *ret_word)
{
    size_t space = slice_find(*text, ' ');
    if (is_last != (space == text->size))
        return false;
    *ret_word = slice_first(*text, space);
    *text = slice_from(*text, space + 1);
    return true;
}

static bool parse_port(struct slice text, uint16_t *ret_port)
{
    uint64_t value;
    if ((text.size > 1 && text.data[0] == '0') || !slice_number(text, UINT16_MAX, &value))
        return false;
    *ret_port = (uint16_t)value;
    return true;
}

/* An address written as one of this family; no range. */
static bool parse_address(struct slice text, unsigned family, struct network *ret_network)
{
    bool is_v6 = slice_find(text, ':') < text.size;
    return is_v6 == (family == 6) && slice_find(text, '/') == text.size &&
           network_parse(text, ret_network);
}

/* What stands behind "PROXY TCP4 " or "PROXY TCP6 ". */
static bool parse_client(struct slice text, unsigned family, struct proxy_header *header)
{
    struct slice source, target, source_port, target_port;
    struct network client, server;
    uint16_t unused;
    if (!take_word(&text, false, &source) || !take_word(&text, false, &target) ||
        !take_word(&text, false, &source_port) || !take_word(&text, true, &target_port))
        return false;
    if (!parse_address(source, family, &client) || !parse_address(target, family, &server) ||
        !parse_port(source_port, &header->port) || !parse_port(target_port, &unused))
        return false;
    set_client(header, client.family, client.address);
    return true;
}

static enum proxy_result parse_v1(struct slice bytes, struct proxy_header *ret_header)
{
    static const struct slice tcp4 = {"PROXY TCP4 ", 11}, tcp6 = {"PROXY TCP6 ", 11},
                              unknown = {"PROXY UNKNOWN", 13};
    struct slice line = slice_first(bytes, PROXY_V1_BYTES_MAX);
    size_t lf = slice_find(line, '\n'), cr = slice_find(line, '\r');
    if (!agrees(line, tcp4) && !agrees(line, tcp6) && !agrees(line, unknown))
        return PROXY_BAD;
    if (lf == line.size) {
        bool is_whole_still = cr == line.size || cr + 1 == line.size;
        return is_whole_still && line.size < PROXY_V1_BYTES_MAX ? PROXY_MORE : PROXY_BAD;
    }
    if (cr + 1 != lf)
        return PROXY_BAD;
    struct proxy_header header = {.size = lf + 1};
    line = slice_first(line, cr);
    if (line.size >= tcp4.size && agrees(line, tcp4)) {
        if (!parse_client(slice_from(line, tcp4.size), 4, &header))
            return PROXY_BAD;
    } else if (line.size >= tcp6.size && agrees(line, tcp6)) {
        if (!parse_client(slice_from(line, tcp6.size), 6, &header))
            return PROXY_BAD;
    } else if (line.size < unknown.size || (line.size > unknown.size && line.data[13] != ' ')) {
        return PROXY_BAD;
    }
    *ret_header = header;
    return PROXY_DONE;
}

/* ---------------------------------------------------------------- version 2 (2.2) */

static unsigned byte_at(struct slice bytes, size_t at)
{
    return (unsigned char)bytes.data[at];
}

static size_t pair_at(struct slice bytes, size_t at)
{
    return (size_t)byte_at(bytes, at) << 8 | byte_at(bytes, at + 1);
}

/* The next of a row of TLVs. False: it reaches past the end. */
static bool take_tlv(struct slice *tlvs, unsigned *ret_type, struct slice *ret_value)
{
    if (tlvs->size < TLV_HEAD_BYTES)
        return false;
    size_t size = pair_at(*tlvs, 1);
    if (size > tlvs->size - TLV_HEAD_BYTES)
        return false;
    *ret_type = byte_at(*tlvs, 0);
    *ret_value = slice_first(slice_from(*tlvs, TLV_HEAD_BYTES), size);
    *tlvs = slice_from(*tlvs, TLV_HEAD_BYTES + size);
    return true;
}

/* 2.2.3: over the header with the checksum's own bytes as 0. */
static bool is_checksum(struct slice header, struct slice value)
{
    static const char zeros[4];
    size_t at = (size_t)(value.data - header.data);
    uint32_t crc = crc32c(0, header.data, at);
    crc = crc32c(crc, zeros, sizeof zeros);
    crc = crc32c(crc, value.data + sizeof zeros, header.size - at - sizeof zeros);
    return crc == (uint32_t)(pair_at(value, 0) << 16 | pair_at(value, 2));
}

static bool are_whole(struct slice tlvs)
{
    struct slice value;
    unsigned type;
    while (tlvs.size > 0)
        if (!take_tlv(&tlvs, &type, &value))
            return false;
    return true;
}

/* "ttl=N": how many gateways more there may be, against circles of them. */
static void take_ttl(struct slice value, struct proxy_header *header)
{
    static const struct slice name = SLICE("ttl=");
    bool is_ours = value.size == name.size + 1 && slice_equal(slice_first(value, name.size), name);
    unsigned digit = is_ours ? (unsigned char)value.data[name.size] - (unsigned)'0' : 10;
    if (digit < 10)
        header->hops_left = (uint8_t)(digit + 1);
}

/* Those that we do not know are passed over. */
static bool check_tlvs(struct slice whole, struct slice tlvs, struct proxy_header *header)
{
    struct slice value;
    unsigned type, checksums = 0;
    while (tlvs.size > 0) {
        if (!take_tlv(&tlvs, &type, &value))
            return false;
        if (type == TLV_CRC32C &&
            (value.size != 4 || ++checksums > 1 || !is_checksum(whole, value)))
            return false;
        if (type == TLV_SSL && (value.size < TLV_SSL_FIXED_BYTES ||
                                !are_whole(slice_from(value, TLV_SSL_FIXED_BYTES))))
            return false;
        if (type == TLV_TTL)
            take_ttl(value, header);
    }
    return true;
}

/* Of a PROXY command: source, target, their ports, then TLVs. */
static bool parse_block(struct slice whole, unsigned family, struct proxy_header *header)
{
    struct slice block = slice_from(whole, PROXY_V2_FIXED_BYTES);
    size_t address_bytes = family == FAMILY_TCP4 ? 4 : family == FAMILY_TCP6 ? 16 : 108;
    size_t port_bytes = family == FAMILY_UNIX ? 0 : 2;
    if (family == FAMILY_UNSPEC)
        return true; /* nothing in it is to be believed */
    if (block.size < 2 * (address_bytes + port_bytes) ||
        !check_tlvs(whole, slice_from(block, 2 * (address_bytes + port_bytes)), header))
        return false;
    if (family == FAMILY_UNIX)
        return true;
    set_client(header, family == FAMILY_TCP4 ? 4 : 6, block.data);
    header->port = (uint16_t)pair_at(block, 2 * address_bytes);
    return true;
}

static enum proxy_result parse_v2(struct slice bytes, struct proxy_header *ret_header)
{
    unsigned command = bytes.size > 12 ? byte_at(bytes, 12) : COMMAND_PROXY;
    unsigned family = bytes.size > 13 ? byte_at(bytes, 13) : FAMILY_UNSPEC;
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
        return PROXY_BAD;
    if (command == COMMAND_PROXY && family != FAMILY_UNSPEC && family != FAMILY_TCP4 &&
        family != FAMILY_TCP6 && family != FAMILY_UNIX)
        return PROXY_BAD; /* datagrams too: this is a stream */
    if (bytes.size < PROXY_V2_FIXED_BYTES)
        return PROXY_MORE;
    size_t rest = pair_at(bytes, 14);
    if (rest > PROXY_V2_REST_BYTES_MAX)
        return PROXY_BAD;
    if (bytes.size < PROXY_V2_FIXED_BYTES + rest)
        return PROXY_MORE;
    struct proxy_header header = {.size = PROXY_V2_FIXED_BYTES + rest};
    if (command == COMMAND_PROXY && !parse_block(slice_first(bytes, header.size), family, &header))
        return PROXY_BAD;
    *ret_header = header;
    return PROXY_DONE;
}

enum proxy_result proxy_parse(struct slice bytes, struct proxy_header *ret_header)
{
    if (bytes.size == 0)
        return PROXY_MORE;
    if (bytes.data[0] == 'P')
        return parse_v1(bytes, ret_header);
    if (agrees(bytes, slice_of(SIGNATURE, sizeof SIGNATURE)))
        return parse_v2(bytes, ret_header);
    return PROXY_BAD;
}
