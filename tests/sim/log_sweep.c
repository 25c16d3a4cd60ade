/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The log, exhaustively: a fixed piece of work (appends small and large, rollovers, a drop, a good
 * end, a recovery) is crashed at every event, and each of its operations fails in turn, once or for
 * good, with each errno; memory too. After each the oracle compares, and the log must serve again.
 * Row ids are those of the list of bad inputs (D07 to D12).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "log_store.h"

static struct oracle oracle;

static void no_failure(struct log_store *store, const char *what, uint64_t n)
{
    if (sim_failure(store->sim) != NULL)
        fail_msg("%s, case %llu: %s", what, (unsigned long long)n, sim_failure(store->sim));
}

/* Three segments' worth, a drop, events, a large body. Answers that errors may spoil are ignored:
 * the oracle knows what was acknowledged. */
static void work(struct log_store *store)
{
    if (store_open(store) != 0)
        return;
    store_append(store, 6, 1000, 60);
    store_append_together(store, 4, 700, 30);
    store_append(store, 3, 20000, 100);
    store_append(store, 2, 0, 300);
    if (store->log != NULL)
        store_drop(store, 1);
    store_append(store, 2, 25000, 10);
    store_append(store, 2, 0, 40);
}

/* Whatever happened: faults off, a new life, all is well. */
static void heal_and_check(struct log_store *store, const char *what, uint64_t n)
{
    struct sim *sim = store->sim;
    no_failure(store, what, n);
    sim_crash_after(sim, SIM_FAIL_STOP, 0);
    sim_fail_nth(sim, 0, 0, 0, false);
    sim_heal(sim);
    if (sim_is_up(sim))
        sim_crash(sim, SIM_POWER_CUT);
    int result = store_open(store);
    if (result != 0)
        fail_msg("%s, case %llu: log_open after healing: %d", what, (unsigned long long)n, result);
    store_read_all(store);
    if (store_append(store, 2, 900, 20) != 0)
        fail_msg("%s, case %llu: mail does not flow again", what, (unsigned long long)n);
    assert_int_equal(store_close(store), 0);
    no_failure(store, what, n);
}

static uint64_t events_of_work(void)
{
    struct log_store store;
    store_begin(&store, &oracle, 1);
    uint64_t before = sim_count(store.sim, SIM_COUNT_EVENTS);
    work(&store);
    uint64_t events = sim_count(store.sim, SIM_COUNT_EVENTS) - before;
    store_end(&store);
    assert_true(events > 100);
    return events;
}

static void d07_crash_at_every_event(void **state)
{
    (void)state;
    uint64_t events = events_of_work();
    for (uint64_t n = 1; n <= events; n++)
        for (int kind = 0; kind < SIM_CRASH_KINDS; kind++)
            for (uint64_t seed = 1; seed <= (kind == SIM_POWER_CUT ? 4 : 1); seed++) {
                struct log_store store;
                store_begin(&store, &oracle, seed);
                sim_crash_after(store.sim, (enum sim_crash_kind)kind, n);
                work(&store);
                heal_and_check(&store, "crash", n);
                store_end(&store);
            }
}

/* Recovery is crashed at every event, and the recoveries after it: three deep. */
static void d07_crash_in_recovery(void **state)
{
    (void)state;
    for (uint64_t first = 20; first < 400; first += 31)
        for (uint64_t n = 1; n < 40; n++)
            for (int kind = 0; kind < SIM_CRASH_KINDS; kind++) {
                struct log_store store;
                store_begin(&store, &oracle, first);
                sim_crash_after(store.sim, SIM_POWER_CUT, first);
                work(&store);
                for (uint64_t deep = 0; deep < 3; deep++) {
                    if (sim_is_up(store.sim))
                        sim_crash(store.sim, (enum sim_crash_kind)kind);
                    sim_crash_after(store.sim, (enum sim_crash_kind)kind, n + deep * 7);
                    store_open(&store);
                }
                heal_and_check(&store, "crash in recovery", n);
                store_end(&store);
            }
}

static void fail_each(int error, bool persistent, unsigned kinds, const char *what)
{
    for (uint64_t n = 1;; n++) {
        struct log_store store;
        store_begin(&store, &oracle, n);
        sim_fail_nth(store.sim, kinds, n, error, persistent);
        work(&store);
        bool has_failed = sim_nth_failed(store.sim);
        heal_and_check(&store, what, n);
        store_end(&store);
        if (!has_failed)
            return;
        assert_true(n < 2000);
    }
}

/* D09; D08 too: an fsync is among them, fails once or always, and the process restarts. */
static void d09_every_operation_fails(void **state)
{
    (void)state;
    static const int errors[] = {-EIO, -ENOSPC, -EDQUOT, -EFBIG, -EROFS, -EINTR, -EAGAIN};
    for (unsigned i = 0; i < sizeof errors / sizeof *errors; i++) {
        fail_each(errors[i], false, SIM_OPERATION_FILE, "an operation failed once");
        fail_each(errors[i], true, SIM_OPERATION_FILE, "operations failed for good");
    }
}

static void every_call_fails(void **state)
{
    (void)state;
    fail_each(0, false, SIM_OPERATION_CALL, "a call failed");
}

/* R09 */
static void every_allocation_fails(void **state)
{
    (void)state;
    fail_each(0, false, SIM_OPERATION_MEMORY, "no memory once");
}

/* ---------------------------------------------------------------- D08 */

static void d08_fsync_fails(void **state)
{
    (void)state;
    struct log_store store;
    store_begin(&store, &oracle, 8);
    assert_int_equal(store_open(&store), 0);
    assert_int_equal(store_append(&store, 5, 1000, 20), 0);
    sim_crash(store.sim, SIM_KILL);
    sim_fault_set(store.sim, SIM_FAULT_FSYNC_ERROR, 1000000);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(store_open(&store), -EIO); /* nobody is let in */
        sim_crash(store.sim, SIM_FAIL_STOP);
    }
    heal_and_check(&store, "fsync always fails", 0);
    store_end(&store);
}

/* ---------------------------------------------------------------- D10 */

static void d10_disk_full(void **state)
{
    (void)state;
    struct log_store store;
    store_begin(&store, &oracle, 10);
    store.options.cache_bytes = 0;
    sim_disk_capacity(store.sim, 5 * 65536 + 8192);
    assert_int_equal(store_open(&store), 0);
    int result = 0;
    for (unsigned i = 0; i < 1000 && result == 0; i++)
        result = store_append(&store, 1, 1500, 20);
    assert_int_equal(result, -ENOSPC);
    assert_int_equal(log_state(store.log), -ENOSPC);
    store_read_all(&store);                               /* reads go on */
    assert_int_equal(store_append(&store, 9, 0, 300), 0); /* deletions too */
    assert_int_equal(store_append(&store, 1, 1500, 20), -ENOSPC);
    struct log_segment segments[16];
    unsigned count = log_segments(store.log, segments, 16);
    assert_true(count >= 3);
    assert_int_equal(store_drop(&store, segments[0].number), 0);
    assert_int_equal(store_drop(&store, segments[1].number), 0);
    assert_int_equal(store_append(&store, 1, 1500, 20), 0); /* healed by itself */
    assert_int_equal(log_state(store.log), 0);
    no_failure(&store, "disk full", 0);
    heal_and_check(&store, "disk full", 1);
    store_end(&store);
}

/* Somebody else makes room: the log finds out without being told, and without a restart. */
static void d10_heals(void **state)
{
    (void)state;
    struct log_store store;
    store_begin(&store, &oracle, 11);
    sim_disk_capacity(store.sim, 3 * 65536 + 8192);
    assert_int_equal(store_open(&store), 0);
    int result = 0;
    for (unsigned i = 0; i < 1000 && result == 0; i++)
        result = store_append(&store, 1, 3000, 20);
    assert_int_equal(result, -ENOSPC);
    sim_disk_capacity(store.sim, 64 << 20);
    sim_pass(store.sim, UINT64_C(3000000000));
    assert_int_equal(log_state(store.log), 0);
    assert_int_equal(store_append(&store, 30, 3000, 20), 0);
    heal_and_check(&store, "space came back", 0);
    store_end(&store);
}

/* A failed write: what was in flight fails, the next append is taken, without a restart. */
static void resumes(void **state)
{
    (void)state;
    struct log_store store;
    store_begin(&store, &oracle, 12);
    assert_int_equal(store_open(&store), 0);
    assert_int_equal(store_append(&store, 3, 1000, 20), 0);
    for (unsigned i = 0; i < 5; i++) {
        sim_fault_set(store.sim, SIM_FAULT_WRITE_ERROR, 1000000);
        assert_int_equal(store_append(&store, 1, 1000, 20), -EIO);
        sim_fault_set(store.sim, SIM_FAULT_WRITE_ERROR, 0);
        sim_pass(store.sim, UINT64_C(12000000000));
        assert_int_equal(log_state(store.log), 0);
        assert_int_equal(store_append(&store, 3, 1000, 20), 0);
        store_read_all(&store);
    }
    heal_and_check(&store, "resumed", 0);
    store_end(&store);
}

/* Opening reads the newest segment, however many there are. */
static uint64_t reads_of_open(unsigned records)
{
    struct log_store store;
    store_begin(&store, &oracle, 13);
    assert_int_equal(store_open(&store), 0);
    assert_int_equal(store_append(&store, records, 15000, 20), 0);
    oracle.from = log_durable_end(store.log);
    assert_int_equal(store_close(&store), 0);
    uint64_t before = sim_count(store.sim, SIM_COUNT_FILE_READS);
    assert_int_equal(store_open(&store), 0);
    uint64_t reads = sim_count(store.sim, SIM_COUNT_FILE_READS) - before;
    assert_true(log_segments(store.log, NULL, 0) > records / 5);
    assert_int_equal(store_close(&store), 0);
    no_failure(&store, "opening", records);
    store_end(&store);
    return reads;
}

static void opening_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(reads_of_open(6), reads_of_open(81));
}

/* ---------------------------------------------------------------- D12 */

/* Writes of a killed process land before its lock is free, never after. */
static void d12_late_writes(void **state)
{
    (void)state;
    uint64_t late = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct log_store store;
        store_begin(&store, &oracle, seed);
        for (unsigned life = 0; life < 4; life++) {
            sim_crash_after(store.sim, SIM_KILL, 30 + seed % 97 + life * 11);
            work(&store);
            if (sim_is_up(store.sim))
                sim_crash(store.sim, SIM_KILL);
        }
        late += sim_count(store.sim, SIM_COUNT_LATE_WRITES);
        heal_and_check(&store, "late writes", seed);
        store_end(&store);
    }
    assert_true(late > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(d07_crash_at_every_event),
                                       cmocka_unit_test(d07_crash_in_recovery),
                                       cmocka_unit_test(d09_every_operation_fails),
                                       cmocka_unit_test(every_call_fails),
                                       cmocka_unit_test(every_allocation_fails),
                                       cmocka_unit_test(d08_fsync_fails),
                                       cmocka_unit_test(d10_disk_full),
                                       cmocka_unit_test(d10_heals),
                                       cmocka_unit_test(resumes),
                                       cmocka_unit_test(opening_is_bounded),
                                       cmocka_unit_test(d12_late_writes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
