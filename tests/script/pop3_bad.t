# P01, P05, A04: wrong arguments, commands out of order, odd names; each gets one -ERR and the
# session goes on.
host gateway
p = pop3
S: +OK*
C: STAT
S: -ERR Log in first
C: PASS secret
S: -ERR Give USER first
C: USER
S: -ERR *
C: USER   
S: -ERR *
raw "USER an\x00na\r\n"
S: -ERR *
raw "USER anna\n"
S: -ERR *
raw "USER an\rna\r\n"
S: -ERR *
send "x" 2000
raw "\r\n"
S: -ERR Line too long
C: XTND
S: -ERR Unknown command
C: 
S: -ERR Unknown command
C: USER anna
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
C: USER anna
S: -ERR You are logged in already
C: RETR 0
S: -ERR *
C: RETR -1
S: -ERR *
C: LIST 99999999999
S: -ERR *
C: TOP 1 4294967295
S: -ERR *
C: NOOP x
S: -ERR *
C: STAT
S: +OK 0 0
C: LIST
S: +OK*
S: .
C: RETR 1
S: -ERR No such message
C: QUIT
S: +OK*
expect-close
