/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A client of a handshake in memory, and its secrets. Aborts on failure.
 */
#ifndef RINGPOST_TESTS_TLS_RECORD_H
#define RINGPOST_TESTS_TLS_RECORD_H

#include <stdbool.h>
#include <stddef.h>

struct record_client;

struct record_client *record_begin(bool is_13);
/* What the server said goes in, what the client says to it comes out; its size. */
size_t record_step(struct record_client *made, const unsigned char *in, size_t size,
                   unsigned char *out, size_t capacity);
/* The secret of the client's data (TLS 1.3: 32 bytes) or the master secret (48), and the randoms of
 * server and client. */
void record_end(struct record_client *made, unsigned char ret_secret[48],
                unsigned char ret_randoms[64]);

#endif
