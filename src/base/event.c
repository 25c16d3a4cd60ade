/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Builds one log line in place. Invariants:
 *   1. `size` never passes EVENT_BYTES_MAX before event_end: a member that does not fit is left out
 *      whole.
 *   2. The line is valid JSON in UTF-8 with no byte below 0x20, whatever the peer sent.
 * Owns nothing, cannot fail.
 */
#include "ringpost/event.h"

#include <assert.h>
#include <time.h>

#include "ringpost/number.h"

/* How many bytes from the start stand in a line as they are, of at most `size`. */
static size_t plain_run(struct slice value, size_t size)
{
    size_t run = 0;
    if (size > value.size)
        size = value.size;
    while (run < size && value.data[run] >= ' ' && value.data[run] < 0x7f &&
           value.data[run] != '"' && value.data[run] != '\\')
        run++;
    return run;
}

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
    if (event->size > 1) /* a row may have no member yet */
        event->line[event->size++] = ',';
    event->line[event->size++] = '"';
    memcpy(event->line + event->size, key, size);
    event->size += (unsigned)size;
    event->line[event->size++] = '"';
    event->line[event->size++] = ':';
    return true;
}

static void put_text(struct event *event, struct slice text)
{
    assert(text.size <= sizeof event->line - event->size && "1");
    memcpy(event->line + event->size, text.data, text.size);
    event->size += (unsigned)text.size;
}

void event_begin(struct event *event, const char *name, const char *level)
{
    event->size = 0;
    put_text(event, SLICE("{\"event\":\""));
    put_text(event, slice_cstr(name));
    put_text(event, SLICE("\",\"level\":\""));
    put_text(event, slice_cstr(level));
    put_text(event, SLICE("\""));
    assert(event->size < EVENT_BYTES_MAX);
}

void event_text(struct event *event, const char *key, struct slice value)
{
    char escaped[EVENT_VALUE_BYTES_MAX + 6];
    size_t size = 0, used;
    bool cut = false;
    while (value.size > 0) {
        char one[6];
        size_t run = plain_run(value, EVENT_VALUE_BYTES_MAX - size);
        memcpy(escaped + size, value.data, run);
        size += run;
        value = slice_from(value, run);
        if (value.size == 0)
            break;
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
    char digits[NUMBER_DECIMAL_BYTES_MAX + 1] = "-";
    bool is_negative = value < 0;
    uint64_t magnitude = is_negative ? -(uint64_t)value : (uint64_t)value;
    size_t size = is_negative + number_decimal(digits + is_negative, magnitude);
    if (put_key(event, key, size))
        put_text(event, slice_of(digits, size));
}

void event_flag(struct event *event, const char *key, bool value)
{
    struct slice text = value ? SLICE("true") : SLICE("false");
    if (put_key(event, key, text.size))
        put_text(event, text);
}

void event_begin_row(struct event *event)
{
    event->size = 0;
    put_text(event, SLICE("{"));
}

struct slice event_end_row(struct event *event)
{
    put_text(event, SLICE("}\n"));
    return slice_of(event->line, event->size);
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
    if (gmtime_r(&when, &tm) == NULL || tm.tm_year + 1900 < 0 || tm.tm_year + 1900 > 9999)
        tm = (struct tm){.tm_year = 70, .tm_mday = 1};
    char text[] = ",\"time\":\"0000-00-00T00:00:00.000Z\"}\n";
    char *at = text + sizeof ",\"time\":\"" - 1;
    number_digits(at, (unsigned)tm.tm_year + 1900, 4);
    number_digits(at + 5, (unsigned)tm.tm_mon + 1, 2);
    number_digits(at + 8, (unsigned)tm.tm_mday, 2);
    number_digits(at + 11, (unsigned)tm.tm_hour, 2);
    number_digits(at + 14, (unsigned)tm.tm_min, 2);
    number_digits(at + 17, (unsigned)tm.tm_sec, 2);
    number_digits(at + 20, (uint64_t)rest / 1000000, 3);
    put_text(event, slice_of(text, sizeof text - 1));
    return slice_of(event->line, event->size);
}
