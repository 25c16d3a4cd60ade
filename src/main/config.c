/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads a config file into struct config: every setting against its row, every row without a
 * setting to its default. Goes on after a problem, so that one run names them all.
 *
 * Owns: everything in config->arena; libconfig's tree only while reading.
 */
#include <errno.h>
#include <inttypes.h>
#include <libconfig.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "config_environment.h"

struct reading {
    struct config *config;
    const struct config_source *source;
    int entry[CONFIG_SECTION_COUNT]; /* of a list, the one that is being read */
};

void config_problem(struct config *config, struct config_place place, const char *format, ...)
{
    char what[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    for (char *at = what; *at != '\0'; at++) /* the file's bytes go to a terminal */
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    unsigned last = config->problem_count - 1;
    if (config->problem_count > 0 && config->problem_count <= CONFIG_PROBLEMS_MAX &&
        config->problems[last].place.line == place.line &&
        config->problems[last].place.file == place.file &&
        strcmp(config->problems[last].what, what) == 0)
        return; /* said already */
    if (config->problem_count++ >= CONFIG_PROBLEMS_MAX)
        return;
    struct slice copy = arena_copy(&config->arena, slice_cstr(what));
    config->problems[config->problem_count - 1] =
        (struct config_problem){place, copy.data == NULL ? "out of memory" : copy.data};
}

const char *config_path(struct config *config, const char *path)
{
    if (path[0] == '/' || config->folder[0] == '\0')
        return path;
    struct slice joined = arena_printf(&config->arena, "%s/%s", config->folder, path);
    return joined.data == NULL ? path : joined.data;
}

/* ---------------------------------------------------------------- one value */

static const char *says(enum config_type type)
{
    switch (type) {
    case CONFIG_FLAG:
        return "true or false";
    case CONFIG_COUNT:
    case CONFIG_COUNT_POW2:
        return "a whole number, such as 20";
    case CONFIG_SIZE:
        return "a text with its unit, such as \"25M\"";
    case CONFIG_DURATION:
        return "a text with its unit, such as \"30m\"";
    case CONFIG_MODE:
        return "a text, such as \"0660\"";
    case CONFIG_NAMES:
        return "a text, or texts in brackets: [\"a\", \"b\"]";
    case CONFIG_NETWORKS:
        return "a network, or networks in brackets: [\"192.0.2.0/24\", \"2001:db8::/32\"]";
    default:
        return "a text in double quotes";
    }
}

/* The range of a row as a person reads it. */
static void show_range(const struct config_row *row, char text[80])
{
    char low[32], high[32];
    if (row->type == CONFIG_SIZE) {
        config_show_size(row->min, low);
        config_show_size(row->max, high);
    } else if (row->type == CONFIG_DURATION) {
        config_show_duration(row->min, low);
        config_show_duration(row->max, high);
    } else {
        snprintf(low, sizeof low, "%" PRIu64, row->min);
        snprintf(high, sizeof high, "%" PRIu64, row->max);
    }
    snprintf(text, 80, "%s to %s", low, high);
}

static bool choice_find(const char *choices, const char *text, uint64_t *ret_index)
{
    for (uint64_t i = 0;; i++) {
        size_t size = strcspn(choices, "|");
        if (size == strlen(text) && memcmp(choices, text, size) == 0) {
            *ret_index = i;
            return true;
        }
        if (choices[size] == '\0')
            return false;
        choices += size + 1;
    }
}

/* A value written as text: of a default, or of a setting of a type that is written so. NULL, or
 * what is wrong. */
static const char *parse_text(struct config *config, const struct config_row *row, const char *text,
                              void *out)
{
    uint64_t *number = out;
    switch (row->type) {
    case CONFIG_FLAG:
        *number = strcmp(text, "true") == 0;
        return NULL;
    case CONFIG_COUNT:
    case CONFIG_COUNT_POW2:
        return slice_number(slice_cstr(text), row->max, number) ? NULL : "is no number";
    case CONFIG_SIZE:
        return config_parse_size(text, number);
    case CONFIG_DURATION:
        return config_parse_duration(text, number);
    case CONFIG_MODE:
        return config_parse_mode(text, number);
    case CONFIG_CHOICE:
        return choice_find(row->choices, text, number) ? NULL : "is not known";
    default: {
        struct slice copy = arena_copy(&config->arena, slice_cstr(text));
        if (copy.data == NULL)
            return "does not fit into memory";
        *(const char **)out = row->type == CONFIG_PATH ? config_path(config, copy.data) : copy.data;
        return NULL;
    }
    }
}

static bool is_number(enum config_type type)
{
    return type == CONFIG_COUNT || type == CONFIG_COUNT_POW2 || type == CONFIG_SIZE ||
           type == CONFIG_DURATION || type == CONFIG_MODE;
}

/* The setting is of the kind that its row wants to be written in. */
static bool fits(const struct config_row *row, const config_setting_t *setting)
{
    int type = config_setting_type(setting);
    if (row->type == CONFIG_FLAG)
        return type == CONFIG_TYPE_BOOL;
    if (row->type == CONFIG_COUNT || row->type == CONFIG_COUNT_POW2)
        return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
    return type == CONFIG_TYPE_STRING;
}

static void check_range(struct config *config, const struct config_row *row,
                        struct config_place place, int64_t value)
{
    char range[80];
    show_range(row, range);
    if (value < 0 || (uint64_t)value < row->min || (uint64_t)value > row->max)
        config_problem(config, place, "%s is out of range; it can be %s", row->key, range);
    else if (row->type == CONFIG_COUNT_POW2 && (value & (value - 1)) != 0)
        config_problem(config, place, "%s = %" PRId64 " is no power of two; try %d", row->key,
                       value, 1 << (63 - __builtin_clzll((unsigned long long)value)));
}

static void read_names(struct config *config, const struct config_row *row,
                       const config_setting_t *setting, struct config_place place,
                       struct config_names *out)
{
    bool is_one = config_setting_type(setting) == CONFIG_TYPE_STRING;
    int count = is_one ? 1 : config_setting_length(setting);
    if (!is_one && config_setting_is_aggregate(setting) == CONFIG_FALSE)
        count = 0;
    out->names = arena_zalloc(&config->arena, (size_t)count + 1, sizeof *out->names);
    for (int i = 0; i < count && out->names != NULL; i++) {
        const char *text = is_one ? config_setting_get_string(setting)
                                  : config_setting_get_string_elem(setting, i);
        if (text == NULL || strlen(text) < row->min || strlen(text) > row->max) {
            count = 0;
            break;
        }
        out->names[out->count++] = arena_copy(&config->arena, slice_cstr(text)).data;
        if (out->names[i] == NULL)
            count = 0;
    }
    if (count == 0) {
        out->count = 0;
        config_problem(config, place, "%s is to be %s, none of them empty", row->key,
                       says(row->type));
    }
}

static void read_networks(struct config *config, const struct config_row *row,
                          const config_setting_t *setting, struct config_place place,
                          struct network_set *out)
{
    struct config_names names = {NULL, 0};
    read_names(config, row, setting, place, &names);
    struct network *networks = arena_zalloc(&config->arena, names.count + 1, sizeof *networks);
    if (names.count > NETWORKS_MAX || networks == NULL) {
        config_problem(config, place, "%s has more than %d networks; take wider ones", row->key,
                       NETWORKS_MAX);
        return;
    }
    for (unsigned i = 0; i < names.count; i++)
        if (!network_parse(slice_cstr(names.names[i]), &networks[i]))
            config_problem(config, place,
                           "%s: \"%.60s\" is no network; write an address, or address/bits with "
                           "no bit set behind them",
                           row->key, names.names[i]);
    *out = (struct network_set){networks, names.count};
}

/* Of a variable its name, else file and line. */
static struct config_place place_of(const struct reading *reading, const config_setting_t *setting)
{
    const struct config_place *variable = config_setting_get_hook(setting);
    return variable != NULL
               ? *variable
               : config_source_place(reading->source, config_setting_source_line(setting));
}

static void read_value(struct reading *reading, const struct config_row *row,
                       const config_setting_t *setting, void *out)
{
    struct config *config = reading->config;
    struct config_place place = place_of(reading, setting);
    if (row->type == CONFIG_NAMES) {
        read_names(config, row, setting, place, out);
        return;
    }
    if (row->type == CONFIG_NETWORKS) {
        read_networks(config, row, setting, place, out);
        return;
    }
    if (!fits(row, setting)) {
        config_problem(config, place, "%s is to be %s", row->key, says(row->type));
        return;
    }
    if (row->type == CONFIG_FLAG) {
        *(uint64_t *)out = config_setting_get_bool(setting) != 0;
        return;
    }
    if (row->type == CONFIG_COUNT || row->type == CONFIG_COUNT_POW2) {
        int64_t value = config_setting_get_int64(setting);
        if (config_setting_type(setting) == CONFIG_TYPE_INT)
            value = config_setting_get_int(setting);
        check_range(config, row, place, value);
        *(uint64_t *)out = (uint64_t)value;
        return;
    }
    const char *text = config_setting_get_string(setting);
    const char *why = parse_text(config, row, text, out);
    size_t size = strlen(text);
    if (why != NULL && row->type == CONFIG_CHOICE)
        config_problem(config, place, "%s = \"%.60s\" is not known; it can be %s", row->key, text,
                       row->choices);
    else if (why != NULL)
        config_problem(config, place, "%s = \"%.60s\" %s", row->key, text, why);
    else if (is_number(row->type))
        check_range(config, row, place, (int64_t) * (uint64_t *)out);
    else if (row->type != CONFIG_CHOICE && (size < row->min || size > row->max))
        config_problem(config, place, "%s is to have %" PRIu64 " to %" PRIu64 " bytes", row->key,
                       row->min, row->max);
}

/* ---------------------------------------------------------------- sections */

static void set_default(struct config *config, const struct config_row *row, void *out)
{
    bool is_text = row->type == CONFIG_TEXT || row->type == CONFIG_PATH;
    if (row->fallback[0] != '\0') {
        const char *why = parse_text(config, row, row->fallback, out);
        if (why != NULL)
            config_problem(config, (struct config_place){"", 0}, "default of %s %s", row->key, why);
    } else if (!is_text && row->type != CONFIG_NAMES && row->type != CONFIG_NETWORKS) {
        *(uint64_t *)out = CONFIG_UNSET;
    }
}

/* The environment variable of a key, where it is being read; "" when the name does not fit. */
static void show_variable(const struct reading *reading, const struct config_row *row,
                          char text[200])
{
    char words[200];
    enum config_section section = row->section;
    size_t size = (size_t)snprintf(text, 200, "%s", row->key);
    while (section != CONFIG_SECTION_GENERAL && size < 200) { /* from the key outwards */
        memcpy(words, text, size + 1);
        const struct config_section_row *at = &config_sections[section];
        size = (size_t)(at->item_bytes > 0 ? snprintf(text, 200, "%s__%d__%.100s", at->name,
                                                      reading->entry[section], words)
                                           : snprintf(text, 200, "%s__%.100s", at->name, words));
        section = at->parent;
    }
    for (char *at = text; *at != '\0'; at++)
        if (*at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
}

static void must_be_given(struct reading *reading, const struct config_row *row,
                          struct config_place place)
{
    char variable[200];
    const char *section = config_sections[row->section].name;
    show_variable(reading, row, variable);
    config_problem(reading->config, place, "%s%s%s must be given; add %s = ..., or set RINGPOST_%s",
                   section, *section != '\0' ? ": " : "", row->key, row->key, variable);
}

static void set_defaults(struct reading *reading, enum config_section section,
                         const config_setting_t *setting, struct config_place place, char *out)
{
    for (unsigned i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        if (row->section != section ||
            (setting != NULL && config_setting_get_member(setting, row->key) != NULL))
            continue;
        if (row->fallback != NULL)
            set_default(reading->config, row, out + row->offset);
        else
            must_be_given(reading, row, place);
    }
}

const struct config_section_row *config_section_find(enum config_section parent, const char *name,
                                                     enum config_section *ret_section)
{
    for (int i = CONFIG_SECTION_GENERAL + 1; i < CONFIG_SECTION_COUNT; i++)
        if (config_sections[i].parent == parent && strcmp(config_sections[i].name, name) == 0) {
            *ret_section = (enum config_section)i;
            return &config_sections[i];
        }
    return NULL;
}

static void read_group(struct reading *reading, enum config_section section,
                       const config_setting_t *setting, struct config_place place, char *out);

/* A group, or a list of groups. The recursion is as deep as the table's sections: three. */
static void read_section(struct reading *reading, enum config_section section,
                         const config_setting_t *setting, struct config_place place, char *parent)
{
    const struct config_section_row *row = &config_sections[section];
    struct config *config = reading->config;
    char *out = parent + row->offset;
    if (row->item_bytes == 0) {
        if (config_setting_is_group(setting) == CONFIG_FALSE)
            config_problem(config, place, "%s is to be a section: %s: { ... };", row->name,
                           row->name);
        else
            read_group(reading, section, setting, place, out);
        return;
    }
    int count = config_setting_length(setting);
    if (config_setting_is_list(setting) == CONFIG_FALSE) {
        config_problem(config, place, "%s is to be a list: %s = ( { ... }, { ... } );", row->name,
                       row->name);
        return;
    }
    struct config_list *list = (struct config_list *)out;
    if ((unsigned)count > row->count_max) {
        config_problem(config, place, "%s has %d entries; there can be %u", row->name, count,
                       row->count_max);
        return;
    }
    list->items = arena_zalloc(&config->arena, (size_t)count + 1, row->item_bytes);
    for (int i = 0; i < count && list->items != NULL; i++) {
        const config_setting_t *item = config_setting_get_elem(setting, (unsigned)i);
        struct config_place at = place_of(reading, item);
        if (config_setting_is_group(item) == CONFIG_FALSE) {
            config_problem(config, at, "an entry of %s is to be a group: { ... }", row->name);
            continue;
        }
        char *item_out = (char *)list->items + row->item_bytes * list->count++;
        reading->entry[section] = i;
        read_group(reading, section, item, at, item_out);
    }
}

static void read_group(struct reading *reading, enum config_section section,
                       const config_setting_t *setting, struct config_place place, char *out)
{
    struct config *config = reading->config;
    *(struct config_place *)out = place;
    set_defaults(reading, section, setting, place, out);
    /* of the top level, sections lie beside the section's own struct, not in it */
    char *parent = section == CONFIG_SECTION_GENERAL ? (char *)config : out;
    int count = config_setting_length(setting);
    for (int i = 0; i < count; i++) {
        const config_setting_t *child = config_setting_get_elem(setting, (unsigned)i);
        const char *key = config_setting_name(child);
        struct config_place at = place_of(reading, child);
        const struct config_row *row = config_row_find(section, key);
        enum config_section inner;
        if (row != NULL) {
            read_value(reading, row, child, out + row->offset);
        } else if (config_section_find(section, key, &inner) != NULL) {
            read_section(reading, inner, child, at, parent);
        } else {
            char hint[300];
            config_suggest(section, key, hint, sizeof hint);
            config_problem(config, at, "unknown key \"%.60s\"%s%s; %s", key,
                           *config_sections[section].name ? " in " : "",
                           config_sections[section].name, hint);
        }
    }
}

static void read_all(struct reading *reading, const config_setting_t *root)
{
    struct config *config = reading->config;
    struct config_place top = {config->path, 1};
    read_group(reading, CONFIG_SECTION_GENERAL, root, top, (char *)&config->general);
    for (int i = CONFIG_SECTION_GENERAL + 1; i < CONFIG_SECTION_COUNT; i++) {
        const struct config_section_row *row = &config_sections[i];
        if (row->parent == CONFIG_SECTION_GENERAL && row->item_bytes == 0 &&
            config_setting_get_member(root, row->name) == NULL) {
            *(struct config_place *)((char *)config + row->offset) = top;
            set_defaults(reading, (enum config_section)i, NULL, top, (char *)config + row->offset);
        }
    }
}

/* ---------------------------------------------------------------- the file */

static const char *folder_of(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    struct slice copy = arena_copy(arena, slice_of(path, size));
    return copy.data == NULL ? "" : copy.data;
}

static void parse_source(struct config *config, const struct config_source *source)
{
    struct reading reading = {.config = config, .source = source};
    config_t tree;
    config_init(&tree);
    if (config_read_string(&tree, source->text) == CONFIG_TRUE) {
        config_environment_lay(config, config_root_setting(&tree), source);
        read_all(&reading, config_root_setting(&tree));
    } else {
        const char *why = config_error_text(&tree);
        struct config_place place = config_source_place(source, (unsigned)config_error_line(&tree));
        if (why != NULL && strstr(why, "duplicate") != NULL)
            config_problem(config, place, "the same key a second time; remove one of the two");
        else
            config_problem(config, place,
                           "%s, here or on the line before; settings are key = value; texts stand "
                           "in \"...\", sections in { }, lists in ( )",
                           why == NULL ? "syntax error" : why);
    }
    config_destroy(&tree);
}

static struct config *load(const char *path, bool is_again)
{
    struct config *config = calloc(1, sizeof *config);
    if (config == NULL)
        return NULL;
    config->is_again = is_again;
    arena_init(&config->arena, CONFIG_ARENA_BYTES_MAX);
    config->path = path;
    config->folder = folder_of(&config->arena, path);
    struct config_source source;
    bool is_read = config_source_read(config, path, &source);
    if (!is_read && config->problem_count == 0)
        config_problem(config, (struct config_place){path, 1}, "out of memory");
    if (config->problem_count == 0)
        parse_source(config, &source);
    config_source_free(&source);
    if (config->problem_count == 0)
        config_check(config);
    return config;
}

struct config *config_load(const char *path)
{
    return load(path, false);
}

struct config *config_load_again(const char *path)
{
    return load(path, true);
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    arena_reset(&config->arena);
    free(config);
}
