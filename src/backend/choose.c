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

typedef unsigned __int128 uint128;

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

void choice_tried(struct choice *choice, const struct backend_member *member, bool is_unfit)
{
    const struct backend_member **tried = choice->tried;
    tried[choice->tried_count++] = member;
    if (!is_unfit)
        return;
    tried[choice->tried_count - 1] = tried[choice->unfit_count];
    tried[choice->unfit_count++] = member;
}

/* A backend that came back takes its share of new users in growing part. */
static uint64_t weight_now(const struct backend_member *member, enum backend_protocol protocol,
                           uint64_t now_ns)
{
    uint64_t weight = (uint64_t)member->options->weight << 10;
    uint64_t whole_ns = member->pool->options->slow_start_ms * 1000000;
    uint64_t since_ns =
        atomic_load_explicit(&member->backend->health[protocol].since_ns, memory_order_relaxed);
    if (since_ns == 0 || since_ns + whole_ns <= now_ns)
        return weight;
    uint64_t gone_ns = now_ns > since_ns ? now_ns - since_ns : 0;
    weight = (uint64_t)((uint128)weight * gone_ns / whole_ns);
    return weight > 0 ? weight : 1;
}

struct draw {
    const struct backend_member *member;
    uint64_t hash, weight;
};

static bool is_better(const struct draw *a, const struct draw *b)
{
    if (a->weight == b->weight)
        return a->hash != b->hash ? a->hash > b->hash : a->member->hash < b->member->hash;
    uint128 left = (uint128)hash_bits_q32(a->hash) * b->weight;
    uint128 right = (uint128)hash_bits_q32(b->hash) * a->weight;
    return left != right ? left < right : a->member->hash < b->member->hash;
}

const struct backend_member *choose(const struct choice *choice, uint64_t now_ns)
{
    uint64_t user = hash_stable(choice->user.data, choice->user.size);
    struct draw best = {0};
    for (unsigned i = 0; i < choice->pool->member_count; i++) {
        const struct backend_member *member = &choice->pool->members[i];
        if (member->options->weight == 0 || !slice_equal(member->options->tag, choice->tag) ||
            backend_will_of(member->backend) != BACKEND_UP ||
            !backend_is_usable(member, choice->protocol, now_ns) ||
            choice_has_tried(choice, member))
            continue;
        struct draw draw = {
            .member = member,
            .hash = hash_u64(user ^ member->hash),
            .weight = weight_now(member, choice->protocol, now_ns),
        };
        if (best.member == NULL || is_better(&draw, &best))
            best = draw;
    }
    return best.member;
}
