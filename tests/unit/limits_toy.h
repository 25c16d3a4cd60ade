/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A toy protocol for the tests of what the session layer grants and refuses.
 *
 *   greeting  hello              WHO        the client's address and port
 *   USER u    in | too many      AS a.b.c.d is | too many   (session_set_peer)
 *   MOVE n    on n               ADOPT      adopted         (services_adopt, of toy_next)
 *   ECHO t    t                  NAP ms     awake
 *   NOOP      nothing            QUIT       bye
 *   anything else: no <milliseconds since the session began>
 */
#ifndef RINGPOST_TESTS_LIMITS_TOY_H
#define RINGPOST_TESTS_LIMITS_TOY_H

#include "line_client.h"
#include "service_host.h"

extern const struct session_protocol limits_toy, limits_mute_toy; /* the latter is without log-in */
/* The services that ADOPT brings in. */
extern const struct service *const *toy_next;
extern unsigned toy_next_count;

struct service toy_service(const struct session_protocol *protocol, unsigned port);
/* One that believes PROXY headers from everywhere. */
struct service toy_proxied_service(const struct session_protocol *protocol, unsigned port);
/* A client that says it is `address`, to a service of the latter kind. */
int toy_client(unsigned port, const char *address);
/* It is served; it is told to come later. */
int toy_served(unsigned port, const char *address);
void toy_refused(unsigned port, const char *address);
void toy_quit(int client);

#endif
