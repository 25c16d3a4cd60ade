/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One log line: a JSON object on one line, built in place, bounded. Bytes from peers are escaped
 * (control bytes, quotes, invalid UTF-8 as \u00XX), long values cut; a line never holds a second
 * line.
 *
 *   struct event e;
 *   event_begin(&e, "session", "info");          // {"event":"session","level":"info"
 *   event_text(&e, "user", user);
 *   event_number(&e, "bytes_in", n);
 *   core_log(core, &e);                           // adds the time, closes the object, queues the
 * line
 */
#ifndef RINGPOST_EVENT_H
#define RINGPOST_EVENT_H

#include "ringpost/slice.h"

enum { EVENT_BYTES_MAX = 2000, EVENT_VALUE_BYTES_MAX = 300 };

struct event {
    unsigned size;
    char line[EVENT_BYTES_MAX + 48]; /* room for the time and the end is kept free */
};

/* name and level ("debug", "info", "warning", "error") are literals of ours. */
void event_begin(struct event *event, const char *name, const char *level);
void event_text(struct event *event, const char *key, struct slice value);
void event_number(struct event *event, const char *key, int64_t value);
void event_flag(struct event *event, const char *key, bool value);
/* Adds "time" (RFC 3339 UTC, milliseconds) and the closing brace and newline. */
struct slice event_end(struct event *event, int64_t wall_ns);

/* The same for a line that is no log line, but an answer to somebody's question: an object without
 * name, level and time. */
void event_begin_row(struct event *event);
struct slice event_end_row(struct event *event);

#endif
