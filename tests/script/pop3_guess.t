# A04, A09, A13: the same answer whoever is asked for, later each time; it is over after too many;
# the user logs in meanwhile.
host gateway
a = pop3
S: +OK*
C: USER anna
S: +OK*
C: PASS secret
S: +OK*
C: QUIT
S: +OK*
expect-close
p = pop3
S: +OK*
C: USER anna
S: +OK*
C: PASS guess
pass 500ms
S: -ERR [AUTH] Wrong user name or password
C: USER nobody
S: +OK*
C: PASS secret
S: -ERR [AUTH] Wrong user name or password
b = pop3
S: +OK*
C: USER anna
S: +OK*
C: PASS secret
S: +OK*
p> C: USER %{u}'; --
S: +OK*
C: PASS x
b> C: STAT
S: +OK 0 0
C: QUIT
S: +OK*
expect-close
p> S: -ERR [AUTH] Wrong user name or password
C: USER ../anna
S: +OK*
C: PASS a b c
S: -ERR [AUTH] Wrong user name or password
C: QUIT
S: +OK*
expect-close
counter auth_failed_total = 4
