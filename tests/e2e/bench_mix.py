#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ringpost-bench mix: the population that is built in and the one of bench/scenarios/office.conf
against the gateway; and files that are wrong, told by line."""
import os
import subprocess
import sys
import tempfile

from bench_smtp import BENCH, bench
from harness import IMAP, IMAPS, LMTP, POP3, SMTP, SUBMISSIONS, Gateway, check

HERE = os.path.dirname(os.path.abspath(__file__))
OFFICE = os.path.join(HERE, '../../bench/scenarios/office.conf')
WHOLE = {'commit', 'fetch', 'store', 'search', 'append', 'retr', 'list', 'log-in', 'wake-up'}


def endpoints(gateway, *more):
    return ('--target', f'imap://127.0.0.1:{gateway.port(IMAP)}', '--also',
            f'lmtp://127.0.0.1:{gateway.port(LMTP)}', '--also',
            f'pop3://127.0.0.1:{gateway.port(POP3)}', '--mailbox', 10, *more)


def fine(result, phases, what):
    check(result['error_count'] == 0, f'{what}: {result["errors"]} {result["error_examples"]}')
    check(not phases - set(result['phases']), f'{what}: {set(result["phases"])}')


def populations(gateway):
    for more in ((), ('--mix', OFFICE), ('--mix', OFFICE, '--threads', 2, '--arrivals', 'poisson')):
        rate = ('--rate', 150) if '--arrivals' not in more else ('--rate', 100)
        result = bench('mix', *endpoints(gateway, *more, *rate), '--duration', '4s', '--verify',
                       users=60)
        fine(result, WHOLE, more)
        wanted = rate[1] * 4
        check(wanted * 0.6 < result['operations'] < wanted * 1.4,
              f'{more}: {result["operations"]} operations, not some {wanted}')
        check(result['connections_most'] >= 200, result['connections_most'])
        check(result['verify']['checked'] > 0 and result['verify']['altered'] == 0,
              result['verify'])


def parts(gateway):
    """Only what there are endpoints for; and what a file says, no more."""
    result = bench('mix', '--target', f'lmtp://127.0.0.1:{gateway.port(LMTP)}', '--mailbox', 0,
                   '--duration', '1s', users=60)
    fine(result, {'commit'}, 'lmtp alone')
    check(not {'fetch', 'retr', 'wake-up'} & set(result['phases']), set(result['phases']))
    text = ('logins: { rate = 50; protocol = "smtp"; };\n'
            'readers: { rate = 20; mix = "noop=1"; commands = 3; };\n'
            'deliver: { rate = 10; protocol = "smtp"; };\n'
            'checkers: { rate = 5; delete = true; connections = 100; };\n')
    with tempfile.NamedTemporaryFile('w', suffix='.conf') as file:
        file.write(text)
        file.flush()
        result = bench('mix', '--target', f'imaps://127.0.0.1:{gateway.port(IMAPS)}', '--also',
                       f'pop3://127.0.0.1:{gateway.port(POP3)}?tls=start', '--also',
                       f'smtps://127.0.0.1:{gateway.port(SUBMISSIONS)}', '--mix', file.name,
                       '--duration', '2s', '--mailbox', 0, users=60, status=1)
        # submission refuses to deliver without a log-in, and says so
        check(set(result['errors']) == {'refused (5xx, BAD, -ERR)'}, result['errors'])
        check({'noop', 'log-in', 'tls', 'list'} <= set(result['phases']), set(result['phases']))
        check('fetch' not in result['phases'], 'a mix of noop alone')


def wrong_files(gateway):
    for text, line, says in (
            ('', 1, 'says nothing'), ('# nothing\n', 1, 'says nothing'),
            ('readers: { rate = 1.0; };\nwriters: { rate = 1.0; };', 2, 'has the groups idlers'),
            ('readers = 5;', 1, 'has the groups'), ('readers: { };', 1, 'without a rate'),
            ('readers: {\n rate = 1.0;\n speed = 3; };', 3, 'no key "speed"; it has: rate connect'),
            ('idlers: { rate = 1.0; };', 1, 'no key "rate"; it has: connections'),
            ('readers: {\n rate = 0; };', 2, 'rate = 2.5;'),
            ('readers: {\n rate = -1.5; };', 2, 'rate = 2.5;'),
            ('readers: {\n rate = "fast"; };', 2, 'rate = 2.5;'),
            ('idlers: {\n\n connections = 0; };', 3, 'connections = 20;'),
            ('idlers: { connections = 2.5; };', 1, 'connections = 20;'),
            ('deliver: { rate = 1;\n protocol = "imap"; };', 2, 'lmtp or smtp'),
            ('logins: { rate = 1;\n protocol = "pop3"; };', 2, 'imap or smtp'),
            ('readers: { rate = 1;\n mix = "fetch"; };', 2, 'NAME=WEIGHT'),
            ('checkers: { rate = 1;\n delete = 1; };', 2, 'delete = true;'),
            ('readers: { rate = 1; commands = 0; };', 1, 'commands = 20;'),
            ('readers: { rate = 1; connections = 20000; };', 1, 'at most 10000'),
            ('readers: { rate = 1;\n rate = 2; };', 2, 'duplicate'),
            ('readers: { rate = 1;\n', 2, 'syntax error'), ('\0\1\2', 1, ''),
            ('checkers: { rate = 1; };\n', 1, 'checkers has no endpoint; give --also pop3://'),
            ('idlers: { connections = 1; };\ndeliver: { rate = 1; };', 2, '--also lmtp://')):
        with tempfile.NamedTemporaryFile('w', suffix='.conf') as file:
            file.write(text)
            file.flush()
            done = subprocess.run([BENCH, 'mix', '--target', f'imap://127.0.0.1:{gateway}', '--mix',
                                   file.name], capture_output=True, text=True, timeout=30,
                                  check=False)
            check(done.returncode == 2, f'{text!r}: exit status {done.returncode}')
            check(f'{file.name}:{line}: ' in done.stderr and says in done.stderr,
                  f'{text!r}: {done.stderr}')
    for path in ('/nonexistent/x.conf', '/dev/zero', '/'):
        done = subprocess.run([BENCH, 'mix', '--target', 'imap://127.0.0.1:1', '--mix', path],
                              capture_output=True, text=True, timeout=30, check=False)
        check(done.returncode == 2 and path in done.stderr, f'{path}: {done.stderr}')


def main():
    wrong_files(1)
    with Gateway(users=60) as gateway:
        populations(gateway)
        parts(gateway)
    print('bench_mix: ok')
    return 0


if __name__ == '__main__':
    sys.exit(main())
