# A script that is wrong on purpose: the runner must see it (see meson.build).
host line
a = line
C: hello
S: good day
