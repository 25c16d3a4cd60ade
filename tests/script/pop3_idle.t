# P02: an idle session ends without a word and without deleting (RFC 1939, 3). Needs virtual time.
host gateway
not linux fail
honest off
a = lmtp
S: 220 *
C: LHLO client.example
S* 250 *
C: MAIL FROM:<>
S: 250 *
C: RCPT TO:<bert@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: keep me
C: 
C: text
C: .
S: 250 *
p = pop3
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
C: DELE 1
S: +OK*
pass 299s
C: NOOP
S: +OK*
pass 301s
expect-close
# no log-in in time, however busy
q = pop3
S: +OK*
C: USER bert
S: +OK*
pass 30s
C: USER bert
S: +OK*
pass 31s
expect-close
# a command that is never finished
r = pop3
S: +OK*
raw "US"
pass 40s
raw "ER bert"
pass 30s
expect-close
s = pop3
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 1 *
C: QUIT
S: +OK*
expect-close
