#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The admin pages: metrics that a scraper can read and that count what happened, health that tells
the truth, clients that misbehave there while mail goes on (rows N02, N04, N06)."""
import contextlib
import http.client
import json
import os
import re
import socket
import sys
import time

from harness import ADMIN, IMAP, SMTP, Gateway, check

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
LINE = re.compile(r'ringpost_[a-z0-9_]+(\{([a-z]+="[^"\\]*",?)+\})? -?[0-9]+$')
MESSAGE = b'From: a@example.org\r\nSubject: x\r\n\r\nx\r\n'


def get(gateway, path, method='GET', body=None):
    client = http.client.HTTPConnection('127.0.0.1', gateway.port(ADMIN), timeout=10)
    client.request(method, path, body)
    answer = client.getresponse()
    text = answer.read().decode()
    client.close()
    return answer.status, text


def metrics(gateway):
    """{name with labels: value}, after checking every line of the page."""
    status, text = get(gateway, '/metrics')
    check(status == 200, f'/metrics: {status}')
    values, described = {}, set()
    for line in text.splitlines():
        if line.startswith('# '):
            described.add(line.split()[2])
            continue
        check(LINE.match(line), f'no metric: {line!r}')
        name, value = line.rsplit(' ', 1)
        check(name.split('{')[0] in described, f'{name} has no HELP')
        check(name not in values, f'{name} twice')
        values[name] = int(value)
    return values


def test_pages(gateway):
    check(get(gateway, '/live') == (200, 'live\n'), 'live')
    check(get(gateway, '/ready') == (200, 'ready\n'), 'ready')
    check(get(gateway, '/live', 'HEAD') == (200, ''), 'HEAD')
    check(get(gateway, '/')[0] == 404 and get(gateway, '/metrics/../live')[0] == 404, 'others')
    check(get(gateway, '/live', 'POST', 'x' * 1000)[0] == 405, 'POST')


def test_counters(gateway):
    before = metrics(gateway)
    check(before['ringpost_ready'] == 1, before)
    with gateway.smtp() as smtp:
        smtp.sendmail('a@example.org', ['u1@example.test', 'u2@example.test'], MESSAGE)
        smtp.docmd('NONSENSE\x1b[31m"{}')
    imap = gateway.imap('u1')
    imap.select('INBOX')
    imap.fetch('1', '(BODY[])')
    during = metrics(gateway)
    imap.logout()
    time.sleep(0.3)
    after = metrics(gateway)

    def grew(name, by):
        check(after[name] - before[name] == by, f'{name}: {before[name]} to {after[name]}')
    grew('ringpost_smtp_messages_total', 1)
    grew('ringpost_messages_delivered_total', 2)
    grew('ringpost_auth_ok_total', 1)
    grew('ringpost_connections_total', 2)
    grew('ringpost_protocol_errors_total', 1)
    grew('ringpost_connections_open', 0)
    check(during['ringpost_connections_open'] == before['ringpost_connections_open'] + 1, 'open')
    grew('ringpost_commands_total{protocol="smtp",command="RCPT"}', 2)
    grew('ringpost_commands_total{protocol="imap",command="FETCH"}', 1)
    with open(os.path.join(ROOT, 'include', 'ringpost', 'session.h'), encoding='utf-8') as file:
        rows = set(re.findall(r'^ +ROW\([A-Z_]+, "(\w+)", (?:true|false),', file.read(), re.M))
    check(len(rows) > 20, f'rows of SESSION_END_TABLE: {rows}')
    ends = {name for name in after if name.startswith('ringpost_sessions_ended_total')}
    for protocol in ('smtp', 'lmtp', 'pop3', 'imap'):
        ours = {name for name in ends if f'protocol="{protocol}"' in name}
        quit_name = f'ringpost_sessions_ended_total{{protocol="{protocol}",end="quit"}}'
        check({name.split('"')[3] for name in ours} == rows - {'none'},
              f'{protocol}: sessions end by {ours}')
        for name in ours: # each session once, and by its own row
            grew(name, 1 if name == quit_name and protocol in ('smtp', 'imap') else 0)
    check(not any('NONSENSE' in name or '\x1b' in name for name in after), 'a label of a client')
    check(set(before) == set(after), 'metrics came or went')


def test_misbehaving(gateway): # N02
    """Half requests, long ones, too many at once: mail and health do not notice."""
    held = []
    for i in range(100):
        client = socket.create_connection(('127.0.0.1', gateway.port(ADMIN)), 5)
        held.append(client)
        with contextlib.suppress(OSError):
            client.sendall(b'GET /metrics HTTP/1.1\r\nHost: x' if i % 2 else b'X' * 100000)
    began = time.monotonic()
    with gateway.smtp() as smtp:
        smtp.sendmail('a@example.org', ['u3@example.test'], MESSAGE)
    check(time.monotonic() - began < 5, 'mail waited for the admin pages')
    for client in held:
        client.close()
    until = time.monotonic() + 15
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if get(gateway, '/live')[0] == 200:
                break
        check(time.monotonic() < until, 'the admin pages do not come back')
        time.sleep(0.1)


def test_log(gateway): # N04, A15
    """What clients say cannot make a second log line, nor control bytes in one."""
    with socket.create_connection(('127.0.0.1', gateway.port(IMAP)), 5) as client:
        client.recv(1000)
        client.sendall(b'a LOGIN "x\x1b[2J\xff\xfe" "' + b'p' * 100 + b'"\r\n')
        client.settimeout(20)
        client.recv(1000)
    with socket.create_connection(('127.0.0.1', gateway.port(SMTP)), 5) as client:
        client.recv(1000)
        client.sendall(b'EHLO \x1b[2J\r\nMAIL FROM:<a\x07@b>\r\nQUIT\r\n')
        while client.recv(1000):
            pass
    time.sleep(0.5)
    with open(gateway.log, 'rb') as file:
        lines = file.read().split(b'\n')
    sessions, senders = set(), set()
    for line in lines:
        check(all(byte >= 0x20 for byte in line), f'control bytes in {line!r}')
        check(b'p' * 100 not in line, 'a password in the log')
        event = json.loads(line) if line.startswith(b'{') else {'event': ''}
        if event['event'] == 'session':
            sessions.add(event['id'])
        if event['event'] == 'message':
            senders.add(event['session'])
    check(len(sessions) >= 2 and senders, 'no session or message was logged')
    check(senders <= sessions, f'messages of sessions {senders - sessions} that never ended')


def main():
    with Gateway(users=5) as gateway:
        for test in (test_pages, test_counters, test_misbehaving, test_log):
            test(gateway)
            print(f'{test.__name__}: ok', flush=True)


if __name__ == '__main__':
    sys.exit(main())
