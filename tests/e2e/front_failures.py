#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Backends that die, hang and come back under clients that log in all the time, and the operator's
drain, down, up and move.

Whatever happens: no client is told that his password is wrong, none sees another's mailbox
(every mailbox holds a marker), and once the backend is back its users are, too. What clients may
see is "unavailable", or the end of their connection.

usage: RINGPOST=build/gcc/src/main/ringpost tests/e2e/front_failures.py [TEST]...
"""
import collections
import contextlib
import imaplib
import json
import signal
import subprocess
import sys
import threading
import time

from front_harness import Field, RINGPOST, Talk, marker
from harness import check

HEALTH_SECONDS = 0.5
POOL = ('tls = "none"; identity = "native"; health_interval = "500ms"; down_after = 2; '
        'up_after = 2; slow_start = "1s"; affinity = "0s"; connect_timeout = "1s"; '
        'login_timeout = "4s"; ')
MORE = 'proxy: { spread = "500ms"; }; control: { socket = "control.sock"; };'
CLIENTS = 8


class Load:
    """Threads that log in, look at the marker, stay a moment, and go: what they saw is counted."""

    def __init__(self, field):
        self.field, self.stopped = field, threading.Event()
        self.seen, self.bad, self.lock = collections.Counter(), [], threading.Lock()
        self.threads = [threading.Thread(target=self.work, args=(index,))
                        for index in range(CLIENTS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join(60)

    def note(self, what, bad=None):
        with self.lock:
            self.seen[what] += 1
            if bad:
                self.bad.append(bad)

    def work(self, index):
        number = index
        while not self.stopped.is_set():
            user = f'u{number % self.field.users}'
            number += CLIENTS
            try:
                imap = self.field.imap(user)
            except imaplib.IMAP4.abort:
                self.note('closed')
                time.sleep(0.05)
                continue
            except imaplib.IMAP4.error as error:
                said = str(error)
                fine = 'UNAVAILABLE' in said
                self.note('unavailable' if fine else 'refused', None if fine else said)
                time.sleep(0.05)
                continue
            except OSError:
                self.note('closed')
                time.sleep(0.05)
                continue
            try:
                whose, where = marker(imap)
                self.note(where, None if whose == user else f'{user} sees {whose}')
                imap.noop()
                imap.logout()
            except (imaplib.IMAP4.error, OSError):
                self.note('lost')
            except AssertionError as error:
                self.note('lost', None if 'BYE' in str(error) or 'UNAVAILABLE' in str(error)
                          else str(error))
            with contextlib.suppress(OSError):
                imap.shutdown()

    def take(self):
        """What was seen since the last time; nothing of it may be wrong."""
        with self.lock:
            seen, self.seen = self.seen, collections.Counter()
            check(not self.bad, self.bad[:5])
        return seen

    def wait_until(self, wanted, what, seconds=15):
        """Until `wanted(counter)` holds for what is seen in half a second."""
        until = time.monotonic() + seconds
        while True:
            self.take()
            time.sleep(0.5)
            seen = self.take()
            if wanted(seen):
                return seen
            check(time.monotonic() < until, f'{what}: {dict(seen)}')


def both(seen):
    return seen['left'] > 0 and seen['right'] > 0 and seen['unavailable'] == 0


def only_right(seen):
    return seen['right'] > 0 and seen['left'] == 0 and seen['unavailable'] == 0


def trouble(field, what, break_it, mend_it):
    field.serve(POOL, more=MORE)
    left = field.stores['left']
    with Load(field) as load:
        load.wait_until(both, f'before: {what}')
        break_it(left)
        load.wait_until(only_right, f'{what}: the other takes all users')
        began = time.monotonic()
        mend_it(left)
        load.wait_until(both, f'{what}: back')
        took = time.monotonic() - began
        # two good checks, then a share that grows over slow_start
        check(took < 2 * HEALTH_SECONDS + 4, f'{what}: back only after {took:.1f} s')
        seen = load.take()
    check(not load.bad, load.bad[:5])
    check(field.process.poll() is None, 'the gateway ended')
    print(f'{what}: back after {took:.1f} s {dict(seen)}', flush=True)


def test_kill(field):
    """X07: kill -9 of a backend, and its start."""
    trouble(field, 'kill', lambda left: left.stop(signal.SIGKILL),
            lambda left: left.start(keep=True))


def test_hang(field):
    """X08: a backend that takes connections and answers nothing, then goes on."""
    trouble(field, 'stop', lambda left: left.stop_answering(), lambda left: left.go_on())


def test_flapping(field):
    """Killed and started again and again, faster than it is found out."""
    field.serve(POOL, more=MORE)
    left = field.stores['left']
    with Load(field) as load:
        load.wait_until(both, 'before')
        for _ in range(6):
            left.stop(signal.SIGKILL)
            time.sleep(0.3)
            left.start(keep=True)
            time.sleep(0.3)
        load.wait_until(both, 'after')
        load.take()
    check(not load.bad, load.bad[:5])


def test_all_dead(field):
    """With no backend left the answer is "unavailable", at once."""
    field.serve(POOL, more=MORE)
    for store in field.stores.values():
        store.stop(signal.SIGKILL)
    try:
        slow = 0
        for _ in range(20):
            began = time.monotonic()
            try:
                field.imap('u1')
                raise AssertionError('logged in nowhere')
            except imaplib.IMAP4.error as error:
                check('UNAVAILABLE' in str(error), error)
            slow = time.monotonic() - began
            time.sleep(0.1)
        check(slow < 0.5, f'the last answer took {slow:.1f} s')
    finally:
        for store in field.stores.values():
            store.start(keep=True)
    until = time.monotonic() + 10
    while True:
        with contextlib.suppress(imaplib.IMAP4.error):
            imap = field.imap('u1')
            check(marker(imap)[0] == 'u1', 'whose')
            imap.logout()
            break
        check(time.monotonic() < until, 'the backends are not found again')
        time.sleep(0.1)


def test_session_ends(field):
    """A session whose backend dies is ended, within the time that the ends are spread over, after
    a word where there is room for one."""
    field.serve(POOL, more=MORE)
    clients = []
    for user in range(12):
        client = Talk(field.ports['imap'])
        client.line()
        client.send(b'a LOGIN u%d@example.test pw\r\nb SELECT INBOX\r\nc IDLE\r\n' % user)
        client.until(b'+')
        clients.append(client)
    left = field.stores['left']
    left.stop(signal.SIGKILL)
    try:
        time.sleep(3)
        ended = 0
        for client in clients:
            client.socket.settimeout(0.05)
            try:
                said = client.file.read()
                check(said == b'' or said.startswith(b'* BYE'), said)
                ended += 1
            except OSError:
                pass
            client.__exit__()
        check(0 < ended < len(clients), f'{ended} of {len(clients)} ended')
    finally:
        left.start(keep=True)


def command(field, *words):
    done = subprocess.run([RINGPOST, *words, '--config', field.config, '--json'],
                          capture_output=True, text=True, timeout=60, check=False)
    check(done.returncode == 0, f'{words}: {done.returncode} {done.stdout} {done.stderr}')
    return json.loads(done.stdout)


def test_operator(field):
    """drain: no new users. down: nobody, and sessions end. up: as before. move: sessions end,
    log-ins wait, then the user is there; forget: he is where his name sends him."""
    field.serve(POOL, more=MORE)
    with Load(field) as load:
        load.wait_until(both, 'before')
        command(field, 'backend', 'drain', 'left')
        load.wait_until(only_right, 'drain')
        command(field, 'backend', 'up', 'left')
        load.wait_until(both, 'up')
        command(field, 'backend', 'down', 'left')
        load.wait_until(only_right, 'down')
        command(field, 'backend', 'up', 'left')
        load.wait_until(both, 'up again')
    check(not load.bad, load.bad[:5])
    imap = field.imap('u5')
    here = marker(imap)[1]
    there = 'right' if here == 'left' else 'left'
    command(field, 'user', 'move', 'u5@example.test', there)
    try:
        check(imap.noop()[0] != 'OK', 'the session went on')
    except (imaplib.IMAP4.error, OSError):
        pass
    for _ in range(2):
        imap = field.imap('u5')
        check(marker(imap) == ('u5', there), 'where he was moved to')
        imap.logout()
    command(field, 'user', 'forget', 'u5@example.test')
    imap = field.imap('u5')
    check(marker(imap) == ('u5', here), 'where his name sends him')
    rows = command(field, 'session', 'list', 'u5@example.test')
    check(any('u5' in json.dumps(row) for row in rows), rows)
    command(field, 'session', 'kick', 'u5@example.test')
    try:
        check(imap.noop()[0] != 'OK', 'the session went on')
    except (imaplib.IMAP4.error, OSError):
        pass


def main():
    tests = {name: value for name, value in globals().items() if name.startswith('test_')}
    with Field(users=24) as field:
        for name in sys.argv[1:] or tests:
            began = time.monotonic()
            tests[name](field)
            print(f'{name}: ok, {time.monotonic() - began:.1f} s', flush=True)


if __name__ == '__main__':
    sys.exit(main())
