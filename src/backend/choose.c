/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which backend is a user's: weighted rendezvous hashing. Each backend draws a number for the user
 * from (0, 1), the same on every gateway, and the lowest of -log(u) / weight has him. So each gets
 * users in the ratio of the weights, and when one comes or goes only its own users move.
 *
 * The logarithm is made of integers, since those of C libraries differ in the last bit, and two
 * gateways that differ about one user would give him two backends. Where weights are equal it is
 * not needed: there the larger number wins.
 *
 * Users choose their names, and the hash is not secret: whoever makes accounts may make them all
 * for one backend. Gateways that agree without talking are worth more than that.
 */
#include "backend_private.h"

__extension__ typedef unsigned __int128 uint128;

uint64_t hash_bits_q32(uint64_t hash)
{
    hash |= 1;
    unsigned zeros = (unsigned)__builtin_clzll(hash);
    uint64_t mantissa = hash << zeros, fraction = 0; /* mantissa: [1, 2) in units of 2^-63 */
    for (unsigned i = 0; i < 32; i++) { /* squared, the next bit of its logarithm is carried out */
        uint128 square = (uint128)mantissa * mantissa;
        unsigned carry = (unsigned)(square >> 127);
        mantissa = (uint64_t)(square >> (63 + carry));
        fraction = fraction << 1 | carry;
    }
    return ((uint64_t)(zeros + 1) << 32) - fraction;
}

bool choice_has_tried(const struct choice *choice, const struct backend_member *member)
{
    for (unsigned i = 0; i < choice->tried_count; i++)
        if (choice->tried[i] == member)
            return true;
    return false;
}
