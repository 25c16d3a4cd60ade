/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The whole gateway above the engine: what the program's main() runs on the real kernel and the
 * tests run on the simulated one. No files are read here: options come checked (src/main/config.c,
 * or a test's own).
 */
#ifndef RINGPOST_GATEWAY_H
#define RINGPOST_GATEWAY_H

#include "ringpost/auth.h"
#include "ringpost/backend.h"
#include "ringpost/control.h"
#include "ringpost/relay.h"
#include "ringpost/session.h"
#include "ringpost/store.h"

enum { GATEWAY_SERVICES_MAX = 33 };

struct gateway_options {
    struct store_options store;
    struct auth_options auth;
    struct tls_settings *tls_settings;     /* counted by its owner; NULL: no TLS */
    struct backend_states *backend_states; /* NULL: there are no backends */
    const struct backend_table *backends;
    struct relay_options relay;                           /* where there are backends */
    const struct exception_keeper_options *exceptions;    /* NULL: kept nowhere */
    const struct service *services[GATEWAY_SERVICES_MAX]; /* opened on every core */
    unsigned service_count;
    uint64_t drain_pace_ms, drain_wait_ms;
};

enum gateway_state { GATEWAY_STARTING, GATEWAY_READY, GATEWAY_DRAINING, GATEWAY_STOPPED };

struct gateway {
    struct gateway_options options;
    uint32_t state; /* enum gateway_state of all cores together; read by any thread */
    /* how many cores have come to a point; atomic */
    uint32_t store_made, cores_open, exceptions_read, cores_ready, cores_drained, cores_gone;
    uint32_t failed; /* 0, or the errno of the first core that could not open; atomic */
};

void gateway_init(struct gateway *gateway, const struct gateway_options *options);
/* engine_run's ready(): opens net, store, auth, sessions and services of one core; core 0's logs
 * what is being done. Fiber. 0 or -errno. */
int gateway_open(struct core *core, void *gateway);
/* On a core that is open, outside fibers: from now on new connections, log-ins and mail use these
 * options (services at the same address and port, users, certificates); those that are there end
 * with what they began with. 0, or -errno when the certificates stay what they were. */
int gateway_adopt(struct core *core, const struct gateway_options *options);
/* On every core, on a fiber: drains sessions, closes the store. After all have returned the engine
 * may stop. */
void gateway_close(struct core *core, struct gateway *gateway);

#endif
