/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A hash table from one 64-bit number to another: open addressing, linear probing, at most three
 * quarters full. Removal moves later slots back, so there are no tombstones and a probe ends at the
 * first empty slot.
 *
 * Invariant: every key stands at its home slot or behind it with no empty slot between.
 */
#include "store_private.h"

void *store_need(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    assert(memory != NULL && "T1: a durable record cannot be refused; recovery replays it");
    return memory;
}

void *store_need_resize(void *memory, size_t size)
{
    memory = realloc(memory, size ? size : 1);
    assert(memory != NULL && "T1: a durable record cannot be refused; recovery replays it");
    return memory;
}

static size_t home(const struct table *table, uint64_t key)
{
    return (size_t)hash_u64(key) & (table->capacity - 1);
}

static size_t slot_of(const struct table *table, uint64_t key)
{
    size_t at = home(table, key);
    while (table->slots[at].key != 0 && table->slots[at].key != key)
        at = (at + 1) & (table->capacity - 1);
    return at;
}

uint64_t *table_find(const struct table *table, uint64_t key)
{
    if (table->capacity == 0 || key == 0)
        return NULL;
    struct table_slot *slot = &table->slots[slot_of(table, key)];
    return slot->key == key ? &slot->value : NULL;
}

static void grow(struct table *table)
{
    struct table old = *table;
    table->capacity = old.capacity ? old.capacity * 2 : 8;
    table->slots = store_need(table->capacity * sizeof *table->slots);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].key != 0)
            table->slots[slot_of(table, old.slots[i].key)] = old.slots[i];
    free(old.slots);
}

void table_put(struct table *table, uint64_t key, uint64_t value)
{
    assert(key != 0);
    if (table->used + 1 > table->capacity / 4 * 3)
        grow(table);
    struct table_slot *slot = &table->slots[slot_of(table, key)];
    if (slot->key == 0)
        table->used++;
    *slot = (struct table_slot){key, value};
}

bool table_remove(struct table *table, uint64_t key)
{
    if (table->capacity == 0 || key == 0)
        return false;
    size_t mask = table->capacity - 1, hole = slot_of(table, key);
    if (table->slots[hole].key == 0)
        return false;
    for (size_t at = (hole + 1) & mask; table->slots[at].key != 0; at = (at + 1) & mask) {
        size_t from_home = (at - home(table, table->slots[at].key)) & mask;
        if (from_home >= ((at - hole) & mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole] = (struct table_slot){0};
    table->used--;
    if (table->used == 0)
        table_free(table);
    return true;
}

const struct table_slot *table_next(const struct table *table, size_t *index)
{
    while (*index < table->capacity) {
        const struct table_slot *slot = &table->slots[(*index)++];
        if (slot->key != 0)
            return slot;
    }
    return NULL;
}

void table_free(struct table *table)
{
    free(table->slots);
    *table = (struct table){0};
}
