#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Row D11 of the list of bad input, seen by an IMAP client: one byte of one stored message is
changed on the disk. That message is an error, whatever is asked of its bytes; a large one breaks
the connection off instead of being sent wrong; all others, and their flags, are as they were."""
import imaplib
import os
import sys

from harness import Gateway, check, same

SMALL, LARGE, COUNT = 3, 5, 8


def body(number):
    line = b'message %d, line %%d: ' % number + b'abcdefgh' * 6 + b'\r\n'
    lines = 20000 if number == LARGE else 20
    return b'Subject: number %d\r\n\r\n' % number + b''.join(line % n for n in range(lines))


def flip(directory, needle):
    """Changes the byte before the only place of `needle` in the store's files."""
    places = []
    for folder, _, files in os.walk(directory):
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue
            with open(path, 'rb') as file:
                at = file.read().find(needle)
            if at > 0:
                places.append((path, at))
    check(len(places) == 1, f'{needle} is in {len(places)} places')
    path, at = places[0]
    with open(path, 'r+b') as file:
        file.seek(at - 1)
        byte = file.read(1)
        file.seek(at - 1)
        file.write(bytes([byte[0] ^ 1]))


def fetch(imap, number, items):
    kind, answer = imap.fetch(str(number), f'({items})')
    if kind == 'NO':  # imaplib keeps what came before it
        answer = imap.response('FETCH')[1]
    return kind, [part[1] for part in answer if isinstance(part, tuple)]


def refused(imap, number, items):
    kind, parts = fetch(imap, number, items)
    check(kind == 'NO', f'{items} of the damaged message {number}: {kind}')
    return parts


def main():
    with Gateway(users=2) as gateway:
        imap = gateway.imap('u0')
        for number in range(1, COUNT + 1):
            check(imap.append('INBOX', None, None, body(number))[0] == 'OK', 'APPEND')
        gateway.stop()
        flip(gateway.directory, b'message %d, line 12:' % SMALL)
        flip(gateway.directory, b'message %d, line 15000:' % LARGE)
        gateway.start()
        imap = gateway.imap('u0')
        check(imap.select('INBOX')[1] == [b'%d' % COUNT], 'messages are gone')
        for items in ('BODY[]', 'RFC822', 'BODY[TEXT]', 'BODY[1]'):
            check(refused(imap, SMALL, items) == [], f'{items}: damaged bytes were sent')
        kind, parts = fetch(imap, f'1:{LARGE - 1}', 'BODY[]')
        check(kind == 'NO' and len(parts) == LARGE - 2, f'{kind}, {len(parts)} messages')
        for number, part in zip((n for n in range(1, LARGE) if n != SMALL), parts):
            same(part, body(number), f'message {number}')
        kind, answer = imap.search(None, 'BODY', '"line 7:"')
        check(kind == 'NO', f'SEARCH: {kind} {answer}')
        kind, answer = imap.fetch('1:*', '(FLAGS RFC822.SIZE ENVELOPE)')
        check(kind == 'OK' and len(answer) >= COUNT, f'entries and summaries: {kind} {answer}')
        try:
            kind, parts = fetch(imap, LARGE, 'BODY[]')
            check(kind == 'NO' and parts == [], f'the large one: {kind}, {len(parts)} parts')
        except (imaplib.IMAP4.abort, OSError):
            imap = gateway.imap('u0')
            imap.select('INBOX')
        kind, parts = fetch(imap, f'{LARGE + 1}:*', 'BODY.PEEK[]')
        check(kind == 'OK', f'behind the damage: {kind}')
        for number, part in enumerate(parts, LARGE + 1):
            same(part, body(number), f'message {number}')
        seen = imap.search(None, 'SEEN')[1][0].split()
        check(b'%d' % SMALL not in seen and b'%d' % LARGE not in seen, f'seen: {seen}')
        check(b'1' in seen, f'seen: {seen}')
        imap.logout()
    print(f'{COUNT - 2} messages of {COUNT} as they were, 2 damaged and said so')


if __name__ == '__main__':
    sys.exit(main())
