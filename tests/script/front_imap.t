# IMAP passed through to a backend: the log-in is answered by us, all behind it by the backend, what
# was sent ahead too; mail comes while the client is in IDLE; both sides say goodbye (rows X13 X14).
host front
a = front_imap
S: \* OK [CAPABILITY IMAP4rev1 *] *
C: a LOGIN anna wrong
S: a NO [AUTHENTICATIONFAILED] *
C: a SELECT INBOX
S: a BAD Log in first
C: a LOGIN anna secret
S: a OK [CAPABILITY IMAP4rev1 *] Logged in
C: b SELECT INBOX
S* b OK *
C: c IDLE
S: + *
l = lmtp
S: 220 *
C: LHLO client.example
S* 250 *
C: MAIL FROM:<x@client.example>
S: 250 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: one
C: 
C: body of one
C: .
S: 250 *
acked ONE
a> S: \* 1 EXISTS
S: \* 1 RECENT
C: DONE
S: c OK *
C: d FETCH 1 BODY.PEEK[TEXT]
S: \* 1 FETCH (BODY[TEXT] {13}
S: body of one
S: )
S: d OK *
C: e LOGOUT
S: \* BYE *
S: e OK *
expect-close
b = front_imap
S: \* OK *
raw "y CAPABILITY\r\na LOGIN bert secret\r\nb STATUS INBOX (MESSAGES)\r\nc LOGOUT\r\n"
S: \* CAPABILITY IMAP4rev1 *
S: y OK *
S: \* CAPABILITY IMAP4rev1 *
S: a OK [CAPABILITY IMAP4rev1 *] Logged in
S: \* STATUS INBOX (MESSAGES 0)
S: b OK *
S: \* BYE *
S: c OK *
expect-close
c = front_imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
raw "b NOOP\r\n"
half-close
S: b OK *
expect-close

verify ONE
a = front_pop3
S: +OK*
C: USER anna
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 1 *
C: QUIT
S: +OK*
