#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# long
"""ringpost-bench idle: 2,000 connections in IDLE at the gateway, each told of its user's mail, in
clear and under TLS; and a server that tells nobody, tells lies, or throws those who idle out."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

from bench_imap_liar import ImapLiar
from bench_smtp import BENCH, bench
from harness import IMAP, IMAPS, LMTP, SMTP, Gateway, check

USERS = 100
NONSENSE, CLOSED = 'answer is not of the protocol', 'server closed the connection'
TIMEOUT, TOO_LONG = 'no answer in time', 'answer too long'


def fine(result, connections, messages, what):
    phases = result['phases']
    check(result['error_count'] == 0, f'{what}: {result["errors"]} {result["error_examples"]}')
    check(result['operations'] == messages, f'{what}: {result["operations"]} operations')
    check(result['connections_most'] >= connections, f'{what}: {result["connections_most"]}')
    check(phases['select']['count'] == connections, f'{what}: {phases["select"]}')
    if messages > 0:
        check(phases['wake-up']['count'] == messages * connections / USERS,
              f'{what}: {phases["wake-up"]["count"]} of {messages * connections / USERS} were told')
        check(phases['wake-up all']['count'] == 1, what)
    else:
        check('wake-up' not in phases, what)


def woken(gateway):
    clear, tls = (f'127.0.0.1:{gateway.port(port)}' for port in (IMAP, IMAPS))
    lmtp = ('--also', f'lmtp://127.0.0.1:{gateway.port(LMTP)}')
    smtp = ('--also', f'smtp://127.0.0.1:{gateway.port(SMTP)}')
    for connections, messages, more in (
            (2000, 200, ('--target', clear, *lmtp, '--server-pid', gateway.process.pid)),
            (400, 150, ('--target', clear)),
            (300, 100, ('--target', clear, '--tls', 'start', *smtp)),
            (300, 100, ('--target', tls, '--tls', 'implicit', *lmtp, '--threads', 2)),
            (200, 60, ('--target', clear, *lmtp, '--rate', 60, '--sources', 3)),
            (300, 0, ('--target', clear))):
        arguments = ('--messages', messages) if messages > 0 else ()
        result = bench('idle', '--connections', connections, '--duration', '1s', *arguments, *more,
                       users=USERS)
        fine(result, connections, messages, more)
        if '--server-pid' in more:
            each = result['cost']['server']['memory_bytes_per_connection']
            check(0 < each < 20000, f'{each} bytes a connection')


def come_back(gateway):
    """The gateway is killed and started again while all idle: they come back and are told."""
    def again():
        gateway.kill()
        gateway.start(wait=False)
    timer = threading.Timer(3, again)
    timer.start()
    result = bench('idle', '--target', f'127.0.0.1:{gateway.port(IMAP)}', '--connections', 200,
                   '--duration', '15s', '--messages', 50, status=1, users=USERS)
    timer.join()
    check(result['errors'].get(CLOSED, 0) + result['errors'].get('connection reset', 0) == 200,
          result['errors'])
    check(result['operations'] == 50, result['operations'])
    check(result['phases']['wake-up']['count'] == 100, result['phases']['wake-up'])


def interrupted(gateway):
    """What was measured until then is written, and says so."""
    with tempfile.TemporaryDirectory(prefix='ringpost-bench-') as folder:
        path = os.path.join(folder, 'result.json')
        with subprocess.Popen([BENCH, 'idle', '--target', f'127.0.0.1:{gateway.port(IMAP)}',
                               '--connections', '100', '--duration', '100s', '--quiet', '--json',
                               path], stdout=subprocess.DEVNULL) as process:
            time.sleep(2)
            process.send_signal(signal.SIGINT)
            check(process.wait(30) == 130, process.returncode)
        with open(path, encoding='utf-8') as file:
            result = json.load(file)
    check(result['complete'] is False and result['why'] == 'interrupted', result['why'])
    check(result['phases']['select']['count'] == 100, result['phases'])


# --- a server that lies

def lied_to(fate, *arguments, status=1, messages=10, connections=4):
    with ImapLiar(fate) as liar:
        return bench('idle', '--target', f'127.0.0.1:{liar.port}', '--connections', connections,
                     '--duration', '100ms', '--messages', messages, '--timeout', '2s', *arguments,
                     status=status, users=2), liar.commands


def at(stage, numbers, fate):
    return lambda where, count: fate if where == stage and count in numbers else None


def lies():
    result, commands = lied_to(lambda *_: None, status=0)
    check(result['operations'] == 10 and result['error_count'] == 0, result['errors'])
    check(result['phases']['wake-up']['count'] == 20, result['phases']['wake-up'])
    check(commands.count('IDLE') == 4, commands)
    for fate, kind in (('mute', TIMEOUT), ('cut', CLOSED), (b'* BYE idle no more\r\n', CLOSED),
                       (b'* 0 EXISTS\r\n', NONSENSE), (b'* 99 EXPUNGE\r\n', NONSENSE),
                       (b'hello\r\n', NONSENSE), (b'+ more\r\n', NONSENSE), (b'* OK\n', NONSENSE),
                       (b'* 1 FETCH (BODY[] {4}\r\n', NONSENSE),
                       (b'* OK ' + b'x' * 70000, TOO_LONG)):
        # Messages of two users may overtake each other: by the ninth each mailbox has one, so that
        # "0" is a lie.
        result, commands = lied_to(at('told', (9,), fate))
        check(result['errors'] == {kind: 1}, f'{fate[:40]}: {result["errors"]}')
        came_back = commands.count('IDLE')
        check(came_back == (4 if fate == 'mute' else 5), f'{fate[:40]}: {came_back} IDLEs')
    refused = 'refused for now (4xx, NO, SYS/TEMP)'
    for stage, fate, kind in (('IDLE', b'TAG NO not you\r\n', refused),
                              ('IDLE', b'TAG OK\r\n', NONSENSE), ('LOGIN', 'cut', CLOSED),
                              ('greeting', b'* BYE full\r\n', CLOSED)):
        result, commands = lied_to(at(stage, (2,), fate))
        check(result['errors'] == {kind: 1}, f'{stage} {fate}: {result["errors"]}')
        check(result['phases']['wake-up']['count'] == 20, f'{stage}: it did not come back')


def given_up():
    """One that is never let in does not hold the others up."""
    with ImapLiar(at('IDLE', range(2, 100), b'TAG NO no\r\n')) as liar:
        result = bench('idle', '--target', f'127.0.0.1:{liar.port}', '--connections', 2,
                       '--messages', 4, '--duration', '100ms', status=1, users=2)
        check(result['operations'] == 4, result['operations'])
        check(result['errors'] == {'refused for now (4xx, NO, SYS/TEMP)': 5}, result['errors'])


def usage():
    for arguments, says in ((('--connections', '100000', '--sources', '2'), 'give --sources'),
                            (('--threads', '4', '--users', '3'), '--threads'),
                            (('--target', 'pop3://127.0.0.1:1'), 'imap')):
        done = subprocess.run([BENCH, 'idle', '--target', '127.0.0.1:1', *arguments],
                              capture_output=True, text=True, timeout=30, check=False)
        check(done.returncode == 2 and says in done.stderr, f'{arguments}: {done.stderr}')


def main():
    usage()
    lies()
    given_up()
    with Gateway(users=USERS) as gateway:
        woken(gateway)
        come_back(gateway)
        interrupted(gateway)
    print('bench_idle: ok')
    return 0


if __name__ == '__main__':
    sys.exit(main())
