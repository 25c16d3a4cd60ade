#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Passwords do not stay in the gateway's memory (row A15): after log-ins of every kind, right and
wrong, in clear and under TLS, all memory of the process is searched for them, as they are and in
base64. They are not in the log either. As root only: nobody else may read that memory, which is
tried too."""
import base64
import contextlib
import crypt
import imaplib
import os
import poplib
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from harness import ADMIN, IMAP, LMTP, POP3, RINGPOST, SMTP, check, free_base

CONFIG = '''host_name = "localhost";
user = "nobody";
cores = 1;
drain_pace = "100ms";
drain_wait = "1s";
store: {{ directory = "store"; }};
domains = ( {{ name = "example.test"; users = "users"; }} );
tls: {{ certificates = ( {{ certificate = "tls/certificate.pem"; key = "tls/key.pem"; }} ); }};
auth: {{ failure_delay_first = "0ms"; failure_delay = "0ms"; }};
listeners = (
  {{ protocol = "submission"; address = "127.0.0.1"; port = {smtp}; plain_login = true; }},
  {{ protocol = "pop3"; address = "127.0.0.1"; port = {pop3}; plain_login = true; }},
  {{ protocol = "imap"; address = "127.0.0.1"; port = {imap}; plain_login = true; }} );
admin: {{ port = {admin}; }};
limits: {{ connections = 200; }};
'''
FRONT = '''host_name = "localhost";
user = "nobody";
cores = 1;
drain_pace = "100ms";
drain_wait = "1s";
pools = ( {{ name = "store"; verify = "backend"; tls = "{tls}"; unverified_tls = {unverified};
  pipelining = {pipelining}; backends = ( {{ name = "one"; address = "127.0.0.1";
    imap = {behind.imap}; pop3 = {behind.pop3}; submission = {behind.smtp}; }} ); }} );
domains = ( {{ name = "example.test"; pool = "store"; }} );
tls: {{ certificates = ( {{ certificate = "tls/certificate.pem"; key = "tls/key.pem"; }} ); }};
auth: {{ failure_delay_first = "0ms"; failure_delay = "0ms"; }};
listeners = (
  {{ protocol = "submission"; address = "127.0.0.1"; port = {smtp}; plain_login = true; }},
  {{ protocol = "pop3"; address = "127.0.0.1"; port = {pop3}; plain_login = true; }},
  {{ protocol = "imap"; address = "127.0.0.1"; port = {imap}; plain_login = true; }} );
admin: {{ port = {admin}; }};
limits: {{ connections = 200; }};
'''
NOBODY, TRIES = 65534, 10
USER = 'u@example.test'


class Server:
    def config(self, **ports):
        return CONFIG.format(**ports)

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix='ringpost-secrets-')
        base = free_base()
        self.smtp, self.pop3, self.imap = base + SMTP, base + POP3, base + IMAP
        # of this run alone, and nothing that memory holds anyway
        self.right = 'right-' + os.urandom(12).hex()
        self.wrong = 'wrong-' + os.urandom(12).hex()
        os.mkdir(f'{self.path}/tls')
        subprocess.run([RINGPOST, 'certificate', 'make', '--dir', f'{self.path}/tls', 'localhost'],
                       check=True, capture_output=True)
        with open(f'{self.path}/conf', 'w', encoding='utf-8') as file:
            file.write(self.config(smtp=self.smtp, pop3=self.pop3, imap=self.imap,
                                   admin=base + ADMIN))
        with open(f'{self.path}/users', 'w', encoding='utf-8') as file:
            file.write(f'{USER}:{crypt.crypt(self.right, "$6$saltsaltsalt$")}\n')
        os.chmod(f'{self.path}/users', 0o600)
        for folder, _, files in os.walk(self.path):
            for name in [folder] + [os.path.join(folder, name) for name in files]:
                os.chown(name, NOBODY, NOBODY)
        self.log = open(f'{self.path}/out', 'wb')
        self.process = subprocess.Popen([RINGPOST, 'serve', '--config', f'{self.path}/conf'],
                                        stdout=self.log, stderr=self.log)
        until = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(('127.0.0.1', self.imap), 2).close()
                break
            check(time.monotonic() < until and self.process.poll() is None, 'it does not start')
            time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        if sys.exc_info()[0] is not None:
            sys.stderr.write(self.output()[-3000:])
        shutil.rmtree(self.path, ignore_errors=True)

    def output(self):
        with open(f'{self.path}/out', encoding='utf-8', errors='replace') as file:
            return file.read()

    def found(self, needles):
        """[(needle, address, mapping)] in all memory of the process."""
        found = []
        with open(f'/proc/{self.process.pid}/maps', encoding='utf-8') as maps, \
             open(f'/proc/{self.process.pid}/mem', 'rb', 0) as memory:
            for line in maps:
                area, rights = line.split()[:2]
                if rights[0] != 'r' or '[vvar' in line or '[vsyscall' in line:
                    continue
                begin, end = (int(part, 16) for part in area.split('-'))
                memory.seek(begin)
                try:
                    data = memory.read(end - begin)
                except OSError:
                    continue
                for needle in needles:
                    at = data.find(needle)
                    while at >= 0:
                        around = data[max(0, at - 24):at + len(needle) + 8]
                        found.append((needle, hex(begin + at), line.strip(), around))
                        at = data.find(needle, at + 1)
        return found


class Front(Server):
    """Before another, which is to judge: what a client shows is passed on."""

    def __init__(self, behind, tls, pipelining):
        self.behind, self.tls, self.pipelining = behind, tls, pipelining
        super().__init__()
        self.right, self.wrong = behind.right, behind.wrong

    def config(self, **ports):
        return FRONT.format(behind=self.behind, tls=self.tls, pipelining=self.pipelining,
                            unverified='true' if self.tls != 'none' else 'false', **ports)


def shapes(password):
    """The password, and how base64 of something that holds it looks: three ways to lie in it."""
    found = [password.encode()]
    for shift in range(3):
        text = base64.b64encode(b'x' * shift + password.encode())
        found.append(text[4 if shift else 0:len(text) // 4 * 4 - 8])
    return found


def tls():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def refused(code):
    """Runs it; what servers say to a wrong password is no news."""
    with contextlib.suppress(imaplib.IMAP4.error, poplib.error_proto, smtplib.SMTPException,
                             OSError):
        code()


def plain(password):
    return b'\0' + USER.encode() + b'\0' + password.encode()


def imap_logins(server, password, secure):
    def begin():
        imap = imaplib.IMAP4('127.0.0.1', server.imap, timeout=20)
        if secure:
            imap.starttls(tls())
        return imap

    def raw(*lines):
        """Lines of our own, each once the server has answered the one before."""
        imap = begin()
        for line in lines:
            imap.send(line)
            imap.readline()
        refused(imap.logout)

    def simple():
        imap = begin()
        try:
            imap.login(USER, password)
        finally:
            imap.shutdown()

    def sasl():
        imap = begin()
        try:
            imap.authenticate('PLAIN', lambda _: plain(password))
        finally:
            imap.shutdown()

    def login():
        imap = begin()
        answers = iter([USER.encode(), password.encode()])
        try:
            imap.authenticate('LOGIN', lambda _: next(answers))
        finally:
            imap.shutdown()

    size = len(password)
    return [
        simple, sasl, login,
        lambda: raw(f'a LOGIN {USER} {password}\r\n'.encode()),
        lambda: raw(f'a LOGIN {USER} {{{size}+}}\r\n{password}\r\n'.encode()),
        lambda: raw(f'a LOGIN {USER} {{{size}}}\r\n'.encode(), f'{password}\r\n'.encode()),
        lambda: raw(b'a AUTHENTICATE PLAIN ' + base64.b64encode(plain(password)) + b'\r\n'),
    ]


def pop3_logins(server, password, secure):
    def simple():
        pop3 = poplib.POP3('127.0.0.1', server.pop3, timeout=20)
        try:
            if secure:
                pop3.stls(tls())
            pop3.user(USER)
            pop3.pass_(password)
        finally:
            pop3.close()

    return [simple]


def smtp_logins(server, password, secure):
    def by(mechanism):
        def run():
            with smtplib.SMTP('127.0.0.1', server.smtp, timeout=20) as smtp:
                if secure:
                    smtp.starttls(context=tls())
                smtp.ehlo()
                smtp.user, smtp.password = USER, password
                smtp.auth(mechanism, getattr(smtp, 'auth_' + mechanism.lower()))

        return run

    return [by('PLAIN'), by('LOGIN')]


def forget(server, what, logins, password):
    """After these log-ins the password is nowhere."""
    for login in logins:
        refused(login)
    found = []
    for _ in range(TRIES): # connections may still be closing
        found = server.found(shapes(password))
        if not found:
            return True
        time.sleep(0.1)
    print(f'{what}: the password stays at {len(found)} places:')
    for place in found[:12]:
        print('   ', *place)
    return False


def test_memory(server): # A15
    """Nor in the memory of a gateway in front of it, which has passed it on."""
    check_memory(server)
    for tls, pipelining in (('none', 'false'), ('start', 'true')):
        with Front(server, tls, pipelining) as front:
            check_memory(front)
            test_open_session(front)


def check_memory(server):
    # the search finds what is there
    known = [b'example.test']
    check(server.found(known), 'the search finds nothing at all')
    good = True
    for secure in (False, True):
        for name, make in (('imap', imap_logins), ('pop3', pop3_logins), ('smtp', smtp_logins)):
            for kind, password in (('right', server.right), ('wrong', server.wrong)):
                logins = make(server, password, secure)
                for i, login in enumerate(logins):
                    what = f'{name}{" under TLS" if secure else ""}, {kind} password, way {i}'
                    good = forget(server, what, [login], password) and good
    check(good, 'passwords stay in memory')


def test_open_session(server): # A15
    """Nor while the session goes on, once its next command has come."""
    for secure in (False, True):
        imap = imaplib.IMAP4('127.0.0.1', server.imap, timeout=20)
        if secure:
            imap.starttls(tls())
        imap.login(USER, server.right)
        imap.noop()
        found = server.found(shapes(server.right))
        check(not found, f'{"under TLS" if secure else "in clear"}: {found[:3]}')
        imap.logout()


def test_log(server): # A15
    text = server.output()
    for password in (server.right, server.wrong):
        for shape in shapes(password):
            check(shape.decode() not in text, 'a password is in the log')
    check(text.count('"event":"session"') > 20, text)


def test_closed_to_others(server): # A15
    """Not even its own user may read that memory, or make it dump."""
    code = f'open("/proc/{server.process.pid}/mem", "rb")'
    result = subprocess.run([shutil.which('python3', path='/usr/bin:/bin') or sys.executable, '-c',
                             code], user=NOBODY, group=NOBODY, extra_groups=[],
                            capture_output=True, check=False)
    check(b'PermissionError' in result.stderr, result)
    with open(f'/proc/{server.process.pid}/limits', encoding='utf-8') as file:
        core = next(line for line in file if line.startswith('Max core file size'))
    check(core.split()[4:6] == ['0', '0'], core)
    server.process.send_signal(signal.SIGABRT)
    server.process.wait(10)
    check(server.process.returncode == -signal.SIGABRT, server.process.returncode)
    left = [name for name in os.listdir(server.path) if 'core' in name]
    check(not left, left)


def main():
    if os.geteuid() != 0:
        print('not root: cannot read the memory of another process')
        return
    with Server() as server:
        for test in (test_memory, test_open_session, test_log, test_closed_to_others):
            test(server)
            print(f'{test.__name__}: ok')


if __name__ == '__main__':
    main()
