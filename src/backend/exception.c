/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Exceptions: what the operator wants of single users, on their home cores. The backend to use
 * instead of the hashed one, and a hold: log-ins wait on their fibers until it is over or taken
 * back, so that a user can be moved without seeing it (hold, end his sessions, move the mail, new
 * backend).
 *
 * A row is found by a keyed hash of the name. Waiting fibers hang on a small block of their own,
 * since rows move; a row with such a block is never removed. At most EXCEPTION_HELD_MAX log-ins of
 * one user wait, further ones are told to come later at once: they hold two fibers each.
 */
#include <assert.h>
#include <stdlib.h>

#include "core_state.h"

enum { EXCEPTION_SLOTS_MAX = 1 << 22, EXCEPTION_HELD_MAX = 20 };
_Static_assert(EXCEPTION_SLOTS_MAX / 2 >= BACKEND_EXCEPTIONS_MAX, "all may be on one core");

struct held {
    struct waiters waiters;
    unsigned count;
};

struct exception_row {
    uint64_t key;
    struct backend *backend; /* NULL: none */
    uint64_t hold_end_ns;
    struct held *held; /* NULL: nobody waits */
};

static uint64_t key_of(const struct backends *backends, struct slice user)
{
    return hash_keyed(&backends->key, user.data, user.size) | 1;
}

bool exception_is_over(void *argument, void *of)
{
    struct exception_row *row = argument;
    struct backends *backends = of;
    if (row->backend != NULL || row->held != NULL || row->hold_end_ns > core_now_ns(backends->core))
        return false;
    atomic_fetch_sub(&backends->states->exceptions, 1);
    return true;
}

struct backend *exception_look(struct backends *backends, struct slice user, uint64_t *ret_hold_ns)
{
    struct exception_row *row = rows_find(&backends->exceptions, key_of(backends, user));
    *ret_hold_ns = row != NULL ? row->hold_end_ns : 0;
    return row != NULL ? row->backend : NULL;
}

/* One wait of one fiber; the row may be another afterwards. */
static int wait_once(struct backends *backends, struct exception_row *row, uint64_t until_ns)
{
    if (row->held == NULL)
        row->held = calloc(1, sizeof *row->held);
    struct held *held = row->held;
    if (held == NULL)
        return -EPERM;
    uint64_t key = row->key;
    int result = held->count < EXCEPTION_HELD_MAX ? 0 : -EPERM;
    if (result == 0) {
        held->count++;
        waiters_wait(backends->core, &held->waiters, until_ns);
        held->count--;
    }
    if (held->count == 0) {
        row = rows_find(&backends->exceptions, key);
        assert(row != NULL && row->held == held);
        row->held = NULL;
        free(held);
    }
    return result;
}

int exception_wait(struct backends *backends, struct slice user, uint64_t deadline_ns,
                   struct backend **ret_backend)
{
    uint64_t key = key_of(backends, user);
    for (;;) {
        struct exception_row *row = rows_find(&backends->exceptions, key);
        uint64_t now_ns = core_now_ns(backends->core);
        if (row == NULL || row->hold_end_ns <= now_ns) {
            *ret_backend = row != NULL ? row->backend : NULL;
            return 0;
        }
        if (deadline_ns <= now_ns)
            return -EPERM;
        int result = wait_once(backends, row,
                               row->hold_end_ns < deadline_ns ? row->hold_end_ns : deadline_ns);
        if (result < 0)
            return result;
    }
}

/* ---------------------------------------------------------------- setting it */

struct setting {
    struct slice user;
    struct backend *backend;
    uint64_t hold_ms;
};

static int set_at_home(struct core *core, void *argument)
{
    const struct setting *setting = argument;
    struct backends *backends = backends_of(core);
    if (backends == NULL)
        return -EAGAIN;
    uint64_t key = key_of(backends, setting->user);
    struct exception_row *row = rows_find(&backends->exceptions, key);
    if (row == NULL) {
        if (setting->backend == NULL && setting->hold_ms == 0)
            return 0;
        uint32_t before = atomic_fetch_add(&backends->states->exceptions, 1);
        if (before < BACKEND_EXCEPTIONS_MAX)
            row = rows_add(&backends->exceptions, key, exception_is_over, backends);
        if (row == NULL) {
            atomic_fetch_sub(&backends->states->exceptions, 1);
            return -ENOSPC;
        }
    }
    row->backend = setting->backend;
    row->hold_end_ns = setting->hold_ms > 0 ? core_now_ns(core) + setting->hold_ms * 1000000 : 0;
    if (row->held != NULL)
        waiters_wake_all(core, &row->held->waiters);
    else if (exception_is_over(row, backends))
        rows_remove(&backends->exceptions, row);
    return 0;
}

int backend_exception_set(struct core *core, const struct backend_exception *exception)
{
    const struct backends *backends = backends_of(core);
    const struct backend_member *member = NULL;
    struct setting setting = {.user = exception->user, .hold_ms = exception->hold_ms};
    if (backends == NULL)
        return -EAGAIN;
    if (setting.hold_ms > BACKEND_HOLD_MS_MAX)
        setting.hold_ms = BACKEND_HOLD_MS_MAX;
    if (exception->backend.size > 0) {
        int result = member_find(backends->table, exception->backend, &member);
        if (result < 0)
            return result;
        setting.backend = member->backend;
    }
    return core_call(core, user_home(core, exception->user), set_at_home, &setting);
}

void exceptions_open(struct backends *backends)
{
    backends->exceptions =
        (struct rows){.row_bytes = sizeof(struct exception_row), .slots_max = EXCEPTION_SLOTS_MAX};
}

void exceptions_close(struct backends *backends)
{
    struct rows *rows = &backends->exceptions;
    for (uint32_t i = 0; i < rows->slot_count; i++)
        assert(((struct exception_row *)(rows->slots + (size_t)i * rows->row_bytes))->held == NULL);
    atomic_fetch_sub(&backends->states->exceptions, rows->used);
    rows_free(rows);
}
