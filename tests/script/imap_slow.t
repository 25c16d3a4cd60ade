# A client in IDLE that does not read while much happens (row I17): it is cut off in the time for a command, not after the
# half hour that IDLE may last; its neighbour is served all the while.
host gateway
not linux split fail honest
a = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b SELECT INBOX
S* b OK *
C: c IDLE
S: + idling
pause
b = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
raw "x APPEND INBOX {1+}\r\n"
raw "x\r\n"
S: x OK *
C: b SELECT INBOX
S* b OK *
C: c COPY 1:* INBOX
S* c OK *
C: c COPY 1:* INBOX
S* c OK *
C: c COPY 1:* INBOX
S* c OK *
C: c COPY 1:* INBOX
S* c OK *
C: c COPY 1:* INBOX
S* c OK *
C: c COPY 1:* INBOX
S* c OK *
C: c COPY 1:* INBOX
S* c OK *
C: c COPY 1:* INBOX
S* c OK *
C: c COPY 1:* INBOX
S* c OK *
C: c COPY 1:* INBOX
S* \* 1024 EXISTS
S* c OK *
send "d STORE 1:* +FLAGS.SILENT \\Flagged\r\nd STORE 1:* -FLAGS.SILENT \\Flagged\r\n" 40
C: e NOOP
S* e OK *
counter session_timeouts_total = 0
pass 200s
C: f NOOP
S: f OK *
counter session_timeouts_total = 0
pass 120s
counter session_timeouts_total > 0
C: g NOOP
S: g OK *
C: h LOGOUT
S: \* BYE *
S: h OK *
expect-close
