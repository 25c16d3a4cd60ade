# A mailbox is deleted, and messages are expunged, by one session while another is in the middle of a FETCH of them
# (row I18): what was begun is finished or the connection ends; the literal's length is kept.
host gateway
not linux
a = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b CREATE x
S: b OK *
C: b APPEND x {1000014+}
raw "Subject: x\r\n\r\n"
send "0123456789" 100000
raw "\r\n"
S: b OK *
C: b APPEND x {5+}
raw "\r\ntwo\r\n"
S: b OK *
C: c SELECT x
S* c OK *
pause
C: d UID FETCH 1:2 (BODY.PEEK[] BODY.PEEK[TEXT]<0.20>)
pass 1s
b = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b SELECT x
S* b OK *
C: c STORE 1:2 +FLAGS.SILENT (\Deleted)
S: c OK *
C: d EXPUNGE
S: \* 1 EXPUNGE
S: \* 1 EXPUNGE
S: d OK *
C: e UNSELECT
S: e OK *
C: e DELETE x
S: e OK *
acked GONE
C: e LOGOUT
S: \* BYE *
S: e OK *
expect-close
a> resume
S: \* 1 FETCH (UID 1 BODY[] {1000014}
S: Subject: x
S: 
S: 0123456789* BODY[TEXT]<0> {20}
S: 01234567890123456789)
S* d *
close

verify GONE
a = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b STATUS x (MESSAGES)
S: b NO *
