# A SASL exchange that is never finished ends with the time to log in.
host gateway
not linux
f = imap
S: \* OK *
C: f AUTHENTICATE PLAIN
S: + 
pass 61s
S: \* BYE *
expect-close
