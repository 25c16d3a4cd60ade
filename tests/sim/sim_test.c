/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The simulator itself: what the disk may and must do at a crash, what clients see, that planned
 * failures come where they are planned, that a seed replays.
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

static struct sim *world(uint64_t seed)
{
    struct sim_options options;
    sim_options_calm(&options, seed);
    struct sim *sim = sim_create(&options);
    assert_int_equal(sim_start(sim), 0);
    return sim;
}

static void world_end(struct sim *sim)
{
    assert_int_equal(sim_stop(sim), 0);
    if (sim_failure(sim) != NULL)
        fail_msg("%s", sim_failure(sim));
    sim_destroy(sim);
}

/* ---------------------------------------------------------------- time */

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
    struct sim *sim = world(1);
    uint64_t slept = 0;
    assert_int_equal(sim_run(sim, 0, sleep_body, &slept), 7);
    assert_in_range(slept, UINT64_C(60000000000), UINT64_C(60100000000));
    world_end(sim);
}

static int park_body(struct core *core, void *argument)
{
    (void)argument;
    fiber_park(core);
    return 0;
}

static void stuck_is_seen(void **state)
{
    (void)state;
    struct sim *sim = world(1);
    assert_int_equal(sim_run(sim, 0, park_body, NULL), SIM_STUCK);
    assert_false(sim_is_up(sim));
    assert_int_equal(sim_memory_live(sim), 0);
    sim_destroy(sim);
}

/* ---------------------------------------------------------------- the disk */

enum { BLOCK = 4096 };
struct disk_case {
    bool sync_file, sync_directory, dsync, direct;
    int fd, results[4];
};

/* Writes 'A's, makes them durable with the name, then 'B's over them as the case says. */
static int write_body(struct core *core, void *argument)
{
    struct disk_case *one = argument;
    static _Alignas(4096) char block[BLOCK];
    int extra = one->direct ? O_DIRECT : 0;
    assert_int_equal(kernel_directory_make(core_kernel(core), "/store/0", 0700), 0);
    int fd = await_open(core, "/store/0/file", O_RDWR | O_CREAT | extra, 0600);
    assert_true(fd >= 0);
    memset(block, 'A', sizeof block);
    assert_int_equal(await_write(core, fd, block, sizeof block, 0, 0), BLOCK);
    assert_int_equal(await_fsync(core, fd, true), 0);
    const char *directories[] = {"/", "/store", "/store/0"};
    for (int i = 0; i < (one->sync_directory ? 3 : 0); i++) {
        int directory = await_open(core, directories[i], O_RDONLY | O_DIRECTORY, 0);
        assert_true(directory >= 0);
        assert_int_equal(await_fsync(core, directory, false), 0);
        assert_int_equal(await_close(core, directory), 0);
    }
    memset(block, 'B', sizeof block);
    assert_int_equal(await_write(core, fd, block, sizeof block, 0, one->dsync ? RWF_DSYNC : 0),
                     BLOCK);
    if (one->sync_file)
        one->results[0] = await_fsync(core, fd, true);
    one->fd = fd;
    return 0;
}

/* How many of the 8 sectors hold 'B'; -1: the file is gone. Others must hold 'A'. */
static int sectors_new(struct sim *sim)
{
    char block[BLOCK];
    if (sim_file_size(sim, "/store/0/file") == -ENOENT)
        return -1;
    assert_int_equal(sim_file_size(sim, "/store/0/file"), BLOCK);
    assert_int_equal(sim_file_read(sim, "/store/0/file", 0, block, BLOCK), BLOCK);
    int count = 0;
    for (int i = 0; i < BLOCK; i += 512) {
        char c = block[i];
        assert_true(c == 'A' || c == 'B');
        for (int j = 0; j < 512; j++)
            assert_int_equal(block[i + j], c);
        count += c == 'B';
    }
    return count;
}

/* Runs the case for many seeds; a bit per outcome of sectors_new (bit 15: gone). */
static unsigned outcomes(const struct disk_case *one, enum sim_crash_kind kind)
{
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim *sim = world(seed);
        struct disk_case copy = *one;
        assert_int_equal(sim_run(sim, 0, write_body, &copy), 0);
        sim_crash(sim, kind);
        int count = sectors_new(sim);
        seen |= 1u << (count < 0 ? 15 : count);
        sim_destroy(sim);
    }
    return seen;
}

static void power_cut(void **state)
{
    (void)state;
    struct disk_case synced = {.sync_file = true, .sync_directory = true};
    assert_int_equal(outcomes(&synced, SIM_POWER_CUT), 1u << 8);
    struct disk_case dsync = {.dsync = true, .sync_directory = true, .direct = true};
    assert_int_equal(outcomes(&dsync, SIM_POWER_CUT), 1u << 8);
    struct disk_case unsynced = {.sync_directory = true};
    unsigned seen = outcomes(&unsynced, SIM_POWER_CUT);
    assert_true(seen & 1u && seen & 1u << 8 && seen & 0xfe);
    assert_false(seen & 1u << 15);
    struct disk_case nameless = {.sync_file = true};
    assert_int_equal(outcomes(&nameless, SIM_POWER_CUT), 1u << 15 | 1u << 8);
    assert_int_equal(outcomes(&unsynced, SIM_KILL), 1u << 8);
    assert_int_equal(outcomes(&nameless, SIM_FAIL_STOP), 1u << 8);
}

/* A failed fsync: the next one succeeds, the cache still shows the bytes, the medium never will. */
static int failed_sync_body(struct core *core, void *argument)
{
    struct disk_case *one = argument;
    static _Alignas(4096) char block[BLOCK];
    one->results[1] = await_fsync(core, one->fd, true);
    await_read(core, one->fd, block, sizeof block, 0);
    one->results[2] = block[0];
    int direct = await_open(core, "/store/0/file", O_RDONLY | O_DIRECT, 0);
    await_read(core, direct, block, sizeof block, 0);
    one->results[3] = block[0];
    return 0;
}

static void fsync_fails_for_good(void **state)
{
    (void)state;
    struct disk_case one = {.sync_directory = true};
    struct sim *sim = world(5);
    assert_int_equal(sim_run(sim, 0, write_body, &one), 0);
    sim_fail_nth(sim, SIM_OPERATION_FILE, 1, 0, false);
    assert_int_equal(sim_run(sim, 0, failed_sync_body, &one), 0);
    assert_true(sim_nth_failed(sim));
    assert_int_equal(one.results[1], -EIO);
    assert_int_equal(sim_run(sim, 0, failed_sync_body, &one), 0);
    assert_int_equal(one.results[1], 0);
    assert_int_equal(one.results[2], 'B');
    assert_int_equal(one.results[3], 'A');
    sim_crash(sim, SIM_POWER_CUT);
    assert_int_equal(sectors_new(sim), 0);
    sim_destroy(sim);
}

/* A write in flight at kill -9 may land when the next life has begun; the lock holds until then. */
static int in_flight_body(struct core *core, void *argument)
{
    static char block[BLOCK];
    struct disk_case *one = argument;
    int lock = kernel_file_lock(core_kernel(core), "/store/lock");
    assert_true(lock >= 0);
    assert_int_equal(core_hold_fd(core, lock), 0);
    assert_int_equal(kernel_file_lock(core_kernel(core), "/store/lock"), -EWOULDBLOCK);
    memset(block, 'C', sizeof block);
    one->fd = await_open(core, "/store/0/file", O_RDWR | O_CREAT, 0600);
    await_write(core, one->fd, block, sizeof block, 0, 0);
    return 0;
}

static int lock_body(struct core *core, void *argument)
{
    (void)argument;
    return kernel_file_lock(core_kernel(core), "/store/lock");
}

static void late_writes(void **state)
{
    (void)state;
    unsigned landed = 0, done = 0, dropped = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct sim *sim = world(seed);
        struct disk_case one = {0};
        char first;
        sim_file_patch(sim, "/store/0/file", 0, "old", 3);
        sim_disk_slow(sim, 1000000000);
        assert_int_equal(sim_spawn(sim, 0, in_flight_body, &one, NULL), 0);
        sim_pass(sim, 1500000000);
        assert_int_equal(sim_count(sim, SIM_COUNT_FILE_WRITES), 0);
        sim_crash(sim, SIM_KILL);
        sim_disk_slow(sim, 0);
        assert_int_equal(sim_start(sim), 0);
        sim_file_read(sim, "/store/0/file", 0, &first, 1);
        assert_int_equal(sim_run(sim, 0, lock_body, NULL), -EWOULDBLOCK);
        sim_pass(sim, 1000000000);
        char then;
        sim_file_read(sim, "/store/0/file", 0, &then, 1);
        done += first == 'C';
        dropped += then == 'o';
        landed += first == 'o' && then == 'C';
        assert_true(sim_run(sim, 0, lock_body, NULL) >= 0);
        sim_destroy(sim);
    }
    assert_true(landed > 10 && done > 10 && dropped > 10);
    assert_int_equal(landed + done + dropped, 100);
}

/* ---------------------------------------------------------------- many crashes, fast */

static int append_body(struct core *core, void *argument)
{
    static _Alignas(4096) char block[BLOCK];
    (void)argument;
    int fd = await_open(core, "/store/0/file", O_RDWR | O_CREAT | O_DIRECT, 0600);
    for (uint64_t i = 0; i < 4; i++)
        await_write(core, fd, block, sizeof block, i * BLOCK, RWF_DSYNC);
    return await_close(core, fd);
}

static void crashes(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct sim_options options;
        sim_options_draw(&options, seed);
        struct sim *sim = sim_create(&options);
        sim_directory_make(sim, "/store/0");
        for (int life = 0; life < 6; life++) {
            if (sim_start(sim) < 0)
                continue;
            sim_crash_after(sim, (enum sim_crash_kind)sim_below(sim, SIM_CRASH_KINDS),
                            1 + sim_below(sim, 60));
            while (sim_run(sim, 0, append_body, NULL) != SIM_CRASHED)
                ;
        }
        if (sim_failure(sim) != NULL)
            fail_msg("seed %d: %s", (int)seed, sim_failure(sim));
        sim_destroy(sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_jumps),
        cmocka_unit_test(stuck_is_seen),
        cmocka_unit_test(power_cut),
        cmocka_unit_test(late_writes),
        cmocka_unit_test(fsync_fails_for_good),
        cmocka_unit_test(crashes),
    };
    return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
