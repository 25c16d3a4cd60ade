#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What other people's servers behind the gateway make of it: a Dovecot that wants a certificate of
us, Postfix that takes submissions of Dovecot's users, and another gateway, of which some refer to
each other.

usage: RINGPOST=build/gcc/src/main/ringpost tests/e2e/front_behind.py [TEST]...
"""
import base64
import contextlib
import os
import re
import socket
import subprocess
import sys
import time

from front_false import FalseBackend
from front_harness import Field, Store, failure, marker, peers
from harness import check

CA = 'tls = "start"; tls_ca = "authority.pem"; '
CLEAR = 'tls = "none"; '


class Strict(Store):
    """Dovecot that logs in only who shows a certificate of its authority; its users may submit to
    Postfix too."""

    def prepare(self):
        is_new = not os.path.isdir(os.path.join(self.dir, 'mail'))
        super().prepare()
        if is_new:
            with open(os.path.join(self.dir, 'dovecot.conf'), 'a', encoding='ascii') as file:
                file.write(f'ssl_ca = <{self.authority.file}\nssl_require_crl = no\n'
                           'service auth {\n  unix_listener auth-submission {\n    mode = 0666\n'
                           '  }\n}\n')
                file.write(self.STRICT)

    STRICT = ('ssl_verify_client_cert = yes\nauth_ssl_require_client_cert = yes\n'
              'verbose_ssl = yes\n')


class Trusting(Strict):
    STRICT = 'verbose_ssl = yes\n'


def handshakes(field):
    """Those of TLS in which that Dovecot has shown its certificate, and those that it broke off."""
    with open(os.path.join(field.stores['left'].dir, 'info'), encoding='utf-8') as file:
        text = file.read()
    return (len(re.findall(r'write certificate(?! [rv])', text)),
            len(re.findall('context uninitialized, session=', text)))


def pair_of(field, name, authority):
    """A certificate for a client, in the gateway's folder; keys of the pool."""
    folder = os.path.join(field.dir, name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(authority.folder, 'extensions'), 'w', encoding='ascii') as file:
        file.write('basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n'
                   'extendedKeyUsage=clientAuth\nsubjectAltName=DNS:gateway.test\n')
    authority.issue(folder)
    return f'tls_certificate = "{name}/certificate.pem"; tls_key = "{name}/key.pem"; '


def test_certificate(_):
    """A backend that wants to see a certificate of ours. This Dovecot breaks off each handshake
    that would resume a session where it asks for certificates: nobody but its log hears of that."""
    with Field(('left',), users=4, kind=Strict) as field:
        ours = pair_of(field, 'ours', field.authority)
        other = type(field.authority)(field.ground.path('stranger'))
        strangers = pair_of(field, 'strangers', other)
        field.serve(CA + ours + 'health_interval = "0s"; affinity = "0s"; ')
        log_in_often(field)
        broken = handshakes(field)[1]
        check(broken <= 12, f'{broken} times, on two cores and by two protocols')
        for pool in (CA, CA + strangers):
            field.serve(pool + 'health_interval = "0s"; connect_timeout = "900ms"; '
                               'login_timeout = "1s"; verify = "backend"; ', domain='')
            for port in 'imap', 'pop3':
                said = failure(field, 'u1', port=port)
                check("didn't present valid SSL certificate" in said, said) # it calls that AUTH


def log_in_often(field):
    for turn in range(12): # each core keeps sessions of its own
        imap = field.imap(f'u{turn % 4}')
        check(marker(imap) == (f'u{turn % 4}', 'left'), 'whose mailbox')
        imap.logout()
        field.pop3(f'u{turn % 4}').quit()
    failed = [line for line in field.lines() if line.get('event') == 'backend_login']
    check(not failed, f'somebody was not let in at once: {failed}')


def test_resumption(_):
    """Log-ins begin TLS from where an earlier one left it: few certificates are shown."""
    with Field(('left',), users=4, kind=Trusting) as field:
        field.serve(CA + 'health_interval = "0s"; affinity = "0s"; ')
        log_in_often(field)
        shown, broken = handshakes(field)
        check(shown <= 8 and broken == 0, f'{shown} of 24 handshakes were full, {broken} failed')
        field.stores['left'].stop()
        field.stores['left'].start(keep=True) # with other keys for its tickets
        log_in_often(field)


class Postfix(peers.Postfix):
    """Takes mail of who logs in with Dovecot's passwords, and believes the gateway's XCLIENT."""

    def __init__(self, ground, store):
        self.store = store
        super().__init__(ground, f'lmtp:inet:127.0.0.1:{store.ports["lmtp"]}')

    def prepare(self):
        super().prepare()
        with open(os.path.join(self.dir, 'etc', 'main.cf'), 'a', encoding='ascii') as file:
            file.write('smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\n'
                       f'smtpd_sasl_path = {self.store.dir}/run/auth-submission\n'
                       'mynetworks = 192.0.2.0/32\n'
                       'smtpd_relay_restrictions = permit_sasl_authenticated, reject\n'
                       'smtpd_authorized_xclient_hosts = 127.0.0.0/8\n')


class Submitting(Field):
    GATEWAY_PORTS = (*Field.GATEWAY_PORTS, 'submission')

    def config_text(self, *words, **more):
        listener = (f'{{ protocol = "submission"; address = "127.0.0.1"; port = '
                    f'{self.ports["submission"]}; plain_login = true; }},')
        return super().config_text(*words, **more).replace('listeners = (\n',
                                                           f'listeners = (\n  {listener}\n')


def test_submission(_):
    """Mail that curl and swaks submit through the gateway to Postfix arrives once, as it was."""
    with Submitting(('left',), users=4, kind=Trusting) as field, \
            contextlib.ExitStack() as stack:
        postfix = Postfix(field.ground, field.stores['left'])
        problem = postfix.problem()
        if problem:
            print(f'postfix: {problem}')
            return
        postfix.start()
        stack.callback(postfix.stop)
        field.serve(CLEAR + 'identity = "native"; verify = "backend"; ', domain='',
                    backends=field.backend('left',
                                           more=f'submission = {postfix.ports["smtp"]}; '))
        lines = [b'.', b'..two', b'a' * 900, b'\xc3\xa4 8bit', b'', b'end .']
        for number, (user, submit) in enumerate((('u1', by_curl), ('u2', by_swaks),
                                                 ('u1', by_socket))):
            body = b'\r\n'.join([b'%d' % number, *lines]) + b'\r\n'
            head = (f'From: {user}@example.test\r\nTo: u3@example.test\r\nSubject: number {number}'
                    f'\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <{number}@test>\r\n'
                    f'MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n'
                    f'Content-Transfer-Encoding: 8bit\r\n\r\n').encode()
            submit(field, user, head + body)
            arrived(field, number, head, body)
        with socket.create_connection(('127.0.0.1', field.ports['submission']), 20) as client:
            file = client.makefile('rb')
            reply(file)
            for said, wanted in ((b'EHLO here', b'250'), (b'MAIL FROM:<u1@example.test>', b'530'),
                                 (b'AUTH PLAIN ' + initial('u1@example.test', 'no'), b'535'),
                                 (b'QUIT', b'221')):
                client.sendall(said + b'\r\n')
                heard = reply(file)
                check(heard.startswith(wanted), f'{said}: {heard}')


def initial(user, password):
    return base64.b64encode(f'\0{user}\0{password}'.encode())


def reply(file):
    line = file.readline()
    while line[3:4] == b'-':
        line = file.readline()
    return line


def by_curl(field, user, message):
    field.write('message', '')
    with open(os.path.join(field.dir, 'message'), 'wb') as file:
        file.write(message)
    run('curl', '-sS', '--url', f'smtp://127.0.0.1:{field.ports["submission"]}', '--user',
        f'{user}@example.test:pw', '--mail-from', f'{user}@example.test', '--mail-rcpt',
        'u3@example.test', '--upload-file', os.path.join(field.dir, 'message'))


def by_swaks(field, user, message):
    with open(os.path.join(field.dir, 'message'), 'wb') as file:
        file.write(message.removesuffix(b'\r\n')) # it puts one behind
    run('swaks', '--server', '127.0.0.1', '--port', str(field.ports['submission']), '--auth',
        'PLAIN', '--auth-user', f'{user}@example.test', '--auth-password', 'pw', '--from',
        f'{user}@example.test', '--to', 'u3@example.test', '--data',
        '@' + os.path.join(field.dir, 'message'))


def by_socket(field, user, message):
    """All at once, as far as PIPELINING goes, from an address that Postfix is to hear of."""
    with socket.create_connection(('127.0.0.1', field.ports['submission']), 20,
                                  ('127.0.0.77', 0)) as client:
        file = client.makefile('rb')
        reply(file)
        client.sendall(b'EHLO here\r\n')
        reply(file)
        client.sendall(b'AUTH PLAIN ' + initial(f'{user}@example.test', 'pw') + b'\r\n')
        check(reply(file).startswith(b'235'), 'AUTH')
        client.sendall(f'MAIL FROM:<{user}@example.test>\r\nRCPT TO:<u3@example.test>\r\nDATA\r\n'
                       .encode())
        heard = [reply(file)[:3] for _ in range(3)]
        check(heard == [b'250', b'250', b'354'], heard)
        dotted = b''.join(b'.' + line if line.startswith(b'.') else line
                          for line in message.splitlines(True))
        client.sendall(dotted + b'.\r\nQUIT\r\n')
        heard = reply(file)
        check(heard.startswith(b'250'), heard)
        check(reply(file).startswith(b'221'), 'QUIT')


def arrived(field, number, head, body):
    """It is in u3's mailbox, once, as it was sent, below what servers put in front."""
    until = time.monotonic() + 15
    while True:
        with field.imap('u3') as imap:
            imap.select('INBOX', readonly=True)
            found = imap.search(None, 'HEADER', 'Message-ID', f'<{number}@test>')[1][0].split()
            if found:
                text = imap.fetch(found[0], '(BODY.PEEK[])')[1][0][1]
                break
        check(time.monotonic() < until, f'message {number} does not arrive')
        time.sleep(0.1)
    check(len(found) == 1, f'it came {len(found)} times')
    above, blank, got = text.partition(b'\r\n\r\n')
    check(got == body, f'other bytes: {got!r}')
    check(above.endswith(head.removesuffix(blank)), f'another header: {above!r}')
    if number == 2:
        check(b'127.0.0.77' in above, f'Postfix was not told of the client: {above!r}')


def run(*command):
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    check(done.returncode == 0, f'{command[0]}: {done.returncode} {done.stdout[-1500:]!r} '
          f'{done.stderr[-500:]!r}')


def test_chain(_):
    """X11: a gateway before a gateway: the mailbox is the user's, and the hops left fall; those
    that refer to each other say so, and each log-in ends."""
    native = CLEAR + 'identity = "native"; verify = "backend"; health_interval = "0s"; '

    def before(field, more=''):
        return (f'{{ name = "next"; address = "127.0.0.1"; imap = {field.ports["imap"]}; '
                f'pop3 = {field.ports["pop3"]}; {more} }}')
    with Field(('left',), users=4) as inner:
        inner.serve(native, domain='')
        with Field(names=()) as outer, FalseBackend(
                os.path.join(outer.dir, 'certificate.pem'),
                os.path.join(outer.dir, 'key.pem')) as last:
            outer.serve(native, domain='', backends=before(inner))
            imap = outer.imap('u1', source='127.0.0.66')
            check(marker(imap) == ('u1', 'left'), 'whose mailbox')
            imap.logout()
            check('AUTHENTICATIONFAILED' in failure(outer, 'u1', 'wrong'), 'a wrong password')
            inner.stores['left'].said_in('imap-login: Info: Login: user=<u1@example.test>')
            hops_fall(inner, outer, last, native)
            brief = native + 'connect_timeout = "1s"; login_timeout = "3s"; '
            inner.serve(brief, domain='', backends=before(outer))
            outer.serve(brief, domain='', backends=before(inner))
            began = time.monotonic()
            said = failure(outer, 'u2')
            check('CONTACTADMIN' in said and 'circle' in said, said)
            check(time.monotonic() - began < 2, 'a circle is no reason to try again')
            said = failure(outer, 'u2', port='pop3') # which has no hops to count: in time
            check('SYS/' in said and time.monotonic() - began < 9, said)
            circle = [line for field in (inner, outer) for line in field.lines()
                      if 'circle' in line.get('problem', '')]
            check(circle, 'no line of a log says it')


def hops_fall(inner, outer, last, native):
    inner.serve(native, domain='', backends='{ name = "false"; address = "127.0.0.1"; imap = '
                f'{last.ports["imap"]}; pop3 = {last.ports["pop3"]}; }}')

    def hops(field):
        last.clear = b''
        with field.imap('u1'):
            pass
        found = last.clear.partition(b'"x-proxy-ttl" "')[2][:1]
        check(found.isdigit(), f'no hops in {last.clear!r}')
        return int(found)
    one = hops(inner)
    two = hops(outer)
    check(two == one - 1, f'{one} hops left behind one gateway, {two} behind two')


def main():
    tests = {name: value for name, value in globals().items() if name.startswith('test_')}
    for name in sys.argv[1:] or tests:
        began = time.monotonic()
        tests[name](None)
        print(f'{name}: ok, {time.monotonic() - began:.1f} s', flush=True)


if __name__ == '__main__':
    sys.exit(main())
