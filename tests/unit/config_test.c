/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The config reader: values and their ranges, what is refused and where it is said to be, files
 * cut at every byte, includes. Rows C01 to C04 and C08 of the checklist of bad input.
 */
#include "config_text.h"

static const char good[] = GOOD;

static void test_good(void **state)
{
    (void)state;
    struct config *config = load(good);
    assert_int_equal(config->problem_count, 0);
    assert_string_equal(config->general.host_name, "mx.example.test");
    assert_int_equal(config->general.cores, CONFIG_UNSET);
    assert_int_equal(config->general.drain_pace_ms, 2000);
    assert_null(config->general.user);
    char directory[300];
    snprintf(directory, sizeof directory, "%s/store", config_folder);
    assert_string_equal(config->store.directory, directory);
    assert_int_equal(config->store.segment_bytes, 64 << 20);
    assert_int_equal(config->limits.message_bytes, 50 << 20);
    assert_int_equal(config->admin.port, CONFIG_UNSET);
    assert_int_equal(config->domains.count, 1);
    const struct config_domain *domain = config->domains.items;
    assert_string_equal(domain->name, "example.test");
    assert_string_equal(domain->separator, "+");
    assert_int_equal(domain->place.line, 3);
    const struct config_listener *listener = config->listeners.items;
    assert_int_equal(listener->protocol, CONFIG_SMTP);
    assert_int_equal(listener->port, 2525);
    assert_int_equal(listener->mode, 0660);
    config_free(config);
}

static void test_given_values(void **state)
{
    (void)state;
    struct config *config =
        load(HEAD LISTENER "cores = 6;\nlimits: { message_size = \"1M\"; imap_idle_time = \"29m\"; "
                           "receive_buffers = 64; };\n"
                           "domains = ( { name = \"a.test\"; users = \"/etc/x\"; separator = \"\";"
                           " detail_mailbox = true; aliases = ( { name = \"i\"; to = \"u\"; }, "
                           "{ name = \"j\"; to = [\"u\", \"v@b.test\"]; } ); } );\n");
    assert_int_equal(config->problem_count, 0);
    assert_int_equal(config->general.cores, 6);
    assert_int_equal(config->limits.message_bytes, 1 << 20);
    assert_int_equal(config->limits.imap_idle_ms, 29 * 60000);
    assert_int_equal(config->limits.receive_buffers, 64);
    const struct config_domain *domain = config->domains.items;
    assert_string_equal(domain->users, "/etc/x");
    assert_string_equal(domain->separator, "");
    assert_int_equal(domain->detail_mailbox, 1);
    assert_int_equal(domain->aliases.count, 2);
    const struct config_alias *aliases = domain->aliases.items;
    assert_int_equal(aliases[0].to.count, 1);
    assert_int_equal(aliases[1].to.count, 2);
    assert_string_equal(aliases[1].to.names[1], "v@b.test");
    config_free(config);
}

static void test_unknown_keys(void **state) /* C02 */
{
    (void)state;
    expect_line("coers = 2;", "unknown key \"coers\"; did you mean \"cores\"?");
    expect_line("Cores = 2;", "did you mean \"cores\"?");
    expect_line("drain-pace = \"1s\";", "did you mean \"drain_pace\"?");
    expect_line("limits: { massage_size = \"1M\"; };", "did you mean \"message_size\"?");
    expect_line("message_size = \"1M\";", "it belongs to limits");
    expect_line("zzzzzzzzzz = 1;", "known here are host_name");
    expect_line("auth: { port = 1; };", "it belongs to");
    expect_line("stores: { };", "did you mean \"store\"?");
    expect_line("host_name = \"again\";", "a second time");
    expect("host_name = \"a\";\n" DOMAIN LISTENER
           "store: { directory = \"s\";\ndirectory = \"t\"; };\n",
           5, "a second time");
}

static void test_numbers(void **state) /* C03 */
{
    (void)state;
    expect_line("cores = 0;", "out of range; it can be 1 to 64");
    expect_line("cores = -1;", "out of range; it can be 1 to 64");
    expect_line("cores = 65;", "out of range");
    expect_line("cores = 4294967298;", "too large");
    expect_line("cores = 18446744073709551616;", "too large");
    expect_line("cores = 4294967298L;", "too large");
    expect_line("cores = 0x100000002;", "too large");
    expect_line("cores = 1e1;", "a whole number");
    expect_line("cores = \"2\";", "a whole number");
    expect_line("cores = true;", "a whole number");
    expect_line("limits: { receive_buffers = 100; };", "no power of two; try 64");
    expect_line("limits: { message_size = 25; };", "a text with its unit");
    expect_line("limits: { message_size = \"25\"; };", "is no size");
    expect_line("limits: { message_size = \"10MB\"; };", "is no size");
    expect_line("limits: { message_size = \" 10M\"; };", "is no size");
    expect_line("limits: { message_size = \"-1M\"; };", "is no size");
    expect_line("limits: { message_size = \"1.5M\"; };", "is no size");
    expect_line("limits: { message_size = \"\"; };", "is no size");
    expect_line("limits: { message_size = \"99999999999999999999G\"; };", "is no size");
    expect_line("limits: { message_size = \"9999999999G\"; };", "is no size");
    expect_line("limits: { message_size = \"1K\"; };", "it can be 64K to 1G");
    expect_line("drain_wait = \"2h\";", "it can be 0s to 1h");
    expect_line("drain_wait = \"2 h\";", "is no duration");
    expect_line("auth: { cache_time = \"1w\"; };", "is no duration");
}

static void test_types(void **state)
{
    (void)state;
    expect(HEAD LISTENER "domains = { };\n", 4, "is to be a list");
    expect(HEAD DOMAIN "listeners = ( 5 );\n", 4, "is to be a group");
    expect(HEAD DOMAIN LISTENER "limits = 5;\n", 5, "is to be a section");
    expect(HEAD DOMAIN "listeners = ( { protocol = \"http\"; address = \"::1\"; port = 1; } );", 4,
           "it can be smtp|lmtp|pop3|imap|submission");
    expect(HEAD DOMAIN "listeners = ( { protocol = \"lmtp\"; path = \"s\"; mode = \"0888\"; } );",
           4, "is no mode");
    expect(HEAD LISTENER "domains = ( { name = \"a\"; users = \"u\"; aliases = ( { name = \"x\"; "
                         "to = [ ]; } ); } );",
           4, "to is to be a text");
    expect(HEAD LISTENER "domains = ( { name = \"a\"; } );", 4, "either users or a directory");
    expect("host_name = \"a\";\n" DOMAIN LISTENER, 1, "directory must be given");
}

static void test_contradictions(void **state) /* C08 */
{
    (void)state;
    expect(HEAD LISTENER, 1, "no domains");
    expect(HEAD DOMAIN, 1, "no listeners");
    expect(HEAD DOMAIN "listeners = ( { protocol = \"imap\"; address = \"0.0.0.0\"; port = 143; "
                       "plain_login = true; } );",
           4, "insecure_plain_login_over_the_network");
    struct config *config = load(HEAD DOMAIN "listeners = ( { protocol = \"imap\"; address = "
                                             "\"127.0.0.2\"; port = 143; plain_login = true; } );");
    assert_int_equal(config->problem_count, 0);
    config_free(config);
    expect(HEAD DOMAIN "listeners = ( { protocol = \"imap\"; address = \"mx.test\"; port = 1; } );",
           4, "no numeric address");
    expect(HEAD DOMAIN "listeners = ( { protocol = \"imap\"; port = 1; } );", 4,
           "give one of them");
    expect(HEAD DOMAIN "listeners = ( { protocol = \"imap\"; address = \"::1\"; } );", 4,
           "address without port");
    expect(HEAD DOMAIN "listeners = ( { protocol = \"smtp\"; address = \"::1\"; port = 1; },\n"
                       "{ protocol = \"lmtp\"; address = \"::1\"; port = 1; } );",
           5, "the same address");
    expect(HEAD DOMAIN "listeners = ( { protocol = \"smtp\"; address = \"::\"; port = 1; },\n"
                       "{ protocol = \"lmtp\"; address = \"0.0.0.0\"; port = 1; } );",
           5, "the same address");
    expect_line("admin: { address = \"0.0.0.0\"; port = 80; };", "exposed_without_authentication");
    expect_line("admin: { address = \"127.0.0.1\"; port = 2525; };", "port of a listener");
    expect_line("auth: { default_domain = \"other.test\"; };", "none of the domains");
    expect(HEAD DOMAIN LISTENER "limits: { message_size = \"64M\"; };", 2,
           "segment_size is too small");
    expect(HEAD DOMAIN LISTENER "group = \"root\";", 1, "group without user");
    expect("host_name = \"no host\";\nstore: { directory = \"s\"; };\n" DOMAIN LISTENER, 1,
           "no host name");
}

static void test_bytes(void **state) /* C01 */
{
    (void)state;
    struct config *config = load("");
    assert_int_equal(config->problem_count, 1);
    assert_int_equal(config->problems[0].place.line, 1);
    assert_non_null(strstr(config->problems[0].what, "host_name must be given"));
    config_free(config);
    static const char nul[] = "host_name = \"a\";\nx\0y";
    config = load_bytes(nul, sizeof nul - 1);
    assert_int_equal(config->problem_count, 1);
    assert_int_equal(config->problems[0].place.line, 2);
    assert_non_null(strstr(config->problems[0].what, "NUL"));
    config_free(config);
    expect("\xef\xbb\xbfhost_name = \"a\";\n", 1, "byte order mark");
    config =
        load("host_name = \"mx.example.test\";\r\nstore: { directory = \"store\"; };\r\n" DOMAIN
             "// comment 99999999999999\r\n/* 99999999999\r\n @include \"x\"\r\n*/" LISTENER);
    assert_int_equal(config->problem_count, 0);
    config_free(config);
    char *big = malloc(CONFIG_FILE_BYTES_MAX + 1);
    assert_non_null(big);
    memset(big, ' ', CONFIG_FILE_BYTES_MAX + 1);
    config = load_bytes(big, CONFIG_FILE_BYTES_MAX + 1);
    assert_int_equal(config->problem_count, 1);
    assert_non_null(strstr(config->problems[0].what, "larger than 4 MiB"));
    config_free(config);
    memcpy(big, good, sizeof good - 1); /* a line of nearly 4 MiB */
    config = load_bytes(big, CONFIG_FILE_BYTES_MAX);
    assert_int_equal(config->problem_count, 0);
    config_free(config);
    memset(big, '(', 1 << 20);
    memcpy(big, "a=", 2);
    config = load_bytes(big, 1 << 20);
    assert_int_equal(config->problem_count, 1);
    config_free(config);
    free(big);
}

/* Cut anywhere, a config is whole only when nothing but what follows its last setting is gone. */
static void test_cut(void **state) /* C01 */
{
    (void)state;
    size_t size = sizeof good - 1, whole = size - 2; /* ");" and a newline: ';' may be left out */
    for (size_t i = 0; i < size; i++) {
        struct config *config = load_bytes(good, i);
        assert_int_equal(config->problem_count == 0, i >= whole);
        for (unsigned j = 0; j < config->problem_count; j++) {
            assert_true(config->problems[j].place.line >= 1);
            assert_true(config->problems[j].place.line <= 5);
            assert_non_null(config->problems[j].place.file);
        }
        config_free(config);
    }
}

static void test_includes(void **state) /* C04 */
{
    (void)state;
    write_named("domain.conf", DOMAIN, sizeof DOMAIN - 1);
    struct config *config = load(HEAD "  @include \"domain.conf\"\n" LISTENER);
    assert_int_equal(config->problem_count, 0);
    config_free(config);

    write_named("bad.conf", "\n\ncoers = 1;\n", 13);
    config = load(HEAD DOMAIN "@include \"bad.conf\"\n" LISTENER "zores = 1;\n");
    assert_int_equal(config->problem_count, 2);
    assert_non_null(strstr(config->problems[0].place.file, "bad.conf"));
    assert_int_equal(config->problems[0].place.line, 3);
    assert_non_null(strstr(config->problems[1].place.file, "test.conf"));
    assert_int_equal(config->problems[1].place.line, 6);
    config_free(config);

    expect(HEAD "@include \"none.conf\"\n" DOMAIN LISTENER, 3, "cannot read");
    expect(HEAD "@include\n", 3, "@include without a file");
    config = load(HEAD "@include \"test.conf\"\n" DOMAIN LISTENER); /* itself */
    assert_int_equal(config->problem_count, 1);
    assert_int_equal(config->problems[0].place.line, 3);
    assert_non_null(strstr(config->problems[0].what, "nested more than 8 deep"));
    config_free(config);

    for (int i = 1; i < CONFIG_INCLUDE_DEPTH_MAX;
         i++) { /* a chain as deep as may be, and one more */
        char name[40], text[80];
        snprintf(name, sizeof name, "deep%d.conf", i);
        int text_size = i + 1 < CONFIG_INCLUDE_DEPTH_MAX
                            ? snprintf(text, sizeof text, "@include \"deep%d.conf\"\n", i + 1)
                            : 0;
        write_named(name, text, (size_t)text_size);
    }
    config = load(HEAD DOMAIN LISTENER "@include \"deep1.conf\"\n");
    assert_int_equal(config->problem_count, 0);
    config_free(config);
    write_named("deep7.conf", "@include \"empty.conf\"\n", 22);
    config = load(HEAD DOMAIN LISTENER "@include \"deep1.conf\"\n");
    assert_int_equal(config->problem_count, 1);
    config_free(config);

    char many[40 * 400] = "";
    size_t size = 0;
    for (int i = 0; i < 300; i++)
        size += (size_t)snprintf(many + size, sizeof many - size, "@include \"empty.conf\"\n");
    write_named("empty.conf", "", 0);
    config = load(many);
    assert_int_equal(config->problem_count, 1);
    assert_int_equal(config->problems[0].place.line, CONFIG_FILES_MAX);
    assert_non_null(strstr(config->problems[0].what, "more than 256 files"));
    config_free(config);

    char fifo[300];
    snprintf(fifo, sizeof fifo, "%s/fifo.conf", config_folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    expect(HEAD "@include \"fifo.conf\"\n" DOMAIN LISTENER, 3, "not a regular file");
    unlink(fifo);
}

/* Every default of the table lies in its own range, and every row can be found. */
static void test_table(void **state)
{
    (void)state;
    for (unsigned i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        uint64_t value = 0;
        const char *why = NULL;
        assert_ptr_equal(config_row_find(row->section, row->key), row);
        assert_true(row->doc[0] != '\0' && row->min <= row->max);
        if (row->fallback == NULL || *row->fallback == '\0')
            continue;
        if (row->type == CONFIG_SIZE)
            why = config_parse_size(row->fallback, &value);
        else if (row->type == CONFIG_DURATION)
            why = config_parse_duration(row->fallback, &value);
        else if (row->type == CONFIG_COUNT || row->type == CONFIG_COUNT_POW2)
            assert_true(slice_number(slice_cstr(row->fallback), UINT64_MAX, &value));
        else
            continue;
        assert_null(why);
        assert_in_range(value, row->min, row->max);
    }
}

static void test_shown_values(void **state)
{
    (void)state;
    char text[32];
    uint64_t value;
    const uint64_t values[] = {0,
                               1,
                               1000,
                               1023,
                               1024,
                               1536,
                               60000,
                               90000,
                               3600000,
                               86400000,
                               UINT64_C(1) << 30,
                               UINT64_C(5) << 40};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        config_show_size(values[i], text);
        assert_null(config_parse_size(text, &value));
        assert_int_equal(value, values[i]);
        config_show_duration(values[i], text);
        assert_null(config_parse_duration(text, &value));
        assert_int_equal(value, values[i]);
    }
    config_show_duration(1800000, text);
    assert_string_equal(text, "30m");
    config_show_size(25 << 20, text);
    assert_string_equal(text, "25M");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),         cmocka_unit_test(test_given_values),
        cmocka_unit_test(test_unknown_keys), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_types),        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_bytes),        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_includes),     cmocka_unit_test(test_table),
        cmocka_unit_test(test_shown_values),
    };
    return cmocka_run_group_tests(tests, config_folder_make, config_folder_remove);
}
