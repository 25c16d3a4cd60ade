/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The simulator itself: what kernel.h promises, what the disk may and must do, that a seed replays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "ringpost/core.h"
#include "ringpost/kernel.h"
#include "sim.h"

static int sleep_body(struct core *core, void *argument)
{
    uint64_t before = core_now_ns(core);
    fiber_sleep(core, UINT64_C(60000000000));
    *(uint64_t *)argument = core_now_ns(core) - before;
    return 7;
}

static void time_jumps(void **state)
{
    (void)state;
    struct sim_options options;
    sim_options_calm(&options, 1);
    struct sim *sim = sim_create(&options);
    assert_int_equal(sim_start(sim), 0);
    uint64_t slept = 0;
    assert_int_equal(sim_run(sim, 0, sleep_body, &slept), 7);
    assert_in_range(slept, UINT64_C(60000000000), UINT64_C(60100000000));
    assert_int_equal(sim_stop(sim), 0);
    assert_null(sim_failure(sim));
    sim_destroy(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
