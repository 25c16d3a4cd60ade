#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Can the simulator's own tests see? Bugs planted into the engine, the streams and the gateway, one
at a time, each of which a scenario, a test or a script must catch.

usage: tests/sim/mutants_engine.py [--list] [NAME]...

Each row of MUTANTS is a name, a file, the exact text to replace, what stands there instead, and the
command (in the build folder) that must then fail. Text that is not found exactly once is an error,
as is a mutant that survives. Works in a copy of the tree with one build folder. Needs meson, ninja,
CC (gcc) and RINGPOST_PREFIX (~/.cache/ringpost/prefix). The last line is
`mutants: N caught, M failed`.
"""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PREFIX = os.environ.get('RINGPOST_PREFIX', os.path.expanduser('~/.cache/ringpost/prefix'))
SECONDS_MAX = 120
NET = 'tests/sim/sim net --seeds 0..3000 --seconds 40'
GATEWAY = 'tests/sim/sim gateway --seeds 0..2000 --seconds 60'
RINGS = 'tests/sim/ring_fault_test'
ENGINE = 'tests/sim/engine_sim_test'
STREAM = 'tests/sim/stream_sim_test'
SCRIPT = 'tests/script/script_sim --seconds 30 tests/script/'

MUTANTS = [
    ('a full table is not tried again', 'src/net/listener.c',
     'timer_set(listener->core, &listener->retry, core_now_ns(listener->core) + RETRY_NS);',
     '(void)RETRY_NS;', RINGS),
    ('a full table is tried again in a loop', 'src/net/listener.c',
     'timer_set(listener->core, &listener->retry, core_now_ns(listener->core) + RETRY_NS);\n'
     '        return;', '(void)RETRY_NS;', RINGS),
    ('a starved receive is forgotten', 'src/engine/buffer.c',
     '        starved->arm(starved);', '        (void)starved;', RINGS),
    ('completions are lost when the queue is full', 'src/engine/ring.c',
     '            backlog_fill(core);',
     '            core->ring.cq.khead[0] = core->ring.cq.ktail[0];', RINGS),
    ('a short send passes as success', 'src/net/write.c',
     'part = (uint32_t)result < size ? (uint32_t)result : size;', 'part = size;', NET),
    ('a moving stream has no deadline', 'src/net/move.c',
     '    output_kick(stream);\n    stream_pump(stream);\n    stream_attend(stream);\n}',
     '    timer_clear(stream->core, &stream->deadline);\n    output_kick(stream);\n'
     '    stream_pump(stream);\n    stream_attend(stream);\n}', NET),
    ('the last look at a paused stream is never the last', 'src/net/stream.c',
     '    stream->state &= ~(unsigned)PAUSED; /* nobody resumes what is dropped here */\n', '',
     NET),
    ('a sleeping core is not woken', 'src/engine/message.c',
     '        kernel_wake(to->kernel);', '        (void)to->kernel;', ENGINE),
    ('fibers of a core run on in the order of their waking, backwards', 'src/engine/message.c',
     '        newest->next = oldest;\n        oldest = newest;',
     '        oldest = oldest == NULL ? newest : oldest;', ENGINE),
    ('mail is acknowledged whatever the store says', 'src/smtp/deliver.c',
     'store_deliver(', '0 * store_deliver(', GATEWAY),
    ('a failed allocation of a listener is fatal', 'src/net/listener.c',
     'for (unsigned i = 0; arrival == NULL && i < SPARES; i++)',
     'for (unsigned i = SPARES; arrival == NULL && i < SPARES; i++)', SCRIPT + 'line.t'),
]


def run(command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)


def build(folder):
    targets = sorted({row[4].split()[0] for row in MUTANTS})
    result = run(['ninja', '-C', folder, '-j2'] + targets)
    if result.returncode != 0:
        sys.stdout.write(result.stdout.decode('utf-8', 'replace')[-3000:])
    return result.returncode == 0


def caught(tree, folder, row):
    name, path, old, new, command = row
    full = os.path.join(tree, path)
    with open(full, encoding='utf-8') as file:
        text = file.read()
    if text.count(old) != 1:
        return 'its text is there %d times' % text.count(old)
    with open(full, 'w', encoding='utf-8') as file:
        file.write(text.replace(old, new))
    try:
        if not build(folder):
            return 'does not build'
        words = [w.replace('tests/script/line.t', os.path.join(tree, 'tests/script/line.t'))
                 for w in command.split()]
        try:
            result = run(words, cwd=folder, timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            return '' # it hangs: seen
        return '' if result.returncode != 0 else 'survives'
    finally:
        with open(full, 'w', encoding='utf-8') as file:
            file.write(text)


def main(words):
    rows = [row for row in MUTANTS if not words or row[0] in words]
    if words == ['--list']:
        print('\n'.join(row[0] for row in MUTANTS))
        return 0
    with tempfile.TemporaryDirectory(prefix='mutants-') as top:
        tree, folder = os.path.join(top, 'tree'), os.path.join(top, 'build')
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns('.git', 'build*'))
        setup = run(['meson', 'setup', folder, tree, '-Doptimization=1',
                     '-Dpkg_config_path=' + PREFIX + '/lib/pkgconfig'])
        if setup.returncode != 0 or not build(folder):
            sys.stdout.write(setup.stdout.decode('utf-8', 'replace')[-2000:])
            return 2
        failed = 0
        for row in rows:
            why = caught(tree, folder, row)
            failed += why != ''
            print('%-8s %s%s' % ('FAILED' if why else 'caught', row[0], ': ' + why if why else ''),
                  flush=True)
    print('mutants: %d caught, %d failed' % (len(rows) - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
