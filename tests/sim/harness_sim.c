/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The harness on the simulator: the test is the scenario, and its blocking calls step the world.
 * The tests run in several worlds, with those faults on that a correct engine hides: what a kernel
 * may do to a ring, and short transfers.
 */
#include "../unit/harness.h"

#include <arpa/inet.h>

#include "world.h"

static struct worlds {
    uint64_t seed;
    struct sim *sim; /* the last one */
    struct sim_client *clients[HARNESS_CLIENTS_MAX];
} worlds;

static const enum sim_fault hidden_faults[] = {
    SIM_FAULT_SHORT_SEND,    SIM_FAULT_SHORT_RECV,      SIM_FAULT_NO_BUFFERS,
    SIM_FAULT_MULTISHOT_END, SIM_FAULT_ENTER_INTR,      SIM_FAULT_ENTER_PARTIAL,
    SIM_FAULT_LATE_WAKE,     SIM_FAULT_LATE_COMPLETION, SIM_FAULT_CLOCK_JUMP,
};

void harness_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s (world %llu)\n", file, line, what, (unsigned long long)worlds.seed);
    abort();
}

void harness_check(const char *file, int line, const char *what, int64_t is, int64_t want)
{
    if (is == want)
        return;
    fprintf(stderr, "%s:%d: %s is %lld, want %lld (world %llu)\n", file, line, what, (long long)is,
            (long long)want, (unsigned long long)worlds.seed);
    abort();
}

struct sim *harness_sim(void)
{
    return worlds.sim;
}

bool harness_is_simulated(void)
{
    return true;
}

static int run_worlds(int (*tests)(void), uint64_t first, uint64_t end)
{
    int failed = 0;
    for (worlds.seed = first; worlds.seed < end && failed == 0; worlds.seed++) {
        fprintf(stderr, "world %llu\n", (unsigned long long)worlds.seed);
        failed = tests();
        if (worlds.sim != NULL)
            sim_destroy(worlds.sim);
        worlds.sim = NULL;
    }
    return failed;
}

/* World 0 is calm and in order, 1 is drawn but without faults; the others have some. WORLDS=40 is
 * the first 40 of them, WORLDS=14..14 that one, WORLDS=6,14..14 both; VERBOSE=1 writes every event.
 */
int harness_main(int (*tests)(void))
{
    const char *text = getenv("WORLDS");
    char *at = (char *)(uintptr_t)(text == NULL ? "6" : text);
    int failed = 0;
    do {
        uint64_t first = 0, end = strtoull(at, &at, 10);
        if (strncmp(at, "..", 2) == 0) {
            first = end;
            end = strtoull(at + 2, &at, 10) + 1;
        }
        failed = run_worlds(tests, first, end);
    } while (failed == 0 && *at++ == ',');
    return failed;
}

struct harness_engine {
    int (*ready)(struct core *core, void *argument);
    void *argument;
    unsigned cores, returned;
    bool is_stopped;
    int result;
};

static struct harness_engine *current;
static int (*library_open)(struct kernel *kernel);
static void (*library_close)(void);

void harness_library(int (*open)(struct kernel *kernel), void (*close)(void))
{
    library_open = open;
    library_close = close;
}

static void draw_options(struct sim_options *options);

bool harness_clock_jumps(void)
{
    struct sim_options options;
    draw_options(&options);
    return options.faults[SIM_FAULT_CLOCK_JUMP] > 0;
}

int64_t harness_wall_ns(void)
{
    return worlds.sim == NULL ? INT64_C(1750000000000000000) : sim_wall_ns(worlds.sim);
}

static void draw_options(struct sim_options *options)
{
    sim_options_calm(options, worlds.seed);
    options->in_order = worlds.seed == 0;
    options->verbose = getenv("VERBOSE") != NULL;
    if (worlds.seed < 2)
        return;
    options->sq_entries = 4u << worlds.seed % 5;
    options->cq_entries = 16u << worlds.seed % 4;
    for (size_t i = 0; i < sizeof hidden_faults / sizeof *hidden_faults; i++)
        if ((worlds.seed * 0x9e3779b9u >> i) % 2 == 0)
            options->faults[hidden_faults[i]] = sim_fault_rows[hidden_faults[i]].rate;
}

static int ready_body(struct core *core, void *argument)
{
    struct harness_engine *engine = argument;
    int result = engine->ready(core, engine->argument);
    engine->returned++;
    if (result < 0 && engine->result == 0)
        engine->result = result;
    return result;
}

struct harness_engine *harness_begin(const struct engine_options *options,
                                     int (*ready)(struct core *core, void *argument),
                                     void *argument)
{
    struct sim_options world;
    draw_options(&world);
    world.engine = *options;
    if (worlds.sim != NULL)
        sim_destroy(worlds.sim);
    worlds.sim = sim_create(&world);
    sim_directory_make(worlds.sim, "/tmp");
    check(library_open == NULL || library_open(&worlds.sim->kernels[0]) == 0);
    check_equal(sim_start(worlds.sim), 0);
    struct harness_engine *engine = sim_keep_alloc(sizeof *engine);
    *engine = (struct harness_engine){ready, argument, options->core_count, 0, false, 0};
    current = engine;
    for (unsigned i = 0; i < options->core_count; i++)
        check_equal(sim_spawn(worlds.sim, i, ready_body, engine, NULL), 0);
    return engine;
}

static bool is_over(void *argument)
{
    const struct harness_engine *engine = argument;
    return engine->is_stopped || engine->result < 0;
}

int harness_end(struct harness_engine *engine)
{
    check_equal(sim_until(worlds.sim, is_over, engine, UINT64_C(3000000000000)), 0);
    int result = engine->result;
    if (result < 0)
        sim_crash(worlds.sim, SIM_FAIL_STOP);
    else
        check_equal(sim_stop(worlds.sim), 0);
    if (library_close != NULL)
        library_close();
    if (sim_failure(worlds.sim) != NULL)
        harness_failed(__FILE__, __LINE__, sim_failure(worlds.sim));
    sim_keep_free(engine);
    return result;
}

int harness_run(const struct engine_options *options,
                int (*ready)(struct core *core, void *argument), void *argument)
{
    return harness_end(harness_begin(options, ready, argument));
}

void harness_stop(struct core *core)
{
    (void)core;
    current->is_stopped = true;
}

unsigned harness_ports(unsigned first, unsigned groups, unsigned size)
{
    (void)groups, (void)size;
    return first;
}

void harness_nap(uint64_t us)
{
    check_equal(sim_pass(worlds.sim, us * 1000), 0);
}

/* ---------------------------------------------------------------- clients */

enum { CLIENT_SECONDS = 600 }; /* virtual */

int client_open_at(const char *address, unsigned port)
{
    int i = 0;
    while (i < HARNESS_CLIENTS_MAX && worlds.clients[i] != NULL)
        i++;
    check(i < HARNESS_CLIENTS_MAX);
    sim_connect_from(worlds.sim, port == 0 ? NULL : address);
    worlds.clients[i] = sim_connect(worlds.sim, address, port);
    check_equal(sim_client_state(worlds.clients[i]), SIM_CLIENT_OPEN);
    return i;
}

static struct sim_client *of(int client)
{
    check(client >= 0 && client < HARNESS_CLIENTS_MAX && worlds.clients[client] != NULL);
    return worlds.clients[client];
}

static bool has_room(void *argument)
{
    return sim_client_unsent(argument) < 262144 || sim_client_state(argument) != SIM_CLIENT_OPEN;
}

void client_put(int client, const void *data, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        size_t part = size - sent < 65536 ? size - sent : 65536;
        sim_client_send(of(client), (const char *)data + sent, part);
        check_equal(
            sim_until(worlds.sim, has_room, of(client), UINT64_C(1000000000) * CLIENT_SECONDS), 0);
        sent += part;
    }
}

bool client_try_put(int client, const void *data, size_t size)
{
    if (sim_client_state(of(client)) != SIM_CLIENT_OPEN)
        return false;
    client_put(client, data, size);
    return true;
}

static bool has_bytes(void *argument)
{
    return sim_client_received(argument).size > 0 || sim_client_state(argument) != SIM_CLIENT_OPEN;
}

void client_get(int client, void *data, size_t size)
{
    for (size_t got = 0; got < size;) {
        check_equal(
            sim_until(worlds.sim, has_bytes, of(client), UINT64_C(1000000000) * CLIENT_SECONDS), 0);
        struct slice bytes = slice_first(sim_client_received(of(client)), size - got);
        check(bytes.size > 0);
        memcpy((char *)data + got, bytes.data, bytes.size);
        got += bytes.size;
        sim_client_consume(of(client), bytes.size);
    }
}

size_t client_get_some(int client, void *data, size_t size)
{
    check_equal(sim_until(worlds.sim, has_bytes, of(client), UINT64_C(1000000000) * CLIENT_SECONDS),
                0);
    struct slice bytes = slice_first(sim_client_received(of(client)), size);
    if (bytes.size > 0)
        memcpy(data, bytes.data, bytes.size);
    sim_client_consume(of(client), bytes.size);
    return bytes.size;
}

static void client_gone(int client)
{
    sim_client_forget(of(client));
    worlds.clients[client] = NULL;
}

void client_expect_end(int client)
{
    check_equal(sim_until(worlds.sim, has_bytes, of(client), UINT64_C(1000000000) * CLIENT_SECONDS),
                0);
    check_equal(sim_client_received(of(client)).size, 0);
    client_gone(client);
}

void client_half_close(int client)
{
    sim_client_half_close(of(client));
}

void client_close(int client)
{
    sim_client_close(of(client));
    worlds.clients[client] = NULL;
}

void client_reset(int client)
{
    sim_client_reset(of(client));
    worlds.clients[client] = NULL;
}

void client_name(int client, char *text, size_t size)
{
    sim_client_name(of(client), text, size);
}
