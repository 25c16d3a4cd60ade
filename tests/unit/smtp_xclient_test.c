/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * XCLIENT: who may say it, what it changes, and that the session begins anew. Rows X02, X03 of the
 * list of bad inputs; what its attributes may be is in smtp_parse_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp_login.h"

static const struct network loopback[] = {{{127}, 4, 8}};

static void trust(struct smtp_fixture *fixture)
{
    login_offer(fixture);
    fixture->smtp.xclient_from = fixture->submission.xclient_from =
        (struct network_set){loopback, 1};
    fixture->smtp.connections_per_address_max = 2;
}

static void end(struct smtp_fixture *fixture)
{
    smtp_honest();
    smtp_end(fixture);
    login_clear();
}

static const struct double_delivery *deliver(int client, const char *sender)
{
    char text[200];
    store_double_clear();
    snprintf(text, sizeof text, "MAIL FROM:<%s>\r\nRCPT TO:<u1@example.test>\r\nDATA\r\n", sender);
    client_say(client, text);
    client_expect_like(client, "250 2.1.0 *");
    client_expect_like(client, "250 2.1.5 *");
    client_expect_like(client, "354 *");
    client_ask(client, "x: y\r\n.\r\n", "250 2.0.0 *");
    return store_double_find("u1@example.test", "INBOX", 0);
}

static void told(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, trust);
    int client = smtp_greet(SMTP_PORT);
    client_say(client, "EHLO proxy.test\r\n");
    char line[1000];
    bool is_offered = false;
    do {
        client_line(client, line, sizeof line);
        is_offered |= strncmp(line + 4, "XCLIENT NAME ADDR PORT", 22) == 0;
    } while (line[3] == '-');
    check(is_offered);
    client_ask(client, "XCLIENT NAME=a.example ADDR=192.0.2.7 PORT=4711 HELO=told.example\r\n",
               "220 mx.example.test ESMTP *");
    client_ask(client, "MAIL FROM:<>\r\n", "503 5.5.1 Say hello first"); /* anew */
    client_say(client, "EHLO real.example\r\n");
    smtp_reply(client, "250 ");
    const struct double_delivery *found = deliver(client, "s@a.example");
    check(strstr(found->data, "Received: from real.example (a.example [192.0.2.7])\r\n") != NULL);
    check(strstr(found->envelope, "\npeer 192.0.2.7\n") != NULL);
    /* again, though its address is another one now; in a transaction not */
    client_ask(client, "MAIL FROM:<>\r\n", "250 *");
    client_ask(client, "XCLIENT ADDR=192.0.2.8\r\n", "503 5.5.1 A transaction is under way");
    client_ask(client, "RSET\r\n", "250 *");
    client_ask(client, "XCLIENT ADDR=IPV6:2001:db8::1 NAME=[UNAVAILABLE]\r\n", "220 *");
    client_ask(client, "HELO h\r\n", "250 *");
    found = deliver(client, "s@a.example");
    check(strstr(found->data, "Received: from h ([IPv6:2001:db8::1])\r\n") != NULL);
    client_ask(client, "XCLIENT NAME=a+0D+0AXCLIENT\r\n", "501 5.5.4 *"); /* X03 */
    client_ask(client, "XCLIENT LOGIN=u0@example.test\r\n", "220 *");     /* no AUTH here: nobody */
    client_ask(client, "HELO h\r\n", "250 *");
    found = deliver(client, "s@a.example");
    check(strstr(found->envelope, "user ") == NULL);
    smtp_quit(client);
    end(&fixture);
}

/* X02 */
static void x02_strangers(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, trust);
    int client = smtp_hello(STRICT_PORT);
    client_ask(client, "XCLIENT ADDR=192.0.2.7\r\n", "550 5.7.0 *");
    client_ask(client, "XCLIENT ADDR=x\r\n", "501 *");
    const struct double_delivery *found = deliver(client, "s@a.example"); /* the same as before */
    check(strstr(found->envelope, "\npeer 127.0.0.1\n") != NULL);
    smtp_quit(client);
    end(&fixture);
}

static void limits(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    int clients[3];
    smtp_begin(&fixture, trust);
    for (int i = 0; i < 3; i++) { /* each counts as its client, no more as the proxy */
        clients[i] = smtp_hello(SMTP_PORT);
        if (i == 2)
            break;
        client_ask(clients[i], "XCLIENT ADDR=192.0.2.7\r\n", "220 *");
    }
    client_ask(clients[2], "XCLIENT ADDR=192.0.2.7\r\n", "421 4.7.0 *");
    client_expect_end(clients[2]);
    check_equal(host_ends(fixture.host, PROTOCOL_SMTP, SESSION_END_TOO_MANY), 1);
    smtp_quit(clients[0]);
    clients[2] = smtp_hello(SMTP_PORT);
    client_ask(clients[2], "XCLIENT ADDR=192.0.2.7\r\n", "220 *");
    smtp_quit(clients[1]);
    smtp_quit(clients[2]);
    end(&fixture);
}

static void log_in(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, trust);
    int client = smtp_greet(SUBMISSION_PORT);
    client_ask(client, "XCLIENT LOGIN=nobody@example.test\r\n", "535 5.7.8 *");
    client_ask(client, "XCLIENT LOGIN=u0@example.tes+0At\r\n", "501 5.5.4 *");
    client_ask(client, "XCLIENT ADDR=192.0.2.9 LOGIN=U0@example.test\r\n", "220 *");
    client_say(client, "EHLO x\r\n");
    smtp_reply(client, "250 ");
    client_ask(client, "XCLIENT LOGIN=u1@example.test\r\n", "503 5.5.1 Already *");
    client_ask(client, "MAIL FROM:<u1@example.test>\r\n", "550 5.7.1 *");
    const struct double_delivery *found = deliver(client, "u0@example.test");
    check(strstr(found->envelope, "\nuser u0@example.test\n") != NULL);
    check(strstr(found->data, " with ESMTPA id ") != NULL);
    smtp_quit(client);
    client = smtp_hello(SUBMISSION_PORT); /* a proxy's other clients are nobody */
    client_ask(client, "XCLIENT ADDR=192.0.2.9\r\n", "220 *");
    client_say(client, "EHLO x\r\n");
    smtp_reply(client, "250 ");
    client_ask(client, "MAIL FROM:<u0@example.test>\r\n", "530 *");
    smtp_quit(client);
    end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(told), cmocka_unit_test(x02_strangers),
                                       cmocka_unit_test(limits), cmocka_unit_test(log_in)};
    return cmocka_run_group_tests_name("smtp_xclient", tests, NULL, NULL);
}
