# POP3 from end to end: two messages by LMTP; sizes, unique ids, exact dots, deletions.
host gateway
a = lmtp
S: 220 *
C: LHLO client.example
S* 250 *
C: MAIL FROM:<sender@client.example>
S: 250 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: first
C: 
C: ..
C: ...x
C: last
C: .
S: 250 *
C: MAIL FROM:<sender@client.example>
S: 250 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: second
C: 
C: one
C: two
C: .
S: 250 *
p = pop3
S: +OK Ringpost ready
C: CAPA
S: +OK*
S: USER
S: SASL PLAIN LOGIN
S: TOP
S: UIDL
S: RESP-CODES
S: AUTH-RESP-CODE
S: PIPELINING
S: EXPIRE NEVER
S: UTF8 USER
S: IMPLEMENTATION Ringpost
S: .
C: UTF8
S: +OK*
C: USER anna
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 2 ${total}
C: LIST
S: +OK*
S: 1 ${one}
S: 2 ${two}
S: .
C: LIST 2
S: +OK 2 ${two}
C: UIDL
S: +OK*
S: 1 ${id-one}
S: 2 ${id-two}
S: .
C: UIDL 2
S: +OK 2 ${id-two}
C: RETR 1
S: +OK ${one} octets
S: Return-Path: <sender@client.example>
S* Subject: first
S: 
S: ..
S: ...x
S: last
S: .
C: TOP 2 0
S: +OK*
S* Subject: second
S: 
S: .
C: TOP 2 1
S: +OK*
S* Subject: second
S: 
S: one
S: .
C: DELE 1
S: +OK*
C: RETR 1
S: -ERR No such message
C: STAT
S: +OK 1 ${two}
C: LIST
S: +OK*
S: 2 ${two}
S: .
C: RSET
S: +OK*
C: STAT
S: +OK 2 ${total}
C: NOOP
S: +OK*
C: DELE 1
S: +OK*
C: QUIT
S: +OK*
expect-close
acked GONE

verify GONE
p = pop3
S: +OK*
C: USER anna@example.org
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 1 *
C: UIDL
S: +OK*
S: 1 *
S: .
C: TOP 1 9
S: +OK*
S* Subject: second
S: 
S: one
S: two
S: .
C: QUIT
S: +OK*
