#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# long
"""Row F01: kill -9 under load, restart at once on the same ports, again and again. What was
acknowledged is there once, byte for byte; what a client deleted by an acknowledged QUIT or EXPUNGE
stays deleted; UIDs are never used again. An argument changes the number of kills (default 60)."""
import contextlib
import imaplib
import random
import smtplib
import sys
import threading
import time

from harness import Gateway, check

USERS = 8


class Sender(threading.Thread):
    """Sends numbered messages until told to stop; notes what was acknowledged, and what is open:
    no answer came, so once or not at all are both right."""

    def __init__(self, gateway, index):
        super().__init__(daemon=True)
        self.gateway, self.index, self.number = gateway, index, 0
        self.acknowledged, self.open, self.ended = set(), set(), False

    def run(self):
        while not self.ended:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                with self.gateway.smtp() as smtp:
                    while not self.ended:
                        self.one(smtp)
            time.sleep(0.005)

    def one(self, smtp):
        name = f'm{self.index}x{self.number}'
        self.number += 1
        self.open.add(name)
        body = f'Subject: {name}\r\n\r\n{name} '.encode() + b'x' * random.randrange(3000) + b'\r\n'
        users = [f'u{self.index}@example.test', f'u{(self.index + 1) % USERS}@example.test']
        smtp.sendmail('a@example.org', users, body)
        self.acknowledged.add(name)
        self.open.discard(name)


def subjects(gateway, user):
    """{subject: [uid]} of a user's INBOX."""
    imap = gateway.imap(user)
    imap.select('INBOX', readonly=True)
    _, answer = imap.uid('FETCH', '1:*', '(BODY[HEADER.FIELDS (SUBJECT)])')
    found = {}
    for part in answer:
        if isinstance(part, tuple):
            uid = int(part[0].split(b'UID ')[1].split()[0])
            found.setdefault(part[1].split(b':')[1].strip().decode(), []).append(uid)
    imap.logout()
    return found


def expunge_some(gateway, user, gone, tried):
    """Deletes up to three messages; notes those it tried, and those whose deletion was
    acknowledged."""
    with contextlib.suppress(OSError, imaplib.IMAP4.error):
        imap = gateway.imap(user)
        imap.select('INBOX')
        _, answer = imap.uid('SEARCH', 'ALL')
        uids = answer[0].split()[:3]
        if uids:
            chosen = b','.join(uids).decode()
            imap.uid('STORE', chosen, '+FLAGS.SILENT', '(\\Deleted)')
            tried[user] = tried.get(user, 0) + len(uids)
            if imap.uid('EXPUNGE', chosen)[0] == 'OK':
                gone.setdefault(user, set()).update(int(uid) for uid in uids)
        imap.logout()


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    random.seed(20261124)
    gone, tried, slowest = {}, {}, 0.0
    with Gateway() as gateway:
        senders = [Sender(gateway, i) for i in range(USERS)]
        for sender in senders:
            sender.start()
        for kill in range(kills):
            time.sleep(random.uniform(0.05, 0.4))
            if kill % 3 == 0:
                expunge_some(gateway, f'u{random.randrange(USERS)}', gone,
                             tried)
            gateway.kill()
            began = time.monotonic()
            gateway.start()
            slowest = max(slowest, time.monotonic() - began)
        for sender in senders:
            sender.ended = True
        for sender in senders:
            sender.join(20)
        total = 0
        for sender in senders:
            for user in (f'u{sender.index}', f'u{(sender.index + 1) % USERS}'):
                found, dead = subjects(gateway, user), gone.get(user, set())
                uids = [uid for list_of in found.values() for uid in list_of]
                check(not dead & set(uids), f'{user}: back from the dead: {dead & set(uids)}')
                mine = {n: u for n, u in found.items() if n.startswith(f'm{sender.index}x')}
                twice = [(name, uids) for name, uids in mine.items() if len(uids) != 1]
                check(not twice, f'{user}: doubled: {twice[:5]}')
                missing = sender.acknowledged - set(mine)
                check(len(missing) <= tried.get(user, 0), f'{user}: lost {len(missing)}: '
                      f'{sorted(missing)[:5]} ({tried.get(user, 0)} were expunged)')
                strange = set(mine) - sender.acknowledged - sender.open
                check(not strange, f'{user}: never sent: {strange}')
                total += len(mine)
        sent = sum(len(sender.acknowledged) for sender in senders)
        check(sent > kills, 'hardly anything was sent')
    print(f'{kills} kills, {sent} acknowledged, {total} found, '
          f'0 lost, 0 doubled; slowest restart {slowest:.2f} s')


if __name__ == '__main__':
    sys.exit(main())
