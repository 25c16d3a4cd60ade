/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What reports are written with: text that grows (struct text is in page.h), strings of others made
 * harmless, values with their units, members of JSON read without trust.
 */
#ifndef RINGPOST_BENCH_PAGE_TEXT_H
#define RINGPOST_BENCH_PAGE_TEXT_H

#include "page.h"
#include "ringpost/slice.h"

enum { TEXT_SHORT = 80, TEXT_LINE = 300, TEXT_LONG = 4000 }; /* characters of others' strings */

/* Our own words, as they are. text_format: at most 1,000 bytes at once. */
void text_put(struct text *text, const char *words);
void text_bytes(struct text *text, const char *bytes, size_t size);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Somebody else's words, as text of HTML or inside a quoted attribute: escaped; control characters
 * are shown as \x1b, characters that turn, hide or pile up text as <U+202E>, bytes that are no
 * UTF-8 as U+FFFD; cut behind `characters_max`, with an ellipsis. */
void text_html(struct text *text, struct slice words, unsigned characters_max);
/* The same for a terminal: nothing of it can move the cursor. */
void text_plain(struct text *text, struct slice words, unsigned characters_max);

/* How a number is shown: three significant digits and the unit that suits it. */
enum unit {
    UNIT_COUNT,   /* 20,000; on axes 20 k */
    UNIT_US,      /* microseconds: 8.90 us, 1.20 ms, 3.00 s */
    UNIT_SECONDS, /* 10.0 s; on axes 10 s or 1:30 */
    UNIT_BYTES,   /* 690 B, 1.50 KiB */
    UNIT_SHARE,   /* of 1: 0.55 is 55.0 % */
    UNIT_TIMES,   /* a ratio: 1.09x */
    UNIT_NINES,   /* 1 / (1 - p): 100 is 99 % */
    UNIT_PLAIN,   /* 0.930 */
};
enum { UNIT_TEXT_BYTES = 32 };
/* "-" when it is no number. ASCII. */
void unit_text(enum unit unit, double value, char ret_text[UNIT_TEXT_BYTES]);
/* The same without zeros at the end, for ticks of axes. */
void unit_tick(enum unit unit, double value, char ret_text[UNIT_TEXT_BYTES]);
/* As HTML: with a space that does not break, and the micro sign. */
void text_value(struct text *text, enum unit unit, double value);
void text_range(struct text *text, enum unit unit, double low, double high);
void text_unit(struct text *text, const char *shown); /* what unit_text or unit_tick gave */

/* `path` is of our own words: "phases.operation.p50_us". Missing, of another type, not finite:
 * NULL, NAN, or an empty slice. */
const json_t *member(const json_t *object, const char *path);
double member_number(const json_t *object, const char *path);
struct slice member_string(const json_t *object, const char *path);
double json_finite(const json_t *value);
struct slice json_words(const json_t *value);
/* Any value in few words: strings, numbers, yes, no, lists of them; null and missing are "-". */
void text_json(struct text *text, const json_t *value, bool is_html);

#endif
