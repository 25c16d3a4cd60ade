/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A ManageSieve front without a mail store, and behind it one that keeps scripts and plays a part:
 * a protocol of the same process, so that it ends, and fails, with the rest. A second backend is
 * not there; its half of the users are logged in at the one that is.
 *
 * Users anna and bert of example.org, password "secret"; carl is known to the front only. The store
 * knows PUTSCRIPT, GETSCRIPT and LISTSCRIPTS, one script a user, and DROP, which closes the
 * connection without a word. What it has said OK to is kept over crashes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "host.h"
#include "ringpost/base64.h"
#include "ringpost/gateway.h"
#include "ringpost/proxy.h"
#include "ringpost/sieve.h"

enum { FRONT, STORE, SERVICES, USERS = 2, SCRIPT_MAX = 4000, NAME_MAX = 40 };
enum { BEFORE = 1, INSIDE = 2 };

struct kept {
    char name[NAME_MAX]; /* "": none */
    char bytes[SCRIPT_MAX];
    size_t size;
};

struct sieve_host {
    struct auth_users *users;
    struct kept kept[USERS];
    struct service services[SERVICES];
    struct gateway_options options;
    struct gateway gateway;
    struct proxy_domain domain;
    struct proxy_options front;
    struct backend_options backends[2];
    struct backend_pool_options pool;
    struct backend_states *states; /* of this life */
    struct backend_table *table;
};

static void must(int result)
{
    if (result < 0) {
        fprintf(stderr, "host_sieve: %s\n", strerror(-result));
        abort();
    }
}

/* ---------------------------------------------------------------- the store */

struct store_session {
    struct session session; /* first */
    struct kept *kept;      /* of its user; NULL: nobody */
};

static struct kept *kept_of(struct session *session)
{
    return ((struct store_session *)session)->kept;
}

static void say(struct session *session, const char *line)
{
    stream_printf(&session->stream, "%s\r\n", line);
}

/* What stands between the first two quotes; *ret_rest is behind them. */
static struct slice quoted(struct slice text, struct slice *ret_rest)
{
    struct slice rest = slice_from(text, slice_find(text, '"') + 1);
    size_t end = slice_find(rest, '"');
    *ret_rest = slice_from(rest, end + 1);
    return slice_first(rest, end);
}

static void store_authenticate(struct session *session, const void *arguments)
{
    static const struct slice messages[USERS] = {SLICE("\0anna@example.org\0secret"),
                                                 SLICE("\0bert@example.org\0secret")};
    struct sieve_host *host = (void *)(uintptr_t)session->service->options;
    char plain[400];
    struct slice rest;
    (void)arguments;
    struct slice mechanism = quoted(session->line.arguments, &rest);
    struct slice message = quoted(rest, &rest);
    size_t size = 0;
    bool is_plain = slice_equal(mechanism, SLICE("PLAIN")) && message.size < sizeof plain &&
                    base64_decode(message, plain, &size);
    for (int i = 0; i < USERS && is_plain; i++)
        if (slice_equal(slice_of(plain, size), messages[i])) {
            struct slice user = slice_from(slice_first(messages[i], 17), 1);
            if (session_logged_in(session, user) < 0) {
                say(session, "NO (TRYLATER) \"Not now\"");
                return;
            }
            ((struct store_session *)session)->kept = &host->kept[i];
            session->state = INSIDE;
            say(session, "OK \"In the store\"");
            return;
        }
    say(session, "NO \"The store does not know you\"");
}

/* "name" {size+}, and the bytes behind the line. */
static void store_put(struct session *session, const void *arguments)
{
    struct slice rest, line, name = quoted(session->line.arguments, &rest);
    struct kept fresh = {.size = 0};
    uint64_t size;
    (void)arguments;
    rest = slice_from(rest, slice_find(rest, '{') + 1);
    if (name.size == 0 || name.size >= NAME_MAX ||
        !slice_number(slice_first(rest, slice_find(rest, '+')), SCRIPT_MAX, &size)) {
        session_end(session, SESSION_END_PROTOCOL);
        return;
    }
    memcpy(fresh.name, name.data, name.size);
    fresh.size = (size_t)size;
    if (stream_read_exact(&session->stream, fresh.bytes, fresh.size) < 0 ||
        stream_read_line(&session->stream, 10, &line) < 0)
        return;
    *kept_of(session) = fresh;
    say(session, "OK \"Kept\"");
}

static void store_get(struct session *session, const void *arguments)
{
    const struct kept *kept = kept_of(session);
    struct slice rest, name = quoted(session->line.arguments, &rest);
    (void)arguments;
    if (name.size == 0 || !slice_equal(name, slice_cstr(kept->name))) {
        say(session, "NO (NONEXISTENT) \"No such script\"");
        return;
    }
    stream_printf(&session->stream, "{%zu}\r\n", kept->size);
    stream_write(&session->stream, slice_of(kept->bytes, kept->size));
    stream_write(&session->stream, SLICE("\r\nOK\r\n"));
}

static void store_list(struct session *session, const void *arguments)
{
    const struct kept *kept = kept_of(session);
    (void)arguments;
    if (kept->name[0] != '\0')
        stream_printf(&session->stream, "\"%s\" ACTIVE\r\n", kept->name);
    say(session, "OK");
}

static void store_noop(struct session *session, const void *arguments)
{
    (void)arguments;
    say(session, "OK \"of the store\"");
}

static void store_drop(struct session *session, const void *arguments)
{
    (void)arguments;
    session_end(session, SESSION_END_QUIT);
}

static void store_logout(struct session *session, const void *arguments)
{
    say(session, "OK \"Left the store\"");
    store_drop(session, arguments);
}

static void store_open_session(struct session *session)
{
    stream_write(&session->stream,
                 SLICE("\"IMPLEMENTATION\" \"A store\"\r\n\"SASL\" \"PLAIN\"\r\n"
                       "\"SIEVE\" \"fileinto vacation\"\r\n\"VERSION\" \"1.0\"\r\nOK\r\n"));
}

static void store_refuse(struct session *session, const struct command *command,
                         enum session_refusal refusal, const char *why)
{
    (void)command, (void)refusal, (void)why;
    say(session, "NO \"The store does not understand\"");
}

static void store_goodbye(struct session *session, enum session_end end)
{
    (void)end;
    say(session, "BYE \"The store goes\"");
}

static void store_closed(struct session *session)
{
    ((struct store_session *)session)->kept = NULL;
}

#define ROW(name, states, run)                                                                     \
    {                                                                                              \
        name, states, COMMAND_FREE_ARGUMENTS, NULL, 0, run, name                                   \
    }
static const struct command commands[] = {ROW("AUTHENTICATE", BEFORE, store_authenticate),
                                          ROW("NOOP", BEFORE | INSIDE, store_noop),
                                          ROW("LOGOUT", BEFORE | INSIDE, store_logout),
                                          ROW("PUTSCRIPT", INSIDE, store_put),
                                          ROW("GETSCRIPT", INSIDE, store_get),
                                          ROW("LISTSCRIPTS", INSIDE, store_list),
                                          ROW("DROP", INSIDE, store_drop)};

static const struct session_protocol store_protocol = {
    .id = PROTOCOL_CONTROL, /* nothing counts it apart */
    .name = "store",
    .commands = commands,
    .command_count = sizeof commands / sizeof *commands,
    .session_bytes = sizeof(struct store_session),
    .line_bytes_max = 1000,
    .command_bytes_max = 8192,
    .state_first = BEFORE,
    .open = store_open_session,
    .refuse = store_refuse,
    .goodbye = store_goodbye,
    .closed = store_closed,
};

/* ---------------------------------------------------------------- the host */

static void problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "users, line %u: %s\n", line, what);
}

static void make_users(struct sieve_host *host)
{
    char hash[256], text[800];
    must(auth_hash(SLICE("sha512"), SLICE("secret"), SLICE("0123456789abcdef"), 1000, hash));
    int size = snprintf(text, sizeof text,
                        "anna@example.org:%s\nbert@example.org:%s\ncarl@example.org:%s\n", hash,
                        hash, hash);
    must(auth_users_parse(slice_of(text, (size_t)size), problem, NULL, &host->users));
}

static void make_services(struct sieve_host *host, unsigned port_base)
{
    for (int i = 0; i < SERVICES; i++) {
        host->services[i] = (struct service){
            .protocol = i == FRONT ? &sieve_protocol : &store_protocol,
            .options = i == FRONT ? NULL : host,
            .front = i == FRONT ? &host->front : NULL,
            .host_name = SLICE("mail.example.org"),
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
        host->options.services[host->options.service_count++] = &host->services[i];
    }
}

static void make_pool(struct sieve_host *host, unsigned port_base)
{
    static const struct slice names[2] = {SLICE("alive"), SLICE("absent")};
    for (int i = 0; i < 2; i++)
        host->backends[i] = (struct backend_options){
            .name = names[i],
            .family = 4,
            .address = {127, 0, 0, i == 0 ? 1 : 9},
            .ports = {[BACKEND_SIEVE] = (uint16_t)(port_base + STORE)},
            .weight = 100,
        };
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
    host->front = (struct proxy_options){
        .protocol = BACKEND_SIEVE,
        .domains = &host->domain,
        .domain_count = 1,
        .keep_alive_ms = 60000,
        .idle_ms_max = 3600000,
        .stalled_ms_max = 120000,
        .spread_ms = 2000,
        .farewell_ms = 1000,
    };
}

static void *sieve_make(unsigned cores, unsigned port_base, const char *directory)
{
    (void)directory;
    struct sieve_host *host = calloc(1, sizeof *host);
    if (host == NULL)
        return NULL;
    make_users(host);
    make_services(host, port_base);
    make_pool(host, port_base);
    host->options.store.shard_count = cores;
    host->options.auth = (struct auth_options){
        .users = host->users,
        .default_domain = SLICE("example.org"),
        .mechanisms = 1u << AUTH_PLAIN | 1u << AUTH_LOGIN,
        .waiting_max = 20,
        .failure_ms_first = 1000,
        .failure_ms_max = 4000,
    };
    host->options.drain_pace_ms = 10;
    host->options.drain_wait_ms = 2000;
    return host;
}

static void backend_problem(void *argument, const char *what)
{
    (void)argument;
    fprintf(stderr, "backends: %s\n", what);
}

static void forget_backends(struct sieve_host *host)
{
    if (host->table != NULL)
        backend_table_free(host->table);
    if (host->states != NULL)
        backend_states_free(host->states);
    host->table = NULL;
    host->states = NULL;
}

static void sieve_free(void *state)
{
    struct sieve_host *host = state;
    forget_backends(host);
    auth_users_free(host->users);
    free(host);
}

static void sieve_begin(void *state)
{
    struct sieve_host *host = state;
    forget_backends(host);
    must(backend_states_make(host->options.store.shard_count, &host->states));
    must(backend_table_make(host->states, &host->pool, 1, backend_problem, NULL, &host->table));
    host->domain =
        (struct proxy_domain){SLICE("example.org"), backend_pool_find(host->table, SLICE("pool"))};
    host->options.backend_states = host->states;
    host->options.backends = host->table;
    gateway_init(&host->gateway, &host->options);
}

static int sieve_open(struct core *core, void *state)
{
    return gateway_open(core, &((struct sieve_host *)state)->gateway);
}

static void sieve_close(struct core *core, void *state)
{
    gateway_close(core, &((struct sieve_host *)state)->gateway);
}

const struct host host_sieve = {
    .name = "sieve",
    .connects = true,
    .services = {{"front_sieve", FRONT, "\"IMPLEMENTATION\" \"Ringpost\"", "NOOP", "*", "LOGOUT"},
                 {"store", STORE, "\"IMPLEMENTATION\" \"A store\"", "NOOP", "*", "LOGOUT"}},
    .make = sieve_make,
    .free = sieve_free,
    .begin = sieve_begin,
    .open = sieve_open,
    .close = sieve_close,
};
