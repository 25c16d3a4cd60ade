/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control socket, and where it is kept who is elsewhere than his pool puts him.
 */
#include <errno.h>
#include <sys/stat.h>

#include "file.h"
#include "ringpost/hash.h"
#include "setup.h"

enum {
    CONNECTIONS_MAX = 64, /* a command with a list holds 64 KiB */
    IDLE_MS_MAX = 3600000,
    ERRORS_MAX = 100,
    LOOK_MS = 1000,
    REDIS_MS_MAX = 2000
};

static uint64_t stamp(const char *path)
{
    struct stat there;
    if (stat(path, &there) < 0)
        return 0;
    const uint64_t words[] = {(uint64_t)there.st_mtim.tv_sec, (uint64_t)there.st_mtim.tv_nsec,
                              (uint64_t)there.st_ino, (uint64_t)there.st_size};
    return hash_stable(words, sizeof words) | 1;
}

static void make_service(struct setup *setup)
{
    const struct config *config = setup->config;
    const char *domain = config->auth.default_domain;
    setup->control = (struct control_options){
        .domains = setup->fronted,
        .domain_count = setup->fronted_count,
        .default_domain = domain == NULL ? SLICE("") : setup_lower(setup->config, domain),
        .spread_ms = config->proxy.spread_ms,
    };
    struct service *service = &setup->services[setup->gateway.service_count];
    *service = (struct service){
        .protocol = &control_protocol,
        .options = &setup->control,
        .host_name = slice_cstr(config->general.host_name),
        .address = config->control.socket,
        .mode = (unsigned)config->control.mode,
        .connections_max = CONNECTIONS_MAX,
        .generation = &setup->generation,
        .login_ms_max = IDLE_MS_MAX,
        .idle_ms_max = IDLE_MS_MAX,
        .command_ms_max = config->limits.command_ms,
        .errors_free = ERRORS_MAX,
        .errors_max = ERRORS_MAX,
        .junk_max = ERRORS_MAX,
    };
    setup->gateway.services[setup->gateway.service_count++] = service;
}

/* Of the Redis: the first line of its file. */
static void read_password(struct setup *setup)
{
    struct config *config = setup->config;
    const char *path = config->proxy.exceptions_password_file;
    char text[FILE_WHY_BYTES];
    if (path == NULL)
        return;
    const char *why = path_read_secret(path, &setup->reader, text, &setup->exceptions_secret);
    struct slice secret = setup->exceptions_secret;
    struct slice line = slice_first(secret, slice_find(secret, '\n'));
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    if (why == NULL && (line.size == 0 || line.size > EXCEPTION_PASSWORD_BYTES_MAX))
        why = "its first line is empty, or too long";
    if (why != NULL)
        config_problem(config, config->proxy.place, "proxy.exceptions_password_file %s: %s", path,
                       why);
    setup->exceptions.password = line;
}

static void make_exceptions(struct setup *setup)
{
    struct config *config = setup->config;
    struct slice place = slice_cstr(config->proxy.exceptions), path;
    const char *why = exception_place_check(place, &path);
    if (why != NULL) {
        config_problem(config, config->proxy.place, "proxy.exceptions = \"%.100s\": %s",
                       config->proxy.exceptions, why);
        return;
    }
    setup->exceptions = (struct exception_keeper_options){
        .place = place,
        .path = path.size > 0 ? config_path(config, path.data) : "",
        .look_ms = LOOK_MS,
        .wait_ms_max = REDIS_MS_MAX,
        .stamp = stamp,
    };
    read_password(setup);
    setup->gateway.exceptions = &setup->exceptions;
}

void setup_make_control(struct setup *setup)
{
    struct config *config = setup->config;
    const struct config_listener *listeners = config->listeners.items;
    const char *socket = config->control.socket;
    for (unsigned i = 0; i < config->listeners.count && socket != NULL; i++)
        if (listeners[i].path != NULL && strcmp(listeners[i].path, socket) == 0)
            config_problem(config, config->control.place,
                           "control.socket is the path of a listener too; give it one of its own");
    if (socket != NULL && config->pools.count == 0)
        config_problem(config, config->control.place,
                       "control.socket commands backends, and there are no pools; remove it");
    if (config->proxy.exceptions != NULL && config->pools.count == 0)
        config_problem(config, config->proxy.place,
                       "proxy.exceptions are of users of pools, and there are none; remove it");
    if (config->problem_count > 0)
        return;
    if (socket != NULL)
        make_service(setup);
    if (config->proxy.exceptions != NULL)
        make_exceptions(setup);
}
