# IDLE (rows I18, I19): told at once what others do; DONE in two halves; anything else ends it; half an hour is allowed.
host gateway
not linux
a = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b SELECT INBOX
S* b OK *
C: c IDLE
S: + idling
s = smtp
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<x@client.example>
S: 250 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: while you wait
C: 
C: .
S: 250 *
C: QUIT
S: 221 *
a> S: \* 1 EXISTS
S: \* 1 RECENT
b = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b SELECT INBOX
S* b OK *
C: c STORE 1 FLAGS.SILENT (\Deleted)
S: c OK *
a> S: \* 1 FETCH (UID 1 FLAGS (\\Deleted *))
b> C: d EXPUNGE
S: \* 1 EXPUNGE
S: d OK *
a> S: \* 1 EXPUNGE
raw "DO"
pass 1s
raw "NE\r\n"
S: c OK *
C: d IDLE
S: + idling
C: e NOOP
S: d BAD Expected DONE
C: e NOOP
S: e OK *
x = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b CREATE Short
S: b OK *
C: c SELECT Short
S* c OK *
C: d IDLE
S: + idling
a> C: e DELETE Short
S: e OK *
x> S: \* BYE selected mailbox was deleted
expect-close
a> C: f IDLE
S: + idling
honest off
pass 29m
C: DONE
S: f OK *
C: g IDLE
S: + idling
pass 31m
S: \* BYE idle too long
expect-close
