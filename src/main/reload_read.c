/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reading again what was read at the start, and what of it cannot change while the process lives.
 */
#include "reload_read.h"

#include "confine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Looked at when the process starts, and never again. */
static const struct fixed {
    enum config_section section;
    const char *key; /* NULL: all of the section */
} fixed[] = {
    {CONFIG_SECTION_GENERAL, "cores"},
    {CONFIG_SECTION_GENERAL, "user"},
    {CONFIG_SECTION_GENERAL, "group"},
    {CONFIG_SECTION_GENERAL, "confine"},
    {CONFIG_SECTION_GENERAL, "drain_pace"},
    {CONFIG_SECTION_GENERAL, "drain_wait"},
    {CONFIG_SECTION_LOG, NULL},
    {CONFIG_SECTION_STORE, NULL},
    {CONFIG_SECTION_ADMIN, NULL},
    {CONFIG_SECTION_CONTROL, NULL},
    {CONFIG_SECTION_PROXY, "exceptions"},
    {CONFIG_SECTION_PROXY, "exceptions_password_file"},
    {CONFIG_SECTION_LIMITS, "connections"},
    {CONFIG_SECTION_LIMITS, "receive_buffers"},
    {CONFIG_SECTION_LIMITS, "fibers"},
    {CONFIG_SECTION_LIMITS, "stack"},
};

/* ---------------------------------------------------------------- comparing */

static bool is_fixed(const struct config_row *row)
{
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (fixed[i].section == row->section &&
            (fixed[i].key == NULL || strcmp(fixed[i].key, row->key) == 0))
            return true;
    return false;
}

static const void *value_of(const struct config *config, const struct config_row *row)
{
    const char *section = row->section == CONFIG_SECTION_GENERAL
                              ? (const char *)&config->general
                              : (const char *)config + config_sections[row->section].offset;
    return section + row->offset;
}

static bool texts_differ(const char *a, const char *b)
{
    return (a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0);
}

static bool values_differ(const struct config_row *row, const void *a, const void *b)
{
    if (row->type == CONFIG_TEXT || row->type == CONFIG_PATH)
        return texts_differ(*(const char *const *)a, *(const char *const *)b);
    return *(const uint64_t *)a != *(const uint64_t *)b;
}

/* Of the same address, port and kind. */
static bool has_listener(const struct config *config, const struct config_listener *like)
{
    const struct config_listener *all = config->listeners.items;
    for (unsigned i = 0; i < config->listeners.count; i++)
        if (!texts_differ(all[i].address, like->address) &&
            !texts_differ(all[i].path, like->path) && all[i].port == like->port &&
            all[i].mode == like->mode)
            return true;
    return false;
}

static void compare_listeners(const struct config *one, const struct config *other,
                              const char *what, void (*say)(void *argument, const char *what),
                              void *argument)
{
    const struct config_listener *all = one->listeners.items;
    char text[200];
    for (unsigned i = 0; i < one->listeners.count; i++) {
        if (has_listener(other, &all[i]))
            continue;
        if (all[i].path != NULL)
            snprintf(text, sizeof text, "%s %.120s", what, all[i].path);
        else
            snprintf(text, sizeof text, "%s %s port %" PRIu64, what, all[i].address, all[i].port);
        say(argument, text);
    }
}

void reload_compare(const struct config *running, const struct config *read,
                    void (*say)(void *argument, const char *what), void *argument)
{
    for (unsigned i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        char text[100];
        if (!is_fixed(row) || !values_differ(row, value_of(running, row), value_of(read, row)))
            continue;
        const char *section = config_sections[row->section].name;
        snprintf(text, sizeof text, "%s%s%s", section, *section != '\0' ? "." : "", row->key);
        say(argument, text);
    }
    compare_listeners(running, read, "a listener that is gone:", say, argument);
    compare_listeners(read, running, "a new listener:", say, argument);
}

/* ---------------------------------------------------------------- reading */

/* The segments are those of the start, whatever the new config says of them. */
static void check_against(struct config *config, const struct config *running)
{
    char text[32];
    if (config->limits.message_bytes + (UINT64_C(1) << 20) <= running->store.segment_bytes)
        return;
    config_show_size(running->store.segment_bytes, text);
    config_problem(config, config->limits.place,
                   "limits.message_size does not fit into the segments of %s that are in use; "
                   "restart for larger ones",
                   text);
}

/* What the confined process may not do any more. */
static void check_confined(struct config *config, const struct config *running)
{
    const struct config_pool *pools = config->pools.items;
    for (unsigned i = 0; i < config->pools.count; i++) {
        const struct config_backend *backends = pools[i].backends.items;
        if (pools[i].any_address && !confine_port_is_open(running, 0))
            config_problem(config, pools[i].place,
                           "pool \"%.63s\": any_address needs a restart: the running gateway may "
                           "connect to the ports of its backends only",
                           pools[i].name);
        for (unsigned j = 0; j < pools[i].backends.count; j++) {
            const struct config_backend *one = &backends[j];
            const uint64_t ports[] = {one->imap, one->pop3, one->submission, one->sieve, one->lmtp};
            for (size_t k = 0; k < sizeof ports / sizeof *ports; k++)
                if (ports[k] != CONFIG_UNSET && !confine_port_is_open(running, ports[k]))
                    config_problem(config, one->place,
                                   "backend \"%.63s\": port %" PRIu64
                                   " needs a restart: the running gateway may connect to the ports "
                                   "of the backends that it started with only",
                                   one->name, ports[k]);
            if (!config_is_numeric(one->address) && !confine_may_look_up(running))
                config_problem(config, one->place,
                               "backend \"%.63s\": a name needs a restart: the running gateway may "
                               "not look up any; or write the address in numbers",
                               one->name);
        }
        if (pools[i].sources.count > 0 && !confine_has_sources(running))
            config_problem(config, pools[i].place,
                           "pool \"%.63s\": sources need a restart: the running gateway was "
                           "started without any",
                           pools[i].name);
    }
}

void reload_read_config(void *argument)
{
    struct reload_reading *reading = argument;
    struct config *config = config_load_again(reading->first->config->path);
    if (config == NULL)
        return;
    if (config->problem_count == 0)
        check_against(config, reading->first->config);
    if (config->problem_count == 0 && reading->first->config->pools.count > 0)
        check_confined(config, reading->first->config);
    reading->setup = setup_make(config, reading->process);
}

void reload_read_tls(void *argument)
{
    struct reload_reading *reading = argument;
    const struct config *from = reading->first->config;
    struct config *config = calloc(1, sizeof *config); /* for problems; its texts are from's */
    if (config == NULL)
        return;
    arena_init(&config->arena, CONFIG_ARENA_BYTES_MAX);
    config->path = from->path;
    config->folder = from->folder;
    config->tls = from->tls;
    struct file_reader reader = {geteuid(), getegid()};
    reading->tls = setup_make_tls(config, &reader, reading->process->ticket_secret);
    reading->config = config;
}

void reload_read_stamp(void *argument)
{
    struct reload_reading *reading = argument;
    reading->stamp = setup_tls_stamp(reading->first->config);
}

void reload_free(void *argument)
{
    setup_free(argument);
}
