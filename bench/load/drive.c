/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A run of the program, in order:
 *
 *   options ─▶ addresses ─▶ output files ─▶ descriptors ─▶ load, cost ─▶ kernels, engine
 *      ─▶ the engine on a thread, this one watches ─▶ summary, JSON, page
 *
 * What can be wrong with the command line is said before anything is connected to. Standard output
 * is for the result: while the engine runs, whatever the libraries log goes to standard error.
 *
 * A run that was interrupted and does not end within seconds (a server that is silent) is written
 * as it is, and the process ends without waiting for the engine (L4).
 */
#include "drive.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "page.h"
#include "progress.h"
#include "result.h"
#include "ringpost/kernel.h"
#include "ringpost/kernel_linux.h"
#include "ringpost/tls.h"
#include "watch.h"

enum {
    SPARE_CONNECTIONS = 256,
    SPARE_FIBERS = 128,
    STACK_BYTES = 65536,
    BUFFERS_MAX = 2048,
    TURN_SECONDS_MAX = 600
};

struct drive {
    struct bench_options options;
    struct load *load;
    struct watch watch;
    struct output json, html;
    struct engine *engine;
    struct kernel *kernels[CORES_MAX];
    unsigned kernel_count;
    uint32_t cores_left, is_over; /* atomic */
    int engine_result;
    bool has_library, has_watch;
    FILE *out;
    struct result_input input;
};

void complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("ringpost-bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

/* ---------------------------------------------------------------- before */

/* Direct descriptors are bounded by RLIMIT_NOFILE, each ring for itself. */
static bool raise_descriptors(const struct load_options *options, unsigned connections)
{
    rlim_t wanted = connections / options->threads + SPARE_CONNECTIONS + 256;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return true;
    if (limit.rlim_cur >= wanted)
        return true;
    struct rlimit more = {.rlim_cur = wanted,
                          .rlim_max = limit.rlim_max > wanted ? limit.rlim_max : wanted};
    if (setrlimit(RLIMIT_NOFILE, &more) == 0)
        return true;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= wanted)
        return true;
    complain("--connections %u: this process may have %llu descriptors and needs %llu a thread; "
             "raise the limit (ulimit -n %llu), or take more --threads",
             connections, (unsigned long long)limit.rlim_cur, (unsigned long long)wanted,
             (unsigned long long)wanted);
    return false;
}

/* The stack of each worker's fiber is two maps of memory. */
static bool check_maps(unsigned workers)
{
    enum { MAPS_OF_OURS = 2000 };
    char text[32] = "";
    uint64_t most = 0, wanted = 2 * (uint64_t)workers + MAPS_OF_OURS;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file != NULL && fgets(text, sizeof text, file) != NULL)
        slice_number(slice_of(text, strcspn(text, "\n")), UINT64_MAX, &most);
    if (file != NULL)
        fclose(file);
    if (most == 0 || most >= wanted)
        return true;
    complain("%u workers need %llu maps of memory, and the kernel allows %llu: "
             "sysctl -w vm.max_map_count=%llu",
             workers, (unsigned long long)wanted, (unsigned long long)most,
             (unsigned long long)wanted);
    return false;
}

static bool open_output(struct output *output, const char *option, const char *path, FILE *out)
{
    int result = output_open(output, path, out);
    if (result < 0)
        complain("--%s %s: cannot be written: %s", option, path, strerror(-result));
    return result == 0;
}

/* All that is checked before the first connection. */
static int prepare(struct drive *drive, const struct load_scenario *scenario, int argc,
                   char *const *argv)
{
    char problem[OPTIONS_PROBLEM_BYTES] = "", short_problem[200] = "";
    struct bench_options *options = &drive->options;
    int result = options_parse(scenario, argc - 1, argv + 1, options, problem);
    if (result == 0)
        result = options_resolve(options, problem);
    if (result < 0) {
        complain("%s", problem);
        return BENCH_USAGE;
    }
    bool writes_both = options->json_path != NULL && options->html_path != NULL &&
                       strcmp(options->json_path, options->html_path) == 0;
    if (writes_both)
        complain("--json and --html name the same file");
    if (writes_both || !open_output(&drive->json, "json", options->json_path, drive->out) ||
        !open_output(&drive->html, "html", options->html_path, drive->out))
        return BENCH_USAGE;
    if (load_create(&options->load, &drive->load, short_problem) < 0) {
        complain("%s", short_problem);
        return BENCH_USAGE;
    }
    if (!raise_descriptors(&options->load, load_connections(drive->load)) ||
        !check_maps(load_workers(drive->load)))
        return BENCH_USAGE;
    drive->has_watch = true;
    if (watch_open(&drive->watch, options, drive->load, problem) < 0) {
        complain("%s", problem);
        return BENCH_USAGE;
    }
    return BENCH_OK;
}

/* ---------------------------------------------------------------- the engine */

/* engine_run's ready(): a core's whole life. */
static int live(struct core *core, void *argument)
{
    struct drive *drive = argument;
    int result = net_open(core);
    if (result < 0)
        return result;
    result = load_run(core, drive->load);
    net_close(core);
    if (result == 0 && __atomic_sub_fetch(&drive->cores_left, 1, __ATOMIC_ACQ_REL) == 0)
        engine_stop(drive->engine);
    return result;
}

static void *engine_thread(void *argument)
{
    struct drive *drive = argument;
    drive->engine_result = engine_run(drive->engine, live, drive);
    __atomic_store_n(&drive->is_over, 1, __ATOMIC_RELEASE);
    return NULL;
}

static unsigned power_of_two(unsigned at_least)
{
    unsigned power = 64;
    while (power < at_least && power < BUFFERS_MAX)
        power *= 2;
    return power;
}

static int make_engine(struct drive *drive)
{
    const struct load_options *options = &drive->options.load;
    unsigned connections = load_connections(drive->load) / options->threads + 1;
    unsigned workers = load_workers(drive->load) / options->threads + 1;
    struct engine_options engine = {
        .core_count = options->threads,
        .connections_max = connections + SPARE_CONNECTIONS,
        .buffers = power_of_two(2 * connections),
        .fibers_max = workers + SPARE_FIBERS,
        .stack_bytes = STACK_BYTES,
        .turn_seconds_max = TURN_SECONDS_MAX, /* sorting the books of --verify takes long */
        .connects = true,
    };
    int result = 0;
    drive->cores_left = options->threads;
    while (drive->kernel_count < options->threads && result == 0) {
        result = kernel_linux_create(&drive->kernels[drive->kernel_count]);
        drive->kernel_count += result == 0;
    }
    if (result == 0)
        result = tls_library_open(drive->kernels[0]);
    drive->has_library = result == 0;
    return result == 0 ? engine_create(&engine, drive->kernels, &drive->engine) : result;
}

/* Blocks what the watching thread waits for, in all threads that are made from now on. */
static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* False: the run did not end, and its threads are still there. */
static bool run(struct drive *drive)
{
    pthread_t thread;
    block_signals();
    drive->engine_result = make_engine(drive);
    if (drive->engine_result < 0)
        return true;
    if (pthread_create(&thread, NULL, engine_thread, drive) != 0) {
        drive->engine_result = -EAGAIN;
        return true;
    }
    if (!watch_run(&drive->watch, &drive->is_over))
        return false;
    pthread_join(thread, NULL);
    return true;
}

/* ---------------------------------------------------------------- after */

static int write_text(struct output *output, const char *option, const char *text, size_t size)
{
    int result = output_finish(output, text, size);
    if (result < 0)
        complain("--%s %s: not written: %s", option, output->path, strerror(-result));
    return result;
}

static int write_results(struct drive *drive)
{
    int result = 0, failed = 0;
    if (drive->json.file == NULL && drive->html.file == NULL)
        return 0;
    json_t *object = result_make(&drive->input);
    if (drive->json.file != NULL) {
        char *text = json_dumps(object, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
        size_t size = text != NULL ? strlen(text) : 0;
        if (text != NULL)
            text[size] = '\n'; /* in place of the NUL */
        result = text != NULL ? write_text(&drive->json, "json", text, size + 1) : -ENOMEM;
        free(text);
        failed += result < 0;
    }
    if (drive->html.file != NULL) {
        struct text page = {.data = NULL};
        result = page_run(object, &page);
        if (result < 0)
            complain("--html: the page cannot be made: %s", strerror(-result));
        else
            result = write_text(&drive->html, "html", page.data, page.size);
        text_free(&page);
        failed += result < 0;
    }
    json_decref(object);
    return failed > 0 ? -EIO : 0;
}

static bool has_failures(const struct measure *sum)
{
    uint64_t count = sum->missing + sum->altered + sum->doubled;
    for (unsigned i = 0; i < LOAD_ERROR_COUNT; i++)
        count += sum->errors[i];
    return count > 0;
}

/* "Connection refused": what connecting said, of the first kind that there is. */
static const char *connect_error(const struct measure *sum)
{
    for (unsigned i = 0; i < sum->example_count; i++)
        if (sum->examples[i].error <= LOAD_CONNECT_TIMEOUT)
            return sum->examples[i].text;
    for (unsigned i = 1; i < LOAD_ERROR_COUNT; i++)
        if (sum->errors[i] > 0)
            return load_error_name((enum load_error)i);
    return "no answer";
}

/* Connections were all that was asked for (idle without --messages), and there were some. */
static bool has_held(const struct drive *drive, const struct measure *sum)
{
    const struct load_options *options = &drive->options.load;
    return options->scenario->ends_itself && options->messages == 0 && sum->connections_most > 0;
}

static int report(struct drive *drive)
{
    struct measure *sum = drive->watch.sum;
    struct load_times times;
    load_times(drive->load, &times);
    if (measure_sum(drive->load, sum) < 0) {
        complain("out of memory");
        return BENCH_NOTHING;
    }
    bool to_stdout = drive->json.file == drive->out || drive->html.file == drive->out;
    if (times.is_unreachable)
        complain("cannot connect to %s: %s", drive->options.target, connect_error(sum));
    else
        progress_summary(&drive->watch, to_stdout ? stderr : drive->out);
    int status = write_results(drive) < 0 || has_failures(sum) ? BENCH_ERRORS : BENCH_OK;
    if (drive->watch.signals > 0)
        status = BENCH_INTERRUPTED;
    else if (sum->operations == 0 && !has_held(drive, sum))
        status = BENCH_NOTHING;
    measure_free(sum);
    if (fflush(drive->out) != 0 && status == BENCH_OK) {
        complain("standard output: %s", strerror(errno));
        status = BENCH_ERRORS;
    }
    return status;
}

static void say_engine(int error)
{
    bool is_ring = error == -EPERM || error == -ENOSYS || error == -EACCES;
    complain("%s: %s%s%s", is_ring ? "io_uring" : "the engine stopped", strerror(-error),
             is_ring ? ": " : "", is_ring ? kernel_ring_advice(error) : "");
}

static void finish(struct drive *drive)
{
    engine_destroy(drive->engine);
    if (drive->has_library)
        tls_library_close();
    for (unsigned i = 0; i < drive->kernel_count; i++)
        kernel_linux_destroy(drive->kernels[i]);
    if (drive->has_watch)
        watch_close(&drive->watch);
    load_destroy(drive->load);
    output_drop(&drive->json);
    output_drop(&drive->html);
}

int drive(const struct load_scenario *scenario, int argc, char *const *argv, const char *version,
          FILE *out)
{
    struct drive *drive = calloc(1, sizeof *drive);
    if (drive == NULL)
        return BENCH_NOTHING;
    drive->out = out;
    drive->input = (struct result_input){
        .watch = &drive->watch, .version = version, .argc = argc, .argv = argv};
    drive->input.started = (int64_t)time(NULL);
    int status = prepare(drive, scenario, argc, argv);
    if (status == BENCH_OK) {
        bool has_ended = run(drive);
        if (drive->watch.signals > 1) {
            output_drop(&drive->json);
            output_drop(&drive->html);
            _exit(BENCH_INTERRUPTED);
        }
        if (has_ended && drive->engine_result < 0) {
            say_engine(drive->engine_result);
            status = BENCH_NOTHING;
        } else {
            status = report(drive);
        }
        if (!has_ended) {
            fflush(NULL);
            _exit(status);
        }
    }
    finish(drive);
    free(drive);
    return status;
}
