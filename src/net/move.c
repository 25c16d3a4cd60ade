/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Moving a stream to another core.
 *
 *   old core: MOVING ─▶ receive cancelled and ended, output sent ─▶ input into memory of its own ─▶
 * op_move_slot ─▶ done: close the old slot            ╲ new core: ╲─▶ arrived(): new slot,
 * deadline, receive armed ─▶ owner->moved
 *
 * From op_move_slot on the stream belongs to the new core, so what the old core still has to do
 * lives in a `mover` of its own. Only when the move fails, in which case nothing arrives, does the
 * old core touch the stream again, and closes it.
 */
#include "net_private.h"
#include "ringpost/tls.h"

#include <stdlib.h>

struct mover {
    struct op op;
    struct core *core;
    struct stream *stream;
    unsigned slot;
};

/* While MOVING and not yet handed over, the target is kept where the receive's result would be. */
static unsigned target_of(const struct stream *stream)
{
    return (unsigned)stream->receive_result;
}

static void mover_closed(struct op *op, int result, unsigned flags)
{
    (void)result, (void)flags;
    free(op);
}

static void mover_done(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct mover *mover = (struct mover *)op;
    if (result >= 0) {
        op->done = mover_closed;
        op_close_slot(mover->core, op, mover->slot);
        return;
    }
    struct stream *stream = mover->stream;
    stream->core = mover->core;
    stream->slot = (int32_t)mover->slot;
    stream->control.in_flight = 0;
    counter_add(core_counters(mover->core), COUNTER_CONNECTIONS_OPEN, 1);
    stream->state &= ~(unsigned)MOVING;
    stream_ended(stream, result);
    stream_close(stream);
    free(mover);
}

static void arrived(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct stream *stream = (struct stream *)((char *)op - offsetof(struct stream, control));
    assert(result >= 0);
    stream->slot = result;
    stream->state &= ~(unsigned)(MOVING | WANT_DIRECT | PAUSED);
    counter_add(core_counters(stream->core), COUNTER_CONNECTIONS_OPEN, 1);
    if (stream->deadline.due_ns != 0)
        timer_set(stream->core, &stream->deadline, stream->deadline.due_ns);
    stream_attend(stream); /* N3 holds here too */
    stream_pump(stream);
    stream->owner->moved(stream);
}

void stream_move(struct stream *stream, unsigned to_core)
{
    assert(stream->users == 0 && "stream_move: a reading or writing call is under way");
    assert(to_core < core_count(stream->core) && to_core != core_index(stream->core));
    if (stream->state & (CLOSING | MOVING))
        return;
    assert((!stream_has_tls(stream) || stream_is_secure(stream) || stream->end != 0) &&
           "stream_move: a handshake is under way, and it belongs to this core");
    assert(!(stream->state & JOINED));
    stream_line_drop(stream);
    stream->state |= MOVING;
    stream->state &= ~(unsigned)PEEKED;
    stream->receive_result = (int32_t)to_core;
    output_kick(stream);
    stream_pump(stream);
    stream_attend(stream);
}

bool stream_move_ready(const struct stream *stream)
{
    return !op_busy(&stream->receive) && !op_busy(&stream->control) && !output_is_busy(stream) &&
           stream->starved.previous_next == NULL;
}

/* From the end of the turn, when stream_move_ready: nothing here refers to the stream any more. */
void stream_hand_over(struct stream *stream)
{
    struct core *core = stream->core, *to = core_peer(core, target_of(stream));
    struct mover *mover = malloc(sizeof *mover);
    if (mover == NULL || input_settle(stream) < 0) {
        free(mover);
        stream_ended(stream, -ENOMEM);
        stream_close(stream);
        return;
    }
    *mover = (struct mover){
        .op.done = mover_done, .core = core, .stream = stream, .slot = (unsigned)stream->slot};
    timer_clear(core, &stream->deadline); /* due_ns stays */
    listener_left(stream);
    counter_add(core_counters(core), COUNTER_CONNECTIONS_OPEN, -1);
    stream->control.done = arrived;
    stream->core = to;
    stream->slot = -1;
    op_move_slot(core, &mover->op, mover->slot, to, &stream->control);
}
