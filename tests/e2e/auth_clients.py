#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Log-ins other than by a plain password, by clients of other people's making against `serve`:
SCRAM with and without channel binding (GNU SASL), OAuth tokens (curl), client certificates
(EXTERNAL), master users, networks that are allowed, PROXY headers. Then what must not work."""
import base64
import imaplib
import json
import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import time

from clients import run
from harness import IMAP, IMAPS, POP3S, RINGPOST, SUBMISSION, Gateway, check, make_authority

HOST = 'localhost'
PROXY, PROXY_TLS = 144, 994  # IMAP listeners behind a PROXY header
CONFIG = '''
host_name = "localhost"; cores = 2; {user}
store: {{ directory = "store"; }};
tls: {{
  certificates = ( {{ certificate = "certificate.pem"; key = "key.pem"; }} );
  client_ca = "authority.pem"; client_certificate = "ask";
}};
auth: {{
  default_domain = "example.test"; master_users = "masters";
  mechanisms = [ "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1",
                 "OAUTHBEARER", "XOAUTH2", "EXTERNAL", "PLAIN", "LOGIN" ];
  failure_delay_first = "10ms"; failure_delay = "50ms";
  tokens: {{ jwks = "jwks.json"; issuer = "https://issuer.example.test"; audience = "mail"; }};
}};
domains = ( {{ name = "example.test"; users = "users"; }} );
listeners = (
  {{ protocol = "submission"; address = "127.0.0.1"; port = {submission}; tls = "start"; }},
  {{ protocol = "imap"; address = "127.0.0.1"; port = {imap}; tls = "start"; }},
  {{ protocol = "imap"; address = "127.0.0.1"; port = {imaps}; tls = "implicit"; }},
  {{ protocol = "pop3"; address = "127.0.0.1"; port = {pop3s}; tls = "implicit"; }},
  {{ protocol = "imap"; address = "127.0.0.1"; port = {proxy}; tls = "start";
     proxy_protocol = "127.0.0.1"; }},
  {{ protocol = "imap"; address = "127.0.0.1"; port = {proxy_tls}; tls = "implicit";
     proxy_protocol = "127.0.0.1"; }}
);
'''


class Serving(Gateway):
    """`ringpost serve` with a config and users of its own."""

    def start(self, wait=True):
        self.folder = os.path.join(self.directory, 'try')
        make_authority(self)
        make_client_certificate(self.folder)
        self.signer = make_keys(self.folder)
        is_root = os.geteuid() == 0
        write(self.folder, 'ringpost.conf', CONFIG.format(
            user='user = "nobody";' if is_root else '', submission=self.port(SUBMISSION),
            imap=self.port(IMAP), imaps=self.port(IMAPS), pop3s=self.port(POP3S),
            proxy=self.port(PROXY), proxy_tls=self.port(PROXY_TLS)))
        write(self.folder, 'users', users())
        write(self.folder, 'masters', f'master@example.test:{crypted("master pw")}\n')
        if is_root:
            give_to(self.directory, 'nobody')
        with open(self.log, 'ab') as out:
            self.process = subprocess.Popen(
                [RINGPOST, 'serve', '--config', os.path.join(self.folder, 'ringpost.conf')],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            check(self.process.poll() is None, 'the gateway ended')
            try:
                with socket.create_connection((HOST, self.port(IMAPS)), 2):
                    return
            except OSError:
                time.sleep(0.05)
        sys.exit('the gateway does not listen')

    def secure(self):
        context = ssl.create_default_context(cafile=self.authority)
        return imaplib.IMAP4_SSL(HOST, self.port(IMAPS), ssl_context=context, timeout=30)


def give_to(folder, user):
    for path, _, files in os.walk(folder):
        for name in ['.', *files]:
            shutil.chown(os.path.join(path, name), user)


def write(folder, name, text):
    with open(os.path.join(folder, name), 'w', encoding='utf-8') as file:
        file.write(text)
    os.chmod(os.path.join(folder, name), 0o600)


def crypted(password):
    return run('openssl', 'passwd', '-6', password).decode().strip()


def users():
    scram = [run('gsasl', '--mkpasswd', '-m', name, '-p', 'scram pw', '--iteration-count',
                 '4096').decode().strip() for name in ('SCRAM-SHA-256', 'SCRAM-SHA-1')]
    plain = crypted('pw')
    return (f'scram@example.test:{" ".join(scram)}\n'
            f'plain@example.test:{plain}\n'
            f'near@example.test:{plain}::::::allow_nets=127.0.0.0/8,::1\n'
            f'far@example.test:{plain}::::::allow_nets=192.0.2.0/24\n'
            f'locked@example.test:!{plain}\n')


def make_client_certificate(folder):
    def openssl(*words):
        subprocess.run(['openssl', *words], check=True, capture_output=True, cwd=folder, timeout=60)
    for name, address in (('client', 'plain@example.test'), ('stranger', 'x@elsewhere.test')):
        write(folder, name + '.ext', f'subjectAltName=email:{address}\n'
                                     f'extendedKeyUsage=clientAuth\n')
        openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout',
                name + '.key', '-out', name + '.req', '-subj', '/CN=somebody')
        openssl('x509', '-req', '-in', name + '.req', '-CA', 'authority.pem', '-CAkey',
                'authority.key', '-CAcreateserial', '-extfile', name + '.ext', '-days', '20',
                '-out', name + '.pem')


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def make_keys(folder):
    """An issuer's ES256 key and its JWKS; returns what signs claims."""
    key = os.path.join(folder, 'issuer.key')
    run('openssl', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', key)
    point = run('openssl', 'ec', '-in', key, '-pubout', '-outform', 'DER')[-64:]
    write(folder, 'jwks.json', json.dumps({'keys': [
        {'kty': 'EC', 'crv': 'P-256', 'kid': 'one', 'alg': 'ES256', 'use': 'sig',
         'x': base64url(point[:32]), 'y': base64url(point[32:])}]}))

    def sign(claims, **header):
        head = {'alg': 'ES256', 'kid': 'one', 'typ': 'JWT', **header}
        text = '.'.join(base64url(json.dumps(part).encode()) for part in (head, claims))
        der = run('openssl', 'dgst', '-sha256', '-sign', key, stdin=text.encode())
        at, raw = 2, b''
        for _ in range(2):  # SEQUENCE { INTEGER r, INTEGER s }
            size = der[at + 1]
            raw += int.from_bytes(der[at + 2:at + 2 + size], 'big').to_bytes(32, 'big')
            at += 2 + size
        return f'{text}.{base64url(raw)}'
    return sign


def claims(**more):
    now = int(time.time())
    return {'iss': 'https://issuer.example.test', 'aud': ['mail', 'other'], 'iat': now,
            'exp': now + 300, 'email': 'plain@example.test', **more}


def refused(imap, how):
    try:
        how(imap)
    except imaplib.IMAP4.error as error:
        check('AUTHENTICATIONFAILED' in str(error), f'refused for another reason: {error}')
        return
    raise AssertionError('a log-in that must not work did')


def test_scram(gateway):
    for mechanism in ('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256', 'SCRAM-SHA-1-PLUS', 'SCRAM-SHA-1'):
        for protocol, port in (('--imap', IMAP), ('--smtp', SUBMISSION)):
            common = ('gsasl', protocol, '-m', mechanism, f'--connect={HOST}:{gateway.port(port)}',
                      '--x509-ca-file', gateway.authority, '-a', 'scram@example.test',
                      '--no-cb' if not mechanism.endswith('PLUS') else '--verbose')
            out = run(*common, '-p', 'scram pw')
            check(b'authentication finished' in out.lower() or b'OK' in out or b'235' in out,
                  f'{mechanism} {protocol}: {out!r}')
            run(*common, '-p', 'wrong', ok=(1, 2, 134))
    imap = gateway.secure()
    imap.login('scram', 'scram pw')  # a password against a SCRAM record
    imap.logout()
    refused(gateway.secure(), lambda imap: imap.login('scram', 'Scram pw'))


def test_tokens(gateway):
    for mechanism in ('OAUTHBEARER', 'XOAUTH2'):
        for scheme, port in (('imaps', IMAPS), ('pop3s', POP3S)):
            def fetch(token, status):
                done = subprocess.run(
                    ['curl', '-sS', '--cacert', gateway.authority, '-u', 'plain@example.test:',
                     '--oauth2-bearer', token, '--login-options', f'AUTH={mechanism}',
                     f'{scheme}://{HOST}:{gateway.port(port)}/'], capture_output=True, timeout=60,
                    check=False)
                check(done.returncode == status, f'{mechanism} {scheme}: {done}')
            fetch(gateway.signer(claims()), 0)
            fetch(gateway.signer(claims(exp=int(time.time()) - 300)), 67)
            fetch(gateway.signer(claims(aud='other')), 67)
            fetch(gateway.signer(claims(iss='https://elsewhere.test')), 67)
            fetch(gateway.signer(claims(email='scram@example.test')), 67)
            fetch(gateway.signer(claims(), alg='none'), 67)
            fetch(gateway.signer(claims(), kid='two'), 67)
            good = gateway.signer(claims())
            fetch(good[:-8] + ('A' if good[-8] != 'A' else 'B') + good[-7:], 67)


def test_certificates(gateway):
    for name, status in (('client', 'OK'), ('stranger', 'NO'), (None, 'NO')):
        context = ssl.create_default_context(cafile=gateway.authority)
        if name:
            context.load_cert_chain(os.path.join(gateway.folder, name + '.pem'),
                                    os.path.join(gateway.folder, name + '.key'))
        imap = imaplib.IMAP4_SSL(HOST, gateway.port(IMAPS), ssl_context=context, timeout=30)
        offered = 'AUTH=EXTERNAL' in imap.capabilities
        check(offered == bool(name), f'{name}: {imap.capabilities}')
        try:
            got = imap.authenticate('EXTERNAL', lambda _: b'')[0]
        except imaplib.IMAP4.error:
            got = 'NO'
        check(got == status, f'EXTERNAL by {name}: {got}')
        imap.shutdown()


def test_masters_and_networks(gateway):
    imap = gateway.secure()
    imap.login('"plain*master"', 'master pw')  # "*" is no character of an atom
    imap.logout()
    imap = gateway.secure()
    imap.authenticate('PLAIN', lambda _: b'plain@example.test\0master\0master pw')
    imap.logout()
    imap = gateway.secure()
    imap.login('near', 'pw')
    imap.logout()
    for user, password in (('far', 'pw'), ('locked', 'pw'), ('nobody', 'pw'), ('plain', 'pW'),
                           ('plain*master', 'pw'), ('*)(uid=*', 'pw'),
                           ('nobody*master', 'master pw'), ('master', 'master pw')):
        refused(gateway.secure(), lambda imap, u=user, p=password: imap.login(f'"{u}"', p))
    refused(gateway.secure(), lambda imap: imap.authenticate(
        'PLAIN', lambda _: b'scram@example.test\0plain@example.test\0pw'))


def test_proxy(gateway):
    """The address in the header is the client's: far's network is let in by it."""
    def attempt(header, user):
        with socket.create_connection((HOST, gateway.port(PROXY)), 10) as raw:
            raw.sendall(header)
            first = raw.makefile('rb').readline()
            check(first.startswith(b'* OK'), f'{header!r}: {first!r}')
            raw.sendall(b'a STARTTLS\r\n')
            check(raw.recv(100).startswith(b'a OK'), 'STARTTLS behind a PROXY header')
            context = ssl.create_default_context(cafile=gateway.authority)
            with context.wrap_socket(raw, server_hostname=HOST) as tls:
                tls.sendall(f'b LOGIN {user} pw\r\n'.encode())
                return tls.recv(1000)
    v1 = b'PROXY TCP4 192.0.2.7 192.0.2.1 1024 143\r\n'
    v2 = (b'\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c' + bytes([192, 0, 2, 7, 192, 0, 2, 1]) +
          (1024).to_bytes(2, 'big') + (143).to_bytes(2, 'big'))
    for header in (v1, v2):
        check(attempt(header, 'far').startswith(b'b OK'), f'far by {header!r}')
        check(b'AUTHENTICATIONFAILED' in attempt(header, 'near'), f'near by {header!r}')
    for header in (b'a NOOP\r\n', b'PROXY TCP4 1.2.3.4\r\n', v1[:20] + b'\r\n',
                   v2[:14] + b'\xff\xff' + bytes(2000)):
        with socket.create_connection((HOST, gateway.port(PROXY)), 10) as raw:
            raw.sendall(header)
            try:
                check(raw.recv(100) == b'', f'{header[:30]!r} is answered')
            except ConnectionResetError:
                pass


def test_proxy_before_tls(gateway):
    """The header and the beginning of the handshake in one segment, and a byte at a time."""
    context = ssl.create_default_context(cafile=gateway.authority)
    for is_trickled in (False, True):
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(into, out, server_hostname=HOST)
        with socket.create_connection((HOST, gateway.port(PROXY_TLS)), 10) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sent = b'PROXY TCP4 192.0.2.7 192.0.2.1 1024 993\r\n'

            def step(call):
                nonlocal sent
                while True:
                    try:
                        result = call()
                    except ssl.SSLWantReadError:
                        result = None
                    sent += out.read()
                    for at in range(len(sent)) if is_trickled else [0]:
                        raw.sendall(sent[at:at + 1] if is_trickled else sent)
                    sent = b''
                    if result is not None:
                        return result
                    into.write(raw.recv(65536))
            step(lambda: tls.do_handshake() or True)
            check(step(lambda: tls.read(1000)).startswith(b'* OK'), 'the greeting')
            step(lambda: tls.write(b'a LOGIN far pw\r\n'))
            check(step(lambda: tls.read(1000)).startswith(b'a OK'), 'far is let in')


def test_clear(gateway):
    """Nothing that carries a password is offered or taken in clear."""
    imap = imaplib.IMAP4(HOST, gateway.port(IMAP), timeout=30)
    check('LOGINDISABLED' in imap.capabilities and 'STARTTLS' in imap.capabilities and
          not any(name.startswith('AUTH=') for name in imap.capabilities), imap.capabilities)
    for how in (lambda: imap.login('plain', 'pw'),
                lambda: imap.authenticate('PLAIN', lambda _: b'\0plain\0pw')):
        try:
            how()
        except imaplib.IMAP4.error as error:
            check('PRIVACYREQUIRED' in str(error), str(error))
        else:
            raise AssertionError('logged in, in clear')
    imap.logout()
    with smtplib.SMTP(HOST, gateway.port(SUBMISSION), timeout=30) as smtp:
        smtp.ehlo()
        check(smtp.has_extn('starttls') and not smtp.has_extn('auth'), smtp.esmtp_features)
        code, text = smtp.docmd('AUTH', 'PLAIN AHBsYWluAHB3')
        check(code in (538, 530), f'AUTH in clear: {code} {text}')
        code, text = smtp.docmd('MAIL', 'FROM:<plain@example.test>')
        check(code == 530, f'MAIL in clear: {code} {text}')


def main():
    tests = [value for name, value in globals().items() if name.startswith('test_')]
    with Serving() as gateway:
        for test in tests:
            test(gateway)
            print(f'{test.__name__.removeprefix("test_")}: ok', flush=True)


if __name__ == '__main__':
    sys.exit(main())
