#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# long
"""A new config, new users and new certificates while sessions go on: SIGHUP takes what is right
(C06), names each problem of what is not by file and line and leaves everything as it was (T13),
certificate files that change are taken by themselves, a thousand reloads under load leave nothing
behind, and one in the middle of a shutdown holds nothing up."""
import imaplib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from harness import ADMIN, IMAP, IMAPS, RINGPOST, SMTP, Gateway, check

MESSAGE = b'From: a@example.org\r\nSubject: reload\r\n\r\nx\r\n'
ROUNDS = int(os.environ.get('RINGPOST_RELOADS', '1000'))


class Service(Gateway):
    """`ringpost serve` on a config that the test changes; `ringpost try` has written the first."""

    def __init__(self):
        super().__init__(users=3)
        self.place = os.path.join(self.directory, 'try')
        self.config = os.path.join(self.place, 'ringpost.conf')
        self.key, self.certificate = (os.path.join(self.place, name)
                                      for name in ('key.pem', 'certificate.pem'))
        super().start()
        super().stop()
        with open(self.config, encoding='utf-8') as file:
            text = file.read()
        if os.geteuid() == 0:
            text = 'user = "nobody";\n' + text
            self.own()
        self.text = text.replace('tls: { ', 'tls: { reload_interval = "1s"; ')
        check(self.text != text, 'the config of try has no tls section')
        self.write(self.text)

    def own(self):
        """Everything belongs to whom the gateway becomes."""
        if os.geteuid() != 0:
            return
        nobody = pwd.getpwnam('nobody')
        os.chmod(self.directory, 0o755)
        for folder, _, files in os.walk(self.place):
            for name in [folder] + [os.path.join(folder, name) for name in files]:
                os.chown(name, nobody.pw_uid, nobody.pw_gid)

    def write(self, text):
        with open(self.config + '.new', 'w', encoding='utf-8') as file:
            file.write(text)
        os.rename(self.config + '.new', self.config)

    def start(self, wait=True):
        if not hasattr(self, 'text'):
            super().start(wait)
            return
        with open(self.log, 'ab') as out:
            self.process = subprocess.Popen([RINGPOST, 'serve', '--config', self.config],
                                            stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        if wait:
            self.wait()
            self.await_line(lambda line: line.get('event') == 'ready')

    def lines(self):
        with open(self.log, encoding='utf-8') as file:
            return [json.loads(line) for line in file if line.startswith('{') and
                    line.endswith('}\n')]

    def await_line(self, wanted, after=0, seconds=20):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for line in self.lines()[after:]:
                if wanted(line):
                    return line
            check(self.process.poll() is None, 'the gateway ended')
            time.sleep(0.05)
        raise AssertionError(f'the log does not say it: {self.lines()[after:]}')

    def reload(self, result, what='config'):
        """SIGHUP, and what the log says of it."""
        after = len(self.lines())
        self.process.send_signal(signal.SIGHUP)
        self.await_line(lambda line: line.get('event') == 'reload' and line.get('what') == what and
                        str(line.get('result', '')).startswith(result), after)
        return self.lines()[after:]

    def metric(self, name):
        page = urllib.request.urlopen(f'http://127.0.0.1:{self.port(ADMIN)}/metrics', timeout=10)
        for line in page.read().decode().splitlines():
            if line.startswith(f'ringpost_{name} '):
                return float(line.split()[1])
        raise AssertionError(f'no metric {name}')

    def shown_certificate(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(('127.0.0.1', self.port(IMAPS)), 10) as plain:
            with context.wrap_socket(plain, server_hostname='localhost') as secure:
                return ssl.DER_cert_to_PEM_cert(secure.getpeercert(True))

    def make_pair(self, certificate, key, days=30):
        """Self-signed; days below 0: it has ended."""
        def openssl(*words):
            subprocess.run(['openssl', *words], check=True, capture_output=True, timeout=60)
        request, extensions = (os.path.join(self.directory, name) for name in ('request', 'names'))
        write(extensions, 'subjectAltName=DNS:localhost\n')
        openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
                '/CN=localhost', '-keyout', key, '-out', request)
        openssl('x509', '-req', '-in', request, '-signkey', key, '-days', str(days), '-extfile',
                extensions, '-out', certificate)
        os.chmod(key, 0o600)
        self.own()


def pem(path):
    with open(path, encoding='ascii') as file:
        return ''.join(file.read().split())


def shows(gateway, path):
    return ''.join(gateway.shown_certificate().split()) == pem(path)


def imap_over_tls(gateway, user):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    imap = imaplib.IMAP4_SSL('127.0.0.1', gateway.port(IMAPS), ssl_context=context, timeout=30)
    imap.login(user, 'pw')
    imap.select('INBOX')
    return imap


def refused(gateway, address):
    with gateway.smtp() as smtp:
        smtp.ehlo()
        smtp.mail('a@example.org')
        return smtp.rcpt(address)[0] != 250


def test_good(gateway):
    """Users, aliases and domains that were not there; who is there stays (C06)."""
    sessions = [gateway.imap('u0'), imap_over_tls(gateway, 'u1@example.test')]
    check(refused(gateway, 'new@second.test'), 'a domain before it was there')
    users = os.path.join(gateway.place, 'users.passwd')
    with open(users, encoding='utf-8') as file:
        line = file.readline()
    with open(users, 'a', encoding='utf-8') as file:
        file.write(line.replace('u0@example.test', 'new@second.test'))
    gateway.write(gateway.text.replace('domains = (', 'domains = (\n  { name = "second.test"; '
                                                      'users = "users.passwd"; },'))
    gateway.reload('taken')
    with gateway.smtp() as smtp:
        smtp.sendmail('a@example.org', ['new@second.test', 'u0@example.test'], MESSAGE)
    imap = imaplib.IMAP4('127.0.0.1', gateway.port(IMAP), timeout=30)
    imap.login('new@second.test', 'pw')
    check(imap.select('INBOX')[1] == [b'1'], 'the new user has no mail')
    imap.logout()
    for session in sessions:
        check(session.noop()[0] == 'OK', 'an old session ended')
        session.logout()
    gateway.write(gateway.text)
    with open(users, 'r+', encoding='utf-8') as file: # or its user would have no domain
        text = file.read().splitlines(True)
        file.seek(0)
        file.writelines(text[:-1])
        file.truncate()
    gateway.reload('taken')
    check(refused(gateway, 'new@second.test'), 'a domain that is gone')


def test_broken(gateway):
    """Everything stays as it was, and every problem is said (C06)."""
    session = gateway.imap('u0')
    for text, line, what in (
            (gateway.text + 'coers = 2;\n', len(gateway.text.splitlines()) + 1, 'unknown key'),
            (gateway.text.replace('"u0"', '"nobody-here"', 1), None, ''),
            (gateway.text[:-30], None, '')):
        gateway.write(text)
        said = gateway.reload('not taken')
        problems = [one for one in said if one.get('event') == 'reload' and 'problem' in one]
        check(problems and all(one['file'] == gateway.config for one in problems), said)
        check(what in problems[0]['problem'] and line in (None, problems[0]['line']), problems)
        check(not refused(gateway, 'u0@example.test'), 'mail is not taken any more')
    os.rename(gateway.config, gateway.config + '.away')
    check(any('cannot read' in str(one.get('problem')) for one in gateway.reload('not taken')),
          'no word of the missing file')
    check(session.noop()[0] == 'OK', 'an old session ended')
    session.logout()
    gateway.write(gateway.text)
    gateway.reload('taken')


def test_fixed(gateway):
    """What only a restart can change is named, the rest is taken."""
    gateway.write(gateway.text.replace('host_name', 'cores = 7;\nhost_name', 1)
                  .replace('store = "', 'store = "x', 1)
                  .replace('drain_wait = "5s"', 'drain_wait = "6s"')
                  .replace(f'port = {gateway.port(IMAP)}', f'port = {gateway.port(IMAP) + 1}'))
    said = gateway.reload('taken')
    named = {one['what'] for one in said if 'restart' in str(one.get('result'))}
    for what in ('cores', 'drain_wait',
                 f'a listener that is gone: 127.0.0.1 port {gateway.port(IMAP)}',
                 f'a new listener: 127.0.0.1 port {gateway.port(IMAP) + 1}'):
        check(what in named, f'{what} is not in {named}')
    gateway.imap('u0').logout()
    gateway.write(gateway.text)
    gateway.reload('taken')


def test_certificates(gateway):
    """A pair of files is taken when it is whole and right, without a signal (T13)."""
    session = imap_over_tls(gateway, 'u0@example.test')
    check(shows(gateway, gateway.certificate), 'the first certificate')
    new, new_key = (os.path.join(gateway.place, name) for name in ('new.pem', 'new.key'))
    gateway.make_pair(new, new_key)
    after = len(gateway.lines())
    os.rename(new, gateway.certificate)
    os.rename(new_key, gateway.key)
    gateway.await_line(lambda line: line.get('what') == 'certificates' and
                       line.get('result') == 'taken', after)
    check(shows(gateway, gateway.certificate), 'the new certificate is not shown')
    good, good_key = (shutil.copy(path, path + '.good') for path in
                      (gateway.certificate, gateway.key))
    seconds = gateway.metric('tls_certificate_seconds')
    check(29 * 86400 < seconds < 31 * 86400, f'{seconds} s until it ends')
    for spoil in (lambda: gateway.make_pair(new, gateway.key), # belongs to another certificate
                  lambda: write(gateway.certificate, 'no PEM\n'),
                  lambda: os.chmod(gateway.key, 0o644),
                  lambda: os.unlink(gateway.key),
                  lambda: gateway.make_pair(gateway.certificate, gateway.key, -1)):
        after = len(gateway.lines())
        spoil()
        gateway.own()
        problem = gateway.await_line(lambda line: line.get('what') == 'certificates' and
                                     'problem' in line, after)
        check(problem['file'] == gateway.config, problem)
        check(shows(gateway, good), 'the old certificate is gone')
        check('not taken' in gateway.reload('not taken')[-1]['result'], 'SIGHUP takes it')
        after = len(gateway.lines())
        for path, copy in ((gateway.certificate, good), (gateway.key, good_key)):
            shutil.copy(copy, path + '.new')
            os.chmod(path + '.new', 0o600)
            os.rename(path + '.new', path)
        gateway.own()
        gateway.await_line(lambda line: line.get('what') == 'certificates' and
                           line.get('result') == 'taken', after)
    check(session.noop()[0] == 'OK', 'a session under TLS ended')
    session.logout()


def test_ticket(gateway):
    """A session ticket from before is good after a reload (T13)."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def reused(session):
        with socket.create_connection(('127.0.0.1', gateway.port(IMAPS)), 10) as plain:
            with context.wrap_socket(plain, server_hostname='localhost',
                                     session=session) as secure:
                secure.recv(1000) # the tickets come with the greeting
                return secure.session, secure.session_reused
    session, first = reused(None)
    check(not first and reused(session)[1], 'no ticket')
    session = reused(None)[0]
    gateway.reload('taken')
    check(reused(session)[1], 'a ticket from before the reload')


def test_ends_soon(gateway):
    gateway.make_pair(gateway.certificate, gateway.key, 5)
    line = gateway.await_line(lambda line: line.get('event') == 'certificate')
    check(4 * 86400 < line['seconds_left'] <= 5 * 86400, line)


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def is_sanitized():
    """Such a program keeps freed memory for a while."""
    with open(RINGPOST, 'rb') as file:
        return b'__asan_init' in file.read()


def memory(gateway):
    with open(f'/proc/{gateway.process.pid}/status', encoding='ascii') as file:
        for line in file:
            if line.startswith('VmRSS'):
                return int(line.split()[1]) << 10
    raise AssertionError('no VmRSS')


class Load:
    """Mail in, log-ins and TLS handshakes, until told to stop; each failure is kept."""

    def __init__(self, gateway):
        self.gateway, self.failures, self.done, self.ends = gateway, [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(one,))
                        for one in (self.deliver, self.read, self.shake)]
        for thread in self.threads:
            thread.start()

    def run(self, one):
        while not self.ends.is_set():
            try:
                one()
                self.done += 1
            except Exception as error: # pylint: disable=broad-except
                self.failures.append(f'{one.__name__}: {error!r}')

    def deliver(self):
        with self.gateway.smtp() as smtp:
            for _ in range(20):
                smtp.sendmail('a@example.org', ['u0@example.test'], MESSAGE)

    def read(self):
        imap = self.gateway.imap('u1')
        for _ in range(20):
            check(imap.select('INBOX')[0] == 'OK', 'SELECT')
        imap.logout()

    def shake(self):
        self.gateway.shown_certificate()

    def stop(self):
        self.ends.set()
        for thread in self.threads:
            thread.join()
        check(not self.failures, f'{len(self.failures)} failures: {self.failures[:3]}')


def reloads(gateway):
    return gateway.metric('reloads_total') + gateway.metric('reloads_refused_total')


def test_thousand(gateway):
    """Good and broken ones under load: no session is lost, nothing is left behind (C06, T13)."""
    kept = [gateway.imap('u2'), imap_over_tls(gateway, 'u2@example.test')]
    load = Load(gateway)
    shaking = subprocess.Popen(['openssl', 's_time', '-connect', f'127.0.0.1:{gateway.port(IMAPS)}',
                                '-new', '-time', '5'], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    before = 0
    for i in range(ROUNDS):
        gateway.write(gateway.text + ('' if i % 4 else 'coers = 1;\n'))
        count = reloads(gateway)
        gateway.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 20
        while reloads(gateway) == count:
            check(time.monotonic() < until, f'reload {i} did not end')
        if i == ROUNDS // 4:
            before = memory(gateway)
    said = shaking.communicate(timeout=60)[0]
    count = re.search(r'(\d+) connections in \d+ real seconds', said)
    check(shaking.returncode == 0 and count and int(count[1]) > 100 and 'rror' not in said, said)
    load.stop()
    after = memory(gateway)
    check(is_sanitized() or after < before + (8 << 20),
          f'{before} bytes became {after} by {ROUNDS} reloads')
    for session in kept:
        check(session.noop()[0] == 'OK', 'an old session ended')
        session.logout()
    until = time.monotonic() + 20
    while gateway.metric('generations') > 1:
        check(time.monotonic() < until, f'{gateway.metric("generations")} generations are left')
        time.sleep(0.1)
    print(f'  {ROUNDS} reloads beside {load.done} rounds of load and {count[1]} handshakes: '
          f'{before >> 10} KiB, then {after >> 10} KiB', flush=True)
    gateway.write(gateway.text)


def test_shutdown(gateway):
    """SIGHUP before, with and after SIGTERM: it ends, in time, with 0 (C06)."""
    for delay in (0, 0.001, 0.005, 0.02, 0.1):
        session = gateway.imap('u0')
        gateway.process.send_signal(signal.SIGHUP)
        time.sleep(delay)
        gateway.process.send_signal(signal.SIGTERM)
        for _ in range(20):
            if gateway.process.poll() is None:
                gateway.process.send_signal(signal.SIGHUP)
        check(gateway.process.wait(20) == 0, f'exit status {gateway.process.returncode}')
        del session
        gateway.start()


def main():
    with Service() as gateway:
        for test in (test_good, test_broken, test_fixed, test_certificates, test_ticket,
                     test_ends_soon, test_thousand, test_shutdown):
            began = time.monotonic()
            test(gateway)
            print(f'{test.__name__}: ok ({time.monotonic() - began:.1f} s)', flush=True)


if __name__ == '__main__':
    sys.exit(main())
