/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What pools, their backends and the domains behind them must be together (row C08): each backend
 * can be reached and is known by one name, passwords do not travel in clear by accident, whoever
 * shows a certificate is checked, somebody judges each log-in, and what only a store can do is not
 * asked of a gateway without one.
 */
#include <arpa/inet.h>

#include "config.h"

const struct config_pool *config_pool_find(const struct config *config, const char *name)
{
    const struct config_pool *all = config->pools.items;
    for (unsigned i = 0; i < config->pools.count; i++)
        if (all[i].name != NULL && strcmp(all[i].name, name) == 0)
            return &all[i];
    return NULL;
}

const char *config_exceptions_file(struct config *config)
{
    static const char scheme[] = "file:";
    const char *place = config->proxy.exceptions;
    if (place == NULL || strncmp(place, scheme, sizeof scheme - 1) != 0)
        return NULL;
    return config_path(config, place + sizeof scheme - 1);
}

bool config_takes_mail(const struct config_pool *pool)
{
    const struct config_backend *backends = pool->backends.items;
    for (unsigned i = 0; i < pool->backends.count; i++)
        if (backends[i].lmtp != CONFIG_UNSET)
            return true;
    return false;
}

bool config_has_store(const struct config *config)
{
    return config->store.directory != NULL;
}

/* ---------------------------------------------------------------- addresses */

static bool is_local(const char *address)
{
    return config_is_loopback(address) || strcmp(address, "localhost") == 0;
}

/* RFC 1918, RFC 6598, RFC 4193 and what is on the link only. Of a name nobody knows. */
static bool is_private(const char *address)
{
    static const char ranges[] = "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 "
                                 "100.64.0.0/10 fc00::/7 fe80::/10";
    uint8_t bytes[16];
    unsigned family = inet_pton(AF_INET, address, bytes) == 1    ? 4
                      : inet_pton(AF_INET6, address, bytes) == 1 ? 6
                                                                 : 0;
    return network_text_holds(slice_cstr(ranges), family, bytes, NULL);
}

/* What log lines, metrics and commands can carry without quoting. */
static bool is_plain_name(const char *name)
{
    for (const char *at = name; *at != '\0'; at++) {
        char c = ascii_lower(*at);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("._-", c) != NULL))
            return false;
    }
    return *name != '\0';
}

/* Letters, digits, '-', '.': for the resolver, and for a certificate. */
static bool is_host(const char *name)
{
    return is_plain_name(name) && strchr(name, '_') == NULL && *name != '.' && *name != '-';
}

/* ---------------------------------------------------------------- backends */

static void check_backend(struct config *config, const struct config_pool *pool, unsigned index)
{
    const struct config_backend *all = pool->backends.items;
    const struct config_backend *one = &all[index];
    if (!is_plain_name(one->name))
        config_problem(config, one->place,
                       "backend \"%.63s\": a name has letters, digits, '.', '-' and '_' only",
                       one->name);
    for (unsigned i = 0; i < index; i++)
        if (strcasecmp(all[i].name, one->name) == 0)
            config_problem(config, one->place,
                           "a second backend \"%.63s\" in pool \"%.63s\"; "
                           "rename one",
                           one->name, pool->name);
    if (!config_is_numeric(one->address) && !is_host(one->address))
        config_problem(config, one->place,
                       "backend \"%.63s\": address = \"%.60s\" is neither a numeric address nor a "
                       "host name; such as \"192.0.2.1\"; ports stand in keys of their own",
                       one->name, one->address);
    if (one->host != NULL && (!is_host(one->host) || config_is_numeric(one->host)))
        config_problem(config, one->place,
                       "backend \"%.63s\": host = \"%.60s\" is no host name; such as "
                       "\"imap.example.org\"",
                       one->name, one->host);
    if (one->tag != NULL && !is_plain_name(one->tag))
        config_problem(config, one->place,
                       "backend \"%.63s\": a tag has letters, digits, '.', '-' and '_' only",
                       one->name);
    if (one->imap == CONFIG_UNSET && one->pop3 == CONFIG_UNSET && one->submission == CONFIG_UNSET &&
        one->sieve == CONFIG_UNSET && one->lmtp == CONFIG_UNSET)
        config_problem(config, one->place,
                       "backend \"%.63s\" serves nothing; add a port, such as imap = 143",
                       one->name);
    if (pool->tls_ca != NULL && one->host == NULL && config_is_numeric(one->address))
        config_problem(config, one->place,
                       "backend \"%.63s\": tls_ca without a name that the certificate must have; "
                       "add host = \"...\", or use tls_pins",
                       one->name);
}

/* ---------------------------------------------------------------- TLS to them */

/* Fills in what was not given. False after saying what is missing. */
static bool settle_tls(struct config *config, struct config_pool *pool)
{
    const struct config_backend *backends = pool->backends.items;
    uint64_t *const each[] = {&pool->tls_imap, &pool->tls_pop3, &pool->tls_submission,
                              &pool->tls_sieve, &pool->tls_lmtp};
    bool all_local = pool->any_address == 0;
    for (unsigned i = 0; i < pool->backends.count; i++)
        all_local = all_local && is_local(backends[i].address);
    if (pool->tls == CONFIG_UNSET && !all_local) {
        config_problem(config, pool->place,
                       "pool \"%.63s\" does not say how passwords get to its backends; add tls = "
                       "\"start\" or \"implicit\", or tls = \"none\" for a network that is yours",
                       pool->name);
        return false;
    }
    if (pool->tls == CONFIG_UNSET)
        pool->tls = CONFIG_TLS_NONE;
    if (pool->tls_sieve == CONFIG_UNSET && pool->tls == CONFIG_TLS_IMPLICIT)
        pool->tls_sieve = CONFIG_TLS_START;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        if (*each[i] == CONFIG_UNSET)
            *each[i] = pool->tls;
    return true;
}

/* Some backend's port of that kind is reached so. */
static bool is_used(const struct config_pool *pool, const struct config_backend *backend,
                    enum config_tls_way way, bool or_the_other)
{
    const uint64_t ports[] = {backend->imap, backend->pop3, backend->submission, backend->sieve,
                              backend->lmtp};
    const uint64_t ways[] = {pool->tls_imap, pool->tls_pop3, pool->tls_submission, pool->tls_sieve,
                             pool->tls_lmtp};
    bool used = false;
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++)
        used = used || (ports[i] != CONFIG_UNSET && ((ways[i] == way) != or_the_other));
    return used;
}

static void check_tls(struct config *config, struct config_pool *pool)
{
    const struct config_backend *backends = pool->backends.items;
    if (!settle_tls(config, pool))
        return;
    bool has_tls = pool->any_address != 0 && pool->tls != CONFIG_TLS_NONE;
    for (unsigned i = 0; i < pool->backends.count; i++) {
        const char *address = backends[i].address;
        has_tls = has_tls || is_used(pool, &backends[i], CONFIG_TLS_NONE, true);
        if (is_used(pool, &backends[i], CONFIG_TLS_NONE, false) && !pool->insecure_clear &&
            !is_local(address) && !is_private(address))
            config_problem(config, backends[i].place,
                           "backend \"%.63s\" gets passwords in clear over the network; use tls, "
                           "or add insecure_clear_over_the_network = true to the pool",
                           backends[i].name);
    }
    bool is_verified = pool->tls_ca != NULL || pool->tls_pins.count > 0;
    if (has_tls && !is_verified && !pool->unverified_tls)
        config_problem(config, pool->place,
                       "pool \"%.63s\": tls without tls_ca or tls_pins: anybody on the way can be "
                       "the backend; add one, or unverified_tls = true",
                       pool->name);
    if (is_verified && pool->unverified_tls)
        config_problem(config, pool->place,
                       "pool \"%.63s\": unverified_tls beside tls_ca or tls_pins; remove it",
                       pool->name);
    if (is_verified && !has_tls)
        config_problem(config, pool->place,
                       "pool \"%.63s\": tls_ca or tls_pins without TLS; add tls = \"start\" or "
                       "\"implicit\"",
                       pool->name);
    if ((pool->tls_certificate == NULL) != (pool->tls_key == NULL))
        config_problem(config, pool->place,
                       "pool \"%.63s\": tls_certificate and tls_key go together; add the other",
                       pool->name);
}

static void check_lists(struct config *config, const struct config_pool *pool)
{
    uint8_t pin[CONFIG_PIN_BYTES];
    if (pool->tls_pins.count > CONFIG_PINS_MAX)
        config_problem(config, pool->place, "pool \"%.63s\": more than %d tls_pins; use tls_ca",
                       pool->name, CONFIG_PINS_MAX);
    if (pool->sources.count > CONFIG_SOURCES_MAX)
        config_problem(config, pool->place, "pool \"%.63s\": more than %d sources; remove some",
                       pool->name, CONFIG_SOURCES_MAX);
    for (unsigned i = 0; i < pool->tls_pins.count; i++) {
        const char *why = config_parse_pin(pool->tls_pins.names[i], pin);
        if (why != NULL)
            config_problem(config, pool->place, "tls_pins: \"%.100s\" %s", pool->tls_pins.names[i],
                           why);
    }
    for (unsigned i = 0; i < pool->sources.count; i++)
        if (!config_is_numeric(pool->sources.names[i]))
            config_problem(config, pool->place,
                           "sources: \"%.60s\" is no numeric address; such as \"192.0.2.1\"",
                           pool->sources.names[i]);
}

/* ---------------------------------------------------------------- log-in */

static void check_login(struct config *config, const struct config_pool *pool)
{
    bool is_master = pool->login == CONFIG_LOGIN_MASTER;
    if (is_master && (pool->master_user == NULL || pool->master_password_file == NULL))
        config_problem(config, pool->place,
                       "pool \"%.63s\": login = \"master\" needs master_user and "
                       "master_password_file; add them",
                       pool->name);
    if (!is_master && (pool->master_user == NULL) != (pool->master_password_file == NULL))
        config_problem(config, pool->place,
                       "pool \"%.63s\": master_user and master_password_file go together; add the "
                       "other",
                       pool->name);
    if (is_master && pool->verify == CONFIG_VERIFY_BACKEND)
        config_problem(config, pool->place,
                       "pool \"%.63s\": with login = \"master\" a backend sees no password, so it "
                       "cannot judge; verify = \"here\"",
                       pool->name);
    if (pool->connect_ms > pool->login_ms)
        config_problem(config, pool->place,
                       "pool \"%.63s\": connect_timeout is longer than login_timeout; make it "
                       "shorter, so that there is time for a second backend",
                       pool->name);
}

/* ---------------------------------------------------------------- domains */

static void check_domain(struct config *config, const struct config_domain *domain)
{
    const struct config_pool *pool = config_pool_find(config, domain->pool);
    bool is_known = domain->users != NULL || domain->directory != NULL;
    if (pool == NULL)
        config_problem(config, domain->place, "pool \"%.63s\" is none of the pools; add it to them",
                       domain->pool);
    else if (pool->verify == CONFIG_VERIFY_BACKEND && is_known)
        config_problem(config, domain->place,
                       "domain \"%.60s\": the backends of pool \"%.63s\" judge its log-ins; remove "
                       "users and directory, or give the pool verify = \"here\"",
                       domain->name, pool->name);
    else if (pool->verify == CONFIG_VERIFY_HERE && !is_known)
        config_problem(config, domain->place,
                       "domain \"%.60s\" has neither users nor a directory to judge log-ins by; "
                       "add one, or give pool \"%.63s\" verify = \"backend\"",
                       domain->name, pool->name);
    if (pool != NULL && !config_takes_mail(pool) &&
        (domain->aliases.count > 0 || domain->catch_all != NULL))
        config_problem(
            config, domain->place,
            "domain \"%.60s\": no backend of pool \"%.63s\" has a port for lmtp, so "
            "mail to it is not taken; remove aliases and catch_all, or add lmtp = ... to "
            "backends",
            domain->name, pool->name);
}

/* Of a gateway whose users are all elsewhere. */
static void check_without_store(struct config *config, unsigned local_domains)
{
    const struct config_listener *listeners = config->listeners.items;
    const struct config_pool *pools = config->pools.items;
    if (config_has_store(config))
        return;
    if (local_domains > 0)
        config_problem(config, config->store.place,
                       "store: directory must be given; add directory = ..., or set "
                       "RINGPOST_STORE__DIRECTORY, or give every domain a pool");
    bool takes_mail = false;
    for (unsigned i = 0; i < config->pools.count; i++)
        takes_mail = takes_mail || config_takes_mail(&pools[i]);
    for (unsigned i = 0; i < config->listeners.count && local_domains == 0 && !takes_mail; i++)
        if (listeners[i].protocol == CONFIG_SMTP || listeners[i].protocol == CONFIG_LMTP)
            config_problem(config, listeners[i].place,
                           "%s takes mail, each domain has a pool, and no backend has a port for "
                           "lmtp; add lmtp = ... to backends, or remove this listener",
                           listeners[i].protocol == CONFIG_SMTP ? "smtp" : "lmtp");
}

static uint64_t port_of(const struct config_backend *backend, uint64_t protocol)
{
    switch ((enum config_protocol)protocol) {
    case CONFIG_IMAP:
        return backend->imap;
    case CONFIG_POP3:
        return backend->pop3;
    case CONFIG_SUBMISSION:
        return backend->submission;
    case CONFIG_SIEVE:
        return backend->sieve;
    default:
        return CONFIG_UNSET;
    }
}

static bool is_served(const struct config *config, uint64_t protocol)
{
    const struct config_pool *pools = config->pools.items;
    bool is = false;
    for (unsigned i = 0; i < config->pools.count; i++) {
        const struct config_backend *backends = pools[i].backends.items;
        is = is || pools[i].any_address != 0;
        for (unsigned j = 0; j < pools[i].backends.count; j++)
            is = is || port_of(&backends[j], protocol) != CONFIG_UNSET;
    }
    return is;
}

/* A listener whose users no backend could take; not said when pools have problems of their own. */
static void check_listener(struct config *config, const struct config_listener *listener,
                           unsigned local_domains)
{
    static const char *const names[] = {
        [CONFIG_SMTP] = "smtp", [CONFIG_LMTP] = "lmtp",   [CONFIG_POP3] = "pop3",
        [CONFIG_IMAP] = "imap", [CONFIG_SIEVE] = "sieve", [CONFIG_SUBMISSION] = "submission"};
    bool is_sieve = listener->protocol == CONFIG_SIEVE;
    if (is_sieve && config->pools.count == 0)
        config_problem(config, listener->place,
                       "sieve is passed through to backends, and there are no pools; remove "
                       "this listener");
    else if (config_has_login(listener) && (is_sieve || local_domains == 0) &&
             config->pools.count > 0 && config->problem_count == 0 &&
             !is_served(config, listener->protocol))
        config_problem(config, listener->place,
                       "no backend has a port for %s; add %s = ... to backends, or remove this "
                       "listener",
                       names[listener->protocol], names[listener->protocol]);
}

static void check_use(struct config *config)
{
    const struct config_domain *domains = config->domains.items;
    const struct config_pool *pools = config->pools.items;
    const struct config_listener *listeners = config->listeners.items;
    unsigned local = config->domains.count;
    for (unsigned i = 0; i < config->domains.count; i++)
        if (domains[i].pool != NULL) {
            local--;
            check_domain(config, &domains[i]);
        }
    for (unsigned i = 0; i < config->pools.count; i++) {
        bool is_named = false;
        for (unsigned j = 0; j < config->domains.count && !is_named; j++)
            is_named = domains[j].pool != NULL && strcmp(domains[j].pool, pools[i].name) == 0;
        if (!is_named)
            config_problem(config, pools[i].place,
                           "pool \"%.63s\" is used by no domain; add pool = \"%.63s\" to one",
                           pools[i].name, pools[i].name);
    }
    for (unsigned i = 0; i < config->listeners.count; i++)
        check_listener(config, &listeners[i], local);
    check_without_store(config, local);
}

/* ---------------------------------------------------------------- all */

static void check_control(struct config *config)
{
    const char *exceptions = config->proxy.exceptions;
    if (exceptions != NULL && strncmp(exceptions, "file:", 5) != 0 &&
        strncmp(exceptions, "redis://", 8) != 0)
        config_problem(config, config->proxy.place,
                       "proxy.exceptions = \"%.100s\" is neither a file nor a Redis; write "
                       "\"file:/path\" or \"redis://host:port/0\"",
                       exceptions);
    bool is_redis = exceptions != NULL && strncmp(exceptions, "redis://", 8) == 0;
    bool has_user = is_redis && strchr(exceptions, '@') != NULL;
    if (config->proxy.exceptions_password_file != NULL && !is_redis)
        config_problem(config, config->proxy.place,
                       "proxy.exceptions_password_file is for a Redis; remove it");
    if (has_user && config->proxy.exceptions_password_file == NULL)
        config_problem(config, config->proxy.place,
                       "proxy.exceptions names a user of the Redis; add exceptions_password_file");
    if (config->control.mode & 0006)
        config_problem(config, config->control.place,
                       "control.mode lets everybody on this machine command the gateway; 0600 or "
                       "0660");
}

void config_check_pools(struct config *config)
{
    struct config_pool *pools = config->pools.items;
    unsigned backends = 0;
    for (unsigned i = 0; i < config->pools.count; i++) {
        struct config_pool *pool = &pools[i];
        backends += pool->backends.count;
        if (!is_plain_name(pool->name))
            config_problem(config, pool->place,
                           "pool \"%.63s\": a name has letters, digits, '.', '-' and '_' only",
                           pool->name);
        for (unsigned j = 0; j < i; j++)
            if (strcasecmp(pools[j].name, pool->name) == 0)
                config_problem(config, pool->place, "a second pool \"%.63s\"; rename one",
                               pool->name);
        if (pool->backends.count == 0 && !pool->any_address)
            config_problem(config, pool->place,
                           "pool \"%.63s\" has no backends; add backends = ( { name = \"...\"; "
                           "address = \"...\"; imap = 143; } );",
                           pool->name);
        for (unsigned j = 0; j < pool->backends.count; j++)
            check_backend(config, pool, j);
        check_tls(config, pool);
        check_lists(config, pool);
        check_login(config, pool);
    }
    if (backends > CONFIG_BACKENDS_MAX)
        config_problem(config, config->general.place, "%u backends; there can be %d", backends,
                       CONFIG_BACKENDS_MAX);
    check_use(config);
    check_control(config);
}
