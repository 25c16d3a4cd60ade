#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients of other people's making under TLS, implicit and by STARTTLS or STLS, with the
certificate checked against its authority: openssl s_client, gnutls-cli, curl, swaks, mbsync,
fetchmail, mutt and Python's own. Each sends or reads real mail."""
import imaplib
import os
import poplib
import re
import shutil
import smtplib
import ssl
import subprocess
import sys

from clients import crlf, mails_in, run
from harness import (IMAP, IMAPS, POP3, POP3S, SMTP, SUBMISSION, SUBMISSIONS, Gateway, check,
                     make_authority, samples, without_trace)

HOST = 'localhost'


def dialogue(gateway, port, lines, starttls):
    """What openssl s_client brings for `lines` typed after the handshake."""
    done = subprocess.run(
        ['openssl', 's_client', '-connect', f'{HOST}:{gateway.port(port)}', '-quiet', '-crlf',
         '-servername', HOST, '-verify_return_error', '-verify_hostname', HOST, '-CAfile',
         gateway.authority, *(('-starttls', starttls) if starttls else ())],
        input=''.join(line + '\n' for line in lines).encode(), capture_output=True, timeout=60,
        check=False)
    check(b'verify error' not in done.stderr, f's_client: {done.stderr[-400:]!r}')
    return done.stdout


def client_openssl(gateway, _):
    # -quiet keeps s_client open at the end of its input: each dialogue ends by the server's goodbye
    for port, starttls in ((SMTP, 'smtp'), (SUBMISSION, 'smtp'), (SUBMISSIONS, None)):
        out = dialogue(gateway, port, ['EHLO me.example.org', 'QUIT'], starttls)
        check(b'\n221 ' in out and b'STARTTLS' not in out, f'port {port}: {out!r}')
        check((b'250-AUTH ' in out or b'250 AUTH ' in out) == (port != SMTP),
              f'AUTH belongs to submission only: {port}: {out!r}')
    for port, starttls in ((IMAP, 'imap'), (IMAPS, None)):
        out = dialogue(gateway, port, ['a LOGIN u20@example.test pw', 'b SELECT INBOX',
                                       'c LOGOUT'], starttls)
        check(b'a OK' in out and b'b OK' in out and b'c OK' in out, f'port {port}: {out!r}')
    for port, starttls in ((POP3, 'pop3'), (POP3S, None)):
        out = dialogue(gateway, port, ['USER u20@example.test', 'PASS pw', 'STAT', 'QUIT'],
                       starttls)
        check(out.count(b'+OK') >= 4 and b'-ERR' not in out, f'port {port}: {out!r}')


def client_gnutls_cli(gateway, _):
    for port, starttls in ((IMAPS, None), (POP3S, None), (SUBMISSIONS, None), (IMAP, 'imap'),
                           (POP3, 'pop3'), (SMTP, 'smtp'), (SUBMISSION, 'smtp')):
        for priority in ('NORMAL', 'NORMAL:-VERS-ALL:+VERS-TLS1.2'):
            more = ('--starttls-proto', starttls) if starttls else ()
            line = {IMAPS: 'a LOGOUT', IMAP: 'a LOGOUT'}.get(port, 'QUIT')
            out = run('gnutls-cli', '--x509cafile', gateway.authority, '--priority', priority,
                      '--crlf', '-p', str(gateway.port(port)), *more, HOST,
                      stdin=(line + '\n').encode(), ok=(0, 1))
            check(b'Handshake was completed' in out, f'gnutls-cli {port}: {out[-600:]!r}')
            check(b'certificate is trusted' in out, f'gnutls-cli {port}: {out[-600:]!r}')


def client_curl(gateway, sent):
    path = os.path.join(gateway.directory, 'message')
    with open(path, 'wb') as file:
        file.write(sent)
    common = ('curl', '-sS', '--ssl-reqd', '--cacert', gateway.authority)
    login = ('-u', 'u21@example.test:pw')
    for scheme, port, more in (('smtp', SMTP, ()), ('smtp', SUBMISSION, login),
                               ('smtps', SUBMISSIONS, login)):
        run(*common, *more, f'{scheme}://{HOST}:{gateway.port(port)}', '--mail-from',
            'u21@example.test', '--mail-rcpt', 'u21@example.test', '-T', path)
    for mechanism in ('PLAIN', 'LOGIN'):
        for scheme, port in (('imap', IMAP), ('imaps', IMAPS)):
            got = run(*common, *login, '--login-options', f'AUTH={mechanism}',
                      f'{scheme}://{HOST}:{gateway.port(port)}/INBOX/;MAILINDEX=1')
            without_trace(got, sent, f'curl {scheme}')
        for scheme, port in (('pop3', POP3), ('pop3s', POP3S)):
            got = run(*common, *login, '--login-options', f'AUTH={mechanism}',
                      f'{scheme}://{HOST}:{gateway.port(port)}/3')
            without_trace(got, sent, f'curl {scheme}')
    done = subprocess.run([*common, '-u', 'u21@example.test:wrong',
                           f'imaps://{HOST}:{gateway.port(IMAPS)}/INBOX'], capture_output=True,
                          timeout=60, check=False)
    check(done.returncode == 67, f'curl with a wrong password: {done.returncode}')


def client_swaks(gateway, _):
    common = ('swaks', '--server', HOST, '--to', 'u22@example.test', '--tls-verify',
              '--tls-ca-path', gateway.authority)
    login = ('--auth-user', 'u22@example.test', '--auth-password', 'pw', '--from',
             'u22@example.test')
    run(*common, '--port', str(gateway.port(SMTP)), '-tls', '--from', 'a@example.org')
    for mechanism in ('PLAIN', 'LOGIN'):
        run(*common, '--port', str(gateway.port(SUBMISSION)), '-tls', '--auth', mechanism, *login)
        run(*common, '--port', str(gateway.port(SUBMISSIONS)), '-tlsc', '--auth', mechanism,
            *login)
    out = run(*common, '--port', str(gateway.port(SUBMISSION)), '-tls', '--from',
              'u22@example.test', ok=(23,))
    check(b'530 5.7.0' in out, f'submission without log-in: {out[-400:]!r}')
    out = run(*common, '--port', str(gateway.port(SUBMISSION)), '-tls', '--auth', 'PLAIN',
              '--auth-user', 'u22@example.test', '--auth-password', 'pw', '--from',
              'u1@example.test', ok=(23,))
    check(b'550 5.7.1' in out, f'somebody else\'s address: {out[-400:]!r}')
    imap = gateway.imap('u22')
    check(imap.select('INBOX')[1] == [b'5'], 'what swaks sent has arrived')
    imap.logout()


def client_mbsync(gateway, sent):
    with gateway.smtp() as smtp:
        smtp.sendmail('a@example.org', ['u23@example.test'], sent)
    for kind, port in (('IMAPS', IMAPS), ('STARTTLS', IMAP)):
        home = os.path.join(gateway.directory, 'mbsync-' + kind)
        os.makedirs(os.path.join(home, 'mail'))
        with open(os.path.join(home, 'rc'), 'w', encoding='utf-8') as file:
            file.write(f'IMAPAccount here\nHost {HOST}\nPort {gateway.port(port)}\n'
                       f'User u23@example.test\nPass pw\nSSLType {kind}\n'
                       f'CertificateFile {gateway.authority}\nSystemCertificates no\n\n'
                       f'IMAPStore far\nAccount here\n\nMaildirStore near\nPath {home}/mail/\n'
                       f'Inbox {home}/mail/INBOX\n\nChannel all\nFar :far:\nNear :near:\n'
                       f'Patterns INBOX\nCreate Near\nSyncState *\n')
        run('mbsync', '-c', os.path.join(home, 'rc'), '-a')
        got = mails_in(os.path.join(home, 'mail', 'INBOX'))
        check(len(got) == 1, f'mbsync {kind} brought {len(got)} messages')
        without_trace(re.sub(rb'X-TUID: .*\r\n', b'', got[0]), sent, f'mbsync {kind}')


def client_fetchmail(gateway, sent):
    body = sent[sent.index(b'\r\n\r\n'):]
    for protocol, port, more in (('POP3', POP3S, 'ssl'), ('IMAP', IMAPS, 'ssl'),
                                 ('POP3', POP3, 'sslproto "TLS1.2+"'),
                                 ('IMAP', IMAP, 'sslproto "TLS1.2+"')):
        with gateway.smtp() as smtp:
            smtp.sendmail('a@example.org', ['u24@example.test'], sent)
        home = os.path.join(gateway.directory, f'fetchmail-{protocol}-{port}')
        os.makedirs(home)
        rc = os.path.join(home, 'rc')
        with open(rc, 'w', encoding='utf-8') as file:
            file.write(f'poll {HOST} protocol {protocol} port {gateway.port(port)} auth password '
                       f'user "u24@example.test" password "pw" {more} sslcertck '
                       f'sslcertfile "{gateway.authority}" mda "cat >>{home}/mail"\n')
        os.chmod(rc, 0o600)
        run('fetchmail', '-f', rc, '--nosyslog', '--pidfile', os.path.join(home, 'pid'),
            env={'HOME': home, 'FETCHMAILHOME': home})
        with open(os.path.join(home, 'mail'), 'rb') as file:
            check(body.rstrip() in crlf(file.read()), f'fetchmail {protocol} {port}')


def client_mutt(gateway, sent):
    with gateway.smtp() as smtp:
        smtp.sendmail('a@example.org', ['u25@example.test'], sent)
    body = sent[sent.index(b'\r\n\r\n'):]
    for scheme, port in (('imaps', IMAPS), ('imap', IMAP)):
        home = os.path.join(gateway.directory, 'mutt-' + scheme)
        os.makedirs(home)
        url = f'{scheme}://u25%40example.test:pw@{HOST}:{gateway.port(port)}/INBOX'
        with open(os.path.join(home, 'rc'), 'w', encoding='utf-8') as file:
            file.write(f'set ssl_starttls=yes\nset ssl_force_tls=yes\nset mbox_type=Maildir\n'
                       f'set certificate_file="{gateway.authority}"\nset folder="{home}"\n'
                       f'set ssl_ca_certificates_file="{gateway.authority}"\nset copy=no\n'
                       f'set confirmappend=no\nset confirmcreate=no\nset quit=yes\n'
                       f'push "<tag-pattern>~A<enter><tag-prefix><copy-message>{home}/out<enter>'
                       f'<quit>"\n')
        run('script', '-qec', f"mutt -n -F {home}/rc -f '{url}'", '/dev/null',
            env={'TERM': 'xterm', 'HOME': home})
        got = mails_in(os.path.join(home, 'out'))
        check(len(got) == 1 and body.rstrip() in got[0], f'mutt {scheme} copied {len(got)}')


def client_python3(gateway, sent):
    trusted = ssl.create_default_context(cafile=gateway.authority)
    with smtplib.SMTP(HOST, gateway.port(SUBMISSION), timeout=60) as smtp:
        smtp.starttls(context=trusted)
        check(smtp.docmd('MAIL', 'FROM:<u26@example.test>')[0] == 503, 'EHLO is wanted again')
        smtp.login('u26@example.test', 'pw')
        smtp.sendmail('u26@example.test', ['u26@example.test'], sent)
    with smtplib.SMTP_SSL(HOST, gateway.port(SUBMISSIONS), context=trusted, timeout=60) as smtp:
        smtp.login('u26@example.test', 'pw')
        smtp.sendmail('u26@example.test', ['u26@example.test'], sent)
    for imap in (imaplib.IMAP4_SSL(HOST, gateway.port(IMAPS), ssl_context=trusted, timeout=60),
                 imaplib.IMAP4(HOST, gateway.port(IMAP), timeout=60)):
        if not isinstance(imap, imaplib.IMAP4_SSL):
            imap.starttls(trusted)
        imap.login('u26@example.test', 'pw')
        check(imap.select('INBOX')[1] == [b'2'], 'both arrived')
        without_trace(imap.fetch('2', '(BODY.PEEK[])')[1][0][1], sent, 'imaplib')
        check(imap.append('INBOX', None, None, sent * 50)[0] == 'OK', 'a large one goes in')
        large = imap.fetch('3', '(BODY.PEEK[])')[1][0][1]
        check(large == sent * 50, 'a large one comes back')
        imap.store('3', '+FLAGS', '\\Deleted')
        imap.expunge()
        imap.logout()
    for pop3 in (poplib.POP3_SSL(HOST, gateway.port(POP3S), context=trusted, timeout=60),
                 poplib.POP3(HOST, gateway.port(POP3), timeout=60)):
        if not isinstance(pop3, poplib.POP3_SSL):
            pop3.stls(trusted)
        pop3.user('u26@example.test')
        pop3.pass_('pw')
        check(pop3.stat()[0] == 2, 'POP3 sees both')
        pop3.quit()


def main():
    clients = [value for name, value in globals().items() if name.startswith('client_')]
    sent = next(data for name, data in samples() if name == 'sample-nonspam.txt')
    with Gateway(before=make_authority) as gateway:
        for client in clients:
            name = client.__name__.removeprefix('client_').replace('_', '-')
            if not shutil.which(name):
                sys.exit(f'{name} is not installed')
            client(gateway, sent)
            print(f'{name}: ok', flush=True)


if __name__ == '__main__':
    sys.exit(main())
