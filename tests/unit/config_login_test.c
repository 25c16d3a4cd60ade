/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the config says about TLS, log-ins, directories and trust, and what it must not say
 * (row C08 of the checklist of bad input, and X02 as far as it is configured).
 */
#include "config_text.h"

#define CERTIFICATES "certificates = ( { certificate = \"c.pem\"; key = \"k.pem\"; } ); "
#define TLS          "tls: { " CERTIFICATES "};\n"
#define ONE(text)    "listeners = ( { " text " } );\n"
#define IMAP_AT(address, more)                                                                     \
    ONE("protocol = \"imap\"; address = \"" address "\"; port = 143; " more)

static void test_tls(void **state)
{
    (void)state;
    struct config *config = load(GOOD);
    assert_int_equal(config->tls.profile, 0);
    assert_int_equal(config->tls.client_certificate, CONFIG_CLIENT_OFF);
    assert_int_equal(config->tls.ticket_ms, 12 * 3600 * 1000);
    assert_int_equal(config->tls.reload_ms, 60 * 1000);
    assert_int_equal(config->tls.certificates.count, 0);
    config_free(config);
    config =
        load(HEAD DOMAIN LISTENER
             "tls: { profile = \"intermediate\"; client_ca = \"/etc/ca.pem\"; client_certificate "
             "= \"required\"; ticket_lifetime = \"1h\"; reload_interval = \"0s\";\n"
             "certificates = ( { certificate = \"a.pem\"; key = \"a.key\"; },\n"
             "{ certificate = \"/b.pem\"; key = \"/b.key\"; } ); };\n");
    char name[300];
    snprintf(name, sizeof name, "%s/a.key", config_folder);
    assert_int_equal(config->problem_count, 0);
    assert_int_equal(config->tls.profile, 1);
    assert_string_equal(config->tls.client_ca, "/etc/ca.pem");
    assert_int_equal(config->tls.client_certificate, CONFIG_CLIENT_REQUIRED);
    assert_int_equal(config->tls.ticket_ms, 3600 * 1000);
    assert_int_equal(config->tls.reload_ms, 0);
    assert_int_equal(config->tls.certificates.count, 2);
    const struct config_certificate *pairs = config->tls.certificates.items;
    assert_string_equal(pairs[0].key, name);
    assert_string_equal(pairs[1].certificate, "/b.pem");
    assert_int_equal(pairs[1].place.line, 7);
    config_free(config);
    expect_line("tls: { profile = \"modem\"; };", "it can be modern|intermediate");
    expect_line("tls: { ticket_lifetime = \"8d\"; };", "it can be 0s to 7d");
    expect_line("tls: { client_ca = \"x\"; };", "client_ca without client_certificate");
    expect_line("tls: { client_certificate = \"ask\"; };", "client_certificate without client_ca");
    expect_line("tls: { certificates = ( { certificate = \"x\"; } ); };", "key must be given");
    expect_line("tls: { certificates = ( { cert = \"x\"; key = \"y\"; certificate = \"z\"; } ); };",
                "unknown key \"cert\" in certificates");
    expect_line("tls: { key = \"y\"; };", "it belongs to certificates");
}

/* Where nobody says, TLS is offered as soon as it can be. */
static void test_listener_tls(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum config_tls_way tls;
    } rows[] = {
        {ONE("protocol = \"smtp\"; address = \"::\"; port = 25;"), CONFIG_TLS_NONE},
        {TLS ONE("protocol = \"smtp\"; address = \"::\"; port = 25;"), CONFIG_TLS_START},
        {TLS ONE("protocol = \"smtp\"; address = \"::\"; port = 25; tls = \"none\";"),
         CONFIG_TLS_NONE},
        {TLS ONE("protocol = \"lmtp\"; path = \"s\";"), CONFIG_TLS_NONE},
        {TLS IMAP_AT("::", ""), CONFIG_TLS_START},
        {TLS IMAP_AT("::", "tls = \"implicit\";"), CONFIG_TLS_IMPLICIT},
        {TLS ONE("protocol = \"submission\"; address = \"::\"; port = 587; tls = \"start\";"),
         CONFIG_TLS_START},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[2000];
        snprintf(text, sizeof text, HEAD DOMAIN "%s", rows[i].text);
        struct config *config = load(text);
        const struct config_listener *listener = config->listeners.items;
        assert_int_equal(config->problem_count, 0);
        assert_int_equal(listener->tls, rows[i].tls);
        config_free(config);
    }
    expect(HEAD DOMAIN IMAP_AT("::", "tls = \"start\";"), 4, "tls without a certificate");
    expect(HEAD DOMAIN TLS ONE("protocol = \"lmtp\"; path = \"s\"; tls = \"start\";"), 5,
           "lmtp has no TLS");
    expect(HEAD DOMAIN IMAP_AT("::", "tls = \"on\";"), 4, "it can be none|start|implicit");
}

static void test_plain_login(void **state) /* C08 */
{
    (void)state;
    static const char insecure[] = "insecure_plain_login_over_the_network = true";
    expect(HEAD DOMAIN IMAP_AT("0.0.0.0", ""), 4, insecure);
    expect(HEAD DOMAIN IMAP_AT("0.0.0.0", ""), 4, "tls = \"start\" or \"implicit\"");
    expect(HEAD DOMAIN IMAP_AT("127.0.0.1", ""), 4, "or plain_login = true");
    expect(HEAD DOMAIN ONE("protocol = \"pop3\"; address = \"::\"; port = 110;"), 4,
           "nobody can log in on ::");
    expect(HEAD DOMAIN ONE("protocol = \"submission\"; address = \"::\"; port = 587;"), 4,
           "nobody can log in on ::");
    expect(HEAD DOMAIN TLS IMAP_AT("::", "tls = \"none\";"), 5, "nobody can log in on ::");
    expect(HEAD DOMAIN TLS IMAP_AT("::", "plain_login = true;"), 5, insecure);
    expect(HEAD DOMAIN TLS IMAP_AT("::", "plain_login = true; tls = \"implicit\";"), 5,
           "everything is under TLS");
    expect(HEAD DOMAIN TLS IMAP_AT("::", "insecure_plain_login_over_the_network = true;"), 5,
           "without plain_login");
    expect(HEAD DOMAIN ONE("protocol = \"smtp\"; address = \"::\"; port = 25; plain_login = true;"),
           4, "plain_login concerns pop3, imap, submission and sieve only");
    expect_good(HEAD DOMAIN IMAP_AT(
        "::", "plain_login = true; insecure_plain_login_over_the_network = true;"));
    expect_good(HEAD DOMAIN IMAP_AT("127.0.0.1", "plain_login = true;"));
    expect_good(HEAD DOMAIN ONE("protocol = \"imap\"; path = \"s\"; plain_login = true;"));
    expect_good(HEAD DOMAIN TLS IMAP_AT("::", ""));
    expect_good(HEAD DOMAIN TLS IMAP_AT("127.0.0.1", "plain_login = true; tls = \"start\";"));
}

static void test_networks(void **state) /* X02 */
{
    (void)state;
    struct config *config =
        load(HEAD DOMAIN "limits: { unlimited_networks = \"192.0.2.0/24\"; };\n" ONE(
            "protocol = \"smtp\"; address = \"::\"; port = 25; proxy_protocol = "
            "[\"127.0.0.1\", \"2001:db8::/32\"]; xclient = \"127.0.0.2\";"));
    const struct config_listener *listener = config->listeners.items;
    static const uint8_t in[] = {192, 0, 2, 255}, out[] = {192, 0, 3, 1}, proxy[] = {127, 0, 0, 1};
    assert_int_equal(config->problem_count, 0);
    assert_true(network_set_holds(&config->limits.unlimited, 4, in));
    assert_false(network_set_holds(&config->limits.unlimited, 4, out));
    assert_int_equal(listener->proxy_from.count, 2);
    assert_true(network_set_holds(&listener->proxy_from, 4, proxy));
    assert_int_equal(listener->proxy_from.networks[1].bits, 32);
    assert_false(network_set_holds(&listener->xclient_from, 4, proxy));
    config_free(config);
    expect_line("limits: { unlimited_networks = \"192.0.2.1/24\"; };", "is no network");
    expect_line("limits: { unlimited_networks = [\"::1\", \"192.0.2\"]; };",
                "\"192.0.2\" is no network");
    expect_line("limits: { unlimited_networks = 5; };", "a network, or networks in brackets");
    expect_line("limits: { unlimited_networks = []; };", "none of them empty");
    expect(HEAD DOMAIN ONE("protocol = \"smtp\"; address = \"::\"; port = 25; proxy_protocol = "
                           "\"0.0.0.0/0\";"),
           4, "anybody can claim any address");
    expect(HEAD DOMAIN ONE("protocol = \"smtp\"; address = \"::\"; port = 25; xclient = \"::/0\";"),
           4, "anybody can claim any address");
    expect(HEAD DOMAIN IMAP_AT("127.0.0.1", "plain_login = true; xclient = \"127.0.0.1\";"), 4,
           "xclient concerns smtp");
    expect(HEAD DOMAIN ONE("protocol = \"lmtp\"; path = \"s\"; proxy_protocol = \"::1\";"), 4,
           "a Unix socket has no address");
}

#define BY(name)        "domains = ( { name = \"example.test\"; directory = \"" name "\"; } );\n"
#define DIRECTORY(text) "directories = ( { name = \"d\"; " text " } );\n"
#define SQLITE          "sqlite: { file = \"users.db\"; query = \"SELECT 1\"; };"
#define HTTP(text)      "http: { " text " };"

static void test_directories(void **state)
{
    (void)state;
    struct config *config = load(HEAD LISTENER BY("d") DIRECTORY(SQLITE));
    char name[300];
    snprintf(name, sizeof name, "%s/users.db", config_folder);
    assert_int_equal(config->problem_count, 0);
    const struct config_directory *directory = config->directories.items;
    assert_string_equal(directory->sqlite.file, name);
    assert_non_null(directory->sqlite.place.file);
    assert_null(directory->ldap.place.file);
    config_free(config);
    config = load(HEAD LISTENER BY("d") DIRECTORY(
        "ldap: { url = \"ldap://127.0.0.1\"; base = \"dc=test\"; bind_dn = \"cn=x\"; "
        "password_file = \"p\"; };"));
    directory = config->directories.items;
    assert_int_equal(config->problem_count, 0);
    assert_string_equal(directory->ldap.filter, "(mail=%u)");
    assert_int_equal(directory->ldap.timeout_ms, 5000);
    config_free(config);
    expect(HEAD LISTENER "domains = ( { name = \"a.test\"; directory = \"d\"; },\n{ name = "
                         "\"b.test\"; directory = \"e\"; } );\n" DIRECTORY(SQLITE),
           5, "none of the directories");
    expect(HEAD LISTENER BY("d") DIRECTORY(""), 5, "exactly one of sqlite, ldap");
    expect(HEAD LISTENER BY("d") DIRECTORY(SQLITE HTTP("url = \"https://x/\";")), 5, "this has 2");
    expect(HEAD LISTENER BY("d") "directories = ( { name = \"d\"; " SQLITE
                                 " },\n{ name = \"d\"; " SQLITE " } );",
           6, "a second directory");
    expect(HEAD LISTENER DOMAIN DIRECTORY(SQLITE), 5, "named by no domain");
    expect(HEAD LISTENER
           "domains = ( { name = \"a.test\"; users = \"u\"; directory = \"d\"; } );\n" DIRECTORY(
               SQLITE),
           4, "either users or a directory");
    expect(HEAD LISTENER BY("d") DIRECTORY("sqlite: { file = \"x\"; };"), 5, "query must be given");
    expect(HEAD LISTENER BY("d")
               DIRECTORY("sqlite: { file = \"x\"; query = \"y\"; url = \"z\"; };"),
           5, "unknown key \"url\" in sqlite");
    expect(HEAD LISTENER BY("d") DIRECTORY(HTTP("timeout = \"1s\";")), 5, "neither url nor token");
    expect(HEAD LISTENER BY("d") DIRECTORY(HTTP("url = \"http://auth.test/\";")), 5, "in clear");
    expect(HEAD LISTENER BY("d") DIRECTORY(HTTP("url = \"https://u:p@auth.test/\";")), 5,
           "seen in logs");
    expect(HEAD LISTENER BY("d")
               DIRECTORY(HTTP("url = \"https://auth.test/\"; client_id = \"i\";")),
           5, "go together");
    expect(HEAD LISTENER BY("d")
               DIRECTORY("postgresql: { connection = \"password=x\"; query = \"q\"; };"),
           5, "a password in connection");
    expect(HEAD LISTENER BY("d")
               DIRECTORY("ldap: { url = \"ldaps://x/\"; filter = \"(uid=x)\"; };"),
           5, "names no user");
    expect(HEAD LISTENER BY("d") DIRECTORY("ldap: { url = \"ldap://ldap.test\"; };"), 5,
           "in clear");
    expect(HEAD LISTENER BY("d") DIRECTORY("ldap: { url = \"ldap://127.0.0.1.test\"; };"), 5,
           "in clear");
    expect(HEAD LISTENER BY("d") DIRECTORY("ldap: { url = \"ftp://x\"; start_tls = true; };"), 5,
           "in clear");
    expect_good(HEAD LISTENER BY("d")
                    DIRECTORY("ldap: { url = \"ldap://ldap.test\"; start_tls = true; };"));
    expect_good(HEAD LISTENER BY("d") DIRECTORY("ldap: { url = \"ldaps://ldap.test\"; };"));
    expect_good(HEAD LISTENER BY("d") DIRECTORY(HTTP("url = \"http://127.0.0.1:1/\";")));
    expect_good(HEAD LISTENER BY("d") DIRECTORY(HTTP("url = \"https://x/a@b\";")));
}

static void test_tokens(void **state)
{
    (void)state;
    expect_good(
        HEAD LISTENER DOMAIN
        "auth: { mechanisms = [\"PLAIN\", \"OAUTHBEARER\"]; tokens: { jwks = \"j\"; issuer = "
        "\"i\"; audience = \"a\"; }; };\n");
    expect_line("auth: { tokens: { }; };", "tokens that nothing checks");
    expect_line("auth: { tokens: { jwks = \"j\"; issuer = \"i\"; }; };", "add both");
    expect_line("auth: { tokens: { introspection = \"i\"; }; };", "none of the directories");
    expect(HEAD LISTENER DOMAIN DIRECTORY(
               HTTP("url = \"https://x/\";")) "auth: { tokens: { "
                                              "introspection = \"d\"; }; };",
           6, "give it http.token_url");
    expect(HEAD LISTENER BY("d") DIRECTORY(HTTP("token_url = \"https://x/\";")), 4,
           "knows tokens only");
    expect_good(HEAD LISTENER DOMAIN DIRECTORY(
        HTTP("token_url = \"https://x/\";")) "auth: { tokens: { introspection = \"d\"; }; };");
    expect_line("auth: { master_separator = \"+\"; };", "stands in user names");
    expect_line("auth: { master_separator = \"**\"; };", "1 to 1 bytes");
    expect_line("auth: { mechanisms = 5; };", "mechanisms is to be");
}

static void test_limits(void **state)
{
    (void)state;
    struct config *config =
        load(HEAD LISTENER DOMAIN
             "limits: { connections_per_network = 7; connections_per_user = 8; errors_free = 0; "
             "error_delay_first = \"2s\"; error_delay = \"3s\"; greeting_delay = \"1s\"; };\n"
             "submission: { sender_match = \"any\"; received_names_user = true; keep_bcc = true; "
             "messages_per_user = 5; recipients_per_user = 6; rate_window = \"1m\"; };\n"
             "auth: { negative_cache_time = \"2s\"; stale_time = \"1h\"; master_users = \"/m\"; "
             "master_separator = \"%\"; };\n");
    assert_int_equal(config->problem_count, 0);
    assert_int_equal(config->limits.connections_per_network, 7);
    assert_int_equal(config->limits.connections_per_user, 8);
    assert_int_equal(config->limits.errors_free, 0);
    assert_int_equal(config->limits.error_ms_first, 2000);
    assert_int_equal(config->limits.error_ms_max, 3000);
    assert_int_equal(config->limits.greeting_ms, 1000);
    assert_int_equal(config->submission.sender_match, 2);
    assert_int_equal(config->submission.received_names_user, 1);
    assert_int_equal(config->submission.keeps_bcc, 1);
    assert_int_equal(config->submission.user_messages, 5);
    assert_int_equal(config->submission.user_recipients, 6);
    assert_int_equal(config->submission.user_window_ms, 60000);
    assert_int_equal(config->auth.negative_ms, 2000);
    assert_int_equal(config->auth.stale_ms, 3600000);
    assert_string_equal(config->auth.master_users, "/m");
    assert_string_equal(config->auth.master_separator, "%");
    config_free(config);
    config = load(GOOD);
    assert_int_equal(config->submission.sender_match, 1);
    assert_int_equal(config->limits.errors_free, 3);
    assert_string_equal(config->auth.master_separator, "*");
    assert_null(config->auth.tokens.place.file);
    config_free(config);
    expect_line("limits: { error_delay_first = \"20s\"; };", "error_delay_first is longer");
    expect_line("submission: { messages_per_user = 0; };", "out of range");
    expect_line("submission: { sender_match = \"none\"; };", "it can be login|aliases|any");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls),         cmocka_unit_test(test_listener_tls),
        cmocka_unit_test(test_plain_login), cmocka_unit_test(test_networks),
        cmocka_unit_test(test_directories), cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, config_folder_make, config_folder_remove);
}
