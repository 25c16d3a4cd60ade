#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients of other people's making, as their users run them: swaks and curl send; curl, mbsync,
fetchmail and mutt read back; telnet types line by line."""
import os
import re
import shutil
import subprocess
import sys

from harness import IMAP, LMTP, POP3, SMTP, Gateway, check, samples, without_trace


def run(*command, stdin=b'', ok=(0,), env=None, cwd=None):
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False,
                          cwd=cwd, env={**os.environ, **(env or {})})
    check(done.returncode in ok,
          f'{command[0]}: {done.returncode} {done.stdout[-800:]!r} {done.stderr[-800:]!r}')
    return done.stdout


def crlf(data):
    return re.sub(rb'\r?\n', b'\r\n', data)


def mails_in(folder):
    found = []
    for name in ('new', 'cur'):
        path = os.path.join(folder, name)
        for file in sorted(os.listdir(path)) if os.path.isdir(path) else []:
            with open(os.path.join(path, file), 'rb') as mail:
                found.append(crlf(mail.read()))
    return found


def client_swaks(gateway, sent):
    for port, more in ((SMTP, ()), (LMTP, ('--protocol', 'LMTP'))):
        path = os.path.join(gateway.directory, 'message')
        with open(path, 'wb') as file:
            file.write(sent.removesuffix(b'\r\n'))  # swaks ends it
        out = run('swaks', '--server', f'127.0.0.1:{gateway.port(port)}', '--from',
                  'a@example.org', '--to', 'u10@example.test', '--data', '@' + path, *more)
        check(b'<-  250' in out, 'swaks saw no 250')
    out = run('swaks', '--server', f'127.0.0.1:{gateway.port(SMTP)}', '--from', 'a@example.org',
              '--to', 'nobody@example.test', ok=(24,))
    check(b'550 5.1.1' in out, 'an unknown user is refused at RCPT')


def client_curl(gateway, sent):
    path = os.path.join(gateway.directory, 'message')
    with open(path, 'wb') as file:
        file.write(sent)
    run('curl', '-sS', f'smtp://127.0.0.1:{gateway.port(SMTP)}', '--mail-from', 'a@example.org',
        '--mail-rcpt', 'u11@example.test', '-T', path)
    login = ('-u', 'u11@example.test:pw')
    got = run('curl', '-sS', *login, f'imap://127.0.0.1:{gateway.port(IMAP)}/INBOX/;MAILINDEX=1')
    without_trace(got, sent, 'curl imap')
    got = run('curl', '-sS', *login, f'pop3://127.0.0.1:{gateway.port(POP3)}/1')
    without_trace(got, sent, 'curl pop3')
    out = run('curl', '-sS', *login, f'imap://127.0.0.1:{gateway.port(IMAP)}/', '-X',
              'STATUS INBOX (MESSAGES)')
    check(b'MESSAGES 1' in out, f'curl STATUS: {out}')


def client_mbsync(gateway, sent):
    home = os.path.join(gateway.directory, 'mbsync')
    os.makedirs(os.path.join(home, 'mail'), exist_ok=True)
    with open(os.path.join(home, 'rc'), 'w', encoding='utf-8') as file:
        file.write(f'''
IMAPAccount here
Host 127.0.0.1
Port {gateway.port(IMAP)}
User u10@example.test
Pass pw
SSLType None
AuthMechs LOGIN

IMAPStore far
Account here

MaildirStore near
Path {home}/mail/
Inbox {home}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
''')
    run('mbsync', '-c', os.path.join(home, 'rc'), '-a')
    got = mails_in(os.path.join(home, 'mail', 'INBOX'))
    check(len(got) == 2, f'mbsync brought {len(got)} messages')
    for message in got:
        without_trace(re.sub(rb'X-TUID: .*\r\n', b'', message), sent, 'mbsync')
    with open(os.path.join(home, 'mail', 'INBOX', 'cur', '1.local:2,S'), 'wb') as file:
        file.write(b'From: me@example.test\nSubject: from the near side\n\nhello\n')
    run('mbsync', '-c', os.path.join(home, 'rc'), '-a')
    imap = gateway.imap('u10')
    check(imap.select('INBOX')[1] == [b'3'], 'mbsync pushed its message')
    _, numbers = imap.search(None, 'SUBJECT', '"near side"', 'SEEN')
    check(numbers == [b'3'], f'its flags came along: {numbers}')
    imap.store('1', '+FLAGS', '(\\Deleted)')
    imap.expunge()
    imap.logout()
    run('mbsync', '-c', os.path.join(home, 'rc'), '-a')
    check(len(mails_in(os.path.join(home, 'mail', 'INBOX'))) == 2, 'the deletion came back')


def client_fetchmail(gateway, sent):
    for protocol, port in (('POP3', POP3), ('IMAP', IMAP)):
        with gateway.smtp() as smtp:
            smtp.sendmail('a@example.org', ['u12@example.test'], sent)
        home = os.path.join(gateway.directory, 'fetchmail-' + protocol)
        os.makedirs(home)
        rc = os.path.join(home, 'rc')
        with open(rc, 'w', encoding='utf-8') as file:
            file.write(f'poll 127.0.0.1 protocol {protocol} port {gateway.port(port)} auth '
                       f'password user "u12@example.test" password "pw" sslproto "" '
                       f'mda "cat >>{home}/mail"\n')
        os.chmod(rc, 0o600)
        run('fetchmail', '-f', rc, '--nosyslog', '--pidfile', os.path.join(home, 'pid'),
            env={'HOME': home, 'FETCHMAILHOME': home})
        with open(os.path.join(home, 'mail'), 'rb') as file:
            got = crlf(file.read())
        body = sent[sent.index(b'\r\n\r\n'):]
        check(body.rstrip() in got, f'fetchmail {protocol} brought the body')
        imap = gateway.imap('u12')
        check(imap.select('INBOX')[1] == [b'0'], f'fetchmail {protocol} deleted what it took')
        imap.logout()


def client_mutt(gateway, sent):
    with gateway.smtp() as smtp:
        smtp.sendmail('a@example.org', ['u13@example.test'], sent)
    home = os.path.join(gateway.directory, 'mutt')
    os.makedirs(home)
    url = f'imap://u13%40example.test:pw@127.0.0.1:{gateway.port(IMAP)}/INBOX'
    with open(os.path.join(home, 'rc'), 'w', encoding='utf-8') as file:
        file.write(f'set ssl_starttls=no\nset ssl_force_tls=no\nset mbox_type=Maildir\n'
                   f'set folder="{home}"\nset copy=no\nset confirmappend=no\nset confirmcreate=no\n'
                   f'set delete=yes\nset quit=yes\nset header_cache="{home}/cache"\n'
                   f'push "<tag-pattern>~A<enter><tag-prefix><copy-message>{home}/out<enter>'
                   f'<quit>"\n')
    command = f"mutt -n -F {home}/rc -f '{url}'"
    run('script', '-qec', command, '/dev/null', env={'TERM': 'xterm', 'HOME': home})
    got = mails_in(os.path.join(home, 'out'))
    check(len(got) == 1, f'mutt copied {len(got)} messages')
    body = sent[sent.index(b'\r\n\r\n'):]
    check(body.rstrip() in got[0], 'mutt copied the body')


def client_telnet(gateway, _):
    lines = ['HELO typing.example.org', 'MAIL FROM:<a@example.org>', 'RCPT TO:<u14@example.test>',
             'DATA', 'Subject: typed', '', 'hello', '.', 'QUIT']
    typed = ''.join(f'sleep 0.2; echo "{line}";' for line in lines) + 'sleep 0.5'
    out = run('sh', '-c', f'({typed}) | telnet 127.0.0.1 {gateway.port(SMTP)}', ok=(0, 1))
    check(re.search(rb'354 .*\r?\n250 .*\r?\n221 ', out), f'telnet: {out!r}')
    imap = gateway.imap('u14')
    check(imap.select('INBOX')[1] == [b'1'], 'what was typed has arrived')
    imap.logout()


def main():
    clients = [value for name, value in globals().items() if name.startswith('client_')]
    sent = next(data for name, data in samples() if name == 'sample-nonspam.txt')
    with Gateway() as gateway:
        for client in clients:
            name = client.__name__.removeprefix('client_')
            if not shutil.which(name):
                sys.exit(f'{name} is not installed')
            client(gateway, sent)
            print(f'{name}: ok', flush=True)


if __name__ == '__main__':
    sys.exit(main())
