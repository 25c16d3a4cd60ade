/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `ringpost store verify|stat`: a small engine of one core that opens the store as the gateway
 * would (with its lock, so never beside it), looks, and closes it. The answer goes to standard
 * output; progress, findings and log lines go to standard error.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "command.h"
#include "ringpost/kernel_linux.h"
#include "serve.h"

enum { CACHE_BYTES = 1 << 20, INDEX_BYTES = 256 << 20 };

struct looking {
    struct engine *engine;
    struct store_options options;
    struct store_report report;
    bool verify;
    int result;
};

static void say(void *argument, const char *line)
{
    (void)argument;
    fprintf(stderr, "%s\n", line);
}

static int look(struct core *core, void *argument)
{
    struct looking *looking = argument;
    int result = store_open(core, &looking->options);
    if (result < 0)
        return result;
    looking->result = looking->verify ? store_verify(core, &looking->report, say, NULL)
                                      : store_stat(core, &looking->report);
    store_close(core);
    engine_stop(looking->engine);
    return 0;
}

static int run_engine(struct looking *looking)
{
    static const struct engine_options options = {.core_count = 1,
                                                  .connections_max = 16,
                                                  .buffers = 16,
                                                  .fibers_max = 64,
                                                  .stack_bytes = 65536};
    struct kernel *kernel;
    int result = kernel_linux_create(&kernel);
    if (result < 0)
        return result;
    result = engine_create(&options, &kernel, &looking->engine);
    if (result == 0)
        result = engine_run(looking->engine, look, looking);
    engine_destroy(looking->engine);
    kernel_linux_destroy(kernel);
    return result < 0 ? result : looking->result;
}

static void show(const struct store_report *report, bool json)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"shards", report->shards},       {"segments", report->segments},
        {"records", report->records},     {"messages", report->messages},
        {"mailboxes", report->mailboxes}, {"accounts", report->accounts},
        {"bytes", report->bytes},         {"bytes_live", report->bytes_live},
        {"damaged", report->damaged},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf(json ? "%s\"%s\":%" PRIu64 : "%s%-11s %" PRIu64 "\n",
               !json    ? ""
               : i == 0 ? "{"
                        : ",",
               rows[i].name, rows[i].value);
    if (json)
        puts("}");
}

/* The store's directory, in malloc'd memory; NULL after saying why. */
static char *directory_of(const struct invocation *invocation)
{
    bool by_dir = invocation->given & OPTION_DIR, by_config = invocation->given & OPTION_CONFIG;
    if (by_dir == by_config) {
        complain("which store? give either --config or --dir");
        return NULL;
    }
    if (by_dir)
        return strdup(invocation->dir);
    struct config *config = config_load(invocation->config);
    if (config == NULL)
        return NULL;
    bool is_right = config->problem_count == 0, has_store = config_has_store(config);
    char *directory = is_right && has_store ? strdup(config->store.directory) : NULL;
    problems_show(config, stderr);
    if (is_right && !has_store)
        complain("%s has no store: its mail is on other servers", invocation->config);
    config_free(config);
    return directory;
}

static int inspect(const struct invocation *invocation, bool verify)
{
    struct stat status;
    char *directory = directory_of(invocation);
    if (directory == NULL)
        return STATUS_FAILED;
    if (stat(directory, &status) < 0 || !S_ISDIR(status.st_mode)) {
        complain("%s: no store there", directory); /* opening would make one */
        free(directory);
        return STATUS_FAILED;
    }
    struct looking looking = {
        .verify = verify,
        .options = {.directory = directory,
                    .shard_count = 1,
                    .cache_bytes = CACHE_BYTES,
                    .index_bytes_max = INDEX_BYTES},
    };
    /* log lines go where findings go: the answer stays alone on standard output */
    fflush(stdout);
    int answer = dup(STDOUT_FILENO);
    int result = -EMFILE;
    if (answer >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 && process_check_kernel())
        result = process_probe_ring() ? run_engine(&looking) : -ENOSYS;
    if (answer >= 0) {
        dup2(answer, STDOUT_FILENO);
        close(answer);
    }
    if (result == -EWOULDBLOCK)
        complain("%s is in use by another process: stop the gateway first", directory);
    else if (result < 0)
        complain("%s: %s", directory, strerror(-result));
    else
        show(&looking.report, invocation->json);
    free(directory);
    if (result < 0)
        return result == -EWOULDBLOCK ? STATUS_BUSY : STATUS_FAILED;
    return looking.report.damaged > 0 ? STATUS_FAILED : STATUS_OK;
}

int run_store_verify(const struct invocation *invocation)
{
    return inspect(invocation, true);
}

int run_store_stat(const struct invocation *invocation)
{
    return inspect(invocation, false);
}
