/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What backends are doing, for /metrics: core 0 looks once a second, the admin thread tells what it
 * saw last. (The table that a core looks through may be gone a moment later; what was seen stays.)
 * Neither waits for the other: words, and a count that is odd while they are written.
 */
#ifndef RINGPOST_GAUGES_H
#define RINGPOST_GAUGES_H

#include "ringpost/arena.h"
#include "ringpost/backend.h"

struct gauge; /* of one backend */

struct gauges {
    struct gauge *seen; /* BACKENDS_MAX; NULL: there are no backends */
    struct gauge *copy; /* the admin thread's */
    uint32_t turn;      /* atomic */
    uint32_t count;     /* atomic */
};

/* 0 or -ENOMEM. */
int gauges_open(struct gauges *gauges);
void gauges_free(struct gauges *gauges);
/* On core 0. */
void gauges_take(struct gauges *gauges, struct core *core);
/* From the admin thread. */
void gauges_write(struct gauges *gauges, struct text *text);

#endif
