# A pipelined group (RFC 2920), parameters of DSN, SIZE and 8BITMIME, dots in front of lines (S11),
# one copy for a recipient who is named twice (S28), a sub-address, and bytes read back exactly.
host gateway
a = smtp
S: 220 mx.example.org ESMTP *
raw "EHLO client.example\r\nMAIL FROM:<sender@client.example> SIZE=60 BODY=8BITMIME RET=HDRS ENVID=a+2Bb\r\nRCPT TO:<anna@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;anna@example.org\r\nRCPT TO:<nobody@example.org>\r\nRCPT TO:<ANNA+tag@Example.ORG>\r\nDATA\r\n"
S: 250-mx.example.org
S: 250-PIPELINING
S: 250-SIZE *
S: 250-8BITMIME
S: 250-BINARYMIME
S: 250-CHUNKING
S: 250-ENHANCEDSTATUSCODES
S: 250-SMTPUTF8
S: 250-DSN
S: 250 LIMITS RCPTMAX=100
S: 250 2.1.0 *
S: 250 2.1.5 *
S: 550 5.1.1 *
S: 250 2.1.5 *
S: 354 *
raw "Subject: dots\r\n\r\n..\r\n...x\r\ny.\r\n.\r\nRSET\r\nNOOP\r\n"
S: 250 2.0.0 OK, queued as ????????????????
acked DOTS
S: 250 2.0.0 OK
S: 250 2.0.0 OK
C: RCPT TO:<anna@example.org>
S: 503 5.5.1 *
C: QUIT
S: 221 2.0.0 *
expect-close

verify DOTS
p = pop3
S: +OK*
C: USER anna@example.org
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 1 *
C: RETR 1
S: +OK*
S: Return-Path: <sender@client.example>
S: Received: from client.example (*)
S* Subject: dots
S: 
S: ..
S: ...x
S: y.
S: .
C: QUIT
S: +OK*
