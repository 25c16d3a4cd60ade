/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The life of a stream: receiving, the ways input ends, closing. Whatever happens (a completion, a
 * call, a timer) changes the stream's state and then calls stream_pump, which looks at the state
 * and queues the next operation it asks for. So completions may come in any order, and cancelling
 * what has just ended does no harm.
 *
 *   receive:  armed (multishot) ──ENOBUFS──▶ starved ──buffers home──▶ armed
 *             armed ──unwanted (N3, direct, move)──▶ cancelled ──last completion──▶ idle ──▶ armed
 *   close:    CLOSING ─▶ output sent or given up ─▶ receive cancelled ─▶ slot closed
 *             ─▶ nobody inside ─▶ released()
 *
 * Until the output is sent a closing stream goes on receiving, into nothing: a close with unread
 * bytes would reset the connection under the last reply. There is no shutdown before the close,
 * which sends the FIN just the same: the ring hands every shutdown to a worker thread.
 *
 * `control` is the one op for cancelling and closing: one at a time.
 *
 * Invariants: N1-N4 of stream.h, and
 *   S1 `receive` is multishot unless DIRECT or BULK is set; its done function is set accordingly.
 *   S2 CANCELLED is set only while `receive` is in flight, SEND_CANCELLED only while `send` is.
 */
#include "net_private.h"

#define STREAM_OF(member_pointer, member)                                                          \
    ((struct stream *)((char *)(member_pointer)-offsetof(struct stream, member)))

static bool wants_bytes(const struct stream *stream)
{
    return !(stream->state & (CLOSING | MOVING | WANT_DIRECT | DIRECT | PAUSED)) &&
           stream->peer_end == 0 && (stream->tls == NULL || tls_wants_bytes(stream));
}

static void receive_arm(struct stream *stream)
{
    stream->state &= ~(unsigned)BULK;
    if (!(stream->state & WANT_BULK)) {
        op_recv_multishot(stream->core, &stream->receive, (unsigned)stream->slot);
    } else if (stream->input == NULL) { /* else join_pass comes first */
        stream->state |= BULK;
        op_recv_bulk(stream->core, &stream->receive, (unsigned)stream->slot);
    }
}

static void starved_arm(struct starved *starved)
{
    stream_pump(STREAM_OF(starved, starved));
}

void stream_open(struct stream *stream, struct core *core, unsigned slot,
                 const struct stream_owner *owner)
{
    *stream = (struct stream){
        .core = core,
        .owner = owner,
        .slot = (int32_t)slot,
        .receive.done = stream_receive_done,
        .starved.arm = starved_arm,
        .deadline.fire = stream_deadline_fire,
        .heard_ns = core_now_ns(core),
    };
    counter_add(core_counters(core), COUNTER_CONNECTIONS_OPEN, 1);
    listener_taken(stream, slot);
    stream_pump(stream);
}

/* ---------------------------------------------------------------- how input ends */

void stream_ended(struct stream *stream, int reason)
{
    if (stream->peer_end == 0)
        stream->peer_end = reason;
    if (stream->end == 0)
        stream->end = stream->peer_end;
}

/* Tells the reader, or the owner, that there is something to see. Nothing of the stream may be
 * assumed afterwards. */
void stream_notify(struct stream *stream)
{
    if (stream->state & JOINED) {
        stream_attend(stream); /* join_tell */
    } else if (stream->reader != NULL) {
        if ((stream->state & DIRECT) && op_busy(&stream->receive))
            return; /* the operation writes to the reader's memory: its end wakes the reader */
        struct fiber *reader = stream->reader;
        stream->reader = NULL;
        fiber_wake(stream->core, reader);
    } else if (!(stream->state & (READING | CLOSING | MOVING))) {
        stream->owner->input(stream);
    }
}

void stream_interrupt(struct stream *stream, int reason)
{
    assert(reason < 0);
    if (stream->state & CLOSING)
        return;
    if (stream->end == 0 || stream->end == -EPIPE || (stream->state & JOINED))
        stream->end = reason;
    stream_pump(stream);
    stream_notify(stream);
}

void stream_resume(struct stream *stream)
{
    if (stream->state & CLOSING)
        return;
    stream->end = stream->peer_end;
    stream->state &= ~(unsigned)TOLD;
    stream_pump(stream);
    if (stream->state & JOINED)
        stream_attend(stream);
}

void stream_deadline(struct stream *stream, uint64_t due_ns)
{
    if (stream->state & CLOSING) /* the timer now bounds the closing */
        return;
    if (due_ns != 0) {
        timer_set(stream->core, &stream->deadline, due_ns);
    } else {
        timer_clear(stream->core, &stream->deadline);
        stream->deadline.due_ns = 0;
    }
}

void stream_deadline_fire(struct timer *timer)
{
    struct stream *stream = STREAM_OF(timer, deadline);
    stream->deadline.due_ns = 0;
    bool is_stuck = stream->writers.first != NULL || stream->sender != NULL;
    if ((stream->state & (CLOSING | MOVING)) || is_stuck)
        output_fail(stream, -ETIMEDOUT);
    stream_interrupt(stream, -ETIMEDOUT);
}

/* ---------------------------------------------------------------- receiving */

static void receive_bytes(struct stream *stream, int result, unsigned flags)
{
    unsigned number;
    char *data = buffer_of(stream->core, flags, &number);
    if (result <= 0 || (stream->state & CLOSING)) {
        buffer_give(stream->core, number);
        return;
    }
    stream->bytes_in += (unsigned)result;
    stream->heard_ns = core_now_ns(stream->core);
    if (stream->state & BULK)
        join_bulk_came(stream, (size_t)result);
    counter_add(core_counters(stream->core), COUNTER_BYTES_RECEIVED, result);
    if (stream->tls != NULL) {
        tls_receive(stream, data, (size_t)result);
        buffer_give(stream->core, number);
    } else if (input_append(stream, data, (uint32_t)result, number) < 0)
        stream_ended(stream, -ENOMEM);
    stream_attend(stream);
}

static void receive_ended(struct stream *stream, int result)
{
    switch (result) {
    case -ENOBUFS:
        if (stream->state & BULK)
            stream->state &= ~(unsigned)WANT_BULK;
        else if (wants_bytes(stream))
            buffer_starved(stream->core, &stream->starved);
        break;
    case -EINTR:
    case -EAGAIN:
        break; /* stream_pump arms it again */
    case -ECANCELED:
        if (!(stream->state & CANCELLED))
            stream_ended(stream, result);
        break;
    default:
        stream_ended(stream, result == 0 ? -EPIPE : result);
    }
}

void stream_receive_done(struct op *op, int result, unsigned flags)
{
    struct stream *stream = STREAM_OF(op, receive);
    int before = stream->end;
    size_t unread_before = stream->tls == NULL ? 0 : input_size(stream);
    if (flags & IORING_CQE_F_BUFFER)
        receive_bytes(stream, result, flags);
    if (result <= 0)
        receive_ended(stream, result);
    bool is_last = !op_busy(op);
    if (is_last)
        stream->state &= ~(unsigned)CANCELLED;
    if (is_last && (stream->state & (CLOSING | MOVING)))
        stream_attend(stream);
    stream_pump(stream);
    bool is_direct_due = is_last && (stream->state & WANT_DIRECT) && stream->reader != NULL;
    bool has_come = stream->tls == NULL ? result > 0 : input_size(stream) != unread_before;
    if (has_come || stream->end != before || is_direct_due)
        stream_notify(stream);
}

/* ---------------------------------------------------------------- the pump */

static void cancel_done(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct stream *stream = STREAM_OF(op, control);
    if (result == -EALREADY) { /* it was just running: see in the next turn whether it still is */
        stream->state &= ~(unsigned)(CANCELLED | SEND_CANCELLED);
        stream_attend(stream);
        return;
    }
    if (stream->state & (CLOSING | MOVING))
        stream_attend(stream);
    stream_pump(stream);
}

static void cancel(struct stream *stream, struct op *victim, unsigned mark)
{
    stream->state |= mark;
    stream->control.done = cancel_done;
    op_cancel(stream->core, &stream->control, victim);
}

static void close_done(struct op *op, int result, unsigned flags)
{
    (void)result, (void)flags;
    struct stream *stream = STREAM_OF(op, control);
    stream->slot = -1;
    counter_add(core_counters(stream->core), COUNTER_CONNECTIONS_OPEN, -1);
    stream_attend(stream);
}

static void close_next(struct stream *stream)
{
    if (stream->tls != NULL && !op_busy(&stream->send))
        tls_seal(stream); /* the goodbye */
    if (output_is_busy(stream) || stream->sender != NULL) {
        output_kick(stream);
    } else if (op_busy(&stream->receive)) {
        if (!(stream->state & CANCELLED))
            cancel(stream, &stream->receive, CANCELLED);
    } else {
        stream->control.done = close_done;
        op_close_slot(stream->core, &stream->control, (unsigned)stream->slot);
    }
}

static bool receive_is_unwanted(const struct stream *stream)
{
    if (!op_busy(&stream->receive) || (stream->state & (CANCELLED | CLOSING)))
        return false; /* close_next knows when */
    if (stream->state & DIRECT)
        return stream->end != 0;
    return !wants_bytes(stream) || (stream->state & (WANT_BULK | BULK)) == WANT_BULK;
}

void stream_pump(struct stream *stream)
{
    if (stream->slot < 0)
        return;
    if (!wants_bytes(stream))
        buffer_starved_forget(stream->core, &stream->starved);
    else if (!op_busy(&stream->receive) && stream->starved.previous_next == NULL)
        receive_arm(stream);
    if (op_busy(&stream->control))
        return;
    if ((stream->state & (OUTPUT_FAILED | SEND_CANCELLED)) == OUTPUT_FAILED &&
        op_busy(&stream->send))
        cancel(stream, &stream->send, SEND_CANCELLED);
    else if (receive_is_unwanted(stream))
        cancel(stream, &stream->receive, CANCELLED);
    else if (stream->state & CLOSING)
        close_next(stream);
}

/* ---------------------------------------------------------------- the end of the turn */

static void release(struct stream *stream)
{
    struct core *core = stream->core;
    timer_clear(core, &stream->deadline);
    buffer_starved_forget(core, &stream->starved);
    stream_line_drop(stream);
    stream->state &= ~(unsigned)PAUSED; /* nobody resumes what is dropped here */
    input_drop(stream, input_size(stream));
    output_free(stream);
    if (stream->tls != NULL)
        tls_free(stream);
    if (stream->state & ATTENDED) { /* put there just now: come back once more */
        return;
    }
    listener_left(stream);
    stream->owner->released(stream);
}

/* Gives lent buffers back unless the reader is about to consume much of them, and stops or resumes
 * receiving (N3). */
static void input_attended(struct stream *stream)
{
    size_t size = input_size(stream);
    size_t size_max =
        stream->state & JOINED ? join_unread_max(stream) : (size_t)STREAM_INPUT_BYTES_MAX;
    if (size >= size_max && !(stream->state & READING))
        stream->state |= PAUSED;
    else if ((stream->state & PAUSED) && size < STREAM_INPUT_BYTES_MAX / 2)
        stream->state &= ~(unsigned)PAUSED;
    if (!input_is_lent(stream) || (stream->state & MOVING)) /* a move settles for itself */
        return;
    bool is_due = size <= SMALL_BYTES || buffer_pressure(stream->core) || join_is_stalled(stream);
    if ((stream->state & PEEKED) || !is_due || input_settle(stream) < 0)
        stream_attend_later(stream);
}

void stream_attended(struct stream *stream)
{
    if (stream->slot < 0) {
        if (!op_busy(&stream->control) && stream->users == 0)
            release(stream);
        return;
    }
    if (stream->tls != NULL)
        tls_attended(stream);
    if (stream->state & JOINED)
        join_pass(stream);
    unsigned was_paused = stream->state & PAUSED;
    int end = stream->end;
    input_attended(stream);
    output_kick(stream);
    stream_pump(stream);
    if (stream->state & JOINED)
        join_note(stream);
    bool is_full = !was_paused && (stream->state & PAUSED) && !(stream->state & JOINED);
    /* stream_line_ready is true now, though no line may be complete; or sealing failed */
    if (is_full || stream->end != end)
        stream_notify(stream);
    if ((stream->state & MOVING) && !(stream->state & ATTENDED) && stream_move_ready(stream))
        stream_hand_over(stream);
    else if (stream->state & JOINED)
        join_tell(stream);
}

void stream_close(struct stream *stream)
{
    if (stream->state & CLOSING)
        return;
    if (stream->state & JOINED)
        join_part(stream);
    stream->state |= CLOSING;
    stream->state &= ~(unsigned)(MOVING | PAUSED);
    if (stream->end == 0)
        stream->end = -ECANCELED;
    timer_set(stream->core, &stream->deadline, core_now_ns(stream->core) + LINGER_NS);
    stream_pump(stream);
    stream_notify(stream);
    stream_attend(stream);
}
