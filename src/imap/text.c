/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Strings as IMAP sends them. What messages and clients put into them cannot end a line: anything
 * but plain ASCII goes into a literal (M3, row I20).
 */
#include "imap_private.h"

enum { QUOTED_BYTES_MAX = 1000 };

static bool is_quotable(struct slice string)
{
    if (string.size > QUOTED_BYTES_MAX)
        return false;
    for (size_t i = 0; i < string.size; i++) {
        unsigned char c = (unsigned char)string.data[i];
        if (c == '\0' || c == '\r' || c == '\n' || c >= 0x7f)
            return false;
    }
    return true;
}

static void text_quoted(struct text *text, struct slice string)
{
    text_char(text, '"');
    for (size_t done = 0; done < string.size;) {
        size_t plain = done;
        while (plain < string.size && string.data[plain] != '"' && string.data[plain] != '\\')
            plain++;
        text_append(text, slice_of(string.data + done, plain - done));
        if (plain < string.size) {
            text_char(text, '\\');
            text_char(text, string.data[plain++]);
        }
        done = plain;
    }
    text_char(text, '"');
}

static void text_literal(struct text *text, struct slice string)
{
    text_printf(text, "{%zu}\r\n", string.size);
    size_t start = text->size;
    text_append(text, string);
    if (text->failed)
        return;
    for (size_t i = start; i < text->size; i++)
        if (text->data[i] == '\0')
            text->data[i] = '?';
}

void imap_text_string(struct text *text, struct slice string)
{
    if (is_quotable(string))
        text_quoted(text, string);
    else
        text_literal(text, string);
}

void imap_text_astring(struct text *text, struct slice string)
{
    bool is_atom = string.size > 0 && !slice_equal_nocase(string, SLICE("NIL"));
    for (size_t i = 0; i < string.size && is_atom; i++)
        is_atom = imap_is_astring_char(string.data[i]);
    if (is_atom)
        text_append(text, string);
    else
        imap_text_string(text, string);
}

void imap_text_mailbox(struct text *text, struct slice name)
{
    struct text encoded;
    text_init(&encoded, text->arena);
    imap_utf7_encode(name, &encoded);
    text->failed = text->failed || encoded.failed;
    if (!encoded.failed)
        imap_text_astring(text, text_slice(&encoded));
}

void imap_text_date_time(struct text *text, int64_t seconds, int zone)
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    enum { DAY = 86400 };
    static const int64_t year_1 = INT64_C(-62135596800) + DAY,
                         year_9999 = INT64_C(253402300799) - DAY;
    if (seconds < year_1 || seconds > year_9999) /* from a damaged store */
        seconds = 0;
    int64_t local = seconds + (int64_t)zone * 60;
    int64_t day = local / DAY - (local % DAY < 0), of_day = local - day * DAY;
    int year, month, day_of_month;
    imap_day_split(day, &year, &month, &day_of_month);
    int east = zone < 0 ? -zone : zone;
    text_printf(text, "\"%2d-%s-%04d %02d:%02d:%02d %c%02d%02d\"", day_of_month, months[month - 1],
                year, (int)(of_day / 3600), (int)(of_day / 60 % 60), (int)(of_day % 60),
                zone < 0 ? '-' : '+', east / 60 % 100, east % 60);
}
