/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session whose stream is one pipe with another (proxy.h): no commands, no fiber, no deadline.
 *
 *   handler ─▶ session_join ─▶ handler returns ─▶ session_joined: stream_join ─▶ (nothing to do)
 *                                                                                     │
 *         side ended: joint->ended │ drain, limits, operator ─▶ session_end ◀─────────┘
 *                                                                  │ a fiber
 *         goodbye, when joint->may_speak ─▶ log line ─▶ session_unjoin: joint->closed ─▶ closed
 *
 * Whose the other stream is, is not known here. It is the joint's owner's from session_join until
 * joint->closed has returned, which happens once, joined or not.
 */
#include "session_private.h"

void session_join(struct session *session, struct stream *other, const struct session_joint *joint,
                  void *owner)
{
    assert(session->joint == NULL && session->move_to == 0 && other->core == session_core(session));
    session->joint = joint;
    session->joint_owner = owner;
    session->joined_with = other;
}

void session_joined(struct session *session)
{
    if (session->private_bits & JOINED)
        return;
    session->private_bits |= JOINED;
    session->private_bits &= ~(uint32_t)(AWAITING | BEGUN);
    arena_reset(&session->arena);
    stream_deadline(&session->stream, 0);
    stream_join(&session->stream, session->joined_with, session->joint->observer);
}

void session_unjoin(struct session *session)
{
    if (session->joint == NULL)
        return;
    session->joint->closed(session);
    session->joint = NULL;
    session->joint_owner = NULL;
    session->joined_with = NULL;
}

void sessions_each(struct core *core, bool (*tell)(void *argument, struct session *session),
                   void *argument)
{
    struct session *next;
    for (struct session *session = sessions_of(core)->list; session != NULL; session = next) {
        next = session->next;
        if (!tell(argument, session))
            return;
    }
}
