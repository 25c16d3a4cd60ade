# FETCH: sections, partials, sets (rows I06, I07, I20); \Seen is durable before it is told.
host gateway
a = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b APPEND INBOX {353+}
raw "From: Anna <anna@example.org>\r\nSubject: first \"{5}\"\r\nDate: Tue, 3 Mar 2020 23:30:00 -0500\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntwo * BYE\r\n--x\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<b>sch=F6n</b>\r\n--x--\r\n\r\n"
S: b OK *
C: b APPEND INBOX {56+}
raw "From: bert@example.org\r\nSubject: second\r\n\r\nplain words\r\n\r\n"
S: b OK *
C: c SELECT INBOX
S* c OK *
C: d FETCH 1 (FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (subject)])
S: \* 1 FETCH (FLAGS (\\Recent) RFC822.SIZE 353 BODY[HEADER.FIELDS (subject)] {24}
S= "Subject: first \"{5}\"\r\n\r\n)\r\n"
S: d OK *
C: d FETCH 1 (ENVELOPE)
S: \* 1 FETCH (ENVELOPE ("Tue, 3 Mar 2020 23:30:00 -0500" "first \\"{5}\\"" (("Anna" NIL "anna" "example.org")) *))
S: d OK *
C: d FETCH 1 (BODY.PEEK[1] BODY.PEEK[2.TEXT] BODY.PEEK[2.HEADER] BODY.PEEK[3.MIME]<8.4> BODY.PEEK[4])
S: \* 1 FETCH (BODY[1] {3}
S= "one BODY[2.TEXT] {9}\r\ntwo * BYE BODY[2.HEADER] {18}\r\nSubject: inner\r\n\r\n BODY[3.MIME]<8> {4}\r\nType BODY[4] NIL)\r\n"
S: d OK *
C: d FETCH 1 BODYSTRUCTURE
S: \* 1 FETCH (BODYSTRUCTURE (("text" "plain" *)("message" "rfc822" *)("text" "html" *) "mixed" ("boundary" "x") NIL NIL NIL))
S: d OK *
C: e FETCH 4294967295:2 UID
S: \* 2 FETCH (UID 2)
S: e OK *
C: e UID FETCH 1:4294967295 UID
S: \* 1 FETCH (UID 1)
S: \* 2 FETCH (UID 2)
S: e OK *
C: e UID FETCH 77 BODY[]
S: e OK *
C: f FETCH 3 UID
S: f BAD *
C: f FETCH 0 UID
S: f BAD *
C: f FETCH 4294967296 UID
S: f BAD *
C: f FETCH 1 BODY[0]
S: f BAD *
C: f FETCH 1 BODY[4294967296]
S: f BAD *
C: f FETCH 1 BODY[]<0.0>
S: f BAD *
C: f FETCH 1 BODY[]<4294967295.4294967295>
S: \* 1 FETCH (BODY[]<4294967295> {0}
S= ")\r\n"
S: \* 1 FETCH (UID 1 FLAGS (\\Seen *))
S: f OK *
acked SEEN
C: g EXAMINE INBOX
S* g OK *
C: g FETCH 2 BODY[TEXT]<6.5>
S: \* 2 FETCH (BODY[TEXT]<6> {5}
S= "words)\r\n"
S: g OK *
C: g FETCH 2 FLAGS
S: \* 2 FETCH (FLAGS (*))
S: g OK *
C: h FETCH 1:2 (UID) (CHANGEDSINCE 1)
S* h OK *
power-cut
a = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b UID SEARCH UNSEEN
S: b BAD *
C: b EXAMINE INBOX
S* b OK *
C: c UID SEARCH UNSEEN
S: \* SEARCH 2
S: c OK *
close

verify SEEN
b = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b EXAMINE INBOX
S* b OK *
C: c FETCH 1 FLAGS
S: \* 1 FETCH (FLAGS (\\Seen*))
S: c OK *
