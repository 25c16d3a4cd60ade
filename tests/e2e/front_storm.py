#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# alone: thousands of sockets, and how they are spread over seconds is what is tested
"""A backend with thousands of sessions dies, hangs, or is taken down. Two Ringposts with mail of
their own are the backends, a third one is in front; all clients stay in IDLE and, when they are
sent away, come back at once.

Each time: the clients are sent away evenly over proxy.spread, each after a whole word of its own;
log-ins under way at the backend that lives never pass `connecting` a core; nobody is told that his
password is wrong, sees another's mail, or hears a line that is not his; and when the time is over,
all are in.

usage: RINGPOST=build/gcc/src/main/ringpost tests/e2e/front_storm.py [--sessions N] [--spread S]
                                                                    [TEST]...
"""
import argparse
import calendar
import collections
import json
import os
import pwd
import re
import resource
import signal
import smtplib
import subprocess
import sys
import tempfile
import time
import urllib.request

from front_harness import free_ports, process
from front_mass import Mass
from harness import RINGPOST, check

CORES, CONNECTING = 2, 5
HEALTH_MS, DOWN_AFTER, CONNECT_MS, KEEP_ALIVE_MS = 500, 2, 1000, 4000
SWEEP_SECONDS = KEEP_ALIVE_MS / 8 / 1000 # src/proxy/sweep.c: once around
NOTICE_SECONDS = DOWN_AFTER * (HEALTH_MS * 9 / 8 + CONNECT_MS) / 1000 # by checks
SLACK_SECONDS = 2       # of a busy machine
FREE, STEP_MS = 16, 10  # src/proxy/proxy_private.h: sent away at once, and in which steps the rest
PARTS = 10
COMMON = '''{user}
host_name = "localhost";
cores = {cores};
drain_pace = "100ms";
drain_wait = "1s";
limits: {{ connections = {connections}; connections_per_user = 100000; }};
admin: {{ address = "127.0.0.1"; port = {admin}; }};
'''
BACKEND = COMMON + '''
store: {{ directory = "store"; }};
domains = ( {{ name = "example.test"; users = "users.passwd"; }} );
listeners = ( {{ protocol = "imap"; address = "127.0.0.1"; port = {imap}; plain_login = true; }},
              {{ protocol = "lmtp"; address = "127.0.0.1"; port = {lmtp}; }} );
'''
FRONT = COMMON + '''
pools = ( {{ name = "store"; verify = "backend"; connecting = {connecting};
             health_interval = "{health}ms"; down_after = {down_after}; up_after = 2;
             connect_timeout = "{connect}ms"; login_timeout = "10s"; slow_start = "0s";
             affinity = "0s"; sources = [ "127.0.1.1", "127.0.1.2", "127.0.1.3" ];
             backends = ( {backends} ); }} );
domains = ( {{ name = "example.test"; pool = "store"; }} );
listeners = ( {{ protocol = "imap"; address = "127.0.0.1"; port = {imap}; plain_login = true; }} );
auth: {{ failure_delay_first = "100ms"; failure_delay = "200ms"; }};
control: {{ socket = "control.sock"; }};
proxy: {{ spread = "{spread}ms"; keep_alive = "{keep_alive}ms"; }};
'''


class Server:
    """`ringpost serve` in a folder of its own."""

    def __init__(self, folder, name, config, values):
        self.dir, self.name, self.process = os.path.join(folder, name), name, None
        self.ports = values
        os.makedirs(self.dir)
        user = 'user = "nobody";' if os.geteuid() == 0 else ''
        self.write('ringpost.conf', config.format(user=user, cores=CORES, **values))
        self.log = os.path.join(self.dir, 'log')

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, 'w', encoding='ascii') as file:
            file.write(text)
        os.chmod(path, 0o600)

    def start(self):
        if os.geteuid() == 0:
            nobody = pwd.getpwnam('nobody')
            for name in [''] + os.listdir(self.dir):
                os.chown(os.path.join(self.dir, name), nobody.pw_uid, nobody.pw_gid)
        with open(self.log, 'ab') as out:
            self.read_from = out.tell()
            self.process = subprocess.Popen(
                [RINGPOST, 'serve', '--config', os.path.join(self.dir, 'ringpost.conf')],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                preexec_fn=process.die_with_parent)
        until = time.monotonic() + 20
        while not any(line.get('event') == 'ready' for line in self.lines()):
            check(self.process.poll() is None and time.monotonic() < until,
                  f'{self.name} does not start')
            time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            check(self.process.wait(60) == 0, f'{self.name}: exit status')

    def lines(self):
        """Log lines since the start, or since mark()."""
        with open(self.log, encoding='utf-8', errors='replace') as file:
            file.seek(self.read_from)
            return [json.loads(line) for line in file if line.startswith('{') and
                    line.endswith('}\n')]

    def mark(self):
        self.read_from = os.path.getsize(self.log)

    def metric(self, name):
        with urllib.request.urlopen(f'http://127.0.0.1:{self.ports["admin"]}/metrics',
                                    timeout=20) as answer:
            found = re.search(rf'^ringpost_{re.escape(name)} (\d+)$', answer.read().decode(), re.M)
        return int(found.group(1))

    def cpu_seconds(self):
        fields = process.stat_fields(self.process.pid)
        return (int(fields[11]) + int(fields[12])) / process.TICKS

    def memory_peak(self):
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as file:
            return int(re.search(r'VmHWM:\s+(\d+)', file.read()).group(1)) * 1024


def seconds_of(line):
    """When it was logged."""
    whole, fraction = line['time'].rstrip('Z').split('.')
    return calendar.timegm(time.strptime(whole, '%Y-%m-%dT%H:%M:%S')) + float('0.' + fraction)


def established(port):
    """Connections to that port that the kernel has made, accepted by the program or not."""
    wanted, count = f':{port:04X}', 0
    with open('/proc/net/tcp', encoding='ascii') as file:
        for line in file:
            fields = line.split()
            count += fields[2].endswith(wanted) and fields[3] == '01'
    return count


class Field:
    def __init__(self, folder, sessions, users, spread):
        self.sessions, self.users, self.spread = sessions, users, spread
        base = free_ports(8)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        values = {'connections': hard - 1000, 'connecting': CONNECTING, 'health': HEALTH_MS,
                  'down_after': DOWN_AFTER, 'connect': CONNECT_MS, 'spread': int(spread * 1000),
                  'keep_alive': KEEP_ALIVE_MS}
        self.stores = {
            name: Server(folder, name, BACKEND, {
                **values, 'imap': base + 3 * i, 'lmtp': base + 3 * i + 1,
                'admin': base + 3 * i + 2})
            for i, name in enumerate(('left', 'right'))}
        self.front = Server(folder, 'front', FRONT, {
            **values, 'imap': base + 6, 'admin': base + 7, 'connections': (hard - 1000) // 2,
            'backends': ', '.join(f'{{ name = "{name}"; address = "127.0.0.1"; '
                                  f'imap = {store.ports["imap"]}; }}'
                                  for name, store in self.stores.items())})
        self.mass = Mass(base + 6, sessions, users)

    def __enter__(self):
        hashed = subprocess.run(['openssl', 'passwd', '-5', '-salt', 'salt', 'pw'], text=True,
                                check=True, capture_output=True, timeout=30).stdout.strip()
        for store in self.stores.values():
            store.write('users.passwd', ''.join(f'u{user}@example.test:{hashed}\n'
                                                for user in range(self.users)))
            store.start()
            self.mark_mail(store)
        self.front.start()
        began = time.monotonic()
        self.mass.all_come(60, 60 + self.sessions / 200)
        print(f'{self.sessions} sessions of {self.users} users in IDLE after '
              f'{time.monotonic() - began:.1f} s', flush=True)
        return self

    def __exit__(self, *_):
        self.mass.close()
        for server in (self.front, *self.stores.values()):
            if sys.exc_info()[0] is None:
                server.stop()
            else:
                server.kill()
                with open(server.log, encoding='utf-8', errors='replace') as file:
                    others = [line for line in file if '"event":"session"' not in line]
                sys.stderr.write(f'--- {server.name}\n{"".join(others)[-2000:]}\n')

    def mark_mail(self, store):
        with smtplib.LMTP('127.0.0.1', store.ports['lmtp'], timeout=30) as lmtp:
            for user in range(self.users):
                lmtp.sendmail('', [f'u{user}@example.test'],
                              f'From: a@example.org\r\nSubject: of u{user} on {store.name}\r\n\r\n'
                              f'x\r\n')

    def command(self, *words):
        """The clients go on meanwhile; returns when it has ended."""
        with subprocess.Popen([RINGPOST, *words, '--config',
                               os.path.join(self.front.dir, 'ringpost.conf'), '--json'],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
            self.mass.until(lambda: running.poll() is not None, self.spread + 30, f'{words}')
            check(running.returncode == 0, f'{words}: {running.stdout.read()}')


# ---------------------------------------------------------------- what must hold

def check_spread(field, lines, began, spread):
    """Log lines of the sessions that were sent away: even over the time. Of each core the first are
    free, and the rest comes in steps until these would take longer than `spread`."""
    times = sorted(seconds_of(line) - began for line in lines)
    check(times, 'nobody was sent away')
    whole = min(spread, len(times) / CORES * STEP_MS / 1000)
    parts = [0] * PARTS
    for moment in times[min(FREE * CORES, len(times) // 4):]:
        parts[max(0, min(PARTS - 1, int(moment / whole * PARTS)))] += 1
    share = sum(parts) / PARTS
    check(max(parts) <= 2 * share, f'sent away within {whole:.1f} s, by tenths: {parts}')
    check(times[-1] <= spread + SLACK_SECONDS, f'the last is sent away after {times[-1]:.1f} s')
    check(times[-1] >= 0.7 * whole, f'all are sent away within {times[-1]:.1f} s')
    return parts


def check_words(events):
    """Each client that was sent away has heard why, in a whole line."""
    for event in events:
        if event.kind == 'left':
            check(event.text.startswith(b'* BYE [UNAVAILABLE] '), f'{event.text!r}')


def sent_away(field):
    """Log lines of sessions that were passed through and have ended."""
    return [line for line in field.front.lines()
            if line.get('event') == 'session' and 'backend' in line]


def most_in(times, seconds):
    """The most of these moments that lie within so long."""
    first, most = 0, 0
    for last, moment in enumerate(times):
        while times[first] < moment - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


class Trial:
    """One time that a backend's clients are sent away: from what is done to it to where all are in
    at the other one."""

    def __init__(self, field, what, away, living, end):
        self.field, self.what, self.end = field, what, end
        self.away, self.living = field.stores[away], field.stores[living]
        self.lost = field.mass.at(away)
        field.mass.take()
        field.front.mark()
        self.cpu = field.front.cpu_seconds()
        self.began = time.time()

    def log_ins_at_once(self):
        """The living backend is stopped for a moment: what has been begun at it shows."""
        mass = self.field.mass
        self.living.signal(signal.SIGSTOP)
        mass.play(0.6)
        at_work = established(self.living.ports['imap']) - mass.logged_in(self.living.name)
        self.living.signal(signal.SIGCONT)
        check(at_work <= CONNECTING * CORES + 1, # a check may be among them
              f'{at_work} log-ins under way at the backend')
        check(at_work >= CONNECTING, f'{at_work} log-ins under way: nobody had to wait')
        return at_work

    def finish(self, notice, sweep=0):
        """notice: when the first are sent away, at the latest; sweep: what finds them takes so
        long."""
        field, mass = self.field, self.field.mass
        spread = field.spread + sweep
        mass.until(lambda: mass.idle_count() == field.sessions and
                   mass.at(self.living.name) == field.sessions,
                   notice + spread + HEALTH_MS / 1000 + 2 * SLACK_SECONDS, self.what)
        back = time.time() - self.began
        mass.until(lambda: len(sent_away(field)) >= self.lost, SLACK_SECONDS,
                   f'{self.lost} lines about the ends of sessions')
        events = mass.take()
        check_words(events)
        lines = [line for line in sent_away(field) if line['end'] == self.end]
        check(len(lines) == self.lost, f'{len(lines)} of {self.lost} were sent away so: '
              f'{collections.Counter(line["end"] for line in sent_away(field))}')
        began = min(map(seconds_of, lines))
        check(began - self.began <= notice + SLACK_SECONDS,
              f'the first is sent away after {began - self.began:.1f} s')
        parts = check_spread(field, lines, began, spread)
        kinds = mass.counts
        returns = [event.time for event in events if event.kind == 'idle']
        print(f'{self.what}: {self.lost} sent away from {began - self.began:.2f} s to '
              f'{max(map(seconds_of, lines)) - self.began:.2f} s, by tenths {parts}; all back '
              f'after {back:.2f} s, at most {most_in(returns, 0.1) * 10} a second; refused '
              f'{kinds["refused"]}, turned away {kinds["turned away"]}; CPU of the front '
              f'{field.front.cpu_seconds() - self.cpu:.2f} s, memory at most '
              f'{field.front.memory_peak() / 1e6:.0f} MB', flush=True)
        kinds['refused'] = kinds['turned away'] = 0


def await_up(field, name):
    gauge = f'backend_up{{pool="store",backend="{name}"}}'
    field.mass.until(lambda: field.front.metric(gauge) == 1,
                     3 * HEALTH_MS / 1000 + CONNECT_MS / 1000 + SLACK_SECONDS, f'{name} is up')


def test_kill(field):
    """X15: kill -9: the kernel closes all of its connections in one moment."""
    trial = Trial(field, 'killed', 'left', 'right', 'connection to the backend was lost')
    trial.away.kill()
    field.mass.play(min(field.spread / 3, 5))
    at_work = trial.log_ins_at_once()
    trial.finish(0)
    print(f'{at_work} log-ins at once at most', flush=True)
    trial.away.start()
    await_up(field, 'left')


def test_hang(field):
    """X08: it stops, with all sessions: its kernel goes on, so that only checks can tell."""
    trial = Trial(field, 'hung', 'right', 'left', 'backend does not answer')
    trial.away.signal(signal.SIGSTOP)
    trial.finish(NOTICE_SECONDS + SWEEP_SECONDS, SWEEP_SECONDS)
    trial.away.signal(signal.SIGCONT)
    await_up(field, 'right')
    field.mass.until(lambda: established(trial.away.ports['imap']) <= 1, 10, 'closed there')


def test_down(field):
    """The operator takes it down."""
    trial = Trial(field, 'taken down', 'left', 'right', 'backend was taken down')
    field.command('backend', 'down', 'left')
    trial.finish(0)
    field.command('backend', 'up', 'left')


def main():
    tests = {name: value for name, value in globals().items() if name.startswith('test_')}
    parser = argparse.ArgumentParser()
    parser.add_argument('--sessions', type=int, default=1000)
    parser.add_argument('--users', type=int, default=100)
    parser.add_argument('--spread', type=float, default=2)
    parser.add_argument('tests', nargs='*')
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < options.sessions + 2000:
        print(f'RLIMIT_NOFILE is {hard}')
        return 77
    with tempfile.TemporaryDirectory(prefix='ringpost-storm-') as folder:
        os.chmod(folder, 0o755)
        with Field(folder, options.sessions, options.users, options.spread) as field:
            for name in options.tests or tests:
                began = time.monotonic()
                tests[name](field)
                print(f'{name}: ok, {time.monotonic() - began:.1f} s', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
