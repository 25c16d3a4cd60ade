/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table behind route.h, shared by what builds it (table.c) and what asks it (find.c).
 *
 *   domains[]  in the order they were added       names[]  users and aliases
 *        ▲ domain_slots: index by hash                 ▲ name_slots: index by hash
 *        └──────────────── text: every name once, in lower case ────────────────┘
 *
 * The slots are open-addressed, a power of two, at most half full. Their hash is not keyed: the
 * table is built from the operator's files and then immutable, so a peer chooses what is looked up
 * but never what collides.
 *
 * Invariants:
 *   R1 text holds lower case (ASCII) only; a name occurs once.
 *   R2 a name is local@domain, split at its last '@'; its domain is in the table.
 */
#ifndef RINGPOST_ROUTE_PRIVATE_H
#define RINGPOST_ROUTE_PRIVATE_H

#include "ringpost/route.h"

enum {
    ROUTE_NAME_BYTES_MAX = 320,   /* local part 64, '@', domain 255: RFC 5321 4.5.3.1 */
    ROUTE_DOMAIN_BYTES_MAX = 255, /* RFC 5321 4.5.3.1.2 */
    ROUTE_LABEL_BYTES_MAX = 63,
    ROUTE_WORK_MAX = 128 /* addresses looked at while one is expanded: 6 KiB of a fiber's stack */
};

/* A piece of the table's text. */
struct route_text {
    uint64_t offset;
    uint32_t size;
};

struct route_name {
    struct route_text text;
    bool is_alias;
    uint32_t first_target; /* of an alias: index + 1 into targets, 0: none yet */
    uint32_t last_target;
};

/* One target of an alias; a list through the array. */
struct route_aim {
    struct route_text text;
    uint32_t next; /* index + 1, 0: last */
};

struct route_domain {
    struct route_text text, catch_all, separator;
    bool detail_mailbox, users_elsewhere;
};

/* Growing array: items, count, capacity. */
struct route_array {
    void *items;
    uint32_t count, capacity;
};

struct route_slots {
    uint32_t *index; /* + 1; 0: free */
    uint32_t size;
};

struct route_table {
    char *text;
    uint64_t text_size, text_capacity;
    struct route_array domains, names, targets;
    struct route_slots domain_slots, name_slots;
};

static inline struct slice route_text(const struct route_table *table, struct route_text text)
{
    return slice_of(table->text + text.offset, text.size);
}

static inline struct route_domain *route_domain_at(const struct route_table *table, uint32_t index)
{
    return (struct route_domain *)table->domains.items + index;
}

static inline struct route_name *route_name_at(const struct route_table *table, uint32_t index)
{
    return (struct route_name *)table->names.items + index;
}

static inline struct route_aim *route_aim_at(const struct route_table *table, uint32_t index)
{
    return (struct route_aim *)table->targets.items + index;
}

/* Both take lower case; UINT32_MAX when there is none. */
uint32_t route_domain_index(const struct route_table *table, struct slice domain);
uint32_t route_name_index(const struct route_table *table, struct slice name);

/* What an address leads to, aliases and catch-all followed, without duplicates. A target's mailbox
 * may borrow from `local_part`. without: elsewhere there is no such user. problem() is told why a
 * step leads nowhere; it may be NULL. */
enum route_answer route_expand(const struct route_table *table, struct slice local_part,
                               struct slice domain, bool without,
                               void (*problem)(void *, const char *what), void *argument,
                               struct route_target *ret_targets, unsigned *ret_count);

#endif
