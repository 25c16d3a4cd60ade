# SPDX-License-Identifier: GPL-2.0-or-later
"""Thousands of IMAP clients on one thread, each of which logs in, reads the marker in its INBOX,
stays in IDLE, and when it is sent away comes back at once: what a gateway has to expect of them.

A client knows what it may be told in each state, and any other line is noted as wrong: so streams
that are mixed up, lines that are cut and refusals that blame the password are all seen.
"""
import collections
import heapq
import re
import select
import socket
import time

from harness import check

SUBJECT = re.compile(rb'Subject: of (u\d+) on (\w+)')
AFTER_LOGIN = (b'b EXAMINE INBOX\r\nc FETCH 1 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\n'
               b'd IDLE\r\n')
IDLE_LINE = re.compile(rb'\* (OK |\d+ (EXISTS|RECENT)$)')
WAY_LINE = re.compile(rb'(\* |[abc] OK |\+ |\)$|$)') # on the way to IDLE
AGAIN_SECONDS = 0.2 # after a refusal
SOURCES = 8         # addresses of ours: each has some 28,000 ports

Event = collections.namedtuple('Event', 'time client kind text')


class Client:
    """kind of its state: 'off', 'coming' (up to IDLE), 'idle'."""

    def __init__(self, number, users):
        self.user = f'u{number % users}'
        self.source = f'127.0.2.{1 + number % SOURCES}'
        self.state, self.where, self.socket = 'off', None, None
        self.rest, self.has_marker, self.bye, self.is_in = b'', False, None, False


class Mass:
    def __init__(self, port, sessions, users):
        self.port, self.epoll = port, select.epoll()
        self.clients = [Client(number, users) for number in range(sessions)]
        self.by_descriptor, self.events, self.wrong, self.due = {}, [], [], []
        self.counts = collections.Counter()
        self.turns = 0

    def close(self):
        for client in self.clients:
            if client.socket is not None:
                client.socket.close()
        self.epoll.close()

    # --- one client

    def note(self, client, kind, text=b''):
        self.events.append(Event(time.time(), client, kind, text))
        self.counts[kind] += 1

    def blame(self, client, what):
        self.wrong.append(f'{client.user} ({client.state}, {client.where}): {what}')

    def come(self, client):
        client.socket = socket.socket()
        client.socket.setblocking(False)
        client.socket.setsockopt(socket.SOL_IP, 24, 1) # IP_BIND_ADDRESS_NO_PORT
        client.socket.bind((client.source, 0))
        client.socket.connect_ex(('127.0.0.1', self.port))
        client.state, client.rest, client.has_marker = 'coming', b'', False
        client.bye, client.is_in, client.where = None, False, None
        self.by_descriptor[client.socket.fileno()] = client
        self.epoll.register(client.socket.fileno(), select.EPOLLIN)

    def gone(self, client, why):
        """The connection has ended."""
        if client.rest:
            self.blame(client, f'ends within a line: {client.rest[-80:]!r}')
        was_idle = client.state == 'idle'
        if was_idle and client.bye is None:
            self.blame(client, f'sent away without a word ({why})')
        self.note(client, 'left' if was_idle else 'turned away', client.bye or b'')
        del self.by_descriptor[client.socket.fileno()]
        client.socket.close() # and is in the epoll no more
        client.socket, client.state = None, 'off'
        if was_idle:
            self.come(client)
        else:
            heapq.heappush(self.due, (time.monotonic() + AGAIN_SECONDS, id(client), client))

    def line(self, client, line):
        if client.bye is not None:
            self.blame(client, f'after BYE: {line!r}')
        elif line.startswith(b'* BYE'):
            client.bye = line
        elif client.state == 'idle':
            if not IDLE_LINE.match(line):
                self.blame(client, f'in IDLE: {line!r}')
        else:
            self.line_on_the_way(client, line)

    def line_on_the_way(self, client, line):
        found = SUBJECT.match(line)
        if found:
            client.where, client.has_marker = found.group(2).decode(), True
            if found.group(1).decode() != client.user:
                self.blame(client, f'another\'s mail: {line!r}')
        elif line.startswith(b'* OK') and not client.is_in:
            client.socket.send(b'a LOGIN %s@example.test pw\r\n' % client.user.encode())
        elif line.startswith(b'a OK'):
            client.is_in = True
            client.socket.send(AFTER_LOGIN)
        elif line.startswith(b'a NO'):
            self.note(client, 'refused', line)
            if b'[UNAVAILABLE]' not in line:
                self.blame(client, f'refused: {line!r}')
            client.socket.shutdown(socket.SHUT_WR)
        elif line.startswith(b'+ '):
            if not client.has_marker:
                self.blame(client, 'saw no marker')
            client.state = 'idle'
            self.note(client, 'idle')
        elif not WAY_LINE.match(line):
            self.blame(client, f'on the way: {line!r}')

    def heard(self, client):
        try:
            data = client.socket.recv(16384)
        except BlockingIOError:
            return
        except OSError as error:
            self.gone(client, str(error))
            return
        if not data:
            self.gone(client, 'end')
            return
        *lines, client.rest = (client.rest + data).split(b'\r\n')
        for line in lines:
            self.line(client, line)

    # --- all of them

    def turn(self, seconds):
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            self.come(heapq.heappop(self.due)[2])
        if self.due:
            seconds = min(seconds, self.due[0][0] - now)
        for descriptor, _ in self.epoll.poll(max(seconds, 0), 256):
            client = self.by_descriptor.get(descriptor)
            if client is not None:
                self.heard(client)
        self.turns += 1

    def until(self, wanted, seconds, what):
        """Plays until wanted() holds."""
        end = time.monotonic() + seconds
        while not wanted():
            check(time.monotonic() < end, f'{what}: not within {seconds:.1f} s: {self.told()}')
            self.turn(0.02)

    def play(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn(end - time.monotonic())

    def all_come(self, at_once, seconds):
        """The first time, so many under way at a time."""
        waiting = list(reversed(self.clients))
        end = time.monotonic() + seconds
        while self.idle_count() < len(self.clients):
            check(time.monotonic() < end, f'the first log-ins: {self.told()}')
            while waiting and len(self.by_descriptor) - self.idle_count() < at_once:
                self.come(waiting.pop())
            self.turn(0.02)

    def idle_count(self):
        return self.counts['idle'] - self.counts['left']

    def at(self, where):
        """Clients whose marker says that they are there."""
        return sum(client.where == where and client.socket is not None and client.bye is None
                   for client in self.clients)

    def logged_in(self, where):
        """The same, and those who have not seen their marker yet."""
        return self.at(where) + sum(client.is_in and client.where is None and
                                    client.socket is not None and client.bye is None
                                    for client in self.clients)

    def told(self):
        states = collections.Counter((client.state, client.where) for client in self.clients)
        return f'{dict(states)} {dict(self.counts)} {self.wrong[:5]}'

    def take(self):
        """What happened since the last time; nothing of it may be wrong."""
        check(not self.wrong, f'{len(self.wrong)}: {self.wrong[:5]}')
        events, self.events = self.events, []
        return events
