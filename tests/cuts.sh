#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The power-cut loop of the log at length: both cores, until a number of crashes is reached.
#
# usage: tests/cuts.sh [--crashes N] [--first SEED] [BUILD]
#
#   --crashes N    at least so many power cuts, kills and fail-stops (default 1000000)
#   --first SEED   where the seeds begin (default 1)
#   BUILD          the build folder (default build/gcc)
#
# Prints the totals over all processes, and every failure with its seed; exit status 1 if any.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
crashes=1000000 first=1 build=$here/build/gcc
crashes_per_seed=11 # about; a seed that brings more only makes the run longer

die() { printf 'cuts: ERROR: %s\n' "$*" >&2; exit 2; }
usage() { sed -n '/^# usage/,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

while [ $# -gt 0 ]; do
    case $1 in
    --crashes) [ $# -ge 2 ] || die "--crashes wants a number"
        crashes=$2
        shift ;;
    --first) [ $# -ge 2 ] || die "--first wants a seed"
        first=$2
        shift ;;
    -h|--help) usage; exit 0 ;;
    -*) die "unknown option $1; see tests/cuts.sh --help" ;;
    *) build=$1 ;;
    esac
    shift
done
program=$build/tests/sim/log_cuts
[ -x "$program" ] || die "no program $program; build it with: ninja -C $build tests/sim/log_cuts"

processes=$(nproc)
seeds=$(((crashes + crashes_per_seed * processes - 1) / (crashes_per_seed * processes)))
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT
children=()
for ((i = 0; i < processes; i++)); do
    from=$((first + i * seeds))
    "$program" --seeds "$from..$((from + seeds - 1))" >"$folder/$i" 2>&1 &
    children+=($!)
done
status=0
for child in "${children[@]}"; do
    wait "$child" || status=1
done
cat "$folder"/* | python3 -c '
import collections, re, sys
totals, order = collections.Counter(), []
for line in sys.stdin:
    if line.startswith("seed ") or not re.match(r"\d", line):
        print(line, end="")
        continue
    for number, name in re.findall(r"([\d.]+) ([a-z][a-z /-]*[a-z])", line):
        if name != "s" and name != "crashes/s" and name not in order:
            order.append(name)
        totals[name] += float(number)
    failures = re.search(r"failures: (\d+)", line)
    totals["failures"] += int(failures.group(1)) if failures else 0
for name in order:
    print("%12d %s" % (totals[name], name))
print("%12d failures" % totals["failures"])'
exit $status
