/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * POP3 on the real store and the whole gateway, in simulated worlds: what a client was told holds
 * over power cuts, kills and failing disks. Rows of the list of bad inputs are named by their id.
 *
 * The maildrop holds six messages; a session deletes three of them. Whatever happens to its QUIT,
 * the next life shows all six or the other three, byte for byte and under the same unique ids; and
 * the other three if the client was told so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "ringpost/gateway.h"
#include "ringpost/pop3.h"
#include "sim.h"

enum { CORES = 2, MESSAGES = 6, PORT = 110, WAIT_S = 200 };

static struct world {
    struct sim *sim;
    struct gateway gateway;
    struct auth_users *users;
    struct sim_client *client;
    char uidls[MESSAGES][80];
} world;

static char texts[MESSAGES][9000];

static unsigned long long seed_now;

#define check(condition) ((condition) ? (void)0 : failed(__LINE__, #condition))

_Noreturn static void failed(int line, const char *what)
{
    struct slice log = sim_log(world.sim);
    log = slice_from(log, log.size > 3000 ? log.size - 3000 : 0);
    fprintf(stderr, "%.*sline %d: %s (seed %llu)\n", (int)log.size, log.data, line, what, seed_now);
    abort();
}

static struct service service = {
    .protocol = &pop3_protocol,
    .plain_login_allowed = true,
    .address = "127.0.0.1",
    .port = PORT,
    .connections_max = 20,
    .login_ms_max = 60000,
    .idle_ms_max = 600000,
    .command_ms_max = 60000,
    .errors_max = 20,
    .junk_max = 20,
};

static void no_problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "users line %u: %s\n", line, what);
}

/* ---------------------------------------------------------------- lives */

static void make_texts(void)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        unsigned size = (unsigned)snprintf(texts[i], 100, "Subject: %u\r\n\r\n", i);
        while (size < i * 1500 + 100)
            size += (unsigned)snprintf(texts[i] + size, 100, "%sline of %u\r\n",
                                       size % 3 == 0 ? "." : "", i);
    }
}

static void world_make(uint64_t seed)
{
    struct sim_options options;
    char hash[256], text[600];
    seed_now = seed;
    sim_options_calm(&options, seed);
    options.engine.core_count = CORES;
    options.engine.fibers_max = 64;
    options.engine.stack_bytes = 131072;
    options.engine.buffers = 16;
    options.engine.connections_max = 50;
    assert_int_equal(auth_hash(SLICE(""), SLICE("pw"), SLICE("0123456789abcdef"), 1, hash), 0);
    snprintf(text, sizeof text, "u@x.test:%s\nv@x.test:%s\n", hash, hash);
    memset(&world, 0, sizeof world);
    assert_int_equal(auth_users_parse(slice_cstr(text), no_problem, NULL, &world.users), 0);
    world.sim = sim_create(&options);
    make_texts();
}

static void world_end(void)
{
    if (sim_failure(world.sim) != NULL)
        fail_msg("%s (seed %llu)", sim_failure(world.sim), seed_now);
    sim_destroy(world.sim);
    auth_users_free(world.users);
}

static bool is_ready(void *argument)
{
    (void)argument;
    return world.gateway.state == GATEWAY_READY;
}

static void life_begin(void)
{
    struct gateway_options options = {
        .store = {.directory = "/store",
                  .shard_count = 2,
                  .segment_bytes = 262144,
                  .cache_bytes = 8192},
        .auth = {.users = world.users,
                 .default_domain = SLICE("x.test"),
                 .waiting_max = 20,
                 .failure_ms_first = 10,
                 .failure_ms_max = 100},
        .services = {&service},
        .service_count = 1,
        .drain_pace_ms = 10,
        .drain_wait_ms = 1000,
    };
    gateway_init(&world.gateway, &options);
    assert_int_equal(sim_start(world.sim), 0);
    for (unsigned i = 0; i < CORES; i++)
        assert_int_equal(sim_spawn(world.sim, i, gateway_open, &world.gateway, NULL), 0);
    check(sim_until(world.sim, is_ready, NULL, UINT64_C(1000000000) * WAIT_S) == 0);
}

static int close_core(struct core *core, void *argument)
{
    gateway_close(core, argument);
    return 0;
}

static bool is_stopped(void *argument)
{
    (void)argument;
    return world.gateway.state == GATEWAY_STOPPED;
}

static void life_end(void)
{
    for (unsigned i = 0; i < CORES; i++)
        assert_int_equal(sim_spawn(world.sim, i, close_core, &world.gateway, NULL), 0);
    check(sim_until(world.sim, is_stopped, NULL, UINT64_C(1000000000) * WAIT_S) == 0);
    check(sim_stop(world.sim) == 0);
}

struct letter {
    const char *user;
    struct slice text;
};

static int deliver_here(struct core *core, void *argument)
{
    const struct letter *letter = argument;
    struct message_body *body = message_body_take(core, letter->text.size);
    struct delivery one = {.user = slice_cstr(letter->user), .mailbox = SLICE("INBOX")};
    for (struct slice rest = letter->text; rest.size > 0;) {
        size_t room;
        char *at = message_body_room(body, rest.size, &room);
        memcpy(at, rest.data, room);
        message_body_added(body, room);
        rest = slice_from(rest, room);
    }
    return store_deliver(core, body, SLICE("<a@b>"), &one, 1);
}

static void deliver(const char *user, const char *text)
{
    struct letter letter = {user, slice_cstr(text)};
    check(sim_run(world.sim, sim_below(world.sim, CORES), deliver_here, &letter) == 0);
}

/* ---------------------------------------------------------------- the client */

static bool has_line(void *argument)
{
    struct slice got = sim_client_received(argument);
    return sim_client_state(argument) != SIM_CLIENT_OPEN || slice_find(got, '\n') < got.size;
}

/* False: the connection or the life has ended. */
static bool next_line(struct sim_client *client, char line[200])
{
    sim_until(world.sim, has_line, client, UINT64_C(1000000000) * WAIT_S);
    struct slice got = sim_client_received(client);
    size_t size = slice_find(got, '\n');
    if (size == got.size)
        return false;
    check(size < 199 && size > 0 && got.data[size - 1] == '\r');
    memcpy(line, got.data, size - 1);
    line[size - 1] = '\0';
    sim_client_consume(client, size + 1);
    return true;
}

static void expect(struct sim_client *client, const char *want)
{
    char line[200] = "";
    if (next_line(client, line) && strncmp(line, want, strlen(want)) == 0)
        return;
    fprintf(stderr, "got: %s, want: %s\n", line, want);
    failed(__LINE__, "another line");
}

static void ask(struct sim_client *client, const char *command, const char *want)
{
    sim_client_text(client, command);
    sim_client_text(client, "\r\n");
    expect(client, want);
}

static struct sim_client *log_in(const char *user)
{
    char line[60];
    struct sim_client *client = sim_connect(world.sim, "127.0.0.1", PORT);
    expect(client, "+OK");
    snprintf(line, sizeof line, "USER %s", user);
    ask(client, line, "+OK");
    ask(client, "PASS pw", "+OK Logged in");
    return client;
}

static void quit(struct sim_client *client)
{
    ask(client, "QUIT", "+OK");
    sim_client_forget(client);
}

/* The unique ids, in order. */
static unsigned read_uidls(struct sim_client *client, char uidls[MESSAGES + 1][80])
{
    char line[200];
    unsigned count = 0;
    ask(client, "UIDL", "+OK");
    for (;;) {
        check(next_line(client, line));
        if (strcmp(line, ".") == 0)
            return count;
        check(count <= MESSAGES);
        check(strtoul(line, NULL, 10) == count + 1);
        snprintf(uidls[count++], 80, "%s", strchr(line, ' ') + 1);
    }
}

static void check_message(struct sim_client *client, unsigned number, const char *text)
{
    char line[200];
    snprintf(line, sizeof line, "RETR %u", number);
    ask(client, line, "+OK");
    while (*text != '\0') {
        check(next_line(client, line));
        const char *got = line[0] == '.' ? line + 1 : line;
        size_t size = strlen(got);
        check(strncmp(text, got, size) == 0 && strncmp(text + size, "\r\n", 2) == 0);
        text += size + 2;
    }
    expect(client, ".");
}

/* ---------------------------------------------------------------- the scenario's parts */

static void fill(void)
{
    char uidls[MESSAGES + 1][80];
    for (unsigned i = 0; i < MESSAGES; i++)
        deliver("u@x.test", texts[i]);
    struct sim_client *client = log_in("u");
    check(read_uidls(client, uidls) == MESSAGES);
    memcpy(world.uidls, uidls, sizeof world.uidls);
    quit(client);
}

/* Messages 2, 4 and 5 are deleted, or none is. Which? */
static bool check_maildrop(void)
{
    static const unsigned kept[] = {0, 2, 5};
    char uidls[MESSAGES + 1][80], line[100];
    struct sim_client *client = log_in("u@x.test");
    unsigned count = read_uidls(client, uidls);
    size_t bytes = 0;
    check(count == MESSAGES || count == 3);
    for (unsigned i = 0; i < count; i++) {
        unsigned which = count == 3 ? kept[i] : i;
        check(strcmp(uidls[i], world.uidls[which]) == 0);
        check_message(client, i + 1, texts[which]);
        bytes += strlen(texts[which]);
    }
    snprintf(line, sizeof line, "+OK %u %zu", count, bytes);
    ask(client, "STAT", line);
    quit(client);
    return count == 3;
}

static struct sim_client *mark(void)
{
    struct sim_client *client = log_in("u");
    ask(client, "DELE 5", "+OK");
    ask(client, "DELE 2", "+OK");
    ask(client, "DELE 4", "+OK");
    return client;
}

/* ---------------------------------------------------------------- tests */

static void calm(void **state)
{
    (void)state;
    world_make(1);
    life_begin();
    fill();
    check(!check_maildrop());
    quit(mark());
    check(check_maildrop());
    life_end();
    life_begin();
    check(check_maildrop());
    life_end();
    world_end();
}

/* P02: gone before QUIT, in any way; the server too. */
static void no_quit(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < SIM_CRASH_KINDS; kind++) {
        world_make(kind + 10);
        life_begin();
        fill();
        sim_client_close(mark());
        check(!check_maildrop());
        sim_client_reset(mark());
        check(!check_maildrop());
        mark();
        sim_crash(world.sim, (enum sim_crash_kind)kind);
        life_begin();
        check(!check_maildrop());
        mark();
        life_end(); /* drained */
        life_begin();
        check(!check_maildrop());
        life_end();
        world_end();
    }
}

static bool is_over(void *argument)
{
    return sim_client_state(argument) != SIM_CLIENT_OPEN;
}

/* Sends QUIT; was "+OK" said? */
static bool try_quit(struct sim_client *client, bool *ret_refused)
{
    sim_client_text(client, "QUIT\r\n");
    sim_until(world.sim, is_over, client, UINT64_C(1000000000) * WAIT_S);
    struct slice got = sim_client_received(client);
    *ret_refused = slice_starts_nocase(got, SLICE("-ERR [SYS/TEMP]"));
    return slice_starts_nocase(got, SLICE("+OK"));
}

/* The world ends somewhere around QUIT. */
static void cuts(void **state)
{
    (void)state;
    unsigned told = 0, deleted = 0;
    enum { SEEDS = 200 };
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        bool is_refused;
        world_make(seed + 1000);
        life_begin();
        fill();
        struct sim_client *client = mark();
        enum sim_crash_kind kind =
            (enum sim_crash_kind)sim_below(world.sim, (uint32_t)SIM_CRASH_KINDS);
        sim_crash_after(world.sim, kind, 1 + sim_below(world.sim, 60));
        bool was_told = try_quit(client, &is_refused);
        if (sim_is_up(world.sim))
            sim_crash(world.sim, kind);
        life_begin();
        bool is_deleted = check_maildrop();
        check(!is_refused);
        check(is_deleted || !was_told);
        told += was_told;
        deleted += is_deleted;
        life_end();
        world_end();
    }
    print_message("%u of %u were told, %u deleted\n", told, SEEDS, deleted);
    assert_true(told > 0 && deleted < SEEDS);
}

/* P03: each file operation of QUIT fails in turn. */
static void failing_disk(void **state)
{
    (void)state;
    static const int errors[] = {-EIO, -ENOSPC};
    unsigned refusals = 0, after_all = 0, n = 1;
    for (bool has_failed = true; has_failed && n < 60; n++) {
        bool is_refused;
        world_make(n + 5000);
        life_begin();
        fill();
        struct sim_client *client = mark(), *honest = log_in("v");
        sim_fail_nth(world.sim, SIM_OPERATION_FILE, n, errors[n % 2], n % 3 == 0);
        bool was_told = try_quit(client, &is_refused);
        has_failed = sim_nth_failed(world.sim);
        sim_fail_nth(world.sim, SIM_OPERATION_FILE, 0, 0, false);
        check(was_told != is_refused);
        ask(honest, "STAT", "+OK 0 0"); /* others go on */
        sim_crash(world.sim, n % 4 < 2 ? SIM_POWER_CUT : SIM_KILL);
        life_begin();
        bool is_deleted = check_maildrop();
        check(is_deleted || !was_told);
        refusals += is_refused;
        after_all += is_refused && is_deleted;
        life_end();
        world_end();
    }
    print_message("%u operations, %u refusals, %u deleted though refused\n", n - 1, refusals,
                  after_all);
    assert_true(refusals > 0);
}

/* P08: new mail is for the next session; a second session waits for its turn. */
static void beside(void **state)
{
    (void)state;
    char line[100];
    world_make(3);
    life_begin();
    for (unsigned i = 0; i < 2; i++)
        deliver("u@x.test", texts[i]);
    struct sim_client *client = log_in("u");
    deliver("u@x.test", texts[2]);
    snprintf(line, sizeof line, "+OK 2 %zu", strlen(texts[0]) + strlen(texts[1]));
    ask(client, "STAT", line);
    ask(client, "RETR 3", "-ERR");
    ask(client, "DELE 1", "+OK");
    struct sim_client *second = sim_connect(world.sim, "127.0.0.1", PORT);
    sim_client_text(second, "USER u\r\nPASS pw\r\n");
    expect(second, "+OK");
    expect(second, "+OK");
    expect(second, "-ERR [IN-USE]");
    quit(client);
    client = log_in("u");
    snprintf(line, sizeof line, "+OK 2 %zu", strlen(texts[1]) + strlen(texts[2]));
    ask(client, "STAT", line);
    check_message(client, 1, texts[1]);
    check_message(client, 2, texts[2]);
    quit(client);
    life_end();
    world_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calm),         cmocka_unit_test(no_quit), cmocka_unit_test(cuts),
        cmocka_unit_test(failing_disk), cmocka_unit_test(beside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
