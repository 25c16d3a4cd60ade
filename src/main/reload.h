/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A new config, and new certificates, while sessions go on.
 *
 *   SIGHUP ─▶ config, users, directories, certificates are read and checked on a helper thread
 *               │ problems: each in the log with file and line; everything stays as it was
 *               ▼
 *             a new generation: every core adopts it (gateway_adopt) ─▶ new connections use it
 *               ▼
 *             the old one is freed when its last session and log-in are gone
 *
 *   every tls.reload_interval ─▶ have the files of certificates changed? ─▶ they alone, likewise
 *
 * Invariants:
 *   L1 A core reads no file and checks nothing; what a core adopts is whole and without problems.
 *   L2 No session ends because of a reload.
 *   L3 A generation is freed only when every core has adopted a newer one and its count is zero.
 *   L4 No adoption is under way, and none begins, once the drain has begun.
 */
#ifndef RINGPOST_RELOAD_H
#define RINGPOST_RELOAD_H

#include "setup.h"

/* Older generations that sessions still use; beyond them a reload is refused. */
enum { RELOAD_GENERATIONS_MAX = 64 };

struct reload;

struct reload_adoption {    /* one core's */
    struct message message; /* first: the message's address is ours */
    struct reload *reload;
    int result;
};

/* Of core 0 alone. */
struct reload {
    struct core *core;
    struct setup *first;   /* of the start: listeners keep its texts */
    struct setup *current; /* serves new connections */
    struct setup *older;   /* by `next`: still used, newest first; without `first` */
    unsigned older_count;
    struct tls_settings *tls; /* newer than those of `current`; NULL: there are none */
    const struct setup_process *process;
    const struct gateway_options *adopting; /* what the cores are told; NULL: certificates alone */
    struct tls_settings *adopting_tls;
    unsigned adopting_left; /* cores that have not; 0: nothing is under way */
    struct reload_adoption adoptions[CORES_MAX];
    struct waiters waiters, adopted;
    bool is_wanted, is_stopping;
    uint64_t look_ns, warn_ns;     /* when to look at the files, at the end of certificates */
    uint64_t stamp, stamp_seen;    /* of the files that were tried last; that changed just now */
    void (*ended)(void *argument); /* the fiber is gone; nothing of ours runs any more */
    void *argument;
};

void reload_init(struct reload *reload, struct setup *first, const struct setup_process *process);
/* On core 0, when every core serves: starts the fiber. 0 or -EAGAIN. */
int reload_start(struct reload *reload, struct core *core, void (*ended)(void *argument),
                 void *argument);
/* On core 0: read the config again. Several calls before it begins count once. */
void reload_want(struct reload *reload, struct core *core);
/* On a fiber of core 0, before the drain: returns when no adoption is under way. */
void reload_stop(struct reload *reload, struct core *core);
/* After the engine is gone: frees every generation but the first. */
void reload_deinit(struct reload *reload);

#endif
