/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See pop3_host.h.
 */
#include "pop3_host.h"

#include <unistd.h>

#include "ringpost/auth.h"

static struct auth_users *users;
static struct auth_options auth_options;
struct service pop3_service;
struct host_options pop3_host_options;

static void no_problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "line %u: %s\n", line, what);
}

static int open_auth(struct core *core)
{
    return auth_open(core, &auth_options);
}

void pop3_setup(void)
{
    char hash[256], text[1000];
    drops_reset();
    check_equal(auth_hash(SLICE(""), SLICE("pw"), SLICE("0123456789abcdef"), 1, hash), 0);
    snprintf(text, sizeof text, "u0@x.test:%s\nu1@x.test:%s\n", hash, hash);
    check_equal(auth_hash(SLICE(""), SLICE(" pa  ss "), SLICE("0123456789abcdef"), 1, hash), 0);
    snprintf(text + strlen(text), sizeof text - strlen(text), "u2@x.test:%s\n", hash);
    check_equal(auth_users_parse(slice_cstr(text), no_problem, NULL, &users), 0);
    auth_options = (struct auth_options){.users = users,
                                         .default_domain = SLICE("x.test"),
                                         .mechanisms = 1u << AUTH_PLAIN | 1u << AUTH_LOGIN,
                                         .cache_entries_max = 100,
                                         .cache_ms_max = 60000,
                                         .waiting_max = 50,
                                         .failure_ms_first = 1,
                                         .failure_ms_max = 100};
    /* In some worlds receive buffers are short for longer than strangers are let in. */
    static const struct network loopback = {.address = {127}, .family = 4, .bits = 8};
    pop3_service = (struct service){.protocol = &pop3_protocol,
                                    .plain_login_allowed = true,
                                    .host_name = SLICE("mail.x.test"),
                                    .address = "127.0.0.1",
                                    .port = pop3_port,
                                    .connections_max = 50,
                                    .login_ms_max = 10000,
                                    .idle_ms_max = 10000,
                                    .command_ms_max = 10000,
                                    .errors_max = 50,
                                    .junk_max = 200,
                                    .unlimited = {&loopback, 1}};
    pop3_host_options = (struct host_options){.services = {&pop3_service},
                                              .core_count = 2,
                                              .fibers_max = 40,
                                              .drain_pace_ms = 10,
                                              .drain_wait_ms = 2000,
                                              .open = open_auth,
                                              .close = auth_close};
}

void pop3_finish(struct host *host)
{
    host_end(host);
    check(drops_are_closed());
    auth_users_free(users);
}

int pop3_greeted(void)
{
    drops_sync();
    int fd = client_open(pop3_port);
    client_expect(fd, "+OK Ringpost ready\r\n");
    return fd;
}

int pop3_logged_in(const char *user)
{
    int fd = pop3_greeted();
    char line[100];
    snprintf(line, sizeof line, "USER %s\r\nPASS pw\r\n", user);
    client_say(fd, line);
    client_expect(fd, "+OK\r\n+OK Logged in\r\n");
    drops_sync();
    return fd;
}

void pop3_quit_client(int fd)
{
    drops_sync();
    client_say(fd, "QUIT\r\n");
    client_expect(fd, "+OK Goodbye\r\n");
    client_expect_end(fd);
    drops_sync();
}

void pop3_ask(int fd, const char *command, const char *want)
{
    drops_sync();
    client_say(fd, command);
    client_say(fd, "\r\n");
    client_expect(fd, want);
    drops_sync();
}

long memory_kib(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    check_equal(fscanf(file, "%ld %ld", &pages, &resident), 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

bool pop3_is_slow(void)
{
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    return harness_is_simulated();
}

void check_growth(long before_kib, long kib_max)
{
    if (!pop3_is_slow())
        check(memory_kib() - before_kib < kib_max);
}
