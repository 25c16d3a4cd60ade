/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bodies and metas by position. The tail cache first; else through the page cache, a chunk of 64
 * KiB at a time into one of LOG_READERS_MAX buffers, checked there before a byte is handed out. A
 * buffer keeps its chunk, so that reading on in small steps costs no second read and no second
 * check. Who reads on after a chunk gets LOG_READ_CHUNKS_MAX at once: past the page cache a read
 * costs more than its bytes. Those of them that match are kept up to the first that does not. A
 * chunk that does not match is read once more past the page cache before it is called damaged.
 *
 * A segment that is read is pinned: its file is not used again before the last reader has gone.
 */
#include "log_private.h"

#include <fcntl.h>

enum { READS_MAX = 1000 /* of one span, all short */, HEAD_GUESS_BYTES = 4096 };
enum { BUFFER_BYTES_ALL = LOG_READ_CHUNKS_MAX * FORMAT_CHUNK_BYTES + 8192 };
_Static_assert(BUFFER_BYTES_ALL >= LOG_READ_HEAD_BYTES + FORMAT_CHUNK_BYTES,
               "a head with the first chunk behind it fits");

void segment_unpin(struct log *log, uint32_t number)
{
    for (unsigned i = 0; i < log->segment_count; i++)
        if (log->segments[i].number == number) {
            assert(log->segments[i].pins > 0);
            if (--log->segments[i].pins == 0)
                waiters_wake_all(log->core, &log->unpinned);
            return;
        }
    assert(false && "a pinned segment leaves the table");
}

void readers_free(struct log *log)
{
    for (unsigned i = 0; i < LOG_READERS_MAX; i++)
        free(log->readers[i].buffer);
    for (unsigned i = 0; i < LAYOUTS; i++)
        free(log->layouts[i].chunks);
    for (unsigned i = 0; i < log->segment_count; i++)
        if (log->segments[i].read_fd >= 0)
            await_close(log->core, log->segments[i].read_fd);
}

static bool same(struct log_position a, struct log_position b)
{
    return a.segment == b.segment && a.offset == b.offset;
}

/* ---------------------------------------------------------------- descriptors */

static void fd_close_oldest(struct log *log)
{
    struct segment *oldest = NULL;
    for (unsigned i = 0; i < log->segment_count; i++) {
        struct segment *segment = &log->segments[i];
        if (segment->read_fd >= 0 && segment->pins == 0 &&
            (oldest == NULL || segment->used < oldest->used))
            oldest = segment;
    }
    if (oldest == NULL)
        return;
    int fd = oldest->read_fd;
    oldest->read_fd = -1;
    log->read_fds--;
    await_close(log->core, fd);
}

/* The segment must be pinned. A descriptor or -errno. */
static int fd_of(struct log *log, uint32_t number)
{
    char path[LOG_PATH_BYTES_MAX];
    struct segment *segment = segment_find(log, number);
    if (segment == NULL)
        return -ENOENT;
    segment->used = ++log->reads;
    if (segment->read_fd >= 0)
        return segment->read_fd;
    if (log->read_fds >= LOG_READ_FDS_MAX)
        fd_close_oldest(log);
    segment_path(log, number, path);
    int fd = await_open(log->core, path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd == -ENOENT || fd == -ELOOP ? -EBADMSG : fd;
    segment = segment_find(log, number);
    if (segment == NULL || segment->read_fd >= 0) {
        await_close(log->core, fd);
        segment = segment_find(log, number);
        return segment != NULL && segment->read_fd >= 0 ? segment->read_fd : -ENOENT;
    }
    segment->read_fd = fd;
    log->read_fds++;
    return fd;
}

/* ---------------------------------------------------------------- buffers */

static int reader_take(struct log *log, struct reader **ret_reader)
{
    for (;;) {
        struct reader *oldest = NULL;
        for (unsigned i = 0; i < LOG_READERS_MAX; i++) {
            struct reader *reader = &log->readers[i];
            if (!reader->busy && (oldest == NULL || reader->used < oldest->used))
                oldest = reader;
        }
        if (oldest != NULL) {
            void *buffer = oldest->buffer;
            if (buffer == NULL && posix_memalign(&buffer, 4096, BUFFER_BYTES_ALL) != 0)
                return -ENOMEM;
            oldest->buffer = buffer;
            oldest->busy = true;
            oldest->holds = false;
            oldest->used = ++log->reads;
            *ret_reader = oldest;
            return 0;
        }
        waiters_wait(log->core, &log->reader_free, 0);
    }
}

static void reader_give(struct log *log, struct reader *reader)
{
    reader->busy = false;
    waiters_wake_one(log->core, &log->reader_free);
}

/* Which descriptor, past the page cache or through it. The segment being written is read past it:
 * pages of a file that is written past the page cache at the same time are trouble. -errno. */
static int span_fd(struct log *log, uint32_t number, bool *direct, bool *is_own)
{
    char path[LOG_PATH_BYTES_MAX];
    *is_own = false;
    if (number == log->segments[log->segment_count - 1].number) {
        *direct = true;
        return log->write_fd;
    }
    if (!*direct)
        return fd_of(log, number);
    *is_own = true;
    segment_path(log, number, path);
    return open_direct(log, path, O_RDONLY);
}

/* [offset, offset + size) of the file into `buffer`, aligned and with room for two pages more. */
static int span_read(struct log *log, uint32_t number, char *buffer, uint32_t offset, uint32_t size,
                     bool direct, const char **ret_bytes)
{
    bool is_own;
    int fd = span_fd(log, number, &direct, &is_own);
    if (fd < 0)
        return fd;
    uint32_t skip = direct ? offset % FORMAT_HEADER_ALIGN_BYTES : 0;
    uint64_t whole = size + skip, got = 0;
    if (direct)
        whole = format_round(whole, FORMAT_HEADER_ALIGN_BYTES);
    int result = 0;
    for (unsigned tries = 0; got < size + skip && tries < READS_MAX; tries++) {
        result = await_read(log->core, fd, buffer + got, whole - got, offset - skip + got);
        if (result <= 0)
            break;
        got +=
            direct ? (uint32_t)result / FORMAT_BLOCK_BYTES * FORMAT_BLOCK_BYTES : (uint32_t)result;
        if (direct && !is_own && fd != log->write_fd)
            break; /* a rollover has closed it: once more from the start */
    }
    if (is_own)
        await_close(log->core, fd);
    if (result < 0)
        return result;
    *ret_bytes = buffer + skip;
    return got < size + skip ? -EBADMSG : 0;
}

/* ---------------------------------------------------------------- layouts */

static struct layout *layout_find(struct log *log, struct log_position position)
{
    for (unsigned i = 0; i < LAYOUTS; i++)
        if (log->layouts[i].body_offset != 0 && same(log->layouts[i].position, position))
            return &log->layouts[i];
    return NULL;
}

/* What a record's verified head says, kept. */
static int layout_keep(struct log *log, struct log_position position, const char *head)
{
    struct format_record record;
    struct layout *layout = &log->layouts[0];
    memcpy(&record, head, sizeof record);
    for (unsigned i = 1; i < LAYOUTS; i++)
        if (log->layouts[i].used < layout->used)
            layout = &log->layouts[i];
    uint32_t count = format_chunks(record.body_bytes);
    if (count > layout->chunk_capacity) {
        uint32_t *chunks = realloc(layout->chunks, count * sizeof *chunks);
        if (chunks == NULL)
            return -ENOMEM;
        layout->chunks = chunks;
        layout->chunk_capacity = count;
    }
    if (count > 0)
        memcpy(layout->chunks, head + sizeof record, count * sizeof *layout->chunks);
    layout->position = position;
    layout->body_offset = (uint32_t)format_body_offset(&record);
    layout->body_bytes = record.body_bytes;
    layout->meta_bytes = record.meta_bytes;
    layout->meta_checksum = record.meta_checksum;
    layout->next_chunk = 0;
    layout->used = ++log->reads;
    return 0;
}

/* Reads and checks the record's head; `more` bytes behind a small head are read along. */
static int head_read(struct log *log, struct reader *reader, struct log_position position,
                     uint32_t more, bool direct, const char **ret_head, uint32_t *ret_size)
{
    const struct segment *segment = segment_find(log, position.segment);
    struct format_record record;
    if (segment == NULL)
        return -ENOENT; /* dropped since it was pinned */
    uint32_t identity = segment->identity, end = segment->valid_bytes;
    uint32_t size = HEAD_GUESS_BYTES + more;
    for (;;) {
        size = size < end - position.offset ? size : end - position.offset;
        int result = span_read(log, position.segment, reader->buffer, position.offset, size, direct,
                               ret_head);
        if (result < 0)
            return result;
        memcpy(&record, *ret_head, sizeof record);
        if (record.magic != FORMAT_RECORD_MAGIC || record.offset != position.offset ||
            record.meta_bytes > FORMAT_META_BYTES_MAX || record.body_bytes > end ||
            format_disk_bytes(&record) > end - position.offset)
            return -EBADMSG;
        if (format_head_bytes(record.body_bytes) <= size)
            break;
        size = format_head_bytes(record.body_bytes);
    }
    uint32_t head = format_head_bytes(record.body_bytes);
    if (format_record_checksum(identity, *ret_head, head) != record.checksum)
        return -EBADMSG;
    *ret_size = size;
    return layout_keep(log, position, *ret_head);
}

/* ---------------------------------------------------------------- bodies */

/* Bytes of `count` chunks from `chunk` on, of which the last may be the body's last. */
static uint32_t chunks_bytes(const struct layout *layout, uint32_t chunk, uint32_t count)
{
    uint32_t left = layout->body_bytes - chunk * FORMAT_CHUNK_BYTES;
    return left < count * FORMAT_CHUNK_BYTES ? left : count * FORMAT_CHUNK_BYTES;
}

/* Holds those of the chunks at `data` that match, up to the first that does not. */
static int chunks_check(struct reader *reader, struct layout *layout, uint32_t chunk,
                        const char *data, uint32_t size)
{
    uint32_t next = chunk, checked = 0;
    while (checked < size) {
        uint32_t part = chunks_bytes(layout, next, 1);
        if (crc32c(0, data + checked, part) != layout->chunks[next])
            break;
        checked += part;
        next++;
    }
    if (next == chunk)
        return -EBADMSG;
    layout->next_chunk = next;
    reader->position = layout->position;
    reader->chunk = chunk;
    reader->data = data;
    reader->size = checked;
    reader->holds = true;
    return 0;
}

static int chunk_read(struct log *log, struct reader *reader, struct log_position position,
                      uint64_t body_size, uint32_t chunk, bool direct)
{
    const char *data;
    struct layout *layout = direct ? NULL : layout_find(log, position);
    if (layout == NULL) {
        uint32_t got = 0, more = chunk == 0 ? FORMAT_CHUNK_BYTES : 0;
        more = body_size < more ? (uint32_t)body_size : more;
        int result = head_read(log, reader, position, more, direct, &data, &got);
        if (result < 0)
            return result;
        layout = layout_find(log, position);
        if (layout->body_bytes != body_size)
            return -ENOENT;
        if (chunk == 0 && layout->body_offset + (uint64_t)more <= got)
            return chunks_check(reader, layout, 0, data + layout->body_offset, more);
    }
    if (layout->body_bytes != body_size)
        return -ENOENT;
    layout->used = ++log->reads;
    bool reads_on = chunk > 0 && chunk == layout->next_chunk;
    uint32_t one = chunks_bytes(layout, chunk, 1);
    uint32_t size = reads_on ? chunks_bytes(layout, chunk, LOG_READ_CHUNKS_MAX) : one;
    uint32_t offset = position.offset + layout->body_offset + chunk * FORMAT_CHUNK_BYTES;
    int result = span_read(log, position.segment, reader->buffer, offset, size, direct, &data);
    if (result < 0 && size > one) { /* what cannot be read may lie behind this one */
        size = one;
        result = span_read(log, position.segment, reader->buffer, offset, size, direct, &data);
    }
    if (result < 0)
        return result;
    layout = layout_find(log, position); /* others have read meanwhile */
    return layout != NULL ? chunks_check(reader, layout, chunk, data, size) : -EAGAIN;
}

static struct reader *chunk_find(struct log *log, struct log_position position, uint32_t chunk)
{
    for (unsigned i = 0; i < LOG_READERS_MAX; i++) {
        struct reader *reader = &log->readers[i];
        if (reader->holds && !reader->busy && chunk >= reader->chunk &&
            (uint64_t)(chunk - reader->chunk) * FORMAT_CHUNK_BYTES < reader->size &&
            same(reader->position, position))
            return reader;
    }
    return NULL;
}

/* Is there a record at all? */
static int segment_pin(struct log *log, struct log_position position)
{
    struct segment *segment = segment_find(log, position.segment);
    if (segment == NULL || position.offset < segment->begin ||
        position.offset % FORMAT_BLOCK_BYTES != 0 || position.offset >= segment->valid_bytes)
        return -ENOENT;
    if (segment->missing)
        return -EBADMSG;
    segment->pins++;
    return 0;
}

static void damage_of(struct log *log, struct log_position position, uint64_t bytes)
{
    struct log_damage damage = {LOG_DAMAGE_BODY, position, (uint32_t)bytes, 0, 1};
    damage_note(log, &damage);
}

/* A buffer that holds the chunk; what it holds is valid until the fiber parks. */
static int chunk_hold(struct log *log, struct log_position position, uint64_t body_size,
                      uint32_t chunk, struct reader **ret_reader)
{
    struct reader *reader = chunk_find(log, position, chunk);
    if (reader != NULL && segment_find(log, position.segment) != NULL) {
        reader->used = ++log->reads;
        *ret_reader = reader;
        return 0;
    }
    int result = reader_take(log, &reader);
    if (result < 0)
        return result;
    result = segment_pin(log, position);
    if (result == 0) {
        do {
            result = chunk_read(log, reader, position, body_size, chunk, false);
        } while (result == -EAGAIN);
        while (result == -EBADMSG || result == -EAGAIN) {
            result = chunk_read(log, reader, position, body_size, chunk, true);
            if (result != -EAGAIN)
                break;
        }
        if (result == -EBADMSG && segment_find(log, position.segment) == NULL)
            result = -ENOENT; /* dropped meanwhile */
        if (result == -EBADMSG)
            damage_of(log, position, body_size);
        segment_unpin(log, position.segment);
    }
    reader_give(log, reader);
    *ret_reader = reader;
    return result;
}

int64_t log_read_body(struct log *log, struct log_position position, uint64_t body_size,
                      uint64_t offset, void *data, size_t size)
{
    struct slice cached;
    if (offset >= body_size || size == 0)
        return 0;
    size = size < body_size - offset ? size : (size_t)(body_size - offset);
    if (log_peek_body(log, position, &cached)) {
        if (cached.size != body_size)
            return -ENOENT;
        memcpy(data, cached.data + offset, size);
        return (int64_t)size;
    }
    size_t done = 0;
    while (done < size) {
        struct reader *reader;
        uint32_t chunk = (uint32_t)((offset + done) / FORMAT_CHUNK_BYTES);
        int result = chunk_hold(log, position, body_size, chunk, &reader);
        if (result < 0)
            return done > 0 ? (int64_t)done : result;
        uint32_t at = (uint32_t)(offset + done - (uint64_t)reader->chunk * FORMAT_CHUNK_BYTES);
        size_t part = reader->size - at < size - done ? reader->size - at : size - done;
        memcpy((char *)data + done, reader->data + at, part);
        done += part;
    }
    return (int64_t)done;
}

bool log_peek_body(struct log *log, struct log_position position, struct slice *ret_body)
{
    return position_before(position, log_durable_end(log)) &&
           cache_find(&log->cache, position, ret_body) &&
           segment_find(log, position.segment) != NULL;
}

/* ---------------------------------------------------------------- metas */

static int64_t meta_read(struct log *log, struct reader *reader, struct log_position position,
                         void *data, size_t size, bool direct)
{
    const char *head;
    uint32_t got = 0;
    void *larger = NULL;
    int result = head_read(log, reader, position, 0, direct, &head, &got);
    if (result < 0)
        return result;
    struct format_record record;
    memcpy(&record, head, sizeof record);
    if (record.meta_bytes > size)
        return -EMSGSIZE;
    uint32_t meta_at = format_head_bytes(record.body_bytes), end = meta_at + record.meta_bytes;
    if (end > got) {
        if (posix_memalign(&larger, 4096, format_round(end, 4096) + 8192) != 0)
            return -ENOMEM;
        result = span_read(log, position.segment, larger, position.offset, end, direct, &head);
    }
    if (result == 0 && crc32c(0, head + meta_at, record.meta_bytes) != record.meta_checksum)
        result = -EBADMSG;
    if (result == 0 && record.meta_bytes > 0)
        memcpy(data, head + meta_at, record.meta_bytes);
    free(larger);
    return result < 0 ? result : (int64_t)record.meta_bytes;
}

int64_t log_read_meta(struct log *log, struct log_position position, void *data, size_t size)
{
    struct reader *reader;
    int taken = reader_take(log, &reader);
    if (taken < 0)
        return taken;
    int64_t result = segment_pin(log, position);
    if (result == 0) {
        result = meta_read(log, reader, position, data, size, false);
        if (result == -EBADMSG)
            result = meta_read(log, reader, position, data, size, true);
        if (result == -EBADMSG)
            damage_of(log, position, 0);
        segment_unpin(log, position.segment);
    }
    reader_give(log, reader);
    return result;
}
