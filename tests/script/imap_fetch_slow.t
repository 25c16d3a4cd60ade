# A client that asks for much and reads nothing (row I17) is cut off; others are served meanwhile.
host gateway
not linux
a = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b APPEND INBOX {1000014+}
raw "Subject: x\r\n\r\n"
send "0123456789" 100000
raw "\r\n"
S: b OK *
C: c SELECT INBOX
S* c OK *
pause
C: d FETCH 1,1,1 (BODY.PEEK[] BODY.PEEK[TEXT])
pass 1s
b = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b EXAMINE INBOX
S* b OK *
C: c FETCH 1 BODY[TEXT]<999990.20>
S: \* 1 FETCH (BODY[TEXT]<999990> {10}
S= "0123456789)\r\n"
S: c OK *
close
honest off
pass 6m
counter session_timeouts_total > 0
counter connections_open = 0
a> resume
close
