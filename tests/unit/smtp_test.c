/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The SMTP and LMTP servers as honest clients see them: transactions, extensions, limits, what is
 * stored and what failures are answered. The store is a double. Runs on the real kernel and on the
 * simulator (harness.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp_fixture.h"

static void expect_stored(const char *user, const char *mailbox, unsigned n, const char *text,
                          size_t text_size)
{
    size_t size;
    const struct double_delivery *found = store_double_find(user, mailbox, n);
    check(found != NULL);
    const char *stored = smtp_without_trace(found, &size);
    check_equal(size, text_size);
    check(memcmp(stored, text, size) == 0);
}

static void hellos(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    int client = smtp_greet(SMTP_PORT);
    client_ask(client, "helo client.test\r\n", "250 mx.example.test");
    client_say(client, "EHLO [127.0.0.1]\r\n");
    client_expect(client, "250-mx.example.test\r\n250-PIPELINING\r\n250-SIZE 20000\r\n"
                          "250-8BITMIME\r\n250-BINARYMIME\r\n250-CHUNKING\r\n"
                          "250-ENHANCEDSTATUSCODES\r\n250-SMTPUTF8\r\n250-DSN\r\n"
                          "250 LIMITS RCPTMAX=20\r\n");
    client_ask(client, "LHLO x\r\n", "500 5.5.2 *");
    client_ask(client, "NOOP\r\n", "250 2.0.0 *");
    client_ask(client, "noop anything at all\r\n", "250 2.0.0 *");
    client_ask(client, "VRFY u0\r\n", "252 2.0.0 *");
    client_ask(client, "EXPN list\r\n", "502 5.5.1 *");
    client_ask(client, "RSET\r\n", "250 2.0.0 *");
    client_say(client, "HELP\r\n");
    client_expect_like(client, "214-2.0.0 STARTTLS");
    smtp_reply(client, "214 2.0.0 ");
    client_ask(client, "AUTH PLAIN\r\n", "502 5.5.1 *");
    client_ask(client, "STARTTLS\r\n", "502 5.5.1 *");
    smtp_quit(client);
    client = smtp_greet(LMTP_PORT);
    client_ask(client, "HELO x\r\n", "500 5.5.2 *");
    client_ask(client, "EHLO x\r\n", "500 5.5.2 *");
    client_ask(client, "MAIL FROM:<>\r\n", "503 5.5.1 *");
    client_say(client, "LHLO x\r\n");
    smtp_reply(client, "250 LIMITS");
    smtp_quit(client);
    smtp_end(&fixture);
}

/* The same transaction, by a telnet user, pipelined, and in pieces of each size. */
static void splits(void **state)
{
    (void)state;
    static const char text[] =
        "EHLO client.test\r\nMAIL FROM:<s@client.test> SIZE=100\r\nRCPT TO:<u0@example.test>\r\n"
        "RCPT TO:<team@example.test>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n..y\r\nz\r\n.\r\n"
        "MAIL FROM:<> BODY=8BITMIME\r\nRCPT TO:<u1+Work@example.test>\r\n"
        "BDAT 5\r\nA: b\nBDAT 0\r\nBDAT 9 LAST\r\n\r\n\r\n.\r\nxyQUIT\r\n";
    char sent[sizeof text + 10];
    const char *dot = strstr(text, "\r\n\r\n.\r\n") + 4; /* stuff it */
    size_t before = (size_t)(dot - text);
    memcpy(sent, text, before);
    sent[before] = '.';
    memcpy(sent + before + 1, dot, sizeof text - before);
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    for (size_t piece = 0; piece < 60; piece = piece < 12 ? piece + 1 : piece + 17) {
        store_double_clear();
        store_double.room_max = piece % 5;
        int client = smtp_greet(SMTP_PORT);
        client_say_in_pieces(client, sent, sizeof text, piece);
        smtp_reply(client, "250 LIMITS");
        client_expect_like(client, "250 2.1.0 *");
        client_expect_like(client, "250 2.1.5 *");
        client_expect_like(client, "250 2.1.5 *");
        client_expect_like(client, "354 *");
        client_expect_like(client, "250 2.0.0 OK, queued as *");
        client_expect_like(client, "250 2.1.0 *");
        client_expect_like(client, "250 2.1.5 *");
        client_expect_like(client, "250 2.0.0 5 octets received");
        client_expect_like(client, "250 2.0.0 0 octets received");
        client_expect_like(client, "250 2.0.0 OK, queued as *");
        client_expect_like(client, "221 2.0.0 *");
        client_expect_end(client);
        const char *first = "Subject: x\r\n\r\n.\r\n.y\r\nz\r\n";
        expect_stored("u0@example.test", "INBOX", 0, first, strlen(first));
        expect_stored("u1@example.test", "INBOX", 0, first, strlen(first));
        expect_stored("u1@example.test", "Work", 0, "A: b\n\r\n\r\n.\r\nxy", 14);
        check_equal(store_double.count, 3); /* u0 once, though named twice */
    }
    smtp_end(&fixture);
}

static void trace_fields(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    char line[300], want[400];
    smtp_begin(&fixture, NULL);
    int client = smtp_hello(SMTP_PORT);
    client_say(client, "MAIL FROM:<\"s \\\"q\"@client.test> ENVID=a+2Bb RET=HDRS\r\n"
                       "RCPT TO:<u0@example.test> NOTIFY=failure,DELAY "
                       "ORCPT=rfc822;u0@example.test\r\nDATA\r\n");
    client_expect_like(client, "250 2.1.0 *");
    client_expect_like(client, "250 2.1.5 *");
    client_expect_like(client, "354 *");
    client_say(client, "x\r\n.\r\n");
    client_line(client, line, sizeof line);
    check(strncmp(line, "250 2.0.0 OK, queued as ", 24) == 0);
    const char *id = line + 24;
    check_equal(strlen(id), 16);
    const struct double_delivery *found = store_double_find("u0@example.test", "INBOX", 0);
    snprintf(want, sizeof want,
             "Return-Path: <\"s \\\"q\"@client.test>\r\n"
             "Received: from client.test ([127.0.0.1])\r\n\tby mx.example.test (session ");
    check(strncmp(found->data, want, strlen(want)) == 0);
    snprintf(want, sizeof want, ") with ESMTP id %s\r\n\tfor <u0@example.test>;\r\n\t", id);
    check(strstr(found->data, want) != NULL);
    snprintf(want, sizeof want,
             "id %s\nfrom <\"s \\\"q\"@client.test>\nprotocol smtp\npeer 127.0.0.1\n"
             "hello client.test\nenvid a+2Bb\nret hdrs\nto u0@example.test\n"
             "orcpt rfc822;u0@example.test\nnotify failure delay\n",
             id);
    if (strcmp(found->envelope, want) != 0)
        fprintf(stderr, "%s\n%s\n", found->envelope, want);
    check(strcmp(found->envelope, want) == 0);
    smtp_quit(client);

    client = smtp_greet(SMTP_PORT); /* several recipients are not told of each other */
    client_ask(client, "HELO h\r\n", "250 *");
    client_ask(client, "MAIL FROM:<>\r\n", "250 *");
    client_ask(client, "RCPT TO:<u1@example.test>\r\n", "250 *");
    client_ask(client, "RCPT TO:<Postmaster>\r\n", "250 *");
    client_ask(client, "DATA\r\n", "354 *");
    client_ask(client, ".\r\n", "250 *");
    found = store_double_find("u1@example.test", "INBOX", 0);
    check(strncmp(found->data, "Return-Path: <>\r\nReceived: from h (", 35) == 0);
    check(strstr(found->data, " with SMTP id ") && !strstr(found->data, "for <"));
    expect_stored("postmaster@example.test", "INBOX", 0, "", 0);
    smtp_quit(client);

    client = smtp_hello(LMTP_PORT);
    client_ask(client, "MAIL FROM:<\xc3\xbc@client.test> SMTPUTF8\r\n", "250 *");
    client_ask(client,
               "RCPT TO:<\xc3\xbc"
               "ber@example.test>\r\n",
               "250 *");
    client_ask(client, "BDAT 1 LAST\r\nx", "250 2.1.5 *");
    found = store_double_find("\xc3\xbc"
                              "ber@example.test",
                              "INBOX", 0);
    check(strstr(found->data, "with UTF8LMTP id ") != NULL);
    smtp_quit(client);
    smtp_end(&fixture);
}

static void failures(void **state)
{
    (void)state;
    static const struct {
        int result;
        const char *reply;
    } rows[] = {
        {-ENOSPC, "452 4.3.1 *"},    {-EIO, "451 4.3.0 *"},     {-EAGAIN, "451 4.3.2 *"},
        {-ENOMEM, "452 4.3.1 *"},    {-EBADMSG, "451 4.3.0 *"}, {-EDQUOT, "452 4.2.2 *"},
        {-ESHUTDOWN, "451 4.3.0 *"},
    };
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    int client = smtp_hello(SMTP_PORT);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        store_double.result = rows[i].result;
        client_ask(client, "MAIL FROM:<>\r\n", "250 *");
        client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
        client_ask(client, "DATA\r\n", "354 *");
        client_ask(client, "x\r\n.\r\n", rows[i].reply);
        store_double.result = 0;
        client_ask(client, "RCPT TO:<u0@example.test>\r\n", "503 5.5.1 *");
    }
    store_double.state = -ENOSPC;
    client_ask(client, "MAIL FROM:<>\r\n", "452 4.3.1 *");
    client_ask(client, "RCPT TO:<u0@example.test>\r\n", "503 5.5.1 *");
    store_double.state = -EIO;
    client_ask(client, "MAIL FROM:<>\r\n", "451 4.3.0 *");
    store_double.state = 0;
    check_equal(store_double.count, 0);
    store_double.budget = 0; /* memory before DATA */
    client_ask(client, "MAIL FROM:<>\r\n", "250 *");
    client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
    client_ask(client, "DATA\r\n", "452 4.3.1 *");
    client_ask(client, "MAIL FROM:<>\r\n", "250 *");
    client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
    client_ask(client, "BDAT 3\r\nabc", "452 4.3.1 *");
    client_ask(client, "BDAT 3 LAST\r\nabc", "503 5.5.1 *");
    store_double.budget = 3000; /* in the middle of it */
    char body[6000];
    memset(body, 'x', sizeof body);
    for (int bdat = 0; bdat < 2; bdat++) {
        client_ask(client, "MAIL FROM:<>\r\n", "250 *");
        client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
        if (bdat)
            client_say(client, "BDAT 3\r\nabc");
        client_expect_like(client,
                           bdat ? "250 2.0.0 3 *" : (client_say(client, "DATA\r\n"), "354 *"));
        if (bdat)
            client_say(client, "BDAT 6000 LAST\r\n");
        client_put(client, body, sizeof body);
        client_ask(client, bdat ? "" : "\r\n.\r\n", "452 4.3.1 *");
    }
    store_double.budget = 100 << 20;
    check_equal(store_double.count, 0);
    smtp_quit(client);
    smtp_honest();
    smtp_end(&fixture);
}

/* S37 */
static void lmtp_replies(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    store_double.failing_user = "u1@example.test";
    store_double.failing_result = -EDQUOT;
    int client = smtp_hello(LMTP_PORT);
    for (int round = 0; round < 4; round++) {
        store_double_clear();
        client_say(client, "MAIL FROM:<>\r\nRCPT TO:<u0@example.test>\r\n"
                           "RCPT TO:<u1@example.test>\r\nRCPT TO:<nobody@example.test>\r\n"
                           "RCPT TO:<team@example.test>\r\nRCPT TO:<u2@example.test>\r\n");
        client_expect_like(client, "250 2.1.0 *");
        client_expect_like(client, "250 2.1.5 *");
        client_expect_like(client, "250 2.1.5 *");
        client_expect_like(client, "550 5.1.1 *");
        client_expect_like(client, "250 2.1.5 *");
        client_expect_like(client, "250 2.1.5 *");
        switch (round) {
        case 0:
            client_ask(client, "DATA\r\n", "354 *");
            client_say(client, "x\r\n.\r\n");
            break;
        case 1:
            client_say(client, "BDAT 3 LAST\r\nabc");
            break;
        case 2: /* refused as a whole: each is told (RFC 2033 4.2) */
            client_ask(client, "DATA\r\n", "354 *");
            client_say(client, "x\ny\r\n.\r\n");
            break;
        default:
            client_say(client, "RSET\r\n");
        }
        if (round < 2) {
            client_expect_like(client, "250 2.1.5 *");
            client_expect_like(client, "452 4.2.2 *");
            client_expect_like(client, "452 4.2.2 *"); /* team: one of its two */
            client_expect_like(client, "250 2.1.5 *");
            check_equal(store_double.count, 2);
            check(store_double_find("u0@example.test", "INBOX", 0) != NULL);
            check(store_double_find("u2@example.test", "INBOX", 0) != NULL);
        } else if (round == 2) {
            for (int i = 0; i < 4; i++)
                client_expect_like(client, "550 5.5.2 *");
            check_equal(store_double.count, 0);
        } else {
            client_expect_like(client, "250 2.0.0 *");
        }
    }
    client_ask(client, "DATA\r\n", "503 5.5.1 *");
    store_double.failing_user = NULL; /* a store that says no more than that it failed */
    store_double.result = -ENOSPC;
    store_double.is_silent = true;
    client_ask(client, "MAIL FROM:<>\r\n", "250 *");
    client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
    client_ask(client, "BDAT 0 LAST\r\n", "451 4.3.0 *");
    smtp_quit(client);
    smtp_end(&fixture);
}

/* BDAT beyond what is received into buffers: straight into the body. */
static void raise_limit(struct smtp_fixture *fixture)
{
    fixture->options.message_bytes_max = 5 << 20;
}

static void bulk(void **state)
{
    (void)state;
    enum { SIZE = 3000000 };
    struct smtp_fixture fixture;
    smtp_begin(&fixture, raise_limit);
    char *data = malloc(SIZE), text[64];
    for (size_t i = 0; i < SIZE; i++)
        data[i] = i % 80 == 78 ? '\r' : i % 80 == 79 ? '\n' : (char)('a' + i / 80 % 26);
    for (int round = 0; round < 3; round++) {
        store_double_clear();
        int client = smtp_hello(SMTP_PORT);
        client_ask(client, "MAIL FROM:<>\r\n", "250 *");
        client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
        if (round == 0) {
            client_ask(client, "DATA\r\n", "354 *");
            client_put(client, data, SIZE);
            client_say(client, ".\r\n");
        } else {
            size_t first = round == 1 ? 0 : 500000;
            if (first > 0) {
                client_say(client, "BDAT 500000\r\n");
                client_put(client, data, first);
            }
            snprintf(text, sizeof text, "BDAT %zu LAST\r\n", SIZE - first);
            client_say(client, text);
            client_put(client, data + first, SIZE - first);
            if (first > 0)
                client_expect_like(client, "250 2.0.0 500000 *");
        }
        client_ask(client, "NOOP\r\n", "250 2.0.0 OK, queued *");
        client_expect_like(client, "250 2.0.0 OK");
        expect_stored("u0@example.test", "INBOX", 0, data, SIZE);
        smtp_quit(client);
    }
    free(data);
    smtp_end(&fixture);
}

static int smtp_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellos),   cmocka_unit_test(splits),       cmocka_unit_test(trace_fields),
        cmocka_unit_test(failures), cmocka_unit_test(lmtp_replies), cmocka_unit_test(bulk),
    };
    return cmocka_run_group_tests_name("smtp", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(smtp_tests);
}
