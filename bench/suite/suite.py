#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The suite: the machine's ceilings, all rows in pairs, all sweeps; writes suite.json, page.html,
table.md. bench/run.sh builds and starts it, and explains it.

What was measured is written after each row, so that whatever ends the run leaves it; Ctrl-C writes
a partial result that says so.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import proxy_rows
import result
import rows as row_table
import sweeps as sweep_table
from load import Failed, Progress, Session, last_line, run_command
from peer import PeerError

HERE = os.path.dirname(os.path.abspath(__file__))


def parse(arguments):
    parser = argparse.ArgumentParser(usage='see bench/run.sh --help')
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--rows')
    parser.add_argument('--sweeps')
    parser.add_argument('--pairs', type=int)
    parser.add_argument('--out')
    parser.add_argument('--dir')
    parser.add_argument('--port-base', type=int, default=23000)
    parser.add_argument('--prefix')
    parser.add_argument('--build', required=True)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--list', action='store_true')
    options = parser.parse_args(arguments)
    options.pairs = options.pairs or (1 if options.quick else 5)
    rows, sweeps = row_table.rows() + proxy_rows.rows(), sweep_table.sweeps()
    if options.list:
        for one in rows + sweeps:
            print(f'{one.name:16} {one.what}')
        sys.exit(0)
    some = options.rows is not None or options.sweeps is not None
    wanted = row_table.names_like(options.rows or ('none' if some else '*'),
                                  [row.name for row in rows] + ['none'])
    options.rows = [row for row in rows if row.name in wanted]
    wanted = row_table.names_like(options.sweeps or ('none' if some else '*'),
                                  [sweep.name for sweep in sweeps] + ['none'])
    options.sweeps = [sweep for sweep in sweeps if sweep.name in wanted]
    return options


def ceilings(session):
    """bench/limits --json: {name: {value, unit, what}}."""
    path = session.ground.path('limits.json')
    folder = session.ground.path('limits')
    os.makedirs(folder)
    done = run_command([session.programs['limits'], *(['--quick'] if session.quick else []),
                        '--json', path, folder])
    if done.returncode != 0:
        raise Failed(f'bench/limits: {last_line(done)}')
    with open(path, encoding='utf-8') as file:
        read = json.load(file)
    known = read.get('ceilings', read)
    if 'tls_bulk' in known:
        known['tls_bulk_10m_us'] = {'value': (10 << 20) / known['tls_bulk']['value'] / 1e3,
                                    'unit': 'us', 'what': '10 MiB at the speed of tls_bulk'}
    return known


class Suite:
    """One run; self.data is suite.json."""

    def __init__(self, session, options):
        self.session, self.options = session, options
        self.began = time.monotonic()
        self.failed = 0
        self.data = {
            'tool': 'ringpost-suite', 'format': 1,
            'started': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()), 'seconds': 0,
            'machine': result.machine(), 'versions': session.versions,
            'command': ['bench/run.sh', *options.arguments], 'complete': False,
            'why': 'not finished yet', 'pairs': options.pairs, 'quick': options.quick,
            'ceilings': {}, 'rows': [], 'sweeps': [], 'configs': {}}
        weights = {'ceilings': 8 if options.quick else 60}
        for row in options.rows:
            pairs = min(options.pairs, row.pairs_max or options.pairs)
            weights[row.name] = len(row.names) * (2 + row.seconds * pairs)
        for sweep in options.sweeps:
            weights[f'sweep {sweep.name}'] = 10 * len(sweep.points) * len(sweep.servers)
        self.progress = Progress(weights)

    def save(self):
        self.data['seconds'] = round(time.monotonic() - self.began, 1)
        result.write(os.path.join(self.options.out, 'suite.json'), self.data)

    def run(self):
        said = run_command([self.session.programs['ringpost'], '--version']).stdout
        self.session.versions['ringpost'] = re.search(r'[\d.]+\w*', said).group()
        self.progress.begin('ceilings')
        try:
            self.data['ceilings'] = ceilings(self.session)
        except Failed as problem:
            self.complain('ceilings', problem)
        self.progress.end()
        self.save()
        for row in self.options.rows:
            self.progress.begin(row.name)
            entry = self.run_row(row)
            entry['seconds'] = self.progress.end()
            print(result.row_text(entry), flush=True)
        for sweep in self.options.sweeps:
            self.progress.begin(f'sweep {sweep.name}')
            entry = sweep.run(self.session, self.progress)
            self.failed += len(entry['problems'])
            self.data['sweeps'].append(entry)
            entry['seconds'] = self.progress.end()
            self.save()
            print(result.sweep_text(entry), flush=True)
        self.data['complete'], self.data['why'] = True, None

    def run_row(self, row):
        """Measures in pairs; keeps what there is in self.data whatever happens."""
        samples, why = {}, {}
        place = len(self.data['rows'])
        try:
            why = row.open(self.session)
            self.data['configs'].update((server.name, server.config())
                                        for server, _ in self.session.servers.values())
            pairs = min(self.options.pairs, row.pairs_max or self.options.pairs)
            for pair in range(pairs):
                for name in row.names:
                    self.progress.show(pair / pairs, f'{name} {pair + 1}/{pairs}')
                    if name in why:
                        continue
                    try:
                        samples.setdefault(name, []).append(row.measure(self.session, name))
                    except (Failed, PeerError) as problem:
                        why[name] = str(problem)
        finally:
            entry = result.row_entry(row, samples, why, self.data['ceilings'])
            self.data['rows'][place:] = [entry]
            self.save()
        row.close(self.session)
        self.failed += len(why)
        return entry

    def complain(self, what, problem):
        self.failed += 1
        print(f'{what}: {problem}', file=sys.stderr, flush=True)

    def report(self):
        """suite.json, table.md, page.html."""
        out = self.options.out
        self.save()
        with open(os.path.join(out, 'table.md'), 'w', encoding='utf-8') as file:
            file.write(result.markdown(self.data))
        done = subprocess.run([self.session.programs['ringpost-bench'], 'page',
                               os.path.join(out, 'suite.json'), '--html',
                               os.path.join(out, 'page.html')], capture_output=True, text=True,
                              timeout=60, check=False)
        if done.returncode != 0:
            self.complain('page.html', last_line(done))
        print(f'{out}/suite.json, page.html, table.md; '
              f'{sum(1 for row in self.data["rows"] if row["met"])} targets met, '
              f'{sum(1 for row in self.data["rows"] if row["met"] is False)} not', flush=True)


def main(arguments):
    session = suite = None
    status = 0
    try:
        options = parse(arguments)
        options.arguments = [word for word in arguments if word != '--build'
                             and word != options.build]
        os.makedirs(options.out, exist_ok=True)
        session = Session(options)
        suite = Suite(session, options)
        suite.run()
    except KeyboardInterrupt:
        print('\ninterrupted: writing what there is', file=sys.stderr, flush=True)
        status = 130
        if suite is not None:
            suite.data['why'] = 'interrupted'
    except (Failed, PeerError) as problem:
        print(f'bench: {problem}', file=sys.stderr)
        status = 1
        if suite is not None:
            suite.data['why'] = str(problem)
    finally:
        if session is not None:
            if suite is not None:
                suite.report()
            session.close()
    return status or (1 if suite is not None and suite.failed else 0)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
