#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Everybody at once, for some seconds: senders to several users by SMTP and LMTP, IMAP sessions
that read, flag and copy, POP3 sessions that take mail away, clients in IDLE. Each message says
in every line whose it is. At the end each is in every mailbox once and whole, or was taken away by
the one who took it. Also run under ThreadSanitizer: it is the test of what cores do to each other.
An argument changes the seconds (default 6)."""
import contextlib
import imaplib
import random
import sys
import threading
import time

from harness import Gateway, check, same, without_trace

USERS = 6


def text_of(name, lines):
    pair = f'{name} {"=" * 60}\r\n.{name}\r\n'.encode()  # every other line begins with a dot
    return f'Subject: {name}\r\n\r\n'.encode() + pair * lines


class Worker(threading.Thread):
    def __init__(self, gateway, until, work):
        super().__init__(daemon=True)
        self.gateway, self.until, self.work, self.error = gateway, until, work, None

    def run(self):
        try:
            while time.monotonic() < self.until:
                self.work(self)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error


def read_all(imap, box='INBOX'):
    """{name: bytes} of a mailbox; each body must be its own name's from end to end."""
    check(imap.select(box, readonly=True)[0] == 'OK', f'SELECT {box}')
    _, answer = imap.uid('FETCH', '1:*', '(BODY.PEEK[])')
    found = {}
    for part in answer:
        if not isinstance(part, tuple):
            continue
        message = part[1]
        head, _, body = message.partition(b'\r\n\r\n')
        name = head.split(b'Subject: ')[1].split(b'\r\n')[0].decode()
        check(name not in found, f'{box}: {name} twice')
        without_trace(message, text_of(name, body.count(b'\r\n') // 2), name)
        found[name] = message
    return found


class Load:
    def __init__(self, gateway):
        self.gateway, self.lock, self.number = gateway, threading.Lock(), 0
        self.sent = {}   # name: (lines, users)
        self.taken = {}  # user: names that were deleted

    def next_name(self):
        with self.lock:
            self.number += 1
            return f'n{self.number}'

    def send(self, connect, users_max):
        with connect() as client:
            for _ in range(10):
                name, lines = self.next_name(), random.choice((1, 10, 40, 300, 5000))
                users = random.sample(range(USERS), random.randint(1, users_max))
                refused = client.sendmail('a@example.org', [f'u{u}@example.test' for u in users],
                                          text_of(name, lines))
                check(not refused, f'{name}: {refused}')
                with self.lock:
                    self.sent[name] = (lines, users)

    def note_taken(self, user, names):
        with self.lock:
            self.taken.setdefault(user, set()).update(names)

    def use_imap(self, _):
        user = random.randrange(USERS)
        imap = self.gateway.imap(f'u{user}')
        names = sorted(read_all(imap))
        imap.select('INBOX')
        if names:
            name = random.choice(names)
            _, uids = imap.uid('SEARCH', 'SUBJECT', f'"{name}"')
            for uid in uids[0].split()[:1]:
                imap.uid('STORE', uid, '+FLAGS', '(\\Flagged work)')
                imap.create('Archive')
                imap.uid('COPY', uid, 'Archive')
                imap.uid('FETCH', uid, '(ENVELOPE BODYSTRUCTURE FLAGS)')
        imap.logout()

    def use_pop3(self, _):
        user = random.randrange(USERS)
        with contextlib.suppress(Exception):  # another session may hold the maildrop
            pop3 = self.gateway.pop3(f'u{user}')
            count = min(pop3.stat()[0], 3)
            names = []
            for number in range(1, count + 1):
                lines = pop3.retr(number)[1]
                names.append(next(line for line in lines if line.startswith(b'Subject: '))
                             .split(b': ')[1].decode())
                pop3.dele(number)
            self.note_taken(user, names)  # before it is sure: they may be gone from now on
            pop3.quit()

    def use_idle(self, worker):
        imap = self.gateway.imap(f'u{random.randrange(USERS)}')
        imap.select('INBOX')
        imap.send(b'x IDLE\r\n')
        check(imap.readline().startswith(b'+'), 'IDLE')
        time.sleep(min(1, max(0, worker.until - time.monotonic())))
        imap.send(b'DONE\r\n')
        while not imap.readline().startswith(b'x OK'):
            pass
        imap.logout()

    def verify(self):
        for user in range(USERS):
            imap = self.gateway.imap(f'u{user}')
            found = read_all(imap)
            with contextlib.suppress(imaplib.IMAP4.error, AssertionError):
                read_all(imap, 'Archive')
            imap.logout()
            wanted = {name for name, (_, users) in self.sent.items() if user in users}
            gone = self.taken.get(user, set())
            check(not wanted - set(found) - gone, f'u{user} lost {wanted - set(found) - gone}')
            check(set(found) <= wanted, f'u{user}: not for it: {set(found) - wanted}')
            for name, message in found.items():
                sent = text_of(name, self.sent[name][0])
                same(message[len(message) - len(sent):], sent, name)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 6
    random.seed(1)
    with Gateway() as gateway:
        load = Load(gateway)
        until = time.monotonic() + seconds
        works = ([lambda _: load.send(gateway.smtp, 3)] * 5 +
                 [lambda _: load.send(gateway.lmtp, 1)] * 2 +  # smtplib reads one reply
                 [load.use_imap] * 4 + [load.use_pop3] * 2 + [load.use_idle] * 2)
        workers = [Worker(gateway, until, work) for work in works]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(seconds + 60)
            if worker.error is not None:
                raise worker.error
            check(not worker.is_alive(), 'a client never came back')
        load.verify()
        deleted = sum(len(names) for names in load.taken.values())
        gateway.stop()
    print(f'{len(load.sent)} messages sent, {deleted} taken away, the rest is there once and whole')


if __name__ == '__main__':
    sys.exit(main())
