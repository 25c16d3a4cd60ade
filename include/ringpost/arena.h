/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An arena hands out memory that is given back all at once. A session has one for a command, one
 * for a
 * transaction: whatever the peer's grammar, what it can make us hold is bounded by the arena's cap.
 *
 *   struct arena a;  arena_init(&a, 64 * 1024);  char *p = arena_alloc(&a, 100);  arena_reset(&a);
 *
 * Empty arenas own no memory. In the address-sanitizer build every piece is its own malloc, so that
 * an
 * overflow and a use after reset are seen.
 */
#ifndef RINGPOST_ARENA_H
#define RINGPOST_ARENA_H

#include "ringpost/slice.h"

struct arena {
    struct arena_block *blocks; /* newest first */
    uint32_t used;              /* bytes given out since the last reset */
    uint32_t bytes_max;         /* cap on `used` */
    bool was_short;             /* since then a piece was not to be had */
};

/* bytes_max: up to 4 GiB. */
void arena_init(struct arena *arena, size_t bytes_max);

/* 16-byte aligned, not zeroed. NULL when the cap would be passed or memory is out: the caller
 * answers
 * its peer with a temporary failure or "too big". size 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size);

/* arena_alloc, zeroed; NULL also when count * size overflows. */
void *arena_zalloc(struct arena *arena, size_t count, size_t size);

/* A copy of s, with a NUL behind it that its size does not count. data is NULL on failure. */
struct slice arena_copy(struct arena *arena, struct slice s);

/* printf into the arena; data is NULL on failure. */
struct slice arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Gives everything back to the allocator. */
void arena_reset(struct arena *arena);

/* A growing byte string inside an arena. After a failure `failed` stays set and appends do nothing,
 * so a
 * long composition needs one check at its end. */
struct text {
    struct arena *arena;
    char *data;
    size_t size, capacity;
    bool failed;
};

void text_init(struct text *text, struct arena *arena);
void text_append(struct text *text, struct slice s);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void text_char(struct text *text, char c)
{
    text_append(text, slice_of(&c, 1));
}

static inline struct slice text_slice(const struct text *text)
{
    return slice_of(text->data, text->size);
}

#endif
