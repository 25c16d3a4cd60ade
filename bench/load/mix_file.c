/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads a scenario file of mix, in the syntax of ringpost.conf (libconfig): one group for each
 * population, its keys by the table below. Nothing is passed over: what is not known is a problem,
 * with file and line and what would be right.
 */
#include "mix_file.h"

#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>

enum { RATE_MAX = 1000000 };

enum key_type { KEY_RATE, KEY_COUNT, KEY_BOOL, KEY_PROTOCOL, KEY_MIX };

#define OF(kind) (1u << MIX_##kind)

static const struct key {
    const char *name;
    unsigned kinds; /* which may have it */
    enum key_type type;
    size_t member; /* of struct mix_population */
    unsigned min, max;
    const char *right; /* an example */
} keys[] = {
    {"rate", OF(DELIVER) | OF(READERS) | OF(CHECKERS) | OF(LOGINS), KEY_RATE,
     offsetof(struct mix_population, rate), 0, RATE_MAX, "rate = 2.5; operations a second"},
    {"connections", OF(IDLERS) | OF(DELIVER) | OF(READERS) | OF(CHECKERS) | OF(LOGINS), KEY_COUNT,
     offsetof(struct mix_population, connections), 1, LOAD_CONNECTIONS_MAX, "connections = 20;"},
    {"protocol", OF(DELIVER) | OF(LOGINS), KEY_PROTOCOL, offsetof(struct mix_population, protocol),
     0, 0, "protocol = \"lmtp\"; deliver: lmtp or smtp; logins: imap or smtp"},
    {"commands", OF(READERS), KEY_COUNT, offsetof(struct mix_population, commands), 1,
     MIX_COMMANDS_MAX, "commands = 20; a session"},
    {"mix", OF(READERS), KEY_MIX, 0, 0, 0, "mix = \"fetch=60,store=10\";"},
    {"delete", OF(CHECKERS), KEY_BOOL, offsetof(struct mix_population, deletes), 0, 0,
     "delete = true;"},
};
enum { KEYS = sizeof keys / sizeof *keys };

const char *mix_kind_name(enum mix_kind kind)
{
#define KIND_NAME(name, text) text,
    static const char *const names[] = {MIX_KIND_TABLE(KIND_NAME)};
#undef KIND_NAME
    return names[kind];
}

void mix_default(struct mix *ret_mix)
{
    char none[200];
    *ret_mix = (struct mix){
        .of = {
            [MIX_IDLERS] = {.is_set = true, .connections = 200},
            [MIX_DELIVER] = {.is_set = true, .rate = 20, .connections = 10, .protocol = LOAD_LMTP},
            [MIX_READERS] = {.is_set = true, .rate = 5, .connections = 20, .commands = 20},
            [MIX_CHECKERS] = {.is_set = true, .rate = 2, .connections = 10},
            [MIX_LOGINS] = {.is_set = true, .rate = 5, .connections = 10, .protocol = LOAD_IMAP}}};
    imap_mix_parse(IMAP_MIX_DEFAULT, &ret_mix->of[MIX_READERS].mix, none);
}

/* ---------------------------------------------------------------- problems */

struct place {
    const char *path;
    char *problem;
};

static int wrong(const struct place *place, const config_setting_t *setting, const char *what)
{
    int size = snprintf(place->problem, 200, "%.80s:%u: ", place->path,
                        config_setting_source_line(setting));
    size_t room = 199 - (size_t)size, length = strlen(what);
    length = length < room ? length : room;
    memcpy(place->problem + size, what, length);
    place->problem[(size_t)size + length] = '\0';
    return -EINVAL;
}

static int wrong_key(const struct place *place, const config_setting_t *setting,
                     const struct key *key)
{
    char what[200];
    snprintf(what, sizeof what, "this is no %s; write for example: %s", key->name, key->right);
    return wrong(place, setting, what);
}

/* ---------------------------------------------------------------- values */

static bool read_number(const config_setting_t *setting, double *ret_value)
{
    int type = config_setting_type(setting);
    if (type == CONFIG_TYPE_INT)
        *ret_value = config_setting_get_int(setting);
    else if (type == CONFIG_TYPE_FLOAT)
        *ret_value = config_setting_get_float(setting);
    else
        return false;
    return true;
}

static bool read_protocol(const char *text, enum mix_kind kind, enum load_protocol *ret_protocol)
{
    static const struct {
        const char *name;
        enum load_protocol protocol;
        unsigned kinds;
    } rows[] = {{"lmtp", LOAD_LMTP, OF(DELIVER)},
                {"smtp", LOAD_SMTP, OF(DELIVER) | OF(LOGINS)},
                {"imap", LOAD_IMAP, OF(LOGINS)}};
    for (size_t i = 0; text != NULL && i < sizeof rows / sizeof *rows; i++)
        if (strcmp(text, rows[i].name) == 0 && (rows[i].kinds & (1u << kind))) {
            *ret_protocol = rows[i].protocol;
            return true;
        }
    return false;
}

static int read_value(const struct place *place, const config_setting_t *setting,
                      const struct key *key, enum mix_kind kind, struct mix_population *population)
{
    void *member = (char *)population + key->member;
    double number;
    char problem[200];
    switch (key->type) {
    case KEY_RATE:
        if (!read_number(setting, &number) || !(number > 0 && number <= key->max))
            break;
        *(double *)member = number;
        return 0;
    case KEY_COUNT:
        if (config_setting_type(setting) != CONFIG_TYPE_INT || !read_number(setting, &number) ||
            number < key->min || number > key->max)
            break;
        *(unsigned *)member = (unsigned)number;
        return 0;
    case KEY_BOOL:
        if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
            break;
        *(bool *)member = config_setting_get_bool(setting) != 0;
        return 0;
    case KEY_PROTOCOL:
        if (!read_protocol(config_setting_get_string(setting), kind, member))
            break;
        return 0;
    case KEY_MIX:
        if (config_setting_get_string(setting) == NULL)
            break;
        if (imap_mix_parse(config_setting_get_string(setting), &population->mix, problem) < 0)
            return wrong(place, setting, problem);
        return 0;
    }
    return wrong_key(place, setting, key);
}

/* ---------------------------------------------------------------- groups */

static int unknown_key(const struct place *place, const config_setting_t *setting,
                       enum mix_kind kind)
{
    char what[200];
    int size = snprintf(what, sizeof what, "%s has no key \"%.30s\"; it has:", mix_kind_name(kind),
                        config_setting_name(setting));
    for (unsigned i = 0; i < KEYS; i++)
        if (keys[i].kinds & (1u << kind))
            size += snprintf(what + size, sizeof what - (size_t)size, " %s", keys[i].name);
    return wrong(place, setting, what);
}

static int read_group(const struct place *place, const config_setting_t *group, enum mix_kind kind,
                      struct mix_population *population)
{
    *population = (struct mix_population){.is_set = true,
                                          .line = config_setting_source_line(group),
                                          .connections = 10,
                                          .protocol = kind == MIX_DELIVER ? LOAD_LMTP : LOAD_IMAP,
                                          .commands = 20};
    char none[200];
    imap_mix_parse(IMAP_MIX_DEFAULT, &population->mix, none);
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(setting);
        const struct key *key = NULL;
        for (unsigned j = 0; j < KEYS; j++)
            if (strcmp(keys[j].name, name) == 0 && (keys[j].kinds & (1u << kind)))
                key = &keys[j];
        int error = key == NULL ? unknown_key(place, setting, kind)
                                : read_value(place, setting, key, kind, population);
        if (error < 0)
            return error;
    }
    if (kind != MIX_IDLERS && population->rate <= 0)
        return wrong(place, group,
                     "without a rate nothing is done; write for example: rate = 2.5;");
    if (kind != MIX_IDLERS && population->connections > MIX_CONNECTIONS_MAX)
        return wrong(place, group, "connections: at most 10000 for those who are not idle");
    return 0;
}

static int read_root(const struct place *place, const config_setting_t *root, struct mix *mix)
{
    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *group = config_setting_get_elem(root, (unsigned)i);
        const char *name = config_setting_name(group);
        unsigned kind = 0;
        while (kind < MIX_KIND_COUNT && strcmp(mix_kind_name(kind), name) != 0)
            kind++;
        if (kind == MIX_KIND_COUNT || !config_setting_is_group(group))
            return wrong(place, group,
                         "a scenario has the groups idlers, deliver, readers, checkers, logins, as "
                         "in: readers: { rate = 2.0; };");
        int error = read_group(place, group, kind, &mix->of[kind]);
        if (error < 0)
            return error;
    }
    if (config_setting_length(root) > 0)
        return 0;
    snprintf(place->problem, 200,
             "%.100s:1: says nothing; write for example: readers: { rate = 2.0; };", place->path);
    return -EINVAL;
}

int mix_file_read(const char *path, struct mix *ret_mix, char problem[200])
{
    struct place place = {path, problem};
    struct mix mix = {0};
    config_t config;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(problem, 200,
                 "%.100s: %s; give a scenario file, such as bench/scenarios/office.conf", path,
                 strerror(errno));
        return -errno;
    }
    config_init(&config);
    int error = -EINVAL;
    if (fseek(file, 0, SEEK_END) != 0 || ftell(file) > MIX_FILE_BYTES_MAX ||
        fseek(file, 0, SEEK_SET) != 0)
        snprintf(problem, 200, "%.100s: no file of at most 1 MiB", path);
    else if (config_read(&config, file) == CONFIG_TRUE)
        error = read_root(&place, config_root_setting(&config), &mix);
    else
        snprintf(problem, 200, "%.100s:%d: %s; settings are key = value; groups name: { ... };",
                 path, config_error_line(&config), config_error_text(&config));
    config_destroy(&config);
    fclose(file);
    if (error == 0)
        *ret_mix = mix;
    return error;
}
