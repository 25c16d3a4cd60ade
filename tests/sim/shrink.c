/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shrinking by trial: each trial is a process of its own, so that a run that aborts counts as a
 * failure like any other. What a trial says comes back through shared memory.
 */
#include "shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRIAL_SECONDS_MAX = 60 };

struct told {
    char why[600];
    uint32_t steps;
};

struct shrinking {
    const struct scenario *scenario;
    struct sim_case one;
    uint8_t dropped[SHRINK_STEPS_MAX];
    struct told *told;
    unsigned trials;
};

static bool fails(struct shrinking *shrinking)
{
    shrinking->trials++;
    memset(shrinking->told, 0, sizeof *shrinking->told);
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        abort();
    if (child == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(3);
        alarm(TRIAL_SECONDS_MAX);
        int result = shrinking->scenario->run(&shrinking->one, shrinking->told->why,
                                              sizeof shrinking->told->why);
        shrinking->told->steps = sim_case_steps_seen();
        _exit(result < 0 ? 1 : 0);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        snprintf(shrinking->told->why, sizeof shrinking->told->why, "signal %d", WTERMSIG(status));
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void fewer_faults(struct shrinking *shrinking)
{
    struct sim_options options;
    sim_case_options(&shrinking->one, &options);
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        if (options.faults[i] == 0)
            shrinking->one.faults_allowed &= ~(UINT64_C(1) << i);
    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        uint64_t bit = UINT64_C(1) << i;
        if (!(shrinking->one.faults_allowed & bit))
            continue;
        shrinking->one.faults_allowed &= ~bit;
        if (!fails(shrinking))
            shrinking->one.faults_allowed |= bit;
    }
    shrinking->one.faults_allowed &= (UINT64_C(1) << SIM_FAULT_COUNT) - 1;
}

static void fewer_events(struct shrinking *shrinking)
{
    uint64_t high = shrinking->one.events_max;
    if (high > 1u << 24)
        high = 1u << 24;
    for (uint64_t low = 0; low + 1 < high;) {
        uint64_t middle = low + (high - low) / 2, before = shrinking->one.events_max;
        shrinking->one.events_max = middle;
        if (fails(shrinking)) {
            high = middle;
        } else {
            shrinking->one.events_max = before;
            low = middle;
        }
    }
}

static void fewer_steps(struct shrinking *shrinking)
{
    shrinking->one.dropped = shrinking->dropped;
    shrinking->one.dropped_count = SHRINK_STEPS_MAX;
    if (!fails(shrinking))
        return;
    uint32_t steps = shrinking->told->steps;
    steps = steps < SHRINK_STEPS_MAX ? steps : SHRINK_STEPS_MAX;
    for (uint32_t chunk = steps / 2 + 1; chunk > 0; chunk /= 2) {
        for (uint32_t at = 0; at < steps; at += chunk) {
            uint8_t before[SHRINK_STEPS_MAX];
            memcpy(before, shrinking->dropped, sizeof before);
            uint32_t size = chunk < steps - at ? chunk : steps - at;
            memset(shrinking->dropped + at, 1, size);
            if (memcmp(before, shrinking->dropped, sizeof before) != 0 && !fails(shrinking))
                memcpy(shrinking->dropped, before, sizeof before);
        }
    }
}

static void print_command(const struct shrinking *shrinking)
{
    const struct sim_case *one = &shrinking->one;
    printf("sim %s --seed %llu", shrinking->scenario->name, (unsigned long long)one->seed);
    const char *separator = " --faults ";
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        if (one->faults_allowed >> i & 1) {
            printf("%s%s", separator, sim_fault_rows[i].name);
            separator = ",";
        }
    if (one->faults_allowed == 0)
        printf(" --faults none");
    if (one->events_max != UINT64_MAX)
        printf(" --events %llu", (unsigned long long)one->events_max);
    separator = " --drop ";
    for (uint32_t i = 0; i < SHRINK_STEPS_MAX; i++) {
        uint32_t end = i;
        while (end < SHRINK_STEPS_MAX && shrinking->dropped[end])
            end++;
        if (end == i)
            continue;
        printf(end - i > 1 ? "%s%u-%u" : "%s%u", separator, i, end - 1);
        separator = ",";
        i = end;
    }
    printf(" --verbose\n");
}

int shrink(const struct scenario *scenario, const struct sim_case *one)
{
    static struct shrinking shrinking;
    shrinking = (struct shrinking){.scenario = scenario, .one = *one};
    shrinking.told = mmap(NULL, sizeof *shrinking.told, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shrinking.told == MAP_FAILED)
        abort();
    if (!fails(&shrinking)) {
        printf("%s --seed %llu does not fail\n", scenario->name, (unsigned long long)one->seed);
        return 1;
    }
    fewer_faults(&shrinking);
    fewer_events(&shrinking);
    fewer_steps(&shrinking);
    fails(&shrinking);
    printf("%u trials; still: %s\n", shrinking.trials, shrinking.told->why);
    print_command(&shrinking);
    return 0;
}
