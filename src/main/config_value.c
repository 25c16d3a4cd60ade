/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sizes, durations and modes as people write them: a whole number and a unit, nothing else.
 * No fractions, no blanks, no sign, no number without its unit, nothing that overflows silently.
 */
#include <inttypes.h>
#include <stdio.h>

#include "config.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first, so that the first that divides a value is the one to show it in. */
static const struct unit sizes[] = {
    {"G", UINT64_C(1) << 30}, {"M", 1 << 20}, {"K", 1024}, {"B", 1}};
static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
enum {
    SIZE_UNITS = sizeof sizes / sizeof *sizes,
    DURATION_UNITS = sizeof durations / sizeof *durations
};

static bool parse(const char *text, const struct unit *units, size_t count, uint64_t *ret_value)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t number;
    if (digits == 0 || !slice_number(slice_of(text, digits), UINT64_MAX - 1, &number))
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(text + digits, units[i].name) == 0 && number <= INT64_MAX / units[i].factor) {
            *ret_value = number * units[i].factor;
            return true;
        }
    return false;
}

static void show(uint64_t value, const struct unit *units, size_t count, char text[32])
{
    size_t i = 0;
    while (i + 1 < count && (value == 0 || value % units[i].factor != 0))
        i++;
    if (value == 0 && units == durations)
        i = 3; /* "0s" */
    snprintf(text, 32, "%" PRIu64 "%s", value / units[i].factor, units[i].name);
}

const char *config_parse_size(const char *text, uint64_t *ret_bytes)
{
    if (parse(text, sizes, SIZE_UNITS, ret_bytes))
        return NULL;
    return "is no size; write a whole number and B, K, M or G, such as \"25M\"";
}

const char *config_parse_duration(const char *text, uint64_t *ret_ms)
{
    if (parse(text, durations, DURATION_UNITS, ret_ms))
        return NULL;
    return "is no duration; write a whole number and ms, s, m, h or d, such as \"30m\"";
}

const char *config_parse_mode(const char *text, uint64_t *ret_mode)
{
    uint64_t mode = 0;
    size_t size = strlen(text);
    if (size < 3 || size > 4 || strspn(text, "01234567") != size)
        return "is no mode; write three or four octal digits, such as \"0660\"";
    for (const char *at = text; *at != '\0'; at++)
        mode = mode * 8 + (uint64_t)(*at - '0');
    *ret_mode = mode;
    return NULL;
}

static int hex_digit(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

const char *config_parse_pin(const char *text, uint8_t ret_pin[CONFIG_PIN_BYTES])
{
    bool has_colons = strlen(text) == CONFIG_PIN_BYTES * 3 - 1;
    bool is_right = has_colons || strlen(text) == CONFIG_PIN_BYTES * 2;
    for (unsigned i = 0; i < CONFIG_PIN_BYTES && is_right; i++) {
        const char *at = text + i * (has_colons ? 3u : 2u);
        int high = hex_digit(at[0]), low = hex_digit(at[1]);
        bool separated = !has_colons || i + 1 == CONFIG_PIN_BYTES || at[2] == ':';
        is_right = high >= 0 && low >= 0 && separated;
        if (is_right)
            ret_pin[i] = (uint8_t)(high << 4 | low);
    }
    return is_right ? NULL : "is no SHA-256; write its 64 hex digits, with colons or without";
}

void config_show_size(uint64_t bytes, char text[32])
{
    show(bytes, sizes, SIZE_UNITS, text);
}

void config_show_duration(uint64_t ms, char text[32])
{
    show(ms, durations, DURATION_UNITS, text);
}
