/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What operators' machines read, over HTTP on a thread of its own: /metrics (Prometheus text),
 * /live, /ready. It reads words that the cores write and takes nothing from them: no lock, no
 * message, no allocation of theirs.
 *
 * To add a metric: a row in counter.h. To add a page: a row in src/admin/admin.c.
 */
#ifndef RINGPOST_ADMIN_H
#define RINGPOST_ADMIN_H

#include "ringpost/arena.h"
#include "ringpost/core.h"
#include "ringpost/session.h"

enum admin_health { ADMIN_STARTING, ADMIN_READY, ADMIN_DRAINING, ADMIN_REFUSING };

struct admin_options {
    const char *address; /* numeric */
    unsigned port;
    int listen_fd; /* listens on address and port already; becomes admin's. 0: admin opens one */
    struct engine *engine;
    const struct session_protocol *const *protocols; /* whose command tables name the counters */
    unsigned protocol_count;
    const char *version;
    enum admin_health (*health)(void *argument); /* from the admin thread */
    /* Adds to the page of metrics, from the admin thread; NULL: nothing. */
    void (*more)(void *argument, struct text *text);
    void *argument;
};

struct admin;
/* Listens and starts the thread. The options are copied; what they point to outlives the thread. 0
 * or -errno. */
int admin_start(const struct admin_options *options, struct admin **ret_admin);
/* Ends the thread; NULL is nothing. */
void admin_stop(struct admin *admin);
/* The HTTP library's version. */
const char *admin_library_version(void);

#endif
