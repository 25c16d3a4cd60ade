/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What tests of TLS as the client share: an engine with our own server behind TLS at port_base(),
 * in clear with "secure" at the next port, odd servers at the third; the body of the test runs on a
 * fiber of core 0. At its end no operation is in flight, no slot in use, all streams are released.
 */
#ifndef RINGPOST_TESTS_TLS_CLIENT_HOST_H
#define RINGPOST_TESTS_TLS_CLIENT_HOST_H

#include "dial_client.h"
#include "line_server.h"
#include "tls_odd.h"

static const uint64_t SECOND_NS = UINT64_C(1000000000);
static const char one[] = "one.example.org"; /* the server's name */

struct world {
    void (*body)(struct core *core, struct world *world);
    const char *certificates[2]; /* of the server; the chain where there is one */
    int64_t year;                /* for which the server takes its certificates to be good */
    unsigned cores, fibers_max;
    bool client_required;
    struct line_server lines, clear;
    struct odd_server odd;
    struct tls_settings *settings;
    atomic_uint ready, stopped;
};

unsigned port_base(void); /* and three more */
void run(struct world *world);
/* fn(core, argument) in the core's turn, whose stack is large. Fiber. */
void in_turn(struct core *core, void (*fn)(struct core *core, void *argument), void *argument);

/* For in_turn. */
struct making {
    const struct tls_client_options *options;
    struct tls_client *client;
    int result;
};
void make_client(struct core *core, void *making);
struct tls_client *made_client(struct core *core, const struct tls_client_options *options);
struct tls_client_options verifying(bool is_12); /* by the chain's root */
/* Connects, and shakes hands. */
int secure_at(struct core *core, struct dialed *client, unsigned port, struct tls_client *tls,
              const char *host, struct tls_session *resume);
void require_problem(const struct dialed *client, const char *problem);

#endif
