#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the process is allowed and given when it starts: privileges are gone before the first ring
(row F08), a machine that forbids io_uring or a port is told apart from one that is slow (R11, C07),
few descriptors mean fewer connections and not none (R06), a log that nobody reads does not hold up
mail (N05)."""
import ctypes
import http.client
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from harness import ADMIN, LMTP, RINGPOST, SMTP, Gateway, check, free_base

CONFIG = '''host_name = "mx.example.test";
{more}
drain_pace = "100ms";
drain_wait = "1s";
store: {{ directory = "store"; }};
domains = ( {{ name = "example.test"; users = "users"; }} );
listeners = ( {{ protocol = "lmtp"; address = "127.0.0.1"; port = {lmtp}; }},
              {{ protocol = "smtp"; address = "127.0.0.1"; port = {smtp}; }} );
admin: {{ port = {admin}; }};
'''
HASH = '$6$saltsaltsalt$' + 'a' * 86
NOBODY, NOGROUP = 65534, 65534


class Server:
    """`serve` in a directory of its own."""

    def __init__(self, more='', smtp=None, **options):
        self.path = tempfile.mkdtemp(prefix='ringpost-start-')
        os.chmod(self.path, 0o711)
        if os.geteuid() == 0 and 'user =' not in more: # as root it wants to become somebody
            more = f'user = "nobody"; {more}'
        base = free_base()
        self.lmtp, self.smtp, self.admin = base + LMTP, smtp or base + SMTP, base + ADMIN
        with open(f'{self.path}/conf', 'w', encoding='utf-8') as file:
            file.write(CONFIG.format(more=more, lmtp=self.lmtp, smtp=self.smtp, admin=self.admin))
        with open(f'{self.path}/users', 'w', encoding='utf-8') as file:
            file.write(f'u@example.test:{HASH}\n')
        os.chmod(f'{self.path}/users', 0o640)
        if os.geteuid() == 0:
            os.chown(f'{self.path}/users', -1, NOGROUP)
        self.process = subprocess.Popen([RINGPOST, 'serve', '--config', f'{self.path}/conf'],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        shutil.rmtree(self.path, ignore_errors=True)

    def wait(self):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                client = http.client.HTTPConnection('127.0.0.1', self.admin, timeout=2)
                client.request('GET', '/ready')
                if client.getresponse().status == 200:
                    return
            except OSError:
                pass
            check(self.process.poll() is None, f'it ended: {self.process.poll()}')
            time.sleep(0.02)
        check(False, 'it is never ready')

    def refused(self, *words):
        """It ends by itself with status 1, and standard error holds the words."""
        out, error = self.process.communicate(timeout=30)
        error = error.decode()
        check(self.process.returncode == 1, f'{self.process.returncode}: {out} {error}')
        for word in words:
            check(word in error, f'{word!r} is not in {error!r}')

    def session(self):
        with socket.create_connection(('127.0.0.1', self.lmtp), 10) as client:
            greeting = client.recv(1000)
            client.sendall(b'QUIT\r\n')
            return greeting + client.recv(1000)


def test_privileges(): # F08, A15
    if os.geteuid() != 0:
        print('not root: privileges are not dropped')
        return
    with Server('user = "nobody";', 700) as server:
        server.wait()
        status = {}
        with open(f'/proc/{server.process.pid}/status', encoding='utf-8') as file:
            for line in file:
                key, _, value = line.partition(':')
                status[key] = value.split()
        check(status['Uid'] == [str(NOBODY)] * 4, status['Uid'])
        check('0' not in status['Gid'] + status['Groups'], status)
        for kind in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
            check(int(status[kind][0], 16) == 0, f'{kind}: {status[kind]}')
        check(status['NoNewPrivs'] == ['1'], 'NoNewPrivs')
        check(os.stat(f'/proc/{server.process.pid}/environ').st_uid == 0, 'it can be dumped')
        check(os.stat(f'{server.path}/store').st_uid == NOBODY, 'the store is not its own')
        check(server.session().startswith(b'220 '), 'it does not serve')


def forbid_io_uring():
    """In the child: io_uring_setup answers EPERM, as a container's seccomp profile has it."""
    libc = ctypes.CDLL(None, use_errno=True)
    program = b''.join(struct.pack('HBBI', *row) for row in (
        (0x20, 0, 0, 0),              # load the call's number
        (0x15, 0, 1, 425),            # io_uring_setup?
        (0x06, 0, 0, 0x00050000 | 1), # then EPERM
        (0x06, 0, 0, 0x7fff0000)))    # else allow
    buffer = ctypes.create_string_buffer(program)
    filter_ = struct.pack('HxxxxxxP', len(program) // 8, ctypes.addressof(buffer))
    libc.prctl(38, 1, 0, 0, 0)
    libc.prctl(22, 2, ctypes.create_string_buffer(filter_), 0, 0)


def test_io_uring_forbidden(): # R11
    with Server(preexec_fn=forbid_io_uring) as server:
        server.refused('io_uring', 'kernel.io_uring_disabled is 0', 'seccomp profile',
                       '--security-opt seccomp=deploy/seccomp.json')
        store = f'{server.path}/store' # as root it makes the folder for whom it becomes
        check(not os.path.exists(store) or not os.listdir(store), 'it made a store')


def test_io_uring_disabled(): # R11
    """By the sysctl, which this machine has for all: a file in its place, seen by one process."""
    if os.geteuid() != 0:
        print('not root: no file can be put over another')
        return
    with tempfile.NamedTemporaryFile('w') as file:
        file.write('2\n')
        file.flush()
        os.chmod(file.name, 0o644)

        def forbid():
            libc = ctypes.CDLL(None, use_errno=True)
            new_namespace, private, bind = 0x20000, 0x44000, 0x1000
            libc.unshare(new_namespace)
            libc.mount(b'none', b'/', None, private, None)
            libc.mount(file.name.encode(), b'/proc/sys/kernel/io_uring_disabled', None, bind, None)
            forbid_io_uring()
        with Server(preexec_fn=forbid) as server:
            server.refused('kernel.io_uring_disabled is 2 here: set it to 0')


def test_port_forbidden(): # C07
    if os.geteuid() != 0:
        print('not root: cannot become another user')
        return
    with open('/proc/sys/net/ipv4/ip_unprivileged_port_start', encoding='utf-8') as file:
        if int(file.read()) <= 700:
            print('every port is for everyone here')
            return
    binary = shutil.copy(RINGPOST, tempfile.mkdtemp(prefix='ringpost-bin-'))
    os.chmod(os.path.dirname(binary), 0o755)
    with Server('', 700) as server:
        server.process.kill()
        os.chown(server.path, NOBODY, NOBODY)
        os.chown(f'{server.path}/users', NOBODY, NOBODY)
        server.process.communicate()
        server.process = subprocess.Popen([binary, 'serve', '--config', f'{server.path}/conf'],
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                          user=NOBODY, group=NOBODY, extra_groups=[])
        server.refused('127.0.0.1 port 700', 'Permission denied')
    shutil.rmtree(os.path.dirname(binary))


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))


def test_few_descriptors(): # R06
    with Server('cores = 1;', preexec_fn=few_descriptors) as server:
        server.wait()
        held = []
        for _ in range(200):
            client = socket.create_connection(('127.0.0.1', server.lmtp), 5)
            client.settimeout(0.5)
            held.append(client)
        greeted = 0
        for client in held:
            try:
                greeted += client.recv(100).startswith(b'220')
            except OSError:
                break
        check(30 < greeted < 160, f'{greeted} connections were served')
        for client in held:
            client.close()
        until = time.monotonic() + 1
        while not server.session().startswith(b'220 '):
            check(time.monotonic() < until, 'it does not recover')
            time.sleep(0.1)


def dropped(port):
    client = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
    client.request('GET', '/metrics')
    text = client.getresponse().read().decode()
    return int(text.split('\nringpost_log_lines_dropped_total ')[1].split('\n')[0])


def test_log_blocked(): # N05
    with Server() as server:
        server.wait()
        sessions, until = 0, time.monotonic() + 60
        while dropped(server.admin) == 0:
            check(time.monotonic() < until, 'no line was ever dropped')
            for _ in range(200):
                check(b'221 ' in server.session(), 'a session was held up')
            sessions += 200
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        check(server.process.wait(20) == 0, 'exit status')
        check(time.monotonic() - began < 10, 'the log held up the end')
        print(f'{sessions} sessions until lines were dropped')


def test_log_file():
    with Server('log: { file = "log"; };') as server:
        server.wait()
        server.session()
        server.process.send_signal(signal.SIGTERM)
        check(server.process.wait(20) == 0, 'exit status')
        out, error = server.process.communicate()
        check(out == b'' and error == b'', f'{out} {error}')
        with open(f'{server.path}/log', encoding='utf-8') as file:
            check('"event":"session"' in file.read(), 'no session in the log')
        check(os.stat(f'{server.path}/log').st_mode & 0o777 == 0o640, 'mode of the log')


def test_more_cores_than_cpus(): # F11
    with Gateway(users=2) as gateway:
        gateway.stop()
        gateway.process = subprocess.Popen(
            [RINGPOST, 'try', '--dir', os.path.join(gateway.directory, 'try'), '--port-base',
             str(gateway.base), '--users', '2', '--cores', '5'],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        gateway.wait()
        for _ in range(20):
            with gateway.smtp() as smtp:
                smtp.sendmail('a@example.org', ['u0@example.test', 'u1@example.test'],
                              'Subject: x\r\n\r\nx\r\n')
        for user in ('u0', 'u1'):
            imap = gateway.imap(user)
            check(imap.select('INBOX')[1] == [b'20'], f'{user} has not all')
            imap.logout()


def main():
    for test in (test_privileges, test_io_uring_forbidden, test_io_uring_disabled,
                 test_port_forbidden, test_few_descriptors, test_log_blocked, test_log_file,
                 test_more_cores_than_cpus):
        test()
        print(f'{test.__name__}: ok', flush=True)


if __name__ == '__main__':
    sys.exit(main())
