/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared by the files of net: what a core keeps for its streams, the states of a stream, the queue
 * of unread bytes.
 */
#ifndef RINGPOST_NET_PRIVATE_H
#define RINGPOST_NET_PRIVATE_H

#include <assert.h>

#include "ringpost/kernel.h"
#include "ringpost/stream.h"

enum {
    BLOCK_BYTES = 4096 - 24,    /* a pooled block: short lines, short replies */
    BLOCKS_KEPT = 256,          /* per core */
    PIECES_KEPT = 256,          /* per core */
    SMALL_BYTES = 4096,         /* cheaper to copy than to hold a receive buffer for */
    DIRECT_BYTES_MIN = 65536,   /* smallest receive straight into the reader's memory */
    DIRECT_BYTES_MAX = 1048576, /* largest, so that a deadline can see progress */
    BULK_BYTES_MIN = 262144,    /* switching to direct receives pays only past this (measured) */
    SEND_BYTES_MAX = 1048576,   /* of one sendmsg */
    PASSAGE_PIECES = 8,         /* received pieces of one sendmsg */
    PASSAGES_KEPT = 64,         /* per core */
    JOINED_BYTES_MAX = 131072,  /* unread, of a joined stream while the other takes them */
    BULK_FROM_BYTES = 65536,    /* in one turn on a joined stream: more will come */
    BULK_SMALL_MAX = 4,         /* receives of SMALL_BYTES in a row: no more will */
};
static const uint64_t LINGER_NS = UINT64_C(5000000000);

/* Bits of stream->state. */
enum {
    READING = 1 << 0,     /* a fiber is waiting in a reading call (or is about to run on from it) */
    CANCELLED = 1 << 1,   /* the receive in flight has been cancelled */
    WANT_DIRECT = 1 << 2, /* no multishot: the reader receives into its own memory */
    DIRECT = 1 << 3,      /* the receive in flight is into the reader's memory */
    DISCARDING = 1 << 4,  /* of an over-long line, up to its LF */
    PAUSED = 1 << 5,      /* N3 */
    PEEKED = 1 << 6,      /* the reader knows the address of the first piece: it must stay */
    HEAD_SENDING = 1 << 7,  /* the first output block is being sent: it must stay */
    SEND_OWNED = 1 << 8,    /* a fiber is inside stream_send: the queue waits */
    OUTPUT_FAILED = 1 << 9, /* output is dropped */
    SEND_CANCELLED = 1 << 10,
    ATTENDED = 1 << 11, /* in net->attended */
    CLOSING = 1 << 12,
    MOVING = 1 << 13,
    WIPES = 1 << 14,      /* consumed input and sent output are wiped */
    WIPES_LINE = 1 << 15, /* and so is the line last read, this once */
    JOINED = 1 << 16,     /* stream_join was called; stays, also when the other is gone */
    TOLD = 1 << 17,       /* the owner of a joined stream knows of its end */
    STUCK = 1 << 18,      /* the socket did not take all of the passage at once */
    WANT_BULK = 1 << 19,  /* no multishot: one receive at a time, into a bulk buffer */
    BULK = 1 << 20,       /* the receive in flight, or the last one, is such a one */
};

/* A piece of unread input: in a lent receive buffer, or in memory of its own (buffer < 0). */
struct stream_input {
    struct stream_input *next;
    char *data;
    uint32_t start, end, capacity; /* unread: data[start .. end) */
    int32_t buffer;
};

/* A piece of queued output, or the line last read. */
struct net_block {
    struct net_block *next;
    uint32_t start, end, capacity;
    uint32_t is_sealed; /* goes out as it is; of use when the stream has TLS only (tls.c) */
    char data[];
};

/* Pieces taken from the input of one stream, in the output of the stream it is joined with. */
struct net_passage {
    struct net_passage *next;    /* in the pool */
    struct stream_input *pieces; /* oldest first, never none */
    size_t size;
    struct msghdr message;
    struct iovec places[PASSAGE_PIECES];
};

struct net {
    struct core *core;
    struct hook hook;
    struct stream *attended, **attended_end;
    struct stream_input *pieces;
    struct net_block *blocks;
    struct net_passage *passages;
    unsigned pieces_kept, blocks_kept, passages_kept;
    struct arrival *arrival; /* while listener's `accepted` runs: the one being taken */
    struct tls_context *tls; /* for new connections; NULL: none */
};

static inline struct net *net_of(const struct stream *stream)
{
    struct net *net = core_local(stream->core, CORE_LOCAL_NET);
    assert(net != NULL && "net_open must be called on each core first");
    return net;
}

/* net.c */
struct net_block *block_take(struct net *net, size_t capacity); /* NULL: no memory */
void block_give(struct net *net, struct net_block *block);
struct net_passage *passage_take(struct net *net); /* NULL: no memory */
void passage_give(struct net *net, struct net_passage *passage);
struct stream_input *piece_take(struct net *net);
void piece_give(struct net *net, struct stream_input *piece);
void stream_attend(struct stream *stream); /* at the end of this turn, stream_attended is called */
void stream_attend_later(struct stream *stream); /* of whatever turn comes next */

/* input.c */
int input_append(struct stream *stream, char *data, uint32_t size, unsigned buffer);
/* Makes the newest bytes longer by `size`; where to put them, or NULL: no memory. */
char *input_extend(struct stream *stream, uint32_t size);
int input_prepend(struct stream *stream, struct slice bytes);
size_t input_size(const struct stream *stream);
bool input_find_line(struct stream *stream, size_t *ret_lf); /* index of the first LF */
size_t input_copy(const struct stream *stream, char *to, size_t size);
void input_drop(struct stream *stream, size_t size);
void input_piece_free(struct stream *stream, struct stream_input *piece);
bool input_is_lent(const struct stream *stream);
int input_settle(struct stream *stream); /* out of the receive buffers, into a block of its own */

/* stream.c */
void stream_pump(struct stream *stream);
void stream_attended(struct stream *stream);
void stream_notify(struct stream *stream);
void stream_ended(struct stream *stream, int reason); /* by the connection, for good */
void stream_receive_done(struct op *op, int result, unsigned flags);
void stream_deadline_fire(struct timer *timer);
void stream_line_drop(struct stream *stream);

/* read.c */
int stream_input_end(const struct stream *stream); /* why a reading call must return, or 0 */
void stream_input_wait(struct stream *stream);     /* on a fiber: until stream_notify */

/* write.c */
void output_kick(struct stream *stream);
void output_sent(struct op *op, int result, unsigned flags); /* of a send of the queue */
void output_fail(struct stream *stream, int reason);
void output_free(struct stream *stream);
static inline bool output_is_busy(const struct stream *stream)
{
    return stream->output != NULL || stream->passage != NULL || op_busy(&stream->send);
}

/* Puts bytes behind the sealed blocks and before those still to be sealed, in a block of at least
 * `wanted` bytes when a new one is needed. */
bool output_append_sealed(struct stream *stream, struct slice bytes, size_t wanted);
/* The first block that is not sealed, taken out of the queue; NULL when there is none. */
struct net_block *output_take_plain(struct stream *stream);
void output_block_give(struct stream *stream, struct net_block *block); /* wiped: I4 */

/* join.c */
void join_pass(
    struct stream *stream); /* its input to the other's output, as far as that takes it */
void join_note(struct stream *stream); /* whether output waits, from when on */
void join_tell(struct stream *stream); /* the owner, when it is time: the last act with it */
void join_sent(struct stream *stream, bool has_taken); /* a send of a joined stream is done */
void join_part(struct stream *stream);
void join_bulk_came(struct stream *stream, size_t size); /* one receive in bulk */
bool join_is_stalled(const struct stream *stream);       /* what it holds waits for a peer */
size_t join_unread_max(const struct stream *stream);     /* N3 */
void passage_send(struct stream *stream);
void passage_sent(struct stream *stream, int result);
void passage_free(struct stream *stream); /* not while it is being sent */

/* tls.c */
void tls_receive(struct stream *stream, const char *data, size_t size);
void tls_attended(struct stream *stream);
bool tls_wants_bytes(const struct stream *stream);
void tls_seal(struct stream *stream); /* what is queued, as far as it may be sent */
/* Seals `bytes` behind everything; 0 or -errno. */
int tls_seal_bytes(struct stream *stream, struct slice bytes);
void tls_free(struct stream *stream);

/* tls_context.c */
void tls_net_close(struct net *net);

/* move.c */
bool stream_move_ready(const struct stream *stream);
void stream_hand_over(struct stream *stream);

/* listener.c */
void listener_taken(struct stream *stream, unsigned slot);
void listener_left(struct stream *stream);

#endif
