#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The gateway in front of Cyrus IMAP, whose greetings, answers and capabilities are others than
Dovecot's: IMAP, POP3 and ManageSieve, by the client's password and by a proxy's, in clear and under
TLS; and mail by LMTP, for which it asks no log-in here (lmtpd -a). The tests are those of front.py
and front_lmtp.py that ask for nothing which only Dovecot has."""
import contextlib
import imaplib
import os
import shutil
import socket
import struct
import sys
import threading
import time

import front
import front_lmtp
from front_harness import Field, peers, process

CONFIG = '''# written by tests/e2e/front_cyrus.py
configdirectory: {dir}/lib
proc_path: {dir}/run/proc
mboxname_lockpath: {dir}/run/lock
lmtpsocket: {dir}/run/socket/lmtp
idlesocket: {dir}/run/socket/idle
notifysocket: {dir}/run/socket/notify
defaultpartition: default
partition-default: {dir}/mail
sievedir: {dir}/sieve
cyrus_user: cyrus
admins: cyrus
proxyservers: front
unixhierarchysep: yes
virtdomains: userid
allowplaintext: yes
autocreate_quota: 0
autocreate_post: yes
duplicatesuppression: no
sasl_pwcheck_method: saslauthd
sasl_saslauthd_path: {dir}/passwords
sasl_mech_list: PLAIN LOGIN
tls_server_cert: {dir}/own-certificate.pem
tls_server_key: {dir}/own-key.pem
'''
SERVICES = (('imap', 'imapd'), ('imaps', 'imapd -s'), ('pop3', 'pop3d'), ('pop3s', 'pop3d -s'),
            ('sieve', 'timsieved'), ('lmtp', 'lmtpd -a'))


class PasswordServer:
    """saslauthd's protocol on a Unix socket: user, password, service and realm, each behind its
    length; OK or NO."""

    def __init__(self, path, is_right):
        self.is_right, self.listener = is_right, socket.socket(socket.AF_UNIX)
        with contextlib.suppress(FileNotFoundError): # of an earlier life
            os.remove(path)
        self.listener.bind(path)
        os.chmod(path, 0o777)
        self.listener.listen(100)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer = self.listener.accept()[0]
                with peer, contextlib.suppress(OSError, struct.error), peer.makefile('rb') as file:
                    words = [file.read(struct.unpack('>H', file.read(2))[0]) for _ in range(4)]
                    answer = b'OK' if self.is_right(*words[:2]) else b'NO'
                    peer.sendall(struct.pack('>H', len(answer)) + answer)


class Cyrus(peers.Peer):
    package = 'cyrus'
    PORTS = {name: offset for offset, (name, _) in enumerate(SERVICES)}
    GREETS = ('imap', 'pop3', 'sieve', 'lmtp')

    def __init__(self, ground, name, first_port, authority, users):
        self.name, self.authority, self.users, self.pin = name, authority, users, None
        super().__init__(ground)
        self.ports = {protocol: first_port + offset for protocol, offset in self.PORTS.items()}

    def prepare(self):
        for name in ('lib', 'mail', 'sieve', 'run', 'run/proc', 'run/lock', 'run/socket'):
            self.folder(name, 'cyrus')
        self.pin = self.authority.issue(self.dir)
        uid, gid = process.user_id(self.ground.dir, 'cyrus')
        for name in ('certificate.pem', 'key.pem'):
            shutil.copy(os.path.join(self.dir, name), os.path.join(self.dir, 'own-' + name))
            os.chown(os.path.join(self.dir, 'own-' + name), uid, gid)
        config = os.path.join(self.dir, 'imapd.conf')
        with open(config, 'w', encoding='ascii') as file:
            file.write(CONFIG.format(dir=self.dir))
        with open(os.path.join(self.dir, 'cyrus.conf'), 'w', encoding='ascii') as file:
            file.write(f'START {{\n recover cmd="ctl_cyrusdb -r -C {config}"\n}}\nSERVICES {{\n')
            for name, program in SERVICES:
                file.write(f' {name} cmd="{program} -C {config}" listen="127.0.0.1:'
                           f'{self.ports[name]}" prefork=0\n')
            file.write('}\n')
        self.judge = PasswordServer(os.path.join(self.dir, 'passwords'), lambda user, password: (
            user == b'front' and password == b'key' or
            user.startswith(b'u') and password == b'pw'))

    def command(self):
        return ['/usr/lib/cyrus/bin/master', '-C', os.path.join(self.dir, 'imapd.conf'), '-M',
                os.path.join(self.dir, 'cyrus.conf'), '-p', os.path.join(self.dir, 'run', 'pid')]

    def go_on(self):
        pass

    def imap(self, user):
        imap = imaplib.IMAP4('127.0.0.1', self.ports['imap'], timeout=30)
        imap.login(f'{user}@example.test', 'pw')
        return imap


def main():
    with Field(names=('left', 'right'), users=30, kind=Cyrus) as field:
        for test in (front.test_spread, front.test_passwords, front.test_mechanisms,
                     front.test_pipelined, front.test_tls, front.test_client_tls,
                     front.test_sieve, front_lmtp.test_fan_out, front_lmtp.test_chunks,
                     front_lmtp.test_aliases, front_lmtp.test_bench, front_lmtp.test_killed):
            began = time.monotonic()
            test(field)
            print(f'{test.__name__}: ok, {time.monotonic() - began:.1f} s', flush=True)


if __name__ == '__main__':
    sys.exit(main())
