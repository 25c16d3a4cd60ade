#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ringpost-bench pop3: against the gateway in clear, by STLS and under TLS, everything retrieved
compared with what was sent; and against a server that lies."""
import contextlib
import re
import socket
import subprocess
import sys
import threading

from bench_smtp import BENCH, bench
from harness import IMAP, LMTP, POP3, POP3S, SMTP, Gateway, check, make_authority

USERS = 20
NONSENSE, MISSING = 'answer is not of the protocol', 'message is missing'
CLOSED, TIMEOUT = 'server closed the connection', 'no answer in time'
TEMPORARY, PERMANENT = 'refused for now (4xx, NO, SYS/TEMP)', 'refused (5xx, BAD, -ERR)'
TOO_LONG, REFUSED = 'answer too long', 'log-in refused'


def fine(result, operations, phases, what):
    check(result['operations'] == operations, f'{what}: {result["operations"]} operations')
    check(result['error_count'] == 0, f'{what}: {result["errors"]} {result["error_examples"]}')
    check(not set(phases) - set(result['phases']), f'{what}: {set(result["phases"])}')


# --- the gateway

def sessions(gateway):
    pop3 = ('--target', f'127.0.0.1:{gateway.port(POP3)}')
    pop3s = ('--target', f'localhost:{gateway.port(POP3S)}', '--tls', 'implicit')
    lmtp = ('--also', f'lmtp://127.0.0.1:{gateway.port(LMTP)}')
    smtp = ('--also', f'smtp://127.0.0.1:{gateway.port(SMTP)}')
    imap = ('--also', f'imap://127.0.0.1:{gateway.port(IMAP)}')
    session = {'connect', 'greeting', 'hello', 'log-in', 'list', 'retr', 'log-out'}
    ways = ((lmtp, pop3), (lmtp, pop3, '--no-pipelining'), (smtp, pop3, '--tls', 'start'),
            (imap, pop3s, '--tls-ca', gateway.authority), (lmtp, pop3s, '--tls-resume'),
            (imap, pop3, '--rate', 100, '--threads', 2))
    for i, (also, target, *more) in enumerate(ways):
        mailbox = 10 * (i + 1)
        result = bench('pop3', *target, *also, '--messages', 60, '--mailbox', mailbox, '--verify',
                       '--seed', 5, '--connections', 8, *more, users=USERS)
        fine(result, 60, session, (also, target))
        check(result['phases']['retr']['count'] == 60 * mailbox, f'{i}: {result["phases"]["retr"]}')
        check(result['verify'] == {'checked': 60 * mailbox, 'missing': 0, 'altered': 0,
                                   'doubled': 0}, result['verify'])
    pop3 = gateway.pop3('u3')
    check(any(re.match(rb'X-Ringpost-Bench: ', line) for line in pop3.retr(1)[1]), 'no mark')
    pop3.quit()


def sizes(gateway):
    """Dots, large messages, and all that is deleted."""
    target = ('--target', f'127.0.0.1:{gateway.port(POP3)}', '--also',
              f'lmtp://127.0.0.1:{gateway.port(LMTP)}', '--verify')
    for users, more in (('u5%d@example.test', ('--size', 'real', '--mailbox', 60)),
                        ('u6%d@example.test', ('--size', '3m', '--mailbox', 4))):
        result = bench('pop3', *target, '--messages', 10, '--connections', 1, '--delete',
                       '--user-format', users, *more, users=10)
        fine(result, 10, {'retr', 'dele'}, more)
        check(result['verify']['checked'] == 10 * more[3], result['verify'])
        check(result['verify']['altered'] == 0, result['verify'])
        for user in range(10):
            pop3 = gateway.pop3(users.split('@')[0].replace('%d', str(user)))
            check(pop3.stat() == (0, 0), f'{users} {user} is not empty')
            pop3.quit()


def empty(gateway):
    """Nothing to read, and no way to put something there."""
    result = bench('pop3', '--target', f'127.0.0.1:{gateway.port(POP3)}', '--messages', 5,
                   '--connections', 1, '--user-format', 'u5%d@example.test', status=3, users=1)
    check(set(result['errors']) == {MISSING}, result['errors'])
    check('--also lmtp://' in result['error_examples'][0]['said'], result['error_examples'])


def usage():
    done = subprocess.run([BENCH, 'pop3', '--target', '127.0.0.1:1', '--users', '3',
                           '--connections', '4'], capture_output=True, text=True, timeout=30,
                          check=False)
    check(done.returncode == 2 and 'must not be above --users' in done.stderr, done.stderr)


# --- a server that lies

class Pop3Liar:
    """Three messages a user. fate(stage, count) as in bench_liar.py: None, bytes instead, 'cut',
    'mute'; asked at 'greeting' and with the name of each command."""

    def __init__(self, fate, capabilities):
        self.fate, self.capabilities = fate, capabilities
        self.counts, self.commands, self.lock = {}, [], threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock = self.listener.accept()[0]
                threading.Thread(target=self.guard, args=(sock,), daemon=True).start()

    def guard(self, sock):
        with contextlib.suppress(OSError, ValueError), sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.serve(sock, sock.makefile('rb'))
            sock.shutdown(socket.SHUT_RDWR)

    def serve(self, sock, lines):
        verb, words = 'greeting', []
        while True:
            with self.lock:
                self.counts[verb] = self.counts.get(verb, 0) + 1
                self.commands.append(verb)
                fate = self.fate(verb, self.counts[verb])
            if fate == 'cut':
                return
            if fate != 'mute':
                sock.sendall(fate if fate is not None else self.honest(verb, words))
            if verb == 'QUIT':
                return
            words = lines.readline().split()
            if not words:
                return
            verb = words[0].decode().upper()

    def honest(self, verb, words):
        if verb == 'CAPA':
            return b'-ERR what\r\n' if self.capabilities is None else (
                b'+OK\r\n' + b''.join(line + b'\r\n' for line in self.capabilities) + b'.\r\n')
        answers = {
            'STAT': b'+OK 3 60\r\n', 'LIST': b'+OK\r\n1 20\r\n2 20\r\n3 20\r\n.\r\n',
            'UIDL': b'+OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n',
            'RETR': b'+OK\r\nSubject: x\r\n\r\n..dot\r\n.\r\n'}
        return answers.get(verb, b'+OK\r\n')


ALL = (b'USER', b'UIDL', b'SASL LOGIN PLAIN', b'PIPELINING')


def lied_to(fate, *arguments, capabilities=ALL, status=1):
    liar = Pop3Liar(fate, capabilities)
    try:
        return bench('pop3', '--target', f'127.0.0.1:{liar.port}', '--connections', 1, '--messages',
                     10, '--timeout', '1s', *arguments, status=status, users=1), liar.commands
    finally:
        liar.listener.close()


def at(stage, number, fate):
    return lambda where, count: fate if where == stage and count == number else None


def honest():
    for capabilities, there, not_there in (
            (ALL, {'USER', 'UIDL'}, {'AUTH'}), ((b'SASL PLAIN',), {'AUTH'}, {'USER', 'UIDL'}),
            (None, {'USER', 'PASS', 'UIDL'}, {'AUTH'}), ((b'USER',), {'LIST'}, {'UIDL'})):
        for arguments in ((), ('--no-pipelining',), ('--delete',)):
            result, commands = lied_to(lambda *_: None, *arguments, capabilities=capabilities,
                                       status=0)
            fine(result, 10, {'retr', 'list'}, capabilities)
            check(there <= set(commands) and not not_there & set(commands), commands)
            check(commands.count('RETR') == 30, commands)
            check(commands.count('DELE') == (30 if '--delete' in arguments else 0), commands)
    result, _ = lied_to(lambda *_: None, capabilities=(b'UIDL',), status=3)
    check(set(result['errors']) == {REFUSED}, result['errors'])
    result, _ = lied_to(lambda *_: None, '--tls', 'start', status=3)
    check(set(result['errors']) == {'TLS failed'}, result['errors'])


def lies():
    for stage, number, lie, kind in (
            ('greeting', 3, b'* OK imap\r\n', NONSENSE), ('greeting', 3, 'cut', CLOSED),
            ('greeting', 3, b'-ERR [SYS/TEMP] later\r\n', TEMPORARY),
            ('PASS', 3, b'-ERR wrong\r\n', REFUSED),
            ('PASS', 3, b'-ERR [IN-USE] you\r\n', TEMPORARY),
            ('STAT', 3, b'+OK x 3\r\n', NONSENSE), ('STAT', 3, b'+OK 99999999999 3\r\n', NONSENSE),
            ('LIST', 3, b'+OK\r\n1 20\r\n2 20\r\n.\r\n', NONSENSE),
            ('LIST', 3, b'+OK\r\n1 20\r\n2 20\r\n3 20\r\n4 20\r\n.\r\n', NONSENSE),
            ('LIST', 3, b'+OK\r\n1 20\r\n3 20\r\n2 20\r\n.\r\n', NONSENSE),
            ('LIST', 3, b'+OK\r\n1 x\r\n', NONSENSE), ('LIST', 3, b'-ERR no\r\n', PERMANENT),
            ('UIDL', 3, b'+OK\r\n1 ' + b'x' * 71 + b'\r\n', NONSENSE),
            ('RETR', 5, b'-ERR gone\r\n', PERMANENT), ('RETR', 5, 'mute', TIMEOUT),
            ('RETR', 5, b'+OK\r\nno end', TIMEOUT), ('RETR', 5, b'+OKAY\r\n', NONSENSE),
            ('RETR', 5, b'+OK\r\na\rb\r\n.\r\n', NONSENSE),
            ('RETR', 5, b'+OK\r\nbare\n.\n\r\n.\r\n', NONSENSE), ('RETR', 5, 'cut', CLOSED),
            ('RETR', 5, bytes(range(256)), NONSENSE), ('RETR', 5, b'+OK\n', NONSENSE),
            ('RETR', 5, b'+OK ' + b'x' * 100000 + b'\r\n', TOO_LONG),
            ('QUIT', 3, b'-ERR not all deleted\r\n', PERMANENT), ('QUIT', 3, 'cut', CLOSED),
            ('CAPA', 3, b'+OK\r\n' + b'X\r\n' * 2000, TOO_LONG), ('CAPA', 3, b'250\r\n', NONSENSE)):
        for arguments in ((), ('--no-pipelining',)):
            result, _ = lied_to(at(stage, number, lie), *arguments)
            check(result['errors'] == {kind: 1}, f'{stage} {lie[:40]}: {result["errors"]}')
            check(result['operations'] == 9, f'{stage} {lie[:40]}: {result["operations"]}')


def main():
    usage()
    honest()
    lies()
    with Gateway(users=70, before=make_authority) as gateway:
        sessions(gateway)
        sizes(gateway)
        empty(gateway)
    print('bench_pop3: ok')
    return 0


if __name__ == '__main__':
    sys.exit(main())
