# What nobody should send (rows I01 I02 I03 I04 I05 I06 I16 I22), honest clients beside it.
host gateway
a = imap
S: \* OK *
C: a LOGIN {-1}
S: a BAD *
C: a LOGIN {4294967296}
S: a BAD *
C: a LOGIN {18446744073709551616}
S: a BAD *
C: a LOGIN {01}
S: a BAD *
C: a LOGIN {1 }
S: a BAD *
C: a LOGIN {1
S: a BAD *
C: a LOGIN {}
S: a BAD *
C: a LOGIN {+}
S: a BAD *
C: a LOGIN {17000}
S: a BAD *
C: a LOGIN {99+}
send "x" 99
C: 
S: a BAD *
raw "a LOGIN \"u\x00\" p\r\n"
S: a BAD *
raw "a LOGIN \"u\\\r\n"
S: a BAD *
raw "a LOGIN \"u\xff\" p\r\n"
S: a BAD *
raw "a LOGIN u p\n"
S: a BAD *
C: + NOOP
S: \* BAD *
C: a+b NOOP
S: \* BAD *
raw "a\x07 NOOP\r\n"
S: \* BAD *
close
b = imap
S: \* OK *
C: a LOGIN {20000+}
S: \* BYE *
expect-close
c = imap
S: \* OK *
raw "a NOOP "
send "(" 70000
raw ")))\r\n"
S: \* BAD *
S: \* BYE *
expect-close
e = imap
S: \* OK *
C: GET / HTTP/1.1
S: \* BYE not this protocol
expect-close
d = imap
S: \* OK *
C: a LOGIN anna secret
S: a OK *
C: a APPEND INBOX {1+}
raw "x\r\n"
S: a OK *
C: a SELECT INBOX
S* a OK *
C: a FETCH 1:4294967295 UID
S: \* 1 FETCH (UID 1)
S: a OK *
C: a FETCH *:* UID
S: \* 1 FETCH (UID 1)
S: a OK *
C: a FETCH 0 UID
S: a BAD *
C: a FETCH 4294967296 UID
S: a BAD *
C: a FETCH 2 UID
S: a BAD *
raw "a FETCH 1"
send ",1" 30000
raw " UID\r\n"
S: \* 1 FETCH (UID 1)
S: a OK *
C: a SEARCH TEXT {1048577}
S: a NO [TOOBIG] *
C: a SEARCH TEXT {1048577+}
send "x" 1048577
C: 
S: a NO [TOOBIG] *
C: a STORE 1 +FLAGS (\Foo)
S: a BAD *
C: a STORE 1 +FLAGS (a]b)
S: a BAD *
C: a NOOP
S: a OK *
C: a LOGOUT
S: \* BYE *
S: a OK *
expect-close
