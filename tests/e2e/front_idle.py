#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: 20,000 sockets at once, and memory that is read while nothing else should move
"""5,000 sessions in IDLE through the gateway, to a Ringpost behind it: at most 3 KiB of its memory
each in clear, 12 KiB with TLS on both sides; then each user gets a message, and every session is
told. (The suite's rows proxy-idle and proxy-idle-tls are the same with 50,000 and 20,000.)"""
import json
import os
import subprocess
import sys

from front_harness import PREFIX, peers
from harness import RINGPOST, check, free_base

BUILD = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(RINGPOST))))
BENCH = os.path.join(BUILD, 'bench', 'load', 'ringpost-bench')
SESSIONS, FEW, USERS = 5000, 1000, 400
BYTES_MAX = {'none': 3072, 'implicit': 12288}


def hold(ground, front, backend, tls, sessions, quiet):
    """Holds them so long, then delivers: the JSON."""
    path = ground.path('idle.json')
    port = front.ports['imaps' if tls == 'implicit' else 'imap']
    done = subprocess.run(
        [BENCH, 'idle', '--target', f'imap://127.0.0.1:{port}', '--tls', tls, '--connections',
         str(sessions), '--users', str(USERS), '--user-format', 'u%d@example.test', '--password',
         'pw', '--mailbox', '1', '--also', f'lmtp://127.0.0.1:{backend.ports["lmtp"]}',
         '--messages', str(USERS), '--duration', quiet, '--sources', '2', '--server-pid',
         str(front.pid), '--quiet', '--json', path],
        capture_output=True, text=True, timeout=200, check=False)
    check(done.returncode == 0, f'{done.returncode}: {done.stdout[-2000:]}{done.stderr[-500:]}')
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def held(result, sessions):
    """The result, and the gateway's memory while so many were held."""
    bytes_held = [second['server_memory_bytes'] for second in result['timeline']
                  if second['connections'] >= sessions and second['server_memory_bytes']]
    check(bytes_held, f'held: {result["connections_most"]} {result["errors"]}')
    return result, bytes_held[-1]


def measure(ground, backend, tls):
    imap = backend.ports['imaps' if tls == 'implicit' else 'imap']
    with peers.RingpostFront(ground, imap=imap, pop3=backend.ports['pop3'],
                             lmtp=backend.ports['lmtp'], cores=2,
                             tls=tls == 'implicit', connections=4000) as front:
        # What is allocated once is no session's, nor what the first have left to be used again.
        _, few = held(hold(ground, front, backend, tls, FEW, '2s'), FEW)
        result, all_of_them = held(hold(ground, front, backend, tls, SESSIONS, '3s'), SESSIONS)
        each = (all_of_them - few) / (SESSIONS - FEW)
        told = result['phases']['wake-up']['count']
        check(told >= SESSIONS, f'only {told} were told')
        check(each <= BYTES_MAX[tls], f'{each:.0f} bytes each (TLS: {tls})')
        print(f'{SESSIONS} sessions in IDLE (TLS: {tls}): {each:.0f} bytes each', flush=True)


def main():
    ground = peers.Ground(None, free_base(), PREFIX, RINGPOST)
    try:
        with peers.Ringpost(ground, cores=2, users=USERS, environment={
                'RINGPOST_LIMITS__CONNECTIONS': '9000',
                'RINGPOST_LIMITS__CONNECTIONS_PER_USER': '1000'}) as backend:
            for tls in BYTES_MAX:
                measure(ground, backend, tls)
    finally:
        ground.close()


if __name__ == '__main__':
    sys.exit(main())
