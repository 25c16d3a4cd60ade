/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The command line of the load generator: values with their units and ranges, what is refused and
 * how it is told, and that nothing but loopback gets an endpoint without being named twice (L3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "options.h"

enum { WORDS_MAX = 16 };

static const char *refuse(const struct load_options *options)
{
    return options->connections == 13 ? "thirteen brings bad luck" : NULL;
}

static const struct load_scenario smtp = {.name = "smtp",
                                          .summary = "messages",
                                          .operation = "message",
                                          .protocols = 1u << LOAD_SMTP,
                                          .defaults = "--per-connection 7 --warm-up 2s",
                                          .problem = refuse};
static const struct load_scenario login = {.name = "login",
                                           .summary = "log-ins",
                                           .operation = "log-in",
                                           .protocols = 1u << LOAD_IMAP | 1u << LOAD_POP3};

static struct bench_options options;
static char problem[OPTIONS_PROBLEM_BYTES];

/* "--a b --c": parsed and resolved. The words live until the next call. */
static int understand(const struct load_scenario *scenario, const char *line)
{
    static char text[2000];
    char *words[WORDS_MAX] = {(char *)(uintptr_t)scenario->name};
    int count = 1;
    snprintf(text, sizeof text, "%s", line);
    for (char *at = text; *at != '\0';) {
        assert_true(count < WORDS_MAX);
        words[count++] = at;
        at += strcspn(at, " ");
        if (*at == ' ')
            *at++ = '\0';
    }
    problem[0] = '\0';
    int result = options_parse(scenario, count, words, &options, problem);
    return result < 0 ? result : options_resolve(&options, problem);
}

static void good(const struct load_scenario *scenario, const char *line)
{
    if (understand(scenario, line) < 0)
        fail_msg("%s: %s", line, problem);
}

/* The problem holds this text. */
static void bad(const struct load_scenario *scenario, const char *line, const char *text)
{
    if (understand(scenario, line) == 0)
        fail_msg("%s: taken", line);
    if (strstr(problem, text) == NULL)
        fail_msg("%s: says \"%s\", not \"%s\"", line, problem, text);
}

static void values_and_units(void **state)
{
    (void)state;
    const struct load_options *load = &options.load;
    good(&smtp, "--target 127.0.0.1:25");
    assert_int_equal(load->connections, 20);
    assert_int_equal(load->per_connection, 7); /* of the scenario */
    assert_true(load->warm_up_ns == 2000000000);
    assert_true(load->duration_ns == UINT64_C(10000000000)); /* no --messages either */
    assert_int_equal(load->size_bytes, 1024);
    assert_true(load->is_pipelined && !load->verifies && !load->tls_12);
    assert_string_equal(load->user_format, "u%d@example.test");

    good(&smtp,
         "--target 127.0.0.1:25 --messages 5 --size 10k --timeout 500ms --warm-up 0 --rate 2.5");
    assert_true(load->messages == 5 && load->duration_ns == 0 && load->size_bytes == 10240);
    assert_true(load->timeout_ns == 500000000 && load->warm_up_ns == 0);
    assert_true(load->rate > 2.49 && load->rate < 2.51 && !load->is_poisson);
    good(&smtp, "--target 127.0.0.1:25 --size=1.5m --duration=1.5m --rate 1 --arrivals poisson");
    assert_true(load->size_bytes == 1572864 && load->duration_ns == UINT64_C(90000000000));
    assert_true(load->is_poisson);
    good(&smtp,
         "--target 127.0.0.1:25 --size real --no-pipelining --bdat --verify --tls-version 1.2");
    assert_true(load->size_bytes == 0 && !load->is_pipelined && load->is_chunked);
    assert_true(load->verifies && load->tls_12);
    good(&smtp, "--target 127.0.0.1:25 --seed 18446744073709551615 --connections 1000000");
    assert_true(load->seed == UINT64_MAX && load->connections == 1000000);
    assert_true(load->sources >= 50); /* one address has not that many ports */
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    bad(&smtp, "", "--target HOST:PORT is needed");
    bad(&smtp, "--target 127.0.0.1:25 --conections 5", "did you mean --connections?");
    bad(&smtp, "--target 127.0.0.1:25 --xyzzyx 5", "no option --xyzzyx; see ringpost-bench smtp");
    bad(&smtp, "--target 127.0.0.1:25 --connections", "--connections wants N");
    bad(&smtp, "--target 127.0.0.1:25 --connections 0",
        "--connections 0: a number from 1 to 1000000");
    bad(&smtp, "--target 127.0.0.1:25 --connections -5", "--connections -5: a number from 1");
    bad(&smtp, "--target 127.0.0.1:25 --connections 1000001",
        "a number from 1 to 1000000 is wanted");
    bad(&smtp, "--target 127.0.0.1:25 --connections 99999999999999999999", "a number from 1");
    bad(&smtp, "--target 127.0.0.1:25 --connections 5x", "--connections 5x: a number");
    bad(&smtp, "--target 127.0.0.1:25 --duration 0", "--duration 0: a time from");
    bad(&smtp, "--target 127.0.0.1:25 --duration 5h", "--duration 5h: a time from");
    bad(&smtp, "--target 127.0.0.1:25 --duration .5", "--duration .5: a time from");
    bad(&smtp, "--target 127.0.0.1:25 --timeout 1ms", "--timeout 1ms: a time from 0.01s");
    bad(&smtp, "--target 127.0.0.1:25 --size 0", "--size 0: real, or bytes from 1");
    bad(&smtp, "--target 127.0.0.1:25 --size 300m", "--size 300m: real, or bytes");
    bad(&smtp, "--target 127.0.0.1:25 --size 5kk", "--size 5kk: real, or bytes");
    bad(&smtp, "--target 127.0.0.1:25 --rate 0", "--rate 0: operations a second");
    bad(&smtp, "--target 127.0.0.1:25 --rate 1e3", "--rate 1e3: operations a second");
    bad(&smtp, "--target 127.0.0.1:25 --arrivals odd --rate 1",
        "--arrivals odd: one of even|poisson");
    bad(&smtp, "--target 127.0.0.1:25 --arrivals poisson", "--rate, which is not given");
    bad(&smtp, "--target 127.0.0.1:25 --tls maybe", "--tls maybe: one of none|start|implicit");
    bad(&smtp, "--target 127.0.0.1:25 --verify=yes", "--verify takes no value");
    bad(&smtp, "--target 127.0.0.1:25 --json=", "--json : FILE, not an empty text");
    bad(&smtp, "--target 127.0.0.1:25 --per-session 5",
        "--per-session is not for smtp; it is for: imap");
    bad(&smtp, "--target 127.0.0.1:25 stray", "\"stray\" is no option");
    bad(&smtp, "--target 127.0.0.1:25 --user-format u", "--user-format has no %d");
    bad(&smtp, "--target 127.0.0.1:25 --user-format u%s%d", "takes one %d");
    bad(&smtp, "--target 127.0.0.1:25 --user-format u%n", "takes one %d");
    bad(&smtp, "--target 127.0.0.1:25 --server-pid 1 --server-cgroup /x", "the same twice");
    bad(&smtp, "--target 127.0.0.1:25 --connections 13", "smtp: thirteen brings bad luck");
    good(&smtp, "--target 127.0.0.1:25 --users 1 --user-format postmaster@example.test");
}

static void places(void **state)
{
    (void)state;
    const struct load_endpoint *at = options.load.endpoints;
    good(&smtp, "--target [::1]:2525 --tls start");
    assert_true(at[LOAD_SMTP].is_set && at[LOAD_SMTP].tls == LOAD_TLS_START);
    assert_true(at[LOAD_SMTP].target.family == 6 && at[LOAD_SMTP].target.port == 2525);
    assert_int_equal(at[LOAD_SMTP].target.address[15], 1);
    good(&smtp, "--target smtps://127.3.2.1 --also lmtp:///run/lmtp --also "
                "pop3://localhost:1110?tls=start");
    assert_true(at[LOAD_SMTP].target.port == 465 && at[LOAD_SMTP].tls == LOAD_TLS_IMPLICIT);
    assert_true(options.tls == LOAD_TLS_IMPLICIT);
    assert_memory_equal(at[LOAD_SMTP].target.address, "\x7f\x03\x02\x01", 4);
    assert_true(at[LOAD_LMTP].target.family == 1);
    assert_string_equal(at[LOAD_LMTP].target.path, "/run/lmtp");
    assert_true(at[LOAD_POP3].target.port == 1110 && at[LOAD_POP3].tls == LOAD_TLS_START);
    assert_false(at[LOAD_IMAP].is_set);
    good(&smtp, "--target unix:/tmp/smtp.sock");
    assert_string_equal(at[LOAD_SMTP].target.path, "/tmp/smtp.sock");
    good(&login, "--target 127.0.0.1:110"); /* by its usual port */
    assert_int_equal(options.load.target, LOAD_POP3);
    good(&login, "--target imap://127.0.0.1:10143");
    assert_int_equal(options.load.target, LOAD_IMAP);

    bad(&login, "--target 127.0.0.1:10143", "login measures imap pop3; say which");
    bad(&smtp, "--target imap://127.0.0.1:143", "smtp measures smtp; say which");
    bad(&smtp, "--target http://127.0.0.1:80", "the scheme is one of");
    bad(&smtp, "--target 127.0.0.1", "HOST:PORT is wanted");
    bad(&smtp, "--target 127.0.0.1:0", "the port from 1 to 65535");
    bad(&smtp, "--target 127.0.0.1:65536", "the port from 1 to 65535");
    bad(&smtp, "--target ::1:25", "an IPv6 address stands in brackets");
    bad(&smtp, "--target [::1:25", "the ] behind the address is missing");
    bad(&smtp, "--target :25", "the host is missing");
    bad(&smtp, "--target unix:smtp.sock", "begins with /");
    bad(&smtp, "--target no-such-host.invalid:25", "no address of this host");
    bad(&smtp, "--target smtps://127.0.0.1 --tls none", "--tls says otherwise");
    bad(&smtp, "--target 127.0.0.1:25 --also 127.0.0.1:143", "a URL is wanted");
    bad(&smtp, "--target 127.0.0.1:25 --also smtp://127.0.0.1:26",
        "a server of smtp was named already");
    bad(&smtp, "--target 127.0.0.1:25 --also imap://127.0.0.1?tls=perhaps", "tls=none, tls=start");
}

static void only_loopback(void **state)
{
    (void)state;
    bad(&smtp, "--target 192.0.2.1:25", "192.0.2.1 is not loopback");
    bad(&smtp, "--target 192.0.2.1:25", "--i-own-this-server 192.0.2.1");
    bad(&smtp, "--target 128.0.0.1:25", "is not loopback");
    bad(&smtp, "--target 0.0.0.0:25", "is not loopback"); /* reaches this host, by any address */
    good(&smtp, "--target 127.1:25"); /* the address counts, not how it is written */
    bad(&smtp, "--target [2001:db8::1]:25", "2001:db8::1 is not loopback");
    bad(&smtp, "--target [::ffff:192.0.2.1]:25", "is not loopback");
    bad(&smtp, "--target [::]:25", "is not loopback");
    bad(&smtp, "--target 127.0.0.1:25 --also imap://192.0.2.1", "192.0.2.1 is not loopback");
    bad(&smtp, "--target 192.0.2.1:25 --i-own-this-server 192.0.2.2", "is not loopback");
    bad(&smtp, "--target 192.0.2.1:25 --also imap://192.0.2.2 --i-own-this-server 192.0.2.1",
        "--i-own-this-server 192.0.2.2");
    good(&smtp, "--target 192.0.2.1:25 --also imap://192.0.2.1 --i-own-this-server 192.0.2.1");
    good(&smtp, "--target [::ffff:127.0.0.1]:25");
    bad(&smtp, "--target 192.0.2.1:25 --i-own-this-server 192.0.2.1 --sources 3",
        "from where only 127.0.0.0/8 is reached");
}

/* Every row has its line on the page, and nothing of other scenarios. */
static void help_has_all(void **state)
{
    (void)state;
    static char page[20000];
    FILE *file = fmemopen(page, sizeof page - 1, "w");
    assert_non_null(file);
    options_help(&smtp, file);
    fclose(file);
    for (unsigned i = 0; i < option_row_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "  --%s ", option_rows[i].name);
        assert_true((strstr(page, name) != NULL) == option_is_for(&option_rows[i], &smtp));
    }
    for (const char *line = page; *line != '\0'; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_units), cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(places),           cmocka_unit_test(only_loopback),
        cmocka_unit_test(help_has_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
