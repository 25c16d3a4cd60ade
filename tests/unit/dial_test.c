/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Going out: streams that connect, to the line server on the same engine, and to nobody. All runs
 * on fibers of the engine; at the end of each test no operation is in flight, no slot in use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "dial_client.h"
#include "harness.h"
#include "line_server.h"
#include "ringpost/kernel.h"
#include "ringpost/stream.h"

static unsigned port_base(void)
{
    return 24120 + (unsigned)getpid() % 20 * 5; /* no other test's */
}

/* ---------------------------------------------------------------- the engine */

struct world {
    void (*body)(struct core *core, struct world *world);
    const char *address; /* of the line server; NULL: there is none */
    unsigned port, cores, connections_max;
    struct line_server lines;
    atomic_uint listening, stopped;
};

static int world_ready(struct core *core, void *argument)
{
    struct world *world = argument;
    struct listener *listener = NULL;
    struct listener_options options = {
        .address = world->address,
        .port = world->port,
        .mode = 0600,
        .connections_max = 1000,
        .accepted = line_server_accepted,
        .argument = &world->lines,
    };
    check_equal(net_open(core), 0);
    if (world->address != NULL)
        check_equal(listener_open(core, &options, &listener), 0);
    atomic_fetch_add(&world->listening, 1);
    while (atomic_load(&world->listening) < world->cores)
        fiber_sleep(core, 1000000);
    if (core_index(core) == 0) {
        world->body(core, world);
        atomic_fetch_add(&world->stopped, 1);
    }
    while (atomic_load(&world->stopped) == 0)
        fiber_sleep(core, 8000000);
    if (listener != NULL)
        listener_close(listener);
    while (atomic_load(&world->lines.sessions) > 0)
        fiber_sleep(core, 8000000);
    fiber_sleep(core, 100000000);
    check_equal(buffer_lent(core), 0);
    check_equal(core_busy(core), 0);
    check_equal(core_counters(core)->value[COUNTER_FIBERS_ACTIVE], 1);
    check_equal(core_counters(core)->value[COUNTER_CONNECTIONS_OPEN], 0);
    net_close(core);
    if (atomic_fetch_add(&world->stopped, 1) == world->cores)
        harness_stop(core);
    return 0;
}

static void run(struct world *world)
{
    world->cores = world->cores ? world->cores : 1;
    struct engine_options options = {
        .core_count = world->cores,
        .connections_max = world->connections_max ? world->connections_max : 600,
        .buffers = 64,
        .fibers_max = 300,
        .stack_bytes = 65536,
        .connects = true,
    };
    check_equal(harness_run(&options, world_ready, world), 0);
}

/* ---------------------------------------------------------------- tests */

static void connects_body(struct core *core, struct world *world)
{
    struct dialed client;
    char text[80], peer[48];
    uint16_t port;
    struct stream_target target = target_v4(world->port);
    check_equal(dial(core, &client, &target, 0), 0);
    stream_peer(&client.stream, peer, &port);
    check(strcmp(peer, "127.0.0.1") == 0);
    check_equal(port, world->port);
    dialed_ask(&client, "hello\r\n", "hello");
    check_equal(client.inputs, 0); /* a reader was waiting each time */
    dialed_quit(&client);
    for (unsigned i = 0; i < 200; i++) { /* one slot after the other */
        check_equal(dial(core, &client, &target, UINT64_C(20000000000)), 0);
        snprintf(text, sizeof text, "number %u\r\n", i);
        stream_write(&client.stream, slice_cstr(text));
        text[strlen(text) - 2] = '\0';
        dialed_ask(&client, "", text);
        dialed_quit(&client);
    }
}

static void connects(void **state)
{
    (void)state;
    struct world world = {.body = connects_body, .address = "127.0.0.1", .port = port_base()};
    run(&world);
}

/* Connections to that port with a timer of keep-alive, and how soon the last of them fires. */
static unsigned kept_alive(unsigned port, unsigned *ret_seconds)
{
    unsigned count = 0, far, timer, ticks;
    char line[300];
    FILE *file = fopen("/proc/self/net/tcp", "re");
    check(file != NULL);
    *ret_seconds = 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, " %*u: %*x:%*x %*x:%x 01 %*x:%*x %x:%x", &far, &timer, &ticks) == 3 &&
            far == port && timer == 2) {
            count++;
            *ret_seconds = ticks / (unsigned)sysconf(_SC_CLK_TCK);
        }
    fclose(file);
    return count;
}

static void keeping_body(struct core *core, struct world *world)
{
    struct dialed client, other;
    struct stream_target target = target_v4(world->port);
    unsigned seconds;
    check_equal(dial(core, &other, &target, 0), 0);
    target.keeps_alive = true;
    check_equal(dial(core, &client, &target, 0), 0);
    dialed_ask(&client, "hello\r\n", "hello");
    if (!harness_is_simulated()) {
        check_equal(kept_alive(world->port, &seconds), 1);
        check(seconds > 100 && seconds <= KERNEL_KEEP_IDLE_SECONDS);
    }
    dialed_quit(&client);
    dialed_quit(&other);
}

static void keeping(void **state)
{
    (void)state;
    struct world world = {.body = keeping_body, .address = "127.0.0.1", .port = port_base()};
    run(&world);
}

static void six_body(struct core *core, struct world *world)
{
    struct dialed client;
    char peer[48];
    uint16_t port;
    struct stream_target target = {.family = 6, .port = (uint16_t)world->port};
    target.address[15] = 1;
    check_equal(dial(core, &client, &target, 0), 0);
    stream_peer(&client.stream, peer, &port);
    check(strcmp(peer, "::1") == 0);
    dialed_quit(&client);
    memcpy(target.source, target.address, 16);
    check_equal(dial(core, &client, &target, 0), 0);
    dialed_quit(&client);
}

static void six(void **state)
{
    (void)state;
    struct world world = {.body = six_body, .address = "::1", .port = port_base()};
    run(&world);
}

static void local_body(struct core *core, struct world *world)
{
    struct dialed client;
    char peer[48], long_path[200];
    uint16_t port;
    struct stream_target target = {.family = 1, .path = world->address};
    check_equal(dial(core, &client, &target, 0), 0);
    stream_peer(&client.stream, peer, &port);
    check(strcmp(peer, "unix") == 0);
    dialed_ask(&client, "peer\r\n", "unix 0");
    dialed_quit(&client);
    target.path = "/tmp/there is nothing here";
    check_equal(dial(core, &client, &target, 0), -ENOENT);
    memset(long_path, 'x', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    target.path = long_path;
    check_equal(dial(core, &client, &target, 0), -ENAMETOOLONG);
}

static void local(void **state)
{
    (void)state;
    char path[80];
    snprintf(path, sizeof path, "/tmp/dial_test.%d", (int)getpid());
    struct world world = {.body = local_body, .address = path};
    run(&world);
    unlink(path);
}

static void refused_body(struct core *core, struct world *world)
{
    struct dialed client;
    struct stream_target target = target_v4(world->port);
    for (unsigned i = 0; i < 150; i++) { /* more than there are slots */
        check_equal(dial(core, &client, &target, UINT64_C(20000000000)), -ECONNREFUSED);
        check(!client.is_released && client.inputs == 0);
    }
    check_equal(core_counters(core)->value[COUNTER_CONNECTIONS_OPEN], 0);
}

static void refused(void **state)
{
    (void)state;
    struct world world = {.body = refused_body, .port = port_base() + 1, .connections_max = 20};
    run(&world);
}

/* Each client comes from the address that was asked for. */
static void sources_body(struct core *core, struct world *world)
{
    enum { SOURCES = 3, EACH = 20 };
    struct dialed *clients = calloc(SOURCES * EACH, sizeof *clients);
    check(clients != NULL);
    struct stream_target target = target_v4(world->port);
    for (unsigned i = 0; i < SOURCES * EACH; i++) {
        struct slice line;
        char want[48];
        target.source[0] = 127;
        target.source[2] = 7;
        target.source[3] = (uint8_t)(1 + i % SOURCES);
        check_equal(dial(core, &clients[i], &target, 0), 0);
        stream_write(&clients[i].stream, SLICE("peer\r\n"));
        check_equal(stream_read_line(&clients[i].stream, 1000, &line), 0);
        snprintf(want, sizeof want, "127.0.7.%u ", 1 + i % SOURCES);
        check(slice_equal(slice_first(line, strlen(want)), slice_cstr(want)));
    }
    for (unsigned i = 0; i < SOURCES * EACH; i++)
        dialed_quit(&clients[i]);
    target.source[0] = 192; /* 192.0.7.x is none of ours */
    check_equal(dial(core, &clients[0], &target, 0), -EADDRNOTAVAIL);
    free(clients);
}

static void sources(void **state)
{
    (void)state;
    struct world world = {.body = sources_body, .address = "127.0.0.1", .port = port_base()};
    run(&world);
}

/* All slots are in use: told, and no more than told. */
static void full_body(struct core *core, struct world *world)
{
    enum { MOST = 200 };
    struct dialed *clients = calloc(MOST, sizeof *clients);
    struct stream_target target = target_v4(world->port);
    check(clients != NULL);
    unsigned open = 0;
    int result = 0;
    for (; open < MOST && result == 0; open += result == 0)
        result = dial(core, &clients[open], &target, 0);
    check_equal(result, -ENFILE);
    check(open > 10);
    for (unsigned i = 0; i < open; i++)
        dialed_close(&clients[i]);
    while (atomic_load(&world->lines.sessions) > 0)
        fiber_sleep(core, 8000000);
    check_equal(dial(core, &clients[0], &target, 0), 0);
    dialed_quit(&clients[0]);
    free(clients);
}

static void full(void **state)
{
    (void)state;
    struct world world = {
        .body = full_body, .address = "127.0.0.1", .port = port_base(), .connections_max = 20};
    run(&world);
}

/* ---------------------------------------------------------------- nobody answers */

static void timeout_body(struct core *core, struct world *world)
{
    struct dialed client;
    struct stream_target target = target_v4(world->port);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t before = core_now_ns(core);
        check_equal(dial(core, &client, &target, 50000000), -ETIMEDOUT);
        check(core_now_ns(core) >= before + 50000000);
        check(core_now_ns(core) < before + UINT64_C(10000000000));
    }
    check_equal(dial(core, &client, &target, 1), -ETIMEDOUT);
    check_equal(core_busy(core), 0);
}

/* A listener of ours that is full: its kernel answers no more of those who come. */
static void timeout(void **state)
{
    (void)state;
    if (harness_is_simulated())
        skip();
    enum { FILLERS = 4 };
    int fillers[FILLERS], on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)(port_base() + 2)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    check_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    check_equal(listen(fd, 0), 0);
    for (unsigned i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(fillers[i], (struct sockaddr *)&name, sizeof name);
    }
    struct world world = {.body = timeout_body, .port = port_base() + 2};
    run(&world);
    for (unsigned i = 0; i < FILLERS; i++)
        close(fillers[i]);
    close(fd);
}

/* The same of a Unix socket, where a worker of the kernel's waits. */
static void local_timeout_body(struct core *core, struct world *world)
{
    (void)world;
    struct dialed client;
    char path[80];
    snprintf(path, sizeof path, "/tmp/dial_test_full.%d", (int)getpid());
    struct stream_target target = {.family = 1, .path = path};
    for (unsigned i = 0; i < 5; i++)
        check_equal(dial(core, &client, &target, 50000000), -ETIMEDOUT);
    check_equal(core_busy(core), 0);
}

static void local_timeout(void **state)
{
    (void)state;
    if (harness_is_simulated())
        skip();
    enum { FILLERS = 4 };
    int fillers[FILLERS], fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "/tmp/dial_test_full.%d", (int)getpid());
    check_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    check_equal(listen(fd, 0), 0);
    for (unsigned i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connect(fillers[i], (struct sockaddr *)&name, sizeof name);
    }
    struct world world = {.body = local_timeout_body};
    run(&world);
    for (unsigned i = 0; i < FILLERS; i++)
        close(fillers[i]);
    close(fd);
    unlink(name.sun_path);
}

/* ---------------------------------------------------------------- many at once, on two cores */

enum { CALLERS = 100, CALLS = 10 };

struct callers {
    struct core *core;
    struct world *world;
    unsigned running;
};

static void caller(void *argument)
{
    struct callers *callers = argument;
    struct stream_target target = target_v4(callers->world->port);
    struct dialed client;
    for (unsigned i = 0; i < CALLS; i++) {
        check_equal(dial(callers->core, &client, &target, UINT64_C(60000000000)), 0);
        if (i % 3 == 0)
            dialed_close(&client);
        else
            dialed_quit(&client);
    }
    callers->running--;
}

static void many_body(struct core *core, struct world *world)
{
    struct callers callers = {core, world, CALLERS};
    for (unsigned i = 0; i < CALLERS; i++)
        check_equal(fiber_start(core, caller, &callers), 0);
    while (callers.running > 0)
        fiber_sleep(core, 10000000);
}

static void many(void **state)
{
    (void)state;
    struct world world = {
        .body = many_body, .address = "127.0.0.1", .port = port_base(), .cores = 2};
    run(&world);
}

/* ---------------------------------------------------------------- the clock */

struct alarm {
    struct core *core;
    struct fiber *fiber;
    uint64_t due_ns;
    unsigned fired, late;
    bool is_busy; /* the fiber does not sleep: turns follow each other */
};

static void alarm_fire(void *argument)
{
    struct alarm *alarm = argument;
    uint64_t now = core_now_ns(alarm->core);
    check(now >= alarm->due_ns);
    alarm->late += now >= alarm->due_ns + 100000;
    if (++alarm->fired % 10 == 0) {
        if (!alarm->is_busy)
            fiber_wake(alarm->core, alarm->fiber);
        return;
    }
    alarm->due_ns = now + 300000;
    core_alarm(alarm->core, alarm->due_ns, alarm_fire, alarm);
}

static void alarms_body(struct core *core, struct world *world)
{
    (void)world;
    struct alarm alarm = {.core = core, .fiber = fiber_current(core)};
    for (unsigned i = 0; i < 20; i++) {
        alarm.due_ns = core_now_ns(core) + i * 10000;
        alarm.is_busy = i % 2 == 1;
        core_alarm(core, alarm.due_ns, alarm_fire, &alarm);
        if (!alarm.is_busy)
            fiber_park(core);
        while (alarm.fired < 10 * (i + 1))
            fiber_yield(core);
    }
    check_equal(alarm.fired, 200);
    if (harness_is_simulated()) /* whose time is not the machine's */
        check_equal(alarm.late, 0);
    core_alarm(core, core_now_ns(core) + 1000000, alarm_fire, &alarm);
    core_alarm(core, UINT64_MAX, NULL, NULL);
    fiber_sleep(core, 20000000);
    check_equal(alarm.fired, 200);
}

static void alarms(void **state)
{
    (void)state;
    struct world world = {.body = alarms_body};
    run(&world);
}

static int dial_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects), cmocka_unit_test(keeping), cmocka_unit_test(six),
        cmocka_unit_test(local),    cmocka_unit_test(refused), cmocka_unit_test(sources),
        cmocka_unit_test(full),     cmocka_unit_test(timeout), cmocka_unit_test(local_timeout),
        cmocka_unit_test(many),     cmocka_unit_test(alarms),
    };
    return cmocka_run_group_tests_name("dial", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(dial_tests);
}
