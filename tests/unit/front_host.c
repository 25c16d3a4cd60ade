/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See front_host.h.
 */
#include "front_host.h"

static struct auth_users *users;
static struct auth_options auth_options;
const struct network front_host_loopback = {.address = {127}, .family = 4, .bits = 8};
struct proxy_domain front_host_domains[2];

static void problem(void *argument, unsigned line, const char *what)
{
    (void)argument;
    fprintf(stderr, "users, line %u: %s\n", line, what);
}

static int open_all(struct core *core)
{
    int result = auth_open(core, &auth_options);
    return result < 0 ? result : proxy_open(core);
}

static void close_all(struct core *core)
{
    proxy_close(core);
    auth_close(core);
}

struct proxy_options front_host_options(enum backend_protocol protocol)
{
    return (struct proxy_options){.protocol = protocol,
                                  .domains = front_host_domains,
                                  .domain_count = 1,
                                  .idle_ms_max = 60000,
                                  .stalled_ms_max = 2000,
                                  .spread_ms = 3000,
                                  .farewell_ms = 1000};
}

struct host *front_host_begin(const struct service *services, unsigned count,
                              uint64_t drain_pace_ms)
{
    static const struct slice far = SLICE("far.test");
    char hash[256], text[400];
    check_equal(auth_hash(SLICE(""), SLICE("pw"), SLICE("0123456789abcdef"), 1, hash), 0);
    snprintf(text, sizeof text, "anna@near.test:%s\n", hash);
    check_equal(auth_users_parse(slice_cstr(text), problem, NULL, &users), 0);
    auth_options = (struct auth_options){.users = users,
                                         .default_domain = far,
                                         .mechanisms = 1u << AUTH_PLAIN | 1u << AUTH_LOGIN,
                                         .cache_entries_max = 100,
                                         .cache_ms_max = 60000,
                                         .waiting_max = 20,
                                         .failure_ms_first = 10,
                                         .failure_ms_max = 20,
                                         .judged_elsewhere = &far,
                                         .judged_elsewhere_count = 1};
    front_host_domains[0] = (struct proxy_domain){far, double_pool(0)};
    front_host_domains[1] = (struct proxy_domain){SLICE("near.test"), double_pool(1)};
    double_reset();
    struct host_options all = {.core_count = 1,
                               .fibers_max = 200,
                               .drain_pace_ms = drain_pace_ms,
                               .drain_wait_ms = 2000,
                               .connects = true,
                               .open = open_all,
                               .close = close_all};
    check(count <= HOST_SERVICES_MAX);
    for (unsigned i = 0; i < count; i++)
        all.services[i] = &services[i];
    return host_begin(&all);
}

void front_host_end(struct host *host)
{
    host_end(host);
    auth_users_free(users);
    check_equal(double_links(), 0);
}
