/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The log's files, damaged: torn at every byte, each byte flipped, lengths that lie, files missing,
 * doubled or of somebody else. Row ids are those of the list of bad inputs (D01 to D05, D11, D14).
 *
 * A store is made once and its files taken as an image; each case puts the damaged image into a
 * fresh world and opens it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../src/store/format.h"
#include "log_store.h"

static struct oracle oracle, made;
static struct log_image image;

/* Every byte where it is 1; the shares of a test that is slow. */
static unsigned stride(void)
{
    const char *text = getenv("STRIDE");
    int number = text == NULL ? 1 : atoi(text);
    return number > 0 ? (unsigned)number : 1;
}

/* A store of two lives, the second closed in order or not. What the oracle knows is kept. */
static void make(bool closed)
{
    struct log_store store;
    store_begin(&store, &made, 1);
    assert_int_equal(store_open(&store), 0);
    assert_int_equal(store_append(&store, 3, 700, 30), 0);
    assert_int_equal(store_append(&store, 1, 0, 100), 0);
    assert_int_equal(store_close(&store), 0);
    assert_int_equal(store_open(&store), 0);
    assert_int_equal(store_append(&store, 2, 900, 50), 0);
    assert_int_equal(store_append(&store, 1, 17000, 10), 0); /* in a chunk of its own */
    assert_int_equal(store_append(&store, 2, 0, 60), 0);
    assert_int_equal(store_append(&store, 1, 600, 20), 0);
    if (closed)
        assert_int_equal(store_close(&store), 0);
    else
        sim_crash(store.sim, SIM_FAIL_STOP);
    image_take(&store, &image);
    store_end(&store);
}

/* The image in a fresh world, not yet opened. */
static void load(struct log_store *store)
{
    store_begin(store, &oracle, 2);
    oracle = made;
    oracle.sim = store->sim;
    image_put(&image, store->sim);
}

static void segment_name(uint32_t number, char path[64])
{
    snprintf(path, 64, "/s/%010u.log", number);
}

static uint32_t disk_bytes(const struct oracle_entry *entry)
{
    struct format_record record = {.meta_bytes = entry->meta_size,
                                   .body_bytes = entry->body_size,
                                   .flags = entry->body_size > 16384 ? FORMAT_FLAG_ALIGNED : 0};
    return (uint32_t)format_disk_bytes(&record);
}

/* Records that [offset, offset + size) of the segment touches may be lost. How many. */
static unsigned excuse(uint32_t segment, uint64_t offset, uint64_t size)
{
    unsigned touched = 0;
    for (uint32_t id = 0; id < oracle.count; id++) {
        struct oracle_entry *entry = &oracle.entries[id];
        uint32_t start = entry->position.offset;
        if (entry->position.segment != segment || start >= offset + size ||
            start + disk_bytes(entry) <= offset)
            continue;
        entry->excused = true;
        touched++;
    }
    return touched;
}

/* Opens, reads everything; touched records are answered by an error or by what was sent, and if
 * any is missing the log says so. */
static void open_and_judge(struct log_store *store, const char *what, uint64_t n)
{
    int result = store_open(store);
    if (result != 0)
        fail_msg("%s, case %llu: log_open: %d", what, (unsigned long long)n, result);
    unsigned lost = 0;
    for (uint32_t id = 0; id < oracle.count; id++) {
        const struct oracle_entry *entry = &oracle.entries[id];
        bool seen = entry->seen == oracle.recovery;
        if (!seen)
            lost++;
        if (!seen || entry->type != LOG_RECORD_MESSAGE)
            continue;
        int64_t got = store_read(store, id);
        if (got == -EBADMSG && entry->excused)
            lost++;
        else if (got != entry->body_size)
            fail_msg("%s, case %llu: reading record %u: %lld", what, (unsigned long long)n, id,
                     (long long)got);
    }
    if (lost > 0 && log_damage(store->log, NULL, 0) == 0)
        fail_msg("%s, case %llu: %u records lost and nobody told", what, (unsigned long long)n,
                 lost);
    if (sim_failure(store->sim) != NULL)
        fail_msg("%s, case %llu: %s", what, (unsigned long long)n, sim_failure(store->sim));
}

static void close_and_end(struct log_store *store)
{
    assert_int_equal(store_append(store, 1, 500, 10), 0);
    assert_int_equal(store_close(store), 0);
    assert_null(sim_failure(store->sim));
    store_end(store);
}

/* ---------------------------------------------------------------- D01, D02 */

enum torn { TORN_ZEROS, TORN_GARBAGE, TORN_OLD, TORN_CUT, TORN_KINDS };

static void tear(struct log_store *store, enum torn how, uint64_t at, uint64_t end)
{
    char path[64], *data = sim_keep_alloc(end - at + 1);
    const char *old = image_segment(&image, 1, NULL);
    segment_name(2, path);
    for (uint64_t i = 0; i < end - at; i++)
        data[i] = how == TORN_GARBAGE ? (char)(i * 131 + at) : how == TORN_OLD ? old[at + i] : 0;
    if (how == TORN_CUT)
        sim_file_truncate(store->sim, path, at);
    else
        sim_file_patch(store->sim, path, at, data, end - at);
    sim_keep_free(data);
}

static void d01_torn_tail(void **state)
{
    (void)state;
    make(false);
    const struct oracle_entry *last = &made.entries[made.count - 1];
    const struct oracle_entry *large = &made.entries[made.count - 4];
    uint64_t end = last->position.offset + disk_bytes(last);
    for (int how = 0; how < TORN_KINDS; how++)
        for (uint64_t at = large->position.offset; at < end;
             at += at < last->position.offset - 1100 ? 97 : stride()) {
            struct log_store store;
            load(&store);
            /* what lies behind the tear was never acknowledged: these bytes were not there */
            for (uint32_t id = 0; id < oracle.count; id++) {
                struct oracle_entry *entry = &oracle.entries[id];
                if (entry->position.segment == 2 && entry->position.offset + disk_bytes(entry) > at)
                    entry->acknowledged = entry->fate == FATE_PRESENT;
            }
            tear(&store, (enum torn)how, at, end);
            assert_int_equal(store_open(&store), 0);
            store_read_all(&store);
            if (sim_failure(store.sim) != NULL)
                fail_msg("torn (%d) at %llu: %s", how, (unsigned long long)at,
                         sim_failure(store.sim));
            close_and_end(&store);
        }
    image_free(&image);
}

/* A hole: record n is missing, n+1 behind it holds, and neither was acknowledged. */
static void d02_hole(void **state)
{
    (void)state;
    make(false);
    for (uint32_t back = 2; back <= 3; back++) {
        struct log_store store;
        char path[64], zeros[LOG_BLOCK_BYTES] = {0};
        load(&store);
        uint32_t missing = oracle.count - back;
        uint32_t at = oracle.entries[missing].position.offset;
        char *bytes = sim_keep_alloc(65536), *whole = sim_keep_alloc(65536);
        memcpy(whole, image_segment(&image, 2, NULL), 65536);
        segment_name(2, path);
        /* as if the commits behind it had been in flight together with it */
        memcpy(bytes, whole, 65536);
        struct format_identity identity = {store.options.store_id, store.options.shard, 2, 2,
                                           FORMAT_VERSION};
        for (uint32_t id = missing; id < oracle.count; id++) {
            uint32_t offset = oracle.entries[id].position.offset;
            struct format_record record;
            memcpy(&record, bytes + offset, sizeof record);
            record.durable = at;
            memcpy(bytes + offset, &record, sizeof record);
            record.checksum =
                format_record_checksum(format_identity_checksum(&identity), bytes + offset,
                                       format_head_bytes(record.body_bytes));
            memcpy(bytes + offset, &record, sizeof record);
            oracle.entries[id].acknowledged = false;
        }
        sim_file_patch(store.sim, path, 0, bytes, 65536);
        sim_file_patch(store.sim, path, at, zeros, sizeof zeros);
        assert_int_equal(store_open(&store), 0);
        for (uint32_t id = missing; id < oracle.count; id++)
            assert_int_equal(oracle.entries[id].fate, FATE_ABSENT);
        assert_int_equal(store_close(&store), 0);
        sim_file_patch(store.sim, path, at, bytes + at, sizeof zeros); /* it lands after all */
        assert_int_equal(store_open(&store), 0);
        assert_null(sim_failure(store.sim));
        close_and_end(&store);
        sim_keep_free(bytes);
        sim_keep_free(whole);
    }
    image_free(&image);
}

/* ---------------------------------------------------------------- D03 */

static uint64_t used_bytes(uint32_t segment)
{
    uint64_t end = 0;
    for (uint32_t id = 0; id < made.count; id++) {
        const struct oracle_entry *entry = &made.entries[id];
        if (entry->position.segment == segment)
            end = entry->position.offset + disk_bytes(entry);
    }
    return end + 4096 + 2 * LOG_BLOCK_BYTES; /* and the END records */
}

static void d03_every_byte_flipped(void **state)
{
    (void)state;
    make(true);
    unsigned touching = 0;
    for (uint32_t segment = 1; segment <= 2; segment++)
        for (uint64_t at = 0; at < used_bytes(segment);
             at += (at > 12800 && at < 28000 ? 13 : 1) * stride()) {
            struct log_store store;
            char path[64];
            load(&store);
            segment_name(segment, path);
            sim_file_flip(store.sim, path, at * 8 + at % 8);
            touching += excuse(segment, at, 1);
            open_and_judge(&store, "a bit flipped", at);
            close_and_end(&store);
        }
    assert_true(touching > 5000 / stride());
    image_free(&image);
}

static void d03_blocks(void **state)
{
    (void)state;
    make(true);
    static const uint32_t sizes[] = {512, 4096};
    for (unsigned kind = 0; kind < 2; kind++)
        for (uint32_t segment = 1; segment <= 2; segment++)
            for (uint64_t at = 0; at < used_bytes(segment); at += sizes[kind])
                for (unsigned garbage = 0; garbage < 2; garbage++) {
                    struct log_store store;
                    char path[64], *data = sim_keep_alloc(sizes[kind]);
                    load(&store);
                    segment_name(segment, path);
                    memset(data, garbage ? 0x5a : 0, sizes[kind]);
                    sim_file_patch(store.sim, path, at, data, sizes[kind]);
                    excuse(segment, at, sizes[kind]);
                    open_and_judge(&store, "a block gone", at);
                    close_and_end(&store);
                    sim_keep_free(data);
                }
    image_free(&image);
}

/* ---------------------------------------------------------------- D04 */

/* Lengths that lie, under a checksum that holds. */
static void d04_lengths(void **state)
{
    (void)state;
    make(true);
    static const uint32_t lies[] = {0,          1,      511,    65535,           65536,
                                    65537,      524288, 524289, 0x7fffffff,      0x80000000,
                                    UINT32_MAX, 61440,  17000,  UINT32_MAX - 511};
    for (unsigned which = 0; which < 3; which++)
        for (unsigned i = 0; i < sizeof lies / sizeof *lies; i++)
            for (uint32_t id = 0; id < made.count; id++) {
                struct log_store store;
                char path[64], *bytes = sim_keep_alloc(65536 + (1 << 20));
                load(&store);
                const struct oracle_entry *entry = &oracle.entries[id];
                uint32_t segment = entry->position.segment, at = entry->position.offset;
                struct format_identity identity = {store.options.store_id, store.options.shard,
                                                   segment, segment, FORMAT_VERSION};
                struct format_record record;
                memcpy(bytes, image_segment(&image, segment, NULL), 65536);
                memcpy(&record, bytes + at, sizeof record);
                if (which != 1)
                    record.body_bytes = lies[i];
                if (which != 0)
                    record.meta_bytes = lies[i];
                memcpy(bytes + at, &record, sizeof record);
                uint32_t head = format_head_bytes(record.body_bytes);
                record.checksum = format_record_checksum(
                    format_identity_checksum(&identity), bytes + at,
                    head < 65536 + (1 << 20) - at ? head : (uint32_t)sizeof record);
                memcpy(bytes + at, &record, sizeof record);
                segment_name(segment, path);
                sim_file_patch(store.sim, path, 0, bytes, 65536);
                sim_keep_free(bytes);
                /* a lie may cover what follows; nothing false may be served, nothing may crash */
                excuse(segment, at, 65536);
                oracle.entries[id].fate = FATE_OPEN;
                int result = store_open(&store);
                assert_true(result == 0 || result == -EBADMSG);
                assert_true(sim_memory_live(store.sim) < (4 << 20));
                store_end(&store);
            }
    image_free(&image);
}

/* ---------------------------------------------------------------- D05, D14 */

static void d05_missing_in_the_middle(void **state)
{
    (void)state;
    make(true);
    struct log_store store;
    char path[64];
    struct log_damage damage;
    load(&store);
    segment_name(1, path);
    sim_file_delete(store.sim, path);
    assert_int_equal(excuse(1, 0, 65536), 4);
    open_and_judge(&store, "a segment missing", 0);
    assert_int_equal(log_damage(store.log, &damage, 1), 1);
    assert_int_equal(damage.kind, LOG_DAMAGE_SEGMENT);
    assert_int_equal(damage.records, 4 + 2);
    assert_int_equal(store_read(&store, 0), -EBADMSG);
    close_and_end(&store);
    image_free(&image);
}

static void d05_newest_missing(void **state)
{
    (void)state;
    make(true);
    struct log_store store;
    char path[64];
    load(&store);
    segment_name(2, path);
    sim_file_delete(store.sim, path);
    oracle.from = made.entries[made.count - 1].position;
    assert_int_equal(store_open(&store), -ESTALE);
    store_end(&store);
    image_free(&image);
}

static int open_changed(void (*change)(struct log_store *store))
{
    struct log_store store;
    load(&store);
    change(&store);
    int result = store_open(&store);
    assert_null(sim_failure(store.sim));
    store_end(&store);
    return result;
}

static void put(struct log_store *store, uint32_t number, const char *data, size_t size)
{
    char path[64];
    segment_name(number, path);
    sim_file_patch(store->sim, path, 0, data, size);
}

static void doubled(struct log_store *store)
{
    put(store, 3, image_segment(&image, 2, NULL), 65536);
}

static void of_another_store(struct log_store *store)
{
    store->options.store_id++;
}

static void of_another_shard(struct log_store *store)
{
    store->options.shard++;
}

static void empty(struct log_store *store)
{
    put(store, 3, "", 1);
    char path[64];
    segment_name(3, path);
    sim_file_truncate(store->sim, path, 0);
}

static void a_directory(struct log_store *store)
{
    sim_file_patch(store->sim, "/s/0000000003.log/x", 0, "", 1);
}

static void header_patch(struct log_store *store, uint32_t version)
{
    char *bytes = sim_keep_alloc(65536);
    struct format_segment header;
    memcpy(bytes, image_segment(&image, 2, NULL), 65536);
    for (uint32_t at = 0; at <= 4096; at += 4096) {
        memcpy(&header, bytes + at, sizeof header);
        header.version = version;
        header.checksum = 0;
        memcpy(bytes + at, &header, sizeof header);
        header.checksum = crc32c(0, bytes + at, header.header_bytes);
        memcpy(bytes + at, &header, sizeof header);
    }
    put(store, 2, bytes, 65536);
    sim_keep_free(bytes);
}

static void newer(struct log_store *store)
{
    header_patch(store, FORMAT_VERSION + 1);
}

static void big_endian(struct log_store *store)
{
    header_patch(store, FORMAT_VERSION << 24);
}

static void no_headers(struct log_store *store)
{
    char zeros[8192] = {0};
    put(store, 2, zeros, sizeof zeros);
}

static void wrong_options(struct log_store *store)
{
    store->options.segment_bytes = 65537;
}

static void d05_not_ours(void **state)
{
    (void)state;
    make(true);
    assert_int_equal(open_changed(doubled), -EXDEV);
    assert_int_equal(open_changed(of_another_store), -EXDEV);
    assert_int_equal(open_changed(of_another_shard), -EXDEV);
    assert_int_equal(open_changed(a_directory), -EXDEV);
    assert_int_equal(open_changed(empty), -EBADMSG);
    assert_int_equal(open_changed(no_headers), -EBADMSG);
    assert_int_equal(open_changed(wrong_options), -EINVAL);
    image_free(&image);
}

static void d14_other_versions(void **state)
{
    (void)state;
    make(true);
    assert_int_equal(open_changed(newer), -EPROTO);
    assert_int_equal(open_changed(big_endian), -EPROTO);
    image_free(&image);
}

/* ---------------------------------------------------------------- D03: in a large body */

enum { BAD_CHUNK = 6, LARGE_BYTES = 10 * FORMAT_CHUNK_BYTES + 100 };

struct large {
    struct log_store *store;
    char *want, *is;
    uint64_t step;
    bool is_cut; /* nothing is behind the chunk */
};

/* Reads on from `offset` in steps. How far it came; what stopped it in *ret_result. */
static uint64_t read_on(const struct large *large, uint64_t offset, int64_t *ret_result)
{
    for (;; offset += (uint64_t)*ret_result) {
        *ret_result = log_read_body(large->store->log, oracle.entries[0].position, LARGE_BYTES,
                                    offset, large->is, large->step);
        if (*ret_result <= 0)
            return offset;
        assert_memory_equal(large->is, large->want + offset, *ret_result);
    }
}

static int large_body(struct core *core, void *argument)
{
    (void)core;
    struct large *large = argument;
    static const uint64_t steps[] = {10000, 65536, 131072, LARGE_BYTES};
    int64_t result;
    for (unsigned i = 0; i < 4; i++) {
        large->step = steps[i];
        assert_int_equal(read_on(large, 0, &result), BAD_CHUNK * FORMAT_CHUNK_BYTES);
        assert_int_equal(result, -EBADMSG);
        uint64_t behind = (BAD_CHUNK + 1) * FORMAT_CHUNK_BYTES;
        assert_int_equal(read_on(large, behind, &result), large->is_cut ? behind : LARGE_BYTES);
        assert_int_equal(result, large->is_cut ? -EBADMSG : 0);
    }
    return 0;
}

/* What lies before and behind a damaged chunk is read, however many chunks are read at once. */
static void large_case(bool is_older, bool is_cut)
{
    struct log_store store;
    struct large large = {&store, sim_keep_alloc(LARGE_BYTES), sim_keep_alloc(LARGE_BYTES), 0,
                          is_cut};
    char path[64];
    store_begin(&store, &oracle, 3);
    store.options.segment_bytes = 1 << 20;
    assert_int_equal(store_open(&store), 0);
    assert_int_equal(store_append(&store, 1, LARGE_BYTES, 30), 0);
    if (is_older) {
        assert_int_equal(store_close(&store), 0);
        assert_int_equal(store_open(&store), 0);
    }
    const struct oracle_entry *entry = &oracle.entries[0];
    struct format_record record = {
        .meta_bytes = 30, .body_bytes = LARGE_BYTES, .flags = FORMAT_FLAG_ALIGNED};
    uint64_t in_body = BAD_CHUNK * FORMAT_CHUNK_BYTES + 77;
    uint64_t in_file = entry->position.offset + format_body_offset(&record) + in_body;
    oracle_body(0, large.want, LARGE_BYTES);
    char bad = (char)(large.want[in_body] ^ 4);
    segment_name(entry->position.segment, path);
    if (is_cut)
        sim_file_truncate(store.sim, path, in_file);
    else
        sim_file_patch(store.sim, path, in_file, &bad, 1);
    assert_int_equal(store_run(&store, large_body, &large), 0);
    assert_true(log_damage(store.log, NULL, 0) > 0);
    assert_int_equal(store_close(&store), 0);
    store_end(&store);
    sim_keep_free(large.want);
    sim_keep_free(large.is);
}

static void d03_one_chunk(void **state)
{
    (void)state;
    large_case(false, false); /* past the page cache */
    large_case(true, false);
    large_case(true, true);
}

/* ---------------------------------------------------------------- D11 */

static void d11_read_error(void **state)
{
    (void)state;
    make(true);
    struct log_store store;
    load(&store);
    store.options.cache_bytes = 0;
    assert_int_equal(store_open(&store), 0);
    sim_fault_set(store.sim, SIM_FAULT_READ_ERROR, 1000000);
    assert_int_equal(store_read(&store, 0), -EIO);
    sim_fault_set(store.sim, SIM_FAULT_READ_ERROR, 0);
    store_read_all(&store);
    assert_int_equal(store_append(&store, 3, 300, 10), 0);
    assert_int_equal(log_damage(store.log, NULL, 0), 0);
    close_and_end(&store);
    image_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(d01_torn_tail),
                                       cmocka_unit_test(d02_hole),
                                       cmocka_unit_test(d03_every_byte_flipped),
                                       cmocka_unit_test(d03_blocks),
                                       cmocka_unit_test(d03_one_chunk),
                                       cmocka_unit_test(d04_lengths),
                                       cmocka_unit_test(d05_missing_in_the_middle),
                                       cmocka_unit_test(d05_newest_missing),
                                       cmocka_unit_test(d05_not_ours),
                                       cmocka_unit_test(d14_other_versions),
                                       cmocka_unit_test(d11_read_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
