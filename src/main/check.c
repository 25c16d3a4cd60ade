/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * `ringpost check` and `ringpost config-reference`, and the printing of problems that other
 * commands share.
 */
#include "check.h"

#include "command.h"

void problems_show(const struct config *config, FILE *file)
{
    unsigned shown =
        config->problem_count < CONFIG_PROBLEMS_MAX ? config->problem_count : CONFIG_PROBLEMS_MAX;
    for (unsigned i = 0; i < shown; i++) {
        const struct config_problem *problem = &config->problems[i];
        if (problem->place.line == 0)
            fprintf(file, "%s: %s\n", problem->place.file, problem->what);
        else
            fprintf(file, "%s:%u: %s\n", problem->place.file, problem->place.line, problem->what);
    }
    if (shown < config->problem_count)
        fprintf(file, "and %u more\n", config->problem_count - shown);
}

static void problems_json(const struct config *config)
{
    unsigned shown =
        config->problem_count < CONFIG_PROBLEMS_MAX ? config->problem_count : CONFIG_PROBLEMS_MAX;
    printf("{\"ok\":%s,\"problem_count\":%u,\"problems\":[",
           config->problem_count == 0 ? "true" : "false", config->problem_count);
    for (unsigned i = 0; i < shown; i++) {
        const struct config_problem *problem = &config->problems[i];
        fputs(i > 0 ? ",{\"file\":" : "{\"file\":", stdout);
        json_text(stdout, problem->place.file);
        printf(",\"line\":%u,\"what\":", problem->place.line);
        json_text(stdout, problem->what);
        fputs("}", stdout);
    }
    fputs("],\"variables\":[", stdout);
    for (unsigned i = 0; i < config->variable_count; i++) {
        const struct config_variable *variable = &config->variables[i];
        fputs(i > 0 ? ",{\"name\":" : "{\"name\":", stdout);
        json_text(stdout, variable->name);
        if (variable->over.file != NULL) {
            fputs(",\"over\":{\"file\":", stdout);
            json_text(stdout, variable->over.file);
            printf(",\"line\":%u}", variable->over.line);
        }
        fputs("}", stdout);
    }
    puts("]}");
}

/* What does not come from the file. */
static void variables_show(const struct config *config)
{
    for (unsigned i = 0; i < config->variable_count; i++) {
        const struct config_variable *variable = &config->variables[i];
        if (variable->over.file == NULL)
            printf("set by %s\n", variable->name);
        else
            printf("set by %s, in place of %s:%u\n", variable->name, variable->over.file,
                   variable->over.line);
    }
}

struct setup *setup_read(const char *path, const struct setup_process *process)
{
    struct config *config = config_load(path);
    struct setup *setup = config == NULL ? NULL : setup_make(config, process);
    if (setup == NULL)
        complain("out of memory");
    return setup;
}

int run_check(const struct invocation *invocation)
{
    struct setup *setup = setup_read(invocation->config, NULL);
    if (setup == NULL)
        return STATUS_FAILED;
    const struct config *config = setup->config;
    if (invocation->json)
        problems_json(config);
    else if (config->problem_count > 0)
        problems_show(config, stdout);
    else {
        printf("%s: OK: %u domains, %u users, %u listeners\n", config->path, config->domains.count,
               auth_users_count(setup->users), config->listeners.count);
        variables_show(config);
    }
    int status = config->problem_count == 0 ? STATUS_OK : STATUS_FAILED;
    setup_free(setup);
    return status;
}

static void say(void *argument, const char *text)
{
    fputs(text, argument);
}

int run_config_reference(const struct invocation *invocation)
{
    (void)invocation;
    config_reference(say, stdout);
    return STATUS_OK;
}
