/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Conversations with the IMAP server, its real store below, on the real kernel and the simulator:
 * what each command says, what two sessions see of each other, and hostile input beside an honest
 * client.
 *
 * Rows of the list of bad input: I01 I02 I03 I05 I09 I10 I13 I14 I16 I18 I19 I22 I23.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "imap_host.h"

const unsigned imap_port = 22210;

static void bye(int fd)
{
    talk(fd, "> z LOGOUT\n< * BYE *\n< z OK *\n");
    client_expect_end(fd);
}

/* A message of this subject into a mailbox; `flags` "" or "(...) ". */
static void append(int fd, const char *mailbox, const char *flags, const char *subject)
{
    char text[300], command[400];
    snprintf(text, sizeof text, "Subject: %s\r\n\r\nbody of %s\r\n", subject, subject);
    snprintf(command, sizeof command, "ap APPEND %s %s{%zu+}\r\n", mailbox, flags, strlen(text));
    client_say(fd, command);
    client_say(fd, text);
    client_say(fd, "\r\n");
}

static void append_quietly(int fd, const char *mailbox, const char *flags, const char *subject)
{
    append(fd, mailbox, flags, subject);
    talk(fd, "< ap OK [APPENDUID *] Done\n");
}

static void select_inbox(int fd, unsigned count)
{
    char text[400];
    snprintf(text, sizeof text,
             "> s SELECT INBOX\n< * FLAGS (*)\n< * OK [PERMANENTFLAGS (*\\*)] *\n< * %u EXISTS\n"
             "< * RECENT\n",
             count);
    talk(fd, text);
    for (;;) {
        char line[200];
        client_line(fd, line, sizeof line);
        if (memcmp(line, "s OK [READ-WRITE]", 17) == 0)
            return;
        check(memcmp(line, "* OK [", 6) == 0);
    }
}

/* ---------------------------------------------------------------- before log-in */

static void greeting_and_login(void **state)
{
    (void)state;
    int fd = imap_connect();
    talk(fd, "> a1 CAPABILITY\n< * CAPABILITY IMAP4rev1 *AUTH=PLAIN *\n< a1 OK Done\n"
             "> a2 NOOP\n< a2 OK Done\n"
             "> a3 ID (\"name\" \"test\")\n< * ID (\"name\" \"Ringpost\")\n< a3 OK Done\n"
             "> a4 SELECT INBOX\n< a4 BAD Log in first\n"
             "> a5 LOGIN u0 wrong\n< a5 NO [AUTHENTICATIONFAILED] Authentication failed\n"
             "> a6 LOGIN nobody pw\n< a6 NO [AUTHENTICATIONFAILED] Authentication failed\n"
             "> a7 LOGIN u0@example.test \"pw\"\n"
             "< a7 OK [CAPABILITY IMAP4rev1 LITERAL+ *CONDSTORE *] Logged in\n"
             "> a8 LOGIN u0 pw\n< a8 BAD Not in this state\n"
             "> a9 FETCH 1 FLAGS\n< a9 BAD Not in this state\n");
    bye(fd);
}

static void login_by_literals_and_sasl(void **state)
{
    (void)state;
    int fd = imap_connect();
    talk(fd, "> a LOGIN {2}\n< + OK\n= u1\n> "
             " {2+}\n= pw\n> \n< a OK *\n");
    bye(fd);
    fd = imap_connect();
    talk(fd, "> a AUTHENTICATE PLAIN AHUxAHB3\n< a OK [CAPABILITY *\n");
    bye(fd);
    fd = imap_connect();
    talk_slowly(fd, "> a AUTHENTICATE PLAIN\n< + \n> AHUxAHB3\n< a OK [CAPABILITY *\n");
    bye(fd);
    fd = imap_connect();
    talk(fd, "> a AUTHENTICATE PLAIN\n< + \n> *\n< a BAD Cancelled\n"
             "> a AUTHENTICATE PLAIN !!!\n< a BAD *\n"
             "> a AUTHENTICATE PLAIN AHUxAHB4\n< a NO [AUTHENTICATIONFAILED] *\n"
             "> a AUTHENTICATE GSSAPI\n< a NO [CANNOT] *\n"
             "> a AUTHENTICATE PLAIN AHUxAHB3\n< a OK *\n");
    bye(fd);
}

/* A01 */
static void no_plain_login(void **state)
{
    (void)state;
    int fd = client_open(imap_port + 1);
    talk(fd, "< * OK [CAPABILITY *LOGINDISABLED *] *\n"
             "> a LOGIN u0 pw\n< a NO [PRIVACYREQUIRED] Use TLS\n"
             "> b AUTHENTICATE PLAIN AHUwAHB3\n< b NO [PRIVACYREQUIRED] Use TLS\n");
    bye(fd);
}

/* I01, I03, I05, I22: before log-in, beside an honest client */
static void hostile_before_login(void **state)
{
    (void)state;
    int honest = imap_connect(), fd = imap_connect();
    talk(fd, "> a LOGIN {-1}\n< a BAD *\n> a LOGIN {01}\n< a BAD *\n> a LOGIN {1 }\n< a BAD *\n"
             "> a LOGIN {1\n< a BAD *\n> a LOGIN {}\n< a BAD *\n> a LOGIN {+}\n< a BAD *\n"
             "> a LOGIN {4294967296}\n< a BAD *\n> a LOGIN {18446744073709551616}\n< a BAD *\n"
             "> a LOGIN {17000}\n< a BAD *\n"
             "> a LOGIN {1}\n< + OK\n= x\n> {1}\n< a BAD *\n"
             "> + NOOP\n< * BAD *\n> * NOOP\n< * BAD *\n> {5 NOOP\n< * BAD *\n> \n< * BAD *\n"
             "> a\n< a BAD *\n> a XYZZY\n< a BAD Unknown command\n"
             "> a LOGIN \"u0\" \"p\\w\"\n< a BAD *\n> a LOGIN \"u0 pw\n< a BAD *\n"
             "> a NOOP {5+}\n= LOGIN\n> \n< a BAD *\n"
             "> a XYZZY {8+}\n= \\nb NOOP\n> \n< a BAD *\n" /* no command inside a literal */
             "> a LOGIN {20+}\n= 01234567890123456789\n> "
             " {16370+}\n");
    char *junk = calloc(1, 16370);
    memset(junk, 'x', 16370);
    client_put(fd, junk, 16370);
    free(junk);
    talk(fd, "> \n< a BAD *\n> b NOOP\n< b OK Done\n");
    talk(fd, "> a LOGIN {18446744073709551616+}\n< a BAD *\n< * BYE *\n");
    client_expect_end(fd);
    talk(honest, "> a LOGIN u0 pw\n< a OK *\n");
    bye(honest);
    fd = imap_connect();
    talk(fd, "> a LOGIN {99999+}\n< * BYE *\n"); /* more than is read off */
    client_close(fd);
    fd = imap_connect();
    for (unsigned i = 0; i < 500; i++)
        client_say(fd,
                   "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((");
    client_say(fd, ")))\r\n");
    talk(fd, "< * BAD *\n< * BYE *\n");
    client_close(fd);
}

/* ---------------------------------------------------------------- mailboxes */

static void mailboxes(void **state)
{
    (void)state;
    int fd = imap_login(2);
    talk(fd,
         "> a LIST \"\" *\n"
         "< * LIST (\\HasNoChildren \\Drafts) \"/\" Drafts\n"
         "< * LIST (\\HasNoChildren) \"/\" INBOX\n"
         "< * LIST (\\HasNoChildren \\Junk) \"/\" Junk\n"
         "< * LIST (\\HasNoChildren \\Sent) \"/\" Sent\n"
         "< * LIST (\\HasNoChildren \\Trash) \"/\" Trash\n< a OK Done\n"
         "> a LIST \"\" \"\"\n< * LIST (\\Noselect) \"/\" \"\"\n< a OK Done\n"
         "> a CREATE Work/2026/June\n< a OK Done\n"
         "> a CREATE Work\n< a NO [ALREADYEXISTS] *\n"
         "> a CREATE inbox\n< a NO [ALREADYEXISTS] *\n"
         "> a CREATE Work-old\n< a OK Done\n"
         "> a CREATE &APw-ber/\n< a OK Done\n"
         "> a CREATE \"a b\"\n< a OK Done\n"
         "> a LIST \"\" W%\n< * LIST (\\HasChildren) \"/\" Work\n"
         "< * LIST (\\HasNoChildren) \"/\" Work-old\n< a OK Done\n"
         "> a LIST Work/ %\n< * LIST (\\HasChildren) \"/\" Work/2026\n< a OK Done\n"
         "> a LIST \"\" %/%/%\n< * LIST (\\HasNoChildren) \"/\" Work/2026/June\n< a OK Done\n"
         "> a LIST \"\" &APw-*\n< * LIST (\\HasNoChildren) \"/\" &APw-ber\n< a OK Done\n"
         "> a LIST \"\" iNbOx\n< * LIST (\\HasNoChildren) \"/\" INBOX\n< a OK Done\n"
         "> a LIST \"\" a*\n< * LIST (\\HasNoChildren) \"/\" \"a b\"\n< a OK Done\n"
         "> a RENAME Work Play\n< a OK Done\n"
         "> a LIST \"\" *June\n< * LIST (\\HasNoChildren) \"/\" Play/2026/June\n< a OK Done\n"
         "> a RENAME Nothing Else\n< a NO [NONEXISTENT] *\n"
         "> a DELETE Nothing\n< a NO [NONEXISTENT] *\n"
         "> a DELETE INBOX\n< a NO [CANNOT] *\n"
         "> a DELETE \"a b\"\n< a OK Done\n"
         "> a CREATE Boxes (USE (\\Archive))\n< a OK Done\n"
         "> a LIST (SPECIAL-USE) \"\" Box* RETURN (SUBSCRIBED)\n"
         "< * LIST (\\HasNoChildren \\Archive) \"/\" Boxes\n< a OK Done\n"
         "> a LIST \"\" (Boxes Sent) RETURN (STATUS (MESSAGES SIZE))\n"
         "< * LIST (\\HasNoChildren \\Archive) \"/\" Boxes\n< * STATUS Boxes (MESSAGES 0 SIZE 0)\n"
         "< * LIST (\\HasNoChildren \\Sent) \"/\" Sent\n< * STATUS Sent (MESSAGES 0 SIZE 0)\n"
         "< a OK Done\n");
    /* I10, I14: names that are none */
    talk(fd,
         "> a CREATE ../x\n< a NO *\n> a CREATE a/../../b\n< a NO *\n> a CREATE /etc\n< a NO *\n"
         "> a CREATE a//b\n< a NO *\n> a CREATE \"\"\n< a NO *\n> a CREATE &AAA\n< a BAD *\n"
         "> a CREATE &2AA-\n< a BAD *\n> a CREATE \"\xff\"\n< a BAD *\n"
         "> a CREATE \"\xc3\xbc\"\n< a BAD *\n> a CREATE {3}\n< + OK\n= a\\n\n> \n< a BAD *\n"
         "> a CREATE &-&-\n< a OK Done\n> a LIST \"\" &-&-\n"
         "< * LIST (\\HasNoChildren) \"/\" &-&-\n< a OK Done\n"
         "> a STATUS &AAA (MESSAGES)\n< a BAD *\n> a SELECT u3/INBOX\n< a NO [NONEXISTENT] *\n");
    bye(fd);
}

/* Lines that come before the tagged OK. */
static unsigned lines_of(int fd, const char *command)
{
    char line[1200];
    unsigned count = 0;
    client_say(fd, command);
    client_say(fd, "\r\n");
    for (;;) {
        client_line(fd, line, sizeof line);
        if (line[0] == 't') {
            check(memcmp(line, "t OK", 4) == 0);
            return count;
        }
        check(line[0] == '*');
        count++;
    }
}

/* I09, and answers that are written in many pieces. */
static void many_mailboxes(void **state)
{
    (void)state;
    enum { COUNT = 1200 };
    unsigned count = harness_is_simulated() ? COUNT : COUNT / 8;
    int fd = imap_login(1), honest = imap_login(2);
    char line[3000];
    for (unsigned i = 0; i < count; i++) {
        snprintf(line, sizeof line, "> a CREATE Many/%04u-a-rather-long-name-%04u\n< a OK Done\n",
                 i, i);
        talk(fd, line);
    }
    unsigned all = lines_of(fd, "t LIST \"\" *");
    check_equal(all, count + 6);
    check_equal(lines_of(fd, "t LIST \"\" Many/%"), count);
    check_equal(lines_of(fd, "t LIST \"\" Many/000*"), 10);
    check_equal(lines_of(fd, "t LIST \"\" * RETURN (STATUS (MESSAGES))"), 2 * all);
    check_equal(lines_of(fd, "t LIST (SPECIAL-USE) \"\" *"), 4);
    size_t size = (size_t)snprintf(line, sizeof line, "t LIST \"\" ");
    for (unsigned i = 0; i < 500; i++)
        size += (size_t)snprintf(line + size, sizeof line - size, "*%%a");
    check_equal(lines_of(fd, line), 0);
    memset(line + 10, '*', 1000);
    line[1010] = '\0';
    check_equal(lines_of(fd, line), all);
    talk(honest, "> a NOOP\n< a OK Done\n");
    /* names go away while they are listed */
    client_say(fd, "t LIST \"\" * RETURN (STATUS (MESSAGES))\r\n");
    for (unsigned i = 0; i < count; i += 40) {
        int other = imap_login(1);
        snprintf(line, sizeof line, "> a DELETE Many/%04u-a-rather-long-name-%04u\n< a OK Done\n",
                 i, i);
        talk(other, line);
        client_close(other);
    }
    unsigned rest = lines_of(fd, "");
    check(rest >= 2 * (all - count / 40 - 1) && rest <= 2 * all);
    talk(fd, "< * BAD *\n");
    bye(fd);
    bye(honest);
}

static void subscriptions(void **state)
{
    (void)state;
    int fd = imap_login(3);
    talk(fd,
         "> a LSUB \"\" *\n< * LSUB () \"/\" Drafts\n< * LSUB () \"/\" INBOX\n"
         "< * LSUB () \"/\" Junk\n< * LSUB () \"/\" Sent\n< * LSUB () \"/\" Trash\n< a OK Done\n"
         "> a UNSUBSCRIBE Junk\n< a OK Done\n> a UNSUBSCRIBE Trash\n< a OK Done\n"
         "> a UNSUBSCRIBE Sent\n< a OK Done\n> a UNSUBSCRIBE Drafts\n< a OK Done\n"
         "> a CREATE News/fr/sci\n< a OK Done\n> a SUBSCRIBE News/fr/sci\n< a OK Done\n"
         "> a SUBSCRIBE Gone\n< a OK Done\n"
         "> a LSUB \"\" %\n< * LSUB () \"/\" Gone\n< * LSUB () \"/\" INBOX\n"
         "< * LSUB (\\Noselect) \"/\" News\n< a OK Done\n"
         "> a LSUB \"\" News/*\n< * LSUB () \"/\" News/fr/sci\n< a OK Done\n"
         "> a LIST (SUBSCRIBED) \"\" *\n< * LIST (\\Subscribed \\NonExistent) \"/\" Gone\n"
         "< * LIST (\\HasNoChildren \\Subscribed) \"/\" INBOX\n"
         "< * LIST (\\HasNoChildren \\Subscribed) \"/\" News/fr/sci\n< a OK Done\n"
         "> a NAMESPACE\n< * NAMESPACE ((\"\" \"/\")) NIL NIL\n< a OK Done\n");
    bye(fd);
}

/* ---------------------------------------------------------------- messages */

static void append_and_status(void **state)
{
    (void)state;
    int fd = imap_login(4);
    talk(fd, "> a APPEND Nowhere {3}\n< a NO [TRYCREATE] *\n"
             "> a APPEND Nowhere {3+}\n= abc\n> \n< a NO [TRYCREATE] *\n"
             "> a APPEND INBOX {0}\n< a NO *\n> a APPEND INBOX {0+}\n> \n< a NO *\n"
             "> a APPEND INBOX {20000001}\n< a NO [TOOBIG] *\n"
             "> a APPEND INBOX (\\Foo) {3}\n< a BAD *\n"
             "> a APPEND INBOX (\\Foo) {3+}\n= abc\n> \n< a BAD *\n"
             "> a APPEND INBOX \"99-Jan-2026 00:00:00 +0000\" {3}\n< a BAD *\n"
             "> a APPEND INBOX {3}\n< + OK\n= abc\n> x\n< a BAD *\n"
             "> a APPEND INBOX {3+}\n= abc\n> "
             " {3+}\n= def\n> \n< a BAD *\n"
             "> a STATUS INBOX (MESSAGES UIDNEXT)\n< * STATUS INBOX (MESSAGES 0 UIDNEXT 1)\n"
             "< a OK Done\n"
             "> a APPEND INBOX (\\Seen $Work) \" 1-Jan-2026 12:30:00 +0100\" {3}\n< + OK\n= a\\n\n"
             "> \n< a OK [APPENDUID * 1] Done\n"
             "> a APPEND {5}\n< + OK\n= INBOX\n> "
             " {4+}\n= a: b\n> \n< a OK [APPENDUID * 2] Done\n"
             "> a STATUS INBOX (MESSAGES UIDNEXT UNSEEN SIZE)\n"
             "< * STATUS INBOX (MESSAGES 2 UIDNEXT 3 UNSEEN 1 SIZE 7)\n< a OK Done\n"
             "> a EXAMINE INBOX\n< * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)\n"
             "< * OK [PERMANENTFLAGS ()] *\n< * 2 EXISTS\n< * 2 RECENT\n< * OK [UNSEEN 2] *\n"
             "< * OK [UIDVALIDITY *\n< * OK [UIDNEXT 3] *\n< * OK [HIGHESTMODSEQ *\n"
             "< a OK [READ-ONLY] Selected\n"
             "> a FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE)\n"
             "< * 1 FETCH (FLAGS (\\Seen \\Recent $Work) "
             "INTERNALDATE \" 1-Jan-2026 12:30:00 +0100\" RFC822.SIZE 3)\n< a OK *\n"
             "> a STORE 1 FLAGS ()\n< a NO [CANNOT] *\n> a EXPUNGE\n< a NO [CANNOT] *\n");
    bye(fd);
}

static void store_and_expunge(void **state)
{
    (void)state;
    int fd = imap_login(5);
    for (unsigned i = 0; i < 5; i++)
        append_quietly(fd, "INBOX", "", "x");
    select_inbox(fd, 5);
    talk(fd,
         "> a STORE 1:2 +FLAGS (\\Seen $A)\n< * FLAGS (*$A)\n< * OK [PERMANENTFLAGS (*$A \\*)] "
         "*\n< * 1 FETCH (UID 1 FLAGS (\\Seen \\Recent $A))\n"
         "< * 2 FETCH (UID 2 FLAGS (\\Seen \\Recent $A))\n< a OK Done\n"
         "> a STORE 2:3 +FLAGS.SILENT \\Deleted\n< a OK Done\n"
         "> a UID STORE 1 -FLAGS (\\Seen)\n< * 1 FETCH (UID 1 FLAGS (\\Recent $A))\n< a OK Done\n"
         "> a STORE 1 FLAGS ($A)\n< * 1 FETCH (UID 1 FLAGS (\\Recent $A))\n< a OK Done\n" /* same */
         "> a STORE 9 FLAGS ()\n< a BAD *\n> a UID STORE 9 FLAGS ()\n< a OK *\n"
         "> a UID EXPUNGE 3,4:*\n< * 3 EXPUNGE\n< a OK Done\n"
         "> a EXPUNGE\n< * 2 EXPUNGE\n< a OK Done\n"
         "> a UID STORE 2:4 +FLAGS (\\Deleted)\n< * 2 FETCH (UID 4 FLAGS (\\Deleted \\Recent))\n"
         "< a OK Done\n"
         "> a CLOSE\n< a OK Closed\n> a EXPUNGE\n< a BAD *\n"
         "> a STATUS INBOX (MESSAGES)\n< * STATUS INBOX (MESSAGES 2)\n< a OK Done\n");
    select_inbox(fd, 2);
    talk(fd, "> a STORE 1 +FLAGS.SILENT (\\Deleted)\n< a OK Done\n> a UNSELECT\n< a OK Closed\n"
             "> a STATUS INBOX (MESSAGES DELETED)\n< * STATUS INBOX (MESSAGES 2 DELETED 1)\n"
             "< a OK Done\n");
    bye(fd);
}

static void condstore(void **state)
{
    (void)state;
    int fd = imap_login(6);
    append_quietly(fd, "INBOX", "", "one");
    append_quietly(fd, "INBOX", "", "two");
    select_inbox(fd, 2);
    talk(fd, "> a ENABLE CONDSTORE X-OTHER\n< * ENABLED CONDSTORE\n"
             "< * OK [HIGHESTMODSEQ *\n< a OK Done\n"
             "> a STORE 1 +FLAGS (\\Seen)\n< * 1 FETCH (UID 1 FLAGS (\\Seen \\Recent) MODSEQ (*))\n"
             "< a OK Done\n"
             "> a STORE 1:2 (UNCHANGEDSINCE 1) +FLAGS.SILENT (\\Flagged)\n"
             "< a OK [MODIFIED 1:2] *\n"
             "> a UID STORE 1:2 (UNCHANGEDSINCE 9000000000) +FLAGS.SILENT (\\Flagged)\n"
             "< * 1 FETCH (UID 1 MODSEQ (*))\n< * 2 FETCH (UID 2 MODSEQ (*))\n< a OK Done\n"
             "> a FETCH 1 FLAGS\n< * 1 FETCH (FLAGS (\\Flagged \\Seen \\Recent)*)\n< a OK *\n");
    bye(fd);
}

static void copy_and_move(void **state)
{
    (void)state;
    int fd = imap_login(7);
    for (unsigned i = 0; i < 4; i++)
        append_quietly(fd, "INBOX", "(\\Seen) ", "x");
    select_inbox(fd, 4);
    talk(fd, "> a COPY 1:2 Nowhere\n< a NO [TRYCREATE] *\n"
             "> a COPY 1:2 Sent\n< a OK [COPYUID * 1:2 1:2] Done\n"
             "> a UID COPY 4,1 Sent\n< a OK [COPYUID * 1,4 3:4] Done\n"
             "> a UID COPY 77 Sent\n< a OK *\n> a COPY 77 Sent\n< a BAD *\n"
             "> a UID MOVE 2:3 Trash\n< * OK [COPYUID * 2:3 1:2] Moved\n< * 2 EXPUNGE\n"
             "< * 2 EXPUNGE\n< a OK Done\n"
             "> a MOVE 2 Trash\n< * OK [COPYUID * 4 3] Moved\n< * 2 EXPUNGE\n< a OK Done\n"
             "> a STATUS Trash (MESSAGES UNSEEN)\n< * STATUS Trash (MESSAGES 3 UNSEEN 0)\n"
             "< a OK Done\n"
             "> a COPY 1 INBOX\n< * 2 EXISTS\n< * 2 RECENT\n< a OK [COPYUID * 1 5] Done\n");
    bye(fd);
}

/* ---------------------------------------------------------------- two sessions */

/* I18 */
static void changes_by_others(void **state)
{
    (void)state;
    int one = imap_login(0), two = imap_login(0);
    for (unsigned i = 0; i < 3; i++)
        append_quietly(one, "INBOX", "", "x");
    select_inbox(one, 3);
    select_inbox(two, 3);
    append(two, "INBOX", "", "x");
    talk(two, "< * 4 EXISTS\n< * * RECENT\n< ap OK *\n");
    talk(one, "> a NOOP\n< * 4 EXISTS\n< * * RECENT\n< a OK Done\n");
    talk(two, "> a STORE 1 +FLAGS.SILENT (\\Deleted \\Flagged)\n< a OK Done\n");
    talk(one, "> a CHECK\n< * 1 FETCH (UID 1 FLAGS (\\Flagged \\Deleted*))\n< a OK Done\n");
    talk(two, "> a EXPUNGE\n< * 1 EXPUNGE\n< a OK Done\n");
    /* no EXPUNGE in FETCH, STORE, SEARCH; the numbers stay */
    talk(one, "> a FETCH 2 UID\n< * 2 FETCH (UID 2)\n< a OK *\n"
              "> a STORE 4 +FLAGS.SILENT (\\Seen)\n< a OK Done\n"
              "> a SEARCH SEEN\n< * SEARCH 4\n< a OK *\n"
              "> a STORE 1 +FLAGS (\\Answered)\n< a OK *\n" /* gone: nothing to tell */
              "> a UID FETCH 2 FLAGS\n< * *FETCH (*UID 2*\n");
    talk(one, "< * 1 EXPUNGE\n< a OK *\n> a FETCH 1 UID\n< * 1 FETCH (UID 2)\n< a OK *\n");
    talk(two, "> a NOOP\n< * 3 FETCH (UID 4 FLAGS (\\Seen*))\n< a OK Done\n"
              "> a MOVE 1 Sent\n< * OK [COPYUID *\n< * 1 EXPUNGE\n< a OK Done\n");
    talk(one, "> a COPY 1:3 Trash\n< * 1 EXPUNGE\n< a OK [COPYUID * 3:4 1:2] Done\n");
    bye(one);
    bye(two);
}

/* I19 */
static void idle(void **state)
{
    (void)state;
    int one = imap_login(1), two = imap_login(1);
    append_quietly(one, "INBOX", "", "x");
    select_inbox(one, 1);
    talk(one, "> i IDLE\n< + idling\n");
    append_quietly(two, "INBOX", "", "y");
    talk(one, "< * 2 EXISTS\n< * 2 RECENT\n");
    select_inbox(two, 2);
    talk(two, "> a STORE 1 +FLAGS.SILENT (\\Deleted)\n< a OK Done\n");
    talk(one, "< * 1 FETCH (UID 1 FLAGS (\\Deleted*))\n");
    talk(two, "> a EXPUNGE\n< * 1 EXPUNGE\n< a OK Done\n");
    talk(one, "< * 1 EXPUNGE\n");
    talk_slowly(one, "> DONE\n< i OK Done\n");
    talk(one, "> i IDLE\n< + idling\n= DO\n");
    harness_nap(20000);
    talk(one, "> NE\n< i OK Done\n> j IDLE\n< + idling\n> k NOOP\n< j BAD Expected DONE\n"
              "> k NOOP\n< k OK Done\n> DONE\n< DONE BAD *\n"
              "> l IDLE\n< + idling\n> DONE\n< l OK Done\n> m FETCH 1 UID\n< * 1 FETCH (UID 2)\n"
              "< m OK *\n");
    /* without a mailbox */
    talk(two, "> a UNSELECT\n< a OK Closed\n> a IDLE\n< + idling\n> done\n< a OK Done\n");
    /* the selected mailbox goes away */
    talk(two,
         "> a CREATE Short\n< a OK Done\n> a SELECT Short\n< * FLAGS *\n< * OK *\n< * 0 EXISTS\n"
         "< * 0 RECENT\n< * OK [UIDV*\n< * OK [UIDN*\n< * OK [HIGH*\n< a OK *\n");
    talk(one, "> a DELETE Short\n< a OK Done\n");
    talk(two, "> a NOOP\n< a OK Done\n< * BYE selected mailbox was deleted\n");
    client_expect_end(two);
    bye(one);
}

static void delete_own_selected(void **state)
{
    (void)state;
    int fd = imap_login(2);
    talk(fd, "> a CREATE Own\n< a OK Done\n> a SELECT Own\n< * FLAGS *\n< * OK *\n< * 0 EXISTS\n"
             "< * 0 RECENT\n< * OK [UIDV*\n< * OK [UIDN*\n< * OK [HIGH*\n< a OK *\n"
             "> a DELETE Own\n< * OK [CLOSED] *\n< a OK Done\n> a CHECK\n< a BAD *\n");
    bye(fd);
}

/* ---------------------------------------------------------------- hostile, logged in */

/* I02, I13, I16 */
static void hostile_logged_in(void **state)
{
    (void)state;
    int honest = imap_login(2), fd = imap_login(2);
    char *big = malloc(100000);
    memset(big, 'x', 100000);
    client_say(fd, "a SEARCH");
    for (unsigned i = 0; i < 10; i++) {
        client_say(fd, " TEXT {100000+}\r\n");
        client_put(fd, big, 100000);
    }
    talk(fd, "> "
             " TEXT {100000+}\n");
    client_put(fd, big, 100000);
    talk(fd, "> \n< a NO [TOOBIG] *\n> a NOOP\n< a OK Done\n");
    talk(honest, "> a NOOP\n< a OK Done\n");
    talk(fd, "> a SEARCH TEXT {1048577}\n< a NO [TOOBIG] *\n");
    client_say(fd, "a SEARCH");
    for (unsigned i = 0; i < 1001; i++)
        client_say(fd, " TEXT {1+}\r\nx");
    talk(fd, "> \n< a NO [TOOBIG] *\n> a NOOP\n< a OK Done\n");
    /* the message of an APPEND cut short: nothing is kept */
    talk(fd, "> a APPEND INBOX {50000}\n< + OK\n");
    client_put(fd, big, 40000);
    client_close(fd);
    talk(honest, "> a STATUS INBOX (MESSAGES)\n< * STATUS INBOX (MESSAGES 0)\n< a OK Done\n");
    fd = imap_login(2);
    talk(fd, "> a SELECT INBOX\n< * FLAGS *\n< * OK *\n< * 0 EXISTS\n< * 0 RECENT\n< * OK [UIDV*\n"
             "< * OK [UIDN*\n< * OK [HIGH*\n< a OK *\n");
    append(fd, "INBOX", "", "x");
    talk(fd, "< * 1 EXISTS\n< * 1 RECENT\n< ap OK *\n");
    for (unsigned i = 0; i < 64; i++) {
        char text[100];
        snprintf(
            text, sizeof text,
            "> a STORE 1 +FLAGS.SILENT (k%u)\n< * FLAGS *\n< * OK [PERMANENTFLAGS *\n< a OK Done\n",
            i);
        talk(fd, text);
    }
    talk(fd, "> a STORE 1 +FLAGS.SILENT (onemore)\n< a NO [LIMIT] *\n"
             "> a STORE 1 +FLAGS.SILENT (a]b)\n< a BAD *\n> a STORE 1 +FLAGS.SILENT (\\Foo)\n< a "
             "BAD *\n");
    char longest[11000] = "a STORE 1 +FLAGS.SILENT (";
    memset(longest + strlen(longest), 'k', 10240);
    strcpy(longest + strlen(longest), ")\r\n");
    client_say(fd, longest);
    talk(fd, "< a NO *\n> a NOOP\n< a OK Done\n");
    free(big);
    bye(fd);
    bye(honest);
}

/* More messages than STORE and EXPUNGE hand to the store at once. */
static void large_mailbox(void **state)
{
    (void)state;
    if (!harness_is_simulated())
        return;
    enum { COUNT = 40960 };
    char line[300];
    int fd = imap_login(4);
    talk(fd, "> a CREATE Large\n< a OK Done\n");
    for (unsigned i = 0; i < 10; i++)
        append_quietly(fd, "Large", "", "x");
    check_equal(lines_of(fd, "t SELECT Large"), 8);
    for (unsigned i = 10; i < COUNT; i *= 2)
        check_equal(lines_of(fd, "t COPY 1:* Large"), 2);
    talk(fd, "> a ENABLE CONDSTORE\n< * ENABLED CONDSTORE\n< * OK [HIGHESTMODSEQ *\n< a OK Done\n");
    client_say(fd, "a STATUS Large (HIGHESTMODSEQ)\r\n");
    client_line(fd, line, sizeof line);
    unsigned long modseq = strtoul(strchr(line, '(') + sizeof "HIGHESTMODSEQ", NULL, 10);
    talk(fd, "< a OK Done\n");
    check_equal(lines_of(fd, "t STORE 2:3,40000 +FLAGS.SILENT (\\Seen)"), 3);
    snprintf(line, sizeof line, "b STORE 1:* (UNCHANGEDSINCE %lu) +FLAGS.SILENT (\\Deleted)\r\n",
             modseq);
    client_say(fd, line);
    for (unsigned i = 0; i < COUNT - 3; i++)
        talk(fd, "< * FETCH (UID * MODSEQ (*))\n");
    talk(fd, "< b OK [MODIFIED 2:3,40000] *\n");
    check_equal(lines_of(fd, "t EXPUNGE"), COUNT - 3);
    check_equal(lines_of(fd, "t FETCH 1:* (UID)"), 3);
    talk(fd, "> a DELETE Large\n< * OK [CLOSED] *\n< a OK Done\n");
    bye(fd);
}

static int imap_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greeting_and_login),
        cmocka_unit_test(login_by_literals_and_sasl),
        cmocka_unit_test(no_plain_login),
        cmocka_unit_test(hostile_before_login),
        cmocka_unit_test(mailboxes),
        cmocka_unit_test(many_mailboxes),
        cmocka_unit_test(subscriptions),
        cmocka_unit_test(append_and_status),
        cmocka_unit_test(store_and_expunge),
        cmocka_unit_test(condstore),
        cmocka_unit_test(copy_and_move),
        cmocka_unit_test(changes_by_others),
        cmocka_unit_test(idle),
        cmocka_unit_test(delete_own_selected),
        cmocka_unit_test(hostile_logged_in),
        cmocka_unit_test(large_mailbox),
    };
    imap_host_begin();
    int result = cmocka_run_group_tests_name("imap", tests, NULL, NULL);
    imap_host_end();
    return result;
}

int main(void)
{
    return harness_main(imap_tests);
}
