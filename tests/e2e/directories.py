#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The kinds of directories against real servers: SQLite files, PostgreSQL, slapd, Python's HTTP
server, started here in a fresh directory, as user `nobody` when this runs as root, on ports of
127.0.0.1 from 24300 on; and against servers that are silent, talk nonsense, or are not there.

A server that is not installed is left out, and said so; without any the test is skipped. The rows
of the list of bad inputs are named by their id.

tidy: long because each kind is asked the same, and what they share is half of it.

usage: RINGPOST_BUILD=build/gcc tests/e2e/directories.py [KIND]...
"""
import base64
import contextlib
import glob
import http.server
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

BUILD = os.environ.get('RINGPOST_BUILD') or sys.exit('RINGPOST_BUILD must name a build directory')
ASK = os.path.join(BUILD, 'tests/unit/directory_ask')
UNPACKED = os.environ.get('RINGPOST_SAMPLES', '')
HASH = '$5$rounds=1000$salt$CCvcOM6b7TEJDPb37Aec/9UpOg4QhPNAxPpL9ZzjTB7'
ODD = ["';drop%20table%20users;--@x.test", '*)(uid=*@x.test', '*@x.test', 'a%00b@x.test',
       'an*@x.test', '%5c2a@x.test', 'ann@x.test%0d%0aAuth-Status:%20OK', 'ann@x.test)(|(mail=*)',
       'u%cc%88@x.test', "ann@x.test'%20or%20'1'='1", '$(id)@x.test', 'ann%25@x.test', '@', 'ann']
ports = iter(range(24300, 24400))
checks = 0


def check(condition, *what):
    global checks
    checks += 1
    if not condition:
        print('FAILED:', *what)
        raise SystemExit(1)


def port():
    while True:
        number = next(ports)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(('127.0.0.1', number))
                return number


class Ask:
    """The program that opens one directory and asks it."""

    def __init__(self, kind, **options):
        arguments = [f'{key}={value}' for key, value in options.items() if value is not None]
        self.process = subprocess.Popen([ASK, kind] + arguments, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, errors='replace')
        self.opened = self.process.stdout.readline().rstrip('\n')

    def __enter__(self):
        check(self.opened == '0 ', 'open:', self.opened)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        check(self.process.wait(20) == 0, 'the program ended with', self.process.returncode)

    def __call__(self, question):
        self.process.stdin.write(question + '\n')
        self.process.stdin.flush()
        answer, _, took = self.process.stdout.readline().rstrip('\n').partition('\t')
        check(took != '', 'no answer to', question, answer)
        self.took = int(took)
        return answer

    def expect(self, question, begins):
        answer = self(question)
        check(answer.startswith(begins), f'{question!r}: {answer!r}, not {begins!r}')
        return answer


def refused(kind, begins, **options):
    ask = Ask(kind, **options)
    ask.process.stdin.close()
    ask.process.wait(20)
    check(ask.opened.startswith('-') and begins in ask.opened, kind, options, ask.opened)


def unprivileged():
    return {'user': 'nobody', 'group': 'nogroup', 'extra_groups': []} if os.getuid() == 0 else {}


def run(*command, **more):
    result = subprocess.run(command, capture_output=True, text=True, **unprivileged(), **more)
    check(result.returncode == 0, command, result.stdout, result.stderr)
    return result.stdout


def wait_for(number):
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', number), 1):
            return
        time.sleep(0.05)
    check(False, 'nothing listens at', number)


@contextlib.contextmanager
def odd_server(talk):
    """A server that accepts and does not speak the protocol: says `talk` (None: nothing)."""
    number = port()
    listener = socket.create_server(('127.0.0.1', number), backlog=32)
    held = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                held.append(client)
                if talk is not None:
                    with contextlib.suppress(OSError):
                        client.sendall(talk)
                        client.shutdown(socket.SHUT_WR)
    threading.Thread(target=serve, daemon=True).start()
    try:
        yield number
    finally:
        listener.close()
        for client in held:
            client.close()


def unavailable(kind, options):
    """A11: silent, closed, absent, nonsense: "not available" each time, and in time."""
    for talk in (None, b'', b'HTTP/1.0 999 ' + b'x' * 100, b'\0' * 5000, b'0\x84\xff\xff\xff\xff',
                 b'N' * 3):
        with odd_server(talk) as number, Ask(kind, **options(number), timeout=600) as ask:
            for question in ('login ann@x.test secret', 'lookup ann@x.test'):
                ask.expect(question, 'EAGAIN ')
                check(ask.took < 2500, kind, talk, 'took', ask.took)
            ask.expect('together 8 ann@x.test secret', 'EAGAIN ')
            check(ask.took < 3500, kind, talk, 'took', ask.took)
    with Ask(kind, **options(port()), timeout=600) as ask:
        ask.expect('login ann@x.test secret', 'EAGAIN ')


def certificate(folder):
    run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
        '-days', '2', '-subj', '/CN=localhost', '-addext',
        'subjectAltName=IP:127.0.0.1,DNS:localhost', '-keyout', folder + '/key.pem', '-out',
        folder + '/certificate.pem')
    return folder + '/certificate.pem'


# --- SQLite ---------------------------------------------------------------------------------------

SCHEMA = """create table users (name text, hash text, nets text, off {flag}, quota text);
insert into users values ('ann@x.test', '{hash}', '192.0.2.0/24', null, '7');
insert into users values ('bob@x.test', '{hash}', null, {yes}, null);
insert into users values ('two@x.test', '{hash}', null, null, null);
insert into users values ('two@x.test', '{hash}', null, null, null);
insert into users values ('none@x.test', null, null, {no}, null);"""
ANN = f'0 user= secret={HASH} networks=192.0.2.0/24 | quota=7'


def sql_answers(ask):
    ask.expect('lookup ann@x.test', ANN)
    ask.expect('lookup bob@x.test', f'0 user= secret={HASH} networks= disabled | ')
    ask.expect('lookup none@x.test', '0 user= secret= networks= | ')
    ask.expect('lookup nobody@x.test', 'ENOENT')
    ask.expect('lookup two@x.test', 'EAGAIN the query answers more than one row')
    for name in ODD:  # A04
        ask.expect('lookup ' + name, 'ENOENT')
    ask.expect('together 16 ann@x.test x', ANN)
    ask.expect('lookup ann@x.test', ANN)


def test_sqlite(folder):
    file = folder + '/users.sqlite'
    query = 'select hash as password, nets as allow_nets, off as disabled, quota from users'
    named = query + ' where name = :user'
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.executescript(SCHEMA.format(hash=HASH, flag='int', yes=1, no=0))
        with Ask('sqlite', file=file, query=named) as ask:
            sql_answers(ask)
            database.isolation_level = None
            database.execute('begin exclusive')
            threading.Timer(0.5, lambda: None).start()
            began = time.time()
            ask.expect('lookup ann@x.test', 'EAGAIN SQLite: database is locked')
            check(time.time() - began < 10, 'waited too long for the lock')
            database.execute('rollback')
            ask.expect('lookup ann@x.test', ANN)
            os.rename(file, file + '.old')
            ask.expect('lookup ann@x.test', 'EAGAIN SQLite')
            with open(file, 'wb') as damaged:
                damaged.write(b'x' * 8192)
            ask.expect('lookup ann@x.test', 'EAGAIN SQLite')
            os.rename(file + '.old', file)
            ask.expect('lookup ann@x.test', ANN)
    with Ask('sqlite', file=file, query=query + " where name = :local || '@' || :domain") as ask:
        sql_answers(ask)
    routed = "select 'h' as host, 993 as Port, 'b' as backend_user, 's=1' as pass, :user as x"
    with Ask('sqlite', file=file, query=routed) as ask:  # for a backend
        ask.expect('lookup ann@x.test', '0 user= secret= networks= | '
                   'host=h Port=993 user=b pass=s=1 x=ann@x.test ')
    odd = "select 'A@B.test' as USER, :user as a, char(1) as b"
    with Ask('sqlite', file=file, query=odd) as ask:
        ask.expect('lookup ann@x.test', '0 user=A@B.test secret= networks= | a=ann@x.test b=  ')
    endless = 'with recursive n(i) as (select 1 union all select i + 1 from n) select i from n' \
              ' where i < 0 and :user > 0'
    with Ask('sqlite', file=file, query=endless) as ask:
        ask.expect('lookup ann@x.test', 'EAGAIN SQLite: interrupted')
        check(ask.took < 10000, 'took', ask.took)
    with Ask('sqlite', file=file, query="select hex(zeroblob(2000)) as password, :user") as ask:
        ask.expect('lookup ann@x.test', 'EAGAIN the value is too long')
    refused('sqlite', 'only read', file=file, query="delete from users where name = :user")
    refused('sqlite', 'one statement', file=file, query=named + '; drop table users')
    refused('sqlite', 'parameter', file=file, query='select :name')
    refused('sqlite', 'no such table', file=file, query='select a from b where c = :user')
    refused('sqlite', 'SQLite', file=folder + '/absent', query=named)


# --- PostgreSQL -----------------------------------------------------------------------------------

# tidy: long because what one server is asked reads top to bottom, between its start and its end
def test_postgresql(folder):
    found = sorted(glob.glob('/usr/lib/postgresql/*/bin/postgres'))
    if not found:
        return 'PostgreSQL is not installed'
    tools, data, number = os.path.dirname(found[-1]), folder + '/data', port()
    authority = certificate(folder)
    with open(folder + '/password', 'w', encoding='ascii') as out:
        out.write('of the owner')
    run(tools + '/initdb', '-D', data, '-U', 'owner', '-A', 'scram-sha-256', '-N', '--pwfile',
        folder + '/password', '--locale=C', '-E', 'UTF8')
    with open(data + '/postgresql.conf', 'a', encoding='ascii') as out:
        out.write(f"listen_addresses = '127.0.0.1'\nport = {number}\nfsync = off\nssl = on\n"
                  f"unix_socket_directories = '{folder}'\nssl_cert_file = '{authority}'\n"
                  f"ssl_key_file = '{folder}/key.pem'\n")

    def serve():
        process = subprocess.Popen([tools + '/postgres', '-D', data], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   **unprivileged())
        wait_for(number)
        for _ in range(100):
            if subprocess.run([tools + '/pg_isready', '-h', '127.0.0.1', '-p', str(number)],
                              stdout=subprocess.DEVNULL).returncode == 0:
                return process
            time.sleep(0.05)
        return process

    def stop(process):
        process.send_signal(signal.SIGQUIT)
        process.wait(20)

    process = serve()
    try:
        base = f'hostaddr=127.0.0.1 port={number} dbname=postgres user=owner'
        run(tools + '/psql', '-q', '-v', 'ON_ERROR_STOP=1', base + ' password=\'of the owner\'',
            '-c', SCHEMA.format(hash=HASH, flag='bool', yes='true', no='false'))
        query = 'select hash as password, nets as allow_nets, off as disabled, quota from users'
        named = query + ' where name = $1'
        common = {'password': 'of the owner', 'query': named}
        safe = f'{base} host=127.0.0.1 sslmode=verify-full sslrootcert={authority}'
        with Ask('postgresql', connection=safe, **common) as ask:
            sql_answers(ask)
            stop(process)
            ask.expect('lookup ann@x.test', 'EAGAIN PostgreSQL')
            process = serve()
            sql_answers(ask)
            stop(process)
            process = serve()
            ask.expect('lookup ann@x.test', ANN)  # the idle connection was dead
        local = query + " where name = $2 || '@' || $3"
        with Ask('postgresql', connection=base, password='of the owner', query=local) as ask:
            sql_answers(ask)
        slow = 'select $1 as a, pg_sleep(5)'
        with Ask('postgresql', connection=base, password='of the owner', query=slow,
                 timeout=500) as ask:
            ask.expect('lookup ann@x.test', 'EAGAIN PostgreSQL')
            check(ask.took < 1500, 'took', ask.took)
            ask.expect('together 8 ann@x.test x', 'EAGAIN PostgreSQL')
        for wrong in ('select nothing from users where name = $1', 'select $1::int', 'selec $1'):
            with Ask('postgresql', connection=base, password='of the owner', query=wrong) as ask:
                ask.expect('lookup ann@x.test', 'EAGAIN PostgreSQL: ERROR')
        with Ask('postgresql', connection=base, password='not so', query=named) as ask:
            ask.expect('lookup ann@x.test', 'EAGAIN PostgreSQL')
        with Ask('postgresql', connection=base + ' sslmode=verify-full host=127.0.0.1 sslrootcert='
                 + folder + '/absent', **common) as ask:
            ask.expect('lookup ann@x.test', 'EAGAIN PostgreSQL')
        unavailable('postgresql', lambda other: {
            'connection': f'hostaddr=127.0.0.1 port={other} dbname=postgres user=owner', **common})
    finally:
        stop(process)
    refused('postgresql', '$1', connection=base, query='select 1')
    refused('postgresql', '$1', connection=base, query='select $4')
    refused('postgresql', 'connection', connection='hots=here', query=named)
    refused('postgresql', '10 seconds', connection=base, query=named, timeout=10001)
    return None


# --- LDAP -----------------------------------------------------------------------------------------

ENTRIES = f"""dn: dc=test
objectClass: dcObject
objectClass: organization
o: test
dc: test

dn: cn=search,dc=test
objectClass: person
cn: search
sn: search
userPassword: of search

dn: uid=ann,dc=test
objectClass: inetOrgPerson
uid: ann
cn: ann
sn: ann
mail: ann@x.test
description: 192.0.2.0/24
departmentNumber: store-7
departmentNumber: other
userPassword: {{CRYPT}}{HASH}

dn: uid=bob,dc=test
objectClass: inetOrgPerson
uid: bob
cn: bob
sn: bob
mail: bob@x.test
mail: robert@x.test
employeeType: TRUE
userPassword: of bob

dn: uid=star,dc=test
objectClass: inetOrgPerson
uid: star
cn: star
sn: star
mail: *)(uid=*@y.test

dn: uid=twice,dc=test
objectClass: inetOrgPerson
uid: twice
cn: twice
sn: twice
mail: bob@y.test

dn: uid=again,dc=test
objectClass: inetOrgPerson
uid: again
cn: again
sn: again
mail: bob@y.test
"""


def ldap_binding(ask):
    ask.expect('login ann@x.test secret',
               '0 user=ann@x.test secret= networks=192.0.2.0/24 verified')
    ask.expect('login ann@x.test wrong', 'EACCES')
    ask.expect('login ann@x.test', 'EACCES')  # RFC 4513 5.1.2
    ask.expect('login bob@x.test of%20bob', '0 user=')
    ask.expect('login star@x.test secret', 'ENOENT')
    ask.expect('login %2a)(uid=%2a@y.test secret', 'EACCES')  # the one of that name
    ask.expect('login bob@y.test secret', 'EAGAIN the filter fits more than one entry')
    for name in ODD:  # A04
        ask.expect(f'login {name} secret', 'ENOENT')
    ask.expect('together 16 ann@x.test secret', '0 user=ann@x.test')
    ask.expect('together 16 ann@x.test wrong', 'EACCES')
    ask.expect('lookup ann@x.test', '0 user=ann@x.test secret= networks=192.0.2.0/24 | ')


# tidy: long because what one server is asked reads top to bottom, between its start and its end
def test_ldap(folder):
    binary = os.path.join(UNPACKED, 'usr/sbin/slapd')
    if not os.path.exists(binary):
        return 'slapd is not there (deploy/deps.sh --tests)'
    authority, clear, secure = certificate(folder), port(), port()
    shutil.copy(binary, folder + '/slapd')
    shutil.copytree(os.path.join(UNPACKED, 'usr/lib/ldap'), folder + '/modules', symlinks=True)
    shutil.copytree(os.path.join(UNPACKED, 'etc/ldap/schema'), folder + '/schema')
    os.mkdir(folder + '/libraries')
    for library in glob.glob(os.path.join(UNPACKED, 'usr/lib/*/lib*.so.*')):
        shutil.copy(library, folder + '/libraries/')
    os.mkdir(folder + '/data')
    with open(folder + '/slapd.conf', 'w', encoding='ascii') as out:
        for schema in ('core', 'cosine', 'inetorgperson'):
            out.write(f'include {folder}/schema/{schema}.schema\n')
        out.write(f"""modulepath {folder}/modules
moduleload back_mdb
pidfile {folder}/slapd.pid
TLSCertificateFile {authority}
TLSCertificateKeyFile {folder}/key.pem
database mdb
suffix "dc=test"
rootdn "cn=root,dc=test"
directory {folder}/data
access to attrs=userPassword by dn="cn=search,dc=test" read by anonymous auth by * none
access to * by dn="cn=search,dc=test" read by anonymous auth by * none
""")
    with open(folder + '/entries', 'w', encoding='ascii') as out:
        out.write(ENTRIES)
    for path, folders, files in os.walk(folder):
        for name in folders + files + ['.']:
            if os.getuid() == 0:
                shutil.chown(os.path.join(path, name), 'nobody', 'nogroup')
    surroundings = {**os.environ, 'LD_LIBRARY_PATH': folder + '/libraries'}
    run(folder + '/slapd', '-Tadd', '-f', folder + '/slapd.conf', '-l', folder + '/entries',
        env=surroundings)

    def serve():
        process = subprocess.Popen(
            [folder + '/slapd', '-d', '0', '-f', folder + '/slapd.conf', '-h',
             f'ldap://127.0.0.1:{clear} ldaps://127.0.0.1:{secure}'], env=surroundings,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            **unprivileged())
        wait_for(clear)
        wait_for(secure)
        return process

    def stop(process):
        process.terminate()
        process.wait(20)

    process = serve()
    try:
        plain = {'url': f'ldap://127.0.0.1:{clear}', 'bind_dn': 'cn=search,dc=test',
                 'password': 'of search', 'base': 'dc=test', 'filter': '(mail=%u)',
                 'networks_attribute': 'description', 'disabled_attribute': 'employeeType'}
        canonical = {**plain, 'user_attribute': 'mail'}
        with Ask('ldap', **canonical) as ask:
            ldap_binding(ask)
            stop(process)
            ask.expect('login ann@x.test secret', 'EAGAIN LDAP')
            process = serve()
            ldap_binding(ask)
            stop(process)
            process = serve()
            ask.expect('login ann@x.test wrong', 'EACCES')  # the idle connections were dead
        with Ask('ldap', **{**canonical, 'url': f'ldaps://127.0.0.1:{secure}'},
                 ca=authority) as ask:
            ldap_binding(ask)
        with Ask('ldap', **canonical, ca=authority, start_tls=1) as ask:
            ldap_binding(ask)
        with Ask('ldap', **canonical, start_tls=1, no_verify=1) as ask:
            ask.expect('login ann@x.test secret', '0 ')
        with Ask('ldap', **canonical, start_tls=1) as ask:  # not one of the system's authorities
            ask.expect('login ann@x.test secret', 'EAGAIN LDAP')
        with Ask('ldap', **plain, password_attribute='userPassword') as ask:
            ask.expect('lookup ann@x.test', f'0 user= secret={HASH} networks=192.0.2.0/24 | ')
            ask.expect('lookup bob@x.test', 'EAGAIN the entry\'s password is no hash')
            ask.expect('lookup nobody@x.test', 'ENOENT')
            ask.expect('together 16 ann@x.test x', f'0 user= secret={HASH}')
        with Ask('ldap', **plain, routes='departmentNumber=backend,uid=backend_user  l=tag') as ask:
            ask.expect('login ann@x.test secret', '0 user= secret= networks=192.0.2.0/24 verified'
                       ' | backend=store-7 user=ann ')
            ask.expect('lookup star@x.test', 'ENOENT')
        with Ask('ldap', **{**plain, 'filter': '(&(uid=%l)(objectClass=person))'}) as ask:
            ask.expect('login ann@z.test secret', '0 ')
        with Ask('ldap', **{**plain, 'password': 'not so'}) as ask:
            ask.expect('login ann@x.test secret', 'EAGAIN LDAP, searching: Invalid credentials')
        with Ask('ldap', **{**plain, 'filter': '(mail=%u'}) as ask:
            ask.expect('login ann@x.test secret', 'EAGAIN LDAP, searching: Bad search filter')
        unavailable('ldap', lambda other: {**plain, 'url': f'ldap://127.0.0.1:{other}'})
        unavailable('ldap', lambda other: {**plain, 'url': f'ldaps://127.0.0.1:{other}'})
    finally:
        stop(process)
    refused('ldap', 'ldap://', **{**plain, 'url': 'http://x'})
    refused('ldap', 'needs %u', **{**plain, 'filter': '(uid=ann)'})
    refused('ldap', '%u', **{**plain, 'filter': '(uid=%x)'})
    many = ' '.join(f'a{i}=b' for i in range(9))
    for routes in ('mailHost', 'mailHost=', '=host', 'a=b c', many):
        refused('ldap', 'mailHost=host', **plain, routes=routes)
    refused('ldap', 'start_tls', **{**plain, 'url': 'ldaps://x'}, start_tls=1)
    return None


# --- HTTP -----------------------------------------------------------------------------------------

class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    seen = []

    def log_message(self, *_):
        pass

    def answer(self, headers, body=b'', status=200):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        Web.seen.append(list(self.headers.items()))
        user = urllib.parse.unquote(self.headers.get('Auth-User', ''), errors='surrogateescape')
        password = urllib.parse.unquote(self.headers.get('Auth-Pass', ''))
        method = self.headers.get('Auth-Method')
        if self.path == '/redirect':
            self.answer([('Location', '/auth')], status=302)
        elif self.path == '/broken':
            self.answer([], status=500)
        elif self.path == '/empty':
            self.answer([('X', 'y')])
        elif self.path == '/large':
            self.answer([('Auth-Status', 'OK')], b'x' * 100000)
        elif self.path == '/many':
            self.answer([(f'X-{i}', 'y' * 500) for i in range(90)] + [('Auth-Status', 'OK')])
        elif self.path == '/long':
            self.answer([('Auth-Status', 'O' + 'K' * 300)])
        elif self.path == '/later':
            self.answer([('Auth-Status', 'Try later'), ('Auth-Error-Code', '451 4.3.0')])
        elif self.path == '/slow':
            time.sleep(3)
            self.answer([('Auth-Status', 'OK')])
        elif user == 'ann@x.test' and (password == 's%c \x01\u00c3\u00a9' or method == 'none'):
            self.answer([('Auth-Status', 'OK'), ('Auth-Server', '192.0.2.9'), ('Auth-Port', '143')])
        elif user == 'bob@x.test' and (password == 'of bob' or method == 'none'):
            self.answer([('auth-status', 'OK'), ('Auth-User', 'robert@x.test')])
        elif user == 'eve@x.test' and (password == 'of eve' or method == 'external'):
            self.answer([('Auth-Status', 'OK'), ('Auth-Server', '2001:db8::9'),
                         ('Auth-User', 'Eva'), ('Auth-Pass', 'p=q r')])
        else:
            self.answer([('Auth-Status', 'Invalid login or password'), ('Auth-Wait', '3')])

    def do_POST(self):
        form = self.rfile.read(int(self.headers['Content-Length'])).decode()
        token = urllib.parse.parse_qs(form)['token'][0]
        bodies = {'good+/=&': b'{"active": true, "username": "ann@x.test", "email": "e@x.test"}',
                  'old': b'{"active": false}', 'nameless': b'{"active": true}',
                  'odd': b'{"active": "true", "username": "ann@x.test"}',
                  'number': b'{"active": true, "username": 7}', 'list': b'[1]',
                  'twice': b'{"active": false, "active": true, "username": "ann@x.test"}',
                  'nul': b'{"active": true, "username": "ann@x.test\\u0000x"}',
                  'garbage': b'<html>', 'deep': b'[' * 5000, 'large': b' ' * 20000 + b'{}'}
        key = 'Basic ' + base64.b64encode(b'me:of me').decode()
        if self.headers.get('Authorization') != key:
            self.answer([], status=401)
        elif 'token_type_hint=access_token' not in form:
            self.answer([], status=400)
        else:
            self.answer([('Content-Type', 'application/json')], bodies.get(token, b'{}'))


# tidy: long because what one server is asked reads top to bottom, between its start and its end
def test_http(folder):
    def serve(number):
        server = http.server.ThreadingHTTPServer(('127.0.0.1', number), Web)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    number, secure = port(), port()
    server = serve(number)
    authority = certificate(folder)
    encrypted = http.server.ThreadingHTTPServer(('127.0.0.1', secure), Web)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, folder + '/key.pem')
    encrypted.socket = context.wrap_socket(encrypted.socket, server_side=True)
    threading.Thread(target=encrypted.serve_forever, daemon=True).start()
    url = f'http://127.0.0.1:{number}'
    ann = '0 user= secret= networks= verified | host=192.0.2.9 port=143'
    with Ask('http', url=url + '/auth', header='X-Auth-Key: of us') as ask:
        ask('client 192.0.2.44')
        ask.expect('login ann@x.test s%25c%20%01%c3%a9', ann)
        headers = dict(Web.seen[-1])
        want = {'Auth-Method': 'plain', 'Auth-User': 'ann@x.test', 'Auth-Protocol': 'imap',
                'Auth-Login-Attempt': '3', 'Client-IP': '192.0.2.44',
                'Client-Host': '[UNAVAILABLE]', 'Auth-SMTP-Helo': 'client.test', 'Auth-SSL': 'on',
                'Auth-SSL-Protocol': 'TLSv1.3', 'Auth-SSL-Cipher': 'TLS_AES_128_GCM_SHA256',
                'Auth-SSL-Verify': 'SUCCESS', 'Auth-SSL-Subject': 'CN=ann',
                'Auth-SSL-Serial': '0A', 'X-Auth-Key': 'of us'}
        for name, value in want.items():
            check(headers.get(name) == value, name, headers.get(name), value)
        check(headers['Auth-Pass'].startswith('s%25c%20%01'), headers['Auth-Pass'])
        ask.expect('login ann@x.test wrong', 'EACCES delay=3000')
        ask.expect('login ann@x.test', 'EACCES delay=3000')
        ask.expect('login bob@x.test of%20bob',
                   '0 user=robert@x.test secret= networks= verified | user=robert@x.test')
        ask.expect('lookup bob@x.test', '0 user=robert@x.test secret= networks= | ')
        check(('Auth-Method', 'none') in Web.seen[-1], Web.seen[-1])
        eve = ' | host=2001:db8::9 user=Eva pass=p=q r '
        ask.expect('login eve@x.test of%20eve', '0 user=Eva secret= networks= verified' + eve)
        ask.expect('external eve@x.test', '0 user=Eva secret= networks=' + eve)
        check(('Auth-Method', 'external') in Web.seen[-1], Web.seen[-1])
        check('Auth-Pass' not in dict(Web.seen[-1]), Web.seen[-1])
        ask.expect('lookup nobody@x.test', 'ENOENT')
        for name in ODD:  # A04: none of them writes a line of its own
            answer = ask(f'login {name} pass%0d%0aAuth-Status:%20OK%0aX')
            check(answer.startswith(('EACCES', 'ENOENT')), name, answer)
            names = [key for key, _ in Web.seen[-1]]
            check('Auth-Status' not in names and 'X' not in names, names)
        ask.expect('together 16 bob@x.test of%20bob', '0 user=robert@x.test')
        server.shutdown()
        server.server_close()
    with Ask('http', url=url + '/auth') as ask:
        ask.expect('login bob@x.test of%20bob', 'EAGAIN HTTP')
        server = serve(number)
        ask.expect('login bob@x.test of%20bob', '0 user=robert@x.test')
    for path, why in (('/redirect', 'status 302'), ('/broken', 'status 500'),
                      ('/empty', 'no Auth-Status'), ('/large', 'too long'), ('/many', 'HTTP'),
                      ('/long', 'HTTP'), ('/later', 'Try later'), ('/slow', 'HTTP')):
        with Ask('http', url=url + path, timeout=1000) as ask:  # A11
            check(why in ask.expect('login bob@x.test of%20bob', 'EAGAIN HTTP'), path)
            check(ask.took < 2500, path, ask.took)
    with Ask('http', url=f'https://127.0.0.1:{secure}/auth', ca=authority) as ask:
        ask.expect('login bob@x.test of%20bob', '0 user=robert@x.test')
    with Ask('http', url=f'https://127.0.0.1:{secure}/auth') as ask:
        ask.expect('login bob@x.test of%20bob', 'EAGAIN HTTP')
    tokens = {'token_url': url + '/token', 'client_id': 'me', 'password': 'of me'}
    with Ask('http', **tokens) as ask:
        ask.expect('token good+/=&', '0 user=ann@x.test secret= networks= verified')
        ask.expect('token old', 'EACCES')
        for token in ('nameless', 'odd', 'number', 'list', 'twice', 'nul', 'garbage', 'deep',
                      'large', 'other'):
            ask.expect('token ' + token, 'EAGAIN HTTP' if token != 'nul' else 'EAGAIN ')
        ask.expect('login bob@x.test of%20bob', 'ENOENT')
    with Ask('http', **tokens, user_claim='email') as ask:
        ask.expect('token good+/=&', '0 user=e@x.test')
    with Ask('http', **{**tokens, 'password': 'not so'}) as ask:
        ask.expect('token good+/=&', 'EAGAIN HTTP: the server answers with status 401')
    unavailable('http', lambda other: {'url': f'http://127.0.0.1:{other}/auth'})
    unavailable('http', lambda other: {'url': f'https://127.0.0.1:{other}/auth'})
    refused('http', 'http://', url='file:///etc/passwd')
    refused('http', 'neither', client_id='me')
    refused('http', 'one line', url=url, header='X: y\r\nZ: w')


KINDS = {'sqlite': test_sqlite, 'postgresql': test_postgresql, 'ldap': test_ldap,
         'http': test_http}


def main():
    if not os.path.exists(ASK):
        print(ASK, 'is not built')
        return 77
    left_out = []
    for kind in sys.argv[1:] or KINDS:
        folder = tempfile.mkdtemp(prefix=f'ringpost-{kind}-')
        try:
            if os.getuid() == 0:
                shutil.chown(folder, 'nobody', 'nogroup')
            os.chmod(folder, 0o700 if os.getuid() else 0o711)
            why = KINDS[kind](folder)
            print(kind + ':', why or f'{checks} checks so far')
            left_out += [why] if why else []
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if left_out:
        print('; '.join(left_out))
    return 77 if left_out else 0


if __name__ == '__main__':
    sys.exit(main())
