#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages of ringpost-bench in a browser: they fetch nothing, complain of nothing, draw nothing
that is not there or not inside, fit on a phone and on paper, can be read in light and dark, and
what servers say does nothing.

usage: bench_page.py               all tests
       bench_page.py --shots DIR   pages and pictures of them, light and dark, wide and narrow
       bench_page.py --hash        what page_script_hash in bench/load/page_style.c must be

The inputs are tests/data/bench: results as they could be (run, partial, one, a*, b*, suite), and
what must not harm: hostile (what a server says is HTML, script and terminal control), strange,
suite_strange (numbers without sense, members of other types), empty, cut (half a file).
"""
import base64
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

import browser as browsers
from harness import check

BUILD = os.environ.get('RINGPOST_BUILD') or sys.exit('RINGPOST_BUILD must name a build directory')
BENCH = os.path.join(BUILD, 'bench/load/ringpost-bench')
DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../data/bench')

# Numbers without sense in any attribute of a drawing.
ATTRIBUTES = r'''
return [...document.querySelectorAll('svg, svg *')].flatMap(e => [...e.attributes]
  .filter(a => !['data-name', 'class'].includes(a.name) && /nan|inf|undefined/i.test(a.value))
  .map(a => e.tagName + ' ' + a.name + '=' + a.value.slice(0, 80)))'''

# Parts of visible drawings that are not inside of them.
OUTSIDE = r'''
return [...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().width)
 .flatMap(svg => {const v = svg.viewBox.baseVal;
  return [...svg.querySelectorAll('path, text, circle')].filter(e => {const b = e.getBBox();
   return ![b.x, b.y, b.width, b.height].every(isFinite) || b.x < -1 || b.y < -1 ||
    b.x + b.width > v.width + 1 || b.y + b.height > v.height + 1})
  .map(e => (svg.querySelector('title') || svg).textContent.slice(0, 40) + ': ' + e.tagName + ' ' +
   e.textContent + JSON.stringify([e.getBBox().x, e.getBBox().y, e.getBBox().width,
    e.getBBox().height].map(Math.round)))})'''

# Labels of an axis that lie on each other.
OVERLAP = r'''
return [...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().width)
 .flatMap(svg => {const all = [...svg.querySelectorAll('.tick text, text.tick, text.name')];
  const found = [];
  all.forEach((a, i) => all.slice(i + 1).forEach(b => {
   const p = a.getBBox(), q = b.getBBox();
   if (p.x < q.x + q.width && q.x < p.x + p.width && p.y + 2 < q.y + q.height &&
       q.y + 2 < p.y + p.height) found.push(a.textContent + ' on ' + b.textContent)}));
  return found})'''

# What makes the page wider than the window; tables may scroll in a box of their own.
WIDE = r'''
const width = document.documentElement.clientWidth;
return document.documentElement.scrollWidth <= width ? [] :
 [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll *') &&
  e.getBoundingClientRect().right > width + 1).map(e => e.tagName + ' ' + e.className)
 .concat('the page is ' + document.documentElement.scrollWidth)'''

# Text (4.5:1) and lines (3:1) that can hardly be told from what is behind them (WCAG 2, AA).
CONTRAST = r'''
const numbers = c => c.match(/[\d.]+/g).map(Number);
const light = c => c.slice(0, 3).map(v => (v /= 255) <= .03928 ? v / 12.92 :
 Math.pow((v + .055) / 1.055, 2.4)).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const ratio = (a, b) => {const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
 return (x + .05) / (y + .05)};
function ground(e) {
 for (; e; e = e.parentElement) {
  const c = numbers(getComputedStyle(e).backgroundColor);
  if (c.length < 4 || c[3] > 0) return c;
 }
 return [255, 255, 255];
}
const found = new Set();
for (const e of document.querySelectorAll('main *')) {
 const style = getComputedStyle(e);
 let colour = null, least = 4.5;
 if (e.closest('svg')) {
  if (e.tagName == 'text') colour = style.fill;
  else if (/line|whisker|stroke/.test(e.getAttribute('class') || ''))
   [colour, least] = [style.stroke, 3];
 } else if ([...e.childNodes].some(n => n.nodeType == 3 && n.textContent.trim()))
  colour = style.color;
 if (colour && ratio(numbers(colour), ground(e)) < least)
  found.add(e.tagName + '.' + (e.getAttribute('class') || '') + ' ' + colour + ' on ' + ground(e));
}
return [...found]'''

# What must not be there whatever the input says.
INERT = r'''
return [...document.querySelectorAll('img, iframe, object, embed, form, a, main script, b b')]
 .map(e => e.tagName)
 .concat([...document.querySelectorAll('*')].flatMap(e => [...e.attributes])
  .filter(a => /^on/i.test(a.name) || ['href', 'src', 'action'].includes(a.name) &&
   a.value != 'data:,').map(a => a.name + '=' + a.value))
 .concat(document.scripts.length == 1 ? [] : [document.scripts.length + ' scripts'])
 .concat(['pwned', '1'].includes(document.title) ? [document.title] : [])'''

# For who does not see it, and for who prints it.
NAMED = r'''
return [...document.querySelectorAll('th:not([scope])')].map(e => 'th ' + e.textContent)
 .concat([...document.querySelectorAll('table:not(:has(caption))')].map(() => 'no caption'))
 .concat([...document.querySelectorAll('svg:not([aria-hidden])')].filter(s =>
  s.getAttribute('role') != 'img' || !s.querySelector('title')?.textContent ||
  !s.querySelector('desc')).map(s => 'svg ' + s.outerHTML.slice(0, 60)))
 .concat(document.documentElement.lang == 'en' ? [] : ['no language'])
 .concat([...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) =>
  all.indexOf(id) != i).map(id => 'twice: ' + id))'''


def bench(*words, code=0):
    """Runs ringpost-bench; returns what it said."""
    run = subprocess.run([BENCH, *words], capture_output=True, timeout=120)
    check(run.returncode == code, f'{words}: {run.returncode} {run.stderr.decode()[-500:]}')
    return run.stdout.decode() + run.stderr.decode()


def data(*names):
    return [os.path.join(DATA, name + '.json') for name in names]


def make_pages(folder):
    """{name: path}"""
    pages = {}

    def page(name, *words):
        pages[name] = os.path.join(folder, name + '.html')
        bench(*words, '--html', pages[name])
    for path in sorted(glob.glob(os.path.join(DATA, '*.json'))):
        name = os.path.basename(path)[:-5]
        if name != 'cut':
            page(name, 'page', path)
    page('compare', 'compare', *data('a0', 'a1', 'a2', 'b0', 'b1', 'b2'))
    page('compare_strange', 'compare', *data('hostile', 'strange', 'run', 'partial', 'empty'))
    return pages


def script_hash(path):
    with open(path, encoding='utf-8') as file:
        page = file.read()
    script = re.search(r'<script>(.*)</script>', page, re.S).group(1)
    allowed = re.search(r"script-src '([^']*)'", page).group(1)
    digest = hashlib.sha256(script.encode()).digest()
    return 'sha256-' + base64.b64encode(digest).decode(), allowed


def none(found, what):
    check(not found, f'{what}: {len(found)}: {"; ".join(found[:5])}')


# --- tests ----------------------------------------------------------------------------------------

def check_looks(browser, name):
    for width in (1280, 700, 400):
        browser.size(width)
        where = f'{name} at {width}'
        none(browser.run(WIDE), f'{where}: too wide')
        none(browser.run(OUTSIDE), f'{where}: outside of its drawing')
        none(browser.run(OVERLAP), f'{where}: labels on each other')
    browser.size(1280)
    for scheme in ('light', 'dark'):
        browser.scheme(scheme)
        none(browser.run(CONTRAST), f'{name}, {scheme}: too little contrast')
        ground = browser.run('return getComputedStyle(document.body).backgroundColor')
        is_light = int(re.search(r'\d+', ground).group()) > 128
        check(is_light == (scheme == 'light'), f'{name}: {ground} in {scheme}')
    browser.paper(True)
    none(browser.run(WIDE) + browser.run(CONTRAST), f'{name} on paper')
    browser.paper(False)
    browser.scheme('light')


def test_every_page(browser, pages):  # G12
    """Each page: loads alone, complains of nothing, is drawn well, can be read and printed."""
    for name, path in pages.items():
        browser.requests()
        browser.log('browser')
        browser.open(path)
        none(browser.run(ATTRIBUTES), f'{name}: no number')
        none(browser.run(INERT), f'{name}: not inert')
        none(browser.run(NAMED), f'{name}: without a name')
        check_looks(browser, name)
        printed = browser.print()
        count = len(re.findall(rb'/Type\s*/Page\b', printed))
        check(printed.startswith(b'%PDF') and 1 <= count <= 40, f'{name}: {count} pages of paper')
        none([entry['message'] for entry in browser.log('browser')], f'{name}: console')
        fetched = browser.requests()
        check('file://' + path in fetched, f'{name}: {fetched}')
        none([url for url in fetched if url not in ('file://' + path, 'data:,')],
             f'{name}: fetches')


def test_without_script(browser, pages):
    """All content is there when no script runs."""
    for name in ('run', 'suite', 'compare'):
        texts = []
        for is_cut in (False, True):
            path = pages[name]
            if is_cut:
                with open(path, encoding='utf-8') as file:
                    page = re.sub(r'<script>.*</script>', '', file.read(), flags=re.S)
                path = path.replace('.html', '_cut.html')
                with open(path, 'w', encoding='utf-8') as file:
                    file.write(page)
            browser.open(path)
            texts.append(browser.run('return document.querySelector("main").textContent'))
        check(len(texts[0]) > 1000 and texts[0] == texts[1], f'{name}: differs without its script')


def test_script(browser, pages):
    """The script is the one that the policy allows; values show under the pointer; tables sort."""
    want, allowed = script_hash(pages['run'])
    check(want == allowed, f'page_script_hash in page_style.c must be {want}')
    browser.size(1280)
    browser.open(pages['run'])
    box = browser.run('const b = document.querySelector("svg.wide").getBoundingClientRect();'
                      'return [b.x + b.width / 2, b.y + b.height / 2]')
    browser.point(*box)
    tip = browser.run('return [...document.querySelectorAll(".tip")].map(e => e.innerText)')
    check(len(tip) == 1 and re.search(r'operations [\d,]{3,}$', tip[0]), f'at the pointer: {tip}')
    browser.point(2, 2)
    check(browser.run('return document.querySelectorAll(".tip, .hair").length') == 0, 'tip stays')
    column = 'return [...document.querySelectorAll("table.sortable tbody tr")].map(r => ' \
             'Number(r.cells[4].dataset.sort))'
    button = 'document.querySelectorAll("table.sortable thead th")[4].firstElementChild.click()'
    before = browser.run(column)
    browser.run(button)
    up = browser.run(column)
    browser.run(button)
    down = browser.run(column)
    check(up == sorted(before) and down == up[::-1] and up != before, f'{before} {up} {down}')


def test_hostile(browser, pages):  # G11
    """What a server says is shown as what it is, and cut."""
    browser.open(pages['hostile'])
    text = browser.run('return document.body.innerText')
    for words in ('<script>document.title="pwned"</script>', r'\x1b[31m\x00\x07\r\n', '<U+202E>'):
        check(words in text, f'{words!r} is not shown')
    none([c for c in text if ord(c) < 32 and c not in '\n\t' or c in '\u202e\u2066'], 'control')
    check('x' * 100 not in text and 'W' * 500 not in text, 'not cut')
    said = bench('compare', *data('hostile', 'run'))
    none([hex(ord(c)) for c in said if ord(c) < 32 and c != '\n' or 0x7f <= ord(c) < 0xa0 or
          c in '\u202e\u2066'], 'control characters on the terminal')


def test_partial(browser, pages):
    """A partial run and lost messages are said at the top, in sight."""
    browser.size(1280, 700)
    browser.open(pages['partial'])
    seen = browser.run('return [...document.querySelectorAll(".notice.bad")].map(e => '
                       '[e.innerText, e.getBoundingClientRect().bottom])')
    check(len(seen) == 2 and 'PARTIAL interrupted' in seen[0][0] and '3 are missing' in seen[1][0]
          and all(bottom < 700 for _, bottom in seen), f'{seen}')
    browser.open(pages['run'])
    check(browser.run('return document.querySelectorAll(".notice").length') == 0, 'notices')


def test_content(browser, pages):
    """Figures of the JSON stand on the page."""
    with open(data('suite')[0], encoding='ascii') as file:
        suite = json.load(file)
    browser.open(pages['suite'])
    rows = browser.run('return [...document.querySelectorAll("tbody.row")].map(e => e.innerText)')
    check(len(rows) == len(suite['rows']), f'{len(rows)} rows')
    for row, shown in zip(suite['rows'], rows):
        for word in [row['name'], row['what'], row['target']] + [s['server']
                                                                 for s in row['servers']]:
            check(word in shown, f'{word!r} is not in {shown!r}')
    verdicts = [re.search(r'not met|met|within the spread|not judged', shown).group()
                for shown in rows]
    check(verdicts[0] == 'not met' and verdicts[1] == 'met' and verdicts[-1] == 'not judged',
          f'{verdicts}')
    sweeps = browser.run('return [...document.querySelectorAll("figure")].map(f => [f.innerText, '
                         'f.querySelectorAll("svg.wide .band").length])')
    check(len(sweeps) == len(suite['sweeps']) and all(count for _, count in sweeps), f'{sweeps}')
    browser.open(pages['compare'])
    text = browser.run('return document.body.innerText')
    check('in turns' in text and '0.937' in text, 'compare')


def test_refused(*_):  # G12
    """Files that are no results."""
    for words, code in ((['page', *data('cut'), '--html', '-'], 2),
                        (['compare', *data('run', 'cut')], 2),
                        (['page', '/nowhere.json', '--html', '-'], 2)):
        run = subprocess.run([BENCH, *words], capture_output=True, timeout=60)
        check(run.returncode not in (0, -6, -11) and run.stderr, f'{words}: {run.returncode}')


TESTS = [test_every_page, test_without_script, test_script, test_hostile, test_partial,
         test_content, test_refused]


def shots(browser, pages, folder):
    for name, path in pages.items():
        for width in (1280, 400):
            for scheme in ('light', 'dark'):
                browser.size(width)
                browser.scheme(scheme)
                browser.open(path)
                browser.shot(os.path.join(folder, f'{name}-{width}-{scheme}.png'))
        browser.paper(True)
        browser.shot(os.path.join(folder, f'{name}-paper.png'))
        browser.paper(False)


def main(arguments):
    with tempfile.TemporaryDirectory(prefix='ringpost-page-') as folder:
        if arguments == ['--hash']:
            bench('page', *data('run'), '--html', os.path.join(folder, 'run.html'))
            print(script_hash(os.path.join(folder, 'run.html'))[0])
            return 0
        if not browsers.is_there():
            print('chromium or chromedriver is not installed')
            return 77
        if len(arguments) == 2 and arguments[0] == '--shots':
            folder = os.path.abspath(arguments[1])
            os.makedirs(folder, exist_ok=True)
        elif arguments:
            sys.exit(__doc__)
        pages = make_pages(folder)
        with browsers.Browser() as browser:
            if arguments:
                shots(browser, pages, folder)
                return 0
            for test in TESTS:
                test(browser, pages)
                print(f'{test.__name__}: ok', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
