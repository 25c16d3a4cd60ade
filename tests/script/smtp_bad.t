# S20, S23, S24, S25, S26, S27, S39, S40: bad bytes, addresses, parameters and order; each has its one reply, the
# envelope is what MAIL and RCPT made of it, and the session goes on.
host gateway
a = smtp
S: 220 *
C: MAIL FROM:<>
S: 503 5.5.1 Say hello first
C: DATA
S: 503 5.5.1 Say hello first
C: EHLO \x1b[2J
S: 501 5.5.4 *
C: HELO client.example
S: 250 mx.example.org
raw "MAIL FROM:<a@b.example>\n"
S: 500 5.5.2 *
raw "MAIL FROM:<a\x00@b.example>\r\n"
S: 500 5.5.2 *
C: MAIL FROM:<;id>
S: 553 5.1.7 *
C: MAIL FROM:<> SIZE=99999999999999999999
S: 501 5.5.4 *
C: MAIL FROM:<> SIZE=2000001
S: 552 5.3.4 *
C: MAIL FROM:<> ENVID=a+0D+0Ab
S: 501 5.5.4 *
C: MAIL FROM:<> AUTH=x
S: 501 5.5.4 *
C: MAIL FROM:<> UNHEARD=x
S: 555 5.5.4 *
C: MAIL FROM:<sender@client.example>
S: 250 2.1.0 *
C: MAIL FROM:<other@client.example>
S: 503 5.5.1 *
C: RCPT TO:<a@elsewhere.example>
S: 550 5.7.1 *
C: RCPT TO:<@example.org:a@elsewhere.example>
S: 550 5.7.1 *
C: RCPT TO:<a%elsewhere.example@example.org>
S: 550 5.1.1 *
C: DATA
S: 503 5.5.1 No valid recipients
C: RCPT TO:<@elsewhere.example:anna@example.org>
S: 250 2.1.5 *
C: VRFY anna
S: 252 *
C: EXPN both
S: 502 *
C: DATA
S: 354 *
C: .
S: 250 *
acked EMPTY
C: QUIT
S: 221 *
expect-close

verify EMPTY
p = pop3
S: +OK*
C: USER anna@example.org
S: +OK*
C: PASS secret
S: +OK*
C: RETR 1
S: +OK*
S: Return-Path: <sender@client.example>
S* .
C: QUIT
S: +OK*
