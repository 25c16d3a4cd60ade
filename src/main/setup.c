/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Puts users, routes, certificates, services and options together. Problems found here (a broken
 * line in a passwd file, an alias that leads nowhere, a key that belongs to another certificate)
 * are problems of the config: `check` names them, `serve` does not start.
 */
#include "setup.h"

#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "ringpost/hash.h"
#include "ringpost/sieve.h"
#include "ringpost/tls.h"

struct slice setup_text(const char *text)
{
    return text == NULL ? SLICE("") : slice_cstr(text);
}

/* ---------------------------------------------------------------- services */

static unsigned per_address(const struct config *config, const struct config_listener *listener)
{
    if (listener->connections_per_address != CONFIG_UNSET)
        return (unsigned)listener->connections_per_address;
    bool is_local = listener->path != NULL || config_is_loopback(listener->address);
    return is_local ? 0 : (unsigned)config->limits.connections_per_address;
}

/* The same for the same listener in each generation, so that a ticket is good after a reload. */
static uint32_t ticket_id(const struct service *service)
{
    uint64_t hash = hash_stable(service->address, strlen(service->address));
    return (uint32_t)hash_u64(hash ^ hash_u64(service->port * 8 + (unsigned)service->protocol->id));
}

static const enum service_tls tls_of[] = {
    [CONFIG_TLS_NONE] = SERVICE_CLEAR,
    [CONFIG_TLS_START] = SERVICE_START_TLS,
    [CONFIG_TLS_IMPLICIT] = SERVICE_TLS,
};

/* What is spoken there, and how long its pauses may be. */
static void set_protocol(struct setup *setup, const struct config_listener *listener,
                         struct service *service)
{
    const struct config_limits *limits = &setup->config->limits;
    service->idle_ms_max = limits->smtp_idle_ms;
    switch ((enum config_protocol)listener->protocol) {
    case CONFIG_SMTP:
        service->protocol = &smtp_protocol;
        service->options = &setup->smtp;
        break;
    case CONFIG_SUBMISSION:
        service->protocol = &submission_protocol;
        service->options = &setup->submission;
        break;
    case CONFIG_LMTP:
        service->protocol = &lmtp_protocol;
        service->options = &setup->lmtp;
        break;
    case CONFIG_POP3:
        service->protocol = &pop3_protocol;
        service->idle_ms_max = limits->pop3_idle_ms;
        break;
    case CONFIG_IMAP:
        service->protocol = &imap_protocol;
        service->options = &setup->imap;
        service->idle_ms_max = limits->imap_idle_ms;
        break;
    case CONFIG_SIEVE:
        service->protocol = &sieve_protocol;
        service->idle_ms_max = limits->imap_idle_ms;
        break;
    }
}

/* Users of fronted domains are passed on where their backends speak the same. */
static void set_front(const struct setup *setup, const struct config_listener *listener,
                      struct service *service)
{
    static const struct {
        enum config_protocol protocol;
        enum backend_protocol backend;
    } rows[] = {{CONFIG_IMAP, BACKEND_IMAP},
                {CONFIG_POP3, BACKEND_POP3},
                {CONFIG_SUBMISSION, BACKEND_SUBMISSION},
                {CONFIG_SIEVE, BACKEND_SIEVE}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows && setup->fronted_count > 0; i++)
        if (rows[i].protocol == (enum config_protocol)listener->protocol)
            service->front = &setup->proxy[rows[i].backend];
}

static void make_service(struct setup *setup, const struct config_listener *listener,
                         struct service *service)
{
    const struct config_limits *limits = &setup->config->limits;
    bool is_local = listener->path != NULL || config_is_loopback(listener->address);
    *service = (struct service){
        .host_name = slice_cstr(setup->config->general.host_name),
        .address = listener->path != NULL ? listener->path : listener->address,
        .port = listener->path != NULL ? 0 : (unsigned)listener->port,
        .mode = (unsigned)listener->mode,
        .connections_max =
            (unsigned)(listener->connections == CONFIG_UNSET ? limits->connections
                                                             : listener->connections),
        .connections_per_address_max = per_address(setup->config, listener),
        .connections_per_network_max = is_local ? 0 : (unsigned)limits->connections_per_network,
        .connections_per_user_max = is_local ? 0 : (unsigned)limits->connections_per_user,
        .before_login_percent_max =
            config_has_login(listener) ? (unsigned)limits->before_login_share : 0,
        .unlimited = limits->unlimited,
        .proxy_from = listener->proxy_from,
        .xclient_from = listener->xclient_from,
        .tls = tls_of[listener->tls],
        .plain_login_allowed = listener->plain_login != 0,
        .error_ms_first = limits->error_ms_first,
        .error_ms_max = limits->error_ms_max,
        .errors_free = (unsigned)limits->errors_free,
        .generation = &setup->generation,
        .login_ms_max = limits->login_ms,
        .command_ms_max = limits->command_ms,
        .errors_max = (unsigned)limits->errors,
        .junk_max = (unsigned)limits->junk,
    };
    set_protocol(setup, listener, service);
    set_front(setup, listener, service);
    service->tls_service.alpn = service->protocol->alpn;
    service->tls_service.id = ticket_id(service);
}

static const enum smtp_sender_match sender_match[] = {SMTP_SENDER_LOGIN, SMTP_SENDER_ALIASES,
                                                      SMTP_SENDER_ANY};

static void make_smtp(struct setup *setup, const struct setup_process *process)
{
    const struct config_limits *limits = &setup->config->limits;
    const struct config_submission *submission = &setup->config->submission;
    struct smtp_options common = {
        .routes = setup->routes,
        .fronted = setup->fronted,
        .fronted_count = setup->fronted_count,
        .verify_ms_max = setup->gateway.relay.verify_ms_max,
        .relay_ms_max = setup->gateway.relay.deliver_ms_max,
        .message_bytes_max = limits->message_bytes,
        .recipients_max = (unsigned)limits->recipients,
        .received_max = (unsigned)limits->received,
        .data_ms_max = limits->data_ms,
        .data_bytes_per_second_min = limits->data_bytes_per_second,
    };
    setup->smtp = setup->lmtp = setup->submission = common;
    setup->smtp.forbid_early_talk = true;
    setup->smtp.greeting_ms = limits->greeting_ms;
    setup->submission.sender_match = sender_match[submission->sender_match];
    setup->submission.received_names_user = submission->received_names_user != 0;
    setup->submission.keeps_bcc = submission->keeps_bcc != 0;
    setup->submission.quotas = process->quotas;
    setup->submission.user_messages_max = (unsigned)submission->user_messages;
    setup->submission.user_recipients_max = (unsigned)submission->user_recipients;
    setup->submission.user_window_ms = submission->user_window_ms;
}

static void make_mailboxes(struct setup *setup)
{
    const struct config_limits *limits = &setup->config->limits;
    setup->imap = (struct imap_options){
        .append_bytes_max = limits->message_bytes,
        .idle_ms_max = limits->imap_idle_ms,
    };
}

/* ---------------------------------------------------------------- all */

unsigned setup_cpu_count(void)
{
    cpu_set_t allowed;
    int count = sched_getaffinity(0, sizeof allowed, &allowed) < 0 ? 1 : CPU_COUNT(&allowed);
    return count > CORES_MAX ? CORES_MAX : (unsigned)count;
}

unsigned setup_core_count(const struct config *config)
{
    return config->general.cores == CONFIG_UNSET ? setup_cpu_count()
                                                 : (unsigned)config->general.cores;
}

static void make_options(struct setup *setup)
{
    const struct config *config = setup->config;
    const struct config_limits *limits = &config->limits;
    unsigned cores = setup_core_count(config);
    bool connects = config->pools.count > 0;
    setup->engine = (struct engine_options){
        .core_count = cores,
        /* a session that is passed on has a second connection */
        .connections_max = (unsigned)limits->connections * (connects ? 2 : 1),
        .connects = connects,
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
    gateway->tls_settings = setup->tls;
    const struct config_listener *listeners = config->listeners.items;
    for (unsigned i = 0; i < config->listeners.count; i++) {
        make_service(setup, &listeners[i], &setup->services[i]);
        gateway->services[gateway->service_count++] = &setup->services[i];
    }
}

_Static_assert((int)CONFIG_LISTENERS_MAX < (int)GATEWAY_SERVICES_MAX, "and the control socket");

/* Whom the process becomes; as what it is, it stays when no user is named. What the config says of
 * the user was checked; a reload, which may not see the user database any more, asks for no other.
 */
static void find_reader(struct setup *setup)
{
    const struct config_general *general = &setup->config->general;
    setup->reader = (struct file_reader){geteuid(), getegid()};
    if (general->user == NULL || geteuid() != 0)
        return;
    const struct passwd *user = getpwnam(general->user);
    const struct group *group = general->group == NULL ? NULL : getgrnam(general->group);
    if (user == NULL || (general->group != NULL && group == NULL))
        return;
    setup->reader =
        (struct file_reader){user->pw_uid, group == NULL ? user->pw_gid : group->gr_gid};
}

static void make_all(struct setup *setup, const struct setup_process *process)
{
    struct config *config = setup->config;
    find_reader(setup);
    setup_read_users(setup);
    if (config->problem_count == 0)
        setup_make_directories(setup);
    if (config->problem_count == 0)
        setup_make_backends(setup, process);
    if (config->problem_count == 0)
        setup_make_routes(setup);
    setup->tls_stamp = setup_tls_stamp(config); /* before: what changes meanwhile is seen later */
    if (config->problem_count == 0)
        setup->tls = setup_make_tls(config, &setup->reader, process->ticket_secret);
    if (config->problem_count == 0)
        setup_make_auth(setup, process);
    if (config->problem_count == 0) {
        make_smtp(setup, process);
        make_mailboxes(setup);
        make_options(setup);
        setup_make_control(setup);
    }
}

struct setup *setup_make(struct config *config, const struct setup_process *process)
{
    static const struct setup_process none;
    struct setup *setup = calloc(1, sizeof *setup);
    if (setup == NULL) {
        config_free(config);
        return NULL;
    }
    setup->config = config;
    if (config->problem_count == 0)
        make_all(setup, process == NULL ? &none : process);
    return setup;
}

void setup_free(struct setup *setup)
{
    if (setup == NULL)
        return;
    tls_settings_unref(setup->tls);
    route_free(setup->routes);
    setup_free_auth(setup);
    setup_free_backends(setup);
    path_forget(&setup->exceptions_secret);
    config_free(setup->config);
    free(setup);
}
