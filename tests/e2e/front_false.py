# SPDX-License-Identifier: GPL-2.0-or-later
"""A backend that lies on request, for front_liar.py: IMAP and POP3 on loopback, one user's mailbox
as good as another's.

    with FalseBackend(certificate, key) as backend:
        backend.fate = lambda protocol, stage: ...

`fate` is asked at 'greeting', 'starttls', 'id', 'login', 'after' (the user is in), 'out' (behind
LOGOUT's answer) of IMAP, and 'greeting', 'stls', 'user', 'login' of POP3. It returns None (be
honest), bytes (said instead of the honest answer; TAG in them is the command's), or a way: CUT
closes without a word, RESET too but with RST, MUTE says nothing any more, SLOW says the honest
answer a byte in 200 ms; a list is several of these in turn, HONEST among them."""
import contextlib
import socket
import ssl
import struct
import threading
import time

CUT, RESET, MUTE, SLOW, HONEST = 'cut', 'reset', 'mute', 'slow', 'honest'


class FalseBackend:
    def __init__(self, certificate, key):
        self.fate = lambda protocol, stage: None
        self.capabilities = b'IMAP4rev1 SASL-IR LITERAL+ ID AUTH=PLAIN STARTTLS'
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.open, self.opened, self.lock = set(), 0, threading.Lock()
        self.clear, self.ended = b'', threading.Event() # clear: what came before any TLS
        self.listeners = []
        self.ports = {'imap': self.listen(self.imap), 'pop3': self.listen(self.pop3)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        for one in [*self.listeners, *self.open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def listen(self, serve):
        listener = socket.create_server(('127.0.0.1', 0), backlog=100)
        self.listeners.append(listener)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    with self.lock:
                        self.opened += 1
                        self.open.add(connection)
                    threading.Thread(target=self.guard, args=(serve, connection),
                                     daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        return listener.getsockname()[1]

    def guard(self, serve, connection):
        one = Connection(self, connection)
        with contextlib.suppress(OSError, EOFError, ValueError):
            serve(one)
        with self.lock:
            self.open.discard(connection)
        with contextlib.suppress(OSError):
            one.socket.close()

    def wait_open(self, count, seconds=5):
        until = time.monotonic() + seconds
        while len(self.open) > count and time.monotonic() < until:
            time.sleep(0.02)
        return len(self.open)

    # --- the protocols

    def imap(self, one):
        one.answer('imap', 'greeting', b'* OK [CAPABILITY ' + self.capabilities + b'] ready\r\n')
        while True:
            words = one.line().split(b' ', 2)
            tag, verb = words[0], words[1].upper() if len(words) > 1 else b''
            if verb == b'STARTTLS':
                one.answer('imap', 'starttls', tag + b' OK go\r\n', tag)
                one.start_tls(self.context)
            elif verb == b'CAPABILITY':
                one.send(b'* CAPABILITY ' + self.capabilities + b'\r\n' + tag + b' OK done\r\n')
            elif verb == b'ID':
                one.answer('imap', 'id', b'* ID NIL\r\n' + tag + b' OK done\r\n', tag)
            elif verb in (b'LOGIN', b'AUTHENTICATE'):
                if verb == b'AUTHENTICATE' and len(words[2].split()) == 1:
                    one.send(b'+ \r\n')
                    one.line()
                one.answer('imap', 'login', tag + b' OK [CAPABILITY IMAP4rev1 IDLE] in\r\n', tag)
                one.answer('imap', 'after', b'')
            elif verb == b'LOGOUT':
                one.send(b'* BYE bye\r\n' + tag + b' OK out\r\n')
                one.answer('imap', 'out', b'')
                return
            else:
                one.send(tag + b' OK done\r\n')

    def pop3(self, one):
        one.answer('pop3', 'greeting', b'+OK ready\r\n')
        while True:
            words = one.line().split()
            verb = words[0].upper() if words else b''
            if verb == b'CAPA':
                one.send(b'+OK\r\nUSER\r\nPIPELINING\r\nSTLS\r\nSASL PLAIN\r\nRESP-CODES\r\n.\r\n')
            elif verb == b'STLS':
                one.answer('pop3', 'stls', b'+OK go\r\n')
                one.start_tls(self.context)
            elif verb == b'USER':
                one.answer('pop3', 'user', b'+OK\r\n')
            elif verb in (b'PASS', b'AUTH'):
                if verb == b'AUTH' and len(words) == 2:
                    one.send(b'+ \r\n')
                    one.line()
                one.answer('pop3', 'login', b'+OK in\r\n')
            elif verb == b'QUIT':
                one.send(b'+OK bye\r\n')
                return
            else:
                one.send(b'+OK\r\n')


class Connection:
    def __init__(self, backend, connection):
        self.backend, self.socket, self.is_secure, self.unread = backend, connection, False, b''

    def line(self):
        while b'\n' not in self.unread:
            got = self.socket.recv(4096)
            if not got:
                raise EOFError
            if not self.is_secure:
                with self.backend.lock:
                    self.backend.clear += got
            self.unread += got
        line, _, self.unread = self.unread.partition(b'\n')
        return line.rstrip(b'\r')

    def send(self, data):
        self.socket.sendall(data)

    def start_tls(self, context):
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.is_secure = True

    def answer(self, protocol, stage, honest, tag=b''):
        fate = self.backend.fate(protocol, stage)
        for way in fate if isinstance(fate, list) else [fate]:
            if way is None or way == HONEST:
                self.send(honest)
            elif isinstance(way, bytes):
                self.send(way.replace(b'TAG', tag))
            elif way == SLOW:
                for at in range(len(honest)):
                    self.send(honest[at:at + 1])
                    if self.backend.ended.wait(0.2):
                        raise EOFError
            elif way == MUTE:
                self.socket.settimeout(60)
                while self.socket.recv(4096):
                    pass
                raise EOFError
            elif way == RESET:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack('ii', 1, 0))
                raise EOFError
            else:
                raise EOFError
