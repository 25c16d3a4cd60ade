#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# deploy/try.sh as a newcomer runs it, on the build that is tested: installs, builds (both are
# done), starts, sends, reads back, stops. A second run on the same directory finds the first one's
# mail; one on taken ports says so.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$(mktemp -d)
base=$(cd "$here/tests/e2e" && python3 -c 'import harness; print(harness.free_base())')
trap 'rm -rf "$dir"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }

try() {
    "$here/deploy/try.sh" --once --build "$RINGPOST_BUILD" --dir "$dir/try" --port-base $base \
        --users 3
}

out=$(try)
echo "$out"
for said in 'acknowledged: it is on disk' 'by IMAP and POP3 in clear: the same bytes' \
    'after STARTTLS and STLS: the same bytes' 'under TLS: the same bytes' 'all good'; do
    grep -q "$said" <<<"$out" || fail "it did not say: $said"
done
try >/dev/null || fail 'a second run on the same directory'
count=$("$RINGPOST" store stat --dir "$dir/try/store" | awk '$1 == "messages" {print $2}')
[ "$count" = 6 ] || fail "the store holds $count messages, not the 6 of the two runs"
[ "$(stat -c %a "$dir/try/key.pem")" = 600 ] || fail 'the key can be read by others'
openssl x509 -in "$dir/try/certificate.pem" -noout -checkhost example.test |
    grep -q 'does match' || fail 'the certificate is not for example.test'
openssl verify -CAfile "$dir/try/certificate.pem" "$dir/try/certificate.pem" ||
    fail 'the certificate does not verify'

# the admin port is taken: it says which and ends
python3 -c '
import socket, sys, time
s = socket.socket()
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
time.sleep(60)' $((base + 80)) &
holder=$!
sleep 0.5
if out=$(try 2>&1); then
    kill $holder
    fail 'it started on a taken port'
fi
kill $holder
grep -q "admin: cannot listen on 127.0.0.1 port $((base + 80))" <<<"$out" ||
    fail "it did not name the port: $out"
echo ok
