#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# long
"""The operator's side of a front: `ringpost backend`, `session` and `user move` against a running
gateway, the control socket they talk to, and moved users kept in a file or a Redis.

Three small IMAP backends of this script's own say their names. Ports of
127.0.0.1 from 31800 on. Without a redis-server its tests are left out, and said so.

usage: RINGPOST=build/gcc/src/main/ringpost tests/e2e/control.py [TEST]...
"""
import contextlib
import imaplib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from harness import RINGPOST, SAMPLES, check, first_free

NAMES = ('left', 'right', 'third')
USERS = 40
# below those that clients' sockets get
PORTS = range(31800, 32700, 20)


def ports(count):
    return first_free(PORTS, range(count))


class Backend:
    """IMAP as far as a log-in: everybody is right, and is told its name by NOOP."""

    def __init__(self, name):
        self.name, self.open, self.logins = name, set(), 0
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=500)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                one = self.listener.accept()[0]
                threading.Thread(target=self.guard, args=(one,), daemon=True).start()

    def guard(self, one):
        with contextlib.suppress(OSError, ValueError):
            self.serve(one)
        self.open.discard(one)
        one.close()

    def serve(self, one):
        one.sendall(b'* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+ ID AUTH=PLAIN] ready\r\n')
        lines = one.makefile('rb')
        for line in lines:
            tag, _, rest = line.rstrip(b'\r\n').partition(b' ')
            verb = rest.split(b' ')[0].upper()
            if verb == b'LOGOUT':
                one.sendall(b'* BYE\r\n' + tag + b' OK\r\n')
                return
            while re.search(rb'\{\d+\+?\}$', line.rstrip(b'\r\n')):
                if not line.rstrip(b'\r\n').endswith(b'+}'):
                    one.sendall(b'+ go on\r\n')
                line = lines.readline()
            if verb in (b'LOGIN', b'AUTHENTICATE'):
                if verb == b'AUTHENTICATE' and rest.count(b' ') == 1:
                    one.sendall(b'+ \r\n')
                    lines.readline()
                self.logins += 1
                self.open.add(one)
                one.sendall(tag + b' OK [CAPABILITY IMAP4rev1] welcome\r\n')
            elif verb == b'CAPABILITY':
                one.sendall(b'* CAPABILITY IMAP4rev1 SASL-IR LITERAL+ ID AUTH=PLAIN\r\n' + tag +
                            b' OK\r\n')
            else:
                one.sendall(tag + b' OK on ' + self.name.encode() + b'\r\n')

    def stop(self):
        self.listener.close()


class Front:
    def __init__(self, backends, more=''):
        self.dir = tempfile.mkdtemp(prefix='ringpost-control-')
        self.port, self.more, self.process = ports(2), more, None
        self.socket = os.path.join(self.dir, 'control')
        self.config = os.path.join(self.dir, 'ringpost.conf')
        self.log = os.path.join(self.dir, 'log')
        self.backends = backends
        hashed = subprocess.run(['openssl', 'passwd', '-5', '-salt', 'salt', 'pw'], text=True,
                                check=True, capture_output=True, timeout=30).stdout.strip()
        self.write('users.passwd', ''.join(f'u{i}@example.test:{hashed}\n' for i in range(USERS)),
                   0o600)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if sys.exc_info()[0] is not None and os.path.exists(self.log):
            with open(self.log, encoding='utf-8', errors='replace') as file:
                sys.stderr.write(file.read()[-4000:])
        shutil.rmtree(self.dir, ignore_errors=True)

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(path, mode)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam('nobody')
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
            os.chown(self.dir, nobody.pw_uid, nobody.pw_gid)

    def start(self, more=None):
        self.more = self.more if more is None else more
        user = 'user = "nobody";\n' if os.geteuid() == 0 else ''
        backends = ', '.join(f'{{ name = "{name}"; address = "127.0.0.1"; imap = {port}; }}'
                             for name, port in self.backends.items())
        self.write('ringpost.conf', (
            f'{user}host_name = "localhost";\ncores = 2;\ndrain_pace = "100ms";\n'
            f'drain_wait = "1s";\n'
            f'pools = ( {{ name = "store"; tls = "none"; health_interval = "1s"; '
            f'backends = ( {backends} ); }} );\n'
            f'domains = ( {{ name = "example.test"; users = "users.passwd"; pool = "store"; }} );\n'
            f'auth: {{ default_domain = "example.test"; }};\n'
            f'listeners = ( {{ protocol = "imap"; address = "127.0.0.1"; port = {self.port}; '
            f'plain_login = true; }} );\n'
            f'control: {{ socket = "{self.socket}"; }};\n{self.more}\n'))
        with open(self.log, 'ab') as out:
            self.log_from = out.tell()
            self.process = subprocess.Popen([RINGPOST, 'serve', '--config', self.config],
                                            stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        self.await_line('"event":"ready"')

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait(30) == 0, f'exit status {self.process.returncode}')

    def text(self):
        with open(self.log, encoding='utf-8', errors='replace') as file:
            file.seek(self.log_from)
            return file.read()

    def await_line(self, pattern, seconds=20):
        until = time.monotonic() + seconds
        while True:
            for line in self.text().split('\n'):
                if re.search(pattern, line):
                    return line
            check(self.process.poll() is None, f'the gateway ended: {self.process.poll()}')
            check(time.monotonic() < until, f'the log does not say {pattern}')
            time.sleep(0.05)

    def run(self, *words, status=0):
        """(standard output, standard error)"""
        result = subprocess.run([RINGPOST, *words, '--config', self.config], text=True,
                                capture_output=True, timeout=90)
        check(result.returncode == status, f'{words}: status {result.returncode}, '
              f'{result.stdout}{result.stderr}')
        return result.stdout, result.stderr

    def json(self, *words):
        return json.loads(self.run(*words, '--json')[0])

    def fails(self, *words, says):
        out, err = self.run(*words, status=1)
        check(says in err and out in ('', '[]\n'), f'{words}: {out!r} {err!r}')

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20)
        client.connect(self.socket)
        return client

    def ask(self, line):
        with self.connect() as client:
            client.sendall(line.encode() + b'\nQUIT\n')
            return [json.loads(row) for row in client.makefile('rb')][:-1]

    def lands(self, user, name, seconds=10):
        """He is on that backend soon; a log-in before is ended by the move."""
        until = time.monotonic() + seconds
        while True:
            with contextlib.suppress(imaplib.IMAP4.abort, OSError):
                if self.login(user)[1] == name:
                    return
            check(time.monotonic() < until, f'{user} does not land on {name}')

    def login(self, user):
        """(connection, the backend's name)"""
        imap = imaplib.IMAP4('127.0.0.1', self.port, timeout=60)
        imap.login(f'{user}@example.test', 'pw')
        return imap, imap.noop()[1][0].decode().split()[-1]


def test_no_gateway():
    """What is said when there is nobody, or no socket, to talk to."""
    with Front({'left': 1}) as front:
        front.stop()
        front.fails('backend', 'list', says='no gateway is running')
        front.fails('user', 'where', 'u1', '--json', says='no gateway is running')
        with open(front.config, encoding='utf-8') as file:
            text = file.read()
        front.write('ringpost.conf', re.sub('control: .*', '', text))
        front.fails('session', 'list', says='names no control socket')
        with socket.socket(socket.AF_UNIX) as mute, contextlib.suppress(OSError):
            os.unlink(front.socket)
            mute.bind(front.socket)
            mute.listen()
            front.write('ringpost.conf', text)
            threading.Thread(target=lambda: mute.accept()[0].sendall(b'220 hello\n'),
                             daemon=True).start()
            front.fails('backend', 'list', says='no gateway\'s control socket')
    for words in (['user', 'move', 'u1'], ['user', 'move', 'a', 'b', 'c'], ['backend', 'up'],
                  ['session', 'list', 'a', 'b'], ['backend', 'list', 'x'],
                  ['user', 'move', 'a', 'b', '--delay', '51']):
        result = subprocess.run([RINGPOST, *words, '--config', '/nowhere'], text=True,
                                capture_output=True, timeout=20)
        check(result.returncode == 2 and 'usage: ringpost ' + ' '.join(words[:2]) in result.stderr,
              f'{words}: {result.returncode} {result.stderr}')


def test_backends():
    """Listed, taken out and in, named wrongly; with backends where nobody listens."""
    with Front({'left': 1, 'right': 2, 'third': 3}) as front:
        rows = front.json('backend', 'list')
        check([(row['pool'], row['name'], row['state']) for row in rows] ==
              [('store', name, 'up') for name in NAMES], rows)
        front.await_line('"event":"backend_down".*third')
        front.await_line('"event":"backend_down".*left')
        out = front.run('backend', 'list')[0].splitlines()
        check(len(out) == 4 and out[0].startswith('POOL') and 'dead' in out[1], out)
        check(len({line.index(word) for line, word in zip(out, ('BACKEND', 'left', 'right',
                                                               'third'))}) == 1, 'not aligned')
        check('no new users' in front.run('backend', 'drain', 'left')[0], 'drain')
        check(front.json('backend', 'down', 'store/right', '--spread', '1') ==
              {'ok': True, 'sessions': 0}, 'down')
        check([row['state'] for row in front.json('backend', 'list')] == ['drain', 'down', 'up'],
              'states')
        front.run('backend', 'up', 'left')
        front.run('backend', 'up', 'right')
        check({row['state'] for row in front.json('backend', 'list')} == {'up'}, 'states')
        front.fails('backend', 'drain', 'rihgt', says='there is no backend rihgt; did you mean '
                                                      'right?')
        front.fails('backend', 'down', 'nothing-like-it', says='BACKENDS lists them')
        front.fails('user', 'move', 'u1@elsewhere.test', 'left', says='no pool has the users')
        check(front.json('session', 'list') == [], 'no sessions')
        check(front.run('session', 'list')[0].startswith('ID '), 'an empty table has its titles')
        where = front.json('user', 'where', 'u1')
        check(where['user'] == 'u1@example.test' and where['current'] == '' and
              where['sessions'] == 0, where)
        check('by the pool\'s choice' in front.run('user', 'where', 'U1@Example.Test')[0], 'where')
        front.await_line('"event":"backend_will".*"left".*drain')
        front.stop()


def test_strangers(): # N01
    """Only root and the gateway's own user may command it."""
    with Front({'left': 1}) as front:
        check(os.stat(front.socket).st_mode & 0o777 == 0o600, 'the socket is for its owner')
        if os.geteuid() == 0:
            os.chmod(front.dir, 0o755)
            result = subprocess.run(['nc', '-U', front.socket], user='daemon', input='BACKENDS\n',
                                    capture_output=True, text=True, timeout=20)
            check(result.returncode != 0 and result.stdout == '' and 'ermission' in result.stderr,
                  f'a stranger: {result.stdout} {result.stderr}')
        front.stop()


def test_hostile(): # N03
    """Nonsense on the socket, and a thousand connections, hurt nobody."""
    with Front({'left': 1}) as front:
        for junk in (b'\0' * 100000, b'x' * 2000000, bytes(range(256)) * 100,
                     b'SESSIONS ' + b'9' * 900 + b'\n', b'MOVE\r\r\n', b'GET / HTTP/1.1\r\n\r\n',
                     b'\n' * 50000, b'{"json": true}\n' * 1000):
            with front.connect() as client, contextlib.suppress(OSError):
                client.sendall(junk)
                client.shutdown(socket.SHUT_WR)
                for line in client.makefile('rb'):
                    check('error' in json.loads(line), f'{junk[:20]}: {line}')
        held, refused = [], 0
        for i in range(1000):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(20)
            client.connect(front.socket)
            with contextlib.suppress(BrokenPipeError): # was refused already
                client.sendall(b'BACKENDS\n' if i % 2 else b'BACK')
            held.append(client)
        for client in held[64:]:
            with contextlib.suppress(OSError):
                refused += b'too many connections' in client.recv(1000)
        check(refused >= 900, f'{refused} of 936 were refused')
        front.fails('backend', 'list', says='too many connections')
        for client in held:
            client.close()
        until = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError):
                if front.ask('BACKENDS')[-1:] == [{'ok': True, 'rows': 1}]:
                    break
            check(time.monotonic() < until, 'the socket does not come back')
            time.sleep(0.1)
        front.stop()


@contextlib.contextmanager
def field(more=''):
    backends = [Backend(name) for name in NAMES]
    with Front({backend.name: backend.port for backend in backends}, more) as front:
        front.of = {backend.name: backend for backend in backends}
        yield front
    for backend in backends:
        backend.stop()


def test_sessions():
    """Listed by all and by one, ended by user and by id."""
    with field() as front:
        held = [front.login(f'u{i % 20}') for i in range(60)]
        check(len({name for _, name in held}) == 3, 'users are on all backends')
        rows = front.json('session', 'list')
        check(len(rows) == 60 and {row['core'] for row in rows} == {0, 1}, len(rows))
        for i, (_, name) in enumerate(held):
            check(sum(row['user'] == f'u{i % 20}@example.test' and row['backend'] == name
                      for row in rows) == 3, f'u{i % 20}')
        check(len(front.json('session', 'list', 'u7')) == 3, 'of one user')
        check(len(front.json('session', 'list', '--limit', '7')) == 7, 'a limit')
        table = front.run('session', 'list', 'u7@example.test')[0].splitlines()
        check(len(table) == 4 and 'store/' + held[7][1] in table[1], table)
        counts = {row['name']: row['sessions'] for row in front.json('backend', 'list')}
        check(counts == {name: sum(on == name for _, on in held) for name in NAMES}, counts)
        check(front.json('session', 'kick', 'u7') == {'ok': True, 'sessions': 3}, 'kick')
        check('1 sessions ended' in front.run('session', 'kick', rows[0]['id'])[0]
              if rows[0]['user'] != 'u7@example.test' else True, 'kick by id')
        front.await_line('"user":"u7@example.test".*closed by the operator')
        check(front.json('session', 'list', 'u7') == [], 'gone')
        front.stop()


def test_drain():
    """A backend that drains keeps its users and gets no new ones; one that is down has none."""
    with field() as front:
        imap, name = front.login('u1')
        front.run('backend', 'drain', name)
        more, where = front.login('u1')
        check(where == name, 'a user with sessions stays')
        on = {front.login(f'u{i}')[1] for i in range(2, USERS)}
        check(name not in on and len(on) == 2, f'new users are on {on}')
        began = time.monotonic()
        out = front.run('backend', 'down', name, '--spread', '2')
        check('no session is left' in out[0], out)
        check(time.monotonic() - began < 8, 'the spread was 2 s')
        for client in (imap, more):
            with contextlib.suppress(imaplib.IMAP4.abort, OSError):
                client.noop()
                check(False, 'the session goes on')
        check(front.login('u1')[1] != name, 'nobody is on it')
        front.run('backend', 'up', name)
        front.stop()


def other_than(name):
    return NAMES[(NAMES.index(name) + 1) % 3]


def test_move():
    """A moved user's sessions end before he is let in elsewhere, and he stays there."""
    with field() as front:
        imap, name = front.login('u1')
        other = other_than(name)
        result = {}

        def again():
            time.sleep(0.7)
            began = time.monotonic()
            result['name'] = front.login('u1')[1]
            result['waited'] = time.monotonic() - began
        client = threading.Thread(target=again)
        client.start()
        check(f'u1 is on {other} now' in front.run('user', 'move', 'u1', other, '--delay', '3')[0],
              'move')
        client.join(30)
        check(result.get('name') == other, result)
        check(result['waited'] > 1, f'a log-in did not wait: {result}')
        with contextlib.suppress(imaplib.IMAP4.abort, OSError):
            imap.noop()
            check(False, 'the old session goes on')
        where = front.json('user', 'where', 'u1')
        check(where['exception'] == f'store/{other}' and where['current'] == f'store/{other}' and
              where['hashed'] == f'store/{name}' and where['sessions'] == 1, where)
        front.fails('user', 'move', 'u1', 'lefd', says='did you mean store/left?')
        check('u1 is where the pool puts him' in front.run('user', 'forget', 'u1')[0], 'forget')
        front.run('user', 'delay', 'u1', '2')
        began = time.monotonic()
        front.login('u1')
        check(time.monotonic() - began > 1, 'the log-in did not wait')
        front.stop()


def test_file():
    """Moved users survive a restart, follow the file, and mistakes in it change nothing."""
    with field('proxy: { exceptions = "file:exceptions"; };') as front:
        name = front.login('u1')[1]
        other, path = other_than(name), os.path.join(front.dir, 'exceptions')
        front.run('user', 'move', 'u1', other, '--delay', '0')
        with open(path, encoding='utf-8') as file:
            check(file.read() == f'u1@example.test store/{other}\n', 'the file')
        front.stop()
        front.start()
        check(front.login('u1')[1] == other, 'it did not survive')
        front.write('exceptions', f'# by hand\nu1@example.test {name}\n')
        front.lands('u1', name)
        front.write('exceptions', f'u1@example.test {other}\nu2@example.test\n')
        front.await_line('"event":"exceptions".*"line":2')
        check(front.login('u1')[1] == name, 'half of a bad file was taken')
        front.fails('user', 'move', 'u3', 'left', says='the file of exceptions has mistakes')
        front.write('exceptions', '# nobody\n')
        front.await_line('"event":"exceptions".*"users":0')
        front.run('user', 'move', 'u1', other, '--delay', '0')
        front.run('user', 'forget', 'u1')
        with open(path, encoding='utf-8') as file:
            check(file.read() == '# nobody\n', 'the comment stays, the user goes')
        front.stop()
        front.write('exceptions', 'nonsense\n')
        try:
            front.start()
            check(False, 'it starts with a file that it cannot read')
        except AssertionError as error:
            check('ended' in str(error), error)
        check('"line":1' in front.text(), 'the log names the line')


class Redis:
    def __init__(self, folder, *options, login=()):
        program = shutil.which('redis-server') or os.path.join(SAMPLES, 'usr/bin/redis-server')
        if not os.path.exists(program):
            print('left out: there is no redis-server')
            sys.exit(0)
        library = os.path.join(SAMPLES, 'usr/lib', os.uname().machine + '-linux-gnu')
        self.environment = {**os.environ, 'LD_LIBRARY_PATH': library}
        self.program, self.folder, self.port, self.process = program, folder, ports(12) + 11, None
        self.options, self.login = options, login

    def start(self):
        self.process = subprocess.Popen(
            [self.program, '--port', str(self.port), '--bind', '127.0.0.1', '--dir', self.folder,
             '--save', '60', '1', '--daemonize', 'no', *self.options], env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError):
                if self('PING') == '+PONG':
                    return
            check(time.monotonic() < until, 'redis-server does not answer')
            time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def __call__(self, *words):
        """The first line of the answer; a text's own line."""
        with socket.create_connection(('127.0.0.1', self.port), 5) as client:
            lines = client.makefile('rb')
            for said in (self.login, words):
                if said:
                    client.sendall(b'*%d\r\n' % len(said) + b''.join(
                        b'$%d\r\n%s\r\n' % (len(word.encode()), word.encode()) for word in said))
                if said is self.login and said:
                    check(lines.readline() == b'+OK\r\n', 'AUTH')
            line = lines.readline().decode().rstrip()
            return lines.readline().decode().rstrip() if line[0] == '$' and line != '$-1' else line


def test_redis_password():
    """A Redis that asks who one is: the default user's password, and another's; a wrong one is told
    and changes nothing."""
    folder = tempfile.mkdtemp(prefix='ringpost-redis-')
    os.chmod(folder, 0o755)
    secret = os.path.join(folder, 'secret')
    redis = Redis(folder, '--requirepass', 'the default', '--user',
                  'gate', 'on', '>word', '~ringpost:*', '+@all', login=('AUTH', 'the default'))
    redis.start()
    try:
        for who, right in (('', 'the default'), ('gate@', 'word')):
            redis('DEL', 'ringpost:exceptions')
            more = (f'proxy: {{ exceptions = "redis://{who}127.0.0.1:{redis.port}/0"; '
                    f'exceptions_password_file = "{secret}"; }};')
            write_secret(secret, 'wrong\n')
            with field(more) as front:
                front.await_line('"event":"exceptions","level":"warning".*Permission denied')
                _, name = front.login('u1')
                front.fails('user', 'move', 'u1', other_than(name), says='cannot be kept')
                check('wrong' not in front.text(), 'a password in the log')
                front.stop()
                write_secret(secret, right + '\n')
                front.start()
                _, name = front.login('u1')
                other = other_than(name)
                front.run('user', 'move', 'u1', other)
                kept = redis('HGET', 'ringpost:exceptions', 'u1@example.test')
                check(kept == f'store/{other}', kept)
                check(front.login('u1')[1] == other, 'not moved')
                front.stop()
    finally:
        redis.process.kill()
        redis.process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def write_secret(path, text):
    with open(path, 'w', encoding='ascii') as file:
        file.write(text)
    os.chmod(path, 0o600)
    if os.geteuid() == 0:
        shutil.chown(path, 'nobody')


def test_redis():
    """Two gateways share moved users; a Redis that is away changes nothing."""
    folder = tempfile.mkdtemp(prefix='ringpost-redis-')
    redis = Redis(folder)
    redis.start()
    try:
        more = f'proxy: {{ exceptions = "redis://127.0.0.1:{redis.port}/0"; }};'
        with field(more) as one, Front(one.backends, more) as two:
            imap, name = one.login('u1')
            other = other_than(name)
            two_imap, two_name = two.login('u1')
            check(two_name == name, 'two gateways do not agree')
            one.run('user', 'move', 'u1', other, '--delay', '3')
            kept = redis('HGET', 'ringpost:exceptions', 'u1@example.test')
            check(kept == f'store/{other}', kept)
            two.await_line('"event":"exceptions".*"changed":1')
            two.await_line('"user":"u1@example.test".*closed by the operator')
            check(two.login('u1')[1] == other and one.login('u1')[1] == other, 'not moved')
            redis('HSET', 'ringpost:exceptions', 'u2@example.test', 'third')
            one.await_line('"event":"exceptions".*"users":2')
            check(one.login('u2')[1] == 'third', 'a user moved in Redis')
            redis.stop()
            one.await_line('"event":"exceptions","level":"warning"')
            check(one.login('u1')[1] == other, 'what is known stays')
            one.fails('user', 'move', 'u3', 'left', says='cannot be kept')
            time.sleep(3)
            check(one.text().count('"event":"exceptions","level":"warning"') == 1, 'said once')
            redis.start()
            one.await_line('"event":"exceptions".*available again')
            one.run('user', 'forget', 'u1')
            check(redis('HGET', 'ringpost:exceptions', 'u1@example.test') == '$-1', 'forgotten')
            two.await_line('"event":"exceptions".*"users":1')
            redis('HSET', 'ringpost:exceptions', 'Not A User', 'left')
            redis('HSET', 'ringpost:exceptions', 'u4@example.test', 'left')
            one.await_line('"event":"exceptions".*"mistakes":1')
            time.sleep(2.5)
            check(one.text().count('"mistakes":1') == 1, 'mistakes are said once')
            check(one.json('user', 'where', 'u4')['exception'] == '', 'not half of it')
            redis('HDEL', 'ringpost:exceptions', 'Not A User')
            one.await_line('"event":"exceptions".*"users":2')
            redis.stop()
            two.stop()
            two.start() # a Redis that is not there does not keep it from starting
            two.login('u3')
            redis.start()
            two.await_line('"event":"exceptions".*"users":2')
            check(two.login('u2')[1] == 'third', 'read when it came')
            one.stop()
            two.stop()
    finally:
        redis.process.kill()
        redis.process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    tests = {name[5:]: test for name, test in globals().items() if name.startswith('test_')}
    for name in sys.argv[1:] or tests:
        began = time.monotonic()
        tests[name]()
        print(f'{name}: ok, {time.monotonic() - began:.1f} s')


if __name__ == '__main__':
    main()
