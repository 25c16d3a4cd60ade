# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of the suite: what is measured, against whom, and what it should be.

A row opens its servers, fills mailboxes, and is then asked for one sample of each server in turn,
pair after pair. Every figure is made by ringpost-bench against a server's control group or process,
so the same work is done by the same client for all. To add a row: a line in rows().
"""
import math
import os
import re
import resource
import signal
import subprocess
import sys
import time

import load
import peer as peers
import process
from load import Failed, Sample

HERE = os.path.dirname(os.path.abspath(__file__))


class Target:
    """What a row should be: at most `times` x the peer's value, or a value. The text is as
    docs/bench-json.md says that pages read it."""

    def __init__(self, text, peer=None, times=None, most=None, ceiling=None):
        self.text, self.peer, self.times, self.most = text, peer, times, most
        self.ceiling = ceiling

    def here(self, ceilings):
        """The same as a value, where it is told as `times` x what this machine can do."""
        if self.ceiling is None or self.ceiling not in ceilings:
            return self
        most = self.times * ceilings[self.ceiling]['value']
        return Target(f'<= {most:,.0f} us ({self.text})', most=most)

    def is_met(self, servers):
        """servers: entries of suite.json, ours first. None: not measured, or within the spread."""
        if self.most is not None:
            limit, values = self.most, servers[0]['values']
            low, high = (min(values), max(values)) if values else (None, None)
        elif self.peer is None:
            return None
        else:
            ratio = next(one for one in servers if one['server'] == self.peer)['ratio']
            limit, low, high = self.times, ratio and ratio['low'], ratio and ratio['high']
        if low is None or low <= limit < high:
            return None
        return high <= limit


def at_most(times, peer):
    return Target(f'<= {times} x {peer}', peer=peer, times=times)


def below(value, text):
    return Target(text, most=value)


def of_ceiling(times, name, text):
    return Target(text, times=times, ceiling=name)


class Row:
    """servers: names in the order of measuring, Ringpost first. ceiling: (name in bench/limits
    --json, how many times it is needed): cost below which nothing on this machine can fall."""

    unit, metric, operation = 'us', 'server CPU an operation', 'message'
    seconds = 3 # of one sample, for the estimate of the time left
    pairs_max = None

    def __init__(self, name, what, servers=('ringpost',), target=None, ceiling=None, **more):
        self.name, self.what, self.names = name, what, list(servers)
        self.target, self.ceiling = target, ceiling
        self.__dict__.update(more)

    def open(self, session):
        """Starts servers; those that cannot run are left out: {name: why}."""
        why = {}
        for name in self.names:
            try:
                self.start(session, name)
            except (peers.PeerError, Failed) as problem:
                why[name] = str(problem)
        return why

    def start(self, session, name):
        session.server(name)

    def measure(self, session, name):
        raise NotImplementedError

    def close(self, session):
        session.stop_servers()

    def how_long(self, session, messages=None):
        """Options that say how long a sample takes: a time, or a number of operations."""
        if messages is not None:
            return ('--messages', max(messages // 20, 20) if session.quick else messages,
                    '--warm-up', 0)
        return ('--duration', '300ms' if session.quick else '2s', '--warm-up', 0)


def make_mailboxes(session, server):
    """One after the other: two deliveries that make a mailbox at once are refused by Dovecot."""
    session.run('imap', server, 'imap', '--mailbox', 1, '--connections', 1, '--messages', 1,
                '--warm-up', 0)


class SmtpRow(Row):
    """Mail in by SMTP or LMTP over 20 connections; OpenSMTPD's listener lets only five wait. Exim
    and OpenSMTPD keep what they take in files of their own: less of it, since removing them takes
    long on some disks."""

    protocol, arguments, messages = 'smtp', (), None
    connections_of = {'opensmtpd': 5}
    messages_of = {'opensmtpd': 1000, 'exim': 1000}

    def start(self, session, name):
        server = session.server(name)
        if self.protocol == 'lmtp':
            make_mailboxes(session, server)
        session.run(self.protocol, server, self.protocol, '--connections',
                    self.connections_of.get(name, 20), '--messages', 100, '--warm-up', 0)

    def measure(self, session, name):
        server = session.servers[name][0]
        return session.sample(session.run(
            self.protocol, server, self.protocol, '--connections',
            self.connections_of.get(name, 20), *self.arguments,
            *self.how_long(session, self.messages_of.get(name, self.messages))))


class EndToEndRow(Row):
    """From SMTP into the mailbox: for Postfix and Dovecot the time of both, until the queue is
    empty."""

    messages, seconds = 3000, 10

    def start(self, session, name):
        if name == 'postfix+dovecot':
            dovecot = session.server('dovecot')
            make_mailboxes(session, dovecot)
            session.server('postfix', transport=f'lmtp:inet:127.0.0.1:{dovecot.ports["lmtp"]}')
        else:
            session.server(name)

    def measure(self, session, name):
        if name == 'ringpost':
            server = session.servers[name][0]
            return session.sample(session.run('smtp', server, 'smtp', '--no-pipelining',
                                              *self.how_long(session)))
        postfix, dovecot = session.servers['postfix'][0], session.servers['dovecot'][0]
        began, before = time.monotonic(), postfix.cpu() + dovecot.cpu()
        count = 100 if session.quick else self.messages
        result = session.run('smtp', postfix, 'smtp', '--no-pipelining', '--messages', count,
                             '--warm-up', 0)
        until = time.monotonic() + 120
        while postfix.queued() and time.monotonic() < until:
            time.sleep(0.05)
        if postfix.queued():
            raise Failed(f'{postfix.queued()} messages are still in Postfix\'s queue')
        whole = time.monotonic() - began
        time.sleep(0.2) # the last delivery's process is still tidying up
        return Sample((postfix.cpu() + dovecot.cpu() - before) * 1e6 / count, count / whole,
                      result['phases']['operation']['p99_us'],
                      result['cost']['generator']['cpu_us_per_operation'])


class ReadRow(Row):
    """Sessions that read 20 messages: log-in, the messages, log-out; the cost of a message."""

    protocol, size, seconds, in_session = 'imap', '1k', 3, 20

    def open(self, session):
        session.stop_servers()
        return super().open(session)

    def start(self, session, name):
        server = session.server(name)
        # fills mailboxes and caches
        self.play(session, server, '--mailbox', self.in_session, '--messages', 100, '--warm-up', 0)

    def play(self, session, server, *how_long):
        arguments = ['--size', self.size, '--connections', 20, *how_long]
        if self.protocol == 'imap':
            arguments += ['--mix', 'fetch=1', '--per-session', self.in_session]
        return session.run(self.protocol, server, self.protocol, *arguments, also=('lmtp',))

    def measure(self, session, name):
        result = self.play(session, session.servers[name][0], '--mailbox', 0,
                           *self.how_long(session))
        return session.sample(result, 1 if self.protocol == 'imap' else self.in_session)


class MixedRow(Row):
    """What IMAP clients do: read, mark, search, append, expunge."""
    operation = 'command'

    def start(self, session, name):
        session.run('imap', session.server(name), 'imap', '--messages', 100, '--warm-up', 0,
                    '--mailbox', 20 if session.quick else 100, also=('lmtp',))

    def measure(self, session, name):
        return session.sample(session.run(
            'imap', session.servers[name][0], 'imap', '--connections', 20, '--per-session', 0,
            '--mailbox', 0, *self.how_long(session)))


class LoginRow(Row):
    operation = 'log-in'

    def start(self, session, name):
        session.run('login', session.server(name), 'imap', '--messages', 200, '--warm-up', 0)

    def measure(self, session, name):
        return session.sample(session.run('login', session.servers[name][0], 'imap',
                                          '--connections', 20, *self.how_long(session)))


class HandshakeRow(Row):
    """Connect, handshake (TLS 1.3, ECDSA P-256), greeting, LOGOUT."""

    operation, arguments, seconds = 'handshake', (), 3

    def start(self, session, name):
        if name == 'bare':
            session.bare(1)
        else:
            session.server(name)

    def measure(self, session, name):
        return session.sample(session.run(
            'connect', session.servers[name][0], 'imaps', '--connections', 4, *self.arguments,
            *self.how_long(session), tls='implicit'))


class LargeTlsRow(Row):
    """A message of 10 MiB is fetched again and again under TLS, from the cache."""

    unit, size = 'us', 10 << 20

    def start(self, session, name):
        if name == 'bare':
            session.bare(self.size)
            return
        server = session.server(name)
        session.run('imap', server, 'imap', '--mailbox', 1, '--size', self.size, '--mix',
                    'fetch=1', '--connections', 1, '--messages', 2, '--warm-up', 0, users=1)

    def measure(self, session, name):
        count = 4 if session.quick else 40
        return session.sample(session.run(
            'imap', session.servers[name][0], 'imaps', '--mailbox', 0, '--mix', 'fetch=1',
            '--per-session', 0, '--connections', 1, '--messages', count, '--warm-up', 0, users=1,
            tls='implicit'))


class IdleRow(Row):
    """Authenticated connections in IDLE: what memory each takes (figure 'memory'), or how long it
    takes until all are told of new mail ('wake'); both figures come from one run. A small run goes
    before it, so that what the server allocates once is not charged to the connections. (Row R01
    of docs/bad-input.md.) Server and generator have as many threads as the limit of descriptors,
    which counts for each, makes necessary."""

    unit, metric, operation, seconds = 'bytes', 'server memory a connection', 'connection', 40
    connections, users, tls, figure, pairs_max = 100000, 800, 'none', 'memory', 1
    most_of = {'dovecot': 1000} # one process each

    def count(self, session, name):
        count = self.most_of.get(name, self.connections)
        return min(count, 100 if name in self.most_of else 2000) if session.quick else count

    def start(self, session, name):
        if (name, self.tls) in session.idle_runs:
            return
        if name == 'ringpost':
            session.stop_server(name)
            each = min(files_max() - 500, 120000)
            server = session.server(
                name, cores=max(2, threads_for(1.15 * self.count(session, name))),
                users=self.users, environment={
                    'RINGPOST_LIMITS__CONNECTIONS': str(each),
                    'RINGPOST_LIMITS__CONNECTIONS_PER_USER': '1000'})
        else:
            server = session.server(name)
        count = 20 if session.quick else min(400, self.count(session, name))
        self.hold(session, server, count, '100ms', errors=True)

    def hold(self, session, server, count, quiet, errors=False):
        users = min(20, count) if session.quick else min(self.users, count)
        return session.run(
            'idle', server, 'imaps' if self.tls == 'implicit' else 'imap', '--connections', count,
            '--mailbox', 1, '--duration', quiet, '--sources', max(count // 5000, 1), '--messages',
            users, '--threads', threads_for(count), users=users, also=('lmtp',), tls=self.tls,
            errors=errors)

    def measure(self, session, name):
        if (name, self.tls) in session.idle_runs:
            return session.idle_runs[name, self.tls][self.figure]
        server, count = session.servers[name][0], self.count(session, name)
        before = server.memory()
        result = self.hold(session, server, count, '1s' if session.quick else '8s', errors=True)
        if result['error_count'] > count / 1000: # a busy server may refuse a few; they come back
            raise Failed(f'{result["errors"]} {result["error_examples"][:1]}')
        held = [second['server_memory_bytes'] for second in result['timeline']
                if second['connections'] >= count and second['server_memory_bytes']]
        if not held:
            raise Failed(f'only {result["connections_most"]} connections were held')
        woken = result['phases']['wake-up all']['max_us'] / 1e6
        session.idle_runs[name, self.tls] = {
            'memory': Sample((held[-1] - before) / count),
            'wake': Sample(woken, None, result['phases']['wake-up']['p99_us'])}
        return session.idle_runs[name, self.tls][self.figure]


class StartRow(Row):
    """From exec to the first greeting after kill -9, with a million messages stored."""

    unit, metric, operation, seconds = 's', 'from exec to the greeting', 'start', 4

    def start(self, session, name):
        session.stop_servers()
        session.fill(10000 if session.quick else 1000000, 100)
        session.server(name, keep=True)

    def measure(self, session, name):
        session.stop_server(name, signal.SIGKILL)
        began = time.monotonic()
        return Sample(session.server(name, keep=True).greeted - began)

    def close(self, session):
        super().close(session)
        session.server('ringpost') # wipes the large store
        session.stop_servers()


class LatencyRow(Row):
    """Open loop at half of the rate that a closed loop reaches: the 99th percentile counts from
    when an operation was meant to begin."""

    metric, protocol, phase, seconds = 'p99 at half of the peak', 'smtp', 'commit', 8

    def start(self, session, name):
        self.peak = getattr(self, 'peak', {})
        server = session.server(name)
        result = session.run(self.protocol, server, self.protocol, *self.options(100),
                             *self.how_long(session), also=self.also())
        self.peak[name] = result['operations_per_second']

    def options(self, mailbox):
        if self.protocol == 'smtp':
            return ('--no-pipelining', '--connections', 20)
        # as much is expunged as appended: else SEARCH costs more with each pair, and half of what
        # the peak was is soon more than there is
        return ('--mailbox', mailbox, '--per-session', 0, '--connections', 20, '--mix',
                'fetch=60,store=10,search=5,append=13,expunge=12')

    def also(self):
        return () if self.protocol == 'smtp' else ('lmtp',)

    def measure(self, session, name):
        server = session.servers[name][0]
        result = session.run(
            self.protocol, server, self.protocol, *self.options(0), '--rate',
            f'{self.peak[name] / 2:.0f}', '--arrivals', 'poisson', '--duration',
            '500ms' if session.quick else '6s', '--warm-up', '200ms' if session.quick else '1s')
        sample = session.sample(result)
        sample.value = result['phases'][self.phase]['p99_us']
        return sample


class GeneratorRow(Row):
    """What clients pay to send: CPU of the whole client process, start included, against
    smtp-sink."""

    metric, seconds, per_connection = 'client CPU an operation', 4, 0
    arguments = ('--no-pipelining',)
    counts = {'ringpost-bench': 20000, 'smtp-source': 20000, 'smtplib': 2000}

    def start(self, session, name):
        session.server('smtp-sink')

    def measure(self, session, name):
        server = session.servers['smtp-sink'][0]
        count = self.counts[name] // (20 if session.quick else 1)
        port = server.ports['smtp']
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        if name == 'ringpost-bench':
            session.run('smtp', server, 'smtp', '--messages', count, '--warm-up', 0,
                        '--per-connection', self.per_connection, *self.arguments, charge=False)
        elif name == 'smtp-source':
            done = load.run_command([
                *session.ground.program('smtp-source'), *([] if self.per_connection else ['-d']),
                '-s', '20', '-m', str(count), '-l', '1024', '-f', 's@example.test', '-t',
                'u1@example.test', f'127.0.0.1:{port}'])
            if done.returncode != 0:
                raise Failed(f'smtp-source: {load.last_line(done)}')
        else:
            done = load.run_command([sys.executable, os.path.join(HERE, 'smtplib_client.py'),
                                     str(port), str(count), '1024', str(self.per_connection)])
            if done.returncode != 0:
                raise Failed(f'smtplib: {load.last_line(done)}')
        wall = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Sample(used * 1e6 / count, count / wall)


def files_max():
    """How many descriptors each thread of a server or of the generator may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if os.geteuid() == 0:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(
                resource.RLIMIT_NOFILE)[0], max(hard, process.FILES_MAX)))
        except (OSError, ValueError): # without CAP_SYS_RESOURCE
            pass
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard


def threads_for(connections):
    return math.ceil((connections + 200) / (files_max() - 1000))


BOTH = ('ringpost', 'dovecot')
ONE_EACH = ('--no-pipelining', '--per-connection', 1)


def rows():
    """In the order in which they are measured: those that share servers follow each other."""
    return [
        SmtpRow('smtp-1k', 'SMTP in, 1 KiB, durable, many a connection',
                ('ringpost', 'smtp-sink', 'postfix', 'opensmtpd', 'exim'),
                at_most(1.0, 'smtp-sink'), ('ring_exchange_us', 4), arguments=('--no-pipelining',)),
        SmtpRow('smtp-pipelined', 'the same, commands sent ahead of answers (PIPELINING)',
                ('ringpost', 'smtp-sink', 'postfix'), None, ('ring_exchange_us', 2)),
        SmtpRow('smtp-conn', 'the same, a connection each', ('ringpost', 'smtp-sink', 'postfix',
                                                             'exim'),
                at_most(1.2, 'smtp-sink'), ('ring_connect_us', 1), arguments=ONE_EACH),
        SmtpRow('smtp-100k', 'SMTP in, 100 KiB', ('ringpost', 'smtp-sink', 'postfix'),
                of_ceiling(1 / 0.6, 'receive_append_100k_us', '60 % of receive-and-append'),
                ('receive_append_100k_us', 1), messages=3000,
                arguments=('--no-pipelining', '--size', '100k')),
        SmtpRow('lmtp-1k', 'LMTP into the mailbox, 1 KiB', BOTH, None, ('ring_exchange_us', 4),
                protocol='lmtp', arguments=('--no-pipelining',)),
        EndToEndRow('smtp-mailbox', 'SMTP to mailbox, 1 KiB, end to end',
                    ('ringpost', 'postfix+dovecot'), at_most(0.01, 'postfix+dovecot')),
        ReadRow('pop3-1k', 'POP3, 20 x RETR 1 KiB a session, log-in included', BOTH,
                at_most(0.1, 'dovecot'), protocol='pop3'),
        ReadRow('pop3-100k', 'the same, 100 KiB', BOTH, at_most(0.1, 'dovecot'),
                ('file_to_socket_100k_us', 1), protocol='pop3', size='100k'),
        ReadRow('imap-1k', 'IMAP, 20 x FETCH 1 KiB a session, log-in included', BOTH,
                at_most(0.1, 'dovecot'), ('ring_exchange_us', 1)),
        ReadRow('imap-100k', 'the same, 100 KiB', BOTH, at_most(0.1, 'dovecot'),
                ('file_to_socket_100k_us', 1), size='100k'),
        MixedRow('imap-mixed', 'IMAP: 60 % FETCH, 20 % APPEND, STORE, SEARCH, EXPUNGE', BOTH,
                 at_most(0.1, 'dovecot')),
        LoginRow('login', 'IMAP log-in and log-out, cached credentials', BOTH,
                 at_most(0.1, 'dovecot'), ('ring_connect_us', 1)),
        LatencyRow('latency-smtp', '250 to the end of DATA, at half of its peak rate',
                   ('ringpost', 'postfix'), of_ceiling(3, 'commit_p50_us', '3 commits')),
        LatencyRow('latency-imap', 'an IMAP command, at half of its peak rate', BOTH,
                   below(1000, '<= 1,000 us'), protocol='imap', phase='operation',
                   operation='command'),
        HandshakeRow('tls-full', 'TLS 1.3 handshake with connection, greeting and close',
                     ('ringpost', 'bare'), at_most(1.1, 'bare'), ('tls_handshake_us', 1)),
        HandshakeRow('tls-resumed', 'the same, resumed by a ticket', ('ringpost', 'bare'),
                     at_most(1.1, 'bare'), ('tls_resumed_us', 1), arguments=('--tls-resume',)),
        LargeTlsRow('tls-10m', 'FETCH of 10 MiB under TLS', ('ringpost', 'bare'),
                    at_most(1.11, 'bare'), ('tls_bulk_10m_us', 1)),
        IdleRow('idle', '100,000 authenticated connections in IDLE, one process', BOTH,
                below(1536, '<= 1,536 bytes')),
        IdleRow('idle-tls', '20,000 of them under TLS', BOTH, below(6144, '<= 6,144 bytes'),
                connections=20000, tls='implicit'),
        IdleRow('idle-wake', 'until 100,000 idle connections are told of new mail', BOTH,
                below(5, '<= 5 s'), figure='wake', unit='s', metric='time until the last is told'),
        StartRow('start', 'start after kill -9, 1,000,000 messages stored', ('ringpost',),
                 below(2, '<= 2 s')),
        GeneratorRow('generator', 'what sending 1 KiB costs the client, many a connection',
                     ('ringpost-bench', 'smtp-source', 'smtplib'), at_most(0.2, 'smtp-source')),
        GeneratorRow('generator-pipelined', 'the same, commands sent ahead where the client can',
                     ('ringpost-bench', 'smtp-source', 'smtplib'), at_most(0.2, 'smtp-source'),
                     arguments=()),
        GeneratorRow('generator-conn', 'the same, a connection each',
                     ('ringpost-bench', 'smtp-source', 'smtplib'), at_most(0.2, 'smtp-source'),
                     per_connection=1,
                     counts={'ringpost-bench': 10000, 'smtp-source': 10000, 'smtplib': 1500}),
    ]


def names_like(wanted, every):
    """The names among `every` that `wanted` (names or shell patterns, with commas) asks for."""
    found = []
    for word in wanted.split(','):
        pattern = re.compile(re.escape(word).replace(r'\*', '.*') + r'\Z')
        some = [name for name in every if pattern.match(name)]
        if not some:
            raise Failed(f'there is no {word}; there are: {" ".join(every)}')
        found += some
    return [name for name in every if name in found]
