/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A table of small rows under 64-bit keys, for what is kept of users and peers: open addressing in
 * one block of memory, at most half full. A row begins with its key, which is never 0 and is a
 * keyed hash (hash_keyed) where strangers choose names.
 *
 * Rows move: a pointer to one is good until the next rows_add, rows_remove or rows_sweep.
 */
#ifndef RINGPOST_ROWS_H
#define RINGPOST_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rows { /* zeroed but for the first two */
    uint32_t row_bytes;
    uint32_t slots_max; /* a power of two; half as many rows */
    uint32_t slot_count, used, hand;
    unsigned char *slots;
};

/* True: the row is not needed any more and goes now. */
typedef bool (*rows_over_fn)(void *row, void *argument);

/* NULL: there is none. */
void *rows_find(const struct rows *rows, uint64_t key);
/* The row of that key, or a new one, zero but for the key. When the table is half full, rows that
 * are over go, and what is left gets a table four times as large. NULL: no memory, or no room. */
void *rows_add(struct rows *rows, uint64_t key, rows_over_fn is_over, void *argument);
void rows_remove(struct rows *rows, void *row);
/* Looks at up to `count` slots, each time further on, and removes the rows that are over. */
void rows_sweep(struct rows *rows, uint32_t count, rows_over_fn is_over, void *argument);
void rows_free(struct rows *rows);

#endif
