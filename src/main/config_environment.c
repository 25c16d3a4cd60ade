/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The config by environment variables, laid over what the file said before anything of it is read:
 * so a variable is checked as a setting is, by the same row, and its mistakes are told in the same
 * words with its name in place of file and line.
 *
 *   RINGPOST_HOST_NAME=mx.example.org            host_name
 *   RINGPOST_STORE__CACHE=1G                     store.cache; "__" stands between names
 *   RINGPOST_DOMAINS__0__NAME=example.org        the first entry of a list; a number that follows
 *                                                the last entry adds one
 *   RINGPOST_AUTH__MECHANISMS=PLAIN,LOGIN        several texts
 *
 * Invariants:
 *   1. A variable that begins with RINGPOST_ and is no key is an error, never passed over; but not
 *      those that our scripts or Kubernetes (for a service of this name) set.
 *   2. The variables are taken in the order of their names, numbers as numbers: the outcome does
 *      not depend on the order in which they stand in the environment.
 */
#include "config_environment.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char prefix[] = "RINGPOST_";
enum { PREFIX_BYTES = sizeof prefix - 1, WORD_BYTES = 64, ENTRY_DIGITS_MAX = 6 };

/* One variable on its way down the tree. */
struct variable {
    struct config *config;
    const char *name; /* the whole of it */
    const char *rest; /* what is still to be followed */
    const char *value;
    struct config_place *place; /* its own */
};

/* ---------------------------------------------------------------- whose it is */

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* What Kubernetes sets for a service named ringpost or ringpost-imap ("service links"), and the
 * scripts of this project for each other. */
static bool is_of_others(const char *name, const char *value)
{
    static const char *const scripts[] = {"RINGPOST_BUILD", "RINGPOST_CACHE", "RINGPOST_PREFIX",
                                          "RINGPOST_RELOADS", "RINGPOST_SAMPLES"};
    static const char *const links[] = {"tcp://", "udp://", "sctp://"};
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        if (strcmp(name, scripts[i]) == 0)
            return true;
    if (strstr(name, "__") != NULL)
        return false;
    if (ends_with(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT") != NULL ||
        strstr(name, "_TCP_") != NULL || strstr(name, "_UDP_") != NULL)
        return true;
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (strncmp(value, links[i], strlen(links[i])) == 0 && strstr(name, "_PORT") != NULL)
            return true;
    return false;
}

/* ---------------------------------------------------------------- one variable */

static void refuse_name(const struct variable *variable)
{
    char hint[300];
    config_suggest_variable(variable->name + PREFIX_BYTES, hint, sizeof hint);
    config_problem(variable->config, *variable->place, "no key is named so; %s", hint);
}

/* The next word in small letters; false when there is none that a key could have. */
static bool next_word(struct variable *variable, char word[WORD_BYTES], bool *ret_is_last)
{
    const char *end = strstr(variable->rest, "__");
    size_t size = end == NULL ? strlen(variable->rest) : (size_t)(end - variable->rest);
    if (size == 0 || size >= WORD_BYTES)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = variable->rest[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
        word[i] = ascii_lower(c);
    }
    word[size] = '\0';
    *ret_is_last = end == NULL;
    variable->rest += end == NULL ? size : size + 2;
    return true;
}

static config_setting_t *add(const struct variable *variable, config_setting_t *parent,
                             const char *key, int type)
{
    config_setting_t *setting = config_setting_add(parent, key, type);
    if (setting != NULL)
        config_setting_set_hook(setting, variable->place);
    else
        config_problem(variable->config, *variable->place, "does not fit into memory");
    return setting;
}

/* The member of that kind; made when it is not there. NULL: refused. */
static config_setting_t *member(const struct variable *variable, config_setting_t *parent,
                                const char *key, int type)
{
    config_setting_t *setting = config_setting_get_member(parent, key);
    if (setting == NULL)
        return add(variable, parent, key, type);
    if (config_setting_type(setting) == type)
        return setting;
    config_problem(variable->config, *variable->place,
                   "the file says something else than a section or list for %s; see docs/config.md",
                   key);
    return NULL;
}

/* The entry that the next word numbers. */
static config_setting_t *entry(struct variable *variable, config_setting_t *list)
{
    char word[WORD_BYTES];
    bool is_last;
    uint64_t number;
    if (!next_word(variable, word, &is_last) || is_last ||
        strspn(word, "0123456789") != strlen(word) || strlen(word) > ENTRY_DIGITS_MAX ||
        !slice_number(slice_cstr(word), UINT32_MAX, &number)) {
        refuse_name(variable);
        return NULL;
    }
    unsigned count = (unsigned)config_setting_length(list);
    if (number < count)
        return config_setting_get_elem(list, (unsigned)number);
    if (number == count)
        return add(variable, list, NULL, CONFIG_TYPE_GROUP);
    config_problem(variable->config, *variable->place,
                   "there is no entry %u before it; entries are numbered from 0, those of the file "
                   "first",
                   count);
    return NULL;
}

/* Several texts, with commas between them. */
static void set_texts(const struct variable *variable, config_setting_t *setting)
{
    char text[1024];
    for (const char *at = variable->value; *at != '\0';) {
        size_t size = strcspn(at, ",");
        struct slice word = slice_of(at, size);
        while (word.size > 0 && word.data[0] == ' ')
            word = slice_from(word, 1);
        while (word.size > 0 && word.data[word.size - 1] == ' ')
            word.size--;
        if (word.size >= sizeof text) {
            config_problem(variable->config, *variable->place, "a text in it is too long");
            return;
        }
        memcpy(text, word.data, word.size);
        text[word.size] = '\0';
        config_setting_set_string_elem(setting, -1, text);
        at += size + (at[size] == ',');
    }
}

static void set_value(const struct variable *variable, config_setting_t *parent,
                      const struct config_row *row)
{
    const char *value = variable->value;
    uint64_t number;
    config_setting_t *setting;
    switch (row->type) {
    case CONFIG_NAMES:
    case CONFIG_NETWORKS:
        setting = add(variable, parent, row->key, CONFIG_TYPE_ARRAY);
        if (setting != NULL)
            set_texts(variable, setting);
        return;
    case CONFIG_FLAG:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            break;
        setting = add(variable, parent, row->key, CONFIG_TYPE_BOOL);
        if (setting != NULL)
            config_setting_set_bool(setting, *value == 't');
        return;
    case CONFIG_COUNT:
    case CONFIG_COUNT_POW2:
        if (!slice_number(slice_cstr(value), INT32_MAX, &number))
            break;
        setting = add(variable, parent, row->key, CONFIG_TYPE_INT);
        if (setting != NULL)
            config_setting_set_int(setting, (int)number);
        return;
    default:
        break;
    }
    setting = add(variable, parent, row->key, CONFIG_TYPE_STRING); /* the reader judges it */
    if (setting != NULL)
        config_setting_set_string(setting, value);
}

/* Follows the name from the root to a key; at most as deep as the table's sections. */
static void follow(struct variable *variable, config_setting_t *root,
                   const struct config_source *source)
{
    enum config_section section = CONFIG_SECTION_GENERAL;
    config_setting_t *setting = root;
    char word[WORD_BYTES];
    bool is_last = false;
    while (setting != NULL) {
        if (!next_word(variable, word, &is_last)) {
            refuse_name(variable);
            return;
        }
        const struct config_row *row = is_last ? config_row_find(section, word) : NULL;
        if (row != NULL) {
            const config_setting_t *said = config_setting_get_member(setting, word);
            struct config_place over = {NULL, 0};
            if (said != NULL)
                over = config_source_place(source, config_setting_source_line(said));
            config_setting_remove(setting, word);
            set_value(variable, setting, row);
            config_variable_note(variable->config, variable->name, over);
            return;
        }
        const struct config_section_row *inner =
            is_last ? NULL : config_section_find(section, word, &section);
        if (inner == NULL) {
            refuse_name(variable);
            return;
        }
        bool is_list = inner->item_bytes > 0;
        setting = member(variable, setting, word, is_list ? CONFIG_TYPE_LIST : CONFIG_TYPE_GROUP);
        if (setting != NULL && is_list)
            setting = entry(variable, setting);
        if (setting != NULL && config_setting_is_group(setting) == CONFIG_FALSE)
            setting = NULL; /* the reader says what it is instead */
    }
}

/* ---------------------------------------------------------------- all */

void config_variable_note(struct config *config, const char *name, struct config_place over)
{
    config->variables[config->variable_count++] = (struct config_variable){name, over};
}

static int by_name(const void *a, const void *b)
{
    return strverscmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_ours(const char *variable)
{
    return strncmp(variable, prefix, PREFIX_BYTES) == 0 && strchr(variable, '=') != NULL;
}

void config_environment_lay(struct config *config, config_setting_t *root,
                            const struct config_source *source)
{
    size_t count = 0, found = 0;
    for (char **at = environ; at != NULL && *at != NULL; at++)
        count += is_ours(*at);
    if (count == 0)
        return;
    if (count > CONFIG_VARIABLES_MAX) {
        config_problem(config, (struct config_place){config->path, 1},
                       "more than %d variables RINGPOST_...; put them into the file",
                       CONFIG_VARIABLES_MAX);
        return;
    }
    const char **all = arena_zalloc(&config->arena, count, sizeof *all);
    struct config_place *places = arena_zalloc(&config->arena, count, sizeof *places);
    config->variables = arena_zalloc(&config->arena, count, sizeof *config->variables);
    if (all == NULL || places == NULL || config->variables == NULL) {
        config_problem(config, (struct config_place){config->path, 1}, "out of memory");
        return;
    }
    for (char **at = environ; *at != NULL && found < count; at++)
        if (is_ours(*at))
            all[found++] = *at;
    qsort(all, count, sizeof *all, by_name);
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(all[i], '=');
        const char *name =
            arena_copy(&config->arena, slice_of(all[i], (size_t)(equals - all[i]))).data;
        if (name == NULL || is_of_others(name, equals + 1))
            continue;
        places[i] = (struct config_place){name, 0};
        struct variable variable = {config, name, name + PREFIX_BYTES, equals + 1, &places[i]};
        follow(&variable, root, source);
    }
}
