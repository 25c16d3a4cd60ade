/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Users, passwords and what guessing costs; with real helper threads, and in the simulator's
 * worlds. Hashes are the cheapest that their methods allow. Rows of the list of bad inputs are
 * named by their id; what must not show in time (A16) is shown by counting hashes, which does not
 * depend on the machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"
#include "ringpost/auth.h"

static void problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "line %u: %s\n", line, what);
}

static struct auth_users *users_of(const char *text)
{
    struct auth_users *users;
    check_equal(auth_users_parse(slice_cstr(text), problem, NULL, &users), 0);
    return users;
}

#define SHA256_PREFIX "$5$rounds=1000$salt"

/* The hash of a password by a setting, into text of 256 bytes. */
static const char *hash_of(const char *password, const char *setting, char *text)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    const char *hash = crypt_rn(password, setting, data, (int)sizeof *data);
    check(hash != NULL);
    snprintf(text, 256, "%s", hash);
    free(data);
    return text;
}

/* ---------------------------------------------------------------- running on the engine */

struct run {
    struct auth_users *users;
    struct auth_options options;
    void (*body)(struct core *core, struct run *run);
};

static int run_ready(struct core *core, void *argument)
{
    struct run *run = argument;
    check_equal(auth_open(core, &run->options), 0);
    run->body(core, run);
    auth_close(core);
    harness_stop(core);
    return 0;
}

static void run_with(const char *text, void (*body)(struct core *core, struct run *run))
{
    struct engine_options options = {.core_count = 1,
                                     .connections_max = 100,
                                     .buffers = 16,
                                     .fibers_max = 200,
                                     .stack_bytes = 65536};
    struct run run = {.users = users_of(text), .body = body};
    run.options = (struct auth_options){
        .users = run.users,
        .default_domain = SLICE("X.test"),
        .cache_entries_max = 1000,
        .cache_ms_max = 200,
        .waiting_max = 20,
        .failure_ms_first = 20,
        .failure_ms_max = 100,
    };
    check_equal(harness_run(&options, run_ready, &run), 0);
    auth_users_free(run.users);
}

static const uint8_t *address(unsigned a, unsigned b, uint8_t *room)
{
    memset(room, 0, 16);
    room[0] = 10;
    room[1] = (uint8_t)(b >> 8);
    room[2] = (uint8_t)b;
    room[3] = (uint8_t)a;
    return room;
}

static int try_as(struct core *core, struct slice user, struct slice password, const uint8_t *peer,
                  unsigned family, struct auth_result *ret_result)
{
    struct auth_client client = {
        .address = peer, .family = family, .protocol = "test", .may_send_password = true};
    return auth_password(core, &client, user, password, ret_result);
}

static int try_from(struct core *core, const char *user, const char *password, unsigned from,
                    struct auth_result *ret_result)
{
    uint8_t room[16];
    *ret_result = (struct auth_result){0};
    return try_as(core, slice_cstr(user), slice_cstr(password), address(1, from, room), 4,
                  ret_result);
}

static uint64_t counted(struct core *core, enum counter which)
{
    return core_counters(core)->value[which];
}

static const char *file(void)
{
    static char text[2000];
    char hash[256], other[256];
    hash_of("pa ss\xc3\xa9", SHA256_PREFIX, hash);
    hash_of("other", "$6$rounds=1000$abcdefgh", other);
    snprintf(text, sizeof text, "u0@x.test:%s\nu1@x.test:%s\nu2@other.test:%s\nlocked@x.test:!%s\n",
             hash, hash, other, hash);
    return text;
}

#define PASSWORD "pa ss\xc3\xa9"

static void log_ins_body(struct core *core, struct run *run)
{
    (void)run;
    struct auth_result result;
    check_equal(try_from(core, "u0", PASSWORD, 1, &result), 0);
    check(slice_equal(result.user, SLICE("u0@x.test")));
    check_equal(result.delay_ms, 0);
    check_equal(try_from(core, "U1@X.Test", PASSWORD, 1, &result), 0);
    check(slice_equal(result.user, SLICE("u1@x.test")));
    check_equal(try_from(core, "u2@other.test", "other", 1, &result), 0);
    check_equal(try_from(core, "u2@other.test", PASSWORD, 1, &result), -EACCES);
    check(result.user.data == NULL);
    check_equal(try_from(core, "u2", "other", 2, &result), -EACCES);
    check_equal(try_from(core, "u0", "", 3, &result), -EACCES);
    check_equal(try_from(core, "", "", 4, &result), -EACCES);
    check_equal(try_from(core, "u0", "PA SS\xc3\xa9", 5, &result), -EACCES);
    char large[1000];
    memset(large, 'a', sizeof large);
    large[512] = '\0';
    check_equal(try_from(core, "u0", large, 6, &result), -EINVAL);
    large[511] = '\0';
    check_equal(try_from(core, "u0", large, 6, &result), -EACCES);
    large[511] = 'a';
    large[321] = '\0';
    check_equal(try_from(core, large, "x", 7, &result), -EINVAL);
    large[320] = '\0'; /* with the default domain it is too long again */
    check_equal(try_from(core, large, "x", 7, &result), -EINVAL);
    uint8_t room[16];
    check_equal(try_as(core, SLICE("u0\0"), SLICE(PASSWORD), address(1, 8, room), 4, &result),
                -EINVAL);
    check_equal(try_as(core, SLICE("u0"), SLICE(PASSWORD "\0"), address(1, 8, room), 4, &result),
                -EINVAL);
}

static void log_ins(void **state)
{
    (void)state;
    run_with(file(), log_ins_body);
}

/* A04: all of these are names, of nobody. The honest user beside them logs in. */
static void names_body(struct core *core, struct run *run)
{
    (void)run;
    static const char *const names[] = {
        "%{u}",      "'; --", "*)(uid=*", "../x",    "a\nb", "a\r\nb",     "\xff\xfe",
        "u0 ",       " u0",   "u0@",      "@x.test", "u0@x", "u0@x.test.", "u0@x.test@x.test",
        "u0%x.test", "$(u0)", "`id`",     "u0:",     "*",    "?",          "u\xcc\x88\x30",
    };
    struct auth_result result;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        check_equal(try_from(core, names[i], PASSWORD, 100 + (unsigned)i, &result), -EACCES);
    check_equal(try_from(core, "u0", PASSWORD, 1, &result), 0);
}

static void names(void **state)
{
    (void)state;
    run_with(file(), names_body);
}

/* A13, A16: unknown, locked and wrong cost one hash each; right ones cost one, then none. */
static void same_work_body(struct core *core, struct run *run)
{
    (void)run;
    static const char *const users[] = {"u0", "nobody", "locked", "u2@other.test", "a\nb"};
    struct auth_result result;
    for (unsigned i = 0; i < sizeof users / sizeof users[0]; i++) {
        uint64_t before = counted(core, COUNTER_AUTH_HASHES);
        check_equal(try_from(core, users[i], "wrong", 10 + i, &result), -EACCES);
        check_equal(counted(core, COUNTER_AUTH_HASHES), before + 1);
        check_equal(result.delay_ms, 20);
    }
    check_equal(try_from(core, "locked", PASSWORD, 30, &result), -EACCES);
    check_equal(try_from(core, "locked", PASSWORD, 30, &result), -EACCES);
    uint64_t before = counted(core, COUNTER_AUTH_HASHES);
    check_equal(try_from(core, "u0", PASSWORD, 31, &result), 0);
    check_equal(counted(core, COUNTER_AUTH_HASHES), before + 1);
    for (unsigned i = 0; i < 100; i++)
        check_equal(try_from(core, "U0@x.test", PASSWORD, 31, &result), 0);
    check_equal(counted(core, COUNTER_AUTH_HASHES), before + 1);
    check_equal(counted(core, COUNTER_AUTH_CACHED), 100);
    check_equal(counted(core, COUNTER_AUTH_OK), 101);
    check_equal(counted(core, COUNTER_AUTH_FAILED), 7);
    fiber_sleep(core, 250000000); /* believed for 200 ms, however often it was used */
    check_equal(try_from(core, "u0", PASSWORD, 31, &result), 0);
    check_equal(counted(core, COUNTER_AUTH_HASHES), before + 2);
}

static void same_work(void **state)
{
    (void)state;
    run_with(file(), same_work_body);
}

/* A05: one user's verified password is no other's; what joins to the same text is told apart. */
static void cache_keys_body(struct core *core, struct run *run)
{
    (void)run;
    struct auth_result result;
    check_equal(try_from(core, "u0", PASSWORD, 1, &result), 0);
    check_equal(try_from(core, "u1", PASSWORD, 1, &result), 0);
    check(slice_equal(result.user, SLICE("u1@x.test")));
    check_equal(try_from(core, "u0", PASSWORD, 2, &result), 0);
    check(slice_equal(result.user, SLICE("u0@x.test")));
    check_equal(try_from(core, "u2@other.test", PASSWORD, 3, &result), -EACCES);
    check_equal(try_from(core,
                         "u0@x.test"
                         "pa",
                         " ss\xc3\xa9", 4, &result),
                -EACCES);
    check_equal(try_from(core, "u0", PASSWORD "x", 5, &result), -EACCES);
    check_equal(try_from(core, "u0", "pa ss", 6, &result), -EACCES);
}

static void cache_keys(void **state)
{
    (void)state;
    run_with(file(), cache_keys_body);
}

/* A09, A10 */
static void penalties_body(struct core *core, struct run *run)
{
    (void)run;
    struct auth_result result;
    char password[20];
    static const uint64_t delays[] = {20, 40, 80, 100, 100, 100};
    check_equal(try_from(core, "u0", PASSWORD, 1, &result), 0); /* the victim's place */
    for (unsigned i = 0; i < 6; i++) {
        snprintf(password, sizeof password, "guess %u", i);
        check_equal(try_from(core, "u0", password, 2, &result), -EACCES);
        check_equal(result.delay_ms, delays[i]);
        check_equal(try_from(core, "u0", password, 2, &result), -EACCES); /* no guess */
        check_equal(result.delay_ms, delays[i]);
    }
    /* the attacker's network waits even when right, for any user */
    check_equal(try_from(core, "u2@other.test", "other", 2, &result), 0);
    check_equal(result.delay_ms, 100);
    /* the victim does not, though somebody guesses from the victim's own network too */
    check_equal(try_from(core, "u0", "guess", 1, &result), -EACCES);
    fiber_sleep(core, 250000000); /* out of the cache */
    check_equal(try_from(core, "u0", PASSWORD, 1, &result), 0);
    check_equal(result.delay_ms, 0);
    check_equal(try_from(core, "u1", PASSWORD, 1, &result), 0); /* never came from there */
    check_equal(result.delay_ms, 20);
    check_equal(try_from(core, "u1", PASSWORD, 3, &result), 0); /* nor from here, but no guesses */
    check_equal(result.delay_ms, 0);
    /* many networks, one guess each: the victim is still let in */
    for (unsigned i = 0; i < 300; i++) {
        snprintf(password, sizeof password, "guess %u", i);
        check_equal(try_from(core, "u0", password, 1000 + i, &result), -EACCES);
        check_equal(result.delay_ms, 100); /* the account's penalty */
        check_equal(try_from(core, "nobody", "x", 1000 + i, &result), -EACCES);
        check_equal(result.delay_ms, 40); /* the network's second */
    }
    fiber_sleep(core, 250000000);
    check_equal(try_from(core, "u0", PASSWORD, 1, &result), 0);
    check_equal(result.delay_ms, 0);
    fiber_sleep(core, 250000000);
    check_equal(try_from(core, "u0", PASSWORD, 3, &result), 0); /* where nobody ever saw him */
    check_equal(result.delay_ms, 100);
    check_equal(try_from(core, "u1", "slip", 3, &result), -EACCES);
    check_equal(try_from(core, "u0", "slip", 1, &result), -EACCES); /* his own slip, at home */
    check(result.delay_ms == 40 || result.delay_ms == 20); /* the network's, perhaps forgotten */
    fiber_sleep(core, 1000000000);                         /* all is forgotten in the end */
    check_equal(try_from(core, "u2@other.test", "x", 2, &result), -EACCES);
    check_equal(result.delay_ms, 20);
}

static void penalties(void **state)
{
    (void)state;
    run_with(file(), penalties_body);
}

/* A09: hopping within an IPv6 /48 is one network; the next /48 is another. */
static void hopping_body(struct core *core, struct run *run)
{
    (void)run;
    uint8_t peer[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 1};
    struct auth_result result;
    for (unsigned i = 0; i < 4; i++) {
        char password[20];
        snprintf(password, sizeof password, "nobody%u", i);
        peer[7] = (uint8_t)i;
        peer[15] = (uint8_t)(i * 7);
        check_equal(try_as(core, slice_cstr(password), SLICE("x"), peer, 6, &result), -EACCES);
        check_equal(result.delay_ms, i < 3 ? 20u << i : 100);
    }
    peer[5] = 2;
    check_equal(try_as(core, SLICE("guess 9"), SLICE("guess"), peer, 6, &result), -EACCES);
    check_equal(result.delay_ms, 20);
    check_equal(try_as(core, SLICE("u0"), SLICE("guess"), peer, 1, &result), -EACCES);
    check_equal(result.delay_ms, 20); /* no network: only the account's doubling */
    check_equal(try_as(core, SLICE("u1"), SLICE("guess"), peer, 1, &result), -EACCES);
    check_equal(result.delay_ms, 20);
    check_equal(try_as(core, SLICE("u1"), SLICE("guess 2"), peer, 1, &result), -EACCES);
    check_equal(result.delay_ms, 40);
}

static void hopping(void **state)
{
    (void)state;
    run_with(file(), hopping_body);
}

/* ---------------------------------------------------------------- many at once */

struct client {
    struct core *core;
    const char *password;
    unsigned from;
    unsigned *running, *ok, *wrong, *busy;
    bool waits;
};

static void client_run(void *argument)
{
    struct client *client = argument;
    struct auth_result answer;
    int result = try_from(client->core, "u0", client->password, client->from, &answer);
    if (client->waits)
        auth_wait(client->core, &answer);
    check(result == 0 || result == -EACCES || result == -EAGAIN);
    ++*(result == 0 ? client->ok : result == -EACCES ? client->wrong : client->busy);
    --*client->running;
}

/* A12, R16: the queue is bounded; the same right password is hashed few times. */
static void crowd_body(struct core *core, struct run *run)
{
    (void)run;
    enum { CLIENTS = 60 };
    static struct client clients[CLIENTS];
    unsigned running = CLIENTS, ok = 0, wrong = 0, busy = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] =
            (struct client){core, i % 2 ? PASSWORD : "no", i, &running, &ok, &wrong, &busy, false};
        check_equal(fiber_start(core, client_run, &clients[i]), 0);
    }
    while (running > 0)
        fiber_sleep(core, 8000000);
    check_equal(ok + wrong + busy, CLIENTS);
    check_equal(busy, CLIENTS - 20);
    check_equal(ok, 10);
    check_equal(wrong, 10);
    check(counted(core, COUNTER_AUTH_HASHES) <= 10 + 4);
    struct auth_result result;
    check_equal(try_from(core, "u1", PASSWORD, 99, &result), 0); /* and it recovers */
}

static void crowd(void **state)
{
    (void)state;
    run_with(file(), crowd_body);
}

/* Answers held back are few per network: then others of it are not even hashed, and the rest of
 * the world goes on. */
static void held_back_body(struct core *core, struct run *run)
{
    (void)run;
    enum { CLIENTS = 30 };
    static struct client clients[CLIENTS];
    char passwords[CLIENTS][20];
    struct auth_result result;
    unsigned running = CLIENTS, ok = 0, wrong = 0, busy = 0;
    check_equal(try_from(core, "u0", "guess", 7, &result), -EACCES);
    uint64_t before = counted(core, COUNTER_AUTH_HASHES);
    for (unsigned i = 0; i < CLIENTS; i++) {
        snprintf(passwords[i], sizeof passwords[i], "guess %u", i);
        clients[i] = (struct client){core, passwords[i], 7, &running, &ok, &wrong, &busy, true};
        check_equal(fiber_start(core, client_run, &clients[i]), 0);
    }
    check_equal(try_from(core, "u1", PASSWORD, 8, &result), 0);
    check_equal(result.delay_ms, 0);
    while (running > 0)
        fiber_sleep(core, 8000000);
    check_equal(wrong, 4);
    check_equal(busy, CLIENTS - 4);
    check_equal(counted(core, COUNTER_AUTH_HASHES), before + 4 + 1);
    check_equal(try_from(core, "u0", PASSWORD, 7, &result), 0); /* never forever */
    uint64_t began = core_now_ns(core);
    check(result.delay_ms > 0);
    auth_wait(core, &result);
    check(core_now_ns(core) - began >= result.delay_ms * 1000000);
}

static void held_back(void **state)
{
    (void)state;
    run_with(file(), held_back_body);
}

static int auth_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_ins),    cmocka_unit_test(names),     cmocka_unit_test(same_work),
        cmocka_unit_test(cache_keys), cmocka_unit_test(penalties), cmocka_unit_test(hopping),
        cmocka_unit_test(crowd),      cmocka_unit_test(held_back),
    };
    return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(auth_tests);
}
