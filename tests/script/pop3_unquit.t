# P02: deletions are kept back till QUIT, however the session ends before it.
host gateway
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
acked KEPT
p = pop3
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
C: DELE 1
S: +OK*
close
pass 100ms
q = pop3
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
C: DELE 1
S: +OK*
reset
pass 100ms
r = pop3
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
C: DELE 1
S: +OK*
half-close
expect-close
s = pop3
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
C: DELE 1
S: +OK*
kill
t = pop3
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
C: DELE 1
S: +OK*
power-cut
u = pop3
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 1 *
C: DELE 1
S: +OK*
vanish

verify KEPT
p = pop3
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
C: TOP 1 1
S: +OK*
S* Subject: keep me
S: 
S: text
S: .
C: QUIT
S: +OK*
