/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a core keeps of backends, and what the process does: for the files that are about the state.
 */
#ifndef RINGPOST_CORE_STATE_H
#define RINGPOST_CORE_STATE_H

#include "backend_private.h"
#include "ringpost/rows.h"

enum { BACKEND_STATE_SLOTS = 1 << 15 }; /* more than twice BACKEND_STATES_MAX */

struct backend_states { /* of the process; a state is added by table.c only, one reader at a time */
    unsigned core_count;
    _Atomic uint32_t exceptions; /* rows of all cores */
    _Atomic uint32_t version;    /* one more with each change of alive or capabilities */
    _Atomic uint64_t opened_ns;
    uint32_t count;
    struct backend *slots[BACKEND_STATE_SLOTS]; /* by hash of pool and name */
};

/* A backend's turn at being logged in to, on this core. */
struct connecting {
    unsigned under_way;
    struct waiters waiters;
};

/* The checks of one backend, on the core that makes them (health.c). */
struct check {
    struct check *next;
    struct timer timer;
    struct backends *backends;
    struct backend *backend;
    const struct backend_member *member; /* of the table in use; NULL: not yet */
    const struct backend_member *asked;  /* while it runs: of the table then, which it keeps */
    unsigned next_protocol;
    bool is_running, is_removed;
    bool is_silent;  /* the last one heard nothing */
    bool is_first;   /* all its protocols are asked */
    bool is_counted; /* in COUNTER_BACKENDS_ALIVE */
};

enum { RESUME_SESSIONS_MAX = 4, RESUME_FAILURES_MAX = 3 };

/* Sessions of one protocol of one backend, newest last (resume.c). */
struct resume {
    struct tls_session *sessions[RESUME_SESSIONS_MAX];
    unsigned count;
    unsigned failures; /* since one was resumed */
};

struct capabilities { /* what a pool has in common, as of `version` */
    uint32_t version;
    bool is_known;
    char text[BACKEND_CAPABILITY_BYTES_MAX + 1];
};

struct backends {
    struct core *core;
    struct backend_states *states;
    const struct backend_table *table;
    struct tls_client **tls_clients;                        /* by pool; NULL: in clear */
    struct resume **resume;                                 /* by member and protocol; NULL: none */
    struct capabilities *(*common)[BACKEND_PROTOCOL_COUNT]; /* by pool; NULL: not asked yet */
    struct capabilities *common_of_others;                  /* of pools of older tables */
    struct connecting *connecting[BACKEND_STATES_MAX];      /* by backend; NULL: none yet */
    unsigned connects;                                      /* how many there were */
    struct check *checks;
    unsigned checks_running, checks_running_max;
    struct waiters checks_ended;
    bool is_closing;
    /* users.c, exception.c: of users whose home this core is (K2) */
    struct hash_key key;
    struct rows users, exceptions;
    struct timer sweep;
};

static inline struct backends *backends_of(const struct core *core)
{
    return core_local(core, CORE_LOCAL_BACKEND);
}

/* table.c */
int member_find(const struct backend_table *table, struct slice name,
                const struct backend_member **ret_member);
/* state.c: by the core that checks the backend only. */
void capabilities_set(const struct backend_member *member, enum backend_protocol protocol,
                      struct slice text);
/* What it has said last; false: nothing yet. */
bool capabilities_get(const struct backend *backend, enum backend_protocol protocol,
                      char ret_text[BACKEND_CAPABILITY_BYTES_MAX + 1]);
bool backend_is_suspect(const struct backend_member *member);
void connecting_free(struct backends *backends);
/* resume.c: of a table with so many members; frees all of it. */
void resume_free(struct resume **resume, unsigned member_count);
/* health.c. checks_prepare makes those that the table needs and this core has not; checks_adopt
 * then cannot fail. */
int checks_prepare(struct backends *backends, const struct backend_table *table);
void checks_adopt(struct backends *backends, const struct backend_table *table);
void checks_close(struct backends *backends); /* fiber */
void check_hurried(struct core *core, struct message *message);
/* users.c, exception.c */
unsigned user_home(const struct core *core, struct slice user);
void users_open(struct backends *backends);
void users_close(struct backends *backends);
void exceptions_open(struct backends *backends);
void exceptions_close(struct backends *backends);
bool exception_is_over(void *row, void *backends);
/* On the home core's fiber: waits while the user is held. 0 with the backend that the operator
 * wants of him, or NULL; -EPERM. */
int exception_wait(struct backends *backends, struct slice user, uint64_t deadline_ns,
                   struct backend **ret_backend);
/* What holds now, without waiting. */
struct backend *exception_look(struct backends *backends, struct slice user, uint64_t *ret_hold_ns);

#endif
