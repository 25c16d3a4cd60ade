/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A stream is one client connection: bytes in, bytes out, one core at a time; in clear, or under
 * TLS (tls.h) by the same calls. Embedded in its session; an idle stream owns a direct descriptor,
 * an armed receive and its TLS state, nothing else: no buffer, no fiber.
 *
 *   accept ──▶ OPEN ──(peer closes, error, deadline)──▶ input ends with a reason ──stream_close──▶
 * CLOSED (released())
 *
 * Input: received bytes lie in lent receive buffers; a line that crosses buffers, and what is left
 * when the session goes idle, is moved to a small block of its own so that no lent buffer is held
 * between commands. Output: stream_write copies into one queue, flushed by a single send at the end
 * of the turn, or when it passes STREAM_OUTPUT_BYTES_MAX (the writing fiber then waits:
 * back-pressure).
 *
 * Invariants:
 *   N1 released() runs exactly once, when no op of the stream is in flight and the descriptor is
 *      closed.
 *   N2 Reading calls are made by one fiber at a time.
 *   N3 When STREAM_INPUT_BYTES_MAX unread bytes are held at the end of a turn, and no fiber waits
 *      for more, receiving stops until half of them are consumed.
 *   N4 A fiber inside a call of this contract keeps the stream: released() waits until it has left.
 *      What the fiber does then is the owner's to know: a session whose fiber may still run does
 *      not free itself in released().
 */
#ifndef RINGPOST_STREAM_H
#define RINGPOST_STREAM_H

#include "ringpost/core.h"

enum {
    STREAM_INPUT_BYTES_MAX = 65536,
    STREAM_OUTPUT_BYTES_MAX = 65536,
    STREAM_LINE_BYTES_MAX = 65536 /* stream_read_line's largest max_size */
};

struct stream;
struct net_block; /* private to net, and so are the next two */
struct net_passage;
struct stream_tls;
struct stream_observer;
struct listener;

/* Once per core, on its thread, before any listener or stream; and after the last, before
 * core_close. 0 or -errno. */
int net_open(struct core *core);
void net_close(struct core *core);

struct stream_owner {
    /* Bytes (or the end) have come and no fiber is waiting in a reading call. Runs in the core's
     * turn. */
    void (*input)(struct stream *stream);
    /* The stream is closed and owns nothing: free its session here. */
    void (*released)(struct stream *stream);
    /* After stream_move: the stream now lives on `stream->core`. Runs there, outside fibers. Input
     * that came before or on the way is unread, and `end` may be set: look, as in `input`. */
    void (*moved)(struct stream *stream);
    /* The TLS handshake that stream_secure began is done. Runs in the core's turn, outside fibers.
     */
    void (*secured)(struct stream *stream);
};

struct stream {
    struct core *core;
    const struct stream_owner *owner;
    struct stream_input *input; /* unread bytes, oldest first; NULL when there are none */
    struct net_block *output;   /* queued bytes; NULL when there are none */
    struct net_block *line;     /* holds the last line read */
    struct stream_tls *tls;     /* private to net; NULL: in clear */
    struct fiber *reader;       /* the fiber waiting for input */
    struct fiber *sender;       /* the fiber inside stream_send */
    struct waiters writers;     /* fibers waiting for the queue to drain */
    struct listener *listener;  /* that counts this stream, or NULL */
    struct stream *joined;      /* where input goes and output comes from; NULL: nowhere */
    const struct stream_observer *observer;
    struct net_passage *passage; /* what the other received, being sent; NULL: nothing */
    struct stream *attended;     /* next of those that the end of the turn looks at */
    struct op receive, send, control;
    struct starved starved;
    struct timer deadline;
    int32_t slot;         /* direct descriptor; -1 when closed */
    int32_t end;          /* 0, or why input ended: -EPIPE (peer closed), -ECONNRESET, -ETIMEDOUT,
                             -ECANCELED, ... */
    int32_t peer_end;     /* the same, of the connection itself: what stream_resume falls back to */
    int32_t output_error; /* why output failed */
    int32_t receive_result, send_result;
    uint32_t state; /* private to net */
    uint32_t scanned, output_bytes, bulk_bytes, users;
    uint64_t bytes_in, bytes_out;
    uint64_t heard_ns, stalled_ns; /* see below */
    uint8_t peer[16];
    uint16_t peer_port;
    uint8_t peer_family;    /* 4, 6, 0 (unknown) or 1 (unix) */
    uint8_t small_receives; /* in a row, of a joined stream that receives in bulk */
};

/* A listening socket on every core. `accepted` is called on the core with the new slot: it must
 * make a session and call stream_open, or return false (out of memory, limit reached): the
 * connection is then closed with `refusal` sent. */
struct listener_options {
    const char *address; /* numeric, or the path of a Unix socket with port 0; lives as long as the
                            listener, and so does refusal */
    unsigned port;
    unsigned mode;            /* of a Unix socket's file */
    unsigned connections_max; /* per core */
    struct slice refusal;     /* for example "421 ...\r\n" */
    bool (*accepted)(struct core *core, unsigned slot, void *argument);
    void *argument;
};
/* Binds (retrying for up to 5 s when the address is in use). With Unix sockets only core 0 accepts.
 * 0 or -errno. Fiber. */
int listener_open(struct core *core, const struct listener_options *options,
                  struct listener **ret_listener);
/* Stops accepting; established streams go on. It frees itself when the last of them is gone. */
void listener_close(struct listener *listener);

/* Other settings for the connections still to come; `argument` of `accepted` stays. */
void listener_adopt(struct listener *listener, unsigned connections_max, struct slice refusal);

/* Takes over a fresh slot and arms the receive. Inside `accepted` the stream also learns its peer
 * and is counted by the listener. All of *stream is overwritten. */
void stream_open(struct stream *stream, struct core *core, unsigned slot,
                 const struct stream_owner *owner);
/* ---- going out */

/* Where to connect to, and from where. */
struct stream_target {
    uint8_t family;      /* 4, 6, or 1: a Unix socket */
    uint8_t address[16]; /* 4 or 16 bytes of it */
    uint16_t port;
    const char *path;   /* of the Unix socket */
    uint8_t source[16]; /* a source address of the same family (its port is chosen late, so that
                           many may share it); all zero: the kernel chooses */
    bool keeps_alive;   /* a peer that has gone without a word is noticed (kernel.h) */
};
/* Connects. The stream is then as after stream_open, with `target` as its peer. Waits on its fiber
 * until deadline_ns (core_now_ns time; 0: as long as the kernel tries). 0; -ECONNREFUSED,
 * -ETIMEDOUT, -EADDRNOTAVAIL, -ENFILE (no slot left) ...: then nothing of it is left, and
 * released() is not called. All of *stream is overwritten. The engine must have been made with
 * `connects`. */
int stream_connect(struct stream *stream, struct core *core, const struct stream_target *target,
                   uint64_t deadline_ns, const struct stream_owner *owner);

/* "192.0.2.1", "2001:db8::1" or "unix" into text (48 bytes), and the port. */
void stream_peer(struct stream *stream, char *text, uint16_t *ret_port);
/* Replaces the peer's address (PROXY protocol). family is 4 or 6, address 4 or 16 bytes. */
void stream_peer_set(struct stream *stream, unsigned family, const void *address, uint16_t port);

/* ---- reading (on a fiber). All return -errno at the end of input (stream->end). */

/* Is there something for stream_read_line: a whole line (ended by LF), the end, or more than a
 * stream holds without a reader? For deciding whether to start a fiber; counts as a reading call
 * (the last line read is given up). */
bool stream_line_ready(struct stream *stream);
/* Unread bytes, whatever they are. */
size_t stream_unread(const struct stream *stream);
/* A line ended by CRLF; *ret_line excludes the CRLF and is valid until the next reading call. Waits
 * for it.
 *
 *   -EMSGSIZE  longer than max_size: discarded up to and including its LF, without buffering it
 *   -EBADMSG   ended by a bare LF, or holds a bare CR: consumed likewise; *ret_line is what it was
 *
 * What the peer sent before it closed (-EPIPE) is read first; all other ends are told at once. */
int stream_read_line(struct stream *stream, size_t max_size, struct slice *ret_line);
/* Up to 64 KiB of contiguous unread bytes, waiting until there is at least one. Consume them with
 * stream_consume; they stay where they are until then or the next reading call, also while the
 * fiber waits for something else. */
int stream_peek(struct stream *stream, struct slice *ret_bytes);
void stream_consume(struct stream *stream, size_t size);
/* Puts bytes back in front of what is unread (read past the end of a message by stream_read_some).
 * 0 or -ENOMEM. */
int stream_unread_bytes(struct stream *stream, struct slice bytes);
/* Exactly `size` bytes into `data`. Large remainders are received straight into `data` with no
 * copy. */
int stream_read_exact(struct stream *stream, void *data, size_t size);
/* Up to `size` bytes (at least one), like stream_peek+copy, but received straight into `data` once
 * what is buffered is used up, size is at least 64 KiB and 256 KiB have come since the last line.
 * Returns the count (> 0) or -errno. The stream receives into buffers again at the next other
 * reading call. */
int stream_read_some(struct stream *stream, void *data, size_t size);

/* While set, what is read is wiped where it lay (receive buffer, block, line) as soon as it is
 * consumed, and what is written as soon as it is sent: for as long as a password may come or go.
 * The last line is wiped too when it ends. */
void stream_wipe(struct stream *stream, bool wipes);

/* ---- writing. Never fails by itself: after an error the bytes are dropped and stream->end tells.
 * A fiber that waits in a writing call when the deadline fires is woken too: then output has failed
 * for good with -ETIMEDOUT. */

/* Copies. When the queue is full a fiber waits; outside fibers up to four times as much is taken,
 * then output fails. */
void stream_write(struct stream *stream, struct slice bytes);
void stream_printf(struct stream *stream, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Sends what is queued, then `bytes` from where they lie; returns when they are sent. On a fiber. 0
 * or -errno. */
int stream_send(struct stream *stream, struct slice bytes);
/* Waits until everything queued is sent. 0 or -errno. On a fiber. */
int stream_flush(struct stream *stream);

/* ---- deadline: one timer per stream. When it fires, input ends with -ETIMEDOUT (a waiting reader
 * is woken; otherwise owner->input is called). due_ns 0 clears it. It is never moved by received
 * bytes. */
void stream_deadline(struct stream *stream, uint64_t due_ns);
/* Ends the input as if the peer had closed, with `reason` (-ECANCELED for draining): wakes the
 * reader or calls input. */
void stream_interrupt(struct stream *stream, int reason);
/* After an interrupt or a deadline whose goodbye is to be said and input may be read again: clears
 * `end` when the connection itself is alive. */
void stream_resume(struct stream *stream);

/* Sends what is queued (for at most a few seconds), shuts down, cancels, closes; released() follows
 * in a later turn. May be called from anywhere on the stream's core, more than once. A fiber inside
 * a reading call gets -ECANCELED and must unwind; released() waits for it to leave the call (N4).
 */
void stream_close(struct stream *stream);

/* ---- joined: two streams are one pipe
 *
 * From stream_join on what comes on either goes out on the other, its unread bytes first, from
 * where it was received: no fiber, no buffer while nothing moves, back-pressure both ways (N3).
 * Clear or TLS on each side. Output that is queued already is sent first, and stream_write may
 * still be used (outside fibers): its bytes go between two received pieces. Reading calls,
 * stream_send and stream_move are over.
 *
 *   owner->input(stream)  the input of `stream` has ended (stream->end). When its connection ended,
 *                         all that came before was sent by the other; a deadline or an interrupt is
 *                         told at once. Or, with stream->output_error set, it takes no more, and
 *                         what comes for it is dropped. Once each side; again after stream_resume.
 *
 * stream_close of either lets go of the other, which stays open, joined with nothing: what comes is
 * dropped, and what was handed to its output already is sent. Both are of one core. `observer` may
 * be NULL. */
struct stream_observer {
    /* About to be sent on, in order, each byte once; in the core's turn, must not close either. */
    void (*passes)(struct stream *from, struct slice bytes);
};
/* From the core's turn or a fiber, with no call of this contract under way on either. */
void stream_join(struct stream *a, struct stream *b, const struct stream_observer *observer);
bool stream_is_joined(const struct stream *stream);
/* Nothing is on its way to this stream: what was received for it, or written, is sent. */
bool stream_is_at_rest(const struct stream *stream);
/* core_now_ns time when bytes last came in on it (or it was opened), as exact as a turn. */
uint64_t stream_heard_ns(const struct stream *stream);
/* Of a joined stream: since when it has taken nothing of what waits for it; 0: nothing waits. */
uint64_t stream_stalled_ns(const struct stream *stream);

/* Moves the stream with its unread bytes to another core: call from the core's turn or as the last
 * act of a fiber, with no reading or writing call under way. owner->moved runs on the new core;
 * when the move fails (-ENFILE there), the stream is closed on the old core. The session's memory
 * is handed over as it is; until `moved` (or `released`) nobody may touch the stream. Queued output
 * is sent first; a deadline that is set goes on there. */
void stream_move(struct stream *stream, unsigned to_core);

#endif
