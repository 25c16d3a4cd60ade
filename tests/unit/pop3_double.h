/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A double of the store for tests of POP3: maildrops in memory whose calls fail when told to, and
 * one of ten million messages that are made up as they are asked for. All of it lives on the last
 * core, so that sessions of the others must move.
 */
#ifndef RINGPOST_TESTS_POP3_DOUBLE_H
#define RINGPOST_TESTS_POP3_DOUBLE_H

#include <stdatomic.h>

#include "ringpost/store.h"

enum { DROPS = 3, DROP_MESSAGES_MAX = 64 };

struct drop_message {
    struct slice bytes;
    uint32_t uid;
    atomic_bool is_gone;
};

struct drop {
    const char *user;
    struct drop_message messages[DROP_MESSAGES_MAX];
    atomic_uint count;     /* ever added; the next UID is one more */
    uint32_t made_up;      /* instead of messages: so many, of 1000 to 1999 octets */
    atomic_bool is_locked; /* by a session */
    bool is_peeked;        /* messages lie in memory */
    size_t read_max;       /* message_read gives at most so many; 0: all */
    int open_error, expunge_error, read_error;
    uint64_t read_error_at; /* the offset from which on read_error comes */
    atomic_uint views, accounts, expunges;
};
extern struct drop drops[DROPS];

/* Orders what the test did to the drops so far before what the cores do to them from now on, and
 * the other way round: for ThreadSanitizer, which does not see that they talk by sockets. */
void drops_sync(void);
void drops_reset(void); /* empty: u0@x.test, u1@x.test, u2@x.test */
void drop_add(struct drop *drop, struct slice bytes);
unsigned drop_alive(const struct drop *drop);
bool drops_are_closed(void); /* nobody holds an account, a view, a lock */

#endif
