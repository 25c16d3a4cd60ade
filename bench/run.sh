#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Measures Ringpost beside other mail servers, in one run: installs what it needs
# (deploy/deps.sh --peers), builds the release (build/lto), and writes a table and a page.
#
# usage: bench/run.sh [--quick] [--rows NAMES] [--sweeps NAMES] [--pairs N] [--out DIR]
#                     [--dir DIR] [--port-base P] [--build DIR] [--list]
#
#   --quick         everything once and small, in less than four minutes: does it work, not how fast
#   --rows NAMES    only these rows, with commas; * stands for anything: --rows 'smtp-*,login'
#   --sweeps NAMES  only these sweeps; with --rows or --sweeps the other kind is left out
#   --pairs N       how often each row is measured, Ringpost and its peers in turn (default 5)
#   --out DIR       for suite.json (docs/bench-json.md), page.html, table.md (default build/bench)
#   --dir DIR       where stores go, on the disk to judge (default: where temporary files go)
#   --port-base P   ports are P + up to 995, on 127.0.0.1 (default 23000)
#   --build DIR     the programs of this build; nothing is installed and nothing built
#   --list          the names of rows and sweeps
#
# As root all peers are measured (bench/peers/peer.py says why); else Ringpost, smtp-sink and the
# bare wolfSSL, and the table says what is missing. No service is installed, no user made, and all
# ends with this script, however it ends. Ctrl-C writes what there is until then, and that it is
# partial. Exit status: 0; 1 when a row or a point could not be measured; 130 after Ctrl-C.
#
# Figures of a busy machine are of no use, nor are rates where clients and servers share the CPUs:
# look at CPU an operation, at ratios and at their spread.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
prefix=${RINGPOST_PREFIX:-$HOME/.cache/ringpost/prefix}
build= out=

usage() { sed -n '/^# usage/,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
die() { printf 'bench: ERROR: %s\n' "$*" >&2; exit 2; }

build_release() {
    build=$here/build/lto
    "$here/deploy/deps.sh" --peers "$prefix" || die "deploy/deps.sh failed, see above"
    prefix=$(cd "$prefix" && pwd)
    if [ ! -f "$build/build.ninja" ]; then # as tests/run.sh makes it
        CC=gcc meson setup "$build" "$here" -Dwerror=true -Dbuildtype=debugoptimized \
            -Doptimization=2 -Db_lto=true -Dtests=disabled \
            -Dpkg_config_path="$prefix/lib/pkgconfig" >/dev/null || die "meson failed: $build"
    fi
    ninja -C "$build" --quiet || die "the build failed: ninja -C $build"
}

main() {
    local passed=()
    while [ $# -gt 0 ]; do
        case $1 in
        --build)
            [ $# -ge 2 ] || die "--build wants a folder"
            build=$2
            shift ;;
        --list) exec python3 "$here/bench/suite/suite.py" --build none --list ;;
        -h|--help) usage; exit 0 ;;
        --quick) passed+=("$1") ;;
        --out)
            [ $# -ge 2 ] || die "--out wants a folder"
            out=$2
            shift ;;
        --rows|--sweeps|--pairs|--dir|--port-base)
            [ $# -ge 2 ] || die "$1 wants a value; see bench/run.sh --help"
            passed+=("$1" "$2")
            shift ;;
        *) die "unknown option $1; see bench/run.sh --help" ;;
        esac
        shift
    done
    [ -n "$build" ] || build_release
    exec python3 "$here/bench/suite/suite.py" "${passed[@]}" --prefix "$prefix" --build "$build" \
        --out "${out:-$here/build/bench}"
}

main "$@"
