#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions per operation, counted by callgrind and compared with what was recorded.

usage: bench/micro/run.py [--build DIR] [--record] [--time] [--jobs N] [ROW...]

  --build DIR   a build by gcc, -O2, without LTO (default: build/gcc); it must hold
                bench/micro/micro and tests/script/script_sim
  --record      writes what is counted into bench/micro/instructions.json (of the given rows)
  --time        nanoseconds instead, without callgrind; compares nothing
  --jobs N      programs at a time (default: processors)
  ROW...        only these

Two kinds of rows. Those of bench/micro/*.c call a pure function in a loop. The others, "path-...",
are whole operations of the gateway: one client that waits for each answer talks to it in the
simulator (tests/script), which is the same from run to run to the last instruction; counted are
the functions of src/ and what they call in the C library. Each is run with two numbers of rounds,
and the difference is divided by the difference of the rounds, so that what is done once goes away.

A row that is more than 5 % above the record fails, unless bench/micro/changes.md has a line that
begins with its name and a colon, and says why; then record anew, and take the line out with the
next change. One that is more than 5 % below asks to be recorded. Counts depend on the compiler,
the C library and the processor: they are only compared where these are those of the record, and
elsewhere printed. Exit status: 0, 1 a row fails, 2 it cannot run.
"""
import argparse
import concurrent.futures
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RECORD = os.path.join(HERE, 'instructions.json')
CHANGES = os.path.join(HERE, 'changes.md')
TOLERANCE = 0.05
SECONDS_MAX = 300  # of one program under callgrind
UNITS_WANTED = 40000  # of a micro row: about so many in the longer run, if they are small ...
ROUNDS_MAX, ROUNDS_MIN = 2000, 20

# --- whole paths, as conversations of tests/script ------------------------------------------------

MESSAGE = ['From: s@client.example', 'To: anna@example.org', 'Subject: one',
           'Date: Tue, 24 Nov 2026 19:00:00 +0000', 'Message-ID: <1@client.example>', '',
           *['x' * 70] * 12]
SUBMIT = ['C: MAIL FROM:<s@client.example>', 'S: 250 *', 'C: RCPT TO:<anna@example.org>',
          'S: 250 *', 'C: DATA', 'S: 354 *', *('C: ' + line for line in MESSAGE), 'C: .',
          'S: 250 *']
HELLO = ['a = smtp', 'S: 220 *', 'C: EHLO client.example', 'S* 250 *']
QUIT = ['C: QUIT', 'S: 221 *', 'expect-close']
LOG_IN = ['b = imap', 'S: \\* OK *', 'C: a LOGIN anna@example.org secret', 'S: a OK *']
FRONT_LOG_IN = ['b = front_imap', 'S: \\* OK *', 'C: a LOGIN anna secret', 'S: a OK *']
LOG_OUT = ['C: z LOGOUT', 'S* z OK *', 'expect-close']
SELECT = ['C: b SELECT INBOX', 'S* b OK *']
FETCH = ['C: c FETCH 1 BODY.PEEK[]', 'S* c OK *']
POP3 = ['c = pop3', 'S: +OK *', 'C: USER anna@example.org', 'S: +OK*', 'C: PASS secret', 'S: +OK*']
RETRIEVE = ['C: RETR 1', 'S: +OK*', 'S* .']
POP3_QUIT = ['C: QUIT', 'S: +OK*', 'expect-close']
ONE = HELLO + SUBMIT + QUIT
PLAYS = 2  # script_sim plays such a script as it is, and once more alone

# name: (unit, before, what is repeated, after, two numbers of rounds)
PATHS = {
    'path-smtp-1k': ('message', HELLO, SUBMIT, QUIT, (20, 80)),
    'path-smtp-connection-1k': ('message', [], ONE, [], (10, 40)),
    'path-imap-fetch-1k': ('command', ONE + LOG_IN + SELECT, FETCH, LOG_OUT, (20, 80)),
    'path-pop3-retr-1k': ('command', ONE + POP3, RETRIEVE, POP3_QUIT, (20, 80)),
    'path-imap-login': ('log-in', ONE, LOG_IN + LOG_OUT, [], (10, 40)),
    'path-front-login': ('log-in', [], FRONT_LOG_IN + LOG_OUT, [], (10, 40)),
}
FRONTS = {'path-front-login'} # passed on to a backend, which is in the same program and counted too


class Profile:
    """A file of callgrind, in which names are numbers once they have been said."""

    def __init__(self, path):
        self.names = {}
        self.total = self.ours = 0
        is_ours = is_call = False
        callee = ''
        with open(path, encoding='utf-8', errors='replace') as file:
            for line in file:
                if line[0] in '0123456789+-*':
                    cost = int(line.split()[1])
                    if not is_call:
                        self.total += cost
                        self.ours += cost if is_ours else 0
                    elif is_ours and re.search(r'/libc[.-]', callee):
                        self.ours += cost  # with all that it calls
                    if is_call:
                        callee = ''
                    is_call = False
                elif line.startswith('calls='):
                    is_call = True
                elif line.startswith(('fl=', 'fi=', 'fe=', 'cfi=', 'cfl=', 'ob=', 'cob=')):
                    kind, _, rest = line.strip().partition('=')
                    name = self.name('file' if 'f' in kind else 'object', rest)
                    if kind == 'fl':
                        is_ours = '/src/' in name and '/tests/' not in name
                    elif kind == 'cob':
                        callee = name

    def name(self, kind, text):
        number, _, name = text.partition(' ')
        if name:
            self.names[kind, number] = name
        return self.names.get((kind, number), '')


def callgrind(command, folder):
    """A Profile of the command, which must succeed."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix='.callgrind') as out:
        done = subprocess.run(
            ['valgrind', '--tool=callgrind', '--callgrind-out-file=' + out.name, *command],
            capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
        if done.returncode != 0:
            sys.exit(f'micro: {" ".join(command)}: {(done.stdout + done.stderr)[-2000:]}')
        return Profile(out.name)


class Bench:
    def __init__(self, build, folder):
        self.micro = os.path.join(build, 'bench/micro/micro')
        self.script = os.path.join(build, 'tests/script/script_sim')
        self.folder = folder
        for program in (self.micro, self.script):
            if not os.path.exists(program):
                print(f'micro: {program} is not there; ninja -C {build}', file=sys.stderr)
                sys.exit(2)
        listed = subprocess.run([self.micro, '--list'], capture_output=True, text=True, check=True)
        self.rows = {}
        for line in listed.stdout.splitlines():
            name, unit, units = line.split()
            self.rows[name] = (unit, int(units))

    def names(self):
        return list(self.rows) + list(PATHS)

    def unit(self, name):
        return (self.rows.get(name) or PATHS[name])[0]

    def rounds(self, name):
        few = max(ROUNDS_MIN, min(ROUNDS_MAX, UNITS_WANTED // self.rows[name][1]))
        return few, 3 * few

    def count(self, name):
        """Instructions a unit."""
        if name in PATHS:
            few, many = PATHS[name][4]
            costs = [self.path(name, rounds).ours / PLAYS for rounds in (few, many)]
            units = many - few
        else:
            few, many = self.rounds(name)
            costs = [callgrind([self.micro, name, str(rounds)], self.folder).total
                     for rounds in (few, many)]
            units = (many - few) * self.rows[name][1]
        return (costs[1] - costs[0]) / units

    def path(self, name, rounds):
        _, before, repeated, after, _ = PATHS[name]
        path = os.path.join(self.folder, f'{name}-{rounds}.t')
        lines = ['# written by bench/micro/run.py',
                 'host front' if name in FRONTS else 'host gateway',
                 'not linux split fail honest', *before, *repeated * rounds, *after]
        with open(path, 'w', encoding='utf-8') as file:
            file.write('\n'.join(lines) + '\n')
        return callgrind([self.script, '--only', 'alone', path], self.folder)

    def time(self, name):
        """Nanoseconds a unit: the least of five."""
        rounds = str(self.rounds(name)[1] * 10)
        return min(float(subprocess.run([self.micro, name, rounds], capture_output=True, text=True,
                                        check=True).stdout) for _ in range(5))


def surroundings():
    """What counts depend on: only where all of it is the same are they compared."""
    version = subprocess.run(['gcc', '-dumpversion'], capture_output=True, text=True,
                             check=False).stdout.strip() or '0'
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        flags = next((line for line in file if line.startswith('flags')), '').split()
    return {'compiler': 'gcc ' + version.split('.')[0], 'machine': platform.machine(),
            'library': ' '.join(platform.libc_ver()),
            'processor': ' '.join(flag for flag in ('sse4_2', 'avx2', 'erms') if flag in flags)}


def explained():
    """Rows that changes.md says the change of."""
    try:
        with open(CHANGES, encoding='utf-8') as file:
            return {match.group(1) for match in
                    re.finditer(r'^\s*[-*]?\s*`?([\w-]+)`?: \S', file.read(), re.M)}
    except OSError:
        return set()


def number(value):
    return f'{value:.4g}' if value < 1000 else f'{value:.0f}'


def judge(name, old, new, reasons):
    """(what is said, whether it fails)"""
    if old is None:
        return 'not recorded: --record', True
    change = new / old - 1
    if change > TOLERANCE:
        if name in reasons:
            return 'more, for the reason in changes.md: --record', False
        return 'MORE', True
    return ('less: --record it' if change < -TOLERANCE else ''), False


def compare(bench, counted, record):
    here, reasons = surroundings(), explained()
    known = record.get('rows', {})
    same = record.get('surroundings') == here
    failed = []
    print(f'{"row":26} {"recorded":>10} {"now":>10} {"change":>8}  instructions a ...')
    for name, new in counted.items():
        old = known.get(name)
        said, fails = judge(name, old, new, reasons) if same else ('', False)
        if fails:
            failed.append(name)
        change = f'{(new / old - 1) * 100:+7.2f}%' if old and same else ''
        print(f'{name:26} {number(old) if old and same else "-":>10} {number(new):>10} '
              f'{change:>8}  {bench.unit(name):9} {said}')
    if not same:
        print(f'not compared: recorded with {record.get("surroundings")}, this is {here}')
    if failed:
        print(f'FAILED: {" ".join(failed)}: more than {TOLERANCE:.0%} above the record. Make it '
              'cheaper, or say why in bench/micro/changes.md (a line "NAME: why") and record it: '
              'bench/micro/run.py --record ' + ' '.join(failed))
    return not failed


def write_record(counted, record):
    here = surroundings()
    rows = record.get('rows', {}) if record.get('surroundings') == here else {}
    rows.update({name: round(value, 4 if value < 100 else 1) for name, value in counted.items()})
    with open(RECORD, 'w', encoding='utf-8') as file:
        json.dump({'surroundings': here, 'rows': dict(sorted(rows.items()))}, file, indent=1)
        file.write('\n')


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split('\n\n')[1].replace('usage: ', ''))
    parser.add_argument('--build', default=os.path.join(ROOT, 'build/gcc'))
    parser.add_argument('--record', action='store_true')
    parser.add_argument('--time', action='store_true')
    parser.add_argument('--jobs', type=int, default=os.cpu_count())
    parser.add_argument('rows', nargs='*')
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='ringpost-micro-') as folder:
        bench = Bench(options.build, folder)
        unknown = set(options.rows) - set(bench.names())
        if unknown:
            parser.error(f'no row {" ".join(unknown)}; there are: {" ".join(bench.names())}')
        names = options.rows or bench.names()
        if options.time or not shutil.which('valgrind'):
            if not options.time:
                print('valgrind is not there: nanoseconds, and nothing is compared')
            for name in names:
                if name in bench.rows:
                    print(f'{name:26} {number(bench.time(name)):>10} ns a {bench.unit(name)}')
            return 0
        # the long ones first
        order = sorted(names, key=lambda name: name not in PATHS)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            counted = dict(zip(order, pool.map(bench.count, order)))
        counted = {name: counted[name] for name in names}
    record = {}
    if os.path.exists(RECORD):
        with open(RECORD, encoding='utf-8') as file:
            record = json.load(file)
    if options.record:
        write_record(counted, record)
    good = True
    if options.record:
        for name, value in counted.items():
            print(f'{name:26} {number(value):>10} instructions a {bench.unit(name)}')
    else:
        good = compare(bench, counted, record)
    print(f'micro: {len(counted)} rows in {time.monotonic() - began:.0f} s')
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
