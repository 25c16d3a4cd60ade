/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parser's primitives (RFC 9051 section 9, the parts that RFC 3501 has too): atoms, strings,
 * numbers, names, dates. Pure; each takes what it names or leaves the cursor where it was.
 *
 * Quoted strings and literals are borrowed from the command's text unless an escape must be undone.
 */
#include "imap_private.h"

/* Takes what `body` took, or puts the cursor back. */
static bool settle(struct imap_cursor *cursor, struct imap_cursor start, bool is_taken)
{
    if (!is_taken)
        *cursor = start;
    return is_taken;
}

bool imap_is_atom_char(char c)
{
    return c > ' ' && c < 0x7f && strchr("(){%*\"\\]", c) == NULL;
}

bool imap_is_astring_char(char c)
{
    return c == ']' || imap_is_atom_char(c);
}

bool imap_take_word(struct imap_cursor *cursor, struct slice word)
{
    struct slice rest = slice_of(cursor->at, (size_t)(cursor->end - cursor->at));
    if (!slice_starts_nocase(rest, word))
        return false;
    if (rest.size > word.size && imap_is_atom_char(rest.data[word.size]))
        return false;
    cursor->at += word.size;
    return true;
}

static bool take_run(struct imap_cursor *cursor, bool (*is_wanted)(char c), struct slice *ret_run)
{
    const char *at = cursor->at;
    while (at < cursor->end && is_wanted(*at))
        at++;
    if (at == cursor->at)
        return false;
    *ret_run = slice_of(cursor->at, (size_t)(at - cursor->at));
    cursor->at = at;
    return true;
}

bool imap_take_atom(struct imap_cursor *cursor, struct slice *ret_atom)
{
    return take_run(cursor, imap_is_atom_char, ret_atom);
}

/* The inside of a quoted string, the cursor behind its first quote. */
static bool take_quoted(struct imap_cursor *cursor, struct arena *arena, struct slice *ret_string)
{
    const char *at = cursor->at;
    size_t escapes = 0;
    for (; at < cursor->end && *at != '"'; at++) {
        if (*at == '\r' || *at == '\n' || *at == '\0')
            return false;
        if (*at == '\\') {
            if (++at == cursor->end || (*at != '"' && *at != '\\'))
                return false;
            escapes++;
        }
    }
    if (at == cursor->end)
        return false;
    struct slice raw = slice_of(cursor->at, (size_t)(at - cursor->at));
    if (!slice_is_utf8(raw))
        return false;
    if (escapes > 0) {
        char *plain = arena_alloc(arena, raw.size - escapes);
        if (plain == NULL)
            return false;
        size_t size = 0;
        for (size_t i = 0; i < raw.size; i++)
            plain[size++] = raw.data[i] == '\\' ? raw.data[++i] : raw.data[i];
        raw = slice_of(plain, size);
    }
    *ret_string = raw;
    cursor->at = at + 1;
    return true;
}

/* "{5}CRLFhello" or with "+"; the cursor behind the brace. */
static bool take_literal(struct imap_cursor *cursor, struct slice *ret_string)
{
    uint64_t size;
    if (!imap_take_number(cursor, UINT32_MAX, &size))
        return false;
    imap_take(cursor, '+');
    if (!imap_take(cursor, '}') || !imap_take(cursor, '\r') || !imap_take(cursor, '\n'))
        return false;
    if (size > (size_t)(cursor->end - cursor->at))
        return false;
    struct slice bytes = slice_of(cursor->at, (size_t)size);
    if (bytes.size > 0 && memchr(bytes.data, '\0', bytes.size) != NULL)
        return false;
    *ret_string = bytes;
    cursor->at += size;
    return true;
}

bool imap_take_string(struct imap_cursor *cursor, struct arena *arena, struct slice *ret_string)
{
    struct imap_cursor start = *cursor;
    if (imap_take(cursor, '"'))
        return settle(cursor, start, take_quoted(cursor, arena, ret_string));
    if (imap_take(cursor, '{'))
        return settle(cursor, start, take_literal(cursor, ret_string));
    return false;
}

bool imap_take_astring(struct imap_cursor *cursor, struct arena *arena, struct slice *ret_string)
{
    return take_run(cursor, imap_is_astring_char, ret_string) ||
           imap_take_string(cursor, arena, ret_string);
}

bool imap_take_nstring(struct imap_cursor *cursor, struct arena *arena, struct slice *ret_string)
{
    if (!imap_take_word(cursor, SLICE("NIL")))
        return imap_take_string(cursor, arena, ret_string);
    *ret_string = (struct slice){0};
    return true;
}

bool imap_take_number(struct imap_cursor *cursor, uint64_t max, uint64_t *ret_number)
{
    const char *at = cursor->at;
    while (at < cursor->end && *at >= '0' && *at <= '9')
        at++;
    if (!slice_number(slice_of(cursor->at, (size_t)(at - cursor->at)), max, ret_number))
        return false;
    cursor->at = at;
    return true;
}

bool imap_take_nz_number(struct imap_cursor *cursor, uint32_t *ret_number)
{
    uint64_t number;
    if (imap_next(cursor) == '0' || !imap_take_number(cursor, UINT32_MAX, &number))
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

bool imap_take_mailbox(struct imap_cursor *cursor, struct arena *arena, struct slice *ret_name)
{
    struct imap_cursor start = *cursor;
    struct slice raw;
    if (!imap_take_astring(cursor, arena, &raw))
        return false;
    struct text name;
    text_init(&name, arena);
    bool is_good = imap_utf7_decode(raw, &name) && !name.failed;
    if (is_good)
        *ret_name = slice_equal_nocase(text_slice(&name), SLICE("INBOX")) ? SLICE("INBOX")
                                                                          : text_slice(&name);
    return settle(cursor, start, is_good);
}

/* ---------------------------------------------------------------- dates */

static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";

/* Days from civil, counted in eras of 400 years that begin on 1 March. */
int64_t imap_day_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? (int64_t)year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400, year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

void imap_day_split(int64_t day, int *ret_year, int *ret_month, int *ret_day)
{
    int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * of_year + 2) / 153;
    *ret_day = (int)(of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int)(month < 10 ? month + 3 : month - 9);
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

/* Exactly `count` digits. */
static bool take_digits(struct imap_cursor *cursor, unsigned count, int *ret_value)
{
    uint64_t value;
    if ((size_t)(cursor->end - cursor->at) < count ||
        !slice_number(slice_of(cursor->at, count), 9999, &value))
        return false;
    cursor->at += count;
    *ret_value = (int)value;
    return true;
}

/* "-Jan-2026" and, with the day of the month already taken, the day since 1970. */
static bool take_month_year(struct imap_cursor *cursor, int day_of_month, int64_t *ret_day)
{
    int month = 0, year;
    if (!imap_take(cursor, '-') || cursor->end - cursor->at < 3)
        return false;
    for (int i = 1; i <= 12; i++)
        if (slice_equal_nocase(slice_of(cursor->at, 3), slice_of(months + (i - 1) * 3, 3)))
            month = i;
    cursor->at += 3;
    if (month == 0 || !imap_take(cursor, '-') || !take_digits(cursor, 4, &year))
        return false;
    int64_t day = imap_day_of(year, month, day_of_month);
    int same_year, same_month, same_day;
    imap_day_split(day, &same_year, &same_month, &same_day);
    if (same_day != day_of_month || same_month != month) /* 31-Feb */
        return false;
    *ret_day = day;
    return true;
}

static bool take_date_text(struct imap_cursor *cursor, int64_t *ret_day)
{
    int day;
    return (take_digits(cursor, 2, &day) || take_digits(cursor, 1, &day)) &&
           take_month_year(cursor, day, ret_day);
}

bool imap_take_date(struct imap_cursor *cursor, int64_t *ret_day)
{
    struct imap_cursor start = *cursor;
    bool is_quoted = imap_take(cursor, '"');
    int64_t day;
    bool is_good = take_date_text(cursor, &day) && (!is_quoted || imap_take(cursor, '"'));
    if (is_good)
        *ret_day = day;
    return settle(cursor, start, is_good);
}

/* "00:00:00 +0100" */
static bool take_time_zone(struct imap_cursor *cursor, int *ret_seconds, int *ret_zone)
{
    int hour, minute, second, zone_hour, zone_minute;
    if (!take_digits(cursor, 2, &hour) || !imap_take(cursor, ':') ||
        !take_digits(cursor, 2, &minute) || !imap_take(cursor, ':') ||
        !take_digits(cursor, 2, &second) || !imap_take(cursor, ' '))
        return false;
    bool is_west = imap_take(cursor, '-');
    if (!is_west && !imap_take(cursor, '+'))
        return false;
    if (!take_digits(cursor, 2, &zone_hour) || !take_digits(cursor, 2, &zone_minute))
        return false;
    if (hour > 23 || minute > 59 || second > 60 || zone_hour > 23 || zone_minute > 59)
        return false;
    *ret_seconds = hour * 3600 + minute * 60 + second;
    *ret_zone = (is_west ? -1 : 1) * (zone_hour * 60 + zone_minute);
    return true;
}

bool imap_take_date_time(struct imap_cursor *cursor, int64_t *ret_seconds, int16_t *ret_zone)
{
    struct imap_cursor start = *cursor;
    int day_of_month, seconds, zone;
    int64_t day;
    bool is_good = imap_take(cursor, '"') &&
                   (imap_take(cursor, ' ') ? take_digits(cursor, 1, &day_of_month)
                                           : take_digits(cursor, 2, &day_of_month)) &&
                   take_month_year(cursor, day_of_month, &day) && imap_take(cursor, ' ') &&
                   take_time_zone(cursor, &seconds, &zone) && imap_take(cursor, '"');
    if (is_good) {
        *ret_seconds = day * 86400 + seconds - zone * 60;
        *ret_zone = (int16_t)zone;
    }
    return settle(cursor, start, is_good);
}
