#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# podman with images, containers and settings of its own in DIR, so that nothing else on the machine
# is seen or changed. For machines without an engine: deploy/image.sh and tests/e2e/container.py.
#
# usage: deploy/podman.sh DIR ARGUMENT...
#
# Needs root, and what `deploy/deps.sh --image` installs. Everything is gone with `rm -rf DIR`, once
# no container runs.
set -euo pipefail

die() { printf 'podman: ERROR: %s\n' "$*" >&2; exit 1; }

[ $# -ge 2 ] || { sed -n '/^# usage/,/^#$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
[ "$(id -u)" = 0 ] || die "needs root: images are made by chroot, mounts and owners of files"
command -v podman >/dev/null || die "there is no podman; deploy/deps.sh --image PREFIX installs it"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
if [ ! -f "$dir/containers.conf" ]; then
    # cgroupfs and file: there may be no systemd; host: no bridge has to be made
    cat >"$dir/containers.conf.new" <<END
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
netns = "host"
END
    mv "$dir/containers.conf.new" "$dir/containers.conf"
fi
export CONTAINERS_CONF=$dir/containers.conf
exec podman --root "$dir/store" --runroot "$dir/run" --tmpdir "$dir/tmp" --storage-driver vfs "$@"
