/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A segment's records, one after the other, past the page cache: for recovery, for compaction, for
 * verification. Decides what counts (format.h, F1 to F4), and whether what does not is damage or
 * the end.
 *
 *   SEALED   …│good│bad│good│…│good│ limit          bad: passed over and told
 *   TAIL     …│good│bad│good│bad│good│zeros         the first bad place that no later record calls
 *                               ▲                   durable is the end, whatever lies behind it
 *                               └── durable_max
 *
 * No length is believed before it is known to lie within the segment.
 */
#include "log_private.h"

enum { READS_MAX = 1000 /* of one window, all short */, ERRORS_MAX = 4 /* of one page */ };

/* ---------------------------------------------------------------- telling damage */

static void damage_say(struct log *log, const struct log_damage *damage)
{
    static const struct slice kinds[] = {
        [LOG_DAMAGE_RECORDS] = {"records", 7},
        [LOG_DAMAGE_BODY] = {"body", 4},
        [LOG_DAMAGE_SEGMENT] = {"segment", 7},
    };
    struct event event;
    event_begin(&event, "log_damage", "error");
    event_text(&event, "what", kinds[damage->kind]);
    event_text(&event, "directory", slice_cstr(log->directory));
    event_number(&event, "segment", damage->position.segment);
    event_number(&event, "offset", damage->position.offset);
    event_number(&event, "bytes", damage->bytes);
    event_number(&event, "sequence", (int64_t)damage->sequence);
    event_number(&event, "records", (int64_t)damage->records);
    core_log(log->core, &event);
}

void damage_note(struct log *log, const struct log_damage *damage)
{
    for (unsigned i = 0; i < log->damage_count; i++)
        if (log->damage[i].position.segment == damage->position.segment &&
            log->damage[i].position.offset == damage->position.offset &&
            log->damage[i].kind == damage->kind)
            return;
    log->statistics.damaged_records += damage->records;
    if (log->damage_count < LOG_DAMAGE_KEPT_MAX)
        log->damage[log->damage_count++] = *damage;
    damage_say(log, damage);
}

unsigned log_damage(const struct log *log, struct log_damage *damage, unsigned capacity)
{
    for (unsigned i = 0; i < log->damage_count && i < capacity; i++)
        damage[i] = log->damage[i];
    return log->damage_count;
}

/* ---------------------------------------------------------------- the window */

/* Reads [start, start + size) of the file to `to`; past the file's end come zeros. */
static int read_range(struct scan *scan, char *to, uint32_t start, uint32_t size)
{
    uint32_t got = 0;
    for (unsigned tries = 0; got < size && tries < READS_MAX; tries++) {
        int result = await_read(scan->log->core, scan->fd, to + got, size - got, start + got);
        if (result < 0)
            return result;
        if (result == 0)
            break;
        got += (uint32_t)result / FORMAT_BLOCK_BYTES * FORMAT_BLOCK_BYTES;
    }
    memset(to + got, 0, size - got);
    return 0;
}

/* A sealed segment is read as far as it can be: what cannot reads as zeros, which is damage. */
static int window_fill(struct scan *scan, uint32_t start, uint32_t size)
{
    int result = read_range(scan, scan->window, start, size);
    if (result < 0 && scan->mode == SCAN_TAIL)
        return log_error(result);
    for (uint32_t at = 0; result < 0 && at < size; at += FORMAT_HEADER_ALIGN_BYTES) {
        uint32_t piece =
            size - at < FORMAT_HEADER_ALIGN_BYTES ? size - at : FORMAT_HEADER_ALIGN_BYTES;
        for (unsigned tries = 0; result < 0 && tries < ERRORS_MAX; tries++)
            result = read_range(scan, scan->window + at, start + at, piece);
        if (result < 0)
            memset(scan->window + at, 0, piece);
        result = -EIO;
    }
    scan->window_start = start;
    scan->window_filled = size;
    return 0;
}

/* `size` bytes at `offset`, contiguous; both lie within the segment, size within the window. */
static int window_at(struct scan *scan, uint32_t offset, uint32_t size, const char **ret_bytes)
{
    uint64_t have = (uint64_t)scan->window_start + scan->window_filled;
    if (offset < scan->window_start || (uint64_t)offset + size > have) {
        uint32_t start = offset / FORMAT_HEADER_ALIGN_BYTES * FORMAT_HEADER_ALIGN_BYTES;
        uint64_t rest = format_round(scan->end, FORMAT_HEADER_ALIGN_BYTES) - start;
        uint32_t fill = rest < scan->window_bytes ? (uint32_t)rest : scan->window_bytes;
        int result = window_fill(scan, start, fill);
        if (result < 0)
            return result;
        assert((uint64_t)offset + size <= (uint64_t)start + fill);
    }
    *ret_bytes = scan->window + (offset - scan->window_start);
    return 0;
}

/* ---------------------------------------------------------------- one record */

enum verdict { NONE, BODY_BAD, GOOD };

/* F1, F2: 1 and the head, or 0, or -errno. */
static int head_at(struct scan *scan, uint32_t offset, struct format_record *ret_record)
{
    const char *at;
    struct format_record record;
    int result = window_at(scan, offset, FORMAT_BLOCK_BYTES, &at);
    if (result < 0)
        return result;
    memcpy(&record, at, sizeof record);
    if (record.magic != FORMAT_RECORD_MAGIC || record.offset != offset ||
        record.meta_bytes > FORMAT_META_BYTES_MAX || record.body_bytes > scan->end ||
        format_disk_bytes(&record) > scan->end - offset)
        return 0;
    uint32_t head = format_head_bytes(record.body_bytes);
    result = window_at(scan, offset, head, &at);
    if (result < 0)
        return result;
    if (format_record_checksum(scan->segment->identity, at, head) != record.checksum)
        return 0;
    *ret_record = record;
    return 1;
}

static int body_holds(struct scan *scan, uint32_t offset, const struct format_record *record)
{
    uint32_t body_at = offset + (uint32_t)format_body_offset(record), left = record->body_bytes;
    for (uint32_t i = 0; left > 0; i++) {
        const char *at;
        uint32_t want, size = left < FORMAT_CHUNK_BYTES ? left : FORMAT_CHUNK_BYTES;
        uint32_t checksum_at = offset + (uint32_t)sizeof *record + 4 * i;
        uint32_t chunk_at = body_at + i * FORMAT_CHUNK_BYTES;
        int result = window_at(scan, chunk_at, size, &at);
        if (result < 0)
            return result;
        uint32_t is = crc32c(0, at, size);
        result = window_at(scan, checksum_at, 4, &at);
        if (result < 0)
            return result;
        memcpy(&want, at, 4);
        if (is != want)
            return 0;
        left -= size;
    }
    return 1;
}

/* F1 to F3. */
static int record_at(struct scan *scan, uint32_t offset, struct format_record *ret_record,
                     enum verdict *ret_verdict)
{
    struct format_record record;
    const char *at;
    *ret_verdict = NONE;
    int result = head_at(scan, offset, &record);
    if (result <= 0)
        return result;
    uint32_t head = format_head_bytes(record.body_bytes);
    result = window_at(scan, offset, head + record.meta_bytes, &at);
    if (result < 0)
        return result;
    if (crc32c(0, at + head, record.meta_bytes) != record.meta_checksum)
        return 0;
    result = scan->skip_bodies ? 1 : body_holds(scan, offset, &record);
    if (result < 0)
        return result;
    *ret_verdict = result > 0 ? GOOD : BODY_BAD;
    *ret_record = record;
    return 0;
}

/* ---------------------------------------------------------------- past what does not hold */

/* TAIL: the highest place that a record from `offset` on calls durable. */
static int durable_find(struct scan *scan, uint32_t offset)
{
    struct format_record record;
    scan->durable_known = true;
    for (; offset + FORMAT_BLOCK_BYTES <= scan->end; offset += FORMAT_BLOCK_BYTES) {
        int result = head_at(scan, offset, &record);
        if (result < 0)
            return result;
        if (result > 0 && record.durable > scan->durable_max && record.durable <= offset)
            scan->durable_max = record.durable;
    }
    return 0;
}

/* The next record from `offset` on that holds but for its body: 1, or 0: none. */
static int next_find(struct scan *scan, uint32_t offset, uint32_t *ret_offset,
                     uint64_t *ret_sequence)
{
    struct format_record record;
    enum verdict verdict;
    bool skip_bodies = scan->skip_bodies;
    scan->skip_bodies = true;
    int result = 0;
    for (; result == 0 && offset + FORMAT_BLOCK_BYTES <= scan->end; offset += FORMAT_BLOCK_BYTES) {
        result = record_at(scan, offset, &record, &verdict);
        if (result == 0 && verdict != NONE && record.sequence > scan->sequence) {
            *ret_offset = offset;
            *ret_sequence = record.sequence;
            result = 1;
        }
    }
    scan->skip_bodies = skip_bodies;
    return result;
}

/* What is at `offset` does not hold: 0 and where to go on, 1 the end, or -errno. */
static int pass_over(struct scan *scan, uint32_t offset, uint32_t *ret_next)
{
    if (scan->mode == SCAN_TAIL && !scan->durable_known) {
        int result = durable_find(scan, offset);
        if (result < 0)
            return result;
    }
    uint32_t durable = scan->mode == SCAN_TAIL ? scan->durable_max : scan->end;
    if (durable <= offset)
        return 1;
    uint32_t next = durable;
    uint64_t sequence = scan->sequence_end > scan->sequence ? scan->sequence_end : scan->sequence;
    int result = next_find(scan, offset + FORMAT_BLOCK_BYTES, &next, &sequence);
    if (result < 0)
        return result;
    if (next > durable)
        next = durable;
    struct log_damage damage = {LOG_DAMAGE_RECORDS,
                                {scan->segment->number, offset},
                                next - offset,
                                scan->sequence,
                                sequence - scan->sequence};
    if (!scan->quiet)
        damage_note(scan->log, &damage);
    scan->sequence = sequence;
    *ret_next = next;
    return 0;
}

static int show(struct scan *scan, uint32_t offset, const struct format_record *record)
{
    const char *at;
    uint32_t head = format_head_bytes(record->body_bytes);
    int result = window_at(scan, offset, head + record->meta_bytes, &at);
    if (result < 0 || scan->each == NULL || offset < scan->from)
        return result;
    struct log_record shown = {
        .type = (enum log_record_type)record->type,
        .position = {scan->segment->number, offset},
        .sequence = record->sequence,
        .body_size = record->body_bytes,
        .meta = slice_of(at + head, record->meta_bytes),
        .disk_bytes = (uint32_t)format_disk_bytes(record),
    };
    return scan->each(scan->argument, &shown, record->type);
}

/* One step from *offset: 0, 1 the end, or -errno. */
static int step(struct scan *scan, uint32_t *offset)
{
    struct format_record record;
    enum verdict verdict;
    int result = record_at(scan, *offset, &record, &verdict);
    if (result < 0)
        return result;
    if (verdict != NONE && record.sequence != scan->sequence) /* F4 */
        verdict = NONE;
    if (verdict == BODY_BAD && scan->mode == SCAN_TAIL && !scan->durable_known) {
        result = durable_find(scan, *offset);
        if (result < 0)
            return result;
    }
    if (verdict == NONE ||
        (verdict == BODY_BAD && scan->mode == SCAN_TAIL && scan->durable_max <= *offset))
        return pass_over(scan, *offset, offset);
    struct log_damage damage = {
        LOG_DAMAGE_BODY, {scan->segment->number, *offset}, record.body_bytes, record.sequence, 1};
    if (verdict == BODY_BAD && !scan->quiet)
        damage_note(scan->log, &damage);
    result = show(scan, *offset, &record);
    scan->sequence = record.sequence + 1;
    *offset += (uint32_t)format_disk_bytes(&record);
    return result < 0 ? result : 0;
}

int scan_run(struct scan *scan)
{
    void *window = NULL;
    uint64_t bytes = format_round(scan->limit, FORMAT_HEADER_ALIGN_BYTES);
    scan->window_bytes = bytes < LOG_WINDOW_BYTES ? (uint32_t)bytes : LOG_WINDOW_BYTES;
    if (posix_memalign(&window, 4096, scan->window_bytes) != 0)
        return -ENOMEM;
    scan->window = window;
    scan->window_filled = 0;
    scan->end = scan->limit;
    scan->durable_known = false;
    scan->durable_max = 0;
    scan->sequence = scan->segment->first_sequence;
    uint32_t offset = scan->segment->begin;
    int result = 0;
    while (result == 0 && offset + FORMAT_BLOCK_BYTES <= scan->end)
        result = step(scan, &offset);
    scan->limit = offset;
    free(window);
    return result < 0 ? result : 0;
}
