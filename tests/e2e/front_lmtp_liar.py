#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A backend that lies at each step of a delivery (rows X04, X07, X08, X09, X12 of
docs/bad-input.md): a client of LMTP hears 250 only for what the backend has whole and took, 5xx
only for what it said about the recipient or the message, else 451, in time; and the next delivery
works.

usage: RINGPOST=build/gcc/src/main/ringpost tests/e2e/front_lmtp_liar.py
"""
import itertools
import socket
import socketserver
import struct
import sys
import threading
import time

from front_harness import Field
from front_lmtp import Lmtp, address, message
from harness import check

POOL = ('tls = "none"; affinity = "0s"; verify = "backend"; health_interval = "0s"; '
        'down_after = 100; connect_timeout = "1s"; ')
MORE = 'lmtp: { delivery_timeout = "2s"; verify_timeout = "1s"; };'
SECONDS_MAX = 8
CUT, RESET, MUTE = object(), object(), object()
LONG = b'x' * 100_000

# (stage, what is said there, what the two recipients hear). `end`: both answers at once.
LIES = (
    ('mail', CUT, '451 451'), # X07
    ('mail', RESET, '451 451'),
    ('mail', MUTE, '451 451'), # X08
    ('mail', b'451 4.3.0 busy\r\n', '451 451'),
    ('mail', b'550 5.7.1 not from there\r\n', '550 550'),
    ('mail', b'503 5.5.1 LHLO?\r\n', '451 451'),
    ('mail', b'421 4.3.2 bye\r\n', '451 451'),
    ('mail', b'220 mail\r\n', '451 451'), # X04
    ('mail', b'250 ' + LONG + b'\r\n', '451 451'),
    ('mail', b'250-x\r\n' * 1000, '451 451'),
    ('mail', b'25\0 x\r\n', '451 451'),
    ('rcpt', b'550 5.1.1 gone\r\n', '550 550'),
    ('rcpt', b'452 4.2.2 full\r\n', '452 452'),
    ('rcpt', b'354 go\r\n', '451 451'),
    ('rcpt', b'250 ok\r\n250 ok\r\n', '451 451'), # X12
    ('rcpt', MUTE, '451 451'),
    ('rcpt', CUT, '451 451'),
    ('end', CUT, '451 451'), # X07: behind the message
    ('end', MUTE, '451 451'),
    ('end', b'250 2.0.0 ok\r\n', '250 451'), # one short
    ('end', b'250 2.0.0 ok\r\n550 5.7.1 spam\r\n', '250 550'), # X09
    ('end', b'452 4.2.2 full\r\n250-2.0.0 a\r\n250 b\r\n', '452 250'),
    ('end', b'421 4.3.2 bye\r\n', '451 451'),
    ('end', b'250 ok\r\n250 ok\r\n250 ok\r\n', '451 451'), # X12
    ('end', b'250 ok\r\n999 ok\r\n', '451 451'),
    ('end', b'250 ok\n250 ok\n', '451 451'),
    ('end', b'* OK\r\n', '451 451'),
    ('end', b'554 5.6.0 \x1b[2J\xff\r\n' * 2, '554 554'),
)
OF_DATA = (
    ('go', b'554 5.3.0 no\r\n', '554 554'),
    ('go', b'502 5.5.1 what\r\n', '451 451'),
    ('go', b'250 ok\r\n', '451 451'),
    ('go', b'354 go\r\n250 ok\r\n250 ok\r\n', '451 451'), # X08
)
# Of a call-out.
ASKED = (
    ('mail', b'550 5.7.1 no bounces\r\n', 451),
    ('mail', CUT, 451),
    ('rcpt', b'550 5.1.1 who\r\n', 550),
    ('rcpt', b'450 4.2.0 grey\r\n', 450),
    ('rcpt', b'503 5.5.1 MAIL?\r\n', 451),
    ('rcpt', b'250 ok\r\n250 ok\r\n', 451),
    ('rcpt', b'253\r\n', 250),
    ('rcpt', b'nonsense\r\n', 451),
    ('rcpt', MUTE, 451),
)


class Liar(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True

    def __init__(self, port):
        self.offers, self.stage, self.lie, self.is_asked = [], None, None, False
        self.taken = [] # messages that came whole
        super().__init__(('127.0.0.1', port), Conversation)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass # the gateway has gone


class Conversation(socketserver.StreamRequestHandler):
    def say(self, stage, honest):
        """False: this is the end."""
        server = self.server
        lies = stage == server.stage and self.is_asked == server.is_asked
        if self.is_refused:
            honest = b'503 5.5.1 MAIL first\r\n'
        answer = server.lie if lies else honest
        if stage == 'mail' and isinstance(answer, bytes):
            self.is_refused = not answer.startswith(b'2')
        if answer is MUTE:
            while self.rfile.read(1):
                pass
            return False
        if answer is RESET:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        if answer in (CUT, RESET):
            return False
        self.wfile.write(answer)
        return True

    def message(self, line):
        if line.startswith(b'BDAT '):
            size = int(line.split()[1])
            body = self.rfile.read(size)
            return body if len(body) == size else None
        if not self.say('go', b'354 go\r\n'):
            return None
        lines = []
        for line in self.rfile:
            if line == b'.\r\n':
                return b''.join(lines)
            lines.append(line.removeprefix(b'.'))
        return None

    def handle(self):
        self.is_asked, self.is_refused, count = False, False, 0
        self.wfile.write(b'220 liar\r\n')
        for line in self.rfile:
            verb = line[:4].upper()
            going = True
            if verb == b'LHLO':
                lines = ['liar', 'PIPELINING', *self.server.offers]
                self.wfile.write(''.join(f'250{"-" if word != lines[-1] else " "}{word}\r\n'
                                         for word in lines).encode())
            elif verb == b'MAIL':
                self.is_asked = b'<>' in line
                going = self.say('mail', b'250 2.1.0 ok\r\n')
            elif verb == b'RCPT':
                count += 1
                going = self.say('rcpt', b'250 2.1.5 ok\r\n')
            elif verb in (b'DATA', b'BDAT'):
                body = self.message(line)
                if body is None:
                    return
                self.server.taken.append(body)
                going = self.say('end', b'250 2.0.0 ok\r\n' * count)
            elif verb == b'QUIT':
                return
            if not going:
                return


def deliver(field, users, name):
    with Lmtp(field) as lmtp:
        replies = lmtp.deliver(users, message(name, b'.\r\n..\r\nbody\r\n'))
    check(all(b'\x1b' not in text and b'\xff' not in text for _, text in replies), replies)
    return ' '.join(str(code) for code, _ in replies)


def lie(field, liar, number, stage, what, want):
    """One lie, and then the truth."""
    name, users = f'lie{number}', ['one', 'two']
    liar.stage, liar.lie, liar.is_asked = stage, what, False
    liar.taken.clear()
    began = time.monotonic()
    heard = deliver(field, users, name)
    seconds = time.monotonic() - began
    case = f'{stage} {what if isinstance(what, bytes) else "end"!r:.60} {liar.offers}'
    check(heard == want, f'{case}: {heard} for {want}')
    check(seconds < SECONDS_MAX, f'{case}: {seconds:.1f} s')
    check('250' not in heard or len(liar.taken) == 1, f'{case}: {liar.taken}')
    liar.stage = None
    liar.taken.clear()
    heard = deliver(field, users, name)
    check(heard == '250 250', f'behind {case}: {heard}')
    check(len(liar.taken) == 1, f'behind {case}: {liar.taken}')
    check(liar.taken[0].endswith(b'\r\n\r\n.\r\n..\r\nbody\r\n'), f'{case}: {liar.taken}')


def ask(field, liar, number, stage, what, want):
    liar.stage, liar.lie, liar.is_asked = stage, what, True
    with Lmtp(field) as lmtp:
        code, text = lmtp.envelope([address(f'asked{number}')])[0]
    liar.stage = None
    check(code == want, f'{stage} {what!r}: {code} {text} for {want}')


def main():
    with Field(names=()) as field:
        liar = Liar(field.spare_port)
        entry = f'{{ name = "liar"; address = "127.0.0.1"; lmtp = {field.spare_port}; }}'
        field.serve(POOL, domain='', backends=entry, more=MORE)
        numbers = itertools.count()
        for offers in ([], ['CHUNKING']):
            liar.offers = offers
            for case in LIES + (OF_DATA if not offers else ()):
                lie(field, liar, next(numbers), *case)
            print('BDAT: ok' if offers else 'DATA: ok', flush=True)
        for case in ASKED:
            ask(field, liar, next(numbers), *case)
        print('call-outs: ok', flush=True)
        liar.shutdown()


if __name__ == '__main__':
    sys.exit(main())
