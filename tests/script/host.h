/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A server that scripts are played on: how it is set up, opened and closed on each core. The same
 * on the simulator and on the real kernel. To add one: a file host_X.c, its row in hosts (main.c).
 */
#ifndef RINGPOST_TESTS_SCRIPT_HOST_H
#define RINGPOST_TESTS_SCRIPT_HOST_H

#include "ringpost/core.h"

enum { HOST_SERVICES_MAX = 9 };

struct host_service {
    const char *name;
    unsigned port; /* above the base */
    /* Of its honest client: what the server says first (or NULL), what the client says again and
     * again, and how each is answered (patterns as in scripts). Every few times it says goodbye and
     * comes again. */
    const char *greeting, *says, *answer, *goodbye;
};

struct host {
    const char *name;
    bool connects; /* its engine's rings may */
    struct host_service services[HOST_SERVICES_MAX];
    /* Once; keeps what it needs of the arguments. NULL without memory. `directory` is there and
     * empty. */
    void *(*make)(unsigned cores, unsigned port_base, const char *directory);
    void (*free)(void *state);
    void (*begin)(void *state);                    /* before each life */
    int (*open)(struct core *core, void *state);   /* on each core, on a fiber. 0 or -errno */
    void (*close)(struct core *core, void *state); /* drains; on each core, on a fiber */
    /* May be NULL: makes another generation of the same settings the one to adopt; adopts it, on
     * each core; how many still use any of them. */
    void (*renew)(void *state);
    void (*adopt)(struct core *core, void *state);
    uint64_t (*users)(void *state);
};

extern const struct host host_line, host_gateway, host_front, host_sieve;

#endif
