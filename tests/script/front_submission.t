# Submission passed through to a backend (rows X13 X14): before AUTH it is ours, behind it the
# backend's, what was sent ahead too; and a wrong password leaves nobody logged in.
host front
a = front_submission
S: 220 *
C: EHLO client.example
S* 250-AUTH PLAIN LOGIN
S* 250 *
C: MAIL FROM:<anna@example.org>
S: 530 5.7.0 Authentication required
C: AUTH PLAIN AGFubmEAd3Jvbmc=
S: 535 5.7.8 *
C: MAIL FROM:<anna@example.org>
S: 530 5.7.0 Authentication required
raw "AUTH PLAIN AGFubmEAc2VjcmV0\r\nMAIL FROM:<anna@example.org>\r\nRCPT TO:<bert@example.org>\r\n"
S: 235 2.7.0 *
S: 250 2.1.0 *
S: 250 2.1.5 *
C: AUTH PLAIN AGFubmEAc2VjcmV0
S: 503 5.5.1 *
C: DATA
S: 354 *
raw "Subject: passed on\r\n\r\n..body\r\n.\r\n"
S: 250 2.0.0 *
acked SENT
C: QUIT
S: 221 *
expect-close

verify SENT
b = pop3
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
C: RETR 1
S* Subject: passed on
S* ..body
S* .
C: QUIT
S: +OK*
