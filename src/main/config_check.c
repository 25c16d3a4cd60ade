/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What no single row of the table can say: settings that contradict each other, that cannot work
 * on this machine, or that are dangerous without their loud switch (rows C05, C07, C08).
 * Users, aliases and domains are checked where they are put together (setup.c).
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

static bool is_numeric(const char *address)
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
    if (general->user != NULL && getpwnam(general->user) == NULL)
        config_problem(config, general->place,
                       "user \"%s\" does not exist; make it: useradd --system %s", general->user,
                       general->user);
    if (general->group != NULL && getgrnam(general->group) == NULL)
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
}

static void check_place_of_listener(struct config *config, const struct config_listener *listener)
{
    struct config_place place = listener->place;
    if ((listener->address == NULL) == (listener->path == NULL))
        config_problem(config, place,
                       "a listener has either address and port, or path; give one of them");
    else if (listener->address != NULL && listener->port == CONFIG_UNSET)
        config_problem(config, place, "address without port; add port = ...");
    else if (listener->path != NULL && listener->port != CONFIG_UNSET)
        config_problem(config, place, "path with port; a Unix socket has no port, remove it");
    else if (listener->address != NULL && !is_numeric(listener->address))
        config_problem(config, place,
                       "address = \"%.60s\" is no numeric address; such as \"127.0.0.1\" or \"::\"",
                       listener->address);
}

static void check_login_of_listener(struct config *config, const struct config_listener *listener)
{
    bool has_login = listener->protocol == CONFIG_POP3 || listener->protocol == CONFIG_IMAP;
    bool is_local = listener->address == NULL || config_is_loopback(listener->address);
    if (listener->plain_login && !has_login)
        config_problem(config, listener->place,
                       "plain_login concerns pop3 and imap only; remove it here");
    else if (listener->plain_login && !is_local && !listener->insecure_plain_login)
        config_problem(config, listener->place,
                       "plain_login on %.60s lets passwords be read on the way; listen on a "
                       "loopback address, or add insecure_plain_login_over_the_network = true",
                       listener->address);
}

/* "::" takes IPv4 too. */
static bool same_address(const char *a, uint64_t port, const struct config_listener *b)
{
    return b->address != NULL && b->port == port &&
           (strcmp(a, b->address) == 0 ||
            (strcmp(a, "::") == 0 && strcmp(b->address, "0.0.0.0") == 0) ||
            (strcmp(a, "0.0.0.0") == 0 && strcmp(b->address, "::") == 0));
}

static void check_listeners(struct config *config)
{
    const struct config_listener *all = config->listeners.items;
    if (config->listeners.count == 0)
        config_problem(config, config->general.place,
                       "no listeners; add listeners = ( { protocol = \"smtp\"; address = "
                       "\"0.0.0.0\"; port = 25; } );");
    for (unsigned i = 0; i < config->listeners.count; i++) {
        check_place_of_listener(config, &all[i]);
        check_login_of_listener(config, &all[i]);
        bool taken = false;
        for (unsigned j = 0; j < i; j++)
            taken =
                taken ||
                (all[i].address != NULL && same_address(all[i].address, all[i].port, &all[j])) ||
                (all[i].path != NULL && all[j].path != NULL &&
                 strcmp(all[i].path, all[j].path) == 0);
        if (taken)
            config_problem(config, all[i].place,
                           "the same address as another listener; choose another port or path");
    }
}

static void check_admin(struct config *config)
{
    const struct config_admin *admin = &config->admin;
    if (!is_numeric(admin->address))
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
        if (same_address(admin->address, admin->port, &listeners[i]))
            config_problem(config, admin->place,
                           "admin has the address and port of a listener; choose another port");
}

void config_check(struct config *config)
{
    check_general(config);
    check_sizes(config);
    check_domains(config);
    check_listeners(config);
    check_admin(config);
}
