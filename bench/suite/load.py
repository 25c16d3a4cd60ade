# SPDX-License-Identifier: GPL-2.0-or-later
"""What rows and sweeps work with: servers that are started when they are wanted, runs of
ringpost-bench against them, and steps that are counted for the progress line."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'peers'))
import peer as peers
import process

RUN_SECONDS_MAX = 900


class Failed(Exception):
    """A measurement did not work; the text says why. The others go on."""


@dataclass
class Sample:
    """One measurement: what the row is about, and what else came with it."""
    value: float
    rate: float = None         # operations a second
    p99_us: float = None
    generator_us: float = None # CPU of the generator an operation


@dataclass
class Progress:
    """One line on a terminal, a line an item elsewhere: item i of n, estimated time left."""
    weights: dict # name: seconds it takes, as far as is known
    began: float = field(default_factory=time.monotonic)
    done: float = 0
    number: int = 0
    name: str = ''
    item_began: float = 0

    def begin(self, name):
        self.number, self.name, self.item_began = self.number + 1, name, time.monotonic()
        self.show(0)

    def show(self, share, text=''):
        """share: of this item, 0 to 1."""
        passed = self.done + share * self.weights[self.name]
        whole, now = sum(self.weights.values()), time.monotonic() - self.began
        rate = now / passed if passed > 0.02 * whole else 1
        left = (whole - passed) * rate
        line = (f'[{self.number}/{len(self.weights)}] {self.name} {text}'.rstrip() +
                f' - some {left / 60:.0f} min left' * (left >= 60) +
                f' - some {left:.0f} s left' * (left < 60))
        if sys.stderr.isatty():
            print(f'\r\033[K{line[:110]}', end='', file=sys.stderr, flush=True)
        elif share == 0 and not text:
            print(line, file=sys.stderr, flush=True)

    def end(self):
        """How long the item took, in seconds."""
        self.done += self.weights[self.name]
        if sys.stderr.isatty():
            print('\r\033[K', end='', file=sys.stderr, flush=True)
        return round(time.monotonic() - self.item_began, 1)


class Session:
    """A run of the suite: options, programs, servers."""

    def __init__(self, options):
        self.options, self.quick = options, options.quick
        build = options.build
        self.programs = {name: os.path.join(build, path) for name, path in (
            ('ringpost', 'src/main/ringpost'), ('ringpost-bench', 'bench/load/ringpost-bench'),
            ('fill', 'bench/fill'), ('bare', 'bench/bare'), ('limits', 'bench/limits'),
            ('passing', 'bench/passing'))}
        for name, path in self.programs.items():
            if not os.access(path, os.X_OK):
                raise Failed(f'{path} is not there: build {name} (bench/run.sh does)')
        self.ground = peers.Ground(options.dir, options.port_base, options.prefix,
                                   self.programs['ringpost'])
        self.servers, self.versions, self.idle_runs = {}, {}, {}

    def close(self):
        self.stop_servers()
        self.ground.close()

    # --- servers

    def server(self, name, keep=False, **values):
        """The running server of that name, started if it is not; afresh if it runs with other
        values."""
        one, with_values = self.servers.get(name, (None, None))
        if one is not None and with_values == values and one.is_running():
            return one
        self.stop_server(name)
        one = peers.PEERS[name](self.ground, **values)
        if one.package or name == 'smtp-sink':
            self.versions.setdefault(one.package or 'postfix', one.version())
        one.start(keep)
        self.servers[name] = (one, values)
        return one

    def stop_server(self, name, how=signal.SIGTERM):
        if name in self.servers:
            self.servers.pop(name)[0].stop(how)

    def stop_servers(self):
        for name in list(self.servers):
            self.stop_server(name)

    def bare(self, size):
        """wolfSSL alone over blocking sockets (bench/bare), under Ringpost's certificate."""
        one = Bare(self.ground, self.programs['bare'], size)
        self.stop_server(one.name)
        one.start()
        self.servers[one.name] = (one, {'size': size})
        return one

    def passing(self, backend):
        """The least that passing a log-in on costs (bench/passing), before that server."""
        one = Passing(self.ground, self.programs['passing'], backend.ports['imap'])
        self.stop_server(one.name)
        one.start()
        self.servers[one.name] = (one, {})
        return one

    def fill(self, messages, users):
        """A store with so many messages of 1 KiB (half of them u0's) where Ringpost will run; it
        must not run now."""
        folder = self.ground.path('ringpost')
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        done = subprocess.run([self.programs['fill'], f'{folder}/store', str(messages), str(users),
                               'example.test'], capture_output=True, text=True,
                              timeout=RUN_SECONDS_MAX, check=False)
        if done.returncode != 0:
            raise Failed(f'bench/fill: {done.stderr}')

    # --- loads

    def run(self, scenario, server, protocol, *arguments, users=None, also=(), tls='none',
            charge=True, errors=False):
        """One run of ringpost-bench: its JSON. also: protocols of the same server. errors: they
        are in order. Its member 'cpu_us' is the server's CPU an operation: over the whole run where
        there is a control group, since the generator's own readings at begin and end of what it
        measures may come some 20 ms late, which counts in short runs. (So there is no warm-up in
        runs that are judged by CPU: start() of a row has warmed the server.)"""
        users = users or (20 if self.quick else 100)
        path = self.ground.path('result.json')
        plain = protocol.removesuffix('s') if tls == 'implicit' else protocol
        command = [self.programs['ringpost-bench'], scenario, '--target',
                   f'{plain}://127.0.0.1:{server.ports[protocol]}', '--tls', tls,
                   '--users', str(users), '--user-format', 'u%d@example.test', '--password', 'pw',
                   '--seed', str(self.options.seed), '--quiet', '--json', path,
                   *[word for each in also for word in
                     ('--also', f'{each}://127.0.0.1:{server.ports[each]}')],
                   *(server.charge() if charge else ()), *map(str, arguments)]
        if os.path.exists(path):
            os.remove(path)
        before = server.cpu() if charge else 0
        done = run_command(command)
        used = server.cpu() - before if charge else 0
        if done.returncode == 130:
            raise KeyboardInterrupt
        try:
            with open(path, encoding='utf-8') as file:
                result = json.load(file)
        except (OSError, ValueError):
            raise Failed(f'{scenario} against {server.name}: {last_line(done)}') from None
        if result['error_count'] and not errors:
            raise Failed(f'{scenario} against {server.name}: {result["errors"]} '
                         f'{result["error_examples"][:1]}')
        if not result['operations'] or not result['complete']:
            raise Failed(f'{scenario} against {server.name}: {result["operations"]} operations, '
                         f'{result["why"]}')
        result['cpu_us'] = used * 1e6 / result['operations'] if server.meter.folder else \
            result['cost']['server'] and result['cost']['server']['cpu_us_per_operation']
        return result

    def sample(self, result, divide=1):
        """The server's CPU an operation, or a part of one."""
        return Sample(result['cpu_us'] / divide, result['operations_per_second'] * divide,
                      result['phases']['operation']['p99_us'],
                      result['cost']['generator']['cpu_us_per_operation'] / divide)


class Bare(peers.Peer):
    """bench/bare as a server."""
    name = 'bare'
    PORTS = {'imaps': 240}

    def __init__(self, ground, program, size):
        super().__init__(ground)
        self.program, self.size = program, size

    def command(self):
        return [self.program, str(self.ports['imaps']), f'{self.dir}/certificate.pem',
                f'{self.dir}/key.pem', str(self.size)]

    def start(self, keep=False):
        super().start(keep)
        time.sleep(0.3) # it says nothing before the handshake
        if not self.is_running():
            raise Failed(f'bench/bare ended: {self.said()}')
        return self


class Passing(peers.Peer):
    """bench/passing as a server before another."""
    name = 'passing'
    PORTS = {'imap': 241}
    GREETS = ('imap',)

    def __init__(self, ground, program, backend_port):
        super().__init__(ground)
        self.program, self.backend_port = program, backend_port

    def command(self):
        return [self.program, str(self.ports['imap']), str(self.backend_port)]


def last_line(done):
    text = (done.stderr or done.stdout or '').strip() or 'it says nothing'
    return f'{text.splitlines()[-1][:300]} (exit status {done.returncode})'


def run_command(command, seconds=RUN_SECONDS_MAX):
    """Its output as text; killed with its starter. A Ctrl-C reaches it too, as it is of our
    group."""
    try:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 stdin=subprocess.DEVNULL, preexec_fn=process.die_with_parent)
    except OSError as error:
        raise Failed(f'{command[0]}: {error.strerror}') from None
    with child:
        try:
            out, said = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            raise Failed(f'{os.path.basename(command[0])} did not end in {seconds} s') from None
        except BaseException:
            child.kill()
            raise
        return subprocess.CompletedProcess(command, child.returncode, out, said)
