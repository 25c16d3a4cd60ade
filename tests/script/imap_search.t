# SEARCH: keys, RETURN, limits (row I08), a message that another session has removed.
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
C: b APPEND INBOX {56+}
raw "From: bert@example.org\r\nSubject: second\r\n\r\nplain words\r\n\r\n"
S: b OK *
C: c SELECT INBOX
S* c OK *
C: d SEARCH ALL
S: \* SEARCH 1 2 3
S: d OK *
C: d SEARCH FROM bert NOT SEEN
S: \* SEARCH 2 3
S: d OK *
C: d SEARCH SUBJECT inner
S: \* SEARCH
S: d OK *
C: d SEARCH BODY inner
S: \* SEARCH 1
S: d OK *
C: d SEARCH BODY {6+}
raw "sch\xc3\xb6n\r\n"
S: \* SEARCH 1
S: d OK *
C: d SEARCH CHARSET ISO-8859-1 TEXT {5+}
raw "sch\xf6n\r\n"
S: \* SEARCH 1
S: d OK *
C: d SEARCH SENTON 3-Mar-2020
S: \* SEARCH 1
S: d OK *
C: e SEARCH RETURN (MIN MAX COUNT ALL) OR 2:3 SUBJECT first
S: \* ESEARCH (TAG "e") MIN 1 MAX 3 COUNT 3 ALL 1:3
S: e OK *
C: e UID SEARCH RETURN () LARGER 1000000
S: \* ESEARCH (TAG "e") UID
S: e OK *
C: f SEARCH CHARSET x-unknown TEXT a
S: f NO [BADCHARSET *
C: f SEARCH RETURN (PARTIAL 4294967295:1) ALL
S: f BAD *
C: f SEARCH (SEEN
S: f BAD *
raw "f SEARCH "
send "NOT " 10000
raw "ALL\r\n"
S: f BAD *
raw "f SEARCH "
send "(" 10000
send ")" 10000
raw "\r\n"
S: f BAD *
raw "f SEARCH ALL"
send " TEXT a" 5000
raw "\r\n"
S: f BAD *
raw "f SEARCH SUBJECT "
send "x" 30000
raw "\r\n"
S: f BAD *
raw "f SEARCH "
send "OR SEEN " 200
raw "ALL\r\n"
S: \* SEARCH 1 2 3
S: f OK *
b = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b SELECT INBOX
S* b OK *
C: c STORE 2 +FLAGS.SILENT (\Deleted)
S: c OK *
C: d EXPUNGE
S: \* 2 EXPUNGE
S: d OK *
acked REMOVED
a> C: g SEARCH TEXT plain
S: \* SEARCH 2 3
S: g OK *
C: g NOOP
S: \* 2 EXPUNGE
S: g OK *
C: g SEARCH TEXT plain
S: \* SEARCH 2
S: g OK *
C: g UID SEARCH RETURN (COUNT) ALL
S: \* ESEARCH (TAG "g") UID COUNT 2
S: g OK *
power-cut

verify REMOVED
c = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b EXAMINE INBOX
S* b OK *
C: c UID SEARCH ALL
S: \* SEARCH 1 3
S: c OK *
