/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Paths of MAIL and RCPT (RFC 5321 4.1.2, RFC 6531 3.3), pure: bytes in, slices and a verdict out.
 */
#ifndef RINGPOST_SMTP_ADDRESS_H
#define RINGPOST_SMTP_ADDRESS_H

#include "ringpost/arena.h"

enum {
    LOCAL_PART_BYTES_MAX = 64, /* RFC 5321 4.5.3.1.1 */
    DOMAIN_BYTES_MAX = 255,    /* 4.5.3.1.2 */
    LABEL_BYTES_MAX = 63,      /* RFC 1035; of U-labels four times as many */
    SOURCE_ROUTE_MAX = 100     /* hops that are passed over */
};

struct smtp_path {
    struct slice text;   /* local-part@domain as it was written, no route; empty: the null path */
    struct slice local;  /* as it was meant: without quotes and backslashes */
    struct slice domain; /* or "[...]"; empty with "postmaster" alone */
    bool is_ascii;
};

enum path_verdict {
    PATH_OK,
    PATH_SYNTAX,     /* no path at all: "<" missing, ... */
    PATH_LOCAL_PART, /* its local part is wrong or too long */
    PATH_DOMAIN,     /* its domain or literal is wrong or too long */
    PATH_MEMORY
};

/* Parses "<...>" at the start of *text and moves *text behind it. *ret_path borrows from the text
 * (and from the arena, where a quoted local part is unquoted). `allow_null`: "<>" is a path;
 * else "<postmaster>" is. */
enum path_verdict smtp_path_parse(struct slice *text, bool allow_null, struct arena *arena,
                                  struct smtp_path *ret_path);

/* A domain or an address literal, the whole of `text` (RFC 5321 4.1.2, 4.1.3). */
bool smtp_domain_valid(struct slice text);

/* All of it is UTF-8 (RFC 3629); *ret_ascii: and ASCII too. */
bool smtp_utf8_valid(struct slice text, bool *ret_ascii);

#endif
