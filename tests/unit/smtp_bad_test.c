/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The SMTP rows (S) of the list of bad inputs, each beside an honest client: what an attacker
 * or a broken client sends, what it must be told, and that others do not notice. Rows on TLS,
 * AUTH and relaying belong to what is not built yet; abuse is in smtp_abuse_test.c, parsers' rows
 * are in smtp_parse_test.c too, the decoder's in dot_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtp_fixture.h"

#include "ringpost/hash.h"

static void envelope(int client)
{
    client_ask(client, "MAIL FROM:<s@client.test>\r\n", "250 2.1.0 *");
    client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 2.1.5 *");
}

/* The stored message of u0, if there is one. */
static void check_stored(unsigned count, const char *text, size_t text_size)
{
    size_t size;
    check_equal(store_double.count, count);
    if (count == 0)
        return;
    const char *stored =
        smtp_without_trace(store_double_find("u0@example.test", "INBOX", 0), &size);
    check_equal(size, text_size);
    check(memcmp(stored, text, size) == 0);
}

/* Ends with the code, whatever else; the client is gone afterwards. */
static void expect_closed(int client, const char *last)
{
    char line[1000];
    client_line(client, line, sizeof line);
    if (strncmp(line, last, strlen(last)) != 0)
        fprintf(stderr, "got: %s\nwant: %s\n", line, last);
    check(strncmp(line, last, strlen(last)) == 0);
    client_expect_end(client);
}

/* ---------------------------------------------------------------- messages */

/* S01-S09 */
static void s01_s09_smuggling(void **state)
{
    (void)state;
    static const struct slice rows[] = {
        {"\n.\n", 3},       {"\n.\r", 3},       {"\r.\n", 3},
        {"\r.\r", 3},       {"\n.\r\n", 4},     {"\r.\r\n", 4},
        {"\r\n\0.\r\n", 6}, {"\r\n.\r\r\n", 6}, {"\r\r\n.\r\r\n", 7},
    };
    static const char evil[] = "MAIL FROM:<evil@client.test>\r\nRCPT TO:<u1@example.test>\r\n"
                               "DATA\r\nSubject: evil\r\n\r\nx\r\n.\r\n";
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t piece = 0; piece < 3; piece++) {
            char text[400];
            size_t size = 0;
            memcpy(text, "Subject: a\r\n\r\nb", 15);
            size = 15;
            memcpy(text + size, rows[i].data, rows[i].size);
            size += rows[i].size;
            memcpy(text + size, evil, sizeof evil - 1);
            size += sizeof evil - 1;
            store_double_clear();
            int client = smtp_hello(SMTP_PORT);
            envelope(client);
            client_ask(client, "DATA\r\n", "354 *");
            client_say_in_pieces(client, text, size, piece);
            bool is_clean = memcmp(rows[i].data, "\r\n\0", 3) == 0; /* S07: odd, but one message */
            client_expect_like(client, is_clean ? "250 2.0.0 *" : "550 5.5.2 *");
            check_stored(is_clean, text, size - 3);
            check(store_double_find("u1@example.test", "INBOX", 0) == NULL);
            client_ask(client, "RCPT TO:<u0@example.test>\r\n", "503 5.5.1 *"); /* S19 */
            smtp_quit(client);
        }
        smtp_honest();
    }
    smtp_end(&fixture);
}

/* S11 */
static void s11_dots(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *stored;
    } rows[] = {
        {".\r\n", ""},
        {"..\r\n.\r\n", ".\r\n"},
        {"...\r\n.\r\n", "..\r\n"},
        {"..x\r\n.\r\n", ".x\r\n"},
        {"a.\r\n\r\n..\r\n.\r\n", "a.\r\n\r\n.\r\n"},
    };
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t split = 0; split < strlen(rows[i].sent); split++) {
            store_double_clear();
            int client = smtp_hello(SMTP_PORT);
            envelope(client);
            client_ask(client, "DATA\r\n", "354 *");
            client_put(client, rows[i].sent, split);
            harness_nap(300);
            client_say(client, rows[i].sent + split);
            client_expect_like(client, "250 2.0.0 *");
            check_stored(1, rows[i].stored, strlen(rows[i].stored));
            smtp_quit(client);
        }
    }
    smtp_honest();
    smtp_end(&fixture);
}

static void s12_s13_chunks(void **state)
{
    (void)state;
    static const char raw[] = "\r\n.\r\n\r\nQUIT\r\n\0\r\n.\r\nMAIL FROM:<>\r\nbare\rcr";
    struct smtp_fixture fixture;
    char text[100];
    smtp_begin(&fixture, NULL);
    for (size_t piece = 0; piece < 4; piece++) { /* S12 */
        store_double_clear();
        int client = smtp_hello(SMTP_PORT);
        client_ask(client, "MAIL FROM:<> BODY=BINARYMIME\r\n", "250 *");
        client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
        client_ask(client, "DATA\r\n", "503 5.5.1 *");
        snprintf(text, sizeof text, "BDAT %zu LAST\r\n", sizeof raw);
        client_say(client, text);
        client_say_in_pieces(client, raw, sizeof raw, piece);
        client_expect_like(client, "250 2.0.0 *");
        check_stored(1, raw, sizeof raw);
        smtp_quit(client);
    }
    /* S13: no size, no way to go on */
    static const char *const sizes[] = {"-1", "1e3", "18446744073709551616", "5 LASTX", ""};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int client = smtp_hello(SMTP_PORT);
        envelope(client);
        snprintf(text, sizeof text, "BDAT %s\r\nNOOP\r\n", sizes[i]);
        client_say(client, text);
        expect_closed(client, "501 5.5.4 ");
    }
    store_double_clear();
    int client = smtp_greet(SMTP_PORT); /* in any state the bytes are not commands */
    client_ask(client, "BDAT 6\r\nNOOP\r\n", "503 5.5.1 Say hello *");
    client_say(client, "EHLO x\r\n");
    smtp_reply(client, "250 ");
    client_ask(client, "BDAT 6 LAST\r\nNOOP\r\n", "503 5.5.1 MAIL *");
    client_ask(client, "MAIL FROM:<>\r\n", "250 *");
    client_ask(client, "BDAT 6\r\nNOOP\r\n", "503 5.5.1 No valid *");
    client_ask(client, "RCPT TO:<nobody@example.test>\r\n", "550 5.1.1 *");
    client_ask(client, "BDAT 6\r\nNOOP\r\n", "503 5.5.1 No valid *");
    client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
    client_ask(client, "BDAT 0\r\n", "250 2.0.0 0 *");
    client_ask(client, "RCPT TO:<u1@example.test>\r\n", "503 5.5.1 Not after *");
    client_ask(client, "MAIL FROM:<>\r\n", "503 5.5.1 A transaction *");
    client_ask(client, "DATA\r\n", "503 5.5.1 Not after *");
    client_ask(client, "BDAT 3\r\nabc", "250 2.0.0 3 *");
    client_ask(client, "BDAT 0 LAST\r\n", "250 2.0.0 OK*");
    check_stored(1, "abc", 3);
    client_ask(client, "BDAT 3 LAST\r\nabc", "503 5.5.1 MAIL *");
    envelope(client);
    client_ask(client, "BDAT 3\r\nabc", "250 2.0.0 3 *");
    client_ask(client, "RSET\r\n", "250 *");
    client_ask(client, "BDAT 3 LAST\r\nabc", "503 5.5.1 MAIL *");
    check_equal(store_double.count, 1);
    envelope(client);
    client_say(client, "BDAT 18446744073709551615\r\n"); /* more than is ever swallowed */
    expect_closed(client, "552 5.3.4 ");
    client = smtp_hello(SMTP_PORT);
    client_say(client, "BDAT 18446744073709551615\r\n");
    expect_closed(client, "503 5.5.1 ");
    smtp_honest();
    smtp_end(&fixture);
}

static void raise_limit(struct smtp_fixture *fixture)
{
    fixture->options.message_bytes_max = 1 << 20;
}

/* S14 */
static void s14_many_chunks(void **state)
{
    (void)state;
    enum { CHUNKS = 20000, BATCH = 500 };
    struct smtp_fixture fixture;
    smtp_begin(&fixture, raise_limit);
    int client = smtp_hello(SMTP_PORT);
    envelope(client);
    char *batch = malloc(BATCH * 9 + 1);
    for (int i = 0; i < BATCH; i++)
        memcpy(batch + 9 * i, "BDAT 1\r\nx", 10);
    for (int i = 0; i < CHUNKS / BATCH; i++) {
        client_say(client, batch);
        for (int j = 0; j < BATCH; j++)
            client_expect(client, "250 2.0.0 1 octets received\r\n");
    }
    free(batch);
    check(store_double.bytes_high < 3 * CHUNKS);
    client_ask(client, "BDAT 0 LAST\r\n", "250 2.0.0 OK*");
    size_t size;
    check(smtp_without_trace(&store_double.deliveries[0], &size) != NULL);
    check_equal(size, CHUNKS);
    smtp_quit(client);
    smtp_honest();
    smtp_end(&fixture);
}

/* S32: limit - 1, limit, limit + 1, after un-stuffing; by DATA and BDAT; with and without SIZE. */
static void s32_size(void **state)
{
    (void)state;
    enum { LIMIT = 20000 };
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    static char text[2 * LIMIT + 100], sent[2 * LIMIT + 100];
    for (int over = -1; over <= 1; over++) {
        size_t size = (size_t)(LIMIT + over), wire = 0;
        for (size_t i = 0; i < size; i++) /* each line begins with a dot */
            text[i] = ".xxxxx\r\n"[i % 8];
        memset(text + size / 8 * 8 - 8, 'x', size - (size / 8 * 8 - 8));
        memcpy(text + size - 2, "\r\n", 2);
        for (size_t i = 0; i < size; i++) {
            if (text[i] == '.' && (i == 0 || text[i - 1] == '\n'))
                sent[wire++] = '.';
            sent[wire++] = text[i];
        }
        check(wire > size + 1000);
        memcpy(sent + wire, ".\r\n", 3);
        for (int how = 0; how < 6; how++) {
            char line[100];
            store_double_clear();
            int client = smtp_hello(SMTP_PORT);
            snprintf(line, sizeof line, "MAIL FROM:<>%s\r\n", how % 3 == 1 ? " SIZE=1" : "");
            if (how % 3 == 2)
                snprintf(line, sizeof line, "MAIL FROM:<> SIZE=%zu\r\n", size);
            if (how % 3 == 2 && over > 0) {
                client_ask(client, line, "552 5.3.4 *");
                smtp_quit(client);
                continue;
            }
            client_ask(client, line, "250 *");
            client_ask(client, "RCPT TO:<u0@example.test>\r\n", "250 *");
            if (how < 3) {
                client_ask(client, "DATA\r\n", "354 *");
                client_put(client, sent, wire + 3);
            } else {
                snprintf(line, sizeof line, "BDAT 100\r\n");
                client_say(client, line);
                client_put(client, text, 100);
                client_expect_like(client, "250 *");
                snprintf(line, sizeof line, "BDAT %zu LAST\r\n", size - 100);
                client_say(client, line);
                client_put(client, text + 100, size - 100);
            }
            client_expect_like(client, over > 0 ? "552 5.3.4 *" : "250 2.0.0 *");
            check_stored(over <= 0, text, size);
            smtp_quit(client);
        }
    }
    smtp_honest();
    /* far too long: swallowed within a bound */
    static char flood[65536];
    memset(flood, 'x', sizeof flood);
    int client = smtp_hello(SMTP_PORT);
    envelope(client);
    client_ask(client, "DATA\r\n", "354 *");
    for (int i = 0; i < 17; i++) /* 2 * 20,000 + 1 MiB are passed with the last */
        client_put(client, flood, sizeof flood);
    expect_closed(client, "552 5.3.4 ");
    smtp_end(&fixture);
}

/* S33: the connection ends before each byte of the data, and after the dot. */
static void s33_dropped(void **state)
{
    (void)state;
    static const char text[] = "Subject: x\r\n\r\ny\r\n.\r\n";
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    for (size_t size = 0; size < sizeof text; size++) {
        for (int how = 0; how < 2; how++) {
            store_double_clear();
            store_double.wait_ns = 2000000;
            int client = smtp_hello(SMTP_PORT);
            envelope(client);
            client_ask(client, "DATA\r\n", "354 *");
            client_put(client, text, size);
            if (size > 0)
                harness_nap(200);
            if (how)
                client_reset(client);
            else
                client_close(client);
            while (host_counter(fixture.host, COUNTER_CONNECTIONS_OPEN) > 0)
                harness_nap(2000);
            if (size < sizeof text - 1)
                check_equal(store_double.count, 0);
            else
                check(store_double.count == 1 || (how && store_double.count == 0));
            check_equal(store_double.bodies, 0);
        }
    }
    store_double.wait_ns = 0;
    smtp_honest();
    smtp_end(&fixture);
}

static void shorten(struct smtp_fixture *fixture)
{
    fixture->options.data_ms_max = 300;
    fixture->options.data_bytes_per_second_min = 100000;
}

/* S34: a byte now and then keeps no message alive; a steady client is not hurried. */
static void s34_slow(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, shorten);
    int client = smtp_hello(SMTP_PORT);
    envelope(client);
    client_ask(client, "DATA\r\n", "354 *");
    for (int i = 0; i < 5; i++) {
        client_say(client, "x");
        harness_nap(40000);
    }
    harness_nap(180000); /* 380 ms: it is over, though a byte came in the last 300 */
    check_equal(host_counter(fixture.host, COUNTER_SESSION_TIMEOUTS), 1);
    expect_closed(client, "421 4.4.2 ");
    client = smtp_hello(SMTP_PORT);
    envelope(client);
    for (int i = 0; i < 5; i++) { /* the same by chunks: the message's time goes on */
        client_ask(client, "BDAT 1\r\nx", "250 *");
        harness_nap(40000);
    }
    client_say(client, "BDAT 5 LAST\r\nx");
    expect_closed(client, "421 4.4.2 ");
    check_equal(store_double.count, 0);
    store_double.wait_ns = 500000000; /* a slow store is not the client's fault */
    client = smtp_hello(SMTP_PORT);
    envelope(client);
    client_ask(client, "DATA\r\n", "354 *");
    client_ask(client, "x\r\n.\r\n", "250 *");
    store_double.wait_ns = 0;
    store_double_clear();
    client_ask(client, "NOOP\r\n", "250 *");
    smtp_quit(client);
    smtp_honest();
    smtp_end(&fixture);
}

/* S35 */
static void s35_loops(void **state)
{
    (void)state;
    static const struct {
        unsigned received, own;
        const char *extra, *reply;
    } rows[] = {
        {50, 0, "", "250 *"},
        {51, 0, "", "554 5.4.6 *"},
        {2, 2, "", "250 *"},
        {3, 3, "", "554 5.4.6 *"},
        {0, 0, "Delivered-To: u0@example.test\r\n", "554 5.4.6 *"},
        {0, 0, "delivered-to:\r\n U0@Example.test \r\n", "554 5.4.6 *"},
        {0, 0, "Delivered-To: u1@example.test\r\n", "250 *"},
        {0, 0, "\r\nDelivered-To: u0@example.test\r\n", "250 *"}, /* in the body */
        {0, 0, "X-Received: y\r\n Received: by mx.example.test x\r\n", "250 *"},
    };
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    int client = smtp_hello(SMTP_PORT);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        envelope(client);
        client_ask(client, "DATA\r\n", "354 *");
        for (unsigned j = 0; j < rows[i].received; j++)
            client_say(client, j < rows[i].own
                                   ? "Received: from a\r\n\tby MX.example.test with SMTP; date\r\n"
                                   : "received: from mx.example.test by b.test; date\r\n");
        client_say(client, rows[i].extra);
        client_ask(client, "Subject: x\r\n\r\ny\r\n.\r\n", rows[i].reply);
    }
    smtp_quit(client);
    smtp_honest();
    smtp_end(&fixture);
}

/* ---------------------------------------------------------------- order */

static void s19_s20_reset(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    int client = smtp_hello(SMTP_PORT);
    const char *const ends[] = {"RSET\r\n", "EHLO again\r\n", "HELO again\r\n"};
    for (size_t i = 0; i < 3; i++) { /* S39: EHLO in mid-transaction */
        envelope(client);
        client_say(client, ends[i]);
        smtp_reply(client, "250 ");
        client_ask(client, "RCPT TO:<u1@example.test>\r\n", "503 5.5.1 MAIL *");
        client_ask(client, "DATA\r\n", "503 5.5.1 MAIL *");
    }
    envelope(client); /* S20: nothing else touches the envelope */
    client_ask(client, "VRFY \xc3\xbc\r\n", "553 5.6.7 *");
    client_ask(client, "VRFY \xc3\xbc SMTPUTF8\r\n", "252 *");
    client_ask(client, "NOOP\r\n", "250 *");
    client_ask(client, "HELO \x1b[2J\r\n", "501 *");
    client_ask(client, "EXPN x\r\n", "502 *");
    client_say(client, "HELP\r\n");
    smtp_reply(client, "214 ");
    client_ask(client, "MAIL FROM:<other@client.test>\r\n", "503 5.5.1 A trans*");
    client_ask(client, "DATA\r\n", "354 *");
    client_ask(client, ".\r\n", "250 *");
    check_stored(1, "", 0);
    check(strncmp(store_double.deliveries[0].data, "Return-Path: <s@client.test>", 28) == 0);
    smtp_quit(client);
    smtp_honest();
    smtp_end(&fixture);
}

/* S21 */
static void s21_early(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    smtp_begin(&fixture, NULL);
    int client = client_open(STRICT_PORT);
    client_say(client, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<u0@example.test>\r\nDATA\r\n");
    expect_closed(client, "554 5.5.0 ");
    client = client_open(STRICT_PORT); /* the patient one is greeted */
    client_expect_like(client, "220 *");
    client_say(client, "EHLO x\r\n");
    smtp_reply(client, "250 ");
    client_say(client, "MAIL FROM:<>\r\nRCPT TO:<u0@example.test>\r\nDATA\r\n");
    client_expect_like(client, "250 *");
    client_expect_like(client, "250 *");
    client_expect_like(client, "354 *");
    client_ask(client, "x\r\n.\r\n", "250 *");
    check_stored(1, "x\r\n", 3);
    client_say(client, "MAIL FROM:<>\r\nRCPT TO:<u0@example.test>\r\nDATA\r\nx\r\n.\r\n");
    client_expect_like(client, "250 *");
    client_expect_like(client, "250 *");
    client_expect_like(client, "503 5.5.0 *"); /* ahead of the 354 */
    expect_closed(client, "554 5.5.0 ");
    check_equal(store_double.count, 1);
    smtp_honest();
    smtp_end(&fixture);
}

/* S40: every sequence of verbs against RFC 5321 as a small model. */
enum model_state { START, READY, MAIL, RCPT, CHUNKS };
struct verb {
    const char *text;
    unsigned legal;        /* bits of model_state */
    enum model_state next; /* when it was legal */
    const char *code;      /* when it was legal */
    bool stays;
};

static const struct verb verbs[] = {
    {"HELO x\r\n", 31, READY, "250", false},
    {"EHLO x\r\n", 31, READY, "250", false},
    {"MAIL FROM:<>\r\n", 1 << READY, MAIL, "250", false},
    {"RCPT TO:<u0@example.test>\r\n", 1 << MAIL | 1 << RCPT, RCPT, "250", false},
    {"RCPT TO:<nobody@example.test>\r\n", 1 << MAIL | 1 << RCPT, RCPT, "550", true},
    {"RCPT TO:<u0@elsewhere.test>\r\n", 1 << MAIL | 1 << RCPT, RCPT, "550", true},
    {"DATA\r\n", 1 << RCPT, READY, "354", false},
    {"BDAT 7\r\nRSET\r\nx", 1 << RCPT | 1 << CHUNKS, CHUNKS, "250", false},
    {"BDAT 6 LAST\r\nQUIT\r\n", 1 << RCPT | 1 << CHUNKS, READY, "250", false},
    {"RSET\r\n", 31, READY, "250", false},
    {"NOOP\r\n", 31, READY, "250", true},
    {"VRFY x\r\n", 31, READY, "252", true},
    {"EXPN x\r\n", 31, READY, "502", true},
    {"HELP\r\n", 31, READY, "214", true},
    {"WHAT\r\n", 0, READY, "500", true},
    {"DATA x\r\n", 1 << RCPT, READY, "501", true},
    {"MAIL FROM:<\r\n", 1 << READY, READY, "553", true},
};
enum { VERBS = sizeof verbs / sizeof *verbs };

/* Says one verb, checks the code, follows the state; messages in *accepted. */
static enum model_state step(int client, enum model_state is, const struct verb *verb,
                             unsigned *accepted)
{
    bool is_legal = verb->legal & 1u << is;
    client_say(client, verb->text);
    smtp_reply(client, is_legal || verb->legal == 0 ? verb->code : "503");
    if (!is_legal)
        return is;
    if (strcmp(verb->code, "354") == 0) {
        client_say(client, "x\r\n.\r\n");
        smtp_reply(client, "250");
    }
    *accepted += (is == RCPT || is == CHUNKS) && verb->next == READY &&
                 (verb->text[0] == 'D' || verb->text[0] == 'B') && !verb->stays;
    if (verb->stays)
        return is;
    return is == START && verb->text[0] == 'R' ? START : verb->next;
}

static void relax(struct smtp_fixture *fixture)
{
    fixture->smtp.errors_max = fixture->smtp.junk_max = 1000000;
    fixture->options.recipients_max = 1000;
}

static void s40_order(void **state)
{
    (void)state;
    struct smtp_fixture fixture;
    unsigned accepted = 0, before = 0;
    smtp_begin(&fixture, relax);
    for (unsigned pair = 0; pair < VERBS * VERBS; pair++) { /* each pair, in each state */
        int client = smtp_greet(SMTP_PORT);
        for (unsigned depth = 0; depth < 5; depth++) {
            enum model_state is = START;
            static const unsigned way[] = {1, 2, 3, 7};
            for (unsigned i = 0; i < depth; i++)
                is = step(client, is, &verbs[way[i]], &accepted);
            check_equal(is, depth);
            is = step(client, is, &verbs[pair / VERBS], &accepted);
            step(client, is, &verbs[pair % VERBS], &accepted);
            if (depth > 0)
                client_ask(client, "RSET\r\n", "250 *");
            smtp_quit(client);
            client = smtp_greet(SMTP_PORT);
        }
        smtp_quit(client);
        check_equal(store_double.delivered, accepted - before);
        before = accepted;
        store_double_clear();
    }
    check(accepted > 60);
    int client = smtp_greet(SMTP_PORT); /* and random ones */
    enum model_state is = START;
    for (unsigned i = 0; i < 5000; i++) {
        is = step(client, is, &verbs[hash_u64(i) % VERBS], &accepted);
        if (store_double.count > 50) {
            check_equal(store_double.delivered, accepted - before);
            before = accepted;
            store_double_clear();
        }
    }
    check_equal(store_double.delivered, accepted - before);
    client_say(client, "QUIT\r\nNOOP\r\n"); /* nothing after QUIT */
    expect_closed(client, "221");
    smtp_honest();
    smtp_end(&fixture);
}

static int smtp_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s01_s09_smuggling), cmocka_unit_test(s11_dots),
        cmocka_unit_test(s12_s13_chunks),    cmocka_unit_test(s14_many_chunks),
        cmocka_unit_test(s19_s20_reset),     cmocka_unit_test(s21_early),
        cmocka_unit_test(s32_size),          cmocka_unit_test(s33_dropped),
        cmocka_unit_test(s34_slow),          cmocka_unit_test(s35_loops),
        cmocka_unit_test(s40_order),
    };
    return cmocka_run_group_tests_name("smtp_bad", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(smtp_tests);
}
