#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway before other mail servers, as `serve` runs it: without a store, confined to the ports
of its backends, told on /metrics what they do; a reload adds a backend and changes weights while
sessions go on, and refuses what the confined process may not do. Backends are small ones of our
own."""
import contextlib
import http.client
import imaplib
import json
import os
import re
import shutil
import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

from harness import RINGPOST, check

CONFIG = '''host_name = "front.example.test";
{more}
cores = 2;
drain_pace = "100ms";
drain_wait = "1s";
log: {{ file = "logs/log"; }};
domains = ( {{ name = "example.test"; pool = "mail"; }} );
listeners = ( {{ protocol = "imap"; address = "127.0.0.1"; port = {imap}; plain_login = true; }} );
pools = ( {{ name = "mail"; verify = "backend"; health_interval = "200ms"; affinity = "0s";
             down_after = 1; up_after = 1; slow_start = "0s"; {pool}
             backends = ( {backends} ); }} );
admin: {{ port = {admin}; }};
limits: {{ connections = 1000; }};
auth: {{ failure_delay_first = "10ms"; failure_delay = "10ms"; }};
'''
# Mail of one domain is kept here, of the other elsewhere.
MIXED = '''host_name = "front.example.test";
{more}
cores = 2;
store: {{ directory = "store"; }};
log: {{ file = "logs/log"; }};
domains = ( {{ name = "local.test"; users = "users"; }}{front} );
listeners = ( {{ protocol = "imap"; address = "127.0.0.1"; port = {imap}; plain_login = true; }},
              {{ protocol = "smtp"; address = "127.0.0.1"; port = {smtp}; }} );
{pools}
limits: {{ connections = 1000; }};
auth: {{ failure_delay_first = "10ms"; failure_delay = "10ms"; }};
'''
# "secret", SHA-512
HASH = ('$6$saltsaltsalt$'
        'PMWE8DTlam1JU37Piyk43bHcMxTJq6sgu5DKB0/tGPjanN35jcY68QkpDfPFUGPWX5uCxIQkSPzMmqEiVNgts.')
NOBODY = 65534
IS_ROOT = os.geteuid() == 0


class Backend:
    """IMAP as far as a log-in goes; NOOP says who it is."""

    def __init__(self, name, address, port=0):
        self.name, self.address, self.port, self.sockets = name, address, port, set()
        self.logins = 0
        self.start()

    def start(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.address, self.port))
        self.listener.listen(100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                one, _ = listener.accept()
            except OSError:
                return
            self.sockets.add(one)
            threading.Thread(target=self.serve, args=(one,), daemon=True).start()

    def serve(self, one):
        file = one.makefile('rwb')
        try:
            file.write(b'* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN IDLE] here\r\n')
            file.flush()
            for line in file:
                self.answer(file, line.split())
                file.flush()
                if line.split()[1].upper() == b'LOGOUT':
                    break
        except (OSError, ValueError):
            pass
        finally:
            self.sockets.discard(one)
            file.close()
            one.close()

    def answer(self, file, words):
        tag, verb = words[0], words[1].upper()
        self.logins += verb in (b'LOGIN', b'AUTHENTICATE')
        if verb == b'LOGOUT':
            file.write(b'* BYE\r\n' + tag + b' OK\r\n')
        elif verb == b'CAPABILITY':
            file.write(b'* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN IDLE\r\n' + tag + b' OK\r\n')
        elif verb in (b'LOGIN', b'AUTHENTICATE') and b'secret' not in words[-1] and \
                b'AHNlY3JldA' not in words[-1] and b'c2VjcmV0' not in words[-1] and \
                b'zZWNyZXQ' not in words[-1] and b'BzZWNyZXQ' not in words[-1]:
            file.write(tag + b' NO [AUTHENTICATIONFAILED] wrong\r\n')
        elif verb == b'NOOP':
            file.write(tag + b' OK of ' + self.name.encode() + b'\r\n')
        else:
            file.write(tag + b' OK done\r\n')

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for one in list(self.sockets):
            one.shutdown(socket.SHUT_RDWR)

    def text(self, more=''):
        return (f'{{ name = "{self.name}"; address = "{self.address}"; imap = {self.port}; '
                f'{more} }}')


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Front:
    def __init__(self, backends, **options):
        self.path = tempfile.mkdtemp(prefix='ringpost-front-')
        self.imap_port, self.admin = free_port(), free_port()
        os.mkdir(f'{self.path}/logs')
        self.config(backends, **options)
        self.write('users', ''.join(f'u@{domain}:{HASH}\n' for domain in ('local.test',
                                                                         'example.test')))
        os.chmod(f'{self.path}/users', 0o600)
        if IS_ROOT: # owned by whom it runs as: a reload reads it
            for name in ('', 'conf', 'logs', 'users'):
                os.chown(f'{self.path}/{name}', NOBODY, NOBODY)
        binary = shutil.copy(RINGPOST, self.path)
        self.process = subprocess.Popen([binary, 'serve', '--config', f'{self.path}/conf'],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def config(self, backends, pool=''):
        more = 'user = "nobody";' if IS_ROOT else ''
        self.write('conf', CONFIG.format(more=more, imap=self.imap_port, admin=self.admin,
                                         pool=pool, backends=', '.join(backends)))

    def write(self, name, text):
        with open(f'{self.path}/{name}', 'w', encoding='utf-8') as file:
            file.write(text)

    def __enter__(self):
        self.event('ready')
        return self

    def __exit__(self, *_):
        failed = sys.exc_info()[0] is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL if failed else signal.SIGTERM)
        out, error = self.process.communicate(timeout=30)
        if failed:
            sys.stderr.write(f'{out} {error}\n{self.events()[-20:]}\n')
        shutil.rmtree(self.path, ignore_errors=True)
        check(failed or (self.process.returncode == 0 and not error),
              f'exit status {self.process.returncode}: {error}')

    def events(self):
        try:
            with open(f'{self.path}/logs/log', encoding='utf-8') as file:
                return [json.loads(line) for line in file if line.endswith('\n')]
        except FileNotFoundError:
            return []

    def event(self, name, count=1, seconds=20, **fields):
        """The count-th line of that name with these fields, once it is there."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = [event for event in self.events() if event['event'] == name and
                     all(event.get(key) == value for key, value in fields.items())]
            if len(found) >= count:
                return found[count - 1]
            check(self.process.poll() is None, f'it ended: {self.process.poll()}')
            time.sleep(0.02)
        raise AssertionError(f'no {name} {fields} in the log')

    def reload(self, backends, **options):
        self.config(backends, **options)
        self.process.send_signal(signal.SIGHUP)

    def imap(self, user):
        imap = imaplib.IMAP4('127.0.0.1', self.imap_port, timeout=20)
        imap.login(f'{user}@example.test', 'secret')
        return imap

    def where(self, user):
        imap = self.imap(user)
        name = place(imap)
        imap.logout()
        return name

    def metric(self, name, backend):
        connection = http.client.HTTPConnection('127.0.0.1', self.admin, timeout=20)
        connection.request('GET', '/metrics')
        text = connection.getresponse().read().decode()
        found = re.search(rf'ringpost_{name}{{pool="mail",backend="{backend}"}} (\d+)', text)
        return int(found.group(1)) if found else None # seen once a second

    def wait_metric(self, name, backend, wanted, seconds=10):
        until = time.monotonic() + seconds
        while self.metric(name, backend) != wanted:
            check(time.monotonic() < until, f'{name} of {backend} does not become {wanted}')
            time.sleep(0.1)

    def ready(self):
        connection = http.client.HTTPConnection('127.0.0.1', self.admin, timeout=20)
        connection.request('GET', '/ready')
        return connection.getresponse().status


def place(imap):
    kind, data = imap.noop()
    check(kind == 'OK', (kind, data))
    return data[0].decode().removeprefix('of ')


def test_confined():
    """No store; what it gave up holds (row F09); users log in, wrong passwords are wrong."""
    one = Backend('one', '127.0.0.11')
    with Front([one.text()]) as front:
        said = front.event('confined')
        check(said['level'] == 'info' and said['connects'] == said['sockets'] == 'true', said)
        check(front.where('a') == 'one', 'a log-in')
        try:
            with imaplib.IMAP4('127.0.0.1', front.imap_port, timeout=20) as imap:
                imap.login('a@example.test', 'wrong')
            raise AssertionError('a wrong password')
        except imaplib.IMAP4.error as error:
            check('AUTHENTICATIONFAILED' in str(error), error)
        check(sorted(os.listdir(front.path)) == ['conf', 'logs', 'ringpost', 'users'],
              'no store is made')
        check(front.ready() == 200, 'ready')
        front.process.send_signal(signal.SIGTERM)
        check(front.process.wait(20) == 0, 'exit status')
    one.stop()


def test_names():
    """With a backend by name libraries may make sockets, and rings still reach its port alone."""
    one = Backend('one', '127.0.0.1')
    with Front([one.text().replace('127.0.0.1', 'localhost')]) as front:
        said = front.event('confined')
        check(said['level'] == 'info' and said['connects'] == 'true', said)
        check(said['sockets'] == 'false' and 'sockets_for' in said, said)
        # localhost may be ::1 first, where nobody listens
        front.reload([one.text('weight = 7;').replace('127.0.0.1', 'localhost')])
        front.event('reload', result='taken')
    one.stop()


def test_sources():
    """A source's port is left to the kernel, which landlock has to allow."""
    one = Backend('one', '127.0.0.11')
    with Front([one.text()], pool='sources = ["127.0.0.77"];') as front:
        imap = front.imap('a')
        check(place(imap) == 'one', 'a log-in')
        peers = {peer.getpeername()[0] for peer in one.sockets}
        check('127.0.0.77' in peers, f'sources: {peers}')
        imap.logout()
    one.stop()


def test_metrics():
    """A dead backend is told, and does not make the gateway unready."""
    one = Backend('one', '127.0.0.11')
    two = Backend('two', '127.0.0.12', one.port)
    with Front([one.text(), two.text()]) as front:
        front.wait_metric('backend_up', 'two', 1)
        imap = front.imap('a')
        front.wait_metric('backend_sessions', place(imap), 1)
        imap.logout()
        two.stop()
        front.wait_metric('backend_up', 'two', 0)
        check(front.metric('backend_up', 'one') == 1, 'the other')
        check(front.ready() == 200, 'ready')
        two.start()
        front.wait_metric('backend_up', 'two', 1)
    one.stop()
    two.stop()


def test_reload():
    """Sessions go on (row C06) while a backend is added, gets weight, and is taken out again."""
    one = Backend('one', '127.0.0.11')
    two = Backend('two', '127.0.0.12', one.port)
    with Front([one.text()]) as front:
        held = front.imap('held')
        front.reload([one.text(), two.text()])
        front.event('reload', result='taken')
        front.wait_metric('backend_up', 'two', 1)
        check(place(held) == 'one', 'a session ends by a reload')
        places = {user: front.where(f'u{user}') for user in range(40)}
        check(set(places.values()) == {'one', 'two'}, places)
        check({user: front.where(f'u{user}') for user in range(40)} == places, 'places change')
        front.reload([one.text('weight = 0;'), two.text()])
        front.event('reload', 2, result='taken')
        places = [front.where(f'u{user}') for user in range(20)]
        check(set(places) == {'two'}, f'a weight of 0: {places}')
        check(place(held) == 'one', 'a session ends by a weight')
        check(front.where('held') == 'one', 'a user with a session goes elsewhere')
        front.reload([two.text()])
        front.event('reload', 3, result='taken')
        check(place(held) == 'one', 'a session ends when its backend leaves the config')
        held.logout()
        check(front.where('held') == 'two', 'a backend that is gone is chosen')
    one.stop()
    two.stop()


def test_reload_refused():
    """What a confined process may not do (row F09) is said, with its line, and nothing changes (row
    C06)."""
    one = Backend('one', '127.0.0.11')
    two = Backend('two', '127.0.0.12', free_port())
    with Front([one.text()]) as front:
        for count, (backends, pool, what) in enumerate((
                ([one.text(), two.text()], '', f'port {two.port} needs a restart'),
                ([one.text()], 'any_address = true; tls = "none";', 'any_address needs a restart'),
                ([one.text()], 'sources = ["127.0.0.1"];', 'sources need a restart'),
                ([one.text().replace('127.0.0.11', 'localhost')], '', 'a name needs a restart'),
                ([], '', 'has no backends'))):
            front.reload(backends, pool=pool)
            front.event('reload', count + 1, result='not taken; everything stays as it was')
            said = [event for event in front.events() if 'problem' in event]
            check(any(what in one['problem'] and one['line'] > 1 for one in said), said[-1])
            check(front.where('a') == 'one', 'a log-in after it')
        front.config([one.text()])
        with open(f'{front.path}/conf', 'a', encoding='utf-8') as file:
            file.write('control: { socket = "c"; };\nproxy: { exceptions = "file:e"; };\n')
        front.process.send_signal(signal.SIGHUP)
        front.event('reload', result='taken')
        for what in ('control.socket', 'proxy.exceptions'):
            front.event('reload', what=what, result='changes by a restart only; left as it is')
    one.stop()
    two.stop()


class Mixed(Front):
    def config(self, backends, pool=''):
        place = 'pool = "mail"; ' if backends else ''
        front = f', {{ name = "example.test"; users = "users"; {place}}}'
        pools = (f'pools = ( {{ name = "mail"; {pool} backends = ( {", ".join(backends)} ); }} );'
                 if backends else '')
        self.write('conf', MIXED.format(
            more='user = "nobody";' if IS_ROOT else '', imap=self.imap_port, smtp=self.admin,
            front=front, pools=pools))


def test_mixed():
    """One domain is kept here and the other elsewhere, both judged here; mail is taken for the
    first alone, and only its users have mailboxes here."""
    one = Backend('one', '127.0.0.11')
    with Mixed([one.text()]) as front:
        with smtplib.SMTP('127.0.0.1', front.admin, timeout=20) as smtp:
            smtp.ehlo()
            smtp.mail('a@example.org')
            check(smtp.rcpt('u@local.test')[0] == 250, 'a user who is here')
            code, text = smtp.rcpt('u@example.test')
            check(code == 550 and text.startswith(b'5.7.1'), f'no domain of ours: {code} {text}')
            smtp.data('Subject: x\r\n\r\nhello\r\n')
        check(front.where('u') == 'one', 'a user who is elsewhere')
        with imaplib.IMAP4('127.0.0.1', front.imap_port, timeout=20) as imap:
            imap.login('u@local.test', 'secret')
            check(imap.select()[1] == [b'1'], 'a mailbox here')
        before = one.logins
        for user in ('u@example.test', 'nobody@example.test'):
            try:
                with imaplib.IMAP4('127.0.0.1', front.imap_port, timeout=20) as imap:
                    imap.login(user, 'wrong')
                raise AssertionError(f'a wrong password of {user}')
            except imaplib.IMAP4.error as error:
                check('AUTHENTICATIONFAILED' in str(error), error)
        check(one.logins == before, 'a backend was asked about a password that is judged here')
    one.stop()


class Stray(Front):
    """Whose directory gives a user a name that is of no domain here."""

    def config(self, backends, pool=''):
        super().config(backends, pool)
        with contextlib.closing(sqlite3.connect(f'{self.path}/people.db')) as database:
            database.execute('CREATE TABLE people (name TEXT, password TEXT, user TEXT)')
            database.execute('INSERT INTO people VALUES (?, ?, ?)',
                             ('a@example.test', HASH, 'a@stray.test'))
            database.commit()
        os.chmod(f'{self.path}/people.db', 0o644)
        with open(f'{self.path}/conf', encoding='utf-8') as file:
            text = file.read().replace('verify = "backend";', '').replace(
                'pool = "mail"; }', 'pool = "mail"; directory = "d"; }')
        self.write('conf', text + 'directories = ( { name = "d"; sqlite: { file = "people.db"; '
                   'query = "SELECT password, user FROM people WHERE name = :user"; }; } );')


def test_stray():
    """Who is neither elsewhere nor here, where there is no store, is told so and ends nothing."""
    one = Backend('one', '127.0.0.11')
    with Stray([one.text()]) as front:
        for _ in range(2):
            try:
                front.imap('a')
                raise AssertionError('a log-in to nowhere')
            except imaplib.IMAP4.error as error:
                check('AUTHENTICATIONFAILED' not in str(error), error)
        check(one.logins == 0, 'a backend of another domain was asked')
        check(front.ready() == 200, 'ready')
    one.stop()


def test_pools_later():
    """A process that was started without pools cannot connect to any."""
    one = Backend('one', '127.0.0.11')
    with Mixed([]) as front:
        front.reload([one.text()])
        front.event('reload', result='not taken; everything stays as it was')
        said = [event for event in front.events() if 'problem' in event]
        check('started without any; restart it' in said[-1]['problem'], said)
    one.stop()


def checked(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    done = subprocess.run([RINGPOST, 'check', '--config', path], capture_output=True, text=True,
                          timeout=60, check=False)
    return done.returncode, done.stdout


def test_check():
    """What only looking can tell: names, and files that are to be secret (row C05)."""
    with tempfile.TemporaryDirectory() as folder:
        path, secret = os.path.join(folder, 'conf'), os.path.join(folder, 'secret')
        text = CONFIG.format(more='', imap=1143, admin=1080, pool='', backends=(
            '{ name = "one"; address = "no-such-name.invalid"; imap = 143; }'))
        status, said = checked(path, text)
        check(status == 1 and 'how passwords get to its backends' in said, said)
        text = text.replace('verify = ', 'tls = "start"; unverified_tls = true; verify = ')
        status, said = checked(path, text)
        check(status == 1 and 'backend "one": no-such-name.invalid cannot be looked up' in said,
              said)
        text = text.replace('no-such-name.invalid', '192.0.2.1')
        status, said = checked(path, text)
        check(status == 0, said)
        done = subprocess.run([RINGPOST, 'store', 'stat', '--config', path], capture_output=True,
                              text=True, timeout=60, check=False)
        check(done.returncode == 1 and 'has no store' in done.stderr, done.stderr)
        text = text.replace('verify = "backend"', 'master_user = "m"; master_password_file = '
                            '"secret"; verify = "backend"')
        for content, mode, what in ((None, 0, 'No such file'), ('pw\n', 0o644, 'open to everyone'),
                                    ('\nx', 0o600, 'first line is empty'), ('pw\n', 0o600, None)):
            if content is not None:
                with open(secret, 'w', encoding='utf-8') as file:
                    file.write(content)
                os.chmod(secret, mode)
            status, said = checked(path, text)
            check(status == (what is not None) and (what is None or what in said), (what, said))


def main():
    for test in (test_confined, test_names, test_sources, test_metrics, test_reload,
                 test_reload_refused, test_mixed, test_stray,
                 test_pools_later, test_check):
        begin = time.monotonic()
        test()
        print(f'{test.__name__}: ok ({time.monotonic() - begin:.1f} s)', flush=True)


if __name__ == '__main__':
    main()
