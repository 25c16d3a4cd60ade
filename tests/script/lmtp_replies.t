# S37: LMTP (RFC 2033): no HELO, a reply for each recipient, in order; none for those refused.
host gateway
a = lmtp
S: 220 mx.example.org LMTP *
C: EHLO client.example
S: 500 5.5.2 *
C: MAIL FROM:<>
S: 503 5.5.1 *
C: LHLO client.example
S* 250 *
C: MAIL FROM:<sender@client.example>
S: 250 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: RCPT TO:<nobody@example.org>
S: 550 *
C: RCPT TO:<both@example.org>
S: 250 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: for each
C: 
C: .
S: 250 2.1.5 *
S: 250 2.1.5 *
S: 250 2.1.5 *
acked EACH
C: MAIL FROM:<sender@client.example>
S: 250 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: RCPT TO:<bert@example.org>
S: 250 *
C: DATA
S: 354 *
raw "bare\nlf\r\n.\r\n"
S: 550 5.5.2 *
S: 550 5.5.2 *
C: DATA
S: 503 5.5.1 *
C: QUIT
S: 221 *
expect-close

verify EACH
p = pop3
S: +OK*
C: USER anna@example.org
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 1 *
C: QUIT
S: +OK*
q = pop3
S: +OK*
C: USER bert@example.org
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 1 *
C: QUIT
S: +OK*
