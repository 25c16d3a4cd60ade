/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A generation is everything that was made from one reading of the config: services, users, routes.
 * After a reload the older ones live on for those who still use them (sessions, log-ins under way),
 * and are freed when nobody does. Counted by all cores.
 */
#ifndef RINGPOST_GENERATION_H
#define RINGPOST_GENERATION_H

#include <stdint.h>

struct generation {
    uint64_t users; /* atomic */
};

/* NULL is allowed in each: nothing is counted (tests). */
static inline void generation_enter(struct generation *generation)
{
    if (generation != NULL)
        __atomic_add_fetch(&generation->users, 1, __ATOMIC_RELAXED);
}

/* Nothing of the generation may be touched afterwards. */
static inline void generation_leave(struct generation *generation)
{
    if (generation != NULL)
        __atomic_sub_fetch(&generation->users, 1, __ATOMIC_RELEASE);
}

static inline uint64_t generation_users(const struct generation *generation)
{
    return __atomic_load_n(&generation->users, __ATOMIC_ACQUIRE);
}

#endif
