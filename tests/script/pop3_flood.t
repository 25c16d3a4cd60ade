# P09: thousands of commands and no reading: the server waits, others are served, and then all
# comes. P04: many deletions taken back.
host gateway
not fail
a = lmtp
S: 220 *
C: LHLO client.example
S* 250 *
C: MAIL FROM:<>
S: 250 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: big
C: 
send "0123456789012345678901234567890123456789012345678901234567890123456789\r\n" 500
C: .
S: 250 *
p = pop3
S: +OK*
C: USER anna
S: +OK*
C: PASS secret
S: +OK*
pause
send "RETR 1\r\n" 300
send "DELE 1\r\nRSET\r\n" 300
C: TOP 1 0
C: QUIT
pass 1s
q = pop3
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 0 0
C: QUIT
S: +OK*
expect-close
p> resume
S* +OK Top of message follows
S* .
S: +OK Goodbye
expect-close
r = pop3
S: +OK*
C: USER anna
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 1 *
C: QUIT
S: +OK*
expect-close
