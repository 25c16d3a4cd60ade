# CREATE, RENAME, DELETE, SUBSCRIBE: durable when acknowledged. Names that are none (rows I10, I14), other users'
# mailboxes (row I23).
host gateway
a = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b CREATE Work/2026
S: b OK *
acked CREATED
C: c SUBSCRIBE Work/2026
S: c OK *
C: d RENAME Work &APw-ber
S: d OK *
acked RENAMED
C: e DELETE Junk
S: e OK *
C: f UNSUBSCRIBE Junk
S: f OK *
acked DELETED
C: g LIST "" *
S: \* LIST (\\HasNoChildren \\Drafts) "/" Drafts
S: \* LIST (\\HasNoChildren) "/" INBOX
S: \* LIST (\\HasNoChildren \\Sent) "/" Sent
S: \* LIST (\\HasNoChildren \\Trash) "/" Trash
S: \* LIST (\\HasChildren) "/" &APw-ber
S: \* LIST (\\HasNoChildren) "/" &APw-ber/2026
S: g OK *
C: h CREATE ../x
S: h NO *
C: h CREATE a/../../b
S: h NO *
C: h CREATE /etc
S: h NO *
C: h CREATE a//b
S: h NO *
C: h CREATE &AAA
S: h BAD *
C: h CREATE &2AA-
S: h BAD *
C: h CREATE &AGE-
S: h BAD *
raw "h CREATE \"a\x00b\"\r\n"
S: h BAD *
raw "h CREATE \"a\xff\"\r\n"
S: h BAD *
C: h CREATE a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/a/b/c/d/e/f/g/h/i/j/k
S: h NO *
C: h CREATE INBOX/inbox
S* h * *
C: i STATUS bert@example.org (MESSAGES)
S: i NO [NONEXISTENT] *
C: i SELECT /bert@example.org/INBOX
S: i NO [NONEXISTENT] *
C: j LOGOUT
S: \* BYE *
S: j OK *
expect-close

verify CREATED
a = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b LIST "" *2026
S: \* LIST (\\HasNoChildren) "/" *2026
S: b OK *

verify RENAMED
b = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b LIST "" &APw-%
S: \* LIST (\\HasChildren) "/" &APw-ber
S: b OK *
C: c LSUB "" Work/2026
S: \* LSUB () "/" Work/2026
S: c OK *

verify DELETED
c = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: b LIST "" Junk
S: b OK *
C: c LSUB "" Junk
S: c OK *
