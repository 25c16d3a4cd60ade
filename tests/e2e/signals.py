#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# long
"""Starting and stopping: SIGTERM with sessions open in every protocol drains and says goodbye, a
second signal stops at once (row N08), a killed gateway starts again at once on the same ports and
on its store (C07, D12), a second process on the same store or ports is refused with the reason
(C07, D13), a stopped one goes on (F03), and what was acknowledged is there after each of these."""
import contextlib
import http.client
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from harness import ADMIN, IMAP, LMTP, POP3, RINGPOST, SMTP, Gateway, check

MESSAGE = 'From: a@example.org\r\nSubject: {}\r\n\r\nx\r\n'


def connect(gateway, which):
    client = socket.create_connection(('127.0.0.1', gateway.port(which)), 10)
    client.settimeout(20)
    return client, client.recv(1000)


def rest(client):
    """All that comes until the other side closes."""
    said = b''
    while True:
        data = client.recv(4096)
        if not data:
            return said
        said += data


def ready(gateway):
    client = http.client.HTTPConnection('127.0.0.1', gateway.port(ADMIN), timeout=5)
    client.request('GET', '/ready')
    return client.getresponse().status


def send(gateway, subject):
    with gateway.smtp() as smtp:
        smtp.sendmail('a@example.org', ['u0@example.test'], MESSAGE.format(subject))


def subjects(gateway):
    imap = gateway.imap('u0')
    imap.select('INBOX', readonly=True)
    _, answer = imap.fetch('1:*', '(BODY[HEADER.FIELDS (SUBJECT)])')
    imap.logout()
    return [part[1].split(b':')[1].strip().decode() for part in answer if isinstance(part, tuple)]


def expect(gateway, want, what):
    got = subjects(gateway)
    check(got == want, f'{what}: stored are {got}, not {want}')


def log_in_by_hand(client):
    client.sendall(b'a LOGIN u0@example.test pw\r\n')
    check(b'a OK' in client.recv(4000), 'log-in')


def begin_message(gateway):
    """An SMTP session in the middle of its message."""
    client, _ = connect(gateway, SMTP)
    client.sendall(b'EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<u0@example.test>\r\nDATA\r\n')
    said = b''
    while b'\r\n354' not in said:
        data = client.recv(4000)
        check(data, f'closed after {said}')
        said += data
    client.sendall(b'Subject: late\r\n')
    return client


def test_drain(gateway):
    """Idle ones and one in the middle of a message: each hears it, readiness goes first."""
    send(gateway, 'one')
    smtp, _ = connect(gateway, SMTP)
    lmtp, _ = connect(gateway, LMTP)
    pop3, _ = connect(gateway, POP3)
    imap, _ = connect(gateway, IMAP)
    idle, _ = connect(gateway, IMAP)
    log_in_by_hand(idle)
    idle.sendall(b'b SELECT INBOX\r\nc IDLE\r\n')
    said = b''
    while b'+ ' not in said:
        said += idle.recv(4000)
    late = begin_message(gateway)
    check(ready(gateway) == 200, 'ready before')
    gateway.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    check(ready(gateway) == 503, 'not ready while draining')
    late.sendall(b'\r\nx\r\n.\r\n')
    check(rest(late).startswith(b'250 '), 'the running command was not let end')
    for client, goodbye in ((smtp, b'421 '), (lmtp, b'421 '), (pop3, b'-ERR '), (imap, b'* BYE '),
                            (idle, b'* BYE ')):
        said = rest(client)
        check(said.startswith(goodbye), f'{goodbye!r} was expected, said was {said!r}')
    check(gateway.process.wait(20) == 0, 'exit status')
    gateway.start()
    expect(gateway, ['one', 'late'], 'after the drain')


def test_drain_bounded(gateway):
    """A client that never ends its message is cut off after drain_wait."""
    client = begin_message(gateway)
    began = time.monotonic()
    gateway.stop()
    check(4 < time.monotonic() - began < 10, 'drain_wait is 5 s')
    gateway.start()
    expect(gateway, ['one', 'late'], 'after a cut message')


def test_twice(gateway):
    client = begin_message(gateway)
    send(gateway, 'two')
    gateway.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    began = time.monotonic()
    gateway.process.send_signal(signal.SIGTERM)
    check(gateway.process.wait(20) == 3, 'exit status')
    check(time.monotonic() - began < 1, 'the second signal was not at once')
    gateway.start()
    expect(gateway, ['one', 'late', 'two'], 'after two signals')


def test_in_start(gateway):
    """A signal at any moment of the start ends it cleanly."""
    for i in range(12):
        gateway.stop()
        gateway.start(wait=False)
        time.sleep(0.004 * i)
        gateway.process.send_signal(signal.SIGTERM)
        code = gateway.process.wait(20)
        check(code in (0, -signal.SIGTERM), f'exit status {code}')
        gateway.start()
    expect(gateway, ['one', 'late', 'two'], 'after signals while starting')


def test_killed(gateway):
    """kill -9 with sessions open, and at once the next one on the same ports."""
    names = ['one', 'late', 'two']
    for i in range(5):
        clients = [connect(gateway, which)[0] for which in (SMTP, IMAP, POP3) for _ in range(20)]
        send(gateway, f'kill{i}')
        names.append(f'kill{i}')
        gateway.kill()
        began = time.monotonic()
        gateway.start()
        check(time.monotonic() - began < 5, 'the start took too long')
        for client in clients:
            client.close()
        expect(gateway, names, f'after kill {i}')


def run(*arguments):
    done = subprocess.run([RINGPOST, *arguments], capture_output=True, text=True, timeout=60,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def give(gateway, uid):
    """Root gives everything to whom a second `serve` has to become, or takes it back."""
    for folder, _, files in os.walk(os.path.join(gateway.directory, 'try')):
        for name in [folder] + [os.path.join(folder, name) for name in files]:
            os.chown(name, uid, -1)


def test_locked(gateway):
    """A second process on the same store."""
    status, out, error = run('store', 'stat', '--dir',
                             os.path.join(gateway.directory, 'try', 'store'))
    check(status == 4 and out == '' and 'in use' in error, f'store stat: {status} {out} {error}')
    if os.geteuid() != 0:
        second_ones(gateway, '')
        return
    os.chmod(gateway.directory, 0o755)
    give(gateway, pwd.getpwnam('nobody').pw_uid)
    second_ones(gateway, 'user = "nobody";\n')
    give(gateway, 0)


def second_ones(gateway, user):
    config = os.path.join(gateway.directory, 'second.conf')
    with open(os.path.join(gateway.directory, 'try', 'ringpost.conf'), encoding='utf-8') as file:
        first = user + re.sub(r'"(store"|users\.|certificate\.|key\.)', r'"try/\1', file.read())
    text = re.sub(r'port = \d+;', lambda match: f'port = {int(match.group()[7:-1]) - 13};', first)
    with open(config, 'w', encoding='utf-8') as file:
        file.write(text.replace('lmtp.sock', 'second.sock'))
    status, out, error = run('serve', '--config', config)
    check(status == 4 and 'in use by another process' in error, f'{status} {error}')
    check(ready(gateway) == 200, 'the first one suffered')
    # the same mail ports (which are open to be shared between cores), another store
    with open(config, 'w', encoding='utf-8') as file:
        file.write(re.sub(r'admin: .*\n', '', first).replace('"try/store"', '"other"'))
    began = time.monotonic()
    status, out, error = run('serve', '--config', config)
    check(status == 1, f'{status} {error}')
    check('Address already in use' in error + out, f'the reason is missing: {error} {out}')
    check(time.monotonic() - began < 15, 'refused too late')
    check(ready(gateway) == 200, 'the first one suffered')


def test_tools(gateway):
    directory = os.path.join(gateway.directory, 'try', 'store')
    count = len(subjects(gateway))
    gateway.stop()
    status, out, error = run('store', 'verify', '--json', '--dir', directory)
    check(status == 0, f'{status} {error}')
    report = json.loads(out)
    check(report['messages'] == count and report['damaged'] == 0, out)
    status, out, _ = run('store', 'stat', '--dir', directory)
    check(status == 0 and re.search(rf'^messages +{count}$', out, re.M), out)
    status, out, error = run('store', 'stat', '--dir', directory + '-none')
    check(status == 1 and not os.path.exists(directory + '-none'), error)
    gateway.start()
    check(len(subjects(gateway)) == count, 'after the tools')


def test_under_load(gateway):
    """SIGTERM while others send: whatever was acknowledged is stored once."""
    acknowledged, stopped = [], threading.Event()

    def sender(index):
        number = 0
        while not stopped.is_set():
            name = f'load{index}x{number}'
            number += 1
            try:
                send(gateway, name)
                acknowledged.append(name)
            except Exception: # refused or cut off: what counts is what was acknowledged
                time.sleep(0.01)
    threads = [threading.Thread(target=sender, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.4)
        gateway.stop()
        gateway.start()
    stopped.set()
    for thread in threads:
        thread.join()
    stored = subjects(gateway)
    check(acknowledged, 'nothing was acknowledged')
    for name in acknowledged:
        check(stored.count(name) == 1, f'{name} is stored {stored.count(name)} times')


def test_stopped(gateway): # F03
    """SIGSTOP for some seconds, as when a virtual machine is paused: all goes on where it was."""
    before = subjects(gateway)
    late = begin_message(gateway)
    idle, _ = connect(gateway, IMAP)
    log_in_by_hand(idle)
    idle.sendall(b'b SELECT INBOX\r\nc IDLE\r\n')
    said = b''
    while b'+ ' not in said:
        said += idle.recv(4000)
    gateway.process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    late.sendall(b'\r\nx\r\n.\r\n')
    late.settimeout(0.3)
    with contextlib.suppress(TimeoutError):
        check(late.recv(100) == b'', 'an answer of a process that is stopped')
    gateway.process.send_signal(signal.SIGCONT)
    late.settimeout(20)
    check(late.recv(100).startswith(b'250 '), 'the message was not taken')
    check(b' EXISTS' in idle.recv(4000), 'the one in IDLE was not told')
    check(ready(gateway) == 200, 'not ready')
    late.close()
    idle.close()
    check(sorted(subjects(gateway)) == sorted(before + ['late']), 'after a stop')


def main():
    with Gateway(users=3) as gateway:
        for test in (test_drain, test_drain_bounded, test_twice, test_in_start, test_killed,
                     test_locked, test_tools, test_under_load, test_stopped):
            test(gateway)
            print(f'{test.__name__}: ok', flush=True)


if __name__ == '__main__':
    sys.exit(main())
