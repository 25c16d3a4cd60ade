/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The delivery calls of store.h, in memory, for tests of those who deliver: what came is kept and
 * can be looked at, and failures can be ordered.
 */
#ifndef RINGPOST_TESTS_STORE_DOUBLE_H
#define RINGPOST_TESTS_STORE_DOUBLE_H

#include "ringpost/store.h"

struct double_delivery {
    char user[400], mailbox[400], envelope[8000];
    char *data; /* ends with NUL */
    size_t size;
};

struct store_double {
    /* what to do */
    int state;                /* of store_state */
    int result;               /* of every store_deliver */
    bool is_silent;           /* it sets no result of a delivery */
    const char *failing_user; /* fails with failing_result; NULL: nobody */
    int failing_result;
    size_t budget;   /* bytes of all bodies */
    size_t room_max; /* of one message_body_room; 0: as asked */
    uint64_t wait_ns;
    unsigned home_core; /* of every user */
    /* what happened */
    size_t bodies, bytes; /* alive */
    size_t bytes_high;
    unsigned delivered; /* calls that succeeded, in part at least */
    unsigned count;
    struct double_delivery deliveries[64];
};

extern struct store_double store_double;

void store_double_reset(void);
/* Frees what was delivered. */
void store_double_clear(void);
/* Of one user and mailbox; the n-th from 0; NULL: none. */
const struct double_delivery *store_double_find(const char *user, const char *mailbox, unsigned n);

#endif
