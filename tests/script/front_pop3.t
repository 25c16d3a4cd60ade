# POP3 passed through to a backend (rows X13 X14).
host front
l = lmtp
S: 220 *
C: LHLO client.example
S* 250 *
C: MAIL FROM:<x@client.example>
S: 250 *
C: RCPT TO:<carl@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: one
C: 
C: ..body of one
C: .
S: 250 *
a = front_pop3
S: +OK*
C: USER carl
S: +OK*
C: PASS wrong
S: -ERR [AUTH] *
C: STAT
S: -ERR *
C: USER carl
S: +OK*
C: PASS secret
S: +OK Logged in
C: RETR 1
S* Subject: one
S: 
S: ..body of one
S: .
C: DELE 1
S: +OK*
C: QUIT
S: +OK*
expect-close
acked GONE
b = front_pop3
S: +OK*
raw "AUTH PLAIN AGNhcmwAc2VjcmV0\r\nSTAT\r\nQUIT\r\n"
S: +OK*
S: +OK 0 0
S: +OK*
expect-close

verify GONE
a = pop3
S: +OK*
C: USER carl
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 0 0
C: QUIT
S: +OK*
