# SPDX-License-Identifier: GPL-2.0-or-later
"""Sends messages with Python's smtplib, as many scripts do: what a row of the suite compares with.

usage: smtplib_client.py PORT COUNT SIZE PER_CONNECTION     0: all over one connection
"""
import smtplib
import sys


def main():
    port, count, size, per_connection = map(int, sys.argv[1:])
    head = b'From: s@example.test\r\nTo: u1@example.test\r\nSubject: one of many\r\n\r\n'
    line = b'x' * 70 + b'\r\n'
    message = head + line * ((size - len(head)) // len(line) + 1)
    smtp = None
    for number in range(count):
        if smtp is None:
            smtp = smtplib.SMTP('127.0.0.1', port, timeout=60)
        smtp.sendmail('s@example.test', [f'u{number % 100}@example.test'], message[:size])
        if per_connection and (number + 1) % per_connection == 0:
            smtp.quit()
            smtp = None
    if smtp is not None:
        smtp.quit()


if __name__ == '__main__':
    main()
