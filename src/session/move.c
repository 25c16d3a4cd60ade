/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session moves, once, to its user's home core. Its memory is handed over as it is (the arena
 * too); lists and counts are each core's own.
 *
 *   old core: handler calls session_move ─▶ departs: off the lists, stream_move
 *   new core: session_moved: on the lists ─▶ fiber: session->moved(), then commands
 *
 * A core that drains waits for sessions on their way: `leaving` of the old core (the move may fail,
 * and the session then ends there) and `arriving` of the new one. A session counts itself in
 * `arriving` first and then looks whether the new core drains; that core says so first and then
 * waits for `arriving` to be 0. So no session comes to a core whose draining has ended.
 */
#include "session_private.h"

static uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void add(uint32_t *word, int delta)
{
    __atomic_add_fetch(word, (uint32_t)delta, __ATOMIC_SEQ_CST);
}

void session_move(struct session *session, unsigned to_core, void (*then)(struct session *session))
{
    struct core *core = session_core(session);
    assert(to_core < core_count(core) && then != NULL);
    if (to_core == core_index(core)) {
        then(session);
        return;
    }
    session->moved = then;
    session->move_to = to_core + 1;
}

bool session_depart(struct session *session)
{
    struct core *core = session_core(session);
    struct sessions *here = sessions_of(core);
    unsigned to = session->move_to - 1;
    struct sessions *there = sessions_of(core_peer(core, to));
    add(&there->arriving, 1);
    if (load(&there->draining)) {
        add(&there->arriving, -1);
        session->move_to = 0;
        session_end(session, SESSION_END_DRAIN);
        return false;
    }
    add(&here->leaving, 1);
    session_delist(session);
    here->count--;
    session->private_bits &= ~(uint32_t)(RUNNING | AWAITING | BEGUN);
    session->private_bits &= (UINT32_C(1) << FROM_SHIFT) - 1;
    session->private_bits |= MOVING | core_index(core) << FROM_SHIFT;
    stream_move(&session->stream, to);
    return true;
}

void session_moved(struct stream *stream)
{
    struct session *session = (struct session *)stream;
    struct sessions *here = sessions_of(stream->core);
    unsigned from = session->private_bits >> FROM_SHIFT;
    session->private_bits &= ~(uint32_t)MOVING;
    session->private_bits |= ARRIVED;
    here->count++;
    session_enlist(session);
    if (limits_arrive(session) < 0)
        session_end(session, SESSION_END_TOO_MANY);
    if (load(&here->draining))
        session->private_bits |= DRAINING;
    session_schedule(session);
    add(&sessions_of(core_peer(stream->core, from))->leaving, -1);
    add(&here->arriving, -1);
}

/* On the old core, on a fiber: the stream has been closed instead. */
void session_move_failed(struct session *session)
{
    struct core *core = session_core(session);
    struct sessions *here = sessions_of(core);
    here->count++;
    session_enlist(session);
    add(&here->leaving, -1);
    add(&sessions_of(core_peer(core, session->move_to - 1))->arriving, -1);
    session->move_to = 0;
    session_end(session, SESSION_END_MOVE_FAILED);
}
