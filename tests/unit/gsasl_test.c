/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * GNU SASL's client logs in by all mechanisms that it knows, hundreds of times with names and
 * passwords drawn from a seed, and checks that we know the record too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <gsasl.h>

#include "ringpost/base64.h"
#include "sasl_host.h"

enum { ROUNDS = 150 };

struct peer {
    Gsasl *gsasl;
    Gsasl_session *session;
    int last; /* of its last step */
};

static int respond(struct sasl_talk *talk, unsigned step, struct slice challenge, char *out,
                   size_t *ret_size)
{
    struct peer *peer = talk->argument;
    char *answer = NULL;
    size_t size = 0;
    (void)step;
    if (peer->last == GSASL_OK && challenge.size > 0)
        return -EPROTO; /* it has nothing more to say */
    peer->last = gsasl_step(peer->session, challenge.data, challenge.size, &answer, &size);
    if (peer->last != GSASL_OK && peer->last != GSASL_NEEDS_MORE) {
        fprintf(stderr, "gsasl: %s\n", gsasl_strerror(peer->last));
        return -ECANCELED;
    }
    check(size <= sizeof talk->message);
    if (size > 0)
        memcpy(out, answer, size);
    *ret_size = size;
    gsasl_free(answer);
    return 0;
}

static int log_in(struct core *core, Gsasl *gsasl, const char *mechanism, const char *user,
                  const char *password, const char *channel, struct auth_result *ret_result)
{
    struct peer peer = {.gsasl = gsasl, .last = GSASL_NEEDS_MORE};
    struct sasl_talk *talk = calloc(1, sizeof *talk);
    struct auth_client from = sasl_client();
    char text[64] = "";
    check(talk != NULL);
    talk->respond = respond;
    talk->argument = &peer;
    check_equal(gsasl_client_start(gsasl, mechanism, &peer.session), GSASL_OK);
    gsasl_property_set(peer.session, GSASL_AUTHID, user);
    gsasl_property_set(peer.session, GSASL_PASSWORD, password);
    base64_encode(slice_of(channel, 32), text);
    if (strstr(mechanism, "-PLUS") != NULL)
        gsasl_property_set(peer.session, GSASL_CB_TLS_EXPORTER, text);
    else
        from.has_binding = false;
    int result = sasl_try(core, &from, mechanism, (struct slice){0}, talk, ret_result);
    check((result == 0) <= (peer.last == GSASL_OK));
    gsasl_finish(peer.session);
    free(talk);
    return result;
}

static void body(struct core *core, struct sasl_run *run)
{
    static const char *const mechanisms[] = {
        "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS", "PLAIN", "LOGIN"};
    static const char ours[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                      other[] = "bbbbbbbbbbbbbbbbcbbbbbbbbbbbbbbb";
    struct auth_result result;
    Gsasl *gsasl;
    (void)run;
    check_equal(gsasl_init(&gsasl), GSASL_OK);
    for (unsigned i = 0; i < ROUNDS; i++)
        for (unsigned j = 0; j < 6; j++) {
            bool binds = strstr(mechanisms[j], "-PLUS") != NULL;
            check_equal(log_in(core, gsasl, mechanisms[j], "anna", "pencil", ours, &result), 0);
            check(slice_equal(result.user, SLICE("anna@x.test")));
            if (i % 10 != 0)
                continue;
            check_equal(log_in(core, gsasl, mechanisms[j], "anna", "pencils", ours, &result),
                        -EACCES);
            check_equal(log_in(core, gsasl, mechanisms[j], "nobody", "pencil", ours, &result),
                        -EACCES);
            check_equal(log_in(core, gsasl, mechanisms[j], "anna", "pencil", other, &result),
                        binds ? -EACCES : 0);
        }
    gsasl_done(gsasl);
}

static void oracle(void **state)
{
    (void)state;
    sasl_run_with(body);
}

/* Names and passwords with what must be escaped; records that auth_hash made. */
static void drawn_body(struct core *core, struct sasl_run *run)
{
    static const char letters[] = "ab,=+-_.;!%\"'\\(){}*";
    struct auth_result result;
    Gsasl *gsasl;
    uint32_t seed = 1;
    check_equal(gsasl_init(&gsasl), GSASL_OK);
    for (unsigned i = 0; i < 200; i++) {
        char user[40] = "u", password[40] = "p", hash[256], line[400], random[16];
        for (unsigned j = 0; j < 20; j++) {
            seed = seed * 1664525 + 1013904223;
            user[1 + j] = letters[(seed >> 16) % (sizeof letters - 1)];
            password[1 + j] = letters[(seed >> 24) % (sizeof letters - 1)];
            random[j % 16] = (char)(seed >> 8);
        }
        if (strchr(user, '*') != NULL) /* the master's separator */
            *strchr(user, '*') = 'x';
        while (strchr(user, '*') != NULL)
            *strchr(user, '*') = 'y';
        check_equal(
            auth_hash(SLICE("scram-sha-256"), slice_cstr(password), slice_of(random, 16), 0, hash),
            0);
        snprintf(line, sizeof line, "%s@x.test:%s\n", user, hash);
        struct auth_users *users = NULL;
        check_equal(auth_users_parse(slice_cstr(line), NULL, NULL, &users), 0);
        run->options.users = users;
        const char *mechanism = i % 2 ? "SCRAM-SHA-256" : "SCRAM-SHA-256-PLUS";
        static const char ours[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
        check_equal(log_in(core, gsasl, mechanism, user, password, ours, &result), 0);
        password[5] ^= 1;
        check_equal(log_in(core, gsasl, mechanism, user, password, ours, &result), -EACCES);
        run->options.users = run->users;
        auth_users_free(users);
    }
    gsasl_done(gsasl);
}

static void drawn(void **state)
{
    (void)state;
    sasl_run_with(drawn_body);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {cmocka_unit_test(oracle), cmocka_unit_test(drawn)};
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(void)
{
    return harness_main(tests);
}
