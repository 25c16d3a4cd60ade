# SPDX-License-Identifier: GPL-2.0-or-later
"""The HTTP server that nginx's mail proxy asks where a user's mail is: any user, this backend."""
import contextlib
import re
import socket
import threading

REQUEST_BYTES_MAX = 8192


class AuthHttp:
    """Answers on 127.0.0.1:port from start() to stop(), on a thread: ports[protocol] is where the
    user is sent to. One request a connection, as nginx does."""

    def __init__(self, port, ports):
        self.port, self.ports, self.listener = port, ports, None

    def start(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(('127.0.0.1', self.port))
        self.listener.listen(1000)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError: # closed by stop()
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                self.answer(connection)

    def answer(self, connection):
        request = b''
        while b'\r\n\r\n' not in request and len(request) < REQUEST_BYTES_MAX:
            piece = connection.recv(REQUEST_BYTES_MAX)
            if not piece:
                return
            request += piece
        asked = re.search(rb'(?i)\r\nAuth-Protocol: *(\w+)', request)
        port = self.ports.get(asked.group(1).decode() if asked else '', 0)
        status = 'no such protocol'
        if port:
            status = f'OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: {port}'
        connection.sendall(f'HTTP/1.0 200 OK\r\nAuth-Status: {status}\r\n\r\n'.encode())

    def stop(self):
        if self.listener is not None:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
