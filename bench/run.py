#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ringpost beside its peers, in one run, in pairs: server CPU per operation, memory, start time.

usage: bench/run.py [--ringpost BINARY] [--client BINARY] [--pairs N] [--cores N] [--dir DIR]
                    [ROW...]

Rows (default: all):
  smtp-1k smtp-conn smtp-100k   smtp-source into ringpost (durable, in the mailbox's index) and
                                into smtp-sink (read and thrown away), 20 connections
  pop3-1k pop3-100k             20 x RETR a session, ringpost and Dovecot (mdbox)
  imap-1k imap-100k             20 x FETCH BODY.PEEK[] a session, likewise
  login                         IMAP LOGIN and LOGOUT, likewise
  idle                          memory of 100,000 connections in IDLE held by one ringpost
                                (row R01 of docs/bad-input.md)
  tls-full tls-resumed          connect, TLS 1.3 handshake (ECDSA P-256, X25519), greeting, close:
                                ringpost's imaps port and bench/bare (wolfSSL over blocking
                                sockets, nothing else)
  tls-10m                       FETCH of a 10 MiB message under TLS, likewise
  tls-idle                      memory of 20,000 connections in IDLE under TLS
  start                         seconds from exec to the first greeting after kill -9, with a
                                million messages stored

Everything listens on loopback only, in a fresh directory that is removed at the end. CPU is user
plus system time of all processes of a server (threads of its rings included, reaped children
too). Each row runs N pairs (default 5), one server after the other, and prints the
medians, the spread and the ratio pair by pair. Needs smtp-source and smtp-sink in PATH, and for
the reading rows Dovecot; a peer that is missing is said and left out.
"""
import argparse
import os
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TICKS = os.sysconf('SC_CLK_TCK')
BASE, SINK, DOVECOT = 23000, 23925, 23700  # ports; Dovecot's are + 143 and + 110
BARE = 23894
IDLE_CONNECTIONS, IDLE_PROCESSES, IDLE_CORES, IDLE_USERS = 100000, 6, 6, 800
TLS_IDLE_CONNECTIONS, TLS_IDLE_PROCESSES, TLS_IDLE_CORES = 20000, 4, 2

DOVECOT_CONF = """
base_dir = {dir}/run
state_dir = {dir}/state
instance_name = bench
log_path = {dir}/dovecot.log
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = mdbox:~/mail
mail_max_userip_connections = 0
first_valid_uid = 1
default_client_limit = 5000
default_process_limit = 500
passdb {{
  driver = static
  args = password=pw
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={dir}/mail/%n
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  service_count = 0
  process_min_avail = 2
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  service_count = 0
  process_min_avail = 2
}}
service imap {{
  service_count = 0
  process_min_avail = 20
}}
service pop3 {{
  service_count = 0
  process_min_avail = 20
}}
"""


def processes_of(session):
    """[(pid, fields of its stat from `state` on)] of a session."""
    found = []
    for name in os.listdir('/proc'):
        if not name.isdigit():
            continue
        try:
            with open(f'/proc/{name}/stat', encoding='latin-1') as file:
                fields = file.read().rsplit(')', 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            found.append((int(name), fields))
    return found


class Meter:
    """CPU of a group of processes to the microsecond by a control group (version 1 or 2); where
    none can be made, by /proc in ticks of 10 ms a process."""

    ROOTS = (('/sys/fs/cgroup/cpuacct', 'cpuacct.usage', lambda text: int(text) / 1e9),
             ('/sys/fs/cgroup', 'cpu.stat', lambda text: int(text.split()[1]) / 1e6))

    def __init__(self, name):
        self.folder = None
        for root, file, seconds in self.ROOTS:
            folder = f'{root}/ringpost-bench-{os.getpid()}-{name}'
            try:
                os.mkdir(folder)
            except OSError:
                continue
            if os.path.exists(f'{folder}/{file}'):
                self.folder, self.file, self.seconds = folder, file, seconds
                return
            os.rmdir(folder)

    def enter(self):
        if self.folder:
            with open(f'{self.folder}/cgroup.procs', 'w', encoding='ascii') as file:
                file.write(str(os.getpid()))

    def cpu(self, session):
        if self.folder:
            with open(f'{self.folder}/{self.file}', encoding='ascii') as file:
                return self.seconds(file.read())
        return sum(sum(int(f) for f in fields[11:15])
                   for _, fields in processes_of(session)) / TICKS

    def close(self):
        if self.folder:
            try:
                os.rmdir(self.folder)
            except OSError:
                pass  # a process that has not gone yet: an empty folder stays


class Server:
    """A program in a session of its own, charged with all that runs in it."""

    def __init__(self, name, command, port, log):
        self.name, self.port, self.meter, self.greeted = name, port, Meter(name), None
        with open(log, 'ab') as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out,
                                            stdin=subprocess.DEVNULL, start_new_session=True,
                                            preexec_fn=self.meter.enter)
        self.wait_for(port)

    def wait_for(self, port):
        if self.name == 'bare': # says nothing before the handshake
            time.sleep(0.3)
            return
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self.process.poll() is not None:
                sys.exit(f'{self.name} ended with {self.process.returncode}')
            try:
                with socket.create_connection(('127.0.0.1', port), 5) as peer:
                    if peer.recv(1):
                        self.greeted = time.monotonic()
                        break
            except OSError:
                time.sleep(0.01)
        else:
            sys.exit(f'{self.name} does not answer on port {port}')
        time.sleep(0.2)
        if self.process.poll() is not None:
            sys.exit(f'port {port} is another program\'s')

    def cpu(self):
        return self.meter.cpu(self.process.pid)

    def rss_kib(self):
        with open(f'/proc/{self.process.pid}/smaps_rollup', encoding='ascii') as file:
            return next(int(line.split()[1]) for line in file if line.startswith('Pss:'))

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid, _ in processes_of(self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.1)
        self.meter.close()


class Bench:
    def __init__(self, options):
        self.options = options
        self.dir = tempfile.mkdtemp(prefix='ringpost-bench-', dir=options.dir)
        os.chmod(self.dir, 0o755)
        self.servers = {}

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def ringpost(self, name='ringpost', cores=None, users=100):
        cores = cores or self.options.cores
        if name not in self.servers:
            command = [self.options.ringpost, 'try', '--dir', self.path(name), '--port-base',
                       str(BASE), '--users', str(users), '--cores', cores]
            self.servers[name] = Server(name, command, BASE + 25, self.path(name + '.log'))
        return self.servers[name]

    def sink(self):
        if not shutil.which('smtp-sink'):
            return None
        if 'smtp-sink' not in self.servers:
            self.servers['smtp-sink'] = Server(
                'smtp-sink', ['smtp-sink', '-u', 'nobody', f'127.0.0.1:{SINK}', '1000'], SINK,
                self.path('sink.log'))
        return self.servers['smtp-sink']

    def dovecot(self):
        if not shutil.which('dovecot'):
            return None
        if 'dovecot' not in self.servers:
            user = pwd.getpwnam('dovecot' if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())[0])
            os.makedirs(self.path('dovecot', 'mail'), exist_ok=True)
            os.chown(self.path('dovecot', 'mail'), user.pw_uid, user.pw_gid)
            with open(self.path('dovecot.conf'), 'w', encoding='utf-8') as file:
                file.write(DOVECOT_CONF.format(dir=self.path('dovecot'), user=user.pw_uid,
                                               group=user.pw_gid, imap=DOVECOT + 143,
                                               pop3=DOVECOT + 110))
            self.servers['dovecot'] = Server(
                'dovecot', ['dovecot', '-F', '-c', self.path('dovecot.conf')], DOVECOT + 143,
                self.path('dovecot.log'))
        return self.servers['dovecot']

    def bare(self, size):
        """With ringpost's own certificate."""
        if 'bare' not in self.servers:
            folder = self.path('ringpost')
            program = os.path.join(os.path.dirname(self.options.client), 'bare')
            self.servers['bare'] = Server(
                'bare', [program, str(BARE), f'{folder}/certificate.pem', f'{folder}/key.pem',
                         str(size)], BARE, self.path('bare.log'))
        return self.servers['bare']

    def stop(self):
        for server in self.servers.values():
            server.stop()
        self.servers = {}

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- one measurement each: microseconds of server CPU an operation, and operations a second

    def charge(self, server, command, operations):
        before, began = server.cpu(), time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        wall = time.monotonic() - began
        if done.returncode != 0:
            sys.exit(f'{" ".join(command)}: {done.stderr or done.stdout}')
        time.sleep(0.05)
        return (server.cpu() - before) * 1e6 / operations, operations / wall

    def smtp(self, server, count, size, per_connection):
        one = ['-d'] if per_connection else []
        return self.charge(server, ['smtp-source', *one, '-s', '20', '-m', str(count), '-l',
                                    str(size), '-f', 's@example.test', '-t', 'u7@example.test',
                                    f'127.0.0.1:{server.port}'], count)

    def read(self, mode, server, port, sessions, messages):
        operations = sessions * max(messages, 1)
        return self.charge(server, [self.options.client, mode, str(port), '20', str(sessions),
                                    str(messages)], operations)

    def pairs(self, row, what, ours, theirs, peer):
        mine, other, ratios, rates = [], [], [], []
        for _ in range(self.options.pairs):
            cpu, rate = ours()
            mine.append(cpu)
            rates.append(rate)
            if theirs is not None:
                other.append(theirs()[0])
                ratios.append(mine[-1] / max(other[-1], 0.001))
        text = (f'{row:10} ringpost {statistics.median(mine):9.1f} us/{what} '
                f'[{min(mine):.1f}-{max(mine):.1f}] {statistics.median(rates):8.0f}/s')
        if other:
            text += (f'  {peer} {statistics.median(other):9.1f} us [{min(other):.1f}-'
                     f'{max(other):.1f}]  ratio {statistics.median(ratios):.3f} '
                     f'[{min(ratios):.3f}-{max(ratios):.3f}]')
        else:
            text += f'  ({peer} is not installed)'
        print(text, flush=True)


def row_smtp(bench, row, count, size, many):
    ours, theirs = bench.ringpost(), bench.sink()
    bench.pairs(row, 'message', lambda: bench.smtp(ours, count, size, many),
                theirs and (lambda: bench.smtp(theirs, count, size, many)), 'smtp-sink')


def fill(bench, port, size):
    subprocess.run([bench.options.client, 'fill', str(port), '20', '2000', str(size)], check=True,
                   stdout=subprocess.DEVNULL, timeout=300)


def row_read(bench, row, mode, size, sessions):
    bench.stop()  # mailboxes of exactly this kind of message
    for name in ('ringpost', 'dovecot'):
        shutil.rmtree(bench.path(name), ignore_errors=True)
    ours, theirs = bench.ringpost(), bench.dovecot()
    offset = 110 if mode == 'pop3' else 143
    if mode != 'login':
        fill(bench, BASE + 143, size)
        if theirs:
            fill(bench, DOVECOT + 143, size)
    messages = 0 if mode == 'login' else 20
    what = 'log-in' if mode == 'login' else 'message'
    bench.read(mode, ours, BASE + offset, 100, messages)  # fills the cache of credentials
    bench.pairs(row, what,
                lambda: bench.read(mode, ours, BASE + offset, sessions, messages),
                theirs and (lambda: bench.read(mode, theirs, DOVECOT + offset, sessions // 4,
                                               messages)), 'dovecot')


def row_handshake(bench, row, resumed):
    ours, theirs, count = bench.ringpost(), bench.bare(1), 4000

    def shake(server, port):
        return bench.charge(server, [bench.options.client, 'handshake', str(port), '4', str(count),
                                     str(resumed)], count)
    bench.pairs(row, 'handshake', lambda: shake(ours, BASE + 993), lambda: shake(theirs, BARE),
                'bare wolfSSL')


def row_tls_large(bench, row):
    bench.stop()
    shutil.rmtree(bench.path('ringpost'), ignore_errors=True)
    size = 10 << 20
    ours, theirs = bench.ringpost(), bench.bare(size)
    subprocess.run([bench.options.client, 'fill', str(BASE + 143), '1', '1', str(size)], check=True,
                   stdout=subprocess.DEVNULL, timeout=300)

    def fetch(server, port):
        times = 40
        return bench.charge(server, [bench.options.client, 'tls-imap', str(port), '1', '1',
                                     f'1x{times}'], times)
    bench.pairs(row, 'message', lambda: fetch(ours, BASE + 993), lambda: fetch(theirs, BARE),
                'bare wolfSSL')


def idle_memory(bench, row, mode, port, connections, processes, cores):
    bench.stop()
    server = bench.ringpost('idle', str(cores), IDLE_USERS)
    fill(bench, BASE + 143, 1024)
    before = server.rss_kib()
    client = subprocess.Popen([bench.options.client, mode, str(port), str(connections),
                               str(processes), '10'], stdout=subprocess.PIPE, text=True)
    ready = client.stdout.readline()
    time.sleep(3)
    after = server.rss_kib()
    last = client.stdout.readline()
    if client.wait(120) != 0 or not ready.startswith('READY'):
        sys.exit(f'{row}: {ready}{last}')
    held = int(ready.split()[1])
    print(f'{row:10} {held} connections in IDLE held by one process: '
          f'{(after - before) * 1024 / held:.0f} bytes each (PSS {before} -> {after} KiB)',
          flush=True)
    bench.stop()


def row_idle(bench, row):
    idle_memory(bench, row, 'idle', BASE + 143, IDLE_CONNECTIONS, IDLE_PROCESSES, IDLE_CORES)


def row_tls_idle(bench, row):
    idle_memory(bench, row, 'tls-idle', BASE + 993, TLS_IDLE_CONNECTIONS, TLS_IDLE_PROCESSES,
                TLS_IDLE_CORES)


def row_start(bench, row):
    bench.stop()
    server = bench.ringpost('start')
    for _ in range(10):
        bench.smtp(server, 100000, 200, True)
    took = []
    for _ in range(bench.options.pairs):
        bench.servers.pop('start').stop(signal.SIGKILL)
        began = time.monotonic()
        took.append(bench.ringpost('start').greeted - began)
    print(f'{row:10} {statistics.median(took):.2f} s [{min(took):.2f}-{max(took):.2f}] from exec '
          f'to greeting after kill -9, 1,000,000 messages stored', flush=True)
    bench.stop()


ROWS = {
    'smtp-1k': lambda b, r: row_smtp(b, r, 20000, 1024, True),
    'smtp-conn': lambda b, r: row_smtp(b, r, 10000, 1024, False),
    'smtp-100k': lambda b, r: row_smtp(b, r, 4000, 102400, True),
    'pop3-1k': lambda b, r: row_read(b, r, 'pop3', 1024, 2000),
    'pop3-100k': lambda b, r: row_read(b, r, 'pop3', 102400, 400),
    'imap-1k': lambda b, r: row_read(b, r, 'imap', 1024, 2000),
    'imap-100k': lambda b, r: row_read(b, r, 'imap', 102400, 400),
    'login': lambda b, r: row_read(b, r, 'login', 1024, 8000),
    'idle': row_idle,
    'tls-full': lambda b, r: row_handshake(b, r, 0),
    'tls-resumed': lambda b, r: row_handshake(b, r, 1),
    'tls-10m': row_tls_large,
    'tls-idle': row_tls_idle,
    'start': row_start,
}


def print_machine(options):
    def said(*command):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
            return (done.stdout or done.stderr).splitlines()[0]
        except (OSError, IndexError):
            return 'not installed'
    print(f'{os.cpu_count()} CPUs, Linux {os.uname().release}; '
          f'{said(options.ringpost, "--version")}, {options.cores} core(s); '
          f'Dovecot {said("dovecot", "--version")} (mdbox, processes reused)', flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--ringpost', default=f'{HERE}/../build/lto/src/main/ringpost')
    parser.add_argument('--client', default=f'{HERE}/../build/lto/bench/client')
    parser.add_argument('--pairs', type=int, default=5)
    parser.add_argument('--cores', default='1',
                        help='threads of ringpost; on two CPUs the clients need the other')
    parser.add_argument('--dir', help='where to put stores: a directory on the disk to judge')
    parser.add_argument('rows', nargs='*', metavar='ROW')
    options = parser.parse_args()
    for row in options.rows:
        if row not in ROWS:
            sys.exit(f'no row {row}; there are: {" ".join(ROWS)}')
    bench = Bench(options)
    print_machine(options)
    try:
        for row in options.rows or ROWS:
            ROWS[row](bench, row)
    finally:
        bench.close()


if __name__ == '__main__':
    main()
