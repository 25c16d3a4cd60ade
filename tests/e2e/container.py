#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# long
"""The gateway in a container: the image's last stage is built with the program under test, and run
by podman as deploy/compose.yaml says (not root, read-only root, no capabilities, the profile of
deploy/seccomp.json): config by variables, mail in by SMTP and out by IMAP, health, SIGTERM and
kill -9 on the same volume, state in the volume alone; where io_uring is blocked the message names
the flag (row R11). The unit is looked at by systemd, and run by the system calls that it leaves.
Then scripts of this folder against a gateway in the container.

usage: container.py [NAME]...      only these tests
"""
import contextlib
import http.client
import imaplib
import json
import os
import re
import shutil
import signal
import smtplib
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from harness import RINGPOST, check, free_base
from in_container import DEPLOY, HERE, confined, engine

IMAGE = 'localhost/ringpost'
PROFILE = os.path.join(DEPLOY, 'seccomp.json')
CONF = '/etc/ringpost/ringpost.conf'
USER, PASSWORD = 'anna@example.org', 'correct horse'
CALLS = ['io_uring_setup', 'io_uring_enter', 'io_uring_register']
LISTENERS = {25: 0, 587: 1, 465: 2, 110: 3, 995: 4, 143: 5, 993: 6, 24: 7} # of container.conf
ADMIN = 80


def run(*words, status=0, stdin='', env=None, timeout=120):
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout,
                          check=False, env={**os.environ, **(env or {})})
    check(status is None or done.returncode == status,
          f'{words}: exit status {done.returncode}: {done.stdout[-1500:]}{done.stderr[-1500:]}')
    return done.stdout + done.stderr


def load_json(path):
    with open(path, encoding='utf-8') as file:
        return json.load(file)


class World:
    """A folder with the image in it, volumes and profiles."""

    def __init__(self, work):
        self.work, self.base = work, free_base()
        self.archive = os.path.join(work, 'ringpost.tar')

    def podman(self, *words, **options):
        return run(*engine(self.work), *words, **options)

    def build(self, out):
        said = run(os.path.join(DEPLOY, 'image.sh'), '--program', RINGPOST, '--work', self.work,
                   out, env={'SOURCE_DATE_EPOCH': '1700000000'}, timeout=300)
        print(said.strip())
        return re.search(r'digest (sha256:[0-9a-f]{64})', said).group(1)

    def variables(self):
        """All that the image's config asks for, and ports of our own."""
        given = {'HOST_NAME': 'mx.example.org', 'DOMAINS__0__NAME': 'example.org',
                 'AUTH__DEFAULT_DOMAIN': 'example.org', 'DRAIN_PACE': '200ms', 'CORES': '2',
                 'STORE__SEGMENT_SIZE': '64M', 'ADMIN__PORT': self.base + ADMIN}
        for port, entry in LISTENERS.items():
            given[f'LISTENERS__{entry}__PORT'] = self.base + port
            given[f'LISTENERS__{entry}__ADDRESS'] = '127.0.0.1'
        return [f'--env=RINGPOST_{key}={value}' for key, value in given.items()]

    def once(self, volume, *words, more=(), profile=PROFILE, **options):
        """A command of the program in a container that goes again."""
        return self.podman('run', '--rm', '-i', '--no-healthcheck', *confined(profile), *more,
                           '-v', f'{volume}:/var/lib/ringpost', IMAGE, *words, **options)


class Gateway:
    """A container with a volume that outlives it."""

    def __init__(self, world, volume, name='gateway', more=()):
        self.world, self.volume, self.name, self.more = world, volume, name, more

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if sys.exc_info()[0] is not None:
            print(self.log()[-3000:], file=sys.stderr)
        self.remove()

    def start(self):
        self.world.podman('run', '-d', '--name', self.name, *confined(), *self.world.variables(),
                          *self.more, '-v', f'{self.volume}:/var/lib/ringpost', IMAGE)

    def healthy(self, seconds=30):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            said = subprocess.run([*engine(self.world.work), 'healthcheck', 'run', self.name],
                                  capture_output=True, text=True, timeout=30, check=False)
            if said.returncode == 0:
                return
            state = self.inspect('{{.State.Running}}')
            check(state == 'true', f'it ended: {self.log()[-2000:]}')
            time.sleep(0.1)
        check(False, f'never healthy: {said.stdout}{said.stderr}')

    def inspect(self, what):
        return self.world.podman('inspect', '--format', what, self.name).strip()

    def log(self):
        return self.world.podman('logs', self.name, status=None)

    def event(self, name):
        for line in self.log().splitlines():
            if f'"event":"{name}"' in line:
                return json.loads(line)
        raise AssertionError(f'no line {name} in {self.log()[-1000:]}')

    def wait_for(self, name, seconds=20):
        until = time.monotonic() + seconds
        while f'"event":"{name}"' not in self.log():
            check(time.monotonic() < until, f'no line {name}: {self.log()[-1000:]}')
            time.sleep(0.1)

    def stop(self):
        self.world.podman('stop', '-t', '40', self.name)
        check(self.inspect('{{.State.ExitCode}}') == '0', f'after SIGTERM: {self.log()[-1000:]}')

    def kill(self):
        self.world.podman('kill', '-s', 'KILL', self.name)
        self.world.podman('wait', self.name)

    def remove(self):
        self.world.podman('rm', '-f', '-i', '-t', '0', self.name, status=None)

    def send(self, text, to=USER):
        with smtplib.SMTP('127.0.0.1', self.world.base + 25, timeout=30) as smtp:
            smtp.sendmail('a@example.net', [to], text)

    def imap(self):
        context = ssl.create_default_context(cafile=f'{self.volume}/tls/certificate.pem')
        context.check_hostname = False
        imap = imaplib.IMAP4_SSL('127.0.0.1', self.world.base + 993, ssl_context=context,
                                 timeout=30)
        imap.login('anna', PASSWORD)
        return imap

    def subjects(self):
        imap = self.imap()
        imap.select('INBOX', readonly=True)
        _, answer = imap.fetch('1:*', '(BODY[HEADER.FIELDS (SUBJECT)])')
        imap.logout()
        return [part[1].split(b':')[1].strip().decode() for part in answer
                if isinstance(part, tuple)]


def make_volume(world):
    """Empty, then with a certificate and a user, by the image's own program."""
    volume = tempfile.mkdtemp(prefix='volume-', dir=world.work)
    os.chown(volume, 65532, 65532)
    world.once(volume, 'certificate', 'make', '--dir', 'tls', 'mx.example.org')
    world.once(volume, 'user', 'add', '--file', 'users.passwd', '--scheme', 'sha512', USER,
               stdin=PASSWORD + '\n')
    return volume


# --- the image ------------------------------------------------------------------------------------


def test_image(world):
    again = os.path.join(world.work, 'again.tar')
    check(world.build(again) == world.digest, 'a second build has another digest')
    os.unlink(again)
    config = json.loads(world.podman('image', 'inspect', IMAGE))[0]
    check(config['User'] == '65532:65532', config['User'])
    inner = config['Config']
    check(list(inner['Volumes']) == ['/var/lib/ringpost'], inner)
    check(inner['StopSignal'] == 'SIGTERM', inner)
    check(inner['Entrypoint'] == ['/usr/bin/ringpost'], inner)
    check(config['Healthcheck']['Test'][1:3] == ['/usr/bin/ringpost', 'healthcheck'], config)
    check(config['Labels']['org.opencontainers.image.licenses'] == 'GPL-2.0-or-later', config)
    check(config['Size'] < 64 << 20, f'{config["Size"]} bytes')
    root = world.podman('image', 'mount', IMAGE).strip()
    programs = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            check(os.path.islink(path) or status.st_mode & 0o6002 == 0, f'{path}: mode')
            if status.st_mode & 0o111 and not re.search(r'\.so(\.|$)', name) and \
                    not os.path.islink(path):
                programs.append(os.path.relpath(path, root))
    check(programs == ['usr/bin/ringpost'], f'programs in the image: {programs}')
    status = os.stat(f'{root}/var/lib/ringpost')
    check((status.st_uid, status.st_mode & 0o777) == (65532, 0o700), status)
    check(os.path.exists(f'{root}/etc/ssl/certs/ca-certificates.crt'), 'no roots')
    check(os.path.exists(f'{root}/var/lib/dpkg/status.d/libc6'), 'scanners see no packages')
    world.podman('image', 'unmount', IMAGE)


def test_missing(world):
    """Without what only its owner can know, it says what, and starts nothing."""
    volume = tempfile.mkdtemp(prefix='volume-', dir=world.work)
    os.chown(volume, 65532, 65532)
    said = world.once(volume, 'serve', '--config', CONF, status=1)
    check('or set RINGPOST_HOST_NAME' in said, said)
    check('or set RINGPOST_DOMAINS__0__NAME' in said, said)
    said = world.once(volume, 'serve', '--config', CONF, more=world.variables(), status=1)
    check('/var/lib/ringpost/users.passwd: cannot be opened' in said, said)
    said = world.once(volume, 'check', '--config', CONF, status=1,
                      more=[*world.variables(), '--env=RINGPOST_STORE_CACHE=1G'])
    check('RINGPOST_STORE_CACHE: no key is named so; did you mean RINGPOST_STORE__CACHE?' in said,
          said)
    check(os.listdir(volume) == [], 'it made something')
    volume = make_volume(world)
    said = world.once(volume, 'check', '--config', CONF, more=world.variables())
    check(f'{CONF}: OK: 1 domains, 1 users, 8 listeners' in said, said)
    check('set by RINGPOST_HOST_NAME\n' in said, said)
    check(re.search(rf'set by RINGPOST_ADMIN__PORT, in place of {CONF}:\d+\n', said), said)


# --- io_uring -------------------------------------------------------------------------------------


def blocking(world, error):
    """The profile, but io_uring fails with that error."""
    profile = load_json(PROFILE)
    for rule in profile['syscalls']:
        if rule['names'] == CALLS:
            rule.update(action='SCMP_ACT_ERRNO', errnoRet=error)
    path = os.path.join(world.work, f'profile-{error}.json')
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(profile, file)
    return path


def test_io_uring_blocked(world): # R11
    volume = make_volume(world)
    flag = '--security-opt seccomp=deploy/seccomp.json'
    with open('/proc/sys/kernel/io_uring_disabled', encoding='ascii') as file:
        disabled = file.read().strip()
    for profile, words in (
            (None, ['Function not implemented', flag, 'Linux 6.1']), # Podman's own
            (blocking(world, 1), ['Operation not permitted', flag, 'kernel.io_uring_disabled=0',
                                  f'kernel.io_uring_disabled is {disabled} here']), # as Docker's
            (blocking(world, 12), ['Cannot allocate memory', 'memory limit', '--ulimit memlock']),
            (blocking(world, 24), ['Too many open files', '--ulimit nofile'])):
        said = world.once(volume, 'serve', '--config', CONF, more=world.variables(),
                          profile=profile, status=1)
        for word in words:
            check(word in said, f'{word!r} is not in {said!r}')
    check(sorted(os.listdir(volume)) == ['tls', 'users.passwd'], 'it made a store')


# --- running --------------------------------------------------------------------------------------


def test_serves(world): # F09
    volume = make_volume(world)
    said = world.once(volume, 'healthcheck', '--config', CONF, more=world.variables(), status=1)
    check('does the gateway run?' in said, said)
    with Gateway(world, volume) as gateway:
        gateway.start()
        gateway.healthy()
        line = gateway.event('confined')
        wanted = ('on', 'files', 'ring_files', 'rings', 'exec', 'trace', 'sockets', 'fork', 'root',
                  'rights', 'dumps', 'ring')
        check([key for key in wanted if line.get(key) != 'true'] == [], line)
        check('landlock' not in line and 'seccomp' not in line, line)
        pid = gateway.inspect('{{.State.Pid}}')
        with open(f'/proc/{pid}/status', encoding='utf-8') as file:
            status = dict(row.split(':', 1) for row in file.read().splitlines())
        check(status['Uid'].split() == ['65532'] * 4, status['Uid'])
        check(int(status['CapBnd'], 16) == 0 and status['NoNewPrivs'].strip() == '1', status)
        # ISO-2022-JP: iconv's own files are there, though they are opened late
        body = 'Subject: =?iso-2022-jp?B?GyRCRnxLXBsoQg==?=\r\n\r\nx\r\n'
        gateway.send(body)
        imap = gateway.imap()
        imap.select('INBOX')
        _, answer = imap.fetch('1', '(BODY.PEEK[])')
        check(answer[0][1].endswith(body.encode()), answer)
        imap.literal = '日本'.encode()
        check(imap.uid('SEARCH', 'CHARSET', 'UTF-8', 'SUBJECT')[1] == [b'1'],
              'a subject in ISO-2022-JP is not found: no charsets')
        imap.logout()
        # a user more, after SIGHUP: the variables hold on
        world.once(volume, 'user', 'add', '--file', 'users.passwd', '--scheme', 'sha512',
                   'berta@example.org', stdin='pw\n')
        world.podman('kill', '-s', 'HUP', gateway.name)
        gateway.wait_for('reload')
        check(gateway.event('reload')['level'] == 'info', gateway.event('reload'))
        gateway.send('Subject: y\r\n\r\ny\r\n', 'berta@example.org')
        client = http.client.HTTPConnection('127.0.0.1', world.base + ADMIN, timeout=10)
        client.request('GET', '/ready')
        check(client.getresponse().status == 200, '/ready')
        changed = [row for row in world.podman('diff', gateway.name).splitlines()
                   if not re.match(r'[CA] (/etc|/etc/(hosts|hostname|mtab|resolv.conf)|/run|'
                                   r'/run/\.containerenv|/run/secrets|/var|/var/lib|/dev|/proc|'
                                   r'/sys|/var/lib/ringpost)$', row)]
        check(changed == [], f'changed outside of the volume: {changed}')
        gateway.stop()
        last = gateway.log().splitlines()[-1]
        check(json.loads(last), 'the log is not JSON to its end')
        world.podman('healthcheck', 'run', gateway.name, status=None)
    check(sorted(os.listdir(volume)) == ['store', 'tls', 'users.passwd'], os.listdir(volume))


class Sender(threading.Thread):
    """Sends numbered messages until there is no gateway; remembers what was acknowledged."""

    def __init__(self, gateway, first):
        super().__init__(daemon=True)
        self.gateway, self.number, self.acknowledged = gateway, first, []

    def run(self):
        with contextlib.suppress(OSError, smtplib.SMTPException):
            with smtplib.SMTP('127.0.0.1', self.gateway.world.base + 25, timeout=30) as smtp:
                while True:
                    name = f'm{self.number}'
                    smtp.sendmail('a@example.net', [USER], f'Subject: {name}\r\n\r\nx\r\n')
                    self.acknowledged.append(name)
                    self.number += 1


def test_stop_and_kill(world): # F01
    """`docker stop` and a kill under load, each on the volume of the one before."""
    volume, sent = make_volume(world), []
    for turn, how in enumerate(('stop', 'kill', 'stop')):
        with Gateway(world, volume) as gateway:
            gateway.start()
            gateway.healthy()
            if turn > 0:
                found = gateway.subjects()
                check(set(sent) <= set(found), f'lost after {how}: {set(sent) - set(found)}')
                check(len(found) == len(set(found)), 'there twice')
            sender = Sender(gateway, turn * 100000)
            sender.start()
            until = time.monotonic() + 20
            while len(sender.acknowledged) < 50:
                check(time.monotonic() < until, 'nothing is acknowledged')
                time.sleep(0.01)
            getattr(gateway, how)()
            sender.join(30)
            sent += sender.acknowledged
    said = world.once(volume, 'store', 'verify', '--dir', 'store')
    print(f'{len(sent)} acknowledged; {said.strip().splitlines()[-1]}')


def test_root_becomes_user(world): # F08
    """Started as root it becomes the image's user; without the right to, it says so."""
    volume = make_volume(world)
    with Gateway(world, volume, more=['--user=0:0', '--cap-add=SETUID,SETGID,DAC_OVERRIDE,CHOWN']) \
            as gateway:
        gateway.start()
        gateway.healthy()
        with open(f'/proc/{gateway.inspect("{{.State.Pid}}")}/status', encoding='utf-8') as file:
            check(re.search(r'Uid:\s65532\s65532\s65532\s65532', file.read()), 'it is still root')
        gateway.stop()
    said = world.once(volume, 'serve', '--config', CONF, status=1,
                      more=[*world.variables(), '--user=0:0', '--cap-add=DAC_OVERRIDE'])
    check('cannot become ringpost' in said, said)


def test_other_scripts(world):
    """Scripts of this folder, with a gateway in the container in place of the program."""
    wrapper = os.path.join(world.work, 'ringpost-in-container')
    with open(wrapper, 'w', encoding='utf-8') as file:
        file.write(f'#!/bin/sh\nexec python3 {HERE}/in_container.py {world.work} "$@"\n')
    os.chmod(wrapper, 0o755)
    for words in (['clients.py'], ['kill.py', '4']):
        said = run(sys.executable, os.path.join(HERE, words[0]), *words[1:],
                   env={'RINGPOST': wrapper}, timeout=200)
        print(f'in the container, {words[0]}: {said.strip().splitlines()[-1]}')
    until = time.monotonic() + 10
    while world.podman('ps', '-a', '-q').strip():
        check(time.monotonic() < until, 'a container is left')
        time.sleep(0.1)


# --- the unit -------------------------------------------------------------------------------------


def unit_profile(world):
    """The system calls that the unit allows, as a profile of containers."""
    unit = os.path.join(DEPLOY, 'ringpost.service')
    with open(unit, encoding='utf-8') as file:
        words = ' '.join(re.findall(r'^SystemCallFilter=(.*)$', file.read(), re.M)).split()
    names = {word for word in words if not word.startswith('@')}
    groups, seen = [word for word in words if word.startswith('@')], set()
    while groups:
        group = groups.pop()
        seen.add(group)
        for word in run('systemd-analyze', '--no-pager', 'syscall-filter', group).split('\n')[1:]:
            word = word.strip()
            if word.startswith('@') and word not in seen:
                groups.append(word)
            elif word and not word.startswith(('@', '#')):
                names.add(word)
    path = os.path.join(world.work, 'unit.json')
    with open(path, 'w', encoding='utf-8') as file:
        json.dump({'defaultAction': 'SCMP_ACT_ERRNO', 'defaultErrnoRet': 1,
                   'architectures': ['SCMP_ARCH_X86_64', 'SCMP_ARCH_AARCH64'],
                   'syscalls': [{'names': sorted(names), 'action': 'SCMP_ACT_ALLOW'}]}, file)
    return path


def test_unit(world): # F09
    """systemd finds nothing wrong with it, it is tight, and the gateway runs and confines itself
    with the system calls that it leaves."""
    if shutil.which('systemd-analyze') is None:
        print('no systemd-analyze: the unit is not looked at')
        return
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(DEPLOY, 'ringpost.service'), encoding='utf-8') as file:
            text = file.read()
        path = os.path.join(folder, 'ringpost.service')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text.replace('/usr/bin/ringpost', RINGPOST))
        said = run('systemd-analyze', 'verify', path)
        check(said.strip() == '', said)
        said = run('systemd-analyze', '--no-pager', 'security', '--offline=true', '--threshold=25',
                   path)
    print(said.strip().splitlines()[-1].strip())
    filter_ = unit_profile(world)
    volume = make_volume(world)
    with Gateway(world, volume) as gateway:
        world.podman('run', '-d', '--name', gateway.name,
                     *[word for word in confined(filter_)], *world.variables(), '-v',
                     f'{volume}:/var/lib/ringpost', IMAGE)
        gateway.healthy()
        gateway.send('Subject: x\r\n\r\nx\r\n')
        check(gateway.subjects() == ['x'], 'the mail is not there')
        line = gateway.event('confined')
        check('false' not in line.values() and 'landlock' not in line, line)
        gateway.stop()


TESTS = (test_image, test_missing, test_io_uring_blocked, test_serves, test_stop_and_kill,
         test_root_becomes_user, test_unit, test_other_scripts)


def tools():
    """What builds and runs images; exit status 77 where it cannot be had."""
    if os.geteuid() != 0:
        print('not root: no image can be built')
        sys.exit(77)
    prefix = os.environ.get('RINGPOST_PREFIX', os.path.expanduser('~/.cache/ringpost/prefix'))
    if all(shutil.which(name) for name in ('podman', 'runc')):
        return
    done = subprocess.run([os.path.join(DEPLOY, 'deps.sh'), '--image', prefix], check=False)
    if done.returncode != 0 or not shutil.which('podman'):
        print('podman and runc cannot be installed')
        sys.exit(77)


def main(names):
    tools()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix='ringpost-container-') as work:
        os.chmod(work, 0o711)
        world = World(work)
        world.digest = world.build(world.archive)
        try:
            for test in TESTS:
                if not names or test.__name__ in names:
                    began = time.monotonic()
                    test(world)
                    print(f'{test.__name__}: ok, {time.monotonic() - began:.1f} s', flush=True)
        finally:
            world.podman('rm', '-f', '-a', '-t', '0', status=None)
            world.podman('image', 'unmount', '-a', status=None)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
