/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * OpenSSL as a client in memory, which tells its secrets and what the handshake's messages were:
 * wolfSSL as it is built here tells none. No header of OpenSSL's here, for wolfSSL's claim the same
 * names. Aborts when it cannot do what it is asked to.
 */
#ifndef RINGPOST_TESTS_TLS_OPENSSL_H
#define RINGPOST_TESTS_TLS_OPENSSL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct openssl_options {
    bool is_13;                    /* TLS 1.3 and no other, else 1.2 */
    const char *certificate, *key; /* PEM; NULL: none */
    void *session;                 /* of openssl_session: to be resumed */
    const char *early;             /* data sent with the hello; NULL: none */
};

struct openssl;

struct openssl *openssl_begin(const struct openssl_options *options);
/* What the server said goes in, what the client says to it comes out; its size. */
size_t openssl_step(struct openssl *openssl, const uint8_t *in, size_t size, uint8_t *out,
                    size_t capacity);
bool openssl_is_done(struct openssl *openssl); /* the handshake */
bool openssl_is_resumed(struct openssl *openssl);
void *openssl_session(struct openssl *openssl); /* also good for early data, whatever it says */
void openssl_session_free(void *session);
/* The secret of the client's data (TLS 1.3: 32 bytes) or the master secret (48), and the randoms of
 * server and client. */
void openssl_secrets(struct openssl *openssl, uint8_t ret_secret[48], uint8_t ret_randoms[64]);
/* The secret of the client's handshake (TLS 1.3), and the handshake's messages from the hello to
 * the server's Finished. */
const uint8_t *openssl_messages(struct openssl *openssl, uint8_t ret_secret[32], size_t *ret_size);
void openssl_end(struct openssl *openssl);

#endif
