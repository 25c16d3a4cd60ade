/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Appends: a queue, gathered into group commits at the end of each turn, acknowledged in order.
 *
 *   log_append ─▶ staged ─▶ commit (≤ LOG_COMMITS_IN_FLIGHT, each one write) ─▶ done(0)
 *        │           └────────────── the epoch is over ──────────────────────▶ done(error)
 *        └─▶ refused ─▶ done(error) in the next hook
 *
 * A record's place is decided when it is queued; when it does not fit into the present segment it
 * goes to the next one, which the keeper makes when everything before is durable. So a segment's
 * valid length, once written into the next one's header, is final.
 *
 * Small bodies are copied into the commit's buffer together with header and meta, and their memory
 * is free at once; large ones are written from where they were received and held until done.
 */
#include "log_private.h"

struct log_awaited {
    struct fiber *fiber;
    int result;
};

int log_error(int result)
{
    return result == -ENOSPC || result == -EDQUOT || result == -EFBIG ? -ENOSPC : -EIO;
}

static uint64_t buffer_bytes(const struct log *log)
{
    return log->segment_bytes < LOG_COMMIT_BUFFER_BYTES ? log->segment_bytes
                                                        : LOG_COMMIT_BUFFER_BYTES;
}

int append_buffers(struct log *log)
{
    for (unsigned i = 0; i < LOG_COMMITS_IN_FLIGHT; i++) {
        void *buffer = NULL;
        if (posix_memalign(&buffer, 4096, buffer_bytes(log)) != 0)
            return -ENOMEM;
        log->commits[i].buffer = buffer;
    }
    return 0;
}

/* ---------------------------------------------------------------- the queue */

static void list_add(struct log_append ***end, struct log_append *append)
{
    append->next = NULL;
    **end = append;
    *end = &append->next;
}

static void refuse(struct log *log, struct log_append *append, int result)
{
    if (append->body != NULL)
        log_body_give(append->body);
    append->body = NULL;
    append->result = result;
    list_add(&log->refused_end, append);
}

static void tell(struct log *log, struct log_append *append, int result)
{
    struct log_awaited *awaited = append->awaited;
    if (append->done != NULL)
        append->done(append, result);
    if (awaited != NULL) {
        awaited->result = result;
        fiber_wake(log->core, awaited->fiber);
    }
}

static void tell_refused(struct log *log)
{
    struct log_append *append = log->refused;
    log->refused = NULL;
    log->refused_end = &log->refused;
    while (append != NULL) {
        struct log_append *next = append->next;
        tell(log, append, append->result);
        append = next;
    }
    if (log->staged == NULL && log->commit_count == 0 && log->refused == NULL)
        waiters_wake_all(log->core, &log->drained);
}

/* Unless urgent, the last spare is left for deletions, and for the compaction that makes room. */
int append_admits(const struct log *log, uint64_t disk_bytes, bool urgent)
{
    if (log->phase == LOG_FAILED)
        return log->error;
    if (log->spare_error == 0)
        return 0;
    bool fits = log->tail.offset + disk_bytes <= log->segment_bytes;
    unsigned needed = log->planned + (fits ? 0 : 1) + (urgent ? 0 : 1);
    return log->spare_count < needed ? log->spare_error : 0;
}

static void lengths(const struct log_append *append, struct format_record *ret_record)
{
    uint64_t body_bytes = append->body != NULL ? log_body_bytes(append->body).size : 0;
    *ret_record = (struct format_record){
        .magic = FORMAT_RECORD_MAGIC,
        .meta_bytes = (uint32_t)append->meta.size,
        .body_bytes = (uint32_t)body_bytes,
        .type = (uint8_t)append->type,
        .flags = body_bytes > LOG_COPY_BYTES_MAX ? FORMAT_FLAG_ALIGNED : 0,
    };
}

static void enqueue(struct log *log, struct log_append *append)
{
    struct format_record record;
    assert((append->body == NULL || body_is_of(append->body, log->core)) &&
           "a body is given back on its own core");
    core_again(log->core);
    append->position = (struct log_position){0, 0};
    append->sequence = 0;
    append->disk_bytes = 0;
    if (append->meta.size > LOG_META_BYTES_MAX ||
        (append->body != NULL && log_body_bytes(append->body).size > log->segment_bytes)) {
        refuse(log, append, -EMSGSIZE);
        return;
    }
    lengths(append, &record);
    uint64_t disk_bytes = format_disk_bytes(&record);
    uint32_t next_begin = segment_begin_bytes(log, segment_live_count(log) + log->planned);
    if (next_begin + disk_bytes > log->segment_bytes) {
        refuse(log, append, -EMSGSIZE);
        return;
    }
    int result = append_admits(log, disk_bytes, append->urgent);
    if (result < 0) {
        refuse(log, append, result);
        return;
    }
    if (log->tail.offset + disk_bytes > log->segment_bytes) {
        log->tail = (struct log_position){log->tail.segment + 1, next_begin};
        log->planned++;
    }
    append->position = log->tail;
    append->sequence = log->next_sequence++;
    append->disk_bytes = (uint32_t)disk_bytes;
    log->tail.offset += (uint32_t)disk_bytes;
    list_add(&log->staged_end, append);
}

void log_append(struct log *log, struct log_append *append)
{
    append->awaited = NULL;
    enqueue(log, append);
}

int log_append_await(struct log *log, struct log_append *append)
{
    struct log_awaited awaited = {.fiber = fiber_current(log->core)};
    append->awaited = &awaited;
    enqueue(log, append);
    fiber_park(log->core);
    return awaited.result;
}

int log_state(const struct log *log)
{
    return append_admits(log, buffer_bytes(log) / 4, false);
}

/* ---------------------------------------------------------------- a commit's bytes */

static void piece_add(struct commit *commit, const char *data, uint64_t size)
{
    struct iovec *last = &commit->pieces[commit->piece_count];
    if (commit->piece_count > 0 && (char *)last[-1].iov_base + last[-1].iov_len == data)
        last[-1].iov_len += size;
    else
        commit->pieces[commit->piece_count++] =
            (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    commit->bytes += size;
}

static void chunk_checksums(struct slice body, char *at)
{
    for (; body.size > 0; at += 4) {
        struct slice chunk = slice_first(body, FORMAT_CHUNK_BYTES);
        uint32_t checksum = crc32c(0, chunk.data, chunk.size);
        memcpy(at, &checksum, 4);
        body = slice_from(body, chunk.size);
    }
}

/* Adds one record; false when the commit is full. *used counts the bytes of its buffer. */
static bool commit_add(struct log *log, struct commit *commit, uint64_t *used,
                       struct log_append *append)
{
    struct format_record record;
    lengths(append, &record);
    bool aligned = record.flags & FORMAT_FLAG_ALIGNED;
    uint32_t head = format_head_bytes(record.body_bytes);
    uint64_t body_at = format_body_offset(&record);
    uint64_t copied = aligned ? body_at : append->disk_bytes;
    if (*used + copied > buffer_bytes(log) || commit->piece_count + 2 > LOG_PIECES_MAX ||
        (commit->records > 0 && commit->bytes + append->disk_bytes > LOG_COMMIT_BYTES_MAX))
        return false;
    const struct segment *segment = &log->segments[log->segment_count - 1];
    struct slice body = append->body != NULL ? log_body_bytes(append->body) : slice_of(NULL, 0);
    char *at = commit->buffer + *used;
    record.sequence = append->sequence;
    record.offset = append->position.offset;
    record.durable = segment->valid_bytes;
    record.meta_checksum = crc32c(0, append->meta.data, append->meta.size);
    uint64_t end = head + append->meta.size;
    memcpy(at, &record, sizeof record);
    chunk_checksums(body, at + sizeof record);
    if (append->meta.size > 0)
        memcpy(at + head, append->meta.data, append->meta.size);
    if (!aligned && body.size > 0) {
        memcpy(at + body_at, body.data, body.size);
        end = body_at + body.size;
    }
    memset(at + end, 0, copied - end);
    record.checksum = format_record_checksum(segment->identity, at, head);
    memcpy(at, &record, sizeof record);
    piece_add(commit, at, copied);
    *used += copied;
    if (aligned) {
        struct slice padded = body_padded(append->body);
        piece_add(commit, padded.data, padded.size);
    } else if (append->body != NULL) {
        cache_add(&log->cache, append->position, body, NULL);
        log_body_give(append->body);
        append->body = NULL;
    }
    return true;
}

static void commit_done(struct op *op, int result, unsigned flags);

static void commit_begin(struct log *log)
{
    unsigned index = (log->commit_first + log->commit_count) % LOG_COMMITS_IN_FLIGHT;
    struct commit *commit = &log->commits[index];
    uint64_t used = 0;
    commit->log = log;
    commit->op.done = commit_done;
    commit->first = log->staged;
    commit->last = NULL;
    commit->piece_count = 0;
    commit->bytes = 0;
    commit->records = 0;
    commit->complete = false;
    uint32_t number = log->staged->position.segment;
    while (log->staged != NULL && log->staged->position.segment == number &&
           commit_add(log, commit, &used, log->staged)) {
        commit->last = log->staged;
        commit->records++;
        log->staged = log->staged->next;
    }
    assert(commit->last != NULL && "a record always fits into an empty commit");
    if (log->staged == NULL)
        log->staged_end = &log->staged;
    commit->last->next = NULL;
    commit->end_offset = commit->last->position.offset + commit->last->disk_bytes;
    commit->end_sequence = commit->last->sequence + 1;
    log->commit_count++;
    op_writev(log->core, &commit->op, log->write_fd, commit->pieces, commit->piece_count,
              commit->first->position.offset, RWF_DSYNC);
}

/* A second commit beside one in flight pays when it is large; small records gather meanwhile, and
 * share the cost of one write (about 30 us of CPU each, whatever its size). */
static bool commit_pays(const struct log *log)
{
    const struct log_position first = log->staged->position;
    return log->commit_count == 0 || log->tail.segment != first.segment ||
           log->tail.offset - first.offset >= LOG_PIPELINED_BYTES_MIN;
}

void append_begin_commits(struct log *log)
{
    if (log->phase != LOG_RUNNING || log->rolling)
        return;
    const struct segment *last = &log->segments[log->segment_count - 1];
    while (log->staged != NULL && log->staged->position.segment == last->number &&
           log->commit_count < LOG_COMMITS_IN_FLIGHT && commit_pays(log))
        commit_begin(log);
    if (log->staged != NULL && log->staged->position.segment != last->number &&
        log->commit_count == 0)
        keeper_wake(log);
}

void append_hook(struct hook *hook)
{
    struct log *log = (struct log *)((char *)hook - offsetof(struct log, hook));
    if (log->refused != NULL)
        tell_refused(log);
    if (log->staged != NULL)
        append_begin_commits(log);
}

/* ---------------------------------------------------------------- completion */

static void acknowledge(struct log *log, struct commit *commit)
{
    struct segment *segment = &log->segments[log->segment_count - 1];
    assert(commit->first->position.offset == segment->valid_bytes && "L1: a gap in the prefix");
    segment->valid_bytes = commit->end_offset;
    log->durable_sequence = commit->end_sequence;
    log->statistics.commits++;
    log->statistics.records += commit->records;
    struct counters *counters = core_counters(log->core);
    counter_add(counters, COUNTER_LOG_COMMITS, 1);
    counter_add(counters, COUNTER_LOG_RECORDS, commit->records);
    counter_add(counters, COUNTER_LOG_BYTES, (int64_t)commit->bytes);
    struct log_append *append = commit->first;
    log->commit_first = (log->commit_first + 1) % LOG_COMMITS_IN_FLIGHT;
    log->commit_count--;
    while (append != NULL) {
        struct log_append *next = append->next;
        if (append->body != NULL)
            cache_add(&log->cache, append->position, log_body_bytes(append->body), append->body);
        append->body = NULL;
        tell(log, append, 0);
        append = next;
    }
}

/* Everything that is queued fails, and the next append goes behind the durable prefix of a new
 * segment. Nothing may be in flight. */
void append_fail_all(struct log *log, int error)
{
    struct log_append *append;
    for (; log->commit_count > 0; log->commit_count--) {
        struct commit *commit = &log->commits[log->commit_first];
        assert(commit->complete && "L4: still in flight");
        while ((append = commit->first) != NULL) {
            commit->first = append->next;
            cache_remove(&log->cache, append->position);
            refuse(log, append, error);
        }
        log->commit_first = (log->commit_first + 1) % LOG_COMMITS_IN_FLIGHT;
    }
    while ((append = log->staged) != NULL) {
        log->staged = append->next;
        refuse(log, append, error);
    }
    log->staged_end = &log->staged;
    log->next_sequence = log->durable_sequence;
    core_again(log->core);
}

static bool writes_in_flight(const struct log *log)
{
    for (unsigned i = 0; i < log->commit_count; i++)
        if (!log->commits[(log->commit_first + i) % LOG_COMMITS_IN_FLIGHT].complete)
            return true;
    return false;
}

static void commit_done(struct op *op, int result, unsigned flags)
{
    (void)flags;
    struct commit *commit = (struct commit *)op;
    struct log *log = commit->log;
    commit->complete = true;
    commit->result = result == (int64_t)commit->bytes ? 0 : result < 0 ? log_error(result) : -EIO;
    if (commit->result < 0) {
        log->statistics.failures++;
        counter_add(core_counters(log->core), COUNTER_LOG_FAILURES, 1);
        if (log->phase == LOG_RUNNING) {
            log->phase = LOG_BROKEN;
            log->error = commit->result;
        }
    }
    while (log->commit_count > 0 && log->commits[log->commit_first].complete &&
           log->commits[log->commit_first].result == 0)
        acknowledge(log, &log->commits[log->commit_first]);
    if (log->phase == LOG_BROKEN && !writes_in_flight(log)) {
        append_fail_all(log, log->error);
        log->phase = LOG_RESUMING;
        log->planned = 1;
        log->tail = (struct log_position){log->number_max + 1,
                                          segment_begin_bytes(log, segment_live_count(log))};
        keeper_wake(log);
    }
    if (log->staged != NULL)
        append_begin_commits(log);
    else if (log->commit_count == 0 && log->refused == NULL)
        waiters_wake_all(log->core, &log->drained);
}
