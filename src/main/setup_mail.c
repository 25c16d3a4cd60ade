/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Users of passwd files, and where mail goes: domains, aliases, catch-all.
 */
#include <stdlib.h>

#include "setup.h"
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
    long owner;
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

/* Adds the file's bytes, once. */
static void add_part(struct users_reading *reading, const struct config_domain *domain)
{
    struct config *config = reading->config;
    char text[300], *data;
    size_t size;
    for (unsigned i = 0; i < reading->part_count; i++)
        if (strcmp(reading->parts[i].path, domain->users) == 0)
            return;
    const char *why = users_file_read(domain->users, reading->owner, text, &data, &size);
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
    explicit_bzero(data, size);
    free(data);
    reading->parts[reading->part_count++] = (struct part){domain->users, reading->lines + 1};
    if (size > 0 && joined[reading->size + size - 1] != '\n')
        joined[reading->size + size++] = '\n';
    for (size_t i = 0; i < size; i++)
        reading->lines += joined[reading->size + i] == '\n';
    reading->text = joined;
    reading->size += size;
}

void setup_read_users(struct setup *setup)
{
    struct config *config = setup->config;
    const struct config_domain *domains = config->domains.items;
    struct users_reading reading = {.config = config, .owner = (long)setup->reader.uid};
    reading.parts = calloc(config->domains.count + 1, sizeof *reading.parts);
    for (unsigned i = 0; i < config->domains.count && reading.parts != NULL; i++)
        if (domains[i].users != NULL)
            add_part(&reading, &domains[i]);
    if (config->problem_count == 0) {
        struct slice text = slice_of(reading.text == NULL ? "" : reading.text, reading.size);
        int result = auth_users_parse(text, users_problem, &reading, &setup->users);
        if (result < 0 && config->problem_count == 0)
            config_problem(config, config->general.place, "users: %s", strerror(-result));
    }
    free(reading.parts);
    if (reading.text != NULL)
        explicit_bzero(reading.text, reading.size);
    free(reading.text);
}

/* ---------------------------------------------------------------- routes */

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
                    : result == -ENOENT ? "its domain is none of those that mail is taken for; "
                                          "add it to domains"
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
        const struct config_pool *pool =
            domain->pool == NULL ? NULL : config_pool_find(config, domain->pool);
        if (pool != NULL && !config_takes_mail(pool))
            continue; /* nor does anybody else here take its mail */
        struct route_domain_options options = {
            .catch_all = domain->catch_all == NULL
                             ? SLICE("")
                             : with_domain(config, domain->catch_all, domain->name),
            .separator = setup_text(domain->separator),
            .detail_mailbox = domain->detail_mailbox != 0 && pool == NULL,
            .users_elsewhere = domain->directory != NULL || pool != NULL,
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
        if (setup_is_fronted(setup, slice_from(user, slice_find(user, '@') + 1)))
            continue;
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

void setup_make_routes(struct setup *setup)
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
