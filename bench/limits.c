/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What this machine allows one core: the prices below which nothing built on the engine can fall.
 * Run it on an idle machine, with a directory on the disk that will hold the store:
 *
 *   limits [--quick] [--json FILE|-] [--port N] [DIRECTORY]
 *
 *   exchange   64 bytes in, 32 out, 20 connections: on bare operations, and as lines read by a
 *              fiber from a stream
 *   connect    a connection, a greeting of 32 bytes, the client's close
 *   send       100 KiB from memory for each request; and by sendfile from the page cache
 *   commit     20 messages of 2 KiB gathered in one durable write (O_DIRECT, RWF_DSYNC, recycled
 *              segment), one in flight; then other sizes in groups, four in flight as in the log
 *   receive    messages of 100 KiB received into log memory and written so, 4 connections
 *   memory     memcpy and crc32c of cold and of hot bytes
 *   TLS        AES-128-GCM of 16 KiB records, and handshakes without sockets
 *
 * The core runs in this process on the first processor, its clients in a child on the last. CPU is
 * what this process used, kernel threads of the ring included. Over loopback a send also does the
 * peer's receive processing, which a network card would not charge here.
 *
 * --quick takes less time (under 8 s) and is less exact; --json writes the figures as the member
 * `ceilings` of docs/bench-json.md, with `-` to stdout and nothing else there.
 */
#include "limits_private.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ringpost/kernel_linux.h"

static const double SECONDS = 2, SECONDS_QUICK = 0.2;
enum { PORT = 24999 };

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double wall_seconds(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

double cpu_seconds(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "limits: %s: %s\n", what, strerror(errno));
    exit(1);
}

void pin(int cpu)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

struct measure turn_for(struct bench *bench, double seconds)
{
    double wall = wall_seconds(), cpu = cpu_seconds();
    while (wall_seconds() < wall + seconds)
        core_turn(bench->core, 10000000);
    return (struct measure){wall_seconds() - wall, cpu_seconds() - cpu};
}

void ceiling_add(struct bench *bench, const char *name, double value, const char *unit,
                 const char *what)
{
    must(bench->ceiling_count < CEILINGS_MAX, "too many ceilings");
    bench->ceilings[bench->ceiling_count++] = (struct ceiling){name, unit, what, value};
}

static void write_json(const struct bench *bench, const char *path, bool is_quick)
{
    FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    must(out != NULL, path);
    fprintf(out, "{\n  \"tool\": \"limits\", \"format\": 1, \"quick\": %s,\n  \"ceilings\": {",
            is_quick ? "true" : "false");
    for (unsigned i = 0; i < bench->ceiling_count; i++) {
        const struct ceiling *row = &bench->ceilings[i];
        fprintf(out, "%s\n    \"%s\": {\"value\": %.6g, \"unit\": \"%s\", \"what\": \"%s\"}",
                i ? "," : "", row->name, row->value, row->unit, row->what);
    }
    fprintf(out, "\n  }\n}\n");
    must(fflush(out) == 0 && (out == stdout || fclose(out) == 0), path);
}

_Noreturn static void usage(int status)
{
    fprintf(status ? stderr : stdout,
            "usage: limits [--quick] [--json FILE|-] [--port N] [DIRECTORY]\n"
            "What this machine allows one core; the head of bench/limits.c explains the rows.\n");
    exit(status);
}

static void core_begin(struct bench *bench, struct kernel **ret_kernel, struct engine **ret_engine)
{
    struct engine_options options = {
        .core_count = 1,
        .connections_max = 1000,
        .buffers = 512,
        .fibers_max = 100,
        .stack_bytes = 65536,
    };
    must(kernel_linux_create(ret_kernel) == 0, "kernel");
    must(engine_create(&options, ret_kernel, ret_engine) == 0, "engine");
    bench->core = engine_core(*ret_engine, 0);
    int error = core_open(bench->core);
    errno = -error;
    must(error == 0, "a ring cannot be made");
    must(net_open(bench->core) == 0, "net");
}

static void measure_all(struct bench *bench)
{
    limit_exchange(bench);
    limit_connect(bench);
    limit_send(bench);
    limit_file(bench);
    segment_open(bench);
    limit_commit(bench);
    limit_append(bench);
    limit_receive(bench);
    limit_memory(bench);
    limit_tls(bench);
    close(bench->segment);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"quick", no_argument, NULL, 'q'},
                                          {"json", required_argument, NULL, 'j'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    static struct bench bench = {.port = PORT, .seconds = SECONDS, .directory = ".", .segment = -1};
    const char *json = NULL;
    bool is_quick = false;
    uint64_t port;
    int option;
    while ((option = getopt_long(argc, argv, "h", names, NULL)) >= 0) {
        if (option == 'q')
            is_quick = true;
        else if (option == 'j')
            json = optarg;
        else if (option == 'p' && slice_number(slice_cstr(optarg), 65535, &port))
            bench.port = (unsigned)port;
        else
            usage(option == 'h' ? 0 : 2);
    }
    if (argc - optind > 1)
        usage(2);
    if (optind < argc)
        bench.directory = argv[optind];
    if (is_quick)
        bench.seconds = SECONDS_QUICK;
    bench.text = json && strcmp(json, "-") == 0 ? stderr : stdout;
    setvbuf(stdout, NULL, _IOLBF, 0);
    pin(0);
    struct kernel *kernel;
    struct engine *engine;
    core_begin(&bench, &kernel, &engine);
    measure_all(&bench);
    net_close(bench.core);
    core_close(bench.core);
    engine_destroy(engine);
    kernel_linux_destroy(kernel);
    if (json)
        write_json(&bench, json, is_quick);
    return 0;
}
