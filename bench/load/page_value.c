/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Values of reports: numbers with their units, and members of JSON that may be missing or anything
 * else than was hoped for.
 */
#include "page_text.h"

#include <math.h>
#include <stdio.h>

static const struct scale {
    double factor; /* of one of the unit below */
    const char *name;
} scales_us[] = {{1, " us"}, {1e3, " ms"}, {1e6, " s"}}, scales_seconds[] = {{1, " s"}},
  scales_share[] = {{0.01, " %"}}, scales_times[] = {{1, "x"}}, scales_plain[] = {{1, ""}},
  scales_count[] = {{1, ""}, {1e3, " k"}, {1e6, " M"}, {1e9, " G"}, {1e12, " T"}},
  scales_bytes[] = {
      {1, " B"}, {1024, " KiB"}, {1048576, " MiB"}, {1073741824, " GiB"}, {1099511627776, " TiB"}};

#define SCALES(name) name, sizeof name / sizeof name[0]
static const struct scale *scale_of(enum unit unit, double value)
{
    static const struct {
        const struct scale *scales;
        unsigned count;
    } table[] = {
        [UNIT_COUNT] = {SCALES(scales_count)},     [UNIT_US] = {SCALES(scales_us)},
        [UNIT_SECONDS] = {SCALES(scales_seconds)}, [UNIT_BYTES] = {SCALES(scales_bytes)},
        [UNIT_SHARE] = {SCALES(scales_share)},     [UNIT_TIMES] = {SCALES(scales_times)},
        [UNIT_NINES] = {SCALES(scales_share)},     [UNIT_PLAIN] = {SCALES(scales_plain)},
    };
    unsigned best = 0;
    for (unsigned i = 1; i < table[unit].count; i++) /* 999.6 us is shown as 1.00 ms */
        if (fabs(value) >= table[unit].scales[i].factor * 0.9995)
            best = i;
    return &table[unit].scales[best];
}

/* 1234567 -> 1,234,567 */
static void put_grouped(double value, char ret_text[UNIT_TEXT_BYTES])
{
    char digits[UNIT_TEXT_BYTES];
    int size = snprintf(digits, sizeof digits, "%.0f", value);
    unsigned at = 0;
    for (int i = 0; i < size && at + 2 < UNIT_TEXT_BYTES; i++) {
        ret_text[at++] = digits[i];
        if ((size - i) % 3 == 1 && i + 1 < size && digits[i] != '-')
            ret_text[at++] = ',';
    }
    ret_text[at] = '\0';
}

void unit_text(enum unit unit, double value, char ret_text[UNIT_TEXT_BYTES])
{
    if (!isfinite(value) || fabs(value) > 1e18) {
        snprintf(ret_text, UNIT_TEXT_BYTES, "%s", isfinite(value) ? "huge" : "-");
        return;
    }
    if (unit == UNIT_NINES)
        value = 1 - 1 / value;
    bool is_whole = value == floor(value);
    if (unit == UNIT_COUNT && (is_whole || fabs(value) >= 99.95) && fabs(value) < 1e12) {
        put_grouped(value, ret_text);
        return;
    }
    const struct scale *scale = scale_of(unit, value);
    value /= scale->factor;
    double size = fabs(value);
    int places = size >= 99.95 || (size == 0) || (unit == UNIT_BYTES && scale->factor == 1) ? 0
                 : size >= 9.995                                                            ? 1
                 : size >= 0.9995                                                           ? 2
                                                                                            : 3;
    snprintf(ret_text, UNIT_TEXT_BYTES, "%.*f%s", places, value, scale->name);
}

void unit_tick(enum unit unit, double value, char ret_text[UNIT_TEXT_BYTES])
{
    if (!isfinite(value) || fabs(value) > 1e18) {
        unit_text(unit, value, ret_text);
        return;
    }
    if (unit == UNIT_NINES)
        value = 1 - 1 / value;
    const struct scale *scale = scale_of(unit, value);
    snprintf(ret_text, UNIT_TEXT_BYTES, "%.9g%s", value / scale->factor, scale->name);
}

void text_unit(struct text *text, const char *shown)
{
    for (const char *at = shown; *at != '\0'; at++)
        if (*at == ' ')
            text_put(text, "\xc2\xa0");
        else if (at[0] == 'u' && at[1] == 's')
            text_put(text, "\xc2\xb5");
        else if (*at == 'x')
            text_put(text, "\xc3\x97");
        else if (at == shown && *at == '-' && at[1] == '\0')
            text_put(text, "\xe2\x80\x93");
        else
            text_bytes(text, at, 1);
}

void text_value(struct text *text, enum unit unit, double value)
{
    char shown[UNIT_TEXT_BYTES];
    unit_text(unit, value, shown);
    text_unit(text, shown);
}

void text_range(struct text *text, enum unit unit, double low, double high)
{
    text_value(text, unit, low);
    text_put(text, "\xe2\x80\x93");
    text_value(text, unit, high);
}

const json_t *member(const json_t *object, const char *path)
{
    while (object != NULL && *path != '\0') {
        char name[64];
        size_t size = strcspn(path, ".");
        if (size >= sizeof name)
            return NULL;
        memcpy(name, path, size);
        name[size] = '\0';
        object = json_object_get(object, name);
        path += size + (path[size] == '.');
    }
    return object;
}

double json_finite(const json_t *value)
{
    double number = json_is_number(value) ? json_number_value(value) : NAN;
    return isfinite(number) ? number : NAN;
}

struct slice json_words(const json_t *value)
{
    if (!json_is_string(value))
        return (struct slice){0};
    return slice_of(json_string_value(value), json_string_length(value));
}

double member_number(const json_t *object, const char *path)
{
    return json_finite(member(object, path));
}

struct slice member_string(const json_t *object, const char *path)
{
    return json_words(member(object, path));
}

static void put_list(struct text *text, const json_t *list, bool is_html)
{
    enum { ITEMS_MAX = 8 };
    size_t count = json_array_size(list);
    text_put(text, count == 0 ? "none" : "");
    for (size_t i = 0; i < count && i < ITEMS_MAX; i++) {
        const json_t *item = json_array_get(list, i);
        text_put(text, i ? ", " : "");
        if (json_is_array(item))
            text_put(text, "(a list)");
        else
            text_json(text, item, is_html);
    }
    text_put(text, count > ITEMS_MAX ? ", ..." : "");
}

void text_json(struct text *text, const json_t *value, bool is_html)
{
    char shown[64] = "-";
    if (json_is_array(value)) {
        put_list(text, value, is_html);
        return;
    }
    if (json_is_string(value)) {
        if (is_html)
            text_html(text, json_words(value), TEXT_LINE);
        else
            text_plain(text, json_words(value), TEXT_SHORT);
        return;
    }
    if (json_is_integer(value))
        snprintf(shown, sizeof shown, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(shown, sizeof shown, "%.6g", json_real_value(value));
    else if (json_is_boolean(value))
        snprintf(shown, sizeof shown, "%s", json_is_true(value) ? "yes" : "no");
    else if (json_is_object(value))
        snprintf(shown, sizeof shown, "(an object)");
    text_put(text, shown);
}
