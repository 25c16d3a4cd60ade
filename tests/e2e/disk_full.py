#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Row D10 on a real file system: a small one (loop mount, root only) fills up. New mail is answered
452 or 4xx, reading and deleting go on, and when space comes back mail is taken again without a
restart."""
import os
import smtplib
import subprocess
import sys
import tempfile

from harness import Gateway, check

MEGABYTES = 700  # room for the segments a small store keeps, and little more


def fill(gateway):
    """Sends until refused; returns how many were taken and the refusal's code."""
    body = b'Subject: big\r\n\r\n' + b'0123456789' * 90 + b'\r\n'
    body += (b'y' * 998 + b'\r\n') * 4000
    taken = 0
    with gateway.smtp() as smtp:
        for _ in range(2 * MEGABYTES):
            try:
                smtp.sendmail('a@example.org', ['u0@example.test'], body)
                taken += 1
            except smtplib.SMTPResponseException as refused:
                return taken, refused.smtp_code
            except smtplib.SMTPRecipientsRefused as refused:
                return taken, next(iter(refused.recipients.values()))[0]
    return taken, 0


def main():
    if os.geteuid() != 0:
        print('needs root for a loop mount')
        return 77
    with tempfile.TemporaryDirectory(prefix='ringpost-full-') as folder:
        image, mount = os.path.join(folder, 'image'), os.path.join(folder, 'mount')
        os.mkdir(mount)
        subprocess.run(['truncate', '-s', f'{MEGABYTES}M', image], check=True)
        subprocess.run(['mkfs.ext4', '-q', '-F', image], check=True)
        if subprocess.run(['mount', '-o', 'loop', image, mount], check=False).returncode != 0:
            print('no loop mounts here')
            return 77
        try:
            scenario(mount)
        finally:
            subprocess.run(['umount', '-l', mount], check=False)
    return 0


def scenario(mount):
    with Gateway(users=4, directory=mount) as gateway:
        taken, code = fill(gateway)
        check(taken > 0 and 400 <= code < 500, f'{taken} taken, then {code}')
        imap = gateway.imap('u0')
        check(imap.select('INBOX')[1] == [b'%d' % taken], 'all that was taken is there')
        _, answer = imap.fetch(str(taken), '(BODY.PEEK[])')
        check(len(answer[0][1]) > 4_000_000, 'reading goes on')
        check(imap.store('1:*', '+FLAGS.SILENT', '(\\Deleted)')[0] == 'OK', 'STORE on a full disk')
        check(imap.expunge()[0] == 'OK', 'EXPUNGE on a full disk')
        imap.logout()
        more = 0
        for _ in range(30):  # compaction gives the space back in the background
            more, code = fill(gateway)
            if more > 0:
                break
            subprocess.run(['sleep', '1'], check=True)
        check(more > 0, f'no mail taken after everything was deleted ({code})')
        gateway.kill()
        gateway.start()
        imap = gateway.imap('u0')
        check(imap.select('INBOX')[1] == [b'%d' % more], 'after a kill: what was taken since')
        imap.logout()
    print(f'{taken} messages of 4 MB until {code}; after deleting, {more} more')


if __name__ == '__main__':
    sys.exit(main())
