/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Services in front of the double's backends (front_double.h), on one core: anna@near.test is known
 * here, her password is "pw"; users of far.test, which is the domain of who names none, are
 * elsewhere.
 */
#ifndef RINGPOST_TESTS_FRONT_HOST_H
#define RINGPOST_TESTS_FRONT_HOST_H

#include "front_double.h"
#include "ringpost/proxy.h"
#include "service_host.h"

#define FRONT_HOST_SERVICE                                                                         \
    .host_name = {"mail.example.test", 17}, .address = "127.0.0.1", .connections_max = 1000,       \
    .login_ms_max = 10000, .idle_ms_max = 60000, .command_ms_max = 10000, .errors_max = 100,       \
    .junk_max = 100, .plain_login_allowed = true, .unlimited = {&front_host_loopback, 1}

extern const struct network front_host_loopback; /* worlds without buffers hurry nobody of it */
/* far.test at the first pool, near.test at the second; a test may change them once it has begun. */
extern struct proxy_domain front_host_domains[2];
/* Of a service: far.test is elsewhere. */
struct proxy_options front_host_options(enum backend_protocol protocol);

/* HOST_SERVICES_MAX at most, the toy's among them. */
struct host *front_host_begin(const struct service *services, unsigned count,
                              uint64_t drain_pace_ms);
void front_host_end(struct host *host); /* no link is left */

#endif
