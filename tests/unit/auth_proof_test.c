/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a log-in leaves for a backend (auth_proof), and log-ins that a backend judges: what is
 * shown, what is not looked at, what a wrong one costs. With real helper threads, and in the
 * simulator's worlds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "directory_double.h"
#include "jwt_samples.h"
#include "scram_client.h"

#define NONE ((struct slice){0})

static const struct slice elsewhere[] = {{"far.test", 8}, {"out.test", 8}, {"out.test.x", 10}};

struct shown {
    struct auth_result result;
    struct auth_proof proof;
    char memory[AUTH_PROOF_BYTES_MAX];
};

static struct auth_proof *proof_of(struct shown *shown)
{
    memset(shown->memory, '?', sizeof shown->memory);
    shown->proof = (struct auth_proof){.mechanism = AUTH_MECHANISM_COUNT,
                                       .memory = shown->memory,
                                       .memory_bytes = sizeof shown->memory};
    return &shown->proof;
}

static int password(struct core *core, const struct auth_client *client, const char *user,
                    const char *text, struct shown *shown)
{
    shown->result = (struct auth_result){0};
    return auth_password_proof(core, client, slice_cstr(user), slice_cstr(text), &shown->result,
                               proof_of(shown));
}

static int respond(struct sasl_talk *talk, unsigned step, struct slice challenge, char *out,
                   size_t *ret_size)
{
    (void)challenge;
    if (step >= talk->list_count)
        return -ENODATA;
    memcpy(out, talk->list[step].data, talk->list[step].size);
    *ret_size = talk->list[step].size;
    return 0;
}

/* With the answers `list` of a client, or its SCRAM. */
static int sasl(struct core *core, const char *mechanism, struct slice initial,
                const struct slice *list, struct scram_client *scram, struct shown *shown)
{
    struct auth_client client = sasl_client();
    struct sasl_talk *talk = calloc(1, sizeof *talk);
    client.certificate_name = SLICE("cert@out.test");
    check(talk != NULL);
    talk->respond = scram != NULL ? scram_client_respond : respond;
    talk->argument = scram;
    talk->list = list;
    talk->list_count = list != NULL ? 2 : 0;
    talk->proof = proof_of(shown);
    int result = sasl_try(core, &client, mechanism, initial, talk, &shown->result);
    free(talk);
    return result;
}

static void check_shown(const struct shown *shown, enum auth_mechanism mechanism, const char *user,
                        struct slice secret, const char *attributes)
{
    check_equal(shown->proof.mechanism, mechanism);
    check(slice_equal(shown->result.user, slice_cstr(user)));
    check((shown->proof.secret.data == NULL) == (secret.data == NULL));
    check(slice_equal(shown->proof.secret, secret));
    check(slice_equal(shown->proof.attributes, slice_cstr(attributes)));
    if (secret.data != NULL) /* a copy in the caller's memory, which he wipes */
        check(shown->proof.secret.data >= shown->memory &&
              shown->proof.secret.data + secret.size <= shown->memory + sizeof shown->memory);
}

static uint64_t counted(struct core *core, enum counter which)
{
    return core_counters(core)->value[which];
}

/* ---------------------------------------------------------------- what is shown */

static struct slice token_message(char text[8192])
{
    int size = snprintf(text, 8192, "n,a=anna@x.test,\1auth=Bearer %s\1\1", jwt_samples[0].token);
    return slice_of(text, (size_t)size);
}

/* A right password is shown from the cache as well; SCRAM shows nothing, nor does a master. */
static void mechanisms_body(struct core *core, struct sasl_run *run)
{
    (void)run;
    static const struct slice typed[] = {{"anna", 4}, {"pencil", 6}};
    static struct shown shown;
    struct auth_client client = sasl_client();
    char text[8192];
    for (unsigned i = 0; i < 2; i++) {
        check_equal(password(core, &client, "Anna", "pencil", &shown), 0);
        check_equal(counted(core, COUNTER_AUTH_CACHED), i);
        check_shown(&shown, AUTH_PLAIN, "anna@x.test", SLICE("pencil"), "");
        check(!shown.result.is_unverified);
    }
    check_equal(sasl(core, "PLAIN", SLICE("\0anna\0pencil"), NULL, NULL, &shown), 0);
    check_shown(&shown, AUTH_PLAIN, "anna@x.test", SLICE("pencil"), "");
    check_equal(sasl(core, "LOGIN", NONE, typed, NULL, &shown), 0);
    check_shown(&shown, AUTH_LOGIN, "anna@x.test", SLICE("pencil"), "");
    check_equal(sasl(core, "OAUTHBEARER", token_message(text), NULL, NULL, &shown), 0);
    check_shown(&shown, AUTH_OAUTHBEARER, "anna@x.test", slice_cstr(jwt_samples[0].token), "");
    struct scram_client scram = {.hash = CRYPTO_SHA256,
                                 .head = "n,,",
                                 .user = "anna",
                                 .password = "pencil",
                                 .nonce = "abcdefgh"};
    check_equal(sasl(core, "SCRAM-SHA-256", NONE, NULL, &scram, &shown), 0);
    check_shown(&shown, AUTH_SCRAM_SHA_256, "anna@x.test", NONE, "");
    check_equal(password(core, &client, "bert*root", "pencil", &shown), 0);
    check_shown(&shown, AUTH_PLAIN, "bert@x.test", NONE, "");
    check_equal(sasl(core, "PLAIN", SLICE("bert\0root\0pencil"), NULL, NULL, &shown), 0);
    check_shown(&shown, AUTH_PLAIN, "bert@x.test", NONE, "");
    check_equal(password(core, &client, "anna", "pencils", &shown), -EACCES);
    check(shown.proof.secret.data == NULL && shown.proof.attributes.data == NULL);
}

static void mechanisms(void **state)
{
    (void)state;
    sasl_run_with(mechanisms_body);
}

static void from_directory(struct core *core, struct sasl_run *run, bool verifies)
{
    static struct directory_double directory;
    static struct auth_directory list[1];
    static struct shown shown;
    struct auth_client client = sasl_client();
    double_open(&directory, verifies);
    struct double_user *dora = double_add(&directory, "dora@x.test", "pencil");
    dora->attributes = "host=192.0.2.7\nport=1143\n";
    dora->canonical = "Dorothea@x.test";
    list[0] = directory.directory;
    run->options.directories = list;
    run->options.directory_count = 1;
    run->options.cache_ms_max = 60000;
    for (unsigned i = 0; i < 3; i++) { /* the second time from the cache, then a master's */
        check_equal(password(core, &client, i < 2 ? "dora" : "dora*root", "pencil", &shown), 0);
        check_shown(&shown, AUTH_PLAIN, "dorothea@x.test", i < 2 ? SLICE("pencil") : NONE,
                    "host=192.0.2.7\nport=1143\n");
        check_equal(double_questions(&directory), 1);
    }
    check_equal(password(core, &client, "dora", "pencils", &shown), -EACCES);
    check(shown.proof.attributes.data == NULL);
    run->options.directory_count = 0;
}

static void directory_body(struct core *core, struct sasl_run *run)
{
    from_directory(core, run, false);
}

static void verifying_body(struct core *core, struct sasl_run *run)
{
    from_directory(core, run, true);
}

static void attributes(void **state)
{
    (void)state;
    sasl_run_with(directory_body);
    sasl_run_with(verifying_body);
}

/* The longest of both fit. */
static void longest_body(struct core *core, struct sasl_run *run)
{
    enum { FRAME = sizeof "user=a@out.test\1auth=Bearer \1\1" - 1 };
    static struct shown shown;
    static char message[AUTH_MESSAGE_BYTES_MAX + 1];
    size_t token = AUTH_MESSAGE_BYTES_MAX - FRAME;
    run->options.judged_elsewhere = elsewhere;
    run->options.judged_elsewhere_count = 3;
    memset(message, 'x', sizeof message);
    memcpy(message, "user=a@out.test\1auth=Bearer ", FRAME - 2);
    memcpy(message + AUTH_MESSAGE_BYTES_MAX - 2, "\1\1", 2);
    struct slice initial = slice_of(message, AUTH_MESSAGE_BYTES_MAX);
    check_equal(sasl(core, "XOAUTH2", initial, NULL, NULL, &shown), 0);
    check_equal(shown.proof.secret.size, token);
    initial.size++;
    check_equal(sasl(core, "XOAUTH2", initial, NULL, NULL, &shown), -EMSGSIZE);
}

static void longest(void **state)
{
    (void)state;
    sasl_run_with(longest_body);
}

/* ---------------------------------------------------------------- judged elsewhere */

/* Nobody is asked, nothing is hashed; what is no name, and no password, goes nowhere. */
static void unverified_body(struct core *core, struct sasl_run *run)
{
    static struct directory_double directory;
    static struct auth_directory list[1];
    static struct shown shown;
    static const struct {
        const char *user, *password;
        int result;
        const char *is; /* unverified; NULL: judged here */
    } rows[] = {
        {"Eve@OUT.test", "any", 0, "eve@out.test"},
        {"eve@out.test.x", "any", 0, "eve@out.test.x"},
        {"eve@far.test", "any", 0, "eve@far.test"},
        {"eve@out.test", "", -EACCES, NULL}, /* no password is none */
        {"e ve@out.test", "any", -EACCES, NULL},
        {"eve\xff@out.test", "any", -EACCES, NULL},
        {"@out.test", "any", -EACCES, NULL},
        {"eve@out.tes", "any", -EACCES, NULL},
        {"eve@out.test.", "any", -EACCES, NULL},
        {"eve@x.out.test", "any", -EACCES, NULL},
        {"anna", "pencil", 0, NULL},
        {"anna", "any", -EACCES, NULL},
    };
    double_open(&directory, true);
    double_add(&directory, "eve@out.test", "other");
    list[0] = directory.directory;
    list[0].domains = elsewhere;
    list[0].domain_count = 3;
    run->options.directories = list;
    run->options.directory_count = 1;
    run->options.judged_elsewhere = elsewhere;
    run->options.judged_elsewhere_count = 3;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct auth_client client = sasl_client();
        uint64_t hashes = counted(core, COUNTER_AUTH_HASHES),
                 right = counted(core, COUNTER_AUTH_OK);
        int result = password(core, &client, rows[i].user, rows[i].password, &shown);
        if (result != rows[i].result)
            fprintf(stderr, "row %zu: %d\n", i, result);
        check_equal(result, rows[i].result);
        check_equal(double_questions(&directory), 0);
        if (rows[i].is == NULL)
            continue;
        check(shown.result.is_unverified && shown.result.delay_ms == 0);
        check_shown(&shown, AUTH_PLAIN, rows[i].is, slice_cstr(rows[i].password), "");
        check_equal(counted(core, COUNTER_AUTH_HASHES), hashes);
        check_equal(counted(core, COUNTER_AUTH_OK), right); /* not yet */
        auth_judged(core, &client, true, &shown.result);
        check(!shown.result.is_unverified && shown.result.delay_ms == 0);
        check_equal(counted(core, COUNTER_AUTH_OK), right + 1);
    }
    check_equal(auth_lookup(core, SLICE("eve@out.test"), &shown.result), -EAGAIN);
    check_equal(auth_lookup(core, SLICE("eve@out.tes"), &shown.result), -ENOENT);
    check_equal(auth_lookup(core, SLICE("anna"), &shown.result), 0);
    check_equal(double_questions(&directory), 0);
    run->options.directory_count = 0;
}

static void unverified(void **state)
{
    (void)state;
    sasl_run_with(unverified_body);
}

/* A master and a certificate are judged here; SCRAM fails like anybody's; a token needs a name. */
static void other_ways_body(struct core *core, struct sasl_run *run)
{
    static struct shown shown;
    struct auth_client client = sasl_client();
    run->options.judged_elsewhere = elsewhere;
    run->options.judged_elsewhere_count = 3;
    check_equal(password(core, &client, "eve@out.test*root", "pencil", &shown), 0);
    check(!shown.result.is_unverified);
    check_shown(&shown, AUTH_PLAIN, "eve@out.test", NONE, "");
    check_equal(password(core, &client, "eve@out.test*root", "pencils", &shown), -EACCES);
    check_equal(password(core, &client, "eve@out.test*anna", "pencil", &shown), -EACCES);
    struct scram_client scram = {.hash = CRYPTO_SHA256,
                                 .head = "n,,",
                                 .user = "eve@out.test",
                                 .password = "pencil",
                                 .nonce = "abcdefgh"};
    check_equal(sasl(core, "SCRAM-SHA-256", NONE, NULL, &scram, &shown), -EACCES);
    check(scram.server_first[0] != '\0'); /* it has seen a salt: A2 */
    check_equal(sasl(core, "EXTERNAL", SLICE(""), NULL, NULL, &shown), 0);
    check(!shown.result.is_unverified);
    check_shown(&shown, AUTH_EXTERNAL, "cert@out.test", NONE, "");
    check_equal(sasl(core, "PLAIN", SLICE("bert\0eve@out.test\0any"), NULL, NULL, &shown), -EACCES);
    static const struct slice refused[] = {{"", 0}, {"", 0}};
    struct slice named = SLICE("n,a=Eve@out.test,\1auth=Bearer not.of.us\1\1");
    struct slice nameless = SLICE("n,,\1auth=Bearer not.of.us\1\1");
    for (unsigned i = 0; i < 2; i++) {
        check_equal(sasl(core, "OAUTHBEARER", named, NULL, NULL, &shown), 0);
        check(shown.result.is_unverified);
        check_shown(&shown, AUTH_OAUTHBEARER, "eve@out.test", SLICE("not.of.us"), "");
        check_equal(sasl(core, "OAUTHBEARER", nameless, refused, NULL, &shown), -EACCES);
        run->options.tokens = NULL; /* also where no token can be checked */
    }
}

static void other_ways(void **state)
{
    (void)state;
    sasl_run_with(other_ways_body);
}

/* No SCRAM where nobody has a record for it. */
static void offers_body(struct core *core, struct sasl_run *run)
{
    static struct directory_double directory;
    static struct auth_directory list[1];
    char text[AUTH_MECHANISMS_BYTES_MAX];
    struct auth_client client = sasl_client();
    double_open(&directory, false);
    list[0] = directory.directory;
    list[0].domains = elsewhere;
    list[0].domain_count = 2;
    run->options.users = NULL;
    run->options.tokens = NULL;
    run->options.directories = list;
    run->options.directory_count = 1;
    run->options.mechanisms = 1u << AUTH_SCRAM_SHA_256 | 1u << AUTH_XOAUTH2 | 1u << AUTH_PLAIN;
    size_t size = auth_mechanisms(core, &client, text);
    check(slice_equal(slice_of(text, size), SLICE("SCRAM-SHA-256 PLAIN")));
    run->options.judged_elsewhere = elsewhere;
    run->options.judged_elsewhere_count = 3;
    size = auth_mechanisms(core, &client, text);
    check(slice_equal(slice_of(text, size), SLICE("XOAUTH2 PLAIN")));
    run->options.judged_elsewhere_count = 1; /* one of the directory's is judged here */
    size = auth_mechanisms(core, &client, text);
    check(slice_equal(slice_of(text, size), SLICE("SCRAM-SHA-256 XOAUTH2 PLAIN")));
    run->options.directory_count = 0;
}

static void offers(void **state)
{
    (void)state;
    sasl_run_with(offers_body);
}

/* ---------------------------------------------------------------- what a wrong one costs */

/* A09. As a wrong password that is judged here: the delay grows, is waited for before the backend
 * is asked, and only what is missing of it behind; the same guess again adds none; a user who has
 * logged in from there does not wait. */
static void delays_body(struct core *core, struct sasl_run *run)
{
    static struct shown shown;
    struct auth_client client = sasl_client();
    char guess[20];
    run->options.judged_elsewhere = elsewhere;
    run->options.judged_elsewhere_count = 3;
    static const unsigned due[] = {20, 40, 80, 100, 100};
    for (unsigned i = 0; i < 5; i++) {
        snprintf(guess, sizeof guess, "guess %u", i);
        check_equal(password(core, &client, "eve@out.test", guess, &shown), 0);
        check_equal(shown.result.delay_ms, i == 0 ? 0 : due[i - 1]);
        auth_judged(core, &client, false, &shown.result);
        check_equal(shown.result.delay_ms, due[i] - (i == 0 ? 0 : due[i - 1]));
    }
    check_equal(counted(core, COUNTER_AUTH_FAILED), 5);
    client = sasl_client();
    for (unsigned i = 0; i < 3; i++) { /* another account, from another network */
        check_equal(password(core, &client, "ada@out.test", "forgotten", &shown), 0);
        auth_judged(core, &client, false, &shown.result);
        check_equal(shown.result.delay_ms, i == 0 ? 20 : 0);
    }
    check_equal(password(core, &client, "ada@out.test", "right", &shown), 0);
    check_equal(shown.result.delay_ms, 20);
    auth_judged(core, &client, true, &shown.result);
    check_equal(shown.result.delay_ms, 0);
    check_equal(password(core, &client, "ada@out.test", "right", &shown), 0);
    check_equal(shown.result.delay_ms, 0);
}

static void delays(void **state)
{
    (void)state;
    sasl_run_with(delays_body);
}

struct guesser {
    struct core *core;
    struct auth_client client;
    struct shown shown;
    unsigned *asked, *refused, *left;
    struct waiters *done;
};

static void guess_run(void *argument)
{
    struct guesser *guesser = argument;
    struct core *core = guesser->core;
    int result = password(core, &guesser->client, "eve@out.test", "guess", &guesser->shown);
    if (result == -EAGAIN) {
        ++*guesser->refused;
    } else {
        check_equal(result, 0);
        auth_wait(core, &guesser->shown.result);
        ++*guesser->asked;
    }
    if (--*guesser->left == 0)
        waiters_wake_all(core, guesser->done);
}

/* A09: a network under penalty does not get more guesses to a backend by making them at once. */
static void at_once_body(struct core *core, struct sasl_run *run)
{
    enum { GUESSERS = 12, PLACES = 4 };
    static struct guesser guessers[GUESSERS];
    struct waiters done = {0};
    unsigned asked = 0, refused = 0, left = GUESSERS;
    struct auth_client client = sasl_client();
    run->options.judged_elsewhere = elsewhere;
    run->options.judged_elsewhere_count = 3;
    check_equal(password(core, &client, "eve@out.test", "first", &guessers[0].shown), 0);
    auth_judged(core, &client, false, &guessers[0].shown.result);
    for (unsigned i = 0; i < GUESSERS; i++) {
        guessers[i] = (struct guesser){.core = core,
                                       .client = client,
                                       .asked = &asked,
                                       .refused = &refused,
                                       .left = &left,
                                       .done = &done};
        check_equal(fiber_start(core, guess_run, &guessers[i]), 0);
    }
    while (left > 0)
        waiters_wait(core, &done, 0);
    check_equal(asked, PLACES);
    check_equal(refused, GUESSERS - PLACES);
}

static void at_once(void **state)
{
    (void)state;
    sasl_run_with(at_once_body);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(mechanisms), cmocka_unit_test(attributes), cmocka_unit_test(longest),
        cmocka_unit_test(unverified), cmocka_unit_test(other_ways), cmocka_unit_test(offers),
        cmocka_unit_test(delays),     cmocka_unit_test(at_once),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return harness_main(tests);
}
