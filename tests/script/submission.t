# Submission: nothing before AUTH (A01, S40), senders that are the user's, nobody relays (S27), the
# message completed, and there after a restart. What is no base64 harms nobody else (A02).
host gateway
a = submission
S: 220 *
C: EHLO client.example
S* 250-AUTH PLAIN LOGIN
S* 250 *
C: MAIL FROM:<anna@example.org>
S: 530 5.7.0 Authentication required
C: BDAT 6 LAST
raw "QUIT\r\n"
S: 530 5.7.0 Authentication required
C: AUTH PLAIN AGFubmEAc2VjcmV0==
S: 501 5.5.2 *
C: AUTH PLAIN
S: 334 *
C: *
S: 501 5.7.0 *
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: YW5uYQ==
S: 334 UGFzc3dvcmQ6
C: c2VjcmV0
S: 235 2.7.0 *
C: AUTH PLAIN AGFubmEAc2VjcmV0
S: 503 5.5.1 Already authenticated
C: MAIL FROM:<bert@example.org>
S: 550 5.7.1 *
C: MAIL FROM:<both@example.org>
S: 250 2.1.0 *
C: AUTH PLAIN AGFubmEAc2VjcmV0
S: 503 5.5.1 A transaction is under way
C: RCPT TO:<someone@elsewhere.example>
S: 550 5.7.1 Relaying is not available
C: RCPT TO:<bert@example.org>
S: 250 2.1.5 *
C: DATA
S: 354 *
raw "Subject: hello\r\nBcc: hidden@example.org\r\n\r\nbody\r\n.\r\n"
S: 250 2.0.0 *
acked SENT
C: RCPT TO:<bert@example.org>
S: 503 5.5.1 MAIL comes first
C: MAIL FROM:<anna@example.org>
S: 250 *
C: QUIT
S: 221 *
expect-close

verify SENT
p = pop3
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
C: RETR 1
S: +OK*
S* Received: from client.example *
S* Subject: hello
S: Date: *
S: Message-ID: <*@mx.example.org>
S: 
S: body
S: .
C: QUIT
S: +OK*
expect-close
