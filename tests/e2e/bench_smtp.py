#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# long
"""ringpost-bench smtp and lmtp: against the gateway in every way they can deliver, each run with
--verify, the mailboxes read by a client that is not ours as well; real messages; against a server
that loses, alters and doubles mail, refuses it, and answers nonsense. Each result is checked
against docs/bench-json.md."""
import email
import json
import os
import re
import subprocess
import sys
import tempfile

from bench_liar import Liar
from harness import (IMAP, IMAPS, LMTP, POP3, POP3S, RINGPOST, SMTP, SUBMISSION, SUBMISSIONS,
                     Gateway, check, make_authority, samples)

BENCH = os.path.join(os.path.dirname(os.path.abspath(RINGPOST)), '../../bench/load/ringpost-bench')
DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../docs/bench-json.md')
USERS = 20
seeds = iter(range(1, 1000))


def example():
    """The run of docs/bench-json.md as an object: what is left out there is left out here."""
    with open(DOCS, encoding='utf-8') as file:
        text = re.search(r'(?ms)^    \{.*?^    \}', file.read()).group()
    text = re.sub(r'\s//.*', '', text)
    text = re.sub(r'"(connect|command)": (\{\.\.\.\}|\[.*?\])',
                  lambda m: f'"{m[1]}": ' + ('{}' if m[1] == 'connect' else '[]'), text)
    text = re.sub(r',?\s*\.\.\.[a-z ]*(\.\.\.)?', '', text)
    return json.loads(text)


def same_members(got, wanted, where):
    """Every member that the document names is there, and of that kind where it is not null."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        for name, value in wanted.items():
            check(name in got, f'{where}.{name} is missing')
            same_members(got[name], value, f'{where}.{name}')
    elif isinstance(wanted, list) and isinstance(got, list):
        for value in got if wanted else []:
            same_members(value, wanted[0], f'{where}[]')
    elif wanted is not None and got is not None:
        kinds = [(int, float) if type(x) in (int, float) else type(x) for x in (got, wanted)]
        check(kinds[0] == kinds[1], f'{where} is {got!r}, not like {wanted!r}')


WANTED = example()
for some in ('errors', 'settings'):
    WANTED[some] = {}
PHASE, WANTED['phases'] = WANTED['phases']['operation'], {}


def bench(scenario, *arguments, status=0, users=USERS):
    """One run; its JSON, with its exit status as told."""
    with tempfile.TemporaryDirectory(prefix='ringpost-bench-') as folder:
        path = os.path.join(folder, 'result.json')
        command = [BENCH, scenario, '--users', str(users), '--warm-up', '0', '--quiet', '--seed',
                   str(next(seeds)), '--json', path, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        check(done.returncode == status,
              f'{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}')
        with open(path, encoding='utf-8') as file:
            result = json.load(file)
    same_members(result, WANTED, scenario)
    for name, phase in result['phases'].items():
        same_members(phase, PHASE, name)
    return result


def clean(result, operations, recipients=1, what=''):
    check(result['operations'] == operations, f'{what}: {result["operations"]} operations')
    check(result['error_count'] == 0, f'{what}: {result["errors"]} {result["error_examples"]}')
    check(result['verify'] == {'checked': operations * recipients, 'missing': 0, 'altered': 0,
                               'doubled': 0}, f'{what}: {result["verify"]}')


# --- the gateway

def crc32c(data, table=[]):
    if not table:
        for byte in range(256):
            for _ in range(8):
                byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
            table.append(byte)
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xffffffff


def read_back(gateway):
    """Every message of every user, by imaplib: the mark is right, MIME is whole."""
    count = types = 0
    for user in range(USERS):
        imap = gateway.imap(f'u{user}')
        imap.select('INBOX', readonly=True)
        found = imap.fetch('1:*', '(BODY.PEEK[])')[1]
        for text in (part[1] for part in found if isinstance(part, tuple)):
            head, body = text.split(b'\r\n\r\n', 1)
            mark = re.search(rb'(?m)^X-Ringpost-Bench: [0-9a-f]{16}-\d{12}-(\d+)-([0-9a-f]{8})\r?$',
                             head + b'\r\n')
            check(mark, head)
            check(int(mark[1]) == len(body), f'{len(body)} bytes: {mark[0]}')
            if len(body) < 4000:
                check(int(mark[2], 16) == crc32c(body), f'{crc32c(body):x}: {mark[0]}')
            message = email.message_from_bytes(text)
            parts = list(message.walk())
            check(not any(part.defects for part in parts), [part.defects for part in parts])
            types += len({part.get_content_type() for part in parts}) > 1
            count += 1
        imap.logout()
    check(types > 0, 'no multipart message')
    return count


def ways(gateway):
    """(scenario, arguments, phases that must be there, phases that must not)"""
    smtp, lmtp = f'127.0.0.1:{gateway.port(SMTP)}', f'127.0.0.1:{gateway.port(LMTP)}'
    unix = 'unix:' + os.path.join(gateway.directory, 'try', 'lmtp.sock')
    submission, submissions = (f'127.0.0.1:{gateway.port(port)}'
                               for port in (SUBMISSION, SUBMISSIONS))
    trusted = f'localhost:{gateway.port(SUBMISSIONS)}'
    grouped, single = {'envelope', 'commit'}, {'mail', 'rcpt', 'data', 'commit'}
    return [
        ('smtp', ['--target', smtp], grouped, single - grouped),
        ('smtp', ['--target', smtp, '--no-pipelining'], single, {'envelope'}),
        ('smtp', ['--target', smtp, '--bdat'], grouped, {'data'}),
        ('smtp', ['--target', smtp, '--bdat', '--no-pipelining'], single - {'data'}, {'envelope'}),
        ('smtp', ['--target', smtp, '--per-connection', 1], grouped | {'log-out'}, set()),
        ('smtp', ['--target', smtp, '--per-connection', 3, '--no-pipelining'], single, set()),
        ('smtp', ['--target', smtp, '--per-connection', 1, '--bdat'], grouped, set()),
        ('smtp', ['--target', smtp, '--size', '300k', '--messages', 40], grouped, set()),
        ('smtp', ['--target', smtp, '--size', '3m', '--bdat', '--messages', 10], grouped, set()),
        ('smtp', ['--target', smtp, '--size', '3m', '--bdat', '--messages', 10,
                  '--no-pipelining'], {'commit'}, set()),
        ('smtp', ['--target', smtp, '--size', 'real'], grouped, set()),
        ('smtp', ['--target', smtp, '--rate', 500], grouped, set()),
        ('smtp', ['--target', smtp, '--tls', 'start'], grouped | {'starttls', 'tls'}, {'log-in'}),
        ('smtp', ['--target', submission, '--tls', 'start', '--login'],
         grouped | {'starttls', 'tls', 'log-in'}, set()),
        ('smtp', ['--target', submissions, '--tls', 'implicit', '--login', '--per-connection', 2,
                  '--tls-resume'], grouped | {'tls', 'log-in'}, {'starttls'}),
        ('smtp', ['--target', trusted, '--tls', 'implicit', '--login', '--tls-ca',
                  gateway.authority], grouped | {'tls'}, set()),
        ('smtp', ['--target', submissions, '--tls', 'implicit', '--login', '--size', '300k',
                  '--tls-version', '1.2', '--messages', 20], grouped | {'tls'}, set()),
        ('lmtp', ['--target', lmtp], grouped, set()),
        ('lmtp', ['--target', lmtp, '--bdat', '--no-pipelining'], {'mail', 'rcpt'}, set()),
        ('lmtp', ['--target', unix, '--per-connection', 5], grouped, set()),
    ]


def deliveries(gateway):
    readers = [f'imap://127.0.0.1:{gateway.port(IMAP)}', f'pop3://127.0.0.1:{gateway.port(POP3)}',
               f'imaps://127.0.0.1:{gateway.port(IMAPS)}',
               f'pop3s://127.0.0.1:{gateway.port(POP3S)}',
               f'imap://127.0.0.1:{gateway.port(IMAP)}?tls=start']
    total = 0
    for i, (scenario, arguments, present, absent) in enumerate(ways(gateway)):
        recipients = 1 + i % 3
        arguments = ['--messages', 100, *arguments, '--recipients', recipients, '--verify',
                     '--also', readers[i % len(readers)]]
        count = arguments[len(arguments) - 1 - arguments[::-1].index('--messages') + 1]
        result = bench(scenario, *arguments)
        what = f'{scenario} {arguments}'
        clean(result, count, recipients, what)
        missing = present - set(result['phases'])
        check(not missing, f'{what}: no {missing} in {set(result["phases"])}')
        check(not absent & set(result['phases']), f'{what}: {absent & set(result["phases"])}')
        total += count * recipients
    got = read_back(gateway)
    check(got == total, f'{got} messages in the mailboxes, not {total}')


def again_with_one_seed(gateway):
    """What an earlier run of the same seed has left is not taken for this one's."""
    for turn in (1, 2):
        result = bench('smtp', '--target', f'127.0.0.1:{gateway.port(SMTP)}', '--messages', 50,
                       '--seed', 4711, '--verify', '--also',
                       f'pop3://127.0.0.1:{gateway.port(POP3)}')
        check(result['verify'] == {'checked': 50 * turn, 'missing': 0, 'altered': 0, 'doubled': 0},
              result['verify'])


def real_messages(gateway):
    mail = samples()
    check(len(mail) >= 50 or not os.environ.get('RINGPOST_SAMPLES'), f'{len(mail)} samples')
    with tempfile.TemporaryDirectory(prefix='ringpost-bench-') as folder:
        for i, (name, text) in enumerate(mail):
            with open(os.path.join(folder, f'{i:04}-{name}'), 'wb') as file:
                file.write(text.replace(b'\r\n', b'\n') if i % 2 else text)
        for scenario, port, more in (('smtp', SMTP, []), ('lmtp', LMTP, ['--bdat'])):
            clean(bench(scenario, '--target', f'127.0.0.1:{gateway.port(port)}', '--from', folder,
                        '--messages', len(mail), '--verify', '--also',
                        f'imap://127.0.0.1:{gateway.port(IMAP)}', *more), len(mail), 1, scenario)


def refusals(gateway):
    """The gateway refuses what it should, and that is told by kind with its words."""
    result = bench('smtp', '--target', f'127.0.0.1:{gateway.port(SMTP)}', '--messages', 20,
                   '--user-format', 'nobody%d@example.test', status=3)
    check(result['errors'] == {'refused (5xx, BAD, -ERR)': 20}, result['errors'])
    check(result['error_examples'][0]['said'].startswith('550 5.1.1'), result['error_examples'])
    result = bench('smtp', '--target', f'127.0.0.1:{gateway.port(SUBMISSIONS)}', '--tls',
                   'implicit', '--login', '--password', 'wrong', '--messages', 3, '--connections',
                   1, status=3)
    check(set(result['errors']) == {'log-in refused'}, result['errors'])
    result = bench('smtp', '--target', f'127.0.0.1:{gateway.port(SUBMISSIONS)}', '--tls',
                   'implicit', '--tls-ca', DOCS, '--messages', 3, '--connections', 1, status=3)
    check(set(result['errors']) == {'TLS failed'}, result['errors'])


# --- a server that lies

def lied_to(fate, *arguments, scenario='lmtp', status=1, messages=200, verifies=True, **more):
    with Liar(fate, **more) as liar:
        verify = ['--verify', '--also', f'pop3://127.0.0.1:{liar.pop3_port}'] if verifies else []
        if '--timeout' not in arguments:
            arguments = (*arguments, '--timeout', '3s')
        result = bench(scenario, '--target', f'127.0.0.1:{liar.smtp_port}', '--messages', messages,
                       '--connections', 4, *verify, *arguments, status=status)
        return result, liar.commands


def at(stage, fates):
    """fates: {count: fate}"""
    return lambda where, count: fates.get(count) if where == stage else None


def losses():
    for scenario in ('lmtp', 'smtp'):
        result, _ = lied_to(at('message', {20: 'drop', 40: 'alter', 60: 'double', 70: 'drop'}),
                            scenario=scenario)
        check(result['verify'] == {'checked': 199, 'missing': 2, 'altered': 1, 'doubled': 1},
              result['verify'])
        check(result['operations'] == 200, 'operations')
    honest, _ = lied_to(lambda *_: None, status=0)
    clean(honest, 200)
    queued, _ = lied_to(at('message', {200: 'late', 150: 'late'}), status=0)
    clean(queued, 200)
    # Not acknowledged: neither there nor not there is wrong, but twice is.
    result, _ = lied_to(at('message', {30: 'cut', 50: 'keep and cut'}))
    check(result['verify'] == {'checked': 199, 'missing': 0, 'altered': 0, 'doubled': 0},
          result['verify'])
    check(result['errors'] == {'server closed the connection': 2}, result['errors'])


def kinds_of_refusal():
    extensions = (b'PIPELINING', b'CHUNKING')
    for arguments, eager in (([], False), ([], True), (['--no-pipelining'], False),
                             (['--bdat'], False), (['--bdat', '--no-pipelining'], False)):
        for stage in ('mail', 'rcpt', 'message', 'data'):
            if stage == 'data' and '--bdat' in arguments:
                continue
            result, _ = lied_to(at(stage, {10: b'451 4.3.0 later\r\n', 20: b'550 5.1.1 no\r\n'}),
                                *arguments, extensions=extensions, eager=eager)
            what = f'{stage} {arguments} eager: {eager}'
            check(result['errors'] == {'refused for now (4xx, NO, SYS/TEMP)': 1,
                                       'refused (5xx, BAD, -ERR)': 1},
                  f'{what}: {result["errors"]} {result["error_examples"]}')
            check(sorted(one['said'] for one in result['error_examples']) ==
                  ['451 4.3.0 later', '550 5.1.1 no'], result['error_examples'])
            check(result['verify']['checked'] == 198 and result['verify']['missing'] == 0,
                  f'{what}: {result["verify"]}')
    result, commands = lied_to(at('rcpt', {5: b'550 no\r\n'}), '--recipients', 3)
    check(result['errors'] == {'refused (5xx, BAD, -ERR)': 1}, result['errors'])
    check(result['verify']['checked'] == 599 and result['verify']['missing'] == 0, 'one of three')
    check(commands.count('MAIL') == 200, 'one of three recipients is no end')
    result, _ = lied_to(at('mail', {10: b'421 4.3.2 going\r\n'}))
    check(result['errors'] == {'refused for now (4xx, NO, SYS/TEMP)': 1}, result['errors'])
    result, _ = lied_to(at('connect', {2: b'554 go away\r\n'}))
    check(result['errors'] == {'refused (5xx, BAD, -ERR)': 1}, result['errors'])


def nonsense():
    kind = 'answer is not of the protocol'
    for reply in (b'hello\r\n', b'250-a\r\n251 b\r\n', b'250?ok\r\n', b'25 ok\r\n', b'650 ok\r\n',
                  b'\r\n', b'354 ok\r\n', b'250 bare\n', b'250 b\rare\r\n', b'250-x\r\n' * 500,
                  bytes(range(256)) + b'\r\n'):
        for arguments in ([], ['--no-pipelining']):
            result, _ = lied_to(at('mail', {10: reply}), *arguments, verifies=False)
            check(result['errors'] == {kind: 1}, f'{reply[:20]}: {result["errors"]}')
    result, _ = lied_to(at('mail', {10: b'250 ' + b'x' * 100000 + b'\r\n'}), verifies=False)
    check(result['errors'] == {'answer too long': 1}, result['errors'])
    result, _ = lied_to(at('message', {10: b'354 again\r\n'}))
    check(result['errors'] == {kind: 1} and result['verify']['missing'] == 0, result['errors'])
    result, _ = lied_to(at('hello', {2: 'cut'}), verifies=False)
    check(result['errors'] == {'server closed the connection': 1}, result['errors'])
    result, _ = lied_to(at('message', {10: 'mute'}), '--timeout', '500ms')
    check(result['errors'] == {'no answer in time': 1} and result['verify']['missing'] == 0,
          result['errors'])
    result, _ = lied_to(lambda *_: None, '--tls', 'start', status=3, verifies=False, messages=3)
    check(set(result['errors']) == {'TLS failed'}, result['errors'])
    result, _ = lied_to(lambda *_: None, '--bdat', status=3, verifies=False, messages=3)
    check('does not offer CHUNKING' in result['error_examples'][0]['said'], result)


def order_of_commands():
    """RSET only where a transaction was left open, QUIT once a connection."""
    _, commands = lied_to(at('rcpt', {7: b'550 no\r\n'}), '--no-pipelining', '--per-connection', 10)
    check(commands.count('RSET') <= 1 and commands.count('QUIT') == commands.count('LHLO'),
          {verb: commands.count(verb) for verb in set(commands)})
    _, commands = lied_to(lambda *_: None, '--per-connection', 10, status=0)
    check(commands.count('RSET') == 0 and commands.count('QUIT') >= 20, 'QUIT behind the message')


def usage():
    for arguments, says in ((['--verify'], '--also imap://'),
                            (['--recipients', '30'], '--recipients must not be above --users'),
                            (['--from', '/nonexistent'], '/nonexistent')):
        done = subprocess.run([BENCH, 'smtp', '--target', '127.0.0.1:1', '--users', '20',
                               *arguments], capture_output=True, text=True, timeout=30, check=False)
        check(done.returncode == 2 and says in done.stderr, f'{arguments}: {done.stderr}')


def main():
    usage()
    losses()
    kinds_of_refusal()
    nonsense()
    order_of_commands()
    with Gateway(users=USERS, before=make_authority) as gateway:
        deliveries(gateway)
        again_with_one_seed(gateway)
        refusals(gateway)
        real_messages(gateway)
    print('bench_smtp: ok')
    return 0


if __name__ == '__main__':
    sys.exit(main())
