/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by the files of proxy: a session that is passed through, and what a core keeps for them.
 *
 *   proxy.c    open, close, whose mail is where, capabilities, the operator's calls
 *   login.c    logging in at the backend, and what failed of it
 *   pass.c     joined: how it ends, farewells, spreading, the log line
 *   sweep.c    a timer per core that looks at all of them by and by: silence, stalls, keep-alives
 *   follow.c   what can be known from the bytes that pass
 *
 * Ownership: a `proxied` is made by proxy_log_in and its session's joint_owner from then on;
 * joint->closed frees it, on whatever way the session ends. Its link is closed there at the latest.
 */
#ifndef RINGPOST_PROXY_PRIVATE_H
#define RINGPOST_PROXY_PRIVATE_H

#include <assert.h>

#include "follow.h"
#include "ringpost/proxy.h"

enum {
    TICK_MS = 250,           /* of the sweep */
    SWEEP_MS_MAX = 15000,    /* once around, at the latest ... */
    SWEEP_PARTS = 8,         /* ... or so often in the shortest time that is waited for */
    SWEEP_VISITS_MAX = 4096, /* a tick */
    LOSSES_KEPT = 64,        /* backends whose losses are counted */
    LOSSES_FREE = 16,        /* sessions of a backend that are ended at once */
    LOSS_STEP_MS = 10,       /* each beyond that is ended so long after the one before */
    FAREWELLS_MAX = 30,      /* times farewell_ms, while the backend still talks */
    FAILURE_LOG_MS = 1000,
    DOWN_SPREAD_MS_MAX = 60000
};

enum proxied_phase {
    PROXIED_MADE,  /* logged in, not joined yet */
    PROXIED_OPEN,  /* joined */
    PROXIED_LEFT,  /* the client has closed: the backend's last answers */
    PROXIED_ENDING /* will be ended as end_as when its timer fires */
};

struct proxied {
    struct proxied *next,
        **previous_next; /* of the core; previous_next is NULL before PROXIED_OPEN */
    struct session *session;
    struct backend_link *link; /* NULL: the backend is gone */
    const struct backend *backend;
    char *path; /* when it was tried elsewhere first; owned */
    struct timer timer;
    uint64_t joined_ns, said_ns; /* said_ns: our last keep-alive */
    uint64_t up_bytes, down_bytes;
    struct follow follow;
    uint8_t phase, end_as, farewells;
};

/* Sessions that a backend has lost lately. */
struct loss {
    const struct backend *backend;
    uint64_t begin_ns, last_ns;
    unsigned count;
};

struct proxy {
    struct core *core;
    struct timer tick;
    struct proxied *list, *cursor; /* cursor: the sweep's next; NULL: from the first */
    unsigned count;
    uint64_t sweep_ms; /* once around */
    /* Of a session's stream: tells the two sides of a pipe apart. */
    const struct stream_owner *client_owner;
    struct loss losses[LOSSES_KEPT];
    uint64_t failure_log_ns; /* when the next line may come */
    unsigned failures;       /* since the last one */
};

static inline struct proxy *proxy_of(const struct core *core)
{
    struct proxy *proxy = core_local(core, CORE_LOCAL_PROXY);
    assert(proxy != NULL && "proxy_open must be called on each core first");
    return proxy;
}

static inline const struct proxy_options *proxy_options_of(const struct session *session)
{
    return session->service->front;
}

/* pass.c */
extern const struct session_joint proxy_joint;
void proxied_backend_ended(struct backend_link *link);
/* The session ends in up to ms, by chance; 0: now. What passes till then, passes. */
void proxied_end_within(struct proxied *proxied, enum session_end end, uint64_t ms);
void proxied_lost(struct proxied *proxied, bool is_broken);
void proxied_free(struct proxied *proxied);

/* sweep.c */
void sweep_begin(struct proxy *proxy, const struct proxy_options *options);
void sweep_tick(struct timer *timer);

#endif
