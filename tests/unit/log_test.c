/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The log on the real kernel, in a directory of its own: what was acknowledged is there in the next
 * life; bodies of all sizes read back; the lock keeps a second opener out. (Crashes and faults are
 * the business of tests/sim/log_cuts.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/store/log.h"
#include "ringpost/hash.h"
#include "ringpost/kernel_linux.h"

/* ---------------------------------------------------------------- one life */

struct life {
    struct engine *engine;
    struct kernel *kernel;
    struct core *core;
};

static struct life life_begin(void)
{
    struct life life = {0};
    struct engine_options options = {.core_count = 1,
                                     .connections_max = 16,
                                     .buffers = 16,
                                     .fibers_max = 64,
                                     .stack_bytes = 65536};
    assert_int_equal(kernel_linux_create(&life.kernel), 0);
    assert_int_equal(engine_create(&options, &life.kernel, &life.engine), 0);
    life.core = engine_core(life.engine, 0);
    assert_int_equal(core_open(life.core), 0);
    return life;
}

static void life_end(struct life *life)
{
    core_close(life->core);
    engine_destroy(life->engine);
    kernel_linux_destroy(life->kernel);
}

struct job {
    struct core *core;
    void (*fn)(struct core *core, void *argument);
    void *argument;
    bool done;
};

static void job_run(void *argument)
{
    struct job *job = argument;
    job->fn(job->core, job->argument);
    job->done = true;
}

/* fn on a fiber, turns until it has returned. */
static void run(struct life *life, void (*fn)(struct core *core, void *argument), void *argument)
{
    struct job job = {life->core, fn, argument, false};
    assert_int_equal(fiber_start(life->core, job_run, &job), 0);
    while (!job.done)
        core_turn(life->core, 100000000);
}

/* ---------------------------------------------------------------- a store of known messages */

enum { MESSAGES = 400 };

struct store {
    char directory[64];
    struct log_options options;
    struct log *log;
    struct log_position from, positions[MESSAGES];
    unsigned replayed, expected, fibers;
    int result;
};

static void store_make(struct store *store)
{
    *store = (struct store){.directory = "/tmp/ringpost-log-XXXXXX"};
    assert_non_null(mkdtemp(store->directory));
    store->options = (struct log_options){.directory = store->directory,
                                          .shard = 3,
                                          .store_id = 77,
                                          .segment_bytes = 4 << 20,
                                          .cache_bytes = 1 << 20};
}

static void store_remove(struct store *store)
{
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", store->directory);
    assert_int_equal(system(command), 0);
}

/* Sizes on both sides of each limit: copied, aligned, several chunks, mapped memory. */
static size_t size_of(unsigned i)
{
    static const size_t sizes[] = {1,     511,   512,    1024,   16384,  16385,  65535,
                                   65536, 65537, 131072, 262144, 262145, 700000, 100};
    return i % 14 == 13 ? i : sizes[i % 14];
}

static void body_fill(char *data, unsigned i)
{
    for (size_t at = 0; at < size_of(i); at++)
        data[at] = (char)(hash_u64(i) >> at % 8 * 8) ^ (char)(at >> 8);
}

static int replay(void *argument, const struct log_record *record)
{
    struct store *store = argument;
    unsigned i = store->replayed++;
    assert_true(i < MESSAGES);
    assert_int_equal(record->type, LOG_RECORD_MESSAGE);
    assert_int_equal(record->body_size, size_of(i));
    assert_int_equal(record->meta.size, 40 + i);
    assert_int_equal(record->meta.data[7], (char)i);
    store->positions[i] = record->position;
    return 0;
}

static void open_fn(struct core *core, void *argument)
{
    struct store *store = argument;
    store->replayed = 0;
    store->result = log_open(core, &store->options, store->from, replay, store, &store->log);
}

static void close_fn(struct core *core, void *argument)
{
    (void)core;
    struct store *store = argument;
    log_close(store->log);
}

static void append_fn(struct core *core, void *argument)
{
    struct store *store = argument;
    char meta[40 + MESSAGES];
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct log_body *body = log_body_take(core, i % 2 ? size_of(i) : 0);
        assert_non_null(body);
        char *data = malloc(size_of(i));
        body_fill(data, i);
        for (size_t at = 0, room; at < size_of(i); at += room) {
            char *to = log_body_room(body, size_of(i) - at, &room);
            assert_non_null(to);
            memcpy(to, data + at, room);
            log_body_added(body, room);
        }
        free(data);
        memset(meta, (int)i, sizeof meta);
        struct log_append append = {
            .type = LOG_RECORD_MESSAGE, .body = body, .meta = slice_of(meta, 40 + i)};
        assert_int_equal(log_append_await(store->log, &append), 0);
        store->positions[i] = append.position;
    }
}

static void read_fn(struct core *core, void *argument)
{
    (void)core;
    struct store *store = argument;
    char *want = malloc(700000), *is = malloc(700000), meta[40 + MESSAGES];
    for (unsigned i = 0; i < MESSAGES; i++) {
        body_fill(want, i);
        size_t step = i % 3 == 0 ? 16384 : 700000;
        for (size_t at = 0; at < size_of(i);) {
            int64_t got = log_read_body(store->log, store->positions[i], size_of(i), at, is, step);
            assert_true(got > 0);
            assert_memory_equal(is, want + at, (size_t)got);
            at += (size_t)got;
        }
        assert_int_equal(log_read_meta(store->log, store->positions[i], meta, sizeof meta), 40 + i);
        assert_int_equal(meta[0], (char)i);
    }
    free(want);
    free(is);
}

/* The newest lie in memory; every segment can be scanned; a dropped one is gone. */
static void scan_fn(struct core *core, void *argument)
{
    (void)core;
    struct store *store = argument;
    struct log_segment segments[64];
    struct slice peeked;
    char *want = malloc(700000);
    assert_true(log_peek_body(store->log, store->positions[MESSAGES - 1], &peeked));
    assert_false(log_peek_body(store->log, store->positions[0], &peeked));
    body_fill(want, MESSAGES - 1);
    assert_true(log_peek_body(store->log, store->positions[MESSAGES - 1], &peeked));
    assert_int_equal(peeked.size, size_of(MESSAGES - 1));
    assert_memory_equal(peeked.data, want, peeked.size);
    unsigned count = log_segments(store->log, segments, 64);
    assert_in_range(count, 3, 64);
    store->replayed = 0;
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(log_scan(store->log, segments[i].number, replay, store), 0);
    assert_int_equal(store->replayed, MESSAGES);
    assert_int_equal(log_damage(store->log, NULL, 0), 0);
    assert_int_equal(log_drop(store->log, segments[count - 1].number), -EBUSY);
    assert_int_equal(log_drop(store->log, segments[0].number), 0);
    assert_int_equal(log_drop(store->log, segments[0].number), -ENOENT);
    assert_int_equal(log_scan(store->log, segments[0].number, replay, store), -ENOENT);
    assert_int_equal(log_read_body(store->log, store->positions[0], size_of(0), 0, want, 1),
                     -ENOENT);
    free(want);
}

static void scan_and_drop(void **state)
{
    (void)state;
    struct store store;
    store_make(&store);
    struct life life = life_begin();
    run(&life, open_fn, &store);
    run(&life, append_fn, &store);
    run(&life, scan_fn, &store);
    run(&life, close_fn, &store);
    life_end(&life);
    store_remove(&store);
}

static void lives(void **state)
{
    (void)state;
    struct store store;
    store_make(&store);
    struct life life = life_begin();
    run(&life, open_fn, &store);
    assert_int_equal(store.result, 0);
    run(&life, append_fn, &store);
    run(&life, read_fn, &store);
    run(&life, close_fn, &store);
    life_end(&life);
    for (unsigned i = 0; i < 3; i++) {
        life = life_begin();
        run(&life, open_fn, &store);
        assert_int_equal(store.result, 0);
        assert_int_equal(store.replayed, MESSAGES);
        run(&life, read_fn, &store);
        run(&life, close_fn, &store);
        life_end(&life);
    }
    store_remove(&store);
}

/* D13 */
static void locked(void **state)
{
    (void)state;
    struct store store, second;
    store_make(&store);
    struct life life = life_begin(), other = life_begin();
    run(&life, open_fn, &store);
    assert_int_equal(store.result, 0);
    second = store;
    run(&other, open_fn, &second);
    assert_int_equal(second.result, -EWOULDBLOCK);
    run(&life, close_fn, &store);
    life_end(&life);
    run(&other, open_fn, &second);
    assert_int_equal(second.result, 0);
    run(&other, close_fn, &second);
    life_end(&other);
    store_remove(&store);
}

/* The budget of bodies is an answer, and all of it comes back. */
static void budget_fn(struct core *core, void *argument)
{
    (void)argument;
    struct log_body *bodies[65];
    size_t room;
    for (unsigned round = 0; round < 3; round++) {
        unsigned count = 0;
        while ((bodies[count] = log_body_take(core, 0)) != NULL)
            count++;
        assert_int_equal(count, (1 << 20) / 16384);
        assert_non_null(log_body_room(bodies[0], 100000, &room));
        assert_int_equal(room, 16384);
        log_body_added(bodies[0], room);
        assert_null(log_body_room(bodies[0], 1, &room));
        while (count > 0)
            log_body_give(bodies[--count]);
        struct log_body *large = log_body_take(core, UINT64_MAX);
        assert_non_null(large);
        for (size_t all = 0; log_body_room(large, SIZE_MAX, &room) != NULL; all += room) {
            assert_true(all < 1 << 20);
            log_body_added(large, room);
        }
        assert_int_equal(log_body_bytes(large).size, 1 << 20);
        log_body_give(large);
    }
}

static struct core *fiber_core;

/* Who finds the budget used up waits until another gives his part back, or for as long as he said.
 */
static void waiter_fn(void *argument)
{
    struct log_body **body = argument;
    fiber_sleep(fiber_core, 20000000);
    log_body_give(*body);
    *body = NULL;
}

static void budget_wait_fn(struct core *core, void *argument)
{
    size_t room;
    (void)argument;
    struct log_body *first = log_body_take(core, 768 << 10), *second = log_body_take(core, 0);
    assert_true(first != NULL && second != NULL);
    while (log_body_room(second, SIZE_MAX, &room) != NULL)
        log_body_added(second, room);
    uint64_t began_ns = core_now_ns(core);
    assert_null(log_body_await(second, 1, began_ns + 10000000, &room));
    assert_true(core_now_ns(core) >= began_ns + 10000000);
    fiber_core = core;
    assert_int_equal(fiber_start(core, waiter_fn, &first), 0);
    assert_non_null(log_body_await(second, 1, began_ns + UINT64_C(10000000000), &room));
    assert_null(first);
    assert_true(core_now_ns(core) < began_ns + UINT64_C(5000000000));
    first = log_body_take_await(core, 768 << 10, began_ns);
    assert_non_null(first);
    assert_null(log_body_take_await(core, 512 << 10, core_now_ns(core) + 10000000));
    assert_int_equal(fiber_start(core, waiter_fn, &first), 0);
    struct log_body *third =
        log_body_take_await(core, 512 << 10, core_now_ns(core) + UINT64_C(10000000000));
    assert_true(third != NULL && first == NULL);
    log_body_give(third);
    log_body_give(second);
}

/* Where no log is open the memory stays warm all the same. */
static void without_log_fn(struct core *core, void *argument)
{
    size_t room;
    (void)argument;
    assert_int_equal(log_bodies_open(core), 0);
    struct log_body *body = log_body_take(core, 0);
    assert_non_null(body);
    const char *memory = log_body_room(body, 1, &room);
    log_body_give(body);
    assert_ptr_equal(log_body_take(core, 0), body);
    assert_ptr_equal(log_body_room(body, 1, &room), memory);
    log_bodies_close(core);
    log_body_give(body); /* the last one */
    assert_null(core_local(core, CORE_LOCAL_LOG));
    log_bodies_close(core);
}

static void without_log(void **state)
{
    (void)state;
    struct life life = life_begin();
    run(&life, without_log_fn, NULL);
    life_end(&life);
}

static void budget(void **state)
{
    (void)state;
    struct store store;
    store_make(&store);
    store.options.body_bytes = 1 << 20;
    struct life life = life_begin();
    run(&life, open_fn, &store);
    run(&life, budget_fn, &store);
    run(&life, budget_wait_fn, &store);
    run(&life, close_fn, &store);
    life_end(&life);
    store_remove(&store);
}

/* A body that doubled while it came is kept at the size of its bytes: so it fits into its share of
 * the cache. What is kept there is not in the budget of those that come. */
static void large_fn(struct core *core, void *argument)
{
    struct store *store = argument;
    enum { SIZE = 1500000, COUNT = 24, KEPT = (8 << 20) / 1507328 /* pages of them */ };
    struct log_position positions[COUNT];
    struct slice peeked;
    char *is = malloc(SIZE);
    for (unsigned i = 0; i < COUNT; i++) {
        struct log_body *body = log_body_take(core, 0);
        assert_non_null(body);
        for (size_t at = 0, room; at < SIZE; at += room) {
            char *to = log_body_room(body, SIZE - at, &room);
            assert_non_null(to);
            memset(to, (int)i + 1, room);
            log_body_added(body, room);
        }
        struct log_append append = {.type = LOG_RECORD_MESSAGE, .body = body};
        assert_int_equal(log_append_await(store->log, &append), 0);
        positions[i] = append.position;
    }
    for (unsigned i = 0; i < COUNT; i++) {
        bool is_kept = log_peek_body(store->log, positions[i], &peeked);
        assert_int_equal(is_kept, i >= COUNT - KEPT);
        assert_int_equal(log_read_body(store->log, positions[i], SIZE, 0, is, SIZE), SIZE);
        for (size_t at = 0; at < SIZE; at++)
            assert_true(is[at] == (char)(i + 1) && (!is_kept || peeked.data[at] == is[at]));
    }
    free(is);
}

static void large_kept(void **state)
{
    (void)state;
    struct store store;
    store_make(&store);
    store.options.cache_bytes = 8 << 20; /* a share is 2 MiB; the body's memory had grown to that */
    store.options.body_bytes = 4 << 20;  /* less than what is kept */
    struct life life = life_begin();
    run(&life, open_fn, &store);
    run(&life, large_fn, &store);
    run(&life, close_fn, &store);
    life_end(&life);
    store_remove(&store);
}

static int open_result(struct store *store)
{
    struct life life = life_begin();
    run(&life, open_fn, store);
    if (store->result == 0)
        run(&life, close_fn, store);
    life_end(&life);
    return store->result;
}

/* D05: what bears a segment's name and is no file is not touched; opening a FIFO would wait. */
static void not_files(void **state)
{
    (void)state;
    struct store store;
    char path[100], target[100];
    store_make(&store);
    assert_int_equal(open_result(&store), 0);
    snprintf(path, sizeof path, "%s/0000000009.log", store.directory);
    snprintf(target, sizeof target, "%s/0000000001.log", store.directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(open_result(&store), -EXDEV);
    unlink(path);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(open_result(&store), -EXDEV);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(open_result(&store), -EXDEV);
    rmdir(path);
    assert_int_equal(open_result(&store), 0);
    store_remove(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives),    cmocka_unit_test(locked),      cmocka_unit_test(scan_and_drop),
        cmocka_unit_test(budget),   cmocka_unit_test(without_log), cmocka_unit_test(large_kept),
        cmocka_unit_test(not_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
