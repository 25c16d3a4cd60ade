/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SESSIONS and KICK. A list is made core by core in batches: the core that has the sessions writes
 * rows into this command's memory until that is full, from here they are sent, and only when the
 * client has taken them the next batch is asked for (O2).
 *
 * Where a batch goes on is a count of sessions passed over: a core's list has no mark that would
 * survive its changes. With 100,000 sessions on a core a batch costs it some milliseconds.
 */
#include <stdio.h>

#include "control_private.h"

struct batch {
    struct slice user;       /* empty: all */
    uint64_t skip, seen;     /* rows that were told before; passed over now */
    uint64_t rows, rows_max; /* of this batch */
    char *data;              /* of CONTROL_BATCH_BYTES */
    size_t size;
    bool is_cut; /* there may be more */
};

static void make_row(struct event *row, const struct proxy_session_info *info, unsigned core)
{
    char id[17];
    snprintf(id, sizeof id, "%llx", (unsigned long long)info->id);
    event_begin_row(row);
    event_text(row, "id", slice_cstr(id));
    event_text(row, "protocol", slice_cstr(info->protocol));
    event_text(row, "user", info->user);
    event_text(row, "peer", slice_cstr(info->peer));
    event_number(row, "port", info->port);
    event_text(row, "pool", info->pool);
    event_text(row, "backend", info->backend);
    event_number(row, "bytes_in", (int64_t)info->bytes_in);
    event_number(row, "bytes_out", (int64_t)info->bytes_out);
    event_number(row, "ms", (int64_t)info->ms);
    event_number(row, "core", core);
}

struct telling {
    struct batch *batch;
    unsigned core;
};

static bool tell(void *argument, const struct proxy_session_info *info)
{
    struct telling *telling = argument;
    struct batch *batch = telling->batch;
    struct event row;
    if (batch->user.size > 0 && !slice_equal(batch->user, info->user))
        return true;
    if (batch->seen++ < batch->skip)
        return true;
    make_row(&row, info, telling->core);
    struct slice line = event_end_row(&row);
    if (batch->rows == batch->rows_max || line.size > CONTROL_BATCH_BYTES - batch->size) {
        batch->is_cut = true;
        return false;
    }
    memcpy(batch->data + batch->size, line.data, line.size);
    batch->size += line.size;
    batch->rows++;
    return true;
}

static int fill_there(struct core *there, void *argument)
{
    struct telling telling = {.batch = argument, .core = core_index(there)};
    proxy_sessions_each(there, tell, &telling);
    return 0;
}

/* One core's. How many rows were sent; -EAGAIN. */
static int64_t list_core(struct session *session, unsigned index, struct batch *batch,
                         uint64_t rows_max)
{
    struct core *core = session_core(session);
    uint64_t sent = 0;
    do {
        batch->skip = sent;
        batch->seen = batch->rows = batch->size = 0;
        batch->rows_max = rows_max - sent;
        batch->is_cut = false;
        session_deadline(session, session->service->command_ms_max); /* for each batch to leave */
        int result = control_call(core, index, fill_there, batch);
        if (result < 0)
            return result;
        if (stream_send(&session->stream, slice_of(batch->data, batch->size)) < 0)
            break; /* nobody reads any more: the loop of the session knows */
        sent += batch->rows;
    } while (batch->is_cut && sent < rows_max);
    return (int64_t)sent;
}

void control_sessions(struct session *session, const void *arguments)
{
    const struct control_arguments *given = arguments;
    struct core *core = session_core(session);
    struct batch batch = {.user = control_whole_user(session, given->user),
                          .data = arena_alloc(&session->arena, CONTROL_BATCH_BYTES)};
    uint64_t limit = given->limit == 0 ? UINT64_MAX : given->limit, rows = 0;
    if (batch.user.data == NULL)
        return;
    if (batch.data == NULL) {
        control_error(session, CONTROL_BUSY, "out of memory");
        return;
    }
    for (unsigned i = 0; i < core_count(core) && rows < limit && control_is_heard(session); i++) {
        int64_t sent = list_core(session, i, &batch, limit - rows);
        if (sent < 0) {
            control_error(session, CONTROL_BUSY, "core %u is too busy; try again", i);
            return;
        }
        rows += (uint64_t)sent;
    }
    control_ok(session, "rows", (int64_t)rows);
}

void control_kick(struct session *session, const void *arguments)
{
    const struct control_arguments *given = arguments;
    uint64_t count;
    struct slice user = control_whole_user(session, given->user);
    if (user.data == NULL)
        return;
    if (control_kick_all(session_core(session), user, given->id, &count) < 0)
        control_error(session, CONTROL_BUSY, "a core is too busy; try again");
    else
        control_ok(session, "sessions", (int64_t)count);
}
