#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Is the checker itself able to see? Bugs planted into the log, one at a time, each of which the
power-cut loop, the sweeps or the damage tests must catch.

usage: tests/sim/mutants.py [--jobs N] [--list] [NAME]...

Each row of MUTANTS is a name, a file of src/store, the exact text to replace (white space apart),
what stands there instead, and the program that must then fail (by its exit status or by an
assertion) within its bound. Text that is not found exactly once is an error, as is a mutant that
survives. Needs CC (gcc) and RINGPOST_PREFIX (~/.cache/ringpost/prefix). The last line is
`mutants: N caught, M failed`.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PREFIX = os.environ.get('RINGPOST_PREFIX', os.path.expanduser('~/.cache/ringpost/prefix'))
CC = os.environ.get('CC', 'gcc')
CUTS, SWEEP, DAMAGE = 'log_cuts', 'log_sweep', 'log_damage'
SEEDS, SECONDS_MAX = '1..40000', 240

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
     'if (crc32c(0, data, size) != layout->chunks[chunk])', 'if (false)', DAMAGE),
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


def run(command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors='replace', check=False, **more)


def must(command):
    result = run(command)
    if result.returncode:
        sys.exit(f"mutants: ERROR: {' '.join(command)}\n{result.stdout}")
    return result.stdout


def listed(meson, library):
    """The sources of a static library in a meson.build."""
    path = os.path.join(ROOT, meson)
    with open(path, encoding='utf-8') as file:
        match = re.search(r"static_library\('%s',\s*files\((.*?)\)" % library, file.read(), re.S)
    if not match:
        sys.exit(f'mutants: ERROR: no library {library} in {meson}')
    return [os.path.join(os.path.dirname(path), name)
            for name in re.findall(r"'([^']+)'", match.group(1))]


class Build:
    """Everything but the log, compiled once; the log, and the programs, once a mutant."""

    def __init__(self, folder):
        self.folder = folder
        os.environ['PKG_CONFIG_PATH'] = PREFIX + '/lib/pkgconfig'
        packages = ['liburing', 'cmocka']
        self.flags = ['-std=gnu17', '-O2', '-g', '-D_GNU_SOURCE', '-I' + ROOT + '/include',
                      *must(['pkg-config', '--cflags', *packages]).split()]
        self.libraries = [*must(['pkg-config', '--libs', '--static', *packages]).split(),
                          '-lpthread']
        wrapped = re.search(r'sim_wrapped = \[(.*?)\]',
                            open(ROOT + '/tests/sim/meson.build', encoding='utf-8').read(), re.S)
        self.libraries += ['-Wl,--wrap=' + name
                           for name in re.findall(r"'(\w+)'", wrapped.group(1))]
        self.log = listed('src/store/meson.build', 'log')
        sources = (listed('src/base/meson.build', 'base') + self.log
                   + listed('src/engine/meson.build', 'engine')
                   + listed('tests/sim/meson.build', 'sim'))
        tests = [os.path.join(ROOT, 'tests/sim', name + '.c')
                 for name in ('log_oracle', 'log_store', CUTS, SWEEP, DAMAGE)]
        self.objects = {source: self.compile(source, folder) for source in sources + tests}
        programs = {name: os.path.join(ROOT, 'tests/sim', name + '.c')
                    for name in (CUTS, SWEEP, DAMAGE)}
        common = [self.objects[source] for source in sources + tests[:2]]
        self.links = {name: common + [self.objects[source]] for name, source in programs.items()}

    def compile(self, source, folder, name=None):
        name = name or os.path.relpath(source, ROOT).replace('/', '-')
        out = os.path.join(folder, name + '.o')
        must([CC, *self.flags, '-I' + os.path.join(ROOT, 'src/store'), '-c', source, '-o', out])
        return out

    def link(self, program, out, replaced, replacement):
        objects = [replacement if one == replaced else one for one in self.links[program]]
        must([CC, *objects, '-o', out, *self.libraries])
        return out


def mutated(row):
    name, file, old, new, _ = row
    path = os.path.join(ROOT, 'src/store', file)
    with open(path, encoding='utf-8') as handle:
        text = handle.read()
    pattern = r'\s+'.join(re.escape(word) for word in old.split())
    found = list(re.finditer(pattern, text))
    if len(found) != 1:
        return None, f'the text is there {len(found)} times in {file}, not once'
    return text[:found[0].start()] + new + text[found[0].end():], None


def command(program, binary):
    return [binary, '--seeds', SEEDS, '--until-failure'] if program == CUTS else [binary]


def judge(build, row):
    """(caught, what happened)"""
    name, file, _, _, program = row
    text, error = mutated(row)
    if error:
        return False, error
    folder = tempfile.mkdtemp(dir=build.folder)
    source = os.path.join(folder, file)
    with open(source, 'w', encoding='utf-8') as handle:
        handle.write(text)
    original = build.objects[os.path.join(ROOT, 'src/store', file)]
    binary = build.link(program, os.path.join(folder, program), original,
                        build.compile(source, folder, file))
    began = time.monotonic()
    try:
        result = run(command(program, binary), timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        return False, f'{program} went on for {SECONDS_MAX} s'
    finally:
        shutil.rmtree(folder)
    seconds = time.monotonic() - began
    if result.returncode == 0:
        return False, f'it survived {program} ({seconds:.1f} s)'
    said = [line for line in result.stdout.splitlines()
            if re.search(r'^seed \d|Assertion|ERROR: |FAILED', line)]
    return True, f'{program}, {seconds:.1f} s: {said[0][:110] if said else result.returncode}'


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split('usage: ')[1].split('\n')[0])
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--list', action='store_true')
    parser.add_argument('names', nargs='*')
    options = parser.parse_args()
    rows = [row for row in MUTANTS if not options.names or row[0] in options.names]
    if options.list:
        print('\n'.join(row[0] for row in rows))
        return 0
    if not rows or len({row[0] for row in MUTANTS}) != len(MUTANTS):
        sys.exit('mutants: ERROR: no such mutant, or two of one name')
    caught = 0
    with tempfile.TemporaryDirectory() as folder:
        build = Build(folder)
        for program in sorted({row[4] for row in rows}): # the unchanged log passes
            binary = build.link(program, os.path.join(folder, program), None, None)
            arguments = [binary, '--seeds', '1..300'] if program == CUTS else [binary]
            result = run(arguments, timeout=SECONDS_MAX)
            if result.returncode:
                sys.exit(f'mutants: ERROR: {program} fails without a mutant\n{result.stdout}')
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for row, (good, what) in zip(rows, pool.map(lambda row: judge(build, row), rows)):
                print(f"{'caught  ' if good else 'SURVIVED'}  {row[0]}: {what}", flush=True)
                caught += good
    print(f'mutants: {caught} caught, {len(rows) - caught} failed')
    return 0 if caught == len(rows) else 1


if __name__ == '__main__':
    sys.exit(main())
