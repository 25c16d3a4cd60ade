/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The line server of the stream tests as a host: for trying out the runner itself.
 */
#include <stdlib.h>

#include "../unit/line_server.h"
#include "host.h"

enum { CORES = 8 };

struct line_host {
    struct line_server lines;
    struct listener *listeners[CORES];
    unsigned port;
};

static void *line_make(unsigned cores, unsigned port_base, const char *directory)
{
    (void)directory;
    struct line_host *host = cores > CORES ? NULL : calloc(1, sizeof *host);
    if (host != NULL)
        host->port = port_base;
    return host;
}

static void line_begin(void *state)
{
    struct line_host *host = state;
    host->lines.sessions = 0;
    host->lines.idle_ns = UINT64_C(300000000000);
}

static int line_open(struct core *core, void *state)
{
    struct line_host *host = state;
    struct listener_options options = {
        .address = "127.0.0.1",
        .port = host->port,
        .connections_max = 100,
        .refusal = SLICE("busy\r\n"),
        .accepted = line_server_accepted,
        .argument = &host->lines,
    };
    int result = net_open(core);
    if (result < 0)
        return result;
    return listener_open(core, &options, &host->listeners[core_index(core)]);
}

static void line_close(struct core *core, void *state)
{
    struct line_host *host = state;
    listener_close(host->listeners[core_index(core)]);
    while (host->lines.sessions > 0)
        fiber_sleep(core, 50000000);
    fiber_sleep(core, 100000000);
    net_close(core);
}

const struct host host_line = {
    .name = "line",
    .services = {{"line", 0, NULL, "are you there", "are you there", "quit"}},
    .make = line_make,
    .free = free,
    .begin = line_begin,
    .open = line_open,
    .close = line_close,
};
