/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Joined streams: what one receives the other sends, from where it was received.
 *
 *   from->input ─▶ [lent 17] ─▶ [lent 4]        at the end of the turn, when to's output is empty:
 *        └── join_pass ──▶ to->passage ─▶ one sendmsg of all pieces that does not wait
 *                              ├ all taken ─▶ buffers home, the next pieces
 *                              └ not all ─▶ STUCK: the rest is copied to memory of its own, sent
 *                                           by sends that wait; from->input grows until N3
 *   with TLS on `to`:  from->input ─▶ tls_seal_bytes ─▶ to->output, while that is below its bound
 *
 * A peer that does not read so holds memory of ours of a bounded size, but no receive buffer, which
 * would be every session's. Waiting a while for its socket before copying gains nothing that could
 * be measured (bench/join, 7 runs each of 0, 10 ms and at once: the runs overlap).
 *
 * A stream on which much comes receives in bulk: into larger buffers, one receive at a time, and
 * the next only when the other has been handed what came. Medians of row proxy-1m cost a tenth to a
 * fifth less CPU so: there are fewer operations, the few bulk buffers stay in the CPU's cache, and
 * no receive has to be stopped. Larger ones gained nothing more, and neither did gathering for 100
 * us. Small receives in a row end it, and so does a lack of bulk buffers.
 *
 * Receiving stops (N3) at STREAM_INPUT_BYTES_MAX only once the other has stalled; before that at
 * JOINED_BYTES_MAX, because one turn may bring more than it sends, and stopping costs two
 * operations.
 *
 * Invariants:
 *   J1 What is being sent belongs to the stream that sends it, never to the one it came from:
 *      either may be closed, and released, at any moment.
 *   J2 A passage is taken when nothing else is queued or in flight, and is sent before all that is
 *      queued later.
 *   J3 to->joined is NULL, or to->joined->joined is `to`.
 *   J4 No lent buffer is in a send that waits; nor does one lie unsent for a peer that has taken
 *      nothing for STALLED_NS, or while buffers are short, as seen in the turns that there are.
 *      Unless memory is out.
 */
#include "net_private.h"
#include "ringpost/tls.h"

#include <stdlib.h>

enum {
    STUCK_BYTES = 32768,  /* of one send that waits: its end shows that the peer still reads */
    SEALED_BYTES = 32768, /* whole records */
};
static const uint64_t STALLED_NS = UINT64_C(10000000); /* without taking anything */

static void begin(struct stream *stream, struct stream *other,
                  const struct stream_observer *observer)
{
    assert(stream->reader == NULL && stream->sender == NULL && stream->users == 0);
    assert(!(stream->state & (JOINED | READING | DIRECT | SEND_OWNED | MOVING)));
    stream_line_drop(stream);
    stream_wipe(stream, false);
    stream->state &= ~(unsigned)(WANT_DIRECT | DISCARDING | PAUSED | PEEKED);
    stream->state |= JOINED;
    stream->observer = observer;
    stream->joined = other;
    stream_attend(stream);
    stream_pump(stream);
}

void stream_join(struct stream *a, struct stream *b, const struct stream_observer *observer)
{
    assert(a != b && a->core == b->core);
    bool is_whole = !((a->state | b->state) & CLOSING);
    begin(a, is_whole ? b : NULL, observer);
    begin(b, is_whole ? a : NULL, observer);
}

bool stream_is_joined(const struct stream *stream)
{
    return stream->state & JOINED;
}

bool stream_is_at_rest(const struct stream *stream)
{
    return (stream->joined == NULL || stream->joined->input == NULL) && !output_is_busy(stream);
}

uint64_t stream_heard_ns(const struct stream *stream)
{
    return stream->heard_ns;
}

uint64_t stream_stalled_ns(const struct stream *stream)
{
    return stream->stalled_ns;
}

/* ---------------------------------------------------------------- a passage */

static void first_free(struct stream *stream)
{
    struct stream_input *first = stream->passage->pieces;
    stream->passage->pieces = first->next;
    input_piece_free(stream, first);
}

void passage_free(struct stream *stream)
{
    assert(!op_busy(&stream->send) && "J1");
    while (stream->passage->pieces != NULL)
        first_free(stream);
    passage_give(net_of(stream), stream->passage);
    stream->passage = NULL;
    stream->state &= ~(unsigned)STUCK;
}

static bool passage_is_lent(const struct net_passage *passage)
{
    for (const struct stream_input *piece = passage->pieces; piece != NULL; piece = piece->next)
        if (piece->buffer >= 0)
            return true;
    return false;
}

/* Out of the receive buffers (J4). Without memory for it they stay lent. */
static void passage_settle(struct stream *stream)
{
    struct net_passage *passage = stream->passage;
    char *data = passage_is_lent(passage) ? malloc(passage->size) : NULL;
    struct stream_input *settled = data != NULL ? piece_take(net_of(stream)) : NULL;
    if (settled == NULL) {
        free(data);
        return;
    }
    uint32_t size = 0;
    while (passage->pieces != NULL) {
        const struct stream_input *piece = passage->pieces;
        memcpy(data + size, piece->data + piece->start, piece->end - piece->start);
        size += piece->end - piece->start;
        first_free(stream);
    }
    *settled = (struct stream_input){.data = data, .end = size, .capacity = size, .buffer = -1};
    passage->pieces = settled;
}

void passage_send(struct stream *stream)
{
    struct net_passage *passage = stream->passage;
    bool is_stuck = stream->state & STUCK;
    stream->send.done = output_sent;
    if (is_stuck && !passage_is_lent(passage)) {
        const struct stream_input *piece = passage->pieces;
        size_t size = piece->end - piece->start;
        op_send(stream->core, &stream->send, (unsigned)stream->slot, piece->data + piece->start,
                size < STUCK_BYTES ? size : STUCK_BYTES);
        return;
    }
    passage->message = (struct msghdr){.msg_iov = passage->places};
    for (struct stream_input *piece = passage->pieces; piece != NULL; piece = piece->next)
        passage->places[passage->message.msg_iovlen++] =
            (struct iovec){piece->data + piece->start, piece->end - piece->start};
    if (is_stuck)
        op_sendmsg(stream->core, &stream->send, (unsigned)stream->slot, &passage->message);
    else
        op_sendmsg_now(stream->core, &stream->send, (unsigned)stream->slot, &passage->message);
}

/* A send of it is done. */
void passage_sent(struct stream *stream, int result)
{
    struct net_passage *passage = stream->passage;
    size_t left = result > 0 ? (size_t)result : 0;
    passage->size -= left;
    while (left > 0) {
        struct stream_input *first = passage->pieces;
        size_t size = first->end - first->start;
        if (left < size) {
            first->start += (uint32_t)left;
            break;
        }
        left -= size;
        first_free(stream);
    }
    if (passage->pieces == NULL) {
        passage_free(stream);
        return;
    }
    stream->state |= STUCK;
    if (!(stream->state & OUTPUT_FAILED))
        passage_settle(stream);
}

/* ---------------------------------------------------------------- from one to the other */

static void observe(struct stream *from, struct slice bytes)
{
    if (from->observer != NULL)
        from->observer->passes(from, bytes);
}

static void pass_in_clear(struct stream *from, struct stream *to)
{
    if (output_is_busy(to))
        return;
    struct net_passage *passage = passage_take(net_of(to));
    if (passage == NULL) {
        output_fail(to, -ENOMEM);
        return;
    }
    passage->pieces = from->input;
    passage->size = 0;
    struct stream_input **end = &from->input;
    for (unsigned i = 0; i < PASSAGE_PIECES && *end != NULL; i++) {
        const struct stream_input *piece = *end;
        struct slice bytes = slice_of(piece->data + piece->start, piece->end - piece->start);
        observe(from, bytes);
        passage->size += bytes.size;
        end = &(*end)->next;
    }
    from->input = *end;
    *end = NULL;
    to->passage = passage;
}

static void pass_sealed(struct stream *from, struct stream *to)
{
    while (from->input != NULL && to->output_bytes < STREAM_OUTPUT_BYTES_MAX) {
        const struct stream_input *piece = from->input;
        struct slice bytes = slice_first(
            slice_of(piece->data + piece->start, piece->end - piece->start), SEALED_BYTES);
        observe(from, bytes);
        if (tls_seal_bytes(to, bytes) < 0) /* it has failed its output by itself */
            return;
        input_drop(from, bytes.size);
    }
}

static bool takes_nothing(const struct stream *to)
{
    return to == NULL || (to->state & OUTPUT_FAILED) || (to->tls != NULL && !stream_is_secure(to));
}

static void bulk_begin(struct stream *stream)
{
    stream->state |= WANT_BULK;
    stream->small_receives = 0;
}

void join_bulk_came(struct stream *stream, size_t size)
{
    stream->small_receives = size <= SMALL_BYTES ? stream->small_receives + 1 : 0;
    if (stream->small_receives == BULK_SMALL_MAX)
        stream->state &= ~(unsigned)WANT_BULK;
}

void join_pass(struct stream *stream)
{
    struct stream *to = stream->joined;
    bool is_much = stream->tls == NULL && input_size(stream) >= BULK_FROM_BYTES;
    if (is_much && !(stream->state & WANT_BULK))
        bulk_begin(stream);
    if (stream->input != NULL && !takes_nothing(to)) {
        if (to->tls != NULL)
            pass_sealed(stream, to);
        else
            pass_in_clear(stream, to);
        output_kick(to);
        join_note(to);
    }
    if (takes_nothing(to))
        input_drop(stream, input_size(stream));
}

bool join_is_stalled(const struct stream *stream)
{
    const struct stream *to = stream->joined;
    if (to == NULL || to->stalled_ns == 0)
        return false;
    return core_now_ns(to->core) - to->stalled_ns >= STALLED_NS;
}

/* N3: much may be received ahead of a peer that takes it, not of one that does not. */
size_t join_unread_max(const struct stream *stream)
{
    bool is_short = join_is_stalled(stream) || buffer_pressure(stream->core);
    return is_short ? (size_t)STREAM_INPUT_BYTES_MAX : (size_t)JOINED_BYTES_MAX;
}

void join_note(struct stream *stream)
{
    if ((stream->state & OUTPUT_FAILED) || stream_is_at_rest(stream))
        stream->stalled_ns = 0;
    else if (stream->stalled_ns == 0)
        stream->stalled_ns = core_now_ns(stream->core);
}

void join_sent(struct stream *stream, bool has_taken)
{
    if (has_taken)
        stream->stalled_ns = 0;
    stream_attend(stream); /* join_note */
    if (stream->joined != NULL)
        stream_attend(stream->joined); /* the next pieces, or their end */
}

/* ---------------------------------------------------------------- the end */

/* All that its connection brought is with the other; or nobody waits for that. */
static bool is_over(const struct stream *stream)
{
    const struct stream *to = stream->joined;
    if (stream->end == 0 || stream->end != stream->peer_end)
        return stream->end != 0;
    return takes_nothing(to) || stream_is_at_rest(to);
}

void join_tell(struct stream *stream)
{
    if (stream->state & (CLOSING | TOLD))
        return;
    if (!(stream->state & OUTPUT_FAILED) && !is_over(stream))
        return;
    stream->state |= TOLD;
    stream->owner->input(stream);
}

void join_part(struct stream *stream)
{
    struct stream *other = stream->joined;
    stream->joined = NULL;
    input_drop(stream, input_size(stream));
    if (other == NULL)
        return;
    assert(other->joined == stream && "J3");
    other->joined = NULL;
    stream_attend(other); /* drops what it holds; and its end may now be told */
}
