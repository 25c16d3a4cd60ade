/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The POP3 server on a double of the store that fails when it is told to; over real sockets, and in
 * the simulator's worlds. Rows of the list of bad inputs are named by their id. After each test
 * nothing may be left: no session, account, view or lock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pop3_host.h"

const unsigned pop3_port = 22110;

#define ONE "Subject: one\r\n\r\nfirst\r\n.\r\n..x\r\nlast"
#define TWO "Subject: two\r\n\r\nbody\r\n"

/* ---------------------------------------------------------------- the whole protocol */

static const char dialogue[] =
    "CAPA\r\nNOOP\r\nUTF8\r\nUSER u0\r\nPASS pw\r\nSTAT\r\nLIST\r\nUIDL\r\nLIST 2\r\nUIDL 1\r\n"
    "RETR 1\r\nTOP 1 0\r\nTOP 1 2\r\nDELE 1\r\nDELE 1\r\nRETR 1\r\nSTAT\r\nLIST\r\nRSET\r\nSTAT\r\n"
    "DELE 2\r\nCAPA\r\nUSER u0\r\nQUIT\r\n";

#define CAPABILITIES                                                                               \
    "+OK Capabilities follow\r\nUSER\r\nSASL PLAIN "                                               \
    "LOGIN\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"                                     \
    "PIPELINING\r\nEXPIRE NEVER\r\nUTF8 USER\r\nIMPLEMENTATION Ringpost\r\n.\r\n"

static const char answers[] =
    "+OK Ringpost ready\r\n" CAPABILITIES "-ERR Log in first\r\n+OK\r\n+OK\r\n+OK Logged in\r\n"
    "+OK 2 57\r\n+OK Listing follows\r\n1 35\r\n2 22\r\n.\r\n"
    "+OK Listing follows\r\n1 1700000000.1\r\n2 1700000000.2\r\n.\r\n+OK 2 22\r\n"
    "+OK 1 1700000000.1\r\n+OK 35 octets\r\nSubject: "
    "one\r\n\r\nfirst\r\n..\r\n...x\r\nlast\r\n.\r\n"
    "+OK Top of message follows\r\nSubject: one\r\n\r\n.\r\n"
    "+OK Top of message follows\r\nSubject: one\r\n\r\nfirst\r\n..\r\n.\r\n"
    "+OK Deleted at QUIT\r\n-ERR No such message\r\n-ERR No such message\r\n+OK 1 22\r\n"
    "+OK Listing follows\r\n2 22\r\n.\r\n+OK\r\n+OK 2 57\r\n+OK Deleted at QUIT\r\n" CAPABILITIES
    "-ERR You are logged in already\r\n+OK Goodbye\r\n";

/* One segment, a byte a segment, and cut in two at every place: the same answers. */
static void whole_dialogue(void **state)
{
    (void)state;
    pop3_setup();
    struct host *host = host_begin(&pop3_host_options);
    size_t size = sizeof dialogue - 1;
    for (size_t split = 0; split <= size + 1; split++) {
        drops_reset();
        drop_add(&drops[0], SLICE(ONE));
        drop_add(&drops[0], SLICE(TWO));
        drops[0].is_peeked = split % 2;
        drops_sync();
        int fd = client_open(pop3_port);
        if (split == size + 1) {
            client_say_in_pieces(fd, dialogue, size, 1);
        } else {
            client_put(fd, dialogue, split);
            if (split % 8 == 0)
                harness_nap(1000);
            client_put(fd, dialogue + split, size - split);
        }
        client_expect(fd, answers);
        client_expect_end(fd);
        drops_sync();
        check_equal(drop_alive(&drops[0]), 1);
        check_equal(drops[0].expunges, 1);
    }
    pop3_finish(host);
}

/* P05, A01 */
static void log_ins(void **state)
{
    (void)state;
    char large[1200];
    pop3_setup();
    struct host *host = host_begin(&pop3_host_options);
    int fd = pop3_greeted();
    pop3_ask(fd, "PASS pw", "-ERR Give USER first\r\n");
    pop3_ask(fd, "USER", "-ERR Give a user name\r\n");
    pop3_ask(fd, "USER  ", "-ERR Give a user name\r\n");
    pop3_ask(fd, "USER nobody", "+OK\r\n");
    pop3_ask(fd, "USER u0", "+OK\r\n"); /* the second counts */
    pop3_ask(fd, "PASS", "-ERR [AUTH] Wrong user name or password\r\n");
    pop3_ask(fd, "PASS pw", "-ERR Give USER first\r\n");
    pop3_ask(fd, "USER u0", "+OK\r\n");
    pop3_ask(fd, "PASS  pw", "-ERR [AUTH] Wrong user name or password\r\n");
    pop3_ask(fd, "USER \xff\xfe", "+OK\r\n");
    pop3_ask(fd, "PASS pw", "-ERR [AUTH] Wrong user name or password\r\n");
    pop3_ask(fd, "USER %{u}';--", "+OK\r\n"); /* A04 */
    pop3_ask(fd, "PASS \xc3\xa9", "-ERR [AUTH] Wrong user name or password\r\n");
    client_put(fd, "USER u\0000\r\n", 10);
    client_expect_like(fd, "-ERR End lines with CRLF*");
    pop3_ask(fd, "USER u0\rx", "-ERR End lines with CRLF, and send no other control bytes\r\n");
    client_say(fd, "USER u0\n");
    client_expect_like(fd, "-ERR End lines with CRLF*");
    memset(large, 'a', sizeof large);
    memcpy(large, "USER ", 5);
    large[5 + 321] = '\0';
    pop3_ask(fd, large, "-ERR User name too long\r\n");
    pop3_ask(fd, "USER u0", "+OK\r\n");
    memset(large, 'a', sizeof large);
    memcpy(large, "PASS ", 5);
    large[5 + 513] = '\0';
    pop3_ask(fd, large, "-ERR [AUTH] Wrong user name or password\r\n");
    large[5 + 513] = 'a';
    large[1100] = '\0';
    pop3_ask(fd, large, "-ERR Line too long\r\n");
    pop3_ask(fd, "user U2@X.test", "+OK\r\n");
    pop3_ask(fd, "pass  pa  ss ", "+OK Logged in\r\n"); /* blanks are the password's */
    pop3_quit_client(fd);
    pop3_finish(host);
    pop3_setup();
    pop3_service.plain_login_allowed = false;
    host = host_begin(&pop3_host_options);
    fd = pop3_greeted();
    pop3_ask(fd, "USER u0", "-ERR Log-in is allowed on encrypted connections only\r\n");
    pop3_quit_client(fd);
    pop3_finish(host);
}

/* P01 */
static void bad_arguments(void **state)
{
    (void)state;
    static const char *const rows[] = {"RETR 0",
                                       "RETR -1",
                                       "RETR 4294967297",
                                       "RETR 1 2",
                                       "RETR",
                                       "TOP 1",
                                       "TOP 1 -1",
                                       "TOP 1 4294967295",
                                       "DELE x",
                                       "STAT 1",
                                       "LIST 99999999999",
                                       "RETR 3",
                                       "UIDL 3",
                                       "LIST 0",
                                       "TOP 3 0",
                                       "NOOP 1",
                                       "QUIT now",
                                       "XTND",
                                       "",
                                       "RETR\t1"};
    pop3_setup();
    drop_add(&drops[0], SLICE(ONE));
    drop_add(&drops[0], SLICE(TWO));
    struct host *host = host_begin(&pop3_host_options);
    int fd = pop3_logged_in("u0"), honest = pop3_logged_in("u1");
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        client_say(fd, rows[i]);
        client_say(fd, "\r\n");
        client_expect_like(fd, "-ERR *");
        pop3_ask(honest, "STAT", "+OK 0 0\r\n");
    }
    pop3_ask(fd, "STAT", "+OK 2 57\r\n");
    pop3_quit_client(fd);
    pop3_quit_client(honest);
    pop3_finish(host);
}

/* A13, A09: the same words whoever is asked for; guesses end the session; others log in. */
static void guesses(void **state)
{
    (void)state;
    pop3_setup();
    pop3_service.errors_max = 5;
    struct host *host = host_begin(&pop3_host_options);
    int fd = pop3_greeted(), honest = pop3_logged_in("u1");
    for (unsigned i = 0; i < 6; i++) {
        pop3_ask(fd, i % 2 ? "USER u0" : "USER nobody", "+OK\r\n");
        pop3_ask(fd, "PASS guess", "-ERR [AUTH] Wrong user name or password\r\n");
    }
    client_expect(fd, "-ERR [SYS/TEMP] Too many commands that are of no use\r\n");
    client_expect_end(fd);
    pop3_quit_client(honest);
    pop3_quit_client(pop3_logged_in("u1"));
    check_equal(host_counter(host, COUNTER_AUTH_FAILED), 6);
    pop3_finish(host);
}

/* A12: more log-ins at once than are hashed or held back: temporary errors, no memory of them, and
 * who is known logs in at once. */
static void crowd(void **state)
{
    (void)state;
    enum { CROWD = 40 };
    int fds[CROWD];
    char line[200];
    unsigned wrong = 0, busy = 0;
    pop3_setup();
    pop3_service.errors_max = 1;
    struct host *host = host_begin(&pop3_host_options);
    for (unsigned i = 0; i < 8; i++) /* each core learns */
        pop3_quit_client(pop3_logged_in("u1"));
    for (unsigned i = 0; i < CROWD; i++)
        fds[i] = pop3_greeted();
    for (unsigned i = 0; i < CROWD; i++) {
        snprintf(line, sizeof line, "USER u0\r\nPASS guess %u\r\n", i);
        client_say(fds[i], line);
    }
    pop3_quit_client(pop3_logged_in("u1"));
    for (unsigned i = 0; i < CROWD; i++) {
        client_expect(fds[i], "+OK\r\n");
        client_line(fds[i], line, sizeof line);
        wrong += strcmp(line, "-ERR [AUTH] Wrong user name or password") == 0;
        busy += strcmp(line, "-ERR [SYS/TEMP] Too busy, try again later") == 0;
        client_close(fds[i]);
    }
    check_equal(wrong + busy, CROWD);
    check(wrong > 0);
    check(host_counter(host, COUNTER_AUTH_FAILED) == wrong);
    harness_nap(500000);
    pop3_quit_client(pop3_logged_in("u0")); /* not locked out */
    pop3_finish(host);
}

/* ---------------------------------------------------------------- deletions */

/* P02 */
static void no_quit(void **state)
{
    (void)state;
    pop3_setup();
    pop3_service.idle_ms_max = 300;
    drop_add(&drops[0], SLICE(ONE));
    struct host *host = host_begin(&pop3_host_options);
    int fd = pop3_logged_in("u0");
    pop3_ask(fd, "DELE 1", "+OK Deleted at QUIT\r\n");
    client_close(fd); /* disconnects */
    while (drops[0].accounts > 0)
        harness_nap(1000);
    fd = pop3_logged_in("u0");
    pop3_ask(fd, "DELE 1", "+OK Deleted at QUIT\r\n");
    client_expect_end(fd); /* idle: not a word (RFC 1939, 3) */
    fd = pop3_logged_in("u0");
    pop3_ask(fd, "DELE 1", "+OK Deleted at QUIT\r\n");
    client_reset(fd);
    fd = pop3_greeted();
    client_say(fd, "USER u1\r\nPASS pw\r\nQUIT\r\n");
    client_expect(fd, "+OK\r\n+OK Logged in\r\n+OK Goodbye\r\n");
    client_expect_end(fd);
    host_stop(host);
    pop3_finish(host);
    check_equal(drop_alive(&drops[0]), 1);
    check_equal(drops[0].expunges, 0);
}

/* P03 */
static void expunge_fails(void **state)
{
    (void)state;
    static const int errors[] = {-ENOSPC, -EIO, -ENOMEM};
    pop3_setup();
    drop_add(&drops[0], SLICE(ONE));
    drop_add(&drops[0], SLICE(TWO));
    struct host *host = host_begin(&pop3_host_options);
    for (unsigned i = 0; i < 3; i++) {
        int fd = pop3_logged_in("u0");
        drops[0].expunge_error = errors[i];
        pop3_ask(fd, "DELE 2", "+OK Deleted at QUIT\r\n");
        client_say(fd, "QUIT\r\n");
        client_expect_like(fd, "-ERR [SYS/TEMP]*");
        client_expect_end(fd);
        drops_sync();
        check_equal(drop_alive(&drops[0]), 2);
    }
    drops[0].expunge_error = 0;
    int fd = pop3_logged_in("u0");
    pop3_ask(fd, "DELE 2", "+OK Deleted at QUIT\r\n");
    pop3_quit_client(fd);
    check_equal(drop_alive(&drops[0]), 1);
    pop3_finish(host);
}

/* P04 */
static void delete_and_reset(void **state)
{
    (void)state;
    enum { ROUNDS = 1000, EACH = 50 };
    static char commands[EACH * 20], want[EACH * 60];
    pop3_setup();
    drop_add(&drops[0], SLICE(ONE));
    commands[0] = want[0] = '\0';
    for (unsigned i = 0; i < EACH; i++) {
        strcat(commands, "DELE 1\r\nRSET\r\n");
        strcat(want, "+OK Deleted at QUIT\r\n+OK\r\n");
    }
    struct host *host = host_begin(&pop3_host_options);
    int fd = pop3_logged_in("u0");
    long before = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        client_say(fd, commands);
        client_expect(fd, want);
        if (i == ROUNDS / 10)
            before = memory_kib();
    }
    check_growth(before, 8192);
    pop3_ask(fd, "STAT", "+OK 1 35\r\n");
    pop3_quit_client(fd);
    check_equal(drop_alive(&drops[0]), 1);
    pop3_finish(host);
}

static int pop3_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_dialogue), cmocka_unit_test(log_ins),
        cmocka_unit_test(bad_arguments),  cmocka_unit_test(guesses),
        cmocka_unit_test(crowd),          cmocka_unit_test(no_quit),
        cmocka_unit_test(expunge_fails),  cmocka_unit_test(delete_and_reset),
    };
    return cmocka_run_group_tests_name("pop3", tests, NULL, NULL);
}

int main(void)
{
    return harness_main(pop3_tests);
}
