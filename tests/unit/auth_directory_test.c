/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Log-ins through directories: what is cached and for how long, what a directory that fails may and
 * may not cause, masters, new options while log-ins are under way. With real helper threads, and in
 * the simulator's worlds. Rows of the list of bad inputs are named by their id.
 * tidy: long because each way to fail is asked about in each place where it could show
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "directory_double.h"
#include "harness.h"

enum { VERIFIES = 1, SECOND = 2, USERS = 4 }; /* how to run */
enum { CACHE_MS = 200, NEGATIVE_MS = 100, STALE_MS = 400, MS = 1000000 };

struct run {
    struct directory_double first, second;
    struct auth_directory directories[2];
    struct auth_options options;
    struct auth_users *users, *masters;
    struct generation generation;
    void (*body)(struct core *core, struct run *run);
};

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

static int run_ready(struct core *core, void *argument)
{
    struct run *run = argument;
    check_equal(auth_open(core, &run->options), 0);
    run->body(core, run);
    auth_close(core);
    check_equal(generation_users(&run->generation), 0);
    harness_stop(core);
    return 0;
}

static void run_with(unsigned how, void (*body)(struct core *core, struct run *))
{
    static const struct slice domains[] = {{"x.test", 6}};
    struct engine_options options = {.core_count = 1,
                                     .connections_max = 100,
                                     .buffers = 16,
                                     .fibers_max = 200,
                                     .stack_bytes = 65536};
    struct run *run = calloc(1, sizeof *run);
    double_open(&run->first, how & VERIFIES);
    double_open(&run->second, false);
    run->second.directory.name = SLICE("second");
    run->first.directory.domains = domains;
    run->first.directory.domain_count = 1;
    double_add(&run->first, "ann@x.test", "of ann");
    double_add(&run->first, "bob@x.test", "of bob")->canonical = "Robert@X.test";
    double_add(&run->first, "off@x.test", "of off")->is_disabled = true;
    double_add(&run->first, "far@x.test", "of far")->networks = "192.0.2.0/24 2001:db8::/32";
    double_add(&run->first, "none@x.test", "of none")->secret[0] = '\0';
    double_add(&run->second, "eve@y.test", "of eve")->attributes = "backend=b2\ntag=x\n";
    double_add(&run->second, "ann@x.test", "another");
    run->directories[0] = run->first.directory;
    run->directories[1] = run->second.directory;
    run->body = body;
    run->options = (struct auth_options){
        .directories = run->directories,
        .directory_count = how & SECOND ? 2 : 1,
        .default_domain = SLICE("X.test"),
        .mechanisms = 1u << AUTH_PLAIN,
        .cache_entries_max = 1000,
        .cache_ms_max = CACHE_MS,
        .negative_ms_max = NEGATIVE_MS,
        .waiting_max = 20,
        .failure_ms_first = 1,
        .failure_ms_max = 4,
        .generation = &run->generation,
    };
    if (how & USERS) {
        char hash[256], text[1000];
        hash_of("of here", "$5$rounds=1000$salt", hash);
        snprintf(text, sizeof text,
                 "here@x.test:%s\nshut@x.test:%s:1:1::/home:/bin/sh:a=b nologin\n"
                 "lan@x.test:%s::::::allow_nets=192.0.2.0/24,2001:db8::/32 x=y\n",
                 hash, hash, hash);
        run->options.users = run->users = users_of(text);
        hash_of("of root", "$5$rounds=1000$salt", hash);
        snprintf(text, sizeof text, "root@x.test:%s::::::allow_nets=10.0.0.0/8\n", hash);
        run->options.masters = run->masters = users_of(text);
        run->options.master_separator = '*';
    }
    check_equal(harness_run(&options, run_ready, run), 0);
    auth_users_free(run->users);
    auth_users_free(run->masters);
    free(run);
}

static int try_from(struct core *core, const char *user, const char *password, unsigned from,
                    struct auth_result *ret_result)
{
    uint8_t address[16] = {10, 0, (uint8_t)(from >> 8), (uint8_t)from};
    struct auth_client client = {
        .address = address, .family = 4, .protocol = "test", .may_send_password = true};
    *ret_result = (struct auth_result){0};
    return auth_password(core, &client, slice_cstr(user), slice_cstr(password), ret_result);
}

static void expect(struct core *core, const char *user, const char *password, int want)
{
    static unsigned from;
    struct auth_result result;
    check_equal(try_from(core, user, password, ++from % 60000, &result), want);
}

static uint64_t counted(struct core *core, enum counter which)
{
    return core_counters(core)->value[which];
}

/* ---------------------------------------------------------------- what is found */

static void found_body(struct core *core, struct run *run)
{
    struct auth_result result;
    check_equal(try_from(core, "Ann", "of ann", 1, &result), 0);
    check(slice_equal(result.user, SLICE("ann@x.test")));
    check_equal(try_from(core, "bob@x.test", "of bob", 1, &result), 0);
    check(slice_equal(result.user, SLICE("robert@x.test")));
    check_equal(try_from(core, "eve@y.test", "of eve", 1, &result), 0);
    expect(core, "ann@x.test", "another", -EACCES); /* the first that knows him counts */
    expect(core, "ann@x.test", "of bob", -EACCES);  /* A05 */
    expect(core, "bob@x.test", "of ann", -EACCES);
    expect(core, "robert@x.test", "of bob", -EACCES);
    expect(core, "eve@x.test", "of eve", -EACCES);
    expect(core, "nobody@y.test", "of eve", -EACCES);
    unsigned before = double_questions(&run->first);
    expect(core, "eve@y.test", "wrong", -EACCES); /* not of its domains */
    check_equal(double_questions(&run->first), before);
    check_equal(auth_lookup(core, SLICE("BOB@X.test"), &result), 0);
    check(slice_equal(result.user, SLICE("robert@x.test")));
    check_equal(auth_lookup(core, SLICE("off@x.test"), &result), 0); /* mail is still taken */
    char memory[AUTH_PROOF_BYTES_MAX];
    struct auth_proof proof = {.memory = memory, .memory_bytes = sizeof memory};
    check_equal(auth_lookup_proof(core, SLICE("Eve@y.test"), &result, &proof), 0);
    check(slice_equal(proof.attributes, SLICE("backend=b2\ntag=x\n")));
    check(proof.secret.data == NULL);
    check_equal(auth_lookup_proof(core, SLICE("ann@x.test"), &result, &proof), 0);
    check_equal(proof.attributes.size, 0); /* those of nobody else */
    check_equal(auth_lookup_proof(core, SLICE("Eve@y.test"), &result, &proof), 0); /* kept */
    check(slice_equal(proof.attributes, SLICE("backend=b2\ntag=x\n")));
    check_equal(auth_lookup(core, SLICE("nobody@x.test"), &result), -ENOENT);
    check_equal(auth_lookup(core, SLICE("eve@y.test"), &result), 0);
    check_equal(auth_lookup(core, SLICE("a\r\nb@x.test"), &result), -ENOENT);
}

static void found(void **state)
{
    (void)state;
    run_with(SECOND, found_body);
}

/* A04: names that are none reach no directory; odd ones that may be some reach it as they are. */
static void names_body(struct core *core, struct run *run)
{
    static const char *const nobodys[] = {
        "a\nb", "a\r\nb", "\xff\xfe", "a b", "@x.test", "ann@", "\x7f", "u@x\t.test",
    };
    static const char *const odd[] = {"%{u}", "';--", "*)(uid=*", "../x", "$(u)", "u\xcc\x88"};
    for (unsigned i = 0; i < sizeof nobodys / sizeof nobodys[0]; i++)
        expect(core, nobodys[i], "of ann", -EACCES);
    check_equal(double_questions(&run->first), 0);
    for (unsigned i = 0; i < sizeof odd / sizeof odd[0]; i++)
        expect(core, odd[i], "of ann", -EACCES);
    check_equal(double_questions(&run->first), sizeof odd / sizeof odd[0]);
}

static void names(void **state)
{
    (void)state;
    run_with(0, names_body);
}

/* A13, A16: whoever fails costs one question the first time, one hash each time, the same delay. */
static void same_work_body(struct core *core, struct run *run)
{
    static const char *const users[] = {"ann", "nobody", "off", "far", "none"};
    static const char *const passwords[] = {"wrong", "wrong", "of off", "of far", "of none"};
    struct auth_result result;
    for (unsigned i = 0; i < sizeof users / sizeof users[0]; i++)
        for (unsigned again = 0; again < 2; again++) {
            uint64_t hashes = counted(core, COUNTER_AUTH_HASHES);
            unsigned questions = double_questions(&run->first);
            check_equal(try_from(core, users[i], passwords[i], 10 + i, &result), -EACCES);
            check_equal(counted(core, COUNTER_AUTH_HASHES), hashes + 1);
            check_equal(double_questions(&run->first), questions + (again == 0));
            check_equal(result.delay_ms, 1);
            check(result.user.data == NULL);
        }
    uint64_t hashes[2] = {0};
    for (unsigned i = 0; i < 100; i++) { /* interleaved */
        char name[2][20];
        snprintf(name[0], sizeof name[0], "ann");
        snprintf(name[1], sizeof name[1], "nobody%u", i);
        for (unsigned j = 0; j < 2; j++) {
            uint64_t before = counted(core, COUNTER_AUTH_HASHES);
            expect(core, name[j], "wrong", -EACCES);
            hashes[j] += counted(core, COUNTER_AUTH_HASHES) - before;
        }
    }
    check_equal(hashes[0], 100);
    check_equal(hashes[1], 100);
}

static void same_work(void **state)
{
    (void)state;
    run_with(0, same_work_body);
}

static void networks_body(struct core *core, struct run *run)
{
    (void)run;
    struct auth_result result;
    uint8_t address[16] = {192, 0, 2, 7};
    struct auth_client client = {
        .address = address, .family = 4, .protocol = "test", .may_send_password = true};
    check_equal(auth_password(core, &client, SLICE("far"), SLICE("of far"), &result), 0);
    address[2] = 3; /* and not from the cache either */
    check_equal(auth_password(core, &client, SLICE("far"), SLICE("of far"), &result), -EACCES);
    check_equal(auth_password(core, &client, SLICE("ann"), SLICE("of ann"), &result), 0);
    client.family = 1; /* a Unix socket is in no network */
    check_equal(auth_password(core, &client, SLICE("far"), SLICE("of far"), &result), -EACCES);
}

static void networks(void **state)
{
    (void)state;
    run_with(0, networks_body);
    run_with(VERIFIES, networks_body);
}

/* ---------------------------------------------------------------- the cache */

static void cache_body(struct core *core, struct run *run)
{
    struct auth_result result;
    for (unsigned i = 0; i < 10; i++)
        expect(core, "ann", "of ann", 0);
    check_equal(double_questions(&run->first), 1);
    check_equal(counted(core, COUNTER_AUTH_HASHES), 1);
    check_equal(counted(core, COUNTER_AUTH_CACHED), 9);
    for (unsigned i = 0; i < 3; i++)
        check_equal(auth_lookup(core, SLICE("nobody@x.test"), &result), -ENOENT);
    check_equal(double_questions(&run->first), 2);
    fiber_sleep(core, (NEGATIVE_MS + 20) * UINT64_C(1000000));
    check_equal(auth_lookup(core, SLICE("nobody@x.test"), &result), -ENOENT);
    check_equal(auth_lookup(core, SLICE("ann@x.test"), &result), 0);
    check_equal(double_questions(&run->first), 3);
    /* a new password: the old one is right no longer than the record is believed */
    hash_of("new", "$5$rounds=1000$salt", run->first.users[0].secret);
    fiber_sleep(core, CACHE_MS * UINT64_C(1000000));
    expect(core, "ann", "of ann", -EACCES); /* A05 */
    expect(core, "ann", "new", 0);
    /* and a user who is gone */
    run->first.users[0].name = "gone@x.test";
    fiber_sleep(core, (CACHE_MS + 20) * UINT64_C(1000000));
    expect(core, "ann", "new", -EACCES);
}

static void cache(void **state)
{
    (void)state;
    run_with(0, cache_body);
}

/* Y3, A11: a directory that fails, in whatever way, is never "wrong password". */
static void failing_body(struct core *core, struct run *run)
{
    static const enum double_fault faults[] = {DOUBLE_DOWN, DOUBLE_BAD_NAME, DOUBLE_BAD_SECRET,
                                               DOUBLE_BAD_CODE};
    struct auth_result result;
    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        double_set(&run->first, faults[i]);
        expect(core, "ann", "of ann", -EAGAIN);
        expect(core, "ann", "wrong", -EAGAIN);
        expect(core, "nobody", "wrong", -EAGAIN);
        check_equal(auth_lookup(core, SLICE("nobody@x.test"), &result), -EAGAIN);
        check_equal(auth_lookup(core, SLICE("ann@x.test"), &result), -EAGAIN);
        unsigned questions = double_questions(&run->first);
        for (unsigned more = 0; more < 20; more++) /* it rests */
            expect(core, "ann", "of ann", -EAGAIN);
        check_equal(double_questions(&run->first), questions);
        expect(core, "eve@y.test", "of eve", 0); /* not its business */
        double_set(&run->first, DOUBLE_FINE);
        fiber_sleep(core, UINT64_C(520) * MS);
    }
    check_equal(counted(core, COUNTER_AUTH_FAILED), 0);
    expect(core, "ann", "of ann", 0);
    double_set(&run->first, DOUBLE_DOWN); /* not stale on error, as it is not configured */
    fiber_sleep(core, (CACHE_MS + 20) * UINT64_C(1000000));
    expect(core, "ann", "of ann", -EAGAIN);
    check_equal(counted(core, COUNTER_DIRECTORY_STALE), 0);
}

static void failing(void **state)
{
    (void)state;
    run_with(SECOND, failing_body);
    run_with(VERIFIES | SECOND, failing_body);
}

/* What is old is believed when nothing newer is to be had, if the operator says so. */
static void stale_body(struct core *core, struct run *run)
{
    struct auth_options options = run->options;
    options.stale_ms_max = STALE_MS;
    auth_adopt(core, &options);
    expect(core, "ann", "of ann", 0);
    expect(core, "nobody", "x", -EACCES);
    double_set(&run->first, DOUBLE_DOWN);
    fiber_sleep(core, (CACHE_MS + 20) * UINT64_C(1000000));
    expect(core, "ann", "of ann", 0);
    check(counted(core, COUNTER_DIRECTORY_STALE) > 0);
    if (run->first.directory.kind->verifies)
        expect(core, "ann", "wrong", -EAGAIN); /* nobody can say */
    else
        expect(core, "ann", "wrong", -EACCES);
    expect(core, "nobody", "x", -EAGAIN); /* "no such user" is never stale */
    fiber_sleep(core, (STALE_MS + 20) * UINT64_C(1000000));
    expect(core, "ann", "of ann", -EAGAIN);
    double_set(&run->first, DOUBLE_FINE);
    fiber_sleep(core, UINT64_C(520) * MS);
    expect(core, "ann", "of ann", 0);
    auth_adopt(core, &run->options);
}

static void stale(void **state)
{
    (void)state;
    run_with(0, stale_body);
    run_with(VERIFIES, stale_body);
}

/* ---------------------------------------------------------------- a directory that verifies */

static void verifying_body(struct core *core, struct run *run)
{
    struct auth_result result;
    check_equal(try_from(core, "bob", "of bob", 1, &result), 0);
    check(slice_equal(result.user, SLICE("robert@x.test")));
    for (unsigned i = 0; i < 5; i++)
        expect(core, "bob", "of bob", 0);
    check_equal(double_questions(&run->first), 1);
    check_equal(try_from(core, "bob", "wrong", 1, &result), -EACCES);
    check_equal(result.delay_ms, 30);       /* the directory's wish */
    expect(core, "ann", "of bob", -EACCES); /* A05 */
    for (unsigned i = 0; i < 2; i++) {      /* A13: each failure is one question and no hash */
        static const char *const users[] = {"ann", "nobody", "off", "far"};
        static const char *const passwords[] = {"wrong", "wrong", "of off", "of far"};
        for (unsigned j = 0; j < 4; j++) {
            unsigned questions = double_questions(&run->first);
            expect(core, users[j], passwords[j], -EACCES);
            check_equal(double_questions(&run->first), questions + 1);
        }
    }
    check_equal(counted(core, COUNTER_AUTH_HASHES), 0);
    run->first.users[1].password = "new";
    expect(core, "bob", "new", 0);
    fiber_sleep(core, (CACHE_MS + 20) * UINT64_C(1000000));
    expect(core, "bob", "of bob", -EACCES);
}

static void verifying(void **state)
{
    (void)state;
    run_with(VERIFIES, verifying_body);
}

/* ---------------------------------------------------------------- many at once */

struct crowd {
    struct core *core;
    struct run *run;
    unsigned running, ok, wrong, busy, seed;
};

static void crowd_run(void *argument)
{
    struct crowd *crowd = argument;
    struct auth_result result;
    unsigned from = ++crowd->seed;
    int answer = try_from(crowd->core, "ann", "of ann", from, &result);
    check(answer == 0 || answer == -EAGAIN);
    *(answer == 0 ? &crowd->ok : &crowd->busy) += 1;
    crowd->running--;
}

static void crowd_start(struct crowd *crowd, unsigned count, void (*body)(void *argument))
{
    crowd->running += count;
    for (unsigned i = 0; i < count; i++)
        check_equal(fiber_start(crowd->core, body, crowd), 0);
    while (crowd->running > 0)
        fiber_sleep(crowd->core, 8 * MS);
}

/* A12: sessions that want to know the same ask once; those that wait are bounded. */
static void together_body(struct core *core, struct run *run)
{
    struct crowd crowd = {.core = core, .run = run};
    run->first.nap_ms = 20;
    double_set(&run->first, DOUBLE_SLOW);
    crowd_start(&crowd, 15, crowd_run);
    check_equal(crowd.ok, 15);
    check_equal(double_questions(&run->first), 1);
    check(counted(core, COUNTER_AUTH_HASHES) <= 4);
    fiber_sleep(core, (CACHE_MS + 20) * UINT64_C(1000000));
    crowd = (struct crowd){.core = core, .run = run, .seed = 100};
    crowd_start(&crowd, 60, crowd_run);
    check_equal(crowd.ok, 20);
    check_equal(crowd.busy, 40);
    expect(core, "ann", "of ann", 0);
}

static void together(void **state)
{
    (void)state;
    run_with(0, together_body);
}

static void other_run(void *argument)
{
    struct crowd *crowd = argument;
    char name[32];
    struct auth_result result;
    unsigned from = ++crowd->seed;
    snprintf(name, sizeof name, "other%u", from);
    int answer = try_from(crowd->core, name, "x", from, &result);
    check(answer == -EACCES || answer == -EAGAIN);
    *(answer == -EACCES ? &crowd->wrong : &crowd->busy) += 1;
    crowd->running--;
}

static uint64_t thread_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* No directory call and no hash blocks a core: while questions hang, the core's turns go on, and
 * users who are in the passwd file log in. */
static void hanging_body(struct core *core, struct run *run)
{
    struct crowd crowd = {.core = core, .run = run};
    struct auth_result result;
    uint64_t longest = 0;
    run->first.nap_ms = harness_is_simulated() ? 1 : 300;
    double_set(&run->first, DOUBLE_HANGS);
    crowd.running = 8;
    for (unsigned i = 0; i < 8; i++)
        check_equal(fiber_start(core, other_run, &crowd), 0);
    uint64_t before = thread_clock();
    check_equal(try_from(core, "here", "of here", 999, &result), 0); /* passwd file */
    check(harness_is_simulated() || thread_clock() - before < UINT64_C(200) * MS);
    while (crowd.running > 0) {
        uint64_t began = thread_clock();
        fiber_yield(core);
        uint64_t took = thread_clock() - began;
        longest = took > longest ? took : longest;
        if (harness_is_simulated())
            fiber_sleep(core, 8 * MS);
    }
    check_equal(crowd.busy, 8);
    check(harness_is_simulated() || longest < UINT64_C(100) * MS);
}

static void hanging(void **state)
{
    (void)state;
    run_with(USERS, hanging_body);
    run_with(USERS | VERIFIES, hanging_body);
}

/* ---------------------------------------------------------------- masters */

static int no_challenge(void *argument, struct slice challenge, struct slice *ret_response)
{
    (void)argument, (void)challenge, (void)ret_response;
    return -ECANCELED;
}

/* PLAIN with an authorization identity. */
static int try_as(struct core *core, const char *acts_as, const char *user, const char *password,
                  struct auth_result *ret_result)
{
    static unsigned from;
    from++;
    uint8_t address[16] = {10, 1, (uint8_t)(from >> 8), (uint8_t)from};
    struct auth_client client = {.address = address,
                                 .family = 4,
                                 .protocol = "test",
                                 .is_secure = true,
                                 .may_send_password = true};
    char message[200];
    size_t size =
        (size_t)snprintf(message, sizeof message, "%s%c%s%c%s", acts_as, 0, user, 0, password);
    struct auth_exchange exchange = {.initial = slice_of(message, size), .ask = no_challenge};
    *ret_result = (struct auth_result){0};
    return auth_sasl(core, &client, SLICE("PLAIN"), &exchange, ret_result);
}

static void masters_body(struct core *core, struct run *run)
{
    struct auth_result result;
    check_equal(try_from(core, "ann*root", "of root", 1, &result), 0);
    check(slice_equal(result.user, SLICE("ann@x.test")));
    check_equal(try_from(core, "bob@x.test*root@x.test", "of root", 1, &result), 0);
    check(slice_equal(result.user, SLICE("robert@x.test")));
    check_equal(try_from(core, "here*root", "of root", 1, &result), 0);
    check(slice_equal(result.user, SLICE("here@x.test")));
    check_equal(try_as(core, "ann", "root", "of root", &result), 0);
    check(slice_equal(result.user, SLICE("ann@x.test")));
    check_equal(try_as(core, "Ann@X.test", "ann", "of ann", &result), 0); /* himself */
    static const struct {
        const char *user, *password;
    } bad[] = {
        {"ann*root", "of ann"},     {"ann*root", "wrong"},        {"ann*here", "of here"},
        {"nobody*root", "of root"}, {"off*root", "of root"},      {"root", "of root"},
        {"*root", "of root"},       {"ann*", "of ann"},           {"ann*nobody", "of ann"},
        {"root*ann", "of ann"},     {"ann*root*root", "of root"},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t hashes = counted(core, COUNTER_AUTH_HASHES);
        expect(core, bad[i].user, bad[i].password, -EACCES);
        check_equal(counted(core, COUNTER_AUTH_HASHES), hashes + 1); /* A13 */
    }
    check_equal(try_as(core, "ann", "bob", "of bob", &result), -EACCES);
    check_equal(try_as(core, "ann", "root", "of ann", &result), -EACCES);
    check_equal(try_as(core, "nobody", "root", "of root", &result), -EACCES);
    uint8_t address[16] = {192, 0, 2, 1}; /* the master's own allow_nets */
    struct auth_client client = {
        .address = address, .family = 4, .protocol = "test", .may_send_password = true};
    check_equal(auth_password(core, &client, SLICE("ann*root"), SLICE("of root"), &result),
                -EACCES);
    double_set(&run->first, DOUBLE_DOWN);
    fiber_sleep(core, (CACHE_MS + 20) * UINT64_C(1000000));
    expect(core, "ann*root", "of root", -EAGAIN);
    expect(core, "here*root", "of root", 0);
}

static void masters(void **state)
{
    (void)state;
    run_with(USERS, masters_body);
}

/* The extra fields of Dovecot's passwd-file. */
static void extra_body(struct core *core, struct run *run)
{
    (void)run;
    struct auth_result result;
    uint8_t address[16] = {0x20, 0x01, 0x0d, 0xb8, 1};
    struct auth_client client = {
        .address = address, .family = 6, .protocol = "test", .may_send_password = true};
    check_equal(auth_password(core, &client, SLICE("lan"), SLICE("of here"), &result), 0);
    expect(core, "lan", "of here", -EACCES);
    expect(core, "shut", "of here", -EACCES);
    expect(core, "here", "of here", 0);
    check_equal(auth_lookup(core, SLICE("shut@x.test"), &result), 0);
}

static void extra(void **state)
{
    (void)state;
    run_with(USERS, extra_body);
}

/* ---------------------------------------------------------------- new options */

static void adopt_body(struct core *core, struct run *run)
{
    struct crowd crowd = {.core = core, .run = run};
    struct auth_directory directory = run->first.directory;
    struct auth_options options = run->options;
    struct generation generation = {0};
    options.generation = &generation;
    options.directories = &directory;
    options.directory_count = 1;
    expect(core, "ann", "of ann", 0);
    expect(core, "here", "of here", 0);
    unsigned questions = double_questions(&run->first);
    auth_adopt(core, &options); /* the same directory: its answers are still believed */
    expect(core, "ann", "of ann", 0);
    check_equal(double_questions(&run->first), questions);
    directory.identity++; /* another one of that name */
    auth_adopt(core, &options);
    expect(core, "ann", "of ann", 0);
    check_equal(double_questions(&run->first), questions + 1);
    char hash[256], text[300]; /* a changed password counts at once (A05) */
    expect(core, "here", "of here", 0);
    hash_of("changed", "$5$rounds=1000$salt", hash);
    snprintf(text, sizeof text, "here@x.test:%s\n", hash);
    struct auth_users *changed = users_of(text);
    options.users = changed;
    auth_adopt(core, &options);
    expect(core, "here", "of here", -EACCES);
    expect(core, "here", "changed", 0);
    auth_adopt(core, &run->options);
    auth_users_free(changed);
    options.users = NULL; /* a user who is gone */
    auth_adopt(core, &options);
    expect(core, "here", "of here", -EACCES);
    auth_adopt(core, &run->options);
    /* a log-in under way ends with the options it began with */
    run->first.nap_ms = harness_is_simulated() ? 1 : 100;
    double_set(&run->first, DOUBLE_SLOW);
    crowd.running = 1;
    check_equal(fiber_start(core, other_run, &crowd), 0);
    fiber_yield(core);
    check_equal(generation_users(&run->generation), 1);
    auth_adopt(core, &options);
    check_equal(generation_users(&run->generation), 1);
    check_equal(generation_users(&generation), 0);
    while (crowd.running > 0)
        fiber_sleep(core, 8 * MS);
    check_equal(generation_users(&run->generation), 0);
    check_equal(crowd.wrong, 1);
    expect(core, "ann", "of ann", 0);
    check_equal(generation_users(&generation), 0);
    auth_adopt(core, &run->options);
}

static void adopt(void **state)
{
    (void)state;
    run_with(USERS, adopt_body);
}

/* ---------------------------------------------------------------- a model, with faults */

struct model {
    struct core *core;
    struct run *run;
    unsigned running, tries, ok, wrong, busy;
    uint64_t random;
};

static unsigned draw(struct model *model, unsigned count)
{
    model->random = model->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(model->random >> 33) % count;
}

/* A11, A05: whatever the directory does, a right password is never "wrong", a wrong one never
 * right, and who is let in is who asked. */
static void model_run(void *argument)
{
    struct model *model = argument;
    static const struct {
        const char *user, *is, *password;
    } people[] = {{"ann", "ann@x.test", "of ann"}, {"bob@x.test", "robert@x.test", "of bob"},
                  {"off", NULL, "of off"},         {"far", NULL, "of far"},
                  {"nobody", NULL, "of ann"},      {"eve@y.test", "eve@y.test", "of eve"}};
    enum { PEOPLE = sizeof people / sizeof people[0] };
    for (unsigned i = 0; i < 20; i++) {
        unsigned who = draw(model, PEOPLE), whose = draw(model, 2) ? who : draw(model, PEOPLE);
        struct auth_result result;
        bool is_right = people[who].is != NULL && people[who].password == people[whose].password;
        int answer = try_from(model->core, people[who].user, people[whose].password,
                              draw(model, 60000), &result);
        model->tries++;
        if (answer == 0) {
            check(is_right && slice_equal(result.user, slice_cstr(people[who].is)));
            model->ok++;
        } else if (answer == -EACCES) {
            check(!is_right);
            model->wrong++;
        } else {
            check_equal(answer, -EAGAIN);
            model->busy++;
        }
        if (draw(model, 8) == 0)
            double_set(&model->run->first, draw(model, DOUBLE_FLAPS + 1));
        if (draw(model, 4) == 0)
            fiber_sleep(model->core, draw(model, 100) * UINT64_C(1000000));
    }
    model->running--;
}

static void model_body(struct core *core, struct run *run)
{
    enum { FIBERS = 12 };
    struct model model = {.core = core, .run = run, .running = FIBERS};
    core_random(core, &model.random, sizeof model.random);
    for (unsigned i = 0; i < FIBERS; i++)
        check_equal(fiber_start(core, model_run, &model), 0);
    while (model.running > 0)
        fiber_sleep(core, 8 * MS);
    check_equal(model.tries, FIBERS * 20);
    check(model.ok > 0 && model.wrong > 0);
    double_set(&run->first, DOUBLE_FINE);
    fiber_sleep(core, UINT64_C(520) * MS);
    expect(core, "ann", "of ann", 0); /* and it recovers */
}

static void model(void **state)
{
    (void)state;
    run_with(SECOND, model_body);
    run_with(SECOND | VERIFIES, model_body);
}

static int auth_directory_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found),    cmocka_unit_test(names),     cmocka_unit_test(same_work),
        cmocka_unit_test(networks), cmocka_unit_test(cache),     cmocka_unit_test(failing),
        cmocka_unit_test(stale),    cmocka_unit_test(verifying), cmocka_unit_test(together),
        cmocka_unit_test(hanging),  cmocka_unit_test(masters),   cmocka_unit_test(extra),
        cmocka_unit_test(adopt),    cmocka_unit_test(model),
    };
    return cmocka_run_group_tests_name("auth_directory", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(auth_directory_tests);
}
