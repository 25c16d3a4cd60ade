/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Micro-benchmark of the log's records: one of events is encoded into a commit. What does that is
 * private to log_append.c, which is therefore included here.
 */
#include "../../src/store/log_append.c"

#include "micro.h"

enum { META_BYTES = 300 };

static struct log encoder;
static struct segment segment;
static struct commit commit;

static uint64_t record_begin(void)
{
    static char buffer[LOG_COMMIT_BUFFER_BYTES];
    segment = (struct segment){.number = 1, .identity = 4711};
    encoder.segments = &segment;
    encoder.segment_count = 1;
    encoder.segment_bytes = 64 << 20;
    commit.buffer = buffer;
    return 1;
}

static void record_run(void)
{
    static char meta[META_BYTES];
    struct log_append append = {.type = LOG_RECORD_EVENTS, .meta = slice_of(meta, sizeof meta)};
    struct format_record record;
    uint64_t used = 0;
    lengths(&append, &record);
    append.disk_bytes = (uint32_t)format_disk_bytes(&record);
    commit.piece_count = 0;
    commit.bytes = 0;
    micro_must(commit_add(&encoder, &commit, &used, &append) && used == 512, "log-record");
}

const struct micro micro_log[] = {
    {"log-record", "record", record_begin, record_run},
    {0},
};
