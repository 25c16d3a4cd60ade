/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * USER, MOVE, DELAY, FORGET: where one user is, and where he is to be.
 */
#include "control_private.h"

struct slice control_whole_user(struct session *session, struct slice user)
{
    struct slice domain = control_options_of(session)->default_domain;
    if (user.size == 0)
        return SLICE("");
    if (slice_find(user, '@') < user.size || domain.size == 0)
        return user;
    struct slice whole = arena_printf(&session->arena, "%.*s@%.*s", (int)user.size, user.data,
                                      (int)domain.size, domain.data);
    if (whole.data == NULL)
        control_error(session, CONTROL_BUSY, "out of memory");
    return whole;
}

/* The pool of the user's domain, by binary search; NULL when his mail is not fronted. */
static const struct backend_pool *pool_of(const struct control_options *options, struct slice user)
{
    size_t at = user.size;
    while (at > 0 && user.data[at - 1] != '@')
        at--;
    struct slice domain = at == 0 ? SLICE("") : slice_from(user, at);
    unsigned low = 0, high = options->domain_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        struct slice name = options->domains[middle].name;
        size_t common = name.size < domain.size ? name.size : domain.size;
        int order = common == 0 ? 0 : memcmp(name.data, domain.data, common);
        if (order == 0)
            order = (name.size > domain.size) - (name.size < domain.size);
        if (order == 0)
            return options->domains[middle].pool;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Whom a command is about. */
struct subject {
    struct slice user;
    const struct backend_pool *pool;
    struct backend_whereabouts there;
};

/* False: the error is told. */
static bool find(struct session *session, const struct control_arguments *given,
                 struct subject *ret_subject)
{
    struct core *core = session_core(session);
    struct slice user = control_whole_user(session, given->user);
    if (user.data == NULL)
        return false;
    ret_subject->user = user;
    ret_subject->pool = pool_of(control_options_of(session), user);
    if (ret_subject->pool == NULL) {
        control_error(session, CONTROL_NOT_FRONTED, "no pool has the users of the domain of %.*s",
                      (int)user.size, user.data);
        return false;
    }
    int result = -EAGAIN;
    for (int i = 0; i < CONTROL_BUSY_TRIES && result == -EAGAIN; i++) {
        if (i > 0)
            fiber_sleep(core, (uint64_t)CONTROL_TICK_MS / 10 * 1000000);
        result = backend_whereabouts(core, ret_subject->pool, user, &ret_subject->there);
    }
    if (result < 0)
        control_error(session, CONTROL_BUSY, "the user's core is too busy: %s", strerror(-result));
    return result == 0;
}

void control_user(struct session *session, const void *arguments)
{
    struct subject subject;
    struct event row;
    if (!find(session, arguments, &subject))
        return;
    event_begin_row(&row);
    event_text(&row, "user", subject.user);
    event_text(&row, "pool", backend_pool_options_of(subject.pool)->name);
    event_text(&row, "current", slice_cstr(subject.there.current));
    event_text(&row, "hashed", slice_cstr(subject.there.hashed));
    event_text(&row, "exception", slice_cstr(subject.there.exception));
    event_number(&row, "sessions", subject.there.sessions);
    event_number(&row, "hold_ms", (int64_t)subject.there.hold_ms);
    control_say(session, &row);
    control_ok(session, "rows", 1);
}

/* ---------------------------------------------------------------- changes */

/* Written down before anything is done (O3). False: the error is told. */
static bool keep(struct session *session, const struct subject *subject, struct slice backend)
{
    int result = exception_keeper_keep(session_core(session), subject->user, backend);
    if (result == -EBADMSG)
        control_error(session, CONTROL_STORAGE,
                      "nothing was changed: the file of exceptions has mistakes; the log names "
                      "them");
    else if (result == -ENOSPC)
        control_error(session, CONTROL_FULL, "nothing was changed: no room for one more exception");
    else if (result < 0)
        control_error(session, CONTROL_STORAGE, "the exception cannot be kept: %s",
                      strerror(-result));
    return result == 0;
}

static void say_log(struct session *session, const char *what, const struct subject *subject,
                    struct slice backend)
{
    struct event event;
    event_begin(&event, "operator", "info");
    event_text(&event, "what", slice_cstr(what));
    event_text(&event, "user", subject->user);
    if (backend.size > 0)
        event_text(&event, "backend", backend);
    core_log(session_core(session), &event);
}

static void tell(void *argument, uint64_t sessions)
{
    control_progress(argument, "ending sessions", sessions);
}

static void refuse(struct session *session, int error)
{
    if (error == -ENOSPC)
        control_error(session, CONTROL_FULL, "no room for one more exception");
    else if (error == -ENOENT)
        control_error(session, CONTROL_NOT_FOUND, "there is no such backend any more");
    else
        control_error(session, CONTROL_BUSY, "the user's core is too busy: %s", strerror(-error));
}

static void move(struct session *session, const struct subject *subject, struct slice backend,
                 uint64_t delay_ms)
{
    struct control_move move = {
        .pool = subject->pool,
        .user = subject->user,
        .backend = backend,
        .delay_ms = delay_ms,
        .tell = tell,
        .argument = session,
    };
    uint64_t left;
    session_deadline(session, 2 * (uint64_t)CONTROL_MOVE_WAIT_MS_MAX);
    int result = control_move_user(session_core(session), &move, &left);
    if (result < 0)
        refuse(session, result);
    else
        control_ok(session, "sessions", (int64_t)left);
}

/* POOL/NAME in the command arena, of a backend in the user's pool. data NULL: the error is told. */
static struct slice backend_of(struct session *session, const struct subject *subject,
                               struct slice name)
{
    const struct backend *backend;
    struct slice none = {0}, pool = backend_pool_options_of(subject->pool)->name, whole = name;
    if (slice_find(name, '/') == name.size)
        whole = arena_printf(&session->arena, "%.*s/%.*s", (int)pool.size, pool.data,
                             (int)name.size, name.data);
    if (whole.data == NULL) {
        control_error(session, CONTROL_BUSY, "out of memory");
        return none;
    }
    int result = backend_find(session_core(session), whole, &backend);
    bool is_elsewhere = result == 0
                            ? !slice_equal(backend_pool_name(backend), pool)
                            : backend_find(session_core(session), name, &backend) != -ENOENT;
    if (is_elsewhere) {
        control_error(session, CONTROL_NOT_FOUND, "%.*s is not in the user's pool, which is %.*s",
                      (int)name.size, name.data, (int)pool.size, pool.data);
        return none;
    }
    return result == 0 || control_backend(session, whole, &backend) == 0 ? whole : none;
}

void control_move(struct session *session, const void *arguments)
{
    const struct control_arguments *given = arguments;
    struct subject subject;
    if (!find(session, given, &subject))
        return;
    struct slice backend = backend_of(session, &subject, given->name);
    if (backend.data == NULL || !keep(session, &subject, backend))
        return;
    say_log(session, "user moved", &subject, backend);
    /* He may stay where he is, with his sessions: then there is nothing to wait for. */
    if (slice_equal(slice_cstr(subject.there.current), backend)) {
        struct backend_exception exception = {.user = subject.user, .backend = backend};
        int result = backend_exception_set(session_core(session), &exception);
        if (result < 0)
            refuse(session, result);
        else
            control_ok(session, "sessions", 0);
        return;
    }
    move(session, &subject, backend,
         given->ms != CONTROL_UNSET ? given->ms : (uint64_t)CONTROL_DELAY_MS);
}

void control_delay(struct session *session, const void *arguments)
{
    const struct control_arguments *given = arguments;
    struct subject subject;
    if (!find(session, given, &subject))
        return;
    struct backend_exception exception = {
        .user = subject.user, .backend = slice_cstr(subject.there.exception), .hold_ms = given->ms};
    int result = backend_exception_set(session_core(session), &exception);
    if (result < 0) {
        refuse(session, result);
        return;
    }
    say_log(session, "user delayed", &subject, SLICE(""));
    control_ok(session, "hold_ms", (int64_t)given->ms);
}

/* Where his sessions stay they stay; the next ones go where they would. */
void control_forget(struct session *session, const void *arguments)
{
    struct subject subject;
    if (!find(session, arguments, &subject) || !keep(session, &subject, SLICE("")))
        return;
    struct backend_exception exception = {.user = subject.user};
    int result = backend_exception_set(session_core(session), &exception);
    if (result < 0) {
        refuse(session, result);
        return;
    }
    say_log(session, "user's exception forgotten", &subject, SLICE(""));
    control_ok(session, "sessions", subject.there.sessions);
}
