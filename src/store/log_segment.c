/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The live segments, and the keeper: the fiber that makes new ones.
 *
 *   a new segment:  spare ─▶ headers written, durable ─▶ renamed ─▶ directory synced ─▶ in use
 *   a dead one:     DROP record durable ─▶ nobody reads it ─▶ renamed to a spare ─▶ synced
 *
 * A rollover waits until everything before is durable, so the valid length that the new header
 * states is final (log_append.c). A dropped file is used again only when the drop cannot be
 * forgotten: else a later life would find the old name with new contents.
 */
#include "log_private.h"

#include <fcntl.h>
#include <stdio.h>

static const uint64_t RESUME_NS_MIN = UINT64_C(100000000), RESUME_NS_MAX = UINT64_C(5000000000);

void segment_path(const struct log *log, uint32_t number, char path[LOG_PATH_BYTES_MAX])
{
    snprintf(path, LOG_PATH_BYTES_MAX, "%s/%010u.log", log->directory, number);
}

uint32_t segment_identity(const struct log *log, uint32_t number, uint32_t epoch)
{
    struct format_identity identity = {.store_id = log->store_id,
                                       .shard = log->shard,
                                       .number = number,
                                       .epoch = epoch,
                                       .version = FORMAT_VERSION};
    return format_identity_checksum(&identity);
}

static struct segment *find(const struct log *log, uint32_t number)
{
    unsigned low = 0, high = log->segment_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (log->segments[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < log->segment_count && log->segments[low].number == number;
    return found ? &log->segments[low] : NULL;
}

struct segment *segment_find(struct log *log, uint32_t number)
{
    struct segment *segment = find(log, number);
    return segment != NULL && !segment->dropped ? segment : NULL;
}

static int reserve(struct log *log)
{
    if (log->segment_count < log->segment_capacity)
        return 0;
    unsigned capacity = log->segment_capacity ? 2 * log->segment_capacity : 16;
    struct segment *segments = realloc(log->segments, capacity * sizeof *segments);
    if (segments == NULL)
        return -ENOMEM;
    log->segments = segments;
    log->segment_capacity = capacity;
    return 0;
}

int segment_add(struct log *log, const struct segment *segment)
{
    int result = reserve(log);
    if (result < 0)
        return result;
    assert(log->segment_count == 0 ||
           log->segments[log->segment_count - 1].number < segment->number);
    log->segments[log->segment_count++] = *segment;
    return 0;
}

void segment_remove(struct log *log, uint32_t number)
{
    struct segment *segment = find(log, number);
    assert(segment != NULL && segment->pins == 0 && segment->read_fd < 0);
    unsigned index = (unsigned)(segment - log->segments);
    memmove(segment, segment + 1, (log->segment_count - index - 1) * sizeof *segment);
    log->segment_count--;
}

unsigned segment_live_count(const struct log *log)
{
    unsigned count = 0;
    for (unsigned i = 0; i < log->segment_count; i++)
        count += !log->segments[i].dropped;
    return count;
}

uint32_t segment_begin_bytes(const struct log *log, unsigned seals)
{
    uint64_t bytes = 2 * format_header_bytes(seals);
    return bytes < log->segment_bytes ? (uint32_t)bytes : log->segment_bytes;
}

/* A failed sync may have lost any name since the one before: no spare can be relied on. */
static int directory_sync(struct log *log)
{
    int result = await_fsync(log->core, log->directory_fd, false);
    log->directory_failures += result < 0;
    while (result < 0 && log->spare_count > 0)
        spare_discard(log, &log->spares[--log->spare_count]);
    return result;
}

/* The sync of somebody else that failed meanwhile may have lost this name as well. */
int file_rename(struct log *log, const char *from, const char *to)
{
    uint32_t failures = log->directory_failures;
    int result = await_rename(log->core, from, to);
    if (result == 0)
        result = directory_sync(log);
    return result == 0 && log->directory_failures != failures ? -EIO : result;
}

/* ---------------------------------------------------------------- a new segment */

/* An empty segment is not listed: it holds nothing that could be lost. */
static bool is_listed(const struct segment *segment)
{
    return !segment->dropped && segment->valid_bytes > segment->begin;
}

/* Both headers, one after the other. NULL: no memory, or no room. */
static char *header_make(struct log *log, uint32_t number, uint32_t begin, size_t *ret_size)
{
    uint64_t size = format_header_bytes(segment_live_count(log));
    void *memory = NULL;
    if (2 * size > begin || posix_memalign(&memory, 4096, 2 * size) != 0)
        return NULL;
    char *header = memory;
    memset(header, 0, size);
    struct format_segment *segment = memory;
    *segment = (struct format_segment){
        .version = FORMAT_VERSION,
        .shard = log->shard,
        .store_id = log->store_id,
        .number = number,
        .epoch = log->epoch,
        .begin = begin,
        .segment_bytes = log->segment_bytes,
        .first_sequence = log->durable_sequence,
    };
    memcpy(segment->magic, FORMAT_MAGIC, sizeof segment->magic);
    char *at = header + sizeof *segment;
    for (unsigned i = 0; i < log->segment_count; i++) {
        const struct segment *older = &log->segments[i];
        if (!is_listed(older))
            continue;
        struct format_seal seal = {older->number, older->epoch, older->begin, older->valid_bytes,
                                   older->first_sequence};
        memcpy(at, &seal, sizeof seal);
        at += sizeof seal;
        segment->seal_count++;
    }
    segment->header_bytes = (uint32_t)(at - header);
    segment->checksum = crc32c(0, header, segment->header_bytes);
    memcpy(header + size, header, size);
    *ret_size = 2 * size;
    return header;
}

static int header_write(struct log *log, int fd, uint32_t number, uint32_t begin)
{
    size_t size = 0;
    char *header = header_make(log, number, begin, &size);
    if (header == NULL)
        return -ENOMEM;
    int result = await_write(log->core, fd, header, size, 0, RWF_DSYNC);
    free(header);
    return result < 0 ? result : (size_t)result == size ? 0 : -EIO;
}

static int segment_name(struct log *log, const struct spare *spare, uint32_t number)
{
    char from[LOG_PATH_BYTES_MAX], to[LOG_PATH_BYTES_MAX];
    spare_path(log, spare->id, from);
    segment_path(log, number, to);
    log->number_max = number;
    int result = file_rename(log, from, to);
    if (result < 0)
        await_unlink(log->core, to);
    return result;
}

static void segment_in_use(struct log *log, const struct segment *fresh, int fd)
{
    struct segment *last = log->segment_count > 0 ? &log->segments[log->segment_count - 1] : NULL;
    int write_fd = log->write_fd;
    uint32_t empty = 0;
    log->write_fd = fd;
    if (last != NULL && !is_listed(last) && last->pins == 0 && last->read_fd < 0) {
        empty = last->number;
        log->segment_count--;
    }
    int result = segment_add(log, fresh);
    assert(result == 0 && "reserved");
    (void)result;
    if (write_fd < 0)
        return;
    await_close(log->core, write_fd);
    if (empty != 0) {
        char path[LOG_PATH_BYTES_MAX];
        segment_path(log, empty, path);
        await_unlink(log->core, path);
    }
}

int segment_begin(struct log *log, uint32_t number, uint32_t begin)
{
    struct spare spare;
    int result = reserve(log);
    if (result == 0)
        result = spare_take(log, &spare);
    if (result < 0)
        return result;
    result = header_write(log, spare.fd, number, begin);
    if (result == 0)
        result = segment_name(log, &spare, number);
    if (result < 0) {
        spare_discard(log, &spare);
        return result;
    }
    struct segment fresh = {.number = number,
                            .epoch = log->epoch,
                            .begin = begin,
                            .valid_bytes = begin,
                            .first_sequence = log->durable_sequence,
                            .identity = segment_identity(log, number, log->epoch),
                            .read_fd = -1};
    segment_in_use(log, &fresh, spare.fd);
    return 0;
}

/* ---------------------------------------------------------------- the keeper */

void keeper_wake(struct log *log)
{
    waiters_wake_all(log->core, &log->keeper);
}

static bool roll_wanted(const struct log *log)
{
    return log->phase == LOG_RUNNING && log->commit_count == 0 && log->staged != NULL &&
           log->staged->position.segment != log->segments[log->segment_count - 1].number;
}

static void epoch_over(struct log *log, int result)
{
    append_fail_all(log, log_error(result));
    log->statistics.failures++;
    log->error = log_error(result);
}

static void tail_in_next(struct log *log)
{
    log->planned = 1;
    log->tail = (struct log_position){log->number_max + 1,
                                      segment_begin_bytes(log, segment_live_count(log))};
}

static void roll(struct log *log)
{
    struct log_position at = log->staged->position;
    uint32_t number_max = log->number_max;
    log->rolling = true;
    int result = segment_begin(log, at.segment, at.offset);
    log->rolling = false;
    if (result == 0) {
        log->planned--;
        append_begin_commits(log);
        return;
    }
    epoch_over(log, result);
    if (log->number_max == number_max && log->spare_error != 0) {
        /* there is no spare; nothing was touched, and what still fits may come */
        const struct segment *last = &log->segments[log->segment_count - 1];
        log->tail = (struct log_position){last->number, last->valid_bytes};
        log->planned = 0;
        return;
    }
    log->phase = LOG_RESUMING;
    tail_in_next(log);
}

static void resume(struct log *log)
{
    if (log->phase == LOG_FAILED)
        tail_in_next(log);
    struct log_position at = log->staged != NULL ? log->staged->position : log->tail;
    log->epoch++;
    int result = segment_begin(log, at.segment, at.offset);
    if (result < 0) {
        epoch_over(log, result);
        uint64_t wait = 2 * log->resume_wait_ns;
        wait = wait < RESUME_NS_MIN ? RESUME_NS_MIN : wait > RESUME_NS_MAX ? RESUME_NS_MAX : wait;
        log->resume_wait_ns = wait;
        log->resume_retry_ns = core_now_ns(log->core) + wait;
        log->phase = LOG_FAILED;
        return;
    }
    log->resume_wait_ns = 0;
    log->planned--;
    log->phase = LOG_RUNNING;
    append_begin_commits(log);
}

static uint64_t keeper_deadline(const struct log *log)
{
    uint64_t deadline = 0;
    if (log->phase == LOG_FAILED)
        deadline = log->resume_retry_ns;
    if (log->spare_error != 0 && log->spare_count < log->spares_wanted &&
        (deadline == 0 || log->spare_retry_ns < deadline))
        deadline = log->spare_retry_ns;
    return deadline;
}

void keeper_run(void *argument)
{
    struct log *log = argument;
    while (!log->closing) {
        bool resumes = log->phase == LOG_RESUMING ||
                       (log->phase == LOG_FAILED && core_now_ns(log->core) >= log->resume_retry_ns);
        if (resumes)
            resume(log);
        else if (roll_wanted(log))
            roll(log);
        else if (spare_wanted(log))
            spare_step(log);
        else
            waiters_wait(log->core, &log->keeper, keeper_deadline(log));
    }
    if (log->is_filling) {
        struct spare spare = log->filling;
        log->is_filling = false;
        spare_discard(log, &spare);
    }
    log->keeper_runs = false;
    waiters_wake_all(log->core, &log->keeper_end);
}

/* ---------------------------------------------------------------- drops */

struct drop {
    struct log_append append;
    struct log *log;
    uint32_t number;
    bool is_mine;
};

static void drop_done(struct log_append *append, int result)
{
    struct drop *drop = (struct drop *)append;
    struct segment *segment = segment_find(drop->log, drop->number);
    if (result < 0 || segment == NULL)
        return;
    segment->dropped = true;
    drop->is_mine = true;
}

/* The file of a segment that no header and no reader needs any more. */
int segment_retire(struct log *log, uint32_t number)
{
    char from[LOG_PATH_BYTES_MAX], to[LOG_PATH_BYTES_MAX];
    segment_path(log, number, from);
    if (log->spare_count >= log->spares_wanted)
        return await_unlink(log->core, from);
    struct spare spare = {log->spare_id_next++, -1};
    spare_path(log, spare.id, to);
    int result = file_rename(log, from, to);
    if (result < 0)
        return result;
    if (!spare_add(log, &spare))
        spare_discard(log, &spare);
    return 0;
}

int log_drop(struct log *log, uint32_t number)
{
    struct segment *segment = segment_find(log, number);
    if (segment == NULL)
        return -ENOENT;
    if (segment == &log->segments[log->segment_count - 1])
        return -EBUSY;
    struct drop drop = {.append = {.type = (enum log_record_type)FORMAT_TYPE_DROP,
                                   .urgent = true,
                                   .meta = slice_of(&number, sizeof number),
                                   .done = drop_done},
                        .log = log,
                        .number = number};
    int result = log_append_await(log, &drop.append);
    if (result < 0 || !drop.is_mine)
        return result;
    while ((segment = find(log, number))->pins > 0)
        waiters_wait(log->core, &log->unpinned, 0);
    int fd = segment->read_fd;
    bool missing = segment->missing;
    if (fd >= 0) {
        segment->read_fd = -1;
        log->read_fds--;
    }
    segment_remove(log, number);
    if (fd >= 0)
        await_close(log->core, fd);
    if (missing)
        return 0;
    segment_retire(log, number); /* else it is left to the next opening */
    return 0;
}

unsigned log_segments(const struct log *log, struct log_segment *segments, unsigned capacity)
{
    unsigned count = 0;
    for (unsigned i = 0; i < log->segment_count; i++) {
        const struct segment *segment = &log->segments[i];
        if (segment->dropped)
            continue;
        if (count < capacity)
            segments[count] =
                (struct log_segment){segment->number, segment->epoch, segment->valid_bytes};
        count++;
    }
    return count;
}

struct log_position log_durable_end(const struct log *log)
{
    const struct segment *last = &log->segments[log->segment_count - 1];
    return (struct log_position){last->number, last->valid_bytes};
}
