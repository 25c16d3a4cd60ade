#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ringpost-bench as a person meets it: what it refuses and how it says so, servers that are not
there, lie or go away, an interrupt, files that cannot be written, a terminal."""
import concurrent.futures
import ctypes
import fcntl
import json
import os
import pty
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback

from harness import RINGPOST, check

BENCH = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(RINGPOST)))),
                     'bench', 'load', 'ringpost-bench')
OK, ERRORS, USAGE, NOTHING, INTERRUPTED = 0, 1, 2, 3, 130
SCENARIOS = ('smtp', 'lmtp', 'imap', 'pop3', 'login', 'connect', 'idle', 'mix')


class Server:
    """Listens on loopback; `talk(server, connection)` on a thread for each connection."""

    def __init__(self, talk):
        self.talk, self.count, self.is_up = talk, 0, True
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=1024)
        self.target = f'127.0.0.1:{self.listener.getsockname()[1]}'
        self.connections = []
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.go()

    def go(self):
        """Nobody is there any more."""
        if not self.is_up:
            return
        self.is_up = False
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self):
        while self.is_up:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            self.talk(self, connection)
        except OSError:
            pass
        finally:
            connection.close()


def silent(_, connection):
    while connection.recv(4096):
        pass


def garbage(_, connection):
    connection.sendall(b'\x00\xff%s\n\r\r\n' * 50)
    silent(_, connection)


def endless(server, connection):
    while server.is_up:
        connection.sendall(b'220-' + b'x' * 65536)


def nothing(_, __):
    """Closes at once."""


def reset(_, connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))


def smtp(_, connection, refusal=None):
    """Takes everything, without extensions; or refuses each message."""
    file = connection.makefile('rb')
    connection.sendall(b'220 here\r\n')
    for line in file:
        word = line[:4].upper()
        if word == b'DATA':
            connection.sendall(b'354 go on\r\n')
            for text in file:
                if text == b'.\r\n':
                    break
            time.sleep(0.002)
            connection.sendall(refusal or b'250 taken\r\n')
        elif word == b'QUIT':
            connection.sendall(b'221 bye\r\n')
            return
        else:
            connection.sendall(b'250 fine\r\n')


def refuses(server, connection):
    smtp(server, connection, b'554 5.7.1 not in this house\r\n')


class Run:
    """A run to its end: status, out, err, seconds."""

    def __init__(self, *words, seconds=60, **more):
        self.words, began = words, time.monotonic()
        done = subprocess.run([BENCH, *words], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors='replace', timeout=seconds, check=False, **more)
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.seconds = time.monotonic() - began

    def ends(self, status, *texts):
        """With this status, and these texts on standard error."""
        what = f'{" ".join(self.words)}: {self.status}\n{self.out}{self.err}'
        check(self.status == status, f'wants {status}: {what}')
        for text in texts:
            check(text in self.err, f'wants "{text}": {what}')
        return self


def measured(path):
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def closed_port():
    with socket.create_server(('127.0.0.1', 0)) as probe:
        return f'127.0.0.1:{probe.getsockname()[1]}'


# --- the command line -----------------------------------------------------------------------------

def test_help(_):
    check(re.fullmatch(r'ringpost-bench \d+\.\d+\.\d+\n', Run('--version').ends(OK).out), 'version')
    page = Run('--help').ends(OK).out
    for name in SCENARIOS:
        check(f'\n  {name} ' in page, f'--help does not name {name}')
        check('--target HOST:PORT' in Run(name, '--help').ends(OK).out, f'{name} --help')
    Run().ends(USAGE, 'usage: ringpost-bench')
    Run('smpt').ends(USAGE, 'there is no scenario "smpt"; did you mean smtp?')
    Run('compare').ends(USAGE, 'compare wants files')
    Run('page', '/nonexistent.json').ends(USAGE, 'page wants one file, and --html FILE')
    Run('page', '/nonexistent.json', '--html', '/dev/null').ends(ERRORS, '/nonexistent.json: ')


def test_refusals(folder):
    with Server(smtp) as server:
        at = ('smtp', '--target', server.target)
        Run('smtp').ends(USAGE, '--target HOST:PORT is needed')
        Run(*at, '--conections', '5').ends(USAGE, 'did you mean --connections?')
        Run(*at, '--connections', 'many').ends(USAGE, '--connections many: a number from 1 to')
        Run(*at, '--per-session', '5').ends(USAGE, '--per-session is not for smtp')
        Run(*at, '--from', f'{folder}/none').ends(USAGE, f'{folder}/none')
        Run(*at, '--json', f'{folder}/none/x.json').ends(USAGE, 'No such file or directory')
        Run(*at, '--json', folder).ends(USAGE, 'cannot be written: Is a directory')
        Run(*at, '--html', '/proc/version').ends(USAGE, '--html /proc/version: cannot be written')
        Run(*at, '--json', f'{folder}/x', '--html', f'{folder}/x').ends(USAGE, 'the same file')
        Run(*at, '--server-pid', '4194303').ends(USAGE, 'there is no process 4194303')
        Run(*at, '--verify').ends(USAGE, '--verify')
        Run(*at, '--threads', '2', '--connections', '1').ends(USAGE, '--threads is more than')
        check(os.listdir(folder) == [], f'left behind: {os.listdir(folder)}')
        check(server.count == 0, 'it connected though the command line was refused')


def test_only_loopback(_):  # G01
    Run('smtp', '--target', '192.0.2.1:25').ends(
        USAGE, '192.0.2.1 is not loopback', '--i-own-this-server 192.0.2.1')
    Run('imap', '--target', '127.0.0.1:1', '--also', 'lmtp://[2001:db8::1]:24').ends(
        USAGE, '2001:db8::1 is not loopback')
    name = socket.gethostname()
    try:
        outside = {row[4][0] for row in socket.getaddrinfo(name, 25, socket.AF_INET)}
    except OSError:
        return
    if all(not address.startswith('127.') for address in outside):
        Run('smtp', '--target', f'{name}:25').ends(USAGE, f'--i-own-this-server {name}')


def test_few_descriptors(_):  # G07
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))
        if os.geteuid() == 0: # else it would raise it
            libc = ctypes.CDLL(None)
            libc.prctl(24, 24, 0, 0, 0) # PR_CAPBSET_DROP, CAP_SYS_RESOURCE
            os.setgid(65534)
            os.setuid(65534)
    if not os.access(BENCH, os.X_OK) or os.geteuid() == 0 and not open_to_all(BENCH):
        print('the program cannot be run by somebody else here')
        return
    Run('smtp', '--target', '127.0.0.1:1', '--connections', '5000', preexec_fn=limit).ends(
        USAGE, '--connections 5000: this process may have 500 descriptors', 'ulimit -n')


def test_few_maps(_):
    """Each worker's stack takes two of the kernel's maps."""
    with open('/proc/sys/vm/max_map_count', encoding='ascii') as file:
        if int(file.read()) >= 400000:
            print('this kernel allows many maps')
            return
    run = Run('smtp', '--target', '127.0.0.1:1', '--connections', '200000', '--threads', '32')
    if 'descriptors' not in run.err: # few of these are allowed too
        run.ends(USAGE, '200000 workers need 402000 maps', 'sysctl -w vm.max_map_count=402000')
    run.ends(USAGE)


def open_to_all(path):
    while path != '/':
        if not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True


def forbid_io_uring():
    """In the child: io_uring_setup answers EPERM, as a container's seccomp profile has it."""
    libc = ctypes.CDLL(None, use_errno=True)
    program = b''.join(struct.pack('HBBI', *row) for row in (
        (0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050000 | 1), (0x06, 0, 0, 0x7fff0000)))
    buffer = ctypes.create_string_buffer(program)
    filter_ = struct.pack('HxxxxxxP', len(program) // 8, ctypes.addressof(buffer))
    libc.prctl(38, 1, 0, 0, 0)
    libc.prctl(22, 2, ctypes.create_string_buffer(filter_), 0, 0)


def test_io_uring_forbidden(_):  # R11
    Run('smtp', '--target', '127.0.0.1:1', preexec_fn=forbid_io_uring).ends(
        NOTHING, 'io_uring: Operation not permitted', 'seccomp')


# --- servers --------------------------------------------------------------------------------------

def test_nobody_there(folder):  # G02
    target, path = closed_port(), f'{folder}/run.json'
    run = Run('smtp', '--target', target, '--json', path).ends(
        NOTHING, f'cannot connect to {target}: Connection refused')
    check(run.seconds < 15, f'it took {run.seconds} s to say so')
    result = measured(path)
    check(not result['complete'] and result['why'] == 'cannot connect', result['why'])
    check(result['operations'] == 0, result['operations'])
    check(result['errors']['connection refused'] > 0, result['errors'])
    Run('imap', '--target', f'unix:{folder}/none').ends(
        NOTHING, f'cannot connect to unix:{folder}/none: No such file or directory')
    Run('imap', '--target', target).ends(NOTHING, 'Connection refused') # it prepares mailboxes


def test_lying_servers(folder):  # G03
    for talk, kinds, more in (
            (silent, {'no answer in time'}, ('--timeout', '1s')),
            (garbage, {'answer is not of the protocol'}, ()),
            (endless, {'answer too long', 'no answer in time'}, ('--timeout', '1s')),
            (nothing, {'server closed the connection', 'connection reset'}, ()),
            (reset, {'server closed the connection', 'connection reset'}, ())):
        for scenario in ('smtp', 'imap', 'pop3'):
            path = f'{folder}/{talk.__name__}-{scenario}.json'
            with Server(talk) as server:
                run = Run(scenario, '--target', server.target, '--duration', '2s', '--warm-up', '0',
                          '--connections', '3', '--json', path, '--timeout', '5s', *more)
                run.ends(NOTHING)
            result, what = measured(path), f'{scenario}, {talk.__name__}'
            check(result['operations'] == 0 and result['error_count'] > 0, f'{what}: {result}')
            check(set(result['errors']) <= kinds, f'{what}: {result["errors"]}')
            check(run.seconds < 30, f'{what}: {run.seconds} s')


def test_silent_server_is_gone(folder):
    """Nothing has come for --timeout: the run ends before its duration."""
    path = f'{folder}/run.json'
    with Server(silent) as server:
        run = Run('smtp', '--target', server.target, '--duration', '60s', '--timeout', '1s',
                  '--connections', '5', '--json', path).ends(NOTHING)
    check(run.seconds < 30, f'{run.seconds} s')
    check(measured(path)['why'] == 'the target is gone', measured(path)['why'])


def test_refusing_server(folder):
    path = f'{folder}/run.json'
    with Server(refuses) as server:
        run = Run('smtp', '--target', server.target, '--messages', '50', '--connections', '2',
                  '--warm-up', '0', '--json', path).ends(NOTHING)
    result = measured(path)
    check(result['errors'] == {'refused (5xx, BAD, -ERR)': 50}, result['errors'])
    check('not in this house' in result['error_examples'][0]['said'], result['error_examples'])
    check('not in this house' in run.out and result['complete'], run.out)
    check(len(result['timeline']) < 30 and result['phases'].keys() >= {'greeting', 'mail'},
          result['phases'].keys())


def test_server_goes_away(folder):  # G04
    """Errors are counted to the end of the run; what was measured before is there."""
    path = f'{folder}/run.json'
    with Server(smtp) as server:
        timer = threading.Timer(3, server.go)
        timer.start()
        run = Run('smtp', '--target', server.target, '--duration', '5s', '--warm-up', '500ms',
                  '--connections', '4', '--json', path).ends(ERRORS)
        timer.join()
    result = measured(path)
    check(result['complete'] and 4.5 < result['seconds'] < 15, result['seconds'])
    check(result['operations'] > 50 and result['error_count'] >= 4, result['errors'])
    check(result['error_count'] < 500, 'it did not wait between attempts')
    check('connection refused' in result['errors'], result['errors'])
    check('errors' in run.out and 'connection refused' in run.out, run.out)


# --- the end --------------------------------------------------------------------------------------

def interrupted(target, path, after, *more, signals=1):
    """What is left of a run that was interrupted: seconds until the end, standard output."""
    with subprocess.Popen(
            [BENCH, 'smtp', '--target', target, '--duration', '60s', '--warm-up', '200ms',
             '--json', path, *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(after)
        began = time.monotonic()
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        out, err = process.communicate(timeout=30)
        check(process.returncode == INTERRUPTED, f'{process.returncode}: {out}{err}')
        return time.monotonic() - began, out


def test_interrupt(folder):  # G05
    path = f'{folder}/run.json'
    with Server(smtp) as server:
        seconds, out = interrupted(server.target, path, 3)
    result = measured(path)
    check(not result['complete'] and result['why'] == 'interrupted', result['why'])
    check(result['operations'] > 20 and result['phases']['operation']['count'] > 20, result)
    check(0.5 < result['seconds'] < 30 and seconds < 15, f'{result["seconds"]}, {seconds}')
    check('PARTIAL: interrupted' in out and '\n  operation ' in out, out)

    path = f'{folder}/silent.json' # workers wait for answers: it is written all the same
    with Server(silent) as server:
        seconds, out = interrupted(server.target, path, 1)
        check(seconds < 20 and measured(path)['why'] == 'interrupted', f'{seconds}')
        path = f'{folder}/twice.json' # a second one: at once, without a result
        interrupted(server.target, path, 1, signals=2)
        check(set(os.listdir(folder)) == {'run.json', 'silent.json'}, os.listdir(folder))


def small_disk(folder):
    """A file system of 16 KiB, or None."""
    path = f'{folder}/disk'
    os.mkdir(path)
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=16k', 'none', path],
                          capture_output=True, check=False)
    return path if done.returncode == 0 else None


def test_full_disk(folder):  # G06
    with Server(smtp) as server:
        at = ('smtp', '--target', server.target, '--messages', '300', '--warm-up', '0')
        run = Run(*at, '--json', '/dev/full').ends(
            ERRORS, '--json /dev/full: not written: No space left on device')
        check('300 messages in' in run.out and '\n  operation ' in run.out, run.out)
        disk = small_disk(folder)
        if disk is None:
            print('no file system can be mounted here')
            return
        try:
            with open(f'{disk}/run.json', 'w', encoding='ascii') as file:
                file.write('an older result')
            run = Run(*at, '--html', f'{disk}/run.html', '--json', f'{disk}/run.json').ends(
                ERRORS, 'not written: No space left on device')
            check('300 messages in' in run.out, run.out)
            with open(f'{disk}/run.json', encoding='ascii') as file:
                check(file.read() == 'an older result', 'the older result is lost')
            check(os.listdir(disk) == ['run.json'], f'left behind: {os.listdir(disk)}')
        finally:
            subprocess.run(['umount', disk], check=True)


def test_results(folder):
    """To standard output, the summary then elsewhere; the password nowhere."""
    with Server(smtp) as server:
        at = ('smtp', '--target', server.target, '--messages', '100', '--connections', '3',
              '--password', 'geheim', '--label', 'a <b> "toy"')
        run = Run(*at, '--json', '-', '--html', f'{folder}/run.html').ends(OK, '100 messages in')
        result = json.loads(run.out)
        with open(f'{folder}/run.html', encoding='utf-8') as file:
            page = file.read()
    check('geheim' not in run.out + page and '***' in result['command'], result['command'])
    check(page.startswith('<!DOCTYPE html>') and 'a <b>' not in page, page[:200])
    check(result['operations'] == 100 and result['error_count'] == 0, result['errors'])
    check(result['settings']['connections'] == 3 and result['settings']['warm_up_seconds'] == 1,
          result['settings'])
    check(result['settings']['loop'] == 'closed' and result['label'] == 'a <b> "toy"', result)
    check(result['connections_most'] == 3 and result['verify'] is None, result)
    check(sum(row['operations'] for row in result['timeline']) == 100, result['timeline'])
    phase = result['phases']['operation']
    check(phase['count'] == 100 and sum(row[1] for row in phase['histogram']) == 100, phase)
    check(phase['min_us'] <= phase['p50_us'] <= phase['p99_us'] <= phase['max_us'], phase)
    check(set(os.listdir(folder)) == {'run.html'}, os.listdir(folder))


def members(value):
    """All names in it."""
    if isinstance(value, list):
        return set().union(*map(members, value)) if value else set()
    if isinstance(value, dict):
        return set(value).union(*map(members, value.values()))
    return set()


def test_schema(folder):
    """Every member that docs/bench-json.md has is in a result, but for those below a null."""
    path = f'{folder}/run.json'
    with Server(smtp) as server:
        Run('smtp', '--target', server.target, '--messages', '200', '--warm-up', '0',
            '--server-pid', str(os.getpid()), '--json', path).ends(OK)
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../docs/bench-json.md')
    with open(page, encoding='utf-8') as file:
        example = file.read().split('# What the suite writes')[0]
    wanted = set(re.findall(r'"(\w+)":', re.sub(r'//.*', '', example)))
    check(len(wanted) > 70, f'{len(wanted)} members in {page}')
    missing = wanted - members(measured(path)) - {'checked', 'missing', 'altered', 'doubled',
                                                   'error', 'said', 'connection refused'}
    check(not missing, f'not in the result: {missing}')
    cost = measured(path)['cost']
    check(cost['server']['cpu_seconds'] > 0 and cost['server']['memory_bytes_most'] > 1e6, cost)


def test_open_loop(folder):
    path = f'{folder}/run.json'
    with Server(smtp) as server:
        Run('smtp', '--target', server.target, '--rate', '100', '--duration', '3s', '--threads',
            '2', '--connections', '8', '--json', path).ends(OK)
    result = measured(path)
    check(result['operations'] == 300 and result['settings']['loop'] == 'open', result)
    check(result['operations_not_begun'] == 0, result['operations_not_begun'])


# --- progress -------------------------------------------------------------------------------------

def on_terminal(*words):
    """What is written to a terminal 100 columns wide."""
    terminal, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack('HHHH', 30, 100, 0, 0))
    with subprocess.Popen([BENCH, *words], stdout=subprocess.DEVNULL, stderr=other) as process:
        os.close(other)
        seen = b''
        while True:
            try:
                part = os.read(terminal, 4096)
            except OSError:
                break
            if not part:
                break
            seen += part
        check(process.wait(60) == OK, f'{process.returncode}: {seen}')
    os.close(terminal)
    return seen.decode()


def test_terminal(_):
    with Server(smtp) as server:
        at = ('smtp', '--target', server.target, '--connections', '2', '--warm-up', '500ms')
        seen = on_terminal(*at, '--duration', '4s')
        lines = seen.split('\r\x1b[K')
        check(len(lines) >= 4 and lines[-1] == '', f'{lines}')
        check(all(len(line) < 100 and '\n' not in line for line in lines), f'{lines}')
        check(any(re.match(r'smtp: measuring \ds left  \d+/s  p50 .* p99 .* 2 connections', line)
                  for line in lines), f'{lines}')
        check(on_terminal(*at, '--messages', '20', '--quiet') == '', '--quiet is not quiet')
        run = Run(*at, '--duration', '12s').ends(OK)
        check(re.search(r'^smtp: measuring \ds left  \d+/s', run.err, re.M), run.err)
        check('\x1b' not in run.err + run.out and run.err.count('\n') <= 3, run.err)


def play(test):
    """What went wrong, or None."""
    folder, began = tempfile.mkdtemp(prefix='ringpost-bench-'), time.monotonic()
    try:
        test(folder)
        print(f'{test.__name__}: ok, {time.monotonic() - began:.1f} s', flush=True)
        return None
    except (AssertionError, OSError, KeyError, ValueError, subprocess.SubprocessError):
        return f'{test.__name__}: {traceback.format_exc()}'
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    alone = (test_few_descriptors, test_io_uring_forbidden) # they fork with code of ours
    beside = (test_terminal, test_lying_servers, test_interrupt, test_server_goes_away, test_help,
              test_refusals, test_only_loopback, test_nobody_there, test_silent_server_is_gone,
              test_refusing_server, test_full_disk, test_few_maps, test_results,
              test_schema, test_open_loop)
    chosen = sys.argv[1:] or [test.__name__ for test in alone + beside]
    problems = [play(test) for test in alone if test.__name__ in chosen]
    with concurrent.futures.ThreadPoolExecutor(4) as pool: # most of it is waiting
        problems += pool.map(play, [test for test in beside if test.__name__ in chosen])
    problems = [problem for problem in problems if problem is not None]
    if problems:
        sys.exit('\n'.join(problems))


if __name__ == '__main__':
    main()
