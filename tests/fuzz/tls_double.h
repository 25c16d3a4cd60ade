/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A server's stream under TLS without an engine: what tls*.c ask of the core and of the output
 * queue, with the same randomness for each stream; and whole handshakes of OpenSSL with it.
 */
#ifndef RINGPOST_TESTS_TLS_DOUBLE_H
#define RINGPOST_TESTS_TLS_DOUBLE_H

#include "../../src/net/tls_private.h"

enum { RECORDED_BYTES_MAX = 16384 };

/* A handshake: what the client sent, and its secret: that of its data (TLS 1.3), or the master secret
 * and the randoms of server and client. */
struct recording {
    uint8_t client[RECORDED_BYTES_MAX];
    size_t client_size;
    uint8_t secret[48], randoms[64];
};

/* What the stream wrote since double_open. */
extern struct double_sent {
    uint8_t data[65536];
    size_t size;
} double_sent;

void require(bool condition);
void double_begin(void); /* once: certificate, settings */
struct stream *double_open(void);
void double_close(struct stream *stream);
void record(struct recording *recording, bool is_13);

#endif
