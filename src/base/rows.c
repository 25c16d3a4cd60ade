/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Rows under keys: linear probing from the key's upper half. A removed row leaves no mark: those
 * behind it that had to step over it move up, so that a table which is always in use never fills
 * with them.
 */
#include "ringpost/rows.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_SLOTS_FIRST = 64 };

static uint64_t key_at(const struct rows *rows, uint32_t at)
{
    uint64_t key;
    memcpy(&key, rows->slots + (size_t)at * rows->row_bytes, sizeof key);
    return key;
}

static uint32_t home_of(const struct rows *rows, uint64_t key)
{
    return (uint32_t)(key >> 32) & (rows->slot_count - 1);
}

/* Where the key is, or would be. */
static uint32_t slot_of(const struct rows *rows, uint64_t key)
{
    uint32_t at = home_of(rows, key);
    for (uint64_t there; (there = key_at(rows, at)) != 0 && there != key;)
        at = (at + 1) & (rows->slot_count - 1);
    return at;
}

static void *row_at(const struct rows *rows, uint32_t at)
{
    return rows->slots + (size_t)at * rows->row_bytes;
}

void *rows_find(const struct rows *rows, uint64_t key)
{
    if (rows->used == 0)
        return NULL;
    uint32_t at = slot_of(rows, key);
    return key_at(rows, at) == key ? row_at(rows, at) : NULL;
}

void rows_remove(struct rows *rows, void *row)
{
    uint32_t mask = rows->slot_count - 1;
    uint32_t hole = (uint32_t)((size_t)((unsigned char *)row - rows->slots) / rows->row_bytes);
    for (uint32_t at = (hole + 1) & mask; key_at(rows, at) != 0; at = (at + 1) & mask) {
        uint32_t home = home_of(rows, key_at(rows, at));
        if (((at - home) & mask) < ((at - hole) & mask))
            continue; /* it would come to lie before its home */
        memcpy(row_at(rows, hole), row_at(rows, at), rows->row_bytes);
        hole = at;
    }
    memset(row_at(rows, hole), 0, rows->row_bytes);
    rows->used--;
}

void rows_sweep(struct rows *rows, uint32_t count, rows_over_fn is_over, void *argument)
{
    if (count > rows->slot_count)
        count = rows->slot_count;
    for (; count > 0; count--) {
        uint32_t at = rows->hand & (rows->slot_count - 1);
        while (key_at(rows, at) != 0 && is_over(row_at(rows, at), argument))
            rows_remove(rows, row_at(rows, at)); /* another may have moved here */
        rows->hand = at + 1;
    }
}

static bool grow(struct rows *rows)
{
    struct rows larger = *rows;
    larger.slot_count = ROWS_SLOTS_FIRST;
    while (larger.slot_count < (uint64_t)rows->used * 4 && larger.slot_count < rows->slots_max)
        larger.slot_count *= 2;
    if (larger.slot_count / 2 <= larger.used)
        return false;
    larger.slots = calloc(larger.slot_count, rows->row_bytes);
    if (larger.slots == NULL)
        return false;
    for (uint32_t i = 0; i < rows->slot_count; i++)
        if (key_at(rows, i) != 0)
            memcpy(row_at(&larger, slot_of(&larger, key_at(rows, i))), row_at(rows, i),
                   rows->row_bytes);
    free(rows->slots);
    *rows = larger;
    return true;
}

void *rows_add(struct rows *rows, uint64_t key, rows_over_fn is_over, void *argument)
{
    void *row = rows_find(rows, key);
    if (row != NULL)
        return row;
    if (rows->used >= rows->slot_count / 2) {
        rows_sweep(rows, rows->slot_count, is_over, argument);
        /* Unless that has made room for some time. */
        if (rows->used >= rows->slot_count / 4 && !grow(rows) && rows->used >= rows->slot_count / 2)
            return NULL;
    }
    row = row_at(rows, slot_of(rows, key));
    memcpy(row, &key, sizeof key);
    rows->used++;
    return row;
}

void rows_free(struct rows *rows)
{
    free(rows->slots);
    rows->slots = NULL;
    rows->slot_count = rows->used = 0;
}
