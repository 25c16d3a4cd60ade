# SPDX-License-Identifier: GPL-2.0-or-later
"""A small mail server that lies on request, for what the load generator must find: LMTP or SMTP in,
POP3 out, on loopback. What it does to which message is a function of the test's:

    with Liar(fate) as liar: ... liar.smtp_port, liar.pop3_port

fate(stage, count) is asked at 'connect', 'hello', 'mail', 'rcpt', 'data' and 'message', count from
1 at each stage over all connections. It returns None (be honest), a reply (bytes that are sent as
they are), 'cut' (close without a word), and at 'message' also 'drop' (say 250, keep nothing),
'alter', 'double', 'late' (in the mailbox a second later), 'keep and cut', 'mute' (never answer).
`eager`: it says 354 to DATA though no recipient was accepted, as some servers do for clients that
pipeline (RFC 2920 section 3.1)."""
import contextlib
import re
import socket
import threading


def altered(text):
    """With another letter or digit at the end: still a message that POP3 can carry."""
    at = re.search(rb'[0-9A-Za-z](?=[^0-9A-Za-z]*\Z)', text).start()
    return text[:at] + bytes([text[at] ^ 1]) + text[at + 1:]


class Liar:
    def __init__(self, fate, extensions=(b'PIPELINING', b'8BITMIME', b'SIZE 1000000000'),
                 eager=False):
        self.fate, self.extensions, self.eager = fate, extensions, eager
        self.mailboxes, self.counts, self.lock = {}, {}, threading.Lock()
        self.sockets, self.commands = [], []
        self.smtp_port = self.listen(self.serve_smtp)
        self.pop3_port = self.listen(self.serve_pop3)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def listen(self, serve):
        listener = socket.create_server(('127.0.0.1', 0), backlog=100)
        self.sockets.append(listener)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    sock = listener.accept()[0]
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.sockets.append(sock)
                    threading.Thread(target=self.guard, args=(serve, sock), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1]

    @staticmethod
    def guard(serve, sock):
        with contextlib.suppress(OSError, EOFError, ValueError):
            serve(sock, sock.makefile('rb'))
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()

    def ask(self, sock, stage, honest):
        """Answers; True when the answer was the honest one."""
        with self.lock:
            self.counts[stage] = self.counts.get(stage, 0) + 1
            fate = self.fate(stage, self.counts[stage])
        if fate == 'cut':
            raise EOFError
        sock.sendall(honest if fate is None else fate)
        return fate is None

    # --- SMTP and LMTP

    def serve_smtp(self, sock, lines):
        users, chunks, is_open, is_lmtp = [], [], False, False
        self.ask(sock, 'connect', b'220 liar ESMTP\r\n')
        while True:
            line = lines.readline()
            if not line:
                return
            verb = line.split()[0].upper().decode() if line.split() else ''
            with self.lock:
                self.commands.append(verb)
            if verb in ('EHLO', 'LHLO'):
                is_lmtp = verb == 'LHLO'
                reply = [b'liar', *self.extensions]
                self.ask(sock, 'hello', b''.join(
                    b'250%c%s\r\n' % (b' ' if i == len(reply) - 1 else b'-', text)
                    for i, text in enumerate(reply)))
            elif verb == 'MAIL':
                users, chunks = [], []
                is_open = self.ask(sock, 'mail', b'250 ok\r\n')
            elif verb == 'RCPT' and is_open:
                if self.ask(sock, 'rcpt', b'250 ok\r\n'):
                    users.append(re.search(rb'<(.*?)[@>]', line).group(1).decode())
            elif verb == 'DATA' and is_open and (users or self.eager):
                if self.ask(sock, 'data', b'354 go on\r\n'):
                    self.take(sock, self.read_data(lines), users, is_lmtp)
                    is_open = False
            elif verb == 'BDAT':
                chunks.append(lines.read(int(line.split()[1])))
                if not users:
                    sock.sendall(b'503 no recipients\r\n')
                elif len(line.split()) > 2:
                    self.take(sock, b''.join(chunks), users, is_lmtp)
                    is_open = False
                else:
                    sock.sendall(b'250 go on\r\n')
            elif verb == 'RSET':
                users, is_open = [], False
                sock.sendall(b'250 ok\r\n')
            elif verb == 'QUIT':
                sock.sendall(b'221 bye\r\n')
                return
            else:
                sock.sendall(b'503 not now\r\n')

    @staticmethod
    def read_data(lines):
        data = []
        while True:
            line = lines.readline()
            if not line:
                raise EOFError
            if line == b'.\r\n':
                return b''.join(data)
            data.append(line[1:] if line.startswith(b'.') else line)

    def take(self, sock, data, users, is_lmtp):
        if not users:
            sock.sendall(b'554 no valid recipients\r\n')
            return
        for group in [[user] for user in users] if is_lmtp else [users]:
            with self.lock:
                self.counts['message'] = self.counts.get('message', 0) + 1
                fate = self.fate('message', self.counts['message'])
                held = {'drop': [], 'cut': [], 'late': [], 'double': [data, data],
                        'alter': [altered(data)]}
                if fate == 'late':
                    threading.Timer(1, self.deliver, (group, data)).start()
                for user in group:
                    self.mailboxes.setdefault(user, []).extend(
                        held.get(fate, [] if isinstance(fate, bytes) else [data]))
            if fate in ('cut', 'keep and cut'):
                raise EOFError
            if fate == 'mute':
                continue
            sock.sendall(fate if isinstance(fate, bytes) else b'250 kept\r\n')

    def deliver(self, users, data):
        with self.lock:
            for user in users:
                self.mailboxes.setdefault(user, []).append(data)

    # --- POP3

    def serve_pop3(self, sock, lines):
        held, user = [], ''
        sock.sendall(b'+OK liar\r\n')
        while True:
            words = lines.readline().split()
            if not words:
                return
            verb = words[0].upper()
            if verb == b'USER':
                user = words[1].split(b'@')[0].decode()
                sock.sendall(b'+OK\r\n')
            elif verb == b'PASS':
                with self.lock:
                    held = list(self.mailboxes.get(user, []))
                sock.sendall(b'+OK\r\n')
            elif verb == b'STAT':
                sock.sendall(b'+OK %d %d\r\n' % (len(held), sum(map(len, held))))
            elif verb == b'LIST':
                sock.sendall(b'+OK\r\n' + b''.join(b'%d %d\r\n' % (i + 1, len(text))
                                                   for i, text in enumerate(held)) + b'.\r\n')
            elif verb == b'RETR':
                text = held[int(words[1]) - 1]
                sock.sendall(b'+OK\r\n' + re.sub(rb'(?m)^\.', b'..', text) + b'.\r\n')
            elif verb == b'QUIT':
                sock.sendall(b'+OK\r\n')
                return
            else:
                sock.sendall(b'-ERR\r\n')
