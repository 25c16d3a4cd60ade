/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Networks: sets of address ranges as operators write them, "192.0.2.0/24 2001:db8::/32 ::1", and
 * the question whether an address is in one. IPv4-mapped IPv6 addresses count as IPv4.
 */
#ifndef RINGPOST_NETWORK_H
#define RINGPOST_NETWORK_H

#include "ringpost/slice.h"

enum { NETWORKS_MAX = 1024 /* ranges in one set */ };

struct network {
    uint8_t address[16]; /* IPv4: the first 4 bytes; bits beyond `bits` are 0 */
    uint8_t family;      /* 4 or 6, as stream->peer_family */
    uint8_t bits;        /* 0...32 or 0...128 */
};

struct network_set {
    const struct network *networks;
    unsigned count;
};

/* One range, "address" or "address/bits". False: not one, or bits set beyond the prefix. */
bool network_parse(struct slice text, struct network *ret_network);
/* family and address as in struct stream. Families other than 4 and 6 are in no network. */
bool network_holds(const struct network *network, unsigned family, const uint8_t *address);
bool network_set_holds(const struct network_set *set, unsigned family, const uint8_t *address);
/* The same for a set as text, separated by commas or blanks, without keeping it parsed. A range
 * that does not parse holds nothing and makes *ret_broken true (NULL: not asked). */
bool network_text_holds(struct slice text, unsigned family, const uint8_t *address,
                        bool *ret_broken);

#endif
