/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Opening a log: the lock, then what the directory holds, then which of it counts.
 *
 *   lock (held by the ring, so that no write of a dead process can land after it)
 *   ─▶ newest segment's header: which older ones live, up to where   (nothing older is opened,
 *   ─▶ newest segment: sync, read past the page cache, find its end   unless it is to be replayed)
 *   ─▶ replay from `from` on
 *   ─▶ a new epoch: its first header, seals included, durable with its name
 *   ─▶ only now: files that nothing lists become spares; the caller is let in
 */
#include "log_private.h"

#include <fcntl.h>

#include "ringpost/kernel.h"

enum { READS_MAX = 1000 /* of one window, all short */ };
static const uint64_t LOCK_NS_MAX = UINT64_C(10000000000), LOCK_NS = UINT64_C(20000000);

/* ---------------------------------------------------------------- the directory */

struct found {
    uint32_t *numbers, *spares;
    unsigned count, spare_count, capacity, spare_capacity;
    bool stray, no_memory;
};

static bool list_add(uint32_t **list, unsigned *count, unsigned *capacity, uint32_t value)
{
    if (*count == *capacity) {
        unsigned larger = *capacity ? 2 * *capacity : 64;
        uint32_t *grown = realloc(*list, larger * sizeof *grown);
        if (grown == NULL)
            return false;
        *list = grown;
        *capacity = larger;
    }
    (*list)[(*count)++] = value;
    return true;
}

static void found_one(void *argument, const char *name, bool is_regular)
{
    struct found *found = argument;
    struct slice rest = slice_cstr(name);
    uint64_t number;
    if (slice_starts_nocase(rest, SLICE("spare-"))) {
        if (slice_number(slice_from(rest, 6), UINT32_MAX - 1, &number) && is_regular &&
            !list_add(&found->spares, &found->spare_count, &found->spare_capacity,
                      (uint32_t)number))
            found->no_memory = true;
        return;
    }
    if (rest.size != 14 || !slice_equal(slice_from(rest, 10), SLICE(".log")) ||
        !slice_number(slice_first(rest, 10), UINT32_MAX - 1, &number))
        return;
    if (!is_regular || number == 0)
        found->stray = true;
    else if (!list_add(&found->numbers, &found->count, &found->capacity, (uint32_t)number))
        found->no_memory = true;
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static int directory_read(struct log *log, struct found *found)
{
    int result = kernel_directory_list(core_kernel(log->core), log->directory, found_one, found);
    if (result < 0)
        return result;
    if (found->stray || found->no_memory)
        return found->stray ? -EXDEV : -ENOMEM;
    if (found->count > 0)
        qsort(found->numbers, found->count, sizeof *found->numbers, compare);
    return 0;
}

static bool is_found(const struct found *found, uint32_t number)
{
    return found->count > 0 &&
           bsearch(&number, found->numbers, found->count, sizeof number, compare) != NULL;
}

static int lock_take(struct log *log)
{
    char path[LOG_PATH_BYTES_MAX];
    size_t size = strlen(log->directory);
    memcpy(path, log->directory, size);
    memcpy(path + size, "/lock", 6);
    uint64_t until = core_now_ns(log->core) + LOCK_NS_MAX;
    int fd;
    while ((fd = kernel_file_lock(core_kernel(log->core), path)) == -EWOULDBLOCK &&
           core_now_ns(log->core) < until)
        fiber_sleep(log->core, LOCK_NS);
    if (fd < 0)
        return fd;
    int result = core_hold_fd(log->core, fd);
    await_close(log->core, fd);
    return result;
}

/* A new log's directory may be new itself: its name must outlive a power cut too. */
static int parent_sync(struct log *log)
{
    char path[LOG_PATH_BYTES_MAX];
    size_t size = strlen(log->directory);
    memcpy(path, log->directory, size + 1);
    while (size > 0 && path[size - 1] == '/')
        size--;
    while (size > 0 && path[size - 1] != '/')
        size--;
    memcpy(path + size, size > 0 ? "" : ".", size > 0 ? 1 : 2);
    int fd = await_open(log->core, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    int result = await_fsync(log->core, fd, false);
    await_close(log->core, fd);
    return result;
}

/* ---------------------------------------------------------------- the newest header */

/* 0 and the header at `at`, or -ENOENT none, -EPROTO one of another version. */
static int header_at(const char *window, uint64_t size, uint64_t at,
                     struct format_segment *ret_header)
{
    struct format_segment header, zeroed;
    if (at + sizeof header > size)
        return -ENOENT;
    memcpy(&header, window + at, sizeof header);
    if (memcmp(header.magic, FORMAT_MAGIC, sizeof header.magic) != 0)
        return -ENOENT;
    if (header.version == __builtin_bswap32(FORMAT_VERSION))
        return -EPROTO;
    if (header.header_bytes < sizeof header || header.header_bytes > size - at)
        return -ENOENT;
    zeroed = header;
    zeroed.checksum = 0;
    uint32_t checksum = crc32c(0, &zeroed, sizeof zeroed);
    checksum = crc32c(checksum, window + at + sizeof header, header.header_bytes - sizeof header);
    if (checksum != header.checksum)
        return -ENOENT;
    if (header.version != FORMAT_VERSION)
        return -EPROTO;
    if (header.header_bytes !=
        sizeof header + (uint64_t)header.seal_count * sizeof(struct format_seal))
        return -ENOENT;
    *ret_header = header;
    return 0;
}

/* The first that holds: at 0, or the second, wherever it is. */
static int header_find(const char *window, uint64_t size, struct format_segment *ret_header,
                       const char **ret_seals)
{
    int worst = -EBADMSG;
    for (uint64_t at = 0; at < size; at += FORMAT_HEADER_ALIGN_BYTES) {
        struct format_segment header;
        int result = header_at(window, size, at, &header);
        if (result == 0 && (at == 0 || at == format_header_bytes(header.seal_count))) {
            *ret_header = header;
            *ret_seals = window + at + sizeof header;
            return 0;
        }
        if (result == -EPROTO && at <= FORMAT_HEADER_ALIGN_BYTES)
            worst = -EPROTO;
    }
    return worst;
}

static int seals_take(struct log *log, const struct format_segment *header, const char *seals)
{
    for (uint32_t i = 0; i < header->seal_count; i++) {
        struct format_seal seal;
        memcpy(&seal, seals + i * sizeof seal, sizeof seal);
        if (seal.number >= header->number || seal.number == 0 || seal.begin > seal.valid_bytes ||
            seal.valid_bytes > FORMAT_SEGMENT_BYTES_MAX)
            return -EBADMSG;
        struct segment segment = {.number = seal.number,
                                  .epoch = seal.epoch,
                                  .begin = seal.begin,
                                  .valid_bytes = seal.valid_bytes,
                                  .first_sequence = seal.first_sequence,
                                  .identity = segment_identity(log, seal.number, seal.epoch),
                                  .read_fd = -1};
        int result = segment_add(log, &segment);
        if (result < 0)
            return result;
    }
    struct segment newest = {.number = header->number,
                             .epoch = header->epoch,
                             .begin = header->begin,
                             .valid_bytes = header->begin,
                             .first_sequence = header->first_sequence,
                             .identity = segment_identity(log, header->number, header->epoch),
                             .read_fd = -1};
    return segment_add(log, &newest);
}

static int header_use(struct log *log, uint32_t number, const char *window, uint64_t size,
                      uint32_t *ret_bytes)
{
    struct format_segment header;
    const char *seals;
    int result = header_find(window, size, &header, &seals);
    if (result < 0)
        return result;
    if (header.store_id != log->store_id || header.shard != log->shard || header.number != number)
        return -EXDEV;
    if (header.segment_bytes > FORMAT_SEGMENT_BYTES_MAX ||
        header.segment_bytes < FORMAT_SEGMENT_BYTES_MIN || header.begin > header.segment_bytes ||
        header.begin % FORMAT_BLOCK_BYTES != 0)
        return -EBADMSG;
    *ret_bytes = header.segment_bytes;
    return seals_take(log, &header, seals);
}

/* Reads until a header is found, or the file ends. */
static int header_read(struct log *log, uint32_t number, int fd, uint32_t *ret_bytes)
{
    uint64_t file_bytes = 0;
    int result = kernel_file_size(core_kernel(log->core), fd, &file_bytes);
    if (result < 0)
        return result;
    file_bytes = file_bytes < FORMAT_SEGMENT_BYTES_MAX ? file_bytes : FORMAT_SEGMENT_BYTES_MAX;
    uint64_t size = 65536;
    for (;; size *= 16) {
        size = size < file_bytes ? size : format_round(file_bytes, FORMAT_HEADER_ALIGN_BYTES);
        void *window = NULL;
        if (size == 0 || posix_memalign(&window, 4096, size) != 0)
            return size == 0 ? -EBADMSG : -ENOMEM;
        memset(window, 0, size);
        uint64_t got = 0;
        for (unsigned tries = 0; got < size && tries < READS_MAX; tries++) {
            result = await_read(log->core, fd, (char *)window + got, size - got, got);
            if (result <= 0)
                break;
            got += (uint32_t)result / FORMAT_BLOCK_BYTES * FORMAT_BLOCK_BYTES;
        }
        result = result < 0 ? result : header_use(log, number, window, size, ret_bytes);
        free(window);
        if (result != -EBADMSG || size >= file_bytes)
            return result;
    }
}

/* ---------------------------------------------------------------- what counts */

struct replay {
    struct log *log;
    int (*each)(void *argument, const struct log_record *record);
    void *argument;
};

static bool is_own(uint8_t type)
{
    return type >= FORMAT_TYPE_DROP;
}

static int replay_each(void *argument, const struct log_record *record, uint8_t type)
{
    const struct replay *replay = argument;
    return is_own(type) ? 0 : replay->each(replay->argument, record);
}

static int drops_each(void *argument, const struct log_record *record, uint8_t type)
{
    struct log *log = argument;
    uint32_t number;
    if (type != FORMAT_TYPE_DROP || record->meta.size != sizeof number)
        return 0;
    memcpy(&number, record->meta.data, sizeof number);
    struct segment *segment = segment_find(log, number);
    if (segment != NULL && number < record->position.segment)
        segment->dropped = true;
    return 0;
}

/* Rule: sync, then read past the page cache, then believe. */
static int newest_recover(struct log *log, uint32_t number)
{
    char path[LOG_PATH_BYTES_MAX];
    uint32_t bytes = 0;
    segment_path(log, number, path);
    int fd = open_direct(log, path, O_RDWR);
    if (fd < 0)
        return fd;
    int result = await_fsync(log->core, fd, false);
    if (result == 0)
        result = header_read(log, number, fd, &bytes);
    if (result == 0) {
        struct segment *newest = &log->segments[log->segment_count - 1];
        struct scan scan = {.log = log,
                            .segment = newest,
                            .fd = fd,
                            .mode = SCAN_TAIL,
                            .limit = bytes,
                            .each = drops_each,
                            .argument = log};
        result = scan_run(&scan);
        newest->valid_bytes = scan.limit;
        log->durable_sequence = scan.sequence;
        log->epoch = newest->epoch;
    }
    await_close(log->core, fd);
    return result;
}

/* Those that were dropped leave; those whose file is gone are told. */
static void table_clean(struct log *log, const struct found *found)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < log->segment_count; i++) {
        struct segment segment = log->segments[i];
        if (segment.dropped)
            continue;
        if (!is_found(found, segment.number)) {
            uint64_t next = i + 1 < log->segment_count ? log->segments[i + 1].first_sequence
                                                       : segment.first_sequence;
            struct log_damage damage = {LOG_DAMAGE_SEGMENT,
                                        {segment.number, segment.begin},
                                        segment.valid_bytes - segment.begin,
                                        segment.first_sequence,
                                        next - segment.first_sequence};
            segment.missing = true;
            damage_note(log, &damage);
        }
        log->segments[kept++] = segment;
    }
    log->segment_count = kept;
}

static int segment_scan(struct log *log, const struct segment *segment, struct scan *scan)
{
    char path[LOG_PATH_BYTES_MAX];
    segment_path(log, segment->number, path);
    int fd = open_direct(log, path, O_RDONLY);
    if (fd < 0)
        return fd;
    scan->log = log;
    scan->segment = segment;
    scan->fd = fd;
    scan->mode = SCAN_SEALED;
    scan->limit = segment->valid_bytes;
    int result = scan_run(scan);
    await_close(log->core, fd);
    return result;
}

static int replay_all(struct log *log, struct log_position from, struct replay *replay)
{
    const struct segment *newest = &log->segments[log->segment_count - 1];
    if (from.segment > newest->number ||
        (from.segment == newest->number && from.offset > newest->valid_bytes))
        return -ESTALE;
    for (unsigned i = 0; i < log->segment_count; i++) {
        const struct segment *segment = &log->segments[i];
        if (segment->number < from.segment || segment->missing ||
            segment->valid_bytes == segment->begin)
            continue;
        struct scan scan = {.skip_bodies = true,
                            .quiet = segment == newest,
                            .from = segment->number == from.segment ? from.offset : 0,
                            .sequence_end = segment == newest ? log->durable_sequence
                                                              : segment[1].first_sequence,
                            .each = replay_each,
                            .argument = replay};
        int result = segment_scan(log, segment, &scan);
        if (result < 0)
            return result;
    }
    return 0;
}

int log_scan(struct log *log, uint32_t number,
             int (*each)(void *argument, const struct log_record *record), void *argument)
{
    struct segment *segment = segment_find(log, number);
    if (segment == NULL || segment->missing)
        return -ENOENT;
    struct replay replay = {log, each, argument};
    struct segment copy = *segment; /* the table moves */
    struct scan scan = {.each = replay_each, .argument = &replay};
    bool is_last = segment == &log->segments[log->segment_count - 1];
    scan.sequence_end = is_last ? log->durable_sequence : segment[1].first_sequence;
    segment->pins++;
    int result = segment_scan(log, &copy, &scan);
    segment_unpin(log, number);
    return result;
}

/* ---------------------------------------------------------------- opening */

static void spares_take(struct log *log, const struct found *found)
{
    for (unsigned i = 0; i < found->spare_count; i++) {
        struct spare spare = {found->spares[i], -1};
        if (spare.id >= log->spare_id_next)
            log->spare_id_next = spare.id + 1;
        if (!spare_add(log, &spare))
            spare_discard(log, &spare);
    }
}

/* Files that nothing lists. The newest one is not among them before a newer header is durable. */
static void strays_retire(struct log *log, const struct found *found, uint32_t below)
{
    for (unsigned i = 0; i < found->count && found->numbers[i] < below; i++)
        if (segment_find(log, found->numbers[i]) == NULL)
            segment_retire(log, found->numbers[i]);
}

static int recover(struct log *log, struct log_position from, struct replay *replay,
                   const struct found *found)
{
    uint32_t newest = found->count > 0 ? found->numbers[found->count - 1] : 0;
    int result = 0;
    log->durable_sequence = 1;
    log->number_max = newest;
    if (newest == 0)
        result = from.segment > 0 ? -ESTALE : parent_sync(log);
    else
        result = newest_recover(log, newest);
    if (result < 0)
        return result;
    table_clean(log, found);
    if (newest != 0)
        result = replay_all(log, from, replay);
    if (result < 0)
        return result;
    spares_take(log, found);
    strays_retire(log, found, newest);
    log->next_sequence = log->durable_sequence;
    log->epoch++;
    result = segment_begin(log, newest + 1, segment_begin_bytes(log, segment_live_count(log)));
    if (result < 0)
        return result;
    if (newest != 0 && segment_find(log, newest) == NULL)
        segment_retire(log, newest);
    log->tail = log_durable_end(log);
    return 0;
}

static int open_steps(struct log *log, struct log_position from, struct replay *replay)
{
    struct found found = {0};
    int result = lock_take(log);
    if (result < 0)
        return result;
    log->directory_fd = await_open(log->core, log->directory, O_RDONLY | O_DIRECTORY, 0);
    if (log->directory_fd < 0)
        return log->directory_fd;
    result = directory_read(log, &found);
    if (result == 0)
        result = recover(log, from, replay, &found);
    free(found.numbers);
    free(found.spares);
    if (result < 0)
        return result;
    result = fiber_start(log->core, keeper_run, log);
    log->keeper_runs = result == 0;
    return result;
}

static void destroy(struct log *log)
{
    readers_free(log);
    for (unsigned i = 0; i < log->spare_count; i++)
        if (log->spares[i].fd >= 0)
            await_close(log->core, log->spares[i].fd);
    if (log->is_filling)
        await_close(log->core, log->filling.fd);
    if (log->write_fd >= 0)
        await_close(log->core, log->write_fd);
    if (log->directory_fd >= 0)
        await_close(log->core, log->directory_fd);
    for (unsigned i = 0; i < LOG_COMMITS_IN_FLIGHT; i++)
        free(log->commits[i].buffer);
    if (log->cache.buckets != NULL)
        cache_close(&log->cache);
    free(log->zeros);
    free(log->segments);
    free(log->directory);
    log_core_unref(log->shared);
    free(log);
}

static bool options_hold(const struct log_options *options, uint32_t segment_bytes)
{
    return segment_bytes >= FORMAT_SEGMENT_BYTES_MIN && segment_bytes <= FORMAT_SEGMENT_BYTES_MAX &&
           segment_bytes % 4096 == 0 && options->spare_segments <= LOG_SPARES_MAX &&
           strlen(options->directory) + 32 < LOG_PATH_BYTES_MAX;
}

int log_open(struct core *core, const struct log_options *options, struct log_position from,
             int (*replay)(void *argument, const struct log_record *record), void *argument,
             struct log **ret_log)
{
    uint32_t segment_bytes = options->segment_bytes != 0 ? options->segment_bytes : 64 << 20;
    if (!options_hold(options, segment_bytes))
        return -EINVAL;
    struct log_core *shared = log_core_ref(core);
    struct log *log = shared != NULL ? calloc(1, sizeof *log) : NULL;
    if (log == NULL) {
        if (shared != NULL)
            log_core_unref(shared);
        return -ENOMEM;
    }
    if (options->body_bytes != 0 && shared->references == 1)
        shared->body_bytes_max = options->body_bytes;
    log->core = core;
    log->shared = shared;
    log->store_id = options->store_id;
    log->shard = options->shard;
    log->segment_bytes = segment_bytes;
    log->spares_wanted = options->spare_segments != 0 ? options->spare_segments : 2;
    log->write_fd = -1;
    log->directory_fd = -1;
    log->staged_end = &log->staged;
    log->refused_end = &log->refused;
    log->directory = malloc(strlen(options->directory) + 1);
    if (log->directory != NULL)
        memcpy(log->directory, options->directory, strlen(options->directory) + 1);
    int result = log->directory != NULL ? cache_open(&log->cache, options->cache_bytes) : -ENOMEM;
    if (result == 0)
        result = append_buffers(log);
    struct replay replaying = {log, replay, argument};
    if (result == 0)
        result = open_steps(log, from, &replaying);
    if (result < 0) {
        destroy(log);
        return result;
    }
    log->hook.run = append_hook;
    core_hook_add(core, &log->hook);
    *ret_log = log;
    return 0;
}

/* Says that everything so far was durable, so that damage at the very end is known as such; twice
 * and more than a page apart, so that one bad page cannot take both. */
static void end_write(struct log *log)
{
    static const char padding[FORMAT_HEADER_ALIGN_BYTES];
    struct log_append first = {.type = (enum log_record_type)FORMAT_TYPE_END,
                               .urgent = true,
                               .meta = slice_of(padding, sizeof padding)};
    struct log_append second = {.type = (enum log_record_type)FORMAT_TYPE_END, .urgent = true};
    if (log_append_await(log, &first) == 0)
        log_append_await(log, &second);
}

void log_close(struct log *log)
{
    while (log->staged != NULL || log->commit_count > 0 || log->refused != NULL)
        waiters_wait(log->core, &log->drained, 0);
    if (log->phase == LOG_RUNNING)
        end_write(log);
    log->closing = true;
    keeper_wake(log);
    while (log->keeper_runs)
        waiters_wait(log->core, &log->keeper_end, 0);
    core_hook_remove(log->core, &log->hook);
    destroy(log);
}

void log_statistics(const struct log *log, struct log_statistics *ret_statistics)
{
    struct log_statistics statistics = log->statistics;
    statistics.segments = segment_live_count(log);
    statistics.bytes_used = 0;
    for (unsigned i = 0; i < log->segment_count; i++)
        if (!log->segments[i].dropped)
            statistics.bytes_used += log->segments[i].valid_bytes;
    statistics.bytes_spare = (uint64_t)log->spare_count * log->segment_bytes;
    *ret_statistics = statistics;
}
