#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Mail in front of two real Dovecots: one transaction's recipients at several backends, an answer
for each, users that only the backends know, and backends that die in between.

A mailbox is read by IMAP through the gateway as well as at the backend itself, so that mail which
went to the wrong one is found out. What a user is to have is said by the test; that, and nothing
more, must be there.

usage: RINGPOST=build/gcc/src/main/ringpost tests/e2e/front_lmtp.py [TEST]...
"""
import collections
import contextlib
import imaplib
import os
import random
import signal
import smtplib
import socket
import socketserver
import sqlite3
import subprocess
import sys
import threading
import time

from bench_smtp import bench, clean
from front_harness import Field, Store, marker
from harness import check

POOL = 'tls = "none"; affinity = "0s"; '
FAST = 'health_interval = "500ms"; down_after = 2; up_after = 1; connect_timeout = "1s"; '
JUDGED = 'verify = "backend"; '
FULL = 'u9' # its quota takes no mail


class MailStore(Store):
    def prepare(self):
        is_new = not os.path.isdir(os.path.join(self.dir, 'mail'))
        super().prepare()
        if is_new:
            path = os.path.join(self.dir, 'users')
            with open(path, encoding='ascii') as file:
                lines = [line.strip() for line in file]
            with open(path, 'w', encoding='ascii') as file:
                for line in lines:
                    more = 'userdb_quota_rule=*:messages=1' * line.startswith(f'{FULL}@')
                    file.write(line + more + '\n')

    def imap(self, user):
        imap = imaplib.IMAP4('127.0.0.1', self.ports['imap'], timeout=30)
        imap.login(f'{user}@example.test', 'pw')
        return imap


def backends(field, **ports):
    return ', '.join(field.backend(name, lmtp=ports.get('lmtp', 'lmtp')) for name in field.stores)


def serve(field, pool=POOL, **config):
    config.setdefault('backends', backends(field))
    field.serve(pool, **config)


class Lmtp:
    """A client that tells each answer: (code, text)."""

    def __init__(self, field, port='lmtp', source=None, sender='a@example.org'):
        self.smtp = (smtplib.LMTP if port == 'lmtp' else smtplib.SMTP)(
            '127.0.0.1', field.ports[port], timeout=60,
            source_address=(source, 0) if source else None)
        self.smtp.ehlo_or_helo_if_needed()
        self.sender = sender

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.smtp.close()

    def envelope(self, recipients, options=''):
        code, text = self.smtp.docmd(f'MAIL FROM:<{self.sender}> {options}'.rstrip())
        check(code == 250, f'MAIL: {code} {text}')
        return [self.smtp.docmd(f'RCPT TO:<{recipient}>') for recipient in recipients]

    def data(self, message, replies):
        code, text = self.smtp.docmd('DATA')
        check(code == 354, f'DATA: {code} {text}')
        return self.send(message, replies)

    def send(self, message, replies):
        stuffed = b''.join(b'.' + line if line.startswith(b'.') else line
                           for line in message.splitlines(keepends=True))
        self.smtp.sock.sendall(stuffed + b'.\r\n')
        return [self.smtp.getreply() for _ in range(replies)]

    def deliver(self, users, message):
        """All must be known; the codes of their deliveries."""
        codes = self.envelope([address(user) for user in users])
        check(all(code == 250 for code, _ in codes), codes)
        return self.data(message, len(users))


def address(user):
    return user if '@' in user else f'{user}@example.test'


def message(name, body=b'x\r\n'):
    return (f'From: a@example.org\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: '
            f'<{name}@example.org>\r\nSubject: {name}\r\n\r\n').encode() + body


def found(imap, name, mailbox='INBOX'):
    """The bytes of each message of that name."""
    status, data = imap.select(mailbox, readonly=True)
    check(status == 'OK', f'{mailbox}: {data}')
    numbers = imap.search(None, 'HEADER', 'Message-ID', f'<{name}@example.org>')[1][0].split()
    return [imap.fetch(number.decode(), '(BODY.PEEK[])')[1][0][1] for number in numbers]


def with_imap(store, user, act):
    imap = store.imap(user)
    try:
        return act(imap)
    finally:
        imap.logout()


def holds(field, user, name):
    """{backend: how often} of that message, at the backends themselves."""
    counts = {}
    for store in field.stores.values():
        counts[store.name] = len(with_imap(store, user, lambda imap: found(imap, name)))
    return counts


def home(field, user):
    imap = field.imap(user)
    where = marker(imap)[1]
    imap.logout()
    return where


def homes(field, users):
    return {user: home(field, user) for user in users}


def all_users(field):
    return [f'u{i}' for i in range(field.users) if f'u{i}' != FULL]


def check_delivered(field, user, name, text=None, count=1):
    """It is where the user's log-in leads to, once, whole, and nowhere else."""
    where = home(field, user)
    counts = holds(field, user, name)
    check(counts == {store: count * (store == where) for store in field.stores},
          f'{name} of {user}, who is on {where}: {counts}')
    if text is not None:
        imap = field.imap(user)
        for got in found(imap, name):
            check(got.endswith(text), f'{name} of {user}: {len(got)} bytes, {got[:2000]!r}')
            fields = got[:len(got) - len(text)]
            check(fields.count(b'Received:') >= 2, f'no trace of the gateway: {fields}')
            check(fields.count(b'Return-Path:') == 1, f'{fields}')
        imap.logout()


# ---------------------------------------------------------------- deliveries

def test_fan_out(field):
    """Recipients of one transaction at both backends have it, each once, byte by byte."""
    serve(field)
    rng = random.Random(1)
    users = all_users(field)
    check(len(set(homes(field, users).values())) == 2, 'all at one backend')
    bodies = {
        'dots': b'.\r\n..\r\n.a\r\n\r\n.\r\n...\r\n',
        'empty': b'',
        'bytes': 'grüße ⏃'.encode() + bytes(range(128, 256)) + b'\r\n',
        'long': b'a' * 998 + b'\r\n' + b'.' * 998 + b'\r\n',
        'large': b''.join(b'%x\r\n' % rng.getrandbits(300) for _ in range(50000)),
    }
    with Lmtp(field) as lmtp:
        for name, body in bodies.items():
            text = message(name, body)
            to = rng.sample(users, 3 if name == 'large' else 8)
            answers = lmtp.deliver(to, text)
            check([code for code, _ in answers] == [250] * len(to), answers)
            for user in to:
                check_delivered(field, user, name, text)
    line = field.await_line(lambda line: line.get('event') == 'relay')
    check(line.get('handed_on') and line.get('backends'), line)


def test_chunks(field):
    """BDAT, and a message whose pieces end anywhere."""
    serve(field)
    text = message('chunks', b'.\r\n.line\r\n' * 2000)
    users = all_users(field)[:6]
    with Lmtp(field) as lmtp:
        lmtp.envelope([address(user) for user in users], 'BODY=8BITMIME')
        at = 0
        for size in (1, 7, 4096):
            lmtp.smtp.sock.sendall(b'BDAT %d\r\n' % size + text[at:at + size])
            check(lmtp.smtp.getreply()[0] == 250, size)
            at += size
        lmtp.smtp.sock.sendall(b'BDAT %d LAST\r\n' % (len(text) - at) + text[at:])
        answers = [lmtp.smtp.getreply() for _ in users]
        check([code for code, _ in answers] == [250] * len(users), answers)
    for user in users:
        check_delivered(field, user, 'chunks', text)


def test_smtp(field):
    """SMTP has one answer for all: a second recipient is put off, and comes with the next
    transaction; a program that does so delivers to all."""
    serve(field)
    text = message('by-smtp')
    with Lmtp(field, 'smtp') as smtp:
        answers = smtp.envelope([address('u1'), address('u2')])
        check([code for code, _ in answers] == [250, 452], answers)
        check(smtp.data(text, 1)[0][0] == 250, 'DATA')
        check([code for code, _ in smtp.envelope([address(FULL)])] == [250], 'RCPT')
        code, said = smtp.data(message('full'), 1)[0]
        check(code in (452, 552) and b'uota' in said, f'{code} {said}')
    check_delivered(field, 'u1', 'by-smtp', text)
    check(sum(holds(field, 'u2', 'by-smtp').values()) == 0, 'u2 has what was put off')
    done = subprocess.run(['swaks', '--server', f'127.0.0.1:{field.ports["smtp"]}', '--from',
                           'a@example.org', '--to', address('u3'), '--header',
                           'Message-ID: <swaks@example.org>'], capture_output=True, text=True,
                          timeout=60)
    check(done.returncode == 0, done.stdout + done.stderr)
    check_delivered(field, 'u3', 'swaks')


# ---------------------------------------------------------------- answers

def test_answers(field):
    """Each recipient's own: unknown ones are refused at RCPT, by us or in the backend's words, a
    full mailbox at the end, and the others have their mail."""
    serve(field)
    with Lmtp(field) as lmtp:
        code, said = lmtp.envelope(['nobody@example.test'])[0]
        check(code == 550 and b'5.1.1' in said, f'{code} {said}')
        lmtp.smtp.rset()
        code, said = lmtp.envelope(['u1@other.test'])[0]
        check(code == 550, f'{code} {said}')
    serve(field, POOL + JUDGED, domain='')
    users = all_users(field)[:5]
    to = [*users[:2], FULL, 'nobody', *users[2:]]
    with Lmtp(field) as lmtp:
        answers = lmtp.envelope([address(user) for user in to])
        codes = [code for code, _ in answers]
        check(codes == [250, 250, 250, 550, 250, 250, 250], answers)
        check(b"User doesn't exist" in answers[3][1], f'not in the backend\'s words: {answers[3]}')
        text = message('answers')
        answers = lmtp.data(text, 6)
        check([code for code, _ in answers][:2] + [code for code, _ in answers][3:] == [250] * 5,
              answers)
        check(answers[2][0] in (452, 552) and b'uota' in answers[2][1], answers)
    for user in users:
        check_delivered(field, user, 'answers', text)
    check(sum(holds(field, FULL, 'answers').values()) == 0, 'a full mailbox has it')


def test_sub_address(field):
    """The user's backend, and the whole address there."""
    serve(field, POOL + JUDGED, domain='')
    users = all_users(field)[:8]
    text = message('detail')
    with Lmtp(field) as lmtp:
        answers = lmtp.deliver([f'{user.upper()}+Work@Example.TEST' for user in users], text)
        check([code for code, _ in answers] == [250] * len(users), answers)
    for user in users:
        imap = field.imap(user)
        check(marker(imap)[0] == user, 'whose')
        check(len(found(imap, 'detail', 'Work')) == 1, f'{user} has it not in Work')
        imap.logout()


def test_aliases(field):
    """An alias of a domain that is kept here leads to users of both kinds; so does one of a pool's
    own domain."""
    hashed = subprocess.run(['openssl', 'passwd', '-5', 'pw'], text=True, check=True,
                            capture_output=True, timeout=30).stdout.strip()
    field.write('here.passwd', f'ann@here.test:{hashed}\n', 0o600)
    config = field.config_text(POOL, backends(field))
    config = config.replace('domains = ( ', (
        'store: { directory = "store"; };\n'
        'domains = ( { name = "here.test"; users = "here.passwd"; aliases = ( { name = "all"; '
        'to = [ "ann", "u1@example.test", "u2@example.test" ]; } ); }, '
    )).replace('users = "users.passwd";',
               'users = "users.passwd"; aliases = ( { name = "sales"; to = "u3"; } );')
    field.serve_text(config)
    text = message('alias')
    with Lmtp(field) as lmtp:
        answers = lmtp.deliver(['all@here.test', 'sales', 'ann@here.test'], text)
        check([code for code, _ in answers] == [250] * 3, answers)
    for user in ('u1', 'u2', 'u3'):
        check_delivered(field, user, 'alias', text)
    imap = field.connect_imap()
    imap.login('ann@here.test', 'pw')
    check(len(found(imap, 'alias')) == 1, 'ann')
    imap.logout()
    with Lmtp(field, 'smtp') as smtp: # of both kinds behind one address: one answer, all have it
        check(smtp.deliver(['all@here.test'], message('both'))[0][0] == 250, 'SMTP')
    for user in ('u1', 'u2'):
        check_delivered(field, user, 'both')


# ---------------------------------------------------------------- what the backends are asked

class Recorder(socketserver.ThreadingTCPServer):
    """An LMTP server that takes everything for names without "no", and counts commands."""
    allow_reuse_address, daemon_threads = True, True

    def __init__(self, port):
        self.commands, self.lock = collections.Counter(), threading.Lock()
        super().__init__(('127.0.0.1', port), self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            taken = 0
            self.wfile.write(b'220 recorder\r\n')
            for line in self.rfile:
                verb = line[:4].upper().decode('latin-1')
                with self.server.lock:
                    self.server.commands[verb] += 1
                if verb == 'LHLO':
                    self.wfile.write(b'250-recorder\r\n250-PIPELINING\r\n250 8BITMIME\r\n')
                elif verb == 'RCPT' and b'no' in line:
                    self.wfile.write(b'550 5.1.1 Not among us\r\n')
                elif verb == 'DATA':
                    self.wfile.write(b'354 go\r\n')
                    while self.rfile.readline() != b'.\r\n':
                        pass
                    self.wfile.write(b'250 2.0.0 ok\r\n' * taken)
                elif verb == 'QUIT':
                    self.wfile.write(b'221 bye\r\n')
                    return
                else:
                    taken += verb == 'RCPT'
                    self.wfile.write(b'250 2.0.0 ok\r\n')


def test_cache(field):
    """A name is asked about once for known_time and unknown_time, by all sessions of a core
    together; a directory's names never."""
    port = field.spare_port
    with Recorder(port) as recorder:
        backend = f'{{ name = "one"; address = "127.0.0.1"; lmtp = {port}; imap = 1; }}'
        more = 'lmtp: { known_time = "1h"; unknown_time = "700ms"; };'
        field.serve_text(field.config_text(POOL + JUDGED + 'health_interval = "0s";', backend,
                                           domain='', more=more).replace('cores = 2', 'cores = 1'))
        def asked(*names):
            before = recorder.commands['RCPT']
            with Lmtp(field) as lmtp:
                codes = [code for code, _ in lmtp.envelope(
                    [f'{name}@example.test' for name in names])]
            return codes, recorder.commands['RCPT'] - before
        check(asked('bob', 'nona', 'bob', 'nona') == ([250, 550, 250, 550], 2), 'the first time')
        check(asked('Bob', 'nona', 'bob+x') == ([250, 550, 250], 0), 'kept')
        time.sleep(0.8)
        check(asked('bob', 'nona') == ([250, 550], 1), 'unknown_time is over')
        before = recorder.commands['RCPT']
        threads = [threading.Thread(target=asked, args=('carl',)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check(recorder.commands['RCPT'] - before == 1, 'asked about once by all')
        recorder.shutdown()


def test_identity(field):
    """The backend is told who the client is, by XCLIENT and by PROXY; not where it is not to be."""
    for index, (identity, port, is_told) in enumerate((('native', 'lmtp', True),
                                                       ('proxy', 'lmtp_proxied', True),
                                                       ('none', 'lmtp', False))):
        serve(field, POOL + f'identity = "{identity}"; ',
              backends=', '.join(field.backend(name, lmtp=port, imap=None, pop3=None, sieve=None,
                                               more='') for name in field.stores))
        source = f'127.0.9.{index + 1}'
        with Lmtp(field, source=source) as lmtp:
            check(lmtp.deliver(['u4'], message(identity))[0][0] == 250, identity)
        texts = [text for store in field.stores.values()
                 for text in with_imap(store, 'u4', lambda imap: found(imap, identity))]
        check(len(texts) == 1, f'{identity}: {len(texts)}')
        theirs = texts[0][:texts[0].index(b'by localhost (session')] # behind it stand our words
        theirs = theirs[:theirs.rindex(b'Received:')]
        check((source.encode() in theirs) == is_told, f'{identity}: {theirs}')


def test_requires_tls(field):
    """REQUIRETLS (RFC 8689) holds as far as the mailbox: nothing goes on in clear, for good."""
    lmtp = backends(field)
    start = 'tls_ca = "authority.pem"; lmtp_tls = "start"; '
    for kind, more, code, said in (('none', '', 550, b'5.7.30'), ('start', start, 250, b'')):
        serve(field, POOL + more, backends=lmtp)
        with Lmtp(field, 'smtp') as smtp:
            answer = smtp.smtp.docmd('MAIL FROM:<a@example.org> REQUIRETLS')
            check(answer[0] == 530, f'REQUIRETLS in clear: {answer}')
            smtp.smtp.starttls()
            smtp.smtp.ehlo()
            check(smtp.smtp.has_extn('requiretls'), smtp.smtp.esmtp_features)
            answers = smtp.envelope([address('u5')], 'REQUIRETLS')
            check(answers[0][0] == 250, answers)
            answer = smtp.data(message(f'secret-{kind}'), 1)[0]
            check(answer[0] == code and said in answer[1], f'{kind}: {answer}')
            answer = smtp.deliver(['u5'], message(f'open-{kind}'))[0] # who does not ask for it
            check(answer[0] == 250, f'{kind}: {answer}')
        check_delivered(field, 'u5', f'open-{kind}')
    check(sum(holds(field, 'u5', 'secret-none').values()) == 0, 'it went on in clear')
    check_delivered(field, 'u5', 'secret-start')


def test_bench(field):
    """ringpost-bench finds each of its messages whole, once, in the mailbox that it was sent to."""
    serve(field)
    ports = field.ports
    for recipients, arguments in ((3, ('--messages', 200)), (2, ('--bdat', '--messages', 100)),
                                  (1, ('--size', '300k', '--messages', 30)),
                                  (2, ('--size', 'real', '--no-pipelining', '--messages', 100))):
        result = bench('lmtp', '--target', f'127.0.0.1:{ports["lmtp"]}', '--recipients',
                       recipients, *arguments, '--verify', '--also',
                       f'imap://127.0.0.1:{ports["imap"]}', users=int(FULL[1:]))
        clean(result, arguments[-1], recipients, arguments)


# ---------------------------------------------------------------- failures

def by_directory(field, users):
    """Who is where is said by a directory, so that nobody is given another backend."""
    path = os.path.join(field.dir, 'users.sqlite')
    names = list(field.stores)
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
    hashed = subprocess.run(['openssl', 'passwd', '-5', '-salt', 'salt', 'pw'], text=True,
                            check=True, capture_output=True, timeout=30).stdout.strip()
    where = {user: names[i % len(names)] for i, user in enumerate(users)}
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute('create table users (name, password, backend)')
        database.executemany('insert into users values (?, ?, ?)',
                             [(address(user), hashed, backend) for user, backend in where.items()])
        database.commit()
    more = ('directories = ( { name = "sql"; sqlite: { file = "users.sqlite"; query = '
            '"SELECT password, backend FROM users WHERE name = :user"; }; } );\n'
            'lmtp: { delivery_timeout = "4s"; verify_timeout = "2s"; };')
    serve(field, POOL + FAST, domain='directory = "sql";', more=more)
    return where


def tally(field, where, begins, names=None):
    """{(user, subject): how often} of all messages whose subjects begin so; each is where its user
    is said to be. names: of these stores only."""
    counts = collections.Counter()
    def look(imap):
        imap.select('INBOX', readonly=True)
        return imap.fetch('1:*', '(BODY.PEEK[HEADER.FIELDS (SUBJECT)])')[1]
    for name in names or field.stores:
        store = field.stores[name]
        for user in where:
            for item in with_imap(store, user, look):
                if isinstance(item, tuple) and begins.encode() in item[1]:
                    subject = item[1].split()[1].decode()
                    check(where[user] == name, f'{subject} of {user} is on {name}')
                    counts[user, subject] += 1
    return counts


def codes_of(lmtp, users, name):
    return dict(zip(users, (code for code, _ in lmtp.deliver(users, message(name)))))


def trouble(field, name, break_it, mend_it):
    users = all_users(field)[:10]
    where = by_directory(field, users)
    left = field.stores['left']
    with Lmtp(field) as lmtp:
        check(set(codes_of(lmtp, users, f'{name}-before').values()) == {250}, 'before')
        break_it(left)
        for turn in range(3): # unnoticed, noticed, known
            codes = codes_of(lmtp, users, f'{name}-{turn}')
            wanted = {user: 451 if where[user] == 'left' else 250 for user in users}
            check(codes == wanted, f'{name}, turn {turn}: {codes}')
        mend_it(left)
        mended = time.monotonic()
        while set(codes_of(lmtp, users, f'{name}-after').values()) != {250}:
            check(time.monotonic() < mended + 5, f'{name}: mail does not go on')
            time.sleep(0.1)
        print(f'  {name}: mail goes on {time.monotonic() - mended:.1f} s after', flush=True)
    for user in users:
        counts = holds(field, user, f'{name}-before')
        check(counts == {store: store == where[user] for store in field.stores}, counts)
        for turn in range(3):
            counts = holds(field, user, f'{name}-{turn}')
            check(counts[where[user]] == 1 or where[user] == 'left', f'{user}: {counts}')
            check(sum(counts.values()) == counts[where[user]], f'{user} elsewhere: {counts}')
        check(holds(field, user, f'{name}-after')[where[user]] >= 1, user)


def test_killed(field):
    """kill -9 of a backend: its users' mail is put off, the others have theirs, in one and the same
    transaction; and it goes on within the health interval."""
    trouble(field, 'killed', lambda store: store.stop(signal.SIGKILL),
            lambda store: store.start(keep=True))


def test_hangs(field):
    """The same of one that takes connections and says nothing."""
    trouble(field, 'hangs', lambda store: store.stop_answering(), lambda store: store.go_on())


def test_load(field):
    """Senders that try again what was put off, while a backend is killed and hangs by turns: in the
    end everybody has everything, at least once, and nothing of others'."""
    users = all_users(field)
    where = by_directory(field, users)
    wanted, bad, lock = collections.Counter(), [], threading.Lock()
    stopped = threading.Event()

    def send(number):
        rng = random.Random(number)
        turn = 0
        while not stopped.is_set():
            turn += 1
            name = f'load-{number}-{turn}'
            left = rng.sample(users, 4)
            with lock:
                wanted.update((user, name) for user in left)
            while left:
                try:
                    with Lmtp(field) as lmtp:
                        answers = lmtp.deliver(left, message(name))
                except (OSError, smtplib.SMTPException) as error:
                    bad.append(f'the gateway: {error}')
                    return
                for user, (code, said) in zip(list(left), answers):
                    if code == 250:
                        left.remove(user)
                    elif code != 451:
                        bad.append(f'{user}: {code} {said}')
                        left.remove(user)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    store = field.stores['right']
    for turn in range(4):
        time.sleep(0.7)
        if turn % 2:
            store.stop_answering()
            time.sleep(1)
            store.go_on()
        else:
            store.stop(signal.SIGKILL)
            time.sleep(0.5)
            store.start(keep=True)
    time.sleep(0.5)
    stopped.set()
    for thread in threads:
        thread.join(60)
    check(not bad, bad[:5])
    counts = tally(field, where, 'load-')
    check(set(counts) == set(wanted), f'{len(set(wanted) - set(counts))} lost, '
          f'{len(set(counts) - set(wanted))} that nobody sent')
    twice = sum(count > 1 for count in counts.values())
    print(f'  {len(wanted)} delivered, {twice} of them more than once', flush=True)


def main():
    tests = {name: value for name, value in globals().items() if name.startswith('test_')}
    with Field(users=24, kind=MailStore) as field:
        for name in sys.argv[1:] or tests:
            began = time.monotonic()
            tests[name](field)
            print(f'{name}: ok, {time.monotonic() - began:.1f} s', flush=True)


if __name__ == '__main__':
    sys.exit(main())
