/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The IMAP service on the harness, for tests: on the real kernel, or on the simulator.
 */
#include "imap_host.h"

#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ringpost/auth.h"
#include "ringpost/store.h"
#include "service_host.h"

static char directory[40];
static struct auth_users *users;
static struct auth_options auth_options;
static struct host *host;

static const struct imap_options options = {.append_bytes_max = 20000000, .idle_ms_max = 1800000};
static const struct imap_options strict_options = {.append_bytes_max = 1000,
                                                   .idle_ms_max = 1800000};

/* Worlds without buffers are not to hurry anybody here. */
static const struct network loopback = {.address = {127}, .family = 4, .bits = 8};

#define SERVICE                                                                                    \
    .protocol = &imap_protocol, .host_name = {"mail.example.test", 17}, .address = "127.0.0.1",    \
    .connections_max = 1000, .login_ms_max = 10000, .idle_ms_max = 60000, .command_ms_max = 10000, \
    .errors_max = 100, .junk_max = 100, .unlimited = {&loopback, 1}
static struct service service = {SERVICE, .options = &options, .plain_login_allowed = true};
static struct service strict_service = {SERVICE, .options = &strict_options};

static void problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "users, line %u: %s\n", line, what);
}

static int open_all(struct core *core)
{
    struct store_options store = {.directory = directory,
                                  .shard_count = 2,
                                  .segment_bytes = 4 << 20,
                                  .cache_bytes = 4 << 20,
                                  .index_bytes_max = 16 << 20};
    int result = store_open(core, &store);
    return result < 0 ? result : auth_open(core, &auth_options);
}

static void close_all(struct core *core)
{
    auth_close(core);
    store_close(core);
}

void imap_host_begin(void)
{
    char text[2000] = "";
    struct crypt_data data = {0};
    const char *hash = crypt_r("pw", "$5$rounds=1000$salt", &data);
    size_t size = 0;
    check(hash != NULL);
    snprintf(directory, sizeof directory, "/tmp/ringpost-imap-XXXXXX");
    check(harness_is_simulated() || mkdtemp(directory) != NULL);
    for (unsigned i = 0; i < 8; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "u%u@example.test:%s\n", i, hash);
    check_equal(auth_users_parse(slice_of(text, size), problem, NULL, &users), 0);
    auth_options = (struct auth_options){.users = users,
                                         .default_domain = SLICE("example.test"),
                                         .mechanisms = 1u << AUTH_PLAIN | 1u << AUTH_LOGIN,
                                         .cache_entries_max = 100,
                                         .cache_ms_max = 60000,
                                         .waiting_max = 20,
                                         .failure_ms_first = 10,
                                         .failure_ms_max = 20};
    service.port = imap_port;
    strict_service.port = imap_port + 1;
    struct host_options all = {.services = {&service, &strict_service},
                               .core_count = 2,
                               .fibers_max = 200,
                               .drain_pace_ms = 10,
                               .drain_wait_ms = 2000,
                               .open = open_all,
                               .close = close_all};
    host = host_begin(&all);
}

void imap_host_end(void)
{
    char command[100];
    host_end(host);
    auth_users_free(users);
    snprintf(command, sizeof command, "rm -r %s", directory);
    if (!harness_is_simulated())
        check_equal(system(command), 0);
}

static void talk_how(int fd, const char *script, bool slowly)
{
    char line[4096];
    while (*script != '\0') {
        const char *end = strchr(script, '\n');
        size_t size = (size_t)(end - script) - 2;
        check(end != NULL && script[1] == ' ' && size < sizeof line - 3);
        memcpy(line, script + 2, size);
        strcpy(line + size, *script == '>' ? "\r\n" : "");
        for (char *at = line; *script == '=' && (at = strstr(at, "\\n")) != NULL;)
            memcpy(at, "\r\n", 2);
        if (*script == '<')
            client_expect_like(fd, line);
        else if (slowly)
            client_say_in_pieces(fd, line, strlen(line), 1);
        else
            client_say(fd, line);
        script = end + 1;
    }
}

void talk(int fd, const char *script)
{
    talk_how(fd, script, false);
}

void talk_slowly(int fd, const char *script)
{
    talk_how(fd, script, true);
}

int imap_connect(void)
{
    int fd = client_open(imap_port);
    talk(fd, "< * OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN *] mail.example.test *\n");
    return fd;
}

int imap_login(unsigned number)
{
    int fd = imap_connect();
    char text[100];
    snprintf(text, sizeof text, "> a LOGIN u%u pw\n< a OK [CAPABILITY *] Logged in\n", number);
    talk(fd, text);
    return fd;
}
