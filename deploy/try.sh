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

# Sends messages and reads them back, in clear and under TLS, by Python's own clients.
check_mail() {
    python3 - "$base" "$dir/certificate.pem" <<'PYTHON'
import imaplib, poplib, smtplib, ssl, sys, uuid
base, host = int(sys.argv[1]), 'localhost'
context = ssl.create_default_context(cafile=sys.argv[2])

def message():
    name = uuid.uuid4().hex
    return name, (f'From: Try <u0@example.test>\r\nTo: u0@example.test\r\n'
                  f'Subject: It works {name}\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\n'
                  f'Message-ID: <{name}@example.test>\r\nMIME-Version: 1.0\r\n'
                  'Content-Type: text/plain; charset=utf-8\r\n'
                  'Content-Transfer-Encoding: 8bit\r\n\r\n'
                  'Grüße aus dem Log.\r\n.a line that begins with a dot\r\n').encode()

def read_back(imap, pop3, name, sent, how):
    imap.login('u0', 'pw')
    imap.select('INBOX')
    _, found = imap.search(None, 'HEADER', 'Message-ID', name)
    _, answer = imap.fetch(found[0].split()[-1], '(BODY.PEEK[])')
    imap.logout()
    assert answer[0][1].endswith(sent), 'IMAP gave other bytes than were sent'
    pop3.user('u0@example.test')
    pop3.pass_('pw')
    by_pop3 = b''.join(line + b'\r\n' for line in pop3.retr(pop3.stat()[0])[1])
    pop3.quit()
    assert by_pop3.endswith(sent), 'POP3 gave other bytes than were sent'
    print(f'try:         read back by IMAP and POP3 {how}: the same bytes')

name, sent = message()
with smtplib.SMTP(host, base + 25, 'localhost', 20) as smtp:
    smtp.sendmail('try@example.org', ['u0@example.test'], sent, ['BODY=8BITMIME'])
print('try:         sent by SMTP, acknowledged: it is on disk')
read_back(imaplib.IMAP4(host, base + 143, 20), poplib.POP3(host, base + 110, 20), name, sent,
          'in clear')

name, sent = message()
with smtplib.SMTP(host, base + 587, 'localhost', 20) as smtp:
    smtp.starttls(context=context)
    smtp.login('u0', 'pw')
    smtp.sendmail('u0@example.test', ['u0@example.test'], sent, ['BODY=8BITMIME'])
print('try:         submitted by u0 after STARTTLS, acknowledged')
imap = imaplib.IMAP4(host, base + 143, 20)
imap.starttls(context)
pop3 = poplib.POP3(host, base + 110, 20)
pop3.stls(context)
read_back(imap, pop3, name, sent, 'after STARTTLS and STLS')

name, sent = message()
with smtplib.SMTP_SSL(host, base + 465, 'localhost', context=context, timeout=20) as smtp:
    smtp.login('u0', 'pw')
    smtp.sendmail('u0@example.test', ['u0@example.test'], sent, ['BODY=8BITMIME'])
print('try:         submitted by u0 under TLS, acknowledged')
read_back(imaplib.IMAP4_SSL(host, base + 993, ssl_context=context, timeout=20),
          poplib.POP3_SSL(host, base + 995, context=context, timeout=20), name, sent, 'under TLS')
PYTHON
}

how_to_connect() {
    local host=127.0.0.1 smtp=$((base + 25)) pop3=$((base + 110)) imap=$((base + 143))
    local send=$((base + 587)) imaps=$((base + 993)) certificate=$dir/certificate.pem
    cat <<EOF

  The gateway runs on $host: SMTP $smtp, submission $send, LMTP $((base + 24)), POP3 $pop3,
  IMAP $imap; under TLS from the first byte: submission $((base + 465)), POP3 $((base + 995)),
  IMAP $imaps
  Users u0@example.test ... u$((users - 1))@example.test, log-in also by u0 ..., password pw

    curl smtp://$host:$smtp --mail-from me@example.org --mail-rcpt u1@example.test -T FILE
    curl imap://$host:$imap/INBOX -u u1:pw -X 'FETCH 1 BODY[]'
    curl pop3://$host:$pop3/1 -u u1:pw
    telnet $host $smtp
    curl http://$host:$((base + 80))/metrics

    curl --cacert $certificate imaps://localhost:$imaps/INBOX -u u1:pw
    openssl s_client -connect localhost:$imaps -CAfile $certificate -crlf -quiet
    openssl s_client -connect localhost:$send -starttls smtp -CAfile $certificate -crlf -quiet
    swaks --server localhost:$send --tls --auth PLAIN --auth-user u0 --auth-password pw \\
        --from u0@example.test --to u1@example.test

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
