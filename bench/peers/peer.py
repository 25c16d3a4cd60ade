#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The mail servers that Ringpost is measured beside, and Ringpost: started in a scratch folder on
loopback, stopped, charged, described.

usage: bench/peers/peer.py list
       bench/peers/peer.py run NAME [--dir DIR] [--port-base P] [--prefix PREFIX]
                                    [--ringpost BINARY]

`run` starts one, prints its ports, process or control group and config, and stops it at Ctrl-C;
so any of them can be measured by hand with ringpost-bench. What each config does and why it is
fair is said in the config itself: bench/peers/NAME/. Users are u0@example.test ..., password "pw".

Postfix, Dovecot, nginx, Exim and OpenSMTPD come from deploy/deps.sh --peers PREFIX and need root
(process.py says why); smtp-sink and Ringpost do not.
"""
import argparse
import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import process
from auth_http import AuthHttp

HERE = os.path.dirname(os.path.abspath(__file__))
START_SECONDS_MAX = 60


class PeerError(Exception):
    """A server does not start, or not here; the text says why and what to do."""


class Ground:
    """What all servers of a run share: scratch folder, ports, certificate, programs."""

    def __init__(self, directory=None, port_base=23000, prefix=None, ringpost='ringpost'):
        """directory: an existing folder to make the scratch folder in, on the disk to judge."""
        self.prefix = prefix or os.path.expanduser('~/.cache/ringpost/prefix')
        self.ringpost, self.port_base = ringpost, port_base
        process.remove_stale(directory or tempfile.gettempdir())
        self.dir = tempfile.mkdtemp(prefix=f'ringpost-bench-{os.getpid()}-', dir=directory)
        os.chmod(self.dir, 0o755)
        process.write_users(self.dir)
        self.check_reachable()
        self.make_certificate()

    def check_reachable(self):
        folder = self.dir
        while folder != '/':
            if not os.stat(folder).st_mode & 1:
                shutil.rmtree(self.dir)
                raise PeerError(f'{folder} is closed to other users, as whom servers run: choose '
                                'another --dir')
            folder = os.path.dirname(folder)

    def make_certificate(self):
        """One for all servers: ECDSA P-256, as today's certificates are."""
        done = subprocess.run(
            ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
             '-nodes', '-keyout', 'key.pem', '-out', 'certificate.pem', '-days', '30', '-subj',
             '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
            cwd=self.dir, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise PeerError(f'no certificate: {done.stderr}')

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def program(self, *names):
        """[environment words, path] of a program of Postfix that runs without it: smtp-sink ..."""
        root = os.path.join(self.prefix, 'peers', 'postfix')
        return ['env', f'LD_LIBRARY_PATH={root}/usr/lib/postfix',
                os.path.join(root, 'usr', 'sbin', *names)]

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Peer:
    """A server. Classes below say: name, package (folder under PREFIX/peers, or None), PORTS
    (protocol: offset from the port base), what stop() waits for, and four functions."""

    name, package, PORTS, GREETS = '', None, {}, ()
    VAR = () # folders of /var that are its own
    environment = {} # more of it
    STOP_SECONDS = 20

    def __init__(self, ground, **values):
        self.ground, self.values = ground, values
        self.dir = ground.path(self.name)
        self.ports = {protocol: ground.port_base + offset
                      for protocol, offset in self.PORTS.items()}
        self.process = self.pid = self.meter = self.greeted = None

    # --- what each is

    def prepare(self):
        """Makes the folder and writes the config."""

    def command(self):
        raise NotImplementedError

    def version_command(self):
        return None

    def config(self):
        """The config as it was used: text."""
        return ''

    def problem(self):
        """Why it cannot run here, or None."""
        return process.space_problem(self.root()) if self.package else None

    # --- helpers of the classes

    def root(self):
        return os.path.join(self.ground.prefix, 'peers', self.package)

    def fill_in(self, template, target, **more):
        """Writes DIR/target from bench/peers/template, with each @NAME@ replaced."""
        values = {protocol.upper(): str(port) for protocol, port in self.ports.items()}
        values.update(DIR=self.dir, NAME=self.name, **self.values, **more)
        with open(os.path.join(HERE, template), encoding='utf-8') as file:
            text = file.read()
        text = re.sub(r'(?<!\w)@([A-Z][A-Z0-9_]*)@', lambda match: str(values[match.group(1)])
                      if match.group(1) in values else match.group(), text)
        with open(os.path.join(self.dir, target), 'w', encoding='utf-8') as file:
            file.write(text)

    def folder(self, name, user=None, group=None, mode=0o755):
        path = os.path.join(self.dir, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)
        if user is not None:
            uid, gid = process.user_id(self.ground.dir, user)
            os.chown(path, uid, process.group_id(self.ground.dir, group) if group else gid)
        return path

    def read(self, *names):
        texts = []
        for name in names:
            with open(os.path.join(self.dir, name), encoding='utf-8') as file:
                texts.append(file.read())
        return '\n'.join(texts)

    # --- life

    def start(self, keep=False):
        """keep: with the folder, and so the mail, that is there from before."""
        problem = self.problem()
        if problem:
            raise PeerError(f'{self.name}: {problem}')
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir, exist_ok=True)
        self.check_ports()
        for file in ('certificate.pem', 'key.pem'):
            shutil.copy(self.ground.path(file), self.dir)
        self.prepare()
        for name in self.VAR:
            self.folder(f'var/{name}')
        self.meter = process.Meter(self.name)
        space = None
        if self.package:
            for file in ('passwd', 'group'):
                shutil.copy(self.ground.path(file), self.dir)
            space = (self.dir, self.root())
        self.process = process.start(self.command(), self.meter,
                                     os.path.join(self.dir, 'output'), space, self.environment)
        try:
            self.pid = process.first_child(self.process.pid) if space else self.process.pid
            for protocol in self.GREETS:
                self.wait_for(self.ports[protocol])
        except BaseException:
            self.stop()
            raise
        return self

    def check_ports(self):
        """What answers later must be this server; one that is just going is waited for."""
        until = time.monotonic() + 5
        for port in self.ports.values():
            while True:
                with socket.socket() as probe, contextlib.suppress(OSError):
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(('127.0.0.1', port))
                    break
                if time.monotonic() > until:
                    raise PeerError(f'{self.name}: port {port} is taken by another program')
                time.sleep(0.1)

    def wait_for(self, port):
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise PeerError(f'{self.name} ended with {self.process.returncode}: '
                                f'{self.said()}')
            with contextlib.suppress(OSError):
                with socket.create_connection(('127.0.0.1', port), 5) as peer:
                    if peer.recv(1):
                        self.greeted = time.monotonic()
                        return
            time.sleep(0.005)
        raise PeerError(f'{self.name} does not answer on port {port}: {self.said()}')

    def said(self):
        """The end of what it printed, for messages."""
        with contextlib.suppress(OSError), open(os.path.join(self.dir, 'output'), 'rb') as file:
            return file.read()[-500:].decode('utf-8', 'replace').strip() or 'it says nothing'
        return 'it says nothing'

    def stop(self, how=signal.SIGTERM):
        if self.process is None:
            return
        process.end(self.process, self.pid or self.process.pid, how, self.STOP_SECONDS)
        self.process = None
        self.meter.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # --- what it costs

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def cpu(self):
        """Seconds of all its processes so far."""
        return self.meter.cpu(self.pid)

    def memory(self):
        """PSS of all its processes, in bytes."""
        return process.pss_bytes(self.meter.pids(self.pid))

    def charge(self):
        """Options by which ringpost-bench measures it."""
        if self.meter.folder:
            return ['--server-cgroup', self.meter.folder]
        return ['--server-pid', str(self.pid)]

    def version(self):
        command = self.version_command()
        if command is None or self.problem():
            return None
        if self.package:
            shutil.rmtree(self.ground.path('version'), ignore_errors=True)
            os.makedirs(self.ground.path('version'))
            for file in ('passwd', 'group'):
                shutil.copy(self.ground.path(file), self.ground.path('version'))
            command = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', process.ENTER,
                       'sh', self.ground.path('version'), self.root(), *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        found = re.search(r'(\d+\.\d+(?:\.\d+)*\w*)', done.stdout + done.stderr)
        return found.group(1) if found else None


class Ringpost(Peer):
    """`ringpost try`: its config is an ordinary one, shown as it is. cores=N threads, users=N;
    environment: keys of the config that go before it (docs/config.md)."""

    name = 'ringpost'
    PORTS = {'lmtp': 24, 'smtp': 25, 'admin': 80, 'pop3': 110, 'imap': 143, 'submissions': 465,
             'submission': 587, 'imaps': 993, 'pop3s': 995}
    GREETS = ('smtp',)

    def __init__(self, ground, cores=1, users=100, environment=None):
        super().__init__(ground, cores=cores, users=users)
        # It greets at once, as its peers do: by default port 25 waits for early talkers.
        self.environment = {'RINGPOST_LIMITS__GREETING_DELAY': '0s', **(environment or {})}

    def problem(self):
        return None if shutil.which(self.ground.ringpost) else \
            f'{self.ground.ringpost} is not there: build it'

    def command(self):
        return [self.ground.ringpost, 'try', '--dir', self.dir, '--port-base',
                str(self.ground.port_base), '--users', str(self.values['users']), '--cores',
                str(self.values['cores'])]

    def version_command(self):
        return [self.ground.ringpost, '--version']

    def config(self):
        return ''.join(f'# {name}={value}\n' for name, value in self.environment.items()) + \
            self.read('ringpost.conf')


class RingpostFront(Ringpost):
    """Before another server: imap=PORT, pop3=PORT. tls: the backend's ports want it from the first
    byte; connections: how many sessions a core may have."""

    name = 'ringpost-front'
    PORTS = {'imap': 250, 'imaps': 251, 'pop3': 252, 'admin': 253, 'lmtp': 254}
    GREETS = ('imap', 'pop3', 'lmtp')

    def __init__(self, ground, imap, pop3, lmtp, cores=1, tls=False, connections=5000):
        super().__init__(ground)
        self.environment = {}
        self.values = {'CORES': cores, 'BACKEND_IMAP': imap, 'BACKEND_POP3': pop3,
                       'BACKEND_LMTP': lmtp,
                       'BACKEND_TLS': 'implicit' if tls else 'none',
                       'UNVERIFIED': 'true' if tls else 'false', 'CONNECTIONS': connections}

    def prepare(self):
        self.values['USER'] = 'user = "nobody";' if os.geteuid() == 0 else ''
        os.chmod(os.path.join(self.dir, 'key.pem'), 0o600)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam('nobody')
            os.chown(self.dir, nobody.pw_uid, nobody.pw_gid)
            os.chown(os.path.join(self.dir, 'key.pem'), nobody.pw_uid, nobody.pw_gid)
        self.fill_in('ringpost/front.conf', 'ringpost.conf')

    def command(self):
        return [self.ground.ringpost, 'serve', '--config', os.path.join(self.dir, 'ringpost.conf')]


class SmtpSink(Peer):
    """Postfix's smtp-sink: reads mail in one process and throws it away; no disk, no parsing to
    speak of. What a server that keeps mail can be compared with at best. Up to 1000 connections."""

    name = 'smtp-sink'
    PORTS = {'smtp': 201}
    GREETS = ('smtp',)

    def problem(self):
        return None if os.path.exists(self.ground.program('smtp-sink')[-1]) else \
            'not there: deploy/deps.sh --peers PREFIX unpacks it'

    def command(self):
        user = ['-u', 'nobody'] if os.geteuid() == 0 else []
        return [*self.ground.program('smtp-sink'), *user, f'127.0.0.1:{self.ports["smtp"]}', '1000']

    def config(self):
        return ' '.join(self.command())

    def version(self):
        return Postfix(self.ground).version()


class Postfix(Peer):
    """transport='discard', or 'lmtp:inet:127.0.0.1:PORT'."""

    name, package = 'postfix', 'postfix'
    PORTS = {'smtp': 202, 'smtps': 203}
    GREETS = ('smtp',)
    QUEUES = ('active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold', 'incoming',
              'private', 'saved', 'trace')

    def __init__(self, ground, transport='discard'):
        super().__init__(ground, TRANSPORT=transport)

    def prepare(self):
        self.folder('etc')
        self.folder('queue')
        self.folder('queue/pid')
        self.folder('data', 'postfix', mode=0o700)
        for queue in self.QUEUES:
            self.folder(f'queue/{queue}', 'postfix', mode=0o700)
        self.folder('queue/public', 'postfix', 'postdrop', 0o710)
        self.folder('queue/maildrop', 'postfix', 'postdrop', 0o730)
        self.fill_in('postfix/main.cf', 'etc/main.cf')
        self.fill_in('postfix/master.cf', 'etc/master.cf')

    def command(self):
        return ['/usr/lib/postfix/sbin/master', '-i', '-c', os.path.join(self.dir, 'etc')]

    def version_command(self):
        return ['/usr/sbin/postconf', '-d', 'mail_version']

    def config(self):
        return self.read('etc/main.cf', 'etc/master.cf')

    def queued(self):
        """Messages that are still in its queue."""
        return sum(len(files) for queue in ('incoming', 'active', 'deferred', 'maildrop')
                   for _, _, files in os.walk(os.path.join(self.dir, 'queue', queue)))


class Dovecot(Peer):
    name, package = 'dovecot', 'dovecot'
    PORTS = {'imap': 210, 'pop3': 211, 'lmtp': 212, 'imaps': 213, 'pop3s': 214}
    GREETS = ('imap', 'pop3', 'lmtp')
    STOP_SECONDS = 1 # it waits 6 s for processes that hang on clients; its mail is on disk
    TEMPLATE = 'dovecot/dovecot.conf'

    def prepare(self):
        self.folder('mail', 'vmail', mode=0o700)
        self.fill_in(self.TEMPLATE, 'dovecot.conf')

    def command(self):
        return ['/usr/sbin/dovecot', '-F', '-c', os.path.join(self.dir, 'dovecot.conf')]

    def version_command(self):
        return ['/usr/sbin/dovecot', '--version']

    def config(self):
        return self.read('dovecot.conf')


class DovecotProxy(Dovecot):
    """Before another server: imap=PORT, pop3=PORT, lmtp=PORT."""

    name = 'dovecot-proxy'
    PORTS = {'imap': 230, 'pop3': 231, 'imaps': 232, 'pop3s': 233, 'lmtp': 234}
    GREETS = ('imap', 'pop3', 'lmtp')
    TEMPLATE = 'dovecot/proxy.conf'

    def __init__(self, ground, imap, pop3, lmtp):
        super().__init__(ground, BACKEND_IMAP=imap, BACKEND_POP3=pop3, BACKEND_LMTP=lmtp)


class Nginx(Peer):
    """Before another server: imap=PORT, pop3=PORT."""

    name, package = 'nginx', 'nginx'
    PORTS = {'imap': 220, 'pop3': 221, 'imaps': 222, 'auth': 223}
    GREETS = ('imap', 'pop3')

    def __init__(self, ground, imap, pop3, lmtp):
        del lmtp # it has none
        super().__init__(ground)
        self.auth = AuthHttp(self.ports['auth'], {'imap': imap, 'pop3': pop3})

    def prepare(self):
        self.fill_in('nginx/nginx.conf', 'nginx.conf')
        self.auth.start()

    def command(self):
        return ['/usr/sbin/nginx', '-c', os.path.join(self.dir, 'nginx.conf'), '-p', self.dir, '-e',
                os.path.join(self.dir, 'log')]

    def version_command(self):
        return ['/usr/sbin/nginx', '-v']

    def config(self):
        return self.read('nginx.conf')

    def stop(self, how=signal.SIGTERM):
        super().stop(how)
        self.auth.stop()


class Exim(Peer):
    name, package = 'exim', 'exim'
    PORTS = {'smtp': 205}
    GREETS = ('smtp',)

    def prepare(self):
        self.folder('spool', 'Debian-exim', mode=0o750)
        self.folder('log', 'Debian-exim', mode=0o750)
        self.fill_in('exim/exim.conf', 'exim.conf')

    def command(self):
        return ['/usr/sbin/exim4', '-bdf', '-C', os.path.join(self.dir, 'exim.conf')]

    def version_command(self):
        return ['/usr/sbin/exim4', '-C', '/dev/null', '-bV']

    def config(self):
        return self.read('exim.conf')


class OpenSmtpd(Peer):
    name, package = 'opensmtpd', 'opensmtpd'
    PORTS = {'smtp': 206}
    GREETS = ('smtp',)
    VAR = ('spool', 'lib', 'run')

    def prepare(self):
        self.fill_in('opensmtpd/smtpd.conf', 'smtpd.conf')
        for name in ('var/spool/smtpd', 'var/lib/opensmtpd', 'var/lib/opensmtpd/empty',
                     'var/run/opensmtpd'):
            self.folder(name, mode=0o711)

    def command(self):
        return ['/usr/sbin/smtpd', '-F', '-f', os.path.join(self.dir, 'smtpd.conf'), '-P', 'mda']

    def version_command(self):
        return ['/usr/sbin/smtpd', '-h']

    def config(self):
        return self.read('smtpd.conf')


PEERS = {peer.name: peer for peer in (Ringpost, RingpostFront, SmtpSink, Postfix, Dovecot,
                                      DovecotProxy, Nginx, Exim, OpenSmtpd)}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('action', choices=('list', 'run'))
    parser.add_argument('name', nargs='?', choices=PEERS)
    parser.add_argument('--dir')
    parser.add_argument('--port-base', type=int, default=23000)
    parser.add_argument('--prefix')
    parser.add_argument('--ringpost', default=f'{HERE}/../../build/lto/src/main/ringpost')
    options = parser.parse_args()
    ground = None
    try:
        ground = Ground(options.dir, options.port_base, options.prefix, options.ringpost)
        if options.action == 'list':
            for name, peer in PEERS.items():
                one = peer(ground)
                print(f'{name:14} {one.problem() or "version " + (one.version() or "unknown")}')
            return
        with PEERS[options.name or parser.error('which one?')](ground) as peer:
            print(peer.config())
            print(f'{peer.name}: {peer.ports}; {" ".join(peer.charge())}; Ctrl-C stops it',
                  flush=True)
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            with contextlib.suppress(KeyboardInterrupt):
                peer.process.wait()
    except PeerError as error:
        sys.exit(f'peer.py: {error}')
    finally:
        if ground is not None:
            ground.close()


if __name__ == '__main__':
    main()
