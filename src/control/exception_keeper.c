/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Exceptions that survive: read at the start, looked at again and again, changed by MOVE and
 * FORGET. What the backends were told last is `known`; a look reads a new set, tells the backends
 * the difference, and keeps the new one.
 *
 *   place ─read─▶ set ─difference to known─▶ backend_exception_set, kick ─▶ known
 *   MOVE ─▶ place.write ─▶ known
 *
 * Invariant: the lock is held from a reading's begin to its end, and by a change (K3); without it a
 * reading that began before a change would take the change back.
 */
#include <stdlib.h>

#include "control_private.h"
#include "exception_private.h"

enum {
    LOOK_SHARE = 10,        /* a look that took long is followed by a pause so many times as long */
    CHANGES_A_TURN = 200,   /* then others have their turn */
    CHANGED_HOLD_MS = 3000, /* for a user moved by others: as long as the others may take to look */
    UNKNOWN_TOLD_MAX = 10   /* of one set */
};

struct exception_keeper {
    struct core *core;
    struct exception_place *place;
    struct exception_set known;
    struct exception_set unknown; /* those of them whose backend is not there */
    struct hash_key key;
    struct fiber_lock lock;
    struct waiters waiters, gone;
    uint64_t look_ns;
    bool is_absent;         /* as it was logged */
    uint32_t mistakes_told; /* checksum of those that were logged last; 0: none */
    bool is_again, is_stopping, is_gone;
};

/* ---------------------------------------------------------------- log */

static void say(struct exception_keeper *keeper, const char *level, const char *what)
{
    struct event event;
    event_begin(&event, "exceptions", level);
    event_text(&event, "place", slice_cstr(keeper->place->name));
    event_text(&event, "what", slice_cstr(what));
    core_log(keeper->core, &event);
}

static void say_mistakes(struct exception_keeper *keeper, const struct exception_mistakes *mistakes)
{
    for (unsigned i = 0; i < mistakes->count && i < EXCEPTION_MISTAKES_MAX; i++) {
        struct event event;
        event_begin(&event, "exceptions", "error");
        event_text(&event, "place", slice_cstr(keeper->place->name));
        event_number(&event, "line", mistakes->told[i].line);
        event_text(&event, "problem", slice_cstr(mistakes->told[i].what));
        core_log(keeper->core, &event);
    }
    struct event event;
    event_begin(&event, "exceptions", "error");
    event_text(&event, "place", slice_cstr(keeper->place->name));
    event_number(&event, "mistakes", mistakes->count);
    event_text(&event, "what", SLICE("not taken; what was known stays"));
    core_log(keeper->core, &event);
}

/* One line for each change of state, and the mistakes when they are others than before. */
static void say_state(struct exception_keeper *keeper, int result,
                      const struct exception_mistakes *mistakes)
{
    bool is_mistaken = result == -EINVAL, is_absent = result < 0 && !is_mistaken;
    uint32_t sum = is_mistaken ? crc32c(1, mistakes, sizeof *mistakes) | 1 : 0;
    if (is_mistaken && sum != keeper->mistakes_told)
        say_mistakes(keeper, mistakes);
    else if (is_absent && !keeper->is_absent)
        say(keeper, "warning", strerror(-result));
    if (result >= 0 && keeper->is_absent)
        say(keeper, "info", "available again");
    if (!is_absent)
        keeper->mistakes_told = sum;
    keeper->is_absent = is_absent;
}

/* ---------------------------------------------------------------- applying */

struct applying {
    struct exception_keeper *keeper;
    bool is_start;
    unsigned count, unknown;
};

static void tell_unknown(struct applying *applying, struct slice user, struct slice backend,
                         int error)
{
    struct event event;
    if (applying->unknown++ >= UNKNOWN_TOLD_MAX)
        return;
    event_begin(&event, "exceptions", "warning");
    event_text(&event, "user", user);
    event_text(&event, "backend", backend);
    event_text(&event, "what",
               error == -ENOENT ? SLICE("no such backend; the user is where he would be")
                                : slice_cstr(strerror(-error)));
    core_log(applying->keeper->core, &event);
}

static int set(struct core *core, const struct backend_exception *exception)
{
    int result = backend_exception_set(core, exception);
    for (int i = 0; i < CONTROL_BUSY_TRIES && result == -EAGAIN; i++) {
        fiber_sleep(core, (uint64_t)CONTROL_TICK_MS / 10 * 1000000);
        result = backend_exception_set(core, exception);
    }
    return result;
}

static void apply(struct applying *applying, struct slice user, struct slice backend)
{
    struct core *core = applying->keeper->core;
    bool is_move = !applying->is_start && backend.size > 0;
    struct backend_exception exception = {
        .user = user, .backend = backend, .hold_ms = is_move ? CHANGED_HOLD_MS : 0};
    uint64_t kicked;
    int result = set(core, &exception);
    if (result < 0)
        tell_unknown(applying, user, backend, result);
    if (result < 0 || applying->keeper->unknown.live > 0) /* without memory: it was told */
        (void)exception_set_put(&applying->keeper->unknown, user, result < 0 ? backend : SLICE(""));
    if (result < 0 && is_move) /* not where he was before either */
        (void)set(core, &(struct backend_exception){.user = user});
    else if (is_move)
        (void)control_kick_all(core, user, 0, &kicked);
    if (++applying->count % CHANGES_A_TURN == 0)
        fiber_yield(core);
}

/* From `known` to `next`, which it becomes. */
static void adopt(struct exception_keeper *keeper, struct exception_set *next, bool is_start)
{
    struct applying applying = {.keeper = keeper, .is_start = is_start};
    struct exception_set *known = &keeper->known;
    struct slice user, backend;
    uint32_t at = 0;
    while (!keeper->is_stopping && exception_set_next(next, &at, &user, &backend))
        if (!slice_equal(exception_set_find(known, user), backend))
            apply(&applying, user, backend);
    at = 0;
    while (!keeper->is_stopping && exception_set_next(known, &at, &user, &backend))
        if (exception_set_find(next, user).size == 0)
            apply(&applying, user, SLICE(""));
    exception_set_free(known);
    *known = *next;
    if (keeper->unknown.live == 0)
        exception_set_free(&keeper->unknown);
    if (applying.count == 0)
        return;
    struct event event;
    event_begin(&event, "exceptions", "info");
    event_text(&event, "place", slice_cstr(keeper->place->name));
    event_number(&event, "changed", applying.count);
    event_number(&event, "not_applied", applying.unknown);
    event_number(&event, "users", known->live);
    core_log(keeper->core, &event);
}

/* Those whose backend was not there; the set may be another one when it is done. */
static void apply_unknown(struct exception_keeper *keeper)
{
    struct applying applying = {.keeper = keeper};
    struct exception_set before = keeper->unknown;
    struct slice user, backend;
    uint32_t at = 0;
    exception_set_init(&keeper->unknown, &keeper->key);
    while (!keeper->is_stopping && exception_set_next(&before, &at, &user, &backend))
        apply(&applying, user, backend);
    exception_set_free(&before);
}

/* 0, or why nothing was taken. */
static int look(struct exception_keeper *keeper, bool is_start)
{
    struct exception_mistakes mistakes;
    struct exception_set next;
    memset(&mistakes, 0, sizeof mistakes); /* whole: it is compared by a checksum */
    exception_set_init(&next, &keeper->key);
    fiber_lock_take(keeper->core, &keeper->lock);
    int result = keeper->place->read(keeper->place, &next, &mistakes);
    if (result == 0)
        adopt(keeper, &next, is_start);
    else
        exception_set_free(&next);
    fiber_lock_give(keeper->core, &keeper->lock);
    if (result != 1) /* 1: what stands there, mistakes too, is what it was */
        say_state(keeper, result, &mistakes);
    return result > 0 ? 0 : result;
}

static void look_again(void *argument)
{
    struct exception_keeper *keeper = argument;
    struct core *core = keeper->core;
    uint64_t pause_ns = keeper->look_ns;
    while (!keeper->is_stopping) {
        if (!keeper->is_again)
            waiters_wait(core, &keeper->waiters, core_now_ns(core) + pause_ns);
        if (keeper->is_stopping)
            break;
        uint64_t began = core_now_ns(core);
        if (keeper->is_again) {
            keeper->is_again = false;
            fiber_lock_take(core, &keeper->lock);
            apply_unknown(keeper);
            fiber_lock_give(core, &keeper->lock);
        }
        look(keeper, false);
        uint64_t long_ns = (core_now_ns(core) - began) * LOOK_SHARE;
        pause_ns = long_ns > keeper->look_ns ? long_ns : keeper->look_ns;
    }
    keeper->is_gone = true;
    waiters_wake_all(core, &keeper->gone);
}

/* ---------------------------------------------------------------- the contract */

const char *exception_place_check(struct slice place, struct slice *ret_path)
{
    struct exception_redis_address address;
    *ret_path = SLICE("");
    if (slice_starts_nocase(place, SLICE("redis:")))
        return exception_redis_parse(place, &address);
    if (!slice_starts_nocase(place, SLICE("file:")))
        return "write \"file:/path\" or \"redis://host:port/database\"";
    struct slice path = slice_from(place, 5);
    if (path.size == 0)
        return "name the file";
    *ret_path = path;
    return NULL;
}

static void forget(struct exception_keeper *keeper)
{
    if (keeper->place != NULL)
        keeper->place->free(keeper->place);
    exception_set_free(&keeper->known);
    exception_set_free(&keeper->unknown);
    free(keeper);
}

int exception_keeper_open(struct core *core, const struct exception_keeper_options *options)
{
    struct exception_keeper *keeper = calloc(1, sizeof *keeper);
    struct slice path;
    if (keeper == NULL)
        return -ENOMEM;
    assert(core_index(core) == 0);
    keeper->core = core;
    keeper->look_ns = options->look_ms * 1000000;
    core_random(core, &keeper->key, sizeof keeper->key);
    exception_set_init(&keeper->known, &keeper->key);
    exception_set_init(&keeper->unknown, &keeper->key);
    int result = exception_place_check(options->place, &path) != NULL ? -EINVAL : 0;
    if (result == 0)
        result = path.size > 0 ? exception_file_make(core, options, &keeper->place)
                               : exception_redis_make(core, options, &keeper->place);
    if (result == 0)
        result = look(keeper, true);
    if (result < 0 && result != -EINVAL && keeper->place != NULL && keeper->place->may_be_absent)
        result = 0;
    if (result == 0)
        result = fiber_start(core, look_again, keeper);
    if (result < 0)
        forget(keeper);
    else
        core_local_set(core, CORE_LOCAL_CONTROL, keeper);
    return result;
}

void exception_keeper_again(struct core *core)
{
    struct exception_keeper *keeper = core_local(core, CORE_LOCAL_CONTROL);
    if (keeper == NULL)
        return;
    keeper->is_again = true;
    waiters_wake_all(core, &keeper->waiters);
}

void exception_keeper_close(struct core *core)
{
    struct exception_keeper *keeper = core_local(core, CORE_LOCAL_CONTROL);
    if (keeper == NULL)
        return;
    keeper->is_stopping = true;
    waiters_wake_all(core, &keeper->waiters);
    while (!keeper->is_gone)
        waiters_wait(core, &keeper->gone, 0);
    core_local_set(core, CORE_LOCAL_CONTROL, NULL);
    forget(keeper);
}

struct keeping {
    struct slice user, backend;
};

static int keep_there(struct core *there, void *argument)
{
    struct exception_keeper *keeper = core_local(there, CORE_LOCAL_CONTROL);
    const struct keeping *keeping = argument;
    struct slice user = keeping->user, backend = keeping->backend;
    struct exception_mistakes mistakes = {.count = 0};
    if (keeper == NULL)
        return 0;
    fiber_lock_take(there, &keeper->lock);
    bool is_full = backend.size > 0 && keeper->known.live >= BACKEND_EXCEPTIONS_MAX &&
                   exception_set_find(&keeper->known, user).size == 0;
    int result = is_full ? -ENOSPC : keeper->place->write(keeper->place, user, backend, &mistakes);
    if (result == 0)
        result = exception_set_put(&keeper->known, user, backend);
    if (result == 0 && keeper->unknown.live > 0)
        (void)exception_set_put(&keeper->unknown, user, SLICE(""));
    fiber_lock_give(there, &keeper->lock);
    if (mistakes.count > 0)
        say_mistakes(keeper, &mistakes);
    return result;
}

int exception_keeper_keep(struct core *core, struct slice user, struct slice backend)
{
    struct keeping keeping = {user, backend};
    if (exception_user_check(user) != NULL ||
        (backend.size > 0 && exception_backend_check(backend) != NULL))
        return -EINVAL;
    return control_call(core, 0, keep_there, &keeping);
}
