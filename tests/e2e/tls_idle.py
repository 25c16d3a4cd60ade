#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""20,000 connections in IDLE under TLS, each logged in, held by one process in at most 6 KiB each
(row R01 of docs/bad-input.md); then some of them are asked to go on."""
import os
import subprocess
import sys
import time

from harness import IMAP, IMAPS, Gateway, check

BUILD = os.environ.get('RINGPOST_BUILD') or sys.exit('RINGPOST_BUILD must name the build folder')
CLIENT = os.path.join(BUILD, 'bench', 'client')
CONNECTIONS, PROCESSES, BYTES_MAX = 20000, 4, 6144


def pss_kib(pid):
    with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('Pss:'))


def main():
    with Gateway(users=800) as gateway:
        subprocess.run([CLIENT, 'fill', str(gateway.port(IMAP)), '4', '800', '1024'], check=True,
                       stdout=subprocess.DEVNULL, timeout=120)
        before = pss_kib(gateway.process.pid)
        with subprocess.Popen([CLIENT, 'tls-idle', str(gateway.port(IMAPS)), str(CONNECTIONS),
                               str(PROCESSES), '3'], stdout=subprocess.PIPE, text=True) as client:
            ready = client.stdout.readline()
            time.sleep(1)
            each = (pss_kib(gateway.process.pid) - before) * 1024 / CONNECTIONS
            client.stdout.read()
            check(client.wait(120) == 0, 'a held connection did not answer')
        check(ready.split() == ['READY', str(CONNECTIONS)], f'held: {ready!r}')
        check(each <= BYTES_MAX, f'{each:.0f} bytes each')
        print(f'{CONNECTIONS} connections in IDLE under TLS: {each:.0f} bytes each')


if __name__ == '__main__':
    sys.exit(main())
