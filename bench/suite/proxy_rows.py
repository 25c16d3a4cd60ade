# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows about proxies: Ringpost, nginx and Dovecot in front of the same server, which is not
charged.

Log-ins and messages come from Dovecot, whose sessions are what such proxies are put before; what is
held or timed comes from Ringpost, since a backend with a process for each session would run out of
them, or be slower than what is measured. How each proxy is set up, and why that is fair, is said in
bench/peers/*/.
"""
import math
import statistics

from load import Failed, Sample
from rows import IdleRow, Row, at_most, below, files_max, threads_for

PEERS = {'ringpost': 'ringpost-front'} # what a row calls it, where that differs
ALL = ('ringpost', 'nginx', 'dovecot-proxy')
FLOOR = 'passing' # not a proxy: the system calls of one, and nothing else


class ProxyRow(Row):
    """One session after the other, or messages through sessions that stay."""

    scenario, operation, backend = 'login', 'log-in', 'dovecot'
    metric = 'proxy CPU an operation'

    def open(self, session):
        session.stop_servers()
        return super().open(session)

    def start(self, session, name):
        self.proxy(session, name)
        self.play(session, name, '--messages', 40, '--warm-up', 0)

    def behind(self, session):
        """The server that the proxies are put before, started once."""
        if self.backend not in session.servers:
            backend = session.server(self.backend)
            if self.scenario == 'imap':
                session.run('imap', backend, 'imap', '--mailbox', 5, '--size', '1m', '--messages',
                            20, '--mix', 'fetch=1', '--warm-up', 0, users=20, also=('lmtp',))
        return session.servers[self.backend][0]

    def proxy(self, session, name, **values):
        backend = self.behind(session)
        if name == FLOOR:
            return session.passing(backend)
        return session.server(PEERS.get(name, name), imap=backend.ports['imap'],
                              pop3=backend.ports['pop3'], lmtp=backend.ports['lmtp'], **values)

    def front(self, session, name):
        return session.servers[PEERS.get(name, name)][0]

    def play(self, session, name, *how_long):
        if self.scenario == 'login':
            return session.run('login', self.front(session, name), 'imap', *how_long)
        return session.run('imap', self.front(session, name), 'imap', '--mailbox', 0, '--mix',
                           'fetch=1', '--per-session', 0, '--connections', 4, *how_long, users=20)

    def measure(self, session, name):
        return session.sample(self.play(session, name, *self.how_long(session)))


class ProxyBulkRow(ProxyRow):
    """Messages of 1 MiB, told as the cost of a GiB."""

    scenario, operation, unit = 'imap', 'GiB', 's'
    metric = 'proxy CPU a GiB'

    def measure(self, session, name):
        sample = super().measure(session, name)
        sample.value *= 1024 / 1e6
        return sample


class ProxyMailRow(ProxyRow):
    """Messages of 1 KiB by LMTP to a user each, in before a Ringpost (Dovecot's deliveries would be
    what bounds it)."""

    scenario, operation, backend = 'lmtp', 'message', 'ringpost'
    metric = 'proxy CPU a message'

    def play(self, session, name, *how_long):
        return session.run('lmtp', self.front(session, name), 'lmtp', '--connections', 20,
                           *how_long)


class ProxyIdleRow(ProxyRow, IdleRow):
    """Sessions in IDLE through a proxy, before a Ringpost: memory of all the proxy's processes, by
    what a run takes beyond a fifth of it: so neither what is allocated once is a session's, nor is
    what the first have left for the others forgotten. Each takes two sockets of the proxy, so
    nginx and Dovecot hold what their configs allow."""

    unit, metric, operation = 'bytes', 'proxy memory a session', 'session'
    backend, connections, pairs_max, seconds = 'ringpost', 50000, 1, 40
    most_of = {'nginx': 5000, 'dovecot-proxy': 5000}

    def start(self, session, name):
        count = self.connections
        each = min((files_max() - 600) // 2, 60000)
        if self.backend not in session.servers:
            session.server(self.backend, cores=max(2, threads_for(1.15 * count)),
                           users=self.users, environment={
                               'RINGPOST_LIMITS__CONNECTIONS': str(min(files_max() - 500, 120000)),
                               'RINGPOST_LIMITS__CONNECTIONS_PER_USER': '1000'})
            # It hashes each password now, and not while a proxy's log-ins run out of time.
            self.hold(session, session.servers[self.backend][0], min(self.users, count), '100ms',
                      errors=True)
        backend = session.servers[self.backend][0]
        values = {}
        if name == 'ringpost':
            values = {'cores': max(2, math.ceil(1.15 * count / each)), 'connections': each}
        if self.tls == 'implicit':
            values['tls'] = True
        imap = backend.ports['imaps' if self.tls == 'implicit' else 'imap']
        front = session.server(PEERS.get(name, name), imap=imap, pop3=backend.ports['pop3'],
                               lmtp=backend.ports['lmtp'], **values)
        front.ports['lmtp'] = backend.ports['lmtp'] # mail goes in behind it
        self.hold(session, front, min(400, self.count(session, name)), '100ms', errors=True)

    def measure(self, session, name):
        count = self.count(session, name)
        few = count // 2 if session.quick else count // 5
        less = self.held(session, name, few)
        more = self.held(session, name, count) - less
        # quick runs are smaller than what moves by itself
        return Sample(max(more / (count - few), 1))

    def held(self, session, name, count):
        """Memory while so many are held."""
        result = self.hold(session, self.front(session, name), count,
                           '2s' if session.quick else '8s', errors=True)
        if result['error_count'] > count / 1000:
            raise Failed(f'{result["errors"]} {result["error_examples"][:1]}')
        held = [second['server_memory_bytes'] for second in result['timeline']
                if second['connections'] >= count and second['server_memory_bytes']]
        if not held:
            raise Failed(f'only {result["connections_most"]} sessions were held')
        return held[-1]


class ProxyLatencyRow(ProxyRow):
    """FETCH of 1 KiB in an open loop at half of what a closed loop reaches through that proxy: the
    99th percentile through it, less that of the server alone at the same rate. Each the median of
    three runs in turn: a moment of something else on the machine is a whole run's percentile."""

    metric, backend, seconds, operation = 'p99 added at half of the peak', 'ringpost', 18, 'command'

    def start(self, session, name):
        self.peak = getattr(self, 'peak', {})
        backend = self.behind(session)
        if not self.peak:
            session.run('imap', backend, 'imap', *self.options(20), *self.how_long(session),
                        also=('lmtp',))
        self.proxy(session, name)
        self.peak[name] = session.run('imap', self.front(session, name), 'imap', *self.options(0),
                                      *self.how_long(session))['operations_per_second']

    def options(self, mailbox):
        return ('--mailbox', mailbox, '--mix', 'fetch=1', '--per-session', 0, '--connections', 20)

    def measure(self, session, name):
        def p99(server):
            return session.run(
                'imap', server, 'imap', *self.options(0), '--rate', f'{self.peak[name] / 2:.0f}',
                '--arrivals', 'poisson', '--duration', '500ms' if session.quick else '2s',
                '--warm-up', '200ms' if session.quick else '500ms')
        alone, through = [], []
        for _ in range(1 if session.quick else 3):
            alone.append(p99(self.behind(session))['phases']['operation']['p99_us'])
            through.append(session.sample(p99(self.front(session, name))))
        sample = sorted(through, key=lambda each: each.p99_us)[len(through) // 2]
        added = sample.p99_us - statistics.median(alone)
        sample.value = max(added, 0.1) # less than nothing is noise
        return sample


def rows():
    return [
        ProxyRow('proxy-login', 'IMAP log-in and log-out through a proxy, the proxy alone',
                 (*ALL, FLOOR), at_most(0.25, 'nginx')),
        ProxyBulkRow('proxy-1m', 'FETCH of 1 MiB through a proxy, the proxy alone', ALL,
                     at_most(0.5, 'nginx')),
        ProxyMailRow('proxy-lmtp', 'mail of 1 KiB by LMTP through a proxy, the proxy alone',
                     ('ringpost', 'dovecot-proxy')),
        ProxyIdleRow('proxy-idle', '50,000 sessions in IDLE through a proxy', ALL,
                     below(3072, '<= 3,072 bytes')),
        ProxyIdleRow('proxy-idle-tls', '20,000 of them, TLS on both sides', ('ringpost',),
                     below(12288, '<= 12,288 bytes'), connections=20000, tls='implicit'),
        ProxyLatencyRow('proxy-latency', 'what a proxy adds to an IMAP command', ALL,
                        below(1000, '<= 1,000 us')),
    ]
