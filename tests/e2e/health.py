#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`ringpost healthcheck`: yes of a gateway that serves; no where there is none, where it is not
ready, and where something else answers, says nothing, or says too much. A config that is wrong
elsewhere, and a variable in its place, are no reason to call a gateway ill."""
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

from harness import ADMIN, RINGPOST, Gateway, check


def ask(config, status, *words, env=None):
    done = subprocess.run([RINGPOST, 'healthcheck', '--config', config, *words], text=True,
                          capture_output=True, timeout=30, check=False,
                          env={**os.environ, **(env or {})})
    check(done.returncode == status, f'{done.returncode}: {done.stdout}{done.stderr}')
    return done.stdout + done.stderr


@contextlib.contextmanager
def liar(answer, hold=0, drop=None):
    """A server that takes one connection, says that much and waits; with `drop` that on and on."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        def serve():
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                client.recv(1000)
                client.sendall(answer)
                time.sleep(hold)
                while drop is not None:
                    client.sendall(drop)
                    time.sleep(0.2)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(20)


def config_for(folder, port, more=''):
    path = os.path.join(folder, 'conf')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(f'admin: {{ port = {port}; }};\n{more}')
    return path


def test_serving():
    with Gateway(users=2) as gateway:
        config = os.path.join(gateway.directory, 'try', 'ringpost.conf')
        until = time.monotonic() + 20
        while subprocess.run([RINGPOST, 'healthcheck', '--config', config], capture_output=True,
                             check=False).returncode != 0:
            check(time.monotonic() < until, 'never healthy')
            time.sleep(0.05)
        check(ask(config, 0) == 'ready\n', 'what /ready says')
        check(ask(config, 0, '--live') == 'live\n', 'what /live says')
        with open(config, 'a', encoding='utf-8') as file:
            file.write('domains_ = 1;\n') # what a reload would refuse
        check(ask(config, 0) == 'ready\n', 'the file is wrong elsewhere')
        # reached on loopback also where it listens on every address
        for address in ('0.0.0.0', '127.0.0.1'):
            ask(config, 0, env={'RINGPOST_ADMIN__ADDRESS': address})
        port = str(gateway.port(ADMIN))
        with tempfile.TemporaryDirectory() as folder:
            ask(config_for(folder, 1), 0, env={'RINGPOST_ADMIN__PORT': port})
        gateway.stop()
        check('Connection refused' in ask(config, 1), 'nobody is there')


def test_others():
    with tempfile.TemporaryDirectory() as folder:
        for answer, hold, words in (
                (b'HTTP/1.1 503 Service Unavailable\r\n\r\ndraining\n', 0, 'not ready: draining'),
                (b'HTTP/1.1 200 OK\r\n\r\nready\n', 0, None),
                (b'220 mx.example.test ESMTP\r\n', 0, 'no admin port'),
                (b'HTTP/1.1 2', 0, 'no admin port'),
                (b'', 0, 'no admin port'),
                (b'HTTP/1.1 404 Not Found\r\n\r\n' + b'\x1b' * 100000, 0, 'not ready'),
                (b'HTTP/1.1 200 OK\r\n', 6, 'no answer in time')):
            with liar(answer, hold) as port:
                said = ask(config_for(folder, port), 0 if words is None else 1)
                check(words is None or words in said, f'{answer[:30]}: {said}')
                check('\x1b' not in said, 'control characters of a stranger')
        with liar(b'HTTP/1.1 200 OK\r\n', drop=b'A') as port:
            began = time.monotonic()
            check('no answer in time' in ask(config_for(folder, port), 1), 'an answer in drops')
            check(time.monotonic() - began < 20, 'an answer in drops is waited for')
        check('admin.port' in ask(config_for(folder, '"x"'), 1), 'a port that is none')
        check('admin.port' in ask(os.path.join(folder, 'nowhere'), 1), 'no config')


def main():
    for test in (test_serving, test_others):
        test()
        print(f'{test.__name__}: ok', flush=True)


if __name__ == '__main__':
    sys.exit(main())
