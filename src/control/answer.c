/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Answers of the control protocol: one JSON object a line, bounded by struct event.
 */
#include <stdarg.h>
#include <stdio.h>

#include "control_private.h"

static const char *const codes[] = {
    [CONTROL_SYNTAX] = "syntax",       [CONTROL_NOT_FOUND] = "not_found",
    [CONTROL_AMBIGUOUS] = "ambiguous", [CONTROL_NOT_FRONTED] = "not_fronted",
    [CONTROL_BUSY] = "busy",           [CONTROL_STORAGE] = "storage",
    [CONTROL_FULL] = "full",           [CONTROL_CLOSING] = "closing",
};

void control_say(struct session *session, struct event *row)
{
    stream_write(&session->stream, event_end_row(row));
}

void control_ok(struct session *session, const char *key, int64_t value)
{
    struct event row;
    event_begin_row(&row);
    event_flag(&row, "ok", true);
    if (key != NULL)
        event_number(&row, key, value);
    control_say(session, &row);
}

void control_error(struct session *session, enum control_code code, const char *format, ...)
{
    char text[EVENT_VALUE_BYTES_MAX];
    struct event row;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    event_begin_row(&row);
    event_text(&row, "error", slice_cstr(text));
    event_text(&row, "code", slice_cstr(codes[code]));
    control_say(session, &row);
}

void control_progress(struct session *session, const char *what, uint64_t sessions)
{
    struct event row;
    event_begin_row(&row);
    event_text(&row, "progress", slice_cstr(what));
    event_number(&row, "sessions", (int64_t)sessions);
    control_say(session, &row);
}

bool control_is_heard(const struct session *session)
{
    return session->stream.end == 0 && session->stream.output_error == 0;
}

int control_call(struct core *core, unsigned to, int (*fn)(struct core *there, void *argument),
                 void *argument)
{
    int result = core_call(core, to, fn, argument);
    for (int i = 0; i < CONTROL_BUSY_TRIES && result == -EAGAIN; i++) {
        fiber_sleep(core, (uint64_t)CONTROL_TICK_MS / 10 * 1000000);
        result = core_call(core, to, fn, argument);
    }
    return result;
}
