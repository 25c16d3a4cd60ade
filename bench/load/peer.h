/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One connection to the measured server, as a client: opened with its TLS, read by lines, timed.
 * All functions but peer_is_open run on the worker's fiber. Those that return int give 0 or an enum
 * load_error that has been counted (measure_error) already; the connection is then closed.
 */
#ifndef RINGPOST_BENCH_PEER_H
#define RINGPOST_BENCH_PEER_H

#include "measure.h"

enum { PEER_LINE_BYTES_MAX = 65000, PEER_TEXT_BYTES_MAX = 1024 };

/* Zero-initialised; embedded in its worker. Lives until peer_close has returned. */
struct peer {
    struct stream stream;
    struct load_core *at;
    const struct load_endpoint *endpoint;
    bool is_open;
    uint32_t capabilities;       /* the protocol's own bits, learned from EHLO, CAPA, CAPABILITY */
    uint32_t tag;                /* IMAP: of the last command */
    uint64_t began_ns;           /* of the command whose answer is awaited */
    struct tls_session *session; /* to resume; kept over closing */
    /* While the connection idles without a fiber: called in the core's turn when something came. */
    void (*idle_input)(struct peer *peer);
};

/* Connects (PHASE_CONNECT), and shakes hands when TLS is implicit (PHASE_TLS). `number` chooses the
 * source address when options->sources is set. */
int peer_open(struct peer *peer, struct load_worker *worker, enum load_protocol protocol,
              unsigned number);
/* The handshake behind STARTTLS or STLS. */
int peer_secure(struct peer *peer, struct load_worker *worker);
bool peer_is_open(const struct peer *peer);
void peer_close(struct peer *peer);  /* politely for TCP and TLS; nothing is said */
void peer_forget(struct peer *peer); /* also the TLS session: before the worker ends */

/* Queues; nothing can fail before an answer is read. */
void peer_write(struct peer *peer, struct slice bytes);
void peer_printf(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sends from where the bytes lie, and returns when they are sent: for large bodies. */
int peer_send(struct peer *peer, struct slice bytes);
/* The time from which the next answer is measured: now. */
void peer_begin(struct peer *peer);
/* The next line without its CRLF (a bare LF is an end too: LOAD_NONSENSE), valid until the next
 * reading call. */
int peer_line(struct peer *peer, struct slice *ret_line);
/* The next `size` bytes, in pieces, to `each` (may be NULL: skipped). */
int peer_bytes(struct peer *peer, uint64_t size, void (*each)(void *argument, struct slice piece),
               void *argument);
/* For answers that are errors: counts and closes. Returns error. */
int peer_fail(struct peer *peer, enum load_error error, struct slice said);

#endif
