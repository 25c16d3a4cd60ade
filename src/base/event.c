/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Builds one log line in place. Invariants:
 *   1. `size` never passes EVENT_BYTES_MAX before event_end: a member that does not fit is left out
 * whole.
 *   2. The line is valid JSON in UTF-8 with no byte below 0x20, whatever the peer sent.
 * Owns nothing, cannot fail.
 */
#include "ringpost/event.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* One character of `from` into `to` (6 bytes), escaped; how many bytes of each in the results. */
static size_t escape_one(struct slice from, char *to, size_t *ret_used)
{
    const unsigned char *s = (const unsigned char *)from.data;
    size_t length = utf8_length(from);
    *ret_used = length ? length : 1;
    if (*s == '"' || *s == '\\') {
        to[0] = '\\';
        to[1] = (char)*s;
        return 2;
    }
    if (length == 0 || *s < 0x20 || *s == 0x7f) {
        const char *digits = "0123456789abcdef";
        memcpy(to, "\\u00", 4);
        to[4] = digits[*s >> 4];
        to[5] = digits[*s & 15];
        return 6;
    }
    memcpy(to, s, length);
    return length;
}

/* Appends `"key":` with its comma; false when that and `room` more do not fit. */
static bool put_key(struct event *event, const char *key, size_t room)
{
    size_t size = strlen(key);
    if (event->size + size + 4 + room > EVENT_BYTES_MAX)
        return false;
    event->line[event->size++] = ',';
    event->line[event->size++] = '"';
    memcpy(event->line + event->size, key, size);
    event->size += (unsigned)size;
    event->line[event->size++] = '"';
    event->line[event->size++] = ':';
    return true;
}

void event_begin(struct event *event, const char *name, const char *level)
{
    int size =
        snprintf(event->line, EVENT_BYTES_MAX, "{\"event\":\"%s\",\"level\":\"%s\"", name, level);
    assert(size > 0 && size < EVENT_BYTES_MAX);
    event->size = (unsigned)size;
}

void event_text(struct event *event, const char *key, struct slice value)
{
    char escaped[EVENT_VALUE_BYTES_MAX + 6];
    size_t size = 0, used;
    bool cut = false;
    while (value.size > 0) {
        char one[6];
        size_t length = escape_one(value, one, &used);
        if (size + length > EVENT_VALUE_BYTES_MAX) {
            cut = true;
            break;
        }
        memcpy(escaped + size, one, length);
        size += length;
        value = slice_from(value, used);
    }
    if (cut) {
        memcpy(escaped + size, "...", 3);
        size += 3;
    }
    if (!put_key(event, key, size + 2))
        return;
    event->line[event->size++] = '"';
    memcpy(event->line + event->size, escaped, size);
    event->size += (unsigned)size;
    event->line[event->size++] = '"';
}

void event_number(struct event *event, const char *key, int64_t value)
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%" PRId64, value);
    if (!put_key(event, key, (size_t)size))
        return;
    memcpy(event->line + event->size, digits, (size_t)size);
    event->size += (unsigned)size;
}

struct slice event_end(struct event *event, int64_t wall_ns)
{
    int64_t seconds = wall_ns / 1000000000, rest = wall_ns % 1000000000;
    if (rest < 0) {
        rest += 1000000000;
        seconds--;
    }
    time_t when = (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&when, &tm) == NULL)
        tm = (struct tm){.tm_year = 70, .tm_mday = 1};
    char text[32];
    size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    size_t room = sizeof event->line - event->size;
    int size = snprintf(event->line + event->size, room, ",\"time\":\"%.*s.%03uZ\"}\n", (int)length,
                        text, (unsigned)(rest / 1000000) % 1000);
    if (size > 0 && (size_t)size < room)
        event->size += (unsigned)size;
    return slice_of(event->line, event->size);
}
