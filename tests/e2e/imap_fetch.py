#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Real messages fetched part by part, and searched, against Python's own reading of the same bytes:
sections, partials, ENVELOPE, BODYSTRUCTURE; words in bodies and headers; random search programs
over flags, sizes and numbers against a model."""
import email
import email.header
import email.utils
import random
import re
import sys

from harness import Gateway, check, samples, same

# Boundary lines one behind the other: Python passes over what RFC 2046 calls empty parts.
READ_OTHERWISE = ('msg_37.txt',)
MESSAGE_TYPES = ('message/rfc822', 'message/global')


# --- reading IMAP ---------------------------------------------------------------------------------

def lex(answer):
    """Tokens of one FETCH answer of imaplib: literals as bytes in a tuple of one."""
    for piece in answer:
        text, literal = piece if isinstance(piece, tuple) else (piece, None)
        if literal is not None:
            text = re.sub(rb'\{\d+\}$', b'', text)
        pattern = rb'"(?:[^"\\]|\\.)*"|[()]|(?:BODY|RFC822[.A-Z]*)\[[^]]*\](?:<\d+>)?|[^\s()"]+'
        for token in re.findall(pattern, text):
            if token[:1] == b'"':
                yield (re.sub(rb'\\(.)', rb'\1', token[1:-1]),)
            else:
                yield token
        if literal is not None:
            yield (literal,)


def tree(tokens):
    """Nested lists; strings as bytes, NIL as None, atoms as str."""
    stack = [[]]
    for token in tokens:
        if token == b'(':
            stack.append([])
        elif token == b')':
            done = stack.pop()
            stack[-1].append(done)
        elif isinstance(token, tuple):
            stack[-1].append(token[0])
        else:
            stack[-1].append(None if token.upper() == b'NIL' else token.decode())
    check(len(stack) == 1, 'brackets do not pair')
    return stack[0]


def fetch(imap, number, items):
    """{item: value} of one message."""
    kind, answer = imap.fetch(str(number), f'({items})')
    check(kind == 'OK', f'FETCH {number} ({items}): {kind} {answer}')
    flat = tree(lex(answer))
    check(flat[0] == str(number) and isinstance(flat[1], list), f'FETCH {number}: {flat[:1]}')
    return dict(zip(flat[1][::2], flat[1][1::2]))


def section(imap, number, name, partial=''):
    value = fetch(imap, number, f'BODY.PEEK[{name}]{partial}')
    (label, data), = value.items()
    want = f'BODY[{name}]' + re.sub(r'\.\d+>$', '>', partial)
    check(label == want, f'answered {label} to {want}')
    return data


# --- sections -------------------------------------------------------------------------------------

def is_message(part):
    return part.get_content_type() in MESSAGE_TYPES


def raw(part):
    """The bytes as they stand: get_payload() would decode what is 8bit."""
    return part._payload.encode('ascii', 'surrogateescape')


def parts_of(message, prefix=''):
    """(part number, Python's part, is it read as IMAP reads it), as RFC 9051 6.4.5.1 numbers."""
    if not message.is_multipart() or message.get_content_maintype() != 'multipart':
        yield prefix + '1', message, True
        return
    for number, part in enumerate(message.get_payload(), 1):
        path = f'{prefix}{number}'
        yield path, part, False
        if part.get_content_maintype() == 'multipart' and part.is_multipart():
            yield from parts_of(part, path + '.')
        elif is_message(part) and part.is_multipart():
            yield from parts_of(part.get_payload(0), path + '.')


def is_clean(name, message):
    return name not in READ_OTHERWISE and not any(part.defects for part in message.walk())


def compare_parts(imap, number, name, message, counts):
    for path, part, is_body in parts_of(message):
        what = f'{name} part {path}'
        data = section(imap, number, path)
        check(data is not None, f'{what}: NIL')
        if not part.is_multipart():
            same(data, raw(part), what)
            counts['bodies'] += 1
        if not is_body:
            got = email.message_from_bytes(section(imap, number, path + '.MIME'))
            check(got.items() == part.items(), f'{what}: MIME header differs')
            counts['headers'] += 1
        if is_message(part) and part.is_multipart():
            inner = part.get_payload(0)
            header = section(imap, number, path + '.HEADER')
            got = email.message_from_bytes(header)
            check(got.items() == inner.items(), f'{what}: embedded header differs')
            same(header + section(imap, number, path + '.TEXT'), data, what + ' HEADER, TEXT')
            counts['embedded'] += 1
        if len(data) > 3:
            middle = len(data) // 2
            same(section(imap, number, path, f'<{middle}.7>'), data[middle:middle + 7], what)
            same(section(imap, number, path, f'<1.{len(data)}>'), data[1:], what + ' from 1')
        same(section(imap, number, path, f'<{len(data)}.9>'), b'', what + ' behind its end')


def compare_whole(imap, number, name, message, whole):
    got = fetch(imap, number, 'RFC822.SIZE RFC822.HEADER BODY.PEEK[] BODY.PEEK[HEADER] '
                              'BODY.PEEK[TEXT] BODY.PEEK[HEADER.FIELDS (subject FROM X-None)] '
                              'BODY.PEEK[HEADER.FIELDS.NOT (subject FROM X-None)]')
    same(got['BODY[]'], whole, name)
    check(int(got['RFC822.SIZE']) == len(whole), f'{name}: size')
    same(got['BODY[HEADER]'] + got['BODY[TEXT]'], whole, f'{name}: header, text')
    same(got['RFC822.HEADER'], got['BODY[HEADER]'], f'{name}: RFC822.HEADER')
    some = email.message_from_bytes(got['BODY[HEADER.FIELDS (subject FROM X-None)]'])
    rest = email.message_from_bytes(got['BODY[HEADER.FIELDS.NOT (subject FROM X-None)]'])
    if is_clean(name, message):
        wanted = [item for item in message.items() if item[0].lower() in ('subject', 'from')]
        check(some.items() == wanted, f'{name}: HEADER.FIELDS')
        check(rest.items() == [item for item in message.items() if item not in wanted],
              f'{name}: HEADER.FIELDS.NOT')


# --- structure and envelope -----------------------------------------------------------------------

def structure_parts(structure, prefix=''):
    """(part number, its BODYSTRUCTURE list)."""
    if isinstance(structure[0], list):
        for number, part in enumerate(structure, 1):
            if not isinstance(part, list):
                break  # the subtype; extension data follow
            yield f'{prefix}{number}', part
            yield from structure_inside(part, f'{prefix}{number}.')
    else:
        yield prefix + '1', structure


def structure_inside(part, prefix):
    if isinstance(part[0], list):
        yield from structure_parts(part, prefix)
    elif (part[0].lower(), part[1].lower()) == (b'message', b'rfc822'):
        yield from structure_parts(part[8], prefix)


def media(part):
    return b'%s/%s' % (part[0].lower(), part[1].lower())


def compare_structure(imap, number, name, message, counts):
    got = fetch(imap, number, 'BODYSTRUCTURE BODY ENVELOPE')
    parts = [(p, s) for p, s in structure_parts(got['BODYSTRUCTURE'])]
    for path, part in parts:
        if isinstance(part[0], list):
            continue
        data = section(imap, number, path)
        if data is None:  # a multipart without parts is given one (its grammar has no other way)
            check(part[6] == '0', f'{name} {path}: NIL, is {part}')
            continue
        check(int(part[6]) == len(data), f'{name} {path}: {part[6]} octets, fetched {len(data)}')
        lines = {b'text': 7, b'message': 9}.get(part[0].lower())
        if lines is not None and (lines == 7 or part[1].lower() == b'rfc822'):
            ends = data.count(b'\n')
            check(int(part[lines]) in (ends, ends + 1), f'{name} {path}: {part[lines]} lines')
    if not is_clean(name, message):
        return
    wanted = [(path, part.get_content_type().encode()) for path, part, _ in parts_of(message)
              if not part.get_content_maintype() == 'multipart']
    seen = [(path, media(part)) for path, part in parts if not isinstance(part[0], list)]
    if not all(re.fullmatch(rb'[\w.+-]+/[\w.+-]+', kind) for _, kind in wanted):
        return
    check(seen == wanted, f'{name}: structure {seen} is not {wanted}')
    counts['structures'] += 1
    compare_envelope(name, got['ENVELOPE'], message, counts)


def unfolded(value):
    return None if value is None else re.sub(
        rb'\s+', b' ', str(value).encode('ascii', 'surrogateescape')).strip()


def compare_envelope(name, envelope, message, counts):
    check(len(envelope) == 10, f'{name}: ENVELOPE of {len(envelope)}')
    for field, value in (('Date', envelope[0]), ('Subject', envelope[1]),
                         ('In-Reply-To', envelope[8]), ('Message-ID', envelope[9])):
        got = None if value is None else re.sub(rb'\s+', b' ', value)
        want = unfolded(message[field])
        check(got == want or (not got and not want), f'{name}: {field} {got!r} is not {want!r}')
    for field, value in (('From', envelope[2]), ('To', envelope[5]), ('Cc', envelope[6])):
        text = ', '.join(map(str, message.get_all(field, [])))
        simple = r'\s*([\w .]*<[^<>@, ]+@[^<>@, ]+>|[^<>@, ]+@[^<>@, ]+)\s*'
        if re.search(r'[^ -~\s]|[();:"\\\[]', text) or not re.fullmatch(
                f'({simple},)*{simple}', text):
            continue  # groups, comments, quoting: the unit tests' matter
        wanted = [address for _, address in email.utils.getaddresses([text]) if '@' in address]
        got = [b'%s@%s' % (a[2], a[3]) for a in value or [] if a[3]]
        check([a.decode() for a in got] == wanted, f'{name}: {field} {got} is not {wanted}')
        counts['addresses'] += len(wanted)


# --- searching ------------------------------------------------------------------------------------

def found(imap, *keys):
    kind, answer = imap.search(None, *keys)
    check(kind == 'OK', f'SEARCH {keys}: {kind} {answer}')
    return [int(n) for n in answer[0].split()]


def text_of(message):
    """The text parts as people read them, or None where Python is not sure."""
    texts = []
    for part in message.walk():
        if part.get_content_maintype() != 'text' or part.is_multipart():
            continue
        try:
            charset = part.get_content_charset('us-ascii')
            texts.append(part.get_payload(decode=True).decode(charset))
            if part.defects:  # what is called base64 is not
                return None
        except (LookupError, UnicodeError):
            return None
    return '\n'.join(texts).lower()


def compare_words(imap, names, messages, rng):
    texts = [text_of(m) if is_clean(n, m) else None for n, m in zip(names, messages)]
    words = sorted({w for text in texts if text for w in re.findall(r'[a-z]{6,12}', text)})
    for word in rng.sample(words, 60):
        got = found(imap, 'BODY', word)
        for number, text in enumerate(texts, 1):
            if text is None:
                continue
            inner = messages[number - 1]
            is_sure = not any(is_message(part) for part in inner.walk())
            if is_sure or word in text:
                what = f'BODY {word}: {names[number - 1]}'
                check((number in got) == (word in text), f'{what}: {number in got}')
        kind, answer = imap.uid('SEARCH', 'RETURN', '(COUNT)', 'BODY', word)
        check(kind == 'OK', f'COUNT of {word}: {answer}')
    for number, message in enumerate(messages, 1):
        subject = str(message['Subject'] or '')
        if re.fullmatch(r'[ -~]+', subject) and '=?' not in subject:
            quoted = '"%s"' % re.sub(r'(["\\])', r'\\\1', subject.strip())
            check(number in found(imap, 'SUBJECT', quoted), f'SUBJECT {quoted}')
    return len(words)


class Model:
    """What a search finds, by flags, sizes, numbers."""
    FLAGS = ('Seen', 'Answered', 'Flagged', 'Deleted', 'Draft')

    def __init__(self, imap, count, rng):
        self.rng, self.count = rng, count
        self.flags = {n: set() for n in range(1, count + 1)}
        for flag in self.FLAGS:
            for number in rng.sample(range(1, count + 1), count // 3):
                imap.store(str(number), '+FLAGS.SILENT', f'(\\{flag})')
                self.flags[number].add(flag)
        self.sizes, self.uids = {}, {}
        for answer in imap.fetch('1:*', '(UID RFC822.SIZE)')[1]:
            number, uid, size = map(int, re.findall(rb'\d+', answer.replace(b'RFC822', b'')))
            self.sizes[number], self.uids[number] = size, uid

    def leaf(self):
        rng = self.rng
        flag = rng.choice(self.FLAGS)
        size = rng.choice(list(self.sizes.values())) + rng.randint(-1, 1)
        low, high = sorted((rng.randint(1, self.count), rng.randint(1, self.count + 5)))
        uid = self.uids[rng.randint(1, self.count)]
        return rng.choice((
            (flag.upper(), lambda n: flag in self.flags[n]),
            ('UN' + flag.upper(), lambda n: flag not in self.flags[n]),
            (f'LARGER {size}', lambda n: self.sizes[n] > size),
            (f'SMALLER {size}', lambda n: self.sizes[n] < size),
            (f'{high}:{low}', lambda n: low <= n <= high),
            (f'UID {uid}:*', lambda n: self.uids[n] >= uid),
            ('ALL', lambda n: True)))

    def program(self, depth):
        kind = self.rng.choice(('leaf', 'not', 'or', 'and')) if depth else 'leaf'
        if kind == 'leaf':
            return self.leaf()
        text, test = self.program(depth - 1)
        if kind == 'not':
            return f'NOT {text}', lambda n: not test(n)
        text2, test2 = self.program(depth - 1)
        if kind == 'or':
            return f'OR {text} {text2}', lambda n: test(n) or test2(n)
        return f'({text} {text2})', lambda n: test(n) and test2(n)

    def compare(self, imap, rounds):
        for _ in range(rounds):
            text, test = self.program(self.rng.randint(0, 6))
            want = [n for n in range(1, self.count + 1) if test(n)]
            check(found(imap, text) == want, f'SEARCH {text}')


# --- all ------------------------------------------------------------------------------------------

def main():
    messages = samples()
    check(len(messages) >= 60, f'only {len(messages)} samples: RINGPOST_SAMPLES?')
    counts = dict.fromkeys(('clean', 'bodies', 'headers', 'embedded', 'structures', 'addresses'), 0)
    rng = random.Random(9051)
    with Gateway(users=2) as gateway:
        imap = gateway.imap('u0')
        for _, message in messages:
            kind, answer = imap.append('INBOX', None, None, message)
            check(kind == 'OK', f'APPEND: {answer}')
        imap.select('INBOX')
        parsed = [email.message_from_bytes(message) for _, message in messages]
        for number, ((name, whole), message) in enumerate(zip(messages, parsed), 1):
            compare_whole(imap, number, name, message, whole)
            compare_structure(imap, number, name, message, counts)
            if is_clean(name, message):
                counts['clean'] += 1
                compare_parts(imap, number, name, message, counts)
            check(section(imap, number, '99') is None, f'{name}: part 99')
        words = compare_words(imap, [name for name, _ in messages], parsed, rng)
        Model(imap, len(messages), rng).compare(imap, 400)
        imap.logout()
    check(counts['clean'] >= 50 and counts['bodies'] >= 60, f'too little compared: {counts}')
    print(f'{len(messages)} messages: {counts}, {words} words')


if __name__ == '__main__':
    sys.exit(main())
