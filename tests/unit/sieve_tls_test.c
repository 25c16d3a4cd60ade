/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ManageSieve under STARTTLS (RFC 5804, 2.2), on the real kernel: no password before it, nothing
 * behind it in clear, and capabilities without being asked once it is there. Row S16 of the list of
 * bad inputs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "front_double.h"
#include "line_client.h"
#include "ringpost/proxy.h"
#include "ringpost/sieve.h"
#include "service_host.h"
#include "tls_line.h"

enum { SIEVE = 26440, TOY };

static struct auth_options auth_options;
static struct proxy_domain domains[1];
static struct proxy_options front = {.protocol = BACKEND_SIEVE,
                                     .domains = domains,
                                     .domain_count = 1,
                                     .idle_ms_max = 60000,
                                     .stalled_ms_max = 2000,
                                     .spread_ms = 3000,
                                     .farewell_ms = 1000};

#define SERVICE                                                                                    \
    .host_name = {"mx.example.test", 15}, .address = "127.0.0.1", .connections_max = 100,          \
    .login_ms_max = 10000, .idle_ms_max = 60000, .command_ms_max = 10000, .errors_max = 100,       \
    .junk_max = 100
static const struct service services[] = {
    {SERVICE, .port = SIEVE, .protocol = &sieve_protocol, .tls = SERVICE_START_TLS,
     .tls_service = {.alpn = "managesieve", .id = 1}, .front = &front},
    {SERVICE, .port = TOY, .protocol = &toy_protocol},
};

static int open_all(struct core *core)
{
    int result = tls_line_open(core);
    if (result == 0)
        result = auth_open(core, &auth_options);
    return result < 0 ? result : proxy_open(core);
}

static void close_all(struct core *core)
{
    proxy_close(core);
    auth_close(core);
    tls_line_close(core);
}

static struct host *begin(void)
{
    static const struct slice far = SLICE("far.test");
    auth_options = (struct auth_options){.default_domain = SLICE("far.test"),
                                         .mechanisms = 1u << AUTH_PLAIN,
                                         .waiting_max = 20,
                                         .failure_ms_first = 10,
                                         .failure_ms_max = 20,
                                         .judged_elsewhere = &far,
                                         .judged_elsewhere_count = 1};
    domains[0] = (struct proxy_domain){SLICE("far.test"), double_pool(0)};
    toy_port = TOY;
    double_reset();
    struct host_options all = {.services = {&services[0], &services[1]},
                               .core_count = 1,
                               .fibers_max = 100,
                               .drain_pace_ms = 10,
                               .drain_wait_ms = 2000,
                               .connects = true,
                               .open = open_all,
                               .close = close_all};
    return host_begin(&all);
}

static int greeted(void)
{
    int fd = client_open(SIEVE);
    client_expect(fd, "\"IMPLEMENTATION\" \"Ringpost\"\r\n\"SASL\" \"\"\r\n\"SIEVE\" \"\"\r\n"
                      "\"STARTTLS\"\r\n\"VERSION\" \"1.0\"\r\nOK \"Ringpost ready\"\r\n");
    return fd;
}

static void ask(struct tls_line *line, const char *text, const char *answer)
{
    char one[1000];
    tls_line_say(line, text);
    tls_line_read(line, one, sizeof one);
    check(slice_equal(slice_cstr(one), slice_cstr(answer)));
}

static void under_tls(void **state)
{
    (void)state;
    char text[1000];
    struct host *host = begin();
    int fd = greeted();
    client_ask(fd, "AUTHENTICATE \"PLAIN\" \"AHUxAHB3\"\r\n", "NO (ENCRYPT-NEEDED) *");
    client_ask(fd, "STARTTLS\r\n", "OK *");
    struct tls_line *line = tls_line_begin(fd);
    static const char *const unasked[] = {"\"IMPLEMENTATION\" \"Ringpost\"", "\"SASL\" \"PLAIN\"",
                                          "\"SIEVE\" \"\"", "\"VERSION\" \"1.0\"",
                                          "OK \"TLS is active\""};
    for (size_t i = 0; i < sizeof unasked / sizeof unasked[0]; i++) {
        tls_line_read(line, text, sizeof text);
        check(slice_equal(slice_cstr(text), slice_cstr(unasked[i])));
    }
    ask(line, "STARTTLS\r\n", "NO \"TLS is active already\"");
    ask(line, "AUTHENTICATE \"PLAIN\" \"AHUxAHB3\"\r\n", "OK \"Logged in\"");
    ask(line, "a ECHO x\r\n", "* x");
    ask(line, "", "a OK done");
    ask(line, "b LOGOUT\r\n", "* BYE");
    ask(line, "", "b OK bye");
    tls_line_end(line);
    host_end(host);
}

static void injected(void **state)
{
    (void)state;
    struct host *host = begin();
    int fd = greeted();
    client_ask(fd, "STARTTLS\r\nNOOP\r\n", "NO \"Nothing may follow STARTTLS\"");
    client_expect_end(fd);
    host_end(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(under_tls),
        cmocka_unit_test(injected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
