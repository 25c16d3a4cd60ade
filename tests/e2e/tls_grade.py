#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# long
"""testssl.sh looks at every port that speaks TLS: nothing above LOW may be found (row T12 of
docs/bad-input.md)."""
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys

from harness import (IMAP, IMAPS, POP3, POP3S, SMTP, SUBMISSION, SUBMISSIONS, Gateway, check,
                     make_authority)

# What it says of itself, not of the server: of the openssl that it uses; and whether a session is
# resumed, which it reads off a comparison of bytes read and written that counts the clear text
# before STARTTLS too (under TLS 1.2 a short hello and a long answer to EHLO are "check failed").
# That tickets resume is shown by tls_test and bench/tls.
EXCUSED = {'engine_problem': None, 'sessionresumption_ticket': 'WARN'}
TRIES = 3  # when a check of its own did not work: WARN is no grade
GOOD = {'OK', 'INFO', 'LOW', 'DEBUG'}


def grade(gateway, port, starttls):
    for _ in range(TRIES):
        found = grade_once(gateway, port, starttls)
        if not any(' WARN ' in line for line in found):
            break
    return found


def grade_once(gateway, port, starttls):
    out = os.path.join(gateway.directory, f'grade-{port}.json')
    if os.path.exists(out):
        os.remove(out)
    command = ['testssl', '--quiet', '--color', '0', '--warnings', 'batch', '--nodns', 'none',
               '--add-ca', gateway.authority, '--jsonfile', out, '--openssl-timeout', '20',
               '--connect-timeout', '20', '-p', '-s', '-f', '-S', '-U',
               *(('-t', starttls) if starttls else ()), f'localhost:{gateway.port(port)}']
    done = subprocess.run(command, capture_output=True, timeout=500, check=False)
    check(os.path.exists(out), f'testssl {port}: {done.stdout[-800:]!r} {done.stderr[-400:]!r}')
    with open(out, encoding='utf-8') as file:
        found = json.load(file)
    ids = {entry['id'] for entry in found}
    for wanted in ('TLS1_2', 'TLS1_3', 'TLS1', 'cert_trust', 'BEAST', 'heartbleed'):
        check(any(name.startswith(wanted) for name in ids),
              f'testssl {port} did not look at {wanted}: {sorted(ids)}')
    return [f"{port}: {entry['severity']} {entry['id']}: {entry['finding']}" for entry in found
            if entry['severity'] not in GOOD and not is_excused(entry)]


def is_excused(entry):
    name = entry['id'].split(' ')[0]
    return name in EXCUSED and EXCUSED[name] in (None, entry['severity'])


def main():
    if not shutil.which('testssl'):
        sys.exit('testssl is not installed')
    ports = ((SMTP, 'smtp'), (SUBMISSION, 'smtp'), (SUBMISSIONS, None), (IMAP, 'imap'),
             (IMAPS, None), (POP3, 'pop3'), (POP3S, None))
    with Gateway(before=make_authority) as gateway:
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for found in pool.map(lambda port: grade(gateway, *port), ports):
                check(not found, '\n'.join(found))
    print(f'{len(ports)} ports: nothing above LOW')


if __name__ == '__main__':
    sys.exit(main())
