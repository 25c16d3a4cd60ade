/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Routes: who gets mail for an address, and what a table must not be allowed to say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "ringpost/route.h"

static struct route_table *begin(void)
{
    struct route_table *table;
    assert_int_equal(route_create(&table), 0);
    struct route_domain_options options = {.separator = SLICE("+-"), .detail_mailbox = true};
    assert_int_equal(route_add_domain(table, SLICE("Example.TEST"), &options), 0);
    options = (struct route_domain_options){.catch_all = SLICE("Bob@example.test")};
    assert_int_equal(route_add_domain(table, SLICE("all.test"), &options), 0);
    assert_int_equal(route_add_user(table, SLICE("Alice@example.test")), 0);
    assert_int_equal(route_add_user(table, SLICE("bob@Example.test")), 0);
    assert_int_equal(route_add_user(table, SLICE("a+b@example.test")), 0);
    return table;
}

/* "user/mailbox user/mailbox", or the answer; "?user@domain" is to be asked about. */
static void assert_targets(enum route_answer answer, const struct route_target *targets,
                           unsigned count, const char *want)
{
    char got[4000] = "";
    size_t size = 0;
    bool asks = false;
    if (answer == ROUTE_UNKNOWN_USER)
        snprintf(got, sizeof got, "unknown");
    else if (answer == ROUTE_NOT_LOCAL)
        snprintf(got, sizeof got, "not local");
    else
        for (unsigned i = 0; i < count; i++) {
            bool is_asked = targets[i].domain.size > 0;
            asks = asks || is_asked;
            size += (size_t)snprintf(got + size, sizeof got - size, "%s%s%.*s%s%.*s/%.*s",
                                     i ? " " : "", is_asked ? "?" : "", (int)targets[i].user.size,
                                     targets[i].user.data, is_asked ? "@" : "",
                                     (int)targets[i].domain.size, targets[i].domain.data,
                                     (int)targets[i].mailbox.size, targets[i].mailbox.data);
        }
    assert_string_equal(got, want);
    if (answer != ROUTE_TARGETS && answer != ROUTE_ASK)
        assert_int_equal(count, 0);
    else
        assert_int_equal(answer, asks ? ROUTE_ASK : ROUTE_TARGETS);
}

static void expect_named(const struct route_table *table, const char *local, const char *domain,
                         const char *want)
{
    struct route_target targets[ROUTE_TARGETS_MAX];
    unsigned count;
    assert_int_equal(route_find(table, slice_cstr(local), slice_cstr(domain), targets, &count),
                     ROUTE_ASK);
    assert_int_equal(count, 1);
    assert_true(slice_equal(targets[0].named, slice_cstr(want)));
}

static void expect(const struct route_table *table, const char *local, const char *domain,
                   const char *want)
{
    struct route_target targets[ROUTE_TARGETS_MAX];
    unsigned count = 99;
    enum route_answer answer =
        route_find(table, slice_cstr(local), slice_cstr(domain), targets, &count);
    assert_targets(answer, targets, count, want);
}

/* When elsewhere there is no such user. */
static void expect_without(const struct route_table *table, const char *local, const char *domain,
                           const char *want)
{
    struct route_target targets[ROUTE_TARGETS_MAX];
    unsigned count = 99;
    enum route_answer answer =
        route_find_without(table, slice_cstr(local), slice_cstr(domain), targets, &count);
    assert_targets(answer, targets, count, want);
}
static void users(void **state)
{
    (void)state;
    struct route_table *table = begin();
    expect(table, "alice", "example.test", "alice@example.test/INBOX");
    expect(table, "ALICE", "EXAMPLE.test", "alice@example.test/INBOX");
    expect(table, "carol", "example.test", "unknown");
    expect(table, "alice", "other.test", "not local");
    expect(table, "", "example.test", "unknown");
    expect(table, "alice", "", "not local");
    expect(table, "alice@example.test", "example.test", "unknown"); /* S27: a@us@us */
    expect(table, "alice%example.test", "example.test", "unknown");
    route_free(table);
}

static void sub_addresses(void **state)
{
    (void)state;
    struct route_table *table = begin();
    expect(table, "alice+Work", "example.test", "alice@example.test/Work");
    expect(table, "alice-x+y", "example.test", "alice@example.test/x+y");
    expect(table, "alice+", "example.test", "alice@example.test/INBOX");
    expect(table, "+alice", "example.test", "unknown");
    expect(table, "a+b", "example.test", "a+b@example.test/INBOX");
    expect(table, "carol+x", "example.test", "unknown");
    route_free(table);
}

static void postmaster(void **state)
{
    (void)state;
    struct route_table *table = begin();
    expect(table, "Postmaster", "", "unknown");
    assert_int_equal(
        route_add_alias(table, SLICE("postmaster@example.test"), SLICE("alice@example.test")), 0);
    expect(table, "Postmaster", "", "alice@example.test/INBOX");
    route_free(table);
    assert_int_equal(route_create(&table), 0);
    expect(table, "postmaster", "", "not local");
    route_free(table);
}

static void aliases(void **state)
{
    (void)state;
    struct route_table *table = begin();
    assert_int_equal(
        route_add_alias(table, SLICE("Team@example.test"), SLICE("alice@Example.test")), 0);
    assert_int_equal(
        route_add_alias(table, SLICE("team@example.test"), SLICE("bob+team@example.test")), 0);
    assert_int_equal(route_add_alias(table, SLICE("team@example.test"), SLICE("anyone@all.test")),
                     0);
    assert_int_equal(route_add_alias(table, SLICE("all@example.test"), SLICE("team@example.test")),
                     0);
    const char *both = "alice@example.test/INBOX bob@example.test/team";
    expect(table, "team", "example.test", both);
    expect(table, "all+x", "example.test", both);
    expect(table, "whoever", "all.test", "bob@example.test/INBOX");
    assert_int_equal(
        route_add_alias(table, SLICE("team@example.test"), SLICE("ALICE@example.test")), -EEXIST);
    assert_int_equal(route_add_alias(table, SLICE("bob@example.test"), SLICE("alice@example.test")),
                     -EEXIST);
    assert_int_equal(route_add_user(table, SLICE("team@example.test")), -EEXIST);
    assert_int_equal(route_add_alias(table, SLICE("x@no.test"), SLICE("alice@example.test")),
                     -ENOENT);
    assert_int_equal(route_add_alias(table, SLICE("x@example.test"), SLICE("alice")), -EINVAL);
    assert_int_equal(route_check(table, NULL, NULL), 0);
    route_free(table);
}

struct problems {
    unsigned count;
    char text[2000];
};

static void problem(void *argument, struct slice address, const char *what)
{
    struct problems *problems = argument;
    size_t size = strlen(problems->text);
    problems->count++;
    snprintf(problems->text + size, sizeof problems->text - size, "%.*s %s; ", (int)address.size,
             address.data, what);
}

static void must_say(struct route_table *table, const char *what)
{
    struct problems problems = {0};
    assert_int_equal(route_check(table, problem, &problems), -EINVAL);
    if (strstr(problems.text, what) == NULL)
        fail_msg("want %s in: %s", what, problems.text);
}

static void add(struct route_table *table, const char *alias, const char *target)
{
    assert_int_equal(route_add_alias(table, slice_cstr(alias), slice_cstr(target)), 0);
}

static void checks(void **state)
{
    (void)state;
    char from[40], to[40];
    struct route_table *table = begin();
    add(table, "a@example.test", "b@example.test");
    must_say(table, "a@example.test leads to an unknown user");
    expect(table, "a", "example.test", "unknown");
    add(table, "b@example.test", "a@example.test");
    must_say(table, "b@example.test leads back to itself");
    expect(table, "a", "example.test", "unknown"); /* ends */
    add(table, "b@example.test", "alice@example.test");
    expect(table, "a", "example.test", "alice@example.test/INBOX");
    add(table, "c@example.test", "x@elsewhere.test");
    must_say(table, "c@example.test leads to a domain that is not ours");
    route_free(table);

    table = begin();
    for (unsigned i = 0; i < 9; i++) {
        snprintf(from, sizeof from, "d%u@example.test", i);
        snprintf(to, sizeof to, "d%u@example.test", i + 1);
        add(table, from, i == 8 ? "alice@example.test" : to);
    }
    must_say(table, "d0@example.test aliases of aliases more than 8 deep");
    expect(table, "d0", "example.test", "unknown");
    expect(table, "d1", "example.test", "alice@example.test/INBOX");
    route_free(table);

    table = begin();
    for (unsigned i = 0; i < 101; i++) {
        snprintf(to, sizeof to, "u%u@example.test", i);
        assert_int_equal(route_add_user(table, slice_cstr(to)), 0);
        add(table, "many@example.test", to);
    }
    must_say(table, "many@example.test leads to more than 100 users");
    route_free(table);

    table = begin();
    struct route_domain_options options = {.catch_all = SLICE("nobody")};
    assert_int_equal(route_add_domain(table, SLICE("catch.test"), &options), 0);
    must_say(table, "nobody leads back to itself");
    expect(table, "x", "catch.test", "unknown");
    assert_int_equal(route_add_user(table, SLICE("nobody@catch.test")), 0);
    assert_int_equal(route_check(table, NULL, NULL), 0);
    expect(table, "x", "catch.test", "nobody@catch.test/INBOX");
    route_free(table);
}

/* Aliases that each name several aliases: the work ends though the paths multiply. */
static void wide(void **state)
{
    (void)state;
    char from[40], to[40];
    struct route_table *table = begin();
    for (unsigned level = 0; level < 8; level++)
        for (unsigned i = 0; i < 10; i++)
            for (unsigned j = 0; j < 10; j++) {
                snprintf(from, sizeof from, "l%u.%u@example.test", level, i);
                snprintf(to, sizeof to, "l%u.%u@example.test", level + 1, j);
                add(table, from, level == 7 && j == 0 ? "alice@example.test" : to);
            }
    must_say(table, "l0.0@example.test leads to too many addresses");
    route_free(table);
}

static void domains(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        ".",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a-",
        "a b",
        "a_b",
        "a@b",
        "[127.0.0.1]",
        "a\xff",
        "0123456789012345678901234567890123456789012345678901234567890123.test"};
    struct route_table *table = begin();
    struct route_domain_options options = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(route_add_domain(table, slice_cstr(bad[i]), &options), -EINVAL);
    char large[300];
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = i % 50 == 49 ? '.' : 'a';
    assert_int_equal(route_add_domain(table, slice_of(large, 256), &options), -EINVAL);
    assert_int_equal(route_add_domain(table, slice_of(large, 255), &options), 0);
    assert_int_equal(route_add_domain(table, SLICE("EXAMPLE.test"), &options), -EEXIST);
    assert_int_equal(route_add_domain(table, SLICE("m\xc3\xbcller.test"), &options), 0);
    assert_int_equal(route_add_user(table, SLICE("j\xc3\xb6rg@m\xc3\xbcller.test")), 0);
    expect(table, "j\xc3\xb6rg", "M\xc3\xbcller.test", "j\xc3\xb6rg@m\xc3\xbcller.test/INBOX");
    assert_int_equal(route_add_user(table, SLICE("x@no.test")), -ENOENT);
    assert_int_equal(route_add_user(table, SLICE("@example.test")), -EINVAL);
    assert_int_equal(route_add_user(table, SLICE("a\nb@example.test")), -EINVAL);
    assert_int_equal(route_add_user(table, SLICE("x\xff@example.test")), -EINVAL);
    route_free(table);
}

static void many(void **state)
{
    (void)state;
    char name[40];
    struct route_table *table = begin();
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "user%u@example.test", i);
        assert_int_equal(route_add_user(table, slice_cstr(name)), 0);
    }
    for (unsigned i = 0; i < 100000; i += 999) {
        struct route_target targets[ROUTE_TARGETS_MAX];
        unsigned count;
        snprintf(name, sizeof name, "user%u", i);
        assert_int_equal(
            route_find(table, slice_cstr(name), SLICE("example.test"), targets, &count),
            ROUTE_TARGETS);
        assert_int_equal(count, 1);
        assert_memory_equal(targets[0].user.data, name, strlen(name));
    }
    expect(table, "user100000", "example.test", "unknown");
    route_free(table);
}

static void elsewhere(void **state)
{
    (void)state;
    struct route_table *table = begin();
    struct route_domain_options options = {
        .separator = SLICE("+"), .detail_mailbox = true, .users_elsewhere = true};
    assert_int_equal(route_add_domain(table, SLICE("else.test"), &options), 0);
    options.catch_all = SLICE("all");
    assert_int_equal(route_add_domain(table, SLICE("both.test"), &options), 0);
    assert_int_equal(route_add_user(table, SLICE("here@else.test")), 0);
    assert_int_equal(route_add_alias(table, SLICE("many@else.test"), SLICE("bob@example.test")), 0);
    assert_int_equal(route_add_alias(table, SLICE("many@else.test"), SLICE("Carl@else.test")), 0);
    assert_int_equal(route_add_alias(table, SLICE("many@else.test"), SLICE("carl+x@else.test")), 0);
    expect(table, "here", "else.test", "here@else.test/INBOX");
    expect(table, "here+Work", "else.test", "here@else.test/Work");
    expect(table, "Carl", "ELSE.test", "?Carl@ELSE.test/INBOX");
    expect(table, "carl+Work", "else.test", "?carl@else.test/Work");
    expect(table, "+carl", "else.test", "?+carl@else.test/INBOX");
    expect(table, "", "else.test", "unknown");
    expect(table, "many", "else.test", "bob@example.test/INBOX ?carl@else.test/INBOX");
    expect_without(table, "carl", "else.test", "unknown");
    expect_without(table, "here", "else.test", "here@else.test/INBOX");
    expect(table, "carl", "both.test", "?carl@both.test/INBOX");
    expect_without(table, "carl", "both.test", "?all@both.test/INBOX");
    expect_without(table, "all", "both.test", "?all@both.test/INBOX");
    /* as it was named, by whoever named it last */
    options.catch_all = SLICE("Carl+y@else.test");
    assert_int_equal(route_add_domain(table, SLICE("next.test"), &options), 0);
    assert_int_equal(route_add_alias(table, SLICE("list@next.test"), SLICE("dan+z@else.test")), 0);
    expect_named(table, "Carl+Work", "else.test", "Carl+Work");
    expect_named(table, "list", "next.test", "dan+z");
    struct route_target targets[ROUTE_TARGETS_MAX];
    unsigned count;
    assert_int_equal(route_find_without(table, SLICE("x+v"), SLICE("next.test"), targets, &count),
                     ROUTE_ASK);
    assert_true(count == 1 && slice_equal(targets[0].named, SLICE("carl+y")));
    route_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users),      cmocka_unit_test(sub_addresses), cmocka_unit_test(elsewhere),
        cmocka_unit_test(postmaster), cmocka_unit_test(aliases),       cmocka_unit_test(checks),
        cmocka_unit_test(wide),       cmocka_unit_test(domains),       cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
