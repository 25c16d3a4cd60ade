/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Micro-benchmarks of the index: a large mailbox's list, and sets of UIDs resolved in it.
 */
#include "../../src/imap/imap_private.h"
#include "../../src/store/store_private.h"
#include "micro.h"

enum { MESSAGES = 100000, LOOKUPS = 64 };

static struct view view;

/* A mailbox of 100,000 messages with every third UID gone. */
static void view_make(void)
{
    struct mailbox_snapshot *list = list_new();
    for (uint32_t i = 0; i < MESSAGES; i++) {
        struct mail_entry entry = {.uid = 1 + i + i / 2, .message = i};
        list_append(&list, &entry);
    }
    view = (struct view){.snapshot = list, .count = MESSAGES};
}

static uint64_t lookups_begin(void)
{
    view_make();
    return LOOKUPS;
}

static void uid_run(void)
{
    for (uint32_t i = 0; i < LOOKUPS; i++)
        micro_must(view_number(&view, i * 2287 + 1, true) > 0, "view-uid");
}

static void entry_run(void)
{
    for (uint32_t i = 0; i < LOOKUPS; i++)
        micro_must(view_entry(&view, i * 1543 + 1) != NULL, "view-entry");
}

static uint64_t set_begin(void)
{
    view_make();
    return 1;
}

static void set_run(void)
{
    struct arena arena;
    struct imap_set set, numbers;
    struct slice text = SLICE("1:100,205,300:400,5000:6000,77777,149000:*");
    struct imap_cursor cursor = imap_cursor_of(text);
    arena_init(&arena, 65536);
    micro_must(imap_take_set(&cursor, &arena, &set) &&
                   imap_set_resolve(&set, true, &view, &arena, &numbers) &&
                   imap_set_size(&numbers) > 500,
               "uid-set");
    arena_reset(&arena);
}

const struct micro micro_store[] = {
    {"view-uid", "look-up", lookups_begin, uid_run},
    {"view-entry", "look-up", lookups_begin, entry_run},
    {"uid-set", "set", set_begin, set_run},
    {0},
};
