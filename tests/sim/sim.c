/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs scenarios of the simulator for one seed or many.
 *
 *   sim --list
 *   sim [SCENARIO ...] [--seed N | --seeds A..B] [--seconds S] [--twice] [--verbose]
 *   sim ... --rate no-memory=500              this fault in every run, per million chances
 *   sim SCENARIO --seed N --shrink            the same failure with less
 *   sim SCENARIO --seed N [--faults a,b] [--events N] [--drop 3,7-9]    what --shrink printed
 *
 * Without names: all scenarios. A scenario with a planted bug must fail for at least one of the
 * seeds. --twice runs each seed a second time and compares the traces. Exit status 1 when anything
 * is not as it must be. A run that aborts (an assertion of the program) says its seed first.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "scenarios.h"
#include "shrink.h"

#define SCENARIO_ROW(name, has_to_fail, help) {#name, scenario_##name, has_to_fail, help},
static const struct scenario scenarios[] = {SCENARIO_TABLE(SCENARIO_ROW)};
#undef SCENARIO_ROW
enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };

struct arguments {
    bool chosen[SCENARIOS];
    uint64_t first, last; /* seeds */
    uint64_t seconds;
    bool twice, shrink, until_failure;
    struct sim_case one;
    uint8_t dropped[SHRINK_STEPS_MAX];
    uint32_t rates[SIM_FAULT_COUNT];
};

static struct running {
    const char *name;
    uint64_t seed;
} running;

static void aborted(int signal_number)
{
    char text[200];
    int size = snprintf(text, sizeof text, "%s --seed %llu: signal %d\n", running.name,
                        (unsigned long long)running.seed, signal_number);
    if (write(STDERR_FILENO, text, (size_t)size) < 0)
        _exit(2);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void usage(void)
{
    fprintf(stderr, "usage: sim [SCENARIO ...] [--seed N | --seeds A..B] [--seconds S] [--twice] "
                    "[--until-failure] [--verbose] [--shrink] [--rate fault=N] [--faults a,b] "
                    "[--events N] [--drop "
                    "3,7-9] [--list]\n");
    exit(2);
}

/* Digits at *at, moved behind them. */
static uint64_t number(const char **at)
{
    char *end;
    uint64_t value = strtoull(*at, &end, 0);
    if (end == *at)
        usage();
    *at = end;
    return value;
}

static void parse_faults(struct arguments *arguments, const char *list)
{
    arguments->one.faults_allowed = 0;
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        const char *name = sim_fault_rows[i].name, *at = list;
        size_t size = strlen(name);
        while ((at = strstr(at, name)) != NULL) {
            bool is_whole = (at == list || at[-1] == ',') && (at[size] == ',' || at[size] == '\0');
            if (is_whole)
                arguments->one.faults_allowed |= UINT64_C(1) << i;
            at += size;
        }
    }
}

static void parse_drop(struct arguments *arguments, const char *list)
{
    while (*list != '\0') {
        uint64_t from = number(&list), to = from;
        if (*list == '-') {
            list++;
            to = number(&list);
        }
        for (uint64_t i = from; i <= to && i < SHRINK_STEPS_MAX; i++)
            arguments->dropped[i] = 1;
        if (*list == ',')
            list++;
    }
    arguments->one.dropped = arguments->dropped;
    arguments->one.dropped_count = SHRINK_STEPS_MAX;
}

static void parse_rate(struct arguments *arguments, const char *text)
{
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        size_t size = strlen(sim_fault_rows[i].name);
        if (strncmp(text, sim_fault_rows[i].name, size) != 0 || text[size] != '=')
            continue;
        text += size + 1;
        arguments->rates[i] = (uint32_t)number(&text);
        arguments->one.rates = arguments->rates;
        return;
    }
    usage();
}

static bool choose(struct arguments *arguments, const char *name)
{
    for (int i = 0; i < SCENARIOS; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return arguments->chosen[i] = true;
    return false;
}

static void list_all(void)
{
    for (int i = 0; i < SCENARIOS; i++)
        printf("%-16s %s%s\n", scenarios[i].name, scenarios[i].help,
               scenarios[i].has_to_fail ? " (has to fail)" : "");
    printf("\nfaults:\n");
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        printf("%-16s %s\n", sim_fault_rows[i].name, sim_fault_rows[i].help);
    exit(0);
}

static void parse(struct arguments *arguments, int count, char **words)
{
    bool any = false;
    for (int i = 1; i < count; i++) {
        const char *word = words[i], *value = i + 1 < count ? words[i + 1] : "";
        if (strcmp(word, "--list") == 0) {
            list_all();
        } else if (strcmp(word, "--twice") == 0) {
            arguments->twice = true;
        } else if (strcmp(word, "--until-failure") == 0) {
            arguments->until_failure = true;
        } else if (strcmp(word, "--verbose") == 0) {
            arguments->one.verbose = true;
        } else if (strcmp(word, "--shrink") == 0) {
            arguments->shrink = true;
        } else if (word[0] != '-') {
            any = choose(arguments, word);
            if (!any)
                usage();
        } else {
            i++;
            if (strcmp(word, "--seed") == 0) {
                arguments->first = arguments->last = number(&value);
            } else if (strcmp(word, "--seeds") == 0) {
                arguments->first = number(&value);
                if (strncmp(value, "..", 2) != 0)
                    usage();
                value += 2;
                arguments->last = number(&value);
            } else if (strcmp(word, "--seconds") == 0) {
                arguments->seconds = number(&value);
            } else if (strcmp(word, "--events") == 0) {
                arguments->one.events_max = number(&value);
            } else if (strcmp(word, "--faults") == 0) {
                parse_faults(arguments, value);
            } else if (strcmp(word, "--rate") == 0) {
                parse_rate(arguments, value);
            } else if (strcmp(word, "--drop") == 0) {
                parse_drop(arguments, value);
            } else {
                usage();
            }
        }
    }
    for (int i = 0; !any && i < SCENARIOS; i++)
        arguments->chosen[i] = true;
}

/* One seed. True: as it must be. */
static bool run_seed(const struct arguments *arguments, const struct scenario *scenario,
                     uint64_t seed, uint64_t *failures)
{
    struct sim_case one = arguments->one;
    char why[600] = "";
    one.seed = running.seed = seed;
    sim_traces_take();
    int result = scenario->run(&one, why, sizeof why);
    uint64_t trace = sim_traces_take();
    if (result < 0) {
        ++*failures;
        if (!scenario->has_to_fail || arguments->one.verbose)
            printf("%s --seed %llu: %s\n", scenario->name, (unsigned long long)seed, why);
    }
    if (arguments->twice) {
        scenario->run(&one, why, sizeof why);
        if (sim_traces_take() != trace) {
            printf("%s --seed %llu: the second run is another one\n", scenario->name,
                   (unsigned long long)seed);
            return false;
        }
    }
    return result == 0 || scenario->has_to_fail;
}

static bool run_scenario(const struct arguments *arguments, const struct scenario *scenario)
{
    int64_t begin = now_ms();
    uint64_t done = 0, failures = 0;
    bool is_good = true;
    running.name = scenario->name;
    for (uint64_t seed = arguments->first; seed <= arguments->last; seed++) {
        is_good = run_seed(arguments, scenario, seed, &failures) && is_good;
        done++;
        if (arguments->until_failure && !is_good)
            break;
        if (arguments->seconds > 0 && now_ms() - begin > (int64_t)arguments->seconds * 1000)
            break;
    }
    int64_t ms = now_ms() - begin + 1;
    if (scenario->has_to_fail && failures == 0) {
        printf("%s: has a planted bug, and no seed shows it\n", scenario->name);
        is_good = false;
    }
    printf("%s: %llu seeds, %llu failed%s, %llu seeds/s\n", scenario->name,
           (unsigned long long)done, (unsigned long long)failures,
           scenario->has_to_fail ? " (as they have to)" : "",
           (unsigned long long)(done * 1000 / (uint64_t)ms));
    fflush(stdout);
    return is_good;
}

int main(int count, char **words)
{
    static struct arguments arguments;
    arguments.last = 99;
    memset(arguments.rates, 0xff, sizeof arguments.rates);
    arguments.one.faults_allowed = UINT64_MAX;
    arguments.one.events_max = UINT64_MAX;
    parse(&arguments, count, words);
    signal(SIGABRT, aborted);
    signal(SIGSEGV, aborted);
    int status = 0;
    for (int i = 0; i < SCENARIOS; i++) {
        if (!arguments.chosen[i])
            continue;
        arguments.one.seed = arguments.first;
        if (arguments.shrink)
            status |= shrink(&scenarios[i], &arguments.one);
        else if (!run_scenario(&arguments, &scenarios[i]))
            status = 1;
    }
    return status;
}
