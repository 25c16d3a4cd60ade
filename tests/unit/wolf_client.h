/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A TLS client, straight on wolfSSL and on none of our code, over the harness's blocking clients,
 * so that it runs in the simulator too.
 */
#ifndef RINGPOST_TESTS_WOLF_CLIENT_H
#define RINGPOST_TESTS_WOLF_CLIENT_H

#include "harness.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <wolfssl/options.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>
#pragma GCC diagnostic pop

struct wolf_client_options {
    const char *server_name, *alpn; /* NULL: none */
    bool is_12;                     /* TLS 1.2 at most */
    const char *suites;
    const char *certificate, *key; /* PEM */
    WOLFSSL_SESSION *session;      /* to be resumed */
    size_t piece;                  /* sent in pieces of so many bytes; 0: as they are */
    size_t cut;                    /* so many bytes are sent, then the connection ends; 0: all */
    size_t flip;                   /* a bit of that byte, counted from 1, is another; 0: of none */
};

struct wolf_client {
    WOLFSSL_CTX *context;
    WOLFSSL *library;
    int fd;
    int error; /* of the handshake, 0: it is done */
    size_t piece, cut, flip, sent;
    uint64_t hash;            /* of all bytes that came */
    unsigned char leaf[2048]; /* the server's certificate, in DER */
    size_t leaf_size;
};

/* The handshake, on a client that is open. */
void wolf_client_begin(struct wolf_client *client, int fd,
                       const struct wolf_client_options *options);
void wolf_client_put(struct wolf_client *client, const void *data, size_t size);
void wolf_client_get(struct wolf_client *client, void *data, size_t size);
void wolf_client_say(struct wolf_client *client, const char *text);
void wolf_client_expect(struct wolf_client *client, const char *text);
void wolf_client_line(struct wolf_client *client, char *text, size_t capacity);
/* close_notify, then the end: 0; an end without it, or an alert: its wolfSSL code. */
int wolf_client_end(struct wolf_client *client);
/* Forgets it; the fd stays with the caller. */
void wolf_client_free(struct wolf_client *client);

#endif
