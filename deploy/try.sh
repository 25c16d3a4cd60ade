#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# From a bare Debian 12 machine to a running gateway: installs what it needs (deploy/deps.sh),
# builds, starts `ringpost try` on loopback with demo users, sends a real message by SMTP, reads it
# back by IMAP and POP3, says how to connect, and keeps running until Ctrl-C.
#
# usage: deploy/try.sh [--once] [--dir DIR] [--port-base P] [--users N] [--build DIR]
#
#   --once         end after the check; exit status 0 if the message came back both ways
#   --dir DIR      where config, users and mail are kept (default build/try)
#   --port-base P  ports are P + the usual number (default 10000)
#   --users N      demo users u0 ... u<N-1> (default 100)
#   --build DIR    the build folder (default build/release)
#
# Works as root or with sudo; libraries go to RINGPOST_PREFIX (default ~/.cache/ringpost/prefix).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
prefix=${RINGPOST_PREFIX:-$HOME/.cache/ringpost/prefix}
once=no dir=$here/build/try base=10000 users=100 build=$here/build/release
gateway='' began=$SECONDS

say() { printf 'try: [%3d s] %s\n' $((SECONDS - began)) "$*"; }
die() { printf 'try: ERROR: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '/^# usage/,/^set /{/^set /!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

parse_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
        --once) once=yes; shift; continue ;;
        -h|--help) usage; exit 0 ;;
        --dir|--port-base|--users|--build) [ $# -ge 2 ] || die "$1 wants a value" ;;
        *) die "unknown option $1; see deploy/try.sh --help" ;;
        esac
        case $1 in
        --dir) dir=$2 ;;
        --port-base) base=$2 ;;
        --users) users=$2 ;;
        --build) build=$2 ;;
        esac
        shift 2
    done
    [[ $base =~ ^[0-9]+$ ]] || die "--port-base $base is no number"
}

# logged LOG COMMAND...: quietly; on failure shows the end of the log.
logged() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null && return 0
    tail -n 30 "$log" | sed 's/^/  | /' >&2
    die "failed: $1 $2 ...; the whole log: $log"
}

build_it() {
    local log
    mkdir -p "$build"
    log=$(cd "$build/.." && pwd)/try-build.log
    [ -f "$build/build.ninja" ] ||
        logged "$log" meson setup "$build" "$here" -Db_lto=true -Dtests=disabled \
            -Dpkg_config_path="$prefix/lib/pkgconfig"
    logged "$log" ninja -C "$build" src/main/ringpost
}

# Waits until the gateway greets, or has ended.
await_greeting() {
    local i greeting
    for ((i = 0; i < 200; i++)); do
        kill -0 "$gateway" 2>/dev/null ||
            { tail -n 20 "$dir/ringpost.log" >&2; die "the gateway ended; its log is above"; }
        if { exec 3<>"/dev/tcp/127.0.0.1/$((base + 25))"; } 2>/dev/null; then
            read -r -t 5 greeting <&3 || greeting=
            exec 3>&- 3<&-
            [[ $greeting != 220* ]] || return 0
        fi
        sleep 0.05
    done
    die "the gateway does not greet on port $((base + 25)); its log: $dir/ringpost.log"
}

# Sends one message and reads it back, by Python's own clients.
check_mail() {
    python3 - "$base" <<'PYTHON'
import imaplib, poplib, smtplib, sys, time, uuid
base = int(sys.argv[1])
name = uuid.uuid4().hex
message = (f'From: Try <try@example.test>\r\nTo: u0@example.test\r\nSubject: It works {name}\r\n'
           f'Message-ID: <{name}@example.test>\r\nMIME-Version: 1.0\r\n'
           'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
           'Grüße aus dem Log.\r\n.a line that begins with a dot\r\n').encode()
with smtplib.SMTP('127.0.0.1', base + 25, 'localhost', 20) as smtp:
    smtp.sendmail('try@example.test', ['u0@example.test'], message, ['BODY=8BITMIME'])
print('try:         sent by SMTP, acknowledged: it is on disk')

imap = imaplib.IMAP4('127.0.0.1', base + 143, 20)
imap.login('u0', 'pw')
imap.select('INBOX')
_, found = imap.search(None, 'HEADER', 'Message-ID', name)
number = found[0].split()[-1]
_, answer = imap.fetch(number, '(BODY.PEEK[])')
by_imap = answer[0][1]
imap.logout()
assert by_imap.endswith(message), 'IMAP gave other bytes than were sent'
print('try:         read back by IMAP: the same bytes')

pop3 = poplib.POP3('127.0.0.1', base + 110, 20)
pop3.user('u0@example.test')
pop3.pass_('pw')
by_pop3 = b''.join(line + b'\r\n' for line in pop3.retr(pop3.stat()[0])[1])
pop3.quit()
assert by_pop3.endswith(message), 'POP3 gave other bytes than were sent'
print('try:         read back by POP3: the same bytes')
PYTHON
}

how_to_connect() {
    local host=127.0.0.1 smtp=$((base + 25)) pop3=$((base + 110)) imap=$((base + 143))
    cat <<EOF

  The gateway runs on $host: SMTP $smtp, LMTP $((base + 24)), POP3 $pop3, IMAP $imap
  Users u0@example.test ... u$((users - 1))@example.test, log-in also by u0 ..., password pw

    curl smtp://$host:$smtp --mail-from me@example.org --mail-rcpt u1@example.test -T FILE
    curl imap://$host:$imap/INBOX -u u1:pw -X 'FETCH 1 BODY[]'
    curl pop3://$host:$pop3/1 -u u1:pw
    telnet $host $smtp
    curl http://$host:$((base + 80))/metrics

  Config: $dir/ringpost.conf   mail: $dir/store   log: $dir/ringpost.log
EOF
}

stop() {
    [ -n "$gateway" ] || return 0
    kill "$gateway" 2>/dev/null || true
    wait "$gateway" || true
    gateway=
}

main() {
    local status=0
    parse_arguments "$@"
    say "1/4 installing what is needed (deploy/deps.sh)"
    "$here/deploy/deps.sh" "$prefix" || die "deploy/deps.sh failed, see above"
    prefix=$(cd "$prefix" && pwd)
    say "2/4 building in $build"
    build_it
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    say "3/4 starting the gateway"
    trap stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    "$build/src/main/ringpost" try --dir "$dir" --port-base "$base" --users "$users" \
        >"$dir/ringpost.log" 2>&1 &
    gateway=$!
    await_greeting
    say "4/4 a message in and out"
    check_mail || die "the message did not come back; the log: $dir/ringpost.log"
    if [ $once = yes ]; then
        kill "$gateway"
        wait "$gateway" || status=$?
        gateway=
        [ $status = 0 ] || die "the gateway ended with status $status"
        say "all good"
        return
    fi
    how_to_connect
    say "running until Ctrl-C"
    wait "$gateway" || status=$?
    gateway=
    exit $status
}

main "$@"
