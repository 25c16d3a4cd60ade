/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A set of exceptions: what stands in the file, and what was kept since. Its keys come from whoever
 * writes the file, so the hash is keyed. Entries are never moved; one that is replaced leaves its
 * text behind, until the next reading makes the set anew.
 *
 * Memory: some 20 bytes and the texts an entry; a million takes 70 MiB.
 */
#include <stdlib.h>

#include "exception_private.h"

enum { SLOTS_FIRST = 64, ENTRIES_FIRST = 32, TEXT_FIRST = 2048 };

void exception_set_init(struct exception_set *set, const struct hash_key *key)
{
    *set = (struct exception_set){.key = *key};
}

void exception_set_free(struct exception_set *set)
{
    free(set->entries);
    free(set->text);
    free(set->slots);
    *set = (struct exception_set){.key = set->key};
}

static struct slice user_of(const struct exception_set *set, uint32_t entry)
{
    const struct exception_entry *at = &set->entries[entry];
    return slice_of(set->text + at->offset, at->user_bytes);
}

static struct slice backend_of(const struct exception_set *set, uint32_t entry)
{
    const struct exception_entry *at = &set->entries[entry];
    return slice_of(set->text + at->offset + at->user_bytes, at->backend_bytes);
}

/* The slot that has the user, or the empty one where he would be. */
static uint32_t slot_of(const struct exception_set *set, struct slice user)
{
    uint32_t slot = (uint32_t)hash_keyed(&set->key, user.data, user.size) & (set->slot_count - 1);
    while (set->slots[slot] != 0 && !slice_equal(user_of(set, set->slots[slot] - 1), user))
        slot = (slot + 1) & (set->slot_count - 1);
    return slot;
}

struct slice exception_set_find(const struct exception_set *set, struct slice user)
{
    struct slice none = {0};
    if (set->slot_count == 0)
        return none;
    uint32_t slot = slot_of(set, user);
    if (set->slots[slot] == 0)
        return none;
    struct slice backend = backend_of(set, set->slots[slot] - 1);
    return backend.size == 0 ? none : backend;
}

static bool grow_slots(struct exception_set *set)
{
    uint32_t count = set->slot_count == 0 ? SLOTS_FIRST : set->slot_count * 2;
    if (set->slot_count > 2 * set->entry_count + 2)
        return true;
    uint32_t *slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return false;
    free(set->slots);
    set->slots = slots;
    set->slot_count = count;
    for (uint32_t i = 0; i < set->entry_count; i++)
        set->slots[slot_of(set, user_of(set, i))] = i + 1; /* a later entry of a user wins */
    return true;
}

static bool grow_entries(struct exception_set *set)
{
    uint32_t capacity = set->entry_capacity == 0 ? ENTRIES_FIRST : set->entry_capacity * 2;
    if (set->entry_count < set->entry_capacity)
        return true;
    struct exception_entry *entries = realloc(set->entries, capacity * sizeof *entries);
    if (entries == NULL)
        return false;
    set->entries = entries;
    set->entry_capacity = capacity;
    return true;
}

static bool grow_text(struct exception_set *set, size_t size)
{
    uint64_t capacity = set->text_capacity == 0 ? TEXT_FIRST : set->text_capacity;
    while (capacity - set->text_size < size)
        capacity *= 2;
    if (capacity > UINT32_MAX)
        return false;
    if (capacity == set->text_capacity)
        return true;
    char *text = realloc(set->text, capacity);
    if (text == NULL)
        return false;
    set->text = text;
    set->text_capacity = (uint32_t)capacity;
    return true;
}

int exception_set_put(struct exception_set *set, struct slice user, struct slice backend)
{
    struct slice now = exception_set_find(set, user);
    if (slice_equal(now, backend))
        return 0;
    if (now.size == 0 && set->live >= BACKEND_EXCEPTIONS_MAX)
        return -ENOSPC;
    if (!grow_slots(set) || !grow_entries(set) || !grow_text(set, user.size + backend.size))
        return -ENOMEM;
    memcpy(set->text + set->text_size, user.data, user.size);
    if (backend.size > 0)
        memcpy(set->text + set->text_size + user.size, backend.data, backend.size);
    set->entries[set->entry_count] =
        (struct exception_entry){set->text_size, (uint16_t)user.size, (uint16_t)backend.size};
    uint32_t slot = slot_of(set, user);
    if (set->slots[slot] != 0)
        set->entries[set->slots[slot] - 1].backend_bytes = 0;
    set->slots[slot] = ++set->entry_count;
    set->text_size += (uint32_t)(user.size + backend.size);
    set->live = set->live + (backend.size > 0) - (now.size > 0);
    return 0;
}

bool exception_set_next(const struct exception_set *set, uint32_t *at, struct slice *ret_user,
                        struct slice *ret_backend)
{
    while (*at < set->entry_count && set->entries[*at].backend_bytes == 0)
        ++*at;
    if (*at >= set->entry_count)
        return false;
    *ret_user = user_of(set, *at);
    *ret_backend = backend_of(set, *at);
    ++*at;
    return true;
}
