#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Are the checkers themselves able to see? Bugs planted one at a time, each of which the program
named with it must catch.

usage: tests/sim/mutants.py [--table NAME]... [--quick] [--jobs N] [--list] [NAME]...

  --table NAME   log, store, pop3, engine, backend, relay, smtp (tests/sim/mutants_NAME.py) or
                 all (the default)
  --quick        log and store only, cheapest first, for QUICK_SECONDS at most: what is left then is
                 'not run'
  --jobs N       so many at once (2)

A table is a module with MUTANTS, rows of a name, a file, the exact text to replace, what stands
there instead, and the program or command that must then fail. For log and store the file lies in
src/store, white space is free, and a program is linked anew from objects compiled once; the
others name files and commands in a copy of the tree with a build folder. Text that is not found
exactly once is an error, as is a mutant that survives. One that hangs is caught only if its table
says so (HANG_IS_CAUGHT). Needs CC (gcc) and RINGPOST_PREFIX (~/.cache/ringpost/prefix); the
others need meson and ninja.

The last line is `N mutants, N caught, N not run`; exit status 1 when one was run and not caught.
"""
import argparse
import concurrent.futures
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
import mutants_backend # noqa: E402 pylint: disable=wrong-import-position
import mutants_engine # noqa: E402 pylint: disable=wrong-import-position
import mutants_log # noqa: E402 pylint: disable=wrong-import-position
import mutants_pop3 # noqa: E402 pylint: disable=wrong-import-position
import mutants_relay # noqa: E402 pylint: disable=wrong-import-position
import mutants_smtp # noqa: E402 pylint: disable=wrong-import-position
import mutants_store # noqa: E402 pylint: disable=wrong-import-position

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PREFIX = os.environ.get('RINGPOST_PREFIX', os.path.expanduser('~/.cache/ringpost/prefix'))
CC = os.environ.get('CC', 'gcc')
QUICK_SECONDS, COMPILE_SECONDS = 360, 3
CAUGHT, SURVIVED, NOT_RUN = 'caught', 'SURVIVED', 'not run'


def run(command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors='replace', check=False, **more)


def die(what):
    sys.exit(f'mutants: ERROR: {what}')


def must(command):
    result = run(command)
    if result.returncode:
        die(f"{' '.join(command)}\n{result.stdout[-3000:]}")
    return result.stdout


def verdict(table, command, seconds, **more):
    """What the program has to say about a mutant; `seconds` may be less than the table's bound."""
    began = time.monotonic()
    try:
        result = run(command, timeout=min(seconds, table.SECONDS_MAX), **more)
    except subprocess.TimeoutExpired:
        if seconds < table.SECONDS_MAX:
            return NOT_RUN, f'no time is left after {seconds:.0f} s'
        return (CAUGHT if table.HANG_IS_CAUGHT else SURVIVED), f'went on for {seconds} s'
    took = time.monotonic() - began
    if result.returncode == 0:
        return SURVIVED, f'{took:.1f} s'
    said = [line for line in result.stdout.splitlines()
            if re.search(r'seed \d|Assertion|ERROR: |FAILED|: \d+: ', line)]
    return CAUGHT, f'{took:.1f} s: {said[0][:110] if said else result.returncode}'


# --- log, store: a program from objects -----------------------------------------------------------

def listed(meson, library):
    """The sources of a static library in a meson.build."""
    path = os.path.join(ROOT, meson)
    with open(path, encoding='utf-8') as file:
        match = re.search(r"static_library\('%s',\s*files\((.*?)\)" % library, file.read(), re.S)
    if not match:
        die(f'no library {library} in {meson}')
    return [os.path.join(os.path.dirname(path), name)
            for name in re.findall(r"'([^']+)'", match.group(1))]


class Objects:
    """Everything compiled once; the file of a mutant, and its program, once a mutant."""

    def __init__(self, folder, rows, jobs):
        self.folder, self.links = folder, {}
        os.environ['PKG_CONFIG_PATH'] = PREFIX + '/lib/pkgconfig'
        packages = ['liburing', 'cmocka']
        self.flags = ['-std=gnu17', '-O2', '-g', '-D_GNU_SOURCE', '-I' + ROOT + '/include',
                      *must(['pkg-config', '--cflags', *packages]).split()]
        self.libraries = [*must(['pkg-config', '--libs', '--static', *packages]).split(),
                          '-lpthread']
        with open(ROOT + '/tests/sim/meson.build', encoding='utf-8') as file:
            wrapped = re.search(r'sim_wrapped = \[(.*?)\]', file.read(), re.S)
        self.libraries += ['-Wl,--wrap=' + name
                           for name in re.findall(r"'(\w+)'", wrapped.group(1))]
        sources = {program: self.sources(program) for program in sorted({row[4] for row in rows})}
        every = sorted({source for each in sources.values() for source in each})
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            self.objects = dict(zip(every, pool.map(self.compile, every)))
        self.links = {program: [self.objects[source] for source in each]
                      for program, each in sources.items()}

    def sources(self, program):
        sources = (listed('src/base/meson.build', 'base') + listed('src/store/meson.build', 'log')
                   + listed('src/engine/meson.build', 'engine')
                   + listed('tests/sim/meson.build', 'sim'))
        names = ['log_oracle', program]
        if program != mutants_log.CUTS:
            names.append('log_store')
        if program == mutants_store.SIM:
            sources += (listed('src/mime/meson.build', 'mime')
                        + listed('src/store/meson.build', 'store') + [self.program()])
            names = ['shrink', 'scenario_store', 'store_model', 'store_people']
        return sources + [os.path.join(ROOT, 'tests/sim', name + '.c') for name in names]

    def program(self):
        """The program of scenarios with the store's alone."""
        here = os.path.join(ROOT, 'tests/sim')
        with open(os.path.join(here, 'scenarios.h'), encoding='utf-8') as file:
            text = file.read()
        row = re.search(r'ROW\(store, .*?"\)', text, re.S).group()
        text = re.sub(r'(#define SCENARIO_TABLE\(ROW\)).*?\n\n', lambda match:
                      f'{match.group(1)} {row}\n\n', text, count=1, flags=re.S)
        with open(os.path.join(self.folder, 'scenarios.h'), 'w', encoding='utf-8') as file:
            file.write(text)
        return shutil.copy(os.path.join(here, 'sim.c'), self.folder)

    def compile(self, source, folder=None):
        folder = folder or self.folder
        out = os.path.join(folder, os.path.relpath(source, ROOT).replace('/', '-') + '.o')
        must([CC, *self.flags, '-I' + os.path.join(ROOT, 'src/store'),
              '-I' + os.path.join(ROOT, 'tests/sim'), '-c', source, '-o', out])
        return out

    def link(self, program, out, replaced=None, replacement=None):
        objects = [replacement if one == replaced else one for one in self.links[program]]
        must([CC, *objects, '-o', out, *self.libraries])
        return out

    def check(self, table, program):
        """The unchanged store passes."""
        binary = self.link(program, os.path.join(self.folder, program))
        result = run(table.command(program, binary, False), timeout=240)
        if result.returncode:
            die(f'{program} fails without a mutant\n{result.stdout[-3000:]}')

    def judge(self, table, row, seconds):
        _, file, old, new, program = row
        path = os.path.join(ROOT, 'src/store', file)
        with open(path, encoding='utf-8') as handle:
            text = handle.read()
        found = list(re.finditer(r'\s+'.join(re.escape(word) for word in old.split()), text))
        if len(found) != 1:
            return SURVIVED, f'its text is there {len(found)} times in {file}, not once'
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            source = os.path.join(folder, file)
            with open(source, 'w', encoding='utf-8') as handle:
                handle.write(text[:found[0].start()] + new + text[found[0].end():])
            binary = self.link(program, os.path.join(folder, program), self.objects[path],
                               self.compile(source, folder))
            return verdict(table, table.command(program, binary, True), seconds)


# --- pop3, engine, backend, relay: a copy of the tree ---------------------------------------------

class Tree:
    """A copy of the tree and its build folder, one for each that runs at once."""

    def __init__(self, folder, rows):
        self.tree, self.build = os.path.join(folder, 'tree'), os.path.join(folder, 'build')
        self.targets = sorted({row[4].split()[0] for row in rows})
        shutil.copytree(ROOT, self.tree, ignore=shutil.ignore_patterns('.git', 'build*'))
        must(['meson', 'setup', self.build, self.tree, '-Doptimization=1',
              '-Dpkg_config_path=' + PREFIX + '/lib/pkgconfig'])
        self.ninja(must)

    def ninja(self, how):
        return how(['ninja', '-C', self.build, '-j1', *self.targets])

    def judge(self, table, row, seconds):
        _, path, old, new, command = row
        full = os.path.join(self.tree, path)
        with open(full, encoding='utf-8') as file:
            text = file.read()
        if text.count(old) != 1:
            return SURVIVED, f'its text is there {text.count(old)} times in {path}, not once'
        with open(full, 'w', encoding='utf-8') as file:
            file.write(text.replace(old, new))
        try:
            if self.ninja(run).returncode:
                return SURVIVED, 'does not build'
            words = [os.path.join(self.tree, word) if word.endswith('.t') else word
                     for word in command.split()]
            return verdict(table, words, seconds, cwd=self.build)
        finally:
            with open(full, 'w', encoding='utf-8') as file:
                file.write(text)


class Trees:
    def __init__(self, folder, rows, jobs):
        self.free = queue.Queue()
        folders = [tempfile.mkdtemp(dir=folder) for _ in range(min(jobs, len(rows)))]
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for tree in pool.map(lambda each: Tree(each, rows), folders):
                self.free.put(tree)

    def check(self, _table, _program):
        """The tests of the tree are run elsewhere."""

    def judge(self, table, row, seconds):
        tree = self.free.get()
        try:
            return tree.judge(table, row, seconds)
        finally:
            self.free.put(tree)


# --- all together ---------------------------------------------------------------------------------

TABLES = {'log': (mutants_log, Objects), 'store': (mutants_store, Objects),
          'pop3': (mutants_pop3, Trees), 'engine': (mutants_engine, Trees),
          'backend': (mutants_backend, Trees), 'relay': (mutants_relay, Trees),
          'smtp': (mutants_smtp, Trees)}


def cost(table, row):
    costs = getattr(table, 'COSTS', {})
    return costs.get(row[0], costs.get(row[4], 60)) + COMPILE_SECONDS


class Runner:
    def __init__(self, until):
        self.until = until
        self.counts = {CAUGHT: 0, SURVIVED: 0, NOT_RUN: 0}
        self.lock = threading.Lock()

    def one(self, name, table, builder, row):
        left = self.until - time.monotonic()
        if cost(table, row) > left:
            result, what = NOT_RUN, f'takes about {cost(table, row)} s, {max(left, 0):.0f} are left'
        else:
            result, what = builder.judge(table, row, left)
        with self.lock:
            self.counts[result] += 1
            print(f'{result:8}  {name}: {row[0]}: {what}', flush=True)


def chosen(options):
    names = options.table or ['all']
    if 'all' in names:
        names = ['log', 'store'] if options.quick else list(TABLES)
    rows = [(name, row) for name in names for row in TABLES[name][0].MUTANTS
            if not options.names or row[0] in options.names]
    every = [row[0] for table, _ in TABLES.values() for row in table.MUTANTS]
    unknown = set(options.names) - {row[0] for _, row in rows}
    if unknown or len(set(every)) != len(every):
        die(f'no such mutant in {names}, or two of one name: {unknown}')
    return sorted(rows, key=lambda each: cost(TABLES[each[0]][0], each[1])) \
        if options.quick else rows


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split('usage: ')[1].split('\nA table')[0])
    parser.add_argument('--table', action='append', choices=[*TABLES, 'all'])
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--list', action='store_true')
    parser.add_argument('names', nargs='*')
    options = parser.parse_args()
    runner = Runner(time.monotonic() + (QUICK_SECONDS if options.quick else 1e9))
    rows = chosen(options)
    if options.list:
        print('\n'.join(f'{name}: {row[0]}' for name, row in rows))
        return 0
    with tempfile.TemporaryDirectory(prefix='mutants-') as folder, \
            concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        builders = {}
        for kind in (Objects, Trees):
            mine = [row for name, row in rows if TABLES[name][1] is kind]
            if mine:
                builders[kind] = kind(folder, mine, options.jobs)
        programs = sorted({(name, row[4]) for name, row in rows})
        list(pool.map(lambda each: builders[TABLES[each[0]][1]].check(TABLES[each[0]][0], each[1]),
                      programs))
        list(pool.map(lambda each: runner.one(each[0], TABLES[each[0]][0],
                                              builders[TABLES[each[0]][1]], each[1]), rows))
    counts = runner.counts
    print(f'{len(rows)} mutants, {counts[CAUGHT]} caught, {counts[NOT_RUN]} not run')
    return 1 if counts[SURVIVED] else 0


if __name__ == '__main__':
    sys.exit(main())
