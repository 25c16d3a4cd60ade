# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands in for the program where a script of this folder is to run against the gateway in a
container: RINGPOST names a wrapper that calls this. `try` runs in the image, on the host's network,
with its directory mounted and nothing else; whoever ends this process ends the container, by any
signal.

usage: in_container.py WORK try --dir DIR ...      WORK: image.sh's, with the image in it
"""
import contextlib
import os
import resource
import select
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DEPLOY = os.path.join(HERE, '../../deploy')
USER = 65532


def engine(work):
    return [os.path.join(DEPLOY, 'podman.sh'), os.path.join(work, 'podman')]


def confined(profile=os.path.join(DEPLOY, 'seccomp.json')):
    """How the gateway is run: as deploy/compose.yaml says it. None: podman's own profile."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = min(files, 65536) if files != resource.RLIM_INFINITY else 65536
    return ['--network=host', '--read-only', '--read-only-tmpfs=false', '--cap-drop=all',
            '--security-opt=no-new-privileges',
            *([f'--security-opt=seccomp={profile}'] if profile else []),
            f'--ulimit=nofile={files}:{files}', '--ulimit=nproc=4096:4096']


def watch(pid, pid_file, remove):
    """In a process of its own: kills the container when the process `pid` is gone."""
    os.setsid()
    poll = select.poll()
    poll.register(os.pidfd_open(pid), select.POLLIN)
    poll.poll()
    with contextlib.suppress(OSError, ValueError):
        with open(pid_file, encoding='ascii') as file:
            os.kill(int(file.read()), signal.SIGKILL)
    subprocess.run(remove, capture_output=True, check=False)
    with contextlib.suppress(OSError):
        os.unlink(pid_file)


def main(work, words):
    folder = words[words.index('--dir') + 1]
    os.makedirs(folder, 0o700, exist_ok=True)
    for path, _, names in os.walk(folder):
        for name in ['.', *names]:
            os.chown(os.path.join(path, name), USER, USER, follow_symlinks=False)
    pid = os.getpid()
    name = f'e2e-{pid}'
    pid_file = os.path.join(work, f'{name}.pid')
    if os.fork() == 0:
        try:
            watch(pid, pid_file, [*engine(work), 'rm', '-f', '-i', '-t', '0', name])
        finally:
            os._exit(0)
    words = [*engine(work), 'run', '--rm', '--no-healthcheck', '--name', name, '--pidfile',
             pid_file, *confined(), '-v', f'{folder}:{folder}', 'localhost/ringpost', *words]
    os.execv(words[0], words)


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2:])
