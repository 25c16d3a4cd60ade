/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ManageSieve (src/sieve) and submission (src/smtp/front.c) in front of a backend: what is said up
 * to the log-in, and that nothing but the backend speaks behind it. Over real sockets and in the
 * simulator's worlds, with the doubles of front_double.h; parsers by themselves.
 *
 * Rows A02 and X13 of the list of bad inputs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/sieve/sieve_private.h"
#include "front_host.h"
#include "line_client.h"
#include "ringpost/base64.h"
#include "ringpost/proxy.h"
#include "ringpost/sieve.h"
#include "ringpost/smtp.h"

enum { PORT = 26430, SIEVE = PORT, NOBODYS, SUBMISSION, TOY };

static struct host *host;
static struct proxy_options sieve_front, submission_front;
static struct smtp_options smtp_options = {.message_bytes_max = 20000, .recipients_max = 20};

static struct service services[] = {
    {FRONT_HOST_SERVICE, .port = SIEVE, .protocol = &sieve_protocol},
    {FRONT_HOST_SERVICE, .port = NOBODYS,
     .protocol = &sieve_protocol}, /* fronts nothing, no clear */
    {FRONT_HOST_SERVICE, .port = SUBMISSION, .protocol = &submission_protocol,
     .options = &smtp_options},
    {FRONT_HOST_SERVICE, .port = TOY, .protocol = &toy_protocol},
};

static int begin(void **state)
{
    (void)state;
    sieve_front = front_host_options(BACKEND_SIEVE);
    sieve_front.has_local_users = true;
    submission_front = sieve_front;
    submission_front.protocol = BACKEND_SUBMISSION;
    services[0].front = &sieve_front;
    services[1].plain_login_allowed = false;
    services[2].front = &submission_front;
    toy_port = TOY;
    host = front_host_begin(services, 4, 10);
    return 0;
}

static int end(void **state)
{
    (void)state;
    front_host_end(host);
    return 0;
}

/* With XCLIENT, and users of ours whose submission is elsewhere. */
static int begin_xclient(void **state)
{
    static const struct network loopback = {.address = {127}, .family = 4, .bits = 8};
    services[2].xclient_from = (struct network_set){&loopback, 1};
    int result = begin(state);
    front_host_domains[0].name = SLICE("near.test");
    return result;
}

static int end_xclient(void **state)
{
    services[2].xclient_from = (struct network_set){0};
    return end(state);
}

/* ---------------------------------------------------------------- strings, pure */

static void scans(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum sieve_scanned scanned;
        uint64_t size;
    } rows[] = {
        {"", SIEVE_LINE_WHOLE, 0},
        {"NOOP", SIEVE_LINE_WHOLE, 0},
        {"NOOP \"{5+}\"", SIEVE_LINE_WHOLE, 0},
        {"NOOP {5+}", SIEVE_LINE_LITERAL, 5},
        {"AUTHENTICATE \"a\\\"b\" {0+}", SIEVE_LINE_LITERAL, 0},
        {"NOOP {4294967295+}", SIEVE_LINE_LITERAL, UINT32_MAX},
        {"NOOP {4294967296+}", SIEVE_LINE_LOST, 0},
        {"NOOP {99999999999999999999+}", SIEVE_LINE_LOST, 0},
        {"NOOP {5}", SIEVE_LINE_LOST, 0}, /* clients send no such form */
        {"NOOP {+}", SIEVE_LINE_LOST, 0},
        {"NOOP {-5+}", SIEVE_LINE_LOST, 0},
        {"NOOP {5+ }", SIEVE_LINE_LOST, 0},
        {"NOOP \"{5+}", SIEVE_LINE_LOST, 0}, /* in a string, or behind it? */
        {"NOOP \"\\\" {5+}", SIEVE_LINE_LOST, 0},
        {"NOOP \"\\\\\" {5+}", SIEVE_LINE_LITERAL, 5},
        {"NOOP \"open", SIEVE_LINE_WHOLE, 0}, /* for the parser to refuse */
        {"}", SIEVE_LINE_LOST, 0},
        {"+}", SIEVE_LINE_LOST, 0},
        {"1+}", SIEVE_LINE_LOST, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t size = 0;
        enum sieve_scanned scanned = sieve_scan(slice_cstr(rows[i].line), &size);
        if (scanned != rows[i].scanned)
            fprintf(stderr, "row %zu\n", i);
        check_equal(scanned, rows[i].scanned);
        check(scanned != SIEVE_LINE_LITERAL || size == rows[i].size);
    }
}

static void strings(void **state)
{
    (void)state;
    static const struct {
        struct slice text, string; /* data NULL: none */
        size_t rest;
    } rows[] = {
        {SLICE("\"\""), SLICE(""), 0},
        {SLICE("\"a b\" c"), SLICE("a b"), 2},
        {SLICE("\"a\\\\b\\\"\"x"), SLICE("a\\b\""), 1},
        {SLICE("{3+}\r\na\"\0 x"), SLICE("a\"\0"), 2},
        {SLICE("{0+}\r\n"), SLICE(""), 0},
        {SLICE("\"\xc3\xa4\""), SLICE("\xc3\xa4"), 0},
        {SLICE("\"\xc3\""), {NULL, 0}, 0},
        {SLICE("\"a\\n\""), {NULL, 0}, 0},
        {SLICE("\"a\\"), {NULL, 0}, 0},
        {SLICE("\"a"), {NULL, 0}, 0},
        {SLICE("\"a\0b\""), {NULL, 0}, 0},
        {SLICE("\"a\nb\""), {NULL, 0}, 0},
        {SLICE("a"), {NULL, 0}, 0},
        {SLICE(""), {NULL, 0}, 0},
        {SLICE("{3+}\r\nab"), {NULL, 0}, 0},
        {SLICE("{3+}\nabc"), {NULL, 0}, 0},
        {SLICE("{3}\r\nabc"), {NULL, 0}, 0},
        {SLICE("\"{3+}\r\nabc"), {NULL, 0}, 0},
        {SLICE("{+}\r\n"), {NULL, 0}, 0},
        {SLICE("{99999999999+}\r\n"), {NULL, 0}, 0},
    };
    struct arena arena;
    arena_init(&arena, 100000);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t cut = 0; cut <= rows[i].text.size; cut++) {
            /* In memory of its own, so that what is read beyond is found. */
            char *copy = malloc(cut + 1);
            memcpy(copy, rows[i].text.data, cut);
            struct sieve_cursor cursor = {copy, copy + cut};
            struct slice string = {0};
            bool is_taken = sieve_take_string(&cursor, &arena, &string);
            bool is_whole = cut >= rows[i].text.size - rows[i].rest;
            if (is_taken != (is_whole && rows[i].string.data != NULL))
                fprintf(stderr, "row %zu, cut %zu\n", i, cut);
            check(is_taken == (is_whole && rows[i].string.data != NULL));
            check(is_taken || cursor.at == copy);
            check(!is_taken || slice_equal(string, rows[i].string));
            check(!is_taken ||
                  (size_t)(cursor.end - cursor.at) == cut - (rows[i].text.size - rows[i].rest));
            free(copy);
        }
    arena_reset(&arena);
}

/* ---------------------------------------------------------------- ManageSieve up to the log-in */

#define CAPABILITIES(sieve, more)                                                                  \
    "\"IMPLEMENTATION\" \"Ringpost\"\r\n\"SASL\" \"PLAIN LOGIN\"\r\n\"SIEVE\" \"" sieve            \
    "\"\r\n" more
#define VERSION "\"VERSION\" \"1.0\"\r\n"

static int greeted(void)
{
    int fd = client_open(SIEVE);
    client_expect(fd, CAPABILITIES("", VERSION) "OK \"Ringpost ready\"\r\n");
    return fd;
}

/* "\0user\0password" in base64 */
static const char *plain_of(const char *user, const char *password)
{
    static char encoded[800];
    char plain[600];
    int size = snprintf(plain, sizeof plain, "%c%s%c%s", 0, user, 0, password);
    encoded[base64_encode(slice_of(plain, (size_t)size), encoded)] = '\0';
    return encoded;
}

/* One segment, a byte a segment, and cut in two at every place: the same answers. */
static void dialogue(void **state)
{
    (void)state;
    static const char said[] =
        "CAPABILITY\r\nNOOP\r\nNOOP \"a\\\"b\"\r\nNOOP {4+}\r\n\"\\ \r\r\nNOOP x\r\nNOOP \"a\" "
        "\"b\"\r\nLISTSCRIPTS\r\nPUTSCRIPT \"x\" {6+}\r\nLOGOUT\r\nHELO\r\nCAPABILITY x\r\n"
        "STARTTLS\r\nAUTHENTICATE\r\nAUTHENTICATE PLAIN\r\nAUTHENTICATE \"CRAM-MD5\"\r\n"
        "AUTHENTICATE \"PLAIN\" \"AGFubmFAbmVhci50ZXN0AHB3\"\r\nAUTHENTICATE \"LOGIN\"\r\n"
        "\"YW5uYUBuZWFyLnRlc3Q=\"\r\n{4+}\r\nbm8=\r\nAUTHENTICATE \"LOGIN\"\r\n\"*\"\r\nLOGOUT\r\n";
    static const char answers[] = CAPABILITIES(
        "",
        VERSION) "OK \"Capabilities\"\r\nOK \"Done\"\r\nOK (TAG {3}\r\na\"b) \"Done\"\r\n"
                 "OK (TAG {4}\r\n\"\\ \r) \"Done\"\r\nNO \"Give a string at most\"\r\n"
                 "NO \"Give a string at most\"\r\nNO \"Log in first\"\r\nNO \"Log in first\"\r\n"
                 "NO \"Unknown command\"\r\nNO \"No arguments here\"\r\nNO \"No TLS here\"\r\n"
                 "NO \"Give a mechanism, and a string at most\"\r\n"
                 "NO \"Give a mechanism, and a string at most\"\r\nNO \"No such mechanism\"\r\n"
                 "NO \"No scripts are kept for this "
                 "user\"\r\n\"VXNlcm5hbWU6\"\r\n\"UGFzc3dvcmQ6\"\r\n"
                 "NO \"Wrong user name or password\"\r\n\"VXNlcm5hbWU6\"\r\nNO \"Cancelled\"\r\n"
                 "OK \"Goodbye\"\r\n";
    size_t size = sizeof said - 1;
    for (size_t split = 0; split <= size + 1; split += split < size ? 7 : 1) {
        int fd = greeted();
        if (split == size + 1) {
            client_say_in_pieces(fd, said, size, 1);
        } else {
            client_put(fd, said, split);
            harness_nap(200);
            client_put(fd, said + split, size - split);
        }
        client_expect(fd, answers);
        client_expect_end(fd);
    }
}

/* What is known of backends; and where passwords are not taken in clear. */
static void capabilities(void **state)
{
    (void)state;
    strcpy(double_capabilities, "SIEVE SIEVE=fileinto SIEVE=reject NOTIFY=mailto,xmpp X=\" "
                                "SIEVE=a\"b UNAUTHENTICATE MAXREDIRECTS=4");
    int fd = client_open(SIEVE);
    client_expect(fd,
                  CAPABILITIES("fileinto reject", "\"NOTIFY\" \"mailto xmpp\"\r\n\"MAXREDIRECTS\" "
                                                  "\"4\"\r\n") "OK \"Ringpost ready\"\r\n");
    client_close(fd);
    double_reset();
    fd = client_open(NOBODYS);
    client_expect(fd,
                  "\"IMPLEMENTATION\" \"Ringpost\"\r\n\"SASL\" \"\"\r\n\"SIEVE\" \"\"\r\n" VERSION
                  "OK \"Ringpost ready\"\r\n");
    client_ask(fd, "AUTHENTICATE \"PLAIN\" \"AGFubmFAbmVhci50ZXN0AHB3\"\r\n",
               "NO (ENCRYPT-NEEDED) \"Log-in is allowed on encrypted connections only\"");
    client_close(fd);
}

/* What cannot be told apart from a literal's bytes, is too long, or is no line, takes nobody in. */
static void bad(void **state)
{
    (void)state;
    static const struct {
        const char *said, *answer;
        bool ends;
    } rows[] = {
        {"NOOP {7}\r\nLOGOUT\r\n", "BYE \"Not a literal: send {size+}\"", true},
        {"NOOP \"{7+}\r\nLOGOUT\r\n", "BYE \"Not a literal: send {size+}\"", true},
        {"NOOP {20000+}\r\nLOGOUT\r\n", "BYE \"Command too long\"", true},
        {"NOOP {99999999999+}\r\n", "BYE \"Not a literal: send {size+}\"", true},
        {"NOOP {0+}\r\n{0+}\r\n{0+}\r\n{0+}\r\n{0+}\r\n", "BYE \"Command too long\"", true},
        {"NOOP {7+}\nLOGOUT\r\n", "BYE \"Not a literal: send {size+}\"", true},
        {"NOOP\n", "NO \"End lines with CRLF, and send no other control bytes\"", false},
        {"NOOP a\rb\r\n", "NO \"End lines with CRLF, and send no other control bytes\"", false},
        {"GET / HTTP/1.1\r\n", "BYE \"This is a ManageSieve server\"", true},
        {"AUTHENTICATE \"PLAIN\" \"=a=\"\r\n", "NO \"Not a message of this mechanism\"", false},
        {"AUTHENTICATE \"PLAIN\" \"\\\"\"\r\n", "NO \"Not a message of this mechanism\"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int fd = greeted();
        client_ask(fd, rows[i].said, rows[i].answer);
        if (rows[i].ends) {
            client_expect_end(fd);
        } else {
            client_ask(fd, "NOOP\r\n", "OK \"Done\"");
            client_close(fd);
        }
    }
    static char large[20000];
    memset(large, 'x', sizeof large);
    memcpy(large, "NOOP \"", 6);
    memcpy(large + sizeof large - 3, "\r\n", 3);
    int fd = greeted();
    client_ask(fd, large, "BYE \"Command too long\"");
    client_expect_end(fd);
    fd = greeted(); /* a response of SASL */
    client_ask(fd, "AUTHENTICATE \"PLAIN\"\r\n", "\"\"");
    client_ask(fd, "{13000+}\r\n", "NO \"Response too long\"");
    client_expect_end(fd);
}

/* ---------------------------------------------------------------- the log-in */

static void logs_in(void **state)
{
    (void)state;
    char text[1000];
    static const struct {
        const char *user, *password, *answer;
    } rows[] = {
        {"u1", "wrong", "NO \"Wrong user name or password\""},
        {"eusers", "pw", "NO (TRYLATER) \"Too many connections of this user\""},
        {"eagain", "pw",
         "NO (TRYLATER) \"The server of the scripts does not answer, try again later\""},
        {"eloop", "pw", "NO (TRYLATER) \"Servers refer to each other in a circle\""},
        {"enokey", "pw", "NO \"Log in with the password itself\""},
        {"eperm", "pw", "NO (TRYLATER) \"The scripts are being moved, try again later\""},
        {"enomem", "pw", "NO (TRYLATER) \"Out of memory, try again later\""},
    };
    int fd = greeted();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *plain = plain_of(rows[i].user, rows[i].password);
        snprintf(text, sizeof text, "AUTHENTICATE \"PLAIN\" {%zu+}\r\n%s\r\n", strlen(plain),
                 plain);
        client_ask(fd, text, rows[i].answer);
    }
    /* What was sent ahead reaches the backend behind the log-in. */
    snprintf(text, sizeof text, "AUTHENTICATE \"PLAIN\"\r\n\"%s\"\r\na ECHO NOOP {7+}\r\n",
             plain_of("u1", "pw"));
    client_say(fd, text);
    client_expect(fd, "\"\"\r\nOK \"Logged in\"\r\n* NOOP {7+}\r\na OK done\r\n");
    client_ask(fd, "b LOGOUT\r\n", "* BYE");
    client_expect_like(fd, "b OK *");
    client_expect_end(fd);
}

/* The session's last words stand between two lines of the backend's. */
static void kicked(void **state)
{
    (void)state;
    char text[1000];
    int fd = greeted();
    snprintf(text, sizeof text, "AUTHENTICATE \"PLAIN\" \"%s\"\r\n", plain_of("u1", "pw"));
    client_ask(fd, text, "OK \"Logged in\"");
    client_say(fd, "a KICK\r\n");
    client_expect_like(fd, "BYE (TRYLATER) \"Closed by the operator\"");
    client_expect_end(fd);
}

/* ---------------------------------------------------------------- submission */

static int submission_hello(const char *answer)
{
    int fd = client_open(SUBMISSION);
    client_expect_like(fd, "220 *");
    client_say(fd, "EHLO client.test\r\n");
    client_expect(fd, answer);
    return fd;
}

/* EHLO offers what is ours and all backends', and nothing that is not known. */
static void submission_offers(void **state)
{
    (void)state;
    client_close(submission_hello("250-mail.example.test\r\n250-AUTH PLAIN LOGIN\r\n"
                                  "250 HELP\r\n"));
    strcpy(double_capabilities, "PIPELINING SIZE=1000 8BITMIME XLATER BURL DSN AUTH=GSSAPI");
    client_close(submission_hello("250-mail.example.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
                                  "250-DSN\r\n250-SIZE 1000\r\n250-AUTH PLAIN LOGIN\r\n"
                                  "250 HELP\r\n"));
    strcpy(double_capabilities, "SIZE SIZE=1000000");
    client_close(submission_hello("250-mail.example.test\r\n250-SIZE 20000\r\n" /* ours */
                                  "250-AUTH PLAIN LOGIN\r\n250 HELP\r\n"));
    double_reset();
}

static void submission_logs_in(void **state)
{
    (void)state;
    char text[1000];
    static const struct {
        const char *user, *password, *answer;
    } rows[] = {
        {"u1", "wrong", "535 5.7.8 Authentication failed"},
        {"eusers", "pw", "454 4.7.0 Too many connections, try again later"},
        {"eagain", "pw", "454 4.7.0 The mail server does not answer, try again later"},
        {"eloop", "pw", "554 5.4.6 *"},
        {"enokey", "pw", "534 5.7.9 *"},
        {"eperm", "pw", "454 4.7.0 The mailbox is being moved, try again later"},
        {"enomem", "pw", "454 4.7.0 Out of memory*"},
    };
    int fd = submission_hello("250-mail.example.test\r\n250-AUTH PLAIN LOGIN\r\n250 HELP\r\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(text, sizeof text, "AUTH PLAIN %s\r\n", plain_of(rows[i].user, rows[i].password));
        client_ask(fd, text, rows[i].answer);
        client_ask(fd, "MAIL FROM:<u1@far.test>\r\n", "530 5.7.0 *"); /* nobody is logged in */
    }
    snprintf(text, sizeof text, "AUTH PLAIN %s\r\na ECHO MAIL\r\n", plain_of("u1", "pw"));
    client_say(fd, text);
    client_expect(fd, "235 2.7.0 Authentication successful\r\n* MAIL\r\na OK done\r\n");
    client_ask(fd, "b CLOSE\r\n", "421 4.3.0 Mail store is not available");
    client_expect_end(fd);
    fd = submission_hello("250-mail.example.test\r\n250-AUTH PLAIN LOGIN\r\n250 HELP\r\n");
    snprintf(text, sizeof text, "AUTH PLAIN %s\r\n", plain_of("anna@near.test", "pw"));
    client_ask(fd, text, "235 2.7.0 *"); /* a user of ours */
    client_ask(fd, "RSET\r\n", "250 2.0.0 OK");
    client_ask(fd, "QUIT\r\n", "221 *");
    client_expect_end(fd);
}

/* Where no backend takes submission, users of ours are served as ever, and nobody is let in whose
 * password nobody has looked at. */
static void submission_unserved(void **state)
{
    (void)state;
    char text[1000];
    double_serve(false);
    int fd = client_open(SUBMISSION);
    client_expect_like(fd, "220 *");
    client_say(fd, "EHLO client.test\r\n");
    do
        client_line(fd, text, sizeof text);
    while (text[3] == '-');
    check_equal(strcmp(text, "250 LIMITS RCPTMAX=20"), 0);
    snprintf(text, sizeof text, "AUTH PLAIN %s\r\n", plain_of("u1", "pw"));
    client_ask(fd, text, "454 4.7.0 No mail is taken for this user here");
    client_ask(fd, "MAIL FROM:<u1@far.test>\r\n", "530 5.7.0 *");
    check_equal(double_links(), 0);
    client_close(fd);
    double_serve(true);
}

/* A proxy that has checked the password does not tell it. */
static void submission_xclient(void **state)
{
    (void)state;
    int fd = client_open(SUBMISSION);
    client_expect_like(fd, "220 *");
    client_ask(fd, "XCLIENT LOGIN=anna@near.test\r\n", "454 4.7.0 *");
    client_ask(fd, "HELO client.test\r\n", "250 *");
    client_ask(fd, "MAIL FROM:<anna@near.test>\r\n", "530 5.7.0 *");
    check_equal(double_links(), 0);
    client_close(fd);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(scans),
        cmocka_unit_test(strings),
        cmocka_unit_test_setup_teardown(dialogue, begin, end),
        cmocka_unit_test_setup_teardown(capabilities, begin, end),
        cmocka_unit_test_setup_teardown(bad, begin, end),
        cmocka_unit_test_setup_teardown(logs_in, begin, end),
        cmocka_unit_test_setup_teardown(kicked, begin, end),
        cmocka_unit_test_setup_teardown(submission_offers, begin, end),
        cmocka_unit_test_setup_teardown(submission_logs_in, begin, end),
        cmocka_unit_test_setup_teardown(submission_unserved, begin, end),
        cmocka_unit_test_setup_teardown(submission_xclient, begin_xclient, end_xclient),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return harness_main(tests);
}
