/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by the files of session: what a core keeps for its sessions, the bits of a session.
 */
#ifndef RINGPOST_SESSION_PRIVATE_H
#define RINGPOST_SESSION_PRIVATE_H

#include <assert.h>

#include "ringpost/hash.h"
#include "ringpost/session.h"

enum {
    COMMANDS_A_TURN_MAX = 64, /* then others have their turn */
    INDEX_HEADS = 128,        /* of a command index; more than COMMANDS_MAX */
    ADDRESSES_FIRST = 64,     /* slots of the per-address table at first, a power of two */
    GOODBYE_MS_MAX = 5000,    /* for the last words to find room */
    DRAIN_TICK_MS = 10,
    LAST_WORDS_MS_MAX = 1000, /* of a drain: from the interrupt of a command to the close */
    RETRY_MS = 16             /* to find a stack */
};

/* Bits of session->private_bits. From FROM_SHIFT on: the core it comes from, while it moves. */
enum {
    RUNNING = 1 << 0,    /* it has a fiber, or waits in `queue` for one (P1) */
    OPENED = 1 << 1,     /* protocol.open has been called */
    FIRST_SEEN = 1 << 2, /* the connection's first byte has been looked at */
    AWAITING = 1 << 3,   /* the deadline is that for a command's first byte */
    BEGUN = 1 << 4,      /* the deadline is that for a command's last byte (P3) */
    LOGGED_IN = 1 << 5,
    WOKEN = 1 << 6,     /* protocol.woken is to be called */
    DRAINING = 1 << 7,  /* to be told goodbye before its next command */
    ARRIVED = 1 << 8,   /* has moved: session->moved is to be called */
    LISTED = 1 << 9,    /* in sessions->list */
    COUNTED = 1 << 10,  /* in sessions->addresses */
    RELEASED = 1 << 11, /* its stream is gone */
    FINISHED = 1 << 12, /* protocol.closed has returned; only the stream is still needed */
    MOVING = 1 << 13,   /* between two cores */
    MOVE_LOST = 1 << 14 /* the move failed: the old core has the session back, without stream */
};
enum { FROM_SHIFT = 24 };

/* Rows of a protocol's table by name: chains of row + 1, 0 at their end. */
struct command_index {
    const struct session_protocol *protocol;
    uint8_t heads[INDEX_HEADS], next[COMMANDS_MAX];
};

/* How many connections an address has: open addressing, linear probing, key 0 is empty. Keys are
 * keyed hashes: two addresses that share one (2^-64) share a count. Half of the slots at least are
 * empty, so its size is bounded by the number of sessions. */
struct addresses {
    struct address_count {
        uint64_t key;
        uint32_t count;
    } * slots;
    uint32_t slot_count, used;
    struct hash_key key;
};

struct service_listener {
    struct service_listener *next;
    struct core *core;
    const struct service *service;
    struct listener *listener;
};

struct sessions {
    struct core *core;
    struct hook hook;
    struct timer retry;
    struct session *list;               /* newest first, linked by next */
    struct session *cursor;             /* of sessions_drain: the next one to be told */
    struct session *queue, **queue_end; /* waiting for a stack, linked by queued */
    struct service_listener *listeners;
    struct addresses addresses;
    struct command_index indexes[PROTOCOL_COUNT];
    uint64_t last_id, unique;
    unsigned count; /* those not yet freed, nor moved away */
    /* Read and written by other cores too, atomically. */
    uint32_t draining, arriving, leaving;
};

static inline struct sessions *sessions_of(const struct core *core)
{
    struct sessions *sessions = core_local(core, CORE_LOCAL_SESSION);
    assert(sessions != NULL && "sessions_open must be called on each core first");
    return sessions;
}

static inline const struct session_protocol *protocol_of(const struct session *session)
{
    return session->service->protocol;
}

/* address.c */
uint64_t address_key(const struct addresses *addresses, const struct session *session);
/* False when max (0: none) are counted already, or memory is out. */
bool address_take(struct addresses *addresses, uint64_t key, unsigned max);
void address_give(struct addresses *addresses, uint64_t key);

/* command.c */
void command_index_make(struct command_index *index, const struct session_protocol *protocol);
void session_command(struct session *session); /* reads one and runs it, or says why not */

/* session.c */
extern const struct stream_owner session_owner;
void session_schedule(struct session *session);
void session_enlist(struct session *session);
void session_delist(struct session *session);
void sessions_fiber(void *sessions); /* runs what is queued */
void session_begin_command(struct session *session);
void session_due(struct session *session, uint64_t ms);

/* end.c */
enum session_end session_end_of(const struct session *session, int error);
void session_finish(struct session *session);

/* move.c */
/* True: it has left, last act of its fiber. False: it ends here. */
bool session_depart(struct session *session);
void session_moved(struct stream *stream);
void session_move_failed(struct session *session);

#endif
