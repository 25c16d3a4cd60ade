/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The SMTP rows of the list of bad inputs that are about abuse (S22 to S31, S36, S38): lines,
 * bytes and addresses that are not allowed, open relays, harvesting, floods, other protocols; each
 * beside an honest client. See smtp_bad_test.c for the others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp_fixture.h"

/* The last line, then the end. */
static void expect_closed(int client, const char *last)
{
    client_expect_like(client, last);
    client_expect_end(client);
}

static void say_many(int client, char c, size_t size)
{
    static char flood[65536];
    memset(flood, c, sizeof flood);
    for (size_t sent = 0; sent < size;) {
        size_t part = size - sent < sizeof flood ? size - sent : sizeof flood;
        client_put(client, flood, part);
        sent += part;
    }
}

/* ---------------------------------------------------------------- lines and bytes */

static void hurry(struct smtp_fixture *fixture)
{
    fixture->smtp.command_ms_max = 1000;
}

/* S22 */
static void s22_long_lines(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        bool is_taken;
    } rows[] = {{513, true}, {2048, true}, {2049, false}, {4097, false}, {1 << 20, false}};
    static const char *const verbs[] = {"NOOP ", "EHLO ", "MAIL FROM:<"};
    struct smtp_fixture fixture;
    smtp_begin(&fixture, hurry);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t j = 0; j < 3; j++) {
            int client = smtp_hello(SMTP_PORT);
            client_say(client, verbs[j]);
            say_many(client, 'a', rows[i].size - strlen(verbs[j]));
            client_say(client, "\r\nNOOP\r\n");
            if (!rows[i].is_taken) {
                expect_closed(client, "500 5.5.2 Line too long");
                continue;
            }
            client_expect_like(client, j == 0 ? "250 *" : j == 1 ? "501 *" : "553 *");
            client_expect_like(client, "250 *");
            smtp_quit(client);
        }
    }
    /* no end of line at all: discarded as it comes, until the command's time is over */
    int client = smtp_hello(SMTP_PORT);
    say_many(client, 'a', 4 << 20);
    expect_closed(client, "421 4.4.2 *");
    smtp_honest();
    smtp_end(&fixture);
}

/* S23: each byte that is not printable, in each argument of each command. */
static void s23_bytes(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "EHLO a%cb\r\n",
        "HELO a%cb\r\n",
        "MAIL FROM:<a%cb@c.test>\r\n",
        "MAIL FROM:<a@b%cc.test>\r\n",
        "MAIL FROM:<a@c.test> SIZE=1%c\r\n",
        "MAIL FROM:<a@c.test> ENVID=a%cb\r\n",
        "RCPT TO:<u0%cb@example.test>\r\n",
        "RCPT TO:<u0@example.test%c>\r\n",
        "RCPT TO:<u0@example.test> NOTIFY=NEVER%c\r\n",
        "DATA %c\r\n",
        "RSET %c\r\n",
        "NOOP a%cb\r\n",
        "VRFY u%c0\r\n",
        "EXPN u%c0\r\n",
        "HELP a%cb\r\n",
        "QUIT %c\r\n",
        "NO%cOP\r\n",
        "%c\r\n",
    };
    static const unsigned char bytes[] = {0, 1, '\r', '\n', 0x1b, 0x7f, 0x80, 0xc3, 0xff};
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        for (size_t j = 0; j < sizeof bytes; j++) {
            int client = smtp_hello(SMTP_PORT);
            bool is_rcpt = commands[i][0] == 'R' && commands[i][1] == 'C';
            bool is_data = commands[i][0] == 'D';
            if (is_rcpt || is_data)
                client_ask(client, "MAIL FROM:<>\r\n", "250 *");
            if (is_data)
                client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
            char text[100];
            int size = snprintf(text, sizeof text, commands[i], 1);
            *(char *)memchr(text, 1, (size_t)size) = (char)bytes[j];
            client_put(client, text, (size_t)size);
            client_expect_like(client, "5*");
            if (bytes[j] == '\n') /* the rest is a line of its own, which is no command either */
                client_expect_like(client, "5*");
            client_ask(client, "RSET\r\n", "250 *");
            client_ask(client, "DATA\r\n", "503 *");
            client_close(client);
        }
    }
    check_equal(store_double.count, 0);
    smtp_honest();
    smtp_end(&fixture);
}

/* S38: what is no UTF-8 in a command is refused; in a message it is bytes. */
static void s38_eight_bit(void **state)
{
    (void)state;
    static const char *const broken[] = {"\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80",
                                         "\xe2\x82"};
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    int client = smtp_hello(SMTP_PORT);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char text[100];
        snprintf(text, sizeof text, "MAIL FROM:<%s@client.test> SMTPUTF8\r\n", broken[i]);
        client_ask(client, text, "553 5.1.7 *");
        snprintf(text, sizeof text, "MAIL FROM:<a@%s> SMTPUTF8\r\n", broken[i]);
        client_ask(client, text, "553 5.1.7 *");
    }
    client_ask(client, "MAIL FROM:<>\r\n", "250 *");
    client_ask(client, "RCPT TO:<\303\274ber@example.test>\r\n", "553 5.6.7 *");
    client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
    client_ask(client, "DATA\r\n", "354 *");
    client_ask(client, "Subject: \xc3\x28\xff\r\n\r\n\xed\xa0\x80\r\n.\r\n", "250 *");
    size_t size;
    const char *stored =
        smtp_without_trace(store_double_find("u0@example.test", "INBOX", 0), &size);
    check(size == 21 && memcmp(stored, "Subject: \xc3\x28\xff\r\n\r\n\xed\xa0\x80\r\n", 21) == 0);
    smtp_quit(client);
    smtp_honest();
    smtp_end(&fixture);
}

/* ---------------------------------------------------------------- addresses */

/* S24: an address is data. S27: no address leads out. */
static void s24_s27_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *path, *reply;
    } rows[] = {
        {"<a%b@example.test>", "550 5.1.1 *"},
        {"<\"a@elsewhere.test\"@example.test>", "550 5.1.1 *"},
        {"<elsewhere.test!a@example.test>", "550 5.1.1 *"},
        {"<b@elsewhere.test>", "550 5.7.1 *"},
        {"<@example.test:b@elsewhere.test>", "550 5.7.1 *"},
        {"<a@elsewhere.test@example.test>", "553 5.1.3 *"},
        {"<a@[127.0.0.1]>", "550 5.7.1 *"},
        {"<a@[IPv6:::1]>", "550 5.7.1 *"},
        {"<a@localhost>", "550 5.7.1 *"},
        {"<a@test>", "550 5.7.1 *"},
        {"<u0@sub.example.test>", "550 5.7.1 *"},
        {"<u0>", "553 5.1.3 *"},
        {"<u0@example.test.>", "553 5.1.3 *"},
        {"<${run{x}}@localhost>", "550 5.7.1 *"},
        {"<|cmd@example.test>", "550 5.1.1 *"},
        {"<|cmd>", "553 5.1.3 *"},
        {"</etc/passwd@example.test>", "550 5.1.1 *"},
        {"<../../u0@example.test>", "553 5.1.3 *"},
        {"<postmaster>", "250 *"},
        {"<Postmaster@Example.Test>", "250 *"},
        {"<@elsewhere.test:u0@example.test>", "250 *"},
        {"<\"u0\"@example.test>", "250 *"},
        {"<U0+../../x@example.test>", "553 5.1.3 *"},
        {"<U0+x/y@example.test>", "250 *"},
        {"<\"a b\"@example.test>", "250 *"},
        {"<anything@catch.test>", "250 *"},
    };
    static const char *const senders[] = {"<>", "<u0@example.test>", "<a@[127.0.0.1]>",
                                          "<${run{x}}@localhost>"};
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    for (size_t i = 0; i < sizeof senders / sizeof *senders; i++) {
        int client = smtp_hello(SMTP_PORT);
        char text[200];
        snprintf(text, sizeof text, "MAIL FROM:%s\r\n", senders[i]);
        client_ask(client, text, "250 *");
        for (size_t j = 0; j < sizeof rows / sizeof *rows; j++) {
            snprintf(text, sizeof text, "RCPT TO:%s\r\n", rows[j].path);
            client_ask(client, text, rows[j].reply);
        }
        smtp_quit(client);
    }
    static const char *const bad[] = {"<;id>",         "<a b@c>", "<|cmd>",
                                      "</etc/passwd>", "<@>",     "<\"\"@x>"};
    int client = smtp_hello(SMTP_PORT);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[100];
        snprintf(text, sizeof text, "MAIL FROM:%s\r\n", bad[i]);
        client_ask(client, text, "553 5.1.7 *");
    }
    client_put(client, "MAIL FROM:<\"a\0b\"@c>\r\n", 21);
    client_expect_like(client, "500 *");
    smtp_quit(client);
    smtp_honest();
    smtp_end(&fixture);
}

/* S28 */
static void s28_recipients(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    int client = smtp_hello(SMTP_PORT);
    client_ask(client, "MAIL FROM:<>\r\n", "250 *");
    for (int i = 0; i < 25; i++) /* the same again and again */
        client_ask(client, "RCPT TO:<u0@example.test>\r\n", i < 20 ? "250 *" : "452 4.5.3 *");
    client_ask(client, "DATA\r\n", "354 *");
    client_ask(client, "x\r\n.\r\n", "250 *");
    check_equal(store_double.count, 1);
    client_ask(client, "MAIL FROM:<>\r\n", "250 *");
    for (int i = 0; i < 40; i++)
        client_ask(client, "RCPT TO:<u0@example.test>\r\n", i < 20 ? "250 *" : "452 4.5.3 *");
    client_say(client, "RCPT TO:<u0@example.test>\r\n");
    expect_closed(client, "421 4.5.3 *");
    smtp_honest();
    smtp_end(&fixture);
}

static void few_errors(struct smtp_fixture *fixture)
{
    fixture->smtp.errors_max = 10;
}

/* S29 */
static void s29_harvest(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, few_errors);
    int client = smtp_hello(SMTP_PORT);
    client_ask(client, "MAIL FROM:<>\r\n", "250 *");
    for (int i = 0; i < 11; i++) {
        char text[100];
        snprintf(text, sizeof text, "RCPT TO:<guess%d@example.test>\r\n", i);
        client_ask(client, text, "550 5.1.1 *");
    }
    expect_closed(client, "421 4.7.0 Too many errors");
    client = smtp_hello(SMTP_PORT); /* a relay with stale recipients delivers in between */
    for (int i = 0; i < 25; i++) {
        client_ask(client, "MAIL FROM:<>\r\n", "250 *");
        client_ask(client, "RCPT TO:<stale@example.test>\r\n", "550 5.1.1 *");
        client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
        client_ask(client, "BDAT 0 LAST\r\n", "250 *");
    }
    smtp_quit(client);
    client = smtp_hello(SMTP_PORT); /* VRFY tells nothing, and not for ever */
    for (int i = 0; i < 99; i++)    /* EHLO has counted too */
        client_ask(client, i % 2 ? "VRFY u0\r\n" : "VRFY nobody\r\n", "252 2.0.0 *");
    client_ask(client, "VRFY u0\r\n", "252 *");
    expect_closed(client, "421 4.7.0 Too many commands *");
    smtp_honest();
    smtp_end(&fixture);
}

/* ---------------------------------------------------------------- floods */

/* S30 */
static void s30_floods(void **state)
{
    (void)state;
    static const struct {
        const char *line, *last;
    } rows[] = {
        {"NOOP\r\n", "421 4.7.0 Too many commands without effect"},
        {"RSET\r\n", "421 4.7.0 Too many commands without effect"},
        {"HELP\r\n", "421 4.7.0 Too many commands without effect"},
        {"EHLO x\r\n", "421 4.7.0 Too many commands without effect"},
        {"WHAT\r\n", "421 4.7.0 Too many errors"},
        {"\r\n", "421 4.7.0 Too many errors"},
        {"\n", "421 4.7.0 Too many errors"},
    };
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int client = smtp_greet(SMTP_PORT);
        char *flood = malloc(300 * strlen(rows[i].line) + 1), line[1000];
        *flood = '\0';
        for (size_t at = 0, j = 0; j < 300; j++, at += strlen(rows[i].line))
            memcpy(flood + at, rows[i].line, strlen(rows[i].line) + 1);
        client_say(client, flood);
        free(flood);
        do
            client_line(client, line, sizeof line);
        while (strncmp(line, "421", 3) != 0);
        check(strcmp(line, rows[i].last) == 0);
        client_expect_end(client);
    }
    int client = smtp_hello(SMTP_PORT); /* who works in between may go on */
    for (int i = 0; i < 150; i++) {
        client_ask(client, "NOOP\r\n", "250 *");
        if (i % 50 != 0)
            continue;
        client_ask(client, "MAIL FROM:<>\r\n", "250 *");
        client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
        client_ask(client, "BDAT 0 LAST\r\n", "250 *");
    }
    smtp_quit(client);
    smtp_honest();
    smtp_end(&fixture);
}

#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

/* S31 */
static void s31_other_protocols(void **state)
{
    (void)state;
    static const struct slice rows[] = {
        TEXT("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        TEXT("POST / HTTP/1.1\r\n\r\nMAIL FROM:<>\r\n"),
        TEXT("CONNECT x:25 HTTP/1.1\r\n"),
        TEXT("SSH-2.0-OpenSSH\r\n"),
        TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    };
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t piece = 0; piece < 2; piece++) {
            int client = client_open(SMTP_PORT);
            size_t size = slice_find(rows[i], '\n');
            client_say_in_pieces(client, rows[i].data,
                                 piece ? (size < rows[i].size ? size + 1 : 1) : rows[i].size,
                                 piece);
            client_expect_like(client, "220 *");
            expect_closed(client, "500 5.5.1 *");
        }
    }
    int client = client_open(SMTP_PORT);
    say_many(client, (char)0xff, 1 << 16);
    client_expect_like(client, "220 *");
    expect_closed(client, "500 5.5.1 *");
    client = smtp_hello(SMTP_PORT); /* not only as the first line */
    client_say(client, "GET / HTTP/1.1\r\n");
    expect_closed(client, "500 5.5.1 *");
    smtp_honest();
    smtp_end(&fixture);
}

/* S36, as far as mail is not relayed: refused at RCPT, so nothing ever bounces. */
static void s36_backscatter(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    int client = smtp_hello(SMTP_PORT);
    client_ask(client, "MAIL FROM:<forged@victim.test>\r\n", "250 *");
    client_ask(client, "RCPT TO:<nobody@example.test>\r\n", "550 5.1.1 *");
    client_ask(client, "DATA\r\n", "503 5.5.1 No valid *");
    check_equal(store_double.count, 0);
    smtp_quit(client);
    smtp_honest();
    smtp_end(&fixture);
}

static int smtp_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s22_long_lines),      cmocka_unit_test(s23_bytes),
        cmocka_unit_test(s24_s27_addresses),   cmocka_unit_test(s28_recipients),
        cmocka_unit_test(s29_harvest),         cmocka_unit_test(s30_floods),
        cmocka_unit_test(s31_other_protocols), cmocka_unit_test(s36_backscatter),
        cmocka_unit_test(s38_eight_bit),
    };
    return cmocka_run_group_tests_name("smtp_abuse", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(smtp_tests);
}
