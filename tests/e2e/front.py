#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The gateway in front of two real Dovecots: who is logged in where, how, and as whom; what the
backends are told of the client; TLS to them; what other people's clients make of it.

Every check reads the mailbox's marker (front_harness.py), so that a session that sees another
user's mailbox is found out.

usage: RINGPOST=build/gcc/src/main/ringpost tests/e2e/front.py [TEST]...
"""
import base64
import imaplib
import os
import poplib
import shutil
import socket
import ssl
import subprocess
import sys
import time

from front_harness import Field, failure, marker, of_marker
from harness import check

from auth_http import AuthHttp # of bench/peers, whose place front_harness has added

ON_LOOPBACK = 'tls = "none"; '
CA = 'tls = "start"; tls_ca = "authority.pem"; '
ONCE = 'connect_timeout = "900ms"; login_timeout = "1s"; ' # no time to try again


def homes(field, users, login=None):
    """{user: backend} by logging in."""
    found = {}
    for user in users:
        imap = login(user) if login else field.imap(user)
        whose, where = marker(imap)
        check(whose == user, f'{user} sees the mailbox of {whose}')
        found[user] = where
        imap.logout()
    return found


def test_spread(field):
    """Users are spread by their names and stay, for all protocols, and also after a restart and
    from another gateway; the log says who was where."""
    field.serve(CA)
    users = [f'u{i}' for i in range(field.users)]
    first = homes(field, users)
    for name in field.stores:
        count = list(first.values()).count(name)
        check(count >= field.users / 5, f'{count} of {field.users} users are on {name}')
    check(homes(field, users[:10]) == {user: first[user] for user in users[:10]}, 'they moved')
    line = field.session_line('u3')
    check(line.get('pool') == 'store' and line.get('backend') == first['u3'], line)
    for user in users[:5]:
        pop3 = field.pop3(user)
        text = b'\r\n'.join(pop3.retr(1)[1])
        check(of_marker(text) == (user, first[user]), f'POP3: {of_marker(text)}')
        pop3.quit()
    field.serve(CA)
    check(homes(field, users) == first, 'after a restart they are elsewhere')
    several = [field.imap('u7') for _ in range(5)]
    check({marker(imap) for imap in several} == {('u7', first['u7'])}, 'sessions of one user')
    for imap in several:
        imap.logout()


def test_passwords(field):
    """Verified here, by the backend, and by a master: a wrong password is said to be one."""
    def wrong(port, text):
        said = failure(field, 'u1', 'nonsense', port)
        check(text in said, f'{port}: {said}')
    field.serve(ON_LOOPBACK)
    wrong('imap', 'AUTHENTICATIONFAILED')
    wrong('pop3', 'AUTH')
    field.serve(ON_LOOPBACK + 'verify = "backend";', domain='')
    check(homes(field, ['u1', 'u2']), 'verified there')
    wrong('imap', 'AUTHENTICATIONFAILED')
    wrong('pop3', 'AUTH')
    check('AUTHENTICATIONFAILED' in failure(field, 'nobody'), 'a user that nobody knows')
    # the gateway's password is "other", which no backend knows: a master logs in
    other = subprocess.run(['openssl', 'passwd', '-5', 'other'], text=True, check=True,
                           capture_output=True, timeout=30).stdout.strip()
    field.write('others.passwd', ''.join(f'u{i}@example.test:{other}\n' for i in range(5)), 0o600)
    master = ON_LOOPBACK + 'login = "master"; master_user = "front"; master_password_file = ' \
        '"master"; '
    field.serve(master, domain='users = "others.passwd";')
    homes(field, ['u1', 'u2'], lambda user: field.imap(user, 'other'))
    pop3 = field.pop3('u3', 'other')
    check(of_marker(b'\r\n'.join(pop3.retr(1)[1]))[0] == 'u3', 'POP3 by a master')
    pop3.quit()
    wrong('imap', 'AUTHENTICATIONFAILED')
    field.write('wrong', 'no key\n', 0o600)
    field.serve(ONCE + master.replace('"master"; ', '"wrong"; ').replace(
        'login = "wrong"', 'login = "master"'), domain='users = "others.passwd";')
    said = failure(field, 'u1', 'other')
    check('UNAVAILABLE' in said, f'our own wrong master is not the user\'s fault: {said}')


def test_mechanisms(field):
    """PLAIN with and without an initial response, LOGIN, and literals."""
    field.serve(ON_LOOPBACK)
    initial = base64.b64encode(b'\0u4@example.test\0pw')
    for said in (b'a AUTHENTICATE PLAIN ' + initial + b'\r\n',
                 b'a AUTHENTICATE PLAIN\r\n' + initial + b'\r\n',
                 b'a LOGIN {15+}\r\nu4@example.test {2+}\r\npw\r\n',
                 b'a LOGIN "u4@example.test" "pw"\r\n', b'a LOGIN u4 pw\r\n'):
        with field.talk() as client:
            client.line()
            client.send(said)
            client.send(b'b EXAMINE INBOX\r\nc FETCH 1 BODY[HEADER]\r\nd LOGOUT\r\n')
            text = b''.join(client.until(b'd OK'))
            check(of_marker(text)[0] == 'u4', f'{said}: {text}')
    pop3 = poplib.POP3('127.0.0.1', field.ports['pop3'], timeout=20)
    check(pop3._shortcmd(f'AUTH PLAIN {initial.decode()}').startswith(b'+OK'), 'POP3 PLAIN')
    check(of_marker(b'\r\n'.join(pop3.retr(1)[1]))[0] == 'u4', 'POP3 by PLAIN')
    pop3.quit()


def test_pipelined(field):
    """X13: what is sent ahead of the log-in's answer reaches the backend once, in order, after it;
    and nothing of it where the log-in fails."""
    field.serve(CA)
    work = (b'b EXAMINE INBOX\r\nc FETCH 1 BODY[HEADER.FIELDS (SUBJECT)]\r\n' +
            b''.join(b'n%d NOOP\r\n' % i for i in range(200)) + b'd LOGOUT\r\n')
    for piece in (len(work) + 100, 37, 1):
        with field.talk() as client:
            client.line()
            said = b'a LOGIN u5@example.test pw\r\n' + work
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(said), piece):
                client.send(said[at:at + piece])
            lines = client.until(b'd OK')
            check(lines[-1] != b'', f'the end of the connection: {lines[-5:]}')
            tags = [line.split()[0] for line in lines if line[:1].islower() and b' OK' in line]
            check(tags == [b'a', b'b', b'c', *(b'n%d' % i for i in range(200)), b'd'],
                  f'in pieces of {piece}: {tags}')
            check(of_marker(b''.join(lines))[0] == 'u5', 'whose')
    with field.talk() as client:
        client.line()
        client.send(b'a LOGIN u5@example.test wrong\r\nb CREATE never\r\n'
                    b'c LOGIN u5@example.test pw\r\nd LIST "" never\r\ne LOGOUT\r\n')
        text = b''.join(client.until(b'e OK'))
        check(b'a NO' in text and b'b BAD' in text and b'c OK' in text and b'LIST (' not in text,
              text)
    with field.talk('pop3') as client:
        client.line()
        client.send(b'USER u6@example.test\r\nPASS pw\r\nSTAT\r\nRETR 1\r\nQUIT\r\n')
        text = client.rest()
        check(of_marker(text)[0] == 'u6' and text.count(b'+OK') == 5 + text.count(b'+OK user'),
              text)


def test_tls(field):
    """STARTTLS and TLS from the first byte, verified by authority, name and pin; what does not
    match makes the mailbox unavailable and is never a wrong password."""
    start, implicit = 'tls = "start"; ', 'tls = "implicit"; '
    pins = ', '.join(f'"{store.pin}"' for store in field.stores.values())
    inside = ', '.join(field.backend(name, imap='imaps', pop3='pop3s', sieve=None)
                       for name in field.stores)
    wrong_name = inside.replace('"localhost"', '"other.test"')
    for what, pool, backends, works in (
            ('start, CA', CA, None, True),
            ('implicit, CA', implicit + 'tls_ca = "authority.pem"; ', inside, True),
            ('start, pin', start + f'tls_pins = [ {pins} ]; ', None, True),
            ('implicit, pin', implicit + f'tls_pins = [ {pins} ]; ', inside, True),
            ('another CA', start + 'tls_ca = "certificate.pem"; ', None,
             'of an unknown authority'),
            ('another name', implicit + 'tls_ca = "authority.pem"; ', wrong_name,
             'for another name'),
            ('another pin', start + f'tls_pins = [ "{"0" * 64}" ]; ', None,
             'not one of those pinned'),
            ('CA, another pin', CA + f'tls_pins = [ "{"0" * 64}" ]; ', None,
             'not one of those pinned')):
        field.serve(pool + 'health_interval = "0s"; down_after = 100; ', backends=backends)
        if works is True:
            homes(field, ['u1', 'u2', 'u3'])
            field.pop3('u1').quit()
            continue
        began = time.monotonic()
        for user in ('u1', 'u2'):
            said = failure(field, user)
            check('UNAVAILABLE' in said, f'{what}: {said}')
        check(time.monotonic() - began < 2, f'{what}: it was tried again')
        field.await_line(lambda line, why=works: line.get('event') == 'backend_login' and
                         why in line.get('problem', ''))
        said = failure(field, 'u3', port='pop3')
        check('SYS/TEMP' in said, f'{what}: {said}')


def test_client_tls(field):
    """TLS on the client's side as well; large messages both ways, byte for byte."""
    field.serve(CA)
    body = b'Subject: large\r\n\r\n' + os.urandom(3_000_000).hex().encode() + b'\r\n'
    context = ssl.create_default_context(cafile=field.authority.file)
    for port in ('imaps', 'imap'):
        imap = imaplib.IMAP4_SSL('127.0.0.1', field.ports['imaps'], ssl_context=context,
                                 timeout=30) if port == 'imaps' else field.connect_imap()
        if port == 'imap':
            imap.starttls(context)
        imap.login('u8@example.test', 'pw')
        name = f'large-{port}'
        check(imap.create(name)[0] == 'OK' and imap.append(name, None, None, body)[0] == 'OK',
              'APPEND')
        imap.select(name)
        check(imap.fetch('1', '(BODY.PEEK[])')[1][0][1] == body, f'{port}: other bytes')
        imap.logout()
    line = field.session_line('u8')
    check(line.get('bytes_out', 0) >= len(body) or line.get('sent', 0) >= len(body), line)


def test_identity(field):
    """The client's address and the session's id reach the backend's log: by ID and XCLIENT, by a
    PROXY header, or not at all."""
    native = CA + 'identity = "native"; '
    proxied = ', '.join(field.backend(name, imap='imap_proxied', pop3='pop3_proxied', sieve=None)
                        for name in field.stores)
    for source, pool, backends in (('127.0.0.77', native, None),
                                   ('127.0.0.78', CA + 'identity = "proxy"; ', proxied)):
        field.serve(pool, backends=backends)
        imap = field.imap('u9', source=source)
        where = field.stores[marker(imap)[1]]
        imap.logout()
        line = where.said_in(f'imap-login: Info: Login: user=<u9@example.test>.*rip={source}')
        if backends is None:
            session = field.session_line('u9')['id']
            check(session in line, f'{session} is not in {line}')
        with socket.create_connection(('127.0.0.1', field.ports['pop3']), 20,
                                      (source, 0)) as client:
            lines = client.makefile('rb')
            client.sendall(b'USER u10@example.test\r\nPASS pw\r\nRETR 1\r\nQUIT\r\n')
            where = field.stores[of_marker(lines.read())[1]]
        line = where.said_in(f'pop3-login: Info: Login: user=<u10@example.test>.*rip={source}')
        if backends is None:
            session = field.session_line('u10')['id']
            check(session in line, f'{session} is not in {line}')
    field.serve(CA + 'identity = "none"; ')
    imap = field.imap('u11', source='127.0.0.79')
    where = field.stores[marker(imap)[1]]
    imap.logout()
    line = where.said_in('imap-login: Info: Login: user=<u11@example.test>')
    check('127.0.0.79' not in line, f'it was told: {line}')


def test_idle(field):
    """An idle client hears from the gateway where the backend is silent; new mail comes at once;
    a session goes on behind it."""
    field.serve(CA, more='proxy: { keep_alive = "1s"; };')
    with field.talk() as client:
        client.line()
        client.send(b'a LOGIN u12@example.test pw\r\nb SELECT INBOX\r\n')
        client.until(b'b OK')
        client.send(b'c IDLE\r\n')
        check(client.line().startswith(b'+'), 'IDLE')
        began = time.monotonic()
        for _ in range(2):
            line = client.line()
            check(line.startswith(b'* OK'), f'while idle: {line}')
        check(time.monotonic() - began < 8, 'the lines come late')
        with field.imap('u12') as other:
            other.append('INBOX', None, None, b'Subject: new\r\n\r\nx\r\n')
        check(b'* 2 EXISTS\r\n' in client.until(b'* 2 EXISTS'), 'new mail')
        client.send(b'DONE\r\nd LOGOUT\r\n')
        text = b''.join(client.until(b'd OK'))
        check(b'c OK' in text, text)


def test_sieve(field):
    """ManageSieve is passed on too."""
    field.serve(CA)
    with field.talk('sieve') as client:
        greeting = b''.join(client.until(b'OK'))
        check(b'"SASL"' in greeting and b'"SIEVE"' in greeting, greeting)
        initial = base64.b64encode(b'\0u13@example.test\0pw')
        client.send(b'AUTHENTICATE "PLAIN" "' + initial + b'"\r\n')
        check(client.until(b'OK')[-1], 'not logged in')
        script = b'keep;\r\n'
        client.send(b'PUTSCRIPT "one" {%d+}\r\n%s\r\nLISTSCRIPTS\r\nLOGOUT\r\n' %
                    (len(script), script))
        text = client.rest()
        check(b'"one"' in text and text.count(b'OK') >= 3, text)
    with field.talk('sieve') as client:
        client.until(b'OK')
        initial = base64.b64encode(b'\0u13@example.test\0wrong')
        client.send(b'AUTHENTICATE "PLAIN" "' + initial + b'"\r\n')
        check(client.line().startswith(b'NO'), 'a wrong password')


def test_auth_http(field):
    """A script that answers nginx's auth_http is a directory as it stands: it judges, and says
    which server the user's is."""
    port = field.ports['admin'] + 50
    left = field.stores['left'].ports
    script = AuthHttp(port, {'imap': left['imap'], 'pop3': left['pop3']})
    script.start()
    try:
        field.serve(ON_LOOPBACK + 'any_address = true; ', domain='directory = "script";',
                    more=f'directories = ( {{ name = "script"; http: {{ url = '
                         f'"http://127.0.0.1:{port}/auth"; }}; }} );')
        check(set(homes(field, [f'u{i}' for i in range(14, 20)]).values()) == {'left'},
              'the script said left')
        field.pop3('u14').quit()
    finally:
        script.stop()


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, **more)
    check(done.returncode == 0, f'{command[0]}: {done.returncode} {done.stdout[-500:]!r} '
          f'{done.stderr[-500:]!r}')
    return done.stdout


def test_clients(field):
    """curl, mbsync, fetchmail and mutt read what is on the backend."""
    field.serve(CA)
    user, login = 'u20@example.test', ('-u', 'u20@example.test:pw')
    imap, pop3 = field.ports['imap'], field.ports['pop3']
    check(of_marker(run('curl', '-sS', *login, f'imap://127.0.0.1:{imap}/INBOX/;MAILINDEX=1'))[0]
          == 'u20', 'curl, IMAP')
    check(of_marker(run('curl', '-sS', *login, f'pop3://127.0.0.1:{pop3}/1'))[0] == 'u20',
          'curl, POP3')
    home = os.path.join(field.dir, 'client')
    os.makedirs(os.path.join(home, 'mail'), exist_ok=True)
    if shutil.which('mbsync'):
        field.write('client/mbsyncrc', f'IMAPAccount here\nHost 127.0.0.1\nPort {imap}\nUser {user}'
                    f'\nPass pw\nSSLType None\nAuthMechs LOGIN\n\nIMAPStore far\nAccount here\n\n'
                    f'MaildirStore near\nPath {home}/mail/\nInbox {home}/mail/INBOX\n\n'
                    f'Channel all\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\n'
                    f'SyncState *\n')
        run('mbsync', '-c', os.path.join(home, 'mbsyncrc'), '-a')
        found = [os.path.join(folder, name) for folder, _, names in os.walk(f'{home}/mail/INBOX')
                 for name in names if os.path.basename(folder) in ('new', 'cur')]
        check(len(found) == 1, f'mbsync: {found}')
        with open(found[0], 'rb') as file:
            check(of_marker(file.read())[0] == 'u20', 'mbsync')
    if shutil.which('fetchmail'):
        for protocol, port in (('POP3', pop3), ('IMAP', imap)):
            field.write('client/fetchmailrc', f'poll 127.0.0.1 protocol {protocol} port {port} '
                        f'auth password user "{user}" password "pw" sslproto "" keep fetchall '
                        f'mda "cat >{home}/{protocol}"\n', 0o600)
            run('fetchmail', '-f', f'{home}/fetchmailrc', '--nosyslog', '--pidfile',
                f'{home}/pid', env={**os.environ, 'HOME': home, 'FETCHMAILHOME': home})
            with open(f'{home}/{protocol}', 'rb') as file:
                check(of_marker(file.read())[0] == 'u20', f'fetchmail, {protocol}')
    if shutil.which('mutt'):
        url = f'imap://u20%40example.test:pw@127.0.0.1:{imap}/INBOX'
        field.write('client/muttrc', f'set ssl_starttls=no\nset ssl_force_tls=no\nset mbox_type='
                    f'Maildir\nset folder="{home}"\nset copy=no\nset confirmappend=no\n'
                    f'set confirmcreate=no\nset quit=yes\npush "<tag-pattern>~A<enter><tag-prefix>'
                    f'<copy-message>{home}/out<enter><quit>"\n')
        run('script', '-qec', f"mutt -n -F {home}/muttrc -f '{url}'", '/dev/null',
            env={**os.environ, 'TERM': 'xterm', 'HOME': home})
        text = run('sh', '-c', f'cat {home}/out/*/*')
        check(of_marker(text)[0] == 'u20', 'mutt')


def main():
    tests = {name: value for name, value in globals().items() if name.startswith('test_')}
    with Field() as field:
        for name in sys.argv[1:] or tests:
            began = time.monotonic()
            tests[name](field)
            print(f'{name}: ok, {time.monotonic() - began:.1f} s', flush=True)


if __name__ == '__main__':
    sys.exit(main())
