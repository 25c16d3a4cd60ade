# SASL over IMAP (rows A02 A03 A06 A13): what is no message is refused and forgotten, each step can be
# given up, others log in meanwhile.
host gateway
b = imap
S: \* OK *AUTH=PLAIN AUTH=LOGIN*
C: b AUTHENTICATE LOGIN
S: + VXNlcm5hbWU6
a = imap
S: \* OK *
C: a AUTHENTICATE
S: a BAD *
C: a AUTHENTICATE PLAIN 
S: a BAD Empty initial response*
C: a AUTHENTICATE NTLM
S: a NO [CANNOT] *
C: a AUTHENTICATE PLAIN AGFubmEAc2VjcmV
S: a BAD *
C: a AUTHENTICATE PLAIN AGFubmEAc2Vjcm=0
S: a BAD *
C: a AUTHENTICATE PLAIN AGFubmEAc2VjcmV*
S: a BAD *
C: a AUTHENTICATE PLAIN AGFubmEA c2VjcmV0
S: a BAD *
C: a AUTHENTICATE PLAIN =
S: a BAD *
C: a AUTHENTICATE PLAIN YW5uYXNlY3JldA==
S: a BAD *
C: a AUTHENTICATE PLAIN YW5uYQBzZWNyZXQ=
S: a BAD *
C: a AUTHENTICATE PLAIN AGFubmEAc2VjcmV0AG1vcmU=
S: a BAD *
C: a AUTHENTICATE PLAIN
S= "+ \r\n"
C: *
S: a BAD Cancelled
C: a AUTHENTICATE PLAIN
S: + 
C: 
S: a BAD *
C: a AUTHENTICATE PLAIN
S: + 
raw "AGFubmEAc2VjcmV0\n"
S: a BAD *
C: a AUTHENTICATE LOGIN
S: + VXNlcm5hbWU6
C: YW5uYQ==
S: + UGFzc3dvcmQ6
C: *
S: a BAD Cancelled
C: a AUTHENTICATE LOGIN YW5uYQ==
S: + UGFzc3dvcmQ6
C: d3Jvbmc=
S: a NO [AUTHENTICATIONFAILED] *
C: a AUTHENTICATE PLAIN AABzZWNyZXQ=
S: a BAD *
C: a AUTHENTICATE PLAIN YmVuAGFubmEAc2VjcmV0
S: a NO [AUTHENTICATIONFAILED] *
b> C: YW5uYQ==
S: + UGFzc3dvcmQ6
C: c2VjcmV0
S: b OK [CAPABILITY *] Logged in
C: b AUTHENTICATE PLAIN
S: b BAD *
C: b LOGOUT
S: \* BYE *
S: b OK *
expect-close
c = imap
S: \* OK *
C: c AUTHENTICATE PLAIN
S: + 
send "x" 12289
C: 
S: c BAD Response too long
C: c AUTHENTICATE PLAIN
S: + 
send "A" 12288
C: 
S: c BAD *
C: c AUTHENTICATE PLAIN AGFubmEAc2VjcmV0
S: c OK *
C: c LOGOUT
S: \* BYE *
S: c OK *
expect-close
d = imap
S: \* OK *
C: d AUTHENTICATE PLAIN
S: + 
close
e = imap
S: \* OK *
C: e AUTHENTICATE LOGIN YW5uYQ==
S: + UGFzc3dvcmQ6
reset
