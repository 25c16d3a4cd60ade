/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pools of backends from their sections in the config, and which domains are behind which pool.
 *
 * Names of backends are looked up here, so that a running core never waits for a resolver: at the
 * start, and on the helper thread of a reload. A name with several addresses is the first of them.
 *
 * Owns: the files' bytes (authorities, keys, passwords), for as long as the table that is made of
 * them; wiped when the setup is freed. What backends are doing (struct backend_states) belongs to
 * the first setup, which is freed last.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>

#include "setup.h"

/* Files of all pools: authorities, certificate, key, password each. */
enum { FILES_OF_POOL = 4 };

static const enum backend_tls tls_of[] = {
    [CONFIG_TLS_NONE] = BACKEND_CLEAR,
    [CONFIG_TLS_START] = BACKEND_START_TLS,
    [CONFIG_TLS_IMPLICIT] = BACKEND_TLS,
};
static const enum backend_identity identity_of[] = {
    [CONFIG_IDENTITY_NONE] = BACKEND_IDENTITY_NONE,
    [CONFIG_IDENTITY_PROXY] = BACKEND_IDENTITY_PROXY,
    [CONFIG_IDENTITY_NATIVE] = BACKEND_IDENTITY_NATIVE,
};

/* ---------------------------------------------------------------- addresses */

static uint8_t parse_address(const char *text, uint8_t address[16])
{
    if (inet_pton(AF_INET, text, address) == 1)
        return 4;
    return inet_pton(AF_INET6, text, address) == 1 ? 6 : 0;
}

/* The first address of a name. */
static void look_up(struct config *config, const struct config_backend *from,
                    struct backend_options *backend)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int result = getaddrinfo(from->address, NULL, &hints, &found);
    if (result != 0) {
        config_problem(
            config, from->place,
            "backend \"%.63s\": %.100s cannot be looked up (%s); is the name right, does "
            "the resolver answer? or write the address in numbers",
            from->name, from->address,
            result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
        return;
    }
    if (found->ai_family == AF_INET) {
        backend->family = 4;
        memcpy(backend->address, &((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr, 4);
    } else {
        backend->family = 6;
        memcpy(backend->address, &((struct sockaddr_in6 *)(void *)found->ai_addr)->sin6_addr, 16);
    }
    freeaddrinfo(found);
}

/* ---------------------------------------------------------------- one pool */

static uint16_t port_of(uint64_t port)
{
    return port == CONFIG_UNSET ? 0 : (uint16_t)port;
}

static void set_backend(struct config *config, const struct config_backend *from,
                        struct backend_options *backend)
{
    *backend = (struct backend_options){
        .name = slice_cstr(from->name),
        .host = setup_text(from->host),
        .ports = {[BACKEND_IMAP] = port_of(from->imap),
                  [BACKEND_POP3] = port_of(from->pop3),
                  [BACKEND_SUBMISSION] = port_of(from->submission),
                  [BACKEND_SIEVE] = port_of(from->sieve),
                  [BACKEND_LMTP] = port_of(from->lmtp)},
        .weight = (unsigned)from->weight,
        .tag = setup_text(from->tag),
    };
    backend->family = parse_address(from->address, backend->address);
    if (backend->family != 0)
        return;
    if (from->host == NULL)
        backend->host = slice_cstr(from->address);
    look_up(config, from, backend);
}

/* The file's bytes, kept until the setup goes; with `secret` as of a key. */
static struct slice read_file(struct setup *setup, const struct config_pool *pool, const char *key,
                              const char *path, bool is_secret)
{
    char text[FILE_WHY_BYTES];
    struct slice *bytes = &setup->pool_files[setup->pool_file_count];
    if (path == NULL)
        return SLICE("");
    const char *why = is_secret ? path_read_secret(path, &setup->reader, text, bytes)
                                : path_read(path, text, bytes);
    if (why != NULL) {
        config_problem(setup->config, pool->place, "pool \"%.63s\": %s %s: %s", pool->name, key,
                       path, why);
        return SLICE("");
    }
    setup->pool_file_count++;
    return *bytes;
}

static struct slice read_password(struct setup *setup, const struct config_pool *pool)
{
    struct slice bytes =
        read_file(setup, pool, "master_password_file", pool->master_password_file, true);
    struct slice line = slice_first(bytes, slice_find(bytes, '\n'));
    while (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    if (bytes.size > 0 && (line.size == 0 || memchr(line.data, '\0', line.size) != NULL))
        config_problem(setup->config, pool->place, "%s: its first line is empty, or holds a NUL",
                       pool->master_password_file);
    return line;
}

static void set_files(struct setup *setup, const struct config_pool *from,
                      struct backend_pool_options *pool)
{
    pool->tls_ca = read_file(setup, from, "tls_ca", from->tls_ca, false);
    pool->tls_pair.name = from->tls_certificate;
    pool->tls_pair.certificate =
        read_file(setup, from, "tls_certificate", from->tls_certificate, false);
    pool->tls_pair.key = read_file(setup, from, "tls_key", from->tls_key, true);
    pool->master_password = read_password(setup, from);
}

/* False without memory. */
static bool set_lists(struct config *config, const struct config_pool *from,
                      struct backend_pool_options *pool)
{
    struct arena *arena = &config->arena;
    const struct config_backend *all = from->backends.items;
    unsigned count = from->backends.count;
    struct backend_options *backends = arena_zalloc(arena, count + 1, sizeof *backends);
    struct backend_source *sources = arena_zalloc(arena, from->sources.count + 1, sizeof *sources);
    uint8_t(*pins)[CONFIG_PIN_BYTES] = arena_zalloc(arena, from->tls_pins.count + 1, sizeof *pins);
    if (backends == NULL || sources == NULL || pins == NULL)
        return false;
    for (unsigned i = 0; i < count; i++)
        set_backend(config, &all[i], &backends[i]);
    for (unsigned i = 0; i < from->sources.count; i++)
        sources[i].family = parse_address(from->sources.names[i], sources[i].address);
    for (unsigned i = 0; i < from->tls_pins.count; i++)
        (void)config_parse_pin(from->tls_pins.names[i], pins[i]); /* checked already */
    pool->backends = backends;
    pool->backend_count = count;
    pool->sources = sources;
    pool->source_count = from->sources.count;
    pool->pins = (const uint8_t(*)[32])pins;
    pool->pin_count = from->tls_pins.count;
    return true;
}

static void set_pool(struct setup *setup, const struct config_pool *from,
                     struct backend_pool_options *pool)
{
    *pool = (struct backend_pool_options){
        .name = slice_cstr(from->name),
        .any_address = from->any_address != 0,
        .tls = {[BACKEND_IMAP] = tls_of[from->tls_imap],
                [BACKEND_POP3] = tls_of[from->tls_pop3],
                [BACKEND_SUBMISSION] = tls_of[from->tls_submission],
                [BACKEND_SIEVE] = tls_of[from->tls_sieve],
                [BACKEND_LMTP] = tls_of[from->tls_lmtp]},
        .identity = identity_of[from->identity],
        .login = from->login == CONFIG_LOGIN_MASTER ? BACKEND_LOGIN_MASTER : BACKEND_LOGIN_FORWARD,
        .master_user = setup_text(from->master_user),
        .judges = from->verify == CONFIG_VERIFY_BACKEND,
        .pipelines = from->pipelining != 0,
        .connections_max = from->connections == CONFIG_UNSET ? 0 : (unsigned)from->connections,
        .connecting_max = (unsigned)from->connecting,
        .connect_ms_max = from->connect_ms,
        .login_ms_max = from->login_ms,
        .health_ms = from->health_ms,
        .down_after = (unsigned)from->down_after,
        .up_after = (unsigned)from->up_after,
        .slow_start_ms = from->slow_start_ms,
        .affinity_ms = from->affinity_ms,
    };
    set_files(setup, from, pool);
    if (!set_lists(setup->config, from, pool))
        config_problem(setup->config, from->place, "no memory for pool \"%.63s\"", from->name);
}

/* ---------------------------------------------------------------- the table */

static void table_problem(void *argument, const char *what)
{
    struct config *config = argument;
    config_problem(config, config->general.place, "pools: %s", what);
}

static void make_table(struct setup *setup, const struct backend_pool_options *pools)
{
    struct config *config = setup->config;
    struct backend_states *states = setup->gateway.backend_states;
    int result = backend_table_make(states, pools, config->pools.count, table_problem, config,
                                    &setup->backends);
    if (result < 0 && config->problem_count == 0)
        config_problem(config, config->general.place, "pools: %s", strerror(-result));
    if (result == 0)
        backend_table_count(setup->backends, &setup->generation);
    setup->gateway.backends = setup->backends;
}

/* Of the process when there are any, else new ones. A running process that was started without
 * pools cannot connect (core.h, `connects`). */
static bool find_states(struct setup *setup, const struct setup_process *process)
{
    struct config *config = setup->config;
    if (process->backend_states != NULL) {
        setup->gateway.backend_states = process->backend_states;
        return true;
    }
    if (config->pools.count == 0)
        return false;
    if (process->is_open) {
        const struct config_pool *first = config->pools.items;
        config_problem(config, first->place,
                       "pools: the running gateway was started without any; restart it");
        return false;
    }
    int result = backend_states_make(setup_core_count(config), &setup->backend_states);
    if (result < 0)
        config_problem(config, config->general.place, "pools: %s", strerror(-result));
    setup->gateway.backend_states = setup->backend_states;
    return result == 0;
}

/* ---------------------------------------------------------------- domains */

/* By bytes, the shorter first: as auth.h and proxy.h search. */
static int compare(struct slice one, struct slice other)
{
    size_t size = one.size < other.size ? one.size : other.size;
    int order = memcmp(one.data, other.data, size);
    return order != 0 ? order : one.size < other.size ? -1 : one.size > other.size;
}

static int compare_domains(const void *a, const void *b)
{
    const struct proxy_domain *one = a, *other = b;
    return compare(one->name, other->name);
}

static int compare_names(const void *a, const void *b)
{
    const struct slice *one = a, *other = b;
    return compare(*one, *other);
}

static void find_domains(struct setup *setup)
{
    struct config *config = setup->config;
    const struct config_domain *all = config->domains.items;
    unsigned count = config->domains.count, found = 0, judged = 0;
    struct proxy_domain *domains = arena_zalloc(&config->arena, count + 1, sizeof *domains);
    struct slice *names = arena_zalloc(&config->arena, count + 1, sizeof *names);
    if (domains == NULL || names == NULL) {
        config_problem(config, config->general.place, "no memory for the domains");
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        if (all[i].pool == NULL)
            continue;
        struct slice name = setup_lower(config, all[i].name);
        const struct backend_pool *pool =
            backend_pool_find(setup->backends, slice_cstr(all[i].pool));
        domains[found++] = (struct proxy_domain){name, pool};
        if (backend_pool_options_of(pool)->judges)
            names[judged++] = name;
    }
    qsort(domains, found, sizeof *domains, compare_domains);
    qsort(names, judged, sizeof *names, compare_names);
    setup->fronted = domains;
    setup->fronted_count = found;
    setup->judged = names;
    setup->judged_count = judged;
}

bool setup_is_fronted(const struct setup *setup, struct slice domain)
{
    struct proxy_domain key = {.name = domain};
    return setup->fronted_count > 0 &&
           bsearch(&key, setup->fronted, setup->fronted_count, sizeof key, compare_domains) != NULL;
}

static void make_proxy(struct setup *setup)
{
    const struct config_proxy *from = &setup->config->proxy;
    for (int i = 0; i < BACKEND_PROTOCOL_COUNT; i++)
        setup->proxy[i] = (struct proxy_options){
            .protocol = (enum backend_protocol)i,
            .domains = setup->fronted,
            .domain_count = setup->fronted_count,
            .has_local_users = setup->fronted_count < setup->config->domains.count,
            .keep_alive_ms = from->keep_alive_ms,
            .idle_ms_max = from->idle_ms,
            .stalled_ms_max = from->stalled_ms,
            .spread_ms = from->spread_ms,
            .farewell_ms = from->farewell_ms,
        };
}

static void make_relay(struct setup *setup)
{
    const struct config_lmtp *from = &setup->config->lmtp;
    setup->gateway.relay = (struct relay_options){
        .cache_entries_max = (unsigned)from->cache_entries,
        .known_ms = from->known_ms,
        .unknown_ms = from->unknown_ms,
        .verify_ms_max = from->verify_ms,
        .deliver_ms_max = from->delivery_ms,
    };
}

/* ---------------------------------------------------------------- all */

void setup_make_backends(struct setup *setup, const struct setup_process *process)
{
    struct config *config = setup->config;
    const struct config_pool *all = config->pools.items;
    unsigned count = config->pools.count;
    if (!find_states(setup, process))
        return;
    struct backend_pool_options *pools = arena_zalloc(&config->arena, count + 1, sizeof *pools);
    setup->pool_files = calloc(count + 1, FILES_OF_POOL * sizeof *setup->pool_files);
    if (pools == NULL || setup->pool_files == NULL) {
        config_problem(config, config->general.place, "pools: no memory");
        return;
    }
    for (unsigned i = 0; i < count; i++)
        set_pool(setup, &all[i], &pools[i]);
    if (config->problem_count == 0)
        make_table(setup, pools);
    if (config->problem_count == 0)
        find_domains(setup);
    if (config->problem_count == 0)
        make_proxy(setup);
    make_relay(setup);
}

void setup_free_backends(struct setup *setup)
{
    if (setup->backends != NULL)
        backend_table_free(setup->backends);
    if (setup->backend_states != NULL)
        backend_states_free(setup->backend_states);
    for (unsigned i = 0; i < setup->pool_file_count; i++)
        path_forget(&setup->pool_files[i]);
    free(setup->pool_files);
}

_Static_assert((int)CONFIG_POOLS_MAX <= (int)BACKEND_POOLS_MAX &&
                   (int)CONFIG_BACKENDS_MAX <= (int)BACKENDS_MAX &&
                   (int)CONFIG_PINS_MAX <= (int)BACKEND_PINS_MAX &&
                   (int)CONFIG_SOURCES_MAX <= (int)BACKEND_SOURCES_MAX,
               "what the config allows fits");
