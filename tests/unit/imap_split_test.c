/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One conversation with the IMAP server, literals of both kinds, APPEND and IDLE in it, sent in
 * pieces of every size and cut in two at every byte: the answers are the same. And what time does:
 * IDLE held for half an hour (row I19), a command that never ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imap_host.h"

const unsigned imap_port = 22220;

static const char said[] = "a LOGIN {2}\r\nu6 {2+}\r\npw\r\n"
                           "b CREATE {5+}\r\nSplit\r\n"
                           "c APPEND Split (\\Seen) {12}\r\nSubject: x\r\n\r\n"
                           "d APPEND Nowhere {10+}\r\ne LOGOUT\r\n\r\n"
                           "e SELECT Split\r\n"
                           "f UID STORE 1:* +FLAGS (\\Deleted $K)\r\n"
                           "g IDLE\r\nDONE\r\n"
                           "h FETCH 1 (UID BODY.PEEK[])\r\n"
                           "i SEARCH TEXT {7+}\r\nsubject UID {3+}\r\n1:*\r\n"
                           "j SEARCH TEXT {7+}\r\nsubject SEEN\r\n"
                           "k EXPUNGE\r\n"
                           "l DELETE Split\r\n"
                           "m LOGOUT\r\n";

static const char answered[] = "< + OK\n< a OK [CAPABILITY *] Logged in\n"
                               "< b OK Done\n"
                               "< + OK\n< c OK [APPENDUID * 1] Done\n"
                               "< d NO [TRYCREATE] No such mailbox\n"
                               "< * FLAGS (*)\n< * OK [PERMANENTFLAGS *\n< * 1 EXISTS\n"
                               "< * 1 RECENT\n< * OK [UIDVALIDITY *\n< * OK [UIDNEXT 2] Next\n"
                               "< * OK [HIGHESTMODSEQ *\n< e OK [READ-WRITE] Selected\n"
                               "< * FLAGS (*$K)\n< * OK [PERMANENTFLAGS *\n"
                               "< * 1 FETCH (UID 1 FLAGS (\\Deleted \\Seen \\Recent $K))\n"
                               "< f OK Done\n"
                               "< + idling\n< g OK Done\n"
                               "< * 1 FETCH (UID 1 BODY[] {12}\n< Subject: x\n< )\n< h OK *\n"
                               "< i BAD *\n"
                               "< * SEARCH 1\n< j OK *\n"
                               "< * 1 EXPUNGE\n< k OK Done\n"
                               "< * OK [CLOSED] *\n< l OK Done\n"
                               "< * BYE Logging out\n< m OK Done\n";

static void pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= 40; piece++) {
        int fd = imap_connect();
        client_say_in_pieces(fd, said, sizeof said - 1, piece);
        talk(fd, answered);
        client_expect_end(fd);
    }
}

static void cut_in_two(void **state)
{
    (void)state;
    size_t step = harness_is_simulated() ? 1 : 23; /* the real kernel takes its time */
    for (size_t at = 0; at <= sizeof said - 1; at += step) {
        int fd = imap_connect();
        client_put(fd, said, at);
        harness_nap(500);
        client_put(fd, said + at, sizeof said - 1 - at);
        talk(fd, answered);
        client_expect_end(fd);
    }
}

/* The client goes away at every byte: the next one finds everything in order. */
static void cut_off(void **state)
{
    (void)state;
    size_t step = harness_is_simulated() ? 1 : 23;
    for (size_t at = 0; at < sizeof said - 1; at += step) {
        int fd = imap_connect();
        client_put(fd, said, at);
        if (at % 2)
            client_close(fd);
        else
            client_reset(fd);
    }
    int fd = imap_login(6);
    harness_nap(100000);
    talk(fd, "> a DELETE Split\n< a * *\n> b CREATE Split\n< b OK Done\n> c DELETE Split\n"
             "< c OK Done\n> d LOGOUT\n< * BYE *\n< d OK Done\n");
    client_expect_end(fd);
}

/* I19; virtual time only */
static void half_an_hour(void **state)
{
    (void)state;
    if (!harness_is_simulated())
        return;
    int idle = imap_login(5), late = imap_login(5);
    talk(idle, "> a SELECT INBOX\n< * FLAGS *\n< * OK *\n< * 0 EXISTS\n< * 0 RECENT\n< * OK *\n"
               "< * OK *\n< * OK *\n< a OK *\n> b IDLE\n< + idling\n");
    talk(late, "> b IDLE\n< + idling\n");
    harness_nap(UINT64_C(1000) * 1000000);
    int other = imap_login(5);
    talk(other, "> a APPEND INBOX {1+}\n= x\n> \n< a OK *\n> b LOGOUT\n< * BYE *\n< b OK *\n");
    client_expect_end(other);
    talk(idle, "< * 1 EXISTS\n< * 1 RECENT\n");
    harness_nap(UINT64_C(795) * 1000000);
    talk(idle, "> DONE\n< b OK Done\n> c EXPUNGE\n< c OK Done\n> d LOGOUT\n< * BYE *\n< d OK *\n");
    client_expect_end(idle);
    harness_nap(UINT64_C(10) * 1000000);
    talk(late, "< * BYE idle too long\n");
    client_expect_end(late);
}

/* A command begun and never ended; a literal that does not come; virtual time only. */
static void never_ending(void **state)
{
    (void)state;
    if (!harness_is_simulated())
        return;
    int one = imap_login(4), two = imap_login(4), three = imap_login(4), silent = imap_connect();
    client_say(one, "a NO");
    talk(two, "> a CREATE {5}\n< + OK\n= abc\n");
    talk(three, "> a APPEND INBOX {500}\n< + OK\n= abc\n");
    harness_nap(12000000);
    talk(one, "< * BYE command not finished in time\n");
    talk(two, "< * BYE command not finished in time\n");
    talk(three, "< * BYE command not finished in time\n");
    talk(silent, "< * BYE no log-in in time\n");
    client_expect_end(one);
    client_expect_end(two);
    client_expect_end(three);
    client_expect_end(silent);
    int fd = imap_login(4);
    talk(fd, "> a STATUS INBOX (MESSAGES)\n< * STATUS INBOX (MESSAGES 0)\n< a OK Done\n");
    client_close(fd);
}

static int imap_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces),       cmocka_unit_test(cut_in_two),   cmocka_unit_test(cut_off),
        cmocka_unit_test(half_an_hour), cmocka_unit_test(never_ending),
    };
    imap_host_begin();
    int result = cmocka_run_group_tests_name("imap split", tests, NULL, NULL);
    imap_host_end();
    return result;
}

int main(void)
{
    return harness_main(imap_tests);
}
