/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * BACKENDS, DRAIN, DOWN, UP. What is wanted of a backend is one word that all cores see; sessions
 * are ended by each core for its own (proxy_cut).
 */
#include "control_private.h"

static const char *const wills[] = {
    [BACKEND_UP] = "up", [BACKEND_DRAIN] = "drain", [BACKEND_DOWN] = "down"};

/* What comes after the spread: a session whose goodbye is under way. */
enum { AFTER_SPREAD_MS = 10000 };

int control_backend(struct session *session, struct slice name, const struct backend **ret_backend)
{
    struct core *core = session_core(session);
    char near[CONTROL_QUALIFIED_BYTES_MAX + 1];
    int result = backend_find(core, name, ret_backend);
    if (result == -EEXIST)
        control_error(session, CONTROL_AMBIGUOUS,
                      "several pools have a backend %.*s; write POOL/%.*s", (int)name.size,
                      name.data, (int)name.size, name.data);
    else if (result < 0 && control_near(core, name, near))
        control_error(session, CONTROL_NOT_FOUND, "there is no backend %.*s; did you mean %s?",
                      (int)name.size, name.data, near);
    else if (result < 0)
        control_error(session, CONTROL_NOT_FOUND, "there is no backend %.*s; BACKENDS lists them",
                      (int)name.size, name.data);
    return result;
}

void control_backends(struct session *session, const void *arguments)
{
    (void)arguments;
    struct backend_info info;
    unsigned count = 0;
    while (control_is_heard(session) && backend_info_get(session_core(session), count, &info)) {
        struct event row;
        event_begin_row(&row);
        event_text(&row, "pool", info.pool);
        event_text(&row, "name", info.name);
        event_text(&row, "address", slice_cstr(info.address));
        event_number(&row, "weight", info.weight);
        event_text(&row, "state", slice_cstr(wills[info.will]));
        event_flag(&row, "alive", info.is_alive);
        event_number(&row, "state_ms", (int64_t)info.state_ms);
        event_number(&row, "sessions", info.sessions);
        event_number(&row, "users", info.users);
        event_number(&row, "logins", (int64_t)info.logins);
        event_number(&row, "failures", (int64_t)info.failures);
        event_number(&row, "refused", (int64_t)info.refused);
        event_text(&row, "problem", slice_cstr(info.problem));
        control_say(session, &row);
        count++;
    }
    control_ok(session, "rows", count);
}

/* False: the error is told. */
static bool set_will(struct session *session, struct slice name, enum backend_will will,
                     const struct backend **ret_backend)
{
    struct core *core = session_core(session);
    if (control_backend(session, name, ret_backend) < 0)
        return false;
    int result = backend_will_set(core, name, will);
    if (result < 0) {
        control_error(session, CONTROL_NOT_FOUND, "%s", strerror(-result));
        return false;
    }
    return true;
}

static unsigned sessions_of_backend(struct core *core, const struct backend *backend)
{
    struct backend_info info;
    struct slice pool = backend_pool_name(backend), name = backend_name(backend);
    for (unsigned i = 0; i < BACKENDS_MAX && backend_info_get(core, i, &info); i++)
        if (slice_equal(info.name, name) && slice_equal(info.pool, pool))
            return info.sessions;
    return 0;
}

void control_drain(struct session *session, const void *arguments)
{
    const struct control_arguments *given = arguments;
    const struct backend *backend;
    if (set_will(session, given->name, BACKEND_DRAIN, &backend))
        control_ok(session, "sessions", sessions_of_backend(session_core(session), backend));
}

void control_up(struct session *session, const void *arguments)
{
    const struct control_arguments *given = arguments;
    const struct backend *backend;
    if (set_will(session, given->name, BACKEND_UP, &backend))
        control_ok(session, "sessions", sessions_of_backend(session_core(session), backend));
}

/* ---------------------------------------------------------------- down */

struct cut {
    const struct backend *backend;
    uint64_t ms;
};

static int cut_there(struct core *there, void *argument)
{
    const struct cut *cut = argument;
    proxy_cut(there, cut->backend, cut->ms);
    return 0;
}

/* Until all are gone, the time is over, or nobody listens: the cut goes on by itself. */
static void watch(struct session *session, const struct backend *backend, uint64_t ms)
{
    struct core *core = session_core(session);
    uint64_t until = core_now_ns(core) + ms * 1000000, told = 0;
    unsigned left;
    while ((left = sessions_of_backend(core, backend)) > 0 && control_is_heard(session) &&
           core_now_ns(core) < until && backend_will_of(backend) == BACKEND_DOWN) {
        if (core_now_ns(core) >= told) {
            control_progress(session, "ending sessions", left);
            told = core_now_ns(core) + (uint64_t)CONTROL_PROGRESS_MS * 1000000;
        }
        fiber_sleep(core, (uint64_t)CONTROL_TICK_MS * 1000000);
    }
    control_ok(session, "sessions", left);
}

void control_down(struct session *session, const void *arguments)
{
    const struct control_arguments *given = arguments;
    struct core *core = session_core(session);
    const struct backend *backend;
    struct cut cut = {.ms = given->ms != CONTROL_UNSET ? given->ms
                                                       : control_options_of(session)->spread_ms};
    session_deadline(session, cut.ms + 2 * (uint64_t)AFTER_SPREAD_MS);
    if (!set_will(session, given->name, BACKEND_DOWN, &backend))
        return;
    cut.backend = backend;
    for (unsigned i = 0; i < core_count(core); i++)
        if (control_call(core, i, cut_there, &cut) < 0) {
            control_error(session, CONTROL_BUSY,
                          "no new log-ins, but core %u is too busy to end its sessions; say DOWN "
                          "again",
                          i);
            return;
        }
    watch(session, backend, cut.ms + AFTER_SPREAD_MS);
}
