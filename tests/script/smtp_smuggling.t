# S01-S09: only CRLF dot CRLF ends the data. What follows another end-alike is never read as a
# command, and a message that holds a bare CR or LF is refused to its true end. S19: nothing of a
# refused message's envelope is left.
host gateway
a = smtp
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<sender@client.example>
S: 250 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: DATA
S: 354 *
raw "a\n.\nMAIL FROM:<evil@client.example>\r\n"
raw "a\n.\rMAIL FROM:<evil@client.example>\r\n"
raw "a\r.\nMAIL FROM:<evil@client.example>\r\n"
raw "a\r.\rMAIL FROM:<evil@client.example>\r\n"
raw "a\n.\r\nRCPT TO:<bert@example.org>\r\n"
raw "a\r.\r\nDATA\r\n"
raw "a\r\n.\r\r\nQUIT\r\n"
raw "a\r\r\n.\r\r\nQUIT\r\n"
raw "\r\n.\r\n"
S: 550 5.5.2 *
C: RCPT TO:<bert@example.org>
S: 503 5.5.1 MAIL comes first
C: DATA
S: 503 5.5.1 MAIL comes first
C: MAIL FROM:<sender@client.example>
S: 250 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: DATA
S: 354 *
raw "Subject: odd\r\n\r\na\r\n\x00.\r\nMAIL FROM:<evil@client.example>\r\n.\r\n"
S: 250 *
acked ODD
C: QUIT
S: 221 *
expect-close

verify ODD
i = imap
S: \* OK *
C: a LOGIN anna secret
S* a OK *
C: b SELECT INBOX
S* \* 1 EXISTS
S* b OK *
C: c LOGOUT
S: \* BYE *
S: c OK *
j = imap
S: \* OK *
C: a LOGIN bert secret
S* a OK *
C: b SELECT INBOX
S* \* 0 EXISTS
S* b OK *
C: c LOGOUT
S: \* BYE *
S: c OK *
