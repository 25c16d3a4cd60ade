/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See auth_directory_host.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "auth_directory_host.h"

static void problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "line %u: %s\n", line, what);
}

struct auth_users *users_of(const char *text)
{
    struct auth_users *users;
    check_equal(auth_users_parse(slice_cstr(text), problem, NULL, &users), 0);
    return users;
}

static int run_ready(struct core *core, void *argument)
{
    struct run *run = argument;
    check_equal(auth_open(core, &run->options), 0);
    run->body(core, run);
    auth_close(core);
    check_equal(generation_users(&run->generation), 0);
    harness_stop(core);
    return 0;
}

void run_with(unsigned how, void (*body)(struct core *core, struct run *))
{
    static const struct slice domains[] = {{"x.test", 6}};
    struct engine_options options = {.core_count = 1,
                                     .connections_max = 100,
                                     .buffers = 16,
                                     .fibers_max = 200,
                                     .stack_bytes = 65536};
    struct run *run = calloc(1, sizeof *run);
    double_open(&run->first, how & VERIFIES);
    double_open(&run->second, false);
    run->second.directory.name = SLICE("second");
    run->first.directory.domains = domains;
    run->first.directory.domain_count = 1;
    double_add(&run->first, "ann@x.test", "of ann");
    double_add(&run->first, "bob@x.test", "of bob")->canonical = "Robert@X.test";
    double_add(&run->first, "off@x.test", "of off")->is_disabled = true;
    double_add(&run->first, "far@x.test", "of far")->networks = "192.0.2.0/24 2001:db8::/32";
    double_add(&run->first, "none@x.test", "of none")->secret[0] = '\0';
    double_add(&run->second, "eve@y.test", "of eve")->attributes = "backend=b2\ntag=x\n";
    double_add(&run->second, "ann@x.test", "another");
    run->directories[0] = run->first.directory;
    run->directories[1] = run->second.directory;
    run->body = body;
    run->options = (struct auth_options){
        .directories = run->directories,
        .directory_count = how & SECOND ? 2 : 1,
        .default_domain = SLICE("X.test"),
        .mechanisms = 1u << AUTH_PLAIN,
        .cache_entries_max = 1000,
        .cache_ms_max = CACHE_MS,
        .negative_ms_max = NEGATIVE_MS,
        .waiting_max = 20,
        .failure_ms_first = 1,
        .failure_ms_max = 4,
        .generation = &run->generation,
    };
    if (how & USERS) {
        char hash[256], text[1000];
        hash_of("of here", "$5$rounds=1000$salt", hash);
        snprintf(text, sizeof text,
                 "here@x.test:%s\nshut@x.test:%s:1:1::/home:/bin/sh:a=b nologin\n"
                 "lan@x.test:%s::::::allow_nets=192.0.2.0/24,2001:db8::/32 x=y\n",
                 hash, hash, hash);
        run->options.users = run->users = users_of(text);
        hash_of("of root", "$5$rounds=1000$salt", hash);
        snprintf(text, sizeof text, "root@x.test:%s::::::allow_nets=10.0.0.0/8\n", hash);
        run->options.masters = run->masters = users_of(text);
        run->options.master_separator = '*';
    }
    check_equal(harness_run(&options, run_ready, run), 0);
    auth_users_free(run->users);
    auth_users_free(run->masters);
    free(run);
}

int try_from(struct core *core, const char *user, const char *password, unsigned from,
             struct auth_result *ret_result)
{
    uint8_t address[16] = {10, 0, (uint8_t)(from >> 8), (uint8_t)from};
    struct auth_client client = {
        .address = address, .family = 4, .protocol = "test", .may_send_password = true};
    *ret_result = (struct auth_result){0};
    return auth_password(core, &client, slice_cstr(user), slice_cstr(password), ret_result);
}

void expect(struct core *core, const char *user, const char *password, int want)
{
    static unsigned from;
    struct auth_result result;
    check_equal(try_from(core, user, password, ++from % 60000, &result), want);
}

uint64_t counted(struct core *core, enum counter which)
{
    return core_counters(core)->value[which];
}
