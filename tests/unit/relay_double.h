/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The calls of relay.h without backends, for tests of those who hand mail on: what came is kept and
 * can be looked at, and a user's name says what becomes of mail for him. One core at a time.
 */
#ifndef RINGPOST_TESTS_RELAY_DOUBLE_H
#define RINGPOST_TESTS_RELAY_DOUBLE_H

#include "ringpost/relay.h"

/* Names of users that begin so:
 *   no      at RCPT there is none: 550 5.1.1 <address> Never heard of
 *   shut    nobody can be asked: 451 4.4.1 Refused     bye     421 4.3.2 Going away
 *   full    with the message: 552 5.2.2 Full           late    451 4.4.2 Lost
 *   slow    takes 800 ms, both times                   wait    until the sender is gone, or 5 s
 * Others have it: "250 2.1.5 <address> Saved". */
struct double_row {
    char user[400], address[400], attributes[400], orcpt[100], notify[40];
};
struct relay_double {
    unsigned verified, delivered; /* calls */
    unsigned saved;               /* recipients, of all deliveries */
    struct double_row rows[32];   /* of the last delivery */
    unsigned row_count;
    struct double_row asked; /* the last at RCPT */
    char *data;              /* of the last message; ends with NUL */
    size_t size;
    char from[400], envid[100], ret[10], hello[100], session_id[40];
    enum relay_body body;
    bool is_utf8, requires_tls, was_gone;
    unsigned family;
};
extern struct relay_double relay_double;

void relay_double_reset(void);

#endif
