/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SMTP and submission under TLS: STARTTLS and implicit, what is forgotten, what is offered then,
 * and that close_notify is the end. Rows S15, S16, S17, A01 of the list of bad inputs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp_login.h"
#include "tls_line.h"

static int (*open_auth)(struct core *core);
static void (*close_auth)(struct core *core);

static int open_all(struct core *core)
{
    check_equal(tls_line_open(core), 0);
    return open_auth(core);
}

static void close_all(struct core *core)
{
    close_auth(core);
    tls_line_close(core);
}

static void secure(struct smtp_fixture *fixture)
{
    login_offer(fixture);
    open_auth = fixture->open;
    close_auth = fixture->close;
    fixture->open = open_all;
    fixture->close = close_all;
    fixture->submission.plain_login_allowed = false;
    fixture->submission.tls = fixture->smtp.tls = SERVICE_START_TLS;
    fixture->submission.tls_service = fixture->smtp.tls_service =
        (struct tls_service){.alpn = "smtp", .id = 1};
    fixture->strict.tls = SERVICE_TLS;
    fixture->strict.tls_service = (struct tls_service){.alpn = "smtp", .id = 2};
}

static void end(struct smtp_fixture *fixture)
{
    store_double_clear();
    smtp_honest();
    smtp_end(fixture);
    login_clear();
}

static struct tls_line *start_tls(int client)
{
    client_ask(client, "STARTTLS\r\n", "220 2.0.0 *");
    return tls_line_begin(client);
}

static void transaction(struct tls_line *line, const char *mail)
{
    store_double_clear();
    tls_line_ask(line, mail, "250 2.1.0 ");
    tls_line_ask(line, "RCPT TO:<u1@example.test>\r\n", "250 2.1.5 ");
    tls_line_ask(line, "DATA\r\n", "354 ");
    tls_line_ask(line, "x: y\r\n\r\nbody\r\n.\r\n", "250 2.0.0 ");
}

/* S16: nothing said in clear is known afterwards. */
static void s16_anew(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    char text[1000];
    smtp_begin(&fixture, secure);
    int client = smtp_hello(SMTP_PORT);
    client_ask(client, "MAIL FROM:<a@client.test>\r\n", "250 *");
    client_ask(client, "RSET\r\n", "250 *");
    struct tls_line *line = start_tls(client);
    tls_line_ask(line, "MAIL FROM:<a@client.test>\r\n", "503 5.5.1 Say hello first");
    tls_line_ask(line, "RCPT TO:<u1@example.test>\r\n", "503 5.5.1 Say hello first");
    tls_line_say(line, "EHLO secure.test\r\n");
    tls_line_reply(line, "250 LIMITS", text, sizeof text);
    check(strstr(text, "STARTTLS") == NULL && strstr(text, "\n250-REQUIRETLS\n") != NULL);
    check(strstr(text, "AUTH") == NULL);
    tls_line_ask(line, "STARTTLS\r\n", "503 5.5.1 "); /* S17: twice */
    tls_line_ask(line, "AUTH PLAIN\r\n", "502 5.5.1 ");
    transaction(line, "MAIL FROM:<a@client.test> REQUIRETLS\r\n");
    const struct double_delivery *found = store_double_find("u1@example.test", "INBOX", 0);
    check(strstr(found->data, "Received: from secure.test (") != NULL);
    check(strstr(found->data, " with ESMTPS (TLSv1.3 TLS") != NULL);
    check(strstr(found->envelope, "\ntls TLSv1.3\nrequiretls yes\n") != NULL);
    tls_line_ask(line, "QUIT\r\n", "221 ");
    tls_line_end(line);
    end(&fixture);
}

static void submission(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    char text[1000];
    smtp_begin(&fixture, secure);
    int client = smtp_hello(SUBMISSION_PORT);
    login_as(client, "u0", "secret", "538 5.7.11 *"); /* A01 */
    struct tls_line *line = start_tls(client);
    tls_line_say(line, "EHLO secure.test\r\n");
    tls_line_reply(line, "250 LIMITS", text, sizeof text);
    check(strstr(text, "AUTH ") != NULL && strstr(text, " PLAIN") != NULL);
    tls_line_ask(line, "MAIL FROM:<u0@example.test>\r\n", "530 5.7.0 ");
    tls_line_ask(line, "AUTH PLAIN AHUwAHdyb25n\r\n", "535 5.7.8 ");
    tls_line_ask(line, "AUTH PLAIN AHUwAHNlY3JldA==\r\n", "235 2.7.0 ");
    tls_line_ask(line, "STARTTLS\r\n", "503 5.5.1 "); /* S17: behind AUTH */
    transaction(line, "MAIL FROM:<u0@example.test>\r\n");
    const struct double_delivery *found = store_double_find("u1@example.test", "INBOX", 0);
    check(strstr(found->data, " with ESMTPSA (TLSv1.3 TLS") != NULL);
    tls_line_ask(line, "QUIT\r\n", "221 ");
    tls_line_end(line);
    end(&fixture);
}

static void implicit(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, secure);
    struct tls_line *line = tls_line_begin(client_open(STRICT_PORT));
    tls_line_reply(line, "220 mx.example.test ESMTP ", NULL, 0);
    tls_line_ask(line, "HELO h\r\n", "250 ");
    tls_line_ask(line, "STARTTLS\r\n", "503 5.5.1 ");
    transaction(line, "MAIL FROM:<>\r\n");
    const struct double_delivery *found = store_double_find("u1@example.test", "INBOX", 0);
    check(strstr(found->data, " with SMTP (TLSv1.3 TLS") != NULL);
    tls_line_ask(line, "QUIT\r\n", "221 ");
    tls_line_end(line);
    end(&fixture);
}

/* S15: close_notify in the middle of a chunk, then a clear byte: nothing is accepted or read. */
static void s15_dead_letter(void **state)
{
    (void)state;
    static const char *const bodies[] = {"BDAT 1000\r\n0123456789", "BDAT 1000 LAST\r\n0123456789",
                                         "DATA\r\n"};
    struct smtp_fixture fixture;
    smtp_begin(&fixture, secure);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        int client = smtp_hello(SMTP_PORT);
        struct tls_line *line = start_tls(client);
        tls_line_say(line, "EHLO x\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<u1@example.test>\r\n");
        tls_line_reply(line, "250 LIMITS", NULL, 0);
        tls_line_reply(line, "250 2.1.0 ", NULL, 0);
        tls_line_reply(line, "250 2.1.5 ", NULL, 0);
        tls_line_say(line, bodies[i]);
        if (bodies[i][0] == 'D') {
            tls_line_reply(line, "354 ", NULL, 0);
            tls_line_say(line, "x: y\r\n\r\nbody\r\n");
        }
        tls_line_notify(line);
        client_put(client, ".\r\nQUIT\r\n", 9); /* in clear */
        tls_line_end(line);
        check_equal(store_double.count, 0);
    }
    harness_nap(50000);
    check_equal(store_double.count, 0);
    check_equal(store_double.bodies, 0);
    check_equal(host_ends(fixture.host, PROTOCOL_SMTP, SESSION_END_QUIT), 0);
    end(&fixture);
}

/* S16, S18: bytes behind STARTTLS; no handshake but something else. */
static void s16_injected(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, secure);
    int client = smtp_hello(SMTP_PORT);
    client_say(client, "STARTTLS\r\nEHLO x\r\nMAIL FROM:<a@b>\r\n");
    client_expect_like(client, "554 5.5.0 *");
    client_expect_end(client);
    client = smtp_hello(SMTP_PORT);
    client_ask(client, "STARTTLS\r\n", "220 *");
    client_say(client, "EHLO in the clear\r\n");
    char byte;
    while (recv(client, &byte, 1, 0) > 0)
        check(byte != '2' && byte != '5'); /* an alert, no reply */
    client_close(client);
    check_equal(host_ends(fixture.host, PROTOCOL_SMTP, SESSION_END_TLS_INJECTED), 1);
    check_equal(host_ends(fixture.host, PROTOCOL_SMTP, SESSION_END_TLS_FAILED), 1);
    end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s16_anew),     cmocka_unit_test(submission),
        cmocka_unit_test(implicit),     cmocka_unit_test(s15_dead_letter),
        cmocka_unit_test(s16_injected),
    };
    return cmocka_run_group_tests_name("smtp_tls", tests, NULL, NULL);
}
