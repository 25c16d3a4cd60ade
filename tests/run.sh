#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs every test of Ringpost, from a bare machine: installs what it needs (deploy/deps.sh), builds
# under build/, runs the suites below one after another, and ends with the line
# `N passed, N failed`; exit status 1 if any failed.
#
# usage: tests/run.sh [--quick] [--suite NAME]... [--list]
#
#   --quick        only tidy and gcc: the loop while writing code
#   --suite NAME   only this suite; may be given more than once
#   --list         the names of the suites
#
# Suites:
#   tidy   the rules of the house (tests/tidy.py), the test of that test, and docs/bad-input.md
#          against the tests that it names (tests/rows.py)
#   gcc    build by gcc (-O2) and all meson tests, those that mostly  build/gcc
#          wait beside those that work
#   asan   clang with AddressSanitizer and UBSan, all meson tests     build/asan
#   tsan   clang with ThreadSanitizer, meson tests of suite threads   build/tsan
#          and the whole program under load (tests/e2e/load.py)
#   fuzz   libFuzzer targets by clang, a million inputs or 10 s each  build/fuzz
#   cuts   a million simulated power cuts and kills on both cores (tests/cuts.sh), and the mutants
#          of the log and the store that must be caught, for six minutes (tests/sim/mutants.py)
#   micro  instructions per message, command and byte, counted by callgrind, against the record
#          (bench/micro/run.py); more than 5 % above it fails
#   e2e    each executable tests/e2e/*.sh and *.py against the release build (-O2, LTO; build/lto),
#          one more at a time than there are processors, those with a line `# long` first, those
#          with a line `# alone: why` by themselves behind them
#          RINGPOST         the binary                  RINGPOST_BUILD   build/gcc
#          RINGPOST_PREFIX  where deps.sh installed     RINGPOST_SAMPLES messages to try
#          and smtp-source, smtp-sink in PATH; exit status 0 passes, 77 skips, others fail
#
# Libraries go to RINGPOST_PREFIX (default ~/.cache/ringpost/prefix), logs to build/log. A build
# that fails counts as one failed test of its suite.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
prefix=${RINGPOST_PREFIX:-$HOME/.cache/ringpost/prefix}
build=$here/build
log=$build/log
results=$log/results
suites='tidy gcc asan tsan fuzz cuts micro e2e'
e2e_seconds_max=600
began=$SECONDS child=

usage() { sed -n '/^# usage/,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
die() { printf 'tests: ERROR: %s\n' "$*" >&2; exit 2; }
heading() { printf '\n== %s (%d s so far)\n' "$*" $((SECONDS - began)); }
indent() { cut -c1-300 | sed 's/^/    | /'; }
indent_tail() { tail -n "$1" "$2" | indent; }

# record RESULT SUITE NAME SECONDS: RESULT is PASS, FAIL or SKIP.
record() {
    printf '%s\t%s\t%s\t%s\n' "$@" >>"$results"
}

# report RESULT SUITE NAME SECONDS [LOG]: records, and shows the line and the log of a failure.
report() {
    record "${@:1:4}"
    printf '%s  %-5s %-45s %6s s\n' "$1" "$2" "$3" "$4"
    [ "$1" != FAIL ] || [ -z "${5:-}" ] || [ ! -e "$5" ] || indent_tail 40 "$5"
}

# timed SUITE NAME COMMAND...: one test that is one command.
timed() {
    local suite=$1 name=$2 start=$SECONDS file
    shift 2
    file=$log/$suite-${name//[^a-zA-Z0-9.]/-}.log
    if "$@" >"$file" 2>&1 </dev/null; then
        report PASS "$suite" "$name" $((SECONDS - start))
    else
        report FAIL "$suite" "$name" $((SECONDS - start)) "$file"
        return 1
    fi
}

# --- builds ---------------------------------------------------------------------------------------

# configure NAME COMPILER OPTION...: sets up build/NAME afresh when anything it depends on changed.
configure() {
    local name=$1 compiler=$2 key
    shift 2
    key="$compiler $("$compiler" --version | head -n 1) $* $(cat "$prefix"/share/ringpost/*.stamp)"
    if [ -f "$build/$name/build.ninja" ] &&
        [ "$(cat "$build/$name.key" 2>/dev/null)" = "$key" ]; then
        ninja -C "$build/$name" build.ninja # follows changes of meson.build
        return
    fi
    rm -rf "${build:?}/$name" "$build/$name.key"
    CC=$compiler meson setup "$build/$name" "$here" -Dwerror=true \
        -Dpkg_config_path="$prefix/lib/pkgconfig" "$@" || return 1
    printf '%s\n' "$key" >"$build/$name.key"
}

# What `ninja` is to build of it: nothing named is all.
targets() {
    case $1 in
    tsan) targets_of_tests tsan threads && echo src/main/ringpost ;;
    fuzz) targets_of_tests fuzz fuzz ;;
    esac
}

# targets_of_tests BUILD MESON_SUITE
targets_of_tests() {
    python3 - "$build/$1" "$2" <<'PYTHON'
import json, os, subprocess, sys
folder, suite = sys.argv[1:]
ask = lambda what: json.loads(subprocess.check_output(['meson', 'introspect', what, folder]))
needed = {target for test in ask('--tests') for name in test['suite']
          if name.split(':')[-1] == suite for target in test['depends']}
for target in ask('--targets'):
    if target['id'] in needed:
        print(os.path.relpath(target['filename'][0], os.path.realpath(folder)))
PYTHON
}

# build_one SUITE COMPILER OPTION...: no line when it works, a failed test when it does not.
build_one() {
    local suite=$1 start=$SECONDS file=$log/$1-build.log errors wanted
    if configure "$@" >"$file" 2>&1 </dev/null && wanted=$(targets "$suite" 2>>"$file") &&
        ninja -C "$build/$suite" $wanted >>"$file" 2>&1 </dev/null; then
        printf 'built %s in %d s\n' "build/$suite" $((SECONDS - start))
    else
        # the errors stand in the middle of what went on beside them
        errors=$log/$suite-errors.log
        grep -nE 'error:|FAILED:|ERROR|undefined reference' "$file" >"$errors" ||
            cp "$file" "$errors"
        report FAIL "$suite" build $((SECONDS - start)) "$errors"
        printf '    whole log: %s\n' "$file"
        return 1
    fi
}

# --- meson tests ----------------------------------------------------------------------------------

# Counts from meson's own log: one JSON object a line. Prints what the failed ones said.
collect_meson() {
    python3 - "$1" "$2" "$results" <<'PYTHON'
import json, sys
suite, path, results = sys.argv[1:]
with open(path, encoding='utf-8') as file, open(results, 'a', encoding='utf-8') as out:
    for line in file:
        test = json.loads(line)
        result = {'OK': 'PASS', 'EXPECTEDFAIL': 'PASS', 'SKIP': 'SKIP'}.get(test['result'], 'FAIL')
        out.write('%s\t%s\t%s\t%.2f\n' % (result, suite, test['name'], test.get('duration') or 0))
        if result == 'FAIL':
            print('FAIL  %s: %s: %s' % (suite, test['name'], test['result']))
            said = (test.get('stdout') or '') + (test.get('stderr') or '')
            for said_line in said.splitlines()[-40:]:
                print('    | ' + said_line[:300])
PYTHON
}

# Sanitizers map fixed addresses; kernels that spread the memory layout widely get in their way.
without_randomisation() {
    if setarch -R true 2>/dev/null; then setarch -R "$@"; else "$@"; fi
}

# meson_lane SUITE LANE OPTION...: runs tests of build/SUITE; the lines of progress are meson's.
meson_lane() {
    local suite=$1 lane=$2
    shift 2
    without_randomisation nice -n "${niceness:-0}" meson test -C "$build/$suite" --no-rebuild \
        --logbase "$lane" "$@" 2>&1 </dev/null |
        tee "$log/$suite-$lane.log" | sed -un "s/^ *\([0-9]*\/[0-9]* .*\)/$suite  \1/p"
}

# meson_results SUITE LANE: what a lane has left counts.
meson_results() {
    local file=$log/$1-$2.log json=$build/$1/meson-logs/$2.json
    if [ -f "$json" ]; then
        collect_meson "$1" "$json"
    else
        report FAIL "$1" "meson test, $2" 0 "$file"
    fi
}

# meson_tests SUITE OPTION...: those of its tests that OPTION names.
meson_tests() {
    rm -f "$build/$1"/meson-logs/tests.json
    meson_lane "$1" tests "${@:2}" || true
    meson_results "$1" tests
}

# all_meson_tests SUITE OPTION...: two lanes. Most tests work, one on each processor; those that
# mostly wait (for the real clock) go on beside them, and come first when their time has come.
all_meson_tests() {
    local waiting=(threads beside waiting)
    rm -f "$build/$1"/meson-logs/{working,waiting}.json
    niceness=10 meson_lane "$1" working "${waiting[@]/#/--no-suite=}" \
        --num-processes "$(nproc)" "${@:2}" &
    child=$!
    meson_lane "$1" waiting "${waiting[@]/#/--suite=}" --num-processes $(($(nproc) + 1)) "${@:2}" &
    child="$child $!"
    wait $child || true # what failed is in their logs
    child=
    meson_results "$1" working
    meson_results "$1" waiting
}

# --- suites ---------------------------------------------------------------------------------------

suite_tidy() {
    timed tidy 'tidy self-test' python3 "$here/tests/tidy.py" --self-test || true
    timed tidy 'tidy' python3 "$here/tests/tidy.py" || true
    timed tidy 'rows of bad input' python3 "$here/tests/rows.py" || true
}

# Without LTO: linking each of the tests with it takes three minutes.
build_gcc() { build_one gcc gcc -Dbuildtype=debugoptimized -Doptimization=2; }

suite_gcc() {
    build_gcc || return 0
    all_meson_tests gcc
}

suite_asan() {
    export ASAN_OPTIONS=halt_on_error=1:detect_stack_use_after_return=0:strict_string_checks=1
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    build_one asan clang -Db_sanitize=address,undefined -Db_lundef=false || return 0
    all_meson_tests asan --timeout-multiplier 3
}

# e2e_one SUITE SCRIPT BINARY: runs a script of tests/e2e against that program.
e2e_one() {
    local suite=$1 script=$2 binary=$3 name start=$SECONDS status=0 file
    name=$(basename "$script")
    file=$log/$suite-$name.log
    # in the background, so that an interrupt reaches it: timeout passes it to the whole group
    PATH=$prefix/tests/bin:$PATH RINGPOST=$binary RINGPOST_BUILD=$build/gcc \
        RINGPOST_PREFIX=$prefix RINGPOST_SAMPLES=$prefix/tests/root \
        timeout -k 10 "$e2e_seconds_max" "$script" >"$file" 2>&1 </dev/null &
    child=$!
    wait $child || status=$?
    kill -KILL -- "-$child" 2>/dev/null || true # what the script left running
    child=
    case $status in
    0) report PASS $suite "$name" $((SECONDS - start)) ;;
    77) report SKIP $suite "$name: $(tail -n 1 "$file" | cut -c1-60)" $((SECONDS - start)) ;;
    124) echo "stopped after $e2e_seconds_max s" >>"$file"
        report FAIL $suite "$name" $((SECONDS - start)) "$file" ;;
    *) echo "exit status $status" >>"$file"
        report FAIL $suite "$name" $((SECONDS - start)) "$file" ;;
    esac
}

# e2e_lane BINARY SCRIPT...: runs those of the scripts that no other lane has begun.
e2e_lane() {
    local binary=$1 script
    shift
    trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 1' INT TERM
    for script in "$@"; do
        ! mkdir "$log/e2e-begun/$(basename "$script")" 2>/dev/null ||
            e2e_one e2e "$script" "$binary"
    done
}

suite_tsan() {
    export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
    build_one tsan clang -Db_sanitize=thread -Db_lundef=false || return 0
    meson_tests tsan --suite threads --timeout-multiplier 5 --num-processes $((2 * $(nproc)))
    e2e_one tsan "$here/tests/e2e/load.py" "$build/tsan/src/main/ringpost"
}

suite_fuzz() {
    build_one fuzz clang -Dfuzz=enabled -Db_sanitize=address,undefined -Db_lundef=false || return 0
    meson_tests fuzz --suite fuzz
}

suite_cuts() {
    build_gcc || return 0
    timed cuts 'power cuts and kills' "$here/tests/cuts.sh" "$build/gcc" || return 0
    tail -n 12 "$log/cuts-power-cuts-and-kills.log" | indent
    timed cuts 'mutants' env RINGPOST_PREFIX="$prefix" \
        python3 "$here/tests/sim/mutants.py" --quick || return 0
    tail -n 1 "$log/cuts-mutants.log" | indent
}

suite_micro() {
    build_gcc || return 0
    timed micro 'instructions' python3 "$here/bench/micro/run.py" --build "$build/gcc" || return 0
    tail -n 1 "$log/micro-instructions.log" | indent
}

suite_e2e() {
    local script long=() scripts=() alone=() binary lanes='' lane
    for script in "$here"/tests/e2e/*.sh "$here"/tests/e2e/*.py; do
        [ -f "$script" ] && [ -x "$script" ] || continue
        if grep -q '^# alone: ' "$script"; then
            alone+=("$script")
        elif grep -q '^# long' "$script"; then
            long+=("$script")
        else
            scripts+=("$script")
        fi
    done
    build_gcc || return 0
    build_one lto gcc -Dbuildtype=debugoptimized -Doptimization=2 -Db_lto=true -Dtests=disabled ||
        return 0
    binary=$(find "$build/lto/src" -type f -name ringpost -perm -u+x | head -n 1)
    if [ -z "$binary" ]; then
        echo "build/lto holds no program named ringpost" >"$log/e2e.log"
        report FAIL e2e 'find the program' 0 "$log/e2e.log"
        return 0
    fi
    rm -rf "$log/e2e-begun"
    mkdir "$log/e2e-begun"
    for ((lane = 0; lane <= $(nproc); lane++)); do
        e2e_lane "$binary" "${long[@]}" "${scripts[@]}" &
        lanes="$lanes $!"
    done
    child=$lanes
    wait $lanes || true # what failed is on record
    child=
    for script in "${alone[@]}"; do e2e_one e2e "$script" "$binary"; done
}

# --- all together ---------------------------------------------------------------------------------

count() { grep -c "^$1" "$results" || true; }

finish() {
    local failed skipped
    failed=$(count FAIL) skipped=$(count SKIP)
    heading "done; logs in build/log"
    if [ "$skipped" -gt 0 ]; then
        echo "skipped $skipped:"
        awk -F'\t' '$1 == "SKIP" {print "  " $2 ": " $3}' "$results"
    fi
    if [ "$failed" -gt 0 ]; then
        echo "failed $failed:"
        awk -F'\t' '$1 == "FAIL" {print "  " $2 ": " $3}' "$results"
    fi
    printf '%d passed, %d failed\n' "$(count PASS)" "$failed"
    [ "$failed" -eq 0 ]
}

interrupted() {
    trap '' INT TERM
    [ -z "$child" ] || { kill $child 2>/dev/null; wait $child || true; }
    record FAIL run "stopped by a signal after $((SECONDS - began)) s" 0
    finish || true
    exit 1
}

# Sets wanted (suites) and deps (options of deps.sh).
parse_arguments() {
    wanted='' deps=--tests
    while [ $# -gt 0 ]; do
        case $1 in
        --quick) wanted="$wanted tidy gcc" deps='' ;;
        --suite) [ $# -ge 2 ] || die "--suite wants a name: $suites"
            [[ " $suites " == *" $2 "* ]] || die "no suite $2; there are: $suites"
            wanted="$wanted $2"
            shift ;;
        --list) printf '%s\n' $suites; exit 0 ;;
        -h|--help) usage; exit 0 ;;
        *) die "unknown option $1; see tests/run.sh --help" ;;
        esac
        shift
    done
    [ -n "$wanted" ] || wanted=$suites
}

main() {
    local suite wanted deps
    parse_arguments "$@"
    mkdir -p "$log"
    : >"$results"
    trap interrupted INT TERM
    if [ "$wanted" != ' tidy' ]; then
        heading "what the tests need"
        "$here/deploy/deps.sh" $deps "$prefix" || die "deploy/deps.sh failed, see above"
        prefix=$(cd "$prefix" && pwd)
    fi
    for suite in $wanted; do
        heading "$suite"
        "suite_$suite"
    done
    finish
}

main "$@"
