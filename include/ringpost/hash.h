/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Checksums and hashes.
 */
#ifndef RINGPOST_HASH_H
#define RINGPOST_HASH_H

#include "ringpost/slice.h"

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4). Chained: crc32c(crc32c(0, a), b) == crc32c(0, ab).
 * */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/* Keyed hash for tables whose keys a peer may choose (SipHash-1-3, 128-bit key). */
struct hash_key {
    uint64_t k0, k1;
};
uint64_t hash_keyed(const struct hash_key *key, const void *data, size_t size);

/* The same on every machine and in every version (FNV-1a 64 with a final mix): which shard a user
 * belongs to. */
uint64_t hash_stable(const void *data, size_t size);

/* Mixes one 64-bit number (splitmix64's finaliser): hash of an integer key. */
static inline uint64_t hash_u64(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

#endif
