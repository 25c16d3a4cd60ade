/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The file of exceptions while things fail: each operation on files and each allocation of a change
 * in turn. The file is then the old one or the new one, the new one when the change was said to be
 * kept; what is applied follows it; and the next change works.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>

#include "../unit/control_double.h"
#include "../unit/harness.h"
#include "ringpost/kernel.h"
#include "sim.h"

enum { SECOND_NS = 1000000000, TEXT_BYTES = 1000 };

static const char path[] = "/exceptions/users";
static const char before[] = "# by hand\nu@mail.test mail/b1\nv@mail.test b2\n";
static const char after[] = "# by hand\nu@mail.test mail/b2\nv@mail.test b2\n";
static uint64_t failing_n; /* which operation fails; 0: none */
static unsigned failing_kinds;
static bool has_failed;
static int outcome;

static void put_file(struct core *core, const char *text)
{
    int fd = await_open(core, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    check(fd >= 0);
    check_equal(await_write(core, fd, text, strlen(text), 0, 0), (int)strlen(text));
    await_close(core, fd);
}

static bool file_is(struct core *core, const char *want)
{
    char text[TEXT_BYTES];
    int fd = await_open(core, path, O_RDONLY, 0);
    check(fd >= 0);
    int size = await_read(core, fd, text, TEXT_BYTES, 0);
    await_close(core, fd);
    return size == (int)strlen(want) && memcmp(text, want, strlen(want)) == 0;
}

static void fail_end(void)
{
    has_failed = failing_n > 0 && sim_nth_failed(harness_sim());
    sim_fail_nth(harness_sim(), failing_kinds, 0, 0, false);
}

static void fail_begin(void)
{
    if (failing_n > 0)
        sim_fail_nth(harness_sim(), failing_kinds, failing_n, 0, false);
}

static int open_keeper(struct core *core)
{
    struct exception_keeper_options options = {
        .place = SLICE("file:/exceptions/users"), .path = path, .look_ms = 1000};
    return exception_keeper_open(core, &options);
}

static void expect_backend(const char *user, const char *want)
{
    char backend[100];
    double_exception(user, backend, sizeof backend);
    check(strcmp(backend, want) == 0);
}

static void change_body(struct core *core)
{
    check_equal(open_keeper(core), 0);
    fail_begin();
    outcome = exception_keeper_keep(core, SLICE("u@mail.test"), SLICE("mail/b2"));
    fail_end();
    bool is_new = file_is(core, after);
    check(is_new || file_is(core, before));
    check(outcome < 0 || is_new);
    /* The caller of a change that is kept tells the backends; of one that is not, the next look. */
    fiber_sleep(core, 3 * (uint64_t)SECOND_NS);
    if (outcome < 0)
        expect_backend("u@mail.test", is_new ? "mail/b2" : "mail/b1");
    check_equal(exception_keeper_keep(core, SLICE("u@mail.test"), SLICE("mail/b2")), 0);
    check(file_is(core, after));
}

/* A look that fails changes nothing, and the next one sees what there is. */
static void look_body(struct core *core)
{
    check_equal(open_keeper(core), 0);
    put_file(core, after);
    fail_begin();
    fiber_sleep(core, (uint64_t)SECOND_NS + SECOND_NS / 2);
    fail_end();
    fiber_sleep(core, 3 * (uint64_t)SECOND_NS);
    expect_backend("u@mail.test", "mail/b2");
    expect_backend("v@mail.test", "b2");
    outcome = 0;
}

static void start_body(struct core *core)
{
    fail_begin();
    outcome = open_keeper(core);
    fail_end();
    if (outcome < 0)
        check_equal(open_keeper(core), 0);
    expect_backend("u@mail.test", "mail/b1");
    expect_backend("v@mail.test", "b2");
}

struct run {
    void (*body)(struct core *core);
};

static int ready(struct core *core, void *argument)
{
    struct run *run = argument;
    check_equal(kernel_directory_make(core_kernel(core), "/exceptions", 0700), 0);
    put_file(core, before);
    run->body(core);
    exception_keeper_close(core);
    await_unlink(core, path);
    harness_stop(core);
    return 0;
}

/* Runs it with the n-th failing until there is no n-th any more; how many outcomes were not 0. */
static unsigned sweep(void (*body)(struct core *core), unsigned kinds)
{
    struct engine_options options = {.core_count = 1,
                                     .connections_max = 100,
                                     .buffers = 16,
                                     .fibers_max = 20,
                                     .stack_bytes = 65536};
    unsigned failures = 0;
    failing_kinds = kinds;
    has_failed = true;
    for (failing_n = 0; has_failed || failing_n == 1; failing_n++) {
        struct run run = {.body = body};
        double_reset();
        check_equal(harness_run(&options, ready, &run), 0);
        check(outcome == 0 || has_failed);
        failures += outcome != 0;
        check(failing_n < 1000);
    }
    print_message("  %llu tried, %u told\n", (unsigned long long)failing_n, failures);
    return failures;
}

static void changes(void **state)
{
    (void)state;
    check_equal(sweep(change_body, SIM_OPERATION_FILE), 9); /* all of them */
    check(sweep(change_body, SIM_OPERATION_MEMORY) >= 1);
}

static void looks(void **state)
{
    (void)state;
    sweep(look_body, SIM_OPERATION_FILE);
    sweep(look_body, SIM_OPERATION_MEMORY);
}

static void starts(void **state)
{
    (void)state;
    check_equal(sweep(start_body, SIM_OPERATION_FILE), 3);
    check(sweep(start_body, SIM_OPERATION_MEMORY) >= 2);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(changes),
        cmocka_unit_test(looks),
        cmocka_unit_test(starts),
    };
    return cmocka_run_group_tests_name("exception_sweep", all, NULL, NULL);
}

int main(void)
{
    return harness_main(tests);
}
