#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys of the config that only show with clients: several certificates by name, a PROXY header that
is wanted (X02), users of an SQLite directory, client certificates, quotas of submission; each taken
by a reload."""
import os
import poplib
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import sys

from harness import IMAPS, POP3, SUBMISSION, check
from reload import Service


def shown_name(gateway, name, **options):
    """The common name of the certificate for this SNI."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if options:
        context.load_cert_chain(**options)
    with socket.create_connection(('127.0.0.1', gateway.port(IMAPS)), 10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as secure:
            check(secure.recv(4) == b'* OK', 'no greeting')
            der = secure.getpeercert(True)
    text = subprocess.run(['openssl', 'x509', '-inform', 'DER', '-noout', '-subject'], input=der,
                          capture_output=True, check=True, timeout=60).stdout.decode()
    return text.strip().rsplit('= ', 1)[1]


def test_names(gateway):
    """Exact names, names under "*.", and the first for all others (T02)."""
    pairs = ''
    for name in ('first.test', 'second.test', '*.third.test'):
        pair = [os.path.join(gateway.place, f'{name[-10:].strip("*.")}.{end}')
                for end in ('pem', 'key')]
        folder = os.path.join(gateway.place, 'made')
        os.makedirs(folder, exist_ok=True)
        subprocess.run([os.environ['RINGPOST'], 'certificate', 'make', '--dir', folder, name],
                       check=True, capture_output=True, timeout=60)
        for made, path in zip(('certificate.pem', 'key.pem'), pair):
            os.rename(os.path.join(folder, made), path)
        pairs += f'{{ certificate = "{pair[0]}"; key = "{pair[1]}"; }}, '
    gateway.own()
    gateway.write(gateway.text.replace('certificates = ( {', f'certificates = ( {pairs} {{', 1))
    gateway.reload('taken')
    for asked, got in (('first.test', 'first.test'), ('SECOND.test', 'second.test'),
                       ('mx.third.test', '*.third.test'), ('a.mx.third.test', 'first.test'),
                       ('unknown.test', 'first.test'), ('localhost', 'localhost'),
                       (None, 'first.test')):
        shown = shown_name(gateway, asked)
        check(shown == got, f'for {asked} the certificate of {shown} is shown, not of {got}')


def test_client_certificate(gateway):
    authority, key = (os.path.join(gateway.place, name) for name in ('c.pem', 'c.key'))
    gateway.make_pair(authority, key)
    gateway.write(gateway.text.replace(
        'tls: {', f'tls: {{ client_ca = "{authority}"; client_certificate = "required"; '))
    gateway.own()
    os.chmod(authority, 0o644)
    check(shown_name(gateway, 'localhost') == 'localhost', 'before')
    said = gateway.reload('taken')
    check(not any('problem' in line for line in said), said)
    try:
        shown_name(gateway, 'localhost')
        raise AssertionError('a client without a certificate was served')
    except (ssl.SSLError, ConnectionError):
        pass
    check(shown_name(gateway, 'localhost', certfile=authority, keyfile=key) == 'localhost',
          'a client with a certificate was not served')


def test_proxy(gateway):
    port = f'port = {gateway.port(POP3)};'
    gateway.write(gateway.text.replace(port, port + ' proxy_protocol = "127.0.0.1";'))
    gateway.reload('taken')
    for said, served in ((b'PROXY TCP4 192.0.2.1 192.0.2.2 1000 110\r\n', True),
                         (b'PROXY TCP4 192.0.2.1 192.0.2.256 1000 110\r\n', False),
                         (b'CAPA\r\n', False)):
        with socket.create_connection(('127.0.0.1', gateway.port(POP3)), 10) as client:
            client.sendall(said)
            try:
                got = client.recv(3)
            except ConnectionError:
                got = b''
            check(got == (b'+OK' if served else b''), f'{said}: {got}')


def test_directory(gateway):
    """Users that an SQLite file knows; who they are changes without a reload."""
    path = os.path.join(gateway.place, 'users.db')
    with open(os.path.join(gateway.place, 'users.passwd'), encoding='utf-8') as file:
        secret = file.readline().strip().split(':', 1)[1]
    base = sqlite3.connect(path)
    base.execute('CREATE TABLE users (name TEXT PRIMARY KEY, password TEXT)')
    base.execute('INSERT INTO users VALUES (?, ?)', ('dora@data.test', secret))
    base.commit()
    gateway.own()
    gateway.write(gateway.text.replace('domains = (', 'domains = (\n  { name = "data.test"; '
                                                      'directory = "people"; },') +
                  'directories = ( { name = "people"; sqlite: { file = "users.db"; query = "SELECT '
                  'password FROM users WHERE name = :user"; }; } );\n')
    gateway.reload('taken')
    with gateway.smtp() as smtp:
        smtp.ehlo()
        smtp.mail('a@example.org')
        check(smtp.rcpt('dora@data.test')[0] == 250, 'a user of the directory')
        check(smtp.rcpt('nobody@data.test')[0] == 550, 'not a user of the directory')
        check(smtp.rcpt("x'or'1'='1@data.test")[0] == 550, 'a query in a name') # A04
        smtp.rset()
        smtp.sendmail('a@example.org', ['dora@data.test'], b'Subject: x\r\n\r\nx\r\n')
    pop3 = poplib.POP3('127.0.0.1', gateway.port(POP3), timeout=30)
    pop3.user('dora@data.test')
    pop3.pass_('pw')
    check(pop3.stat()[0] == 1, 'her mail')
    pop3.quit()


def test_quota(gateway):
    gateway.write(gateway.text + 'submission: { messages_per_user = 2; };\n')
    gateway.reload('taken')
    with smtplib.SMTP('127.0.0.1', gateway.port(SUBMISSION), timeout=30) as smtp:
        smtp.login('u1', 'pw')
        codes = []
        for _ in range(3):
            try:
                smtp.sendmail('u1@example.test', ['u0@example.test'], 'Subject: x\r\n\r\nx\r\n')
                codes.append(250)
            except smtplib.SMTPResponseException as error:
                codes.append(error.smtp_code)
            except smtplib.SMTPRecipientsRefused as error:
                codes.append(list(error.recipients.values())[0][0])
        check(codes == [250, 250, 450], codes)


def main():
    with Service() as gateway:
        for test in (test_names, test_client_certificate, test_proxy, test_directory, test_quota):
            test(gateway)
            gateway.write(gateway.text)
            gateway.reload('taken')
            print(f'{test.__name__}: ok', flush=True)


if __name__ == '__main__':
    sys.exit(main())
