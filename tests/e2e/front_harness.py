# SPDX-License-Identifier: GPL-2.0-or-later
"""What the scripts of the front share: Dovecot instances of their own as the mail store
(bench/peers says how they are run without being installed), a gateway before them, certificates,
and clients whose words are the test's own.

    with Field(('left', 'right')) as field:
        field.serve(pool='tls = "start"; ...')
        imap = field.imap('u1')

Each mailbox on each backend holds one message whose subject says whose it is and where:
"of u1 on left". So a session that sees another's mailbox is told by what it reads.
"""
import contextlib
import imaplib
import json
import os
import poplib
import pwd
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import time

from harness import RINGPOST, check, first_free

HERE = os.path.dirname(os.path.abspath(__file__))
PREFIX = os.environ.get('RINGPOST_PREFIX') or os.path.expanduser('~/.cache/ringpost/prefix')
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, '..', '..', 'bench', 'peers'))
import peer as peers
import process

PORTS = range(20000, 22900, 60)
START_SECONDS_MAX = 20


def free_ports(count):
    """The first of so many neighbouring ports that are free just now."""
    return first_free(PORTS, range(count))


class Authority:
    """Certificates for `localhost` and 127.0.0.1, in PEM, from an authority of its own."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder)
        self.file = os.path.join(folder, 'authority.pem')
        with open(os.path.join(folder, 'extensions'), 'w', encoding='ascii') as file:
            file.write('basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n'
                       'extendedKeyUsage=serverAuth\n'
                       'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
        self.openssl('req', '-x509', *self.KEY, '-keyout', 'authority.key', '-out',
                     'authority.pem', '-days', '90', '-subj', '/CN=An authority for tests')

    KEY = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes')

    def openssl(self, *words):
        subprocess.run(['openssl', *words], check=True, capture_output=True, cwd=self.folder,
                       timeout=60)

    def issue(self, folder):
        """certificate.pem and key.pem in that folder; its SHA-256 in hexadecimal digits."""
        key, certificate = (os.path.join(folder, name) for name in ('key.pem', 'certificate.pem'))
        self.openssl('req', *self.KEY, '-keyout', key, '-out', 'request.pem', '-subj',
                     '/CN=localhost')
        self.openssl('x509', '-req', '-in', 'request.pem', '-CA', 'authority.pem', '-CAkey',
                     'authority.key', '-CAcreateserial', '-extfile', 'extensions', '-days', '80',
                     '-out', certificate)
        os.chmod(key, 0o600)
        der = subprocess.run(['openssl', 'x509', '-in', certificate, '-outform', 'DER'],
                             check=True, capture_output=True, timeout=60).stdout
        return subprocess.run(['openssl', 'dgst', '-sha256', '-r'], input=der, check=True,
                              capture_output=True, timeout=60).stdout.split()[0].decode()


class Store(peers.Dovecot):
    """A Dovecot with users u0 ... @example.test, whose passwords are "pw", and the master user
    "front", whose is "key"."""

    TEMPLATE = os.path.join(HERE, 'front_dovecot.conf')
    GREETS = ('imap', 'pop3', 'lmtp', 'sieve')
    PORTS = {name: offset for offset, name in enumerate((
        'imap', 'imaps', 'imap_proxied', 'pop3', 'pop3s', 'pop3_proxied', 'sieve', 'lmtp',
        'lmtp_proxied'))}

    def __init__(self, ground, name, first_port, authority, users):
        self.name, self.authority, self.users = name, authority, users
        super().__init__(ground)
        self.ports = {protocol: first_port + offset for protocol, offset in self.PORTS.items()}
        self.pin = None

    def prepare(self):
        if not os.path.isdir(os.path.join(self.dir, 'mail')):
            super().prepare()
            users = [f'u{i}@example.test:pw::::::' for i in range(self.users)]
            for name, lines in (('users', users), ('masters', ['front:key'])):
                with open(os.path.join(self.dir, name), 'w', encoding='ascii') as file:
                    file.write('\n'.join(lines) + '\n')
        if self.pin is None or self.authority.renewed:
            self.pin = self.authority.issue(self.dir)
            for name in ('certificate.pem', 'key.pem'):
                shutil.copy(os.path.join(self.dir, name), os.path.join(self.dir, 'own-' + name))
        for name in ('certificate.pem', 'key.pem'): # start() has put the suite's there
            shutil.copy(os.path.join(self.dir, 'own-' + name), os.path.join(self.dir, name))

    def pids(self):
        return [pid for pid in process.descendants(self.process.pid) if pid != self.process.pid]

    def stop_answering(self):
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGSTOP)

    def go_on(self):
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)

    def said_in(self, pattern, seconds=5):
        """The first line of its log that matches; waited for, since it writes at leisure."""
        until = time.monotonic() + seconds
        while True:
            with open(os.path.join(self.dir, 'info'), encoding='utf-8', errors='replace') as file:
                for line in file:
                    if re.search(pattern, line):
                        return line
            check(time.monotonic() < until, f'{self.name} does not log {pattern}')
            time.sleep(0.05)


def mark(store):
    """Everybody's message that says whose it is and where."""
    with smtplib.LMTP('127.0.0.1', store.ports['lmtp'], timeout=30) as lmtp:
        for user in range(store.users):
            lmtp.sendmail('', [f'u{user}@example.test'], (
                f'From: a@example.org\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: '
                f'<{user}@example.org>\r\nSubject: of u{user} on {store.name}\r\n\r\nx\r\n'))


class Field:
    """The stores, and one gateway before them that is started anew with each config."""

    GATEWAY_PORTS = ('imap', 'imaps', 'pop3', 'sieve', 'lmtp', 'smtp', 'admin')

    def __init__(self, names=('left', 'right'), users=40, kind=Store):
        self.users, self.process, self.stores = users, None, {}
        width = len(kind.PORTS)
        base = free_ports(len(self.GATEWAY_PORTS) + width * len(names) + 1)
        self.spare_port = base + len(self.GATEWAY_PORTS) + width * len(names)
        self.ports = {name: base + offset for offset, name in enumerate(self.GATEWAY_PORTS)}
        self.ground = peers.Ground(None, base, PREFIX, RINGPOST)
        self.dir = self.ground.path('front')
        os.makedirs(self.dir)
        self.authority = Authority(self.ground.path('authority'))
        self.authority.renewed = False
        for index, name in enumerate(names):
            first = base + len(self.GATEWAY_PORTS) + width * index
            self.stores[name] = kind(self.ground, name, first, self.authority, users)
        self.log = os.path.join(self.dir, 'gateway.log')
        self.config = os.path.join(self.dir, 'ringpost.conf')

    def __enter__(self):
        try:
            for store in self.stores.values():
                problem = store.problem()
                if problem:
                    print(f'{store.name}: {problem}')
                    sys.exit(77)
                store.start()
                mark(store)
            self.authority.issue(self.dir)
            self.write('authority.pem', open(self.authority.file, encoding='ascii').read())
            self.write('master', 'key\n', 0o600)
            hashed = subprocess.run(['openssl', 'passwd', '-5', '-salt', 'salt', 'pw'], text=True,
                                    check=True, capture_output=True, timeout=30).stdout.strip()
            self.write('users.passwd', ''.join(f'u{user}@example.test:{hashed}\n'
                                               for user in range(self.users)), 0o600)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        with contextlib.suppress(Exception):
            self.stop()
        for store in self.stores.values():
            with contextlib.suppress(Exception):
                store.go_on()
                store.stop(signal.SIGKILL)
        if sys.exc_info()[0] is not None and sys.exc_info()[0] is not SystemExit:
            for path in [self.log] + [os.path.join(store.dir, name)
                                      for store in self.stores.values() for name in ('log',)]:
                with contextlib.suppress(OSError), open(path, encoding='utf-8',
                                                        errors='replace') as file:
                    sys.stderr.write(f'--- {path}\n{file.read()[-3000:]}\n')
        self.ground.close()

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(path, mode)

    # --- the gateway

    def config_text(self, pool, backends=None, domain=None, more='', listener=''):
        """backends: text of the list's entries; else the stores by their ports. domain: keys of
        the domain besides name and pool."""
        if backends is None:
            backends = ', '.join(self.backend(name) for name in self.stores)
        if domain is None:
            domain = 'users = "users.passwd";'
        listeners = ',\n  '.join(
            f'{{ protocol = "{protocol.removesuffix("s")}"; address = "127.0.0.1"; '
            f'port = {self.ports[protocol]}; {listener} {tls} }}' for protocol, tls in (
                ('imap', 'plain_login = true;'), ('imaps', 'tls = "implicit";'),
                ('pop3', 'plain_login = true;'), ('sieve', 'plain_login = true;'), ('lmtp', ''),
                ('smtp', ''))
            if f' {"lmtp" if protocol == "smtp" else protocol.removesuffix("s")} = ' in
            backends) # others are a mistake
        user = 'user = "nobody";\n' if os.geteuid() == 0 else ''
        return (f'{user}host_name = "localhost";\ncores = 2;\ndrain_pace = "100ms";\n'
                f'drain_wait = "1s";\n'
                f'pools = ( {{ name = "store"; {pool}\n  backends = ( {backends} ); }} );\n'
                f'domains = ( {{ name = "example.test"; pool = "store"; {domain} }} );\n'
                f'auth: {{ default_domain = "example.test"; failure_delay_first = "100ms"; '
                f'failure_delay = "200ms"; }};\n'
                f'tls: {{ certificates = ( {{ certificate = "certificate.pem"; key = "key.pem"; }}'
                f' ); }};\n'
                f'listeners = (\n  {listeners}\n);\n'
                f'admin: {{ address = "127.0.0.1"; port = {self.ports["admin"]}; }};\n{more}\n')

    def backend(self, name, more='', **ports):
        """An entry of `backends`. ports: imap='imaps' takes that port of the store instead."""
        store = self.stores[name]
        of = {'imap': 'imap', 'pop3': 'pop3', 'sieve': 'sieve', **ports}
        return (f'{{ name = "{name}"; address = "127.0.0.1"; host = "localhost"; ' +
                ''.join(f'{protocol} = {store.ports[port]}; ' for protocol, port in of.items()
                        if port) + more + ' }')

    def own(self):
        """Everything belongs to whom the gateway becomes."""
        if os.geteuid() != 0:
            return
        nobody = pwd.getpwnam('nobody')
        for folder, _, files in os.walk(self.dir):
            for name in [folder] + [os.path.join(folder, name) for name in files]:
                os.chown(name, nobody.pw_uid, nobody.pw_gid)

    def serve(self, pool, **config):
        """Starts the gateway, or starts it anew, with this config."""
        self.serve_text(self.config_text(pool, **config))

    def serve_text(self, text):
        self.stop()
        self.write('ringpost.conf', text)
        self.own()
        with open(self.log, 'ab') as out:
            self.log_from = out.tell()
            self.process = subprocess.Popen([RINGPOST, 'serve', '--config', self.config],
                                            stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                            preexec_fn=process.die_with_parent)
        self.await_line(lambda line: line.get('event') == 'ready', START_SECONDS_MAX)

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = 'no end'
        self.process = None
        check(code == 0, f'exit status {code} after SIGTERM')

    def reload(self, pool, **config):
        self.write('ringpost.conf', self.config_text(pool, **config))
        self.own()
        count = len(self.lines())
        self.process.send_signal(signal.SIGHUP)
        line = self.await_line(lambda line: line.get('event') == 'reload', after=count)
        check(str(line.get('result', '')).startswith('taken'), f'reload: {self.lines()[count:]}')

    def lines(self):
        """Log lines of this life of the gateway."""
        with open(self.log, encoding='utf-8', errors='replace') as file:
            file.seek(self.log_from)
            return [json.loads(line) for line in file if line.startswith('{') and
                    line.endswith('}\n')]

    def await_line(self, wanted, seconds=10, after=0):
        until = time.monotonic() + seconds
        while True:
            for line in self.lines()[after:]:
                if wanted(line):
                    return line
            check(self.process.poll() is None, f'the gateway ended: {self.process.poll()}')
            check(time.monotonic() < until, f'the log does not say it: {self.lines()[after:]}')
            time.sleep(0.02)

    def session_line(self, user, **more):
        """The line at the end of that user's newest session."""
        def wanted(line):
            return line.get('event') == 'session' and \
                line.get('user') in (user, f'{user}@example.test') and \
                all(line.get(key) == value for key, value in more.items())
        self.await_line(wanted)
        return [line for line in self.lines() if wanted(line)][-1]

    # --- clients

    def imap(self, user, password='pw', source=None, port='imap'):
        imap = self.connect_imap(source, port)
        imap.login(f'{user}@example.test', password)
        return imap

    def connect_imap(self, source=None, port='imap'):
        return Imap('127.0.0.1', self.ports[port], source)

    def pop3(self, user, password='pw'):
        pop3 = poplib.POP3('127.0.0.1', self.ports['pop3'], timeout=30)
        pop3.user(f'{user}@example.test')
        pop3.pass_(password)
        return pop3

    def talk(self, port='imap'):
        return Talk(self.ports[port])


class Imap(imaplib.IMAP4):
    """imaplib from an address of ours."""

    def __init__(self, host, port, source=None):
        self.source = source
        super().__init__(host, port, timeout=30)

    def _create_socket(self, timeout):
        return socket.create_connection((self.host, self.port), timeout,
                                        (self.source, 0) if self.source else None)


class Talk:
    """A client whose every byte is the test's."""

    def __init__(self, port, seconds=20):
        self.socket = socket.create_connection(('127.0.0.1', port), seconds)
        self.file = self.socket.makefile('rb')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        return self.file.readline()

    def until(self, begins):
        """Lines up to the one that begins so; b'' in it when the connection ended."""
        found = []
        while True:
            found.append(self.line())
            if found[-1].startswith(begins) or found[-1] == b'':
                return found

    def rest(self):
        """All that still comes."""
        with contextlib.suppress(ConnectionError):
            return self.file.read()
        return b''


def marker(imap):
    """(user, backend) that the marker in the INBOX names."""
    status, data = imap.select('INBOX', readonly=True)
    check(status == 'OK', f'SELECT: {status} {data}')
    data = imap.fetch('1', '(BODY.PEEK[HEADER.FIELDS (SUBJECT)])')[1]
    return of_marker(data[0][1])


def of_marker(text):
    found = re.search(rb'Subject: of (u\d+) on (\w+)', text)
    check(found, f'no marker: {text!r}')
    return found.group(1).decode(), found.group(2).decode()


def failure(field, user, password='pw', port='imap'):
    """The text of the refusal of a log-in that must fail."""
    try:
        client = field.imap(user, password) if port == 'imap' else field.pop3(user, password)
    except (imaplib.IMAP4.error, poplib.error_proto) as error:
        return str(error)
    where = marker(client) if port == 'imap' else client.stat()
    raise AssertionError(f'{user} is logged in: {where}')
