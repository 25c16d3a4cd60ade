/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A server's stream under TLS without an engine: what tls*.c ask of the core and of the output
 * queue. For what has to come to the byte, with a clock and randomness that are set.
 */
#ifndef RINGPOST_TESTS_TLS_DOUBLE_H
#define RINGPOST_TESTS_TLS_DOUBLE_H

#include "../../src/net/tls_private.h"

enum { DOUBLE_CORES = 2 };

extern int64_t double_wall_ns; /* the cores' clock; wolfSSL has its own */
/* Bytes of randomness that were asked for; they follow from this number. */
extern uint64_t double_drawn;

/* What the stream wrote since double_open. */
extern struct double_sent {
    uint8_t data[65536];
    size_t size;
} double_sent;

void require(bool condition);
void double_begin(const struct tls_options *options); /* but for the pair, which is made */
void double_end(void);
struct stream *double_open(unsigned core, const struct tls_service *service); /* one at a time */
void double_close(struct stream *stream);

#endif
