/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The whole gateway as a host: services smtp, lmtp, pop3, imap, submission; users anna, bert, carl,
 * and u0 to u2, of example.org with the password "secret", an alias "both" for anna and bert, no
 * such user "nobody".
 *
 * host_front is the same with services before them: front_imap, front_pop3 and front_submission
 * pass everybody on to the services imap, pop3 and submission of this same gateway, as if it were
 * another; half of the users belong to a backend that is not there, and are logged in at the one
 * that is. control commands all that; moved users stand in a file of the store's folder.
 */
#include <stdio.h>
#include <stdlib.h>

#include "host.h"
#include "ringpost/gateway.h"
#include "ringpost/imap.h"
#include "ringpost/pop3.h"
#include "ringpost/proxy.h"
#include "ringpost/route.h"
#include "ringpost/smtp.h"

enum { SERVICES = 5, FRONT_SERVICES = 9, GENERATIONS = 3, DIRECTORY_MAX = 100 };
enum { POP3 = 2, IMAP = 3, SUBMISSION = 4, FRONT_IMAP = 5, FRONTS = 3, CONTROL = 8 };

struct gateway_host {
    char directory[DIRECTORY_MAX];
    struct auth_users *users;
    struct route_table *routes;
    struct smtp_options smtp, lmtp, submission;
    struct imap_options imap;
    struct service services[GENERATIONS][FRONT_SERVICES];
    struct gateway_options options[GENERATIONS]; /* the same but for their address */
    struct generation generations[GENERATIONS];
    unsigned current; /* the generation that cores are to adopt */
    struct gateway gateway;
    bool is_front;
    struct proxy_domain domain;
    struct proxy_options fronts[FRONTS];
    struct backend_options backends[2];
    struct backend_pool_options pool;
    struct control_options control;
    char exceptions_place[DIRECTORY_MAX + 20];
    struct exception_keeper_options exceptions;
    struct backend_states *states; /* of this life */
    struct backend_table *table;
};

static void problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "users, line %u: %s\n", line, what);
}

static void must(int result)
{
    if (result < 0) {
        fprintf(stderr, "host_gateway: %s\n", strerror(-result));
        abort();
    }
}

static void make_users(struct gateway_host *host)
{
    static const char *const names[] = {"anna@example.org", "bert@example.org", "carl@example.org",
                                        "u0@example.org",   "u1@example.org",   "u2@example.org"};
    enum { COUNT = sizeof names / sizeof names[0] };
    char hash[256], text[2400];
    size_t size = 0;
    must(auth_hash(SLICE("sha512"), SLICE("secret"), SLICE("0123456789abcdef"), 1000, hash));
    for (int i = 0; i < COUNT; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s:%s\n", names[i], hash);
    must(auth_users_parse(slice_of(text, size), problem, NULL, &host->users));
    must(route_create(&host->routes));
    struct route_domain_options domain = {.separator = SLICE("+")};
    must(route_add_domain(host->routes, SLICE("example.org"), &domain));
    for (int i = 0; i < COUNT; i++)
        must(route_add_user(host->routes, slice_cstr(names[i])));
    must(route_add_alias(host->routes, SLICE("both@example.org"), slice_cstr(names[0])));
    must(route_add_alias(host->routes, SLICE("both@example.org"), slice_cstr(names[1])));
    must(route_add_alias(host->routes, SLICE("postmaster@example.org"), slice_cstr(names[2])));
}

static void make_services(struct gateway_host *host, unsigned port_base)
{
    const struct session_protocol *const protocols[SERVICES] = {
        &smtp_protocol, &lmtp_protocol, &pop3_protocol, &imap_protocol, &submission_protocol};
    const void *const options[SERVICES] = {&host->smtp, &host->lmtp, NULL, &host->imap,
                                           &host->submission};
    host->smtp = (struct smtp_options){
        .routes = host->routes,
        .message_bytes_max = 2000000,
        .recipients_max = 100,
        .received_max = 30,
        .data_ms_max = 600000,
        .data_bytes_per_second_min = 1000,
        .forbid_early_talk = true,
        .greeting_ms = 20,
    };
    host->lmtp = host->smtp;
    host->lmtp.forbid_early_talk = false;
    host->lmtp.greeting_ms = 0;
    host->submission = host->lmtp;
    host->submission.sender_match = SMTP_SENDER_ALIASES;
    host->imap = (struct imap_options){.append_bytes_max = 2000000, .idle_ms_max = 1800000};
    for (int i = 0; i < SERVICES; i++) {
        host->services[0][i] = (struct service){
            .protocol = protocols[i],
            .options = options[i],
            .host_name = SLICE("mx.example.org"),
            .address = "127.0.0.1",
            .plain_login_allowed = true,
            .port = port_base + (unsigned)i,
            .connections_max = 100,
            .login_ms_max = 60000,
            .idle_ms_max = 300000,
            .command_ms_max = 300000,
            .errors_max = 20,
            .junk_max = 100,
        };
        host->options[0].services[host->options[0].service_count++] = &host->services[0][i];
    }
}

/* ---------------------------------------------------------------- before itself */

static void make_fronts(struct gateway_host *host, unsigned port_base)
{
    static const enum backend_protocol protocols[FRONTS] = {BACKEND_IMAP, BACKEND_POP3,
                                                            BACKEND_SUBMISSION};
    static const int behind[FRONTS] = {IMAP, POP3, SUBMISSION};
    static const struct slice names[2] = {SLICE("alive"), SLICE("absent")};
    for (int i = 0; i < 2; i++)
        host->backends[i] = (struct backend_options){
            .name = names[i],
            .family = 4,
            .address = {127, 0, 0, i == 0 ? 1 : 9},
            .ports = {[BACKEND_IMAP] = (uint16_t)(port_base + IMAP),
                      [BACKEND_POP3] = (uint16_t)(port_base + POP3),
                      [BACKEND_SUBMISSION] = (uint16_t)(port_base + SUBMISSION)},
            .weight = 100,
        };
    for (int i = 0; i < FRONTS; i++) {
        host->fronts[i] = (struct proxy_options){
            .protocol = protocols[i],
            .domains = &host->domain,
            .domain_count = 1,
            .keep_alive_ms = 60000,
            .idle_ms_max = 3600000,
            .stalled_ms_max = 120000,
            .spread_ms = 2000,
            .farewell_ms = 1000,
        };
        struct service *service = &host->services[0][FRONT_IMAP + i];
        *service = host->services[0][behind[i]];
        service->port = port_base + FRONT_IMAP + (unsigned)i;
        service->front = &host->fronts[i];
        host->options[0].services[host->options[0].service_count++] = service;
    }
    host->pool = (struct backend_pool_options){
        .name = SLICE("pool"),
        .backends = host->backends,
        .backend_count = 2,
        .identity = BACKEND_IDENTITY_NATIVE,
        .login = BACKEND_LOGIN_FORWARD,
        .pipelines = true,
        .connect_ms_max = 5000,
        .login_ms_max = 15000,
        .health_ms = 5000,
        .down_after = 2,
        .up_after = 1,
        .affinity_ms = 1000,
    };
}

/* The operator's protocol, on TCP as all of them here, and the file that moved users stand in. */
static void make_control(struct gateway_host *host, unsigned port_base)
{
    struct service *service = &host->services[0][CONTROL];
    int size = snprintf(host->exceptions_place, sizeof host->exceptions_place, "file:%s/exceptions",
                        host->directory);
    must(size < (int)sizeof host->exceptions_place ? 0 : -ENAMETOOLONG);
    host->control = (struct control_options){
        .domains = &host->domain,
        .domain_count = 1,
        .default_domain = SLICE("example.org"),
        .spread_ms = 1000,
    };
    *service = host->services[0][IMAP];
    service->protocol = &control_protocol;
    service->options = &host->control;
    service->port = port_base + CONTROL;
    host->options[0].services[host->options[0].service_count++] = service;
    host->exceptions = (struct exception_keeper_options){
        .place = slice_cstr(host->exceptions_place),
        .path = host->exceptions_place + 5,
        .look_ms = 2000,
    };
    host->options[0].exceptions = &host->exceptions;
}

static void backend_problem(void *argument, const char *what)
{
    (void)argument;
    fprintf(stderr, "backends: %s\n", what);
}

static void forget_backends(struct gateway_host *host)
{
    if (host->table != NULL)
        backend_table_free(host->table);
    if (host->states != NULL)
        backend_states_free(host->states);
    host->table = NULL;
    host->states = NULL;
}

/* What backends do is forgotten with the life. */
static void begin_backends(struct gateway_host *host)
{
    forget_backends(host);
    must(backend_states_make(host->options[0].store.shard_count, &host->states));
    must(backend_table_make(host->states, &host->pool, 1, backend_problem, NULL, &host->table));
    host->domain =
        (struct proxy_domain){SLICE("example.org"), backend_pool_find(host->table, SLICE("pool"))};
    for (int i = 0; i < GENERATIONS; i++) {
        host->options[i].backend_states = host->states;
        host->options[i].backends = host->table;
    }
}

/* Each generation in memory of its own. */
static void make_generations(struct gateway_host *host)
{
    for (int i = 0; i < GENERATIONS; i++) {
        struct gateway_options *options = &host->options[i];
        if (i > 0) {
            memcpy(host->services[i], host->services[0], sizeof host->services[0]);
            *options = host->options[0];
        }
        options->auth.generation = &host->generations[i];
        for (unsigned j = 0; j < options->service_count; j++) {
            host->services[i][j].generation = &host->generations[i];
            options->services[j] = &host->services[i][j];
        }
    }
}

static struct gateway_host *make(unsigned cores, unsigned port_base, const char *directory,
                                 bool is_front)
{
    struct gateway_host *host = calloc(1, sizeof *host);
    if (host == NULL)
        return NULL;
    snprintf(host->directory, sizeof host->directory, "%s", directory);
    make_users(host);
    make_services(host, port_base);
    host->is_front = is_front;
    if (is_front)
        make_fronts(host, port_base);
    if (is_front)
        make_control(host, port_base);
    host->options[0].store = (struct store_options){
        .directory = host->directory,
        .shard_count = cores,
        .segment_bytes = 1 << 20,
        .cache_bytes = 1 << 20,
        .index_bytes_max = 16 << 20,
    };
    host->options[0].auth = (struct auth_options){
        .users = host->users,
        .default_domain = SLICE("example.org"),
        .mechanisms = 1u << AUTH_PLAIN | 1u << AUTH_LOGIN,
        .cache_entries_max = 100,
        .cache_ms_max = 60000,
        .waiting_max = 20,
        .failure_ms_first = 1000,
        .failure_ms_max = 4000,
    };
    host->options[0].drain_pace_ms = 10;
    host->options[0].drain_wait_ms = 2000;
    make_generations(host);
    return host;
}

static void *gateway_make(unsigned cores, unsigned port_base, const char *directory)
{
    return make(cores, port_base, directory, false);
}

static void *front_make(unsigned cores, unsigned port_base, const char *directory)
{
    return make(cores, port_base, directory, true);
}

static void gateway_free(void *state)
{
    struct gateway_host *host = state;
    forget_backends(host);
    auth_users_free(host->users);
    route_free(host->routes);
    free(host);
}

static void gateway_begin(void *state)
{
    struct gateway_host *host = state;
    memset(host->generations, 0, sizeof host->generations); /* a crash takes the users along */
    host->current = 0;
    if (host->is_front)
        begin_backends(host);
    gateway_init(&host->gateway, &host->options[0]);
}

static int gateway_open_core(struct core *core, void *state)
{
    return gateway_open(core, &((struct gateway_host *)state)->gateway);
}

static void gateway_close_core(struct core *core, void *state)
{
    gateway_close(core, &((struct gateway_host *)state)->gateway);
}

static void gateway_renew(void *state)
{
    struct gateway_host *host = state;
    host->current = (host->current + 1) % GENERATIONS;
}

static void gateway_adopt_core(struct core *core, void *state)
{
    struct gateway_host *host = state;
    must(gateway_adopt(core, &host->options[host->current]));
}

static uint64_t gateway_users(void *state)
{
    const struct gateway_host *host = state;
    uint64_t users = 0;
    for (int i = 0; i < GENERATIONS; i++)
        users += generation_users(&host->generations[i]);
    return users;
}

const struct host host_gateway = {
    .name = "gateway",
    .services = {{"smtp", 0, "220 *", "NOOP", "250 *", "QUIT"},
                 {"lmtp", 1, "220 *", "NOOP", "250 *", "QUIT"},
                 {"pop3", 2, "+OK*", "NOOP", "-ERR*", "QUIT"},
                 {"imap", 3, "\\* OK *", "x NOOP", "x OK *", "x LOGOUT"},
                 {"submission", 4, "220 *", "NOOP", "250 *", "QUIT"}},
    .make = gateway_make,
    .free = gateway_free,
    .begin = gateway_begin,
    .open = gateway_open_core,
    .close = gateway_close_core,
    .renew = gateway_renew,
    .adopt = gateway_adopt_core,
    .users = gateway_users,
};

const struct host host_front = {
    .name = "front",
    .connects = true,
    .services = {{"smtp", 0, "220 *", "NOOP", "250 *", "QUIT"},
                 {"lmtp", 1, "220 *", "NOOP", "250 *", "QUIT"},
                 {"pop3", 2, "+OK*", "NOOP", "-ERR*", "QUIT"},
                 {"imap", 3, "\\* OK *", "x NOOP", "x OK *", "x LOGOUT"},
                 {"submission", 4, "220 *", "NOOP", "250 *", "QUIT"},
                 {"front_imap", 5, "\\* OK *", "x NOOP", "x OK *", "x LOGOUT"},
                 {"front_pop3", 6, "+OK*", "NOOP", "-ERR*", "QUIT"},
                 {"front_submission", 7, "220 *", "NOOP", "250 *", "QUIT"},
                 {"control", 8, NULL, "DELAY carl 0", "{\"ok\":true,*", "QUIT"}},
    .make = front_make,
    .free = gateway_free,
    .begin = gateway_begin,
    .open = gateway_open_core,
    .close = gateway_close_core,
    .renew = gateway_renew,
    .adopt = gateway_adopt_core,
    .users = gateway_users,
};
