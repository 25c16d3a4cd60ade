# APPEND (row I13): what is acknowledged is there after a crash, with its flags and date; what is refused or cut off
# leaves nothing.
host gateway
a = imap
S: \* OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN *] mx.example.org *
C: a LOGIN anna secret
S: a OK [CAPABILITY IMAP4rev1 *] Logged in
C: b APPEND INBOX (\Seen $Work) "24-Nov-2026 19:00:00 +0100" {18}
S: + OK
raw "Subject: one\r\n\r\n1\n"
C: 
S: b OK [APPENDUID ${validity} 1] Done
acked ONE
C: c APPEND {5+}
raw "INBOX {22+}\r\n"
raw "Subject: two\r\n\r\ntwo\r\n\n"
C: 
S: c OK [APPENDUID ${validity} 2] Done
acked TWO
C: d APPEND Nowhere {7+}
raw "e NOOP\r"
C: 
S: d NO [TRYCREATE] *
C: e APPEND INBOX {0}
S: e NO *
C: f APPEND INBOX {2000001}
S: f NO [TOOBIG] *
C: g APPEND INBOX {2000001+}
send "x" 2000001
C: 
S: g NO [TOOBIG] *
C: h APPEND INBOX (\Foo) {3+}
raw "abc\r\n"
S: h BAD *
C: i APPEND INBOX "32-Jan-2026 00:00:00 +0000" {3}
S: i BAD *
C: j APPEND INBOX {3+}
raw "a\x00b\r\n"
S: j NO *
C: k APPEND INBOX {3+}
raw "abc {3+}\r\ndef\r\n"
S: k BAD *
C: l APPEND INBOX {300000+}
send "y" 300000
C: 
S: l OK [APPENDUID ${validity} 3] Done
acked BIG
b = imap
S: \* OK *
C: a LOGIN bert secret
S: a OK *
C: b APPEND INBOX {10}
S: + OK
raw "half"
reset
a> C: m NOOP
S: m OK *
C: n LOGOUT
S: \* BYE *
S: n OK *
expect-close

verify ONE
a = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b UID FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])
S: b BAD *
C: c EXAMINE INBOX
S* c OK [READ-ONLY] *
C: d UID FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])
S: \* 1 FETCH (UID 1 FLAGS (\\Seen *$Work) INTERNALDATE "24-Nov-2026 19:00:00 +0100" RFC822.SIZE 18 BODY[] {18}
S= "Subject: one\r\n\r\n1\n)\r\n"
S: d OK *
C: e STATUS INBOX (UIDVALIDITY)
S: \* STATUS INBOX (UIDVALIDITY ${validity})
S: e OK *

verify TWO
b = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b SELECT INBOX
S* b OK [READ-WRITE] *
C: c UID FETCH 2 (RFC822.SIZE BODY.PEEK[TEXT])
S: \* 2 FETCH (UID 2 RFC822.SIZE 22 BODY[TEXT] {6}
S= "two\r\n\n)\r\n"
S: c OK *

verify BIG
c = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b SELECT INBOX
S* b OK [READ-WRITE] *
C: c UID FETCH 3 (RFC822.SIZE BODY.PEEK[]<299990.100>)
S: \* 3 FETCH (UID 3 RFC822.SIZE 300000 BODY[]<299990> {10}
S= "yyyyyyyyyy)\r\n"
S: c OK *
C: d FETCH 1:* UID
S: \* 1 FETCH (UID 1)
S: \* 2 FETCH (UID 2)
S: \* 3 FETCH (UID 3)
S: d OK *
b = imap
S: \* OK *
C: a LOGIN bert secret
S: a OK *
C: b STATUS INBOX (MESSAGES)
S: \* STATUS INBOX (MESSAGES 0)
S: b OK *
