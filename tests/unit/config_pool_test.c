/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the config says of pools, backends and the domains behind them (row C08): values, defaults,
 * and each mistake with its line.
 */
#include "config_text.h"

#define NAME        "host_name = \"front.example.test\";\n"
#define FRONTED     "domains = ( { name = \"example.test\"; pool = \"mail\"; } );\n"
#define IMAP        "listeners = ( { protocol = \"imap\"; path = \"s\"; plain_login = true; } );\n"
#define BACKEND     "{ name = \"a\"; address = \"127.0.0.1\"; imap = 143; }"
#define POOL(more)  "pools = ( { name = \"mail\"; verify = \"backend\"; " more " } );\n"
#define ONE(keys)   POOL("backends = ( { name = \"a\"; " keys " } );")
#define FRONT(text) NAME FRONTED IMAP text
#define AT(address) "address = \"" address "\"; imap = 143;"

/* Of one pool that all the rest is right for, in line 4. */
static void expect_pool(const char *keys, const char *what)
{
    char text[2000];
    snprintf(text, sizeof text, "%spools = ( { name = \"mail\"; %s } );\n", NAME FRONTED IMAP,
             keys);
    if (what != NULL)
        expect(text, 4, what);
    else
        expect_good(text);
}

/* Of its one backend. */
static void expect_backend(const char *pool, const char *backend, const char *what)
{
    char keys[1000];
    snprintf(keys, sizeof keys, "verify = \"backend\"; %s backends = ( { %s } );", pool, backend);
    expect_pool(keys, what);
}

/* A gateway of others' mail needs no store, and few keys. */
static void test_defaults(void **state)
{
    (void)state;
    struct config *config = load(FRONT(POOL("backends = ( " BACKEND " );")));
    assert_int_equal(config->problem_count, 0);
    assert_false(config_has_store(config));
    assert_int_equal(config->pools.count, 1);
    const struct config_pool *pool = config_pool_find(config, "mail");
    assert_ptr_equal(pool, config->pools.items);
    assert_null(config_pool_find(config, "other"));
    assert_int_equal(pool->verify, CONFIG_VERIFY_BACKEND);
    assert_int_equal(pool->login, CONFIG_LOGIN_FORWARD);
    assert_int_equal(pool->identity, CONFIG_IDENTITY_NONE);
    assert_int_equal(pool->tls, CONFIG_TLS_NONE);
    assert_int_equal(pool->tls_sieve, CONFIG_TLS_NONE);
    assert_int_equal(pool->pipelining, 1);
    assert_int_equal(pool->connections, CONFIG_UNSET);
    assert_int_equal(pool->connecting, 100);
    assert_int_equal(pool->connect_ms, 5000);
    assert_int_equal(pool->login_ms, 15000);
    assert_int_equal(pool->health_ms, 10000);
    assert_int_equal(pool->down_after, 3);
    assert_int_equal(pool->up_after, 2);
    assert_int_equal(pool->slow_start_ms, 30000);
    assert_int_equal(pool->affinity_ms, 15 * 60000);
    const struct config_backend *backend = pool->backends.items;
    assert_string_equal(backend->address, "127.0.0.1");
    assert_int_equal(backend->imap, 143);
    assert_int_equal(backend->pop3, CONFIG_UNSET);
    assert_int_equal(backend->weight, 100);
    assert_null(backend->host);
    assert_int_equal(config->proxy.keep_alive_ms, 2 * 60000);
    assert_int_equal(config->proxy.idle_ms, 24 * 3600 * 1000);
    assert_int_equal(config->proxy.stalled_ms, 5 * 60000);
    assert_int_equal(config->proxy.spread_ms, 30000);
    assert_int_equal(config->proxy.farewell_ms, 2000);
    assert_int_equal(config->lmtp.cache_entries, 10000);
    assert_int_equal(config->lmtp.known_ms, 5 * 60000);
    assert_int_equal(config->lmtp.unknown_ms, 60000);
    assert_int_equal(config->lmtp.verify_ms, 10000);
    assert_int_equal(config->lmtp.delivery_ms, 2 * 60000);
    assert_false(config_takes_mail(pool));
    assert_null(config->proxy.exceptions);
    assert_null(config->control.socket);
    assert_int_equal(config->control.mode, 0600);
    config_free(config);
}

static void test_values(void **state)
{
    (void)state;
    struct config *config = load(
        GOOD "control: { socket = \"/run/c\"; mode = \"0660\"; };\n"
             "proxy: { exceptions = \"file:/var/lib/e\"; keep_alive = \"0s\"; };\n"
             "pools = ( { name = \"p.1\"; login = \"master\"; master_user = \"m\"; "
             "master_password_file = \"pw\"; tls = \"implicit\"; pop3_tls = \"none\"; tls_pins = "
             "\"AB:cd:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:"
             "00:00:00:00:01\"; sources = [\"192.0.2.1\", \"2001:db8::1\"]; any_address = true;\n"
             "backends = ( { name = \"a\"; address = \"imap.test\"; imap = 993; sieve = 4190; }, "
             "{ name = \"b\"; address = \"::1\"; host = \"b.test\"; pop3 = 110; tag = \"t\"; "
             "weight = 0; } ); } );\n");
    assert_int_equal(config->problem_count, 1); /* no domain names it */
    assert_non_null(strstr(config->problems[0].what, "used by no domain"));
    assert_int_equal(config->problems[0].place.line, 7);
    const struct config_pool *pool = config->pools.items;
    assert_int_equal(pool->tls_imap, CONFIG_TLS_IMPLICIT);
    assert_int_equal(pool->tls_pop3, CONFIG_TLS_NONE);
    assert_int_equal(pool->tls_sieve, CONFIG_TLS_START); /* RFC 5804 has no other */
    assert_int_equal(pool->sources.count, 2);
    const struct config_backend *backends = pool->backends.items;
    assert_int_equal(pool->backends.count, 2);
    assert_int_equal(backends[1].place.line, 8);
    assert_int_equal(backends[1].weight, 0);
    assert_string_equal(backends[1].tag, "t");
    assert_int_equal(config->control.mode, 0660);
    config_free(config);
}

static void test_pins(void **state)
{
    (void)state;
    uint8_t pin[CONFIG_PIN_BYTES];
    char text[CONFIG_PIN_BYTES * 3 + 1] = "";
    for (unsigned i = 0; i < CONFIG_PIN_BYTES; i++)
        snprintf(text + i * 3, 4, "%02X:", i * 7 + 3);
    assert_non_null(config_parse_pin(text, pin)); /* a colon too many */
    text[CONFIG_PIN_BYTES * 3 - 1] = '\0';
    assert_null(config_parse_pin(text, pin));
    for (unsigned i = 0; i < CONFIG_PIN_BYTES; i++)
        assert_int_equal(pin[i], i * 7 + 3);
    text[2] = '0';
    assert_non_null(config_parse_pin(text, pin));
    assert_non_null(config_parse_pin("", pin));
    assert_non_null(config_parse_pin("zz", pin));
#define PIN "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    assert_null(config_parse_pin(PIN "f", pin));
    assert_non_null(config_parse_pin(PIN "g", pin));
    expect_backend("tls = \"start\"; tls_pins = \"" PIN "\";", "name = \"a\"; " AT("10.0.0.1"),
                   "is no SHA-256");
    expect_backend("tls = \"start\"; tls_pins = \"" PIN "x\";", "name = \"a\"; " AT("10.0.0.1"),
                   "is no SHA-256");
    expect_backend("tls = \"start\"; tls_pins = \"" PIN "a\";", "name = \"a\"; " AT("10.0.0.1"),
                   NULL);
}

static void test_backends(void **state)
{
    (void)state;
    expect_backend("", "name = \"a\"; address = \"127.0.0.1\";", "serves nothing; add a port");
    expect_backend("", "name = \"a b\"; " AT("127.0.0.1"), "a name has letters");
    expect_backend("", "name = \"a/b\"; " AT("127.0.0.1"), "a name has letters");
    expect_backend("", "name = \"a\"; tag = \"t t\"; " AT("127.0.0.1"), "a tag has letters");
    expect_backend("", "name = \"a\"; imap = 143;", "address must be given");
    expect_backend("", AT("127.0.0.1"), "name must be given");
    expect_backend("tls = \"none\"; insecure_clear_over_the_network = true;",
                   "name = \"a\"; " AT("127.0.0.1:143"),
                   "neither a numeric address nor a host name");
    expect_backend("", "name = \"a\"; host = \"::1\"; " AT("127.0.0.1"), "is no host name");
    expect_backend("", "name = \"a\"; wieght = 1; " AT("127.0.0.1"), "did you mean \"weight\"?");
    expect_backend("", "name = \"a\"; weight = -1; " AT("127.0.0.1"), "it can be 0 to 1000000");
    expect_backend("", "name = \"a\"; address = \"::1\"; imap = 65536;", "it can be 1 to 65535");
    expect(FRONT(POOL("backends = ( " BACKEND ",\n{ name = \"A\"; address = \"::1\"; imap = 1; } "
                      ");")),
           5, "a second backend \"A\" in pool \"mail\"");
    expect_pool("verify = \"backend\";", "has no backends");
    expect_pool("verify = \"backend\"; any_address = true;", "does not say how passwords");
    expect_pool("verify = \"backend\"; any_address = true; tls = \"none\";", NULL);
    expect_pool("verify = \"backend\"; any_address = true; tls = \"start\";", "tls without");
    expect_pool("verify = \"backend\"; backend = ( " BACKEND " );", "did you mean \"backends\"?");
}

/* Passwords go to the right server, and nobody reads them on the way. */
static void test_tls(void **state) /* C08 */
{
    (void)state;
    expect_backend("", "name = \"a\"; " AT("localhost"), NULL);
    expect_backend("", "name = \"a\"; " AT("10.0.0.1"), "does not say how passwords get to");
    expect_backend("", "name = \"a\"; " AT("imap.test"), "does not say how passwords get to");
    expect_backend("tls = \"none\";", "name = \"a\"; " AT("10.0.0.1"), NULL);
    expect_backend("tls = \"none\";", "name = \"a\"; " AT("fd00::1"), NULL);
    expect_backend("tls = \"none\";", "name = \"a\"; " AT("172.32.0.1"),
                   "insecure_clear_over_the_network");
    expect_backend("tls = \"none\";", "name = \"a\"; " AT("2001:db8::1"),
                   "insecure_clear_over_the_network");
    expect_backend("tls = \"none\";", "name = \"a\"; " AT("imap.test"),
                   "insecure_clear_over_the_network");
    expect_backend("tls = \"none\"; insecure_clear_over_the_network = true;",
                   "name = \"a\"; " AT("192.0.2.1"), NULL);
    expect_backend("tls = \"start\"; tls_ca = \"ca\"; imap_tls = \"none\";",
                   "name = \"a\"; pop3 = 110; host = \"a.test\"; " AT("192.0.2.1"),
                   "insecure_clear_over_the_network");
    expect_backend("tls = \"start\";", "name = \"a\"; " AT("10.0.0.1"),
                   "tls without tls_ca or tls_pins");
    expect_backend("imap_tls = \"start\";", "name = \"a\"; " AT("127.0.0.1"),
                   "tls without tls_ca or tls_pins");
    expect_backend("tls = \"start\"; unverified_tls = true;", "name = \"a\"; " AT("10.0.0.1"),
                   NULL);
    expect_backend("tls = \"start\"; unverified_tls = true; tls_ca = \"ca\";",
                   "name = \"a\"; " AT("imap.test"), "unverified_tls beside tls_ca");
    expect_backend("tls = \"start\"; tls_ca = \"ca\";", "name = \"a\"; " AT("imap.test"), NULL);
    expect_backend("tls = \"start\"; tls_ca = \"ca\";", "name = \"a\"; " AT("10.0.0.1"),
                   "add host = ");
    expect_backend("tls = \"none\"; tls_ca = \"ca\";",
                   "name = \"a\"; host = \"x.test\"; " AT("10.0.0.1"), "tls_pins without TLS");
    expect_backend("tls_certificate = \"c\";", "name = \"a\"; " AT("127.0.0.1"),
                   "tls_certificate and tls_key go together");
}

static void test_login(void **state) /* C08 */
{
    (void)state;
    static const char backend[] = "name = \"a\"; " AT("127.0.0.1");
    expect_backend("login = \"master\"; master_user = \"m\"; master_password_file = \"p\";",
                   backend, "cannot judge");
    expect_backend("master_user = \"m\";", backend, "go together; add the other");
    expect_backend("connect_timeout = \"20s\";", backend, "longer than login_timeout");
    expect_backend("sources = \"eth0\";", backend, "is no numeric address");
    expect_backend("health_interval = \"2h\";", backend, "it can be 0s to 1h");
    expect(FRONT("pools = ( { name = \"mail\"; backends = ( " BACKEND " ); } );\n"), 2,
           "neither users nor a directory to judge");
    expect(FRONT(POOL("login = \"master\"; verify2 = 1; backends = ( " BACKEND " );")), 4,
           "unknown key");
    static const char known[] =
        NAME "domains = ( { name = \"example.test\"; users = \"u\"; pool = \"mail\"; } );\n" IMAP
             "pools = ( { name = \"mail\"; %s backends = ( " BACKEND " ); } );\n";
    char text[1000];
    snprintf(text, sizeof text, known, "");
    expect_good(text);
    snprintf(text, sizeof text, known, "verify = \"backend\";");
    expect(text, 2, "judge its log-ins");
    snprintf(text, sizeof text, known, "login = \"master\";");
    expect(text, 4, "needs master_user");
    snprintf(text, sizeof text, known,
             "login = \"master\"; master_user = \"m\"; master_password_file = \"p\";");
    expect_good(text);
}

static void test_domains(void **state)
{
    (void)state;
    expect(NAME "domains = ( { name = \"a.test\"; pool = \"mial\"; },\n{ name = \"b.test\"; pool = "
                "\"mail\"; } );\n" IMAP ONE(AT("127.0.0.1")),
           2, "\"mial\" is none of the pools");
    expect(NAME
           "domains = ( { name = \"a.test\"; pool = \"mail\"; catch_all = \"x\"; } );\n" IMAP ONE(
               AT("127.0.0.1")),
           2, "remove aliases and catch_all");
    expect(NAME
           "domains = ( { name = \"a.test\"; pool = \"mail\"; aliases = ( { name = \"x\"; to = "
           "\"y\"; } ); } );\n" IMAP ONE(AT("127.0.0.1")),
           2, "remove aliases and catch_all");
    expect_good(NAME
                "domains = ( { name = \"a.test\"; pool = \"mail\"; catch_all = \"x\"; aliases = ( "
                "{ name = \"x\"; to = \"y\"; } ); } );\n" IMAP ONE(AT("127.0.0.1") " lmtp = 24;"));
    expect(NAME "domains = ( { name = \"a.test\"; pool = \"mail\"; users = \"u\"; directory = "
                "\"d\"; } );\n" IMAP
                "directories = ( { name = \"d\"; sqlite: { file = \"f\"; query = "
                "\"q\"; }; } );\npools = ( { name = \"mail\"; backends = ( " BACKEND " ); } );\n",
           2, "has either users or a directory");
    expect(FRONT(ONE(AT("127.0.0.1")) "pools2 = ();"), 5, "did you mean \"pools\"?");
    expect(NAME "domains = ( { name = \"a.test\"; pool = \"mail\"; }, { name = \"b.test\"; pool = "
                "\"Mail\"; } );\n" IMAP
                "pools = ( { name = \"mail\"; verify = \"backend\"; backends = ( " BACKEND
                " ); },\n{ name = \"Mail\"; verify = \"backend\"; backends = ( " BACKEND
                " ); } );\n",
           5, "a second pool");
}

/* What only a store can do. */
static void test_without_store(void **state) /* C08 */
{
    (void)state;
    expect(NAME DOMAIN IMAP, 1, "store: directory must be given");
    expect(NAME FRONTED ONE(AT("127.0.0.1")) "listeners = ( { protocol = \"smtp\"; address = "
                                             "\"::\"; port = 25; } );\n",
           4, "smtp takes mail, each domain has a pool, and no backend has a port for lmtp");
    expect(NAME FRONTED ONE(
               AT("127.0.0.1")) "listeners = ( { protocol = \"lmtp\"; path = \"s\"; } );\n",
           4, "lmtp takes mail, each domain has a pool, and no backend has a port for lmtp");
    expect_good(NAME FRONTED ONE(AT(
        "127.0.0.1") " lmtp = 24;") "listeners = ( { protocol = \"lmtp\"; path = \"s\"; },\n"
                                    "{ protocol = \"smtp\"; address = \"::\"; port = 25; } );\n");
    expect(NAME "domains = ( { name = \"a.test\"; pool = \"mail\"; },\n"
                "{ name = \"b.test\"; users = \"u\"; } );\n" IMAP ONE(AT("127.0.0.1")),
           1, "give every domain a pool");
    expect_good(HEAD "domains = ( { name = \"a.test\"; pool = \"mail\"; },\n"
                     "{ name = \"b.test\"; users = \"u\"; } );\n" LISTENER ONE(AT("127.0.0.1")));
}

static void test_sieve(void **state)
{
    (void)state;
#define SIEVE(more)                                                                                \
    "listeners = ( { protocol = \"sieve\"; address = \"::1\"; port = 4190; " more " } );\n"
    static const char tls[] =
        "tls: { certificates = ( { certificate = \"c\"; key = \"k\"; } ); };\n";
    char text[1000];
    expect_good(NAME FRONTED ONE(AT("127.0.0.1") " sieve = 4190;") SIEVE("plain_login = true;"));
    expect(NAME FRONTED ONE(AT("127.0.0.1")) SIEVE("plain_login = true;"), 4,
           "no backend has a port for sieve");
    expect(NAME FRONTED ONE("address = \"::1\"; pop3 = 110;") IMAP, 4,
           "no backend has a port for imap");
    expect_good(HEAD "domains = ( { name = \"a.test\"; pool = \"mail\"; },\n"
                     "{ name = \"b.test\"; users = \"u\"; } );\n" IMAP ONE(
                         "address = \"::1\"; pop3 = 110;"));
    expect(NAME FRONTED ONE(AT("127.0.0.1") " sieve = 4190;") SIEVE(""), 4,
           "nobody can log in on ::1 without TLS");
    expect(HEAD DOMAIN SIEVE("plain_login = true;"), 4, "there are no pools");
    snprintf(text, sizeof text, "%s%s%s", NAME FRONTED ONE(AT("127.0.0.1") " sieve = 4190;"), tls,
             SIEVE(""));
    expect_good(text);
    snprintf(text, sizeof text, "%s%s%s", NAME FRONTED ONE(AT("127.0.0.1") " sieve = 4190;"), tls,
             SIEVE("tls = \"implicit\";"));
    expect(text, 5, "sieve has STARTTLS only");
}

static void test_control(void **state)
{
    (void)state;
    expect_line("proxy: { exceptions = \"/x\"; };", "neither a file nor a Redis");
    expect_line("proxy: { exceptions = \"redis://u@h:1/0\"; };", "add exceptions_password_file");
    expect_line("proxy: { exceptions = \"file:/x\"; exceptions_password_file = \"y\"; };",
                "is for a Redis");
    expect_line("control: { socket = \"s\"; mode = \"0666\"; };", "lets everybody on this machine");
    expect_line("proxy: { idle_time = \"1s\"; };", "it can be 1m to 7d");
    expect_line("proxy: { keepalive = \"1m\"; };", "did you mean \"keep_alive\"?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_values),
        cmocka_unit_test(test_pins),     cmocka_unit_test(test_backends),
        cmocka_unit_test(test_tls),      cmocka_unit_test(test_login),
        cmocka_unit_test(test_domains),  cmocka_unit_test(test_without_store),
        cmocka_unit_test(test_sieve),    cmocka_unit_test(test_control),
    };
    return cmocka_run_group_tests(tests, config_folder_make, config_folder_remove);
}
