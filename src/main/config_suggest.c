/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the writer of an unknown key may have meant, and the reference page: the two readers of the
 * table that serve people.
 */
#include <inttypes.h>
#include <stdio.h>

#include "config.h"

enum { KEY_BYTES_MAX = 72, DISTANCE_MAX = 3 };

/* Levenshtein's distance without regard to case and to '-' for '_'; SIZE_MAX for long texts. */
static size_t distance(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b), before[KEY_BYTES_MAX + 1];
    if (rows > KEY_BYTES_MAX || columns > KEY_BYTES_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= columns; j++)
        before[j] = j;
    for (size_t i = 1; i <= rows; i++) {
        size_t diagonal = before[0];
        before[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            char from = a[i - 1] == '-' ? '_' : ascii_lower(a[i - 1]);
            size_t changed = diagonal + (from != b[j - 1]);
            size_t shorter = before[j] < before[j - 1] ? before[j] : before[j - 1];
            diagonal = before[j];
            before[j] = changed < shorter + 1 ? changed : shorter + 1;
        }
    }
    return before[columns];
}

static const char *section_name(enum config_section section)
{
    return *config_sections[section].name ? config_sections[section].name : "the top level";
}

/* The nearest key or section name within `section`. */
static const char *nearest(enum config_section section, const char *key, size_t *ret_distance)
{
    const char *best = NULL;
    *ret_distance = DISTANCE_MAX + 1;
    for (unsigned i = 0; i < config_row_count; i++) {
        size_t far = distance(key, config_rows[i].key);
        if (config_rows[i].section == section && far < *ret_distance) {
            *ret_distance = far;
            best = config_rows[i].key;
        }
    }
    for (int i = 1; i < CONFIG_SECTION_COUNT; i++) {
        size_t far = distance(key, config_sections[i].name);
        if (config_sections[i].parent == section && far < *ret_distance) {
            *ret_distance = far;
            best = config_sections[i].name;
        }
    }
    return best;
}

void config_suggest(enum config_section section, const char *key, char *text, size_t size)
{
    size_t far;
    const char *near = nearest(section, key, &far);
    for (unsigned i = 0; i < config_row_count && far > 0; i++)
        if (config_rows[i].section != section && strcmp(config_rows[i].key, key) == 0) {
            snprintf(text, size, "it belongs to %s", section_name(config_rows[i].section));
            return;
        }
    if (near != NULL) {
        snprintf(text, size, "did you mean \"%s\"?", near);
        return;
    }
    size_t used = (size_t)snprintf(text, size, "known here are");
    for (unsigned i = 0; i < config_row_count; i++)
        if (config_rows[i].section == section && used + KEY_BYTES_MAX < size)
            used += (size_t)snprintf(text + used, size - used, " %s", config_rows[i].key);
}

/* The name of a row's variable in small letters; the entries of lists are n. */
static void variable_name(const struct config_row *row, char name[KEY_BYTES_MAX + 1])
{
    char words[KEY_BYTES_MAX + 1];
    enum config_section section = row->section;
    snprintf(name, KEY_BYTES_MAX + 1, "%s", row->key);
    while (section != CONFIG_SECTION_GENERAL) {
        const struct config_section_row *at = &config_sections[section];
        memcpy(words, name, sizeof words);
        snprintf(name, KEY_BYTES_MAX + 1, "%.20s%s__%.46s", at->name,
                 at->item_bytes > 0 ? "__n" : "", words);
        section = at->parent;
    }
}

void config_suggest_variable(const char *given, char *text, size_t size)
{
    char like[KEY_BYTES_MAX + 1], name[KEY_BYTES_MAX + 1], best[KEY_BYTES_MAX + 1] = "";
    size_t used = 0, nearest_so_far = DISTANCE_MAX + 1;
    for (const char *at = given; *at != '\0' && used < KEY_BYTES_MAX; at++) {
        bool is_digit = *at >= '0' && *at <= '9';
        if (!is_digit)
            like[used++] = ascii_lower(*at);
        else if (used == 0 || like[used - 1] != 'n' || at[-1] < '0' || at[-1] > '9')
            like[used++] = 'n';
    }
    like[used] = '\0';
    for (unsigned i = 0; i < config_row_count; i++) {
        variable_name(&config_rows[i], name);
        size_t far = distance(like, name);
        if (far < nearest_so_far && far * 2 < used) {
            nearest_so_far = far;
            memcpy(best, name, sizeof best);
        }
    }
    if (*best == '\0') {
        snprintf(text, size,
                 "RINGPOST_SECTION__KEY sets a key of docs/config.md, RINGPOST_KEY one "
                 "of the top level");
        return;
    }
    size_t at = (size_t)snprintf(text, size, "did you mean RINGPOST_");
    for (const char *from = best; *from != '\0' && at + 8 < size; from++) {
        bool is_entry = *from == 'n' && from > best && from[-1] == '_' && from[1] == '_';
        size_t other = strcspn(given, "0123456789"), digits = strspn(given + other, "0123456789");
        if (!is_entry)
            text[at++] = *from >= 'a' && *from <= 'z' ? (char)(*from - 'a' + 'A') : *from;
        else
            at += (size_t)snprintf(text + at, size - at, "%.*s",
                                   (int)(digits == 0  ? 1
                                         : digits < 6 ? digits
                                                      : 6),
                                   digits > 0 ? given + other : "0");
        given += is_entry ? other + digits : 0;
    }
    snprintf(text + at, size - at, "?");
}

/* ---------------------------------------------------------------- the reference page */

struct page {
    void (*say)(void *argument, const char *text);
    void *argument;
};

static void say_range(const struct page *page, const struct config_row *row)
{
    char text[200], low[32], high[32];
    switch (row->type) {
    case CONFIG_FLAG:
        snprintf(text, sizeof text, "true, false");
        break;
    case CONFIG_CHOICE: {
        size_t used = 0;
        for (const char *at = row->choices; *at != '\0'; at++)
            used +=
                (size_t)snprintf(text + used, sizeof text - used, *at == '|' ? "`, `" : "%c", *at);
        page->say(page->argument, "`");
        page->say(page->argument, text);
        snprintf(text, sizeof text, "`");
        break;
    }
    case CONFIG_SIZE:
        config_show_size(row->min, low);
        config_show_size(row->max, high);
        snprintf(text, sizeof text, "size, `\"%s\"` to `\"%s\"`", low, high);
        break;
    case CONFIG_DURATION:
        config_show_duration(row->min, low);
        config_show_duration(row->max, high);
        snprintf(text, sizeof text, "duration, `\"%s\"` to `\"%s\"`", low, high);
        break;
    case CONFIG_COUNT:
    case CONFIG_COUNT_POW2:
        snprintf(text, sizeof text, "number, %" PRIu64 " to %" PRIu64, row->min, row->max);
        break;
    case CONFIG_MODE:
        snprintf(text, sizeof text, "mode, up to `\"0777\"`");
        break;
    case CONFIG_NAMES:
        snprintf(text, sizeof text, "text, or `[ ]` of texts");
        break;
    case CONFIG_NETWORKS:
        snprintf(text, sizeof text, "network, or `[ ]` of networks");
        break;
    default:
        snprintf(text, sizeof text, row->type == CONFIG_PATH ? "path" : "text");
    }
    page->say(page->argument, text);
}

static void say_default(const struct page *page, const struct config_row *row)
{
    bool is_bare =
        row->type == CONFIG_FLAG || row->type == CONFIG_COUNT || row->type == CONFIG_COUNT_POW2;
    if (row->fallback == NULL) {
        page->say(page->argument, "must be given");
    } else if (*row->fallback == '\0') {
        page->say(page->argument, "none");
    } else {
        page->say(page->argument, is_bare ? "`" : "`\"");
        page->say(page->argument, row->fallback);
        page->say(page->argument, is_bare ? "`" : "\"`");
    }
}

static void say_section(const struct page *page, int section)
{
    char text[200];
    const char *name = section_name((enum config_section)section);
    enum config_section parent = config_sections[section].parent;
    snprintf(text, sizeof text, "\n## %s%s%s\n\n", config_sections[parent].name,
             parent == CONFIG_SECTION_GENERAL ? "" : ".", name);
    page->say(page->argument, text);
    page->say(page->argument, config_sections[section].doc);
    page->say(page->argument, "\n\n| key | value | default | |\n|---|---|---|---|\n");
    for (unsigned i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->section != (enum config_section)section)
            continue;
        snprintf(text, sizeof text, "| `%s` | ", row->key);
        page->say(page->argument, text);
        say_range(page, row);
        page->say(page->argument, " | ");
        say_default(page, row);
        page->say(page->argument, " | ");
        page->say(page->argument, row->doc);
        page->say(page->argument, " |\n");
    }
}

void config_reference(void (*say)(void *argument, const char *text), void *argument)
{
    struct page page = {say, argument};
    say(argument,
        "# The config file\n\n"
        "Made by `ringpost config-reference` from the table that also checks the file; do not "
        "edit.\n\n"
        "The syntax is libconfig's: `key = value;`, sections `name: { ... };`, lists of sections\n"
        "`name = ( { ... }, { ... } );`, comments `#`, `//` and `/* */`, and `@include \"file\"` "
        "alone on a\nline. Sizes and durations are texts with a unit: B, K, M, G (powers of "
        "1024); ms, s, m, h, d.\nPaths are taken from the folder of the config file. A key that is "
        "not on this page is an error;\n`ringpost check --config FILE` names every mistake with "
        "its line.\n"
        "\n## Environment variables\n\n"
        "A variable sets a key and goes before the file: `RINGPOST_` and the names on the way to "
        "the key, in\ncapital letters with `__` between them.\n\n"
        "    RINGPOST_HOST_NAME=mx.example.org          host_name\n"
        "    RINGPOST_LIMITS__MESSAGE_SIZE=25M          message_size in limits\n"
        "    RINGPOST_AUTH__TOKENS__ISSUER=...          issuer in tokens in auth\n"
        "    RINGPOST_DOMAINS__0__NAME=example.org      name in the first entry of domains\n"
        "    RINGPOST_AUTH__MECHANISMS=PLAIN,LOGIN      a list of texts\n\n"
        "Values are written as in the file, without quotes. Entries of lists are numbered from 0: "
        "those of\nthe file first; the number behind the last one adds an entry. A variable of "
        "that form which is no\nkey is an error. Passwords are never values: a key names the file "
        "that holds one.\n`ringpost check` lists the variables that count. A running gateway keeps "
        "those of its start.\n");
    for (int i = 0; i < CONFIG_SECTION_COUNT; i++)
        say_section(&page, i);
}
