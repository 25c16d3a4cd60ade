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

/* What the peers of a core share: embedded in load_core, zero-initialised. */
struct peer_core {
    struct tls_client *tls; /* made when a peer first needs it */
    struct fiber_lock making;
};
struct peer_core *load_peers(struct load_core *at); /* run.c */
void peer_core_close(struct peer_core *shared);     /* when the core's last peer is closed */

/* Zero-initialised; embedded in its worker. Lives until peer_close has returned. */
struct peer {
    struct stream stream;
    struct load_core *at;
    const struct load_options *options;
    const struct load_endpoint *endpoint;
    struct fiber *closer; /* waits in peer_close */
    bool is_open, is_released;
    bool is_new;           /* nothing was read yet: the next line is the greeting */
    uint32_t capabilities; /* the protocol's own bits, learned from EHLO, CAPA, CAPABILITY */
    uint32_t tag;          /* IMAP: of the last command */
    uint64_t began_ns;     /* of the command whose answer is awaited */
    uint64_t counted_in, counted_out; /* bytes told to measure_bytes */
    struct tls_session *session;      /* to resume; kept over closing */
    /* While the connection idles without a fiber (peer_rest): called in the core's turn when
     * something came, or the end. */
    void (*idle_input)(struct peer *peer);
};

/* Connects (PHASE_CONNECT), and shakes hands when TLS is implicit (PHASE_TLS). `number` chooses the
 * source address when options->sources is set. Then peer_begin holds for the greeting: read it and
 * record PHASE_GREETING from began_ns. */
int peer_open(struct peer *peer, struct load_worker *worker, enum load_protocol protocol,
              unsigned number);
/* The handshake behind STARTTLS or STLS. */
int peer_secure(struct peer *peer, struct load_worker *worker);
/* Opened and not closed yet; the server may have gone meanwhile (peer_has_ended). */
bool peer_is_open(const struct peer *peer);
/* The server has closed, or the connection has failed: what it said before may still be unread. */
bool peer_has_ended(const struct peer *peer);
void peer_close(struct peer *peer);  /* politely for TCP and TLS; nothing is said */
void peer_forget(struct peer *peer); /* also the TLS session: before the worker ends */

/* Queues; nothing can fail before an answer is read. What is queued leaves in one send at the end
 * of the core's turn, that is, when the fiber next waits. */
void peer_write(struct peer *peer, struct slice bytes);
void peer_printf(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sends from where the bytes lie, with what is queued before them, and returns when they are sent:
 * for large bodies. */
int peer_send(struct peer *peer, struct slice bytes);
/* The time from which the next answer is measured: now. The deadline is options->timeout_ns from
 * here (an eighth more at most: it is not set anew each time). */
void peer_begin(struct peer *peer);
/* The next line without its CRLF (a bare LF is an end too: LOAD_NONSENSE), valid until the next
 * reading call. */
int peer_line(struct peer *peer, struct slice *ret_line);
/* A whole line is there, peer_line does not wait. Both are callable outside fibers then; an error
 * leaves the connection to be closed by a fiber. */
bool peer_line_ready(struct peer *peer);
/* The next `size` bytes, in pieces, to `each` (may be NULL: skipped). While bytes come the deadline
 * moves on. */
int peer_bytes(struct peer *peer, uint64_t size, void (*each)(void *argument, struct slice piece),
               void *argument);
/* What came last is given up and no answer is awaited: an idle connection holds no memory but this
 * struct (and its TLS). */
void peer_rest(struct peer *peer);
/* For answers that are errors: counts and closes. Returns error. */
int peer_fail(struct peer *peer, enum load_error error, struct slice said);
/* Why a reading call of stream.h failed, as an error. */
enum load_error peer_error(int result);

#endif
