/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What tests of joined streams share: a front, which takes clients at its port, connects each to
 * the line server of tls_client_host.h, and joins the two; TLS on either side as asked. It looks
 * at what passes, and its owner's calls are counted.
 *
 *   dialed client ──▶ front_port() ─▶ struct pair { client ⇄ back } ──▶ line server
 */
#ifndef RINGPOST_TESTS_JOIN_HOST_H
#define RINGPOST_TESTS_JOIN_HOST_H

#include "tls_client_host.h"

struct pair {
    struct stream client, back;
    struct front *front;
    struct pair *next;
    unsigned open; /* streams not released */
    unsigned client_inputs, back_inputs;
    uint64_t passed_up, passed_down; /* from the client, from the back end */
    size_t largest_down;             /* of the pieces */
    bool is_joined, client_released, back_released;
};

struct front {
    struct core *core;
    struct listener *listener;
    struct tls_client *tls; /* to the back end; NULL: in clear */
    bool is_secure;         /* to the client */
    bool keeps;             /* an end is only counted, nothing is closed */
    bool greets;            /* with a line of its own, while what the back end said lies unread */
    uint64_t wait_ns;       /* before joining */
    unsigned pairs;         /* alive */
    struct pair *last;      /* the newest, if it is alive */
};

unsigned front_port(void);
void front_open(struct front *front, struct core *core);
void front_close(struct front *front); /* waits for the last pair */
/* A client of it; TLS by `tls` unless NULL. 0 or -errno. */
int front_dial(struct front *front, struct dialed *client, struct tls_client *tls);
struct pair *front_joined(struct front *front); /* waits until the newest is joined */
/* Both ways in bulk; what comes back must be the pattern. */
void front_bulk(struct dialed *client, unsigned size);

#endif
