#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Config and command line as an operator meets them: a typing error names file, line and the fix
(rows C01, C02, C05, C09), nothing starts on a bad config, users are kept by `ringpost user`, the
reference page is the table's, every command has its help."""
import concurrent.futures
import json
import os
import pty
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import termios

from harness import RINGPOST, Gateway, check, same

HERE = os.path.dirname(os.path.abspath(__file__))
HASH = '$6$saltsaltsalt$' + 'a' * 86
GOOD = '''host_name = "mx.example.test";
store: { directory = "store"; };
domains = (
  { name = "example.test";
    users = "users";
    aliases = ( { name = "info"; to = ["u0", "u1@example.test"]; } );
  }
);
listeners = ( { protocol = "smtp"; address = "127.0.0.1"; port = 22400; } );
'''


class Place:
    """A directory with a config and a users file."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix='ringpost-config-')
        self.config = os.path.join(self.path, 'ringpost.conf')
        self.users = os.path.join(self.path, 'users')
        self.write(GOOD)
        self.write_users(f'u0@example.test:{HASH}\nu1@example.test:{HASH}\n')

    def write(self, text):
        with open(self.config, 'w', encoding='utf-8') as file:
            file.write(text)

    def write_users(self, text, mode=0o600):
        with open(self.users, 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(self.users, mode)

    def read_users(self):
        with open(self.users, encoding='utf-8') as file:
            return file.read()


def run(*arguments, stdin='', status=0):
    done = subprocess.run([RINGPOST, *arguments], input=stdin, capture_output=True, text=True,
                          timeout=60, check=False)
    check(done.returncode == status, f'{arguments}: exit status {done.returncode}, not {status}: '
                                     f'{done.stdout}{done.stderr}')
    return done.stdout, done.stderr


def problem(place, line, what, file=None):
    """`check` says exactly this one problem, and `serve` does not start."""
    out, _ = run('check', '--config', place.config, status=1)
    lines = out.splitlines()
    check(len(lines) == 1, f'one problem was planted, said are {lines}')
    begin = f'{file or place.config}:{line}: '
    check(lines[0].startswith(begin) and what in lines[0],
          f'{lines[0]!r} is not {begin} ... {what}')
    out, error = run('serve', '--config', place.config, status=1)
    check(what in error and out == '', f'serve said {out!r} {error!r}')
    check(not os.path.exists(os.path.join(place.path, 'store')), 'serve made a store')


def test_check(place):
    out, _ = run('check', '--config', place.config)
    check(out == f'{place.config}: OK: 1 domains, 2 users, 1 listeners\n', out)
    out, _ = run('check', '--json', '--config', place.config)
    check(json.loads(out) == {'ok': True, 'problem_count': 0, 'problems': [], 'variables': []}, out)
    place.write(GOOD.replace('port =', 'prot ='))
    out, _ = run('check', '--json', '--config', place.config, status=1)
    answer = json.loads(out)
    check(not answer['ok'] and answer['problems'][0]['line'] == 9, out)
    check('did you mean "port"?' in answer['problems'][0]['what'], out)
    _, error = run('check', '--config', '/nowhere/x.conf', status=1)
    check(error == '', error)


def test_mistakes(place):
    for text, line, what in (
            (GOOD + 'coers = 2;\n', 10, 'did you mean "cores"?'),
            (GOOD + 'port = 2;\n', 10, 'it belongs to'),
            (GOOD + 'host_name = "two";\n', 10, 'a second time'),
            (GOOD + 'cores = 4294967297;\n', 10, 'too large'),
            (GOOD.replace('"u0"', '"u9"'), 6, 'info@example.test'),
            (GOOD.replace('to = ["u0"', 'to = ["info"'), 6, 'info@example.test'),
            (GOOD.replace('smtp"', 'smtps"'), 9, 'smtp|lmtp|pop3|imap'),
            (GOOD[:-5], 9, 'syntax error'),
            (GOOD + 'user = "no-such-user-here";\n', 1, 'useradd')):
        place.write(text)
        problem(place, line, what)


def test_users_file(place): # C05, C09
    place.write_users(f'u0@example.test:{HASH}\nu1@example.test:nonsense\n')
    problem(place, 2, '', place.users)
    place.write_users(f'u0@example.test:{HASH}\n\n# x\nU0@example.test:{HASH}\n')
    problem(place, 4, '', place.users)
    place.write_users(f'u0@example.test:{HASH}\nu1@example.test:{HASH}\nx@y.test:{HASH}\n')
    problem(place, 1, 'x@y.test: its domain is none of ours')
    place.write_users(f'u0@example.test:{HASH}\nu1@example.test:{HASH}\n', 0o604)
    problem(place, 4, 'chmod o-rwx')
    place.write_users(f'u0@example.test:{HASH}\nu1@example.test:{HASH}\n', 0o620)
    problem(place, 4, 'chmod g-w')
    os.rename(place.users, place.users + '2')
    problem(place, 4, 'No such file')
    os.symlink(place.users + '2', place.users)
    problem(place, 4, 'symbolic link')
    os.unlink(place.users)
    os.mkfifo(place.users, 0o600)
    problem(place, 4, 'not a regular file')
    os.unlink(place.users)
    if os.geteuid() == 0:
        place.write_users(f'u0@example.test:{HASH}\nu1@example.test:{HASH}\n')
        os.chown(place.users, 12345, 12345)
        problem(place, 4, 'belongs to uid 12345')


TLS = 'tls: { certificates = ( { certificate = "certificate.pem"; key = "key.pem"; } ); };\n'


def test_certificate(place): # C05, T13
    """A key that others could read or replace, or that is none, is refused by file and line."""
    key = os.path.join(place.path, 'key.pem')
    place.write(GOOD + TLS)
    run('check', '--config', place.config, status=1)
    run('certificate', 'make', '--dir', place.path, 'mx.example.test')
    check(os.stat(key).st_mode & 0o777 == 0o600, 'the mode of a new key')
    run('check', '--config', place.config)
    for mode, what in ((0o604, 'open to everyone; chmod o-rwx'), (0o620, 'chmod g-w')):
        os.chmod(key, mode)
        problem(place, 10, what)
    os.chmod(key, 0o600)
    os.rename(key, key + '2')
    problem(place, 10, 'cannot be opened')
    os.symlink(key + '2', key)
    problem(place, 10, 'symbolic link')
    os.unlink(key)
    os.mkfifo(key, 0o600)
    problem(place, 10, 'not a regular file')
    os.unlink(key)
    with open(key, 'w', encoding='ascii') as file:
        file.write('no key\n')
    os.chmod(key, 0o600)
    problem(place, 10, f'{place.path}/certificate.pem: ')
    run('certificate', 'make', '--dir', os.path.join(place.path, 'none/none'), 'x', status=1)
    other = os.path.join(place.path, 'other')
    run('certificate', 'make', '--dir', other, 'mx.example.test') # makes the folder
    check(os.stat(other).st_mode & 0o777 == 0o700, 'the mode of a new folder')
    shutil.copy(os.path.join(other, 'key.pem'), key)
    problem(place, 10, f'{place.path}/certificate.pem: ') # another certificate's
    subprocess.run(['openssl', 'ec', '-in', os.path.join(other, 'key.pem'), '-aes128', '-passout',
                    'pass:x', '-out', key], check=True, capture_output=True)
    os.chmod(key, 0o600)
    problem(place, 10, f'{place.path}/certificate.pem: ') # encrypted
    if os.geteuid() != 0:
        return
    os.unlink(key)
    os.rename(key + '2', key)
    os.chown(key, 12345, 0)
    problem(place, 10, 'belongs to uid 12345')
    os.chown(key, 0, 0)
    place.write('user = "nobody"; ' + GOOD + TLS)
    problem(place, 10, 'cannot read it again for a reload')
    os.chown(key, 0, 12345)
    os.chmod(key, 0o640)
    problem(place, 10, 'readable by group 12345')
    os.chown(key, 0, pwd.getpwnam('nobody').pw_gid)
    run('check', '--config', place.config)


def test_scheme(place):
    for scheme, begin in (('sha512', '$6$'), ('argon2id', '$argon2id$'),
                          ('scram-sha-256', '{SCRAM-SHA-256}'), ('yescrypt', '$')):
        run('user', 'passwd', '--file', place.users, '--scheme', scheme, 'u0@example.test',
            stdin='secret\n')
        line = place.read_users().splitlines()[0]
        check(line.startswith(f'u0@example.test:{begin}'), line)
        run('check', '--config', place.config)
    _, error = run('user', 'passwd', '--file', place.users, '--scheme', 'md5', 'u0@example.test',
                   stdin='secret\n', status=1)
    check('no such scheme' in error, error)


def test_user(place):
    untouched = f'# ours\nu0@example.test:{HASH}:x:y\n\n# two\nu1@example.test:{HASH}\n'
    place.write_users(untouched)
    run('user', 'add', '--config', place.config, 'New@example.test', stdin='secret\n')
    text = place.read_users()
    check(text.startswith(untouched + 'new@example.test:$'), text)
    check('secret' not in text, 'the password is in the file')
    run('user', 'add', '--file', place.users, 'new@example.test', stdin='x\n', status=1)
    run('user', 'passwd', '--file', place.users, 'u0@example.test', stdin='other\n')
    changed = place.read_users().splitlines()
    check(changed[1].startswith('u0@example.test:$') and changed[1].endswith(':x:y') and
          HASH not in changed[1], changed[1])
    out, _ = run('user', 'list', '--config', place.config)
    same(out, 'u0@example.test\nu1@example.test\nnew@example.test\n', 'user list')
    out, _ = run('user', 'list', '--json', '--file', place.users)
    check(json.loads(out) == ['u0@example.test', 'u1@example.test', 'new@example.test'], out)
    run('user', 'del', '--file', place.users, 'new@example.test')
    run('user', 'del', '--file', place.users, 'new@example.test', status=1)
    run('user', 'passwd', '--file', place.users, 'u0@example.test', stdin='', status=1)
    same(place.read_users().replace(changed[1], f'u0@example.test:{HASH}:x:y'), untouched,
         'all other lines')
    for bad in ('u0', '@example.test', 'a b@example.test', 'a:b@example.test', 'a@b@c', 'a\n@b'):
        run('user', 'add', '--file', place.users, bad, stdin='x\n', status=2)
    run('user', 'add', '--config', place.config, 'a@other.test', stdin='x\n', status=1)
    check(os.stat(place.users).st_mode & 0o777 == 0o600, 'the mode changed')
    check(sorted(os.listdir(place.path)) == ['ringpost.conf', 'users'], os.listdir(place.path))


def on_terminal(arguments, *answers):
    """What a person at a terminal sees, and the exit status."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(RINGPOST, [RINGPOST, *arguments])
    seen = b''
    waiting = list(answers)
    while True:
        try:
            data = os.read(terminal, 1000)
        except OSError: # the other side is gone
            data = b''
        if not data:
            break
        seen += data
        if seen.endswith(b': ') and waiting:
            os.write(terminal, waiting.pop(0) + b'\n')
    os.close(terminal)
    return seen, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_user_terminal(place):
    arguments = ('user', 'passwd', '--file', place.users, 'u0@example.test')
    seen, status = on_terminal(arguments, b'secret', b'secret')
    check(status == 0 and b'secret' not in seen, f'{status} {seen}')
    check(b'Password: ' in seen and b'Once more: ' in seen, seen)
    before = place.read_users()
    check(f'u0@example.test:{HASH}' not in before, 'nothing changed')
    seen, status = on_terminal(arguments, b'secret', b'other')
    check(status == 1 and b'not the same' in seen, f'{status} {seen}')
    same(place.read_users(), before, 'after two different passwords')


def test_user_interrupt(place):
    """Ctrl-C or the end of the session at the prompt: the terminal echoes again."""
    arguments = ('user', 'passwd', '--file', place.users, 'u0@example.test')
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        ours, theirs = pty.openpty() # held open on both sides, so that its state can be asked
        process = subprocess.Popen([RINGPOST, *arguments], stdin=theirs, stdout=theirs,
                                   stderr=theirs)
        seen = b''
        while not seen.endswith(b'Password: '):
            seen += os.read(ours, 1000)
        check(not termios.tcgetattr(theirs)[3] & termios.ECHO, 'the password is echoed')
        process.send_signal(how)
        check(process.wait(10) == -how, f'{how.name}: exit status {process.returncode}')
        check(termios.tcgetattr(theirs)[3] & termios.ECHO, f'{how.name}: no echo any more')
        os.close(ours)
        os.close(theirs)


def test_user_at_once(place):
    """Many commands at the same time: no line is lost."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: run('user', 'add', '--file', place.users, f'p{i}@example.test',
                                    stdin='x\n'), range(16)))
    names = {line.split(':')[0] for line in place.read_users().splitlines()}
    check(names == {'u0@example.test', 'u1@example.test'} |
          {f'p{i}@example.test' for i in range(16)}, names)


def test_command_line(place):
    out, _ = run('--help')
    commands = [line[2:19].strip() for line in out.splitlines()
                if line.startswith('  ') and not line.startswith('  ringpost ')]
    check('serve' in commands and 'store verify' in commands, commands)
    for command in commands:
        out, _ = run(*command.split(), '--help')
        check(out.startswith(f'usage: ringpost {command}'), out)
    out, _ = run('--version')
    check(out.startswith('ringpost ') and 'liburing' in out and 'wolfSSL' in out, out)
    for arguments in ([], ['nonsense'], ['serve'], ['serve', '--config'], ['check', '--cfg', 'x'],
                      ['check', '--config', place.config, 'more'], ['user', 'add'],
                      ['try', '--dir', place.path, '--port-base', '1'],
                      ['try', '--dir', place.path, '--users', '0'],
                      ['try', '--dir', place.path, '--users', '1x']):
        _, error = run(*arguments, status=2)
        check('usage' in error or 'ringpost --help' in error, f'{arguments}: {error}')


def test_reference(_):
    out, _ = run('config-reference')
    with open(os.path.join(HERE, '../../docs/config.md'), encoding='utf-8') as file:
        same(file.read(), out, 'docs/config.md (run: ringpost config-reference >docs/config.md)')


def test_sample(place):
    """deploy/ringpost.conf is right but for what belongs to its machine."""
    with open(os.path.join(HERE, '../../deploy/ringpost.conf'), encoding='utf-8') as file:
        text = file.read()
    run('certificate', 'make', '--dir', place.path, 'mx.example.org')
    for here, there in (('/etc/ringpost/example.org.passwd', place.users),
                        ('"/etc/ringpost/certificate.pem"', f'"{place.path}/certificate.pem"'),
                        ('"/etc/ringpost/key.pem"', f'"{place.path}/key.pem"'),
                        ('user = "ringpost"', '# user')):
        check(here in text, f'{here} is not in the sample')
        text = text.replace(here, there)
    place.write(text)
    place.write_users(f'postmaster@example.org:{HASH}\n')
    run('check', '--config', place.config)


def test_try_alone(_):
    """`try` with a single user: its sample aliases lead to the one there is."""
    with Gateway(users=1) as gateway:
        with gateway.smtp() as smtp:
            smtp.sendmail('a@example.org', ['all-two@example.test'], b'Subject: x\r\n\r\nx\r\n')
        imap = gateway.imap('u0')
        check(imap.select('INBOX')[1] == [b'1'], 'the alias of one user does not deliver once')
        imap.logout()


def main():
    for test in (test_check, test_mistakes, test_users_file, test_certificate, test_scheme,
                 test_user, test_user_terminal, test_user_interrupt, test_user_at_once,
                 test_command_line, test_reference, test_sample, test_try_alone):
        place = Place()
        try:
            test(place)
        finally:
            shutil.rmtree(place.path, ignore_errors=True)
        print(f'{test.__name__}: ok', flush=True)


if __name__ == '__main__':
    sys.exit(main())
