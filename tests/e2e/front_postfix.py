#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Postfix's lmtp(8) in front of the gateway, two Dovecots behind it: what a mail system of today
makes of the gateway's answers. It keeps what is put off, for each recipient by himself, and comes
again."""
import collections
import os
import random
import signal
import smtplib
import sys
import time

import front_lmtp
from front_harness import Field, peers
from harness import check

MESSAGES, RECIPIENTS = 50, 4
DRAIN_SECONDS_MAX = 60


class Postfix(peers.Postfix):
    """It tries again within seconds, and keeps connections."""

    PORTS = {'smtp': 40, 'smtps': 41} # behind those of the field
    MORE = ('queue_run_delay = 1s\nminimal_backoff_time = 1s\nmaximal_backoff_time = 2s\n'
            'transport_retry_time = 1s\nlmtp_connect_timeout = 2s\n')

    def prepare(self):
        super().prepare()
        with open(os.path.join(self.dir, 'etc', 'main.cf'), 'a', encoding='ascii') as file:
            file.write(self.MORE)

    def drain(self):
        until = time.monotonic() + DRAIN_SECONDS_MAX
        while self.queued() > 0:
            check(time.monotonic() < until, f'{self.queued()} messages stay in its queue')
            time.sleep(0.1)


def submit(postfix, number, users):
    name = f'post-{number}'
    with smtplib.SMTP('127.0.0.1', postfix.ports['smtp'], timeout=30) as smtp:
        refused = smtp.sendmail('a@example.org', [front_lmtp.address(user) for user in users],
                                front_lmtp.message(name, b'.\r\n..x\r\n' * (number + 1)))
    check(not refused, f'Postfix refuses {refused}')
    return [(user, name) for user in users]


def test_retries(field):
    """Messages of several recipients while a backend is killed: in the end each has what was sent
    to him, at his backend and nowhere else; those of the other one need not wait for it."""
    users = front_lmtp.all_users(field)
    where = front_lmtp.by_directory(field, users)
    left, rng = field.stores['left'], random.Random(4)
    wanted = collections.Counter()
    with Postfix(field.ground, f'lmtp:inet:127.0.0.1:{field.ports["lmtp"]}') as postfix:
        for number in range(MESSAGES):
            if number == MESSAGES // 3:
                left.stop(signal.SIGKILL)
            wanted.update(submit(postfix, number, rng.sample(users, RECIPIENTS)))
        time.sleep(3)
        kept = postfix.queued()
        check(kept > 0, 'nothing was put off: the backend was not missed')
        others = {(user, name) for user, name in wanted if where[user] != 'left'}
        there = front_lmtp.tally(field, where, 'post-', ['right'])
        check(set(there) == others, f'{len(others - set(there))} wait for another backend')
        left.start(keep=True)
        postfix.drain()
    counts = front_lmtp.tally(field, where, 'post-')
    check(set(counts) == set(wanted), f'{len(set(wanted) - set(counts))} lost, '
          f'{len(set(counts) - set(wanted))} that nobody sent')
    check(all(counts[key] == 1 for key in others), 'what the living backend took came again')
    twice = sum(count > 1 for count in counts.values())
    print(f'  {len(wanted)} delivered, {kept} messages waited, {twice} copies too many', flush=True)


def main():
    with Field(users=24, kind=front_lmtp.MailStore) as field:
        problem = Postfix(field.ground).problem()
        if problem:
            print(problem)
            sys.exit(77)
        began = time.monotonic()
        test_retries(field)
        print(f'test_retries: ok, {time.monotonic() - began:.1f} s', flush=True)


if __name__ == '__main__':
    sys.exit(main())
