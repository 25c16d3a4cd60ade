#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ringpost-bench imap, login and connect: against the gateway in clear, by STARTTLS and under TLS,
with what is fetched compared; many sessions on one mailbox; and against a server that lies about
everything there is to lie about."""
import subprocess
import sys

from bench_imap_liar import ImapLiar
from bench_smtp import BENCH, bench
from harness import (IMAP, IMAPS, LMTP, POP3, POP3S, SMTP, SUBMISSION, SUBMISSIONS, Gateway, check,
                     make_authority)

NONSENSE, MISSING = 'answer is not of the protocol', 'message is missing'
CLOSED, TIMEOUT = 'server closed the connection', 'no answer in time'
TEMPORARY, PERMANENT = 'refused for now (4xx, NO, SYS/TEMP)', 'refused (5xx, BAD, -ERR)'
TOO_LONG, ALTERED = 'answer too long', 'message was altered'
EVERYTHING = 'fetch=30,list=10,header=10,store=10,search=10,append=15,expunge=10,noop=5'


def fine(result, operations, phases, what):
    check(result['operations'] == operations, f'{what}: {result["operations"]} operations')
    check(result['error_count'] == 0, f'{what}: {result["errors"]} {result["error_examples"]}')
    check(not set(phases) - set(result['phases']), f'{what}: {set(result["phases"])}')


# --- the gateway

def sessions(gateway):
    imap = ('--target', f'127.0.0.1:{gateway.port(IMAP)}')
    imaps = ('--target', f'localhost:{gateway.port(IMAPS)}', '--tls', 'implicit')
    session = {'connect', 'greeting', 'log-in', 'select', 'log-out', 'fetch', 'operation'}
    for arguments, phases in (
            (imap, {'store', 'search', 'append', 'expunge'}),
            ((*imap, '--mix', EVERYTHING), {'store', 'search', 'append', 'expunge', 'noop'}),
            ((*imap, '--tls', 'start'), {'starttls', 'tls', 'hello'}),
            ((*imaps, '--tls-ca', gateway.authority), {'tls'}),
            ((*imaps, '--tls-version', '1.2', '--tls-resume', '--per-session', 3), {'tls'}),
            ((*imap, '--rate', 1000, '--threads', 2, '--connections', 10), set()),
            ((*imap, '--size', 'real', '--per-session', 0), {'append'}),
            ((*imap, '--connections', 1, '--size', '2m', '--mix', 'fetch=1,append=1', '--messages',
              30, '--per-session', 0), {'append'})):
        count = 300 if '--messages' not in arguments else 30
        result = bench('imap', '--messages', 300, '--mailbox', 10, '--verify', *arguments)
        fine(result, count, session | phases, arguments)
        check(result['verify']['altered'] == 0, result['verify'])


def filled(gateway):
    """Mailboxes have what was asked for, by APPEND or by LMTP, and what is read is what was
    sent."""
    for first, more in ((20, ()), (40, ('--also', f'lmtp://127.0.0.1:{gateway.port(LMTP)}'))):
        # u2%d is u20...u29, and so on
        target = ('--target', f'127.0.0.1:{gateway.port(IMAP)}', '--mix', 'fetch=1', '--seed', 77,
                  '--user-format', f'u{first // 10}%d@example.test')
        result = bench('imap', *target, '--messages', 200, '--mailbox', 25, '--verify', *more,
                       users=10)
        fine(result, 200, {'fetch'}, more)
        check(result['verify'] == {'checked': 200, 'missing': 0, 'altered': 0, 'doubled': 0},
              result['verify'])
        for user in range(first, first + 10):
            imap = gateway.imap(f'u{user}')
            check(imap.select('INBOX')[1] == [b'25'], f'u{user}')
            imap.logout()


def one_mailbox(gateway):
    """Many sessions store and expunge in two mailboxes: nothing of that is an error."""
    for mix in ('fetch=40,store=20,append=25,expunge=15', EVERYTHING):
        result = bench('imap', '--target', f'127.0.0.1:{gateway.port(IMAP)}', '--connections', 24,
                       '--messages', 1500, '--mailbox', 10, '--verify', '--mix', mix,
                       '--per-session', 40, users=2)
        fine(result, 1500, {'expunge', 'store', 'append'}, mix)


def logins(gateway):
    for protocol, port, more, phases in (
            ('imap', IMAP, (), set()), ('imap', IMAP, ('--tls', 'start'), {'starttls', 'tls'}),
            ('imaps', IMAPS, ('--tls-resume',), {'tls'}), ('pop3', POP3, (), {'hello'}),
            ('pop3', POP3, ('--tls', 'start'), {'starttls', 'tls'}), ('pop3s', POP3S, (), {'tls'}),
            ('smtp', SUBMISSION, ('--tls', 'start'), {'hello', 'starttls', 'tls'}),
            ('smtps', SUBMISSIONS, (), {'tls'})):
        target = ('--target', f'{protocol}://127.0.0.1:{gateway.port(port)}', '--connections', 5)
        result = bench('login', *target, '--messages', 60, *more)
        fine(result, 60, {'connect', 'greeting', 'log-in', 'log-out'} | phases, protocol)
        check(result['phases']['log-in']['count'] == 60, protocol)


def wrong_passwords(gateway):
    """Last: the gateway lets those wait who fail."""
    for protocol, port in (('imap', IMAP), ('pop3', POP3), ('smtps', SUBMISSIONS)):
        result = bench('login', '--target', f'{protocol}://127.0.0.1:{gateway.port(port)}',
                       '--messages', 1, '--password', 'wrong', '--connections', 1, status=3)
        check(result['errors'] == {'log-in refused': 1}, f'{protocol}: {result["errors"]}')


def connections(gateway):
    for protocol, port, more, phases in (
            ('smtp', SMTP, (), set()), ('smtp', SMTP, ('--tls', 'start'), {'tls', 'starttls'}),
            ('smtps', SUBMISSIONS, ('--tls-resume',), {'tls'}), ('lmtp', LMTP, (), set()),
            ('imap', IMAP, ('--tls', 'start'), {'tls'}), ('imaps', IMAPS, (), {'tls'}),
            ('pop3', POP3, ('--tls', 'start'), {'tls'}), ('pop3s', POP3S, (), {'tls'})):
        result = bench('connect', '--target', f'{protocol}://127.0.0.1:{gateway.port(port)}',
                       '--messages', 60, '--connections', 5, *more)
        fine(result, 60, {'connect', 'greeting', 'log-out'} | phases, protocol)
        check(('tls' in result['phases']) == ('tls' in phases), f'{protocol}: {phases}')
        check('log-in' not in result['phases'], protocol)


# --- a server that lies

def lied_to(fate, *arguments, capabilities=None, status=1, mix='fetch=1', scenario='imap'):
    more = {} if capabilities is None else {'capabilities': capabilities}
    with ImapLiar(fate, **more) as liar:
        result = bench(scenario, '--target', f'imap://127.0.0.1:{liar.port}', '--connections', 1,
                       '--messages', 20, '--timeout', '1s', *(
                           ('--mix', mix, '--mailbox', 3, '--verify') if scenario == 'imap' else ()
                       ), *arguments, status=status, users=1)
        return result, liar.commands


def at(stage, number, fate):
    return lambda where, count: fate if where == stage and count == number else None


def honest():
    result, commands = lied_to(lambda *_: None, status=0)
    fine(result, 20, {'fetch'}, 'honest')
    check(result['verify']['checked'] == 20, result['verify'])
    check(commands.count('APPEND') == 3 and commands.count('FETCH') == 20, commands)
    for capabilities, wanted in ((b'SASL-IR AUTH=PLAIN LOGINDISABLED', 'AUTHENTICATE'),
                                 (b'AUTH=PLAIN LOGINDISABLED LITERAL-', 'AUTHENTICATE'),
                                 (b'AUTH=PLAIN', 'LOGIN')):
        result, commands = lied_to(lambda *_: None, status=0, mix='fetch=1,append=1,expunge=1',
                                   capabilities=capabilities)
        fine(result, 20, {'fetch', 'append', 'log-in'}, capabilities)
        check(wanted in commands and len({'LOGIN', 'AUTHENTICATE'} & set(commands)) == 1, commands)
    result, _ = lied_to(lambda *_: None, capabilities=b'LOGINDISABLED', status=3)
    check(set(result['errors']) == {'log-in refused'}, result['errors'])
    result, _ = lied_to(lambda *_: None, '--tls', 'start', status=3)
    check(set(result['errors']) == {'TLS failed'}, result['errors'])


def lies_of_fetch():
    body = b'* 1 FETCH (UID 1 BODY[] {4}\r\ntext)\r\n'
    for lie, kind in (
            (b'TAG NO not now\r\n', TEMPORARY), (b'TAG BAD what\r\n', PERMANENT),
            (b'TAG OK nothing\r\n', MISSING), ('alter', ALTERED), ('cut', CLOSED),
            ('mute', TIMEOUT), (b'* BYE at once\r\n', CLOSED), (b'a999 OK wrong tag\r\n', NONSENSE),
            (b'TAGOK\r\n', NONSENSE), (b'TAG FINE\r\n', NONSENSE), (b'+ go on\r\n', NONSENSE),
            (b'* 2 EXISTS\r\nTAG OK\r\n', NONSENSE), (b'* 4 EXPUNGE\r\nTAG OK\r\n', NONSENSE),
            (b'* 1 EXPUNGE\r\nTAG OK\r\n', NONSENSE), (b'* 0 FETCH (UID 1)\r\n', NONSENSE),
            (b'* 4 FETCH (UID 4)\r\n', NONSENSE), (b'* 1 FETCH UID 4\r\n', NONSENSE),
            (b'* 1 FETCH (UID 0)\r\n', NONSENSE), (b'* 1 FETCH (UID 1\r\n', NONSENSE),
            (b'* 1 FETCH (BODY[ {4}\r\ntext)\r\n', NONSENSE),
            (b'* 1 FETCH (BODY[] {4}\r\ntext\r\n', NONSENSE),
            (b'* 1 FETCH (BODY[] {99999999999}\r\n', NONSENSE),
            (b'* 1 FETCH (BODY[] {9000}\r\nshort)\r\nTAG OK\r\n', TIMEOUT),
            (b'* 1 FETCH (BODY[] "quo\r\n', NONSENSE),
            (b'* 1 FETCH (ENVELOPE ' + b'(' * 65 + b')' * 65 + b')\r\n', NONSENSE),
            (b'* 1 FETCH (FLAGS \\Seen)\r\n', NONSENSE),
            (b'* 99999999999 EXISTS\r\n', NONSENSE), (b'hello\r\n', NONSENSE), (b'\r\n', NONSENSE),
            (b'* \r\n', NONSENSE), (b'* OK bare\n', NONSENSE), (b'* OK b\rare\r\n', NONSENSE),
            (bytes(range(256)) + b'\r\n', NONSENSE), (b'\0' * 100 + b'\r\n', NONSENSE),
            (b'* OK ' + b'x' * 100000 + b'\r\n', TOO_LONG),
            (b'* OK ' + b'x' * 1000, TIMEOUT), (b'* OK [CAPABILITY\r\n' * 100000, TIMEOUT)):
        result, _ = lied_to(at('FETCH', 7, lie))
        check(result['errors'] == {kind: 1}, f'{lie[:60]}: {result["errors"]}')
        check(result['operations'] >= 19, f'{lie[:60]}: {result["operations"]}')
    for harmless in (b'* OK [ALERT] {no literal}\r\n', b'* 3 EXISTS\r\n* 0 RECENT\r\n',
                     b'* LIST () "/" {5}\r\nINBOX\r\n', b'* 2 FETCH (FLAGS (\\Seen))\r\n',
                     b'* STRANGE (a "b" {3}\r\nc)d ())\r\n', b'* 7 STRANGE\r\n',
                     b'* 3 FETCH (BODY[] "q\\"t" BODY[HEADER.FIELDS (TO CC)]<0> NIL ENVELOPE '
                     b'("a" (("x" NIL "y" {2}\r\nzz)) NIL) X-GM-MSGID 12)\r\n'):
        result, _ = lied_to(at('FETCH', 7, harmless + body + b'TAG OK [CAPABILITY\r\n'), status=0)
        fine(result, 20, {'fetch'}, harmless)


def lies_elsewhere():
    for stage, number, lie, kind in (
            ('greeting', 2, b'* BYE full\r\n', CLOSED), ('greeting', 2, b'220 hello\r\n', NONSENSE),
            ('greeting', 2, 'cut', CLOSED), ('greeting', 2, b'* PREAUTH in\r\n', NONSENSE),
            ('LOGIN', 2, b'TAG NO no\r\n', 'log-in refused'), ('LOGIN', 2, b'+ \r\n', NONSENSE),
            ('SELECT', 2, b'TAG NO gone\r\n', TEMPORARY),
            ('SELECT', 2, b'* 5000000000 EXISTS\r\n', NONSENSE),
            ('STORE', 3, b'* 900 EXPUNGE\r\nTAG OK\r\n', NONSENSE),
            ('SEARCH', 3, b'* SEARCH 1 x\r\nTAG OK\r\n', NONSENSE),
            ('APPEND', 5, b'TAG NO [OVERQUOTA] full\r\n', TEMPORARY),
            ('NOOP', 2, b'* 1 EXISTS\r\nTAG OK\r\n', NONSENSE),
            ('LOGOUT', 2, 'cut', CLOSED)):
        result, _ = lied_to(at(stage, number, lie), '--per-session', 10,
                            mix='fetch=1,store=1,search=1,append=1,noop=1')
        check(result['errors'] == {kind: 1}, f'{stage} {lie}: {result["errors"]}')
    result, _ = lied_to(at('CAPABILITY', 1, b'* CAPABILITY X\r\n'), scenario='login', status=0)
    fine(result, 20, {'log-in'}, 'login')
    result, _ = lied_to(at('LOGOUT', 4, b'a2 NO stay\r\n'), scenario='connect')
    check(result['errors'] == {TEMPORARY: 1}, result['errors'])


def usage():
    for arguments, says in ((('imap', '--mix', 'fetch'), 'NAME=WEIGHT'),
                            (('imap', '--mix', 'fetch=1,steal=2'), "'steal=2'"),
                            (('imap', '--mix', 'fetch=0'), 'a mix of nothing'),
                            (('imap', '--mix', 'fetch=-1'), 'weights are 0 to')):
        done = subprocess.run([BENCH, *arguments, '--target', '127.0.0.1:1'], capture_output=True,
                              text=True, timeout=30, check=False)
        check(done.returncode == 2 and says in done.stderr, f'{arguments}: {done.stderr}')


def main():
    usage()
    honest()
    lies_of_fetch()
    lies_elsewhere()
    with Gateway(users=60, before=make_authority) as gateway:
        sessions(gateway)
        filled(gateway)
        one_mailbox(gateway)
        logins(gateway)
        connections(gateway)
        wrong_passwords(gateway)
    print('bench_imap: ok')
    return 0


if __name__ == '__main__':
    sys.exit(main())
