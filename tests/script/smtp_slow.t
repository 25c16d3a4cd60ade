# S33, S34: a message whose end never comes is never stored: the peer trickles, goes away, or falls
# silent.
host gateway
not linux split honest
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
raw "Subject: slow\r\n\r\n"
pass 280s
raw "x"
pass 280s
raw "x"
pass 60s
S: 421 4.4.2 *
expect-close
b = smtp
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<sender@client.example>
S: 250 *
C: RCPT TO:<anna@example.org>
S: 250 *
C: DATA
S: 354 *
raw "Subject: gone\r\n\r\nx\r\n."
pass 1s
reset
c = smtp
S: 220 *
C: EHLO client.example
S* 250 *
pass 301s
S: 421 4.4.2 *
expect-close
counter smtp_messages_total = 0
