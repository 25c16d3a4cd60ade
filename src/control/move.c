/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A user's move, in the one safe order:
 *
 *   exception set, log-ins held ─▶ sessions ended, on every core ─▶ gone? ─▶ held for the delay
 *
 * A log-in that was under way when the hold began may make one more session at the old backend, so
 * sessions are ended again until none is left.
 */
#include "control_private.h"

static int hold(struct core *core, const struct control_move *move, uint64_t ms)
{
    struct backend_exception exception = {
        .user = move->user, .backend = move->backend, .hold_ms = ms};
    int result = backend_exception_set(core, &exception);
    for (int i = 0; i < CONTROL_BUSY_TRIES && result == -EAGAIN; i++) {
        fiber_sleep(core, (uint64_t)CONTROL_TICK_MS / 10 * 1000000);
        result = backend_exception_set(core, &exception);
    }
    return result;
}

/* How many sessions the user has; when that cannot be known, one. */
static uint64_t sessions_of_user(struct core *core, const struct control_move *move)
{
    struct backend_whereabouts there;
    int result = backend_whereabouts(core, move->pool, move->user, &there);
    return result < 0 ? 1 : there.sessions;
}

static uint64_t end_sessions(struct core *core, const struct control_move *move)
{
    uint64_t until = core_now_ns(core) + (uint64_t)CONTROL_MOVE_WAIT_MS_MAX * 1000000;
    uint64_t told = 0, count, left;
    while ((left = sessions_of_user(core, move)) > 0 && core_now_ns(core) < until) {
        (void)control_kick_all(core, move->user, 0, &count); /* a busy core: at the next look */
        if (move->tell != NULL && core_now_ns(core) >= told) {
            move->tell(move->argument, left);
            told = core_now_ns(core) + (uint64_t)CONTROL_MOVE_TELLS_MS * 1000000;
        }
        fiber_sleep(core, (uint64_t)CONTROL_TICK_MS * 1000000);
    }
    return left;
}

int control_move_user(struct core *core, const struct control_move *move, uint64_t *ret_left)
{
    int result = hold(core, move, CONTROL_MOVE_WAIT_MS_MAX + move->delay_ms);
    if (result < 0)
        return result;
    uint64_t left = end_sessions(core, move);
    result = hold(core, move, move->delay_ms); /* 0 lets in at once */
    if (result == 0)
        *ret_left = left;
    return result;
}
