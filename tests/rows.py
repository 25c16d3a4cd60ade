#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The checklist of bad input (docs/bad-input.md) against the tests that are said to show it.

usage: tests/rows.py [ROOT]          check the tree (default: the one this file is in)

Each row is `| id | what | must | tests |`; an id may be a range (S01-S09); tests are
`path` name; `path` name; ..., or the word open. A row holds when each path is a file that mentions
the row's id and the name; no id occurs in the tests that is not on the page; and a row that is open
stands under "Known gaps" in HACKING.md. Each problem is one line; the open rows are listed; exit
status 1 if there was a problem.
"""
import os
import re
import sys

PAGE, TESTS = 'docs/bad-input.md', ('tests', 'bench')
ID = r'[SIPMTAXDCNRFG]\d\d'
ROW = re.compile(rf'\| ({ID}(?:-{ID})?) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$')
SHOWN = re.compile(r'`([\w./-]+)`(?: (\w+))?$')
READ = r'\.(c|h|py|sh|t)$'


def expand(cell):
    """S01-S03 -> S01 S02 S03"""
    first, _, last = cell.partition('-')
    return [f'{first[0]}{n:02}' for n in range(int(first[1:]), int((last or first)[1:]) + 1)]


def load(root, path):
    with open(os.path.join(root, path), encoding='utf-8', errors='replace') as file:
        return file.read()


def rows(page):
    """[(line number, id cell, tests cell)]"""
    found = []
    for number, line in enumerate(page.split('\n'), 1):
        match = ROW.match(line)
        if match:
            found.append((number, match.group(1), match.group(4)))
        elif re.match(rf'\| *{ID[:-2]}', line):
            found.append((number, None, line))
    return found


def check_row(root, cell, shown):
    """What is wrong with one row that names tests."""
    for item in shown.split('; '):
        match = SHOWN.match(item)
        if not match:
            yield f'`path` name is wanted in place of {item!r}'
        elif not os.path.isfile(os.path.join(root, match.group(1))):
            yield f'no file {match.group(1)}'
        else:
            text = load(root, match.group(1))
            for word in filter(None, (cell, match.group(2))):
                if not re.search(rf'(?<![\w-]){re.escape(word)}(?![\w])', text):
                    yield f'{match.group(1)} does not mention {word}'


def check_mentions(root, known):
    """Ids in the tests that are not on the page."""
    for top in TESTS:
        for folder, _, files in os.walk(os.path.join(root, top)):
            for name in sorted(files):
                path = os.path.relpath(os.path.join(folder, name), root)
                if not re.search(READ, name):
                    continue
                for number, line in enumerate(load(root, path).split('\n'), 1):
                    for unknown in set(re.findall(rf'\b{ID}\b', line)) - known:
                        yield f'{path}:{number}: {unknown} is not in {PAGE}'


def check(root):
    """(problems, ids of rows, ids of open rows)"""
    problems, known, open_rows = [], set(), []
    gaps = re.search(r'^## Known gaps\n(.*?)(?=^## |\Z)', load(root, 'HACKING.md'), re.S | re.M)
    gaps = gaps.group(1) if gaps else ''
    for number, cell, shown in rows(load(root, PAGE)):
        if cell is None:
            problems.append(f'{PAGE}:{number}: no row of four cells: {shown}')
            continue
        wrong = []
        if known & set(expand(cell)):
            wrong.append('is there twice')
        known |= set(expand(cell))
        if shown == 'open':
            open_rows.append(cell)
            if not re.search(rf'\b{cell}\b', gaps):
                wrong.append('is open and does not stand under "Known gaps" in HACKING.md')
        else:
            wrong += check_row(root, cell, shown)
        problems += [f'{PAGE}:{number}: {cell}: {what}' for what in wrong]
    return problems + list(check_mentions(root, known)), known, open_rows


def main(arguments):
    if arguments in (['-h'], ['--help']):
        print(__doc__)
        return 0
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    problems, known, open_rows = check(arguments[0] if arguments else here)
    for problem in problems:
        print(problem)
    print(f'open: {" ".join(open_rows) or "none"}')
    print(f'rows: {len(known)} ids, {len(open_rows)} open, {len(problems)} problems')
    return 1 if problems or not known else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
