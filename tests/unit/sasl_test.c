/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The mechanisms but SCRAM (scram_test.c): who is offered what, messages of every bad form, tokens.
 * With real helper threads, and in the simulator's worlds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jwt_samples.h"
#include "ringpost/directory.h"
#include "sasl_host.h"

#define NONE ((struct slice){0})

static void offered(struct core *core, const struct auth_client *client, const char *want)
{
    char text[AUTH_MECHANISMS_BYTES_MAX];
    size_t size = auth_mechanisms(core, client, text);
    if (!slice_equal(slice_of(text, size), slice_cstr(want)))
        fprintf(stderr, "offered: %.*s\n", (int)size, text);
    check(slice_equal(slice_of(text, size), slice_cstr(want)));
}

static int one(struct core *core, const struct auth_client *client, const char *mechanism,
               struct slice message)
{
    struct auth_result result;
    return sasl_say(core, client, mechanism, message, NULL, 0, &result);
}

#define SCRAMS "SCRAM-SHA-256 SCRAM-SHA-1 "
#define ALL    "SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-1 OAUTHBEARER XOAUTH2 "

/* A01: what is not offered is not accepted either; what came is wiped (sasl_host.c looks). */
static void offers_body(struct core *core, struct sasl_run *run)
{
    static const char *const all[] = {"SCRAM-SHA-256-PLUS",
                                      "SCRAM-SHA-256",
                                      "SCRAM-SHA-1-PLUS",
                                      "SCRAM-SHA-1",
                                      "OAUTHBEARER",
                                      "XOAUTH2",
                                      "PLAIN",
                                      "LOGIN"};
    struct auth_client client = sasl_client();
    offered(core, &client, ALL "PLAIN LOGIN");
    client.certificate_name = SLICE("anna@x.test");
    offered(core, &client, ALL "EXTERNAL PLAIN LOGIN");
    client.may_send_password = false;
    offered(core, &client, "EXTERNAL");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        check_equal(one(core, &client, all[i], SLICE("\0anna\0pencil")), -EPERM);
    client = sasl_client();
    client.has_binding = false;
    offered(core, &client, SCRAMS "OAUTHBEARER XOAUTH2 PLAIN LOGIN");
    check_equal(one(core, &client, "SCRAM-SHA-256-PLUS", SLICE("x")), -ENOTSUP);
    check_equal(one(core, &client, "EXTERNAL", SLICE("x")), -ENOTSUP);
    run->options.tokens = NULL;
    offered(core, &client, SCRAMS "PLAIN LOGIN");
    check_equal(one(core, &client, "XOAUTH2", SLICE("x")), -ENOTSUP);
    run->options.mechanisms = 1u << AUTH_PLAIN;
    offered(core, &client, "PLAIN");
    check_equal(one(core, &client, "LOGIN", SLICE("x")), -ENOTSUP);
    check_equal(one(core, &client, "plain", SLICE("\0anna\0pencil")), 0);
    run->options.mechanisms = 0;
    offered(core, &client, "");
    run->options.mechanisms = UINT32_MAX;
    static const char *const none[] = {
        "", "PLAI", "PLAINS", "CRAM-MD5", "ANONYMOUS", "SCRAM-SHA-256-PLU", "GSSAPI", " PLAIN"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        check_equal(one(core, &client, none[i], SLICE("\0anna\0pencil")), -ENOTSUP);
}

static void offers(void **state)
{
    (void)state;
    sasl_run_with(offers_body);
}

/* A03, A04 */
static void plain_body(struct core *core, struct sasl_run *run)
{
    (void)run;
    static const struct {
        struct slice message;
        int result;
        const char *user;
    } rows[] = {
        {SLICE("\0anna\0pencil"), 0, "anna@x.test"},
        {SLICE("\0ANNA@X.test\0pencil"), 0, "anna@x.test"},
        {SLICE("Anna\0anna@x.test\0pencil"), 0, "anna@x.test"},
        {SLICE("bert\0root\0pencil"), 0, "bert@x.test"}, /* a master */
        {SLICE("\0bert*root\0pencil"), 0, "bert@x.test"},
        {SLICE("bert\0anna\0pencil"), -EACCES, NULL}, /* none */
        {SLICE("nobody\0root\0pencil"), -EACCES, NULL},
        {SLICE("bert\0root\0penci"), -EACCES, NULL},
        {SLICE("\0anna\0Pencil"), -EACCES, NULL},
        {SLICE("\0anna\0pencil "), -EACCES, NULL},
        {SLICE("\0nobody\0pencil"), -EACCES, NULL},
        {SLICE("\0gone\0pencil"), -EACCES, NULL},
        {SLICE("\0far\0pencil"), -EACCES, NULL},
        {SLICE("\0%{user}\0pencil"), -EACCES, NULL},
        {SLICE("\0'; --\0pencil"), -EACCES, NULL},
        {SLICE("\0*)(uid=*\0pencil"), -EACCES, NULL},
        {SLICE("\0../anna\0pencil"), -EACCES, NULL},
        {SLICE("\0anna\n\0pencil"), -EACCES, NULL},
        {SLICE("\0\xff\xfe\0pencil"), -EACCES, NULL},
        {SLICE("\0a\xcc\x88nna\0pencil"), -EACCES, NULL},
        {SLICE(""), -EBADMSG, NULL},
        {SLICE("anna"), -EBADMSG, NULL},
        {SLICE("\0anna"), -EBADMSG, NULL},
        {SLICE("anna\0pencil"), -EBADMSG, NULL},
        {SLICE("\0anna\0pencil\0"), -EBADMSG, NULL},
        {SLICE("\0anna\0pen\0cil"), -EBADMSG, NULL},
        {SLICE("\0\0\0"), -EBADMSG, NULL},
        {SLICE("\0\0pencil"), -EBADMSG, NULL},
        {SLICE("\0anna\0"), -EBADMSG, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned asked = 0; asked < 2; asked++) {
            struct auth_client client = sasl_client();
            struct auth_result result;
            struct slice initial = asked ? NONE : rows[i].message;
            int is = sasl_say(core, &client, "PLAIN", initial, &rows[i].message, asked, &result);
            if (is != rows[i].result)
                fprintf(stderr, "row %zu\n", i);
            check_equal(is, rows[i].result);
            check(is != 0 || slice_equal(result.user, slice_cstr(rows[i].user)));
        }
    char large[AUTH_MESSAGE_BYTES_MAX + 1] = "\0anna";
    struct auth_client client = sasl_client();
    memset(large + 6, 'x', sizeof large - 6);
    check_equal(one(core, &client, "PLAIN", slice_of(large, 6 + 511)), -EACCES);
    check_equal(one(core, &client, "PLAIN", slice_of(large, 6 + 512)), -EINVAL);
    check_equal(one(core, &client, "PLAIN", slice_of(large, AUTH_MESSAGE_BYTES_MAX)), -EINVAL);
    check_equal(one(core, &client, "PLAIN", slice_of(large, sizeof large)), -EMSGSIZE);
    memset(large + 1, 'x', 321);
    memcpy(large + 322, "\0pencil", 7);
    check_equal(one(core, &client, "PLAIN", slice_of(large, 329)), -EINVAL);
}

static void plain(void **state)
{
    (void)state;
    sasl_run_with(plain_body);
}

static void login_body(struct core *core, struct sasl_run *run)
{
    (void)run;
    const struct slice both[] = {SLICE("anna"), SLICE("pencil")};
    const struct slice wrong[] = {SLICE("anna"), SLICE("pencils")};
    const struct slice empty[] = {SLICE(""), SLICE("pencil")};
    const struct slice master[] = {SLICE("bert*root"), SLICE("pencil")};
    struct auth_client client = sasl_client();
    struct auth_result result;
    check_equal(sasl_say(core, &client, "LOGIN", NONE, both, 2, &result), 0);
    check(slice_equal(result.user, SLICE("anna@x.test")));
    check_equal(sasl_say(core, &client, "LOGIN", both[0], both + 1, 1, &result), 0);
    check_equal(sasl_say(core, &client, "LOGIN", NONE, master, 2, &result), 0);
    check(slice_equal(result.user, SLICE("bert@x.test")));
    check_equal(sasl_say(core, &client, "LOGIN", NONE, wrong, 2, &result), -EACCES);
    check_equal(sasl_say(core, &client, "LOGIN", NONE, empty, 2, &result), -EBADMSG);
    for (unsigned i = 0; i < 2; i++) /* A06: dropped at each step */
        check_equal(sasl_say(core, &client, "LOGIN", NONE, both, i, &result), -ENODATA);
    char large[400];
    struct slice long_name = slice_of(memset(large, 'a', sizeof large), sizeof large);
    check_equal(sasl_say(core, &client, "LOGIN", long_name, both + 1, 1, &result), -EINVAL);
    const struct slice long_password[] = {SLICE("anna"), slice_of(large, 0), SLICE("a\0b")};
    check_equal(sasl_say(core, &client, "LOGIN", both[0], long_password + 1, 1, &result), -EBADMSG);
    check_equal(sasl_say(core, &client, "LOGIN", both[0], long_password + 2, 1, &result), -EINVAL);
}

static void login(void **state)
{
    (void)state;
    sasl_run_with(login_body);
}

static void external_body(struct core *core, struct sasl_run *run)
{
    (void)run;
    static const struct {
        const char *certificate;
        struct slice message;
        int result;
        const char *user;
    } rows[] = {
        {"anna@x.test", SLICE(""), 0, "anna@x.test"},
        {"Anna@X.TEST", SLICE("anna"), 0, "anna@x.test"},
        {"root@x.test", SLICE("bert@x.test"), 0, "bert@x.test"},
        {"anna@x.test", SLICE("bert@x.test"), -EACCES, NULL},
        {"nobody@x.test", SLICE(""), -EACCES, NULL},
        {"nobody@x.test", SLICE("anna@x.test"), -EACCES, NULL},
        {"gone@x.test", SLICE(""), -EACCES, NULL},
        {"far@x.test", SLICE(""), -EACCES, NULL},
        {"bert*root@x.test", SLICE(""), -EACCES, NULL}, /* a certificate names one only */
        {"anna@x.test", SLICE("anna\0"), -EBADMSG, NULL},
        {"anna@x.test", SLICE("\xff"), -EBADMSG, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct auth_client client = sasl_client();
        struct auth_result result;
        client.certificate_name = slice_cstr(rows[i].certificate);
        int is = sasl_say(core, &client, "EXTERNAL", NONE, &rows[i].message, 1, &result);
        if (is != rows[i].result)
            fprintf(stderr, "row %zu\n", i);
        check_equal(is, rows[i].result);
        check(is != 0 || slice_equal(result.user, slice_cstr(rows[i].user)));
    }
}

static void external(void **state)
{
    (void)state;
    sasl_run_with(external_body);
}

/* ---------------------------------------------------------------- tokens */

/* `form` with the token for each '$'. */
static struct slice with_token(const char *form, size_t size, const char *token, char *text)
{
    size_t end = 0;
    for (size_t i = 0; i < size; i++)
        if (form[i] == '$') {
            memcpy(text + end, token, strlen(token));
            end += strlen(token);
        } else {
            text[end++] = form[i];
        }
    return slice_of(text, end);
}

#define FORM(text) (text), sizeof(text) - 1

static void tokens_body(struct core *core, struct sasl_run *run)
{
    (void)run;
    static const struct {
        const char *mechanism, *form;
        size_t size;
        int result;
    } rows[] = {
        {"OAUTHBEARER", FORM("n,a=anna@x.test,\1host=mx\1port=993\1auth=Bearer $\1\1"), 0},
        {"OAUTHBEARER", FORM("n,,\1auth=bearer  $\1\1"), 0},
        {"OAUTHBEARER", FORM("y,a=ANNA,\1AUTH=Bearer $\1x=\1\1"), 0},
        {"XOAUTH2", FORM("user=Anna@x.test\1auth=Bearer $\1\1"), 0},
        {"OAUTHBEARER", FORM("n,a=bert@x.test,\1auth=Bearer $\1\1"), -EACCES},
        {"XOAUTH2", FORM("user=bert@x.test\1auth=Bearer $\1\1"), -EACCES},
        {"XOAUTH2", FORM("user=anna@x.test\1auth=Bearer $x\1\1"), -EACCES},
        {"XOAUTH2", FORM("user=anna@x.test\1auth=Bearer opaque\1\1"), -EACCES},
        {"OAUTHBEARER", FORM("n,,\1auth=Bearer $\1\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,,\1auth=Bearer $\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,,\1auth=Bearer $"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,,\1auth=Bearer $\1auth=Bearer $\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,,\1auth=Bearer \1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,,\1auth=Basic $\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,,\1auth=Bearer $ x\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,,\1auth=Bearer =\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,,\1auth=Bearer \xc3\xa9\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,,\1host=mx\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,,\1=mx\1auth=Bearer $\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,,\1ho st=mx\1auth=Bearer $\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,,\1host=m\0x\1auth=Bearer $\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,\1auth=Bearer $\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,,,\1auth=Bearer $\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,a=,\1auth=Bearer $\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,b=anna,\1auth=Bearer $\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("n,a=an=na,\1auth=Bearer $\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("p=tls-exporter,,\1auth=Bearer $\1\1"), -EBADMSG},
        {"OAUTHBEARER", FORM("\1"), -EBADMSG},
        {"OAUTHBEARER", FORM(""), -EBADMSG},
        {"XOAUTH2", FORM("user=\1auth=Bearer $\1\1"), -EBADMSG},
        {"XOAUTH2", FORM("user=an\0na\1auth=Bearer $\1\1"), -EBADMSG},
        {"XOAUTH2", FORM("anna@x.test\1auth=Bearer $\1\1"), -EBADMSG},
        {"XOAUTH2", FORM("user=anna@x.test\1\1"), -EBADMSG},
        {"XOAUTH2", FORM("user=anna@x.test"), -EBADMSG},
    };
    static const struct slice answers[] = {SLICE("\1"), SLICE(""), SLICE("anything")};
    char text[8192];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned j = 0; j < 4; j++) { /* 3: the client goes away when it is refused */
            struct auth_client client = sasl_client();
            struct auth_result result;
            struct slice message =
                with_token(rows[i].form, rows[i].size, jwt_samples[0].token, text);
            int is = sasl_say(core, &client, rows[i].mechanism, message, answers + j % 3, j < 3,
                              &result);
            if (is != rows[i].result)
                fprintf(stderr, "row %zu\n", i);
            check_equal(is, rows[i].result);
            check(is != 0 || slice_equal(result.user, SLICE("anna@x.test")));
        }
}

static void tokens(void **state)
{
    (void)state;
    sasl_run_with(tokens_body);
}

/* ---------------------------------------------------------------- introspection */

static int ask_token(void *state, struct slice token, const struct auth_client *client,
                     struct directory_record *ret_record)
{
    (void)state;
    check(client->family == 4);
    if (slice_equal(token, SLICE("down")))
        return -EAGAIN;
    if (slice_equal(token, SLICE("odd")))
        return -EINVAL;
    if (!slice_starts_nocase(token, SLICE("of.")))
        return -EACCES;
    snprintf(ret_record->user, sizeof ret_record->user, "%.*s", (int)token.size - 3,
             token.data + 3);
    ret_record->is_disabled = slice_equal(token, SLICE("of.bert"));
    return 0;
}

/* A11: a server that is down is "try later". */
static void introspection_body(struct core *core, struct sasl_run *run)
{
    static const struct directory_kind kind = {.name = "http", .ask_token = ask_token};
    static const struct auth_directory directory = {.kind = &kind};
    struct auth_token_options options = {
        .jwks = slice_cstr(jwt_keys), .user_claim = SLICE("email"), .introspection = &directory};
    static const struct {
        const char *token;
        int result;
    } rows[] = {
        {"of.anna", 0},       {"of.Anna", 0},       {"of.nobody", -EACCES},
        {"of.bert", -EACCES}, {"of.gone", -EACCES}, {"of.", -EACCES},
        {"wrong", -EACCES},   {"down", -EAGAIN},    {"odd", -EAGAIN},
    };
    struct auth_tokens *made[2];
    check(auth_tokens_make(&options, &made[0]) == NULL);
    options.jwks = SLICE("");
    check(auth_tokens_make(&options, &made[1]) == NULL);
    for (unsigned i = 0; i < 2; i++) {
        run->options.tokens = made[i];
        for (size_t j = 0; j < sizeof rows / sizeof rows[0]; j++) {
            char text[200];
            struct auth_client client = sasl_client();
            struct slice message = with_token(FORM("n,,\1auth=Bearer $\1\1"), rows[j].token, text);
            check_equal(one(core, &client, "OAUTHBEARER", message), rows[j].result);
        }
        auth_tokens_free(made[i]);
    }
    run->options.tokens = run->tokens;
}

static void introspection(void **state)
{
    (void)state;
    sasl_run_with(introspection_body);
}

static int tests(void)
{
    const struct CMUnitTest list[] = {
        cmocka_unit_test(offers),   cmocka_unit_test(plain),  cmocka_unit_test(login),
        cmocka_unit_test(external), cmocka_unit_test(tokens), cmocka_unit_test(introspection),
    };
    return cmocka_run_group_tests(list, NULL, NULL);
}

int main(void)
{
    return harness_main(tests);
}
