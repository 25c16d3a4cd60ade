/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Arena: a list of blocks, newest first. Invariants:
 *   1. used <= bytes_max, always.
 *   2. An arena after arena_reset owns no block.
 * Owns its blocks; fails by returning NULL.
 */
#include "ringpost/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_EACH_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_EACH_MALLOC 1
#endif
#endif

enum { BLOCK_SIZE_MIN = 2048, ALIGNMENT = 16 };

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    _Alignas(ALIGNMENT) char data[];
};

void arena_init(struct arena *arena, size_t bytes_max)
{
    assert(bytes_max <= UINT32_MAX);
    *arena = (struct arena){.bytes_max = (uint32_t)bytes_max};
}

static struct arena_block *block_add(struct arena *arena, size_t size)
{
    struct arena_block *block = malloc(sizeof *block + size);
    if (block == NULL) {
        arena->was_short = true;
        return NULL;
    }
    block->size = size;
    block->used = 0;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > arena->bytes_max || arena->used > arena->bytes_max - size) {
        arena->was_short = true;
        return NULL;
    }
#ifdef ARENA_EACH_MALLOC
    struct arena_block *block = block_add(arena, size);
    if (block == NULL)
        return NULL;
    arena->used += (uint32_t)size;
    return block->data;
#else
    size_t rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < rounded) {
        block = block_add(arena, rounded > BLOCK_SIZE_MIN ? rounded : BLOCK_SIZE_MIN);
        if (block == NULL)
            return NULL;
    }
    void *piece = block->data + block->used;
    block->used += rounded;
    arena->used += (uint32_t)size;
    return piece;
#endif
}

void *arena_zalloc(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    void *piece = arena_alloc(arena, total);
    if (piece != NULL)
        memset(piece, 0, total);
    return piece;
}

struct slice arena_copy(struct arena *arena, struct slice s)
{
    if (s.size == SIZE_MAX)
        return (struct slice){0};
    char *copy = arena_alloc(arena, s.size + 1);
    if (copy == NULL)
        return (struct slice){0};
    if (s.size)
        memcpy(copy, s.data, s.size);
    copy[s.size] = '\0';
    return slice_of(copy, s.size);
}

struct slice arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    struct slice out = {0};
    char *data = size < 0 ? NULL : arena_alloc(arena, (size_t)size + 1);
    if (data != NULL) {
        vsnprintf(data, (size_t)size + 1, format, again);
        out = slice_of(data, (size_t)size);
    }
    va_end(again);
    return out;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
    arena->blocks = NULL;
    arena->used = 0;
    arena->was_short = false;
}

void text_init(struct text *text, struct arena *arena)
{
    *text = (struct text){.arena = arena};
}

static bool text_reserve(struct text *text, size_t more)
{
    if (text->failed)
        return false;
    if (more <= text->capacity - text->size)
        return true;
    size_t capacity = text->capacity ? text->capacity : 128;
    while (capacity - text->size < more) {
        if (capacity > SIZE_MAX / 2) {
            text->failed = true;
            return false;
        }
        capacity *= 2;
    }
    char *data = arena_alloc(text->arena, capacity);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    if (text->size)
        memcpy(data, text->data, text->size);
    text->data = data;
    text->capacity = capacity;
    return true;
}

void text_append(struct text *text, struct slice s)
{
    if (s.size == 0 || !text_reserve(text, s.size))
        return;
    memcpy(text->data + text->size, s.data, s.size);
    text->size += s.size;
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0)
        text->failed = true;
    else if (text_reserve(text, (size_t)size + 1)) {
        vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
}
