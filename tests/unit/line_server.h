/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A small line server whose commands each exercise one part of stream.h. Bulk bytes in both
 * directions are a known pattern, so that lost, doubled or misordered bytes show: what the server
 * receives it checks itself.
 */
#ifndef RINGPOST_TESTS_LINE_SERVER_H
#define RINGPOST_TESTS_LINE_SERVER_H

#include <stdatomic.h>

#include "ringpost/tls.h"

/* Byte `at` of the pattern. */
char pattern(uint64_t at);
void pattern_fill(char *data, size_t size, uint64_t at);

struct line_server {
    atomic_uint sessions;                  /* alive, on all cores */
    uint64_t idle_ns;                      /* of a session's whole life; 0: no bound */
    const struct tls_service *tls_service; /* of "secure" */
    bool is_implicit;                      /* TLS from the first byte */
    atomic_uint secured, insecure;         /* handshakes done, and streams that TLS ended */
};
/* For listener_options: the argument is the struct line_server. */
bool line_server_accepted(struct core *core, unsigned slot, void *argument);

#endif
