/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Submission (RFC 6409) and AUTH (RFC 4954) on SMTP's tables, in clear: who may send what, what is
 * added to it, how much of it; and that nobody relays. Rows A01, A02, A13, S16, S17, S26, S27 of
 * the list of bad inputs; under TLS they are in smtp_tls_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp_login.h"

static void begin(struct smtp_fixture *fixture, void (*change)(struct smtp_fixture *))
{
    smtp_begin(fixture, change);
}

static void end(struct smtp_fixture *fixture)
{
    smtp_honest();
    smtp_end(fixture);
    login_clear();
}

/* The keywords of EHLO, one string. */
static void keywords(int client, char *text, size_t capacity)
{
    size_t used = 0;
    char line[1000];
    client_say(client, "EHLO client.test\r\n");
    do {
        client_line(client, line, sizeof line);
        used += (size_t)snprintf(text + used, capacity - used, "%s\n", line + 4);
    } while (line[3] == '-');
}

static void send_message(int client, const char *sender, const char *message, const char *reply)
{
    char text[2000];
    snprintf(text, sizeof text, "MAIL FROM:<%s>\r\nRCPT TO:<u1@example.test>\r\nDATA\r\n", sender);
    client_say(client, text);
    client_expect_like(client, "250 2.1.0 *");
    client_expect_like(client, "250 2.1.5 *");
    client_expect_like(client, "354 *");
    snprintf(text, sizeof text, "%s.\r\n", message);
    client_ask(client, text, reply);
}

/* ---------------------------------------------------------------- AUTH */

static void locked(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    char text[1000];
    begin(&fixture, login_offer);
    int client = smtp_greet(SUBMISSION_PORT);
    client_ask(client, "MAIL FROM:<>\r\n", "503 5.5.1 Say hello first");
    login_as(client, "u0", "secret", "503 5.5.1 Say hello first");
    keywords(client, text, sizeof text);
    check(strstr(text, "\nAUTH ") != NULL && strstr(text, " PLAIN") != NULL);
    check(strstr(text, "STARTTLS") == NULL && strstr(text, "REQUIRETLS") == NULL);
    check(strstr(text, "XCLIENT") == NULL);
    const char *const refused[] = {"MAIL FROM:<u0@example.test>\r\n",
                                   "RCPT TO:<u1@example.test>\r\n", "DATA\r\n", "MAIL\r\n",
                                   "BDAT 4 LAST\r\nQUIT"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        client_ask(client, refused[i], "530 5.7.0 Authentication required");
    client_ask(client, "RSET\r\n", "250 *");
    client_ask(client, "NOOP\r\n", "250 *");
    client_ask(client, "VRFY u0\r\n", "252 *");
    client_ask(client, "MAIL FROM:<u0@example.test>\r\n", "530 *");
    login_as(client, "u0", "secret", "235 2.7.0 *");
    login_as(client, "u0", "secret", "503 5.5.1 Already authenticated");
    keywords(client, text, sizeof text); /* the user stays */
    check(strstr(text, "AUTH") == NULL);
    client_ask(client, "MAIL FROM:<u0@example.test>\r\n", "250 *");
    login_as(client, "u0", "secret", "503 5.5.1 A transaction is under way");
    client_ask(client, "RCPT TO:<u1@example.test>\r\n", "250 *");
    login_as(client, "u0", "secret", "503 5.5.1 A transaction is under way");
    client_ask(client, "RSET\r\n", "250 *");
    client_ask(client, "STARTTLS\r\n", "503 5.5.1 Already authenticated"); /* S17 */
    send_message(client, "u0@example.test", "Subject: x\r\n\r\nx\r\n", "250 2.0.0 *");
    check_equal(store_double.count, 1);
    smtp_quit(client);
    client = smtp_hello(SUBMISSION_PORT); /* and ends with the session */
    client_ask(client, "MAIL FROM:<u0@example.test>\r\n", "530 *");
    smtp_quit(client);
    end(&fixture);
}

/* A02, A13: what is no answer, and what is a wrong one. */
static void a02_a13_answers(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    char text[20000], first[200], second[200];
    begin(&fixture, login_offer);
    int other = login_open(SUBMISSION_PORT, "u1"); /* only this session is affected */
    int client = smtp_hello(SUBMISSION_PORT);
    static const struct {
        const char *text, *reply;
    } rows[] = {
        {"AUTH\r\n", "501 5.5.4 *"},
        {"AUTH PLAIN a b\r\n", "501 5.5.4 *"},
        {"AUTH PL/AIN\r\n", "501 5.5.4 *"},
        {"AUTH NOSUCH\r\n", "504 5.5.4 *"},
        {"AUTH CRAM-MD5\r\n", "504 5.5.4 *"},
        {"AUTH PLAIN !!!!\r\n", "501 5.5.2 *"},
        {"AUTH PLAIN AHUwAHNlY3JldA\r\n", "501 5.5.2 *"},
        {"AUTH PLAIN AHUw=AHNlY3JldA==\r\n", "501 5.5.2 *"},
        {"AUTH PLAIN AHUwAHNlY3JldB==\r\n", "501 5.5.2 *"},
        {"AUTH PLAIN =\r\n", "501 5.5.2 *"},
        {"AUTH PLAIN *\r\n", "501 5.5.2 *"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        client_ask(client, rows[i].text, rows[i].reply);
    client_ask(client, "AUTH PLAIN\r\n", "334 ");
    client_ask(client, "*\r\n", "501 5.7.0 *");
    client_ask(client, "AUTH LOGIN\r\n", "334 *");
    client_ask(client, "dTA=\r\n", "334 *");
    client_ask(client, "*\r\n", "501 5.7.0 *");
    client_ask(client, "AUTH LOGIN dTA=\r\n", "334 *");
    client_ask(client, "c2VjcmV0\n", "50*"); /* no CRLF */
    client_ask(client, "NOOP\r\n", "250 *");
    client_ask(client, "AUTH PLAIN\r\n", "334 ");
    memset(text, 'A', 12292);
    memcpy(text + 12292, "\r\n", 3);
    client_ask(client, text, "500 5.5.6 *");
    client_ask(client, "MAIL FROM:<u0@example.test>\r\n", "530 *");
    client_ask(client, "AUTH PLAIN AHUwAHNlY3JlZA==\r\n", "535 5.7.8 *"); /* secred */
    client_say(client, "AUTH PLAIN AHUwAHdyb25n\r\n");
    client_line(client, first, sizeof first);
    client_say(client, "AUTH PLAIN AG5vYm9keQB3cm9uZw==\r\n"); /* no such user: A13 */
    client_line(client, second, sizeof second);
    check(strcmp(first, second) == 0 && strncmp(first, "535 5.7.8 ", 10) == 0);
    client_ask(client, "AUTH LOGIN\r\n", "334 VXNlcm5hbWU6");
    client_ask(client, "dTA=\r\n", "334 UGFzc3dvcmQ6");
    client_ask(client, "c2VjcmV0\r\n", "235 2.7.0 *");
    smtp_quit(client);
    send_message(other, "u1@example.test", "\r\nx\r\n", "250 2.0.0 *");
    smtp_quit(other);
    end(&fixture);
}

static void offer_secure(struct smtp_fixture *fixture)
{
    login_offer(fixture);
    fixture->submission.plain_login_allowed = false;
    fixture->options.auth_offered = true;
    fixture->submission.tls = fixture->smtp.tls = SERVICE_START_TLS;
}

/* A01: no password in clear; S16, S17 as far as no handshake is needed. */
static void a01_s16_s17_clear(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    char text[1000];
    begin(&fixture, offer_secure);
    for (int i = 0; i < 2; i++) {
        unsigned port = i ? SMTP_PORT : SUBMISSION_PORT;
        int client = smtp_greet(port);
        keywords(client, text, sizeof text);
        check(strstr(text, " PLAIN") == NULL && strstr(text, " LOGIN") == NULL);
        check(strstr(text, "\nSTARTTLS\n") != NULL);
        login_as(client, "u0", "secret", "538 5.7.11 *");
        client_ask(client, "AUTH LOGIN\r\n", "538 5.7.11 *");
        client_ask(client, "AUTH LOGIN dTA=\r\n", "538 5.7.11 *");
        client_ask(client, "STARTTLS x\r\n", "501 5.5.4 *"); /* S17 */
        if (i) {
            client_ask(client, "MAIL FROM:<> REQUIRETLS\r\n", "530 5.7.0 *");
            client_ask(client, "MAIL FROM:<>\r\n", "250 *");
            client_ask(client, "STARTTLS\r\n", "503 5.5.1 *");
            client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
            client_ask(client, "STARTTLS\r\n", "503 5.5.1 *");
            client_ask(client, "BDAT 1\r\nx", "250 *");
            client_ask(client, "STARTTLS\r\n", "503 5.5.1 *");
            client_ask(client, "BDAT 0 LAST\r\n", "250 *");
        }
        client_ask(client, "STARTTLS\n", "500 5.5.2 *");                 /* S17 */
        client_say(client, "STARTTLS\r\nEHLO x\r\nMAIL FROM:<a@b>\r\n"); /* S16 */
        client_expect_like(client, "554 5.5.0 *");
        client_expect_end(client);
    }
    int client = smtp_hello(STRICT_PORT); /* neither is there */
    client_ask(client, "STARTTLS\r\n", "502 5.5.1 *");
    login_as(client, "u0", "secret", "502 5.5.1 *");
    client_ask(client, "AUTH PLAIN\r\n", "502 5.5.1 *");
    smtp_quit(client);
    client = smtp_hello(LMTP_PORT);
    client_ask(client, "STARTTLS\r\n", "500 5.5.2 *");
    client_ask(client, "AUTH PLAIN\r\n", "500 5.5.2 *");
    client_ask(client, "XCLIENT NAME=x\r\n", "500 5.5.2 *");
    smtp_quit(client);
    check_equal(host_ends(fixture.host, PROTOCOL_SMTP, SESSION_END_TLS_INJECTED), 1);
    check_equal(host_ends(fixture.host, PROTOCOL_SUBMISSION, SESSION_END_TLS_INJECTED), 1);
    store_double_clear();
    end(&fixture);
}

/* ---------------------------------------------------------------- who may send what, to whom */

static void senders(void **state)
{
    (void)state;
    static const struct {
        const char *sender;
        bool login, aliases; /* u0's? */
    } rows[] = {
        {"", true, true},
        {"u0@example.test", true, true},
        {"U0@EXAMPLE.TEST", true, true},
        {"\"u0\"@example.test", true, true},
        {"u0+tag@example.test", false, true},
        {"team@example.test", false, true},
        {"u1@example.test", false, false},
        {"nobody@example.test", false, false},
        {"u0@elsewhere.test", false, false},
        {"x@catch.test", false, false},
        {"u0@example.tes", false, false},
        {"0@example.test", false, false},
        {"u0.example@test", false, false},
        {"\"u0@example.test\"@example.test", false, false},
    };
    struct smtp_fixture fixture;
    begin(&fixture, login_offer);
    for (int match = SMTP_SENDER_LOGIN; match <= SMTP_SENDER_ANY; match++) {
        fixture.submission_options.sender_match = (enum smtp_sender_match)match;
        int client = login_open(SUBMISSION_PORT, "u0");
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            char text[200];
            bool is_own = match == SMTP_SENDER_ANY ||
                          (match == SMTP_SENDER_LOGIN ? rows[i].login : rows[i].aliases);
            snprintf(text, sizeof text, "MAIL FROM:<%s>\r\n", rows[i].sender);
            client_ask(client, text,
                       is_own ? "250 2.1.0 *" : "550 5.7.1 Sender address is not yours");
            client_ask(client, "RSET\r\n", "250 *");
        }
        client_ask(client, "MAIL FROM:<u0>\r\n", "553 5.1.7 *"); /* not qualified */
        smtp_quit(client);
    }
    fixture.submission_options.sender_match = SMTP_SENDER_ALIASES;
    int client = login_open(SUBMISSION_PORT, "all@catch.test"); /* all of it is theirs */
    client_ask(client, "MAIL FROM:<x@catch.test>\r\n", "250 *");
    smtp_quit(client);
    end(&fixture);
}

static void offer_everywhere(struct smtp_fixture *fixture)
{
    login_offer(fixture);
    fixture->options.auth_offered = true;
    fixture->smtp.plain_login_allowed = true;
}

/* S27: not with a user either, on no port. */
static void s27_relay(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "b@elsewhere.test",     "@example.test:b@elsewhere.test",
        "a@[127.0.0.1]",        "a@[IPv6:::1]",
        "a@localhost",          "u0@sub.example.test",
        "u0@example.test.evil", "\"u0@example.test\"@elsewhere.test"};
    static const char *const locals[] = {"a%b@example.test", "elsewhere.test!a@example.test",
                                         "\"a@elsewhere.test\"@example.test"};
    struct smtp_fixture fixture;
    begin(&fixture, offer_everywhere);
    for (int way = 0; way < 3; way++) {
        int client = way == 0   ? smtp_hello(SMTP_PORT)
                     : way == 1 ? login_open(SMTP_PORT, "u0")
                                : login_open(SUBMISSION_PORT, "u0");
        const char *reply =
            way == 2 ? "550 5.7.1 Relaying is not available" : "550 5.7.1 Relaying is not allowed";
        char text[200];
        client_ask(client, "MAIL FROM:<u0@example.test>\r\n", "250 *");
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            snprintf(text, sizeof text, "RCPT TO:<%s>\r\n", rows[i]);
            client_ask(client, text, reply);
        }
        for (size_t i = 0; i < sizeof locals / sizeof *locals; i++) {
            snprintf(text, sizeof text, "RCPT TO:<%s>\r\n", locals[i]);
            client_ask(client, text, "550 5.1.1 *");
        }
        client_ask(client, "RCPT TO:<a@elsewhere.test@example.test>\r\n", "553 *");
        client_ask(client, "RCPT TO:<u0>\r\n", "553 *");
        client_ask(client, "DATA\r\n", "503 *");
        smtp_quit(client);
    }
    int client = login_open(SMTP_PORT, "u0"); /* no sender rule there: it is no submission */
    client_ask(client, "MAIL FROM:<other@elsewhere.test>\r\n", "250 *");
    smtp_quit(client);
    end(&fixture);
}

/* ---------------------------------------------------------------- the message */

/* How the added fields look; the rest must be there exactly. */
static void expect_message(const char *before, bool has_date, bool has_id, const char *after)
{
    size_t size;
    const struct double_delivery *found = store_double_find("u1@example.test", "INBOX", 0);
    check(found != NULL);
    const char *stored = smtp_without_trace(found, &size);
    check(strncmp(stored, before, strlen(before)) == 0);
    stored += strlen(before);
    if (has_date) {
        check(strncmp(stored, "Date: ", 6) == 0 && strncmp(stored + 6 + 25, " +0000\r\n", 8) == 0);
        stored += 6 + 25 + 8;
    }
    if (has_id) {
        check(strncmp(stored, "Message-ID: <", 13) == 0);
        check(strncmp(stored + 29, "@mx.example.test>\r\n", 19) == 0);
        stored += 29 + 19;
    }
    if (strcmp(stored, after) != 0)
        fprintf(stderr, "got: %s\nwant: %s\n", stored, after);
    check(strcmp(stored, after) == 0);
}

#define DATE "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
#define ID   "Message-ID: <x@y>\r\n"
static const struct message_row {
    const char *sent, *before;
    bool has_date, has_id;
    const char *after;
} message_rows[] = {
    {"Subject: x\r\n\r\nbody\r\n", "Subject: x\r\n", true, true, "\r\nbody\r\n"},
    {DATE ID "\r\nbody\r\n", DATE ID, false, false, "\r\nbody\r\n"},
    {DATE "\r\nbody\r\n", DATE, false, true, "\r\nbody\r\n"},
    {ID "\r\nbody\r\n", ID, true, false, "\r\nbody\r\n"},
    {"date : x\r\nMESSAGE-id\t:\r\n y\r\n\r\n", "date : x\r\nMESSAGE-id\t:\r\n y\r\n", false, false,
     "\r\n"},
    {"Dates: x\r\nDat: y\r\nX: Date: z\r\n Date: f\r\n\r\nDate: b\r\n",
     "Dates: x\r\nDat: y\r\nX: Date: z\r\n Date: f\r\n", true, true, "\r\nDate: b\r\n"},
    {"\r\nbody\r\n", "", true, true, "\r\nbody\r\n"},
    {"", "", true, true, ""},
    {"no header\r\nat all\r\n", "", true, true, "\r\nno header\r\nat all\r\n"},
    {"A: b\r\nnot a field\r\n\r\nB: c\r\n", "A: b\r\n", true, true,
     "\r\nnot a field\r\n\r\nB: c\r\n"},
    {" folded: first\r\n\r\n", "", true, true, "\r\n folded: first\r\n\r\n"},
    {"A: b\r\n", "A: b\r\n", true, true, ""},
    {"A: b\r\nBcc: hidden@x\r\nC: d\r\n\r\nBcc: b\r\n", "A: b\r\nC: d\r\n", true, true,
     "\r\nBcc: b\r\n"},
    {"BCC : a@x,\r\n\tb@y\r\nA: b\r\nresent-bcc: c@z\r\n\r\n", "A: b\r\n", true, true, "\r\n"},
    {DATE "bcc: a-very-long-name-that-is-longer-than-what-is-added@example.test\r\n" ID "\r\nx\r\n",
     DATE ID, false, false, "\r\nx\r\n"},
    {"Bcc: only@x\r\n", "", true, true, ""},
};

static void completed(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    begin(&fixture, login_offer);
    for (size_t i = 0; i < sizeof message_rows / sizeof *message_rows; i++) {
        const struct message_row *row = &message_rows[i];
        for (int way = 0; way < 4; way++) { /* DATA at once, in bytes; BDAT at once, in chunks */
            char text[1000];
            size_t size = strlen(row->sent);
            store_double_clear();
            store_double.room_max = way == 1 ? 5 : 0;
            int client = login_open(SUBMISSION_PORT, "u0");
            client_ask(client, "MAIL FROM:<u0@example.test>\r\n", "250 *");
            client_ask(client, "RCPT TO:<u1@example.test>\r\n", "250 *");
            if (way < 2) {
                client_ask(client, "DATA\r\n", "354 *");
                snprintf(text, sizeof text, "%s.\r\n", row->sent);
                client_say_in_pieces(client, text, size + 3, way ? 7 : 0);
            } else {
                size_t step = way == 2 ? size : 3, at = 0;
                for (; size - at > step; at += step) {
                    snprintf(text, sizeof text, "BDAT %zu\r\n%.*s", step, (int)step,
                             row->sent + at);
                    client_say(client, text);
                    client_expect_like(client, "250 *");
                }
                snprintf(text, sizeof text, "BDAT %zu LAST\r\n%s", size - at, row->sent + at);
                client_say(client, text);
            }
            client_expect_like(client, "250 2.0.0 *");
            expect_message(row->before, row->has_date, row->has_id, row->after);
            smtp_quit(client);
        }
    }
    store_double.room_max = 0;
    fixture.submission_options.keeps_bcc = true;
    store_double_clear();
    int client = login_open(SUBMISSION_PORT, "u0");
    send_message(client, "u0@example.test", "Bcc: seen@x\r\n\r\n", "250 *");
    expect_message("Bcc: seen@x\r\n", true, true, "\r\n");
    store_double_clear();
    client_ask(client, "MAIL FROM:<>\r\n", "250 *"); /* a last line without an end */
    client_ask(client, "RCPT TO:<u1@example.test>\r\n", "250 *");
    client_ask(client, "BDAT 4 LAST\r\nA: b", "250 *");
    expect_message("A: b\r\n", true, true, "");
    store_double_clear();
    smtp_quit(client);
    client = smtp_hello(SMTP_PORT); /* port 25 changes nothing */
    send_message(client, "u0@example.test", "Bcc: x\r\n\r\nx\r\n", "250 *");
    expect_message("Bcc: x\r\n", false, false, "\r\nx\r\n");
    smtp_quit(client);
    end(&fixture);
}

static void name_users(struct smtp_fixture *fixture)
{
    offer_everywhere(fixture);
    fixture->submission_options.received_names_user = true;
}

/* S26: what is kept of AUTH=, and where the user's name stands. */
static void s26_envelope(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    begin(&fixture, name_users);
    int client = login_open(SUBMISSION_PORT, "u0");
    client_ask(client, "MAIL FROM:<u0@example.test> AUTH=x+0Ay\r\n", "501 5.5.4 *");
    client_ask(client, "MAIL FROM:<u0@example.test> AUTH=a+2Bb@c.test\r\n", "250 *");
    client_ask(client, "RCPT TO:<u1@example.test>\r\n", "250 *");
    client_ask(client, "DATA\r\n", "354 *");
    client_ask(client, "x: y\r\n.\r\n", "250 *");
    const struct double_delivery *found = store_double_find("u1@example.test", "INBOX", 0);
    check(strstr(found->envelope, "\nprotocol submission\n") != NULL);
    check(strstr(found->envelope, "\nuser u0@example.test\nauth a+2Bb@c.test\n") != NULL);
    check(strstr(found->data, " with ESMTPA id ") != NULL);
    check(strstr(found->data, "\r\n\t(user u0@example.test)") != NULL);
    smtp_quit(client);
    store_double_clear();
    fixture.submission_options.received_names_user = false;
    client = login_open(SUBMISSION_PORT, "u0");
    send_message(client, "u0@example.test", "x: y\r\n", "250 *");
    found = store_double_find("u1@example.test", "INBOX", 0);
    check(strstr(found->data, "(user") == NULL);
    smtp_quit(client);
    store_double_clear();
    client = smtp_hello(SMTP_PORT); /* of nobody we know */
    client_ask(client, "MAIL FROM:<u0@example.test> AUTH=a@c.test\r\n", "250 *");
    client_ask(client, "RCPT TO:<u1@example.test>\r\n", "250 *");
    client_ask(client, "DATA\r\n", "354 *");
    client_ask(client, "x: y\r\n.\r\n", "250 *");
    found = store_double_find("u1@example.test", "INBOX", 0);
    check(strstr(found->envelope, "\nauth <>\n") != NULL);
    check(strstr(found->envelope, "user ") == NULL);
    check(strstr(found->data, " with ESMTP id ") != NULL);
    smtp_quit(client);
    store_double_clear();
    end(&fixture);
}

/* ---------------------------------------------------------------- how much */

static struct smtp_quotas *quotas;

static void limit(struct smtp_fixture *fixture)
{
    login_offer(fixture);
    check_equal(smtp_quotas_create(2, &quotas), 0);
    fixture->core_count = 2;
    store_double.home_core = 1;
    fixture->submission_options.quotas = quotas;
    fixture->submission_options.user_messages_max = 4;
    fixture->submission_options.user_recipients_max = 6;
    fixture->submission_options.user_window_ms = 1500;
}

static void quota(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    begin(&fixture, limit);
    int first = login_open(SUBMISSION_PORT, "u0"), second = login_open(SUBMISSION_PORT, "u0");
    int other = login_open(SUBMISSION_PORT, "u1");
    store_double.result = -EIO; /* what failed does not count */
    send_message(first, "u0@example.test", "x: y\r\n", "451 *");
    store_double.result = 0;
    for (int i = 0; i < 2; i++) {
        send_message(first, "u0@example.test", "x: y\r\n", "250 *");
        send_message(second, "u0@example.test", "x: y\r\n", "250 *");
    }
    client_ask(first, "MAIL FROM:<u0@example.test>\r\n", "450 4.7.1 *");
    client_ask(second, "MAIL FROM:<u0@example.test>\r\n", "450 4.7.1 *");
    send_message(other, "u1@example.test", "x: y\r\n", "250 *");
    harness_nap(1600000);
    client_ask(first, "MAIL FROM:<u0@example.test>\r\n", "250 *");
    for (int i = 0; i < 6; i++)
        client_ask(first, "RCPT TO:<u1@example.test>\r\n", "250 *");
    client_ask(first, "RCPT TO:<u1@example.test>\r\n", "450 4.7.1 *");
    client_ask(second, "MAIL FROM:<u0@example.test>\r\n", "250 *"); /* both may still win */
    client_ask(second, "RCPT TO:<u1@example.test>\r\n", "250 *");
    client_ask(first, "DATA\r\n", "354 *");
    client_ask(first, ".\r\n", "250 *");
    client_ask(second, "DATA\r\n", "354 *");
    client_ask(second, ".\r\n", "450 4.7.1 *");
    smtp_quit(first);
    smtp_quit(second);
    smtp_quit(other);
    store_double_clear();
    end(&fixture);
    smtp_quotas_free(quotas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locked),
        cmocka_unit_test(a02_a13_answers),
        cmocka_unit_test(a01_s16_s17_clear),
        cmocka_unit_test(senders),
        cmocka_unit_test(s27_relay),
        cmocka_unit_test(completed),
        cmocka_unit_test(s26_envelope),
        cmocka_unit_test(quota),

    };
    return cmocka_run_group_tests_name("smtp_submission", tests, NULL, NULL);
}
