# SPDX-License-Identifier: GPL-2.0-or-later
"""What the end-to-end scripts share: a gateway of their own in a fresh directory (`ringpost try`),
its ports, real messages to send, and a check that says what differs.

    with Gateway() as gateway:
        gateway.smtp(lambda smtp: smtp.sendmail(...))
"""
import contextlib
import imaplib
import os
import poplib
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import time

RINGPOST = os.environ.get('RINGPOST') or sys.exit('RINGPOST must name the program')
SAMPLES = os.environ.get('RINGPOST_SAMPLES', '')
LMTP, SMTP, ADMIN, POP3, IMAP = 24, 25, 80, 110, 143
SUBMISSIONS, SUBMISSION, IMAPS, POP3S = 465, 587, 993, 995
imaplib._MAXLINE = 10_000_000
poplib._MAXLINE = 10_000_000


def first_free(bases, offsets):
    """The first of the bases, beginning anywhere, whose ports base + offset are free just now."""
    start = os.getpid() % len(bases)
    for base in [*bases[start:], *bases[:start]]:
        with contextlib.suppress(OSError):
            for offset in offsets:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(('127.0.0.1', base + offset))
            return base
    sys.exit('no free ports')


def free_base():
    """A port base for a gateway; below the ports that clients' sockets get."""
    return first_free(range(25000, 31000, 200), (LMTP, SMTP, ADMIN, POP3, IMAP, SUBMISSIONS,
                                                 SUBMISSION, IMAPS, POP3S))


class Gateway:
    """`before` is called with the gateway before it starts (its directory is there)."""

    def __init__(self, users=100, directory=None, before=None):
        self.before, self.authority = before, None
        self.own_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix='ringpost-e2e-')
        self.base, self.users, self.process = free_base(), users, None
        self.log = os.path.join(self.directory, 'gateway.log')

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.stop()
        if sys.exc_info()[0] is not None and os.path.exists(self.log):
            with open(self.log, encoding='utf-8', errors='replace') as file:
                sys.stderr.write(file.read()[-3000:])
        if self.own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def port(self, which):
        return self.base + which

    def start(self, wait=True):
        if self.before is not None:
            self.before(self)
            self.before = None
        with open(self.log, 'ab') as out:
            self.process = subprocess.Popen(
                [RINGPOST, 'try', '--dir', os.path.join(self.directory, 'try'), '--port-base',
                 str(self.base), '--users', str(self.users)],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        if wait:
            self.wait()

    def wait(self, seconds=20):
        """Until SMTP greets."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            check(self.process.poll() is None, f'the gateway ended: {self.process.poll()}')
            with contextlib.suppress(OSError):
                with socket.create_connection(('127.0.0.1', self.port(SMTP)), 2) as probe:
                    probe.settimeout(2)
                    if probe.recv(3) == b'220':
                        return
            time.sleep(0.02)
        sys.exit('the gateway does not greet')

    def stop(self, how=signal.SIGTERM, seconds=30):
        self.process.send_signal(how)
        code = self.process.wait(seconds)
        if how == signal.SIGTERM:
            check(code == 0, f'exit status {code} after SIGTERM')

    def kill(self):
        self.process.kill()
        self.process.wait()

    def smtp(self):
        return smtplib.SMTP('127.0.0.1', self.port(SMTP), timeout=60)

    def lmtp(self):
        return smtplib.LMTP('127.0.0.1', self.port(LMTP), timeout=60)

    def imap(self, user):
        imap = imaplib.IMAP4('127.0.0.1', self.port(IMAP), timeout=60)
        imap.login(f'{user}@example.test', 'pw')
        return imap

    def pop3(self, user):
        pop3 = poplib.POP3('127.0.0.1', self.port(POP3), timeout=60)
        pop3.user(f'{user}@example.test')
        pop3.pass_('pw')
        return pop3


def make_authority(gateway):
    """A certificate for localhost from an authority of our own, where `ringpost try` would put one;
    gateway.authority is the file to trust."""
    folder = os.path.join(gateway.directory, 'try')
    os.makedirs(folder, 0o700, exist_ok=True)

    def openssl(*words):
        subprocess.run(['openssl', *words], check=True, capture_output=True, cwd=folder, timeout=60)
    key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes')
    with open(os.path.join(folder, 'extensions'), 'w', encoding='ascii') as file:
        file.write('basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n'
                   'extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n'
                   'crlDistributionPoints=URI:http://localhost/none.crl\n')
    openssl('req', '-x509', *key, '-keyout', 'authority.key', '-out', 'authority.pem', '-days',
            '90', '-subj', '/CN=An authority for tests')
    openssl('req', *key, '-keyout', 'key.pem', '-out', 'request.pem', '-subj', '/CN=localhost')
    openssl('x509', '-req', '-in', 'request.pem', '-CA', 'authority.pem', '-CAkey',
            'authority.key', '-CAcreateserial', '-extfile', 'extensions', '-days', '80', '-out',
            'certificate.pem')
    os.chmod(os.path.join(folder, 'key.pem'), 0o600)
    gateway.authority = os.path.join(folder, 'authority.pem')


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def same(got, want, what):
    if got != want:
        at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b),
                  min(len(got), len(want)))
        raise AssertionError(f'{what}: differs at byte {at} of {len(want)} (got {len(got)}): '
                             f'{got[at:at + 60]!r} is not {want[at:at + 60]!r}')


def samples():
    """[(name, bytes with CRLF)]: messages that the distribution's packages carry."""
    found = []
    for folder, _, files in os.walk(SAMPLES):
        for name in files:
            path = os.path.join(folder, name)
            if not re.search(r'test_email/data/msg_|sample-(non)?spam|testdata/.*\.(raw|eml)$',
                             path):
                continue
            with open(path, 'rb') as file:
                data = file.read()
            if data and len(data) < 5_000_000:
                found.append((name, re.sub(rb'\r\n|\r|\n', b'\r\n', data.rstrip(b'\r\n') + b'\n')))
    return sorted(found)


def without_trace(message, sent, what):
    """`message` must be trace header fields of ours (Return-Path, Received ...), then `sent`."""
    check(message.endswith(sent), f'{what}: the bytes sent are not the end of what is stored')
    trace = message[:len(message) - len(sent)]
    check(trace == b'' or trace.startswith(b'Return-Path:'), f'{what}: trace begins {trace[:40]!r}')
    check(re.fullmatch(rb'(?:[A-Za-z-]+:(?:[^\r\n]|\r\n[ \t])*\r\n)*', trace), f'{what}: {trace!r}')
    return trace
