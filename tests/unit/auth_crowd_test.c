/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Log-ins through directories, many at once: the same question is asked once, nobody waits for
 * another's, new options while log-ins are under way, and a model with faults. With real helper
 * threads, and in the simulator's worlds. Rows of the list of bad inputs are named by their id.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "auth_directory_host.h"

/* ---------------------------------------------------------------- many at once */

struct crowd {
    struct core *core;
    struct run *run;
    unsigned running, ok, wrong, busy, seed;
};

static void crowd_run(void *argument)
{
    struct crowd *crowd = argument;
    struct auth_result result;
    unsigned from = ++crowd->seed;
    int answer = try_from(crowd->core, "ann", "of ann", from, &result);
    check(answer == 0 || answer == -EAGAIN);
    *(answer == 0 ? &crowd->ok : &crowd->busy) += 1;
    crowd->running--;
}

static void crowd_start(struct crowd *crowd, unsigned count, void (*body)(void *argument))
{
    crowd->running += count;
    for (unsigned i = 0; i < count; i++)
        check_equal(fiber_start(crowd->core, body, crowd), 0);
    while (crowd->running > 0)
        fiber_sleep(crowd->core, 8 * MS);
}

/* A12: sessions that want to know the same ask once; those that wait are bounded. */
static void together_body(struct core *core, struct run *run)
{
    struct crowd crowd = {.core = core, .run = run};
    run->first.nap_ms = 20;
    double_set(&run->first, DOUBLE_SLOW);
    crowd_start(&crowd, 15, crowd_run);
    check_equal(crowd.ok, 15);
    check_equal(double_questions(&run->first), 1);
    check(counted(core, COUNTER_AUTH_HASHES) <= 4);
    fiber_sleep(core, (CACHE_MS + 20) * UINT64_C(1000000));
    crowd = (struct crowd){.core = core, .run = run, .seed = 100};
    crowd_start(&crowd, 60, crowd_run);
    check_equal(crowd.ok, 20);
    check_equal(crowd.busy, 40);
    expect(core, "ann", "of ann", 0);
}

static void together(void **state)
{
    (void)state;
    run_with(0, together_body);
}

static void other_run(void *argument)
{
    struct crowd *crowd = argument;
    char name[32];
    struct auth_result result;
    unsigned from = ++crowd->seed;
    snprintf(name, sizeof name, "other%u", from);
    int answer = try_from(crowd->core, name, "x", from, &result);
    check(answer == -EACCES || answer == -EAGAIN);
    *(answer == -EACCES ? &crowd->wrong : &crowd->busy) += 1;
    crowd->running--;
}

static uint64_t thread_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* No directory call and no hash blocks a core: while questions hang, the core's turns go on, and
 * users who are in the passwd file log in. */
static void hanging_body(struct core *core, struct run *run)
{
    struct crowd crowd = {.core = core, .run = run};
    struct auth_result result;
    uint64_t longest = 0;
    run->first.nap_ms = harness_is_simulated() ? 1 : 300;
    double_set(&run->first, DOUBLE_HANGS);
    crowd.running = 8;
    for (unsigned i = 0; i < 8; i++)
        check_equal(fiber_start(core, other_run, &crowd), 0);
    uint64_t before = thread_clock();
    check_equal(try_from(core, "here", "of here", 999, &result), 0); /* passwd file */
    check(harness_is_simulated() || thread_clock() - before < UINT64_C(200) * MS);
    while (crowd.running > 0) {
        uint64_t began = thread_clock();
        fiber_yield(core);
        uint64_t took = thread_clock() - began;
        longest = took > longest ? took : longest;
        if (harness_is_simulated())
            fiber_sleep(core, 8 * MS);
    }
    check_equal(crowd.busy, 8);
    check(harness_is_simulated() || longest < UINT64_C(100) * MS);
}

static void hanging(void **state)
{
    (void)state;
    run_with(USERS, hanging_body);
    run_with(USERS | VERIFIES, hanging_body);
}

/* ---------------------------------------------------------------- new options */

static void adopt_body(struct core *core, struct run *run)
{
    struct crowd crowd = {.core = core, .run = run};
    struct auth_directory directory = run->first.directory;
    struct auth_options options = run->options;
    struct generation generation = {0};
    options.generation = &generation;
    options.directories = &directory;
    options.directory_count = 1;
    expect(core, "ann", "of ann", 0);
    expect(core, "here", "of here", 0);
    unsigned questions = double_questions(&run->first);
    auth_adopt(core, &options); /* the same directory: its answers are still believed */
    expect(core, "ann", "of ann", 0);
    check_equal(double_questions(&run->first), questions);
    directory.identity++; /* another one of that name */
    auth_adopt(core, &options);
    expect(core, "ann", "of ann", 0);
    check_equal(double_questions(&run->first), questions + 1);
    char hash[256], text[300]; /* a changed password counts at once (A05) */
    expect(core, "here", "of here", 0);
    hash_of("changed", "$5$rounds=1000$salt", hash);
    snprintf(text, sizeof text, "here@x.test:%s\n", hash);
    struct auth_users *changed = users_of(text);
    options.users = changed;
    auth_adopt(core, &options);
    expect(core, "here", "of here", -EACCES);
    expect(core, "here", "changed", 0);
    auth_adopt(core, &run->options);
    auth_users_free(changed);
    options.users = NULL; /* a user who is gone */
    auth_adopt(core, &options);
    expect(core, "here", "of here", -EACCES);
    auth_adopt(core, &run->options);
    /* a log-in under way ends with the options it began with */
    run->first.nap_ms = harness_is_simulated() ? 1 : 100;
    double_set(&run->first, DOUBLE_SLOW);
    crowd.running = 1;
    check_equal(fiber_start(core, other_run, &crowd), 0);
    fiber_yield(core);
    check_equal(generation_users(&run->generation), 1);
    auth_adopt(core, &options);
    check_equal(generation_users(&run->generation), 1);
    check_equal(generation_users(&generation), 0);
    while (crowd.running > 0)
        fiber_sleep(core, 8 * MS);
    check_equal(generation_users(&run->generation), 0);
    check_equal(crowd.wrong, 1);
    expect(core, "ann", "of ann", 0);
    check_equal(generation_users(&generation), 0);
    auth_adopt(core, &run->options);
}

static void adopt(void **state)
{
    (void)state;
    run_with(USERS, adopt_body);
}

/* ---------------------------------------------------------------- a model, with faults */

struct model {
    struct core *core;
    struct run *run;
    unsigned running, tries, ok, wrong, busy;
    uint64_t random;
};

static unsigned draw(struct model *model, unsigned count)
{
    model->random = model->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(model->random >> 33) % count;
}

/* A11, A05: whatever the directory does, a right password is never "wrong", a wrong one never
 * right, and who is let in is who asked. */
static void model_run(void *argument)
{
    struct model *model = argument;
    static const struct {
        const char *user, *is, *password;
    } people[] = {{"ann", "ann@x.test", "of ann"}, {"bob@x.test", "robert@x.test", "of bob"},
                  {"off", NULL, "of off"},         {"far", NULL, "of far"},
                  {"nobody", NULL, "of ann"},      {"eve@y.test", "eve@y.test", "of eve"}};
    enum { PEOPLE = sizeof people / sizeof people[0] };
    for (unsigned i = 0; i < 20; i++) {
        unsigned who = draw(model, PEOPLE), whose = draw(model, 2) ? who : draw(model, PEOPLE);
        struct auth_result result;
        bool is_right = people[who].is != NULL && people[who].password == people[whose].password;
        int answer = try_from(model->core, people[who].user, people[whose].password,
                              draw(model, 60000), &result);
        model->tries++;
        if (answer == 0) {
            check(is_right && slice_equal(result.user, slice_cstr(people[who].is)));
            model->ok++;
        } else if (answer == -EACCES) {
            check(!is_right);
            model->wrong++;
        } else {
            check_equal(answer, -EAGAIN);
            model->busy++;
        }
        if (draw(model, 8) == 0)
            double_set(&model->run->first, draw(model, DOUBLE_FLAPS + 1));
        if (draw(model, 4) == 0)
            fiber_sleep(model->core, draw(model, 100) * UINT64_C(1000000));
    }
    model->running--;
}

static void model_body(struct core *core, struct run *run)
{
    enum { FIBERS = 12 };
    struct model model = {.core = core, .run = run, .running = FIBERS};
    core_random(core, &model.random, sizeof model.random);
    for (unsigned i = 0; i < FIBERS; i++)
        check_equal(fiber_start(core, model_run, &model), 0);
    while (model.running > 0)
        fiber_sleep(core, 8 * MS);
    check_equal(model.tries, FIBERS * 20);
    check(model.ok > 0 && model.wrong > 0);
    double_set(&run->first, DOUBLE_FINE);
    fiber_sleep(core, UINT64_C(520) * MS);
    expect(core, "ann", "of ann", 0); /* and it recovers */
}

static void model(void **state)
{
    (void)state;
    run_with(SECOND, model_body);
    run_with(SECOND | VERIFIES, model_body);
}

static int auth_crowd_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(together),
        cmocka_unit_test(hanging),
        cmocka_unit_test(adopt),
        cmocka_unit_test(model),
    };
    return cmocka_run_group_tests_name("auth_crowd", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(auth_crowd_tests);
}
