#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Real messages, by every way in and every way out, byte for byte: in by SMTP DATA, SMTP BDAT,
LMTP and IMAP APPEND; out by imaplib (whole, in parts) and poplib; the sizes and UIDs agree."""
import sys

from harness import Gateway, check, samples, same, without_trace


def bdat(smtp, user, message):
    """smtplib has no CHUNKING: two chunks by hand."""
    half = len(message) // 2
    for line, want in (('MAIL FROM:<a@example.org> BODY=8BITMIME', 250),
                       (f'RCPT TO:<{user}@example.test>', 250)):
        code, text = smtp.docmd(line)
        check(code == want, f'{line}: {code} {text}')
    for chunk, last in ((message[:half], ''), (message[half:], ' LAST')):
        smtp.send(f'BDAT {len(chunk)}{last}\r\n'.encode() + chunk)
        code, text = smtp.getreply()
        check(code == 250, f'BDAT: {code} {text}')


def send(gateway, messages):
    with gateway.smtp() as smtp, gateway.lmtp() as lmtp:
        smtp.ehlo('client.example.org')
        lmtp.ehlo('client.example.org')
        imap = gateway.imap('u3')
        for _, message in messages:
            check(not smtp.sendmail('a@example.org', ['u0@example.test'], message), 'u0 refused')
            bdat(smtp, 'u1', message)
            check(not lmtp.sendmail('a@example.org', ['u2@example.test'], message), 'u2 refused')
            kind, answer = imap.append('INBOX', None, None, message)
            check(kind == 'OK' and b'APPENDUID' in answer[0], f'APPEND: {answer}')
        imap.logout()


def read_imap(gateway, user, messages):
    imap = gateway.imap(user)
    kind, count = imap.select('INBOX', readonly=True)
    check(kind == 'OK' and int(count[0]) == len(messages), f'{user}: SELECT {count}')
    for number, (name, sent) in enumerate(messages, 1):
        what = f'imap {user} {name}'
        _, answer = imap.fetch(str(number), '(RFC822.SIZE BODY[] BODY[HEADER] BODY[TEXT])')
        parts = [part for part in answer if isinstance(part, tuple)]
        check(len(parts) == 3, f'{what}: {len(parts)} literals')
        message = parts[0][1]
        same(parts[1][1] + parts[2][1], message, what + ' header and text')
        check(b'RFC822.SIZE %d' % len(message) in parts[0][0], f'{what}: {parts[0][0]}')
        if user == 'u3':
            same(message, sent, what)
        else:
            without_trace(message, sent, what)
        _, answer = imap.fetch(str(number), '(BODY[]<10.100>)')
        same(answer[0][1], message[10:110], what + ' partial')
        kind, _ = imap.fetch(str(number), '(ENVELOPE BODYSTRUCTURE)')
        check(kind == 'OK', f'{what}: structure')
    imap.logout()


def read_pop3(gateway, user, messages):
    pop3 = gateway.pop3(user)
    check(pop3.stat()[0] == len(messages), f'{user}: STAT {pop3.stat()}')
    for number, (name, sent) in enumerate(messages, 1):
        _, lines, _ = pop3.retr(number)
        message = b'\r\n'.join(lines) + b'\r\n'
        without_trace(message, sent, f'pop3 {user} {name}')
        size = int(pop3.list(number).split()[2])
        check(size == len(message), f'pop3 {user} {name}: LIST {size}, got {len(message)}')
        _, top, _ = pop3.top(number, 0)
        check(lines[:len(top) - 1] == top[:-1], f'pop3 {user} {name}: TOP 0')
    check(len({line.split()[1] for line in pop3.uidl()[1]}) == len(messages), 'UIDL not unique')
    pop3.quit()


def main():
    messages = samples()
    check(len(messages) >= 60, f'only {len(messages)} samples: RINGPOST_SAMPLES?')
    with Gateway() as gateway:
        send(gateway, messages)
        for again in (False, True):
            for user in ('u0', 'u1', 'u2', 'u3'):
                read_imap(gateway, user, messages)
            for user in ('u0', 'u1', 'u2'):
                read_pop3(gateway, user, messages)
            if not again:  # the same after a restart without goodbye
                gateway.kill()
                gateway.start()
    print(f'{len(messages)} messages by 4 ways in and 2 ways out, twice')


if __name__ == '__main__':
    sys.exit(main())
