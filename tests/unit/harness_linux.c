/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The harness on the real kernel: engine_run on a thread beside the test, blocking sockets.
 */
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "ringpost/kernel_linux.h"

void harness_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    abort();
}

void harness_check(const char *file, int line, const char *what, int64_t is, int64_t want)
{
    if (is == want)
        return;
    fprintf(stderr, "%s:%d: %s is %lld, want %lld\n", file, line, what, (long long)is,
            (long long)want);
    abort();
}

bool harness_is_simulated(void)
{
    return false;
}

int harness_main(int (*tests)(void))
{
    return tests();
}

void harness_nap(uint64_t us)
{
    usleep((useconds_t)us);
}

/* A group is taken by the name of a socket that nobody listens to: listeners themselves would share
 * a port without a word (SO_REUSEPORT). */
static bool claim(unsigned port)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int size = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "ringpost-tests-%u", port);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(fd >= 0);
    if (bind(fd, (struct sockaddr *)&name,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size)) == 0)
        return true; /* the end of the process closes it */
    close(fd);
    return false;
}

unsigned harness_ports(unsigned first, unsigned groups, unsigned size)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct {
        unsigned first, taken;
    } known[4];
    unsigned taken = 0, i = 0;
    pthread_mutex_lock(&lock);
    for (; known[i].first != first && known[i].first != 0; i++)
        check(i + 1 < sizeof known / sizeof known[0]);
    for (unsigned n = 0; known[i].first == 0 && n < groups; n++) {
        unsigned port = first + ((unsigned)getpid() + n) % groups * size;
        if (!claim(port))
            continue;
        known[i].first = first;
        known[i].taken = port;
    }
    taken = known[i].taken;
    pthread_mutex_unlock(&lock);
    check(taken != 0);
    return taken;
}

struct harness_engine {
    struct kernel *kernels[CORES_MAX];
    struct engine *engine;
    unsigned cores;
    int (*ready)(struct core *core, void *argument);
    void *argument;
    pthread_t thread;
    int result;
};

static struct harness_engine *current; /* one at a time */
static int (*library_open)(struct kernel *kernel);
static void (*library_close)(void);

void harness_library(int (*open)(struct kernel *kernel), void (*close)(void))
{
    library_open = open;
    library_close = close;
}

bool harness_clock_jumps(void)
{
    return false;
}

int64_t harness_wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *engine_thread(void *argument)
{
    struct harness_engine *engine = argument;
    engine->result = engine_run(engine->engine, engine->ready, engine->argument);
    return NULL;
}

struct harness_engine *harness_begin(const struct engine_options *options,
                                     int (*ready)(struct core *core, void *argument),
                                     void *argument)
{
    struct harness_engine *engine = calloc(1, sizeof *engine);
    check(engine != NULL);
    engine->cores = options->core_count;
    engine->ready = ready;
    engine->argument = argument;
    for (unsigned i = 0; i < engine->cores; i++)
        check_equal(kernel_linux_create(&engine->kernels[i]), 0);
    check_equal(engine_create(options, engine->kernels, &engine->engine), 0);
    current = engine;
    check(library_open == NULL || library_open(engine->kernels[0]) == 0);
    check_equal(pthread_create(&engine->thread, NULL, engine_thread, engine), 0);
    return engine;
}

int harness_end(struct harness_engine *engine)
{
    pthread_join(engine->thread, NULL);
    engine_destroy(engine->engine);
    if (library_close != NULL)
        library_close();
    for (unsigned i = 0; i < engine->cores; i++)
        kernel_linux_destroy(engine->kernels[i]);
    int result = engine->result;
    free(engine);
    return result;
}

int harness_run(const struct engine_options *options,
                int (*ready)(struct core *core, void *argument), void *argument)
{
    return harness_end(harness_begin(options, ready, argument));
}

void harness_stop(struct core *core)
{
    (void)core;
    engine_stop(current->engine);
}

/* ---------------------------------------------------------------- clients */

int client_open_at(const char *address, unsigned port)
{
    struct sockaddr_storage name = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&name;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&name;
    struct sockaddr_un *path = (struct sockaddr_un *)&name;
    socklen_t size = sizeof *path;
    if (port == 0) {
        path->sun_family = AF_UNIX;
        check(strlen(address) < sizeof path->sun_path);
        memcpy(path->sun_path, address, strlen(address) + 1);
    } else if (strchr(address, ':') != NULL) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        check_equal(inet_pton(AF_INET6, address, &v6->sin6_addr), 1);
        size = sizeof *v6;
    } else {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        check_equal(inet_pton(AF_INET, address, &v4->sin_addr), 1);
        size = sizeof *v4;
    }
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    check_equal(connect(fd, (struct sockaddr *)&name, size), 0);
    if (port != 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

bool client_try_put(int client, const void *data, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t part = send(client, (const char *)data + sent, size - sent, MSG_NOSIGNAL);
        if (part < 0 && (errno == EPIPE || errno == ECONNRESET))
            return false;
        check(part > 0);
        sent += (size_t)part;
    }
    return true;
}

void client_put(int client, const void *data, size_t size)
{
    check(client_try_put(client, data, size));
}

void client_get(int client, void *data, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t part = recv(client, (char *)data + got, size - got, 0);
        check(part > 0);
        got += (size_t)part;
    }
}

size_t client_get_some(int client, void *data, size_t size)
{
    ssize_t part = recv(client, data, size, 0);
    check(part >= 0 || errno == ECONNRESET);
    return part > 0 ? (size_t)part : 0;
}

void client_expect_end(int client)
{
    char byte;
    ssize_t got = recv(client, &byte, 1, 0);
    check(got == 0 || (got < 0 && errno == ECONNRESET));
    close(client);
}

void client_half_close(int client)
{
    shutdown(client, SHUT_WR);
}

void client_close(int client)
{
    close(client);
}

void client_reset(int client)
{
    struct linger hard = {1, 0};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(client);
}

void client_name(int client, char *text, size_t size)
{
    struct sockaddr_storage name = {0};
    socklen_t name_size = sizeof name;
    char address[INET6_ADDRSTRLEN];
    check_equal(getsockname(client, (struct sockaddr *)&name, &name_size), 0);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&name;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&name;
    bool is_six = name.ss_family == AF_INET6;
    inet_ntop(name.ss_family, is_six ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr,
              address, sizeof address);
    snprintf(text, size, "%s %u", address, ntohs(is_six ? v6->sin6_port : v4->sin_port));
}
