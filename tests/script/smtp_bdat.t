# S12, S13: BDAT is counted, not scanned; out of order its bytes are not commands; a size that is
# none ends the connection.
host gateway
a = smtp
S: 220 *
C: EHLO client.example
S* 250 *
raw "BDAT 6\r\nQUIT\r\n"
S: 503 5.5.1 *
C: MAIL FROM:<sender@client.example> BODY=BINARYMIME
S: 250 *
raw "BDAT 6 LAST\r\nQUIT\r\n"
S: 503 5.5.1 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: DATA
S: 503 5.5.1 *
raw "BDAT 16\r\nSubject: raw\r\n\r\n"
S: 250 2.0.0 16 octets received
C: DATA
S: 503 5.5.1 *
C: RCPT TO:<bert@example.org>
S: 503 5.5.1 *
raw "BDAT 0\r\nBDAT 19\r\n\r\n.\r\nQUIT\r\nbare\rcr\nBDAT 8 LAST\r\n.\r\nlast\n"
S: 250 2.0.0 0 octets received
S: 250 2.0.0 19 octets received
S: 250 2.0.0 OK, queued as *
acked RAW
raw "BDAT 3 LAST\r\nabc"
S: 503 5.5.1 *
C: BDAT 1e3
S: 501 5.5.4 *
expect-close

verify RAW
i = imap
S: \* OK *
C: a LOGIN anna secret
S* a OK *
C: b EXAMINE INBOX
S* \* 1 EXISTS
S* b OK *
C: c FETCH 1 BODY.PEEK[TEXT]
S: \* 1 FETCH (BODY[TEXT] {27}
S= "\r\n.\r\nQUIT\r\nbare\rcr\n.\r\nlast\n"
S: )
S: c OK *
C: d LOGOUT
S: \* BYE *
S: d OK *
