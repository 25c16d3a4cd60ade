/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A wolfSSL client that talks to a doubled stream (tls_double.h) in memory: a connection is one
 * call, and what the client says can be changed on the way.
 */
#ifndef RINGPOST_TESTS_TLS_MEMORY_H
#define RINGPOST_TESTS_TLS_MEMORY_H

#include "tls_double.h"

struct memory_options {
    bool is_12;
    unsigned core;                     /* of the server */
    const struct tls_service *service; /* NULL: one that is the same for all */
    WOLFSSL_SESSION *session;          /* to be resumed */
    const uint8_t *ticket;             /* instead of the session's */
    size_t ticket_size;
    unsigned left_out;             /* TLS 1.2: this message is; 0: none */
    unsigned late;                 /* TLS 1.2: this one changes places with the next; 0: none */
    const char *certificate, *key; /* PEM */
};

struct memory_client {
    WOLFSSL_CTX *context;
    WOLFSSL *library;
    struct stream *stream;
    unsigned left_out, late;
    uint8_t held[512];
    size_t held_size;
    size_t read;        /* of what the stream wrote */
    bool is_whole;      /* both ends are secure, and a byte came through each way */
    uint8_t random[32]; /* the server's */
};

/* A whole connection, as far as it comes. Whoever looks at the server's end does so before
 * memory_end. */
void memory_begin(struct memory_client *client, const struct memory_options *options);
bool memory_is_resumed(const struct memory_client *client); /* says the server */
void memory_end(struct memory_client *client);

#endif
