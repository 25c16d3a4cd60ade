# SPDX-License-Identifier: GPL-2.0-or-later
"""Bugs planted into the log, each of which the power-cut loop, the sweeps or the damage tests must
catch. Rows are those of mutants.py, which does the work."""
CUTS, SWEEP, DAMAGE = 'log_cuts', 'log_sweep', 'log_damage'
SECONDS_MAX = 240
HANG_IS_CAUGHT = False # the loop has no bound of its own: a run that goes on has found nothing
SEEDS = '1..40000'
# What a row takes until it is caught, in seconds of a busy machine, for --quick.
COSTS = {CUTS: 1, SWEEP: 3, DAMAGE: 10, 'drop not recorded in the next header': 35,
         'name believed though a sync failed meanwhile': 85}


def command(program, binary, is_mutant):
    if program != CUTS:
        return [binary]
    return [binary, '--seeds', SEEDS, '--until-failure'] if is_mutant else [
        binary, '--seeds', '1..300']


MUTANTS = [
    # --- what the sketch of the design was checked against ---------------------------------------
    ('acknowledged before it is durable', 'log_append.c',
     'commit->first->position.offset, RWF_DSYNC);',
     'commit->first->position.offset, 0);', CUTS),
    ('no directory sync after a rename', 'log_segment.c',
     'if (result == 0) result = directory_sync(log); return result == 0 &&',
     'if (log->spare_count > 100) result = directory_sync(log); return result == 0 &&', CUTS),
    ('name believed though a sync failed meanwhile', 'log_segment.c',
     'return result == 0 && log->directory_failures != failures ? -EIO : result;',
     'return failures == UINT32_MAX ? -EIO : result;', CUTS),
    ('named before its header is durable', 'log_segment.c',
     'await_write(log->core, fd, header, size, 0, RWF_DSYNC)',
     'await_write(log->core, fd, header, size, 0, 0)', CUTS),
    ('failed sync tried again and believed', 'log_segment.c',
     'int result = await_fsync(log->core, log->directory_fd, false);',
     'int result = await_fsync(log->core, log->directory_fd, false); '
     'if (result < 0) result = await_fsync(log->core, log->directory_fd, false);',
     CUTS),
    ('short write ignored', 'log_append.c',
     'result == (int64_t)commit->bytes ? 0', 'result > 0 ? 0', CUTS),
    ('new life appends to the old segment', 'log_open.c',
     'result = segment_begin(log, newest + 1, segment_begin_bytes(log, segment_live_count(log)));',
     'char path[LOG_PATH_BYTES_MAX]; '
     'segment_path(log, newest, path); '
     'log->epoch -= newest != 0; '
     'if (newest != 0) '
     'log->write_fd = open_direct(log, path, O_WRONLY); '
     'result = newest != 0 ? (log->write_fd < 0 ? log->write_fd : 0) '
     ': segment_begin(log, newest + 1, segment_begin_bytes(log, 0));',
     CUTS),
    ('record checksum ignored', 'log_scan.c',
     'if (format_record_checksum(scan->segment->identity, at, head) != record.checksum)',
     'if (false)', CUTS),
    ('meta checksum ignored', 'log_scan.c',
     'if (crc32c(0, at + head, record.meta_bytes) != record.meta_checksum)', 'if (false)', CUTS),
    ('body checksum ignored at recovery', 'log_scan.c',
     'if (is != want)', 'if (false)', CUTS),
    ('sealed length not honoured', 'log_open.c',
     'scan->limit = segment->valid_bytes;', 'scan->limit = log->segment_bytes;', CUTS),
    ('recovery trusts the page cache', 'log_open.c',
     'int result = await_fsync(log->core, fd, false); if (result == 0) '
     'result = header_read',
     'int result = 0; if (result == 0) result = header_read', CUTS),
    ('let in before the seal has its name', 'log_segment.c',
     'if (result == 0) result = directory_sync(log); return result == 0 &&',
     'if (result == 0 && log->write_fd >= 0) result = directory_sync(log); return result == 0 &&',
     CUTS),
    ('the seal names only the segment before', 'log_segment.c',
     'for (unsigned i = 0; i < log->segment_count; i++) { '
     'const struct segment *older = &log->segments[i];',
     'for (unsigned i = log->segment_count > 1 ? log->segment_count - 1 : 0; '
     'i < log->segment_count; i++) { '
     'const struct segment *older = &log->segments[i];', CUTS),
    # --- identity, order, failure --------------------------------------------------------------
    ('old record of a recycled segment counts', 'log_segment.c',
     '.number = number, .epoch = epoch,',
     '.number = 0 * number, .epoch = 0 * epoch,', CUTS),
    ('acknowledged out of order', 'log_append.c',
     'while (log->commit_count > 0 && log->commits[log->commit_first].complete &&',
     'while (log->commit_count > 0 &&', CUTS),
    ('what lies behind a hole is served', 'log_scan.c',
     'scan->mode == SCAN_TAIL ? scan->durable_max : scan->end;', 'scan->end;', CUTS),
    ('goes on in the segment after a failed write', 'log_append.c',
     'log->phase = LOG_RESUMING; log->planned = 1; '
     'log->tail = (struct log_position){log->number_max + 1, '
     'segment_begin_bytes(log, segment_live_count(log))};',
     'log->phase = LOG_RUNNING; log->tail = log_durable_end(log); '
     'log->planned = 0;', CUTS),
    ('rollover before what is in flight', 'log_segment.c',
     'log->phase == LOG_RUNNING && log->commit_count == 0 && log->staged != NULL',
     'log->phase == LOG_RUNNING && log->staged != NULL', CUTS),
    ('lock not held by the ring', 'log_open.c',
     'int result = core_hold_fd(log->core, fd); await_close(log->core, fd);',
     'int result = 0;', CUTS),
    ('one try for the lock', 'log_open.c', 'core_now_ns(log->core) < until)', 'until == 0)', CUTS),
    # --- segments ------------------------------------------------------------------------------
    ('dropped segment used before the drop is durable', 'log_segment.c',
     'int result = log_append_await(log, &drop.append); ',
     'segment->dropped = drop.is_mine = true; int result = 0; ', CUTS),
    ('drop not recorded in the next header', 'log_segment.c',
     'return !segment->dropped && segment->valid_bytes > segment->begin;',
     'return segment->valid_bytes > segment->begin;', CUTS),
    ('drop records not read at recovery', 'log_open.c',
     'if (segment != NULL && number < record->position.segment)', 'if (false)', CUTS),
    ('reused while somebody reads it', 'log_segment.c',
     'while ((segment = find(log, number))->pins > 0)',
     'while ((segment = find(log, number))->pins > 100)', CUTS),
    ('spare of another life used without a sync', 'log_spare.c',
     'return result != 0 ? -EBADMSG : await_fsync(log->core, spare->fd, false);',
     'return result != 0 ? -EBADMSG : 0;', CUTS),
    ('empty newest segment reused before the new header', 'log_open.c',
     'strays_retire(log, found, newest);',
     'if (newest != 0 && log->segments[log->segment_count - 1].valid_bytes == '
     'log->segments[log->segment_count - 1].begin) '
     'segment_retire(log, newest); '
     'strays_retire(log, found, newest);', CUTS),
    # --- what damage and a full disk ask for ---------------------------------------------------
    ('chunk checksum ignored by reads', 'log_read.c',
     'if (crc32c(0, data + checked, part) != layout->chunks[next])', 'if (false)', DAMAGE),
    ('chunks read along are believed', 'log_read.c',
     'if (crc32c(0, data + checked, part) != layout->chunks[next])',
     'if (next == chunk && crc32c(0, data + checked, part) != layout->chunks[next])', DAMAGE),
    ('damage before the durable end passes for the end', 'log_scan.c',
     'if (result > 0 && record.durable > scan->durable_max && record.durable <= offset)',
     'if (false)', DAMAGE),
    ('only the first header is read', 'log_open.c',
     'for (uint64_t at = 0; at < size; at += FORMAT_HEADER_ALIGN_BYTES) { '
     'struct format_segment header;',
     'for (uint64_t at = 0; at < 1; at += FORMAT_HEADER_ALIGN_BYTES) { '
     'struct format_segment header;', DAMAGE),
    ('the end is not written', 'log_open.c', 'end_write(log); log->closing',
     '(void)end_write; log->closing', DAMAGE),
    ('length believed before it is checked', 'log_scan.c',
     'format_disk_bytes(&record) > scan->end - offset', 'false', DAMAGE),
    ('another store\'s segment accepted', 'log_open.c',
     'header.store_id != log->store_id || header.shard != log->shard ||', '', DAMAGE),
    ('nothing kept for deletions on a full disk', 'log_append.c',
     '(urgent ? 0 : 1)', '(urgent ? 0 : 0)', SWEEP),
    ('a full disk does not heal', 'log_spare.c',
     'core_now_ns(log->core) >= log->spare_retry_ns)', 'log->spare_retry_ns == 0)', SWEEP),
    ('no resumption after a failed write', 'log_segment.c',
     'if (resumes) resume(log);', 'if (resumes && log->epoch < 2) '
     'resume(log); else if (resumes) fiber_sleep(log->core, 1000);',
     SWEEP),
]
