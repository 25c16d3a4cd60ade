#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# long
"""ringpost-bench against other people's servers, Postfix and Dovecot: every scenario that they
speak, in clear and under TLS; what it counts is compared with what their mailboxes hold. Then
`bench/run.sh --quick`: suite.json has every row and sweep, and interrupted it says so."""
import imaplib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from harness import RINGPOST, check

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, '..', '..')
BUILD = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(RINGPOST))))
BENCH = os.path.join(BUILD, 'bench', 'load', 'ringpost-bench')
PREFIX = os.environ.get('RINGPOST_PREFIX') or os.path.expanduser('~/.cache/ringpost/prefix')
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'bench', 'peers'))
import peer as peers

QUICK_SECONDS_MAX = 480 # beside other tests; alone it takes less than half
PORT_BASE = 23000 # up to 995 above it, which no other script takes


def run(ground, scenario, target, *arguments, tls='none'):
    """Its JSON; it must have worked without an error."""
    path = ground.path('run.json')
    done = subprocess.run(
        [BENCH, scenario, '--target', target, '--tls', tls, '--quiet', '--json', path,
         '--warm-up', '0', *map(str, arguments)], capture_output=True, text=True, timeout=100,
        check=False)
    what = f'{scenario} {target} {" ".join(map(str, arguments))}'
    check(done.returncode == 0, f'{what}: {done.returncode}: {done.stdout[-800:]}{done.stderr}')
    with open(path, encoding='utf-8') as file:
        result = json.load(file)
    check(result['complete'] and result['error_count'] == 0, f'{what}: {result["errors"]}')
    print(f'{what} ({tls}): {result["operations"]} operations, '
          f'{result["operations_per_second"]:.0f}/s', flush=True)
    return result


def same(got, want, what):
    check(got == want, f'{what}: {got}, not {want}')


def held(dovecot, user):
    """Messages in a mailbox, counted by a client that is not ours."""
    imap = imaplib.IMAP4('127.0.0.1', dovecot.ports['imap'], timeout=30)
    imap.login(f'u{user}@example.test', 'pw')
    count = int(imap.select(readonly=True)[1][0])
    imap.logout()
    return count


def postfix_alone(ground):
    with peers.Postfix(ground) as postfix:
        smtp = f'smtp://127.0.0.1:{postfix.ports["smtp"]}'
        for arguments in ((), ('--no-pipelining',), ('--per-connection', 1), ('--size', 'real')):
            result = run(ground, 'smtp', smtp, '--messages', 200, *arguments, *postfix.charge())
            same(result['operations'], 200, 'messages')
            check(result['cost']['server']['cpu_us_per_operation'] > 0, 'its CPU is counted')
        result = run(ground, 'smtp', smtp, '--messages', 100, tls='start')
        check(result['phases']['tls']['count'] > 0, 'STARTTLS was used')
        smtps = f'smtp://127.0.0.1:{postfix.ports["smtps"]}'
        same(run(ground, 'connect', smtps, '--messages', 50, tls='implicit')['operations'], 50,
             'handshakes')


def dovecot_alone(ground, dovecot):
    ports = dovecot.ports
    imap, lmtp = f'imap://127.0.0.1:{ports["imap"]}', f'lmtp://127.0.0.1:{ports["lmtp"]}'
    pop3 = f'pop3://127.0.0.1:{ports["pop3"]}'
    users = ('--users', 10)
    # the mailboxes are made here: of two deliveries that make one at once Dovecot refuses one
    same([held(dovecot, user) for user in range(10)], [0] * 10, 'new mailboxes')
    result = run(ground, 'lmtp', lmtp, '--messages', 200, *users, '--verify', '--also', imap,
                 *dovecot.charge())
    same(sum(held(dovecot, user) for user in range(10)), 200, 'messages that Dovecot holds')
    same([result['verify'][name] for name in ('checked', 'missing', 'altered', 'doubled')],
         [200, 0, 0, 0], 'verified')
    result = run(ground, 'pop3', pop3, '--messages', 20, *users, '--connections', 10, '--verify',
                 '--also', lmtp, '--mailbox', 20)
    same(result['verify']['altered'], 0, 'altered by POP3')
    check(result['phases']['retr']['count'] > 0, 'messages were retrieved')
    for tls, port in (('none', 'imap'), ('start', 'imap'), ('implicit', 'imaps')):
        target = f'imap://127.0.0.1:{ports[port]}'
        result = run(ground, 'imap', target, '--messages', 200, *users, '--mailbox', 20,
                     '--verify', '--also', lmtp, tls=tls)
        same(result['verify']['altered'], 0, 'altered by IMAP')
        for phase in ('select', 'fetch', 'append', 'store'):
            check(result['phases'][phase]['count'] > 0, f'{phase} happened')
        result = run(ground, 'login', target, '--messages', 40, *users, tls=tls)
        same(result['operations'], 40, 'log-ins')
    result = run(ground, 'login', pop3, '--messages', 40, *users, '--connections', 10)
    same(result['operations'], 40, 'POP3 log-ins')
    result = run(ground, 'idle', imap, '--connections', 30, *users, '--messages', 20, '--duration',
                 '1s', '--also', lmtp, '--mailbox', 1)
    check(result['connections_most'] >= 30, f'held {result["connections_most"]}')
    check(result['phases']['wake-up']['count'] >= 20, 'idlers were told')


def end_to_end(ground, dovecot):
    """In by Postfix, read in Dovecot."""
    with peers.Postfix(ground, transport=f'lmtp:inet:127.0.0.1:{dovecot.ports["lmtp"]}') as postfix:
        before = [held(dovecot, user) for user in range(10)]
        run(ground, 'smtp', f'smtp://127.0.0.1:{postfix.ports["smtp"]}', '--messages', 100,
            '--users', 10)
        until = time.monotonic() + 60
        while postfix.queued() and time.monotonic() < until:
            time.sleep(0.1)
        after = [held(dovecot, user) for user in range(10)]
        same(sum(after) - sum(before), 100, 'messages that arrived')


def suite(folder, *arguments):
    return [os.path.join(ROOT, 'bench', 'run.sh'), '--quick', '--build', BUILD, '--out', folder,
            '--port-base', str(PORT_BASE), *arguments]


def quick(folder):
    done = subprocess.run(suite(folder), capture_output=True, text=True,
                          timeout=QUICK_SECONDS_MAX, check=False)
    print(done.stdout, flush=True)
    check(done.returncode == 0, f'bench/run.sh --quick: {done.returncode}: {done.stdout[-3000:]}'
          f'{done.stderr[-1000:]}')
    listed = subprocess.run([os.path.join(ROOT, 'bench', 'run.sh'), '--list'], capture_output=True,
                            text=True, check=True).stdout.split('\n')
    with open(os.path.join(folder, 'suite.json'), encoding='utf-8') as file:
        data = json.load(file)
    check(data['complete'], f'complete: {data["why"]}')
    check({line.split()[0] for line in listed if line} ==
          {entry['name'] for entry in data['rows'] + data['sweeps']}, 'rows and sweeps')
    for row in data['rows']:
        for server in row['servers']:
            check(server['values'] and all(value > 0 for value in server['values']),
                  f'{row["name"]}, {server["server"]}: {server["values"]} {server["why"]}')
    for sweep in data['sweeps']:
        check(all(one['points'] for one in sweep['series']), f'points of {sweep["name"]}')
    for name in ('page.html', 'table.md'):
        check(os.path.getsize(os.path.join(folder, name)) > 1000, f'{name} is there')


def interrupted(folder):
    """Ctrl-C leaves what there is, which says that it is partial, and no process."""
    with subprocess.Popen(suite(folder, '--rows', 'smtp-1k,login', '--pairs', '1000'),
                          start_new_session=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as child:
        path = os.path.join(folder, 'suite.json')
        until = time.monotonic() + 60
        while not os.path.exists(path) and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(3)
        os.killpg(child.pid, signal.SIGINT)
        said = child.communicate(timeout=60)[0]
        check(child.returncode == 130, f'exit status {child.returncode}: {said}')
    with open(path, encoding='utf-8') as file:
        data = json.load(file)
    check(not data['complete'] and data['why'] == 'interrupted', f'why: {data["why"]}')
    left = subprocess.run(['pgrep', '-f', f'ringpost-bench-{child.pid}-'], capture_output=True,
                          text=True, check=False).stdout
    check(left == '', f'still running: {left}')


def main():
    if not os.access(BENCH, os.X_OK):
        print(f'{BENCH} is not built')
        sys.exit(1)
    ground = peers.Ground(None, PORT_BASE, PREFIX, RINGPOST)
    try:
        problem = peers.Postfix(ground).problem() or peers.Dovecot(ground).problem()
        if problem:
            print(f'Postfix and Dovecot: {problem}')
            sys.exit(77)
        postfix_alone(ground)
        with peers.Dovecot(ground) as dovecot:
            dovecot_alone(ground, dovecot)
            end_to_end(ground, dovecot)
    finally:
        ground.close()
    with tempfile.TemporaryDirectory(prefix='ringpost-suite-') as folder:
        interrupted(os.path.join(folder, 'partial'))
        quick(os.path.join(folder, 'whole'))


if __name__ == '__main__':
    main()
