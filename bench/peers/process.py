# SPDX-License-Identifier: GPL-2.0-or-later
"""A measured server as processes: started so that it cannot outlive its starter, and charged with
everything that runs in it.

`Space` is the way in: where we are root, a server gets name spaces of its own in which the
packages unpacked by deploy/deps.sh lie over /usr, with the users that they expect, without
/dev/log, and with process ids of its own: when the first process goes, or the script that started
it, the kernel ends all of them. Nothing of it is to be seen outside, and nothing stays.

`Meter` counts CPU to the microsecond by a control group (version 1 or 2); where none can be made,
by /proc in ticks of 10 ms a process, children that have ended included.
"""
import contextlib
import ctypes
import glob
import os
import resource
import shutil
import signal
import subprocess
import time

TICKS = os.sysconf('SC_CLK_TCK')
PR_SET_PDEATHSIG, FILES_MAX = 1, 150000
FIRST_ID = 64200 # of users that only a name space knows
USERS = ('postfix', 'postdrop', 'dovecot', 'dovenull', 'vmail', 'Debian-exim', 'opensmtpd',
         'opensmtpq', 'cyrus')
# Mounts are private; $1 is the scratch folder, $2 the packages' root; the rest is the command.
ENTER = r'''
set -e
scratch=$1 root=$2
shift 2
mount -t overlay -o "lowerdir=$root/usr:/usr" overlay /usr
mount --bind "$scratch/passwd" /etc/passwd
mount --bind "$scratch/group" /etc/group
[ ! -e /dev/log ] || mount --bind /dev/null /dev/log
for folder in spool lib run; do
    [ ! -d "$scratch/var/$folder" ] || mount --bind "$scratch/var/$folder" "/var/$folder"
done
exec "$@"
'''


def stat_fields(pid):
    """The fields of /proc/PID/stat from `state` on, or None when it is gone."""
    try:
        with open(f'/proc/{pid}/stat', encoding='latin-1') as file:
            return file.read().rsplit(')', 1)[1].split()
    except OSError:
        return None


def descendants(pid):
    """{pid: fields} of a process and all that descend from it."""
    every = {int(name): stat_fields(name) for name in os.listdir('/proc') if name.isdigit()}
    found, fresh = {}, {pid}
    while fresh:
        found.update((one, every[one]) for one in fresh if every.get(one))
        fresh = {one for one, fields in every.items()
                 if fields and int(fields[1]) in fresh and one not in found}
    return found


def pss_bytes(pids):
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f'/proc/{pid}/smaps_rollup',
                                                encoding='ascii') as file:
            total += next((int(line.split()[1]) * 1024 for line in file
                           if line.startswith('Pss:')), 0)
    return total


def die_with_parent():
    """For a child before exec: killed when its parent goes; it may have FILES_MAX descriptors if it
    asks for them (the soft limit stays, since some servers close all that it allows)."""
    with contextlib.suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, max(hard, FILES_MAX)))
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Meter:
    ROOTS = (('/sys/fs/cgroup/cpuacct', 'cpuacct.usage', lambda text: int(text) / 1e9),
             ('/sys/fs/cgroup', 'cpu.stat', lambda text: int(text.split()[1]) / 1e6))

    def __init__(self, name):
        """folder is the control group, or None."""
        self.folder = None
        for root, file, seconds in self.ROOTS:
            folder = f'{root}/ringpost-bench-{os.getpid()}-{name}'
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError:
                continue
            if os.path.exists(f'{folder}/{file}'):
                self.folder, self.file, self.seconds = folder, file, seconds
                return
            os.rmdir(folder)

    def enter(self):
        """Called in the child before exec."""
        if self.folder:
            with open(f'{self.folder}/cgroup.procs', 'w', encoding='ascii') as file:
                file.write(str(os.getpid()))

    def cpu(self, pid):
        """Seconds of user and system time so far."""
        if self.folder:
            with open(f'{self.folder}/{self.file}', encoding='ascii') as file:
                return self.seconds(file.read())
        return sum(sum(int(field) for field in fields[11:15])
                   for fields in descendants(pid).values()) / TICKS

    def pids(self, pid):
        if not self.folder:
            return list(descendants(pid))
        with open(f'{self.folder}/cgroup.procs', encoding='ascii') as file:
            return [int(line) for line in file if int(line) > 0]

    def close(self):
        until = time.monotonic() + 5
        while self.folder and time.monotonic() < until: # the last process may be going just now
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)
                self.folder = None
                return
            time.sleep(0.02)


def remove_stale(scratch):
    """What runs that were killed left: empty control groups, and scratch folders in `scratch`."""
    for root in (*(root for root, _, _ in Meter.ROOTS), scratch):
        for path in glob.glob(f'{root}/ringpost-bench-[0-9]*-*'):
            pid = os.path.basename(path).split('-')[2]
            if pid.isdigit() and not os.path.exists(f'/proc/{pid}'):
                if root == scratch:
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    with contextlib.suppress(OSError):
                        os.rmdir(path)


def space_problem(root):
    """Why a server of that unpacked root cannot run here, or None."""
    if not os.path.isdir(f'{root}/usr'):
        return f'{root} is not there: deploy/deps.sh --peers PREFIX unpacks it'
    if os.geteuid() != 0:
        return 'needs root: its processes change users, in name spaces of their own'
    if not shutil.which('unshare'):
        return 'needs unshare (package util-linux)'
    done = subprocess.run(['unshare', '--mount', '--pid', '--fork', '--mount-proc', 'mount', '-t',
                           'overlay', '-o', f'lowerdir={root}/usr:/usr', 'overlay', '/usr'],
                          capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        return f'no mounts are allowed here (a container without rights?): {done.stderr.strip()}'
    return None


def write_users(folder):
    """passwd and group with the users that servers expect, for a name space alone."""
    for name, line in (('passwd', '{name}:x:{id}:{id}::/nonexistent:/usr/sbin/nologin\n'),
                       ('group', '{name}:x:{id}:\n')):
        with open(f'/etc/{name}', encoding='utf-8') as file:
            text = file.read()
        known = {entry.split(':')[0] for entry in text.splitlines()}
        text = text.rstrip('\n') + '\n' + ''.join(
            line.format(name=user, id=FIRST_ID + index) for index, user in enumerate(USERS)
            if user not in known)
        with open(f'{folder}/{name}', 'w', encoding='utf-8') as file:
            file.write(text)


def user_id(folder, user):
    """Of a user as the name space knows him: (uid, gid)."""
    with open(f'{folder}/passwd', encoding='utf-8') as file:
        words = next(line.split(':') for line in file if line.startswith(f'{user}:'))
    return int(words[2]), int(words[3])


def group_id(folder, group):
    with open(f'{folder}/group', encoding='utf-8') as file:
        return int(next(line for line in file if line.startswith(f'{group}:')).split(':')[2])


def start(command, meter, log, space=None, environment=None):
    """The process; with space = (scratch folder, root) in name spaces of its own, where `command`
    is process 1."""
    if space is not None:
        command = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc',
                   '--propagation', 'private', 'sh', '-c', ENTER, 'sh', *space, *command]

    def before_exec():
        meter.enter()
        die_with_parent()
    with open(log, 'ab') as out:
        return subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                start_new_session=True, preexec_fn=before_exec,
                                env={**os.environ, **(environment or {})})


def first_child(pid, seconds=5):
    """The process that `unshare` started, or pid itself when there is none."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError), open(f'/proc/{pid}/task/{pid}/children',
                                                encoding='ascii') as file:
            children = file.read().split()
            if children:
                return int(children[0])
        time.sleep(0.005)
    return pid


def end(process, pid, how=signal.SIGTERM, seconds=20):
    """Politely, then not: pid is told, and process (its starter, or itself) waited for."""
    with contextlib.suppress(OSError):
        os.kill(pid, how)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
