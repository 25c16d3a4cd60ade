/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The engine on the real kernel, where its threads are: what a helper leaves behind (row A15), and
 * a core that hangs (row F05).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* What a piece of work leaves on its helper's stack: read as a debugger would, since to the
 * language that memory is gone. A15. */
static const char left[] = "left on the stack";

static void secret_work(void *argument)
{
    volatile char secret[256];
    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = i < sizeof left ? left[i] : 0;
    *(uintptr_t *)argument = (uintptr_t)&secret[0];
}

static int wiped_ready(struct core *core, void *argument)
{
    (void)argument;
    uintptr_t at = 0;
    char found[sizeof left] = "";
    int memory = open("/proc/self/mem", O_RDONLY);
    for (int waits = 0; waits < 2; waits++) {
        int result =
            waits ? core_help_waiting(core, secret_work, &at) : core_help(core, secret_work, &at);
        check_equal(result, 0);
        check(at != 0 && memory >= 0);
        check_equal(pread(memory, found, sizeof found, (off_t)at), sizeof found);
        check(memcmp(found, left, sizeof found) != 0);
    }
    close(memory);
    harness_stop(core);
    return 0;
}

static void wiped(void **state)
{
    (void)state;
    struct engine_options options = {
        .core_count = 1, .connections_max = 8, .buffers = 4, .fibers_max = 4, .stack_bytes = 65536};
    check_equal(harness_run(&options, wiped_ready, NULL), 0);
}

/* ---------------------------------------------------------------- a core that hangs */

static int hang_ready(struct core *core, void *argument)
{
    (void)argument;
    if (core_index(core) == 1)
        for (;;)
            core_now_ns(core);
    return 0;
}

static int busy_ready(struct core *core, void *argument)
{
    (void)argument;
    for (uint64_t i = 0, until = core_now_ns(core) + UINT64_C(3000000000);
         core_now_ns(core) < until; i++)
        fiber_yield(core); /* busy for longer than a turn may take, but its turns end */
    harness_stop(core);
    return 0;
}

static int hanging_child(int (*ready)(struct core *core, void *argument), unsigned core_count)
{
    struct engine_options options = {.core_count = core_count,
                                     .connections_max = 8,
                                     .buffers = 4,
                                     .fibers_max = 4,
                                     .stack_bytes = 65536,
                                     .turn_seconds_max = 2};
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        alarm(30);
        _exit(harness_run(&options, ready, NULL) == 0 ? 0 : 1);
    }
    int status;
    check(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

/* F05: one core hangs, and all of the process ends. */
static void hang(void **state)
{
    (void)state;
    int status = hanging_child(hang_ready, 2);
    check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    check_equal(hanging_child(busy_ready, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wiped),
        cmocka_unit_test(hang),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
