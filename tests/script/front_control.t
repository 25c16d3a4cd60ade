# The operator's commands: sessions listed and ended, a backend out and in, a user moved; what was
# answered "ok" to a move is there in the next life.
host front
a = front_imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
b = front_pop3
S: +OK*
C: USER bert
S: +OK*
C: PASS secret
S: +OK*
c = control
C: SESSIONS
S* {"ok":true,"rows":2}
C: SESSIONS anna
S: {"id":"*","protocol":"imap","user":"anna@example.org",*"pool":"pool","backend":"alive",*}
S: {"ok":true,"rows":1}
C: USER anna
S: {"user":"anna@example.org","pool":"pool","current":"pool/alive",*"exception":"","sessions":1,*}
S: {"ok":true,"rows":1}
C: DRAIN alive
S: {"ok":true,"sessions":2}
C: BACKENDS
S: {"pool":"pool","name":"alive",*"state":"drain",*}
S: {"pool":"pool","name":"absent",*"state":"up",*}
S: {"ok":true,"rows":2}
C: DRAIN aliv
S: {"error":"there is no backend aliv; did you mean alive\?","code":"not_found"}
C: UP alive
S: {"ok":true,"sessions":2}
C: KICK anna
S: {"ok":true,"sessions":1}
a> S: \* BYE *
expect-close
c> C: MOVE bert absent 0
S* {"ok":true,"sessions":0}
acked MOVED
b> expect-close
c> raw "MOVE carl ali"
raw "ve 0\nFORGET carl\n"
S* {"ok":true,"sessions":0}
S: {"ok":true,"sessions":0}
C: DOWN alive 0
S* {"ok":true,"sessions":0}
C: UP alive
S: {"ok":true,"sessions":0}
C: QUIT
S: {"ok":true}
expect-close

verify MOVED
c = control
C: USER bert
S: {*"exception":"pool/absent",*}
S: {"ok":true,"rows":1}
C: FORGET bert
S: {"ok":true,*}
C: USER bert
S: {*"exception":"",*}
S: {"ok":true,"rows":1}
a = front_imap
S: \* OK *
C: a LOGIN bert secret
S: a OK *
C: b LOGOUT
S: \* BYE *
S: b OK *
expect-close
