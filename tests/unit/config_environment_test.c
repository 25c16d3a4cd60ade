/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Settings by environment variables: every kind of key, what the file said gives way, lists, names
 * that are no key, and those that others set. Rows C02 and C03 of the checklist of bad input.
 */
#include "config_text.h"

enum { SET_MAX = 16 };
static const char *names[SET_MAX];
static int name_count;

static void set(const char *name, const char *value)
{
    assert_true(name_count < SET_MAX);
    assert_int_equal(setenv(name, value, 1), 0);
    names[name_count++] = name;
}

static int unset_all(void **state)
{
    (void)state;
    while (name_count > 0)
        unsetenv(names[--name_count]);
    return 0;
}

/* The variable alone, over a good config, has exactly this problem, told by its name. */
static void refused(const char *name, const char *value, const char *what)
{
    set(name, value);
    struct config *config = load(GOOD);
    bool found = config->problem_count == 1 && strcmp(config->problems[0].place.file, name) == 0 &&
                 config->problems[0].place.line == 0 &&
                 strstr(config->problems[0].what, what) != NULL;
    for (unsigned i = 0; !found && i < config->problem_count; i++)
        print_error("%s=%s: got %s:%u: %s\n", name, value, config->problems[i].place.file,
                    config->problems[i].place.line, config->problems[i].what);
    assert_true(found);
    config_free(config);
    unset_all(NULL);
}

static void test_values(void **state)
{
    (void)state;
    set("RINGPOST_HOST_NAME", "other.example.test");
    set("RINGPOST_CORES", "3");
    set("RINGPOST_CONFINE", "false");
    set("RINGPOST_STORE__CACHE", "1G");
    set("RINGPOST_LIMITS__IMAP_IDLE_TIME", "29m");
    set("RINGPOST_LIMITS__UNLIMITED_NETWORKS", "192.0.2.0/24 , 2001:db8::/32 ");
    set("RINGPOST_AUTH__MECHANISMS", "PLAIN , LOGIN ");
    set("RINGPOST_TLS__PROFILE", "intermediate");
    set("RINGPOST_AUTH__TOKENS__AUDIENCE", "mail = all"); /* '=' in a value */
    struct config *config = load(HEAD DOMAIN LISTENER "cores = 2;\n");
    assert_string_equal(config->general.host_name, "other.example.test");
    assert_int_equal(config->general.cores, 3);
    assert_int_equal(config->general.confine, 0);
    assert_int_equal(config->store.cache_bytes, 1 << 30);
    assert_non_null(config->store.directory); /* the rest of the section is the file's */
    assert_int_equal(config->limits.imap_idle_ms, 29 * 60000);
    assert_int_equal(config->limits.message_bytes, 50 << 20);
    assert_int_equal(config->limits.unlimited.count, 2);
    assert_int_equal(config->auth.mechanisms.count, 2);
    assert_string_equal(config->auth.mechanisms.names[0], "PLAIN");
    assert_string_equal(config->auth.mechanisms.names[1], "LOGIN");
    assert_int_equal(config->tls.profile, 1);
    assert_string_equal(config->auth.tokens.audience, "mail = all");
    /* a section that only a variable names is there, and told by it */
    assert_string_equal(config->auth.tokens.place.file, "RINGPOST_AUTH__TOKENS__AUDIENCE");
    /* what counts, and what it replaces */
    assert_int_equal(config->variable_count, 9);
    bool found = false;
    for (unsigned i = 0; i < config->variable_count; i++)
        if (strcmp(config->variables[i].name, "RINGPOST_CORES") == 0) {
            assert_int_equal(config->variables[i].over.line, 5);
            found = true;
        }
    assert_true(found);
    config_free(config);
}

static void test_lists(void **state)
{
    (void)state;
    set("RINGPOST_DOMAINS__0__USERS", "/other");
    set("RINGPOST_DOMAINS__0__ALIASES__0__NAME", "info");
    set("RINGPOST_DOMAINS__0__ALIASES__0__TO", "anna,berta@example.test");
    set("RINGPOST_DOMAINS__1__NAME", "second.test");
    set("RINGPOST_DOMAINS__1__USERS", "/second");
    struct config *config = load(GOOD);
    assert_int_equal(config->problem_count, 0);
    assert_int_equal(config->domains.count, 2);
    const struct config_domain *domains = config->domains.items;
    assert_string_equal(domains[0].name, "example.test");
    assert_string_equal(domains[0].users, "/other");
    assert_string_equal(domains[1].name, "second.test");
    assert_int_equal(domains[0].aliases.count, 1);
    const struct config_alias *alias = domains[0].aliases.items;
    assert_int_equal(alias->to.count, 2);
    assert_string_equal(alias->to.names[1], "berta@example.test");
    config_free(config);
}

/* Entry 10 comes after entry 9, whatever letters say. */
static void test_many_entries(void **state)
{
    (void)state;
    static char text[12][2][64];
    for (unsigned i = 0; i < 12; i++) {
        snprintf(text[i][0], sizeof text[i][0], "RINGPOST_DOMAINS__0__ALIASES__%u__NAME", i);
        snprintf(text[i][1], sizeof text[i][1], "RINGPOST_DOMAINS__0__ALIASES__%u__TO", i);
        setenv(text[i][0], "x", 1);
        setenv(text[i][1], "y", 1);
    }
    struct config *config = load(GOOD);
    for (unsigned i = 0; i < 12; i++) {
        unsetenv(text[i][0]);
        unsetenv(text[i][1]);
    }
    assert_int_equal(config->problem_count, 0);
    const struct config_domain *domain = config->domains.items;
    assert_int_equal(domain->aliases.count, 12);
    config_free(config);
}

static void test_unknown(void **state) /* C02 */
{
    (void)state;
    refused("RINGPOST_HOST_NAM", "x", "did you mean RINGPOST_HOST_NAME?");
    refused("RINGPOST_STORE_CACHE", "1G", "did you mean RINGPOST_STORE__CACHE?");
    refused("RINGPOST_STORE__CASHE", "1G", "did you mean RINGPOST_STORE__CACHE?");
    refused("RINGPOST_CACHE__X", "1G", "RINGPOST_SECTION__KEY");
    refused("RINGPOST_LISTENERS__0__PRT", "1", "did you mean RINGPOST_LISTENERS__0__PORT?");
    refused("RINGPOST_LISTENERS__PORT", "1", "RINGPOST_LISTENERS__0__PORT?");
    refused("RINGPOST_STORE", "x", "RINGPOST_SECTION__KEY");
    refused("RINGPOST_", "x", "RINGPOST_SECTION__KEY");
    refused("RINGPOST_STORE__", "x", "no key");
    refused("RINGPOST_store__cache", "1G", "did you mean RINGPOST_STORE__CACHE?");
    refused("RINGPOST_DOMAINS__2__NAME", "x", "there is no entry 1 before it");
    refused("RINGPOST_DOMAINS__99999999999__NAME", "x", "no key");
    refused("RINGPOST_DOMAINS__-1__NAME", "x", "no key");
    refused("RINGPOST_AUTH__TOKENS__ISSUER__X", "x", "no key");
    char name[5000] = "RINGPOST_";
    memset(name + 9, 'A', sizeof name - 10);
    refused(name, "x", "no key");
}

static void test_bad_values(void **state) /* C03 */
{
    (void)state;
    refused("RINGPOST_CORES", "0", "out of range");
    refused("RINGPOST_CORES", "", "a whole number");
    refused("RINGPOST_CORES", "4294967298", "a whole number");
    refused("RINGPOST_CORES", " 2", "a whole number");
    refused("RINGPOST_CONFINE", "yes", "true or false");
    refused("RINGPOST_STORE__CACHE", "12", "is no size");
    refused("RINGPOST_STORE__DIRECTORY", "", "1 to 4096 bytes");
    refused("RINGPOST_LIMITS__RECEIVE_BUFFERS", "100", "no power of two");
    refused("RINGPOST_LIMITS__UNLIMITED_NETWORKS", "10.0.0.0/8,x", "is no network");
    refused("RINGPOST_AUTH__MECHANISMS", "PLAIN,,LOGIN", "none of them empty");
    refused("RINGPOST_AUTH__MECHANISMS", "", "none of them empty");
    refused("RINGPOST_DOMAINS__0__ALIASES__0__NAME", "x", "to must be given");
}

/* What is missing is named as a variable too, with its entry. */
static void test_missing(void **state)
{
    (void)state;
    struct config *config = load("store: { directory = \"s\"; };\n" LISTENER
                                 "domains = ( { name = \"a\"; users = \"u\"; }, { } );\n");
    assert_int_equal(config->problem_count, 2);
    assert_non_null(strstr(config->problems[0].what, "or set RINGPOST_HOST_NAME"));
    assert_non_null(strstr(config->problems[1].what, "or set RINGPOST_DOMAINS__1__NAME"));
    config_free(config);
}

static void test_of_others(void **state)
{
    (void)state;
    set("RINGPOST_PREFIX", "/x");
    set("RINGPOST_SERVICE_HOST", "10.0.0.1");
    set("RINGPOST_IMAP_SERVICE_PORT_IMAPS", "993");
    set("RINGPOST_PORT", "tcp://10.0.0.1:25");
    set("RINGPOST_PORT_25_TCP_ADDR", "10.0.0.1");
    set("RINGPOSTER_CORES", "9");
    struct config *config = load(GOOD);
    assert_int_equal(config->problem_count, 0);
    assert_int_equal(config->variable_count, 0);
    config_free(config);
    unset_all(NULL);
    refused("RINGPOST_PORT", "25", "no key");
    refused("RINGPOST_STORE__X_SERVICE_HOST", "x", "no key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_values, unset_all),
        cmocka_unit_test_teardown(test_lists, unset_all),
        cmocka_unit_test(test_many_entries),
        cmocka_unit_test_teardown(test_unknown, unset_all),
        cmocka_unit_test_teardown(test_bad_values, unset_all),
        cmocka_unit_test(test_missing),
        cmocka_unit_test_teardown(test_of_others, unset_all),
    };
    return cmocka_run_group_tests(tests, config_folder_make, config_folder_remove);
}
