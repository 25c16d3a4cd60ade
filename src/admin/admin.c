/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The HTTP server of the admin pages: libmicrohttpd with a thread of its own, so that whatever
 * clients do here, mail does not notice.
 *
 * Limits (rows N02, N06): connections in all and per address, memory per connection, seconds
 * without progress. GET and HEAD only, a request's body is never read; labels are names of ours
 * only.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin_private.h"

enum {
    CONNECTIONS_MAX = 64,
    CONNECTIONS_PER_ADDRESS_MAX = 32,
    CONNECTION_BYTES_MAX = 16384,
    CONNECTION_SECONDS_MAX = 10,
    PAGE_BYTES_MAX = 1 << 20
};

struct admin {
    struct admin_options options;
    struct MHD_Daemon *daemon;
};

struct page {
    const char *path, *type;
    unsigned (*make)(const struct admin_options *options, struct text *text); /* HTTP status */
};

static unsigned page_metrics(const struct admin_options *options, struct text *text)
{
    metrics_write(options, text);
    return MHD_HTTP_OK;
}

static unsigned page_live(const struct admin_options *options, struct text *text)
{
    (void)options;
    text_append(text, SLICE("live\n"));
    return MHD_HTTP_OK;
}

static unsigned page_ready(const struct admin_options *options, struct text *text)
{
    enum admin_health health = options->health(options->argument);
    text_printf(text, "%s\n", health_text(health));
    return health == ADMIN_READY ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
}

static const struct page pages[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", page_metrics},
    {"/live", "text/plain; charset=utf-8", page_live},
    {"/ready", "text/plain; charset=utf-8", page_ready},
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              struct slice body)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.size, (void *)body.data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *argument, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_size, void **state)
{
    (void)version, (void)data, (void)data_size, (void)state;
    const struct admin *admin = argument;
    const char *plain = "text/plain; charset=utf-8";
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, plain, SLICE("GET only\n"));
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (strcmp(url, pages[i].path) != 0)
            continue;
        struct arena arena;
        struct text text;
        arena_init(&arena, PAGE_BYTES_MAX);
        text_init(&text, &arena);
        unsigned status = pages[i].make(&admin->options, &text);
        struct slice body = text_slice(&text);
        if (text.failed) {
            status = MHD_HTTP_INTERNAL_SERVER_ERROR;
            body = SLICE("out of memory\n");
        }
        enum MHD_Result result = answer(connection, status, pages[i].type, body);
        arena_reset(&arena);
        return result;
    }
    return answer(connection, MHD_HTTP_NOT_FOUND, plain,
                  SLICE("there are /metrics, /live and /ready\n"));
}

static bool address_of(const struct admin_options *options, struct sockaddr_storage *ret_address)
{
    memset(ret_address, 0, sizeof *ret_address);
    struct sockaddr_in *four = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret_address;
    if (inet_pton(AF_INET, options->address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)options->port);
        return true;
    }
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)options->port);
    return inet_pton(AF_INET6, options->address, &six->sin6_addr) == 1;
}

int admin_start(const struct admin_options *options, struct admin **ret_admin)
{
    struct sockaddr_storage address;
    if (!address_of(options, &address))
        return -EINVAL;
    struct admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return -ENOMEM;
    admin->options = *options;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD;
    if (address.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    errno = 0;
    struct MHD_OptionItem socket_options[] = {
        {MHD_OPTION_SOCK_ADDR, 0, &address},
        {MHD_OPTION_END, 0, NULL},
    };
    if (options->listen_fd > 0)
        socket_options[0] =
            (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, options->listen_fd, NULL};
    admin->daemon = MHD_start_daemon(
        flags, (uint16_t)options->port, NULL, NULL, handle, admin, MHD_OPTION_ARRAY, socket_options,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_PER_ADDRESS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_BYTES_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)CONNECTION_SECONDS_MAX, MHD_OPTION_END);
    if (admin->daemon == NULL) {
        int error = errno;
        free(admin);
        return error == 0 ? -EADDRINUSE : -error;
    }
    *ret_admin = admin;
    return 0;
}

void admin_stop(struct admin *admin)
{
    if (admin == NULL)
        return;
    MHD_stop_daemon(admin->daemon);
    free(admin);
}

const char *admin_library_version(void)
{
    return MHD_get_version();
}
