#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A backend that lies at every step of the log-in (rows X04 to X08, X12, X14 of docs/bad-input.md):
the client hears "unavailable", in time; nothing that the backend said too early reaches him, no
password leaves in clear that should not, no connection is left, and the next log-in works.

usage: RINGPOST=build/gcc/src/main/ringpost tests/e2e/front_liar.py
"""
import base64
import os
import socket
import sys
import time

from front_false import CUT, FalseBackend, HONEST, MUTE, RESET, SLOW
from front_harness import Field
from harness import check

# Budgets so short that nothing is tried twice.
POOL = ('health_interval = "0s"; down_after = 100; connect_timeout = "500ms"; '
        'login_timeout = "1s"; affinity = "0s"; verify = "backend"; identity = "native"; ')
# Connections are counted when the client has gone.
MORE = 'proxy: { farewell = "100ms"; spread = "200ms"; };'
SECONDS_MAX = 5
LONG = b'x' * 100_000
EARLY = b''.join(b'%c OK [CAPABILITY IMAP4rev1] in\r\n' % letter for letter in range(65, 91))
ODD = b'\0\x1b[2J\x7f\xff' # to a terminal, to C, to UTF-8

# what is told: (stage, fate, what the client must hear)
IMAP_LIES = (
    ('greeting', MUTE, b'UNAVAILABLE'), # X08
    ('greeting', CUT, b'UNAVAILABLE'), # X07
    ('greeting', RESET, b'UNAVAILABLE'),
    ('greeting', SLOW, b'UNAVAILABLE'),
    ('greeting', b'* BYE not now\r\n', b'UNAVAILABLE'),
    ('greeting', b'* PREAUTH as root\r\n', b'UNAVAILABLE'), # X06
    ('greeting', b'220 mail ESMTP\r\n', b'UNAVAILABLE'),
    ('greeting', b'+OK POP3\r\n', b'UNAVAILABLE'),
    ('greeting', b'* OK [CAPABILITY SOMETHING] x\r\n', b'UNAVAILABLE'),
    ('greeting', b'* OK ' + LONG + b'\r\n', b'UNAVAILABLE'), # X04
    ('greeting', [b'* OK ', LONG * 30, MUTE], b'UNAVAILABLE'),
    ('greeting', [ODD * 1000, b'\r\n', MUTE], b'UNAVAILABLE'),
    ('greeting', [HONEST, EARLY, MUTE], b'UNAVAILABLE'), # X08: answers before questions
    ('login', MUTE, b'UNAVAILABLE'),
    ('login', CUT, b'UNAVAILABLE'),
    ('login', RESET, b'UNAVAILABLE'), # X14
    ('login', [b'+ go on\r\n', MUTE], b'UNAVAILABLE'),
    ('login', [b'zz9 OK in\r\n', MUTE], b'UNAVAILABLE'), # X12: another's tag
    ('login', [b'* BYE no\r\n', CUT], b'UNAVAILABLE'),
    ('login', [b'* OK more\r\n' * 20_000, MUTE], b'UNAVAILABLE'),
    ('login', [b'* OK ' + LONG + b'\r\n', HONEST], b'UNAVAILABLE'),
    ('login', [b'TAG OK ' + LONG + b'\r\n', MUTE], b'UNAVAILABLE'),
    ('login', [b'TAG BAD what?\r\n', MUTE], b'UNAVAILABLE'),
    ('login', [b'TAG MAYBE\r\n', MUTE], b'UNAVAILABLE'),
    ('login', b'TAG NO [UNAVAILABLE] later\r\n', b'UNAVAILABLE'),
    ('login', b'TAG NO [SERVERBUG] oops\r\n', b'UNAVAILABLE'),
    ('login', b'TAG NO [LIMIT] too many\r\n', b'LIMIT'),
    ('login', b'TAG NO [AUTHENTICATIONFAILED] wrong\r\n', b'AUTHENTICATIONFAILED'),
    ('login', b'TAG NO [AUTHENTICATIONFAILED] ' + ODD[1:] + b'\r\n', b'AUTHENTICATIONFAILED'),
    ('login', [b'TAG NO [AUTHENTICATIONFAILED] ' + ODD + b'\r\n', MUTE], b'UNAVAILABLE'),
    ('login', b'TAG NO [REFERRAL imap://u1@127.0.0.1:1/] there\r\n', b'UNAVAILABLE'),
    ('login', b'TAG NO [REFERRAL imap://' + LONG[:2000] + b'/] there\r\n', b'UNAVAILABLE'),
)
POP3_LIES = (
    ('greeting', MUTE, b'SYS/TEMP'),
    ('greeting', CUT, b'SYS/TEMP'),
    ('greeting', RESET, b'SYS/TEMP'),
    ('greeting', b'-ERR go away\r\n', b'SYS/TEMP'),
    ('greeting', b'* OK IMAP\r\n', b'SYS/TEMP'),
    ('greeting', [b'+OK ' + LONG * 3 + b'\r\n'], b'SYS/TEMP'),
    ('greeting', [HONEST, b'+OK\r\n' * 10, MUTE], b'SYS/TEMP'),
    ('user', [b'what?\r\n', MUTE], b'SYS/TEMP'),
    ('login', MUTE, b'SYS/TEMP'),
    ('login', CUT, b'SYS/TEMP'),
    ('login', RESET, b'SYS/TEMP'),
    ('login', [b'+OK' + LONG + b'\r\n', MUTE], b'SYS/TEMP'),
    ('login', [ODD + b'\r\n', MUTE], b'SYS/TEMP'),
    ('login', b'-ERR [SYS/TEMP] later\r\n', b'SYS/TEMP'),
    ('login', b'-ERR [AUTH] wrong\r\n', b'AUTH'),
    ('login', b'-ERR [IN-USE] another\r\n', b'IN-USE'),
    ('login', b'-ERR [LOGIN-DELAY] another\r\n', b'LOGIN-DELAY'),
)
TLS_LIES = (
    ('starttls', MUTE, b'UNAVAILABLE'),
    ('starttls', CUT, b'UNAVAILABLE'),
    ('starttls', b'TAG NO not here\r\n', b'UNAVAILABLE'),
    ('starttls', b'TAG BAD what\r\n', b'UNAVAILABLE'),
    ('starttls', [b'TAG OK go\r\n* OK [ALERT] injected\r\n'], b'UNAVAILABLE'), # X05
    ('starttls', [b'TAG OK go\r\n' + EARLY], b'UNAVAILABLE'),
    ('starttls', [b'TAG OK go\r\n', b'no TLS at all' * 100, MUTE], b'UNAVAILABLE'),
)


def log_in(field, protocol, user=b'u1'):
    """What the client hears from the log-in on, up to the end of a NOOP behind it."""
    with field.talk(protocol) as client:
        client.line()
        if protocol == 'imap':
            client.send(b'a LOGIN ' + user + b'@example.test pw\r\nb NOOP\r\n')
            return b''.join(client.until(b'b '))
        client.send(b'USER ' + user + b'@example.test\r\n')
        check(client.line().startswith(b'+OK'), 'USER')
        client.send(b'PASS pw\r\nNOOP\r\n')
        return client.line() + client.line()


def lie(field, backend, protocol, stage, fate, heard):
    what = f'{protocol}, {stage}: {str(fate)[:60]}'
    backend.fate = lambda p, s: fate if (p, s) == (protocol, stage) else None
    began = time.monotonic()
    said = log_in(field, protocol)
    took = time.monotonic() - began
    refused = b'a NO [' if protocol == 'imap' else b'-ERR ['
    check(said.startswith(refused + heard), f'{what}: {said[:200]}')
    check(took < SECONDS_MAX, f'{what}: after {took:.1f} s')
    check(b'injected' not in said and b'xxxxx' not in said, f'{what}: {said[:200]}')
    check(not any(byte < 32 and byte not in b'\r\n' or byte > 126 for byte in said),
          f'{what}: not printable: {said}')
    check(backend.wait_open(0) == 0, f'{what}: a connection is left')
    backend.fate = lambda p, s: None
    for _ in range(5): # the budgets are short for a busy machine
        said = log_in(field, protocol)
        if b'OK' in said.split(b'\r\n')[0]:
            return
    raise AssertionError(f'after {what}: {said}')


def after_log_in(field, backend):
    """X12, X14: what a backend says once the user is in is his alone, to the byte, however it
    ends."""
    for rest in (b'* 1 FETCH (BODY[] {1000}\r\nshort', b'\0\xff' * 50_000, b'* OK no end'):
        backend.fate = lambda p, s, rest=rest: [rest, CUT] if s == 'after' else None
        with field.talk() as client:
            client.line()
            client.send(b'a LOGIN u1@example.test pw\r\n')
            check(client.line().startswith(b'a OK'), 'log-in')
            got = client.rest()
            check(got.startswith(rest), f'{len(got)} bytes of {len(rest)}')
            check(got == rest or b'* BYE' in got[len(rest):], got[len(rest):][:100])
    backend.fate = lambda p, s: [b'* OK for the next one\r\n' * 100, MUTE] if s == 'out' else None
    with field.talk() as client:
        client.line()
        client.send(b'a LOGIN u1@example.test pw\r\nb LOGOUT\r\n')
        client.until(b'b OK')
    backend.fate = lambda p, s: None
    said = log_in(field, 'imap', b'u2')
    check(b'next one' not in said and said.startswith(b'a OK'), f'another session\'s bytes: {said}')
    backend.fate = lambda p, s: RESET if s == 'after' else None
    for _ in range(20):
        with field.talk() as client:
            client.line()
            client.send(b'a LOGIN u1@example.test pw\r\n')
            said = client.line() # a reset may overtake the backend's answer
            check(said.startswith((b'a OK', b'a NO [UNAVAILABLE]')), said)
            if said.startswith(b'a OK'):
                client.rest()
    backend.fate = lambda p, s: None
    check(backend.wait_open(0) == 0, 'a connection is left')


def half_closes(field, backend):
    """X14: a client that has sent everything and shut its side down gets the answers."""
    for _ in range(20):
        with field.talk() as client:
            client.line()
            client.send(b'a LOGIN u1@example.test pw\r\nb NOOP\r\nc NOOP\r\n')
            client.socket.shutdown(socket.SHUT_WR)
            said = client.rest()
            check(b'c OK' in said or said == b'' or b'b OK' in said, said)
    check(backend.wait_open(0) == 0, 'a connection is left')


def loop(field):
    """X11: a pool that leads back to the gateway itself: each log-in ends, and others go on."""
    field.serve(POOL + 'tls = "none"; ', domain='', backends='{ name = "self"; address = '
                f'"127.0.0.1"; imap = {field.ports["imap"]}; }}')
    for _ in range(3):
        began = time.monotonic()
        said = log_in(field, 'imap')
        check(said.startswith((b'a NO [CONTACTADMIN]', b'a NO [UNAVAILABLE]')), said)
        check(time.monotonic() - began < SECONDS_MAX, 'it ends late')


def no_secret(backend):
    secrets = (b'u1', b'pw', base64.b64encode(b'\0u1@example.test\0pw'), b'LOGIN', b'AUTHENTICATE',
               b'USER', b'PASS')
    check(not any(secret.lower() in backend.clear.lower() for secret in secrets),
          f'in clear: {backend.clear[-500:]}')


def without_tls(field, backend):
    """X06: a backend, or who sits before it, that takes STARTTLS away, or says before TLS what does
    not hold: nobody is logged in, nothing of him is told; and as soon as it is back, he is."""
    full = backend.capabilities
    for what, protocol, capabilities, fates in (
            ('not offered', 'imap', full.replace(b' STARTTLS', b''), {}),
            ('nothing said, and not known', 'imap', full,
             {'greeting': b'* OK ready\r\n', 'starttls': b'TAG BAD what?\r\n'}),
            ('nothing offered', 'imap', b'IMAP4rev1', {}),
            ('offered, and refused', 'imap', full, {'starttls': b'TAG NO later\r\n'}),
            ('offered, and not known', 'imap', full, {'starttls': b'TAG BAD what?\r\n'}),
            ('somebody is in already', 'imap', full, {'greeting': b'* PREAUTH u2\r\n'}),
            ('refused', 'pop3', full, {'stls': b'-ERR not known\r\n'})):
        backend.clear, backend.capabilities, opened = b'', capabilities, backend.opened
        backend.fate = lambda p, s, protocol=protocol, fates=fates: \
            fates.get(s) if p == protocol else None
        for _ in range(2):
            began = time.monotonic()
            said = log_in(field, protocol)
            check(said.startswith(b'a NO [UNAVAILABLE]' if protocol == 'imap' else
                                  b'-ERR [SYS/TEMP]'), f'{what}: {said[:200]}')
            check(time.monotonic() - began < SECONDS_MAX, f'{what}: late')
        check(backend.opened >= opened + 2, f'{what}: it was not asked')
        no_secret(backend)
    # what is said before TLS is forgotten behind it
    backend.fate = lambda p, s: \
        b'* OK [CAPABILITY IMAP4rev1 LOGINDISABLED STARTTLS AUTH=NONE] x\r\n' \
        if (p, s) == ('imap', 'greeting') else None
    for protocol in ('imap', 'pop3'):
        backend.clear, backend.capabilities = b'', full
        said = [log_in(field, protocol) for _ in range(5)] # the budgets are short
        check(any(one.startswith((b'a OK', b'+OK')) for one in said), f'{protocol}: {said}')
        no_secret(backend)
    backend.fate = lambda p, s: None


def main():
    with Field(names=()) as field:
        pair = [os.path.join(field.dir, name) for name in ('certificate.pem', 'key.pem')]
        with FalseBackend(*pair) as backend:
            entry = (f'{{ name = "liar"; address = "127.0.0.1"; host = "localhost"; '
                     f'imap = {backend.ports["imap"]}; pop3 = {backend.ports["pop3"]}; }}')
            field.serve(POOL + 'tls = "none"; ', domain='', backends=entry, more=MORE)
            for case in IMAP_LIES:
                lie(field, backend, 'imap', *case)
            print('IMAP: ok', flush=True)
            for case in POP3_LIES:
                lie(field, backend, 'pop3', *case)
            print('POP3: ok', flush=True)
            after_log_in(field, backend)
            half_closes(field, backend)
            print('behind the log-in: ok', flush=True)
            field.serve(POOL + 'tls = "start"; tls_ca = "authority.pem"; ', domain='',
                        backends=entry, more=MORE)
            backend.clear = b''
            for case in TLS_LIES:
                lie(field, backend, 'imap', *case)
            no_secret(backend)
            without_tls(field, backend)
            print('STARTTLS: ok', flush=True)
            loop(field)
            print('a loop: ok', flush=True)


if __name__ == '__main__':
    sys.exit(main())
