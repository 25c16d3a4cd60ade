# P08: one session a maildrop; new mail and the ids of the old across sessions.
host gateway
cores 2
a = lmtp
S: 220 *
C: LHLO client.example
S* 250 *
C: MAIL FROM:<>
S: 250 *
C: RCPT TO:<carl@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: one
C: 
C: .
S: 250 *
p = pop3
S: +OK*
C: USER carl
S: +OK*
C: PASS secret
S: +OK*
C: UIDL 1
S: +OK 1 ${first}
q = pop3
S: +OK*
C: USER carl
S: +OK*
C: PASS secret
S: -ERR [IN-USE] *
expect-close
a> C: MAIL FROM:<>
S: 250 *
C: RCPT TO:<carl@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: two
C: 
C: .
S: 250 *
p> C: STAT
S: +OK 1 *
C: RETR 2
S: -ERR No such message
C: QUIT
S: +OK*
expect-close
r = pop3
S: +OK*
C: USER carl
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 2 *
C: UIDL
S: +OK*
S: 1 ${first}
S: 2 ${second}
S: .
C: DELE 1
S: +OK*
C: QUIT
S: +OK*
expect-close
s = pop3
S: +OK*
C: USER carl
S: +OK*
C: PASS secret
S: +OK*
C: UIDL
S: +OK*
S: 1 ${second}
S: .
C: QUIT
S: +OK*
expect-close
