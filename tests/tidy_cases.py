# SPDX-License-Identifier: GPL-2.0-or-later
"""Planted violations for tests/tidy.py --self-test: each must be caught, each look-alike not.

A case changes some files of a small clean tree; None deletes a file. A case of CAUGHT names the
rule and the place, one of QUIET must leave the tree without a problem.
"""
import os
import tempfile

HEAD = '/* SPDX-License-Identifier: GPL-2.0-or-later\n *\n * A small file that shows what a head ' \
       'comment says, at some length.\n */\n'
HOST = '.'.join(('deb', 'debian', 'org'))
LATER = 'TO' + 'DO'


def c(body, head=HEAD):
    return head + body


def long_function(above=''):
    return above + 'int base_long(void)\n{\n' + '    (void)0;\n' * 80 + '    return 0;\n}\n'


CLEAN = {
    'HACKING.md': '# Hacking\n\n## Known gaps\n\n* aarch64 is untested\n\n## Style\n\nshort\n',
    'src/base/meson.build': "base = static_library('base', files('slice.c'))\n",
    'src/base/slice.c': c('#include "ringpost/slice.h"\n\nint slice_one(void)\n{\n'
                          '    return 1;\n}\n'),
    'src/store/meson.build': "store = static_library('store', files('log.c'))\n",
    'src/store/log.c': c('#include "ringpost/log.h"\n\n#include "format.h"\n'
                         '#include "ringpost/core.h"\n#include "ringpost/slice.h"\n'
                         '#include <string.h>\n'),
    'src/store/format.h': c('enum { RECORD_SIZE = 32 };\n'),
    'src/engine/meson.build': "engine = static_library('engine', files('core.c'))\n",
    'src/engine/core.c': c('#include <liburing.h>\n#include <pthread.h>\n\nstatic int count;\n\n'
                           'int core_now(void)\n{\n    return (int)time(NULL) + count;\n}\n'),
    'include/ringpost/slice.h': c('int slice_one(void);\n'),
    'include/ringpost/core.h': c('int core_now(void);\n'),
    'include/ringpost/log.h': c('#include "ringpost/core.h"\n'),
    'tests/e2e/first.sh': '#!/bin/bash\ntrue\n',
    'deploy/deps.sh': '#!/bin/bash\ntrue\n',
}


def include(name, extra=''):
    return c('#include %s\n%s' % (name, extra))


def store(body):
    return {'src/store/log.c': CLEAN['src/store/log.c'] + body}


def inside(statement):
    return store('\nint log_f(void)\n{\n    %s\n}\n' % statement)


CAUGHT = [
    ('layer', 'src/base/slice.c:6', {'src/base/slice.c': c(
        '#include "ringpost/slice.h"\n#include "ringpost/core.h"\n')}),
    ('layer', 'src/store/log.c:11', {**store('#include "ringpost/route.h"\n'),
                                     'include/ringpost/route.h': c('int route_x(void);\n')}),
    ('layer', 'src/engine/core.c:5', {'src/engine/core.c': include('"format.h"')}),
    ('layer', 'src/engine/core.c:5', {'src/engine/core.c': include('"../store/format.h"')}),
    ('layer', 'src/engine/core.c:5', {'src/engine/core.c': include('"ringpost/gadget.h"')}),
    ('layer', 'include/ringpost/gadget.h:1', {'include/ringpost/gadget.h': c('int gadget(void);\n'),
                                              'tests/unit/a.c': include('"ringpost/gadget.h"')}),
    ('layer', 'include/ringpost/slice.h:5', {'include/ringpost/slice.h': include(
        '"ringpost/core.h"')}),
    ('layer', 'src/gadget/a.c:1', {'src/gadget/a.c': c('int a(void);\n'),
                                   'src/gadget/meson.build': "files('a.c')\n"}),
    *(('door', 'src/store/log.c:11', store('#include <%s>\n' % header)) for header in (
        'liburing.h', 'liburing/io_uring.h', 'wolfssl/ssl.h', 'pthread.h', 'libconfig.h',
        'microhttpd.h', 'crypt.h')),
    ('door', 'tests/unit/a.c:5', {'tests/unit/a.c': include('<liburing.h>')}),
    *(('call', 'src/store/log.c:14', inside(call)) for call in (
        'read(1, 0, 0);', 'return write (1, 0, 0);', 'send(1);', 'x = recv(1);', 'if (open(p)) {}',
        'close(1);', 'time(NULL);', 'clock_gettime(0, 0);', 'gettimeofday(0, 0);', 'getrandom(0);',
        'rand();', 'pthread_mutex_lock(m);', 'fork();', 'system("x");', 'popen("x");',
        'strcpy(a, b);', 'strcat(a, b);', 'sprintf(a, "x");', 'strtok(a, b);', 'gets(a);',
        'atoi(a);', 'sscanf(a, b);', 'fscanf(a, b);', 'fsync(1);', 'usleep(1);')),
    ('call', 'src/engine/core.c:5', {'src/engine/core.c': c('int f(void) { return atoi("1");}\n')}),
    ('call', 'src/store/log.c:14', inside('read(1); /* tidy: allow call because */')),
    ('thread', 'src/store/log.c:11', store('static _Thread_local const int x = 1;\n')),
    ('thread', 'src/store/log.c:11', store('static __thread const int x = 1;\n')),
    *(('static-data', 'src/store/log.c:11', store(data + '\n')) for data in (
        'static int n;', 'static int n = 1;', 'int n;', 'static const char *name = "x";',
        'static struct log logs[4] = {{0}};', 'static int (*hook)(void);', 'extern int n;',
        'static struct { int a; } state;', 'struct log { int a; } state;')),
    ('static-data', 'src/store/log.c:14', inside('static int calls = 0;')),
    ('width', 'src/store/log.c:11', store('/* ' + 'x' * 98 + ' */\n')),
    ('tab', 'src/store/log.c:11', store('\tint f(void);\n')),
    ('space', 'src/store/log.c:11', store('int f(void); \n')),
    ('space', 'src/store/log.c:11', store('int f(void);')),
    ('long', 'src/store/log.c:660', store('int f(void);\n' * 650)),
    ('long', 'src/base/slice.c:5', {'src/base/slice.c': c(
        long_function() + '#include "ringpost/slice.h"\n')}),
    ('long', 'tests/a.py:1', {'tests/a.py': 'def f():\n' + '    pass\n' * 90}),
    ('head', 'src/store/format.h:1', {'src/store/format.h': 'enum { A };\n'}),
    ('head', 'src/store/format.h:1', {'src/store/format.h':
                                      '/* SPDX-License-Identifier: GPL-2.0-or-later */\n'}),
    ('later', 'src/store/log.c:11', store('/* %s: this is not written down */\n' % LATER)),
    ('stray', 'src/store/index.c:1', {'src/store/index.c': c('int index_x(void);\n')}),
    ('stray', 'include/ringpost/mime.h:1', {'include/ringpost/mime.h': c('int m(void);\n')}),
    ('stray', 'docs/big.txt:1', {'docs/big.txt': 'x\n' * (1 << 20)}),
    ('stray', 'deploy/tool.bin:1', {'deploy/tool.bin': 'a\0b'}),
    ('host', 'deploy/deps.sh:2', {'deploy/deps.sh': '#!/bin/bash\necho http://%s/x\n' % HOST}),
    ('script', 'tests/e2e/first.sh:1', {'tests/e2e/first.sh': (0o644, '#!/bin/bash\ntrue\n')}),
    ('script', 'deploy/deps.sh:1', {'deploy/deps.sh': (0o644, '#!/bin/bash\ntrue\n')}),
    ('script', 'deploy/deps.sh:1', {'deploy/deps.sh': 'true\n'}),
    ('script', 'tests/e2e/lib.py:1', {'tests/e2e/lib.py': (0o755, 'x = 1\n')}),
    ('script', 'deploy/deps.sh:3', {'deploy/deps.sh': '#!/bin/bash\nif true; then\n'}),
]

QUIET = [
    {},
    store('\n/* read(1); open(x) and "time(0)" are words here */\nint log_read(int x);\n'
          'int f(struct ops *ops, struct ops by)\n{\n    (void)"open(1) rand() \\" close(2)";\n'
          '    return ops->read(1) + by.write(2) + op_read(3) + stream_close(4) + log_time(5) +\n'
          "           'x' + vsnprintf(a, 1, b) + '\"' + spread(1) + '\\'';\n}\n"),
    store('// a line comment: strcpy(a, b) \\\n   atoi(c)\nstatic const int n = 1;\n'
          'static const char *const names[] = {"a", "b"};\nstatic int g(void);\n'
          'static const struct row { int a; } rows[2] = {{1}, {2}};\nstruct log;\n'
          'struct log { int a; int (*read)(void); };\ntypedef int (*done)(int);\n'
          'enum color { RED, BLUE };\n_Static_assert(sizeof(int) == 4, "int");\n'
          'extern const int table[];\nint each(struct log *l, void (*done)(void *), void *with);\n'
          'static const struct row *find(int (*match)(int));\n'
          'static int (*const handler)(void) = g;\n'),
    store('/* tidy: allow static-data because the page is mapped once for all cores */\n'
          'static int pages;\n'),
    inside('return time(0); /* tidy: allow call because this is a planted exception */'),
    {'src/base/slice.c': c('#include "ringpost/slice.h"\n' + long_function(
        '\n/* tidy: long because it is one table of cases */\n'))},
    {'src/base/slice.c': c('#include "ringpost/slice.h"\n' + 'int f(void);\n' * 700, head=HEAD
                           .replace('A small', 'tidy: long because planted. A small'))},
    store('#ifdef X\nint f(void)\n{\n#else\nint f(int a)\n{\n#endif\n    static const int a = 1;\n'
          '    return a;\n}\n\nstatic inline int h(void)\n{\n    return 0;\n}\n'),
    store('/* %s: aarch64 is untested */\n' % LATER),
    {'tests/e2e/lib.py': (0o644, 'x = 1\n')},
    {'tests/sim/sim.c': include('<liburing.h>', 'int read(int);\nstatic int n;\n')},
    {'LICENSE': 'text \twith its own spaces'},
]


def plant(root, changes):
    for path, content in {**CLEAN, **changes}.items():
        mode = 0o755 if str(content).startswith('#!') else 0o644
        if isinstance(content, tuple):
            mode, content = content
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'w', encoding='utf-8') as file:
            file.write(content)
        os.chmod(full, mode)


def problems_of(check, changes):
    with tempfile.TemporaryDirectory(prefix='tidy-') as root:
        plant(root, changes)
        return check(root)[1]


def run(check):
    failed, rules = 0, set()
    for rule, place, changes in CAUGHT:
        found = [(p[2], f'{p[0]}:{p[1]}') for p in problems_of(check, changes)]
        rules.add(rule)
        if (rule, place) not in found:
            failed += 1
            print(f'tidy self-test: not caught: {rule} at {place}, planted in '
                  f'{sorted(changes)}; found {found}')
    for number, changes in enumerate(QUIET):
        for problem in problems_of(check, changes):
            failed += 1
            print(f'tidy self-test: false alarm in QUIET[{number}]: {problem}')
    print(f'tidy self-test: {len(CAUGHT)} violations of {len(rules)} rules and {len(QUIET)} '
          f'look-alikes, {failed} judged wrongly')
    return 1 if failed else 0
