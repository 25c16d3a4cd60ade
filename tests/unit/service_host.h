/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs services of session.h on the harness's engine, beside the test; at the end everything must
 * drain: no session, no buffer lent, no operation in flight, no fiber.
 */
#ifndef RINGPOST_TESTS_SERVICE_HOST_H
#define RINGPOST_TESTS_SERVICE_HOST_H

#include "ringpost/session.h"

#include "harness.h"

enum { HOST_SERVICES_MAX = 4 };

struct host_options {
    const struct service *services[HOST_SERVICES_MAX]; /* opened on every core */
    unsigned core_count, fibers_max;
    unsigned connections_max; /* slots of a core; 0: 2000 */
    uint64_t drain_pace_ms, drain_wait_ms;
    bool connects;                    /* as engine_options */
    int (*open)(struct core *core);   /* after net, before the services; may be NULL */
    void (*close)(struct core *core); /* after the sessions; may be NULL */
};

struct host;
struct host *host_begin(const struct host_options *options);  /* returns when it serves */
void host_stop(struct host *host);                            /* begins to drain */
void host_end(struct host *host);                             /* drains, waits, frees */
uint64_t host_counter(struct host *host, enum counter which); /* of all cores, roughly now */
uint64_t host_ends(struct host *host, enum protocol_id protocol, enum session_end end);

#endif
