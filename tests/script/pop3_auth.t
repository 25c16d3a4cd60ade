# SASL over POP3 (rows A02 A03 A06): RFC 5034.
host gateway
a = pop3
S: +OK*
C: AUTH
S: -ERR *
C: AUTH NTLM
S: -ERR No such mechanism
C: AUTH PLAIN AGFubmEAc2VjcmV
S: -ERR *
C: AUTH PLAIN AGFubmEA c2VjcmV0
S: -ERR *
C: AUTH PLAIN =
S: -ERR *
C: AUTH PLAIN AGFubmEAc2VjcmV0AG1vcmU=
S: -ERR *
C: AUTH PLAIN
S= "+ \r\n"
C: *
S: -ERR Cancelled
C: USER anna
S: +OK
C: AUTH LOGIN
S: + VXNlcm5hbWU6
C: YW5uYQ==
S: + UGFzc3dvcmQ6
C: d3Jvbmc=
S: -ERR [AUTH] *
C: PASS secret
S: -ERR Give USER first
C: AUTH PLAIN
S: + 
send "x" 12289
C: 
S: -ERR Response too long
C: AUTH PLAIN YmVuAGFubmEAc2VjcmV0
S: -ERR [AUTH] *
C: AUTH PLAIN
S: + 
C: AGFubmEAc2VjcmV0
S: +OK Logged in
C: AUTH PLAIN AGFubmEAc2VjcmV0
S: -ERR You are logged in already
C: STLS
S: -ERR You are logged in already
C: STAT
S: +OK 0 0
C: QUIT
S: +OK*
expect-close
b = pop3
S: +OK*
C: STLS
S: -ERR No TLS here
C: STLS now
S: -ERR *
C: AUTH LOGIN
S: + VXNlcm5hbWU6
close
c = pop3
S: +OK*
C: AUTH PLAIN
S: + 
half-close
expect-close
