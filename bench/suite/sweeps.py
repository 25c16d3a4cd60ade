# SPDX-License-Identifier: GPL-2.0-or-later
"""How cost grows: the same work with more and more connections, larger messages, fuller mailboxes
and stores, more cores. Each curve should be flat, so that nothing hides what it costs at scale.

A sweep is a line in sweeps(): the name, points (all, and those of --quick), for each server a
function that measures a point. Each point is measured three times: the median, low and high.
"""
import statistics

import peer as peers
import rows
from load import Failed

SAMPLES = 3
FLAT = 0.1 # the cost may differ by so much from the first point where the target says flat


class Sweep:
    x_scale = 'log'

    def __init__(self, name, what, x, y, points, quick, servers, flat_from=None):
        """flat_from: the x from which on the cost must be flat."""
        self.name, self.what, self.x, self.y = name, what, x, y
        self.points, self.quick, self.servers = points, quick, servers
        self.flat_from = flat_from

    def open(self, session):
        """Once, before the first point."""

    def prepare(self, session, name, x):
        """Before the samples of a point."""

    def measure(self, session, name, x):
        """microseconds of server CPU an operation"""
        raise NotImplementedError

    def points_of(self, session, name):
        most = self.servers[name]
        return [x for x in (self.quick if session.quick else self.points)
                if most is None or x <= most]

    def run(self, session, progress):
        """Its entry of suite.json."""
        series, problems = [], []
        steps = sum(len(self.points_of(session, name)) for name in self.servers)
        done = 0
        self.open(session)
        for name in self.servers:
            points = []
            for x in self.points_of(session, name):
                progress.show(done / steps, f'{name}, {self.x} {x:,}')
                done += 1
                try:
                    points.append(self.point(session, name, x))
                except (Failed, peers.PeerError) as problem:
                    problems.append(f'{name} at {x}: {problem}')
            series.append({'server': name, 'points': points})
        session.stop_servers()
        entry = {'name': self.name, 'what': self.what, 'x': self.x, 'x_scale': self.x_scale,
                 'y': self.y, 'series': series, 'problems': problems}
        entry['target'], entry['met'] = self.judge(series)
        return entry

    def point(self, session, name, x):
        self.prepare(session, name, x)
        values = [self.measure(session, name, x) for _ in range(1 if session.quick else SAMPLES)]
        return {'x': x, 'y': statistics.median(values), 'low': min(values), 'high': max(values)}

    def judge(self, series):
        """(target as text, met or None)."""
        if self.flat_from is None:
            return None, None
        costs = [point['y'] for one in series if one['server'] == 'ringpost'
                 for point in one['points'] if point['x'] >= self.flat_from]
        met = None if len(costs) < 2 else max(costs) <= costs[0] * (1 + FLAT)
        return f'at most {FLAT:.0%} above the cost at {self.flat_from:,}', met


class Connections(Sweep):
    """Each connection is open all the time and sends one message after the other. One core of
    Ringpost holds all of them, so the last point is as high as descriptors allow."""

    def points_of(self, session, name):
        most = rows.files_max() - 1500
        return [min(x, most) for x in super().points_of(session, name)]

    def prepare(self, session, name, x):
        if name == 'ringpost':
            session.server(name, environment={
                'RINGPOST_LIMITS__CONNECTIONS': str(min(rows.files_max() - 600, 21000))})
        else:
            session.server(name)

    def measure(self, session, name, x):
        server = session.servers[name][0]
        count = 300 if session.quick else max(10000, 2 * x)
        return session.run('smtp', server, 'smtp', '--no-pipelining', '--connections', x,
                           '--messages', max(count, x), '--warm-up', 0, '--sources',
                           max(x // 5000, 1))['cpu_us']


class Size(Sweep):
    def prepare(self, session, name, x):
        session.server(name)

    def measure(self, session, name, x):
        whole = 20 << 20 if session.quick else 400 << 20
        count = max(4, min(10000, whole // (x << 10)))
        return session.run('smtp', session.servers[name][0], 'smtp', '--no-pipelining', '--size',
                           f'{x}k', '--connections', min(20, count), '--messages', count,
                           '--warm-up', 0)['cpu_us']


class Mailbox(Sweep):
    """One user whose INBOX has so many messages: what one FETCH costs, in sessions of 20 with their
    log-in and SELECT."""

    def prepare(self, session, name, x):
        session.stop_server(name)
        if name == 'ringpost':
            session.fill(x, 1)
            session.server(name, keep=True)
        else:
            session.server(name)
            session.run('imap', session.servers[name][0], 'imap', '--mailbox', x, '--connections',
                        1, '--messages', 1, '--warm-up', 0, users=1, also=('lmtp',))
        self.read(session, name, 100) # the password's hash is dear the first time

    def read(self, session, name, count):
        return session.run(
            'imap', session.servers[name][0], 'imap', '--mailbox', 0, '--mix', 'fetch=1',
            '--per-session', 20, '--connections', 4, '--messages', count, '--warm-up', 0, users=1)

    def measure(self, session, name, x):
        result = self.read(session, name, 400 if session.quick else 8000)
        return result['cpu_us']


class Store(Sweep):
    """A store of 100 users with so many messages: what one more costs."""

    def prepare(self, session, name, x):
        session.stop_server(name)
        session.fill(x, 100)
        session.server(name, keep=True)

    def measure(self, session, name, x):
        return session.run('smtp', session.servers[name][0], 'smtp', '--no-pipelining',
                           '--messages', 400 if session.quick else 10000, '--warm-up',
                           0)['cpu_us']


class Cores(Sweep):
    """The generator needs a CPU too: on a machine with two, two cores share theirs with it."""
    x_scale = 'linear'

    def prepare(self, session, name, x):
        session.stop_server(name)
        session.server(name, cores=x)

    def measure(self, session, name, x):
        return session.run('smtp', session.servers[name][0], 'smtp', '--no-pipelining',
                           '--messages', 400 if session.quick else 20000, '--warm-up',
                           0)['cpu_us']


def sweeps():
    return [
        Connections('connections', 'SMTP in, 1 KiB, over more and more connections', 'connections',
                    'server CPU us/message', (1, 10, 100, 1000, 5000, 20000), (1, 100, 1000),
                    {'ringpost': None, 'smtp-sink': 1000}, flat_from=10),
        Size('size', 'SMTP in, larger and larger messages', 'KiB a message',
             'server CPU us/message', (1, 10, 100, 1024, 10240, 25600), (1, 100, 1024),
             {'ringpost': None, 'smtp-sink': None}),
        Mailbox('mailbox', 'FETCH of 1 KiB from fuller and fuller mailboxes', 'messages in INBOX',
                'server CPU us/FETCH', (100, 1000, 10000, 100000, 1000000), (100, 1000),
                {'ringpost': None, 'dovecot': 10000}, flat_from=100),
        Store('store', 'SMTP in, 1 KiB, into larger and larger stores', 'messages stored',
              'server CPU us/message', (1000, 10000, 100000, 1000000), (1000, 10000),
              {'ringpost': None}, flat_from=1000),
        Cores('cores', 'SMTP in, 1 KiB, on more cores', 'cores', 'server CPU us/message', (1, 2),
              (1, 2), {'ringpost': None}),
    ]
