# ManageSieve passed through to a store of scripts (rows X13 X14): what is said before the log-in is
# ours, behind it the store's, what was sent ahead too, literals with commands in them among it.
host sieve
a = front_sieve
S: "IMPLEMENTATION" "Ringpost"
S: "SASL" "PLAIN LOGIN"
S* OK *
raw "PUTSCRIPT \"a\" {8+}\r\nLOGOUT\r\n\r\n"
S: NO *
C: NOOP "ours"
S: OK (TAG {4}
S: ours) "Done"
raw "AUTHENTICATE \"PLAIN\" \"AGFubmEAd3Jvbmc=\"\r\nLISTSCRIPTS\r\n"
S: NO *
S: NO *
raw "AUTHENTICATE \"PLAIN\" {20+}\r\nAGFubmEAc2VjcmV0\r\n\r\n\r\n"
S: NO *
raw "AUTHENTICATE \"PLAIN\" \"AGNhcmwAc2VjcmV0\"\r\nLISTSCRIPTS\r\n"
S: NO "Wrong user name or password"
S: NO "Log in first"
close
b = front_sieve
S* OK *
raw "AUTHENTICATE \"PLAIN\" \"AGFubmEAc2VjcmV0\"\r\nPUTSCRIPT \"one\" {31+}\r\nLOGOUT\r\nif true { \"{9+}\"; }\r\n\n\r\r\nLISTSCRIPTS\r\n"
S: OK "Logged in"
S: OK "Kept"
S: "one" ACTIVE
S: OK
acked KEPT
C: GETSCRIPT "two"
S: NO (NONEXISTENT) *
C: NOOP
S: OK "of the store"
C: LOGOUT
S: OK "Left the store"
expect-close
c = front_sieve
S* OK *
raw "AUTHENTICATE \"PLAIN\" {16+}\r\nAGJlcnQAc2VjcmV0\r\nLISTSCRIPTS\r\n"
S: OK "Logged in"
S: OK
C: DROP
S: BYE *
expect-close

verify KEPT
a = front_sieve
S* OK *
C: AUTHENTICATE "PLAIN" "AGFubmEAc2VjcmV0"
S: OK *
C: GETSCRIPT "one"
S= "{31}\r\nLOGOUT\r\nif true { \"{9+}\"; }\r\n\n\r\r\nOK\r\n"
half-close
expect-close
