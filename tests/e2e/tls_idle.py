#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: 20,000 connections want the machine's ports and descriptors
"""20,000 connections in IDLE under TLS, each logged in, held by one process in at most 6 KiB each
(row R01 of docs/bad-input.md); then each user gets a message, and every connection is told."""
import json
import os
import subprocess
import sys

from harness import IMAPS, LMTP, RINGPOST, Gateway, check

BUILD = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(RINGPOST))))
BENCH = os.path.join(BUILD, 'bench', 'load', 'ringpost-bench')
CONNECTIONS, USERS, BYTES_MAX = 20000, 800, 6144


def pss(pid):
    with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith('Pss:'))


def hold(gateway, connections, quiet):
    """Holds them so long, then delivers: the JSON."""
    path = os.path.join(gateway.directory, 'idle.json')
    done = subprocess.run(
        [BENCH, 'idle', '--target', f'imap://127.0.0.1:{gateway.port(IMAPS)}', '--tls', 'implicit',
         '--connections', str(connections), '--users', str(USERS), '--mailbox', '1', '--also',
         f'lmtp://127.0.0.1:{gateway.port(LMTP)}', '--messages', str(USERS), '--duration', quiet,
         '--sources', '4', '--threads', '2', '--server-pid', str(gateway.process.pid), '--quiet',
         '--json', path],
        capture_output=True, text=True, timeout=400, check=False)
    check(done.returncode == 0, f'{done.returncode}: {done.stdout[-2000:]}{done.stderr[-500:]}')
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def main():
    with Gateway(users=USERS) as gateway:
        hold(gateway, USERS, '100ms') # what is allocated once is not a connection's
        before = pss(gateway.process.pid)
        result = hold(gateway, CONNECTIONS, '8s')
        held = [second['server_memory_bytes'] for second in result['timeline']
                if second['connections'] >= CONNECTIONS and second['server_memory_bytes']]
        check(held, f'held: {result["connections_most"]}')
        each = (held[-1] - before) / CONNECTIONS
        told = result['phases']['wake-up']['count']
        check(told >= CONNECTIONS, f'only {told} were told')
        check(each <= BYTES_MAX, f'{each:.0f} bytes each')
        print(f'{CONNECTIONS} connections in IDLE under TLS: {each:.0f} bytes each')


if __name__ == '__main__':
    sys.exit(main())
