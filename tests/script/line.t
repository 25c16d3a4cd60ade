# The runner tried out on the line server: every kind of line once.
host line
a = line
C: hello
S: hello
C: 
S= "\r\n"
raw "two\r\nlines\r\n"
S: two
S: lines
b = line
C: I am b
S: I am ?
a> C: and I am a
S: and * a
C: name=${unset}
S: name=
C: key 4711 end
S: key ${key} end
C: ${key}
S: 4711
C: send 100000
S: begin
S* *end
raw "bare lf\n"
S: bare bare lf
send "x" 100000
raw "\r\n"
S: too long
pause
C: write 300000
pass 1s
resume
S: begin
S* *end
b> half-close
expect-close
b = line
C: deadline 100
S: timeout
C: quit
S: bye
expect-close
c = line
C: vanishing
vanish
d = line
C: resetting
reset
pass 100ms
counter connections_total > 4
a> close
b> close
restart
a = line
C: again
S: again
close
