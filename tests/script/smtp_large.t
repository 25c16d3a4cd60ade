# A message of more than 256 KiB by DATA: from there on it is received where it is written from and
# decoded in place (S11: stuffed dots in that part too), and what the client sent behind its end is
# its next command.
host gateway
a = smtp
S: 220 *
C: HELO client.example
S: 250 *
C: MAIL FROM:<sender@client.example>
S: 250 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: DATA
S: 354 *
raw "Subject: large\r\n\r\n"
send "The quick brown fox jumps over the lazy dog.\r\n..stuffed\r\n" 8000
raw "last\r\n.\r\nNOOP\r\nMAIL FROM:<again@client.example>\r\n"
S: 250 2.0.0 OK, queued as ????????????????
acked LARGE
S: 250 2.0.0 OK
S: 250 2.1.0 *
C: QUIT
S: 221 *
expect-close

verify LARGE
p = pop3
S: +OK*
C: USER anna@example.org
S: +OK*
C: PASS secret
S: +OK*
C: STAT
S: +OK 1 4*
C: TOP 1 16001
S: +OK*
S* Subject: large
S:
S: The quick brown fox jumps over the lazy dog.
S: ..stuffed
S: The quick brown fox jumps over the lazy dog.
S: ..stuffed
S* last
S: .
C: QUIT
S: +OK*
expect-close
