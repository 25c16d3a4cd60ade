# One message by SMTP: read by POP3 and IMAP, and still there after crashes.
host gateway
a = smtp
S: 220 mx.example.org *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<sender@client.example>
S: 250 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: RCPT TO:<nobody@example.org>
S: 550 *
C: DATA
S: 354 *
C: Subject: ring the post
C: 
C: a first line
C: ..dot
C: .
S: 250 *
acked FIRST
C: MAIL FROM:<>
S: 250 *
C: RCPT TO:<both@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: for both
C: 
C: hello
C: .
S: 250 *
acked BOTH
C: QUIT
S: 221 *
expect-close

verify FIRST
p = pop3
S: +OK*
C: USER anna@example.org
S: +OK*
C: PASS secret
S: +OK*
C: RETR 1
S: +OK*
S* Subject: ring the post
S: 
S: a first line
S: ..dot
S: .
C: QUIT
S: +OK*

verify BOTH
p = pop3
S: +OK*
C: USER bert@example.org
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 1 *
C: TOP 1 0
S: +OK*
S* Subject: for both
S* .
C: QUIT
S: +OK*
i = imap
S: \* OK *
C: a LOGIN anna secret
S* a OK *
C: b SELECT INBOX
S* \* 2 EXISTS
S* b OK *
C: c LOGOUT
S: \* BYE *
S: c OK *
