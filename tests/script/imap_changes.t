# STORE, EXPUNGE, COPY, MOVE: seen by another session as the RFC demands (row I18), and there after a crash.
host gateway
a = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b APPEND INBOX {1+}
raw "1\r\n"
S: b OK [APPENDUID ${validity} 1] *
C: b APPEND INBOX {1+}
raw "2\r\n"
S: b OK [APPENDUID ${validity} 2] *
C: b APPEND INBOX {1+}
raw "3\r\n"
S: b OK [APPENDUID ${validity} 3] *
C: b APPEND INBOX {1+}
raw "4\r\n"
S: b OK [APPENDUID ${validity} 4] *
C: c SELECT INBOX
S* c OK [READ-WRITE] *
b = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b SELECT INBOX (CONDSTORE)
S* \* 4 EXISTS
S* b OK [READ-WRITE] *
a> C: d STORE 1:2 +FLAGS (\Flagged $Later)
S: \* FLAGS (*$Later)
S: \* OK [PERMANENTFLAGS (*$Later \\\*)] *
S: \* 1 FETCH (UID 1 FLAGS (\\Flagged *$Later))
S: \* 2 FETCH (UID 2 FLAGS (\\Flagged *$Later))
S: d OK Done
acked FLAGS
C: e STORE 2 +FLAGS.SILENT (\Deleted)
S: e OK Done
b> C: c NOOP
S: \* FLAGS (*$Later)
S: \* OK [PERMANENTFLAGS (*$Later \\\*)] *
S: \* 1 FETCH (UID 1 FLAGS (\\Flagged *$Later) MODSEQ (*))
S: \* 2 FETCH (UID 2 FLAGS (\\Flagged \\Deleted *$Later) MODSEQ (${modseq}))
S: c OK Done
a> C: f STORE 2 -FLAGS.SILENT (\Flagged)
S: f OK Done
b> C: d STORE 2:3 (UNCHANGEDSINCE ${modseq}) +FLAGS.SILENT (\Seen)
S: \* 2 FETCH (UID 2 FLAGS (\\Deleted *$Later) MODSEQ (*))
S: \* 3 FETCH (UID 3 MODSEQ (*))
S: d OK [MODIFIED 2] *
a> C: g EXPUNGE
S: \* 3 FETCH (UID 3 FLAGS (\\Seen*))
S: \* 2 EXPUNGE
S: g OK Done
acked EXPUNGED
b> C: e FETCH 4 UID
S: \* 4 FETCH (UID 4)
S: e OK *
C: f SEARCH ALL
S: \* SEARCH 1 3 4
S: f OK *
C: g STORE 2 +FLAGS (\Seen)
S: g OK *
C: h COPY 2:3 Sent
S: \* 2 EXPUNGE
S: h OK [COPYUID ${sent} 3 1] Done
acked COPIED
C: i UID MOVE 3:4 Trash
S: \* OK [COPYUID ${trash} 3:4 1:2] Moved
S: \* 2 EXPUNGE
S: \* 2 EXPUNGE
S: i OK Done
acked MOVED
a> C: h UID FETCH 3:4 FLAGS
S* \* 2 EXPUNGE
S: \* 2 EXPUNGE
S: h OK *
power-cut
a = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY)
S: \* STATUS INBOX (MESSAGES 1 UIDNEXT 5 UIDVALIDITY ${validity})
S: b OK *
C: c LOGOUT
S: \* BYE *
S: c OK *
expect-close

verify FLAGS
a = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b EXAMINE INBOX
S* b OK *
C: c UID FETCH 1 FLAGS
S: \* 1 FETCH (UID 1 FLAGS (\\Flagged *$Later))
S: c OK *

verify EXPUNGED
b = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b EXAMINE INBOX
S* b OK *
C: c UID SEARCH UID 2
S: \* SEARCH
S: c OK *

verify COPIED
c = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b STATUS Sent (MESSAGES UIDVALIDITY)
S: \* STATUS Sent (MESSAGES 1 UIDVALIDITY ${sent})
S: b OK *

verify MOVED
d = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b EXAMINE INBOX
S* \* 1 EXISTS
S* b OK *
C: c EXAMINE Trash
S* \* 2 EXISTS
S* c OK *
C: d FETCH 1:2 (UID BODY.PEEK[])
S: \* 1 FETCH (UID 1 BODY[] {1}
S= "3)\r\n"
S: \* 2 FETCH (UID 2 BODY[] {1}
S= "4)\r\n"
S: d OK *
