#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A confined gateway still does its work (row F09): mail flows, a reload is taken, the log goes on,
it drains, as root with a user to become and started without privileges; its own self-test says that
every measure holds, which tests/unit/confine_test.c shows for each. As root without a user `serve`
refuses to start. What it was started with and did not ask for is closed."""
import base64
import http.client
import http.server
import imaplib
import json
import os
import shutil
import signal
import smtplib
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

from harness import ADMIN, IMAP, LMTP, RINGPOST, SMTP, SUBMISSION, check, free_base

CONFIG = '''host_name = "mx.example.test";
{more}
cores = 2;
drain_pace = "100ms";
drain_wait = "1s";
store: {{ directory = "store"; }};
log: {{ file = "logs/log"; }};
domains = ( {{ name = "example.test"; users = "users"; }} );
listeners = ( {{ protocol = "lmtp"; address = "127.0.0.1"; port = {lmtp}; }},
              {{ protocol = "lmtp"; path = "socket"; mode = "0666"; }},
              {{ protocol = "imap"; address = "127.0.0.1"; port = {imap}; plain_login = true; }},
              {{ protocol = "submission"; address = "127.0.0.1"; port = {submission};
                 plain_login = true; }},
              {{ protocol = "smtp"; address = "127.0.0.1"; port = {smtp}; }} );
admin: {{ port = {admin}; }};
limits: {{ connections = 1000; }};
'''
# "secret", SHA-512
HASH = ('$6$saltsaltsalt$'
        'PMWE8DTlam1JU37Piyk43bHcMxTJq6sgu5DKB0/tGPjanN35jcY68QkpDfPFUGPWX5uCxIQkSPzMmqEiVNgts.')
NOBODY = 65534
MEASURES = ('files', 'ring_files', 'ring', 'rings', 'exec', 'trace', 'sockets', 'connects', 'fork',
            'root', 'rights', 'dumps')
IS_ROOT = os.geteuid() == 0


class Server:
    def __init__(self, more='', start=True, **options):
        self.path = tempfile.mkdtemp(prefix='ringpost-confine-')
        base = free_base()
        self.lmtp, self.imap, self.admin = base + LMTP, base + IMAP, base + ADMIN
        self.submission = base + SUBMISSION
        self.binary = shutil.copy(RINGPOST, self.path)
        os.mkdir(f'{self.path}/logs')
        self.write('conf', CONFIG.format(more=more, lmtp=self.lmtp, imap=self.imap,
                                         smtp=base + SMTP, admin=self.admin,
                                         submission=self.submission))
        self.write('users', f'u@example.test:{HASH}\n')
        os.chmod(f'{self.path}/users', 0o600)
        if IS_ROOT and 'root' not in more: # owned by whom it runs as: a reload reads it
            for name in ('', 'conf', 'users', 'logs'):
                os.chown(f'{self.path}/{name}', NOBODY, NOBODY)
        self.process = None
        if start:
            self.start(**options)

    def start(self, **options):
        self.process = subprocess.Popen([self.binary, 'serve', '--config', f'{self.path}/conf'],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def write(self, name, text):
        with open(f'{self.path}/{name}', 'w', encoding='utf-8') as file:
            file.write(text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        out, error = self.process.communicate()
        if sys.exc_info()[0] is not None:
            sys.stderr.write(f'{out} {error}\n{self.events()}\n')
        shutil.rmtree(self.path, ignore_errors=True)

    def events(self):
        try:
            with open(f'{self.path}/logs/log', encoding='utf-8') as file:
                return [json.loads(line) for line in file if line.endswith('\n')]
        except FileNotFoundError:
            return []

    def event(self, name, count=1, seconds=20):
        """The count-th line of that name, once it is there."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = [event for event in self.events() if event['event'] == name]
            if len(found) >= count:
                return found[count - 1]
            check(self.process.poll() is None, f'it ended: {self.process.poll()}')
            time.sleep(0.02)
        raise AssertionError(f'no {name} in the log')

    def deliver(self, subject, to=None):
        with smtplib.LMTP(*(to or ('127.0.0.1', self.lmtp)), timeout=20) as lmtp:
            lmtp.sendmail('a@example.org', ['u@example.test'],
                          f'Subject: {subject}\r\n\r\nhello\r\n')

    def subjects(self, password='secret'):
        with imaplib.IMAP4('127.0.0.1', self.imap, timeout=20) as imap:
            imap.login('u@example.test', password)
            imap.select()
            _, found = imap.fetch('1:*', '(BODY[HEADER.FIELDS (SUBJECT)])')
            return [row[1].decode().strip()[9:] for row in found if isinstance(row, tuple)]

    def status(self):
        with open(f'/proc/{self.process.pid}/status', encoding='utf-8') as file:
            return {key: value.split() for key, _, value in
                    (line.partition(':') for line in file)}

    def tasks(self):
        return [f'/proc/{self.process.pid}/task/{task}' for task in
                os.listdir(f'/proc/{self.process.pid}/task')]


def lives(server):
    """Everything a gateway does, confined."""
    confined = server.event('confined')
    check(confined['on'] == 'true' and confined['level'] == 'info', confined)
    for measure in MEASURES:
        check(confined[measure] == 'true', f'{measure} does not hold: {confined}')
    server.deliver('one')
    server.deliver('two', to=(f'{server.path}/socket', 0))
    check(server.subjects() == ['one', 'two'], server.subjects())
    http_client = http.client.HTTPConnection('127.0.0.1', server.admin, timeout=5)
    http_client.request('GET', '/metrics')
    check(b'ringpost_' in http_client.getresponse().read(), 'no metrics')
    # every thread is under both filters
    for task in server.tasks():
        with open(f'{task}/status', encoding='utf-8') as file:
            text = file.read()
        check('Seccomp:\t2' in text and 'NoNewPrivs:\t1' in text, f'{task}: {text}')
        check('CapEff:\t0000000000000000' in text, f'{task}: {text}')
    # a users file replaced by renaming is read again
    server.write('users.new', f'u@example.test:{HASH}\nv@example.test:{HASH}\n')
    os.chmod(f'{server.path}/users.new', 0o600)
    if IS_ROOT:
        os.chown(f'{server.path}/users.new', NOBODY, NOBODY)
    os.rename(f'{server.path}/users.new', f'{server.path}/users')
    server.process.send_signal(signal.SIGHUP)
    reloaded = server.event('reload')
    check(reloaded['level'] == 'info', reloaded)
    with smtplib.LMTP('127.0.0.1', server.lmtp, timeout=20) as lmtp:
        lmtp.sendmail('a@example.org', ['v@example.test'], 'Subject: x\r\n\r\nx\r\n')
    server.deliver('three')
    check(server.subjects()[-1] == 'three', server.subjects())
    server.process.send_signal(signal.SIGTERM)
    check(server.process.wait(20) == 0, f'exit status {server.process.returncode}')
    check(server.events()[-1]['event'] in ('session', 'stop'), server.events()[-1])


def test_charsets(): # F09
    """Converters are files of libc: they are opened before files cannot be opened any more."""
    words = (('windows-1252', 'Grüße'), ('koi8-r', 'Привет'), ('windows-1256', 'سلام'),
             ('iso-2022-jp', '日本'), ('euc-kr', '한국'), ('gb18030', '中文'), ('big5', '台灣'))
    with Server('user = "nobody";' if IS_ROOT else '') as server:
        server.event('confined')
        for charset, word in words:
            encoded = base64.b64encode(word.encode(charset)).decode()
            server.deliver(f'=?{charset}?b?{encoded}?=')
        with imaplib.IMAP4('127.0.0.1', server.imap, timeout=20) as imap:
            imap.login('u@example.test', 'secret')
            imap.select()
            for number, (charset, word) in enumerate(words, 1):
                imap.literal = word.encode()
                found = imap.uid('SEARCH', 'CHARSET', 'UTF-8', 'SUBJECT')
                check(found == ('OK', [str(number).encode()]), f'{charset}: {found}')


def test_as_root(): # F09
    if not IS_ROOT:
        print('not root: privileges are not dropped')
        return
    with Server('user = "nobody";') as server:
        lives(server)


def test_without_privileges(): # F09
    options = {'user': NOBODY, 'group': NOBODY, 'extra_groups': []} if IS_ROOT else {}
    with Server(**options) as server:
        lives(server)


class AuthHttp(http.server.BaseHTTPRequestHandler):
    """nginx's auth_http: one user, one password."""
    protocols = set()

    def do_GET(self):
        AuthHttp.protocols.add(self.headers.get('Auth-Protocol'))
        right = self.headers.get('Auth-User') == 'w@web.test'
        if 'Auth-Pass' in self.headers:
            right = right and self.headers['Auth-Pass'] == 'web-secret'
        self.send_response(200)
        self.send_header('Auth-Status', 'OK' if right else 'Invalid login')
        self.end_headers()

    def log_message(self, *_):
        pass


def test_directories(): # F09, R09
    """A directory behind the network is reached, by name; SQLite is read; the rest still holds."""
    web = http.server.ThreadingHTTPServer(('127.0.0.1', 0), AuthHttp)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    more = 'user = "nobody";' if IS_ROOT else ''
    with Server(more, start=False) as server:
        with sqlite3.connect(f'{server.path}/logs/users.db') as database:
            database.execute('CREATE TABLE people (name TEXT, password TEXT)')
            database.execute('INSERT INTO people VALUES (?, ?)', ('s@sql.test', HASH))
        os.chmod(f'{server.path}/logs/users.db', 0o600)
        if IS_ROOT:
            os.chown(f'{server.path}/logs/users.db', NOBODY, NOBODY)
        with open(f'{server.path}/conf', encoding='utf-8') as file:
            text = file.read()
        server.write('conf', text.replace('domains = (', f'''directories = (
          {{ name = "sql"; sqlite: {{ file = "logs/users.db";
             query = "SELECT password FROM people WHERE name = :user"; }}; }},
          {{ name = "web"; http: {{ url = "http://localhost:{web.server_port}/"; }}; }} );
        domains = ( {{ name = "sql.test"; directory = "sql"; }},
                    {{ name = "web.test"; directory = "web"; }},'''))
        server.start()
        confined = server.event('confined')
        for measure in MEASURES:
            want = 'false' if measure == 'sockets' else 'true'
            check(confined[measure] == want, f'{measure}: {confined}')
        check('sockets_for' in confined and confined['level'] == 'info', confined)
        for user, password in (('s@sql.test', 'secret'), ('w@web.test', 'web-secret')):
            with imaplib.IMAP4('127.0.0.1', server.imap, timeout=20) as imap:
                imap.login(user, password)
                check(imap.select()[0] == 'OK', user)
        with smtplib.SMTP('127.0.0.1', server.submission, timeout=20) as smtp:
            smtp.login('w@web.test', 'web-secret')
        check(AuthHttp.protocols == {'imap', 'smtp'}, f'asked for {AuthHttp.protocols}')
    web.shutdown()


def test_root_refused(): # F08
    if not IS_ROOT:
        print('not root: nothing to refuse')
        return
    for more, why in (('# no user, root', 'names no user'), ('user = "root";', 'is root')):
        with Server(more) as server:
            out, error = server.process.communicate(timeout=30)
            check(server.process.returncode == 1 and why in error.decode(), f'{out} {error}')
            check(not os.path.exists(f'{server.path}/store'), 'it made a store')


def test_switched_off():
    with Server('confine = false;' + (' user = "nobody";' if IS_ROOT else '')) as server:
        confined = server.event('confined')
        check(confined['on'] == 'false' and confined['level'] == 'warning', confined)
        # the self-test tells the truth: without the layers it sees what they would have refused
        for measure in ('files', 'ring_files', 'rings', 'exec', 'trace', 'sockets', 'fork'):
            check(confined[measure] == 'false', f'{measure}: {confined}')
        for measure in ('ring', 'root', 'rights', 'dumps'):
            check(confined[measure] == 'true', f'{measure}: {confined}')


def test_inherited():
    """A descriptor of the parent's is not one of ours."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    with Server('user = "nobody";' if IS_ROOT else '', close_fds=False) as server:
        server.event('ready')
        os.close(writer)
        os.set_blocking(reader, False)
        check(os.read(reader, 1) == b'', 'the pipe is still held')
    os.close(reader)


def main():
    os.umask(0o022)
    for name, test in sorted(globals().items()):
        if name.startswith('test_'):
            test()
            print(f'{name}: ok')


if __name__ == '__main__':
    main()
