/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * IMAP connections that sit in IDLE, and whether they are told of new mail: of the scenarios idle
 * and mix.
 *
 * An idle connection has no fiber: what comes is read in the core's turn, and what needs a fiber
 * (to be opened, opened anew, renewed) is queued for the workers of the core. Connection i is user
 * i modulo users; all connections of a user are on one core (user modulo cores), so that who
 * delivers to a user and who is told of it share memory without locks.
 *
 * Invariants:
 *   An idler is in the queue at most once, and only one worker has it in hand.
 *   A user's rounds are one after the other: who is told in one is told of its message.
 */
#ifndef RINGPOST_BENCH_IDLERS_H
#define RINGPOST_BENCH_IDLERS_H

#include "imap.h"

struct idler {
    struct imap imap;
    struct idlers *home;
    struct idler *next; /* in the queue */
    uint64_t since_ns;  /* in IDLE */
    uint32_t base;      /* messages when the round began */
    uint32_t round;     /* that it was told in last */
    uint8_t care, failures;
    bool was_up, is_down; /* its first IDLE came about, or it was given up; it is not in IDLE now */
};

/* A user of this core: its idlers are idlers[first ... first + count). */
struct idle_user {
    struct fiber_lock lock; /* of who delivers and waits for the round's end */
    struct waiters told;    /* the same */
    uint64_t began_ns;      /* when the message of the round went out; 0: it has not yet */
    uint32_t round, waiting;
    unsigned first, count;
};

/* Of one core. */
struct idlers {
    struct load_core *at;
    const struct load_options *options;
    unsigned connections, users; /* of all cores; users that have connections */
    unsigned cores, index;
    struct idler *all;
    struct idle_user *user;
    unsigned count, user_count; /* on this core */
    unsigned pending;           /* not up for the first time yet */
    struct idler *first, *last; /* the queue */
    struct waiters workers;     /* those that have nothing to do */
    uint64_t scanned_ns;
    uint64_t last_told_ns;    /* when somebody was told last */
    unsigned serving, closed; /* that are in hand; that are closed */
    bool is_closing;
};

/* How many users have connections. */
static inline unsigned idlers_users(const struct load_options *options, unsigned connections)
{
    return options->users < connections ? options->users : connections;
}

/* How many connections all cores need room for, so that the one with most of the users has it. */
static inline unsigned idlers_room(const struct load_options *options, unsigned connections)
{
    unsigned users = idlers_users(options, connections), cores = options->threads;
    unsigned most = (users + cores - 1) / cores * ((connections + users - 1) / users);
    return (most < connections ? most : connections) * cores;
}

/* The connections of the run that fall on worker's core (its index modulo options->threads), all
 * queued to be opened. NULL: no memory. */
struct idlers *idlers_make(struct load_worker *worker, unsigned connections);
void idlers_free(struct idlers *idlers); /* all are closed */

/* What the workers do. Takes care of one idler: false when none needs it. */
bool idlers_serve(struct idlers *idlers, struct load_worker *worker);
/* Queues those whose IDLE is old; cheap when called often. */
void idlers_scan(struct idlers *idlers);
void idlers_wait(struct idlers *idlers, unsigned ms);
void idlers_wake(struct idlers *idlers);
/* Closes what is left, several workers together; no worker may serve any more. */
void idlers_close(struct idlers *idlers);

/* The user's idlers on this core; NULL when there are none here. */
struct idle_user *idlers_user(struct idlers *idlers, unsigned user);
unsigned idlers_user_number(const struct idlers *idlers, const struct idle_user *user);
/* A message is about to be delivered: from now on its idlers wait to be told. */
void idlers_round_begin(struct idlers *idlers, struct idle_user *user);
/* Those who have not been told are errors (LOAD_TIMEOUT, unless the run was stopped). 0 or that. */
int idlers_round_end(struct idlers *idlers, struct idle_user *user);

#endif
