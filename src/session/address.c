/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How many connections each client address, network and user has on this core (limits.c makes the
 * keys). Deleting shifts the followers back, so the table needs no tombstones and stays as full
 * as there are addresses.
 */
#include <stdlib.h>

#include "session_private.h"

static uint32_t home_of(const struct addresses *addresses, uint64_t key)
{
    return (uint32_t)(key >> 32) & (addresses->slot_count - 1);
}

/* The slot with this key, or the empty one where it belongs. */
static struct address_count *find(const struct addresses *addresses, uint64_t key)
{
    uint32_t at = home_of(addresses, key);
    while (addresses->slots[at].key != 0 && addresses->slots[at].key != key)
        at = (at + 1) & (addresses->slot_count - 1);
    return &addresses->slots[at];
}

static bool grow(struct addresses *addresses)
{
    struct addresses larger = *addresses;
    larger.slot_count = addresses->slot_count ? addresses->slot_count * 2 : ADDRESSES_FIRST;
    larger.slots = calloc(larger.slot_count, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (uint32_t i = 0; i < addresses->slot_count; i++)
        if (addresses->slots[i].key != 0)
            *find(&larger, addresses->slots[i].key) = addresses->slots[i];
    free(addresses->slots);
    *addresses = larger;
    return true;
}

bool address_take(struct addresses *addresses, uint64_t key, unsigned max)
{
    if (addresses->used * 2 >= addresses->slot_count && !grow(addresses))
        return false;
    struct address_count *slot = find(addresses, key);
    if (max != 0 && slot->count >= max)
        return false;
    if (slot->key == 0)
        addresses->used++;
    slot->key = key;
    slot->count++;
    return true;
}

void address_give(struct addresses *addresses, uint64_t key)
{
    struct address_count *slot = find(addresses, key);
    assert(slot->key == key && slot->count > 0 && "an address is given back as often as taken");
    if (--slot->count > 0)
        return;
    uint32_t mask = addresses->slot_count - 1, hole = (uint32_t)(slot - addresses->slots);
    for (uint32_t at = (hole + 1) & mask; addresses->slots[at].key != 0; at = (at + 1) & mask) {
        uint32_t home = home_of(addresses, addresses->slots[at].key);
        if (((at - home) & mask) >= ((at - hole) & mask)) { /* it may stand in the hole */
            addresses->slots[hole] = addresses->slots[at];
            hole = at;
        }
    }
    addresses->slots[hole] = (struct address_count){0};
    addresses->used--;
}
