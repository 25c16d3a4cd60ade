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
    RETRY_MS = 16,            /* to find a stack */
    PROXY_MS_MAX = 10000,     /* for the PROXY header, which the proxy sends at once */
    /* Fibers of a core that may sleep at once before the reply to an error; no more than a fourth
     * of all. */
    TARPIT_FIBERS_MAX = 64,
    TARPIT_STEP_MS = 200, /* how often such a sleeper looks whether the client is still there */
    /* For strangers under overload. */
    STRESSED_MS_MAX = 10000, /* log-in, idle and command time */
    STRESSED_ERRORS_MAX = 1,
    STRESSED_JUNK_MAX = 1
};

enum { OVERLOAD_CALM, OVERLOAD_STRESSED, OVERLOAD_FULL };
enum { SHORTAGES = 2 };

/* Bits of session->private_bits. From FROM_SHIFT on: the core it comes from, while it moves. */
enum {
    RUNNING = 1 << 0,    /* it has a fiber, or waits in `queue` for one (P1) */
    OPENED = 1 << 1,     /* protocol.open has been called */
    FIRST_SEEN = 1 << 2, /* the connection's first byte has been looked at */
    AWAITING = 1 << 3,   /* the deadline is that for a command's first byte */
    BEGUN = 1 << 4,      /* the deadline is that for a command's last byte (P3) */
    LOGGED_IN = 1 << 5,
    WOKEN = 1 << 6,      /* protocol.woken is to be called */
    DRAINING = 1 << 7,   /* to be told goodbye before its next command */
    ARRIVED = 1 << 8,    /* has moved: session->moved is to be called */
    LISTED = 1 << 9,     /* in sessions->list */
    COUNTED = 1 << 10,   /* in sessions->addresses */
    RELEASED = 1 << 11,  /* its stream is gone */
    FINISHED = 1 << 12,  /* protocol.closed has returned; only the stream is still needed */
    MOVING = 1 << 13,    /* between two cores */
    MOVE_LOST = 1 << 14, /* the move failed: the old core has the session back, without stream */
    READY = 1 << 15,     /* protocol.begin has been called, if there is one */
    START_TLS = 1 << 16, /* session_start_tls has been called: the handshake begins next */
    SECURING = 1 << 17,  /* in the handshake; stays set when it fails */
    SECURED = 1 << 18,   /* the handshake is done, the session under TLS is to begin */
    JOINED = 1 << 23     /* its stream is joined with session->joint_owner's */
};
/* Of limits.c and arrive.c. */
enum {
    PROXY_AWAITED = 1 << 20, /* the PROXY header comes first; no fiber before */
    USER_COUNTED = 1 << 21,  /* in sessions->addresses, by its user */
    ANONYMOUS = 1 << 22      /* in sessions->anonymous */
};
enum { FROM_SHIFT = 24 };

/* Rows of a protocol's table by name: chains of row + 1, 0 at their end. */
struct command_index {
    const struct session_protocol *protocol;
    uint8_t heads[INDEX_HEADS], next[COMMANDS_MAX];
};

/* Something that ran short, last at last_ns, and since since_ns without a pause. */
struct shortage {
    uint64_t count, since_ns, last_ns;
};

/* How many connections an address has: open addressing, linear probing, key 0 is empty. Keys are
 * keyed hashes: two addresses that share one (2^-64) share a count. Half of the slots at least are
 * empty, so its size is bounded by the number of sessions. Networks and users are counted alike. */
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
    const struct service *service; /* its generation is entered */
    struct listener *listener;
    char *address; /* a copy: the first service may be gone before the listener is */
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
    struct shortage shortages[SHORTAGES];
    struct timer overload_tick;
    uint64_t overload_lower_ns; /* not below the level before */
    uint64_t overload_due_ns;   /* the end of a turn looks no sooner */
    uint64_t last_id, unique;
    uint64_t refused_log_ns; /* when the next line about refused connections may come */
    uint32_t refused;        /* since the last one */
    uint32_t anonymous;      /* sessions with the bit */
    uint32_t tarpit_fibers;
    uint8_t overload; /* OVERLOAD_CALM ... */
    unsigned count;   /* those not yet freed, nor moved away */
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
/* False when max (0: none) are counted already, or memory is out. */
bool address_take(struct addresses *addresses, uint64_t key, unsigned max);
void address_give(struct addresses *addresses, uint64_t key);

/* limits.c */
int limits_take(struct session *session);   /* at accept; 0 or -EUSERS */
int limits_arrive(struct session *session); /* after a move; 0 or -EUSERS of its user */
void limits_give(struct session *session);  /* all that it has taken */
/* For session->user. 0 (also when it has been taken already) or -EUSERS. */
int session_user_take(struct session *session);
void session_user_give(struct session *session);
/* It has no user any more: counts as one of those, whatever their limit. */
void limits_anonymous_again(struct session *session);
/* Ends a session that has not begun: says the refusal for TOO_MANY and OVERLOAD, else nothing. */
void session_refuse(struct session *session, enum session_end end);

/* arrive.c */
bool session_accepted(struct core *core, unsigned slot, void *listener);
void session_proxy_input(struct session *session); /* PROXY_AWAITED is set */

/* overload.c */
void overload_look(struct sessions *sessions);
void overload_tick(struct timer *timer);
/* There is an overload and this session is a stranger. */
bool overload_concerns(const struct session *session);
uint64_t overload_ms(const struct session *session, uint64_t ms);

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

/* join.c */
void session_joined(struct session *session); /* on its fiber: joins, the first time */
void session_unjoin(struct session *session); /* ... and the end of it */

/* secure.c */
void session_secure(struct session *session, bool keep_unread); /* begins the handshake */
void session_secured(struct stream *stream);                    /* the stream says: done */
void session_secure_ended(struct session *session); /* the stream ended in the handshake */
void session_renew(struct session *session);        /* begins again, under TLS; on its fiber */
/* Nothing of ours may be said in clear now. */
static inline bool session_is_mute(const struct session *session)
{
    return (session->private_bits & SECURING) ||
           (session->service->tls == SERVICE_TLS && !session_is_secure(session));
}

/* end.c */
enum session_end session_end_of(const struct session *session, int error);
void session_finish(struct session *session);

/* move.c */
/* True: it has left, last act of its fiber. False: it ends here. */
bool session_depart(struct session *session);
void session_moved(struct stream *stream);
void session_move_failed(struct session *session);

#endif
