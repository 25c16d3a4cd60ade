/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A backend of LMTP that plays a script behind LHLO, and one transaction with it. A script is
 * lines:
 *
 *   > text   is sent, with CRLF      < text   must come, with CRLF; a '*' at its end: begins so
 *   + text   is sent, without        quiet    nothing more may have come by now
 *   data     lines up to the dot     bdat     BDAT n LAST, and as many bytes
 *   take n   so many bytes           slow     from here on it reads a piece now and then
 *   close    the end                 stall    it neither reads nor says anything more
 *   nap      it rests a fifth of a second
 *
 * "\r", "\n", "\0" in a text are what C makes of them. At the script's end it takes, and keeps the
 * beginning of, whatever comes until the other side closes.
 */
#ifndef RINGPOST_TESTS_TRANSFER_PEER_H
#define RINGPOST_TESTS_TRANSFER_PEER_H

#include "../../src/relay/relay_private.h"
#include "harness.h"

enum { PEER_RECIPIENTS = 4, PEER_RECIPIENTS_MAX = 400 };

struct lmtp_peer {
    size_t cut;                        /* after so many bytes of the answers a pause; 0: none */
    unsigned at;                       /* an answer, from 1; 0: none */
    const char *instead;               /* lines of a script, in its place */
    const char *before;                /* the same, in front of it, in one write */
    void (*begin)(void), (*end)(void); /* around the transaction itself; NULL: nothing */
    /* what was seen */
    unsigned answers, sessions, accepted;
    size_t answer_bytes;
    bool has_message, is_over;
    uint64_t ms; /* of the transaction */
    char *got;   /* the message, decoded */
    size_t got_size;
    char behind[200];
    size_t behind_size;
    char problem[400]; /* what came instead of what should; "" */
};
extern struct lmtp_peer peer;

/* A transaction, and what is to become of it. */
struct peer_case {
    const char *offers, *script;
    const char *address[PEER_RECIPIENTS]; /* NULL: u0@example.com ... */
    unsigned count;                       /* 0: those with an address, or 1 */
    struct relay_message message;         /* bytes.data NULL: a short one */
    const char *orcpt, *notify;
    bool is_null_sender, asks, without_message; /* it is not to be received */
    bool waits;                                 /* before it begins */
    uint64_t wait_ms;                           /* 0: 5000 */
    bool (*gone)(void *argument);
    /* results: those given, others as the last one */
    int result;
    const char *problem;
    bool is_sent, may_come_twice;
    int results[PEER_RECIPIENTS];
    const char *replies[PEER_RECIPIENTS]; /* the beginning; NULL: not looked at */
};
struct peer_result {
    int result;
    struct transfer transfer;
    bool is_sent;
    uint64_t ms;
    struct relay_recipient recipients[PEER_RECIPIENTS_MAX];
    unsigned count;
};

/* Fiber. */
void peer_transfer(struct core *core, const struct peer_case *one, struct peer_result *result);
/* And compares with what was wanted; the message must have come as it is. */
void peer_check(struct core *core, const struct peer_case *one);
/* Runs body(core) with the peer listening. */
void peer_run(void (*body)(struct core *core));

#endif
