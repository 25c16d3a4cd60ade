#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes deploy/seccomp.json: the default seccomp profile of a container runtime, and io_uring.

usage: deploy/seccomp.py [PROFILE] >deploy/seccomp.json

Docker and Podman read the same format. PROFILE is by default Podman's, as the package
golang-github-containers-common installs it (/usr/share/containers/seccomp.json, Apache-2.0). To
renew it: run this where that package is newer. A host whose runtime has another default makes its
own file from that; Docker's is profiles/seccomp/default.json of its sources.
"""
import json
import sys

DEFAULT = '/usr/share/containers/seccomp.json'
CALLS = ['io_uring_setup', 'io_uring_enter', 'io_uring_register']


def load(path):
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def with_io_uring(profile):
    """Podman's refuses by name what it knows, and a refusal goes before a permission."""
    for rule in profile['syscalls']:
        rule['names'] = [name for name in rule['names'] if name not in CALLS]
    profile['syscalls'] = [rule for rule in profile['syscalls'] if rule['names']]
    profile['syscalls'].append({'names': CALLS, 'action': 'SCMP_ACT_ALLOW', 'args': [],
                                'comment': 'the rings of the gateway', 'includes': {},
                                'excludes': {}})
    return profile


def main(words):
    if words and words[0] in ('-h', '--help'):
        print(__doc__)
        return
    json.dump(with_io_uring(load(words[0] if words else DEFAULT)), sys.stdout, indent=1)
    print()


if __name__ == '__main__':
    main(sys.argv[1:])
