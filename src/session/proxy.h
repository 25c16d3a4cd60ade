/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The header by which a proxy says who its client is (HAProxy's "The PROXY protocol", versions 1
 * and 2). A pure function of the bytes that have come so far: asked again when there are more.
 */
#ifndef RINGPOST_SESSION_PROXY_H
#define RINGPOST_SESSION_PROXY_H

#include "ringpost/slice.h"

enum {
    PROXY_V1_BYTES_MAX = 107,  /* CRLF included (2.1) */
    PROXY_V2_FIXED_BYTES = 16, /* signature, version, family, length (2.2) */
    PROXY_V2_REST_BYTES_MAX = 1024,
    PROXY_HEADER_BYTES_MAX = PROXY_V2_FIXED_BYTES + PROXY_V2_REST_BYTES_MAX
};

struct proxy_header {
    size_t size;    /* of the header; what follows is the client's */
    uint8_t family; /* 4 or 6; 0: it names no client, the connection's own peer is it */
    uint8_t address[16];
    uint16_t port;
    uint8_t hops_left; /* and one: a gateway like us is it, and says "ttl=N"; 0: nobody does */
};

enum proxy_result {
    PROXY_MORE, /* the beginning of a header */
    PROXY_BAD,  /* no beginning of one */
    PROXY_DONE  /* *ret_header is set; only then */
};

enum proxy_result proxy_parse(struct slice bytes, struct proxy_header *ret_header);

#endif
