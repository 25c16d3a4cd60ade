/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What no single row of the table can say: settings that contradict each other, that cannot work
 * on this machine, or that are dangerous without their loud switch (rows C05, C07, C08).
 * Listeners and TLS are in config_check_listener.c, directories and tokens in config_check_auth.c,
 * pools in config_check_pool.c;
 * users, aliases and domains are checked where they are put together (setup.c).
 */
#include <arpa/inet.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>

#include "config.h"

bool config_is_loopback(const char *address)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, address, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

bool config_is_numeric(const char *address)
{
    struct in6_addr any;
    return inet_pton(AF_INET, address, &any) == 1 || inet_pton(AF_INET6, address, &any) == 1;
}

static bool is_host_name(const char *name)
{
    bool dot = true; /* a label must not be empty */
    for (; *name != '\0'; name++) {
        char c = ascii_lower(*name);
        if (c == '.' ? dot : !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
        dot = c == '.';
    }
    return !dot;
}

static void check_general(struct config *config)
{
    const struct config_general *general = &config->general;
    if (!is_host_name(general->host_name))
        config_problem(config, general->place,
                       "host_name = \"%.60s\" is no host name; letters, digits, '-' and '.' only",
                       general->host_name);
    if (general->user != NULL && !config->is_again && getpwnam(general->user) == NULL)
        config_problem(config, general->place,
                       "user \"%s\" does not exist; make it: useradd --system %s", general->user,
                       general->user);
    if (general->group != NULL && !config->is_again && getgrnam(general->group) == NULL)
        config_problem(config, general->place,
                       "group \"%s\" does not exist; make it: groupadd --system %s", general->group,
                       general->group);
    if (general->group != NULL && general->user == NULL)
        config_problem(config, general->place, "group without user; add user = \"...\"");
}

static void check_sizes(struct config *config)
{
    const struct config_limits *limits = &config->limits;
    char text[32];
    /* the message's summary and its framing go into the same segment */
    uint64_t needed = limits->message_bytes + (UINT64_C(1) << 20);
    config_show_size(needed, text);
    if (config->store.segment_bytes < needed)
        config_problem(config, config->store.place,
                       "store.segment_size is too small for limits.message_size; at least %s, or "
                       "smaller messages",
                       text);
    if (limits->stack_bytes % 4096 != 0)
        config_problem(config, limits->place, "limits.stack is to be a multiple of \"4K\"");
    if (config->auth.failure_ms_first > config->auth.failure_ms_max)
        config_problem(config, config->auth.place,
                       "auth.failure_delay_first is longer than failure_delay; swap them");
    if (limits->error_ms_first > limits->error_ms_max)
        config_problem(config, limits->place,
                       "limits.error_delay_first is longer than error_delay; swap them");
}

static void check_domains(struct config *config)
{
    const struct config_domain *domains = config->domains.items;
    bool found = config->auth.default_domain == NULL;
    for (unsigned i = 0; i < config->domains.count && !found; i++)
        found = slice_equal_nocase(slice_cstr(domains[i].name),
                                   slice_cstr(config->auth.default_domain));
    if (!found)
        config_problem(config, config->auth.place,
                       "auth.default_domain = \"%.60s\" is none of the domains; add it to domains",
                       config->auth.default_domain);
    if (config->domains.count == 0)
        config_problem(config, config->general.place,
                       "no domains; add domains = ( { name = \"...\"; users = \"...\"; } );");
    for (unsigned i = 0; i < config->domains.count; i++) {
        bool has_both = domains[i].users != NULL && domains[i].directory != NULL;
        bool has_none = domains[i].users == NULL && domains[i].directory == NULL;
        if (has_both || (has_none && domains[i].pool == NULL)) /* config_check_pool.c */
            config_problem(config, domains[i].place,
                           "domain \"%.60s\" has either users or a directory; give one of them",
                           domains[i].name);
    }
}

static void check_admin(struct config *config)
{
    const struct config_admin *admin = &config->admin;
    if (!config_is_numeric(admin->address))
        config_problem(config, admin->place,
                       "admin.address = \"%.60s\" is no numeric address; such as \"127.0.0.1\"",
                       admin->address);
    else if (admin->port != CONFIG_UNSET && !config_is_loopback(admin->address) && !admin->exposed)
        config_problem(config, admin->place,
                       "admin.address = \"%.60s\" shows metrics to everyone who reaches it; use "
                       "127.0.0.1, or add exposed_without_authentication = true",
                       admin->address);
    const struct config_listener *listeners = config->listeners.items;
    for (unsigned i = 0; i < config->listeners.count && admin->port != CONFIG_UNSET; i++)
        if (config_same_address(admin->address, admin->port, &listeners[i]))
            config_problem(config, admin->place,
                           "admin has the address and port of a listener; choose another port");
}

void config_check(struct config *config)
{
    check_general(config);
    check_sizes(config);
    check_domains(config);
    config_check_listeners(config);
    config_check_auth(config);
    config_check_pools(config);
    check_admin(config);
}
