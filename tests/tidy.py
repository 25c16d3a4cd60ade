#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the house as a test: layers, bans, lengths, stray files.

usage: tests/tidy.py [ROOT]          check the tree (default: the one this file is in)
       tests/tidy.py --self-test     plant one violation of each rule, see that it is caught

Each problem is one line, `file:line: [rule] what is wrong; the better way`. The last line is
`tidy: N files, M problems`; exit status 1 if M is not 0. ARCHITECTURE.md explains the rules.

Two rules take exceptions, each with its reason in a comment:
  `tidy: long because ...`           in a file's head, or above a function
  `tidy: allow RULE because ...`     on or above the line, for RULE call, thread or static-data
"""
import ast
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True

# --- the tables: to add a folder, a contract or a ban, add a row ----------------------------------

LAYER = {'base': 0, 'engine': 1, 'mime': 1, 'net': 2, 'store': 2, 'auth': 2, 'route': 2,
         'session': 3, 'directory': 3, 'backend': 3, 'relay': 4, 'proxy': 4,
         'smtp': 5, 'imap': 5, 'pop3': 5, 'sieve': 5, 'admin': 6, 'control': 6, 'main': 7}

# Which folder answers for include/ringpost/NAME.h.
OWNER = {'slice': 'base', 'arena': 'base', 'hash': 'base', 'counter': 'base', 'limits': 'base',
         'number': 'base', 'event': 'base', 'network': 'base', 'base64': 'base', 'rows': 'base',
         'words': 'base', 'generation': 'base', 'smtp_reply': 'base',
         'kernel': 'engine', 'kernel_linux': 'engine', 'core': 'engine',
         'mime': 'mime', 'stream': 'net', 'tls': 'net', 'log': 'store', 'store': 'store',
         'auth': 'auth', 'directory': 'auth', 'directories': 'directory', 'route': 'route',
         'session': 'session', 'dot': 'session',
         'relay': 'relay', 'proxy': 'proxy', 'backend': 'backend', 'control': 'control',
         'smtp': 'smtp', 'imap': 'imap', 'pop3': 'pop3',
         'sieve': 'sieve', 'admin': 'admin', 'gateway': 'main'}

# Libraries with one door: header, the places that may include it, what others use.
DOORS = [
    (r'liburing(\.h|/)', r'src/engine/|include/ringpost/(kernel|ring)\.h$|tests/sim/|'
     r'bench/join\.c$',
     'use ringpost/core.h and ringpost/stream.h'),
    (r'wolfssl/wolfcrypt', r'src/net/tls[\w]*\.[ch]$|src/main/certificate\.c$|src/auth/crypto\.c$|'
     r'tests/|bench/', 'use ringpost/tls.h, or src/auth/crypto.c'),
    (r'wolfssl/(?!wolfcrypt)', r'src/net/tls[\w]*\.[ch]$|src/main/certificate\.c$|'
     r'src/auth/crypto\.c$|tests/|bench/', 'use ringpost/tls.h'),
    (r'sqlite3\.h', r'src/directory/sqlite\.c$|tests/', 'a directory is one file of src/directory'),
    (r'ldap\.h', r'src/directory/ldap\.c$|tests/', 'a directory is one file of src/directory'),
    (r'libpq', r'src/directory/postgres\.c$|tests/', 'a directory is one file of src/directory'),
    (r'curl/', r'src/directory/http\.c$|tests/', 'a directory is one file of src/directory'),
    (r'hiredis/', r'src/control/exception_redis\.c$|tests/', 'exceptions are kept by src/control'),
    (r'jansson\.h', r'src/auth/jwt\.c$|src/directory/http\.c$|tests/|'
     r'bench/load/(page\w*|compare\w*|result)\.[ch]$', 'JSON is for tokens and reports only'),
    (r'sodium\.h', r'src/auth/password\.c$|tests/', 'use ringpost/auth.h'),
    (r'seccomp\.h', r'src/main/confine\w*\.c$|tests/', 'confinement is the business of src/main'),
    (r'pthread\.h', r'src/engine/|bench/(load/drive|join)\.c$|tests/',
     'state belongs to one core; send it a message instead'),
    (r'libconfig\.h', r'src/main/|tests/|bench/load/mix_file\.c$',
     'take what you need in your own options struct'),
    (r'microhttpd\.h', r'src/admin/|tests/', 'add a metric or a page by its table in src/admin'),
    (r'crypt\.h', r'src/auth/|tests/', 'use ringpost/auth.h'),
]

# Calls that only src/engine and src/main may make, and what others use.
DOOR_OF_IO = 'all I/O passes the engine: use ringpost/core.h or ringpost/stream.h'
DOOR_OF_TIME = 'time passes the engine, so that the simulator owns it: use ringpost/core.h'
DOOR_OF_CHANCE = 'randomness passes the engine, so that a seed replays a run: use ringpost/core.h'
NO_THREADS = 'one thread a core and no locks: use a message to the other core, or a helper thread'
CALLS = {
    DOOR_OF_IO: 'read write send recv open close pread pwrite readv writev openat sendmsg recvmsg '
                'sendto recvfrom socket accept connect fsync fdatasync poll select epoll_wait',
    DOOR_OF_TIME: 'time clock_gettime gettimeofday sleep usleep nanosleep',
    DOOR_OF_CHANCE: 'getrandom getentropy rand srand random',
    NO_THREADS: r'pthread_\w+ thrd_\w+ mtx_\w+',
    'start programs from the operator\'s side, never from the gateway': 'fork vfork system popen',
    'the simulator frees what a life had by its malloc, and does not see it: use malloc':
        'strdup strndup asprintf vasprintf',
}
# Calls that nobody makes.
NEVER = {
    'unbounded: use struct slice, or snprintf with the size': 'strcpy strcat sprintf vsprintf gets',
    'keeps state and cuts its input: use struct slice': 'strtok',
    'cannot tell an error: use the number parser of base': 'atoi atol atoll',
    'overflows silently: use the number parser of base': r'scanf fscanf sscanf vsscanf',
}

COLUMNS_MAX, FILE_LINES_MAX, FUNCTION_LINES_MAX, FILE_BYTES_MAX = 100, 600, 70, 1 << 20
BINARY_OK = r'tests/fuzz/corpus/|tests/data/|docs/.*\.png$'
TEXT = r'\.(c|h|py|sh|md|build|html|css|js|conf|service|ya?ml|txt)$|(^|/)(meson_options\.txt|run)$'
FREE_TEXT = r'^(LICENSE|deploy/patches/|tests/fuzz/corpus/|tests/data/)'
WIDTH = r'\.(c|h|py|sh)$|^\.ci/run$'
MAKEFILE = r'(^|/)(GNU)?[Mm]akefile(\..*)?$|\.mk$'
SHELL = r'\.sh$|^\.ci/run$'

# Hosts of package registries, in parts: this file must not name them either.
HOSTS = ['.'.join(parts) for parts in (
    ('deb', 'debian', 'org'), ('security', 'debian', 'org'), ('ftp', 'debian', 'org'),
    ('snapshot', 'debian', 'org'), ('archive', 'ubuntu', 'com'), ('registry', 'npmjs', 'org'),
    ('pypi', 'org'), ('pythonhosted', 'org'), ('crates', 'io'), ('proxy', 'golang', 'org'),
    ('rubygems', 'org'), ('maven', 'org'), ('docker', 'io'), ('ghcr', 'io'), ('quay', 'io'))]

LATER = re.compile(r'\b(TO' r'DO|FIX' r'ME|XX' r'X)\b[:\s]*(.*)')


def words(table):
    """[(compiled pattern of a call, advice)] of a table above."""
    return [(re.compile(r'(?<![\w.>])(?:%s)\s*\(' % names.replace(' ', '|')), advice)
            for advice, names in table.items()]


CALL_PATTERNS, NEVER_PATTERNS = words(CALLS), words(NEVER)

# --- reading --------------------------------------------------------------------------------------


class Tree:
    """The files of a checkout: what git knows or would add, else everything but build folders."""

    def __init__(self, root):
        self.root = root
        self.paths = sorted(self.list_git() or self.list_walk())
        self.bytes = {path: self.load(path) for path in self.paths}
        self.text = {path: data.decode('utf-8', 'replace') for path, data in self.bytes.items()
                     if b'\0' not in data[:8192]}
        self.code = {path: strip_c(text) for path, text in self.text.items()
                     if re.search(r'\.[ch]$', path)}

    def list_git(self):
        if not os.path.exists(os.path.join(self.root, '.git')):
            return None
        try:
            out = subprocess.run(['git', '-C', self.root, 'ls-files', '-zco', '--exclude-standard'],
                                 capture_output=True, check=True).stdout.decode()
        except (OSError, subprocess.CalledProcessError):
            return None
        return [p for p in set(out.split('\0')) if os.path.isfile(os.path.join(self.root, p))]

    def list_walk(self):
        found = []
        for folder, names, files in os.walk(self.root):
            names[:] = [n for n in names if n not in ('.git', '__pycache__', '.cache')
                        and not n.startswith('build')]
            found += [os.path.relpath(os.path.join(folder, f), self.root) for f in files]
        return found

    def load(self, path):
        with open(os.path.join(self.root, path), 'rb') as file:
            return file.read()

    def is_executable(self, path):
        return os.access(os.path.join(self.root, path), os.X_OK)


TOKENS = re.compile(r'//(?:\\\n|[^\n])*|/\*.*?(?:\*/|\Z)'
                    r'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def strip_c(text):
    """C without comments and the insides of literals; every line and column stays in place."""
    def blank(match):
        token = match.group()
        if token[0] == '/':
            return re.sub(r'[^\n]', ' ', token)
        line = text[text.rfind('\n', 0, match.start()) + 1:match.start()]
        if re.match(r'\s*#\s*include\s*$', line):
            return token
        return token[0] + re.sub(r'[^\n]', ' ', token[1:-1]) + token[-1]
    return TOKENS.sub(blank, text)


def strip_directives(code):
    """Also without preprocessor lines and #else branches, so that braces pair up."""
    out, skipping, depth, continued = [], [], 0, False
    for line in code.split('\n'):
        directive = re.match(r'\s*#\s*(\w+)', line)
        if directive and not continued:
            name = directive.group(1)
            if name in ('if', 'ifdef', 'ifndef'):
                depth += 1
            elif name in ('else', 'elif') and depth not in skipping:
                skipping.append(depth)
            elif name == 'endif':
                skipping = [d for d in skipping if d != depth]
                depth -= 1
        blank = continued or directive or skipping
        continued = bool(directive or continued) and line.endswith('\\')
        out.append('' if blank else line)
    return '\n'.join(out)


def line_of(text, position):
    return text.count('\n', 0, position) + 1


def items(code):
    """Top-level items of stripped C: ('function' | 'declaration', start, end, head text)."""
    start = depth = 0
    head, function = None, False
    for match in re.finditer(r'[{};]', code):
        at, mark = match.start(), match.group()
        if mark == '{':
            if depth == 0 and head is None:
                head = code[start:at]
                function = re.search(r'\)\s*(\w+\s*)?$', head) and '=' not in head
            depth += 1
        elif mark == '}':
            depth = max(0, depth - 1)
            if depth == 0 and function:
                yield 'function', start, at, head
                start, head, function = at + 1, None, False
        elif depth == 0:
            yield 'declaration', start, at, code[start:at]
            start, head, function = at + 1, None, False


def is_mutable(declaration):
    """Whether a declaration, outside functions or after `static`, makes data that can change."""
    text = re.sub(r'__attribute__\s*\(\(.*?\)\)|_Alignas\s*\(.*?\)', ' ', declaration, flags=re.S)
    while re.search(r'\{[^{}]*\}', text):
        text = re.sub(r'\{[^{}]*\}', ' ', text)
    text = ' '.join(re.sub(r'\[[^\]]*\]', ' ', text.split('=')[0]).split())
    if not re.match(r'[A-Za-z_]\w* ', text) or re.match(r'typedef\b|_Static_assert|static_assert',
                                                        text):
        return False
    if re.match(r'(struct|union|enum)( \w+)?$', text):
        return False
    pointer = re.match(r'[^(]*\(\s*\*\s*(const\b)?', text)
    if pointer: # a function pointer; of a prototype, the first parenthesis holds no star
        return not pointer.group(1)
    return '(' not in text and not re.search(r'\bconst(expr)?\b', text.split('*')[-1])


# --- rules: each yields (path, line, rule, message) -----------------------------------------------

def folder_of(path):
    match = re.match(r'src/([^/]+)/', path)
    return match.group(1) if match else None


def check_layers(tree):
    for path, code in tree.code.items():
        contract = re.match(r'include/ringpost/([\w-]+)\.h$', path)
        folder = folder_of(path)
        if contract:
            folder = OWNER.get(contract.group(1))
            if folder is None:
                yield (path, 1, 'layer', 'nobody owns this contract; add it to OWNER in '
                       'tests/tidy.py')
        elif folder and folder not in LAYER:
            yield path, 1, 'layer', f'src/{folder} has no layer; add it to LAYER in tests/tidy.py'
            folder = None
        for number, line in enumerate(code.split('\n'), 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
            if not match:
                continue
            for problem in check_include(tree, path, folder, *match.groups()):
                yield (path, number) + problem


def check_include(tree, path, folder, quote, name):
    for header, places, advice in DOORS:
        if re.match(header, name) and not re.match(places, path):
            yield 'door', f'{name} is not for this file; {advice}'
    if folder is None or quote == '<':
        return
    contract = re.match(r'ringpost/([\w-]+)\.h$', name)
    if not contract:
        if '/' in name or os.path.join(os.path.dirname(path), name) not in tree.bytes:
            yield ('layer', f'{name} is no header of src/{folder}; private headers stay in their '
                   'folder, what others need goes to include/ringpost')
        return
    owner = OWNER.get(contract.group(1))
    if owner is None:
        yield 'layer', f'{name} has no owner; add it to OWNER in tests/tidy.py'
    elif owner != folder and LAYER[owner] >= LAYER[folder]:
        yield ('layer', f'{folder} (row {LAYER[folder]}) may not know {owner} (row {LAYER[owner]});'
               ' let the upper layer pass in a function or a struct, or move the code up')


def allowed(tree, path, number, rule):
    lines = tree.text[path].split('\n')
    return any(re.search(r'tidy: allow %s because \w' % rule, line)
               for line in lines[max(0, number - 2):number])


def check_calls(tree):
    for path, code in tree.code.items():
        if not re.match(r'src/|include/|bench/', path):
            continue
        strict = not re.match(r'(src/(engine|main)|bench)/|include/ringpost/(kernel|ring|core)\.h',
                              path)
        for pattern, advice in NEVER_PATTERNS + (CALL_PATTERNS if strict else []):
            for match in pattern.finditer(code):
                number = line_of(code, match.start())
                if not allowed(tree, path, number, 'call'):
                    yield path, number, 'call', f'{match.group().rstrip(" (")}() here; {advice}'
        if strict:
            for match in re.finditer(r'\b(__thread|_Thread_local|thread_local)\b', code):
                number = line_of(code, match.start())
                if not allowed(tree, path, number, 'thread'):
                    yield (path, number, 'thread', 'thread-local data hides who owns it; keep it '
                           'in the struct of the core or session and pass that')


def check_static_data(tree):
    for path, code in tree.code.items():
        if not re.match(r'src/(?!engine/|main/)|include/', path):
            continue
        plain = strip_directives(code)
        found = []
        for kind, start, end, head in items(plain):
            if kind == 'declaration':
                if is_mutable(plain[start:end]):
                    found.append(start + len(head) - len(head.lstrip()))
                continue
            for match in re.finditer(r'\bstatic\b[^;]*', plain[start + len(head):end]):
                if is_mutable(match.group()):
                    found.append(start + len(head) + match.start())
        for position in found:
            number = line_of(plain, position)
            if not allowed(tree, path, number, 'static-data'):
                yield (path, number, 'static-data', 'data that outlives a call and can change; '
                       'keep it in the struct of the core or session, or make it const')


def check_text(tree):
    for path, text in tree.text.items():
        if not re.search(TEXT, path) or re.match(FREE_TEXT, path):
            continue
        if text and not text.endswith('\n'):
            yield path, text.count('\n') + 1, 'space', 'no newline at the end; add one'
        for number, line in enumerate(text.split('\n'), 1):
            if line != line.rstrip():
                yield path, number, 'space', 'white space at the end of the line; remove it'
            if '\t' in line and not re.search(MAKEFILE, path):
                yield path, number, 'tab', 'a tab; use spaces, or \\t inside a string'
            if re.search(WIDTH, path) and len(line) > COLUMNS_MAX:
                yield (path, number, 'width', f'{len(line)} columns; break the line at '
                       f'{COLUMNS_MAX}')


def long_because(text):
    return re.search(r'tidy: long because \w', text)


def check_lengths(tree):
    for path, text in tree.text.items():
        if not re.search(r'\.(c|h|py|sh)$', path):
            continue
        lines = text.count('\n')
        if lines > FILE_LINES_MAX and not long_because('\n'.join(text.split('\n')[:40])):
            yield (path, lines, 'long', f'{lines} lines; split the file by what belongs together, '
                   f'or say in its head `tidy: long because ...`')
        functions = python_functions(text) if path.endswith('.py') else (
            c_functions(tree, path) if path in tree.code else [])
        for first, last, above in functions:
            if last - first + 1 > FUNCTION_LINES_MAX and not long_because(above):
                yield (path, first, 'long', f'a function of {last - first + 1} lines; give a part '
                       'of it a name, or say above it `tidy: long because ...`')


def c_functions(tree, path):
    plain = strip_directives(tree.code[path])
    lines = tree.text[path].split('\n')
    for kind, start, end, head in items(plain):
        if kind == 'function':
            before, first = line_of(plain, start), start + len(head) - len(head.lstrip())
            first = line_of(plain, first)
            yield first, line_of(plain, end), '\n'.join(lines[before - 1:first])


def python_functions(text):
    lines = text.split('\n')
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:
        return
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            above = '\n'.join(lines[max(0, node.lineno - 4):node.lineno])
            yield node.lineno, node.end_lineno, above


def check_heads(tree):
    for path in tree.code:
        text = tree.text[path]
        match = re.match(r'(/\*|//) SPDX-License-Identifier: GPL-2\.0-or-later\b', text)
        if not match:
            yield (path, 1, 'head', 'begin with /* SPDX-License-Identifier: GPL-2.0-or-later and, '
                   'in the same comment, what the file is and why it is so')
            continue
        comment = re.match(r'\s*(/\*.*?\*/\s*|//[^\n]*\n\s*)+', text, re.S).group()
        if len(re.findall(r'[A-Za-z]{2,}', comment)) < 8:
            yield path, 1, 'head', 'the head says nothing; say what the file is and why it is so'


def check_later(tree):
    hacking = tree.text.get('HACKING.md', '')
    section = re.search(r'^(#+)[^\n]*Known gaps[^\n]*\n(.*?)(?=^#|\Z)', hacking, re.S | re.M)
    known = ' '.join(section.group(2).split()) if section else ''
    for path, text in tree.text.items():
        if not re.search(r'\.(c|h|py|sh|build)$', path):
            continue
        for match in LATER.finditer(text):
            wanted = ' '.join(match.group(2).replace('*/', '').split())
            if not wanted or wanted not in known:
                yield (path, line_of(text, match.start()), 'later', f'{match.group(1)} that nobody '
                       'will find; do it, or put the same text under "Known gaps" in HACKING.md')


def check_stray(tree):
    every = '\n'.join(tree.text[path] for path in tree.code)
    for path in tree.code:
        if re.match(r'src/.*\.c$', path):
            folder, name = os.path.split(path)
            listed = tree.text.get(folder + '/meson.build', '')
            if not re.search(r"['/]%s'" % re.escape(name), re.sub(r'#.*', '', listed)):
                yield (path, 1, 'stray', f'not in {folder}/meson.build; list it there or delete it')
        elif re.match(r'include/ringpost/', path):
            if not re.search(r'#\s*include\s*"%s"' % re.escape(path[len('include/'):]), every):
                yield path, 1, 'stray', 'no file includes this contract; use it or delete it'
    for path, data in tree.bytes.items():
        if len(data) > FILE_BYTES_MAX:
            yield (path, 1, 'stray', f'{len(data)} bytes; make it when it is needed, or shrink it '
                   f'below {FILE_BYTES_MAX}')
        if path not in tree.text and not re.match(BINARY_OK, path):
            yield (path, 1, 'stray', 'a binary file; keep its source, or add it to BINARY_OK in '
                   'tests/tidy.py')


def check_hosts(tree):
    pattern = re.compile('|'.join(r'(?<![\w-])' + re.escape(host) + r'(?![\w-])' for host in HOSTS))
    for path, text in tree.text.items():
        for match in pattern.finditer(text):
            yield (path, line_of(text, match.start()), 'host', 'names the host of a package '
                   'registry; name the package, and let the machine\'s own client know the host')


def check_scripts(tree):
    for path, text in tree.text.items():
        is_script = text.startswith('#!')
        if re.match(r'(tests|deploy|\.ci|bench)/', path) and is_script:
            if not tree.is_executable(path):
                yield path, 1, 'script', f'begins with #! and is not executable; chmod +x {path}'
        elif re.match(r'tests/e2e/.*\.(sh|py)$', path) and tree.is_executable(path):
            yield path, 1, 'script', 'executable without a #! line; add it, or chmod -x a module'
        if re.match(r'deploy/[^/]*\.sh$|\.ci/run$', path) and not is_script:
            yield path, 1, 'script', 'has no #! line; begin with #!/bin/bash'
        if re.search(SHELL, path):
            run = subprocess.run(['bash', '-n'], input=tree.bytes[path], capture_output=True)
            if run.returncode:
                first = run.stderr.decode().split('\n')[0]
                line = re.search(r'line (\d+)', first)
                yield (path, int(line.group(1)) if line else 1, 'script',
                       f'bash cannot read it ({first}); run bash -n {path}')


RULES = [check_layers, check_calls, check_static_data, check_text, check_lengths, check_heads,
         check_later, check_stray, check_hosts, check_scripts]


def check(root):
    """(number of files, sorted problems)"""
    tree = Tree(root)
    return len(tree.paths), sorted({problem for rule in RULES for problem in rule(tree)})


def main(arguments):
    if arguments in (['-h'], ['--help']):
        print(__doc__)
        return 0
    if arguments == ['--self-test']:
        import tidy_cases
        return tidy_cases.run(check)
    if len(arguments) > 1 or (arguments and not os.path.isdir(arguments[0])):
        print(f'tidy: no folder {arguments[0]}; see tests/tidy.py --help', file=sys.stderr)
        return 2
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    count, problems = check(arguments[0] if arguments else here)
    for path, line, rule, message in problems:
        print(f'{path}:{line}: [{rule}] {message}')
    print(f'tidy: {count} files, {len(problems)} problems')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
