/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Mail for users of other stores, handed on by LMTP (RFC 2033) while its sender waits: there is no
 * queue here, so what cannot be handed on now is answered "later", and the sender keeps it.
 *
 *   RCPT        ─▶ relay_verify: known lately? else a call-out ─▶ known, unknown, later
 *   end of data ─▶ relay_deliver: recipients by backend, a transaction for each backend, side by
 *                  side ─▶ a result and a reply for each recipient
 *
 * Invariants:
 *   R1 A recipient's result is 0 only when his backend said 2xx for him behind the whole message.
 *   R2 What fails on the way is "later"; "no" is only what a backend said about the recipient, or
 *      about the message.
 *   R3 What a backend is given is the message, byte by byte, and nothing that it could take for a
 *      command; a connection carries one transaction.
 *   R4 Of what a backend says, a client is told one line, checked and cut.
 *   R5 A recipient is given to one backend, and to another only when the first cannot have him.
 */
#ifndef RINGPOST_RELAY_H
#define RINGPOST_RELAY_H

#include "ringpost/backend.h"

enum { RELAY_REPLY_BYTES_MAX = 400 };

struct relay_options {
    unsigned cache_entries_max; /* answers to call-outs, per core; 0: none is kept */
    uint64_t known_ms;          /* how long "there is such a user" is believed */
    uint64_t unknown_ms;        /* how long "there is none" is */
    uint64_t verify_ms_max;     /* of one call-out, the connection included */
    uint64_t deliver_ms_max;    /* of one message, all its backends together */
};

/* Once per core, after backends_open and before backends_close. The options outlive it. 0 or
 * -errno. */
int relay_open(struct core *core, const struct relay_options *options);
/* From now on these; what is known stays. */
void relay_adopt(struct core *core, const struct relay_options *options);
void relay_close(struct core *core);

/* Who hands in the mail: slices live as long as the call. */
struct relay_sender {
    struct backend_client client;
    bool (*gone)(void *argument); /* asked now and then, before the message's end is sent: nobody
                                     waits any more; may be NULL */
    void *argument;
};

struct relay_recipient {
    const struct backend_pool *pool;
    struct slice user;       /* canonical local@domain: chooses the backend */
    struct slice address;    /* as RCPT is to name it, sub-address and all: local@domain */
    struct slice attributes; /* of his directory, as backend_request has them; may be empty */
    /* DSN (RFC 3461), for backends that take it: */
    struct slice orcpt;  /* type;xtext; may be empty */
    struct slice notify; /* "NEVER", or of SUCCESS,FAILURE,DELAY; may be empty */

    int result; /* out: 0; -EACCES: no, for good; -EAGAIN: later */
    /* out: what the backend said, as one reply line without CRLF: "250 2.1.5 Saved", "550 5.1.1
     * No such user"; with our own text when it said nothing ("451 4.4.1 ..."). Always set. */
    char reply[RELAY_REPLY_BYTES_MAX + 1];
};

enum relay_body { RELAY_7BIT, RELAY_8BITMIME, RELAY_BINARYMIME };
struct relay_message {
    struct slice from;  /* reverse-path without <>; empty: the null sender */
    struct slice bytes; /* whole, trace fields included, without dots doubled */
    enum relay_body body;
    bool is_utf8;            /* SMTPUTF8 */
    bool requires_tls;       /* RFC 8689: not over a connection in clear */
    struct slice ret, envid; /* DSN: "FULL", "HDRS"; xtext; may be empty */
};

/* Fiber. Is there such a user? recipient->result and its reply are set. */
void relay_verify(struct core *core, const struct relay_sender *sender,
                  struct relay_recipient *recipient);
/* Fiber. Hands the message to all; returns when each has a result. One who is named twice has one
 * copy and two results. */
void relay_deliver(struct core *core, const struct relay_sender *sender,
                   const struct relay_message *message, struct relay_recipient *recipients,
                   unsigned count);

#endif
