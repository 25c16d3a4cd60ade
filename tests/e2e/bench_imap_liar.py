# SPDX-License-Identifier: GPL-2.0-or-later
"""A small IMAP server that lies on request, for what the load generator must find. Honest, it keeps
what is APPENDed in one INBOX a user, and tells who idles. What it says otherwise is a function of
the test's:

    with ImapLiar(fate, capabilities) as liar: ... liar.port

fate(stage, count) is asked at 'greeting' and with the name of each command ('FETCH', 'IDLE', ...),
at 'told' when somebody in IDLE is to be told, count from 1 at each stage over all connections. It
returns None (be honest), or bytes that are sent instead, with TAG in them replaced by the command's
tag; 'cut' (close without a word), 'mute' (say nothing), 'alter' (a FETCH with one byte changed)."""
import contextlib
import re
import socket
import threading


class ImapLiar:
    def __init__(self, fate=lambda *_: None, capabilities=b'LITERAL+ SASL-IR UIDPLUS IDLE'):
        self.fate, self.capabilities = fate, capabilities
        self.mailboxes, self.counts, self.lock = {}, {}, threading.RLock()
        self.idlers, self.commands, self.sockets = [], [], []
        listener = socket.create_server(('127.0.0.1', 0), backlog=100)
        self.port = listener.getsockname()[1]
        self.sockets.append(listener)
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                sock = listener.accept()[0]
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.sockets.append(sock)
                threading.Thread(target=self.guard, args=(sock,), daemon=True).start()

    def guard(self, sock):
        with contextlib.suppress(OSError, EOFError, ValueError):
            Session(self, sock).serve()
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()

    def ask(self, stage):
        with self.lock:
            self.counts[stage] = self.counts.get(stage, 0) + 1
            return self.fate(stage, self.counts[stage])

    def tell(self, user):
        """Those who idle are told of a message."""
        with self.lock:
            for session in [one for one in self.idlers if one.user == user]:
                fate = self.ask('told')
                with contextlib.suppress(OSError):
                    if fate == 'cut':
                        session.sock.shutdown(socket.SHUT_RDWR)
                    elif fate != 'mute':
                        session.sock.sendall(fate or b'* %d EXISTS\r\n' % len(session.mailbox))


class Session:
    def __init__(self, liar, sock):
        self.liar, self.sock, self.lines = liar, sock, sock.makefile('rb')
        self.user, self.mailbox, self.seen = '', [], 0

    def say(self, text):
        self.sock.sendall(text)

    def news(self):
        """What came into the mailbox since it was last told."""
        if len(self.mailbox) != self.seen:
            self.seen = len(self.mailbox)
            self.say(b'* %d EXISTS\r\n' % self.seen)

    def serve(self):
        fate = self.liar.ask('greeting')
        if fate == 'cut':
            return
        self.say(fate or b'* OK [CAPABILITY IMAP4rev1 %s] liar\r\n' % self.liar.capabilities)
        while True:
            line = self.lines.readline()
            if not line:
                return
            tag, verb, *words = line.split()
            verb = verb.upper().decode()
            if verb == 'UID':
                verb, words = words[0].upper().decode(), words[1:]
            self.liar.commands.append(verb)
            if verb == 'APPEND':
                self.append(words)
            fate = self.liar.ask(verb)
            if fate == 'cut':
                return
            if isinstance(fate, bytes):
                self.say(fate.replace(b'TAG', tag))
            elif fate != 'mute':
                self.answer(tag, verb, words, fate)
            if verb == 'LOGOUT':
                return

    def append(self, words):
        size = re.search(rb'\{(\d+)(\+?)\}', words[-1])
        if not size.group(2):
            self.say(b'+ go on\r\n')
        text = self.lines.read(int(size.group(1)))
        self.lines.readline()
        with self.liar.lock:
            self.liar.mailboxes.setdefault(self.user, []).append(text)
            self.liar.tell(self.user)

    def log_in(self, tag, verb, words):
        if verb == 'LOGIN':
            self.user = words[0].decode()
        elif len(words) == 1:
            self.say(b'+ \r\n')
            self.user = self.lines.readline().decode()
        else:
            self.user = words[1].decode()
        self.say(tag + b' OK in\r\n')

    def fetch(self, words, fate):
        first, _, last = words[0].partition(b':')
        for number in range(int(first), int(last or first) + 1):
            text = self.mailbox[number - 1]
            if fate == 'alter':
                text = text[:-10] + bytes([text[-10] ^ 1]) + text[-9:]
            self.say(b'* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n' % (number, number, len(text),
                                                                 text))

    def idle(self, tag):
        with self.liar.lock:
            self.liar.idlers.append(self)
            self.say(b'+ idling\r\n')
        self.lines.readline()
        with self.liar.lock:
            self.liar.idlers.remove(self)
        self.say(tag + b' OK idled\r\n')

    def answer(self, tag, verb, words, fate):
        if verb == 'CAPABILITY':
            self.say(b'* CAPABILITY IMAP4rev1 %s\r\n' % self.liar.capabilities)
        elif verb in ('LOGIN', 'AUTHENTICATE'):
            self.log_in(tag, verb, words)
            return
        elif verb == 'SELECT':
            with self.liar.lock:
                self.mailbox = self.liar.mailboxes.setdefault(self.user, [])
            self.seen = len(self.mailbox)
            self.say(b'* FLAGS (\\Seen)\r\n* %d EXISTS\r\n* 0 RECENT\r\n'
                     b'* OK [UIDVALIDITY 1] ok\r\n' % self.seen)
        elif verb == 'FETCH':
            self.fetch(words, fate)
        elif verb == 'SEARCH':
            self.say(b'* SEARCH 1\r\n')
        elif verb == 'LOGOUT':
            self.say(b'* BYE bye\r\n')
        elif verb == 'IDLE':
            self.idle(tag)
            return
        if self.mailbox and verb not in ('FETCH', 'STORE', 'SEARCH', 'LOGOUT'):
            self.news()
        self.say(tag + b' OK done\r\n')
