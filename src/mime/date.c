/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Date fields (RFC 5322 3.3, obsolete forms 4.3): [day-name ","] day month year hour ":" minute
 * [":" second] zone. Two- and three-digit years, named zones and comments pass. A value out of
 * range is no date. The day of the week is not checked: it carries nothing. Invariant: numbers are
 * cut at 4 digits, so no sum can overflow.
 */
#include "mime_private.h"

struct reader {
    const char *at, *end;
};

struct civil {
    int year, month, day;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* 1 to 4 digits and no more. Returns how many, 0 on failure. */
static int number_take(struct reader *reader, int *ret_number)
{
    reader->at = mime_skip_blanks(reader->at, reader->end);
    int digits = 0, number = 0;
    for (; reader->at < reader->end && is_digit(*reader->at); reader->at++) {
        if (++digits > 4)
            return 0;
        number = number * 10 + (*reader->at - '0');
    }
    *ret_number = number;
    return digits;
}

static bool char_take(struct reader *reader, char c)
{
    reader->at = mime_skip_blanks(reader->at, reader->end);
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

static struct slice letters_take(struct reader *reader)
{
    reader->at = mime_skip_blanks(reader->at, reader->end);
    const char *start = reader->at;
    while (reader->at < reader->end && ascii_lower(*reader->at) >= 'a' &&
           ascii_lower(*reader->at) <= 'z')
        reader->at++;
    return slice_of(start, (size_t)(reader->at - start));
}

/* 1..12, or 0. Long names pass. */
static int month_of(struct slice name)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    for (int month = 1; name.size >= 3 && month <= 12; month++)
        if (slice_starts_nocase(name, slice_of(names + 3 * (month - 1), 3)))
            return month;
    return 0;
}

static int days_of_month(int year, int month)
{
    static const signed char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

static bool civil_take(struct reader *reader, struct civil *ret_civil)
{
    if (letters_take(reader).size > 0)
        char_take(reader, ',');
    struct civil civil;
    if (number_take(reader, &civil.day) == 0)
        return false;
    char_take(reader, '-'); /* "1-Jan-2000" is seen */
    civil.month = month_of(letters_take(reader));
    char_take(reader, '-');
    int digits = number_take(reader, &civil.year);
    if (civil.month == 0 || digits < 2)
        return false;
    if (digits == 2)
        civil.year += civil.year < 50 ? 2000 : 1900;
    else if (digits == 3)
        civil.year += 1900;
    if (civil.year < 1900 || civil.day < 1 || civil.day > days_of_month(civil.year, civil.month))
        return false;
    *ret_civil = civil;
    return true;
}

/* Days since 1970-01-01 in the Gregorian calendar; years count from March, so that the leap day is
 * a year's last. */
static int64_t days_from_civil(struct civil civil)
{
    int64_t year = civil.year - (civil.month <= 2);
    int64_t month = (civil.month + 9) % 12;
    int64_t day_of_year = (153 * month + 2) / 5 + civil.day - 1;
    return year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719468;
}

/* RFC 5322 4.3. Letters that are not listed mean "unknown", -0000. */
static int zone_of_name(struct slice name)
{
    static const struct {
        char name[4];
        int minutes;
    } zones[] = {{"EDT", -240}, {"EST", -300}, {"CDT", -300}, {"CST", -360},
                 {"MDT", -360}, {"MST", -420}, {"PDT", -420}, {"PST", -480}};
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++)
        if (slice_equal_nocase(name, slice_of(zones[i].name, 3)))
            return zones[i].minutes;
    return 0;
}

/* False if a zone stands there that cannot be; a lacking one is 0. */
static bool zone_take(struct reader *reader, int *ret_minutes)
{
    *ret_minutes = 0;
    reader->at = mime_skip_blanks(reader->at, reader->end);
    if (reader->at == reader->end)
        return true;
    char sign = *reader->at;
    if (sign != '+' && sign != '-') {
        *ret_minutes = zone_of_name(letters_take(reader));
        return true;
    }
    reader->at++;
    int zone;
    if (number_take(reader, &zone) != 4 || zone / 100 > 23 || zone % 100 > 59)
        return false;
    int minutes = zone / 100 * 60 + zone % 100;
    *ret_minutes = sign == '-' ? -minutes : minutes;
    return true;
}

bool mime_date_parse(struct slice value, int64_t *ret_seconds, int *ret_zone_minutes)
{
    struct reader reader = {value.data, mime_end(value)};
    struct civil civil;
    int hour, minute, second = 0, zone;
    if (!civil_take(&reader, &civil) || number_take(&reader, &hour) == 0 ||
        !char_take(&reader, ':') || number_take(&reader, &minute) == 0)
        return false;
    if (char_take(&reader, ':') && number_take(&reader, &second) == 0)
        return false;
    if (hour > 23 || minute > 59 || second > 60 || !zone_take(&reader, &zone))
        return false;
    *ret_seconds = days_from_civil(civil) * 86400 + hour * 3600 + (minute - zone) * 60 + second;
    *ret_zone_minutes = zone;
    return true;
}

bool mime_date_day(struct slice value, int64_t *ret_day)
{
    struct reader reader = {value.data, mime_end(value)};
    struct civil civil;
    if (!civil_take(&reader, &civil))
        return false;
    *ret_day = days_from_civil(civil);
    return true;
}
