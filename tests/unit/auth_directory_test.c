/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Log-ins through directories, one at a time: what is found, what is cached and for how long, what
 * a directory that fails may and may not cause, masters. With real helper threads, and in the
 * simulator's worlds. Rows of the list of bad inputs are named by their id.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "auth_directory_host.h"

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

static int auth_directory_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found),    cmocka_unit_test(names),     cmocka_unit_test(same_work),
        cmocka_unit_test(networks), cmocka_unit_test(cache),     cmocka_unit_test(failing),
        cmocka_unit_test(stale),    cmocka_unit_test(verifying), cmocka_unit_test(masters),
        cmocka_unit_test(extra),
    };
    return cmocka_run_group_tests_name("auth_directory", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(auth_directory_tests);
}
