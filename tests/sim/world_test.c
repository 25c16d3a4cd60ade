/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The simulator as its users see it: clients and their segments, names and space on the disk,
 * sweeps, the memory of a life, assertions, and that a seed replays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "ringpost/core.h"
#include "ringpost/kernel.h"
#include "sim.h"

static const uint64_t SECOND_NS = UINT64_C(1000000000);

static struct sim *world(uint64_t seed)
{
    struct sim_options options;
    sim_options_calm(&options, seed);
    struct sim *sim = sim_create(&options);
    assert_int_equal(sim_start(sim), 0);
    return sim;
}

/* ---------------------------------------------------------------- clients, seen from the ring */

/* A server of one connection on bare operations: writes down the sizes of what it receives. */
struct ear {
    struct op accept, receive, close;
    struct core *core;
    int listener, slot, end;
    unsigned sizes[100], count;
    size_t total;
    char data[4096];
};

static void ear_receive(struct ear *ear)
{
    op_recv(ear->core, &ear->receive, (unsigned)ear->slot, ear->data, sizeof ear->data, false);
}

static void ear_received(struct op *op, int result, unsigned flags)
{
    struct ear *ear = (struct ear *)((char *)op - offsetof(struct ear, receive));
    (void)flags;
    if (result <= 0) {
        ear->end = result == 0 ? 1 : result;
        return;
    }
    ear->sizes[ear->count++ % 100] = (unsigned)result;
    ear->total += (unsigned)result;
    ear_receive(ear);
}

static void ear_accepted(struct op *op, int result, unsigned flags)
{
    struct ear *ear = (struct ear *)op;
    (void)flags;
    if (result < 0)
        return;
    ear->slot = result;
    ear_receive(ear);
}

static int ear_open(struct core *core, void *argument)
{
    struct ear *ear = argument;
    *ear = (struct ear){.accept.done = ear_accepted, .receive.done = ear_received, .core = core};
    ear->listener = kernel_listen_tcp(core_kernel(core), "127.0.0.1", 99, 5);
    op_accept(core, &ear->accept, ear->listener);
    return ear->listener < 0 ? ear->listener : 0;
}

static void segments(void **state)
{
    (void)state;
    static struct ear ear;
    struct sim *sim = world(1);
    assert_int_equal(sim_run(sim, 0, ear_open, &ear), 0);
    struct sim_client *client = sim_connect(sim, "127.0.0.1", 99);
    sim_client_segments(client, SIM_SEGMENTS_FIXED, 1);
    sim_client_text(client, "abc");
    sim_pass(sim, SECOND_NS);
    assert_int_equal(ear.total, 3);
    assert_int_equal(ear.count, 3);
    sim_client_segments(client, SIM_SEGMENTS_SPLIT_AT, 3 + 4);
    sim_client_text(client, "0123456789");
    sim_pass(sim, SECOND_NS);
    assert_int_equal(ear.count, 5);
    assert_int_equal(ear.sizes[3], 4);
    assert_int_equal(ear.sizes[4], 6);
    sim_client_segments(client, SIM_SEGMENTS_WHOLE, 0);
    sim_client_text(client, "0123456789");
    sim_pass(sim, SECOND_NS);
    assert_int_equal(ear.count, 6);
    assert_int_equal(ear.end, 0);
    sim_client_half_close(client);
    sim_pass(sim, SECOND_NS);
    assert_int_equal(ear.end, 1);
    assert_int_equal(sim_client_state(client), SIM_CLIENT_OPEN);
    assert_int_equal(sim_client_state(sim_connect(sim, "127.0.0.1", 98)), SIM_CLIENT_REFUSED);
    sim_crash(sim, SIM_KILL);
    sim_pass(sim, SECOND_NS);
    assert_int_not_equal(sim_client_state(client), SIM_CLIENT_OPEN);
    sim_destroy(sim);
}

static void resets(void **state)
{
    (void)state;
    static struct ear ear;
    struct sim *sim = world(2);
    assert_int_equal(sim_run(sim, 0, ear_open, &ear), 0);
    struct sim_client *client = sim_connect(sim, "127.0.0.1", 99);
    sim_client_text(client, "abc");
    sim_pass(sim, SECOND_NS);
    sim_client_reset(client);
    sim_pass(sim, SECOND_NS);
    assert_int_equal(ear.end, -ECONNRESET);
    sim_destroy(sim);
}

/* ---------------------------------------------------------------- disk: names and space */

static int make_body(struct core *core, void *argument)
{
    (void)argument;
    int fd = await_open(core, "/d/new", O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(await_rename(core, "/d/old", "/d/renamed"), 0);
    assert_int_equal(await_unlink(core, "/d/gone"), 0);
    return await_close(core, fd);
}

static void names(void **state)
{
    (void)state;
    unsigned both = 0, made = 0, renamed = 0, gone = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim *sim = world(seed);
        sim_file_patch(sim, "/d/old", 0, "1", 1);
        sim_file_patch(sim, "/d/gone", 0, "2", 1);
        assert_int_equal(sim_run(sim, 0, make_body, NULL), 0);
        sim_crash(sim, SIM_POWER_CUT);
        bool has_old = sim_file_size(sim, "/d/old") == 1;
        bool has_renamed = sim_file_size(sim, "/d/renamed") == 1;
        assert_true(has_old != has_renamed); /* a rename happens or not: the file is never lost */
        renamed += has_renamed;
        made += sim_file_size(sim, "/d/new") == 0;
        gone += sim_file_size(sim, "/d/gone") == -ENOENT;
        both += has_renamed && sim_file_size(sim, "/d/new") == -ENOENT; /* in any order */
        sim_destroy(sim);
    }
    assert_true(made > 20 && made < 180 && renamed > 20 && renamed < 180);
    assert_true(gone > 20 && gone < 180 && both > 5);
}

static int fill_body(struct core *core, void *argument)
{
    static char block[65536];
    uint64_t *written = argument;
    int fd = await_open(core, "/full", O_RDWR | O_CREAT, 0600), result;
    memset(block, 'x', sizeof block);
    while ((result = await_write(core, fd, block, sizeof block, *written, 0)) > 0)
        *written += (unsigned)result;
    await_close(core, fd);
    return result;
}

static int unlink_body(struct core *core, void *argument)
{
    return await_unlink(core, argument);
}

static void space(void **state)
{
    (void)state;
    struct sim *sim = world(3);
    uint64_t written = 0;
    sim_disk_capacity(sim, 1 << 20);
    assert_int_equal(sim_run(sim, 0, fill_body, &written), -ENOSPC);
    assert_int_equal(written, 1 << 20);
    assert_int_equal(sim_run(sim, 0, unlink_body, (void *)(uintptr_t) "/full"), 0);
    sim_crash(sim, SIM_POWER_CUT); /* the directory was never synced: it may come back or not */
    assert_true(sim_disk_used(sim) == 0 || sim_file_size(sim, "/full") >= 0);
    sim_destroy(sim);
}

/* ---------------------------------------------------------------- sweeps and memory */

static int sweep_body(struct core *core, void *argument)
{
    int *results = argument;
    results[0] = await_open(core, "/s", O_RDWR | O_CREAT, 0600);
    results[1] = await_write(core, results[0], "x", 1, 0, 0);
    results[2] = await_fsync(core, results[0], false);
    char *volatile memory = malloc(100); /* volatile: compilers know malloc */
    results[3] = memory == NULL ? -ENOMEM : 0;
    free(memory);
    return await_close(core, results[0]);
}

static void sweeps(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 5; n++) {
        struct sim *sim = world(4);
        int results[4] = {0};
        sim_fail_nth(sim, SIM_OPERATION_FILE | SIM_OPERATION_MEMORY, n, 0, false);
        sim_run(sim, 0, sweep_body, results);
        if (n != 1) /* without a file the others fail too */
            for (uint64_t i = 0; i < 4; i++)
                assert_int_equal(results[i] < 0, i + 1 == n);
        else
            assert_int_equal(results[0], -EIO);
        assert_int_equal(sim_nth_failed(sim), n < 5);
        assert_int_equal(sim_operations(sim, SIM_OPERATION_FILE) + (n == 1 ? 2 : 0), 3);
        sim_destroy(sim);
    }
}

static int leak_body(struct core *core, void *argument)
{
    (void)core;
    void *volatile *leaked = argument;
    *leaked = malloc(1000);
    return 0;
}

static void leaks_are_seen(void **state)
{
    (void)state;
    void *volatile leaked;
    struct sim *sim = world(5);
    uint64_t before = sim_memory_live(sim);
    assert_int_equal(sim_run(sim, 0, leak_body, (void *)(uintptr_t)&leaked), 0);
    assert_true(sim_memory_live(sim) >= before + 1000);
    assert_int_equal(sim_stop(sim), 0);
    assert_non_null(sim_failure(sim));
    assert_non_null(strstr(sim_failure(sim), "1000 bytes"));
    assert_int_equal(sim_memory_live(sim), 0);
    sim_destroy(sim);
}

static int assert_body(struct core *core, void *argument)
{
    (void)argument;
    int fd = await_open(core, "/a", O_RDWR | O_CREAT, 0600);
    assert(fd >= 0 && "dies on purpose");
    return fd;
}

static void aborts(void **state)
{
    (void)state;
    struct sim *sim = world(6);
    sim_abort_is_crash(sim, true);
    sim_fail_nth(sim, SIM_OPERATION_FILE, 1, 0, false);
    assert_int_equal(sim_run(sim, 0, assert_body, NULL), SIM_CRASHED);
    assert_false(sim_is_up(sim));
    assert_non_null(strstr(sim_aborted(sim), "dies on purpose"));
    assert_int_equal(sim_start(sim), 0);
    assert_true(sim_run(sim, 0, assert_body, NULL) >= 0);
    sim_destroy(sim);
}

/* ---------------------------------------------------------------- a seed replays */

static uint64_t trace_of(uint64_t seed)
{
    static struct ear ear;
    struct sim_options options;
    sim_options_draw(&options, seed);
    options.engine.core_count = 2;
    struct sim *sim = sim_create(&options);
    for (int life = 0; life < 3; life++) {
        uint64_t written = 0;
        if (sim_start(sim) < 0)
            continue;
        sim_disk_capacity(sim, 1 << 20);
        sim_crash_after(sim, SIM_POWER_CUT, 500);
        sim_run(sim, 0, ear_open, &ear);
        struct sim_client *client = sim_connect(sim, "127.0.0.1", 99);
        sim_client_text(client, "some text to be cut into segments");
        if (sim_is_up(sim))
            sim_run(sim, 1, fill_body, &written);
        if (sim_is_up(sim))
            sim_crash(sim, SIM_KILL);
    }
    uint64_t trace = sim_trace_hash(sim);
    sim_destroy(sim);
    return trace;
}

static void replays(void **state)
{
    (void)state;
    uint64_t different = 0, last = 0;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        uint64_t trace = trace_of(seed);
        assert_int_equal(trace, trace_of(seed));
        different += trace != last;
        last = trace;
    }
    assert_int_equal(different, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments), cmocka_unit_test(resets),  cmocka_unit_test(names),
        cmocka_unit_test(space),    cmocka_unit_test(sweeps),  cmocka_unit_test(leaks_are_seen),
        cmocka_unit_test(aborts),   cmocka_unit_test(replays),
    };
    return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}
