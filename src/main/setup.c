/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Puts users, routes, services and options together. Problems found here (a broken line in a passwd
 * file, an alias that leads nowhere) are problems of the config: `check` names them, `serve` does
 * not start.
 */
#include "setup.h"

#include <pwd.h>
#include <sched.h>
#include <stdlib.h>

#include "users.h"

/* ---------------------------------------------------------------- users */

/* One passwd file's part of the text that is parsed at once (so a user in two files is seen). */
struct part {
    const char *path;
    unsigned first_line; /* of the whole text */
};

struct users_reading {
    struct config *config;
    struct part *parts;
    unsigned part_count, lines;
    char *text;
    size_t size;
};

static void users_problem(void *argument, unsigned line, const char *what)
{
    struct users_reading *reading = argument;
    unsigned i = 0;
    while (i + 1 < reading->part_count && reading->parts[i + 1].first_line <= line)
        i++;
    struct config_place place = {reading->parts[i].path, line - reading->parts[i].first_line + 1};
    config_problem(reading->config, place, "%s", what);
}

static long owner_allowed(const struct config *config)
{
    const struct passwd *user = config->general.user ? getpwnam(config->general.user) : NULL;
    return user == NULL ? -1 : (long)user->pw_uid;
}

/* Adds the file's bytes, once. */
static void add_part(struct users_reading *reading, const struct config_domain *domain)
{
    struct config *config = reading->config;
    char text[300], *data;
    size_t size;
    for (unsigned i = 0; i < reading->part_count; i++)
        if (strcmp(reading->parts[i].path, domain->users) == 0)
            return;
    const char *why = users_file_read(domain->users, owner_allowed(config), text, &data, &size);
    if (why != NULL) {
        bool named = strncmp(why, domain->users, strlen(domain->users)) == 0;
        config_problem(config, domain->place, "users: %s%s%s", named ? "" : domain->users,
                       named ? "" : ": ", why);
        return;
    }
    char *joined = realloc(reading->text, reading->size + size + 1);
    if (joined == NULL) {
        config_problem(config, domain->place, "users: %s does not fit into memory", domain->users);
        free(data);
        return;
    }
    memcpy(joined + reading->size, data, size);
    free(data);
    reading->parts[reading->part_count++] = (struct part){domain->users, reading->lines + 1};
    if (size > 0 && joined[reading->size + size - 1] != '\n')
        joined[reading->size + size++] = '\n';
    for (size_t i = 0; i < size; i++)
        reading->lines += joined[reading->size + i] == '\n';
    reading->text = joined;
    reading->size += size;
}

static void read_users(struct setup *setup)
{
    struct config *config = setup->config;
    const struct config_domain *domains = config->domains.items;
    struct users_reading reading = {.config = config};
    reading.parts = calloc(config->domains.count + 1, sizeof *reading.parts);
    for (unsigned i = 0; i < config->domains.count && reading.parts != NULL; i++)
        add_part(&reading, &domains[i]);
    if (config->problem_count == 0) {
        struct slice text = slice_of(reading.text == NULL ? "" : reading.text, reading.size);
        int result = auth_users_parse(text, users_problem, &reading, &setup->users);
        if (result < 0 && config->problem_count == 0)
            config_problem(config, config->general.place, "users: %s", strerror(-result));
    }
    free(reading.parts);
    free(reading.text);
}

/* ---------------------------------------------------------------- routes */

static struct slice text_or_empty(const char *text)
{
    return text == NULL ? SLICE("") : slice_cstr(text);
}

/* The name with the domain behind it, if it has none; in the config's arena. */
static struct slice with_domain(struct config *config, const char *name, const char *domain)
{
    if (strchr(name, '@') != NULL)
        return slice_cstr(name);
    struct slice whole = arena_printf(&config->arena, "%s@%s", name, domain);
    return whole.data == NULL ? slice_cstr(name) : whole;
}

static void add_aliases(struct setup *setup, const struct config_domain *domain)
{
    struct config *config = setup->config;
    const struct config_alias *aliases = domain->aliases.items;
    for (unsigned i = 0; i < domain->aliases.count; i++) {
        struct slice name = with_domain(config, aliases[i].name, domain->name);
        for (unsigned j = 0; j < aliases[i].to.count; j++) {
            struct slice to = with_domain(config, aliases[i].to.names[j], domain->name);
            int result = route_add_alias(setup->routes, name, to);
            if (result < 0)
                config_problem(
                    config, aliases[i].place, "alias \"%s\" to \"%.*s\": %s", aliases[i].name,
                    (int)to.size, to.data,
                    result == -EEXIST
                        ? "there is a user of that name, or this target twice; remove one"
                    : result == -ENOENT ? "its domain is none of ours; add it to domains"
                    : result == -EINVAL ? "no address; write local@domain"
                                        : strerror(-result));
        }
    }
}

static void add_domains(struct setup *setup)
{
    struct config *config = setup->config;
    const struct config_domain *domains = config->domains.items;
    for (unsigned i = 0; i < config->domains.count; i++) {
        const struct config_domain *domain = &domains[i];
        struct route_domain_options options = {
            .catch_all = domain->catch_all == NULL
                             ? SLICE("")
                             : with_domain(config, domain->catch_all, domain->name),
            .separator = text_or_empty(domain->separator),
            .detail_mailbox = domain->detail_mailbox != 0,
        };
        int result = route_add_domain(setup->routes, slice_cstr(domain->name), &options);
        if (result < 0)
            config_problem(config, domain->place, "domain \"%.60s\": %s", domain->name,
                           result == -EEXIST   ? "is there twice; remove one"
                           : result == -EINVAL ? "no domain name; such as \"example.org\""
                                               : strerror(-result));
    }
}

static void add_users(struct setup *setup)
{
    struct config *config = setup->config;
    for (unsigned i = 0; i < auth_users_count(setup->users); i++) {
        struct slice user = auth_users_name(setup->users, i);
        int result = route_add_user(setup->routes, user);
        if (result < 0)
            config_problem(config, config->general.place, "user %.*s: %s", (int)user.size,
                           user.data,
                           result == -ENOENT ? "its domain is none of ours; add it to domains, or "
                                               "delete the user"
                                             : strerror(-result));
    }
}

static bool is_named(struct slice address, const char *name, const char *domain)
{
    struct slice local = slice_first(address, slice_find(address, '@'));
    if (strchr(name, '@') != NULL)
        return slice_equal_nocase(address, slice_cstr(name));
    return slice_equal_nocase(local, slice_cstr(name)) &&
           slice_equal_nocase(slice_from(address, local.size + 1), slice_cstr(domain));
}

/* Where an alias or catch-all stands in the config. */
static struct config_place place_of(const struct config *config, struct slice address)
{
    const struct config_domain *domains = config->domains.items;
    struct config_place found = config->general.place;
    for (unsigned i = 0; i < config->domains.count; i++) {
        const struct config_alias *aliases = domains[i].aliases.items;
        const char *catch_all = domains[i].catch_all;
        if (catch_all != NULL && is_named(address, catch_all, domains[i].name))
            found = domains[i].place;
        for (unsigned j = 0; j < domains[i].aliases.count; j++)
            if (is_named(address, aliases[j].name, domains[i].name))
                return aliases[j].place;
    }
    return found;
}

static void route_problem(void *argument, struct slice address, const char *what)
{
    struct config *config = argument;
    config_problem(config, place_of(config, address), "%.*s: %s", (int)address.size, address.data,
                   what);
}

static void make_routes(struct setup *setup)
{
    struct config *config = setup->config;
    if (route_create(&setup->routes) < 0) {
        config_problem(config, config->general.place, "no memory for the routes");
        return;
    }
    const struct config_domain *domains = config->domains.items;
    add_domains(setup);
    if (config->problem_count == 0)
        add_users(setup);
    for (unsigned i = 0; i < config->domains.count && config->problem_count == 0; i++)
        add_aliases(setup, &domains[i]);
    if (config->problem_count == 0)
        route_check(setup->routes, route_problem, config);
}

/* ---------------------------------------------------------------- services */

static unsigned per_address(const struct config *config, const struct config_listener *listener)
{
    if (listener->connections_per_address != CONFIG_UNSET)
        return (unsigned)listener->connections_per_address;
    bool is_local = listener->path != NULL || config_is_loopback(listener->address);
    return is_local ? 0 : (unsigned)config->limits.connections_per_address;
}

static void make_service(struct setup *setup, const struct config_listener *listener,
                         struct service *service)
{
    const struct config_limits *limits = &setup->config->limits;
    *service = (struct service){
        .host_name = slice_cstr(setup->config->general.host_name),
        .address = listener->path != NULL ? listener->path : listener->address,
        .port = listener->path != NULL ? 0 : (unsigned)listener->port,
        .mode = (unsigned)listener->mode,
        .connections_max =
            (unsigned)(listener->connections == CONFIG_UNSET ? limits->connections
                                                             : listener->connections),
        .connections_per_address_max = per_address(setup->config, listener),
        .login_ms_max = limits->login_ms,
        .command_ms_max = limits->command_ms,
        .errors_max = (unsigned)limits->errors,
        .junk_max = (unsigned)limits->junk,
    };
    switch ((enum config_protocol)listener->protocol) {
    case CONFIG_SMTP:
        service->protocol = &smtp_protocol;
        service->options = &setup->smtp;
        service->idle_ms_max = limits->smtp_idle_ms;
        break;
    case CONFIG_LMTP:
        service->protocol = &lmtp_protocol;
        service->options = &setup->lmtp;
        service->idle_ms_max = limits->smtp_idle_ms;
        break;
    case CONFIG_POP3:
        service->protocol = &pop3_protocol;
        service->options = &setup->pop3[listener->plain_login];
        service->idle_ms_max = limits->pop3_idle_ms;
        break;
    case CONFIG_IMAP:
        service->protocol = &imap_protocol;
        service->options = &setup->imap[listener->plain_login];
        service->idle_ms_max = limits->imap_idle_ms;
        break;
    }
}

static void make_protocols(struct setup *setup)
{
    const struct config_limits *limits = &setup->config->limits;
    setup->smtp = (struct smtp_options){
        .routes = setup->routes,
        .message_bytes_max = limits->message_bytes,
        .recipients_max = (unsigned)limits->recipients,
        .received_max = (unsigned)limits->received,
        .data_ms_max = limits->data_ms,
        .data_bytes_per_second_min = limits->data_bytes_per_second,
        .forbid_early_talk = true,
    };
    setup->lmtp = setup->smtp;
    setup->lmtp.forbid_early_talk = false;
    for (int plain = 0; plain < 2; plain++) {
        setup->pop3[plain] = (struct pop3_options){.plain_login_allowed = plain};
        setup->imap[plain] = (struct imap_options){
            .plain_login_allowed = plain,
            .append_bytes_max = limits->message_bytes,
            .idle_ms_max = limits->imap_idle_ms,
        };
    }
}

/* ---------------------------------------------------------------- all */

unsigned setup_cpu_count(void)
{
    cpu_set_t allowed;
    int count = sched_getaffinity(0, sizeof allowed, &allowed) < 0 ? 1 : CPU_COUNT(&allowed);
    return count > CORES_MAX ? CORES_MAX : (unsigned)count;
}

static void make_options(struct setup *setup)
{
    const struct config *config = setup->config;
    const struct config_limits *limits = &config->limits;
    unsigned cores =
        config->general.cores == CONFIG_UNSET ? setup_cpu_count() : (unsigned)config->general.cores;
    setup->engine = (struct engine_options){
        .core_count = cores,
        .connections_max = (unsigned)limits->connections,
        .buffers = (unsigned)limits->receive_buffers,
        .fibers_max = (unsigned)limits->fibers,
        .stack_bytes = (unsigned)limits->stack_bytes,
    };
    struct gateway_options *gateway = &setup->gateway;
    gateway->drain_pace_ms = config->general.drain_pace_ms;
    gateway->drain_wait_ms = config->general.drain_wait_ms;
    gateway->store = (struct store_options){
        .directory = config->store.directory,
        .shard_count =
            config->store.shards == CONFIG_UNSET ? cores : (unsigned)config->store.shards,
        .segment_bytes = (uint32_t)config->store.segment_bytes,
        .cache_bytes = config->store.cache_bytes,
        .index_bytes_max = config->store.index_bytes,
    };
    gateway->auth = (struct auth_options){
        .users = setup->users,
        .default_domain = text_or_empty(config->auth.default_domain),
        .cache_entries_max = (unsigned)config->auth.cache_entries,
        .cache_ms_max = config->auth.cache_ms,
        .waiting_max = (unsigned)config->auth.waiting_max,
        .failure_ms_first = config->auth.failure_ms_first,
        .failure_ms_max = config->auth.failure_ms_max,
    };
    const struct config_listener *listeners = config->listeners.items;
    for (unsigned i = 0; i < config->listeners.count; i++) {
        make_service(setup, &listeners[i], &setup->services[i]);
        gateway->services[gateway->service_count++] = &setup->services[i];
    }
}

_Static_assert((int)CONFIG_LISTENERS_MAX <= (int)GATEWAY_SERVICES_MAX, "a listener is a service");

struct setup *setup_make(struct config *config)
{
    struct setup *setup = calloc(1, sizeof *setup);
    if (setup == NULL) {
        config_free(config);
        return NULL;
    }
    setup->config = config;
    if (config->problem_count == 0)
        read_users(setup);
    if (config->problem_count == 0)
        make_routes(setup);
    if (config->problem_count == 0) {
        make_protocols(setup);
        make_options(setup);
    }
    return setup;
}

void setup_free(struct setup *setup)
{
    if (setup == NULL)
        return;
    route_free(setup->routes);
    auth_users_free(setup->users);
    config_free(setup->config);
    free(setup);
}
