#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds the image of deploy/Dockerfile as an archive, on a machine without an engine and with
# no network but the distribution's packages: mmdebstrap makes the base of the build stage, podman
# runs the stages by chroot. The same source gives the same digest.
#
# usage: deploy/image.sh [--program PROGRAM] [--suite NAME] [--work DIR] [--docker] OUT
#
#   --program PROGRAM  only the last stage, with a program that this machine built and this
#                      machine's libraries: seconds instead of minutes
#   --suite NAME       the Debian release of the base (default trixie)
#   --work DIR         where the base and podman's files are kept (default: thrown away)
#   --docker           an archive for `docker load`, which keeps the HEALTHCHECK; OCI's format has
#                      no place for it (compose and Kubernetes say it themselves)
#
# OUT is an OCI archive that `podman load`, `skopeo copy oci-archive:OUT ...` and containerd take.
# Needs root (user namespaces alone are not enough: files of two owners are written) and what
# `deploy/deps.sh --image PREFIX` installs. Ends with size and digest.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
program='' suite=trixie work='' out='' format=oci-archive began=$SECONDS

say() { printf 'image: [%3d s] %s\n' $((SECONDS - began)) "$*"; }
die() { printf 'image: ERROR: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '/^# usage/,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

parse_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
        -h|--help) usage; exit 0 ;;
        --docker) format=docker-archive ;;
        --program|--suite|--work)
            [ $# -ge 2 ] || die "$1 wants a value"
            case $1 in
            --program) program=$2 ;;
            --suite) suite=$2 ;;
            --work) work=$2 ;;
            esac
            shift ;;
        -*) die "unknown option $1; see deploy/image.sh --help" ;;
        *) [ -z "$out" ] || die "two archives: $out and $1"; out=$1 ;;
        esac
        shift
    done
    [ -n "$out" ] || die "no OUT given; see deploy/image.sh --help"
    [ "$(id -u)" = 0 ] || die "needs root: mmdebstrap, chroot and files of two owners"
    command -v podman >/dev/null || die "run deploy/deps.sh --image PREFIX first"
}

engine() { "$here/deploy/podman.sh" "$work/podman" "$@"; }

# logged LOG COMMAND...: quietly; on failure shows the end of the log.
logged() {
    local log=$work/$1.log
    shift
    "$@" >"$log" 2>&1 </dev/null && return 0
    tail -n 30 "$log" | sed 's/^/  | /' >&2
    die "failed: $1 ...; the whole log: $log"
}

# The archives that this machine's apt uses, for another release of the same distribution.
archive() {
    local files
    files=$(ls /etc/apt/sources.list /etc/apt/sources.list.d/*.sources \
        /etc/apt/sources.list.d/*.list 2>/dev/null) || true
    [ -z "$files" ] || awk '/^URIs:/ || $1 == "deb" { for (i = 2; i <= NF; i++)
        if ($i ~ /:\/\/.*\/debian\/?$/) { print $i; exit } }' $files
}

# The base of the build stage, as the image that the Dockerfile's BASE names.
make_base() {
    local uri key=/usr/share/keyrings/debian-archive-keyring.gpg
    uri=$(archive)
    [ -n "$uri" ] || die "no Debian archive in this machine's apt sources"
    if [ ! -f "$work/base-$suite.tar" ]; then
        say "base: $suite by mmdebstrap"
        logged base mmdebstrap --mode=root --variant=apt --include=ca-certificates \
            --dpkgopt='path-exclude=/usr/share/man/*' "$suite" "$work/base-$suite.new.tar" \
            "deb [signed-by=$key] $uri $suite main" \
            "deb [signed-by=$key] ${uri%/}-security $suite-security main"
        mv "$work/base-$suite.new.tar" "$work/base-$suite.tar"
    fi
    logged import engine import "$work/base-$suite.tar" "localhost/debian:$suite-slim"
}

build() {
    local stamp
    stamp=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || echo 0)}
    # one layer: intermediate ones carry the time of day
    local -a how=(--format docker --layers=false --isolation=chroot --timestamp "$stamp")
    if [ -n "$program" ]; then
        say "the last stage, with $program"
        rm -rf "$work/image"
        "$here/deploy/image-root.sh" "$program" "$work/image"
        mkdir -p "$work/context"
        rm -rf "$work/context/image"
        mv "$work/image" "$work/context/image"
        sed -n '/^FROM scratch/,$p' "$here/deploy/Dockerfile" | sed 's/--from=build //' \
            >"$work/context/Dockerfile"
        logged build engine build "${how[@]}" \
            -t localhost/ringpost:latest "$work/context"
    else
        make_base
        say "all stages of deploy/Dockerfile (some minutes; $work/build.log)"
        logged build engine build "${how[@]}" \
            --build-arg "BASE=localhost/debian:$suite-slim" \
            --ignorefile "$here/deploy/Dockerfile.dockerignore" -f "$here/deploy/Dockerfile" \
            -t localhost/ringpost:latest "$here"
    fi
}

save() {
    local digest
    rm -f "$out"
    logged save engine save -q --format "$format" -o "$out" localhost/ringpost:latest
    say "$out: $(stat -c %s "$out") bytes packed," \
        "$(engine image inspect --format '{{.Size}}' localhost/ringpost:latest) unpacked"
    if [ "$format" = oci-archive ]; then
        digest=$(tar -xOf "$out" index.json | sed -n 's/.*"\(sha256:[0-9a-f]*\)".*/\1/p')
    else
        digest=$(engine image inspect --format '{{.Id}}' localhost/ringpost:latest)
    fi
    say "digest $digest"
}

parse_arguments "$@"
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
else
    mkdir -p "$work"
    work=$(cd "$work" && pwd)
fi
build
save
