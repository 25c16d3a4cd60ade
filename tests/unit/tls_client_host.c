/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The engine, the servers and the clients of tests of TLS as the client.
 */
#include "tls_client_host.h"

#include <stdlib.h>
#include <unistd.h>

#include "tls_chain.h"
#include "tls_pem.h"

static const struct tls_service service = {"imap", 7};

unsigned port_base(void)
{
    return harness_ports(24220, 30, 5); /* TLS, clear, odd, OpenSSL */
}

/* ---------------------------------------------------------------- the engine */

/* fn(argument) in the core's turn, whose stack is large. */
struct turn {
    struct timer timer;
    void (*fn)(struct core *core, void *argument);
    struct core *core;
    void *argument;
    bool is_done;
};

static void turn_fire(struct timer *timer)
{
    struct turn *turn = (struct turn *)timer;
    turn->fn(turn->core, turn->argument);
    turn->is_done = true;
}

void in_turn(struct core *core, void (*fn)(struct core *core, void *argument), void *argument)
{
    struct turn turn = {.timer.fire = turn_fire, .fn = fn, .core = core, .argument = argument};
    timer_set(core, &turn.timer, core_now_ns(core) + 1);
    while (!turn.is_done)
        fiber_sleep(core, 8000000);
}

static void no_problem(void *argument, const char *name, const char *what)
{
    (void)argument;
    fprintf(stderr, "%s: %s\n", name, what);
    harness_failed(__FILE__, __LINE__, "a problem with good settings");
}

static void make_settings(struct core *core, void *argument)
{
    (void)core;
    struct world *world = argument;
    struct tls_pair pair = {"pair", {0}, slice_cstr(pem_chain_key)};
    struct tls_options options = {
        .pairs = &pair, .pair_count = 1, .ticket_ms_max = 3600000, .profile = TLS_MODERN};
    char chain[4096];
    int size = snprintf(chain, sizeof chain, "%s%s", world->certificates[0],
                        world->certificates[1] ? world->certificates[1] : "");
    pair.certificate = slice_of(chain, (size_t)size);
    memset(options.ticket_secret, 'x', sizeof options.ticket_secret);
    if (world->client_required) {
        options.client_ca = slice_cstr(pem_ca_certificate);
        options.client_required = true;
    }
    int64_t wall_ns = (world->year - 1970) * INT64_C(31556952000000000) + INT64_C(9000000000000000);
    check_equal(tls_settings_make(&options, wall_ns, no_problem, NULL, &world->settings), 0);
}

static void adopt(struct core *core, void *argument)
{
    check_equal(tls_adopt(core, ((struct world *)argument)->settings), 0);
}

static struct listener *listen_at(struct core *core, unsigned port,
                                  bool (*accepted)(struct core *, unsigned, void *), void *argument)
{
    struct listener *listener = NULL;
    struct listener_options options = {
        .address = "127.0.0.1",
        .port = port,
        .connections_max = 500,
        .accepted = accepted,
        .argument = argument,
    };
    check_equal(listener_open(core, &options, &listener), 0);
    return listener;
}

static bool has_sessions(struct world *world)
{
    return atomic_load(&world->lines.sessions) + atomic_load(&world->clear.sessions) +
               atomic_load(&world->odd.sessions) >
           0;
}

static void rest(struct core *core, struct world *world)
{
    while (has_sessions(world))
        fiber_sleep(core, 8000000);
    fiber_sleep(core, 100000000);
    check_equal(buffer_lent(core), 0);
    check_equal(core_busy(core), 0);
    check_equal(core_counters(core)->value[COUNTER_FIBERS_ACTIVE], 1);
    check_equal(core_counters(core)->value[COUNTER_CONNECTIONS_OPEN], 0);
}

static int world_ready(struct core *core, void *argument)
{
    struct world *world = argument;
    struct listener *listeners[3];
    check_equal(net_open(core), 0);
    if (core_index(core) == 0)
        in_turn(core, make_settings, world);
    while (core_index(core) > 0 && atomic_load(&world->ready) == 0)
        fiber_sleep(core, 8000000);
    in_turn(core, adopt, world);
    listeners[0] = listen_at(core, port_base(), line_server_accepted, &world->lines);
    listeners[1] = listen_at(core, port_base() + 1, line_server_accepted, &world->clear);
    listeners[2] = listen_at(core, port_base() + 2, odd_accepted, &world->odd);
    atomic_fetch_add(&world->ready, 1);
    while (atomic_load(&world->ready) < world->cores)
        fiber_sleep(core, 8000000);
    if (core_index(core) == 0) {
        world->body(core, world);
        atomic_fetch_add(&world->stopped, 1);
    }
    while (atomic_load(&world->stopped) == 0)
        fiber_sleep(core, 8000000);
    for (unsigned i = 0; i < 3; i++)
        listener_close(listeners[i]);
    rest(core, world);
    net_close(core);
    if (atomic_fetch_add(&world->stopped, 1) == world->cores) {
        tls_settings_unref(world->settings);
        harness_stop(core);
    }
    return 0;
}

void run(struct world *world)
{
    world->cores = world->cores ? world->cores : 1;
    world->year = world->year ? world->year : 2026;
    if (world->certificates[0] == NULL) {
        world->certificates[0] = pem_chain_leaf;
        world->certificates[1] = pem_chain_middle;
    }
    world->lines.is_implicit = true;
    world->lines.tls_service = world->clear.tls_service = &service;
    struct engine_options options = {
        .core_count = world->cores,
        .connections_max = 600,
        .buffers = 64,
        .fibers_max = 300,
        .stack_bytes = 65536,
        .connects = true,
    };
    check_equal(harness_run(&options, world_ready, world), 0);
}

/* ---------------------------------------------------------------- clients */

void make_client(struct core *core, void *argument)
{
    struct making *making = argument;
    making->result = tls_client_make(core, making->options, &making->client);
}

struct tls_client *made_client(struct core *core, const struct tls_client_options *options)
{
    struct making making = {.options = options};
    in_turn(core, make_client, &making);
    check_equal(making.result, 0);
    return making.client;
}

struct tls_client_options verifying(bool is_12)
{
    return (struct tls_client_options){
        .ca = slice_cstr(pem_chain_root), .alpn = "imap", .tls_12_only = is_12};
}

int secure_at(struct core *core, struct dialed *client, unsigned port, struct tls_client *tls,
              const char *host, struct tls_session *resume)
{
    struct stream_target target = target_v4(port);
    check_equal(dial(core, client, &target, 60 * SECOND_NS), 0);
    stream_deadline(&client->stream, core_now_ns(core) + 60 * SECOND_NS);
    return stream_secure_client(&client->stream, tls, host, resume);
}

void require_problem(const struct dialed *client, const char *problem)
{
    const char *is = stream_tls_problem(&client->stream);
    if (is == NULL || strcmp(is, problem) != 0)
        fprintf(stderr, "problem: %s, want: %s\n", is ? is : "none", problem);
    check(is != NULL && strcmp(is, problem) == 0);
}
