#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""bench/limits --json: each ceiling that the suite asks for is there and is a number above zero;
what cannot be measured ends with a reason instead of a figure."""
import json
import os
import socket
import subprocess
import sys
import tempfile

from harness import check, same

LIMITS = os.path.join(os.environ.get('RINGPOST_BUILD') or sys.exit('RINGPOST_BUILD must name the '
                                                                   'build'), 'bench', 'limits')
CEILINGS = {
    'us': ('ring_exchange_us', 'line_exchange_us', 'ring_connect_us', 'memory_to_socket_100k_us',
           'file_to_socket_100k_us', 'commit_us', 'commit_p50_us', 'receive_append_100k_us',
           'durable_append_1k_us', 'durable_append_4k_us', 'durable_append_64k_us',
           'durable_append_100k_us', 'tls_handshake_us', 'tls_resumed_us'),
    '1/s': ('durable_append_1k_per_second', 'durable_append_4k_per_second',
            'durable_append_64k_per_second', 'durable_append_100k_per_second',
            'receive_append_100k'),
    'GB/s': ('copy_hot', 'copy_cold', 'crc32c_hot', 'crc32c_cold', 'tls_bulk', 'file_to_socket'),
}


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def run(*words):
    return subprocess.run([LIMITS, *words], capture_output=True, text=True, timeout=300,
                          check=False)


def main():
    with tempfile.TemporaryDirectory(prefix='ringpost-limits-', dir='.') as folder:
        done = run('--quick', '--json', '-', '--port', str(free_port()), folder)
        same(done.returncode, 0, 'exit status: ' + done.stderr)
        result = json.loads(done.stdout)
        check(result['quick'] is True, 'says that it was quick')
        for unit, names in CEILINGS.items():
            for name in names:
                row = result['ceilings'].get(name, {})
                same(row.get('unit'), unit, name)
                check(row['value'] > 0 and row['what'], f'{name}: {row}')
        same(os.listdir(folder), [], 'files left behind')

        done = run('--quick', '--port', str(free_port()), os.path.join(folder, 'none'))
        check(done.returncode != 0 and 'No such file' in done.stderr, 'no folder: ' + done.stderr)
    with socket.create_server(('127.0.0.1', 0)) as taken:
        done = run('--quick', '--port', str(taken.getsockname()[1]))
        check(done.returncode != 0 and '--port' in done.stderr, 'port in use: ' + done.stderr)
    same(run('--nonsense').returncode, 2, 'a wrong option')
    print('limits: every ceiling is there')


if __name__ == '__main__':
    main()
